/*
 * Random sequences of everything that is done to keys and vaults, against the loaded module, with
 * the model as oracle: what the module answers, and what is there afterwards, is what the model
 * says, and the model keeps the promise at every step. The clock is the test's; some processes are
 * killed in the middle of a step, and then there is the state before it or the one after.
 *
 * REPRIEVE_SEED repeats a sequence; REPRIEVE_LONG goes on for millions of steps.
 */
#include <fcntl.h>
#include <libgen.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "model.h"
#include "promise.h"
#include "test_clock.h"

#define HOUR 3600
#define DAY 86400
#define STEPS 5000u              /* on one store */
#define LABEL 32

/* What outlives a killed process. */
struct world {
    struct harness h;
    struct model_limits limits;
    struct model model, after;   /* after: of the step in flight */
    struct model_step step;
    bool in_flight;
    enum model_role role;
    CK_ULONG numbers[MODEL_GENERATIONS];
    unsigned serials[MODEL_GENERATIONS][MODEL_OBJECTS];
    CK_BYTE blocks[MODEL_GENERATIONS][MODEL_OBJECTS][16];
    unsigned next_serial;
    int64_t base;                /* the vault clock at the model's start */
    int32_t boot_now, boot_gone; /* the clock when this boot was first seen; what went by since */
    int64_t wall_gain;           /* all that the wall clock ever went forward */
    uint64_t random;
    unsigned steps, wanted, crashes, counts[OP_COUNT], done[OP_COUNT];
};

static struct world *w;
static struct test_clock *test_clock;
static CK_SESSION_HANDLE session;
static const struct RPV_FUNCTION_LIST *vendor;

static unsigned random_below(unsigned n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (unsigned)(w->random >> 20) % n;
}

static void fail_step(const char *why, const char *got, const char *wanted)
{
    harness_fail(__FILE__, __LINE__,
                 "step %u, %s by %s of object %u in generation %u, value %d, at %d: %s: %s, not %s",
                 w->steps, model_op_name(w->step.op), w->role == MODEL_SO ? "SO" : "user",
                 w->step.object, w->step.generation, w->step.value, w->model.now, why, got, wanted);
}

/* ------------------------------------------------------------------ what is there */

static void label_of(unsigned generation, unsigned object, char ret_label[LABEL])
{
    snprintf(ret_label, LABEL, "object %u", w->serials[generation][object]);
}

static CK_OBJECT_HANDLE find(unsigned object, bool deleted)
{
    char label[LABEL];
    label_of(w->model.live, object, label);
    CK_ATTRIBUTE template[] = {ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                               ATTR_BOOL(CKA_RPV_DELETED, deleted ? CK_TRUE : CK_FALSE)};
    return harness_find(&w->h, session, template, COUNT_OF(template));
}

static int64_t seconds_of(const char text[16])
{
    struct tm tm = {0};
    char copy[15];
    memcpy(copy, text, 14);
    copy[14] = '\0';
    CHECK(sscanf(copy, "%4d%2d%2d%2d%2d%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
                 &tm.tm_min, &tm.tm_sec) == 6);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return timegm(&tm);
}

static const char *object_differs(const struct model *m, unsigned object)
{
    const struct model_object *o = &m->generations[m->live].objects[object];
    bool deleted = o->state == MODEL_DELETED;
    CK_OBJECT_HANDLE live_handle = find(object, false), deleted_handle = find(object, true);
    CK_OBJECT_HANDLE handle = deleted ? deleted_handle : live_handle;
    if (deleted ? live_handle != CK_INVALID_HANDLE : deleted_handle != CK_INVALID_HANDLE)
        return deleted ? "live, not deleted" : "deleted, and should not be";
    if (!model_recoverable(m, m->live, object))
        return handle == CK_INVALID_HANDLE ? NULL : "there, and should be gone";
    if (handle == CK_INVALID_HANDLE)
        return "gone";
    CK_ULONG state = 99, lock = 99;
    CK_BBOOL hold = 2;
    char at[16];
    CK_ATTRIBUTE attrs[] = {ATTR_VAR(CKA_RPV_STATE, state), ATTR_VAR(CKA_RPV_HOLD, hold),
                            ATTR_VAR(CKA_RPV_LOCK, lock), ATTR_VAR(CKA_RPV_PURGE_AT, at)};
    OK(w->h.f->C_GetAttributeValue(session, handle, attrs, COUNT_OF(attrs)));
    if (state != (deleted ? RPV_STATE_DELETED
                  : o->state == MODEL_DISABLED ? RPV_STATE_DISABLED : RPV_STATE_ACTIVE))
        return "in another state";
    if (hold != (o->hold ? CK_TRUE : CK_FALSE) || lock != o->lock)
        return "with another hold or lock";
    if (deleted && seconds_of(at) != w->base + o->purge_at) {
        print_message("# purge at %lld, not %d; retention %d\n",
                      (long long)(seconds_of(at) - w->base), o->purge_at,
                      m->generations[m->live].policy.retention);
        return "with another purge date";
    }
    return NULL;
}

