/* Unit tests of the mechanism table: what a row says is what it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "module/mech.h"

static void test_rows_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < mech_count(); i++) {
        const struct mech_row *row = mech_at(i);
        assert_ptr_equal(mech_find(row->type), row);
        assert_ptr_equal(mech_find(row->type), row);
    }
    assert_null(mech_at(mech_count()));
    assert_null(mech_find(CKM_VENDOR_DEFINED));
    assert_null(mech_find(CK_UNAVAILABLE_INFORMATION));
    assert_null(mech_find(CKM_MD5));
}

static void test_names_and_numbers_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < mech_count(); i++)
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(mech_at(i)->name, mech_at(j)->name);
            assert_int_not_equal(mech_at(i)->type, mech_at(j)->type);
        }
}

/* pkcs11-tool --test digests with the first mechanism that can. */
static void test_plain_digests_come_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIGESTS_COUNT; i++) {
        assert_non_null(mech_at(i)->digest_ops);
        assert_int_equal(mech_at(i)->flags, CKF_DIGEST);
    }
}

struct has { CK_FLAGS flag; bool there; };

static void check_flags(const struct mech_row *row)
{
    const struct has all[] = {
        {CKF_ENCRYPT, row->cipher != NULL},
        {CKF_DECRYPT, row->cipher != NULL},
        {CKF_DIGEST, row->digest_ops != NULL},
        {CKF_SIGN, row->sign != NULL && row->sign->sign != NULL},
        {CKF_VERIFY, row->sign != NULL && row->sign->verify != NULL},
        {CKF_VERIFY_RECOVER, row->sign != NULL && row->sign->recover != NULL},
        {CKF_WRAP, row->wrap != NULL && row->wrap->wrap != NULL},
        {CKF_UNWRAP, row->wrap != NULL && row->wrap->unwrap != NULL},
        {CKF_GENERATE, row->generate != NULL && row->generate->key != NULL},
        {CKF_GENERATE_KEY_PAIR, row->generate != NULL && row->generate->pair != NULL},
        {CKF_DERIVE, row->derive != NULL},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (((row->flags & all[i].flag) != 0) != all[i].there)
            fail_msg("%s: flag 0x%lx %s a function", row->name, all[i].flag,
                     all[i].there ? "misses, there is" : "is set without");
}

static void check_functions(const struct mech_row *row)
{
    assert_non_null(row->parse);
    assert_true(row->min <= row->max);
    if (row->cipher != NULL) {
        assert_true(row->cipher->begin && row->cipher->once && row->cipher->once_size);
        bool multipart = row->cipher->update != NULL;
        assert_true(multipart == (row->cipher->final != NULL));
        assert_true(multipart == (row->cipher->update_size != NULL));
        assert_true(multipart == (row->cipher->final_size != NULL));
    }
    if (row->sign != NULL) {
        assert_true(row->sign->begin && row->sign->size);
        assert_true((row->sign->update != NULL) == (row->sign->sign_final != NULL));
        assert_true((row->sign->update != NULL) == (row->sign->verify_final != NULL));
    }
    if (row->cipher != NULL || row->sign != NULL || row->digest_ops != NULL || row->wrap != NULL)
        assert_non_null(row->ctx_free);
}

static void test_flags_tell_the_functions(void **state)
{
    (void)state;
    for (size_t i = 0; i < mech_count(); i++) {
        check_flags(mech_at(i));
        check_functions(mech_at(i));
    }
}

/* Of exactly this size and at an odd address, so that ASan and UBSan see a careless read. */
static void parse_zeros(const struct mech_row *row, size_t len)
{
    uint8_t *memory = calloc(1, len + 1);
    CK_MECHANISM mechanism = {row->type, memory + 1, len};
    const struct mech_row *found = NULL;
    struct mech_param param;
    CK_RV rv = mech_prepare(&mechanism, &found, &param);
    if (rv == CKR_OK) {
        assert_ptr_equal(found, row);
        mech_param_done(&param);
    } else if (rv != CKR_MECHANISM_PARAM_INVALID && rv != CKR_ARGUMENTS_BAD) {
        fail_msg("%s: parameter of %zu zero bytes gives 0x%lx", row->name, len, rv);
    }
    free(memory);
}

static void test_parameters_of_any_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < mech_count(); i++) {
        const struct mech_row *row = mech_at(i);
        CK_MECHANISM null = {row->type, NULL, 8};
        const struct mech_row *found = NULL;
        struct mech_param param;
        assert_int_equal(mech_prepare(&null, &found, &param), CKR_MECHANISM_PARAM_INVALID);
        assert_null(found);
        null.ulParameterLen = 0;
        if (mech_prepare(&null, &found, &param) == CKR_OK)
            mech_param_done(&param);
        for (size_t len = 0; len < 130; len++)
            parse_zeros(row, len);
    }
}

static void test_large_parameters_are_copied(void **state)
{
    (void)state;
    struct mech_param param;
    uint8_t small[200], large[5000], *copies[4];
    memset(small, 1, sizeof small);
    memset(large, 2, sizeof large);
    mech_param_init(&param);
    assert_int_equal(mech_param_bytes(&param, small, sizeof small, &copies[0]), CKR_OK);
    assert_int_equal(mech_param_bytes(&param, large, sizeof large, &copies[1]), CKR_OK);
    assert_int_equal(mech_param_bytes(&param, small, sizeof small, &copies[2]), CKR_OK);
    assert_int_equal(mech_param_bytes(&param, NULL, 0, &copies[3]), CKR_OK);
    assert_int_equal(mech_param_bytes(&param, NULL, 1, &copies[3]), CKR_MECHANISM_PARAM_INVALID);
    assert_memory_equal(copies[0], small, sizeof small);
    assert_memory_equal(copies[1], large, sizeof large);
    assert_memory_equal(copies[2], small, sizeof small);
    mech_param_done(&param);
}

static void test_key_must_fit(void **state)
{
    (void)state;
    const struct mech_row *gcm = mech_find(CKM_AES_GCM), *hmac = mech_find(CKM_SHA256_HMAC);
    struct key_material key = {.cls = CKO_SECRET_KEY, .key_type = CKK_AES, .secret_len = 16};
    assert_int_equal(mech_key_fits(gcm, &key), CKR_OK);
    assert_int_equal(mech_key_fits(hmac, &key), CKR_KEY_TYPE_INCONSISTENT);
    key.secret_len = 64;
    assert_int_equal(mech_key_fits(gcm, &key), CKR_KEY_SIZE_RANGE);
    key.key_type = CKK_GENERIC_SECRET;
    assert_int_equal(mech_key_fits(hmac, &key), CKR_OK);
    key.key_type = CKK_SHA256_HMAC;
    assert_int_equal(mech_key_fits(hmac, &key), CKR_OK);
    key.key_type = CKK_SHA384_HMAC;
    assert_int_equal(mech_key_fits(hmac, &key), CKR_KEY_TYPE_INCONSISTENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_found),
        cmocka_unit_test(test_names_and_numbers_are_unique),
        cmocka_unit_test(test_plain_digests_come_first),
        cmocka_unit_test(test_flags_tell_the_functions),
        cmocka_unit_test(test_parameters_of_any_length),
        cmocka_unit_test(test_large_parameters_are_copied),
        cmocka_unit_test(test_key_must_fit),
    };
    return cmocka_run_group_tests_name("mech_table", tests, NULL, NULL);
}
