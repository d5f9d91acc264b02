/* policy_rows.c: the switches of a vault's policy, and what tells whether one is off or on. */
#include "policy_rows.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DAY 86400
#define HOUR 3600

/* ------------------------------------------------------------------ purges and dates */

static CK_RV probe_retention(bool on)
{
    CK_OBJECT_HANDLE key = key_deleted(key_new_deleted());
    CHECK(key_ulong(key, CKA_RPV_RECOVERABLE_DAYS) == (on ? 7 : 90));
    return CKR_OK;
}

static CK_RV purge_as_so(const char *label)
{
    as_so();
    CK_RV rv = told(world.h.f->C_DestroyObject(world.session, key_deleted(label)));
    as_user();
    return rv;
}

static CK_RV probe_protection(bool on)
{
    (void)on;
    return purge_as_so(key_new_deleted());
}

static CK_RV purge_as_purger(const char *label)
{
    as_named("purger");
    CK_RV rv = told(world.h.f->C_DestroyObject(world.session, key_deleted(label)));
    as_user();
    return rv;
}

/* One alone does not, however often; two do. */
static CK_RV probe_approvals(bool on)
{
    const char *label = key_new_deleted();
    CK_RV rv = purge_as_so(label);
    if (!on)
        return rv;
    EXPECT(purge_as_so(label), CKR_ACTION_PROHIBITED);
    char reason[sizeof world.reason];
    memcpy(reason, world.reason, sizeof reason);
    OK(purge_as_purger(label));
    CHECK(promise_see(&world.h, world.session, label) == SEEN_NOTHING);
    memcpy(world.reason, reason, sizeof reason);
    return rv;
}

/* A first approval two hours old: does it still count? */
static CK_RV probe_hours(bool on)
{
    const char *label = key_new_deleted();
    (void)on;
    EXPECT(purge_as_so(label), CKR_ACTION_PROHIBITED);
    time_pass(2 * HOUR);
    return purge_as_purger(label);
}

/* Thirty days go by while the machine is off: of seven days' retention nothing is left, or all. */
static CK_RV probe_clock(bool on)
{
    const char *label = key_new_deleted();
    world.clock->wall += 30 * DAY;
    world.clock->boot = 100;
    world.clock->boot_id[0]++;
    world_restart();
    CHECK(promise_see(&world.h, world.session, label) == (on ? SEEN_DELETED : SEEN_NOTHING));
    return CKR_OK;
}

static CK_RV probe_tombstone(bool on)
{
    struct RPV_TOMBSTONE tombstones[64];
    CK_ULONG n = COUNT_OF(tombstones), found = 0;
    const char *label = key_new_deleted();
    OK(purge_as_so(label));
    OK(world.rpv->RPV_ListTombstones(world.h.slot, tombstones, &n));
    CHECK(n > 0);
    for (CK_ULONG i = 0; i < n; i++)
        found += strcmp(tombstones[i].label, label) == 0;
    CHECK(found == (on ? 1 : 0));
    return CKR_OK;
}

/* ------------------------------------------------------------------ deletes and recovery */

static CK_RV probe_recover_to(bool on)
{
    const char *label = key_new_deleted();
    OK(key_recover(key_deleted(label)));
    CHECK(key_ulong(key_live(label), CKA_RPV_STATE)
          == (on ? RPV_STATE_DISABLED : RPV_STATE_ACTIVE));
    return CKR_OK;
}

static CK_RV probe_reserve(bool on)
{
    (void)on;
    return told(promise_create(&world.h, world.session, key_new_deleted(), 2));
}

static CK_RV probe_disable(bool on)
{
    CK_ATTRIBUTE disabled = ATTR_FALSE(CKA_RPV_ENABLED);
    const char *label = key_new();
    CK_RV rv = told(world.h.f->C_DestroyObject(world.session, key_live(label)));
    if (!on)
        return rv;
    OK(world.h.f->C_SetAttributeValue(world.session, key_live(label), &disabled, 1));
    OK(world.h.f->C_DestroyObject(world.session, key_live(label)));
    return rv;
}

