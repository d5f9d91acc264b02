/* Unit tests of keys as attributes: completion, checks, PKCS#8 out and in, public key info. */
#include "key_fixture.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "module/der.h"
#include "module/ossl_auto.h"

static struct pair rsa;

static int group_setup(void **state)
{
    if (ossl_setup(state) != 0)
        return -1;
    pair_rsa(2048, &rsa);
    return 0;
}

static int group_teardown(void **state)
{
    pair_done(&rsa);
    return ossl_teardown(state);
}

static const struct attr *part(const struct half *half, CK_ATTRIBUTE_TYPE type)
{
    const struct attr *attr = attr_set_find(half->attrs, type);
    assert_non_null(attr);
    return attr;
}

static void part_copy(struct attr_list *list, const struct half *from, CK_ATTRIBUTE_TYPE type)
{
    const struct attr *attr = part(from, type);
    assert_int_equal(attr_put(list, type, attr->value, attr->len), CKR_OK);
}

static void same_part(const struct half *a, const struct half *b, CK_ATTRIBUTE_TYPE type)
{
    const struct attr *x = part(a, type), *y = part(b, type);
    assert_int_equal(x->len, y->len);
    assert_memory_equal(x->value, y->value, x->len);
}

/* ------------------------------------------------------------------ RSA */

static const CK_ATTRIBUTE_TYPE RSA_ALL[] = {
    CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_PRIVATE_EXPONENT, CKA_PRIME_1,
    CKA_PRIME_2, CKA_EXPONENT_1,      CKA_EXPONENT_2,       CKA_COEFFICIENT,
};

/* A private key from some of the components; `bits`: which of RSA_ALL. */
static void rsa_some(struct attr_list *list, unsigned bits)
{
    list_begin(list, CKO_PRIVATE_KEY, CKK_RSA);
    for (unsigned i = 0; i < 8; i++)
        if (bits & 1u << i)
            part_copy(list, &rsa.private, RSA_ALL[i]);
}

static void test_rsa_completed(void **state)
{
    static const unsigned masks[] = {0xff, 0x07, 0x05, 0x1f, 0x1d, 0x0f, 0x17, 0x27, 0x0d};
    (void)state;
    for (size_t m = 0; m < sizeof masks / sizeof masks[0]; m++) {
        AUTO(attr_list) struct attr_list list;
        rsa_some(&list, masks[m]);
        struct half made = half_make(&list);
        same_part(&made, &rsa.private, CKA_MODULUS);
        same_part(&made, &rsa.private, CKA_PUBLIC_EXPONENT);
        same_part(&made, &rsa.private, CKA_PUBLIC_KEY_INFO);
        /* The primes may come out the other way round. */
        const struct attr *p = part(&made, CKA_PRIME_1);
        const struct attr *want = part(&rsa.private, CKA_PRIME_1);
        const struct attr *other = part(&rsa.private, CKA_PRIME_2);
        assert_true((p->len == want->len && memcmp(p->value, want->value, p->len) == 0) ||
                    (p->len == other->len && memcmp(p->value, other->value, p->len) == 0));
        assert_int_equal(made.key->bits, 2048);
        assert_int_equal(made.key->sig_len, 256);
        half_done(&made);
    }
}

static void test_rsa_contradictions(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        AUTO(attr_list) struct attr_list list;
        uint8_t value[256];
        rsa_some(&list, 0xff);
        const struct attr *attr = attr_find(&list, RSA_ALL[i]);
        CK_ULONG len = attr->len;
        memcpy(value, attr->value, len);
        value[len - 1] ^= 4;
        assert_int_equal(attr_put(&list, RSA_ALL[i], value, len), CKR_OK);
        CK_RV rv = key_complete(&list, 1024);
        assert_int_equal(rv, CKR_ATTRIBUTE_VALUE_INVALID);
    }
}

