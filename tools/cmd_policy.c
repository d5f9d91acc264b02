/* cmd_policy.c: a vault's policy. */
#include "policy.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

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

json_t *policy_json(const struct RPV_POLICY *policy)
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

enum outcome policy_apply(struct run *run, struct RPV_POLICY *policy)
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

/* ------------------------------------------------------------------ showing it */

static enum outcome policy_show(struct run *run)
{
    struct column columns[COUNT_OF(policy_rows)];
    struct RPV_POLICY policy;
    enum outcome outcome = client_check(&run->client, "RPV_GetPolicy",
                                        run->client.rpv->RPV_GetPolicy(run->client.slot, &policy));

    if (outcome != OUTCOME_OK)
        return outcome;
    for (size_t i = 0; i < COUNT_OF(policy_rows); i++)
        columns[i] = (struct column){policy_rows[i].key, policy_rows[i].key};
    output_record(run->json, policy_json(&policy), columns, COUNT_OF(columns));
    return OUTCOME_OK;
}

/* The rules that differ, as rows: rule, before, after. */
static json_t *policy_differences(const struct RPV_POLICY *before, const struct RPV_POLICY *after)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < COUNT_OF(policy_rows); i++) {
        json_t *row = json_pack("{s:s, s:o, s:o}", "rule", policy_rows[i].key, "before",
                                policy_value(&policy_rows[i], before), "after",
                                policy_value(&policy_rows[i], after));

        if (!json_equal(json_object_get(row, "before"), json_object_get(row, "after")))
            json_array_append(rows, row);
        json_decref(row);
    }
    return rows;
}

static void policy_print_json(const struct RPV_POLICY *after, const json_t *differences, bool done)
{
    json_t *document = policy_json(after), *before = json_object(), *row = NULL;
    size_t i = 0;

    json_array_foreach(differences, i, row)
        json_object_set(before, json_string_value(json_object_get(row, "rule")),
                        json_object_get(row, "before"));
    json_object_set_new(document, "before", before);
    json_object_set_new(document, "changed", json_boolean(done));
    output_done(true, document, "%s", "");
}

static void policy_print(const struct run *run, const struct RPV_POLICY *before,
                         const struct RPV_POLICY *after, bool done)
{
    static const struct column columns[] = {
        {"rule", "RULE"}, {"before", "BEFORE"}, {"after", "AFTER"}};
    json_t *rows = policy_differences(before, after);

    if (run->json) {
        policy_print_json(after, rows, done);
        json_decref(rows);
        return;
    }
    printf("%s %zu of its rules.\n", done ? "The policy was changed in"
                                          : "Nothing was changed. The policy would change in",
           json_array_size(rows));
    if (json_array_size(rows) > 0)
        output_rows(false, "rules", rows, columns, COUNT_OF(columns), "");
    else
        json_decref(rows);
}

/* ------------------------------------------------------------------ changing it */

/* For three days after it was switched on, purge protection can be switched off. */
static bool cooling_off(struct client *client, const struct RPV_POLICY *policy)
{
    struct RPV_STORE_INFO info;

    return policy->protectedSince != 0 && client->rpv->RPV_GetStoreInfo(&info) == CKR_OK &&
           (long long)info.now - policy->protectedSince < 72LL * 3600;
}

/* What can be told without a PIN, so that a dry run tells it, too. */
static enum outcome policy_possible(struct client *client, const struct RPV_POLICY *before,
                                    const struct RPV_POLICY *after)
{
    if (!before->bPurgeProtection || after->bPurgeProtection || cooling_off(client, before))
        return OUTCOME_OK;
    failure_set(&client->failure, OUTCOME_REFUSED, "POLICY_ONE_WAY",
                "purge protection cannot be switched off, by nobody");
    failure_hint(&client->failure, "a new vault may be made without it");
    return OUTCOME_REFUSED;
}

static enum outcome policy_set(struct run *run)
{
    struct client *client = &run->client;
    struct RPV_POLICY before, after;
    bool dry_run = run_option(run, OPT_DRY_RUN) != NULL;
    enum outcome outcome = client_check(client, "RPV_GetPolicy",
                                        client->rpv->RPV_GetPolicy(client->slot, &before));

    for (size_t i = 0; i < run->n_args; i++)   /* the arguments are the rules */
        run->sets[run->n_sets++] = run->args[i];
    after = before;
    if (outcome == OUTCOME_OK)
        outcome = policy_apply(run, &after);
    if (outcome == OUTCOME_OK)
        outcome = policy_possible(client, &before, &after);
    if (outcome == OUTCOME_OK && dry_run)
        outcome = client_check(client, "RPV_CheckPolicy",
                               client->rpv->RPV_CheckPolicy(client->slot, &after));
    if (outcome == OUTCOME_OK && !dry_run)
        outcome = run_login(run, ROLE_SO, true);
    if (outcome == OUTCOME_OK && !dry_run)
        outcome = client_check(client, "RPV_SetPolicy",
                               client->rpv->RPV_SetPolicy(client->session, &after));
    if (outcome == OUTCOME_OK)
        policy_print(run, &before, &after, !dry_run);
    return outcome;
}

static const struct argp_option set_options[] = {
    {"dry-run", OPT_DRY_RUN, NULL, 0, "Show what would change, and change nothing", 0},
    OPTION_END,
};

const struct command policy_commands[] = {
    {"policy show", "", "Shows the policy", "", NULL, 0, 0, NEED_VENDOR | NEED_VAULT, policy_show},
    {"policy set", "KEY=VALUE...", "Changes the policy",
     "As SO, or as a --user with the verb policy. retention_days is 7 to 90, purge_protection yes "
     "or no; the others are listed by: reprieve policy show. Purge protection can be switched on, "
     "and off again for three days; a shorter retention leaves the purge dates of what is deleted "
     "already as they are.", set_options, 1, SETS_MAX,
     NEED_VENDOR | NEED_VAULT | MAY_LOGIN, policy_set},
    {0},
};
