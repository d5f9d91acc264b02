/* entry_rotate.c: the next version of a key: RPV_RotateKey, RPV_ListRotations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attr_table.h"
#include "object_find.h"
#include "vendor.h"

/* How keys of a type are made, when the key itself does not say how it was. */
static const struct { CK_KEY_TYPE type; CK_MECHANISM_TYPE mechanism; } MAKERS[] = {
    {CKK_RSA, CKM_RSA_PKCS_KEY_PAIR_GEN},
    {CKK_EC, CKM_EC_KEY_PAIR_GEN},
    {CKK_EC_EDWARDS, CKM_EC_EDWARDS_KEY_PAIR_GEN},
    {CKK_EC_MONTGOMERY, CKM_EC_MONTGOMERY_KEY_PAIR_GEN},
    {CKK_AES, CKM_AES_KEY_GEN},
    {CKK_GENERIC_SECRET, CKM_GENERIC_SECRET_KEY_GEN},
};

/* Of both halves, and what comes of them; a secret key is a private half alone. */
struct rotation {
    struct object *former[2];    /* public (or NULL), private or secret; references */
    struct attr_list lists[2];
};

static void rotation_auto(struct rotation *r)
{
    for (size_t i = 0; i < 2; i++) {
        object_unref(r->former[i]);
        attr_list_done(&r->lists[i]);
    }
}

static CK_RV maker_of(const struct object *object, CK_MECHANISM *ret_mechanism)
{
    CK_MECHANISM_TYPE own = attr_set_ulong(object->attrs, CKA_KEY_GEN_MECHANISM,
                                           CK_UNAVAILABLE_INFORMATION);
    *ret_mechanism = (CK_MECHANISM){own, NULL, 0};
    if (attr_set_bool(object->attrs, CKA_LOCAL, false) && own != CK_UNAVAILABLE_INFORMATION)
        return CKR_OK;
    for (size_t i = 0; i < sizeof MAKERS / sizeof MAKERS[0]; i++)
        if (MAKERS[i].type == object->key_type) {
            ret_mechanism->mechanism = MAKERS[i].mechanism;
            return CKR_OK;
        }
    return trace_fail(CKR_KEY_TYPE_INCONSISTENT, "no mechanism makes keys of type 0x%lx",
                      object->key_type);
}

/* ------------------------------------------------------------------ the public half */

static bool same_attribute(const struct object *a, const struct object *b, CK_ATTRIBUTE_TYPE type)
{
    const struct attr *x = attr_set_find(a->attrs, type), *y = attr_set_find(b->attrs, type);
    return (!x && !y) || (x && y && x->len == y->len && memcmp(x->value, y->value, x->len) == 0);
}

static CK_RV public_take(struct call *call, struct find *find, struct rotation *r)
{
    CK_OBJECT_HANDLE handle;
    CK_ULONG n = 1;
    while (!r->former[0]) {
        AUTO(object) struct object *object = NULL;
        TRY(find_next(call, find, &handle, 1, &n));
        if (n == 0)
            return CKR_OK;
        TRY(object_get(call, handle, &object));
        if (!same_attribute(object, r->former[1], CKA_MODULUS)
            || !same_attribute(object, r->former[1], CKA_EC_POINT))
            continue;
        r->former[0] = object;
        object = NULL;
    }
    return CKR_OK;
}

/* The public key of the pair, where the vault has it. */
static CK_RV public_find(struct call *call, struct rotation *r)
{
    CK_OBJECT_CLASS cls = CKO_PUBLIC_KEY;
    CK_BBOOL token = CK_TRUE;
    const struct attr *id = attr_set_find(r->former[1]->attrs, CKA_ID);
    CK_ATTRIBUTE wanted[] = {
        {CKA_CLASS, &cls, sizeof cls},
        {CKA_KEY_TYPE, &r->former[1]->key_type, sizeof(CK_KEY_TYPE)},
        {CKA_TOKEN, &token, sizeof token},
        {CKA_ID, NULL, 0},
    };
    struct find *find = NULL;
    if (id)
        wanted[3] = (CK_ATTRIBUTE){CKA_ID, (void *)(uintptr_t)id->value, id->len};
    TRY(find_new(call, wanted, id ? 4 : 3, &find));
    CK_RV rv = public_take(call, find, r);
    find_free(find);
    return rv;
}

