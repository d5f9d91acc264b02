/* The state table of the design, cell by cell: state, call and kind of object, through the loaded
 * module, in another process than the one that brought the states about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "promise.h"

enum state { ACTIVE, DISABLED, EXPIRED, PREACTIVE, DELETED, STALE, PURGED, STATES };
enum kind { AES, PRIVATE, PUBLIC, DATA, KINDS };

static const char *const STATE_NAMES[] = {"active",  "disabled", "expired", "preactive",
                                          "deleted", "stale",    "purged"};
static const char *const KIND_NAMES[] = {"aes", "private", "public", "data"};
static const CK_OBJECT_CLASS CLASSES[] = {CKO_SECRET_KEY, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY,
                                          CKO_DATA};

struct states {
    struct harness h;
    struct lockstep ls;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE handles[STATES][KINDS];
    CK_OBJECT_HANDLE target;     /* a session key, to be wrapped */
    CK_BYTE wrapped[40];         /* it, under what all AES keys here are */
};

/* ------------------------------------------------------------------ who makes the states */

#define COMMON(label) ATTR_TRUE(CKA_TOKEN), ATTR_BYTES(CKA_LABEL, label, strlen(label))

static CK_OBJECT_HANDLE aes_make(struct harness *h, CK_SESSION_HANDLE session, bool token,
                                 const char *label)
{
    static const CK_BYTE value[32] = {0x11};
    CK_ATTRIBUTE template[] = {
        ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY), ATTR_ULONG(CKA_KEY_TYPE, CKK_AES),
        ATTR_BOOL(CKA_TOKEN, token), ATTR_BYTES(CKA_LABEL, label, strlen(label)),
        ATTR_TRUE(CKA_ENCRYPT), ATTR_TRUE(CKA_DECRYPT), ATTR_TRUE(CKA_WRAP), ATTR_TRUE(CKA_UNWRAP),
        ATTR_FALSE(CKA_SENSITIVE), ATTR_TRUE(CKA_EXTRACTABLE), ATTR_BYTES(CKA_VALUE, value, 32),
    };
    CK_OBJECT_HANDLE key = 0;
    OK(h->f->C_CreateObject(session, template, COUNT_OF(template), &key));
    return key;
}

static void all_make(struct harness *h, CK_SESSION_HANDLE session, const char *label,
                     CK_OBJECT_HANDLE handles[KINDS])
{
    static const CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    CK_MECHANISM pair = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE public[] = {COMMON(label), ATTR_BYTES(CKA_EC_PARAMS, p256, sizeof p256),
                             ATTR_TRUE(CKA_VERIFY)};
    CK_ATTRIBUTE private[] = {COMMON(label), ATTR_TRUE(CKA_SIGN)};
    CK_ATTRIBUTE data[] = {COMMON(label), ATTR_ULONG(CKA_CLASS, CKO_DATA),
                           ATTR_STR(CKA_VALUE, "data")};
    handles[AES] = aes_make(h, session, true, label);
    OK(h->f->C_GenerateKeyPair(session, &pair, public, COUNT_OF(public), private,
                               COUNT_OF(private), &handles[PUBLIC], &handles[PRIVATE]));
    OK(h->f->C_CreateObject(session, data, COUNT_OF(data), &handles[DATA]));
}

static CK_OBJECT_HANDLE find(struct states *s, const char *label, enum kind kind, bool governed,
                             bool deleted)
{
    CK_ATTRIBUTE template[] = {ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                               ATTR_ULONG(CKA_CLASS, CLASSES[kind]),
                               ATTR_BOOL(CKA_RPV_DELETED, deleted)};
    CK_OBJECT_HANDLE found[2] = {0};
    CK_ULONG n = 0;
    OK(s->h.f->C_FindObjectsInit(s->session, template, governed ? 3 : 2));
    OK(s->h.f->C_FindObjects(s->session, found, 2, &n));
    OK(s->h.f->C_FindObjectsFinal(s->session));
    CHECK(n <= 1);
    return n == 1 ? found[0] : CK_INVALID_HANDLE;
}

