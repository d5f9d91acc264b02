/*
 * walk_machine.c: the machine that the steps are done on: the module opened and logged in to, the
 * second process, the clocks, boots, and older files put back.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "walk.h"

static CK_SESSION_HANDLE tick_session;

/* ------------------------------------------------------------------ open, login */

void login_as(unsigned role)
{
    const char *name = role >= MODEL_NAMED ? user_names[role - MODEL_NAMED] : NULL;
    if (name == NULL) {
        harness_login(&w->h, session, role == MODEL_SO ? CKU_SO : CKU_USER);
        return;
    }
    CK_UTF8CHAR_PTR text = (CK_UTF8CHAR_PTR)(uintptr_t)name;
    OK(w->h.f3->C_LoginUser(session, CKU_USER, text, strlen(name), text, strlen(name)));
}

unsigned role_random(void)
{
    unsigned role = random_below(MODEL_ROLES);
    while (role >= MODEL_NAMED && live_model()->users[role - MODEL_NAMED] == 0)
        role = random_below(MODEL_ROLES);
    return role;
}

/* A vault locked against every change has no session to unlock it in: that is done by PIN. */
static void unlock_live(void)
{
    OK(vendor->RPV_SetLock(w->h.slot, 0, 0, (CK_UTF8CHAR_PTR)(uintptr_t)HARNESS_SO_PIN,
                           strlen(HARNESS_SO_PIN)));
    model_live(&w->model)->lock = model_live(&w->after)->lock = 0;
}

static bool is_rolled_back(void)
{
    return w->model.rolled_back || w->after.rolled_back;
}

static void session_begin(void)
{
    CK_FLAGS flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    CK_RV rv = w->h.f->C_OpenSession(w->h.slot, flags, NULL, NULL, &session);
    if (rv == CKR_TOKEN_WRITE_PROTECTED && is_rolled_back()) {
        session = harness_session(&w->h, 0);
        w->actors[SELF].role = MODEL_USER;
        return;
    }
    if (rv == CKR_TOKEN_WRITE_PROTECTED) {
        unlock_live();
        rv = w->h.f->C_OpenSession(w->h.slot, flags, NULL, NULL, &session);
    }
    OK(rv);
}

void session_open(void)
{
    CK_TOKEN_INFO info;
    session_begin();
    OK(w->h.f->C_GetTokenInfo(w->h.slot, &info));
    if (!(info.flags & CKF_USER_PIN_INITIALIZED)) {
        harness_login(&w->h, session, CKU_SO);
        OK(w->h.f->C_InitPIN(session, (CK_UTF8CHAR_PTR)(uintptr_t)HARNESS_USER_PIN,
                             strlen(HARNESS_USER_PIN)));
        OK(w->h.f->C_Logout(session));
    }
    login_as(w->actors[SELF].role);
    w->actors[SELF].voided = false;
}

void role_change(unsigned role)
{
    CK_RV rv = w->h.f->C_Logout(session);
    EXPECT(rv, w->actors[SELF].voided ? CKR_USER_NOT_LOGGED_IN : CKR_OK);
    w->actors[SELF] = (struct actor){.role = (uint8_t)role};
    login_as(role);
}

void module_open(void)
{
    harness_load(&w->h);
    harness_slot(&w->h);
    vendor = promise_vendor(&w->h);
    session_open();
    tick_session = 0;
}

/* ------------------------------------------------------------------ the partner */

static pid_t partner_pid;
static int partner_end;

static void partner_serve(int end)
{
    char command;
    while (read(end, &command, 1) == 1 && command != 'q') {
        if (command == 'v') {
            check_void();
        } else {
            crash_prepare();
            w->partner_rv = rows[w->step.op].run();
            if (w->in_flight)
                kill(getpid(), SIGKILL);
        }
        CHECK(write(end, "k", 1) == 1);
    }
}

/* Forked with the module loaded, and so in need of a C_Initialize of its own. */
static int partner_main(void *ctx)
{
    const int *ends = ctx;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(ends[0]);
    OK(w->h.f->C_Initialize(NULL));
    session = harness_session_rw(&w->h);
    login_as(w->actors[PARTNER].role);
    CHECK(write(ends[1], "k", 1) == 1);
    partner_serve(ends[1]);
    OK(w->h.f->C_Finalize(NULL));
    return 0;
}

bool partner_is(void)
{
    return partner_pid != 0;
}

/* When it was killed in a step, so is this process: there is one story to be told of it. */
static void partner_died(void)
{
    int status = fork_wait(partner_pid);
    if (w->in_flight && status == 128 + SIGKILL)
        kill(getpid(), SIGKILL);
    harness_fail(__FILE__, __LINE__, "step %u: the second process ended with %d", w->steps,
                 status);
}

static void partner_answer(void)
{
    char answer;
    if (read(partner_end, &answer, 1) != 1)
        partner_died();
}

static void partner_command(char command)
{
    CHECK(send(partner_end, &command, 1, MSG_NOSIGNAL) == 1);
    partner_answer();
}

