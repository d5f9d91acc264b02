/* walk_calls.c: every step as calls of the module, and what a refusal of it looks like. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "walk.h"

#define SO_PIN (CK_UTF8CHAR_PTR)(uintptr_t)HARNESS_SO_PIN, strlen(HARNESS_SO_PIN)

/* ------------------------------------------------------------------ on an object */

static CK_RV set_one(CK_OBJECT_HANDLE object, CK_ATTRIBUTE attr)
{
    return w->h.f->C_SetAttributeValue(session, object, &attr, 1);
}

static void bind_new(unsigned object, CK_OBJECT_HANDLE handle)
{
    uint8_t live = w->model.store.live;
    memset(w->now.blocks[live][object], 0, 16);
    id_of(handle, w->now.ids[live][object]);
}

static void bind_begin(unsigned object)
{
    w->now.serials[w->model.store.live][object] = ++w->next_serial;
    w->now.ids[w->model.store.live][object][0] = '\0';
}

static CK_RV do_create(void)
{
    char label[32];
    CK_BYTE value[32];
    CK_OBJECT_HANDLE handle;
    bind_begin(w->step.object);
    for (unsigned i = 0; i < sizeof(value); i++)
        value[i] = (CK_BYTE)(w->next_serial >> (i % 4 * 8));
    snprintf(label, sizeof(label), "name %d", w->step.value);
    CK_ATTRIBUTE template[] = {
        ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY), ATTR_ULONG(CKA_KEY_TYPE, CKK_AES),
        ATTR_TRUE(CKA_TOKEN),                  ATTR_TRUE(CKA_PRIVATE),
        ATTR_TRUE(CKA_ENCRYPT),                ATTR_BYTES(CKA_LABEL, label, strlen(label)),
        ATTR_BYTES(CKA_VALUE, value, sizeof(value)),
    };
    CK_RV rv = w->h.f->C_CreateObject(session, template, COUNT_OF(template), &handle);
    if (rv == CKR_OK)
        bind_new(w->step.object, handle);
    return rv;
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
    time_t date = (time_t)(w->base + w->model.store.now + w->step.value);
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
    CK_ULONG lock = w->step.op == OP_LOCK ? (CK_ULONG)w->step.value : 0;
    return set_one(find_any(), (CK_ATTRIBUTE)ATTR_VAR(CKA_RPV_LOCK, lock));
}

static CK_RV do_rename(void)
{
    char label[32];
    snprintf(label, sizeof(label), "name %d", w->step.value);
    return set_one(find(w->step.object, false),
                   (CK_ATTRIBUTE)ATTR_BYTES(CKA_LABEL, label, strlen(label)));
}

static CK_RV do_rotate(void)
{
    CK_OBJECT_HANDLE next;
    bind_begin(w->step.other);
    CK_RV rv = vendor->RPV_RotateKey(session, find(w->step.object, false), &next, NULL);
    if (rv == CKR_OK)
        bind_new(w->step.other, next);
    return rv;
}

/* ------------------------------------------------------------------ on the vault */

static CK_RV do_policy(void)
{
    struct RPV_POLICY policy;
    bool on = w->step.value != 0;
    OK(vendor->RPV_GetPolicy(w->h.slot, &policy));
    switch (w->step.op) {
    case OP_RETENTION:
        policy.ulRetentionDays = (CK_ULONG)w->step.value / DAY;
        break;
    case OP_RECOVER_TO:
        policy.ulRecoverTo = on;
        break;
    case OP_DISABLE_FIRST:
        policy.bDisableBeforeDelete = on;
        break;
    case OP_STRICT:
        policy.bClockStrict = on;
        break;
    case OP_APPROVALS:
        policy.ulPurgeApprovals = w->step.other;
        policy.ulApprovalHours = (CK_ULONG)w->step.value / HOUR;
        break;
    case OP_RESERVE:
        policy.bReserveNames = on;
        break;
    default:
        policy.bPurgeProtection = w->step.op == OP_PROTECT;
    }
    return vendor->RPV_SetPolicy(session, &policy);
}

static const struct { unsigned verb; CK_ULONG rpv; } verbs[] = {
    {VERB_CREATE, RPV_VERB_CREATE | RPV_VERB_IMPORT}, {VERB_UPDATE, RPV_VERB_UPDATE},
    {VERB_DELETE, RPV_VERB_DELETE}, {VERB_RECOVER, RPV_VERB_RECOVER},
    {VERB_BACKUP, RPV_VERB_BACKUP}, {VERB_RESTORE, RPV_VERB_RESTORE},
    {VERB_PURGE, RPV_VERB_PURGE}, {VERB_HOLD, RPV_VERB_HOLD}, {VERB_LOCK, RPV_VERB_LOCK},
    {VERB_POLICY, RPV_VERB_POLICY}, {VERB_ROTATE, RPV_VERB_ROTATE},
};

