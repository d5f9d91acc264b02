/* cmd_backup.c: keys out into a backup, and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key_file.h"
#include "output.h"
#include "progress.h"
#include "select.h"

/* ------------------------------------------------------------------ progress */

struct going {
    struct progress progress;
    json_t *left;                /* objects that something is to be said of; or NULL */
};

static const char *class_word(CK_ULONG class)
{
    static const char *const words[] = {"data", "certificate", "public", "private", "secret"};
    CK_OBJECT_CLASS found = 0;

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (object_class(words[i], &found) && found == class)
            return words[i];
    return "other";
}

static CK_RV going_notify(void *application, const struct RPV_PROGRESS_INFO *info)
{
    struct going *going = application;

    if (strcmp(info->result, "ok") != 0 && going->left != NULL && info->done == 0)
        json_array_append_new(going->left, json_pack("{s:s, s:s, s:s}", "uniqueId", info->uniqueId,
                                                     "class", class_word(info->ulClass), "result",
                                                     info->result));
    progress_step(&going->progress, info->done, info->total);
    return CKR_OK;
}

/* ------------------------------------------------------------------ keys */

struct key_files { struct bytes bytes[KEYS_MAX]; struct RPV_BLOB_KEY keys[KEYS_MAX]; };

static void key_files_auto(struct key_files *files)
{
    for (size_t i = 0; i < KEYS_MAX; i++)
        bytes_auto(&files->bytes[i]);
}

static enum outcome private_read(struct run *run, const char *path, struct bytes *ret_der)
{
    const struct pin_source passphrase = {"passphrase of the key file",
                                          run_option(run, OPT_PASSPHRASE_FILE),
                                          "--passphrase-file", "REPRIEVE_PASSPHRASE"};
    AUTO(pkey) EVP_PKEY *key = NULL;
    enum outcome outcome = key_read(path, &passphrase, &run->client.failure, &key);

    return outcome == OUTCOME_OK ? key_pkcs8(key, &run->client.failure, ret_der) : outcome;
}

static enum outcome keys_read(struct run *run, bool is_private, struct key_files *files)
{
    enum outcome outcome = OUTCOME_OK;

    for (size_t i = 0; i < run->n_keys && outcome == OUTCOME_OK; i++) {
        outcome = is_private ? private_read(run, run->keys[i], &files->bytes[i])
                             : file_read(run->keys[i], &run->client.failure, &files->bytes[i]);
        files->keys[i].pKey = files->bytes[i].data;
        files->keys[i].ulKeyLen = files->bytes[i].len;
    }
    return outcome;
}

/* ------------------------------------------------------------------ backup */

static enum outcome backup_do(struct run *run, const CK_OBJECT_HANDLE *handles,
                              const struct key_files *files, unsigned long threshold)
{
    struct client *client = &run->client;
    struct going going = {.progress = progress_begin(run, "backup")};
    const char *out = run_option(run, OPT_OUT);
    struct RPV_BACKUP ask = {.pPath = out, .fd = -1, .pKeys = files->keys, .ulKeys = run->n_keys,
                             .ulThreshold = threshold, .Notify = going_notify,
                             .pApplication = &going};
    unsigned long long objects = 0;
    enum outcome outcome = client_check(client, "RPV_Backup",
                                        client->rpv->RPV_Backup(client->session, handles,
                                                                run->n_args, &ask, &objects));

    progress_end(&going.progress);
    if (outcome != OUTCOME_OK)
        return outcome;
    output_done(run->json,
                json_pack("{s:s, s:I, s:b}", "backup", out, "objects", (json_int_t)objects,
                          "wholeVault", run->n_args == 0),
                "%llu objects are in %s, %s", objects, out,
                run->n_keys == 0 ? "which only this vault can restore. For the loss of the whole "
                                   "store, seal one to a key outside: --to"
                                 : "which the private keys restore into any vault");
    return OUTCOME_OK;
}

static enum outcome backup(struct run *run)
{
    AUTO(key_files) struct key_files files = {0};
    CK_OBJECT_HANDLE *handles = calloc(run->n_args + 1, sizeof(*handles));
    unsigned long threshold = 0;
    enum outcome outcome = run_option(run, OPT_OUT) == NULL ? run_usage(run, "--out is missing")
                                                            : OUTCOME_OK;

