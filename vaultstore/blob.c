#include "blob.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const char MAGIC[8] = "RPVBLOB\n";
#define PREFIX (sizeof(MAGIC) + 4)
#define FRAME_AAD (32u + 8u + 1u)

void blob_done(struct blob *blob)
{
    explicit_bzero(blob->key, sizeof(blob->key));
    vs_secret_free(blob->plain, blob->plain_cap);
    blob->plain = NULL;
}

/* ------------------------------------------------------------------ bytes */

static int write_all(struct vs_store *store, int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            store_trace(store, __func__, "cannot write the backup: %s", strerror(errno));
            return errno == ENOSPC || errno == EDQUOT ? VS_E_FULL : VS_E_IO;
        }
        data += n;
        len -= (size_t)n;
    }
    return VS_OK;
}

/* VS_E_CORRUPT: it ends before. */
static int read_all(struct blob *blob, void *ret_data, size_t len)
{
    uint8_t *data = ret_data;

    while (len > 0) {
        ssize_t n = pread(blob->fd, data, len, (off_t)blob->at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            store_trace(blob->store, __func__, "cannot read the backup: %s", strerror(errno));
            return VS_E_IO;
        }
        if (n == 0)
            return VS_E_CORRUPT;
        data += n;
        len -= (size_t)n;
        blob->at += (uint64_t)n;
    }
    return VS_OK;
}

/* ------------------------------------------------------------------ keys */

/* Says that the maker of the content key was logged in to that generation. */
static int origin_mac(const struct blob *blob, const struct secret_key *own, uint8_t ret_mac[32])
{
    uint8_t input[SEAL_KEY + sizeof(blob->info.id)];
    int status;

    memcpy(input, blob->key, SEAL_KEY);
    memcpy(input + SEAL_KEY, blob->info.id, sizeof(blob->info.id));
    status = seal_mac(blob->store->sealer, own->b, input, sizeof(input), ret_mac);
    explicit_bzero(input, sizeof(input));
    return status;
}

struct shares { uint8_t b[SHAMIR_MAX][SHAMIR_SHARE]; };

static void shares_auto(struct shares *shares)
{
    explicit_bzero(shares, sizeof(*shares));
}

static void envelope_key_auto(struct envelope_key *key)
{
    envelope_key_done(key);
}

/* ------------------------------------------------------------------ the header, written */

static void info_encode(struct writer *w, const struct vs_blob_info *info)
{
    put_u32(w, info->format);
    put_raw(w, info->id, sizeof(info->id));
    put_u64(w, (uint64_t)info->created_at);
    put_text(w, info->created_by);
    put_raw(w, info->serial, sizeof(info->serial));
    put_raw(w, info->label, sizeof(info->label));
    put_u32(w, info->generation);
    put_u8(w, info->whole ? 1 : 0);
    put_u64(w, info->objects);
    put_u64(w, info->audit_seq);
    put_raw(w, info->audit_hash, sizeof(info->audit_hash));
    put_u32(w, info->threshold);
    put_u32(w, info->n_keys);
}

#define OWN_SHARE (SHAMIR_SHARE + SEAL_OVERHEAD)
#define BOX_INFO 48u
_Static_assert(OWN_SHARE + BACKUP_READERS * SEAL_BOX <= BLOB_OWN_MAX, "all of it has room");

/* What a box of the own key is bound to. */
static size_t box_info(const struct blob *blob, uint8_t ret_info[BOX_INFO])
{
    struct writer w;

    writer_init(&w, ret_info, BOX_INFO);
    put_text(&w, "reprieve backup box");
    put_raw(&w, blob->info.id, sizeof(blob->info.id));
    return w.len;
}

