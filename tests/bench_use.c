/*
 * What the record of uses costs: the same work with a session key, whose uses are nobody's affair,
 * with a token's key whose uses are counted, and with one of a vault that logs every single use, in
 * turn within one run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "reprieve.h"

#define ROUNDS 15u

enum book { BOOK_NONE, BOOK_COUNTED, BOOK_EACH, BOOKS };

struct books {
    struct harness h;
    CK_SLOT_ID each_slot;
    CK_SESSION_HANDLE sessions[BOOKS];
    CK_OBJECT_HANDLE rsa[BOOKS], aes[BOOKS];
};

static void keys_make(struct books *b, enum book book)
{
    CK_BBOOL token = book != BOOK_NONE;
    CK_BYTE exponent[] = {1, 0, 1};
    CK_OBJECT_HANDLE public;
    CK_MECHANISM rsa = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0}, aes = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE rsa_public[] = {ATTR_ULONG(CKA_MODULUS_BITS, 2048),
                                 ATTR_BYTES(CKA_PUBLIC_EXPONENT, exponent, sizeof exponent)};
    CK_ATTRIBUTE rsa_private[] = {ATTR_VAR(CKA_TOKEN, token), ATTR_TRUE(CKA_SIGN)};
    CK_ATTRIBUTE secret[] = {ATTR_VAR(CKA_TOKEN, token), ATTR_TRUE(CKA_ENCRYPT),
                             ATTR_ULONG(CKA_VALUE_LEN, 32)};
    OK(b->h.f->C_GenerateKeyPair(b->sessions[book], &rsa, rsa_public, COUNT_OF(rsa_public),
                                 rsa_private, COUNT_OF(rsa_private), &public, &b->rsa[book]));
    OK(b->h.f->C_GenerateKey(b->sessions[book], &aes, secret, COUNT_OF(secret), &b->aes[book]));
}

static void books_open(struct books *b)
{
    CK_INTERFACE_PTR interface;
    struct RPV_POLICY policy;
    harness_init(&b->h, NULL);
    harness_load(&b->h);
    harness_token(&b->h);
    OK(b->h.f3->C_GetInterface((CK_UTF8CHAR_PTR)RPV_INTERFACE_NAME, NULL, &interface, 0));
    const struct RPV_FUNCTION_LIST *rpv = interface->pFunctionList;
    OK(rpv->RPV_GetPolicy(b->h.slot, &policy));
    policy.ulAuditUse = 1;
    OK(rpv->RPV_CreateVault((CK_UTF8CHAR_PTR)HARNESS_SO_PIN, strlen(HARNESS_SO_PIN),
                            (CK_UTF8CHAR_PTR)"each                            ", &policy,
                            &b->each_slot));
    for (int book = 0; book < BOOKS; book++) {
        CK_SLOT_ID slot = book == BOOK_EACH ? b->each_slot : b->h.slot;
        OK(b->h.f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                 &b->sessions[book]));
    }
    harness_login(&b->h, b->sessions[BOOK_EACH], CKU_SO);
    OK(b->h.f->C_InitPIN(b->sessions[BOOK_EACH], (CK_UTF8CHAR_PTR)HARNESS_USER_PIN,
                         strlen(HARNESS_USER_PIN)));
    OK(b->h.f->C_Logout(b->sessions[BOOK_EACH]));
    harness_login(&b->h, b->sessions[BOOK_COUNTED], CKU_USER);
    harness_login(&b->h, b->sessions[BOOK_EACH], CKU_USER);
    for (int book = 0; book < BOOKS; book++)
        keys_make(b, (enum book)book);
}

static void sign_once(struct books *b, enum book book)
{
    CK_MECHANISM mech = {CKM_SHA256_RSA_PKCS, NULL, 0};
    CK_BYTE data[32] = {0}, sig[256];
    CK_ULONG len = sizeof sig;
    OK(b->h.f->C_SignInit(b->sessions[book], &mech, b->rsa[book]));
    OK(b->h.f->C_Sign(b->sessions[book], data, sizeof data, sig, &len));
}

static void seal_once(struct books *b, enum book book)
{
    static uint64_t serial;
    CK_BYTE iv[12] = {0}, data[16] = {0}, out[64];
    CK_GCM_PARAMS params = {
        .pIv = iv, .ulIvLen = sizeof iv, .ulIvBits = 8 * sizeof iv, .ulTagBits = 128};
    CK_MECHANISM mech = {CKM_AES_GCM, &params, sizeof params};
    CK_ULONG len = sizeof out;
    serial++;
    memcpy(iv, &serial, sizeof serial);
    OK(b->h.f->C_EncryptInit(b->sessions[book], &mech, b->aes[book]));
    OK(b->h.f->C_Encrypt(b->sessions[book], data, sizeof data, out, &len));
}

static double slice_run(struct books *b, void (*once)(struct books *, enum book), enum book book,
                        unsigned long times)
{
    double begin = bench_now();
    for (unsigned long i = 0; i < times; i++)
        once(b, book);
    return bench_now() - begin;
}

/* How much longer a book takes than none: the median of the rounds. */
static double cost(struct books *b, void (*once)(struct books *, enum book), enum book book,
                   double seconds)
{
    double ratios[ROUNDS];
    unsigned long times = 64;
    while (slice_run(b, once, BOOK_NONE, times) < seconds / 4)
        times *= 2;
    times *= 4;
    for (unsigned r = 0; r < ROUNDS; r++) {
        double none = slice_run(b, once, BOOK_NONE, times);
        ratios[r] = slice_run(b, once, book, times) / none;
    }
    return (bench_median(ratios, ROUNDS) - 1) * 100;
}

void use_bench(double seconds)
{
    static const struct {
        const char *title;
        void (*once)(struct books *, enum book);
        enum book book;
        double target;
    } rows[] = {
        {"uses counted, RSA-2048 sign", sign_once, BOOK_COUNTED, 3},
        {"uses counted, AES-GCM encrypt 16 bytes", seal_once, BOOK_COUNTED, 10},
        {"every use logged, RSA-2048 sign", sign_once, BOOK_EACH, 10},
        {"every use logged, AES-GCM 16 bytes", seal_once, BOOK_EACH, 0},
    };
    struct books *b = calloc(1, sizeof *b);
    CHECK(b != NULL);
    books_open(b);
    printf("\nThe record of uses, against keys whose uses are not recorded\n");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        double percent = cost(b, rows[i].once, rows[i].book, seconds / (2 * ROUNDS * COUNT_OF(rows)));
        printf("  %-40s %+8.1f %%", rows[i].title, percent);
        if (rows[i].target > 0)
            printf("   at most %g: %s", rows[i].target,
                   percent <= rows[i].target ? "reached" : "NOT REACHED");
        putchar('\n');
        fflush(stdout);
    }
    harness_done(&b->h);
    free(b);
}
