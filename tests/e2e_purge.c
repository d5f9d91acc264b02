/*
 * A purge is a crypto-erase. With the vault's PINs in hand, and even with a copy of the database
 * taken before the purge, what is on disk after it does not open the key again: nor does it a
 * purged generation, by hand or by date, with all that is in it and all its principals. A removed
 * user, with such a copy and the PIN, opens what was there then and was not purged; nothing later.
 */
#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "promise.h"
#include "test_clock.h"

#define SLOT_BYTES 32u
#define DAY 86400
#define PIN(text) (CK_UTF8CHAR_PTR)(uintptr_t)(text), strlen(text)

static const char UNPROTECTED[] = "purge_protection = no\n";

static void store_path(const struct harness *h, const char *name, char ret_path[512])
{
    snprintf(ret_path, 512, "%s/%s", h->dir, name);
}

static CK_BYTE *file_read(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    fseek(f, 0, SEEK_END);
    *ret_len = (size_t)ftell(f);
    rewind(f);
    CK_BYTE *bytes = malloc(*ret_len + 1);
    CHECK(bytes != NULL && fread(bytes, 1, *ret_len, f) == *ret_len);
    fclose(f);
    return bytes;
}

/* How many of the directory's files hold these bytes. */
static int files_with(const char *dir, const CK_BYTE *bytes, size_t len)
{
    int found = 0;
    DIR *d = opendir(dir);
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[1024];
        struct stat st;
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        size_t n;
        CK_BYTE *content = file_read(path, &n);
        found += memmem(content, n, bytes, len) != NULL;
        free(content);
    }
    closedir(d);
    return found;
}

/* The store's own slot secrets that were there before and are not any more. */
static size_t secrets_gone(const char *before, const char *after, CK_BYTE ret_gone[][SLOT_BYTES],
                           size_t cap)
{
    char a[600], b[600];
    snprintf(a, sizeof(a), "%s/slots", before);
    snprintf(b, sizeof(b), "%s/slots", after);
    size_t a_len, b_len, n = 0;
    CK_BYTE *x = file_read(a, &a_len), *y = file_read(b, &b_len);
    for (size_t i = 0; i + SLOT_BYTES <= a_len && i + SLOT_BYTES <= b_len; i += SLOT_BYTES)
        if (memcmp(x + i, y + i, SLOT_BYTES) != 0 && n < cap)
            memcpy(ret_gone[n++], x + i, SLOT_BYTES);
    free(x);
    free(y);
    return n;
}

/* A file of one store's directory over another's. */
static void file_put(const struct harness *h, const char *from, const char *to, const char *name)
{
    char path[600];
    size_t len;
    snprintf(path, sizeof(path), "%s/%s/%s", h->dir, from, name);
    CK_BYTE *bytes = file_read(path, &len);
    snprintf(path, sizeof(path), "%s/%s/%s", h->dir, to, name);
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL && fwrite(bytes, 1, len, f) == len && fclose(f) == 0);
    free(bytes);
}

struct look {
    struct harness *h;
    const char *store; /* directory under h->dir */
    const char *label;
    bool opens; /* the key's value, state and use are as they were; else: nothing of it */
};

/* The module on a store put together from other parts. */
static void store_open(struct harness *h, const char *name)
{
    char conf[512], store[512];
    store_path(h, "look.conf", conf);
    store_path(h, name, store);
    FILE *f = fopen(conf, "w");
    CHECK(f != NULL);
    fprintf(f, "store = %s\n", store);
    fclose(f);
    setenv("REPRIEVE_CONF", conf, 1);
    harness_load(h);
    harness_slot(h);
}

/* With the PINs in hand. */
static int look_at_store(void *ctx)
{
    struct look *look = ctx;
    struct harness *h = look->h;
    store_open(h, look->store);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    CK_OBJECT_HANDLE key[2];
    CK_ULONG live = promise_find(h, session, look->label, false, key, 2);
    CK_BYTE value[32] = {0};
    bool opened = false;
    if (live == 1) {
        CK_ATTRIBUTE get[] = {ATTR_BYTES(CKA_VALUE, value, sizeof(value))};
        opened = h->f->C_GetAttributeValue(session, key[0], get, 1) == CKR_OK;
        CK_BYTE block[16];
        opened |= promise_use(h, session, key[0], block) == CKR_OK;
    }
    CK_ULONG deleted = promise_find(h, session, look->label, true, key, 2);
    if (deleted == 1)
        opened |= promise_recover(h, session, key[0]) == CKR_OK &&
                  promise_find(h, session, look->label, false, key, 2) == 1 &&
                  promise_use(h, session, key[0], value) == CKR_OK;
    if (opened != look->opens)
        harness_fail(__FILE__, __LINE__, "%s: live %lu, deleted %lu, opened %d", look->store, live,
                     deleted, opened);
    harness_unload(h);
    return 0;
}

