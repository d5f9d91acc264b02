/*
 * purge.c: the end of objects and generations. Two steps: a transaction takes the record away
 * and notes the slot as pending; after it is on disk the slot is overwritten and synced; then a
 * second transaction takes the note away. What a crash leaves in between is done by whoever
 * opens the store next, or sweeps. Slots are never used again, so it may be done twice.
 */
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "purge.h"
#include "store_internal.h"

#define PURGE_BATCH 256u          /* objects, or slots, to one transaction */
#define CLEAR_BATCH 1024u         /* keys */

/* ------------------------------------------------------------------ first step */

static int pending_put(struct commit_txn *txn, enum schema_kind kind, uint64_t what)
{
    struct key key = key_pending(kind, what);
    uint8_t body[1];
    struct writer w;

    writer_init(&w, body, sizeof(body));
    return trusted_put(txn, &key, &w);
}

int purge_object(struct commit_txn *txn, const struct object_record *record, const char *principal)
{
    const struct vs_header header = record->header;
    const struct index_tags tags = record->tags;
    const struct index_partition partition = object_partition(&header);
    const struct audit_entry entry = {.vault = header.vault, .generation = header.generation,
                                      .operation = "KeyPurge", .principal = principal,
                                      .id = &header.id, .object_version = header.version};
    struct key key = key_object(&header.id);
    struct key due = key_due(header.purge_at, KIND_OBJECT, &header.id);
    struct key approvals = key_approval(&header.id);
    struct vs_tombstone tombstone = {.id = header.id, .vault = header.vault,
                                     .generation = header.generation, .kind = header.kind,
                                     .deleted_at = header.deleted_at};
    struct key restored = key_restored(header.generation, &header.id);

    VS_TRY(commit_delete(txn, &key));
    if (header.slot != 0)
        VS_TRY(commit_discard(txn, &restored));
    VS_TRY(index_remove(txn, &partition, &tags, &header.id));
    VS_TRY(commit_discard(txn, &due));
    memcpy(tombstone.deleted_by, header.deleted_by, sizeof(tombstone.deleted_by));
    memcpy(tombstone.reason, header.delete_reason, sizeof(tombstone.reason));
    memcpy(tombstone.label, header.label, sizeof(tombstone.label));
    actor_name(txn->store, principal, tombstone.purged_by);
    VS_TRY(tombstone_put(txn, &tombstone));
    VS_TRY(commit_discard(txn, &approvals));
    VS_TRY(pending_put(txn, KIND_OBJECT, object_slot(&header)));
    return audit_append(txn, &entry);
}

int purge_generation(struct commit_txn *txn, struct generation *g, const char *principal)
{
    const struct vs_id id = generation_id(g);
    const struct audit_entry entry = {.vault = g->vault, .generation = g->number,
                                      .operation = "VaultPurge", .principal = principal,
                                      .id = &id};
    struct key due = key_due(g->purge_at, KIND_GENERATION, &id);

    struct vs_tombstone tombstone = {.id = id, .vault = g->vault, .generation = g->number,
                                     .deleted_at = g->deleted_at};

    g->state = GENERATION_PURGED;
    VS_TRY(generation_put(txn, g));
    VS_TRY(commit_discard(txn, &due));
    memcpy(tombstone.deleted_by, g->deleted_by, sizeof(tombstone.deleted_by));
    actor_name(txn->store, principal, tombstone.purged_by);
    VS_TRY(tombstone_put(txn, &tombstone));
    VS_TRY(pending_put(txn, KIND_GENERATION, pending_generation(g->vault, g->number)));
    return audit_append(txn, &entry);
}

/* ------------------------------------------------------------------ keys by prefix */

struct clear { const struct key *prefix; size_t limit, n; };

/* Within a transaction: deletes at most limit keys of a prefix; n says how many. */
static int clear_run(struct commit_txn *txn, void *ctx)
{
    struct clear *clear = ctx;

    for (clear->n = 0; clear->n < clear->limit; clear->n++) {
        AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
        struct kv_slice key, value;
        struct key copy;
        int status;

        VS_TRY(kv_cursor_open(txn->kv, &cursor));
        status = kv_cursor_seek(cursor, clear->prefix->b, clear->prefix->len, &key, &value);
        if (status == VS_END || (status == VS_OK && !key_has_prefix(&key, clear->prefix)))
            return VS_OK;
        VS_TRY(status);
        if (key.len > sizeof(copy.b))
            return VS_E_CORRUPT;
        memcpy(copy.b, key.data, key.len);
        copy.len = key.len;
        VS_TRY(commit_delete(txn, &copy));
    }
    return VS_OK;
}

