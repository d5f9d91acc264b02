/* See template.h. */
#include "template.h"

#include <string.h>

#include "attr_table.h"
#include "trace.h"

/* What is being made of the caller's template. */
struct applying {
    const struct template_context *context;
    CK_OBJECT_CLASS cls;
    CK_KEY_TYPE key_type;
    unsigned kind;
    struct attr_list *list;
};

/* Of each use: the rule that demands an attribute, the rule that bars it. */
static const struct use_row {
    unsigned needs, bars;
} USES[] = {
    [TEMPLATE_CREATE] = {CREATE_NEEDS, CREATE_BARS},
    [TEMPLATE_GENERATE] = {GENERATE_NEEDS, GENERATE_BARS},
    [TEMPLATE_UNWRAP] = {UNWRAP_NEEDS, UNWRAP_BARS},
    [TEMPLATE_DERIVE] = {0, UNWRAP_BARS},
};

/* ------------------------------------------------------------------ copying in */

static bool date_valid(const uint8_t *value, CK_ULONG len)
{
    for (CK_ULONG i = 0; i < len; i++)
        if (value[i] < '0' || value[i] > '9')
            return false;
    return len == 0 || len == sizeof(CK_DATE);
}

/* On the module's own copy, which nobody else changes. */
static bool value_valid(enum attr_type type, const uint8_t *value, CK_ULONG len)
{
    switch (type) {
    case ATTR_BOOL:
        return len == sizeof(CK_BBOOL) && value[0] <= CK_TRUE;
    case ATTR_ULONG:
        return len == sizeof(CK_ULONG);
    case ATTR_DATE:
        return date_valid(value, len);
    case ATTR_MECHANISMS:
        return len % sizeof(CK_MECHANISM_TYPE) == 0;
    case ATTR_TEMPLATE:
        return len % sizeof(CK_ATTRIBUTE) == 0;
    case ATTR_BYTES:
        return true;
    }
    return false;
}

static CK_RV value_invalid(CK_ATTRIBUTE_TYPE type, CK_ULONG len)
{
    return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "%s: no valid value (%lu bytes)",
                      trace_attribute_name(type), len);
}

/* Puts a caller's attribute; the same twice is once, with another value it is a contradiction. */
static CK_RV given_put(struct attr_list *list, CK_ATTRIBUTE_TYPE type, const void *value,
                       CK_ULONG len)
{
    const struct attr *before = attr_find(list, type);
    if (before == NULL)
        return attr_append(list, type, value, len);
    if (before->len == len && (len == 0 || memcmp(before->value, value, len) == 0))
        return CKR_OK;
    return trace_fail(CKR_TEMPLATE_INCONSISTENT, "%s is given twice, differently",
                      trace_attribute_name(type));
}

#define NESTED_MAX 4096u
#define NESTED_HEAD 8u

bool nested_next(const struct attr *nested, size_t *at, struct nested_item *ret_item)
{
    uint32_t head[2];
    if (nested->len - *at < sizeof head)
        return false;
    memcpy(head, nested->value + *at, sizeof head);
    if (nested->len - *at - sizeof head < head[1])
        return false;
    *ret_item = (struct nested_item){head[0], head[1], nested->value + *at + sizeof head};
    *at += sizeof head + head[1];
    return true;
}

/* One attribute of a nested template, encoded behind the `*used` bytes of out. */
static CK_RV nested_put(const CK_ATTRIBUTE *attribute, uint8_t *out, size_t *used)
{
    const struct attr_row *row = attr_row_any(attribute->type);
    if (row == NULL)
        return trace_fail(CKR_ATTRIBUTE_TYPE_INVALID, "%s in a nested template",
                          trace_attribute_name(attribute->type));
    if (row->value == ATTR_TEMPLATE)
        return trace_fail(CKR_TEMPLATE_INCONSISTENT, "a nested template in a nested template");
    if ((attribute->pValue == NULL && attribute->ulValueLen != 0)
        || attribute->ulValueLen > NESTED_MAX - NESTED_HEAD
        || *used > NESTED_MAX - NESTED_HEAD - attribute->ulValueLen)
        return value_invalid(attribute->type, attribute->ulValueLen);
    uint32_t head[2] = {(uint32_t)attribute->type, (uint32_t)attribute->ulValueLen};
    memcpy(out + *used, head, sizeof head);
    if (attribute->ulValueLen != 0)
        memcpy(out + *used + sizeof head, attribute->pValue, attribute->ulValueLen);
    if (!value_valid(row->value, out + *used + sizeof head, attribute->ulValueLen))
        return value_invalid(attribute->type, attribute->ulValueLen);
    *used += sizeof head + attribute->ulValueLen;
    return CKR_OK;
}

