/* entry_audit.c: the vendor interface's functions on the event log. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attr.h"
#include "text.h"
#include "vendor.h"
#include "vendor_audit.h"

#define EVENTS_AT_ONCE 64u

const char *event_result(const struct vs_event *event)
{
    if (event->code)
        return trace_rv_name(event->code);
    return event->result == VS_OK ? "ok" : vs_status_name(event->result);
}

/* ------------------------------------------------------------------ who may see what */

/* The vaults whose events are kept from the caller. What belongs to no vault is for all. */
struct audit_view { uint32_t *hidden; size_t n; CK_RV why; };

static void audit_view_auto(struct audit_view *view)
{
    free(view->hidden);
}

/* *ret_why: CKR_OK, the caller sees all that happened in the vault; else why not. */
static CK_RV vault_shown(uint32_t vault, CK_RV *ret_why)
{
    struct slot *slot = NULL;
    struct vs_vault_info info;
    TRY(slot_get(vault, &slot));
    TRY(slot_info(slot, &info, NULL));
    pthread_rwlock_rdlock(&slot->lock);
    bool bound = info.policy.private_audit || (slot->login && vs_login_name(slot->login)[0]);
    int status = !bound ? VS_OK
                 : slot->login
                     ? vs_login_may(module_state()->store, slot->login, NULL, VS_VERB_AUDIT)
                     : VS_DENIED;
    *ret_why = status == VS_OK ? CKR_OK
               : slot->login   ? CKR_ACTION_PROHIBITED
                               : CKR_USER_NOT_LOGGED_IN;
    pthread_rwlock_unlock(&slot->lock);
    return status == VS_DENIED || status == VS_REVOKED ? CKR_OK : store_status(status, "audit");
}

static CK_RV vaults_list(uint32_t **ret_vaults, size_t *ret_n)
{
    uint32_t *vaults = NULL;
    size_t cap = 0, n = 0;
    do {
        free(vaults);
        cap = n + 8;
        vaults = calloc(cap, sizeof(*vaults));
        if (!vaults)
            return CKR_HOST_MEMORY;
        CK_RV rv = store_status(vs_vault_list(module_state()->store, vaults, cap, &n), "audit");
        if (rv != CKR_OK) {
            free(vaults);
            return rv;
        }
    } while (n > cap);
    *ret_vaults = vaults;
    *ret_n = n;
    return CKR_OK;
}

static bool is_hidden(const struct audit_view *view, uint32_t vault)
{
    for (size_t i = 0; i < view->n; i++)
        if (view->hidden[i] == vault)
            return true;
    return false;
}

static CK_RV view_refuse(CK_RV why)
{
    return trace_fail(why, why == CKR_USER_NOT_LOGGED_IN
                               ? "the policy private_audit shows events to those only who log in "
                                 "and have the verb audit"
                               : "who is logged in lacks the verb audit");
}

/* slot: whose events are asked for, or CK_UNAVAILABLE_INFORMATION for all; the other vaults are of
 * no matter. Fails when nothing would be left. */
static CK_RV view_make(CK_SLOT_ID slot, struct audit_view *view)
{
    size_t n = 0, asked = 0;
    TRY(vaults_list(&view->hidden, &n));
    for (size_t i = 0; i < n; i++) {
        CK_RV why = CKR_OK;
        if (slot != CK_UNAVAILABLE_INFORMATION && slot != view->hidden[i])
            continue;
        asked++;
        TRY(vault_shown(view->hidden[i], &why));
        if (why == CKR_OK)
            continue;
        view->why = why;
        view->hidden[view->n++] = view->hidden[i];
    }
    return view->n > 0 && view->n == asked ? view_refuse(view->why) : CKR_OK;
}

static bool event_shown(const struct audit_view *view, const struct vs_event *event)
{
    return event->generation == 0 || !is_hidden(view, event->vault);
}

/* What there is to say of a success. */
static CK_RV view_tell(const struct audit_view *view)
{
    if (view->n == 0)
        return CKR_OK;
    return trace_fail(CKR_OK, "the events of %zu vaults are left out: they take the verb audit there",
                      view->n);
}

/* ------------------------------------------------------------------ in order */

static struct RPV_EVENT event_out(const struct vs_event *event)
{
    struct RPV_EVENT out = {
        .seq = event->seq,
        .time = event->time,
        .slotID = event->vault,
        .ulGeneration = event->generation,
        .uid = event->uid,
        .pid = event->pid,
    };
    memcpy(out.operation, event->operation, sizeof(out.operation));
    snprintf(out.result, sizeof(out.result), "%s",
             event->result == VS_OK ? "ok" : vs_status_name(event->result));
    memcpy(out.principal, event->principal, sizeof(out.principal));
    memcpy(out.exe, event->exe, sizeof(out.exe));
    memcpy(out.detail, event->detail, sizeof(out.detail));
    if (event->has_id)
        text_hex(out.uniqueId, event->id.b, sizeof(event->id.b));
    text_hex(out.hash, event->hash, sizeof(event->hash));
    return out;
}