void partner_start(unsigned role)
{
    int ends[2];
    w->actors[PARTNER] = (struct actor){.role = (uint8_t)role};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    partner_pid = fork_start(partner_main, ends);
    close(ends[1]);
    partner_end = ends[0];
    partner_answer();
}

void partner_stop(void)
{
    if (partner_pid == 0)
        return;
    CHECK(send(partner_end, "q", 1, MSG_NOSIGNAL) == 1);
    int status = fork_wait(partner_pid);
    if (status != 0)
        harness_fail(__FILE__, __LINE__, "step %u: the second process ended with %d", w->steps,
                     status);
    close(partner_end);
    partner_pid = 0;
}

void partner_voided(void)
{
    if (partner_pid == 0)
        return;
    partner_command('v');
    partner_stop();
}

void partner_check_void(void)
{
    partner_command('v');
}

CK_RV run_step(void)
{
    if (w->actor == PARTNER) {
        partner_command('r');
        return w->partner_rv;
    }
    crash_prepare();
    CK_RV rv = rows[w->step.op].run();
    if (w->in_flight)
        kill(getpid(), SIGKILL);   /* later than meant, but it is announced */
    return rv;
}

/* ------------------------------------------------------------------ clocks */

void clock_make(void)
{
    char path[320];
    int fd;
    file_path("clock", 0, path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, sizeof(*test_clock)) == 0);
    test_clock = mmap(NULL, sizeof(*test_clock), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(test_clock != MAP_FAILED);
    close(fd);
    *test_clock = (struct test_clock){.wall = 1700000000, .boot = 1000, .boot_id = {1}};
    setenv("REPRIEVE_TEST_CLOCK", path, 1);
}

/* A public object in a vault of its own, which nobody needs to be logged in to change. */
void tick_make(void)
{
    CK_UTF8CHAR label[33] = "clock                           ";
    CK_OBJECT_HANDLE object;
    CK_SESSION_HANDLE ticks;
    OK(vendor->RPV_CreateVault((CK_UTF8CHAR_PTR)(uintptr_t)HARNESS_SO_PIN, strlen(HARNESS_SO_PIN),
                               label, NULL, &w->tick_slot));
    OK(w->h.f->C_OpenSession(w->tick_slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                             &ticks));
    CK_ATTRIBUTE template[] = {ATTR_ULONG(CKA_CLASS, CKO_DATA), ATTR_TRUE(CKA_TOKEN),
                               ATTR_FALSE(CKA_PRIVATE), ATTR_STR(CKA_LABEL, "tick")};
    OK(w->h.f->C_CreateObject(ticks, template, COUNT_OF(template), &object));
}

/* A change, for the store to know what time it is: looking at the clock leaves no trace, and what
 * was only looked at is not known after a boot. */
static CK_RV tick(void)
{
    CK_ATTRIBUTE any = ATTR_ULONG(CKA_CLASS, CKO_DATA);
    char label[32];
    snprintf(label, sizeof(label), "tick %u", ++w->ticks);
    if (tick_session == 0) {
        OK(w->h.f->C_OpenSession(w->tick_slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                 &tick_session));
        w->tick_object = harness_find(&w->h, tick_session, &any, 1);
    }
    CK_ATTRIBUTE attr = ATTR_BYTES(CKA_LABEL, label, strlen(label));
    return w->h.f->C_SetAttributeValue(tick_session, w->tick_object, &attr, 1);
}

int32_t vault_now(void)
{
    struct RPV_STORE_INFO info;
    OK(vendor->RPV_GetStoreInfo(&info));
    return (int32_t)((int64_t)info.now - w->base);
}

CK_RV do_pass(void)
{
    test_clock->wall += w->step.value;
    test_clock->boot += w->step.value;
    w->boot_gone += w->step.value;
    w->wall_gain += w->step.value;
    return tick();
}

CK_RV do_wall(void)
{
    test_clock->wall += w->step.value;
    w->wall_gain += w->step.value > 0 ? w->step.value : 0;
    return tick();
}

CK_RV do_boot(void)
{
    partner_stop();
    harness_unload(&w->h);
    test_clock->wall += w->step.value;
    test_clock->boot = 10;
    test_clock->boot_id[0]++;
    w->wall_gain += w->step.value > 0 ? w->step.value : 0;
    module_open();
    OK(tick());
    w->boot_now = vault_now();
    w->boot_gone = 0;
    return CKR_OK;
}

static void model_do(enum model_op op, int32_t value)
{
    const struct model_step step = {.op = (uint8_t)op, .value = value};
    struct model before = w->model;
    const char *why;
    CHECK(model_apply(&w->model, &w->limits, RULES_ALL, &step) == RESULT_OK);
    why = model_broken(&before, &step, &w->model);
    if (why != NULL)
        fail_step("by the clock", why, "the promise kept");
}

