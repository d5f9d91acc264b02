/* cmd_store.c: the store's health, and what to do about an older copy of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"
#include "progress.h"

static const char *const verdicts[] = {
    [RPV_VERDICT_OK] = "ok",
    [RPV_VERDICT_NOTE] = "note",
    [RPV_VERDICT_WARNING] = "warning",
    [RPV_VERDICT_BAD] = "BAD",
};

static CK_RV check_notify(void *application, const struct RPV_PROGRESS_INFO *info)
{
    progress_step(application, info->done, info->total);
    return CKR_OK;
}

static enum outcome checks_read(struct run *run, struct RPV_CHECK **ret_checks, CK_ULONG *ret_n)
{
    struct client *client = &run->client;
    struct progress progress = progress_begin(run, "doctor");
    RPV_PROGRESS notify = progress_wanted(&progress) ? check_notify : NULL;
    struct RPV_CHECK *checks = NULL;
    CK_ULONG n = 0;
    CK_RV rv = client->rpv->RPV_CheckStore(NULL, &n);

    if (rv == CKR_OK) {
        checks = calloc(n + 1, sizeof(*checks));
        if (checks == NULL)
            return failure_set(&client->failure, OUTCOME_FAILED, "MEMORY", "out of memory");
        rv = client->rpv->RPV_CheckStoreNotify(checks, &n, notify, &progress);
    }
    progress_end(&progress);
    if (rv != CKR_OK) {
        free(checks);
        return client_check(client, "RPV_CheckStore", rv);
    }
    *ret_checks = checks;
    *ret_n = n;
    return OUTCOME_OK;
}

static json_t *check_json(const struct RPV_CHECK *check)
{
    json_t *row = json_object();
    bool known = check->ulVerdict < COUNT_OF(verdicts);

    json_object_set_new(row, "name", output_text(check->name));
    json_object_set_new(row, "verdict",
                        json_string(known ? verdicts[check->ulVerdict] : "unknown"));
    json_object_set_new(row, "detail", output_text(check->detail));
    return row;
}

static enum outcome examine(struct run *run)
{
    static const struct column columns[] = {
        {"name", "CHECK"}, {"verdict", "VERDICT"}, {"detail", "DETAIL"},
    };
    struct RPV_CHECK *checks = NULL;
    CK_ULONG n = 0, bad = 0;
    bool rolled_back = false;
    json_t *rows;
    enum outcome outcome = checks_read(run, &checks, &n);

    if (outcome != OUTCOME_OK)
        return outcome;
    rows = json_array();
    for (CK_ULONG i = 0; i < n; i++) {
        json_array_append_new(rows, check_json(&checks[i]));
        bad += checks[i].ulVerdict == RPV_VERDICT_BAD;
        rolled_back = rolled_back || (checks[i].ulVerdict == RPV_VERDICT_BAD &&
                                      strcmp(checks[i].name, "head") == 0);
    }
    free(checks);
    output_rows(run->json, "checks", rows, columns, COUNT_OF(columns), "Nothing was looked at.");
    if (bad == 0)
        return OUTCOME_OK;
    failure_set(&run->client.failure, OUTCOME_FAILED, "UNHEALTHY", "the store is not healthy");
    if (rolled_back)
        failure_hint(&run->client.failure, "bring back the latest files, or accept these as they "
                     "are with: reprieve doctor --accept-rollback");
    return OUTCOME_FAILED;
}

static enum outcome accept_rollback(struct run *run)
{
    struct client *client = &run->client;
    AUTO(pin) struct pin pin = {0};
    enum outcome outcome = client_choose_vault(client);

    if (outcome == OUTCOME_OK)
        outcome = run_confirm(run, "What happened since this copy was taken is lost for good. "
                                   "Accept it?");
    if (outcome == OUTCOME_OK)
        outcome = client_pin(client, ROLE_SO, false, &pin);
    if (outcome == OUTCOME_OK)
        outcome = client_check(client, "RPV_AcceptRollback",
                               client->rpv->RPV_AcceptRollback(client->slot, pin.bytes, pin.len));
    if (outcome == OUTCOME_OK)
        output_done(run->json, json_pack("{s:b}", "accepted", 1),
                    "The store is accepted as it is, and can be changed again.");
    return outcome;
}

static enum outcome doctor(struct run *run)
{
    return run_option(run, OPT_ACCEPT_ROLLBACK) != NULL ? accept_rollback(run) : examine(run);
}

static const struct argp_option doctor_options[] = {
    {"accept-rollback", OPT_ACCEPT_ROLLBACK, NULL, 0, "As SO: take the store as it is, although "
     "it is an older copy", 0},
    OPTION_YES,
    OPTION_END,
};

const struct command store_commands[] = {
    {"doctor", "", "Looks at the health of the whole store",
     "Permissions, format, the chain of events, whether an older copy was put back, objects and "
     "their slots, what waits for a sweep, the clocks. Fails when something is bad.",
     doctor_options, 0, 0, NEED_VENDOR, doctor},
    {0},
};
