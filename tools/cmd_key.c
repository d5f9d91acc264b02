/* cmd_key.c: versions of keys: the next one, by hand or by age. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "object.h"
#include "output.h"
#include "rotation.h"

/* ------------------------------------------------------------------ one key */

static CK_ULONG version_of(struct client *client, CK_OBJECT_HANDLE handle)
{
    CK_ULONG version = 0;
    CK_ATTRIBUTE attr = {CKA_RPV_VERSION, &version, sizeof(version)};

    return client->f->C_GetAttributeValue(client->session, handle, &attr, 1) == CKR_OK ? version
                                                                                       : 0;
}

/* The newest secret or private key of that label; more than one such: none. */
static enum outcome newest_of(struct run *run, const char *label, CK_OBJECT_HANDLE *ret_handle)
{
    static CK_OBJECT_CLASS classes[] = {CKO_SECRET_KEY, CKO_PRIVATE_KEY};
    CK_ULONG best = 0;

    *ret_handle = CK_INVALID_HANDLE;
    for (size_t c = 0; c < COUNT_OF(classes); c++) {
        AUTO(handles) struct handles handles = {0};
        CK_ATTRIBUTE attrs[] = {{CKA_LABEL, (void *)(uintptr_t)label, strlen(label)},
                                {CKA_CLASS, &classes[c], sizeof(classes[c])}};
        enum outcome outcome = object_find(&run->client, attrs, COUNT_OF(attrs), &handles);

        if (outcome != OUTCOME_OK)
            return outcome;
        for (size_t i = 0; i < handles.n; i++) {
            CK_ULONG version = version_of(&run->client, handles.list[i]);

            if (version == best)
                *ret_handle = CK_INVALID_HANDLE;
            if (version > best)
                *ret_handle = handles.list[i];
            best = version > best ? version : best;
        }
    }
    return OUTCOME_OK;
}

static enum outcome key_of(struct run *run, const char *name, CK_OBJECT_HANDLE *ret_handle)
{
    static CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE attr = {CKA_CLASS, &class, sizeof(class)};
    enum outcome outcome = newest_of(run, name, ret_handle);

    if (outcome != OUTCOME_OK || *ret_handle != CK_INVALID_HANDLE)
        return outcome;
    /* a pair's halves have one name, and the private one is meant */
    outcome = object_select(&run->client, name, &attr, 1, ret_handle);
    if (outcome != OUTCOME_NOT_FOUND || run->client.failure.candidates != NULL)
        return outcome;
    return object_select(&run->client, name, NULL, 0, ret_handle);
}

/* ------------------------------------------------------------------ what is due */

enum outcome rotation_due(struct client *client, CK_SLOT_ID slot, struct RPV_UNIQUE_ID **ret_ids,
                          CK_ULONG *ret_n)
{
    struct RPV_UNIQUE_ID *ids = NULL;
    CK_ULONG n = 0;
    CK_RV rv = client->rpv->RPV_ListRotations(slot, NULL, &n);

    if (rv == CKR_OK && n > 0) {
        ids = calloc(n, sizeof(*ids));
        rv = ids != NULL ? client->rpv->RPV_ListRotations(slot, ids, &n) : CKR_HOST_MEMORY;
    }
    if (rv != CKR_OK) {
        free(ids);
        return client_check(client, "RPV_ListRotations", rv);
    }
    *ret_ids = ids;
    *ret_n = n;
    return OUTCOME_OK;
}

static enum outcome rotate_one(struct client *client, CK_OBJECT_HANDLE handle, json_t *rows)
{
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    enum outcome outcome = client_check(client, "RPV_RotateKey",
                                        client->rpv->RPV_RotateKey(client->session, handle, &key,
                                                                   NULL));
    json_t *row = NULL;

    if (outcome != OUTCOME_OK)
        return outcome;
    row = object_describe(client, key);
    json_object_set_new(row, "version", json_integer((json_int_t)version_of(client, key)));
    json_array_append_new(rows, row);
    return OUTCOME_OK;
}

enum outcome rotation_do(struct client *client, json_t *rows)
{
    struct RPV_UNIQUE_ID *ids = NULL;
    CK_ULONG n = 0;
    enum outcome outcome = rotation_due(client, client->slot, &ids, &n);

