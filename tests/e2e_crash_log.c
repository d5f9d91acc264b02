/*
 * kill -9 at random moments of three processes that govern one vault: make, change, delete, recover
 * and purge objects, rotate keys, add, change and remove users, set the policy, back up. Whatever
 * returned CKR_OK is in the event log, with the principal and the object or user; what was under
 * way is there once or not at all, and nothing else is. The chain verifies, and host.head names an
 * event that is in the log, never one ahead of it.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "promise.h"

#define WORKERS 3u
#define ENTRIES 8192u
#define PIN(text) (CK_UTF8CHAR_PTR)(uintptr_t)(text), strlen(text)

/* Begun, perhaps done; a name for what it is about: an object's unique id or a user's name. */
struct entry {
    char operation[24], about[40];
    atomic_bool done;
    bool found;
};

struct journal { struct entry entries[ENTRIES]; atomic_uint n; unsigned users; };

struct shared {
    struct harness h;
    struct journal journals[WORKERS];
    unsigned seed, numbers[WORKERS];
};

static struct shared *shared;

static unsigned rounds(void)
{
    const char *variant = getenv("REPRIEVE_VARIANT");
    if (getenv("REPRIEVE_LONG") != NULL)
        return 1000;
    return variant == NULL ? 40 : strcmp(variant, "valgrind") == 0 ? 2 : 8;
}

/* ------------------------------------------------------------------ a worker */

struct worker {
    struct harness h;
    CK_SESSION_HANDLE session;
    const struct RPV_FUNCTION_LIST *vendor;
    struct journal *journal;
    unsigned number, seed;
};

static unsigned below(struct worker *w, unsigned n)
{
    return (unsigned)rand_r(&w->seed) / 64 % n;
}

static struct entry *begin(struct worker *w, const char *operation, const char *about)
{
    unsigned n = atomic_load(&w->journal->n);
    struct entry *entry = &w->journal->entries[n];
    CHECK(n + 1 < ENTRIES);
    snprintf(entry->operation, sizeof(entry->operation), "%s", operation);
    snprintf(entry->about, sizeof(entry->about), "%s", about);
    atomic_store(&entry->done, false);
    atomic_store(&w->journal->n, n + 1);
    return entry;
}

static void end(struct entry *entry, CK_RV rv)
{
    if (rv != CKR_OK)
        harness_fail(__FILE__, __LINE__, "%s of %s: %s", entry->operation, entry->about,
                     ckr_name(rv));
    atomic_store(&entry->done, true);
}

/* Begun before it is, done after. */
#define TELL(w, operation, about, call)                                                            \
    do {                                                                                           \
        struct entry *entry = begin(w, operation, about);                                          \
        end(entry, call);                                                                          \
    } while (0)

static CK_RV id_of(struct worker *w, CK_OBJECT_HANDLE object, char ret_id[40])
{
    CK_ATTRIBUTE attr = {CKA_UNIQUE_ID, ret_id, 32};
    memset(ret_id, 0, 40);
    return w->h.f->C_GetAttributeValue(w->session, object, &attr, 1);
}

static void label_of(const struct worker *w, char ret_label[16])
{
    snprintf(ret_label, 16, "of %u", w->number);
}

/* One of this worker's own objects, live or deleted. */
static CK_OBJECT_HANDLE pick(struct worker *w, bool deleted, char ret_id[40])
{
    CK_OBJECT_HANDLE handles[64];
    char label[16];
    label_of(w, label);
    CK_ULONG n = promise_find(&w->h, w->session, label, deleted, handles, COUNT_OF(handles));
    if (n == 0)
        return CK_INVALID_HANDLE;
    CK_OBJECT_HANDLE handle = handles[below(w, (unsigned)n)];
    OK(id_of(w, handle, ret_id));
    return handle;
}

/* The id is not known before: it is told at once, and until then it may be any. */
static void do_create(struct worker *w)
{
    char label[16], id[40];
    CK_OBJECT_HANDLE key;
    CK_MECHANISM gen = {CKM_AES_KEY_GEN, NULL, 0};
    label_of(w, label);
    CK_ATTRIBUTE template[] = {ATTR_TRUE(CKA_TOKEN), ATTR_ULONG(CKA_VALUE_LEN, 16),
                               ATTR_BYTES(CKA_LABEL, label, strlen(label))};
    struct entry *entry = begin(w, "KeyGenerate", "");
    CK_RV rv = w->h.f->C_GenerateKey(w->session, &gen, template, COUNT_OF(template), &key);
    if (rv == CKR_OK)
        rv = id_of(w, key, id);
    if (rv == CKR_OK)
        memcpy(entry->about, id, sizeof(id));
    end(entry, rv);
}

