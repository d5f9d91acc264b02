/*
 * config.h: where the store is and what new vaults get. Sources, first found wins as a whole:
 * the pReserved string of C_Initialize ("store=PATH", further key=value separated by spaces or
 * commas), the file that REPRIEVE_CONF names, the user's ($XDG_CONFIG_HOME or ~/.config)
 * /reprieve/reprieve.conf, /etc/reprieve/reprieve.conf, defaults: /var/lib/reprieve for root,
 * ($XDG_DATA_HOME or ~/.local/share)/reprieve for others. Keys as documented in
 * conf/reprieve.conf. Parsed with libinih; an unknown key or a bad value is an error that names
 * file and line (CKR_ARGUMENTS_BAD for pReserved, CKR_GENERAL_ERROR for files).
 */
#ifndef REPRIEVE_CONFIG_H
#define REPRIEVE_CONFIG_H
#include "cryptoki.h"

struct config {
    char store[4096];
    char host_key[4096];         /* "" : in the store */
    char trace[4096];            /* "" : none; REPRIEVE_TRACE overrides */
    uint32_t audit_sink;         /* enum sink_kind */
    bool spare_always;
    size_t map_size;             /* 0: the store's default */
    struct vs_policy defaults;
    uint32_t retention_max_days; /* what a policy may say */
};
CK_RV config_load(const char *reserved, struct config *ret_config);
#endif
