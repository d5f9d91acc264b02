/* audit_query.c: reading the event log: in order, by object, by time; and checking its chain. */
#include "audit.h"

#include "object.h"
#include "store_internal.h"

/* Does the record's hash follow from the hash before it? */
static int record_check(struct vs_store *store, const uint8_t previous[AUDIT_HASH],
                        const struct kv_slice *value)
{
    size_t len = value->len - AUDIT_TRAILER;
    uint8_t hash[AUDIT_HASH];

    VS_TRY(seal_sha256(store->sealer, previous, AUDIT_HASH, value->data, len, hash));
    return seal_equal(hash, value->data + len, AUDIT_HASH) ? VS_OK : VS_E_CORRUPT;
}

/* Walks the log from `from`, calling `each` on records until it says otherwise than VS_OK. */
typedef int audit_each_fn(struct vs_store *store, const struct kv_slice *key,
                          const struct kv_slice *value, void *ctx);

static int audit_walk(struct vs_store *store, uint64_t from, audit_each_fn *each, void *ctx)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key start = key_audit(from), table = key_table(TABLE_AUDIT);
    struct kv_slice key, value;
    int status;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, start.b, start.len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, &table)) {
        VS_TRY(each(store, &key, &value, ctx));
        status = kv_cursor_next(cursor, &key, &value);
    }
    return status == VS_END ? VS_OK : status;
}

struct audit_batch { struct vs_event *events; size_t cap, n; };

static int batch_add(struct vs_store *store, const struct kv_slice *key,
                     const struct kv_slice *value, void *ctx)
{
    struct audit_batch *batch = ctx;
    struct store_state state;

    if (batch->n == batch->cap)
        return VS_END;
    VS_TRY(audit_open(store, key, value, &batch->events[batch->n], &state));
    batch->n++;
    return VS_OK;
}

int vs_audit_read(struct vs_store *store, uint64_t from, struct vs_event *ret_events, size_t cap,
                  size_t *ret_n)
{
    struct audit_batch batch = {.events = ret_events, .cap = cap};
    int status = audit_walk(store, from, batch_add, &batch);

    if (status != VS_END)
        VS_TRY(store_result(store, __func__, status));
    if (batch.n == 0 && status == VS_OK)
        return VS_END;
    *ret_n = batch.n;
    return VS_OK;
}

/* ------------------------------------------------------------------ verify */

static int chain_add(struct vs_store *store, const struct kv_slice *key,
                     const struct kv_slice *value, void *ctx)
{
    struct audit_chain *chain = ctx;
    struct store_state state;
    struct vs_event event;
    int status = audit_open(store, key, value, &event, &state);

    if (status == VS_OK && event.seq != chain->seq + 1)
        status = VS_E_CORRUPT;
    if (status == VS_OK)
        status = record_check(store, chain->hash, value);
    if (status == VS_E_CORRUPT) {
        chain->bad = chain->seq + 1;
        return VS_END;
    }
    VS_TRY(status);
    chain->seq = event.seq;
    memcpy(chain->hash, event.hash, AUDIT_HASH);
    return chain->each != NULL ? chain->each(chain->ctx) : VS_OK;
}

static int event_get(struct vs_store *store, struct kv_txn *txn, uint64_t seq,
                     struct vs_event *ret_event)
{
    struct key key = key_audit(seq);
    struct kv_slice name = {key.b, key.len}, value;
    struct store_state state;

    VS_TRY(kv_get(txn, key.b, key.len, &value));
    return audit_open(store, &name, &value, ret_event, &state);
}

/* Is the event that a former verification ended with still there, and the same? */
static int chain_resume(struct vs_store *store, struct audit_chain *chain)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct vs_event event;
    int status;

    if (chain->seq == 0)
        return VS_OK;
    VS_TRY(kv_read(store->kv, &txn));
    status = event_get(store, txn, chain->seq, &event);
    if (status == VS_NOT_FOUND || status == VS_E_CORRUPT ||
        (status == VS_OK && !seal_equal(event.hash, chain->hash, AUDIT_HASH))) {
        chain->bad = chain->seq;
        return VS_OK;
    }
    return status;
}

int audit_chain_verify(struct vs_store *store, struct audit_chain *chain)
{
    int status;

    VS_TRY(chain_resume(store, chain));
    if (chain->bad != 0)
        return VS_OK;
    status = audit_walk(store, chain->seq + 1, chain_add, chain);
    return status == VS_END ? VS_OK : status;
}

