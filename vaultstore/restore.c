/*
 * restore.c: objects out of a blob into the live generation. Twice through the blob: first every
 * object is judged and nothing is changed; then they go in, some dozens to a transaction, each
 * judged again there.
 *
 * Ids are kept. One that is of this generation goes back to its own slot, so a purge that no
 * tombstone tells of any more (an older copy of the database) still refuses it. One of another
 * store takes a fresh slot here and is entered in the table of restored objects.
 */
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "content.h"
#include "object.h"
#include "restore.h"

#define BATCH 32u
#define SEQUENCE_AHEAD (1u << 20) /* how far a database may have been put back */

/* One object of the blob on its way in. */
struct item {
    struct vs_header header;      /* as in the blob */
    uint8_t *attrs;               /* as adopted; secret memory */
    size_t attrs_len;
    struct index_tags tags;
    bool exists;
    uint32_t former;              /* the version of what it replaces */
    int status;
};

struct restore {
    struct vs_store *store;
    uint32_t vault;
    struct vs_login *login;
    const struct vs_restore *ask;
    struct blob blob;
    struct item items[BATCH];
    size_t n;
    uint64_t done, refused;
    bool applying;
};

static void item_done(struct item *item)
{
    if (item->attrs != NULL)
        vs_secret_free(item->attrs, item->attrs_len + 1);
    item->attrs = NULL;
}

static void restore_auto(struct restore **restore)
{
    struct restore *r = *restore;

    for (size_t i = 0; r != NULL && i < BATCH; i++)
        item_done(&r->items[i]);
    if (r != NULL)
        blob_done(&r->blob);
    free(r);
}

/* ------------------------------------------------------------------ may it come back? */

static bool tag_is(const struct vs_id *id, const uint8_t tag[8])
{
    return memcmp(id->b, tag, 8) == 0;
}

/* A generation of this store, not the live one: it is to be recovered itself, unless it is purged,
 * or past its date. */
static int elsewhere(struct vs_store *store, struct kv_txn *txn, const struct clock_reading *clock,
                     const struct generation *g)
{
    bool due = false;

    if (g->state == GENERATION_DELETED)
        VS_TRY(content_past_due(store, txn, clock, g, &due));
    return g->state == GENERATION_PURGED || due ? VS_NOT_FOUND : VS_WRONG_STATE;
}

/* Is there one whose objects have such ids? */
static int tag_elsewhere(struct vs_store *store, struct kv_txn *txn,
                         const struct clock_reading *clock, const struct vs_id *id)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key table = key_table(TABLE_GENERATION);
    struct kv_slice key, value;
    int status;

    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, table.b, table.len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, &table)) {
        struct generation g;
        struct reader r;
        uint32_t vault;

        reader_init(&r, key.data + 1, key.len - 1);
        vault = get_u32(&r);
        VS_TRY(generation_get(store, txn, vault, get_u32(&r), &g));
        if (tag_is(id, g.tag))
            return elsewhere(store, txn, clock, &g);
        status = kv_cursor_next(cursor, &key, &value);
    }
    return status == VS_OK || status == VS_END ? VS_OK : status;
}

/* A generation's own number is the lowest of its ids, and so is its tombstone: is the first that
 * has this tag the tombstone of a generation that is gone? Then so are its objects. */
static int tag_purged(struct vs_store *store, struct kv_txn *txn, const struct vs_id *id)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct vs_id first = id_make(id->b, 0);
    struct key from = key_tombstone(&first), place;
    struct kv_slice key, value;
    struct generation g;
    uint32_t vault, generation, kind;
    struct reader r;
    int status;

    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, from.b, from.len, &key, &value);
    if (status == VS_END || (status == VS_OK && (key.len != from.len ||
                                                 memcmp(key.data, from.b, 9) != 0)))
        return VS_OK;
    VS_TRY(status);
    memcpy(place.b, key.data, key.len);
    place.len = key.len;
    VS_TRY(trusted_get(store, txn, &place, &r));
    vault = get_u32(&r);
    generation = get_u32(&r);
    kind = get_u32(&r);
    if (!reader_ok(&r) || kind != 0)
        return VS_OK;
    status = generation_get(store, txn, vault, generation, &g);
    if (status == VS_OK && g.state != GENERATION_PURGED)
        return VS_OK;
    return status == VS_OK ? VS_NOT_FOUND : status;
}

