/*
 * The attack traces that Tookan found on tokens (Bortolozzo, Centenaro, Focardi, Steel 2010): A1
 * and A2 wrap a key and decrypt it with the same key, A3 and A4 read a sensitive or an
 * unextractable key, A5 makes one readable. A1 and A2 need conflicting usages, which the strict
 * profile refuses and no default ever combines; A3 to A5 must fail in every profile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "harness.h"

static struct harness h;
static CK_SESSION_HANDLE session;

static void start(const char *conf)
{
    harness_fail_hook = _fail;
    harness_init(&h, conf);
    session = harness_start(&h);
}

static int stop(void **state)
{
    (void)state;
    harness_unload(&h);
    harness_done(&h);
    return 0;
}

static int ordinary(void **state)
{
    (void)state;
    start(NULL);
    return 0;
}

static int strict(void **state)
{
    (void)state;
    start("profile = strict\n");
    return 0;
}

static CK_RV aes_generate(const CK_ATTRIBUTE *usage, CK_ULONG n, CK_OBJECT_HANDLE *ret_key)
{
    CK_MECHANISM gen = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE template[8] = {ATTR_ULONG(CKA_VALUE_LEN, 32)};
    for (CK_ULONG i = 0; i < n; i++)
        template[1 + i] = usage[i];
    return h.f->C_GenerateKey(session, &gen, template, n + 1, ret_key);
}

static CK_RV rsa_generate(CK_ATTRIBUTE *pub, CK_ULONG n_pub, CK_ATTRIBUTE *priv, CK_ULONG n_priv,
                          CK_OBJECT_HANDLE *ret_public, CK_OBJECT_HANDLE *ret_private)
{
    CK_MECHANISM gen = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE template[8] = {ATTR_ULONG(CKA_MODULUS_BITS, 2048)};
    for (CK_ULONG i = 0; i < n_pub; i++)
        template[1 + i] = pub[i];
    return h.f->C_GenerateKeyPair(session, &gen, template, n_pub + 1, priv, n_priv, ret_public,
                                  ret_private);
}

static bool attribute(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = CK_FALSE;
    CK_ATTRIBUTE get[] = {ATTR_VAR(type, value)};
    OK(h.f->C_GetAttributeValue(session, object, get, 1));
    return value == CK_TRUE;
}

/* A secret with which the traces begin: sensitive, extractable. */
static CK_OBJECT_HANDLE victim(void)
{
    CK_OBJECT_HANDLE key;
    CK_ATTRIBUTE usage[] = {ATTR_TRUE(CKA_SENSITIVE), ATTR_TRUE(CKA_EXTRACTABLE)};
    OK(aes_generate(usage, COUNT_OF(usage), &key));
    return key;
}

/* ------------------------------------------------------------------ A1: symmetric */

static void a1_conflicts_are_refused(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key;
    CK_ATTRIBUTE wrap_decrypt[] = {ATTR_TRUE(CKA_WRAP), ATTR_TRUE(CKA_DECRYPT)};
    CK_ATTRIBUTE unwrap_encrypt[] = {ATTR_TRUE(CKA_UNWRAP), ATTR_TRUE(CKA_ENCRYPT)};
    EXPECT(aes_generate(wrap_decrypt, 2, &key), CKR_TEMPLATE_INCONSISTENT);
    EXPECT(aes_generate(unwrap_encrypt, 2, &key), CKR_TEMPLATE_INCONSISTENT);
}

/* Asked for one after the other: by C_SetAttributeValue, by a copy. */
static void a1_conflicts_are_refused_later_too(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key, copy;
    CK_ATTRIBUTE wrap[] = {ATTR_TRUE(CKA_WRAP)}, decrypt[] = {ATTR_TRUE(CKA_DECRYPT)};
    OK(aes_generate(wrap, 1, &key));
    assert_false(attribute(key, CKA_DECRYPT));
    CK_RV rv = h.f->C_SetAttributeValue(session, key, decrypt, 1);
    assert_int_equal(rv, CKR_TEMPLATE_INCONSISTENT);
    rv = h.f->C_CopyObject(session, key, decrypt, 1, &copy);
    assert_int_equal(rv, CKR_TEMPLATE_INCONSISTENT);
    assert_false(attribute(key, CKA_DECRYPT));
}

