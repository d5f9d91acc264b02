/*
 * A whole vault is backed up again and again while two other processes and a thread of this one
 * change it. Every backup is one state that the vault was in: each writer goes through the same
 * steps in a known order, so what a backup holds of its objects, versions and users tells after
 * which step it was taken, and nothing may be missing or ahead. No writer waits for a backup. What
 * is purged while one is made does not come back from it into this store.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <cmocka.h>

#include "promise.h"

#define WRITERS 3u               /* the last is a thread of the process that makes the backups */
#define LAG 5u                   /* so many steps after it was made an object is deleted */
#define OBJECTS 4096u
#define MOST_BACKUPS 8u
#define PIN(text) (CK_UTF8CHAR_PTR)(uintptr_t)(text), strlen(text)

struct shared {
    struct harness h;
    char public[512], private[1024];
    atomic_uint steps[WRITERS];  /* done by each */
    atomic_uint doomed;          /* the object to purge is `doomed N`; 0: none */
    atomic_uint purged;          /* the last that was */
    bool held[MOST_BACKUPS + 1]; /* it had been read when it was purged */
    atomic_bool stop;
};

static struct shared *shared;
static struct harness own;       /* this process's */

static struct harness *own_harness(void)
{
    own = shared->h;
    return &own;
}

static unsigned backups_wanted(void)
{
    const char *variant = getenv("REPRIEVE_VARIANT");
    return variant == NULL ? MOST_BACKUPS : strcmp(variant, "valgrind") == 0 ? 1 : 2;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* ------------------------------------------------------------------ a writer's steps */

struct writer {
    struct harness *h;
    CK_SESSION_HANDLE session;
    unsigned number;
    CK_OBJECT_HANDLE counters[2], chain, made[LAG], toggle;
};

static CK_OBJECT_HANDLE data_make(struct writer *w, const char *label)
{
    CK_OBJECT_HANDLE object;
    CK_ATTRIBUTE template[] = {ATTR_ULONG(CKA_CLASS, CKO_DATA), ATTR_TRUE(CKA_TOKEN),
                               ATTR_TRUE(CKA_PRIVATE), ATTR_BYTES(CKA_LABEL, label, strlen(label))};
    OK(w->h->f->C_CreateObject(w->session, template, COUNT_OF(template), &object));
    return object;
}

static void counter_set(struct writer *w, CK_OBJECT_HANDLE object, unsigned n)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", n);
    CK_ATTRIBUTE id = ATTR_BYTES(CKA_ID, text, strlen(text));
    OK(w->h->f->C_SetAttributeValue(w->session, object, &id, 1));
}

static void pair_make(struct writer *w, unsigned n)
{
    static const CK_BYTE p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
    CK_MECHANISM gen = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_OBJECT_HANDLE keys[2];
    char label[32], id[16];
    snprintf(label, sizeof(label), "pair %u", w->number);
    snprintf(id, sizeof(id), "%u", n);
    CK_ATTRIBUTE pub[] = {ATTR_TRUE(CKA_TOKEN), ATTR_BYTES(CKA_EC_PARAMS, p256, sizeof(p256)),
                          ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                          ATTR_BYTES(CKA_ID, id, strlen(id)), ATTR_TRUE(CKA_VERIFY)};
    CK_ATTRIBUTE priv[] = {ATTR_TRUE(CKA_TOKEN), ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                           ATTR_BYTES(CKA_ID, id, strlen(id)), ATTR_TRUE(CKA_SIGN)};
    OK(w->h->f->C_GenerateKeyPair(w->session, &gen, pub, COUNT_OF(pub), priv, COUNT_OF(priv),
                                  &keys[0], &keys[1]));
}

static void chain_make(struct writer *w)
{
    CK_MECHANISM gen = {CKM_AES_KEY_GEN, NULL, 0};
    char label[32];
    snprintf(label, sizeof(label), "chain %u", w->number);
    CK_ATTRIBUTE template[] = {ATTR_TRUE(CKA_TOKEN), ATTR_ULONG(CKA_VALUE_LEN, 16),
                               ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                               ATTR_TRUE(CKA_ENCRYPT)};
    OK(w->h->f->C_GenerateKey(w->session, &gen, template, COUNT_OF(template), &w->chain));
}

