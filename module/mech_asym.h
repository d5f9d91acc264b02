/* mech_asym.h: what the families with EVP_PKEY keys share: one kept context. */
#ifndef MECH_ASYM_H
#define MECH_ASYM_H
#include "mech.h"
#include "ossl_auto.h"

/* A family's context (crypto.ctx). EVP_PKEY_sign and its like change nothing in the EVP_PKEY_CTX,
 * so a kept one only needs its parameters set again, and those only if they differ. */
struct asym_ctx {
    EVP_PKEY_CTX *pkey;
    EVP_MD_CTX *md;              /* hash-and-sign forms */
    const struct digest_row *hash, *mgf;    /* as last set in pkey */
    size_t salt_len;
    bool labelled;
    uint8_t rejection_key[32];   /* PKCS#1 v1.5 decryption: a hash of the private exponent */
    bool rejection_ready;
};

/* The context, made with `init` (EVP_PKEY_sign_init, ...) when the crypto has none. */
CK_RV asym_ready(struct crypto *c, int (*init)(EVP_PKEY_CTX *), struct asym_ctx **ret_ctx);
void asym_ctx_free(void *ctx);
/* For a failed begin: frees the context; returns rv. */
CK_RV asym_drop(struct crypto *c, CK_RV rv);

/* The row's digest over the data of a hash-and-sign form. */
CK_RV asym_hash_begin(struct crypto *c);
CK_RV asym_hash_update(struct crypto *c, const uint8_t *data, size_t len);
CK_RV asym_hash_final(struct crypto *c, uint8_t ret_digest[EVP_MAX_MD_SIZE]);

/* begin of a signature: sign or verify as c->encrypt says. */
static inline CK_RV asym_sign_ready(struct crypto *c, struct asym_ctx **ret_ctx)
{
    return asym_ready(c, c->encrypt ? EVP_PKEY_sign_init : EVP_PKEY_verify_init, ret_ctx);
}
#endif
