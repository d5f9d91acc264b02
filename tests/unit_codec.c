/* Attributes as the bytes that the store seals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "module/attr_table.h"
#include "module/object.h"

static struct attr_set *sample(void)
{
    AUTO(attr_list) struct attr_list list;
    struct attr_set *set = NULL;
    attr_list_init(&list);
    attr_put_ulong(&list, CKA_CLASS, CKO_SECRET_KEY);
    attr_put_bool(&list, CKA_TOKEN, true);
    attr_put(&list, CKA_LABEL, NULL, 0);
    attr_put(&list, CKA_ID, "\1\2\3", 3);
    attr_put_ulong(&list, CKA_KEY_GEN_MECHANISM, CK_UNAVAILABLE_INFORMATION);
    attr_put(&list, CKA_WRAP_TEMPLATE, "nested", 6);
    assert_int_equal(attr_set_new(&list, &set), CKR_OK);
    return set;
}

static void comes_back_the_same(void **state)
{
    (void)state;
    AUTO(secret) struct secret bytes = {0};
    struct attr_set *set = sample(), *back = NULL;
    assert_int_equal(object_encode(set, &bytes), CKR_OK);
    assert_int_equal(object_decode(bytes.data, bytes.len, &back), CKR_OK);
    assert_int_equal(back->n, set->n);
    for (size_t i = 0; i < set->n; i++) {
        assert_int_equal(back->items[i].type, set->items[i].type);
        assert_int_equal(back->items[i].len, set->items[i].len);
        assert_memory_equal(back->items[i].value, set->items[i].value, set->items[i].len);
        assert_int_equal((uintptr_t)back->items[i].value % 8, 0);
    }
    attr_set_free(set);
    attr_set_free(back);
}

/* The format is fixed: what one release wrote the next one reads. */
static void has_the_written_format(void **state)
{
    (void)state;
    static const uint8_t want[] = {1, 0, 0, 0, 0, 8, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0,
                                   1, 0, 0, 0, 1, 0, 0, 0, 1};
    AUTO(attr_list) struct attr_list list;
    AUTO(secret) struct secret bytes = {0};
    struct attr_set *set = NULL;
    attr_list_init(&list);
    attr_put_bool(&list, CKA_TOKEN, true);
    attr_put_ulong(&list, CKA_CLASS, CKO_SECRET_KEY);
    assert_int_equal(attr_set_new(&list, &set), CKR_OK);
    assert_int_equal(object_encode(set, &bytes), CKR_OK);
    assert_int_equal(bytes.len, sizeof want);
    assert_memory_equal(bytes.data, want, sizeof want);
    attr_set_free(set);
}

static void malformed_is_refused(void **state)
{
    (void)state;
    static const struct { const char *bytes; size_t len; } bad[] = {
        {"", 0},
        {"\2", 1},
        {"\1\0\0\0", 4},
        {"\1\0\0\0\0\1\0\0\0", 9},
        {"\1\0\0\0\0\xff\xff\xff\xff", 9},
        {"\1\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 17},
        {"\1\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 17},
    };
    struct attr_set *set = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(object_decode((const uint8_t *)bad[i].bytes, bad[i].len, &set),
                         CKR_DEVICE_ERROR);
    assert_null(set);
}

/* Any bytes at all: refused or understood, never more than their length read (ASan, valgrind). */
static void any_bytes_are_survived(void **state)
{
    (void)state;
    AUTO(secret) struct secret bytes = {0};
    struct attr_set *set = sample();
    assert_int_equal(object_encode(set, &bytes), CKR_OK);
    attr_set_free(set);
    srandom(1);
    for (int round = 0; round < 20000; round++) {
        size_t len = (size_t)random() % (bytes.len + 1);
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, bytes.data, len);
        if (len > 1)
            copy[1 + (size_t)random() % (len - 1)] = (uint8_t)random();
        struct attr_set *got = NULL;
        uint8_t *exact = malloc(len ? len : 1);
        memcpy(exact, copy, len);
        if (object_decode(exact, len, &got) == CKR_OK)
            attr_set_free(got);
        free(exact);
        free(copy);
    }
}

static void terms_of_a_certificate(void **state)
{
    (void)state;
    AUTO(attr_list) struct attr_list list;
    AUTO(secret) struct secret joined = {0};
    struct attr_set *set = NULL;
    struct vs_term terms[VS_INDEX_MAX];
    size_t n = 0;
    attr_list_init(&list);
    attr_put_ulong(&list, CKA_CLASS, CKO_CERTIFICATE);
    attr_put(&list, CKA_ISSUER, "AB", 2);
    attr_put(&list, CKA_SERIAL_NUMBER, "C", 1);
    attr_put(&list, CKA_LABEL, "", 0);
    attr_put(&list, CKA_ID, "7", 1);
    assert_int_equal(attr_set_new(&list, &set), CKR_OK);
    assert_int_equal(object_terms(set, &joined, terms, &n), CKR_OK);
    assert_int_equal(n, 3);      /* an empty label is not indexed */
    assert_int_equal(terms[0].index, INDEX_CLASS);
    assert_int_equal(terms[1].index, INDEX_ID);
    assert_int_equal(terms[2].index, INDEX_ISSUER_SERIAL);
    assert_int_equal(terms[2].len, 7);
    assert_memory_equal(terms[2].value, "\2\0\0\0ABC", 7);
    attr_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_the_same),
        cmocka_unit_test(has_the_written_format),
        cmocka_unit_test(malformed_is_refused),
        cmocka_unit_test(any_bytes_are_survived),
        cmocka_unit_test(terms_of_a_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
