/* The standard's rules on templates, applied to templates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "module/template.h"

#define ROW(type, value) {(type), (void *)(uintptr_t)&(value), sizeof(value)}
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NONE CK_UNAVAILABLE_INFORMATION

static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE, maybe = 2;
static const CK_OBJECT_CLASS cls_secret = CKO_SECRET_KEY, cls_public = CKO_PUBLIC_KEY,
                             cls_certificate = CKO_CERTIFICATE, cls_data = CKO_DATA,
                             cls_profile = CKO_PROFILE;
static const CK_KEY_TYPE type_aes = CKK_AES, type_rsa = CKK_RSA, type_dsa = CKK_DSA;
static const CK_ULONG sixteen = 16, x509 = CKC_X_509;
static const uint8_t value16[16] = {1};
static const CK_MECHANISM_TYPE gcm = CKM_AES_GCM;

static const struct template_context CREATE = {.use = TEMPLATE_CREATE, .cls = NONE,
                                               .key_type = NONE, .mechanism = NONE};
static const struct template_context GENERATE_AES = {.use = TEMPLATE_GENERATE,
    .cls = CKO_SECRET_KEY, .key_type = CKK_AES, .mechanism = CKM_AES_KEY_GEN};
static const struct template_context GENERATE_RSA = {.use = TEMPLATE_GENERATE,
    .cls = CKO_PRIVATE_KEY, .key_type = CKK_RSA, .mechanism = CKM_RSA_PKCS_KEY_PAIR_GEN};
static const struct template_context UNWRAP = {.use = TEMPLATE_UNWRAP, .cls = NONE,
                                               .key_type = NONE, .mechanism = NONE};
static const struct template_context DERIVE = {.use = TEMPLATE_DERIVE, .cls = NONE,
                                               .key_type = NONE, .mechanism = NONE};

static CK_RV apply(const struct template_context *context, const CK_ATTRIBUTE *attributes,
                   size_t count, struct attr_list *list)
{
    attr_list_init(list);
    return template_apply(context, attributes, count, list);
}

static CK_RV verdict(const struct template_context *context, const CK_ATTRIBUTE *attributes,
                     size_t count)
{
    AUTO(attr_list) struct attr_list list;
    return apply(context, attributes, count, &list);
}
#define VERDICT(context, ...)                                                                      \
    verdict(&(context), (const CK_ATTRIBUTE[]){__VA_ARGS__},                                       \
            COUNT(((const CK_ATTRIBUTE[]){__VA_ARGS__})))
#define AES_KEY ROW(CKA_CLASS, cls_secret), ROW(CKA_KEY_TYPE, type_aes), ROW(CKA_VALUE, value16)

static void errors_by_name(void **state)
{
    (void)state;
    CK_ATTRIBUTE unknown = {0x12345678, NULL, 0}, wild = {CKA_ID, NULL, 5};
    assert_int_equal(VERDICT(CREATE, AES_KEY), CKR_OK);
    assert_int_equal(VERDICT(CREATE, AES_KEY, unknown), CKR_ATTRIBUTE_TYPE_INVALID);
    assert_int_equal(VERDICT(CREATE, ROW(CKA_SIGN, maybe), unknown), CKR_ATTRIBUTE_TYPE_INVALID);
    assert_int_equal(VERDICT(CREATE, AES_KEY, ROW(CKA_SIGN, maybe)), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(VERDICT(CREATE, AES_KEY, ROW(CKA_SIGN, sixteen)),
                     CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(VERDICT(CREATE, AES_KEY, wild), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(VERDICT(CREATE, AES_KEY, ROW(CKA_LOCAL, yes)), CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(VERDICT(CREATE, AES_KEY, ROW(CKA_VALUE_LEN, sixteen)),
                     CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(VERDICT(CREATE, AES_KEY, ROW(CKA_UNIQUE_ID, yes)), CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(VERDICT(CREATE, AES_KEY, ROW(CKA_RPV_ORIGIN, sixteen)),
                     CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(VERDICT(CREATE, AES_KEY, ROW(CKA_TRUSTED, yes)), CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(VERDICT(CREATE, AES_KEY, ROW(CKA_TRUSTED, no)), CKR_OK);
    assert_int_equal(VERDICT(CREATE, AES_KEY, ROW(CKA_SUBJECT, value16)),
                     CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(VERDICT(CREATE, ROW(CKA_CLASS, cls_secret), ROW(CKA_KEY_TYPE, type_aes)),
                     CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(VERDICT(CREATE, ROW(CKA_KEY_TYPE, type_aes)), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(VERDICT(CREATE, ROW(CKA_CLASS, cls_secret)), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(VERDICT(CREATE, ROW(CKA_CLASS, cls_profile)), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(VERDICT(CREATE, ROW(CKA_CLASS, cls_public), ROW(CKA_KEY_TYPE, type_dsa)),
                     CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(VERDICT(CREATE, ROW(CKA_CLASS, cls_secret), ROW(CKA_KEY_TYPE, type_rsa)),
                     CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(verdict(&CREATE, NULL, 3), CKR_ARGUMENTS_BAD);
}

static void twice_is_once_or_a_contradiction(void **state)
{
    (void)state;
    assert_int_equal(VERDICT(CREATE, AES_KEY, ROW(CKA_SIGN, yes), ROW(CKA_SIGN, yes)), CKR_OK);
    assert_int_equal(VERDICT(CREATE, AES_KEY, ROW(CKA_SIGN, yes), ROW(CKA_SIGN, no)),
                     CKR_TEMPLATE_INCONSISTENT);
}

static void misaligned_memory_is_fine(void **state)
{
    (void)state;
    const CK_ATTRIBUTE aligned[] = {AES_KEY};
    uint8_t room[sizeof aligned + 1];
    memcpy(room + 1, aligned, sizeof aligned);
    assert_int_equal(verdict(&CREATE, (const CK_ATTRIBUTE *)(const void *)(room + 1), 3), CKR_OK);
}

static void generation_knows_class_and_type(void **state)
{
    (void)state;
    AUTO(attr_list) struct attr_list list;
    const CK_ATTRIBUTE attributes[] = {ROW(CKA_VALUE_LEN, sixteen)};
    assert_int_equal(apply(&GENERATE_AES, attributes, 1, &list), CKR_OK);
    assert_int_equal(attr_ulong(&list, CKA_CLASS, 0), CKO_SECRET_KEY);
    assert_int_equal(attr_ulong(&list, CKA_KEY_TYPE, 0), CKK_AES);
    assert_int_equal(verdict(&GENERATE_AES, NULL, 0), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(verdict(&GENERATE_RSA, NULL, 0), CKR_OK);
    assert_int_equal(VERDICT(GENERATE_AES, attributes[0], ROW(CKA_KEY_TYPE, type_rsa)),
                     CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(VERDICT(GENERATE_AES, attributes[0], ROW(CKA_CLASS, cls_public)),
                     CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(VERDICT(GENERATE_AES, attributes[0], ROW(CKA_VALUE, value16)),
                     CKR_ATTRIBUTE_READ_ONLY);
}

static void silent_templates_sign_and_decrypt(void **state)
{
    (void)state;
    AUTO(attr_list) struct attr_list list;
    assert_int_equal(apply(&GENERATE_RSA, NULL, 0, &list), CKR_OK);
    assert_true(attr_bool(&list, CKA_SIGN, false));
    assert_true(attr_bool(&list, CKA_DECRYPT, false));
    assert_false(attr_bool(&list, CKA_UNWRAP, true));
    assert_false(attr_bool(&list, CKA_DERIVE, true));
    assert_true(attr_bool(&list, CKA_SENSITIVE, false));
    assert_false(attr_bool(&list, CKA_EXTRACTABLE, true));
    assert_false(attr_bool(&list, CKA_PRIVATE, true));   /* nobody is logged in */
    assert_false(attr_bool(&list, CKA_TOKEN, true));
    assert_true(attr_bool(&list, CKA_MODIFIABLE, false));
    assert_null(attr_find(&list, CKA_ALLOWED_MECHANISMS));
    assert_int_equal(attr_find(&list, CKA_LABEL)->len, 0);
}