/* ------------------------------------------------------------------ uses */

/* The same by a copy in the session, which is no way round a policy. */
static void copy_too(CK_OBJECT_HANDLE key, CK_RV rv)
{
    CK_ATTRIBUTE session = ATTR_FALSE(CKA_TOKEN);
    char reason[sizeof world.reason];
    CK_BYTE block[16];
    CK_OBJECT_HANDLE copy;
    memcpy(reason, world.reason, sizeof reason);
    OK(world.h.f->C_CopyObject(world.session, key, &session, 1, &copy));
    EXPECT(promise_use(&world.h, world.session, copy, block), rv);
    OK(world.h.f->C_DestroyObject(world.session, copy));
    memcpy(world.reason, reason, sizeof reason);
}

static CK_RV probe_backup(bool on)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct RPV_BACKUP backup = {.fd = fd};
    unsigned long long n = 0;
    CK_BYTE block[16];
    CK_OBJECT_HANDLE key = key_live(key_new());
    CK_RV rv = told(promise_use(&world.h, world.session, key, block));
    copy_too(key, rv);
    OK(world.rpv->RPV_Backup(world.session, &key, 1, &backup, &n));
    close(fd);
    CHECK(n == 1);
    if (on)
        OK(promise_use(&world.h, world.session, key, block));
    return rv;
}

static CK_RV probe_conflicts(bool on)
{
    CK_MECHANISM generate = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE template[] = {ATTR_ULONG(CKA_VALUE_LEN, 16), ATTR_TRUE(CKA_WRAP),
                               ATTR_TRUE(CKA_DECRYPT)};
    CK_OBJECT_HANDLE key;
    (void)on;
    return told(world.h.f->C_GenerateKey(world.session, &generate, template, COUNT_OF(template),
                                         &key));
}

static CK_RV rsa_generate(CK_ULONG bits, CK_OBJECT_HANDLE *ret_private)
{
    CK_MECHANISM generate = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE public[] = {ATTR_VAR(CKA_MODULUS_BITS, bits)};
    CK_ATTRIBUTE private[] = {ATTR_TRUE(CKA_DECRYPT)};
    CK_OBJECT_HANDLE key;
    return told(world.h.f->C_GenerateKeyPair(world.session, &generate, public, COUNT_OF(public),
                                             private, COUNT_OF(private), &key, ret_private));
}

static CK_RV probe_padding(bool on)
{
    CK_MECHANISM pkcs = {CKM_RSA_PKCS, NULL, 0};
    CK_OBJECT_HANDLE key;
    OK(rsa_generate(1024, &key));
    CK_RV rv = told(world.h.f->C_DecryptInit(world.session, &pkcs, key));
    if (!on)
        OK(world.h.f->C_DecryptInit(world.session, NULL, key));
    return rv;
}

static CK_RV probe_rsa_bits(bool on)
{
    CK_OBJECT_HANDLE key;
    (void)on;
    return rsa_generate(1024, &key);
}

static CK_RV probe_newest(bool on)
{
    CK_MECHANISM generate = {CKM_AES_KEY_GEN, NULL, 0}, ecb = {CKM_AES_ECB, NULL, 0};
    CK_ATTRIBUTE template[] = {ATTR_ULONG(CKA_VALUE_LEN, 16), ATTR_TRUE(CKA_TOKEN)};
    CK_OBJECT_HANDLE key, next;
    OK(world.h.f->C_GenerateKey(world.session, &generate, template, COUNT_OF(template), &key));
    OK(world.rpv->RPV_RotateKey(world.session, key, &next, NULL));
    CK_RV rv = told(world.h.f->C_EncryptInit(world.session, &ecb, key));
    if (!on)
        OK(world.h.f->C_EncryptInit(world.session, NULL, key));
    copy_too(key, rv);
    OK(world.h.f->C_DecryptInit(world.session, &ecb, key));   /* what is old is still read */
    OK(world.h.f->C_DecryptInit(world.session, NULL, key));
    OK(world.h.f->C_EncryptInit(world.session, &ecb, next));
    OK(world.h.f->C_EncryptInit(world.session, NULL, key));
    return rv;
}

