/* unit_operation.c: what a digest keeps of the keys that went into it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "module/call.h"

static struct object *object_of(CK_OBJECT_HANDLE handle, unsigned bits)
{
    struct object *object = calloc(1, sizeof(*object));
    assert_non_null(object);
    object->refs = 1;
    object->handle = handle;
    object->bits = bits;
    return object;
}

/* Each is looked at again at every call, so it is kept once, whatever snapshot of it comes. */
static void test_digested_once(void **state)
{
    static struct slot slot;
    static struct session session;
    (void)state;
    session.slot = &slot;
    struct call call = {.session = &session};
    struct operation op = {.kind = OP_DIGEST};
    struct object *objects[] = {object_of(7, OBJ_TOKEN), object_of(8, OBJ_TOKEN),
                                object_of(7, OBJ_TOKEN), object_of(9, 0)};
    size_t n = sizeof(objects) / sizeof(objects[0]);
    for (size_t i = 0; i < 100 * n; i++)
        assert_int_equal(operation_digested(&call, &op, objects[i % n]), CKR_OK);
    assert_int_equal(op.n_digested, 2);
    assert_ptr_equal(op.digested[0], objects[0]);
    assert_ptr_equal(op.digested[1], objects[1]);
    for (size_t i = 0; i < op.n_digested; i++)
        object_unref(op.digested[i]);
    free(op.digested);
    for (size_t i = 0; i < n; i++)
        object_unref(objects[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_digested_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