/* The share under the own key, then the own key for each reader. */
static int own_seal(const struct blob *blob, const struct backup_own *own,
                    const uint8_t share[SHAMIR_SHARE], uint8_t ret_sealed[BLOB_OWN_MAX],
                    size_t *ret_len)
{
    struct sealer *sealer = blob->store->sealer;
    uint8_t info[BOX_INFO], *at = ret_sealed + OWN_SHARE;
    size_t info_len = box_info(blob, info);

    VS_TRY(seal_close(sealer, own->key.b, NULL, 0, share, SHAMIR_SHARE, ret_sealed));
    for (size_t i = 0; i < own->n; i++, at += SEAL_BOX)
        VS_TRY(seal_box_close(sealer, own->readers[i], info, info_len, own->key.b, at));
    *ret_len = (size_t)(at - ret_sealed);
    return VS_OK;
}

static int share_seal(const struct blob *blob, const struct backup_own *own,
                      const struct vs_blob_key *to, const uint8_t share[SHAMIR_SHARE],
                      struct writer *w)
{
    AUTO(envelope_key) struct envelope_key key = {.pkey = NULL};
    struct vs_store *store = blob->store;
    uint8_t sealed[BLOB_OWN_MAX];
    size_t len = 0;

    if (to == NULL) {
        VS_TRY(own_seal(blob, own, share, sealed, &len));
        put_u8(w, BLOB_OWN);
    } else {
        VS_TRY(envelope_key_read(store->sealer, to->data, to->len, false, &key));
        VS_TRY(envelope_seal(store->sealer, &key, share, SHAMIR_SHARE, sealed, &len));
        put_u8(w, (uint8_t)key.kind);
    }
    put_raw(w, key.fingerprint, sizeof(key.fingerprint));
    put_bytes(w, sealed, len);
    return VS_OK;
}

static int blob_head_write(struct blob *blob, const struct backup_own *own,
                           const struct vs_blob_key *keys, uint8_t *head)
{
    struct vs_blob_info *info = &blob->info;
    AUTO(shares) struct shares shares;
    uint8_t prefix[PREFIX], mac[32];
    struct writer w, p;

    writer_init(&w, head, BLOB_HEAD_MAX);
    info_encode(&w, info);
    VS_TRY(shamir_split(blob->store->sealer, blob->key, info->threshold, info->n_keys, shares.b));
    for (size_t i = 0; i < info->n_keys; i++)
        VS_TRY(share_seal(blob, own, keys != NULL ? &keys[i] : NULL, shares.b[i], &w));
    VS_TRY(origin_mac(blob, &own->key, mac));
    put_raw(&w, mac, sizeof(mac));
    if (!writer_ok(&w))
        return VS_E_CORRUPT;
    writer_init(&p, prefix, sizeof(prefix));
    put_raw(&p, MAGIC, sizeof(MAGIC));
    put_u32(&p, (uint32_t)w.len);
    VS_TRY(seal_sha256(blob->store->sealer, head, w.len, NULL, 0, blob->head_hash));
    VS_TRY(write_all(blob->store, blob->fd, prefix, sizeof(prefix)));
    return write_all(blob->store, blob->fd, head, w.len);
}

int blob_begin(struct blob *blob, struct vs_store *store, int fd, const struct backup_own *own,
               const struct vs_blob_info *info, const struct vs_blob_key *keys, size_t n_keys)
{
    uint8_t *head;
    int status;

    *blob = (struct blob){.store = store, .fd = fd, .info = *info};
    blob->info.format = BLOB_FORMAT;
    blob->info.n_keys = n_keys > 0 ? (uint32_t)n_keys : 1;
    blob->info.threshold = info->threshold > 0 ? info->threshold : 1;
    if (n_keys > VS_BLOB_KEYS_MAX || blob->info.threshold > blob->info.n_keys)
        return VS_POLICY;
    VS_TRY(seal_random(store->sealer, blob->info.id, sizeof(blob->info.id)));
    VS_TRY(seal_random(store->sealer, blob->key, sizeof(blob->key)));
    head = malloc(BLOB_HEAD_MAX);
    if (head == NULL)
        return VS_E_NOMEM;
    status = blob_head_write(blob, own, n_keys > 0 ? keys : NULL, head);
    free(head);
    return status;
}

