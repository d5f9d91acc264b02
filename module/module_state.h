/*
 * module_state.h: the only globals. They live in a page that the kernel zeroes in a forked child
 * (MADV_WIPEONFORK), so a child sees a module that is not initialised, with unlocked locks, at the
 * cost of one memory read a call, and starts afresh.
 */
#ifndef MODULE_STATE_H
#define MODULE_STATE_H
#include "config.h"
#include "handle.h"

struct module_state {
    struct config config;
    struct vs_store *store;
    struct handle_table *handles;
    struct session_pool *sessions;
    struct slot_table *slots;
};
/* NULL when not initialised in this process. */
struct module_state *module_state(void);
CK_RV module_start(const char *reserved);   /* C_Initialize: pReserved, or NULL */
CK_RV module_stop(void);                    /* C_Finalize */
#endif
