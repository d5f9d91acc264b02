/* test_clock.h: the clock that a test sets for tests/reprieve-test.so. */
#ifndef TEST_CLOCK_H
#define TEST_CLOCK_H
#include <stdint.h>

struct test_clock {
    int64_t wall, boot;          /* seconds */
    uint8_t boot_id[16];
};
#endif