static const char *generations_differ(const struct model *m)
{
    struct RPV_GENERATION_INFO infos[32];
    CK_ULONG n = COUNT_OF(infos), expected = 1;
    OK(vendor->RPV_ListGenerations(w->h.slot, infos, &n));
    if (infos[0].bDeleted || n == 0)
        return "without a live generation";
    if (w->numbers[m->live] != 0 && infos[0].ulGeneration != w->numbers[m->live])
        return "another live generation";
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++) {
        const struct model_generation *g = &m->generations[i];
        if (g->state != MODEL_DELETED || model_generation_due(m, g, RULES_ALL))
            continue;
        expected++;
        CK_ULONG at = 1;
        while (at < n && infos[at].ulGeneration != w->numbers[i])
            at++;
        if (at == n) {
            print_message("# of generation %u, purge at %d, hold %d\n", i, g->purge_at, g->hold);
            for (unsigned j = 0; j < MODEL_OBJECTS; j++)
                print_message("#   object %u: state %u hold %d purge at %d\n", j,
                              g->objects[j].state, g->objects[j].hold, g->objects[j].purge_at);
            return "a generation gone";
        }
        if (infos[at].purgeAt != w->base + g->purge_at) {
            print_message("# purge at %lld, not %lld\n", infos[at].purgeAt - w->base,
                          (long long)g->purge_at);
            return "a generation with another purge date";
        }
    }
    return n == expected ? NULL : "another number of generations";
}

static const char *policy_differs(const struct model_policy *wanted)
{
    struct RPV_POLICY policy;
    OK(vendor->RPV_GetPolicy(w->h.slot, &policy));
    if ((int32_t)policy.ulRetentionDays * DAY != wanted->retention)
        return "with another retention";
    if ((policy.bPurgeProtection == CK_TRUE) != wanted->protection ||
        (policy.bDisableBeforeDelete == CK_TRUE) != wanted->disable_before_delete ||
        (policy.ulRecoverTo == 1) != wanted->recover_to_disabled)
        return "with another policy";
    return NULL;
}

static const char *world_differs(const struct model *m)
{
    uint8_t live = w->model.live;
    const char *why = generations_differ(m);
    if (why == NULL)
        why = policy_differs(&m->generations[m->live].policy);
    w->model.live = m->live;     /* whose labels are looked for */
    for (unsigned i = 0; i < w->limits.objects && why == NULL; i++)
        if (w->serials[m->live][i] != 0)
            why = object_differs(m, i);
    w->model.live = live;
    return why;
}

/* The key is the one it was, and works, or is refused because it is disabled. */
static void check_use(unsigned object)
{
    const struct model_object *o = &w->model.generations[w->model.live].objects[object];
    CK_BYTE *block = w->blocks[w->model.live][object], now[16], none[16] = {0};
    if (w->role != MODEL_USER || (o->state != MODEL_ACTIVE && o->state != MODEL_DISABLED))
        return;
    CK_RV rv = promise_use(&w->h, session, find(object, false), now);
    if (rv != (o->state == MODEL_ACTIVE ? CKR_OK : CKR_KEY_FUNCTION_NOT_PERMITTED))
        fail_step("use", ckr_name(rv), "as its state says");
    if (rv != CKR_OK)
        return;
    if (memcmp(block, none, 16) == 0)
        memcpy(block, now, 16);
    if (memcmp(block, now, 16) != 0)
        fail_step("use", "another key", "the same");
}

/* ------------------------------------------------------------------ open, login */

static CK_USER_TYPE user_type(void)
{
    return w->role == MODEL_SO ? CKU_SO : CKU_USER;
}

