/* index.c: index entries, and finding by them. */
#include "index.h"

#include <stdlib.h>

#include "object.h"
#include "store_internal.h"

#define TERM_STACK 256u

/* ------------------------------------------------------------------ entries */

static int tag_make(struct vs_store *store, const uint8_t key[SEAL_KEY], const struct vs_term *term,
                    struct index_tag *ret_tag)
{
    uint8_t stack[TERM_STACK], mac[32], *input = stack;
    int status;

    if (term->index > UINT8_MAX)
        return VS_POLICY;
    if (term->len >= sizeof(stack))
        input = vs_secret_alloc(term->len + 1);
    if (input == NULL)
        return VS_E_NOMEM;
    input[0] = (uint8_t)term->index;
    if (term->len > 0)
        memcpy(input + 1, term->value, term->len);
    status = seal_mac(store->sealer, key, input, term->len + 1, mac);
    if (input != stack)
        vs_secret_free(input, term->len + 1);
    else
        explicit_bzero(stack, term->len + 1);
    VS_TRY(status);
    ret_tag->index = (uint8_t)term->index;
    memcpy(ret_tag->tag, mac, SEAL_TAG);
    return VS_OK;
}

int index_tags_make(struct vs_store *store, const struct vs_login *login, bool is_private,
                    const struct vs_term *terms, size_t n_terms, struct index_tags *ret_tags)
{
    static const struct vs_term nothing = {.index = 0, .value = NULL, .len = 0};
    const uint8_t *key = is_private ? login->index_key : store->keys->index;
    size_t listed = 0;

    if (n_terms > VS_INDEX_MAX)
        return VS_POLICY;
    ret_tags->n = 0;
    for (size_t i = 0; i < n_terms; i++) {
        listed += terms[i].index == 0 ? 1 : 0;
        VS_TRY(tag_make(store, key, &terms[i], &ret_tags->tag[ret_tags->n++]));
    }
    if (listed == 0)
        VS_TRY(tag_make(store, key, &nothing, &ret_tags->tag[ret_tags->n++]));
    return listed > 1 ? VS_POLICY : VS_OK;
}

int index_add(struct commit_txn *txn, const struct index_partition *partition,
              const struct index_tags *tags, const struct vs_id *id)
{
    for (size_t i = 0; i < tags->n; i++) {
        struct key key = key_index(partition, tags->tag[i].index, tags->tag[i].tag, id);
        VS_TRY(commit_put(txn, &key, "", 0));
    }
    return VS_OK;
}

int index_remove(struct commit_txn *txn, const struct index_partition *partition,
                 const struct index_tags *tags, const struct vs_id *id)
{
    for (size_t i = 0; i < tags->n; i++) {
        struct key key = key_index(partition, tags->tag[i].index, tags->tag[i].tag, id);
        VS_TRY(commit_discard(txn, &key));
    }
    return VS_OK;
}

int index_count(struct kv_txn *txn, const struct index_partition *partition, uint64_t *ret_n)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key prefix = key_index(partition, 0, NULL, NULL);
    struct kv_slice key, value;
    uint64_t n = 0;
    int status;

    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, prefix.b, prefix.len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, &prefix)) {
        n++;
        status = kv_cursor_next(cursor, &key, &value);
    }
    if (status != VS_OK && status != VS_END)
        return status;
    *ret_n = n;
    return VS_OK;
}

/* ------------------------------------------------------------------ format 2 */

/* There what was deleted lay apart in every index, and an id followed its tag. */
#define KEY_2_ID (KEY_INDEX_ID - 1u)
#define KEY_2_LEN (KEY_2_ID + sizeof(struct vs_id))

static struct key key_of_2(const struct key *old)
{
    struct index_partition partition = {0};
    struct vs_id id;
    struct reader r;

    reader_init(&r, old->b + 1, old->len - 1);
    partition.generation = get_u32(&r);
    partition.deleted = (old->b[5] & 1u) != 0;
    partition.is_private = (old->b[5] & 2u) != 0;
    memcpy(id.b, old->b + KEY_2_ID, sizeof(id.b));
    return key_index(&partition, old->b[6], old->b + 7, &id);
}

int index_relay(struct commit_txn *txn)
{
    struct key from = key_table(TABLE_INDEX);

    for (;;) {
        struct kv_cursor *cursor = NULL;
        struct kv_slice found, value;
        struct key old = {.len = 0}, key;
        int status;

        VS_TRY(kv_cursor_open(txn->kv, &cursor));
        status = kv_cursor_seek(cursor, from.b, from.len, &found, &value);
        while (status == VS_OK && found.data[0] == TABLE_INDEX && found.len != KEY_2_LEN)
            status = kv_cursor_next(cursor, &found, &value);
        if (status == VS_OK && found.data[0] == TABLE_INDEX) {
            memcpy(old.b, found.data, found.len);
            old.len = found.len;
        }
        kv_cursor_close(cursor);
        if (status != VS_OK && status != VS_END)
            return status;
        if (old.len == 0)
            return VS_OK;
        key = key_of_2(&old);
        VS_TRY(commit_delete(txn, &old));
        VS_TRY(commit_put(txn, &key, "", 0));
        from = old;
    }
}

