/*
 * Unit tests of the asymmetric mechanisms: every row signs, verifies, wraps or derives; results
 * are checked by plain OpenSSL or by known answers; warm contexts; what must be refused.
 */
#include "key_fixture.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/rsa.h>
#include <pthread.h>

#include "module/key_parts.h"
#include "module/mech_asym.h"
#include "rsa_rejection_vectors.h"

#define ROOM 2200u

static struct pair rsa, shared_curve;
static const uint8_t MESSAGE[80] = "The quick brown fox jumps over the lazy dog";

static int group_setup(void **state)
{
    if (ossl_setup(state) != 0)
        return -1;
    pair_rsa(2048, &rsa);
    return 0;
}

static int group_teardown(void **state)
{
    pair_done(&rsa);
    return ossl_teardown(state);
}

/* Of curves and mechanisms, and of digests. Under valgrind each in one pair at least. */
static bool every_pair(void)
{
    const char *variant = getenv("REPRIEVE_VARIANT");
    return variant == NULL || strcmp(variant, "valgrind") != 0;
}

/* ------------------------------------------------------------------ signatures */

static void sign_parts(struct crypto *c, const uint8_t *data, size_t len, uint8_t *signature,
                       size_t *ret_len)
{
    size_t half = len / 2;
    assert_int_equal(c->mech->sign->update(c, data, half), CKR_OK);
    assert_int_equal(c->mech->sign->update(c, data + half, len - half), CKR_OK);
    assert_int_equal(c->mech->sign->sign_final(c, signature, ret_len), CKR_OK);
}

static void verify_all(struct crypto *c, const uint8_t *data, size_t len, uint8_t *signature,
                       size_t signature_len)
{
    const struct sign_ops *ops = c->mech->sign;
    for (int i = 0; i < 2; i++) {                              /* the second on a warm context */
        assert_int_equal(ops->verify(c, data, len, signature, signature_len), CKR_OK);
        assert_int_equal(ops->begin(c), CKR_OK);
    }
    signature[signature_len / 2] ^= 1;
    assert_int_equal(ops->verify(c, data, len, signature, signature_len), CKR_SIGNATURE_INVALID);
    signature[signature_len / 2] ^= 1;
    assert_int_equal(ops->begin(c), CKR_OK);
    assert_int_equal(ops->verify(c, data, len, signature, 0), CKR_SIGNATURE_LEN_RANGE);
    assert_int_equal(ops->begin(c), CKR_OK);
    assert_int_equal(ops->verify(c, data, len, signature, signature_len + 1),
                     CKR_SIGNATURE_LEN_RANGE);
    assert_int_equal(ops->begin(c), CKR_OK);
    if (!ops->update)
        return;
    assert_int_equal(ops->update(c, data, 1), CKR_OK);
    assert_int_equal(ops->update(c, data + 1, len - 1), CKR_OK);
    assert_int_equal(ops->verify_final(c, signature, signature_len), CKR_OK);
}

/* Signs cold, warm and in parts; every signature verifies. */
static void sign_and_verify(CK_MECHANISM mechanism, const struct pair *pair, const uint8_t *data,
                            size_t len)
{
    struct crypto s, v;
    uint8_t signature[ROOM];
    size_t signature_len = 0;
    use_init(&s, mechanism, &pair->private, true);
    use_init(&v, mechanism, &pair->public, false);
    for (int i = 0; i < 3; i++) {
        if (i == 2 && s.mech->sign->update)
            sign_parts(&s, data, len, signature, &signature_len);
        else
            assert_int_equal(s.mech->sign->sign(&s, data, len, signature, &signature_len), CKR_OK);
        assert_int_equal(signature_len, s.mech->sign->size(&s));
        assert_int_equal(s.mech->sign->begin(&s), CKR_OK);
        verify_all(&v, data, len, signature, signature_len);
        assert_int_equal(v.mech->sign->begin(&v), CKR_OK);
    }
    crypto_done(&s);
    crypto_done(&v);
}

static void test_rsa_pkcs_sign(void **state)
{
    (void)state;
    sign_and_verify((CK_MECHANISM){CKM_RSA_PKCS, NULL, 0}, &rsa, MESSAGE, sizeof MESSAGE);
    sign_and_verify((CK_MECHANISM){CKM_RSA_X_509, NULL, 0}, &rsa, MESSAGE, sizeof MESSAGE);
}

static void test_rsa_recover(void **state)
{
    static const CK_MECHANISM_TYPE types[] = {CKM_RSA_PKCS, CKM_RSA_X_509};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        CK_MECHANISM mechanism = {types[i], NULL, 0};
        struct crypto s, v;
        uint8_t signature[ROOM], message[ROOM];
        size_t len, message_len;
        use_init(&s, mechanism, &rsa.private, true);
        use_init(&v, mechanism, &rsa.public, false);
        assert_int_equal(s.mech->sign->sign(&s, MESSAGE, sizeof MESSAGE, signature, &len), CKR_OK);
        assert_int_equal(v.mech->sign->recover(&v, signature, len, message, &message_len), CKR_OK);
        assert_int_equal(message_len, i == 0 ? sizeof MESSAGE : 256);
        assert_memory_equal(message + message_len - sizeof MESSAGE, MESSAGE, sizeof MESSAGE);
        assert_int_equal(v.mech->sign->recover(&v, signature, 255, message, &message_len),
                         CKR_SIGNATURE_LEN_RANGE);
        signature[0] ^= 1;
        if (i == 0)
            assert_int_equal(v.mech->sign->recover(&v, signature, len, message, &message_len),
                             CKR_SIGNATURE_INVALID);
        crypto_done(&s);
        crypto_done(&v);
    }
}

