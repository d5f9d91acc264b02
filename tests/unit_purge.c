/* unit_purge.c: retention, purge and sweep; generations; what a crash leaves behind. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store_fixture.h"
#include "vaultstore/purge.h"
#include "vaultstore/store_internal.h"

#define OPEN_POLICY                                                                                \
    {.retention_days = 7, .purge_protection = false, .pin_tries = 10,                              \
     .scrypt_log_n = VS_SCRYPT_LOG_N_MIN, .min_rsa_bits = 2048}
static const struct vs_policy open_policy = OPEN_POLICY;

/* Vault 0 without purge protection, seven days. */
static int fixture_open_vault(void **state)
{
    struct fixture *f;

    if (fixture_store(state) != 0)
        return -1;
    f = *state;
    vault_make(f, 0, &open_policy);
    fixture_login(f);
    return 0;
}

static struct vs_id deleted_make(struct fixture *f, const char *label)
{
    struct vs_id id = object_make(f, f->user, true, label, "value");

    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    return id;
}

static void expect_gone(struct fixture *f, const struct vs_id *id)
{
    struct vs_object object;
    struct vs_header header;

    assert_status(vs_object_peek(f->store, 0, id, &header), VS_NOT_FOUND);
    assert_status(vs_object_read(f->store, 0, f->user, id, &object), VS_NOT_FOUND);
    assert_status(vs_object_recover(f->store, 0, f->user, id), VS_NOT_FOUND);
    assert_int_equal(find_all(f, f->user, true), 0);
}

static void test_retained(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = deleted_make(f, "k");
    size_t purged;

    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_RETAINED);
    assert_status(vs_object_purge(f->store, 0, f->user, &id), VS_RETAINED);
    fixture_pass(f, 90 * DAY - 1);
    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_RETAINED);
    assert_ok(vs_sweep(f->store, 100, &purged));
    assert_int_equal(purged, 0);
    assert_false(slot_wiped(f, &id));
    assert_int_equal(audit_count(f, "KeyPurge", VS_RETAINED), 3);
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
    object_expect(f, f->user, &id, "value");
    audit_expect_whole(f);
}

static void test_purge_by_right(void **state)
{
    struct fixture *f = *state;
    struct vs_id live = object_make(f, f->user, true, "live", "x"), id = deleted_make(f, "k");

    assert_status(vs_object_purge(f->store, 0, f->user, &live), VS_WRONG_STATE);
    assert_false(slot_wiped(f, &id));
    assert_ok(vs_object_purge(f->store, 0, f->so, &id));
    assert_true(slot_wiped(f, &id));
    expect_gone(f, &id);
    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_NOT_FOUND);
    object_expect(f, f->user, &live, "x");
    assert_int_equal(audit_count(f, "KeyPurge", VS_OK), 1);
}

static void test_purge_needs_login(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, NULL, false, "cert", "x");

    assert_ok(vs_object_delete(f->store, 0, NULL, &id));
    assert_status(vs_object_purge(f->store, 0, NULL, &id), VS_DENIED);
    assert_ok(vs_object_purge(f->store, 0, f->so, &id));
    assert_true(slot_wiped(f, &id));
}

/* The date decides when an object is looked at; the sweep only cleans up. */
static void test_date_reached(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = deleted_make(f, "k");
    size_t purged;

    fixture_pass(f, 90 * DAY);
    expect_gone(f, &id);
    assert_false(slot_wiped(f, &id));
    assert_ok(vs_sweep(f->store, 100, &purged));
    assert_int_equal(purged, 1);
    assert_true(slot_wiped(f, &id));
    expect_gone(f, &id);
    assert_ok(vs_sweep(f->store, 100, &purged));
    assert_int_equal(purged, 0);
}

