#include "output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "when.h"

#define CELL_MAX 512

json_t *output_hex(const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;
    char *text = malloc(2 * len + 1);
    json_t *value = NULL;

    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[from[i] >> 4];
        text[2 * i + 1] = digits[from[i] & 15];
    }
    value = json_stringn(text, 2 * len);
    free(text);
    return value;
}

json_t *output_time(long long time)
{
    char text[WHEN_SIZE];

    if (time == 0)
        return json_null();
    when_format(time, text);
    return json_string(text);
}

static bool has_control(const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] < 0x20 || bytes[i] == 0x7f)
            return true;
    return false;
}

json_t *output_bytes_text(const void *bytes, size_t len)
{
    const unsigned char *from = bytes;
    /* A label is anybody's bytes: it must break neither JSON nor the reader's terminal. */
    json_t *value = has_control(from, len) ? NULL : json_stringn(bytes, len);
    char *escaped = NULL;
    size_t used = 0;

    if (value != NULL)
        return value;
    escaped = malloc(4 * len + 1);
    if (escaped == NULL)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        if (from[i] >= 0x20 && from[i] < 0x7f)
            escaped[used++] = (char)from[i];
        else
            used += (size_t)snprintf(escaped + used, 5, "\\x%02x", from[i]);
    }
    value = json_stringn(escaped, used);
    free(escaped);
    return value;
}

json_t *output_text(const char *text)
{
    return output_bytes_text(text, strlen(text));
}

static void cell_text(const json_t *row, const char *key, char ret_text[CELL_MAX])
{
    const json_t *value = json_object_get(row, key);

    if (json_is_string(value) && json_string_length(value) > 0)
        snprintf(ret_text, CELL_MAX, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(ret_text, CELL_MAX, "%lld", (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        snprintf(ret_text, CELL_MAX, "%s", json_is_true(value) ? "yes" : "no");
    else
        snprintf(ret_text, CELL_MAX, "-");
}

/* Characters, not bytes; wide ones are rare in labels and only cost alignment. */
static size_t text_width(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_padded(FILE *stream, const char *text, size_t width, bool last)
{
    fputs(text, stream);
    for (size_t i = text_width(text); !last && i < width + 2; i++)
        fputc(' ', stream);
    if (last)
        fputc('\n', stream);
}

static void print_table(FILE *stream, const json_t *rows, const struct column *columns, size_t n)
{
    size_t widths[16] = {0};
    size_t index = 0;
    const json_t *row = NULL;
    char text[CELL_MAX];

    for (size_t c = 0; c < n; c++) {
        widths[c] = text_width(columns[c].heading);
        json_array_foreach(rows, index, row) {
            cell_text(row, columns[c].key, text);
            if (text_width(text) > widths[c])
                widths[c] = text_width(text);
        }
    }
    for (size_t c = 0; c < n; c++)
        print_padded(stream, columns[c].heading, widths[c], c + 1 == n);
    json_array_foreach(rows, index, row) {
        for (size_t c = 0; c < n; c++) {
            cell_text(row, columns[c].key, text);
            print_padded(stream, text, widths[c], c + 1 == n);
        }
    }
}

static void print_document(json_t *document)
{
    json_dumpf(document, stdout, JSON_INDENT(2));
    putchar('\n');
}

void output_rows(bool json, const char *name, json_t *rows, const struct column *columns, size_t n,
                 const char *none)
{
    json_t *document = json_object();

    json_object_set_new(document, name, rows);
    if (json)
        print_document(document);
    else if (json_array_size(rows) == 0)
        puts(none);
    else
        print_table(stdout, rows, columns, n);
    json_decref(document);
}

void output_record(bool json, json_t *record, const struct column *columns, size_t n)
{
    size_t width = 0;
    char text[CELL_MAX];

    for (size_t c = 0; c < n; c++)
        if (text_width(columns[c].heading) > width)
            width = text_width(columns[c].heading);
    if (json)
        print_document(record);
    for (size_t c = 0; c < n && !json; c++) {
        cell_text(record, columns[c].key, text);
        print_padded(stdout, columns[c].heading, width, false);
        puts(text);
    }
    json_decref(record);
}

void output_done(bool json, json_t *document, const char *format, ...)
{
    va_list args;

    if (json) {
        print_document(document);
    } else {
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        putchar('\n');
    }
    json_decref(document);
}

void output_candidates(const json_t *rows, FILE *stream)
{
    static const struct column objects[] = {
        {"uniqueId", "UNIQUE ID"}, {"class", "CLASS"}, {"keyType", "TYPE"},
        {"label", "LABEL"},        {"version", "VERSION"}, {"id", "ID"},
        {"state", "STATE"},        {"deletedAt", "DELETED"},
    };
    static const struct column verdicts[] = {
        {"uniqueId", "UNIQUE ID"}, {"class", "CLASS"}, {"result", "WHY"}};
    static const struct column vaults[] = {
        {"slot", "SLOT"}, {"serial", "SERIAL"}, {"label", "LABEL"}};

    if (json_object_get(json_array_get(rows, 0), "serial") != NULL)
        print_table(stream, rows, vaults, sizeof(vaults) / sizeof(vaults[0]));
    else if (json_object_get(json_array_get(rows, 0), "result") != NULL)
        print_table(stream, rows, verdicts, sizeof(verdicts) / sizeof(verdicts[0]));
    else
        print_table(stream, rows, objects, sizeof(objects) / sizeof(objects[0]));
}
