/*
 * Runs the vectors and speaks TAP: one test case for each row of vector_families. See vectors.h.
 *
 *     vectors [FILE...]     the rows whose file name contains one of these, else all
 *
 * The files are in $SHARED/vectors/wycheproof ($SHARED defaults to ../shared).
 */
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MECH(m) (m), #m
#define ENC (CKF_ENCRYPT | CKF_DECRYPT)
#define SIG (CKF_SIGN | CKF_VERIFY)
#define WRAP (CKF_WRAP | CKF_UNWRAP)

const struct vector_family vector_families[] = {
    {"aes_cbc_pkcs5", MECH(CKM_AES_CBC_PAD), ENC, 0, 0, 0, NULL, cbc_pad_test},
    {"aes_ccm", MECH(CKM_AES_CCM), ENC, 0, 0, 0, NULL, ccm_test},
    {"aes_cmac", MECH(CKM_AES_CMAC), SIG, CKM_AES_CMAC_GENERAL, 16, CKK_AES, NULL, mac_test},
    {"aes_gcm", MECH(CKM_AES_GCM), ENC, 0, 0, 0, NULL, gcm_test},
    {"aes_kwp", MECH(CKM_AES_KEY_WRAP_KWP), WRAP, 0, 0, 0, NULL, wrap_test},
    {"aes_wrap", MECH(CKM_AES_KEY_WRAP), WRAP, 0, 0, 0, NULL, wrap_test},
    {"ecdh_secp256r1_ecpoint", MECH(CKM_ECDH1_DERIVE), CKF_DERIVE, 0, 0, 0, NULL, ecdh_test},
    {"ecdsa_secp256r1_sha256_p1363", MECH(CKM_ECDSA), CKF_VERIFY, 0, 0, 0, ec_public_group,
     ecdsa_hashed_test},
    {"ecdsa_secp256r1_sha256_p1363", MECH(CKM_ECDSA_SHA256), CKF_VERIFY, 0, 0, 0, ec_public_group,
     verify_test},
    {"ecdsa_secp384r1_sha384_p1363", MECH(CKM_ECDSA), CKF_VERIFY, 0, 0, 0, ec_public_group,
     ecdsa_hashed_test},
    {"ecdsa_secp384r1_sha384_p1363", MECH(CKM_ECDSA_SHA384), CKF_VERIFY, 0, 0, 0, ec_public_group,
     verify_test},
    {"ed25519", MECH(CKM_EDDSA), CKF_VERIFY, 0, 0, 0, ed_public_group, verify_test},
    {"hmac_sha1", MECH(CKM_SHA_1_HMAC), SIG, CKM_SHA_1_HMAC_GENERAL, 20, CKK_GENERIC_SECRET, NULL,
     mac_test},
    {"hmac_sha256", MECH(CKM_SHA256_HMAC), SIG, CKM_SHA256_HMAC_GENERAL, 32, CKK_GENERIC_SECRET,
     NULL, mac_test},
    {"hmac_sha512", MECH(CKM_SHA512_HMAC), SIG, CKM_SHA512_HMAC_GENERAL, 64, CKK_GENERIC_SECRET,
     NULL, mac_test},
    {"rsa_oaep_2048_sha1_mgf1sha1", MECH(CKM_RSA_PKCS_OAEP), CKF_DECRYPT, 0, 0, 0,
     rsa_private_group, oaep_test},
    {"rsa_oaep_2048_sha256_mgf1sha1", MECH(CKM_RSA_PKCS_OAEP), CKF_DECRYPT, 0, 0, 0,
     rsa_private_group, oaep_test},
    {"rsa_oaep_2048_sha256_mgf1sha256", MECH(CKM_RSA_PKCS_OAEP), CKF_DECRYPT, 0, 0, 0,
     rsa_private_group, oaep_test},
    {"rsa_oaep_2048_sha512_mgf1sha512", MECH(CKM_RSA_PKCS_OAEP), CKF_DECRYPT, 0, 0, 0,
     rsa_private_group, oaep_test},
    {"rsa_pkcs1_2048_sig_gen", MECH(CKM_SHA256_RSA_PKCS), CKF_SIGN, 0, 0, 0, rsa_private_group,
     rsa_sign_test},
    {"rsa_pss_2048_sha1_mgf1_20", MECH(CKM_SHA1_RSA_PKCS_PSS), CKF_VERIFY, 0, 0, 0,
     rsa_public_group, rsa_pss_test},
    {"rsa_pss_2048_sha256_mgf1_32", MECH(CKM_SHA256_RSA_PKCS_PSS), CKF_VERIFY, 0, 0, 0,
     rsa_public_group, rsa_pss_test},
    {"rsa_signature_2048_sha256", MECH(CKM_SHA256_RSA_PKCS), CKF_VERIFY, 0, 0, 0, rsa_public_group,
     rsa_pkcs1_test},
    {"rsa_signature_2048_sha512", MECH(CKM_SHA512_RSA_PKCS), CKF_VERIFY, 0, 0, 0, rsa_public_group,
     rsa_pkcs1_test},
    {"x25519", MECH(CKM_ECDH1_DERIVE), CKF_DERIVE, 0, 0, 0, NULL, xdh_test},
    /* Not in issue 2. Each is skipped until its mechanism is there, then it demands a function. */
    {"chacha20_poly1305", MECH(CKM_CHACHA20_POLY1305), ENC, 0, 0, 0, NULL, NULL},
    {"hkdf_sha256", MECH(CKM_HKDF_DERIVE), CKF_DERIVE, 0, 0, 0, NULL, NULL},
    {"mldsa_65_verify", MECH(CKM_ML_DSA), CKF_VERIFY, 0, 0, 0, NULL, NULL},
    {"mlkem_768", MECH(CKM_ML_KEM), CKF_DECAPSULATE, 0, 0, 0, NULL, NULL},
    {"pbkdf2_hmacsha256", MECH(CKM_PKCS5_PBKD2), CKF_GENERATE, 0, 0, 0, NULL, NULL},
};
const size_t vector_family_count = COUNT_OF(vector_families);

