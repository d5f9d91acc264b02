/* health.c: a look at the whole store. */
#include <stdio.h>

#include "audit.h"
#include "object.h"
#include "purge.h"
#include "store_internal.h"

/* ------------------------------------------------------------------ looking */

struct looking {
    struct vs_health health;
    vs_progress_fn *progress;    /* or NULL */
    void *ctx;
    uint64_t done, total;
    bool stopped;
};

typedef int look_fn(struct vs_store *store, struct kv_txn *txn, const struct kv_slice *key,
                    struct vs_health *health);

/* One object or event more; VS_END: stop. The total counts purged objects, too, so it is not told
 * to be reached before the end. */
static int look_tell(void *ctx)
{
    struct looking *looking = ctx;
    struct vs_progress told = {.done = ++looking->done, .total = looking->total};

    if (told.total <= told.done)
        told.total = told.done + 1;
    looking->stopped = looking->progress != NULL && looking->progress(looking->ctx, &told) != 0;
    return looking->stopped ? VS_END : VS_OK;
}

/* Is the vault key that it is sealed under still one that a login has? */
static int look_key(struct vs_store *store, struct kv_txn *txn, const struct vs_header *header,
                    bool *ret_there)
{
    struct generation g;
    const struct rotation *rotation = &g.rotation;

    *ret_there = true;
    if (!header->is_private)
        return VS_OK;
    VS_TRY(generation_get(store, txn, header->vault, header->generation, &g));
    *ret_there = header->epoch == rotation->epoch ||
                 (rotation->resealing && header->epoch == rotation->former_epoch);
    return VS_OK;
}

static int look_object(struct vs_store *store, struct kv_txn *txn, const struct kv_slice *key,
                       struct vs_health *health)
{
    AUTO(secret_key) struct secret_key secret;
    struct object_record record;
    struct vs_id id;
    bool there = true;
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
    status = look_key(store, txn, &record.header, &there);
    if (status == VS_NOT_FOUND || status == VS_E_CORRUPT)
        return VS_OK;             /* what befell its generation is told elsewhere */
    VS_TRY(status);
    health->astray += there ? 0 : 1;
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
                      look_fn *look, struct looking *looking)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key from = key_table(table);
    struct kv_slice key, value;
    int status;

    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, from.b, from.len, &key, &value);
    while (status == VS_OK && key.data[0] == table) {
        status = look(store, txn, &key, &looking->health);
        if (status == VS_OK && table == TABLE_OBJECT)
            status = look_tell(looking);
        if (status == VS_OK)
            status = kv_cursor_next(cursor, &key, &value);
    }
    return status == VS_END ? VS_OK : status;
}

static int health_read(struct vs_store *store, struct looking *looking)
{
    struct vs_health *health = &looking->health;
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct clock_reading clock;
    struct store_state state;
    struct log_mark mark;
    int status;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(audit_state_read(store, txn, &state));
    health->audit_seq = state.audit_seq;
    looking->total = state.audit_seq + state.next_seq;
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
    VS_TRY(table_look(store, txn, TABLE_OBJECT, look_object, looking));
    VS_TRY(table_look(store, txn, TABLE_DUE, look_due, looking));
    return table_look(store, txn, TABLE_PENDING, look_pending, looking);
}

int vs_store_health(struct vs_store *store, struct vs_health *ret_health)
{
    return vs_store_health_told(store, NULL, NULL, ret_health);
}

int vs_store_health_told(struct vs_store *store, vs_progress_fn *progress, void *ctx,
                         struct vs_health *ret_health)
{
    struct looking looking = {.progress = progress, .ctx = ctx};
    struct audit_chain chain = {.each = look_tell, .ctx = &looking};
    struct vs_progress all;

    VS_TRY(store_result(store, __func__, health_read(store, &looking)));
    if (!looking.stopped)
        VS_TRY(store_result(store, __func__, audit_chain_verify(store, &chain)));
    if (looking.stopped)
        return VS_END;
    looking.health.audit_bad = chain.bad;    /* that host.head knows more is told apart */
    *ret_health = looking.health;
    all = (struct vs_progress){.done = looking.done, .total = looking.done};
    if (progress != NULL)
        (void)progress(ctx, &all);
    return VS_OK;
}
