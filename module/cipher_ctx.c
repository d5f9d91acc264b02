/* See cipher_ctx.h. */
#include "cipher_ctx.h"

#include "trace.h"

/* EVP counts in int. */
#define RUN_MAX ((size_t)1 << 30)

void cipher_ctx_free(void *ctx)
{
    EVP_CIPHER_CTX_free(ctx);
}

static bool cipher_set_up(struct crypto *c, const uint8_t *iv)
{
    EVP_CIPHER_CTX *ctx = c->ctx;
    if (ctx != NULL)
        return iv == NULL || EVP_CipherInit_ex2(ctx, NULL, NULL, iv, -1, NULL) == 1;
    const struct key_material *key = c->key;
    const EVP_CIPHER *cipher = ossl_cipher((enum ossl_cipher)c->mech->detail, key->secret_len);
    c->ctx = ctx = cipher == NULL ? NULL : EVP_CIPHER_CTX_new();
    if (ctx == NULL)
        return false;
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    return EVP_CipherInit_ex2(ctx, cipher, key->secret, iv, c->encrypt, NULL) == 1 &&
           EVP_CIPHER_CTX_set_padding(ctx, 0) == 1;
}

CK_RV cipher_begin(struct crypto *c, const uint8_t *iv)
{
    if (cipher_set_up(c, iv))
        return CKR_OK;
    cipher_ctx_free(c->ctx);
    c->ctx = NULL;
    return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
}

CK_RV cipher_run(EVP_CIPHER_CTX *ctx, const uint8_t *in, size_t len, uint8_t *out)
{
    while (len > 0) {
        size_t part = len < RUN_MAX ? len : RUN_MAX;
        int done = 0;
        if (EVP_CipherUpdate(ctx, out, &done, in, (int)part) != 1 || (size_t)done != part)
            return ossl_fail(CKR_FUNCTION_FAILED, "cipher");
        in += part;
        out += part;
        len -= part;
    }
    return CKR_OK;
}

/* All ones when a < b, else 0; both far below 2^31. */
static uint32_t mask_less(uint32_t a, uint32_t b)
{
    return 0u - ((a - b) >> 31);
}

size_t padding_check(const uint8_t *text, size_t len, size_t block)
{
    const uint8_t *last = text + (len - block);
    uint32_t size = (uint32_t)block;
    uint32_t pad = last[block - 1];
    uint32_t bad = mask_less(pad, 1) | mask_less(size, pad);
    for (uint32_t i = 0; i < size; i++)
        bad |= mask_less(size - 1 - i, pad) & (last[i] ^ pad);
    uint32_t good = mask_less(bad & 0xff, 1);
    return pad & good;
}
