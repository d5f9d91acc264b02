/*
 * output.h: a result is a JSON value; a list of columns says how people see it. So the table and
 * --json cannot tell different stories.
 */
#ifndef OUTPUT_H
#define OUTPUT_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct column {
    const char *key;     /* in the row's JSON object */
    const char *heading;
};

/* Text as JSON; what is not UTF-8 or a control character shows as \xNN. */
json_t *output_text(const char *text);
json_t *output_bytes_text(const void *bytes, size_t len);
/* Lower-case hexadecimal. */
json_t *output_hex(const void *bytes, size_t len);
/* RFC 3339 UTC; 0 is null. */
json_t *output_time(long long time);

/*
 * Each prints one document to standard output and releases it.
 *   rows:   {NAME: rows}, or a table; `none` when there are no rows
 *   record: the object itself, or one line for each column
 *   done:   the object itself, or the sentence
 */
void output_rows(bool json, const char *name, json_t *rows, const struct column *columns, size_t n,
                 const char *none);
void output_record(bool json, json_t *record, const struct column *columns, size_t n);
void output_done(bool json, json_t *document, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Objects or vaults that a name could mean. */
void output_candidates(const json_t *rows, FILE *stream);
#endif