/* Whoever it is may look, and use keys. An administrator holds what the model has no verb for, too,
 * or could not hand it on. */
CK_ULONG rpv_verbs(unsigned of)
{
    CK_ULONG all = RPV_VERB_GET | RPV_VERB_LIST | RPV_VERB_ENCRYPT;
    for (unsigned i = 0; i < COUNT_OF(verbs); i++)
        if (of & verbs[i].verb)
            all |= verbs[i].rpv;
    return (of & VERBS_ALL) == VERBS_ALL ? RPV_VERBS_ALL : all;
}

unsigned verbs_random(void)
{
    static const unsigned bundles[] = {
        VERBS_ALL, VERB_PURGE, VERB_PURGE | VERB_RECOVER | VERB_HOLD, VERB_BACKUP | VERB_RESTORE,
        VERB_CREATE | VERB_UPDATE | VERB_DELETE | VERB_ROTATE,
        VERB_PURGE | VERB_LOCK | VERB_POLICY, 0,
    };
    return bundles[random_below(COUNT_OF(bundles))];
}

static CK_RV do_user_add(void)
{
    const char *name = user_names[w->step.other];
    return vendor->RPV_AddUser(session, name, (CK_UTF8CHAR_PTR)(uintptr_t)name, strlen(name),
                               rpv_verbs((unsigned)w->step.value));
}

static CK_RV do_user_remove(void)
{
    return vendor->RPV_RemoveUser(session, user_names[w->step.other]);
}

static CK_RV do_user_verbs(void)
{
    return vendor->RPV_SetUserVerbs(session, user_names[w->step.other], rpv_verbs((unsigned)w->step.value));
}

static CK_RV do_init(void)
{
    CK_UTF8CHAR label[33] = "model                           ";
    CK_RV rv;
    OK(w->h.f->C_CloseAllSessions(w->h.slot));
    rv = w->h.f->C_InitToken(w->h.slot, SO_PIN, label);
    if (rv == CKR_OK)
        partner_voided();
    w->actors[SELF].role = rv == CKR_OK ? MODEL_SO : w->actors[SELF].role;
    session_open();
    return rv;
}

static CK_RV do_generation_recover(void)
{
    CK_RV rv;
    OK(w->h.f->C_CloseAllSessions(w->h.slot));
    rv = vendor->RPV_RecoverGeneration(w->h.slot, w->now.numbers[w->step.generation], CKU_SO,
                                       SO_PIN);
    if (rv == CKR_OK)
        partner_voided();
    w->actors[SELF].role = rv == CKR_OK ? MODEL_SO : w->actors[SELF].role;
    session_open();
    return rv;
}

static CK_RV do_generation_purge(void)
{
    return vendor->RPV_PurgeGeneration(w->h.slot, w->now.numbers[w->step.generation], SO_PIN);
}

/* By who is logged in, or by the SO's PIN. */
static CK_UTF8CHAR_PTR pin_or_none(void)
{
    return w->step.other != 0 ? (CK_UTF8CHAR_PTR)(uintptr_t)HARNESS_SO_PIN : NULL;
}

static CK_RV do_generation_hold(void)
{
    return vendor->RPV_SetHold(w->h.slot, w->now.numbers[w->step.generation],
                               w->step.op == OP_GENERATION_HOLD, pin_or_none(),
                               strlen(HARNESS_SO_PIN));
}

static CK_RV do_generation_lock(void)
{
    return vendor->RPV_SetLock(w->h.slot, w->now.numbers[w->step.generation],
                               (CK_ULONG)w->step.value, pin_or_none(), strlen(HARNESS_SO_PIN));
}

static CK_RV do_sweep(void)
{
    CK_ULONG purged;
    return vendor->RPV_Sweep(1000, &purged);
}

/* ------------------------------------------------------------------ backups */

