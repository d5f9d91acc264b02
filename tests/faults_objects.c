/* faults_objects.c: the rows of faults.h that are about objects. */
#include "faults.h"

static const CK_BYTE P256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};

/* ------------------------------------------------------------------ objects */

static CK_OBJECT_HANDLE find_class(struct session *s, const char *label, CK_OBJECT_CLASS cls)
{
    CK_ATTRIBUTE template[] = {ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                               ATTR_VAR(CKA_CLASS, cls)};
    return harness_find(s->h, s->handle, template, COUNT_OF(template));
}

static CK_RV set(struct session *s, bool deleted, CK_ATTRIBUTE attr)
{
    return s->h->f->C_SetAttributeValue(s->handle, find_label(s, LABEL, deleted), &attr, 1);
}

static CK_RV op_generate(struct session *s)
{
    CK_MECHANISM gen = {CKM_AES_KEY_GEN, NULL, 0};
    CK_OBJECT_HANDLE key;
    CK_ATTRIBUTE template[] = {ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, LABEL),
                               ATTR_ULONG(CKA_VALUE_LEN, 32)};
    return s->h->f->C_GenerateKey(s->handle, &gen, template, COUNT_OF(template), &key);
}

static CK_RV op_generate_pair(struct session *s)
{
    CK_MECHANISM gen = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE pub[] = {ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, LABEL), ATTR_STR(CKA_ID, "1"),
                          ATTR_BYTES(CKA_EC_PARAMS, P256, sizeof(P256)), ATTR_TRUE(CKA_VERIFY)};
    CK_ATTRIBUTE priv[] = {ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, LABEL),
                           ATTR_STR(CKA_ID, "1"), ATTR_TRUE(CKA_SIGN), ATTR_TRUE(CKA_DERIVE)};
    CK_OBJECT_HANDLE keys[2];
    return s->h->f->C_GenerateKeyPair(s->handle, &gen, pub, COUNT_OF(pub), priv, COUNT_OF(priv),
                                      &keys[0], &keys[1]);
}

static CK_RV op_copy(struct session *s)
{
    CK_ATTRIBUTE copy[] = {ATTR_STR(CKA_LABEL, "copy")};
    CK_OBJECT_HANDLE key;
    return s->h->f->C_CopyObject(s->handle, find_label(s, LABEL, false), copy, 1, &key);
}

static CK_RV op_unwrap(struct session *s)
{
    CK_MECHANISM kw = {CKM_AES_KEY_WRAP, NULL, 0};
    CK_BYTE wrapped[64];
    CK_ULONG len = sizeof(wrapped);
    CK_OBJECT_HANDLE wrapper = find_label(s, "wrapper", false), key;
    CK_ATTRIBUTE template[] = {ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                               ATTR_ULONG(CKA_KEY_TYPE, CKK_AES), ATTR_TRUE(CKA_TOKEN),
                               ATTR_FALSE(CKA_SENSITIVE), ATTR_STR(CKA_LABEL, "unwrapped")};
    CK_RV rv = s->h->f->C_WrapKey(s->handle, &kw, wrapper, find_label(s, LABEL, false), wrapped,
                                  &len);
    return rv != CKR_OK ? rv
                        : s->h->f->C_UnwrapKey(s->handle, &kw, wrapper, wrapped, len, template,
                                               COUNT_OF(template), &key);
}

static CK_RV op_derive(struct session *s)
{
    CK_BYTE point[80];
    CK_ATTRIBUTE get = ATTR_VAR(CKA_EC_POINT, point);
    OK(s->h->f->C_GetAttributeValue(s->handle, find_class(s, LABEL, CKO_PUBLIC_KEY), &get, 1));
    CK_ECDH1_DERIVE_PARAMS param = {CKD_NULL, 0, NULL, get.ulValueLen, point};
    CK_MECHANISM ecdh = {CKM_ECDH1_DERIVE, &param, sizeof(param)};
    CK_ATTRIBUTE template[] = {ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                               ATTR_ULONG(CKA_KEY_TYPE, CKK_AES), ATTR_TRUE(CKA_TOKEN),
                               ATTR_ULONG(CKA_VALUE_LEN, 32), ATTR_STR(CKA_LABEL, "derived")};
    CK_OBJECT_HANDLE key;
    return s->h->f->C_DeriveKey(s->handle, &ecdh, find_class(s, LABEL, CKO_PRIVATE_KEY), template,
                                COUNT_OF(template), &key);
}

