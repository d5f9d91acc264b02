/* entry_govern.c: the vendor interface's functions on holds, locks and tombstones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vendor.h"

/* ------------------------------------------------------------------ hold, lock */

struct govern_call {
    uint32_t generation;
    bool holds;                  /* else it locks */
    bool hold;
    uint32_t lock;
};

static int govern_run(struct vs_store *store, struct vs_login *login,
                      const struct govern_call *govern)
{
    return govern->holds ? vs_generation_hold(store, login, govern->generation, govern->hold)
                         : vs_generation_lock(store, login, govern->generation, govern->lock);
}

static int govern_by_pin(struct vs_store *store, uint32_t vault, const uint8_t *pin, size_t len,
                         const struct govern_call *govern)
{
    struct vs_login *login = NULL;
    int status = vs_login(store, vault, VS_ROLE_SO, pin, len, &login);
    if (status == VS_OK)
        status = govern_run(store, login, govern);
    vs_logout(login);
    return status;
}

static int govern_by_login(struct slot *slot, const struct govern_call *govern)
{
    pthread_rwlock_rdlock(&slot->lock);
    int status = slot->login ? govern_run(module_state()->store, slot->login, govern)
                             : VS_REVOKED;
    pthread_rwlock_unlock(&slot->lock);
    return status;
}

static CK_RV govern(CK_SLOT_ID id, CK_ULONG generation, struct govern_call *govern,
                    const uint8_t *pin, CK_ULONG pin_len)
{
    struct slot *slot = NULL;
    struct vs_vault_info info;
    bool initialized;
    TRY(slot_get(id, &slot));
    TRY(slot_info(slot, &info, &initialized));
    if (!initialized)
        return trace_fail(CKR_TOKEN_NOT_RECOGNIZED, "no vault in slot %lu", id);
    if (generation > UINT32_MAX)
        return trace_fail(CKR_ARGUMENTS_BAD, "no such generation");
    govern->generation = (uint32_t)generation;
    int status = pin ? govern_by_pin(module_state()->store, (uint32_t)id, pin, pin_len, govern)
                     : govern_by_login(slot, govern);
    if (status == VS_NOT_FOUND)
        return trace_fail(CKR_ARGUMENTS_BAD, "no such generation");
    if (status == VS_DENIED)
        return trace_fail(CKR_ACTION_PROHIBITED, "who is logged in lacks the verb %s",
                          trace_verb_names(govern->holds ? VS_VERB_HOLD : VS_VERB_LOCK));
    return store_status(status, govern->holds ? "hold" : "lock");
}

CK_RV RPV_SetHold(CK_SLOT_ID slotID, CK_ULONG ulGeneration, CK_BBOOL bHold, CK_UTF8CHAR *pPin,
                  CK_ULONG ulPinLen)
{
    CALL(RPV_SetHold);
    struct govern_call hold = {.holds = true, .hold = bHold != CK_FALSE};
    return call_end(&call, govern(slotID, ulGeneration, &hold, pPin, ulPinLen));
}

CK_RV RPV_SetLock(CK_SLOT_ID slotID, CK_ULONG ulGeneration, CK_ULONG ulLock, CK_UTF8CHAR *pPin,
                  CK_ULONG ulPinLen)
{
    CALL(RPV_SetLock);
    struct govern_call lock = {.lock = ulLock > 2 ? UINT32_MAX : (uint32_t)ulLock};
    return call_end(&call, govern(slotID, ulGeneration, &lock, pPin, ulPinLen));
}

/* ------------------------------------------------------------------ tombstones */

static struct RPV_TOMBSTONE tombstone_out(const struct vs_tombstone *in)
{
    struct RPV_TOMBSTONE out = {
        .ulGeneration = in->generation,
        .objectClass = in->kind,
        .deletedAt = in->deleted_at,
        .purgedAt = in->purged_at,
    };
    for (size_t i = 0; i < sizeof(in->id.b); i++)
        snprintf(out.uniqueId + 2 * i, 3, "%02x", in->id.b[i]);
    memcpy(out.deletedBy, in->deleted_by, sizeof(out.deletedBy));
    memcpy(out.purgedBy, in->purged_by, sizeof(out.purgedBy));
    memcpy(out.reason, in->reason, sizeof(out.reason));
    memcpy(out.label, in->label, sizeof(out.label));
    return out;
}

static CK_RV list_tombstones(CK_SLOT_ID id, struct RPV_TOMBSTONE *out, CK_ULONG *count)
{
    struct slot *slot = NULL;
    TRY(arguments_out(count));
    TRY(slot_get(id, &slot));
    size_t cap = out ? *count : 0, n = 0;
    bool fill = false;
    struct vs_tombstone *list = NULL;
    TRY(array_alloc(out, *count, sizeof(*out), sizeof(*list), &list));
    CK_RV rv = store_status(vs_tombstone_list(module_state()->store, (uint32_t)id, list, cap, &n),
                            "list of tombstones");
    if (rv == CKR_OK)
        rv = array_room(out, count, n, &fill);
    for (size_t i = 0; rv == CKR_OK && fill && i < n; i++)
        out[i] = tombstone_out(&list[i]);
    free(list);
    return rv;
}

CK_RV RPV_ListTombstones(CK_SLOT_ID slotID, struct RPV_TOMBSTONE *pTombstones, CK_ULONG *pulCount)
{
    CALL(RPV_ListTombstones);
    return call_end(&call, list_tombstones(slotID, pTombstones, pulCount));
}

/* ------------------------------------------------------------------ approvals */

static struct RPV_APPROVAL approval_out(const struct vs_approval *in)
{
    struct RPV_APPROVAL out = {.at = in->at, .until = in->until, .ulWanted = in->wanted};
    for (size_t i = 0; i < sizeof(in->id.b); i++)
        snprintf(out.uniqueId + 2 * i, 3, "%02x", in->id.b[i]);
    memcpy(out.principal, in->who, sizeof(out.principal));
    return out;
}

static CK_RV list_approvals(CK_SLOT_ID id, struct RPV_APPROVAL *out, CK_ULONG *count)
{
    struct slot *slot = NULL;
    TRY(arguments_out(count));
    TRY(slot_get(id, &slot));
    size_t cap = out ? *count : 0, n = 0;
    bool fill = false;
    struct vs_approval *list = NULL;
    TRY(array_alloc(out, *count, sizeof(*out), sizeof(*list), &list));
    CK_RV rv = store_status(vs_approval_list(module_state()->store, (uint32_t)id, list, cap, &n),
                            "list of approvals");
    if (rv == CKR_OK)
        rv = array_room(out, count, n, &fill);
    for (size_t i = 0; rv == CKR_OK && fill && i < n; i++)
        out[i] = approval_out(&list[i]);
    free(list);
    return rv;
}

CK_RV RPV_ListApprovals(CK_SLOT_ID slotID, struct RPV_APPROVAL *pApprovals, CK_ULONG *pulCount)
{
    CALL(RPV_ListApprovals);
    return call_end(&call, list_approvals(slotID, pApprovals, pulCount));
}
