/* Validates and completes a new key's attributes; check values. See key_material.h. */
#include <string.h>

#include "key_parts.h"
#include "ossl.h"
#include "ossl_auto.h"
#include "trace.h"

static CK_RV secret_complete(struct attr_list *list)
{
    const struct attr *value = view_find(view_of_list(list), CKA_VALUE);
    if (!value)
        return trace_fail(CKR_TEMPLATE_INCOMPLETE, "CKA_VALUE is missing");
    CK_ULONG len = value->len, given = view_ulong(view_of_list(list), CKA_VALUE_LEN);
    if (view_ulong(view_of_list(list), CKA_KEY_TYPE) == CKK_AES && len != 16 && len != 24 &&
        len != 32)
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "an AES key has 16, 24 or 32 bytes, not %lu",
                          len);
    if (given == len)
        return CKR_OK;
    if (given != CK_UNAVAILABLE_INFORMATION)
        return trace_fail(CKR_TEMPLATE_INCONSISTENT,
                          "CKA_VALUE has %lu bytes, CKA_VALUE_LEN says %lu", len, given);
    return attr_put_ulong(list, CKA_VALUE_LEN, len);
}

/* The standard does not make a module look into certificates: one that cannot be read stays as it
 * was given. */
static CK_RV certificate_complete(struct attr_list *list)
{
    struct der info;
    const struct attr *value = view_find(view_of_list(list), CKA_VALUE);
    if (!value || view_find(view_of_list(list), CKA_PUBLIC_KEY_INFO) ||
        !certificate_key_info(value->value, value->len, &info))
        return CKR_OK;
    return attr_put(list, CKA_PUBLIC_KEY_INFO, info.p, info.n);
}

static CK_RV class_complete(struct attr_list *list, CK_ULONG min_rsa_bits)
{
    CK_OBJECT_CLASS cls = view_ulong(view_of_list(list), CKA_CLASS);
    bool rsa = view_ulong(view_of_list(list), CKA_KEY_TYPE) == CKK_RSA;
    if (cls == CKO_SECRET_KEY)
        return secret_complete(list);
    if (cls == CKO_CERTIFICATE)
        return certificate_complete(list);
    if (cls == CKO_PUBLIC_KEY)
        return rsa ? rsa_public_complete(list, min_rsa_bits) : ec_public_complete(list);
    if (cls == CKO_PRIVATE_KEY)
        return rsa ? rsa_private_complete(list, min_rsa_bits) : ec_private_complete(list);
    return CKR_OK;
}

/* ------------------------------------------------------------------ check values */

static CK_RV sha1_start(const struct attr *data, uint8_t ret_value[KEY_CHECK_VALUE_SIZE])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (EVP_Digest(data->value, data->len, digest, NULL, ossl_md(&DIGESTS[DIGEST_SHA1]), NULL) != 1)
        return ossl_fail(CKR_FUNCTION_FAILED, "check value");
    memcpy(ret_value, digest, KEY_CHECK_VALUE_SIZE);
    return CKR_OK;
}

/* The start of a block of zeros, encrypted. */
static CK_RV aes_start(const struct attr *key, uint8_t ret_value[KEY_CHECK_VALUE_SIZE])
{
    static const uint8_t zeros[16];
    uint8_t block[32];
    int len;
    AUTO(evp_cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx || EVP_EncryptInit_ex2(ctx, ossl_cipher(OSSL_AES_ECB, key->len), key->value, NULL,
                                    NULL) != 1 ||
        EVP_EncryptUpdate(ctx, block, &len, zeros, sizeof zeros) != 1)
        return ossl_fail(CKR_FUNCTION_FAILED, "check value");
    memcpy(ret_value, block, KEY_CHECK_VALUE_SIZE);
    return CKR_OK;
}

static CK_RV check_value(struct attr_view view, uint8_t ret_value[KEY_CHECK_VALUE_SIZE])
{
    CK_OBJECT_CLASS cls = view_ulong(view, CKA_CLASS);
    bool pair = cls == CKO_PUBLIC_KEY || cls == CKO_PRIVATE_KEY;
    const struct attr *data = view_find(view, pair ? CKA_PUBLIC_KEY_INFO : CKA_VALUE);
    if (!data || (!pair && cls != CKO_SECRET_KEY && cls != CKO_CERTIFICATE))
        return CKR_ATTRIBUTE_TYPE_INVALID;
    if (cls == CKO_SECRET_KEY && view_ulong(view, CKA_KEY_TYPE) == CKK_AES)
        return aes_start(data, ret_value);
    return sha1_start(data, ret_value);
}

CK_RV key_check_value(const struct attr_set *attrs, uint8_t ret_value[KEY_CHECK_VALUE_SIZE])
{
    return check_value(view_of_set(attrs), ret_value);
}

CK_RV key_complete(struct attr_list *list, CK_ULONG min_rsa_bits)
{
    uint8_t value[KEY_CHECK_VALUE_SIZE];
    TRY(class_complete(list, min_rsa_bits));
    const struct attr *given = view_find(view_of_list(list), CKA_CHECK_VALUE);
    if (!given || given->len == 0)
        return CKR_OK;
    TRY(check_value(view_of_list(list), value));
    if (given->len != sizeof value || memcmp(given->value, value, sizeof value) != 0)
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_CHECK_VALUE is not this key's");
    return CKR_OK;
}
