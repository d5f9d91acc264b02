/* entry_object.c: objects (5.7): argument checks, then one call inward. */
#include <string.h>
#include <time.h>

#include "call.h"
#include "object_find.h"
#include "template.h"

static CK_RV object_create(struct call *call, const CK_ATTRIBUTE *attributes, CK_ULONG count,
                           CK_OBJECT_HANDLE *ret_handle)
{
    AUTO(attr_list) struct attr_list list;
    attr_list_init(&list);
    struct vs_vault_info info;
    struct template_context context = {
        .use = TEMPLATE_CREATE,
        .cls = CK_UNAVAILABLE_INFORMATION,
        .key_type = CK_UNAVAILABLE_INFORMATION,
        .mechanism = CK_UNAVAILABLE_INFORMATION,
    };
    TRY(object_context(call, &info, &context));
    TRY(template_apply(&context, attributes, count, &list));
    TRY(object_may_make(call, &list));
    TRY(key_history_put(&list, &(struct key_history){.mechanism = CK_UNAVAILABLE_INFORMATION}));
    TRY(key_complete(&list, info.policy.min_rsa_bits));
    return object_make(call, &list, 1, VS_ORIGIN_CREATED, "KeyImport", ret_handle);
}

CK_RV C_CreateObject(CK_SESSION_HANDLE hSession, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount,
                     CK_OBJECT_HANDLE_PTR phObject)
{
    CALL_SESSION(C_CreateObject, hSession);
    if (phObject == NULL)
        return call_end(&call, trace_fail(CKR_ARGUMENTS_BAD, "phObject is NULL"));
    return call_end(&call, object_create(&call, pTemplate, ulCount, phObject));
}

/* What the verbs do not allow of the original they do not allow of a copy. */
static CK_RV copy_allowed(struct call *call, const struct object *object)
{
    const struct vs_id *bound_by = object_bound_by(object);
    return bound_by == NULL || slot_may(call->session->slot, bound_by, VS_VERB_GET)
               ? CKR_OK
               : trace_fail(CKR_ACTION_PROHIBITED,
                            "who is logged in lacks the verb get, which a copy takes");
}

static CK_RV object_copy(struct call *call, CK_OBJECT_HANDLE handle,
                         const CK_ATTRIBUTE *attributes, CK_ULONG count,
                         CK_OBJECT_HANDLE *ret_handle)
{
    AUTO(object) struct object *object = NULL;
    AUTO(attr_list) struct attr_list list;
    attr_list_init(&list);
    struct vs_vault_info info;
    struct template_context context = {.use = TEMPLATE_COPY};
    enum vs_state state = VS_STATE_ACTIVE;
    TRY(object_get_any(call, handle, &object));
    TRY(object_state(object, &state));
    if (object_is_governed(call, object) || state != VS_STATE_ACTIVE)
        return trace_fail(CKR_ACTION_PROHIBITED, "only an active object is copied");
    if ((object->bits & OBJ_COPYABLE) == 0)
        return trace_fail(CKR_ACTION_PROHIBITED, "CKA_COPYABLE is CK_FALSE");
    context.base = object->attrs;
    TRY(object_context(call, &info, &context));
    TRY(template_apply(&context, attributes, count, &list));
    TRY(copy_allowed(call, object));
    CK_RV rv = object_make_copy(call, &list, object, ret_handle);
    /* unlike for other ways of making objects, the standard has a code for a missing verb here */
    return rv == CKR_TOKEN_WRITE_PROTECTED && !info.read_only ? CKR_ACTION_PROHIBITED : rv;
}

CK_RV C_CopyObject(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ATTRIBUTE_PTR pTemplate,
                   CK_ULONG ulCount, CK_OBJECT_HANDLE_PTR phNewObject)
{
    CALL_SESSION(C_CopyObject, hSession);
    if (phNewObject == NULL)
        return call_end(&call, trace_fail(CKR_ARGUMENTS_BAD, "phNewObject is NULL"));
    return call_end(&call, object_copy(&call, hObject, pTemplate, ulCount, phNewObject));
}