static void test_rsa_sign_lengths(void **state)
{
    struct crypto s;
    uint8_t data[257], signature[ROOM];
    size_t len;
    (void)state;
    memset(data, 0xff, sizeof data);
    use_init(&s, (CK_MECHANISM){CKM_RSA_PKCS, NULL, 0}, &rsa.private, true);
    assert_int_equal(s.mech->sign->sign(&s, data, 245, signature, &len), CKR_OK);
    assert_int_equal(s.mech->sign->sign(&s, data, 246, signature, &len), CKR_DATA_LEN_RANGE);
    crypto_done(&s);
    use_init(&s, (CK_MECHANISM){CKM_RSA_X_509, NULL, 0}, &rsa.private, true);
    assert_int_equal(s.mech->sign->sign(&s, data, 257, signature, &len), CKR_DATA_LEN_RANGE);
    assert_int_equal(s.mech->sign->sign(&s, data, 256, signature, &len), CKR_DATA_INVALID);
    crypto_done(&s);
}

/* Every PKCS#1 v1.5 form against OpenSSL's own. */
static void test_rsa_hash_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < MECH_RSA_SIGN.n; i++) {
        const struct mech_row *row = &MECH_RSA_SIGN.rows[i];
        if (!row->digest || strstr(row->name, "_PSS"))
            continue;
        CK_MECHANISM mechanism = {row->type, NULL, 0};
        sign_and_verify(mechanism, &rsa, MESSAGE, sizeof MESSAGE);
        struct crypto s;
        uint8_t ours[ROOM], theirs[ROOM];
        size_t len, their_len = sizeof theirs;
        use_init(&s, mechanism, &rsa.private, true);
        assert_int_equal(s.mech->sign->sign(&s, MESSAGE, sizeof MESSAGE, ours, &len), CKR_OK);
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestSignInit_ex(md, NULL, row->digest->name, ossl_libctx(), NULL,
                                               rsa.private.key->pkey, NULL), 1);
        assert_int_equal(EVP_DigestSign(md, theirs, &their_len, MESSAGE, sizeof MESSAGE), 1);
        assert_int_equal(len, their_len);
        assert_memory_equal(ours, theirs, len);
        EVP_MD_CTX_free(md);
        crypto_done(&s);
    }
}

static void test_pss(void **state)
{
    (void)state;
    for (size_t i = 0; i < MECH_RSA_SIGN.n; i++) {
        const struct mech_row *row = &MECH_RSA_SIGN.rows[i];
        if (!row->digest || !strstr(row->name, "_PSS"))
            continue;
        CK_RSA_PKCS_PSS_PARAMS params = {row->digest->mechanism, row->digest->mgf, 0};
        CK_MECHANISM mechanism = {row->type, &params, sizeof params};
        for (params.sLen = 0; params.sLen <= 64; params.sLen += 32)
            sign_and_verify(mechanism, &rsa, MESSAGE, sizeof MESSAGE);
        mechanism.mechanism = CKM_RSA_PKCS_PSS;
        sign_and_verify(mechanism, &rsa, MESSAGE, row->digest->size);
    }
}

static void test_pss_refused(void **state)
{
    CK_RSA_PKCS_PSS_PARAMS params = {CKM_SHA256, CKG_MGF1_SHA256, 32};
    CK_MECHANISM plain = {CKM_RSA_PKCS_PSS, &params, sizeof params};
    CK_MECHANISM hash = {CKM_SHA512_RSA_PKCS_PSS, &params, sizeof params};
    CK_MECHANISM none = {CKM_SHA256_RSA_PKCS_PSS, NULL, 0};
    struct crypto c;
    uint8_t signature[ROOM];
    size_t len;
    (void)state;
    assert_int_equal(use_try(&c, hash, &rsa.private, true), CKR_MECHANISM_PARAM_INVALID);
    assert_int_equal(use_try(&c, none, &rsa.private, true), CKR_MECHANISM_PARAM_INVALID);
    use_init(&c, plain, &rsa.private, true);
    assert_int_equal(c.mech->sign->sign(&c, MESSAGE, 31, signature, &len), CKR_DATA_LEN_RANGE);
    crypto_done(&c);
    params.sLen = 256 - 32 - 2;
    use_init(&c, plain, &rsa.private, true);
    crypto_done(&c);
    params.sLen++;
    assert_int_equal(use_try(&c, plain, &rsa.private, true), CKR_MECHANISM_PARAM_INVALID);
    params.sLen = (CK_ULONG)-1;
    assert_int_equal(use_try(&c, plain, &rsa.private, true), CKR_MECHANISM_PARAM_INVALID);
    params = (CK_RSA_PKCS_PSS_PARAMS){CKM_SHA256, 0x77, 0};
    assert_int_equal(use_try(&c, plain, &rsa.private, true), CKR_MECHANISM_PARAM_INVALID);
    params = (CK_RSA_PKCS_PSS_PARAMS){CKM_AES_CBC, CKG_MGF1_SHA1, 0};
    assert_int_equal(use_try(&c, plain, &rsa.private, true), CKR_MECHANISM_PARAM_INVALID);
}