/* The standard takes r and s of any equal length up to the order's, for verification. */
#define SHORT_ECDSA "r and s right but shorter than the order: the standard allows it"

/* Verdicts that differ from the file's, each with its reason. */
static const struct difference {
    const char *file;
    json_int_t tc;
    enum outcome expected;
    const char *reason;
} differences[] = {
    {"aes_gcm", 268, REFUSED, "an IV of 257 bytes: OpenSSL 3 takes 128 at most"},
    {"aes_gcm", 272, REFUSED, "an IV of 257 bytes: OpenSSL 3 takes 128 at most"},
    {"aes_gcm", 276, REFUSED, "an IV of 257 bytes: OpenSSL 3 takes 128 at most"},
    {"aes_wrap", 21, ACCEPTED, "20 bytes: the standard pads a secret key with zeros to fit"},
    {"aes_wrap", 63, ACCEPTED, "20 bytes: the standard pads a secret key with zeros to fit"},
    {"aes_wrap", 118, ACCEPTED, "20 bytes: the standard pads a secret key with zeros to fit"},
    {"ecdsa_secp256r1_sha256_p1363", 121, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp256r1_sha256_p1363", 123, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp256r1_sha256_p1363", 125, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp256r1_sha256_p1363", 127, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp256r1_sha256_p1363", 129, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp256r1_sha256_p1363", 131, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp256r1_sha256_p1363", 133, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp256r1_sha256_p1363", 135, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp256r1_sha256_p1363", 145, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp256r1_sha256_p1363", 147, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp256r1_sha256_p1363", 149, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp256r1_sha256_p1363", 151, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp384r1_sha384_p1363", 153, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp384r1_sha384_p1363", 155, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp384r1_sha384_p1363", 157, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp384r1_sha384_p1363", 159, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp384r1_sha384_p1363", 161, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp384r1_sha384_p1363", 163, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp384r1_sha384_p1363", 173, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp384r1_sha384_p1363", 175, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp384r1_sha384_p1363", 177, ACCEPTED, SHORT_ECDSA},
    {"ecdsa_secp384r1_sha384_p1363", 179, ACCEPTED, SHORT_ECDSA},
};

struct counts {
    unsigned valid_passed, invalid_refused, acceptable_accepted, acceptable_refused;
    unsigned listed, not_run, failed;
};

static const struct difference *difference_of(const struct vector_run *run)
{
    json_int_t tc = json_integer_value(json_object_get(run->test, "tcId"));
    for (size_t i = 0; i < COUNT_OF(differences); i++) {
        const struct difference *d = &differences[i];
        if (!strcmp(d->file, run->family->file) && d->tc == tc)
            return d;
    }
    return NULL;
}

/* A refusal must be the standard's word about the input, not a fault of the module's own. */
static bool refusal_is_fault(const struct vector_run *run)
{
    return run->h->kind == HARNESS_REPRIEVE &&
           (run->rv == CKR_GENERAL_ERROR || run->rv == CKR_DEVICE_ERROR ||
            run->rv == CKR_HOST_MEMORY || run->rv == CKR_FUNCTION_NOT_SUPPORTED);
}

static void report_failure(const struct vector_run *run, enum outcome outcome)
{
    static const char *const words[] = {"accepted", "refused", "wrong output", "not run"};
    printf("# tcId %lld, %s, %s: %s by %s", json_integer_value(json_object_get(run->test, "tcId")),
           field_text(run, "result"), field_text(run, "comment"), words[outcome], run->step);
    if (outcome == REFUSED)
        printf(" with %s", ckr_name(run->rv));
    putchar('\n');
}