/* The events, as who is logged in sees them: the user has not the verb audit. */
static CK_RV probe_private_audit(bool on)
{
    struct RPV_AUDIT_RECORD record;
    const struct RPV_AUDIT_QUERY query = {.slotID = world.h.slot};
    CK_ULONG n = 1;
    unsigned long long next;
    (void)on;
    return told(world.rpv->RPV_QueryAudit(&query, &record, &n, &next));
}

/* Three uses: one record that says three, or three. The log has them when the session ends. */
static CK_RV probe_audit_use(bool on)
{
    struct RPV_AUDIT_RECORD *records = calloc(16, sizeof *records);
    CK_ULONG n = 16;
    unsigned long long next, uses = 0;
    char id[33] = "";
    CK_BYTE block[16];
    CK_OBJECT_HANDLE key = key_live(key_new());
    CK_SESSION_HANDLE session = harness_session_rw(&world.h);
    CK_ATTRIBUTE unique = {CKA_UNIQUE_ID, id, 32};
    OK(world.h.f->C_GetAttributeValue(session, key, &unique, 1));
    for (int i = 0; i < 3; i++)
        OK(promise_use(&world.h, session, key, block));
    OK(world.h.f->C_CloseSession(session));
    world_restart();
    const struct RPV_AUDIT_QUERY query = {.uniqueId = id, .operation = "KeyEncrypt",
                                          .slotID = CK_UNAVAILABLE_INFORMATION};
    OK(world.rpv->RPV_QueryAudit(&query, records, &n, &next));
    for (CK_ULONG i = 0; i < n; i++)
        uses += records[i].count;
    CHECK(uses == 3 && n == (on ? 3 : 1));
    free(records);
    return CKR_OK;
}

/* ------------------------------------------------------------------ PINs */

static CK_RV user_login(const char *pin)
{
    return told(world.h.f->C_Login(world.session, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)pin,
                                   strlen(pin)));
}

/* The right PIN, after three wrong ones. */
static CK_RV probe_pin_tries(bool on)
{
    as_nobody();
    for (int i = 0; i < 3; i++)
        CHECK(user_login("no such PIN") != CKR_OK);
    CK_RV rv = user_login(HARNESS_USER_PIN);
    if (!on)
        return rv;
    as_so();
    OK(world.h.f->C_InitPIN(world.session, PIN(HARNESS_USER_PIN)));
    as_user();
    return rv;
}

static double login_cost(void)
{
    clock_t before = clock();
    as_nobody();
    as_user();
    return (double)(clock() - before);
}

/* A login costs 32 times as much, once one has seen that the policy wants it so; a lower cost is
 * that of PINs set from then on. */
static CK_RV probe_scrypt(bool on)
{
    static double cheap, dear;
    if (!on)
        OK(world.h.f->C_SetPIN(world.session, PIN(HARNESS_USER_PIN), PIN(HARNESS_USER_PIN)));
    login_cost();
    *(on ? &dear : &cheap) = login_cost();
    CHECK(dear == 0 || dear > 4 * cheap);
    return CKR_OK;
}

/* ------------------------------------------------------------------ the rows */

#define FIELD(member) offsetof(struct RPV_POLICY, member), sizeof(((struct RPV_POLICY *)0)->member)
#define NUMBER(name_, member, off_, on_, text, below, above, range_, ...)                          \
    {.name = name_, .offset = offsetof(struct RPV_POLICY, member), .size = sizeof(CK_ULONG),       \
     .off = off_, .on = on_, .on_text = text, .wrong = {below, above}, .range = range_, __VA_ARGS__}
#define SWITCH(name_, member, ...)                                                                 \
    {.name = name_, .offset = offsetof(struct RPV_POLICY, member), .size = sizeof(CK_BBOOL),       \
     .off = CK_FALSE, .on = CK_TRUE, .on_text = "yes", __VA_ARGS__}
#define BELOW_0 (~0UL)

