/* unit_time.c: clocks that lie, the strict clock, and an older copy of the store put back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_fixture.h"
#include "vaultstore/store_internal.h"

#define WEEK (7 * (int64_t)DAY)

static void vault_with(struct fixture *f, bool strict)
{
    const struct vs_policy policy = {.retention_days = 7, .purge_protection = true,
                                     .pin_tries = 10, .scrypt_log_n = VS_SCRYPT_LOG_N_MIN,
                                     .min_rsa_bits = 2048, .approval_hours = 24,
                                     .clock_strict = strict};

    vault_make(f, 0, &policy);
    fixture_login(f);
}

static struct vs_id deleted_make(struct fixture *f, const char *label)
{
    struct vs_id id = object_make(f, f->user, true, label, "value");

    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    return id;
}

static void reboot(struct fixture *f, int64_t off)
{
    fixture_close(f);
    f->wall += off;
    f->boot = 10;
    f->boot_id[0]++;
    fixture_open(f);
    fixture_login(f);
}

static void expect_swept(struct fixture *f, size_t expected)
{
    size_t purged = 0;

    assert_ok(vs_sweep(f->store, 100, &purged));
    assert_int_equal(purged, expected);
}

/* ------------------------------------------------------------------ clocks */

static void test_jumps_within_a_boot(void **state)
{
    struct fixture *f = *state;
    struct vs_id id;

    vault_with(f, false);
    id = deleted_make(f, "k");
    f->wall += 1000 * (int64_t)DAY;
    expect_swept(f, 0);
    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_RETAINED);
    assert_int_equal(audit_count(f, "ClockJump", VS_OK), 1);
    f->wall -= 2000 * (int64_t)DAY;
    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_RETAINED);
    assert_int_equal(audit_count(f, "ClockJump", VS_OK), 2);
    f->wall += 1000 * (int64_t)DAY;
    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_RETAINED);
    f->boot += 1000 * (int64_t)DAY;      /* the boot clock alone */
    expect_swept(f, 0);
    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_RETAINED);
    assert_int_equal(audit_count(f, "ClockJump", VS_OK), 4);
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
    object_expect(f, f->user, &id, "value");
    audit_expect_whole(f);
}

static void test_back_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct vs_id id;

    vault_with(f, false);
    id = deleted_make(f, "k");
    fixture_pass(f, WEEK - 100);
    f->wall -= 3000 * (int64_t)DAY;
    expect_swept(f, 0);
    fixture_pass(f, 99);
    expect_swept(f, 0);
    assert_false(slot_wiped(f, &id));
    fixture_pass(f, 1);
    expect_swept(f, 1);
}

static void test_across_boots(void **state)
{
    struct fixture *f = *state;
    struct vs_id id;

    vault_with(f, false);
    id = deleted_make(f, "k");
    reboot(f, -3000 * (int64_t)DAY);
    expect_swept(f, 0);
    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_RETAINED);
    reboot(f, 3000 * (int64_t)DAY + WEEK);
    expect_swept(f, 1);
}

static void test_strict(void **state)
{
    struct fixture *f = *state;
    struct vs_id id;
    struct vs_header header;

    vault_with(f, true);
    id = deleted_make(f, "k");
    fixture_pass(f, 2 * DAY);
    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_RETAINED);
    reboot(f, 400 * (int64_t)DAY);
    expect_swept(f, 0);
    assert_ok(vs_object_peek(f->store, 0, &id, &header));
    assert_int_equal(find_all(f, f->user, true), 1);
    assert_status(vs_object_purge(f->store, 0, f->so, &id), VS_RETAINED);
    fixture_pass(f, 5 * DAY - 1);
    expect_swept(f, 0);
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    fixture_pass(f, WEEK - 1);
    expect_swept(f, 0);
    fixture_pass(f, 1);
    assert_status(vs_object_peek(f->store, 0, &id, &header), VS_NOT_FOUND);
    expect_swept(f, 1);
    assert_true(slot_wiped(f, &id));
}

