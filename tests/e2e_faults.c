/*
 * Every management operation, with the n-th write, sync or truncation of the process going wrong,
 * for n = 1, 2, 3 until the operation gets through: no space, an I/O error for good or once, a
 * short write, and death by SIGKILL before and after that very call. A call that failed says so; a
 * fresh process then sees the state before or the state after, whole, the event chain verifies,
 * and the store works on.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "faulty_io.h"
#include "promise.h"

#define MOST 400u                /* calls that one operation may make */

static const char LABEL[] = "subject";

struct session {
    struct harness *h;
    CK_SESSION_HANDLE handle;
    const struct RPV_FUNCTION_LIST *vendor;
};

/* ------------------------------------------------------------------ operations */

static CK_OBJECT_HANDLE find(struct session *s, bool deleted)
{
    CK_ATTRIBUTE template[] = {ATTR_STR(CKA_LABEL, LABEL),
                               ATTR_BOOL(CKA_RPV_DELETED, deleted ? CK_TRUE : CK_FALSE)};
    return harness_find(s->h, s->handle, template, COUNT_OF(template));
}

static CK_RV set(struct session *s, bool deleted, CK_ATTRIBUTE attr)
{
    return s->h->f->C_SetAttributeValue(s->handle, find(s, deleted), &attr, 1);
}

static CK_RV op_create(struct session *s)
{
    return promise_create(s->h, s->handle, LABEL, 7);
}

static CK_RV op_generate(struct session *s)
{
    CK_MECHANISM gen = {CKM_AES_KEY_GEN, NULL, 0};
    CK_OBJECT_HANDLE key;
    CK_ATTRIBUTE template[] = {ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, LABEL),
                               ATTR_ULONG(CKA_VALUE_LEN, 32)};
    return s->h->f->C_GenerateKey(s->handle, &gen, template, COUNT_OF(template), &key);
}

static CK_RV op_update(struct session *s)
{
    return set(s, false, (CK_ATTRIBUTE)ATTR_STR(CKA_ID, "another id"));
}

static CK_RV op_delete(struct session *s)
{
    return s->h->f->C_DestroyObject(s->handle, find(s, false));
}

static CK_RV op_recover(struct session *s)
{
    return promise_recover(s->h, s->handle, find(s, true));
}

static CK_RV op_purge(struct session *s)
{
    return s->h->f->C_DestroyObject(s->handle, find(s, true));
}

static CK_RV op_postpone(struct session *s)
{
    return set(s, true, (CK_ATTRIBUTE)ATTR_STR(CKA_RPV_PURGE_AT, "2090010100000000"));
}

static CK_RV op_disable(struct session *s)
{
    return set(s, false, (CK_ATTRIBUTE)ATTR_FALSE(CKA_RPV_ENABLED));
}

static CK_RV op_hold(struct session *s)
{
    return set(s, true, (CK_ATTRIBUTE)ATTR_TRUE(CKA_RPV_HOLD));
}

static CK_RV op_lock(struct session *s)
{
    return set(s, false, (CK_ATTRIBUTE)ATTR_ULONG(CKA_RPV_LOCK, 1));
}

static CK_RV op_policy(struct session *s)
{
    struct RPV_POLICY policy;
    OK(s->vendor->RPV_GetPolicy(s->h->slot, &policy));
    policy.ulRetentionDays = 33;
    return s->vendor->RPV_SetPolicy(s->handle, &policy);
}

static CK_RV op_pin(struct session *s)
{
    return s->h->f->C_InitPIN(s->handle, (CK_UTF8CHAR_PTR)HARNESS_USER_PIN,
                              strlen(HARNESS_USER_PIN));
}

static CK_RV op_set_pin(struct session *s)
{
    return s->h->f->C_SetPIN(s->handle, (CK_UTF8CHAR_PTR)HARNESS_USER_PIN,
                             strlen(HARNESS_USER_PIN), (CK_UTF8CHAR_PTR)HARNESS_USER_PIN,
                             strlen(HARNESS_USER_PIN));
}

static CK_RV op_vault_hold(struct session *s)
{
    return s->vendor->RPV_SetHold(s->h->slot, 0, CK_TRUE, NULL, 0);
}

