/*
 * clock.h: the vault clock. Pure but for the time source. The anchor is a record in the store.
 *
 * Within one boot the clock moves with CLOCK_BOOTTIME, and no further than the wall clock says,
 * unless that went back: neither of the two alone can run it forward. Across boots it moves by the
 * wall clock, never back. The strict clock is the same but for the time across boots, of which it
 * gets no credit. What the clocks say of each other that they should not, by more than a day, is
 * worth an event.
 */
#ifndef CLOCK_H
#define CLOCK_H
#include "vaultstore.h"

struct clock_anchor {
    int64_t vault, wall, boot;
    uint8_t boot_id[16];
    int64_t strict;             /* the strict clock */
    int64_t seen;               /* the wall clock as it was, which `wall` may be ahead of */
};
struct clock_reading {
    int64_t now, strict;
    bool booted;                /* the anchor is of another boot */
    bool jumped;
    const char *what;           /* of a jump, in words */
    int64_t by;                 /* seconds of it */
    struct clock_anchor anchor;
};

const struct vs_time_source *clock_system(void);
/* anchor NULL: the first reading of a new store (vault time is the wall's). ret_reading->anchor is
 * what to store with the next write; `jumped`: say so in the audit. */
void clock_read(const struct vs_time_source *source, const struct clock_anchor *anchor,
                struct clock_reading *ret_reading);
/*
 * The time at which a purge date is judged: `now`, or, under clock_strict, the time of the delete
 * and what the strict clock (which then said deleted_strict) has gone since. Never later than now.
 */
int64_t clock_judged(const struct clock_reading *reading, bool strict, int64_t deleted_at,
                     int64_t deleted_strict);
#endif
