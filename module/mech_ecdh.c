/* ECDH, on Weierstrass and Montgomery curves, raw and with the hash-based derivations. */
#include "mech_ec.h"

#include <string.h>

#include "trace.h"

/* The derivations: hash(secret, counter, info) in X9.63; SP 800-56A puts the counter first. */
struct kdf_row { CK_EC_KDF_TYPE kdf; enum digest_id hash; bool counter_first; };
static const struct kdf_row KDFS[] = {
    {CKD_SHA1_KDF, DIGEST_SHA1, false},
    {CKD_SHA224_KDF, DIGEST_SHA224, false},
    {CKD_SHA256_KDF, DIGEST_SHA256, false},
    {CKD_SHA384_KDF, DIGEST_SHA384, false},
    {CKD_SHA512_KDF, DIGEST_SHA512, false},
    {CKD_SHA3_224_KDF, DIGEST_SHA3_224, false},
    {CKD_SHA3_256_KDF, DIGEST_SHA3_256, false},
    {CKD_SHA3_384_KDF, DIGEST_SHA3_384, false},
    {CKD_SHA3_512_KDF, DIGEST_SHA3_512, false},
    {CKD_SHA1_KDF_SP800, DIGEST_SHA1, true},
    {CKD_SHA224_KDF_SP800, DIGEST_SHA224, true},
    {CKD_SHA256_KDF_SP800, DIGEST_SHA256, true},
    {CKD_SHA384_KDF_SP800, DIGEST_SHA384, true},
    {CKD_SHA512_KDF_SP800, DIGEST_SHA512, true},
    {CKD_SHA3_224_KDF_SP800, DIGEST_SHA3_224, true},
    {CKD_SHA3_256_KDF_SP800, DIGEST_SHA3_256, true},
    {CKD_SHA3_384_KDF_SP800, DIGEST_SHA3_384, true},
    {CKD_SHA3_512_KDF_SP800, DIGEST_SHA3_512, true},
};

static const struct kdf_row *kdf_find(CK_EC_KDF_TYPE kdf)
{
    for (size_t i = 0; i < sizeof KDFS / sizeof KDFS[0]; i++)
        if (KDFS[i].kdf == kdf)
            return &KDFS[i];
    return NULL;
}

static CK_RV ecdh_parse(const struct mech_row *row, const void *parameter, CK_ULONG len,
                        struct mech_param *ret_param)
{
    CK_ECDH1_DERIVE_PARAMS copy;
    if (!parameter || len != sizeof copy)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: no CK_ECDH1_DERIVE_PARAMS", row->name);
    memcpy(&copy, parameter, sizeof copy);
    if (copy.kdf == CKD_NULL ? copy.ulSharedDataLen != 0 : !kdf_find(copy.kdf))
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: kdf 0x%lx, %lu bytes shared", row->name,
                          copy.kdf, copy.ulSharedDataLen);
    ret_param->ecdh.kdf = copy.kdf;
    ret_param->ecdh.shared_len = copy.ulSharedDataLen;
    ret_param->ecdh.point_len = copy.ulPublicDataLen;
    TRY(mech_param_bytes(ret_param, copy.pSharedData, copy.ulSharedDataLen,
                         &ret_param->ecdh.shared));
    return mech_param_bytes(ret_param, copy.pPublicData, copy.ulPublicDataLen,
                            &ret_param->ecdh.point);
}

static CK_RV peer_new(const struct crypto *c, EVP_PKEY **ret_peer)
{
    struct der point;
    if (!ec_point_bytes(c->key->curve, c->param.ecdh.point, c->param.ecdh.point_len, &point))
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: pPublicData is no point of %s",
                          c->mech->name, c->key->curve->name);
    CK_RV rv = ec_pkey_from(c->key->curve, point, NULL, ret_peer);
    return rv == CKR_ATTRIBUTE_VALUE_INVALID ? CKR_MECHANISM_PARAM_INVALID : rv;
}

/* What a point of small order gives on a Montgomery curve (elsewhere it is a coordinate). */
static bool all_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++)
        any |= bytes[i];
    return any == 0;
}

/* The peer's point was checked to be on the curve when it was decoded, and the cofactors of the
 * Weierstrass curves are 1, so there is nothing more to validate. */
