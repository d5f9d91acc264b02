/* object_set.c: C_SetAttributeValue: ordinary attributes, and the lifecycle's. */
#include <string.h>
#include <time.h>

#include "call.h"
#include "template.h"

#define SET_TRIES 64      /* each failure is somebody else's success */

/* ------------------------------------------------------------------ lifecycle */

static bool is_rpv(CK_ATTRIBUTE_TYPE type)
{
    return (type & ~0xffUL) == RPV_BASE;
}

static bool names_rpv(const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    for (CK_ULONG i = 0; i < count; i++) {
        CK_ATTRIBUTE_TYPE type;
        memcpy(&type, (const uint8_t *)&attributes[i] + offsetof(CK_ATTRIBUTE, type), sizeof type);
        if (is_rpv(type))
            return true;
    }
    return false;
}

static CK_RV prohibited(const char *why)
{
    return trace_fail(CKR_ACTION_PROHIBITED, "%s", why);
}

/* What the store refuses, in words a person can act on. */
static const struct refusal {
    int status;
    CK_RV rv;
    const char *why;
} REFUSALS[] = {
    {VS_RETAINED, CKR_ACTION_PROHIBITED,
     "purge protection keeps it until its purge date (CKA_RPV_PURGE_AT); it can be recovered"},
    {VS_HELD, CKR_ACTION_PROHIBITED, "a hold stands: release it first"},
    {VS_LOCKED, CKR_ACTION_PROHIBITED, "the object or its vault is locked: unlock it first"},
    {VS_WRONG_STATE, CKR_ACTION_PROHIBITED,
     "its state does not allow this: what is deleted can be recovered, held, or kept longer"},
    {VS_POLICY, CKR_ATTRIBUTE_VALUE_INVALID, "the date may only move later"},
    {VS_NOT_FOUND, CKR_OBJECT_HANDLE_INVALID, "the object is gone"},
    {VS_REVOKED, CKR_OBJECT_HANDLE_INVALID, "the object is gone"},
};

CK_RV lifecycle_status(int status, const char *what, uint32_t verbs)
{
    if (status == VS_DENIED)
        return trace_fail(CKR_ACTION_PROHIBITED, "%s: who is logged in lacks the verb %s", what,
                          trace_verb_names(verbs));
    for (size_t i = 0; i < sizeof REFUSALS / sizeof REFUSALS[0]; i++)
        if (REFUSALS[i].status == status)
            return trace_fail(REFUSALS[i].rv, "%s: %s", what, REFUSALS[i].why);
    return store_status(status, what);
}

static bool digits_parse(const uint8_t *text, size_t len, int *ret_value)
{
    int value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *ret_value = value;
    return true;
}

/* YYYYMMDDhhmmss00, a real date. */
static bool time_parse(const struct attr *attr, int64_t *ret_seconds)
{
    static const size_t widths[] = {4, 2, 2, 2, 2, 2, 2};
    int parts[7];
    if (attr->len != 16)
        return false;
    for (size_t i = 0, at = 0; i < 7; at += widths[i++])
        if (!digits_parse(attr->value + at, widths[i], &parts[i]))
            return false;
    struct tm tm = {.tm_year = parts[0] - 1900, .tm_mon = parts[1] - 1, .tm_mday = parts[2],
                    .tm_hour = parts[3], .tm_min = parts[4], .tm_sec = parts[5]};
    time_t seconds = timegm(&tm);
    if (seconds <= 0 || tm.tm_mon != parts[1] - 1 || tm.tm_mday != parts[2]
        || tm.tm_hour != parts[3] || tm.tm_min != parts[4])
        return false;
    *ret_seconds = seconds;
    return true;
}

/* The new snapshot goes behind the handle; the key is the same. */
static void snapshot_replace(struct object *former, struct object *object)
{
    object->slot = former->slot;
    object->session = former->session;
    object->origin = former->origin != NULL ? origin_ref(former->origin) : NULL;
    struct key_material *key = atomic_load(&former->key);
    if (key != NULL)
        object->key = key_material_ref(key);
    handle_replace(module_state()->handles, former->handle, object);
}

/* The handle stays good for who recovers. Unless it cannot be shown live: it would still mean the
 * deleted object, and destroying that is a purge. */
static void recovered_show(struct call *call, struct object *former)
{
    AUTO(object) struct object *object = NULL;
    if (object_new_read(call, &former->header.id, &object) != CKR_OK
        || object->header.state == VS_STATE_DELETED) {
        handle_remove(module_state()->handles, former->handle);
        return;
    }
    snapshot_replace(former, object);
    object = NULL;
}

