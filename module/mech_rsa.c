/* RSA: key pairs, and encryption raw, with PKCS#1 v1.5 and with OAEP. */
#include "mech_rsa.h"

#include <openssl/core_names.h>
#include <string.h>

#include "trace.h"

/* ------------------------------------------------------------------ contexts */

static CK_RV cipher_ready(struct crypto *c, int padding, struct asym_ctx **ret_ctx)
{
    if (c->ctx) {
        *ret_ctx = c->ctx;
        return CKR_OK;
    }
    TRY(asym_ready(c, c->encrypt ? EVP_PKEY_encrypt_init : EVP_PKEY_decrypt_init, ret_ctx));
    if (EVP_PKEY_CTX_set_rsa_padding((*ret_ctx)->pkey, padding) != 1)
        return asym_drop(c, ossl_fail(CKR_FUNCTION_FAILED, c->mech->name));
    return CKR_OK;
}

bool rsa_encrypt(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out, size_t *ret_len)
{
    struct asym_ctx *ctx = c->ctx;
    *ret_len = c->key->sig_len;
    return EVP_PKEY_encrypt(ctx->pkey, out, ret_len, in, in_len) == 1;
}

bool rsa_decrypt(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out, size_t *ret_len)
{
    struct asym_ctx *ctx = c->ctx;
    *ret_len = c->key->sig_len;
    return EVP_PKEY_decrypt(ctx->pkey, out, ret_len, in, in_len) == 1;
}

static CK_RV too_long(const struct crypto *c, size_t len, size_t room)
{
    return trace_fail(CKR_DATA_LEN_RANGE, "%s: %zu bytes, at most %zu fit", c->mech->name, len,
                      room);
}

static CK_RV ciphertext_check(const struct crypto *c, size_t len)
{
    if (len == c->key->sig_len)
        return CKR_OK;
    return trace_fail(CKR_ENCRYPTED_DATA_LEN_RANGE, "%s: %zu bytes, the modulus has %zu",
                      c->mech->name, len, c->key->sig_len);
}

static size_t modulus_size(const struct crypto *c, size_t in_len)
{
    (void)in_len;
    return c->key->sig_len;
}

/* ------------------------------------------------------------------ raw */

static CK_RV raw_begin(struct crypto *c)
{
    struct asym_ctx *ctx;
    return cipher_ready(c, RSA_NO_PADDING, &ctx);
}

static CK_RV raw_once(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                      size_t *ret_len)
{
    uint8_t block[RSA_BYTES_MAX] = {0};
    size_t k = c->key->sig_len;
    if (c->encrypt && in_len > k)
        return too_long(c, in_len, k);
    if (!c->encrypt)
        TRY(ciphertext_check(c, in_len));
    memcpy(block + k - in_len, in, in_len);
    bool good = c->encrypt ? rsa_encrypt(c, block, k, out, ret_len)
                           : rsa_decrypt(c, block, k, out, ret_len);
    OPENSSL_cleanse(block, k);
    return good ? CKR_OK
                : ossl_fail(c->encrypt ? CKR_DATA_INVALID : CKR_ENCRYPTED_DATA_INVALID,
                            c->mech->name);
}

static const struct cipher_ops RAW_CIPHER = {
    .begin = raw_begin, .once_size = modulus_size, .once = raw_once,
};

/* ------------------------------------------------------------------ PKCS#1 v1.5 */

static CK_RV pkcs_begin(struct crypto *c)
{
    struct asym_ctx *ctx;
    TRY(cipher_ready(c, c->encrypt ? RSA_PKCS1_PADDING : RSA_NO_PADDING, &ctx));
    if (c->encrypt || ctx->rejection_ready)
        return CKR_OK;
    CK_RV rv = pkcs1_rejection_key(c->key->pkey, c->key->sig_len, ctx->rejection_key);
    if (rv != CKR_OK)
        return asym_drop(c, rv);
    ctx->rejection_ready = true;
    return CKR_OK;
}