static int delete_and_purge(void *ctx)
{
    struct harness *h = ctx;
    harness_load(h);
    harness_slot(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    CK_OBJECT_HANDLE key;
    CHECK(promise_find(h, session, "doomed", false, &key, 1) == 1);
    OK(h->f->C_DestroyObject(session, key));
    EXPECT(h->f->C_DestroyObject(session, key), CKR_OBJECT_HANDLE_INVALID);
    CHECK(promise_find(h, session, "doomed", true, &key, 1) == 1);
    OK(promise_purge(h, session, "doomed"));
    EXPECT(h->f->C_DestroyObject(session, key), CKR_OBJECT_HANDLE_INVALID);
    CHECK(promise_see(h, session, "doomed") == SEEN_NOTHING);
    promise_audit(h);
    harness_unload(h);
    return 0;
}

static int make_keys(void *ctx)
{
    struct harness *h = ctx;
    CK_SESSION_HANDLE session = harness_start(h);
    OK(promise_create(h, session, "doomed", 0xd0));
    OK(promise_create(h, session, "stays", 0x57));
    harness_unload(h);
    return 0;
}

static void purged_key_is_unrecoverable(void **state)
{
    (void)state;
    struct harness h;
    harness_init(&h, UNPROTECTED);
    CHECK(fork_run(make_keys, &h) == 0);

    char store[512], before[512], mixed[512];
    store_path(&h, "store", store);
    store_path(&h, "before", before);
    store_path(&h, "mixed", mixed);
    promise_copy_dir(store, before);
    CHECK(fork_run(delete_and_purge, &h) == 0);

    /* The control: the copy opens with its own slot file, so the look would see it if it could. */
    CHECK(fork_run(look_at_store, &(struct look){&h, "before", "doomed", true}) == 0);

    /* After: the purged key's secret is in no file, its value never was. */
    CK_BYTE gone[16][SLOT_BYTES], value[32];
    size_t n = secrets_gone(before, store, gone, COUNT_OF(gone));
    CHECK(n == 1);
    CHECK(files_with(before, gone[0], SLOT_BYTES) == 1);
    CHECK(files_with(store, gone[0], SLOT_BYTES) == 0);
    memset(value, 0xd0, sizeof(value));
    CHECK(files_with(before, value, sizeof(value)) == 0);
    CHECK(files_with(store, value, sizeof(value)) == 0);
    CHECK(fork_run(look_at_store, &(struct look){&h, "store", "doomed", false}) == 0);
    CHECK(fork_run(look_at_store, &(struct look){&h, "store", "stays", true}) == 0);

    /* The database of before with the slot file of after. */
    promise_copy_dir(before, mixed);
    file_put(&h, "store", "mixed", "slots");
    CHECK(fork_run(look_at_store, &(struct look){&h, "mixed", "doomed", false}) == 0);
    CHECK(fork_run(look_at_store, &(struct look){&h, "mixed", "stays", true}) == 0);
    harness_done(&h);
}

/* Nothing secret is in the files at any time: not the PINs, not a sensitive value. */
static void store_has_no_clear_secret(void **state)
{
    (void)state;
    struct harness h;
    harness_init(&h, NULL);
    CHECK(fork_run(make_keys, &h) == 0);
    char store[512];
    store_path(&h, "store", store);
    CK_BYTE value[32];
    memset(value, 0x57, sizeof(value));
    CHECK(files_with(store, value, sizeof(value)) == 0);
    CHECK(files_with(store, (const CK_BYTE *)HARNESS_SO_PIN, sizeof(HARNESS_SO_PIN) - 1) == 0);
    CHECK(files_with(store, (const CK_BYTE *)"stays", 5) == 0);
    harness_done(&h);
}

/* ------------------------------------------------------------------ generations */

static CK_RV public_make(struct harness *h, CK_SESSION_HANDLE session)
{
    static const CK_BYTE value[32] = {0x9b};
    CK_ATTRIBUTE template[] = {
        ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY), ATTR_ULONG(CKA_KEY_TYPE, CKK_AES),
        ATTR_TRUE(CKA_TOKEN),                  ATTR_FALSE(CKA_PRIVATE),
        ATTR_TRUE(CKA_ENCRYPT),                ATTR_FALSE(CKA_SENSITIVE),
        ATTR_TRUE(CKA_EXTRACTABLE),            ATTR_STR(CKA_LABEL, "public"),
        ATTR_BYTES(CKA_VALUE, value, sizeof(value)),
    };
    CK_OBJECT_HANDLE object;
    return h->f->C_CreateObject(session, template, COUNT_OF(template), &object);
}

