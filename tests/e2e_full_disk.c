/*
 * A full disk is CKR_DEVICE_MEMORY, and nothing is lost: on a file system of two megabytes of its
 * own (a tmpfs in a mount namespace; skipped where the kernel allows none).
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "promise.h"

#define NO_NAMESPACE 77

static bool write_text(const char *path, const char *format, unsigned id)
{
    FILE *f = fopen(path, "w");
    return f != NULL && fprintf(f, format, id) > 0 && fclose(f) == 0;
}

static bool small_disk(const char *dir)
{
    unsigned uid = (unsigned)getuid(), gid = (unsigned)getgid();
    if (unshare(CLONE_NEWNS) != 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
            !write_text("/proc/self/setgroups", "deny", 0) ||
            !write_text("/proc/self/uid_map", "0 %u 1\n", uid) ||
            !write_text("/proc/self/gid_map", "0 %u 1\n", gid))
            return false;
    }
    return mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=0700") == 0;
}

/* Creates until the disk is full; returns how many were acknowledged. */
static unsigned fill(struct harness *h, CK_SESSION_HANDLE session, unsigned from)
{
    for (unsigned i = from;; i++) {
        char label[32];
        snprintf(label, sizeof(label), "key %u", i);
        CK_RV rv = promise_create(h, session, label, (CK_BYTE)i);
        if (rv == CKR_OK)
            continue;
        if (rv != CKR_DEVICE_MEMORY)
            harness_fail(__FILE__, __LINE__, "full disk: %s, not CKR_DEVICE_MEMORY", ckr_name(rv));
        return i;
    }
}

static void all_there(struct harness *h, CK_SESSION_HANDLE session, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char label[32];
        CK_OBJECT_HANDLE key;
        CK_BYTE block[16];
        snprintf(label, sizeof(label), "key %u", i);
        CHECK(promise_find(h, session, label, false, &key, 1) == 1);
        OK(promise_use(h, session, key, block));
    }
}

static int look_again(void *ctx)
{
    struct harness *h = ctx;
    harness_load(h);
    harness_slot(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    unsigned n = (unsigned)atoi(getenv("FULL_DISK_KEYS"));
    all_there(h, session, n);
    promise_audit(h);
    harness_unload(h);
    return 0;
}

static int on_small_disk(void *ctx)
{
    struct harness *h = ctx;
    char store[512], text[32];
    snprintf(store, sizeof(store), "%s/disk", h->dir);
    if (mkdir(store, 0700) != 0 || !small_disk(store))
        return NO_NAMESPACE;
    CK_SESSION_HANDLE session = harness_start(h);
    unsigned n = fill(h, session, 0);
    CHECK(n > 10);
    char label[32];
    snprintf(label, sizeof(label), "key %u", n);
    CHECK(promise_see(h, session, label) == SEEN_NOTHING);
    all_there(h, session, n);
    snprintf(text, sizeof(text), "%u", n);
    setenv("FULL_DISK_KEYS", text, 1);

    /* Room again: the same process goes on, and all of it is there for a fresh one. */
    CHECK(mount("tmpfs", store, "tmpfs", MS_REMOUNT, "size=8m,mode=0700") == 0);
    OK(promise_create(h, session, label, 7));
    all_there(h, session, n + 1);
    harness_unload(h);
    snprintf(text, sizeof(text), "%u", n + 1);
    setenv("FULL_DISK_KEYS", text, 1);
    return fork_run(look_again, h);
}

static void full_disk_loses_nothing(void **state)
{
    (void)state;
    struct harness h;
    harness_init(&h, NULL);
    char line[600];
    snprintf(line, sizeof(line), "%s", h.conf);
    FILE *f = fopen(line, "w");
    CHECK(f != NULL);
    fprintf(f, "store = %s/disk/store\nscrypt_log_n = 10\n", h.dir);
    fclose(f);
    int status = fork_run(on_small_disk, &h);
    harness_done(&h);
    if (status == NO_NAMESPACE) {
        print_message("# no mount namespace to be had here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_disk_loses_nothing),
    };
    return cmocka_run_group_tests_name("full disk", tests, NULL, NULL);
}
