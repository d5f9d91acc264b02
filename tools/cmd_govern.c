/* cmd_govern.c: holds, locks, dates, enabling; what is left of what was purged. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "select.h"
#include "when.h"

#define LIVE SELECT_LIVE
#define ANY (SELECT_LIVE | SELECT_DELETED)

/* Sets the attributes on every object that the arguments name; all are known before. */
static enum outcome govern_all(struct run *run, CK_ATTRIBUTE *attrs, CK_ULONG n, unsigned which,
                               const char *done)
{
    struct client *client = &run->client;
    AUTO(handles) struct handles handles = {0};
    json_t *rows = json_array();
    enum outcome outcome = select_args(run, which, &handles);
    char name[400];

    for (size_t i = 0; outcome == OUTCOME_OK && i < handles.n; i++) {
        outcome = client_check(client, "C_SetAttributeValue",
                               client->f->C_SetAttributeValue(client->session, handles.list[i],
                                                              attrs, n));
        if (outcome != OUTCOME_OK)
            break;
        json_t *object = object_describe_all(client, handles.list[i]);
        object_name(object, name, sizeof(name));
        if (!run->json)
            printf("%c%s %s\n", done[0] - 'a' + 'A', done + 1, name);
        json_array_append_new(rows, object);
    }
    if (run->json && outcome == OUTCOME_OK)
        output_rows(true, done, json_incref(rows), NULL, 0, "");
    json_decref(rows);
    return outcome;
}

static enum outcome govern_bool(struct run *run, CK_ATTRIBUTE_TYPE type, bool value, unsigned which,
                                const char *done)
{
    CK_BBOOL byte = value ? CK_TRUE : CK_FALSE;
    CK_ATTRIBUTE attr = {type, &byte, sizeof(byte)};

    return govern_all(run, &attr, 1, which, done);
}

static enum outcome hold(struct run *run)
{
    return govern_bool(run, CKA_RPV_HOLD, true, ANY, "held");
}

static enum outcome release(struct run *run)
{
    return govern_bool(run, CKA_RPV_HOLD, false, ANY, "released");
}

static enum outcome enable(struct run *run)
{
    return govern_bool(run, CKA_RPV_ENABLED, true, LIVE, "enabled");
}

static enum outcome disable(struct run *run)
{
    return govern_bool(run, CKA_RPV_ENABLED, false, LIVE, "disabled");
}

static enum outcome lock_to(struct run *run, CK_ULONG level, const char *done)
{
    CK_ATTRIBUTE attr = {CKA_RPV_LOCK, &level, sizeof(level)};

    return govern_all(run, &attr, 1, LIVE, done);
}

static enum outcome lock(struct run *run)
{
    return lock_to(run, run_option(run, OPT_READ_ONLY) != NULL ? 2 : 1, "locked");
}

static enum outcome unlock(struct run *run)
{
    return lock_to(run, 0, "unlocked");
}

static enum outcome honeytoken(struct run *run)
{
    bool off = run_option(run, OPT_OFF) != NULL;

    return govern_bool(run, CKA_RPV_HONEYTOKEN, !off, LIVE, off ? "unmarked" : "marked");
}

/* ------------------------------------------------------------------ dates */

/* One date as the attribute wants it: 16 characters, none of "none". */
static enum outcome date_read(struct run *run, enum option_key option, const char *name,
                              CK_ATTRIBUTE *attr, char text[WHEN_UTC16 + 1])
{
    long long when = 0;
    enum outcome outcome = OUTCOME_OK;

    attr->pValue = text;
    attr->ulValueLen = 0;
    if (strcmp(run_option(run, option), "none") == 0)
        return OUTCOME_OK;
    outcome = run_time_ahead(run, option, name, &when);
    if (outcome != OUTCOME_OK)
        return outcome;
    if (!when_format_utc16(when, text))
        return run_usage(run, "--%s takes a year of four digits", name);
    attr->ulValueLen = WHEN_UTC16;
    return OUTCOME_OK;
}

