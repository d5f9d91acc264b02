/* object_make.c: finished attributes become session objects, or objects in the vault. */
#include <stdlib.h>
#include <string.h>

#include "attr_table.h"
#include "call.h"
#include "template.h"

#define MAKE_MAX 2u      /* a key pair */

struct making {
    struct attr_set *attrs;      /* the object's, once it is there */
    struct object *object;
    bool token;
    struct secret bytes, joined;
    struct vs_term terms[VS_INDEX_MAX];
    size_t n_terms;
    struct vs_govern govern;
};

struct makings { struct making each[MAKE_MAX]; size_t n; };

static void makings_auto(struct makings *makings)
{
    for (size_t i = 0; i < makings->n; i++) {
        object_unref(makings->each[i].object);
        secret_done(&makings->each[i].bytes);
        secret_done(&makings->each[i].joined);
    }
}

CK_RV object_context(const struct call *call, struct vs_vault_info *ret_info,
                     struct template_context *context)
{
    struct slot *slot = call->session->slot;
    TRY(slot_info(slot, ret_info, NULL));
    uint32_t role = atomic_load_explicit(&slot->role, memory_order_relaxed);
    context->so = role == LOGIN_SO;
    context->user = role == LOGIN_USER;
    context->strict = ret_info->policy.refuse_conflicts;
    return CKR_OK;
}

CK_RV key_history_put(struct attr_list *list, const struct key_history *history)
{
    CK_OBJECT_CLASS cls = attr_ulong(list, CKA_CLASS, CK_UNAVAILABLE_INFORMATION);
    bool concealed = cls == CKO_PRIVATE_KEY || cls == CKO_SECRET_KEY;
    if (!concealed && cls != CKO_PUBLIC_KEY)
        return CKR_OK;
    CK_BBOOL local = history->local ? CK_TRUE : CK_FALSE;
    TRY(attr_append(list, CKA_LOCAL, &local, sizeof local));
    TRY(attr_append(list, CKA_KEY_GEN_MECHANISM, &history->mechanism, sizeof history->mechanism));
    if (!concealed)
        return CKR_OK;
    CK_BBOOL sensitive = history->sensitive && attr_bool(list, CKA_SENSITIVE, false);
    CK_BBOOL kept = history->unextractable && !attr_bool(list, CKA_EXTRACTABLE, true);
    TRY(attr_append(list, CKA_ALWAYS_SENSITIVE, &sensitive, sizeof sensitive));
    return attr_append(list, CKA_NEVER_EXTRACTABLE, &kept, sizeof kept);
}

CK_RV object_may_make(struct call *call, const struct attr_list *list)
{
    const struct session *session = call->session;
    bool token = attr_bool(list, CKA_TOKEN, false);
    if (attr_bool(list, CKA_PRIVATE, false)
        && atomic_load_explicit(&session->slot->role, memory_order_relaxed) != LOGIN_USER)
        return trace_fail(CKR_USER_NOT_LOGGED_IN, "a private object needs the user's login");
    if (!token)
        return CKR_OK;
    if (!session_rw(session))
        return trace_fail(CKR_SESSION_READ_ONLY, "a token object needs a read-write session");
    struct vs_vault_info info;
    TRY(slot_info(session->slot, &info, NULL));
    return info.read_only ? CKR_TOKEN_WRITE_PROTECTED : CKR_OK;
}

/* What of the vault an object comes from. */
struct descent {
    enum vs_origin origin;
    const struct vs_id *formers;     /* of next versions, one each; else NULL */
    const struct vs_id *original;    /* of a copy; else NULL */
};

static CK_RV making_begin(struct call *call, struct attr_list *list, const struct descent *descent,
                          struct making *making)
{
    TRY(object_may_make(call, list));
    TRY(object_govern_take(list, &making->govern));
    if (making->govern.set != 0 && !attr_bool(list, CKA_TOKEN, false))
        return trace_fail(CKR_TEMPLATE_INCONSISTENT, "a session object has no lifecycle");
    struct attr_set *attrs = NULL;
    TRY(attr_set_new(list, &attrs));
    TRY(object_new(attrs, &making->object));
    making->attrs = attrs;
    making->object->slot = call->session->slot->id;
    making->object->header.origin = descent->origin;
    making->token = (making->object->bits & OBJ_TOKEN) != 0;
    if (!making->token) {
        making->object->session = call->session->handle;
        if (descent->original != NULL)
            making->object->origin = origin_new(descent->original);
        return descent->original != NULL && making->object->origin == NULL ? CKR_HOST_MEMORY
                                                                           : CKR_OK;
    }
    TRY(object_encode(attrs, &making->bytes));
    return object_terms(attrs, &making->joined, making->terms, &making->n_terms);
}

