/* object_codec.c: an object's record to bytes and back: encode, authenticate, seal. */
#include <stdlib.h>

#include "object.h"
#include "store_internal.h"

enum head_flag { HEAD_PRIVATE = 1, HEAD_DESTROYABLE = 2, HEAD_HOLD = 4 };
enum head_mark { MARK_HONEYTOKEN = 1, MARK_BACKED_UP = 2 };

static void head_encode(struct writer *w, const struct vs_header *h, const struct index_tags *tags)
{
    unsigned flags = (h->is_private ? HEAD_PRIVATE : 0u) |
                     (h->destroyable ? HEAD_DESTROYABLE : 0u) | (h->hold ? HEAD_HOLD : 0u);

    put_raw(w, h->id.b, sizeof(h->id.b));
    put_u32(w, h->vault);
    put_u32(w, h->generation);
    put_u32(w, h->version);
    put_u32(w, h->kind);
    put_u8(w, (uint8_t)flags);
    put_u8(w, (uint8_t)h->state);
    put_u8(w, (uint8_t)h->prior);
    put_u8(w, (uint8_t)h->origin);
    put_u64(w, (uint64_t)h->created_at);
    put_u64(w, (uint64_t)h->deleted_at);
    put_u64(w, (uint64_t)h->purge_at);
    put_text(w, h->deleted_by);
    put_u32(w, h->lock);
    put_u8(w, (uint8_t)tags->n);
    for (size_t i = 0; i < tags->n; i++) {
        put_u8(w, tags->tag[i].index);
        put_raw(w, tags->tag[i].tag, SEAL_TAG);
    }
    /* from format 2 */
    put_u64(w, (uint64_t)h->not_before);
    put_u64(w, (uint64_t)h->not_after);
    put_text(w, h->delete_reason);
    put_u8(w, (uint8_t)((h->honeytoken ? MARK_HONEYTOKEN : 0u) |
                        (h->backed_up ? MARK_BACKED_UP : 0u)));
    put_u32(w, h->key_version);
    put_u32(w, h->rotate_days);
    put_text(w, h->label);
    put_u64(w, (uint64_t)h->deleted_strict);
    put_u64(w, h->slot);
    put_raw(w, h->successor.b, sizeof(h->successor.b));
    put_u64(w, h->epoch);
}

/* A header of format 1 ends before these. */
static void head_decode_2(struct reader *r, struct vs_header *h)
{
    unsigned marks;

    h->key_version = 1;
    h->deleted_strict = h->deleted_at;
    if (!reader_more(r))
        return;
    h->not_before = (int64_t)get_u64(r);
    h->not_after = (int64_t)get_u64(r);
    get_text(r, h->delete_reason, sizeof(h->delete_reason));
    marks = get_u8(r);
    h->honeytoken = (marks & MARK_HONEYTOKEN) != 0;
    h->backed_up = (marks & MARK_BACKED_UP) != 0;
    h->key_version = get_u32(r);
    h->rotate_days = get_u32(r);
    get_text(r, h->label, sizeof(h->label));
    h->deleted_strict = (int64_t)get_u64(r);
    if (!reader_more(r))
        return;
    h->slot = get_u64(r);
    get_raw(r, h->successor.b, sizeof(h->successor.b));
    if (!reader_more(r))
        return;
    h->epoch = get_u64(r);
}

int object_head_decode(const struct kv_slice *head, struct vs_header *h, struct index_tags *tags)
{
    struct reader r;
    unsigned flags;

    reader_init(&r, head->data, head->len);
    get_raw(&r, h->id.b, sizeof(h->id.b));
    h->vault = get_u32(&r);
    h->generation = get_u32(&r);
    h->version = get_u32(&r);
    h->kind = get_u32(&r);
    flags = get_u8(&r);
    h->is_private = (flags & HEAD_PRIVATE) != 0;
    h->destroyable = (flags & HEAD_DESTROYABLE) != 0;
    h->hold = (flags & HEAD_HOLD) != 0;
    h->state = get_u8(&r);
    h->prior = get_u8(&r);
    h->origin = get_u8(&r);
    h->created_at = (int64_t)get_u64(&r);
    h->deleted_at = (int64_t)get_u64(&r);
    h->purge_at = (int64_t)get_u64(&r);
    get_text(&r, h->deleted_by, sizeof(h->deleted_by));
    h->lock = get_u32(&r);
    tags->n = get_u8(&r);
    if (!reader_ok(&r) || tags->n > INDEX_TAGS_MAX || h->state > VS_STATE_DELETED)
        return VS_E_CORRUPT;
    for (size_t i = 0; i < tags->n; i++) {
        tags->tag[i].index = get_u8(&r);
        get_raw(&r, tags->tag[i].tag, SEAL_TAG);
    }
    head_decode_2(&r, h);
    tags->epoch = h->epoch;
    h->effective = h->state;
    return reader_end(&r) ? VS_OK : VS_E_CORRUPT;
}

