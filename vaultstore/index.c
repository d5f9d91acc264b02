/* index.c: terms to tags, and the entries they make. */
#include "index.h"

#include "store_internal.h"

#define TERM_STACK 256u

/* ------------------------------------------------------------------ entries */

/* Borrowed from the login, or from the store. */
struct tag_keys { const uint8_t *all, *key; };

static int tag_keys(struct vs_store *store, const struct vs_login *login, bool is_private,
                    uint64_t epoch, struct tag_keys *ret_keys)
{
    const struct login_ring *ring = is_private ? login_ring_of(login, epoch) : NULL;

    if (is_private && ring == NULL)
        return VS_REVOKED;
    ret_keys->all = is_private ? login->first_index_key : store->keys->index;
    ret_keys->key = is_private ? ring->index_key : store->keys->index;
    return VS_OK;
}

static int tag_make(struct vs_store *store, const struct tag_keys *keys,
                    const struct vs_term *term, struct index_tag *ret_tag)
{
    const uint8_t *key = term->index == INDEX_ALL ? keys->all : keys->key;
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

static int tags_make(struct vs_store *store, const struct tag_keys *keys,
                     const struct vs_term *terms, size_t n_terms, struct index_tags *ret_tags)
{
    static const struct vs_term nothing = {.index = INDEX_ALL, .value = NULL, .len = 0};
    size_t listed = 0;

    if (n_terms > VS_INDEX_MAX)
        return VS_POLICY;
    ret_tags->n = 0;
    for (size_t i = 0; i < n_terms; i++) {
        listed += terms[i].index == INDEX_ALL ? 1 : 0;
        VS_TRY(tag_make(store, keys, &terms[i], &ret_tags->tag[ret_tags->n++]));
    }
    if (listed == 0)
        VS_TRY(tag_make(store, keys, &nothing, &ret_tags->tag[ret_tags->n++]));
    return listed > 1 ? VS_POLICY : VS_OK;
}

int index_tags_make(struct vs_store *store, const struct vs_login *login, bool is_private,
                    uint64_t epoch, const struct vs_term *terms, size_t n_terms,
                    struct index_tags *ret_tags)
{
    struct index_tags made;
    struct tag_keys keys;

    memset(&made, 0, sizeof(made));
    VS_TRY(tag_keys(store, login, is_private, epoch, &keys));
    VS_TRY(tags_make(store, &keys, terms, n_terms, &made));
    made.epoch = is_private ? epoch : 0;
    *ret_tags = made;
    return VS_OK;
}

int index_tags_renew(struct vs_store *store, const struct vs_login *login, bool is_private,
                     uint64_t epoch, const struct vs_term *terms, size_t n_terms,
                     struct index_tags *tags)
{
    if (!is_private || tags->epoch == epoch)
        return VS_OK;
    return index_tags_make(store, login, true, epoch, terms, n_terms, tags);
}

struct retag {
    struct vs_store *store;
    struct tag_keys keys;
    struct index_tags *tags;
};

static int retag_then(void *ctx, const struct vs_term *terms, size_t n)
{
    const struct retag *retag = ctx;

    return tags_make(retag->store, &retag->keys, terms, n, retag->tags);
}

int index_tags_retag(struct vs_store *store, const struct vs_login *login, bool is_private,
                     uint64_t epoch, const uint8_t *attrs, size_t attrs_len,
                     struct index_tags *tags)
{
    struct index_tags made = *tags;
    struct retag retag = {.store = store, .tags = &made};
    struct tag_keys before;

    if (!is_private || tags->epoch == epoch)
        return VS_OK;
    VS_TRY(tag_keys(store, login, true, tags->epoch, &before));
    VS_TRY(tag_keys(store, login, true, epoch, &retag.keys));
    made.epoch = epoch;
    if (!seal_equal(before.key, retag.keys.key, SEAL_KEY)) {
        if (store->terms == NULL)
            return VS_E_CORRUPT;
        VS_TRY(store->terms(attrs, attrs_len, retag_then, &retag));
    }
    *tags = made;                 /* only now: a change that failed is run again */
    return VS_OK;
}

bool index_tags_same(const struct index_tags *a, const struct index_tags *b)
{
    return a->n == b->n && memcmp(a->tag, b->tag, a->n * sizeof(a->tag[0])) == 0;
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

int index_move(struct commit_txn *txn, const struct index_partition *from,
               const struct index_tags *tags_before, const struct index_partition *to,
               const struct index_tags *tags, const struct vs_id *id)
{
    if (from->deleted == to->deleted && index_tags_same(tags_before, tags))
        return VS_OK;
    VS_TRY(index_remove(txn, from, tags_before, id));
    return index_add(txn, to, tags, id);
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

