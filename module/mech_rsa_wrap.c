/* Keys wrapped with RSA: OAEP, PKCS#1 v1.5, and RSA-AES key wrap. */
#include <string.h>

#include "mech_rsa.h"
#include "trace.h"

static CK_RV wrapped_len_check(const struct crypto *c, size_t len)
{
    return len == c->key->sig_len
               ? CKR_OK
               : trace_fail(CKR_WRAPPED_KEY_LEN_RANGE, "%s: %zu bytes, the modulus has %zu",
                            c->mech->name, len, c->key->sig_len);
}

static size_t modulus_size(const struct crypto *c, size_t in_len)
{
    (void)in_len;
    return c->key->sig_len;
}

/* Too long a key has a code of its own when it is wrapped. */
static CK_RV cipher_wrap(const struct cipher_ops *ops, struct crypto *c, const uint8_t *in,
                         size_t in_len, uint8_t *out, size_t *ret_len)
{
    c->encrypt = true;
    TRY(ops->begin(c));
    CK_RV rv = ops->once(c, in, in_len, out, ret_len);
    return rv == CKR_DATA_LEN_RANGE ? CKR_KEY_SIZE_RANGE : rv;
}

/* ------------------------------------------------------------------ PKCS#1 v1.5 */

static CK_RV pkcs_wrap(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                       size_t *ret_len)
{
    return cipher_wrap(&RSA_PKCS_CIPHER, c, in, in_len, out, ret_len);
}

static CK_RV pkcs_unwrap(struct crypto *c, const uint8_t *in, size_t in_len,
                         struct secret *ret_key)
{
    struct pkcs1_target target = {.len = c->target_len, .aes = c->target_type == CKK_AES};
    c->encrypt = false;
    TRY(wrapped_len_check(c, in_len));
    TRY(RSA_PKCS_CIPHER.begin(c));
    TRY(secret_reserve(ret_key, in_len));
    CK_RV rv = rsa_pkcs_decrypt(c, target, in, ret_key->data, &ret_key->len);
    return rv == CKR_ENCRYPTED_DATA_INVALID ? CKR_WRAPPED_KEY_INVALID : rv;
}

const struct wrap_ops RSA_PKCS_WRAP = {
    .wrap_size = modulus_size, .wrap = pkcs_wrap, .unwrap = pkcs_unwrap,
};

/* ------------------------------------------------------------------ OAEP */

static CK_RV oaep_wrap(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                       size_t *ret_len)
{
    return cipher_wrap(&RSA_OAEP_CIPHER, c, in, in_len, out, ret_len);
}

static CK_RV oaep_unwrap(struct crypto *c, const uint8_t *in, size_t in_len,
                         struct secret *ret_key)
{
    c->encrypt = false;
    TRY(wrapped_len_check(c, in_len));
    TRY(RSA_OAEP_CIPHER.begin(c));
    TRY(secret_reserve(ret_key, in_len));
    if (!rsa_decrypt(c, in, in_len, ret_key->data, &ret_key->len))
        return ossl_fail(CKR_WRAPPED_KEY_INVALID, c->mech->name);
    return CKR_OK;
}

const struct wrap_ops RSA_OAEP_WRAP = {
    .wrap_size = modulus_size, .wrap = oaep_wrap, .unwrap = oaep_unwrap,
};

/* ------------------------------------------------------------------ RSA-AES key wrap */

#define KWP_OVERHEAD 8u

static CK_RV rsa_aes_parse(const struct mech_row *row, const void *parameter, CK_ULONG len,
                           struct mech_param *ret_param)
{
    CK_RSA_AES_KEY_WRAP_PARAMS copy;
    if (!parameter || len != sizeof copy)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: no CK_RSA_AES_KEY_WRAP_PARAMS",
                          row->name);
    memcpy(&copy, parameter, sizeof copy);
    if (!copy.pOAEPParams || (copy.ulAESKeyBits != 128 && copy.ulAESKeyBits != 192 &&
                              copy.ulAESKeyBits != 256))
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: %lu bits of AES", row->name,
                          copy.ulAESKeyBits);
    ret_param->rsa_aes.aes_bits = copy.ulAESKeyBits;
    return rsa_oaep_params(row, copy.pOAEPParams, ret_param, &ret_param->rsa_aes.hash,
                           &ret_param->rsa_aes.mgf, &ret_param->rsa_aes.label,
                           &ret_param->rsa_aes.label_len);
}