static void session_open(void)
{
    CK_TOKEN_INFO info;
    OK(w->h.f->C_GetTokenInfo(w->h.slot, &info));
    session = harness_session_rw(&w->h);
    if (!(info.flags & CKF_USER_PIN_INITIALIZED)) {
        harness_login(&w->h, session, CKU_SO);
        OK(w->h.f->C_InitPIN(session, (CK_UTF8CHAR_PTR)HARNESS_USER_PIN,
                             strlen(HARNESS_USER_PIN)));
        OK(w->h.f->C_Logout(session));
    }
    harness_login(&w->h, session, user_type());
}

static void role_change(void)
{
    OK(w->h.f->C_Logout(session));
    w->role = w->role == MODEL_SO ? MODEL_USER : MODEL_SO;
    harness_login(&w->h, session, user_type());
}

static void module_open(void)
{
    harness_load(&w->h);
    harness_slot(&w->h);
    vendor = promise_vendor(&w->h);
    session_open();
}

static int32_t vault_now(void)
{
    struct RPV_STORE_INFO info;
    OK(vendor->RPV_GetStoreInfo(&info));
    return (int32_t)((int64_t)info.now - w->base);
}

/* ------------------------------------------------------------------ steps on an object */

static CK_RV set_one(CK_OBJECT_HANDLE object, CK_ATTRIBUTE attr)
{
    return w->h.f->C_SetAttributeValue(session, object, &attr, 1);
}

static CK_RV do_create(void)
{
    char label[LABEL];
    w->serials[w->model.live][w->step.object] = ++w->next_serial;
    memset(w->blocks[w->model.live][w->step.object], 0, 16);
    label_of(w->model.live, w->step.object, label);
    return promise_create(&w->h, session, label, (CK_BYTE)w->next_serial);
}

static CK_RV do_destroy(void)
{
    return w->h.f->C_DestroyObject(session, find(w->step.object, w->step.op == OP_PURGE));
}

static CK_RV do_recover(void)
{
    return set_one(find(w->step.object, true), (CK_ATTRIBUTE)ATTR_FALSE(CKA_RPV_DELETED));
}

static CK_RV do_postpone(void)
{
    time_t date = (time_t)(w->base + w->model.now + w->step.value);
    struct tm tm;
    char text[32];
    gmtime_r(&date, &tm);
    strftime(text, sizeof(text), "%Y%m%d%H%M%S00", &tm);
    return set_one(find(w->step.object, true),
                   (CK_ATTRIBUTE)ATTR_BYTES(CKA_RPV_PURGE_AT, text, 16));
}

static CK_OBJECT_HANDLE find_any(void)
{
    CK_OBJECT_HANDLE handle = find(w->step.object, false);
    return handle != CK_INVALID_HANDLE ? handle : find(w->step.object, true);
}

static CK_RV do_enable(void)
{
    return set_one(find_any(), (CK_ATTRIBUTE)ATTR_BOOL(CKA_RPV_ENABLED, w->step.op == OP_ENABLE));
}

static CK_RV do_hold(void)
{
    return set_one(find_any(), (CK_ATTRIBUTE)ATTR_BOOL(CKA_RPV_HOLD, w->step.op == OP_HOLD));
}

static CK_RV do_lock(void)
{
    return set_one(find_any(), (CK_ATTRIBUTE)ATTR_ULONG(CKA_RPV_LOCK, w->step.op == OP_LOCK));
}

/* ------------------------------------------------------------------ steps on the vault */

static CK_RV do_policy(void)
{
    struct RPV_POLICY policy;
    OK(vendor->RPV_GetPolicy(w->h.slot, &policy));
    if (w->step.op == OP_RETENTION)
        policy.ulRetentionDays = (CK_ULONG)w->step.value / DAY;
    else if (w->step.op == OP_RECOVER_TO)
        policy.ulRecoverTo = w->step.value != 0;
    else if (w->step.op == OP_DISABLE_FIRST)
        policy.bDisableBeforeDelete = w->step.value != 0;
    else
        policy.bPurgeProtection = w->step.op == OP_PROTECT;
    return vendor->RPV_SetPolicy(session, &policy);
}

static CK_RV do_init(void)
{
    CK_UTF8CHAR label[33] = "model                           ";
    CK_RV rv;
    OK(w->h.f->C_CloseAllSessions(w->h.slot));
    rv = w->h.f->C_InitToken(w->h.slot, (CK_UTF8CHAR_PTR)HARNESS_SO_PIN, strlen(HARNESS_SO_PIN),
                             label);
    session_open();
    return rv;
}

