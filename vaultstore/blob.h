/*
 * blob.h: a backup as a stream: a plain header, then records sealed under the content key, each
 * bound to the header's hash, to its place and to being the last one or not. docs/format.md.
 */
#ifndef BLOB_H
#define BLOB_H
#include "backup_key.h"
#include "envelope.h"
#include "shamir.h"
#include "store_internal.h"

#define BLOB_FORMAT 2u
#define BLOB_OWN_MAX 3072u           /* of the own key's share, with its boxes; more than an envelope */
#define BLOB_HEAD_MAX (512u + VS_BLOB_KEYS_MAX * (BLOB_OWN_MAX + 64u))
#define BLOB_RECORD_MAX (64u << 20)

enum blob_record { BLOB_GENERATION = 1, BLOB_PRINCIPAL = 2, BLOB_OBJECT = 3, BLOB_END = 4 };
enum blob_kind { BLOB_OWN = 1, BLOB_RSA = ENVELOPE_RSA, BLOB_EC = ENVELOPE_EC };

struct blob {
    struct vs_store *store;
    int fd;
    struct vs_blob_info info;
    bool authentic;              /* made by a login of the generation that opens it, and not by who
                                  * was removed since */
    uint8_t key[SEAL_KEY];
    uint8_t head_hash[32];
    uint64_t record;             /* the next one's number */
    uint64_t at;                 /* of the file, reading */
    uint8_t *plain;              /* the last record read; secret memory */
    size_t plain_cap;
};
void blob_done(struct blob *blob);
static inline void blob_auto(struct blob *blob) { blob_done(blob); }

/* Draws the content key, seals it to the keys (none: to the own one) and writes the header. info:
 * all but id, keys. */
VS_MUST_USE int blob_begin(struct blob *blob, struct vs_store *store, int fd,
                           const struct backup_own *own, const struct vs_blob_info *info,
                           const struct vs_blob_key *keys, size_t n_keys);
/* plain begins with its enum blob_record. */
VS_MUST_USE int blob_write(struct blob *blob, const uint8_t *plain, size_t len, bool last);

/* Reads the header. */
VS_MUST_USE int blob_look(struct blob *blob, struct vs_store *store, int fd);
/* The same, and opens the content key: VS_POLICY when these keys do not. */
VS_MUST_USE int blob_open(struct blob *blob, struct vs_store *store, int fd,
                          const struct backup_keys *own, const struct vs_blob_key *keys,
                          size_t n_keys);
/* The next record; VS_END after the last, which must be BLOB_END. */
VS_MUST_USE int blob_read(struct blob *blob, struct reader *ret_body, enum blob_record *ret_kind);
/* To the first record again. */
VS_MUST_USE int blob_rewind(struct blob *blob);
#endif
