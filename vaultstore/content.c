/* See content.h. */
#include "content.h"

#include "object.h"

int content_held(struct vs_store *store, struct kv_txn *txn, const struct generation *g,
                 bool *ret_held)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key prefix = key_objects(g->tag);
    struct kv_slice key, value;
    bool held = g->hold;
    int status;

    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, prefix.b, prefix.len, &key, &value);
    while (!held && status == VS_OK && key_has_prefix(&key, &prefix)) {
        struct object_record record;
        struct vs_id id;

        memcpy(id.b, key.data + 1, sizeof(id.b));
        status = object_load(store, txn, &id, &record);
        if (status != VS_OK && status != VS_E_CORRUPT)
            return status;
        held = status == VS_OK && record.header.hold;
        status = kv_cursor_next(cursor, &key, &value);
    }
    if (status != VS_OK && status != VS_END)
        return status;
    *ret_held = held;
    return VS_OK;
}

/* The table of due dates backwards, as far as its dates are later. */
int content_last_date(struct kv_txn *txn, const struct generation *g, int64_t *date)
{
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

        reader_init(&r, key.data + 1, key.len - 1);
        purge_at = (int64_t)get_u64(&r);
        kind = get_u8(&r);
        get_raw(&r, id.b, sizeof(id.b));
        if (!reader_end(&r))
            return VS_E_CORRUPT;
        if (purge_at <= *date)
            return VS_OK;
        if (kind == KIND_OBJECT && memcmp(id.b, g->tag, sizeof(g->tag)) == 0) {
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

    if (g->purge_at > generation_now(clock, g)) {
        *ret_due = false;
        return VS_OK;
    }
    VS_TRY(content_held(store, txn, g, &held));
    *ret_due = !held;
    return VS_OK;
}