static void test_rsa_refused(void **state)
{
    (void)state;
    AUTO(attr_list) struct attr_list no_d, short_one, even;
    rsa_some(&no_d, 0x03);
    assert_int_equal(key_complete(&no_d, 1024), CKR_TEMPLATE_INCOMPLETE);
    rsa_some(&short_one, 0xff);
    assert_int_equal(key_complete(&short_one, 3072), CKR_ATTRIBUTE_VALUE_INVALID);
    list_begin(&even, CKO_PUBLIC_KEY, CKK_RSA);
    part_copy(&even, &rsa.public, CKA_MODULUS);
    assert_int_equal(key_complete(&even, 1024), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(attr_put(&even, CKA_PUBLIC_EXPONENT, "\4", 1), CKR_OK);
    assert_int_equal(key_complete(&even, 1024), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(attr_put(&even, CKA_PUBLIC_EXPONENT, "\1", 1), CKR_OK);
    assert_int_equal(key_complete(&even, 1024), CKR_ATTRIBUTE_VALUE_INVALID);
}

static void test_rsa_public(void **state)
{
    (void)state;
    AUTO(attr_list) struct attr_list list;
    uint8_t modulus[258] = {0};
    const struct attr *n = part(&rsa.public, CKA_MODULUS);
    memcpy(modulus + 2, n->value, n->len);
    list_begin(&list, CKO_PUBLIC_KEY, CKK_RSA);
    assert_int_equal(attr_put(&list, CKA_MODULUS, modulus, sizeof modulus), CKR_OK);
    assert_int_equal(attr_put(&list, CKA_PUBLIC_EXPONENT, "\0\1\0\1", 4), CKR_OK);
    struct half made = half_make(&list);
    same_part(&made, &rsa.public, CKA_MODULUS);
    same_part(&made, &rsa.public, CKA_PUBLIC_EXPONENT);
    assert_int_equal(attr_set_ulong(made.attrs, CKA_MODULUS_BITS, 0), 2048);
    half_done(&made);
}

/* ------------------------------------------------------------------ curves */

static void test_curve_params(void **state)
{
    static const uint8_t explicit_params[] = {0x30, 0x03, 0x02, 0x01, 0x01}, implicit[] = {5, 0},
                         unknown[] = {0x06, 0x03, 0x2a, 0x03, 0x04}, cut[] = {0x06, 0x05, 0x2b};
    static const char edwards[] = "\x13\x0c" "edwards25519", r1[] = "\x13\x09" "secp256r1";
    static const char pkcs11_tool[] = "\x13\x0b" "curve25519";  /* sic, in 0.23 */
    const struct curve_row *row = NULL;
    (void)state;
    assert_int_equal(curve_find(CKK_EC, explicit_params, sizeof explicit_params, &row),
                     CKR_DOMAIN_PARAMS_INVALID);
    assert_int_equal(curve_find(CKK_EC, implicit, 2, &row), CKR_DOMAIN_PARAMS_INVALID);
    assert_int_equal(curve_find(CKK_EC, cut, sizeof cut, &row), CKR_DOMAIN_PARAMS_INVALID);
    assert_int_equal(curve_find(CKK_EC, unknown, sizeof unknown, &row), CKR_CURVE_NOT_SUPPORTED);
    assert_int_equal(curve_find(CKK_EC, edwards, sizeof edwards - 1, &row),
                     CKR_CURVE_NOT_SUPPORTED);
    assert_null(row);
    assert_int_equal(curve_find(CKK_EC_EDWARDS, edwards, sizeof edwards - 1, &row), CKR_OK);
    assert_ptr_equal(row, curve_named("edwards25519"));
    assert_int_equal(curve_find(CKK_EC, r1, sizeof r1 - 1, &row), CKR_OK);
    assert_ptr_equal(row, curve_named("secp256r1"));
    assert_int_equal(curve_find(CKK_EC_MONTGOMERY, pkcs11_tool, sizeof pkcs11_tool - 1, &row),
                     CKR_OK);
    assert_ptr_equal(row, curve_named("curve25519"));
    assert_false(curve_params_valid(pkcs11_tool, sizeof pkcs11_tool - 1));
    for (size_t i = 0; i < CURVES_COUNT; i++) {
        assert_int_equal(curve_find(CURVES[i].key_type, CURVES[i].oid, CURVES[i].oid_len, &row),
                         CKR_OK);
        assert_ptr_equal(row, &CURVES[i]);
    }
}

/* The point: a DER octet string of the raw one; read by OpenSSL from CKA_PUBLIC_KEY_INFO. */
static void curve_check(const struct curve_row *curve, const struct pair *pair)
{
    uint8_t raw[CURVE_POINT_MAX];
    size_t len = 0;
    const struct attr *point = part(&pair->public, CKA_EC_POINT);
    const struct attr *info = part(&pair->public, CKA_PUBLIC_KEY_INFO);
    struct der rest = {point->value, point->len}, content;
    assert_true(der_take(&rest, DER_OCTET_STRING, &content) && rest.n == 0);
    assert_int_equal(content.n, curve->point_len);
    const unsigned char *p = info->value;
    AUTO(evp_pkey) EVP_PKEY *pkey = d2i_PUBKEY_ex(NULL, &p, (long)info->len, ossl_libctx(), NULL);
    assert_non_null(pkey);
    assert_int_equal(EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, raw, sizeof raw,
                                                     &len), 1);
    assert_int_equal(len, content.n);
    assert_memory_equal(raw, content.p, len);
    assert_int_equal(EVP_PKEY_eq(pkey, pair->private.key->pkey), 1);
    assert_int_equal(pair->private.key->bits, curve->bits);
    assert_int_equal(pair->private.key->sig_len, curve->sig_len);
    same_part(&pair->public, &pair->private, CKA_EC_POINT);
    same_part(&pair->public, &pair->private, CKA_PUBLIC_KEY_INFO);
}

static void pkcs8_check(const struct half *private)
{
    AUTO(secret) struct secret bytes = {0};
    AUTO(attr_list) struct attr_list list;
    assert_int_equal(key_export(private->attrs, &bytes), CKR_OK);
    const unsigned char *p = bytes.data;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)bytes.len);
    assert_non_null(info);
    assert_ptr_equal(p, bytes.data + bytes.len);
    AUTO(evp_pkey) EVP_PKEY *pkey = EVP_PKCS82PKEY_ex(info, ossl_libctx(), NULL);
    assert_non_null(pkey);
    assert_int_equal(EVP_PKEY_eq(pkey, private->key->pkey), 1);
    PKCS8_PRIV_KEY_INFO_free(info);
    list_begin(&list, CKO_PRIVATE_KEY, private->key->key_type);
    assert_int_equal(key_import(bytes.data, bytes.len, &list), CKR_OK);
    struct half again = half_make(&list);
    same_part(&again, private, CKA_PUBLIC_KEY_INFO);
    half_done(&again);
}