CK_RV rsa_pkcs_decrypt(struct crypto *c, struct pkcs1_target target, const uint8_t *in,
                       uint8_t *out, size_t *ret_len)
{
    struct asym_ctx *ctx = c->ctx;
    uint8_t em[RSA_BYTES_MAX];
    size_t k = c->key->sig_len, em_len;
    if (!rsa_decrypt(c, in, k, em, &em_len))
        return ossl_fail(CKR_ENCRYPTED_DATA_INVALID, c->mech->name);
    CK_RV rv = pkcs1_decode(ctx->rejection_key, target, in, em, k, out, ret_len);
    OPENSSL_cleanse(em, k);
    return rv;
}

static CK_RV pkcs_once(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                       size_t *ret_len)
{
    size_t room = c->key->sig_len - PKCS1_OVERHEAD;
    uint8_t message[RSA_BYTES_MAX];
    if (c->encrypt) {
        if (in_len > room)
            return too_long(c, in_len, room);
        return rsa_encrypt(c, in, in_len, out, ret_len)
                   ? CKR_OK
                   : ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    }
    TRY(ciphertext_check(c, in_len));
    CK_RV rv = rsa_pkcs_decrypt(c, (struct pkcs1_target){0}, in, message, ret_len);
    if (rv == CKR_OK)
        memcpy(out, message, *ret_len);
    OPENSSL_cleanse(message, c->key->sig_len);
    return rv;
}

static size_t pkcs_size(const struct crypto *c, size_t in_len)
{
    (void)in_len;
    return c->encrypt ? c->key->sig_len : c->key->sig_len - PKCS1_OVERHEAD;
}

const struct cipher_ops RSA_PKCS_CIPHER = {
    .begin = pkcs_begin, .once_size = pkcs_size, .once = pkcs_once,
};

/* ------------------------------------------------------------------ OAEP */

CK_RV rsa_oaep_params(const struct mech_row *row, const CK_RSA_PKCS_OAEP_PARAMS *parameter,
                      struct mech_param *param, const struct digest_row **ret_hash,
                      const struct digest_row **ret_mgf, uint8_t **ret_label,
                      size_t *ret_label_len)
{
    CK_RSA_PKCS_OAEP_PARAMS copy;
    memcpy(&copy, parameter, sizeof copy);
    const struct digest_row *hash = digest_by_mechanism(copy.hashAlg);
    const struct digest_row *mgf = digest_by_mgf(copy.mgf);
    if (!hash || !mgf)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: hash 0x%lx, MGF 0x%lx", row->name,
                          copy.hashAlg, copy.mgf);
    /* Many programs leave the source 0 when they have no label. */
    if (copy.source != CKZ_DATA_SPECIFIED && (copy.source != 0 || copy.ulSourceDataLen != 0))
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: source 0x%lx", row->name, copy.source);
    TRY(mech_param_bytes(param, copy.pSourceData, copy.ulSourceDataLen, ret_label));
    *ret_label_len = copy.ulSourceDataLen;
    *ret_hash = hash;
    *ret_mgf = mgf;
    return CKR_OK;
}

static CK_RV oaep_parse(const struct mech_row *row, const void *parameter, CK_ULONG len,
                        struct mech_param *ret_param)
{
    if (!parameter || len != sizeof(CK_RSA_PKCS_OAEP_PARAMS))
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: no CK_RSA_PKCS_OAEP_PARAMS", row->name);
    return rsa_oaep_params(row, parameter, ret_param, &ret_param->oaep.hash, &ret_param->oaep.mgf,
                           &ret_param->oaep.label, &ret_param->oaep.label_len);
}

size_t rsa_oaep_room(const struct key_material *key, const struct digest_row *hash)
{
    size_t overhead = 2 + 2 * hash->size;
    return key->sig_len > overhead ? key->sig_len - overhead : 0;
}