/* head, MAC and sealed as they lie in the value; VS_E_CORRUPT unless the MAC is right. */
static int record_split(struct vs_store *store, const struct key *key,
                        const struct kv_slice *value, struct object_record *record)
{
    uint8_t mac[SCHEMA_MAC];
    const uint8_t *stored;
    struct reader r;

    reader_init(&r, value->data, value->len);
    record->head.data = get_bytes(&r, &record->head.len);
    if (!reader_ok(&r) || record->head.len > OBJECT_HEAD_MAX ||
        r.len - r.pos < SCHEMA_MAC + SEAL_OVERHEAD)
        return VS_E_CORRUPT;
    stored = r.data + r.pos;
    record->sealed.data = stored + SCHEMA_MAC;
    record->sealed.len = r.len - r.pos - SCHEMA_MAC;
    VS_TRY(schema_mac(store->sealer, store->keys->mac, key, record->head.data, record->head.len,
                      value->data + value->len - SEAL_TAG, mac));
    return seal_equal(mac, stored, SCHEMA_MAC) ? VS_OK : VS_E_CORRUPT;
}

int object_load(struct vs_store *store, struct kv_txn *txn, const struct vs_id *id,
                struct object_record *ret_record)
{
    struct key key = key_object(id);
    struct object_record record;
    struct kv_slice value;
    int status;

    memset(&record, 0, sizeof(record));
    VS_TRY(kv_get(txn, key.b, key.len, &value));
    status = record_split(store, &key, &value, &record);
    if (status == VS_OK)
        status = object_head_decode(&record.head, &record.header, &record.tags);
    if (status == VS_OK && memcmp(record.header.id.b, id->b, sizeof(id->b)) != 0)
        status = VS_E_CORRUPT;
    if (status == VS_E_CORRUPT)
        store_trace(store, __func__, "the record of object %llu does not authenticate",
                    (unsigned long long)id_seq(id));
    VS_TRY(status);
    *ret_record = record;
    return VS_OK;
}

uint64_t object_slot(const struct vs_header *header)
{
    return header->slot != 0 ? header->slot : id_seq(&header->id);
}

bool object_past_due(const struct vs_header *header, int64_t now)
{
    return header->state == VS_STATE_DELETED && !header->hold && header->purge_at <= now;
}

int object_visible(struct vs_store *store, struct kv_txn *txn, uint32_t generation,
                   const struct vs_id *id, struct object_record *ret_record)
{
    const struct vs_header *header = &ret_record->header;
    struct clock_reading clock;
    struct generation live;

    VS_TRY(object_load(store, txn, id, ret_record));
    if (ret_record->header.generation != generation)
        return VS_NOT_FOUND;
    if (ret_record->header.state != VS_STATE_DELETED)
        return VS_OK;
    VS_TRY(store_reading(store, txn, &clock));
    if (!object_past_due(header, clock.now))
        return VS_OK;
    VS_TRY(generation_live(store, txn, header->vault, &live));
    if (generation_keeps(&live))     /* no sweep takes it, and so it is there */
        return VS_OK;
    return object_past_due(header, object_now(&clock, &live.policy, header)) ? VS_NOT_FOUND
                                                                             : VS_OK;
}

struct index_partition object_partition(const struct vs_header *header)
{
    return (struct index_partition){header->generation, header->state == VS_STATE_DELETED,
                                    header->is_private};
}

static int object_key(struct vs_store *store, const struct vs_login *login,
                      const struct vs_header *header, const uint8_t *slot_secret,
                      struct secret_key *ret_key)
{
    static const char label[] = "reprieve object";
    uint8_t info[sizeof(label) - 1 + sizeof(header->id.b)];
    AUTO(secret_key) struct secret_key slot;
    const struct login_ring *ring;

