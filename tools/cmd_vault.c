/* cmd_vault.c: vaults and their generations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"
#include "policy.h"

/* ------------------------------------------------------------------ list, show, create */

static json_t *vault_json(const struct RPV_VAULT_INFO *info)
{
    json_t *object = json_object();

    json_object_set_new(object, "slot", json_integer((json_int_t)info->slotID));
    json_object_set_new(object, "serial", output_text(info->serial));
    json_object_set_new(object, "label", output_text(info->label));
    json_object_set_new(object, "generation", json_integer((json_int_t)info->ulGeneration));
    json_object_set_new(object, "createdAt", output_time(info->createdAt));
    json_object_set_new(object, "userPinSet", json_boolean(info->bUserPinSet));
    json_object_set_new(object, "soTriesLeft", json_integer((json_int_t)info->ulSoTriesLeft));
    json_object_set_new(object, "userTriesLeft", json_integer((json_int_t)info->ulUserTriesLeft));
    return object;
}

/* All vaults of the store; the caller frees. */
static enum outcome vaults_read(struct client *client, struct RPV_VAULT_INFO **ret_infos,
                                CK_ULONG *ret_n)
{
    struct RPV_VAULT_INFO *infos = NULL;
    CK_ULONG n = 0;
    CK_RV rv = client->rpv->RPV_ListVaults(NULL, &n);

    if (rv == CKR_OK) {
        infos = calloc(n + 1, sizeof(*infos));
        if (infos == NULL)
            return failure_set(&client->failure, OUTCOME_FAILED, "MEMORY", "out of memory");
        rv = client->rpv->RPV_ListVaults(infos, &n);
    }
    if (rv != CKR_OK) {
        free(infos);
        return client_check(client, "RPV_ListVaults", rv);
    }
    *ret_infos = infos;
    *ret_n = n;
    return OUTCOME_OK;
}

static enum outcome vault_list(struct run *run)
{
    static const struct column columns[] = {
        {"slot", "SLOT"},
        {"serial", "SERIAL"},
        {"label", "LABEL"},
        {"retention_days", "RETENTION DAYS"},
        {"purge_protection", "PURGE PROTECTION"},
        {"createdAt", "CREATED"},
    };
    struct RPV_VAULT_INFO *infos = NULL;
    CK_ULONG n = 0;
    json_t *rows = NULL;
    enum outcome outcome = vaults_read(&run->client, &infos, &n);

    if (outcome != OUTCOME_OK)
        return outcome;
    rows = json_array();
    for (CK_ULONG i = 0; i < n; i++) {
        json_t *row = vault_json(&infos[i]);
        json_t *policy = policy_json(&infos[i].policy);

        json_object_update(row, policy);
        json_decref(policy);
        json_array_append_new(rows, row);
    }
    free(infos);
    output_rows(run->json, "vaults", rows, columns, COUNT_OF(columns),
                "No vault yet. Make one with: reprieve vault create --label NAME");
    return OUTCOME_OK;
}

static enum outcome vault_show(struct run *run)
{
    static const struct column columns[] = {
        {"label", "Label"},
        {"serial", "Serial number"},
        {"slot", "Slot"},
        {"generation", "Generation"},
        {"createdAt", "Created"},
        {"userPinSet", "User PIN set"},
        {"userTriesLeft", "User PIN tries left"},
        {"soTriesLeft", "SO PIN tries left"},
        {"retention_days", "Days from delete to purge"},
        {"purge_protection", "Purge protection"},
        {"profile", "Profile"},
        {"min_rsa_bits", "Smallest RSA key"},
        {"scrypt_log_n", "PIN cost (scrypt log N)"},
    };
    struct RPV_VAULT_INFO *infos = NULL;
    CK_ULONG n = 0;
    enum outcome outcome = vaults_read(&run->client, &infos, &n);

    if (outcome != OUTCOME_OK)
        return outcome;
    for (CK_ULONG i = 0; i < n; i++) {
        if (infos[i].slotID == run->client.slot) {
            json_t *record = vault_json(&infos[i]);
            json_t *policy = policy_json(&infos[i].policy);

            json_object_update(record, policy);
            json_decref(policy);
            output_record(run->json, record, columns, COUNT_OF(columns));
        }
    }
    free(infos);
    return OUTCOME_OK;
}

static enum outcome vault_create(struct run *run)
{
    struct client *client = &run->client;
    const char *label = run_option(run, OPT_LABEL);
    struct RPV_POLICY policy;
    CK_UTF8CHAR padded[32];
    CK_SLOT_ID slot = 0;
    AUTO(pin) struct pin pin = {0};
    json_t *document = NULL;
    enum outcome outcome = OUTCOME_OK;