static void test_ecdsa(void **state)
{
    (void)state;
    for (size_t i = 0; i < CURVES_COUNT; i++) {
        if (CURVES[i].key_type != CKK_EC)
            continue;
        struct pair pair;
        pair_curve(&CURVES[i], &pair);
        for (size_t j = 0; j < MECH_EC.n; j++)
            if (MECH_EC.rows[j].sign && (i == 0 || j == 1 || every_pair()))
                sign_and_verify((CK_MECHANISM){MECH_EC.rows[j].type, NULL, 0}, &pair, MESSAGE,
                                sizeof MESSAGE);
        pair_done(&pair);
    }
}

/* Shorter signatures: leading zeros that both halves have may be missing. Longer data than the
 * order: only its start counts. */
static void test_ecdsa_edges(void **state)
{
    struct pair pair;
    struct crypto s, v;
    uint8_t data[64] = {7}, signature[132], shorter[132];
    size_t len;
    CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
    (void)state;
    pair_curve(curve_named("secp521r1"), &pair);
    use_init(&s, mechanism, &pair.private, true);
    use_init(&v, mechanism, &pair.public, false);
    do
        assert_int_equal(s.mech->sign->sign(&s, data, 64, signature, &len), CKR_OK);
    while (signature[0] != 0 || signature[66] != 0);
    memcpy(shorter, signature + 1, 65);
    memcpy(shorter + 65, signature + 67, 65);
    assert_int_equal(v.mech->sign->verify(&v, data, 64, shorter, 130), CKR_OK);
    assert_int_equal(v.mech->sign->verify(&v, data, 64, shorter, 129), CKR_SIGNATURE_LEN_RANGE);
    memset(shorter, 0, sizeof shorter);
    assert_int_equal(v.mech->sign->verify(&v, data, 64, shorter, 132), CKR_SIGNATURE_INVALID);
    assert_int_equal(s.mech->sign->sign(&s, data, 0, signature, &len), CKR_DATA_LEN_RANGE);
    crypto_done(&s);
    crypto_done(&v);
    pair_done(&pair);
    pair_curve(curve_named("secp256r1"), &pair);
    use_init(&s, mechanism, &pair.private, true);
    use_init(&v, mechanism, &pair.public, false);
    assert_int_equal(s.mech->sign->sign(&s, data, 64, signature, &len), CKR_OK);
    assert_int_equal(v.mech->sign->verify(&v, data, 32, signature, len), CKR_OK);
    crypto_done(&s);
    crypto_done(&v);
    pair_done(&pair);
}

static void test_eddsa(void **state)
{
    CK_EDDSA_PARAMS params = {CK_FALSE, 0, NULL}, prehash = {CK_TRUE, 0, NULL};
    CK_EDDSA_PARAMS context = {CK_FALSE, 1, (CK_BYTE *)"c"};
    CK_MECHANISM mechanism = {CKM_EDDSA, &prehash, sizeof prehash};
    struct crypto c;
    struct pair pair;
    (void)state;
    for (size_t i = 0; i < CURVES_COUNT; i++) {
        if (CURVES[i].key_type != CKK_EC_EDWARDS)
            continue;
        pair_curve(&CURVES[i], &pair);
        sign_and_verify((CK_MECHANISM){CKM_EDDSA, NULL, 0}, &pair, MESSAGE, sizeof MESSAGE);
        sign_and_verify((CK_MECHANISM){CKM_EDDSA, &params, sizeof params}, &pair, MESSAGE,
                        sizeof MESSAGE);
        assert_int_equal(use_try(&c, mechanism, &pair.private, true), CKR_MECHANISM_PARAM_INVALID);
        pair_done(&pair);
    }
    mechanism.pParameter = &context;
    pair_curve(curve_named("edwards25519"), &pair);
    assert_int_equal(use_try(&c, mechanism, &pair.private, true), CKR_MECHANISM_PARAM_INVALID);
    pair_done(&pair);
}

