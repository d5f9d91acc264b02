/* cmd_delete.c: deletes, the way back and the way out. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "due.h"
#include "output.h"
#include "progress.h"
#include "select.h"
#include "when.h"

#define RECOVER_AT_ONCE 4096      /* between two signs of progress */
#define REASON_MAX 63             /* bytes that CKA_RPV_DELETE_REASON takes */

static CK_BBOOL yes = CK_TRUE;
static CK_BBOOL no = CK_FALSE;

/* ------------------------------------------------------------------ one after the other */

/* What a command does with each object. */
struct acting {
    struct run *run;
    /* Does it, and may put into the object what there is to say of it as "note". */
    enum outcome (*act)(struct acting *acting, CK_OBJECT_HANDLE handle, json_t *object);
    const char *done;             /* "recovered": how people and JSON are told */
    json_t *rows;
    json_t *noted;                /* purges that wait for further approvals */
    bool skip;                    /* this one is not done, and has been told of */
    long long until;              /* --until */
};

static void acting_say(const struct acting *acting, const json_t *object)
{
    const char *note = json_string_value(json_object_get(object, "note"));
    char name[400];

    object_name(object, name, sizeof(name));
    if (!acting->run->json)
        printf("%c%s %s%s%s\n", acting->done[0] - 'a' + 'A', acting->done + 1, name,
               note != NULL ? ": " : "", note != NULL ? note : "");
}

static enum outcome acting_one(struct acting *acting, CK_OBJECT_HANDLE handle)
{
    json_t *object = object_describe(&acting->run->client, handle);
    enum outcome outcome = acting->act(acting, handle, object);

    if (outcome == OUTCOME_OK && !acting->skip) {
        acting_say(acting, object);
        json_array_append(acting->rows, object);
    }
    acting->skip = false;
    json_decref(object);
    return outcome;
}

/* --json says nothing of a run that failed half-way: what was done is in the audit. */
static enum outcome acting_all(struct acting *acting, const struct handles *handles)
{
    json_t *document = json_object();
    enum outcome outcome = OUTCOME_OK;

    acting->rows = json_array();
    json_object_set_new(document, acting->done, acting->rows);
    for (size_t i = 0; i < handles->n && outcome == OUTCOME_OK; i++)
        outcome = acting_one(acting, handles->list[i]);
    if (acting->noted != NULL)
        json_object_set(document, "approved", acting->noted);
    if (acting->run->json && outcome == OUTCOME_OK)
        output_done(true, json_incref(document), "%s", "");
    json_decref(document);
    return outcome;
}

static enum outcome acting_named(struct acting *acting, unsigned which)
{
    AUTO(handles) struct handles handles = {0};
    enum outcome outcome = select_args(acting->run, which, &handles);

    return outcome == OUTCOME_OK ? acting_all(acting, &handles) : outcome;
}

/* ------------------------------------------------------------------ delete */

static enum outcome reason_set(struct client *client, CK_OBJECT_HANDLE handle, const char *text)
{
    CK_ATTRIBUTE attr = {CKA_RPV_DELETE_REASON, (void *)(uintptr_t)text, strlen(text)};

    return client_check(client, "C_SetAttributeValue",
                        client->f->C_SetAttributeValue(client->session, handle, &attr, 1));
}

/* The deleted object's date, and the command that takes the delete back. */
static void delete_tell(struct client *client, json_t *object)
{
    AUTO(handles) struct handles handles = {0};
    char uid[33] = "";
    CK_ATTRIBUTE attrs[] = {{CKA_RPV_DELETED, &yes, sizeof(yes)}, {CKA_UNIQUE_ID, uid, 0}};
    struct failure kept = client->failure;   /* it is deleted, whatever comes of this */
    const char *text = json_string_value(json_object_get(object, "uniqueId")), *until = NULL;

    snprintf(uid, sizeof(uid), "%s", text != NULL ? text : "");
    attrs[1].ulValueLen = strlen(uid);
    if (object_find(client, attrs, COUNT_OF(attrs), &handles) == OUTCOME_OK && handles.n == 1) {
        json_t *deleted = object_describe(client, handles.list[0]);

        json_object_update(object, deleted);
        json_decref(deleted);
    }
    client->failure = kept;
    until = json_string_value(json_object_get(object, "purgeAt"));
    json_object_set_new(object, "recover", json_sprintf("reprieve recover %s", uid));
    json_object_set_new(object, "note",
                        json_sprintf("until %s it can be taken back with: reprieve recover %s",
                                     until != NULL ? until : "its purge date", uid));
}

