/*
 * Several processes at once: a delete revokes within one call everywhere, and of any number that
 * delete, or recover and purge, the same object, exactly one succeeds.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "promise.h"

#define RACERS 4

static const char UNPROTECTED[] = "purge_protection = no\n";

static unsigned rounds(unsigned usual)
{
    if (getenv("REPRIEVE_LONG") != NULL)
        return usual * 100;
    return getenv("REPRIEVE_VARIANT") != NULL ? usual / 10 + 1 : usual;
}

static int make_token(void *ctx)
{
    struct harness *h = ctx;
    harness_start(h);
    harness_unload(h);
    return 0;
}

static CK_SESSION_HANDLE join(struct harness *h)
{
    harness_load(h);
    harness_slot(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    return session;
}

/* ---------------------------------------------------------------- delete while another uses it */

struct revoke {
    struct harness *h;
    struct lockstep ls;
};

static CK_OBJECT_HANDLE one(struct harness *h, CK_SESSION_HANDLE session, const char *label)
{
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CHECK(promise_find(h, session, label, false, &key, 1) == 1);
    return key;
}

static CK_OBJECT_HANDLE sign_pair(struct harness *h, CK_SESSION_HANDLE session)
{
    CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    CK_ATTRIBUTE public[] = {ATTR_TRUE(CKA_TOKEN), ATTR_VAR(CKA_EC_PARAMS, p256),
                             ATTR_STR(CKA_LABEL, "signer")};
    CK_ATTRIBUTE private[] = {ATTR_TRUE(CKA_TOKEN), ATTR_TRUE(CKA_SIGN),
                              ATTR_STR(CKA_LABEL, "signer")};
    CK_MECHANISM gen = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_OBJECT_HANDLE pub, priv;
    OK(h->f->C_GenerateKeyPair(session, &gen, public, COUNT_OF(public), private, COUNT_OF(private),
                               &pub, &priv));
    return priv;
}

