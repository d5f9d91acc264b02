/* unit_content.c: a generation's end does not come before what was promised of its objects. */
#include <string.h>

#include "store_fixture.h"

static const struct vs_policy OPEN_POLICY = {
    .retention_days = 90, .pin_tries = 10, .scrypt_log_n = VS_SCRYPT_LOG_N_MIN,
    .min_rsa_bits = 2048};

static int fixture_open_vault(void **state)
{
    if (fixture_store(state) != 0)
        return -1;
    vault_make(*state, 0, &OPEN_POLICY);
    fixture_login(*state);
    return 0;
}

static void retention_set(struct fixture *f, uint32_t days)
{
    struct vs_policy policy = OPEN_POLICY;
    policy.retention_days = days;
    assert_ok(vs_vault_set_policy(f->store, f->so, &policy));
}

/* C_InitToken; the newest of the deleted generations. Nobody is logged in afterwards. */
static struct vs_generation_info retire(struct fixture *f)
{
    struct vs_generation_info infos[4];
    uint8_t label[32];
    uint32_t generation;
    size_t n;

    memset(label, ' ', sizeof(label));
    assert_ok(vs_vault_init(f->store, 0, (const uint8_t *)SO_PIN, strlen(SO_PIN), label, NULL,
                            &generation));
    assert_ok(vs_generation_list(f->store, 0, infos, 4, &n));
    assert_true(n >= 2);
    return infos[1];
}

static size_t generations(struct fixture *f)
{
    size_t n;

    assert_ok(vs_generation_list(f->store, 0, NULL, 0, &n));
    return n;
}

static void sweep(struct fixture *f)
{
    size_t purged;

    assert_ok(vs_sweep(f->store, 100, &purged));
}

static int purge(struct fixture *f, uint32_t generation)
{
    return vs_generation_purge(f->store, 0, generation, (const uint8_t *)SO_PIN, strlen(SO_PIN));
}

static int recover(struct fixture *f, uint32_t generation)
{
    return vs_generation_recover(f->store, 0, generation, VS_ROLE_SO, (const uint8_t *)SO_PIN,
                                 strlen(SO_PIN));
}

static void login_again(struct fixture *f)
{
    vs_logout(f->so);
    vs_logout(f->user);
    f->so = f->user = NULL;
    assert_ok(login_as(f, VS_ROLE_SO, SO_PIN, &f->so));
    assert_ok(login_as(f, VS_ROLE_USER, USER_PIN, &f->user));
}

static void hold_set(struct fixture *f, const struct vs_id *id, bool hold)
{
    const struct vs_govern govern = {.set = VS_GOVERN_HOLD, .hold = hold};

    assert_ok(vs_object_govern(f->store, 0, f->so, id, &govern));
}

static void test_shorter_retention(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "key", "value");
    struct vs_generation_info former;

    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    retention_set(f, 7);
    former = retire(f);
    assert_int_equal(former.purge_at, former.deleted_at + 90 * DAY);
    fixture_pass(f, 90 * DAY - 1);
    sweep(f);
    assert_ok(recover(f, former.generation));
    login_again(f);
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
    object_expect(f, f->user, &id, "value");
}

static void test_later_date(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "key", "value");
    int64_t date = vs_store_now(f->store) + 400 * DAY;
    struct vs_generation_info former;

    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_ok(vs_object_postpone(f->store, 0, f->user, &id, date));
    former = retire(f);
    assert_int_equal(former.purge_at, date);
    fixture_pass(f, 400 * DAY);
    sweep(f);
    assert_int_equal(generations(f), 1);
    assert_true(slot_wiped(f, &id));
}

static void test_hold_inside(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "key", "value");
    struct vs_generation_info former;

    hold_set(f, &id, true);
    former = retire(f);
    assert_status(purge(f, former.generation), VS_HELD);
    fixture_pass(f, 500 * DAY);
    sweep(f);
    assert_int_equal(generations(f), 2);
    assert_status(purge(f, former.generation), VS_HELD);
    assert_false(slot_wiped(f, &id));
    assert_ok(recover(f, former.generation));
    login_again(f);
    object_expect(f, f->user, &id, "value");
    hold_set(f, &id, false);
    retire(f);
    assert_ok(purge(f, former.generation));
    assert_true(slot_wiped(f, &id));
}

/* Time across boots counts for nothing on the strict clock: not for the generation either. */
static void test_strict_clock(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "key", "value");
    struct vs_policy policy = OPEN_POLICY;
    struct vs_generation_info former;

    policy.clock_strict = true;
    assert_ok(vs_vault_set_policy(f->store, f->so, &policy));
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    policy.retention_days = 7;
    assert_ok(vs_vault_set_policy(f->store, f->so, &policy));
    f->wall += 80 * DAY;
    f->boot = 1;
    f->boot_id[0]++;
    former = retire(f);
    assert_true(former.purge_at >= former.deleted_at + 90 * DAY);
    fixture_pass(f, 89 * DAY);
    sweep(f);
    assert_false(slot_wiped(f, &id));
    assert_ok(recover(f, former.generation));
    login_again(f);
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
}