/* An id that this store has no record of. Where its generation is one of this store's, its slot
 * tells of a purge that no tombstone tells of any more. */
static int judge_absent(struct vs_store *store, struct kv_txn *txn, const struct generation *live,
                        const struct clock_reading *clock, const struct vs_id *id)
{
    AUTO(secret_key) struct secret_key slot;
    int other = VS_OK, status;

    if (!tag_is(id, live->tag))
        other = tag_elsewhere(store, txn, clock, id);
    if (other != VS_OK && other != VS_WRONG_STATE)
        return other;
    if (other == VS_OK && !tag_is(id, live->tag))
        return tag_purged(store, txn, id);
    status = keyslots_read(store->slots, id_seq(id), slot.b);
    if (status == VS_OK || status == VS_E_CORRUPT)    /* past the end: never used since */
        return other;
    return status;
}

/*
 * VS_OK; VS_NOT_FOUND: purged; VS_WRONG_STATE: it exists, and may not be replaced, or *ret_former
 * is its record.
 */
static int judge(struct restore *r, struct kv_txn *txn, const struct generation *live,
                 const struct item *item, const struct clock_reading *clock, bool *ret_exists,
                 struct object_record *ret_former)
{
    const struct vs_id *id = &item->header.id;
    struct key tombstone = key_tombstone(id);
    struct kv_slice value;
    int status = kv_get(txn, tombstone.b, tombstone.len, &value);

    *ret_exists = false;
    if (status != VS_NOT_FOUND)
        return status == VS_OK ? VS_NOT_FOUND : status;
    if (object_past_due(&item->header, clock->now))
        return VS_NOT_FOUND;
    status = object_load(r->store, txn, id, ret_former);
    if (status == VS_NOT_FOUND)
        return judge_absent(r->store, txn, live, clock, id);
    VS_TRY(status);
    if (ret_former->header.generation != live->number) {
        struct generation g;

        status = generation_get(r->store, txn, ret_former->header.vault,
                                ret_former->header.generation, &g);
        return status == VS_OK ? elsewhere(r->store, txn, clock, &g) : status;
    }
    if (!generation_keeps(live) &&
        object_past_due(&ret_former->header, object_now(clock, &live->policy, &ret_former->header)))
        return VS_NOT_FOUND;
    *ret_exists = true;
    if (!r->ask->replace)
        return VS_WRONG_STATE;
    if (ret_former->header.lock > 1)
        return VS_LOCKED;
    return ret_former->header.is_private == item->header.is_private ? VS_OK : VS_POLICY;
}

static int restore_enter(struct restore *r, struct kv_txn *txn, struct generation *ret_live)
{
    uint32_t verbs = 0;

    VS_TRY(generation_enter(r->store, txn, r->vault, r->login, ret_live));
    if (ret_live->lock >= GENERATION_READ_ONLY)
        return VS_LOCKED;
    VS_TRY(login_verbs(r->store, txn, r->login, NULL, &verbs));
    return verbs & VS_VERB_RESTORE ? VS_OK : VS_DENIED;
}

/* ------------------------------------------------------------------ one object, outside */

struct former { uint8_t *attrs; size_t len; };

static void former_auto(struct former *former)
{
    if (former->attrs != NULL)
        vs_secret_free(former->attrs, former->len + 1);
}

/* What the store has: the verdict, and the attributes it would replace. */
static int item_look(struct restore *r, struct item *item, struct former *former)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct object_record record;
    struct generation live;
    struct clock_reading clock;

    VS_TRY(kv_read(r->store->kv, &txn));
    VS_TRY(restore_enter(r, txn, &live));
    VS_TRY(store_reading(r->store, txn, &clock));
    item->status = judge(r, txn, &live, item, &clock, &item->exists, &record);
    if (item->status < 0)
        return item->status;
    if (item->status != VS_OK || !item->exists)
        return VS_OK;
    item->former = record.header.version;
    item->status = object_open(r->store, r->login, &record, &former->attrs, &former->len);
    if (item->status == VS_NOT_FOUND)
        return VS_OK;             /* its slot is wiped: it was purged, whatever the record says */
    return item->status;
}

