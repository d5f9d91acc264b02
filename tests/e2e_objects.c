/* Objects through the loaded module: attributes, searches, copies, wrapping and unwrapping. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "harness.h"
#include "reprieve.h"

#define TEMPLATE(...) (CK_ATTRIBUTE[]){__VA_ARGS__}, COUNT_OF(((CK_ATTRIBUTE[]){__VA_ARGS__}))

static struct harness h;
static CK_SESSION_HANDLE rw;
static struct lockstep step;     /* with a second process, which waits to be told */
static pid_t other_process;
static int elsewhere(void *ctx);

static int setup(void **state)
{
    (void)state;
    harness_fail_hook = _fail;
    harness_init(&h, NULL);
    lockstep_init(&step);
    other_process = fork_start(elsewhere, NULL);
    rw = harness_start(&h);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lockstep_done(&step);
    harness_done(&h);
    return 0;
}

static const CK_BYTE VALUE32[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static CK_OBJECT_HANDLE create(CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
    OK(h.f->C_CreateObject(rw, attributes, count, &object));
    return object;
}

#define AES_TEMPLATE(...)                                                                          \
    TEMPLATE(ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY), ATTR_ULONG(CKA_KEY_TYPE, CKK_AES),             \
             ATTR_BYTES(CKA_VALUE, VALUE32, 32), __VA_ARGS__)
#define AES_KEY(...) create(AES_TEMPLATE(__VA_ARGS__))

static CK_RV get(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG *len)
{
    CK_ATTRIBUTE attribute = {type, value, *len};
    CK_RV rv = h.f->C_GetAttributeValue(rw, object, &attribute, 1);
    *len = attribute.ulValueLen;
    return rv;
}

