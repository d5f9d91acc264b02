/* states_call.c: the objects of the state table, and the calls that are made on them. */
#include "states_call.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALUE_BYTES 32
static const CK_BYTE zeros[16] = {0};
static const CK_BYTE P256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
/* A pair of the curve: the scalar, and the point in its octet string. */
static CK_BYTE pair_scalar[32], pair_point[67];

/* ------------------------------------------------------------------ objects */

/* The pair of which all the table's private and public keys are made; once in a process. The
 * private key is created from its value, so that it can be the same in both processes. */
static void pair_prepare(void)
{
    static const char scalar[] = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    static const char point[] = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
                                "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
    pair_point[0] = 0x04;
    pair_point[1] = 65;
    pair_point[2] = 0x04;
    for (size_t i = 0; i < 32; i++)
        CHECK(sscanf(scalar + 2 * i, "%2hhx", &pair_scalar[i]) == 1);
    for (size_t i = 0; i < 64; i++)
        CHECK(sscanf(point + 2 * i, "%2hhx", &pair_point[3 + i]) == 1);
}

static const CK_BYTE aes_value[VALUE_BYTES] = {0x11, 0x22, 0x33};

#define MAX_ATTRS 24
struct list { CK_ATTRIBUTE items[MAX_ATTRS]; CK_ULONG n; };

static void list_put(struct list *list, CK_ATTRIBUTE_TYPE type, const void *value, CK_ULONG len)
{
    CHECK(list->n < MAX_ATTRS);
    list->items[list->n++] = (CK_ATTRIBUTE){type, (void *)(uintptr_t)value, len};
}

static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static const CK_ULONG lock_delete = 1, lock_all = 2, aes = CKK_AES, ec = CKK_EC;

static void list_flags(struct list *list, const CK_ATTRIBUTE_TYPE *types, size_t n)
{
    for (size_t i = 0; i < n; i++)
        list_put(list, types[i], &yes, sizeof yes);
}

static void list_aes(struct list *list)
{
    static const CK_ATTRIBUTE_TYPE uses[] = {CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP,
                                             CKA_SIGN, CKA_VERIFY, CKA_EXTRACTABLE};
    list_put(list, CKA_KEY_TYPE, &aes, sizeof aes);
    list_put(list, CKA_VALUE, aes_value, sizeof aes_value);
    list_put(list, CKA_SENSITIVE, &no, sizeof no);
    list_flags(list, uses, COUNT_OF(uses));
}

static void list_private(struct list *list)
{
    static const CK_ATTRIBUTE_TYPE uses[] = {CKA_SIGN, CKA_DERIVE, CKA_EXTRACTABLE};
    list_put(list, CKA_KEY_TYPE, &ec, sizeof ec);
    list_put(list, CKA_EC_PARAMS, P256, sizeof P256);
    list_put(list, CKA_VALUE, pair_scalar, sizeof pair_scalar);
    list_put(list, CKA_SENSITIVE, &no, sizeof no);
    list_flags(list, uses, COUNT_OF(uses));
}

static void list_public(struct list *list)
{
    static const CK_ATTRIBUTE_TYPE uses[] = {CKA_VERIFY};
    list_put(list, CKA_KEY_TYPE, &ec, sizeof ec);
    list_put(list, CKA_EC_PARAMS, P256, sizeof P256);
    list_put(list, CKA_EC_POINT, pair_point, sizeof pair_point);
    list_flags(list, uses, COUNT_OF(uses));
}

/* Its bytes are for those who read it: the token does not look into them. */
static void list_certificate(struct list *list)
{
    static const CK_CERTIFICATE_TYPE x509 = CKC_X_509;
    static const CK_BYTE name[] = {0x30, 0x00};
    list_put(list, CKA_CERTIFICATE_TYPE, &x509, sizeof x509);
    list_put(list, CKA_SUBJECT, name, sizeof name);
    list_put(list, CKA_VALUE, name, sizeof name);
}

static void list_data(struct list *list)
{
    list_put(list, CKA_VALUE, "data", 4);
}

static void (*const LISTS[KINDS])(struct list *list) = {
    [AES] = list_aes, [AES_OPEN] = list_aes, [PRIVATE] = list_private, [PUBLIC] = list_public,
    [CERTIFICATE] = list_certificate, [DATA] = list_data, [DATA_PRIVATE] = list_data,
};

