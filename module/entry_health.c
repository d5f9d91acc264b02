/* entry_health.c: the vendor interface's functions on the store as a whole, and on many objects. */
#include <inttypes.h>
#include <stdio.h>

#include "vendor.h"

/* ------------------------------------------------------------------ health */

#define DAY 86400
#define CHECKS_MAX 8

struct checks {
    struct RPV_CHECK rows[CHECKS_MAX];
    size_t n;
};

static void __attribute__((format(printf, 4, 5)))
check_add(struct checks *checks, const char *name, CK_ULONG verdict, const char *format, ...)
{
    struct RPV_CHECK *row = &checks->rows[checks->n++];
    va_list args;
    *row = (struct RPV_CHECK){.ulVerdict = verdict};
    snprintf(row->name, sizeof(row->name), "%s", name);
    va_start(args, format);
    vsnprintf(row->detail, sizeof(row->detail), format, args);
    va_end(args);
}

static void check_head(struct checks *checks, const struct vs_health *health)
{
    if (health->head == VS_HEAD_ROLLED_BACK)
        check_add(checks, "head", RPV_VERDICT_BAD,
                  "an older copy of the store was put back: its log has not the event %" PRIu64
                  " that host.head knows (it ends at %" PRIu64 "). It is write-protected until an "
                  "SO accepts it as it is", health->head_seq, health->audit_seq);
    else if (health->head == VS_HEAD_NONE)
        check_add(checks, "head", RPV_VERDICT_WARNING,
                  "none can be kept beside the host key: an older copy would not be noticed");
    else
        check_add(checks, "head", RPV_VERDICT_OK, "host.head knows event %" PRIu64,
                  health->head_seq);
}

static void check_objects(struct checks *checks, const struct vs_health *health)
{
    CK_ULONG verdict = health->unreadable || health->astray ? RPV_VERDICT_BAD
                     : health->keyless ? RPV_VERDICT_WARNING : RPV_VERDICT_OK;
    check_add(checks, "objects", verdict, "%" PRIu64 ", of which %" PRIu64
              " do not authenticate, %" PRIu64 " are under a lost vault key and %" PRIu64 " have lost "
              "their slot (purged since, where an older copy was put back)", health->objects,
              health->unreadable, health->astray, health->keyless);
}

static void check_clock(struct checks *checks, const struct vs_health *health)
{
    int64_t ahead = health->now - health->wall;
    bool off = ahead > DAY || ahead < -DAY;
    if (health->clock_jump)
        check_add(checks, "clock", RPV_VERDICT_WARNING, "%s: %" PRId64 " s since the last change",
                  health->clock_jump, health->clock_jump_by);
    else
        check_add(checks, "clock", off ? RPV_VERDICT_WARNING : RPV_VERDICT_OK,
                  "the vault clock is %" PRId64 " s %s the wall clock, the strict clock %" PRId64
                  " s behind the vault clock", ahead < 0 ? -ahead : ahead,
                  ahead < 0 ? "behind" : "ahead of", health->now - health->strict);
}

static void checks_make(struct checks *checks, const struct vs_health *health)
{
    *checks = (struct checks){.n = 0};
    check_add(checks, "permissions", RPV_VERDICT_OK,
              "nobody but the owner can write the store's files");
    check_add(checks, "format", RPV_VERDICT_OK, "%u", VS_FORMAT);
    if (health->audit_bad)
        check_add(checks, "chain", RPV_VERDICT_BAD, "event %" PRIu64 " does not fit the chain: it, "
                  "or one before it, was edited or cut out", health->audit_bad);
    else
        check_add(checks, "chain", RPV_VERDICT_OK, "%" PRIu64 " events", health->audit_seq);
    check_head(checks, health);
    check_objects(checks, health);
    check_add(checks, "pending", health->pending ? RPV_VERDICT_NOTE : RPV_VERDICT_OK,
              "%" PRIu64 " purged whose slot is to be overwritten; a sweep does it",
              health->pending);
    check_add(checks, "due", health->due ? RPV_VERDICT_NOTE : RPV_VERDICT_OK,
              "%" PRIu64 " at their purge date and gone for every reader; a sweep clears those "
              "that no hold keeps", health->due);
    check_clock(checks, health);
}