static CK_RV op_update(struct session *s)
{
    return set(s, false, (CK_ATTRIBUTE)ATTR_STR(CKA_ID, "another id"));
}

static CK_RV op_recover(struct session *s)
{
    return promise_recover(s->h, s->handle, find_label(s, LABEL, true));
}

static CK_RV op_recover_all(struct session *s)
{
    CK_ULONG n;
    return s->vendor->RPV_RecoverAll(s->handle, 1000, &n);
}

/* By the SO, or by another who has the verb. */
static CK_RV op_purge(struct session *s)
{
    return s->h->f->C_DestroyObject(s->handle, find_label(s, LABEL, true));
}

#define SETTER(name, deleted, ...)                                                                 \
    static CK_RV op_##name(struct session *s)                                                      \
    {                                                                                              \
        return set(s, deleted, (CK_ATTRIBUTE)__VA_ARGS__);                                         \
    }
SETTER(postpone, true, ATTR_STR(CKA_RPV_PURGE_AT, "2090010100000000"))
SETTER(disable, false, ATTR_FALSE(CKA_RPV_ENABLED))
SETTER(enable, false, ATTR_TRUE(CKA_RPV_ENABLED))
SETTER(hold, true, ATTR_TRUE(CKA_RPV_HOLD))
SETTER(release, true, ATTR_FALSE(CKA_RPV_HOLD))
SETTER(lock, false, ATTR_ULONG(CKA_RPV_LOCK, 1))
SETTER(unlock, false, ATTR_ULONG(CKA_RPV_LOCK, 0))
SETTER(not_before, false, ATTR_STR(CKA_RPV_NOT_BEFORE, "2001010100000000"))
SETTER(not_after, false, ATTR_STR(CKA_RPV_NOT_AFTER, "2090010100000000"))
SETTER(rotate_days, false, ATTR_ULONG(CKA_RPV_ROTATE_DAYS, 30))
SETTER(honeytoken, false, ATTR_TRUE(CKA_RPV_HONEYTOKEN))
SETTER(reason, false, ATTR_STR(CKA_RPV_DELETE_REASON, "replaced by another"))

static CK_RV op_govern(struct session *s)
{
    CK_ATTRIBUTE attrs[] = {ATTR_FALSE(CKA_RPV_ENABLED),
                            ATTR_STR(CKA_RPV_NOT_AFTER, "2090010100000000"),
                            ATTR_ULONG(CKA_RPV_ROTATE_DAYS, 7)};
    return s->h->f->C_SetAttributeValue(s->handle, find_label(s, LABEL, false), attrs,
                                        COUNT_OF(attrs));
}

static CK_RV op_rotate(struct session *s)
{
    CK_OBJECT_HANDLE key, pub;
    CK_OBJECT_HANDLE former = find_class(s, LABEL, CKO_SECRET_KEY);
    if (former == CK_INVALID_HANDLE)
        former = find_class(s, LABEL, CKO_PRIVATE_KEY);
    return s->vendor->RPV_RotateKey(s->handle, former, &key, &pub);
}

/* As `reprieve key rotate --due` does: what the list says. */
static CK_RV op_rotate_due(struct session *s)
{
    struct RPV_UNIQUE_ID ids[4];
    CK_ULONG n = COUNT_OF(ids);
    CK_OBJECT_HANDLE key;
    OK(s->vendor->RPV_ListRotations(s->h->slot, ids, &n));
    CHECK(n == 1);
    CK_ATTRIBUTE which = ATTR_BYTES(CKA_UNIQUE_ID, ids[0].text, 32);
    return s->vendor->RPV_RotateKey(s->handle, harness_find(s->h, s->handle, &which, 1), &key,
                                    NULL);
}

/* ------------------------------------------------------------------ before */

static void stage_disabled(struct session *s)
{
    stage_key(s);
    OK(op_disable(s));
}

static void stage_held(struct session *s)
{
    stage_gone(s);
    session_become(s, SO);
    OK(op_hold(s));
}

static void stage_locked(struct session *s)
{
    stage_key(s);
    session_become(s, SO);
    OK(op_lock(s));
}

