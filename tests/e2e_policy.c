/*
 * The policy of a vault: every switch each way, with the refusal's code and reason in words; who
 * may turn it; which values it has not; that a dry run changes nothing. The switches are rows of
 * policy_rows.c. Then what no row can say: the one-way switch and its cooling-off, what a change
 * does not touch, what a recovery brings back, and holds and locks on vaults.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "policy_rows.h"

#define DAY 86400LL
#define HOUR 3600LL

/* ------------------------------------------------------------------ fields of a policy */

static struct RPV_POLICY policy_get(void)
{
    struct RPV_POLICY policy;
    OK(world.rpv->RPV_GetPolicy(world.h.slot, &policy));
    return policy;
}

static CK_RV policy_set(struct RPV_POLICY policy)
{
    return told(world.rpv->RPV_SetPolicy(world.session, &policy));
}

static CK_ULONG field_of(const struct policy_row *row, const struct RPV_POLICY *policy)
{
    const char *field = (const char *)policy + row->offset;
    CK_ULONG number;
    if (row->size == sizeof(CK_BBOOL))
        return *(const CK_BBOOL *)field;
    memcpy(&number, field, sizeof number);
    return number;
}

static CK_ULONG field_get(const struct policy_row *row)
{
    struct RPV_POLICY policy = policy_get();
    return field_of(row, &policy);
}

static bool policies_same(const struct RPV_POLICY *a, const struct RPV_POLICY *b)
{
    for (size_t i = 0; i < POLICY_ROWS_COUNT; i++)
        if (field_of(&POLICY_ROWS[i], a) != field_of(&POLICY_ROWS[i], b))
            return false;
    return true;
}

static struct RPV_POLICY policy_with(const struct policy_row *row, CK_ULONG value)
{
    struct RPV_POLICY policy = policy_get();
    char *field = (char *)&policy + row->offset;
    if (row->size == sizeof(CK_BBOOL))
        *(CK_BBOOL *)field = (CK_BBOOL)value;
    else
        memcpy(field, &value, sizeof value);
    return policy;
}

/* ------------------------------------------------------------------ every switch */

static void probe(const struct policy_row *row, bool on)
{
    CK_RV expected = on ? row->refusal : CKR_OK;
    world.reason[0] = '\0';
    CK_RV rv = row->probe(on);
    if (rv != expected)
        harness_fail(__FILE__, __LINE__, "%s %s: %s, not %s", row->name, on ? "on" : "off",
                     ckr_name(rv), ckr_name(expected));
    if (on && row->reason != NULL)
        reason_has(row->reason);
}

static void refused(const struct policy_row *row, CK_ULONG value, CK_RV expected,
                    const char *words)
{
    struct RPV_POLICY before = policy_get(), after;
    CK_RV rv = policy_set(policy_with(row, value));
    after = policy_get();
    if (rv != expected || !policies_same(&before, &after))
        harness_fail(__FILE__, __LINE__, "%s = %ld: %s, not %s", row->name, (long)value,
                     ckr_name(rv), ckr_name(expected));
    reason_has(words);
}

/* It takes the policy verb; the user by whose PIN all keys can be used has it not. */
static void others_cannot(const struct policy_row *row)
{
    refused(row, row->on, CKR_ACTION_PROHIBITED, "policy verb");
    as_nobody();
    refused(row, row->on, CKR_USER_NOT_LOGGED_IN, "the SO's to change");
    as_named("clerk");
    refused(row, row->on, CKR_ACTION_PROHIBITED, "policy verb");
    as_named("purger");
    refused(row, row->on, CKR_ACTION_PROHIBITED, "policy verb");
    as_named("keeper");
    CK_SESSION_HANDLE read_write = world.session;
    world.session = harness_session(&world.h, 0);
    refused(row, row->on, CKR_SESSION_READ_ONLY, "read-write");
    OK(world.h.f->C_CloseSession(world.session));
    world.session = read_write;
    as_user();
    CHECK(field_get(row) == row->off);
}

static void range_holds(const struct policy_row *row)
{
    as_so();
    for (size_t i = 0; i < COUNT_OF(row->wrong) && row->range != NULL; i++) {
        const struct RPV_POLICY wrong = policy_with(row, row->wrong[i]);
        refused(row, row->wrong[i], CKR_ARGUMENTS_BAD, row->name);
        reason_has(row->range);
        EXPECT(told(world.rpv->RPV_CheckPolicy(world.h.slot, &wrong)), CKR_ARGUMENTS_BAD);
        reason_has(row->range);
    }
    for (size_t i = 0; i < COUNT_OF(row->wrong) && row->range != NULL; i++) {
        struct RPV_POLICY before = policy_get();
        OK(policy_set(policy_with(row, i == 0 ? row->wrong[0] + 1 : row->wrong[1] - 1)));
        OK(policy_set(before));  /* before a login that would pay for it */
    }
    if (row->range != NULL)      /* what does not fit the store's own type is out of it, too */
        refused(row, (1UL << 32) + row->on, CKR_ARGUMENTS_BAD, row->range);
    as_user();
    CHECK(field_get(row) == row->off);
}