    for (CK_ULONG i = 0; i < n && outcome == OUTCOME_OK; i++) {
        CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;

        outcome = object_select(client, ids[i].text, NULL, 0, &handle);
        if (outcome == OUTCOME_OK)
            outcome = rotate_one(client, handle, rows);
    }
    free(ids);
    return outcome;
}

/* ------------------------------------------------------------------ commands */

static enum outcome rotate(struct run *run)
{
    static const struct column columns[] = {{"uniqueId", "UNIQUE ID"}, {"class", "CLASS"},
                                            {"keyType", "TYPE"},       {"label", "LABEL"},
                                            {"version", "VERSION"}};
    json_t *rows = json_array();
    CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
    bool due = run_option(run, OPT_DUE) != NULL;
    enum outcome outcome = due == (run->n_args > 0) ? run_usage(run, "name the keys, or say --due")
                                                    : OUTCOME_OK;

    if (outcome == OUTCOME_OK && due)
        outcome = rotation_do(&run->client, rows);
    for (size_t i = 0; i < run->n_args && outcome == OUTCOME_OK; i++) {
        outcome = key_of(run, run->args[i], &handle);
        if (outcome == OUTCOME_OK)
            outcome = rotate_one(&run->client, handle, rows);
    }
    if (outcome == OUTCOME_OK)
        output_rows(run->json, "rotated", rows, columns, COUNT_OF(columns), "No key is due.");
    else
        json_decref(rows);
    return outcome;
}

static enum outcome due(struct run *run)
{
    static const struct column columns[] = {{"uniqueId", "UNIQUE ID"}};
    struct RPV_UNIQUE_ID *ids = NULL;
    CK_ULONG n = 0;
    json_t *rows = json_array();
    enum outcome outcome = rotation_due(&run->client, run->client.slot, &ids, &n);

    for (CK_ULONG i = 0; i < n && outcome == OUTCOME_OK; i++)
        json_array_append_new(rows, json_pack("{s:s}", "uniqueId", ids[i].text));
    free(ids);
    if (outcome == OUTCOME_OK)
        output_rows(run->json, "due", rows, columns, COUNT_OF(columns), "No key is due.");
    else
        json_decref(rows);
    return outcome;
}

static enum outcome every(struct run *run)
{
    CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
    char *end = NULL;
    CK_ULONG days = strtoul(run->args[1], &end, 10);
    CK_ATTRIBUTE attr = {CKA_RPV_ROTATE_DAYS, &days, sizeof(days)};
    enum outcome outcome = end == run->args[1] || *end != '\0'
                               ? run_usage(run, "\"%s\" is no number of days", run->args[1])
                               : key_of(run, run->args[0], &handle);

    if (outcome == OUTCOME_OK)
        outcome = client_check(&run->client, "C_SetAttributeValue",
                               run->client.f->C_SetAttributeValue(run->client.session, handle,
                                                                  &attr, 1));
    if (outcome == OUTCOME_OK)
        output_done(run->json, json_pack("{s:s, s:I}", "key", run->args[0], "rotateDays",
                                         (json_int_t)days),
                    days == 0 ? "%s is not rotated by age" : "%s is due %lu days after it is made",
                    run->args[0], days);
    return outcome;
}

static const struct argp_option rotate_options[] = {
    {"due", OPT_DUE, NULL, 0, "Every key that is older than it should be", 0},
    OPTION_END,
};

const struct command key_commands[] = {
    {"key rotate", "KEY...", "Makes the next version of keys",
     "A fresh key of the same attributes; a pair's public key goes along. Searches yield the "
     "newest first; older versions still decrypt, unwrap and verify. A label means its newest "
     "version.",
     rotate_options, 0, (size_t)-1, NEED_VENDOR | NEED_VAULT | NEED_LOGIN | NEED_WRITE, rotate},
    {"key due", "", "Lists keys that are due for rotation",
     "By unique id: it needs no PIN, and so does not see labels.", NULL, 0, 0,
     NEED_VENDOR | NEED_VAULT, due},
    {"key rotate-every", "KEY DAYS", "Sets the age at which a key is due", "0 is never.", NULL, 2,
     2, NEED_VENDOR | NEED_VAULT | NEED_LOGIN | NEED_WRITE, every},
    {0},
};
