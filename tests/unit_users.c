/* unit_users.c: named principals: their verbs, grants, PINs, and their end. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store_fixture.h"
#include "vaultstore/store_internal.h"

#define PIN "alice-pin-1"
#define BYTES(text) (const uint8_t *)(text), strlen(text)

static int login_named(struct fixture *f, const char *name, const char *pin,
                       struct vs_login **ret_login)
{
    return vs_login_named(f->store, 0, name, BYTES(pin), ret_login);
}

static struct vs_login *user_make(struct fixture *f, const char *name, uint32_t verbs)
{
    struct vs_login *login = NULL;

    assert_ok(vs_user_add(f->store, f->so, name, BYTES(PIN), verbs));
    assert_ok(login_named(f, name, PIN, &login));
    return login;
}

static void test_add_and_list(void **state)
{
    struct fixture *f = *state;
    struct vs_user_info infos[4];
    size_t n = 0;

    vs_logout(user_make(f, "bob", VS_VERB_SIGN));
    vs_logout(user_make(f, "alice", VS_VERB_GET | VS_VERB_LIST));
    assert_ok(vs_user_list(f->store, 0, infos, 4, &n));
    assert_int_equal(n, 2);
    assert_string_equal(infos[0].name, "alice");
    assert_int_equal(infos[0].verbs, VS_VERB_GET | VS_VERB_LIST);
    assert_int_equal(infos[0].tries_left, f->options.defaults.pin_tries);
    assert_memory_equal(infos[0].created_by, "so (uid", 7);
    assert_string_equal(infos[1].name, "bob");
    assert_status(vs_user_add(f->store, f->so, "bob", BYTES(PIN), 0), VS_WRONG_STATE);
    assert_ok(vs_user_exists(f->store, 0, "bob"));
    assert_status(vs_user_exists(f->store, 0, "carol"), VS_NOT_FOUND);
    assert_int_equal(audit_count(f, "UserAdd", VS_OK), 2);
}

static void test_names_and_pins(void **state)
{
    static const char *const bad[] = {"", "so", "user", "public", "a:b", "a b", "ä",
                                      "123456789012345678901234567890123"};
    struct fixture *f = *state;
    struct vs_login *login = NULL;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_status(vs_user_add(f->store, f->so, bad[i], BYTES(PIN), 0), VS_POLICY);
    assert_status(vs_user_add(f->store, f->so, "x", BYTES("abc"), 0), VS_POLICY);
    assert_status(vs_user_add(f->store, f->so, "x", BYTES(PIN), UINT32_MAX), VS_POLICY);
    assert_status(vs_user_add(f->store, NULL, "x", BYTES(PIN), 0), VS_DENIED);
    assert_status(vs_user_remove(f->store, f->so, "nobody"), VS_NOT_FOUND);
    vs_logout(user_make(f, "12345678901234567890123456789012", VS_VERBS_ALL));
    assert_status(login_named(f, "nobody", PIN, &login), VS_PIN_INCORRECT);
    assert_status(login_named(f, "so", SO_PIN, &login), VS_PIN_INCORRECT);
}

/* The user's default rights have no policy verb; a named one hands on what it has, no more. */
static void test_who_may(void **state)
{
    struct fixture *f = *state;
    struct vs_login *admin, *clerk;

    assert_status(vs_user_add(f->store, f->user, "x", BYTES(PIN), 0), VS_DENIED);
    assert_int_equal(audit_count(f, "UserAdd", VS_DENIED), 1);
    admin = user_make(f, "admin", VS_VERB_POLICY | VS_VERB_SIGN);
    clerk = user_make(f, "clerk", VS_VERB_SIGN);
    assert_status(vs_user_add(f->store, clerk, "x", BYTES(PIN), 0), VS_DENIED);
    assert_ok(vs_user_add(f->store, admin, "x", BYTES(PIN), VS_VERB_SIGN));
    assert_status(vs_user_set_verbs(f->store, admin, "x", VS_VERB_WRAP), VS_DENIED);
    assert_ok(vs_user_set_verbs(f->store, f->so, "x", VS_VERB_WRAP));
    assert_status(vs_user_set_pin(f->store, admin, "x", BYTES("other-pin")), VS_DENIED);
    assert_status(vs_user_remove(f->store, admin, "x"), VS_DENIED);
    assert_ok(vs_user_remove(f->store, admin, "clerk"));
    vs_logout(admin);
    vs_logout(clerk);
}

