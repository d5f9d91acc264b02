#include "seal.h"

#include "auto.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SEAL_POOL = 32,              /* warm contexts; a 33rd concurrent caller makes its own */
    SEAL_NONCE = 12,
    SHA256_LEN = 32,
    SHA256_BLOCK = 64,
};

/* What one call works with. It never keeps a key beyond the call. */
struct seal_context {
    _Alignas(64) atomic_bool taken;
    bool is_own;                 /* not of the pool: freed after use */
    EVP_CIPHER_CTX *cipher;
    EVP_MD_CTX *md;
};

struct sealer {
    OSSL_LIB_CTX *library;
    EVP_CIPHER *aes_gcm;
    EVP_MD *sha256;
    EVP_KDF *scrypt;
    struct seal_context pool[SEAL_POOL];
};

/* ------------------------------------------------------------------ contexts */

static void context_done(struct seal_context *context)
{
    EVP_CIPHER_CTX_free(context->cipher);
    EVP_MD_CTX_free(context->md);
}

static bool context_init(struct seal_context *context, const struct sealer *sealer)
{
    context->cipher = EVP_CIPHER_CTX_new();
    context->md = EVP_MD_CTX_new();
    return context->cipher && context->md &&
           EVP_EncryptInit_ex2(context->cipher, sealer->aes_gcm, NULL, NULL, NULL) == 1 &&
           EVP_DigestInit_ex2(context->md, sealer->sha256, NULL) == 1;
}

static struct seal_context *context_new(const struct sealer *sealer)
{
    struct seal_context *context = aligned_alloc(_Alignof(struct seal_context), sizeof(*context));
    if (!context)
        return NULL;
    memset(context, 0, sizeof(*context));
    context->is_own = true;
    if (context_init(context, sealer))
        return context;
    context_done(context);
    free(context);
    return NULL;
}

static size_t thread_hint(void)
{
    static atomic_size_t next = 1;
    static _Thread_local size_t hint;
    if (hint == 0)
        hint = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
    return hint;
}

/* With it a mark in OpenSSL's error queue: the application's own errors stay as they are. */
static struct seal_context *context_take(struct sealer *sealer)
{
    ERR_set_mark();
    size_t first = thread_hint();
    for (size_t i = 0; i < SEAL_POOL; i++) {
        struct seal_context *context = &sealer->pool[(first + i) % SEAL_POOL];
        if (!atomic_exchange_explicit(&context->taken, true, memory_order_acquire))
            return context;
    }
    struct seal_context *context = context_new(sealer);
    if (!context)
        ERR_pop_to_mark();
    return context;
}

static int context_give(struct seal_context *context, int status)
{
    if (context->is_own) {
        context_done(context);
        free(context);
    } else {
        atomic_store_explicit(&context->taken, false, memory_order_release);
    }
    ERR_pop_to_mark();
    return status;
}

/* A zero key over the key schedule. */
static bool cipher_forget(struct seal_context *context)
{
    static const uint8_t zero[SEAL_KEY];
    return EVP_EncryptInit_ex2(context->cipher, NULL, zero, NULL, NULL) == 1;
}

/* The start values over a state that equals the last result. */
static bool digest_start(struct seal_context *context, const struct sealer *sealer)
{
    return EVP_DigestInit_ex2(context->md, sealer->sha256, NULL) == 1;
}

/* ------------------------------------------------------------------ the sealer */

/*
 * One library context for the process, never freed: a thread that used it has OpenSSL's handlers
 * to run when it ends, and they use the context, whenever that is. A forked child makes its own.
 */
struct library {
    OSSL_LIB_CTX *context;
    OSSL_PROVIDER *provider;
    pid_t pid;
    struct library *before;      /* the parent's, not lost to leak checkers */
};
static struct library *_Atomic library_made;

static void library_free(struct library *library)
{
    if (library->provider)
        OSSL_PROVIDER_unload(library->provider);
    OSSL_LIB_CTX_free(library->context);
    free(library);
}