static CK_RV rsa_aes_begin(struct crypto *c, bool encrypt)
{
    c->encrypt = encrypt;
    return rsa_oaep_begin(c, c->param.rsa_aes.hash, c->param.rsa_aes.mgf, c->param.rsa_aes.label,
                          c->param.rsa_aes.label_len);
}

static bool kwp(const uint8_t *key, size_t key_len, bool encrypt, const uint8_t *in, size_t in_len,
                uint8_t *out, size_t *ret_len)
{
    int len = 0;
    AUTO(evp_cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx || in_len > INT32_MAX)
        return false;
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (EVP_CipherInit_ex2(ctx, ossl_cipher(OSSL_AES_WRAP_PAD, key_len), key, NULL, encrypt,
                           NULL) != 1 ||
        EVP_CipherUpdate(ctx, out, &len, in, (int)in_len) != 1 || len <= 0)
        return false;
    *ret_len = (size_t)len;
    return true;
}

static size_t rsa_aes_size(const struct crypto *c, size_t in_len)
{
    return c->key->sig_len + (in_len + 7) / 8 * 8 + KWP_OVERHEAD;
}

static CK_RV rsa_aes_wrap(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                          size_t *ret_len)
{
    uint8_t key[32];
    size_t key_len = c->param.rsa_aes.aes_bits / 8, first, second;
    TRY(rsa_aes_begin(c, true));
    if (rsa_oaep_room(c->key, c->param.rsa_aes.hash) < key_len)
        return trace_fail(CKR_WRAPPING_KEY_SIZE_RANGE, "%s: the AES key does not fit the RSA key",
                          c->mech->name);
    TRY(ossl_random(key, key_len));
    bool good = rsa_encrypt(c, key, key_len, out, &first) &&
                kwp(key, key_len, true, in, in_len, out + first, &second);
    OPENSSL_cleanse(key, sizeof key);
    if (!good)
        return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    *ret_len = first + second;
    return CKR_OK;
}

/* A wrong first part is replaced by a random key, so that both parts are always gone through. */
static CK_RV rsa_aes_unwrap(struct crypto *c, const uint8_t *in, size_t in_len,
                            struct secret *ret_key)
{
    size_t k = c->key->sig_len, key_len = c->param.rsa_aes.aes_bits / 8, first = 0;
    uint8_t message[RSA_BYTES_MAX], random[32];
    if (in_len < k + 2 * KWP_OVERHEAD || (in_len - k) % 8 != 0)
        return trace_fail(CKR_WRAPPED_KEY_LEN_RANGE, "%s: %zu bytes", c->mech->name, in_len);
    TRY(rsa_aes_begin(c, false));
    TRY(ossl_random(random, sizeof random));
    TRY(secret_reserve(ret_key, in_len - k));
    bool good = rsa_decrypt(c, in, k, message, &first) && first == key_len;
    if (!good)
        memcpy(message, random, sizeof random);
    good &= kwp(message, key_len, false, in + k, in_len - k, ret_key->data, &ret_key->len);
    OPENSSL_cleanse(message, k);
    return good ? CKR_OK : ossl_fail(CKR_WRAPPED_KEY_INVALID, c->mech->name);
}

static const struct wrap_ops RSA_AES_WRAP = {
    .wrap_size = rsa_aes_size, .wrap = rsa_aes_wrap, .unwrap = rsa_aes_unwrap,
};

static const struct mech_row ROWS[] = {
    {.type = CKM_RSA_AES_KEY_WRAP, .name = "CKM_RSA_AES_KEY_WRAP", RSA_ROW_SIZES,
     .flags = CKF_WRAP | CKF_UNWRAP, .parse = rsa_aes_parse, .wrap = &RSA_AES_WRAP,
     .ctx_free = asym_ctx_free},
};
const struct mech_family MECH_RSA_WRAP = {ROWS, sizeof ROWS / sizeof ROWS[0]};
