/* unit_rotation.c: the vault key changes when a user is removed, and nothing is lost by it. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_fixture.h"
#include "vaultstore/audit.h"
#include "vaultstore/object.h"
#include "vaultstore/store_internal.h"

#define PIN "alice-pin-1"
#define BYTES(text) (const uint8_t *)(text), strlen(text)
#define OBJECTS 150              /* more than two batches */

static struct vs_login *user_make(struct fixture *f, const char *name)
{
    struct vs_login *login = NULL;

    assert_ok(vs_user_add(f->store, f->so, name, BYTES(PIN), VS_VERBS_USER));
    assert_ok(vs_login_named(f->store, 0, name, BYTES(PIN), &login));
    return login;
}

static struct rotation rotation_now(struct fixture *f)
{
    struct generation live;

    assert_ok(live_read(f->store, 0, &live));
    return live.rotation;
}

static uint64_t object_epoch(struct fixture *f, const struct vs_id *id)
{
    struct vs_header header;

    assert_ok(vs_object_peek(f->store, 0, id, &header));
    return header.epoch;
}

static void objects_make(struct fixture *f, struct vs_id ids[OBJECTS])
{
    for (size_t i = 0; i < OBJECTS; i++) {
        ids[i] = object_make(f, f->user, i % 3 != 0, "k", "x");
        if (i % 5 == 0)
            assert_ok(vs_object_delete(f->store, 0, f->user, &ids[i]));
    }
}

static void objects_expect(struct fixture *f, struct vs_login *login,
                           const struct vs_id ids[OBJECTS], uint64_t epoch)
{
    for (size_t i = 0; i < OBJECTS; i++) {
        object_expect(f, login, &ids[i], "x");
        if (i % 3 != 0)
            assert_int_equal(object_epoch(f, &ids[i]), epoch);
    }
    assert_int_equal(find_label(f, login, "k", false, NULL), OBJECTS - OBJECTS / 5);
    assert_int_equal(find_label(f, login, "k", true, NULL), OBJECTS / 5);
}

static void test_remove_rotates(void **state)
{
    struct fixture *f = *state;
    struct vs_login *alice = user_make(f, "alice"), *bob = user_make(f, "bob");
    struct vs_id ids[OBJECTS];
    struct rotation rotation;
    struct vs_id fresh;

    objects_make(f, ids);
    assert_int_equal(rotation_now(f).epoch, 0);
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    rotation = rotation_now(f);
    assert_true(rotation.epoch != 0);
    assert_false(rotation.resealing);
    for (size_t i = 0; i < sizeof(rotation.former); i++)
        assert_int_equal(rotation.former[i], 0);
    /* those who were logged in all the while, and those who log in now */
    objects_expect(f, f->user, ids, rotation.epoch);
    objects_expect(f, bob, ids, rotation.epoch);
    fresh = object_make(f, bob, true, "fresh", "y");
    assert_int_equal(object_epoch(f, &fresh), rotation.epoch);
    assert_ok(vs_object_recover(f->store, 0, f->user, &ids[5]));
    assert_ok(vs_object_delete(f->store, 0, f->user, &ids[5]));
    vs_logout(bob);
    assert_ok(vs_login_named(f->store, 0, "bob", BYTES(PIN), &bob));
    objects_expect(f, bob, ids, rotation.epoch);
    object_expect(f, bob, &fresh, "y");
    /* the key that alice had opens nothing: her login has no other */
    assert_null(login_ring_of(alice, rotation.epoch));
    vs_logout(alice);
    vs_logout(bob);
    fixture_close(f);
    fixture_open(f);
    fixture_login(f);
    objects_expect(f, f->user, ids, rotation.epoch);
    object_expect(f, f->user, &fresh, "y");
    assert_int_equal(audit_count(f, "VaultKeyRotated", VS_OK), 1);
    audit_expect_whole(f);
}

/* Again and again; PINs change and are set in between. */
static void test_many(void **state)
{
    struct fixture *f = *state;
    struct vs_id ids[OBJECTS];
    uint64_t before = 0;

    objects_make(f, ids);
    for (int i = 0; i < 4; i++) {
        vs_logout(user_make(f, "alice"));
        assert_ok(vs_user_remove(f->store, f->so, "alice"));
        assert_true(rotation_now(f).epoch != before);
        before = rotation_now(f).epoch;
        assert_ok(vs_pin_init(f->store, f->so, BYTES(USER_PIN)));
        assert_ok(vs_pin_change(f->store, 0, VS_ROLE_SO, BYTES(SO_PIN), BYTES(SO_PIN)));
    }
    vs_logout(f->so);
    vs_logout(f->user);
    fixture_login(f);
    objects_expect(f, f->user, ids, before);
}

