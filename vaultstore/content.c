/* See content.h. */
#include "content.h"

#include "object.h"

/* Is one of the objects held whose ids follow a prefix? */
static int prefix_held(struct vs_store *store, struct kv_txn *txn, const struct key *prefix,
                       size_t id_at, bool *held)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct kv_slice key, value;
    int status;

    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, prefix->b, prefix->len, &key, &value);
    while (!*held && status == VS_OK && key_has_prefix(&key, prefix)) {
        struct object_record record;
        struct vs_id id;

        memcpy(id.b, key.data + id_at, sizeof(id.b));
        status = object_load(store, txn, &id, &record);
        if (status != VS_OK && status != VS_E_CORRUPT && status != VS_NOT_FOUND)
            return status;
        *held = status == VS_OK && record.header.hold;
        status = kv_cursor_next(cursor, &key, &value);
    }
    return status == VS_END ? VS_OK : status;
}

int content_held(struct vs_store *store, struct kv_txn *txn, const struct generation *g,
                 bool *ret_held)
{
    struct key own = key_objects(g->tag), restored = key_restored(g->number, NULL);
    bool held = g->hold;

    VS_TRY(prefix_held(store, txn, &own, own.len - sizeof(g->tag), &held));
    VS_TRY(prefix_held(store, txn, &restored, restored.len, &held));
    *ret_held = held;
    return VS_OK;
}

/* Made in it, or restored into it. */
static int content_has(struct kv_txn *txn, const struct generation *g, const struct vs_id *id,
                       bool *ret_has)
{
    struct key restored = key_restored(g->number, id);
    struct kv_slice value;
    int status = VS_OK;

    if (memcmp(id->b, g->tag, sizeof(g->tag)) != 0)
        status = kv_get(txn, restored.b, restored.len, &value);
    if (status != VS_OK && status != VS_NOT_FOUND)
        return status;
    *ret_has = status == VS_OK;
    return VS_OK;
}

/*
 * The table of due dates backwards, as far as its dates are later. On the strict clock an object
 * has still before it, at most, what that clock is behind.
 */
int content_last_date(struct kv_txn *txn, const struct clock_reading *clock,
                      const struct generation *g, int64_t *date)
{
    int64_t behind = g->policy.clock_strict ? clock->now - clock->strict : 0;
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key end = key_table(TABLE_DUE + 1);
    struct kv_slice key, value;
    int status;

    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_before(cursor, end.b, end.len, &key, &value);
    while (status == VS_OK && key.data[0] == TABLE_DUE) {
        struct key here = {.len = key.len};
        struct vs_id id;
        struct reader r;
        int64_t purge_at;
        uint8_t kind;
        bool has = false;

        reader_init(&r, key.data + 1, key.len - 1);
        purge_at = (int64_t)get_u64(&r);
        kind = get_u8(&r);
        get_raw(&r, id.b, sizeof(id.b));
        if (!reader_end(&r))
            return VS_E_CORRUPT;
        if (__builtin_add_overflow(purge_at, behind, &purge_at))
            purge_at = INT64_MAX;
        if (purge_at <= *date)
            return VS_OK;
        if (kind == KIND_OBJECT)
            VS_TRY(content_has(txn, g, &id, &has));
        if (has) {
            *date = purge_at;
            return VS_OK;
        }
        memcpy(here.b, key.data, key.len);
        status = kv_cursor_before(cursor, here.b, here.len, &key, &value);
    }
    return status == VS_END ? VS_OK : status;
}

int content_past_due(struct vs_store *store, struct kv_txn *txn, const struct clock_reading *clock,
                     const struct generation *g, bool *ret_due)
{
    bool held;

    if (g->lock != 0 || g->purge_at > generation_now(clock, g)) {
        *ret_due = false;
        return VS_OK;
    }
    VS_TRY(content_held(store, txn, g, &held));
    *ret_due = !held;
    return VS_OK;
}
