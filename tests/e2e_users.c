/*
 * e2e_users.c: named users from two processes: what the SO changes in one of them is so at the next
 * call of the other, where the user is logged in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "promise.h"

#define PIN(text) (CK_UTF8CHAR *)(uintptr_t)(text), sizeof(text) - 1
#define TEMPLATE(...) (CK_ATTRIBUTE[]){__VA_ARGS__}, COUNT_OF(((CK_ATTRIBUTE[]){__VA_ARGS__}))

static struct harness h;

static int setup(void **state)
{
    (void)state;
    harness_fail_hook = _fail;
    harness_init(&h, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_done(&h);
    return 0;
}

static void key_make(CK_SESSION_HANDLE session, const char *label)
{
    static const CK_BYTE value[16] = {9};
    CK_OBJECT_HANDLE key;
    OK(h.f->C_CreateObject(session, TEMPLATE(ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                             ATTR_ULONG(CKA_KEY_TYPE, CKK_AES),
                                             ATTR_TRUE(CKA_TOKEN), ATTR_TRUE(CKA_PRIVATE),
                                             ATTR_BYTES(CKA_VALUE, value, 16),
                                             ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                                             ATTR_TRUE(CKA_ENCRYPT), ATTR_TRUE(CKA_DECRYPT)),
                           &key));
}

static CK_OBJECT_HANDLE key_find(CK_SESSION_HANDLE session, const char *label)
{
    return harness_find(&h, session, TEMPLATE(ATTR_BYTES(CKA_LABEL, label, strlen(label))));
}

static CK_ULONG list_count(CK_SESSION_HANDLE session)
{
    CK_OBJECT_HANDLE found[8];
    CK_ULONG n = 0;
    OK(h.f->C_FindObjectsInit(session, TEMPLATE(ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY))));
    OK(h.f->C_FindObjects(session, found, 8, &n));
    OK(h.f->C_FindObjectsFinal(session));
    return n;
}

static CK_RV encrypt_begin(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    CK_MECHANISM ecb = {CKM_AES_ECB, NULL, 0};
    return h.f->C_EncryptInit(session, &ecb, key);
}

static CK_RV encrypt_update(CK_SESSION_HANDLE session)
{
    CK_BYTE in[16] = {1}, out[16];
    CK_ULONG len = sizeof(out);
    return h.f->C_EncryptUpdate(session, in, sizeof(in), out, &len);
}

/* The token and two keys; then the SO is logged in. */
static CK_SESSION_HANDLE parent_begin(void)
{
    CK_SESSION_HANDLE session = harness_start(&h);
    key_make(session, "one");
    key_make(session, "two");
    OK(h.f->C_Logout(session));
    OK(h.f->C_Login(session, CKU_SO, PIN(HARNESS_SO_PIN)));
    return session;
}

static CK_SESSION_HANDLE child_begin(void)
{
    harness_load(&h);
    harness_slot(&h);
    return harness_session_rw(&h);
}

static CK_STATE state_of(CK_SESSION_HANDLE session)
{
    CK_SESSION_INFO info;
    OK(h.f->C_GetSessionInfo(session, &info));
    return info.state;
}

/* ------------------------------------------------------------------ revoke, remove */