static CK_RV nested_copy(struct attr_list *list, const CK_ATTRIBUTE *attribute)
{
    uint8_t out[NESTED_MAX];
    size_t used = 0;
    if (attribute->ulValueLen % sizeof(CK_ATTRIBUTE) != 0)
        return value_invalid(attribute->type, attribute->ulValueLen);
    for (size_t at = 0; at < attribute->ulValueLen; at += sizeof(CK_ATTRIBUTE)) {
        CK_ATTRIBUTE inner;
        memcpy(&inner, (const uint8_t *)attribute->pValue + at, sizeof inner);
        TRY(nested_put(&inner, out, &used));
    }
    return given_put(list, attribute->type, out, used);
}

static CK_RV attribute_copy(struct attr_list *list, const CK_ATTRIBUTE *attribute,
                            enum attr_type type)
{
    if (attribute->pValue == NULL && attribute->ulValueLen != 0)
        return value_invalid(attribute->type, attribute->ulValueLen);
    if (type == ATTR_TEMPLATE)
        return nested_copy(list, attribute);
    return given_put(list, attribute->type, attribute->pValue, attribute->ulValueLen);
}

/* Types first: an unknown one outranks a bad value. */
static CK_RV types_check(const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    if (attributes == NULL && count != 0)
        return trace_fail(CKR_ARGUMENTS_BAD, "a NULL template of %lu attributes", count);
    if (count > ATTR_MAX)
        return trace_fail(CKR_TEMPLATE_INCONSISTENT, "%lu attributes", count);
    for (CK_ULONG i = 0; i < count; i++) {
        CK_ATTRIBUTE attribute;
        memcpy(&attribute, (const uint8_t *)attributes + i * sizeof attribute, sizeof attribute);
        if (attr_row_any(attribute.type) == NULL)
            return trace_fail(CKR_ATTRIBUTE_TYPE_INVALID, "%s is not supported",
                              trace_attribute_name(attribute.type));
    }
    return CKR_OK;
}

static CK_RV given_copy(const CK_ATTRIBUTE *attributes, CK_ULONG count, struct attr_list *list)
{
    TRY(types_check(attributes, count));
    for (CK_ULONG i = 0; i < count; i++) {
        CK_ATTRIBUTE attribute;
        memcpy(&attribute, (const uint8_t *)attributes + i * sizeof attribute, sizeof attribute);
        const struct attr_row *row = attr_row_any(attribute.type);
        if (row == NULL)      /* the caller changed it meanwhile */
            return CKR_ATTRIBUTE_TYPE_INVALID;
        TRY(attribute_copy(list, &attribute, row->value));
        const struct attr *copy = attr_find(list, attribute.type);
        if (row->value != ATTR_TEMPLATE && !value_valid(row->value, copy->value, copy->len))
            return value_invalid(copy->type, copy->len);
    }
    return CKR_OK;
}

CK_RV template_copy(const CK_ATTRIBUTE *attributes, CK_ULONG count, struct attr_list *ret_list)
{
    if (attributes == NULL && count != 0)
        return trace_fail(CKR_ARGUMENTS_BAD, "a NULL template of %lu attributes", count);
    for (CK_ULONG i = 0; i < count; i++) {
        CK_ATTRIBUTE attribute;
        memcpy(&attribute, (const uint8_t *)attributes + i * sizeof attribute, sizeof attribute);
        const struct attr_row *row = attr_row_any(attribute.type);
        TRY(attribute_copy(ret_list, &attribute, row == NULL ? ATTR_BYTES : row->value));
    }
    return CKR_OK;
}