/* The command's output, in a file of the harness; its exit status. */
static int command_run(const char *arguments, char *ret_output, size_t size)
{
    char line[1200], path[300];
    snprintf(path, sizeof path, "%s/output", world.h.dir);
    snprintf(line, sizeof line, "LD_PRELOAD=$REPRIEVE_PRELOAD \"$REPRIEVE_CLI\" %s >'%s' 2>&1",
             arguments, path);
    int status = system(line);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    size_t n = fread(ret_output, 1, size - 1, file);
    ret_output[n] = '\0';
    fclose(file);
    return status;
}

static void dry_run_changes_nothing(const struct policy_row *row)
{
    char arguments[200], output[4000], before[64];
    struct RPV_POLICY policy = policy_get(), after = policy_with(row, row->on);
    OK(world.rpv->RPV_CheckPolicy(world.h.slot, &after));
    snprintf(arguments, sizeof arguments, "policy set %s=%s --dry-run --json", row->name,
             row->on_text);
    if (command_run(arguments, output, sizeof output) != 0)
        harness_fail(__FILE__, __LINE__, "%s: %s", arguments, output);
    snprintf(before, sizeof before, "\"%s\":", row->name);
    char *told_of = strstr(output, "\"before\"");
    if (told_of == NULL || strstr(told_of, before) == NULL
        || strstr(output, "\"changed\": false") == NULL)
        harness_fail(__FILE__, __LINE__, "%s tells not what would change: %s", arguments, output);
    after = policy_get();
    CHECK(policies_same(&policy, &after));
}

static void set_as_so(struct RPV_POLICY policy)
{
    as_so();
    OK(policy_set(policy));
    as_user();
}

static void set_as_keeper(struct RPV_POLICY policy)
{
    as_named("keeper");
    OK(policy_set(policy));
    as_user();
}

/* What new vaults begin with is the configuration's. */
static void configured(const struct policy_row *row)
{
    char line[100];
    struct RPV_POLICY policy;
    snprintf(line, sizeof line, "%s = %s\n", row->name, row->on_text);
    harness_init(&world.h, line);
    harness_load(&world.h);
    OK(promise_vendor(&world.h)->RPV_GetDefaultPolicy(&policy));
    CHECK(field_of(row, &policy) == row->on);
    harness_done(&world.h);
}

static void switch_each_way(void **state)
{
    const struct policy_row *row = *state;
    world_start(row->conf, row->clock);
    struct RPV_POLICY before = policy_get();
    CHECK(field_get(row) == row->off);
    probe(row, false);
    others_cannot(row);
    range_holds(row);
    if (!row->clock)             /* the command would be another process with another boot */
        dry_run_changes_nothing(row);
    set_as_keeper(policy_with(row, row->on));
    CHECK(field_get(row) == row->on);
    probe(row, true);
    set_as_so(before);
    probe(row, false);
    set_as_so(policy_with(row, row->on));
    probe(row, true);
    set_as_keeper(before);
    CHECK(field_get(row) == row->off);
    world_stop();
    configured(row);
}

/* What the command shows of a policy is all there is of it: each has its row. */
static void every_switch_has_a_row(void **state)
{
    char output[4000], name[64];
    unsigned shown = 0;
    (void)state;
    world_start(NULL, false);
    CHECK(command_run("policy show --json", output, sizeof output) == 0);
    for (char *at = output; (at = strchr(at, '"')) != NULL; at = strchr(at, '\n')) {
        bool found = false;
        if (sscanf(at, "\"%63[a-z_]\":", name) != 1)
            break;
        for (size_t i = 0; i < POLICY_ROWS_COUNT; i++)
            found |= strcmp(POLICY_ROWS[i].name, name) == 0;
        if (!found)
            harness_fail(__FILE__, __LINE__, "%s has no row in policy_rows.c", name);
        shown++;
    }
    CHECK(shown >= 18);
    world_stop();
}

/* ------------------------------------------------------------------ beyond a row */

