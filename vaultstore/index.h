/*
 * index.h: index entries. A term becomes a 16-byte tag, HMAC(index key, index number || value);
 * the key is the vault's for private objects, the host's for public ones. An entry lies in its
 * generation's partition (live or deleted, public or private) under index number, tag, id. Every
 * object has one entry of index 0, if need be one without a value: a walk of index 0 lists all.
 *
 * The vault's index key changes with its vault key, and so do the tags, object by object. Index 0
 * keeps its first key, so that such a walk has an order that lasts; what it tells, the kind of an
 * object, is in the header in plain.
 */
#ifndef INDEX_H
#define INDEX_H
#include "commit.h"

#define INDEX_TAGS_MAX (VS_INDEX_MAX + 1u)

struct index_tag { uint8_t index; uint8_t tag[SEAL_TAG]; };
struct index_tags {
    struct index_tag tag[INDEX_TAGS_MAX];
    size_t n;
    uint64_t epoch;              /* of the vault key whose index key it is; public ones: 0 */
};

/*
 * login: NULL for public objects. Private ones get the index key of an epoch: VS_REVOKED, the login
 * has not got it. VS_POLICY: too many terms, or more than one of index 0.
 */
VS_MUST_USE int index_tags_make(struct vs_store *store, const struct vs_login *login,
                                bool is_private, uint64_t epoch, const struct vs_term *terms,
                                size_t n_terms, struct index_tags *ret_tags);
/* The same for tags made before the transaction, when they are of another epoch than it has. */
VS_MUST_USE int index_tags_renew(struct vs_store *store, const struct vs_login *login,
                                 bool is_private, uint64_t epoch, const struct vs_term *terms,
                                 size_t n_terms, struct index_tags *tags);
/* The same, from the attributes, by vs_options.terms. */
VS_MUST_USE int index_tags_retag(struct vs_store *store, const struct vs_login *login,
                                 bool is_private, uint64_t epoch, const uint8_t *attrs,
                                 size_t attrs_len, struct index_tags *tags);
/* Do they lead to the same entries, whatever their epoch? */
bool index_tags_same(const struct index_tags *a, const struct index_tags *b);
VS_MUST_USE int index_add(struct commit_txn *txn, const struct index_partition *partition,
                          const struct index_tags *tags, const struct vs_id *id);
VS_MUST_USE int index_remove(struct commit_txn *txn, const struct index_partition *partition,
                             const struct index_tags *tags, const struct vs_id *id);
/* From one partition and tags to others; nothing when both are the same. */
VS_MUST_USE int index_move(struct commit_txn *txn, const struct index_partition *from,
                           const struct index_tags *tags_before, const struct index_partition *to,
                           const struct index_tags *tags, const struct vs_id *id);
/* How many objects a partition holds. Walks them. */
VS_MUST_USE int index_count(struct kv_txn *txn, const struct index_partition *partition,
                            uint64_t *ret_n);
/* Format 2 to 3: every entry under its new key. */
VS_MUST_USE int index_relay(struct commit_txn *txn);
#endif
