/*
 * The time source of tests/reprieve-test.so, never of the product: the struct test_clock in the
 * file that REPRIEVE_TEST_CLOCK names, shared with the test; without it the system's. The linker
 * puts __wrap_clock_system in clock_system's place.
 */
#include "test_clock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vaultstore/clock.h"

const struct vs_time_source *__real_clock_system(void);
const struct vs_time_source *__wrap_clock_system(void);

static int64_t shared_wall(void *ctx)
{
    const struct test_clock *clock = ctx;
    return clock->wall;
}

static int64_t shared_boot(void *ctx)
{
    const struct test_clock *clock = ctx;
    return clock->boot;
}

static void shared_boot_id(void *ctx, uint8_t ret_id[16])
{
    const struct test_clock *clock = ctx;
    memcpy(ret_id, clock->boot_id, sizeof(clock->boot_id));
}

static void *clock_map(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED
                        : mmap(NULL, sizeof(struct test_clock), PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (page == MAP_FAILED)
        abort();
    return page;
}

const struct vs_time_source *__wrap_clock_system(void)
{
    static struct vs_time_source source = {
        .wall = shared_wall, .boot = shared_boot, .boot_id = shared_boot_id,
    };
    const char *path = getenv("REPRIEVE_TEST_CLOCK");
    if (path == NULL)
        return __real_clock_system();
    if (source.ctx == NULL)
        source.ctx = clock_map(path);
    return &source;
}
