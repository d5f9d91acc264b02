#include "clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DAY 86400
#define TOLERANCE 2       /* seconds that two readings of two clocks may be apart */

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

/*
 * How far this process's time namespace shifts CLOCK_BOOTTIME: 0 outside of one, or where the
 * kernel does not tell. The file is about the namespace of the children, which is another one
 * only between an unshare and the fork.
 */
static int64_t namespace_offset;
static pthread_once_t namespace_once = PTHREAD_ONCE_INIT;

static bool namespace_is_childrens(void)
{
    char own[64], children[64];
    ssize_t n = readlink("/proc/self/ns/time", own, sizeof(own));
    ssize_t m = readlink("/proc/self/ns/time_for_children", children, sizeof(children));
    return n > 0 && n == m && memcmp(own, children, (size_t)n) == 0;
}

static void namespace_read(void)
{
    char line[128];
    long long seconds;
    FILE *file = namespace_is_childrens() ? fopen("/proc/self/timens_offsets", "re") : NULL;
    if (!file)
        return;
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "boottime %lld", &seconds) == 1)
            namespace_offset = seconds;
    fclose(file);
}

/* Asked of the kernel itself: a preloaded library that tells fairy tales does not get in between.
 * (Where time is not 64 bits wide, the C library's way.) */
static int64_t system_boot(void *ctx)
{
    struct timespec t = {0};
    (void)ctx;
    pthread_once(&namespace_once, namespace_read);
    if (sizeof(long) != sizeof(t.tv_sec) || syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &t) != 0)
        clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec - namespace_offset;
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
 * The time gone by within a boot. A boot clock that is behind its anchor was not the same clock:
 * nothing is known of the time in between, and nothing credited.
 */
static int64_t credit_within(const struct clock_anchor *anchor, const struct clock_anchor *now)
{
    int64_t credit = elapsed(anchor->boot, now->boot);
    int64_t limit = add(elapsed(anchor->seen, now->seen), TOLERANCE);
    return now->seen >= anchor->seen && limit < credit ? limit : credit;
}

/* What each clock did, where it should not; the first that is more than a day. */
static void jump_find(const struct clock_anchor *anchor, const struct clock_anchor *now,
                      bool same_boot, struct clock_reading *reading)
{
    int64_t boot = elapsed(anchor->boot, now->boot);
    int64_t expected = add(anchor->seen, boot);
    const struct { bool within; int64_t by; const char *what; } rows[] = {
        {false, elapsed(anchor->wall, now->seen), "wall clock forward across boots"},
        {false, elapsed(now->seen, anchor->wall), "wall clock back across boots"},
        {true, elapsed(now->boot, anchor->boot), "boot clock back within a boot"},
        {true, elapsed(expected, now->seen), "wall clock forward within a boot"},
        {true, now->seen >= anchor->seen ? elapsed(now->seen, expected) : 0,
         "boot clock ahead of the wall clock"},
        {true, elapsed(now->seen, anchor->seen), "wall clock back within a boot"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && !reading->jumped; i++)
        if (rows[i].within == same_boot && rows[i].by > DAY) {
            reading->jumped = true;
            reading->what = rows[i].what;
            reading->by = rows[i].by;
        }
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
    struct clock_anchor now = {.seen = source->wall(source->ctx),
                               .boot = source->boot(source->ctx)};
    struct clock_reading reading = {.jumped = false};
    source->boot_id(source->ctx, now.boot_id);
    now.vault = now.strict = now.wall = now.seen;
    if (anchor) {
        bool same_boot = memcmp(anchor->boot_id, now.boot_id, sizeof(now.boot_id)) == 0;
        int64_t credit = same_boot ? credit_within(anchor, &now)
                                   : elapsed(anchor->wall, now.seen);
        jump_find(anchor, &now, same_boot, &reading);
        reading.booted = !same_boot;
        now.vault = add(anchor->vault, credit);
        now.strict = add(anchor->strict, same_boot ? credit : 0);
        if (now.wall < add(anchor->wall, credit))
            now.wall = add(anchor->wall, credit);
    }
    reading.now = now.vault;
    reading.strict = now.strict;
    reading.anchor = now;
    *ret_reading = reading;
}

int64_t clock_judged(const struct clock_reading *reading, bool strict, int64_t deleted_at,
                     int64_t deleted_strict)
{
    int64_t judged;
    if (!strict)
        return reading->now;
    judged = add(deleted_at, elapsed(deleted_strict, reading->strict));
    return judged < reading->now ? judged : reading->now;
}
