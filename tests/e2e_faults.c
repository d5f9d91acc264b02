/*
 * Every management operation (tests/faults_objects.c, tests/faults_vaults.c), with the n-th write,
 * sync, truncation or renaming of the process going wrong, for n = 1, 2, 3 until the operation gets
 * through: no space, an I/O error for good or once, a short write, and death by SIGKILL.
 *
 * A call that failed says so. A fresh process then sees the state before or the state after, whole;
 * of an operation of several transactions each line of the state is as before or as after, and
 * what both have is there. Every purge on record has been carried out. A backup is there only if
 * it is whole, and only then anything is marked as backed up. The event chain verifies. The
 * operation, done again, gets to its end, and then all that can be recovered is the same as if
 * nothing had gone wrong. The process that saw the failure may go on, and says nothing untrue.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "faults.h"
#include "faulty_io.h"

#define MOST 1000u               /* calls that one operation may make */

/* Between the test and its children. */
struct report {
    struct faults_world w;
    const struct operation *operation;
    enum faulty_io kind;
    unsigned n, calls, files, again;
    CK_RV rv, retried;           /* the latter: CKR_CANCEL when there was none */
    bool killed;
    char before[FAULTS_TEXT], after[FAULTS_TEXT], deep[FAULTS_TEXT], now[FAULTS_TEXT];
    char why[256];
};

/* ------------------------------------------------------------------ processes */

static int prepare(void *ctx)
{
    struct report *report = ctx;
    struct session s = {.w = &report->w, .h = &report->w.h};
    char path[512];
    dir_path(&report->w, "blobs", path);
    CHECK(mkdir(path, 0700) == 0);
    s.handle = harness_start(s.h);
    s.vendor = promise_vendor(s.h);
    if (report->operation->stage != NULL)
        report->operation->stage(&s);
    if (s.h->dl != NULL)
        harness_unload(s.h);
    return 0;
}

static void leave(const char *file, int line)
{
    (void)file;
    (void)line;
    _exit(0);
}

/* The disk is well again, and the same process goes on: it may refuse to, but it must not say that
 * something is done which is not. */
static void retry(struct report *report, struct session *s)
{
    harness_fail_hook = leave;
    CHECK(freopen("/dev/null", "w", stderr) != NULL);
    s->again = true;
    report->retried = report->operation->run(s);
}

static int operate(void *ctx)
{
    struct report *report = ctx;
    const struct operation *operation = report->operation;
    struct session s = {.w = &report->w, .h = &report->w.h};
    if (!(operation->flags & OP_COLD)) {
        session_load(&s, &report->w);
        session_enter(&s, operation->who);
    }
    faulty_io_arm(report->kind, report->n);
    report->rv = operation->run(&s);
    report->calls = faulty_io_disarm();
    if (report->rv != operation->wanted && !(operation->flags & OP_COLD))
        retry(report, &s);
    harness_unload(s.h);
    return 0;
}

static int look(void *ctx)
{
    struct report *report = ctx;
    struct session s = {.again = false};
    session_load(&s, &report->w);
    state_text(&s, report->operation->flags, report->now);
    harness_unload(s.h);
    return 0;
}

static int look_deep(void *ctx)
{
    struct report *report = ctx;
    struct session s = {.again = false};
    session_load(&s, &report->w);
    state_text(&s, report->operation->flags, report->now);
    state_deep(&s, report->operation->flags, report->deep);
    harness_unload(s.h);
    return 0;
}

/* ------------------------------------------------------------------ what must be so */

static bool wrong(struct report *report, const char *why)
{
    snprintf(report->why, sizeof(report->why), "%s", why);
    return false;
}

/* No backup, then nothing says that there is one; none when the call failed, and one when it did
 * not, whether or not the marks got to the disk. */
static bool files_fit(struct report *report)
{
    bool there = strstr(report->now, "\nbackup new.rpv ") != NULL;
    if (!there && !report->killed && report->rv == CKR_OK)
        return wrong(report, "it says that it is done, and there is no backup");
    if (!there && strcmp(report->now, report->before) != 0)
        return wrong(report, "no backup, and something is marked as backed up");
    if (!report->killed && report->rv != CKR_OK &&
        dir_files(&report->w, "blobs") != report->files)
        return wrong(report, "it failed, and left a file");
    return true;
}