/* ------------------------------------------------------------------ the lists */

/* Everything that is not the key itself, nor what comes with being made. */
static bool inherits(const struct attr *attr, unsigned kind)
{
    const struct attr_row *row = attr_row(attr->type, kind);
    if (!row || (row->rules & (GENERATE_BARS | CONCEALED)) != 0)
        return false;
    return attr->type != CKA_PUBLIC_KEY_INFO && (attr->type != CKA_CHECK_VALUE || attr->len == 0);
}

static CK_RV list_inherit(const struct object *object, struct attr_list *list)
{
    unsigned kind = object_kind(object->cls, object->key_type);
    for (size_t i = 0; i < object->attrs->n; i++) {
        const struct attr *attr = &object->attrs->items[i];
        if (inherits(attr, kind))
            TRY(attr_put(list, attr->type, attr->value, attr->len));
    }
    return CKR_OK;
}

/* Only to make the pair with: it is not stored. */
static CK_RV list_public(const struct object *private, struct attr_list *list)
{
    static const CK_ATTRIBUTE_TYPE KEPT[] = {CKA_KEY_TYPE, CKA_PUBLIC_EXPONENT, CKA_EC_PARAMS};
    const struct attr *modulus = attr_set_find(private->attrs, CKA_MODULUS);
    TRY(attr_put_ulong(list, CKA_CLASS, CKO_PUBLIC_KEY));
    for (size_t i = 0; i < sizeof KEPT / sizeof KEPT[0]; i++) {
        const struct attr *attr = attr_set_find(private->attrs, KEPT[i]);
        if (attr)
            TRY(attr_put(list, attr->type, attr->value, attr->len));
    }
    return modulus ? attr_put_ulong(list, CKA_MODULUS_BITS, 8 * modulus->len) : CKR_OK;
}

static CK_RV lists_finish(const struct mech_row *mech, struct attr_list *list, CK_ULONG min_bits)
{
    const struct key_history history = {true, mech->type, true, true};
    TRY(key_history_put(list, &history));
    return key_complete(list, min_bits);
}

static CK_RV rotation_generate(struct call *call, const struct mech_row *mech,
                               const struct mech_param *param, struct rotation *r)
{
    struct vs_vault_info info;
    TRY(slot_info(call->session->slot, &info, NULL));
    TRY(list_inherit(r->former[1], &r->lists[1]));
    if (r->former[1]->cls == CKO_SECRET_KEY) {
        if (!mech->generate || !mech->generate->key)
            return trace_fail(CKR_MECHANISM_INVALID, "%s makes no key", mech->name);
        TRY(mech->generate->key(mech, param, &r->lists[1]));
        return lists_finish(mech, &r->lists[1], info.policy.min_rsa_bits);
    }
    if (!mech->generate || !mech->generate->pair)
        return trace_fail(CKR_MECHANISM_INVALID, "%s makes no key pair", mech->name);
    TRY(r->former[0] ? list_inherit(r->former[0], &r->lists[0])
                     : list_public(r->former[1], &r->lists[0]));
    TRY(mech->generate->pair(mech, param, &r->lists[0], &r->lists[1]));
    TRY(lists_finish(mech, &r->lists[0], info.policy.min_rsa_bits));
    return lists_finish(mech, &r->lists[1], info.policy.min_rsa_bits);
}

/* ------------------------------------------------------------------ all of it */

static CK_RV rotation_store(struct call *call, struct rotation *r, CK_OBJECT_HANDLE ret_keys[2])
{
    size_t from = r->former[0] ? 0 : 1;
    const struct vs_id ids[2] = {
        r->former[0] ? r->former[0]->header.id : r->former[1]->header.id,
        r->former[1]->header.id,
    };
    ret_keys[0] = CK_INVALID_HANDLE;
    return object_make_next(call, &r->lists[from], 2 - from, &ids[from], &ret_keys[from]);
}