/* What makes an object one of a live column; those to be deleted begin as active ones. */
static const struct making {
    CK_ATTRIBUTE_TYPE type;
    const void *value;
    CK_ULONG len;
} MAKINGS[COLUMNS] = {
    [DISABLED] = {CKA_RPV_ENABLED, &no, sizeof no},
    [EXPIRED] = {CKA_RPV_NOT_AFTER, "2001010100000000", 16},
    [PREACTIVE] = {CKA_RPV_NOT_BEFORE, "2101010100000000", 16},
    [HELD] = {CKA_RPV_HOLD, &yes, sizeof yes},
    [NO_DELETE] = {CKA_RPV_LOCK, &lock_delete, sizeof lock_delete},
    [READ_ONLY] = {CKA_RPV_LOCK, &lock_all, sizeof lock_all},
    [DELETED_HELD] = {CKA_RPV_HOLD, &yes, sizeof yes},
};

static CK_ATTRIBUTE_TYPE serial_type(enum kind kind)
{
    return KIND_ROWS[kind].cls == CKO_DATA ? CKA_OBJECT_ID : CKA_ID;
}

CK_OBJECT_HANDLE seat_make(struct harness *h, CK_SESSION_HANDLE session, enum kind kind,
                           enum column column, uint32_t serial, bool token)
{
    const struct kind_row *row = &KIND_ROWS[kind];
    struct list list = {.n = 0};
    CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
    char label[16];
    if (pair_point[0] == 0)
        pair_prepare();
    snprintf(label, sizeof label, "%u", (unsigned)serial);
    list_put(&list, CKA_CLASS, &row->cls, sizeof row->cls);
    list_put(&list, CKA_TOKEN, token ? &yes : &no, sizeof yes);
    list_put(&list, CKA_PRIVATE, row->is_private && token ? &yes : &no, sizeof yes);
    list_put(&list, CKA_LABEL, label, strlen(label));
    list_put(&list, serial_type(kind), &serial, sizeof serial);
    LISTS[kind](&list);
    if (MAKINGS[column].type != 0 && token)
        list_put(&list, MAKINGS[column].type, MAKINGS[column].value, MAKINGS[column].len);
    OK(h->f->C_CreateObject(session, list.items, list.n, &object));
    return object;
}

CK_OBJECT_HANDLE seat_find(struct harness *h, CK_SESSION_HANDLE session, enum kind kind,
                           uint32_t serial, int deleted)
{
    CK_OBJECT_CLASS cls = KIND_ROWS[kind].cls;
    CK_ATTRIBUTE wanted[] = {ATTR_VAR(CKA_CLASS, cls), ATTR_VAR(serial_type(kind), serial),
                             ATTR_BOOL(CKA_RPV_DELETED, deleted == 2)};
    /* a search that names no label, id or unique id lists; data objects go by their label */
    char label[16];
    snprintf(label, sizeof label, "%u", (unsigned)serial);
    if (cls == CKO_DATA)
        wanted[1] = (CK_ATTRIBUTE)ATTR_BYTES(CKA_LABEL, label, strlen(label));
    return harness_find(h, session, wanted, deleted == 0 ? 2 : 3);
}

/* ------------------------------------------------------------------ searches */

