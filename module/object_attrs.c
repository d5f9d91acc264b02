/* object_attrs.c: the value of an object's attribute, stored or computed, and
 * C_GetAttributeValue's rules on showing it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attr_table.h"
#include "call.h"
#include "template.h"

#define DAY (24 * 60 * 60)
#define UNIQUE_ID_SIZE 32u

/* ------------------------------------------------------------------ computed values */

static void view_bytes(struct attr_value *view, const void *value, size_t len)
{
    memcpy(view->bytes, value, len);
    view->value = view->bytes;
    view->len = len;
}

static void view_ulong(struct attr_value *view, CK_ULONG value)
{
    view_bytes(view, &value, sizeof value);
}

static void view_bool(struct attr_value *view, bool value)
{
    CK_BBOOL byte = value ? CK_TRUE : CK_FALSE;
    view_bytes(view, &byte, sizeof byte);
}

/* As utcTime of CK_TOKEN_INFO: YYYYMMDDhhmmss00; empty for no time. */
static void view_time(struct attr_value *view, int64_t seconds)
{
    char text[32] = "";
    time_t when = (time_t)seconds;
    struct tm parts;
    size_t len = 0;
    if (seconds != 0 && gmtime_r(&when, &parts) != NULL)
        len = strftime(text, sizeof text, "%Y%m%d%H%M%S00", &parts);
    view_bytes(view, text, len);
}

/* Session objects live in one process and handles are never reused there: a number drawn once per
 * process and the handle. Drawn when first asked for, so that making a key costs nothing. */
static uint64_t session_ids(void)
{
    _Atomic uint64_t *ids = &module_state()->session_ids;
    uint64_t drawn = atomic_load(ids), none = 0;
    if (drawn != 0)
        return drawn;
    if (ossl_random(&drawn, sizeof drawn) != CKR_OK)
        drawn = 0;
    drawn |= 1;
    return atomic_compare_exchange_strong(ids, &none, drawn) ? drawn : none;
}

static CK_RV unique_id(const struct object *object, struct attr_value *view)
{
    static const char digits[] = "0123456789abcdef";
    struct vs_id id = object->header.id;
    if ((object->bits & OBJ_TOKEN) == 0) {
        uint64_t words[2] = {__builtin_bswap64(session_ids()), __builtin_bswap64(object->handle)};
        memcpy(id.b, words, sizeof id.b);
    }
    for (size_t i = 0; i < sizeof id.b; i++) {
        view->bytes[2 * i] = (uint8_t)digits[id.b[i] >> 4];
        view->bytes[2 * i + 1] = (uint8_t)digits[id.b[i] & 15];
    }
    view->value = view->bytes;
    view->len = UNIQUE_ID_SIZE;
    return CKR_OK;
}

bool unique_id_parse(const uint8_t *text, size_t len, struct vs_id *ret_id)
{
    struct vs_id id = {{0}};
    if (len != UNIQUE_ID_SIZE)
        return false;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        id.b[i / 2] = (uint8_t)(id.b[i / 2] << 4 | (c <= '9' ? c - '0' : c - 'a' + 10));
    }
    *ret_id = id;
    return true;
}

static CK_RV check_value(const struct object *object, struct attr_value *view)
{
    uint8_t value[KEY_CHECK_VALUE_SIZE];
    TRY(key_check_value(object->attrs, value));
    view_bytes(view, value, sizeof value);
    return CKR_OK;
}

static CK_RV rpv_state(const struct object *object, struct attr_value *view)
{
    enum vs_state state = VS_STATE_PURGED;
    TRY(object_state(object, &state));
    view_ulong(view, (CK_ULONG)state);
    return CKR_OK;
}

static CK_RV rpv_deleted(const struct object *object, struct attr_value *view)
{
    view_bool(view, object->header.state == VS_STATE_DELETED);
    return CKR_OK;
}

static CK_RV rpv_deleted_at(const struct object *object, struct attr_value *view)
{
    view_time(view, object->header.deleted_at);
    return CKR_OK;
}

static CK_RV rpv_deleted_by(const struct object *object, struct attr_value *view)
{
    const char *by = object->header.deleted_by;
    view_bytes(view, by, strnlen(by, sizeof object->header.deleted_by));
    return CKR_OK;
}

