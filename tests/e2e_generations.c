/*
 * The state table of generations: what C_InitToken, recovery, purge, hold and lock yield for each
 * state of a generation and each principal, in another process than the one that brought the state
 * about. The rules are those of the design and of reprieve.h. Then what is there afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "promise.h"

#define PIN(text) (CK_UTF8CHAR *)(uintptr_t)(text), strlen(text)

/* The generation that is asked for: the live one, or the one before it, or none. */
enum gstate {
    LIVE, LIVE_HELD, LIVE_NO_DELETE, LIVE_READ_ONLY,
    DELETED, DELETED_HELD, DELETED_NO_DELETE, DELETED_READ_ONLY, DELETED_PROTECTED,
    DELETED_LIVE_HELD, DELETED_LIVE_LOCKED,   /* the one that would go for it is held, or locked */
    PURGED, NEVER, GSTATES
};
static const char *const STATE_NAMES[GSTATES] = {
    "live", "live and held", "live, no delete", "live, read only", "deleted", "deleted and held",
    "deleted, no delete", "deleted, read only", "deleted and protected",
    "deleted, the live one held", "deleted, the live one locked", "purged", "never there"};
#define IS_LIVE(state) ((state) <= LIVE_READ_ONLY)

/* Whose PIN is given. */
enum whose { OF_SO, OF_USER, OF_NAMED, OF_OTHER_SO, WRONG, WHOSE };
static const char *const WHOSE_NAMES[WHOSE] = {"its SO", "its user", "its named user",
                                               "the other one's SO", "nobody"};
/* Of the first generation, and of the second. */
static const char *const PINS[2][WHOSE] = {
    {"so-pin-one", "user-pin-one", "alice:alice-pin-one", "so-pin-two", "no such PIN"},
    {"so-pin-two", "user-pin-two", "alice:alice-pin-two", "so-pin-one", "no such PIN"},
};

enum gcall { INIT, RECOVER_AS_SO, RECOVER_AS_USER, RECOVER_AS_OTHER, PURGE, GCALLS };
static const char *const CALL_NAMES[GCALLS] = {"initialise", "recover as SO", "recover as user",
                                               "recover as neither", "purge"};

/* What the two processes tell each other. */
struct shared {
    struct harness h;
    enum gstate state;
    enum gcall call;
    enum whose whose;
    CK_ULONG number;             /* of the generation that is asked for */
    CK_RV rv;
    bool over;
};
static struct shared *s;
static struct lockstep step;

/* ------------------------------------------------------------------ the rule */

static CK_RV recover_expected(enum gstate state)
{
    return state == DELETED_READ_ONLY || state == DELETED_LIVE_HELD || state == DELETED_LIVE_LOCKED
               ? CKR_TOKEN_WRITE_PROTECTED
               : CKR_OK;
}

static CK_RV purge_expected(enum gstate state)
{
    if (state == DELETED_HELD || state == DELETED_PROTECTED)
        return CKR_ACTION_PROHIBITED;
    return state == DELETED_NO_DELETE || state == DELETED_READ_ONLY ? CKR_TOKEN_WRITE_PROTECTED
                                                                    : CKR_OK;
}

/* First whether there is such a generation, then the PIN, then what stands against it. */
static CK_RV expected(enum gcall call, enum gstate state, enum whose whose)
{
    if (call == INIT && whose != OF_SO)
        return CKR_PIN_INCORRECT;
    if (call == INIT)
        return state == LIVE ? CKR_OK : CKR_TOKEN_WRITE_PROTECTED;
    if (call == RECOVER_AS_OTHER)
        return CKR_USER_TYPE_INVALID;
    if (state == PURGED || state == NEVER)
        return CKR_ARGUMENTS_BAD;
    if (IS_LIVE(state))
        return CKR_ACTION_PROHIBITED;
    if (whose != (call == RECOVER_AS_USER ? OF_USER : OF_SO))
        return CKR_PIN_INCORRECT;
    return call == PURGE ? purge_expected(state) : recover_expected(state);
}