static void frame_aad(const struct blob *blob, bool last, uint8_t ret_aad[FRAME_AAD])
{
    struct writer w;

    writer_init(&w, ret_aad, FRAME_AAD);
    put_raw(&w, blob->head_hash, sizeof(blob->head_hash));
    put_u64(&w, blob->record);
    put_u8(&w, last ? 1 : 0);
}

int blob_write(struct blob *blob, const uint8_t *plain, size_t len, bool last)
{
    uint8_t aad[FRAME_AAD], *frame;
    struct writer w;
    int status;

    if (len > BLOB_RECORD_MAX)
        return VS_POLICY;
    frame = malloc(5 + len + SEAL_OVERHEAD);
    if (frame == NULL)
        return VS_E_NOMEM;
    writer_init(&w, frame, 5);
    put_u8(&w, last ? 1 : 0);
    put_u32(&w, (uint32_t)(len + SEAL_OVERHEAD));
    frame_aad(blob, last, aad);
    status = seal_close(blob->store->sealer, blob->key, aad, sizeof(aad), plain, len, frame + 5);
    if (status == VS_OK)
        status = write_all(blob->store, blob->fd, frame, 5 + len + SEAL_OVERHEAD);
    free(frame);
    blob->record++;
    return status;
}

/* ------------------------------------------------------------------ the header, read */

/* A recipient's share as it lies in the header. */
struct sealed_share { const uint8_t *data; size_t len; };

struct blob_head {
    uint8_t *bytes;
    size_t len;
    struct sealed_share shares[VS_BLOB_KEYS_MAX];
    uint8_t mac[32];
};

static void blob_head_auto(struct blob_head *head)
{
    free(head->bytes);
}

static int blob_head_decode(struct blob *blob, struct blob_head *head)
{
    struct vs_blob_info *info = &blob->info;
    struct reader r;

    reader_init(&r, head->bytes, head->len);
    info->format = get_u32(&r);
    if (reader_ok(&r) && info->format > BLOB_FORMAT)
        return VS_E_VERSION;
    get_raw(&r, info->id, sizeof(info->id));
    info->created_at = (int64_t)get_u64(&r);
    get_text(&r, info->created_by, sizeof(info->created_by));
    get_raw(&r, info->serial, sizeof(info->serial));
    get_raw(&r, info->label, sizeof(info->label));
    info->generation = get_u32(&r);
    info->whole = get_u8(&r) != 0;
    info->objects = get_u64(&r);
    info->audit_seq = get_u64(&r);
    get_raw(&r, info->audit_hash, sizeof(info->audit_hash));
    info->threshold = get_u32(&r);
    info->n_keys = get_u32(&r);
    if (!reader_ok(&r) || info->n_keys < 1 || info->n_keys > VS_BLOB_KEYS_MAX ||
        info->threshold < 1 || info->threshold > info->n_keys)
        return VS_E_CORRUPT;
    for (size_t i = 0; i < info->n_keys; i++) {
        info->keys[i].kind = get_u8(&r);
        get_raw(&r, info->keys[i].fingerprint, sizeof(info->keys[i].fingerprint));
        head->shares[i].data = get_bytes(&r, &head->shares[i].len);
    }
    get_raw(&r, head->mac, sizeof(head->mac));
    return reader_end(&r) ? VS_OK : VS_E_CORRUPT;
}

static int blob_head_read(struct blob *blob, struct blob_head *head)
{
    uint8_t prefix[PREFIX];
    struct reader r;

    blob->at = 0;
    VS_TRY(read_all(blob, prefix, sizeof(prefix)));
    reader_init(&r, prefix + sizeof(MAGIC), 4);
    head->len = get_u32(&r);
    if (memcmp(prefix, MAGIC, sizeof(MAGIC)) != 0 || head->len > BLOB_HEAD_MAX)
        return VS_E_CORRUPT;
    head->bytes = malloc(head->len + 1);
    if (head->bytes == NULL)
        return VS_E_NOMEM;
    VS_TRY(read_all(blob, head->bytes, head->len));
    VS_TRY(blob_head_decode(blob, head));
    return seal_sha256(blob->store->sealer, head->bytes, head->len, NULL, 0, blob->head_hash);
}

