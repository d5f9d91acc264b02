/* The token sides: the same C_ calls on any PKCS#11 module. Keys that are used lie in the token. */
#include "bench.h"

#include <openssl/core_names.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A big-endian number of a key; returns its length. */
static CK_ULONG key_number(EVP_PKEY *pkey, const char *name, CK_BYTE *out, int width)
{
    BIGNUM *n = NULL;
    CHECK(EVP_PKEY_get_bn_param(pkey, name, &n) == 1);
    int len = width ? BN_bn2binpad(n, out, width) : BN_bn2bin(n, out);
    BN_clear_free(n);
    CHECK(len > 0);
    return (CK_ULONG)len;
}

static CK_OBJECT_HANDLE object_create(struct side *side, CK_ATTRIBUTE *attrs, CK_ULONG count)
{
    CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
    OK(side->h.f->C_CreateObject(side->lanes[0]->session, attrs, count, &object));
    return object;
}

static CK_OBJECT_HANDLE rsa_import(struct side *side)
{
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        const char *param;
    } parts[] = {
        {CKA_MODULUS, OSSL_PKEY_PARAM_RSA_N},
        {CKA_PUBLIC_EXPONENT, OSSL_PKEY_PARAM_RSA_E},
        {CKA_PRIVATE_EXPONENT, OSSL_PKEY_PARAM_RSA_D},
        {CKA_PRIME_1, OSSL_PKEY_PARAM_RSA_FACTOR1},
        {CKA_PRIME_2, OSSL_PKEY_PARAM_RSA_FACTOR2},
        {CKA_EXPONENT_1, OSSL_PKEY_PARAM_RSA_EXPONENT1},
        {CKA_EXPONENT_2, OSSL_PKEY_PARAM_RSA_EXPONENT2},
        {CKA_COEFFICIENT, OSSL_PKEY_PARAM_RSA_COEFFICIENT1},
    };
    CK_BYTE values[COUNT_OF(parts)][256];
    CK_ATTRIBUTE attrs[7 + COUNT_OF(parts)] = {
        ATTR_ULONG(CKA_CLASS, CKO_PRIVATE_KEY), ATTR_ULONG(CKA_KEY_TYPE, CKK_RSA),
        ATTR_TRUE(CKA_TOKEN),                   ATTR_TRUE(CKA_PRIVATE),
        ATTR_TRUE(CKA_SENSITIVE),               ATTR_TRUE(CKA_SIGN),
        ATTR_TRUE(CKA_UNWRAP),
    };
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        attrs[7 + i] = (CK_ATTRIBUTE){parts[i].type, values[i],
                                      key_number(side->keys->rsa, parts[i].param, values[i], 0)};
    return object_create(side, attrs, COUNT_OF(attrs));
}

static CK_OBJECT_HANDLE ec_import(struct side *side)
{
    static const CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    CK_BYTE value[32];
    CK_ATTRIBUTE attrs[] = {
        ATTR_ULONG(CKA_CLASS, CKO_PRIVATE_KEY),
        ATTR_ULONG(CKA_KEY_TYPE, CKK_EC),
        ATTR_TRUE(CKA_TOKEN),
        ATTR_TRUE(CKA_PRIVATE),
        ATTR_TRUE(CKA_SENSITIVE),
        ATTR_TRUE(CKA_SIGN),
        ATTR_BYTES(CKA_EC_PARAMS, p256, sizeof p256),
        ATTR_BYTES(CKA_VALUE, value,
                   key_number(side->keys->ec, OSSL_PKEY_PARAM_PRIV_KEY, value, sizeof value)),
    };
    return object_create(side, attrs, COUNT_OF(attrs));
}