/* ------------------------------------------------------------------ who makes the states */

static struct harness mine;
static const struct RPV_FUNCTION_LIST *rpv;
static CK_SESSION_HANDLE session;

/* A fresh generation with PINs, users and a key of its own; the SO stays logged in. */
static void generation_make(int which, const char *so_pin)
{
    CK_UTF8CHAR label[33] = "generation                      ";
    const char *const *pins = PINS[which];
    const char *alice = strchr(pins[OF_NAMED], ':') + 1;
    harness_slot(&mine);
    OK(mine.f->C_InitToken(mine.slot, PIN(so_pin), label));
    harness_slot(&mine);
    session = harness_session_rw(&mine);
    OK(mine.f->C_Login(session, CKU_SO, PIN(so_pin)));
    if (strcmp(so_pin, pins[OF_SO]) != 0)
        OK(mine.f->C_SetPIN(session, PIN(so_pin), PIN(pins[OF_SO])));
    OK(mine.f->C_InitPIN(session, PIN(pins[OF_USER])));
    OK(rpv->RPV_AddUser(session, "alice", PIN(alice), RPV_VERBS_ALL));
    harness_logout(&mine, session);
    OK(mine.f->C_Login(session, CKU_USER, PIN(pins[OF_USER])));
    OK(promise_create(&mine, session, which == 0 ? "first" : "second", 1));
    OK(mine.f->C_CloseSession(session));
}

static void hold(CK_ULONG generation)
{
    OK(rpv->RPV_SetHold(mine.slot, generation, CK_TRUE, PIN(PINS[1][OF_SO])));
}

static void lock(CK_ULONG generation, CK_ULONG how)
{
    OK(rpv->RPV_SetLock(mine.slot, generation, how, PIN(PINS[1][OF_SO])));
}

static CK_ULONG number_of(bool deleted)
{
    struct RPV_GENERATION_INFO infos[4];
    CK_ULONG n = COUNT_OF(infos);
    OK(rpv->RPV_ListGenerations(mine.slot, infos, &n));
    CHECK(n == 2 && !infos[0].bDeleted && infos[1].bDeleted);
    return infos[deleted ? 1 : 0].ulGeneration;
}

static void state_bring(void)
{
    CK_ULONG first = number_of(true);
    s->number = IS_LIVE(s->state) ? number_of(false) : s->state == NEVER ? 4711 : first;
    if (s->state == LIVE_HELD || s->state == DELETED_LIVE_HELD)
        hold(0);
    if (s->state == DELETED_HELD)
        hold(first);
    if (s->state == LIVE_NO_DELETE || s->state == DELETED_LIVE_LOCKED)
        lock(0, 1);
    if (s->state == DELETED_NO_DELETE)
        lock(first, 1);
    if (s->state == LIVE_READ_ONLY)
        lock(0, 2);
    if (s->state == DELETED_READ_ONLY)
        lock(first, 2);
    if (s->state == PURGED)
        OK(rpv->RPV_PurgeGeneration(mine.slot, first, PIN(PINS[0][OF_SO])));
}

static void store_make(void)
{
    char conf[100];
    snprintf(conf, sizeof conf, "pin_tries = 100\npurge_protection = %s\n",
             s->state == DELETED_PROTECTED ? "yes" : "no");
    harness_init(&mine, conf);
    harness_load(&mine);
    rpv = promise_vendor(&mine);
    generation_make(0, PINS[0][OF_SO]);
    generation_make(1, PINS[0][OF_SO]);
    s->h = mine;
    state_bring();
}

/* ------------------------------------------------------------------ who asks */

