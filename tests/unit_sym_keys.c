/*
 * Unit tests of key wrap, MACs, digests, generation, secret buffers and random bytes: known answers
 * of the public standards, every length, and what must be refused.
 */
#include "sym_fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------------------ key wrap */

#define KEK256 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEK192 "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"
#define KEY256 "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"

static CK_RV wrap(const char *kek, CK_MECHANISM mechanism, const struct bytes *in,
                  struct bytes *ret_out)
{
    struct bytes value = hex(kek);
    struct key_material key;
    struct crypto c;
    use_init(&c, &key, &value, CKK_AES, mechanism, true);
    size_t bound = c.mech->wrap->wrap_size(&c, in->n), len = 0;
    uint8_t *out = malloc(bound + 1);
    CK_RV rv = c.mech->wrap->wrap(&c, in->b, in->n, out, &len);
    if (rv == CKR_OK) {
        assert_int_equal(len, bound);
        memcpy(ret_out->b, out, len);
        ret_out->n = len;
    }
    free(out);
    crypto_done(&c);
    return rv;
}

static CK_RV unwrap(const char *kek, CK_MECHANISM mechanism, const struct bytes *in, size_t target,
                    struct bytes *ret_out)
{
    struct bytes value = hex(kek);
    struct key_material key;
    struct crypto c;
    AUTO(secret) struct secret out = {0};
    use_init(&c, &key, &value, CKK_AES, mechanism, false);
    c.target_len = target;
    CK_RV rv = c.mech->wrap->unwrap(&c, in->b, in->n, &out);
    if (rv == CKR_OK) {
        memcpy(ret_out->b, out.data, out.len);
        ret_out->n = out.len;
    }
    crypto_done(&c);
    return rv;
}

static void check_wrap(const char *kek, CK_MECHANISM mechanism, const char *key_hex,
                       const char *wrapped_hex)
{
    struct bytes key = hex(key_hex), wrapped = hex(wrapped_hex), out;
    assert_int_equal(wrap(kek, mechanism, &key, &out), CKR_OK);
    check_same(&out, &wrapped);
    assert_int_equal(unwrap(kek, mechanism, &wrapped, 0, &out), CKR_OK);
    check_same(&out, &key);
    check_cipher(kek, mechanism, key_hex, wrapped_hex);
    for (size_t i = 0; i < wrapped.n; i++) {
        wrapped.b[i] ^= 0x80;
        assert_int_equal(unwrap(kek, mechanism, &wrapped, 0, &out), CKR_WRAPPED_KEY_INVALID);
        assert_int_equal(decrypt_code(kek, mechanism, &wrapped), CKR_ENCRYPTED_DATA_INVALID);
        wrapped.b[i] ^= 0x80;
    }
    wrapped.n -= 1;
    assert_int_equal(unwrap(kek, mechanism, &wrapped, 0, &out), CKR_WRAPPED_KEY_LEN_RANGE);
    wrapped.n = 8;
    assert_int_equal(unwrap(kek, mechanism, &wrapped, 0, &out), CKR_WRAPPED_KEY_LEN_RANGE);
    wrapped.n = 0;
    assert_int_equal(unwrap(kek, mechanism, &wrapped, 0, &out), CKR_WRAPPED_KEY_LEN_RANGE);
}

/* RFC 3394, 4.1 and 4.6; RFC 5649, 6. */
static void test_key_wrap(void **state)
{
    (void)state;
    CK_MECHANISM kw = {CKM_AES_KEY_WRAP, NULL, 0}, kwp = {CKM_AES_KEY_WRAP_KWP, NULL, 0};
    check_wrap("000102030405060708090a0b0c0d0e0f", kw, "00112233445566778899aabbccddeeff",
               "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5");
    check_wrap(KEK256, kw, KEY256,
               "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21");
    check_wrap(KEK192, kwp, "c37b7e6492584340bed12207808941155068f738",
               "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a");
    check_wrap(KEK192, kwp, "466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f");
}

