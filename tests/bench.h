/*
 * The benchmark: the same work on raw OpenSSL (or a raw disk), on Reprieve and on SoftHSM2.
 *
 * A row of the work table has one function for the raw side and one for the token sides; the
 * runner interleaves the sides in short rounds and compares each round with the raw side's round
 * beside it, so that a machine that slows down slows down everybody.
 */
#ifndef BENCH_H
#define BENCH_H

#include <openssl/evp.h>

#include "harness.h"

#define BENCH_MESSAGE_MAX (64 * 1024)
#define BENCH_THREADS_MAX 8

enum side_id { SIDE_RAW, SIDE_REPRIEVE, SIDE_SOFTHSM, SIDE_COUNT };

/* What all sides work on. */
struct bench_keys {
    OSSL_LIB_CTX *lib;
    EVP_PKEY *rsa, *ec;
    EVP_CIPHER *wrap, *gcm;
    EVP_MD *sha1, *sha256;
    CK_BYTE kek[32], data[32];
    CK_BYTE wrapped_kw[40];
    CK_BYTE wrapped_oaep_sha1[256], wrapped_oaep_sha256[256];
    CK_BYTE hash[32], digest_info[51];
    CK_BYTE message[BENCH_MESSAGE_MAX];
};

/* A thread's own things. */
struct lane {
    CK_SESSION_HANDLE session;
    uint64_t serial; /* of this lane's messages and pages; makes fresh IVs and ids */
    CK_BYTE out[BENCH_MESSAGE_MAX + 64];
};

struct side {
    enum side_id id;
    const char *name;
    bool present;
    const struct bench_keys *keys;
    struct harness h;
    CK_OBJECT_HANDLE rsa, ec, kek, gcm, data;
    int page_fd; /* the raw side's preallocated file, on the store's file system */
    struct lane *lanes[BENCH_THREADS_MAX];
};

/* Once: one piece of work. CKR_OK, or why the side cannot do it. */
typedef CK_RV (*work_fn)(struct side *side, struct lane *lane);

struct work {
    const char *name;
    const char *title;
    double target; /* the ratio to reach; 0: shown for comparison only */
    unsigned threads;
    work_fn raw, token;
};

extern const struct work bench_works[];
extern const size_t bench_work_count;

void bench_keys_init(struct bench_keys *keys);
void bench_keys_done(struct bench_keys *keys);
void raw_side_init(struct side *side, const struct bench_keys *keys);
void raw_side_done(struct side *side);
void token_side_init(struct side *side, enum side_id id, const struct bench_keys *keys);
void token_side_done(struct side *side);

CK_RV raw_rsa_sign(struct side *side, struct lane *lane);
CK_RV raw_rsa_sha256_sign(struct side *side, struct lane *lane);
CK_RV raw_oaep_sha1(struct side *side, struct lane *lane);
CK_RV raw_oaep_sha256(struct side *side, struct lane *lane);
CK_RV raw_ecdsa_sign(struct side *side, struct lane *lane);
CK_RV raw_kw_wrap(struct side *side, struct lane *lane);
CK_RV raw_kw_unwrap(struct side *side, struct lane *lane);
CK_RV raw_gcm_16(struct side *side, struct lane *lane);
CK_RV raw_gcm_64k(struct side *side, struct lane *lane);
CK_RV raw_page(struct side *side, struct lane *lane);

CK_RV token_rsa_sign(struct side *side, struct lane *lane);
CK_RV token_rsa_sha256_sign(struct side *side, struct lane *lane);
CK_RV token_oaep_sha1(struct side *side, struct lane *lane);
CK_RV token_oaep_sha256(struct side *side, struct lane *lane);
CK_RV token_ecdsa_sign(struct side *side, struct lane *lane);
CK_RV token_kw_wrap(struct side *side, struct lane *lane);
CK_RV token_kw_unwrap(struct side *side, struct lane *lane);
CK_RV token_gcm_16(struct side *side, struct lane *lane);
CK_RV token_gcm_64k(struct side *side, struct lane *lane);
CK_RV token_create(struct side *side, struct lane *lane);

double bench_now(void); /* seconds, monotonic */
double bench_median(double *values, size_t n); /* sorts them */

/* --- what the record of uses costs (bench_use.c); prints --- */
void use_bench(double seconds);

/* --- the large vault (bench_vault.c) --- */

#define PROBE_ARGUMENT "--probe"

/* What a fresh process found out; microseconds and KiB. */
struct probe {
    double start, login, find_and_use, find_id, find_label, rss_anon;
};

struct vault_result {
    bool present;
    unsigned long keys; /* in the large vault */
    double fill_seconds;
    struct probe empty, small, large;
};

/* Fills vaults of 0, 10 and `keys` keys and probes them `runs` times each, in turn. */
void vault_bench(enum harness_kind kind, unsigned long keys, unsigned runs,
                 struct vault_result *ret_result);
/* main of the fresh process: argv is PROBE_ARGUMENT, kind, conf, keys. */
int vault_probe_main(char **argv);

#endif
