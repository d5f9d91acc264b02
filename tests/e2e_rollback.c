/*
 * An older copy of the database put back: the next to open the store finds it write-protected,
 * uses its keys, is told why, and goes on after the SO has accepted it. kill -9 at any moment does
 * not make it look so.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "promise.h"

static void path_of(const struct harness *h, const char *name, char ret_path[512])
{
    snprintf(ret_path, 512, "%s/%s", h->dir, name);
}

static CK_SESSION_HANDLE join(struct harness *h)
{
    harness_load(h);
    harness_slot(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    return session;
}

static bool is_protected(struct harness *h)
{
    CK_TOKEN_INFO info;
    OK(h->f->C_GetTokenInfo(h->slot, &info));
    return (info.flags & CKF_WRITE_PROTECTED) != 0;
}

static CK_ULONG verdict_of(struct harness *h, const char *name)
{
    struct RPV_CHECK checks[16];
    CK_ULONG n = COUNT_OF(checks);
    OK(promise_vendor(h)->RPV_CheckStore(checks, &n));
    for (CK_ULONG i = 0; i < n; i++)
        if (strcmp(checks[i].name, name) == 0)
            return checks[i].ulVerdict;
    harness_fail(__FILE__, __LINE__, "no check \"%s\"", name);
    return 0;
}

static int create(void *ctx)
{
    struct harness *h = ctx;
    CK_SESSION_HANDLE session = harness_start(h);
    OK(promise_create(h, session, "kept", 1));
    OK(promise_create(h, session, "doomed", 2));
    CHECK(!is_protected(h));
    CHECK(verdict_of(h, "head") == RPV_VERDICT_OK);
    harness_unload(h);
    return 0;
}

static int delete_one(void *ctx)
{
    struct harness *h = ctx;
    CK_SESSION_HANDLE session = join(h);
    CK_OBJECT_HANDLE key;
    CHECK(promise_find(h, session, "doomed", false, &key, 1) == 1);
    OK(h->f->C_DestroyObject(session, key));
    harness_unload(h);
    return 0;
}

static CK_RV accept_with(struct harness *h, const char *pin)
{
    return promise_vendor(h)->RPV_AcceptRollback(h->slot, (CK_UTF8CHAR *)(uintptr_t)pin,
                                                 strlen(pin));
}

/* Every way to change something is refused; keys work. */
static int meet_copy(void *ctx)
{
    struct harness *h = ctx;
    CK_SESSION_HANDLE session, rw;
    CK_OBJECT_HANDLE key;
    CK_BYTE block[16], label[32];
    CK_SLOT_ID slot;
    harness_load(h);
    harness_slot(h);
    CHECK(is_protected(h));
    EXPECT(h->f->C_OpenSession(h->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &rw),
           CKR_TOKEN_WRITE_PROTECTED);
    memset(label, ' ', sizeof(label));
    EXPECT(h->f->C_InitToken(h->slot, (CK_UTF8CHAR *)HARNESS_SO_PIN, strlen(HARNESS_SO_PIN), label),
           CKR_TOKEN_WRITE_PROTECTED);
    EXPECT(promise_vendor(h)->RPV_CreateVault((CK_UTF8CHAR *)HARNESS_SO_PIN,
                                              strlen(HARNESS_SO_PIN), label, NULL, &slot),
           CKR_TOKEN_WRITE_PROTECTED);
    session = harness_session(h, 0);
    harness_login(h, session, CKU_USER);
    CHECK(promise_find(h, session, "doomed", false, &key, 1) == 1);
    OK(promise_use(h, session, key, block));
    EXPECT(h->f->C_DestroyObject(session, key), CKR_SESSION_READ_ONLY);
    CHECK(verdict_of(h, "head") == RPV_VERDICT_BAD);
    CHECK(verdict_of(h, "chain") == RPV_VERDICT_OK);
    harness_unload(h);
    return 0;
}

