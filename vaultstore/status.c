#include "vaultstore.h"

static const struct {
    int status;
    const char *name;
} status_names[] = {
    {VS_OK, "ok"},
    {VS_NOT_FOUND, "not found"},
    {VS_STALE, "stale"},
    {VS_PIN_INCORRECT, "PIN incorrect"},
    {VS_PIN_LOCKED, "PIN locked"},
    {VS_PIN_NOT_SET, "PIN not set"},
    {VS_RETAINED, "retained"},
    {VS_HELD, "held"},
    {VS_LOCKED, "locked"},
    {VS_DENIED, "denied"},
    {VS_WRONG_STATE, "wrong state"},
    {VS_POLICY, "against policy"},
    {VS_REVOKED, "revoked"},
    {VS_END, "end"},
    {VS_NAME_RESERVED, "name reserved"},
    {VS_PENDING, "more approvals needed"},
    {VS_E_NOMEM, "out of memory"},
    {VS_E_FULL, "device full"},
    {VS_E_IO, "input/output error"},
    {VS_E_CORRUPT, "corrupt"},
    {VS_E_VERSION, "format too new"},
    {VS_E_PERM, "permission"},
    {VS_E_CRYPTO, "crypto failed"},
    {VS_E_BUSY, "busy"},
};

const char *vs_status_name(int status)
{
    for (size_t i = 0; i < sizeof(status_names) / sizeof(status_names[0]); i++)
        if (status_names[i].status == status)
            return status_names[i].name;
    return "unknown status";
}
