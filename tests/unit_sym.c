/*
 * Unit tests of the symmetric ciphers: known answers of the public standards; in place; in parts of
 * every size, against one piece; on warm contexts; and what must be refused.
 */
#include "sym_fixture.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ ECB, CBC, CTR: SP 800-38A */

static void test_ecb(void **state)
{
    (void)state;
    CK_MECHANISM ecb = {CKM_AES_ECB, NULL, 0};
    check_cipher(K128, ecb, P64,
                 "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"
                 "43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4");
    check_cipher(K256, ecb, "6bc1bee22e409f96e93d7e117393172a", "f3eed1bdb5d2a03c064b5a7e3db181f8");
    check_cipher(K128, ecb, "", "");
    assert_int_equal(encrypt_code(K128, ecb, 17), CKR_DATA_LEN_RANGE);
    assert_int_equal(decrypt_code(K128, ecb, &(struct bytes){.n = 15}),
                     CKR_ENCRYPTED_DATA_LEN_RANGE);
}

#define CBC64                                                                                      \
    "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"                             \
    "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7"

static void test_cbc(void **state)
{
    (void)state;
    CK_MECHANISM cbc = {CKM_AES_CBC, SYM_IV, sizeof SYM_IV};
    check_cipher(K128, cbc, P64, CBC64);
    assert_int_equal(encrypt_code(K128, cbc, 31), CKR_DATA_LEN_RANGE);
    assert_int_equal(decrypt_code(K128, cbc, &(struct bytes){.n = 31}),
                     CKR_ENCRYPTED_DATA_LEN_RANGE);
}

/* Padded, CBC's own answer is the beginning; and every length comes back. */
static void test_cbc_pad(void **state)
{
    (void)state;
    CK_MECHANISM pad = {CKM_AES_CBC_PAD, SYM_IV, sizeof SYM_IV};
    check_cipher(K128, pad, P64, CBC64 "8cb82807230e1321d3fae00d18cc2012");
    for (size_t len = 0; len < 40; len++) {
        struct bytes value = hex(K128), plain = hex(P64), sealed;
        struct key_material key;
        struct crypto c;
        plain.n = len;
        use_init(&c, &key, &value, CKK_AES, pad, true);
        assert_int_equal(run_once(&c, &plain, &sealed, false), CKR_OK);
        check_direction(&c, &plain, &sealed);
        crypto_done(&c);
        use_init(&c, &key, &value, CKK_AES, pad, false);
        check_direction(&c, &sealed, &plain);
        crypto_done(&c);
    }
}

/* A text with a chosen last block, padded by hand and encrypted by plain CBC. */
static CK_RV pad_code(const char *last_block)
{
    CK_MECHANISM cbc = {CKM_AES_CBC, SYM_IV, sizeof SYM_IV};
    CK_MECHANISM pad = {CKM_AES_CBC_PAD, SYM_IV, sizeof SYM_IV};
    struct bytes value = hex(K128), plain = hex(P64), last = hex(last_block), sealed;
    struct key_material key;
    struct crypto c;
    memcpy(plain.b + 48, last.b, 16);
    use_init(&c, &key, &value, CKK_AES, cbc, true);
    assert_int_equal(run_once(&c, &plain, &sealed, false), CKR_OK);
    crypto_done(&c);
    return decrypt_code(K128, pad, &sealed);
}