static int revoke_child(void *ctx)
{
    struct lockstep *ls = ctx;
    CK_OBJECT_HANDLE key, made;
    CK_BYTE rest[16];
    CK_ULONG len = sizeof(rest);
    CK_MECHANISM generate = {CKM_AES_KEY_GEN, NULL, 0};

    lockstep_child(ls);
    lockstep_wait(ls);                     /* alice may get, list, encrypt */
    CK_SESSION_HANDLE session = child_begin();
    EXPECT(h.f3->C_LoginUser(session, CKU_USER, PIN("wrong"), PIN("alice")), CKR_PIN_INCORRECT);
    EXPECT(h.f3->C_LoginUser(session, CKU_SO, PIN("alice-pin"), PIN("alice")),
           CKR_USER_TYPE_INVALID);
    OK(h.f3->C_LoginUser(session, CKU_USER, PIN("alice-pin"), PIN("alice")));
    CHECK(state_of(session) == CKS_RW_USER_FUNCTIONS);
    CHECK(list_count(session) == 2);
    key = key_find(session, "one");
    OK(encrypt_begin(session, key));
    OK(encrypt_update(session));
    EXPECT(h.f->C_DestroyObject(session, key), CKR_ACTION_PROHIBITED);
    EXPECT(h.f->C_SetAttributeValue(session, key, TEMPLATE(ATTR_STR(CKA_LABEL, "x"))),
           CKR_ACTION_PROHIBITED);
    EXPECT(h.f->C_GenerateKey(session, &generate,
                              TEMPLATE(ATTR_ULONG(CKA_VALUE_LEN, 16), ATTR_TRUE(CKA_TOKEN)),
                              &made), CKR_TOKEN_WRITE_PROTECTED);
    OK(h.f->C_GenerateKey(session, &generate, TEMPLATE(ATTR_ULONG(CKA_VALUE_LEN, 16)), &made));
    lockstep_tell(ls);
    lockstep_wait(ls);                     /* encrypt is taken away */
    EXPECT(encrypt_update(session), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(encrypt_begin(session, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
    OK(encrypt_begin(session, made));      /* the application's own */
    OK(encrypt_update(session));
    OK(h.f->C_EncryptFinal(session, rest, &len));
    lockstep_tell(ls);
    lockstep_wait(ls);                     /* all verbs are */
    CHECK(list_count(session) == 1);       /* the session's own */
    CHECK(key_find(session, "one") == CK_INVALID_HANDLE);
    lockstep_tell(ls);
    lockstep_wait(ls);                     /* alice is removed */
    CHECK(state_of(session) == CKS_RW_PUBLIC_SESSION);
    EXPECT(encrypt_begin(session, key), CKR_KEY_HANDLE_INVALID);
    EXPECT(h.f3->C_LoginUser(session, CKU_USER, PIN("alice-pin"), PIN("alice")),
           CKR_PIN_INCORRECT);
    lockstep_tell(ls);
    harness_unload(&h);
    return 0;
}

static void test_revoke_and_remove(void **state)
{
    struct lockstep ls;
    (void)state;
    lockstep_init(&ls);
    pid_t child = fork_start(revoke_child, &ls);
    CK_SESSION_HANDLE session = parent_begin();
    const struct RPV_FUNCTION_LIST *rpv = promise_vendor(&h);

    CHECK(rpv->version.major == 1 && rpv->version.minor >= 1);
    OK(rpv->RPV_AddUser(session, "alice", PIN("alice-pin"),
                        RPV_VERB_GET | RPV_VERB_LIST | RPV_VERB_ENCRYPT));
    EXPECT(rpv->RPV_AddUser(session, "alice", PIN("alice-pin"), 0), CKR_ARGUMENTS_BAD);
    EXPECT(rpv->RPV_AddUser(session, "so", PIN("alice-pin"), 0), CKR_ARGUMENTS_BAD);
    EXPECT(rpv->RPV_AddUser(session, "bob", PIN("b"), 0), CKR_PIN_LEN_RANGE);
    lockstep_tell(&ls);
    lockstep_wait(&ls);
    OK(rpv->RPV_SetUserVerbs(session, "alice", RPV_VERB_GET | RPV_VERB_LIST));
    lockstep_tell(&ls);
    lockstep_wait(&ls);
    OK(rpv->RPV_SetUserVerbs(session, "alice", 0));
    lockstep_tell(&ls);
    lockstep_wait(&ls);
    OK(rpv->RPV_RemoveUser(session, "alice"));
    EXPECT(rpv->RPV_RemoveUser(session, "alice"), CKR_ARGUMENTS_BAD);
    lockstep_tell(&ls);
    lockstep_wait(&ls);
    CHECK(fork_wait(child) == 0);
    lockstep_done(&ls);
    promise_audit(&h);
    harness_unload(&h);
}

/* ------------------------------------------------------------------ grants */

static int grant_child(void *ctx)
{
    struct lockstep *ls = ctx;

    lockstep_child(ls);
    lockstep_wait(ls);                     /* encrypt on "two", nothing else */
    CK_SESSION_HANDLE session = child_begin();
    OK(h.f->C_Login(session, CKU_USER, PIN("bob:bob-pin")));
    CHECK(list_count(session) == 0);
    CHECK(key_find(session, "one") == CK_INVALID_HANDLE);
    CK_OBJECT_HANDLE two = key_find(session, "two");
    OK(encrypt_begin(session, two));
    OK(encrypt_update(session));
    lockstep_tell(ls);
    lockstep_wait(ls);                     /* the grant is taken back */
    EXPECT(encrypt_update(session), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(encrypt_begin(session, two), CKR_KEY_HANDLE_INVALID);
    CHECK(key_find(session, "two") == CK_INVALID_HANDLE);
    lockstep_tell(ls);
    lockstep_wait(ls);                     /* decrypt on "two" */
    two = key_find(session, "two");
    EXPECT(encrypt_begin(session, two), CKR_KEY_FUNCTION_NOT_PERMITTED);
    OK(h.f->C_SetPIN(session, PIN("bob:bob-pin"), PIN("bob:next-pin")));
    OK(h.f->C_Logout(session));
    EXPECT(h.f->C_Login(session, CKU_USER, PIN("bob:bob-pin")), CKR_PIN_INCORRECT);
    OK(h.f->C_SetPIN(session, PIN("bob:next-pin"), PIN("last-pin")));
    OK(h.f->C_Login(session, CKU_USER, PIN("bob:last-pin")));
    lockstep_tell(ls);
    harness_unload(&h);
    return 0;
}

static void test_grants(void **state)
{
    struct lockstep ls;
    struct RPV_GRANT grants[2];
    struct RPV_USER_INFO users[2];
    CK_ULONG n = 0;
    (void)state;
    lockstep_init(&ls);
    pid_t child = fork_start(grant_child, &ls);
    CK_SESSION_HANDLE session = parent_begin();
    const struct RPV_FUNCTION_LIST *rpv = promise_vendor(&h);
    CK_OBJECT_HANDLE two = harness_find(&h, session, TEMPLATE(ATTR_STR(CKA_LABEL, "two"),
                                                              ATTR_FALSE(CKA_RPV_DELETED)));

    OK(rpv->RPV_AddUser(session, "bob", PIN("bob-pin"), 0));
    EXPECT(rpv->RPV_GrantUser(session, "nobody", two, RPV_VERB_ENCRYPT), CKR_ARGUMENTS_BAD);
    EXPECT(rpv->RPV_GrantUser(session, "bob", 0, RPV_VERB_ENCRYPT), CKR_OBJECT_HANDLE_INVALID);
    EXPECT(rpv->RPV_GrantUser(session, "bob", two, ~0UL), CKR_ARGUMENTS_BAD);
    OK(rpv->RPV_GrantUser(session, "bob", two, RPV_VERB_ENCRYPT));
    OK(rpv->RPV_ListGrants(h.slot, "bob", NULL, &n));
    CHECK(n == 1);
    OK(rpv->RPV_ListGrants(h.slot, "bob", grants, &n));
    CHECK(grants[0].ulVerbs == RPV_VERB_ENCRYPT && strlen(grants[0].uniqueId) == 32);
    n = 2;
    OK(rpv->RPV_ListUsers(h.slot, users, &n));
    CHECK(n == 1 && strcmp(users[0].name, "bob") == 0 && users[0].ulGrants == 1);
    lockstep_tell(&ls);
    lockstep_wait(&ls);
    OK(rpv->RPV_GrantUser(session, "bob", two, 0));
    lockstep_tell(&ls);
    lockstep_wait(&ls);
    OK(rpv->RPV_GrantUser(session, "bob", two, RPV_VERB_DECRYPT));
    lockstep_tell(&ls);
    lockstep_wait(&ls);
    CHECK(fork_wait(child) == 0);
    lockstep_done(&ls);
    promise_audit(&h);
    harness_unload(&h);
}

/* ------------------------------------------------------------------ who may change users */

static void test_who_may(void **state)
{
    (void)state;
    CK_SESSION_HANDLE session = parent_begin();
    const struct RPV_FUNCTION_LIST *rpv = promise_vendor(&h);
    struct RPV_POLICY policy;

    OK(rpv->RPV_AddUser(session, "admin", PIN("admin-pin"), RPV_VERB_POLICY | RPV_VERB_SIGN));
    OK(rpv->RPV_AddUser(session, "clerk", PIN("clerk-pin"), RPV_VERB_SIGN | RPV_VERB_VERIFY));
    OK(h.f->C_Logout(session));
    EXPECT(rpv->RPV_AddUser(session, "x", PIN("x-pin"), 0), CKR_USER_NOT_LOGGED_IN);
    OK(h.f->C_Login(session, CKU_USER, PIN(HARNESS_USER_PIN)));
    EXPECT(rpv->RPV_AddUser(session, "x", PIN("x-pin"), 0), CKR_ACTION_PROHIBITED);
    OK(h.f->C_Logout(session));
    OK(h.f3->C_LoginUser(session, CKU_USER, PIN("clerk-pin"), PIN("clerk")));
    EXPECT(rpv->RPV_AddUser(session, "x", PIN("x-pin"), 0), CKR_ACTION_PROHIBITED);
    OK(h.f->C_Logout(session));
    OK(h.f3->C_LoginUser(session, CKU_USER, PIN("admin-pin"), PIN("admin")));
    OK(rpv->RPV_AddUser(session, "x", PIN("x-pin"), RPV_VERB_SIGN));
    EXPECT(rpv->RPV_SetUserVerbs(session, "x", RPV_VERB_DELETE), CKR_ACTION_PROHIBITED);
    EXPECT(rpv->RPV_SetUserPin(session, "clerk", PIN("other-pin")), CKR_ACTION_PROHIBITED);
    EXPECT(rpv->RPV_RemoveUser(session, "clerk"), CKR_ACTION_PROHIBITED);
    OK(rpv->RPV_GetPolicy(h.slot, &policy));
    policy.ulRetentionDays = 30;
    OK(rpv->RPV_SetPolicy(session, &policy));
    OK(rpv->RPV_SetUserPin(session, "x", PIN("x-next")));
    OK(h.f->C_Logout(session));
    OK(h.f->C_Login(session, CKU_USER, PIN("x:x-next")));
    EXPECT(h.f->C_Login(session, CKU_USER, PIN("x:x-next")), CKR_USER_ALREADY_LOGGED_IN);
    EXPECT(h.f->C_Login(session, CKU_SO, PIN(HARNESS_SO_PIN)), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    harness_unload(&h);
}

/* Counts of which no array can be: nothing is written, whatever the multiplication comes to. */
static void test_counts(void **state)
{
    (void)state;
    static union {
        struct RPV_USER_INFO user;
        struct RPV_GRANT grant;
        struct RPV_TOMBSTONE tombstone;
        struct RPV_APPROVAL approval;
        struct RPV_VAULT_INFO vault;
        struct RPV_GENERATION_INFO generation;
        struct RPV_UNIQUE_ID id;
        struct RPV_DUE due;
        CK_OBJECT_HANDLE handle;
    } one;
    CK_SESSION_HANDLE session = parent_begin();
    const struct RPV_FUNCTION_LIST *rpv = promise_vendor(&h);
    struct RPV_BACKUP ask = {.pPath = "/nowhere"};
    unsigned long long objects;

    OK(rpv->RPV_AddUser(session, "x", PIN("x-pin"), RPV_VERB_SIGN));
    for (CK_ULONG less = 0; less < 2; less++) {
        CK_ULONG n = ~less;

        EXPECT(rpv->RPV_ListUsers(h.slot, &one.user, &n), CKR_ARGUMENTS_BAD);
        EXPECT(rpv->RPV_ListGrants(h.slot, "x", &one.grant, &n), CKR_ARGUMENTS_BAD);
        EXPECT(rpv->RPV_ListTombstones(h.slot, &one.tombstone, &n), CKR_ARGUMENTS_BAD);
        EXPECT(rpv->RPV_ListApprovals(h.slot, &one.approval, &n), CKR_ARGUMENTS_BAD);
        EXPECT(rpv->RPV_ListVaults(&one.vault, &n), CKR_ARGUMENTS_BAD);
        EXPECT(rpv->RPV_ListGenerations(h.slot, &one.generation, &n), CKR_ARGUMENTS_BAD);
        EXPECT(rpv->RPV_ListRotations(h.slot, &one.id, &n), CKR_ARGUMENTS_BAD);
        EXPECT(rpv->RPV_ListDue(INT64_MAX, &one.due, &n), CKR_ARGUMENTS_BAD);
        EXPECT(rpv->RPV_Backup(session, &one.handle, n, &ask, &objects), CKR_ARGUMENTS_BAD);
        assert_true(n == ~less);
    }
    CK_ULONG n = 0;
    OK(rpv->RPV_ListUsers(h.slot, NULL, &n));
    assert_int_equal(n, 1);
    harness_unload(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_revoke_and_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grants, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_may, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
    };

    return cmocka_run_group_tests_name("users", tests, NULL, NULL);
}
