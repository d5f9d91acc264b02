/* find.c: finding objects by their index entries. */
#include <stdlib.h>

#include "object.h"
#include "store_internal.h"

/* ------------------------------------------------------------------ what to walk */

/*
 * One partition to look through: what is walked, what is probed. While objects change over to the
 * index key of another epoch there are two ways to say it, and both are walked at once.
 */
struct find_lane { struct index_tags tags; struct key prefix; };
struct find_part {
    struct index_partition partition;
    struct find_lane lanes[2];
    size_t n_lanes;
};

struct vs_cursor {
    struct vs_store *store;
    uint32_t vault;
    struct vs_query query;
    struct find_part parts[2];
    size_t n_parts, part;
    bool with_private;
    uint64_t epoch;               /* what the lanes of the private part were made for */
    bool resealing;
    /* Where the walk of the part is. Of many terms the id alone says it, for the tags may change;
     * without terms, in INDEX_ALL, they do not. */
    bool begun;
    struct vs_id last_id;
    struct key last_key;
};

static int lane_add(struct vs_cursor *cursor, const struct vs_login *login, uint64_t epoch,
                    struct find_part *part)
{
    struct find_lane *lane = &part->lanes[part->n_lanes];
    const struct vs_query *query = &cursor->query;
    const struct index_tag *walked = &lane->tags.tag[0];

    VS_TRY(index_tags_make(cursor->store, login, part->partition.is_private, epoch, query->terms,
                           query->n_terms, &lane->tags));
    lane->prefix = query->n_terms == 0
                       ? key_index(&part->partition, INDEX_ALL, NULL, NULL)
                       : key_index(&part->partition, walked->index, walked->tag, NULL);
    part->n_lanes++;
    return VS_OK;
}

static int part_lanes(struct vs_cursor *cursor, const struct vs_login *login,
                      const struct generation *live, struct find_part *part)
{
    bool two = part->partition.is_private && live->rotation.resealing && cursor->query.n_terms > 0;

    part->n_lanes = 0;
    VS_TRY(lane_add(cursor, login, live->rotation.epoch, part));
    return two ? lane_add(cursor, login, live->rotation.former_epoch, part) : VS_OK;
}

static int part_add(struct vs_cursor *cursor, const struct vs_login *login,
                    const struct generation *live, bool is_private)
{
    struct find_part *part = &cursor->parts[cursor->n_parts++];

    part->partition = (struct index_partition){live->number, cursor->query.deleted, is_private};
    return part_lanes(cursor, login, live, part);
}

static int find_open(struct vs_store *store, uint32_t vault, const struct vs_login *login,
                     const struct vs_query *query, struct vs_cursor *cursor)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct generation live;

    if (query->n_terms > VS_QUERY_TERMS)
        return VS_POLICY;
    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(generation_enter(store, txn, vault, login, &live));
    cursor->store = store;
    cursor->vault = vault;
    cursor->query = *query;
    cursor->with_private = query->want_private && login != NULL;
    cursor->epoch = live.rotation.epoch;
    cursor->resealing = live.rotation.resealing;
    if (query->want_public)
        VS_TRY(part_add(cursor, login, &live, false));
    if (cursor->with_private)
        VS_TRY(part_add(cursor, login, &live, true));
    return VS_OK;
}

int vs_find_open(struct vs_store *store, uint32_t vault, const struct vs_login *login,
                 const struct vs_query *query, struct vs_cursor **ret_cursor)
{
    struct vs_cursor *cursor = calloc(1, sizeof(*cursor));
    int status;

    if (cursor == NULL)
        return store_result(store, __func__, VS_E_NOMEM);
    status = store_result(store, __func__, find_open(store, vault, login, query, cursor));
    if (status != VS_OK) {
        free(cursor);
        return status;
    }
    *ret_cursor = cursor;
    return VS_OK;
}

/* The vault key was rotated since, or all objects have its epoch by now. */
static int find_follow(struct vs_cursor *cursor, struct kv_txn *txn, const struct vs_login *login,
                       const struct generation *live)
{
    struct find_part *part = &cursor->parts[cursor->n_parts - 1];

    if (!cursor->with_private || part->partition.generation != live->number ||
        (cursor->epoch == live->rotation.epoch && cursor->resealing == live->rotation.resealing))
        return VS_OK;
    if (login == NULL)
        return VS_REVOKED;
    VS_TRY(login_rekey(cursor->store, txn, login, live));
    VS_TRY(part_lanes(cursor, login, live, part));
    cursor->epoch = live->rotation.epoch;
    cursor->resealing = live->rotation.resealing;
    return VS_OK;
}

