/* Handles: never reused, found by id, swept, and safe under threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "module/handle.h"

static struct handle_table *table;

static struct object *object_of(CK_SESSION_HANDLE session, uint8_t id)
{
    struct object *object = calloc(1, sizeof(*object));
    assert_non_null(object);
    object->refs = 1;
    object->session = session;
    object->header.id.b[15] = id;
    return object;
}

static CK_OBJECT_HANDLE add(CK_SESSION_HANDLE session, uint8_t id)
{
    CK_OBJECT_HANDLE handle = 0;
    assert_int_equal(handle_add(table, object_of(session, id), &handle), CKR_OK);
    assert_int_not_equal(handle, 0);
    return handle;
}

static bool is_live(CK_OBJECT_HANDLE handle)
{
    struct object *object = handle_get(table, handle);
    object_unref(object);
    return object != NULL;
}

static int setup(void **state)
{
    (void)state;
    return handle_table_new(&table) == CKR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    handle_table_free(table);
    return 0;
}

static void never_reused(void **state)
{
    (void)state;
    enum { N = 2000 };
    static CK_OBJECT_HANDLE seen[N];
    for (size_t i = 0; i < N; i++) {
        seen[i] = add(7, 0);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(seen[i], seen[j]);
        handle_remove(table, seen[i]);
        assert_false(is_live(seen[i]));
    }
    handle_remove(table, seen[0]);       /* twice is harmless */
}

static void wrong_handles(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE handle = add(7, 0);
    const CK_OBJECT_HANDLE WRONG[] = {0, 1, ~0ul, handle + 1, handle + (1ul << 24),
                                      handle - (1ul << 24), handle + (1ul << 57), 0xffffff};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++)
        assert_false(is_live(WRONG[i]));
    assert_true(is_live(handle));
}

static void found_by_id(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE handles[200];
    struct vs_id id = {{0}};
    for (unsigned i = 0; i < 200; i++)
        handles[i] = add(0, (uint8_t)i);
    for (unsigned i = 0; i < 200; i++) {
        id.b[15] = (uint8_t)i;
        assert_int_equal(handle_of_id(table, 0, &id), handles[i]);
        assert_int_equal(handle_of_id(table, 1, &id), 0);
        assert_int_equal(add(0, (uint8_t)i), handles[i]);    /* found by another thread first */
    }
    for (unsigned i = 0; i < 200; i += 2)
        handle_remove(table, handles[i]);
    for (unsigned i = 0; i < 200; i++) {
        id.b[15] = (uint8_t)i;
        assert_int_equal(handle_of_id(table, 0, &id), i % 2 ? handles[i] : 0);
    }
    id.b[15] = 4;
    assert_int_not_equal(add(0, 4), handles[4]);
}

static bool match_all(const struct object *object, void *ctx)
{
    (void)object;
    (void)ctx;
    return true;
}

static bool match_even(const struct object *object, void *ctx)
{
    (void)ctx;
    return object->header.id.b[15] % 2 == 0;
}

static void swept_and_collected(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE found[64], token = add(0, 1);
    for (unsigned i = 0; i < 40; i++)
        add(1 + i % 4, (uint8_t)i);
    assert_int_equal(handle_collect(table, match_all, NULL, found, 64), 40);
    for (unsigned i = 1; i < 40; i++)
        assert_true(found[i - 1] < found[i]);
    assert_int_equal(handle_collect(table, match_even, NULL, found, 3), 20);
    handle_sweep_session(table, 2);
    assert_int_equal(handle_collect(table, match_all, NULL, found, 64), 30);
    handle_sweep(table, match_even, NULL);
    assert_int_equal(handle_collect(table, match_all, NULL, found, 64), 10);
    assert_true(is_live(token));
    handle_sweep(table, match_all, NULL);
    assert_false(is_live(token));
}

static void death_is_told(void **state)
{
    (void)state;
    struct object *object = object_of(3, 0), *next = object_of(3, 0);
    struct key_material *key = calloc(1, sizeof(*key));
    CK_OBJECT_HANDLE handle;
    key->refs = 2;               /* one is never given back: it is not made as keys are */
    object->key = key;
    assert_int_equal(handle_add(table, object_ref(object), &handle), CKR_OK);
    uint64_t epoch = handle_epoch(table);
    handle_replace(table, handle, next);
    assert_true(object->superseded && !object->dead);
    assert_true(key->retired && handle_epoch(table) != epoch);
    object_ref(next);
    handle_remove(table, handle);
    assert_true(next->dead);
    object_unref(next);
    object_unref(object);
    free(key);
}

static void *churn(void *ctx)
{
    CK_SESSION_HANDLE session = (CK_SESSION_HANDLE)(uintptr_t)ctx;
    struct vs_id id = {{0}};
    for (unsigned i = 0; i < 3000; i++) {
        CK_OBJECT_HANDLE mine = add(session, 0), shared = add(0, (uint8_t)(i % 8));
        object_unref(handle_get(table, shared));
        id.b[15] = (uint8_t)(i % 8);
        object_unref(handle_get(table, handle_of_id(table, 0, &id)));
        handle_remove(table, mine);
        if (i % 5 == 0)
            handle_remove(table, shared);
        if (i % 100 == 0)
            handle_sweep_session(table, session);
    }
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    pthread_t ids[4];
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, churn, (void *)(16 + i % 2)), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(ids[i], NULL), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(never_reused),        CASE(wrong_handles), CASE(found_by_id),
        CASE(swept_and_collected), CASE(death_is_told), CASE(threads),
    };
    return cmocka_run_group_tests_name("handle", tests, NULL, NULL);
}
