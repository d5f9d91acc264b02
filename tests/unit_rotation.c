/* unit_rotation.c: the vault key changes when a user is removed, and nothing is lost by it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_fixture.h"
#include "vaultstore/audit.h"
#include "vaultstore/blob.h"
#include "vaultstore/object.h"
#include "vaultstore/store_internal.h"

#define PIN "alice-pin-1"
#define BYTES(text) (const uint8_t *)(text), strlen(text)
#define OBJECTS 150              /* more than two batches */

/* Here an object's attributes are its label. */
static int terms_each(const uint8_t *attrs, size_t attrs_len, vs_terms_then *then, void *ctx)
{
    const struct vs_term terms[] = {{0, (const uint8_t *)"key", 3}, {1, attrs, attrs_len}};

    return then(ctx, terms, 2);
}

static struct vs_id labelled(struct fixture *f, struct vs_login *login, bool is_private,
                             const char *label)
{
    return object_make(f, login, is_private, label, label);
}

static int rotation_vault(void **state)
{
    struct fixture *f;

    if (fixture_vault(state) != 0)
        return -1;
    f = *state;
    fixture_close(f);
    f->options.terms = terms_each;
    f->options.name_index = 1;
    fixture_open(f);
    fixture_login(f);
    return 0;
}

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
        ids[i] = labelled(f, f->user, i % 3 != 0, "k");
        if (i % 5 == 0)
            assert_ok(vs_object_delete(f->store, 0, f->user, &ids[i]));
    }
}