    if (handles == NULL)
        return failure_set(&run->client.failure, OUTCOME_FAILED, "MEMORY", "out of memory");
    if (outcome == OUTCOME_OK)
        outcome = run_number(run, OPT_THRESHOLD, 0, &threshold);
    if (outcome == OUTCOME_OK)
        outcome = keys_read(run, false, &files);
    for (size_t i = 0; outcome == OUTCOME_OK && i < run->n_args; i++)
        outcome = select_one(run, run->args[i], SELECT_LIVE | SELECT_DELETED, &handles[i]);
    if (outcome == OUTCOME_OK)
        outcome = backup_do(run, handles, &files, threshold);
    free(handles);
    return outcome;
}

/* ------------------------------------------------------------------ show */

static json_t *keys_describe(const struct RPV_BACKUP_INFO *info)
{
    static const char *const kinds[] = {"", "vault", "RSA", "EC"};
    json_t *keys = json_array();

    for (CK_ULONG i = 0; i < info->ulKeys; i++) {
        CK_ULONG kind = info->keys[i].ulKind;

        json_array_append_new(keys, json_pack("{s:s, s:s}", "kind",
                                              kind < COUNT_OF(kinds) ? kinds[kind] : "unknown",
                                              "fingerprint", info->keys[i].fingerprint));
    }
    return keys;
}

static enum outcome show(struct run *run)
{
    static const struct column columns[] = {
        {"id", "Id"}, {"created", "Made"}, {"by", "By"}, {"vault", "Vault"},
        {"serial", "Serial"}, {"wholeVault", "Whole vault"}, {"objects", "Objects"},
        {"opensWith", "Opens with"}, {"keys", "Sealed to"}, {"auditSeq", "Audit head"},
    };
    struct RPV_BACKUP_INFO info;
    char opens[64];
    json_t *record = NULL;
    enum outcome outcome = client_check(&run->client, "RPV_ShowBackup",
                                        run->client.rpv->RPV_ShowBackup(run->args[0], -1, &info));

    if (outcome != OUTCOME_OK)
        return outcome;
    snprintf(opens, sizeof(opens), "%lu of %lu keys", info.ulThreshold, info.ulKeys);
    record = json_pack("{s:s, s:o, s:s, s:o, s:s, s:b, s:I, s:I, s:s, s:I, s:s}", "id", info.id,
                       "created", output_time(info.createdAt), "by", info.createdBy, "vault",
                       output_text(info.label), "serial", info.serial, "wholeVault",
                       info.bWhole != CK_FALSE, "objects", (json_int_t)info.objects, "format",
                       (json_int_t)info.ulFormat, "opensWith", opens, "auditSeq",
                       (json_int_t)info.auditSeq, "auditHash", info.auditHash);
    if (run->json) {
        json_object_set_new(record, "keys", keys_describe(&info));
    } else {
        json_t *keys = keys_describe(&info), *key = NULL;
        char line[80 * RPV_BLOB_KEYS_MAX] = "";
        size_t i = 0, at = 0;

        json_array_foreach(keys, i, key) {
            int n = snprintf(line + at, sizeof(line) - at, "%s%s %.16s", i > 0 ? ", " : "",
                             json_string_value(json_object_get(key, "kind")),
                             json_string_value(json_object_get(key, "fingerprint")));
            at += n > 0 ? (size_t)n : 0;
        }
        json_object_set_new(record, "keys", json_string(line));
        json_decref(keys);
    }
    output_record(run->json, record, columns, COUNT_OF(columns));
    return OUTCOME_OK;
}

/* ------------------------------------------------------------------ restore */

static enum outcome restore_refused(struct run *run, struct going *going)
{
    if (run->client.failure.outcome == OUTCOME_REFUSED && json_array_size(going->left) > 0) {
        json_decref(run->client.failure.candidates);
        run->client.failure.candidates = json_incref(going->left);
        failure_hint(&run->client.failure, "%s",
                     run_option(run, OPT_REPLACE) != NULL
                         ? "these are as they were"
                         : "nothing was restored; --replace puts what is in the backup in the "
                           "place of what exists");
    }
    return run->client.failure.outcome;
}