static void a1_defaults_never_conflict(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key;
    CK_ATTRIBUTE wrap[] = {ATTR_TRUE(CKA_WRAP)}, unwrap[] = {ATTR_TRUE(CKA_UNWRAP)};
    OK(aes_generate(wrap, 1, &key));
    assert_true(attribute(key, CKA_WRAP));
    assert_false(attribute(key, CKA_DECRYPT));
    OK(aes_generate(unwrap, 1, &key));
    assert_true(attribute(key, CKA_UNWRAP));
    assert_false(attribute(key, CKA_ENCRYPT));
    OK(aes_generate(NULL, 0, &key));
    assert_true(attribute(key, CKA_DECRYPT));
    assert_false(attribute(key, CKA_WRAP));
    assert_false(attribute(key, CKA_UNWRAP));
}

/* An unwrapped key is sensitive unless its template says otherwise, and never LOCAL. */
static void a1_unwrapped_keys_are_sensitive(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE wrapping, again;
    CK_ATTRIBUTE usage[] = {ATTR_TRUE(CKA_WRAP), ATTR_TRUE(CKA_UNWRAP)};
    CK_ATTRIBUTE key[] = {ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY), ATTR_ULONG(CKA_KEY_TYPE, CKK_AES)};
    CK_MECHANISM kw = {CKM_AES_KEY_WRAP, NULL, 0};
    CK_BYTE blob[64], value[32];
    CK_ULONG len = sizeof(blob);
    OK(aes_generate(usage, 2, &wrapping));
    OK(h.f->C_WrapKey(session, &kw, wrapping, victim(), blob, &len));
    OK(h.f->C_UnwrapKey(session, &kw, wrapping, blob, len, key, 2, &again));
    assert_true(attribute(again, CKA_SENSITIVE));
    assert_false(attribute(again, CKA_ALWAYS_SENSITIVE));
    assert_false(attribute(again, CKA_LOCAL));
    CK_ATTRIBUTE get[] = {ATTR_VAR(CKA_VALUE, value)};
    EXPECT(h.f->C_GetAttributeValue(session, again, get, 1), CKR_ATTRIBUTE_SENSITIVE);
}

/* ------------------------------------------------------------------ A2: asymmetric */

static void a2_conflicting_pairs_are_refused(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE pub, priv;
    CK_ATTRIBUTE wrap[] = {ATTR_TRUE(CKA_WRAP)}, decrypt[] = {ATTR_TRUE(CKA_DECRYPT)};
    CK_ATTRIBUTE both[] = {ATTR_TRUE(CKA_UNWRAP), ATTR_TRUE(CKA_DECRYPT)};
    CK_ATTRIBUTE encrypt[] = {ATTR_TRUE(CKA_ENCRYPT)};
    EXPECT(rsa_generate(wrap, 1, decrypt, 1, &pub, &priv), CKR_TEMPLATE_INCONSISTENT);
    EXPECT(rsa_generate(encrypt, 1, both, 2, &pub, &priv), CKR_TEMPLATE_INCONSISTENT);
}

static void a2_defaults_never_conflict(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE pub, priv;
    CK_ATTRIBUTE wrap[] = {ATTR_TRUE(CKA_WRAP)}, unwrap[] = {ATTR_TRUE(CKA_UNWRAP)};
    OK(rsa_generate(wrap, 1, unwrap, 1, &pub, &priv));
    assert_false(attribute(priv, CKA_DECRYPT));
}

/* ------------------------------------------------------------------ A3, A4, A5 */

