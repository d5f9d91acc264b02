/* entry_key.c: keys made, wrapped, unwrapped, derived (5.18). Every rule is applied before any
 * cryptography; the handle is written last. */
#include <string.h>

#include "call.h"
#include "template.h"

/* ------------------------------------------------------------------ generation */

/* The checked template of a key to be generated; public_half: of a pair's private one. */
static CK_RV generate_begin(struct call *call, const struct mech_row *mech, CK_OBJECT_CLASS cls,
                            const CK_ATTRIBUTE *attributes, CK_ULONG count,
                            const struct attr_list *public_half, struct vs_vault_info *ret_info,
                            struct attr_list *list)
{
    struct template_context context = {
        .use = TEMPLATE_GENERATE,
        .cls = cls,
        .key_type = mech->key_type,
        .mechanism = mech->type,
        .public_half = public_half,
    };
    TRY(object_context(call, ret_info, &context));
    TRY(template_apply(&context, attributes, count, list));
    CK_ULONG bits = attr_ulong(list, CKA_MODULUS_BITS, CK_UNAVAILABLE_INFORMATION);
    if (bits < ret_info->policy.min_rsa_bits)
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "the vault's policy (min_rsa_bits) wants %u bits, not %lu",
                          ret_info->policy.min_rsa_bits, bits);
    return object_may_make(call, list);
}

static CK_RV generate_end(const struct mech_row *mech, const struct vs_vault_info *info,
                          struct attr_list *list)
{
    const struct key_history history = {true, mech->type, true, true};
    TRY(key_history_put(list, &history));
    return key_complete(list, info->policy.min_rsa_bits);
}

static CK_RV key_generate(struct call *call, const CK_MECHANISM *mechanism,
                          const CK_ATTRIBUTE *attributes, CK_ULONG count,
                          CK_OBJECT_HANDLE *ret_key)
{
    AUTO(attr_list) struct attr_list list;
    AUTO(mech_param) struct mech_param param;
    struct vs_vault_info info;
    const struct mech_row *mech;
    attr_list_init(&list);
    mech_param_init(&param);
    TRY(mech_prepare(mechanism, &mech, &param));
    if (mech->generate == NULL || mech->generate->key == NULL)
        return trace_fail(CKR_MECHANISM_INVALID, "%s makes no key", mech->name);
    TRY(generate_begin(call, mech, CKO_SECRET_KEY, attributes, count, NULL, &info, &list));
    TRY(mech->generate->key(mech, &param, &list));
    TRY(generate_end(mech, &info, &list));
    return object_make(call, &list, 1, VS_ORIGIN_GENERATED, "KeyGenerate", ret_key);
}

CK_RV C_GenerateKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                    CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount, CK_OBJECT_HANDLE_PTR phKey)
{
    CALL_SESSION(C_GenerateKey, hSession);
    if (phKey == NULL)
        return call_end(&call, trace_fail(CKR_ARGUMENTS_BAD, "phKey is NULL"));
    return call_end(&call, key_generate(&call, pMechanism, pTemplate, ulCount, phKey));
}

/* What C_GenerateKeyPair is given for one half. */
struct half {
    CK_OBJECT_CLASS cls;
    const CK_ATTRIBUTE *attributes;
    CK_ULONG count;
};

struct pair_lists { struct attr_list each[2]; };

static void pair_lists_auto(struct pair_lists *lists)
{
    attr_list_done(&lists->each[0]);
    attr_list_done(&lists->each[1]);
}

static CK_RV pair_generate(struct call *call, const CK_MECHANISM *mechanism,
                           const struct half halves[2], CK_OBJECT_HANDLE ret_keys[2])
{
    AUTO(pair_lists) struct pair_lists lists;
    AUTO(mech_param) struct mech_param param;
    struct vs_vault_info info;
    const struct mech_row *mech;
    attr_list_init(&lists.each[0]);
    attr_list_init(&lists.each[1]);
    mech_param_init(&param);
    TRY(mech_prepare(mechanism, &mech, &param));
    if (mech->generate == NULL || mech->generate->pair == NULL)
        return trace_fail(CKR_MECHANISM_INVALID, "%s makes no key pair", mech->name);
    for (size_t i = 0; i < 2; i++)
        TRY(generate_begin(call, mech, halves[i].cls, halves[i].attributes, halves[i].count,
                           i == 1 ? &lists.each[0] : NULL, &info, &lists.each[i]));
    TRY(mech->generate->pair(mech, &param, &lists.each[0], &lists.each[1]));
    for (size_t i = 0; i < 2; i++)
        TRY(generate_end(mech, &info, &lists.each[i]));
    return object_make(call, lists.each, 2, VS_ORIGIN_GENERATED, "KeyGenerate", ret_keys);
}