/* ------------------------------------------------------------------ the end of objects */

/* As much of it as a tombstone keeps. */
static void object_label(const struct object *object, char ret_label[VS_ACTOR_MAX])
{
    const struct attr *label = object->attrs ? attr_set_find(object->attrs, CKA_LABEL) : NULL;
    size_t len = label == NULL ? 0 : label->len < VS_ACTOR_MAX - 1 ? label->len : VS_ACTOR_MAX - 1;
    if (len != 0)
        memcpy(ret_label, label->value, len);
    ret_label[len] = 0;
}

static CK_RV approval_tell(const struct vs_approvals *approvals)
{
    time_t until = (time_t)approvals->until;
    char text[32] = "";
    struct tm tm;
    if (gmtime_r(&until, &tm) != NULL)
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    uint32_t more = approvals->wanted - approvals->n;
    return trace_fail(CKR_ACTION_PROHIBITED,
                      RPV_REASON_APPROVAL "%u of %u; %u more must purge it before %s",
                      approvals->n, approvals->wanted, more, text);
}

/* Soft delete of a live object, purge of a deleted one; the handle dies after the commit. */
static CK_RV token_destroy(struct call *call, const struct object *object)
{
    struct slot *slot = call->session->slot;
    struct vs_store *store = module_state()->store;
    bool purge = object->header.state == VS_STATE_DELETED;
    pthread_rwlock_rdlock(&slot->lock);
    char label[VS_ACTOR_MAX] = "";
    object_label(object, label);
    struct vs_approvals approvals = {.n = 0};
    int status = purge ? vs_object_purge_told(store, (uint32_t)slot->id, slot->login,
                                              &object->header.id, &approvals)
                       : vs_object_delete_labelled(store, (uint32_t)slot->id, slot->login,
                                                   &object->header.id, label);
    pthread_rwlock_unlock(&slot->lock);
    if (status == VS_PENDING)
        return approval_tell(&approvals);
    if (status == VS_POLICY)
        return trace_fail(CKR_ACTION_PROHIBITED,
                          "delete: the vault's policy wants the object disabled first "
                          "(disable_before_delete)");
    if (status == VS_WRONG_STATE)
        status = VS_NOT_FOUND;    /* somebody else was faster: this handle's object is gone */
    if (status == VS_OK || status == VS_NOT_FOUND)
        handle_remove(module_state()->handles, object->handle);
    return lifecycle_status(status, purge ? "purge" : "delete",
                            purge ? VS_VERB_PURGE : VS_VERB_DELETE);
}

static CK_RV destroy_allowed(const struct call *call, const struct object *object)
{
    if (object->header.state == VS_STATE_DELETED)
        return CKR_OK;
    if (object_is_governed(call, object))
        return trace_fail(CKR_ACTION_PROHIBITED, "the SO does not delete private objects");
    if ((object->bits & OBJ_DESTROYABLE) == 0)
        return trace_fail(CKR_ACTION_PROHIBITED, "CKA_DESTROYABLE is CK_FALSE");
    return CKR_OK;
}

/* Was it deleted when this application looked last, and is live now? Then somebody else recovered
 * it, and what was to be a purge must not delete it. */
static CK_RV destroy_current(CK_OBJECT_HANDLE handle, const struct object *before,
                             const struct object *object)
{
    if (before == NULL || before->header.state != VS_STATE_DELETED
        || object->header.state == VS_STATE_DELETED)
        return CKR_OK;
    handle_remove(module_state()->handles, handle);
    return trace_fail(CKR_OBJECT_HANDLE_INVALID, "the object has been recovered");
}

