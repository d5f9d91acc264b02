/*
 * unit_removed.c: what a user who was removed can still open, with the PIN, the host key,
 * everything of a later store and whatever was kept of an earlier one. Nothing that was made or
 * changed since; of what was there before exactly the records kept, and none that was purged.
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store_fixture.h"
#include "vaultstore/blob.h"
#include "vaultstore/object.h"
#include "vaultstore/store_internal.h"

#define PIN "alice-pin-1"
#define BYTES(text) (const uint8_t *)(text), strlen(text)

/* All that there is of alice and her time, and an object of each fate. */
struct past {
    struct vs_login *login;
    struct backup_keys own;
    struct kept principal, generation, same_record, gone_record;
    struct vs_id same, changed, gone, made;
};

static void past_make(struct fixture *f, struct past *past)
{
    struct generation live;
    struct key key;

    assert_ok(vs_user_add(f->store, f->so, "alice", BYTES(PIN), VS_VERBS_USER));
    assert_ok(vs_login_named(f->store, 0, "alice", BYTES(PIN), &past->login));
    past->same = object_make(f, f->user, true, "same", "same");
    past->changed = object_make(f, f->user, true, "changed", "before");
    past->gone = object_make(f, f->user, true, "gone", "gone");
    object_expect(f, past->login, &past->same, "same");
    assert_ok(backup_keys_read(f->store, past->login, &past->own));
    assert_ok(live_read(f->store, 0, &live));
    key = key_named(live.number, "alice");
    record_keep(f, &key, &past->principal);
    key = key_generation(0, live.number);
    record_keep(f, &key, &past->generation);
    key = key_object(&past->same);
    record_keep(f, &key, &past->same_record);
    key = key_object(&past->gone);
    record_keep(f, &key, &past->gone_record);
}

static void past_done(struct past *past)
{
    backup_keys_done(&past->own);
    vs_logout(past->login);
}

static void change(struct fixture *f, const struct vs_id *id, const char *attrs)
{
    const struct vs_term terms[] = {{0, (const uint8_t *)"key", 3}};
    const struct vs_new_object object = {.kind = 4, .is_private = true, .destroyable = true,
                                         .attrs = BYTES(attrs), .terms = terms, .n_terms = 1,
                                         .operation = "KeyUpdate"};
    struct vs_header header;
    uint32_t version;

    assert_ok(vs_object_peek(f->store, 0, id, &header));
    assert_ok(vs_object_update(f->store, 0, f->user, id, header.version, &object, &version));
}

/* She goes, and then this happens. */
static void present_make(struct fixture *f, struct past *past)
{
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    past->made = object_make(f, f->user, true, "made", "made");
    change(f, &past->changed, "after");
    assert_ok(vs_object_delete(f->store, 0, f->user, &past->gone));
    assert_ok(vs_object_purge(f->store, 0, f->so, &past->gone));
}

static void cannot_read(struct fixture *f, struct vs_login *login, const struct vs_id *id)
{
    struct vs_object object;

    if (vs_object_read(f->store, 0, login, id, &object) == VS_OK)
        fail_msg("%.*s can be read", (int)object.attrs_len, (const char *)object.attrs);
}

/* Who was logged in keeps the keys in its memory: even taken for the present ones they open no
 * record of now. */
static void test_kept_keys(void **state)
{
    struct fixture *f = *state;
    struct past past;
    struct vs_id *const now[] = {&past.same, &past.changed, &past.made};
    struct login_ring *ring;
    struct generation live;

    past_make(f, &past);
    present_make(f, &past);
    assert_ok(live_read(f->store, 0, &live));
    for (size_t i = 0; i < 3; i++)
        cannot_read(f, past.login, now[i]);
    ring = atomic_load(&past.login->ring);
    assert_null(ring->older);
    ring->epoch = live.rotation.epoch;
    for (size_t i = 0; i < 3; i++) {
        struct object_record record;
        struct kv_txn *txn;
        uint8_t *attrs;
        size_t len;

        assert_ok(kv_read(f->store->kv, &txn));
        assert_ok(object_load(f->store, txn, now[i], &record));
        assert_int_equal(record.header.epoch, live.rotation.epoch);
        assert_status(object_open(f->store, past.login, &record, &attrs, &len), VS_E_CORRUPT);
        kv_abort(txn);
    }
    past_done(&past);
}