static void test_strict_generation(void **state)
{
    struct fixture *f = *state;
    struct vs_generation_info infos[4];
    uint8_t label[32];
    uint32_t generation;
    size_t n;

    vault_with(f, true);
    memset(label, ' ', sizeof(label));
    assert_ok(vs_vault_init(f->store, 0, (const uint8_t *)SO_PIN, strlen(SO_PIN), label, NULL,
                            &generation));
    fixture_close(f);
    f->wall += 400 * (int64_t)DAY;
    f->boot = 1;
    f->boot_id[0]++;
    fixture_open(f);
    expect_swept(f, 0);
    assert_ok(vs_generation_list(f->store, 0, infos, 4, &n));
    assert_int_equal(n, 2);
    fixture_pass(f, WEEK);
    assert_ok(vs_generation_list(f->store, 0, infos, 4, &n));
    assert_int_equal(n, 1);
    expect_swept(f, 1);
}

/* ------------------------------------------------------------------ an older copy */

static void path_of(const struct fixture *f, const char *name, char ret_path[160])
{
    snprintf(ret_path, 160, "%s/%s", f->path, name);
}

/* data.mdb as it is now, kept aside; and put back. */
static void copy_keep(struct fixture *f)
{
    char copy[128];

    snprintf(copy, sizeof(copy), "%s/copy.mdb", f->dir);
    unlink(copy);
    assert_ok(kv_copy(f->store->kv, copy));
}

static void copy_put_back(struct fixture *f)
{
    char copy[128], data[160];

    snprintf(copy, sizeof(copy), "%s/copy.mdb", f->dir);
    path_of(f, "data.mdb", data);
    fixture_close(f);
    assert_int_equal(rename(copy, data), 0);
    fixture_open(f);
    fixture_login(f);
}

static void expect_protected(struct fixture *f, bool expected)
{
    struct vs_vault_info info;
    struct vs_health health;

    assert_ok(vs_vault_info(f->store, 0, &info));
    assert_int_equal(info.write_protected, expected);
    assert_ok(vs_store_health(f->store, &health));
    assert_int_equal(health.head, expected ? VS_HEAD_ROLLED_BACK : VS_HEAD_OK);
    assert_int_equal(health.audit_bad, 0);
}

struct look { uint64_t calls, done, total, stop_at; };

static int look_on(void *ctx, const struct vs_progress *progress)
{
    struct look *look = ctx;

    assert_true(progress->done > look->done || progress->done == progress->total);
    assert_true(progress->done <= progress->total);
    look->calls++;
    look->done = progress->done;
    look->total = progress->total;
    return look->calls == look->stop_at;
}

/* A look at the store tells of every object and event, says last that it is through, and stops when
 * it is told to, among the objects or among the events. */
static void test_health_progress(void **state)
{
    struct fixture *f = *state;
    struct vs_health health = {.objects = 4711};
    struct look all = {.calls = 0};
    uint64_t parts;

    for (int i = 0; i < 3; i++)
        object_make(f, f->user, true, "k", "value");
    for (uint64_t at = 1; at <= 5; at += 4) {
        struct look some = {.stop_at = at};

        assert_status(vs_store_health_told(f->store, look_on, &some, &health), VS_END);
        assert_int_equal(some.calls, at);
        assert_int_equal(health.objects, 4711);
    }
    assert_ok(vs_store_health_told(f->store, look_on, &all, &health));
    parts = health.objects + health.audit_seq;
    assert_int_equal(health.objects, 3);
    assert_int_equal(all.done, parts);
    assert_int_equal(all.total, parts);
    assert_int_equal(all.calls, parts + 1);
}

static int accept_with(struct fixture *f, const char *pin)
{
    return vs_rollback_accept(f->store, 0, (const uint8_t *)pin, strlen(pin));
}