static CK_RV rpv_purge_at(const struct object *object, struct attr_value *view)
{
    view_time(view, object->header.purge_at);
    return CKR_OK;
}

static CK_RV rpv_recovery_level(const struct object *object, struct attr_value *view)
{
    view_ulong(view, object->header.recovery_level);
    return CKR_OK;
}

static CK_RV rpv_recoverable_days(const struct object *object, struct attr_value *view)
{
    if (object->header.state == VS_STATE_DELETED) {
        int64_t left = object->header.purge_at - vs_store_now(module_state()->store);
        view_ulong(view, left > 0 ? (CK_ULONG)((left + DAY - 1) / DAY) : 0);
        return CKR_OK;
    }
    struct slot *slot;
    struct vs_vault_info info;
    TRY(slot_get(object->slot, &slot));
    TRY(slot_info(slot, &info, NULL));
    view_ulong(view, info.policy.retention_days);
    return CKR_OK;
}

static CK_RV rpv_enabled(const struct object *object, struct attr_value *view)
{
    enum vs_state state = object->header.state;
    view_bool(view, (state == VS_STATE_DELETED ? object->header.prior : state)
                        != VS_STATE_DISABLED);
    return CKR_OK;
}

static CK_RV rpv_not_before(const struct object *object, struct attr_value *view)
{
    view_time(view, object->header.not_before);
    return CKR_OK;
}

static CK_RV rpv_not_after(const struct object *object, struct attr_value *view)
{
    view_time(view, object->header.not_after);
    return CKR_OK;
}

static CK_RV rpv_hold(const struct object *object, struct attr_value *view)
{
    view_bool(view, object->header.hold);
    return CKR_OK;
}

static CK_RV rpv_lock(const struct object *object, struct attr_value *view)
{
    view_ulong(view, object->header.lock);
    return CKR_OK;
}

static CK_RV rpv_version(const struct object *object, struct attr_value *view)
{
    view_ulong(view, object->header.key_version);
    return CKR_OK;
}

static CK_RV use_total(const struct object *object, struct vs_use_total *ret_total)
{
    return store_status(vs_use_total(module_state()->store, &object->header.id, ret_total),
                        "uses of a key");
}

static CK_RV rpv_use_count(const struct object *object, struct attr_value *view)
{
    struct vs_use_total total;
    TRY(use_total(object, &total));
    view_ulong(view, (CK_ULONG)total.count);
    return CKR_OK;
}

static CK_RV rpv_last_used(const struct object *object, struct attr_value *view)
{
    struct vs_use_total total;
    TRY(use_total(object, &total));
    view_time(view, total.last);
    return CKR_OK;
}

static CK_RV rpv_rotate_days(const struct object *object, struct attr_value *view)
{
    view_ulong(view, object->header.rotate_days);
    return CKR_OK;
}

static CK_RV rpv_origin(const struct object *object, struct attr_value *view)
{
    view_ulong(view, (CK_ULONG)object->header.origin);
    return CKR_OK;
}

static CK_RV rpv_backed_up(const struct object *object, struct attr_value *view)
{
    view_bool(view, object->header.backed_up);
    return CKR_OK;
}

static CK_RV rpv_delete_reason(const struct object *object, struct attr_value *view)
{
    const char *reason = object->header.delete_reason;
    view_bytes(view, reason, strnlen(reason, sizeof object->header.delete_reason));
    return CKR_OK;
}

static CK_RV rpv_honeytoken(const struct object *object, struct attr_value *view)
{
    view_bool(view, object->header.honeytoken);
    return CKR_OK;
}