/* All keys of a prefix, in transactions short enough for others to come between. */
static int clear_prefix(struct vs_store *store, const struct key *prefix)
{
    struct clear clear = {.prefix = prefix, .limit = CLEAR_BATCH};

    do
        VS_TRY(commit_run(store, clear_run, &clear));
    while (clear.n == clear.limit);
    return VS_OK;
}

/* ------------------------------------------------------------------ clearing a generation */

/* The next objects of a generation, by their place in a table. Those that have the ids of another
 * store (restored here) are listed in a table of their own, with their slots; no tombstone of the
 * generation speaks for them. */
struct object_batch {
    struct vs_id ids[PURGE_BATCH];
    uint64_t slots[PURGE_BATCH];
    size_t n;
    const struct generation *restored;    /* whose; NULL: the generation's own */
};

static int object_slot_of(struct vs_store *store, const struct object_batch *batch,
                          const struct kv_slice *key, const struct kv_slice *value,
                          const struct vs_id *id, uint64_t *ret_slot)
{
    struct key place = {.len = key->len};
    struct reader r;

    *ret_slot = id_seq(id);
    if (batch->restored == NULL)
        return VS_OK;
    memcpy(place.b, key->data, key->len);
    VS_TRY(schema_open(store->sealer, store->keys->mac, &place, value, &r));
    *ret_slot = get_u64(&r);
    return reader_end(&r) ? VS_OK : VS_E_CORRUPT;
}

static int objects_collect(struct vs_store *store, const struct key *prefix,
                           struct object_batch *batch)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct kv_slice key, value;
    int status;

    batch->n = 0;
    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, prefix->b, prefix->len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, prefix) && batch->n < PURGE_BATCH) {
        struct vs_id *id = &batch->ids[batch->n];

        if (key.len < sizeof(id->b) || key.len > sizeof(prefix->b))
            return VS_E_CORRUPT;
        memcpy(id->b, key.data + key.len - sizeof(id->b), sizeof(id->b));
        VS_TRY(object_slot_of(store, batch, &key, &value, id, &batch->slots[batch->n]));
        batch->n++;
        status = kv_cursor_next(cursor, &key, &value);
    }
    return status == VS_END ? VS_OK : status;
}

static int restored_drop(struct commit_txn *txn, const struct generation *g,
                         const struct vs_id *id)
{
    struct key entry = key_restored(g->number, id);
    struct vs_tombstone tombstone = {.id = *id, .vault = g->vault, .generation = g->number,
                                     .deleted_at = g->deleted_at};

    memcpy(tombstone.deleted_by, g->deleted_by, sizeof(tombstone.deleted_by));
    actor_name(txn->store, "sweep", tombstone.purged_by);
    VS_TRY(tombstone_put(txn, &tombstone));
    return commit_discard(txn, &entry);
}

/* Their slots are wiped: the records go, and the due entries of those that were deleted. */
static int objects_drop(struct commit_txn *txn, void *ctx)
{
    const struct object_batch *batch = ctx;

    for (size_t i = 0; i < batch->n; i++) {
        struct key key = key_object(&batch->ids[i]), approvals = key_approval(&batch->ids[i]);
        struct object_record record;
        int status = object_load(txn->store, txn->kv, &batch->ids[i], &record);

        if (status == VS_OK && record.header.state == VS_STATE_DELETED) {
            struct key due = key_due(record.header.purge_at, KIND_OBJECT, &batch->ids[i]);
            VS_TRY(commit_discard(txn, &due));
        }
        if (status != VS_NOT_FOUND && status != VS_E_CORRUPT)
            VS_TRY(status);
        VS_TRY(commit_discard(txn, &key));
        VS_TRY(commit_discard(txn, &approvals));
        if (batch->restored != NULL)
            VS_TRY(restored_drop(txn, batch->restored, &batch->ids[i]));
    }
    return VS_OK;
}

static int objects_clear(struct vs_store *store, const struct key *prefix,
                         const struct generation *restored)
{
    struct object_batch *batch = malloc(sizeof(*batch));
    int status = batch == NULL ? VS_E_NOMEM : VS_OK;

    if (batch != NULL)
        batch->restored = restored;
    while (status == VS_OK) {
        status = objects_collect(store, prefix, batch);
        if (status != VS_OK || batch->n == 0)
            break;
        status = keyslots_wipe(store->slots, batch->slots, batch->n);
        if (status == VS_OK)
            status = commit_run(store, objects_drop, batch);
    }
    free(batch);
    return status;
}

