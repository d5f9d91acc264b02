/* cmd_vault.c: vaults, their policy, their generations. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"

/* ------------------------------------------------------------------ policy */

enum policy_shape { POLICY_NUMBER, POLICY_SWITCH, POLICY_WORD };

/* The keys are those of reprieve.conf. */
static const struct policy_row {
    const char *key;
    enum policy_shape shape;
    size_t offset;
    const char *range;
    const char *words[2]; /* of a POLICY_WORD */
} policy_rows[] = {
    {"retention_days", POLICY_NUMBER, offsetof(struct RPV_POLICY, ulRetentionDays),
     "7 to 90, or to retention_max_days of the configuration", {NULL, NULL}},
    {"purge_protection", POLICY_SWITCH, offsetof(struct RPV_POLICY, bPurgeProtection),
     "yes or no; 72 hours after it became yes, always yes", {NULL, NULL}},
    {"profile", POLICY_WORD, offsetof(struct RPV_POLICY, ulProfile), "ordinary or strict",
     {"ordinary", "strict"}},
#define NUMBER(key, field, range)                                                                  \
    {key, POLICY_NUMBER, offsetof(struct RPV_POLICY, field), range, {NULL, NULL}}
#define SWITCH(key, field)                                                                         \
    {key, POLICY_SWITCH, offsetof(struct RPV_POLICY, field), "yes or no", {NULL, NULL}}
    NUMBER("pin_tries", ulPinTries, "3 to 100"),
    NUMBER("scrypt_log_n", ulScryptLogN, "10 to 22"),
    NUMBER("min_rsa_bits", ulMinRsaBits, "1024 to 16384"),
    {"recover_to", POLICY_WORD, offsetof(struct RPV_POLICY, ulRecoverTo), "prior or disabled",
     {"prior", "disabled"}},
    SWITCH("reserve_names", bReserveNames),
    SWITCH("require_backup", bRequireBackup),
    SWITCH("disable_before_delete", bDisableBeforeDelete),
    SWITCH("refuse_conflicts", bRefuseConflicts),
    SWITCH("refuse_legacy_padding", bRefuseLegacyPadding),
    SWITCH("clock_strict", bClockStrict),
    SWITCH("tombstone_labels", bTombstoneLabels),
    SWITCH("newest_only", bNewestOnly),
    SWITCH("private_audit", bPrivateAudit),
    {"audit_use", POLICY_WORD, offsetof(struct RPV_POLICY, ulAuditUse), "counted or each",
     {"counted", "each"}},
    NUMBER("purge_approvals", ulPurgeApprovals, "0 to 6"),
    NUMBER("approval_hours", ulApprovalHours, "1 to 720"),
};

static const struct column policy_columns[] = {
    {"retention_days", "retention_days"}, {"purge_protection", "purge_protection"},
    {"profile", "profile"},               {"pin_tries", "pin_tries"},
    {"scrypt_log_n", "scrypt_log_n"},     {"min_rsa_bits", "min_rsa_bits"},
    {"recover_to", "recover_to"},         {"reserve_names", "reserve_names"},
    {"require_backup", "require_backup"}, {"disable_before_delete", "disable_before_delete"},
    {"refuse_conflicts", "refuse_conflicts"},
    {"refuse_legacy_padding", "refuse_legacy_padding"},
    {"clock_strict", "clock_strict"},     {"tombstone_labels", "tombstone_labels"},
    {"newest_only", "newest_only"},       {"private_audit", "private_audit"},
    {"audit_use", "audit_use"},           {"purge_approvals", "purge_approvals"},
    {"approval_hours", "approval_hours"},
};

static json_t *policy_value(const struct policy_row *row, const struct RPV_POLICY *policy)
{
    const unsigned char *field = (const unsigned char *)policy + row->offset;
    CK_ULONG number = 0;

    if (row->shape == POLICY_SWITCH)
        return json_boolean(*field != CK_FALSE);
    memcpy(&number, field, sizeof(number));
    if (row->shape == POLICY_WORD)
        return json_string(row->words[number != 0]);
    return json_integer((json_int_t)number);
}