/* A pair of X25519 of nobody's, for backups to a key outside. */
static const char outside_public[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VuAyEAwHTCxkNlxN9br05GmXtFaHUNaRuZVE98yDsId7NPtnI=\n"
    "-----END PUBLIC KEY-----\n";
static const char outside_private[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VuBCIEIDiUzlMBGVB4R7JOnmkJRAWjYPUSaHSxj9TQ84zeUHxe\n"
    "-----END PRIVATE KEY-----\n";

static void backup_bind(unsigned backup, unsigned file)
{
    uint8_t live = w->model.store.live;
    char path[320];
    if (w->backup_files[backup] != 0) {
        file_path("backup", w->backup_files[backup], path);
        unlink(path);
    }
    w->backup_files[backup] = file;
    w->backup_births[backup] = w->now.births[live];
    for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
        w->backup_serials[backup][i] = w->now.serials[live][i];
        memcpy(w->backup_ids[backup][i], w->now.ids[live][i], 33);
    }
}

static CK_RV do_backup(void)
{
    const struct RPV_BLOB_KEY key = {(const CK_BYTE *)outside_public, sizeof(outside_public) - 1};
    unsigned file = ++w->next_file;
    unsigned long long n = 0;
    char path[320];
    CK_OBJECT_HANDLE object = w->step.op == OP_BACKUP ? find_any() : 0;
    file_path("backup", file, path);
    const struct RPV_BACKUP backup = {.pPath = path, .pKeys = &key,
                                      .ulKeys = w->step.value != 0 ? 1 : 0};
    CK_RV rv = vendor->RPV_Backup(session, &object, w->step.op == OP_BACKUP ? 1 : 0, &backup, &n);
    crash_over();
    if (rv == CKR_OK)
        backup_bind(w->step.other, file);
    return rv;
}

/* For the failure of a step that should have been done. */
static CK_RV told(void *application, const struct RPV_PROGRESS_INFO *progress)
{
    (void)application;
    if (w->expected == RESULT_OK && strcmp(progress->result, "ok") != 0 &&
        strcmp(progress->result, "purged") != 0)
        note("# restore: %s: %s\n", progress->uniqueId, progress->result);
    return CKR_OK;
}

static CK_RV do_restore(void)
{
    const struct RPV_BLOB_KEY key = {(const CK_BYTE *)outside_private,
                                     sizeof(outside_private) - 1};
    unsigned long long n = 0;
    char path[320];
    file_path("backup", w->backup_files[w->step.other], path);
    const struct RPV_RESTORE restore = {
        .pPath = path, .pKeys = &key, .ulKeys = w->model.backups[w->step.other].outside ? 1 : 0,
        .bReplace = w->step.op == OP_REPLACE ? CK_TRUE : CK_FALSE, .Notify = told};
    return vendor->RPV_Restore(session, &restore, &n);
}

/* ------------------------------------------------------------------ rows */

#define PROHIBITED                                                                                 \
    [RESULT_RETAINED] = CKR_ACTION_PROHIBITED, [RESULT_HELD] = CKR_ACTION_PROHIBITED,              \
    [RESULT_LOCKED] = CKR_ACTION_PROHIBITED, [RESULT_DENIED] = CKR_ACTION_PROHIBITED,              \
    [RESULT_STATE] = CKR_ACTION_PROHIBITED, [RESULT_POLICY] = CKR_ATTRIBUTE_VALUE_INVALID,         \
    [RESULT_PENDING] = CKR_ACTION_PROHIBITED, [RESULT_NAME] = CKR_TEMPLATE_INCONSISTENT
#define OF_POLICY                                                                                  \
    [RESULT_DENIED] = CKR_ACTION_PROHIBITED, [RESULT_LOCKED] = CKR_TOKEN_WRITE_PROTECTED,         \
    [RESULT_POLICY] = CKR_ARGUMENTS_BAD
#define OF_USER                                                                                    \
    [RESULT_DENIED] = CKR_ACTION_PROHIBITED, [RESULT_LOCKED] = CKR_TOKEN_WRITE_PROTECTED,          \
    [RESULT_STATE] = CKR_ARGUMENTS_BAD
#define OF_BLOB                                                                                    \
    [RESULT_DENIED] = CKR_ACTION_PROHIBITED, [RESULT_LOCKED] = CKR_TOKEN_WRITE_PROTECTED,          \
    [RESULT_STATE] = CKR_ACTION_PROHIBITED, [RESULT_KEY] = CKR_KEY_NEEDED
#define OF_GENERATION                                                                              \
    [RESULT_GONE] = CKR_ARGUMENTS_BAD, [RESULT_LOCKED] = CKR_TOKEN_WRITE_PROTECTED,                \
    [RESULT_DENIED] = CKR_ACTION_PROHIBITED,                                                       \
    [RESULT_RETAINED] = CKR_ACTION_PROHIBITED, [RESULT_HELD] = CKR_ACTION_PROHIBITED

const struct row rows[OP_COUNT] = {
    [OP_CREATE] = {160, true, false, true, true, do_create,
                   {[RESULT_DENIED] = CKR_TOKEN_WRITE_PROTECTED,
                    [RESULT_LOCKED] = CKR_TOKEN_WRITE_PROTECTED,
                    [RESULT_NAME] = CKR_TEMPLATE_INCONSISTENT}},
    [OP_DELETE] = {200, true, true, true, true, do_destroy, {PROHIBITED}},
    [OP_RECOVER] = {100, true, true, true, true, do_recover, {PROHIBITED}},
    [OP_PURGE] = {120, true, true, true, true, do_destroy, {PROHIBITED}},
    [OP_POSTPONE] = {40, true, true, true, true, do_postpone, {PROHIBITED}},
    [OP_DISABLE] = {50, true, true, true, true, do_enable, {PROHIBITED}},
    [OP_ENABLE] = {50, true, true, true, true, do_enable, {PROHIBITED}},
    [OP_HOLD] = {15, true, true, true, true, do_hold, {PROHIBITED}},
    [OP_RELEASE] = {60, true, true, true, true, do_hold, {PROHIBITED}},
    [OP_LOCK] = {8, true, true, true, true, do_lock, {PROHIBITED}},
    [OP_UNLOCK] = {40, true, true, true, true, do_lock, {PROHIBITED}},
    [OP_RENAME] = {25, true, false, true, true, do_rename, {PROHIBITED}},
    [OP_ROTATE] = {30, true, false, true, true, do_rotate,
                   {[RESULT_DENIED] = CKR_TOKEN_WRITE_PROTECTED,
                    [RESULT_LOCKED] = CKR_TOKEN_WRITE_PROTECTED,
                    [RESULT_STATE] = CKR_ACTION_PROHIBITED,
                    [RESULT_NAME] = CKR_TEMPLATE_INCONSISTENT}},
    [OP_RETENTION] = {14, false, true, true, true, do_policy, {OF_POLICY}},
    [OP_PROTECT] = {2, false, true, true, true, do_policy, {OF_POLICY}},
    [OP_UNPROTECT] = {8, false, true, true, true, do_policy, {OF_POLICY}},
    [OP_RECOVER_TO] = {8, false, true, true, true, do_policy, {OF_POLICY}},
    [OP_DISABLE_FIRST] = {6, false, true, true, true, do_policy, {OF_POLICY}},
    [OP_STRICT] = {8, false, true, true, true, do_policy, {OF_POLICY}},
    [OP_APPROVALS] = {10, false, true, true, true, do_policy, {OF_POLICY}},
    [OP_RESERVE] = {8, false, true, true, true, do_policy, {OF_POLICY}},
    [OP_USER_ADD] = {12, false, true, true, true, do_user_add, {OF_USER}},
    [OP_USER_REMOVE] = {5, false, true, true, true, do_user_remove, {OF_USER}},
    [OP_USER_VERBS] = {12, false, true, true, true, do_user_verbs, {OF_USER}},
    [OP_INIT] = {4, false, true, true, false, do_init, {OF_GENERATION}},
    [OP_GENERATION_RECOVER] = {5, false, true, true, false, do_generation_recover,
                               {OF_GENERATION}},
    [OP_GENERATION_PURGE] = {4, false, true, true, true, do_generation_purge, {OF_GENERATION}},
    [OP_GENERATION_HOLD] = {2, false, true, true, true, do_generation_hold, {OF_GENERATION}},
    [OP_GENERATION_RELEASE] = {6, false, true, true, true, do_generation_hold, {OF_GENERATION}},
    [OP_GENERATION_LOCK] = {4, false, true, true, true, do_generation_lock, {OF_GENERATION}},
    [OP_SWEEP] = {10, false, true, true, true, do_sweep, {0}},
    [OP_BACKUP] = {8, true, true, true, true, do_backup, {OF_BLOB}},
    [OP_BACKUP_ALL] = {8, false, true, true, true, do_backup, {OF_BLOB}},
    [OP_RESTORE] = {8, false, true, true, true, do_restore, {OF_BLOB}},
    [OP_REPLACE] = {14, false, true, true, true, do_restore, {OF_BLOB}},
    [OP_COPY] = {3, false, true, true, false, do_copy, {0}},
    [OP_ROLLBACK] = {2, false, true, true, false, do_rollback, {0}},
    [OP_ACCEPT] = {0, false, true, true, false, do_accept, {0}},
    [OP_PASS] = {40, false, true, true, false, do_pass, {0}},
    [OP_WALL] = {8, false, true, true, false, do_wall, {0}},
    [OP_BOOT] = {4, false, true, true, false, do_boot, {0}},
};
