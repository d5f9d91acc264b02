/* faults_stages.c: what rows of faults.h share: sessions, and what must be there before. */
#include "faults.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faulty_io.h"

/* ------------------------------------------------------------------ sessions */

void session_load(struct session *s, struct faults_world *w)
{
    bool again = s->again;
    *s = (struct session){.w = w, .h = &w->h, .again = again, .handle = CK_INVALID_HANDLE};
    harness_load(&w->h);
    harness_slot(&w->h);
    s->vendor = promise_vendor(&w->h);
}

static void session_login(struct session *s, enum who who)
{
    const char *const alice = "alice:alice's pin";
    const char *pin = who == SO ? s->w->so_pin : who == ALICE ? alice : s->w->user_pins[0];
    if (who != NOBODY)
        OK(s->h->f->C_Login(s->handle, who == SO ? CKU_SO : CKU_USER, PIN(pin)));
}

CK_SESSION_HANDLE session_any(struct session *s)
{
    CK_SESSION_HANDLE session;
    CK_FLAGS rw = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    CK_RV rv = s->h->f->C_OpenSession(s->h->slot, rw, NULL, NULL, &session);
    if (rv == CKR_OK)
        return session;
    EXPECT(rv, CKR_TOKEN_WRITE_PROTECTED);
    return harness_session(s->h, 0);
}

void session_enter(struct session *s, enum who who)
{
    s->handle = CK_INVALID_HANDLE;
    if (who == NOBODY)
        return;
    s->handle = harness_session_rw(s->h);
    session_login(s, who);
}

void session_become(struct session *s, enum who who)
{
    OK(s->h->f->C_Logout(s->handle));
    session_login(s, who);
}

void session_leave(struct session *s)
{
    OK(s->h->f->C_CloseAllSessions(s->h->slot));
    s->handle = CK_INVALID_HANDLE;
}

/* ------------------------------------------------------------------ what several rows do */

CK_OBJECT_HANDLE find_label(struct session *s, const char *label, bool deleted)
{
    CK_ATTRIBUTE template[] = {ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                               ATTR_BOOL(CKA_RPV_DELETED, deleted ? CK_TRUE : CK_FALSE)};
    return harness_find(s->h, s->handle, template, COUNT_OF(template));
}

CK_RV op_create(struct session *s)
{
    return promise_create(s->h, s->handle, LABEL, 7);
}

CK_RV op_delete(struct session *s)
{
    return s->h->f->C_DestroyObject(s->handle, find_label(s, LABEL, false));
}

CK_RV policy_set(struct session *s, CK_ULONG retention, CK_ULONG approvals, CK_ULONG tries)
{
    struct RPV_POLICY policy;
    OK(s->vendor->RPV_GetPolicy(s->h->slot, &policy));
    policy.ulRetentionDays = retention;
    policy.ulPurgeApprovals = approvals;
    policy.ulPinTries = tries;
    return s->vendor->RPV_SetPolicy(s->handle, &policy);
}

CK_RV op_user(struct session *s)
{
    return s->vendor->RPV_AddUser(s->handle, "alice", PIN("alice's pin"),
                                  RPV_VERB_GET | RPV_VERB_LIST | RPV_VERB_PURGE);
}

CK_RV op_init(struct session *s)
{
    CK_UTF8CHAR label[33] = "again                           ";
    return s->h->f->C_InitToken(s->h->slot, PIN(s->w->so_pin), label);
}

CK_RV backup(struct session *s, const char *name, const CK_OBJECT_HANDLE *objects,
                    CK_ULONG n, CK_ULONG keys, CK_ULONG threshold)
{
    struct RPV_BLOB_KEY to[FAULTS_KEYS];
    unsigned long long done;
    char path[512];
    dir_path(s->w, name, path);
    for (size_t i = 0; i < FAULTS_KEYS; i++)
        to[i] = (struct RPV_BLOB_KEY){(CK_BYTE *)s->w->outside[i].public,
                                      strlen(s->w->outside[i].public)};
    if (s->again)
        unlink(path);            /* whole, but nobody was told so */
    const struct RPV_BACKUP ask = {.pPath = path, .pKeys = keys > 0 ? to : NULL, .ulKeys = keys,
                                   .ulThreshold = threshold};
    return s->vendor->RPV_Backup(s->handle, objects, n, &ask, &done);
}

