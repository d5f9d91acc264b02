/* sweep.c: purging by date. */
#include <stdlib.h>

#include "audit.h"
#include "content.h"
#include "purge.h"
#include "store_internal.h"

#define SWEEP_BATCH 1024u         /* to one transaction, if it is quick */
#define SWEEP_PASSING 4u          /* in passing: so many, and not more often than this */
#define SWEEP_INTERVAL 60         /* seconds */

/* Due entries as found; their truth is looked up again in the transaction. */
struct sweep_entry { enum schema_kind kind; struct vs_id id; struct key key; };
struct sweep {
    struct sweep_entry entries[SWEEP_BATCH];
    size_t n, done, purged;
    size_t limit;                 /* of purges in this transaction */
    struct commit_pace pace;
    struct key last;              /* where the scan is */
    bool end;
};

static int due_scan(struct vs_store *store, struct sweep *sweep)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct kv_slice key, value;
    int64_t now = 0;
    int status;

    sweep->n = 0;
    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(store_clock(store, txn, &now));
    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, sweep->last.b, sweep->last.len, &key, &value);
    while (status == VS_OK && key.data[0] == TABLE_DUE && sweep->n < sweep->pace.size) {
        struct sweep_entry *entry = &sweep->entries[sweep->n];
        struct reader r;

        reader_init(&r, key.data + 1, key.len - 1);
        if ((int64_t)get_u64(&r) > now)
            break;
        entry->kind = get_u8(&r);
        get_raw(&r, entry->id.b, sizeof(entry->id.b));
        if (!reader_end(&r))
            return VS_E_CORRUPT;
        memcpy(entry->key.b, key.data, key.len);
        entry->key.len = key.len;
        sweep->n++;
        status = kv_cursor_next(cursor, &key, &value);
    }
    sweep->end = sweep->n < sweep->pace.size;
    return status == VS_END ? VS_OK : status;
}

/* The next scan starts right behind the last key that was looked at: that key and a zero byte. */
static void due_step(struct sweep *sweep)
{
    if (sweep->done == 0)
        return;
    sweep->end = sweep->end && sweep->done == sweep->n;
    sweep->last = sweep->entries[sweep->done - 1].key;
    sweep->last.b[sweep->last.len++] = 0;
}

/* Of a generation that is not live, the objects wait for the generation's own date. */
static int sweep_object(struct commit_txn *txn, const struct sweep_entry *entry, size_t *purged)
{
    struct object_record record;
    struct generation live;
    int64_t now;
    int status = object_load(txn->store, txn->kv, &entry->id, &record);

    if (status == VS_NOT_FOUND)
        return commit_discard(txn, &entry->key);
    if (status == VS_E_CORRUPT)
        return VS_OK;             /* traced; nothing is purged on such a record's word */
    VS_TRY(status);
    status = generation_live(txn->store, txn->kv, record.header.vault, &live);
    if (status == VS_E_CORRUPT)
        return VS_OK;             /* nor on such a vault's: the others go on */
    VS_TRY(status);
    now = object_now(&txn->clock, &live.policy, &record.header);
    if (generation_keeps(&live))
        return VS_OK;
    if (live.number != record.header.generation || record.header.state != VS_STATE_DELETED ||
        policy_allows(&live.policy, &record.header, 0, ACTION_PURGE, now) != VS_OK ||
        record.header.purge_at > now)
        return VS_OK;
    VS_TRY(purge_object(txn, &record, "sweep"));
    (*purged)++;
    return VS_OK;
}

static int sweep_generation(struct commit_txn *txn, const struct sweep_entry *entry,
                            size_t *purged)
{
    struct generation g;
    struct reader r;
    uint32_t vault;
    bool due;
    int status = trusted_get(txn->store, txn->kv, &entry->key, &r);

    if (status == VS_NOT_FOUND || status == VS_E_CORRUPT)
        return VS_OK;
    VS_TRY(status);
    vault = get_u32(&r);
    status = generation_get(txn->store, txn->kv, vault, get_u32(&r), &g);
    if (status == VS_NOT_FOUND)
        return commit_discard(txn, &entry->key);
    if (status == VS_E_CORRUPT)
        return VS_OK;
    VS_TRY(status);
    if (g.lock != 0 || g.state != GENERATION_DELETED)
        return VS_OK;
    VS_TRY(content_past_due(txn->store, txn->kv, &txn->clock, &g, &due));
    if (!due)
        return VS_OK;
    VS_TRY(purge_generation(txn, &g, "sweep"));
    (*purged)++;
    return VS_OK;
}