static CK_RV call_do(struct harness *h)
{
    CK_UTF8CHAR label[33] = "anew                            ";
    const struct RPV_FUNCTION_LIST *f = promise_vendor(h);
    const char *pin = PINS[IS_LIVE(s->state) ? 1 : 0][s->whose];
    static const CK_USER_TYPE TYPES[GCALLS] = {
        [RECOVER_AS_SO] = CKU_SO, [RECOVER_AS_USER] = CKU_USER,
        [RECOVER_AS_OTHER] = CKU_CONTEXT_SPECIFIC,
    };
    if (s->call == INIT)
        return h->f->C_InitToken(h->slot, PIN(pin), label);
    return s->call == PURGE
               ? f->RPV_PurgeGeneration(h->slot, s->number, PIN(pin))
               : f->RPV_RecoverGeneration(h->slot, s->number, TYPES[s->call], PIN(pin));
}

/* What was refused is refused with a session open, too, and where that matters, for that. */
static void session_check(struct harness *h)
{
    bool matters = s->call == INIT || s->call == RECOVER_AS_SO || s->call == RECOVER_AS_USER;
    harness_session(h, 0);
    CK_RV rv = call_do(h);
    if (rv != (matters ? CKR_SESSION_EXISTS : s->rv))
        harness_fail(__FILE__, __LINE__, "%s with a session open: %s", CALL_NAMES[s->call],
                     ckr_name(rv));
}

static int ask(void *ctx)
{
    (void)ctx;
    lockstep_child(&step);
    for (lockstep_wait(&step); !s->over; lockstep_wait(&step)) {
        struct harness h = s->h;
        harness_use(&h);
        h.dl = NULL;
        harness_load(&h);
        s->rv = call_do(&h);
        if (s->rv != CKR_OK)
            session_check(&h);
        harness_unload(&h);
        lockstep_tell(&step);
    }
    return 0;
}

/* ------------------------------------------------------------------ what is there afterwards */

/* The key of the live generation, by that one's user PIN. */
static void live_has(const char *label, const char *user_pin)
{
    CK_BYTE block[16];
    CK_OBJECT_HANDLE key;
    session = harness_session_rw(&mine);
    OK(mine.f->C_Login(session, CKU_USER, PIN(user_pin)));
    CHECK(promise_find(&mine, session, NULL, false, &key, 1) == 1);
    CHECK(promise_find(&mine, session, label, false, &key, 1) == 1);
    OK(promise_use(&mine, session, key, block));
    OK(mine.f->C_CloseSession(session));
}

static void effect_check(void)
{
    struct RPV_GENERATION_INFO infos[4];
    CK_ULONG n = COUNT_OF(infos);
    OK(rpv->RPV_ListGenerations(mine.slot, infos, &n));
    if (s->call == INIT)
        CHECK(n == 3 && infos[0].ulObjects == 0 && infos[1].ulGeneration == s->number
              && infos[1].bDeleted);
    if (s->call == RECOVER_AS_SO || s->call == RECOVER_AS_USER) {
        CHECK(n == 2 && infos[0].ulGeneration == s->number && infos[1].bDeleted);
        live_has("first", PINS[0][OF_USER]);
    }
    if (s->call == PURGE) {
        struct RPV_TOMBSTONE tombstone;
        CK_ULONG one = 1;
        CHECK(n == 1);
        OK(rpv->RPV_ListTombstones(mine.slot, &tombstone, &one));
        CHECK(one == 1 && tombstone.ulGeneration == s->number);
        live_has("second", PINS[1][OF_USER]);
    }
}

/* Nothing was done: both are there as before, and what is live is of use. */
static void no_effect_check(void)
{
    struct RPV_GENERATION_INFO infos[4];
    CK_ULONG n = COUNT_OF(infos);
    OK(rpv->RPV_ListGenerations(mine.slot, infos, &n));
    CHECK(n == (s->state == PURGED ? 1 : 2) && !infos[0].bDeleted);
    if (s->state != LIVE_READ_ONLY)
        live_has("second", PINS[1][OF_USER]);
}

