/* unit_rotation.c: the vault key changes when a user is removed, and nothing is lost by it. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rotation_fixture.h"
#include "vaultstore/audit.h"

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
    fresh = labelled(f, bob, true, "fresh");
    assert_int_equal(object_epoch(f, &fresh), rotation.epoch);
    assert_ok(vs_object_recover(f->store, 0, f->user, &ids[5]));
    assert_ok(vs_object_delete(f->store, 0, f->user, &ids[5]));
    vs_logout(bob);
    assert_ok(vs_login_named(f->store, 0, "bob", BYTES(PIN), &bob));
    objects_expect(f, bob, ids, rotation.epoch);
    object_expect(f, bob, &fresh, "fresh");
    /* the key that alice had opens nothing: her login has no other */
    assert_null(login_ring_of(alice, rotation.epoch));
    vs_logout(alice);
    vs_logout(bob);
    fixture_close(f);
    fixture_open(f);
    fixture_login(f);
    objects_expect(f, f->user, ids, rotation.epoch);
    object_expect(f, f->user, &fresh, "fresh");
    assert_int_equal(audit_count(f, "VaultKeyRotated", VS_OK), 1);
    audit_expect_whole(f);
}

/* doctor looks for what would be the worst: an object under a vault key that is gone. */
static void test_astray(void **state)
{
    struct fixture *f = *state;
    struct vs_id ids[OBJECTS];
    struct vs_health health;
    struct key key;
    struct kept kept;

    objects_make(f, ids);
    key = key_object(&ids[1]);
    record_keep(f, &key, &kept);
    vs_logout(user_make(f, "alice"));
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    assert_ok(vs_store_health(f->store, &health));
    assert_int_equal(health.astray, 0);
    record_put_back(f, &kept);
    assert_ok(vs_store_health(f->store, &health));
    assert_int_equal(health.astray, 1);
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
    struct vs_id id = labelled(f, bob, true, "k");
    struct vs_object object;

    vs_logout(user_make(f, "alice"));
    assert_ok(vs_user_set_pin(f->store, f->so, "bob", BYTES(PIN)));
    object_expect(f, bob, &id, "k");
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    assert_status(vs_object_read(f->store, 0, bob, &id, &object), VS_REVOKED);
    assert_status(vs_login_check(f->store, bob), VS_REVOKED);
    vs_logout(bob);
    assert_ok(vs_login_named(f->store, 0, "bob", BYTES(PIN), &bob));
    object_expect(f, bob, &id, "k");
    vs_logout(bob);
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
    fresh = labelled(f, f->user, true, "fresh");
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
    object_expect(f, f->user, &fresh, "fresh");
}

/* ------------------------------------------------------------------ what goes wrong */

/* A record that nobody can open: the former key stays, and so does what else it opens. */
static void test_damaged_object(void **state)
{
    struct fixture *f = *state;
    struct vs_id good = labelled(f, f->user, true, "good");
    struct vs_id bad = labelled(f, f->user, true, "bad");

    record_damage(f, &bad);
    vs_logout(user_make(f, "alice"));
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    assert_true(rotation_now(f).resealing);
    object_expect(f, f->user, &good, "good");
    record_damage(f, &bad);          /* repaired */
    object_expect(f, f->user, &bad, "bad");
    login_try(f, VS_ROLE_SO, SO_PIN, VS_OK);
    assert_false(rotation_now(f).resealing);
    object_expect(f, f->user, &bad, "bad");
}

/* A purge that a copy put back knows nothing of: nothing opens it, and no rotation waits for it. */
static void test_wiped_object(void **state)
{
    struct fixture *f = *state;
    struct vs_id gone = labelled(f, f->user, true, "gone");
    struct vs_id good = labelled(f, f->user, true, "good");
    struct vs_object object;
    uint64_t before = 0;

    slot_wipe(f, &gone);
    for (int i = 0; i < 2; i++) {
        vs_logout(user_make(f, "alice"));
        assert_ok(vs_user_remove(f->store, f->so, "alice"));
        assert_false(rotation_now(f).resealing);
        assert_true(rotation_now(f).epoch != before);
        before = rotation_now(f).epoch;
        assert_int_equal(object_epoch(f, &good), before);
    }
    object_expect(f, f->user, &good, "good");
    assert_status(vs_object_read(f->store, 0, f->user, &gone, &object), VS_NOT_FOUND);
    assert_int_equal(audit_count(f, "VaultKeyRotated", VS_OK), 2);
}

static void login_expect(struct fixture *f, const char *name, const struct vs_id *id)
{
    struct vs_login *login = NULL;

    assert_ok(vs_login_named(f->store, 0, name, BYTES(PIN), &login));
    object_expect(f, login, id, "k");
    vs_logout(login);
}