static CK_BBOOL get_bool(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = 77;
    CK_ULONG len = sizeof value;
    OK(get(object, type, &value, &len));
    return value;
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

static CK_ULONG find_count(CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    CK_OBJECT_HANDLE found[7];
    CK_ULONG n = 0, all = 0;
    OK(h.f->C_FindObjectsInit(session, attributes, count));
    do {
        OK(h.f->C_FindObjects(session, found, COUNT_OF(found), &n));
        all += n;
    } while (n != 0);
    OK(h.f->C_FindObjectsFinal(session));
    return all;
}

/* ------------------------------------------------------------------ C_GetAttributeValue */

static void attributes_are_all_answered(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = AES_KEY(ATTR_TRUE(CKA_SENSITIVE), ATTR_STR(CKA_LABEL, "answered"));
    CK_BYTE label[16], tiny[2], value[64];
    CK_ATTRIBUTE asked[] = {
        {CKA_VALUE, value, sizeof value},        {CKA_MODULUS, value, sizeof value},
        {CKA_LABEL, tiny, sizeof tiny},          {CKA_LABEL, NULL, 0},
        {CKA_LABEL, label, sizeof label},        {0x7fffffff, value, sizeof value},
        {CKA_VALUE, NULL, 0},
    };
    EXPECT(h.f->C_GetAttributeValue(rw, key, asked, COUNT_OF(asked)), CKR_ATTRIBUTE_SENSITIVE);
    const CK_ULONG none = CK_UNAVAILABLE_INFORMATION;
    const CK_ULONG lengths[] = {none, none, none, 8, 8, none, none};
    for (size_t i = 0; i < COUNT_OF(asked); i++)
        assert_int_equal(asked[i].ulValueLen, lengths[i]);
    assert_memory_equal(label, "answered", 8);
    CK_ULONG len = sizeof value;
    EXPECT(get(key, CKA_MODULUS, value, &len), CKR_ATTRIBUTE_TYPE_INVALID);
    len = sizeof tiny;
    EXPECT(get(key, CKA_LABEL, tiny, &len), CKR_BUFFER_TOO_SMALL);
    EXPECT(h.f->C_GetAttributeValue(rw, key, NULL, 1), CKR_ARGUMENTS_BAD);
    EXPECT(h.f->C_GetAttributeValue(rw, key + 1000, asked, 1), CKR_OBJECT_HANDLE_INVALID);
    OK(h.f->C_DestroyObject(rw, key));
}

static void misaligned_arrays_are_answered(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = AES_KEY(ATTR_STR(CKA_ID, "mis"));
    CK_BYTE id[8], room[sizeof(CK_ATTRIBUTE) + 1];
    CK_ATTRIBUTE asked = {CKA_ID, id, sizeof id};
    memcpy(room + 1, &asked, sizeof asked);
    OK(h.f->C_GetAttributeValue(rw, key, (CK_ATTRIBUTE *)(void *)(room + 1), 1));
    memcpy(&asked, room + 1, sizeof asked);
    assert_int_equal(asked.ulValueLen, 3);
    assert_memory_equal(id, "mis", 3);
    OK(h.f->C_DestroyObject(rw, key));
}

static void made_attributes(void **state)
{
    (void)state;
    CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
    CK_OBJECT_HANDLE made, given = AES_KEY(ATTR_TRUE(CKA_SENSITIVE), ATTR_FALSE(CKA_EXTRACTABLE));
    OK(h.f->C_GenerateKey(rw, &mechanism, TEMPLATE(ATTR_ULONG(CKA_VALUE_LEN, 16),
                          ATTR_TRUE(CKA_SENSITIVE), ATTR_FALSE(CKA_EXTRACTABLE)), &made));
    assert_true(get_bool(made, CKA_LOCAL));
    assert_true(get_bool(made, CKA_ALWAYS_SENSITIVE));
    assert_true(get_bool(made, CKA_NEVER_EXTRACTABLE));
    assert_int_equal(get_ulong(made, CKA_KEY_GEN_MECHANISM), CKM_AES_KEY_GEN);
    assert_int_equal(get_ulong(made, CKA_VALUE_LEN), 16);
    assert_false(get_bool(given, CKA_LOCAL));
    assert_false(get_bool(given, CKA_ALWAYS_SENSITIVE));
    assert_false(get_bool(given, CKA_NEVER_EXTRACTABLE));
    assert_int_equal(get_ulong(given, CKA_KEY_GEN_MECHANISM), CK_UNAVAILABLE_INFORMATION);
    assert_int_equal(get_ulong(given, CKA_VALUE_LEN), 32);
    CK_BYTE check[3];
    CK_ULONG len = sizeof check;
    OK(get(given, CKA_CHECK_VALUE, check, &len));
    assert_int_equal(len, 3);
    len = sizeof check;
    EXPECT(get(given, CKA_ALLOWED_MECHANISMS, NULL, &len), CKR_ATTRIBUTE_TYPE_INVALID);
    OK(h.f->C_DestroyObject(rw, made));
    OK(h.f->C_DestroyObject(rw, given));
}

static void check_values_are_compared(void **state)
{
    (void)state;
    CK_BYTE check[3];
    CK_ULONG len = sizeof check;
    CK_OBJECT_HANDLE key = AES_KEY(ATTR_TRUE(CKA_TOKEN)), same, other = 0;
    OK(get(key, CKA_CHECK_VALUE, check, &len));
    same = AES_KEY(ATTR_BYTES(CKA_CHECK_VALUE, check, 3));
    check[0] ^= 1;
    EXPECT(h.f->C_CreateObject(rw, AES_TEMPLATE(ATTR_BYTES(CKA_CHECK_VALUE, check, 3)), &other),
           CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(other, 0);
    OK(SET(same, {CKA_CHECK_VALUE, NULL, 0}));
    len = sizeof check;
    EXPECT(get(same, CKA_CHECK_VALUE, check, &len), CKR_ATTRIBUTE_TYPE_INVALID);
    OK(h.f->C_DestroyObject(rw, key));
    OK(h.f->C_DestroyObject(rw, same));
}

static void nested_templates_come_back(void **state)
{
    (void)state;
    CK_ATTRIBUTE inner[] = {ATTR_STR(CKA_LABEL, "nested"), ATTR_TRUE(CKA_SIGN)};
    CK_OBJECT_HANDLE key = AES_KEY(ATTR_BYTES(CKA_WRAP_TEMPLATE, inner, sizeof inner));
    CK_ATTRIBUTE back[2] = {{0}};
    CK_ULONG len = 0;
    OK(get(key, CKA_WRAP_TEMPLATE, NULL, &len));
    assert_int_equal(len, sizeof back);
    OK(get(key, CKA_WRAP_TEMPLATE, back, &len));
    assert_int_equal(back[0].type, CKA_LABEL);
    assert_int_equal(back[0].ulValueLen, 6);
    assert_int_equal(back[1].type, CKA_SIGN);
    CK_BYTE label[6], tiny;
    back[0].pValue = label;
    back[1].pValue = &tiny;
    OK(get(key, CKA_WRAP_TEMPLATE, back, &len));
    assert_memory_equal(label, "nested", 6);
    assert_int_equal(tiny, CK_TRUE);
    back[0].ulValueLen = 5;
    EXPECT(get(key, CKA_WRAP_TEMPLATE, back, &len), CKR_BUFFER_TOO_SMALL);
    assert_int_equal(back[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    len = sizeof back[0];
    EXPECT(get(key, CKA_WRAP_TEMPLATE, back, &len), CKR_BUFFER_TOO_SMALL);
    OK(h.f->C_DestroyObject(rw, key));
}

static void unique_ids(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE keys[3] = {AES_KEY(ATTR_TRUE(CKA_TOKEN)), AES_KEY(ATTR_FALSE(CKA_TOKEN)),
                                AES_KEY(ATTR_FALSE(CKA_TOKEN))};
    char ids[3][32];
    for (size_t i = 0; i < 3; i++) {
        CK_ULONG len = sizeof ids[i];
        OK(get(keys[i], CKA_UNIQUE_ID, ids[i], &len));
        assert_int_equal(len, 32);
        CK_ATTRIBUTE wanted[] = {ATTR_BYTES(CKA_UNIQUE_ID, ids[i], 32),
                                 ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY)};
        assert_int_equal(harness_find(&h, rw, wanted, 2), keys[i]);
        wanted[1] = (CK_ATTRIBUTE)ATTR_ULONG(CKA_CLASS, CKO_DATA);
        assert_int_equal(harness_find(&h, rw, wanted, 2), CK_INVALID_HANDLE);
        EXPECT(SET(keys[i], ATTR_BYTES(CKA_UNIQUE_ID, ids[i], 32)), CKR_ATTRIBUTE_READ_ONLY);
    }
    assert_memory_not_equal(ids[1], ids[2], 32);
    assert_int_equal(find_count(rw, TEMPLATE(ATTR_STR(CKA_UNIQUE_ID, "no id"))), 0);
    for (size_t i = 0; i < 3; i++)
        OK(h.f->C_DestroyObject(rw, keys[i]));
}

/* ------------------------------------------------------------------ C_FindObjects */

static void searches_match_every_attribute(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE token = AES_KEY(ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_ID, "f1"),
                                     ATTR_STR(CKA_LABEL, "find"), ATTR_FALSE(CKA_SIGN));
    CK_OBJECT_HANDLE session = AES_KEY(ATTR_STR(CKA_ID, "f2"), ATTR_STR(CKA_LABEL, "find"),
                                       ATTR_FALSE(CKA_SENSITIVE));
    assert_int_equal(find_count(rw, NULL, 0), 2);
    assert_int_equal(find_count(rw, (CK_ATTRIBUTE *)&token, 0), 2);
    assert_int_equal(find_count(rw, TEMPLATE(ATTR_STR(CKA_LABEL, "find"))), 2);
    assert_int_equal(find_count(rw, TEMPLATE(ATTR_STR(CKA_LABEL, "fin"))), 0);
    assert_int_equal(find_count(rw, TEMPLATE(ATTR_STR(CKA_LABEL, ""))), 0);
    const struct { CK_ATTRIBUTE attrs[4]; CK_ULONG n; CK_OBJECT_HANDLE want; } rows[] = {
        {{ATTR_STR(CKA_ID, "f1")}, 1, token},
        {{ATTR_STR(CKA_ID, "f2")}, 1, session},
        {{ATTR_STR(CKA_ID, "f1"), ATTR_STR(CKA_LABEL, "other")}, 2, 0},
        {{ATTR_TRUE(CKA_TOKEN)}, 1, token},
        {{ATTR_FALSE(CKA_TOKEN)}, 1, session},
        {{ATTR_FALSE(CKA_SIGN)}, 1, token},
        {{ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY), ATTR_STR(CKA_ID, "f1"), ATTR_TRUE(CKA_SIGN)},
         3, 0},
        {{ATTR_STR(CKA_LABEL, "find"), ATTR_TRUE(CKA_SIGN), ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
          ATTR_ULONG(CKA_KEY_TYPE, CKK_AES)}, 4, session},
        {{ATTR_TRUE(CKA_TRUSTED)}, 1, 0},
        {{ATTR_FALSE(CKA_PRIVATE)}, 1, 0},
        /* a value that is not shown is not matched either: a search is no oracle */
        {{ATTR_BYTES(CKA_VALUE, VALUE32, 32), ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY)}, 2, session},
        {{ATTR_ULONG(CKA_CLASS, CKO_PROFILE)}, 1, 0},
        {{ATTR_ULONG(CKA_CLASS, CKO_HW_FEATURE)}, 1, 0},
        {{ATTR_ULONG(CKA_CLASS, CKO_VENDOR_DEFINED + 5)}, 1, 0},
        {{ATTR_STR(CKA_VENDOR_DEFINED + 5, "x")}, 1, 0},
        {{{CKA_CLASS, NULL, 0}}, 1, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CK_ATTRIBUTE attrs[4];
        memcpy(attrs, rows[i].attrs, sizeof attrs);
        CK_OBJECT_HANDLE found = harness_find(&h, rw, attrs, rows[i].n);
        if (found != rows[i].want)
            fail_msg("row %zu", i);
    }
    EXPECT(h.f->C_FindObjectsInit(rw, NULL, 1), CKR_ARGUMENTS_BAD);
    OK(h.f->C_DestroyObject(rw, token));
    OK(h.f->C_DestroyObject(rw, session));
}

static void searches_go_one_at_a_time(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE found;
    CK_ULONG n;
    EXPECT(h.f->C_FindObjects(rw, &found, 1, &n), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(h.f->C_FindObjectsFinal(rw), CKR_OPERATION_NOT_INITIALIZED);
    OK(h.f->C_FindObjectsInit(rw, NULL, 0));
    EXPECT(h.f->C_FindObjectsInit(rw, NULL, 0), CKR_OPERATION_ACTIVE);
    EXPECT(h.f->C_FindObjects(rw, NULL, 1, &n), CKR_ARGUMENTS_BAD);
    OK(h.f->C_FindObjects(rw, &found, 1, &n));
    assert_int_equal(n, 0);
    OK(h.f->C_FindObjectsFinal(rw));
}

/* More than fit a batch, found one by one and destroyed while the search goes on. */
static void many_are_found_while_they_go(void **state)
{
    (void)state;
    enum { MANY = 150 };
    for (int i = 0; i < MANY; i++)
        AES_KEY(ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, "many"));
    CK_OBJECT_HANDLE found;
    CK_ULONG n, all = 0;
    CK_ATTRIBUTE label = ATTR_STR(CKA_LABEL, "many");
    OK(h.f->C_FindObjectsInit(rw, &label, 1));
    for (;;) {
        OK(h.f->C_FindObjects(rw, &found, 1, &n));
        if (n == 0)
            break;
        all++;
        OK(h.f->C_DestroyObject(rw, found));
    }
    OK(h.f->C_FindObjectsFinal(rw));
    assert_int_equal(all, MANY);
    assert_int_equal(find_count(rw, &label, 1), 0);
}

static void handles_are_stable(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = AES_KEY(ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, "stable"));
    CK_ATTRIBUTE label = ATTR_STR(CKA_LABEL, "stable");
    CK_SESSION_HANDLE other = harness_session(&h, CKF_SERIAL_SESSION);
    assert_int_equal(harness_find(&h, rw, &label, 1), key);
    assert_int_equal(harness_find(&h, other, &label, 1), key);
    OK(h.f->C_CloseSession(other));
    OK(h.f->C_DestroyObject(rw, key));
    CK_ULONG len = 0;
    EXPECT(get(key, CKA_LABEL, NULL, &len), CKR_OBJECT_HANDLE_INVALID);
    EXPECT(h.f->C_DestroyObject(rw, key), CKR_OBJECT_HANDLE_INVALID);
}