/* ------------------------------------------------------------------ find */

/* One partition to look through: what is walked, what is probed. */
struct find_part {
    struct index_partition partition;
    struct index_tag tags[VS_QUERY_TERMS];
    struct key prefix;
};

struct vs_cursor {
    struct vs_store *store;
    uint32_t vault;
    size_t n_terms;
    struct find_part parts[2];
    size_t n_parts, part;
    struct key last;              /* where the walk is; len 0: at the partition's start */
};

static int part_add(struct vs_cursor *cursor, const struct vs_login *login,
                    const struct vs_query *query, const struct generation *live, bool is_private)
{
    const uint8_t *key = is_private ? login->index_key : cursor->store->keys->index;
    struct find_part *part = &cursor->parts[cursor->n_parts];

    part->partition = (struct index_partition){live->number, query->deleted, is_private};
    for (size_t i = 0; i < query->n_terms; i++)
        VS_TRY(tag_make(cursor->store, key, &query->terms[i], &part->tags[i]));
    part->prefix = query->n_terms == 0
                       ? key_index(&part->partition, 0, NULL, NULL)
                       : key_index(&part->partition, part->tags[0].index, part->tags[0].tag, NULL);
    cursor->n_parts++;
    return VS_OK;
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
    cursor->n_terms = query->n_terms;
    if (query->want_public)
        VS_TRY(part_add(cursor, login, query, &live, false));
    if (query->want_private && login != NULL)
        VS_TRY(part_add(cursor, login, query, &live, true));
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
                       const struct find_part *part, const struct vs_id *id)
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
    for (size_t i = 0; i < cursor->n_terms; i++)
        if (!tags_have(&record.tags, &part->tags[i]))
            return VS_NOT_FOUND;
    return VS_OK;
}

/* Has the object every term but the walked one? And if deleted: is it still to be seen? */
static int find_matches(const struct vs_cursor *cursor, struct kv_txn *txn,
                        const struct find_part *part, const struct vs_id *id, bool *ret_matches)
{
    struct kv_slice value;
    int status = VS_OK;

    for (size_t i = 1; i < cursor->n_terms && status == VS_OK; i++) {
        struct key key = key_index(&part->partition, part->tags[i].index, part->tags[i].tag, id);
        status = kv_get(txn, key.b, key.len, &value);
    }
    if (status == VS_OK && (part->partition.deleted || cursor->n_terms > 0))
        status = find_verify(cursor, txn, part, id);
    *ret_matches = status == VS_OK;
    return status == VS_NOT_FOUND ? VS_OK : status;
}

/* Walks the current partition; VS_END at its end, VS_OK when the ids are full. */
static int part_walk(struct vs_cursor *cursor, struct kv_txn *txn, struct vs_id *ret_ids,
                     size_t cap, size_t *n)
{
    AUTO(kv_cursor) struct kv_cursor *walk = NULL;
    const struct find_part *part = &cursor->parts[cursor->part];
    struct key from = cursor->last;
    struct kv_slice key, value;
    int status;

    /* From behind: of those with one tag the newest has the highest id. */
    if (from.len == 0) {
        from = part->prefix;
        memset(from.b + from.len, 0xff, sizeof(from.b) - from.len);
        from.len = sizeof(from.b);
    }
    VS_TRY(kv_cursor_open(txn, &walk));
    status = kv_cursor_before(walk, from.b, from.len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, &part->prefix) && *n < cap) {
        struct vs_id id;
        bool matches;

        if (key.len != KEY_INDEX_ID + sizeof(id.b))
            return VS_E_CORRUPT;
        memcpy(id.b, key.data + KEY_INDEX_ID, sizeof(id.b));
        memcpy(cursor->last.b, key.data, key.len);
        cursor->last.len = key.len;
        VS_TRY(find_matches(cursor, txn, part, &id, &matches));
        if (matches)
            ret_ids[(*n)++] = id;
        status = kv_cursor_prev(walk, &key, &value);
    }
    if (status == VS_OK && key_has_prefix(&key, &part->prefix))
        return VS_OK;
    return status == VS_OK ? VS_END : status;
}

static int find_next(struct vs_cursor *cursor, struct vs_id *ret_ids, size_t cap, size_t *ret_n)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct generation live;
    size_t n = 0;

    VS_TRY(kv_read(cursor->store->kv, &txn));
    VS_TRY(generation_live(cursor->store, txn, cursor->vault, &live));
    while (n < cap && cursor->part < cursor->n_parts) {
        int status = VS_END;

        /* The generation was deleted meanwhile, and every object of it: nothing is left. */
        if (live.number == cursor->parts[cursor->part].partition.generation)
            status = part_walk(cursor, txn, ret_ids, cap, &n);
        if (status == VS_END) {
            cursor->part++;
            cursor->last.len = 0;
        } else {
            VS_TRY(status);
        }
    }
    *ret_n = n;
    return VS_OK;
}

int vs_find_next(struct vs_cursor *cursor, struct vs_id *ret_ids, size_t cap, size_t *ret_n)
{
    return store_result(cursor->store, __func__, find_next(cursor, ret_ids, cap, ret_n));
}

void vs_find_close(struct vs_cursor *cursor)
{
    free(cursor);
}
