/*
 * kill -9 at random moments of create, delete, recover, purge and init loops. Afterwards every
 * object that was acknowledged is there, in the state acknowledged; the one operation that was
 * under way has happened or has not; the audit chain verifies.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "promise.h"

#define OBJECTS 4096

static const char UNPROTECTED[] = "purge_protection = no\n";

static unsigned rounds(unsigned usual)
{
    if (getenv("REPRIEVE_LONG") != NULL)
        return usual * 50;
    return getenv("REPRIEVE_VARIANT") != NULL ? usual / 5 + 1 : usual;
}

/* Survives the child's death: what each object's state is, and what it is about to become. */
struct journal {
    struct harness *h;
    unsigned seed;
    atomic_uint n;                  /* objects in use */
    struct {
        _Atomic int acknowledged;   /* enum seen */
        _Atomic int wanted;         /* the same, or another while an operation is under way */
    } objects[OBJECTS];
    atomic_uint operations;
    /* init loops */
    atomic_uint inits_begun, inits_done;
};

static struct journal *journal_new(struct harness *h)
{
    struct journal *j = mmap(NULL, sizeof(*j), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                             -1, 0);
    CHECK(j != MAP_FAILED);
    j->h = h;
    return j;
}

static CK_SESSION_HANDLE join(struct harness *h)
{
    harness_load(h);
    harness_slot(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    return session;
}

static void label_of(unsigned i, char ret_label[32])
{
    snprintf(ret_label, 32, "object %u", i);
}

/* One step on object i towards `wanted`, acknowledged only when the module said CKR_OK. */
static void step(struct journal *j, CK_SESSION_HANDLE session, unsigned i, enum seen wanted)
{
    struct harness *h = j->h;
    enum seen now = (enum seen)atomic_load(&j->objects[i].acknowledged);
    char label[32];
    CK_OBJECT_HANDLE key;
    label_of(i, label);
    atomic_store(&j->objects[i].wanted, wanted);
    if (now == SEEN_NOTHING) {
        OK(promise_create(h, session, label, (CK_BYTE)i));
    } else {
        CHECK(promise_find(h, session, label, now == SEEN_DELETED, &key, 1) == 1);
        if (now == SEEN_DELETED && wanted == SEEN_LIVE)
            OK(promise_recover(h, session, key));
        else if (now == SEEN_DELETED)
            OK(promise_purge(h, session, label));
        else
            OK(h->f->C_DestroyObject(session, key));
    }
    atomic_store(&j->objects[i].acknowledged, wanted);
    atomic_fetch_add(&j->operations, 1);
}

static int work(void *ctx)
{
    struct journal *j = ctx;
    CK_SESSION_HANDLE session = join(j->h);
    unsigned seed = j->seed;
    for (;;) {
        unsigned n = atomic_load(&j->n), r = (unsigned)rand_r(&seed);
        unsigned i = n == 0 || r % 4 == 0 ? n : (r >> 8) % n;
        if (i == n) {
            if (n == OBJECTS)
                return 0;
            atomic_store(&j->n, n + 1);
            step(j, session, i, SEEN_LIVE);
            continue;
        }
        switch (atomic_load(&j->objects[i].acknowledged)) {
        case SEEN_LIVE:
            step(j, session, i, SEEN_DELETED);
            break;
        case SEEN_DELETED:
            step(j, session, i, (r >> 4) % 3 == 0 ? SEEN_NOTHING : SEEN_LIVE);
            break;
        default:
            break; /* purged: nothing brings it back */
        }
    }
}

static int verify(void *ctx)
{
    struct journal *j = ctx;
    struct harness *h = j->h;
    CK_SESSION_HANDLE session = join(h);
    for (unsigned i = 0; i < atomic_load(&j->n); i++) {
        char label[32];
        label_of(i, label);
        int acknowledged = atomic_load(&j->objects[i].acknowledged);
        int wanted = atomic_load(&j->objects[i].wanted);
        int seen = (int)promise_see(h, session, label);
        if (seen != acknowledged && seen != wanted)
            harness_fail(__FILE__, __LINE__, "%s: acknowledged %s, under way to %s, seen %s",
                         label, seen_name((enum seen)acknowledged), seen_name((enum seen)wanted),
                         seen_name((enum seen)seen));
        CK_OBJECT_HANDLE key;
        CK_BYTE block[16];
        if (seen == SEEN_LIVE) {
            CHECK(promise_find(h, session, label, false, &key, 1) == 1);
            OK(promise_use(h, session, key, block));
        }
        atomic_store(&j->objects[i].acknowledged, seen);
        atomic_store(&j->objects[i].wanted, seen);
    }
    promise_audit(h);
    harness_unload(h);
    return 0;
}

static unsigned progress(struct journal *j)
{
    return atomic_load(&j->operations) + atomic_load(&j->inits_done);
}

/* Lets the child run for a random while, counted in every second round from the first thing that
 * was acknowledged to it, and kills it; only the kill may end it. */
static void run_and_kill(fork_fn fn, struct journal *j, unsigned round)
{
    unsigned before = progress(j);
    pid_t pid = fork_start(fn, j);
    for (unsigned ms = 0; round % 2 == 0 && progress(j) == before && ms < 60000; ms++)
        usleep(1000);
    unsigned us = 3000 + (unsigned)rand_r(&j->seed) % 60000;
    if (getenv("REPRIEVE_VARIANT") != NULL)
        us *= 8;
    nanosleep(&(struct timespec){us / 1000000, (long)(us % 1000000) * 1000}, NULL);
    kill(pid, SIGKILL);
    int status = fork_wait(pid);
    if (status != 128 + SIGKILL && status != 0)
        harness_fail(__FILE__, __LINE__, "the child failed before it was killed: %d", status);
}

static int make_token(void *ctx)
{
    struct harness *h = ctx;
    harness_start(h);
    harness_unload(h);
    return 0;
}

static void killed_object_operations(void **state)
{
    (void)state;
    struct harness h;
    harness_init(&h, UNPROTECTED);
    CHECK(fork_run(make_token, &h) == 0);
    struct journal *j = journal_new(&h);
    j->seed = getenv("REPRIEVE_SEED") ? (unsigned)atoi(getenv("REPRIEVE_SEED"))
                                      : (unsigned)time(NULL);
    print_message("# seed %u\n", j->seed);
    for (unsigned round = 0; round < rounds(60); round++) {
        run_and_kill(work, j, round);
        CHECK(fork_run(verify, j) == 0);
        j->seed++;
    }
    print_message("# %u operations on %u objects\n", atomic_load(&j->operations),
                  atomic_load(&j->n));
    CHECK(atomic_load(&j->operations) > 0);
    munmap(j, sizeof(*j));
    harness_done(&h);
}

/* C_InitToken over and over; every generation acknowledged keeps its one object. */
static int init_loop(void *ctx)
{
    struct journal *j = ctx;
    struct harness *h = j->h;
    CK_UTF8CHAR label[32];
    memset(label, ' ', sizeof(label));
    harness_load(h);
    harness_slot(h);
    while (atomic_load(&j->inits_begun) < OBJECTS) {
        atomic_fetch_add(&j->inits_begun, 1);
        OK(h->f->C_InitToken(h->slot, (CK_UTF8CHAR_PTR)HARNESS_SO_PIN, 8, label));
        atomic_store(&j->inits_done, atomic_load(&j->inits_begun));
        CK_SESSION_HANDLE session = harness_session_rw(h);
        harness_login(h, session, CKU_SO);
        OK(h->f->C_InitPIN(session, (CK_UTF8CHAR_PTR)HARNESS_USER_PIN, 6));
        harness_logout(h, session);
        harness_login(h, session, CKU_USER);
        OK(promise_create(h, session, "inhabitant", 1));
        OK(h->f->C_CloseAllSessions(h->slot));
    }
    return 0;
}

static int verify_generations(void *ctx)
{
    struct journal *j = ctx;
    struct harness *h = j->h;
    harness_load(h);
    harness_slot(h);
    CK_ULONG n = 0;
    const struct RPV_FUNCTION_LIST *v = promise_vendor(h);
    OK(v->RPV_ListGenerations(h->slot, NULL, &n));
    struct RPV_GENERATION_INFO *infos = calloc(n, sizeof(*infos));
    CHECK(infos != NULL);
    OK(v->RPV_ListGenerations(h->slot, infos, &n));
    /* The first one, made before the loop, and every init that was acknowledged. */
    unsigned done = atomic_load(&j->inits_done), begun = atomic_load(&j->inits_begun);
    if (n != done + 1 && n != begun + 1)
        harness_fail(__FILE__, __LINE__, "%lu generations, %u inits acknowledged, %u begun", n,
                     done, begun);
    /* A kill between an init and its object leaves an empty one; each kill at most one. */
    for (CK_ULONG i = 0; i < n; i++)
        CHECK(infos[i].ulObjects <= 1 && (infos[i].bDeleted == CK_TRUE) == (i != 0));
    atomic_store(&j->inits_done, (unsigned)n - 1);
    atomic_store(&j->inits_begun, (unsigned)n - 1);

    /* Any of them comes back, with its object. */
    CK_ULONG pick = (CK_ULONG)rand_r(&j->seed) % n;
    if (infos[pick].bDeleted && infos[pick].ulObjects == 1) {
        OK(v->RPV_RecoverGeneration(h->slot, infos[pick].ulGeneration, CKU_USER,
                                    (CK_UTF8CHAR_PTR)HARNESS_USER_PIN, 6));
        CK_SESSION_HANDLE session = harness_session_rw(h);
        harness_login(h, session, CKU_USER);
        CK_OBJECT_HANDLE key;
        CK_BYTE block[16];
        CHECK(promise_find(h, session, "inhabitant", false, &key, 1) == 1);
        OK(promise_use(h, session, key, block));
        OK(h->f->C_CloseAllSessions(h->slot));
    }
    free(infos);
    promise_audit(h);
    harness_unload(h);
    return 0;
}

static void killed_inits(void **state)
{
    (void)state;
    struct harness h;
    harness_init(&h, NULL);
    CHECK(fork_run(make_token, &h) == 0);
    struct journal *j = journal_new(&h);
    j->seed = (unsigned)time(NULL);
    for (unsigned round = 0; round < rounds(25); round++) {
        run_and_kill(init_loop, j, round);
        CHECK(fork_run(verify_generations, j) == 0);
    }
    CHECK(atomic_load(&j->inits_done) > 0);
    munmap(j, sizeof(*j));
    harness_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_object_operations),
        cmocka_unit_test(killed_inits),
    };
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
