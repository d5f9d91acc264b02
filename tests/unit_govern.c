/* unit_govern.c: what is governed of objects, generations and policies, rule by rule. */
#include <stdio.h>
#include <string.h>

#include "store_fixture.h"

#define LABEL_INDEX 1

static int setup(void **state)
{
    int rv = fixture_store(state);
    struct fixture *f = *state;
    struct vs_policy policy;

    fixture_close(f);
    f->options.name_index = LABEL_INDEX;
    fixture_open(f);
    policy = f->options.defaults;
    policy.purge_protection = false;
    vault_make(f, 0, &policy);
    fixture_login(f);
    return rv;
}

static struct vs_header header_of(struct fixture *f, const struct vs_id *id)
{
    struct vs_header header;

    assert_ok(vs_object_peek(f->store, 0, id, &header));
    return header;
}

static int govern(struct fixture *f, struct vs_login *login, const struct vs_id *id,
                  struct vs_govern govern)
{
    return vs_object_govern(f->store, 0, login, id, &govern);
}
#define GOVERN(login, id, ...) govern(f, login, id, (struct vs_govern){__VA_ARGS__})
#define HOLD(on) .set = VS_GOVERN_HOLD, .hold = on

static void policy_set(struct fixture *f, void (*change)(struct vs_policy *policy))
{
    struct vs_vault_info info;

    assert_ok(vs_vault_info(f->store, 0, &info));
    change(&info.policy);
    assert_ok(vs_vault_set_policy(f->store, f->so, &info.policy));
}

static void test_enabled(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v");

    for (int i = 0; i < 2; i++) {   /* twice: the second changes nothing and is fine */
        assert_ok(GOVERN(f->user, &id, .set = VS_GOVERN_ENABLED, .enabled = false));
        assert_int_equal(header_of(f, &id).effective, VS_STATE_DISABLED);
    }
    assert_ok(GOVERN(f->so, &id, .set = VS_GOVERN_ENABLED, .enabled = true));
    assert_int_equal(header_of(f, &id).effective, VS_STATE_ACTIVE);
    object_expect(f, f->user, &id, "v");
}

static void test_dates(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v");
    int64_t now = vs_store_now(f->store);

    assert_status(GOVERN(f->user, &id, .set = VS_GOVERN_NOT_BEFORE | VS_GOVERN_NOT_AFTER,
                         .not_before = now + 20, .not_after = now + 10), VS_POLICY);
    assert_ok(GOVERN(f->user, &id, .set = VS_GOVERN_NOT_BEFORE | VS_GOVERN_NOT_AFTER,
                     .not_before = now + 10, .not_after = now + 20));
    assert_int_equal(header_of(f, &id).effective, VS_STATE_PREACTIVE);
    fixture_pass(f, 10);
    assert_int_equal(header_of(f, &id).effective, VS_STATE_ACTIVE);
    fixture_pass(f, 10);
    assert_int_equal(header_of(f, &id).effective, VS_STATE_EXPIRED);
    assert_int_equal(header_of(f, &id).state, VS_STATE_ACTIVE);
}

static void test_hold_needs_the_verb_and_stops_purges(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v");
    struct vs_id open = object_make(f, NULL, false, "public", "v");
    size_t purged;

    assert_status(GOVERN(f->user, &id, HOLD(true)), VS_DENIED);
    assert_status(GOVERN(NULL, &open, HOLD(true)), VS_DENIED);
    assert_ok(GOVERN(f->so, &id, HOLD(true)));
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_HELD);
    fixture_pass(f, 400 * (int64_t)DAY);
    assert_ok(vs_sweep(f->store, 10, &purged));
    assert_int_equal(purged, 0);
    assert_int_equal(header_of(f, &id).recovery_level, 3);
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
    assert_true(header_of(f, &id).hold);
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_ok(GOVERN(f->so, &id, HOLD(false)));      /* of a deleted one, too */
    assert_ok(vs_object_purge(f->store, 0, f->so, &id));
    assert_true(slot_wiped(f, &id));
}

