/* The vault clock under wall clocks that lie and machines that reboot. */
#include "vaultstore/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#define DAY ((int64_t)86400)
#define START (20000 * DAY)

struct machine { int64_t wall, boot; uint8_t boot_id; };

static int64_t machine_wall(void *ctx)
{
    return ((struct machine *)ctx)->wall;
}

static int64_t machine_boot(void *ctx)
{
    return ((struct machine *)ctx)->boot;
}

static void machine_boot_id(void *ctx, uint8_t ret_id[16])
{
    memset(ret_id, ((struct machine *)ctx)->boot_id, 16);
}

/* Boot 1 at START; `written` is what the store has of the clock. */
struct bench {
    struct machine machine;
    struct vs_time_source source;
    struct clock_reading written;
};

static void bench_init(struct bench *bench)
{
    *bench = (struct bench){.machine = {START, 1000, 1}};
    bench->source = (struct vs_time_source){machine_wall, machine_boot, machine_boot_id,
                                            &bench->machine};
    clock_read(&bench->source, NULL, &bench->written);
}

static struct clock_reading look(struct bench *bench)
{
    struct clock_reading reading;
    clock_read(&bench->source, &bench->written.anchor, &reading);
    return reading;
}

static int64_t look_and_write(struct bench *bench)
{
    bench->written = look(bench);
    return bench->written.now;
}

static void run(struct bench *bench, int64_t seconds)
{
    bench->machine.wall += seconds;
    bench->machine.boot += seconds;
}

static void reboot(struct bench *bench, int64_t off)
{
    bench->machine.wall += off;
    bench->machine.boot = 10;
    bench->machine.boot_id++;
}

static void test_first(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    assert_int_equal(bench.written.now, START);
    assert_false(bench.written.jumped);
    assert_int_equal(bench.written.anchor.vault, START);
}

static void test_within_a_boot(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    run(&bench, 100);
    assert_int_equal(look(&bench).now, START + 100);
    bench.machine.wall += 400 * DAY;   /* forward, back: no matter */
    assert_int_equal(look(&bench).now, START + 100);
    assert_true(look(&bench).jumped);
    assert_int_equal(look(&bench).by, 400 * DAY);
    bench.machine.wall -= 900 * DAY;
    assert_int_equal(look_and_write(&bench), START + 100);
    assert_true(bench.written.jumped);
    run(&bench, 5);
    assert_int_equal(look_and_write(&bench), START + 105);
    bench.machine.boot -= 50;   /* never less than what was written */
    assert_int_equal(look(&bench).now, START + 105);
}

/* A boot clock that runs ahead of the wall clock, or falls behind itself: a time namespace. */
static void test_boot_alone(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    run(&bench, 100);
    bench.machine.boot += 400 * DAY;
    assert_int_equal(look_and_write(&bench), START + 102);
    assert_true(bench.written.jumped);
    bench.machine.boot -= 400 * DAY;   /* back outside: goes on from where it was */
    assert_int_equal(look_and_write(&bench), START + 102);
    assert_true(bench.written.jumped);
    run(&bench, 50);
    assert_int_equal(look_and_write(&bench), START + 152);
    assert_false(bench.written.jumped);
}

/* A wall clock put back by less than what has gone by: at most that much is not credited. */
static void test_small_step_back(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    run(&bench, 3600);
    bench.machine.wall -= 60;
    assert_int_equal(look_and_write(&bench), START + 3600 - 58);
    assert_false(bench.written.jumped);
    run(&bench, 10);
    assert_int_equal(look_and_write(&bench), START + 3610 - 58);
}

static void test_strict(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    run(&bench, 100);
    look_and_write(&bench);
    assert_int_equal(bench.written.strict, START + 100);
    reboot(&bench, 400 * DAY);
    look_and_write(&bench);
    assert_int_equal(bench.written.now, START + 100 + 400 * DAY);
    assert_int_equal(bench.written.strict, START + 100);
    run(&bench, 7);
    look_and_write(&bench);
    assert_int_equal(bench.written.strict, START + 107);
    /* deleted at the very start: 107 seconds of uptime ago */
    assert_int_equal(clock_judged(&bench.written, true, START, START), START + 107);
    assert_int_equal(clock_judged(&bench.written, false, START, START), bench.written.now);
    /* never later than the clock itself */
    assert_int_equal(clock_judged(&bench.written, true, bench.written.now, START),
                     bench.written.now);
}

static void test_across_boots(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    reboot(&bench, DAY);
    assert_int_equal(look(&bench).now, START + DAY);
    assert_false(look(&bench).jumped);   /* a day is none yet */
    reboot(&bench, 1);
    assert_int_equal(look(&bench).now, START + DAY + 1);
    assert_true(look(&bench).jumped);
    look_and_write(&bench);
    assert_false(look(&bench).jumped);   /* told once */
    run(&bench, 7);
    assert_int_equal(look(&bench).now, START + DAY + 8);
}

static void test_wall_back(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    reboot(&bench, -DAY);
    assert_int_equal(look(&bench).now, START);
    assert_false(look(&bench).jumped);
    bench.machine.wall--;
    assert_int_equal(look(&bench).now, START);
    assert_true(look(&bench).jumped);
}

/* A machine that starts in 1970, is used, then put right, and rebooted: no decades go by. */
static void test_wrong_for_a_boot(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    reboot(&bench, 0);
    bench.machine.wall = 60;
    assert_int_equal(look_and_write(&bench), START);
    run(&bench, 3600);
    assert_int_equal(look_and_write(&bench), START + 3600);
    bench.machine.wall = START + 2 * 3600;
    reboot(&bench, 0);
    assert_int_equal(look(&bench).now, START + 2 * 3600);   /* not 3: nothing twice */
    assert_false(look(&bench).jumped);
}

/* The same trick over and over: back, write, forward, reboot. */
static void test_ratchet(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    for (int i = 0; i < 50; i++) {
        bench.machine.wall -= 100 * DAY;
        look_and_write(&bench);
        bench.machine.wall += 100 * DAY;
        reboot(&bench, 1);
        look_and_write(&bench);
    }
    assert_int_equal(bench.written.now, START + 50);
}

static void test_extremes(void **state)
{
    (void)state;
    static const int64_t values[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    struct bench bench;
    bench_init(&bench);
    for (int i = 0; i < 5 * 5 * 5 * 2; i++) {
        bench.machine = (struct machine){values[i % 5], values[i / 5 % 5], (uint8_t)(i / 125)};
        bench.written.anchor.wall = bench.written.anchor.boot = values[i / 25 % 5];
        assert_true(look(&bench).now >= bench.written.anchor.vault);
    }
}

static void test_system(void **state)
{
    (void)state;
    const struct vs_time_source *source = clock_system();
    uint8_t id[16], again[16], zero[16] = {0};
    assert_true(source->wall(source->ctx) >= time(NULL) - 1);
    assert_true(source->boot(source->ctx) > 0);
    source->boot_id(source->ctx, id);
    source->boot_id(source->ctx, again);
    assert_memory_equal(id, again, sizeof(id));
    assert_memory_not_equal(id, zero, sizeof(id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first),     cmocka_unit_test(test_within_a_boot),
        cmocka_unit_test(test_across_boots), cmocka_unit_test(test_wall_back),
        cmocka_unit_test(test_wrong_for_a_boot), cmocka_unit_test(test_ratchet),
        cmocka_unit_test(test_boot_alone), cmocka_unit_test(test_small_step_back),
        cmocka_unit_test(test_strict),    cmocka_unit_test(test_extremes),  cmocka_unit_test(test_system),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