const struct policy_row POLICY_ROWS[] = {
    NUMBER("retention_days", ulRetentionDays, 90, 7, "7", 6, 91, "from 7 to 90",
           .probe = probe_retention),
    SWITCH("purge_protection", bPurgeProtection, .probe = probe_protection,
           .refusal = CKR_ACTION_PROHIBITED, .reason = "purge protection"),
    NUMBER("profile", ulProfile, 0, 1, "strict", BELOW_0, 2, "from 0 to 1",
           .probe = probe_conflicts, .refusal = CKR_TEMPLATE_INCONSISTENT,
           .reason = "refuse_conflicts"),
    NUMBER("profile", ulProfile, 0, 1, "strict", BELOW_0, 2, "from 0 to 1",
           .probe = probe_padding, .refusal = CKR_MECHANISM_INVALID,
           .reason = "refuse_legacy_padding"),
    NUMBER("pin_tries", ulPinTries, 10, 3, "3", 2, 101, "from 3 to 100",
           .probe = probe_pin_tries, .refusal = CKR_PIN_LOCKED, .reason = "pin_tries"),
    NUMBER("scrypt_log_n", ulScryptLogN, 10, 15, "15", 9, 23, "from 10 to 22",
           .probe = probe_scrypt),
    NUMBER("min_rsa_bits", ulMinRsaBits, 1024, 2048, "2048", 1023, 16385, "from 1024 to 16384",
           .probe = probe_rsa_bits, .refusal = CKR_ATTRIBUTE_VALUE_INVALID,
           .reason = "min_rsa_bits"),
    NUMBER("recover_to", ulRecoverTo, 0, 1, "disabled", BELOW_0, 2, "from 0 to 1",
           .probe = probe_recover_to),
    SWITCH("reserve_names", bReserveNames, .probe = probe_reserve,
           .refusal = CKR_TEMPLATE_INCONSISTENT, .reason = "reserve_names"),
    SWITCH("require_backup", bRequireBackup, .probe = probe_backup,
           .refusal = CKR_KEY_FUNCTION_NOT_PERMITTED, .reason = "require_backup"),
    SWITCH("disable_before_delete", bDisableBeforeDelete, .probe = probe_disable,
           .refusal = CKR_ACTION_PROHIBITED, .reason = "disable_before_delete"),
    SWITCH("refuse_conflicts", bRefuseConflicts, .probe = probe_conflicts,
           .refusal = CKR_TEMPLATE_INCONSISTENT, .reason = "refuse_conflicts"),
    SWITCH("refuse_legacy_padding", bRefuseLegacyPadding, .probe = probe_padding,
           .refusal = CKR_MECHANISM_INVALID, .reason = "refuse_legacy_padding"),
    SWITCH("clock_strict", bClockStrict, .probe = probe_clock, .conf = "retention_days = 7\n",
           .clock = true),
    SWITCH("tombstone_labels", bTombstoneLabels, .probe = probe_tombstone),
    SWITCH("newest_only", bNewestOnly, .probe = probe_newest,
           .refusal = CKR_KEY_FUNCTION_NOT_PERMITTED, .reason = "newest_only"),
    SWITCH("private_audit", bPrivateAudit, .probe = probe_private_audit,
           .refusal = CKR_ACTION_PROHIBITED, .reason = "verb audit"),
    NUMBER("audit_use", ulAuditUse, 0, 1, "each", BELOW_0, 2, "from 0 to 1",
           .probe = probe_audit_use),
    NUMBER("purge_approvals", ulPurgeApprovals, 0, 2, "2", BELOW_0, 7, "from 0 to 6",
           .probe = probe_approvals, .refusal = CKR_ACTION_PROHIBITED,
           .reason = "approval noted"),
    NUMBER("approval_hours", ulApprovalHours, 24, 1, "1", BELOW_0, 721, "from 0 to 720",
           .probe = probe_hours, .refusal = CKR_ACTION_PROHIBITED, .reason = "approval noted",
           .conf = "purge_approvals = 2\n", .clock = true),
};
const size_t POLICY_ROWS_COUNT = COUNT_OF(POLICY_ROWS);
