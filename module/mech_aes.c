/*
 * AES in ECB, CBC, CBC with PKCS#7 padding, and CTR. ECB, CBC and CBC-PAD run on whole blocks:
 * this file holds partial blocks back itself (OpenSSL's buffering cannot work in place, and its
 * padding check is not constant-time).
 *
 * State: words[0] bytes held back, bytes[16..47] these bytes; CTR: words[0] bytes left before
 * the counter would overflow.
 */
#include <openssl/crypto.h>
#include <string.h>

#include "cipher_ctx.h"
#include "trace.h"

#define BLOCK ((size_t)16)
#define CHUNK ((size_t)1024)

static uint64_t *held(struct crypto *c)
{
    return &c->state.words[0];
}

static uint8_t *hold(struct crypto *c)
{
    return c->state.bytes + 16;
}

static bool padded(const struct crypto *c)
{
    return c->mech->legacy_padding;
}

/* Of `have` bytes, how many must wait: what is no whole block, and when the padding is to be
 * removed also a whole block that may be the last. */
static size_t keep_of(const struct crypto *c, size_t have)
{
    size_t keep = have % BLOCK;
    return keep == 0 && have > 0 && padded(c) && !c->encrypt ? BLOCK : keep;
}

static CK_RV aes_begin(struct crypto *c)
{
    *held(c) = 0;
    return cipher_begin(c, c->mech->detail == OSSL_AES_ECB ? NULL : c->param.iv.iv);
}

/* ------------------------------------------------------------------ ECB, CBC, CBC-PAD */

static size_t blocks_update_size(const struct crypto *c, size_t in_len)
{
    size_t have = (size_t)c->state.words[0] + in_len;
    return have - keep_of(c, have);
}

static size_t blocks_final_size(const struct crypto *c)
{
    return padded(c) ? BLOCK : 0;
}

static size_t blocks_once_size(const struct crypto *c, size_t in_len)
{
    return padded(c) && c->encrypt ? in_len - in_len % BLOCK + BLOCK : in_len;
}

/* Straight from in to out; nothing was held back. */
static CK_RV blocks_direct(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                           size_t *ret_len)
{
    size_t keep = keep_of(c, in_len);
    size_t run = in_len - keep;
    TRY(cipher_run(c->ctx, in, run, out));
    if (keep > 0)
        memcpy(hold(c), in + run, keep);
    *held(c) = keep;
    *ret_len = run;
    return CKR_OK;
}

/* Behind held bytes, through a buffer: input is always read before output may overwrite it. */
static CK_RV blocks_behind(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                           size_t *ret_len)
{
    uint8_t buffer[BLOCK + CHUNK];
    size_t done = 0;
    while (in_len > 0) {
        size_t part = in_len < CHUNK ? in_len : CHUNK;
        size_t have = *held(c) + part;
        size_t keep = keep_of(c, have);
        memcpy(buffer, hold(c), *held(c));
        memcpy(buffer + *held(c), in, part);
        TRY(cipher_run(c->ctx, buffer, have - keep, out + done));
        memcpy(hold(c), buffer + (have - keep), keep);
        *held(c) = keep;
        done += have - keep;
        in += part;
        in_len -= part;
    }
    OPENSSL_cleanse(buffer, sizeof buffer);
    *ret_len = done;
    return CKR_OK;
}

static CK_RV blocks_update(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                           size_t *ret_len)
{
    return *held(c) == 0 ? blocks_direct(c, in, in_len, out, ret_len)
                         : blocks_behind(c, in, in_len, out, ret_len);
}

/* Puts the padding behind the held bytes. */
static CK_RV pad_final(struct crypto *c, uint8_t *out, size_t *ret_len)
{
    size_t pad = BLOCK - *held(c);
    memset(hold(c) + *held(c), (int)pad, pad);
    TRY(cipher_run(c->ctx, hold(c), BLOCK, out));
    *ret_len = BLOCK;
    return CKR_OK;
}

static CK_RV unpad_final(struct crypto *c, uint8_t *out, size_t *ret_len)
{
    uint8_t last[BLOCK];
    if (*held(c) != BLOCK)
        return trace_fail(CKR_ENCRYPTED_DATA_LEN_RANGE, "%s: not whole blocks", c->mech->name);
    TRY(cipher_run(c->ctx, hold(c), BLOCK, last));
    size_t pad = padding_check(last, BLOCK, BLOCK);
    if (pad != 0)
        memcpy(out, last, BLOCK - pad);
    OPENSSL_cleanse(last, sizeof last);
    if (pad == 0)
        return trace_fail(CKR_ENCRYPTED_DATA_INVALID, "%s: bad padding", c->mech->name);
    *ret_len = BLOCK - pad;
    return CKR_OK;
}