static void do_delete(struct worker *w)
{
    char id[40];
    CK_OBJECT_HANDLE key = pick(w, false, id);
    if (key != CK_INVALID_HANDLE)
        TELL(w, "KeyDelete", id, w->h.f->C_DestroyObject(w->session, key));
}

static void do_recover(struct worker *w)
{
    char id[40];
    CK_OBJECT_HANDLE key = pick(w, true, id);
    if (key != CK_INVALID_HANDLE)
        TELL(w, "KeyRecover", id, promise_recover(&w->h, w->session, key));
}

static void do_purge(struct worker *w)
{
    char id[40];
    CK_OBJECT_HANDLE key = pick(w, true, id);
    if (key != CK_INVALID_HANDLE)
        TELL(w, "KeyPurge", id, w->h.f->C_DestroyObject(w->session, key));
}

static void set_one(struct worker *w, const char *operation, CK_ATTRIBUTE attr)
{
    char id[40];
    CK_OBJECT_HANDLE key = pick(w, false, id);
    if (key != CK_INVALID_HANDLE)
        TELL(w, operation, id, w->h.f->C_SetAttributeValue(w->session, key, &attr, 1));
}

static void do_update(struct worker *w)
{
    set_one(w, "KeyUpdate", (CK_ATTRIBUTE)ATTR_STR(CKA_ID, "another"));
}

static void do_reason(struct worker *w)
{
    set_one(w, "KeyDeleteReason", (CK_ATTRIBUTE)ATTR_STR(CKA_RPV_DELETE_REASON, "no reason"));
}

static void do_hold(struct worker *w)
{
    set_one(w, "KeyRelease", (CK_ATTRIBUTE)ATTR_FALSE(CKA_RPV_HOLD));
}

/* Of the next version, which is told of as the generated ones are. */
static void do_rotate(struct worker *w)
{
    char id[40];
    CK_OBJECT_HANDLE key = pick(w, false, id), next;
    if (key == CK_INVALID_HANDLE)
        return;
    struct entry *entry = begin(w, "KeyRotate", "");
    CK_RV rv = w->vendor->RPV_RotateKey(w->session, key, &next, NULL);
    if (rv == CKR_ACTION_PROHIBITED) {      /* it has a next version */
        atomic_fetch_sub(&w->journal->n, 1);
        return;
    }
    if (rv == CKR_OK)
        rv = id_of(w, next, id);
    if (rv == CKR_OK)
        memcpy(entry->about, id, sizeof(id));
    end(entry, rv);
}

static void do_user(struct worker *w)
{
    char name[32];
    snprintf(name, sizeof(name), "u%u.%u", w->number, ++w->journal->users);
    TELL(w, "UserAdd", name, w->vendor->RPV_AddUser(w->session, name, PIN("a PIN"), 1));
    TELL(w, "UserVerbs", name, w->vendor->RPV_SetUserVerbs(w->session, name, 3));
    if (below(w, 2) == 0)
        TELL(w, "UserRemove", name, w->vendor->RPV_RemoveUser(w->session, name));
}

static void do_policy(struct worker *w)
{
    struct RPV_POLICY policy;
    OK(w->vendor->RPV_GetPolicy(w->h.slot, &policy));
    policy.ulRetentionDays = 7 + below(w, 80);
    TELL(w, "VaultPolicy", "", w->vendor->RPV_SetPolicy(w->session, &policy));
}

static void do_backup(struct worker *w)
{
    char path[512], id[40];
    CK_OBJECT_HANDLE key = pick(w, false, id);
    unsigned long long n;
    if (key == CK_INVALID_HANDLE)
        return;
    snprintf(path, sizeof(path), "%s/%u.rpv", w->h.dir, w->number);
    unlink(path);
    const struct RPV_BACKUP ask = {.pPath = path};
    TELL(w, "KeyBackup", id, w->vendor->RPV_Backup(w->session, &key, 1, &ask, &n));
}

static const struct { unsigned weight; void (*run)(struct worker *w); } DOES[] = {
    {8, do_create}, {4, do_delete}, {2, do_recover}, {2, do_purge}, {4, do_update},
    {2, do_reason}, {2, do_hold},   {3, do_rotate},  {2, do_user},  {2, do_policy},
    {1, do_backup},
};