static void test_sweep_limit_and_passing(void **state)
{
    struct fixture *f = *state;
    size_t purged, wiped = 0;
    struct vs_id ids[10];

    for (int i = 0; i < 10; i++)
        ids[i] = deleted_make(f, "k");
    fixture_pass(f, 91 * DAY);
    assert_ok(vs_sweep(f->store, 3, &purged));
    assert_int_equal(purged, 3);
    object_make(f, f->user, true, "another", "x");
    for (int i = 0; i < 10; i++)
        wiped += slot_wiped(f, &ids[i]) ? 1 : 0;
    assert_int_equal(wiped, 7);
    assert_ok(vs_sweep(f->store, 100, &purged));
    assert_int_equal(purged, 3);
}

static void test_wall_clock_cannot_purge(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = deleted_make(f, "k");
    size_t purged;

    f->wall += 1000 * (int64_t)DAY;
    assert_ok(vs_sweep(f->store, 100, &purged));
    assert_int_equal(purged, 0);
    fixture_close(f);
    f->wall -= 2000 * (int64_t)DAY;
    f->boot_id[0]++;
    f->boot = 5;
    fixture_open(f);
    fixture_login(f);
    assert_true(vs_store_now(f->store) >= 1800000000);
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
    object_expect(f, f->user, &id, "value");
    assert_int_equal(audit_count(f, "ClockJump", VS_OK), 1);
    audit_expect_whole(f);
}

static void test_postpone(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = deleted_make(f, "k");
    int64_t date = f->wall + 90 * DAY;
    struct vs_header header;
    size_t purged;

    assert_status(vs_object_postpone(f->store, 0, f->user, &id, date - 1), VS_POLICY);
    assert_ok(vs_object_postpone(f->store, 0, f->user, &id, date + 5 * DAY));
    assert_ok(vs_object_peek(f->store, 0, &id, &header));
    assert_int_equal(header.purge_at, date + 5 * DAY);
    fixture_pass(f, 91 * DAY);
    assert_ok(vs_sweep(f->store, 10, &purged));
    assert_int_equal(purged, 0);
    object_expect(f, f->user, &id, "value");
    fixture_pass(f, 4 * DAY);
    assert_ok(vs_sweep(f->store, 10, &purged));
    assert_int_equal(purged, 1);
    expect_gone(f, &id);
}

/* ------------------------------------------------------------------ crash between the steps */

static int half_purge(struct commit_txn *txn, void *ctx)
{
    struct object_record record;

    VS_TRY(object_load(txn->store, txn->kv, ctx, &record));
    return purge_object(txn, &record, "user");
}

static void test_replay_at_open(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = deleted_make(f, "k");

    assert_ok(commit_run(f->store, half_purge, &id));
    assert_false(slot_wiped(f, &id));
    fixture_close(f);
    fixture_open(f);
    fixture_login(f);
    assert_true(slot_wiped(f, &id));
    expect_gone(f, &id);
}

#define SLOTS 1024               /* prepared at once */

/* The slot file of some day before, shorter than the purge that is pending needs: the store opens. */
static void test_older_slots(void **state)
{
    static struct vs_new_object many[SLOTS];
    static struct vs_id ids[SLOTS];
    struct fixture *f = *state;
    struct vs_id first = object_make(f, f->user, true, "k", "value"), id, fresh;
    struct vs_object object;
    char slots[128];

    for (size_t i = 0; i < SLOTS; i++)
        many[i] = (struct vs_new_object){.is_private = true, .operation = "KeyCreate"};
    assert_ok(vs_object_create(f->store, 0, f->user, many, SLOTS, ids));
    id = deleted_make(f, "gone");
    assert_ok(commit_run(f->store, half_purge, &id));
    fixture_close(f);
    snprintf(slots, sizeof(slots), "%s/slots", f->path);
    assert_true(id_seq(&first) < SLOTS && id_seq(&ids[SLOTS - 1]) >= SLOTS);
    assert_int_equal(truncate(slots, (off_t)SLOTS * KEYSLOT_SIZE), 0);
    fixture_open(f);
    fixture_login(f);
    object_expect(f, f->user, &first, "value");
    assert_int_equal(table_count(f, TABLE_PENDING), 0);
    assert_status(vs_object_read(f->store, 0, f->user, &id, &object), VS_NOT_FOUND);
    assert_status(vs_object_read(f->store, 0, f->user, &ids[SLOTS - 1], &object), VS_E_CORRUPT);
    fresh = object_make(f, f->user, true, "new", "new");
    object_expect(f, f->user, &fresh, "new");
}

