/* call.c: begin and end of every call. */
#include "call.h"

#include <stdlib.h>
#include <time.h>

/* What every function may return, whatever its list says. */
static const CK_RV UNIVERSAL[] = {
    CKR_GENERAL_ERROR,           CKR_HOST_MEMORY,   CKR_FUNCTION_FAILED,
    CKR_CRYPTOKI_NOT_INITIALIZED, CKR_ARGUMENTS_BAD, CKR_FUNCTION_NOT_SUPPORTED, CKR_OK};
static const CK_RV DEVICE[] = {CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY, CKR_DEVICE_REMOVED, CKR_OK};
static const CK_RV SESSION[] = {CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED,
                                CKR_OPERATION_ACTIVE, CKR_OK};

static bool list_has(const CK_RV *codes, CK_RV rv)
{
    for (; *codes != CKR_OK; codes++)
        if (*codes == rv)
            return true;
    return false;
}

static bool call_lists(const struct call_row *row, CK_RV rv)
{
    if ((row->groups & GROUP_ANY) || list_has(UNIVERSAL, rv) || list_has(row->codes, rv))
        return true;
    return ((row->groups & GROUP_DEVICE) && list_has(DEVICE, rv)) ||
           ((row->groups & GROUP_SESSION) && list_has(SESSION, rv));
}

CK_RV call_report(enum call_id id, CK_RV rv)
{
    const struct call_row *row = &CALL_TABLE[id];
    if (rv != CKR_OK && !call_lists(row, rv)) {
        trace_note("%s: %s is not listed for it, folded", row->name, trace_rv_name(rv));
        if (secure_getenv("REPRIEVE_FOLD_FATAL"))
            abort();
        rv = CKR_FUNCTION_FAILED;
    }
    trace_call(row->name, rv);
    return rv;
}

static CK_RV call_enter(struct call *call, enum call_id id, CK_SESSION_HANDLE shard)
{
    struct module_root *root = module_root();
    if (!root)
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    size_t n = sizeof(root->in_flight) / sizeof(root->in_flight[0]);
    call->id = id;
    call->session = NULL;
    call->began_ns = 0;
    call->has_gone = false;
    call->in_flight = &root->in_flight[shard % n].calls;
    /* counted before `open` is read, as C_Finalize closes before it reads the count */
    atomic_fetch_add(call->in_flight, 1);
    if (!atomic_load(&root->open)) {
        atomic_fetch_sub(call->in_flight, 1);
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    }
    call->txnid = vs_store_txnid(module_state()->store);
    return CKR_OK;
}

uint64_t call_clock_ns(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

CK_RV call_begin(struct call *call, enum call_id id)
{
    trace_clear();
    return call_enter(call, id, 0);
}

CK_RV call_begin_session(struct call *call, enum call_id id, CK_SESSION_HANDLE handle)
{
    trace_clear();
    TRY(call_enter(call, id, handle));
    struct session *session = session_lock(handle);
    if (!session)
        return call_end(call, trace_fail(CKR_SESSION_HANDLE_INVALID, "no such session"));
    call->session = session;
    struct slot *slot = session->slot;
    if (atomic_load_explicit(&slot->audit_each, memory_order_relaxed))
        call->began_ns = call_clock_ns();
    CK_RV rv = CKR_OK;
    if (atomic_load_explicit(&slot->checked_txnid, memory_order_relaxed) != call->txnid
        || call->txnid == VS_TXNID_UNKNOWN)
        rv = slot_refresh(slot);
    if (rv == CKR_OK && session->warm_epoch != handle_epoch(module_state()->handles))
        warm_drop_retired(session);
    return rv == CKR_OK ? CKR_OK : call_end(call, rv);
}

CK_RV call_end(struct call *call, CK_RV rv)
{
    rv = call_report(call->id, rv);
    if (call->session)
        session_unlock(call->session);
    atomic_fetch_sub_explicit(call->in_flight, 1, memory_order_release);
    return rv;
}