    if (label == NULL || label[0] == '\0' || strlen(label) > sizeof(padded))
        return run_usage(run, "--label NAME is needed, of 1 to 32 bytes");
    memset(padded, ' ', sizeof(padded));
    memcpy(padded, label, strlen(label));
    outcome = client_check(client, "RPV_GetDefaultPolicy",
                           client->rpv->RPV_GetDefaultPolicy(&policy));
    if (outcome == OUTCOME_OK)
        outcome = policy_apply(run, &policy);
    if (outcome == OUTCOME_OK)
        outcome = client_pin(client, ROLE_SO, true, &pin);
    if (outcome == OUTCOME_OK)
        outcome = client_check(client, "RPV_CreateVault",
                               client->rpv->RPV_CreateVault(pin.bytes, pin.len, padded, &policy,
                                                            &slot));
    if (outcome != OUTCOME_OK)
        return outcome;
    document = policy_json(&policy);
    json_object_set_new(document, "slot", json_integer((json_int_t)slot));
    json_object_set_new(document, "label", output_text(label));
    output_done(run->json, document, "Made vault \"%s\" in slot %lu. Now give it a user PIN: "
                "reprieve --vault %lu vault init-pin", label, slot, slot);
    return OUTCOME_OK;
}

static enum outcome vault_init_pin(struct run *run)
{
    struct client *client = &run->client;
    AUTO(pin) struct pin pin = {0};
    enum outcome outcome = client_pin(client, ROLE_USER, true, &pin);

    if (outcome == OUTCOME_OK)
        outcome = client_check(client, "C_InitPIN",
                               client->f->C_InitPIN(client->session, pin.bytes, pin.len));
    if (outcome == OUTCOME_OK)
        output_done(run->json, json_pack("{s:b}", "userPinSet", 1), "The user PIN is set.");
    return outcome;
}

/* ------------------------------------------------------------------ generations */

static json_t *generation_json(const struct RPV_GENERATION_INFO *info)
{
    static const char *const levels[] = {
        [RPV_LEVEL_PURGEABLE] = "purgeable at once",
        [RPV_LEVEL_RECOVERABLE_PURGEABLE] = "recoverable, purgeable by permission",
        [RPV_LEVEL_RECOVERABLE] = "recoverable, protected from purge",
        [RPV_LEVEL_RECOVERABLE_HELD] = "recoverable, on hold",
    };
    json_t *object = json_object();
    bool known = info->bDeleted && info->ulRecoveryLevel < COUNT_OF(levels);

    json_object_set_new(object, "generation", json_integer((json_int_t)info->ulGeneration));
    json_object_set_new(object, "label", output_text(info->label));
    json_object_set_new(object, "state", json_string(info->bDeleted ? "deleted" : "live"));
    json_object_set_new(object, "objects", json_integer((json_int_t)info->ulObjects));
    json_object_set_new(object, "createdAt", output_time(info->createdAt));
    json_object_set_new(object, "deletedAt", output_time(info->deletedAt));
    json_object_set_new(object, "deletedBy", output_text(info->deletedBy));
    json_object_set_new(object, "purgeAt", output_time(info->purgeAt));
    json_object_set_new(object, "recoveryLevel",
                        known ? json_string(levels[info->ulRecoveryLevel]) : json_null());
    return object;
}

/* All generations of the vault; the caller frees. */
static enum outcome generations_read(struct client *client,
                                     struct RPV_GENERATION_INFO **ret_infos, CK_ULONG *ret_n)
{
    struct RPV_GENERATION_INFO *infos = NULL;
    CK_ULONG n = 0;
    CK_RV rv = client->rpv->RPV_ListGenerations(client->slot, NULL, &n);

    if (rv == CKR_OK) {
        infos = calloc(n + 1, sizeof(*infos));
        if (infos == NULL)
            return failure_set(&client->failure, OUTCOME_FAILED, "MEMORY", "out of memory");
        rv = client->rpv->RPV_ListGenerations(client->slot, infos, &n);
    }
    if (rv != CKR_OK) {
        free(infos);
        return client_check(client, "RPV_ListGenerations", rv);
    }
    *ret_infos = infos;
    *ret_n = n;
    return OUTCOME_OK;
}

static enum outcome vault_generations(struct run *run)
{
    static const struct column columns[] = {
        {"generation", "GENERATION"}, {"label", "LABEL"},        {"state", "STATE"},
        {"objects", "OBJECTS"},       {"deletedAt", "DELETED"},  {"deletedBy", "BY"},
        {"purgeAt", "PURGE"},         {"recoveryLevel", "RECOVERY"},
    };
    struct RPV_GENERATION_INFO *infos = NULL;
    CK_ULONG n = 0;
    json_t *rows = NULL;
    enum outcome outcome = generations_read(&run->client, &infos, &n);

