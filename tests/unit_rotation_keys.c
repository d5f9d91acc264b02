/*
 * unit_rotation_keys.c: what goes with the vault key when a user is removed: the key of the index,
 * and that of the vault's own backups.
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <unistd.h>

#include "rotation_fixture.h"
#include "vaultstore/blob.h"

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
    f->options.terms = rotation_terms;
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

static bool terms_fail;

static int terms_failing(const uint8_t *attrs, size_t attrs_len, vs_terms_then *then, void *ctx)
{
    VS_TRY(rotation_terms(attrs, attrs_len, then, ctx));
    return terms_fail ? VS_E_NOMEM : VS_OK;
}

/* A change that failed is run again: what it was given must not look done. */
static void test_tags_that_fail(void **state)
{
    const struct vs_term terms[] = {{1, BYTES("k")}, {0, BYTES("key")}, {0, BYTES("twice")}};
    struct fixture *f = *state;
    struct begin begin = {.login = f->so};
    struct index_tags tags, before, fresh;
    uint64_t epoch;

    memset(&before, 0, sizeof(before));
    assert_ok(index_tags_make(f->store, f->user, true, 0, terms, 2, &before));
    assert_ok(commit_run(f->store, begin_run, &begin));
    assert_ok(vs_login_check(f->store, f->user));
    epoch = rotation_now(f).epoch;
    assert_ok(index_tags_make(f->store, f->user, true, epoch, terms, 2, &fresh));
    assert_false(index_tags_same(&before, &fresh));
    f->store->terms = terms_failing;
    tags = before;
    terms_fail = true;
    assert_status(index_tags_retag(f->store, f->user, true, epoch, BYTES("k"), &tags), VS_E_NOMEM);
    assert_memory_equal(&tags, &before, sizeof(tags));
    assert_status(index_tags_renew(f->store, f->user, true, epoch, terms, 3, &tags), VS_POLICY);
    assert_memory_equal(&tags, &before, sizeof(tags));
    assert_status(index_tags_make(f->store, f->user, true, epoch, terms, 3, &tags), VS_POLICY);
    assert_memory_equal(&tags, &before, sizeof(tags));
    assert_ok(index_tags_renew(f->store, f->user, true, epoch, terms, 2, &tags));
    assert_true(index_tags_same(&tags, &fresh));
    tags = before;
    terms_fail = false;
    assert_ok(index_tags_retag(f->store, f->user, true, epoch, BYTES("k"), &tags));
    assert_int_equal(tags.epoch, epoch);
    assert_int_equal(tags.n, 2);
    assert_memory_equal(&tags.tag[0], &fresh.tag[1], sizeof(tags.tag[0]));
    assert_memory_equal(&tags.tag[1], &fresh.tag[0], sizeof(tags.tag[0]));
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

static size_t public_pem(char *pem, size_t size)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    int n;

    assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
    n = BIO_read(bio, pem, (int)size);
    assert_true(n > 0);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    return (size_t)n;
}

struct meanwhile { struct fixture *f; const char *leaving; };

static int remove_meanwhile(void *ctx)
{
    const struct meanwhile *meanwhile = ctx;

    return vs_user_remove(meanwhile->f->store, meanwhile->f->so, meanwhile->leaving);
}

static bool backed_up(struct fixture *f, const struct vs_id *id)
{
    struct vs_header header;

    assert_ok(vs_object_peek(f->store, 0, id, &header));
    return header.backed_up;
}

/* Between the backup and its marks the vault key is rotated, by a login that is not the backup's. */
static void test_marks_after_rotation(void **state)
{
    struct fixture *f = *state;
    struct vs_id private = labelled(f, f->user, true, "k"), public = labelled(f, NULL, false, "k");
    struct meanwhile meanwhile = {f, "alice"};
    struct vs_backup ask = {.fd = blob_file(f, "b"), .settle = remove_meanwhile, .ctx = &meanwhile};
    struct vs_login *alice = user_make(f, "alice");
    struct vs_id later;
    uint64_t n;
    bool marked;

    assert_ok(vs_backup(f->store, 0, f->user, &ask, &n, &marked));
    assert_int_equal(n, 2);
    assert_true(marked);
    assert_true(backed_up(f, &private) && backed_up(f, &public));
    assert_int_equal(object_epoch(f, &private), rotation_now(f).epoch);
    assert_true(rotation_now(f).epoch != 0);
    vs_logout(alice);
    /* who is removed itself meanwhile marks nothing; the backup is there */
    alice = NULL;
    assert_ok(vs_user_add(f->store, f->so, "alice", BYTES(PIN), VS_VERBS_ALL));
    assert_ok(vs_login_named(f->store, 0, "alice", BYTES(PIN), &alice));
    later = labelled(f, f->user, true, "later");
    assert_ok(vs_backup(f->store, 0, alice, &ask, &n, &marked));
    assert_false(marked);
    assert_false(backed_up(f, &later));
    vs_logout(alice);
    close(ask.fd);
}

/* The record of somebody else, which nobody can read, is no reason to have no backup. */
static void test_backup_with_damaged_principal(void **state)
{
    struct fixture *f = *state;
    struct key key = key_named(vs_login_generation(f->so), "alice");
    struct vs_id id = labelled(f, f->user, true, "k");
    struct backup_keys own;
    struct vs_blob_key outside;
    struct vs_backup ask = {.ids = &id, .keys = &outside};
    char pem[512];
    uint64_t n;
    bool marked, authentic;

    outside = (struct vs_blob_key){(const uint8_t *)pem, public_pem(pem, sizeof(pem))};
    vs_logout(user_make(f, "alice"));
    vs_logout(user_make(f, "bob"));
    record_damage_at(f, &key);
    for (size_t i = 0; i < 4; i++) {
        ask.n_ids = i % 2;
        ask.n_keys = i / 2;
        ask.fd = blob_file(f, (char[]){(char)('0' + i), 0});
        assert_ok(vs_backup(f->store, 0, f->user, &ask, &n, &marked));
        assert_int_equal(n, 1);
        assert_true(marked);
        if (ask.n_keys == 0) {
            assert_ok(backup_keys_read(f->store, f->user, &own));
            assert_ok(blob_opens(f, ask.fd, &own, &authentic));
            assert_true(authentic);
            backup_keys_done(&own);
        }
        close(ask.fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_index_key_rotates, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_index_meanwhile, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_reserved_meanwhile, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_after_format_2, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_tags_that_fail, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_marks_after_rotation, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_backup_with_damaged_principal, rotation_vault,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_backup_keys, rotation_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_backup_in_an_older_copy, rotation_vault, fixture_done),
    };

    return cmocka_run_group_tests_name("rotation, other keys", tests, NULL, NULL);
}
