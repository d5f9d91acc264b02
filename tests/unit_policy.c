/* Policies and their limits; who may do what to which object, and when. */
#include "vaultstore/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DAY ((int64_t)86400)

static void test_default(void **state)
{
    (void)state;
    struct vs_policy p;
    vs_policy_default(&p);
    assert_int_equal(p.retention_days, 90);
    assert_true(p.purge_protection);
    assert_int_equal(p.profile, VS_PROFILE_ORDINARY);
    assert_int_equal(p.pin_tries, 10);
    assert_int_equal(p.scrypt_log_n, 16);
    assert_int_equal(p.min_rsa_bits, 2048);
    assert_int_equal(policy_check(&p), VS_OK);
}

static void range_check(size_t offset, uint32_t least, uint32_t most)
{
    struct vs_policy p;
    vs_policy_default(&p);
    uint32_t *field = (uint32_t *)(void *)((char *)&p + offset);
    *field = least;
    assert_int_equal(policy_check(&p), VS_OK);
    *field = most;
    assert_int_equal(policy_check(&p), VS_OK);
    *field = most + 1;
    assert_int_equal(policy_check(&p), VS_POLICY);
    *field = least - 1;   /* also where that is UINT32_MAX */
    assert_int_equal(policy_check(&p), VS_POLICY);
}

static void test_ranges(void **state)
{
    (void)state;
    range_check(offsetof(struct vs_policy, retention_days), 7, 36500);
    range_check(offsetof(struct vs_policy, profile), 0, 1);
    range_check(offsetof(struct vs_policy, pin_tries), 3, 100);
    range_check(offsetof(struct vs_policy, scrypt_log_n), 10, 22);
    range_check(offsetof(struct vs_policy, min_rsa_bits), 1024, 16384);
}

static void test_change(void **state)
{
    (void)state;
    struct vs_policy on, off, bad;
    vs_policy_default(&on);
    off = bad = on;
    off.purge_protection = false;
    bad.retention_days = 6;
    assert_int_equal(policy_change(&on, &on, 0), VS_OK);
    assert_int_equal(policy_change(&off, &on, 0), VS_OK);
    assert_int_equal(policy_change(&off, &off, 0), VS_OK);
    assert_int_equal(policy_change(&on, &off, 0), VS_POLICY);
    assert_int_equal(policy_change(&on, &bad, 0), VS_POLICY);
}

static const uint32_t verbs_of[] = {0, VS_VERBS_SO, VS_VERBS_USER};

/* Columns: public, SO, user. `.` is allowed, `d` VS_DENIED, `l` VS_LOCKED. */
struct verdicts {
    enum vs_action action;
    bool is_private;
    uint32_t lock;
    char expected[4];
};

static const struct verdicts verdicts[] = {
    {ACTION_READ, false, 2, "..."},     {ACTION_READ, true, 2, "d.."},
    {ACTION_UPDATE, false, 0, "..."},   {ACTION_UPDATE, true, 0, "dd."},
    {ACTION_UPDATE, false, 1, "..."},   {ACTION_UPDATE, true, 1, "dd."},
    {ACTION_UPDATE, false, 2, "lll"},   {ACTION_UPDATE, true, 2, "ddl"},
    {ACTION_DELETE, false, 0, "..."},   {ACTION_DELETE, true, 0, "dd."},
    {ACTION_DELETE, false, 1, "lll"},   {ACTION_DELETE, true, 2, "ddl"},
    {ACTION_RECOVER, false, 2, "..."},  {ACTION_RECOVER, true, 2, "d.."},
    {ACTION_POSTPONE, false, 2, "..."}, {ACTION_POSTPONE, true, 2, "d.."},
    {ACTION_DISABLE, false, 1, "..."},  {ACTION_DISABLE, true, 1, "d.."},
    {ACTION_ENABLE, false, 2, "lll"},   {ACTION_ENABLE, true, 2, "dll"},
    {ACTION_READ, false, 3, "lll"},     /* a lock of the future locks all */
};

static void test_verdicts(void **state)
{
    (void)state;
    struct vs_policy p;
    vs_policy_default(&p);
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        struct vs_header h = {.is_private = verdicts[i].is_private, .lock = verdicts[i].lock,
                              .state = VS_STATE_ACTIVE};
        for (int role = 0; role < 3; role++) {
            char c = verdicts[i].expected[role];
            assert_int_equal(policy_allows(&p, &h, verbs_of[role], verdicts[i].action, 0),
                             c == 'd' ? VS_DENIED : c == 'l' ? VS_LOCKED : VS_OK);
        }
    }
    struct vs_header h = {.state = VS_STATE_ACTIVE};
    assert_int_equal(policy_allows(&p, &h, VS_VERBS_USER, ACTION_COUNT, 0), VS_DENIED);
}

static int purge(bool protected, bool hold, enum vs_role role, int64_t now)
{
    struct vs_policy p;
    vs_policy_default(&p);
    p.purge_protection = protected;
    struct vs_header h = {.is_private = true, .state = VS_STATE_DELETED, .prior = VS_STATE_ACTIVE,
                          .purge_at = 100 * DAY, .hold = hold, .lock = 2};
    return policy_allows(&p, &h, verbs_of[role], ACTION_PURGE, now);
}

static void test_purge(void **state)
{
    (void)state;
    const int64_t early = 100 * DAY - 1, due = 100 * DAY;
    for (int role = 0; role < 3; role++) {
        enum vs_role r = (enum vs_role)role;
        assert_int_equal(purge(true, false, r, early), VS_RETAINED);
        assert_int_equal(purge(true, false, r, due), VS_OK);
        assert_int_equal(purge(false, false, r, early), r == VS_ROLE_SO ? VS_OK : VS_DENIED);
        assert_int_equal(purge(false, false, r, due), VS_OK);
        assert_int_equal(purge(true, true, r, due), VS_HELD);
        assert_int_equal(purge(false, true, r, early), VS_HELD);
    }
    struct vs_policy p;
    vs_policy_default(&p);
    struct vs_header live = {.state = VS_STATE_ACTIVE};
    assert_int_equal(policy_allows(&p, &live, VS_VERBS_SO, ACTION_PURGE, INT64_MAX),
                     VS_WRONG_STATE);
}

static void test_dates_and_levels(void **state)
{
    (void)state;
    struct vs_policy p;
    struct vs_header h = {.state = VS_STATE_ACTIVE};
    vs_policy_default(&p);
    assert_int_equal(policy_purge_date(&p, 5), 5 + 90 * DAY);
    assert_int_equal(policy_purge_date(&p, INT64_MAX - 1), INT64_MAX);
    assert_int_equal(policy_recovery_level(&p, &h), 2);
    p.purge_protection = false;
    assert_int_equal(policy_recovery_level(&p, &h), 1);
    h.hold = true;
    assert_int_equal(policy_recovery_level(&p, &h), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),  cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_change),   cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_purge),    cmocka_unit_test(test_dates_and_levels),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