static bool tags_have(const struct index_tags *tags, const struct index_tag *tag)
{
    for (size_t i = 0; i < tags->n; i++)
        if (memcmp(&tags->tag[i], tag, sizeof(*tag)) == 0)
            return true;
    return false;
}

/*
 * The entries are not authenticated, the object's header is, and has the same tags: so that an
 * edited index cannot pass one key off as another. A record that is not whole is shown: reading
 * it will say so.
 */
static int find_verify(const struct vs_cursor *cursor, struct kv_txn *txn,
                       const struct find_part *part, const struct find_lane *lane,
                       const struct vs_id *id)
{
    struct object_record record;
    struct index_partition is;
    int status = object_visible(cursor->store, txn, part->partition.generation, id, &record);

    if (status == VS_E_CORRUPT)
        return VS_OK;
    VS_TRY(status);
    is = object_partition(&record.header);
    if (is.deleted != part->partition.deleted || is.is_private != part->partition.is_private)
        return VS_NOT_FOUND;
    for (size_t i = 0; i < cursor->query.n_terms; i++)
        if (!tags_have(&record.tags, &lane->tags.tag[i]))
            return VS_NOT_FOUND;
    return VS_OK;
}

/* Has the object every term but the walked one? And if deleted: is it still to be seen? */
static int find_matches(const struct vs_cursor *cursor, struct kv_txn *txn,
                        const struct find_lane *lane, const struct vs_id *id, bool *ret_matches)
{
    const struct find_part *part = &cursor->parts[cursor->part];
    size_t n_terms = cursor->query.n_terms;
    struct kv_slice value;
    int status = VS_OK;

    for (size_t i = 1; i < n_terms && status == VS_OK; i++) {
        const struct index_tag *tag = &lane->tags.tag[i];
        struct key key = key_index(&part->partition, tag->index, tag->tag, id);
        status = kv_get(txn, key.b, key.len, &value);
    }
    if (status == VS_OK && (part->partition.deleted || n_terms > 0))
        status = find_verify(cursor, txn, part, lane, id);
    *ret_matches = status == VS_OK;
    return status == VS_NOT_FOUND ? VS_OK : status;
}

/* ------------------------------------------------------------------ walking */

/* Where one lane is within a transaction. status: VS_OK, or VS_END. */
struct lane_walk {
    const struct find_lane *lane;
    struct kv_cursor *walk;
    struct key key;
    struct vs_id id;
    int status;
};

static int lane_settle(struct lane_walk *at, int status, const struct kv_slice *key)
{
    if (status == VS_OK && !key_has_prefix(key, &at->lane->prefix))
        status = VS_END;
    at->status = status;
    if (status != VS_OK)
        return status == VS_END ? VS_OK : status;
    if (key->len != KEY_INDEX_ID + sizeof(at->id.b))
        return VS_E_CORRUPT;
    memcpy(at->key.b, key->data, key->len);
    at->key.len = key->len;
    memcpy(at->id.b, key->data + KEY_INDEX_ID, sizeof(at->id.b));
    return VS_OK;
}

/* From behind: of those with one tag the newest has the highest id. */
static int lane_begin(struct lane_walk *at, struct kv_txn *txn, const struct vs_cursor *cursor,
                      const struct find_lane *lane)
{
    struct key from = lane->prefix;
    struct kv_slice key, value;
    int status;

    at->lane = lane;
    if (!cursor->begun) {
        memset(from.b + from.len, 0xff, sizeof(from.b) - from.len);
        from.len = sizeof(from.b);
    } else if (cursor->query.n_terms == 0) {
        from = cursor->last_key;
    } else {
        memcpy(from.b + from.len, cursor->last_id.b, sizeof(cursor->last_id.b));
        from.len += sizeof(cursor->last_id.b);
    }
    VS_TRY(kv_cursor_open(txn, &at->walk));
    status = kv_cursor_before(at->walk, from.b, from.len, &key, &value);
    return lane_settle(at, status, &key);
}