static int generation_look(struct vs_store *store, uint32_t vault, uint32_t number,
                           struct generation *ret_generation)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;

    VS_TRY(kv_read(store->kv, &txn));
    return generation_get(store, txn, vault, number, ret_generation);
}

static int key_drop(struct commit_txn *txn, void *ctx)
{
    return commit_discard(txn, (const struct key *)ctx);
}

/* Everything of a purged generation; its own record last, which says what is to be done. */
static int generation_clear(struct vs_store *store, uint64_t what)
{
    uint32_t vault = (uint32_t)(what >> 32), number = (uint32_t)what;
    struct key indexes = key_indexes(number), principals = key_principals(number);
    struct key backups = key_backups(number);
    struct key record = key_generation(vault, number), restored = key_restored(number, NULL);
    struct key objects;
    struct generation g;
    int status = generation_look(store, vault, number, &g);

    if (status == VS_NOT_FOUND)
        return VS_OK;
    VS_TRY(status);
    if (g.state != GENERATION_PURGED)
        return VS_E_CORRUPT;
    VS_TRY(keyslots_wipe(store->slots, &g.slot, 1));
    objects = key_objects(g.tag);
    VS_TRY(objects_clear(store, &objects, NULL));
    VS_TRY(objects_clear(store, &restored, &g));
    VS_TRY(clear_prefix(store, &indexes));
    VS_TRY(clear_prefix(store, &principals));
    VS_TRY(clear_prefix(store, &backups));
    return commit_run(store, key_drop, &record);
}

/* ------------------------------------------------------------------ second step */

/* From `from` on; what does not authenticate is passed over, and stays. */
struct pending {
    struct key keys[PURGE_BATCH], from;
    uint64_t what[PURGE_BATCH];
    size_t n;
    bool end;
};

static int pending_add(struct vs_store *store, struct pending *pending, const struct kv_slice *key,
                       const struct kv_slice *value)
{
    struct key *copy = &pending->keys[pending->n];
    struct reader r;
    int status;

    memcpy(copy->b, key->data, key->len);
    copy->len = key->len;
    pending->from = *copy;
    pending->from.b[pending->from.len++] = 0;    /* what follows it */
    status = schema_open(store->sealer, store->keys->mac, copy, value, &r);
    if (status == VS_E_CORRUPT) {
        store_trace(store, __func__, "what is pending of a purge does not authenticate");
        return VS_OK;
    }
    VS_TRY(status);
    reader_init(&r, key->data + 2, key->len - 2);
    pending->what[pending->n++] = get_u64(&r);
    return VS_OK;
}

static int pending_collect(struct vs_store *store, enum schema_kind kind, struct pending *pending)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    const size_t len = key_pending(kind, 0).len;
    struct kv_slice key, value;
    int status;

    pending->n = 0;
    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, pending->from.b, pending->from.len, &key, &value);
    while (status == VS_OK && key.data[0] == TABLE_PENDING && pending->n < PURGE_BATCH &&
           key.len == len && key.data[1] == (uint8_t)kind) {
        VS_TRY(pending_add(store, pending, &key, &value));
        status = kv_cursor_next(cursor, &key, &value);
    }
    pending->end = pending->n < PURGE_BATCH;
    return status == VS_END ? VS_OK : status;
}

static int pending_drop(struct commit_txn *txn, void *ctx)
{
    const struct pending *pending = ctx;

    for (size_t i = 0; i < pending->n; i++)
        VS_TRY(commit_discard(txn, &pending->keys[i]));
    return VS_OK;
}

/* Leaves those that are done. A generation that is damaged waits, and holds up no other. */
static int pending_do(struct vs_store *store, enum schema_kind kind, struct pending *pending)
{
    size_t done = 0;

    if (kind == KIND_OBJECT)
        return keyslots_wipe(store->slots, pending->what, pending->n);
    for (size_t i = 0; i < pending->n; i++) {
        int status = generation_clear(store, pending->what[i]);

        if (status == VS_E_CORRUPT) {
            store_trace(store, __func__, "a purged generation is damaged, and cannot be cleared");
            continue;
        }
        VS_TRY(status);
        pending->keys[done++] = pending->keys[i];
    }
    pending->n = done;
    return VS_OK;
}