static void asking_for_unwrap_drops_the_default_decrypt(void **state)
{
    (void)state;
    AUTO(attr_list) struct attr_list list;
    const CK_ATTRIBUTE kek[] = {ROW(CKA_VALUE_LEN, sixteen), ROW(CKA_WRAP, yes),
                                ROW(CKA_UNWRAP, yes)};
    assert_int_equal(apply(&GENERATE_AES, kek, COUNT(kek), &list), CKR_OK);
    assert_false(attr_bool(&list, CKA_DECRYPT, true));
    assert_false(attr_bool(&list, CKA_ENCRYPT, true));
    AUTO(attr_list) struct attr_list all;
    const CK_ATTRIBUTE four[] = {ROW(CKA_VALUE_LEN, sixteen), ROW(CKA_WRAP, yes),
                                 ROW(CKA_UNWRAP, yes), ROW(CKA_ENCRYPT, yes),
                                 ROW(CKA_DECRYPT, yes)};
    assert_int_equal(apply(&GENERATE_AES, four, COUNT(four), &all), CKR_OK);
    assert_true(attr_bool(&all, CKA_DECRYPT, false));
    struct template_context strict = GENERATE_AES;
    strict.strict = true;
    assert_int_equal(verdict(&strict, four, COUNT(four)), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(verdict(&strict, kek, COUNT(kek)), CKR_OK);
}

static void strict_pairs_do_one_thing(void **state)
{
    (void)state;
    struct template_context strict = GENERATE_RSA;
    strict.strict = true;
    AUTO(attr_list) struct attr_list silent;
    assert_int_equal(apply(&strict, NULL, 0, &silent), CKR_OK);
    assert_true(attr_bool(&silent, CKA_SIGN, false));
    assert_false(attr_bool(&silent, CKA_DECRYPT, true));
    AUTO(attr_list) struct attr_list decrypts;
    const CK_ATTRIBUTE decrypt[] = {ROW(CKA_DECRYPT, yes)};
    assert_int_equal(apply(&strict, decrypt, 1, &decrypts), CKR_OK);
    assert_false(attr_bool(&decrypts, CKA_SIGN, true));
    assert_int_equal(VERDICT(strict, ROW(CKA_DECRYPT, yes), ROW(CKA_SIGN, yes)),
                     CKR_TEMPLATE_INCONSISTENT);
}

static void unwrapped_keys_are_sensitive(void **state)
{
    (void)state;
    AUTO(attr_list) struct attr_list list;
    const CK_ATTRIBUTE attributes[] = {ROW(CKA_CLASS, cls_secret), ROW(CKA_KEY_TYPE, type_aes)};
    struct template_context user = UNWRAP;
    user.user = true;
    assert_int_equal(apply(&user, attributes, 2, &list), CKR_OK);
    assert_true(attr_bool(&list, CKA_SENSITIVE, false));
    assert_true(attr_bool(&list, CKA_EXTRACTABLE, false));
    assert_true(attr_bool(&list, CKA_PRIVATE, false));
    assert_int_equal(verdict(&UNWRAP, attributes, 1), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(VERDICT(UNWRAP, AES_KEY), CKR_ATTRIBUTE_READ_ONLY);
}

static void derived_keys_are_generic_secrets(void **state)
{
    (void)state;
    AUTO(attr_list) struct attr_list list;
    assert_int_equal(apply(&DERIVE, NULL, 0, &list), CKR_OK);
    assert_int_equal(attr_ulong(&list, CKA_CLASS, 0), CKO_SECRET_KEY);
    assert_int_equal(attr_ulong(&list, CKA_KEY_TYPE, 0), CKK_GENERIC_SECRET);
    assert_true(attr_bool(&list, CKA_EXTRACTABLE, false));
    assert_false(attr_bool(&list, CKA_SENSITIVE, true));
    assert_true(attr_bool(&list, CKA_SIGN, false));
    assert_false(attr_bool(&list, CKA_ENCRYPT, true));
}

static void certificates(void **state)
{
    (void)state;
    const CK_ULONG wtls = CKC_WTLS;
    CK_ATTRIBUTE cls = ROW(CKA_CLASS, cls_certificate), type = ROW(CKA_CERTIFICATE_TYPE, x509),
                 subject = ROW(CKA_SUBJECT, value16), value = ROW(CKA_VALUE, value16),
                 url = ROW(CKA_URL, value16), empty = {CKA_VALUE, NULL, 0};
    assert_int_equal(VERDICT(CREATE, cls, type, subject, value), CKR_OK);
    assert_int_equal(VERDICT(CREATE, cls, type, subject), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(VERDICT(CREATE, cls, type, subject, empty), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(VERDICT(CREATE, cls, type, subject, empty, url), CKR_OK);
    assert_int_equal(VERDICT(CREATE, cls, subject, value), CKR_TEMPLATE_INCOMPLETE);
    CK_ATTRIBUTE other = ROW(CKA_CERTIFICATE_TYPE, wtls);
    assert_int_equal(VERDICT(CREATE, cls, other, subject, value), CKR_ATTRIBUTE_VALUE_INVALID);
}

static void dates(void **state)
{
    (void)state;
    CK_ATTRIBUTE good = {CKA_START_DATE, (void *)(uintptr_t)"20300131", 8},
                 bad = {CKA_START_DATE, (void *)(uintptr_t)"2030-1-1", 8},
                 cut = {CKA_START_DATE, (void *)(uintptr_t)"203001", 6},
                 empty = {CKA_START_DATE, NULL, 0};
    assert_int_equal(VERDICT(CREATE, AES_KEY, good), CKR_OK);
    assert_int_equal(VERDICT(CREATE, AES_KEY, empty), CKR_OK);
    assert_int_equal(VERDICT(CREATE, AES_KEY, bad), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(VERDICT(CREATE, AES_KEY, cut), CKR_ATTRIBUTE_VALUE_INVALID);
}

static void empty_allowed_mechanisms_are_none_given(void **state)
{
    (void)state;
    AUTO(attr_list) struct attr_list without, with;
    const CK_ATTRIBUTE empty[] = {AES_KEY, {CKA_ALLOWED_MECHANISMS, NULL, 0}};
    const CK_ATTRIBUTE one[] = {AES_KEY, ROW(CKA_ALLOWED_MECHANISMS, gcm)};
    assert_int_equal(apply(&CREATE, empty, COUNT(empty), &without), CKR_OK);
    assert_null(attr_find(&without, CKA_ALLOWED_MECHANISMS));
    assert_int_equal(apply(&CREATE, one, COUNT(one), &with), CKR_OK);
    assert_int_equal(attr_find(&with, CKA_ALLOWED_MECHANISMS)->len, sizeof gcm);
}

static void nested_templates_are_imposed(void **state)
{
    (void)state;
    CK_ATTRIBUTE inner[] = {ROW(CKA_EXTRACTABLE, no), ROW(CKA_ID, value16)};
    CK_ATTRIBUTE outer = {CKA_UNWRAP_TEMPLATE, inner, sizeof inner};
    AUTO(attr_list) struct attr_list kek, key;
    const CK_ATTRIBUTE attributes[] = {AES_KEY, outer};
    assert_int_equal(apply(&CREATE, attributes, COUNT(attributes), &kek), CKR_OK);
    struct template_context unwrap = UNWRAP;
    unwrap.imposed = attr_find(&kek, CKA_UNWRAP_TEMPLATE);
    const CK_ATTRIBUTE wanted[] = {ROW(CKA_CLASS, cls_secret), ROW(CKA_KEY_TYPE, type_aes),
                                   ROW(CKA_EXTRACTABLE, no)};
    assert_int_equal(apply(&unwrap, wanted, COUNT(wanted), &key), CKR_OK);
    assert_false(attr_bool(&key, CKA_EXTRACTABLE, true));
    assert_memory_equal(attr_find(&key, CKA_ID)->value, value16, sizeof value16);
    assert_int_equal(VERDICT(unwrap, wanted[0], wanted[1], ROW(CKA_EXTRACTABLE, yes)),
                     CKR_TEMPLATE_INCONSISTENT);

    struct attr_set *set = NULL;
    assert_int_equal(attr_set_new(&key, &set), CKR_OK);
    assert_true(template_matches(unwrap.imposed, set));
    attr_set_free(set);
    assert_int_equal(attr_put_bool(&key, CKA_EXTRACTABLE, true), CKR_OK);
    assert_int_equal(attr_set_new(&key, &set), CKR_OK);
    assert_false(template_matches(unwrap.imposed, set));
    attr_set_free(set);
}

static void bad_nested_templates(void **state)
{
    (void)state;
    CK_ATTRIBUTE unknown[] = {{0x12345678, NULL, 0}}, bad[] = {ROW(CKA_SIGN, sixteen)};
    CK_ATTRIBUTE deep[] = {{CKA_UNWRAP_TEMPLATE, unknown, 0}};
    CK_ATTRIBUTE wild[] = {{CKA_ID, NULL, 4}};
    struct { CK_ATTRIBUTE *inner; CK_ULONG len; CK_RV rv; } rows[] = {
        {unknown, sizeof unknown, CKR_ATTRIBUTE_TYPE_INVALID},
        {bad, sizeof bad, CKR_ATTRIBUTE_VALUE_INVALID},
        {deep, sizeof deep, CKR_TEMPLATE_INCONSISTENT},
        {wild, sizeof wild, CKR_ATTRIBUTE_VALUE_INVALID},
        {bad, sizeof bad - 1, CKR_ATTRIBUTE_VALUE_INVALID},
        {NULL, 0, CKR_OK},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_ATTRIBUTE outer = {CKA_WRAP_TEMPLATE, rows[i].inner, rows[i].len};
        assert_int_equal(VERDICT(CREATE, AES_KEY, outer), rows[i].rv);
    }
}

/* ------------------------------------------------------------------ copy and set */

static struct attr_set *base_new(bool sensitive, bool extractable)
{
    AUTO(attr_list) struct attr_list list;
    struct attr_set *set = NULL;
    CK_BBOOL s = sensitive, e = extractable;
    const CK_ATTRIBUTE attributes[] = {AES_KEY, ROW(CKA_SENSITIVE, s), ROW(CKA_EXTRACTABLE, e),
                                       ROW(CKA_PRIVATE, yes)};
    assert_int_equal(apply(&CREATE, attributes, COUNT(attributes), &list), CKR_OK);
    assert_int_equal(attr_set_new(&list, &set), CKR_OK);
    return set;
}

static void one_way_switches(void **state)
{
    (void)state;
    struct attr_set *open = base_new(false, true), *shut = base_new(true, false);
    for (int copy = 0; copy < 2; copy++) {
        enum template_use use = copy ? TEMPLATE_COPY : TEMPLATE_SET;
        struct template_context on_open = {.use = use, .base = open};
        struct template_context on_shut = {.use = use, .base = shut};
        assert_int_equal(VERDICT(on_open, ROW(CKA_SENSITIVE, yes), ROW(CKA_EXTRACTABLE, no)),
                         CKR_OK);
        assert_int_equal(VERDICT(on_shut, ROW(CKA_SENSITIVE, no)), CKR_ATTRIBUTE_READ_ONLY);
        assert_int_equal(VERDICT(on_shut, ROW(CKA_EXTRACTABLE, yes)), CKR_ATTRIBUTE_READ_ONLY);
        assert_int_equal(VERDICT(on_open, ROW(CKA_VALUE, cls_data)), CKR_ATTRIBUTE_READ_ONLY);
        assert_int_equal(VERDICT(on_open, ROW(CKA_LOCAL, yes)), CKR_ATTRIBUTE_READ_ONLY);
        assert_int_equal(VERDICT(on_open, ROW(CKA_TRUSTED, yes)), CKR_ATTRIBUTE_READ_ONLY);
        assert_int_equal(VERDICT(on_open, ROW(CKA_MODULUS, value16)), CKR_TEMPLATE_INCONSISTENT);
    }
    attr_set_free(open);
    attr_set_free(shut);
}

static void copies_may_move(void **state)
{
    (void)state;
    struct attr_set *base = base_new(false, true);
    struct template_context copy = {.use = TEMPLATE_COPY, .base = base};
    struct template_context set = {.use = TEMPLATE_SET, .base = base};
    assert_int_equal(VERDICT(copy, ROW(CKA_TOKEN, yes), ROW(CKA_MODIFIABLE, no)), CKR_OK);
    assert_int_equal(VERDICT(set, ROW(CKA_TOKEN, yes)), CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(VERDICT(copy, ROW(CKA_CLASS, cls_secret)), CKR_OK);
    assert_int_equal(VERDICT(copy, ROW(CKA_CLASS, cls_data)), CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(VERDICT(copy, ROW(CKA_PRIVATE, no)), CKR_TEMPLATE_INCONSISTENT);
    AUTO(attr_list) struct attr_list same;
    assert_int_equal(apply(&copy, NULL, 0, &same), CKR_OK);
    assert_int_equal(same.n, base->n);
    attr_set_free(base);
}

static void only_the_so_trusts(void **state)
{
    (void)state;
    struct attr_set *base = base_new(false, true);
    struct template_context so = {.use = TEMPLATE_SET, .base = base, .so = true};
    AUTO(attr_list) struct attr_list list;
    const CK_ATTRIBUTE trust[] = {ROW(CKA_TRUSTED, yes)};
    assert_int_equal(apply(&so, trust, 1, &list), CKR_OK);
    assert_true(attr_bool(&list, CKA_TRUSTED, false));
    attr_set_free(base);
}

static void a_check_value_can_be_given_up(void **state)
{
    (void)state;
    struct attr_set *base = base_new(false, true);
    struct template_context set = {.use = TEMPLATE_SET, .base = base};
    CK_ATTRIBUTE empty = {CKA_CHECK_VALUE, NULL, 0}, other = ROW(CKA_CHECK_VALUE, value16);
    assert_int_equal(VERDICT(set, empty), CKR_OK);
    assert_int_equal(VERDICT(set, other), CKR_ATTRIBUTE_READ_ONLY);
    attr_set_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_by_name),
        cmocka_unit_test(twice_is_once_or_a_contradiction),
        cmocka_unit_test(misaligned_memory_is_fine),
        cmocka_unit_test(generation_knows_class_and_type),
        cmocka_unit_test(silent_templates_sign_and_decrypt),
        cmocka_unit_test(asking_for_unwrap_drops_the_default_decrypt),
        cmocka_unit_test(strict_pairs_do_one_thing),
        cmocka_unit_test(unwrapped_keys_are_sensitive),
        cmocka_unit_test(derived_keys_are_generic_secrets),
        cmocka_unit_test(certificates),
        cmocka_unit_test(dates),
        cmocka_unit_test(empty_allowed_mechanisms_are_none_given),
        cmocka_unit_test(nested_templates_are_imposed),
        cmocka_unit_test(bad_nested_templates),
        cmocka_unit_test(one_way_switches),
        cmocka_unit_test(copies_may_move),
        cmocka_unit_test(only_the_so_trusts),
        cmocka_unit_test(a_check_value_can_be_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