/* The caller's word on the attributes, and its terms. */
static int item_adopt(struct restore *r, struct item *item, const uint8_t *attrs, size_t len,
                      const struct former *former)
{
    struct vs_adopted adopted = {.attrs = attrs, .attrs_len = len};
    int status = r->ask->adopt(r->ask->ctx, &item->header, r->blob.authentic, attrs, len,
                               former->attrs, former->len, &adopted);

    if (status > 0)
        item->status = status;
    if (status != VS_OK)
        return status < 0 ? status : VS_OK;
    VS_TRY(index_tags_make(r->store, r->login, item->header.is_private,
                           item->header.is_private ? login_epoch(r->login) : 0, adopted.terms,
                           adopted.n_terms, &item->tags));
    item->attrs = vs_secret_alloc(adopted.attrs_len + 1);
    if (item->attrs == NULL)
        return VS_E_NOMEM;
    if (adopted.attrs_len > 0)
        memcpy(item->attrs, adopted.attrs, adopted.attrs_len);
    item->attrs_len = adopted.attrs_len;
    return VS_OK;
}

static int item_read(struct restore *r, struct reader *body, struct item *item)
{
    AUTO(former) struct former former = {.attrs = NULL};
    struct index_tags tags;
    const uint8_t *attrs;
    struct kv_slice head;
    size_t len;

    item_done(item);
    memset(item, 0, sizeof(*item));
    head.data = get_bytes(body, &head.len);
    attrs = get_bytes(body, &len);
    if (!reader_end(body))
        return VS_E_CORRUPT;
    VS_TRY(object_head_decode(&head, &item->header, &tags));
    if (item->header.state == VS_STATE_DELETED && item->header.prior >= VS_STATE_DELETED)
        return VS_E_CORRUPT;
    VS_TRY(item_look(r, item, &former));
    return item->status == VS_OK ? item_adopt(r, item, attrs, len, &former) : VS_OK;
}

static int item_tell(struct restore *r, const struct item *item)
{
    const struct vs_progress progress = {.done = r->done, .total = r->blob.info.objects,
                                         .object = &item->header, .status = item->status};

    return r->ask->progress != NULL && r->ask->progress(r->ask->ctx, &progress) != 0 ? VS_END
                                                                                      : VS_OK;
}

/* ------------------------------------------------------------------ one object, inside */

/* Its slot, which it may have to take; the header's `slot` says which. */
static int slot_find(struct commit_txn *txn, const struct generation *live,
                     struct vs_header *header, uint8_t ret_secret[KEYSLOT_SIZE])
{
    uint64_t seq = id_seq(&header->id);

    header->slot = 0;
    if (!tag_is(&header->id, live->tag))
        return commit_sequence(txn, &header->slot, ret_secret);
    if (seq >= txn->state.next_seq) {
        VS_TRY(keyslots_prepare(txn->store->slots, seq));
        txn->state.next_seq = seq + 1;
    }
    return keyslots_read(txn->store->slots, seq, ret_secret);
}

static int restored_put(struct commit_txn *txn, const struct vs_header *header)
{
    struct key key = key_restored(header->generation, &header->id);
    uint8_t body[8];
    struct writer w;

    if (header->slot == 0)
        return VS_OK;
    writer_init(&w, body, sizeof(body));
    put_u64(&w, header->slot);
    return trusted_put(txn, &key, &w);
}

static int due_put(struct commit_txn *txn, const struct vs_header *header)
{
    struct key due = key_due(header->purge_at, KIND_OBJECT, &header->id);

    return header->state == VS_STATE_DELETED ? commit_put(txn, &due, "", 0) : VS_OK;
}

static int put_new(struct commit_txn *txn, const struct restore *r, const struct generation *live,
                   const struct item *item, struct vs_header *header)
{
    AUTO(secret_key) struct secret_key slot;
    struct index_partition partition;

    header->version = 1;
    if (header->state == VS_STATE_DELETED)
        header->deleted_strict = txn->clock.strict;
    VS_TRY(slot_find(txn, live, header, slot.b));
    partition = object_partition(header);
    VS_TRY(object_put(txn, r->login, header, &item->tags, item->attrs, item->attrs_len, slot.b));
    VS_TRY(restored_put(txn, header));
    VS_TRY(due_put(txn, header));
    return index_add(txn, &partition, &item->tags, &header->id);
}