static OSSL_LIB_CTX *library_of_process(void)
{
    struct library *have = atomic_load(&library_made);
    if (have && have->pid == getpid())
        return have->context;
    struct library *fresh = calloc(1, sizeof(*fresh));
    if (!fresh)
        return NULL;
    fresh->context = OSSL_LIB_CTX_new();
    fresh->provider = fresh->context ? OSSL_PROVIDER_load(fresh->context, "default") : NULL;
    fresh->pid = getpid();
    fresh->before = have;
    if (fresh->provider && atomic_compare_exchange_strong(&library_made, &have, fresh))
        return fresh->context;
    OSSL_LIB_CTX *others = fresh->provider ? have->context : NULL;   /* another was faster */
    library_free(fresh);
    return others;
}

static bool sealer_init(struct sealer *sealer)
{
    sealer->library = library_of_process();
    if (!sealer->library)
        return false;
    sealer->aes_gcm = EVP_CIPHER_fetch(sealer->library, "AES-256-GCM", NULL);
    sealer->sha256 = EVP_MD_fetch(sealer->library, "SHA2-256", NULL);
    sealer->scrypt = EVP_KDF_fetch(sealer->library, "SCRYPT", NULL);
    if (!sealer->aes_gcm || !sealer->sha256 || !sealer->scrypt)
        return false;
    for (size_t i = 0; i < SEAL_POOL; i++)
        if (!context_init(&sealer->pool[i], sealer))
            return false;
    return true;
}

int sealer_new(struct sealer **ret_sealer)
{
    struct sealer *sealer = aligned_alloc(_Alignof(struct sealer), sizeof(*sealer));
    if (!sealer)
        return VS_E_NOMEM;
    memset(sealer, 0, sizeof(*sealer));
    ERR_set_mark();
    bool ok = sealer_init(sealer);
    ERR_pop_to_mark();
    if (!ok) {
        sealer_free(sealer);
        return VS_E_CRYPTO;
    }
    *ret_sealer = sealer;
    return VS_OK;
}

void sealer_free(struct sealer *sealer)
{
    if (!sealer)
        return;
    if (OPENSSL_init_crypto(0, NULL) == 1) {
        for (size_t i = 0; i < SEAL_POOL; i++)
            context_done(&sealer->pool[i]);
        EVP_KDF_free(sealer->scrypt);
        EVP_MD_free(sealer->sha256);
        EVP_CIPHER_free(sealer->aes_gcm);
    }
    free(sealer);
}

struct ossl_lib_ctx_st *seal_library(struct sealer *sealer)
{
    return sealer->library;
}

int seal_random(struct sealer *sealer, void *ret_data, size_t len)
{
    ERR_set_mark();
    bool ok = RAND_priv_bytes_ex(sealer->library, ret_data, len, 0) == 1;
    ERR_pop_to_mark();
    return ok ? VS_OK : VS_E_CRYPTO;
}

bool seal_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

/* ------------------------------------------------------------------ SHA-256 and HMAC */

struct bytes { const void *data; size_t len; };

static bool digest_parts(struct seal_context *context, const struct sealer *sealer,
                         const struct bytes *parts, size_t n, uint8_t ret_hash[SHA256_LEN])
{
    if (!digest_start(context, sealer))
        return false;
    for (size_t i = 0; i < n; i++)
        if (parts[i].len > 0 &&
            EVP_DigestUpdate(context->md, parts[i].data, parts[i].len) != 1)
            return false;
    return EVP_DigestFinal_ex(context->md, ret_hash, NULL) == 1;
}

/*
 * HMAC on a warm digest context: OpenSSL's own EVP_MAC would allocate for each new key, and here
 * nearly every key is new. key_len is at most SHA256_BLOCK.
 */
static bool hmac_parts(struct seal_context *context, const struct sealer *sealer,
                       const uint8_t *key, size_t key_len, const struct bytes *data, size_t n,
                       uint8_t ret_mac[SHA256_LEN])
{
    uint8_t inner_pad[SHA256_BLOCK], outer_pad[SHA256_BLOCK], inner[SHA256_LEN];
    for (size_t i = 0; i < SHA256_BLOCK; i++) {
        uint8_t byte = i < key_len ? key[i] : 0;
        inner_pad[i] = byte ^ 0x36;
        outer_pad[i] = byte ^ 0x5c;
    }
    struct bytes first[4] = {{inner_pad, sizeof(inner_pad)}};
    for (size_t i = 0; i < n; i++)
        first[i + 1] = data[i];
    const struct bytes second[] = {{outer_pad, sizeof(outer_pad)}, {inner, sizeof(inner)}};
    bool ok = digest_parts(context, sealer, first, n + 1, inner) &&
              digest_parts(context, sealer, second, 2, ret_mac) && digest_start(context, sealer);
    OPENSSL_cleanse(inner_pad, sizeof(inner_pad));
    OPENSSL_cleanse(outer_pad, sizeof(outer_pad));
    OPENSSL_cleanse(inner, sizeof(inner));
    return ok;
}