CK_RV op_open(struct session *s)
{
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    struct RPV_STORE_INFO info;
    if (s->again)
        return CKR_OK;
    harness_open(s->h);
    CK_RV rv = s->h->f->C_Initialize(&args);
    return rv != CKR_OK ? rv : promise_vendor(s->h)->RPV_GetStoreInfo(&info);
}

/* ------------------------------------------------------------------ objects */

void stage_key(struct session *s)
{
    OK(op_create(s));
}

void stage_gone(struct session *s)
{
    stage_key(s);
    OK(op_delete(s));
}

void clock_forward(struct session *s, int64_t seconds)
{
    s->w->clock->wall += seconds;
    s->w->clock->boot += seconds;
}

/* Keys "m 0", "m 1" ...; the first are deleted. */
void keys_make(struct session *s, unsigned n, unsigned deleted)
{
    for (unsigned i = 0; i < n; i++) {
        char label[16];
        snprintf(label, sizeof(label), "m %u", i);
        OK(promise_create(s->h, s->handle, label, (CK_BYTE)i));
        if (i < deleted)
            OK(s->h->f->C_DestroyObject(s->handle, find_label(s, label, false)));
    }
}

void stage_many_gone(struct session *s)
{
    keys_make(s, MANY, MANY);
}

/* ------------------------------------------------------------------ users */

void stage_alice(struct session *s)
{
    stage_key(s);
    session_become(s, SO);
    OK(op_user(s));
    OK(s->vendor->RPV_GrantUser(s->handle, "alice", find_label(s, LABEL, false),
                                RPV_VERB_ENCRYPT));
    session_become(s, USER);
}

void stage_alice_many(struct session *s)
{
    stage_alice(s);
    keys_make(s, MANY, SOME);
}

/* Of every kind something, and more than one transaction marks, or restores. */
void stage_full(struct session *s)
{
    stage_alice(s);
    session_become(s, SO);
    OK(policy_set(s, 33, 0, 10));
    session_become(s, USER);
    keys_make(s, 40, SOME);
}

/* ------------------------------------------------------------------ generations */

void stage_retired(struct session *s)
{
    stage_key(s);
    session_leave(s);
    OK(op_init(s));
}

void stage_reload(struct session *s, enum who who)
{
    struct faults_world *w = s->w;
    if (s->h->dl != NULL)
        harness_unload(s->h);
    session_load(s, w);
    session_enter(s, who);
}

/* ------------------------------------------------------------------ what a crash leaves */

static unsigned slots_wiped(const struct session *s)
{
    static const CK_BYTE none[32];
    CK_BYTE slot[32];
    unsigned n = 0;
    char path[512];
    dir_path(s->w, "store/slots", path);
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    while (fread(slot, sizeof(slot), 1, f) == 1)
        n += memcmp(slot, none, sizeof(slot)) == 0;
    fclose(f);
    return n;
}

struct dying { struct session *s; enum who who; CK_RV (*run)(struct session *s); unsigned n; };

static int die(void *ctx)
{
    struct dying *dying = ctx;
    session_load(dying->s, dying->s->w);
    session_enter(dying->s, dying->who);
    faulty_io_arm(FAULTY_KILL_BEFORE, dying->n);
    return dying->run(dying->s) == CKR_OK ? 0 : 1;
}

static void die_before(struct dying *dying)
{
    dir_copy(dying->s->w, "whole", "store");
    CHECK(fork_run(die, dying) == 128 + SIGKILL);
}

void stage_killed_removal(struct session *s, CK_RV (*run)(struct session *s))
{
    struct dying dying = {s, SO, run, 0};
    CK_ULONG users = 1;
    stage_alice_many(s);
    harness_unload(s->h);
    dir_copy(s->w, "store", "whole");
    while (users > 0) {
        dying.n++;
        die_before(&dying);
        stage_reload(s, NOBODY);
        OK(s->vendor->RPV_ListUsers(s->h->slot, NULL, &users));
        harness_unload(s->h);
    }
}

void stage_killed_purge(struct session *s, enum who who, CK_RV (*run)(struct session *s))
{
    struct dying dying = {s, who, run, 0};
    harness_unload(s->h);
    dir_copy(s->w, "store", "whole");
    do {
        dying.n++;
        die_before(&dying);
    } while (slots_wiped(s) == 0);
    dying.n--;                   /* once more, dead before the first slot is overwritten */
    die_before(&dying);
    CHECK(slots_wiped(s) == 0);
}