static void writer_begin(struct writer *w)
{
    char label[32];
    for (int i = 0; i < 2; i++) {
        snprintf(label, sizeof(label), "counter %c %u", 'A' + i, w->number);
        OK(promise_create(w->h, w->session, label, (CK_BYTE)w->number));
        CHECK(promise_find(w->h, w->session, label, false, &w->counters[i], 1) == 1);
    }
    chain_make(w);
    snprintf(label, sizeof(label), "toggle %u", w->number);
    w->toggle = data_make(w, label);
}

/* Deleted in one step, recovered in the next. The handle means a live object only. */
static void toggle(struct writer *w, unsigned n)
{
    CK_OBJECT_HANDLE deleted;
    if (n % 2 == 1) {
        OK(w->h->f->C_DestroyObject(w->session, w->toggle));
        return;
    }
    char label[32];
    CK_BBOOL yes = CK_TRUE;
    snprintf(label, sizeof(label), "toggle %u", w->number);
    CK_ATTRIBUTE wanted[] = {ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                             ATTR_VAR(CKA_RPV_DELETED, yes)};
    deleted = harness_find(w->h, w->session, wanted, COUNT_OF(wanted));
    OK(promise_recover(w->h, w->session, deleted));
    w->toggle = deleted;
}

/* The vault key is another afterwards, and all is sealed anew. */
static void come_and_go(struct writer *w)
{
    char name[16];
    snprintf(name, sizeof(name), "t%u", w->number);
    OK(promise_vendor(w->h)->RPV_AddUser(w->session, name, PIN("a user's PIN"), 1));
    OK(promise_vendor(w->h)->RPV_RemoveUser(w->session, name));
}

/* A doomed object goes altogether, if there is one. */
static void purge_doomed(struct writer *w)
{
    unsigned n = atomic_load(&shared->doomed);
    CK_OBJECT_HANDLE key;
    char label[32];
    if (w->number != 0 || n == atomic_load(&shared->purged))
        return;
    snprintf(label, sizeof(label), "doomed %u", n);
    CHECK(promise_find(w->h, w->session, label, false, &key, 1) == 1);
    OK(w->h->f->C_DestroyObject(w->session, key));
    CHECK(promise_find(w->h, w->session, label, true, &key, 1) == 1);
    OK(w->h->f->C_DestroyObject(w->session, key));
    atomic_store(&shared->purged, n);
}

/* What position_of below takes apart. */
static void writer_step(struct writer *w, unsigned n)
{
    char name[32];
    counter_set(w, w->counters[0], n);
    pair_make(w, n);
    counter_set(w, w->counters[1], n);
    snprintf(name, sizeof(name), "made %u", w->number);
    if (n > LAG)
        OK(w->h->f->C_DestroyObject(w->session, w->made[n % LAG]));
    w->made[n % LAG] = data_make(w, name);
    toggle(w, n);
    if (n % 5 == 0) {
        CK_OBJECT_HANDLE next;
        OK(promise_vendor(w->h)->RPV_RotateKey(w->session, w->chain, &next, NULL));
        w->chain = next;
    }
    if (n % 10 == 0) {
        snprintf(name, sizeof(name), "u%u.%u", w->number, n);
        OK(promise_vendor(w->h)->RPV_AddUser(w->session, name, PIN("a user's PIN"), 1));
    }
    if (n % 7 == 3)
        come_and_go(w);
    purge_doomed(w);
    atomic_store(&shared->steps[w->number], n);
}

static void writer_run(struct writer *w)
{
    writer_begin(w);
    for (unsigned n = 1; !atomic_load(&shared->stop) && n < OBJECTS / 8; n++)
        writer_step(w, n);
}