int seal_sha256(struct sealer *sealer, const void *a, size_t a_len, const void *b, size_t b_len,
                uint8_t ret_hash[32])
{
    struct seal_context *context = context_take(sealer);
    if (!context)
        return VS_E_NOMEM;
    const struct bytes parts[] = {{a, a_len}, {b, b_len}};
    bool ok = digest_parts(context, sealer, parts, 2, ret_hash);
    return context_give(context, ok ? VS_OK : VS_E_CRYPTO);
}

int seal_mac(struct sealer *sealer, const uint8_t key[SEAL_KEY], const void *data, size_t len,
             uint8_t ret_mac[32])
{
    struct seal_context *context = context_take(sealer);
    if (!context)
        return VS_E_NOMEM;
    const struct bytes part = {data, len};
    bool ok = hmac_parts(context, sealer, key, SEAL_KEY, &part, 1, ret_mac);
    return context_give(context, ok ? VS_OK : VS_E_CRYPTO);
}

/* A salt longer than a block is hashed first, as every HMAC key is. */
static bool derive(struct seal_context *context, const struct sealer *sealer, struct bytes ikm,
                   struct bytes salt, struct bytes info, uint8_t ret_key[SEAL_KEY])
{
    static const uint8_t counter = 1;
    const struct bytes expand[] = {info, {&counter, 1}};
    uint8_t short_salt[SHA256_LEN], prk[SHA256_LEN];
    if (salt.len > SHA256_BLOCK) {
        if (!digest_parts(context, sealer, &salt, 1, short_salt))
            return false;
        salt = (struct bytes){short_salt, sizeof(short_salt)};
    }
    bool ok = hmac_parts(context, sealer, salt.data, salt.len, &ikm, 1, prk) &&
              hmac_parts(context, sealer, prk, sizeof(prk), expand, 2, ret_key);
    OPENSSL_cleanse(prk, sizeof(prk));
    return ok;
}

int seal_derive(struct sealer *sealer, const void *ikm, size_t ikm_len, const void *salt,
                size_t salt_len, const void *info, size_t info_len, uint8_t ret_key[SEAL_KEY])
{
    struct seal_context *context = context_take(sealer);
    if (!context)
        return VS_E_NOMEM;
    bool ok = derive(context, sealer, (struct bytes){ikm, ikm_len},
                     (struct bytes){salt, salt_len}, (struct bytes){info, info_len}, ret_key);
    return context_give(context, ok ? VS_OK : VS_E_CRYPTO);
}

/* ------------------------------------------------------------------ AES-256-GCM */

static bool lengths_fit(size_t aad_len, size_t len)
{
    return aad_len <= INT_MAX / 2 && len <= INT_MAX / 2;
}

static bool encrypt(EVP_CIPHER_CTX *c, const uint8_t *key, const uint8_t *nonce, struct bytes aad,
                    struct bytes plain, uint8_t *ret_text, uint8_t *ret_tag)
{
    int n;
    return EVP_EncryptInit_ex2(c, NULL, key, nonce, NULL) == 1 &&
           (aad.len == 0 || EVP_EncryptUpdate(c, NULL, &n, aad.data, (int)aad.len) == 1) &&
           (plain.len == 0 ||
            EVP_EncryptUpdate(c, ret_text, &n, plain.data, (int)plain.len) == 1) &&
           EVP_EncryptFinal_ex(c, ret_tag, &n) == 1 &&   /* GCM: writes nothing */
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG, ret_tag) == 1;
}

