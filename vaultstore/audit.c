/*
 * audit.c: the chained event log. A record's value is its body, SHA-256 over the previous
 * record's hash and the body, and a MAC of both under the host key (the chain alone could be made
 * anew by anyone who can write the file, and the state of the store is in here).
 */
#include "audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store_internal.h"

#define HASH AUDIT_HASH
#define TRAILER AUDIT_TRAILER
#define BODY_MAX 640u

static void event_encode(struct writer *w, const struct vs_event *event,
                         const struct store_state *state)
{
    put_u64(w, event->seq);
    put_u64(w, (uint64_t)event->time);
    put_u32(w, event->vault);
    put_u32(w, event->generation);
    put_text(w, event->operation);
    put_u32(w, (uint32_t)event->result);
    put_text(w, event->principal);
    put_u32(w, event->uid);
    put_u32(w, event->pid);
    put_text(w, event->exe);
    put_u8(w, event->has_id ? 1 : 0);
    put_raw(w, event->id.b, sizeof(event->id.b));
    put_u32(w, event->object_version);
    put_text(w, event->detail);
    put_u64(w, state->next_seq);
    put_u32(w, state->next_generation);
    put_u64(w, (uint64_t)state->anchor.vault);
    put_u64(w, (uint64_t)state->anchor.wall);
    put_u64(w, (uint64_t)state->anchor.boot);
    put_raw(w, state->anchor.boot_id, sizeof(state->anchor.boot_id));
    put_u32(w, event->duration_us);
    put_raw(w, event->correlation, sizeof(event->correlation));
    put_u32(w, event->code);
    put_u32(w, event->key_version);
    put_u64(w, event->count);
    put_u64(w, (uint64_t)event->first);
    put_u64(w, (uint64_t)event->last);
    put_u64(w, (uint64_t)state->anchor.strict);
    put_u64(w, (uint64_t)state->anchor.seen);
}

/* What records of format 1 end before. */
static void event_decode_more(struct reader *r, struct vs_event *event, struct store_state *state)
{
    state->anchor.strict = state->anchor.vault;
    state->anchor.seen = state->anchor.wall;
    event->count = 1;
    event->first = event->last = event->time;
    if (!reader_more(r))
        return;
    event->duration_us = get_u32(r);
    get_raw(r, event->correlation, sizeof(event->correlation));
    event->code = get_u32(r);
    event->key_version = get_u32(r);
    event->count = get_u64(r);
    event->first = (int64_t)get_u64(r);
    event->last = (int64_t)get_u64(r);
    state->anchor.strict = (int64_t)get_u64(r);
    state->anchor.seen = (int64_t)get_u64(r);
}

static int event_decode(const uint8_t *body, size_t len, struct vs_event *event,
                        struct store_state *state)
{
    struct reader r;

    reader_init(&r, body, len);
    event->seq = get_u64(&r);
    event->time = (int64_t)get_u64(&r);
    event->vault = get_u32(&r);
    event->generation = get_u32(&r);
    get_text(&r, event->operation, sizeof(event->operation));
    event->result = (int32_t)get_u32(&r);
    get_text(&r, event->principal, sizeof(event->principal));
    event->uid = get_u32(&r);
    event->pid = get_u32(&r);
    get_text(&r, event->exe, sizeof(event->exe));
    event->has_id = get_u8(&r) != 0;
    get_raw(&r, event->id.b, sizeof(event->id.b));
    event->object_version = get_u32(&r);
    get_text(&r, event->detail, sizeof(event->detail));
    state->audit_seq = event->seq;
    state->next_seq = get_u64(&r);
    state->next_generation = get_u32(&r);
    state->anchor.vault = (int64_t)get_u64(&r);
    state->anchor.wall = (int64_t)get_u64(&r);
    state->anchor.boot = (int64_t)get_u64(&r);
    get_raw(&r, state->anchor.boot_id, sizeof(state->anchor.boot_id));
    event_decode_more(&r, event, state);
    return reader_end(&r) ? VS_OK : VS_E_CORRUPT;
}

int audit_open(struct vs_store *store, const struct kv_slice *key, const struct kv_slice *value,
               struct vs_event *ret_event, struct store_state *ret_state)
{
    struct vs_event event = {.seq = 0};
    struct store_state state = {.audit_seq = 0};
    const uint8_t *hash;
    struct key expected;
    uint8_t mac[32];

    if (value->len < TRAILER)
        return VS_E_CORRUPT;
    hash = value->data + value->len - TRAILER;
    VS_TRY(seal_mac(store->sealer, store->keys->audit, value->data, value->len - SCHEMA_MAC, mac));
    if (!seal_equal(mac, hash + HASH, SCHEMA_MAC))
        return VS_E_CORRUPT;
    VS_TRY(event_decode(value->data, value->len - TRAILER, &event, &state));
    expected = key_audit(event.seq);
    if (key->len != expected.len || memcmp(key->data, expected.b, key->len) != 0)
        return VS_E_CORRUPT;
    memcpy(event.hash, hash, HASH);
    memcpy(state.audit_hash, hash, HASH);
    *ret_event = event;
    *ret_state = state;
    return VS_OK;
}