static CK_RV do_generation_recover(void)
{
    CK_RV rv;
    OK(w->h.f->C_CloseAllSessions(w->h.slot));
    rv = vendor->RPV_RecoverGeneration(w->h.slot, w->numbers[w->step.generation], CKU_SO,
                                       (CK_UTF8CHAR_PTR)HARNESS_SO_PIN, strlen(HARNESS_SO_PIN));
    session_open();
    return rv;
}

static CK_RV do_generation_purge(void)
{
    return vendor->RPV_PurgeGeneration(w->h.slot, w->numbers[w->step.generation],
                                       (CK_UTF8CHAR_PTR)HARNESS_SO_PIN, strlen(HARNESS_SO_PIN));
}

static CK_RV do_generation_hold(void)
{
    return vendor->RPV_SetHold(w->h.slot, w->numbers[w->step.generation],
                               w->step.op == OP_GENERATION_HOLD, (CK_UTF8CHAR_PTR)HARNESS_SO_PIN,
                               strlen(HARNESS_SO_PIN));
}

static CK_RV do_sweep(void)
{
    CK_ULONG purged;
    return vendor->RPV_Sweep(1000, &purged);
}

/* ------------------------------------------------------------------ the machine */

/* A change, for the store to know what time it is: looking at the clock leaves no trace, and what
 * was only looked at is not known after a boot. */
static CK_RV tick(void)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_OBJECT_HANDLE object;
    CK_ATTRIBUTE template[] = {ATTR_VAR(CKA_CLASS, class), ATTR_TRUE(CKA_TOKEN),
                               ATTR_FALSE(CKA_PRIVATE), ATTR_STR(CKA_LABEL, "tick")};
    return w->h.f->C_CreateObject(session, template, COUNT_OF(template), &object);
}

static CK_RV do_pass(void)
{
    test_clock->wall += w->step.value;
    test_clock->boot += w->step.value;
    w->boot_gone += w->step.value;
    w->wall_gain += w->step.value;
    return tick();
}

static CK_RV do_wall(void)
{
    test_clock->wall += w->step.value;
    w->wall_gain += w->step.value > 0 ? w->step.value : 0;
    return tick();
}