/* KW fills up with zeros; KWP and PKCS#7 give back every length. */
static void test_key_wrap_lengths(void **state)
{
    (void)state;
    static const CK_MECHANISM_TYPE ALL[] = {CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_PAD,
                                            CKM_AES_KEY_WRAP_KWP, CKM_AES_KEY_WRAP_PKCS7};
    for (size_t m = 0; m < 4; m++)
        for (size_t len = 0; len <= 40; len++) {
            CK_MECHANISM mechanism = {ALL[m], NULL, 0};
            struct bytes key = {.n = len}, wrapped, out;
            memset(key.b, 0x5a, len);
            bool kw = m == 0, kwp = m == 2;
            size_t least = kwp ? 1 : kw ? 9 : 8;
            if (len < least) {
                assert_int_equal(wrap(KEK256, mechanism, &key, &wrapped), CKR_KEY_SIZE_RANGE);
                continue;
            }
            assert_int_equal(wrap(KEK256, mechanism, &key, &wrapped), CKR_OK);
            size_t padded = kw || kwp ? (len + 7) / 8 * 8 : len / 8 * 8 + 8;
            assert_int_equal(wrapped.n, padded + 8);
            assert_int_equal(unwrap(KEK256, mechanism, &wrapped, kw ? len : 0, &out), CKR_OK);
            check_same(&out, &key);
            if (kw) {
                assert_int_equal(unwrap(KEK256, mechanism, &wrapped, 0, &out), CKR_OK);
                assert_int_equal(out.n, padded);
            }
        }
    CK_MECHANISM kw = {CKM_AES_KEY_WRAP, NULL, 0};
    assert_int_equal(encrypt_code(KEK256, kw, 20), CKR_DATA_LEN_RANGE);
    assert_int_equal(encrypt_code(KEK256, kw, 8), CKR_DATA_LEN_RANGE);
}

/* PKCS#7 padding shows when plain KW opens it; KWP's blob is neither's. */
static void test_key_wraps_are_told_apart(void **state)
{
    (void)state;
    CK_MECHANISM kw = {CKM_AES_KEY_WRAP, NULL, 0}, pad = {CKM_AES_KEY_WRAP_PAD, NULL, 0},
                 kwp = {CKM_AES_KEY_WRAP_KWP, NULL, 0};
    struct bytes key = hex("00112233445566778899aabbccddeeff0011"), wrapped, out;
    struct bytes padded = hex("00112233445566778899aabbccddeeff0011060606060606");
    assert_int_equal(wrap(KEK256, pad, &key, &wrapped), CKR_OK);
    assert_int_equal(unwrap(KEK256, kw, &wrapped, 0, &out), CKR_OK);
    check_same(&out, &padded);
    assert_int_equal(unwrap(KEK256, kwp, &wrapped, 0, &out), CKR_WRAPPED_KEY_INVALID);
    assert_int_equal(wrap(KEK256, kwp, &key, &wrapped), CKR_OK);
    assert_int_equal(unwrap(KEK256, kw, &wrapped, 0, &out), CKR_WRAPPED_KEY_INVALID);
    assert_int_equal(unwrap(KEK256, pad, &wrapped, 0, &out), CKR_WRAPPED_KEY_INVALID);
    assert_int_equal(wrap(KEK256, kw, &padded, &wrapped), CKR_OK);
    assert_int_equal(unwrap(KEK256, pad, &wrapped, 0, &out), CKR_OK);
    check_same(&out, &key);
    padded.b[23] = 9;
    assert_int_equal(wrap(KEK256, kw, &padded, &wrapped), CKR_OK);
    assert_int_equal(unwrap(KEK256, pad, &wrapped, 0, &out), CKR_WRAPPED_KEY_INVALID);
}

static void test_key_wrap_initial_values(void **state)
{
    (void)state;
    uint8_t default_iv[8] = {0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6}, own[8] = {1};
    CK_MECHANISM none = {CKM_AES_KEY_WRAP, NULL, 0}, same = {CKM_AES_KEY_WRAP, default_iv, 8},
                 other = {CKM_AES_KEY_WRAP, own, 8}, kwp_other = {CKM_AES_KEY_WRAP_KWP, own, 4};
    struct bytes key = hex(KEY256), a, b, out;
    assert_int_equal(wrap(KEK256, none, &key, &a), CKR_OK);
    assert_int_equal(wrap(KEK256, same, &key, &b), CKR_OK);
    check_same(&a, &b);
    assert_int_equal(wrap(KEK256, other, &key, &b), CKR_OK);
    assert_int_equal(unwrap(KEK256, other, &b, 0, &out), CKR_OK);
    check_same(&out, &key);
    assert_int_equal(unwrap(KEK256, none, &b, 0, &out), CKR_WRAPPED_KEY_INVALID);
    assert_int_equal(wrap(KEK256, kwp_other, &key, &b), CKR_OK);
    assert_int_equal(unwrap(KEK256, kwp_other, &b, 0, &out), CKR_OK);
    check_same(&out, &key);
    const struct mech_row *row;
    struct mech_param param;
    other.ulParameterLen = 4;
    assert_int_equal(mech_prepare(&other, &row, &param), CKR_MECHANISM_PARAM_INVALID);
    kwp_other.ulParameterLen = 8;
    assert_int_equal(mech_prepare(&kwp_other, &row, &param), CKR_MECHANISM_PARAM_INVALID);
}