/* Nothing that protects it is taken away, and it is not deleted by this. */
static void header_merge(const struct vs_header *former, struct vs_header *header)
{
    header->version = former->version + 1;
    header->created_at = former->created_at;
    header->slot = former->slot;
    header->successor = former->successor;
    header->key_version = former->key_version;
    header->destroyable = former->destroyable;
    header->hold |= former->hold;
    header->honeytoken |= former->honeytoken;
    header->lock = former->lock > header->lock ? former->lock : header->lock;
    if (header->state != VS_STATE_DELETED)
        return;
    if (former->state != VS_STATE_DELETED) {
        header->state = header->prior;
        header->deleted_at = header->deleted_strict = header->purge_at = 0;
        memset(header->deleted_by, 0, sizeof(header->deleted_by));
        return;
    }
    header->deleted_at = former->deleted_at;
    header->deleted_strict = former->deleted_strict;
    memcpy(header->deleted_by, former->deleted_by, sizeof(header->deleted_by));
    if (header->purge_at < former->purge_at)
        header->purge_at = former->purge_at;
}

static int put_replaced(struct commit_txn *txn, const struct restore *r, const struct item *item,
                        const struct object_record *former, struct vs_header *header)
{
    const struct vs_header before = former->header;
    const struct index_tags tags = former->tags;
    struct index_partition from = object_partition(&before), to;
    struct key due = key_due(before.purge_at, KIND_OBJECT, &before.id);
    struct key approvals = key_approval(&before.id);

    header_merge(&before, header);
    to = object_partition(header);
    VS_TRY(object_put(txn, r->login, header, &item->tags, item->attrs, item->attrs_len, NULL));
    VS_TRY(index_remove(txn, &from, &tags, &header->id));
    if (from.deleted)
        VS_TRY(commit_discard(txn, &due));
    if (!to.deleted)              /* who asked for its purge did so of that delete */
        VS_TRY(commit_discard(txn, &approvals));
    VS_TRY(due_put(txn, header));
    return index_add(txn, &to, &item->tags, &header->id);
}

static int item_put(struct commit_txn *txn, const struct restore *r, const struct generation *live,
                    const struct item *item, const struct object_record *former)
{
    struct vs_header header = item->header;
    struct audit_entry entry = {.vault = live->vault, .generation = live->number,
                                .operation = "KeyRestore", .id = &header.id,
                                .principal = login_name(r->login),
                                .detail = item->exists ? "replaced" : NULL};

    header.vault = live->vault;
    header.generation = live->number;
    header.origin = VS_ORIGIN_RESTORED;
    header.backed_up = true;
    VS_TRY(item->exists ? put_replaced(txn, r, item, former, &header)
                        : put_new(txn, r, live, item, &header));
    entry.object_version = header.version;
    return audit_append(txn, &entry);
}

/* The vault key may have been rotated since the item was read. */
static int item_tagged(struct commit_txn *txn, const struct restore *r,
                       const struct generation *live, struct item *item)
{
    return index_tags_retag(txn->store, r->login, item->header.is_private, live->rotation.epoch,
                            item->attrs, item->attrs_len, &item->tags);
}

static int batch_run(struct commit_txn *txn, void *ctx)
{
    struct restore *r = ctx;
    struct generation live;

    VS_TRY(restore_enter(r, txn->kv, &live));
    for (size_t i = 0; i < r->n; i++) {
        struct item *item = &r->items[i];
        bool expected = item->exists;
        struct object_record former;

        item->status = judge(r, txn->kv, &live, item, &txn->clock, &item->exists, &former);
        if (item->status < 0)
            return item->status;
        if (item->status == VS_OK && tag_is(&item->header.id, live.tag) && !item->exists &&
            id_seq(&item->header.id) >= txn->state.next_seq + SEQUENCE_AHEAD)
            item->status = VS_POLICY;
        if (item->status == VS_OK &&
            (item->exists != expected || (expected && former.header.version != item->former)))
            item->status = VS_STALE;
        if (item->status == VS_OK)
            VS_TRY(item_tagged(txn, r, &live, item));
        if (item->status == VS_OK)
            VS_TRY(item_put(txn, r, &live, item, &former));
        item->exists = expected;      /* this may run again */
    }
    return VS_OK;
}

