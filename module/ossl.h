/*
 * ossl.h: the only place that fetches from OpenSSL and drains its error queue. An own
 * OSSL_LIB_CTX with the default provider (see ossl_provider.h), made at C_Initialize, without a
 * configuration file.
 */
#ifndef OSSL_H
#define OSSL_H
#include <openssl/evp.h>
#include "cryptoki.h"

/* Digests, names and sizes, as rows; everything that needs a hash points at one. */
struct digest_row {
    CK_MECHANISM_TYPE mechanism;     /* CKM_SHA256 */
    CK_RSA_PKCS_MGF_TYPE mgf;        /* CKG_MGF1_SHA256; 0: the standard has none */
    const char *name;                /* "SHA256", OpenSSL's */
    size_t size, block;
};
/* The rows' order in DIGESTS, so that other tables can name a row: &DIGESTS[DIGEST_SHA256]. */
enum digest_id {
    DIGEST_SHA1, DIGEST_SHA224, DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512, DIGEST_SHA512_224,
    DIGEST_SHA512_256, DIGEST_SHA3_224, DIGEST_SHA3_256, DIGEST_SHA3_384, DIGEST_SHA3_512,
    DIGEST_COUNT
};
extern const struct digest_row DIGESTS[DIGEST_COUNT];
#define DIGESTS_COUNT ((size_t)DIGEST_COUNT)
const struct digest_row *digest_by_mechanism(CK_MECHANISM_TYPE mechanism);   /* NULL if unknown */
const struct digest_row *digest_by_mgf(CK_RSA_PKCS_MGF_TYPE mgf);

CK_RV ossl_start(void);              /* per process, at C_Initialize */
void ossl_stop(void);                /* at C_Finalize; what was fetched is kept for the next start */
OSSL_LIB_CTX *ossl_libctx(void);
/* For a key type ("RSA", "EC", "ED25519", ...): never by OpenSSL's own function, which would ask
 * the host's engines first. NULL when it fails. */
EVP_PKEY_CTX *ossl_pkey_ctx(const char *type);
/* Fetched once, kept until ossl_stop; borrowed. NULL when OpenSSL has no such algorithm. */
EVP_MD *ossl_md(const struct digest_row *digest);
enum ossl_cipher {
    OSSL_AES_ECB, OSSL_AES_CBC, OSSL_AES_CTR, OSSL_AES_GCM, OSSL_AES_CCM, OSSL_AES_WRAP,
    OSSL_AES_WRAP_PAD, OSSL_CIPHER_COUNT
};
EVP_CIPHER *ossl_cipher(enum ossl_cipher cipher, size_t key_len);
EVP_MAC *ossl_hmac(void);
EVP_MAC *ossl_cmac(void);
/* Drains this thread's error queue into the trace and returns rv. */
CK_RV ossl_fail(CK_RV rv, const char *what);
CK_RV ossl_random(void *ret_data, size_t len);   /* from the library context's own generator */
CK_RV ossl_seed(const void *data, size_t len);
#endif
