/* audit_event.c: see audit_event.h. */
#include "audit_event.h"

#include <stdlib.h>
#include <string.h>

#include "object.h"
#include "output.h"
#include "when.h"

#define EVENTS_BATCH 64

bool event_is_use(const struct RPV_AUDIT_RECORD *event)
{
    static const char *const uses[] = {"KeyEncrypt", "KeyDecrypt", "KeySign", "KeyVerify",
                                       "KeySignRecover", "KeyVerifyRecover", "KeyWrap",
                                       "KeyUnwrap", "KeyDerive", "KeyDigest", "KeyExport"};

    for (size_t i = 0; i < COUNT_OF(uses); i++)
        if (strcmp(event->operation, uses[i]) == 0)
            return event->uniqueId[0] != '\0';
    return false;
}

static json_t *identity_json(const struct RPV_AUDIT_RECORD *event)
{
    json_t *object = json_object();

    json_object_set_new(object, "principal", output_text(event->principal));
    json_object_set_new(object, "uid", json_integer((json_int_t)event->uid));
    json_object_set_new(object, "pid", json_integer((json_int_t)event->pid));
    json_object_set_new(object, "executable", output_text(event->exe));
    return object;
}

json_t *event_json(const struct RPV_AUDIT_RECORD *event)
{
    json_t *o = json_object();

    json_object_set_new(o, "seq", json_integer((json_int_t)event->seq));
    json_object_set_new(o, "time", output_time(event->time));
    json_object_set_new(o, "category", json_string("AuditEvent"));
    json_object_set_new(o, "operationName", output_text(event->operation));
    json_object_set_new(o, "resultType", json_string(event->bSuccess ? "Success" : "Failure"));
    json_object_set_new(o, "resultSignature", output_text(event->result));
    json_object_set_new(o, "resultDescription", output_text(event->detail));
    json_object_set_new(o, "durationMs", json_real((double)event->durationUs / 1000.0));
    json_object_set_new(o, "correlationId", output_text(event->correlationId));
    json_object_set_new(o, "identity", identity_json(event));
    json_object_set_new(o, "slot", json_integer((json_int_t)event->slotID));
    json_object_set_new(o, "generation", json_integer((json_int_t)event->ulGeneration));
    json_object_set_new(o, "id", output_text(event->uniqueId));
    json_object_set_new(o, "label", output_text(event->label));
    json_object_set_new(o, "version", json_integer((json_int_t)event->ulKeyVersion));
    json_object_set_new(o, "objectVersion", json_integer((json_int_t)event->ulObjectVersion));
    json_object_set_new(o, "count", json_integer((json_int_t)event->count));
    json_object_set_new(o, "firstTime", output_time(event->first));
    json_object_set_new(o, "lastTime", output_time(event->last));
    json_object_set_new(o, "hash", output_text(event->hash));
    return o;
}

void event_json_line(FILE *stream, const struct RPV_AUDIT_RECORD *event)
{
    json_t *object = event_json(event);

    json_dumpf(object, stream, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', stream);
    fflush(stream);
    json_decref(object);
}

/* A value of CEF's extension, or of its header, whose separator differs. Like JSON it takes UTF-8
 * alone, and what is none of it, or a control character, shows as \xNN. */
static void cef_text(FILE *stream, const char *text, char separator)
{
    json_t *clean = output_text(text);

    for (const char *at = json_string_value(clean); at != NULL && *at != '\0'; at++) {
        if (*at == '\\' || *at == separator)
            fputc('\\', stream);
        fputc(*at, stream);
    }
    json_decref(clean);
}

static int cef_severity(const struct RPV_AUDIT_RECORD *event)
{
    bool purge = strstr(event->operation, "Purge") != NULL;
    bool change = purge || strstr(event->operation, "Delete") != NULL ||
                  strncmp(event->operation, "Vault", 5) == 0;

    return purge ? 8 : !event->bSuccess ? 6 : change ? 5 : 3;
}

void event_cef(FILE *stream, const struct RPV_AUDIT_RECORD *event)
{
    const struct { const char *key, *text; } texts[] = {
        {"suser", event->principal},         {"sproc", event->exe},
        {"outcome", event->bSuccess ? "success" : "failure"},
        {"reason", event->result},           {"msg", event->detail},
        {"cs1Label", "uniqueId"},            {"cs1", event->uniqueId},
        {"cs2Label", "label"},               {"cs2", event->label},
        {"cs3Label", "correlationId"},       {"cs3", event->correlationId},
        {"cs4Label", "hash"},                {"cs4", event->hash},
    };

    fprintf(stream, "CEF:0|Reprieve|reprieve|%s|", PACKAGE_VERSION);
    cef_text(stream, event->operation, '|');
    fputc('|', stream);
    cef_text(stream, event->operation, '|');
    fprintf(stream, "|%d|externalId=%llu rt=%lld start=%lld end=%lld suid=%lu spid=%lu cnt=%llu "
            "cn1Label=slot cn1=%lu cn2Label=keyVersion cn2=%lu", cef_severity(event), event->seq,
            event->time * 1000, event->first * 1000, event->last * 1000, event->uid, event->pid,
            event->count, event->slotID, event->ulKeyVersion);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        bool label = strstr(texts[i].key, "Label") != NULL;   /* goes with the one behind it */

        if (texts[i + label].text[0] == '\0')
            continue;
        fprintf(stream, " %s=", texts[i].key);
        cef_text(stream, texts[i].text, '=');
    }
    fputc('\n', stream);
    fflush(stream);
}

