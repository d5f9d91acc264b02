/*
 * audit_use.c: uses of keys, as the caller has counted them: an event each, and a total for every
 * key, so that "how often, and when last" is one read.
 */
#include "audit.h"

#include "store_internal.h"

struct use_batch {
    const struct vs_use *uses;
    size_t n;
};

static int total_get(struct vs_store *store, struct kv_txn *txn, const struct vs_id *id,
                     struct vs_use_total *ret_total)
{
    struct key key = key_use(id);
    struct vs_use_total total;
    struct reader r;

    VS_TRY(trusted_get(store, txn, &key, &r));
    total.count = get_u64(&r);
    total.first = (int64_t)get_u64(&r);
    total.last = (int64_t)get_u64(&r);
    if (!reader_ok(&r))
        return VS_E_CORRUPT;
    *ret_total = total;
    return VS_OK;
}

static int total_add(struct commit_txn *txn, const struct vs_id *id,
                     const struct vs_use_total *more)
{
    struct key key = key_use(id);
    struct vs_use_total total = {.first = more->first};
    uint8_t body[24];
    struct writer w;
    int status = total_get(txn->store, txn->kv, id, &total);

    if (status != VS_NOT_FOUND)
        VS_TRY(status);
    writer_init(&w, body, sizeof(body));
    put_u64(&w, total.count + more->count);
    put_u64(&w, (uint64_t)total.first);
    put_u64(&w, (uint64_t)(more->last > total.last ? more->last : total.last));
    return trusted_put(txn, &key, &w);
}

static int use_append(struct commit_txn *txn, const struct vs_use *use,
                      struct vs_use_total *total)
{
    int64_t now = txn->clock.now;
    const struct audit_entry entry = {
        .vault = use->vault, .generation = use->generation, .operation = use->operation,
        .result = use->result, .principal = use->principal, .id = &use->id,
        .object_version = use->object_version, .detail = use->detail, .code = use->code,
        .key_version = use->key_version, .count = use->count, .first = now - use->first_ago,
        .last = now - use->last_ago, .duration_us = use->duration_us,
    };

    if (use->result == VS_OK) {
        total->first = total->count == 0 ? entry.first : total->first;
        total->last = entry.last;
        total->count += use->count;
    }
    return audit_append(txn, &entry);
}

/* Uses of the same key in a row change its total once. */
static int use_run(struct commit_txn *txn, void *ctx)
{
    const struct use_batch *batch = ctx;
    struct vs_use_total total = {.count = 0};

    for (size_t i = 0; i < batch->n; i++) {
        const struct vs_use *use = &batch->uses[i];
        bool last = i + 1 == batch->n ||
                    memcmp(&use->id, &batch->uses[i + 1].id, sizeof(use->id)) != 0;

        VS_TRY(use_append(txn, use, &total));
        if (last && total.count != 0)
            VS_TRY(total_add(txn, &use->id, &total));
        if (last)
            total = (struct vs_use_total){.count = 0};
    }
    return VS_OK;
}

int vs_audit_use(struct vs_store *store, const struct vs_use *uses, size_t n)
{
    struct use_batch batch = {.uses = uses, .n = n};

    return store_result(store, __func__, commit_run_always(store, use_run, &batch));
}

static int use_total(struct vs_store *store, const struct vs_id *id,
                     struct vs_use_total *ret_total)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;

    VS_TRY(kv_read(store->kv, &txn));
    return total_get(store, txn, id, ret_total);
}

int vs_use_total(struct vs_store *store, const struct vs_id *id, struct vs_use_total *ret_total)
{
    struct vs_use_total total = {.count = 0};
    int status = use_total(store, id, &total);

    if (status != VS_NOT_FOUND)
        VS_TRY(store_result(store, __func__, status));
    *ret_total = total;
    return VS_OK;
}
