/* See mech_asym.h. */
#include "mech_asym.h"

CK_RV asym_ready(struct crypto *c, int (*init)(EVP_PKEY_CTX *), struct asym_ctx **ret_ctx)
{
    if (!c->ctx) {
        /* Not secret memory: leak checkers would lose the contexts in it, which are the heap's. */
        struct asym_ctx *ctx = OPENSSL_zalloc(sizeof *ctx);
        if (!ctx)
            return CKR_HOST_MEMORY;
        c->ctx = ctx;
        ctx->pkey = EVP_PKEY_CTX_new_from_pkey(ossl_libctx(), c->key->pkey, NULL);
        if (!ctx->pkey || init(ctx->pkey) != 1)
            return asym_drop(c, ossl_fail(CKR_FUNCTION_FAILED, c->mech->name));
    }
    *ret_ctx = c->ctx;
    return CKR_OK;
}

void asym_ctx_free(void *memory)
{
    struct asym_ctx *ctx = memory;
    if (!ctx)
        return;
    EVP_PKEY_CTX_free(ctx->pkey);
    EVP_MD_CTX_free(ctx->md);
    OPENSSL_clear_free(ctx, sizeof *ctx);
}

CK_RV asym_drop(struct crypto *c, CK_RV rv)
{
    asym_ctx_free(c->ctx);
    c->ctx = NULL;
    return rv;
}

CK_RV asym_hash_begin(struct crypto *c)
{
    struct asym_ctx *ctx = c->ctx;
    if (!ctx->md)
        ctx->md = EVP_MD_CTX_new();
    if (!ctx->md || EVP_DigestInit_ex2(ctx->md, ossl_md(c->mech->digest), NULL) != 1)
        return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    return CKR_OK;
}

CK_RV asym_hash_update(struct crypto *c, const uint8_t *data, size_t len)
{
    struct asym_ctx *ctx = c->ctx;
    if (EVP_DigestUpdate(ctx->md, data, len) != 1)
        return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    return CKR_OK;
}

CK_RV asym_hash_final(struct crypto *c, uint8_t ret_digest[EVP_MAX_MD_SIZE])
{
    struct asym_ctx *ctx = c->ctx;
    if (EVP_DigestFinal_ex(ctx->md, ret_digest, NULL) != 1)
        return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    return CKR_OK;
}
