/* unit_store.c: opening a store, vaults, PINs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_fixture.h"
#include "vaultstore/store_internal.h"

static void file_path(const struct fixture *f, const char *name, char ret_path[128])
{
    snprintf(ret_path, 128, "%s%s", f->path, name);
}

static mode_t file_mode(const struct fixture *f, const char *name)
{
    struct stat st;
    char path[128];

    file_path(f, name, path);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void test_files_are_private(void **state)
{
    static const char *const names[] = {"/data.mdb", "/lock.mdb", "/slots", "/host.key",
                                        "/open.lock"};
    struct fixture *f = *state;

    assert_int_equal(file_mode(f, ""), 0700);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(file_mode(f, names[i]), 0600);
}

static void test_umask_does_not_matter(void **state)
{
    struct fixture *f = *state;
    mode_t before = umask(0);

    fixture_close(f);
    snprintf(f->path, sizeof(f->path), "%s/a/b/c", f->dir);
    fixture_open(f);
    test_files_are_private(state);
    umask(before);
}

static void test_parents_are_made(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char parent[80];

    fixture_close(f);
    snprintf(f->path, sizeof(f->path), "%.40s/one/two/three/", f->dir);
    fixture_open(f);
    snprintf(parent, sizeof(parent), "%.40s/one/two", f->dir);
    assert_int_equal(stat(parent, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void test_open_to_others_is_refused(void **state)
{
    static const struct { const char *name; mode_t mode; } rows[] = {
        {"", 0770}, {"", 0702}, {"/data.mdb", 0620}, {"/slots", 0602}, {"/host.key", 0604},
        {"/lock.mdb", 0666}, {"/pin.lock", 0660},
    };
    struct fixture *f = *state;

    vault_make(f, 0, NULL);
    fixture_close(f);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char path[128];
        mode_t right = file_mode(f, rows[i].name);

        file_path(f, rows[i].name, path);
        assert_int_equal(chmod(path, rows[i].mode), 0);
        f->trace[0] = '\0';
        assert_status(vs_store_open(&f->options, &f->store), VS_E_PERM);
        assert_non_null(strstr(f->trace, path));
        assert_non_null(strstr(f->trace, "chmod"));
        assert_int_equal(chmod(path, right), 0);
    }
    fixture_open(f);
}

static void test_host_key_elsewhere_missing_wrong(void **state)
{
    struct fixture *f = *state;
    char key[128], moved[128], wrong[128];
    uint8_t other[32] = {7};
    int fd;

    fixture_close(f);
    file_path(f, "/host.key", key);
    snprintf(moved, sizeof(moved), "%s/host-elsewhere", f->dir);
    snprintf(wrong, sizeof(wrong), "%s/host-wrong", f->dir);
    assert_int_equal(rename(key, moved), 0);
    assert_status(vs_store_open(&f->options, &f->store), VS_E_CORRUPT);
    assert_non_null(strstr(f->trace, key));
    fd = open(wrong, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, other, sizeof(other)), sizeof(other));
    close(fd);
    f->options.host_key_path = wrong;
    assert_status(vs_store_open(&f->options, &f->store), VS_E_CORRUPT);
    f->options.host_key_path = moved;
    fixture_open(f);
}

/* What was cut short is not a store that never began, be its mark there or not. */
static void test_data_cut_short(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "value");
    char data[128], head[128], copy[128];
    const off_t page = (off_t)sysconf(_SC_PAGESIZE);
    struct stat st;

    file_path(f, "/data.mdb", data);
    file_path(f, "/host.head", head);
    snprintf(copy, sizeof(copy), "%s/copy.mdb", f->dir);
    assert_ok(kv_copy(f->store->kv, copy));
    fixture_close(f);
    assert_int_equal(truncate(data, page), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_not_equal(vs_store_open(&f->options, &f->store), VS_OK);
        f->store = NULL;
        assert_int_equal(stat(data, &st), 0);
        assert_int_equal(st.st_size, page);
        if (i == 0)
            assert_int_equal(unlink(head), 0);
    }
    assert_int_equal(rename(copy, data), 0);
    fixture_open(f);
    fixture_login(f);
    object_expect(f, f->user, &id, "value");
}

