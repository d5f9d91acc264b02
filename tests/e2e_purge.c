/*
 * A purge is a crypto-erase. With the vault's PINs in hand, and even with a copy of the database
 * taken before the purge, what is on disk after it does not open the key again.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "promise.h"

#define SLOT_BYTES 32u

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

struct look {
    struct harness *h;
    const char *store; /* directory under h->dir */
    const char *label;
    bool opens; /* the key's value, state and use are as they were; else: nothing of it */
};

/* With the PINs in hand, through the module, on a store put together from other parts. */
static int look_at_store(void *ctx)
{
    struct look *look = ctx;
    struct harness *h = look->h;
    char conf[512], store[512];
    store_path(h, "look.conf", conf);
    store_path(h, look->store, store);
    FILE *f = fopen(conf, "w");
    CHECK(f != NULL);
    fprintf(f, "store = %s\n", store);
    fclose(f);
    setenv("REPRIEVE_CONF", conf, 1);
    harness_load(h);
    harness_slot(h);
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

    char store[512], before[512], mixed[512], part[600];
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
    size_t len;
    snprintf(part, sizeof(part), "%s/slots", store);
    CK_BYTE *slots = file_read(part, &len);
    snprintf(part, sizeof(part), "%s/slots", mixed);
    FILE *f = fopen(part, "wb");
    CHECK(f != NULL && fwrite(slots, 1, len, f) == len && fclose(f) == 0);
    free(slots);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(purged_key_is_unrecoverable),
        cmocka_unit_test(store_has_no_clear_secret),
    };
    return cmocka_run_group_tests_name("purge", tests, NULL, NULL);
}
