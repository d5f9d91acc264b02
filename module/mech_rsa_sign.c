/* RSA signatures: raw, PKCS#1 v1.5, PSS, and the forms that hash. */
#include <openssl/core_names.h>
#include <string.h>

#include "mech_rsa.h"
#include "trace.h"

static size_t signature_size(const struct crypto *c)
{
    return c->key->sig_len;
}

static CK_RV padding_set(struct crypto *c, int padding)
{
    struct asym_ctx *ctx;
    bool kept = c->ctx != NULL;
    TRY(asym_sign_ready(c, &ctx));
    if (!kept && EVP_PKEY_CTX_set_rsa_padding(ctx->pkey, padding) != 1)
        return asym_drop(c, ossl_fail(CKR_FUNCTION_FAILED, c->mech->name));
    return CKR_OK;
}

static CK_RV block_sign(struct crypto *c, const uint8_t *data, size_t len, uint8_t *signature,
                        size_t *ret_len)
{
    struct asym_ctx *ctx = c->ctx;
    size_t signature_len = c->key->sig_len;
    if (EVP_PKEY_sign(ctx->pkey, signature, &signature_len, data, len) != 1)
        return ossl_fail(CKR_DATA_INVALID, c->mech->name);
    *ret_len = signature_len;
    return CKR_OK;
}

static CK_RV block_verify(struct crypto *c, const uint8_t *data, size_t len,
                          const uint8_t *signature, size_t signature_len)
{
    struct asym_ctx *ctx = c->ctx;
    if (signature_len != c->key->sig_len)
        return trace_fail(CKR_SIGNATURE_LEN_RANGE, "%s: a signature of %zu bytes, not %zu",
                          c->mech->name, signature_len, c->key->sig_len);
    if (EVP_PKEY_verify(ctx->pkey, signature, signature_len, data, len) != 1)
        return ossl_fail(CKR_SIGNATURE_INVALID, c->mech->name);
    return CKR_OK;
}

/* The message inside a signature. A rare call: it makes its own context. */
static CK_RV block_recover(struct crypto *c, int padding, const uint8_t *signature, size_t len,
                           uint8_t *out, size_t *ret_len)
{
    uint8_t message[RSA_BYTES_MAX];
    size_t message_len = sizeof message;
    if (len != c->key->sig_len)
        return trace_fail(CKR_SIGNATURE_LEN_RANGE, "%s: a signature of %zu bytes, not %zu",
                          c->mech->name, len, c->key->sig_len);
    AUTO(evp_pkey_ctx) EVP_PKEY_CTX *ctx =
        EVP_PKEY_CTX_new_from_pkey(ossl_libctx(), c->key->pkey, NULL);
    if (!ctx || EVP_PKEY_verify_recover_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(ctx, padding) != 1 ||
        EVP_PKEY_verify_recover(ctx, message, &message_len, signature, len) != 1)
        return ossl_fail(CKR_SIGNATURE_INVALID, c->mech->name);
    memcpy(out, message, message_len);
    *ret_len = message_len;
    return CKR_OK;
}

/* ------------------------------------------------------------------ PKCS#1 v1.5 blocks */

static CK_RV pkcs_begin(struct crypto *c)
{
    return padding_set(c, RSA_PKCS1_PADDING);
}

static CK_RV pkcs_check(const struct crypto *c, size_t len)
{
    size_t room = c->key->sig_len - PKCS1_OVERHEAD;
    return len <= room ? CKR_OK
                       : trace_fail(CKR_DATA_LEN_RANGE, "%s: %zu bytes, at most %zu fit",
                                    c->mech->name, len, room);
}

static CK_RV pkcs_sign(struct crypto *c, const uint8_t *data, size_t len, uint8_t *signature,
                       size_t *ret_len)
{
    TRY(pkcs_check(c, len));
    return block_sign(c, data, len, signature, ret_len);
}

static CK_RV pkcs_verify(struct crypto *c, const uint8_t *data, size_t len,
                         const uint8_t *signature, size_t signature_len)
{
    TRY(pkcs_check(c, len));
    return block_verify(c, data, len, signature, signature_len);
}

static CK_RV pkcs_recover(struct crypto *c, const uint8_t *signature, size_t len, uint8_t *out,
                          size_t *ret_len)
{
    return block_recover(c, RSA_PKCS1_PADDING, signature, len, out, ret_len);
}

const struct sign_ops RSA_PKCS_SIGN = {
    .begin = pkcs_begin, .size = signature_size, .sign = pkcs_sign, .verify = pkcs_verify,
    .recover = pkcs_recover,
};

