/*
 * Clocks that lie to a second process: libfaketime (both its clocks), and a time namespace (its
 * boot clock). Neither purges anything before its date, nor loses anything; jumps are events.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "promise.h"

static const char SELF[] = "/proc/self/exe";
static const char LABEL[] = "dated";

static CK_SESSION_HANDLE join(struct harness *h)
{
    harness_load(h);
    harness_slot(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    return session;
}

/*
 * The second process, under its clock: what is deleted is there, retained, not swept, and comes
 * back; and then is deleted once more. Its purge date is a week from the delete, by true time.
 */
static int second_process(void)
{
    struct harness h = {.kind = HARNESS_REPRIEVE, .module = harness_module_path(HARNESS_REPRIEVE)};
    CK_SESSION_HANDLE session = join(&h);
    CK_OBJECT_HANDLE key;
    CK_BYTE block[16];
    CK_ULONG purged = 1;
    CHECK(promise_see(&h, session, LABEL) == SEEN_DELETED);
    OK(promise_vendor(&h)->RPV_Sweep(1000, &purged));
    CHECK(purged == 0);
    EXPECT(promise_purge(&h, session, LABEL), CKR_ACTION_PROHIBITED);
    CHECK(promise_find(&h, session, LABEL, true, &key, 1) == 1);
    OK(promise_recover(&h, session, key));
    CHECK(promise_find(&h, session, LABEL, false, &key, 1) == 1);
    OK(promise_use(&h, session, key, block));
    OK(h.f->C_DestroyObject(session, key));
    harness_unload(&h);
    return 0;
}

static int prepare(void *ctx)
{
    struct harness *h = ctx;
    CK_SESSION_HANDLE session = harness_start(h);
    CK_OBJECT_HANDLE key;
    OK(promise_create(h, session, LABEL, 7));
    CHECK(promise_find(h, session, LABEL, false, &key, 1) == 1);
    OK(h->f->C_DestroyObject(session, key));
    harness_unload(h);
    return 0;
}

/* In true time: still deleted, its purge date about a week away, the clock where it belongs. */
struct look { struct harness *h; unsigned long jumps; };

static int look(void *ctx)
{
    struct look *l = ctx;
    struct harness *h = l->h;
    CK_SESSION_HANDLE session = join(h);
    const struct RPV_FUNCTION_LIST *rpv = promise_vendor(h);
    struct RPV_STORE_INFO info;
    struct RPV_EVENT events[64];
    CK_ULONG n = COUNT_OF(events), jumps = 0;
    CHECK(promise_see(h, session, LABEL) == SEEN_DELETED);
    OK(rpv->RPV_GetStoreInfo(&info));
    long long off = (long long)info.now - (long long)time(NULL);
    if (off > 60 || off < -60)
        harness_fail(__FILE__, __LINE__, "the vault clock is off by %lld s", off);
    for (unsigned long long from = 1; n > 0;) {
        n = COUNT_OF(events);
        OK(rpv->RPV_ReadAudit(from, events, &n));
        for (CK_ULONG i = 0; i < n; i++)
            jumps += strcmp(events[i].operation, "ClockJump") == 0;
        from += n;
    }
    if (jumps < l->jumps)
        harness_fail(__FILE__, __LINE__, "%lu jumps on record, not %lu", jumps, l->jumps);
    promise_audit(h);
    harness_unload(h);
    return 0;
}

/* A command line that runs this program as the second process. */
static int run_second(char *const argv[])
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(126);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static char self[4096];

static void second_under(char *first, char *second, char *third, char *fourth)
{
    static char word[] = "second";
    char *argv[8], *prefix[] = {first, second, third, fourth};
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(prefix); i++)
        if (prefix[i] != NULL)
            argv[n++] = prefix[i];
    argv[n++] = self;
    argv[n++] = word;
    argv[n] = NULL;
    CHECK(run_second(argv) == 0);
}

static bool works(const char *command)
{
    return system(command) == 0;
}

/* Wall clock, and its own idea of the boot clock, shifted. */
static void test_faketime(void **state)
{
    (void)state;
    static char faketime[] = "faketime", f[] = "-f", forward[] = "+1000d", back[] = "-1000d";
    struct harness h;
    if (getenv("REPRIEVE_VARIANT") != NULL || !works("faketime -f +1d true 2>/dev/null"))
        skip();
    harness_init(&h, "retention_days = 7\n");
    CHECK(fork_run(prepare, &h) == 0);
    struct look l = {&h, 0};
    for (int i = 0; i < 3; i++) {
        second_under(faketime, f, forward, NULL);
        second_under(faketime, f, back, NULL);
        l.jumps += 2;
        CHECK(fork_run(look, &l) == 0);
    }
    setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1", 1);
    second_under(faketime, f, forward, NULL);
    unsetenv("FAKETIME_DONT_FAKE_MONOTONIC");
    CHECK(fork_run(look, &l) == 0);
    harness_done(&h);
}

static void test_time_namespace(void **state)
{
    (void)state;
    static char sh[] = "sh", c[] = "-c", script[] =
        "exec unshare $REPRIEVE_UNSHARE --boottime 86400000 --monotonic 86400000 \"$0\" \"$@\"";
    struct harness h;
    if (works("unshare -T --boottime 1000 true 2>/dev/null"))
        setenv("REPRIEVE_UNSHARE", "-T", 1);
    else if (works("unshare -U -r -T --boottime 1000 true 2>/dev/null"))
        setenv("REPRIEVE_UNSHARE", "-U -r -T", 1);
    else
        skip();
    harness_init(&h, "retention_days = 7\n");
    CHECK(fork_run(prepare, &h) == 0);
    struct look l = {&h, 0};
    for (int i = 0; i < 3; i++) {
        second_under(sh, c, script, NULL);
        CHECK(fork_run(look, &l) == 0);
    }
    harness_done(&h);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faketime),
        cmocka_unit_test(test_time_namespace),
    };
    if (argc > 1 && strcmp(argv[1], "second") == 0)
        return second_process();
    if (readlink(SELF, self, sizeof(self) - 1) <= 0)
        return 1;
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
