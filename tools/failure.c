#include "failure.h"

#include <stdarg.h>
#include <stdio.h>

#include "output.h"

enum outcome failure_set(struct failure *failure, enum outcome outcome, const char *code,
                         const char *format, ...)
{
    va_list args;

    failure->outcome = outcome;
    snprintf(failure->code, sizeof(failure->code), "%s", code);
    va_start(args, format);
    vsnprintf(failure->reason, sizeof(failure->reason), format, args);
    va_end(args);
    failure->hint[0] = '\0';
    return outcome;
}

void failure_hint(struct failure *failure, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(failure->hint, sizeof(failure->hint), format, args);
    va_end(args);
}

static void print_json(const struct failure *failure)
{
    json_t *error = json_object();
    json_t *document = json_object();

    json_object_set_new(error, "code", output_text(failure->code));
    json_object_set_new(error, "reason", output_text(failure->reason));
    json_object_set_new(error, "hint", output_text(failure->hint));
    if (failure->candidates != NULL)
        json_object_set(error, "candidates", failure->candidates);
    json_object_set_new(document, "error", error);
    json_dumpf(document, stderr, JSON_INDENT(2));
    fputc('\n', stderr);
    json_decref(document);
}

void failure_print(const struct failure *failure, bool json)
{
    if (json) {
        print_json(failure);
        return;
    }
    fprintf(stderr, "reprieve: %s (%s)\n", failure->reason, failure->code);
    if (failure->candidates != NULL)
        output_candidates(failure->candidates, stderr);
    if (failure->hint[0] != '\0')
        fprintf(stderr, "reprieve: %s\n", failure->hint);
}

void failure_done(struct failure *failure)
{
    json_decref(failure->candidates);
    failure->candidates = NULL;
}