/* A principal's record that nobody can read is left out: the others get the new key. */
static void test_damaged_principal(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = labelled(f, f->user, true, "k");
    struct key key = key_named(vs_login_generation(f->so), "bob");

    vs_logout(user_make(f, "bob"));
    vs_logout(user_make(f, "carol"));
    vs_logout(user_make(f, "alice"));
    record_damage_at(f, &key);
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    assert_true(rotation_now(f).epoch != 0);
    assert_false(rotation_now(f).resealing);
    assert_false(rotation_now(f).wanted);
    assert_int_equal(object_epoch(f, &id), rotation_now(f).epoch);
    login_expect(f, "carol", &id);
    record_damage_at(f, &key);       /* repaired: another PIN gives it the new key */
    assert_ok(vs_user_set_pin(f->store, f->so, "bob", BYTES(PIN)));
    login_expect(f, "bob", &id);
}

struct as_format_1 { struct vs_login *login; struct who who; };

/* A principal's record as format 1 had it: the vault key itself is under the PIN, and no pair. */
static int as_format_1_run(struct commit_txn *txn, void *ctx)
{
    const struct as_format_1 *as = ctx;
    AUTO(secret_key) struct secret_key slot, vault_key;
    AUTO(pin_key) struct pin_key pin_key;
    struct audit_entry entry = {.operation = "Test", .principal = "so"};
    struct generation live;
    struct principal p;

    VS_TRY(generation_enter(txn->store, txn->kv, 0, as->login, &live));
    VS_TRY(principal_get(txn->store, txn->kv, live.number, as->who, &p));
    VS_TRY(keyslots_read(txn->store->slots, live.slot, slot.b));
    VS_TRY(pin_stretch(txn->store, BYTES(USER_PIN), VS_SCRYPT_LOG_N_MIN, &pin_key));
    memcpy(vault_key.b, login_ring_of(as->login, 0)->vault_key, SEAL_KEY);
    p.has_pair = true;           /* and what it is of is wrapped */
    VS_TRY(principal_wrap(txn->store, &live, as->who, slot.b, &pin_key, vault_key.b, &p,
                          &vault_key));
    p.has_pair = false;
    memset(p.public_key, 0, sizeof(p.public_key));
    memset(p.box, 0, sizeof(p.box));
    VS_TRY(principal_put(txn, live.number, as->who, &p));
    return audit_append(txn, &entry);
}

/* Somebody who has not logged in since format 1 cannot be given another key: it waits for that. */
static void test_put_off(void **state)
{
    struct fixture *f = *state;
    struct principal user;
    struct who who = {.role = VS_ROLE_USER};
    struct vs_id id = labelled(f, f->user, true, "k");
    struct vs_login *bob = user_make(f, "bob");
    struct kv_txn *txn;
    struct as_format_1 as = {.login = f->user, .who = who};

    assert_ok(commit_run(f->store, as_format_1_run, &as));
    vs_logout(user_make(f, "alice"));
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    assert_int_equal(rotation_now(f).epoch, 0);
    assert_true(rotation_now(f).wanted);
    assert_non_null(strstr(f->trace, "by a later login"));
    vs_logout(bob);
    assert_ok(vs_login_named(f->store, 0, "bob", BYTES(PIN), &bob));
    assert_int_equal(rotation_now(f).epoch, 0);          /* the user has still not */
    vs_logout(bob);
    login_try(f, VS_ROLE_USER, USER_PIN, VS_OK);
    assert_true(rotation_now(f).epoch != 0);
    assert_false(rotation_now(f).wanted);
    assert_false(rotation_now(f).resealing);
    assert_int_equal(object_epoch(f, &id), rotation_now(f).epoch);
    assert_int_equal(audit_count(f, "VaultKeyRotate", VS_OK), 1);
    assert_ok(kv_read(f->store->kv, &txn));
    assert_ok(principal_get(f->store, txn, vs_login_generation(f->so), who, &user));
    kv_abort(txn);
    assert_true(user.has_pair);
    vs_logout(f->user);
    assert_ok(login_as(f, VS_ROLE_USER, USER_PIN, &f->user));
    object_expect(f, f->user, &id, "k");
    audit_expect_whole(f);
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
            object_expect(f, f->user, &ids[j], "k");
        assert_int_equal(find_label(f, f->user, "k", false, NULL), OBJECTS - OBJECTS / 5);
        assert_ok(vs_user_list(f->store, 0, NULL, 0, &n));
    }
    audit_expect_whole(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_killed, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_remove_rotates, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_astray, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_many, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_login_of_former_pin, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_interrupted, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_put_off, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_damaged_object, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_wiped_object, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_damaged_principal, rotation_vault, fixture_done),
    };

    return cmocka_run_group_tests_name("rotation", tests, NULL, NULL);
}