/* RFC 8032, 7.1, test 3, through import. */
static void test_eddsa_known(void **state)
{
    AUTO(attr_list) struct attr_list list;
    uint8_t value[32], want[64], signature[64];
    size_t len;
    struct crypto c;
    (void)state;
    hex_bytes("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", value);
    hex_bytes("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
              "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a", want);
    const struct curve_row *curve = curve_named("edwards25519");
    list_begin(&list, CKO_PRIVATE_KEY, CKK_EC_EDWARDS);
    assert_int_equal(attr_put(&list, CKA_EC_PARAMS, curve->oid, curve->oid_len), CKR_OK);
    assert_int_equal(attr_put(&list, CKA_VALUE, value, 32), CKR_OK);
    struct half key = half_make(&list);
    use_init(&c, (CK_MECHANISM){CKM_EDDSA, NULL, 0}, &key, true);
    assert_int_equal(c.mech->sign->sign(&c, (const uint8_t *)"\xaf\x82", 2, signature, &len),
                     CKR_OK);
    assert_memory_equal(signature, want, 64);
    crypto_done(&c);
    half_done(&key);
}

/* ------------------------------------------------------------------ encryption */

static void encrypt_and_decrypt(CK_MECHANISM mechanism, const struct pair *pair, size_t len,
                                size_t want_len)
{
    struct crypto e, d;
    uint8_t data[ROOM] = {1, 2, 3}, out[ROOM], back[ROOM];
    size_t out_len, back_len;
    use_init(&e, mechanism, &pair->public, true);
    use_init(&d, mechanism, &pair->private, false);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(e.mech->cipher->once(&e, data, len, out, &out_len), CKR_OK);
        assert_int_equal(out_len, e.mech->cipher->once_size(&e, len));
        assert_int_equal(d.mech->cipher->once(&d, out, out_len, back, &back_len), CKR_OK);
        assert_int_equal(back_len, want_len);
        assert_true(back_len <= d.mech->cipher->once_size(&d, out_len));
        assert_memory_equal(back + want_len - len, data, len);
        assert_int_equal(e.mech->cipher->begin(&e), CKR_OK);
        assert_int_equal(d.mech->cipher->begin(&d), CKR_OK);
    }
    assert_int_equal(d.mech->cipher->once(&d, out, out_len - 1, back, &back_len),
                     CKR_ENCRYPTED_DATA_LEN_RANGE);
    memset(out, 0xff, out_len);
    assert_int_equal(d.mech->cipher->once(&d, out, out_len, back, &back_len),
                     CKR_ENCRYPTED_DATA_INVALID);
    crypto_done(&e);
    crypto_done(&d);
}

static void test_rsa_pkcs_encrypt(void **state)
{
    CK_MECHANISM mechanism = {CKM_RSA_PKCS, NULL, 0};
    struct crypto e;
    uint8_t data[256] = {0}, out[256];
    size_t len;
    (void)state;
    encrypt_and_decrypt(mechanism, &rsa, 0, 0);
    encrypt_and_decrypt(mechanism, &rsa, 245, 245);
    encrypt_and_decrypt((CK_MECHANISM){CKM_RSA_X_509, NULL, 0}, &rsa, 256, 256);
    encrypt_and_decrypt((CK_MECHANISM){CKM_RSA_X_509, NULL, 0}, &rsa, 20, 256);
    use_init(&e, mechanism, &rsa.public, true);
    assert_int_equal(e.mech->cipher->once(&e, data, 246, out, &len), CKR_DATA_LEN_RANGE);
    crypto_done(&e);
}

static void test_oaep(void **state)
{
    (void)state;
    for (size_t h = 0; h < DIGESTS_COUNT; h++)
        for (size_t m = 0; m < DIGESTS_COUNT; m++) {
            CK_RSA_PKCS_OAEP_PARAMS params = {DIGESTS[h].mechanism, DIGESTS[m].mgf, 0, NULL, 0};
            if (DIGESTS[m].mgf == 0 || (h != m && !every_pair()))
                continue;
            CK_MECHANISM mechanism = {CKM_RSA_PKCS_OAEP, &params, sizeof params};
            encrypt_and_decrypt(mechanism, &rsa, 256 - 2 - 2 * DIGESTS[h].size,
                                256 - 2 - 2 * DIGESTS[h].size);
            params.source = CKZ_DATA_SPECIFIED;
            params.pSourceData = (void *)(uintptr_t)MESSAGE;
            params.ulSourceDataLen = sizeof MESSAGE;
            encrypt_and_decrypt(mechanism, &rsa, 0, 0);
        }
}

/* Checked by OpenSSL; label and hashes matter; a warm context takes new parameters. */
static void test_oaep_details(void **state)
{
    CK_RSA_PKCS_OAEP_PARAMS params = {CKM_SHA256, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED,
                                      (void *)(uintptr_t)MESSAGE, 5};
    CK_MECHANISM mechanism = {CKM_RSA_PKCS_OAEP, &params, sizeof params};
    struct crypto e, d;
    uint8_t out[256], back[256];
    size_t len, back_len;
    (void)state;
    use_init(&e, mechanism, &rsa.public, true);
    assert_int_equal(e.mech->cipher->once(&e, MESSAGE, 16, out, &len), CKR_OK);
    assert_int_equal(e.mech->cipher->once(&e, MESSAGE, 191, out, &back_len), CKR_DATA_LEN_RANGE);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(ossl_libctx(), rsa.private.key->pkey, NULL);
    assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, ossl_md(&DIGESTS[DIGEST_SHA256])), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, ossl_md(&DIGESTS[DIGEST_SHA1])), 1);
    assert_int_equal(EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, OPENSSL_memdup(MESSAGE, 5), 5), 1);
    back_len = sizeof back;
    assert_int_equal(EVP_PKEY_decrypt(ctx, back, &back_len, out, len), 1);
    assert_int_equal(back_len, 16);
    EVP_PKEY_CTX_free(ctx);
    use_init(&d, mechanism, &rsa.private, false);
    for (int i = 0; i < 4; i++) {
        d.param.oaep.label_len = i % 2 == 0 ? 5 : 0;
        assert_int_equal(d.mech->cipher->begin(&d), CKR_OK);
        assert_int_equal(d.mech->cipher->once(&d, out, len, back, &back_len),
                         i % 2 == 0 ? CKR_OK : CKR_ENCRYPTED_DATA_INVALID);
    }
    crypto_done(&e);
    crypto_done(&d);
}