static int handle_compare(const void *a, const void *b)
{
    const CK_OBJECT_HANDLE *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

void viewer_list(struct viewer *v)
{
    CK_ATTRIBUTE token = ATTR_TRUE(CKA_TOKEN);
    CK_ULONG cap = 0, got = 1;
    v->n_listed = 0;
    OK(v->h.f->C_FindObjectsInit(v->session, &token, 1));
    for (; got > 0; v->n_listed += got) {
        if (cap - v->n_listed < 256) {
            cap += 1024;
            v->listed = realloc(v->listed, cap * sizeof *v->listed);
            CHECK(v->listed != NULL);
        }
        OK(v->h.f->C_FindObjects(v->session, v->listed + v->n_listed, 256, &got));
    }
    OK(v->h.f->C_FindObjectsFinal(v->session));
    qsort(v->listed, v->n_listed, sizeof *v->listed, handle_compare);
}

CALL_FN(call_list)
{
    (void)call;
    return v->n_listed > 0 && bsearch(&seat->handle, v->listed, v->n_listed, sizeof *v->listed,
                                      handle_compare) != NULL
               ? CKR_OK
               : CKR_OBJECT_HANDLE_INVALID;
}

CALL_FN(call_find)
{
    return seat_find(&v->h, v->session, seat->kind, seat->serial, call->deleted)
                   != CK_INVALID_HANDLE
               ? CKR_OK
               : CKR_OBJECT_HANDLE_INVALID;
}

CALL_FN(call_find_value)
{
    static const struct { const void *value; CK_ULONG len; } values[KINDS] = {
        [AES] = {aes_value, sizeof aes_value}, [AES_OPEN] = {aes_value, sizeof aes_value},
        [PRIVATE] = {pair_scalar, sizeof pair_scalar}, [DATA] = {"data", 4},
        [DATA_PRIVATE] = {"data", 4},
    };
    char label[16];
    (void)call;
    snprintf(label, sizeof label, "%u", (unsigned)seat->serial);
    CK_ATTRIBUTE wanted[] = {ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                             ATTR_BYTES(CKA_VALUE, values[seat->kind].value,
                                        values[seat->kind].len)};
    return harness_find(&v->h, v->session, wanted, COUNT_OF(wanted)) != CK_INVALID_HANDLE
               ? CKR_OK
               : CKR_OBJECT_HANDLE_INVALID;
}

/* ------------------------------------------------------------------ attributes */

static CK_RV get(struct viewer *v, const struct seat *seat, CK_ATTRIBUTE_TYPE type)
{
    CK_BYTE value[80];
    CK_ATTRIBUTE attribute = {type, value, sizeof value};
    return v->h.f->C_GetAttributeValue(v->session, seat->handle, &attribute, 1);
}

CALL_FN(call_get)
{
    (void)call;
    return get(v, seat, CKA_LABEL);
}

CALL_FN(call_get_state)
{
    (void)call;
    return get(v, seat, CKA_RPV_STATE);
}

CALL_FN(call_get_size)
{
    CK_ULONG size = 0;
    (void)call;
    return v->h.f->C_GetObjectSize(v->session, seat->handle, &size);
}

CALL_FN(call_get_value)
{
    (void)call;
    return get(v, seat, CKA_VALUE);
}

CALL_FN(call_set)
{
    CK_ATTRIBUTE attribute = ATTR_BYTES(call->set.type, call->set.value, call->set.len);
    return v->h.f->C_SetAttributeValue(v->session, seat->handle, &attribute, 1);
}

CALL_FN(call_destroy)
{
    (void)call;
    return v->h.f->C_DestroyObject(v->session, seat->handle);
}

/* ------------------------------------------------------------------ uses */

/* What came of a call that made a session object: that goes again. */
static CK_RV made(struct viewer *v, CK_RV rv, const CK_OBJECT_HANDLE *object)
{
    if (rv == CKR_OK)
        OK(v->h.f->C_DestroyObject(v->session, *object));
    return rv;
}

CALL_FN(call_copy)
{
    CK_ATTRIBUTE session = ATTR_FALSE(CKA_TOKEN);
    CK_OBJECT_HANDLE copy = CK_INVALID_HANDLE;
    (void)call;
    return made(v, v->h.f->C_CopyObject(v->session, seat->handle, &session, 1, &copy), &copy);
}

static CK_MECHANISM ecb = {CKM_AES_ECB, NULL, 0}, kw = {CKM_AES_KEY_WRAP_PAD, NULL, 0},
                    sha256 = {CKM_SHA256, NULL, 0};

CALL_FN(call_encrypt)
{
    CK_BYTE in[16] = {0}, out[16];
    CK_ULONG len = sizeof out;
    (void)call;
    CK_RV rv = v->h.f->C_EncryptInit(v->session, &ecb, seat->handle);
    return rv != CKR_OK ? rv : v->h.f->C_Encrypt(v->session, in, sizeof in, out, &len);
}

CALL_FN(call_copy_encrypt)
{
    CK_ATTRIBUTE session = ATTR_FALSE(CKA_TOKEN);
    struct seat copy = *seat;
    CK_RV rv = v->h.f->C_CopyObject(v->session, seat->handle, &session, 1, &copy.handle);
    if (rv != CKR_OK)
        return rv;
    rv = call_encrypt(v, &copy, call);
    OK(v->h.f->C_DestroyObject(v->session, copy.handle));
    return rv;
}

CALL_FN(call_decrypt)
{
    CK_BYTE in[16] = {0}, out[16];
    CK_ULONG len = sizeof out;
    (void)call;
    CK_RV rv = v->h.f->C_DecryptInit(v->session, &ecb, seat->handle);
    return rv != CKR_OK ? rv : v->h.f->C_Decrypt(v->session, in, sizeof in, out, &len);
}

static CK_MECHANISM *signing(enum kind kind)
{
    static CK_MECHANISM cmac = {CKM_AES_CMAC, NULL, 0}, ecdsa = {CKM_ECDSA, NULL, 0};
    return kind == PRIVATE || kind == PUBLIC ? &ecdsa : &cmac;
}

static CK_ULONG signature_len(enum kind kind)
{
    return kind == PRIVATE || kind == PUBLIC ? 64 : 16;
}

CALL_FN(call_sign)
{
    CK_BYTE in[16] = {0}, out[64];
    CK_ULONG len = sizeof out;
    (void)call;
    CK_RV rv = v->h.f->C_SignInit(v->session, signing(seat->kind), seat->handle);
    return rv != CKR_OK ? rv : v->h.f->C_Sign(v->session, in, sizeof in, out, &len);
}

CALL_FN(call_verify)
{
    CK_BYTE in[16] = {0};
    (void)call;
    CK_RV rv = v->h.f->C_VerifyInit(v->session, signing(seat->kind), seat->handle);
    return rv != CKR_OK ? rv
                        : v->h.f->C_Verify(v->session, in, sizeof in, v->signatures[seat->kind],
                                           signature_len(seat->kind));
}

static CK_RV wrap(struct viewer *v, CK_OBJECT_HANDLE with, CK_OBJECT_HANDLE what)
{
    CK_BYTE out[512];
    CK_ULONG len = sizeof out;
    return v->h.f->C_WrapKey(v->session, &kw, with, what, out, &len);
}

CALL_FN(call_wrap)
{
    (void)call;
    return wrap(v, seat->handle, v->target);
}

CALL_FN(call_be_wrapped)
{
    (void)call;
    return wrap(v, v->target, seat->handle);
}

static CK_RV unwrap(struct viewer *v, CK_OBJECT_HANDLE with, bool token, bool is_private,
                    CK_OBJECT_HANDLE *ret_key)
{
    CK_ATTRIBUTE template[] = {ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                               ATTR_ULONG(CKA_KEY_TYPE, CKK_AES), ATTR_BOOL(CKA_TOKEN, token),
                               ATTR_BOOL(CKA_PRIVATE, is_private)};
    return v->h.f->C_UnwrapKey(v->session, &kw, with, v->wrapped, v->wrapped_len, template,
                               COUNT_OF(template), ret_key);
}

CALL_FN(call_unwrap)
{
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    (void)call;
    return made(v, unwrap(v, seat->handle, false, false, &key), &key);
}

static CK_RV derive(struct viewer *v, CK_OBJECT_HANDLE from, bool token, bool is_private,
                    CK_OBJECT_HANDLE *ret_key)
{
    CK_ECDH1_DERIVE_PARAMS param = {.kdf = CKD_NULL, .ulPublicDataLen = sizeof pair_point - 2,
                                    .pPublicData = pair_point + 2};
    CK_MECHANISM ecdh = {CKM_ECDH1_DERIVE, &param, sizeof param};
    CK_ATTRIBUTE template[] = {ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                               ATTR_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
                               ATTR_ULONG(CKA_VALUE_LEN, 32), ATTR_BOOL(CKA_TOKEN, token),
                               ATTR_BOOL(CKA_PRIVATE, is_private)};
    return v->h.f->C_DeriveKey(v->session, &ecdh, from, template, COUNT_OF(template), ret_key);
}

CALL_FN(call_derive)
{
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    (void)call;
    return made(v, derive(v, seat->handle, false, false, &key), &key);
}

CALL_FN(call_digest_key)
{
    CK_BYTE out[32];
    CK_ULONG len = sizeof out;
    (void)call;
    OK(v->h.f->C_DigestInit(v->session, &sha256));
    CK_RV rv = v->h.f->C_DigestKey(v->session, seat->handle);   /* a failure ends the digest */
    return rv != CKR_OK ? rv : v->h.f->C_DigestFinal(v->session, out, &len);
}

/* ------------------------------------------------------------------ making objects */

#define PLACE ATTR_TRUE(CKA_TOKEN), ATTR_BOOL(CKA_PRIVATE, is_private)

CK_RV make_key(struct viewer *v, bool is_private)
{
    CK_ATTRIBUTE template[] = {PLACE, ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                               ATTR_ULONG(CKA_KEY_TYPE, CKK_AES),
                               ATTR_BYTES(CKA_VALUE, aes_value, sizeof aes_value)};
    CK_OBJECT_HANDLE key;
    return v->h.f->C_CreateObject(v->session, template, COUNT_OF(template), &key);
}

CK_RV make_data(struct viewer *v, bool is_private)
{
    CK_ATTRIBUTE template[] = {PLACE, ATTR_ULONG(CKA_CLASS, CKO_DATA)};
    CK_OBJECT_HANDLE data;
    return v->h.f->C_CreateObject(v->session, template, COUNT_OF(template), &data);
}

CK_RV make_generated(struct viewer *v, bool is_private)
{
    CK_MECHANISM generate = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE template[] = {PLACE, ATTR_ULONG(CKA_VALUE_LEN, 16)};
    CK_OBJECT_HANDLE key;
    return v->h.f->C_GenerateKey(v->session, &generate, template, COUNT_OF(template), &key);
}

CK_RV make_pair(struct viewer *v, bool is_private)
{
    CK_MECHANISM generate = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE public[] = {PLACE, ATTR_BYTES(CKA_EC_PARAMS, P256, sizeof P256)};
    CK_ATTRIBUTE private[] = {PLACE};
    CK_OBJECT_HANDLE keys[2];
    return v->h.f->C_GenerateKeyPair(v->session, &generate, public, COUNT_OF(public), private,
                                     COUNT_OF(private), &keys[0], &keys[1]);
}

CK_RV make_unwrapped(struct viewer *v, bool is_private)
{
    CK_OBJECT_HANDLE key;
    return unwrap(v, v->base[AES_OPEN], true, is_private, &key);
}

CK_RV make_derived(struct viewer *v, bool is_private)
{
    CK_OBJECT_HANDLE key;
    return derive(v, v->base[PRIVATE], true, is_private, &key);
}

CK_RV make_copy(struct viewer *v, bool is_private)
{
    CK_ATTRIBUTE template[] = {PLACE};
    CK_OBJECT_HANDLE copy;
    return v->h.f->C_CopyObject(v->session, v->base[AES_OPEN], template, COUNT_OF(template), &copy);
}

/* ------------------------------------------------------------------ the vendor interface */

CK_RV vendor_rotate(struct viewer *v, enum kind kind)
{
    CK_OBJECT_HANDLE key;
    return v->rpv->RPV_RotateKey(v->session, v->base[kind], &key, NULL);
}

CK_RV vendor_backup(struct viewer *v, enum kind kind)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const struct RPV_BACKUP backup = {.fd = fd};
    unsigned long long n = 0;
    CK_RV rv = v->rpv->RPV_Backup(v->session, &v->base[kind], 1, &backup, &n);
    CHECK(n == (rv == CKR_OK ? 1 : 0));
    close(fd);
    return rv;
}

