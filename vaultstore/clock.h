/*
 * clock.h: the vault clock. Pure but for the time source. The anchor is a record in the store.
 * Within one boot the clock moves with CLOCK_BOOTTIME. Across boots it moves by the wall clock,
 * never back; a jump of more than a day is worth an event.
 */
#ifndef CLOCK_H
#define CLOCK_H
#include "vaultstore.h"

struct clock_anchor { int64_t vault, wall, boot; uint8_t boot_id[16]; };
struct clock_reading { int64_t now; bool jumped; struct clock_anchor anchor; };

const struct vs_time_source *clock_system(void);
/* anchor NULL: the first reading of a new store (vault time is the wall's). ret_reading->anchor is
 * what to store with the next write; `jumped`: say so in the audit. */
void clock_read(const struct vs_time_source *source, const struct clock_anchor *anchor,
                struct clock_reading *ret_reading);
#endif
