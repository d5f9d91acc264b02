/* Keys on elliptic curves: attributes to EVP_PKEY, checks, points. */
#include <openssl/core_names.h>
#include <openssl/objects.h>
#include <string.h>

#include "key_parts.h"
#include "ossl.h"
#include "ossl_auto.h"
#include "ossl_provider.h"
#include "trace.h"

CK_RV ec_curve(struct attr_view view, const struct curve_row **ret_curve)
{
    const struct attr *params = view_find(view, CKA_EC_PARAMS);
    if (!params)
        return trace_fail(CKR_TEMPLATE_INCOMPLETE, "CKA_EC_PARAMS is missing");
    return curve_find(view_ulong(view, CKA_KEY_TYPE), params->value, params->len, ret_curve);
}

/* The caller's own words stay, unless they are a mistake that only we understand. */
static CK_RV params_complete(struct attr_list *list, const struct curve_row **ret_curve)
{
    TRY(ec_curve(view_of_list(list), ret_curve));
    const struct attr *params = view_find(view_of_list(list), CKA_EC_PARAMS);
    if (curve_params_valid(params->value, params->len))
        return CKR_OK;
    return attr_put(list, CKA_EC_PARAMS, (*ret_curve)->oid, (*ret_curve)->oid_len);
}

static bool point_form(const struct curve_row *curve, struct der point)
{
    if (curve->key_type != CKK_EC)
        return point.n == curve->point_len;
    if (point.n == curve->point_len)
        return point.p[0] == POINT_CONVERSION_UNCOMPRESSED;
    return point.n == 1 + curve->point_len / 2 &&
           (point.p[0] & 0xfe) == POINT_CONVERSION_COMPRESSED;
}

bool ec_point_bytes(const struct curve_row *curve, const uint8_t *bytes, size_t len,
                    struct der *ret_point)
{
    struct der raw = {bytes, len}, rest = raw, content;
    if (der_take(&rest, DER_OCTET_STRING, &content) && rest.n == 0 && point_form(curve, content))
        *ret_point = content;
    else if (point_form(curve, raw))
        *ret_point = raw;
    else
        return false;
    return true;
}

static CK_RV weierstrass_pkey(const struct curve_row *curve, struct der point,
                              const struct attr *private, EVP_PKEY **ret_pkey)
{
    AUTO(pkey_parts) struct pkey_parts parts = {0};
    TRY(pkey_parts_init(&parts, private ? private->len : 1));
    parts.params[parts.n++] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                                               (char *)(uintptr_t)curve->group, 0);
    if (point.n > 0)
        parts.params[parts.n++] = OSSL_PARAM_construct_octet_string(
            OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)point.p, point.n);
    if (private)
        pkey_parts_number(&parts, OSSL_PKEY_PARAM_PRIV_KEY, private->value, private->len);
    return pkey_parts_new(&parts, "EC", private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, ret_pkey);
}

CK_RV ec_pkey_from(const struct curve_row *curve, struct der point, const struct attr *private,
                   EVP_PKEY **ret_pkey)
{
    if (curve->key_type == CKK_EC)
        return weierstrass_pkey(curve, point, private, ret_pkey);
    const char *type = ossl_key_type(curve->group);
    EVP_PKEY *pkey =
        private ? EVP_PKEY_new_raw_private_key_ex(ossl_libctx(), type, NULL, private->value,
                                                  private->len)
                : EVP_PKEY_new_raw_public_key_ex(ossl_libctx(), type, NULL, point.p, point.n);
    if (!pkey)
        return ossl_fail(CKR_ATTRIBUTE_VALUE_INVALID, curve->name);
    *ret_pkey = pkey;
    return CKR_OK;
}

CK_RV ec_pkey_new(struct attr_view view, bool private, EVP_PKEY **ret_pkey,
                  struct key_shape *ret_shape)
{
    const struct curve_row *curve;
    struct der point = {0};
    TRY(ec_curve(view, &curve));
    const struct attr *value = private ? view_find(view, CKA_VALUE) : NULL;
    const struct attr *given = view_find(view, CKA_EC_POINT);
    if (given && !ec_point_bytes(curve, given->value, given->len, &point))
        return trace_fail(CKR_KEY_TYPE_INCONSISTENT, "CKA_EC_POINT is no point of %s", curve->name);
    if (private ? !value : point.n == 0)
        return trace_fail(CKR_KEY_TYPE_INCONSISTENT, "the key has no %s",
                          private ? "CKA_VALUE" : "CKA_EC_POINT");
    TRY(ec_pkey_from(curve, point, value, ret_pkey));
    *ret_shape = (struct key_shape){curve->bits, curve->sig_len, curve};
    return CKR_OK;
}

static CK_RV point_put(struct attr_list *list, const uint8_t *point, size_t len)
{
    uint8_t bytes[CURVE_POINT_MAX + 4];
    struct der_out out = {.buf = bytes, .cap = sizeof bytes};
    der_put_octets(&out, point, len);
    if (!der_finish(&out, &len))
        return CKR_GENERAL_ERROR;
    return attr_put(list, CKA_EC_POINT, bytes, len);
}

