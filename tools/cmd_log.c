/* cmd_log.c: questions to the event log: query, summaries, export, follow. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit_event.h"
#include "output.h"
#include "when.h"

#define LIMIT_QUERY 100
#define POLL_NS 200000000L

/* ------------------------------------------------------------------ query */

struct collection {
    struct RPV_AUDIT_RECORD *records;
    size_t n, cap;
    unsigned long limit, taken;   /* of one key's */
    char id[33];
    bool short_of_memory;
};

static bool collect(const struct RPV_AUDIT_RECORD *event, void *ctx)
{
    struct collection *c = ctx;

    if (strcmp(c->id, event->uniqueId) != 0 && c->n > 0)
        c->taken = 0;
    memcpy(c->id, event->uniqueId, sizeof(c->id));
    if (c->n == c->cap) {
        size_t cap = c->cap == 0 ? 64 : c->cap * 2;
        void *records = realloc(c->records, cap * sizeof(*c->records));

        c->short_of_memory = records == NULL;
        if (records == NULL)
            return false;
        c->records = records;
        c->cap = cap;
    }
    c->records[c->n++] = *event;
    return ++c->taken < c->limit;
}

static int by_seq(const void *a, const void *b)
{
    const struct RPV_AUDIT_RECORD *x = a, *y = b;

    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* The last `limit` of what is asked for, oldest first. */
static enum outcome collect_last(struct run *run, const struct ask *asked, struct collection *c)
{
    struct ask ask = *asked, one;
    enum outcome outcome = OUTCOME_OK;

    ask.query.bNewestFirst = CK_TRUE;
    for (size_t i = 0; outcome == OUTCOME_OK && (i < ask.n_ids || i == 0); i++) {
        one = ask;
        one.n_ids = ask.n_ids == 0 ? 0 : 1;
        memcpy(one.ids[0], ask.ids[i], sizeof(one.ids[0]));
        c->taken = 0;
        outcome = ask_each(&run->client, &one, collect, c);
    }
    if (outcome == OUTCOME_OK && c->short_of_memory)
        return failure_set(&run->client.failure, OUTCOME_FAILED, "MEMORY", "out of memory");
    if (c->n > 0)
        qsort(c->records, c->n, sizeof(*c->records), by_seq);
    return outcome;
}

static enum outcome query_events(struct run *run, const struct ask *ask)
{
    static const struct column columns[] = {
        {"seq", "SEQ"},     {"time", "TIME"},      {"operation", "OPERATION"},
        {"result", "RESULT"}, {"who", "WHO"},      {"program", "PROGRAM"},
        {"key", "KEY"},     {"version", "VERSION"}, {"count", "COUNT"},
        {"detail", "DETAIL"},
    };
    struct collection c = {.n = 0};
    json_t *rows = NULL;
    enum outcome outcome = run_number(run, OPT_LIMIT, LIMIT_QUERY, &c.limit);

    if (outcome == OUTCOME_OK && c.limit == 0)
        return run_usage(run, "--limit takes a number from 1 on");
    if (outcome == OUTCOME_OK)
        outcome = collect_last(run, ask, &c);
    if (outcome == OUTCOME_OK) {
        rows = json_array();
        for (size_t i = c.n > c.limit ? c.n - c.limit : 0; i < c.n; i++)
            json_array_append_new(rows, run->json ? event_json(&c.records[i])
                                                  : event_row(&c.records[i]));
        output_rows(run->json, "events", rows, columns, COUNT_OF(columns), "No events.");
    }
    free(c.records);
    return outcome;
}

/* ------------------------------------------------------------------ summaries */

struct summary {
    json_t *rows;                 /* by what they have in common */
    bool last_use;
};

static json_t *summary_row(const struct summary *summary, const struct RPV_AUDIT_RECORD *event)
{
    json_t *row = event_row(event);

    json_object_del(row, "seq");
    json_object_del(row, "detail");
    json_object_del(row, "time");
    json_object_set_new(row, "id", output_text(event->uniqueId));
    json_object_set_new(row, "label", output_text(event->label));
    json_object_set_new(row, "uid", json_integer((json_int_t)event->uid));
    json_object_set_new(row, "count", json_integer(0));
    json_object_set_new(row, "first", output_time(event->first));
    if (summary->last_use) {
        json_object_del(row, "operation");
        json_object_del(row, "result");
    }
    return row;
}

static bool summarize(const struct RPV_AUDIT_RECORD *event, void *ctx)
{
    struct summary *summary = ctx;
    char name[512];
    json_t *row = NULL;

    if (event->uniqueId[0] == '\0' || (summary->last_use && !event_is_use(event)))
        return true;
    snprintf(name, sizeof(name), "%s %lu %s %lu %s %s %s", event->uniqueId, event->ulKeyVersion,
             event->principal, event->uid, event->exe, summary->last_use ? "" : event->operation,
             summary->last_use ? "" : event->result);
    for (char *at = name; *at != '\0'; at++)   /* a program's path need not be UTF-8 */
        *at = (unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f ? '?' : *at;
    row = json_object_get(summary->rows, name);
    if (row == NULL) {
        row = summary_row(summary, event);
        json_object_set_new(summary->rows, name, row);
    }
    json_object_set_new(row, "count",
                        json_integer(json_integer_value(json_object_get(row, "count")) +
                                     (json_int_t)event->count));
    json_object_set_new(row, "last", output_time(event->last));
    return true;
}

static int text_order(const json_t *a, const json_t *b, const char *key)
{
    const char *x = json_string_value(json_object_get(a, key));
    const char *y = json_string_value(json_object_get(b, key));

    return strcmp(x != NULL ? x : "", y != NULL ? y : "");
}

static int number_order(const json_t *a, const json_t *b, const char *key)
{
    json_int_t x = json_integer_value(json_object_get(a, key));
    json_int_t y = json_integer_value(json_object_get(b, key));

    return (x > y) - (x < y);
}

/* By key, the newest version first; then what was called most, or used last. */
static int by_key(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    bool calls = json_object_get(x, "operation") != NULL;
    int order = text_order(x, y, "label");

    if (order == 0)
        order = number_order(y, x, "version");
    if (order == 0)
        order = text_order(x, y, "id");
    if (order == 0)
        order = calls ? number_order(y, x, "count") : text_order(y, x, "last");
    return order;
}

/* The rows of an object, in that order. */
static json_t *rows_sorted(const json_t *by_name)
{
    json_t *rows = json_array(), *row = NULL;
    json_t **list = calloc(json_object_size(by_name) + 1, sizeof(json_t *));
    const char *name = NULL;
    size_t n = 0;

    json_object_foreach((json_t *)(uintptr_t)by_name, name, row)
        if (list != NULL)
            list[n++] = row;
    if (n > 0)
        qsort(list, n, sizeof(*list), by_key);
    for (size_t i = 0; i < n; i++)
        json_array_append(rows, list[i]);
    free(list);
    return rows;
}

static enum outcome query_summary(struct run *run, const struct ask *ask, bool last_use)
{
    static const struct column calls[] = {
        {"key", "KEY"},       {"version", "VERSION"}, {"who", "WHO"},   {"uid", "UID"},
        {"program", "PROGRAM"}, {"operation", "OPERATION"}, {"result", "RESULT"},
        {"count", "CALLS"},   {"last", "LAST"},       {"id", "UNIQUE ID"},
    };
    static const struct column uses[] = {
        {"key", "KEY"}, {"version", "VERSION"}, {"who", "WHO"},     {"uid", "UID"},
        {"program", "PROGRAM"}, {"count", "USES"}, {"first", "FIRST"}, {"last", "LAST USE"},
        {"id", "UNIQUE ID"},
    };
    struct summary summary = {.rows = json_object(), .last_use = last_use};
    enum outcome outcome = ask_each(&run->client, ask, summarize, &summary);

    if (outcome == OUTCOME_OK)
        output_rows(run->json, last_use ? "lastUse" : "calls", rows_sorted(summary.rows),
                    last_use ? uses : calls, last_use ? COUNT_OF(uses) : COUNT_OF(calls),
                    "No events.");
    json_decref(summary.rows);
    return outcome;
}

static enum outcome audit_query(struct run *run)
{
    const char *summary = run_option(run, OPT_SUMMARY);
    struct ask ask;
    enum outcome outcome;

    if (summary != NULL && strcmp(summary, "calls") != 0 && strcmp(summary, "last-use") != 0)
        return run_usage(run, "--summary is calls or last-use");
    outcome = ask_read(run, &ask);
    if (outcome != OUTCOME_OK)
        return outcome;
    if (summary == NULL)
        return query_events(run, &ask);
    return query_summary(run, &ask, strcmp(summary, "last-use") == 0);
}

/* ------------------------------------------------------------------ export, follow */

struct writing {
    void (*write)(FILE *stream, const struct RPV_AUDIT_RECORD *event);
    FILE *stream;
    unsigned long n, limit;       /* limit 0: none */
    unsigned long long next;      /* where to go on */
};

static bool write_one(const struct RPV_AUDIT_RECORD *event, void *ctx)
{
    struct writing *writing = ctx;

    writing->write(writing->stream, event);
    writing->n++;
    writing->next = event->seq + 1;
    return writing->limit == 0 || writing->n < writing->limit;
}

static enum outcome audit_export(struct run *run)
{
    const char *format = run_option(run, OPT_FORMAT), *out = run_option(run, OPT_OUT);
    bool cef = format != NULL && strcmp(format, "cef") == 0;
    struct writing writing = {.write = cef ? event_cef : event_json_line, .stream = stdout};
    struct ask ask;
    enum outcome outcome;

    if (format != NULL && !cef && strcmp(format, "jsonl") != 0)
        return run_usage(run, "--format is jsonl or cef");
    outcome = run_number(run, OPT_LIMIT, 0, &writing.limit);
    if (outcome == OUTCOME_OK)
        outcome = ask_read(run, &ask);
    if (outcome != OUTCOME_OK)
        return outcome;
    if (out != NULL)
        writing.stream = fopen(out, "we");
    if (writing.stream == NULL)
        return failure_set(&run->client.failure, OUTCOME_FAILED, "OUTPUT", "cannot write %s", out);
    outcome = ask_each(&run->client, &ask, write_one, &writing);
    if (out != NULL && fclose(writing.stream) != 0 && outcome == OUTCOME_OK)
        outcome = failure_set(&run->client.failure, OUTCOME_FAILED, "OUTPUT", "cannot write %s",
                              out);
    return outcome;
}

/* Without --since from now on. Ends by a signal, or after --limit events. */
static enum outcome audit_follow(struct run *run)
{
    struct writing writing = {.write = run->json ? event_json_line : event_line,
                              .stream = stdout};
    struct ask ask;
    enum outcome outcome = run_number(run, OPT_LIMIT, 0, &writing.limit);

    if (outcome == OUTCOME_OK)
        outcome = ask_read(run, &ask);
    if (outcome == OUTCOME_OK && ask.n_ids > 1)
        return run_usage(run, "several keys are called so: follow one, by its unique id");
    if (outcome == OUTCOME_OK && ask.query.since == 0) {
        outcome = ask_last(&run->client, &writing.next);
        writing.next++;
    }
    while (outcome == OUTCOME_OK && (writing.limit == 0 || writing.n < writing.limit)) {
        ask.query.from = writing.next;
        outcome = ask_each(&run->client, &ask, write_one, &writing);
        if (ferror(stdout))
            return failure_set(&run->client.failure, OUTCOME_FAILED, "OUTPUT",
                               "cannot write to standard output");
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    return outcome;
}

static const struct argp_option query_options[] = {
    ASK_OPTIONS,
    {"limit", OPT_LIMIT, "N", 0, "The last N (100)", 0},
    {"summary", OPT_SUMMARY, "WHICH", 0, "calls: counted by key, version, caller, operation and "
     "result; last-use: of each key by each caller", 0},
    OPTION_END,
};
static const struct argp_option export_options[] = {
    ASK_OPTIONS,
    {"limit", OPT_LIMIT, "N", 0, "The first N", 0},
    {"format", OPT_FORMAT, "FORMAT", 0, "jsonl (default) or cef", 0},
    {"out", OPT_OUT, "FILE", 0, "Into FILE instead of standard output", 0},
    OPTION_END,
};
static const struct argp_option follow_options[] = {
    ASK_OPTIONS,
    {"limit", OPT_LIMIT, "N", 0, "End after N events", 0},
    OPTION_END,
};

const struct command log_commands[] = {
    {"audit query", "", "Asks the log, by key, time, caller and so on",
     "Also by operation and result; and counts. Events of one key are found by an index. Labels of "
     "private keys show with a login (--user, --pin-file).", query_options, 0, 0, NEED_VENDOR | MAY_LOGIN, audit_query},
    {"audit export", "", "Writes events for other programs",
     "JSON, an event a line, with the field names of a cloud key vault's audit events; or CEF.",
     export_options, 0, 0, NEED_VENDOR | MAY_LOGIN, audit_export},
    {"audit follow", "", "Shows events as they happen", "", follow_options, 0, 0,
     NEED_VENDOR | MAY_LOGIN,
     audit_follow},
    {0},
};