CK_RV rsa_oaep_begin(struct crypto *c, const struct digest_row *hash, const struct digest_row *mgf,
                     const uint8_t *label, size_t label_len)
{
    struct asym_ctx *ctx;
    static uint8_t none[1];
    TRY(cipher_ready(c, RSA_PKCS1_OAEP_PADDING, &ctx));
    if (ctx->hash == hash && ctx->mgf == mgf && !ctx->labelled && label_len == 0)
        return CKR_OK;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST,
                                         (char *)(uintptr_t)hash->name, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST,
                                         (char *)(uintptr_t)mgf->name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL,
                                          label_len > 0 ? (void *)(uintptr_t)label : none,
                                          label_len),
        OSSL_PARAM_construct_end(),
    };
    if (EVP_PKEY_CTX_set_params(ctx->pkey, params) != 1)
        return asym_drop(c, ossl_fail(CKR_MECHANISM_PARAM_INVALID, c->mech->name));
    ctx->hash = hash;
    ctx->mgf = mgf;
    ctx->labelled = label_len > 0;
    return CKR_OK;
}

static CK_RV oaep_begin(struct crypto *c)
{
    return rsa_oaep_begin(c, c->param.oaep.hash, c->param.oaep.mgf, c->param.oaep.label,
                          c->param.oaep.label_len);
}

static size_t oaep_size(const struct crypto *c, size_t in_len)
{
    (void)in_len;
    return c->encrypt ? c->key->sig_len : rsa_oaep_room(c->key, c->param.oaep.hash);
}

static CK_RV oaep_once(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                       size_t *ret_len)
{
    size_t room = rsa_oaep_room(c->key, c->param.oaep.hash);
    uint8_t message[RSA_BYTES_MAX];
    if (c->encrypt) {
        if (in_len > room)
            return too_long(c, in_len, room);
        return rsa_encrypt(c, in, in_len, out, ret_len) ? CKR_OK
                                                        : ossl_fail(CKR_DATA_LEN_RANGE, "OAEP");
    }
    TRY(ciphertext_check(c, in_len));
    bool good = rsa_decrypt(c, in, in_len, message, ret_len);
    if (good)
        memcpy(out, message, *ret_len);
    OPENSSL_cleanse(message, c->key->sig_len);
    return good ? CKR_OK : ossl_fail(CKR_ENCRYPTED_DATA_INVALID, "OAEP");
}

const struct cipher_ops RSA_OAEP_CIPHER = {
    .begin = oaep_begin, .once_size = oaep_size, .once = oaep_once,
};

/* ------------------------------------------------------------------ key pairs */

static CK_RV keygen_bits(const struct attr_list *list, CK_ULONG *ret_bits)
{
    CK_ULONG bits = attr_ulong(list, CKA_MODULUS_BITS, 0);
    if (!attr_find(list, CKA_MODULUS_BITS))
        return trace_fail(CKR_TEMPLATE_INCOMPLETE, "CKA_MODULUS_BITS is missing");
    if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_MODULUS_BITS %lu is not in %u to %u",
                          bits, RSA_BITS_MIN, RSA_BITS_MAX);
    *ret_bits = bits;
    return CKR_OK;
}

static CK_RV keygen_exponent(const struct attr_list *list, BIGNUM **ret_e)
{
    static const uint8_t f4[] = {1, 0, 1};
    const struct attr *given = view_find(view_of_list(list), CKA_PUBLIC_EXPONENT);
    const uint8_t *bytes = given ? given->value : f4;
    CK_ULONG len = given ? given->len : sizeof f4;
    AUTO(bn) BIGNUM *e = len <= RSA_BYTES_MAX ? BN_bin2bn(bytes, (int)len, NULL) : NULL;
    /* Longer exponents are legal but OpenSSL would not use them with large moduli. */
    if (!e || !BN_is_odd(e) || BN_is_one(e) || BN_num_bits(e) > 64)
        return ossl_fail(CKR_TEMPLATE_INCONSISTENT, "CKA_PUBLIC_EXPONENT cannot be used");
    *ret_e = e;
    e = NULL;
    return CKR_OK;
}

