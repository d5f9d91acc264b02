/* e2e_audit.c: uses of keys reach the audit log, as another process reads it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "uses.h"

#define RECORDS 64

/* Writes, uses, dies; or goes in order. */
static int user_run(void *ctx)
{
    struct harness *h = ctx;
    CK_OBJECT_HANDLE key;
    harness_load(h);
    harness_slot(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    CHECK(promise_find(h, session, "used", false, &key, 1) == 1);
    use_times(h, session, key, 25);
    harness_unload(h);
    return 0;
}

static void test_counted(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, NULL);
    CK_SESSION_HANDLE session = harness_start(&h);
    CK_OBJECT_HANDLE key = used_key_make(&h, session);
    CK_ULONG uses = 99;
    char last[16];
    CK_ATTRIBUTE read[] = {ATTR_VAR(CKA_RPV_USE_COUNT, uses), ATTR_VAR(CKA_RPV_LAST_USED, last)};
    OK(h.f->C_GetAttributeValue(session, key, read, 2));
    assert_int_equal(uses, 0);
    assert_int_equal(read[1].ulValueLen, 0);
    assert_int_equal(fork_run(user_run, &h), 0);
    read[1].ulValueLen = sizeof(last);
    OK(h.f->C_GetAttributeValue(session, key, read, 2));
    assert_int_equal(uses, 25);
    assert_int_equal(read[1].ulValueLen, 16);
    use_times(&h, session, key, 5);
    OK(h.f->C_CloseSession(session));
    uses_expect(&h, "KeyEncrypt", "ok", NULL, 30);
    harness_unload(&h);
    uses_expect(&h, "KeyEncrypt", "ok", NULL, 30);
    harness_done(&h);
}

/* A copy in the session is the key itself, to the record. */
static void test_copies(void **state)
{
    struct harness h;
    CK_OBJECT_HANDLE key, copy;
    CK_BYTE block[16];
    CK_ULONG uses = 0;
    CK_ATTRIBUTE in_session = ATTR_FALSE(CKA_TOKEN);
    CK_ATTRIBUTE read[] = {ATTR_VAR(CKA_RPV_USE_COUNT, uses)};
    (void)state;
    harness_init(&h, NULL);
    CK_SESSION_HANDLE session = harness_start(&h);
    key = used_key_make(&h, session);
    OK(h.f->C_CopyObject(session, key, &in_session, 1, &copy));
    use_times(&h, session, copy, 4);
    use_times(&h, session, key, 2);
    OK(h.f->C_DestroyObject(session, key));
    EXPECT(promise_use(&h, session, copy, block), CKR_KEY_HANDLE_INVALID);
    uses_expect(&h, "KeyEncrypt", "failed", "refused: the key is deleted", 1);
    CHECK(promise_find(&h, session, "used", true, &key, 1) == 1);
    OK(promise_recover(&h, session, key));
    CHECK(promise_find(&h, session, "used", false, &key, 1) == 1);
    OK(h.f->C_CloseAllSessions(h.slot));
    session = harness_session_rw(&h);
    harness_login(&h, session, CKU_USER);
    CHECK(promise_find(&h, session, "used", false, &key, 1) == 1);
    OK(h.f->C_GetAttributeValue(session, key, read, 1));
    assert_int_equal(uses, 6);
    harness_unload(&h);
    harness_done(&h);
}

