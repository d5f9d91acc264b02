/*
 * unit_rollback.c: an older copy of the database that was put back and accepted, and backups: what
 * was purged since the copy was made stays purged, what it does not know can come back.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store_fixture.h"
#include "vaultstore/store_internal.h"

#define BYTES(text) (const uint8_t *)(text), strlen(text)

static const struct vs_policy OPEN_POLICY = {
    .retention_days = 90, .pin_tries = 10, .scrypt_log_n = VS_SCRYPT_LOG_N_MIN,
    .min_rsa_bits = 2048};

static int setup(void **state)
{
    if (fixture_store(state) != 0)
        return -1;
    vault_make(*state, 0, &OPEN_POLICY);
    fixture_login(*state);
    return 0;
}

/* ------------------------------------------------------------------ the copy */

static void copy_keep(struct fixture *f)
{
    char copy[128];

    snprintf(copy, sizeof(copy), "%s/copy.mdb", f->dir);
    assert_ok(kv_copy(f->store->kv, copy));
}

static void copy_put_back(struct fixture *f)
{
    char copy[128], data[128];

    snprintf(copy, sizeof(copy), "%s/copy.mdb", f->dir);
    snprintf(data, sizeof(data), "%s/data.mdb", f->path);
    fixture_close(f);
    assert_int_equal(rename(copy, data), 0);
}

static void copy_accept(struct fixture *f)
{
    copy_put_back(f);
    fixture_open(f);
    fixture_login(f);
    assert_ok(vs_rollback_accept(f->store, 0, BYTES(SO_PIN)));
}

/* ------------------------------------------------------------------ backups */

