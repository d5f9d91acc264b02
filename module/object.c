/* See object.h: snapshots and their lookup. */
#include "object.h"

#include <stdlib.h>
#include <string.h>

#include "call.h"

/* ------------------------------------------------------------------ snapshots */

struct object *object_ref(struct object *object)
{
    atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
    return object;
}

void object_unref(struct object *object)
{
    if (object == NULL
        || atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel) != 1)
        return;
    key_material_unref(atomic_load_explicit(&object->key, memory_order_relaxed));
    attr_set_free(object->attrs);
    origin_unref(object->origin);
    free(object);
}

/* Ascending by type, as attr_set's items are. */
static const struct bit_row {
    CK_ATTRIBUTE_TYPE type;
    unsigned bit;
} BITS[] = {
    {CKA_TOKEN, OBJ_TOKEN},
    {CKA_PRIVATE, OBJ_PRIVATE},
    {CKA_TRUSTED, OBJ_TRUSTED},
    {CKA_SENSITIVE, OBJ_SENSITIVE},
    {CKA_ENCRYPT, OBJ_ENCRYPT},
    {CKA_DECRYPT, OBJ_DECRYPT},
    {CKA_WRAP, OBJ_WRAP},
    {CKA_UNWRAP, OBJ_UNWRAP},
    {CKA_SIGN, OBJ_SIGN},
    {CKA_SIGN_RECOVER, OBJ_SIGN_RECOVER},
    {CKA_VERIFY, OBJ_VERIFY},
    {CKA_VERIFY_RECOVER, OBJ_VERIFY_RECOVER},
    {CKA_DERIVE, OBJ_DERIVE},
    {CKA_EXTRACTABLE, OBJ_EXTRACTABLE},
    {CKA_MODIFIABLE, OBJ_MODIFIABLE},
    {CKA_COPYABLE, OBJ_COPYABLE},
    {CKA_DESTROYABLE, OBJ_DESTROYABLE},
    {CKA_ALWAYS_AUTHENTICATE, OBJ_ALWAYS_AUTH},
    {CKA_WRAP_WITH_TRUSTED, OBJ_WRAP_WITH_TRUSTED},
};
#define BITS_COUNT (sizeof BITS / sizeof BITS[0])

static unsigned bits_of(const struct attr_set *attrs)
{
    unsigned bits = 0;
    size_t row = 0;
    for (size_t i = 0; i < attrs->n && row < BITS_COUNT; i++) {
        const struct attr *attr = &attrs->items[i];
        while (row < BITS_COUNT && BITS[row].type < attr->type)
            row++;
        if (row < BITS_COUNT && BITS[row].type == attr->type && attr->len == sizeof(CK_BBOOL)
            && attr->value[0] != CK_FALSE)
            bits |= BITS[row].bit;
    }
    return bits;
}

CK_RV object_new(struct attr_set *attrs, struct object **ret_object)
{
    struct object *object = calloc(1, sizeof *object);
    if (object == NULL) {
        attr_set_free(attrs);
        return CKR_HOST_MEMORY;
    }
    object->refs = 1;
    object->attrs = attrs;
    object->cls = attr_set_ulong(attrs, CKA_CLASS, CK_UNAVAILABLE_INFORMATION);
    object->key_type = attr_set_ulong(attrs, CKA_KEY_TYPE, CK_UNAVAILABLE_INFORMATION);
    object->bits = bits_of(attrs);
    object->header.state = VS_STATE_ACTIVE;
    const struct attr *allowed = attr_set_find(attrs, CKA_ALLOWED_MECHANISMS);
    if (allowed != NULL) {      /* values in a set are aligned */
        object->allowed = (const CK_MECHANISM_TYPE *)(const void *)allowed->value;
        object->n_allowed = allowed->len / sizeof(CK_MECHANISM_TYPE);
    }
    *ret_object = object;
    return CKR_OK;
}

CK_RV object_new_found(const struct vs_header *header, uint64_t txnid, struct object **ret_object)
{
    struct object *object = calloc(1, sizeof *object);
    if (object == NULL)
        return CKR_HOST_MEMORY;
    object->refs = 1;
    object->slot = header->vault;
    object->cls = header->kind;
    object->key_type = CK_UNAVAILABLE_INFORMATION;
    object->bits = OBJ_TOKEN | (header->is_private ? OBJ_PRIVATE : 0u);
    object->header = *header;
    object->seen_txnid = txnid;
    *ret_object = object;
    return CKR_OK;
}

CK_RV object_key(struct object *object, struct key_material **ret_key)
{
    struct key_material *key = atomic_load_explicit(&object->key, memory_order_acquire);
    if (key == NULL) {
        struct key_material *made = NULL;
        TRY(key_material_new(object->attrs, &made));
        if (atomic_compare_exchange_strong(&object->key, &key, made))
            key = made;
        else
            key_material_unref(made);    /* another thread was faster */
    }
    *ret_key = key;
    return CKR_OK;
}

