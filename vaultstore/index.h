/*
 * index.h: index entries. A term becomes a 16-byte tag, HMAC(index key, index number || value);
 * the key is the vault's for private objects, the host's for public ones. An entry lies in its
 * generation's partition (live or deleted, public or private) under index number, tag, id. Every
 * object has one entry of index 0, if need be one without a value: a walk of index 0 lists all.
 */
#ifndef INDEX_H
#define INDEX_H
#include "commit.h"

#define INDEX_TAGS_MAX (VS_INDEX_MAX + 1u)

struct index_tag { uint8_t index; uint8_t tag[SEAL_TAG]; };
struct index_tags { struct index_tag tag[INDEX_TAGS_MAX]; size_t n; };

/* login: NULL for public objects. VS_POLICY: too many terms, or more than one of index 0. */
VS_MUST_USE int index_tags_make(struct vs_store *store, const struct vs_login *login,
                                bool is_private, const struct vs_term *terms, size_t n_terms,
                                struct index_tags *ret_tags);
VS_MUST_USE int index_add(struct commit_txn *txn, const struct index_partition *partition,
                          const struct index_tags *tags, const struct vs_id *id);
VS_MUST_USE int index_remove(struct commit_txn *txn, const struct index_partition *partition,
                             const struct index_tags *tags, const struct vs_id *id);
/* How many objects a partition holds. Walks them. */
VS_MUST_USE int index_count(struct kv_txn *txn, const struct index_partition *partition,
                            uint64_t *ret_n);
/* Format 2 to 3: every entry under its new key. */
VS_MUST_USE int index_relay(struct commit_txn *txn);
#endif