    if (header->is_private && login == NULL)
        return VS_DENIED;
    ring = header->is_private ? login_ring_of(login, header->epoch) : NULL;
    if (header->is_private && ring == NULL)
        return VS_REVOKED;
    if (slot_secret == NULL)
        VS_TRY(keyslots_read(store->slots, object_slot(header), slot.b));
    memcpy(info, label, sizeof(label) - 1);
    memcpy(info + sizeof(label) - 1, header->id.b, sizeof(header->id.b));
    return seal_derive(store->sealer, ring != NULL ? ring->object_key : store->keys->object,
                       SEAL_KEY, slot_secret != NULL ? slot_secret : slot.b, KEYSLOT_SIZE, info,
                       sizeof(info), ret_key->b);
}

int object_open(struct vs_store *store, const struct vs_login *login,
                const struct object_record *record, uint8_t **ret_attrs, size_t *ret_len)
{
    AUTO(secret_key) struct secret_key key;
    size_t len = record->sealed.len - SEAL_OVERHEAD;
    uint8_t *attrs;
    int status;

    VS_TRY(object_key(store, login, &record->header, NULL, &key));
    attrs = vs_secret_alloc(len + 1);
    if (attrs == NULL)
        return VS_E_NOMEM;
    status = seal_open(store->sealer, key.b, record->head.data, record->head.len,
                       record->sealed.data, record->sealed.len, attrs);
    if (status != VS_OK) {
        vs_secret_free(attrs, len + 1);
        if (status == VS_E_CORRUPT)
            store_trace(store, __func__, "the attributes of object %llu do not authenticate",
                        (unsigned long long)id_seq(&record->header.id));
        return status;
    }
    *ret_attrs = attrs;
    *ret_len = len;
    return VS_OK;
}

int object_put(struct commit_txn *txn, const struct vs_login *login,
               const struct vs_header *header, const struct index_tags *tags,
               const uint8_t *attrs, size_t attrs_len, const uint8_t *slot_secret)
{
    struct vs_store *store = txn->store;
    uint8_t head[OBJECT_HEAD_MAX], *value, *mac, *sealed;
    struct key place = key_object(&header->id);
    AUTO(secret_key) struct secret_key key;
    struct vs_header placed = *header;
    struct generation live;
    struct writer w;
    size_t len;
    int status;

    VS_TRY(generation_live(store, txn->kv, header->vault, &live));
    placed.epoch = header->is_private ? live.rotation.epoch : 0;
    if (tags->epoch != placed.epoch) {
        store_trace(store, __func__, "tags of another epoch");
        return VS_E_CORRUPT;
    }
    writer_init(&w, head, sizeof(head));
    head_encode(&w, &placed, tags);
    if (!writer_ok(&w))
        return VS_E_CORRUPT;
    VS_TRY(object_key(store, login, &placed, slot_secret, &key));
    len = 4 + w.len + SCHEMA_MAC + attrs_len + SEAL_OVERHEAD;
    value = malloc(len);
    if (value == NULL)
        return VS_E_NOMEM;
    mac = value + 4 + w.len;
    sealed = mac + SCHEMA_MAC;
    status = seal_close(store->sealer, key.b, head, w.len, attrs, attrs_len, sealed);
    if (status == VS_OK)
        status = schema_mac(store->sealer, store->keys->mac, &place, head, w.len,
                            value + len - SEAL_TAG, mac);
    if (status == VS_OK) {
        struct writer whole;

        writer_init(&whole, value, 4 + w.len);
        put_bytes(&whole, head, w.len);
        status = commit_put(txn, &place, value, len);
    }
    free(value);
    return status;
}

int object_rewrite(struct commit_txn *txn, const struct vs_login *login,
                   struct object_record *record)
{
    const struct index_partition partition = object_partition(&record->header);
    const struct vs_header header = record->header;
    struct index_tags tags = record->tags;
    struct generation live;
    uint8_t *attrs;
    size_t len;
    int status;

    VS_TRY(generation_live(txn->store, txn->kv, header.vault, &live));
    VS_TRY(object_open(txn->store, login, record, &attrs, &len));
    status = index_tags_retag(txn->store, login, header.is_private, live.rotation.epoch, attrs, len,
                              &tags);
    if (status == VS_OK)
        status = object_put(txn, login, &header, &tags, attrs, len, NULL);
    vs_secret_free(attrs, len + 1);
    VS_TRY(status);
    return index_move(txn, &partition, &record->tags, &partition, &tags, &header.id);
}