/* As another build left it. */
static void version_set(struct fixture *f, uint32_t version)
{
    struct key key = key_meta();
    uint8_t record[64];
    struct kv_txn *txn;
    struct reader r;
    struct writer w;

    assert_ok(kv_write(f->store->kv, &txn));
    assert_ok(trusted_get(f->store, txn, &key, &r));
    writer_init(&w, record, sizeof(record));
    put_u32(&w, version);
    put_raw(&w, r.data + w.len, r.len - w.len);
    assert_ok(schema_mac(f->store->sealer, f->store->keys->mac, &key, record, w.len, NULL,
                         record + w.len));
    assert_ok(kv_put(txn, key.b, key.len, record, w.len + SCHEMA_MAC));
    assert_ok(kv_commit(txn));
}

static void test_newer_format_is_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t label[32] = {0};
    uint32_t generation;

    version_set(f, SCHEMA_VERSION + 1);
    /* also by who had it open already */
    assert_status(vs_vault_init(f->store, 0, (const uint8_t *)SO_PIN, 8, label, NULL, &generation),
                  VS_E_VERSION);
    fixture_close(f);
    assert_status(vs_store_open(&f->options, &f->store), VS_E_VERSION);
    assert_non_null(strstr(f->trace, "format 4"));
}

/* An older build that has the store open would go on writing the old format into the new one. */
static void test_migration_wants_the_store_alone(void **state)
{
    struct fixture *f = *state;
    int to[2], from[2];
    char byte = 0;
    pid_t child;

    version_set(f, SCHEMA_VERSION - 1);
    fixture_close(f);
    assert_true(pipe(to) == 0 && pipe(from) == 0);
    child = fork();
    if (child == 0) {
        struct kv *kv = NULL;
        if (kv_open(f->path, 0, &kv) != VS_OK || write(from[1], "o", 1) != 1 ||
            read(to[0], &byte, 1) != 1)
            _exit(1);
        kv_close(kv);
        _exit(0);
    }
    assert_int_equal(read(from[0], &byte, 1), 1);
    assert_status(vs_store_open(&f->options, &f->store), VS_E_BUSY);
    assert_non_null(strstr(f->trace, "has it open"));
    assert_int_equal(write(to[1], "c", 1), 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
    fixture_open(f);
    vault_make(f, 0, NULL);
    assert_int_equal(audit_count(f, "StoreMigrate", VS_OK), 1);
    for (int i = 0; i < 2; i++) {
        close(to[i]);
        close(from[i]);
    }
}

static void test_vault_numbers(void **state)
{
    struct fixture *f = *state;
    struct vs_vault_info info;
    uint32_t vaults[4], next, generation;
    uint8_t label[32] = {0};
    size_t n;

    assert_ok(vs_vault_list(f->store, vaults, 4, &n));
    assert_int_equal(n, 0);
    assert_ok(vs_vault_next(f->store, &next));
    assert_int_equal(next, 0);
    assert_status(vs_vault_info(f->store, 0, &info), VS_NOT_FOUND);
    assert_status(vs_vault_init(f->store, 3, (const uint8_t *)SO_PIN, 8, label, NULL, &generation),
                  VS_NOT_FOUND);
    vault_make(f, 0, NULL);
    vault_make(f, 1, NULL);
    assert_ok(vs_vault_list(f->store, vaults, 1, &n));
    assert_int_equal(n, 2);
    assert_ok(vs_vault_info(f->store, 1, &info));
    assert_int_equal(info.vault, 1);
    assert_true(info.user_pin_set);
    assert_int_equal(info.policy.retention_days, 90);
    assert_true(info.policy.purge_protection);
    assert_int_equal(info.so_tries_left, VS_PIN_TRIES_DEFAULT);
    assert_false(info.write_protected);
    assert_int_equal(strspn(info.serial, "0123456789abcdef") >= 16, 1);
    fixture_close(f);
    fixture_open(f);
    assert_ok(vs_vault_next(f->store, &next));
    assert_int_equal(next, 2);
}

static void test_pin_lengths(void **state)
{
    struct fixture *f = *state;
    uint8_t pin[300] = {'x'}, label[32] = {0};
    uint32_t generation;

    assert_status(vs_vault_init(f->store, 0, pin, 3, label, NULL, &generation), VS_POLICY);
    assert_status(vs_vault_init(f->store, 0, pin, 256, label, NULL, &generation), VS_POLICY);
    assert_ok(vs_vault_init(f->store, 0, pin, 255, label, NULL, &generation));
}

static void test_login(void **state)
{
    struct fixture *f = *state;
    struct vs_vault_info info;

    assert_ok(vs_login_check(f->store, f->user));
    assert_int_equal(vs_login_role(f->user), VS_ROLE_USER);
    login_try(f, VS_ROLE_USER, "wrong-pin", VS_PIN_INCORRECT);
    login_try(f, VS_ROLE_USER, SO_PIN, VS_PIN_INCORRECT);
    login_try(f, VS_ROLE_USER, "", VS_PIN_INCORRECT);
    assert_ok(vs_vault_info(f->store, 0, &info));
    assert_int_equal(info.user_tries_left, VS_PIN_TRIES_DEFAULT - 3);
    assert_int_equal(info.so_tries_left, VS_PIN_TRIES_DEFAULT);
    login_try(f, VS_ROLE_USER, USER_PIN, VS_OK);
    assert_ok(vs_vault_info(f->store, 0, &info));
    assert_int_equal(info.user_tries_left, VS_PIN_TRIES_DEFAULT);
    assert_ok(vs_login_verify(f->store, f->user, (const uint8_t *)USER_PIN, strlen(USER_PIN)));
    assert_status(vs_login_verify(f->store, f->user, (const uint8_t *)"nono", 4),
                  VS_PIN_INCORRECT);
    assert_int_equal(audit_count(f, "VaultLogin", VS_PIN_INCORRECT), 4);
    audit_expect_whole(f);
}

static void test_lock_out(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < VS_PIN_TRIES_DEFAULT; i++)
        login_try(f, VS_ROLE_USER, "wrong-pin", VS_PIN_INCORRECT);
    login_try(f, VS_ROLE_USER, USER_PIN, VS_PIN_LOCKED);
    assert_int_equal(audit_count(f, "VaultLockOut", VS_PIN_LOCKED), 1);
    fixture_close(f);
    fixture_open(f);
    login_try(f, VS_ROLE_USER, USER_PIN, VS_PIN_LOCKED);
    assert_ok(login_as(f, VS_ROLE_SO, SO_PIN, &f->so));
    assert_ok(vs_pin_init(f->store, f->so, (const uint8_t *)"fresh-pin", 9));
    login_try(f, VS_ROLE_USER, USER_PIN, VS_PIN_INCORRECT);
    login_try(f, VS_ROLE_USER, "fresh-pin", VS_OK);
}