static void private_objects_need_the_user(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE private_key = AES_KEY(ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, "mine"));
    CK_OBJECT_HANDLE data = create(TEMPLATE(ATTR_ULONG(CKA_CLASS, CKO_DATA), ATTR_TRUE(CKA_TOKEN),
                                            ATTR_STR(CKA_LABEL, "ours")));
    CK_OBJECT_HANDLE session_key = AES_KEY(ATTR_STR(CKA_LABEL, "now"));
    CK_ULONG len = 0;
    harness_logout(&h, rw);
    assert_int_equal(find_count(rw, NULL, 0), 1);
    EXPECT(get(private_key, CKA_LABEL, NULL, &len), CKR_OBJECT_HANDLE_INVALID);
    EXPECT(get(session_key, CKA_LABEL, NULL, &len), CKR_OBJECT_HANDLE_INVALID);
    OK(get(data, CKA_LABEL, NULL, &len));
    CK_OBJECT_HANDLE none = 0;
    EXPECT(h.f->C_CreateObject(rw, AES_TEMPLATE(ATTR_TRUE(CKA_PRIVATE)), &none),
           CKR_USER_NOT_LOGGED_IN);
    OK(h.f->C_CreateObject(rw, AES_TEMPLATE(ATTR_FALSE(CKA_TOKEN)), &none));
    assert_false(get_bool(none, CKA_PRIVATE));
    OK(h.f->C_DestroyObject(rw, none));
    harness_login(&h, rw, CKU_USER);
    CK_ATTRIBUTE label = ATTR_STR(CKA_LABEL, "mine");
    private_key = harness_find(&h, rw, &label, 1);
    OK(h.f->C_DestroyObject(rw, private_key));
    OK(h.f->C_DestroyObject(rw, data));
}