/* The user of the keys: three operations under way when the other process deletes them. */
static int revoked_user(void *ctx)
{
    struct revoke *r = ctx;
    struct harness *h = r->h;
    lockstep_child(&r->ls);
    CK_SESSION_HANDLE session = join(h), second = harness_session_rw(h);
    CK_OBJECT_HANDLE signer = harness_find(
        h, session, (CK_ATTRIBUTE[]){ATTR_ULONG(CKA_CLASS, CKO_PRIVATE_KEY)}, 1);
    CK_OBJECT_HANDLE cipher = one(h, session, "cipher");
    CK_MECHANISM sign = {CKM_ECDSA_SHA256, NULL, 0};
    CK_BYTE iv[16] = {0}, data[32] = {1}, out[128];
    CK_MECHANISM cbc = {CKM_AES_CBC, iv, sizeof(iv)};
    CK_ULONG len = sizeof(out);
    OK(h->f->C_SignInit(session, &sign, signer));
    OK(h->f->C_SignUpdate(session, data, sizeof(data)));
    OK(h->f->C_EncryptInit(session, &cbc, cipher));
    OK(h->f->C_EncryptUpdate(session, data, sizeof(data), out, &len));
    OK(h->f->C_SignInit(second, &sign, signer));
    lockstep_tell(&r->ls);
    lockstep_wait(&r->ls);

    /* One call after the delete was acknowledged: nothing of them works. */
    len = sizeof(out);
    CK_RV rv = h->f->C_SignUpdate(session, data, sizeof(data));
    if (rv == CKR_OK)
        harness_fail(__FILE__, __LINE__, "signing went on with a deleted key");
    EXPECT(h->f->C_SignFinal(session, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    len = sizeof(out);
    rv = h->f->C_EncryptUpdate(session, data, sizeof(data), out, &len);
    CHECK(rv != CKR_OK);
    len = sizeof(out);
    rv = h->f->C_Sign(second, data, sizeof(data), out, &len);
    CHECK(rv != CKR_OK);
    EXPECT(h->f->C_SignInit(session, &sign, signer), CKR_KEY_HANDLE_INVALID);
    EXPECT(h->f->C_EncryptInit(session, &cbc, cipher), CKR_KEY_HANDLE_INVALID);
    lockstep_tell(&r->ls);
    lockstep_wait(&r->ls);

    /* Recovered by the other process: found anew, with a new handle, and it works. */
    CK_OBJECT_HANDLE again = one(h, session, "cipher");
    CHECK(again != cipher);
    OK(promise_use(h, session, again, out));
    EXPECT(h->f->C_EncryptInit(session, &cbc, cipher), CKR_KEY_HANDLE_INVALID);
    harness_unload(h);
    return 0;
}

static void delete_revokes_within_one_call(void **state)
{
    (void)state;
    struct harness h;
    struct revoke r = {.h = &h};
    harness_init(&h, NULL);
    CHECK(fork_run(make_token, &h) == 0);
    lockstep_init(&r.ls);

    struct harness mine = h;
    CK_SESSION_HANDLE session = join(&mine);
    CK_OBJECT_HANDLE signer = sign_pair(&mine, session);
    OK(promise_create(&mine, session, "cipher", 0xc1));
    harness_unload(&mine);

    pid_t pid = fork_start(revoked_user, &r);
    session = join(&mine);
    signer = harness_find(&mine, session,
                          (CK_ATTRIBUTE[]){ATTR_ULONG(CKA_CLASS, CKO_PRIVATE_KEY)}, 1);
    CK_OBJECT_HANDLE cipher = one(&mine, session, "cipher");
    lockstep_wait(&r.ls);
    OK(mine.f->C_DestroyObject(session, signer));
    OK(mine.f->C_DestroyObject(session, cipher));
    lockstep_tell(&r.ls);
    lockstep_wait(&r.ls);
    CHECK(promise_find(&mine, session, "cipher", true, &cipher, 1) == 1);
    OK(promise_recover(&mine, session, cipher));
    lockstep_tell(&r.ls);
    CHECK(fork_wait(pid) == 0);
    harness_unload(&mine);
    lockstep_done(&r.ls);
    harness_done(&h);
}

/* ---------------------------------------------------------------- exactly one wins */

struct race {
    pthread_barrier_t barrier;
    atomic_uint won[3];   /* deletes, recoveries, purges that said CKR_OK */
    struct harness *h;
    unsigned rounds;
    atomic_bool unexpected;
};

struct racer {
    struct race *race;
    unsigned number;
};

static void note(struct race *race, unsigned which, CK_RV rv)
{
    if (rv == CKR_OK)
        atomic_fetch_add(&race->won[which], 1);
    else if (rv != CKR_OBJECT_HANDLE_INVALID && rv != CKR_ACTION_PROHIBITED) {
        fprintf(stderr, "racer: %s\n", ckr_name(rv));
        atomic_store(&race->unexpected, true);
    }
}

static void race_round(struct racer *racer, CK_SESSION_HANDLE session, unsigned round)
{
    struct race *race = racer->race;
    struct harness *h = race->h;
    char label[32];
    snprintf(label, sizeof(label), "round %u", round);
    if (racer->number == 0) {
        for (int i = 0; i < 3; i++)
            atomic_store(&race->won[i], 0);
        OK(promise_create(h, session, label, (CK_BYTE)round));
    }
    pthread_barrier_wait(&race->barrier);
    CK_OBJECT_HANDLE key = one(h, session, label);
    pthread_barrier_wait(&race->barrier);
    note(race, 0, h->f->C_DestroyObject(session, key));
    pthread_barrier_wait(&race->barrier);
    CHECK(promise_find(h, session, label, true, &key, 1) == 1);
    pthread_barrier_wait(&race->barrier);
    if ((racer->number + round) % 2 == 0)
        note(race, 1, promise_recover(h, session, key));
    else
        note(race, 2, promise_purge(h, session, label));
    pthread_barrier_wait(&race->barrier);
    unsigned recovered = atomic_load(&race->won[1]), purged = atomic_load(&race->won[2]);
    /* who comes to recover what is live by then finds nothing to do, which is no failure */
    if (atomic_load(&race->won[0]) != 1 || (recovered > 0) + purged != 1)
        harness_fail(__FILE__, __LINE__, "%s: %u deleted, %u recovered, %u purged", label,
                     atomic_load(&race->won[0]), recovered, purged);
    enum seen seen = promise_see(h, session, label);
    if (seen != (recovered ? SEEN_LIVE : SEEN_NOTHING))
        harness_fail(__FILE__, __LINE__, "%s: recovered %u, seen %s", label, recovered,
                     seen_name(seen));
    pthread_barrier_wait(&race->barrier);
}

static int run_racer(void *ctx)
{
    struct racer *racer = ctx;
    CK_SESSION_HANDLE session = join(racer->race->h);
    for (unsigned round = 0; round < racer->race->rounds; round++)
        race_round(racer, session, round);
    if (racer->number == 0)
        promise_audit(racer->race->h);
    harness_unload(racer->race->h);
    return atomic_load(&racer->race->unexpected) ? 1 : 0;
}

static void exactly_one_wins(void **state)
{
    (void)state;
    struct harness h;
    harness_init(&h, UNPROTECTED);
    CHECK(fork_run(make_token, &h) == 0);
    struct race *race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(race != MAP_FAILED);
    race->h = &h;
    race->rounds = rounds(100);
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&race->barrier, &shared, RACERS);
    struct racer racers[RACERS];
    pid_t pids[RACERS];
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){race, i};
        pids[i] = fork_start(run_racer, &racers[i]);
    }
    int failed = 0;
    for (unsigned i = 0; i < RACERS; i++) {
        failed += fork_wait(pids[i]) != 0;
        /* One that failed leaves the others at the barrier for ever. */
        for (unsigned j = i + 1; failed == 1 && j < RACERS; j++)
            kill(pids[j], SIGKILL);
    }
    CHECK(failed == 0);
    munmap(race, sizeof(*race));
    harness_done(&h);
}