bool template_matches(const struct attr *nested, const struct attr_set *attrs)
{
    struct nested_item item;
    for (size_t at = 0; nested_next(nested, &at, &item);) {
        const struct attr *attr = attr_set_find(attrs, item.type);
        if (attr == NULL || attr->len != item.len || memcmp(attr->value, item.value, item.len) != 0)
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ new objects */

static CK_RV imposed_put(const struct attr *imposed, struct attr_list *list)
{
    struct nested_item item;
    for (size_t at = 0; imposed != NULL && nested_next(imposed, &at, &item);)
        TRY(given_put(list, item.type, item.value, item.len));
    return CKR_OK;
}

/* Class or key type: what the context says, or the template, or the fallback. */
static CK_RV fixed_put(struct attr_list *list, CK_ATTRIBUTE_TYPE type, CK_ULONG fixed,
                       CK_ULONG fallback, CK_ULONG *ret_value)
{
    CK_ULONG given = attr_ulong(list, type, CK_UNAVAILABLE_INFORMATION);
    bool is_given = attr_find(list, type) != NULL;
    if (fixed != CK_UNAVAILABLE_INFORMATION && is_given && given != fixed)
        return trace_fail(CKR_TEMPLATE_INCONSISTENT, "%s 0x%lx, where 0x%lx is made",
                          trace_attribute_name(type), given, fixed);
    if (fixed == CK_UNAVAILABLE_INFORMATION)
        fixed = is_given ? given : fallback;
    if (fixed == CK_UNAVAILABLE_INFORMATION)
        return trace_fail(CKR_TEMPLATE_INCOMPLETE, "%s is missing", trace_attribute_name(type));
    *ret_value = fixed;
    return is_given ? CKR_OK : attr_append(list, type, &fixed, sizeof fixed);
}

static CK_RV kind_find(struct applying *a)
{
    const struct template_context *context = a->context;
    bool derive = context->use == TEMPLATE_DERIVE;
    TRY(fixed_put(a->list, CKA_CLASS, context->cls,
                  derive ? CKO_SECRET_KEY : CK_UNAVAILABLE_INFORMATION, &a->cls));
    bool keyless = a->cls == CKO_DATA || a->cls == CKO_CERTIFICATE;
    bool key = a->cls == CKO_PUBLIC_KEY || a->cls == CKO_PRIVATE_KEY || a->cls == CKO_SECRET_KEY;
    if (!key && !(keyless && context->use == TEMPLATE_CREATE))
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "no objects of class 0x%lx here", a->cls);
    a->key_type = CK_UNAVAILABLE_INFORMATION;
    if (key)
        TRY(fixed_put(a->list, CKA_KEY_TYPE, context->key_type,
                      derive ? CKK_GENERIC_SECRET : CK_UNAVAILABLE_INFORMATION, &a->key_type));
    a->kind = object_kind(a->cls, a->key_type);
    if (a->kind == 0)
        return trace_fail(key_type_row(a->key_type) ? CKR_TEMPLATE_INCONSISTENT
                                                    : CKR_ATTRIBUTE_VALUE_INVALID,
                          "no keys of class 0x%lx and type 0x%lx", a->cls, a->key_type);
    return CKR_OK;
}

static CK_RV given_fits(const struct applying *a, const struct attr *attr)
{
    const struct attr_row *row = attr_row(attr->type, a->kind);
    const struct attr_row *any = row != NULL ? row : attr_row_any(attr->type);
    CK_ATTRIBUTE_TYPE type = attr->type;
    if ((any->rules & USES[a->context->use].bars) != 0)
        return trace_fail(CKR_ATTRIBUTE_READ_ONLY, "%s may not be given",
                          trace_attribute_name(type));
    if (row == NULL)
        return trace_fail(CKR_TEMPLATE_INCONSISTENT, "such an object has no %s",
                          trace_attribute_name(type));
    if ((row->rules & SO_ONLY) != 0 && attr->value[0] != CK_FALSE && !a->context->so)
        return trace_fail(CKR_ATTRIBUTE_READ_ONLY, "only the SO sets %s",
                          trace_attribute_name(type));
    return CKR_OK;
}

static CK_RV needed_present(const struct applying *a)
{
    for (size_t i = 0; i < ATTR_ROWS_COUNT; i++) {
        const struct attr_row *row = &ATTR_ROWS[i];
        if ((row->kinds & a->kind) == 0 || (row->rules & USES[a->context->use].needs) == 0)
            continue;
        const struct attr *attr = attr_find(a->list, row->type);
        bool by_url = a->kind == KIND_CERTIFICATE && row->type == CKA_VALUE;
        if (by_url && (attr == NULL || attr->len == 0))
            attr = attr_find(a->list, CKA_URL);
        if (attr == NULL || (by_url && attr->len == 0))
            return trace_fail(CKR_TEMPLATE_INCOMPLETE, "%s is missing",
                              trace_attribute_name(row->type));
    }
    return CKR_OK;
}

/* ------------------------------------------------------------------ defaults */

/* Is the use that this one conflicts with there, in this template or in the pair's other half? */
static bool conflict_stands(const struct applying *a, const struct usage_conflict *c,
                            bool fallback)
{
    const struct attr_list *list = c->pair ? a->context->public_half : a->list;
    return list != NULL && attr_bool(list, c->to, fallback);
}

/* Would CK_TRUE by default join uses that undo each other? */
static bool usage_yields(const struct applying *a, CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < USAGE_CONFLICTS_COUNT; i++) {
        const struct usage_conflict *c = &USAGE_CONFLICTS[i];
        if ((c->kinds & a->kind) == 0 || (c->strict_only && !a->context->strict))
            continue;
        if (c->yields == type && conflict_stands(a, c, c->strict_only))
            return true;
        if (c->to == type && !c->pair && attr_bool(a->list, c->yields, false))
            return true;
    }
    return false;
}