static bool state_fits(struct report *report, bool done)
{
    unsigned flags = report->operation->flags;
    char why[256] = "";
    if (!report->killed && report->rv == report->operation->wanted && !done &&
        !(flags & (OP_FILES | OP_LATER))) {
        state_between(report->now, report->after, report->after, why);
        return wrong(report, why[0] != '\0' ? why : "it says that it is done, and it is not");
    }
    if ((flags & OP_LATER) && report->rv == CKR_OK && !report->killed &&
        strcmp(report->now, report->before) == 0)
        return wrong(report, "it says that it is done, and nothing is");
    if (!state_purged(report->now, why))
        return wrong(report, why);
    if ((flags & OP_FILES) && !files_fit(report))
        return false;
    if (done || strcmp(report->now, report->before) == 0)
        return true;
    if (!(flags & (OP_STEPS | OP_TRIES)))
        return state_between(report->now, report->before, report->after, why)
                   ? wrong(report, "half of it is done") : wrong(report, why);
    return state_between(report->now, report->before, report->after, why) || wrong(report, why);
}

/* It works on: what was cut short is done again, in this process. */
static bool finish(struct report *report, struct session *s)
{
    const struct operation *operation = report->operation;
    char why[256] = "";
    s->again = true;
    session_enter(s, operation->who);
    CK_RV rv = operation->run(s);
    if (rv != operation->wanted)
        return wrong(report, ckr_name(rv));
    session_leave(s);
    state_text(s, operation->flags, report->now);
    if (strcmp(report->now, report->after) == 0)
        return true;
    state_between(report->now, report->after, report->after, why);
    return wrong(report, why);
}

/* Done the second time; the first may have got to the disk, too, although it was said to fail. */
static bool retry_fits(struct report *report)
{
    char why[256];
    if (!state_purged(report->now, why))
        return wrong(report, why);
    return strcmp(report->now, report->before) != 0 ||
           strcmp(report->after, report->before) == 0 ||
           wrong(report, "done again it says that it is done, and it is not");
}

static int inspect(void *ctx)
{
    struct report *report = ctx;
    struct session s = {.again = false};
    static char deep[FAULTS_TEXT];
    session_load(&s, &report->w);
    state_text(&s, report->operation->flags, report->now);
    bool done = strcmp(report->now, report->after) == 0;
    bool retried = report->retried == report->operation->wanted;
    if (retried && !done)
        return retry_fits(report) ? 0 : 1;
    if ((!retried && !state_fits(report, done)) || (!done && !finish(report, &s)))
        return 1;
    state_deep(&s, report->operation->flags, deep);
    if (strcmp(deep, report->deep) != 0) {
        state_between(deep, report->deep, report->deep, report->why);
        return 1;
    }
    harness_unload(s.h);
    return 0;
}

/* ------------------------------------------------------------------ one case */

static void fail_case(const struct report *report, const char *what)
{
    harness_fail(__FILE__, __LINE__, "%s, %s at call %u of %u, which returned %s: %s (%s)",
                 report->operation->name, faulty_io_name(report->kind), report->n, report->calls,
                 ckr_name(report->rv), what, report->why);
}

static void run(struct report *report, fork_fn fn, const char *what)
{
    if (fork_run(fn, report) != 0)
        fail_case(report, what);
}

static void store_reset(struct report *report)
{
    dir_copy(&report->w, "origin", "store");
    dir_copy(&report->w, "origin-blobs", "blobs");
    report->rv = CKR_OK;
    report->retried = CKR_CANCEL;
    report->calls = 0;
    report->why[0] = '\0';
}

/* The n-th call goes wrong. Says whether the operation got through unharmed. */
static bool one_case(struct report *report)
{
    store_reset(report);
    int status = fork_run(operate, report);
    report->killed = status == 128 + SIGKILL;
    if (status != 0 && !report->killed)
        fail_case(report, "the process failed");
    report->again += report->retried == report->operation->wanted;
    run(report, inspect, "afterwards");
    return !report->killed && report->calls < report->n;
}

/* Whoever has begun to check a PIN has used a try, until it is given back. */
static void a_try_may_be_lost(struct report *report)
{
    unsigned long tries;
    char *at = strstr(report->before, "\ntries ");
    if (at == NULL || report->operation->wanted != CKR_OK)
        return;
    CHECK(sscanf(at, "\ntries %lu", &tries) == 1 && tries == 10);
    memcpy(at, "\ntries 9 ", 9);
    memmove(at + 8, at + 9, strlen(at + 9) + 1);
}

