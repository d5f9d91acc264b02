/* Sealing: published test values, every flipped bit, threads, no trace in the error queue. */
#include "vaultstore/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct sealer *sealer;

static int setup(void **state)
{
    (void)state;
    return sealer_new(&sealer);
}

static int teardown(void **state)
{
    (void)state;
    sealer_free(sealer);
    return 0;
}

static size_t unhex(const char *hex, uint8_t *ret_data)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        const char digits[] = {hex[2 * i], hex[2 * i + 1], '\0'};
        ret_data[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return n;
}

static void assert_hex(const uint8_t *data, const char *hex)
{
    uint8_t expected[128];
    size_t n = unhex(hex, expected);
    assert_memory_equal(data, expected, n);
}

/* RFC 5869, test cases 1 to 3; the first 32 bytes of each output. */
static void test_hkdf(void **state)
{
    (void)state;
    uint8_t ikm[80], salt[80], info[80], key[SEAL_KEY];
    memset(ikm, 0x0b, 22);
    size_t salt_len = unhex("000102030405060708090a0b0c", salt);
    size_t info_len = unhex("f0f1f2f3f4f5f6f7f8f9", info);
    assert_int_equal(seal_derive(sealer, ikm, 22, salt, salt_len, info, info_len, key), 0);
    assert_hex(key, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    assert_int_equal(seal_derive(sealer, ikm, 22, NULL, 0, NULL, 0, key), 0);
    assert_hex(key, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
    for (uint8_t i = 0; i < 80; i++) {
        ikm[i] = i;
        salt[i] = (uint8_t)(0x60 + i);
        info[i] = (uint8_t)(0xb0 + i);
    }
    assert_int_equal(seal_derive(sealer, ikm, 80, salt, 80, info, 80, key), 0);
    assert_hex(key, "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c");
}

/* RFC 4231, test case 1's data under its key padded to 32 bytes is the same HMAC. */
static void test_hmac_and_hash(void **state)
{
    (void)state;
    uint8_t key[SEAL_KEY] = {0}, mac[32], hash[32];
    memset(key, 0x0b, 20);
    assert_int_equal(seal_mac(sealer, key, "Hi There", 8, mac), 0);
    assert_hex(mac, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_int_equal(seal_sha256(sealer, "a", 1, "bc", 2, hash), 0);
    assert_hex(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(seal_sha256(sealer, NULL, 0, NULL, 0, hash), 0);
    assert_hex(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* Computed with Python's hashlib.scrypt(b"1234", salt=bytes(range(16)), n=1024, r=8, p=1). */
static void test_scrypt(void **state)
{
    (void)state;
    uint8_t salt[16], key[SEAL_KEY];
    for (uint8_t i = 0; i < 16; i++)
        salt[i] = i;
    assert_int_equal(seal_scrypt(sealer, "1234", 4, salt, 10, key), 0);
    assert_hex(key, "11fb48b815df907de8d7662a055dec5ede83867a221fa66acfeb6736cd1d5a6f");
    assert_int_equal(seal_scrypt(sealer, "1234", 4, salt, 16, key), 0);   /* 64 MiB are granted */
    assert_hex(key, "a0520e270f0dd6e2643e0871661c1e9c7f44f24e12a151c7eb33640d3ecd390c");
    assert_int_equal(seal_scrypt(sealer, "1234", 4, salt, 0, key), VS_E_CRYPTO);
    assert_int_equal(seal_scrypt(sealer, "1234", 4, salt, 32, key), VS_E_CRYPTO);
}

/* NIST's GCM test case 16 (AES-256, 20 bytes of associated data). */
static void test_gcm_known(void **state)
{
    (void)state;
    uint8_t key[SEAL_KEY], aad[32], sealed[128], plain[64];
    unhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", key);
    size_t aad_len = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2", aad);
    size_t len = unhex("cafebabefacedbaddecaf888"
                       "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                       "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                       "76fc6ece0f4e1768cddf8853bb2d551b", sealed);
    assert_int_equal(seal_open(sealer, key, aad, aad_len, sealed, len, plain), 0);
    assert_hex(plain, "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
}

static void test_round_trips(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 15, 16, 17, 300, 65536};
    uint8_t key[SEAL_KEY];
    assert_int_equal(seal_random(sealer, key, sizeof(key)), 0);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t len = lengths[i];
        uint8_t *plain = test_malloc(len + 1), *back = test_malloc(len + 1);
        uint8_t *sealed = test_malloc(len + SEAL_OVERHEAD), *again = test_malloc(len + SEAL_OVERHEAD);
        memset(plain, 0x5a, len);
        assert_int_equal(seal_close(sealer, key, "aad", 3, plain, len, sealed), 0);
        assert_int_equal(seal_close(sealer, key, "aad", 3, plain, len, again), 0);
        assert_memory_not_equal(sealed, again, 12);   /* a fresh nonce */
        assert_int_equal(seal_open(sealer, key, "aad", 3, sealed, len + SEAL_OVERHEAD, back), 0);
        assert_memory_equal(plain, back, len);
        test_free(plain);
        test_free(back);
        test_free(sealed);
        test_free(again);
    }
}

static void test_every_flip(void **state)
{
    (void)state;
    uint8_t key[SEAL_KEY] = {1}, other[SEAL_KEY] = {2}, aad[] = "header", sealed[SEAL_OVERHEAD + 8];
    uint8_t plain[8], zero[8] = {0};
    assert_int_equal(seal_close(sealer, key, aad, 6, "12345678", 8, sealed), 0);
    for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        memset(plain, 7, sizeof(plain));
        assert_int_equal(seal_open(sealer, key, aad, 6, sealed, sizeof(sealed), plain),
                         VS_E_CORRUPT);
        assert_memory_equal(plain, zero, sizeof(zero));
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(seal_open(sealer, key, aad, 5, sealed, sizeof(sealed), plain), VS_E_CORRUPT);
    assert_int_equal(seal_open(sealer, other, aad, 6, sealed, sizeof(sealed), plain),
                     VS_E_CORRUPT);
    assert_int_equal(seal_open(sealer, key, aad, 6, sealed, sizeof(sealed) - 1, plain),
                     VS_E_CORRUPT);
    assert_int_equal(seal_open(sealer, key, aad, 6, sealed, SEAL_OVERHEAD - 1, plain),
                     VS_E_CORRUPT);
    assert_int_equal(seal_open(sealer, key, aad, 6, sealed, sizeof(sealed), plain), VS_OK);
    assert_memory_equal(plain, "12345678", 8);
}

static void test_error_queue(void **state)
{
    (void)state;
    uint8_t key[SEAL_KEY] = {0}, sealed[SEAL_OVERHEAD + 1] = {0}, plain[1], salt[16] = {0};
    ERR_clear_error();
    assert_int_equal(seal_open(sealer, key, NULL, 0, sealed, sizeof(sealed), plain), VS_E_CORRUPT);
    assert_int_equal(ERR_peek_error(), 0);
    ERR_raise(ERR_LIB_USER, 42);   /* the application's own */
    assert_int_equal(seal_open(sealer, key, NULL, 0, sealed, sizeof(sealed), plain), VS_E_CORRUPT);
    assert_int_equal(seal_mac(sealer, key, "a", 1, (uint8_t[32]){0}), VS_OK);
    assert_int_equal(seal_scrypt(sealer, "", 0, salt, 10, key), VS_OK);
    assert_int_equal(ERR_GET_REASON(ERR_get_error()), 42);
    assert_int_equal(ERR_peek_error(), 0);
}

static void *thread_work(void *unused)
{
    (void)unused;
    uint8_t key[SEAL_KEY], sealed[SEAL_OVERHEAD + 40], plain[40], back[40], mac[32], expected[32];
    for (uint8_t i = 0; i < 100; i++) {
        memset(key, i, sizeof(key));
        memset(plain, i + 1, sizeof(plain));
        if (seal_mac(sealer, key, plain, 40, expected) != 0 ||
            seal_close(sealer, key, plain, 40, plain, 40, sealed) != 0 ||
            seal_open(sealer, key, plain, 40, sealed, sizeof(sealed), back) != 0 ||
            seal_mac(sealer, key, back, 40, mac) != 0 || !seal_equal(mac, expected, 32))
            return "a result differs";
    }
    return NULL;
}

/* More threads than warm contexts. */
static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[40];
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_work, NULL), 0);
    for (size_t i = 0; i < 40; i++) {
        void *complaint;
        pthread_join(threads[i], &complaint);
        assert_null(complaint);
    }
}

static void test_equal(void **state)
{
    (void)state;
    assert_true(seal_equal("abc", "abc", 3));
    assert_false(seal_equal("abc", "abd", 3));
    assert_true(seal_equal("abc", "xyz", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hkdf),        cmocka_unit_test(test_hmac_and_hash),
        cmocka_unit_test(test_scrypt),      cmocka_unit_test(test_gcm_known),
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_every_flip),
        cmocka_unit_test(test_error_queue), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_equal),
    };
    return cmocka_run_group_tests_name("seal", tests, setup, teardown);
}
