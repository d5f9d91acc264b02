/* cmd_audit.c: the event log, the sweep, the store. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "due.h"
#include "output.h"
#include "progress.h"
#include "rotation.h"
#include "when.h"

#define EVENTS_BATCH 64
#define SWEEP_AT_ONCE 2048         /* between two signs of progress */

struct audit_filter {
    bool has_since;
    long long since;
    const char *operation;
    bool has_vault;
    CK_SLOT_ID slot;
};

static json_t *event_json(const struct RPV_EVENT *event)
{
    json_t *object = json_object();

    json_object_set_new(object, "seq", json_integer((json_int_t)event->seq));
    json_object_set_new(object, "time", output_time(event->time));
    json_object_set_new(object, "operation", output_text(event->operation));
    json_object_set_new(object, "result", output_text(event->result));
    json_object_set_new(object, "principal", output_text(event->principal));
    json_object_set_new(object, "slot", json_integer((json_int_t)event->slotID));
    json_object_set_new(object, "generation", json_integer((json_int_t)event->ulGeneration));
    json_object_set_new(object, "uniqueId", output_text(event->uniqueId));
    json_object_set_new(object, "uid", json_integer((json_int_t)event->uid));
    json_object_set_new(object, "pid", json_integer((json_int_t)event->pid));
    json_object_set_new(object, "exe", output_text(event->exe));
    json_object_set_new(object, "detail", output_text(event->detail));
    json_object_set_new(object, "hash", output_text(event->hash));
    return object;
}

static bool event_wanted(const struct audit_filter *filter, const struct RPV_EVENT *event)
{
    return (!filter->has_since || event->time >= filter->since) &&
           (!filter->has_vault || event->slotID == filter->slot) &&
           (filter->operation == NULL || strcmp(event->operation, filter->operation) == 0);
}

static enum outcome filter_read(struct run *run, struct audit_filter *filter)
{
    struct client *client = &run->client;
    const char *since = run_option(run, OPT_SINCE);
    struct RPV_STORE_INFO info = {0};
    enum outcome outcome = client_check(client, "RPV_GetStoreInfo",
                                        client->rpv->RPV_GetStoreInfo(&info));

    filter->operation = run_option(run, OPT_OPERATION);
    filter->has_since = since != NULL;
    filter->has_vault = client->vault != NULL;
    if (outcome == OUTCOME_OK && since != NULL &&
        !when_parse(since, (long long)info.now, &filter->since))
        return run_usage(run, "--since takes a time such as 2026-01-31T12:00:00Z, a day, or an "
                         "age such as 24h or 7d");
    if (outcome == OUTCOME_OK && filter->has_vault) {
        outcome = client_choose_vault(client);
        filter->slot = client->slot;
    }
    return outcome;
}

/* Keeps the last `limit` events that the filter lets through. */
static enum outcome events_read(struct client *client, const struct audit_filter *filter,
                                unsigned long limit, json_t *rows)
{
    struct RPV_EVENT *events = calloc(EVENTS_BATCH, sizeof(*events));
    unsigned long long from = 0;
    CK_ULONG n = events == NULL ? 0 : EVENTS_BATCH;
    CK_RV rv = CKR_OK;

    while (n > 0) {
        n = EVENTS_BATCH;
        rv = client->rpv->RPV_ReadAudit(from, events, &n);
        if (rv != CKR_OK)
            break;
        for (CK_ULONG i = 0; i < n; i++) {
            if (!event_wanted(filter, &events[i]))
                continue;
            json_array_append_new(rows, event_json(&events[i]));
            if (json_array_size(rows) > limit)
                json_array_remove(rows, 0);
        }
        if (n > 0)
            from = events[n - 1].seq + 1;
    }
    free(events);
    if (events == NULL)
        return failure_set(&client->failure, OUTCOME_FAILED, "MEMORY", "out of memory");
    return client_check(client, "RPV_ReadAudit", rv);
}

static enum outcome audit(struct run *run)
{
    static const struct column columns[] = {
        {"seq", "SEQ"},           {"time", "TIME"},          {"operation", "OPERATION"},
        {"result", "RESULT"},     {"principal", "WHO"},      {"uid", "UID"},
        {"exe", "PROGRAM"},       {"uniqueId", "OBJECT"},    {"detail", "DETAIL"},
    };
    struct audit_filter filter = {0};
    unsigned long limit = 0;
    json_t *rows = NULL;
    enum outcome outcome = run_number(run, OPT_LIMIT, (unsigned long)-1, &limit);