static CK_RV rpv_recover(struct call *call, struct object *object)
{
    struct slot *slot = call->session->slot;
    pthread_rwlock_rdlock(&slot->lock);
    bool label_taken = false;
    int status = vs_object_recover_told(module_state()->store, (uint32_t)slot->id, slot->login,
                                        &object->header.id, &label_taken);
    pthread_rwlock_unlock(&slot->lock);
    if (status == VS_OK)
        recovered_show(call, object);
    if (status == VS_OK && label_taken)
        return trace_fail(CKR_OK, "recovered; another object bears its label by now");
    return lifecycle_status(status, "recover", VS_VERB_RECOVER);
}

static CK_RV rpv_postpone(struct call *call, const struct object *object, int64_t purge_at)
{
    struct slot *slot = call->session->slot;
    pthread_rwlock_rdlock(&slot->lock);
    int status = vs_object_postpone(module_state()->store, (uint32_t)slot->id, slot->login,
                                    &object->header.id, purge_at);
    pthread_rwlock_unlock(&slot->lock);
    return lifecycle_status(status, "a later purge", VS_VERB_RECOVER | VS_VERB_HOLD);
}

static CK_RV set_deleted(struct call *call, struct object *object, const struct attr *attr)
{
    if (attr->len != sizeof(CK_BBOOL) || attr->value[0] != CK_FALSE)
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID,
                          "CKA_RPV_DELETED can only be set to CK_FALSE");
    if (object->header.state == VS_STATE_DELETED)
        return rpv_recover(call, object);
    /* nothing to do, for who could have done it */
    bool named_may = slot_may(call->session->slot, &object->header.id, VS_VERB_RECOVER);
    return named_may ? CKR_OK : lifecycle_status(VS_DENIED, "recover", VS_VERB_RECOVER);
}

static CK_RV set_purge_at(struct call *call, struct object *object, const struct attr *attr)
{
    int64_t purge_at;
    if (!time_parse(attr, &purge_at))
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_RPV_PURGE_AT is no date");
    if (object->header.state != VS_STATE_DELETED)
        return prohibited("an object that is not deleted has no purge date");
    return rpv_postpone(call, object, purge_at);
}

/* ------------------------------------------------------------------ what is governed */

static CK_RV value_bad(const struct attr *attr)
{
    return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "%s has no such value",
                      trace_attribute_name(attr->type));
}

static CK_RV take_bool(const struct attr *attr, void *field)
{
    if (attr->len != sizeof(CK_BBOOL))
        return value_bad(attr);
    *(bool *)field = attr->value[0] != CK_FALSE;
    return CKR_OK;
}

static CK_RV take_time(const struct attr *attr, void *field)
{
    *(int64_t *)field = 0;
    return attr->len == 0 || time_parse(attr, field) ? CKR_OK : value_bad(attr);
}

static CK_RV take_lock(const struct attr *attr, void *field)
{
    CK_ULONG lock;
    if (attr->len != sizeof lock)
        return value_bad(attr);
    memcpy(&lock, attr->value, sizeof lock);
    if (lock > 2)
        return value_bad(attr);
    *(uint32_t *)field = (uint32_t)lock;
    return CKR_OK;
}

static CK_RV take_days(const struct attr *attr, void *field)
{
    CK_ULONG days;
    if (attr->len != sizeof days)
        return value_bad(attr);
    memcpy(&days, attr->value, sizeof days);
    if (days > UINT32_MAX)
        return value_bad(attr);
    *(uint32_t *)field = (uint32_t)days;
    return CKR_OK;
}

/* The field points to a text of VS_ACTOR_MAX bytes, zeroed. */
static CK_RV take_text(const struct attr *attr, void *field)
{
    if (attr->len >= VS_ACTOR_MAX || memchr(attr->value, 0, attr->len) != NULL)
        return value_bad(attr);
    memcpy(field, attr->value, attr->len);
    return CKR_OK;
}

/* A vs_govern and the text it points to. */
struct governing { struct vs_govern govern; char reason[VS_ACTOR_MAX]; };
#define GOVERNED(member) offsetof(struct governing, member)

