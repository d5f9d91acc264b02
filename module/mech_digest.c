/* Digests. The context is an EVP_MD_CTX, re-initialised for the next digest. */
#include "mech.h"

#include "trace.h"

static void digest_ctx_free(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static CK_RV digest_begin(struct crypto *c)
{
    EVP_MD *md = NULL;
    if (c->ctx == NULL) {
        md = ossl_md(c->mech->digest);
        c->ctx = EVP_MD_CTX_new();
        if (md == NULL || c->ctx == NULL) {
            digest_ctx_free(c->ctx);
            c->ctx = NULL;
            return ossl_fail(CKR_HOST_MEMORY, c->mech->name);
        }
    }
    if (EVP_DigestInit_ex2(c->ctx, md, NULL) == 1)
        return CKR_OK;
    digest_ctx_free(c->ctx);
    c->ctx = NULL;
    return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
}

static CK_RV digest_update(struct crypto *c, const uint8_t *data, size_t len)
{
    return EVP_DigestUpdate(c->ctx, data, len) == 1 ? CKR_OK
                                                     : ossl_fail(CKR_FUNCTION_FAILED, "digest");
}

static CK_RV digest_final(struct crypto *c, uint8_t *out)
{
    return EVP_DigestFinal_ex(c->ctx, out, NULL) == 1 ? CKR_OK
                                                      : ossl_fail(CKR_FUNCTION_FAILED, "digest");
}

static CK_RV digest_once(struct crypto *c, const uint8_t *data, size_t len, uint8_t *out)
{
    TRY(digest_update(c, data, len));
    return digest_final(c, out);
}

static const struct digest_ops DIGEST_OPS = {
    .begin = digest_begin, .update = digest_update, .final = digest_final, .once = digest_once,
};

#define DIGEST_ROW(hash, id)                                                                       \
    {                                                                                              \
        .type = CKM_##hash, .name = "CKM_" #hash, .flags = CKF_DIGEST,                             \
        .key_type = CK_UNAVAILABLE_INFORMATION, .parse = mech_param_none,                          \
        .digest_ops = &DIGEST_OPS, .digest = &DIGESTS[id], .ctx_free = digest_ctx_free,            \
    }

static const struct mech_row ROWS[] = {
    DIGEST_ROW(SHA_1, DIGEST_SHA1),
    DIGEST_ROW(SHA224, DIGEST_SHA224),
    DIGEST_ROW(SHA256, DIGEST_SHA256),
    DIGEST_ROW(SHA384, DIGEST_SHA384),
    DIGEST_ROW(SHA512, DIGEST_SHA512),
    DIGEST_ROW(SHA512_224, DIGEST_SHA512_224),
    DIGEST_ROW(SHA512_256, DIGEST_SHA512_256),
    DIGEST_ROW(SHA3_224, DIGEST_SHA3_224),
    DIGEST_ROW(SHA3_256, DIGEST_SHA3_256),
    DIGEST_ROW(SHA3_384, DIGEST_SHA3_384),
    DIGEST_ROW(SHA3_512, DIGEST_SHA3_512),
};
const struct mech_family MECH_DIGEST = {ROWS, sizeof ROWS / sizeof ROWS[0]};
