/* Key pairs on every curve; ECDSA. */
#include "mech_ec.h"

#include <openssl/core_names.h>
#include <string.h>

#include "trace.h"

/* ------------------------------------------------------------------ key pairs */

static CK_RV pair_make(const struct curve_row *curve, EVP_PKEY **ret_pkey)
{
    bool group = curve->key_type == CKK_EC;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                         (char *)(uintptr_t)curve->group, 0),
        OSSL_PARAM_construct_end(),
    };
    AUTO(evp_pkey_ctx) EVP_PKEY_CTX *ctx = ossl_pkey_ctx(group ? "EC" : curve->group);
    if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 ||
        (group && EVP_PKEY_CTX_set_params(ctx, params) != 1) ||
        EVP_PKEY_generate(ctx, ret_pkey) != 1)
        return ossl_fail(CKR_FUNCTION_FAILED, curve->name);
    return CKR_OK;
}

static CK_RV scalar_copy(const struct curve_row *curve, const EVP_PKEY *pkey,
                         struct attr_list *private_key)
{
    uint8_t bytes[CURVE_SCALAR_MAX];
    AUTO(bn) BIGNUM *scalar = NULL;
    size_t len = sizeof bytes;
    bool good = curve->key_type == CKK_EC
                    ? EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) == 1 &&
                          BN_bn2binpad(scalar, bytes, (int)curve->scalar_len) > 0
                    : EVP_PKEY_get_raw_private_key(pkey, bytes, &len) == 1;
    CK_RV rv = good ? attr_put(private_key, CKA_VALUE, bytes, curve->scalar_len)
                    : ossl_fail(CKR_FUNCTION_FAILED, curve->name);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return rv;
}

static CK_RV point_copy(const struct curve_row *curve, const EVP_PKEY *pkey,
                        struct attr_list *public_key)
{
    uint8_t point[CURVE_POINT_MAX];
    size_t len = 0;
    if (EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &len) !=
            1 ||
        len != curve->point_len)
        return ossl_fail(CKR_FUNCTION_FAILED, curve->name);
    return attr_put(public_key, CKA_EC_POINT, point, len);
}

/* The point is put raw; key_complete makes it what the standard wants. */
static CK_RV ec_pair(const struct mech_row *mech, const struct mech_param *param,
                     struct attr_list *public_key, struct attr_list *private_key)
{
    const struct curve_row *curve = NULL;
    AUTO(evp_pkey) EVP_PKEY *pkey = NULL;
    (void)param;
    const struct attr *params = view_find(view_of_list(public_key), CKA_EC_PARAMS);
    if (!params)
        return trace_fail(CKR_TEMPLATE_INCOMPLETE, "CKA_EC_PARAMS is missing");
    TRY(curve_find(mech->key_type, params->value, params->len, &curve));
    TRY(pair_make(curve, &pkey));
    TRY(attr_put(private_key, CKA_EC_PARAMS, params->value, params->len));
    TRY(point_copy(curve, pkey, public_key));
    return scalar_copy(curve, pkey, private_key);
}

const struct generate_ops EC_GENERATE = {.pair = ec_pair};

/* ------------------------------------------------------------------ ECDSA */

#define DER_SIGNATURE_MAX (2 * (CURVE_SCALAR_MAX + 4) + 8)

static size_t signature_size(const struct crypto *c)
{
    return c->key->sig_len;
}

static bool number_pad(struct der number, uint8_t *out, size_t len)
{
    if (number.n > len)
        return false;
    memset(out, 0, len - number.n);
    memcpy(out + len - number.n, number.p, number.n);
    return true;
}

/* OpenSSL speaks DER, PKCS#11 two numbers of equal length. */
static bool signature_from_der(const uint8_t *bytes, size_t len, uint8_t *out, size_t half)
{
    struct der whole = {bytes, len}, numbers, r, s;
    return der_take(&whole, DER_SEQUENCE, &numbers) && der_take_uint(&numbers, &r) &&
           der_take_uint(&numbers, &s) && number_pad(r, out, half) &&
           number_pad(s, out + half, half);
}

static bool signature_to_der(const uint8_t *signature, size_t half, struct der_out *out,
                             size_t *ret_len)
{
    der_put_uint(out, signature + half, half);
    der_put_uint(out, signature, half);
    der_wrap(out, DER_SEQUENCE, 0);
    return der_finish(out, ret_len);
}

static CK_RV digest_sign(struct crypto *c, const uint8_t *digest, size_t len, uint8_t *signature,
                         size_t *ret_len)
{
    struct asym_ctx *ctx = c->ctx;
    uint8_t der[DER_SIGNATURE_MAX];
    size_t der_len = sizeof der;
    if (EVP_PKEY_sign(ctx->pkey, der, &der_len, digest, len) != 1 ||
        !signature_from_der(der, der_len, signature, c->key->sig_len / 2))
        return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    *ret_len = c->key->sig_len;
    return CKR_OK;
}