struct check_call { RPV_PROGRESS notify; void *application; };

static int check_progress(void *ctx, const struct vs_progress *progress)
{
    const struct check_call *call = ctx;
    struct RPV_PROGRESS_INFO out = {.done = progress->done, .total = progress->total,
                                    .ulClass = CK_UNAVAILABLE_INFORMATION, .result = "ok"};
    return call->notify(call->application, &out) != CKR_OK;
}

static CK_RV check_store(struct check_call *call, struct RPV_CHECK *out, CK_ULONG *count)
{
    struct vs_health health;
    struct checks checks;
    bool fill;
    TRY(arguments_out(count));
    if (!out) {
        *count = CHECKS_MAX;
        return CKR_OK;
    }
    int status = vs_store_health_told(module_state()->store,
                                      call->notify ? check_progress : NULL, call, &health);
    if (status == VS_END)
        return trace_fail(CKR_FUNCTION_CANCELED, "health: stopped by the application");
    TRY(store_status(status, "health"));
    checks_make(&checks, &health);
    TRY(array_room(out, count, checks.n, &fill));
    for (size_t i = 0; i < checks.n; i++)
        out[i] = checks.rows[i];
    return CKR_OK;
}

CK_RV RPV_CheckStore(struct RPV_CHECK *pChecks, CK_ULONG *pulCount)
{
    CALL(RPV_CheckStore);
    struct check_call ask = {.notify = NULL};
    return call_end(&call, check_store(&ask, pChecks, pulCount));
}

CK_RV RPV_CheckStoreNotify(struct RPV_CHECK *pChecks, CK_ULONG *pulCount, RPV_PROGRESS Notify,
                           void *pApplication)
{
    CALL(RPV_CheckStoreNotify);
    struct check_call ask = {.notify = Notify, .application = pApplication};
    return call_end(&call, check_store(&ask, pChecks, pulCount));
}

/* ------------------------------------------------------------------ an older copy */

static CK_RV accept_rollback(CK_SLOT_ID id, const uint8_t *pin, CK_ULONG pin_len)
{
    struct slot *slot = NULL;
    if (!pin)
        return trace_fail(CKR_ARGUMENTS_BAD, "pPin is NULL");
    TRY(slot_get(id, &slot));
    int status = vs_rollback_accept(module_state()->store, (uint32_t)id, pin, pin_len);
    if (status == VS_WRONG_STATE)
        return trace_fail(CKR_ARGUMENTS_BAD, "the store is no older copy: nothing to accept");
    if (status == VS_NOT_FOUND)
        return trace_fail(CKR_TOKEN_NOT_RECOGNIZED, "no vault in slot %lu", id);
    return store_status(status, "acceptance of an older copy");
}

CK_RV RPV_AcceptRollback(CK_SLOT_ID slotID, CK_UTF8CHAR *pPin, CK_ULONG ulPinLen)
{
    CALL(RPV_AcceptRollback);
    return call_end(&call, accept_rollback(slotID, pPin, ulPinLen));
}

/* ------------------------------------------------------------------ many objects */

static CK_RV recover_all(struct session *session, CK_ULONG limit, CK_ULONG *recovered)
{
    struct slot *slot = session->slot;
    size_t n = 0;
    TRY(arguments_out(recovered));
    if (!session_rw(session))
        return trace_fail(CKR_SESSION_READ_ONLY, "a read-only session");
    pthread_rwlock_rdlock(&slot->lock);
    int status = vs_object_recover_all(module_state()->store, (uint32_t)slot->id, slot->login,
                                       limit, &n);
    pthread_rwlock_unlock(&slot->lock);
    TRY(store_status(status, "recovery of all"));
    *recovered = n;
    return CKR_OK;
}

CK_RV RPV_RecoverAll(CK_SESSION_HANDLE hSession, CK_ULONG ulLimit, CK_ULONG *pulRecovered)
{
    CALL_SESSION(RPV_RecoverAll, hSession);
    return call_end(&call, recover_all(call.session, ulLimit, pulRecovered));
}