static void test_cbc_wraps(void **state)
{
    (void)state;
    CK_MECHANISM cbc = {CKM_AES_CBC, SYM_IV, sizeof SYM_IV};
    CK_MECHANISM pad = {CKM_AES_CBC_PAD, SYM_IV, sizeof SYM_IV};
    struct bytes key = hex("00112233445566778899aabbccddeeff0011223344556677"), wrapped, out;
    assert_int_equal(wrap(K128, cbc, &key, &wrapped), CKR_OK);
    assert_int_equal(wrapped.n, 32);
    assert_int_equal(unwrap(K128, cbc, &wrapped, 24, &out), CKR_OK);
    check_same(&out, &key);
    assert_int_equal(unwrap(K128, cbc, &wrapped, 0, &out), CKR_OK);
    assert_int_equal(out.n, 32);
    assert_int_equal(wrap(K128, pad, &key, &wrapped), CKR_OK);
    assert_int_equal(wrapped.n, 32);
    assert_int_equal(unwrap(K128, pad, &wrapped, 0, &out), CKR_OK);
    check_same(&out, &key);
    wrapped.b[31] ^= 1;
    assert_int_equal(unwrap(K128, pad, &wrapped, 0, &out), CKR_WRAPPED_KEY_INVALID);
    wrapped.n = 17;
    assert_int_equal(unwrap(K128, pad, &wrapped, 0, &out), CKR_WRAPPED_KEY_LEN_RANGE);
}

/* ------------------------------------------------------------------ MACs and digests */

static void check_mac(CK_KEY_TYPE type, const struct bytes *value, CK_MECHANISM mechanism,
                      const struct bytes *data, const char *mac_hex)
{
    struct bytes want = hex(mac_hex), got;
    struct key_material key;
    struct crypto c;
    use_init(&c, &key, value, type, mechanism, true);
    const struct sign_ops *ops = c.mech->sign;
    for (size_t part = 0; part <= data->n; part++) {
        assert_int_equal(ops->begin(&c), CKR_OK);
        assert_int_equal(ops->size(&c), want.n);
        if (part == 0)
            assert_int_equal(ops->sign(&c, data->b, data->n, got.b, &got.n), CKR_OK);
        for (size_t at = 0; part > 0 && at < data->n; at += part)
            assert_int_equal(
                ops->update(&c, data->b + at, part < data->n - at ? part : data->n - at), CKR_OK);
        if (part > 0)
            assert_int_equal(ops->sign_final(&c, got.b, &got.n), CKR_OK);
        check_same(&got, &want);
    }
    assert_int_equal(ops->begin(&c), CKR_OK);
    assert_int_equal(ops->verify(&c, data->b, data->n, want.b, want.n), CKR_OK);
    want.b[want.n - 1] ^= 1;
    assert_int_equal(ops->begin(&c), CKR_OK);
    assert_int_equal(ops->verify(&c, data->b, data->n, want.b, want.n), CKR_SIGNATURE_INVALID);
    assert_int_equal(ops->begin(&c), CKR_OK);
    assert_int_equal(ops->verify(&c, data->b, data->n, want.b, want.n - 1),
                     CKR_SIGNATURE_LEN_RANGE);
    crypto_done(&c);
}