    if (outcome == OUTCOME_OK)
        outcome = run_login_if_told(run);
    if (outcome == OUTCOME_OK)
        outcome = filter_read(run, &filter);
    if (outcome != OUTCOME_OK)
        return outcome;
    rows = json_array();
    outcome = events_read(&run->client, &filter, limit, rows);
    if (outcome == OUTCOME_OK)
        output_rows(run->json, "events", rows, columns, COUNT_OF(columns), "No events.");
    else
        json_decref(rows);
    return outcome;
}

static enum outcome audit_verify(struct run *run)
{
    struct client *client = &run->client;
    unsigned long long events = 0;
    unsigned long long bad = 0;
    json_t *document = NULL;
    /* no login: whether the chain is whole is nobody's secret */
    enum outcome outcome = client_check(client, "RPV_VerifyAudit",
                                        client->rpv->RPV_VerifyAudit(&events, &bad));
    if (outcome != OUTCOME_OK)
        return outcome;
    if (bad != 0) {
        failure_set(&client->failure, OUTCOME_FAILED, "AUDIT_BROKEN",
                    "the chain breaks at event %llu: it, or one before it, was changed or cut, or "
                    "an older copy was put back", bad);
        failure_hint(&client->failure, "trust nothing from there on; see: reprieve doctor");
        return OUTCOME_FAILED;
    }
    document = json_object();
    json_object_set_new(document, "events", json_integer((json_int_t)events));
    json_object_set_new(document, "intact", json_true());
    output_done(run->json, document, "The chain of %llu events is intact.", events);
    return OUTCOME_OK;
}

/* Is there a PIN without asking? Whoever sweeps by a timer is not there to be asked. */
static bool pin_given(const struct run *run)
{
    return run_option(run, OPT_USER) != NULL || run->client.pin_file != NULL ||
           getenv("REPRIEVE_PIN") != NULL;
}

static enum outcome vaults_due(struct client *client, CK_ULONG *ret_due)
{
    struct RPV_VAULT_INFO *infos = NULL;
    CK_ULONG n = 0, due = 0, total = 0;
    CK_RV rv = client->rpv->RPV_ListVaults(NULL, &n);
    enum outcome outcome = OUTCOME_OK;

    infos = calloc(n + 1, sizeof(*infos));
    if (rv == CKR_OK)
        rv = infos != NULL ? client->rpv->RPV_ListVaults(infos, &n) : CKR_HOST_MEMORY;
    outcome = client_check(client, "RPV_ListVaults", rv);
    for (CK_ULONG i = 0; i < n && outcome == OUTCOME_OK; i++) {
        struct RPV_UNIQUE_ID *ids = NULL;

        outcome = rotation_due(client, infos[i].slotID, &ids, &due);
        total += outcome == OUTCOME_OK ? due : 0;
        free(ids);
    }
    free(infos);
    *ret_due = total;
    return outcome;
}

/* Rotation by age: a new private key takes a login, so without a PIN it is only told. Of several
 * vaults the PIN is the one's that --vault names. */
static enum outcome sweep_rotate(struct run *run, json_t *document)
{
    struct client *client = &run->client;
    json_t *rows = json_array();
    CK_ULONG due = 0;
    enum outcome outcome = vaults_due(client, &due);

    if (outcome == OUTCOME_OK && due > 0 && pin_given(run)) {
        outcome = client_choose_vault(client);
        if (outcome == OUTCOME_OK)
            outcome = run_login(run, ROLE_USER, true);
        if (outcome == OUTCOME_OK)
            outcome = rotation_do(client, rows);
        if (outcome == OUTCOME_OK)
            outcome = vaults_due(client, &due);
    }
    json_object_set_new(document, "rotationDue", json_integer((json_int_t)due));
    json_object_set_new(document, "rotated", rows);
    return outcome;
}