static CK_RV read_audit(unsigned long long from, struct RPV_EVENT *out, CK_ULONG *count)
{
    AUTO(audit_view) struct audit_view view = {.hidden = NULL};
    TRY(arguments_out(count));
    TRY(arguments_in(out, *count));
    TRY(view_make(CK_UNAVAILABLE_INFORMATION, &view));
    CK_ULONG cap = *count, done = 0;
    while (done < cap) {
        struct vs_event events[EVENTS_AT_ONCE];
        size_t want = cap - done < EVENTS_AT_ONCE ? cap - done : EVENTS_AT_ONCE, n = 0;
        int status = vs_audit_read(module_state()->store, from, events, want, &n);
        if (status != VS_END)
            TRY(store_status(status, "audit"));
        if (status == VS_END || n == 0)
            break;
        for (size_t i = 0; i < n; i++)
            if (event_shown(&view, &events[i]))
                out[done++] = event_out(&events[i]);
        from = events[n - 1].seq + 1;
    }
    *count = done;
    return view_tell(&view);
}

CK_RV RPV_ReadAudit(unsigned long long from, struct RPV_EVENT *pEvents, CK_ULONG *pulCount)
{
    CALL(RPV_ReadAudit);
    return call_end(&call, read_audit(from, pEvents, pulCount));
}

/* ------------------------------------------------------------------ labels */

/* Of the object looked at last: events of one key come in rows. */
struct label_cache {
    struct vs_id id;
    bool known;
    char label[256];
};

static void label_of(const uint8_t *attrs, size_t len, char ret_label[256])
{
    struct attr_set *set = NULL;
    if (object_decode(attrs, len, &set) != CKR_OK)
        return;
    const struct attr *label = attr_set_find(set, CKA_LABEL);
    if (label && label->len < 256) {
        memcpy(ret_label, label->value, label->len);
        ret_label[label->len] = 0;
    }
    attr_set_free(set);
}

/* A private object's label is told to those alone who could read it, so it is not in the log. */
static const char *label_find(struct label_cache *cache, const struct vs_event *event)
{
    if (cache->known && memcmp(&cache->id, &event->id, sizeof(event->id)) == 0)
        return cache->label;
    struct slot *slot = NULL;
    struct vs_object object = {.attrs = NULL};
    cache->id = event->id;
    cache->known = true;
    cache->label[0] = 0;
    if (slot_get(event->vault, &slot) == CKR_OK) {
        pthread_rwlock_rdlock(&slot->lock);
        int status = vs_object_read(module_state()->store, event->vault, slot->login, &event->id,
                                    &object);
        pthread_rwlock_unlock(&slot->lock);
        if (status == VS_OK) {
            label_of(object.attrs, object.attrs_len, cache->label);
            vs_object_done(&object);
        }
    }
    trace_clear();
    return cache->label;
}

static void record_out(const struct vs_event *event, struct label_cache *cache,
                       struct RPV_AUDIT_RECORD *out)
{
    memset(out, 0, sizeof(*out));
    out->seq = event->seq;
    out->time = event->time;
    out->slotID = event->vault;
    out->ulGeneration = event->generation;
    out->bSuccess = event->result == VS_OK ? CK_TRUE : CK_FALSE;
    memcpy(out->operation, event->operation, sizeof(out->operation));
    snprintf(out->result, sizeof(out->result), "%s", event_result(event));
    memcpy(out->detail, event->detail, sizeof(out->detail));
    out->durationUs = event->duration_us;
    text_hex(out->correlationId, event->correlation, sizeof(event->correlation));
    memcpy(out->principal, event->principal, sizeof(out->principal));
    out->uid = event->uid;
    out->pid = event->pid;
    memcpy(out->exe, event->exe, sizeof(out->exe));
    out->ulObjectVersion = event->object_version;
    out->ulKeyVersion = event->key_version;
    out->count = event->count;
    out->first = event->first;
    out->last = event->last;
    text_hex(out->hash, event->hash, sizeof(event->hash));
    if (!event->has_id)
        return;
    text_hex(out->uniqueId, event->id.b, sizeof(event->id.b));
    snprintf(out->label, sizeof(out->label), "%s", label_find(cache, event));
}

/* ------------------------------------------------------------------ query */

static bool caller_is(const struct vs_event *event, const char *caller)
{
    char uid[16];
    const char *base = strrchr(event->exe, '/');
    snprintf(uid, sizeof(uid), "%u", event->uid);
    return strcmp(caller, event->principal) == 0 || strcmp(caller, event->exe) == 0 ||
           (base && strcmp(caller, base + 1) == 0) || strcmp(caller, uid) == 0;
}

static bool result_is(const struct vs_event *event, const char *result)
{
    if (strcmp(result, "failed") == 0)
        return event->result != VS_OK;
    return strcmp(result, event_result(event)) == 0;
}

struct wanted { struct RPV_AUDIT_QUERY query; struct audit_view view; };

static bool event_wanted(const struct vs_event *event, void *ctx)
{
    const struct wanted *wanted = ctx;
    const struct RPV_AUDIT_QUERY *query = &wanted->query;
    return event_shown(&wanted->view, event) && (query->slotID == CK_UNAVAILABLE_INFORMATION || query->slotID == event->vault) &&
           (!query->operation || fnmatch(query->operation, event->operation, 0) == 0) &&
           (!query->caller || caller_is(event, query->caller)) &&
           (!query->result || result_is(event, query->result));
}