static void do_any(struct worker *w)
{
    unsigned total = 0, at;
    size_t i = 0;
    for (size_t j = 0; j < COUNT_OF(DOES); j++)
        total += DOES[j].weight;
    for (at = below(w, total); at >= DOES[i].weight; i++)
        at -= DOES[i].weight;
    DOES[i].run(w);
}

static int work(void *ctx)
{
    struct worker w = {.h = shared->h, .number = *(unsigned *)ctx};
    char pin[32];
    w.journal = &shared->journals[w.number];
    w.seed = shared->seed + w.number * 977;
    harness_load(&w.h);
    harness_slot(&w.h);
    w.vendor = promise_vendor(&w.h);
    w.session = harness_session_rw(&w.h);
    snprintf(pin, sizeof(pin), "w%u:a PIN of its own", w.number);
    OK(w.h.f->C_Login(w.session, CKU_USER, PIN(pin)));
    while (atomic_load(&w.journal->n) + 8 < ENTRIES)
        do_any(&w);
    return 0;
}

/* ------------------------------------------------------------------ what the log says */

/* The events of what is done above, by the workers: each is one that was begun. */
static struct entry *entry_find(struct journal *journal, const struct RPV_AUDIT_RECORD *record)
{
    size_t name = strcspn(record->detail, " ,");
    struct entry *begun = NULL;
    for (unsigned i = 0; i < atomic_load(&journal->n); i++) {
        struct entry *entry = &journal->entries[i];
        bool done = atomic_load(&entry->done);
        if (entry->found || strcmp(entry->operation, record->operation) != 0)
            continue;
        bool fits = strncmp(entry->operation, "User", 4) == 0
                        ? strlen(entry->about) == name &&
                              strncmp(entry->about, record->detail, name) == 0
                        : strcmp(entry->about, record->uniqueId) == 0;
        if (fits && done)
            return entry;
        if (!done && (fits || entry->about[0] == '\0'))
            begun = entry;
    }
    return begun;
}

static bool is_done_here(const char *operation)
{
    static const char *const others[] = {"VaultKeyRotated", "VaultLogin", "PinChange"};
    for (size_t i = 0; i < COUNT_OF(others); i++)
        if (strcmp(others[i], operation) == 0)
            return false;
    return true;
}

static void record_check(const struct RPV_AUDIT_RECORD *record)
{
    unsigned worker;
    if (!record->bSuccess || sscanf(record->principal, "w%u", &worker) != 1 ||
        !is_done_here(record->operation))
        return;
    CHECK(worker < WORKERS);
    struct entry *entry = entry_find(&shared->journals[worker], record);
    if (entry == NULL)
        harness_fail(__FILE__, __LINE__, "event %llu, %s of %s%s by %s: nobody did it",
                     record->seq, record->operation, record->uniqueId, record->detail,
                     record->principal);
    else
        entry->found = true;
}

static void log_read(struct harness *h, unsigned long long *ret_last)
{
    struct RPV_AUDIT_QUERY query = {.slotID = CK_UNAVAILABLE_INFORMATION};
    struct RPV_AUDIT_RECORD records[64];
    unsigned long long next = 1;
    while (next != 0) {
        CK_ULONG n = COUNT_OF(records);
        query.from = next;
        OK(promise_vendor(h)->RPV_QueryAudit(&query, records, &n, &next));
        for (CK_ULONG i = 0; i < n; i++) {
            record_check(&records[i]);
            CHECK(strcmp(records[i].operation, "HeadLost") != 0);
            *ret_last = records[i].seq;
        }
    }
}

/* What was acknowledged and found, or begun, need not be looked for again: only what came since the
 * last round is, and what is missing of that. */
static void journals_check(void)
{
    for (unsigned i = 0; i < WORKERS; i++)
        for (unsigned j = 0; j < atomic_load(&shared->journals[i].n); j++) {
            const struct entry *entry = &shared->journals[i].entries[j];
            if (atomic_load(&entry->done) && !entry->found)
                harness_fail(__FILE__, __LINE__, "%s of %s by w%u returned CKR_OK and has no event",
                             entry->operation, entry->about, i);
        }
}