static CK_RV op_user(struct session *s)
{
    return s->vendor->RPV_AddUser(s->handle, "alice", (CK_UTF8CHAR_PTR)"alice's pin", 11, 1);
}

static CK_RV op_user_remove(struct session *s)
{
    return s->vendor->RPV_RemoveUser(s->handle, "alice");
}

static CK_RV op_init(struct session *s)
{
    CK_UTF8CHAR label[33] = "again                           ";
    return s->h->f->C_InitToken(s->h->slot, (CK_UTF8CHAR_PTR)HARNESS_SO_PIN,
                                strlen(HARNESS_SO_PIN), label);
}

static CK_ULONG deleted_generation(struct session *s)
{
    struct RPV_GENERATION_INFO infos[8];
    CK_ULONG n = COUNT_OF(infos);
    OK(s->vendor->RPV_ListGenerations(s->h->slot, infos, &n));
    CHECK(n > 1);
    return infos[n - 1].ulGeneration;
}

static CK_RV op_generation_recover(struct session *s)
{
    return s->vendor->RPV_RecoverGeneration(s->h->slot, deleted_generation(s), CKU_SO,
                                            (CK_UTF8CHAR_PTR)HARNESS_SO_PIN,
                                            strlen(HARNESS_SO_PIN));
}

static CK_RV op_generation_purge(struct session *s)
{
    return s->vendor->RPV_PurgeGeneration(s->h->slot, deleted_generation(s),
                                          (CK_UTF8CHAR_PTR)HARNESS_SO_PIN,
                                          strlen(HARNESS_SO_PIN));
}

/* What must be there before: nothing, a live object, that and a named user, a deleted object, a
 * deleted generation. */
enum stage { EMPTY, LIVE, PEOPLED, DELETED, RETIRED };
enum who { NOBODY, USER, SO };

static const struct operation {
    const char *name;
    enum stage stage;
    enum who who;
    CK_RV (*run)(struct session *s);
} OPERATIONS[] = {
    {"create", EMPTY, USER, op_create},
    {"generate", EMPTY, USER, op_generate},
    {"update", LIVE, USER, op_update},
    {"delete", LIVE, USER, op_delete},
    {"recover", DELETED, USER, op_recover},
    {"purge", DELETED, SO, op_purge},
    {"postpone", DELETED, SO, op_postpone},
    {"disable", LIVE, USER, op_disable},
    {"hold", DELETED, SO, op_hold},
    {"lock", LIVE, SO, op_lock},
    {"policy", LIVE, SO, op_policy},
    {"init PIN", LIVE, SO, op_pin},
    {"set PIN", LIVE, USER, op_set_pin},
    {"hold the vault", LIVE, SO, op_vault_hold},
    {"add a user", LIVE, SO, op_user},
    {"remove a user", PEOPLED, SO, op_user_remove},
    {"init token", LIVE, NOBODY, op_init},
    {"recover generation", RETIRED, NOBODY, op_generation_recover},
    {"purge generation", RETIRED, NOBODY, op_generation_purge},
};

/* ------------------------------------------------------------------ what is there */

/* All that an operation may have changed, as bytes to compare. */
struct view {
    CK_ULONG live, deleted, state, hold, lock, retention, generations, live_generation, users;
    char purge_at[16], id[16];
    CK_FLAGS flags;
};

static void view_object(struct session *s, bool deleted, struct view *view)
{
    CK_OBJECT_HANDLE object = find(s, deleted);
    CK_BBOOL hold = 0;
    CK_ATTRIBUTE attrs[] = {ATTR_VAR(CKA_RPV_STATE, view->state), ATTR_VAR(CKA_RPV_HOLD, hold),
                            ATTR_VAR(CKA_RPV_LOCK, view->lock), ATTR_VAR(CKA_ID, view->id),
                            ATTR_VAR(CKA_RPV_PURGE_AT, view->purge_at)};
    if (object == CK_INVALID_HANDLE)
        return;
    *(deleted ? &view->deleted : &view->live) = 1;
    OK(s->h->f->C_GetAttributeValue(s->handle, object, attrs, COUNT_OF(attrs)));
    view->hold = hold;
}

