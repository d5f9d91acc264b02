/* rotate.c: the next version of a key, and which keys are due for one. */
#include <stdlib.h>

#include "change.h"
#include "rotate.h"

#define DAY INT64_C(86400)

static bool id_is_set(const struct vs_id *id)
{
    static const struct vs_id none;

    return memcmp(id, &none, sizeof(none)) != 0;
}

/* The successor's version, when there is a record of it; live says whether it can be used. */
static int successor_look(struct commit_txn *txn, const struct vs_header *former,
                          uint32_t *ret_version, bool *ret_live)
{
    struct object_record record;
    int status;

    *ret_version = former->key_version;
    *ret_live = false;
    if (!id_is_set(&former->successor))
        return VS_OK;
    status = object_load(txn->store, txn->kv, &former->successor, &record);
    if (status == VS_NOT_FOUND)
        return VS_OK;
    VS_TRY(status);
    *ret_live = record.header.state != VS_STATE_DELETED;
    if (record.header.key_version > *ret_version)
        *ret_version = record.header.key_version;
    return VS_OK;
}

int rotate_allows(struct commit_txn *txn, const struct generation *live,
                  const struct vs_login *login, const struct vs_id *former)
{
    struct object_record record;
    uint32_t verbs = 0, version;
    bool has_next;

    VS_TRY(object_visible(txn->store, txn->kv, live->number, former, &record));
    VS_TRY(login_verbs(txn->store, txn->kv, login, former, &verbs));
    if (!(verbs & VS_VERB_ROTATE))
        return VS_DENIED;
    if (record.header.state == VS_STATE_DELETED)
        return VS_WRONG_STATE;
    if (record.header.lock > 1)
        return VS_LOCKED;
    VS_TRY(successor_look(txn, &record.header, &version, &has_next));
    return has_next ? VS_WRONG_STATE : VS_OK;
}

int rotate_link(struct commit_txn *txn, const struct vs_login *login, const struct vs_id *former,
                struct vs_header *header)
{
    struct object_record record;
    uint32_t version;
    bool has_next;

    VS_TRY(object_load(txn->store, txn->kv, former, &record));
    VS_TRY(successor_look(txn, &record.header, &version, &has_next));
    header->key_version = version + 1;
    header->rotate_days = record.header.rotate_days;
    header->honeytoken = record.header.honeytoken;
    record.header.successor = header->id;
    record.header.version++;
    return object_rewrite(txn, login, &record);
}

bool rotate_superseded(const struct vs_header *header)
{
    return id_is_set(&header->successor);
}

/* ------------------------------------------------------------------ what is due */

static bool is_due(const struct vs_header *header, int64_t now)
{
    return header->rotate_days > 0 && header->state == VS_STATE_ACTIVE &&
           !id_is_set(&header->successor) &&
           now >= header->created_at + (int64_t)header->rotate_days * DAY;
}

static int due_walk(struct vs_store *store, struct kv_txn *txn, const struct generation *live,
                    const struct key *prefix, struct vs_id *ret_ids, size_t cap, size_t *n)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct kv_slice key, value;
    int64_t now = 0;
    int status;

    VS_TRY(store_clock(store, txn, &now));
    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, prefix->b, prefix->len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, prefix)) {
        struct object_record record;
        struct vs_id id;

        if (key.len < sizeof(id.b))
            return VS_E_CORRUPT;
        memcpy(id.b, key.data + key.len - sizeof(id.b), sizeof(id.b));
        if (object_load(store, txn, &id, &record) == VS_OK &&
            record.header.generation == live->number && is_due(&record.header, now)) {
            if (*n < cap)
                ret_ids[*n] = id;
            (*n)++;
        }
        status = kv_cursor_next(cursor, &key, &value);
    }
    return status == VS_OK || status == VS_END ? VS_OK : status;
}

static int rotation_due(struct vs_store *store, uint32_t vault, struct vs_id *ret_ids, size_t cap,
                        size_t *ret_n)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct generation live;
    struct key own, restored;
    size_t n = 0;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(generation_live(store, txn, vault, &live));
    own = key_objects(live.tag);
    restored = key_restored(live.number, NULL);
    VS_TRY(due_walk(store, txn, &live, &own, ret_ids, cap, &n));
    VS_TRY(due_walk(store, txn, &live, &restored, ret_ids, cap, &n));
    *ret_n = n;
    return VS_OK;
}

int vs_rotation_due(struct vs_store *store, uint32_t vault, struct vs_id *ret_ids, size_t cap,
                    size_t *ret_n)
{
    return store_result(store, __func__, rotation_due(store, vault, ret_ids, cap, ret_n));
}
