/* Keys as DER: PKCS#8 PrivateKeyInfo out and in, SubjectPublicKeyInfo. */
#include <string.h>

#include "key_parts.h"
#include "trace.h"

/* RSA-16384 with a public exponent as long as the modulus, and headers. */
#define INFO_MAX (2 * RSA_BYTES_MAX + 128)

static const uint8_t OID_RSA[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                  0xf7, 0x0d, 0x01, 0x01, 0x01};
static const uint8_t OID_EC[] = {0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
static const uint8_t DER_NULL_ELEMENT[] = {DER_NULL, 0x00};

/* ------------------------------------------------------------------ out */

static void algorithm_put(struct der_out *out, const struct curve_row *curve)
{
    size_t mark = out->used;
    if (curve)
        der_put(out, curve->oid, curve->oid_len);
    else
        der_put(out, DER_NULL_ELEMENT, sizeof DER_NULL_ELEMENT);
    if (!curve)
        der_put(out, OID_RSA, sizeof OID_RSA);
    else if (curve->key_type == CKK_EC)
        der_put(out, OID_EC, sizeof OID_EC);
    der_wrap(out, DER_SEQUENCE, mark);
}

/* As a SEQUENCE, backwards: the components up to the last given. */
static CK_RV rsa_numbers_put(struct der_out *out, struct attr_view view, int last)
{
    for (int i = last; i >= RSA_N; i--) {
        const struct attr *part = view_find(view, RSA_PART[i].attribute);
        if (!part)
            return trace_fail(CKR_KEY_UNEXTRACTABLE, "the key has no %s",
                              trace_attribute_name(RSA_PART[i].attribute));
        der_put_uint(out, part->value, part->len);
    }
    return CKR_OK;
}

static CK_RV ec_point_put(struct der_out *out, struct attr_view view, const struct curve_row *curve)
{
    struct der point;
    const struct attr *given = view_find(view, CKA_EC_POINT);
    if (!given || !ec_point_bytes(curve, given->value, given->len, &point))
        return trace_fail(CKR_FUNCTION_FAILED, "the key has no CKA_EC_POINT");
    size_t mark = out->used;
    der_put(out, point.p, point.n);
    der_wrap_bits(out, mark);
    return CKR_OK;
}

static CK_RV info_put(struct der_out *out, struct attr_view view)
{
    const struct curve_row *curve = NULL;
    if (view_ulong(view, CKA_KEY_TYPE) == CKK_RSA) {
        TRY(rsa_numbers_put(out, view, RSA_E));
        der_wrap(out, DER_SEQUENCE, 0);
        der_wrap_bits(out, 0);
    } else {
        TRY(ec_curve(view, &curve));
        TRY(ec_point_put(out, view, curve));
    }
    algorithm_put(out, curve);
    der_wrap(out, DER_SEQUENCE, 0);
    return CKR_OK;
}

CK_RV key_info_complete(struct attr_list *list)
{
    uint8_t bytes[INFO_MAX];
    size_t len;
    struct der_out out = {.buf = bytes, .cap = sizeof bytes};
    TRY(info_put(&out, view_of_list(list)));
    if (!der_finish(&out, &len))
        return trace_fail(CKR_GENERAL_ERROR, "a public key longer than foreseen");
    const struct attr *given = view_find(view_of_list(list), CKA_PUBLIC_KEY_INFO);
    if (!given)
        return attr_put(list, CKA_PUBLIC_KEY_INFO, bytes, len);
    if (given->len != len || memcmp(given->value, bytes, len) != 0)
        return trace_fail(CKR_TEMPLATE_INCONSISTENT, "CKA_PUBLIC_KEY_INFO is not this key's");
    return CKR_OK;
}

static CK_RV rsa_private_put(struct der_out *out, struct attr_view view)
{
    TRY(rsa_numbers_put(out, view, RSA_QI));
    der_put_uint(out, NULL, 0);
    der_wrap(out, DER_SEQUENCE, 0);
    return CKR_OK;
}

/* RFC 5915 for Weierstrass curves, whose scalar has a fixed length there; RFC 8410 for the rest. */
static CK_RV ec_private_put(struct der_out *out, struct attr_view view,
                            const struct curve_row *curve)
{
    const struct attr *value = view_find(view, CKA_VALUE);
    if (!value)
        return trace_fail(CKR_FUNCTION_FAILED, "the key has no CKA_VALUE");
    if (curve->key_type != CKK_EC) {
        der_put_octets(out, value->value, value->len);
        return CKR_OK;
    }
    static const uint8_t one = 1, zeros[CURVE_SCALAR_MAX];
    TRY(ec_point_put(out, view, curve));
    der_wrap(out, DER_CONTEXT_1, 0);
    size_t mark = out->used;
    der_put(out, value->value, value->len);
    if (value->len < curve->scalar_len)
        der_put(out, zeros, curve->scalar_len - value->len);
    der_wrap(out, DER_OCTET_STRING, mark);
    der_put_uint(out, &one, 1);
    der_wrap(out, DER_SEQUENCE, 0);
    return CKR_OK;
}

static CK_RV private_put(struct der_out *out, struct attr_view view)
{
    const struct curve_row *curve = NULL;
    if (view_ulong(view, CKA_KEY_TYPE) == CKK_RSA) {
        TRY(rsa_private_put(out, view));
    } else {
        TRY(ec_curve(view, &curve));
        TRY(ec_private_put(out, view, curve));
    }
    der_wrap(out, DER_OCTET_STRING, 0);
    algorithm_put(out, curve);
    der_put_uint(out, NULL, 0);
    der_wrap(out, DER_SEQUENCE, 0);
    return CKR_OK;
}

CK_RV key_export(const struct attr_set *attrs, struct secret *ret_bytes)
{
    struct attr_view view = view_of_set(attrs);
    CK_OBJECT_CLASS cls = view_ulong(view, CKA_CLASS);
    const struct attr *value = view_find(view, CKA_VALUE);
    if (cls == CKO_SECRET_KEY && value) {
        TRY(secret_reserve(ret_bytes, value->len));
        memcpy(ret_bytes->data, value->value, value->len);
        ret_bytes->len = value->len;
        return CKR_OK;
    }
    if (cls != CKO_PRIVATE_KEY)
        return trace_fail(CKR_KEY_NOT_WRAPPABLE, "an object of class 0x%lx cannot be wrapped", cls);
    TRY(secret_reserve(ret_bytes, attrs->size + 256));
    struct der_out out = {.buf = ret_bytes->data, .cap = ret_bytes->cap};
    TRY(private_put(&out, view));
    if (!der_finish(&out, &ret_bytes->len))
        return trace_fail(CKR_GENERAL_ERROR, "a private key longer than foreseen");
    return CKR_OK;
}

/* ------------------------------------------------------------------ in */

static CK_RV wrapped_invalid(const char *what)
{
    return trace_fail(CKR_WRAPPED_KEY_INVALID, "%s", what);
}

/* Zeros stand for what the sender had not: key_complete computes it. */
static CK_RV rsa_import(struct der key, struct attr_list *list)
{
    struct der numbers, number;
    if (!der_take(&key, DER_SEQUENCE, &numbers) || key.n != 0 ||
        !der_take_uint(&numbers, &number) || number.n != 0)
        return wrapped_invalid("no two-prime RSAPrivateKey in the PKCS#8");
    for (enum rsa_part i = RSA_N; i < RSA_PARTS; i++) {
        if (!der_take_uint(&numbers, &number))
            return wrapped_invalid("a number is missing in the RSAPrivateKey");
        if (number.n > 0)
            TRY(attr_put(list, RSA_PART[i].attribute, number.p, number.n));
    }
    return numbers.n == 0 ? CKR_OK : wrapped_invalid("trailing data in the RSAPrivateKey");
}

/* A given CKA_EC_PARAMS may name the same curve in another way, and stays. */
static CK_RV params_import(struct der params, const struct curve_row *curve, struct attr_list *list)
{
    const struct curve_row *given;
    if (!view_find(view_of_list(list), CKA_EC_PARAMS))
        return attr_put(list, CKA_EC_PARAMS, params.p, params.n);
    TRY(ec_curve(view_of_list(list), &given));
    return given == curve ? CKR_OK
                          : trace_fail(CKR_TEMPLATE_INCONSISTENT, "the key is on another curve");
}

static CK_RV scalar_import(struct der scalar, const struct curve_row *curve, struct attr_list *list)
{
    uint8_t bytes[CURVE_SCALAR_MAX] = {0};
    while (scalar.n > curve->scalar_len && scalar.p[0] == 0)
        scalar = (struct der){scalar.p + 1, scalar.n - 1};
    if (scalar.n == 0 || scalar.n > curve->scalar_len)
        return wrapped_invalid("a private value of the wrong length");
    memcpy(bytes + curve->scalar_len - scalar.n, scalar.p, scalar.n);
    CK_RV rv = attr_put(list, CKA_VALUE, bytes, curve->scalar_len);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return rv;
}

static CK_RV weierstrass_import(struct der params, struct der key, struct attr_list *list)
{
    const struct curve_row *curve;
    struct der body, number, scalar, inner, point;
    TRY(curve_find(CKK_EC, params.p, params.n, &curve));
    if (!der_take(&key, DER_SEQUENCE, &body) || key.n != 0 || !der_take_uint(&body, &number) ||
        !der_equal(number, "\1", 1) || !der_take(&body, DER_OCTET_STRING, &scalar))
        return wrapped_invalid("no ECPrivateKey in the PKCS#8");
    if (der_take(&body, DER_CONTEXT_0, &inner) && !der_equal(inner, params.p, params.n))
        return wrapped_invalid("the ECPrivateKey names another curve");
    if (der_take(&body, DER_CONTEXT_1, &inner) &&
        (!der_take_bits(&inner, &point) || inner.n != 0 || point.n == 0))
        return wrapped_invalid("a bad public key in the ECPrivateKey");
    if (body.n != 0)
        return wrapped_invalid("trailing data in the ECPrivateKey");
    TRY(params_import(params, curve, list));
    return scalar_import(scalar, curve, list);
}

static CK_RV rfc8410_import(CK_KEY_TYPE type, struct der oid, struct der key,
                            struct attr_list *list)
{
    const struct curve_row *curve;
    struct der scalar;
    if (curve_find(type, oid.p, oid.n, &curve) != CKR_OK)
        return wrapped_invalid("the PKCS#8 holds a key of another type");
    if (!der_take(&key, DER_OCTET_STRING, &scalar) || key.n != 0 || scalar.n != curve->scalar_len)
        return wrapped_invalid("a private value of the wrong length");
    TRY(params_import(oid, curve, list));
    return attr_put(list, CKA_VALUE, scalar.p, scalar.n);
}

static CK_RV pkcs8_dispatch(CK_KEY_TYPE type, struct der algorithm, struct der key,
                            struct attr_list *list)
{
    struct der oid;
    if (!der_take_whole(&algorithm, DER_OID, &oid))
        return wrapped_invalid("no algorithm in the PKCS#8");
    if (type == CKK_RSA && der_equal(oid, OID_RSA, sizeof OID_RSA) &&
        (algorithm.n == 0 || der_equal(algorithm, DER_NULL_ELEMENT, sizeof DER_NULL_ELEMENT)))
        return rsa_import(key, list);
    if (type == CKK_EC && der_equal(oid, OID_EC, sizeof OID_EC))
        return weierstrass_import(algorithm, key, list);
    if ((type == CKK_EC_EDWARDS || type == CKK_EC_MONTGOMERY) && algorithm.n == 0)
        return rfc8410_import(type, oid, key, list);
    return wrapped_invalid("the PKCS#8 holds a key of another type");
}

static CK_RV pkcs8_import(struct der whole, struct attr_list *list)
{
    enum { ATTRIBUTES = DER_CONTEXT_0, PUBLIC_KEY = 0x81 };
    struct der info, version, algorithm, key, ignored;
    if (!der_take(&whole, DER_SEQUENCE, &info) || whole.n != 0 ||
        !der_take_uint(&info, &version) || version.n > 1 || (version.n == 1 && version.p[0] > 1) ||
        !der_take(&info, DER_SEQUENCE, &algorithm) || !der_take(&info, DER_OCTET_STRING, &key))
        return wrapped_invalid("not a PKCS#8 PrivateKeyInfo");
    (void)der_take(&info, ATTRIBUTES, &ignored);
    (void)der_take(&info, PUBLIC_KEY, &ignored);
    if (info.n != 0)
        return wrapped_invalid("trailing data in the PKCS#8");
    return pkcs8_dispatch(view_ulong(view_of_list(list), CKA_KEY_TYPE), algorithm, key, list);
}

static CK_RV secret_import(struct der value, struct attr_list *list)
{
    bool aes = view_ulong(view_of_list(list), CKA_KEY_TYPE) == CKK_AES;
    CK_ULONG want = view_ulong(view_of_list(list), CKA_VALUE_LEN);
    if (value.n == 0 || (aes && value.n != 16 && value.n != 24 && value.n != 32) ||
        (want != CK_UNAVAILABLE_INFORMATION && want != value.n))
        return wrapped_invalid("the key's length is not what was asked for");
    return attr_put(list, CKA_VALUE, value.p, value.n);
}

CK_RV key_import(const uint8_t *bytes, size_t len, struct attr_list *list)
{
    CK_OBJECT_CLASS cls = view_ulong(view_of_list(list), CKA_CLASS);
    if (cls == CKO_SECRET_KEY)
        return secret_import((struct der){bytes, len}, list);
    if (cls == CKO_PRIVATE_KEY)
        return pkcs8_import((struct der){bytes, len}, list);
    return wrapped_invalid("only secret and private keys can be unwrapped");
}

bool certificate_key_info(const uint8_t *bytes, size_t len, struct der *ret_info)
{
    struct der whole = {bytes, len}, certificate, body, ignored;
    if (!der_take(&whole, DER_SEQUENCE, &certificate) || whole.n != 0 ||
        !der_take(&certificate, DER_SEQUENCE, &body))
        return false;
    (void)der_take(&body, DER_CONTEXT_0, &ignored);       /* version */
    if (!der_take(&body, DER_INTEGER, &ignored))          /* serial number */
        return false;
    for (int i = 0; i < 4; i++)                           /* algorithm, issuer, validity, subject */
        if (!der_take(&body, DER_SEQUENCE, &ignored))
            return false;
    return der_take_whole(&body, DER_SEQUENCE, ret_info);
}
