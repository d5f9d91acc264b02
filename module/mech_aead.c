/*
 * AES-GCM and AES-CCM; the tag stands behind the ciphertext. Multi-part: GCM encryption streams;
 * decryption, and CCM, which must know all lengths first, collect their input in c->buffer and
 * release nothing before the tag is verified.
 */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "cipher_ctx.h"
#include "trace.h"

#define GCM_IV_MAX 128u                    /* OpenSSL 3.0's limit; the standard's is 256 */
#define TAG_MAX 16u
#define CCM_NONCE_MIN 7u
#define CCM_NONCE_MAX 13u
#define CCM_DATA_MAX ((size_t)1 << 30)     /* one call of EVP, which counts in int */

struct aead {
    EVP_CIPHER_CTX *evp;
    size_t iv_len;                         /* that evp is set to; 0: not under the key yet */
};

static void aead_free(void *ctx)
{
    struct aead *aead = ctx;
    if (aead != NULL)
        EVP_CIPHER_CTX_free(aead->evp);
    free(aead);
}

static EVP_CIPHER_CTX *evp_of(const struct crypto *c)
{
    return ((struct aead *)c->ctx)->evp;
}

static struct aead *aead_new(void)
{
    struct aead *aead = calloc(1, sizeof *aead);
    if (aead != NULL)
        aead->evp = EVP_CIPHER_CTX_new();
    if (aead == NULL || aead->evp == NULL) {
        aead_free(aead);
        return NULL;
    }
    return aead;
}

static bool param_set(EVP_CIPHER_CTX *evp, const char *name, void *data, size_t len)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(name, data, len), OSSL_PARAM_construct_end(),
    };
    return EVP_CIPHER_CTX_set_params(evp, params) == 1;
}

static bool tag_get(EVP_CIPHER_CTX *evp, uint8_t *out, size_t len)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, out, len),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CIPHER_CTX_get_params(evp, params) == 1;
}

static bool tag_set(EVP_CIPHER_CTX *evp, const uint8_t *tag, size_t len)
{
    uint8_t copy[TAG_MAX];
    memcpy(copy, tag, len);
    return param_set(evp, OSSL_CIPHER_PARAM_AEAD_TAG, copy, len);
}

static bool iv_len_set(EVP_CIPHER_CTX *evp, size_t len)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_IVLEN, &len), OSSL_PARAM_construct_end(),
    };
    return EVP_CIPHER_CTX_set_params(evp, params) == 1;
}

/* Associated data: an update without output. EVP counts in int. */
static bool aad_put(EVP_CIPHER_CTX *evp, const uint8_t *aad, size_t len)
{
    while (len > 0) {
        int part = len < CCM_DATA_MAX ? (int)len : (int)CCM_DATA_MAX, done = 0;
        if (EVP_CipherUpdate(evp, NULL, &done, aad, part) != 1)
            return false;
        aad += part;
        len -= (size_t)part;
    }
    return true;
}

static CK_RV aead_begin(struct crypto *c, bool (*set_up)(struct crypto *c, struct aead *aead))
{
    if (c->ctx == NULL)
        c->ctx = aead_new();
    if (c->ctx != NULL && set_up(c, c->ctx))
        return CKR_OK;
    aead_free(c->ctx);
    c->ctx = NULL;
    return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
}

static CK_RV tag_bad(struct crypto *c, uint8_t *out, size_t len)
{
    ERR_clear_error();
    if (len > 0)
        OPENSSL_cleanse(out, len);
    return trace_fail(CKR_ENCRYPTED_DATA_INVALID, "%s: the tag does not verify", c->mech->name);
}

/* ------------------------------------------------------------------ sizes, collected input */

static size_t aead_once_size(const struct crypto *c, size_t in_len)
{
    size_t tag = c->param.aead.tag_len;
    if (c->encrypt)
        return in_len + tag;
    return in_len < tag ? 0 : in_len - tag;
}

