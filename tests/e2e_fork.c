/*
 * Fork, exit, finalise, unload, in the orders that real hosts do it: a fork amid the work of other
 * threads, a process that ends without C_Finalize, one that calls it from an exit handler before or
 * after libcrypto's own, a module unloaded and loaded again.
 */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "harness.h"

#define THREADS 4

static unsigned rounds(unsigned usual)
{
    return getenv("REPRIEVE_VARIANT") != NULL ? usual / 10 + 1 : usual;
}

static unsigned hang_seconds(void)
{
    return getenv("REPRIEVE_VARIANT") != NULL ? 120 : 10;
}

/* ---------------------------------------------------------------- a key pair on the token */

static CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

static void make_pair(struct harness *h, CK_SESSION_HANDLE session)
{
    CK_ATTRIBUTE public[] = {ATTR_TRUE(CKA_TOKEN), ATTR_TRUE(CKA_VERIFY),
                             ATTR_VAR(CKA_EC_PARAMS, p256), ATTR_STR(CKA_LABEL, "signer")};
    CK_ATTRIBUTE private[] = {ATTR_TRUE(CKA_TOKEN), ATTR_TRUE(CKA_SIGN),
                              ATTR_STR(CKA_LABEL, "signer")};
    CK_MECHANISM gen = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_OBJECT_HANDLE pub, priv;
    OK(h->f->C_GenerateKeyPair(session, &gen, public, COUNT_OF(public), private, COUNT_OF(private),
                               &pub, &priv));
}

static CK_OBJECT_HANDLE signer(struct harness *h, CK_SESSION_HANDLE session, CK_OBJECT_CLASS cls)
{
    CK_ATTRIBUTE wanted[] = {ATTR_VAR(CKA_CLASS, cls), ATTR_STR(CKA_LABEL, "signer")};
    CK_OBJECT_HANDLE key = harness_find(h, session, wanted, COUNT_OF(wanted));
    CHECK(key != CK_INVALID_HANDLE);
    return key;
}

static CK_RV sign_once(struct harness *h, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
                       CK_BYTE sig[64])
{
    CK_MECHANISM ecdsa = {CKM_ECDSA, NULL, 0};
    CK_BYTE hash[32] = {7};
    CK_ULONG len = 64;
    CK_RV rv = h->f->C_SignInit(session, &ecdsa, key);
    return rv == CKR_OK ? h->f->C_Sign(session, hash, sizeof(hash), sig, &len) : rv;
}

static void verify_once(struct harness *h, CK_SESSION_HANDLE session, CK_BYTE sig[64])
{
    CK_MECHANISM ecdsa = {CKM_ECDSA, NULL, 0};
    CK_BYTE hash[32] = {7};
    OK(h->f->C_VerifyInit(session, &ecdsa, signer(h, session, CKO_PUBLIC_KEY)));
    OK(h->f->C_Verify(session, hash, sizeof(hash), sig, 64));
}

/* What nginx and sshd do in a child: open, log in, find, sign, with the slot id they know. */
static void work(struct harness *h)
{
    CK_BYTE sig[64];
    CK_SESSION_HANDLE session = harness_session(h, 0);
    harness_login(h, session, CKU_USER);
    OK(sign_once(h, session, signer(h, session, CKO_PRIVATE_KEY), sig));
    verify_once(h, session, sig);
}

/* A token with a key pair; the module is loaded and logged in as the caller leaves it. */
static CK_SESSION_HANDLE start(struct harness *h)
{
    harness_init(h, NULL);
    CK_SESSION_HANDLE session = harness_start(h);
    make_pair(h, session);
    return session;
}

/* ---------------------------------------------------------------- fork amid threads */

struct crowd {
    struct harness *h;
    pthread_t ids[THREADS];
    atomic_bool stop;
    atomic_ulong signatures, failures;
};

static void *crowd_member(void *ctx)
{
    struct crowd *c = ctx;
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
    CK_BYTE sig[64];
    if (c->h->f->C_OpenSession(c->h->slot, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK) {
        atomic_fetch_add(&c->failures, 1);
        return NULL;
    }
    while (!atomic_load(&c->stop)) {
        CK_OBJECT_HANDLE key = signer(c->h, session, CKO_PRIVATE_KEY);
        atomic_fetch_add(sign_once(c->h, session, key, sig) == CKR_OK ? &c->signatures
                                                                     : &c->failures, 1);
    }
    c->h->f->C_CloseSession(session);
    return NULL;
}

static void crowd_start(struct crowd *c, struct harness *h)
{
    memset(c, 0, sizeof(*c));
    c->h = h;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&c->ids[i], NULL, crowd_member, c) == 0);
}

