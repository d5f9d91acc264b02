/* cmd_user.c: named principals: who they are, what they may do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "select.h"

/* ------------------------------------------------------------------ words for verbs */

struct word { const char *text; CK_ULONG verbs; };

static const struct word verbs[] = {
    {"get", RPV_VERB_GET},         {"list", RPV_VERB_LIST},       {"create", RPV_VERB_CREATE},
    {"import", RPV_VERB_IMPORT},   {"update", RPV_VERB_UPDATE},   {"delete", RPV_VERB_DELETE},
    {"recover", RPV_VERB_RECOVER}, {"backup", RPV_VERB_BACKUP},   {"restore", RPV_VERB_RESTORE},
    {"encrypt", RPV_VERB_ENCRYPT}, {"decrypt", RPV_VERB_DECRYPT}, {"wrap", RPV_VERB_WRAP},
    {"unwrap", RPV_VERB_UNWRAP},   {"sign", RPV_VERB_SIGN},       {"verify", RPV_VERB_VERIFY},
    {"derive", RPV_VERB_DERIVE},   {"purge", RPV_VERB_PURGE},     {"hold", RPV_VERB_HOLD},
    {"lock", RPV_VERB_LOCK},       {"policy", RPV_VERB_POLICY},   {"audit", RPV_VERB_AUDIT},
    {"rotate", RPV_VERB_ROTATE},
};

static const struct word roles[] = {
    {"administrator", RPV_ROLE_ADMINISTRATOR},
    {"crypto-officer", RPV_ROLE_CRYPTO_OFFICER},
    {"crypto-user", RPV_ROLE_CRYPTO_USER},
    {"service-encryption", RPV_ROLE_SERVICE_ENCRYPTION},
    {"purge-operator", RPV_ROLE_PURGE_OPERATOR},
    {"auditor", RPV_ROLE_AUDITOR},
    {"backup-operator", RPV_ROLE_BACKUP_OPERATOR},
};

static bool word_find(const struct word *words, size_t n, const char *text, CK_ULONG *verbs_of)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i].text, text) == 0) {
            *verbs_of |= words[i].verbs;
            return true;
        }
    return false;
}

/* Verbs and roles, with commas or blanks between them, of one argument. */
static enum outcome words_parse(struct run *run, const char *text, CK_ULONG *verbs_of)
{
    char copy[512], *rest = NULL;

    if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy))
        return run_usage(run, "that is too long for a list of verbs");
    for (char *word = strtok_r(copy, ", ", &rest); word != NULL; word = strtok_r(NULL, ", ", &rest))
        if (!word_find(verbs, COUNT_OF(verbs), word, verbs_of) &&
            !word_find(roles, COUNT_OF(roles), word, verbs_of))
            return run_usage(run, "\"%s\" is no verb and no role", word);
    return OUTCOME_OK;
}

static enum outcome args_parse(struct run *run, CK_ULONG *ret_verbs)
{
    enum outcome outcome = OUTCOME_OK;

    *ret_verbs = 0;
    for (size_t i = 1; i < run->n_args && outcome == OUTCOME_OK; i++)
        outcome = words_parse(run, run->args[i], ret_verbs);
    return outcome;
}

static json_t *verbs_json(CK_ULONG mask)
{
    json_t *list = json_array();

    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (mask & verbs[i].verbs)
            json_array_append_new(list, json_string(verbs[i].text));
    return list;
}

static json_t *role_json(CK_ULONG mask)
{
    for (size_t i = 0; i < COUNT_OF(roles); i++)
        if (mask == roles[i].verbs)
            return json_string(roles[i].text);
    return json_null();
}

/* ------------------------------------------------------------------ list */

static enum outcome users_read(struct client *client, struct RPV_USER_INFO **ret_users,
                               CK_ULONG *ret_n)
{
    struct RPV_USER_INFO *users = NULL;
    CK_ULONG n = 0;
    CK_RV rv = client->rpv->RPV_ListUsers(client->slot, NULL, &n);

    if (rv == CKR_OK) {
        users = calloc(n + 1, sizeof(*users));
        if (users == NULL)
            return failure_set(&client->failure, OUTCOME_FAILED, "MEMORY", "out of memory");
        rv = client->rpv->RPV_ListUsers(client->slot, users, &n);
    }
    if (rv != CKR_OK) {
        free(users);
        return client_check(client, "RPV_ListUsers", rv);
    }
    *ret_users = users;
    *ret_n = n;
    return OUTCOME_OK;
}

static enum outcome grants_json(struct client *client, const char *name, json_t **ret_grants)
{
    struct RPV_GRANT *grants = NULL;
    CK_ULONG n = 0;
    CK_RV rv = client->rpv->RPV_ListGrants(client->slot, name, NULL, &n);