static size_t collect_update_size(const struct crypto *c, size_t in_len)
{
    (void)c;
    (void)in_len;
    return 0;
}

static size_t collect_final_size(const struct crypto *c)
{
    return aead_once_size(c, c->buffer.len);
}

static CK_RV collect_update(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                            size_t *ret_len)
{
    (void)out;
    TRY(secret_append(&c->buffer, in, in_len));
    *ret_len = 0;
    return CKR_OK;
}

/* ------------------------------------------------------------------ GCM */

static bool gcm_set_up(struct crypto *c, struct aead *aead)
{
    const uint8_t *iv = c->param.aead.iv;
    size_t iv_len = c->param.aead.iv_len;
    if (aead->iv_len == 0) {
        const EVP_CIPHER *cipher = ossl_cipher(OSSL_AES_GCM, c->key->secret_len);
        if (cipher == NULL || EVP_CipherInit_ex2(aead->evp, cipher, c->key->secret, NULL,
                                                 c->encrypt, NULL) != 1)
            return false;
    }
    if (aead->iv_len != iv_len && !iv_len_set(aead->evp, iv_len))
        return false;
    aead->iv_len = iv_len;
    return EVP_CipherInit_ex2(aead->evp, NULL, NULL, iv, -1, NULL) == 1 &&
           aad_put(aead->evp, c->param.aead.aad, c->param.aead.aad_len);
}

static CK_RV gcm_begin(struct crypto *c)
{
    return aead_begin(c, gcm_set_up);
}

static size_t gcm_update_size(const struct crypto *c, size_t in_len)
{
    return c->encrypt ? in_len : 0;
}

static size_t gcm_final_size(const struct crypto *c)
{
    return c->encrypt ? c->param.aead.tag_len : collect_final_size(c);
}

static CK_RV gcm_update(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                        size_t *ret_len)
{
    if (!c->encrypt)
        return collect_update(c, in, in_len, out, ret_len);
    TRY(cipher_run(evp_of(c), in, in_len, out));
    *ret_len = in_len;
    return CKR_OK;
}

static CK_RV gcm_seal(struct crypto *c, uint8_t *out, size_t *ret_len)
{
    int none = 0;
    uint8_t nothing[TAG_MAX];
    if (EVP_CipherFinal_ex(evp_of(c), nothing, &none) != 1 ||
        !tag_get(evp_of(c), out, c->param.aead.tag_len))
        return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    *ret_len = c->param.aead.tag_len;
    return CKR_OK;
}

static CK_RV gcm_open(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                      size_t *ret_len)
{
    int none = 0;
    uint8_t nothing[TAG_MAX];
    size_t tag_len = c->param.aead.tag_len;
    if (in_len < tag_len)
        return trace_fail(CKR_ENCRYPTED_DATA_LEN_RANGE, "%s: %zu bytes are less than the tag",
                          c->mech->name, in_len);
    size_t len = in_len - tag_len;
    if (!tag_set(evp_of(c), in + len, tag_len))
        return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    TRY(cipher_run(evp_of(c), in, len, out));
    if (EVP_CipherFinal_ex(evp_of(c), nothing, &none) != 1)
        return tag_bad(c, out, len);
    *ret_len = len;
    return CKR_OK;
}

static CK_RV gcm_final(struct crypto *c, uint8_t *out, size_t *ret_len)
{
    return c->encrypt ? gcm_seal(c, out, ret_len)
                      : gcm_open(c, c->buffer.data, c->buffer.len, out, ret_len);
}

static CK_RV gcm_once(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                      size_t *ret_len)
{
    if (!c->encrypt)
        return gcm_open(c, in, in_len, out, ret_len);
    size_t tag = 0;
    TRY(cipher_run(evp_of(c), in, in_len, out));
    TRY(gcm_seal(c, out + in_len, &tag));
    *ret_len = in_len + tag;
    return CKR_OK;
}

