/*
 * object.h: an object's record. Header bytes (plain), a MAC under the host key over key, header
 * and the seal's authentication tag, and the sealed attributes with the header as associated
 * data. The MAC lets a sweep trust the header without a PIN; the seal binds the attributes to
 * that very header. The object key hangs on the object's slot: without it nothing opens. Whatever
 * is put is sealed under the vault key of the generation's epoch, and its tags must be of that, too.
 */
#ifndef OBJECT_H
#define OBJECT_H
#include "index.h"

#define OBJECT_HEAD_MAX SCHEMA_BODY_MAX

struct object_record {
    struct vs_header header;          /* effective, recovery_level: not stored */
    struct index_tags tags;
    struct kv_slice head;             /* the header's bytes, within the map */
    struct kv_slice sealed;           /* the same */
};

/* Reads and verifies a record. VS_NOT_FOUND, VS_E_CORRUPT. */
VS_MUST_USE int object_load(struct vs_store *store, struct kv_txn *txn, const struct vs_id *id,
                            struct object_record *ret_record);
/* The same, of a generation, and not past its purge date: what a caller may see. */
VS_MUST_USE int object_visible(struct vs_store *store, struct kv_txn *txn, uint32_t generation,
                               const struct vs_id *id, struct object_record *ret_record);
/* A header's bytes, not yet believed; what is computed is not set. VS_E_CORRUPT. */
VS_MUST_USE int object_head_decode(const struct kv_slice *head, struct vs_header *ret_header,
                                   struct index_tags *ret_tags);
/* Where in the slot file its secret is. */
uint64_t object_slot(const struct vs_header *header);
/* Is its purge date reached? Then it is gone, whether a sweep has run or not. */
bool object_past_due(const struct vs_header *header, int64_t now);

/* Opens the attributes into secret memory (released by vs_secret_free with ret_len, or
 * vs_object_done). Private without a login: VS_DENIED. */
VS_MUST_USE int object_open(struct vs_store *store, const struct vs_login *login,
                            const struct object_record *record, uint8_t **ret_attrs,
                            size_t *ret_len);
/* Seals and puts. slot_secret NULL: read from the slot file. */
VS_MUST_USE int object_put(struct commit_txn *txn, const struct vs_login *login,
                           const struct vs_header *header, const struct index_tags *tags,
                           const uint8_t *attrs, size_t attrs_len, const uint8_t *slot_secret);
/* Seals and puts anew what was loaded, with the header as it is by now (whose state is the stored
 * one); its index entries follow the index key. */
VS_MUST_USE int object_rewrite(struct commit_txn *txn, const struct vs_login *login,
                               struct object_record *record);
struct index_partition object_partition(const struct vs_header *header);
#endif