static void crowd_stop(struct crowd *c)
{
    atomic_store(&c->stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(c->ids[i], NULL);
    assert_int_equal(atomic_load(&c->failures), 0);
}

struct child {
    struct harness *h;
    CK_SESSION_HANDLE inherited;
    unsigned round;
};

/* TSan knows of no new threads in a child of a process that had some. */
static void child_initialize(struct harness *h)
{
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    const char *variant = getenv("REPRIEVE_VARIANT");
    if (variant != NULL && strcmp(variant, "tsan") == 0)
        args.flags |= CKF_LIBRARY_CANT_CREATE_OS_THREADS;
    OK(h->f->C_Initialize(&args));
}

static int grandchild(void *ctx)
{
    struct child *c = ctx;
    CK_INFO info;
    alarm(hang_seconds());
    EXPECT(c->h->f->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
    child_initialize(c->h);
    work(c->h);
    return 0;
}

static int child(void *ctx)
{
    struct child *c = ctx;
    struct harness *h = c->h;
    CK_INFO info;
    CK_SESSION_INFO session_info;
    CK_ULONG count = 0;
    alarm(hang_seconds());
    EXPECT(h->f->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(h->f->C_GetSlotList(CK_TRUE, NULL, &count), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(h->f->C_GetSessionInfo(c->inherited, &session_info), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(h->f->C_CloseSession(c->inherited), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(h->f->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    child_initialize(h);
    EXPECT(h->f->C_GetSessionInfo(c->inherited, &session_info), CKR_SESSION_HANDLE_INVALID);
    work(h);
    if (c->round % 10 == 0)
        CHECK(fork_run(grandchild, c) == 0);
    if (c->round % 2 == 0)
        OK(h->f->C_Finalize(NULL));
    return 0;
}

static void fork_amid_threads(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip();   /* ASan's own allocator may be locked in the child; glibc's is not */
#endif
    const char *variant = getenv("REPRIEVE_VARIANT");
    if (variant != NULL && strcmp(variant, "valgrind") == 0)
        skip();   /* what other threads of the parent had in hand is lost in the child */
    struct harness h;
    struct crowd crowd;
    CK_BYTE sig[64];
    CK_SESSION_HANDLE session = start(&h);
    CK_OBJECT_HANDLE key = signer(&h, session, CKO_PRIVATE_KEY);
    crowd_start(&crowd, &h);
    for (unsigned i = 0; i < rounds(50); i++) {
        unsigned long before = atomic_load(&crowd.signatures);
        struct child c = {&h, session, i};
        int status = fork_run(child, &c);
        if (status != 0)
            harness_fail(__FILE__, __LINE__, "round %u: the child ended with %d%s", i, status,
                         status == 128 + 14 ? ": it hung" : "");
        /* The parent's login and handles are as they were, and its threads go on. */
        OK(sign_once(&h, session, key, sig));
        while (atomic_load(&crowd.signatures) == before && atomic_load(&crowd.failures) == 0)
            usleep(1000);
    }
    crowd_stop(&crowd);
    verify_once(&h, session, sig);
    harness_done(&h);
}

/* Allocates and frees all over, and ends OpenSSL. */
static int small_child(void *ctx)
{
    void *blocks[64];
    (void)ctx;
    alarm(hang_seconds());
    for (size_t size = 16; size <= 65536; size += size / 4) {
        for (size_t i = 0; i < COUNT_OF(blocks); i++)
            CHECK((blocks[i] = malloc(size)) != NULL);
        for (size_t i = 0; i < COUNT_OF(blocks); i++)
            free(blocks[i]);
    }
    return 0;
}

/* A host without threads forks as it likes, also while the module's own writes uses to the log. */
static void fork_amid_own_thread(void **state)
{
    (void)state;
    struct harness h;
    CK_BYTE sig[64];
    CK_SESSION_HANDLE session = start(&h);
    CK_OBJECT_HANDLE key = signer(&h, session, CKO_PRIVATE_KEY);
    for (unsigned i = 0; i < rounds(40) / 10 + 2; i++) {
        OK(sign_once(&h, session, key, sig));
        usleep(990000);
        for (unsigned forks = 0; forks < rounds(50); forks++) {
            int status = fork_run(small_child, NULL);
            if (status != 0)
                harness_fail(__FILE__, __LINE__, "fork %u: the child ended with %d%s", forks,
                             status, status == 128 + 14 ? ": it hung" : "");
        }
    }
    harness_done(&h);
}

/* ---------------------------------------------------------------- the end of a process */

static struct harness *at_exit;

static void finalize_at_exit(void)
{
    CK_INFO info;
    at_exit->f->C_Finalize(NULL);
    /* A late call is answered, whatever has been torn down by now. */
    if (at_exit->f->C_GetInfo(&info) != CKR_CRYPTOKI_NOT_INITIALIZED)
        _exit(3);
}

static void call_at_exit(void)
{
    CK_BYTE byte;
    CK_INFO info;
    CK_ULONG count = 0;
    at_exit->f->C_GetInfo(&info);
    at_exit->f->C_GetSlotList(CK_TRUE, NULL, &count);
    at_exit->f->C_GenerateRandom(1, &byte, 1);
}

/* One row per order of the end; handlers run in the reverse order of their registration. */
static const struct ending {
    const char *name;
    void (*before_load)(void); /* runs after libcrypto's handler */
    void (*after_load)(void);  /* runs before it */
    bool finalize;
} endings[] = {
    {"nothing", NULL, NULL, false},
    {"C_Finalize", NULL, NULL, true},
    {"C_Finalize in a handler before libcrypto's", NULL, finalize_at_exit, false},
    {"C_Finalize in a handler after libcrypto's", finalize_at_exit, NULL, false},
    {"C_Finalize, then again in a handler", finalize_at_exit, NULL, true},
    {"calls in a handler before libcrypto's", NULL, call_at_exit, false},
    {"calls in a handler after libcrypto's", call_at_exit, NULL, false},
};

struct end_job {
    struct harness *h;
    const struct ending *ending;
};

static int end(void *ctx)
{
    struct end_job *job = ctx;
    struct harness *h = at_exit = job->h;
    alarm(hang_seconds());
    if (job->ending->before_load)
        atexit(job->ending->before_load);
    harness_load(h);
    if (job->ending->after_load)
        atexit(job->ending->after_load);
    harness_slot(h);
    work(h);
    /* and with an operation under way */
    CK_MECHANISM sha256 = {CKM_SHA256, NULL, 0};
    CK_SESSION_HANDLE session = harness_session(h, 0);
    OK(h->f->C_DigestInit(session, &sha256));
    if (job->ending->finalize)
        OK(h->f->C_Finalize(NULL));
    return 0;
}

static int make_token(void *ctx)
{
    struct harness *h = ctx;
    make_pair(h, harness_start(h));
    harness_unload(h);
    return 0;
}

/* Each in a process that has not loaded the module before. */
static void every_end_of_a_process(void **state)
{
    (void)state;
    struct harness h;
    harness_init(&h, NULL);
    assert_int_equal(fork_run(make_token, &h), 0);
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        int status = fork_run(end, &(struct end_job){&h, &endings[i]});
        if (status != 0)
            harness_fail(__FILE__, __LINE__, "%s: ended with %d", endings[i].name, status);
    }
    harness_done(&h);
}

/* ---------------------------------------------------------------- again and again */

static size_t open_files(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir != NULL);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void unload_and_load_again(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    harness_unload(&h);
    for (unsigned i = 0; i < rounds(20); i++) {
        harness_load(&h);
        work(&h);
        harness_unload(&h);
    }
    harness_done(&h);
}

static void *work_in_thread(void *ctx)
{
    struct harness *h = ctx;
    CK_BYTE sig[64];
    CK_SESSION_HANDLE session = harness_session(h, 0);
    OK(sign_once(h, session, signer(h, session, CKO_PRIVATE_KEY), sig));
    OK(h->f->C_CloseSession(session));
    return NULL;
}

/* LMDB has 126 reader slots by default, one for each thread that is not given back. */
static void initialize_many_times(void **state)
{
    (void)state;
    struct harness h;
    pthread_t thread;
    start(&h);
    OK(h.f->C_Finalize(NULL));
    size_t files = 0;
    for (unsigned i = 0; i < rounds(200); i++) {
        OK(h.f->C_Initialize(NULL));
        work(&h);
        CHECK(pthread_create(&thread, NULL, work_in_thread, &h) == 0);
        pthread_join(thread, NULL);
        OK(h.f->C_Finalize(NULL));
        if (i == 0)
            files = open_files();
    }
    assert_int_equal(open_files(), files);
    OK(h.f->C_Initialize(NULL));
    harness_done(&h);
}

static void many_short_threads(void **state)
{
    (void)state;
    struct harness h;
    pthread_t thread;
    start(&h);
    size_t files = open_files();
    for (unsigned i = 0; i < rounds(300); i++) {
        CHECK(pthread_create(&thread, NULL, work_in_thread, &h) == 0);
        pthread_join(thread, NULL);
    }
    assert_int_equal(open_files(), files);
    harness_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_of_a_process), cmocka_unit_test(fork_amid_threads),
        cmocka_unit_test(fork_amid_own_thread),
        cmocka_unit_test(unload_and_load_again),  cmocka_unit_test(initialize_many_times),
        cmocka_unit_test(many_short_threads),
    };
    return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
