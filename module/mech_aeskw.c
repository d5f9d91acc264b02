/*
 * AES key wrap, four mechanisms that are told apart: CKM_AES_KEY_WRAP (SP 800-38F KW, RFC 3394;
 * keys are filled up with zeros to whole semiblocks), CKM_AES_KEY_WRAP_KWP (KWP, RFC 5649), and
 * KW behind PKCS#7 padding to semiblocks: CKM_AES_KEY_WRAP_PKCS7, and CKM_AES_KEY_WRAP_PAD, its
 * older number.
 */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

#include "cipher_ctx.h"
#include "trace.h"

#define SEMIBLOCK ((size_t)8)
#define INPUT_MAX ((size_t)1 << 24)       /* far above any key; KWP itself ends at 2^32 - 1 */

static bool kwp(const struct crypto *c)
{
    return c->mech->detail == OSSL_AES_WRAP_PAD;
}

static bool pkcs7(const struct crypto *c)
{
    return c->mech->type == CKM_AES_KEY_WRAP_PAD || c->mech->type == CKM_AES_KEY_WRAP_PKCS7;
}

static CK_RV kw_begin(struct crypto *c)
{
    return cipher_begin(c, c->param.iv.iv);
}

static size_t kw_wrap_size(const struct crypto *c, size_t in_len)
{
    size_t padding = pkcs7(c) ? SEMIBLOCK : SEMIBLOCK - 1;
    return (in_len + padding) / SEMIBLOCK * SEMIBLOCK + SEMIBLOCK;
}

static size_t kw_once_size(const struct crypto *c, size_t in_len)
{
    /* What unwrapping yields is a semiblock less, but OpenSSL wipes all of it when it fails. */
    return c->encrypt ? kw_wrap_size(c, in_len) : in_len;
}

/* KW wraps two semiblocks at least; KWP one byte. `rv` is what the caller's standard calls it. */
static CK_RV kw_encrypt(struct crypto *c, const uint8_t *in, size_t in_len, CK_RV rv, uint8_t *out,
                        size_t *ret_len)
{
    int len = 0;
    size_t least = kwp(c) ? 1 : 2 * SEMIBLOCK;
    if (in_len < least || in_len > INPUT_MAX)
        return trace_fail(rv, "%s cannot wrap %zu bytes", c->mech->name, in_len);
    if (EVP_CipherUpdate(c->ctx, out, &len, in, (int)in_len) != 1 || len <= 0)
        return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    *ret_len = (size_t)len;
    return CKR_OK;
}

/* Fills up to whole semiblocks, in the output buffer, and encrypts there. */
static CK_RV kw_pad_encrypt(struct crypto *c, const uint8_t *in, size_t in_len, CK_RV rv,
                            uint8_t *out, size_t *ret_len)
{
    size_t len = kw_wrap_size(c, in_len) - SEMIBLOCK;
    if (kwp(c) || len == in_len)
        return kw_encrypt(c, in, in_len, rv, out, ret_len);
    memmove(out, in, in_len);
    memset(out + in_len, pkcs7(c) ? (int)(len - in_len) : 0, len - in_len);
    rv = kw_encrypt(c, out, len, rv, out, ret_len);
    if (rv != CKR_OK)
        OPENSSL_cleanse(out, len);
    return rv;
}

/* `invalid` and `len_range`: what the caller's standard calls it. */
static CK_RV kw_decrypt(struct crypto *c, const uint8_t *in, size_t in_len, CK_RV invalid,
                        CK_RV len_range, uint8_t *out, size_t *ret_len)
{
    int len = 0;
    size_t least = kwp(c) ? 2 * SEMIBLOCK : 3 * SEMIBLOCK;
    if (in_len < least || in_len % SEMIBLOCK != 0 || in_len > INPUT_MAX)
        return trace_fail(len_range, "%s: %zu bytes", c->mech->name, in_len);
    bool good = EVP_CipherUpdate(c->ctx, out, &len, in, (int)in_len) == 1 && len > 0;
    size_t cut = good && pkcs7(c) ? padding_check(out, (size_t)len, SEMIBLOCK) : 0;
    if (!good || (pkcs7(c) && cut == 0)) {
        ERR_clear_error();
        OPENSSL_cleanse(out, in_len);
        return trace_fail(invalid, "%s: the integrity check failed", c->mech->name);
    }
    *ret_len = (size_t)len - cut;
    return CKR_OK;
}

