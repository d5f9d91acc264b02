/* The key-value engine: order, snapshots, processes that grow and die, a full disk. */
#include "vaultstore/kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit_tmp.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMALL_MAP ((size_t)256 << 10)

static struct tmp tmp;

static int setup(void **state)
{
    (void)state;
    tmp = tmp_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tmp_remove(&tmp);
    return 0;
}

static struct kv *open_here(void)
{
    struct kv *kv = NULL;
    return kv_open(tmp.path, SMALL_MAP, &kv) == 0 ? kv : NULL;
}

/* One put in one transaction, growing where the map is full. */
static int put(struct kv *kv, const char *key, const void *value, size_t len)
{
    for (;;) {
        struct kv_txn *txn;
        int status = kv_write(kv, &txn);
        if (status != 0)
            return status;
        status = kv_put(txn, key, strlen(key), value, len);
        if (status == 0) {
            status = kv_commit(txn);
        } else {
            kv_abort(txn);
        }
        if (status != KV_MAP_FULL)
            return status;
        status = kv_grow(kv);
        if (status != 0)
            return status;
    }
}

static bool has(struct kv *kv, const char *key, const char *value)
{
    struct kv_txn *txn;
    struct kv_slice slice;
    if (kv_read(kv, &txn) != 0)
        return false;
    int status = kv_get(txn, key, strlen(key), &slice);
    bool same = status == 0 && slice.len >= strlen(value) &&
                memcmp(slice.data, value, strlen(value)) == 0;
    kv_abort(txn);
    return same;
}

static void test_basics(void **state)
{
    (void)state;
    struct kv_txn *txn, *old;
    struct kv_slice slice;
    struct stat st;
    struct kv *kv = open_here();
    assert_non_null(kv);
    stat(tmp_file(&tmp, "data.mdb"), &st);
    assert_int_equal(st.st_mode & 0777, 0600);
    stat(tmp_file(&tmp, "lock.mdb"), &st);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(put(kv, "a", "1", 1), 0);
    uint64_t id = kv_txnid(kv);

    assert_int_equal(kv_read(kv, &old), 0);
    assert_int_equal(kv_write(kv, &txn), 0);
    assert_int_equal(kv_put(txn, "a", 1, "2", 1), 0);
    assert_int_equal(kv_put(txn, "e", 1, "", 0), 0);
    assert_int_equal(kv_get(txn, "a", 1, &slice), 0);
    assert_memory_equal(slice.data, "2", 1);
    assert_int_equal(kv_delete(txn, "none", 4), VS_NOT_FOUND);
    assert_int_equal(kv_commit(txn), 0);
    assert_int_equal(kv_txnid(kv), id + 1);
    assert_int_equal(kv_get(old, "a", 1, &slice), 0);   /* its own snapshot */
    assert_memory_equal(slice.data, "1", 1);
    assert_int_equal(kv_commit(old), 0);
    assert_true(has(kv, "a", "2"));

    assert_int_equal(kv_write(kv, &txn), 0);
    assert_int_equal(kv_delete(txn, "a", 1), 0);
    kv_abort(txn);
    kv_abort(NULL);
    assert_int_equal(kv_txnid(kv), id + 1);
    assert_int_equal(kv_read(kv, &txn), 0);
    assert_int_equal(kv_get(txn, "a", 1, &slice), 0);
    assert_int_equal(kv_get(txn, "e", 1, &slice), 0);
    assert_int_equal(slice.len, 0);
    assert_int_equal(kv_get(txn, "b", 1, &slice), VS_NOT_FOUND);
    kv_abort(txn);
    kv_close(kv);

    kv = open_here();
    assert_int_equal(kv_txnid(kv), id + 1);
    assert_true(has(kv, "a", "2"));
    kv_close(kv);
}