static void test_pin_change(void **state)
{
    struct fixture *f = *state;
    const uint8_t *old_pin = (const uint8_t *)USER_PIN;
    struct vs_id id = object_make(f, f->user, true, "k", "value");
    struct vs_login *login;

    assert_status(vs_pin_change(f->store, 0, VS_ROLE_USER, (const uint8_t *)"nono", 4,
                                (const uint8_t *)"next", 4), VS_PIN_INCORRECT);
    assert_status(vs_pin_change(f->store, 0, VS_ROLE_USER, old_pin, strlen(USER_PIN),
                                (const uint8_t *)"abc", 3), VS_POLICY);
    assert_ok(vs_pin_change(f->store, 0, VS_ROLE_USER, old_pin, strlen(USER_PIN),
                            (const uint8_t *)"next", 4));
    login_try(f, VS_ROLE_USER, USER_PIN, VS_PIN_INCORRECT);
    assert_ok(login_as(f, VS_ROLE_USER, "next", &login));
    object_expect(f, login, &id, "value");
    vs_logout(login);
}

static void test_pin_not_set_and_denied(void **state)
{
    struct fixture *f = *state;
    uint8_t label[32] = {0};
    uint32_t generation;

    assert_ok(vs_vault_init(f->store, 1, (const uint8_t *)SO_PIN, 8, label, NULL, &generation));
    assert_status(vs_login(f->store, 1, VS_ROLE_USER, (const uint8_t *)USER_PIN, 8, &f->user),
                  VS_PIN_NOT_SET);
    assert_status(vs_pin_init(f->store, f->user, (const uint8_t *)"abcd", 4), VS_DENIED);
    assert_status(vs_login(f->store, 9, VS_ROLE_USER, (const uint8_t *)USER_PIN, 8, &f->user),
                  VS_NOT_FOUND);
}