/* ------------------------------------------------------------------ every cell */

static unsigned cells;

static unsigned cell_check(void)
{
    CK_RV wanted = expected(s->call, s->state, s->whose);
    cells++;
    lockstep_tell(&step);
    lockstep_wait(&step);
    if (s->rv == CKR_OK)
        effect_check();
    if (s->rv == wanted)
        return 0;
    print_error("%s by %s of what is %s: %s, not %s\n", CALL_NAMES[s->call],
                WHOSE_NAMES[s->whose], STATE_NAMES[s->state], ckr_name(s->rv), ckr_name(wanted));
    return 1;
}

static unsigned state_check(void)
{
    unsigned wrong = 0;
    bool made = false;
    for (s->call = 0; s->call < GCALLS; s->call++)
        for (s->whose = 0; s->whose < WHOSE; s->whose++) {
            if (s->call == INIT && !IS_LIVE(s->state))
                continue;        /* what is not live is not initialised */
            if (!made)
                store_make();
            wrong += cell_check();
            made = s->rv != CKR_OK;
            if (!made)           /* the next one needs the state again */
                harness_done(&mine);
        }
    if (made) {
        no_effect_check();
        promise_audit(&mine);
        harness_done(&mine);
    }
    return wrong;
}

static void every_cell(void **state)
{
    unsigned wrong = 0;
    (void)state;
    lockstep_init(&step);
    pid_t pid = fork_start(ask, NULL);
    s->state = 0;
    for (; s->state < GSTATES; s->state++)
        wrong += state_check();
    s->over = true;
    lockstep_tell(&step);
    CHECK(fork_wait(pid) == 0);
    lockstep_done(&step);
    print_message("# %u cells\n", cells);
    CHECK(wrong == 0);
}

/* ------------------------------------------------------------------ holds and locks, by whom */

static const struct governor_row {
    const char *name;            /* NULL: nobody is logged in */
    CK_ULONG verbs;              /* of a named user */
    CK_RV hold, lock;
} GOVERNORS[] = {
    {NULL, 0, CKR_USER_NOT_LOGGED_IN, CKR_USER_NOT_LOGGED_IN},
    {"the SO", 0, CKR_OK, CKR_OK},
    {"the user", 0, CKR_ACTION_PROHIBITED, CKR_ACTION_PROHIBITED},
    {"named", 0, CKR_ACTION_PROHIBITED, CKR_ACTION_PROHIBITED},
    {"named", RPV_VERB_HOLD, CKR_OK, CKR_ACTION_PROHIBITED},
    {"named", RPV_VERB_LOCK, CKR_ACTION_PROHIBITED, CKR_OK},
    {"named", RPV_VERBS_ALL & ~(RPV_VERB_HOLD | RPV_VERB_LOCK), CKR_ACTION_PROHIBITED,
     CKR_ACTION_PROHIBITED},
};

static void govern_login(const struct governor_row *row)
{
    if (row->name == NULL)
        return;
    if (strcmp(row->name, "the SO") == 0)
        OK(mine.f->C_Login(session, CKU_SO, PIN(PINS[1][OF_SO])));
    else if (strcmp(row->name, "the user") == 0)
        OK(mine.f->C_Login(session, CKU_USER, PIN(PINS[1][OF_USER])));
    else
        OK(mine.f->C_Login(session, CKU_USER, PIN(PINS[1][OF_NAMED])));
}

static void verbs_give(CK_ULONG verbs)
{
    OK(mine.f->C_Login(session, CKU_SO, PIN(PINS[1][OF_SO])));
    OK(rpv->RPV_SetUserVerbs(session, "alice", verbs));
    harness_logout(&mine, session);
}