static int blob_fd(struct fixture *f, int flags)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/blob", f->dir);
    fd = open(path, flags | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static int backup(struct fixture *f)
{
    uint64_t n;
    bool marked;
    struct vs_backup ask = {.fd = blob_fd(f, O_RDWR | O_CREAT | O_TRUNC)};
    int status = vs_backup(f->store, 0, f->user, &ask, &n, &marked);

    assert_true(status != VS_OK || marked);
    close(ask.fd);
    return status;
}

/* The label of all that these tests restore. */
static int adopt(void *ctx, const struct vs_header *header, bool authentic, const uint8_t *attrs,
                 size_t len, const uint8_t *former, size_t former_len,
                 struct vs_adopted *ret_adopted)
{
    (void)ctx;
    (void)header;
    (void)authentic;
    (void)former;
    (void)former_len;
    ret_adopted->attrs = attrs;
    ret_adopted->attrs_len = len;
    ret_adopted->terms[0] = (struct vs_term){0, (const uint8_t *)"key", 3};
    ret_adopted->terms[1] = (struct vs_term){1, (const uint8_t *)"restored", 8};
    ret_adopted->n_terms = 2;
    return VS_OK;
}

/* How often an object was told of as gone when it was checked. */
static int tell_gone(void *ctx, const struct vs_progress *progress)
{
    *(size_t *)ctx += progress->done == 0 && progress->status == VS_NOT_FOUND ? 1 : 0;
    return 0;
}

static uint64_t restore_told(struct fixture *f, bool replace, size_t *ret_gone)
{
    struct vs_restore ask = {.fd = blob_fd(f, O_RDONLY), .replace = replace, .adopt = adopt,
                             .progress = tell_gone, .ctx = ret_gone};
    uint64_t n = 0;

    *ret_gone = 0;
    assert_ok(vs_restore(f->store, 0, f->user, &ask, &n));
    close(ask.fd);
    return n;
}

static uint64_t restore(struct fixture *f, bool replace)
{
    return restore_told(f, replace, &(size_t){0});
}

/* ------------------------------------------------------------------ what comes back */

static struct vs_id purged_make(struct fixture *f, const struct vs_id *id)
{
    assert_ok(vs_object_delete(f->store, 0, f->user, id));
    assert_ok(vs_object_purge(f->store, 0, f->so, id));
    assert_true(slot_wiped(f, id));
    return *id;
}

/* The acceptance is the vault's own affair: private_audit shows its events to readers of that alone. */
static void acceptance_expect(struct fixture *f)
{
    struct vs_generation_info live;
    struct vs_event events[16];
    uint64_t from = 1;
    size_t n, seen = 0;

    assert_ok(vs_generation_list(f->store, 0, &live, 1, &n));
    assert_int_equal(n, 1);
    while (vs_audit_read(f->store, from, events, 16, &n) == VS_OK) {
        for (size_t i = 0; i < n; i++) {
            if (strncmp(events[i].operation, "Rollback", 8) != 0)
                continue;
            assert_int_equal(events[i].vault, 0);
            assert_int_equal(events[i].generation, live.generation);
            seen++;
        }
        from = events[n - 1].seq + 1;
    }
    assert_int_equal(seen, 2);
}

/* The copy knows neither the object nor its purge. Its slot does, if nobody fills it again. */
static void test_purged_since(void **state)
{
    struct fixture *f = *state;
    struct vs_id id;

    copy_keep(f);
    id = object_make(f, f->user, true, "k", "value");
    assert_ok(backup(f));
    purged_make(f, &id);
    copy_accept(f);
    object_make(f, f->user, true, "next", "value");
    assert_true(slot_wiped(f, &id));
    assert_int_equal(restore(f, false), 0);
    assert_int_equal(find_label(f, f->user, "restored", false, NULL), 0);
    assert_int_equal(find_all(f, f->user, false), 1);
    acceptance_expect(f);
    audit_expect_whole(f);
}

/* With the mark gone, too, nothing says that it is an older copy. */
static void test_purged_since_unnoticed(void **state)
{
    struct fixture *f = *state;
    char head[128];
    struct vs_id id;

    copy_keep(f);
    id = object_make(f, f->user, true, "k", "value");
    assert_ok(backup(f));
    purged_make(f, &id);
    copy_put_back(f);
    snprintf(head, sizeof(head), "%s/host.head", f->path);
    assert_int_equal(unlink(head), 0);
    fixture_open(f);
    fixture_login(f);
    assert_int_equal(audit_count(f, "HeadLost", VS_OK), 1);
    object_make(f, f->user, true, "next", "value");
    assert_true(slot_wiped(f, &id));
    assert_int_equal(restore(f, false), 0);
}

/* Only the backup still has it: no other is given its id. */
static void test_lost_since(void **state)
{
    struct fixture *f = *state;
    struct vs_id id, next, found;

    copy_keep(f);
    id = object_make(f, f->user, true, "k", "value");
    assert_ok(backup(f));
    copy_accept(f);
    next = object_make(f, f->user, true, "next", "other");
    assert_true(memcmp(&id, &next, sizeof(id)) != 0);
    assert_int_equal(restore(f, false), 1);
    assert_int_equal(find_label(f, f->user, "restored", false, &found), 1);
    assert_memory_equal(&found, &id, sizeof(id));
    object_expect(f, f->user, &id, "value");
    object_expect(f, f->user, &next, "other");
}

static size_t tombstones(struct fixture *f)
{
    struct vs_tombstone list[4];
    size_t n;

    assert_ok(vs_tombstone_list(f->store, 0, list, 4, &n));
    return n;
}

/* In the copy it is live, and cannot be opened: nothing that goes through all objects fails of it. */
static void test_live_in_the_copy(void **state)
{
    struct fixture *f = *state;
    struct vs_id kept = object_make(f, f->user, true, "kept", "kept");
    struct vs_id id = object_make(f, f->user, true, "k", "value");
    struct vs_header header;

    assert_ok(vs_user_add(f->store, f->so, "alice", BYTES("alice-pin"), VS_VERB_GET));
    copy_keep(f);
    purged_make(f, &id);
    copy_accept(f);
    assert_status(vs_object_peek(f->store, 0, &id, &header), VS_NOT_FOUND);
    assert_int_equal(find_all(f, f->user, false), 1);
    assert_int_equal(tombstones(f), 1);
    assert_ok(backup(f));
    assert_ok(vs_user_remove(f->store, f->so, "alice"));
    assert_int_equal(audit_count(f, "VaultKeyRotated", VS_OK), 1);
    object_expect(f, f->user, &kept, "kept");
}

/* Live by its record, and its slot is wiped: backups and restores of the vault are of the others. */
static void test_wiped_and_live(void **state)
{
    struct fixture *f = *state;
    struct vs_id gone = object_make(f, f->user, true, "k", "gone");
    struct vs_id kept = object_make(f, f->user, true, "k", "kept");
    struct vs_object object;
    struct vs_header header;
    size_t told;

    assert_ok(backup(f));
    slot_wipe(f, &gone);
    assert_int_equal(restore_told(f, true, &told), 1);
    assert_int_equal(told, 1);
    object_expect(f, f->user, &kept, "kept");
    assert_int_equal(find_label(f, f->user, "restored", false, NULL), 1);
    assert_status(vs_object_read(f->store, 0, f->user, &gone, &object), VS_NOT_FOUND);
    /* the next backup marks all that it has got, another such one before it or not */
    gone = object_make(f, f->user, true, "k", "gone");
    slot_wipe(f, &gone);
    kept = object_make(f, f->user, true, "k", "later");
    assert_ok(backup(f));
    assert_ok(vs_object_peek(f->store, 0, &kept, &header));
    assert_true(header.backed_up);
    assert_true(slot_wiped(f, &gone));
}

static int generation_purge(struct fixture *f, uint32_t generation)
{
    return vs_generation_purge(f->store, 0, generation, BYTES(SO_PIN));
}

static size_t generations(struct fixture *f, uint32_t *ret_last)
{
    struct vs_generation_info infos[4];
    size_t n;

    assert_ok(vs_generation_list(f->store, 0, infos, 4, &n));
    *ret_last = infos[n - 1].generation;
    return n;
}

static void test_generation_in_the_copy(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "value");
    uint32_t former, last;

    vs_logout(f->so);
    vs_logout(f->user);
    f->so = f->user = NULL;
    vault_make(f, 0, NULL);
    fixture_login(f);
    assert_int_equal(generations(f, &former), 2);
    copy_keep(f);
    assert_ok(generation_purge(f, former));
    assert_true(slot_wiped(f, &id));
    copy_accept(f);
    assert_int_equal(generations(f, &last), 1);
    assert_status(vs_generation_recover(f->store, 0, former, VS_ROLE_SO, BYTES(SO_PIN)),
                  VS_NOT_FOUND);
    audit_expect_whole(f);
}