static void objects_expect(struct fixture *f, struct vs_login *login,
                           const struct vs_id ids[OBJECTS], uint64_t epoch)
{
    for (size_t i = 0; i < OBJECTS; i++) {
        object_expect(f, login, &ids[i], "k");
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

/* ------------------------------------------------------------------ the index */

static struct vs_query label_query(const char *label)
{
    return (struct vs_query){.terms = {{0, (const uint8_t *)"key", 3},
                                       {1, (const uint8_t *)label, strlen(label)}},
                             .n_terms = 2, .want_private = true};
}

/* The rest of a walk: each id once, the newest first. */
static size_t walk_rest(struct fixture *f, struct vs_cursor *cursor, size_t page, uint64_t *last)
{
    struct vs_id ids[OBJECTS];
    size_t n, total = 0;

    do {
        assert_ok(vs_find_next(cursor, f->user, ids, page, &n));
        for (size_t i = 0; i < n; i++) {
            assert_true(id_seq(&ids[i]) < *last);
            *last = id_seq(&ids[i]);
        }
        total += n;
    } while (n > 0);
    return total;
}

static size_t walk(struct fixture *f, struct vs_query query, size_t page)
{
    struct vs_cursor *cursor;
    uint64_t last = UINT64_MAX;
    size_t n;

    assert_ok(vs_find_open(f->store, 0, f->user, &query, &cursor));
    n = walk_rest(f, cursor, page, &last);
    vs_find_close(cursor);
    return n;
}

static size_t walk_all(struct fixture *f)
{
    return walk(f, (struct vs_query){.want_private = true}, 7);
}

/* Entries that who has these keys can tell to be of private objects with this label. */
static size_t entries_known(struct fixture *f, const struct vs_login *login, uint64_t epoch,
                            const char *label)
{
    const struct vs_term term = {1, (const uint8_t *)label, strlen(label)};
    size_t n = 0;
    struct index_tags tags;
    struct kv_txn *txn;

    memset(&tags, 0, sizeof(tags));
    assert_ok(index_tags_make(f->store, login, true, epoch, &term, 1, &tags));
    assert_ok(kv_read(f->store->kv, &txn));
    for (int deleted = 0; deleted < 2; deleted++) {
        struct index_partition partition = {login->generation, deleted != 0, true};
        struct key prefix = key_index(&partition, 1, tags.tag[0].tag, NULL);
        struct kv_cursor *cursor;
        struct kv_slice key, value;
        int status;

        assert_ok(kv_cursor_open(txn, &cursor));
        status = kv_cursor_seek(cursor, prefix.b, prefix.len, &key, &value);
        for (; status == VS_OK && key_has_prefix(&key, &prefix); n++)
            status = kv_cursor_next(cursor, &key, &value);
        kv_cursor_close(cursor);
    }
    kv_abort(txn);
    return n;
}

/* What a removed user kept tells nothing of labels in the store as it is afterwards. */
static void test_index_key_rotates(void **state)
{
    struct fixture *f = *state;
    struct vs_login *alice = user_make(f, "alice");
    struct vs_id ids[OBJECTS];

    objects_make(f, ids);
    assert_int_equal(entries_known(f, alice, 0, "k"), OBJECTS - OBJECTS / 3);
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    assert_int_equal(entries_known(f, alice, 0, "k"), 0);
    assert_ok(vs_login_check(f->store, f->user));
    assert_int_equal(entries_known(f, f->user, rotation_now(f).epoch, "k"), OBJECTS - OBJECTS / 3);
    labelled(f, f->user, true, "later");
    assert_int_equal(entries_known(f, alice, 0, "later"), 0);
    vs_logout(alice);
}

/* Until every object has changed over: everything is found, once, the newest first. */
static void test_index_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct begin begin = {.login = f->so};
    struct vs_cursor *cursor, *all;
    struct vs_query query = label_query("k"), every = {.want_private = true};
    uint64_t last, last_of_all;
    struct vs_id ids[OBJECTS], found[10];
    size_t n, live;

    objects_make(f, ids);
    live = walk_all(f);
    assert_ok(vs_find_open(f->store, 0, f->user, &query, &cursor));
    assert_ok(vs_find_next(cursor, f->user, found, 10, &n));
    assert_int_equal(n, 10);
    last = id_seq(&found[9]);
    assert_ok(vs_find_open(f->store, 0, f->user, &every, &all));
    assert_ok(vs_find_next(all, f->user, found, 10, &n));
    assert_int_equal(n, 10);
    last_of_all = id_seq(&found[9]);
    assert_ok(commit_run(f->store, begin_run, &begin));
    /* some change over by a change of their own; a new one is there at once */
    for (size_t i = 1; i < OBJECTS; i += 6) {
        int status = vs_object_delete(f->store, 0, f->user, &ids[i]);
        assert_true(status == VS_OK || status == VS_WRONG_STATE);
        if (status == VS_OK)
            assert_ok(vs_object_recover(f->store, 0, f->user, &ids[i]));
    }
    labelled(f, f->user, true, "k");
    assert_int_equal(walk(f, label_query("k"), 7), live + 1);
    assert_int_equal(walk(f, label_query("k"), 1), live + 1);
    assert_int_equal(find_label(f, f->user, "k", false, &found[0]),
                     OBJECTS - OBJECTS / 5 + 1);
    assert_int_equal(walk_all(f), live + 1);
    /* those begun before follow, also when all of it is over meanwhile */
    assert_ok(vs_find_next(cursor, f->user, found, 10, &n));
    assert_int_equal(n, 10);
    assert_true(id_seq(&found[0]) < last);
    last = id_seq(&found[9]);
    assert_ok(rotation_finish(f->store, f->user));
    assert_int_equal(walk_rest(f, cursor, 10, &last), live - 20);
    last = last_of_all;
    assert_int_equal(walk_rest(f, all, 10, &last), live - 10);
    vs_find_close(cursor);
    vs_find_close(all);
    assert_int_equal(walk(f, label_query("k"), 7), live + 1);
    assert_int_equal(walk_all(f), live + 1);
}

/* reserve_names knows a deleted object's label under either key. */
static void test_reserved_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct begin begin = {.login = f->so};
    struct vs_vault_info info;
    struct vs_id gone = labelled(f, f->user, true, "gone"), id;
    const struct vs_term terms[] = {{0, (const uint8_t *)"key", 3}, {1, BYTES("gone")}};
    struct vs_new_object object = {.kind = 4, .is_private = true, .destroyable = true,
                                   .attrs = (const uint8_t *)"gone", .attrs_len = 4,
                                   .terms = terms, .n_terms = 2, .operation = "KeyCreate"};
    struct vs_id renamed = labelled(f, f->user, true, "own");
    uint32_t version;

    assert_ok(vs_vault_info(f->store, 0, &info));
    info.policy.reserve_names = true;
    assert_ok(vs_vault_set_policy(f->store, f->so, &info.policy));
    assert_ok(vs_object_delete(f->store, 0, f->user, &gone));
    assert_ok(commit_run(f->store, begin_run, &begin));
    assert_status(vs_object_create(f->store, 0, f->user, &object, 1, &id), VS_NAME_RESERVED);
    assert_status(vs_object_update(f->store, 0, f->user, &renamed, 1, &object, &version),
                  VS_NAME_RESERVED);
    assert_ok(rotation_finish(f->store, f->user));
    assert_status(vs_object_create(f->store, 0, f->user, &object, 1, &id), VS_NAME_RESERVED);
    assert_ok(vs_object_recover(f->store, 0, f->user, &gone));
    assert_ok(vs_object_update(f->store, 0, f->user, &renamed, 1, &object, &version));
    assert_int_equal(find_label(f, f->user, "gone", false, NULL), 2);
    assert_int_equal(find_label(f, f->user, "own", false, NULL), 0);
}