static enum outcome restore_done(struct run *run, struct going *going,
                                 unsigned long long restored)
{
    bool dry = run_option(run, OPT_DRY_RUN) != NULL;
    bool settings = run_option(run, OPT_SETTINGS) != NULL;
    size_t left = json_array_size(going->left);
    json_t *document = json_pack("{s:I, s:b, s:O}", "restored", (json_int_t)restored, "dryRun",
                                 dry, "leftOut", going->left);

    if (settings)
        output_done(run->json, document, "%s the policy and %llu users%s",
                    dry ? "Would restore" : "Restored", restored,
                    restored > 0 && !dry ? ", who need new PINs: reprieve user pin" : "");
    else if (dry)
        output_done(run->json, document, "The backup opens. %zu of its objects were purged here "
                    "and would be left out; all others would be restored", left);
    else
        output_done(run->json, document, "Restored %llu objects%s", restored,
                    left > 0 ? "; those that were purged here were left out" : "");
    return OUTCOME_OK;
}

static enum outcome restore_do(struct run *run, const struct key_files *files,
                               struct going *going)
{
    struct client *client = &run->client;
    const struct RPV_RESTORE ask = {
        .pPath = run->args[0], .fd = -1, .pKeys = files->keys, .ulKeys = run->n_keys,
        .bReplace = run_option(run, OPT_REPLACE) != NULL,
        .bDryRun = run_option(run, OPT_DRY_RUN) != NULL,
        .bSettings = run_option(run, OPT_SETTINGS) != NULL, .Notify = going_notify,
        .pApplication = going};
    unsigned long long restored = 0;
    enum outcome outcome = client_check(client, "RPV_Restore",
                                        client->rpv->RPV_Restore(client->session, &ask,
                                                                 &restored));

    progress_end(&going->progress);
    return outcome == OUTCOME_OK ? restore_done(run, going, restored)
                                 : restore_refused(run, going);
}

static enum outcome restore(struct run *run)
{
    AUTO(key_files) struct key_files files = {0};
    struct going going = {.progress = progress_begin(run, "restore"), .left = json_array()};
    enum outcome outcome = keys_read(run, true, &files);

    if (outcome == OUTCOME_OK)
        outcome = restore_do(run, &files, &going);
    json_decref(going.left);
    return outcome;
}

static const struct argp_option backup_options[] = {
    OPTION_CLASS,
    {"out", OPT_OUT, "FILE", 0, "The file to make; it must not exist", 0},
    {"to", OPT_TO, "PUB.PEM", 0, "Seal to this public key (RSA, EC, X25519, X448); as often as "
     "there are keys", 0},
    {"threshold", OPT_THRESHOLD, "M", 0, "So many of the keys are needed to open it; else any one",
     0},
    OPTION_END,
};
static const struct argp_option restore_options[] = {
    {"key", OPT_KEY, "PRIV.PEM", 0, "A private key that the backup is sealed to; as often as "
     "needed", 0},
    {"passphrase-file", OPT_PASSPHRASE_FILE, "FILE", 0, "Read the private key's passphrase from "
     "FILE", 0},
    {"replace", OPT_REPLACE, NULL, 0, "Replace what exists", 0},
    {"dry-run", OPT_DRY_RUN, NULL, 0, "Only say what would be done", 0},
    {"settings", OPT_SETTINGS, NULL, 0, "The policy and the users instead of the objects; with "
     "--so", 0},
    OPTION_END,
};

const struct command backup_commands[] = {
    {"backup", "[OBJECT...]", "Backs up objects, or the whole vault",
     "With deleted objects, states, dates and, of a whole vault, policy and users. Without --to "
     "only this vault restores it.",
     backup_options, 0, (size_t)-1, NEED_VENDOR | NEED_VAULT | NEED_LOGIN | NEED_WRITE, backup},
    {"backup show", "FILE", "Shows what a backup says of itself", "", NULL, 1, 1, NEED_VENDOR,
     show},
    {"restore", "FILE", "Restores a backup",
     "Ids, attributes and states are kept. When something exists, nothing is restored and it is "
     "listed, but for --replace. What was purged here never comes back.",
     restore_options, 1, 1, NEED_VENDOR | NEED_VAULT | NEED_LOGIN | NEED_WRITE, restore},
    {0},
};