/* `use` and `use2` are the two usage attributes the key gets. */
static CK_OBJECT_HANDLE aes_import(struct side *side, CK_BBOOL token, const CK_BYTE value[32],
                                   CK_ATTRIBUTE_TYPE use, CK_ATTRIBUTE_TYPE use2)
{
    CK_ATTRIBUTE attrs[] = {
        ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
        ATTR_ULONG(CKA_KEY_TYPE, CKK_AES),
        ATTR_VAR(CKA_TOKEN, token),
        ATTR_TRUE(CKA_PRIVATE),
        ATTR_TRUE(CKA_SENSITIVE),
        ATTR_TRUE(CKA_EXTRACTABLE),
        ATTR_TRUE(use),
        ATTR_TRUE(use2),
        ATTR_BYTES(CKA_VALUE, value, 32),
    };
    return object_create(side, attrs, COUNT_OF(attrs));
}

static void lanes_open(struct side *side)
{
    for (size_t i = 0; i < BENCH_THREADS_MAX; i++) {
        side->lanes[i] = calloc(1, sizeof *side->lanes[i]);
        CHECK(side->lanes[i] != NULL);
        side->lanes[i]->session = harness_session_rw(&side->h);
        side->lanes[i]->serial = (uint64_t)i << 48;
    }
}

void token_side_init(struct side *side, enum side_id id, const struct bench_keys *keys)
{
    enum harness_kind kind = id == SIDE_REPRIEVE ? HARNESS_REPRIEVE : HARNESS_SOFTHSM;
    *side = (struct side){.id = id, .keys = keys};
    side->name = id == SIDE_REPRIEVE ? "Reprieve" : "SoftHSM2";
    if (!harness_module_path(kind))
        return;
    side->present = true;
    harness_init_kind(&side->h, kind, NULL);
    harness_load(&side->h);
    harness_token(&side->h);
    lanes_open(side);
    harness_login(&side->h, side->lanes[0]->session, CKU_USER);
    side->rsa = rsa_import(side);
    side->ec = ec_import(side);
    side->kek = aes_import(side, CK_TRUE, keys->kek, CKA_WRAP, CKA_UNWRAP);
    side->gcm = aes_import(side, CK_TRUE, keys->kek, CKA_ENCRYPT, CKA_DECRYPT);
    side->data = aes_import(side, CK_FALSE, keys->data, CKA_ENCRYPT, CKA_DECRYPT);
}

void token_side_done(struct side *side)
{
    if (!side->present)
        return;
    for (size_t i = 0; i < BENCH_THREADS_MAX; i++)
        free(side->lanes[i]);
    harness_done(&side->h);
}

static CK_RV sign_once(struct side *side, struct lane *lane, CK_MECHANISM_TYPE type,
                       CK_OBJECT_HANDLE key, const CK_BYTE *data, CK_ULONG data_len)
{
    CK_MECHANISM mech = {type, NULL, 0};
    CK_ULONG len = sizeof lane->out;
    CK_RV rv = side->h.f->C_SignInit(lane->session, &mech, key);
    if (rv != CKR_OK)
        return rv;
    return side->h.f->C_Sign(lane->session, (CK_BYTE *)(uintptr_t)data, data_len, lane->out, &len);
}

CK_RV token_rsa_sign(struct side *side, struct lane *lane)
{
    return sign_once(side, lane, CKM_RSA_PKCS, side->rsa, side->keys->digest_info,
                     sizeof side->keys->digest_info);
}

CK_RV token_rsa_sha256_sign(struct side *side, struct lane *lane)
{
    return sign_once(side, lane, CKM_SHA256_RSA_PKCS, side->rsa, side->keys->message, 32);
}

CK_RV token_ecdsa_sign(struct side *side, struct lane *lane)
{
    return sign_once(side, lane, CKM_ECDSA, side->ec, side->keys->hash, sizeof side->keys->hash);
}

/* Unwraps an AES-256 key into a session key, and destroys it. */
static CK_RV unwrap_once(struct side *side, struct lane *lane, CK_MECHANISM *mech,
                         CK_OBJECT_HANDLE key, const CK_BYTE *wrapped, CK_ULONG wrapped_len)
{
    CK_ATTRIBUTE attrs[] = {
        ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY), ATTR_ULONG(CKA_KEY_TYPE, CKK_AES),
        ATTR_FALSE(CKA_TOKEN),                 ATTR_TRUE(CKA_ENCRYPT),
        ATTR_TRUE(CKA_DECRYPT),
    };
    CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
    CK_RV rv = side->h.f->C_UnwrapKey(lane->session, mech, key, (CK_BYTE *)(uintptr_t)wrapped,
                                      wrapped_len, attrs, COUNT_OF(attrs), &object);
    if (rv != CKR_OK)
        return rv;
    return side->h.f->C_DestroyObject(lane->session, object);
}

