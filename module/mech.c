/* What all mechanism families share: parameters, key checks, the end of an operation. */
#include "mech.h"

#include <stdlib.h>
#include <string.h>

#include "trace.h"

struct param_block { struct param_block *next; uint8_t bytes[]; };

void mech_param_init(struct mech_param *param)
{
    /* Not the inline bytes: this runs for every operation. */
    memset(param, 0, offsetof(struct mech_param, inline_bytes));
}

void mech_param_done(struct mech_param *param)
{
    struct param_block *block = param->heap;
    while (block != NULL) {
        struct param_block *next = block->next;
        free(block);
        block = next;
    }
    param->heap = NULL;
    param->used = 0;
}

CK_RV mech_param_bytes(struct mech_param *param, const void *data, size_t len, uint8_t **ret_copy)
{
    if (data == NULL && len > 0)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "a NULL pointer with length %zu", len);
    if (len > SIZE_MAX / 2)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "a length of %zu", len);
    uint8_t *copy = param->inline_bytes + param->used;
    if (len > sizeof param->inline_bytes - param->used) {
        struct param_block *block = malloc(sizeof *block + len);
        if (block == NULL)
            return trace_fail(CKR_HOST_MEMORY, "no memory for a parameter of %zu bytes", len);
        block->next = param->heap;
        param->heap = block;
        copy = block->bytes;
    } else {
        param->used += len;
    }
    if (len > 0)
        memcpy(copy, data, len);
    *ret_copy = copy;
    return CKR_OK;
}

CK_RV mech_param_none(const struct mech_row *row, const void *p, CK_ULONG len,
                      struct mech_param *m)
{
    (void)p;
    (void)m;
    if (len != 0)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s has no parameter, got %lu bytes",
                          row->name, len);
    return CKR_OK;
}

CK_RV mech_prepare(const CK_MECHANISM *mechanism, const struct mech_row **ret_row,
                   struct mech_param *ret_param)
{
    if (mechanism == NULL)
        return trace_fail(CKR_ARGUMENTS_BAD, "pMechanism is NULL");
    CK_MECHANISM copy;
    memcpy(&copy, mechanism, sizeof copy);
    const struct mech_row *row = mech_find(copy.mechanism);
    if (row == NULL)
        return trace_fail(CKR_MECHANISM_INVALID, "no mechanism 0x%lx", copy.mechanism);
    if (copy.pParameter == NULL && copy.ulParameterLen != 0)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: pParameter is NULL, its length %lu",
                          row->name, copy.ulParameterLen);
    mech_param_init(ret_param);
    CK_RV rv = row->parse(row, copy.pParameter, copy.ulParameterLen, ret_param);
    if (rv != CKR_OK) {
        mech_param_done(ret_param);
        return rv;
    }
    *ret_row = row;
    return CKR_OK;
}

static bool row_takes(const struct mech_row *row, CK_KEY_TYPE type)
{
    if (row->key_type == type)
        return true;
    const CK_KEY_TYPE *also = row->also;
    while (also != NULL && *also != CK_UNAVAILABLE_INFORMATION)
        if (*also++ == type)
            return true;
    return false;
}

CK_RV mech_key_fits(const struct mech_row *row, const struct key_material *key)
{
    if (!row_takes(row, key->key_type))
        return trace_fail(CKR_KEY_TYPE_INCONSISTENT, "%s cannot use a key of type 0x%lx",
                          row->name, key->key_type);
    /* The standard gives the sizes of secret keys in bytes where a mechanism uses them. */
    CK_ULONG size = key->cls == CKO_SECRET_KEY ? key->secret_len : key->bits;
    if (size < row->min || size > row->max)
        return trace_fail(CKR_KEY_SIZE_RANGE, "%s takes sizes %lu to %lu, the key has %lu",
                          row->name, row->min, row->max, size);
    return CKR_OK;
}

void crypto_done(struct crypto *c)
{
    if (c->ctx != NULL)
        c->mech->ctx_free(c->ctx);
    c->ctx = NULL;
    mech_param_done(&c->param);
    secret_done(&c->buffer);
    OPENSSL_cleanse(&c->state, sizeof c->state);
}
