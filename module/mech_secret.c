/* Generation of secret keys: random bytes of the length that the template asks for. */
#include "mech.h"

#include "trace.h"

#define SECRET_MAX 4096u                   /* bytes of a generic secret or HMAC key */

static CK_RV secret_length(const struct mech_row *mech, const struct attr_list *key,
                           size_t *ret_len)
{
    const struct attr *given = attr_find(key, CKA_VALUE_LEN);
    if (given == NULL)
        return trace_fail(CKR_TEMPLATE_INCOMPLETE, "%s needs CKA_VALUE_LEN", mech->name);
    CK_ULONG len = attr_ulong(key, CKA_VALUE_LEN, 0);
    bool fits = mech->key_type == CKK_AES ? len == 16 || len == 24 || len == 32
                                          : len >= 1 && len <= SECRET_MAX;
    if (!fits)
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "%s: CKA_VALUE_LEN %lu", mech->name, len);
    *ret_len = len;
    return CKR_OK;
}

static CK_RV secret_generate(const struct mech_row *mech, const struct mech_param *param,
                             struct attr_list *key)
{
    (void)param;
    size_t len = 0;
    AUTO(secret) struct secret value = {0};
    TRY(secret_length(mech, key, &len));
    TRY(secret_reserve(&value, len));
    TRY(ossl_random(value.data, len));
    value.len = len;
    return attr_put(key, CKA_VALUE, value.data, len);
}

static const struct generate_ops SECRET_OPS = {.key = secret_generate};

/* The standard counts generic secrets in bits, all others in bytes. */
#define GENERATE_ROW(mech, type_of_key, least, most)                                               \
    {                                                                                              \
        .type = CKM_##mech, .name = "CKM_" #mech, .min = least, .max = most,                       \
        .flags = CKF_GENERATE, .key_type = type_of_key, .parse = mech_param_none,                  \
        .generate = &SECRET_OPS,                                                                   \
    }
#define HMAC_GENERATE_ROW(hash) GENERATE_ROW(hash##_KEY_GEN, CKK_##hash##_HMAC, 1, SECRET_MAX)

static const struct mech_row ROWS[] = {
    GENERATE_ROW(AES_KEY_GEN, CKK_AES, 16, 32),
    GENERATE_ROW(GENERIC_SECRET_KEY_GEN, CKK_GENERIC_SECRET, 8, 8 * SECRET_MAX),
    HMAC_GENERATE_ROW(SHA_1),
    HMAC_GENERATE_ROW(SHA224),
    HMAC_GENERATE_ROW(SHA256),
    HMAC_GENERATE_ROW(SHA384),
    HMAC_GENERATE_ROW(SHA512),
    HMAC_GENERATE_ROW(SHA512_224),
    HMAC_GENERATE_ROW(SHA512_256),
    HMAC_GENERATE_ROW(SHA3_224),
    HMAC_GENERATE_ROW(SHA3_256),
    HMAC_GENERATE_ROW(SHA3_384),
    HMAC_GENERATE_ROW(SHA3_512),
};
const struct mech_family MECH_SECRET = {ROWS, sizeof ROWS / sizeof ROWS[0]};