static void test_locks(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v");

    assert_status(GOVERN(f->user, &id, .set = VS_GOVERN_LOCK, .lock = 1), VS_DENIED);
    assert_status(GOVERN(f->so, &id, .set = VS_GOVERN_LOCK, .lock = 3), VS_POLICY);
    assert_ok(GOVERN(f->so, &id, .set = VS_GOVERN_LOCK, .lock = 1));
    assert_status(vs_object_delete(f->store, 0, f->user, &id), VS_LOCKED);
    assert_ok(GOVERN(f->user, &id, .set = VS_GOVERN_ENABLED, .enabled = true));
    assert_ok(GOVERN(f->so, &id, .set = VS_GOVERN_LOCK, .lock = 2));
    assert_status(GOVERN(f->user, &id, .set = VS_GOVERN_ENABLED, .enabled = false), VS_LOCKED);
    assert_ok(GOVERN(f->so, &id, .set = VS_GOVERN_LOCK, .lock = 0));
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_status(GOVERN(f->so, &id, .set = VS_GOVERN_LOCK, .lock = 1), VS_WRONG_STATE);
    assert_status(GOVERN(f->user, &id, .set = VS_GOVERN_ENABLED, .enabled = false),
                  VS_WRONG_STATE);
}

static void to_disabled(struct vs_policy *p) { p->recover_to = 1; }
static void to_disable_first(struct vs_policy *p) { p->disable_before_delete = true; }
static void to_reserve(struct vs_policy *p) { p->reserve_names = true; }
static void to_backup(struct vs_policy *p) { p->require_backup = true; }
static void to_protect(struct vs_policy *p) { p->purge_protection = true; }
static void to_labels(struct vs_policy *p) { p->tombstone_labels = true; }
static void to_two(struct vs_policy *p) { p->purge_approvals = 2; p->approval_hours = 24; }

static void test_recover_to(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v");

    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
    assert_int_equal(header_of(f, &id).state, VS_STATE_ACTIVE);
    policy_set(f, to_disabled);
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
    assert_int_equal(header_of(f, &id).state, VS_STATE_DISABLED);
}

static void test_disable_before_delete(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v");

    policy_set(f, to_disable_first);
    assert_status(vs_object_delete(f->store, 0, f->user, &id), VS_POLICY);
    assert_ok(GOVERN(f->user, &id, .set = VS_GOVERN_ENABLED, .enabled = false));
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
}

static int create(struct fixture *f, bool is_private, const char *label)
{
    const struct vs_term term = {LABEL_INDEX, (const uint8_t *)label, strlen(label)};
    const struct vs_new_object object = {.is_private = is_private, .terms = &term, .n_terms = 1,
                                         .operation = "KeyCreate"};
    struct vs_id id;

    return vs_object_create(f->store, 0, f->user, &object, 1, &id);
}

static void test_reserve_names(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v");
    bool taken = true;

    policy_set(f, to_reserve);
    assert_ok(create(f, true, "k"));                 /* a live one reserves nothing */
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_status(create(f, true, "k"), VS_NAME_RESERVED);
    assert_status(create(f, false, "k"), VS_NAME_RESERVED);
    assert_ok(create(f, true, "other"));
    assert_ok(vs_object_recover_told(f->store, 0, f->user, &id, &taken));
    assert_true(taken);                              /* by the second of that label */
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_ok(vs_object_purge(f->store, 0, f->so, &id));
    assert_ok(create(f, true, "k"));
}

static void test_require_backup(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v");

    assert_false(header_of(f, &id).needs_backup);
    policy_set(f, to_backup);
    assert_true(header_of(f, &id).needs_backup);
}

