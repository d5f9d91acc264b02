/* AES-CMAC, in full and truncated. */
#include <openssl/core_names.h>
#include <openssl/params.h>

#include "mech_mac.h"

#define CMAC_SIZE 16u

static CK_RV cmac_begin(struct crypto *c)
{
    if (c->ctx != NULL)
        return mac_begin(c, NULL, NULL);
    const EVP_CIPHER *cipher = ossl_cipher(OSSL_AES_CBC, c->key->secret_len);
    if (cipher == NULL)
        return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
    OSSL_PARAM setup[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER,
                                         (char *)EVP_CIPHER_get0_name(cipher), 0),
        OSSL_PARAM_construct_end(),
    };
    return mac_begin(c, ossl_cmac(), setup);
}

static CK_RV cmac_parse(const struct mech_row *row, const void *p, CK_ULONG len,
                        struct mech_param *ret_param)
{
    ret_param->mac.mac_len = CMAC_SIZE;
    return mech_param_none(row, p, len, ret_param);
}

static CK_RV cmac_parse_general(const struct mech_row *row, const void *p, CK_ULONG len,
                                struct mech_param *ret_param)
{
    return mac_parse_general(row, CMAC_SIZE, p, len, ret_param);
}

static const struct sign_ops CMAC_OPS = MAC_OPS(cmac_begin);

#define CMAC_ROW(mech, parse_function)                                                             \
    {                                                                                              \
        .type = CKM_##mech, .name = "CKM_" #mech, .min = 16, .max = 32,                            \
        .flags = CKF_SIGN | CKF_VERIFY, .key_type = CKK_AES, .parse = parse_function,              \
        .sign = &CMAC_OPS, .ctx_free = mac_ctx_free,                                               \
    }

static const struct mech_row ROWS[] = {
    CMAC_ROW(AES_CMAC, cmac_parse),
    CMAC_ROW(AES_CMAC_GENERAL, cmac_parse_general),
};
const struct mech_family MECH_CMAC = {ROWS, sizeof ROWS / sizeof ROWS[0]};
