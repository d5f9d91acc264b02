#include "envelope.h"

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "auto.h"
#include "record.h"

#define RSA_BITS_MIN 2048
#define POINT_MAX 256u
#define SHARED_MAX 256u
#define INFO "reprieve backup share"

static void pkey_ctx_auto(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

static void pkey_auto(EVP_PKEY **pkey)
{
    EVP_PKEY_free(*pkey);
}

static void decoder_auto(OSSL_DECODER_CTX **ctx)
{
    OSSL_DECODER_CTX_free(*ctx);
}

void envelope_key_done(struct envelope_key *key)
{
    EVP_PKEY_free(key->pkey);
    key->pkey = NULL;
}

/* ------------------------------------------------------------------ keys */

static int fingerprint(struct sealer *sealer, const EVP_PKEY *pkey, uint8_t *ret_fingerprint)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(pkey, &der);
    int status;

    if (len <= 0)
        return VS_POLICY;
    status = seal_sha256(sealer, der, (size_t)len, NULL, 0, ret_fingerprint);
    OPENSSL_free(der);
    return status;
}

static bool kind_of(EVP_PKEY *pkey, enum envelope_kind *ret_kind)
{
    static const char *const curves[] = {"EC", "X25519", "X448"};

    *ret_kind = ENVELOPE_RSA;
    if (EVP_PKEY_is_a(pkey, "RSA"))
        return EVP_PKEY_get_bits(pkey) >= RSA_BITS_MIN && EVP_PKEY_get_bits(pkey) <= 16384;
    *ret_kind = ENVELOPE_EC;
    for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
        if (EVP_PKEY_is_a(pkey, curves[i]))
            return EVP_PKEY_get_bits(pkey) >= 224;
    return false;
}

static int key_read(struct sealer *sealer, const uint8_t *bytes, size_t len, bool is_private,
                    struct envelope_key *key)
{
    AUTO(decoder) OSSL_DECODER_CTX *decoder = NULL;
    int selection = is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;

    decoder = OSSL_DECODER_CTX_new_for_pkey(&key->pkey, NULL, NULL, NULL, selection,
                                            seal_library(sealer), NULL);
    if (decoder == NULL)
        return VS_E_CRYPTO;
    /* an empty passphrase, lest OpenSSL asks on the terminal */
    if (OSSL_DECODER_CTX_set_passphrase(decoder, (const unsigned char *)"", 0) != 1 ||
        OSSL_DECODER_from_data(decoder, &bytes, &len) != 1 || key->pkey == NULL)
        return VS_POLICY;
    if (!kind_of(key->pkey, &key->kind))
        return VS_POLICY;
    return fingerprint(sealer, key->pkey, key->fingerprint);
}

int envelope_key_read(struct sealer *sealer, const uint8_t *bytes, size_t len, bool is_private,
                      struct envelope_key *ret_key)
{
    struct envelope_key key = {.pkey = NULL};
    int status;

    ERR_set_mark();
    status = key_read(sealer, bytes, len, is_private, &key);
    ERR_pop_to_mark();
    if (status != VS_OK)
        envelope_key_done(&key);
    else
        *ret_key = key;
    return status;
}

/* ------------------------------------------------------------------ RSA */

static bool oaep(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, "SHA256", NULL) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, "SHA256", NULL) == 1;
}