static CK_RV do_boot(void)
{
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

/* The vault clock never goes back, within a boot no faster than the boot clock, ever no further
 * than the wall clock went. What it says is then the model's time. */
static void clock_check(void)
{
    int32_t now = vault_now();
    struct model_step pass = {.op = OP_PASS, .value = now - w->model.now};
    struct model_step sweep = {.op = OP_SWEEP};
    struct model before = w->model;
    if (now < w->model.now || now - w->boot_now > w->boot_gone || now > w->wall_gain)
        harness_fail(__FILE__, __LINE__, "step %u: the vault clock went from %d to %d; %d gone by "
                     "in this boot, since %d", w->steps, w->model.now, now, w->boot_gone,
                     w->boot_now);
    CHECK(model_apply(&w->model, &w->limits, RULES_ALL, &pass) == RESULT_OK);
    CHECK(model_broken(&before, &pass, &w->model) == NULL);
    CHECK(model_apply(&w->model, &w->limits, RULES_ALL, &sweep) == RESULT_OK);
}

/* ------------------------------------------------------------------ one step */

/* What to do, how often, by whom, and what the code of a refusal is. */
static const struct row {
    unsigned weight;
    bool on_object, by_so, by_user;
    CK_RV (*run)(void);
    CK_RV refused[RESULT_POLICY + 1];
} rows[OP_COUNT] = {
#define PROHIBITED                                                                                 \
    {[RESULT_RETAINED] = CKR_ACTION_PROHIBITED, [RESULT_HELD] = CKR_ACTION_PROHIBITED,             \
     [RESULT_LOCKED] = CKR_ACTION_PROHIBITED, [RESULT_DENIED] = CKR_ACTION_PROHIBITED,             \
     [RESULT_STATE] = CKR_ACTION_PROHIBITED, [RESULT_POLICY] = CKR_ATTRIBUTE_VALUE_INVALID}
    [OP_CREATE] = {120, true, false, true, do_create, {0}},
    [OP_DELETE] = {200, true, true, true, do_destroy, PROHIBITED},
    [OP_RECOVER] = {120, true, true, true, do_recover, PROHIBITED},
    [OP_PURGE] = {80, true, true, true, do_destroy, PROHIBITED},
    [OP_POSTPONE] = {40, true, true, true, do_postpone, PROHIBITED},
    [OP_DISABLE] = {60, true, true, true, do_enable, PROHIBITED},
    [OP_ENABLE] = {60, true, true, true, do_enable, PROHIBITED},
    [OP_HOLD] = {15, true, true, true, do_hold, PROHIBITED},
    [OP_RELEASE] = {60, true, true, true, do_hold, PROHIBITED},
    [OP_LOCK] = {8, true, true, true, do_lock, PROHIBITED},
    [OP_UNLOCK] = {40, true, true, true, do_lock, PROHIBITED},
    [OP_RETENTION] = {10, false, true, false, do_policy, {0}},
    [OP_PROTECT] = {1, false, true, false, do_policy, {0}},
    [OP_UNPROTECT] = {5, false, true, false, do_policy, {[RESULT_POLICY] = CKR_ARGUMENTS_BAD}},
    [OP_RECOVER_TO] = {6, false, true, false, do_policy, {0}},
    [OP_DISABLE_FIRST] = {4, false, true, false, do_policy, {0}},
    [OP_INIT] = {4, false, true, true, do_init,
                 {[RESULT_LOCKED] = CKR_TOKEN_WRITE_PROTECTED}},
    [OP_GENERATION_RECOVER] = {4, false, true, true, do_generation_recover,
                               {[RESULT_GONE] = CKR_ARGUMENTS_BAD,
                                [RESULT_LOCKED] = CKR_TOKEN_WRITE_PROTECTED}},
    [OP_GENERATION_PURGE] = {3, false, true, true, do_generation_purge,
                             {[RESULT_GONE] = CKR_ARGUMENTS_BAD,
                              [RESULT_RETAINED] = CKR_ACTION_PROHIBITED,
                              [RESULT_HELD] = CKR_ACTION_PROHIBITED}},
    [OP_GENERATION_HOLD] = {1, false, true, true, do_generation_hold, {0}},
    [OP_GENERATION_RELEASE] = {8, false, true, true, do_generation_hold, {0}},
    [OP_SWEEP] = {10, false, true, true, do_sweep, {0}},
    [OP_PASS] = {40, false, true, true, do_pass, {0}},
    [OP_WALL] = {8, false, true, true, do_wall, {0}},
    [OP_BOOT] = {3, false, true, true, do_boot, {0}},
};

static int32_t value_of(enum model_op op)
{
    static const int32_t spans[] = {1, HOUR, DAY, 3 * DAY, 7 * DAY, 8 * DAY, 30 * DAY};
    int32_t span = spans[random_below(COUNT_OF(spans))];
    if (op == OP_RETENTION)
        return (int32_t)(7 + random_below(2) * random_below(84)) * DAY;
    if (op == OP_RECOVER_TO || op == OP_DISABLE_FIRST)
        return random_below(3) == 0;
    if (op == OP_POSTPONE)
        return span * (int32_t)(1 + random_below(4));
    if (op == OP_WALL || op == OP_BOOT)
        return random_below(2) ? span : -span;
    return span;
}

static void choose(struct model_step *step)
{
    unsigned total = 0, at;
    enum model_op op = 0;
    for (unsigned i = 0; i < OP_COUNT; i++)
        total += rows[i].weight;
    for (at = random_below(total); at >= rows[op].weight; op++)
        at -= rows[op].weight;
    *step = (struct model_step){.op = op, .value = value_of(op),
                                .object = (uint8_t)random_below(w->limits.objects),
                                .generation = (uint8_t)random_below(w->limits.generations)};
}

static bool room_for_generation(void)
{
    for (unsigned i = 0; i < w->limits.generations; i++)
        if (w->model.generations[i].state == MODEL_NONE)
            return true;
    return false;
}

/* Steps that no call asks for, there is no handle to ask with; or that outgrow the model. */
static bool is_moot(const struct model_step *step)
{
    const struct model_object *o = &w->model.generations[w->model.live].objects[step->object];
    bool deleted = o->state == MODEL_DELETED;
    bool live = o->state == MODEL_ACTIVE || o->state == MODEL_DISABLED;
    const struct model_generation *g = &w->model.generations[step->generation];
    if (w->role == MODEL_SO ? !rows[step->op].by_so : !rows[step->op].by_user)
        return true;
    if (step->op == OP_INIT)
        return !room_for_generation();
    if (step->op == OP_GENERATION_RECOVER || step->op == OP_GENERATION_PURGE)
        return g->state != MODEL_DELETED;
    if (step->op == OP_GENERATION_HOLD || step->op == OP_GENERATION_RELEASE)
        return g->state != MODEL_DELETED && g->state != MODEL_ACTIVE;
    if (!rows[step->op].on_object)
        return false;
    if (step->op == OP_CREATE)
        return o->state != MODEL_NONE;
    if (step->op == OP_RECOVER || step->op == OP_PURGE || step->op == OP_POSTPONE)
        return !deleted;
    return step->op == OP_DELETE ? !live : !live && !deleted;
}

/* What is purged makes room for another; it was looked for, and is not there. */
static void recycle(void)
{
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++) {
        struct model_generation *g = &w->model.generations[i];
        if (g->state == MODEL_PURGED) {
            memset(g, 0, sizeof(*g));
            w->numbers[i] = 0;
            memset(w->serials[i], 0, sizeof(w->serials[i]));
        }
        for (unsigned j = 0; j < MODEL_OBJECTS; j++)
            if (g->objects[j].state == MODEL_PURGED) {
                memset(&g->objects[j], 0, sizeof(g->objects[j]));
                w->serials[i][j] = 0;
            }
    }
}

