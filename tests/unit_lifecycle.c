/* The whole table of states and actions, cell by cell. */
#include "vaultstore/lifecycle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

/*
 * Columns: read update delete recover purge postpone disable enable, dates hold lock reason
 * honeytoken. A digit is the next state,
 * `p` the prior one, `-` VS_WRONG_STATE, `x` VS_NOT_FOUND.
 */
static const char *const expected[] = {
    [VS_STATE_PREACTIVE] = "004---2-" "00000",
    [VS_STATE_ACTIVE] = "114---2-" "11111",
    [VS_STATE_DISABLED] = "224----1" "22222",
    [VS_STATE_EXPIRED] = "334---2-" "33333",
    [VS_STATE_DELETED] = "4--p54--" "-4---",
    [VS_STATE_PURGED] = "xxxxxxxxxxxxx",
};

static void cell_check(enum vs_state state, enum vs_state prior, enum vs_action action)
{
    enum vs_state next = (enum vs_state)77;
    int status = lifecycle_next(state, prior, action, &next);
    char cell = expected[state][action];
    int refusal = cell == '-' ? VS_WRONG_STATE : cell == 'x' ? VS_NOT_FOUND : VS_OK;
    if (cell == 'p' && prior >= VS_STATE_DELETED)
        refusal = VS_WRONG_STATE;
    assert_int_equal(status, refusal);
    int want = status != VS_OK ? 77 : cell == 'p' ? (int)prior : cell - '0';
    assert_int_equal((int)next, want);
}

static void test_table(void **state)
{
    (void)state;
    for (int s = VS_STATE_PREACTIVE; s <= VS_STATE_PURGED; s++)
        for (int p = VS_STATE_PREACTIVE; p <= VS_STATE_PURGED; p++)
            for (int a = 0; a < ACTION_COUNT; a++)
                cell_check((enum vs_state)s, (enum vs_state)p, (enum vs_action)a);
}

static void test_out_of_range(void **state)
{
    (void)state;
    enum vs_state next;
    assert_int_equal(lifecycle_next((enum vs_state)6, VS_STATE_ACTIVE, ACTION_READ, &next),
                     VS_WRONG_STATE);
    assert_int_equal(lifecycle_next(VS_STATE_ACTIVE, VS_STATE_ACTIVE, ACTION_COUNT, &next),
                     VS_WRONG_STATE);
    assert_int_equal(lifecycle_next(VS_STATE_DELETED, (enum vs_state)99, ACTION_RECOVER, &next),
                     VS_WRONG_STATE);
}

static void test_names(void **state)
{
    (void)state;
    for (int a = 0; a < ACTION_COUNT; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(lifecycle_action_name((enum vs_action)a),
                                    lifecycle_action_name((enum vs_action)b));
    assert_string_equal(lifecycle_action_name(ACTION_PURGE), "purge");
    assert_string_equal(lifecycle_action_name(ACTION_COUNT), "unknown action");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("lifecycle", tests, NULL, NULL);
}