static void retention_goes_as_far_as_configured(void **state)
{
    (void)state;
    world_start("retention_max_days = 365\n", false);
    struct RPV_POLICY policy = policy_get();
    as_so();
    policy.ulRetentionDays = 365;
    OK(policy_set(policy));
    policy.ulRetentionDays = 366;
    EXPECT(policy_set(policy), CKR_ARGUMENTS_BAD);
    reason_has("retention_days must be from 7 to 365");
    CK_SLOT_ID slot;
    CK_UTF8CHAR label[33] = "another                         ";
    EXPECT(told(world.rpv->RPV_CreateVault(PIN("12345678"), label, &policy, &slot)),
           CKR_ARGUMENTS_BAD);
    reason_has("retention_days must be from 7 to 365");
    as_user();
    CHECK(policy_get().ulRetentionDays == 365);
    CHECK(key_ulong(key_deleted(key_new_deleted()), CKA_RPV_RECOVERABLE_DAYS) == 365);
    world_stop();
}

static CK_RV protect(bool on)
{
    struct RPV_POLICY policy = policy_get();
    policy.bPurgeProtection = on;
    return policy_set(policy);
}

static void protection_has_a_cooling_off(void **state)
{
    (void)state;
    world_start(NULL, true);
    as_so();
    OK(protect(true));
    CHECK(policy_get().protectedSince == world.clock->wall);
    time_pass(71 * HOUR);
    OK(protect(true));           /* again: the hours run on */
    OK(protect(false));
    OK(protect(true));           /* and this begins new ones */
    time_pass(71 * HOUR);
    OK(protect(true));
    time_pass(2 * HOUR);
    EXPECT(protect(false), CKR_ARGUMENTS_BAD);
    reason_has("purge_protection cannot be switched off any more");
    reason_has("72 hours");
    CHECK(policy_get().bPurgeProtection);
    as_named("keeper");
    EXPECT(protect(false), CKR_ARGUMENTS_BAD);
    world_stop();
    world_start("purge_protection = yes\n", true);
    as_so();
    EXPECT(protect(false), CKR_ARGUMENTS_BAD);
    reason_has("from the start");
    CHECK(policy_get().bPurgeProtection);
    world_stop();
}

static void text_get(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, char ret_text[64])
{
    CK_ATTRIBUTE attribute = {type, ret_text, 63};
    OK(world.h.f->C_GetAttributeValue(world.session, object, &attribute, 1));
    ret_text[attribute.ulValueLen] = '\0';
}

/* A purge date is what it was when the object was deleted, however long objects are kept since. */
static void purge_dates_stay(void **state)
{
    static const CK_ULONG days[] = {7, 30, 90};
    char before[64], after[64];
    CK_ULONG swept;
    (void)state;
    world_start("retention_days = 30\n", true);
    const char *label = key_new_deleted();
    text_get(key_deleted(label), CKA_RPV_PURGE_AT, before);
    for (size_t i = 0; i < COUNT_OF(days); i++) {
        struct RPV_POLICY policy = policy_get();
        policy.ulRetentionDays = days[i];
        set_as_so(policy);
        text_get(key_deleted(label), CKA_RPV_PURGE_AT, after);
        CHECK(strcmp(before, after) == 0);
    }
    time_pass(29 * DAY);
    OK(world.rpv->RPV_Sweep(100, &swept));
    CHECK(promise_see(&world.h, world.session, label) == SEEN_DELETED);
    time_pass(2 * DAY);
    CHECK(promise_see(&world.h, world.session, label) == SEEN_NOTHING);
    OK(world.rpv->RPV_Sweep(100, &swept));
    CHECK(swept == 1);
    world_stop();
}

/* Another has the label by now: recovery is not refused for it, and says so. */
static void a_taken_label_is_told_of(void **state)
{
    (void)state;
    world_start(NULL, false);
    const char *label = key_new_deleted();
    OK(promise_create(&world.h, world.session, label, 2));
    struct RPV_POLICY policy = policy_get();
    policy.bReserveNames = CK_TRUE;
    set_as_so(policy);
    EXPECT(told(promise_create(&world.h, world.session, label, 3)), CKR_TEMPLATE_INCONSISTENT);
    reason_has("reserve_names");
    OK(key_recover(key_deleted(label)));
    reason_has("recovered");
    reason_has("label");
    CK_OBJECT_HANDLE both[3];
    CHECK(promise_find(&world.h, world.session, label, false, both, 3) == 2);
    OK(promise_create(&world.h, world.session, label, 3));   /* nothing is deleted any more */
    const char *free_again = key_new_deleted();
    OK(key_recover(key_deleted(free_again)));
    CHECK(world.reason[0] == '\0');
    world_stop();
}