static enum outcome dates(struct run *run)
{
    static const struct {
        enum option_key option;
        const char *name;
        CK_ATTRIBUTE_TYPE type;
    } rows[] = {{OPT_NOT_BEFORE, "not-before", CKA_RPV_NOT_BEFORE},
                {OPT_NOT_AFTER, "not-after", CKA_RPV_NOT_AFTER}};
    char texts[COUNT_OF(rows)][WHEN_UTC16 + 1];
    CK_ATTRIBUTE attrs[COUNT_OF(rows)];
    CK_ULONG n = 0;
    enum outcome outcome = OUTCOME_OK;

    for (size_t i = 0; i < COUNT_OF(rows) && outcome == OUTCOME_OK; i++) {
        if (run_option(run, rows[i].option) == NULL)
            continue;
        attrs[n].type = rows[i].type;
        outcome = date_read(run, rows[i].option, rows[i].name, &attrs[n], texts[n]);
        n++;
    }
    if (outcome == OUTCOME_OK && n == 0)
        return run_usage(run, "say --not-before, --not-after or both");
    return outcome == OUTCOME_OK ? govern_all(run, attrs, n, LIVE, "dated") : outcome;
}

/* ------------------------------------------------------------------ tombstones */

static json_t *tombstone_json(const struct RPV_TOMBSTONE *t)
{
    json_t *row = json_object();

    json_object_set_new(row, "uniqueId", json_string(t->uniqueId));
    json_object_set_new(row, "generation", json_integer((json_int_t)t->ulGeneration));
    json_object_set_new(row, "deletedBy", json_string(t->deletedBy));
    json_object_set_new(row, "deletedAt", output_time(t->deletedAt));
    json_object_set_new(row, "purgedBy", json_string(t->purgedBy));
    json_object_set_new(row, "purgedAt", output_time(t->purgedAt));
    json_object_set_new(row, "reason", output_text(t->reason));
    json_object_set_new(row, "label", output_text(t->label));
    return row;
}

static enum outcome tombstones(struct run *run)
{
    static const struct column columns[] = {
        {"uniqueId", "UNIQUE ID"}, {"label", "LABEL"},       {"deletedBy", "DELETED BY"},
        {"deletedAt", "DELETED"},  {"purgedBy", "PURGED BY"}, {"purgedAt", "PURGED"},
        {"reason", "WHY"},
    };
    struct client *client = &run->client;
    struct RPV_TOMBSTONE *list = NULL;
    json_t *rows = json_array();
    CK_ULONG n = 0;
    CK_RV rv = client->rpv->RPV_ListTombstones(client->slot, NULL, &n);

    /* somebody may purge meanwhile: ask until it fits */
    do {
        n += 16;
        free(list);
        list = calloc(n, sizeof(*list));
        rv = list == NULL ? CKR_HOST_MEMORY
                          : client->rpv->RPV_ListTombstones(client->slot, list, &n);
    } while (rv == CKR_BUFFER_TOO_SMALL);
    enum outcome outcome = client_check(client, "RPV_ListTombstones", rv);
    for (CK_ULONG i = 0; outcome == OUTCOME_OK && i < n; i++)
        json_array_append_new(rows, tombstone_json(&list[i]));
    free(list);
    if (outcome == OUTCOME_OK)
        output_rows(run->json, "tombstones", rows, columns, COUNT_OF(columns),
                    "Nothing was purged.");
    else
        json_decref(rows);
    return outcome;
}

/* ------------------------------------------------------------------ approvals */

static json_t *approval_json(const struct RPV_APPROVAL *a)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:I}", "uniqueId", output_text(a->uniqueId), "principal",
                     output_text(a->principal), "approvedAt", output_time(a->at), "until",
                     output_time(a->until), "approvalsNeeded", (json_int_t)a->ulWanted);
}

static enum outcome approvals(struct run *run)
{
    static const struct column columns[] = {
        {"uniqueId", "UNIQUE ID"}, {"principal", "APPROVED BY"}, {"approvedAt", "APPROVED"},
        {"until", "COUNTS UNTIL"}, {"approvalsNeeded", "NEEDED"},
    };
    struct client *client = &run->client;
    struct RPV_APPROVAL *list = NULL;
    json_t *rows = json_array();
    CK_ULONG n = 0;
    CK_RV rv = client->rpv->RPV_ListApprovals(client->slot, NULL, &n);
    enum outcome outcome = OUTCOME_OK;