/* And that it reaches what host.head knows of it: the mark is read before the log, which may only
 * have grown since. */
static int chain_verify(struct vs_store *store, struct audit_chain *chain)
{
    struct log_mark mark;
    bool fits = true;
    int status = head_read(store, &mark);

    VS_TRY(audit_chain_verify(store, chain));
    if (status == VS_NOT_FOUND || chain->bad != 0)
        return VS_OK;             /* that the mark is lost is told elsewhere */
    VS_TRY(status);
    VS_TRY(head_fits(store, &mark, &fits));
    if (!fits)
        chain->bad = mark.seq <= chain->seq ? mark.seq : chain->seq + 1;
    return VS_OK;
}

int vs_audit_verify_from(struct vs_store *store, uint64_t *seq, uint8_t hash[32],
                         uint64_t *ret_bad)
{
    struct audit_chain chain = {.seq = *seq};

    memcpy(chain.hash, hash, AUDIT_HASH);
    VS_TRY(store_result(store, __func__, chain_verify(store, &chain)));
    *seq = chain.seq;
    memcpy(hash, chain.hash, AUDIT_HASH);
    *ret_bad = chain.bad;
    return VS_OK;
}

int vs_audit_verify(struct vs_store *store, uint64_t *ret_events, uint64_t *ret_bad)
{
    uint8_t hash[AUDIT_HASH] = {0};
    uint64_t seq = 0;

    VS_TRY(vs_audit_verify_from(store, &seq, hash, ret_bad));
    *ret_events = seq;
    return VS_OK;
}

/* ------------------------------------------------------------------ query */

/* The numbers of the events that may be wanted, one after another. */
struct walk {
    struct vs_store *store;
    struct kv_txn *txn;
    struct kv_cursor *cursor;    /* through the index; NULL: without an object */
    const struct vs_id *id;
    uint64_t low, high, at;      /* bounds, both included; the next number */
    bool down;
};

/* The first event at `time` or later, or one more than the last: the clock never goes back. */
static int seq_at(struct walk *walk, int64_t time, uint64_t *ret_seq)
{
    uint64_t low = walk->low, high = walk->high + 1;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct vs_event event;

        VS_TRY(event_get(walk->store, walk->txn, middle, &event));
        if (event.time < time)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_seq = low;
    return VS_OK;
}

static int walk_bound(struct walk *walk, const struct vs_audit_query *query)
{
    struct store_state state;
    uint64_t seq = 0;

    VS_TRY(audit_state_read(walk->store, walk->txn, &state));
    walk->low = 1;
    walk->high = state.audit_seq;
    if (query->since != 0)
        VS_TRY(seq_at(walk, query->since, &walk->low));
    if (query->until != 0) {
        VS_TRY(seq_at(walk, query->until, &seq));
        walk->high = seq - 1;
    }
    if (query->from != 0 && walk->down && query->from < walk->high)
        walk->high = query->from;
    if (query->from != 0 && !walk->down && query->from > walk->low)
        walk->low = query->from;
    walk->at = walk->down ? walk->high : walk->low;
    return VS_OK;
}

/* Moves walk->at on to an event of the object. */
static int walk_indexed(struct walk *walk)
{
    struct key prefix = key_audit_of(walk->id, 0), key = key_audit_of(walk->id, walk->at);
    struct kv_slice name, value;
    struct reader r;
    int status;

    prefix.len -= sizeof(uint64_t);
    if (walk->down)
        key = key_audit_of(walk->id, walk->at + 1);
    status = walk->down ? kv_cursor_before(walk->cursor, key.b, key.len, &name, &value)
                        : kv_cursor_seek(walk->cursor, key.b, key.len, &name, &value);
    VS_TRY(status);
    if (!key_has_prefix(&name, &prefix))
        return VS_END;
    reader_init(&r, name.data + prefix.len, name.len - prefix.len);
    walk->at = get_u64(&r);
    return reader_end(&r) ? VS_OK : VS_E_CORRUPT;
}

/* VS_END after the last. */
static int walk_next(struct walk *walk, uint64_t *ret_seq)
{
    if (walk->at < walk->low || walk->at > walk->high)
        return VS_END;
    if (walk->cursor != NULL)
        VS_TRY(walk_indexed(walk));
    if (walk->at < walk->low || walk->at > walk->high)
        return VS_END;
    *ret_seq = walk->at;
    walk->at += walk->down ? UINT64_MAX : 1;
    return VS_OK;
}