static void test_rehash(void **state)
{
    struct fixture *f = *state;
    struct vs_policy policy = f->options.defaults;
    struct principal principal;
    struct kv_txn *txn;

    policy.scrypt_log_n = VS_SCRYPT_LOG_N_MIN + 1;
    assert_ok(vs_vault_set_policy(f->store, f->so, &policy));
    login_try(f, VS_ROLE_USER, USER_PIN, VS_OK);
    assert_ok(kv_read(f->store->kv, &txn));
    assert_ok(principal_get(f->store, txn, vs_login_generation(f->user),
                            (struct who){.role = VS_ROLE_USER}, &principal));
    kv_abort(txn);
    assert_int_equal(principal.log_n, policy.scrypt_log_n);
    login_try(f, VS_ROLE_USER, USER_PIN, VS_OK);
}

static void test_policy(void **state)
{
    struct fixture *f = *state;
    struct vs_policy policy = f->options.defaults;
    struct vs_vault_info info;

    policy.retention_days = 6;
    assert_status(vs_vault_set_policy(f->store, f->so, &policy), VS_POLICY);
    policy.retention_days = 7;
    policy.purge_protection = false;
    assert_status(vs_vault_set_policy(f->store, f->so, &policy), VS_POLICY);
    policy.purge_protection = true;
    assert_status(vs_vault_set_policy(f->store, f->user, &policy), VS_DENIED);
    assert_ok(vs_vault_set_policy(f->store, f->so, &policy));
    assert_ok(vs_vault_info(f->store, 0, &info));
    assert_int_equal(info.policy.retention_days, 7);
    assert_int_equal(audit_count(f, "VaultPolicy", VS_OK), 1);
}

/* Right PINs of several processes at once lock nobody out. */
static void test_parallel_logins(void **state)
{
    struct fixture *f = *state;
    struct vs_vault_info info;
    struct vs_policy policy = f->options.defaults;

    policy.pin_tries = 3;
    assert_ok(vs_vault_set_policy(f->store, f->so, &policy));
    fixture_close(f);
    for (int child = 0; child < 4; child++) {
        if (fork() == 0) {
            int bad = vs_store_open(&f->options, &f->store);
            for (int i = 0; i < 10 && bad == 0; i++) {
                bad = login_as(f, VS_ROLE_USER, USER_PIN, &f->user);
                if (bad == 0)
                    vs_logout(f->user);
            }
            _exit(bad == 0 ? 0 : 1);
        }
    }
    for (int child = 0; child < 4; child++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    fixture_open(f);
    assert_ok(vs_vault_info(f->store, 0, &info));
    assert_int_equal(info.user_tries_left, 3);
}

/* Several processes that make the same store at the same time agree on it. */
static void test_first_use_race(void **state)
{
    struct fixture *f = *state;
    uint32_t vaults[8];
    size_t n;

    fixture_close(f);
    snprintf(f->path, sizeof(f->path), "%s/race", f->dir);
    for (int child = 0; child < 4; child++) {
        if (fork() == 0) {
            uint8_t label[32] = {0};
            uint32_t generation, next;
            int bad = vs_store_open(&f->options, &f->store);

            for (int i = 0; i < 20 && bad == 0; i++) {
                bad = vs_vault_next(f->store, &next);
                if (bad == 0 && next < 2)
                    bad = vs_vault_init(f->store, next, (const uint8_t *)SO_PIN, 8, label, NULL,
                                        &generation);
            }
            _exit(bad == 0 ? 0 : 1);
        }
    }
    for (int child = 0; child < 4; child++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    fixture_open(f);
    assert_ok(vs_vault_list(f->store, vaults, 8, &n));
    assert_int_equal(n, 2);
    assert_int_equal(audit_count(f, "StoreCreate", VS_OK), 1);
    audit_expect_whole(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files_are_private, fixture_store, fixture_done),
        cmocka_unit_test_setup_teardown(test_umask_does_not_matter, fixture_store, fixture_done),
        cmocka_unit_test_setup_teardown(test_parents_are_made, fixture_store, fixture_done),
        cmocka_unit_test_setup_teardown(test_open_to_others_is_refused, fixture_store,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_host_key_elsewhere_missing_wrong, fixture_store,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_migration_wants_the_store_alone, fixture_store,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_newer_format_is_refused, fixture_store,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_data_cut_short, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_vault_numbers, fixture_store, fixture_done),
        cmocka_unit_test_setup_teardown(test_pin_lengths, fixture_store, fixture_done),
        cmocka_unit_test_setup_teardown(test_login, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_lock_out, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_pin_change, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_pin_not_set_and_denied, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_rehash, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_policy, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_parallel_logins, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_first_use_race, fixture_store, fixture_done),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