static enum outcome act_delete(struct acting *acting, CK_OBJECT_HANDLE handle, json_t *object)
{
    struct client *client = &acting->run->client;
    const char *why = run_option(acting->run, OPT_REASON);
    enum outcome outcome = why != NULL ? reason_set(client, handle, why) : OUTCOME_OK;

    if (outcome != OUTCOME_OK)
        return outcome;
    outcome = client_check(client, "C_DestroyObject",
                           client->f->C_DestroyObject(client->session, handle));
    if (outcome == OUTCOME_OK) {
        delete_tell(client, object);
    } else if (why != NULL) {
        struct failure kept = client->failure;

        (void)reason_set(client, handle, "");   /* else the next delete would have this one's */
        client->failure = kept;
    }
    return outcome;
}

static enum outcome delete(struct run *run)
{
    struct acting acting = {.run = run, .act = act_delete, .done = "deleted"};
    const char *why = run_option(run, OPT_REASON);

    if (why != NULL && strlen(why) > REASON_MAX)
        return run_usage(run, "--reason takes at most %d bytes", REASON_MAX);
    return acting_named(&acting, SELECT_LIVE);
}

/* ------------------------------------------------------------------ recover */

static enum outcome act_recover(struct acting *acting, CK_OBJECT_HANDLE handle, json_t *object)
{
    struct client *client = &acting->run->client;
    CK_ATTRIBUTE attr = {CKA_RPV_DELETED, &no, sizeof(no)};
    char reason[400] = "";
    enum outcome outcome = client_check(client, "C_SetAttributeValue",
                                        client->f->C_SetAttributeValue(client->session, handle,
                                                                       &attr, 1));

    /* that another has its label by now, for example */
    if (outcome == OUTCOME_OK &&
        client->rpv->RPV_GetLastReason(reason, sizeof(reason)) == CKR_OK && reason[0] != '\0')
        json_object_set_new(object, "note", output_text(reason));
    return outcome;
}

/* Without a filter the module does it, many at once. */
static enum outcome recover_all(struct run *run)
{
    struct client *client = &run->client;
    struct progress progress = progress_begin(run, "recover");
    CK_ULONG at_once = progress_wanted(&progress) ? RECOVER_AT_ONCE : (CK_ULONG)-1;
    CK_ULONG n = 0, done = 0;
    unsigned long long total = progress_wanted(&progress) ? due_count(client, true) : 0;
    enum outcome outcome;

    do {
        outcome = client_check(client, "RPV_RecoverAll",
                               client->rpv->RPV_RecoverAll(client->session, at_once, &n));
        done += outcome == OUTCOME_OK ? n : 0;
        progress_step(&progress, done, total);
    } while (outcome == OUTCOME_OK && n == at_once);
    progress_end(&progress);
    if (outcome == OUTCOME_OK)
        output_done(run->json, json_pack("{s:I}", "recoveredCount", (json_int_t)done),
                    "Recovered %lu objects.", done);
    return outcome;
}

static enum outcome recover(struct run *run)
{
    AUTO(handles) struct handles handles = {0};
    struct acting acting = {.run = run, .act = act_recover, .done = "recovered"};
    CK_ATTRIBUTE attrs[2] = {{CKA_RPV_DELETED, &yes, sizeof(yes)}};
    CK_OBJECT_CLASS class = 0;
    CK_ULONG n = 1;
    bool all = run_option(run, OPT_ALL) != NULL;
    enum outcome outcome = select_class(run, &class, attrs, &n);