/* The clocks of the copy: what they are ahead of it now is what went by in this boot. */
static void clock_back(int32_t now)
{
    bool same_boot = w->copy_boot == test_clock->boot_id[0];
    w->model.store.strict = w->copy_strict + (same_boot ? now - w->copy_now : 0);
    w->model.store.now = w->model.true_now = now;
    w->model.uptime = w->model.store.strict;
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++)     /* what is owed by that clock */
        w->model.store.generations[i].owed_protection =
            w->model.copy.generations[i].owed_protection;
    w->boot_now = now;
    w->boot_gone = 0;
}

/*
 * The vault clock never goes back, within a boot no faster than the boot clock, ever no further
 * than the wall clock went. What it says is then the model's time.
 */
void clock_check(void)
{
    int32_t now = vault_now();
    if (w->step.op == OP_ROLLBACK)
        clock_back(now);
    if (now < w->model.store.now || now - w->boot_now > w->boot_gone || now > w->wall_gain)
        harness_fail(__FILE__, __LINE__, "step %u: the vault clock went from %d to %d; %d gone by "
                     "in this boot, since %d", w->steps, w->model.store.now, now, w->boot_gone,
                     w->boot_now);
    if (w->step.op == OP_BOOT) {
        model_do(OP_BOOT, now - w->model.store.now);
        model_do(OP_OPEN, 0);
    } else {
        model_do(OP_PASS, now - w->model.store.now);
    }
    if (!w->model.rolled_back)
        model_do(OP_SWEEP, 0);
}

/* The strict clock is shown by a look at the whole store, which takes its time. */
void strict_check(void)
{
    struct RPV_CHECK checks[16];
    CK_ULONG n = COUNT_OF(checks);
    OK(vendor->RPV_CheckStore(checks, &n));
    for (CK_ULONG i = 0; i < n; i++) {
        const char *text = strstr(checks[i].detail, "the strict clock ");
        long long behind = text ? strtoll(text + strlen("the strict clock "), NULL, 10) : 0;
        if (text && behind != w->model.store.now - w->model.store.strict)
            harness_fail(__FILE__, __LINE__, "the strict clock is %lld s behind, not %d", behind,
                         w->model.store.now - w->model.store.strict);
    }
}

/* ------------------------------------------------------------------ older files */

void file_path(const char *name, unsigned number, char ret_path[320])
{
    snprintf(ret_path, 320, "%s/%s%.0u", w->h.dir, name, number);
}

static void file_copy(const char *from, const char *to)
{
    static char buffer[1 << 16];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    CHECK(in != NULL && out != NULL);
    for (size_t n; (n = fread(buffer, 1, sizeof(buffer), in)) > 0;)
        CHECK(fwrite(buffer, 1, n, out) == n);
    fclose(in);
    CHECK(fclose(out) == 0);
}

CK_RV do_copy(void)
{
    char data[320], aside[320];
    file_path("store/data.mdb", 0, data);
    file_path("aside", 0, aside);
    file_copy(data, aside);
    w->copy = w->now;
    w->copy_boot = test_clock->boot_id[0];
    w->copy_now = w->model.store.now;
    w->copy_strict = w->model.store.strict;
    return CKR_OK;
}

/* What cannot be written says so, and is written by nobody. */
static void check_protected(bool wanted)
{
    CK_TOKEN_INFO info;
    OK(w->h.f->C_GetTokenInfo(w->h.slot, &info));
    bool is = (info.flags & CKF_WRITE_PROTECTED) != 0;
    if (wanted && !is)
        fail_step("an older copy is", "not noticed", "write-protected");
}

/* What is due is purged in deed first: a purge that nobody carried out an older copy undoes. */
CK_RV do_rollback(void)
{
    char data[320], aside[320];
    CK_ULONG purged;
    OK(vendor->RPV_Sweep(1000, &purged));
    OK(tick());                  /* or the copy would be no older one */
    partner_stop();
    harness_unload(&w->h);
    file_path("store/data.mdb", 0, data);
    file_path("aside", 0, aside);
    file_copy(aside, data);
    w->now = w->copy;
    module_open();
    check_protected(true);
    return CKR_OK;
}

CK_RV do_accept(void)
{
    static const char wrong[] = "not-the-pin";
    CK_UTF8CHAR_PTR pin = (CK_UTF8CHAR_PTR)(uintptr_t)HARNESS_SO_PIN;
    CK_RV rv;
    if (w->steps % 4 == 0)
        EXPECT(vendor->RPV_AcceptRollback(w->h.slot, (CK_UTF8CHAR_PTR)(uintptr_t)wrong,
                                          strlen(wrong)), CKR_PIN_INCORRECT);
    check_protected(true);
    rv = vendor->RPV_AcceptRollback(w->h.slot, pin, strlen(HARNESS_SO_PIN));
    OK(w->h.f->C_CloseAllSessions(w->h.slot));
    w->model.rolled_back = false;
    session_open();
    return rv == CKR_OK ? tick() : rv;
}