static void govern_check(const struct governor_row *row, CK_ULONG generation)
{
    struct RPV_GENERATION_INFO infos[4];
    CK_ULONG n = COUNT_OF(infos);
    govern_login(row);
    EXPECT(rpv->RPV_SetHold(mine.slot, generation, CK_TRUE, NULL, 0), row->hold);
    EXPECT(rpv->RPV_SetLock(mine.slot, generation, 1, NULL, 0), row->lock);
    OK(rpv->RPV_ListGenerations(mine.slot, infos, &n));
    const struct RPV_GENERATION_INFO *info = &infos[generation == 0 ? 0 : 1];
    CHECK(info->bHold == (row->hold == CKR_OK) && info->ulLock == (row->lock == CKR_OK));
    EXPECT(rpv->RPV_SetHold(mine.slot, generation, CK_FALSE, NULL, 0), row->hold);
    EXPECT(rpv->RPV_SetLock(mine.slot, generation, 0, NULL, 0), row->lock);
    if (row->name != NULL)
        harness_logout(&mine, session);
}

static void holds_and_locks(void **state)
{
    (void)state;
    s->state = DELETED;
    store_make();
    session = harness_session_rw(&mine);
    for (size_t i = 0; i < COUNT_OF(GOVERNORS); i++) {
        verbs_give(GOVERNORS[i].verbs);
        govern_check(&GOVERNORS[i], 0);
        govern_check(&GOVERNORS[i], s->number);
    }
    /* by PIN it is the live generation's SO, for the deleted one, too */
    EXPECT(rpv->RPV_SetHold(mine.slot, s->number, CK_TRUE, PIN(PINS[0][OF_SO])),
           CKR_PIN_INCORRECT);
    EXPECT(rpv->RPV_SetHold(mine.slot, 0, CK_TRUE, PIN(PINS[1][OF_USER])), CKR_PIN_INCORRECT);
    EXPECT(rpv->RPV_SetLock(mine.slot, 0, 3, PIN(PINS[1][OF_SO])), CKR_ARGUMENTS_BAD);
    EXPECT(rpv->RPV_SetLock(mine.slot, 4711, 1, PIN(PINS[1][OF_SO])), CKR_ARGUMENTS_BAD);
    OK(mine.f->C_CloseSession(session));
    harness_done(&mine);
}

/* ------------------------------------------------------------------ what is in such a vault */

static CK_OBJECT_HANDLE object_find(const char *label, bool deleted)
{
    CK_ATTRIBUTE wanted[] = {ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                             ATTR_BOOL(CKA_RPV_DELETED, deleted)};
    CK_OBJECT_HANDLE object = harness_find(&mine, session, wanted, COUNT_OF(wanted));
    CHECK(object != CK_INVALID_HANDLE);
    return object;
}

static CK_RV object_set(CK_OBJECT_HANDLE object, CK_ATTRIBUTE attribute)
{
    return mine.f->C_SetAttributeValue(session, object, &attribute, 1);
}

static CK_RV in_create(void)
{
    return promise_create(&mine, session, "third", 3);
}

static CK_RV in_delete(void)
{
    return mine.f->C_DestroyObject(session, object_find("live", false));
}

static CK_RV in_purge(void)
{
    return mine.f->C_DestroyObject(session, object_find("gone", true));
}

static CK_RV in_use(void)
{
    CK_BYTE block[16];
    return promise_use(&mine, session, object_find("live", false), block);
}

static CK_RV in_rename(void)
{
    return object_set(object_find("live", false), (CK_ATTRIBUTE)ATTR_STR(CKA_LABEL, "live"));
}

static CK_RV in_disable(void)
{
    return object_set(object_find("live", false), (CK_ATTRIBUTE)ATTR_FALSE(CKA_RPV_ENABLED));
}

static CK_RV in_hold(void)
{
    return object_set(object_find("live", false), (CK_ATTRIBUTE)ATTR_TRUE(CKA_RPV_HOLD));
}

static CK_RV in_postpone(void)
{
    return object_set(object_find("gone", true),
                      (CK_ATTRIBUTE)ATTR_STR(CKA_RPV_PURGE_AT, "2201010100000000"));
}