static int query_run(struct walk *walk, const struct vs_audit_query *query,
                     struct vs_event *ret_events, size_t cap, size_t *ret_n, uint64_t *ret_next)
{
    uint64_t seq = 0;
    size_t n = 0;
    int status = VS_OK;

    while (n < cap && (status = walk_next(walk, &seq)) == VS_OK) {
        struct vs_event *event = &ret_events[n];

        VS_TRY(event_get(walk->store, walk->txn, seq, event));
        n += query->wanted == NULL || query->wanted(event, query->ctx);
    }
    if (status != VS_END)
        VS_TRY(status);
    *ret_n = n;
    *ret_next = status == VS_END || walk->at < walk->low || walk->at > walk->high ? 0 : walk->at;
    return VS_OK;
}

static int audit_query(struct vs_store *store, const struct vs_audit_query *query,
                       struct vs_event *ret_events, size_t cap, size_t *ret_n, uint64_t *ret_next)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct walk walk = {.store = store, .id = query->id, .down = query->newest_first};

    VS_TRY(kv_read(store->kv, &txn));
    if (query->id != NULL)
        VS_TRY(kv_cursor_open(txn, &cursor));
    walk.txn = txn;
    walk.cursor = cursor;
    VS_TRY(walk_bound(&walk, query));
    return query_run(&walk, query, ret_events, cap, ret_n, ret_next);
}

int vs_audit_query(struct vs_store *store, const struct vs_audit_query *query,
                   struct vs_event *ret_events, size_t cap, size_t *ret_n, uint64_t *ret_next)
{
    return store_result(store, __func__,
                        audit_query(store, query, ret_events, cap, ret_n, ret_next));
}

/* ------------------------------------------------------------------ what is due */

static int due_add(struct vs_store *store, struct kv_txn *txn, const struct kv_slice *key,
                   struct vs_due *due)
{
    struct object_record record;
    struct generation live;
    struct reader r;
    uint8_t kind;

    reader_init(&r, key->data + 1, key->len - 1);
    due->purge_at = (int64_t)get_u64(&r);
    kind = get_u8(&r);
    get_raw(&r, due->id.b, sizeof(due->id.b));
    if (!reader_end(&r))
        return VS_E_CORRUPT;
    if (kind == KIND_OBJECT) {
        VS_TRY(object_load(store, txn, &due->id, &record));
        due->vault = record.header.vault;
        due->generation = record.header.generation;
        due->held = record.header.hold;
        /* in a deleted generation its own date decides */
        VS_TRY(generation_live(store, txn, due->vault, &live));
        return live.number == due->generation ? VS_OK : VS_NOT_FOUND;
    }
    struct key name = key_due(due->purge_at, KIND_GENERATION, &due->id);
    VS_TRY(trusted_get(store, txn, &name, &r));
    due->vault = get_u32(&r);
    due->generation = get_u32(&r);
    due->id = (struct vs_id){{0}};
    return VS_OK;
}

static int due_list(struct vs_store *store, int64_t until, struct vs_due *ret_due, size_t cap,
                    size_t *ret_n)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key start = key_table(TABLE_DUE), end = start;
    struct kv_slice key, value;
    struct writer w;
    size_t n = 0;
    int status;

    writer_init(&w, end.b + end.len, sizeof(uint64_t));
    put_u64(&w, (uint64_t)until);
    end.len += w.len;
    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, start.b, start.len, &key, &value);
    while (status == VS_OK && n < cap && key.data[0] == TABLE_DUE &&
           memcmp(key.data, end.b, end.len) < 0) {
        struct vs_due due = {.held = false};

        status = due_add(store, txn, &key, &due);
        if (status < 0 && status != VS_E_CORRUPT)
            return status;        /* what is damaged is not purged */
        if (status == VS_OK)
            ret_due[n++] = due;
        status = kv_cursor_next(cursor, &key, &value);
    }
    *ret_n = n;
    return status == VS_END ? VS_OK : status;
}

int vs_due_list(struct vs_store *store, int64_t until, struct vs_due *ret_due, size_t cap,
                size_t *ret_n)
{
    return store_result(store, __func__, due_list(store, until, ret_due, cap, ret_n));
}
