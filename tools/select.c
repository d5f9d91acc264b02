#include "select.h"

#include <stdlib.h>

enum outcome select_class(struct run *run, CK_OBJECT_CLASS *class, CK_ATTRIBUTE *attrs,
                          CK_ULONG *n)
{
    const char *word = run_option(run, OPT_CLASS);

    if (word == NULL)
        return OUTCOME_OK;
    if (!object_class(word, class))
        return run_usage(run, "--class takes private, public, secret, certificate or data");
    attrs[(*n)++] = (CK_ATTRIBUTE){CKA_CLASS, class, sizeof(*class)};
    return OUTCOME_OK;
}

enum outcome select_one(struct run *run, const char *name, unsigned which,
                        CK_OBJECT_HANDLE *ret_handle)
{
    CK_BBOOL deleted = (which & SELECT_LIVE) != 0 ? CK_FALSE : CK_TRUE;
    /* names an attribute of governance: the SO sees private objects in no other search */
    CK_ATTRIBUTE attrs[2] = {{CKA_RPV_DELETED, &deleted, sizeof(deleted)}};
    CK_OBJECT_CLASS class = 0;
    CK_ULONG n = 1;
    enum outcome outcome = select_class(run, &class, attrs, &n);

    if (outcome == OUTCOME_OK)
        outcome = object_select(&run->client, name, attrs, n, ret_handle);
    if (outcome != OUTCOME_NOT_FOUND || which != (SELECT_LIVE | SELECT_DELETED) ||
        run->client.failure.candidates != NULL)
        return outcome;
    deleted = CK_TRUE;
    return object_select(&run->client, name, attrs, n, ret_handle);
}

enum outcome select_args(struct run *run, unsigned which, struct handles *handles)
{
    enum outcome outcome = OUTCOME_OK;

    handles->list = calloc(run->n_args + 1, sizeof(*handles->list));
    if (handles->list == NULL)
        return failure_set(&run->client.failure, OUTCOME_FAILED, "MEMORY", "out of memory");
    for (size_t i = 0; outcome == OUTCOME_OK && i < run->n_args; i++) {
        outcome = select_one(run, run->args[i], which, &handles->list[i]);
        handles->n += outcome == OUTCOME_OK;
    }
    if (outcome == OUTCOME_NOT_FOUND && run->client.failure.hint[0] == '\0')
        failure_hint(&run->client.failure, "see what there is with: reprieve %s",
                     which == SELECT_LIVE ? "list" : "deleted");
    return outcome;
}