static const struct computed_row {
    CK_ATTRIBUTE_TYPE type;
    bool vault_only;             /* session objects have no lifecycle */
    CK_RV (*value)(const struct object *object, struct attr_value *view);
} COMPUTED[] = {
    {CKA_UNIQUE_ID, false, unique_id},
    {CKA_CHECK_VALUE, false, check_value},
    {CKA_RPV_STATE, true, rpv_state},
    {CKA_RPV_DELETED, true, rpv_deleted},
    {CKA_RPV_DELETED_AT, true, rpv_deleted_at},
    {CKA_RPV_DELETED_BY, true, rpv_deleted_by},
    {CKA_RPV_PURGE_AT, true, rpv_purge_at},
    {CKA_RPV_RECOVERY_LEVEL, true, rpv_recovery_level},
    {CKA_RPV_RECOVERABLE_DAYS, true, rpv_recoverable_days},
    {CKA_RPV_ENABLED, true, rpv_enabled},
    {CKA_RPV_NOT_BEFORE, true, rpv_not_before},
    {CKA_RPV_NOT_AFTER, true, rpv_not_after},
    {CKA_RPV_HOLD, true, rpv_hold},
    {CKA_RPV_LOCK, true, rpv_lock},
    {CKA_RPV_VERSION, true, rpv_version},
    {CKA_RPV_USE_COUNT, true, rpv_use_count},
    {CKA_RPV_LAST_USED, true, rpv_last_used},
    {CKA_RPV_ORIGIN, true, rpv_origin},
    {CKA_RPV_BACKED_UP, true, rpv_backed_up},
    {CKA_RPV_DELETE_REASON, true, rpv_delete_reason},
    {CKA_RPV_HONEYTOKEN, true, rpv_honeytoken},
    {CKA_RPV_ROTATE_DAYS, true, rpv_rotate_days},
};

/* ------------------------------------------------------------------ one attribute */

static CK_RV attribute_absent(CK_ATTRIBUTE_TYPE type)
{
    return trace_fail(CKR_ATTRIBUTE_TYPE_INVALID, "the object has no %s",
                      trace_attribute_name(type));
}

/* Why an attribute is not shown, or *ret_why NULL. Of what is in the vault, or a copy of it, key parts and
 * contents are what `get` is the verb for. */
static CK_RV attribute_hidden(const struct call *call, const struct object *object,
                              const struct attr_row *row, const char **ret_why)
{
    bool orphaned = false;
    *ret_why = NULL;
    bool kept = (object->bits & OBJ_SENSITIVE) != 0 || (object->bits & OBJ_EXTRACTABLE) == 0;
    if ((row->rules & (CONCEALED | CONTENT)) == 0)
        return CKR_OK;
    TRY(object_orphaned(object, &orphaned));
    const struct vs_id *bound_by = object_bound_by(object);
    if ((row->rules & CONCEALED) != 0 && kept)
        *ret_why = "the key is sensitive, or not extractable";
    else if (object_is_governed(call, object) || orphaned)
        *ret_why = "the object is deleted, or not the SO's to read";
    else if (bound_by != NULL && !slot_may(call->session->slot, bound_by, VS_VERB_GET))
        *ret_why = "who is logged in lacks the verb get";
    return CKR_OK;
}

static CK_RV attribute_compute(const struct object *object, CK_ATTRIBUTE_TYPE type,
                               struct attr_value *view)
{
    for (size_t i = 0; i < sizeof COMPUTED / sizeof COMPUTED[0]; i++) {
        const struct computed_row *row = &COMPUTED[i];
        if (row->type == type && (!row->vault_only || (object->bits & OBJ_TOKEN) != 0))
            return row->value(object, view);
    }
    return attribute_absent(type);
}

CK_RV object_attribute(const struct call *call, const struct object *object,
                       CK_ATTRIBUTE_TYPE type, struct attr_value *ret_view)
{
    const struct attr_row *row = attr_row(type, object_kind(object->cls, object->key_type));
    if (row == NULL)
        return attribute_absent(type);
    const char *why = NULL;
    TRY(attribute_hidden(call, object, row, &why));
    if (why != NULL)
        return trace_fail(CKR_ATTRIBUTE_SENSITIVE, "%s is not shown: %s",
                          trace_attribute_name(type), why);
    const struct attr *attr = attr_set_find(object->attrs, type);
    if (attr == NULL)
        return attribute_compute(object, type, ret_view);
    if (type == CKA_CHECK_VALUE && attr->len == 0)   /* given up by the template */
        return attribute_absent(type);
    ret_view->value = attr->value;
    ret_view->len = attr->len;
    return CKR_OK;
}