    if (outcome == OUTCOME_OK && all == (run->n_args > 0))
        return run_usage(run, "name the objects, or say --all");
    if (outcome == OUTCOME_OK && all && n == 1)
        return recover_all(run);
    if (outcome == OUTCOME_OK && !all)
        return acting_named(&acting, SELECT_DELETED);
    if (outcome == OUTCOME_OK)
        outcome = object_find(&run->client, attrs, n, &handles);
    return outcome == OUTCOME_OK ? acting_all(&acting, &handles) : outcome;
}

/* ------------------------------------------------------------------ purge */

/* What the module says of an approval; NULL when this was a refusal. */
static const char *approval_of(const struct client *client)
{
    const char *at = strstr(client->failure.reason, RPV_REASON_APPROVAL);

    return client->failure.outcome == OUTCOME_REFUSED && at != NULL
               ? at + strlen(RPV_REASON_APPROVAL)
               : NULL;
}

/* Not purged yet, and no failure: the others are gone on with. */
static void approval_note(struct acting *acting, json_t *object, const char *approval)
{
    unsigned now = 0, wanted = 0;
    char name[400];

    if (sscanf(approval, "%u of %u", &now, &wanted) == 2) {
        json_object_set_new(object, "approvals", json_integer(now));
        json_object_set_new(object, "approvalsNeeded", json_integer(wanted));
    }
    object_name(object, name, sizeof(name));
    if (!acting->run->json)
        printf("Approved the purge of %s: %s\n", name, approval);
    json_array_append(acting->noted, object);
    acting->skip = true;
}

/* The object itself says until when it stays. */
static void refusal_explain(struct client *client, const json_t *object)
{
    const char *level = json_string_value(json_object_get(object, "recoveryLevel"));
    const char *purge_at = json_string_value(json_object_get(object, "purgeAt"));
    struct failure said = client->failure;
    char name[400];

    if (said.outcome != OUTCOME_REFUSED || level == NULL || purge_at == NULL)
        return;
    object_name(object, name, sizeof(name));
    failure_set(&client->failure, OUTCOME_REFUSED, said.code,
                "%.200s is not purged (%.200s). It is %s; its purge date is %s", name, said.reason,
                level, purge_at);
    failure_hint(&client->failure, "until then it can be taken back with: reprieve recover");
}

static enum outcome act_purge(struct acting *acting, CK_OBJECT_HANDLE handle, json_t *object)
{
    struct client *client = &acting->run->client;
    enum outcome outcome = client_check(client, "C_DestroyObject",
                                        client->f->C_DestroyObject(client->session, handle));
    const char *approval = outcome != OUTCOME_OK ? approval_of(client) : NULL;

    if (approval != NULL) {
        approval_note(acting, object, approval);
        return OUTCOME_OK;
    }
    if (outcome != OUTCOME_OK)
        refusal_explain(client, object);
    return outcome;
}

static enum outcome purge(struct run *run)
{
    struct acting acting = {.run = run, .act = act_purge, .done = "purged", .noted = json_array()};
    AUTO(handles) struct handles handles = {0};
    enum outcome outcome = select_args(run, SELECT_DELETED, &handles);
    size_t waiting = 0;

    if (outcome == OUTCOME_OK)
        outcome = run_confirm(run, "Nothing brings a purged object back. Purge?");
    if (outcome == OUTCOME_OK)
        outcome = acting_all(&acting, &handles);
    waiting = json_array_size(acting.noted);
    json_decref(acting.noted);
    if (outcome != OUTCOME_OK || waiting == 0)
        return outcome;
    failure_set(&run->client.failure, OUTCOME_PENDING, "APPROVAL_NOTED",
                "%zu of %zu objects wait for the approval of others, and are not purged yet",
                waiting, handles.n);
    failure_hint(&run->client.failure, "another principal with the verb purge gives the same "
                 "command: reprieve --user NAME purge");
    return OUTCOME_PENDING;
}