static const char *key_name(const struct RPV_AUDIT_RECORD *event)
{
    return event->label[0] != '\0' ? event->label : event->uniqueId;
}

json_t *event_row(const struct RPV_AUDIT_RECORD *event)
{
    json_t *row = json_object();
    const char *base = strrchr(event->exe, '/');

    json_object_set_new(row, "seq", json_integer((json_int_t)event->seq));
    json_object_set_new(row, "time", output_time(event->time));
    json_object_set_new(row, "operation", output_text(event->operation));
    json_object_set_new(row, "result", output_text(event->result));
    json_object_set_new(row, "who", output_text(event->principal));
    json_object_set_new(row, "program", output_text(base != NULL ? base + 1 : event->exe));
    json_object_set_new(row, "key", output_text(key_name(event)));
    json_object_set_new(row, "version", event->ulKeyVersion > 0
                                            ? json_integer((json_int_t)event->ulKeyVersion)
                                            : json_null());
    json_object_set_new(row, "count", json_integer((json_int_t)event->count));
    json_object_set_new(row, "detail", output_text(event->detail));
    return row;
}

/* Made of the row, in which nothing is left that a terminal would obey. */
void event_line(FILE *stream, const struct RPV_AUDIT_RECORD *event)
{
    static const char *const keys[] = {"time", "operation", "result", "who", "program", "key",
                                       "detail"};
    json_t *row = event_row(event);

    fprintf(stream, "%llu", event->seq);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        const char *text = json_string_value(json_object_get(row, keys[i]));
        fprintf(stream, "  %s", text != NULL && text[0] != '\0' ? text : "-");
    }
    if (event->count > 1)
        fprintf(stream, "  (%llu times)", event->count);
    fputc('\n', stream);
    fflush(stream);
    json_decref(row);
}

/* ------------------------------------------------------------------ asking */

static enum outcome time_option(struct run *run, enum option_key option, const char *name,
                                long long now, long long *ret_time)
{
    const char *text = run_option(run, option);

    if (text != NULL && !when_parse(text, now, ret_time))
        return run_usage(run, "--%s takes a time such as 2026-01-31T12:00:00Z, a day, or an age "
                         "such as 24h or 7d", name);
    return OUTCOME_OK;
}

static bool is_unique_id(const char *text)
{
    return strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

/* Everything of that label: both halves of a pair, older versions, live and deleted. */
static enum outcome ids_by_label(struct run *run, const char *label, struct ask *ask)
{
    struct client *client = &run->client;
    CK_BBOOL deleted[] = {CK_FALSE, CK_TRUE};
    struct handles handles = {0};
    enum outcome outcome = OUTCOME_OK;

    for (size_t i = 0; outcome == OUTCOME_OK && i < COUNT_OF(deleted); i++) {
        CK_ATTRIBUTE attrs[] = {
            {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)},
            {CKA_RPV_DELETED, &deleted[i], sizeof(deleted[i])},
        };
        outcome = object_find(client, attrs, COUNT_OF(attrs), &handles);
    }
    for (size_t i = 0; outcome == OUTCOME_OK && i < handles.n && ask->n_ids < ASK_IDS; i++) {
        unsigned char *bytes = NULL;
        size_t len = 0;

        outcome = object_attribute(client, handles.list[i], CKA_UNIQUE_ID, &bytes, &len);
        if (outcome == OUTCOME_OK && len == 32)
            memcpy(ask->ids[ask->n_ids++], bytes, len);
        free(bytes);
    }
    handles_auto(&handles);
    if (outcome == OUTCOME_OK && ask->n_ids == 0) {
        failure_set(&client->failure, OUTCOME_NOT_FOUND, "KEY_NOT_FOUND",
                    "nothing is labelled \"%s\"", label);
        failure_hint(&client->failure, "a purged key, or a private one without a PIN, is found "
                     "by its unique id alone");
        return OUTCOME_NOT_FOUND;
    }
    return outcome;
}