    if (outcome != OUTCOME_OK)
        return outcome;
    rows = json_array();
    for (CK_ULONG i = 0; i < n; i++)
        json_array_append_new(rows, generation_json(&infos[i]));
    free(infos);
    output_rows(run->json, "generations", rows, columns, COUNT_OF(columns), "None.");
    return OUTCOME_OK;
}

/* The argument, which must be the number of a deleted generation. */
static enum outcome generation_argument(struct run *run, CK_ULONG *ret_generation)
{
    struct failure *failure = &run->client.failure;
    struct RPV_GENERATION_INFO *infos = NULL;
    CK_ULONG n = 0;
    char *end = NULL;
    bool found = false;
    enum outcome outcome = OUTCOME_OK;

    *ret_generation = strtoul(run->args[0], &end, 10);
    if (end == run->args[0] || *end != '\0' || run->args[0][0] == '-')
        return run_usage(run, "\"%s\" is no generation; reprieve vault generations lists them",
                         run->args[0]);
    outcome = generations_read(&run->client, &infos, &n);
    if (outcome != OUTCOME_OK)
        return outcome;
    for (CK_ULONG i = 0; i < n; i++)
        found = found || (infos[i].bDeleted && infos[i].ulGeneration == *ret_generation);
    free(infos);
    if (found)
        return OUTCOME_OK;
    failure_set(failure, OUTCOME_NOT_FOUND, "GENERATION_NOT_FOUND",
                "this vault has no deleted generation %lu", *ret_generation);
    failure_hint(failure, "see them with: reprieve vault generations");
    return OUTCOME_NOT_FOUND;
}

static enum outcome generation_done(struct run *run, CK_ULONG generation, const char *done)
{
    json_t *document = json_object();

    json_object_set_new(document, "generation", json_integer((json_int_t)generation));
    json_object_set_new(document, done, json_true());
    output_done(run->json, document, "Generation %lu is %s.", generation, done);
    return OUTCOME_OK;
}

static enum outcome vault_recover(struct run *run)
{
    struct client *client = &run->client;
    enum client_role role = run_option(run, OPT_SO) != NULL ? ROLE_SO : ROLE_USER;
    CK_ULONG generation = 0;
    AUTO(pin) struct pin pin = {0};
    enum outcome outcome = generation_argument(run, &generation);

    if (outcome == OUTCOME_OK)
        outcome = client_pin(client, role, false, &pin);
    if (outcome == OUTCOME_OK)
        outcome = client_check(client, "RPV_RecoverGeneration",
                               client->rpv->RPV_RecoverGeneration(client->slot, generation,
                                                                  client_user_type(role),
                                                                  pin.bytes, pin.len));
    return outcome == OUTCOME_OK ? generation_done(run, generation, "recovered") : outcome;
}

static enum outcome vault_purge(struct run *run)
{
    struct client *client = &run->client;
    CK_ULONG generation = 0;
    AUTO(pin) struct pin pin = {0};
    enum outcome outcome = generation_argument(run, &generation);

    if (outcome == OUTCOME_OK)
        outcome = run_confirm(run, "Nothing brings a purged generation back. Purge it?");
    if (outcome == OUTCOME_OK)
        outcome = client_pin(client, ROLE_SO, false, &pin);
    if (outcome == OUTCOME_OK)
        outcome = client_check(client, "RPV_PurgeGeneration",
                               client->rpv->RPV_PurgeGeneration(client->slot, generation,
                                                                pin.bytes, pin.len));
    return outcome == OUTCOME_OK ? generation_done(run, generation, "purged") : outcome;
}

/* ------------------------------------------------------------------ hold, lock */

static enum outcome generation_option(struct run *run, CK_ULONG *ret_generation)
{
    *ret_generation = 0;
    return run->n_args == 0 ? OUTCOME_OK : generation_argument(run, ret_generation);
}

/* One function, for four commands: what to set, to what. */
static enum outcome vault_govern(struct run *run, bool holds, CK_ULONG value, const char *done)
{
    struct client *client = &run->client;
    CK_ULONG generation = 0;
    bool named = run_option(run, OPT_USER) != NULL;   /* acts by its login, the SO by its PIN */
    AUTO(pin) struct pin pin = {0};
    CK_BYTE *bytes = named ? NULL : pin.bytes;
    enum outcome outcome = generation_option(run, &generation);

