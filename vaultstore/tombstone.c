/* tombstone.c: what is left of what was purged. */
#include "purge.h"
#include "store_internal.h"

int tombstone_put(struct commit_txn *txn, const struct vs_tombstone *t)
{
    struct key key = key_tombstone(&t->id);
    uint8_t body[SCHEMA_BODY_MAX];
    struct writer w;

    writer_init(&w, body, sizeof(body));
    put_u32(&w, t->vault);
    put_u32(&w, t->generation);
    put_u32(&w, t->kind);
    put_u64(&w, (uint64_t)t->deleted_at);
    put_u64(&w, (uint64_t)txn->clock.now);
    put_text(&w, t->purged_by);
    put_text(&w, t->deleted_by);
    put_text(&w, t->reason);
    put_text(&w, t->label);
    return trusted_put(txn, &key, &w);
}

static int tombstone_decode(struct reader *r, struct vs_tombstone *t)
{
    t->vault = get_u32(r);
    t->generation = get_u32(r);
    t->kind = get_u32(r);
    t->deleted_at = (int64_t)get_u64(r);
    t->purged_at = (int64_t)get_u64(r);
    get_text(r, t->purged_by, sizeof(t->purged_by));
    if (reader_more(r)) {         /* from format 2 */
        get_text(r, t->deleted_by, sizeof(t->deleted_by));
        get_text(r, t->reason, sizeof(t->reason));
        get_text(r, t->label, sizeof(t->label));
    }
    return reader_end(r) ? VS_OK : VS_E_CORRUPT;
}

static int tombstone_list(struct vs_store *store, uint32_t vault, struct vs_tombstone *tombstones,
                          size_t cap, size_t *ret_n)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key table = key_table(TABLE_TOMBSTONE);
    struct kv_slice key, value;
    size_t n = 0;
    int status;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, table.b, table.len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, &table)) {
        struct vs_tombstone t = {.vault = 0};
        struct key copy;
        struct reader r;

        if (key.len != 1 + sizeof(t.id.b))
            return VS_E_CORRUPT;
        memcpy(t.id.b, key.data + 1, sizeof(t.id.b));
        copy = key_tombstone(&t.id);
        VS_TRY(schema_open(store->sealer, store->keys->mac, &copy, &value, &r));
        VS_TRY(tombstone_decode(&r, &t));
        if (t.vault == vault && n < cap)
            tombstones[n] = t;
        n += t.vault == vault;
        status = kv_cursor_next(cursor, &key, &value);
    }
    if (status != VS_OK && status != VS_END)
        return status;
    *ret_n = n;
    return VS_OK;
}

int vs_tombstone_list(struct vs_store *store, uint32_t vault, struct vs_tombstone *ret_tombstones,
                      size_t cap, size_t *ret_n)
{
    return store_result(store, __func__,
                        tombstone_list(store, vault, ret_tombstones, cap, ret_n));
}