static enum outcome ask_key(struct run *run, struct ask *ask)
{
    struct client *client = &run->client;
    const char *key = run_option(run, OPT_KEY);
    bool label = key != NULL && !is_unique_id(key);
    bool pin = client->pin_file != NULL || (label && getenv("REPRIEVE_PIN") != NULL);
    enum outcome outcome = run_login_if_told(run);

    /* a label has to be looked up, and those of private keys take a login */
    if (outcome == OUTCOME_OK && (label || pin) && client->session == CK_INVALID_HANDLE) {
        outcome = client_choose_vault(client);
        if (outcome == OUTCOME_OK)
            outcome = client_login(client, pin ? ROLE_USER : ROLE_PUBLIC, false);
    }
    if (outcome != OUTCOME_OK || key == NULL)
        return outcome;
    if (label)
        return ids_by_label(run, key, ask);
    memcpy(ask->ids[ask->n_ids++], key, 32);
    return OUTCOME_OK;
}

enum outcome ask_read(struct run *run, struct ask *ret_ask)
{
    struct client *client = &run->client;
    struct RPV_STORE_INFO info = {0};
    enum outcome outcome = client_check(client, "RPV_GetStoreInfo",
                                        client->rpv->RPV_GetStoreInfo(&info));

    *ret_ask = (struct ask){.query = {.slotID = CK_UNAVAILABLE_INFORMATION,
                                      .operation = run_option(run, OPT_OPERATION),
                                      .caller = run_option(run, OPT_CALLER),
                                      .result = run_option(run, OPT_RESULT)}};
    if (outcome == OUTCOME_OK)
        outcome = time_option(run, OPT_SINCE, "since", (long long)info.now,
                              &ret_ask->query.since);
    if (outcome == OUTCOME_OK)
        outcome = time_option(run, OPT_UNTIL, "until", (long long)info.now,
                              &ret_ask->query.until);
    if (outcome == OUTCOME_OK && client->vault != NULL) {
        outcome = client_choose_vault(client);
        ret_ask->query.slotID = client->slot;
    }
    return outcome == OUTCOME_OK ? ask_key(run, ret_ask) : outcome;
}

static CK_RV each_of(struct client *client, struct RPV_AUDIT_QUERY *query,
                     struct RPV_AUDIT_RECORD *records, event_fn *each, void *ctx)
{
    unsigned long long next = query->from;

    do {
        CK_ULONG n = EVENTS_BATCH;
        CK_RV rv;

        query->from = next;
        rv = client->rpv->RPV_QueryAudit(query, records, &n, &next);
        if (rv != CKR_OK)
            return rv;
        for (CK_ULONG i = 0; i < n; i++)
            if (!each(&records[i], ctx))
                return CKR_OK;
    } while (next != 0);
    return CKR_OK;
}

enum outcome ask_each(struct client *client, const struct ask *ask, event_fn *each, void *ctx)
{
    struct RPV_AUDIT_RECORD *records = calloc(EVENTS_BATCH, sizeof(*records));
    CK_RV rv = CKR_OK;

    if (records == NULL)
        return failure_set(&client->failure, OUTCOME_FAILED, "MEMORY", "out of memory");
    for (size_t i = 0; rv == CKR_OK && (i < ask->n_ids || i == 0); i++) {
        struct RPV_AUDIT_QUERY query = ask->query;

        query.uniqueId = ask->n_ids == 0 ? NULL : ask->ids[i];
        rv = each_of(client, &query, records, each, ctx);
    }
    free(records);
    return client_check(client, "RPV_QueryAudit", rv);
}

static bool last_take(const struct RPV_AUDIT_RECORD *event, void *ctx)
{
    *(unsigned long long *)ctx = event->seq;
    return false;
}

enum outcome ask_last(struct client *client, unsigned long long *ret_seq)
{
    struct ask ask = {.query = {.slotID = CK_UNAVAILABLE_INFORMATION, .bNewestFirst = CK_TRUE}};

    *ret_seq = 0;
    return ask_each(client, &ask, last_take, ret_seq);
}
