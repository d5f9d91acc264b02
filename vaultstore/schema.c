/* schema.c: key builders and the MAC of trusted records. */
#include "schema.h"

#include <string.h>

#include "auto.h"

#define MAC_INPUT_MAX (sizeof(((struct key *)0)->b) + SCHEMA_BODY_MAX + 2u * SEAL_TAG)

static void key_u8(struct key *key, uint8_t v)
{
    key->b[key->len++] = v;
}

static void key_u32(struct key *key, uint32_t v)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        key_u8(key, (uint8_t)(v >> shift));
}

static void key_u64(struct key *key, uint64_t v)
{
    key_u32(key, (uint32_t)(v >> 32));
    key_u32(key, (uint32_t)v);
}

static void key_raw(struct key *key, const void *data, size_t len)
{
    memcpy(key->b + key->len, data, len);
    key->len += len;
}

struct key key_table(enum schema_table table)
{
    struct key key = {.len = 0};

    key_u8(&key, (uint8_t)table);
    return key;
}

struct key key_meta(void)
{
    struct key key = key_table(TABLE_META);

    key_raw(&key, "version", 7);
    return key;
}

struct key key_vault(uint32_t vault)
{
    struct key key = key_table(TABLE_VAULT);

    key_u32(&key, vault);
    return key;
}

struct key key_generations(uint32_t vault)
{
    struct key key = key_table(TABLE_GENERATION);

    key_u32(&key, vault);
    return key;
}

struct key key_generation(uint32_t vault, uint32_t generation)
{
    struct key key = key_generations(vault);

    key_u32(&key, generation);
    return key;
}

struct key key_principals(uint32_t generation)
{
    struct key key = key_table(TABLE_PRINCIPAL);

    key_u32(&key, generation);
    return key;
}

struct key key_principal(uint32_t generation, enum vs_role role)
{
    struct key key = key_principals(generation);

    key_u8(&key, (uint8_t)role);
    return key;
}

struct key key_named(uint32_t generation, const char *name)
{
    struct key key = key_principals(generation);

    key_u8(&key, PRINCIPAL_NAMED);
    key_raw(&key, name, strnlen(name, VS_USER_NAME_MAX));
    return key;
}

struct key key_grants(uint32_t generation, const uint8_t number[8])
{
    struct key key = key_principals(generation);

    key_u8(&key, PRINCIPAL_GRANT);
    key_raw(&key, number, 8);
    return key;
}

struct key key_grant(uint32_t generation, const uint8_t number[8], const struct vs_id *id)
{
    struct key key = key_grants(generation, number);

    key_raw(&key, id->b, sizeof(id->b));
    return key;
}

struct key key_object(const struct vs_id *id)
{
    struct key key = key_table(TABLE_OBJECT);

    key_raw(&key, id->b, sizeof(id->b));
    return key;
}

struct key key_objects(const uint8_t tag[8])
{
    struct key key = key_table(TABLE_OBJECT);

    key_raw(&key, tag, 8);
    return key;
}

struct key key_due(int64_t purge_at, enum schema_kind kind, const struct vs_id *id)
{
    struct key key = key_table(TABLE_DUE);

    key_u64(&key, (uint64_t)purge_at);
    key_u8(&key, (uint8_t)kind);
    key_raw(&key, id->b, sizeof(id->b));
    return key;
}

struct key key_approval(const struct vs_id *id)
{
    struct key key = key_table(TABLE_APPROVAL);

    key_raw(&key, id->b, sizeof(id->b));
    return key;
}

struct key key_tombstone(const struct vs_id *id)
{
    struct key key = key_table(TABLE_TOMBSTONE);

    key_raw(&key, id->b, sizeof(id->b));
    return key;
}

struct key key_pending(enum schema_kind kind, uint64_t what)
{
    struct key key = key_table(TABLE_PENDING);

    key_u8(&key, (uint8_t)kind);
    key_u64(&key, what);
    return key;
}

struct key key_audit(uint64_t seq)
{
    struct key key = key_table(TABLE_AUDIT);

    key_u64(&key, seq);
    return key;
}

