/* Secret memory: wiped, not inherited, shared by threads without a leak; and the status names. */
#include "vaultstore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN 1
#endif
#endif

static void test_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 32, 33, 64, 1000, 4096, 16384, 16385, 1000000};
    uint8_t *blocks[10];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 10; i++) {
            blocks[i] = vs_secret_alloc(sizes[i]);
            assert_non_null(blocks[i]);
            assert_int_equal((uintptr_t)blocks[i] % 32, 0);
            memset(blocks[i], (int)i + 1, sizes[i]);
        }
        for (size_t i = 0; i < 10; i++) {
            for (size_t at = 0; at < sizes[i]; at++)
                assert_int_equal(blocks[i][at], i + 1);
            vs_secret_free(blocks[i], sizes[i]);
        }
    }
    vs_secret_free(NULL, 10);
    assert_null(vs_secret_alloc(SIZE_MAX));
    assert_null(vs_secret_alloc(SIZE_MAX / 2));
}

/* The block lies free with its old bytes gone; under ASan nobody may look. */
static void test_wiped(void **state)
{
    (void)state;
#ifdef ASAN
    skip();
#else
    uint8_t *block = vs_secret_alloc(64);
    memset(block, 0xa5, 64);
    vs_secret_free(block, 64);
    const volatile uint8_t *free_block = block;
    for (size_t i = 8; i < 64; i++)
        assert_int_equal(free_block[i], 0);
    assert_ptr_equal(vs_secret_alloc(64), block);
    vs_secret_free(block, 64);
#endif
}

/* Churns while others do; its own bytes stay its own. */
static void *thread_work(void *arg)
{
    uint8_t mark = *(uint8_t *)arg, *blocks[20] = {0};
    for (size_t i = 0; i < 4000; i++) {
        size_t at = i % 20, size = (size_t)32 << at % 5;
        for (size_t b = 0; blocks[at] && b < size; b++)
            if (blocks[at][b] != mark)
                return "another's bytes";
        vs_secret_free(blocks[at], size);
        blocks[at] = vs_secret_alloc(size);
        if (!blocks[at])
            return "no memory";
        memset(blocks[at], mark, size);
    }
    for (size_t at = 0; at < 20; at++)
        vs_secret_free(blocks[at], (size_t)32 << at % 5);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[12];
    uint8_t marks[12];
    for (size_t i = 0; i < 12; i++) {
        marks[i] = (uint8_t)(i + 1);
        assert_int_equal(pthread_create(&threads[i], NULL, thread_work, &marks[i]), 0);
    }
    for (size_t i = 0; i < 12; i++) {
        void *complaint;
        pthread_join(threads[i], &complaint);
        assert_null(complaint);
    }
}

static size_t mapped_kib(void)
{
    char line[128];
    size_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "VmSize: %zu", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib;
}

static void *free_all(void *arg)
{
    void **blocks = arg;
    for (size_t i = 0; i < 64; i++)
        vs_secret_free(blocks[i], 2048);
    return NULL;
}

/* One thread takes, ever new threads give back: what was given back is found again. */
static void test_producer(void **state)
{
    (void)state;
    void *blocks[64];
    size_t before = 0;
    for (int round = 0; round < 100; round++) {
        pthread_t thread;
        for (size_t i = 0; i < 64; i++)
            blocks[i] = vs_secret_alloc(2048);
        assert_int_equal(pthread_create(&thread, NULL, free_all, blocks), 0);
        pthread_join(thread, NULL);
        if (round == 20)
            before = mapped_kib();
    }
    assert_true(mapped_kib() < before + 4096);   /* 10 MiB went through since */
}

static int child(const uint8_t *inherited, uint8_t *small)
{
    for (size_t i = 0; i < 32; i++)
        if (inherited[i] != 0)
            return 1;
    uint8_t *own = vs_secret_alloc(32);
    if (!own)
        return 2;
    memset(own, 1, 32);
    vs_secret_free(own, 32);
    vs_secret_free(small, 32);   /* the parent's block is no harm to give back */
    return 0;
}

static void *churn(void *arg)
{
    while (!__atomic_load_n((bool *)arg, __ATOMIC_ACQUIRE))
        vs_secret_free(vs_secret_alloc(32), 32);
    return NULL;
}

/* Forked while other threads hold the locks: the child has empty memory and works at once. */
static void test_fork(void **state)
{
    (void)state;
    pthread_t threads[3];
    bool stop = false;
    uint8_t *secret = vs_secret_alloc(32);
    memset(secret, 0x77, 32);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &stop), 0);
    int faults = 0;
    for (int i = 0; i < 30; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            alarm(10);
            _exit(child(secret, secret));
        }
        waitpid(pid, &status, 0);
        faults += status != 0;
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(faults, 0);
    assert_int_equal(secret[31], 0x77);
    vs_secret_free(secret, 32);
}

static void test_status_names(void **state)
{
    (void)state;
    for (int status = VS_E_BUSY; status <= VS_NAME_RESERVED; status++)
        assert_string_not_equal(vs_status_name(status), "unknown status");
    assert_string_equal(vs_status_name(VS_RETAINED), "retained");
    assert_string_equal(vs_status_name(12345), "unknown status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),    cmocka_unit_test(test_wiped),
        cmocka_unit_test(test_threads),  cmocka_unit_test(test_producer),
        cmocka_unit_test(test_fork),     cmocka_unit_test(test_status_names),
    };
    return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