static json_t *policy_json(const struct RPV_POLICY *policy)
{
    json_t *object = json_object();

    for (size_t i = 0; i < COUNT_OF(policy_rows); i++)
        json_object_set_new(object, policy_rows[i].key, policy_value(&policy_rows[i], policy));
    return object;
}

static bool word_number(const char *text, const char *zero, const char *one, CK_ULONG *ret_number)
{
    *ret_number = strcmp(text, one) == 0;
    return *ret_number == 1 || strcmp(text, zero) == 0;
}

static bool policy_store(const struct policy_row *row, const char *text, struct RPV_POLICY *policy)
{
    unsigned char *field = (unsigned char *)policy + row->offset;
    CK_ULONG number = 0;
    char *end = NULL;
    bool fine = true;

    if (row->shape == POLICY_SWITCH) {
        fine = word_number(text, "no", "yes", &number);
        *field = number != 0 ? CK_TRUE : CK_FALSE;
        return fine;
    }
    if (row->shape == POLICY_WORD) {
        fine = word_number(text, row->words[0], row->words[1], &number);
    } else {
        number = strtoul(text, &end, 10);
        fine = end != text && *end == '\0' && text[0] != '-';
    }
    memcpy(field, &number, sizeof(number));
    return fine;
}

/* Applies every --set KEY=VALUE. */
static enum outcome policy_apply(struct run *run, struct RPV_POLICY *policy)
{
    for (size_t s = 0; s < run->n_sets; s++) {
        const char *equals = strchr(run->sets[s], '=');
        size_t len = equals == NULL ? strlen(run->sets[s]) : (size_t)(equals - run->sets[s]);
        size_t i = 0;

        while (i < COUNT_OF(policy_rows) && (strlen(policy_rows[i].key) != len ||
                                             memcmp(policy_rows[i].key, run->sets[s], len) != 0))
            i++;
        if (i == COUNT_OF(policy_rows) || equals == NULL)
            return run_usage(run, "a rule is KEY=VALUE, and \"%s\" is none of those that "
                             "\"reprieve policy show\" lists", run->sets[s]);
        if (!policy_store(&policy_rows[i], equals + 1, policy))
            return run_usage(run, "%s takes %s", policy_rows[i].key, policy_rows[i].range);
    }
    return OUTCOME_OK;
}

static enum outcome policy_print(struct run *run, const struct RPV_POLICY *before,
                                 const struct RPV_POLICY *after, bool done)
{
    json_t *document = policy_json(after);
    json_t *changes = json_object();

    for (size_t i = 0; i < COUNT_OF(policy_rows); i++) {
        json_t *old = policy_value(&policy_rows[i], before);

        if (!json_equal(old, json_object_get(document, policy_rows[i].key)))
            json_object_set(changes, policy_rows[i].key, old);
        json_decref(old);
    }
    if (!run->json && run->n_sets > 0)
        printf("%s %zu of its rules:\n", done ? "The policy was changed in"
                                              : "Nothing was changed. The policy would change in",
               json_object_size(changes));
    if (run->n_sets > 0) {
        json_object_set(document, "before", changes);
        json_object_set_new(document, "changed", json_boolean(done));
    }
    json_decref(changes);
    output_record(run->json, document, policy_columns, COUNT_OF(policy_columns));
    return OUTCOME_OK;
}

/* For three days after it was switched on, purge protection can be switched off. */
static bool cooling_off(struct client *client, const struct RPV_POLICY *policy)
{
    struct RPV_STORE_INFO info;

    return policy->protectedSince != 0 && client->rpv->RPV_GetStoreInfo(&info) == CKR_OK &&
           (long long)info.now - policy->protectedSince < 72LL * 3600;
}

static enum outcome vault_policy(struct run *run)
{
    struct client *client = &run->client;
    struct RPV_POLICY before;
    struct RPV_POLICY after;
    bool dry_run = run_option(run, OPT_DRY_RUN) != NULL || run->n_sets == 0;
    enum outcome outcome = client_check(client, "RPV_GetPolicy",
                                        client->rpv->RPV_GetPolicy(client->slot, &before));