/* ---------------------------------------------------------------- threads of one process */

struct thread {
    struct harness *h;
    CK_OBJECT_HANDLE key;
    unsigned rounds;
    atomic_uint *wrong;
    unsigned number;
};

static void *thread_main(void *ctx)
{
    struct thread *t = ctx;
    struct harness *h = t->h;
    CK_SESSION_HANDLE session = harness_session_rw(h);
    CK_BYTE first[16], block[16];
    if (promise_use(h, session, t->key, first) != CKR_OK)
        atomic_fetch_add(t->wrong, 1);
    for (unsigned i = 0; i < t->rounds; i++) {
        char label[32];
        CK_OBJECT_HANDLE key;
        snprintf(label, sizeof(label), "thread %u.%u", t->number, i);
        if (promise_use(h, session, t->key, block) != CKR_OK || memcmp(first, block, 16) != 0 ||
            promise_create(h, session, label, (CK_BYTE)i) != CKR_OK ||
            promise_find(h, session, label, false, &key, 1) != 1 ||
            promise_use(h, session, key, block) != CKR_OK ||
            h->f->C_DestroyObject(session, key) != CKR_OK ||
            promise_use(h, session, key, block) != CKR_KEY_HANDLE_INVALID ||
            promise_see(h, session, label) != SEEN_DELETED)
            atomic_fetch_add(t->wrong, 1);
    }
    OK(h->f->C_CloseSession(session));
    return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct harness h;
    harness_init(&h, NULL);
    CK_SESSION_HANDLE session = harness_start(&h);
    OK(promise_create(&h, session, "common", 0xcc));
    CK_OBJECT_HANDLE key = one(&h, session, "common");
    struct thread threads[8];
    pthread_t ids[COUNT_OF(threads)];
    atomic_uint wrong = 0;
    for (unsigned i = 0; i < COUNT_OF(threads); i++) {
        threads[i] = (struct thread){&h, key, rounds(40), &wrong, i};
        CHECK(pthread_create(&ids[i], NULL, thread_main, &threads[i]) == 0);
    }
    for (unsigned i = 0; i < COUNT_OF(threads); i++)
        pthread_join(ids[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    promise_audit(&h);
    harness_unload(&h);
    harness_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delete_revokes_within_one_call),
        cmocka_unit_test(exactly_one_wins),
        cmocka_unit_test(threads_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests_name("race", tests, NULL, NULL);
}
