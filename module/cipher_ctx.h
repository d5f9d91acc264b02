/*
 * cipher_ctx.h: EVP_CIPHER_CTX for the symmetric families: set up once under a key, afterwards
 * given a new IV only.
 */
#ifndef CIPHER_CTX_H
#define CIPHER_CTX_H
#include "mech.h"

/*
 * For families whose context is a plain EVP_CIPHER_CTX: makes c->ctx for the row's cipher
 * (mech->detail, enum ossl_cipher), the operation's key and direction, without padding; or
 * re-initialises the one there with the IV. iv may be NULL where the mode has none.
 */
CK_RV cipher_begin(struct crypto *c, const uint8_t *iv);
void cipher_ctx_free(void *ctx);
/* EVP_CipherUpdate for any length; in == out is fine. The mode must not hold bytes back. */
CK_RV cipher_run(EVP_CIPHER_CTX *ctx, const uint8_t *in, size_t len, uint8_t *out);

/* The standard's code for data of a wrong length, by direction. */
static inline CK_RV cipher_len_range(const struct crypto *c)
{
    return c->encrypt ? CKR_DATA_LEN_RANGE : CKR_ENCRYPTED_DATA_LEN_RANGE;
}
/*
 * PKCS#7 padding of the last block of a text of `len` bytes, len a multiple of block (at most
 * 255) and not 0: the number of bytes to cut, or 0 when the padding is bad; in a time that
 * depends on neither the text nor the verdict.
 */
size_t padding_check(const uint8_t *text, size_t len, size_t block);
#endif