static void test_oaep_refused(void **state)
{
    static const CK_RSA_PKCS_OAEP_PARAMS bad[] = {
        {CKM_AES_CBC, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 0},
        {CKM_SHA_1, 0x99, CKZ_DATA_SPECIFIED, NULL, 0},
        {CKM_SHA_1, CKG_MGF1_SHA1, 2, NULL, 0},
        {CKM_SHA_1, CKG_MGF1_SHA1, 0, (void *)(uintptr_t)MESSAGE, 3},
        {CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 3},
    };
    struct crypto c;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CK_MECHANISM mechanism = {CKM_RSA_PKCS_OAEP, (void *)(uintptr_t)&bad[i], sizeof bad[i]};
        assert_int_equal(use_try(&c, mechanism, &rsa.public, true), CKR_MECHANISM_PARAM_INVALID);
        mechanism.ulParameterLen--;
        assert_int_equal(use_try(&c, mechanism, &rsa.public, true), CKR_MECHANISM_PARAM_INVALID);
    }
    CK_MECHANISM none = {CKM_RSA_PKCS_OAEP, NULL, 0};
    assert_int_equal(use_try(&c, none, &rsa.public, true), CKR_MECHANISM_PARAM_INVALID);
}

/* A modulus of one bit more than whole bytes: the encoded message is a byte shorter than it. */
static void test_odd_modulus(void **state)
{
    CK_RSA_PKCS_PSS_PARAMS pss = {CKM_SHA256, CKG_MGF1_SHA256, 128 - 32 - 2};
    CK_RSA_PKCS_OAEP_PARAMS oaep = {CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0};
    CK_MECHANISM sign = {CKM_SHA256_RSA_PKCS_PSS, &pss, sizeof pss};
    struct pair odd;
    struct crypto c;
    (void)state;
    pair_rsa(1025, &odd);
    assert_int_equal(odd.public.key->sig_len, 129);
    sign_and_verify(sign, &odd, MESSAGE, sizeof MESSAGE);
    pss.sLen++;
    assert_int_equal(use_try(&c, sign, &odd.private, true), CKR_MECHANISM_PARAM_INVALID);
    sign_and_verify((CK_MECHANISM){CKM_SHA1_RSA_PKCS, NULL, 0}, &odd, MESSAGE, sizeof MESSAGE);
    encrypt_and_decrypt((CK_MECHANISM){CKM_RSA_PKCS, NULL, 0}, &odd, 118, 118);
    encrypt_and_decrypt((CK_MECHANISM){CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep}, &odd, 63, 63);
    pair_done(&odd);
}

/* One key in four threads, each with its own context, as four sessions have it. */
static void *sign_often(void *mechanism)
{
    struct pair *pair = *(CK_MECHANISM_TYPE *)mechanism == CKM_ECDSA ? &shared_curve : &rsa;
    struct crypto s, v;
    uint8_t signature[ROOM];
    size_t len;
    CK_MECHANISM plain = {*(CK_MECHANISM_TYPE *)mechanism, NULL, 0};
    uintptr_t bad = use_try(&s, plain, &pair->private, true) != CKR_OK ||
                    use_try(&v, plain, &pair->public, false) != CKR_OK;
    for (int i = 0; !bad && i < 10; i++)
        bad = s.mech->sign->sign(&s, MESSAGE, 32, signature, &len) != CKR_OK ||
              v.mech->sign->verify(&v, MESSAGE, 32, signature, len) != CKR_OK;
    crypto_done(&s);
    crypto_done(&v);
    return (void *)bad;
}