static int lane_step(struct lane_walk *at)
{
    struct kv_slice key, value;
    int status = kv_cursor_prev(at->walk, &key, &value);

    return lane_settle(at, status, &key);
}

static bool ids_same(const struct vs_id *a, const struct vs_id *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* The lane whose id is the highest; NULL: all are at their end. */
static const struct lane_walk *lanes_first(const struct lane_walk *lanes, size_t n)
{
    const struct lane_walk *first = NULL;

    for (size_t i = 0; i < n; i++)
        if (lanes[i].status == VS_OK &&
            (first == NULL || memcmp(&lanes[i].id, &first->id, sizeof(first->id)) > 0))
            first = &lanes[i];
    return first;
}

/* One id, which may be in both lanes; each moves past it. */
static int lanes_take(struct vs_cursor *cursor, struct kv_txn *txn, struct lane_walk *lanes,
                      size_t n, const struct vs_id *id, bool *ret_matches)
{
    bool matches = false;

    for (size_t i = 0; i < n; i++) {
        if (lanes[i].status != VS_OK || !ids_same(&lanes[i].id, id))
            continue;
        if (!matches)
            VS_TRY(find_matches(cursor, txn, lanes[i].lane, id, &matches));
        VS_TRY(lane_step(&lanes[i]));
    }
    *ret_matches = matches;
    return VS_OK;
}

static int lanes_walk(struct vs_cursor *cursor, struct kv_txn *txn, struct lane_walk *lanes,
                      size_t n_lanes, struct vs_id *ret_ids, size_t cap, size_t *n)
{
    const struct lane_walk *first = lanes_first(lanes, n_lanes);

    for (; first != NULL && *n < cap; first = lanes_first(lanes, n_lanes)) {
        const struct vs_id id = first->id;
        bool matches = false;

        cursor->begun = true;
        cursor->last_id = id;
        cursor->last_key = first->key;
        VS_TRY(lanes_take(cursor, txn, lanes, n_lanes, &id, &matches));
        if (matches)
            ret_ids[(*n)++] = id;
    }
    return first == NULL ? VS_END : VS_OK;
}

/* Walks the current partition; VS_END at its end, VS_OK when the ids are full. */
static int part_walk(struct vs_cursor *cursor, struct kv_txn *txn, struct vs_id *ret_ids,
                     size_t cap, size_t *n)
{
    const struct find_part *part = &cursor->parts[cursor->part];
    struct lane_walk lanes[2] = {{.walk = NULL}, {.walk = NULL}};
    int status = VS_OK;

    for (size_t i = 0; i < part->n_lanes && status == VS_OK; i++)
        status = lane_begin(&lanes[i], txn, cursor, &part->lanes[i]);
    if (status == VS_OK)
        status = lanes_walk(cursor, txn, lanes, part->n_lanes, ret_ids, cap, n);
    for (size_t i = 0; i < part->n_lanes; i++)
        kv_cursor_close(lanes[i].walk);
    return status;
}

static int find_next(struct vs_cursor *cursor, const struct vs_login *login, struct vs_id *ret_ids,
                     size_t cap, size_t *ret_n)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct generation live;
    size_t n = 0;

    VS_TRY(kv_read(cursor->store->kv, &txn));
    VS_TRY(generation_live(cursor->store, txn, cursor->vault, &live));
    if (cursor->n_parts > 0)
        VS_TRY(find_follow(cursor, txn, login, &live));
    while (n < cap && cursor->part < cursor->n_parts) {
        int status = VS_END;

        /* The generation was deleted meanwhile, and every object of it: nothing is left. */
        if (live.number == cursor->parts[cursor->part].partition.generation)
            status = part_walk(cursor, txn, ret_ids, cap, &n);
        if (status == VS_END) {
            cursor->part++;
            cursor->begun = false;
        } else {
            VS_TRY(status);
        }
    }
    *ret_n = n;
    return VS_OK;
}

int vs_find_next(struct vs_cursor *cursor, const struct vs_login *login, struct vs_id *ret_ids,
                 size_t cap, size_t *ret_n)
{
    return store_result(cursor->store, __func__, find_next(cursor, login, ret_ids, cap, ret_n));
}

void vs_find_close(struct vs_cursor *cursor)
{
    free(cursor);
}