static void view_take(struct session *s, struct view *view)
{
    struct RPV_GENERATION_INFO infos[8];
    struct RPV_POLICY policy;
    CK_TOKEN_INFO info;
    memset(view, 0, sizeof(*view));
    view->generations = COUNT_OF(infos);
    OK(s->vendor->RPV_ListGenerations(s->h->slot, infos, &view->generations));
    view->live_generation = infos[0].ulGeneration;
    OK(s->vendor->RPV_GetPolicy(s->h->slot, &policy));
    view->retention = policy.ulRetentionDays;
    OK(s->vendor->RPV_ListUsers(s->h->slot, NULL, &view->users));
    OK(s->h->f->C_GetTokenInfo(s->h->slot, &info));
    /* not the low counts of tries: one may be used up by a check that was not finished */
    view->flags = info.flags & (CKF_USER_PIN_INITIALIZED | CKF_WRITE_PROTECTED);
    if (s->handle != CK_INVALID_HANDLE) {
        view_object(s, false, view);
        view_object(s, true, view);
    }
}

/* ------------------------------------------------------------------ processes */

/* Between the test and its children. */
struct report {
    struct harness h;
    const struct operation *operation;
    enum faulty_io kind;
    unsigned n, calls;
    CK_RV rv;
    struct view view;
};

static void enter(struct session *s, struct harness *h, enum who who)
{
    *s = (struct session){.h = h, .handle = CK_INVALID_HANDLE};
    harness_load(h);
    harness_slot(h);
    s->vendor = promise_vendor(h);
    if (who == NOBODY)
        return;
    s->handle = harness_session_rw(h);
    harness_login(h, s->handle, who == SO ? CKU_SO : CKU_USER);
}

static int prepare(void *ctx)
{
    struct report *report = ctx;
    enum stage stage = report->operation->stage;
    struct session s = {.h = &report->h};
    s.handle = harness_start(&report->h);
    s.vendor = promise_vendor(&report->h);
    if (stage != EMPTY)
        OK(op_create(&s));
    if (stage == DELETED)
        OK(op_delete(&s));
    if (stage == PEOPLED) {
        OK(report->h.f->C_Logout(s.handle));
        harness_login(&report->h, s.handle, CKU_SO);
        OK(op_user(&s));
    }
    if (stage == RETIRED) {
        OK(report->h.f->C_CloseAllSessions(report->h.slot));
        OK(op_init(&s));
    }
    harness_unload(&report->h);
    return 0;
}

static int operate(void *ctx)
{
    struct report *report = ctx;
    struct session s;
    enter(&s, &report->h, report->operation->who);
    faulty_io_arm(report->kind, report->n);
    report->rv = report->operation->run(&s);
    report->calls = faulty_io_disarm();
    harness_unload(&report->h);
    return 0;
}

/* It works on: what was refused for want of a disk can be done, and the key opens. */
static void work_on(struct session *s, bool has_user, bool disabled)
{
    CK_BYTE block[16];
    CK_OBJECT_HANDLE key = has_user ? find(s, false) : CK_INVALID_HANDLE;
    if (key != CK_INVALID_HANDLE && !disabled)
        OK(promise_use(s->h, s->handle, key, block));
    if (has_user) {
        OK(promise_create(s->h, s->handle, "one more", 9));
    } else {
        s->handle = harness_session_rw(s->h);
        harness_login(s->h, s->handle, CKU_SO);
        OK(op_pin(s));
    }
}

static int look(void *ctx)
{
    struct report *report = ctx;
    struct session s;
    CK_TOKEN_INFO info;
    bool has_user;
    enter(&s, &report->h, NOBODY);
    OK(report->h.f->C_GetTokenInfo(report->h.slot, &info));
    has_user = (info.flags & CKF_USER_PIN_INITIALIZED) != 0;
    if (has_user) {
        s.handle = harness_session_rw(&report->h);
        harness_login(&report->h, s.handle, CKU_USER);
    }
    view_take(&s, &report->view);
    promise_audit(&report->h);
    if (report->kind != FAULTY_NONE)
        work_on(&s, has_user, report->view.state == RPV_STATE_DISABLED);
    harness_unload(&report->h);
    return 0;
}