/* An older copy of the database, the slot file of today: what was purged stays so. */
static void test_older_database(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = deleted_make(f, "k"), fresh;
    struct vs_object object;
    char copy[128], data[128];

    snprintf(copy, sizeof(copy), "%s/copy.mdb", f->dir);
    snprintf(data, sizeof(data), "%s/data.mdb", f->path);
    assert_ok(kv_copy(f->store->kv, copy));
    assert_ok(vs_object_purge(f->store, 0, f->so, &id));
    for (int i = 0; i < 3; i++) {
        fresh = deleted_make(f, "later");
        assert_ok(vs_object_purge(f->store, 0, f->so, &fresh));
    }
    fixture_close(f);
    assert_int_equal(rename(copy, data), 0);
    fixture_open(f);
    fixture_login(f);
    assert_status(vs_object_read(f->store, 0, f->user, &id, &object), VS_NOT_FOUND);
    assert_status(vs_object_recover(f->store, 0, f->user, &id), VS_LOCKED);
    assert_ok(vs_rollback_accept(f->store, 0, (const uint8_t *)SO_PIN, strlen(SO_PIN)));
    fresh = object_make(f, f->user, true, "new", "sealed under a slot that is not wiped");
    assert_false(slot_wiped(f, &fresh));
    object_expect(f, f->user, &fresh, "sealed under a slot that is not wiped");
}

/* ------------------------------------------------------------------ generations */

static uint32_t init_again(struct fixture *f, const char *pin, int expected)
{
    uint8_t label[32];
    uint32_t generation = 0;

    memset(label, 'n', sizeof(label));
    assert_status(vs_vault_init(f->store, 0, (const uint8_t *)pin, strlen(pin), label, NULL,
                                &generation), expected);
    return generation;
}

static void test_init_is_soft(void **state)
{
    struct fixture *f = *state;
    uint32_t former = vs_login_generation(f->user), fresh;
    struct vs_id id = object_make(f, f->user, true, "k", "value");
    struct vs_generation_info infos[4];
    struct vs_vault_info before, after;
    struct vs_object object;
    size_t n;

    assert_ok(vs_vault_info(f->store, 0, &before));
    init_again(f, "wrong-pin", VS_PIN_INCORRECT);
    fresh = init_again(f, SO_PIN, VS_OK);
    assert_true(fresh > former);
    assert_ok(vs_vault_info(f->store, 0, &after));
    assert_memory_equal(before.serial, after.serial, sizeof(after.serial));
    assert_int_equal(after.generation, fresh);
    assert_false(after.user_pin_set);
    assert_status(vs_login_check(f->store, f->user), VS_REVOKED);
    assert_status(vs_object_read(f->store, 0, f->user, &id, &object), VS_REVOKED);
    assert_status(vs_object_read(f->store, 0, NULL, &id, &object), VS_NOT_FOUND);
    assert_ok(vs_generation_list(f->store, 0, infos, 4, &n));
    assert_int_equal(n, 2);
    assert_false(infos[0].deleted);
    assert_int_equal(infos[0].generation, fresh);
    assert_int_equal(infos[0].objects, 0);
    assert_true(infos[1].deleted);
    assert_int_equal(infos[1].generation, former);
    assert_int_equal(infos[1].objects, 1);
    assert_int_equal(infos[1].purge_at, f->wall + 90 * DAY);
    assert_non_null(strstr(infos[1].deleted_by, "so"));
    assert_int_equal(infos[1].recovery_level, 2);
}