int seal_close(struct sealer *sealer, const uint8_t key[SEAL_KEY], const void *aad,
               size_t aad_len, const void *plain, size_t len, uint8_t *ret_sealed)
{
    if (!lengths_fit(aad_len, len))
        return VS_E_CRYPTO;
    struct seal_context *context = context_take(sealer);
    if (!context)
        return VS_E_NOMEM;
    uint8_t nonce[SEAL_NONCE], tag[SEAL_TAG];
    uint8_t *text = ret_sealed + SEAL_NONCE;
    bool ok = RAND_bytes_ex(sealer->library, nonce, sizeof(nonce), 0) == 1 &&
              encrypt(context->cipher, key, nonce, (struct bytes){aad, aad_len},
                      (struct bytes){plain, len}, text, tag);
    ok = cipher_forget(context) && ok;
    if (ok) {
        memcpy(ret_sealed, nonce, sizeof(nonce));
        memcpy(text + len, tag, sizeof(tag));
    }
    return context_give(context, ok ? VS_OK : VS_E_CRYPTO);
}

/* False is a fault of OpenSSL's; whether it authenticates is ret_good. */
static bool decrypt(EVP_CIPHER_CTX *c, const uint8_t *key, const uint8_t *nonce, struct bytes aad,
                    struct bytes text, const uint8_t *tag, uint8_t *ret_plain, bool *ret_good)
{
    int n;
    uint8_t last[16];
    if (EVP_DecryptInit_ex2(c, NULL, key, nonce, NULL) != 1 ||
        (aad.len > 0 && EVP_DecryptUpdate(c, NULL, &n, aad.data, (int)aad.len) != 1) ||
        (text.len > 0 && EVP_DecryptUpdate(c, ret_plain, &n, text.data, (int)text.len) != 1) ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG, (void *)(uintptr_t)tag) != 1)
        return false;
    *ret_good = EVP_DecryptFinal_ex(c, last, &n) == 1;
    return true;
}

int seal_open(struct sealer *sealer, const uint8_t key[SEAL_KEY], const void *aad, size_t aad_len,
              const uint8_t *sealed, size_t sealed_len, void *ret_plain)
{
    if (sealed_len < SEAL_OVERHEAD)
        return VS_E_CORRUPT;
    size_t len = sealed_len - SEAL_OVERHEAD;
    if (!lengths_fit(aad_len, len))
        return VS_E_CRYPTO;
    struct seal_context *context = context_take(sealer);
    if (!context)
        return VS_E_NOMEM;
    bool good = false;
    const uint8_t *text = sealed + SEAL_NONCE;
    bool ok = decrypt(context->cipher, key, sealed, (struct bytes){aad, aad_len},
                      (struct bytes){text, len}, text + len, ret_plain, &good);
    ok = cipher_forget(context) && ok;
    if (!(ok && good) && len > 0)
        OPENSSL_cleanse(ret_plain, len);   /* nobody shall see what did not authenticate */
    return context_give(context, !ok ? VS_E_CRYPTO : good ? VS_OK : VS_E_CORRUPT);
}

/* ------------------------------------------------------------------ scrypt */

int seal_scrypt(struct sealer *sealer, const void *pin, size_t pin_len, const uint8_t salt[16],
                uint32_t log_n, uint8_t ret_key[SEAL_KEY])
{
    if (log_n < 1 || log_n > 31)
        return VS_E_CRYPTO;
    uint64_t n = (uint64_t)1 << log_n, maxmem = 128 * 8 * (n + 2) + (1u << 16);
    uint32_t r = 8, p = 1;
    OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)(uintptr_t)pin, pin_len),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, 16),
        OSSL_PARAM_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &maxmem),
        OSSL_PARAM_END,
    };
    ERR_set_mark();
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(sealer->scrypt);
    bool ok = context && EVP_KDF_derive(context, ret_key, SEAL_KEY, params) == 1;
    EVP_KDF_CTX_free(context);
    ERR_pop_to_mark();
    return ok ? VS_OK : VS_E_CRYPTO;
}

/* ------------------------------------------------------------------ X25519 */

static bool pair_of(struct sealer *sealer, const uint8_t private_key[SEAL_KEY],
                    uint8_t ret_public[SEAL_KEY])
{
    size_t len = SEAL_KEY;
    EVP_PKEY *pair = EVP_PKEY_new_raw_private_key_ex(sealer->library, "X25519", NULL, private_key,
                                                     SEAL_KEY);
    bool ok = pair && EVP_PKEY_get_raw_public_key(pair, ret_public, &len) == 1 && len == SEAL_KEY;
    EVP_PKEY_free(pair);
    return ok;
}

