/*
 * session.c: the pool of sessions. Sessions live in chunks that are never freed before
 * C_Finalize; a handle is an index, its generation and the module's starts, so that a stale one
 * finds nothing.
 */
#include "session.h"

#include <stdlib.h>

#include "module_state.h"
#include "trace.h"

#define INDEX_BITS 16u
#define START_SHIFT 48u
#define CHUNK_SESSIONS 16u
#define CHUNKS ((1u << INDEX_BITS) / CHUNK_SESSIONS)
#define NONE UINT32_MAX

struct session_pool {
    CK_SESSION_HANDLE base;      /* the same in every handle */
    pthread_mutex_t lock;        /* guards free and n_chunks */
    uint32_t free;
    uint32_t n_chunks;
    struct session *_Atomic chunks[CHUNKS];
};

/* ------------------------------------------------------------------ the pool */

CK_RV session_pool_new(struct session_pool **ret_pool)
{
    struct session_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return CKR_HOST_MEMORY;
    pthread_mutex_init(&pool->lock, NULL);
    pool->free = NONE;
    pool->base = (CK_SESSION_HANDLE)(module_starts() - 1) << START_SHIFT;
    *ret_pool = pool;
    return CKR_OK;
}

static struct session *session_at(struct session_pool *pool, uint32_t index)
{
    struct session *chunk = atomic_load_explicit(&pool->chunks[index / CHUNK_SESSIONS],
                                                 memory_order_acquire);
    return chunk ? &chunk[index % CHUNK_SESSIONS] : NULL;
}

static CK_RV pool_grow(struct session_pool *pool)
{
    if (pool->n_chunks == CHUNKS)
        return trace_fail(CKR_SESSION_COUNT, "%u sessions are open", CHUNKS * CHUNK_SESSIONS);
    struct session *chunk = calloc(CHUNK_SESSIONS, sizeof(*chunk));
    if (!chunk)
        return CKR_HOST_MEMORY;
    uint32_t first = pool->n_chunks * CHUNK_SESSIONS;
    for (uint32_t i = 0; i < CHUNK_SESSIONS; i++) {
        pthread_mutex_init(&chunk[i].lock, NULL);
        chunk[i].next_free = i + 1 < CHUNK_SESSIONS ? first + i + 1 : NONE;
    }
    pool->free = first;
    atomic_store_explicit(&pool->chunks[pool->n_chunks++], chunk, memory_order_release);
    return CKR_OK;
}

/* An unused session, locked. */
static CK_RV session_take(struct session_pool *pool, struct session **ret_session)
{
    pthread_mutex_lock(&pool->lock);
    CK_RV rv = pool->free == NONE ? pool_grow(pool) : CKR_OK;
    uint32_t index = pool->free;
    struct session *session = rv == CKR_OK ? session_at(pool, index) : NULL;
    if (session)
        pool->free = session->next_free;
    pthread_mutex_unlock(&pool->lock);
    if (!session)
        return rv;
    pthread_mutex_lock(&session->lock);
    session->generation++;
    session->handle = pool->base | ((CK_SESSION_HANDLE)session->generation << INDEX_BITS) | index;
    *ret_session = session;
    return CKR_OK;
}

/* Of a session that is shut and no longer locked. */
static void session_give(struct session_pool *pool, struct session *session, uint32_t index)
{
    pthread_mutex_lock(&pool->lock);
    session->next_free = pool->free;
    pool->free = index;
    pthread_mutex_unlock(&pool->lock);
}

struct session *session_lock(CK_SESSION_HANDLE handle)
{
    struct session *session = session_at(module_state()->sessions,
                                         (uint32_t)handle & ((1u << INDEX_BITS) - 1));
    if (!session || !handle)
        return NULL;
    pthread_mutex_lock(&session->lock);
    if (session->handle == handle)
        return session;
    pthread_mutex_unlock(&session->lock);
    return NULL;
}

void session_unlock(struct session *session)
{
    pthread_mutex_unlock(&session->lock);
}

/* ------------------------------------------------------------------ open */

static CK_RV session_count(struct slot *slot, bool rw)
{
    CK_RV rv = CKR_OK;
    pthread_mutex_lock(&slot->mutex);
    if (!rw && atomic_load(&slot->role) == LOGIN_SO) {
        rv = trace_fail(CKR_SESSION_READ_WRITE_SO_EXISTS, "the SO is logged in");
    } else {
        slot->sessions++;
        slot->rw_sessions += rw;
    }
    pthread_mutex_unlock(&slot->mutex);
    return rv;
}

/* True when that was the last. */
static bool session_uncount(struct slot *slot, bool rw)
{
    pthread_mutex_lock(&slot->mutex);
    slot->sessions--;
    slot->rw_sessions -= rw;
    bool last = slot->sessions == 0;
    pthread_mutex_unlock(&slot->mutex);
    return last;
}

static CK_RV open_allowed(struct slot *slot, bool rw)
{
    struct vs_vault_info info;
    bool initialized;
    TRY(slot_info(slot, &info, &initialized));
    if (!initialized)
        return trace_fail(CKR_TOKEN_NOT_RECOGNIZED, "the vault is not initialised");
    if (rw && info.read_only)
        return trace_fail(CKR_TOKEN_WRITE_PROTECTED,
                          "the vault is locked, or an older copy: see reprieve doctor");
    return CKR_OK;
}