CK_RV C_GenerateKeyPair(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                        CK_ATTRIBUTE_PTR pPublicKeyTemplate, CK_ULONG ulPublicKeyAttributeCount,
                        CK_ATTRIBUTE_PTR pPrivateKeyTemplate, CK_ULONG ulPrivateKeyAttributeCount,
                        CK_OBJECT_HANDLE_PTR phPublicKey, CK_OBJECT_HANDLE_PTR phPrivateKey)
{
    CALL_SESSION(C_GenerateKeyPair, hSession);
    const struct half halves[2] = {
        {CKO_PUBLIC_KEY, pPublicKeyTemplate, ulPublicKeyAttributeCount},
        {CKO_PRIVATE_KEY, pPrivateKeyTemplate, ulPrivateKeyAttributeCount},
    };
    CK_OBJECT_HANDLE keys[2];
    if (phPublicKey == NULL || phPrivateKey == NULL)
        return call_end(&call, trace_fail(CKR_ARGUMENTS_BAD, "a handle's pointer is NULL"));
    CK_RV rv = pair_generate(&call, pMechanism, halves, keys);
    if (rv == CKR_OK) {
        *phPublicKey = keys[0];
        *phPrivateKey = keys[1];
    }
    return call_end(&call, rv);
}

/* ------------------------------------------------------------------ wrap */

struct wrapping {
    struct object *by, *key;             /* references */
    struct key_material *by_material, *material;
};

static void wrapping_auto(struct wrapping *wrapping)
{
    object_unref(wrapping->by);
    object_unref(wrapping->key);
}

static CK_RV wrap_allowed(struct call *call, const struct mech_row *mech, CK_OBJECT_HANDLE by,
                          CK_OBJECT_HANDLE key, struct wrapping *w)
{
    TRY(usage_check(call, OP_WRAP, mech, by, &w->by, &w->by_material));
    if (mech->wrap == NULL || mech->wrap->wrap == NULL)
        return trace_fail(CKR_MECHANISM_INVALID, "%s does not wrap", mech->name);
    TRY(usage_check(call, OP_WRAPPED, NULL, key, &w->key, &w->material));
    if ((w->key->bits & OBJ_WRAP_WITH_TRUSTED) != 0 && (w->by->bits & OBJ_TRUSTED) == 0)
        return trace_fail(CKR_KEY_NOT_WRAPPABLE, "CKA_WRAP_WITH_TRUSTED, and the wrapping key is "
                                                 "not trusted");
    const struct attr *wanted = attr_set_find(w->by->attrs, CKA_WRAP_TEMPLATE);
    if (wanted != NULL && !template_matches(wanted, w->key->attrs))
        return trace_fail(CKR_KEY_HANDLE_INVALID, "the key does not match CKA_WRAP_TEMPLATE");
    return CKR_OK;
}

static CK_RV wrap_produce(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                          CK_ULONG *out_len)
{
    size_t size = c->mech->wrap->wrap_size(c, in_len), produced = 0;
    if (out == NULL || *out_len < size) {
        *out_len = size;
        return out == NULL ? CKR_OK : trace_fail(CKR_BUFFER_TOO_SMALL, "%zu bytes", size);
    }
    TRY(c->mech->wrap->wrap(c, in, in_len, out, &produced));
    *out_len = produced;
    return CKR_OK;
}

static CK_RV wrap_run(struct crypto *c, const struct wrapping *w, uint8_t *out, CK_ULONG *out_len)
{
    AUTO(secret) struct secret bytes = {0};
    if (w->material->secret != NULL)
        return wrap_produce(c, w->material->secret, w->material->secret_len, out, out_len);
    TRY(key_export(w->key->attrs, &bytes));
    return wrap_produce(c, bytes.data, bytes.len, out, out_len);
}

