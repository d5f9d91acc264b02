/* See key_material.h. */
#include "key_material.h"

#include <openssl/params.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "key_parts.h"
#include "ossl.h"
#include "ossl_auto.h"
#include "trace.h"

const struct attr *view_find(struct attr_view view, CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < view.n; i++)
        if (view.items[i].type == type)
            return view.items[i].len > 0 ? &view.items[i] : NULL;
    return NULL;
}

CK_ULONG view_ulong(struct attr_view view, CK_ATTRIBUTE_TYPE type)
{
    CK_ULONG value = CK_UNAVAILABLE_INFORMATION;
    const struct attr *attr = view_find(view, type);
    if (attr && attr->len == sizeof value)
        memcpy(&value, attr->value, sizeof value);
    return value;
}

/* One block of secret memory holds the structure and the value behind it. */
static CK_RV secret_alloc(size_t secret_len, struct key_material **ret_key)
{
    size_t size = sizeof(struct key_material) + secret_len;
    struct key_material *key = vs_secret_alloc(size);
    if (!key)
        return trace_fail(CKR_HOST_MEMORY, "no memory for a key");
    memset(key, 0, sizeof *key);
    atomic_init(&key->refs, 1);
    key->owned = key;
    key->owned_len = size;
    *ret_key = key;
    return CKR_OK;
}

static CK_RV secret_key_new(struct attr_view view, struct key_material **ret_key)
{
    const struct attr *value = view_find(view, CKA_VALUE);
    if (!value)
        return trace_fail(CKR_KEY_TYPE_INCONSISTENT, "the key has no value");
    struct key_material *key = NULL;
    TRY(secret_alloc(value->len, &key));
    memcpy(key + 1, value->value, value->len);
    key->secret = (const uint8_t *)(key + 1);
    key->secret_len = value->len;
    key->bits = 8 * value->len;
    *ret_key = key;
    return CKR_OK;
}

static CK_RV pair_half_new(struct attr_view view, CK_OBJECT_CLASS cls, CK_KEY_TYPE type,
                           struct key_material **ret_key)
{
    AUTO(evp_pkey) EVP_PKEY *pkey = NULL;
    struct key_shape shape = {0};
    bool private = cls == CKO_PRIVATE_KEY;
    if (type == CKK_RSA)
        TRY(rsa_pkey_new(view, private, &pkey, &shape));
    else
        TRY(ec_pkey_new(view, private, &pkey, &shape));
    /* nothing secret but what OpenSSL holds; secret memory would hide the EVP_PKEY, in a forked
     * child for ever, from leak checkers */
    struct key_material *key = calloc(1, sizeof *key);
    if (!key)
        return trace_fail(CKR_HOST_MEMORY, "no memory for a key");
    atomic_init(&key->refs, 1);
    key->pkey = pkey;
    pkey = NULL;
    key->bits = shape.bits;
    key->sig_len = shape.sig_len;
    key->curve = shape.curve;
    *ret_key = key;
    return CKR_OK;
}

CK_RV key_material_new(const struct attr_set *attrs, struct key_material **ret_key)
{
    struct attr_view view = view_of_set(attrs);
    CK_OBJECT_CLASS cls = view_ulong(view, CKA_CLASS);
    CK_KEY_TYPE type = view_ulong(view, CKA_KEY_TYPE);
    struct key_material *key = NULL;
    if (cls == CKO_SECRET_KEY)
        TRY(secret_key_new(view, &key));
    else if (cls == CKO_PRIVATE_KEY || cls == CKO_PUBLIC_KEY)
        TRY(pair_half_new(view, cls, type, &key));
    else
        return trace_fail(CKR_KEY_TYPE_INCONSISTENT, "an object of class 0x%lx is no key", cls);
    key->cls = cls;
    key->key_type = type;
    *ret_key = key;
    return CKR_OK;
}

struct key_material *key_material_ref(struct key_material *key)
{
    atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

void key_material_unref(struct key_material *key)
{
    if (!key || atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) != 1)
        return;
    EVP_PKEY_free(key->pkey);
    if (key->owned)
        vs_secret_free(key->owned, key->owned_len);
    else
        free(key);
}

CK_RV pkey_parts_init(struct pkey_parts *parts, size_t bytes)
{
    *parts = (struct pkey_parts){0};
    return secret_reserve(&parts->scratch, bytes);
}

void pkey_parts_auto(struct pkey_parts *parts)
{
    secret_done(&parts->scratch);
}

/* OSSL_PARAM wants numbers in the machine's own byte order. */
void pkey_parts_number(struct pkey_parts *parts, const char *name, const uint8_t *big_endian,
                       size_t len)
{
    uint8_t *copy = parts->scratch.data + parts->used;
    for (size_t i = 0; i < len; i++)
        copy[i] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? big_endian[len - 1 - i]
                                                             : big_endian[i];
    parts->used += len;
    parts->params[parts->n++] = OSSL_PARAM_construct_BN(name, copy, len);
}

CK_RV pkey_parts_new(struct pkey_parts *parts, const char *type, int selection,
                     EVP_PKEY **ret_pkey)
{
    AUTO(evp_pkey_ctx) EVP_PKEY_CTX *ctx = ossl_pkey_ctx(type);
    parts->params[parts->n] = OSSL_PARAM_construct_end();
    EVP_PKEY *pkey = NULL;
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, selection, parts->params) != 1)
        return ossl_fail(CKR_ATTRIBUTE_VALUE_INVALID, "key components");
    *ret_pkey = pkey;
    return CKR_OK;
}