    if (outcome != OUTCOME_OK)
        return outcome;
    after = before;
    outcome = policy_apply(run, &after);
    if (outcome == OUTCOME_OK && before.bPurgeProtection && !after.bPurgeProtection &&
        !cooling_off(client, &before)) {
        outcome = failure_set(&client->failure, OUTCOME_REFUSED, "POLICY_ONE_WAY",
                              "purge protection cannot be switched off, by nobody");
        failure_hint(&client->failure, "a new vault may be made without it");
    }
    if (outcome == OUTCOME_OK && !dry_run)
        outcome = client_login(client, ROLE_SO, true);
    if (outcome == OUTCOME_OK && !dry_run)
        outcome = client_check(client, "RPV_SetPolicy",
                               client->rpv->RPV_SetPolicy(client->session, &after));
    return outcome == OUTCOME_OK ? policy_print(run, &before, &after, !dry_run) : outcome;
}

/* policy set KEY=VALUE...: the arguments are the rules. */
static enum outcome policy_set(struct run *run)
{
    for (size_t i = 0; i < run->n_args && run->n_sets < SETS_MAX; i++)
        run->sets[run->n_sets++] = run->args[i];
    return vault_policy(run);
}

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
    AUTO(pin) struct pin pin = {0};
    enum outcome outcome = generation_option(run, &generation);

    if (outcome == OUTCOME_OK)
        outcome = client_pin(client, ROLE_SO, false, &pin);
    if (outcome == OUTCOME_OK && holds)
        outcome = client_check(client, "RPV_SetHold",
                               client->rpv->RPV_SetHold(client->slot, generation,
                                                        value != 0 ? CK_TRUE : CK_FALSE, pin.bytes,
                                                        pin.len));
    else if (outcome == OUTCOME_OK)
        outcome = client_check(client, "RPV_SetLock",
                               client->rpv->RPV_SetLock(client->slot, generation, value, pin.bytes,
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

#define OPTION_SET                                                                                 \
    {"set", OPT_SET, "KEY=VALUE", 0,                                                               \
     "A rule; may be given again. retention_days (7 to 90), purge_protection (yes, no), profile "  \
     "(ordinary, strict), pin_tries (3 to 100), scrypt_log_n (10 to 22), min_rsa_bits (1024 to "   \
     "16384); the others are listed by: reprieve policy show", 0}

static const struct argp_option create_options[] = {
    {"label", OPT_LABEL, "NAME", 0, "The vault's label, at most 32 bytes", 0},
    OPTION_SET,
    OPTION_END,
};
static const struct argp_option policy_options[] = {
    OPTION_SET,
    {"dry-run", OPT_DRY_RUN, NULL, 0, "Show what would change, and change nothing", 0},
    OPTION_END,
};
static const struct argp_option set_options[] = {
    {"dry-run", OPT_DRY_RUN, NULL, 0, "Show what would change, and change nothing", 0},
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
    {"vault policy", "", "Shows the policy, or changes it as SO",
     "Without --set it only shows. Purge protection can be switched on, and off again for three "
     "days; a shorter retention leaves the purge dates of what is deleted already as they are.",
     policy_options, 0, 0, NEED_VENDOR | NEED_VAULT, vault_policy},
    {"policy show", "", "Shows the policy", "", NULL, 0, 0, NEED_VENDOR | NEED_VAULT,
     vault_policy},
    {"policy set", "KEY=VALUE...", "Changes the policy, as SO",
     "With --dry-run it says what would change, and changes nothing.", set_options, 1, SETS_MAX,
     NEED_VENDOR | NEED_VAULT, policy_set},
    {"vault hold", "[GENERATION]", "Lets nothing of a vault be purged, as SO",
     "Nor can it be initialised again, until it is released.", NULL, 0, 1,
     NEED_VENDOR | NEED_VAULT, vault_hold},
    {"vault release", "[GENERATION]", "Takes the hold off a vault, as SO", "", NULL, 0, 1,
     NEED_VENDOR | NEED_VAULT, vault_release},
    {"vault lock", "[GENERATION]", "Lets nothing of a vault be deleted, as SO",
     "Nor can it be initialised again, until it is unlocked.", lock_options, 0, 1,
     NEED_VENDOR | NEED_VAULT, vault_lock},
    {"vault unlock", "[GENERATION]", "Takes the lock off a vault, as SO", "", NULL, 0, 1,
     NEED_VENDOR | NEED_VAULT, vault_unlock},
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
