/* cmd_object.c: live objects, deleted objects, the way back and the way out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "object.h"
#include "output.h"

static CK_BBOOL yes = CK_TRUE;
static CK_BBOOL no = CK_FALSE;

/* Adds the class that --class names. */
static enum outcome class_filter(struct run *run, CK_OBJECT_CLASS *class, CK_ATTRIBUTE *attrs,
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

static enum outcome find_rows(struct run *run, CK_ATTRIBUTE *attrs, CK_ULONG n, json_t **ret_rows)
{
    AUTO(handles) struct handles handles = {0};
    bool more = false;
    unsigned long limit = 0;
    enum outcome outcome = run_number(run, OPT_LIMIT, 0, &limit);

    if (outcome == OUTCOME_OK)
        outcome = object_page(&run->client, attrs, n, run_option(run, OPT_AFTER), limit, &handles,
                              &more);

    if (outcome != OUTCOME_OK)
        return outcome;
    *ret_rows = json_array();
    for (size_t i = 0; i < handles.n; i++)
        json_array_append_new(*ret_rows, object_describe(&run->client, handles.list[i]));
    if (more && !run->json)
        fprintf(stderr, "There are more: --after %s\n",
                json_string_value(json_object_get(json_array_get(*ret_rows, handles.n - 1),
                                                  "uniqueId")));
    return OUTCOME_OK;
}

static enum outcome list(struct run *run)
{
    static const struct column columns[] = {
        {"uniqueId", "UNIQUE ID"}, {"class", "CLASS"}, {"keyType", "TYPE"},     {"label", "LABEL"},
        {"id", "ID"},              {"state", "STATE"}, {"origin", "HOW IT CAME"},
    };
    CK_ATTRIBUTE attrs[2];
    CK_OBJECT_CLASS class = 0;
    CK_ULONG n = 0;
    json_t *rows = NULL;
    enum outcome outcome = OUTCOME_OK;

    /* the SO sees private objects only in a find that names an attribute of governance */
    if (run->client.role == ROLE_SO)
        attrs[n++] = (CK_ATTRIBUTE){CKA_RPV_DELETED, &no, sizeof(no)};
    outcome = class_filter(run, &class, attrs, &n);
    if (outcome == OUTCOME_OK)
        outcome = find_rows(run, attrs, n, &rows);
    if (outcome == OUTCOME_OK)
        output_rows(run->json, "objects", rows, columns, COUNT_OF(columns), "No objects.");
    return outcome;
}

static enum outcome deleted(struct run *run)
{
    static const struct column columns[] = {
        {"uniqueId", "UNIQUE ID"}, {"class", "CLASS"},      {"label", "LABEL"},
        {"id", "ID"},              {"deletedBy", "BY"},     {"deletedAt", "DELETED"},
        {"purgeAt", "PURGE"},      {"recoveryLevel", "RECOVERY"},
    };
    CK_ATTRIBUTE attrs[2] = {{CKA_RPV_DELETED, &yes, sizeof(yes)}};
    CK_OBJECT_CLASS class = 0;
    CK_ULONG n = 1;
    json_t *rows = NULL;
    enum outcome outcome = class_filter(run, &class, attrs, &n);

    if (outcome == OUTCOME_OK)
        outcome = find_rows(run, attrs, n, &rows);
    if (outcome == OUTCOME_OK)
        output_rows(run->json, "deleted", rows, columns, COUNT_OF(columns), "Nothing is deleted.");
    return outcome;
}

/* ------------------------------------------------------------------ recover, purge */

/* The deleted objects that the arguments name: all of them known before anything is done. */
static enum outcome deleted_named(struct run *run, struct handles *handles)
{
    CK_ATTRIBUTE attrs[4] = {{CKA_RPV_DELETED, &yes, sizeof(yes)}};
    CK_OBJECT_CLASS class = 0;
    CK_ULONG n = 1;
    bool all = run_option(run, OPT_ALL) != NULL;
    enum outcome outcome = class_filter(run, &class, attrs, &n);

    if (outcome == OUTCOME_OK && all == (run->n_args > 0))
        return run_usage(run, "name the objects, or say --all");
    if (outcome == OUTCOME_OK && all)
        return object_find(&run->client, attrs, n, handles);
    if (outcome == OUTCOME_OK) {
        handles->list = calloc(run->n_args, sizeof(*handles->list));
        if (handles->list == NULL)
            return failure_set(&run->client.failure, OUTCOME_FAILED, "MEMORY", "out of memory");
    }
    for (size_t i = 0; outcome == OUTCOME_OK && i < run->n_args; i++) {
        outcome = object_select(&run->client, run->args[i], attrs, n, &handles->list[i]);
        handles->n += outcome == OUTCOME_OK;
    }
    if (outcome == OUTCOME_NOT_FOUND && run->client.failure.hint[0] == '\0')
        failure_hint(&run->client.failure, "see what there is with: reprieve deleted%s",
                     run->client.role == ROLE_SO ? " --so" : "");
    return outcome;
}

typedef CK_RV (*object_act)(struct client *client, CK_OBJECT_HANDLE handle);

static CK_RV act_recover(struct client *client, CK_OBJECT_HANDLE handle)
{
    CK_ATTRIBUTE attr = {CKA_RPV_DELETED, &no, sizeof(no)};

    return client->f->C_SetAttributeValue(client->session, handle, &attr, 1);
}

static CK_RV act_purge(struct client *client, CK_OBJECT_HANDLE handle)
{
    return client->f->C_DestroyObject(client->session, handle);
}

/* The module's reason is a word; the object itself says until when. */
static void explain_refusal(struct client *client, const json_t *object, const char *name)
{
    const char *level = json_string_value(json_object_get(object, "recoveryLevel"));
    const char *purge_at = json_string_value(json_object_get(object, "purgeAt"));
    char said[sizeof(client->failure.reason)];
    char code[sizeof(client->failure.code)];

    if (client->failure.outcome != OUTCOME_REFUSED || level == NULL || purge_at == NULL)
        return;
    memcpy(said, client->failure.reason, sizeof(said));
    memcpy(code, client->failure.code, sizeof(code));
    failure_set(&client->failure, OUTCOME_REFUSED, code,
                "%s is %s, and will be purged on %s, not before (%s)", name, level, purge_at, said);
    failure_hint(&client->failure, "until then it can be taken back with: reprieve recover");
}

static enum outcome act_on(struct run *run, const struct handles *handles, object_act act,
                           const char *call, const char *done)
{
    json_t *rows = json_array();
    json_t *document = json_object();
    enum outcome outcome = OUTCOME_OK;
    char name[400];

    for (size_t i = 0; i < handles->n && outcome == OUTCOME_OK; i++) {
        json_t *object = object_describe(&run->client, handles->list[i]);

        object_name(object, name, sizeof(name));
        outcome = client_check(&run->client, call, act(&run->client, handles->list[i]));
        if (outcome == OUTCOME_OK) {
            json_array_append(rows, object);
            if (!run->json)
                printf("%c%s %s\n", done[0] - 'a' + 'A', done + 1, name);
        } else if (act == act_purge) {
            explain_refusal(&run->client, object, name);
        }
        json_decref(object);
    }
    /* --json says nothing of a run that failed half-way: what was done is in the audit */
    if (run->json && outcome == OUTCOME_OK) {
        json_object_set(document, done, rows);
        output_done(true, json_incref(document), "%s", "");
    }
    json_decref(rows);
    json_decref(document);
    return outcome;
}

/* Without a filter the module does it, many at once. */
static enum outcome recover_all(struct run *run)
{
    struct client *client = &run->client;
    CK_ULONG n = 0;
    enum outcome outcome = client_check(client, "RPV_RecoverAll",
                                        client->rpv->RPV_RecoverAll(client->session, (CK_ULONG)-1,
                                                                    &n));

    if (outcome == OUTCOME_OK)
        output_done(run->json, json_pack("{s:I}", "recoveredCount", (json_int_t)n),
                    "Recovered %lu objects.", n);
    return outcome;
}

static enum outcome recover(struct run *run)
{
    if (run_option(run, OPT_ALL) != NULL && run_option(run, OPT_CLASS) == NULL && run->n_args == 0)
        return recover_all(run);

    AUTO(handles) struct handles handles = {0};
    enum outcome outcome = deleted_named(run, &handles);

    return outcome == OUTCOME_OK
               ? act_on(run, &handles, act_recover, "C_SetAttributeValue", "recovered")
               : outcome;
}

static enum outcome purge(struct run *run)
{
    AUTO(handles) struct handles handles = {0};
    enum outcome outcome = deleted_named(run, &handles);

    if (outcome == OUTCOME_OK)
        outcome = run_confirm(run, "Nothing brings a purged object back. Purge?");
    return outcome == OUTCOME_OK ? act_on(run, &handles, act_purge, "C_DestroyObject", "purged")
                                 : outcome;
}

static const struct argp_option list_options[] = {
    OPTION_CLASS,
    {"limit", OPT_LIMIT, "N", 0, "At most N", 0},
    {"after", OPT_AFTER, "UNIQUEID", 0, "Go on behind this one, the last of the page before", 0},
    OPTION_END,
};
static const struct argp_option recover_options[] = {
    OPTION_CLASS,
    {"all", OPT_ALL, NULL, 0, "Everything that is deleted", 0},
    OPTION_END,
};
static const struct argp_option purge_options[] = {OPTION_CLASS, OPTION_YES, OPTION_END};

#define OBJECT_DOC                                                                                 \
    "An OBJECT is a unique id or a label; id=HEX (or 0xHEX), label=TEXT and uid=TEXT say which it " \
    "is. When a name fits more than one object, nothing is done and they are listed."

const struct command object_commands[] = {
    {"list", "", "Lists the live objects", "", list_options, 0, 0, NEED_VAULT | NEED_LOGIN, list},
    {"deleted", "", "Lists the deleted objects",
     "With who deleted them, when, when they will be purged, and what can be done until then.",
     list_options, 0, 0, NEED_VENDOR | NEED_VAULT | NEED_LOGIN, deleted},
    {"recover", "OBJECT...", "Takes deletes back", OBJECT_DOC, recover_options, 0, (size_t)-1,
     NEED_VENDOR | NEED_VAULT | NEED_LOGIN | NEED_WRITE, recover},
    {"purge", "OBJECT...", "Ends deleted objects for good, as SO",
     "Overwrites the key that opens the object: nothing brings it back. Refused, and told why, "
     "under purge protection before the purge date, and during a hold. " OBJECT_DOC,
     purge_options, 1, (size_t)-1, NEED_VENDOR | NEED_VAULT | NEED_SO | NEED_WRITE, purge},
    {0},
};
