/*
 * module_state.h: the only globals. They live in a page that the kernel zeroes in a forked child
 * (MADV_WIPEONFORK), so a child sees a module that is not initialised, with unlocked locks, at the
 * cost of one memory read a call, and starts afresh.
 */
#ifndef MODULE_STATE_H
#define MODULE_STATE_H
#include <pthread.h>
#include <sys/types.h>
#include "config.h"
#include "flusher.h"
#include "handle.h"
#include "use.h"

/* What is in that page. */
struct module_root {
    _Atomic bool open;               /* calls may begin */
    struct module_state *_Atomic state;  /* stays until those that have begun are through */
    pthread_mutex_t lock;            /* C_Initialize and C_Finalize, one at a time */
    _Atomic int trace_fd;            /* descriptor + 1; 0: none */
    pid_t pid;                       /* where the kernel cannot wipe: whose page this is; else 0 */
    struct { _Alignas(64) _Atomic unsigned calls; } in_flight[64];
};
/* NULL before the first C_Initialize. */
struct module_root *module_root(void);

struct module_state {
    struct config config;
    struct vs_store *store;
    struct handle_table *handles;
    struct session_pool *sessions;
    struct slot_table *slots;
    struct parked parked;            /* uses of keys by sessions that have ended */
    struct flusher flusher;          /* writes uses to the log */
    struct module_state *known_before;   /* see module_state.c: those of parent processes */
    _Atomic uint64_t session_ids;    /* random, for session objects' CKA_UNIQUE_ID; 0: none yet */
};
/* For use within a call, where it is never NULL. */
struct module_state *module_state(void);
bool module_is_open(void);
/* How often this process and its parents have started the module: the top bits of handles. */
unsigned module_starts(void);
/* C_Initialize: pReserved, or NULL; no_threads: the module may not start one of its own. */
CK_RV module_start(const char *reserved, bool no_threads);
CK_RV module_stop(void);                    /* C_Finalize */
#endif