static void test_rollback(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "value");
    struct vs_store *other = NULL;
    size_t purged;

    copy_keep(f);
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    copy_put_back(f);
    assert_non_null(strstr(f->trace, "older copy"));
    expect_protected(f, true);
    object_expect(f, f->user, &id, "value");        /* it can be read and used */
    assert_status(vs_object_delete(f->store, 0, f->user, &id), VS_LOCKED);
    assert_ok(vs_sweep(f->store, 10, &purged));     /* nothing is due, nothing is written */
    assert_status(accept_with(f, "wrong-pin"), VS_PIN_INCORRECT);
    expect_protected(f, true);
    assert_ok(vs_store_open(&f->options, &other));
    assert_ok(accept_with(f, SO_PIN));
    expect_protected(f, false);
    assert_status(accept_with(f, SO_PIN), VS_WRONG_STATE);
    assert_ok(vs_sweep(other, 10, &purged));        /* the others know at once */
    vs_store_close(other);
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_int_equal(audit_count(f, "RollbackAccept", VS_OK), 1);
    fixture_close(f);
    fixture_open(f);
    fixture_login(f);
    expect_protected(f, false);
    audit_expect_whole(f);
}

/* An older copy that has grown past the mark has another event there. */
static void test_rollback_overgrown(void **state)
{
    struct fixture *f = *state;
    char head[160], aside[160];

    copy_keep(f);
    object_make(f, f->user, true, "k", "value");
    fixture_close(f);
    path_of(f, "host.head", head);
    path_of(f, "aside", aside);
    assert_int_equal(rename(head, aside), 0);
    fixture_open(f);
    fixture_login(f);
    assert_int_equal(audit_count(f, "HeadLost", VS_OK), 1);
    assert_int_equal(unlink(head), 0);
    copy_put_back(f);                               /* without the mark: not noticed ... */
    for (int i = 0; i < 20; i++)
        object_make(f, f->user, true, "k", "other");
    fixture_close(f);
    assert_int_equal(rename(aside, head), 0);       /* ... until it is there again */
    fixture_open(f);
    fixture_login(f);
    expect_protected(f, true);
    assert_ok(accept_with(f, SO_PIN));
    expect_protected(f, false);
}

/* A mark that lags, as after a power cut, is no alarm; neither is one of zero bytes. */
static void test_lagging_mark(void **state)
{
    struct fixture *f = *state;
    char head[160], command[400];

    path_of(f, "host.head", head);
    object_make(f, f->user, true, "k", "value");
    snprintf(command, sizeof(command), "cp %s %s/head", head, f->dir);
    assert_int_equal(system(command), 0);
    object_make(f, f->user, true, "k", "value");
    fixture_close(f);
    snprintf(command, sizeof(command), "cp %s/head %s", f->dir, head);
    assert_int_equal(system(command), 0);
    fixture_open(f);
    fixture_login(f);
    expect_protected(f, false);
    fixture_close(f);
    assert_int_equal(truncate(head, 0), 0);
    fixture_open(f);
    fixture_login(f);
    expect_protected(f, false);
}

static void test_mark_open_to_others(void **state)
{
    struct fixture *f = *state;
    struct vs_store *other = NULL;
    char head[160];

    path_of(f, "host.head", head);
    assert_int_equal(chmod(head, 0620), 0);
    assert_status(vs_store_open(&f->options, &other), VS_E_PERM);
    assert_non_null(strstr(f->trace, "host.head"));
}

static void test_health(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "value");
    struct vs_health health;
    uint64_t slot = id_seq(&id);

    assert_ok(vs_store_health(f->store, &health));
    assert_int_equal(health.head_seq, health.audit_seq);
    assert_int_equal(health.objects, 1);
    assert_int_equal(health.keyless + health.unreadable + health.due + health.pending, 0);
    assert_null(health.clock_jump);
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    fixture_pass(f, 90 * (int64_t)DAY);
    f->wall += 5 * DAY;
    assert_ok(vs_store_health(f->store, &health));
    assert_int_equal(health.due, 1);
    assert_non_null(health.clock_jump);
    assert_int_equal(health.clock_jump_by, 5 * DAY);
    assert_ok(keyslots_wipe(f->store->slots, &slot, 1));
    assert_ok(vs_store_health(f->store, &health));
    assert_int_equal(health.keyless, 1);
}