/* A use of a key that another process has deleted, and one that it has disabled. */
static int deleter_run(void *ctx)
{
    struct harness *h = ctx;
    CK_OBJECT_HANDLE key;
    harness_load(h);
    harness_slot(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    CHECK(promise_find(h, session, "used", false, &key, 1) == 1);
    OK(h->f->C_DestroyObject(session, key));
    harness_unload(h);
    return 0;
}

static void test_refused(void **state)
{
    struct harness h;
    CK_BYTE block[16];
    (void)state;
    harness_init(&h, NULL);
    CK_SESSION_HANDLE session = harness_start(&h);
    CK_OBJECT_HANDLE key = used_key_make(&h, session);
    use_times(&h, session, key, 1);
    assert_int_equal(fork_run(deleter_run, &h), 0);
    EXPECT(promise_use(&h, session, key, block), CKR_KEY_HANDLE_INVALID);
    /* at once, while this process goes on */
    uses_expect(&h, "KeyEncrypt", "failed", "refused: the key is deleted", 1);
    uses_expect(&h, "KeyEncrypt", "CKR_KEY_HANDLE_INVALID", NULL, 1);
    harness_unload(&h);
    harness_done(&h);
}

static void test_each(void **state)
{
    struct harness h;
    struct RPV_AUDIT_RECORD records[RECORDS];
    struct RPV_AUDIT_QUERY query = {.operation = "KeyEncrypt",
                                    .slotID = CK_UNAVAILABLE_INFORMATION};
    unsigned long long next;
    CK_ULONG n = RECORDS;
    (void)state;
    harness_init(&h, "audit_use = each\n");
    CK_SESSION_HANDLE session = harness_start(&h);
    use_times(&h, session, used_key_make(&h, session), 12);
    OK(h.f->C_CloseAllSessions(h.slot));
    OK(promise_vendor(&h)->RPV_QueryAudit(&query, records, &n, &next));
    assert_int_equal(n, 12);
    for (CK_ULONG i = 0; i < n; i++)
        assert_int_equal(records[i].count, 1);
    assert_string_equal(records[0].principal, "user");
    harness_unload(&h);
    harness_done(&h);
}

/* Killed at some point of it: what is on record verifies, and at most the last second is missing. */
static int killed_run(void *ctx)
{
    struct harness *h = ctx;
    CK_OBJECT_HANDLE key;
    harness_load(h);
    harness_slot(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    CHECK(promise_find(h, session, "used", false, &key, 1) == 1);
    for (int i = 0; i < 10000000; i++)
        use_times(h, session, key, 100);
    return 1;
}

static void test_killed(void **state)
{
    struct harness h;
    CK_ULONG uses = 0;
    CK_ATTRIBUTE read[] = {ATTR_VAR(CKA_RPV_USE_COUNT, uses)};
    (void)state;
    harness_init(&h, NULL);
    CK_SESSION_HANDLE session = harness_start(&h);
    CK_OBJECT_HANDLE key = used_key_make(&h, session);
    pid_t pid = fork_start(killed_run, &h);
    usleep(2500000);
    kill(pid, SIGKILL);
    assert_int_equal(fork_wait(pid), 128 + SIGKILL);
    OK(h.f->C_GetAttributeValue(session, key, read, 1));
    assert_true(uses > 100);
    promise_audit(&h);
    harness_unload(&h);
    harness_done(&h);
}

/* ------------------------------------------------------------------ who may read it */

#define ANY CK_UNAVAILABLE_INFORMATION

/* Asked for beforehand, which is a call, too, and clears the reason. */
static const struct RPV_FUNCTION_LIST *rpv;

/* What a query for the slot's events comes to; on success how many there are. */
static CK_RV events_of(CK_SLOT_ID slot, CK_ULONG *ret_n)
{
    struct RPV_AUDIT_RECORD records[RECORDS];
    struct RPV_AUDIT_QUERY query = {.slotID = slot};
    struct RPV_EVENT events[RECORDS];
    unsigned long long next;
    CK_ULONG n = RECORDS, in_order = RECORDS;
    CK_RV rv = rpv->RPV_QueryAudit(&query, records, &n, &next);
    if (slot == ANY) {
        EXPECT(rpv->RPV_ReadAudit(1, events, &in_order), rv);
        CHECK(rv != CKR_OK || in_order == n);
    }
    *ret_n = rv == CKR_OK ? n : 0;
    return rv;
}

static void reason_has(const char *words)
{
    char reason[300] = "";
    OK(rpv->RPV_GetLastReason(reason, sizeof reason));
    if (strstr(reason, words) == NULL)
        harness_fail(__FILE__, __LINE__, "the reason is: %s", reason);
}

static void reason_has_not(const char *words)
{
    char reason[300] = "";
    OK(rpv->RPV_GetLastReason(reason, sizeof reason));
    if (strstr(reason, words) != NULL)
        harness_fail(__FILE__, __LINE__, "the reason is: %s", reason);
}

static void named_login(struct harness *h, CK_SESSION_HANDLE session, const char *name)
{
    OK(h->f3->C_LoginUser(session, CKU_USER, (CK_UTF8CHAR_PTR)"pin of it", 9,
                          (CK_UTF8CHAR_PTR)(uintptr_t)name, strlen(name)));
}

static void private_audit_set(struct harness *h, CK_SESSION_HANDLE session, CK_BBOOL on)
{
    struct RPV_POLICY policy;
    OK(rpv->RPV_GetPolicy(h->slot, &policy));
    policy.bPrivateAudit = on;
    OK(rpv->RPV_SetPolicy(session, &policy));
}

/* A named principal needs the verb; under private_audit everybody does. */
static void test_readers(void **state)
{
    struct harness h;
    CK_ULONG n, all;
    (void)state;
    harness_init(&h, NULL);
    CK_SESSION_HANDLE session = harness_start(&h);
    rpv = promise_vendor(&h);
    OK(events_of(ANY, &all));
    assert_true(all > 2);
    OK(h.f->C_Logout(session));
    harness_login(&h, session, CKU_SO);
    for (int i = 0; i < 2; i++)
        OK(rpv->RPV_AddUser(session, i ? "user1" : "auditor",
                                           (CK_UTF8CHAR_PTR)"pin of it", 9,
                                           i ? RPV_ROLE_CRYPTO_USER : RPV_ROLE_AUDITOR));
    OK(h.f->C_Logout(session));
    named_login(&h, session, "user1");
    EXPECT(events_of(ANY, &n), CKR_ACTION_PROHIBITED);
    reason_has("lacks the verb audit");
    OK(h.f->C_Logout(session));
    harness_login(&h, session, CKU_SO);
    private_audit_set(&h, session, CK_TRUE);
    OK(events_of(h.slot, &n));
    OK(h.f->C_Logout(session));
    EXPECT(events_of(ANY, &n), CKR_USER_NOT_LOGGED_IN);
    reason_has("private_audit");
    EXPECT(events_of(h.slot, &n), CKR_USER_NOT_LOGGED_IN);
    named_login(&h, session, "user1");
    EXPECT(events_of(h.slot, &n), CKR_ACTION_PROHIBITED);
    OK(h.f->C_Logout(session));
    harness_login(&h, session, CKU_USER);
    EXPECT(events_of(h.slot, &n), CKR_ACTION_PROHIBITED);
    OK(h.f->C_Logout(session));
    named_login(&h, session, "auditor");
    OK(events_of(h.slot, &n));
    assert_true(n > all);
    OK(h.f->C_Logout(session));
    harness_login(&h, session, CKU_SO);
    private_audit_set(&h, session, CK_FALSE);
    OK(h.f->C_Logout(session));
    OK(events_of(ANY, &n));
    promise_audit(&h);
    harness_unload(&h);
    harness_done(&h);
}

/* One vault's readers do not see another's events, and are told so. */
/* Its events are for those only who log in. */
static void other_vault_hide(struct harness *h, CK_SLOT_ID other)
{
    CK_SLOT_ID first = h->slot;
    CK_SESSION_HANDLE session;
    OK(h->f->C_OpenSession(other, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    OK(h->f->C_Login(session, CKU_SO, (CK_UTF8CHAR_PTR)"87654321", 8));
    h->slot = other;
    private_audit_set(h, session, CK_TRUE);
    h->slot = first;
    OK(h->f->C_CloseSession(session));
}

static void test_readers_of_one_vault(void **state)
{
    struct harness h;
    CK_SLOT_ID other;
    CK_ULONG both, n;
    (void)state;
    harness_init(&h, NULL);
    CK_SESSION_HANDLE session = harness_start(&h);
    rpv = promise_vendor(&h);
    OK(h.f->C_Logout(session));
    OK(rpv->RPV_CreateVault((CK_UTF8CHAR_PTR)"87654321", 8,
                                           (CK_UTF8CHAR_PTR)"other                           ",
                                           NULL, &other));
    OK(events_of(ANY, &both));
    harness_login(&h, session, CKU_SO);
    private_audit_set(&h, session, CK_TRUE);
    OK(h.f->C_Logout(session));
    harness_login(&h, session, CKU_USER);
    OK(events_of(ANY, &n));
    reason_has("left out");
    assert_true(n > 0 && n < both);
    OK(events_of(other, &n));
    assert_true(n > 0);
    reason_has_not("left out");              /* what was asked for is all there */
    EXPECT(events_of(h.slot, &n), CKR_ACTION_PROHIBITED);
    reason_has("lacks the verb audit");
    other_vault_hide(&h, other);
    EXPECT(events_of(h.slot, &n), CKR_ACTION_PROHIBITED);
    reason_has("lacks the verb audit");
    EXPECT(events_of(other, &n), CKR_USER_NOT_LOGGED_IN);
    reason_has("private_audit");
    CK_RV any = events_of(ANY, &n);
    assert_true(any == CKR_ACTION_PROHIBITED || any == CKR_USER_NOT_LOGGED_IN);
    harness_unload(&h);
    harness_done(&h);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_readers_of_one_vault),
    };
    harness_fail_hook = _fail;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