static CK_RV agree(const struct crypto *c, struct secret *ret_shared)
{
    AUTO(evp_pkey) EVP_PKEY *peer = NULL;
    TRY(peer_new(c, &peer));
    TRY(secret_reserve(ret_shared, CURVE_SCALAR_MAX));
    size_t len = ret_shared->cap;
    AUTO(evp_pkey_ctx) EVP_PKEY_CTX *ctx =
        EVP_PKEY_CTX_new_from_pkey(ossl_libctx(), c->key->pkey, NULL);
    if (!ctx || EVP_PKEY_derive_init(ctx) != 1)
        return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    if (EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) != 1 ||
        EVP_PKEY_derive(ctx, ret_shared->data, &len) != 1 ||
        (c->key->key_type == CKK_EC_MONTGOMERY && all_zero(ret_shared->data, len)))
        return ossl_fail(CKR_MECHANISM_PARAM_INVALID, c->mech->name);
    ret_shared->len = len;
    return CKR_OK;
}

static bool kdf_block(EVP_MD_CTX *ctx, const struct kdf_row *kdf, const struct secret *shared,
                      uint32_t counter, const struct crypto *c, uint8_t *ret_block)
{
    uint8_t be[4] = {(uint8_t)(counter >> 24), (uint8_t)(counter >> 16), (uint8_t)(counter >> 8),
                     (uint8_t)counter};
    return EVP_DigestInit_ex2(ctx, ossl_md(&DIGESTS[kdf->hash]), NULL) == 1 &&
           (!kdf->counter_first || EVP_DigestUpdate(ctx, be, sizeof be) == 1) &&
           EVP_DigestUpdate(ctx, shared->data, shared->len) == 1 &&
           (kdf->counter_first || EVP_DigestUpdate(ctx, be, sizeof be) == 1) &&
           EVP_DigestUpdate(ctx, c->param.ecdh.shared, c->param.ecdh.shared_len) == 1 &&
           EVP_DigestFinal_ex(ctx, ret_block, NULL) == 1;
}

/* Without a length asked for, one block. */
static CK_RV kdf_run(const struct crypto *c, const struct kdf_row *kdf, const struct secret *shared,
                     size_t want_len, struct secret *ret_value)
{
    size_t size = DIGESTS[kdf->hash].size, len = want_len > 0 ? want_len : size;
    AUTO(evp_md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (len > ATTR_VALUE_MAX)
        return trace_fail(CKR_KEY_SIZE_RANGE, "%s: %zu bytes", c->mech->name, len);
    TRY(secret_reserve(ret_value, (len + size - 1) / size * size));
    for (size_t done = 0; done < len; done += size)
        if (!ctx || !kdf_block(ctx, kdf, shared, (uint32_t)(done / size + 1), c,
                               ret_value->data + done))
            return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    ret_value->len = len;
    return CKR_OK;
}

/* Without a derivation the value is cut at its leading end. */
static CK_RV ecdh_derive(struct crypto *c, size_t want_len, struct secret *ret_value)
{
    AUTO(secret) struct secret shared = {0};
    TRY(agree(c, &shared));
    if (c->param.ecdh.kdf != CKD_NULL)
        return kdf_run(c, kdf_find(c->param.ecdh.kdf), &shared, want_len, ret_value);
    size_t len = want_len > 0 ? want_len : shared.len;
    if (len > shared.len)
        return trace_fail(CKR_KEY_SIZE_RANGE, "%s: %zu bytes asked for, the curve gives %zu",
                          c->mech->name, len, shared.len);
    TRY(secret_reserve(ret_value, len));
    memcpy(ret_value->data, shared.data + shared.len - len, len);
    ret_value->len = len;
    return CKR_OK;
}

static const struct derive_ops ECDH = {.derive = ecdh_derive};
static const CK_KEY_TYPE MONTGOMERY[] = {CKK_EC_MONTGOMERY, CK_UNAVAILABLE_INFORMATION};

static const struct mech_row ROWS[] = {
    {.type = CKM_ECDH1_DERIVE, .name = "CKM_ECDH1_DERIVE", .min = 255, .max = 521,
     .key_type = CKK_EC, .also = MONTGOMERY, .flags = CKF_DERIVE | EC_FLAGS, .parse = ecdh_parse,
     .derive = &ECDH},
    {.type = CKM_ECDH1_COFACTOR_DERIVE, .name = "CKM_ECDH1_COFACTOR_DERIVE", EC_ROW_SIZES,
     .flags = CKF_DERIVE | EC_FLAGS, .parse = ecdh_parse, .derive = &ECDH},
};
const struct mech_family MECH_ECDH = {ROWS, sizeof ROWS / sizeof ROWS[0]};
