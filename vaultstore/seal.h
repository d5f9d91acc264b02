/*
 * seal.h: keys from keys, records sealed with AES-256-GCM, tags by HMAC-SHA256. The only file of
 * vaultstore/ (with pin.c, which does scrypt, and audit's SHA-256) that calls OpenSSL, in an own
 * OSSL_LIB_CTX with the default provider and no configuration file; algorithms are fetched once.
 * Thread-safe. Contexts are kept warm per call site in a small pool.
 */
#ifndef SEAL_H
#define SEAL_H
#include "vaultstore.h"

#define SEAL_KEY 32u
#define SEAL_OVERHEAD 28u    /* 12 nonce + 16 tag */
#define SEAL_TAG 16u         /* an index tag */

struct sealer;               /* the library context and what was fetched from it */
VS_MUST_USE int sealer_new(struct sealer **ret_sealer);
/* After libcrypto's own exit handler has run, frees nothing of OpenSSL's. NULL is allowed. */
void sealer_free(struct sealer *sealer);

/* An OSSL_LIB_CTX; borrowed. For envelope.c. */
struct ossl_lib_ctx_st *seal_library(struct sealer *sealer);
VS_MUST_USE int seal_random(struct sealer *sealer, void *ret_data, size_t len);
/* HKDF-SHA256(salt, key material, info) to 32 bytes. */
VS_MUST_USE int seal_derive(struct sealer *sealer, const void *ikm, size_t ikm_len,
                            const void *salt, size_t salt_len, const void *info, size_t info_len,
                            uint8_t ret_key[SEAL_KEY]);
/* ret_sealed: 12 random bytes, ciphertext, 16 tag; len + SEAL_OVERHEAD bytes. */
VS_MUST_USE int seal_close(struct sealer *sealer, const uint8_t key[SEAL_KEY], const void *aad,
                           size_t aad_len, const void *plain, size_t len, uint8_t *ret_sealed);
/* VS_E_CORRUPT when it does not authenticate. ret_plain: sealed_len - SEAL_OVERHEAD bytes. */
VS_MUST_USE int seal_open(struct sealer *sealer, const uint8_t key[SEAL_KEY], const void *aad,
                          size_t aad_len, const uint8_t *sealed, size_t sealed_len,
                          void *ret_plain);
/*
 * A key sealed to a public key (X25519): 32 bytes of a fresh public key, then seal_close under
 * HKDF(shared secret, both public keys, info), info also being the associated data.
 */
#define SEAL_BOX (SEAL_KEY + SEAL_KEY + SEAL_OVERHEAD)
VS_MUST_USE int seal_pair(struct sealer *sealer, uint8_t ret_private[SEAL_KEY],
                          uint8_t ret_public[SEAL_KEY]);
VS_MUST_USE int seal_box_close(struct sealer *sealer, const uint8_t public_key[SEAL_KEY],
                               const void *info, size_t info_len, const uint8_t key[SEAL_KEY],
                               uint8_t ret_box[SEAL_BOX]);
/* VS_E_CORRUPT when it is not for this key, or changed. */
VS_MUST_USE int seal_box_open(struct sealer *sealer, const uint8_t private_key[SEAL_KEY],
                              const void *info, size_t info_len, const uint8_t box[SEAL_BOX],
                              uint8_t ret_key[SEAL_KEY]);
/* HMAC-SHA256. */
VS_MUST_USE int seal_mac(struct sealer *sealer, const uint8_t key[SEAL_KEY], const void *data,
                         size_t len, uint8_t ret_mac[32]);
VS_MUST_USE int seal_sha256(struct sealer *sealer, const void *a, size_t a_len, const void *b,
                            size_t b_len, uint8_t ret_hash[32]);
bool seal_equal(const void *a, const void *b, size_t len);         /* constant time */
/* scrypt (r = 8, p = 1) to 32 bytes; memory 128 * 8 * 2^log_n bytes. */
VS_MUST_USE int seal_scrypt(struct sealer *sealer, const void *pin, size_t pin_len,
                            const uint8_t salt[16], uint32_t log_n, uint8_t ret_key[SEAL_KEY]);
#endif
