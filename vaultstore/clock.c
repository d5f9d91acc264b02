#include "clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DAY 86400

/* ------------------------------------------------------------------ the system's clocks */

static int64_t system_seconds(clockid_t clock)
{
    struct timespec t = {0};
    clock_gettime(clock, &t);
    return t.tv_sec;
}

static int64_t system_wall(void *ctx)
{
    (void)ctx;
    return system_seconds(CLOCK_REALTIME);
}

static int64_t system_boot(void *ctx)
{
    (void)ctx;
    return system_seconds(CLOCK_BOOTTIME);
}

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* A UUID's digits, dashes left out. */
static void uuid_parse(const char *text, uint8_t ret_id[16])
{
    memset(ret_id, 0, 16);
    for (size_t n = 0; *text && n < 32; text++) {
        int value = hex_value(*text);
        if (value < 0)
            continue;
        ret_id[n / 2] = (uint8_t)(ret_id[n / 2] << 4 | value);
        n++;
    }
}

/* Read once: it cannot change under a running process. Without /proc it is all zeros. */
static uint8_t system_id[16];
static pthread_once_t system_id_once = PTHREAD_ONCE_INIT;

static void system_id_read(void)
{
    char text[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    uuid_parse(text, system_id);
}

static void system_boot_id(void *ctx, uint8_t ret_id[16])
{
    (void)ctx;
    pthread_once(&system_id_once, system_id_read);
    memcpy(ret_id, system_id, sizeof(system_id));
}

const struct vs_time_source *clock_system(void)
{
    static const struct vs_time_source source = {
        .wall = system_wall, .boot = system_boot, .boot_id = system_boot_id,
    };
    return &source;
}

/* ------------------------------------------------------------------ the vault clock */

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;
    return !__builtin_add_overflow(a, b, &sum) ? sum : b > 0 ? INT64_MAX : INT64_MIN;
}

static int64_t elapsed(int64_t from, int64_t to)
{
    int64_t seconds;
    if (to <= from)
        return 0;
    return __builtin_sub_overflow(to, from, &seconds) ? INT64_MAX : seconds;
}

/*
 * The new anchor's wall time never goes back either: a wall clock that was wrong for one boot (a
 * machine without a battery starts in 1970) and was put right in it must not look, at the next
 * boot, like decades gone by. Within a boot it moves at least as far as the vault clock, so that
 * no second is credited twice.
 */
void clock_read(const struct vs_time_source *source, const struct clock_anchor *anchor,
                struct clock_reading *ret_reading)
{
    struct clock_anchor now = {.wall = source->wall(source->ctx),
                               .boot = source->boot(source->ctx)};
    source->boot_id(source->ctx, now.boot_id);
    now.vault = now.wall;
    bool jumped = false;
    if (anchor) {
        bool same_boot = memcmp(anchor->boot_id, now.boot_id, sizeof(now.boot_id)) == 0;
        int64_t credit = same_boot ? elapsed(anchor->boot, now.boot)
                                   : elapsed(anchor->wall, now.wall);
        jumped = !same_boot && (credit > DAY || elapsed(now.wall, anchor->wall) > DAY);
        now.vault = add(anchor->vault, credit);
        if (now.wall < add(anchor->wall, credit))
            now.wall = add(anchor->wall, credit);
    }
    *ret_reading = (struct clock_reading){.now = now.vault, .jumped = jumped, .anchor = now};
}