static void test_threads(void **state)
{
    static CK_MECHANISM_TYPE types[4] = {CKM_ECDSA, CKM_RSA_PKCS, CKM_ECDSA, CKM_RSA_PKCS};
    pthread_t threads[4];
    (void)state;
    pair_curve(curve_named("secp256r1"), &shared_curve);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_often, &types[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        void *bad = NULL;
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
    pair_done(&shared_curve);
}

/* ------------------------------------------------------------------ implicit rejection */

static struct half rejection_key(void)
{
    AUTO(attr_list) struct attr_list list;
    uint8_t bytes[128];
    list_begin(&list, CKO_PRIVATE_KEY, CKK_RSA);
    assert_int_equal(attr_put(&list, CKA_MODULUS, bytes, hex_bytes(REJECTION_N, bytes)), CKR_OK);
    assert_int_equal(attr_put(&list, CKA_PRIVATE_EXPONENT, bytes, hex_bytes(REJECTION_D, bytes)),
                     CKR_OK);
    return half_make(&list);
}

static void test_rejection_vectors(void **state)
{
    struct half key = rejection_key();
    struct crypto c;
    (void)state;
    use_init(&c, (CK_MECHANISM){CKM_RSA_PKCS, NULL, 0}, &key, false);
    for (size_t i = 0; i < sizeof REJECTION_VECTORS / sizeof REJECTION_VECTORS[0]; i++) {
        uint8_t in[128], want[128], out[128];
        size_t len, want_len = hex_bytes(REJECTION_VECTORS[i].message, want);
        hex_bytes(REJECTION_VECTORS[i].ciphertext, in);
        assert_int_equal(c.mech->cipher->once(&c, in, 128, out, &len), CKR_OK);
        assert_int_equal(len, want_len);
        assert_memory_equal(out, want, len);
    }
    crypto_done(&c);
    half_done(&key);
}

/* Unwrapping: a bad block gives a key of the type and length asked for, always the same; so does a
 * good block with a message of a length that cannot be such a key. */
static void test_rejection_unwrap(void **state)
{
    struct half key = rejection_key();
    (void)state;
    for (size_t i = 0; i < sizeof REJECTION_VECTORS / sizeof REJECTION_VECTORS[0]; i++)
        for (size_t target = 0; target <= 32; target += 16) {
            uint8_t in[128];
            struct crypto c;
            hex_bytes(REJECTION_VECTORS[i].ciphertext, in);
            use_init(&c, (CK_MECHANISM){CKM_RSA_PKCS, NULL, 0}, &key, false);
            c.target_type = CKK_AES;
            c.target_len = target;
            AUTO(secret) struct secret once = {0}, again = {0};
            assert_int_equal(c.mech->wrap->unwrap(&c, in, 128, &once), CKR_OK);
            assert_int_equal(c.mech->wrap->unwrap(&c, in, 128, &again), CKR_OK);
            assert_true(target > 0 ? once.len == target
                                   : once.len == 16 || once.len == 24 || once.len == 32);
            assert_int_equal(once.len, again.len);
            assert_memory_equal(once.data, again.data, once.len);
            assert_int_equal(c.mech->wrap->unwrap(&c, in, 127, &again), CKR_WRAPPED_KEY_LEN_RANGE);
            crypto_done(&c);
        }
    half_done(&key);
}

/* ------------------------------------------------------------------ wrapping */

static void wrap_and_unwrap(CK_MECHANISM mechanism, const uint8_t *key, size_t len,
                            CK_KEY_TYPE type)
{
    struct crypto w, u;
    uint8_t out[ROOM + 16];
    size_t out_len;
    AUTO(secret) struct secret back = {0};
    use_init(&w, mechanism, &rsa.public, true);
    use_init(&u, mechanism, &rsa.private, false);
    u.target_type = type;
    assert_int_equal(w.mech->wrap->wrap(&w, key, len, out, &out_len), CKR_OK);
    assert_int_equal(out_len, w.mech->wrap->wrap_size(&w, len));
    assert_int_equal(u.mech->wrap->unwrap(&u, out, out_len, &back), CKR_OK);
    assert_int_equal(back.len, len);
    assert_memory_equal(back.data, key, len);
    assert_int_equal(u.mech->wrap->unwrap(&u, out, out_len - 1, &back), CKR_WRAPPED_KEY_LEN_RANGE);
    out[3] ^= 1;
    if (mechanism.mechanism != CKM_RSA_PKCS)
        assert_int_equal(u.mech->wrap->unwrap(&u, out, out_len, &back), CKR_WRAPPED_KEY_INVALID);
    out[3] ^= 1;
    out[out_len - 1] ^= 1;
    if (mechanism.mechanism != CKM_RSA_PKCS)
        assert_int_equal(u.mech->wrap->unwrap(&u, out, out_len, &back), CKR_WRAPPED_KEY_INVALID);
    crypto_done(&w);
    crypto_done(&u);
}

static void test_wrap(void **state)
{
    CK_RSA_PKCS_OAEP_PARAMS oaep = {CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0};
    CK_RSA_AES_KEY_WRAP_PARAMS both = {256, &oaep};
    uint8_t key[1300] = {9, 8, 7};
    CK_MECHANISM rsa_aes = {CKM_RSA_AES_KEY_WRAP, &both, sizeof both};
    CK_MECHANISM rsa_oaep = {CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep};
    struct crypto c;
    size_t len;
    uint8_t out[ROOM];
    (void)state;
    wrap_and_unwrap((CK_MECHANISM){CKM_RSA_PKCS, NULL, 0}, key, 24, CKK_AES);
    wrap_and_unwrap((CK_MECHANISM){CKM_RSA_PKCS, NULL, 0}, key, 77, CKK_GENERIC_SECRET);
    wrap_and_unwrap(rsa_oaep, key, 32, CKK_AES);
    for (size_t n = 1; n < sizeof key; n += n < 20 ? 1 : 127)
        wrap_and_unwrap(rsa_aes, key, n, CKK_GENERIC_SECRET);
    both.ulAESKeyBits = 128;
    wrap_and_unwrap(rsa_aes, key, sizeof key, CKK_RSA);
    both.ulAESKeyBits = 160;
    assert_int_equal(use_try(&c, rsa_aes, &rsa.public, true), CKR_MECHANISM_PARAM_INVALID);
    both = (CK_RSA_AES_KEY_WRAP_PARAMS){256, NULL};
    assert_int_equal(use_try(&c, rsa_aes, &rsa.public, true), CKR_MECHANISM_PARAM_INVALID);
    use_init(&c, rsa_oaep, &rsa.public, true);
    assert_int_equal(c.mech->wrap->wrap(&c, key, 191, out, &len), CKR_KEY_SIZE_RANGE);
    crypto_done(&c);
}

/* ------------------------------------------------------------------ key agreement */

static CK_RV derive(const struct pair *mine, const uint8_t *point, size_t point_len,
                    CK_EC_KDF_TYPE kdf, size_t want_len, struct secret *ret_value)
{
    CK_ECDH1_DERIVE_PARAMS params = {kdf, kdf == CKD_NULL ? 0 : 4, (CK_BYTE *)"info", point_len,
                                     (CK_BYTE *)(uintptr_t)point};
    CK_MECHANISM mechanism = {CKM_ECDH1_DERIVE, &params, sizeof params};
    struct crypto c;
    TRY(use_try(&c, mechanism, &mine->private, false));
    CK_RV rv = c.mech->derive->derive(&c, want_len, ret_value);
    crypto_done(&c);
    return rv;
}

static void same_value(const struct secret *a, const struct secret *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}

static void agreement(const struct curve_row *curve)
{
    struct pair a, b;
    AUTO(secret) struct secret x = {0}, y = {0}, z = {0};
    pair_curve(curve, &a);
    pair_curve(curve, &b);
    const struct attr *pa = attr_set_find(a.public.attrs, CKA_EC_POINT);
    const struct attr *pb = attr_set_find(b.public.attrs, CKA_EC_POINT);
    size_t header = pa->len - curve->point_len;
    assert_int_equal(derive(&a, pb->value, pb->len, CKD_NULL, 0, &x), CKR_OK);
    assert_int_equal(derive(&b, pa->value + header, pa->len - header, CKD_NULL, 0, &y), CKR_OK);
    same_value(&x, &y);
    assert_int_equal(x.len, curve->key_type == CKK_EC ? (curve->bits + 7) / 8 : curve->scalar_len);
    assert_int_equal(derive(&a, pb->value, pb->len, CKD_NULL, 16, &z), CKR_OK);
    assert_memory_equal(z.data, x.data + x.len - 16, 16);      /* the leading end goes */
    assert_int_equal(derive(&a, pb->value, pb->len, CKD_NULL, x.len + 1, &z), CKR_KEY_SIZE_RANGE);
    assert_int_equal(derive(&a, pb->value, 5, CKD_NULL, 0, &z), CKR_MECHANISM_PARAM_INVALID);
    assert_int_equal(derive(&a, pb->value, pb->len, 0x99, 0, &z), CKR_MECHANISM_PARAM_INVALID);
    pair_done(&a);
    pair_done(&b);
}

static void test_ecdh(void **state)
{
    (void)state;
    for (size_t i = 0; i < CURVES_COUNT; i++)
        if (CURVES[i].key_type != CKK_EC_EDWARDS)
            agreement(&CURVES[i]);
}

/* OpenSSL's X963KDF and SSKDF over the raw secret. */
static void kdf_check(const char *name, const char *digest, const struct secret *shared,
                      const struct secret *value)
{
    uint8_t want[200];
    EVP_KDF *kdf = EVP_KDF_fetch(ossl_libctx(), name, NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, shared->data, shared->len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (char *)(uintptr_t)"info", 4),
        OSSL_PARAM_construct_end(),
    };
    assert_int_equal(EVP_KDF_derive(ctx, want, value->len, params), 1);
    assert_memory_equal(value->data, want, value->len);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

static void test_ecdh_kdf(void **state)
{
    static const struct { CK_EC_KDF_TYPE kdf; const char *name, *digest; } rows[] = {
        {CKD_SHA1_KDF, "X963KDF", "SHA1"},
        {CKD_SHA256_KDF, "X963KDF", "SHA256"},
        {CKD_SHA512_KDF, "X963KDF", "SHA512"},
        {CKD_SHA3_384_KDF, "X963KDF", "SHA3-384"},
        {CKD_SHA224_KDF_SP800, "SSKDF", "SHA224"},
        {CKD_SHA256_KDF_SP800, "SSKDF", "SHA256"},
    };
    struct pair a, b;
    AUTO(secret) struct secret shared = {0};
    (void)state;
    pair_curve(curve_named("secp256r1"), &a);
    pair_curve(curve_named("secp256r1"), &b);
    const struct attr *peer = attr_set_find(b.public.attrs, CKA_EC_POINT);
    assert_int_equal(derive(&a, peer->value, peer->len, CKD_NULL, 0, &shared), CKR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        AUTO(secret) struct secret value = {0};
        assert_int_equal(derive(&a, peer->value, peer->len, rows[i].kdf, 150, &value), CKR_OK);
        assert_int_equal(value.len, 150);
        kdf_check(rows[i].name, rows[i].digest, &shared, &value);
    }
    pair_done(&a);
    pair_done(&b);
}

/* A point of small order would make the secret zero; one off the curve leaks the key. */
static void test_ecdh_bad_points(void **state)
{
    uint8_t zero[32] = {0}, off[65] = {4, 1};
    struct pair montgomery, weierstrass;
    AUTO(secret) struct secret value = {0};
    (void)state;
    pair_curve(curve_named("curve25519"), &montgomery);
    pair_curve(curve_named("secp256r1"), &weierstrass);
    assert_int_equal(derive(&montgomery, zero, 32, CKD_NULL, 0, &value),
                     CKR_MECHANISM_PARAM_INVALID);
    assert_int_equal(derive(&weierstrass, off, 65, CKD_NULL, 0, &value),
                     CKR_MECHANISM_PARAM_INVALID);
    pair_done(&montgomery);
    pair_done(&weierstrass);
}

/* ------------------------------------------------------------------ key pairs */

static CK_RV generate_try(CK_MECHANISM_TYPE type, CK_ATTRIBUTE_TYPE attribute, const void *value,
                          size_t len)
{
    AUTO(attr_list) struct attr_list public_key, private_key;
    const struct mech_row *row = mech_find(type);
    list_begin(&public_key, CKO_PUBLIC_KEY, row->key_type);
    list_begin(&private_key, CKO_PRIVATE_KEY, row->key_type);
    if (row->type == CKM_RSA_PKCS_KEY_PAIR_GEN && attribute != CKA_MODULUS_BITS)
        assert_int_equal(attr_put_ulong(&public_key, CKA_MODULUS_BITS, 1024), CKR_OK);
    if (value)
        assert_int_equal(attr_put(&public_key, attribute, value, len), CKR_OK);
    return row->generate->pair(row, NULL, &public_key, &private_key);
}

static void test_generate_refused(void **state)
{
    CK_ULONG small = 1023, large = 16385;
    const struct curve_row *p256 = curve_named("secp256r1");
    const CK_MECHANISM_TYPE rsa_gen = CKM_RSA_PKCS_KEY_PAIR_GEN;
    (void)state;
    assert_int_equal(generate_try(rsa_gen, CKA_MODULUS_BITS, NULL, 0), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(generate_try(rsa_gen, CKA_MODULUS_BITS, &small, sizeof small),
                     CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(generate_try(rsa_gen, CKA_MODULUS_BITS, &large, sizeof large),
                     CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(generate_try(rsa_gen, CKA_PUBLIC_EXPONENT, "\2", 1),
                     CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(generate_try(rsa_gen, CKA_PUBLIC_EXPONENT, "\1", 1),
                     CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(generate_try(rsa_gen, CKA_PUBLIC_EXPONENT, "\3", 1), CKR_OK);
    assert_int_equal(generate_try(CKM_EC_KEY_PAIR_GEN, CKA_EC_PARAMS, NULL, 0),
                     CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(generate_try(CKM_EC_EDWARDS_KEY_PAIR_GEN, CKA_EC_PARAMS, p256->oid,
                                  p256->oid_len), CKR_CURVE_NOT_SUPPORTED);
    assert_int_equal(generate_try(CKM_EC_KEY_PAIR_GEN, CKA_EC_PARAMS, "\5", 2),
                     CKR_DOMAIN_PARAMS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rsa_pkcs_sign),     cmocka_unit_test(test_rsa_recover),
        cmocka_unit_test(test_rsa_sign_lengths),  cmocka_unit_test(test_rsa_hash_forms),
        cmocka_unit_test(test_pss),               cmocka_unit_test(test_pss_refused),
        cmocka_unit_test(test_ecdsa),             cmocka_unit_test(test_ecdsa_edges),
        cmocka_unit_test(test_eddsa),             cmocka_unit_test(test_eddsa_known),
        cmocka_unit_test(test_rsa_pkcs_encrypt),  cmocka_unit_test(test_oaep),
        cmocka_unit_test(test_oaep_details),      cmocka_unit_test(test_oaep_refused),
        cmocka_unit_test(test_odd_modulus),       cmocka_unit_test(test_threads),
        cmocka_unit_test(test_rejection_vectors), cmocka_unit_test(test_rejection_unwrap),
        cmocka_unit_test(test_wrap),              cmocka_unit_test(test_ecdh),
        cmocka_unit_test(test_ecdh_kdf),          cmocka_unit_test(test_ecdh_bad_points),
        cmocka_unit_test(test_generate_refused),
    };
    return cmocka_run_group_tests_name("asym", tests, group_setup, group_teardown);
}