static void generation_learn(void)
{
    struct RPV_GENERATION_INFO infos[32];
    CK_ULONG n = COUNT_OF(infos);
    OK(vendor->RPV_ListGenerations(w->h.slot, infos, &n));
    w->numbers[w->model.live] = infos[0].ulGeneration;
}

static void world_check(void)
{
    const char *why = world_differs(&w->model);
    if (why != NULL)
        fail_step("the world is", why, "what the model says");
}

static void kill_self(int signal)
{
    (void)signal;
    kill(getpid(), SIGKILL);
}

/* One step in 400 is not survived. Not those that move the clock: that is the test's to finish. */
static void crash_prepare(enum model_op op)
{
    if (op >= OP_PASS || random_below(400) != 0)
        return;
    signal(SIGALRM, kill_self);
    const struct itimerval soon = {.it_value = {.tv_usec = 1 + (long)random_below(600)}};
    w->crashes++;
    setitimer(ITIMER_REAL, &soon, NULL);
    w->in_flight = true;
}

static void answer_check(CK_RV rv, enum model_result expected)
{
    const struct row *row = &rows[w->step.op];
    CK_RV wanted = expected == RESULT_OK ? CKR_OK : row->refused[expected];
    if (expected != RESULT_OK && wanted == CKR_OK)
        fail_step("the model has no code for", model_result_name(expected), "anything");
    if (rv != wanted)
        fail_step(model_result_name(expected), ckr_name(rv), ckr_name(wanted));
}

static void step_do(const struct model_step *step)
{
    enum model_result expected;
    const char *broken;
    w->step = *step;
    w->after = w->model;
    expected = step->op < OP_PASS ? model_apply(&w->after, &w->limits, RULES_ALL, step)
                                  : RESULT_OK;
    broken = model_broken(&w->model, step, &w->after);
    if (broken != NULL)
        fail_step("the model", broken, "the promise kept");
    w->counts[step->op]++;
    w->done[step->op] += expected == RESULT_OK;
    crash_prepare(step->op);
    CK_RV rv = rows[step->op].run();
    if (w->in_flight)
        kill(getpid(), SIGKILL);   /* later than meant, but it is announced */
    answer_check(rv, expected);
    w->model = w->after;
    if (step->op == OP_INIT)
        generation_learn();
    clock_check();
    if (rows[step->op].on_object && w->serials[w->model.live][step->object] != 0) {
        const char *why = object_differs(&w->model, step->object);
        if (why != NULL)
            fail_step("the object is", why, "what the model says");
        check_use(step->object);
    }
}

static void settle_crash(void)
{
    if (w->in_flight && world_differs(&w->model) != NULL) {
        w->model = w->after;
        if (w->step.op == OP_INIT)
            generation_learn();
    }
    w->in_flight = false;
    world_check();
}