static const struct governed_row {
    CK_ATTRIBUTE_TYPE type;
    uint32_t bit;
    CK_RV (*take)(const struct attr *attr, void *field);
    size_t field;
} GOVERNED_ROWS[] = {
    {CKA_RPV_ENABLED, VS_GOVERN_ENABLED, take_bool, GOVERNED(govern.enabled)},
    {CKA_RPV_NOT_BEFORE, VS_GOVERN_NOT_BEFORE, take_time, GOVERNED(govern.not_before)},
    {CKA_RPV_NOT_AFTER, VS_GOVERN_NOT_AFTER, take_time, GOVERNED(govern.not_after)},
    {CKA_RPV_HOLD, VS_GOVERN_HOLD, take_bool, GOVERNED(govern.hold)},
    {CKA_RPV_LOCK, VS_GOVERN_LOCK, take_lock, GOVERNED(govern.lock)},
    {CKA_RPV_DELETE_REASON, VS_GOVERN_REASON, take_text, GOVERNED(reason)},
    {CKA_RPV_HONEYTOKEN, VS_GOVERN_HONEYTOKEN, take_bool, GOVERNED(govern.honeytoken)},
    {CKA_RPV_ROTATE_DAYS, VS_GOVERN_ROTATE, take_days, GOVERNED(govern.rotate_days)},
};
#define GOVERNED_COUNT (sizeof GOVERNED_ROWS / sizeof GOVERNED_ROWS[0])

/* What the list says; false in *ret_all when there is something else in it. */
static CK_RV governing_read(const struct attr_list *list, struct governing *ret_governing,
                            bool *ret_all)
{
    size_t known = 0;
    memset(ret_governing, 0, sizeof *ret_governing);
    for (size_t i = 0; i < GOVERNED_COUNT; i++) {
        const struct governed_row *row = &GOVERNED_ROWS[i];
        const struct attr *attr = attr_find(list, row->type);
        if (attr == NULL)
            continue;
        TRY(row->take(attr, (uint8_t *)ret_governing + row->field));
        ret_governing->govern.set |= row->bit;
        known++;
    }
    ret_governing->govern.delete_reason = ret_governing->reason;
    *ret_all = known == list->n;
    return CKR_OK;
}

CK_RV object_govern_take(struct attr_list *list, struct vs_govern *ret_govern)
{
    struct governing governing;
    bool all;
    TRY(governing_read(list, &governing, &all));
    governing.govern.delete_reason = NULL;    /* no template has one */
    for (size_t i = 0; i < GOVERNED_COUNT; i++)
        attr_remove(list, GOVERNED_ROWS[i].type);
    *ret_govern = governing.govern;
    return CKR_OK;
}

static CK_RV rpv_govern(struct call *call, const struct object *object,
                        const struct vs_govern *govern)
{
    struct slot *slot = call->session->slot;
    pthread_rwlock_rdlock(&slot->lock);
    int status = vs_object_govern(module_state()->store, (uint32_t)slot->id, slot->login,
                                  &object->header.id, govern);
    pthread_rwlock_unlock(&slot->lock);
    if (status == VS_POLICY)
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "the key would never be active");
    return lifecycle_status(status, "governing an object", vs_govern_verbs(govern));
}

static const struct rpv_row {
    CK_ATTRIBUTE_TYPE type;
    CK_RV (*set)(struct call *call, struct object *object, const struct attr *attr);
} RPV_SETTERS[] = {
    {CKA_RPV_DELETED, set_deleted},
    {CKA_RPV_PURGE_AT, set_purge_at},
};

/* What is governed goes in one transaction; recovery and a later date are each one of their own. */
static CK_RV rpv_set(struct call *call, struct object *object, const CK_ATTRIBUTE *attributes,
                     CK_ULONG count)
{
    AUTO(attr_list) struct attr_list list;
    attr_list_init(&list);
    struct governing governing;
    bool all;
    TRY(template_copy(attributes, count, &list));
    TRY(governing_read(&list, &governing, &all));
    if (all)
        return rpv_govern(call, object, &governing.govern);
    if (list.n != 1)
        return trace_fail(CKR_TEMPLATE_INCONSISTENT, "%s is set alone",
                          trace_attribute_name(list.items[0].type));
    for (size_t i = 0; i < sizeof RPV_SETTERS / sizeof RPV_SETTERS[0]; i++)
        if (RPV_SETTERS[i].type == list.items[0].type)
            return RPV_SETTERS[i].set(call, object, &list.items[0]);
    return trace_fail(CKR_ATTRIBUTE_READ_ONLY, "%s is not set",
                      trace_attribute_name(list.items[0].type));
}

/* ------------------------------------------------------------------ ordinary attributes */

/* The object as it will be: a snapshot without a handle. */
static CK_RV object_changed(const struct object *object, struct template_context context,
                            const CK_ATTRIBUTE *attributes, CK_ULONG count,
                            struct object **ret_changed)
{
    AUTO(attr_list) struct attr_list list;
    attr_list_init(&list);
    struct attr_set *attrs = NULL;
    context.use = TEMPLATE_SET;
    context.base = object->attrs;
    TRY(template_apply(&context, attributes, count, &list));
    TRY(attr_set_new(&list, &attrs));
    TRY(object_new(attrs, ret_changed));
    (*ret_changed)->header = object->header;
    return CKR_OK;
}