struct key key_audit_of(const struct vs_id *id, uint64_t seq)
{
    struct key key = key_table(TABLE_AUDIT_OF);

    key_raw(&key, id->b, sizeof(id->b));
    key_u64(&key, seq);
    return key;
}

struct key key_use(const struct vs_id *id)
{
    struct key key = key_table(TABLE_USE);

    key_raw(&key, id->b, sizeof(id->b));
    return key;
}

struct key key_backups(uint32_t generation)
{
    struct key key = key_table(TABLE_BACKUP_KEY);

    key_u32(&key, generation);
    return key;
}

struct key key_backup(uint32_t generation, uint64_t epoch)
{
    struct key key = key_backups(generation);

    key_u64(&key, epoch);
    return key;
}

struct key key_restored(uint32_t generation, const struct vs_id *id)
{
    struct key key = key_table(TABLE_RESTORED);

    key_u32(&key, generation);
    if (id != NULL)
        key_raw(&key, id->b, sizeof(id->b));
    return key;
}

struct key key_indexes(uint32_t generation)
{
    struct key key = key_table(TABLE_INDEX);

    key_u32(&key, generation);
    return key;
}

struct key key_index(const struct index_partition *partition, uint8_t index, const uint8_t *tag,
                     const struct vs_id *id)
{
    struct key key = key_indexes(partition->generation);
    bool apart = partition->deleted && index == INDEX_ALL;

    key_u8(&key, (uint8_t)((apart ? 1 : 0) | (partition->is_private ? 2 : 0)));
    key_u8(&key, index);
    if (tag == NULL)
        return key;
    key_raw(&key, tag, SEAL_TAG);
    key_u8(&key, partition->deleted ? 1 : 0);
    if (id != NULL)
        key_raw(&key, id->b, sizeof(id->b));
    return key;
}

bool key_has_prefix(const struct kv_slice *key, const struct key *prefix)
{
    return key->len >= prefix->len && memcmp(key->data, prefix->b, prefix->len) == 0;
}

struct vs_id id_make(const uint8_t tag[8], uint64_t seq)
{
    struct key bytes = {.len = 0};
    struct vs_id id;

    key_raw(&bytes, tag, 8);
    key_u64(&bytes, seq);
    memcpy(id.b, bytes.b, sizeof(id.b));
    return id;
}

uint64_t id_seq(const struct vs_id *id)
{
    uint64_t seq = 0;

    for (size_t i = 8; i < sizeof(id->b); i++)
        seq = seq << 8 | id->b[i];
    return seq;
}

uint64_t pending_generation(uint32_t vault, uint32_t generation)
{
    return (uint64_t)vault << 32 | generation;
}

int schema_mac(struct sealer *sealer, const uint8_t mac_key[SEAL_KEY], const struct key *key,
               const uint8_t *body, size_t body_len, const uint8_t *more,
               uint8_t ret_mac[SCHEMA_MAC])
{
    uint8_t input[MAC_INPUT_MAX], mac[32];
    struct writer w;

    writer_init(&w, input, sizeof(input));
    put_bytes(&w, key->b, key->len);
    put_bytes(&w, body, body_len);
    if (more != NULL)
        put_raw(&w, more, SEAL_TAG);
    if (!writer_ok(&w))
        return VS_E_CORRUPT;
    VS_TRY(seal_mac(sealer, mac_key, input, w.len, mac));
    memcpy(ret_mac, mac, SCHEMA_MAC);
    return VS_OK;
}

int schema_open(struct sealer *sealer, const uint8_t mac_key[SEAL_KEY], const struct key *key,
                const struct kv_slice *value, struct reader *ret_body)
{
    uint8_t mac[SCHEMA_MAC];
    size_t len;

    if (value->len < SCHEMA_MAC)
        return VS_E_CORRUPT;
    len = value->len - SCHEMA_MAC;
    VS_TRY(schema_mac(sealer, mac_key, key, value->data, len, NULL, mac));
    if (!seal_equal(mac, value->data + len, SCHEMA_MAC))
        return VS_E_CORRUPT;
    reader_init(ret_body, value->data, len);
    return VS_OK;
}