static CK_SESSION_HANDLE join(struct harness *h)
{
    harness_load(h);
    harness_slot(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    OK(h->f->C_Login(session, CKU_USER, PIN("admin:admin's pin")));
    return session;
}

static int writer_process(void *ctx)
{
    struct writer w = {.h = own_harness(), .number = *(unsigned *)ctx};
    w.session = join(w.h);
    writer_run(&w);
    harness_unload(w.h);
    return 0;
}

static void *writer_thread(void *ctx)
{
    struct writer *w = ctx;
    writer_run(w);
    return NULL;
}

/* ------------------------------------------------------------------ the backups */

struct progress { unsigned from[WRITERS], doomed; bool waited; char id[33]; };

/* In the middle of a backup, or once it holds it, an object of the snapshot is purged, and
 * everybody else gets on. */
static CK_RV wait_for_writers(void *ctx, const struct RPV_PROGRESS_INFO *info)
{
    struct progress *p = ctx;
    bool all = false, early = p->doomed % 2 == 0;
    if (strcmp(info->uniqueId, p->id) == 0)
        shared->held[p->doomed] = strcmp(info->result, "ok") == 0;
    if (p->waited || (early ? info->done < info->total / 2 : !shared->held[p->doomed]))
        return CKR_OK;
    p->waited = true;
    atomic_store(&shared->doomed, p->doomed);
    for (unsigned ms = 0; !all && ms < 100000; ms++) {
        all = atomic_load(&shared->purged) == p->doomed;
        for (unsigned i = 0; i < WRITERS; i++)
            all = all && atomic_load(&shared->steps[i]) >= p->from[i] + 2;
        if (!all)
            nap();
    }
    return all ? CKR_OK : CKR_CANCEL;
}

static void blob_path(unsigned n, char ret_path[512])
{
    snprintf(ret_path, 512, "%s/%u.rpv", shared->h.dir, n);
}

static void backup_one(CK_SESSION_HANDLE session, unsigned n)
{
    struct RPV_BLOB_KEY key = {(CK_BYTE *)shared->public, strlen(shared->public)};
    struct progress progress = {.doomed = n};
    CK_ATTRIBUTE id = {CKA_UNIQUE_ID, progress.id, 32};
    unsigned long long objects;
    CK_OBJECT_HANDLE doomed;
    char path[512], label[32];
    blob_path(n, path);
    snprintf(label, sizeof(label), "doomed %u", n);
    OK(promise_create(&own, session, label, (CK_BYTE)n));
    CHECK(promise_find(&own, session, label, false, &doomed, 1) == 1);
    OK(own.f->C_GetAttributeValue(session, doomed, &id, 1));
    for (unsigned i = 0; i < WRITERS; i++)
        progress.from[i] = atomic_load(&shared->steps[i]);
    const struct RPV_BACKUP ask = {.pPath = path, .pKeys = &key, .ulKeys = 1,
                                   .Notify = wait_for_writers, .pApplication = &progress};
    CK_RV rv = promise_vendor(&own)->RPV_Backup(session, NULL, 0, &ask, &objects);
    if (rv == CKR_FUNCTION_CANCELED)
        harness_fail(__FILE__, __LINE__, "writers got nowhere while a backup was made");
    OK(rv);
    CHECK(progress.waited);
    CHECK(shared->held[n] == (n % 2 == 1));  /* the latest object is among the last read */
}

static int backups_process(void *ctx)
{
    struct writer w = {.h = own_harness(), .number = WRITERS - 1};
    pthread_t thread;
    (void)ctx;
    CK_SESSION_HANDLE session = join(w.h);
    w.session = harness_session_rw(w.h);
    CHECK(pthread_create(&thread, NULL, writer_thread, &w) == 0);
    for (unsigned i = 0; i < WRITERS; i++)
        while (atomic_load(&shared->steps[i]) < 2)
            nap();
    for (unsigned n = 1; n <= backups_wanted(); n++)
        backup_one(session, n);
    atomic_store(&shared->stop, true);
    CHECK(pthread_join(thread, NULL) == 0);
    harness_unload(w.h);
    return 0;
}

/* ------------------------------------------------------------------ what is in one */

static CK_ULONG find_all(struct harness *h, CK_SESSION_HANDLE session, CK_OBJECT_CLASS cls,
                         const char *label, unsigned n, CK_BBOOL deleted,
                         CK_OBJECT_HANDLE *ret_handles)
{
    char text[32];
    CK_ULONG found = 0;
    snprintf(text, sizeof(text), "%s %u", label, n);
    CK_ATTRIBUTE wanted[] = {ATTR_VAR(CKA_CLASS, cls), ATTR_BYTES(CKA_LABEL, text, strlen(text)),
                             ATTR_VAR(CKA_RPV_DELETED, deleted)};
    OK(h->f->C_FindObjectsInit(session, wanted, COUNT_OF(wanted)));
    OK(h->f->C_FindObjects(session, ret_handles, OBJECTS, &found));
    OK(h->f->C_FindObjectsFinal(session));
    CHECK(found < OBJECTS);
    return found;
}

static unsigned counter_read(struct harness *h, CK_SESSION_HANDLE session, const char *label,
                             unsigned n)
{
    CK_OBJECT_HANDLE handles[OBJECTS];
    char text[16] = "";
    CK_ATTRIBUTE id = {CKA_ID, text, sizeof(text) - 1};
    CHECK(find_all(h, session, CKO_SECRET_KEY, label, n, CK_FALSE, handles) == 1);
    OK(h->f->C_GetAttributeValue(session, handles[0], &id, 1));
    return (unsigned)atoi(text);
}

/* The private key that goes with each public one is there, and signs. */
static unsigned pairs_check(struct harness *h, CK_SESSION_HANDLE session, unsigned writer)
{
    static CK_OBJECT_HANDLE publics[OBJECTS], privates[OBJECTS];
    CK_MECHANISM ecdsa = {CKM_ECDSA, NULL, 0};
    CK_ULONG n = find_all(h, session, CKO_PUBLIC_KEY, "pair", writer, CK_FALSE, publics);
    CHECK(find_all(h, session, CKO_PRIVATE_KEY, "pair", writer, CK_FALSE, privates) == n);
    for (CK_ULONG i = 0; i < n; i++) {
        CK_BYTE id[16], hash[32] = {1}, signature[64];
        CK_ULONG len = sizeof(signature);
        CK_ATTRIBUTE get = ATTR_VAR(CKA_ID, id);
        OK(h->f->C_GetAttributeValue(session, publics[i], &get, 1));
        CK_ATTRIBUTE wanted[] = {ATTR_ULONG(CKA_CLASS, CKO_PRIVATE_KEY),
                                 ATTR_BYTES(CKA_ID, id, get.ulValueLen), {0}};
        char label[32];
        snprintf(label, sizeof(label), "pair %u", writer);
        wanted[2] = (CK_ATTRIBUTE)ATTR_BYTES(CKA_LABEL, label, strlen(label));
        CK_OBJECT_HANDLE key = harness_find(h, session, wanted, 3);
        CHECK(key != CK_INVALID_HANDLE);
        OK(h->f->C_SignInit(session, &ecdsa, key));
        OK(h->f->C_Sign(session, hash, sizeof(hash), signature, &len));
        OK(h->f->C_VerifyInit(session, &ecdsa, publics[i]));
        OK(h->f->C_Verify(session, hash, sizeof(hash), signature, len));
    }
    return (unsigned)n;
}

/* Versions 1 to n, each once, and each encrypts. */
static unsigned chain_check(struct harness *h, CK_SESSION_HANDLE session, unsigned writer)
{
    CK_OBJECT_HANDLE keys[OBJECTS];
    CK_ULONG n = find_all(h, session, CKO_SECRET_KEY, "chain", writer, CK_FALSE, keys);
    for (CK_ULONG i = 0; i < n; i++) {
        CK_ULONG version = 0;
        CK_BYTE block[16];
        CK_ATTRIBUTE get = ATTR_VAR(CKA_RPV_VERSION, version);
        OK(h->f->C_GetAttributeValue(session, keys[i], &get, 1));
        CHECK(version == n - i); /* the newest is found first */
        OK(promise_use(h, session, keys[i], block));
    }
    return (unsigned)n;
}

static unsigned users_count(struct harness *h, unsigned writer)
{
    static struct RPV_USER_INFO users[OBJECTS];
    CK_ULONG n = OBJECTS;
    unsigned found = 0;
    char prefix[16];
    snprintf(prefix, sizeof(prefix), "u%u.", writer);
    OK(promise_vendor(h)->RPV_ListUsers(h->slot, users, &n));
    for (CK_ULONG i = 0; i < n; i++)
        found += strncmp(users[i].name, prefix, strlen(prefix)) == 0;
    return found;
}

/* What there is of one writer, in the order of its steps. */
enum part { COUNTER_A, PAIRS, COUNTER_B, DELETED, MADE, TOGGLED, VERSIONS, USERS, PARTS };

static void parts_after(unsigned step, unsigned ret_parts[PARTS])
{
    ret_parts[COUNTER_A] = ret_parts[PAIRS] = ret_parts[COUNTER_B] = ret_parts[MADE] = step;
    ret_parts[DELETED] = step > LAG ? step - LAG : 0;
    ret_parts[TOGGLED] = step % 2;
    ret_parts[VERSIONS] = 1 + step / 5;
    ret_parts[USERS] = step / 10;
}

/* The first parts are of this step, the others of the one before. */
static bool parts_fit(const unsigned parts[PARTS], unsigned step)
{
    unsigned now[PARTS], before[PARTS];
    parts_after(step, now);
    parts_after(step - 1, before);
    for (int done = 1; done <= PARTS; done++) {
        bool fits = true;
        for (int i = 0; i < PARTS; i++)
            fits = fits && parts[i] == (i < done ? now[i] : before[i]);
        if (fits)
            return true;
    }
    return false;
}

static void writer_check(struct harness *h, CK_SESSION_HANDLE session, unsigned writer)
{
    CK_OBJECT_HANDLE handles[OBJECTS];
    unsigned parts[PARTS];
    parts[COUNTER_A] = counter_read(h, session, "counter A", writer);
    parts[PAIRS] = pairs_check(h, session, writer);
    parts[COUNTER_B] = counter_read(h, session, "counter B", writer);
    parts[DELETED] = (unsigned)find_all(h, session, CKO_DATA, "made", writer, CK_TRUE, handles);
    parts[MADE] = parts[DELETED] +
                  (unsigned)find_all(h, session, CKO_DATA, "made", writer, CK_FALSE, handles);
    parts[TOGGLED] = (unsigned)find_all(h, session, CKO_DATA, "toggle", writer, CK_TRUE, handles);
    CHECK(parts[TOGGLED] + find_all(h, session, CKO_DATA, "toggle", writer, CK_FALSE, handles) ==
          1);
    parts[VERSIONS] = chain_check(h, session, writer);
    parts[USERS] = users_count(h, writer);
    if (parts[COUNTER_A] < 2 || !parts_fit(parts, parts[COUNTER_A]))
        harness_fail(__FILE__, __LINE__, "no state of writer %u: A %u, %u pairs, B %u, %u deleted "
                     "of %u, %u toggled, %u versions, %u users", writer, parts[COUNTER_A],
                     parts[PAIRS], parts[COUNTER_B], parts[DELETED], parts[MADE], parts[TOGGLED],
                     parts[VERSIONS], parts[USERS]);
}

static CK_RV restore(struct harness *h, CK_SESSION_HANDLE session, unsigned n, bool settings,
                     RPV_PROGRESS notify, void *ctx)
{
    struct RPV_BLOB_KEY key = {(CK_BYTE *)shared->private, strlen(shared->private)};
    unsigned long long restored;
    char path[512];
    blob_path(n, path);
    const struct RPV_RESTORE ask = {.pPath = path, .pKeys = &key, .ulKeys = 1,
                                    .bSettings = settings, .Notify = notify, .pApplication = ctx,
                                    .bReplace = notify != NULL};
    return promise_vendor(h)->RPV_Restore(session, &ask, &restored);
}

/* In an empty store, of its own. */
static int blob_check(void *ctx)
{
    unsigned n = *(unsigned *)ctx;
    struct harness h;
    char label[32];
    harness_init(&h, "purge_protection = no\n");
    CK_SESSION_HANDLE session = harness_start(&h);
    OK(restore(&h, session, n, false, NULL, NULL));
    OK(h.f->C_Logout(session));
    harness_login(&h, session, CKU_SO);
    OK(restore(&h, session, n, true, NULL, NULL));
    OK(h.f->C_Logout(session));
    harness_login(&h, session, CKU_USER);
    for (unsigned i = 0; i < WRITERS; i++)
        writer_check(&h, session, i);
    /* read before it was purged, or after: then it is not in it. */
    snprintf(label, sizeof(label), "doomed %u", n);
    CHECK(promise_see(&h, session, label) == (shared->held[n] ? SEEN_LIVE : SEEN_NOTHING));
    harness_unload(&h);
    harness_done(&h);
    return 0;
}

static CK_RV count_purged(void *ctx, const struct RPV_PROGRESS_INFO *info)
{
    unsigned *n = ctx;
    *n += strcmp(info->result, "purged") == 0;
    return CKR_OK;
}

/* Every object is found, and opens. */
static void everything_opens(struct harness *h, CK_SESSION_HANDLE session, CK_BBOOL deleted)
{
    struct RPV_GENERATION_INFO info;
    CK_ULONG one = 1;
    static CK_OBJECT_HANDLE handles[OBJECTS];
    CK_ATTRIBUTE wanted = ATTR_VAR(CKA_RPV_DELETED, deleted);
    CK_ULONG n = 0;
    OK(h->f->C_FindObjectsInit(session, &wanted, 1));
    OK(h->f->C_FindObjects(session, handles, OBJECTS, &n));
    OK(h->f->C_FindObjectsFinal(session));
    CHECK(n > 0 && n < OBJECTS);
    OK(promise_vendor(h)->RPV_ListGenerations(h->slot, &info, &one));
    CHECK(deleted || n == info.ulObjects);
    for (CK_ULONG i = 0; i < n; i++) {
        char label[64];
        CK_ATTRIBUTE get = ATTR_VAR(CKA_LABEL, label);
        OK(h->f->C_GetAttributeValue(session, handles[i], &get, 1));
    }
}

/* Back into the store that it is of, over everything. */
static int same_store_check(void *ctx)
{
    struct harness *h = own_harness();
    CK_SESSION_HANDLE session = join(h);
    (void)ctx;
    everything_opens(h, session, CK_FALSE);
    everything_opens(h, session, CK_TRUE);
    for (unsigned n = 1; n <= backups_wanted(); n++) {
        unsigned purged = 0;
        OK(restore(h, session, n, false, count_purged, &purged));
        CHECK(purged > 0 || !shared->held[n]);
    }
    for (unsigned n = 1; n <= backups_wanted(); n++) {
        char label[32];
        snprintf(label, sizeof(label), "doomed %u", n);
        CHECK(promise_see(h, session, label) == SEEN_NOTHING);
    }
    promise_audit(h);
    harness_unload(h);
    return 0;
}

/* ------------------------------------------------------------------ the test */

static void outside_make(void)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(pkey != NULL && PEM_write_bio_PUBKEY(bio, pkey) == 1);
    CHECK(BIO_read(bio, shared->public, sizeof(shared->public) - 1) > 0);
    CHECK(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1);
    CHECK(BIO_read(bio, shared->private, sizeof(shared->private) - 1) > 0);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
}

