/* Attributes as values, and the table of rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "module/attr.h"
#include "module/attr_table.h"

static void list_replaces(void **state)
{
    (void)state;
    AUTO(attr_list) struct attr_list list;
    attr_list_init(&list);
    assert_int_equal(attr_put(&list, CKA_LABEL, "one", 3), CKR_OK);
    assert_int_equal(attr_put_bool(&list, CKA_TOKEN, true), CKR_OK);
    assert_int_equal(attr_put(&list, CKA_LABEL, "three", 5), CKR_OK);
    assert_int_equal(list.n, 2);
    assert_memory_equal(attr_find(&list, CKA_LABEL)->value, "three", 5);
    assert_true(attr_bool(&list, CKA_TOKEN, false));
    assert_true(attr_bool(&list, CKA_SIGN, true));
    assert_int_equal(attr_ulong(&list, CKA_LABEL, 7), 7);
    attr_remove(&list, CKA_LABEL);
    assert_null(attr_find(&list, CKA_LABEL));
    assert_int_equal(list.n, 1);
}

/* A value may come from the list itself. */
static void list_holds_large_values(void **state)
{
    (void)state;
    static uint8_t large[ATTR_VALUE_MAX + 1];
    AUTO(attr_list) struct attr_list list;
    attr_list_init(&list);
    memset(large, 0x5a, sizeof large);
    assert_int_equal(attr_put(&list, CKA_VALUE, large, sizeof large), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(attr_put(&list, CKA_VALUE, large, sizeof large - 1), CKR_OK);
    const struct attr *value = attr_find(&list, CKA_VALUE);
    assert_int_equal(attr_put(&list, CKA_ID, value->value, value->len), CKR_OK);
    assert_memory_equal(attr_find(&list, CKA_ID)->value, large, sizeof large - 1);
}

static void list_is_bounded(void **state)
{
    (void)state;
    AUTO(attr_list) struct attr_list list;
    attr_list_init(&list);
    for (CK_ATTRIBUTE_TYPE type = 0; type < ATTR_MAX; type++)
        assert_int_equal(attr_put_ulong(&list, type, type), CKR_OK);
    assert_int_equal(attr_put_ulong(&list, ATTR_MAX, 0), CKR_TEMPLATE_INCONSISTENT);
    for (CK_ATTRIBUTE_TYPE type = 0; type < ATTR_MAX; type++)
        assert_int_equal(attr_ulong(&list, type, ~0ul), type);
}

static void set_is_sorted_and_aligned(void **state)
{
    (void)state;
    AUTO(attr_list) struct attr_list list, back;
    struct attr_set *set = NULL;
    attr_list_init(&list);
    attr_list_init(&back);
    static const uint8_t bytes[3] = {1, 2, 3};
    attr_put(&list, CKA_VALUE, bytes, sizeof bytes);
    attr_put_ulong(&list, CKA_CLASS, CKO_SECRET_KEY);
    attr_put(&list, CKA_LABEL, NULL, 0);
    attr_put_bool(&list, CKA_TOKEN, false);
    assert_int_equal(attr_set_new(&list, &set), CKR_OK);
    assert_int_equal(set->n, 4);
    for (size_t i = 0; i < set->n; i++) {
        assert_int_equal((uintptr_t)set->items[i].value % 8, 0);
        assert_true(i == 0 || set->items[i - 1].type < set->items[i].type);
    }
    assert_int_equal(attr_set_ulong(set, CKA_CLASS, 0), CKO_SECRET_KEY);
    assert_false(attr_set_bool(set, CKA_TOKEN, true));
    assert_memory_equal(attr_set_find(set, CKA_VALUE)->value, bytes, sizeof bytes);
    assert_int_equal(attr_set_find(set, CKA_LABEL)->len, 0);
    assert_null(attr_set_find(set, CKA_ID));
    assert_int_equal(attr_list_from_set(&back, set), CKR_OK);
    assert_int_equal(back.n, 4);
    attr_set_free(set);
}

static void table_is_ordered_and_unambiguous(void **state)
{
    (void)state;
    for (size_t i = 0; i < ATTR_ROWS_COUNT; i++) {
        const struct attr_row *row = &ATTR_ROWS[i];
        assert_true(row->kinds != 0);
        assert_true(i == 0 || ATTR_ROWS[i - 1].type <= row->type);
        assert_ptr_equal(attr_row(row->type, row->kinds & ~(row->kinds - 1)), row);
        for (size_t j = 0; j < i; j++)
            assert_false(ATTR_ROWS[j].type == row->type && (ATTR_ROWS[j].kinds & row->kinds) != 0);
    }
    assert_null(attr_row_any(CKA_PRIME));
    assert_null(attr_row(CKA_MODULUS, KIND_SECRET));
    assert_null(attr_row_any(0x40000601UL));
    assert_null(attr_row_any(~0UL));
}

/* A default that needs a boolean stands on a boolean, and so on. */
static void table_defaults_fit_their_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < ATTR_ROWS_COUNT; i++) {
        const struct attr_row *row = &ATTR_ROWS[i];
        if (row->fallback == ZERO)
            assert_int_equal(row->value, ATTR_ULONG);
        else if (row->fallback == EMPTY)
            assert_true(row->value == ATTR_BYTES || row->value == ATTR_DATE);
        else if (row->fallback != ABSENT)
            assert_int_equal(row->value, ATTR_BOOL);
        if ((row->rules & (SO_ONLY | TRUE_STAYS | FALSE_STAYS)) != 0)
            assert_int_equal(row->value, ATTR_BOOL);
    }
}

static void kinds_of_objects(void **state)
{
    (void)state;
    assert_int_equal(object_kind(CKO_DATA, CK_UNAVAILABLE_INFORMATION), KIND_DATA);
    assert_int_equal(object_kind(CKO_PRIVATE_KEY, CKK_EC_EDWARDS), KIND_PRIVATE_EC);
    assert_int_equal(object_kind(CKO_SECRET_KEY, CKK_SHA256_HMAC), KIND_SECRET);
    assert_int_equal(object_kind(CKO_SECRET_KEY, CKK_RSA), 0);
    assert_int_equal(object_kind(CKO_PUBLIC_KEY, CKK_DSA), 0);
    assert_int_equal(object_kind(CKO_PROFILE, CK_UNAVAILABLE_INFORMATION), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_replaces),
        cmocka_unit_test(list_holds_large_values),
        cmocka_unit_test(list_is_bounded),
        cmocka_unit_test(set_is_sorted_and_aligned),
        cmocka_unit_test(table_is_ordered_and_unambiguous),
        cmocka_unit_test(table_defaults_fit_their_types),
        cmocka_unit_test(kinds_of_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