static void test_cooling_off(void **state)
{
    struct fixture *f = *state;
    struct vs_vault_info info;

    for (int late = 0; late < 2; late++) {
        policy_set(f, to_protect);
        fixture_pass(f, VS_COOLING_OFF - 1 + late);
        assert_ok(vs_vault_info(f->store, 0, &info));
        info.policy.purge_protection = false;
        assert_status(vs_vault_set_policy(f->store, f->so, &info.policy),
                      late ? VS_POLICY : VS_OK);
    }
    assert_status(vs_vault_set_policy(f->store, f->user, &info.policy), VS_DENIED);
}

static void test_retention_limit(void **state)
{
    struct fixture *f = *state;
    struct vs_vault_info info;

    assert_ok(vs_vault_info(f->store, 0, &info));
    info.policy.retention_days = 91;
    assert_status(vs_vault_set_policy(f->store, f->so, &info.policy), VS_POLICY);
    fixture_close(f);
    f->options.retention_max_days = 400;
    fixture_open(f);
    fixture_login(f);
    assert_ok(vs_vault_set_policy(f->store, f->so, &info.policy));
}

static void test_policy_keeps_promised_dates(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v");
    struct vs_vault_info info;
    int64_t date;

    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    date = header_of(f, &id).purge_at;
    assert_ok(vs_vault_info(f->store, 0, &info));
    info.policy.retention_days = 7;
    assert_ok(vs_vault_set_policy(f->store, f->so, &info.policy));
    assert_int_equal(header_of(f, &id).purge_at, date);
}

static void test_two_person_purge(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v");
    struct vs_login *one = NULL, *two = NULL;
    const uint8_t *pin = (const uint8_t *)"pin-1234";

    policy_set(f, to_two);
    assert_ok(vs_user_add(f->store, f->so, "one", pin, 8, VS_VERB_PURGE | VS_VERB_LIST));
    assert_ok(vs_user_add(f->store, f->so, "two", pin, 8, VS_VERB_PURGE | VS_VERB_LIST));
    assert_ok(vs_login_named(f->store, 0, "one", pin, 8, &one));
    assert_ok(vs_login_named(f->store, 0, "two", pin, 8, &two));
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_status(vs_object_purge(f->store, 0, f->user, &id), VS_DENIED);
    assert_status(vs_object_purge(f->store, 0, one, &id), VS_PENDING);
    assert_status(vs_object_purge(f->store, 0, one, &id), VS_PENDING);   /* counts once */
    fixture_pass(f, 24 * 3600);
    assert_status(vs_object_purge(f->store, 0, two, &id), VS_PENDING);   /* too late */
    assert_false(slot_wiped(f, &id));
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));             /* forgets approvals */
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_status(vs_object_purge(f->store, 0, one, &id), VS_PENDING);
    assert_ok(vs_object_purge(f->store, 0, two, &id));
    assert_true(slot_wiped(f, &id));
    vs_logout(one);
    vs_logout(two);
}

/* One verb is enough for what it is the verb of; none of another kind, nor any for a stranger. */
static void test_one_verb(void **state)
{
    struct fixture *f = *state;
    const uint8_t *pin = (const uint8_t *)"pin-1234";
    struct vs_id id = object_make(f, f->user, true, "k", "v");
    struct vs_login *one = NULL;

    assert_ok(vs_user_add(f->store, f->so, "one", pin, 8, VS_VERB_HOLD));
    assert_ok(vs_login_named(f->store, 0, "one", pin, 8, &one));
    assert_ok(GOVERN(one, &id, HOLD(true)));
    assert_status(GOVERN(one, &id, .set = VS_GOVERN_LOCK, .lock = 1), VS_DENIED);
    assert_status(GOVERN(one, &id, .set = VS_GOVERN_ENABLED, .enabled = false), VS_DENIED);
    assert_status(GOVERN(one, &id, .set = VS_GOVERN_HOLD | VS_GOVERN_LOCK, .lock = 1), VS_DENIED);
    assert_true(header_of(f, &id).hold);
    assert_status(GOVERN(NULL, &id, HOLD(false)), VS_DENIED);
    assert_ok(GOVERN(one, &id, HOLD(false)));
    vs_logout(one);
}