static void test_verbs_on_objects(void **state)
{
    static const struct { uint32_t verb; bool update, delete, recover, create; } rows[] = {
        {VS_VERB_LIST, false, false, false, false},
        {VS_VERB_UPDATE, true, false, false, false},
        {VS_VERB_DELETE, false, true, false, false},
        {VS_VERB_RECOVER, false, false, true, false},
        {VS_VERB_CREATE, false, false, false, true},
    };
    struct fixture *f = *state;
    struct vs_login *login = user_make(f, "alice", 0);

    for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        bool is_private = i % 2 == 0;
        struct vs_id id = object_make(f, f->user, is_private, "k", "x"), made;
        const struct vs_new_object object = {.is_private = is_private, .destroyable = true,
                                             .attrs = (const uint8_t *)"y", .attrs_len = 1,
                                             .operation = "KeyUpdate"};
        const bool may[] = {rows[i / 2].update, rows[i / 2].delete, rows[i / 2].recover,
                            rows[i / 2].create};
        uint32_t version = 0;

        assert_ok(vs_user_set_verbs(f->store, f->so, "alice", rows[i / 2].verb));
        assert_status(vs_object_update(f->store, 0, login, &id, 1, &object, &version),
                      may[0] ? VS_OK : VS_DENIED);
        assert_status(vs_object_delete(f->store, 0, login, &id), may[1] ? VS_OK : VS_DENIED);
        if (!may[1])
            assert_ok(vs_object_delete(f->store, 0, f->user, &id));
        assert_status(vs_object_recover(f->store, 0, login, &id), may[2] ? VS_OK : VS_DENIED);
        assert_status(vs_object_create(f->store, 0, login, &object, 1, &made),
                      may[3] ? VS_OK : VS_DENIED);
    }
    vs_logout(login);
}

static void test_grants(void **state)
{
    struct fixture *f = *state;
    struct vs_id mine = object_make(f, f->user, true, "mine", "x");
    struct vs_id other = object_make(f, f->user, true, "other", "x");
    struct vs_login *login = user_make(f, "alice", 0);
    struct vs_grant grants[2];
    struct vs_object object;
    size_t n = 0;

    assert_status(vs_object_read(f->store, 0, login, &mine, &object), VS_DENIED);
    assert_ok(vs_user_grant(f->store, f->so, "alice", &mine, VS_VERB_SIGN | VS_VERB_DELETE));
    object_expect(f, login, &mine, "x");
    assert_status(vs_object_read(f->store, 0, login, &other, &object), VS_DENIED);
    assert_ok(vs_login_may(f->store, login, &mine, VS_VERB_SIGN));
    assert_status(vs_login_may(f->store, login, &other, VS_VERB_SIGN), VS_DENIED);
    assert_status(vs_login_may(f->store, login, NULL, VS_VERB_SIGN), VS_DENIED);
    assert_ok(vs_user_grants(f->store, 0, "alice", grants, 2, &n));
    assert_int_equal(n, 1);
    assert_memory_equal(&grants[0].id, &mine, sizeof(mine));
    assert_status(vs_object_delete(f->store, 0, login, &other), VS_DENIED);
    /* a delete and a recovery leave the grant as it was */
    assert_ok(vs_object_delete(f->store, 0, login, &mine));
    assert_ok(vs_object_recover(f->store, 0, f->user, &mine));
    assert_ok(vs_login_may(f->store, login, &mine, VS_VERB_SIGN));
    assert_ok(vs_user_grant(f->store, f->so, "alice", &mine, 0));
    assert_status(vs_login_may(f->store, login, &mine, VS_VERB_SIGN), VS_DENIED);
    vs_logout(login);
}

static void test_remove(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "x");
    struct vs_login *login = user_make(f, "alice", VS_VERBS_USER), *next;
    struct vs_object object;
    struct vs_grant grants[1];
    size_t n = 1;

    assert_ok(vs_user_grant(f->store, f->so, "alice", &id, VS_VERB_PURGE));
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    assert_status(vs_login_check(f->store, login), VS_REVOKED);
    assert_status(vs_object_read(f->store, 0, login, &id, &object), VS_REVOKED);
    assert_status(vs_object_delete(f->store, 0, login, &id), VS_REVOKED);
    /* whoever gets the name gets neither the login nor the grants */
    next = user_make(f, "alice", VS_VERB_LIST);
    assert_status(vs_login_check(f->store, login), VS_REVOKED);
    assert_ok(vs_login_check(f->store, next));
    assert_ok(vs_user_grants(f->store, 0, "alice", grants, 1, &n));
    assert_int_equal(n, 0);
    object_expect(f, f->user, &id, "x");
    vs_logout(login);
    vs_logout(next);
}