static CK_RV key_wrap(struct call *call, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE by,
                      CK_OBJECT_HANDLE key, uint8_t *out, CK_ULONG *out_len)
{
    AUTO(wrapping) struct wrapping w = {0};
    const struct mech_row *mech;
    struct crypto c;
    TRY(mech_prepare(mechanism, &mech, &c.param));
    CK_RV rv = wrap_allowed(call, mech, by, key, &w);
    if (rv != CKR_OK) {
        mech_param_done(&c.param);
        return rv;
    }
    crypto_begin(call->session, &c, mech, w.by_material, true);
    rv = wrap_run(&c, &w, out, out_len);
    crypto_end(call->session, &c, rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL);
    if (out != NULL && rv != CKR_BUFFER_TOO_SMALL) {
        use_note(call, w.by, OP_WRAP, rv);
        use_note(call, w.key, OP_WRAPPED, rv);
    }
    return rv;
}

CK_RV C_WrapKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                CK_OBJECT_HANDLE hWrappingKey, CK_OBJECT_HANDLE hKey, CK_BYTE_PTR pWrappedKey,
                CK_ULONG_PTR pulWrappedKeyLen)
{
    CALL_SESSION(C_WrapKey, hSession);
    if (pulWrappedKeyLen == NULL)
        return call_end(&call, trace_fail(CKR_ARGUMENTS_BAD, "pulWrappedKeyLen is NULL"));
    return call_end(&call, key_wrap(&call, pMechanism, hWrappingKey, hKey, pWrappedKey,
                                    pulWrappedKeyLen));
}

/* ------------------------------------------------------------------ unwrap and derive */

/* A new key that comes out of another one. */
struct outcome {
    enum operation_kind kind;            /* OP_UNWRAP or OP_DERIVE */
    struct object *by;                   /* a reference */
    struct key_material *by_material;
    struct vs_vault_info info;
    struct attr_list list;
};

static void outcome_auto(struct outcome *outcome)
{
    object_unref(outcome->by);
    attr_list_done(&outcome->list);
}

static bool outcome_has_ops(enum operation_kind kind, const struct mech_row *mech)
{
    return kind == OP_UNWRAP ? mech->wrap != NULL && mech->wrap->unwrap != NULL
                             : mech->derive != NULL;
}

/* Every rule, before any cryptography. */
static CK_RV outcome_allowed(struct call *call, const struct mech_row *mech, CK_OBJECT_HANDLE by,
                             const CK_ATTRIBUTE *attributes, CK_ULONG count, struct outcome *o)
{
    bool unwrap = o->kind == OP_UNWRAP;
    TRY(usage_check(call, o->kind, mech, by, &o->by, &o->by_material));
    if (!outcome_has_ops(o->kind, mech))
        return trace_fail(CKR_MECHANISM_INVALID, "%s does not do this", mech->name);
    struct template_context context = {
        .use = unwrap ? TEMPLATE_UNWRAP : TEMPLATE_DERIVE,
        .cls = CK_UNAVAILABLE_INFORMATION,
        .key_type = CK_UNAVAILABLE_INFORMATION,
        .mechanism = CK_UNAVAILABLE_INFORMATION,
        .imposed = attr_set_find(o->by->attrs, unwrap ? CKA_UNWRAP_TEMPLATE : CKA_DERIVE_TEMPLATE),
    };
    TRY(object_context(call, &o->info, &context));
    TRY(template_apply(&context, attributes, count, &o->list));
    CK_OBJECT_CLASS cls = attr_ulong(&o->list, CKA_CLASS, CK_UNAVAILABLE_INFORMATION);
    if (cls == CKO_PUBLIC_KEY || (!unwrap && cls != CKO_SECRET_KEY))
        return trace_fail(CKR_TEMPLATE_INCONSISTENT, "no key of class 0x%lx comes out of this",
                          cls);
    return object_may_make(call, &o->list);
}

/* The check value apart, a template cannot be at fault any more once the bytes are there: whatever
 * is wrong with them is one error, so that it tells nothing of the padding. */
static CK_RV unwrap_fold(CK_RV rv)
{
    bool ours = rv == CKR_OK || rv == CKR_HOST_MEMORY || rv == CKR_GENERAL_ERROR
             || rv == CKR_FUNCTION_FAILED;
    return ours ? rv : CKR_WRAPPED_KEY_INVALID;
}

static CK_RV unwrap_run(struct crypto *c, const uint8_t *in, size_t in_len, struct outcome *o)
{
    static const struct key_history history = {.mechanism = CK_UNAVAILABLE_INFORMATION};
    AUTO(secret) struct secret bytes = {0};
    if (attr_ulong(&o->list, CKA_CLASS, 0) == CKO_SECRET_KEY) {
        c->target_type = attr_ulong(&o->list, CKA_KEY_TYPE, CK_UNAVAILABLE_INFORMATION);
        c->target_len = attr_ulong(&o->list, CKA_VALUE_LEN, 0);
    }
    TRY(c->mech->wrap->unwrap(c, in, in_len, &bytes));
    TRY(unwrap_fold(key_import(bytes.data, bytes.len, &o->list)));
    TRY(key_history_put(&o->list, &history));
    return unwrap_fold(key_complete(&o->list, o->info.policy.min_rsa_bits));
}