static void seek_case(struct kv_cursor *cursor, const char *key, const char *at, const char *before)
{
    struct kv_slice k, v;
    assert_int_equal(kv_cursor_seek(cursor, key, strlen(key), &k, &v), at ? VS_OK : VS_END);
    if (at)
        assert_memory_equal(k.data, at, k.len);
    assert_int_equal(kv_cursor_before(cursor, key, strlen(key), &k, &v), before ? VS_OK : VS_END);
    if (before)
        assert_memory_equal(k.data, before, k.len);
}

static void test_cursor(void **state)
{
    (void)state;
    static const char *const keys[] = {"b", "a2", "a1", "c1"};
    struct kv *kv = open_here();
    struct kv_txn *txn;
    struct kv_cursor *cursor;
    struct kv_slice k, v;
    assert_int_equal(kv_read(kv, &txn), 0);
    assert_int_equal(kv_cursor_open(txn, &cursor), 0);
    assert_int_equal(kv_cursor_before(cursor, "x", 1, &k, &v), VS_END);   /* an empty store */
    kv_cursor_close(cursor);
    kv_abort(txn);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(put(kv, keys[i], keys[i], strlen(keys[i])), 0);
    for (int write = 0; write < 2; write++) {
        assert_int_equal(write ? kv_write(kv, &txn) : kv_read(kv, &txn), 0);
        assert_int_equal(kv_cursor_open(txn, &cursor), 0);
        seek_case(cursor, "", "a1", NULL);
        seek_case(cursor, "a", "a1", NULL);
        seek_case(cursor, "a2", "a2", "a1");
        seek_case(cursor, "b", "b", "a2");
        seek_case(cursor, "c", "c1", "b");
        seek_case(cursor, "d", NULL, "c1");
        assert_int_equal(kv_cursor_seek(cursor, "a2", 2, &k, &v), 0);
        assert_int_equal(kv_cursor_next(cursor, &k, &v), 0);
        assert_memory_equal(k.data, "b", 1);
        assert_memory_equal(v.data, "b", 1);
        assert_int_equal(kv_cursor_next(cursor, &k, &v), 0);
        assert_int_equal(kv_cursor_next(cursor, &k, &v), VS_END);
        kv_cursor_close(cursor);
        kv_abort(txn);
    }
    kv_cursor_close(NULL);
    kv_close(kv);
}

/* What LMDB forbids (one store twice in one process) is one store with two users here. */
static void test_open_twice(void **state)
{
    (void)state;
    struct kv *one = open_here(), *two = open_here();
    assert_int_equal(put(one, "a", "1", 1), 0);
    kv_close(one);
    assert_true(has(two, "a", "1"));
    kv_close(two);
    kv_close(NULL);
    assert_int_equal(kv_open(tmp_file(&tmp, "none"), 0, &one), VS_E_IO);
}

/* Runs work in another process; its result is the exit status. */
static int in_child(int (*work)(struct kv *))
{
    pid_t pid = fork();
    if (pid == 0) {
        struct kv *kv = open_here();
        int result = kv ? work(kv) : 99;
        kv_close(kv);
        _exit(result);
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int fill(struct kv *kv)
{
    char key[16], value[8192];
    memset(value, 'v', sizeof(value));
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "f%d", i);
        if (put(kv, key, value, sizeof(value)) != 0)
            return 1;
    }
    return 0;
}

static void test_growth(void **state)
{
    (void)state;
    struct kv *kv = open_here();
    assert_int_equal(put(kv, "a", "1", 1), 0);
    assert_int_equal(fill(kv), 0);   /* 800 KiB into 256 */
    assert_true(has(kv, "f99", "vvv"));
    assert_true(has(kv, "a", "1"));
    kv_close(kv);
    kv = open_here();
    assert_int_equal(put(kv, "b", "1", 1), 0);
    assert_true(has(kv, "f0", "vvv"));
    kv_close(kv);
}

/* The other process grows the map; neither a read nor a write here may notice. */
static void test_growth_elsewhere(void **state)
{
    (void)state;
    struct kv *kv = open_here();
    assert_int_equal(put(kv, "a", "1", 1), 0);
    uint64_t id = kv_txnid(kv);
    assert_true(has(kv, "a", "1"));
    assert_int_equal(in_child(fill), 0);
    assert_true(kv_txnid(kv) >= id + 100);
    assert_true(has(kv, "f99", "vvv"));
    kv_close(kv);
}