static void states_take(struct report *report)
{
    run(report, prepare, "cannot be prepared");
    dir_copy(&report->w, "store", "origin");
    dir_copy(&report->w, "blobs", "origin-blobs");
    report->files = dir_files(&report->w, "blobs");
    run(report, look, "cannot be looked at");
    strcpy(report->before, report->now);
    store_reset(report);
    report->kind = FAULTY_NONE;
    run(report, operate, "fails with nothing wrong");
    if (report->rv != report->operation->wanted || report->calls == 0)
        fail_case(report, "fails with nothing wrong, or writes nothing");
    run(report, look_deep, "cannot be looked at afterwards");
    strcpy(report->after, report->now);
    a_try_may_be_lost(report);
}

/* Every kind at every call, but that no space and an I/O error take turns, and that to die before
 * a call is to die after the one before it. */
static bool wanted(enum faulty_io kind, unsigned n)
{
    return kind == FAULTY_NO_SPACE ? n % 2 == 1
           : kind == FAULTY_IO_ERROR ? n % 2 == 0 : true;
}

static unsigned all_cases(struct report *report, unsigned step)
{
    unsigned cases = 0;
    for (int kind = FAULTY_NO_SPACE; kind < FAULTY_KINDS; kind++) {
        bool through = false;
        report->kind = (enum faulty_io)kind;
        for (report->n = 1; !through && report->n < MOST; report->n += step) {
            if (!wanted(report->kind, report->n))
                continue;
            through = one_case(report) || kind == FAULTY_KILL_BEFORE;
            cases++;
        }
        if (report->n >= MOST)
            fail_case(report, "does not end");
    }
    return cases;
}

/* ------------------------------------------------------------------ the test */

static void outside_make(struct outside *outside)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(pkey != NULL && PEM_write_bio_PUBKEY(bio, pkey) == 1);
    CHECK(BIO_read(bio, outside->public, sizeof(outside->public) - 1) > 0);
    CHECK(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1);
    CHECK(BIO_read(bio, outside->private, sizeof(outside->private) - 1) > 0);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
}

static void clock_make(struct faults_world *w)
{
    char path[512];
    dir_path(w, "clock", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, sizeof(*w->clock)) == 0);
    w->clock = mmap(NULL, sizeof(*w->clock), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(w->clock != MAP_FAILED);
    close(fd);
    *w->clock = (struct test_clock){.wall = 1700000000, .boot = 1000, .boot_id = {1}};
    setenv("REPRIEVE_TEST_CLOCK", path, 1);
}

static void world_make(struct faults_world *w)
{
    harness_init(&w->h, "purge_protection = no\n");
    clock_make(w);
    for (size_t i = 0; i < FAULTS_KEYS; i++)
        outside_make(&w->outside[i]);
    strcpy(w->so_pin, HARNESS_SO_PIN);
    strcpy(w->user_pins[0], HARNESS_USER_PIN);
    strcpy(w->user_pins[1], "new " HARNESS_USER_PIN);
}

/* REPRIEVE_ONLY: rows whose name contains it. */
static void every_row(const struct operation *rows, size_t n)
{
    const char *only = getenv("REPRIEVE_ONLY");
    bool variant = getenv("REPRIEVE_VARIANT") != NULL;
    struct report *report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(report != MAP_FAILED);
    for (size_t i = 0; i < n; i += variant ? 4 : 1) {
        if (only != NULL && strstr(rows[i].name, only) == NULL)
            continue;
        memset(report, 0, sizeof(*report));
        report->operation = &rows[i];
        world_make(&report->w);
        states_take(report);
        unsigned calls = report->calls;
        unsigned cases = all_cases(report, variant ? 3 : 1);
        print_message("# %s: %u calls, %u cases, %u of them done again in the same process\n",
                      rows[i].name, calls, cases, report->again);
        munmap(report->w.clock, sizeof(*report->w.clock));
        harness_done(&report->w.h);
    }
    munmap(report, sizeof(*report));
}

static void objects(void **state)
{
    (void)state;
    every_row(FAULTS_OBJECTS, FAULTS_OBJECTS_N);
}

static void vaults(void **state)
{
    (void)state;
    every_row(FAULTS_VAULTS, FAULTS_VAULTS_N);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects),
        cmocka_unit_test(vaults),
    };
    const char *variant = getenv("REPRIEVE_VARIANT");
    char self[4096], module[4200];
    (void)argc;
    if (variant != NULL && strcmp(variant, "valgrind") == 0) {
        printf("1..0 # SKIP hundreds of processes, each some seconds under valgrind\n");
        return 0;
    }
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    snprintf(self, sizeof(self), "%s", argv[0]);
    snprintf(module, sizeof(module), "%s/reprieve-test.so", dirname(self));
    setenv("REPRIEVE_MODULE", module, 1);
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