static struct vs_new_object making_new_object(const struct making *making, const char *operation,
                                              const struct vs_id *former,
                                              const struct vs_id *copy_of)
{
    const struct object *object = making->object;
    return (struct vs_new_object){
        .kind = (uint32_t)object->cls,
        .is_private = (object->bits & OBJ_PRIVATE) != 0,
        .destroyable = (object->bits & OBJ_DESTROYABLE) != 0,
        .origin = object->header.origin,
        .attrs = making->bytes.data,
        .attrs_len = making->bytes.len,
        .terms = making->terms,
        .n_terms = making->n_terms,
        .operation = operation,
        .former = former,
        .copy_of = copy_of,
        .govern = making->govern.set != 0 ? &making->govern : NULL,
    };
}

/* One transaction for all that belong to the vault. */
static CK_RV makings_store(struct slot *slot, struct makings *makings, const char *operation,
                           const struct descent *descent)
{
    const struct vs_id *formers = descent->formers;
    struct vs_new_object objects[MAKE_MAX];
    struct vs_id ids[MAKE_MAX];
    size_t n = 0;
    for (size_t i = 0; i < makings->n; i++)
        if (makings->each[i].token)
            objects[n++] = making_new_object(&makings->each[i], operation,
                                             formers ? &formers[i] : NULL, descent->original);
    if (n == 0)
        return CKR_OK;
    struct vs_store *store = module_state()->store;
    pthread_rwlock_rdlock(&slot->lock);
    int status = vs_object_create(store, (uint32_t)slot->id, slot->login, objects, n, ids);
    pthread_rwlock_unlock(&slot->lock);
    if (status == VS_WRONG_STATE && descent->original != NULL)
        return trace_fail(CKR_ACTION_PROHIBITED,
                          "only an active object is copied, and this one is none by now");
    if (status == VS_DENIED && atomic_load(&slot->role) != LOGIN_NONE)
        return trace_fail(CKR_TOKEN_WRITE_PROTECTED, "who is logged in lacks the verb %s, or one "
                                                     "for what the template governs",
                          trace_verb_names(vs_create_verb(objects[0].origin,
                                                          objects[0].former != NULL)));
    if (status == VS_POLICY)
        return trace_fail(CKR_TEMPLATE_INCONSISTENT, "the new object's dates, lock or age are out of range, or it would "
                          "never be active");
    TRY(store_status(status, "making an object"));
    for (size_t i = 0, id = 0; i < makings->n; i++) {
        struct object *object = makings->each[i].object;
        if (!makings->each[i].token)
            continue;
        uint64_t txnid = vs_store_txnid(store);
        object->header.id = ids[id++];
        /* Gone again already: the first use of the handle finds that out. */
        if (vs_object_peek(store, (uint32_t)slot->id, &object->header.id, &object->header) == VS_OK)
            object->seen_txnid = txnid;
    }
    return CKR_OK;
}

static CK_RV objects_make(struct call *call, struct attr_list *lists, size_t n,
                          const struct descent *descent, const char *operation,
                          CK_OBJECT_HANDLE *ret_handles)
{
    AUTO(makings) struct makings makings = {.n = n};
    CK_OBJECT_HANDLE handles[MAKE_MAX] = {0};
    for (size_t i = 0; i < n; i++)
        TRY(making_begin(call, &lists[i], descent, &makings.each[i]));
    TRY(makings_store(call->session->slot, &makings, operation, descent));
    CK_RV rv = CKR_OK;
    for (size_t i = 0; i < n && rv == CKR_OK; i++) {
        rv = handle_add(module_state()->handles, makings.each[i].object, &handles[i]);
        if (rv == CKR_OK)
            makings.each[i].object = NULL;   /* the table has the reference now */
    }
    for (size_t i = 0; i < n && rv != CKR_OK; i++)
        handle_remove(module_state()->handles, handles[i]);
    if (rv == CKR_OK)
        memcpy(ret_handles, handles, n * sizeof *handles);
    return rv;
}

CK_RV object_make(struct call *call, struct attr_list *lists, size_t n, enum vs_origin origin,
                  const char *operation, CK_OBJECT_HANDLE *ret_handles)
{
    const struct descent descent = {.origin = origin};
    return objects_make(call, lists, n, &descent, operation, ret_handles);
}

CK_RV object_make_copy(struct call *call, struct attr_list *list, const struct object *from,
                       CK_OBJECT_HANDLE *ret_handle)
{
    const struct descent descent = {.origin = from->header.origin,
                                    .original = object_bound_by(from)};
    return objects_make(call, list, 1, &descent, "KeyCopy", ret_handle);
}

CK_RV object_make_next(struct call *call, struct attr_list *lists, size_t n,
                       const struct vs_id *formers, CK_OBJECT_HANDLE *ret_handles)
{
    const struct descent descent = {.origin = VS_ORIGIN_GENERATED, .formers = formers};
    return objects_make(call, lists, n, &descent, "KeyRotate", ret_handles);
}