/* An approval counts while the one who gave it could give it now. */
static void test_approvals_that_are_void(void **state)
{
    struct fixture *f = *state;
    const uint32_t verbs = VS_VERB_PURGE | VS_VERB_LIST;
    const uint8_t *pin = (const uint8_t *)"pin-1234";
    struct vs_id id = object_make(f, f->user, true, "k", "v");
    struct vs_login *one = NULL, *two = NULL;
    struct vs_approvals told;
    struct vs_approval list[2];
    size_t n;

    policy_set(f, to_two);
    assert_ok(vs_user_add(f->store, f->so, "one", pin, 8, verbs));
    assert_ok(vs_user_add(f->store, f->so, "two", pin, 8, verbs));
    assert_ok(vs_login_named(f->store, 0, "one", pin, 8, &one));
    assert_ok(vs_login_named(f->store, 0, "two", pin, 8, &two));
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_status(vs_object_purge_told(f->store, 0, one, &id, &told), VS_PENDING);
    assert_int_equal(told.n, 1);
    assert_int_equal(told.wanted, 2);
    assert_int_equal(told.until, header_of(f, &id).deleted_at + 24 * 3600);

    assert_ok(vs_approval_list(f->store, 0, list, 2, &n));
    assert_int_equal(n, 1);
    assert_string_equal(list[0].who, "one");
    assert_int_equal(list[0].until, told.until);

    assert_ok(vs_user_set_verbs(f->store, f->so, "one", VS_VERB_LIST));
    assert_ok(vs_approval_list(f->store, 0, list, 2, &n));
    assert_int_equal(n, 0);
    assert_status(vs_object_purge_told(f->store, 0, two, &id, &told), VS_PENDING);
    assert_int_equal(told.n, 1);                     /* one has lost the verb */
    assert_ok(vs_user_grant(f->store, f->so, "one", &id, VS_VERB_PURGE));
    assert_ok(vs_user_remove(f->store, f->so, "two"));
    assert_status(vs_object_purge_told(f->store, 0, one, &id, &told), VS_PENDING);
    assert_int_equal(told.n, 1);                     /* two is gone */
    vs_logout(two);

    assert_ok(vs_user_remove(f->store, f->so, "one"));   /* within the second */
    assert_ok(vs_user_add(f->store, f->so, "one", pin, 8, verbs));
    assert_ok(vs_user_add(f->store, f->so, "two", pin, 8, VS_VERB_LIST));
    assert_ok(vs_login_named(f->store, 0, "two", pin, 8, &two));
    assert_status(vs_object_purge(f->store, 0, two, &id), VS_DENIED);
    assert_ok(vs_user_grant(f->store, f->so, "two", &id, VS_VERB_PURGE));
    assert_status(vs_object_purge_told(f->store, 0, two, &id, &told), VS_PENDING);
    assert_int_equal(told.n, 1);                     /* one is another one now */
    assert_false(slot_wiped(f, &id));
    assert_ok(vs_object_purge(f->store, 0, f->so, &id));     /* two by a grant, and the SO */
    assert_true(slot_wiped(f, &id));
    vs_logout(one);
    vs_logout(two);
}

static void test_approvals_but_of_damaged(void **state)
{
    struct fixture *f = *state;
    struct vs_id ids[2];
    struct vs_approval list[2];
    size_t n;

    policy_set(f, to_two);
    for (int i = 0; i < 2; i++) {
        ids[i] = object_make(f, f->user, true, "k", "v");
        assert_ok(vs_object_delete(f->store, 0, f->user, &ids[i]));
        assert_status(vs_object_purge(f->store, 0, f->so, &ids[i]), VS_PENDING);
    }
    record_damage(f, &ids[0]);
    assert_ok(vs_approval_list(f->store, 0, list, 2, &n));
    assert_int_equal(n, 1);
    assert_memory_equal(&list[0].id, &ids[1], sizeof(ids[1]));
}