static void state_bring(struct states *s, enum state state, CK_OBJECT_HANDLE object)
{
    const CK_FUNCTION_LIST *f = s->h.f;
    CK_ATTRIBUTE disabled[] = {ATTR_FALSE(CKA_RPV_ENABLED)};
    CK_ATTRIBUTE expired[] = {ATTR_STR(CKA_RPV_NOT_AFTER, "2001010100000000")};
    CK_ATTRIBUTE preactive[] = {ATTR_STR(CKA_RPV_NOT_BEFORE, "2101010100000000")};
    CK_ATTRIBUTE *attribute = state == DISABLED ? disabled : state == EXPIRED ? expired : preactive;
    if (state == DISABLED || state == EXPIRED || state == PREACTIVE)
        OK(f->C_SetAttributeValue(s->session, object, attribute, 1));
    else if (state != ACTIVE)
        OK(f->C_DestroyObject(s->session, object));
}

static int governor(void *ctx)
{
    struct states *s = ctx;
    lockstep_child(&s->ls);
    s->session = harness_start(&s->h);
    for (int state = 0; state < STATES; state++)
        all_make(&s->h, s->session, STATE_NAMES[state], s->handles[state]);
    lockstep_tell(&s->ls);       /* the other one has handles of live ones */
    lockstep_wait(&s->ls);
    for (int state = 0; state < STATES; state++)
        for (int kind = 0; kind < KINDS; kind++)
            state_bring(s, state, s->handles[state][kind]);
    lockstep_tell(&s->ls);       /* it has handles of deleted ones */
    lockstep_wait(&s->ls);
    OK(s->h.f->C_Logout(s->session));
    harness_login(&s->h, s->session, CKU_SO);
    for (int kind = 0; kind < KINDS; kind++)
        OK(s->h.f->C_DestroyObject(s->session, find(s, "purged", kind, true, true)));
    harness_unload(&s->h);
    lockstep_tell(&s->ls);
    return 0;
}

/* ------------------------------------------------------------------ the calls */

static CK_RV call_get(struct states *s, CK_OBJECT_HANDLE object)
{
    CK_BYTE label[32];
    CK_ATTRIBUTE attribute = {CKA_LABEL, label, sizeof label};
    return s->h.f->C_GetAttributeValue(s->session, object, &attribute, 1);
}

static CK_RV call_get_value(struct states *s, CK_OBJECT_HANDLE object)
{
    CK_BYTE value[32];
    CK_ATTRIBUTE attribute = {CKA_VALUE, value, sizeof value};
    return s->h.f->C_GetAttributeValue(s->session, object, &attribute, 1);
}

static CK_RV call_set(struct states *s, CK_OBJECT_HANDLE object)
{
    CK_ATTRIBUTE attribute = ATTR_STR(CKA_LABEL, "another");
    return s->h.f->C_SetAttributeValue(s->session, object, &attribute, 1);
}

static CK_RV call_copy(struct states *s, CK_OBJECT_HANDLE object)
{
    CK_ATTRIBUTE attribute = ATTR_FALSE(CKA_TOKEN);
    CK_OBJECT_HANDLE copy;
    return s->h.f->C_CopyObject(s->session, object, &attribute, 1, &copy);
}

static CK_RV call_destroy(struct states *s, CK_OBJECT_HANDLE object)
{
    return s->h.f->C_DestroyObject(s->session, object);
}

/* Begins and cancels. */
#define INIT_CALL(name, function, type)                                                            \
    static CK_RV name(struct states *s, CK_OBJECT_HANDLE object)                                   \
    {                                                                                              \
        CK_MECHANISM mechanism = {type, NULL, 0};                                                  \
        CK_RV rv = s->h.f->function(s->session, &mechanism, object);                               \
        if (rv == CKR_OK)                                                                          \
            OK(s->h.f->function(s->session, NULL, object));                                        \
        return rv;                                                                                 \
    }