static CK_RV query_pages(struct vs_audit_query *query, struct RPV_AUDIT_RECORD *out, CK_ULONG cap,
                         CK_ULONG *ret_n, unsigned long long *ret_next)
{
    struct vs_event *events = calloc(EVENTS_AT_ONCE, sizeof(*events));
    struct label_cache cache = {.known = false};
    CK_RV rv = events ? CKR_OK : CKR_HOST_MEMORY;
    uint64_t next = query->from;
    CK_ULONG done = 0;
    do {
        size_t want = cap - done < EVENTS_AT_ONCE ? cap - done : EVENTS_AT_ONCE, n = 0;
        query->from = next;
        if (rv == CKR_OK)
            rv = store_status(vs_audit_query(module_state()->store, query, events, want, &n,
                                             &next),
                              "audit");
        for (size_t i = 0; rv == CKR_OK && i < n; i++)
            record_out(&events[i], &cache, &out[done++]);
    } while (rv == CKR_OK && done < cap && next);
    free(events);
    if (rv == CKR_OK) {
        *ret_n = done;
        *ret_next = next;
    }
    return rv;
}

static void wanted_auto(struct wanted *wanted)
{
    audit_view_auto(&wanted->view);
}

static CK_RV query_audit(const struct RPV_AUDIT_QUERY *asked, struct RPV_AUDIT_RECORD *out,
                         CK_ULONG *count, unsigned long long *next)
{
    struct vs_id id;
    TRY(arguments_out(count));
    TRY(arguments_in(out, *count));
    if (!asked || !next || !*count)
        return trace_fail(CKR_ARGUMENTS_BAD, "the query, the count or pNext is missing");
    if (asked->uniqueId && !unique_id_parse((const uint8_t *)asked->uniqueId,
                                            strlen(asked->uniqueId), &id))
        return trace_fail(CKR_ARGUMENTS_BAD, "a unique id has 32 hexadecimal digits");
    AUTO(wanted) struct wanted wanted = {.query = *asked};
    TRY(view_make(asked->slotID, &wanted.view));
    struct vs_audit_query query = {
        .from = asked->from,
        .since = asked->since,
        .until = asked->until,
        .id = asked->uniqueId ? &id : NULL,
        .newest_first = asked->bNewestFirst != CK_FALSE,
        .wanted = event_wanted,
        .ctx = &wanted,
    };
    TRY(query_pages(&query, out, *count, count, next));
    return view_tell(&wanted.view);
}

CK_RV RPV_QueryAudit(const struct RPV_AUDIT_QUERY *pQuery, struct RPV_AUDIT_RECORD *pRecords,
                     CK_ULONG *pulCount, unsigned long long *pNext)
{
    CALL(RPV_QueryAudit);
    return call_end(&call, query_audit(pQuery, pRecords, pulCount, pNext));
}

/* ------------------------------------------------------------------ the chain, what is due */

static CK_RV verify_from(unsigned long long *seq, CK_BYTE *hash, unsigned long long *bad)
{
    if (!seq || !hash || !bad)
        return trace_fail(CKR_ARGUMENTS_BAD, "a pointer is NULL");
    uint64_t at = *seq, first_bad = 0;
    TRY(store_status(vs_audit_verify_from(module_state()->store, &at, hash, &first_bad),
                     "audit"));
    *seq = at;
    *bad = first_bad;
    return CKR_OK;
}

CK_RV RPV_VerifyAuditFrom(unsigned long long *pSeq, CK_BYTE *pHash, unsigned long long *pBad)
{
    CALL(RPV_VerifyAuditFrom);
    return call_end(&call, verify_from(pSeq, pHash, pBad));
}

static CK_RV list_due(long long until, struct RPV_DUE *out, CK_ULONG *count)
{
    TRY(arguments_out(count));
    TRY(arguments_in(out, *count));
    size_t n = 0;
    struct vs_due *due = NULL;
    TRY(array_alloc(out, *count, sizeof(*out), sizeof(*due), &due));
    CK_RV rv = store_status(vs_due_list(module_state()->store, until, due, *count, &n), "due");
    for (size_t i = 0; rv == CKR_OK && i < n; i++) {
        static const struct vs_id none;
        out[i] = (struct RPV_DUE){.slotID = due[i].vault, .ulGeneration = due[i].generation,
                                  .purgeAt = due[i].purge_at,
                                  .bHeld = due[i].held ? CK_TRUE : CK_FALSE};
        if (memcmp(&due[i].id, &none, sizeof(none)) != 0)
            text_hex(out[i].uniqueId, due[i].id.b, sizeof(due[i].id.b));
    }
    if (rv == CKR_OK)
        *count = n;
    free(due);
    return rv;
}

CK_RV RPV_ListDue(long long until, struct RPV_DUE *pDue, CK_ULONG *pulCount)
{
    CALL(RPV_ListDue);
    return call_end(&call, list_due(until, pDue, pulCount));
}