static void test_pins(void **state)
{
    struct fixture *f = *state;
    struct vs_login *login = user_make(f, "alice", VS_VERB_LIST), *again = NULL;

    assert_ok(vs_login_verify(f->store, login, BYTES(PIN)));
    assert_status(vs_login_verify(f->store, login, BYTES(USER_PIN)), VS_PIN_INCORRECT);
    assert_ok(vs_pin_change_named(f->store, 0, "alice", BYTES(PIN), BYTES("second")));
    assert_status(login_named(f, "alice", PIN, &again), VS_PIN_INCORRECT);
    assert_ok(login_named(f, "alice", "second", &again));
    assert_int_equal(vs_login_verbs(again), VS_VERB_LIST);
    vs_logout(again);
    for (uint32_t i = 0; i < f->options.defaults.pin_tries; i++)
        assert_status(login_named(f, "alice", "wrong", &again), VS_PIN_INCORRECT);
    assert_status(login_named(f, "alice", "second", &again), VS_PIN_LOCKED);
    login_try(f, VS_ROLE_USER, USER_PIN, VS_OK);     /* the others' tries are their own */
    assert_ok(vs_user_set_pin(f->store, f->so, "alice", BYTES("third")));
    assert_ok(login_named(f, "alice", "third", &again));
    assert_int_equal(vs_login_verbs(again), VS_VERB_LIST);
    vs_logout(again);
    vs_logout(login);
}

static void test_audit_names(void **state)
{
    struct fixture *f = *state;
    struct vs_login *login = user_make(f, "alice", VS_VERBS_USER);
    struct vs_id id = object_make(f, login, true, "k", "x");
    struct vs_header header;
    struct vs_event events[64];
    size_t n = 0, named = 0;

    assert_ok(vs_object_delete(f->store, 0, login, &id));
    assert_ok(vs_object_peek(f->store, 0, &id, &header));
    assert_memory_equal(header.deleted_by, "alice (uid", 10);
    assert_ok(vs_audit_read(f->store, 1, events, 64, &n));
    for (size_t i = 0; i < n; i++)
        named += strcmp(events[i].principal, "alice") == 0;
    assert_int_equal(named, 2);
    vs_logout(login);
}

/* Users go and come back with their generation. */
static void test_generations(void **state)
{
    struct fixture *f = *state;
    struct vs_login *login = user_make(f, "alice", VS_VERB_SIGN), *again = NULL;
    uint32_t former = vs_login_generation(login);
    size_t n = 1;

    vault_make(f, 0, NULL);
    assert_status(vs_login_check(f->store, login), VS_REVOKED);
    assert_ok(vs_user_list(f->store, 0, NULL, 0, &n));
    assert_int_equal(n, 0);
    assert_status(login_named(f, "alice", PIN, &again), VS_PIN_INCORRECT);
    assert_ok(vs_generation_recover(f->store, 0, former, VS_ROLE_SO, BYTES(SO_PIN)));
    assert_ok(login_named(f, "alice", PIN, &again));
    assert_int_equal(vs_login_verbs(again), VS_VERB_SIGN);
    vs_logout(again);
    vs_logout(login);
}

/* What was granted counts as what was given: nobody takes it over by the PIN of another. */
static void test_grants_beyond_ones_own(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "x");
    struct vs_id other = object_make(f, f->user, true, "other", "x");
    struct vs_login *admin = user_make(f, "admin", VS_VERB_POLICY | VS_VERB_SIGN);

    vs_logout(user_make(f, "x", VS_VERB_SIGN));
    assert_ok(vs_user_set_verbs(f->store, admin, "x", VS_VERB_SIGN));
    assert_ok(vs_user_grant(f->store, admin, "x", &id, VS_VERB_SIGN));
    assert_ok(vs_user_set_pin(f->store, admin, "x", BYTES("other-pin")));
    assert_ok(vs_user_grant(f->store, f->so, "x", &id, VS_VERB_SIGN | VS_VERB_PURGE));
    assert_status(vs_user_set_pin(f->store, admin, "x", BYTES("other-pin")), VS_DENIED);
    assert_status(vs_user_set_verbs(f->store, admin, "x", 0), VS_DENIED);
    assert_status(vs_user_grant(f->store, admin, "x", &id, VS_VERB_SIGN), VS_DENIED);
    assert_status(vs_user_grant(f->store, admin, "x", &id, 0), VS_DENIED);
    assert_ok(vs_user_grant(f->store, admin, "x", &other, VS_VERB_SIGN));
    assert_status(vs_user_remove(f->store, admin, "x"), VS_DENIED);
    assert_ok(vs_user_set_pin(f->store, f->so, "x", BYTES("third-pin")));
    assert_ok(vs_user_set_verbs(f->store, f->so, "x", VS_VERB_SIGN));
    assert_ok(vs_user_grant(f->store, f->so, "x", &id, VS_VERB_SIGN));
    assert_ok(vs_user_remove(f->store, admin, "x"));
    vs_logout(admin);
}