static CK_RV blocks_final(struct crypto *c, uint8_t *out, size_t *ret_len)
{
    if (padded(c))
        return c->encrypt ? pad_final(c, out, ret_len) : unpad_final(c, out, ret_len);
    if (*held(c) != 0)
        return trace_fail(cipher_len_range(c), "%s: not whole blocks", c->mech->name);
    *ret_len = 0;
    return CKR_OK;
}

static CK_RV unpad_once(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                        size_t *ret_len)
{
    if (in_len == 0 || in_len % BLOCK != 0)
        return trace_fail(CKR_ENCRYPTED_DATA_LEN_RANGE, "%s: %zu bytes", c->mech->name, in_len);
    TRY(cipher_run(c->ctx, in, in_len, out));
    size_t pad = padding_check(out, in_len, BLOCK);
    if (pad == 0) {
        OPENSSL_cleanse(out, in_len);
        return trace_fail(CKR_ENCRYPTED_DATA_INVALID, "%s: bad padding", c->mech->name);
    }
    *ret_len = in_len - pad;
    return CKR_OK;
}

static CK_RV blocks_once(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                         size_t *ret_len)
{
    if (padded(c) && !c->encrypt)
        return unpad_once(c, in, in_len, out, ret_len);
    if (!padded(c) && in_len % BLOCK != 0)
        return trace_fail(cipher_len_range(c), "%s: %zu bytes are not whole blocks",
                          c->mech->name, in_len);
    size_t len = 0, last = 0;
    TRY(blocks_direct(c, in, in_len, out, &len));
    if (padded(c))
        TRY(pad_final(c, out + len, &last));
    *ret_len = len + last;
    return CKR_OK;
}

/* ------------------------------------------------------------------ CBC and CBC-PAD as wrapping */

static size_t cbc_wrap_size(const struct crypto *c, size_t in_len)
{
    size_t padding = padded(c) ? BLOCK : BLOCK - 1;
    return (in_len + padding) / BLOCK * BLOCK;
}

static CK_RV cbc_wrap(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                      size_t *ret_len)
{
    TRY(aes_begin(c));
    size_t len = 0, last = 0;
    TRY(blocks_direct(c, in, in_len, out, &len));
    if (!padded(c) && *held(c) > 0) {
        memset(hold(c) + *held(c), 0, BLOCK - *held(c));
        TRY(cipher_run(c->ctx, hold(c), BLOCK, out + len));
        last = BLOCK;
    }
    if (padded(c))
        TRY(pad_final(c, out + len, &last));
    OPENSSL_cleanse(hold(c), BLOCK);
    *ret_len = len + last;
    return CKR_OK;
}

/* CBC fills up with zeros, which only the length asked for can tell from the key. */
static size_t cbc_unpad(const struct crypto *c, const struct secret *text)
{
    if (padded(c))
        return padding_check(text->data, text->len, BLOCK);
    size_t surplus = c->target_len < text->len ? text->len - c->target_len : 0;
    return c->target_len > 0 && surplus < BLOCK ? surplus : 0;
}

static CK_RV cbc_unwrap(struct crypto *c, const uint8_t *in, size_t in_len, struct secret *ret_key)
{
    if (in_len == 0 || in_len % BLOCK != 0)
        return trace_fail(CKR_WRAPPED_KEY_LEN_RANGE, "%s: %zu bytes", c->mech->name, in_len);
    AUTO(secret) struct secret text = {0};
    TRY(secret_reserve(&text, in_len));
    TRY(aes_begin(c));
    TRY(cipher_run(c->ctx, in, in_len, text.data));
    text.len = in_len;
    size_t cut = cbc_unpad(c, &text);
    if (padded(c) && cut == 0)
        return trace_fail(CKR_WRAPPED_KEY_INVALID, "%s: not a wrapped key", c->mech->name);
    text.len -= cut;
    secret_done(ret_key);
    *ret_key = text;
    text = (struct secret){0};
    return CKR_OK;
}

/* ------------------------------------------------------------------ CTR */

/* Bytes until the counter (the block's low bits) would come round; UINT64_MAX: enough. */
static uint64_t counter_room(const uint8_t block[16], unsigned bits)
{
    unsigned __int128 counter = 0, blocks;
    for (size_t i = 0; i < BLOCK; i++)
        counter = counter << 8 | block[i];
    if (bits < 128) {
        unsigned __int128 span = (unsigned __int128)1 << bits;
        blocks = span - (counter & (span - 1));
    } else {
        blocks = counter == 0 ? ~(unsigned __int128)0 : 0 - counter;
    }
    return blocks >= UINT64_MAX / BLOCK ? UINT64_MAX : (uint64_t)(blocks * BLOCK);
}

