/*
 * OpenSSL, as the module sees it. See ossl.h.
 *
 * Everything hangs off one pointer. A forked child that initialises makes its own and never touches
 * what the parent had. Algorithms are fetched at first use and published
 * atomically: C_Initialize stays fast and the hot path takes no lock.
 */
#include "ossl.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ossl_provider.h"
#include "trace.h"

const struct digest_row DIGESTS[DIGEST_COUNT] = {
    [DIGEST_SHA1] = {CKM_SHA_1, CKG_MGF1_SHA1, "SHA1", 20, 64},
    [DIGEST_SHA224] = {CKM_SHA224, CKG_MGF1_SHA224, "SHA224", 28, 64},
    [DIGEST_SHA256] = {CKM_SHA256, CKG_MGF1_SHA256, "SHA256", 32, 64},
    [DIGEST_SHA384] = {CKM_SHA384, CKG_MGF1_SHA384, "SHA384", 48, 128},
    [DIGEST_SHA512] = {CKM_SHA512, CKG_MGF1_SHA512, "SHA512", 64, 128},
    [DIGEST_SHA512_224] = {CKM_SHA512_224, 0, "SHA512-224", 28, 128},
    [DIGEST_SHA512_256] = {CKM_SHA512_256, 0, "SHA512-256", 32, 128},
    [DIGEST_SHA3_224] = {CKM_SHA3_224, CKG_MGF1_SHA3_224, "SHA3-224", 28, 144},
    [DIGEST_SHA3_256] = {CKM_SHA3_256, CKG_MGF1_SHA3_256, "SHA3-256", 32, 136},
    [DIGEST_SHA3_384] = {CKM_SHA3_384, CKG_MGF1_SHA3_384, "SHA3-384", 48, 104},
    [DIGEST_SHA3_512] = {CKM_SHA3_512, CKG_MGF1_SHA3_512, "SHA3-512", 64, 72},
};

#define KEY_LENS 3   /* AES: 16, 24, 32 */

static const char *const CIPHER_NAMES[OSSL_CIPHER_COUNT][KEY_LENS] = {
    [OSSL_AES_ECB] = {"AES-128-ECB", "AES-192-ECB", "AES-256-ECB"},
    [OSSL_AES_CBC] = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"},
    [OSSL_AES_CTR] = {"AES-128-CTR", "AES-192-CTR", "AES-256-CTR"},
    [OSSL_AES_GCM] = {"AES-128-GCM", "AES-192-GCM", "AES-256-GCM"},
    [OSSL_AES_CCM] = {"AES-128-CCM", "AES-192-CCM", "AES-256-CCM"},
    [OSSL_AES_WRAP] = {"AES-128-WRAP", "AES-192-WRAP", "AES-256-WRAP"},
    [OSSL_AES_WRAP_PAD] = {"AES-128-WRAP-PAD", "AES-192-WRAP-PAD", "AES-256-WRAP-PAD"},
};

struct ossl {
    struct ossl_provider provider;
    EVP_MD *_Atomic mds[DIGEST_COUNT];
    EVP_CIPHER *_Atomic ciphers[OSSL_CIPHER_COUNT][KEY_LENS];
    EVP_MAC *_Atomic hmac;
    EVP_MAC *_Atomic cmac;
    pid_t pid;                   /* of the process that made it */
    struct ossl *made_before;    /* by its parent: never touched, only not lost to leak checkers */
};

static struct ossl *_Atomic current;    /* NULL: stopped */
/* Kept from one start to the next: a thread that used a library context has OpenSSL's handlers to
 * run when it ends, and they use the context; no lock of OpenSSL's keeps it from being freed
 * meanwhile, and no one can know when the host's threads end. */
static struct ossl *_Atomic made;

static struct ossl *ossl_now(void)
{
    return atomic_load_explicit(&current, memory_order_acquire);
}

const struct digest_row *digest_by_mechanism(CK_MECHANISM_TYPE mechanism)
{
    for (size_t i = 0; i < DIGESTS_COUNT; i++)
        if (DIGESTS[i].mechanism == mechanism)
            return &DIGESTS[i];
    return NULL;
}

const struct digest_row *digest_by_mgf(CK_RSA_PKCS_MGF_TYPE mgf)
{
    for (size_t i = 0; i < DIGESTS_COUNT; i++)
        if (mgf != 0 && DIGESTS[i].mgf == mgf)
            return &DIGESTS[i];
    return NULL;
}