static void verdict_count(struct vector_run *run, enum outcome outcome, struct counts *counts)
{
    const struct difference *d = difference_of(run);
    const char *result = field_text(run, "result");
    bool fault = outcome == REFUSED && refusal_is_fault(run);
    if (outcome == NOT_RUN)
        counts->not_run++;
    else if (d && outcome == d->expected && !fault)
        counts->listed++;
    else if (!d && !strcmp(result, "valid") && outcome == ACCEPTED)
        counts->valid_passed++;
    else if (!d && !strcmp(result, "invalid") && outcome == REFUSED && !fault)
        counts->invalid_refused++;
    else if (!d && !strcmp(result, "acceptable") && outcome == ACCEPTED)
        counts->acceptable_accepted++;
    else if (!d && !strcmp(result, "acceptable") && outcome == REFUSED && !fault)
        counts->acceptable_refused++;
    else if (++counts->failed <= 10)
        report_failure(run, outcome);
}

static void group_run(struct vector_run *run, struct counts *counts)
{
    size_t i;
    json_t *test;
    CK_RV rv = CKR_OK;
    run->test = NULL;
    run->key = CK_INVALID_HANDLE;
    if (run->family->group)
        rv = run->family->group(run);
    json_array_foreach (json_object_get(run->group, "tests"), i, test) {
        run->test = test;
        run->rv = CKR_OK;
        run->step = "the test";
        enum outcome outcome = rv == CKR_OK ? run->family->test(run)
                                            : run_refused(run, "C_CreateObject of the group", rv);
        verdict_count(run, outcome, counts);
    }
    if (run->family->group)
        key_destroy(run, run->key);
}

static struct counts file_run(struct vector_run *run, json_t *root)
{
    struct counts counts = {0};
    size_t i;
    json_t *group;
    json_array_foreach (json_object_get(root, "testGroups"), i, group) {
        run->group = group;
        group_run(run, &counts);
    }
    return counts;
}

static bool family_tap(struct vector_run *run, size_t number, json_t *root)
{
    struct counts n = file_run(run, root);
    printf("%sok %zu - %s with %s: %u valid passed, %u invalid refused, "
           "%u acceptable accepted, %u acceptable refused",
           n.failed ? "not " : "", number, run->family->file, run->family->mech_name,
           n.valid_passed, n.invalid_refused, n.acceptable_accepted, n.acceptable_refused);
    if (n.listed)
        printf(", %u differ as listed", n.listed);
    if (n.not_run)
        printf(", %u not run (a mechanism is missing)", n.not_run);
    if (n.failed)
        printf(", %u failed", n.failed);
    putchar('\n');
    return n.failed == 0;
}

static void differences_print(const char *file)
{
    for (size_t i = 0; i < COUNT_OF(differences); i++) {
        const struct difference *d = &differences[i];
        if (!strcmp(d->file, file))
            printf("# listed: tcId %lld: %s\n", d->tc, d->reason);
    }
}

static bool family_run(struct vector_run *run, const char *dir, size_t number)
{
    const struct vector_family *family = run->family;
    char path[4096];
    json_error_t error;
    if (!harness_mechanism(run->h, family->mech, family->flags)) {
        printf("ok %zu - %s # SKIP no mechanism %s\n", number, family->file, family->mech_name);
        return true;
    }
    if (!family->test) {
        bool owed = run->h->kind == HARNESS_REPRIEVE;
        printf("%sok %zu - %s # %s%s is there, but vectors.c has no function for it\n",
               owed ? "not " : "", number, family->file, owed ? "" : "SKIP ", family->mech_name);
        return !owed;
    }
    snprintf(path, sizeof path, "%s/%s_test.json", dir, family->file);
    json_t *root = json_load_file(path, 0, &error);
    if (!root) {
        printf("not ok %zu - %s: %s\n", number, path, error.text);
        return false;
    }
    bool passed = family_tap(run, number, root);
    differences_print(family->file);
    json_decref(root);
    return passed;
}

static bool wanted(const char *file, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strstr(file, argv[i]))
            return true;
    return argc < 2;
}

static const char *vectors_dir(void)
{
    static char dir[2048];
    const char *shared = getenv("SHARED");
    snprintf(dir, sizeof dir, "%s/vectors/wycheproof", shared ? shared : "../shared");
    return access(dir, R_OK) == 0 ? dir : NULL;
}

int main(int argc, char **argv)
{
    struct harness h;
    const char *dir = vectors_dir();
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!dir) {
        printf("1..0 # SKIP no vectors: set SHARED to the directory that holds vectors/\n");
        return 0;
    }
    harness_init(&h, NULL);
    struct vector_run run = {.h = &h, .session = harness_start(&h)};
    size_t number = 0;
    bool passed = true;
    for (size_t i = 0; i < vector_family_count; i++) {
        run.family = &vector_families[i];
        if (wanted(run.family->file, argc, argv))
            passed &= family_run(&run, dir, ++number);
    }
    printf("1..%zu\n", number);
    harness_done(&h);
    return passed ? 0 : 1;
}
