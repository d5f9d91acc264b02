/* name.c: labels. To the store a label is the tag of the index that vs_options.name_index names. */
#include "change.h"

static const struct index_tag *name_tag(const struct vs_store *store, const struct index_tags *tags)
{
    for (size_t i = 0; i < tags->n; i++)
        if (store->name_index != 0 && tags->tag[i].index == store->name_index)
            return &tags->tag[i];
    return NULL;
}

bool name_same(const struct vs_store *store, const struct index_tags *a, const struct index_tags *b)
{
    const struct index_tag *x = name_tag(store, a), *y = name_tag(store, b);

    return x != NULL && y != NULL && memcmp(x->tag, y->tag, sizeof(x->tag)) == 0;
}

/* The next id under a prefix of the index, VS_END after the last. */
static int name_next(struct kv_cursor *cursor, const struct key *prefix, bool first,
                     struct vs_id *ret_id)
{
    struct kv_slice key, value;

    VS_TRY(first ? kv_cursor_seek(cursor, prefix->b, prefix->len, &key, &value)
                 : kv_cursor_next(cursor, &key, &value));
    if (!key_has_prefix(&key, prefix) || key.len != KEY_INDEX_ID + sizeof(ret_id->b))
        return VS_END;
    memcpy(ret_id->b, key.data + KEY_INDEX_ID, sizeof(ret_id->b));
    return VS_OK;
}

/* A deleted object that is still there bears the name. */
static int partition_reserves(struct commit_txn *txn, const struct generation *live,
                              bool is_private, const struct index_tag *tag)
{
    const struct index_partition partition = {live->number, true, is_private};
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key prefix = key_index(&partition, tag->index, tag->tag, NULL);
    struct vs_id id;
    int status;

    VS_TRY(kv_cursor_open(txn->kv, &cursor));
    status = name_next(cursor, &prefix, true, &id);
    while (status == VS_OK) {
        struct object_record record;
        int seen = object_visible(txn->store, txn->kv, live->number, &id, &record);

        if (seen == VS_OK)
            return VS_NAME_RESERVED;
        if (seen != VS_NOT_FOUND && seen != VS_E_CORRUPT)
            return seen;
        status = name_next(cursor, &prefix, false, &id);
    }
    return status == VS_END ? VS_OK : status;
}

/* login NULL: public ones. */
static int epoch_reserves(struct commit_txn *txn, const struct generation *live,
                          const struct vs_login *login, uint64_t epoch, const struct vs_term *name)
{
    const struct index_tag *tag;
    struct index_tags tags;

    VS_TRY(index_tags_make(txn->store, login, login != NULL, epoch, name, 1, &tags));
    tag = name_tag(txn->store, &tags);
    return tag != NULL ? partition_reserves(txn, live, login != NULL, tag) : VS_OK;
}

int name_reserved(struct commit_txn *txn, const struct generation *live,
                  const struct vs_new_object *object, const struct vs_login *login)
{
    const struct vs_term *name = NULL;

    for (size_t i = 0; i < object->n_terms; i++)
        if (txn->store->name_index != 0 && object->terms[i].index == txn->store->name_index)
            name = &object->terms[i];
    if (name == NULL || name->len == 0)
        return VS_OK;
    VS_TRY(epoch_reserves(txn, live, NULL, 0, name));
    if (login == NULL)
        return VS_OK;             /* nobody can tell of private ones without the vault's key */
    VS_TRY(epoch_reserves(txn, live, login, live->rotation.epoch, name));
    return live->rotation.resealing
               ? epoch_reserves(txn, live, login, live->rotation.former_epoch, name)
               : VS_OK;
}

int name_taken(struct commit_txn *txn, const struct vs_header *header,
               const struct index_tags *tags, bool *ret_taken)
{
    const struct index_partition partition = {header->generation, false, header->is_private};
    const struct index_tag *tag = name_tag(txn->store, tags);
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct vs_id id;
    struct key prefix;
    int status;

    *ret_taken = false;
    if (tag == NULL)
        return VS_OK;
    prefix = key_index(&partition, tag->index, tag->tag, NULL);
    VS_TRY(kv_cursor_open(txn->kv, &cursor));
    status = name_next(cursor, &prefix, true, &id);
    *ret_taken = status == VS_OK;
    return status == VS_END ? VS_OK : status;
}