CK_RV ossl_start(void)
{
    struct ossl *ossl = atomic_load(&made);
    if (ossl == NULL || ossl->pid != getpid()) {
        struct ossl *fresh = calloc(1, sizeof *fresh);
        if (fresh == NULL)
            return trace_fail(CKR_HOST_MEMORY, "no memory for OpenSSL's state");
        CK_RV rv = ossl_provider_init(&fresh->provider);
        if (rv != CKR_OK) {
            free(fresh);
            return rv;
        }
        fresh->pid = getpid();
        fresh->made_before = ossl;
        atomic_store(&made, fresh);
        ossl = fresh;
    }
    atomic_store(&current, ossl);
    return CKR_OK;
}

void ossl_stop(void)
{
    atomic_store(&current, NULL);
}

OSSL_LIB_CTX *ossl_libctx(void)
{
    struct ossl *ossl = ossl_now();
    return ossl == NULL ? NULL : ossl->provider.libctx;
}

EVP_PKEY_CTX *ossl_pkey_ctx(const char *type)
{
    return EVP_PKEY_CTX_new_from_name(ossl_libctx(), ossl_key_type(type), NULL);
}

/* A getter of a row that is fetched when first asked for; of two threads that race to fetch, the
 * slower one drops its own. */
#define FETCH(type, place, name)                                                                   \
    do {                                                                                           \
        type *have_ = atomic_load_explicit(place, memory_order_acquire);                           \
        if (have_ != NULL)                                                                         \
            return have_;                                                                          \
        type *made_ = type##_fetch(ossl->provider.libctx, name, NULL);                                      \
        if (made_ == NULL || atomic_compare_exchange_strong(place, &have_, made_)) {               \
            if (made_ == NULL)                                                                     \
                (void)ossl_fail(CKR_GENERAL_ERROR, name);                                          \
            return made_;                                                                          \
        }                                                                                          \
        type##_free(made_);                                                                        \
        return have_;                                                                              \
    } while (0)

EVP_MD *ossl_md(const struct digest_row *digest)
{
    struct ossl *ossl = ossl_now();
    if (ossl == NULL)
        return NULL;
    FETCH(EVP_MD, &ossl->mds[digest - DIGESTS], digest->name);
}

EVP_CIPHER *ossl_cipher(enum ossl_cipher cipher, size_t key_len)
{
    struct ossl *ossl = ossl_now();
    if (ossl == NULL || (key_len != 16 && key_len != 24 && key_len != 32))
        return NULL;
    size_t size = key_len / 8 - 2;
    FETCH(EVP_CIPHER, &ossl->ciphers[cipher][size], CIPHER_NAMES[cipher][size]);
}

EVP_MAC *ossl_hmac(void)
{
    struct ossl *ossl = ossl_now();
    if (ossl == NULL)
        return NULL;
    FETCH(EVP_MAC, &ossl->hmac, "HMAC");
}

EVP_MAC *ossl_cmac(void)
{
    struct ossl *ossl = ossl_now();
    if (ossl == NULL)
        return NULL;
    FETCH(EVP_MAC, &ossl->cmac, "CMAC");
}

CK_RV ossl_fail(CK_RV rv, const char *what)
{
    char text[160] = "no reason given";
    unsigned long code = ERR_peek_last_error();
    if (code != 0)
        ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return trace_fail(rv, "%s: %s", what, text);
}

CK_RV ossl_random(void *ret_data, size_t len)
{
    OSSL_LIB_CTX *libctx = ossl_libctx();
    if (libctx == NULL || RAND_priv_bytes_ex(libctx, ret_data, len, 0) != 1)
        return ossl_fail(CKR_FUNCTION_FAILED, "random bytes");
    return CKR_OK;
}

CK_RV ossl_seed(const void *data, size_t len)
{
    /* Additional input alone: the generator still reseeds from the system. */
    EVP_RAND_CTX *rand = RAND_get0_primary(ossl_libctx());
    if (rand == NULL || EVP_RAND_reseed(rand, 0, NULL, 0, data, len) != 1)
        return ossl_fail(CKR_FUNCTION_FAILED, "seeding the random generator");
    return CKR_OK;
}
