/* The lifecycle table of the design, call by call, through the loaded module. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "promise.h"

#define TEMPLATE(...) (CK_ATTRIBUTE[]){__VA_ARGS__}, COUNT_OF(((CK_ATTRIBUTE[]){__VA_ARGS__}))

static struct harness h;
static CK_SESSION_HANDLE rw;

static int start(const char *conf)
{
    harness_fail_hook = _fail;
    harness_init(&h, conf);
    rw = harness_start(&h);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return start(NULL);
}

/* A second process, forked before the module is loaded; it waits to be told. */
static struct lockstep step;
static pid_t other_process;
static int delete_elsewhere(void *ctx);
static int recover_elsewhere(void *ctx);

static int start_two(const char *extra_conf, fork_fn other)
{
    harness_fail_hook = _fail;
    harness_init(&h, extra_conf);
    lockstep_init(&step);
    other_process = fork_start(other, NULL);
    rw = harness_start(&h);
    return 0;
}

static int setup_delete(void **state)
{
    (void)state;
    return start_two(NULL, delete_elsewhere);
}

static int setup_recover(void **state)
{
    (void)state;
    return start_two("purge_protection = no\n", recover_elsewhere);
}

static int setup_unprotected(void **state)
{
    (void)state;
    return start("purge_protection = no");
}

static int teardown(void **state)
{
    (void)state;
    harness_done(&h);
    return 0;
}

static CK_OBJECT_HANDLE key_new(const char *label)
{
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    static const CK_BYTE value[16] = {9};
    OK(h.f->C_CreateObject(rw, TEMPLATE(ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                        ATTR_ULONG(CKA_KEY_TYPE, CKK_AES), ATTR_TRUE(CKA_TOKEN),
                                        ATTR_BYTES(CKA_VALUE, value, 16),
                                        ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                                        ATTR_FALSE(CKA_SENSITIVE), ATTR_TRUE(CKA_EXTRACTABLE),
                                        ATTR_TRUE(CKA_WRAP), ATTR_TRUE(CKA_UNWRAP),
                                        ATTR_TRUE(CKA_ENCRYPT), ATTR_TRUE(CKA_DECRYPT)), &key));
    return key;
}

static CK_OBJECT_HANDLE find(CK_SESSION_HANDLE session, const char *label, int deleted)
{
    CK_ATTRIBUTE wanted[2] = {ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                              ATTR_BOOL(CKA_RPV_DELETED, deleted == 1)};
    return harness_find(&h, session, wanted, deleted < 0 ? 1 : 2);
}

/* A live key of this label, deleted: its new handle in the governance view. */
static CK_OBJECT_HANDLE deleted_new(const char *label)
{
    OK(h.f->C_DestroyObject(rw, key_new(label)));
    return find(rw, label, 1);
}

static CK_RV get(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG *len)
{
    CK_ATTRIBUTE attribute = {type, value, *len};
    CK_RV rv = h.f->C_GetAttributeValue(rw, object, &attribute, 1);
    *len = attribute.ulValueLen;
    return rv;
}

static CK_ULONG get_ulong(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    CK_ULONG value = 77, len = sizeof value;
    OK(get(object, type, &value, &len));
    return value;
}

static CK_RV set(CK_OBJECT_HANDLE object, CK_ATTRIBUTE attribute)
{
    return h.f->C_SetAttributeValue(rw, object, &attribute, 1);
}
#define SET(object, ...) set(object, (CK_ATTRIBUTE)__VA_ARGS__)

static CK_MECHANISM ecb = {CKM_AES_ECB, NULL, 0}, kw = {CKM_AES_KEY_WRAP, NULL, 0};

/* ------------------------------------------------------------------ deleted */