INIT_CALL(call_encrypt, C_EncryptInit, CKM_AES_ECB)
INIT_CALL(call_decrypt, C_DecryptInit, CKM_AES_ECB)
INIT_CALL(call_sign, C_SignInit, CKM_ECDSA)
INIT_CALL(call_verify, C_VerifyInit, CKM_ECDSA)

static CK_RV wrap(struct states *s, CK_OBJECT_HANDLE with, CK_OBJECT_HANDLE what)
{
    CK_MECHANISM mechanism = {CKM_AES_KEY_WRAP, NULL, 0};
    CK_ULONG len = sizeof s->wrapped;
    return s->h.f->C_WrapKey(s->session, &mechanism, with, what, s->wrapped, &len);
}

static CK_RV call_wrap(struct states *s, CK_OBJECT_HANDLE object)
{
    return wrap(s, object, s->target);
}

static CK_RV call_be_wrapped(struct states *s, CK_OBJECT_HANDLE object)
{
    return wrap(s, s->target, object);
}

static CK_RV call_unwrap(struct states *s, CK_OBJECT_HANDLE object)
{
    CK_MECHANISM mechanism = {CKM_AES_KEY_WRAP, NULL, 0};
    CK_ATTRIBUTE template[] = {ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                               ATTR_ULONG(CKA_KEY_TYPE, CKK_AES), ATTR_FALSE(CKA_TOKEN)};
    CK_OBJECT_HANDLE key;
    OK(wrap(s, s->target, s->target));
    return s->h.f->C_UnwrapKey(s->session, &mechanism, object, s->wrapped, sizeof s->wrapped,
                               template, COUNT_OF(template), &key);
}

/* ------------------------------------------------------------------ the table */

#define ALL (1u << AES | 1u << PRIVATE | 1u << PUBLIC | 1u << DATA)
#define GONE CKR_OBJECT_HANDLE_INVALID
#define NOT_KEY CKR_KEY_HANDLE_INVALID
#define NO_USE CKR_KEY_FUNCTION_NOT_PERMITTED
#define PROHIBITED CKR_ACTION_PROHIBITED

/* Columns: active, disabled, expired, preactive, deleted, stale, purged. */
static const struct row {
    const char *name;
    unsigned kinds;
    CK_RV (*call)(struct states *s, CK_OBJECT_HANDLE object);
    CK_RV expected[STATES];
} ROWS[] = {
    {"get", ALL, call_get, {CKR_OK, CKR_OK, CKR_OK, CKR_OK, CKR_OK, GONE, GONE}},
    {"get a key part", 1u << AES, call_get_value,
     {CKR_OK, CKR_OK, CKR_OK, CKR_OK, CKR_ATTRIBUTE_SENSITIVE, GONE, GONE}},
    {"copy", ALL & ~(1u << PRIVATE), call_copy,
     {CKR_OK, PROHIBITED, PROHIBITED, PROHIBITED, PROHIBITED, GONE, GONE}},
    {"encrypt", 1u << AES, call_encrypt,
     {CKR_OK, NO_USE, NO_USE, NO_USE, NOT_KEY, NOT_KEY, NOT_KEY}},
    {"decrypt", 1u << AES, call_decrypt,
     {CKR_OK, NO_USE, CKR_OK, NO_USE, NOT_KEY, NOT_KEY, NOT_KEY}},
    {"sign", 1u << PRIVATE, call_sign, {CKR_OK, NO_USE, NO_USE, NO_USE, NOT_KEY, NOT_KEY, NOT_KEY}},
    {"verify", 1u << PUBLIC, call_verify,
     {CKR_OK, NO_USE, CKR_OK, NO_USE, NOT_KEY, NOT_KEY, NOT_KEY}},
    {"wrap", 1u << AES, call_wrap,
     {CKR_OK, NO_USE, NO_USE, NO_USE, CKR_WRAPPING_KEY_HANDLE_INVALID,
      CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_WRAPPING_KEY_HANDLE_INVALID}},
    {"unwrap", 1u << AES, call_unwrap,
     {CKR_OK, NO_USE, CKR_OK, NO_USE, CKR_UNWRAPPING_KEY_HANDLE_INVALID,
      CKR_UNWRAPPING_KEY_HANDLE_INVALID, CKR_UNWRAPPING_KEY_HANDLE_INVALID}},
    {"be wrapped", 1u << AES, call_be_wrapped,
     {CKR_OK, CKR_KEY_NOT_WRAPPABLE, CKR_KEY_NOT_WRAPPABLE, CKR_KEY_NOT_WRAPPABLE, NOT_KEY,
      NOT_KEY, NOT_KEY}},
    {"set", ALL, call_set, {CKR_OK, CKR_OK, CKR_OK, CKR_OK, PROHIBITED, GONE, GONE}},
    /* the purge of a deleted one is not among the user's verbs */
    {"destroy", ALL, call_destroy, {CKR_OK, CKR_OK, CKR_OK, CKR_OK, PROHIBITED, GONE, GONE}},
};