/* ------------------------------------------------------------------ ciphers, single-part only */

static CK_RV kw_once(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                     size_t *ret_len)
{
    if (!c->encrypt)
        return kw_decrypt(c, in, in_len, CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE,
                          out, ret_len);
    if (pkcs7(c))
        return kw_pad_encrypt(c, in, in_len, CKR_DATA_LEN_RANGE, out, ret_len);
    if (!kwp(c) && in_len % SEMIBLOCK != 0)
        return trace_fail(CKR_DATA_LEN_RANGE, "%s encrypts whole semiblocks, not %zu bytes",
                          c->mech->name, in_len);
    return kw_encrypt(c, in, in_len, CKR_DATA_LEN_RANGE, out, ret_len);
}

/* ------------------------------------------------------------------ wrapping */

static CK_RV kw_wrap(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                     size_t *ret_len)
{
    TRY(kw_begin(c));
    return kw_pad_encrypt(c, in, in_len, CKR_KEY_SIZE_RANGE, out, ret_len);
}

/* The zeros that KW filled a key up with: only the length asked for can tell. */
static size_t kw_surplus(const struct crypto *c, size_t len)
{
    if (kwp(c) || pkcs7(c) || c->target_len == 0 || c->target_len > len)
        return 0;
    size_t surplus = len - c->target_len;
    return surplus < SEMIBLOCK ? surplus : 0;
}

static CK_RV kw_unwrap(struct crypto *c, const uint8_t *in, size_t in_len, struct secret *ret_key)
{
    AUTO(secret) struct secret key = {0};
    TRY(secret_reserve(&key, in_len));
    TRY(kw_begin(c));
    TRY(kw_decrypt(c, in, in_len, CKR_WRAPPED_KEY_INVALID, CKR_WRAPPED_KEY_LEN_RANGE, key.data,
                   &key.len));
    key.len -= kw_surplus(c, key.len);
    secret_done(ret_key);
    *ret_key = key;
    key = (struct secret){0};
    return CKR_OK;
}

/* ------------------------------------------------------------------ parameters and rows */

/* An own initial value, or none: the default is then put in, so that a warm context never keeps
 * the one of the call before. */
static CK_RV kw_parse(const struct mech_row *row, const void *p, CK_ULONG len,
                      struct mech_param *ret_param)
{
    static const uint8_t KW_IV[SEMIBLOCK] = {0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6};
    static const uint8_t KWP_IV[4] = {0xa6, 0x59, 0x59, 0xa6};
    bool short_iv = row->detail == OSSL_AES_WRAP_PAD;
    size_t iv_len = short_iv ? sizeof KWP_IV : sizeof KW_IV;
    if (len != 0 && (p == NULL || len != iv_len))
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: IV of %lu bytes, not 0 or %zu",
                          row->name, len, iv_len);
    memcpy(ret_param->iv.iv, len != 0 ? p : short_iv ? KWP_IV : KW_IV, iv_len);
    ret_param->iv.iv_len = iv_len;
    return CKR_OK;
}

static const struct cipher_ops KW_CIPHER_OPS = {
    .begin = kw_begin, .once_size = kw_once_size, .once = kw_once,
};

static const struct wrap_ops KW_WRAP_OPS = {
    .wrap_size = kw_wrap_size, .wrap = kw_wrap, .unwrap = kw_unwrap,
};

#define KW_ROW(mech, mode)                                                                         \
    {                                                                                              \
        .type = CKM_##mech, .name = "CKM_" #mech, .min = 16, .max = 32,                            \
        .flags = CKF_ENCRYPT | CKF_DECRYPT | CKF_WRAP | CKF_UNWRAP, .key_type = CKK_AES,           \
        .parse = kw_parse, .cipher = &KW_CIPHER_OPS, .wrap = &KW_WRAP_OPS, .detail = mode,         \
        .ctx_free = cipher_ctx_free,                                                               \
    }

static const struct mech_row ROWS[] = {
    KW_ROW(AES_KEY_WRAP, OSSL_AES_WRAP),
    KW_ROW(AES_KEY_WRAP_PAD, OSSL_AES_WRAP),
    KW_ROW(AES_KEY_WRAP_KWP, OSSL_AES_WRAP_PAD),
    KW_ROW(AES_KEY_WRAP_PKCS7, OSSL_AES_WRAP),
};
const struct mech_family MECH_AESKW = {ROWS, sizeof ROWS / sizeof ROWS[0]};