int seal_pair(struct sealer *sealer, uint8_t ret_private[SEAL_KEY], uint8_t ret_public[SEAL_KEY])
{
    int status = seal_random(sealer, ret_private, SEAL_KEY);
    ERR_set_mark();
    if (status == VS_OK && !pair_of(sealer, ret_private, ret_public))
        status = VS_E_CRYPTO;
    ERR_pop_to_mark();
    return status;
}

/* A public key of small order gives no secret, and fails. */
static bool agree(struct sealer *sealer, const uint8_t *private_key, const uint8_t *public_key,
                  uint8_t ret_secret[SEAL_KEY])
{
    size_t len = SEAL_KEY;
    EVP_PKEY *own = EVP_PKEY_new_raw_private_key_ex(sealer->library, "X25519", NULL, private_key,
                                                    SEAL_KEY);
    EVP_PKEY *peer = EVP_PKEY_new_raw_public_key_ex(sealer->library, "X25519", NULL, public_key,
                                                    SEAL_KEY);
    EVP_PKEY_CTX *context = own ? EVP_PKEY_CTX_new_from_pkey(sealer->library, own, NULL) : NULL;
    bool ok = peer && context && EVP_PKEY_derive_init(context) == 1 &&
              EVP_PKEY_derive_set_peer(context, peer) == 1 &&
              EVP_PKEY_derive(context, ret_secret, &len) == 1 && len == SEAL_KEY;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(peer);
    EVP_PKEY_free(own);
    return ok;
}

/* Both public keys go in: a box belongs to one recipient and one sender's key. */
static int box_key(struct sealer *sealer, const uint8_t *private_key, const uint8_t *peer,
                   const uint8_t *fresh, const uint8_t *recipient, const void *info,
                   size_t info_len, uint8_t ret_key[SEAL_KEY])
{
    uint8_t secret[SEAL_KEY], salt[2 * SEAL_KEY];
    ERR_set_mark();
    int status = agree(sealer, private_key, peer, secret) ? VS_OK : VS_E_CRYPTO;
    ERR_pop_to_mark();
    memcpy(salt, fresh, SEAL_KEY);
    memcpy(salt + SEAL_KEY, recipient, SEAL_KEY);
    if (status == VS_OK)
        status = seal_derive(sealer, secret, sizeof(secret), salt, sizeof(salt), info, info_len,
                             ret_key);
    OPENSSL_cleanse(secret, sizeof(secret));
    return status;
}

int seal_box_close(struct sealer *sealer, const uint8_t public_key[SEAL_KEY], const void *info,
                   size_t info_len, const uint8_t key[SEAL_KEY], uint8_t ret_box[SEAL_BOX])
{
    uint8_t fresh[SEAL_KEY], fresh_public[SEAL_KEY], wrap[SEAL_KEY];
    int status = seal_pair(sealer, fresh, fresh_public);
    if (status == VS_OK)
        status = box_key(sealer, fresh, public_key, fresh_public, public_key, info, info_len, wrap);
    if (status == VS_OK)
        status = seal_close(sealer, wrap, info, info_len, key, SEAL_KEY, ret_box + SEAL_KEY);
    if (status == VS_OK)
        memcpy(ret_box, fresh_public, SEAL_KEY);
    OPENSSL_cleanse(fresh, sizeof(fresh));
    OPENSSL_cleanse(wrap, sizeof(wrap));
    return status;
}

int seal_box_open(struct sealer *sealer, const uint8_t private_key[SEAL_KEY], const void *info,
                  size_t info_len, const uint8_t box[SEAL_BOX], uint8_t ret_key[SEAL_KEY])
{
    uint8_t own_public[SEAL_KEY], wrap[SEAL_KEY];
    ERR_set_mark();
    int status = pair_of(sealer, private_key, own_public) ? VS_OK : VS_E_CRYPTO;
    ERR_pop_to_mark();
    if (status == VS_OK)
        status = box_key(sealer, private_key, box, box, own_public, info, info_len, wrap);
    if (status == VS_OK)
        status = seal_open(sealer, wrap, info, info_len, box + SEAL_KEY, SEAL_BOX - SEAL_KEY,
                           ret_key);
    OPENSSL_cleanse(wrap, sizeof(wrap));
    return status;
}