static EC_GROUP *curve_group(const struct curve_row *curve)
{
    int nid = EC_curve_nist2nid(curve->group);
    return EC_GROUP_new_by_curve_name_ex(ossl_libctx(), NULL,
                                         nid != NID_undef ? nid : OBJ_sn2nid(curve->group));
}

/* Uncompressed, if it is on the curve. Every string of the right length is a key of the others. */
static CK_RV point_normal(const struct curve_row *curve, const struct attr *given,
                          uint8_t ret_bytes[CURVE_POINT_MAX])
{
    struct der point;
    if (!ec_point_bytes(curve, given->value, given->len, &point))
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_EC_POINT is no point of %s",
                          curve->name);
    if (curve->key_type != CKK_EC) {
        memcpy(ret_bytes, point.p, point.n);
        return CKR_OK;
    }
    AUTO(ec_group) EC_GROUP *group = curve_group(curve);
    AUTO(ec_point) EC_POINT *on = group ? EC_POINT_new(group) : NULL;
    if (!on || EC_POINT_oct2point(group, on, point.p, point.n, NULL) != 1 ||
        EC_POINT_point2oct(group, on, POINT_CONVERSION_UNCOMPRESSED, ret_bytes, curve->point_len,
                           NULL) != curve->point_len)
        return ossl_fail(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_EC_POINT is not on the curve");
    return CKR_OK;
}

CK_RV ec_public_complete(struct attr_list *list)
{
    const struct curve_row *curve;
    uint8_t bytes[CURVE_POINT_MAX];
    TRY(params_complete(list, &curve));
    const struct attr *given = view_find(view_of_list(list), CKA_EC_POINT);
    if (!given)
        return trace_fail(CKR_TEMPLATE_INCOMPLETE, "CKA_EC_POINT is missing");
    TRY(point_normal(curve, given, bytes));
    TRY(point_put(list, bytes, curve->point_len));
    return key_info_complete(list);
}

/* The public point of a scalar from 1 to the order less 1. */
static CK_RV weierstrass_public(const struct curve_row *curve, const struct attr *value,
                                uint8_t ret_bytes[CURVE_POINT_MAX])
{
    AUTO(ec_group) EC_GROUP *group = curve_group(curve);
    AUTO(ec_point) EC_POINT *point = group ? EC_POINT_new(group) : NULL;
    AUTO(bn) BIGNUM *scalar = BN_secure_new();
    AUTO(bn_ctx) BN_CTX *ctx = BN_CTX_secure_new();
    if (!point || !scalar || !ctx || !BN_bin2bn(value->value, (int)value->len, scalar))
        return ossl_fail(CKR_HOST_MEMORY, "EC private key");
    BN_set_flags(scalar, BN_FLG_CONSTTIME);
    if (BN_is_zero(scalar) || BN_cmp(scalar, EC_GROUP_get0_order(group)) >= 0)
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_VALUE is not below the order of %s",
                          curve->name);
    if (EC_POINT_mul(group, point, scalar, NULL, NULL, ctx) != 1 ||
        EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, ret_bytes, curve->point_len,
                           ctx) != curve->point_len)
        return ossl_fail(CKR_FUNCTION_FAILED, "EC public key");
    return CKR_OK;
}

static CK_RV raw_public(const struct curve_row *curve, const struct attr *value,
                        uint8_t ret_bytes[CURVE_POINT_MAX])
{
    AUTO(evp_pkey) EVP_PKEY *pkey = NULL;
    size_t len = CURVE_POINT_MAX;
    if (value->len != curve->scalar_len)
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_VALUE of %s has %zu bytes, not %lu",
                          curve->name, curve->scalar_len, value->len);
    TRY(ec_pkey_from(curve, (struct der){0}, value, &pkey));
    if (EVP_PKEY_get_raw_public_key(pkey, ret_bytes, &len) != 1 || len != curve->point_len)
        return ossl_fail(CKR_FUNCTION_FAILED, curve->name);
    return CKR_OK;
}

CK_RV ec_private_complete(struct attr_list *list)
{
    const struct curve_row *curve;
    uint8_t bytes[CURVE_POINT_MAX], normal[CURVE_POINT_MAX];
    TRY(params_complete(list, &curve));
    const struct attr *value = view_find(view_of_list(list), CKA_VALUE);
    if (!value)
        return trace_fail(CKR_TEMPLATE_INCOMPLETE, "CKA_VALUE is missing");
    if (value->len > CURVE_SCALAR_MAX + 1)
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_VALUE is too long for %s", curve->name);
    if (curve->key_type == CKK_EC)
        TRY(weierstrass_public(curve, value, bytes));
    else
        TRY(raw_public(curve, value, bytes));
    const struct attr *given = view_find(view_of_list(list), CKA_EC_POINT);
    if (given && (point_normal(curve, given, normal) != CKR_OK ||
                  memcmp(normal, bytes, curve->point_len) != 0))
        return trace_fail(CKR_TEMPLATE_INCONSISTENT, "CKA_EC_POINT is not that of CKA_VALUE");
    TRY(point_put(list, bytes, curve->point_len));
    return key_info_complete(list);
}