    /* somebody may approve meanwhile: ask until it fits */
    do {
        n += 16;
        free(list);
        list = calloc(n, sizeof(*list));
        rv = list == NULL ? CKR_HOST_MEMORY
                          : client->rpv->RPV_ListApprovals(client->slot, list, &n);
    } while (rv == CKR_BUFFER_TOO_SMALL);
    outcome = client_check(client, "RPV_ListApprovals", rv);
    for (CK_ULONG i = 0; outcome == OUTCOME_OK && i < n; i++)
        json_array_append_new(rows, approval_json(&list[i]));
    free(list);
    if (outcome == OUTCOME_OK)
        output_rows(run->json, "approvals", rows, columns, COUNT_OF(columns),
                    "No purge waits for approval.");
    else
        json_decref(rows);
    return outcome;
}

static const struct argp_option plain_options[] = {OPTION_CLASS, OPTION_END};
static const struct argp_option lock_options[] = {
    {"read-only", OPT_READ_ONLY, NULL, 0, "Against every change, not only deletes", 0},
    OPTION_CLASS,
    OPTION_END,
};
static const struct argp_option dates_options[] = {
    {"not-before", OPT_NOT_BEFORE, "TIME", 0, "Of no use before: 2026-12-31, 2026-12-31T12:00:00Z, "
     "30d from now on, or none", 0},
    {"not-after", OPT_NOT_AFTER, "TIME", 0, "Expires then: it still decrypts, unwraps and verifies",
     0},
    OPTION_CLASS,
    OPTION_END,
};
static const struct argp_option honeytoken_options[] = {
    {"off", OPT_OFF, NULL, 0, "Not any more", 0},
    OPTION_CLASS,
    OPTION_END,
};
#define BY_VERB(verb) "As SO, or as a --user with the verb " verb ". "
#define NEED_GOVERNOR (NEED_VENDOR | NEED_VAULT | NEED_OFFICER | NEED_WRITE)
#define NEED_USER (NEED_VENDOR | NEED_VAULT | NEED_LOGIN | NEED_WRITE)
#define OBJECTS 1, (size_t)-1

const struct command govern_commands[] = {
    {"hold", "OBJECT...", "Lets objects not be purged",
     BY_VERB("hold") "Live or deleted: as long as the hold stands, no purge date counts. "
     OBJECT_DOC, plain_options, OBJECTS, NEED_GOVERNOR, hold},
    {"release", "OBJECT...", "Takes holds off",
     BY_VERB("hold") "A deleted object whose purge date has passed is purged then. " OBJECT_DOC,
     plain_options, OBJECTS, NEED_GOVERNOR, release},
    {"lock", "OBJECT...", "Lets objects not be deleted", BY_VERB("lock") OBJECT_DOC, lock_options,
     OBJECTS, NEED_GOVERNOR, lock},
    {"unlock", "OBJECT...", "Takes locks off", BY_VERB("lock") OBJECT_DOC, plain_options, OBJECTS,
     NEED_GOVERNOR, unlock},
    {"enable", "OBJECT...", "Lets disabled keys be used again", OBJECT_DOC, plain_options, OBJECTS,
     NEED_USER, enable},
    {"disable", "OBJECT...", "Lets keys not be used, from the next call on", OBJECT_DOC,
     plain_options, OBJECTS, NEED_USER, disable},
    {"dates", "OBJECT...", "Sets when keys begin and cease to be of use",
     "--not-before or --not-after none takes the date away; a date that is not named stays. "
     OBJECT_DOC, dates_options, OBJECTS, NEED_USER, dates},
    {"honeytoken", "OBJECT...", "Lets any use of keys raise an alert",
     BY_VERB("policy") "See reprieve watch. " OBJECT_DOC, honeytoken_options, OBJECTS,
     NEED_GOVERNOR, honeytoken},
    {"approvals", "", "Lists purges that wait for further approvals",
     "Who has approved which, by the policy purge_approvals, and until when that counts: whoever "
     "else has the verb purge approves by reprieve purge.", NULL, 0, 0, NEED_VENDOR | NEED_VAULT,
     approvals},
    {"tombstones", "", "Lists what was purged: who, when, why", "", NULL, 0, 0,
     NEED_VENDOR | NEED_VAULT, tombstones},
    {0},
};