int blob_look(struct blob *blob, struct vs_store *store, int fd)
{
    AUTO(blob_head) struct blob_head head = {.bytes = NULL};

    *blob = (struct blob){.store = store, .fd = fd};
    return blob_head_read(blob, &head);
}

/* ------------------------------------------------------------------ opening */

/* Tries the recipients that are this key; a share that opens is added. */
static int shares_open(struct blob *blob, const struct blob_head *head,
                       const struct vs_blob_key *bytes, struct shares *shares, unsigned *n)
{
    AUTO(envelope_key) struct envelope_key key = {.pkey = NULL};

    VS_TRY(envelope_key_read(blob->store->sealer, bytes->data, bytes->len, true, &key));
    for (size_t i = 0; i < blob->info.n_keys && *n < blob->info.threshold; i++) {
        uint8_t *share = shares->b[*n];
        bool twice = false;

        if (blob->info.keys[i].kind != (uint32_t)key.kind ||
            memcmp(blob->info.keys[i].fingerprint, key.fingerprint, sizeof(key.fingerprint)) != 0)
            continue;
        VS_TRY(envelope_open(blob->store->sealer, &key, head->shares[i].data, head->shares[i].len,
                             share, SHAMIR_SHARE));
        for (unsigned j = 0; j < *n; j++)
            twice = twice || shares->b[j][0] == share[0];
        *n += twice ? 0 : 1;
    }
    return VS_OK;
}

static int shares_open_own(struct blob *blob, const struct blob_head *head,
                           const struct secret_key *own, struct shares *shares, unsigned *n)
{
    for (size_t i = 0; i < blob->info.n_keys && *n < blob->info.threshold; i++) {
        int status;

        if (blob->info.keys[i].kind != BLOB_OWN || head->shares[i].len < OWN_SHARE)
            continue;
        status = seal_open(blob->store->sealer, own->b, NULL, 0, head->shares[i].data, OWN_SHARE,
                           shares->b[*n]);
        *n += status == VS_OK ? 1 : 0;       /* another vault's, or generation's: not with this */
        if (status != VS_OK && status != VS_E_CORRUPT)
            return status;
    }
    return VS_OK;
}

/* The own key of its day, out of the box for this login's pair. */
static int shares_open_boxed(struct blob *blob, const struct blob_head *head,
                             const uint8_t private_key[SEAL_KEY], struct shares *shares,
                             unsigned *n)
{
    uint8_t info[BOX_INFO];
    size_t info_len = box_info(blob, info);

    for (size_t i = 0; i < blob->info.n_keys; i++) {
        const struct sealed_share *share = &head->shares[i];

        for (size_t at = OWN_SHARE; blob->info.keys[i].kind == BLOB_OWN &&
                                    at + SEAL_BOX <= share->len && *n < blob->info.threshold;
             at += SEAL_BOX) {
            AUTO(secret_key) struct secret_key own;
            int status = seal_box_open(blob->store->sealer, private_key, info, info_len,
                                       share->data + at, own.b);

            if (status == VS_OK)
                status = shares_open_own(blob, head, &own, shares, n);
            if (status != VS_OK && status != VS_E_CORRUPT && status != VS_E_CRYPTO)
                return status;       /* a box for another, or a point that cannot be */
        }
    }
    return VS_OK;
}

/* By the first of the own keys; and by that of format 2, when it is still nobody else's. */
static int origin_check(struct blob *blob, const struct blob_head *head,
                        const struct backup_keys *own)
{
    uint8_t mac[32];

    for (size_t i = 0; i < own->n && !blob->authentic; i += own->rotated ? own->n : 1) {
        VS_TRY(origin_mac(blob, &own->key[i], mac));
        blob->authentic = seal_equal(mac, head->mac, sizeof(mac));
    }
    return VS_OK;
}