static unsigned long long head_seq(const struct harness *h, unsigned char ret_hash[32])
{
    unsigned char bytes[48];
    unsigned long long seq = 0;
    char path[512];
    snprintf(path, sizeof(path), "%s/store/host.head", h->dir);
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL && fread(bytes, sizeof(bytes), 1, f) == 1);
    fclose(f);
    for (size_t i = 8; i < 16; i++)
        seq = seq << 8 | bytes[i];
    memcpy(ret_hash, bytes + 16, 32);
    return seq;
}

static void head_check(struct harness *h, unsigned long long seq, const unsigned char hash[32],
                       unsigned long long last)
{
    struct RPV_EVENT event;
    CK_ULONG n = 1;
    char text[65];
    if (seq == 0 || seq > last)
        harness_fail(__FILE__, __LINE__, "host.head is at %llu, the log ends at %llu", seq, last);
    OK(promise_vendor(h)->RPV_ReadAudit(seq, &event, &n));
    for (size_t i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    CHECK(n == 1 && event.seq == seq && strcmp(event.hash, text) == 0);
}

static int verify(void *ctx)
{
    struct harness h = shared->h;
    unsigned char hash[32];
    unsigned long long last = 0, seq = head_seq(&h, hash);
    CK_TOKEN_INFO info;
    (void)ctx;
    harness_load(&h);
    harness_slot(&h);
    promise_audit(&h);
    OK(h.f->C_GetTokenInfo(h.slot, &info));
    CHECK((info.flags & CKF_WRITE_PROTECTED) == 0);
    for (unsigned i = 0; i < WORKERS; i++)
        for (unsigned j = 0; j < atomic_load(&shared->journals[i].n); j++)
            shared->journals[i].entries[j].found = false;
    log_read(&h, &last);
    journals_check();
    head_check(&h, seq, hash, last);
    harness_unload(&h);
    return 0;
}

/* ------------------------------------------------------------------ the test */

static int make_vault(void *ctx)
{
    struct harness h = shared->h;
    (void)ctx;
    CK_SESSION_HANDLE session = harness_start(&h);
    OK(h.f->C_Logout(session));
    harness_login(&h, session, CKU_SO);
    for (unsigned i = 0; i < WORKERS; i++) {
        char name[8];
        snprintf(name, sizeof(name), "w%u", i);
        OK(promise_vendor(&h)->RPV_AddUser(session, name, PIN("a PIN of its own"),
                                           RPV_ROLE_ADMINISTRATOR));
    }
    harness_unload(&h);
    return 0;
}

static unsigned entries_done(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        n += atomic_load(&shared->journals[i].n);
    return n;
}

static void pause_us(unsigned us)
{
    nanosleep(&(struct timespec){us / 1000000, (long)(us % 1000000) * 1000}, NULL);
}

/* They die at different moments, but none by itself. */
static void round_run(void)
{
    unsigned before = entries_done();
    pid_t pids[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++)
        pids[i] = fork_start(work, &shared->numbers[i]);
    for (unsigned ms = 0; entries_done() < before + 4 && ms < 60000; ms++)
        pause_us(1000);
    for (unsigned i = 0; i < WORKERS; i++) {
        pause_us((unsigned)rand_r(&shared->seed) % 20000);
        kill(pids[i], SIGKILL);
        int status = fork_wait(pids[i]);
        if (status != 128 + SIGKILL && status != 0)
            harness_fail(__FILE__, __LINE__, "worker %u failed before it was killed: %d", i,
                         status);
    }
}

static void killed_governors(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                  0);
    CHECK(shared != MAP_FAILED);
    harness_init(&shared->h, "purge_protection = no\n");
    shared->seed = getenv("REPRIEVE_SEED") ? (unsigned)atoi(getenv("REPRIEVE_SEED"))
                                           : (unsigned)time(NULL);
    print_message("# seed %u\n", shared->seed);
    for (unsigned i = 0; i < WORKERS; i++)
        shared->numbers[i] = i;
    CHECK(fork_run(make_vault, NULL) == 0);
    for (unsigned i = 0; i < rounds(); i++) {
        round_run();
        CHECK(fork_run(verify, NULL) == 0);
        shared->seed++;
    }
    unsigned begun = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        for (unsigned j = 0; j < atomic_load(&shared->journals[i].n); j++)
            begun += !atomic_load(&shared->journals[i].entries[j].done);
    print_message("# %u operations, %u cut short\n", entries_done(), begun);
    CHECK(entries_done() > rounds());
    harness_done(&shared->h);
    munmap(shared, sizeof(*shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_governors),
    };
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    return cmocka_run_group_tests_name("crash log", tests, NULL, NULL);
}