static void test_growth_elsewhere_then_write(void **state)
{
    (void)state;
    struct kv *kv = open_here();
    assert_int_equal(put(kv, "a", "1", 1), 0);
    assert_int_equal(in_child(fill), 0);
    assert_int_equal(put(kv, "b", "2", 1), 0);
    assert_true(has(kv, "f99", "vvv"));
    assert_true(has(kv, "b", "2"));
    kv_close(kv);
}

static int die_writing(struct kv *kv)
{
    struct kv_txn *read, *txn;
    if (kv_read(kv, &read) != 0 || kv_write(kv, &txn) != 0 || kv_put(txn, "x", 1, "x", 1) != 0)
        return 1;
    return raise(SIGKILL);
}

static void test_killed_writer(void **state)
{
    (void)state;
    struct kv *kv = open_here();
    assert_int_equal(put(kv, "a", "1", 1), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(in_child(die_writing), 1000 + SIGKILL);
        assert_false(has(kv, "x", "x"));
        assert_int_equal(put(kv, "b", "2", 1), 0);
    }
    kv_close(kv);
}

/* ------------------------------------------------------------------ threads */

struct contest {
    struct kv *kv;
    atomic_bool stop;
    atomic_int faults, reads;
};

/* Both keys are always written in one transaction: a reader sees them equal. */
static void *contest_read(void *arg)
{
    struct contest *contest = arg;
    while (!atomic_load(&contest->stop)) {
        struct kv_txn *txn, *second;
        struct kv_slice a, b;
        uint64_t id = kv_txnid(contest->kv);
        if (kv_read(contest->kv, &txn) != 0) {
            atomic_fetch_add(&contest->faults, 1);
            break;
        }
        bool good = kv_get(txn, "a", 1, &a) == 0 && kv_get(txn, "b", 1, &b) == 0 &&
                    a.len == 8 && b.len == 8 && memcmp(a.data, b.data, 8) == 0;
        uint64_t seen = 0;
        if (good)
            memcpy(&seen, a.data, sizeof(seen));
        good = good && seen >= id;   /* what kv_txnid told of is seen */
        if (atomic_fetch_add(&contest->reads, 1) % 64 == 0) {   /* one within another */
            good = good && kv_read(contest->kv, &second) == 0;
            if (good)
                kv_abort(second);
        }
        kv_abort(txn);
        if (!good)
            atomic_fetch_add(&contest->faults, 1);
    }
    return NULL;
}

/* The value is the id of the transaction that writes it. */
static int write_pair(struct kv *kv)
{
    struct kv_txn *txn;
    if (kv_write(kv, &txn) != 0)
        return 1;
    uint64_t id = kv_txnid(kv) + 1;
    if (kv_put(txn, "a", 1, &id, sizeof(id)) != 0 || kv_put(txn, "b", 1, &id, sizeof(id)) != 0) {
        kv_abort(txn);
        return 1;
    }
    return kv_commit(txn);
}

static void test_threads_and_growth(void **state)
{
    (void)state;
    struct contest contest = {.kv = open_here()};
    pthread_t threads[6];
    assert_int_equal(write_pair(contest.kv), 0);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, contest_read, &contest), 0);
    for (int i = 0; i < 60; i++) {
        assert_int_equal(write_pair(contest.kv), 0);
        if (i % 10 == 5)
            assert_int_equal(kv_grow(contest.kv), 0);
        if (i % 20 == 0)
            usleep(1000);
    }
    atomic_store(&contest.stop, true);
    for (size_t i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&contest.faults), 0);
    assert_true(atomic_load(&contest.reads) > 0);
    kv_close(contest.kv);
}