/* Two private keys, one of them deleted, a public one, and a named user. */
static int make_generation(void *ctx)
{
    struct harness *h = ctx;
    CK_OBJECT_HANDLE key;
    CK_SESSION_HANDLE session = harness_start(h);
    OK(promise_create(h, session, "doomed", 0xd0));
    OK(promise_create(h, session, "deleted", 0xd1));
    OK(public_make(h, session));
    CHECK(promise_find(h, session, "deleted", false, &key, 1) == 1);
    OK(h->f->C_DestroyObject(session, key));
    OK(h->f->C_Logout(session));
    harness_login(h, session, CKU_SO);
    OK(promise_vendor(h)->RPV_AddUser(session, "alice", PIN("alice's pin"),
                                      RPV_ROLE_ADMINISTRATOR));
    harness_unload(h);
    return 0;
}
#define GENERATION_SLOTS 4u      /* its own, and those of its objects */

static int retire_generation(void *ctx)
{
    struct harness *h = ctx;
    harness_load(h);
    harness_token(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    OK(promise_create(h, session, "stays", 0x57));
    harness_unload(h);
    return 0;
}

static CK_ULONG generation_count(struct harness *h, CK_ULONG *ret_last)
{
    struct RPV_GENERATION_INFO infos[4];
    CK_ULONG n = COUNT_OF(infos);
    OK(promise_vendor(h)->RPV_ListGenerations(h->slot, infos, &n));
    *ret_last = infos[n - 1].ulGeneration;
    return n;
}

static int purge_generation(void *ctx)
{
    struct harness *h = ctx;
    CK_ULONG number;
    harness_load(h);
    harness_slot(h);
    CHECK(generation_count(h, &number) == 2);
    OK(promise_vendor(h)->RPV_PurgeGeneration(h->slot, number, PIN(HARNESS_SO_PIN)));
    CHECK(generation_count(h, &number) == 1);
    promise_audit(h);
    harness_unload(h);
    return 0;
}

static int sweep_generation(void *ctx)
{
    struct harness *h = ctx;
    CK_ULONG number, purged;
    harness_load(h);
    harness_slot(h);
    CHECK(generation_count(h, &number) == 1);   /* due: gone for every reader */
    OK(promise_vendor(h)->RPV_Sweep(100, &purged));
    CHECK(purged == 1);
    promise_audit(h);
    harness_unload(h);
    return 0;
}

/* Whether the key of this label, whoever is logged in, gives its value or can be used. */
static bool key_opens(struct harness *h, CK_SESSION_HANDLE session, const char *label)
{
    CK_OBJECT_HANDLE key;
    CK_BYTE value[32], block[16];
    CK_ATTRIBUTE get[] = {ATTR_BYTES(CKA_VALUE, value, sizeof(value))};
    if (promise_find(h, session, label, false, &key, 1) == 0)
        return false;
    return h->f->C_GetAttributeValue(session, key, get, 1) == CKR_OK ||
           promise_use(h, session, key, block) == CKR_OK;
}

struct attack {
    struct harness *h;
    const char *store;
    bool live;                   /* the generation is the live one in that database */
    bool opens;
};

/* Every PIN there is, as every principal, and no PIN for what is public. */
static int attack_live(void *ctx)
{
    static const char *const pins[] = {HARNESS_USER_PIN, "alice:alice's pin"};
    const struct attack *attack = ctx;
    struct harness *h = attack->h;
    store_open(h, attack->store);
    CK_SESSION_HANDLE session = harness_session(h, 0);
    CHECK(key_opens(h, session, "public") == attack->opens);
    for (size_t i = 0; i < COUNT_OF(pins); i++) {
        CHECK((h->f->C_Login(session, CKU_USER, PIN(pins[i])) == CKR_OK) == attack->opens);
        CHECK(key_opens(h, session, "doomed") == attack->opens);
        CHECK(key_opens(h, session, "public") == attack->opens);
        h->f->C_Logout(session);
    }
    OK(h->f->C_CloseSession(session));
    session = harness_session_rw(h);
    CHECK((h->f->C_Login(session, CKU_SO, PIN(HARNESS_SO_PIN)) == CKR_OK) == attack->opens);
    harness_unload(h);
    return 0;
}

static int attack_deleted(void *ctx)
{
    static const struct { CK_USER_TYPE type; const char *pin; } by[] = {
        {CKU_SO, HARNESS_SO_PIN}, {CKU_USER, HARNESS_USER_PIN},
    };
    const struct attack *attack = ctx;
    struct harness *h = attack->h;
    CK_ULONG number;
    CK_RV rv = CKR_GENERAL_ERROR;
    store_open(h, attack->store);
    CHECK(generation_count(h, &number) == 2);
    for (size_t i = 0; rv != CKR_OK && i < COUNT_OF(by); i++)
        rv = promise_vendor(h)->RPV_RecoverGeneration(h->slot, number, by[i].type,
                                                      PIN(by[i].pin));
    CHECK((rv == CKR_OK) == attack->opens);
    CK_SESSION_HANDLE session = harness_session(h, 0);
    harness_login(h, session, CKU_USER);
    CHECK(key_opens(h, session, "doomed") == attack->opens);
    CHECK(key_opens(h, session, "public") == attack->opens);
    CHECK(key_opens(h, session, "stays") != attack->opens);
    harness_unload(h);
    return 0;
}

/* None of the slots' secrets, which every key of the generation hangs on, is in any file. */
static void secrets_check(const char *before, const char *store)
{
    CK_BYTE gone[16][SLOT_BYTES];
    size_t n = secrets_gone(before, store, gone, COUNT_OF(gone));
    CHECK(n == GENERATION_SLOTS);
    for (size_t i = 0; i < n; i++) {
        CHECK(files_with(before, gone[i], SLOT_BYTES) == 1);
        CHECK(files_with(store, gone[i], SLOT_BYTES) == 0);
    }
}

static void generation_is_unrecoverable(struct harness *h, fork_fn purge, struct test_clock *clock)
{
    char store[512], live[512], deleted[512], path[512];
    store_path(h, "store", store);
    store_path(h, "live", live);
    store_path(h, "deleted", deleted);
    CHECK(fork_run(make_generation, h) == 0);
    promise_copy_dir(store, live);
    CHECK(fork_run(retire_generation, h) == 0);
    promise_copy_dir(store, deleted);
    store_path(h, "control", path);
    promise_copy_dir(deleted, path);
    CHECK(fork_run(attack_deleted, &(struct attack){h, "control", false, true}) == 0);
    store_path(h, "control live", path);
    promise_copy_dir(live, path);
    CHECK(fork_run(attack_live, &(struct attack){h, "control live", true, true}) == 0);
    clock->wall += 91 * DAY;
    clock->boot += 91 * DAY;
    CHECK(fork_run(purge, h) == 0);
    clock->wall -= 91 * DAY;     /* the copies are looked at in their time */
    clock->boot -= 91 * DAY;
    secrets_check(deleted, store);
    file_put(h, "store", "live", "slots");
    CHECK(fork_run(attack_live, &(struct attack){h, "live", true, false}) == 0);
    file_put(h, "store", "deleted", "slots");
    CHECK(fork_run(attack_deleted, &(struct attack){h, "deleted", false, false}) == 0);
    CHECK(fork_run(look_at_store, &(struct look){h, "store", "doomed", false}) == 0);
    CHECK(fork_run(look_at_store, &(struct look){h, "store", "stays", true}) == 0);
}

static struct test_clock *clock_make(const struct harness *h)
{
    char path[512];
    store_path(h, "clock", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, sizeof(struct test_clock)) == 0);
    struct test_clock *clock = mmap(NULL, sizeof(*clock), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                                    0);
    CHECK(clock != MAP_FAILED);
    close(fd);
    *clock = (struct test_clock){.wall = 1700000000, .boot = 1000, .boot_id = {1}};
    setenv("REPRIEVE_TEST_CLOCK", path, 1);
    return clock;
}

