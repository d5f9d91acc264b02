/* Signatures. See vectors.h. */
#include "vectors.h"

#include <openssl/evp.h>
#include <string.h>

CK_RV rsa_public_group(struct vector_run *run)
{
    json_t *public = json_object_get(run->group, "publicKey");
    BYTES modulus = field_integer(public, "modulus", 1);
    BYTES exponent = field_integer(public, "publicExponent", 1);
    CK_ATTRIBUTE attrs[] = {
        ATTR_ULONG(CKA_CLASS, CKO_PUBLIC_KEY),
        ATTR_ULONG(CKA_KEY_TYPE, CKK_RSA),
        ATTR_FALSE(CKA_TOKEN),
        ATTR_TRUE(CKA_VERIFY),
        ATTR_BYTES(CKA_MODULUS, modulus.p, modulus.n),
        ATTR_BYTES(CKA_PUBLIC_EXPONENT, exponent.p, exponent.n),
    };
    return key_create(run, attrs, COUNT_OF(attrs), &run->key);
}

/* The files give the primes in some groups only; the standard makes them optional. */
CK_RV rsa_private_group(struct vector_run *run)
{
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        const char *field;
    } parts[] = {
        {CKA_MODULUS, "modulus"},          {CKA_PUBLIC_EXPONENT, "publicExponent"},
        {CKA_PRIVATE_EXPONENT, "privateExponent"}, {CKA_PRIME_1, "prime1"},
        {CKA_PRIME_2, "prime2"},           {CKA_EXPONENT_1, "exponent1"},
        {CKA_EXPONENT_2, "exponent2"},     {CKA_COEFFICIENT, "coefficient"},
    };
    json_t *private = json_object_get(run->group, "privateKey");
    CK_ATTRIBUTE attrs[5 + COUNT_OF(parts)] = {
        ATTR_ULONG(CKA_CLASS, CKO_PRIVATE_KEY), ATTR_ULONG(CKA_KEY_TYPE, CKK_RSA),
        ATTR_FALSE(CKA_TOKEN),                  ATTR_TRUE(CKA_SIGN),
        ATTR_TRUE(CKA_DECRYPT),
    };
    CK_ULONG count = 5;
    struct bytes values[COUNT_OF(parts)] = {{0}};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (!json_object_get(private, parts[i].field))
            continue;
        values[i] = field_integer(private, parts[i].field, 1);
        attrs[count++] = (CK_ATTRIBUTE){parts[i].type, values[i].p, values[i].n};
    }
    CK_RV rv = key_create(run, attrs, count, &run->key);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        bytes_done(&values[i]);
    return rv;
}

/* A DER octet string; no point here is longer than a two-byte length says. */
static struct bytes octet_string(struct bytes value)
{
    size_t header = value.n < 128 ? 2 : 3;
    struct bytes der = bytes_room(header + value.n);
    der.p[0] = 0x04;
    der.p[1] = header == 2 ? (CK_BYTE)value.n : 0x81;
    if (header == 3)
        der.p[2] = (CK_BYTE)value.n;
    memcpy(der.p + header, value.p, value.n);
    return der;
}

static CK_RV point_create(struct vector_run *run, CK_KEY_TYPE type, const CK_BYTE *params,
                          size_t params_len, struct bytes point)
{
    CK_ATTRIBUTE attrs[] = {
        ATTR_ULONG(CKA_CLASS, CKO_PUBLIC_KEY),
        ATTR_VAR(CKA_KEY_TYPE, type),
        ATTR_FALSE(CKA_TOKEN),
        ATTR_TRUE(CKA_VERIFY),
        ATTR_BYTES(CKA_EC_PARAMS, params, params_len),
        ATTR_BYTES(CKA_EC_POINT, point.p, point.n),
    };
    return key_create(run, attrs, COUNT_OF(attrs), &run->key);
}

static struct bytes public_hex(const struct vector_run *run, const char *name)
{
    struct vector_run inner = *run;
    inner.group = inner.test = json_object_get(run->group, "publicKey");
    return field_hex(&inner, name);
}