/* ------------------------------------------------------------------ what comes back */

#define KEPT_BYTES 40
static const CK_ATTRIBUTE_TYPE KEPT[] = {
    CKA_RPV_STATE, CKA_RPV_ENABLED, CKA_RPV_NOT_BEFORE, CKA_RPV_NOT_AFTER, CKA_RPV_HOLD,
    CKA_RPV_LOCK, CKA_RPV_VERSION, CKA_RPV_USE_COUNT, CKA_RPV_LAST_USED, CKA_RPV_ORIGIN,
    CKA_RPV_BACKED_UP, CKA_RPV_HONEYTOKEN, CKA_RPV_ROTATE_DAYS, CKA_RPV_RECOVERABLE_DAYS,
    CKA_UNIQUE_ID, CKA_LABEL, CKA_VALUE, CKA_ENCRYPT, CKA_EXTRACTABLE,
};
struct kept { CK_BYTE bytes[COUNT_OF(KEPT)][KEPT_BYTES]; CK_ULONG len[COUNT_OF(KEPT)]; };

static struct kept kept_get(CK_OBJECT_HANDLE key)
{
    struct kept kept;
    memset(&kept, 0, sizeof kept);
    for (size_t i = 0; i < COUNT_OF(KEPT); i++) {
        CK_ATTRIBUTE attribute = {KEPT[i], kept.bytes[i], KEPT_BYTES};
        OK(world.h.f->C_GetAttributeValue(world.session, key, &attribute, 1));
        kept.len[i] = attribute.ulValueLen;
    }
    return kept;
}

/* Each by who may: a state, dates and an age by the user, a hold and a honeytoken by the SO. */
static const struct { bool so; CK_ATTRIBUTE attribute; } MARKS[] = {
    {false, {CKA_RPV_NOT_BEFORE, (void *)(uintptr_t)"2001010100000000", 16}},
    {false, {CKA_RPV_NOT_AFTER, (void *)(uintptr_t)"2095010100000000", 16}},
    {false, {CKA_RPV_ROTATE_DAYS, &(CK_ULONG){50}, sizeof(CK_ULONG)}},
    {true, {CKA_RPV_HOLD, &(CK_BBOOL){CK_TRUE}, sizeof(CK_BBOOL)}},
    {true, {CKA_RPV_HONEYTOKEN, &(CK_BBOOL){CK_TRUE}, sizeof(CK_BBOOL)}},
    {false, {CKA_RPV_ENABLED, &(CK_BBOOL){CK_FALSE}, sizeof(CK_BBOOL)}},
};

static void marks_make(const char *label)
{
    CK_BYTE block[16];
    for (int i = 0; i < 3; i++)
        OK(promise_use(&world.h, world.session, key_live(label), block));
    for (size_t i = 0; i < COUNT_OF(MARKS); i++) {
        CK_ATTRIBUTE attribute = MARKS[i].attribute;
        if (MARKS[i].so)
            as_so();
        OK(world.h.f->C_SetAttributeValue(world.session, key_live(label), &attribute, 1));
        if (MARKS[i].so)
            as_user();
    }
    as_so();
    OK(world.rpv->RPV_AddUser(world.session, "guest", PIN("guest-pin"), 0));
    OK(world.rpv->RPV_GrantUser(world.session, "guest", key_live(label),
                                RPV_VERB_ENCRYPT | RPV_VERB_UPDATE));
    as_user();
}

/* Recovery gives back state, dates, hold, counters and grants, and who had a grant can use it. */
static void all_comes_back(void **state)
{
    CK_ATTRIBUTE enabled = ATTR_TRUE(CKA_RPV_ENABLED);
    struct RPV_GRANT grants[4];
    CK_ULONG n = COUNT_OF(grants);
    CK_BYTE block[16];
    (void)state;
    world_start(NULL, false);
    const char *label = key_new();
    marks_make(label);
    world_restart();             /* the uses are in the log, and counted */
    struct kept before = kept_get(key_live(label));
    CHECK(key_ulong(key_live(label), CKA_RPV_USE_COUNT) == 3);
    OK(world.h.f->C_DestroyObject(world.session, key_live(label)));
    struct RPV_POLICY policy = policy_get();
    policy.ulRetentionDays = 90;
    policy.bReserveNames = CK_TRUE;
    set_as_so(policy);
    world_restart();
    OK(key_recover(key_deleted(label)));
    struct kept after = kept_get(key_live(label));
    for (size_t i = 0; i < COUNT_OF(KEPT); i++)
        if (before.len[i] != after.len[i] || memcmp(before.bytes[i], after.bytes[i], KEPT_BYTES))
            harness_fail(__FILE__, __LINE__, "attribute 0x%lx is another", KEPT[i]);
    OK(world.rpv->RPV_ListGrants(world.h.slot, "guest", grants, &n));
    CHECK(n == 1 && grants[0].ulVerbs == (RPV_VERB_ENCRYPT | RPV_VERB_UPDATE));
    as_named("guest");
    OK(world.h.f->C_SetAttributeValue(world.session, key_live(label), &enabled, 1));
    OK(promise_use(&world.h, world.session, key_live(label), block));
    as_so();
    CK_ATTRIBUTE release = ATTR_FALSE(CKA_RPV_HOLD);
    OK(world.h.f->C_SetAttributeValue(world.session, key_live(label), &release, 1));
    world_stop();
}

