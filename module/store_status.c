/* store_status.c: what the store says, in the standard's words. */
#include "slot.h"
#include "trace.h"

static const struct status_row {
    int status;
    CK_RV rv;
} STATUS_TABLE[] = {
    {VS_NOT_FOUND, CKR_OBJECT_HANDLE_INVALID},
    {VS_STALE, CKR_FUNCTION_FAILED},
    {VS_PIN_INCORRECT, CKR_PIN_INCORRECT},
    {VS_PIN_LOCKED, CKR_PIN_LOCKED},
    {VS_PIN_NOT_SET, CKR_USER_PIN_NOT_INITIALIZED},
    {VS_RETAINED, CKR_ACTION_PROHIBITED},
    {VS_HELD, CKR_ACTION_PROHIBITED},
    {VS_LOCKED, CKR_TOKEN_WRITE_PROTECTED},
    {VS_DENIED, CKR_USER_NOT_LOGGED_IN},
    {VS_WRONG_STATE, CKR_ACTION_PROHIBITED},
    {VS_POLICY, CKR_ARGUMENTS_BAD},
    {VS_REVOKED, CKR_USER_NOT_LOGGED_IN},
    {VS_PENDING, CKR_ACTION_PROHIBITED},
    {VS_NAME_RESERVED, CKR_TEMPLATE_INCONSISTENT},
    {VS_E_NOMEM, CKR_HOST_MEMORY},
    {VS_E_FULL, CKR_DEVICE_MEMORY},
    {VS_E_IO, CKR_DEVICE_ERROR},
    {VS_E_CORRUPT, CKR_DEVICE_ERROR},
    {VS_E_VERSION, CKR_GENERAL_ERROR},
    {VS_E_PERM, CKR_GENERAL_ERROR},
    {VS_E_CRYPTO, CKR_FUNCTION_FAILED},
    {VS_E_BUSY, CKR_FUNCTION_FAILED},
};

CK_RV store_status(int status, const char *what)
{
    if (status == VS_OK)
        return CKR_OK;
    CK_RV rv = CKR_GENERAL_ERROR;
    for (size_t i = 0; i < sizeof(STATUS_TABLE) / sizeof(STATUS_TABLE[0]); i++)
        if (STATUS_TABLE[i].status == status)
            rv = STATUS_TABLE[i].rv;
    return trace_fail(rv, "%s: %s", what, vs_status_name(status));
}