/* More reads at once than slots: the last waits for one, none fails. */
static void *late_read(void *arg)
{
    struct kv_txn *txn;
    if (kv_read(arg, &txn) != 0)
        return "failed";
    kv_abort(txn);
    return NULL;
}

static void test_many_reads(void **state)
{
    (void)state;
    struct kv *kv = open_here();
    struct kv_txn *txns[64];
    pthread_t thread;
    void *complaint;
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(kv_read(kv, &txns[i]), 0);
    assert_int_equal(pthread_create(&thread, NULL, late_read, kv), 0);
    usleep(2000);
    for (size_t i = 0; i < 64; i++)
        kv_abort(txns[i]);
    pthread_join(thread, &complaint);
    assert_null(complaint);
    kv_close(kv);
}

/* ------------------------------------------------------------------ faults */

static int put_until_full(struct kv *kv)
{
    char key[16], value[4000];
    int status = 0;
    memset(value, 'v', sizeof(value));
    for (int i = 0; status == 0 && i < 500; i++) {
        snprintf(key, sizeof(key), "f%d", i);
        status = put(kv, key, value, sizeof(value));
    }
    return status;
}

/* The limit of a file's size stands for a full disk; also where it cuts a write short. */
static void test_full(void **state)
{
    (void)state;
    struct rlimit old, small;
    struct kv *kv = open_here();
    assert_int_equal(put(kv, "a", "1", 1), 0);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = (rlim_t)400 << 10;
    setrlimit(RLIMIT_FSIZE, &small);
    int status = put_until_full(kv);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(status, VS_E_FULL);
    assert_true(has(kv, "a", "1"));
    assert_true(has(kv, "f0", "v"));
    assert_int_equal(put(kv, "b", "2", 1), 0);
    assert_true(has(kv, "b", "2"));
    kv_close(kv);
}

/* A transaction that had a failure cannot be committed by mistake. */
static void test_failed_put(void **state)
{
    (void)state;
    static char value[1 << 20];
    struct kv *kv = open_here();
    struct kv_txn *txn;
    assert_int_equal(kv_write(kv, &txn), 0);
    assert_int_equal(kv_put(txn, "a", 1, "1", 1), 0);
    assert_int_equal(kv_put(txn, "b", 1, value, sizeof(value)), KV_MAP_FULL);
    assert_int_equal(kv_commit(txn), KV_MAP_FULL);
    assert_false(has(kv, "a", "1"));
    assert_int_equal(put(kv, "b", value, sizeof(value)), 0);   /* doubles as often as it must */
    kv_close(kv);
}

static void test_not_a_store(void **state)
{
    (void)state;
    struct kv *kv;
    FILE *file = fopen(tmp_file(&tmp, "data.mdb"), "w");
    for (int i = 0; i < 16384; i++)
        fputc('x', file);
    fclose(file);
    assert_int_equal(kv_open(tmp.path, 0, &kv), VS_E_CORRUPT);
}

static void test_copy(void **state)
{
    (void)state;
    struct kv *kv = open_here();
    assert_int_equal(fill(kv), 0);
    assert_int_equal(mkdir(tmp_file(&tmp, "copy"), 0700), 0);
    assert_int_equal(kv_copy(kv, tmp_file(&tmp, "copy/data.mdb")), 0);
    assert_int_equal(kv_copy(kv, tmp_file(&tmp, "copy/data.mdb")), VS_E_IO);   /* exists */
    kv_close(kv);
    assert_int_equal(kv_open(tmp_file(&tmp, "copy"), 0, &kv), 0);
    assert_true(has(kv, "f99", "vvv"));
    kv_close(kv);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_basics),       TEST(test_cursor),           TEST(test_open_twice),
        TEST(test_growth),       TEST(test_growth_elsewhere), TEST(test_growth_elsewhere_then_write),
        TEST(test_killed_writer), TEST(test_threads_and_growth), TEST(test_many_reads),
        TEST(test_full),         TEST(test_failed_put),       TEST(test_not_a_store),
        TEST(test_copy),
    };
    return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