static void session_objects_belong_to_the_application(void **state)
{
    (void)state;
    CK_SESSION_HANDLE other = harness_session(&h, CKF_SERIAL_SESSION);
    CK_OBJECT_HANDLE key, token;
    OK(h.f->C_CreateObject(other, AES_TEMPLATE(ATTR_STR(CKA_LABEL, "guest")), &key));
    EXPECT(h.f->C_CreateObject(other, AES_TEMPLATE(ATTR_TRUE(CKA_TOKEN)), &token),
           CKR_SESSION_READ_ONLY);
    CK_ATTRIBUTE label = ATTR_STR(CKA_LABEL, "guest");
    assert_int_equal(harness_find(&h, rw, &label, 1), key);
    OK(SET(key, ATTR_STR(CKA_LABEL, "guest2")));
    OK(h.f->C_CloseSession(other));
    CK_ULONG len = 0;
    EXPECT(get(key, CKA_LABEL, NULL, &len), CKR_OBJECT_HANDLE_INVALID);
}

static void read_only_sessions_change_nothing(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = AES_KEY(ATTR_TRUE(CKA_TOKEN)), copy;
    CK_SESSION_HANDLE ro = harness_session(&h, CKF_SERIAL_SESSION);
    CK_ATTRIBUTE label = ATTR_STR(CKA_LABEL, "new");
    EXPECT(h.f->C_SetAttributeValue(ro, key, &label, 1), CKR_SESSION_READ_ONLY);
    EXPECT(h.f->C_DestroyObject(ro, key), CKR_SESSION_READ_ONLY);
    EXPECT(h.f->C_CopyObject(ro, key, NULL, 0, &copy), CKR_SESSION_READ_ONLY);
    OK(h.f->C_CopyObject(ro, key, TEMPLATE(ATTR_FALSE(CKA_TOKEN)), &copy));
    OK(h.f->C_CloseSession(ro));
    OK(h.f->C_DestroyObject(rw, key));
}

/* ------------------------------------------------------------------ copy, set, destroy */