/* Her record put back into the later database: with her PIN it opens the key of then. */
static void test_principal_put_back(void **state)
{
    struct fixture *f = *state;
    struct vs_login *alice = NULL;
    struct past past;

    past_make(f, &past);
    present_make(f, &past);
    assert_status(vs_login_named(f->store, 0, "alice", BYTES(PIN), &alice), VS_PIN_INCORRECT);
    record_put_back(f, &past.principal);
    assert_int_not_equal(vs_login_named(f->store, 0, "alice", BYTES(PIN), &alice), VS_OK);
    past_done(&past);
}

/* The generation's record of then, too: now she logs in, and the records of now stay closed. The
 * record that she kept opens, as in an older copy of the store; of what was purged it does not. */
static void test_all_put_back(void **state)
{
    struct fixture *f = *state;
    struct vs_login *alice = NULL;
    struct past past;

    past_make(f, &past);
    present_make(f, &past);
    record_put_back(f, &past.principal);
    record_put_back(f, &past.generation);
    assert_ok(vs_login_named(f->store, 0, "alice", BYTES(PIN), &alice));
    cannot_read(f, alice, &past.same);
    cannot_read(f, alice, &past.changed);
    cannot_read(f, alice, &past.made);
    record_put_back(f, &past.same_record);
    object_expect(f, alice, &past.same, "same");
    record_put_back(f, &past.gone_record);
    cannot_read(f, alice, &past.gone);
    vs_logout(alice);
    past_done(&past);
}

/* Reads the vault's own backup, or one for somebody else, with the keys that she kept. */
static int blob_try(struct fixture *f, const struct backup_keys *kept, const struct vs_backup *ask)
{
    struct vs_backup backup = *ask;
    struct blob blob;
    char path[128];
    uint64_t n;
    bool marked;
    int status;

    snprintf(path, sizeof(path), "%s/blob", f->dir);
    backup.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(backup.fd >= 0);
    assert_ok(vs_backup(f->store, 0, f->user, &backup, &n, &marked));
    assert_true(n > 0);
    status = blob_open(&blob, f->store, backup.fd, kept, NULL, 0);
    blob_done(&blob);
    close(backup.fd);
    return status;
}

/* The own backup key is another since; that of her day, and her pair, open no backup of now. */
static void test_backups(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(pkey, &der);
    struct past past;

    past_make(f, &past);
    assert_ok(blob_try(f, &past.own, &(struct vs_backup){.n_keys = 0}));
    present_make(f, &past);
    assert_true(len > 0);
    const struct vs_blob_key outside = {der, (size_t)len};
    assert_status(blob_try(f, &past.own, &(struct vs_backup){.n_keys = 0}), VS_POLICY);
    assert_status(blob_try(f, &past.own, &(struct vs_backup){.keys = &outside, .n_keys = 1}),
                  VS_POLICY);
    OPENSSL_free(der);
    EVP_PKEY_free(pkey);
    past_done(&past);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept_keys, fixture_unprotected, fixture_done),
        cmocka_unit_test_setup_teardown(test_principal_put_back, fixture_unprotected, fixture_done),
        cmocka_unit_test_setup_teardown(test_all_put_back, fixture_unprotected, fixture_done),
        cmocka_unit_test_setup_teardown(test_backups, fixture_unprotected, fixture_done),
    };

    return cmocka_run_group_tests_name("removed users", tests, NULL, NULL);
}