static void test_cmac(void **state)
{
    (void)state;
    CK_ULONG half = 8;
    CK_MECHANISM cmac = {CKM_AES_CMAC, NULL, 0},
                 general = {CKM_AES_CMAC_GENERAL, &half, sizeof half};
    struct bytes key = hex(K128), data = hex(P64);
    check_mac(CKK_AES, &key, cmac, &data, "51f0bebf7e3b9d92fc49741779363cfe");
    check_mac(CKK_AES, &key, general, &data, "51f0bebf7e3b9d92");
    data.n = 40;
    check_mac(CKK_AES, &key, cmac, &data, "dfa66747de9ae63030ca32611497c827");
    data.n = 16;
    check_mac(CKK_AES, &key, cmac, &data, "070a16b46b4d4144f79bdd9dd04a287c");
    data.n = 0;
    check_mac(CKK_AES, &key, cmac, &data, "bb1d6929e95937287fa37d129b756746");
}

/* RFC 4231 and RFC 2202, test case 2. */
static void test_hmac(void **state)
{
    (void)state;
    static const struct { CK_MECHANISM_TYPE type; const char *mac; } CASES[] = {
        {CKM_SHA_1_HMAC, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
        {CKM_SHA224_HMAC, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"},
        {CKM_SHA256_HMAC, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {CKM_SHA384_HMAC, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
                          "8e2240ca5e69e2c78b3239ecfab21649"},
        {CKM_SHA512_HMAC, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                          "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
    };
    struct bytes key = {.n = 4}, data = {.n = 28};
    memcpy(key.b, "Jefe", 4);
    memcpy(data.b, "what do ya want for nothing?", 28);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        check_mac(CKK_GENERIC_SECRET, &key, (CK_MECHANISM){CASES[i].type, NULL, 0}, &data,
                  CASES[i].mac);
    CK_ULONG len = 10;
    check_mac(CKK_SHA256_HMAC, &key, (CK_MECHANISM){CKM_SHA256_HMAC_GENERAL, &len, sizeof len},
              &data, "5bdcc146bf60754e6a04");
}

static void test_mac_lengths(void **state)
{
    (void)state;
    const struct mech_row *row;
    struct mech_param param;
    static const CK_ULONG BAD[] = {0, 33, (CK_ULONG)-1};
    for (size_t i = 0; i < 3; i++) {
        CK_ULONG len = BAD[i];
        CK_MECHANISM general = {CKM_SHA256_HMAC_GENERAL, &len, sizeof len};
        assert_int_equal(mech_prepare(&general, &row, &param), CKR_MECHANISM_PARAM_INVALID);
    }
}

static void check_digest(CK_MECHANISM_TYPE type, const char *digest_hex)
{
    struct bytes want = hex(digest_hex), got, none = {.n = 0};
    struct key_material key;
    struct crypto c;
    use_init(&c, &key, &none, CKK_AES, (CK_MECHANISM){type, NULL, 0}, false);
    const struct digest_ops *ops = c.mech->digest_ops;
    assert_int_equal(c.mech->digest->size, want.n);
    got.n = want.n;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ops->begin(&c), CKR_OK);
        assert_int_equal(ops->once(&c, (const uint8_t *)"abc", 3, got.b), CKR_OK);
        check_same(&got, &want);
        assert_int_equal(ops->begin(&c), CKR_OK);
        for (int j = 0; j < 3; j++)
            assert_int_equal(ops->update(&c, (const uint8_t *)"abc" + j, 1), CKR_OK);
        assert_int_equal(ops->update(&c, NULL, 0), CKR_OK);
        assert_int_equal(ops->final(&c, got.b), CKR_OK);
        check_same(&got, &want);
    }
    crypto_done(&c);
}

static void test_digests(void **state)
{
    (void)state;
    static const struct { CK_MECHANISM_TYPE type; const char *digest; } CASES[] = {
        {CKM_SHA_1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {CKM_SHA224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"},
        {CKM_SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {CKM_SHA384, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
                     "8086072ba1e7cc2358baeca134c825a7"},
        {CKM_SHA512, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
        {CKM_SHA512_224, "4634270f707b6a54daae7530460842e20e37ed265ceee9a43e8924aa"},
        {CKM_SHA512_256, "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"},
        {CKM_SHA3_224, "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"},
        {CKM_SHA3_256, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"},
        {CKM_SHA3_384, "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b2"
                       "98d88cea927ac7f539f1edf228376d25"},
        {CKM_SHA3_512, "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
                       "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        check_digest(CASES[i].type, CASES[i].digest);
}

/* ------------------------------------------------------------------ generation, secret memory */

static void check_generation(CK_MECHANISM_TYPE type, CK_ULONG len, CK_RV want)
{
    const struct mech_row *row;
    struct mech_param param;
    struct attr_list *list = malloc(sizeof *list);
    CK_MECHANISM mechanism = {type, NULL, 0};
    attr_list_init(list);
    assert_int_equal(mech_prepare(&mechanism, &row, &param), CKR_OK);
    assert_int_equal(row->generate->key(row, &param, list), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(attr_put_ulong(list, CKA_VALUE_LEN, len), CKR_OK);
    assert_int_equal(row->generate->key(row, &param, list), want);
    const struct attr *value = attr_find(list, CKA_VALUE);
    assert_int_equal(value != NULL, want == CKR_OK);
    if (value != NULL)
        assert_int_equal(value->len, len);
    attr_list_done(list);
    free(list);
}

static void test_generation(void **state)
{
    (void)state;
    check_generation(CKM_AES_KEY_GEN, 16, CKR_OK);
    check_generation(CKM_AES_KEY_GEN, 32, CKR_OK);
    check_generation(CKM_AES_KEY_GEN, 20, CKR_ATTRIBUTE_VALUE_INVALID);
    check_generation(CKM_GENERIC_SECRET_KEY_GEN, 0, CKR_ATTRIBUTE_VALUE_INVALID);
    check_generation(CKM_GENERIC_SECRET_KEY_GEN, 7, CKR_OK);
    check_generation(CKM_SHA3_256_KEY_GEN, 32, CKR_OK);
    check_generation(CKM_SHA256_KEY_GEN, 1u << 30, CKR_ATTRIBUTE_VALUE_INVALID);
}

static void test_secret_buffers(void **state)
{
    (void)state;
    AUTO(secret) struct secret grown = {0};
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t byte = (uint8_t)i;
        assert_int_equal(secret_append(&grown, &byte, 1), CKR_OK);
    }
    assert_int_equal(grown.len, 20000);
    for (unsigned i = 0; i < 20000; i++)
        assert_int_equal(grown.data[i], (uint8_t)i);
    assert_int_equal(secret_reserve(&grown, 100), CKR_OK);
    assert_int_equal(grown.len, 0);
    assert_int_equal(grown.data[7], 0);
}

/* A child finds no keys of its parent, takes none of its locks, and can start afresh. */
static void test_fork(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool good = ossl_start() == CKR_OK;
        uint8_t *memory = vs_secret_alloc(32);
        good = good && memory != NULL && ossl_random(memory, 32) == CKR_OK &&
               ossl_md(&DIGESTS[DIGEST_SHA256]) != NULL;
        vs_secret_free(memory, 32);
        ossl_stop();
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Two threads that fetch the same algorithms for the first time must both get them. */
static void *digest_everything(void *ret_failures)
{
    unsigned failures = 0;
    for (size_t i = 0; i < DIGESTS_COUNT; i++) {
        const struct mech_row *row = mech_find(DIGESTS[i].mechanism);
        struct crypto c = {.mech = row};
        uint8_t out[64];
        if (row == NULL || row->digest_ops->begin(&c) != CKR_OK ||
            row->digest_ops->once(&c, out, 0, out) != CKR_OK || ossl_hmac() == NULL ||
            ossl_cipher(OSSL_AES_GCM, 16 + 8 * (i % 3)) == NULL)
            failures++;
        crypto_done(&c);
    }
    *(unsigned *)ret_failures = failures;
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    unsigned failures[4];
    ossl_stop();
    assert_int_equal(ossl_start(), CKR_OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, digest_everything, &failures[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failures[i], 0);
    }
}

static void test_random(void **state)
{
    (void)state;
    uint8_t a[64] = {0}, b[64] = {0};
    assert_int_equal(ossl_random(a, sizeof a), CKR_OK);
    assert_int_equal(ossl_seed("seed", 4), CKR_OK);
    assert_int_equal(ossl_random(b, sizeof b), CKR_OK);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_wrap),
        cmocka_unit_test(test_key_wrap_lengths),
        cmocka_unit_test(test_key_wraps_are_told_apart),
        cmocka_unit_test(test_key_wrap_initial_values),
        cmocka_unit_test(test_cbc_wraps),
        cmocka_unit_test(test_cmac),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_mac_lengths),
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_generation),
        cmocka_unit_test(test_secret_buffers),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests_name("sym_keys", tests, sym_start, sym_stop);
}
