/* store_fixture.c: see store_fixture.h. */
#include "store_fixture.h"
#include "vaultstore/store_internal.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct fixture *traced;     /* the trace callback has no context */

static void trace_add(const char *where, const char *message)
{
    size_t used;

    if (traced == NULL)
        return;
    used = strlen(traced->trace);
    snprintf(traced->trace + used, sizeof(traced->trace) - used, "%s: %s\n", where, message);
}

static int64_t time_wall(void *ctx)
{
    return ((struct fixture *)ctx)->wall;
}

static int64_t time_boot(void *ctx)
{
    return ((struct fixture *)ctx)->boot;
}

static void time_boot_id(void *ctx, uint8_t ret_id[16])
{
    memcpy(ret_id, ((struct fixture *)ctx)->boot_id, 16);
}

int fixture_store(void **state)
{
    const char *base = getenv("TMPDIR");
    struct fixture *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return -1;
    snprintf(f->dir, sizeof(f->dir), "%.30s/reprieve-test-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/store", f->dir);
    f->wall = 1800000000;
    f->boot = 1000;
    f->boot_id[0] = 1;
    f->time = (struct vs_time_source){time_wall, time_boot, time_boot_id, f};
    f->options = (struct vs_options){.path = f->path, .time = &f->time, .trace = trace_add};
    vs_policy_default(&f->options.defaults);
    f->options.defaults.scrypt_log_n = VS_SCRYPT_LOG_N_MIN;
    fixture_open(f);
    *state = f;
    return 0;
}

int fixture_vault(void **state)
{
    struct fixture *f;

    if (fixture_store(state) != 0)
        return -1;
    f = *state;
    vault_make(f, 0, NULL);
    fixture_login(f);
    return 0;
}

int fixture_unprotected(void **state)
{
    struct vs_policy policy;
    struct fixture *f;

    if (fixture_store(state) != 0)
        return -1;
    f = *state;
    policy = f->options.defaults;
    policy.purge_protection = false;
    vault_make(f, 0, &policy);
    fixture_login(f);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int fixture_done(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    traced = NULL;
    nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

void fixture_open(struct fixture *f)
{
    traced = f;
    assert_ok(vs_store_open(&f->options, &f->store));
}

void fixture_close(struct fixture *f)
{
    vs_logout(f->so);
    vs_logout(f->user);
    f->so = f->user = NULL;
    vs_store_close(f->store);
    f->store = NULL;
}

void fixture_login(struct fixture *f)
{
    assert_ok(login_as(f, VS_ROLE_SO, SO_PIN, &f->so));
    assert_ok(login_as(f, VS_ROLE_USER, USER_PIN, &f->user));
}

void fixture_pass(struct fixture *f, int64_t seconds)
{
    f->wall += seconds;
    f->boot += seconds;
}

uint32_t vault_make(struct fixture *f, uint32_t vault, const struct vs_policy *policy)
{
    uint8_t label[32];
    struct vs_login *so;
    uint32_t generation;

    memset(label, ' ', sizeof(label));
    memcpy(label, "test", 4);
    assert_ok(vs_vault_init(f->store, vault, (const uint8_t *)SO_PIN, strlen(SO_PIN), label,
                            policy, &generation));
    assert_ok(vs_login(f->store, vault, VS_ROLE_SO, (const uint8_t *)SO_PIN, strlen(SO_PIN), &so));
    assert_ok(vs_pin_init(f->store, so, (const uint8_t *)USER_PIN, strlen(USER_PIN)));
    vs_logout(so);
    return generation;
}

int login_as(struct fixture *f, enum vs_role role, const char *pin, struct vs_login **ret_login)
{
    return vs_login(f->store, 0, role, (const uint8_t *)pin, strlen(pin), ret_login);
}

void login_try(struct fixture *f, enum vs_role role, const char *pin, int expected)
{
    struct vs_login *login = NULL;

    assert_status(login_as(f, role, pin, &login), expected);
    vs_logout(login);
}

struct vs_id object_make(struct fixture *f, struct vs_login *login, bool is_private,
                         const char *label, const char *attrs)
{
    const struct vs_term terms[] = {{0, (const uint8_t *)"key", 3},
                                    {1, (const uint8_t *)label, strlen(label)}};
    const struct vs_new_object object = {.kind = 4, .is_private = is_private, .destroyable = true,
                                         .attrs = (const uint8_t *)attrs,
                                         .attrs_len = strlen(attrs), .terms = terms,
                                         .n_terms = 2, .operation = "KeyCreate"};
    struct vs_id id;

    assert_ok(vs_object_create(f->store, 0, login, &object, 1, &id));
    return id;
}

void object_expect(struct fixture *f, struct vs_login *login, const struct vs_id *id,
                   const char *attrs)
{
    struct vs_object object;

    assert_ok(vs_object_read(f->store, 0, login, id, &object));
    assert_int_equal(object.attrs_len, strlen(attrs));
    assert_memory_equal(object.attrs, attrs, strlen(attrs));
    vs_object_done(&object);
}

static size_t find_count(struct fixture *f, struct vs_login *login, const struct vs_query *query,
                         struct vs_id *ret_id)
{
    struct vs_cursor *cursor;
    struct vs_id ids[3];
    size_t n, total = 0;

    assert_ok(vs_find_open(f->store, 0, login, query, &cursor));
    do {
        assert_ok(vs_find_next(cursor, login, ids, 3, &n));
        if (total == 0 && n > 0 && ret_id != NULL)
            *ret_id = ids[0];
        total += n;
    } while (n > 0);
    vs_find_close(cursor);
    return total;
}

size_t find_label(struct fixture *f, struct vs_login *login, const char *label, bool deleted,
                  struct vs_id *ret_id)
{
    const struct vs_query query = {.terms = {{1, (const uint8_t *)label, strlen(label)},
                                             {0, (const uint8_t *)"key", 3}},
                                   .n_terms = 2, .deleted = deleted, .want_public = true,
                                   .want_private = true};

    return find_count(f, login, &query, ret_id);
}

size_t find_all(struct fixture *f, struct vs_login *login, bool deleted)
{
    const struct vs_query query = {.deleted = deleted, .want_public = true, .want_private = true};

    return find_count(f, login, &query, NULL);
}

size_t audit_count(struct fixture *f, const char *operation, int result)
{
    struct vs_event events[16];
    uint64_t from = 1;
    size_t n, count = 0;
    int status;

    while ((status = vs_audit_read(f->store, from, events, 16, &n)) == VS_OK) {
        for (size_t i = 0; i < n; i++)
            count += strcmp(events[i].operation, operation) == 0 && events[i].result == result;
        from = events[n - 1].seq + 1;
    }
    assert_status(status, VS_END);
    return count;
}

void audit_expect_whole(struct fixture *f)
{
    uint64_t events, bad;

    assert_ok(vs_audit_verify(f->store, &events, &bad));
    assert_int_equal(bad, 0);
    assert_true(events > 0);
}

bool slot_wiped(struct fixture *f, const struct vs_id *id)
{
    static const uint8_t zeros[32];
    uint8_t slot[32];
    char path[128];
    off_t seq = 0;
    int fd;

    for (size_t i = 8; i < 16; i++)
        seq = seq << 8 | id->b[i];
    snprintf(path, sizeof(path), "%s/slots", f->path);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, slot, sizeof(slot), seq * 32), sizeof(slot));
    close(fd);
    return memcmp(slot, zeros, sizeof(slot)) == 0;
}

