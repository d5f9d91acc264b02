/* health.c: a look at the whole store. */
#include <stdio.h>

#include "audit.h"
#include "object.h"
#include "purge.h"
#include "store_internal.h"

/* ------------------------------------------------------------------ looking */

typedef int look_fn(struct vs_store *store, struct kv_txn *txn, const struct kv_slice *key,
                    struct vs_health *health);

static int look_object(struct vs_store *store, struct kv_txn *txn, const struct kv_slice *key,
                       struct vs_health *health)
{
    AUTO(secret_key) struct secret_key secret;
    struct object_record record;
    struct vs_id id;
    int status;

    if (key->len != 1 + sizeof(id.b))
        return VS_E_CORRUPT;
    memcpy(id.b, key->data + 1, sizeof(id.b));
    health->objects++;
    status = object_load(store, txn, &id, &record);
    if (status == VS_E_CORRUPT) {
        health->unreadable++;
        return VS_OK;
    }
    VS_TRY(status);
    status = keyslots_read(store->slots, object_slot(&record.header), secret.b);
    if (status == VS_NOT_FOUND || status == VS_E_CORRUPT)
        health->keyless++;
    else
        VS_TRY(status);
    return VS_OK;
}

static int look_due(struct vs_store *store, struct kv_txn *txn, const struct kv_slice *key,
                    struct vs_health *health)
{
    struct reader r;

    (void)store;
    (void)txn;
    reader_init(&r, key->data + 1, key->len - 1);
    if ((int64_t)get_u64(&r) > health->now)
        return VS_END;
    health->due++;
    return VS_OK;
}

static int look_pending(struct vs_store *store, struct kv_txn *txn, const struct kv_slice *key,
                        struct vs_health *health)
{
    (void)store;
    (void)txn;
    (void)key;
    health->pending++;
    return VS_OK;
}

static int table_look(struct vs_store *store, struct kv_txn *txn, enum schema_table table,
                      look_fn *look, struct vs_health *health)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key from = key_table(table);
    struct kv_slice key, value;
    int status;

    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, from.b, from.len, &key, &value);
    while (status == VS_OK && key.data[0] == table) {
        status = look(store, txn, &key, health);
        if (status == VS_OK)
            status = kv_cursor_next(cursor, &key, &value);
    }
    return status == VS_END ? VS_OK : status;
}

static int health_read(struct vs_store *store, struct vs_health *health)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct clock_reading clock;
    struct store_state state;
    struct log_mark mark;
    int status;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(audit_state_read(store, txn, &state));
    health->audit_seq = state.audit_seq;
    status = head_read(store, &mark);
    health->head = status == VS_NOT_FOUND ? VS_HEAD_NONE
                   : head_protects(store, txn) ? VS_HEAD_ROLLED_BACK : VS_HEAD_OK;
    if (status != VS_NOT_FOUND) {
        VS_TRY(status);
        health->head_seq = mark.seq;
    }
    VS_TRY(store_reading(store, txn, &clock));
    health->now = clock.now;
    health->strict = clock.strict;
    health->wall = clock.anchor.seen;
    health->clock_jump = clock.jumped ? clock.what : NULL;
    health->clock_jump_by = clock.jumped ? clock.by : 0;
    VS_TRY(table_look(store, txn, TABLE_OBJECT, look_object, health));
    VS_TRY(table_look(store, txn, TABLE_DUE, look_due, health));
    return table_look(store, txn, TABLE_PENDING, look_pending, health);
}

int vs_store_health(struct vs_store *store, struct vs_health *ret_health)
{
    struct vs_health health = {.head = VS_HEAD_OK};
    struct audit_chain chain = {.seq = 0};   /* the mark is told of apart */

    VS_TRY(store_result(store, __func__, health_read(store, &health)));
    VS_TRY(store_result(store, __func__, audit_chain_verify(store, &chain)));
    health.audit_bad = chain.bad;
    *ret_health = health;
    return VS_OK;
}