static CK_RV in_recover(void)
{
    return object_set(object_find("gone", true), (CK_ATTRIBUTE)ATTR_FALSE(CKA_RPV_DELETED));
}

static CK_RV in_policy(void)
{
    struct RPV_POLICY policy;
    OK(rpv->RPV_GetPolicy(mine.slot, &policy));
    return rpv->RPV_SetPolicy(session, &policy);
}

/* A hold lets nothing be purged; a lock of 1 nothing be deleted, which a purge is, too; one of 2
 * nothing be changed. Codes are those of the call for what is held or locked; where an object is
 * made, or a vault is changed, the vault is write-protected. */
static const struct inside_row {
    const char *name;
    CK_RV (*run)(void);
    CK_RV held, no_delete, read_only;
} INSIDE[] = {
    {"use", in_use, CKR_OK, CKR_OK, CKR_OK},
    {"create", in_create, CKR_OK, CKR_OK, CKR_TOKEN_WRITE_PROTECTED},
    {"rename", in_rename, CKR_OK, CKR_OK, CKR_ACTION_PROHIBITED},
    {"hold", in_hold, CKR_OK, CKR_OK, CKR_ACTION_PROHIBITED},
    {"set the policy", in_policy, CKR_OK, CKR_OK, CKR_TOKEN_WRITE_PROTECTED},
    {"postpone", in_postpone, CKR_OK, CKR_OK, CKR_ACTION_PROHIBITED},
    {"purge", in_purge, CKR_ACTION_PROHIBITED, CKR_ACTION_PROHIBITED, CKR_ACTION_PROHIBITED},
    {"recover", in_recover, CKR_OK, CKR_OK, CKR_ACTION_PROHIBITED},
    {"disable", in_disable, CKR_OK, CKR_OK, CKR_ACTION_PROHIBITED},
    {"delete", in_delete, CKR_OK, CKR_ACTION_PROHIBITED, CKR_ACTION_PROHIBITED},
};

static void inside_check(enum gstate how)
{
    unsigned wrong = 0;
    s->state = DELETED;
    store_make();
    session = harness_session_rw(&mine);
    verbs_give(RPV_VERBS_ALL);
    OK(mine.f->C_Login(session, CKU_USER, PIN(PINS[1][OF_NAMED])));
    OK(promise_create(&mine, session, "live", 1));
    OK(promise_create(&mine, session, "gone", 2));
    OK(mine.f->C_DestroyObject(session, object_find("gone", false)));
    s->state = how;
    state_bring();
    for (size_t i = 0; i < COUNT_OF(INSIDE); i++) {
        CK_RV wanted = how == LIVE_HELD        ? INSIDE[i].held
                       : how == LIVE_NO_DELETE ? INSIDE[i].no_delete
                                               : INSIDE[i].read_only;
        CK_RV rv = INSIDE[i].run();
        if (rv != wanted && ++wrong)
            print_error("%s in a vault that is %s: %s, not %s\n", INSIDE[i].name,
                        STATE_NAMES[how], ckr_name(rv), ckr_name(wanted));
    }
    harness_done(&mine);
    CHECK(wrong == 0);
}

static void held_and_locked_vaults(void **state)
{
    (void)state;
    inside_check(LIVE_HELD);
    inside_check(LIVE_NO_DELETE);
    inside_check(LIVE_READ_ONLY);
}

static int teardown(void **state)
{
    (void)state;
    if (mine.dl != NULL)
        harness_done(&mine);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_cell, teardown),
        cmocka_unit_test_teardown(holds_and_locks, teardown),
        cmocka_unit_test_teardown(held_and_locked_vaults, teardown),
    };
    harness_fail_hook = _fail;
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(s != MAP_FAILED);
    return cmocka_run_group_tests_name("generations", tests, NULL, NULL);
}
