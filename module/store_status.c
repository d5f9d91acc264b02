/* store_status.c: what the store says, in the standard's words. */
#include "slot.h"
#include "trace.h"

static const struct status_row {
    int status;
    CK_RV rv;
    const char *why;             /* what a person can do about it; NULL: the status by its name */
} STATUS_TABLE[] = {
    {VS_NOT_FOUND, CKR_OBJECT_HANDLE_INVALID, NULL},
    {VS_STALE, CKR_FUNCTION_FAILED, NULL},
    {VS_PIN_INCORRECT, CKR_PIN_INCORRECT, NULL},
    {VS_PIN_LOCKED, CKR_PIN_LOCKED,
     "the PIN is locked after as many wrong ones as the policy pin_tries lets pass"},
    {VS_PIN_NOT_SET, CKR_USER_PIN_NOT_INITIALIZED, NULL},
    {VS_RETAINED, CKR_ACTION_PROHIBITED, NULL},
    {VS_HELD, CKR_ACTION_PROHIBITED, "a hold stands: release it first"},
    {VS_LOCKED, CKR_TOKEN_WRITE_PROTECTED, NULL},
    {VS_DENIED, CKR_USER_NOT_LOGGED_IN, "nobody is logged in who may do this"},
    {VS_WRONG_STATE, CKR_ACTION_PROHIBITED, NULL},
    {VS_POLICY, CKR_ARGUMENTS_BAD, NULL},
    {VS_REVOKED, CKR_USER_NOT_LOGGED_IN, NULL},
    {VS_PENDING, CKR_ACTION_PROHIBITED, NULL},
    {VS_NAME_RESERVED, CKR_TEMPLATE_INCONSISTENT,
     "the label is kept for a deleted object until that is purged (policy reserve_names)"},
    {VS_E_NOMEM, CKR_HOST_MEMORY, NULL},
    {VS_E_FULL, CKR_DEVICE_MEMORY, NULL},
    {VS_E_IO, CKR_DEVICE_ERROR, NULL},
    {VS_E_CORRUPT, CKR_DEVICE_ERROR, NULL},
    {VS_E_VERSION, CKR_GENERAL_ERROR, NULL},
    {VS_E_PERM, CKR_GENERAL_ERROR, NULL},
    {VS_E_CRYPTO, CKR_FUNCTION_FAILED, NULL},
    {VS_E_BUSY, CKR_FUNCTION_FAILED, NULL},
};

CK_RV store_status(int status, const char *what)
{
    if (status == VS_OK)
        return CKR_OK;
    CK_RV rv = CKR_GENERAL_ERROR;
    const char *why = NULL;
    for (size_t i = 0; i < sizeof(STATUS_TABLE) / sizeof(STATUS_TABLE[0]); i++)
        if (STATUS_TABLE[i].status == status) {
            rv = STATUS_TABLE[i].rv;
            why = STATUS_TABLE[i].why;
        }
    return trace_fail(rv, "%s: %s", what, why ? why : vs_status_name(status));
}
