/*
 * PKCS#1 v1.5 decryption with implicit rejection (draft-irtf-cfrg-rsa-guidance): nothing tells a
 * bad padding from a good one, so there is no oracle to ask. OpenSSL does this from 3.2 on.
 */
#include <openssl/core_names.h>
#include <string.h>

#include "mech_rsa.h"
#include "trace.h"

#define PRF_BLOCK 32u
#define LENGTH_TRIES 128u
#define PADDING_MIN 8u           /* non-zero bytes between the block type and the separator */

/* ------------------------------------------------------------------ masks: all ones or zero */

static size_t opaque(size_t x)
{
    __asm__("" : "+r"(x));       /* keeps the compiler from turning masks into branches */
    return x;
}

static size_t mask_of_bit(size_t bit)
{
    return 0 - opaque(bit);
}

static size_t mask_zero(size_t x)
{
    return mask_of_bit((~x & (x - 1)) >> (8 * sizeof x - 1));
}

static size_t mask_equal(size_t a, size_t b)
{
    return mask_zero(a ^ b);
}

/* a < b, for values below half of the range. */
static size_t mask_less(size_t a, size_t b)
{
    return mask_of_bit((a - b) >> (8 * sizeof a - 1));
}

static size_t pick(size_t mask, size_t yes, size_t no)
{
    return (mask & yes) | (~mask & no);
}

/* ------------------------------------------------------------------ the substitute */

CK_RV pkcs1_rejection_key(const EVP_PKEY *pkey, size_t k, uint8_t ret_key[32])
{
    AUTO(bn) BIGNUM *d = NULL;
    AUTO(secret) struct secret bytes = {0};
    TRY(secret_reserve(&bytes, k));
    bytes.len = k;
    if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_D, &d) != 1 ||
        BN_bn2binpad(d, bytes.data, (int)k) != (int)k ||
        EVP_Digest(bytes.data, k, ret_key, NULL, ossl_md(&DIGESTS[DIGEST_SHA256]), NULL) != 1)
        return ossl_fail(CKR_FUNCTION_FAILED, "RSA implicit rejection");
    return CKR_OK;
}

static bool hmac_sha256(EVP_MAC_CTX *mac, const uint8_t key[32], const void *data, size_t len,
                        uint8_t ret_mac[PRF_BLOCK])
{
    size_t mac_len;
    return EVP_MAC_init(mac, key, 32, NULL) == 1 && EVP_MAC_update(mac, data, len) == 1 &&
           EVP_MAC_final(mac, ret_mac, &mac_len, PRF_BLOCK) == 1;
}

/* Blocks of HMAC(key, counter | label | length in bits), cut to len. */
static bool prf(EVP_MAC_CTX *mac, const uint8_t key[32], const char *label, size_t len,
                uint8_t *ret_bytes)
{
    uint8_t input[16], block[PRF_BLOCK];
    size_t label_len = strlen(label), bits = 8 * len, n = 2 + label_len + 2;
    memcpy(input + 2, label, label_len);
    input[n - 2] = (uint8_t)(bits >> 8);
    input[n - 1] = (uint8_t)bits;
    for (size_t i = 0; PRF_BLOCK * i < len; i++) {
        size_t rest = len - PRF_BLOCK * i;
        input[0] = (uint8_t)(i >> 8);
        input[1] = (uint8_t)i;
        if (!hmac_sha256(mac, key, input, n, block))
            return false;
        memcpy(ret_bytes + PRF_BLOCK * i, block, rest < PRF_BLOCK ? rest : PRF_BLOCK);
    }
    OPENSSL_cleanse(block, sizeof block);
    return true;
}

/* The last candidate that fits; the chance that none does is that of a broken PRF. */
static size_t synthetic_length(const uint8_t lengths[2 * LENGTH_TRIES], struct pkcs1_target target,
                               size_t k)
{
    if (target.len > 0)
        return target.len;
    if (target.aes)
        return 16 + 8 * (size_t)(lengths[0] % 3);
    size_t max = k - PKCS1_OVERHEAD, mask = max, length = 0;
    for (unsigned shift = 1; shift < 16; shift <<= 1)
        mask |= mask >> shift;
    for (size_t i = 0; i < LENGTH_TRIES; i++) {
        size_t candidate = ((size_t)lengths[2 * i] << 8 | lengths[2 * i + 1]) & mask;
        length = pick(mask_less(candidate, max + 1), candidate, length);
    }
    return length;
}

static bool synthetic_message(const uint8_t rejection_key[32], struct pkcs1_target target,
                              const uint8_t *ciphertext, size_t k, uint8_t *ret_message,
                              size_t *ret_len)
{
    uint8_t key[PRF_BLOCK], lengths[2 * LENGTH_TRIES];
    char name[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                           OSSL_PARAM_construct_end()};
    AUTO(evp_mac_ctx) EVP_MAC_CTX *mac = EVP_MAC_CTX_new(ossl_hmac());
    bool good = mac && EVP_MAC_CTX_set_params(mac, params) == 1 &&
                hmac_sha256(mac, rejection_key, ciphertext, k, key) &&
                prf(mac, key, "length", sizeof lengths, lengths) &&
                prf(mac, key, "message", k, ret_message);
    if (good)
        *ret_len = synthetic_length(lengths, target, k);
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(lengths, sizeof lengths);
    return good;
}

/* ------------------------------------------------------------------ the padding */

static size_t target_mask(struct pkcs1_target target, size_t len)
{
    if (target.len > 0)
        return mask_equal(len, target.len);
    if (target.aes)
        return mask_equal(len, 16) | mask_equal(len, 24) | mask_equal(len, 32);
    return ~(size_t)0;
}

/* 00 02, at least eight non-zero bytes, 00, message. */
static size_t padding_mask(const uint8_t *em, size_t k, size_t *ret_len)
{
    size_t good = mask_zero(em[0]) & mask_equal(em[1], 2), found = 0, separator = 0;
    for (size_t i = 2; i < k; i++) {
        size_t zero = mask_zero(em[i]);
        separator = pick(zero & ~found, i, separator);
        found |= zero;
    }
    *ret_len = k - 1 - separator;
    return good & found & ~mask_less(separator, 2 + PADDING_MIN);
}

CK_RV pkcs1_decode(const uint8_t rejection_key[32], struct pkcs1_target target,
                   const uint8_t *ciphertext, const uint8_t *em, size_t k, uint8_t *out,
                   size_t *ret_len)
{
    AUTO(secret) struct secret synthetic = {0};
    size_t len, synthetic_len;
    if (k < PKCS1_OVERHEAD || target.len > k - PKCS1_OVERHEAD)
        return trace_fail(CKR_ENCRYPTED_DATA_INVALID, "the RSA key is too short for the message");
    TRY(secret_reserve(&synthetic, k));
    synthetic.len = k;
    if (!synthetic_message(rejection_key, target, ciphertext, k, synthetic.data, &synthetic_len))
        return ossl_fail(CKR_FUNCTION_FAILED, "RSA implicit rejection");
    size_t good = padding_mask(em, k, &len);
    good &= target_mask(target, len);
    len = pick(good, len, synthetic_len);
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)pick(good, em[k - len + i], synthetic.data[k - len + i]);
    *ret_len = len;
    return CKR_OK;
}
