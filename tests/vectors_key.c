/* Wrapping, key agreement and OAEP. See vectors.h. */
#include "vectors.h"

#include <string.h>

static CK_RV wrap_once(struct vector_run *run, CK_OBJECT_HANDLE wrapping, struct bytes value,
                       struct bytes *ret_wrapped)
{
    CK_MECHANISM mech = {run->family->mech, NULL, 0};
    CK_OBJECT_HANDLE key;
    CK_RV rv = key_secret(run, CKK_GENERIC_SECRET, value, &key);
    if (rv != CKR_OK)
        return rv;
    rv = run->h->f->C_WrapKey(run->session, &mech, wrapping, key, ret_wrapped->p, &ret_wrapped->n);
    key_destroy(run, key);
    return rv;
}

static CK_RV unwrap_once(struct vector_run *run, CK_OBJECT_HANDLE unwrapping, struct bytes wrapped,
                         struct bytes *ret_value)
{
    CK_MECHANISM mech = {run->family->mech, NULL, 0};
    CK_ATTRIBUTE attrs[] = {
        ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY), ATTR_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        ATTR_FALSE(CKA_TOKEN),                 ATTR_FALSE(CKA_SENSITIVE),
        ATTR_TRUE(CKA_EXTRACTABLE),
    };
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CK_RV rv = run->h->f->C_UnwrapKey(run->session, &mech, unwrapping, wrapped.p, wrapped.n, attrs,
                                      COUNT_OF(attrs), &key);
    if (rv != CKR_OK)
        return rv;
    rv = key_value(run, key, ret_value);
    key_destroy(run, key);
    return rv;
}

/* An invalid test without a ciphertext is about a message that must not be wrapped. */
static enum outcome wrap_both(struct vector_run *run, CK_OBJECT_HANDLE kek, struct bytes msg,
                              struct bytes ct)
{
    BYTES wrapped = bytes_room(ct.n + msg.n + 64);
    bool wrap_only = ct.n == 0 && msg.n > 0;
    CK_RV rv;
    if (!wrap_only) {
        BYTES value = {0};
        rv = unwrap_once(run, kek, ct, &value);
        if (rv != CKR_OK)
            return run_refused(run, "unwrap", rv);
        if (!test_is_valid(run))
            return ACCEPTED;
        if (!bytes_equal(value, msg))
            return run_wrong(run, "unwrap");
    }
    rv = wrap_once(run, kek, msg, &wrapped);
    if (rv != CKR_OK)
        return run_refused(run, "wrap", rv);
    return wrap_only || bytes_equal(wrapped, ct) ? ACCEPTED : run_wrong(run, "wrap");
}

enum outcome wrap_test(struct vector_run *run)
{
    BYTES value = field_hex(run, "key");
    BYTES msg = field_hex(run, "msg");
    BYTES ct = field_hex(run, "ct");
    CK_OBJECT_HANDLE kek;
    CK_RV rv = key_secret(run, CKK_AES, value, &kek);
    if (rv != CKR_OK)
        return run_refused(run, "C_CreateObject", rv);
    enum outcome outcome = wrap_both(run, kek, msg, ct);
    key_destroy(run, kek);
    return outcome;
}

static enum outcome agree(struct vector_run *run, struct bytes public, struct bytes shared)
{
    CK_ECDH1_DERIVE_PARAMS params = {
        .kdf = CKD_NULL,
        .ulPublicDataLen = public.n,
        .pPublicData = public.p,
    };
    CK_MECHANISM mech = {run->family->mech, &params, sizeof params};
    CK_ATTRIBUTE attrs[] = {
        ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY), ATTR_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        ATTR_FALSE(CKA_TOKEN),                 ATTR_FALSE(CKA_SENSITIVE),
        ATTR_TRUE(CKA_EXTRACTABLE),            ATTR_ULONG(CKA_VALUE_LEN, 32),
    };
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CK_RV rv = run->h->f->C_DeriveKey(run->session, &mech, run->key, attrs, COUNT_OF(attrs), &key);
    if (rv != CKR_OK)
        return run_refused(run, "derive", rv);
    BYTES value = {0};
    rv = key_value(run, key, &value);
    key_destroy(run, key);
    if (rv != CKR_OK)
        return run_refused(run, "C_GetAttributeValue", rv);
    return !test_is_valid(run) || bytes_equal(value, shared) ? ACCEPTED : run_wrong(run, "derive");
}

static enum outcome agree_with(struct vector_run *run, CK_KEY_TYPE type, const CK_BYTE *params,
                               size_t params_len, struct bytes private)
{
    CK_ATTRIBUTE attrs[] = {
        ATTR_ULONG(CKA_CLASS, CKO_PRIVATE_KEY),
        ATTR_VAR(CKA_KEY_TYPE, type),
        ATTR_FALSE(CKA_TOKEN),
        ATTR_TRUE(CKA_DERIVE),
        ATTR_FALSE(CKA_SENSITIVE),
        ATTR_TRUE(CKA_EXTRACTABLE),
        ATTR_BYTES(CKA_EC_PARAMS, params, params_len),
        ATTR_BYTES(CKA_VALUE, private.p, private.n),
    };
    BYTES public = field_hex(run, "public");
    BYTES shared = field_hex(run, "shared");
    CK_RV rv = key_create(run, attrs, COUNT_OF(attrs), &run->key);
    if (rv != CKR_OK)
        return run_refused(run, "C_CreateObject", rv);
    enum outcome outcome = agree(run, public, shared);
    key_destroy(run, run->key);
    return outcome;
}

enum outcome ecdh_test(struct vector_run *run)
{
    static const CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    BYTES private = field_integer(run->test, "private", 32);
    return agree_with(run, CKK_EC, p256, sizeof p256, private);
}

enum outcome xdh_test(struct vector_run *run)
{
    static const CK_BYTE x25519[] = {0x06, 0x03, 0x2b, 0x65, 0x6e};
    BYTES private = field_hex(run, "private");
    return agree_with(run, CKK_EC_MONTGOMERY, x25519, sizeof x25519, private);
}

enum outcome oaep_test(struct vector_run *run)
{
    BYTES label = field_hex(run, "label");
    BYTES msg = field_hex(run, "msg");
    BYTES ct = field_hex(run, "ct");
    BYTES plain = bytes_room(ct.n + 1024);
    CK_RSA_PKCS_OAEP_PARAMS params = {
        .hashAlg = field_hash(run, "sha")->digest,
        .mgf = field_hash(run, "mgfSha")->mgf,
        .source = CKZ_DATA_SPECIFIED,
        .pSourceData = label.n ? label.p : NULL,
        .ulSourceDataLen = label.n,
    };
    CK_MECHANISM mech = {run->family->mech, &params, sizeof params};
    CK_RV rv = run->h->f->C_DecryptInit(run->session, &mech, run->key);
    if (rv == CKR_OK)
        rv = run->h->f->C_Decrypt(run->session, ct.p, ct.n, plain.p, &plain.n);
    if (rv != CKR_OK)
        return run_refused(run, "decrypt", rv);
    return !test_is_valid(run) || bytes_equal(plain, msg) ? ACCEPTED : run_wrong(run, "decrypt");
}