CK_RV session_open(CK_SLOT_ID id, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
                   CK_SESSION_HANDLE *ret_handle)
{
    bool rw = flags & CKF_RW_SESSION;
    if (!(flags & CKF_SERIAL_SESSION))
        return trace_fail(CKR_SESSION_PARALLEL_NOT_SUPPORTED, "CKF_SERIAL_SESSION is missing");
    if (flags & CKF_ASYNC_SESSION)
        return trace_fail(CKR_SESSION_ASYNC_NOT_SUPPORTED, "no asynchronous sessions");
    struct slot *slot = NULL;
    TRY(slot_get(id, &slot));
    TRY(open_allowed(slot, rw));
    TRY(session_count(slot, rw));
    struct session *session = NULL;
    CK_RV rv = session_take(module_state()->sessions, &session);
    if (rv != CKR_OK) {
        session_uncount(slot, rw);
        return rv;
    }
    session->slot = slot;
    session->flags = flags & (CKF_SERIAL_SESSION | CKF_RW_SESSION);
    session->application = application;
    session->notify = notify;
    session->warm_epoch = handle_epoch(module_state()->handles);
    *ret_handle = session->handle;
    session_unlock(session);
    return CKR_OK;
}

/* ------------------------------------------------------------------ close */

/* Forgets all that a session holds. */
static void session_empty(struct session *session)
{
    operation_end_all(session);
    find_free(session->find);
    session->find = NULL;
    warm_clear(session);
}

/* Closes a locked session. */
static void session_shut(struct module_state *state, struct session *session)
{
    CK_SESSION_HANDLE handle = session->handle;
    struct slot *slot = session->slot;
    bool rw = session_rw(session);
    session_empty(session);
    use_park(session);
    session->handle = 0;
    session->generation++;
    bool spent = session->generation >= UINT32_MAX - 1;   /* a handle is never reused */
    pthread_mutex_unlock(&session->lock);
    handle_sweep_session(state->handles, handle);
    if (!spent)
        session_give(state->sessions, session, (uint32_t)handle & ((1u << INDEX_BITS) - 1));
    bool last = session_uncount(slot, rw);
    use_flush_parked(last);
    if (last && atomic_load(&slot->role) != LOGIN_NONE)
        (void)login_drop(slot);
}

CK_RV session_close(CK_SESSION_HANDLE handle)
{
    struct session *session = session_lock(handle);
    if (!session)
        return trace_fail(CKR_SESSION_HANDLE_INVALID, "no such session");
    session_shut(module_state(), session);
    return CKR_OK;
}

CK_RV session_close_all(CK_SLOT_ID id)
{
    struct module_state *state = module_state();
    struct slot *slot = NULL;
    TRY(slot_get(id, &slot));
    for (uint32_t i = 0; i < CHUNKS * CHUNK_SESSIONS; i++) {
        struct session *session = session_at(state->sessions, i);
        if (!session)
            break;
        pthread_mutex_lock(&session->lock);
        if (session->handle && session->slot == slot)
            session_shut(state, session);
        else
            pthread_mutex_unlock(&session->lock);
    }
    return CKR_OK;
}

void session_forget_keys(struct slot *slot)
{
    struct session_pool *pool = module_state()->sessions;
    for (uint32_t i = 0; i < CHUNKS * CHUNK_SESSIONS; i++) {
        struct session *session = session_at(pool, i);
        if (!session)
            break;
        if (pthread_mutex_trylock(&session->lock) != 0)
            continue;
        if (session->handle && session->slot == slot)
            warm_drop_retired(session);
        pthread_mutex_unlock(&session->lock);
    }
}

static void due_earliest(uint64_t due, uint64_t *next)
{
    if (due && (!*next || due < *next))
        *next = due;
}

#define IN_A_CALL_MS 100u

uint64_t session_flush_uses(void)
{
    struct module_state *state = module_state();
    uint64_t now = use_now_ms(), next = 0;
    for (uint32_t i = 0; i < CHUNKS * CHUNK_SESSIONS; i++) {
        struct session *session = session_at(state->sessions, i);
        if (!session)
            break;
        if (pthread_mutex_trylock(&session->lock) != 0) {
            due_earliest(now + IN_A_CALL_MS, &next);
            continue;
        }
        if (session->handle) {
            due_earliest(use_park_due(session, now), &next);
            if (session->warm_epoch != handle_epoch(state->handles))
                warm_drop_retired(session);   /* session_forget_keys may have met us here */
        }
        pthread_mutex_unlock(&session->lock);
    }
    due_earliest(use_flush_parked(false), &next);
    return next;
}

void session_pool_end_searches(struct session_pool *pool)
{
    for (uint32_t i = 0; i < pool->n_chunks * CHUNK_SESSIONS; i++) {
        struct session *session = session_at(pool, i);
        find_free(session->find);
        session->find = NULL;
    }
}

void session_pool_free(struct session_pool *pool)
{
    if (!pool)
        return;
    for (uint32_t i = 0; i < pool->n_chunks * CHUNK_SESSIONS; i++) {
        struct session *session = session_at(pool, i);
        session_empty(session);
        use_park(session);
        pthread_mutex_destroy(&session->lock);
    }
    for (uint32_t i = 0; i < pool->n_chunks; i++)
        free(pool->chunks[i]);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* ------------------------------------------------------------------ state */

bool session_rw(const struct session *session)
{
    return session->flags & CKF_RW_SESSION;
}

CK_STATE session_state(const struct session *session)
{
    static const CK_STATE STATES[3][2] = {
        [LOGIN_NONE] = {CKS_RO_PUBLIC_SESSION, CKS_RW_PUBLIC_SESSION},
        [LOGIN_SO] = {CKS_RW_SO_FUNCTIONS, CKS_RW_SO_FUNCTIONS},
        [LOGIN_USER] = {CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS},
    };
    return STATES[atomic_load(&session->slot->role)][session_rw(session)];
}