static int sweep_run(struct commit_txn *txn, void *ctx)
{
    struct sweep *sweep = ctx;

    sweep->purged = sweep->done = 0;
    commit_pace_begin(&sweep->pace);
    while (sweep->done < sweep->n && sweep->purged < sweep->limit &&
           (sweep->done == 0 || !commit_pace_over(&sweep->pace))) {
        const struct sweep_entry *entry = &sweep->entries[sweep->done];

        VS_TRY((entry->kind == KIND_OBJECT ? sweep_object : sweep_generation)(txn, entry,
                                                                             &sweep->purged));
        sweep->done++;
    }
    return VS_OK;
}

static int sweep_rounds(struct vs_store *store, struct sweep *sweep, size_t limit, size_t rounds,
                        size_t *ret_purged)
{
    size_t purged = 0;

    for (size_t i = 0; i < rounds && purged < limit && !sweep->end; i++) {
        sweep->limit = limit - purged;
        VS_TRY(due_scan(store, sweep));
        if (sweep->n == 0)
            break;
        VS_TRY(commit_run(store, sweep_run, sweep));
        commit_pace_end(&sweep->pace);
        due_step(sweep);
        purged += sweep->purged;
        if (sweep->purged > 0)
            VS_TRY(purge_finish(store));
    }
    *ret_purged = purged;
    return VS_OK;
}

/* At most `rounds` transactions: entries that must stay are stepped over, not waited for. */
static int sweep_all(struct vs_store *store, size_t limit, size_t rounds, size_t *ret_purged)
{
    struct sweep *sweep;
    int status;

    VS_TRY(purge_finish(store));
    sweep = calloc(1, sizeof(*sweep));
    if (sweep == NULL)
        return VS_E_NOMEM;
    sweep->last = key_table(TABLE_DUE);
    sweep->pace = commit_pace(SWEEP_BATCH);
    status = sweep_rounds(store, sweep, limit, rounds, ret_purged);
    free(sweep);
    return status;
}

static int boot_run(struct commit_txn *txn, void *ctx)
{
    const struct audit_entry entry = {.operation = "StoreBoot", .principal = "clock",
                                      .detail = "the first sweep of this boot"};

    (void)ctx;
    return audit_append(txn, &entry);
}

/* The strict clock goes from the first record of a boot on: where nothing else is written, a sweep
 * sees to one. */
static int boot_note(struct vs_store *store)
{
    struct clock_reading clock;
    AUTO(kv_txn) struct kv_txn *txn = NULL;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(store_reading(store, txn, &clock));
    kv_abort(txn);
    txn = NULL;
    return clock.booted ? commit_run(store, boot_run, NULL) : VS_OK;
}

int vs_sweep(struct vs_store *store, size_t limit, size_t *ret_purged)
{
    VS_TRY(store_result(store, __func__, boot_note(store)));
    return store_result(store, __func__, sweep_all(store, limit, SIZE_MAX, ret_purged));
}

int sweep_due(struct vs_store *store)
{
    size_t purged;

    return vs_sweep(store, SIZE_MAX, &purged);
}

void sweep_in_passing(struct vs_store *store)
{
    int64_t now = store->time.boot(store->time.ctx);
    int64_t after = atomic_load_explicit(&store->sweep_after, memory_order_relaxed);
    size_t purged;

    if (now < after || !atomic_compare_exchange_strong(&store->sweep_after, &after,
                                                       now + SWEEP_INTERVAL))
        return;
    store_result(store, __func__,
                 sweep_all(store, SWEEP_PASSING, SWEEP_PASSING, &purged));
}