static CK_RV rotate(struct call *call, CK_OBJECT_HANDLE handle, CK_OBJECT_HANDLE *key,
                    CK_OBJECT_HANDLE *public)
{
    AUTO(rotation) struct rotation r = {.former = {NULL, NULL}};
    AUTO(mech_param) struct mech_param param;
    const struct mech_row *mech;
    CK_MECHANISM mechanism;
    CK_OBJECT_HANDLE made[2];
    attr_list_init(&r.lists[0]);
    attr_list_init(&r.lists[1]);
    mech_param_init(&param);
    if (!key)
        return trace_fail(CKR_ARGUMENTS_BAD, "phKey is NULL");
    TRY(object_get(call, handle, &r.former[1]));
    if (r.former[1]->cls != CKO_PRIVATE_KEY && r.former[1]->cls != CKO_SECRET_KEY)
        return trace_fail(CKR_KEY_TYPE_INCONSISTENT, "only private and secret keys are rotated; "
                                                     "a public key goes along with its private one");
    if ((r.former[1]->bits & OBJ_TOKEN) == 0)
        return trace_fail(CKR_KEY_TYPE_INCONSISTENT, "a session key is not rotated");
    TRY(maker_of(r.former[1], &mechanism));
    TRY(mech_prepare(&mechanism, &mech, &param));
    if (r.former[1]->cls == CKO_PRIVATE_KEY)
        TRY(public_find(call, &r));
    TRY(rotation_generate(call, mech, &param, &r));
    TRY(rotation_store(call, &r, made));
    *key = made[1];
    if (public)
        *public = made[0];
    return CKR_OK;
}

CK_RV RPV_RotateKey(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hKey, CK_OBJECT_HANDLE *phKey,
                    CK_OBJECT_HANDLE *phPublicKey)
{
    CALL_SESSION(RPV_RotateKey, hSession);
    return call_end(&call, rotate(&call, hKey, phKey, phPublicKey));
}

/* ------------------------------------------------------------------ what is due */

static CK_RV rotations_fill(struct vs_id *ids, size_t cap, CK_SLOT_ID slot,
                            struct RPV_UNIQUE_ID *out, CK_ULONG *count)
{
    size_t n = 0;
    bool fill;
    TRY(store_status(vs_rotation_due(module_state()->store, (uint32_t)slot, ids, cap, &n),
                     "rotations due"));
    TRY(array_room(out, count, n, &fill));
    for (size_t i = 0; fill && i < n; i++)
        for (size_t j = 0; j < sizeof ids[i].b; j++)
            snprintf(out[i].text + 2 * j, 3, "%02x", ids[i].b[j]);
    return CKR_OK;
}

static CK_RV rotations(CK_SLOT_ID id, struct RPV_UNIQUE_ID *out, CK_ULONG *count)
{
    struct slot *slot;
    struct vs_vault_info info;
    bool initialized;
    if (!count)
        return trace_fail(CKR_ARGUMENTS_BAD, "pulCount is NULL");
    TRY(slot_get(id, &slot));
    TRY(slot_info(slot, &info, &initialized));
    if (!initialized)
        return trace_fail(CKR_TOKEN_NOT_RECOGNIZED, "no vault in slot %lu", id);
    size_t cap = out ? *count : 0;
    struct vs_id *ids = NULL;
    TRY(array_alloc(out, *count, sizeof(*out), sizeof(*ids), &ids));
    CK_RV rv = rotations_fill(ids, cap, id, out, count);
    free(ids);
    return rv;
}

CK_RV RPV_ListRotations(CK_SLOT_ID slotID, struct RPV_UNIQUE_ID *pIds, CK_ULONG *pulCount)
{
    CALL(RPV_ListRotations);
    return call_end(&call, rotations(slotID, pIds, pulCount));
}
