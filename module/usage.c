/* usage.c: what must hold before a key may be used, in the order in which it is told. */
#include "call.h"

/* State and use: disabled and not yet active keys do nothing, expired ones only finish old work. */
static CK_RV usage_state(const struct usage_row *row, const struct object *object)
{
    static const char *const words[] = {
        [VS_STATE_PREACTIVE] = "not active yet", [VS_STATE_ACTIVE] = "active",
        [VS_STATE_DISABLED] = "disabled",        [VS_STATE_EXPIRED] = "expired",
        [VS_STATE_DELETED] = "deleted",          [VS_STATE_PURGED] = "purged"};
    struct vs_header original;
    const struct vs_header *header = &object->header;
    if (object->origin != NULL) {
        CK_RV rv = object_header(object, &original);
        if (rv != CKR_OK)        /* gone just now, or a fault */
            return rv == CKR_OBJECT_HANDLE_INVALID ? row->bad_handle : rv;
        header = &original;
    }
    enum vs_state state = header_state(module_state()->store, header);
    if (!state_allows(state, row->new_use))
        return trace_fail(row->wrong_state, "the key is %s", words[state]);
    if (header->outdated && row->newest)
        return trace_fail(row->wrong_state,
                          "there is a newer version of the key, and the vault's policy wants it "
                          "(newest_only)");
    if (header->needs_backup && object->cls != CKO_PUBLIC_KEY)
        return trace_fail(row->wrong_state,
                          "the vault's policy wants a backup of the key before its first use "
                          "(require_backup)");
    return CKR_OK;
}

bool usage_may(struct call *call, enum operation_kind kind, const struct object *object)
{
    const struct vs_id *bound_by = object_bound_by(object);
    return USAGE[kind].verb == 0 || bound_by == NULL
        || slot_may(call->session->slot, bound_by, USAGE[kind].verb);
}

static CK_RV usage_object(struct call *call, const struct usage_row *row,
                          const struct object *object)
{
    if (object->cls != CKO_SECRET_KEY && object->cls != CKO_PUBLIC_KEY &&
        object->cls != CKO_PRIVATE_KEY)
        return trace_fail(row->bad_handle, "the object is not a key");
    if (object->header.state == VS_STATE_DELETED || !object->attrs)
        return trace_fail(row->bad_handle, "the key is deleted or only governed");
    if (object->cls != row->classes[0] && object->cls != row->classes[1])
        return trace_fail(row->bad_type, "a key of this class is not used so");
    if ((object->bits & row->bit) != row->bit)
        return trace_fail(row->not_permitted, "the key's attributes do not allow it");
    if (!usage_may(call, row->kind, object))
        return trace_fail(row->kind == OP_WRAPPED ? row->wrong_state : row->not_permitted,
                          "who is logged in lacks the verb %s", trace_verb_names(row->verb));
    return usage_state(row, object);
}

/* Does the key fit the mechanism: type, size, CKA_ALLOWED_MECHANISMS. */
static CK_RV usage_mechanism(const struct usage_row *row, const struct mech_row *mech,
                             const struct object *object, const struct key_material *key)
{
    CK_RV rv = mech_key_fits(mech, key);
    if (rv == CKR_KEY_TYPE_INCONSISTENT)
        return row->bad_type;
    if (rv == CKR_KEY_SIZE_RANGE)
        return row->bad_size;
    return rv == CKR_OK ? object_allows(object, mech->type) : rv;
}

static CK_RV usage_profile(struct call *call, const struct usage_row *row,
                           const struct mech_row *mech)
{
    if (!row->no_legacy_padding || !mech->legacy_padding)
        return CKR_OK;
    struct vs_vault_info info;
    TRY(slot_info(call->session->slot, &info, NULL));
    return info.policy.refuse_legacy_padding
               ? trace_fail(CKR_MECHANISM_INVALID, "the vault's policy refuses %s here (refuse_legacy_padding)",
                            mech->name)
               : CKR_OK;
}

static CK_RV usage_all(struct call *call, const struct usage_row *row, const struct mech_row *mech,
                       struct object *object, struct key_material **ret_key)
{
    struct key_material *key = NULL;
    TRY(usage_object(call, row, object));
    TRY(object_key(object, &key));
    if (mech)
        TRY(usage_mechanism(row, mech, object, key));
    *ret_key = key;
    return CKR_OK;
}

/* ret_object is set also where the key is there, but refused. */
static CK_RV usage_decide(struct call *call, const struct usage_row *row,
                          const struct mech_row *mech, CK_OBJECT_HANDLE handle,
                          struct object **ret_object, struct key_material **ret_key)
{
    if (mech && (mech->flags & row->flag) != row->flag)
        return trace_fail(CKR_MECHANISM_INVALID, "%s does not do this", mech->name);
    if (mech)
        TRY(usage_profile(call, row, mech));
    CK_RV rv = object_get(call, handle, ret_object);
    if (rv != CKR_OK)
        return rv == CKR_OBJECT_HANDLE_INVALID ? row->bad_handle : rv;
    return usage_all(call, row, mech, *ret_object, ret_key);
}

CK_RV usage_check(struct call *call, enum operation_kind kind, const struct mech_row *mech,
                  CK_OBJECT_HANDLE handle, struct object **ret_object,
                  struct key_material **ret_key)
{
    struct object *object = NULL;
    CK_RV rv = usage_decide(call, &USAGE[kind], mech, handle, &object, ret_key);
    if (rv == CKR_OK) {
        *ret_object = object;
        return CKR_OK;
    }
    use_refused(call, object, kind, rv);
    object_unref(object);
    return rv;
}
