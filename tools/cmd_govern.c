/* cmd_govern.c: holds, locks, enabling; what is left of what was purged. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "object.h"
#include "output.h"

/* A live object of this name, or, where it may be, a deleted one. */
static enum outcome govern_select(struct run *run, const char *name, bool deleted_too,
                                  CK_OBJECT_HANDLE *ret_handle)
{
    CK_BBOOL deleted = CK_FALSE;
    CK_ATTRIBUTE attrs[4] = {{CKA_RPV_DELETED, &deleted, sizeof(deleted)}};
    enum outcome outcome = object_select(&run->client, name, attrs, 1, ret_handle);

    if (outcome != OUTCOME_NOT_FOUND || !deleted_too)
        return outcome;
    deleted = CK_TRUE;
    return object_select(&run->client, name, attrs, 1, ret_handle);
}

/* Sets the attributes on every object that the arguments name; all are known before. */
static enum outcome govern_all(struct run *run, CK_ATTRIBUTE *attrs, CK_ULONG n, bool deleted_too,
                               const char *done)
{
    struct client *client = &run->client;
    CK_OBJECT_HANDLE *handles = calloc(run->n_args, sizeof(*handles));
    json_t *rows = json_array();
    enum outcome outcome = OUTCOME_OK;
    char name[400];

    if (handles == NULL)
        outcome = failure_set(&client->failure, OUTCOME_FAILED, "MEMORY", "out of memory");
    for (size_t i = 0; outcome == OUTCOME_OK && i < run->n_args; i++)
        outcome = govern_select(run, run->args[i], deleted_too, &handles[i]);
    for (size_t i = 0; outcome == OUTCOME_OK && i < run->n_args; i++) {
        outcome = client_check(client, "C_SetAttributeValue",
                               client->f->C_SetAttributeValue(client->session, handles[i], attrs,
                                                              n));
        if (outcome != OUTCOME_OK)
            break;
        json_t *object = object_describe(client, handles[i]);
        object_name(object, name, sizeof(name));
        if (!run->json)
            printf("%c%s %s\n", done[0] - 'a' + 'A', done + 1, name);
        json_array_append_new(rows, object);
    }
    if (run->json && outcome == OUTCOME_OK) {
        json_t *document = json_object();
        json_object_set(document, done, rows);
        output_done(true, document, "%s", "");
    }
    json_decref(rows);
    free(handles);
    return outcome;
}

static enum outcome govern_bool(struct run *run, CK_ATTRIBUTE_TYPE type, bool value, bool deleted,
                                const char *done)
{
    CK_BBOOL byte = value ? CK_TRUE : CK_FALSE;
    CK_ATTRIBUTE attr = {type, &byte, sizeof(byte)};

    return govern_all(run, &attr, 1, deleted, done);
}

static enum outcome hold(struct run *run)
{
    return govern_bool(run, CKA_RPV_HOLD, true, true, "held");
}

static enum outcome release(struct run *run)
{
    return govern_bool(run, CKA_RPV_HOLD, false, true, "released");
}

static enum outcome enable(struct run *run)
{
    return govern_bool(run, CKA_RPV_ENABLED, true, false, "enabled");
}

static enum outcome disable(struct run *run)
{
    return govern_bool(run, CKA_RPV_ENABLED, false, false, "disabled");
}

static enum outcome lock_to(struct run *run, CK_ULONG level, const char *done)
{
    CK_ATTRIBUTE attr = {CKA_RPV_LOCK, &level, sizeof(level)};

    return govern_all(run, &attr, 1, false, done);
}

static enum outcome lock(struct run *run)
{
    return lock_to(run, run_option(run, OPT_READ_ONLY) != NULL ? 2 : 1, "locked");
}

static enum outcome unlock(struct run *run)
{
    return lock_to(run, 0, "unlocked");
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

static const struct argp_option lock_options[] = {
    {"read-only", OPT_READ_ONLY, NULL, 0, "Against every change, not only deletes", 0},
    OPTION_END,
};
#define OBJECT_DOC "An OBJECT is named as for \"reprieve recover\"."
#define NEED_GOVERNOR (NEED_VENDOR | NEED_VAULT | NEED_OFFICER | NEED_WRITE)

const struct command govern_commands[] = {
    {"hold", "OBJECT...", "Lets objects not be purged, as SO",
     "Live or deleted: as long as the hold stands, no purge date counts. " OBJECT_DOC, NULL, 1,
     (size_t)-1, NEED_GOVERNOR, hold},
    {"release", "OBJECT...", "Takes holds off, as SO",
     "A deleted object whose purge date has passed is purged then. " OBJECT_DOC, NULL, 1,
     (size_t)-1, NEED_GOVERNOR, release},
    {"lock", "OBJECT...", "Lets objects not be deleted, as SO", OBJECT_DOC, lock_options, 1,
     (size_t)-1, NEED_GOVERNOR, lock},
    {"unlock", "OBJECT...", "Takes locks off, as SO", OBJECT_DOC, NULL, 1, (size_t)-1,
     NEED_GOVERNOR, unlock},
    {"enable", "OBJECT...", "Lets disabled keys be used again", OBJECT_DOC, NULL, 1,
     (size_t)-1, NEED_VENDOR | NEED_VAULT | NEED_LOGIN | NEED_WRITE, enable},
    {"disable", "OBJECT...", "Lets keys not be used, from the next call on", OBJECT_DOC,
     NULL, 1, (size_t)-1, NEED_VENDOR | NEED_VAULT | NEED_LOGIN | NEED_WRITE, disable},
    {"tombstones", "", "Lists what was purged: who, when, why", "", NULL, 0, 0,
     NEED_VENDOR | NEED_VAULT, tombstones},
    {0},
};