static void test_cbc_pad_refuses_bad_padding(void **state)
{
    (void)state;
    CK_MECHANISM pad = {CKM_AES_CBC_PAD, SYM_IV, sizeof SYM_IV};
    assert_int_equal(pad_code("00112233445566778899aabbccddee01"), CKR_OK);
    assert_int_equal(pad_code("10101010101010101010101010101010"), CKR_OK);
    assert_int_equal(pad_code("00112233445566778899aabbccddee00"), CKR_ENCRYPTED_DATA_INVALID);
    assert_int_equal(pad_code("00112233445566778899aabbccdd0203"), CKR_ENCRYPTED_DATA_INVALID);
    assert_int_equal(pad_code("11111111111111111111111111111111"), CKR_ENCRYPTED_DATA_INVALID);
    assert_int_equal(pad_code("001010101010101010101010101010ff"), CKR_ENCRYPTED_DATA_INVALID);
    assert_int_equal(pad_code("00101010101010101010101010101010"), CKR_ENCRYPTED_DATA_INVALID);
    assert_int_equal(decrypt_code(K128, pad, &(struct bytes){.n = 0}),
                     CKR_ENCRYPTED_DATA_LEN_RANGE);
    assert_int_equal(decrypt_code(K128, pad, &(struct bytes){.n = 24}),
                     CKR_ENCRYPTED_DATA_LEN_RANGE);
}

static CK_AES_CTR_PARAMS ctr_params(CK_ULONG bits, const char *block)
{
    CK_AES_CTR_PARAMS params = {.ulCounterBits = bits};
    struct bytes cb = hex(block);
    memcpy(params.cb, cb.b, 16);
    return params;
}

