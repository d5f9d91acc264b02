/* Fields of the vector files, and the session keys made from them. See vectors.h. */
#include "vectors.h"

#include <stdlib.h>
#include <string.h>

struct bytes bytes_room(size_t n)
{
    struct bytes room = {malloc(n + 1), n};
    CHECK(room.p != NULL);
    return room;
}

void bytes_done(struct bytes *b)
{
    free(b->p);
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static json_t *field(const struct vector_run *run, const char *name)
{
    json_t *value = json_object_get(run->test, name);
    return value ? value : json_object_get(run->group, name);
}

static unsigned nibble(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;
    CHECK(at != NULL);
    return (unsigned)(at - digits);
}

static struct bytes hex_decode(const char *hex)
{
    size_t n = hex ? strlen(hex) / 2 : 0;
    struct bytes out = bytes_room(n);
    for (size_t i = 0; i < n; i++)
        out.p[i] = (CK_BYTE)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    return out;
}

struct bytes field_hex(const struct vector_run *run, const char *name)
{
    return hex_decode(json_string_value(field(run, name)));
}

struct bytes field_integer(json_t *object, const char *name, size_t width)
{
    BYTES raw = hex_decode(json_string_value(json_object_get(object, name)));
    size_t skip = 0;
    while (skip < raw.n && raw.p[skip] == 0)
        skip++;
    size_t n = raw.n - skip;
    struct bytes out = bytes_room(n < width ? width : n);
    memset(out.p, 0, out.n);
    memcpy(out.p + (out.n - n), raw.p + skip, n);
    return out;
}

CK_ULONG field_number(const struct vector_run *run, const char *name)
{
    return (CK_ULONG)json_integer_value(field(run, name));
}

const char *field_text(const struct vector_run *run, const char *name)
{
    const char *text = json_string_value(field(run, name));
    return text ? text : "";
}

bool test_is_valid(const struct vector_run *run)
{
    return strcmp(field_text(run, "result"), "invalid") != 0;
}

const struct hash_row *field_hash(const struct vector_run *run, const char *name)
{
    static const struct hash_row rows[] = {
        {"SHA-1", CKM_SHA_1, CKG_MGF1_SHA1, CKM_SHA1_RSA_PKCS, CKM_SHA1_RSA_PKCS_PSS, "SHA1"},
        {"SHA-224", CKM_SHA224, CKG_MGF1_SHA224, CKM_SHA224_RSA_PKCS, CKM_SHA224_RSA_PKCS_PSS,
         "SHA224"},
        {"SHA-256", CKM_SHA256, CKG_MGF1_SHA256, CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS,
         "SHA256"},
        {"SHA-384", CKM_SHA384, CKG_MGF1_SHA384, CKM_SHA384_RSA_PKCS, CKM_SHA384_RSA_PKCS_PSS,
         "SHA384"},
        {"SHA-512", CKM_SHA512, CKG_MGF1_SHA512, CKM_SHA512_RSA_PKCS, CKM_SHA512_RSA_PKCS_PSS,
         "SHA512"},
    };
    const char *text = field_text(run, name);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (!strcmp(rows[i].name, text))
            return &rows[i];
    harness_fail(__FILE__, __LINE__, "%s: no row for the hash %s", run->family->file, text);
    return &rows[0];
}

enum outcome run_refused(struct vector_run *run, const char *step, CK_RV rv)
{
    run->step = step;
    run->rv = rv;
    return REFUSED;
}

enum outcome run_wrong(struct vector_run *run, const char *step)
{
    run->step = step;
    return WRONG;
}

CK_RV key_create(struct vector_run *run, CK_ATTRIBUTE *attrs, CK_ULONG count,
                 CK_OBJECT_HANDLE *ret_key)
{
    *ret_key = CK_INVALID_HANDLE;
    return run->h->f->C_CreateObject(run->session, attrs, count, ret_key);
}

CK_RV key_secret(struct vector_run *run, CK_KEY_TYPE type, struct bytes value,
                 CK_OBJECT_HANDLE *ret_key)
{
    CK_ATTRIBUTE attrs[] = {
        ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
        ATTR_VAR(CKA_KEY_TYPE, type),
        ATTR_FALSE(CKA_TOKEN),
        ATTR_FALSE(CKA_SENSITIVE),
        ATTR_TRUE(CKA_EXTRACTABLE),
        ATTR_TRUE(CKA_ENCRYPT),
        ATTR_TRUE(CKA_DECRYPT),
        ATTR_TRUE(CKA_SIGN),
        ATTR_TRUE(CKA_VERIFY),
        ATTR_TRUE(CKA_WRAP),
        ATTR_TRUE(CKA_UNWRAP),
        ATTR_BYTES(CKA_VALUE, value.p, value.n),
    };
    return key_create(run, attrs, COUNT_OF(attrs), ret_key);
}

void key_destroy(struct vector_run *run, CK_OBJECT_HANDLE key)
{
    if (key != CK_INVALID_HANDLE)
        OK(run->h->f->C_DestroyObject(run->session, key));
}

CK_RV key_value(struct vector_run *run, CK_OBJECT_HANDLE key, struct bytes *ret_value)
{
    CK_BYTE buffer[4096];
    CK_ATTRIBUTE attr = ATTR_BYTES(CKA_VALUE, buffer, sizeof buffer);
    CK_RV rv = run->h->f->C_GetAttributeValue(run->session, key, &attr, 1);
    if (rv != CKR_OK)
        return rv;
    *ret_value = bytes_room(attr.ulValueLen);
    memcpy(ret_value->p, buffer, attr.ulValueLen);
    return CKR_OK;
}