int blob_open(struct blob *blob, struct vs_store *store, int fd, const struct backup_keys *own,
              const struct vs_blob_key *keys, size_t n_keys)
{
    AUTO(blob_head) struct blob_head head = {.bytes = NULL};
    AUTO(shares) struct shares shares;
    unsigned n = 0;

    *blob = (struct blob){.store = store, .fd = fd};
    VS_TRY(blob_head_read(blob, &head));
    for (size_t i = 0; i < own->n && n < blob->info.threshold; i++)
        VS_TRY(shares_open_own(blob, &head, &own->key[i], &shares, &n));
    if (own->private_key != NULL)
        VS_TRY(shares_open_boxed(blob, &head, own->private_key, &shares, &n));
    for (size_t i = 0; i < n_keys && n < blob->info.threshold; i++)
        VS_TRY(shares_open(blob, &head, &keys[i], &shares, &n));
    if (n < blob->info.threshold) {
        store_trace(store, __func__, "the backup needs %u of its %u keys, and %u fit",
                    blob->info.threshold, blob->info.n_keys, n);
        return VS_POLICY;
    }
    VS_TRY(shamir_join(shares.b, n, blob->key));
    return origin_check(blob, &head, own);
}

/* ------------------------------------------------------------------ records, read */

static int plain_room(struct blob *blob, size_t len)
{
    if (blob->plain_cap >= len)
        return VS_OK;
    vs_secret_free(blob->plain, blob->plain_cap);
    blob->plain_cap = 0;
    blob->plain = vs_secret_alloc(len);
    if (blob->plain == NULL)
        return VS_E_NOMEM;
    blob->plain_cap = len;
    return VS_OK;
}

static int frame_open(struct blob *blob, size_t len, bool last, struct reader *ret_body)
{
    uint8_t aad[FRAME_AAD], *sealed = malloc(len);
    int status = sealed != NULL ? plain_room(blob, len) : VS_E_NOMEM;

    if (status == VS_OK)
        status = read_all(blob, sealed, len);
    frame_aad(blob, last, aad);
    if (status == VS_OK)
        status = seal_open(blob->store->sealer, blob->key, aad, sizeof(aad), sealed, len,
                           blob->plain);
    free(sealed);
    if (status == VS_E_CORRUPT)
        store_trace(blob->store, __func__, "record %llu of the backup does not authenticate",
                    (unsigned long long)blob->record);
    VS_TRY(status);
    reader_init(ret_body, blob->plain, len - SEAL_OVERHEAD);
    return VS_OK;
}

int blob_read(struct blob *blob, struct reader *ret_body, enum blob_record *ret_kind)
{
    uint8_t frame[5];
    struct reader r;
    bool last;
    size_t len;

    VS_TRY(read_all(blob, frame, sizeof(frame)));
    reader_init(&r, frame, sizeof(frame));
    last = get_u8(&r) == 1;
    len = get_u32(&r);
    if (frame[0] > 1 || len < SEAL_OVERHEAD || len > BLOB_RECORD_MAX + SEAL_OVERHEAD)
        return VS_E_CORRUPT;
    VS_TRY(frame_open(blob, len, last, ret_body));
    *ret_kind = (enum blob_record)get_u8(ret_body);
    if (last != (*ret_kind == BLOB_END))
        return VS_E_CORRUPT;
    blob->record++;
    return last ? VS_END : VS_OK;
}

int blob_rewind(struct blob *blob)
{
    uint8_t hash[32];
    AUTO(blob_head) struct blob_head head = {.bytes = NULL};

    memcpy(hash, blob->head_hash, sizeof(hash));
    VS_TRY(blob_head_read(blob, &head));
    blob->record = 0;
    return memcmp(hash, blob->head_hash, sizeof(hash)) == 0 ? VS_OK : VS_E_CORRUPT;
}