    if (outcome == OUTCOME_OK)
        outcome = named ? run_login(run, ROLE_USER, true)
                        : client_pin(client, ROLE_SO, false, &pin);
    if (outcome == OUTCOME_OK && holds)
        outcome = client_check(client, "RPV_SetHold",
                               client->rpv->RPV_SetHold(client->slot, generation,
                                                        value != 0 ? CK_TRUE : CK_FALSE, bytes,
                                                        pin.len));
    else if (outcome == OUTCOME_OK)
        outcome = client_check(client, "RPV_SetLock",
                               client->rpv->RPV_SetLock(client->slot, generation, value, bytes,
                                                        pin.len));
    if (outcome != OUTCOME_OK)
        return outcome;
    if (generation != 0)
        return generation_done(run, generation, done);
    json_t *document = json_object();
    json_object_set_new(document, done, json_true());
    output_done(run->json, document, "The vault is %s.", done);
    return OUTCOME_OK;
}

static enum outcome vault_hold(struct run *run)
{
    return vault_govern(run, true, 1, "held");
}

static enum outcome vault_release(struct run *run)
{
    return vault_govern(run, true, 0, "released");
}

static enum outcome vault_lock(struct run *run)
{
    return vault_govern(run, false, run_option(run, OPT_READ_ONLY) != NULL ? 2 : 1, "locked");
}

static enum outcome vault_unlock(struct run *run)
{
    return vault_govern(run, false, 0, "unlocked");
}

/* ------------------------------------------------------------------ the rows */

static const struct argp_option create_options[] = {
    {"label", OPT_LABEL, "NAME", 0, "The vault's label, at most 32 bytes", 0},
    {"set", OPT_SET, "KEY=VALUE", 0, "A rule of the policy; may be given again. They are those of: "
     "reprieve policy show", 0},
    OPTION_END,
};
static const struct argp_option lock_options[] = {
    {"read-only", OPT_READ_ONLY, NULL, 0, "Against every change, not only deletes", 0},
    OPTION_END,
};
static const struct argp_option recover_options[] = {
    {"so", OPT_SO, NULL, 0, "Give the generation's SO PIN instead of its user PIN", 0},
    OPTION_END,
};
static const struct argp_option purge_options[] = {OPTION_YES, OPTION_END};

const struct command vault_commands[] = {
    {"vault list", "", "Lists the vaults of the store", "", NULL, 0, 0, NEED_VENDOR, vault_list},
    {"vault show", "", "Shows a vault and its policy", "", NULL, 0, 0, NEED_VENDOR | NEED_VAULT,
     vault_show},
    {"vault create", "--label NAME", "Makes one more vault",
     "Asks for its SO PIN. The policy comes from reprieve.conf, where --set does not say "
     "otherwise.", create_options, 0, 0, NEED_VENDOR, vault_create},
    {"vault init-pin", "", "Sets the user PIN, as SO",
     "Needs the SO PIN. Also frees a locked user PIN.", NULL, 0, 0,
     NEED_VAULT | NEED_SO | NEED_WRITE, vault_init_pin},
    {"vault hold", "[GENERATION]", "Lets nothing of a vault be purged",
     "Nor can it be initialised again, until it is released.", NULL, 0, 1,
     NEED_VENDOR | NEED_VAULT | MAY_LOGIN, vault_hold},
    {"vault release", "[GENERATION]", "Takes the hold off a vault", "", NULL, 0, 1,
     NEED_VENDOR | NEED_VAULT | MAY_LOGIN, vault_release},
    {"vault lock", "[GENERATION]", "Lets nothing of a vault be deleted",
     "Nor can it be initialised again, until it is unlocked.", lock_options, 0, 1,
     NEED_VENDOR | NEED_VAULT | MAY_LOGIN, vault_lock},
    {"vault unlock", "[GENERATION]", "Takes the lock off a vault", "", NULL, 0, 1,
     NEED_VENDOR | NEED_VAULT | MAY_LOGIN, vault_unlock},
    {"vault generations", "", "Lists what C_InitToken left behind",
     "Initialising a vault again deletes its whole content, as one generation, softly. Here it is.",
     NULL, 0, 0, NEED_VENDOR | NEED_VAULT, vault_generations},
    {"vault recover", "GENERATION", "Makes a deleted generation the live one again",
     "Needs one of the PINs which that generation had. The generation that is live now is deleted "
     "in its place, and can be recovered the same way.",
     recover_options, 1, 1, NEED_VENDOR | NEED_VAULT, vault_recover},
    {"vault purge", "GENERATION", "Ends a deleted generation for good",
     "Needs that generation's SO PIN. Refused under purge protection before the purge date.",
     purge_options, 1, 1, NEED_VENDOR | NEED_VAULT, vault_purge},
    {0},
};