/* ------------------------------------------------------------------ approvals */

/* Who asked for the purge of one delete did not ask for that of the next. */
static void test_restore_ends_approvals(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "value");
    struct vs_policy policy = OPEN_POLICY;
    struct vs_login *alice = NULL;

    policy.purge_approvals = 2;
    assert_ok(vs_vault_set_policy(f->store, f->so, &policy));
    assert_ok(vs_user_add(f->store, f->so, "alice", BYTES("alice-pin"), VS_VERB_PURGE));
    assert_ok(vs_login_named(f->store, 0, "alice", BYTES("alice-pin"), &alice));
    assert_ok(backup(f));
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_PENDING);
    assert_int_equal(restore(f, true), 1);
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_status(vs_object_purge(f->store, 0, alice, &id), VS_PENDING);
    assert_ok(vs_object_purge(f->store, 0, f->so, &id));
    vs_logout(alice);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, fixture_done)
    const struct CMUnitTest tests[] = {
        TEST(test_purged_since), TEST(test_purged_since_unnoticed), TEST(test_lost_since),
        TEST(test_live_in_the_copy), TEST(test_wiped_and_live), TEST(test_generation_in_the_copy),
        TEST(test_restore_ends_approvals),
    };
    return cmocka_run_group_tests_name("rollback", tests, NULL, NULL);
}