static CK_RV object_destroy(struct call *call, CK_OBJECT_HANDLE handle)
{
    AUTO(object) struct object *before = handle_get(module_state()->handles, handle);
    AUTO(object) struct object *object = NULL;
    TRY(object_get_any(call, handle, &object));
    TRY(destroy_current(handle, before, object));
    bool token = (object->bits & OBJ_TOKEN) != 0;
    if (token && !session_rw(call->session))
        return trace_fail(CKR_SESSION_READ_ONLY, "a token object in a read-only session");
    TRY(destroy_allowed(call, object));
    if (token)
        return token_destroy(call, object);
    handle_remove(module_state()->handles, handle);
    return CKR_OK;
}

CK_RV C_DestroyObject(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject)
{
    CALL_SESSION(C_DestroyObject, hSession);
    return call_end(&call, object_destroy(&call, hObject));
}

/* ------------------------------------------------------------------ attributes */

static CK_RV object_size(struct call *call, CK_OBJECT_HANDLE handle, CK_ULONG *ret_size)
{
    AUTO(object) struct object *object = NULL;
    TRY(object_get_any(call, handle, &object));
    *ret_size = object->attrs->size;
    return CKR_OK;
}

CK_RV C_GetObjectSize(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ULONG_PTR pulSize)
{
    CALL_SESSION(C_GetObjectSize, hSession);
    if (pulSize == NULL)
        return call_end(&call, trace_fail(CKR_ARGUMENTS_BAD, "pulSize is NULL"));
    return call_end(&call, object_size(&call, hObject, pulSize));
}

static CK_RV attributes_get(struct call *call, CK_OBJECT_HANDLE handle, CK_ATTRIBUTE *attributes,
                            CK_ULONG count)
{
    AUTO(object) struct object *object = NULL;
    TRY(object_get_any(call, handle, &object));
    return object_attributes_get(call, object, attributes, count);
}

CK_RV C_GetAttributeValue(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject,
                          CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount)
{
    CALL_SESSION(C_GetAttributeValue, hSession);
    if (pTemplate == NULL && ulCount != 0)
        return call_end(&call, trace_fail(CKR_ARGUMENTS_BAD, "pTemplate is NULL"));
    return call_end(&call, attributes_get(&call, hObject, pTemplate, ulCount));
}

CK_RV C_SetAttributeValue(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject,
                          CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount)
{
    CALL_SESSION(C_SetAttributeValue, hSession);
    if (pTemplate == NULL && ulCount != 0)
        return call_end(&call, trace_fail(CKR_ARGUMENTS_BAD, "pTemplate is NULL"));
    return call_end(&call, object_attributes_set(&call, hObject, pTemplate, ulCount));
}

/* ------------------------------------------------------------------ search */

CK_RV C_FindObjectsInit(CK_SESSION_HANDLE hSession, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount)
{
    CALL_SESSION(C_FindObjectsInit, hSession);
    if (call.session->find != NULL)
        return call_end(&call, trace_fail(CKR_OPERATION_ACTIVE, "a search is active"));
    return call_end(&call, find_new(&call, pTemplate, ulCount, &call.session->find));
}

CK_RV C_FindObjects(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE_PTR phObject,
                    CK_ULONG ulMaxObjectCount, CK_ULONG_PTR pulObjectCount)
{
    CALL_SESSION(C_FindObjects, hSession);
    if (pulObjectCount == NULL || (phObject == NULL && ulMaxObjectCount != 0))
        return call_end(&call, trace_fail(CKR_ARGUMENTS_BAD, "a pointer is NULL"));
    struct find *find = call.session->find;
    if (find == NULL)
        return call_end(&call, trace_fail(CKR_OPERATION_NOT_INITIALIZED, "no search"));
    return call_end(&call, find_next(&call, find, phObject, ulMaxObjectCount, pulObjectCount));
}

CK_RV C_FindObjectsFinal(CK_SESSION_HANDLE hSession)
{
    CALL_SESSION(C_FindObjectsFinal, hSession);
    if (call.session->find == NULL)
        return call_end(&call, trace_fail(CKR_OPERATION_NOT_INITIALIZED, "no search"));
    find_free(call.session->find);
    call.session->find = NULL;
    return call_end(&call, CKR_OK);
}