static int make_vault(void *ctx)
{
    struct harness *h = own_harness();
    (void)ctx;
    CK_SESSION_HANDLE session = harness_start(h);
    OK(h->f->C_Logout(session));
    harness_login(h, session, CKU_SO);
    OK(promise_vendor(h)->RPV_AddUser(session, "admin", PIN("admin's pin"),
                                      RPV_ROLE_ADMINISTRATOR));
    harness_unload(h);
    return 0;
}

static void backups_under_load(void **state)
{
    unsigned numbers[WRITERS - 1];
    pid_t writers[WRITERS - 1], backups;
    (void)state;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                  0);
    CHECK(shared != MAP_FAILED);
    harness_init(&shared->h, "purge_protection = no\n");
    outside_make();
    CHECK(fork_run(make_vault, NULL) == 0);
    for (unsigned i = 0; i < WRITERS - 1; i++) {
        numbers[i] = i;
        writers[i] = fork_start(writer_process, &numbers[i]);
    }
    backups = fork_start(backups_process, NULL);
    int status = fork_wait(backups);
    atomic_store(&shared->stop, true);
    for (unsigned i = 0; i < WRITERS - 1; i++) {
        int ended = fork_wait(writers[i]);
        if (ended != 0)
            harness_fail(__FILE__, __LINE__, "writer %u ended with %d", i, ended);
    }
    CHECK(status == 0);
    for (unsigned n = 1; n <= backups_wanted(); n++)
        CHECK(fork_run(blob_check, &n) == 0);
    CHECK(fork_run(same_store_check, NULL) == 0);
    print_message("# %u backups during %u, %u and %u steps\n", backups_wanted(),
                  atomic_load(&shared->steps[0]), atomic_load(&shared->steps[1]),
                  atomic_load(&shared->steps[2]));
    harness_done(&shared->h);
    munmap(shared, sizeof(*shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backups_under_load),
    };
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    return cmocka_run_group_tests_name("hot backup", tests, NULL, NULL);
}