/* ------------------------------------------------------------------ postpone */

static enum outcome act_postpone(struct acting *acting, CK_OBJECT_HANDLE handle, json_t *object)
{
    struct client *client = &acting->run->client;
    char text[WHEN_UTC16 + 1], shown[WHEN_SIZE];
    CK_ATTRIBUTE attr = {CKA_RPV_PURGE_AT, text, WHEN_UTC16};
    enum outcome outcome = OUTCOME_OK;

    if (!when_format_utc16(acting->until, text))
        return run_usage(acting->run, "--until takes a year of four digits");
    outcome = client_check(client, "C_SetAttributeValue",
                           client->f->C_SetAttributeValue(client->session, handle, &attr, 1));
    if (outcome != OUTCOME_OK) {
        if (strcmp(client->failure.code, "CKR_ATTRIBUTE_VALUE_INVALID") == 0)
            failure_hint(&client->failure, "its purge date is %s",
                         json_string_value(json_object_get(object, "purgeAt")));
        return outcome;
    }
    when_format(acting->until, shown);
    json_object_set_new(object, "purgeAt", json_string(shown));
    json_object_set_new(object, "note", json_sprintf("its purge date is %s", shown));
    return OUTCOME_OK;
}

static enum outcome postpone(struct run *run)
{
    struct acting acting = {.run = run, .act = act_postpone, .done = "postponed"};
    const char *until = run_option(run, OPT_UNTIL);
    enum outcome outcome = until == NULL ? run_usage(run, "--until is missing")
                                         : run_time_ahead(run, OPT_UNTIL, "until", &acting.until);

    return outcome == OUTCOME_OK ? acting_named(&acting, SELECT_DELETED) : outcome;
}

/* ------------------------------------------------------------------ the rows */

static const struct argp_option delete_options[] = {
    OPTION_CLASS,
    {"reason", OPT_REASON, "TEXT", 0, "Why: shown with what is deleted, and kept when it is purged",
     0},
    OPTION_END,
};
static const struct argp_option recover_options[] = {
    OPTION_CLASS,
    {"all", OPT_ALL, NULL, 0, "Everything that is deleted", 0},
    OPTION_END,
};
static const struct argp_option purge_options[] = {OPTION_CLASS, OPTION_YES, OPTION_END};
static const struct argp_option postpone_options[] = {
    OPTION_CLASS,
    {"until", OPT_UNTIL, "TIME", 0, "The new date: 2026-12-31, 2026-12-31T12:00:00Z, or 30d from "
     "now on", 0},
    OPTION_END,
};
#define NEED_USER (NEED_VENDOR | NEED_VAULT | NEED_LOGIN | NEED_WRITE)

const struct command delete_commands[] = {
    {"delete", "OBJECT...", "Deletes objects, softly",
     "Hidden and unusable from the next call on, in every process; it is told until when each can "
     "be taken back. " OBJECT_DOC, delete_options, 1, (size_t)-1, NEED_USER, delete},
    {"recover", "OBJECT...", "Takes deletes back", OBJECT_DOC, recover_options, 0, (size_t)-1,
     NEED_USER, recover},
    {"postpone", "OBJECT...", "Moves the purge date of deleted objects later",
     "Never nearer. " OBJECT_DOC, postpone_options, 1, (size_t)-1, NEED_USER, postpone},
    {"purge", "OBJECT...", "Ends deleted objects for good",
     "As SO, or as a --user with the verb purge. Overwrites the key that opens the object: nothing "
     "brings it back. Refused, and told why, under purge protection before the purge date, and "
     "during a hold. Where the policy purge_approvals wants several principals, each of them calls "
     "this; until the last has, nothing is purged and the exit status is 6. " OBJECT_DOC,
     purge_options, 1, (size_t)-1, NEED_VENDOR | NEED_VAULT | NEED_OFFICER | NEED_WRITE, purge},
    {0},
};