static CK_RV gcm_parse(const struct mech_row *row, const void *p, CK_ULONG len,
                       struct mech_param *ret_param)
{
    CK_GCM_PARAMS gcm;
    /* Java first sends the older structure, without ulIvBits, and tries again on this code. */
    if (p != NULL && len == sizeof gcm - sizeof gcm.ulIvBits)
        return trace_fail(CKR_ARGUMENTS_BAD, "%s: CK_GCM_PARAMS without ulIvBits", row->name);
    if (p == NULL || len != sizeof gcm)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: parameter of %lu bytes", row->name,
                          len);
    memcpy(&gcm, p, sizeof gcm);
    if (gcm.ulIvLen < 1 || gcm.ulIvLen > GCM_IV_MAX)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: IV of %lu bytes", row->name,
                          gcm.ulIvLen);
    if (gcm.ulTagBits < 32 || gcm.ulTagBits > 128 || gcm.ulTagBits % 8 != 0)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: tag of %lu bits", row->name,
                          gcm.ulTagBits);
    ret_param->aead.iv_len = gcm.ulIvLen;
    ret_param->aead.aad_len = gcm.ulAADLen;
    ret_param->aead.tag_len = gcm.ulTagBits / 8;
    TRY(mech_param_bytes(ret_param, gcm.pIv, gcm.ulIvLen, &ret_param->aead.iv));
    return mech_param_bytes(ret_param, gcm.pAAD, gcm.ulAADLen, &ret_param->aead.aad);
}

static const struct cipher_ops GCM_OPS = {
    .begin = gcm_begin,
    .update_size = gcm_update_size, .final_size = gcm_final_size, .once_size = aead_once_size,
    .update = gcm_update, .final = gcm_final, .once = gcm_once,
};

/* ------------------------------------------------------------------ CCM */

/* CCM authenticates all lengths first, so a context is set up anew for every message; OpenSSL
 * wants the lengths before the key. */
static bool ccm_set_up(struct crypto *c, struct aead *aead)
{
    const EVP_CIPHER *cipher = ossl_cipher(OSSL_AES_CCM, c->key->secret_len);
    return cipher != NULL &&
           EVP_CipherInit_ex2(aead->evp, cipher, NULL, NULL, c->encrypt, NULL) == 1 &&
           iv_len_set(aead->evp, c->param.aead.iv_len) &&
           EVP_CIPHER_CTX_ctrl(aead->evp, EVP_CTRL_AEAD_SET_TAG, (int)c->param.aead.tag_len,
                               NULL) == 1 &&
           EVP_CipherInit_ex2(aead->evp, NULL, c->key->secret, c->param.aead.iv, -1, NULL) == 1;
}

static CK_RV ccm_begin(struct crypto *c)
{
    return aead_begin(c, ccm_set_up);
}

static size_t ccm_input_len(const struct crypto *c)
{
    return c->param.aead.data_len + (c->encrypt ? 0 : c->param.aead.tag_len);
}

static CK_RV ccm_update(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                        size_t *ret_len)
{
    if (in_len > ccm_input_len(c) - c->buffer.len)
        return trace_fail(cipher_len_range(c), "%s: more than ulDataLen %zu", c->mech->name,
                          c->param.aead.data_len);
    return collect_update(c, in, in_len, out, ret_len);
}

/* Lengths, associated data, then all of the data in one update, also when there is none. */
static bool ccm_run(struct crypto *c, const uint8_t *in, uint8_t *out)
{
    static const uint8_t NOTHING[1];
    uint8_t unused[TAG_MAX];
    int len = (int)c->param.aead.data_len, done = 0;
    return EVP_CipherUpdate(evp_of(c), NULL, &done, NULL, len) == 1 &&
           aad_put(evp_of(c), c->param.aead.aad, c->param.aead.aad_len) &&
           EVP_CipherUpdate(evp_of(c), len == 0 ? unused : out, &done, len == 0 ? NOTHING : in,
                            len) == 1;
}