static void test_ctr(void **state)
{
    (void)state;
    CK_AES_CTR_PARAMS params = ctr_params(128, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    CK_MECHANISM ctr = {CKM_AES_CTR, &params, sizeof params};
    check_cipher(K128, ctr, P64,
                 "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
                 "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee");
}

static void test_ctr_refuses_an_overflow(void **state)
{
    (void)state;
    static const struct { CK_ULONG bits; const char *block; size_t len; CK_RV rv; } CASES[] = {
        /* the standard's example: two bits from 1 give three blocks */
        {2, "00000000000000000000000000000001", 48, CKR_OK},
        {2, "00000000000000000000000000000001", 49, CKR_DATA_LEN_RANGE},
        {2, "ffffffffffffffffffffffffffffffff", 16, CKR_OK},
        {2, "ffffffffffffffffffffffffffffffff", 17, CKR_DATA_LEN_RANGE},
        {1, "00000000000000000000000000000000", 32, CKR_OK},
        {1, "00000000000000000000000000000000", 33, CKR_DATA_LEN_RANGE},
        {64, "0000000000000000fffffffffffffffe", 32, CKR_OK},
        {64, "0000000000000000fffffffffffffffe", 33, CKR_DATA_LEN_RANGE},
        {65, "0000000000000000fffffffffffffffe", 64, CKR_OK},
        {128, "ffffffffffffffffffffffffffffffff", 16, CKR_OK},
        {128, "ffffffffffffffffffffffffffffffff", 17, CKR_DATA_LEN_RANGE},
        {128, "00000000000000000000000000000000", 64, CKR_OK},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        CK_AES_CTR_PARAMS params = ctr_params(CASES[i].bits, CASES[i].block);
        CK_MECHANISM ctr = {CKM_AES_CTR, &params, sizeof params};
        assert_int_equal(encrypt_code(K128, ctr, CASES[i].len), CASES[i].rv);
    }
    const struct mech_row *row;
    struct mech_param param;
    for (CK_ULONG bits = 0; bits <= 129; bits += 129) {
        CK_AES_CTR_PARAMS params = ctr_params(bits, "00000000000000000000000000000000");
        CK_MECHANISM ctr = {CKM_AES_CTR, &params, sizeof params};
        assert_int_equal(mech_prepare(&ctr, &row, &param), CKR_MECHANISM_PARAM_INVALID);
    }
}

/* ------------------------------------------------------------------ GCM and CCM */

#define GCM_KEY "feffe9928665731c6d6a8f9467308308"
#define GCM_PLAIN                                                                                  \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                             \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define GCM_AAD "feedfacedeadbeeffeedfacedeadbeefabaddad2"

struct gcm { struct bytes iv, aad; CK_GCM_PARAMS params; };

static CK_MECHANISM gcm_mechanism(struct gcm *gcm, const char *iv, const char *aad, CK_ULONG bits)
{
    gcm->iv = hex(iv);
    gcm->aad = hex(aad);
    gcm->params = (CK_GCM_PARAMS){.pIv = gcm->iv.b, .ulIvLen = gcm->iv.n, .pAAD = gcm->aad.b,
                                  .ulAADLen = gcm->aad.n, .ulTagBits = bits};
    return (CK_MECHANISM){CKM_AES_GCM, &gcm->params, sizeof gcm->params};
}

/* McGrew and Viega's test cases 4, 5, 6 (ivs of 12, 8 and 60 bytes), 1 (nothing at all). */
static void test_gcm(void **state)
{
    (void)state;
    struct gcm gcm;
    check_cipher(GCM_KEY, gcm_mechanism(&gcm, "cafebabefacedbaddecaf888", GCM_AAD, 128), GCM_PLAIN,
                 "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
                 "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
                 "5bc94fbc3221a5db94fae95ae7121a47");
    check_cipher(GCM_KEY, gcm_mechanism(&gcm, "cafebabefacedbaddecaf888", GCM_AAD, 96), GCM_PLAIN,
                 "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
                 "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
                 "5bc94fbc3221a5db94fae95a");
    check_cipher(GCM_KEY, gcm_mechanism(&gcm, "cafebabefacedbad", GCM_AAD, 128), GCM_PLAIN,
                 "61353b4c2806934a777ff51fa22a4755699b2a714fcdc6f83766e5f97b6c7423"
                 "73806900e49f24b22b097544d4896b424989b5e1ebac0f07c23f4598"
                 "3612d2e79e3b0785561be14aaca2fccb");
    check_cipher("00000000000000000000000000000000",
                 gcm_mechanism(&gcm, "000000000000000000000000", "", 128), "",
                 "58e2fccefa7e3061367f1d57a4e7455a");
}

/* One context, many parameters: a length of IV, a tag, an AAD must not stick. */
static void test_gcm_warm(void **state)
{
    (void)state;
    static const char *const IVS[] = {"cafebabefacedbaddecaf888", "cafebabefacedbad",
                                      "cafebabefacedbaddecaf888cafebabefacedbaddecaf888"};
    struct bytes value = hex(GCM_KEY), plain = hex(GCM_PLAIN), warm_out, cold_out;
    struct key_material key;
    struct crypto warm, cold;
    struct gcm gcm;
    CK_MECHANISM mechanism = gcm_mechanism(&gcm, IVS[0], "", 128);
    use_init(&warm, &key, &value, CKK_AES, mechanism, true);
    for (unsigned i = 0; i < 24; i++) {
        mechanism = gcm_mechanism(&gcm, IVS[i % 3], i % 2 ? GCM_AAD : "", 128 - 8 * (i % 4));
        mech_param_done(&warm.param);
        assert_int_equal(mech_prepare(&mechanism, &warm.mech, &warm.param), CKR_OK);
        assert_int_equal(run_once(&warm, &plain, &warm_out, false), CKR_OK);
        use_init(&cold, &key, &value, CKK_AES, mechanism, true);
        assert_int_equal(run_once(&cold, &plain, &cold_out, false), CKR_OK);
        crypto_done(&cold);
        check_same(&warm_out, &cold_out);
        /* An operation that was begun and given up must leave nothing behind either. */
        cipher_begin_again(&warm);
    }
    crypto_done(&warm);
}

static void check_tampering(const char *key_hex, CK_MECHANISM mechanism, size_t tag_len)
{
    struct bytes value = hex(key_hex), plain = {.n = 33}, sealed;
    struct key_material key;
    struct crypto c;
    use_init(&c, &key, &value, CKK_AES, mechanism, true);
    assert_int_equal(run_once(&c, &plain, &sealed, false), CKR_OK);
    crypto_done(&c);
    assert_int_equal(sealed.n, plain.n + tag_len);
    assert_int_equal(decrypt_code(key_hex, mechanism, &sealed), CKR_OK);
    for (size_t i = 0; i < sealed.n; i++) {
        sealed.b[i] ^= 1;
        assert_int_equal(decrypt_code(key_hex, mechanism, &sealed), CKR_ENCRYPTED_DATA_INVALID);
        sealed.b[i] ^= 1;
    }
    sealed.n = tag_len - 1;
    assert_int_equal(decrypt_code(key_hex, mechanism, &sealed), CKR_ENCRYPTED_DATA_LEN_RANGE);
}

static void test_gcm_refuses_tampering(void **state)
{
    (void)state;
    struct gcm gcm;
    check_tampering(GCM_KEY, gcm_mechanism(&gcm, "cafebabefacedbaddecaf888", GCM_AAD, 128), 16);
    check_tampering(GCM_KEY, gcm_mechanism(&gcm, "cafebabefacedbaddecaf888", "", 32), 4);
}

static void test_gcm_parameters(void **state)
{
    (void)state;
    struct gcm gcm;
    const struct mech_row *row;
    struct mech_param param;
    CK_MECHANISM mechanism = gcm_mechanism(&gcm, "cafebabefacedbaddecaf888", GCM_AAD, 128);
    mechanism.ulParameterLen = 40;   /* Java's first try */
    assert_int_equal(mech_prepare(&mechanism, &row, &param), CKR_ARGUMENTS_BAD);
    mechanism.ulParameterLen = sizeof gcm.params;
    static const CK_ULONG TAGS[] = {0, 24, 31, 33, 136, 1024};
    for (size_t i = 0; i < sizeof TAGS / sizeof TAGS[0]; i++) {
        gcm.params.ulTagBits = TAGS[i];
        assert_int_equal(mech_prepare(&mechanism, &row, &param), CKR_MECHANISM_PARAM_INVALID);
    }
    gcm.params.ulTagBits = 128;
    gcm.params.ulIvLen = 0;
    assert_int_equal(mech_prepare(&mechanism, &row, &param), CKR_MECHANISM_PARAM_INVALID);
    gcm.params.ulIvLen = 12;
    gcm.params.pIv = NULL;
    assert_int_equal(mech_prepare(&mechanism, &row, &param), CKR_MECHANISM_PARAM_INVALID);
    gcm.params.pIv = gcm.iv.b;
    gcm.params.pAAD = NULL;
    assert_int_equal(mech_prepare(&mechanism, &row, &param), CKR_MECHANISM_PARAM_INVALID);
    gcm.params.ulAADLen = 0;
    assert_int_equal(mech_prepare(&mechanism, &row, &param), CKR_OK);
    mech_param_done(&param);
}

struct ccm { struct bytes nonce, aad; CK_CCM_PARAMS params; };

static CK_MECHANISM ccm_mechanism(struct ccm *ccm, const char *nonce, const char *aad, CK_ULONG mac,
                                  CK_ULONG data)
{
    ccm->nonce = hex(nonce);
    ccm->aad = hex(aad);
    ccm->params = (CK_CCM_PARAMS){.ulDataLen = data, .pNonce = ccm->nonce.b,
                                  .ulNonceLen = ccm->nonce.n, .pAAD = ccm->aad.b,
                                  .ulAADLen = ccm->aad.n, .ulMACLen = mac};
    return (CK_MECHANISM){CKM_AES_CCM, &ccm->params, sizeof ccm->params};
}

#define CCM_KEY "404142434445464748494a4b4c4d4e4f"

/* SP 800-38C, examples 1 to 3. */
static void test_ccm(void **state)
{
    (void)state;
    struct ccm ccm;
    check_cipher(CCM_KEY, ccm_mechanism(&ccm, "10111213141516", "0001020304050607", 4, 4),
                 "20212223", "7162015b4dac255d");
    check_cipher(CCM_KEY,
                 ccm_mechanism(&ccm, "1011121314151617", "000102030405060708090a0b0c0d0e0f", 6, 16),
                 "202122232425262728292a2b2c2d2e2f",
                 "d2a1f0e051ea5f62081a7792073d593d1fc64fbfaccd");
    check_cipher(CCM_KEY,
                 ccm_mechanism(&ccm, "101112131415161718191a1b",
                               "000102030405060708090a0b0c0d0e0f10111213", 8, 24),
                 "202122232425262728292a2b2c2d2e2f3031323334353637",
                 "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5484392fbc1b09951");
    check_tampering(CCM_KEY, ccm_mechanism(&ccm, "101112131415161718191a1b", "00", 8, 33), 8);
    check_tampering(CCM_KEY, ccm_mechanism(&ccm, "10111213141516", "", 16, 33), 16);
}

static void test_ccm_without_data(void **state)
{
    (void)state;
    struct ccm ccm;
    struct bytes value = hex(CCM_KEY), nothing = {.n = 0}, sealed, out;
    CK_MECHANISM mechanism = ccm_mechanism(&ccm, "101112131415161718191a1b", "0001", 16, 0);
    struct key_material key;
    struct crypto c;
    use_init(&c, &key, &value, CKK_AES, mechanism, true);
    assert_int_equal(run_once(&c, &nothing, &sealed, false), CKR_OK);
    assert_int_equal(sealed.n, 16);
    crypto_done(&c);
    use_init(&c, &key, &value, CKK_AES, mechanism, false);
    assert_int_equal(run_once(&c, &sealed, &out, false), CKR_OK);
    assert_int_equal(out.n, 0);
    sealed.b[3] ^= 1;
    assert_int_equal(run_once(&c, &sealed, &out, false), CKR_ENCRYPTED_DATA_INVALID);
    crypto_done(&c);
}

static void test_ccm_holds_to_its_length(void **state)
{
    (void)state;
    struct ccm ccm;
    CK_MECHANISM mechanism = ccm_mechanism(&ccm, "101112131415161718191a1b", "", 8, 24);
    assert_int_equal(encrypt_code(CCM_KEY, mechanism, 23), CKR_DATA_LEN_RANGE);
    assert_int_equal(encrypt_code(CCM_KEY, mechanism, 25), CKR_DATA_LEN_RANGE);
    assert_int_equal(decrypt_code(CCM_KEY, mechanism, &(struct bytes){.n = 31}),
                     CKR_ENCRYPTED_DATA_LEN_RANGE);
    assert_int_equal(decrypt_code(CCM_KEY, mechanism, &(struct bytes){.n = 33}),
                     CKR_ENCRYPTED_DATA_LEN_RANGE);
    const struct mech_row *row;
    struct mech_param param;
    ccm.params.ulMACLen = 5;
    assert_int_equal(mech_prepare(&mechanism, &row, &param), CKR_MECHANISM_PARAM_INVALID);
    ccm.params.ulMACLen = 8;
    ccm.params.ulNonceLen = 14;
    assert_int_equal(mech_prepare(&mechanism, &row, &param), CKR_MECHANISM_PARAM_INVALID);
    ccm.params.ulNonceLen = 13;
    ccm.params.ulDataLen = 65536;   /* more than two bytes of length can say */
    assert_int_equal(mech_prepare(&mechanism, &row, &param), CKR_MECHANISM_PARAM_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ecb),
        cmocka_unit_test(test_cbc),
        cmocka_unit_test(test_cbc_pad),
        cmocka_unit_test(test_cbc_pad_refuses_bad_padding),
        cmocka_unit_test(test_ctr),
        cmocka_unit_test(test_ctr_refuses_an_overflow),
        cmocka_unit_test(test_gcm),
        cmocka_unit_test(test_gcm_warm),
        cmocka_unit_test(test_gcm_refuses_tampering),
        cmocka_unit_test(test_gcm_parameters),
        cmocka_unit_test(test_ccm),
        cmocka_unit_test(test_ccm_without_data),
        cmocka_unit_test(test_ccm_holds_to_its_length),
    };
    return cmocka_run_group_tests_name("sym", tests, sym_start, sym_stop);
}
