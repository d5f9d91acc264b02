/*
 * e2e_backup_file.c: where a backup is put. Directories that cannot be read or synced, and file
 * systems that do not know how to rename without replacing; the test's own calls stand before
 * libc's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "promise.h"

/* What the file system does not do, as an errno; 0: it does. */
static int no_rename, no_directory_sync;
static unsigned refused;

#pragma GCC visibility push(default)
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    if (flags == 0 || no_rename == 0)
        return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
    refused++;
    errno = no_rename;
    return -1;
}

int fsync(int fd)
{
    struct stat st;
    if (no_directory_sync == 0 || fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode))
        return (int)syscall(SYS_fsync, fd);
    refused++;
    errno = no_directory_sync;
    return -1;
}

#pragma GCC visibility pop

static struct harness h;
static CK_SESSION_HANDLE session;
static char drop[300], file[340];

static int setup(void **state)
{
    (void)state;
    harness_init(&h, NULL);
    session = harness_start(&h);
    OK(promise_create(&h, session, "kept", 7));
    snprintf(drop, sizeof(drop), "%s/drop", h.dir);
    snprintf(file, sizeof(file), "%s/backup", drop);
    CHECK(mkdir(drop, 0700) == 0);
    no_rename = no_directory_sync = 0;
    refused = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    no_rename = no_directory_sync = 0;
    CHECK(chmod(drop, 0700) == 0);
    harness_unload(&h);
    harness_done(&h);
    return 0;
}

static CK_RV backup(void)
{
    struct RPV_BACKUP ask = {.pPath = file};
    unsigned long long objects = 0;
    return promise_vendor(&h)->RPV_Backup(session, NULL, 0, &ask, &objects);
}

/* It is there, whole, and nothing lies beside it. */
static void file_expect(void)
{
    struct RPV_BACKUP_INFO info;
    struct stat st;
    CHECK(chmod(drop, 0700) == 0);
    OK(promise_vendor(&h)->RPV_ShowBackup(file, -1, &info));
    assert_true(info.bWhole);
    assert_int_equal(info.objects, 1);
    CHECK(stat(file, &st) == 0);
    assert_int_equal(st.st_nlink, 1);
    CHECK(unlink(file) == 0);
    CHECK(rmdir(drop) == 0);
    CHECK(mkdir(drop, 0700) == 0);
}

static void test_no_rename(void **state)
{
    static const int errors[] = {EINVAL, ENOSYS};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        no_rename = errors[i];
        OK(backup());
        assert_int_equal(refused, i + 1);
        file_expect();
    }
    no_rename = EIO;
    EXPECT(backup(), CKR_FUNCTION_FAILED);
    CHECK(rmdir(drop) == 0);             /* nothing is left */
    CHECK(mkdir(drop, 0700) == 0);
}

static void test_no_directory_sync(void **state)
{
    static const int errors[] = {EINVAL, EBADF, EROFS};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        no_directory_sync = errors[i];
        OK(backup());
        file_expect();
    }
    assert_int_equal(refused, COUNT_OF(errors));
    no_directory_sync = EIO;             /* the name may not outlive a crash */
    EXPECT(backup(), CKR_FUNCTION_FAILED);
    CHECK(rmdir(drop) == 0);
    CHECK(mkdir(drop, 0700) == 0);
}

/* Root, too, reads a directory by its mode then. */
static void capabilities_drop(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    CHECK(syscall(SYS_capget, &header, data) == 0);
    data[0].effective &= ~((1u << CAP_DAC_OVERRIDE) | (1u << CAP_DAC_READ_SEARCH));
    CHECK(syscall(SYS_capset, &header, data) == 0);
}

static void test_drop_directory(void **state)
{
    (void)state;
    capabilities_drop();
    CHECK(chmod(drop, 0300) == 0);
    CHECK(open(drop, O_RDONLY | O_DIRECTORY) < 0 && errno == EACCES);
    OK(backup());
    file_expect();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_rename, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_directory_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drop_directory, setup, teardown),
    };
    harness_fail_hook = _fail;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