CK_RV ec_public_group(struct vector_run *run)
{
    static const CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    static const CK_BYTE p384[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
    BYTES raw = public_hex(run, "uncompressed");
    BYTES point = octet_string(raw);
    bool is_p256 = raw.n == 65;
    return point_create(run, CKK_EC, is_p256 ? p256 : p384, is_p256 ? sizeof p256 : sizeof p384,
                        point);
}

/* The curve's OID and its name are both in use, the name in the older modules. */
CK_RV ed_public_group(struct vector_run *run)
{
    static const CK_BYTE oid[] = {0x06, 0x03, 0x2b, 0x65, 0x70};
    static const CK_BYTE name[] = "\x13\x0c" "edwards25519";
    BYTES raw = public_hex(run, "pk");
    BYTES point = octet_string(raw);
    if (run->h->kind == HARNESS_SOFTHSM)
        return point_create(run, CKK_EC_EDWARDS, name, sizeof name - 1, point);
    return point_create(run, CKK_EC_EDWARDS, oid, sizeof oid, point);
}

static enum outcome verify_with(struct vector_run *run, CK_MECHANISM *mech, struct bytes msg)
{
    BYTES sig = field_hex(run, "sig");
    CK_RV rv = run->h->f->C_VerifyInit(run->session, mech, run->key);
    if (rv == CKR_OK)
        rv = run->h->f->C_Verify(run->session, msg.p, msg.n, sig.p, sig.n);
    return rv == CKR_OK ? ACCEPTED : run_refused(run, "verify", rv);
}

enum outcome verify_test(struct vector_run *run)
{
    BYTES msg = field_hex(run, "msg");
    CK_MECHANISM mech = {run->family->mech, NULL, 0};
    return verify_with(run, &mech, msg);
}

/* The mechanism without a hash: the caller has hashed the message. */
enum outcome ecdsa_hashed_test(struct vector_run *run)
{
    BYTES msg = field_hex(run, "msg");
    BYTES hash = bytes_room(EVP_MAX_MD_SIZE);
    size_t len = 0;
    CHECK(EVP_Q_digest(NULL, field_hash(run, "sha")->ossl_name, NULL, msg.p, msg.n, hash.p, &len));
    hash.n = len;
    CK_MECHANISM mech = {run->family->mech, NULL, 0};
    return verify_with(run, &mech, hash);
}

enum outcome rsa_pkcs1_test(struct vector_run *run)
{
    BYTES msg = field_hex(run, "msg");
    CK_MECHANISM mech = {field_hash(run, "sha")->rsa_pkcs, NULL, 0};
    return verify_with(run, &mech, msg);
}

enum outcome rsa_pss_test(struct vector_run *run)
{
    BYTES msg = field_hex(run, "msg");
    const struct hash_row *hash = field_hash(run, "sha");
    CK_RSA_PKCS_PSS_PARAMS params = {
        .hashAlg = hash->digest,
        .mgf = field_hash(run, "mgfSha")->mgf,
        .sLen = field_number(run, "sLen"),
    };
    CK_MECHANISM mech = {hash->rsa_pss, &params, sizeof params};
    return verify_with(run, &mech, msg);
}

enum outcome rsa_sign_test(struct vector_run *run)
{
    BYTES msg = field_hex(run, "msg");
    BYTES sig = field_hex(run, "sig");
    BYTES made = bytes_room(sig.n + 64);
    CK_MECHANISM mech = {field_hash(run, "sha")->rsa_pkcs, NULL, 0};
    if (!harness_mechanism(run->h, mech.mechanism, CKF_SIGN))
        return NOT_RUN;
    CK_RV rv = run->h->f->C_SignInit(run->session, &mech, run->key);
    if (rv == CKR_OK)
        rv = run->h->f->C_Sign(run->session, msg.p, msg.n, made.p, &made.n);
    if (rv != CKR_OK)
        return run_refused(run, "sign", rv);
    return bytes_equal(made, sig) ? ACCEPTED : run_wrong(run, "sign");
}