/* A PIN set anew has another pair: a login from before ends with the next rotation. */
static void test_login_of_former_pin(void **state)
{
    struct fixture *f = *state;
    struct vs_login *bob = user_make(f, "bob");
    struct vs_id id = object_make(f, bob, true, "k", "x");
    struct vs_object object;

    vs_logout(user_make(f, "alice"));
    assert_ok(vs_user_set_pin(f->store, f->so, "bob", BYTES(PIN)));
    object_expect(f, bob, &id, "x");
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    assert_status(vs_object_read(f->store, 0, bob, &id, &object), VS_REVOKED);
    assert_status(vs_login_check(f->store, bob), VS_REVOKED);
    vs_logout(bob);
    assert_ok(vs_login_named(f->store, 0, "bob", BYTES(PIN), &bob));
    object_expect(f, bob, &id, "x");
    vs_logout(bob);
}

struct begin { struct vs_login *login; const char *leaving; };

static int begin_run(struct commit_txn *txn, void *ctx)
{
    const struct begin *begin = ctx;
    struct audit_entry entry = {.operation = "Test", .principal = "so"};
    struct generation live;
    bool begun;

    VS_TRY(generation_enter(txn->store, txn->kv, 0, begin->login, &live));
    VS_TRY(rotation_begin(txn, begin->login, &live, begin->leaving, &begun));
    assert_true(begun);
    return audit_append(txn, &entry);
}

/* What a crash between the steps leaves: both keys are read, and the next login finishes. */
static void test_interrupted(void **state)
{
    struct fixture *f = *state;
    struct begin begin = {.login = f->so};
    struct vs_id ids[OBJECTS], fresh;
    struct rotation rotation;

    objects_make(f, ids);
    assert_ok(commit_run(f->store, begin_run, &begin));
    rotation = rotation_now(f);
    assert_true(rotation.resealing);
    fresh = object_make(f, f->user, true, "fresh", "y");
    assert_int_equal(object_epoch(f, &fresh), rotation.epoch);
    assert_int_equal(object_epoch(f, &ids[1]), 0);
    objects_expect(f, f->user, ids, 0);
    assert_ok(vs_object_delete(f->store, 0, f->user, &ids[1]));
    assert_int_equal(object_epoch(f, &ids[1]), rotation.epoch);
    assert_ok(vs_object_recover(f->store, 0, f->user, &ids[1]));
    fixture_close(f);
    fixture_open(f);
    fixture_login(f);                /* the first of the two finishes */
    assert_false(rotation_now(f).resealing);
    objects_expect(f, f->user, ids, rotation.epoch);
    object_expect(f, f->user, &fresh, "y");
}

/* A record that nobody can open: the former key stays, and so does what else it opens. */
static void test_damaged_object(void **state)
{
    struct fixture *f = *state;
    struct vs_id good = object_make(f, f->user, true, "good", "x");
    struct vs_id bad = object_make(f, f->user, true, "bad", "x");
    struct key key = key_object(&bad);
    struct kv_txn *txn;
    struct kv_slice value;
    uint8_t copy[1024];
    size_t len;

    assert_ok(kv_write(f->store->kv, &txn));
    assert_ok(kv_get(txn, key.b, key.len, &value));
    len = value.len;
    memcpy(copy, value.data, len);
    copy[len - 1] ^= 1;
    assert_ok(kv_put(txn, key.b, key.len, copy, len));
    assert_ok(kv_commit(txn));
    vs_logout(user_make(f, "alice"));
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    assert_true(rotation_now(f).resealing);
    object_expect(f, f->user, &good, "x");
    copy[len - 1] ^= 1;
    assert_ok(kv_write(f->store->kv, &txn));
    assert_ok(kv_put(txn, key.b, key.len, copy, len));
    assert_ok(kv_commit(txn));
    object_expect(f, f->user, &bad, "x");
    login_try(f, VS_ROLE_SO, SO_PIN, VS_OK);
    assert_false(rotation_now(f).resealing);
    object_expect(f, f->user, &bad, "x");
}

/* kill -9 at any moment of a removal: the objects are all there, under one key or the other, and
 * the removal is either done or not. */
static void test_killed(void **state)
{
    struct fixture *f = *state;
    struct vs_id ids[OBJECTS];
    size_t n;

    objects_make(f, ids);
    for (unsigned i = 0; i < 24; i++) {
        if (vs_user_exists(f->store, 0, "alice") != VS_OK)
            vs_logout(user_make(f, "alice"));
        fixture_close(f);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            fixture_open(f);
            fixture_login(f);
            _exit(vs_user_remove(f->store, f->so, "alice"));
        }
        usleep(8000 + 2500 * i);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        fixture_open(f);
        assert_ok(login_as(f, VS_ROLE_USER, USER_PIN, &f->user));
        assert_ok(login_as(f, VS_ROLE_SO, SO_PIN, &f->so));
        assert_false(rotation_now(f).resealing);
        for (size_t j = 0; j < OBJECTS; j++)
            object_expect(f, f->user, &ids[j], "x");
        assert_int_equal(find_label(f, f->user, "k", false, NULL), OBJECTS - OBJECTS / 5);
        assert_ok(vs_user_list(f->store, 0, NULL, 0, &n));
    }
    audit_expect_whole(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_killed, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_remove_rotates, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_many, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_login_of_former_pin, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_interrupted, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_damaged_object, fixture_vault, fixture_done),
    };

    return cmocka_run_group_tests_name("rotation", tests, NULL, NULL);
}
