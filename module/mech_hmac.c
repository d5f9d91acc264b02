/* HMAC over every digest, in full and truncated (_GENERAL), with generic secrets or the digest's
 * own key type, of any length. */
#include <openssl/core_names.h>
#include <openssl/params.h>

#include "mech_mac.h"

static CK_RV hmac_begin(struct crypto *c)
{
    if (c->ctx != NULL)
        return mac_begin(c, NULL, NULL);
    OSSL_PARAM setup[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)c->mech->digest->name, 0),
        OSSL_PARAM_construct_end(),
    };
    return mac_begin(c, ossl_hmac(), setup);
}

static CK_RV hmac_parse(const struct mech_row *row, const void *p, CK_ULONG len,
                        struct mech_param *ret_param)
{
    ret_param->mac.mac_len = row->digest->size;
    return mech_param_none(row, p, len, ret_param);
}

static CK_RV hmac_parse_general(const struct mech_row *row, const void *p, CK_ULONG len,
                                struct mech_param *ret_param)
{
    return mac_parse_general(row, row->digest->size, p, len, ret_param);
}

static const struct sign_ops HMAC_OPS = MAC_OPS(hmac_begin);

#define HMAC_ROW(mech, hash, id, parse_function)                                                   \
    {                                                                                              \
        .type = CKM_##mech, .name = "CKM_" #mech, .min = 1, .max = ATTR_VALUE_MAX,                 \
        .flags = CKF_SIGN | CKF_VERIFY, .key_type = CKK_##hash##_HMAC, .also = GENERIC,            \
        .parse = parse_function, .sign = &HMAC_OPS, .digest = &DIGESTS[id],                        \
        .ctx_free = mac_ctx_free,                                                                  \
    }
#define HMAC_ROWS(hash, id)                                                                        \
    HMAC_ROW(hash##_HMAC, hash, id, hmac_parse),                                                   \
    HMAC_ROW(hash##_HMAC_GENERAL, hash, id, hmac_parse_general)

static const CK_KEY_TYPE GENERIC[] = {CKK_GENERIC_SECRET, CK_UNAVAILABLE_INFORMATION};

static const struct mech_row ROWS[] = {
    HMAC_ROWS(SHA_1, DIGEST_SHA1),
    HMAC_ROWS(SHA224, DIGEST_SHA224),
    HMAC_ROWS(SHA256, DIGEST_SHA256),
    HMAC_ROWS(SHA384, DIGEST_SHA384),
    HMAC_ROWS(SHA512, DIGEST_SHA512),
    HMAC_ROWS(SHA512_224, DIGEST_SHA512_224),
    HMAC_ROWS(SHA512_256, DIGEST_SHA512_256),
    HMAC_ROWS(SHA3_224, DIGEST_SHA3_224),
    HMAC_ROWS(SHA3_256, DIGEST_SHA3_256),
    HMAC_ROWS(SHA3_384, DIGEST_SHA3_384),
    HMAC_ROWS(SHA3_512, DIGEST_SHA3_512),
};
const struct mech_family MECH_HMAC = {ROWS, sizeof ROWS / sizeof ROWS[0]};