static int batch_apply(struct restore *r)
{
    if (r->n == 0)
        return VS_OK;
    VS_TRY(commit_run(r->store, batch_run, r));
    for (size_t i = 0; i < r->n; i++) {
        r->done += r->items[i].status == VS_OK ? 1 : 0;
        r->refused += r->items[i].status != VS_OK ? 1 : 0;
        VS_TRY(item_tell(r, &r->items[i]));
    }
    r->n = 0;
    return VS_OK;
}

/* ------------------------------------------------------------------ all of them */

/* Purged ones are left out, and no reason to refuse the others. */
static int item_take(struct restore *r, struct item *item)
{
    if (!r->applying) {
        r->refused += item->status != VS_OK && item->status != VS_NOT_FOUND ? 1 : 0;
        return item_tell(r, item);
    }
    if (item->status == VS_OK)
        r->n++;
    return r->n == BATCH ? batch_apply(r) : VS_OK;
}

static int objects_walk(struct restore *r)
{
    enum blob_record kind;
    struct reader body;
    uint64_t objects = 0;
    int status;

    while ((status = blob_read(&r->blob, &body, &kind)) == VS_OK) {
        if (kind != BLOB_OBJECT)
            continue;
        objects++;
        VS_TRY(item_read(r, &body, &r->items[r->n]));
        VS_TRY(item_take(r, &r->items[r->n]));
    }
    if (status != VS_END)
        return status;
    if (get_u64(&body) != objects || !reader_end(&body))
        return VS_E_CORRUPT;
    return batch_apply(r);
}

static int objects_restore(struct restore *r)
{
    VS_TRY(objects_walk(r));
    if (r->refused > 0)
        return VS_WRONG_STATE;
    if (r->ask->dry_run)
        return VS_OK;
    r->applying = true;
    VS_TRY(blob_rewind(&r->blob));
    VS_TRY(objects_walk(r));
    return r->refused > 0 ? VS_WRONG_STATE : VS_OK;
}

/* Who may not is told so, and not whether the keys fit. */
static int restore_allowed(struct restore *r)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct generation live;

    if (r->ask->settings)
        return vs_login_verbs(r->login) & VS_VERB_POLICY ? VS_OK : VS_DENIED;
    VS_TRY(kv_read(r->store->kv, &txn));
    return restore_enter(r, txn, &live);
}

static int restore_run(struct restore *r)
{
    AUTO(backup_keys) struct backup_keys own = {.key = NULL};

    VS_TRY(restore_allowed(r));
    VS_TRY(backup_keys_read(r->store, r->login, &own));
    VS_TRY(blob_open(&r->blob, r->store, r->ask->fd, &own, r->ask->keys, r->ask->n_keys));
    return r->ask->settings
               ? restore_settings(r->store, r->vault, r->login, &r->blob, r->ask, &r->done)
               : objects_restore(r);
}

int vs_restore(struct vs_store *store, uint32_t vault, struct vs_login *login,
               const struct vs_restore *restore, uint64_t *ret_restored)
{
    AUTO(restore) struct restore *r = NULL;
    int status;

    if (login == NULL)
        return VS_DENIED;
    r = calloc(1, sizeof(*r));
    if (r == NULL)
        return VS_E_NOMEM;
    r->store = store;
    r->vault = vault;
    r->login = login;
    r->ask = restore;
    status = restore_run(r);
    if (status > 0 && status != VS_REVOKED) {
        const struct audit_entry entry = {.vault = vault, .generation = login->generation,
                                          .operation = "VaultRestore", .result = status,
                                          .principal = login_name(login)};
        audit_refusal(store, &entry);
    }
    if (status == VS_OK)
        *ret_restored = r->done;
    return store_result(store, __func__, status);
}