static CK_RV digest_verify(struct crypto *c, const uint8_t *digest, size_t len,
                           const uint8_t *signature, size_t signature_len)
{
    struct asym_ctx *ctx = c->ctx;
    uint8_t der[DER_SIGNATURE_MAX];
    struct der_out out = {.buf = der, .cap = sizeof der};
    size_t der_len;
    /* Shorter ones, without common leading zeros, are legal (6.3.1). */
    if (signature_len == 0 || signature_len % 2 != 0 || signature_len > c->key->sig_len)
        return trace_fail(CKR_SIGNATURE_LEN_RANGE, "%s: a signature of %zu bytes, not %zu",
                          c->mech->name, signature_len, c->key->sig_len);
    if (!signature_to_der(signature, signature_len / 2, &out, &der_len) ||
        EVP_PKEY_verify(ctx->pkey, der, der_len, digest, len) != 1)
        return ossl_fail(CKR_SIGNATURE_INVALID, c->mech->name);
    return CKR_OK;
}

static CK_RV ecdsa_begin(struct crypto *c)
{
    struct asym_ctx *ctx;
    TRY(asym_sign_ready(c, &ctx));
    if (!c->mech->digest)
        return CKR_OK;
    CK_RV rv = asym_hash_begin(c);
    return rv == CKR_OK ? CKR_OK : asym_drop(c, rv);
}

static CK_RV data_check(const struct crypto *c, size_t len)
{
    return len > 0 ? CKR_OK : trace_fail(CKR_DATA_LEN_RANGE, "%s: no digest", c->mech->name);
}

static CK_RV ecdsa_sign(struct crypto *c, const uint8_t *data, size_t len, uint8_t *signature,
                        size_t *ret_len)
{
    TRY(data_check(c, len));
    return digest_sign(c, data, len, signature, ret_len);
}

static CK_RV ecdsa_verify(struct crypto *c, const uint8_t *data, size_t len,
                          const uint8_t *signature, size_t signature_len)
{
    TRY(data_check(c, len));
    return digest_verify(c, data, len, signature, signature_len);
}

static const struct sign_ops ECDSA = {
    .begin = ecdsa_begin, .size = signature_size, .sign = ecdsa_sign, .verify = ecdsa_verify,
};

static CK_RV hash_sign_final(struct crypto *c, uint8_t *signature, size_t *ret_len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    TRY(asym_hash_final(c, digest));
    return digest_sign(c, digest, c->mech->digest->size, signature, ret_len);
}

static CK_RV hash_verify_final(struct crypto *c, const uint8_t *signature, size_t len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    TRY(asym_hash_final(c, digest));
    return digest_verify(c, digest, c->mech->digest->size, signature, len);
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

static const struct sign_ops ECDSA_HASH = {
    .begin = ecdsa_begin, .size = signature_size, .update = asym_hash_update,
    .sign_final = hash_sign_final, .verify_final = hash_verify_final, .sign = hash_sign,
    .verify = hash_verify,
};

#define SIGN_ROW(mech, ops, hash)                                                                  \
    {                                                                                              \
        .type = CKM_##mech, .name = "CKM_" #mech, EC_ROW_SIZES,                                    \
        .flags = CKF_SIGN | CKF_VERIFY | EC_FLAGS, .parse = mech_param_none, .sign = &ops,         \
        .digest = hash, .ctx_free = asym_ctx_free,                                                 \
    }
#define HASH_ROW(hash) SIGN_ROW(ECDSA_##hash, ECDSA_HASH, &DIGESTS[DIGEST_##hash])

static const struct mech_row ROWS[] = {
    {.type = CKM_EC_KEY_PAIR_GEN, .name = "CKM_EC_KEY_PAIR_GEN", EC_ROW_SIZES,
     .flags = CKF_GENERATE_KEY_PAIR | EC_FLAGS, .parse = mech_param_none,
     .generate = &EC_GENERATE},
    SIGN_ROW(ECDSA, ECDSA, NULL),
    HASH_ROW(SHA1),
    HASH_ROW(SHA224),
    HASH_ROW(SHA256),
    HASH_ROW(SHA384),
    HASH_ROW(SHA512),
    HASH_ROW(SHA3_224),
    HASH_ROW(SHA3_256),
    HASH_ROW(SHA3_384),
    HASH_ROW(SHA3_512),
};
const struct mech_family MECH_EC = {ROWS, sizeof ROWS / sizeof ROWS[0]};