static void copies(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = AES_KEY(ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, "original"),
                                   ATTR_TRUE(CKA_EXTRACTABLE)), copy, back;
    OK(h.f->C_CopyObject(rw, key, NULL, 0, &copy));
    assert_true(copy != key);
    assert_true(get_bool(copy, CKA_TOKEN));
    OK(h.f->C_DestroyObject(rw, copy));
    OK(h.f->C_CopyObject(rw, key, TEMPLATE(ATTR_FALSE(CKA_TOKEN), ATTR_STR(CKA_LABEL, "copy"),
                                           ATTR_FALSE(CKA_EXTRACTABLE)), &copy));
    assert_false(get_bool(copy, CKA_TOKEN));
    assert_false(get_bool(copy, CKA_EXTRACTABLE));
    assert_false(get_bool(copy, CKA_NEVER_EXTRACTABLE));
    EXPECT(h.f->C_CopyObject(rw, copy, TEMPLATE(ATTR_TRUE(CKA_EXTRACTABLE)), &back),
           CKR_ATTRIBUTE_READ_ONLY);
    OK(h.f->C_CopyObject(rw, copy, TEMPLATE(ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_ID, "newid")),
                         &back));
    CK_ATTRIBUTE id = ATTR_STR(CKA_ID, "newid");
    assert_int_equal(harness_find(&h, rw, &id, 1), back);
    OK(h.f->C_DestroyObject(rw, key));
    OK(h.f->C_DestroyObject(rw, copy));
    OK(h.f->C_DestroyObject(rw, back));
    EXPECT(h.f->C_CopyObject(rw, key, NULL, 0, &copy), CKR_OBJECT_HANDLE_INVALID);
}

static void prohibitions(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = AES_KEY(ATTR_FALSE(CKA_COPYABLE), ATTR_FALSE(CKA_MODIFIABLE),
                                   ATTR_FALSE(CKA_DESTROYABLE), ATTR_TRUE(CKA_TOKEN)), copy;
    EXPECT(h.f->C_CopyObject(rw, key, NULL, 0, &copy), CKR_ACTION_PROHIBITED);
    EXPECT(SET(key, ATTR_STR(CKA_LABEL, "x")), CKR_ACTION_PROHIBITED);
    EXPECT(h.f->C_DestroyObject(rw, key), CKR_ACTION_PROHIBITED);
    assert_true(get_bool(key, CKA_TOKEN));
}