static void test_generation_recover(void **state)
{
    struct fixture *f = *state;
    const uint8_t *pin = (const uint8_t *)USER_PIN;
    uint32_t former = vs_login_generation(f->user), fresh;
    struct vs_id id = object_make(f, f->user, true, "k", "value");
    struct vs_id deleted = deleted_make(f, "d");
    struct vs_generation_info infos[4];
    size_t n;

    fresh = init_again(f, SO_PIN, VS_OK);
    assert_status(vs_generation_recover(f->store, 0, former, VS_ROLE_USER,
                                        (const uint8_t *)"nono", 4), VS_PIN_INCORRECT);
    assert_status(vs_generation_recover(f->store, 0, fresh, VS_ROLE_SO, pin, 8), VS_WRONG_STATE);
    assert_status(vs_generation_recover(f->store, 0, 99, VS_ROLE_SO, pin, 8), VS_NOT_FOUND);
    assert_ok(vs_generation_recover(f->store, 0, former, VS_ROLE_USER, pin, strlen(USER_PIN)));
    vs_logout(f->so);
    vs_logout(f->user);
    fixture_login(f);
    assert_int_equal(vs_login_generation(f->user), former);
    object_expect(f, f->user, &id, "value");
    assert_int_equal(find_label(f, f->user, "k", false, NULL), 1);
    assert_ok(vs_object_recover(f->store, 0, f->user, &deleted));
    assert_ok(vs_generation_list(f->store, 0, infos, 4, &n));
    assert_int_equal(n, 2);
    assert_int_equal(infos[1].generation, fresh);
    assert_int_equal(audit_count(f, "VaultInit", VS_OK), 2);
    assert_int_equal(audit_count(f, "VaultRecover", VS_OK), 1);
    audit_expect_whole(f);
}

static void test_generation_protected(void **state)
{
    struct fixture *f = *state;
    const uint8_t *pin = (const uint8_t *)SO_PIN;
    uint32_t former = vs_login_generation(f->user);
    struct vs_generation_info infos[4];
    struct vs_policy weaker = open_policy;
    struct vs_vault_info info;
    uint8_t label[32] = {0};
    struct vs_id id = object_make(f, f->user, true, "k", "value");
    uint32_t fresh;
    size_t n, purged;

    assert_ok(vs_vault_init(f->store, 0, pin, strlen(SO_PIN), label, &weaker, &fresh));
    assert_ok(vs_vault_info(f->store, 0, &info));
    assert_true(info.policy.purge_protection);
    assert_status(vs_generation_purge(f->store, 0, former, pin, strlen(SO_PIN)), VS_RETAINED);
    assert_int_equal(audit_count(f, "VaultPurge", VS_RETAINED), 1);
    fixture_pass(f, 90 * DAY);
    assert_status(vs_generation_recover(f->store, 0, former, VS_ROLE_SO, pin, strlen(SO_PIN)),
                  VS_NOT_FOUND);
    assert_false(slot_wiped(f, &id));
    assert_ok(vs_sweep(f->store, 10, &purged));
    assert_int_equal(purged, 1);
    assert_true(slot_wiped(f, &id));
    assert_ok(vs_generation_list(f->store, 0, infos, 4, &n));
    assert_int_equal(n, 1);
}

/* How many keys of the store lie in tables of objects, index, due dates, pending work. */
static size_t content_count(struct fixture *f)
{
    struct key from = key_table(TABLE_OBJECT);
    struct kv_slice key, value;
    struct kv_cursor *cursor;
    struct kv_txn *txn;
    size_t n = 0;
    int status;

    assert_ok(kv_read(f->store->kv, &txn));
    assert_ok(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, from.b, from.len, &key, &value);
    while (status == VS_OK) {
        n += key.data[0] <= TABLE_DUE || key.data[0] == TABLE_PENDING ? 1 : 0;
        status = kv_cursor_next(cursor, &key, &value);
    }
    kv_cursor_close(cursor);
    kv_abort(txn);
    return n;
}

