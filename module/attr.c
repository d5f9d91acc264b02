/* See attr.h. */
#include "attr.h"

#include <string.h>

#include "trace.h"

/* Values compare, encode and store as the little-endian 64-bit numbers they are in memory. */
_Static_assert(sizeof(CK_ULONG) == 8, "object_codec.c and nested templates store 64-bit CK_ULONG");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "and little-endian ones");

struct attr_block {
    struct attr_block *next;
    size_t size;
    uint8_t bytes[];
};

void attr_list_init(struct attr_list *list)
{
    list->n = 0;
    list->used = 0;
    list->blocks = NULL;
}

void attr_list_done(struct attr_list *list)
{
    struct attr_block *block = list->blocks;
    while (block != NULL) {
        struct attr_block *next = block->next;
        vs_secret_free(block, block->size);
        block = next;
    }
    explicit_bzero(list->inline_bytes, list->used);
    attr_list_init(list);
}

static uint8_t *list_reserve(struct attr_list *list, size_t len)
{
    size_t at = (list->used + 7) & ~(size_t)7;
    if (at <= sizeof list->inline_bytes && len <= sizeof list->inline_bytes - at) {
        list->used = at + len;
        return list->inline_bytes + at;
    }
    size_t size = sizeof(struct attr_block) + len;
    struct attr_block *block = vs_secret_alloc(size);
    if (block == NULL)
        return NULL;
    block->next = list->blocks;
    block->size = size;
    list->blocks = block;
    return block->bytes;
}

static struct attr *list_find(const struct attr_list *list, CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].type == type)
            return (struct attr *)&list->items[i];
    return NULL;
}

static CK_RV item_fill(struct attr_list *list, CK_ATTRIBUTE_TYPE type, const void *value,
                       CK_ULONG len, struct attr *item)
{
    if (len > ATTR_VALUE_MAX)
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "%s is longer than %u bytes",
                          trace_attribute_name(type), ATTR_VALUE_MAX);
    uint8_t *copy = list_reserve(list, len);
    if (copy == NULL)
        return CKR_HOST_MEMORY;
    if (len != 0)
        memcpy(copy, value, len);
    *item = (struct attr){.type = type, .len = len, .value = copy};
    return CKR_OK;
}

CK_RV attr_append(struct attr_list *list, CK_ATTRIBUTE_TYPE type, const void *value, CK_ULONG len)
{
    if (list->n == ATTR_MAX)
        return trace_fail(CKR_TEMPLATE_INCONSISTENT, "more than %u attributes", ATTR_MAX);
    TRY(item_fill(list, type, value, len, &list->items[list->n]));
    list->n++;
    return CKR_OK;
}

CK_RV attr_put(struct attr_list *list, CK_ATTRIBUTE_TYPE type, const void *value, CK_ULONG len)
{
    struct attr *item = list_find(list, type);
    if (item == NULL)
        return attr_append(list, type, value, len);
    return item_fill(list, type, value, len, item);
}

CK_RV attr_put_bool(struct attr_list *list, CK_ATTRIBUTE_TYPE type, bool value)
{
    CK_BBOOL byte = value ? CK_TRUE : CK_FALSE;
    return attr_put(list, type, &byte, sizeof byte);
}

CK_RV attr_put_ulong(struct attr_list *list, CK_ATTRIBUTE_TYPE type, CK_ULONG value)
{
    return attr_put(list, type, &value, sizeof value);
}

void attr_remove(struct attr_list *list, CK_ATTRIBUTE_TYPE type)
{
    struct attr *item = list_find(list, type);
    if (item != NULL)
        *item = list->items[--list->n];
}

const struct attr *attr_find(const struct attr_list *list, CK_ATTRIBUTE_TYPE type)
{
    return list_find(list, type);
}

static bool item_bool(const struct attr *item, bool fallback)
{
    return item != NULL && item->len == sizeof(CK_BBOOL) ? item->value[0] != CK_FALSE : fallback;
}

static CK_ULONG item_ulong(const struct attr *item, CK_ULONG fallback)
{
    CK_ULONG value = fallback;
    if (item != NULL && item->len == sizeof value)
        memcpy(&value, item->value, sizeof value);
    return value;
}

bool attr_bool(const struct attr_list *list, CK_ATTRIBUTE_TYPE type, bool fallback)
{
    return item_bool(attr_find(list, type), fallback);
}

CK_ULONG attr_ulong(const struct attr_list *list, CK_ATTRIBUTE_TYPE type, CK_ULONG fallback)
{
    return item_ulong(attr_find(list, type), fallback);
}

static void items_sort(struct attr *items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct attr item = items[i];
        size_t j = i;
        for (; j > 0 && items[j - 1].type > item.type; j--)
            items[j] = items[j - 1];
        items[j] = item;
    }
}

CK_RV attr_set_new(const struct attr_list *list, struct attr_set **ret_set)
{
    size_t size = sizeof(struct attr_set) + list->n * sizeof(struct attr);
    for (size_t i = 0; i < list->n; i++)
        size += (list->items[i].len + 7) & ~(size_t)7;
    struct attr_set *set = vs_secret_alloc(size);
    if (set == NULL)
        return CKR_HOST_MEMORY;
    set->size = size;
    set->n = list->n;
    memcpy(set->items, list->items, list->n * sizeof(struct attr));
    items_sort(set->items, set->n);
    uint8_t *at = (uint8_t *)&set->items[set->n];
    for (size_t i = 0; i < set->n; i++) {
        if (set->items[i].len != 0)
            memcpy(at, set->items[i].value, set->items[i].len);
        set->items[i].value = at;
        at += (set->items[i].len + 7) & ~(size_t)7;
    }
    *ret_set = set;
    return CKR_OK;
}

void attr_set_free(struct attr_set *set)
{
    if (set != NULL)
        vs_secret_free(set, set->size);
}

const struct attr *attr_set_find(const struct attr_set *set, CK_ATTRIBUTE_TYPE type)
{
    size_t low = 0, high = set->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (set->items[middle].type < type)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->n && set->items[low].type == type ? &set->items[low] : NULL;
}

bool attr_set_bool(const struct attr_set *set, CK_ATTRIBUTE_TYPE type, bool fallback)
{
    return item_bool(attr_set_find(set, type), fallback);
}

CK_ULONG attr_set_ulong(const struct attr_set *set, CK_ATTRIBUTE_TYPE type, CK_ULONG fallback)
{
    return item_ulong(attr_set_find(set, type), fallback);
}

CK_RV attr_list_from_set(struct attr_list *list, const struct attr_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        TRY(attr_put(list, set->items[i].type, set->items[i].value, set->items[i].len));
    return CKR_OK;
}