    grants = calloc(n + 1, sizeof(*grants));
    if (grants == NULL)
        return failure_set(&client->failure, OUTCOME_FAILED, "MEMORY", "out of memory");
    if (rv == CKR_OK)
        rv = client->rpv->RPV_ListGrants(client->slot, name, grants, &n);
    if (rv == CKR_OK) {
        *ret_grants = json_array();
        for (CK_ULONG i = 0; i < n; i++) {
            json_t *row = json_object();

            json_object_set_new(row, "uniqueId", output_text(grants[i].uniqueId));
            json_object_set_new(row, "verbs", verbs_json(grants[i].ulVerbs));
            json_array_append_new(*ret_grants, row);
        }
    }
    free(grants);
    return client_check(client, "RPV_ListGrants", rv);
}

static json_t *user_json(const struct RPV_USER_INFO *user)
{
    json_t *row = json_object();

    json_object_set_new(row, "name", output_text(user->name));
    json_object_set_new(row, "role", role_json(user->ulVerbs));
    json_object_set_new(row, "verbs", verbs_json(user->ulVerbs));
    json_object_set_new(row, "triesLeft", json_integer((json_int_t)user->ulTriesLeft));
    json_object_set_new(row, "createdAt", output_time(user->createdAt));
    json_object_set_new(row, "createdBy", output_text(user->createdBy));
    return row;
}

/* For people: the words in one line. */
static void row_flatten(json_t *row)
{
    char text[512] = "";
    size_t len = 0, i = 0;
    json_t *word = NULL;

    json_array_foreach(json_object_get(row, "verbs"), i, word)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i > 0 ? " " : "",
                                json_string_value(word));
    json_object_set_new(row, "verbs", json_string(text));
    json_object_set_new(row, "grants",
                        json_integer((json_int_t)json_array_size(json_object_get(row, "grants"))));
}

static enum outcome user_list(struct run *run)
{
    static const struct column columns[] = {
        {"name", "NAME"},       {"role", "ROLE"},          {"verbs", "VERBS"},
        {"grants", "GRANTS"},   {"triesLeft", "TRIES LEFT"}, {"createdBy", "MADE BY"},
    };
    struct RPV_USER_INFO *users = NULL;
    CK_ULONG n = 0;
    json_t *rows = NULL;
    enum outcome outcome = users_read(&run->client, &users, &n);

    if (outcome != OUTCOME_OK)
        return outcome;
    rows = json_array();
    for (CK_ULONG i = 0; i < n && outcome == OUTCOME_OK; i++) {
        json_t *row = user_json(&users[i]), *grants = NULL;

        outcome = grants_json(&run->client, users[i].name, &grants);
        json_object_set_new(row, "grants", grants != NULL ? grants : json_array());
        if (!run->json)
            row_flatten(row);
        json_array_append_new(rows, row);
    }
    free(users);
    if (outcome == OUTCOME_OK)
        output_rows(run->json, "users", rows, columns, COUNT_OF(columns), "No named users.");
    else
        json_decref(rows);
    return outcome;
}

/* ------------------------------------------------------------------ changes */

static enum outcome user_pin(struct run *run, struct pin *ret_pin)
{
    const struct pin_source source = {"PIN for the named user", run_option(run, OPT_USER_PIN_FILE),
                                      "--user-pin-file", "REPRIEVE_NEW_PIN"};

    return pin_read(&source, true, &run->client.failure, ret_pin);
}

static enum outcome user_done(struct run *run, const char *call, CK_RV rv, const char *sentence)
{
    enum outcome outcome = client_check(&run->client, call, rv);
    json_t *document = NULL;

    if (outcome != OUTCOME_OK)
        return outcome;
    document = json_object();
    json_object_set_new(document, "name", output_text(run->args[0]));
    output_done(run->json, document, sentence, run->args[0]);
    return OUTCOME_OK;
}

static enum outcome user_add(struct run *run)
{
    struct client *client = &run->client;
    AUTO(pin) struct pin pin = {0};
    CK_ULONG mask = 0;
    enum outcome outcome = args_parse(run, &mask);

    if (outcome == OUTCOME_OK)
        outcome = user_pin(run, &pin);
    return outcome != OUTCOME_OK
               ? outcome
               : user_done(run, "RPV_AddUser",
                           client->rpv->RPV_AddUser(client->session, run->args[0], pin.bytes,
                                                    pin.len, mask),
                           "%s can log in now.");
}

static enum outcome user_remove(struct run *run)
{
    struct client *client = &run->client;

    return user_done(run, "RPV_RemoveUser",
                     client->rpv->RPV_RemoveUser(client->session, run->args[0]),
                     "%s is removed, and logged out everywhere.");
}

static enum outcome user_set_pin(struct run *run)
{
    struct client *client = &run->client;
    AUTO(pin) struct pin pin = {0};
    enum outcome outcome = user_pin(run, &pin);

    return outcome != OUTCOME_OK
               ? outcome
               : user_done(run, "RPV_SetUserPin",
                           client->rpv->RPV_SetUserPin(client->session, run->args[0], pin.bytes,
                                                       pin.len),
                           "%s has a new PIN, and all tries again.");
}

/* The verbs that the user has now in general. */
static enum outcome verbs_now(struct run *run, CK_ULONG *ret_verbs)
{
    struct RPV_USER_INFO *users = NULL;
    CK_ULONG n = 0;
    enum outcome outcome = users_read(&run->client, &users, &n);
    bool found = false;