static int accept_copy(void *ctx)
{
    struct harness *h = ctx;
    CK_OBJECT_HANDLE key;
    harness_load(h);
    harness_slot(h);
    CHECK(is_protected(h));
    EXPECT(accept_with(h, "not-the-pin"), CKR_PIN_INCORRECT);
    CHECK(is_protected(h));
    OK(accept_with(h, HARNESS_SO_PIN));
    CHECK(!is_protected(h));
    EXPECT(accept_with(h, HARNESS_SO_PIN), CKR_ARGUMENTS_BAD);
    CHECK(verdict_of(h, "head") == RPV_VERDICT_OK);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    CHECK(promise_find(h, session, "doomed", false, &key, 1) == 1);
    OK(h->f->C_DestroyObject(session, key));
    promise_audit(h);
    harness_unload(h);
    return 0;
}

/* Opened while the copy was not accepted; another process accepts it. */
static int wait_for_acceptance(void *ctx)
{
    struct harness *h = ((void **)ctx)[0];
    struct lockstep *ls = ((void **)ctx)[1];
    lockstep_child(ls);
    harness_load(h);
    harness_slot(h);
    CHECK(is_protected(h));
    lockstep_tell(ls);
    lockstep_wait(ls);
    CHECK(!is_protected(h));
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    OK(promise_create(h, session, "after", 3));
    harness_unload(h);
    return 0;
}

static int meet_accepted(void *ctx)
{
    struct harness *h = ctx;
    CK_SESSION_HANDLE session = join(h);
    CHECK(!is_protected(h));
    CHECK(promise_see(h, session, "after") == SEEN_LIVE);
    CHECK(promise_see(h, session, "kept") == SEEN_LIVE);
    CHECK(promise_see(h, session, "doomed") == SEEN_DELETED);
    harness_unload(h);
    return 0;
}

static void test_older_copy(void **state)
{
    (void)state;
    struct harness h;
    struct lockstep ls;
    char store[512], aside[512], from[600], to[600];
    harness_init(&h, NULL);
    path_of(&h, "store", store);
    path_of(&h, "aside", aside);
    CHECK(fork_run(create, &h) == 0);
    promise_copy_dir(store, aside);
    CHECK(fork_run(delete_one, &h) == 0);
    snprintf(from, sizeof(from), "%s/data.mdb", aside);
    snprintf(to, sizeof(to), "%s/data.mdb", store);
    CHECK(rename(from, to) == 0);
    CHECK(fork_run(meet_copy, &h) == 0);
    lockstep_init(&ls);
    void *ctx[] = {&h, &ls};
    pid_t other = fork_start(wait_for_acceptance, ctx);
    lockstep_wait(&ls);
    CHECK(fork_run(accept_copy, &h) == 0);
    lockstep_tell(&ls);
    CHECK(fork_wait(other) == 0);
    lockstep_done(&ls);
    CHECK(fork_run(meet_accepted, &h) == 0);
    harness_done(&h);
}

static int work(void *ctx)
{
    struct harness *h = ctx;
    CK_SESSION_HANDLE session = join(h);
    for (unsigned i = 0; i < 1000000; i++) {
        CK_OBJECT_HANDLE key;
        OK(promise_create(h, session, "k", (CK_BYTE)i));
        if (promise_find(h, session, "k", false, &key, 1) == 1)
            h->f->C_DestroyObject(session, key); /* unless the other worker was first */
    }
    return 0;
}

static int no_alarm(void *ctx)
{
    struct harness *h = ctx;
    harness_load(h);
    harness_slot(h);
    CHECK(!is_protected(h));
    CHECK(verdict_of(h, "head") == RPV_VERDICT_OK);
    harness_unload(h);
    return 0;
}

static void test_killed(void **state)
{
    (void)state;
    struct harness h;
    unsigned rounds = getenv("REPRIEVE_VARIANT") != NULL ? 4 : 20, seed = (unsigned)time(NULL);
    harness_init(&h, NULL);
    CHECK(fork_run(create, &h) == 0);
    for (unsigned i = 0; i < rounds; i++) {
        pid_t two[2] = {fork_start(work, &h), fork_start(work, &h)};
        usleep(50000u + (unsigned)rand_r(&seed) % 150000u);
        for (int p = 0; p < 2; p++) {
            kill(two[p], SIGKILL);
            waitpid(two[p], NULL, 0);
        }
        CHECK(fork_run(no_alarm, &h) == 0);
    }
    harness_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_older_copy),
        cmocka_unit_test(test_killed),
    };
    return cmocka_run_group_tests_name("rollback", tests, NULL, NULL);
}