static void finds_check(struct states *s)
{
    for (int state = 0; state < STATES; state++)
        for (int kind = 0; kind < KINDS; kind++) {
            bool live = state <= PREACTIVE, deleted = state == DELETED || state == STALE;
            if ((find(s, STATE_NAMES[state], kind, false, false) != CK_INVALID_HANDLE) != live ||
                (find(s, STATE_NAMES[state], kind, true, true) != CK_INVALID_HANDLE) != deleted)
                harness_fail(__FILE__, __LINE__, "find %s, %s", STATE_NAMES[state],
                             KIND_NAMES[kind]);
        }
}

static void cells_check(struct states *s)
{
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        for (int state = 0; state < STATES; state++)
            for (int kind = 0; kind < KINDS; kind++) {
                if (!(ROWS[i].kinds & 1u << kind))
                    continue;
                CK_RV rv = ROWS[i].call(s, s->handles[state][kind]);
                if (rv != ROWS[i].expected[state])
                    harness_fail(__FILE__, __LINE__, "%s, %s, %s: %s", ROWS[i].name,
                                 STATE_NAMES[state], KIND_NAMES[kind], ckr_name(rv));
            }
}

static void handles_take(struct states *s, int state, bool deleted)
{
    for (int kind = 0; kind < KINDS; kind++) {
        s->handles[state][kind] = find(s, STATE_NAMES[state], kind, deleted, deleted);
        CHECK(s->handles[state][kind] != CK_INVALID_HANDLE);
    }
}

static void every_cell(void **state)
{
    (void)state;
    static struct states s;
    harness_fail_hook = _fail;
    harness_init(&s.h, "purge_protection = no\n");
    lockstep_init(&s.ls);
    pid_t pid = fork_start(governor, &s);
    lockstep_wait(&s.ls);
    harness_load(&s.h);
    harness_slot(&s.h);
    s.session = harness_session_rw(&s.h);
    harness_login(&s.h, s.session, CKU_USER);
    s.target = aes_make(&s.h, s.session, false, "target");
    for (int i = 0; i < STATES; i++)
        handles_take(&s, i, false);
    lockstep_tell(&s.ls);
    lockstep_wait(&s.ls);
    handles_take(&s, DELETED, true);
    handles_take(&s, PURGED, true);
    lockstep_tell(&s.ls);
    lockstep_wait(&s.ls);
    finds_check(&s);
    cells_check(&s);
    promise_audit(&s.h);
    harness_unload(&s.h);
    CHECK(fork_wait(pid) == 0);
    lockstep_done(&s.ls);
    harness_done(&s.h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_cell)};
    return cmocka_run_group_tests_name("states", tests, NULL, NULL);
}