/* Of nothing, so that it touches no verb but the one for it. */
CK_RV vendor_grant(struct viewer *v, enum kind kind)
{
    return v->rpv->RPV_GrantUser(v->session, "third", v->base[kind], 0);
}

/* To what it is already. */
CK_RV vendor_policy(struct viewer *v, enum kind kind)
{
    struct RPV_POLICY policy;
    (void)kind;
    OK(v->rpv->RPV_GetPolicy(v->h.slot, &policy));
    return v->rpv->RPV_SetPolicy(v->session, &policy);
}

/* ------------------------------------------------------------------ before any call */

void viewer_prepare(struct viewer *v)
{
    v->target = seat_make(&v->h, v->session, AES_OPEN, ACTIVE, 0, false);
    v->wrapped_len = sizeof v->wrapped;
    OK(v->h.f->C_WrapKey(v->session, &kw, v->target, v->target, v->wrapped, &v->wrapped_len));
    CK_OBJECT_HANDLE pair = seat_make(&v->h, v->session, PRIVATE, ACTIVE, 0, false);
    for (enum kind kind = 0; kind < KINDS; kind++) {
        CK_ULONG len = sizeof v->signatures[kind];
        if (kind >= CERTIFICATE)
            continue;
        OK(v->h.f->C_SignInit(v->session, signing(kind),
                              kind == PRIVATE || kind == PUBLIC ? pair : v->target));
        OK(v->h.f->C_Sign(v->session, (CK_BYTE *)(uintptr_t)zeros, sizeof zeros,
                          v->signatures[kind], &len));
    }
    OK(v->h.f->C_DestroyObject(v->session, pair));
}