CK_RV object_allows(const struct object *object, CK_MECHANISM_TYPE mechanism)
{
    if (object->allowed == NULL)
        return CKR_OK;
    for (size_t i = 0; i < object->n_allowed; i++)
        if (object->allowed[i] == mechanism)
            return CKR_OK;
    return trace_fail(CKR_MECHANISM_INVALID, "CKA_ALLOWED_MECHANISMS of the key has no 0x%lx",
                      mechanism);
}

/* ------------------------------------------------------------------ token objects, read */

static bool header_deleted(const struct vs_header *header)
{
    return header->state == VS_STATE_DELETED;
}

static CK_RV handle_invalid(const char *why)
{
    return trace_fail(CKR_OBJECT_HANDLE_INVALID, "%s", why);
}

static void vs_object_auto(struct vs_object *object)
{
    vs_object_done(object);
}

static CK_RV object_read(struct slot *slot, const struct vs_id *id, struct vs_object *ret_read)
{
    pthread_rwlock_rdlock(&slot->lock);
    int status = vs_object_read(module_state()->store, (uint32_t)slot->id, slot->login, id,
                                ret_read);
    pthread_rwlock_unlock(&slot->lock);
    if (status == VS_NOT_FOUND || status == VS_DENIED || status == VS_REVOKED)
        return handle_invalid("the object is gone or out of reach");
    return store_status(status, "reading an object");
}

CK_RV object_new_read(struct call *call, const struct vs_id *id, struct object **ret_object)
{
    AUTO(vs_object) struct vs_object read = {0};
    struct attr_set *attrs = NULL;
    struct object *object = NULL;
    struct slot *slot = call->session->slot;
    TRY(object_read(slot, id, &read));
    TRY(object_decode(read.attrs, read.attrs_len, &attrs));
    TRY(object_new(attrs, &object));
    object->slot = slot->id;
    object->header = read.header;
    object->seen_txnid = call->txnid;
    *ret_object = object;
    return CKR_OK;
}

/* For the audit: the call was about an object that is deleted or purged by now. */
static void call_gone(struct call *call, const struct object *object)
{
    call->gone = *object_bound_by(object);
    call->has_gone = true;
}

/* A handle got of a live object never means the deleted one: destroying that would purge it. */
static CK_RV handle_outlived(struct call *call, const struct object *object,
                             const struct vs_header *now)
{
    if (!header_deleted(now) || header_deleted(&object->header))
        return CKR_OK;
    call_gone(call, object);
    handle_remove(module_state()->handles, object->handle);
    return handle_invalid("the object has been deleted");
}

/* A new snapshot of what the store has now; the decoded key never changes and moves along. */
static CK_RV object_reload(struct call *call, struct object *former, struct object **ret_object)
{
    AUTO(object) struct object *read = NULL;
    TRY(object_new_read(call, &former->header.id, &read));
    TRY(handle_outlived(call, former, &read->header));
    struct object *object = read;
    read = NULL;
    struct key_material *key = atomic_load(&former->key);
    if (key != NULL)
        object->key = key_material_ref(key);
    *ret_object = object_ref(object);
    handle_replace(module_state()->handles, former->handle, object);
    return CKR_OK;
}

/* After the store moved: is it still there, and the same? CKR_OBJECT_HANDLE_INVALID: the handle
 * has died. */
static CK_RV object_peek(struct call *call, struct object *object, bool *ret_same)
{
    struct vs_header header;
    int status = vs_object_peek(module_state()->store, (uint32_t)object->slot, &object->header.id,
                                &header);
    if (status == VS_NOT_FOUND) {
        call_gone(call, object);
        handle_remove(module_state()->handles, object->handle);
        return handle_invalid("the object is gone");
    }
    TRY(store_status(status, "looking an object up"));
    TRY(handle_outlived(call, object, &header));
    /* What depends on the policy changes without the object's doing. */
    *ret_same = header.version == object->header.version
             && header.recovery_level == object->header.recovery_level
             && header.outdated == object->header.outdated
             && header.needs_backup == object->header.needs_backup;
    if (*ret_same)
        atomic_store_explicit(&object->seen_txnid, call->txnid, memory_order_relaxed);
    return CKR_OK;
}

static bool object_current(const struct call *call, const struct object *object)
{
    uint64_t seen = atomic_load_explicit(&object->seen_txnid, memory_order_relaxed);
    return (object->bits & OBJ_TOKEN) == 0
        || (seen >= call->txnid && seen != VS_TXNID_UNKNOWN);
}

/* ------------------------------------------------------------------ lookup */

static enum login_role role_of(const struct call *call)
{
    return (enum login_role)atomic_load_explicit(&call->session->slot->role,
                                                 memory_order_relaxed);
}

bool object_is_governed(const struct call *call, const struct object *object)
{
    return header_deleted(&object->header)
        || ((object->bits & OBJ_PRIVATE) != 0 && role_of(call) == LOGIN_SO);
}

