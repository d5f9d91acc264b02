/* The slot file: batches, wiping, what a crash leaves, a full disk. */
#include "vaultstore/keyslot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit_tmp.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sealer *sealer;
static struct tmp tmp;
static const uint8_t zero[KEYSLOT_SIZE];

static int group_setup(void **state)
{
    (void)state;
    return sealer_new(&sealer);
}

static int group_teardown(void **state)
{
    (void)state;
    sealer_free(sealer);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    tmp = tmp_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tmp_remove(&tmp);
    return 0;
}

static struct keyslots *slots_open(void)
{
    struct keyslots *slots = NULL;
    assert_int_equal(keyslots_open(tmp_file(&tmp, "slots"), sealer, &slots), 0);
    return slots;
}

static off_t slots_size(void)
{
    struct stat st;
    assert_int_equal(stat(tmp_file(&tmp, "slots"), &st), 0);
    return st.st_size;
}

static void test_batches(void **state)
{
    (void)state;
    uint8_t a[KEYSLOT_SIZE], b[KEYSLOT_SIZE], again[KEYSLOT_SIZE];
    struct keyslots *slots = slots_open();
    struct stat st;
    stat(tmp_file(&tmp, "slots"), &st);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(keyslots_read(slots, 0, a), VS_E_CORRUPT);
    assert_int_equal(keyslots_prepare(slots, 0), 0);
    assert_int_equal(slots_size(), 1024 * 32);
    assert_int_equal(keyslots_read(slots, 0, a), 0);
    assert_int_equal(keyslots_read(slots, 1023, b), 0);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_memory_not_equal(a, zero, sizeof(a));
    assert_int_equal(keyslots_read(slots, 1024, b), VS_E_CORRUPT);
    assert_int_equal(keyslots_read(slots, UINT64_MAX, b), VS_E_CORRUPT);
    assert_int_equal(keyslots_prepare(slots, 1023), 0);
    assert_int_equal(slots_size(), 1024 * 32);
    assert_int_equal(keyslots_prepare(slots, 5000), 0);
    assert_int_equal(slots_size(), 5 * 1024 * 32);
    assert_int_equal(keyslots_prepare(slots, UINT64_MAX), VS_E_FULL);
    assert_int_equal(keyslots_read(slots, 0, again), 0);
    assert_memory_equal(a, again, sizeof(a));
    keyslots_close(slots);
}

static void test_wipe(void **state)
{
    (void)state;
    uint8_t secret[KEYSLOT_SIZE], raw[KEYSLOT_SIZE];
    const uint64_t gone[] = {3, 1000}, beyond[] = {1024, 4};
    struct keyslots *slots = slots_open();
    assert_int_equal(keyslots_prepare(slots, 0), 0);
    assert_int_equal(keyslots_read(slots, 4, secret), 0);
    for (int i = 0; i < 2; i++)   /* again: idempotent */
        assert_int_equal(keyslots_wipe(slots, gone, 2), 0);
    memset(secret, 7, sizeof(secret));
    assert_int_equal(keyslots_read(slots, 3, secret), VS_NOT_FOUND);
    assert_int_equal(secret[0], 7);   /* untouched */
    assert_int_equal(keyslots_read(slots, 1000, secret), VS_NOT_FOUND);
    assert_int_equal(keyslots_wipe(slots, beyond, 2), 0);   /* the file is an older one: the rest */
    assert_int_equal(keyslots_read(slots, 4, secret), VS_NOT_FOUND);
    assert_int_equal(keyslots_read(slots, 1024, secret), VS_E_CORRUPT);
    assert_int_equal(keyslots_wipe(slots, NULL, 0), 0);
    keyslots_close(slots);
    int fd = open(tmp_file(&tmp, "slots"), O_RDONLY);
    assert_int_equal(pread(fd, raw, sizeof(raw), 3 * 32), 32);
    close(fd);
    assert_memory_equal(raw, zero, sizeof(zero));
}

/* A batch that is short, whose end is half a slot, or that reached the disk as zeros. */
static void test_after_crash(void **state)
{
    (void)state;
    uint8_t kept[KEYSLOT_SIZE], secret[KEYSLOT_SIZE];
    struct keyslots *slots = slots_open();
    assert_int_equal(keyslots_prepare(slots, 0), 0);
    assert_int_equal(keyslots_read(slots, 99, kept), 0);
    assert_int_equal(keyslots_wipe(slots, &(uint64_t){5}, 1), 0);
    keyslots_close(slots);
    assert_int_equal(truncate(tmp_file(&tmp, "slots"), 100 * 32 + 7), 0);
    assert_int_equal(truncate(tmp_file(&tmp, "slots"), 300 * 32 + 9), 0);   /* a hole: zeros */

    slots = slots_open();
    assert_int_equal(keyslots_read(slots, 150, secret), VS_NOT_FOUND);
    assert_int_equal(keyslots_prepare(slots, 50), 0);   /* 50 is the next that is used */
    assert_int_equal(slots_size(), 1024 * 32);
    for (uint64_t slot = 50; slot < 1024; slot++)
        assert_int_equal(keyslots_read(slots, slot, secret), 0);
    assert_int_equal(keyslots_read(slots, 99, secret), 0);
    assert_memory_equal(secret, kept, sizeof(kept));
    assert_int_equal(keyslots_read(slots, 5, secret), VS_NOT_FOUND);   /* wiped stays wiped */
    keyslots_close(slots);
}

static void test_two_openers(void **state)
{
    (void)state;
    uint8_t a[KEYSLOT_SIZE], b[KEYSLOT_SIZE];
    struct keyslots *one = slots_open(), *two = slots_open();
    assert_int_equal(keyslots_prepare(one, 0), 0);
    assert_int_equal(keyslots_read(one, 8, a), 0);
    assert_int_equal(keyslots_prepare(two, 8), 0);
    assert_int_equal(keyslots_read(two, 8, b), 0);
    assert_memory_equal(a, b, sizeof(a));
    assert_int_equal(keyslots_prepare(two, 1024), 0);
    assert_int_equal(keyslots_read(one, 1024, a), 0);
    keyslots_close(one);
    keyslots_close(two);
}

/* The file-size limit stands for a full disk: the first batch fits, the second partly. */
static void test_full(void **state)
{
    (void)state;
    uint8_t secret[KEYSLOT_SIZE];
    struct rlimit old, small;
    struct keyslots *slots = slots_open();
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 1500 * 32 + 5;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(keyslots_prepare(slots, 0), 0);
    assert_int_equal(keyslots_prepare(slots, 1024), VS_E_FULL);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(keyslots_read(slots, 1023, secret), 0);
    assert_int_equal(keyslots_prepare(slots, 1024), 0);
    assert_int_equal(slots_size(), 2048 * 32);
    assert_int_equal(keyslots_read(slots, 2047, secret), 0);
    keyslots_close(slots);
}

static void test_refused_paths(void **state)
{
    (void)state;
    struct keyslots *slots;
    assert_int_equal(symlink("elsewhere", tmp_file(&tmp, "slots")), 0);
    assert_int_equal(keyslots_open(tmp_file(&tmp, "slots"), sealer, &slots), VS_E_PERM);
    assert_int_equal(keyslots_open(tmp_file(&tmp, "none/slots"), sealer, &slots), VS_E_IO);
    keyslots_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wipe, setup, teardown),
        cmocka_unit_test_setup_teardown(test_after_crash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_openers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_paths, setup, teardown),
    };
    return cmocka_run_group_tests_name("keyslot", tests, group_setup, group_teardown);
}
