/* e2e_flusher.c: the module's own thread: uses are on record without another call, and neither calls nor
 * the end of the process wait for it. */
#include <setjmp.h>
#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include "uses.h"

/* ------------------------------------------------------------------ who makes no further call */

struct idler {
    struct harness *h;
    struct lockstep ls;
    CK_FLAGS flags;
    int uses;
    int exit_after_us;           /* -1: never by itself */
    bool finalize;               /* at the very end, when OpenSSL has gone; else not at all */
};

static struct harness *finalized;

static void finalize_late(void)
{
    if (finalized)
        OK(finalized->f->C_Finalize(NULL));
}

static int threads_count(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/task");
    CHECK(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

/* Uses keys, says so, and is silent. Exit status 0: it has no thread but its own. */
static int idler_run(void *ctx)
{
    struct idler *idler = ctx;
    struct harness *h = idler->h;
    CK_C_INITIALIZE_ARGS args = {.flags = idler->flags};
    CK_OBJECT_HANDLE key;
    lockstep_child(&idler->ls);
    finalized = idler->finalize ? h : NULL;
    harness_open(h);
    int before = threads_count();
    OK(h->f->C_Initialize(&args));
    harness_slot(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    CHECK(promise_find(h, session, "used", false, &key, 1) == 1);
    CHECK(threads_count() == before);        /* none before the first use */
    use_times(h, session, key, idler->uses);
    bool grew = threads_count() != before;
    lockstep_tell(&idler->ls);
    if (idler->exit_after_us < 0)
        lockstep_wait(&idler->ls);
    else
        usleep((useconds_t)idler->exit_after_us);
    exit(grew ? 3 : 0);
}

/* Seconds until that many uses are on record, as this process reads it; -1: not in a minute. */
static int uses_wait(struct harness *h, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
                     CK_ULONG want)
{
    for (int tenths = 0; tenths < 600; tenths++) {
        CK_ULONG uses = 0;
        CK_ATTRIBUTE read[] = {ATTR_VAR(CKA_RPV_USE_COUNT, uses)};
        OK(h->f->C_GetAttributeValue(session, key, read, 1));
        if (uses >= want)
            return tenths / 10;
        usleep(100000);
    }
    return -1;
}

/* Its uses are on record all the same, though it makes no call any more and then dies. */
static void test_idle(void **state)
{
    struct harness h;
    struct idler idler = {.h = &h, .flags = CKF_OS_LOCKING_OK, .uses = 7, .exit_after_us = -1};
    (void)state;
    harness_init(&h, NULL);
    CK_SESSION_HANDLE session = harness_start(&h);
    CK_OBJECT_HANDLE key = used_key_make(&h, session);
    lockstep_init(&idler.ls);
    pid_t pid = fork_start(idler_run, &idler);
    lockstep_wait(&idler.ls);
    assert_true(uses_wait(&h, session, key, 7) >= 0);
    kill(pid, SIGKILL);
    assert_int_equal(fork_wait(pid), 128 + SIGKILL);
    lockstep_done(&idler.ls);
    promise_audit(&h);
    harness_unload(&h);
    uses_expect(&h, "KeyEncrypt", "ok", NULL, 7);
    harness_done(&h);
}

/* An application that says so gets no thread. */
static void test_no_threads(void **state)
{
    struct harness h;
    struct idler idler = {.h = &h, .uses = 3, .exit_after_us = 0,
                          .flags = CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS};
    (void)state;
    harness_init(&h, NULL);
    CK_SESSION_HANDLE session = harness_start(&h);
    (void)used_key_make(&h, session);
    lockstep_init(&idler.ls);
    assert_int_equal(fork_run(idler_run, &idler), 0);
    lockstep_done(&idler.ls);
    harness_unload(&h);
    harness_done(&h);
}

/* exit() without C_Finalize, at every moment around the write: no crash, and the log is whole. */
static void test_exit(void **state)
{
    struct harness h;
    bool slow = getenv("REPRIEVE_VARIANT") != NULL;
    (void)state;
    harness_init(&h, NULL);
    CK_SESSION_HANDLE session = harness_start(&h);
    (void)used_key_make(&h, session);
    enum { TOGETHER = 8 };
    for (int round = 0; round < (slow ? 1 : 4); round++) {
        struct idler idlers[TOGETHER];
        pid_t pids[TOGETHER];
        for (int i = 0; i < TOGETHER; i++) {
            idlers[i] = (struct idler){.h = &h, .flags = CKF_OS_LOCKING_OK, .uses = 2,
                                       .exit_after_us = 980000 + 2500 * i + 700 * round};
            lockstep_init(&idlers[i].ls);
            pids[i] = fork_start(idler_run, &idlers[i]);
        }
        for (int i = 0; i < TOGETHER; i++) {
            assert_int_equal(fork_wait(pids[i]), 3);
            lockstep_done(&idlers[i].ls);
        }
    }
    promise_audit(&h);
    harness_unload(&h);
    harness_done(&h);
}

struct writer { const struct harness *h; struct lockstep ls; };

/* Takes the store's writer lock and stands still. */
static int writer_run(void *ctx)
{
    struct writer *writer = ctx;
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    char store[300];
    lockstep_child(&writer->ls);
    CHECK(mdb_env_create(&env) == 0);
    snprintf(store, sizeof(store), "%s/store", writer->h->dir);
    CHECK(mdb_env_open(env, store, MDB_NOTLS, 0600) == 0);
    CHECK(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    lockstep_tell(&writer->ls);
    lockstep_wait(&writer->ls);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return 0;
}

/* While another process stands still with the writer lock, nobody waits for our thread: neither a
 * call in the session whose uses are due, nor exit(), nor C_Finalize after it. */
static void test_standing_writer(void **state)
{
    struct harness h;
    struct idler idlers[2];
    pid_t pids[2];
    (void)state;
    const char *variant = getenv("REPRIEVE_VARIANT");
    /* to TSan a write that stands still is not in order with the end of OpenSSL: rightly */
    int exits = variant && strcmp(variant, "tsan") == 0 ? 0 : 2;
    harness_init(&h, NULL);
    CK_SESSION_HANDLE session = harness_start(&h);
    CK_OBJECT_HANDLE key = used_key_make(&h, session);
    struct writer writer = {.h = &h};
    for (int i = 0; i < exits; i++) {
        idlers[i] = (struct idler){.h = &h, .flags = CKF_OS_LOCKING_OK, .uses = 2,
                                   .exit_after_us = 1500000, .finalize = i == 1};
        lockstep_init(&idlers[i].ls);
        pids[i] = fork_start(idler_run, &idlers[i]);
        lockstep_wait(&idlers[i].ls);
    }
    use_times(&h, session, key, 3);
    lockstep_init(&writer.ls);
    pid_t pid = fork_start(writer_run, &writer);
    lockstep_wait(&writer.ls);
    usleep(1500000);                         /* the second is over */
    CK_BBOOL token = CK_FALSE;
    CK_ATTRIBUTE read[] = {ATTR_VAR(CKA_TOKEN, token)};
    OK(h.f->C_GetAttributeValue(session, key, read, 1));
    for (int i = 0; i < exits; i++) {
        assert_int_equal(fork_wait(pids[i]), 3);
        lockstep_done(&idlers[i].ls);
    }
    lockstep_tell(&writer.ls);
    assert_int_equal(fork_wait(pid), 0);
    lockstep_done(&writer.ls);
    assert_true(uses_wait(&h, session, key, 3) >= 0);
    promise_audit(&h);
    harness_unload(&h);
    harness_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_no_threads),
        cmocka_unit_test(test_exit),
        cmocka_unit_test(test_standing_writer),
    };
    harness_fail_hook = _fail;
    CHECK(atexit(finalize_late) == 0);       /* before OpenSSL's own, so that it comes after it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
