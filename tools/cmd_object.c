/* cmd_object.c: live objects, deleted objects, and what is known of one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "select.h"

static CK_BBOOL yes = CK_TRUE;
static CK_BBOOL no = CK_FALSE;

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
        {"version", "VERSION"},    {"id", "ID"},       {"state", "STATE"},
        {"origin", "HOW IT CAME"},
    };
    CK_ATTRIBUTE attrs[2];
    CK_OBJECT_CLASS class = 0;
    CK_ULONG n = 0;
    json_t *rows = NULL;
    enum outcome outcome = OUTCOME_OK;

    /* the SO sees private objects only in a find that names an attribute of governance */
    if (run->client.role == ROLE_SO)
        attrs[n++] = (CK_ATTRIBUTE){CKA_RPV_DELETED, &no, sizeof(no)};
    outcome = select_class(run, &class, attrs, &n);
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
        {"version", "VERSION"},    {"id", "ID"},
        {"deletedBy", "BY"},       {"deletedAt", "DELETED"},
        {"purgeAt", "PURGE"},      {"recoveryLevel", "RECOVERY"},
    };
    CK_ATTRIBUTE attrs[2] = {{CKA_RPV_DELETED, &yes, sizeof(yes)}};
    CK_OBJECT_CLASS class = 0;
    CK_ULONG n = 1;
    json_t *rows = NULL;
    enum outcome outcome = select_class(run, &class, attrs, &n);

    if (outcome == OUTCOME_OK)
        outcome = find_rows(run, attrs, n, &rows);
    if (outcome == OUTCOME_OK)
        output_rows(run->json, "deleted", rows, columns, COUNT_OF(columns), "Nothing is deleted.");
    return outcome;
}

/* ------------------------------------------------------------------ one in full */

static void show_text(json_t *rows)
{
    static const struct column columns[] = {
        {"label", "Label"},           {"uniqueId", "Unique id"},     {"class", "Class"},
        {"keyType", "Type"},          {"id", "Id"},                  {"version", "Version"},
        {"state", "State"},           {"enabled", "Enabled"},        {"notBefore", "Not before"},
        {"notAfter", "Not after"},    {"hold", "Hold"},              {"lock", "Lock"},
        {"honeytoken", "Honeytoken"}, {"rotateDays", "Rotate after days"},
        {"origin", "How it came"},    {"backedUp", "Backed up"},     {"useCount", "Uses"},
        {"lastUsed", "Last use"},     {"deletedAt", "Deleted"},      {"deletedBy", "By"},
        {"deleteReason", "Why"},      {"purgeAt", "Purge date"},     {"recoveryLevel", "Recovery"},
        {"recoverableDays", "Days to recover it"},
    };
    json_t *row = NULL;
    size_t i = 0;

    json_array_foreach(rows, i, row) {
        if (i > 0)
            putchar('\n');
        output_record(false, json_incref(row), columns, COUNT_OF(columns));
    }
    json_decref(rows);
}

static enum outcome show(struct run *run)
{
    AUTO(handles) struct handles handles = {0};
    json_t *rows = NULL;
    enum outcome outcome = select_args(run, SELECT_LIVE | SELECT_DELETED, &handles);

    if (outcome != OUTCOME_OK)
        return outcome;
    rows = json_array();
    for (size_t i = 0; i < handles.n; i++)
        json_array_append_new(rows, object_describe_all(&run->client, handles.list[i]));
    if (run->json)
        output_rows(true, "objects", rows, NULL, 0, "");
    else
        show_text(rows);
    return OUTCOME_OK;
}

static const struct argp_option list_options[] = {
    OPTION_CLASS,
    {"limit", OPT_LIMIT, "N", 0, "At most N", 0},
    {"after", OPT_AFTER, "UNIQUEID", 0, "Go on behind this one, the last of the page before", 0},
    OPTION_END,
};
static const struct argp_option show_options[] = {OPTION_CLASS, OPTION_END};

const struct command object_commands[] = {
    {"list", "", "Lists the live objects", "", list_options, 0, 0, NEED_VAULT | NEED_LOGIN, list},
    {"show", "OBJECT...", "Shows what is known of objects",
     "Live or deleted, and also what governs them: dates, hold, lock, versions, uses. " OBJECT_DOC,
     show_options, 1, (size_t)-1, NEED_VENDOR | NEED_VAULT | NEED_LOGIN, show},
    {"deleted", "", "Lists the deleted objects",
     "With who deleted them, when, when they will be purged, and what can be done until then.",
     list_options, 0, 0, NEED_VENDOR | NEED_VAULT | NEED_LOGIN, deleted},
    {0},
};
