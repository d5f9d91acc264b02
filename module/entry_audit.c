/* entry_audit.c: the vendor interface's functions on the event log. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attr.h"
#include "vendor_audit.h"

#define EVENTS_AT_ONCE 64u

void event_hex(char *ret_text, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[2 * len] = 0;
}

const char *event_result(const struct vs_event *event)
{
    if (event->code)
        return trace_rv_name(event->code);
    return event->result == VS_OK ? "ok" : vs_status_name(event->result);
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
    event_hex(out->correlationId, event->correlation, sizeof(event->correlation));
    memcpy(out->principal, event->principal, sizeof(out->principal));
    out->uid = event->uid;
    out->pid = event->pid;
    memcpy(out->exe, event->exe, sizeof(out->exe));
    out->ulObjectVersion = event->object_version;
    out->ulKeyVersion = event->key_version;
    out->count = event->count;
    out->first = event->first;
    out->last = event->last;
    event_hex(out->hash, event->hash, sizeof(event->hash));
    if (!event->has_id)
        return;
    event_hex(out->uniqueId, event->id.b, sizeof(event->id.b));
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

static bool event_wanted(const struct vs_event *event, void *ctx)
{
    const struct RPV_AUDIT_QUERY *query = ctx;
    return (query->slotID == CK_UNAVAILABLE_INFORMATION || query->slotID == event->vault) &&
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
    struct RPV_AUDIT_QUERY copy = *asked;
    struct vs_audit_query query = {
        .from = asked->from,
        .since = asked->since,
        .until = asked->until,
        .id = asked->uniqueId ? &id : NULL,
        .newest_first = asked->bNewestFirst != CK_FALSE,
        .wanted = event_wanted,
        .ctx = &copy,
    };
    return query_pages(&query, out, *count, count, next);
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
    struct vs_due *due = calloc(*count + 1, sizeof(*due));
    if (!due)
        return CKR_HOST_MEMORY;
    CK_RV rv = store_status(vs_due_list(module_state()->store, until, due, *count, &n), "due");
    for (size_t i = 0; rv == CKR_OK && i < n; i++) {
        static const struct vs_id none;
        out[i] = (struct RPV_DUE){.slotID = due[i].vault, .ulGeneration = due[i].generation,
                                  .purgeAt = due[i].purge_at,
                                  .bHeld = due[i].held ? CK_TRUE : CK_FALSE};
        if (memcmp(&due[i].id, &none, sizeof(none)) != 0)
            event_hex(out[i].uniqueId, due[i].id.b, sizeof(due[i].id.b));
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