static void test_tombstones(void **state)
{
    struct fixture *f = *state;
    struct vs_id ids[2] = {object_make(f, f->user, true, "a", "v"),
                           object_make(f, f->user, true, "b", "v")};
    struct vs_tombstone stones[3];
    size_t n;

    assert_ok(GOVERN(f->user, &ids[0], .set = VS_GOVERN_REASON, .delete_reason = "retired"));
    assert_ok(vs_object_delete_labelled(f->store, 0, f->user, &ids[0], "a"));
    policy_set(f, to_labels);
    assert_ok(vs_object_delete_labelled(f->store, 0, f->user, &ids[1], "b"));
    for (int i = 0; i < 2; i++)
        assert_ok(vs_object_purge(f->store, 0, f->so, &ids[i]));
    assert_ok(vs_tombstone_list(f->store, 0, stones, 3, &n));
    assert_int_equal(n, 2);
    assert_memory_equal(&stones[0].id, &ids[0], sizeof(ids[0]));
    assert_string_equal(stones[0].reason, "retired");
    assert_string_equal(stones[0].label, "");
    assert_string_equal(stones[1].label, "b");
    assert_non_null(strstr(stones[0].deleted_by, "user"));
    assert_non_null(strstr(stones[0].purged_by, "so"));
    assert_int_equal(stones[0].purged_at, vs_store_now(f->store));
}

static void test_vault_hold_and_lock(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v"), live;
    struct vs_vault_info info;
    uint8_t label[32] = {0};
    uint32_t generation;
    size_t purged;

    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_status(vs_generation_hold(f->store, f->user, 0, true), VS_DENIED);
    assert_ok(vs_generation_hold(f->store, f->so, 0, true));
    assert_ok(vs_vault_info(f->store, 0, &info));
    assert_true(info.write_protected && !info.read_only);
    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_HELD);
    assert_status(vs_vault_init(f->store, 0, (const uint8_t *)SO_PIN, strlen(SO_PIN), label, NULL,
                                &generation), VS_LOCKED);
    fixture_pass(f, 400 * (int64_t)DAY);
    assert_ok(vs_sweep(f->store, 10, &purged));
    assert_int_equal(purged, 0);
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
    live = object_make(f, f->user, true, "may be made", "v");
    assert_ok(vs_generation_hold(f->store, f->so, 0, false));
    assert_ok(vs_generation_lock(f->store, f->so, 0, 1));
    assert_status(vs_object_delete(f->store, 0, f->user, &live), VS_LOCKED);
    assert_ok(create(f, true, "made"));
    assert_ok(vs_generation_lock(f->store, f->so, 0, 2));
    assert_status(create(f, true, "not made"), VS_LOCKED);
    assert_status(vs_generation_lock(f->store, f->so, 0, 3), VS_POLICY);
    assert_ok(vs_generation_lock(f->store, f->so, 0, 0));
    assert_ok(vs_object_delete(f->store, 0, f->user, &live));
    audit_expect_whole(f);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, fixture_done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_enabled),
        CASE(test_dates),
        CASE(test_hold_needs_the_verb_and_stops_purges),
        CASE(test_locks),
        CASE(test_recover_to),
        CASE(test_disable_before_delete),
        CASE(test_reserve_names),
        CASE(test_require_backup),
        CASE(test_cooling_off),
        CASE(test_retention_limit),
        CASE(test_policy_keeps_promised_dates),
        CASE(test_one_verb),
        CASE(test_two_person_purge),
        CASE(test_approvals_that_are_void),
        CASE(test_approvals_but_of_damaged),
        CASE(test_tombstones),
        CASE(test_vault_hold_and_lock),
    };
    return cmocka_run_group_tests_name("govern", tests, NULL, NULL);
}