static void test_curves(void **state)
{
    (void)state;
    for (size_t i = 0; i < CURVES_COUNT; i++) {
        struct pair pair;
        pair_curve(&CURVES[i], &pair);
        curve_check(&CURVES[i], &pair);
        pkcs8_check(&pair.private);
        pair_done(&pair);
    }
}

static void test_point_forms(void **state)
{
    struct pair pair;
    uint8_t form[CURVE_POINT_MAX];
    (void)state;
    pair_curve(curve_named("secp256r1"), &pair);
    const uint8_t *raw = part(&pair.public, CKA_EC_POINT)->value + 2;
    AUTO(attr_list) struct attr_list list;
    list_begin(&list, CKO_PUBLIC_KEY, CKK_EC);
    part_copy(&list, &pair.public, CKA_EC_PARAMS);
    memcpy(form, raw, 65);
    form[0] = 2 | (raw[64] & 1);
    for (int i = 0; i < 3; i++) {
        size_t len = i == 0 ? 65 : 33;
        attr_remove(&list, CKA_PUBLIC_KEY_INFO);
        assert_int_equal(attr_put(&list, CKA_EC_POINT, i == 0 ? raw : form, len), CKR_OK);
        assert_int_equal(key_complete(&list, 1024), CKR_OK);
        assert_memory_equal(attr_find(&list, CKA_EC_POINT)->value + 2, raw, 65);
    }
    memcpy(form, raw, 65);
    form[64] ^= 1;
    assert_int_equal(attr_put(&list, CKA_EC_POINT, form, 65), CKR_OK);
    assert_int_equal(key_complete(&list, 1024), CKR_ATTRIBUTE_VALUE_INVALID);
    form[64] ^= 1;
    form[0] = 6 | (raw[64] & 1);                               /* hybrid */
    assert_int_equal(attr_put(&list, CKA_EC_POINT, form, 65), CKR_OK);
    assert_int_equal(key_complete(&list, 1024), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(attr_put(&list, CKA_EC_POINT, "\0", 1), CKR_OK);
    assert_int_equal(key_complete(&list, 1024), CKR_ATTRIBUTE_VALUE_INVALID);
    attr_remove(&list, CKA_EC_POINT);
    assert_int_equal(key_complete(&list, 1024), CKR_TEMPLATE_INCOMPLETE);
    pair_done(&pair);
}

static void test_private_scalars(void **state)
{
    static const uint8_t zero[1] = {0};
    uint8_t large[32];
    struct pair pair, other;
    (void)state;
    memset(large, 0xff, sizeof large);
    pair_curve(curve_named("secp256r1"), &pair);
    pair_curve(curve_named("secp256r1"), &other);
    AUTO(attr_list) struct attr_list list;
    list_begin(&list, CKO_PRIVATE_KEY, CKK_EC);
    part_copy(&list, &pair.private, CKA_EC_PARAMS);
    assert_int_equal(key_complete(&list, 1024), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(attr_put(&list, CKA_VALUE, zero, 1), CKR_OK);
    assert_int_equal(key_complete(&list, 1024), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(attr_put(&list, CKA_VALUE, large, 32), CKR_OK);
    assert_int_equal(key_complete(&list, 1024), CKR_ATTRIBUTE_VALUE_INVALID);
    part_copy(&list, &pair.private, CKA_VALUE);
    part_copy(&list, &other.private, CKA_EC_POINT);
    assert_int_equal(key_complete(&list, 1024), CKR_TEMPLATE_INCONSISTENT);
    attr_remove(&list, CKA_EC_POINT);
    part_copy(&list, &other.private, CKA_PUBLIC_KEY_INFO);
    assert_int_equal(key_complete(&list, 1024), CKR_TEMPLATE_INCONSISTENT);
    part_copy(&list, &pair.private, CKA_PUBLIC_KEY_INFO);
    assert_int_equal(key_complete(&list, 1024), CKR_OK);
    pair_done(&pair);
    pair_done(&other);
}

/* ------------------------------------------------------------------ PKCS#8 */

static CK_RV import_try(const uint8_t *bytes, size_t len, CK_KEY_TYPE type)
{
    AUTO(attr_list) struct attr_list list;
    list_begin(&list, CKO_PRIVATE_KEY, type);
    return key_import(bytes, len, &list);
}

static void test_pkcs8_rsa(void **state)
{
    AUTO(secret) struct secret bytes = {0};
    uint8_t copy[2048];
    (void)state;
    pkcs8_check(&rsa.private);
    assert_int_equal(key_export(rsa.private.attrs, &bytes), CKR_OK);
    assert_int_equal(import_try(bytes.data, bytes.len, CKK_EC), CKR_WRAPPED_KEY_INVALID);
    /* Truncated anywhere, or with something behind: refused, never read beyond. */
    for (size_t n = 0; n < bytes.len; n++) {
        uint8_t *exact = malloc(n + 1);
        memcpy(exact, bytes.data, n);
        assert_int_equal(import_try(exact, n, CKK_RSA), CKR_WRAPPED_KEY_INVALID);
        free(exact);
    }
    memcpy(copy, bytes.data, bytes.len);
    copy[bytes.len] = 0;
    assert_int_equal(import_try(copy, bytes.len + 1, CKK_RSA), CKR_WRAPPED_KEY_INVALID);
    assert_int_equal(key_export(rsa.public.attrs, &bytes), CKR_KEY_NOT_WRAPPABLE);
}

/* What `openssl genpkey` writes, with the parameters inside and without the public key too. */
static void test_pkcs8_foreign(void **state)
{
    static const char hex[] =
        "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420"
        "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
    static const char v2[] =
        "3072020101300506032b657004220420d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f"
        "44755842a01f301d060a2a864886f70d01090914310f0c0d437572646c6520436861697273812100"
        "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
    uint8_t bytes[256];
    (void)state;
    AUTO(attr_list) struct attr_list list;
    list_begin(&list, CKO_PRIVATE_KEY, CKK_EC);
    size_t n = hex_bytes(hex, bytes);
    assert_int_equal(key_import(bytes, n, &list), CKR_OK);
    struct half made = half_make(&list);
    assert_int_equal(part(&made, CKA_VALUE)->len, 32);
    half_done(&made);
    AUTO(attr_list) struct attr_list edwards;
    list_begin(&edwards, CKO_PRIVATE_KEY, CKK_EC_EDWARDS);
    n = hex_bytes(v2, bytes);                                  /* RFC 8410, section 10.3 */
    assert_int_equal(key_import(bytes, n, &edwards), CKR_OK);
    made = half_make(&edwards);
    uint8_t point[32];
    hex_bytes("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1", point);
    assert_memory_equal(part(&made, CKA_EC_POINT)->value + 2, point, 32);
    half_done(&made);
}

/* ------------------------------------------------------------------ secret keys, check values */

static void test_secret(void **state)
{
    static const uint8_t value[32] = {1, 2, 3};
    (void)state;
    for (size_t len = 0; len <= 32; len++) {
        AUTO(attr_list) struct attr_list list;
        list_begin(&list, CKO_SECRET_KEY, CKK_AES);
        bool fits = len == 16 || len == 24 || len == 32;
        assert_int_equal(key_import(value, len, &list), fits ? CKR_OK : CKR_WRAPPED_KEY_INVALID);
        assert_int_equal(attr_put(&list, CKA_VALUE, value, len), CKR_OK);
        CK_RV rv = key_complete(&list, 1024);
        assert_int_equal(rv, fits       ? CKR_OK
                             : len == 0 ? CKR_TEMPLATE_INCOMPLETE
                                        : CKR_ATTRIBUTE_VALUE_INVALID);
        if (fits)
            assert_int_equal(attr_ulong(&list, CKA_VALUE_LEN, 0), len);
    }
    struct half key = secret_make(CKK_GENERIC_SECRET, value, 5);
    assert_int_equal(key.key->secret_len, 5);
    assert_memory_equal(key.key->secret, value, 5);
    struct key_material *same = key_material_ref(key.key);
    half_done(&key);
    assert_memory_equal(same->secret, value, 5);
    key_material_unref(same);
}

static void test_check_values(void **state)
{
    uint8_t zero[16] = {0}, check[KEY_CHECK_VALUE_SIZE];
    (void)state;
    struct half aes = secret_make(CKK_AES, zero, 16), generic;
    assert_int_equal(key_check_value(aes.attrs, check), CKR_OK);
    assert_memory_equal(check, "\x66\xe9\x4b", 3);             /* AES-128, zeros under zeros */
    half_done(&aes);
    generic = secret_make(CKK_GENERIC_SECRET, "abc", 3);
    assert_int_equal(key_check_value(generic.attrs, check), CKR_OK);
    assert_memory_equal(check, "\xa9\x99\x3e", 3);             /* SHA-1 of abc */
    half_done(&generic);
    assert_int_equal(key_check_value(rsa.public.attrs, check), CKR_OK);
    AUTO(attr_list) struct attr_list list;
    list_begin(&list, CKO_SECRET_KEY, CKK_AES);
    assert_int_equal(attr_put(&list, CKA_VALUE, zero, 16), CKR_OK);
    assert_int_equal(attr_put(&list, CKA_CHECK_VALUE, "\x66\xe9\x4c", 3), CKR_OK);
    assert_int_equal(key_complete(&list, 1024), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(attr_put(&list, CKA_CHECK_VALUE, NULL, 0), CKR_OK);
    assert_int_equal(key_complete(&list, 1024), CKR_OK);
    assert_int_equal(attr_put(&list, CKA_CHECK_VALUE, "\x66\xe9\x4b", 3), CKR_OK);
    assert_int_equal(key_complete(&list, 1024), CKR_OK);
}

static void test_certificate(void **state)
{
    AUTO(attr_list) struct attr_list list, junk;
    X509 *cert = X509_new();
    unsigned char *der = NULL;
    (void)state;
    assert_int_equal(X509_set_pubkey(cert, rsa.public.key->pkey), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 60);
    assert_true(X509_sign(cert, rsa.private.key->pkey, ossl_md(&DIGESTS[DIGEST_SHA256])) > 0);
    int len = i2d_X509(cert, &der);
    assert_true(len > 0);
    attr_list_init(&list);
    assert_int_equal(attr_put_ulong(&list, CKA_CLASS, CKO_CERTIFICATE), CKR_OK);
    assert_int_equal(attr_put(&list, CKA_VALUE, der, (CK_ULONG)len), CKR_OK);
    assert_int_equal(key_complete(&list, 1024), CKR_OK);
    const struct attr *info = attr_find(&list, CKA_PUBLIC_KEY_INFO);
    const struct attr *want = part(&rsa.public, CKA_PUBLIC_KEY_INFO);
    assert_non_null(info);
    assert_int_equal(info->len, want->len);
    assert_memory_equal(info->value, want->value, want->len);
    attr_list_init(&junk);
    assert_int_equal(attr_put_ulong(&junk, CKA_CLASS, CKO_CERTIFICATE), CKR_OK);
    assert_int_equal(attr_put(&junk, CKA_VALUE, "junk", 4), CKR_OK);
    assert_int_equal(key_complete(&junk, 1024), CKR_OK);
    OPENSSL_free(der);
    X509_free(cert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rsa_completed),    cmocka_unit_test(test_rsa_contradictions),
        cmocka_unit_test(test_rsa_refused),      cmocka_unit_test(test_rsa_public),
        cmocka_unit_test(test_curve_params),     cmocka_unit_test(test_curves),
        cmocka_unit_test(test_point_forms),      cmocka_unit_test(test_private_scalars),
        cmocka_unit_test(test_pkcs8_rsa),        cmocka_unit_test(test_pkcs8_foreign),
        cmocka_unit_test(test_secret),           cmocka_unit_test(test_check_values),
        cmocka_unit_test(test_certificate),
    };
    return cmocka_run_group_tests_name("key_material", tests, group_setup, group_teardown);
}