int purge_finish(struct vs_store *store)
{
    struct pending *pending = malloc(sizeof(*pending));
    int status = pending == NULL ? VS_E_NOMEM : VS_OK;

    for (int kind = KIND_OBJECT; kind <= KIND_GENERATION && status == VS_OK; kind++) {
        pending->from = key_pending((enum schema_kind)kind, 0);
        do {
            status = pending_collect(store, (enum schema_kind)kind, pending);
            if (status == VS_OK && pending->n > 0)
                status = pending_do(store, (enum schema_kind)kind, pending);
            if (status == VS_OK && pending->n > 0)
                status = commit_run(store, pending_drop, pending);
        } while (status == VS_OK && !pending->end);
    }
    free(pending);
    return status;
}

/* ------------------------------------------------------------------ by hand */

struct purge {
    uint32_t vault;
    const struct vs_login *login;
    const struct vs_id *id;
    uint32_t generation;
    int64_t purge_at;
    bool pending;                 /* the approval is noted, and is not the last */
    struct vs_approvals approvals;
};

static int purge_approve(struct commit_txn *txn, struct purge *p, const struct vs_policy *policy,
                         const struct vs_header *header)
{
    char detail[64];
    const struct audit_entry entry = {.vault = p->vault, .generation = p->generation,
                                      .operation = "KeyPurgeApprove", .id = p->id,
                                      .principal = login_name(p->login), .detail = detail};

    VS_TRY(approval_add(txn, header, policy, p->login, &p->approvals));
    p->pending = p->approvals.n < p->approvals.wanted;
    snprintf(detail, sizeof(detail), "%u of %u", (unsigned)p->approvals.n,
             (unsigned)p->approvals.wanted);
    return audit_append(txn, &entry);
}

static int purge_run(struct commit_txn *txn, void *ctx)
{
    struct purge *p = ctx;
    struct vs_header judged;
    uint32_t verbs = 0;
    struct object_record record;
    struct generation live;
    enum vs_state next;

    VS_TRY(generation_enter(txn->store, txn->kv, p->vault, p->login, &live));
    if (live.lock != 0)
        return VS_LOCKED;
    VS_TRY(object_load(txn->store, txn->kv, p->id, &record));
    if (record.header.generation != live.number)
        return VS_NOT_FOUND;
    p->generation = live.number;
    p->purge_at = record.header.purge_at;
    if (live.hold && record.header.state == VS_STATE_DELETED)
        return VS_HELD;
    VS_TRY(lifecycle_next(record.header.state, record.header.prior, ACTION_PURGE, &next));
    VS_TRY(login_judge(txn->store, txn->kv, p->login, &record.header, &judged, &verbs));
    VS_TRY(policy_allows(&live.policy, &judged, verbs, ACTION_PURGE,
                         object_now(&txn->clock, &live.policy, &record.header)));
    p->pending = false;
    if (live.policy.purge_approvals > 1 &&
        !object_past_due(&record.header, object_now(&txn->clock, &live.policy, &record.header)))
        VS_TRY(purge_approve(txn, p, &live.policy, &record.header));
    return p->pending ? VS_OK : purge_object(txn, &record, login_name(p->login));
}

int vs_object_purge(struct vs_store *store, uint32_t vault, struct vs_login *login,
                    const struct vs_id *id)
{
    struct vs_approvals approvals;

    return vs_object_purge_told(store, vault, login, id, &approvals);
}

int vs_object_purge_told(struct vs_store *store, uint32_t vault, struct vs_login *login,
                         const struct vs_id *id, struct vs_approvals *ret_approvals)
{
    struct purge p = {.vault = vault, .login = login, .id = id};
    int status = commit_run(store, purge_run, &p);

    if (status == VS_RETAINED || status == VS_HELD) {
        char detail[96];
        const struct audit_entry entry = {.vault = vault, .generation = p.generation,
                                          .operation = "KeyPurge", .result = status, .id = id,
                                          .principal = login_name(login),
                                          .detail = detail};
        snprintf(detail, sizeof(detail), "refused: %s until %s",
                 status == VS_HELD ? "held" : "retained", time_text(p.purge_at).text);
        audit_refusal(store, &entry);
    }
    *ret_approvals = p.approvals;
    if (status == VS_OK && p.pending)
        return VS_PENDING;
    if (status == VS_OK)
        status = purge_finish(store);
    return store_result(store, __func__, status);
}