static void deleted_is_hidden(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = key_new("hidden");
    CK_ULONG len = 0;
    assert_int_equal(find(rw, "hidden", 0), key);
    assert_int_equal(get_ulong(key, CKA_RPV_STATE), RPV_STATE_ACTIVE);
    assert_int_equal(get_ulong(key, CKA_RPV_RECOVERABLE_DAYS), 90);
    OK(h.f->C_DestroyObject(rw, key));
    assert_int_equal(find(rw, "hidden", -1), CK_INVALID_HANDLE);
    assert_int_equal(find(rw, "hidden", 0), CK_INVALID_HANDLE);
    EXPECT(get(key, CKA_LABEL, NULL, &len), CKR_OBJECT_HANDLE_INVALID);
    EXPECT(h.f->C_DestroyObject(rw, key), CKR_OBJECT_HANDLE_INVALID);
    CK_OBJECT_HANDLE again = find(rw, "hidden", 1);
    assert_true(again != CK_INVALID_HANDLE && again != key);
    CK_ATTRIBUTE by_state[] = {ATTR_ULONG(CKA_RPV_STATE, RPV_STATE_DELETED),
                               ATTR_STR(CKA_LABEL, "hidden")};
    assert_int_equal(harness_find(&h, rw, by_state, 2), again);
}

static void deleted_shows_its_metadata(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = deleted_new("metadata");
    char text[64];
    CK_ULONG len = sizeof text;
    OK(get(key, CKA_LABEL, text, &len));
    assert_memory_equal(text, "metadata", len);
    assert_int_equal(get_ulong(key, CKA_RPV_STATE), RPV_STATE_DELETED);
    assert_int_equal(get_ulong(key, CKA_RPV_RECOVERY_LEVEL), RPV_LEVEL_RECOVERABLE);
    assert_int_equal(get_ulong(key, CKA_RPV_RECOVERABLE_DAYS), 90);
    len = sizeof text;
    OK(get(key, CKA_RPV_DELETED_AT, text, &len));
    assert_int_equal(len, 16);
    assert_memory_equal(text, "20", 2);
    len = sizeof text;
    OK(get(key, CKA_RPV_PURGE_AT, text, &len));
    assert_int_equal(len, 16);
    len = sizeof text;
    OK(get(key, CKA_RPV_DELETED_BY, text, &len));
    assert_true(len > 0);
    len = sizeof text;
    EXPECT(get(key, CKA_VALUE, text, &len), CKR_ATTRIBUTE_SENSITIVE);
    assert_int_equal(len, CK_UNAVAILABLE_INFORMATION);
}