int audit_state_read(struct vs_store *store, struct kv_txn *txn, struct store_state *ret_state)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key end = key_table(TABLE_AUDIT + 1);
    struct kv_slice key, value;
    struct store_state state;
    struct vs_event event;
    int status;

    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_before(cursor, end.b, end.len, &key, &value);
    if (status == VS_END || (status == VS_OK && key.data[0] != TABLE_AUDIT))
        return VS_NOT_FOUND;
    VS_TRY(status);
    status = audit_open(store, &key, &value, &event, &state);
    if (status == VS_E_CORRUPT)
        store_trace(store, __func__, "the end of the audit log does not authenticate");
    VS_TRY(status);
    *ret_state = state;
    return VS_OK;
}

static void text_copy(char *to, size_t cap, const char *from)
{
    size_t len = from == NULL ? 0 : strnlen(from, cap - 1);

    memset(to, 0, cap);
    if (len > 0)
        memcpy(to, from, len);
}

static int index_put(struct commit_txn *txn, const struct vs_id *id, uint64_t seq)
{
    struct key key = key_audit_of(id, seq);

    return commit_put(txn, &key, "", 0);
}

/* From when the change was asked for until now: the wait for the writer's turn is in it. */
static uint32_t duration(const struct commit_note *note)
{
    uint64_t us = (commit_clock_ns() - note->began_ns) / 1000;

    return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static void event_fill(struct vs_event *event, const struct commit_txn *txn,
                       const struct audit_entry *entry)
{
    const struct process_identity *self = &txn->store->self;

    event->vault = entry->vault;
    event->generation = entry->generation;
    event->result = entry->result;
    event->uid = self->uid;
    event->pid = self->pid;
    event->object_version = entry->object_version;
    event->has_id = entry->id != NULL;
    if (event->has_id)
        event->id = *entry->id;
    text_copy(event->operation, sizeof(event->operation), entry->operation);
    text_copy(event->principal, sizeof(event->principal), entry->principal);
    text_copy(event->exe, sizeof(event->exe), self->exe);
    text_copy(event->detail, sizeof(event->detail), entry->detail);
    memcpy(event->correlation, txn->note->correlation, sizeof(event->correlation));
    event->duration_us = entry->duration_us != 0 ? entry->duration_us : duration(txn->note);
    event->code = entry->code;
    event->key_version = entry->key_version;
    event->count = entry->count != 0 ? entry->count : 1;
    event->first = entry->count != 0 ? entry->first : event->time;
    event->last = entry->count != 0 ? entry->last : event->time;
}

static int event_append(struct commit_txn *txn, const struct audit_entry *entry)
{
    struct vs_event event = {.seq = txn->state.audit_seq + 1, .time = txn->clock.now};
    struct key key = key_audit(event.seq);
    uint8_t value[BODY_MAX + TRAILER], mac[32];
    struct writer w;

    event_fill(&event, txn, entry);
    txn->state.anchor = txn->clock.anchor;

    writer_init(&w, value, BODY_MAX);
    event_encode(&w, &event, &txn->state);
    if (!writer_ok(&w))
        return VS_E_CORRUPT;
    VS_TRY(seal_sha256(txn->store->sealer, txn->state.audit_hash, HASH, value, w.len,
                       value + w.len));
    VS_TRY(seal_mac(txn->store->sealer, txn->store->keys->audit, value, w.len + HASH, mac));
    memcpy(value + w.len + HASH, mac, SCHEMA_MAC);
    VS_TRY(commit_put(txn, &key, value, w.len + TRAILER));
    if (event.has_id)
        VS_TRY(index_put(txn, &event.id, event.seq));
    txn->state.audit_seq = event.seq;
    memcpy(txn->state.audit_hash, value + w.len, HASH);
    memcpy(event.hash, txn->state.audit_hash, HASH);
    commit_tell(txn, &event);
    return VS_OK;
}

int audit_append(struct commit_txn *txn, const struct audit_entry *entry)
{
    if (txn->clock.jumped) {
        char detail[96];
        const struct audit_entry jump = {.operation = "ClockJump", .principal = "clock",
                                         .detail = detail};
        snprintf(detail, sizeof(detail), "%s: %lld s", txn->clock.what, (long long)txn->clock.by);
        txn->clock.jumped = false;
        VS_TRY(event_append(txn, &jump));
    }
    return event_append(txn, entry);
}

static int refusal_run(struct commit_txn *txn, void *ctx)
{
    return audit_append(txn, (const struct audit_entry *)ctx);
}

struct time_text time_text(int64_t time)
{
    struct time_text text = {"?"};
    time_t seconds = (time_t)time;
    struct tm utc;

    if (gmtime_r(&seconds, &utc) != NULL)
        strftime(text.text, sizeof(text.text), "%Y-%m-%dT%H:%M:%SZ", &utc);
    return text;
}

void audit_refusal(struct vs_store *store, const struct audit_entry *entry)
{
    struct audit_entry copy = *entry;

    store_result(store, __func__, commit_run_always(store, refusal_run, &copy));
}

int audit_index_all(struct commit_txn *txn)
{
    for (uint64_t seq = 1; seq <= txn->state.audit_seq; seq++) {
        struct key key = key_audit(seq);
        struct kv_slice name = {key.b, key.len}, value;
        struct store_state state;
        struct vs_event event;

        VS_TRY(kv_get(txn->kv, key.b, key.len, &value));
        VS_TRY(audit_open(txn->store, &name, &value, &event, &state));
        if (event.has_id)
            VS_TRY(index_put(txn, &event.id, seq));
    }
    return VS_OK;
}