static CK_RV derive_run(struct crypto *c, struct outcome *o)
{
    const struct key_history history = {
        .mechanism = CK_UNAVAILABLE_INFORMATION,
        .sensitive = attr_set_bool(o->by->attrs, CKA_ALWAYS_SENSITIVE, false),
        .unextractable = attr_set_bool(o->by->attrs, CKA_NEVER_EXTRACTABLE, false),
    };
    AUTO(secret) struct secret value = {0};
    TRY(c->mech->derive->derive(c, attr_ulong(&o->list, CKA_VALUE_LEN, 0), &value));
    TRY(attr_append(&o->list, CKA_VALUE, value.data, value.len));
    TRY(key_history_put(&o->list, &history));
    return key_complete(&o->list, o->info.policy.min_rsa_bits);
}

/* in NULL: derive. */
static CK_RV key_outcome(struct call *call, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE by,
                         const uint8_t *in, size_t in_len, const CK_ATTRIBUTE *attributes,
                         CK_ULONG count, struct outcome *o)
{
    const struct mech_row *mech;
    struct crypto c;
    TRY(mech_prepare(mechanism, &mech, &c.param));
    CK_RV rv = outcome_allowed(call, mech, by, attributes, count, o);
    if (rv != CKR_OK) {
        mech_param_done(&c.param);
        return rv;
    }
    crypto_begin(call->session, &c, mech, o->by_material, false);
    rv = o->kind == OP_UNWRAP ? unwrap_run(&c, in, in_len, o) : derive_run(&c, o);
    crypto_end(call->session, &c, rv == CKR_OK);
    use_note(call, o->by, o->kind, rv);
    return rv;
}

static CK_RV key_unwrap(struct call *call, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE by,
                        const uint8_t *in, CK_ULONG in_len, const CK_ATTRIBUTE *attributes,
                        CK_ULONG count, CK_OBJECT_HANDLE *ret_key)
{
    AUTO(outcome) struct outcome o;
    o.kind = OP_UNWRAP;
    o.by = NULL;
    attr_list_init(&o.list);
    TRY(key_outcome(call, mechanism, by, in, in_len, attributes, count, &o));
    return object_make(call, &o.list, 1, VS_ORIGIN_UNWRAPPED, "KeyUnwrap", ret_key);
}

CK_RV C_UnwrapKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                  CK_OBJECT_HANDLE hUnwrappingKey, CK_BYTE_PTR pWrappedKey,
                  CK_ULONG ulWrappedKeyLen, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount,
                  CK_OBJECT_HANDLE_PTR phKey)
{
    CALL_SESSION(C_UnwrapKey, hSession);
    if (phKey == NULL || pWrappedKey == NULL)
        return call_end(&call, trace_fail(CKR_ARGUMENTS_BAD, "a pointer is NULL"));
    return call_end(&call, key_unwrap(&call, pMechanism, hUnwrappingKey, pWrappedKey,
                                      ulWrappedKeyLen, pTemplate, ulAttributeCount, phKey));
}

static CK_RV key_derive(struct call *call, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE by,
                        const CK_ATTRIBUTE *attributes, CK_ULONG count, CK_OBJECT_HANDLE *ret_key)
{
    AUTO(outcome) struct outcome o;
    o.kind = OP_DERIVE;
    o.by = NULL;
    attr_list_init(&o.list);
    TRY(key_outcome(call, mechanism, by, NULL, 0, attributes, count, &o));
    return object_make(call, &o.list, 1, VS_ORIGIN_DERIVED, "KeyDerive", ret_key);
}

CK_RV C_DeriveKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                  CK_OBJECT_HANDLE hBaseKey, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount,
                  CK_OBJECT_HANDLE_PTR phKey)
{
    CALL_SESSION(C_DeriveKey, hSession);
    if (phKey == NULL)
        return call_end(&call, trace_fail(CKR_ARGUMENTS_BAD, "phKey is NULL"));
    return call_end(&call, key_derive(&call, pMechanism, hBaseKey, pTemplate, ulAttributeCount,
                                      phKey));
}