static void test_generation_purge(void **state)
{
    struct fixture *f = *state;
    const uint8_t *pin = (const uint8_t *)SO_PIN;
    uint32_t former = vs_login_generation(f->user);
    struct vs_new_object many[300] = {{.kind = 0}};
    struct vs_id ids[300], live;

    for (size_t i = 0; i < 300; i++)
        many[i] = (struct vs_new_object){.is_private = i % 2 == 0, .operation = "KeyCreate"};
    assert_ok(vs_object_create(f->store, 0, f->user, many, 300, ids));
    for (size_t i = 0; i < 10; i++)
        assert_ok(vs_object_delete(f->store, 0, f->user, &ids[i]));
    init_again(f, SO_PIN, VS_OK);
    live = object_make(f, NULL, false, "live", "x");
    assert_status(vs_generation_purge(f->store, 0, former, (const uint8_t *)"nono", 4),
                  VS_PIN_INCORRECT);
    assert_ok(vs_generation_purge(f->store, 0, former, pin, strlen(SO_PIN)));
    assert_status(vs_generation_purge(f->store, 0, former, pin, strlen(SO_PIN)), VS_NOT_FOUND);
    for (size_t i = 0; i < 300; i++)
        assert_true(slot_wiped(f, &ids[i]));
    assert_false(slot_wiped(f, &live));
    object_expect(f, NULL, &live, "x");
    assert_int_equal(content_count(f), 3);   /* its record, two index entries */
    audit_expect_whole(f);
}

/* An object past its own date in a deleted generation waits for the generation's. */
static void test_object_waits_for_generation(void **state)
{
    struct fixture *f = *state;
    const uint8_t *pin = (const uint8_t *)SO_PIN;
    uint32_t former = vs_login_generation(f->user);
    struct vs_id id = deleted_make(f, "k");
    size_t purged;

    fixture_pass(f, 3 * DAY);
    init_again(f, SO_PIN, VS_OK);
    fixture_pass(f, 5 * DAY);
    assert_ok(vs_sweep(f->store, 10, &purged));
    assert_int_equal(purged, 0);
    assert_false(slot_wiped(f, &id));
    assert_ok(vs_generation_recover(f->store, 0, former, VS_ROLE_SO, pin, strlen(SO_PIN)));
    assert_ok(vs_sweep(f->store, 10, &purged));
    assert_int_equal(purged, 1);
    assert_true(slot_wiped(f, &id));
}

/* Who asked for the purge of an object of the generation is not left behind. */
static void test_approvals_go_with_generation(void **state)
{
    struct fixture *f = *state;
    struct vs_policy policy = open_policy;
    struct vs_id id = deleted_make(f, "k");
    size_t purged;

    policy.purge_approvals = 2;
    assert_ok(vs_vault_set_policy(f->store, f->so, &policy));
    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_PENDING);
    assert_int_equal(table_count(f, TABLE_APPROVAL), 1);
    init_again(f, SO_PIN, VS_OK);
    fixture_pass(f, 91 * DAY);
    assert_ok(vs_sweep(f->store, 10, &purged));
    assert_true(slot_wiped(f, &id));
    assert_int_equal(table_count(f, TABLE_APPROVAL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_retained, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_purge_by_right, fixture_open_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_purge_needs_login, fixture_open_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_date_reached, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_sweep_limit_and_passing, fixture_vault,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_wall_clock_cannot_purge, fixture_vault,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_postpone, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_replay_at_open, fixture_open_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_older_database, fixture_open_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_init_is_soft, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_generation_recover, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_generation_protected, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_generation_purge, fixture_open_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_object_waits_for_generation, fixture_open_vault,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_older_slots, fixture_open_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_approvals_go_with_generation, fixture_open_vault,
                                        fixture_done),
    };

    return cmocka_run_group_tests_name("purge", tests, NULL, NULL);
}
