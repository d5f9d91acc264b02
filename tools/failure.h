/*
 * failure.h: why the command did not do what it was asked, kept until main says it once, as text
 * or as JSON, and ends with its exit code.
 */
#ifndef FAILURE_H
#define FAILURE_H
#include <jansson.h>
#include <stdbool.h>

/* Exit codes; documented in reprieve(1). */
enum outcome {
    OUTCOME_OK = 0,
    OUTCOME_FAILED = 1,
    OUTCOME_USAGE = 2,
    OUTCOME_NOT_FOUND = 3, /* or ambiguous */
    OUTCOME_REFUSED = 4,   /* by policy: protected, held, locked */
    OUTCOME_LOGIN = 5,
    OUTCOME_PENDING = 6,   /* noted, and waits for the approval of others */
};

struct failure {
    enum outcome outcome;
    char code[48];    /* CKR_..., or a word of the command's own */
    char reason[640];
    char hint[400];   /* what to do next; may be empty */
    json_t *candidates; /* what an ambiguous name could mean, or NULL */
};

/* Records the failure and returns its outcome. A second call replaces the first. */
enum outcome failure_set(struct failure *failure, enum outcome outcome, const char *code,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Adds or replaces the hint. */
void failure_hint(struct failure *failure, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Writes it to standard error. */
void failure_print(const struct failure *failure, bool json);
void failure_done(struct failure *failure);
#endif