/* ------------------------------------------------------------------ vaults held and locked */

static CK_FLAGS token_flags(void)
{
    CK_TOKEN_INFO info;
    OK(world.h.f->C_GetTokenInfo(world.h.slot, &info));
    return info.flags;
}

static void held_vaults_are_not_initialised(void **state)
{
    CK_UTF8CHAR so[] = HARNESS_SO_PIN, label[33] = "fresh                           ";
    const CK_FUNCTION_LIST *f;
    const struct RPV_FUNCTION_LIST *rpv;
    (void)state;
    world_start(NULL, false);
    f = world.h.f;
    rpv = world.rpv;
    CK_SLOT_ID slot = world.h.slot;
    EXPECT(told(rpv->RPV_SetHold(slot, 0, CK_TRUE, NULL, 0)), CKR_ACTION_PROHIBITED);
    reason_has("lacks the verb");
    OK(rpv->RPV_SetHold(slot, 0, CK_TRUE, so, sizeof so - 1));
    CHECK((token_flags() & CKF_WRITE_PROTECTED) != 0);
    key_new();                   /* it goes on */
    OK(f->C_CloseAllSessions(slot));
    EXPECT(told(f->C_InitToken(slot, so, sizeof so - 1, label)), CKR_TOKEN_WRITE_PROTECTED);
    reason_has("locked");
    OK(rpv->RPV_SetHold(slot, 0, CK_FALSE, so, sizeof so - 1));
    OK(rpv->RPV_SetLock(slot, 0, 2, so, sizeof so - 1));
    EXPECT(f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                            &world.session), CKR_TOKEN_WRITE_PROTECTED);
    EXPECT(f->C_InitToken(slot, so, sizeof so - 1, label), CKR_TOKEN_WRITE_PROTECTED);
    OK(rpv->RPV_SetLock(slot, 0, 0, so, sizeof so - 1));
    CHECK((token_flags() & CKF_WRITE_PROTECTED) == 0);
    OK(f->C_InitToken(slot, so, sizeof so - 1, label));
    world_stop();
}

static int teardown(void **state)
{
    (void)state;
    if (world.h.dl != NULL)
        harness_done(&world.h);
    return 0;
}

static const struct CMUnitTest OTHERS[] = {
    cmocka_unit_test_teardown(every_switch_has_a_row, teardown),
    cmocka_unit_test_teardown(retention_goes_as_far_as_configured, teardown),
    cmocka_unit_test_teardown(protection_has_a_cooling_off, teardown),
    cmocka_unit_test_teardown(purge_dates_stay, teardown),
    cmocka_unit_test_teardown(a_taken_label_is_told_of, teardown),
    cmocka_unit_test_teardown(all_comes_back, teardown),
    cmocka_unit_test_teardown(held_vaults_are_not_initialised, teardown),
};
#define ROWS_MAX 40

int main(void)
{
    static struct CMUnitTest tests[ROWS_MAX + COUNT_OF(OTHERS)];
    static char names[ROWS_MAX][80];
    size_t n = 0;
    harness_fail_hook = _fail;
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    for (; n < POLICY_ROWS_COUNT && n < ROWS_MAX; n++) {
        const struct policy_row *row = &POLICY_ROWS[n];
        snprintf(names[n], sizeof names[n], "%s: %s", row->name,
                 row->refusal == CKR_OK ? "its effect" : ckr_name(row->refusal));
        tests[n] = (struct CMUnitTest){names[n], switch_each_way, NULL, teardown,
                                       (void *)(uintptr_t)row};
    }
    for (size_t i = 0; i < COUNT_OF(OTHERS); i++)
        tests[n++] = OTHERS[i];
    return _cmocka_run_group_tests("policy", tests, n, NULL, NULL);
}