/* ------------------------------------------------------------------ many at once */

#define MANY 150u

static void test_recover_all(void **state)
{
    struct fixture *f = *state;
    struct vs_id hidden = object_make(f, f->user, true, "hidden", "value"), id;
    size_t n = 0;

    for (size_t i = 0; i < MANY; i++) {
        id = object_make(f, NULL, false, "k", "value");
        assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    }
    assert_ok(vs_object_delete(f->store, 0, f->user, &hidden));
    assert_ok(vs_object_recover_all(f->store, 0, NULL, 10, &n));
    assert_int_equal(n, 10);
    assert_int_equal(find_all(f, f->user, true), MANY - 10 + 1);
    assert_ok(vs_object_recover_all(f->store, 0, NULL, SIZE_MAX, &n));
    assert_int_equal(n, MANY - 10);          /* nobody's login: not the private one */
    assert_ok(vs_object_recover_all(f->store, 0, f->user, SIZE_MAX, &n));
    assert_int_equal(n, 1);
    assert_ok(vs_object_recover_all(f->store, 0, f->user, SIZE_MAX, &n));
    assert_int_equal(n, 0);
    assert_int_equal(find_all(f, f->user, false), MANY + 1);
    assert_int_equal(audit_count(f, "KeyRecover", VS_OK), MANY + 1);
    object_expect(f, f->user, &hidden, "value");
    audit_expect_whole(f);
}

/* One damaged record keeps none of the others from coming back. */
static void test_recover_all_but_damaged(void **state)
{
    struct fixture *f = *state;
    struct vs_id ids[5];
    struct vs_object object;
    size_t n = 0;

    for (size_t i = 0; i < 5; i++) {
        ids[i] = object_make(f, f->user, true, "k", "value");
        assert_ok(vs_object_delete(f->store, 0, f->user, &ids[i]));
    }
    record_damage(f, &ids[2]);
    assert_ok(vs_object_recover_all(f->store, 0, f->user, SIZE_MAX, &n));
    assert_int_equal(n, 4);
    for (size_t i = 0; i < 5; i++) {
        if (i != 2)
            object_expect(f, f->user, &ids[i], "value");
    }
    assert_status(vs_object_read(f->store, 0, f->user, &ids[2], &object), VS_E_CORRUPT);
    record_damage(f, &ids[2]);               /* repaired */
    assert_ok(vs_object_recover_all(f->store, 0, f->user, SIZE_MAX, &n));
    assert_int_equal(n, 1);
    object_expect(f, f->user, &ids[2], "value");
    audit_expect_whole(f);
}

static void test_sweep_many(void **state)
{
    struct fixture *f = *state;
    struct vs_id ids[MANY];

    for (size_t i = 0; i < MANY; i++) {
        ids[i] = object_make(f, f->user, true, "k", "value");
        assert_ok(vs_object_delete(f->store, 0, f->user, &ids[i]));
    }
    fixture_pass(f, 91 * DAY);
    expect_swept(f, 100);
    expect_swept(f, MANY - 100);
    for (size_t i = 0; i < MANY; i++)
        assert_true(slot_wiped(f, &ids[i]));
    audit_expect_whole(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_jumps_within_a_boot, fixture_store, fixture_done),
        cmocka_unit_test_setup_teardown(test_back_loses_nothing, fixture_store, fixture_done),
        cmocka_unit_test_setup_teardown(test_health_progress, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_across_boots, fixture_store, fixture_done),
        cmocka_unit_test_setup_teardown(test_strict, fixture_store, fixture_done),
        cmocka_unit_test_setup_teardown(test_strict_generation, fixture_store, fixture_done),
        cmocka_unit_test_setup_teardown(test_rollback, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_rollback_overgrown, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_lagging_mark, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_mark_open_to_others, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_health, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_recover_all, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_recover_all_but_damaged, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_sweep_many, fixture_vault, fixture_done),
    };

    return cmocka_run_group_tests_name("time", tests, NULL, NULL);
}