static void purged_generation_is_unrecoverable(void **state)
{
    struct test_clock none;
    struct harness h;
    (void)state;
    memset(&none, 0, sizeof(none));
    harness_init(&h, UNPROTECTED);
    generation_is_unrecoverable(&h, purge_generation, &none);
    harness_done(&h);
}

static char test_module[4200];   /* the product but for its clock */

static void swept_generation_is_unrecoverable(void **state)
{
    char *module = getenv("REPRIEVE_MODULE");
    struct harness h;
    (void)state;
    if (module == NULL)
        skip();
    module = strdup(module);
    setenv("REPRIEVE_MODULE", test_module, 1);
    harness_init(&h, NULL);
    struct test_clock *clock = clock_make(&h);
    generation_is_unrecoverable(&h, sweep_generation, clock);
    munmap(clock, sizeof(*clock));
    harness_done(&h);
    setenv("REPRIEVE_MODULE", module, 1);
    unsetenv("REPRIEVE_TEST_CLOCK");
    free(module);
}

/* ------------------------------------------------------------------ users */

/* Alice is removed; one key goes with a purge, one is made. */
static int remove_user(void *ctx)
{
    struct harness *h = ctx;
    harness_load(h);
    harness_slot(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_SO);
    OK(promise_vendor(h)->RPV_RemoveUser(session, "alice"));
    OK(h->f->C_Logout(session));
    harness_login(h, session, CKU_USER);
    OK(promise_purge(h, session, "deleted"));
    OK(promise_create(h, session, "later", 0x1a));
    harness_unload(h);
    return 0;
}