/* A hold on a vault saves what is not due yet; it brings back nothing. */
static void test_hold_too_late(void **state)
{
    struct fixture *f = *state;
    struct vs_id late = object_make(f, f->user, true, "late", "x"), id;
    struct vs_header header;

    assert_ok(vs_object_delete(f->store, 0, f->user, &late));
    fixture_pass(f, 50 * DAY);
    id = object_make(f, f->user, true, "in time", "y");
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    fixture_pass(f, 40 * DAY);
    assert_status(vs_object_peek(f->store, 0, &late, &header), VS_NOT_FOUND);
    assert_ok(vs_generation_hold(f->store, f->so, 0, true));
    assert_status(vs_object_peek(f->store, 0, &late, &header), VS_NOT_FOUND);
    assert_true(slot_wiped(f, &late));
    fixture_pass(f, 400 * DAY);
    sweep(f);
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
    object_expect(f, f->user, &id, "y");
}

/* ------------------------------------------------------------------ what is gone stays gone */

/* Past its date, and no sweep has run yet. */
static struct vs_id late_make(struct fixture *f)
{
    struct vs_id id = object_make(f, f->user, true, "late", "x");
    struct vs_header header;

    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    fixture_pass(f, 90 * DAY);
    assert_status(vs_object_peek(f->store, 0, &id, &header), VS_NOT_FOUND);
    return id;
}

static void expect_gone(struct fixture *f, const struct vs_id *id)
{
    struct vs_header header;

    assert_status(vs_object_peek(f->store, 0, id, &header), VS_NOT_FOUND);
    assert_true(slot_wiped(f, id));
}

static void test_strict_too_late(void **state)
{
    struct fixture *f = *state;
    struct vs_id late = object_make(f, f->user, true, "late", "x");
    struct vs_policy policy = OPEN_POLICY;

    assert_ok(vs_object_delete(f->store, 0, f->user, &late));
    fixture_close(f);
    f->wall += 90 * DAY;
    f->boot_id[0]++;
    fixture_open(f);
    fixture_login(f);
    policy.clock_strict = true;
    assert_ok(vs_vault_set_policy(f->store, f->so, &policy));
    expect_gone(f, &late);
}

static void test_lock_too_late(void **state)
{
    struct fixture *f = *state;
    struct vs_id late = late_make(f);

    assert_ok(vs_generation_lock(f->store, f->so, 0, 1));
    expect_gone(f, &late);
}

/* Held in the generation that was retired, it would be back with that one. */
static void test_retired_too_late(void **state)
{
    struct fixture *f = *state;
    struct vs_id late = late_make(f);
    struct vs_generation_info former = retire(f);

    vs_logout(f->so);
    f->so = NULL;
    assert_ok(login_as(f, VS_ROLE_SO, SO_PIN, &f->so));
    assert_ok(vs_generation_hold(f->store, f->so, former.generation, true));
    assert_ok(recover(f, former.generation));
    login_again(f);
    expect_gone(f, &late);
}

/* What a lock of the vault keeps is there, past its date, too; and goes when it is unlocked. */
static void test_lock_keeps(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "key", "value");
    struct vs_header header;

    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_ok(vs_generation_lock(f->store, f->so, 0, 2));
    fixture_pass(f, 400 * DAY);
    sweep(f);
    assert_ok(vs_object_peek(f->store, 0, &id, &header));
    object_expect(f, f->user, &id, "value");
    assert_ok(vs_generation_lock(f->store, f->so, 0, 0));
    assert_status(vs_object_peek(f->store, 0, &id, &header), VS_NOT_FOUND);
    sweep(f);
    expect_gone(f, &id);
}

/* A locked generation past its date can be listed and unlocked, and then it goes. */
static void test_lock_of_a_deleted_one(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "key", "value");
    struct vs_generation_info former = retire(f);

    vs_logout(f->so);
    f->so = NULL;
    assert_ok(login_as(f, VS_ROLE_SO, SO_PIN, &f->so));
    assert_ok(vs_generation_lock(f->store, f->so, former.generation, 2));
    fixture_pass(f, 400 * DAY);
    sweep(f);
    assert_int_equal(generations(f), 2);
    assert_false(slot_wiped(f, &id));
    assert_ok(vs_generation_lock(f->store, f->so, former.generation, 0));
    assert_int_equal(generations(f), 1);
    sweep(f);
    assert_true(slot_wiped(f, &id));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_open_vault, fixture_done)
    const struct CMUnitTest tests[] = {
        TEST(test_shorter_retention), TEST(test_later_date), TEST(test_hold_inside),
        TEST(test_hold_too_late), TEST(test_strict_clock), TEST(test_strict_too_late),
        TEST(test_lock_too_late), TEST(test_retired_too_late), TEST(test_lock_keeps),
        TEST(test_lock_of_a_deleted_one),
    };
    return cmocka_run_group_tests_name("content", tests, NULL, NULL);
}