static void a3_sensitive_keys_are_not_read(void **state)
{
    (void)state;
    CK_BYTE value[512];
    CK_ATTRIBUTE get[] = {ATTR_VAR(CKA_VALUE, value)};
    EXPECT(h.f->C_GetAttributeValue(session, victim(), get, 1), CKR_ATTRIBUTE_SENSITIVE);
    assert_int_equal(get[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);

    CK_OBJECT_HANDLE pub, priv;
    static const CK_ATTRIBUTE_TYPE PARTS[] = {CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2,
                                              CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_COEFFICIENT};
    CK_ATTRIBUTE extractable[] = {ATTR_TRUE(CKA_SENSITIVE), ATTR_TRUE(CKA_EXTRACTABLE)};
    OK(rsa_generate(NULL, 0, extractable, 2, &pub, &priv));
    for (size_t i = 0; i < COUNT_OF(PARTS); i++) {
        get[0] = (CK_ATTRIBUTE)ATTR_VAR(PARTS[i], value);
        EXPECT(h.f->C_GetAttributeValue(session, priv, get, 1), CKR_ATTRIBUTE_SENSITIVE);
    }
}

static CK_OBJECT_HANDLE unextractable(void)
{
    CK_OBJECT_HANDLE key;
    CK_ATTRIBUTE usage[] = {ATTR_FALSE(CKA_SENSITIVE), ATTR_FALSE(CKA_EXTRACTABLE)};
    OK(aes_generate(usage, 2, &key));
    return key;
}

static void a4_unextractable_keys_do_not_leave(void **state)
{
    (void)state;
    CK_BYTE value[64];
    CK_ULONG len = sizeof(value);
    CK_OBJECT_HANDLE key = unextractable(), wrapping;
    CK_ATTRIBUTE get[] = {ATTR_VAR(CKA_VALUE, value)}, wrap[] = {ATTR_TRUE(CKA_WRAP)};
    CK_MECHANISM kw = {CKM_AES_KEY_WRAP, NULL, 0};
    EXPECT(h.f->C_GetAttributeValue(session, key, get, 1), CKR_ATTRIBUTE_SENSITIVE);
    OK(aes_generate(wrap, 1, &wrapping));
    EXPECT(h.f->C_WrapKey(session, &kw, wrapping, key, value, &len), CKR_KEY_UNEXTRACTABLE);
}

static void a5_protection_is_one_way(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = victim(), locked = unextractable(), copy;
    CK_ATTRIBUTE reveal[] = {ATTR_FALSE(CKA_SENSITIVE)}, release[] = {ATTR_TRUE(CKA_EXTRACTABLE)};
    EXPECT(h.f->C_SetAttributeValue(session, key, reveal, 1), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(h.f->C_SetAttributeValue(session, locked, release, 1), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(h.f->C_CopyObject(session, key, reveal, 1, &copy), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(h.f->C_CopyObject(session, locked, release, 1, &copy), CKR_ATTRIBUTE_READ_ONLY);
    assert_true(attribute(key, CKA_SENSITIVE));
    assert_false(attribute(locked, CKA_EXTRACTABLE));
}

#define IN(profile, test) cmocka_unit_test_setup_teardown(test, profile, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN(strict, a1_conflicts_are_refused),
        IN(strict, a1_conflicts_are_refused_later_too),
        IN(strict, a1_defaults_never_conflict),
        IN(ordinary, a1_defaults_never_conflict),
        IN(ordinary, a1_unwrapped_keys_are_sensitive),
        IN(strict, a2_conflicting_pairs_are_refused),
        IN(strict, a2_defaults_never_conflict),
        IN(ordinary, a2_defaults_never_conflict),
        IN(ordinary, a3_sensitive_keys_are_not_read),
        IN(strict, a3_sensitive_keys_are_not_read),
        IN(ordinary, a4_unextractable_keys_do_not_leave),
        IN(strict, a4_unextractable_keys_do_not_leave),
        IN(ordinary, a5_protection_is_one_way),
        IN(strict, a5_protection_is_one_way),
    };
    return cmocka_run_group_tests_name("attacks", tests, NULL, NULL);
}
