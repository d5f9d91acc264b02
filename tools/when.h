/* when.h: times as people and programs write them. */
#ifndef WHEN_H
#define WHEN_H
#include <stdbool.h>

#define WHEN_SIZE 32
#define WHEN_UTC16 16

/* RFC 3339 in UTC: 2026-01-31T12:00:00Z. */
void when_format(long long time, char ret_text[WHEN_SIZE]);
/* PKCS#11's 16 digits (as CK_TOKEN_INFO.utcTime). */
bool when_parse_utc16(const void *text, unsigned long len, long long *ret_time);
bool when_format_utc16(long long time, char ret_text[WHEN_UTC16 + 1]);
/* RFC 3339 (a date alone is its midnight, UTC), or an age: 90s, 30m, 24h, 7d before now. */
bool when_parse(const char *text, long long now, long long *ret_time);
/* The same, but 7d is 7 days from now on. */
bool when_parse_ahead(const char *text, long long now, long long *ret_time);
#endif
