/*
 * schema.h: what lies under which key. One flat ordered key space; a key's first byte is its
 * table, integers in keys are big-endian, so that a cursor walks them in their natural order.
 * Records of all tables but objects, indexes, due dates and audit are `trusted`: a body followed
 * by a MAC over key and body under the host key. docs/format.md has the exact layouts.
 */
#ifndef SCHEMA_H
#define SCHEMA_H
#include "kv.h"
#include "record.h"
#include "seal.h"

#define SCHEMA_VERSION VS_FORMAT
#define SCHEMA_MAC 16u             /* bytes of a truncated HMAC-SHA256 */
#define SCHEMA_BODY_MAX 512u       /* the body of a trusted record */

enum schema_table {
    TABLE_META = 0x01,
    TABLE_VAULT = 0x02,
    TABLE_GENERATION = 0x03,
    TABLE_PRINCIPAL = 0x04,
    TABLE_OBJECT = 0x05,
    TABLE_INDEX = 0x06,
    TABLE_DUE = 0x07,
    TABLE_TOMBSTONE = 0x08,
    TABLE_PENDING = 0x09,
    TABLE_AUDIT = 0x0a,
    TABLE_APPROVAL = 0x12,      /* who asked for a purge that takes several */
    TABLE_AUDIT_OF = 0x0e,      /* events by object */
    TABLE_USE = 0x0f,           /* how often a key was used */
    TABLE_BACKUP_KEY = 0x15,    /* a generation's backup keys of former epochs */
    TABLE_RESTORED = 0x14,      /* a generation's objects that have another store's ids */
};

/* In due dates and pending work: what the entry is about. */
enum schema_kind { KIND_OBJECT = 0, KIND_GENERATION = 1 };

struct key { uint8_t b[48]; size_t len; };

struct key key_table(enum schema_table table);                 /* a table's lower bound */
struct key key_meta(void);
struct key key_vault(uint32_t vault);
struct key key_generation(uint32_t vault, uint32_t generation);
struct key key_generations(uint32_t vault);                    /* prefix: of one vault */
struct key key_principal(uint32_t generation, enum vs_role role);
#define PRINCIPAL_NAMED 3u         /* in place of a role: a name follows */
#define PRINCIPAL_GRANT 4u         /* a principal's number and an object's id follow */
struct key key_named(uint32_t generation, const char *name);   /* "": prefix of all names */
struct key key_grant(uint32_t generation, const uint8_t number[8], const struct vs_id *id);
struct key key_grants(uint32_t generation, const uint8_t number[8]);   /* prefix */
struct key key_principals(uint32_t generation);                /* prefix: of one generation */
struct key key_object(const struct vs_id *id);
struct key key_objects(const uint8_t tag[8]);                  /* prefix: of one generation */
struct key key_due(int64_t purge_at, enum schema_kind kind, const struct vs_id *id);
struct key key_tombstone(const struct vs_id *id);
struct key key_approval(const struct vs_id *id);
struct key key_pending(enum schema_kind kind, uint64_t what);  /* slot, or vault and generation */
struct key key_audit(uint64_t seq);
struct key key_audit_of(const struct vs_id *id, uint64_t seq);
struct key key_use(const struct vs_id *id);
struct key key_backups(uint32_t generation);                   /* prefix: of one generation */
struct key key_backup(uint32_t generation, uint64_t epoch);
struct key key_restored(uint32_t generation, const struct vs_id *id);  /* NULL: prefix of all */

/*
 * An entry of the index; a prefix of it when id, or tag, is NULL (without a tag: of INDEX_ALL alone).
 * In INDEX_ALL what is deleted lies apart, so that a walk sees one kind only. In the others it lies
 * behind what is live under the same tag: a delete moves an entry within its page.
 */
#define INDEX_ALL 0u
struct index_partition { uint32_t generation; bool deleted, is_private; };
struct key key_index(const struct index_partition *partition, uint8_t index, const uint8_t *tag,
                     const struct vs_id *id);
struct key key_indexes(uint32_t generation);                   /* prefix: of one generation */
#define KEY_INDEX_ID 24u                                       /* where the id is in an index key */

bool key_has_prefix(const struct kv_slice *key, const struct key *prefix);

struct vs_id id_make(const uint8_t tag[8], uint64_t seq);
uint64_t id_seq(const struct vs_id *id);
/* A generation named where an id is expected: tag and slot of the generation. */
uint64_t pending_generation(uint32_t vault, uint32_t generation);

/* The MAC of a record: over its key, its body and `more`, 16 bytes or NULL. */
VS_MUST_USE int schema_mac(struct sealer *sealer, const uint8_t mac_key[SEAL_KEY],
                           const struct key *key, const uint8_t *body, size_t body_len,
                           const uint8_t *more, uint8_t ret_mac[SCHEMA_MAC]);
/* Checks the MAC of a trusted record and gives its body. VS_E_CORRUPT. */
VS_MUST_USE int schema_open(struct sealer *sealer, const uint8_t mac_key[SEAL_KEY],
                            const struct key *key, const struct kv_slice *value,
                            struct reader *ret_body);
#endif