/* ------------------------------------------------------------------ the test */

static void fail_case(const struct report *report, const char *what)
{
    harness_fail(__FILE__, __LINE__, "%s, %s at call %u of %u, which returned %s: %s",
                 report->operation->name, faulty_io_name(report->kind), report->n, report->calls,
                 ckr_name(report->rv), what);
}

static void run(struct report *report, fork_fn fn, const char *what)
{
    if (fork_run(fn, report) != 0)
        fail_case(report, what);
}

static void copy_store(const struct report *report, const char *from, const char *to)
{
    char source[600], target[600];
    snprintf(source, sizeof(source), "%s/%s", report->h.dir, from);
    snprintf(target, sizeof(target), "%s/%s", report->h.dir, to);
    promise_copy_dir(source, target);
}

static bool same(const struct view *a, const struct view *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* Purge dates and new generations differ from one run to the next: by the second, by number. */
static void view_blur(struct view *view, const struct operation *operation)
{
    if (operation->run == op_delete)
        memset(view->purge_at, 0, sizeof(view->purge_at));
}

/* One run with the n-th call going wrong. Says whether the operation got through unharmed. */
static bool one_case(struct report *report, const struct view *before, const struct view *after)
{
    copy_store(report, "origin", "store");
    report->rv = CKR_OK;
    report->calls = 0;
    int status = fork_run(operate, report);
    bool killed = status == 128 + SIGKILL;
    if (status != 0 && !killed)
        fail_case(report, "the process failed");
    run(report, look, "afterwards the store does not work on");
    view_blur(&report->view, report->operation);
    bool done = same(&report->view, after);
    if (!done && !same(&report->view, before))
        fail_case(report, "the state is neither the one before nor the one after");
    if (!killed && report->rv == CKR_OK && !done)
        fail_case(report, "success was reported, and it was not done");
    return !killed && report->calls < report->n;
}

static void views_take(struct report *report, struct view *before, struct view *after)
{
    run(report, prepare, "cannot be prepared");
    copy_store(report, "store", "origin");
    run(report, look, "cannot be looked at");
    *before = report->view;
    report->kind = FAULTY_NONE;
    run(report, operate, "fails with nothing wrong");
    if (report->rv != CKR_OK || report->calls == 0)
        fail_case(report, "fails with nothing wrong, or writes nothing");
    run(report, look, "cannot be looked at afterwards");
    *after = report->view;
    view_blur(before, report->operation);
    view_blur(after, report->operation);
}

static unsigned all_cases(struct report *report, enum faulty_io kind, const struct view *before,
                          const struct view *after)
{
    report->kind = kind;
    for (report->n = 1; report->n < MOST; report->n++)
        if (one_case(report, before, after))
            return report->n;
    fail_case(report, "does not end");
    return 0;
}

static void every_operation(enum faulty_io from, enum faulty_io to)
{
    struct report *report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(report != MAP_FAILED);
    for (size_t i = 0; i < COUNT_OF(OPERATIONS); i += getenv("REPRIEVE_VARIANT") ? 5 : 1) {
        struct view before, after;
        unsigned cases = 0;
        memset(report, 0, sizeof(*report));
        report->operation = &OPERATIONS[i];
        harness_init(&report->h, "purge_protection = no\n");
        views_take(report, &before, &after);
        for (enum faulty_io kind = from; kind <= to; kind++)
            cases += all_cases(report, kind, &before, &after);
        print_message("# %s: %u cases\n", OPERATIONS[i].name, cases);
        harness_done(&report->h);
    }
    munmap(report, sizeof(*report));
}

static void failing_writes(void **state)
{
    (void)state;
    every_operation(FAULTY_NO_SPACE, FAULTY_SHORT);
}

static void deaths(void **state)
{
    (void)state;
    every_operation(FAULTY_KILL_BEFORE, FAULTY_KILL_AFTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_writes),
        cmocka_unit_test(deaths),
    };
    const char *variant = getenv("REPRIEVE_VARIANT");
    if (variant != NULL && strcmp(variant, "valgrind") == 0) {
        printf("1..0 # SKIP hundreds of processes, each some seconds under valgrind\n");
        return 0;
    }
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