/* ------------------------------------------------------------------ raw */

static CK_RV raw_begin(struct crypto *c)
{
    return padding_set(c, RSA_NO_PADDING);
}

/* Shorter data is a number with zeros before it. */
static CK_RV raw_block(const struct crypto *c, const uint8_t *data, size_t len,
                       uint8_t ret_block[RSA_BYTES_MAX])
{
    size_t k = c->key->sig_len;
    if (len > k)
        return trace_fail(CKR_DATA_LEN_RANGE, "%s: %zu bytes, at most %zu fit", c->mech->name, len,
                          k);
    memset(ret_block, 0, k - len);
    memcpy(ret_block + k - len, data, len);
    return CKR_OK;
}

static CK_RV raw_sign(struct crypto *c, const uint8_t *data, size_t len, uint8_t *signature,
                      size_t *ret_len)
{
    uint8_t block[RSA_BYTES_MAX];
    TRY(raw_block(c, data, len, block));
    return block_sign(c, block, c->key->sig_len, signature, ret_len);
}

static CK_RV raw_verify(struct crypto *c, const uint8_t *data, size_t len,
                        const uint8_t *signature, size_t signature_len)
{
    uint8_t block[RSA_BYTES_MAX];
    TRY(raw_block(c, data, len, block));
    return block_verify(c, block, c->key->sig_len, signature, signature_len);
}

static CK_RV raw_recover(struct crypto *c, const uint8_t *signature, size_t len, uint8_t *out,
                         size_t *ret_len)
{
    return block_recover(c, RSA_NO_PADDING, signature, len, out, ret_len);
}

const struct sign_ops RSA_X509_SIGN = {
    .begin = raw_begin, .size = signature_size, .sign = raw_sign, .verify = raw_verify,
    .recover = raw_recover,
};

/* ------------------------------------------------------------------ hash, then sign */


static CK_RV hash_sign_final(struct crypto *c, uint8_t *signature, size_t *ret_len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    TRY(asym_hash_final(c, digest));
    return block_sign(c, digest, c->mech->digest->size, signature, ret_len);
}

static CK_RV hash_verify_final(struct crypto *c, const uint8_t *signature, size_t len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    TRY(asym_hash_final(c, digest));
    return block_verify(c, digest, c->mech->digest->size, signature, len);
}

static CK_RV hash_sign(struct crypto *c, const uint8_t *data, size_t len, uint8_t *signature,
                       size_t *ret_len)
{
    TRY(asym_hash_update(c, data, len));
    return hash_sign_final(c, signature, ret_len);
}

static CK_RV hash_verify(struct crypto *c, const uint8_t *data, size_t len,
                         const uint8_t *signature, size_t signature_len)
{
    TRY(asym_hash_update(c, data, len));
    return hash_verify_final(c, signature, signature_len);
}

#define HASH_OPS(begin_function)                                                                   \
    {                                                                                              \
        .begin = begin_function, .size = signature_size, .update = asym_hash_update,               \
        .sign_final = hash_sign_final, .verify_final = hash_verify_final, .sign = hash_sign,       \
        .verify = hash_verify,                                                                     \
    }

static CK_RV pkcs_hash_begin(struct crypto *c)
{
    TRY(padding_set(c, RSA_PKCS1_PADDING));
    struct asym_ctx *ctx = c->ctx;
    const struct digest_row *hash = c->mech->digest;
    if (ctx->hash != hash && EVP_PKEY_CTX_set_signature_md(ctx->pkey, ossl_md(hash)) != 1)
        return asym_drop(c, ossl_fail(CKR_FUNCTION_FAILED, c->mech->name));
    ctx->hash = hash;
    CK_RV rv = asym_hash_begin(c);
    return rv == CKR_OK ? CKR_OK : asym_drop(c, rv);
}

static const struct sign_ops PKCS_HASH_SIGN = HASH_OPS(pkcs_hash_begin);

/* ------------------------------------------------------------------ PSS */

static CK_RV pss_parse(const struct mech_row *row, const void *parameter, CK_ULONG len,
                       struct mech_param *ret_param)
{
    CK_RSA_PKCS_PSS_PARAMS copy;
    if (!parameter || len != sizeof copy)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: no CK_RSA_PKCS_PSS_PARAMS", row->name);
    memcpy(&copy, parameter, sizeof copy);
    const struct digest_row *hash = digest_by_mechanism(copy.hashAlg);
    const struct digest_row *mgf = digest_by_mgf(copy.mgf);
    if (!hash || !mgf || (row->digest && row->digest != hash) || copy.sLen > RSA_BYTES_MAX)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: hash 0x%lx, MGF 0x%lx, salt %lu",
                          row->name, copy.hashAlg, copy.mgf, copy.sLen);
    ret_param->pss.hash = hash;
    ret_param->pss.mgf = mgf;
    ret_param->pss.salt_len = copy.sLen;
    return CKR_OK;
}