void record_damage_at(struct fixture *f, const struct key *key)
{
    struct kv_slice value;
    struct kv_txn *txn;
    uint8_t copy[1024];
    size_t len;

    assert_ok(kv_write(f->store->kv, &txn));
    assert_ok(kv_get(txn, key->b, key->len, &value));
    len = value.len;
    assert_true(len <= sizeof(copy));
    memcpy(copy, value.data, len);
    copy[len - 1] ^= 1;
    assert_ok(kv_put(txn, key->b, key->len, copy, len));
    assert_ok(kv_commit(txn));
}

void record_damage(struct fixture *f, const struct vs_id *id)
{
    struct key key = key_object(id);

    record_damage_at(f, &key);
}

void slot_wipe(struct fixture *f, const struct vs_id *id)
{
    const uint64_t slot = id_seq(id);

    assert_ok(keyslots_wipe(f->store->slots, &slot, 1));
}

void record_keep(struct fixture *f, const struct key *key, struct kept *ret_kept)
{
    struct kv_txn *txn;
    struct kv_slice value;

    assert_ok(kv_read(f->store->kv, &txn));
    assert_ok(kv_get(txn, key->b, key->len, &value));
    assert_true(value.len <= sizeof(ret_kept->value));
    ret_kept->key = *key;
    memcpy(ret_kept->value, value.data, value.len);
    ret_kept->len = value.len;
    kv_abort(txn);
}

void record_put_back(struct fixture *f, const struct kept *kept)
{
    struct kv_txn *txn;

    assert_ok(kv_write(f->store->kv, &txn));
    assert_ok(kv_put(txn, kept->key.b, kept->key.len, kept->value, kept->len));
    assert_ok(kv_commit(txn));
}

size_t table_count(struct fixture *f, enum schema_table table)
{
    struct key from = key_table(table);
    struct kv_slice key, value;
    struct kv_cursor *cursor;
    struct kv_txn *txn;
    size_t n = 0;
    int status;

    assert_ok(kv_read(f->store->kv, &txn));
    assert_ok(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, from.b, from.len, &key, &value);
    for (; status == VS_OK && key.data[0] == table; n++)
        status = kv_cursor_next(cursor, &key, &value);
    kv_cursor_close(cursor);
    kv_abort(txn);
    return n;
}
