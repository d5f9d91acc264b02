#include "when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void when_format(long long time, char ret_text[WHEN_SIZE])
{
    time_t seconds = (time_t)time;
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(ret_text, WHEN_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(ret_text, WHEN_SIZE, "@%lld", time);
}

static bool in_range(const char *text, const char *format, long long *ret_time)
{
    struct tm tm = {0};
    const char *rest = strptime(text, format, &tm);

    if (rest == NULL || *rest != '\0')
        return false;
    *ret_time = (long long)timegm(&tm);
    return true;
}

bool when_format_utc16(long long time, char ret_text[WHEN_UTC16 + 1])
{
    time_t seconds = (time_t)time;
    struct tm tm;

    return gmtime_r(&seconds, &tm) != NULL &&
           strftime(ret_text, WHEN_UTC16 + 1, "%Y%m%d%H%M%S00", &tm) == WHEN_UTC16;
}

bool when_parse_utc16(const void *text, unsigned long len, long long *ret_time)
{
    char digits[15];

    if (len != 16)
        return false;
    memcpy(digits, text, 14);
    digits[14] = '\0';
    return in_range(digits, "%Y%m%d%H%M%S", ret_time);
}

/* So long before (-1) or behind (1) now. */
static bool parse_span(const char *text, long long now, int direction, long long *ret_time)
{
    static const struct {
        char unit;
        long long seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end = NULL;
    long long count = strtoll(text, &end, 10);

    if (end == text || count < 0 || count > 1000000000LL || *end == '\0' || end[1] != '\0')
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (units[i].unit == *end) {
            *ret_time = now + direction * count * units[i].seconds;
            return true;
        }
    }
    return false;
}

static bool parse_date(const char *text, long long *ret_time)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%SZ",
                                          "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"};

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (in_range(text, formats[i], ret_time))
            return true;
    return false;
}

bool when_parse(const char *text, long long now, long long *ret_time)
{
    return parse_date(text, ret_time) || parse_span(text, now, -1, ret_time);
}

bool when_parse_ahead(const char *text, long long now, long long *ret_time)
{
    return parse_date(text, ret_time) || parse_span(text, now, 1, ret_time);
}