static int rsa_seal(struct sealer *sealer, EVP_PKEY *pkey, const uint8_t *secret, size_t len,
                    uint8_t *ret_sealed, size_t *ret_len)
{
    AUTO(pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(seal_library(sealer), pkey, NULL);

    *ret_len = ENVELOPE_MAX;
    return ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 && oaep(ctx) &&
                   EVP_PKEY_encrypt(ctx, ret_sealed, ret_len, secret, len) == 1
               ? VS_OK
               : VS_E_CRYPTO;
}

static int rsa_open(struct sealer *sealer, EVP_PKEY *pkey, const uint8_t *sealed,
                    size_t sealed_len, uint8_t *ret_secret, size_t len)
{
    AUTO(pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(seal_library(sealer), pkey, NULL);
    uint8_t plain[ENVELOPE_MAX];
    size_t plain_len = sizeof(plain);
    bool good;

    if (ctx == NULL || EVP_PKEY_decrypt_init(ctx) != 1 || !oaep(ctx))
        return VS_E_CRYPTO;
    good = EVP_PKEY_decrypt(ctx, plain, &plain_len, sealed, sealed_len) == 1 && plain_len == len;
    if (good)
        memcpy(ret_secret, plain, len);
    explicit_bzero(plain, sizeof(plain));
    return good ? VS_OK : VS_E_CORRUPT;
}

/* ------------------------------------------------------------------ curves */

struct shared { uint8_t b[SHARED_MAX]; size_t len; };

static void shared_auto(struct shared *shared)
{
    explicit_bzero(shared, sizeof(*shared));
}

/* Which key comes out depends on both public keys, too. */
static int agree(struct sealer *sealer, EVP_PKEY *own, EVP_PKEY *peer, const uint8_t *point,
                 size_t point_len, const uint8_t *to, uint8_t ret_key[SEAL_KEY])
{
    AUTO(pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(seal_library(sealer), own, NULL);
    AUTO(shared) struct shared shared = {.len = SHARED_MAX};
    uint8_t info[sizeof(INFO) + POINT_MAX + ENVELOPE_FINGERPRINT];
    struct writer w;

    writer_init(&w, info, sizeof(info));
    put_raw(&w, INFO, sizeof(INFO) - 1);
    put_raw(&w, point, point_len);
    put_raw(&w, to, ENVELOPE_FINGERPRINT);
    if (!writer_ok(&w) || ctx == NULL || EVP_PKEY_derive_init(ctx) != 1)
        return VS_E_CRYPTO;
    if (EVP_PKEY_derive_set_peer(ctx, peer) != 1 ||
        EVP_PKEY_derive(ctx, shared.b, &shared.len) != 1)
        return VS_E_CORRUPT;
    return seal_derive(sealer, shared.b, shared.len, "", 0, info, w.len, ret_key);
}

static int ec_seal(struct sealer *sealer, const struct envelope_key *key, const uint8_t *secret,
                   size_t len, uint8_t *ret_sealed, size_t *ret_len)
{
    AUTO(pkey_ctx) EVP_PKEY_CTX *ctx =
        EVP_PKEY_CTX_new_from_pkey(seal_library(sealer), key->pkey, NULL);
    AUTO(pkey) EVP_PKEY *own = NULL;
    unsigned char *point = NULL;
    uint8_t kek[SEAL_KEY];
    size_t point_len;
    struct writer w;
    int status = VS_E_CRYPTO;

    if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_generate(ctx, &own) != 1)
        return VS_E_CRYPTO;
    point_len = EVP_PKEY_get1_encoded_public_key(own, &point);
    if (point_len > 0 && point_len <= POINT_MAX)
        status = agree(sealer, own, key->pkey, point, point_len, key->fingerprint, kek);
    writer_init(&w, ret_sealed, ENVELOPE_MAX);
    put_bytes(&w, point, point_len);
    OPENSSL_free(point);
    if (status == VS_OK && ENVELOPE_MAX - w.len < len + SEAL_OVERHEAD)
        status = VS_POLICY;
    if (status == VS_OK)
        status = seal_close(sealer, kek, NULL, 0, secret, len, ret_sealed + w.len);
    explicit_bzero(kek, sizeof(kek));
    *ret_len = w.len + len + SEAL_OVERHEAD;
    return status;
}

/* The other's public key, on the curve of this one; checked to be on it. */
static EVP_PKEY *peer_new(struct sealer *sealer, EVP_PKEY *like, const uint8_t *point, size_t len)
{
    EVP_PKEY *peer = NULL;

    if (!EVP_PKEY_is_a(like, "EC"))
        return EVP_PKEY_new_raw_public_key_ex(seal_library(sealer), EVP_PKEY_get0_type_name(like),
                                              NULL, point, len);
    peer = EVP_PKEY_new();
    if (peer != NULL && EVP_PKEY_copy_parameters(peer, like) == 1 &&
        EVP_PKEY_set1_encoded_public_key(peer, point, len) == 1)
        return peer;
    EVP_PKEY_free(peer);
    return NULL;
}

static int ec_open(struct sealer *sealer, const struct envelope_key *key, const uint8_t *sealed,
                   size_t sealed_len, uint8_t *ret_secret, size_t len)
{
    AUTO(pkey) EVP_PKEY *peer = NULL;
    uint8_t kek[SEAL_KEY];
    const uint8_t *point;
    size_t point_len;
    struct reader r;
    int status;

    reader_init(&r, sealed, sealed_len);
    point = get_bytes(&r, &point_len);
    if (!reader_ok(&r) || point_len > POINT_MAX || sealed_len - r.pos != len + SEAL_OVERHEAD)
        return VS_E_CORRUPT;
    peer = peer_new(sealer, key->pkey, point, point_len);
    if (peer == NULL)
        return VS_E_CORRUPT;
    status = agree(sealer, key->pkey, peer, point, point_len, key->fingerprint, kek);
    if (status == VS_OK)
        status = seal_open(sealer, kek, NULL, 0, sealed + r.pos, sealed_len - r.pos, ret_secret);
    explicit_bzero(kek, sizeof(kek));
    return status;
}

/* ------------------------------------------------------------------ both */

int envelope_seal(struct sealer *sealer, const struct envelope_key *key, const uint8_t *secret,
                  size_t len, uint8_t ret_sealed[ENVELOPE_MAX], size_t *ret_len)
{
    int status;

    ERR_set_mark();
    status = key->kind == ENVELOPE_RSA
                 ? rsa_seal(sealer, key->pkey, secret, len, ret_sealed, ret_len)
                 : ec_seal(sealer, key, secret, len, ret_sealed, ret_len);
    ERR_pop_to_mark();
    return status;
}

int envelope_open(struct sealer *sealer, const struct envelope_key *key, const uint8_t *sealed,
                  size_t sealed_len, uint8_t *ret_secret, size_t len)
{
    int status;

    ERR_set_mark();
    status = key->kind == ENVELOPE_RSA
                 ? rsa_open(sealer, key->pkey, sealed, sealed_len, ret_secret, len)
                 : ec_open(sealer, key, sealed, sealed_len, ret_secret, len);
    ERR_pop_to_mark();
    return status;
}