static CK_RV ctr_begin(struct crypto *c)
{
    TRY(aes_begin(c));
    c->state.words[0] = counter_room(c->param.iv.iv, c->param.iv.counter_bits);
    return CKR_OK;
}

static size_t ctr_size(const struct crypto *c, size_t in_len)
{
    (void)c;
    return in_len;
}

static size_t ctr_final_size(const struct crypto *c)
{
    (void)c;
    return 0;
}

static CK_RV ctr_update(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                        size_t *ret_len)
{
    uint64_t *room = &c->state.words[0];
    if (in_len > *room)
        return trace_fail(cipher_len_range(c), "%s: the counter has %u bits and would overflow",
                          c->mech->name, c->param.iv.counter_bits);
    TRY(cipher_run(c->ctx, in, in_len, out));
    if (*room != UINT64_MAX)
        *room -= in_len;
    *ret_len = in_len;
    return CKR_OK;
}

static CK_RV ctr_final(struct crypto *c, uint8_t *out, size_t *ret_len)
{
    (void)c;
    (void)out;
    *ret_len = 0;
    return CKR_OK;
}

/* ------------------------------------------------------------------ parameters and rows */

static CK_RV cbc_parse(const struct mech_row *row, const void *p, CK_ULONG len,
                       struct mech_param *ret_param)
{
    if (p == NULL || len != BLOCK)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s needs an IV of 16 bytes, got %lu",
                          row->name, len);
    memcpy(ret_param->iv.iv, p, BLOCK);
    ret_param->iv.iv_len = BLOCK;
    return CKR_OK;
}

static CK_RV ctr_parse(const struct mech_row *row, const void *p, CK_ULONG len,
                       struct mech_param *ret_param)
{
    CK_AES_CTR_PARAMS ctr;
    if (p == NULL || len != sizeof ctr)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: parameter of %lu bytes", row->name,
                          len);
    memcpy(&ctr, p, sizeof ctr);
    if (ctr.ulCounterBits < 1 || ctr.ulCounterBits > 128)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: %lu counter bits", row->name,
                          ctr.ulCounterBits);
    memcpy(ret_param->iv.iv, ctr.cb, BLOCK);
    ret_param->iv.iv_len = BLOCK;
    ret_param->iv.counter_bits = (unsigned)ctr.ulCounterBits;
    return CKR_OK;
}

static const struct cipher_ops BLOCKS_OPS = {
    .begin = aes_begin,
    .update_size = blocks_update_size, .final_size = blocks_final_size,
    .once_size = blocks_once_size,
    .update = blocks_update, .final = blocks_final, .once = blocks_once,
};

static const struct cipher_ops CTR_OPS = {
    .begin = ctr_begin,
    .update_size = ctr_size, .final_size = ctr_final_size, .once_size = ctr_size,
    .update = ctr_update, .final = ctr_final, .once = ctr_update,
};

static const struct wrap_ops CBC_WRAP_OPS = {
    .wrap_size = cbc_wrap_size, .wrap = cbc_wrap, .unwrap = cbc_unwrap,
};

#define AES_ROW(mech, mode, more_flags)                                                            \
    .type = CKM_##mech, .name = "CKM_" #mech, .min = 16, .max = 32,                                \
    .flags = CKF_ENCRYPT | CKF_DECRYPT | (more_flags), .key_type = CKK_AES, .detail = mode,        \
    .ctx_free = cipher_ctx_free

static const struct mech_row ROWS[] = {
    {AES_ROW(AES_ECB, OSSL_AES_ECB, 0), .parse = mech_param_none, .cipher = &BLOCKS_OPS},
    {AES_ROW(AES_CBC, OSSL_AES_CBC, CKF_WRAP | CKF_UNWRAP), .parse = cbc_parse,
     .cipher = &BLOCKS_OPS, .wrap = &CBC_WRAP_OPS},
    {AES_ROW(AES_CBC_PAD, OSSL_AES_CBC, CKF_WRAP | CKF_UNWRAP), .parse = cbc_parse,
     .cipher = &BLOCKS_OPS, .wrap = &CBC_WRAP_OPS, .legacy_padding = true},
    {AES_ROW(AES_CTR, OSSL_AES_CTR, 0), .parse = ctr_parse, .cipher = &CTR_OPS},
};
const struct mech_family MECH_AES = {ROWS, sizeof ROWS / sizeof ROWS[0]};
