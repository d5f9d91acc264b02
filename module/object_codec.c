/*
 * object_codec.c: attributes to the bytes that the store seals, and back.
 *
 * A byte with the format's number, then the attributes by ascending type: type (4 bytes), length
 * (4), value. Numbers are little-endian; a CK_ULONG has 8 bytes (attr.c asserts it).
 */
#include <string.h>

#include "attr_table.h"
#include "object.h"
#include "trace.h"

#define FORMAT 1u
#define HEAD (2 * sizeof(uint32_t))

CK_RV object_encode(const struct attr_set *attrs, struct secret *ret_bytes)
{
    size_t size = 1;
    for (size_t i = 0; i < attrs->n; i++)
        size += HEAD + attrs->items[i].len;
    TRY(secret_reserve(ret_bytes, size));
    uint8_t *at = ret_bytes->data;
    *at++ = FORMAT;
    for (size_t i = 0; i < attrs->n; i++) {
        const struct attr *attr = &attrs->items[i];
        uint32_t head[2] = {(uint32_t)attr->type, (uint32_t)attr->len};
        memcpy(at, head, HEAD);
        if (attr->len != 0)
            memcpy(at + HEAD, attr->value, attr->len);
        at += HEAD + attr->len;
    }
    ret_bytes->len = size;
    return CKR_OK;
}

/* How many attributes, and how large their block is; false when malformed. */
static bool bytes_measure(const uint8_t *bytes, size_t len, size_t *ret_n, size_t *ret_size)
{
    size_t n = 0, size = 0, at = 1;
    uint64_t last = 0;
    if (len == 0 || bytes[0] != FORMAT)
        return false;
    while (at < len) {
        uint32_t head[2];
        if (len - at < HEAD)
            return false;
        memcpy(head, bytes + at, HEAD);
        at += HEAD;
        if (len - at < head[1] || (n > 0 && head[0] <= last))
            return false;
        last = head[0];
        at += head[1];
        size += (head[1] + 7u) & ~(size_t)7;
        n++;
    }
    *ret_n = n;
    *ret_size = sizeof(struct attr_set) + n * sizeof(struct attr) + size;
    return true;
}

CK_RV object_decode(const uint8_t *bytes, size_t len, struct attr_set **ret_attrs)
{
    size_t n, size;
    if (!bytes_measure(bytes, len, &n, &size))
        return trace_fail(CKR_DEVICE_ERROR, "an object's record is malformed");
    struct attr_set *set = vs_secret_alloc(size);
    if (set == NULL)
        return CKR_HOST_MEMORY;
    set->size = size;
    set->n = n;
    uint8_t *out = (uint8_t *)&set->items[n];
    const uint8_t *at = bytes + 1;
    for (size_t i = 0; i < n; i++) {
        uint32_t head[2];
        memcpy(head, at, HEAD);
        memcpy(out, at + HEAD, head[1]);
        set->items[i] = (struct attr){head[0], head[1], out};
        out += (head[1] + 7u) & ~(size_t)7;
        at += HEAD + head[1];
    }
    *ret_attrs = set;
    return CKR_OK;
}

/* Two values as one term: the first one's length, then both. */
static CK_RV terms_join(const struct attr *a, const struct attr *b, struct secret *joined)
{
    uint32_t len = (uint32_t)a->len;
    TRY(secret_reserve(joined, sizeof len + a->len + b->len));
    memcpy(joined->data, &len, sizeof len);
    memcpy(joined->data + sizeof len, a->value, a->len);
    memcpy(joined->data + sizeof len + a->len, b->value, b->len);
    joined->len = sizeof len + a->len + b->len;
    return CKR_OK;
}

CK_RV object_terms(const struct attr_set *attrs, struct secret *joined,
                   struct vs_term ret_terms[VS_INDEX_MAX], size_t *ret_n)
{
    size_t n = 0;
    for (uint32_t i = 0; i < INDEX_COUNT; i++) {
        const struct index_row *row = &INDEX_ROWS[i];
        const struct attr *attr = attr_set_find(attrs, row->type);
        if (attr == NULL || attr->len == 0)
            continue;
        struct vs_term term = {i, attr->value, attr->len};
        if (row->second != CK_UNAVAILABLE_INFORMATION) {
            const struct attr *second = attr_set_find(attrs, row->second);
            if (second == NULL || second->len == 0)
                continue;
            TRY(terms_join(attr, second, joined));
            term = (struct vs_term){i, joined->data, joined->len};
        }
        ret_terms[n++] = term;
    }
    *ret_n = n;
    return CKR_OK;
}

int object_terms_each(const uint8_t *attrs, size_t attrs_len, vs_terms_then *then, void *ctx)
{
    struct attr_set *set = NULL;
    struct secret joined = {.data = NULL};
    struct vs_term terms[VS_INDEX_MAX];
    size_t n = 0;
    CK_RV rv = object_decode(attrs, attrs_len, &set);
    if (rv == CKR_OK)
        rv = object_terms(set, &joined, terms, &n);
    int status = rv == CKR_OK           ? then(ctx, terms, n)
               : rv == CKR_HOST_MEMORY ? VS_E_NOMEM
                                       : VS_E_CORRUPT;
    secret_done(&joined);
    attr_set_free(set);
    return status;
}