    for (CK_ULONG i = 0; outcome == OUTCOME_OK && i < n; i++)
        if (strcmp(users[i].name, run->args[0]) == 0) {
            *ret_verbs = users[i].ulVerbs;
            found = true;
        }
    free(users);
    return outcome != OUTCOME_OK || found
               ? outcome
               : failure_set(&run->client.failure, OUTCOME_NOT_FOUND, "USER_NOT_FOUND",
                             "there is no user called \"%s\"", run->args[0]);
}

/* The same, on one object. */
static enum outcome grants_now(struct run *run, CK_OBJECT_HANDLE object, CK_ULONG *ret_verbs)
{
    struct client *client = &run->client;
    json_t *grants = NULL, *grant = NULL, *word = NULL, *described = NULL;
    size_t i = 0, j = 0;
    enum outcome outcome = grants_json(client, run->args[0], &grants);

    if (outcome != OUTCOME_OK)
        return outcome;
    described = object_describe(client, object);
    *ret_verbs = 0;
    json_array_foreach(grants, i, grant)
        if (json_equal(json_object_get(grant, "uniqueId"), json_object_get(described, "uniqueId")))
            json_array_foreach(json_object_get(grant, "verbs"), j, word)
                word_find(verbs, COUNT_OF(verbs), json_string_value(word), ret_verbs);
    json_decref(grants);
    json_decref(described);
    return OUTCOME_OK;
}

static enum outcome user_change(struct run *run, bool give)
{
    struct client *client = &run->client;
    bool on = run_option(run, OPT_ON) != NULL;
    CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
    CK_ULONG mask = 0, now = 0;
    enum outcome outcome = args_parse(run, &mask);

    if (outcome == OUTCOME_OK)
        outcome = verbs_now(run, &now);
    if (outcome == OUTCOME_OK && on)
        outcome = select_one(run, run_option(run, OPT_ON), SELECT_LIVE, &object);
    if (outcome == OUTCOME_OK && on)
        outcome = grants_now(run, object, &now);
    if (outcome != OUTCOME_OK)
        return outcome;
    now = give ? now | mask : now & ~mask;
    return on ? user_done(run, "RPV_GrantUser",
                          client->rpv->RPV_GrantUser(client->session, run->args[0], object, now),
                          "The grants of %s are changed.")
              : user_done(run, "RPV_SetUserVerbs",
                          client->rpv->RPV_SetUserVerbs(client->session, run->args[0], now),
                          "The verbs of %s are changed.");
}

static enum outcome user_grant(struct run *run)
{
    return user_change(run, true);
}

static enum outcome user_revoke(struct run *run)
{
    return user_change(run, false);
}

/* ------------------------------------------------------------------ the rows */

#define OPTION_NEW_PIN                                                                             \
    {"user-pin-file", OPT_USER_PIN_FILE, "FILE", 0, "Read the named user's PIN from FILE; else "   \
     "from REPRIEVE_NEW_PIN, else it is asked for", 0}
#define OPTION_ON                                                                                  \
    {"on", OPT_ON, "OBJECT", 0, "Only on this object: its unique id or label", 0}

static const struct argp_option pin_options[] = {OPTION_NEW_PIN, OPTION_END};
static const struct argp_option grant_options[] = {OPTION_ON, OPTION_CLASS, OPTION_END};

#define VERBS_DOC                                                                                  \
    "Verbs: get list create import update delete recover backup restore, encrypt decrypt wrap "    \
    "unwrap sign verify derive, purge hold lock policy audit rotate. Roles, for bundles of them: " \
    "administrator, crypto-officer, crypto-user, service-encryption, purge-operator, auditor, "    \
    "backup-operator."
#define NEEDS (NEED_VENDOR | NEED_VAULT | NEED_OFFICER | NEED_WRITE)

const struct command user_commands[] = {
    {"user list", "", "Lists the named users, their verbs and grants", "", NULL, 0, 0,
     NEED_VENDOR | NEED_VAULT, user_list},
    {"user add", "NAME [VERB|ROLE...]", "Makes a named user",
     "It logs in with its name and PIN (C_LoginUser), or where a program asks for the user PIN "
     "with NAME:PIN. " VERBS_DOC, pin_options, 1, (size_t)-1, NEEDS, user_add},
    {"user grant", "NAME VERB|ROLE...", "Gives a named user further verbs",
     "In general, or with --on for one object. In force at the next call of every process. "
     VERBS_DOC, grant_options, 2, (size_t)-1, NEEDS, user_grant},
    {"user revoke", "NAME VERB|ROLE...", "Takes verbs from a named user",
     "In general, or with --on those granted for one object. In force at the next call of every "
     "process, also in the middle of an operation. " VERBS_DOC, grant_options, 2, (size_t)-1,
     NEEDS, user_revoke},
    {"user pin", "NAME", "Sets a named user's PIN",
     "Also frees a locked one. Users change their own PIN with any PKCS#11 tool.", pin_options, 1,
     1, NEEDS, user_set_pin},
    {"user remove", "NAME", "Removes a named user",
     "Its logins end at their next call, in every process.", NULL, 1, 1, NEEDS,
     user_remove},
    {0},
};
