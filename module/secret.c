/* A buffer for secrets that wipes itself. See key_material.h. */
#include <string.h>

#include "key_material.h"
#include "trace.h"

void secret_done(struct secret *secret)
{
    vs_secret_free(secret->data, secret->cap);
    *secret = (struct secret){0};
}

CK_RV secret_reserve(struct secret *secret, size_t cap)
{
    if (secret->data != NULL && secret->cap >= cap) {
        explicit_bzero(secret->data, secret->len);
        secret->len = 0;
        return CKR_OK;
    }
    secret_done(secret);
    uint8_t *data = vs_secret_alloc(cap);
    if (data == NULL)
        return trace_fail(CKR_HOST_MEMORY, "no secret memory for %zu bytes", cap);
    *secret = (struct secret){.data = data, .cap = cap};
    return CKR_OK;
}

static CK_RV secret_grow(struct secret *secret, size_t need)
{
    size_t cap = secret->cap < 32 ? 64 : secret->cap * 2;
    AUTO(secret) struct secret grown = {0};
    TRY(secret_reserve(&grown, cap < need ? need : cap));
    if (secret->len > 0)
        memcpy(grown.data, secret->data, secret->len);
    grown.len = secret->len;
    struct secret old = *secret;
    *secret = grown;
    grown = old;
    return CKR_OK;
}

CK_RV secret_append(struct secret *secret, const void *data, size_t len)
{
    if (len > SIZE_MAX / 4 - secret->len)
        return trace_fail(CKR_HOST_MEMORY, "a buffer of more than %zu bytes", SIZE_MAX / 4);
    if (secret->data == NULL || len > secret->cap - secret->len)
        TRY(secret_grow(secret, secret->len + len));
    if (len > 0)
        memcpy(secret->data + secret->len, data, len);
    secret->len += len;
    return CKR_OK;
}