/* A grant that nobody can read grants nothing, and keeps nobody from being removed. */
static void test_damaged_grant(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "x");
    struct vs_login *alice = user_make(f, "alice", 0);
    struct vs_login *admin = user_make(f, "admin", VS_VERB_POLICY | VS_VERB_SIGN);
    struct key key = key_grant(vs_login_generation(f->so), alice->number, &id);

    assert_ok(vs_user_grant(f->store, f->so, "alice", &id, VS_VERB_PURGE));
    record_damage_at(f, &key);
    assert_ok(vs_user_set_pin(f->store, admin, "alice", BYTES(PIN)));
    assert_ok(vs_user_grant(f->store, admin, "alice", &id, VS_VERB_SIGN));
    assert_ok(vs_login_may(f->store, alice, &id, VS_VERB_SIGN));
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    assert_status(vs_login_check(f->store, alice), VS_REVOKED);
    vs_logout(admin);
    vs_logout(alice);
}

/* ------------------------------------------------------------------ restored */

static int blob_file(struct fixture *f)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/blob", f->dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void backup(struct fixture *f)
{
    const struct vs_backup ask = {.fd = blob_file(f)};
    uint64_t n;
    bool marked;

    assert_ok(vs_backup(f->store, 0, f->user, &ask, &n, &marked));
    close(ask.fd);
}

static int settings_restore(struct fixture *f, struct vs_login *login, uint64_t *ret_n)
{
    const struct vs_restore ask = {.fd = blob_file(f), .settings = true};
    int status = vs_restore(f->store, 0, login, &ask, ret_n);

    close(ask.fd);
    return status;
}

static void test_restored_with_grants(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "x");
    struct vs_login *admin = user_make(f, "admin", VS_VERB_POLICY | VS_VERB_SIGN);
    struct vs_grant grants[2];
    uint64_t restored = 0;
    size_t n;

    vs_logout(user_make(f, "x", VS_VERB_SIGN));
    assert_ok(vs_user_grant(f->store, f->so, "x", &id, VS_VERB_PURGE));
    backup(f);
    assert_ok(vs_user_remove(f->store, f->so, "x"));
    assert_status(settings_restore(f, admin, &restored), VS_DENIED);
    assert_status(vs_user_exists(f->store, 0, "x"), VS_NOT_FOUND);
    assert_ok(settings_restore(f, f->so, &restored));
    assert_int_equal(restored, 1);
    assert_ok(vs_user_grants(f->store, 0, "x", grants, 2, &n));
    assert_int_equal(n, 1);
    assert_memory_equal(&grants[0].id, &id, sizeof(id));
    assert_int_equal(grants[0].verbs, VS_VERB_PURGE);
    /* one without such a grant it may restore */
    assert_ok(vs_user_grant(f->store, f->so, "x", &id, VS_VERB_SIGN));
    backup(f);
    assert_ok(vs_user_remove(f->store, f->so, "x"));
    assert_ok(settings_restore(f, admin, &restored));
    assert_int_equal(restored, 1);
    vs_logout(admin);
}

/* Without purge protection, and purges take two. */
static int two_person_vault(void **state)
{
    struct vs_policy policy;
    struct fixture *f;

    if (fixture_store(state) != 0)
        return -1;
    f = *state;
    policy = f->options.defaults;
    policy.purge_protection = false;
    policy.purge_approvals = 2;
    vault_make(f, 0, &policy);
    fixture_login(f);
    return 0;
}