/* ------------------------------------------------------------------ C_GetAttributeValue */

/* The length belongs to the caller, whose array may be misaligned. */
static void length_put(CK_ATTRIBUTE *attribute, CK_ULONG len)
{
    memcpy((uint8_t *)attribute + offsetof(CK_ATTRIBUTE, ulValueLen), &len, sizeof len);
}

static CK_RV value_put(CK_ATTRIBUTE *attribute, const uint8_t *value, CK_ULONG len)
{
    CK_ATTRIBUTE asked;
    memcpy(&asked, attribute, sizeof asked);
    if (asked.pValue != NULL && asked.ulValueLen < len) {
        length_put(attribute, CK_UNAVAILABLE_INFORMATION);
        return trace_fail(CKR_BUFFER_TOO_SMALL, "%s has %lu bytes",
                          trace_attribute_name(asked.type), len);
    }
    if (asked.pValue != NULL && len != 0)
        memcpy(asked.pValue, value, len);
    length_put(attribute, len);
    return CKR_OK;
}

/* An array of attributes: each element gets its type, and its value as far as there is room. */
static CK_RV nested_put_all(CK_ATTRIBUTE *array, const struct attr *nested)
{
    CK_RV rv = CKR_OK;
    struct nested_item item;
    for (size_t at = 0; nested_next(nested, &at, &item); array++) {
        memcpy((uint8_t *)array + offsetof(CK_ATTRIBUTE, type), &item.type, sizeof item.type);
        CK_RV one = value_put(array, item.value, item.len);
        rv = one != CKR_OK ? one : rv;
    }
    return rv;
}

static CK_RV nested_get(CK_ATTRIBUTE *attribute, const struct attr_value *view)
{
    struct attr nested = {.len = view->len, .value = view->value};
    struct nested_item item;
    CK_ULONG n = 0;
    for (size_t at = 0; nested_next(&nested, &at, &item);)
        n++;
    CK_ATTRIBUTE asked;
    memcpy(&asked, attribute, sizeof asked);
    if (asked.pValue != NULL && asked.ulValueLen >= n * sizeof(CK_ATTRIBUTE)) {
        length_put(attribute, n * sizeof(CK_ATTRIBUTE));
        return nested_put_all(asked.pValue, &nested);
    }
    length_put(attribute, asked.pValue ? CK_UNAVAILABLE_INFORMATION : n * sizeof(CK_ATTRIBUTE));
    return asked.pValue ? CKR_BUFFER_TOO_SMALL : CKR_OK;
}

static CK_RV attribute_get(const struct call *call, const struct object *object,
                           CK_ATTRIBUTE *attribute)
{
    CK_ATTRIBUTE_TYPE type;
    struct attr_value view;
    memcpy(&type, (uint8_t *)attribute + offsetof(CK_ATTRIBUTE, type), sizeof type);
    CK_RV rv = object_attribute(call, object, type, &view);
    if (rv != CKR_OK) {
        length_put(attribute, CK_UNAVAILABLE_INFORMATION);
        return rv;
    }
    const struct attr_row *row = attr_row_any(type);
    return row->value == ATTR_TEMPLATE ? nested_get(attribute, &view)
                                       : value_put(attribute, view.value, view.len);
}

/* Later ones outrank earlier ones; what is not here ends the call at once. */
static int failure_rank(CK_RV rv)
{
    static const CK_RV ranks[] = {CKR_OK, CKR_BUFFER_TOO_SMALL, CKR_ATTRIBUTE_TYPE_INVALID,
                                  CKR_ATTRIBUTE_SENSITIVE};
    for (int i = 0; i < (int)(sizeof ranks / sizeof ranks[0]); i++)
        if (ranks[i] == rv)
            return i;
    return -1;
}

CK_RV object_attributes_get(struct call *call, const struct object *object,
                            CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    CK_RV worst = CKR_OK;
    for (CK_ULONG i = 0; i < count; i++) {
        CK_RV rv = attribute_get(call, object, &attributes[i]);
        if (failure_rank(rv) < 0)
            return rv;
        worst = failure_rank(rv) > failure_rank(worst) ? rv : worst;
    }
    return worst;
}
