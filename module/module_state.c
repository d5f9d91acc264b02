/* module_state.c: start and stop of the module in this process. */
#include "attr_table.h"
#include "module_state.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "ossl.h"
#include "session.h"
#include "sink.h"
#include "trace.h"

/* The one global: everything else hangs off the page it points to. */
static struct module_root *_Atomic root_page;
/* The states made in this process and, in a child, its parents': those are never touched, as is one
 * abandoned at exit. Lost on purpose, which leak checkers should not take for a mistake. */
static struct module_state *_Atomic known_states;
/* Survives C_Finalize and fork, so that handles from before mean nothing after. */
static _Atomic unsigned starts;

static struct module_root *root_map(void)
{
    void *page = mmap(NULL, sizeof(struct module_root), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    struct module_root *root = page;
    if (madvise(page, sizeof(struct module_root), MADV_WIPEONFORK) != 0)
        root->pid = getpid();
    return root;
}

/* Where the kernel does not wipe the page, the child does, at its first call. */
static struct module_root *root_of_this_process(struct module_root *root)
{
    if (root && root->pid && root->pid != getpid()) {
        memset(root, 0, sizeof(*root));
        root->pid = getpid();
    }
    return root;
}

struct module_root *module_root(void)
{
    return root_of_this_process(atomic_load_explicit(&root_page, memory_order_acquire));
}

static struct module_root *root_make(void)
{
    struct module_root *root = module_root();
    if (root)
        return root;
    struct module_root *fresh = root_map();
    if (!fresh)
        return NULL;
    if (atomic_compare_exchange_strong(&root_page, &root, fresh))
        return fresh;
    munmap(fresh, sizeof(*fresh));
    return root;
}

struct module_state *module_state(void)
{
    struct module_root *root = module_root();
    return root ? atomic_load(&root->state) : NULL;
}

unsigned module_starts(void)
{
    return atomic_load(&starts);
}

bool module_is_open(void)
{
    struct module_root *root = module_root();
    return root && atomic_load(&root->open);
}

static void state_free(struct module_state *state)
{
    if (!state)
        return;
    session_pool_free(state->sessions);
    if (state->store)
        use_flush_parked(true);
    use_parked_done(&state->parked);
    slot_table_free(state->slots);
    handle_table_free(state->handles);
    vs_store_close(state->store);
    free(state);
}

/* When the host finalises from its own exit handler OpenSSL may have gone: what holds its contexts,
 * in the store too, is left to the end of the process, which is near. Only the logins go; and not
 * even they, nor the root's pointer, while a write of our thread stands still. */
static void state_abandon(struct module_root *root, struct module_state *state)
{
    if (!flusher_leave(&state->flusher))
        return;
    session_pool_end_searches(state->sessions);
    slot_table_free(state->slots);
    atomic_store(&root->state, NULL);
}

static CK_RV store_open(struct module_state *state)
{
    struct vs_options options = {
        .path = state->config.store,
        .host_key_path = state->config.host_key[0] ? state->config.host_key : NULL,
        .map_size = state->config.map_size,
        .defaults = state->config.defaults,
        .retention_max_days = state->config.retention_max_days,
        .name_index = INDEX_LABEL,
        .trace = trace_store,
        .on_event = sink_of(state->config.audit_sink),
        .terms = object_terms_each,
    };
    int status = vs_store_open(&options, &state->store);
    if (status == VS_OK)
        return CKR_OK;
    /* C_Initialize has no code for the many ways a store can be out of reach */
    return trace_fail(status == VS_E_NOMEM ? CKR_HOST_MEMORY : CKR_GENERAL_ERROR,
                      "the store %s cannot be opened: %s", state->config.store,
                      vs_status_name(status));
}

static CK_RV state_start(struct module_state *state, const char *reserved, bool no_threads)
{
    const char *trace = secure_getenv("REPRIEVE_TRACE");
    trace_open(trace);
    TRY(config_load(reserved, &state->config));
    if (!trace)
        trace_open(state->config.trace);
    use_parked_init(&state->parked);
    flusher_init(&state->flusher, no_threads);
    TRY(slot_table_new(&state->slots));
    TRY(handle_table_new(&state->handles));
    TRY(session_pool_new(&state->sessions));
    return store_open(state);
}

static CK_RV start_locked(struct module_root *root, const char *reserved, bool no_threads)
{
    if (atomic_load(&root->state))
        return trace_fail(CKR_CRYPTOKI_ALREADY_INITIALIZED, "initialised before");
    struct module_state *state = calloc(1, sizeof(*state));
    if (!state)
        return CKR_HOST_MEMORY;
    atomic_fetch_add(&starts, 1);
    CK_RV rv = ossl_start();
    if (rv == CKR_OK) {
        rv = state_start(state, reserved, no_threads);
        if (rv == CKR_OK) {
            state->known_before = atomic_load(&known_states);
            atomic_store(&known_states, state);
            atomic_store(&root->state, state);
            atomic_store(&root->open, true);
            return CKR_OK;
        }
        state_free(state);   /* the trace stays open: it is told of the failure */
        ossl_stop();
    } else {
        free(state);
    }
    return rv;
}

CK_RV module_start(const char *reserved, bool no_threads)
{
    struct module_root *root = root_make();
    if (!root)
        return CKR_HOST_MEMORY;
    pthread_mutex_lock(&root->lock);
    CK_RV rv = start_locked(root, reserved, no_threads);
    pthread_mutex_unlock(&root->lock);
    return rv;
}

/* Calls that began before the module was closed to new ones. */
static void calls_wait(struct module_root *root)
{
    for (size_t i = 0; i < sizeof(root->in_flight) / sizeof(root->in_flight[0]); i++)
        for (unsigned spins = 0; atomic_load(&root->in_flight[i].calls) != 0; spins++) {
            if (spins < 100)
                sched_yield();
            else
                nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        }
}

static void stop_locked(struct module_root *root)
{
    struct module_state *state = atomic_load(&root->state);
    calls_wait(root);
    if (OPENSSL_init_crypto(0, NULL) == 1) {
        flusher_stop(&state->flusher);
        atomic_store(&known_states, state->known_before);
        state_free(state);
        atomic_store(&root->state, NULL);
    } else {
        state_abandon(root, state);
    }
    ossl_stop();
}

CK_RV module_stop(void)
{
    struct module_root *root = module_root();
    if (!root)
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    pthread_mutex_lock(&root->lock);
    bool was_open = atomic_exchange(&root->open, false);
    if (was_open)
        stop_locked(root);
    pthread_mutex_unlock(&root->lock);
    return was_open ? CKR_OK : CKR_CRYPTOKI_NOT_INITIALIZED;
}