static CK_RV ccm_once(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                      size_t *ret_len)
{
    size_t len = c->param.aead.data_len, tag_len = c->param.aead.tag_len;
    if (in_len != ccm_input_len(c))
        return trace_fail(cipher_len_range(c), "%s: %zu bytes, ulDataLen was %zu", c->mech->name,
                          in_len, len);
    if (!c->encrypt && !tag_set(evp_of(c), in + len, tag_len))
        return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    if (!ccm_run(c, in, out))
        return c->encrypt ? ossl_fail(CKR_FUNCTION_FAILED, c->mech->name) : tag_bad(c, out, len);
    if (c->encrypt && !tag_get(evp_of(c), out + len, tag_len))
        return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    *ret_len = len + (c->encrypt ? tag_len : 0);
    return CKR_OK;
}

static CK_RV ccm_final(struct crypto *c, uint8_t *out, size_t *ret_len)
{
    return ccm_once(c, c->buffer.data, c->buffer.len, out, ret_len);
}

/* The lengths that CCM's first block can say: RFC 3610, 2.1. */
static bool ccm_lengths_fit(const CK_CCM_PARAMS *ccm)
{
    if (ccm->ulNonceLen < CCM_NONCE_MIN || ccm->ulNonceLen > CCM_NONCE_MAX)
        return false;
    CK_ULONG length_bits = 8 * (15 - ccm->ulNonceLen);
    return ccm->ulMACLen >= 4 && ccm->ulMACLen <= TAG_MAX && ccm->ulMACLen % 2 == 0 &&
           ccm->ulDataLen <= CCM_DATA_MAX && ccm->ulAADLen <= CCM_DATA_MAX &&
           (length_bits >= 64 || ccm->ulDataLen >> length_bits == 0);
}

static CK_RV ccm_parse(const struct mech_row *row, const void *p, CK_ULONG len,
                       struct mech_param *ret_param)
{
    CK_CCM_PARAMS ccm;
    if (p == NULL || len != sizeof ccm)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: parameter of %lu bytes", row->name,
                          len);
    memcpy(&ccm, p, sizeof ccm);
    if (!ccm_lengths_fit(&ccm))
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: nonce %lu, MAC %lu, data %lu bytes",
                          row->name, ccm.ulNonceLen, ccm.ulMACLen, ccm.ulDataLen);
    ret_param->aead.iv_len = ccm.ulNonceLen;
    ret_param->aead.aad_len = ccm.ulAADLen;
    ret_param->aead.tag_len = ccm.ulMACLen;
    ret_param->aead.data_len = ccm.ulDataLen;
    TRY(mech_param_bytes(ret_param, ccm.pNonce, ccm.ulNonceLen, &ret_param->aead.iv));
    return mech_param_bytes(ret_param, ccm.pAAD, ccm.ulAADLen, &ret_param->aead.aad);
}

static const struct cipher_ops CCM_OPS = {
    .begin = ccm_begin,
    .update_size = collect_update_size, .final_size = collect_final_size,
    .once_size = aead_once_size,
    .update = ccm_update, .final = ccm_final, .once = ccm_once,
};

#define AEAD_ROW(mech, parse_function, ops)                                                        \
    {                                                                                              \
        .type = CKM_##mech, .name = "CKM_" #mech, .min = 16, .max = 32,                            \
        .flags = CKF_ENCRYPT | CKF_DECRYPT, .key_type = CKK_AES, .parse = parse_function,          \
        .cipher = ops, .ctx_free = aead_free,                                                      \
    }

static const struct mech_row ROWS[] = {
    AEAD_ROW(AES_GCM, gcm_parse, &GCM_OPS),
    AEAD_ROW(AES_CCM, ccm_parse, &CCM_OPS),
};
const struct mech_family MECH_AEAD = {ROWS, sizeof ROWS / sizeof ROWS[0]};
