/* Key pairs on Edwards and Montgomery curves; EdDSA. */
#include "mech_ec.h"

#include <string.h>

#include "trace.h"

static size_t signature_size(const struct crypto *c)
{
    return c->key->sig_len;
}

/*
 * Without a parameter, or with one that says what Ed25519 and Ed448 do anyway. Prehashing and
 * contexts need OpenSSL 3.2.
 */
static CK_RV eddsa_parse(const struct mech_row *row, const void *parameter, CK_ULONG len,
                         struct mech_param *ret_param)
{
    CK_EDDSA_PARAMS copy;
    if (len == 0)
        return CKR_OK;
    if (!parameter || len != sizeof copy)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: no CK_EDDSA_PARAMS", row->name);
    memcpy(&copy, parameter, sizeof copy);
    if (copy.phFlag || copy.ulContextDataLen != 0)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID,
                          "%s: prehashing and contexts are not supported", row->name);
    ret_param->eddsa.present = true;
    return CKR_OK;
}

/* EdDSA hashes its data twice, so the parts of a message are kept. A context signs once. */
static CK_RV eddsa_begin(struct crypto *c)
{
    if (!c->ctx)
        c->ctx = EVP_MD_CTX_new();
    EVP_MD_CTX *ctx = c->ctx;
    secret_done(&c->buffer);
    int good = !ctx          ? 0
               : c->encrypt ? EVP_DigestSignInit_ex(ctx, NULL, NULL, ossl_libctx(), NULL,
                                                    c->key->pkey, NULL)
                            : EVP_DigestVerifyInit_ex(ctx, NULL, NULL, ossl_libctx(), NULL,
                                                      c->key->pkey, NULL);
    if (good == 1)
        return CKR_OK;
    EVP_MD_CTX_free(ctx);
    c->ctx = NULL;
    return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
}

static void eddsa_ctx_free(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static CK_RV eddsa_sign(struct crypto *c, const uint8_t *data, size_t len, uint8_t *signature,
                        size_t *ret_len)
{
    size_t signature_len = c->key->sig_len;
    if (EVP_DigestSign(c->ctx, signature, &signature_len, data, len) != 1)
        return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    *ret_len = signature_len;
    return CKR_OK;
}

static CK_RV eddsa_verify(struct crypto *c, const uint8_t *data, size_t len,
                          const uint8_t *signature, size_t signature_len)
{
    if (signature_len != c->key->sig_len)
        return trace_fail(CKR_SIGNATURE_LEN_RANGE, "%s: a signature of %zu bytes, not %zu",
                          c->mech->name, signature_len, c->key->sig_len);
    if (EVP_DigestVerify(c->ctx, signature, signature_len, data, len) != 1)
        return ossl_fail(CKR_SIGNATURE_INVALID, c->mech->name);
    return CKR_OK;
}

static CK_RV eddsa_update(struct crypto *c, const uint8_t *data, size_t len)
{
    return secret_append(&c->buffer, data, len);
}

static CK_RV eddsa_sign_final(struct crypto *c, uint8_t *signature, size_t *ret_len)
{
    return eddsa_sign(c, c->buffer.data, c->buffer.len, signature, ret_len);
}

static CK_RV eddsa_verify_final(struct crypto *c, const uint8_t *signature, size_t len)
{
    return eddsa_verify(c, c->buffer.data, c->buffer.len, signature, len);
}

static const struct sign_ops EDDSA = {
    .begin = eddsa_begin, .size = signature_size, .update = eddsa_update,
    .sign_final = eddsa_sign_final, .verify_final = eddsa_verify_final, .sign = eddsa_sign,
    .verify = eddsa_verify,
};

static const struct mech_row ROWS[] = {
    {.type = CKM_EC_EDWARDS_KEY_PAIR_GEN, .name = "CKM_EC_EDWARDS_KEY_PAIR_GEN", EDWARDS_ROW_SIZES,
     .key_type = CKK_EC_EDWARDS, .flags = CKF_GENERATE_KEY_PAIR | EDWARDS_FLAGS,
     .parse = mech_param_none, .generate = &EC_GENERATE},
    {.type = CKM_EC_MONTGOMERY_KEY_PAIR_GEN, .name = "CKM_EC_MONTGOMERY_KEY_PAIR_GEN",
     EDWARDS_ROW_SIZES, .key_type = CKK_EC_MONTGOMERY,
     .flags = CKF_GENERATE_KEY_PAIR | EDWARDS_FLAGS, .parse = mech_param_none,
     .generate = &EC_GENERATE},
    {.type = CKM_EDDSA, .name = "CKM_EDDSA", EDWARDS_ROW_SIZES, .key_type = CKK_EC_EDWARDS,
     .flags = CKF_SIGN | CKF_VERIFY | EDWARDS_FLAGS, .parse = eddsa_parse, .sign = &EDDSA,
     .ctx_free = eddsa_ctx_free},
};
const struct mech_family MECH_EDWARDS = {ROWS, sizeof ROWS / sizeof ROWS[0]};