CK_RV token_oaep_sha1(struct side *side, struct lane *lane)
{
    CK_RSA_PKCS_OAEP_PARAMS params = {CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 0};
    CK_MECHANISM mech = {CKM_RSA_PKCS_OAEP, &params, sizeof params};
    return unwrap_once(side, lane, &mech, side->rsa, side->keys->wrapped_oaep_sha1, 256);
}

CK_RV token_oaep_sha256(struct side *side, struct lane *lane)
{
    CK_RSA_PKCS_OAEP_PARAMS params = {CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0};
    CK_MECHANISM mech = {CKM_RSA_PKCS_OAEP, &params, sizeof params};
    return unwrap_once(side, lane, &mech, side->rsa, side->keys->wrapped_oaep_sha256, 256);
}

CK_RV token_kw_wrap(struct side *side, struct lane *lane)
{
    CK_MECHANISM mech = {CKM_AES_KEY_WRAP, NULL, 0};
    CK_ULONG len = sizeof lane->out;
    return side->h.f->C_WrapKey(lane->session, &mech, side->kek, side->data, lane->out, &len);
}

CK_RV token_kw_unwrap(struct side *side, struct lane *lane)
{
    CK_MECHANISM mech = {CKM_AES_KEY_WRAP, NULL, 0};
    return unwrap_once(side, lane, &mech, side->kek, side->keys->wrapped_kw,
                       sizeof side->keys->wrapped_kw);
}

static CK_RV gcm_seal(struct side *side, struct lane *lane, CK_ULONG message_len)
{
    CK_BYTE iv[12] = {0};
    CK_GCM_PARAMS params = {
        .pIv = iv, .ulIvLen = sizeof iv, .ulIvBits = 8 * sizeof iv, .ulTagBits = 128};
    CK_MECHANISM mech = {CKM_AES_GCM, &params, sizeof params};
    CK_ULONG len = sizeof lane->out;
    lane->serial++;
    memcpy(iv, &lane->serial, sizeof lane->serial);
    CK_RV rv = side->h.f->C_EncryptInit(lane->session, &mech, side->gcm);
    if (rv != CKR_OK)
        return rv;
    return side->h.f->C_Encrypt(lane->session, (CK_BYTE *)(uintptr_t)side->keys->message,
                                message_len, lane->out, &len);
}

CK_RV token_gcm_16(struct side *side, struct lane *lane)
{
    return gcm_seal(side, lane, 16);
}

CK_RV token_gcm_64k(struct side *side, struct lane *lane)
{
    return gcm_seal(side, lane, BENCH_MESSAGE_MAX);
}

/* A token key as an application makes one: private, sensitive, with an id and a label. */
CK_RV token_create(struct side *side, struct lane *lane)
{
    uint64_t id = lane->serial++;
    char label[32];
    int label_len = snprintf(label, sizeof label, "key-%llx", (unsigned long long)id);
    CK_ATTRIBUTE attrs[] = {
        ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
        ATTR_ULONG(CKA_KEY_TYPE, CKK_AES),
        ATTR_TRUE(CKA_TOKEN),
        ATTR_TRUE(CKA_PRIVATE),
        ATTR_TRUE(CKA_SENSITIVE),
        ATTR_TRUE(CKA_ENCRYPT),
        ATTR_TRUE(CKA_DECRYPT),
        ATTR_BYTES(CKA_ID, &id, sizeof id),
        ATTR_BYTES(CKA_LABEL, label, label_len),
        ATTR_BYTES(CKA_VALUE, side->keys->data, sizeof side->keys->data),
    };
    CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
    return side->h.f->C_CreateObject(lane->session, attrs, COUNT_OF(attrs), &object);
}