static void stage_wrapper(struct session *s)
{
    static const CK_BYTE value[32] = {3};
    CK_ATTRIBUTE template[] = {
        ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY), ATTR_ULONG(CKA_KEY_TYPE, CKK_AES),
        ATTR_TRUE(CKA_TOKEN), ATTR_TRUE(CKA_WRAP), ATTR_TRUE(CKA_UNWRAP),
        ATTR_STR(CKA_LABEL, "wrapper"), ATTR_BYTES(CKA_VALUE, value, sizeof(value)),
    };
    CK_OBJECT_HANDLE key;
    stage_key(s);
    OK(s->h->f->C_CreateObject(s->handle, template, COUNT_OF(template), &key));
}

static void stage_pair(struct session *s)
{
    OK(op_generate_pair(s));
}

static void stage_secret(struct session *s)
{
    OK(op_generate(s));
}

static void stage_rotate_due(struct session *s)
{
    OK(op_generate(s));
    OK(op_rotate_days(s));
    clock_forward(s, 31 * DAY);
}

/* Two principals must ask for a purge. */
static void stage_approvals(struct session *s)
{
    stage_alice(s);
    OK(op_delete(s));
    session_become(s, SO);
    OK(policy_set(s, 90, 2, 10));
}

static void stage_approved(struct session *s)
{
    stage_approvals(s);
    EXPECT(op_purge(s), CKR_ACTION_PROHIBITED);
}

static void stage_purge_killed(struct session *s)
{
    stage_gone(s);
    stage_killed_purge(s, SO, op_purge);
}

/* ------------------------------------------------------------------ rows */

const struct operation FAULTS_OBJECTS[] = {
    {"create", NULL, USER, op_create, 0, CKR_OK},
    {"generate", NULL, USER, op_generate, 0, CKR_OK},
    {"generate a pair", NULL, USER, op_generate_pair, 0, CKR_OK},
    {"copy", stage_key, USER, op_copy, 0, CKR_OK},
    {"unwrap", stage_wrapper, USER, op_unwrap, 0, CKR_OK},
    {"derive", stage_pair, USER, op_derive, 0, CKR_OK},
    {"update", stage_key, USER, op_update, 0, CKR_OK},
    {"delete", stage_key, USER, op_delete, 0, CKR_OK},
    {"recover", stage_gone, USER, op_recover, 0, CKR_OK},
    {"recover all", stage_many_gone, USER, op_recover_all, OP_STEPS, CKR_OK},
    {"purge", stage_gone, SO, op_purge, 0, CKR_OK},
    {"approve a purge", stage_approvals, SO, op_purge, 0, CKR_ACTION_PROHIBITED},
    {"approve a purge, the last", stage_approved, ALICE, op_purge, 0, CKR_OK},
    {"open after a killed purge", stage_purge_killed, NOBODY, op_open, OP_COLD, CKR_OK},
    {"postpone", stage_gone, SO, op_postpone, 0, CKR_OK},
    {"disable", stage_key, USER, op_disable, 0, CKR_OK},
    {"enable", stage_disabled, USER, op_enable, 0, CKR_OK},
    {"hold", stage_gone, SO, op_hold, 0, CKR_OK},
    {"release", stage_held, SO, op_release, 0, CKR_OK},
    {"lock", stage_key, SO, op_lock, 0, CKR_OK},
    {"unlock", stage_locked, SO, op_unlock, 0, CKR_OK},
    {"not before", stage_key, USER, op_not_before, 0, CKR_OK},
    {"not after", stage_key, USER, op_not_after, 0, CKR_OK},
    {"days of rotation", stage_key, USER, op_rotate_days, 0, CKR_OK},
    {"honeytoken", stage_key, SO, op_honeytoken, 0, CKR_OK},
    {"delete reason", stage_key, USER, op_reason, 0, CKR_OK},
    {"govern, several", stage_key, USER, op_govern, 0, CKR_OK},
    {"rotate a key", stage_secret, USER, op_rotate, 0, CKR_OK},
    {"rotate a pair", stage_pair, USER, op_rotate, 0, CKR_OK},
    {"rotate by age", stage_rotate_due, USER, op_rotate_due, 0, CKR_OK},
};
const size_t FAULTS_OBJECTS_N = COUNT_OF(FAULTS_OBJECTS);