static bool object_visible(const struct call *call, const struct object *object)
{
    enum login_role role = role_of(call);
    if (object->slot != call->session->slot->id)
        return false;
    if ((object->bits & OBJ_PRIVATE) != 0 && (object->bits & OBJ_TOKEN) != 0
        && !slot_may(call->session->slot, &object->header.id, VS_VERBS_ALL))
        return false;
    return (object->bits & OBJ_PRIVATE) == 0 || role == LOGIN_USER
        || (role == LOGIN_SO && (object->bits & OBJ_TOKEN) != 0);
}

CK_RV object_orphaned(const struct object *object, bool *ret_orphaned)
{
    enum vs_state state = VS_STATE_ACTIVE;
    if (object->origin != NULL)
        TRY(object_state(object, &state));
    *ret_orphaned = state == VS_STATE_DELETED || state == VS_STATE_PURGED;
    return CKR_OK;
}

CK_RV object_get_any(struct call *call, CK_OBJECT_HANDLE handle, struct object **ret_object)
{
    AUTO(object) struct object *object = handle_get(module_state()->handles, handle);
    if (object == NULL)
        return handle_invalid("no such handle");
    if (!object_visible(call, object))
        return handle_invalid("the session does not see this object");
    bool same = true;
    if (!object_current(call, object))
        TRY(object_peek(call, object, &same));
    if (!same || object->attrs == NULL)
        return object_reload(call, object, ret_object);
    *ret_object = object;
    object = NULL;
    return CKR_OK;
}

CK_RV object_get(struct call *call, CK_OBJECT_HANDLE handle, struct object **ret_object)
{
    AUTO(object) struct object *object = NULL;
    TRY(object_get_any(call, handle, &object));
    if (object_is_governed(call, object)) {
        call->gone = object->header.id;
        call->has_gone = header_deleted(&object->header);
        return handle_invalid("the object is deleted, or not the SO's to use");
    }
    bool orphaned = false;
    TRY(object_orphaned(object, &orphaned));
    if (orphaned) {
        call_gone(call, object);
        return handle_invalid("what it is a copy of has been deleted");
    }
    *ret_object = object;
    object = NULL;
    return CKR_OK;
}

const struct vs_id *object_bound_by(const struct object *object)
{
    return (object->bits & OBJ_TOKEN) != 0 ? &object->header.id
           : object->origin != NULL        ? origin_id(object->origin)
                                           : NULL;
}

CK_RV object_header(const struct object *object, struct vs_header *ret_header)
{
    if (object->origin == NULL) {
        *ret_header = object->header;
        return CKR_OK;
    }
    return store_status(origin_header(object->origin, module_state()->store,
                                      (uint32_t)object->slot, ret_header),
                        "looking an original up");
}

CK_RV object_state(const struct object *object, enum vs_state *ret_state)
{
    struct vs_header original;
    if (object->origin == NULL) {
        *ret_state = header_state(module_state()->store, &object->header);
        return CKR_OK;
    }
    CK_RV rv = object_header(object, &original);
    if (rv == CKR_OK)
        *ret_state = original.effective;
    else if (rv == CKR_OBJECT_HANDLE_INVALID)
        *ret_state = VS_STATE_PURGED;
    return rv == CKR_OBJECT_HANDLE_INVALID ? CKR_OK : rv;
}

bool state_allows(enum vs_state state, bool new_use)
{
    return state == VS_STATE_ACTIVE || (state == VS_STATE_EXPIRED && !new_use);
}

/* Changed by another process: what was begun with the old snapshot is judged by the new one, then
 * *ret_read. CKR_OBJECT_HANDLE_INVALID: it is gone, or deleted. */
static CK_RV object_renew(struct call *call, struct object *object, struct object **ret_read)
{
    bool same = true;
    if (!object_current(call, object))
        TRY(object_peek(call, object, &same));
    return same ? CKR_OK : object_reload(call, object, ret_read);
}

static CK_RV usable_now(struct call *call, struct object *object, bool new_use, bool *ret_usable)
{
    AUTO(object) struct object *read = NULL;
    enum vs_state state = VS_STATE_PURGED;
    TRY(object_renew(call, object, &read));
    if (read != NULL)
        object = read;
    if (!object_is_governed(call, object))
        TRY(object_state(object, &state));
    *ret_usable = state_allows(state, new_use);
    return CKR_OK;
}

CK_RV object_still_usable(struct call *call, struct object *object, bool new_use,
                          bool *ret_usable)
{
    AUTO(object) struct object *now = NULL;
    *ret_usable = false;
    if (atomic_load_explicit(&object->dead, memory_order_relaxed)
        || !object_visible(call, object))
        return CKR_OK;
    if (atomic_load_explicit(&object->superseded, memory_order_relaxed)) {
        now = handle_get(module_state()->handles, object->handle);
        if (now == NULL)
            return CKR_OK;
        object = now;
    }
    CK_RV rv = usable_now(call, object, new_use, ret_usable);
    return rv == CKR_OBJECT_HANDLE_INVALID ? CKR_OK : rv;
}