static void labels_move_in_the_index(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = AES_KEY(ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, "before"));
    CK_ATTRIBUTE before = ATTR_STR(CKA_LABEL, "before"), after = ATTR_STR(CKA_LABEL, "after");
    OK(set(key, after));
    assert_int_equal(harness_find(&h, rw, &before, 1), CK_INVALID_HANDLE);
    assert_int_equal(harness_find(&h, rw, &after, 1), key);
    EXPECT(SET(key, ATTR_TRUE(CKA_LOCAL)), CKR_ATTRIBUTE_READ_ONLY);
    OK(SET(key, ATTR_TRUE(CKA_SENSITIVE)));
    EXPECT(SET(key, ATTR_FALSE(CKA_SENSITIVE)), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(SET(key, ATTR_TRUE(CKA_TRUSTED)), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(h.f->C_SetAttributeValue(rw, key, NULL, 1), CKR_ARGUMENTS_BAD);
    OK(h.f->C_DestroyObject(rw, key));
}

static void sizes(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = AES_KEY(ATTR_TRUE(CKA_TOKEN));
    CK_ULONG size = 0;
    OK(h.f->C_GetObjectSize(rw, key, &size));
    assert_true(size > 32);
    EXPECT(h.f->C_GetObjectSize(rw, key, NULL), CKR_ARGUMENTS_BAD);
    OK(h.f->C_DestroyObject(rw, key));
}

/* ------------------------------------------------------------------ wrap, unwrap, derive */

static CK_MECHANISM kw = {CKM_AES_KEY_WRAP, NULL, 0};
static CK_BYTE blob[4096];
static CK_ULONG blob_len;

static CK_RV wrap(CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE key)
{
    blob_len = sizeof blob;
    return h.f->C_WrapKey(rw, &kw, by, key, blob, &blob_len);
}

static void keys_are_wrapped_by_rule(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE kek = AES_KEY(ATTR_TRUE(CKA_WRAP)), plain = AES_KEY(ATTR_FALSE(CKA_WRAP)),
                     open = AES_KEY(ATTR_TRUE(CKA_EXTRACTABLE)),
                     shut = AES_KEY(ATTR_FALSE(CKA_EXTRACTABLE)),
                     wary = AES_KEY(ATTR_TRUE(CKA_WRAP_WITH_TRUSTED));
    OK(wrap(kek, open));
    assert_int_equal(blob_len, 40);
    EXPECT(wrap(plain, open), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(wrap(kek, shut), CKR_KEY_UNEXTRACTABLE);
    EXPECT(wrap(kek, wary), CKR_KEY_NOT_WRAPPABLE);
    EXPECT(wrap(kek, 0), CKR_KEY_HANDLE_INVALID);
    EXPECT(wrap(0, open), CKR_WRAPPING_KEY_HANDLE_INVALID);
    blob_len = 0;
    OK(h.f->C_WrapKey(rw, &kw, kek, open, NULL, &blob_len));
    assert_int_equal(blob_len, 40);
    blob_len = 39;
    EXPECT(h.f->C_WrapKey(rw, &kw, kek, open, blob, &blob_len), CKR_BUFFER_TOO_SMALL);
    assert_int_equal(blob_len, 40);
    EXPECT(h.f->C_WrapKey(rw, &kw, kek, open, blob, NULL), CKR_ARGUMENTS_BAD);
    const CK_OBJECT_HANDLE all[] = {kek, plain, open, shut, wary};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        OK(h.f->C_DestroyObject(rw, all[i]));
}

static void wrap_templates_are_enforced(void **state)
{
    (void)state;
    CK_ATTRIBUTE inner[] = {ATTR_STR(CKA_LABEL, "exportable")};
    CK_OBJECT_HANDLE kek = AES_KEY(ATTR_TRUE(CKA_WRAP),
                                   ATTR_BYTES(CKA_WRAP_TEMPLATE, inner, sizeof inner)),
                     good = AES_KEY(ATTR_STR(CKA_LABEL, "exportable")),
                     bad = AES_KEY(ATTR_STR(CKA_LABEL, "other"));
    OK(wrap(kek, good));
    EXPECT(wrap(kek, bad), CKR_KEY_HANDLE_INVALID);
    OK(h.f->C_DestroyObject(rw, kek));
    OK(h.f->C_DestroyObject(rw, good));
    OK(h.f->C_DestroyObject(rw, bad));
}

static CK_RV unwrap(CK_OBJECT_HANDLE by, CK_ATTRIBUTE *attributes, CK_ULONG count,
                    CK_OBJECT_HANDLE *key)
{
    return h.f->C_UnwrapKey(rw, &kw, by, blob, blob_len, attributes, count, key);
}
#define AES_CLASS ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY), ATTR_ULONG(CKA_KEY_TYPE, CKK_AES)

static void keys_come_back(void **state)
{
    (void)state;
    CK_ATTRIBUTE inner[] = {ATTR_FALSE(CKA_EXTRACTABLE)};
    CK_OBJECT_HANDLE kek = AES_KEY(ATTR_TRUE(CKA_WRAP), ATTR_TRUE(CKA_UNWRAP)), key = 0,
                     ruled = AES_KEY(ATTR_TRUE(CKA_UNWRAP),
                                     ATTR_BYTES(CKA_UNWRAP_TEMPLATE, inner, sizeof inner));
    CK_BYTE value[32];
    OK(wrap(kek, kek));
    OK(unwrap(kek, TEMPLATE(AES_CLASS, ATTR_FALSE(CKA_SENSITIVE), ATTR_TRUE(CKA_TOKEN)), &key));
    CK_ULONG len = sizeof value;
    OK(get(key, CKA_VALUE, value, &len));
    assert_memory_equal(value, VALUE32, 32);
    assert_false(get_bool(key, CKA_LOCAL));
    assert_false(get_bool(key, CKA_ALWAYS_SENSITIVE));
    assert_int_equal(get_ulong(key, CKA_RPV_ORIGIN), RPV_ORIGIN_UNWRAPPED);
    OK(h.f->C_DestroyObject(rw, key));
    OK(unwrap(kek, TEMPLATE(AES_CLASS), &key));
    assert_true(get_bool(key, CKA_SENSITIVE));
    assert_true(get_bool(key, CKA_EXTRACTABLE));
    OK(h.f->C_DestroyObject(rw, key));
    OK(unwrap(ruled, TEMPLATE(AES_CLASS), &key));
    assert_false(get_bool(key, CKA_EXTRACTABLE));
    OK(h.f->C_DestroyObject(rw, key));
    key = 0;
    EXPECT(unwrap(ruled, TEMPLATE(AES_CLASS, ATTR_TRUE(CKA_EXTRACTABLE)), &key),
           CKR_TEMPLATE_INCONSISTENT);
    EXPECT(unwrap(kek, TEMPLATE(ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY)), &key),
           CKR_TEMPLATE_INCOMPLETE);
    EXPECT(unwrap(kek, TEMPLATE(AES_CLASS, ATTR_TRUE(CKA_LOCAL)), &key), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(unwrap(0, TEMPLATE(AES_CLASS), &key), CKR_UNWRAPPING_KEY_HANDLE_INVALID);
    EXPECT(unwrap(kek, TEMPLATE(ATTR_ULONG(CKA_CLASS, CKO_PRIVATE_KEY),
                                ATTR_ULONG(CKA_KEY_TYPE, CKK_RSA)), &key),
           CKR_WRAPPED_KEY_INVALID);
    blob[3] ^= 1;
    EXPECT(unwrap(kek, TEMPLATE(AES_CLASS), &key), CKR_WRAPPED_KEY_INVALID);
    assert_int_equal(key, 0);
    OK(h.f->C_DestroyObject(rw, kek));
    OK(h.f->C_DestroyObject(rw, ruled));
}

static const CK_BYTE P256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

static void pair(bool token, CK_OBJECT_HANDLE *ret_public, CK_OBJECT_HANDLE *ret_private)
{
    CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE public_template[] = {ATTR_BYTES(CKA_EC_PARAMS, P256, sizeof P256),
                                      ATTR_BOOL(CKA_TOKEN, token)};
    CK_ATTRIBUTE private_template[] = {ATTR_TRUE(CKA_DERIVE), ATTR_BOOL(CKA_TOKEN, token),
                                       ATTR_TRUE(CKA_EXTRACTABLE)};
    OK(h.f->C_GenerateKeyPair(rw, &mechanism, public_template, COUNT_OF(public_template),
                              private_template, COUNT_OF(private_template), ret_public,
                              ret_private));
}

static void pairs_are_two_objects(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE public_key, private_key;
    pair(true, &public_key, &private_key);
    assert_false(get_bool(public_key, CKA_PRIVATE));
    assert_true(get_bool(private_key, CKA_PRIVATE));
    assert_true(get_bool(private_key, CKA_SENSITIVE));
    CK_BYTE a[80], b[80];
    CK_ULONG a_len = sizeof a, b_len = sizeof b;
    OK(get(public_key, CKA_EC_POINT, a, &a_len));
    OK(get(private_key, CKA_EC_POINT, b, &b_len));
    assert_int_equal(a_len, 67);
    assert_memory_equal(a, b, a_len);
    a_len = sizeof a;
    EXPECT(get(private_key, CKA_VALUE, a, &a_len), CKR_ATTRIBUTE_SENSITIVE);
    OK(h.f->C_DestroyObject(rw, public_key));
    assert_true(get_bool(private_key, CKA_SIGN));
    CK_OBJECT_HANDLE kek = AES_KEY(ATTR_TRUE(CKA_WRAP), ATTR_TRUE(CKA_UNWRAP)), back;
    CK_MECHANISM kwp = {CKM_AES_KEY_WRAP_KWP, NULL, 0};
    blob_len = sizeof blob;
    OK(h.f->C_WrapKey(rw, &kwp, kek, private_key, blob, &blob_len));
    OK(h.f->C_UnwrapKey(rw, &kwp, kek, blob, blob_len,
                        TEMPLATE(ATTR_ULONG(CKA_CLASS, CKO_PRIVATE_KEY),
                                 ATTR_ULONG(CKA_KEY_TYPE, CKK_EC)), &back));
    b_len = sizeof b;
    OK(get(back, CKA_EC_POINT, a, &b_len));
    assert_memory_equal(a, b, b_len);
    OK(h.f->C_DestroyObject(rw, private_key));
    OK(h.f->C_DestroyObject(rw, back));
    OK(h.f->C_DestroyObject(rw, kek));
}

static void secret_of(CK_OBJECT_HANDLE private_key, CK_OBJECT_HANDLE public_key, CK_BYTE value[32])
{
    CK_BYTE point[80];
    CK_ULONG len = sizeof point;
    CK_OBJECT_HANDLE key;
    OK(get(public_key, CKA_EC_POINT, point, &len));
    CK_ECDH1_DERIVE_PARAMS params = {CKD_NULL, 0, NULL, len, point};
    CK_MECHANISM mechanism = {CKM_ECDH1_DERIVE, &params, sizeof params};
    OK(h.f->C_DeriveKey(rw, &mechanism, private_key, NULL, 0, &key));
    len = 32;
    OK(get(key, CKA_VALUE, value, &len));
    assert_int_equal(len, 32);
    assert_false(get_bool(key, CKA_LOCAL));
    assert_false(get_bool(key, CKA_ALWAYS_SENSITIVE));
    OK(h.f->C_DestroyObject(rw, key));
}

static void both_sides_derive_the_same(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE pub[2], prv[2];
    CK_BYTE values[2][32];
    pair(false, &pub[0], &prv[0]);
    pair(false, &pub[1], &prv[1]);
    secret_of(prv[0], pub[1], values[0]);
    secret_of(prv[1], pub[0], values[1]);
    assert_memory_equal(values[0], values[1], 32);
    for (size_t i = 0; i < 2; i++) {
        OK(h.f->C_DestroyObject(rw, pub[i]));
        OK(h.f->C_DestroyObject(rw, prv[i]));
    }
}

static void the_so_trusts_a_public_key(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = AES_KEY(ATTR_TRUE(CKA_TOKEN), ATTR_FALSE(CKA_PRIVATE),
                                   ATTR_TRUE(CKA_WRAP), ATTR_STR(CKA_LABEL, "trusted")),
                     wary;
    harness_logout(&h, rw);
    harness_login(&h, rw, CKU_SO);
    OK(SET(key, ATTR_TRUE(CKA_TRUSTED)));
    harness_logout(&h, rw);
    harness_login(&h, rw, CKU_USER);
    wary = AES_KEY(ATTR_TRUE(CKA_WRAP_WITH_TRUSTED));
    OK(wrap(key, wary));
    OK(h.f->C_DestroyObject(rw, key));
    OK(h.f->C_DestroyObject(rw, wary));
}

/* ------------------------------------------------------------------ another process */

static int elsewhere(void *ctx)
{
    (void)ctx;
    CK_ATTRIBUTE label = ATTR_STR(CKA_LABEL, "shared"), after = ATTR_STR(CKA_LABEL, "renamed");
    lockstep_child(&step);
    lockstep_wait(&step);
    harness_load(&h);
    harness_slot(&h);
    CK_SESSION_HANDLE session = harness_session_rw(&h);
    harness_login(&h, session, CKU_USER);
    CK_OBJECT_HANDLE key = harness_find(&h, session, &label, 1);
    OK(h.f->C_SetAttributeValue(session, key, &after, 1));
    harness_unload(&h);
    return 0;
}

static void other_processes_changes_show(void **state)
{
    (void)state;
    CK_OBJECT_HANDLE key = AES_KEY(ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, "shared"));
    char label[16];
    CK_ULONG len = sizeof label;
    lockstep_tell(&step);
    assert_int_equal(fork_wait(other_process), 0);
    OK(get(key, CKA_LABEL, label, &len));
    assert_int_equal(len, 7);
    assert_memory_equal(label, "renamed", 7);
    OK(h.f->C_DestroyObject(rw, key));
}

/* ------------------------------------------------------------------ threads */

#define THREADS 4
#define ROUNDS 40

/* All change, search and use one token key, each with a session object of its own besides. */
static CK_RV thread_round(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE shared, CK_BYTE number)
{
    CK_OBJECT_HANDLE own, copy, found[THREADS + 1];
    CK_MECHANISM ecb = {CKM_AES_ECB, NULL, 0};
    CK_BYTE block[16] = {0};
    CK_ULONG len = sizeof block, n = 0;
    CK_ATTRIBUTE id = ATTR_BYTES(CKA_ID, &number, 1), label = ATTR_STR(CKA_LABEL, "threads");
    CK_RV rv = h.f->C_CreateObject(session, AES_TEMPLATE(ATTR_STR(CKA_LABEL, "threads")), &own);
    rv = rv ? rv : h.f->C_SetAttributeValue(session, own, &id, 1);
    rv = rv ? rv : h.f->C_SetAttributeValue(session, shared, &id, 1);
    rv = rv ? rv : h.f->C_FindObjectsInit(session, &label, 1);
    rv = rv ? rv : h.f->C_FindObjects(session, found, COUNT_OF(found), &n);
    rv = rv ? rv : h.f->C_FindObjectsFinal(session);
    rv = rv ? rv : h.f->C_EncryptInit(session, &ecb, shared);
    rv = rv ? rv : h.f->C_Encrypt(session, block, 16, block, &len);
    rv = rv ? rv : h.f->C_CopyObject(session, shared, TEMPLATE(ATTR_FALSE(CKA_TOKEN)), &copy);
    rv = rv ? rv : h.f->C_DestroyObject(session, copy);
    return rv ? rv : h.f->C_DestroyObject(session, own);
}

struct worker {
    CK_OBJECT_HANDLE shared;
    CK_BYTE number;
    CK_RV rv;
};

static void *worker_run(void *ctx)
{
    struct worker *worker = ctx;
    CK_SESSION_HANDLE session;
    worker->rv = h.f->C_OpenSession(h.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                    &session);
    for (int i = 0; i < ROUNDS && worker->rv == CKR_OK; i++)
        worker->rv = thread_round(session, worker->shared, worker->number);
    return NULL;
}

static void threads_share_a_key(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    CK_OBJECT_HANDLE shared = AES_KEY(ATTR_TRUE(CKA_TOKEN));
    for (CK_BYTE i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){shared, i, CKR_GENERAL_ERROR};
        assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        EXPECT(workers[i].rv, CKR_OK);
    }
    OK(h.f->C_DestroyObject(rw, shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_are_all_answered),
        cmocka_unit_test(misaligned_arrays_are_answered),
        cmocka_unit_test(made_attributes),
        cmocka_unit_test(check_values_are_compared),
        cmocka_unit_test(nested_templates_come_back),
        cmocka_unit_test(unique_ids),
        cmocka_unit_test(searches_match_every_attribute),
        cmocka_unit_test(searches_go_one_at_a_time),
        cmocka_unit_test(many_are_found_while_they_go),
        cmocka_unit_test(handles_are_stable),
        cmocka_unit_test(private_objects_need_the_user),
        cmocka_unit_test(session_objects_belong_to_the_application),
        cmocka_unit_test(read_only_sessions_change_nothing),
        cmocka_unit_test(copies),
        cmocka_unit_test(labels_move_in_the_index),
        cmocka_unit_test(sizes),
        cmocka_unit_test(keys_are_wrapped_by_rule),
        cmocka_unit_test(wrap_templates_are_enforced),
        cmocka_unit_test(keys_come_back),
        cmocka_unit_test(pairs_are_two_objects),
        cmocka_unit_test(both_sides_derive_the_same),
        cmocka_unit_test(the_so_trusts_a_public_key),
        cmocka_unit_test(threads_share_a_key),
        cmocka_unit_test(other_processes_changes_show),
        cmocka_unit_test(prohibitions),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