/* A build of format 2 rotated the vault key alone. */
static void test_after_format_2(void **state)
{
    struct fixture *f = *state;
    struct vs_id ids[OBJECTS];
    struct vs_login *alice;
    uint64_t epoch;

    fixture_close(f);
    f->options.terms = NULL;
    fixture_open(f);
    fixture_login(f);
    objects_make(f, ids);
    vs_logout(user_make(f, "bob"));
    assert_ok(vs_user_remove(f->store, f->so, "bob"));
    assert_false(rotation_now(f).own_index);
    fixture_close(f);
    f->options.terms = terms_each;
    fixture_open(f);
    fixture_login(f);
    alice = user_make(f, "alice");
    epoch = rotation_now(f).epoch;
    objects_expect(f, f->user, ids, epoch);
    assert_int_equal(entries_known(f, alice, epoch, "k"), OBJECTS - OBJECTS / 3);
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    assert_true(rotation_now(f).own_index);
    objects_expect(f, f->user, ids, rotation_now(f).epoch);
    assert_int_equal(entries_known(f, alice, epoch, "k"), 0);
    vs_logout(alice);
}

/* ------------------------------------------------------------------ backups */

static int blob_file(struct fixture *f, const char *name)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    return open(path, O_RDWR | O_CREAT, 0600);
}

static void backup_to(struct fixture *f, int fd)
{
    const struct vs_backup ask = {.fd = fd};
    uint64_t n;
    bool marked;

    assert_ok(vs_backup(f->store, 0, f->user, &ask, &n, &marked));
    assert_true(marked);
    assert_true(n > 0);
}

static int blob_opens(struct fixture *f, int fd, const struct backup_keys *own, bool *ret_authentic)
{
    struct blob blob;
    int status = blob_open(&blob, f->store, fd, own, NULL, 0);

    *ret_authentic = blob.authentic;
    blob_done(&blob);
    return status;
}

/* Own backups of all epochs open; a removed user's keys open none that was made afterwards, and
 * cannot pass one off as made by somebody who is still there. */
static void test_backup_keys(void **state)
{
    struct fixture *f = *state;
    struct backup_keys alices, own;
    struct vs_login *alice = user_make(f, "alice");
    int fd[4];
    bool authentic;

    labelled(f, f->user, true, "k");
    fd[0] = blob_file(f, "0");
    backup_to(f, fd[0]);
    assert_ok(backup_keys_read(f->store, alice, &alices));
    assert_ok(blob_opens(f, fd[0], &alices, &authentic));
    assert_true(authentic);
    for (int i = 1; i < 4; i++) {
        if (i > 1)
            vs_logout(user_make(f, "alice"));
        assert_ok(vs_user_remove(f->store, f->so, "alice"));
        fd[i] = blob_file(f, (char[]){(char)('0' + i), 0});
        backup_to(f, fd[i]);
        assert_status(blob_opens(f, fd[i], &alices, &authentic), VS_POLICY);
    }
    assert_ok(backup_keys_read(f->store, f->user, &own));
    assert_int_equal(own.n, 5);
    for (int i = 0; i < 4; i++) {
        assert_ok(blob_opens(f, fd[i], &own, &authentic));
        assert_int_equal(authentic, i == 3);
        close(fd[i]);
    }
    backup_keys_done(&own);
    backup_keys_done(&alices);
    vs_logout(alice);
}

/* An older copy of the store has no key of a later epoch: the pairs of who was there open it. */
static void test_backup_in_an_older_copy(void **state)
{
    struct fixture *f = *state;
    struct vs_login *bob = user_make(f, "bob"), *alice = user_make(f, "alice");
    struct backup_keys of_user = {.private_key = f->user->private_key};
    struct backup_keys of_bob = {.private_key = bob->private_key};
    struct backup_keys of_alice = {.private_key = alice->private_key};
    bool authentic;
    int fd;

    labelled(f, f->user, true, "k");
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    fd = blob_file(f, "later");
    backup_to(f, fd);
    assert_ok(blob_opens(f, fd, &of_user, &authentic));
    assert_false(authentic);
    assert_ok(blob_opens(f, fd, &of_bob, &authentic));
    assert_status(blob_opens(f, fd, &of_alice, &authentic), VS_POLICY);
    close(fd);
    vs_logout(alice);
    vs_logout(bob);
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
        cmocka_unit_test_setup_teardown(test_many, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_login_of_former_pin, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_interrupted, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_index_key_rotates, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_index_meanwhile, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_reserved_meanwhile, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_after_format_2, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_backup_keys, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_backup_in_an_older_copy, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_put_off, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_damaged_object, rotation_vault, fixture_done),
    };

    return cmocka_run_group_tests_name("rotation", tests, NULL, NULL);
}