static int walk(void *ctx)
{
    (void)ctx;
    module_open();
    settle_crash();
    while (w->steps < w->wanted) {
        struct model_step step;
        recycle();
        choose(&step);
        if (random_below(60) == 0)
            role_change();
        /* that one takes the SO's PIN, whoever is logged in */
        step.role = step.op == OP_GENERATION_PURGE ? MODEL_SO : w->role;
        if (is_moot(&step))
            continue;
        w->steps++;
        step_do(&step);
        if (w->steps % 64 == 0 || !rows[step.op].on_object)
            world_check();
    }
    world_check();
    promise_audit(&w->h);
    harness_unload(&w->h);
    return 0;
}

/* ------------------------------------------------------------------ the test */

static int make_token(void *ctx)
{
    struct RPV_STORE_INFO info;
    (void)ctx;
    harness_start(&w->h);
    vendor = promise_vendor(&w->h);
    OK(vendor->RPV_GetStoreInfo(&info));
    w->base = (int64_t)info.now;
    generation_learn();
    harness_unload(&w->h);
    return 0;
}

static void clock_make(void)
{
    char path[300];
    int fd;
    snprintf(path, sizeof(path), "%s/clock", w->h.dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, sizeof(*test_clock)) == 0);
    test_clock = mmap(NULL, sizeof(*test_clock), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(test_clock != MAP_FAILED);
    close(fd);
    *test_clock = (struct test_clock){.wall = 1700000000, .boot = 1000, .boot_id = {1}};
    setenv("REPRIEVE_TEST_CLOCK", path, 1);
}

static void one_store(uint64_t seed, bool protection, unsigned steps)
{
    struct model_policy policy = {.retention = 90 * DAY, .protection = protection,
                                  .protected_since = protection ? MODEL_FROM_START : 0};
    memset(w, 0, sizeof(*w));
    w->limits = (struct model_limits){MODEL_GENERATIONS, MODEL_OBJECTS, 3 * DAY};
    model_init(&w->model, &policy);
    w->random = seed * 0x9e3779b97f4a7c15u + 1;
    w->wanted = steps;
    harness_init(&w->h, protection ? NULL : "purge_protection = no\n");
    clock_make();
    CHECK(fork_run(make_token, NULL) == 0);
    for (int status = 128 + SIGKILL; status != 0;) {
        status = fork_run(walk, NULL);
        if (status != 0 && status != 128 + SIGKILL)
            harness_fail(__FILE__, __LINE__, "with REPRIEVE_SEED=%llu", (unsigned long long)seed);
    }
    munmap(test_clock, sizeof(*test_clock));
    harness_done(&w->h);
}

static unsigned stores_wanted(void)
{
    if (getenv("REPRIEVE_LONG") != NULL)
        return 600;
    return getenv("REPRIEVE_VARIANT") != NULL ? 1 : 20;
}

static unsigned steps_wanted(void)
{
    const char *variant = getenv("REPRIEVE_VARIANT");
    return variant != NULL && strcmp(variant, "valgrind") == 0 ? STEPS / 5 : STEPS;
}

static void random_walks(void **state)
{
    unsigned counts[OP_COUNT] = {0}, done[OP_COUNT] = {0}, steps = 0, crashes = 0;
    const char *asked = getenv("REPRIEVE_SEED");
    uint64_t seed = asked ? strtoull(asked, NULL, 10) : (uint64_t)time(NULL) << 10;
    (void)state;
    w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(w != MAP_FAILED);
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (unsigned i = 0; i < (asked ? 1 : stores_wanted()); i++) {
        one_store(seed + i, (seed + i) % 4 == 0, steps_wanted());
        steps += w->steps;
        crashes += w->crashes;
        for (unsigned op = 0; op < OP_COUNT; op++) {
            counts[op] += w->counts[op];
            done[op] += w->done[op];
        }
    }
    print_message("# %u steps, %u processes killed in one\n", steps, crashes);
    for (unsigned op = 0; op < OP_COUNT; op++)
        if (counts[op] > 0)
            print_message("# %u times %s, %u done\n", counts[op], model_op_name(op), done[op]);
    munmap(w, sizeof(*w));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_walks),
    };
    char self[4096], module[4200];
    (void)argc;
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    snprintf(self, sizeof(self), "%s", argv[0]);
    snprintf(module, sizeof(module), "%s/reprieve-test.so", dirname(self));
    setenv("REPRIEVE_MODULE", module, 1);
    return cmocka_run_group_tests_name("model walks", tests, NULL, NULL);
}