struct alice { struct harness *h; const char *store; bool enters; };

static int alice_looks(void *ctx)
{
    const struct alice *alice = ctx;
    struct harness *h = alice->h;
    CK_TOKEN_INFO info;
    CK_OBJECT_HANDLE key;
    store_open(h, alice->store);
    OK(h->f->C_GetTokenInfo(h->slot, &info));
    CK_SESSION_HANDLE session = harness_session(h, 0);
    CK_RV rv = h->f->C_Login(session, CKU_USER, PIN("alice:alice's pin"));
    EXPECT(rv, alice->enters ? CKR_OK : CKR_PIN_INCORRECT);
    CHECK(((info.flags & CKF_WRITE_PROTECTED) != 0) == alice->enters);
    CHECK(key_opens(h, session, "doomed") == alice->enters);
    CHECK(!key_opens(h, session, "later"));
    if (alice->enters && promise_find(h, session, "deleted", true, &key, 1) == 1)
        CHECK(promise_recover(h, session, key) != CKR_OK);
    CHECK(!key_opens(h, session, "deleted"));
    harness_unload(h);
    return 0;
}

/* What holds: in the store she cannot log in. In an older database, put back beside the slots and
 * the host's files of now, her PIN opens what it opened then, except what was purged since; that
 * it is an older one is noticed, and what came later is not in it. */
static void removed_user_sees_nothing_later(void **state)
{
    struct harness h;
    char store[512], older[512];
    (void)state;
    harness_init(&h, UNPROTECTED);
    CHECK(fork_run(make_generation, &h) == 0);
    store_path(&h, "store", store);
    store_path(&h, "older", older);
    promise_copy_dir(store, older);
    CHECK(fork_run(remove_user, &h) == 0);
    CHECK(fork_run(alice_looks, &(struct alice){&h, "store", false}) == 0);
    file_put(&h, "store", "older", "slots");
    file_put(&h, "store", "older", "host.key");
    file_put(&h, "store", "older", "host.head");
    CHECK(fork_run(alice_looks, &(struct alice){&h, "older", true}) == 0);
    CHECK(fork_run(look_at_store, &(struct look){&h, "store", "later", true}) == 0);
    harness_done(&h);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(purged_key_is_unrecoverable),
        cmocka_unit_test(purged_generation_is_unrecoverable),
        cmocka_unit_test(swept_generation_is_unrecoverable),
        cmocka_unit_test(removed_user_sees_nothing_later),
        cmocka_unit_test(store_has_no_clear_secret),
    };
    char self[4096];
    (void)argc;
    snprintf(self, sizeof(self), "%s", argv[0]);
    snprintf(test_module, sizeof(test_module), "%s/reprieve-test.so", dirname(self));
    return cmocka_run_group_tests_name("purge", tests, NULL, NULL);
}