/* The one who comes back is not the one who was removed, whose login and word are void. */
static void test_restored_is_another(void **state)
{
    const uint32_t verbs = VS_VERB_PURGE | VS_VERB_LIST | VS_VERB_GET;
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "x");
    struct vs_login *former = user_make(f, "alice", verbs), *alice = NULL;
    struct vs_approvals told;
    struct vs_object object;
    uint64_t n;

    object_expect(f, former, &id, "x");
    backup(f);
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_status(vs_object_purge(f->store, 0, former, &id), VS_PENDING);
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    assert_ok(settings_restore(f, f->so, &n));
    assert_int_equal(n, 1);
    for (int i = 0; i < 2; i++) {
        assert_status(vs_login_check(f->store, former), VS_REVOKED);
        assert_status(vs_object_read(f->store, 0, former, &id, &object), VS_REVOKED);
        assert_status(vs_object_purge(f->store, 0, former, &id), VS_REVOKED);
        assert_status(vs_object_purge_told(f->store, 0, f->so, &id, &told), VS_PENDING);
        assert_int_equal(told.n, 1);         /* the SO's own */
        assert_ok(vs_user_set_pin(f->store, f->so, "alice", BYTES(PIN)));
    }
    assert_false(slot_wiped(f, &id));
    assert_ok(login_named(f, "alice", PIN, &alice));
    assert_memory_not_equal(alice->number, former->number, PRINCIPAL_NUMBER);
    assert_int_equal(vs_login_verbs(alice), verbs);
    assert_ok(vs_object_purge(f->store, 0, alice, &id));
    assert_true(slot_wiped(f, &id));
    vs_logout(alice);
    vs_logout(former);
}

/* ------------------------------------------------------------------ at the same time */

struct at_once { struct fixture *f; struct vs_login *login; int status; _Atomic bool over; };

static void *login_run(void *ctx)
{
    struct at_once *at_once = ctx;

    at_once->status = login_named(at_once->f, "alice", PIN, &at_once->login);
    at_once->over = true;
    return NULL;
}

static struct principal alice_now(struct fixture *f)
{
    const struct who who = {.role = VS_ROLE_USER, .name = "alice"};
    struct principal p;
    struct kv_txn *txn;

    assert_ok(kv_read(f->store->kv, &txn));
    assert_ok(principal_get(f->store, txn, vs_login_generation(f->so), who, &p));
    kv_abort(txn);
    return p;
}

/* Alice logs in, and her PIN is stretched as the policy now says; once her try is counted, and
 * before the new record is there, she gets other verbs. Did it come in between? */
static bool verbs_while_login(struct fixture *f, uint32_t log_n, uint32_t verbs)
{
    struct at_once at_once = {.f = f};
    struct vs_vault_info info;
    pthread_t thread;
    bool between;

    assert_ok(vs_vault_info(f->store, 0, &info));
    info.policy.scrypt_log_n = log_n;
    assert_ok(vs_vault_set_policy(f->store, f->so, &info.policy));
    assert_int_equal(pthread_create(&thread, NULL, login_run, &at_once), 0);
    while (alice_now(f).tries == 0 && !at_once.over)
        sched_yield();
    assert_ok(vs_user_set_verbs(f->store, f->so, "alice", verbs));
    between = alice_now(f).log_n < log_n;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ok(at_once.status);
    vs_logout(at_once.login);
    assert_int_equal(alice_now(f).log_n, log_n);
    assert_int_equal(alice_now(f).tries, 0);
    return between;
}

static void test_verbs_while_login(void **state)
{
    struct fixture *f = *state;
    bool between = false;

    vs_logout(user_make(f, "alice", VS_VERB_SIGN));
    for (uint32_t log_n = 14; log_n <= 19 && !between; log_n++) {
        const uint32_t verbs = log_n % 2 != 0 ? VS_VERB_SIGN : VS_VERB_LIST;

        between = verbs_while_login(f, log_n, verbs);
        assert_int_equal(alice_now(f).verbs, verbs);
    }
    assert_true(between);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_add_and_list, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_names_and_pins, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_who_may, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_verbs_on_objects, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_grants, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_remove, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_pins, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_audit_names, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_generations, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_grants_beyond_ones_own, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_damaged_grant, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_restored_with_grants, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_restored_is_another, two_person_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_verbs_while_login, fixture_vault, fixture_done),
    };

    return cmocka_run_group_tests_name("users", tests, NULL, NULL);
}