static void deleted_is_of_no_use(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = deleted_new("useless"), live = key_new("useful"), out = 0;
    CK_BYTE blob[64];
    CK_ULONG len = sizeof blob;
    EXPECT(h.f->C_EncryptInit(rw, &ecb, key), CKR_KEY_HANDLE_INVALID);
    EXPECT(h.f->C_DecryptInit(rw, &ecb, key), CKR_KEY_HANDLE_INVALID);
    EXPECT(h.f->C_WrapKey(rw, &kw, key, live, blob, &len), CKR_WRAPPING_KEY_HANDLE_INVALID);
    EXPECT(h.f->C_WrapKey(rw, &kw, live, key, blob, &len), CKR_KEY_HANDLE_INVALID);
    OK(h.f->C_WrapKey(rw, &kw, live, live, blob, &len));
    EXPECT(h.f->C_UnwrapKey(rw, &kw, key, blob, len,
                            TEMPLATE(ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                     ATTR_ULONG(CKA_KEY_TYPE, CKK_AES)), &out),
           CKR_UNWRAPPING_KEY_HANDLE_INVALID);
    EXPECT(h.f->C_CopyObject(rw, key, NULL, 0, &out), CKR_ACTION_PROHIBITED);
    EXPECT(SET(key, ATTR_STR(CKA_LABEL, "x")), CKR_ACTION_PROHIBITED);
    EXPECT(SET(key, ATTR_TRUE(CKA_RPV_DELETED)), CKR_ATTRIBUTE_VALUE_INVALID);
    EXPECT(SET(key, ATTR_TRUE(CKA_RPV_HOLD)), CKR_ACTION_PROHIBITED);
    EXPECT(h.f->C_SetAttributeValue(rw, key, TEMPLATE(ATTR_FALSE(CKA_RPV_DELETED),
                                                      ATTR_STR(CKA_LABEL, "x"))),
           CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(out, 0);
    OK(h.f->C_DestroyObject(rw, live));
}

static void deleted_comes_back(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE live = key_new("back"), key;
    char before[32], after[32];
    CK_BYTE value[16];
    CK_ULONG len = sizeof before;
    OK(get(live, CKA_UNIQUE_ID, before, &len));
    OK(h.f->C_DestroyObject(rw, live));
    key = find(rw, "back", 1);
    OK(SET(key, ATTR_FALSE(CKA_RPV_DELETED)));
    assert_int_equal(find(rw, "back", 1), CK_INVALID_HANDLE);
    key = find(rw, "back", -1);
    OK(get(key, CKA_UNIQUE_ID, after, &len));
    assert_memory_equal(before, after, 32);
    len = sizeof value;
    OK(get(key, CKA_VALUE, value, &len));
    assert_int_equal(value[0], 9);
    assert_int_equal(get_ulong(key, CKA_RPV_STATE), RPV_STATE_ACTIVE);
    OK(h.f->C_EncryptInit(rw, &ecb, key));
    len = sizeof value;
    OK(h.f->C_Encrypt(rw, value, 16, value, &len));
    OK(SET(key, ATTR_FALSE(CKA_RPV_DELETED)));     /* it is not: nothing to do */
    EXPECT(SET(live, ATTR_FALSE(CKA_RPV_DELETED)), CKR_OBJECT_HANDLE_INVALID);
    OK(h.f->C_DestroyObject(rw, key));
}

static void protected_purge_is_refused(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = deleted_new("protected");
    EXPECT(h.f->C_DestroyObject(rw, key), CKR_ACTION_PROHIBITED);
    assert_int_equal(find(rw, "protected", 1), key);
    harness_logout(&h, rw);
    harness_login(&h, rw, CKU_SO);
    key = find(rw, "protected", 1);
    assert_true(key != CK_INVALID_HANDLE);
    EXPECT(h.f->C_DestroyObject(rw, key), CKR_ACTION_PROHIBITED);
    harness_logout(&h, rw);
    harness_login(&h, rw, CKU_USER);
    OK(SET(find(rw, "protected", 1), ATTR_FALSE(CKA_RPV_DELETED)));
}

static void purge_moves_only_later(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = deleted_new("later"), live = key_new("not yet");
    char date[17];
    CK_ULONG len = 16;
    OK(SET(key, ATTR_STR(CKA_RPV_PURGE_AT, "2095010112300000")));
    OK(get(key, CKA_RPV_PURGE_AT, date, &len));
    assert_memory_equal(date, "2095010112300000", 16);
    EXPECT(SET(key, ATTR_STR(CKA_RPV_PURGE_AT, "2094010112300000")), CKR_ATTRIBUTE_VALUE_INVALID);
    EXPECT(SET(key, ATTR_STR(CKA_RPV_PURGE_AT, "2096023112300000")), CKR_ATTRIBUTE_VALUE_INVALID);
    EXPECT(SET(key, ATTR_STR(CKA_RPV_PURGE_AT, "tomorrow")), CKR_ATTRIBUTE_VALUE_INVALID);
    EXPECT(SET(live, ATTR_STR(CKA_RPV_PURGE_AT, "2095010112300000")), CKR_ACTION_PROHIBITED);
    OK(get(key, CKA_RPV_PURGE_AT, date, &len));
    assert_memory_equal(date, "2095010112300000", 16);
    OK(h.f->C_DestroyObject(rw, live));
}

static void read_only_sessions_govern_nothing(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = deleted_new("read only");
    CK_SESSION_HANDLE ro = harness_session(&h, CKF_SERIAL_SESSION);
    CK_ATTRIBUTE recover = ATTR_FALSE(CKA_RPV_DELETED);
    assert_int_equal(find(ro, "read only", 1), key);
    EXPECT(h.f->C_SetAttributeValue(ro, key, &recover, 1), CKR_SESSION_READ_ONLY);
    EXPECT(h.f->C_DestroyObject(ro, key), CKR_SESSION_READ_ONLY);
    OK(h.f->C_CloseSession(ro));
}

/* ------------------------------------------------------------------ who sees what */

static void nobody_sees_private_deleted_objects(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = deleted_new("unseen");
    CK_ULONG len = 0;
    harness_logout(&h, rw);
    assert_int_equal(find(rw, "unseen", 1), CK_INVALID_HANDLE);
    EXPECT(get(key, CKA_LABEL, NULL, &len), CKR_OBJECT_HANDLE_INVALID);
    harness_login(&h, rw, CKU_USER);
    assert_true(find(rw, "unseen", 1) != CK_INVALID_HANDLE);
}

static void the_so_governs_but_does_not_use(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key;
    key_new("governed");
    OK(h.f->C_DestroyObject(rw, key_new("lost")));
    harness_logout(&h, rw);
    harness_login(&h, rw, CKU_SO);
    CK_BYTE value[16];
    CK_ULONG len = sizeof value;
    assert_int_equal(find(rw, "governed", -1), CK_INVALID_HANDLE);
    key = find(rw, "governed", 0);
    assert_true(key != CK_INVALID_HANDLE);
    EXPECT(get(key, CKA_VALUE, value, &len), CKR_ATTRIBUTE_SENSITIVE);
    len = sizeof value;
    OK(get(key, CKA_LABEL, value, &len));
    EXPECT(h.f->C_EncryptInit(rw, &ecb, key), CKR_KEY_HANDLE_INVALID);
    EXPECT(SET(key, ATTR_STR(CKA_LABEL, "x")), CKR_ACTION_PROHIBITED);
    EXPECT(h.f->C_DestroyObject(rw, key), CKR_ACTION_PROHIBITED);
    CK_OBJECT_HANDLE copy;
    EXPECT(h.f->C_CopyObject(rw, key, NULL, 0, &copy), CKR_ACTION_PROHIBITED);
    OK(SET(find(rw, "lost", 1), ATTR_FALSE(CKA_RPV_DELETED)));
    harness_logout(&h, rw);
    harness_login(&h, rw, CKU_USER);
    assert_true(find(rw, "lost", -1) != CK_INVALID_HANDLE);
    OK(h.f->C_DestroyObject(rw, find(rw, "lost", -1)));
    OK(h.f->C_DestroyObject(rw, find(rw, "governed", -1)));
}

static void labels_may_be_used_again(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE old = deleted_new("again"), key = key_new("again");
    assert_int_equal(find(rw, "again", -1), key);
    assert_int_equal(find(rw, "again", 1), old);
    OK(SET(old, ATTR_FALSE(CKA_RPV_DELETED)));
    CK_OBJECT_HANDLE both[3];
    assert_int_equal(promise_find(&h, rw, "again", false, both, 3), 2);
    OK(h.f->C_DestroyObject(rw, both[0]));
    OK(h.f->C_DestroyObject(rw, both[1]));
}

static void a_destroying_loop_purges_nothing(void **state)
{
    (void)state;
    enum { MANY = 20 };
    CK_OBJECT_HANDLE found[64];
    for (int i = 0; i < MANY; i++)
        key_new("loop");
    for (CK_ULONG n; (n = promise_find(&h, rw, "loop", false, found, 3)) != 0;)
        for (CK_ULONG i = 0; i < n; i++)
            OK(h.f->C_DestroyObject(rw, found[i]));
    assert_int_equal(promise_find(&h, rw, "loop", true, found, 64), MANY);
}

static void a_running_operation_ends(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = key_new("running");
    CK_BYTE block[16] = {0};
    CK_ULONG len = sizeof block;
    OK(h.f->C_EncryptInit(rw, &ecb, key));
    OK(h.f->C_EncryptUpdate(rw, block, 16, block, &len));
    OK(h.f->C_DestroyObject(rw, key));
    len = sizeof block;
    CHECK(h.f->C_EncryptUpdate(rw, block, 16, block, &len) != CKR_OK);
    len = sizeof block;
    EXPECT(h.f->C_EncryptFinal(rw, block, &len), CKR_OPERATION_NOT_INITIALIZED);
}

static CK_RV use(CK_OBJECT_HANDLE key)
{
    CK_BYTE block[16];
    return promise_use(&h, rw, key, block);
}

/* A copy in the session is of use as long as what it was made from is. */
static void a_copy_goes_with_its_original(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = key_new("original"), copy, another;
    CK_BYTE value[16];
    CK_ULONG len = sizeof value;
    OK(h.f->C_CopyObject(rw, key, TEMPLATE(ATTR_FALSE(CKA_TOKEN)), &copy));
    OK(SET(copy, ATTR_STR(CKA_LABEL, "copy")));    /* another snapshot of it, and bound as well */
    OK(use(copy));
    OK(get(copy, CKA_VALUE, value, &len));
    OK(SET(key, ATTR_FALSE(CKA_RPV_ENABLED)));
    EXPECT(use(copy), CKR_KEY_FUNCTION_NOT_PERMITTED);
    OK(SET(key, ATTR_TRUE(CKA_RPV_ENABLED)));
    OK(use(copy));
    OK(h.f->C_DestroyObject(rw, key));
    EXPECT(use(copy), CKR_KEY_HANDLE_INVALID);
    EXPECT(h.f->C_CopyObject(rw, copy, NULL, 0, &another), CKR_ACTION_PROHIBITED);
    EXPECT(h.f->C_CopyObject(rw, copy, TEMPLATE(ATTR_TRUE(CKA_TOKEN)), &another),
           CKR_ACTION_PROHIBITED);
    len = sizeof value;
    EXPECT(get(copy, CKA_VALUE, value, &len), CKR_ATTRIBUTE_SENSITIVE);
    len = sizeof value;
    OK(get(copy, CKA_LABEL, value, &len));
    OK(SET(find(rw, "original", 1), ATTR_FALSE(CKA_RPV_DELETED)));
    OK(use(copy));
    OK(h.f->C_CopyObject(rw, copy, TEMPLATE(ATTR_TRUE(CKA_TOKEN)), &another));
    OK(h.f->C_DestroyObject(rw, find(rw, "original", -1)));
    OK(h.f->C_DestroyObject(rw, copy));            /* the application's own */
    OK(use(another));                              /* in the vault, and one for itself */
    OK(h.f->C_DestroyObject(rw, another));
}

/* ------------------------------------------------------------------ two processes */

static CK_SESSION_HANDLE start_elsewhere(void)
{
    lockstep_child(&step);
    lockstep_wait(&step);
    harness_load(&h);
    harness_slot(&h);
    CK_SESSION_HANDLE session = harness_session_rw(&h);
    harness_login(&h, session, CKU_USER);
    return session;
}

static int delete_elsewhere(void *ctx)
{
    (void)ctx;
    CK_SESSION_HANDLE session = start_elsewhere();
    OK(h.f->C_DestroyObject(session, find(session, "elsewhere", 0)));
    harness_unload(&h);
    return 0;
}

static int recover_elsewhere(void *ctx)
{
    (void)ctx;
    CK_SESSION_HANDLE session = start_elsewhere();
    CK_ATTRIBUTE recover = ATTR_FALSE(CKA_RPV_DELETED);
    OK(h.f->C_SetAttributeValue(session, find(session, "elsewhere", 1), &recover, 1));
    harness_unload(&h);
    return 0;
}

static void a_delete_elsewhere_is_seen_at_once(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = key_new("elsewhere"), other = key_new("stays");
    CK_BYTE block[16] = {0};
    CK_ULONG len = sizeof block;
    OK(h.f->C_EncryptInit(rw, &ecb, key));
    OK(h.f->C_EncryptUpdate(rw, block, 16, block, &len));
    lockstep_tell(&step);
    assert_int_equal(fork_wait(other_process), 0);
    lockstep_done(&step);
    len = sizeof block;
    CHECK(h.f->C_EncryptUpdate(rw, block, 16, block, &len) != CKR_OK);
    EXPECT(h.f->C_EncryptInit(rw, &ecb, key), CKR_KEY_HANDLE_INVALID);
    EXPECT(get(key, CKA_LABEL, NULL, &len), CKR_OBJECT_HANDLE_INVALID);
    OK(h.f->C_EncryptInit(rw, &ecb, other));
    len = sizeof block;
    OK(h.f->C_Encrypt(rw, block, 16, block, &len));
    CK_OBJECT_HANDLE again = find(rw, "elsewhere", 1);
    assert_true(again != key && again != CK_INVALID_HANDLE);
    OK(SET(again, ATTR_FALSE(CKA_RPV_DELETED)));
    OK(h.f->C_EncryptInit(rw, &ecb, again));
    OK(h.f->C_Encrypt(rw, block, 16, block, &len));
}

/* What was to purge a deleted object does not delete the live one. */
static void a_recovery_elsewhere_stops_a_purge(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = deleted_new("elsewhere");
    lockstep_tell(&step);
    assert_int_equal(fork_wait(other_process), 0);
    lockstep_done(&step);
    EXPECT(h.f->C_DestroyObject(rw, key), CKR_OBJECT_HANDLE_INVALID);
    assert_int_equal(promise_see(&h, rw, "elsewhere"), SEEN_LIVE);
}

/* ------------------------------------------------------------------ without protection */

static void unprotected_purge_is_final(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = deleted_new("final");
    CK_ULONG len = 0;
    assert_int_equal(get_ulong(key, CKA_RPV_RECOVERY_LEVEL), RPV_LEVEL_RECOVERABLE_PURGEABLE);
    EXPECT(h.f->C_DestroyObject(rw, key), CKR_ACTION_PROHIBITED);   /* not the user's verb */
    OK(promise_purge(&h, rw, "final"));
    assert_int_equal(find(rw, "final", 1), CK_INVALID_HANDLE);
    assert_int_equal(find(rw, "final", -1), CK_INVALID_HANDLE);
    EXPECT(get(key, CKA_LABEL, NULL, &len), CKR_OBJECT_HANDLE_INVALID);
    EXPECT(h.f->C_DestroyObject(rw, key), CKR_OBJECT_HANDLE_INVALID);
    EXPECT(SET(key, ATTR_FALSE(CKA_RPV_DELETED)), CKR_OBJECT_HANDLE_INVALID);
}

/* Each on a store of its own. */
#define PROTECTED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROTECTED(deleted_is_hidden),
        PROTECTED(deleted_shows_its_metadata),
        PROTECTED(deleted_is_of_no_use),
        PROTECTED(deleted_comes_back),
        PROTECTED(protected_purge_is_refused),
        PROTECTED(purge_moves_only_later),
        PROTECTED(read_only_sessions_govern_nothing),
        PROTECTED(nobody_sees_private_deleted_objects),
        PROTECTED(the_so_governs_but_does_not_use),
        PROTECTED(labels_may_be_used_again),
        PROTECTED(a_destroying_loop_purges_nothing),
        PROTECTED(a_running_operation_ends),
        PROTECTED(a_copy_goes_with_its_original),
        cmocka_unit_test_setup_teardown(a_delete_elsewhere_is_seen_at_once, setup_delete,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_recovery_elsewhere_stops_a_purge, setup_recover,
                                        teardown),
        cmocka_unit_test_setup_teardown(unprotected_purge_is_final, setup_unprotected, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