static CK_RV number_copy(const EVP_PKEY *pkey, enum rsa_part part, struct attr_list *list)
{
    AUTO(bn) BIGNUM *number = NULL;
    AUTO(secret) struct secret bytes = {0};
    TRY(secret_reserve(&bytes, RSA_BYTES_MAX));
    if (EVP_PKEY_get_bn_param(pkey, RSA_PART[part].param, &number) != 1)
        return ossl_fail(CKR_FUNCTION_FAILED, "RSA key pair");
    bytes.len = (size_t)BN_bn2bin(number, bytes.data);
    return attr_put(list, RSA_PART[part].attribute, bytes.data, bytes.len);
}

static CK_RV rsa_pair(const struct mech_row *mech, const struct mech_param *param,
                      struct attr_list *public_key, struct attr_list *private_key)
{
    CK_ULONG bits = 0;
    AUTO(bn) BIGNUM *e = NULL;
    AUTO(evp_pkey) EVP_PKEY *pkey = NULL;
    AUTO(evp_pkey_ctx) EVP_PKEY_CTX *ctx = NULL;
    (void)param;
    TRY(keygen_bits(public_key, &bits));
    TRY(keygen_exponent(public_key, &e));
    ctx = ossl_pkey_ctx("RSA");
    if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits) != 1 ||
        EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) != 1 || EVP_PKEY_generate(ctx, &pkey) != 1)
        return ossl_fail(CKR_FUNCTION_FAILED, mech->name);
    for (enum rsa_part i = RSA_N; i <= RSA_E; i++)
        TRY(number_copy(pkey, i, public_key));
    for (enum rsa_part i = RSA_N; i < RSA_PARTS; i++)
        TRY(number_copy(pkey, i, private_key));
    return CKR_OK;
}

static const struct generate_ops RSA_GENERATE = {.pair = rsa_pair};

static const struct mech_row ROWS[] = {
    {.type = CKM_RSA_PKCS_KEY_PAIR_GEN, .name = "CKM_RSA_PKCS_KEY_PAIR_GEN", RSA_ROW_SIZES,
     .flags = CKF_GENERATE_KEY_PAIR, .parse = mech_param_none, .generate = &RSA_GENERATE},
    {.type = CKM_RSA_PKCS, .name = "CKM_RSA_PKCS", RSA_ROW_SIZES,
     .flags = CKF_ENCRYPT | CKF_DECRYPT | CKF_SIGN | CKF_VERIFY | CKF_SIGN_RECOVER |
              CKF_VERIFY_RECOVER | CKF_WRAP | CKF_UNWRAP,
     .parse = mech_param_none, .cipher = &RSA_PKCS_CIPHER, .sign = &RSA_PKCS_SIGN,
     .wrap = &RSA_PKCS_WRAP, .legacy_padding = true, .ctx_free = asym_ctx_free},
    {.type = CKM_RSA_X_509, .name = "CKM_RSA_X_509", RSA_ROW_SIZES,
     .flags = CKF_ENCRYPT | CKF_DECRYPT | CKF_SIGN | CKF_VERIFY | CKF_SIGN_RECOVER |
              CKF_VERIFY_RECOVER,
     .parse = mech_param_none, .cipher = &RAW_CIPHER, .sign = &RSA_X509_SIGN,
     .ctx_free = asym_ctx_free},
    {.type = CKM_RSA_PKCS_OAEP, .name = "CKM_RSA_PKCS_OAEP", RSA_ROW_SIZES,
     .flags = CKF_ENCRYPT | CKF_DECRYPT | CKF_WRAP | CKF_UNWRAP, .parse = oaep_parse,
     .cipher = &RSA_OAEP_CIPHER, .wrap = &RSA_OAEP_WRAP, .ctx_free = asym_ctx_free},
};
const struct mech_family MECH_RSA = {ROWS, sizeof ROWS / sizeof ROWS[0]};