static CK_RV token_store(struct call *call, const struct object *object, struct object *changed,
                         int *ret_status)
{
    AUTO(secret) struct secret bytes = {0}, joined = {0};
    struct vs_term terms[VS_INDEX_MAX];
    struct slot *slot = call->session->slot;
    size_t n_terms;
    TRY(object_encode(changed->attrs, &bytes));
    TRY(object_terms(changed->attrs, &joined, terms, &n_terms));
    struct vs_new_object update = {
        .kind = (uint32_t)changed->cls,
        .is_private = (changed->bits & OBJ_PRIVATE) != 0,
        .destroyable = (changed->bits & OBJ_DESTROYABLE) != 0,
        .origin = object->header.origin,
        .attrs = bytes.data,
        .attrs_len = bytes.len,
        .terms = terms,
        .n_terms = n_terms,
        .operation = "KeyUpdate",
    };
    pthread_rwlock_rdlock(&slot->lock);
    *ret_status = vs_object_update(module_state()->store, (uint32_t)slot->id, slot->login,
                                   &object->header.id, object->header.version, &update,
                                   &changed->header.version);
    pthread_rwlock_unlock(&slot->lock);
    return CKR_OK;
}

/* VS_STALE in *ret_status: somebody else changed it meanwhile; read again. */
static CK_RV token_set(struct call *call, struct object *object,
                       const struct template_context *context, const CK_ATTRIBUTE *attributes,
                       CK_ULONG count, int *ret_status)
{
    AUTO(object) struct object *changed = NULL;
    TRY(object_changed(object, *context, attributes, count, &changed));
    TRY(token_store(call, object, changed, ret_status));
    if (*ret_status != VS_OK)
        return CKR_OK;
    changed->seen_txnid = call->txnid;
    snapshot_replace(object, changed);
    changed = NULL;
    return CKR_OK;
}

/* Two sessions may change one session object: one after the other, or a one-way attribute set by
 * one would be lost by the other. */
static CK_RV session_set_locked(CK_OBJECT_HANDLE handle, const struct template_context *context,
                                const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    AUTO(object) struct object *object = handle_get(module_state()->handles, handle);
    struct object *changed = NULL;
    if (object == NULL)
        return CKR_OBJECT_HANDLE_INVALID;
    TRY(object_changed(object, *context, attributes, count, &changed));
    snapshot_replace(object, changed);
    return CKR_OK;
}

static CK_RV session_set(struct slot *slot, CK_OBJECT_HANDLE handle,
                         const struct template_context *context, const CK_ATTRIBUTE *attributes,
                         CK_ULONG count)
{
    pthread_rwlock_wrlock(&slot->lock);
    CK_RV rv = session_set_locked(handle, context, attributes, count);
    pthread_rwlock_unlock(&slot->lock);
    return rv;
}

static CK_RV set_allowed(struct call *call, const struct object *object, bool lifecycle)
{
    if ((object->bits & OBJ_TOKEN) != 0 && !session_rw(call->session))
        return trace_fail(CKR_SESSION_READ_ONLY, "a token object in a read-only session");
    if (lifecycle && (object->bits & OBJ_TOKEN) != 0)
        return CKR_OK;
    if (lifecycle)
        return trace_fail(CKR_ATTRIBUTE_TYPE_INVALID, "a session object has no lifecycle");
    if (object_is_governed(call, object))
        return prohibited("only the lifecycle of this object can be governed");
    if ((object->bits & OBJ_MODIFIABLE) == 0)
        return prohibited("CKA_MODIFIABLE is CK_FALSE");
    if (object->header.lock > 1)
        return prohibited("the object is locked");
    return CKR_OK;
}

CK_RV object_attributes_set(struct call *call, CK_OBJECT_HANDLE handle,
                            const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    bool lifecycle = names_rpv(attributes, count);
    struct vs_vault_info info;
    struct template_context context = {0};
    TRY(object_context(call, &info, &context));
    for (int tries = 0; tries < SET_TRIES; tries++) {
        AUTO(object) struct object *object = NULL;
        int status = VS_OK;
        TRY(object_get_any(call, handle, &object));
        TRY(set_allowed(call, object, lifecycle));
        if (lifecycle)
            return rpv_set(call, object, attributes, count);
        if ((object->bits & OBJ_TOKEN) == 0)
            return session_set(call->session->slot, handle, &context, attributes, count);
        TRY(token_set(call, object, &context, attributes, count, &status));
        if (status != VS_STALE && status != VS_WRONG_STATE)   /* deleted: the next look tells */
            return lifecycle_status(status, "changing an object", VS_VERB_UPDATE);
        call->txnid = vs_store_txnid(module_state()->store);
    }
    return trace_fail(CKR_FUNCTION_FAILED, "the object keeps changing");
}
