/* Every switch of the policy that refuses something: the code, and the reason in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "promise.h"

static struct harness h;
static CK_SESSION_HANDLE rw;
static const struct RPV_FUNCTION_LIST *rpv;

static void start(const char *conf)
{
    harness_fail_hook = _fail;
    harness_init(&h, conf);
    rw = harness_start(&h);
    rpv = promise_vendor(&h);    /* now: to ask for it later would clear the reason */
}

static void stop(void)
{
    harness_unload(&h);
    harness_done(&h);
}

static void reason_has(const char *words)
{
    char reason[300] = "";
    OK(rpv->RPV_GetLastReason(reason, sizeof reason));
    if (strstr(reason, words) == NULL)
        harness_fail(__FILE__, __LINE__, "the reason is: %s", reason);
}

static CK_OBJECT_HANDLE live(const char *label)
{
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CHECK(promise_find(&h, rw, label, false, &key, 1) == 1);
    return key;
}

static CK_RV set_bool(CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type, bool value)
{
    CK_ATTRIBUTE attribute = ATTR_BOOL(type, value);
    return h.f->C_SetAttributeValue(rw, key, &attribute, 1);
}

static void names_are_reserved(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key;
    start("reserve_names = yes\n");
    OK(promise_create(&h, rw, "name", 1));
    OK(h.f->C_DestroyObject(rw, live("name")));
    EXPECT(promise_create(&h, rw, "name", 2), CKR_TEMPLATE_INCONSISTENT);
    reason_has("name reserved");
    CHECK(promise_find(&h, rw, "name", true, &key, 1) == 1);
    OK(promise_recover(&h, rw, key));
    OK(promise_create(&h, rw, "name", 2));
    stop();
}

static void a_backup_comes_first(void **state)
{
    (void)state;
    CK_BYTE block[16];
    start("require_backup = yes\n");
    OK(promise_create(&h, rw, "fresh", 1));
    EXPECT(promise_use(&h, rw, live("fresh"), block), CKR_KEY_FUNCTION_NOT_PERMITTED);
    reason_has("backup");
    stop();
}

static void disabling_comes_first(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key;
    start("disable_before_delete = yes\nrecover_to = disabled\n");
    OK(promise_create(&h, rw, "key", 1));
    EXPECT(h.f->C_DestroyObject(rw, live("key")), CKR_ACTION_PROHIBITED);
    reason_has("disabled first");
    OK(set_bool(live("key"), CKA_RPV_ENABLED, false));
    OK(h.f->C_DestroyObject(rw, live("key")));
    CHECK(promise_find(&h, rw, "key", true, &key, 1) == 1);
    OK(promise_recover(&h, rw, key));
    CK_BYTE block[16];
    EXPECT(promise_use(&h, rw, live("key"), block), CKR_KEY_FUNCTION_NOT_PERMITTED);
    stop();
}

static CK_FLAGS token_flags(void)
{
    CK_TOKEN_INFO info;
    OK(h.f->C_GetTokenInfo(h.slot, &info));
    return info.flags;
}

static void held_vaults_are_not_initialised(void **state)
{
    (void)state;
    CK_UTF8CHAR so[] = HARNESS_SO_PIN, label[33] = "fresh                           ";
    start(NULL);
    EXPECT(rpv->RPV_SetHold(h.slot, 0, CK_TRUE, NULL, 0), CKR_ACTION_PROHIBITED);  /* as user */
    OK(rpv->RPV_SetHold(h.slot, 0, CK_TRUE, so, sizeof so - 1));
    CHECK((token_flags() & CKF_WRITE_PROTECTED) != 0);
    OK(promise_create(&h, rw, "goes on", 1));
    OK(h.f->C_CloseAllSessions(h.slot));
    EXPECT(h.f->C_InitToken(h.slot, so, sizeof so - 1, label), CKR_TOKEN_WRITE_PROTECTED);
    OK(rpv->RPV_SetHold(h.slot, 0, CK_FALSE, so, sizeof so - 1));
    OK(rpv->RPV_SetLock(h.slot, 0, 2, so, sizeof so - 1));
    EXPECT(h.f->C_OpenSession(h.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &rw),
           CKR_TOKEN_WRITE_PROTECTED);
    EXPECT(h.f->C_InitToken(h.slot, so, sizeof so - 1, label), CKR_TOKEN_WRITE_PROTECTED);
    OK(rpv->RPV_SetLock(h.slot, 0, 0, so, sizeof so - 1));
    CHECK((token_flags() & CKF_WRITE_PROTECTED) == 0);
    OK(h.f->C_InitToken(h.slot, so, sizeof so - 1, label));
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_reserved),
        cmocka_unit_test(a_backup_comes_first),
        cmocka_unit_test(disabling_comes_first),
        cmocka_unit_test(held_vaults_are_not_initialised),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