static CK_RV pss_params_set(struct crypto *c, struct asym_ctx *ctx)
{
    const struct digest_row *hash = c->param.pss.hash, *mgf = c->param.pss.mgf;
    int salt_len = (int)c->param.pss.salt_len;
    if (ctx->hash == hash && ctx->mgf == mgf && ctx->salt_len == c->param.pss.salt_len)
        return CKR_OK;
    /* One bit less than the modulus, in bytes, holds salt, hash and two bytes more. */
    if ((c->key->bits + 6) / 8 < c->param.pss.salt_len + hash->size + 2)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: a salt of %d bytes does not fit",
                          c->mech->name, salt_len);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST,
                                         (char *)(uintptr_t)hash->name, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST,
                                         (char *)(uintptr_t)mgf->name, 0),
        OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &salt_len),
        OSSL_PARAM_construct_end(),
    };
    if (EVP_PKEY_CTX_set_params(ctx->pkey, params) != 1)
        return ossl_fail(CKR_MECHANISM_PARAM_INVALID, c->mech->name);
    ctx->hash = hash;
    ctx->mgf = mgf;
    ctx->salt_len = c->param.pss.salt_len;
    return CKR_OK;
}

static CK_RV pss_begin(struct crypto *c)
{
    TRY(padding_set(c, RSA_PKCS1_PSS_PADDING));
    CK_RV rv = pss_params_set(c, c->ctx);
    if (rv == CKR_OK && c->mech->digest)
        rv = asym_hash_begin(c);
    return rv == CKR_OK ? CKR_OK : asym_drop(c, rv);
}

static CK_RV pss_check(const struct crypto *c, size_t len)
{
    return len == c->param.pss.hash->size
               ? CKR_OK
               : trace_fail(CKR_DATA_LEN_RANGE, "%s: %zu bytes, the hash has %zu", c->mech->name,
                            len, c->param.pss.hash->size);
}

static CK_RV pss_sign(struct crypto *c, const uint8_t *data, size_t len, uint8_t *signature,
                      size_t *ret_len)
{
    TRY(pss_check(c, len));
    return block_sign(c, data, len, signature, ret_len);
}

static CK_RV pss_verify(struct crypto *c, const uint8_t *data, size_t len,
                        const uint8_t *signature, size_t signature_len)
{
    TRY(pss_check(c, len));
    return block_verify(c, data, len, signature, signature_len);
}

static const struct sign_ops PSS_SIGN = {
    .begin = pss_begin, .size = signature_size, .sign = pss_sign, .verify = pss_verify,
};
static const struct sign_ops PSS_HASH_SIGN = HASH_OPS(pss_begin);

/* ------------------------------------------------------------------ rows */

#define SIGN_ROW(mech, parse_function, ops, hash)                                                  \
    {                                                                                              \
        .type = CKM_##mech, .name = "CKM_" #mech, RSA_ROW_SIZES, .flags = CKF_SIGN | CKF_VERIFY,   \
        .parse = parse_function, .sign = &ops, .digest = hash, .ctx_free = asym_ctx_free,          \
    }
#define HASH_ROWS(hash)                                                                            \
    SIGN_ROW(hash##_RSA_PKCS, mech_param_none, PKCS_HASH_SIGN, &DIGESTS[DIGEST_##hash]),           \
    SIGN_ROW(hash##_RSA_PKCS_PSS, pss_parse, PSS_HASH_SIGN, &DIGESTS[DIGEST_##hash])

static const struct mech_row ROWS[] = {
    SIGN_ROW(RSA_PKCS_PSS, pss_parse, PSS_SIGN, NULL),
    HASH_ROWS(SHA1),
    HASH_ROWS(SHA224),
    HASH_ROWS(SHA256),
    HASH_ROWS(SHA384),
    HASH_ROWS(SHA512),
    HASH_ROWS(SHA3_224),
    HASH_ROWS(SHA3_256),
    HASH_ROWS(SHA3_384),
    HASH_ROWS(SHA3_512),
};
const struct mech_family MECH_RSA_SIGN = {ROWS, sizeof ROWS / sizeof ROWS[0]};