static bool default_true(const struct applying *a, const struct attr_row *row)
{
    const struct key_type_row *key = key_type_row(a->key_type);
    bool token = attr_bool(a->list, CKA_TOKEN, false);
    bool unwrapped = a->context->use == TEMPLATE_UNWRAP;
    switch (row->fallback) {
    case TRUE_:
        return true;
    case WHEN_USER:
        return a->context->user;
    case WHEN_CRYPTS:
        return key != NULL && key->crypts && !usage_yields(a, row->type);
    case WHEN_SIGNS:
        return key != NULL && key->signs && !usage_yields(a, row->type);
    case WHEN_KEPT:
        return token || unwrapped;
    case WHEN_LOOSE:
        return !token || unwrapped;
    case WHEN_UNWRAPPED:
        return unwrapped;
    default:
        return false;
    }
}

static CK_RV default_put(const struct applying *a, const struct attr_row *row)
{
    static const CK_ULONG zero = 0;
    if (row->fallback == EMPTY)
        return attr_append(a->list, row->type, NULL, 0);
    if (row->fallback == ZERO)
        return attr_append(a->list, row->type, &zero, sizeof zero);
    CK_BBOOL value = default_true(a, row) ? CK_TRUE : CK_FALSE;
    return attr_append(a->list, row->type, &value, sizeof value);
}

static CK_RV defaults_put(const struct applying *a)
{
    for (size_t i = 0; i < ATTR_ROWS_COUNT; i++) {
        const struct attr_row *row = &ATTR_ROWS[i];
        if (row->fallback != ABSENT && (row->kinds & a->kind) != 0
            && attr_find(a->list, row->type) == NULL)
            TRY(default_put(a, row));
    }
    return CKR_OK;
}

/* ------------------------------------------------------------------ what must agree */

static CK_RV usage_agrees(const struct applying *a)
{
    for (size_t i = 0; i < USAGE_CONFLICTS_COUNT && a->context->strict; i++) {
        const struct usage_conflict *c = &USAGE_CONFLICTS[i];
        const struct attr_set *base = a->context->base;
        bool before = base != NULL && attr_set_bool(base, c->yields, false)
                   && attr_set_bool(base, c->to, false);
        if (!before && (c->kinds & a->kind) != 0 && attr_bool(a->list, c->yields, false)
            && conflict_stands(a, c, false))
            return trace_fail(CKR_TEMPLATE_INCONSISTENT,
                              "the vault's policy (refuse_conflicts) does not join %s with %s",
                              trace_attribute_name(c->yields), trace_attribute_name(c->to));
    }
    return CKR_OK;
}

static CK_RV list_agrees(const struct applying *a)
{
    const struct attr *allowed = attr_find(a->list, CKA_ALLOWED_MECHANISMS);
    if (allowed != NULL && allowed->len == 0)
        attr_remove(a->list, CKA_ALLOWED_MECHANISMS);
    if (attr_ulong(a->list, CKA_CERTIFICATE_TYPE, CKC_X_509) != CKC_X_509)
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "only X.509 certificates");
    if (attr_bool(a->list, CKA_ALWAYS_AUTHENTICATE, false)
        && !attr_bool(a->list, CKA_PRIVATE, false))
        return trace_fail(CKR_TEMPLATE_INCONSISTENT,
                          "CKA_ALWAYS_AUTHENTICATE without CKA_PRIVATE");
    return usage_agrees(a);
}

