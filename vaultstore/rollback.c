/*
 * rollback.c: what the SO may do about an older copy of the store: take it as it is, but for what
 * was purged since. Its slots are wiped, whatever the copy says; its records are taken away, or they
 * would be in the way of everything that goes through all objects.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "object.h"
#include "purge.h"
#include "store_internal.h"

#define LOOK_BATCH 256u           /* records to a transaction */

/* ------------------------------------------------------------------ what was purged since */

/* A walk through a table; in each transaction it goes a little further. */
struct wrecks {
    enum schema_table table;
    int (*purge)(struct commit_txn *txn, const struct key *place);
    struct key from, next;        /* next: set anew by every run */
    bool end;
};

static bool slot_is_wiped(struct vs_store *store, uint64_t slot)
{
    AUTO(secret_key) struct secret_key secret;

    return keyslots_read(store->slots, slot, secret.b) == VS_NOT_FOUND;
}

static int object_wreck(struct commit_txn *txn, const struct key *place)
{
    struct object_record record;
    struct vs_id id;
    int status;

    memcpy(id.b, place->b + place->len - sizeof(id.b), sizeof(id.b));
    status = object_load(txn->store, txn->kv, &id, &record);
    if (status == VS_E_CORRUPT)
        return VS_OK;             /* traced; nothing is purged on such a record's word */
    VS_TRY(status);
    return slot_is_wiped(txn->store, object_slot(&record.header))
               ? purge_object(txn, &record, "rollback")
               : VS_OK;
}

/* A live one stays: whose vault it is has no PIN any more to say otherwise. */
static int generation_wreck(struct commit_txn *txn, const struct key *place)
{
    struct generation g;
    struct reader r;
    uint32_t vault;
    int status;

    reader_init(&r, place->b + 1, place->len - 1);
    vault = get_u32(&r);
    status = generation_get(txn->store, txn->kv, vault, get_u32(&r), &g);
    if (status == VS_E_CORRUPT)
        return VS_OK;
    VS_TRY(status);
    return g.state == GENERATION_DELETED && slot_is_wiped(txn->store, g.slot)
               ? purge_generation(txn, &g, "rollback")
               : VS_OK;
}

/* The next keys of the table, before any of them is changed. */
static int places_next(struct commit_txn *txn, struct wrecks *w, struct key *places, size_t *ret_n)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct kv_slice key, value;
    size_t n = 0;
    int status;

    VS_TRY(kv_cursor_open(txn->kv, &cursor));
    status = kv_cursor_seek(cursor, w->from.b, w->from.len, &key, &value);
    while (status == VS_OK && key.data[0] == w->table && n < LOOK_BATCH) {
        if (key.len >= sizeof(places[n].b) || key.len < 1 + sizeof(uint64_t))
            return VS_E_CORRUPT;
        memcpy(places[n].b, key.data, key.len);
        places[n++].len = key.len;
        status = kv_cursor_next(cursor, &key, &value);
    }
    *ret_n = n;
    return status == VS_END ? VS_OK : status;
}

static int wrecks_run(struct commit_txn *txn, void *ctx)
{
    struct wrecks *w = ctx;
    struct key *places = calloc(LOOK_BATCH, sizeof(*places));
    size_t n = 0;
    int status = places == NULL ? VS_E_NOMEM : places_next(txn, w, places, &n);

    for (size_t i = 0; i < n && status == VS_OK; i++)
        status = w->purge(txn, &places[i]);
    w->end = n < LOOK_BATCH;
    if (n > 0) {
        w->next = places[n - 1];
        w->next.b[w->next.len++] = 0;    /* what follows it */
    }
    free(places);
    return status;
}

static int wrecks_purge(struct vs_store *store, enum schema_table table,
                        int (*purge)(struct commit_txn *txn, const struct key *place))
{
    struct wrecks w = {.table = table, .purge = purge, .from = key_table(table)};

    while (!w.end) {
        VS_TRY(commit_run_always(store, wrecks_run, &w));
        w.from = w.next;
    }
    return VS_OK;
}

/* ------------------------------------------------------------------ accepting */

struct acceptance {
    uint32_t vault, generation;   /* whose SO accepts: the events are that vault's, for its readers */
    const char *operation;
    uint64_t head;
    struct store_state state;
};

static int acceptance_run(struct commit_txn *txn, void *ctx)
{
    struct acceptance *a = ctx;
    char detail[96];
    const struct audit_entry entry = {.vault = a->vault, .generation = a->generation,
                                      .operation = a->operation,
                                      .principal = role_name(VS_ROLE_SO), .detail = detail};

    snprintf(detail, sizeof(detail), "the log ended at %" PRIu64 ", host.head knew %" PRIu64,
             txn->state.audit_seq, a->head);
    VS_TRY(commit_sequence_skip(txn));
    VS_TRY(audit_append(txn, &entry));
    a->state = txn->state;
    return VS_OK;
}

/* Changes nothing: processes look again at what they know of the vault. */
static int touch_run(struct commit_txn *txn, void *ctx)
{
    const uint32_t *number = ctx;
    struct vault vault;

    VS_TRY(vault_get(txn->store, txn->kv, *number, &vault));
    return vault_put(txn, &vault);
}

/*
 * The events are in the log before the mark gives way: what is accepted is on record. A crash in
 * between leaves the store protected, with more events, and without some of what was purged before.
 */
static int rollback_accept(struct vs_store *store, uint32_t vault, const uint8_t *pin,
                           size_t pin_len)
{
    AUTO(secret_key) struct secret_key vault_key;
    struct acceptance a = {.vault = vault, .operation = "RollbackFound"};
    struct generation live;
    struct log_mark mark = {.seq = 0};
    int status;

    if (!atomic_load(&store->head.protects))
        return VS_WRONG_STATE;
    VS_TRY(live_read(store, vault, &live));
    a.generation = live.number;
    VS_TRY(pin_check(store, vault, live.number, VS_ROLE_SO, pin, pin_len, &vault_key));
    status = head_read(store, &mark);
    if (status != VS_NOT_FOUND)
        VS_TRY(status);
    a.head = mark.seq;
    VS_TRY(commit_run_always(store, acceptance_run, &a));
    VS_TRY(wrecks_purge(store, TABLE_OBJECT, object_wreck));
    VS_TRY(wrecks_purge(store, TABLE_GENERATION, generation_wreck));
    a.operation = "RollbackAccept";
    VS_TRY(commit_run_always(store, acceptance_run, &a));
    VS_TRY(head_accept(store, &a.state));
    (void)store_result(store, __func__, commit_run(store, touch_run, &vault));
    return purge_finish(store);
}

int vs_rollback_accept(struct vs_store *store, uint32_t vault, const uint8_t *pin, size_t pin_len)
{
    return store_result(store, __func__, rollback_accept(store, vault, pin, pin_len));
}