static enum outcome sweep_purge(struct run *run, unsigned long limit, CK_ULONG *ret_purged)
{
    struct client *client = &run->client;
    struct progress progress = progress_begin(run, "sweep");
    bool wanted = progress_wanted(&progress);
    unsigned long long total = wanted ? due_count(client, false) : 0;
    CK_ULONG n = 0, ask = 0, done = 0;
    enum outcome outcome;

    do {
        ask = wanted && limit - done > SWEEP_AT_ONCE ? SWEEP_AT_ONCE : limit - done;
        outcome = client_check(client, "RPV_Sweep", client->rpv->RPV_Sweep(ask, &n));
        done += outcome == OUTCOME_OK ? n : 0;
        progress_step(&progress, done, total < limit ? total : limit);
    } while (outcome == OUTCOME_OK && n == ask && done < limit);
    progress_end(&progress);
    *ret_purged = done;
    return outcome;
}

static enum outcome sweep(struct run *run)
{
    unsigned long limit = 0;
    CK_ULONG purged = 0;
    unsigned long due = 0;
    json_t *document = NULL;
    enum outcome outcome = run_number(run, OPT_LIMIT, 100000, &limit);

    if (outcome == OUTCOME_OK)
        outcome = sweep_purge(run, limit, &purged);
    if (outcome != OUTCOME_OK)
        return outcome;
    document = json_object();
    json_object_set_new(document, "purged", json_integer((json_int_t)purged));
    outcome = sweep_rotate(run, document);
    if (outcome != OUTCOME_OK) {
        json_decref(document);
        return outcome;
    }
    due = (unsigned long)json_integer_value(json_object_get(document, "rotationDue"));
    output_done(run->json, document, due == 0 ? "Purged %lu that were past their date."
                                              : "Purged %lu that were past their date. %lu keys "
                                                "are due for rotation: reprieve key rotate --due",
                purged, due);
    return OUTCOME_OK;
}

static enum outcome store_show(struct run *run)
{
    static const struct column columns[] = {
        {"path", "Store"},    {"hostKey", "Host key"}, {"format", "Format"},
        {"vaults", "Vaults"}, {"now", "Vault clock"},
    };
    struct client *client = &run->client;
    struct RPV_STORE_INFO info = {0};
    json_t *record = NULL;
    enum outcome outcome = client_check(client, "RPV_GetStoreInfo",
                                        client->rpv->RPV_GetStoreInfo(&info));

    if (outcome != OUTCOME_OK)
        return outcome;
    record = json_object();
    json_object_set_new(record, "path", output_text(info.path));
    json_object_set_new(record, "hostKey", output_text(info.hostKeyPath));
    json_object_set_new(record, "format", json_integer((json_int_t)info.ulFormat));
    json_object_set_new(record, "vaults", json_integer((json_int_t)info.ulVaults));
    json_object_set_new(record, "now", output_time((long long)info.now));
    output_record(run->json, record, columns, COUNT_OF(columns));
    return OUTCOME_OK;
}

static const struct argp_option audit_options[] = {
    {"since", OPT_SINCE, "TIME", 0, "From that time on: 2026-01-31T12:00:00Z, 2026-01-31, or an "
     "age: 30m, 24h, 7d", 0},
    {"operation", OPT_OPERATION, "NAME", 0, "Only this operation, such as KeyDelete", 0},
    {"limit", OPT_LIMIT, "N", 0, "Only the last N", 0},
    OPTION_END,
};
static const struct argp_option sweep_options[] = {
    {"limit", OPT_LIMIT, "N", 0, "At most N (100000)", 0},
    OPTION_END,
};

const struct command audit_commands[] = {
    {"audit", "", "Shows the events",
     "Of the whole store, oldest first, or of the vault that --vault names.", audit_options, 0, 0,
     NEED_VENDOR | MAY_LOGIN, audit},
    {"audit verify", "", "Checks that no event was changed or cut out",
     "Recomputes the chain of hashes; fails when it breaks.", NULL, 0, 0, NEED_VENDOR | MAY_LOGIN,
     audit_verify},
    {"sweep", "", "Purges what is past its purge date",
     "It would go anyway when next looked at. Run it daily, so that it goes on time.",
     sweep_options, 0, 0, NEED_VENDOR | MAY_LOGIN, sweep},
    {"store show", "", "Shows where the store is", "", NULL, 0, 0, NEED_VENDOR, store_show},
    {0},
};