static CK_RV new_apply(struct applying *a, const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    TRY(given_copy(attributes, count, a->list));
    TRY(imposed_put(a->context->imposed, a->list));
    TRY(kind_find(a));
    for (size_t i = 0; i < a->list->n; i++)
        TRY(given_fits(a, &a->list->items[i]));
    TRY(needed_present(a));
    TRY(defaults_put(a));
    return list_agrees(a);
}

/* ------------------------------------------------------------------ copy and set */

static bool value_is_true(const struct attr *attr)
{
    return attr != NULL && attr->len == sizeof(CK_BBOOL) && attr->value[0] != CK_FALSE;
}

static bool value_same(const struct attr *a, const struct attr *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->value, b->value, a->len) == 0);
}

static CK_RV change_fits(const struct applying *a, const struct attr *change)
{
    const struct attr_row *row = attr_row(change->type, a->kind);
    const char *name = trace_attribute_name(change->type);
    if (row == NULL)
        return trace_fail(CKR_TEMPLATE_INCONSISTENT, "the object has no %s", name);
    const struct attr *before = attr_set_find(a->context->base, change->type);
    bool copy = a->context->use == TEMPLATE_COPY;
    if (copy && before != NULL && value_same(before, change))
        return CKR_OK;
    bool settable = (row->rules & SETTABLE) != 0 || (copy && (row->rules & COPY_SETS) != 0)
                 || ((row->rules & SET_EMPTY) != 0 && change->len == 0);
    if (!settable)
        return trace_fail(CKR_ATTRIBUTE_READ_ONLY, "%s cannot be changed", name);
    bool stays = ((row->rules & TRUE_STAYS) != 0 && value_is_true(before)
                  && !value_is_true(change))
              || ((row->rules & FALSE_STAYS) != 0 && !value_is_true(before)
                  && value_is_true(change));
    if (stays)
        return trace_fail(CKR_ATTRIBUTE_READ_ONLY, "%s cannot be changed back", name);
    if ((row->rules & SO_ONLY) != 0 && value_is_true(change) && !a->context->so)
        return trace_fail(CKR_ATTRIBUTE_READ_ONLY, "only the SO sets %s", name);
    return CKR_OK;
}

static CK_RV change_agrees(const struct applying *a)
{
    bool was_private = attr_set_bool(a->context->base, CKA_PRIVATE, false);
    if ((a->kind & KIND_PUBLIC) == 0 && was_private && !attr_bool(a->list, CKA_PRIVATE, false))
        return trace_fail(CKR_TEMPLATE_INCONSISTENT, "a private object's copy is private");
    return list_agrees(a);
}

static CK_RV changes_apply(struct applying *a, const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    AUTO(attr_list) struct attr_list changes;
    attr_list_init(&changes);
    a->cls = attr_set_ulong(a->context->base, CKA_CLASS, CK_UNAVAILABLE_INFORMATION);
    a->key_type = attr_set_ulong(a->context->base, CKA_KEY_TYPE, CK_UNAVAILABLE_INFORMATION);
    a->kind = object_kind(a->cls, a->key_type);
    TRY(given_copy(attributes, count, &changes));
    if (a->context->use == TEMPLATE_SET && a->kind == KIND_CERTIFICATE && !a->context->so
        && attr_set_bool(a->context->base, CKA_TRUSTED, false))
        return trace_fail(CKR_ATTRIBUTE_READ_ONLY, "a trusted certificate cannot be changed");
    for (size_t i = 0; i < changes.n; i++)
        TRY(change_fits(a, &changes.items[i]));
    TRY(attr_list_from_set(a->list, a->context->base));
    for (size_t i = 0; i < changes.n; i++)
        TRY(attr_put(a->list, changes.items[i].type, changes.items[i].value,
                     changes.items[i].len));
    return change_agrees(a);
}

CK_RV template_apply(const struct template_context *context, const CK_ATTRIBUTE *attributes,
                     CK_ULONG count, struct attr_list *ret_list)
{
    struct applying a = {.context = context, .list = ret_list};
    if (context->use == TEMPLATE_COPY || context->use == TEMPLATE_SET)
        return changes_apply(&a, attributes, count);
    return new_apply(&a, attributes, count);
}
