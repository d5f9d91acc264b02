/* cmd_watch.c: follows the log and raises alerts. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "alert.h"
#include "audit_event.h"
#include "output.h"
#include "when.h"

#define POLL_NS 250000000L
#define SLOW_SECONDS 10           /* between looks at what is due, and at the log's end */
#define WHOLE_SECONDS 3600        /* between looks at the whole chain */
#define DUE_MAX 1000
#define REACTIONS_MAX 16
#define JOURNAL_SECONDS 2

struct watch {
    struct run *run;
    struct rules rules;
    const char *exec;             /* NULL: none */
    bool journald;
    unsigned long raised, limit;  /* limit 0: none */
    unsigned reactions;           /* children that run */
    unsigned long long next;      /* event to go on with */
    unsigned long long chain_seq;
    CK_BYTE chain_hash[32];
    bool chain_broken;            /* and told of */
    long long slow_at, whole_at;  /* when the next such looks are to be */
    json_t *due_told;             /* what has been told of */
};

/* ------------------------------------------------------------------ where alerts go */

static void reactions_reap(struct watch *watch, unsigned keep)
{
    while (watch->reactions > 0) {
        pid_t pid = waitpid(-1, NULL, watch->reactions > keep ? 0 : WNOHANG);

        if (pid <= 0 && !(pid < 0 && errno == EINTR))
            break;
        watch->reactions -= pid > 0;
    }
}

/* In the child. What an event holds reaches the shell on standard input alone, where nothing of it
 * can be taken for a command: names of rules and levels are the operator's own words. */
static void reaction_run(const struct watch *watch, const struct rule *rule, int input)
{
    static const char *const secrets[] = {"REPRIEVE_PIN", "REPRIEVE_SO_PIN", "REPRIEVE_NEW_PIN",
                                          "REPRIEVE_PASSPHRASE"};

    if (input != STDIN_FILENO)
        dup2(input, STDIN_FILENO);
    for (size_t i = 0; i < COUNT_OF(secrets); i++)
        unsetenv(secrets[i]);
    setenv("REPRIEVE_ALERT", rule->name, 1);
    setenv("REPRIEVE_LEVEL", rule->level, 1);
    signal(SIGPIPE, SIG_DFL);
    execl("/bin/sh", "sh", "-c", watch->exec, (char *)NULL);
    _exit(127);
}

static void reaction_failed(const struct rule *rule)
{
    fprintf(stderr, "reprieve: the reaction to %s cannot be run: %s\n", rule->name,
            strerror(errno));
}

/* A shell with the alert on its standard input; it is not waited for. */
static void react(struct watch *watch, const struct rule *rule, const char *json)
{
    int ends[2];
    pid_t pid;

    reactions_reap(watch, REACTIONS_MAX - 1);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        reaction_failed(rule);
        return;
    }
    pid = fork();
    if (pid == 0)
        reaction_run(watch, rule, ends[0]);
    if (pid < 0)
        reaction_failed(rule);
    close(ends[0]);
    watch->reactions += pid > 0;
    /* less than a pipe holds; one that has ended without reading has what it wanted */
    if (pid > 0 && dprintf(ends[1], "%s\n", json) < 0 && errno != EPIPE)
        fprintf(stderr, "reprieve: the reaction to %s took no input: %s\n", rule->name,
                strerror(errno));
    close(ends[1]);
}

static int priority(const struct rule *rule)
{
    return strcmp(rule->level, "critical") == 0  ? LOG_CRIT
           : strcmp(rule->level, "warning") == 0 ? LOG_WARNING
                                                 : LOG_INFO;
}

/* Waits for journald a while, but not for ever: the alert is told of, and the reaction is run. */
static void to_journald(const struct rule *rule, const char *message,
                        const struct RPV_AUDIT_RECORD *event)
{
    static const struct sockaddr_un to = {AF_UNIX, "/run/systemd/journal/socket"};
    char datagram[1400];
    const struct timeval wait = {.tv_sec = JOURNAL_SECONDS};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int len = snprintf(datagram, sizeof(datagram),
                       "MESSAGE=%s: %.900s\nPRIORITY=%d\nSYSLOG_FACILITY=%d\n"
                       "SYSLOG_IDENTIFIER=reprieve\nREPRIEVE_ALERT=%s\nREPRIEVE_LEVEL=%s\n",
                       rule->name, message, priority(rule), LOG_AUTHPRIV >> 3, rule->name,
                       rule->level);

    if (event != NULL)
        len += snprintf(datagram + len, sizeof(datagram) - (size_t)len,
                        "REPRIEVE_SEQ=%llu\nREPRIEVE_OPERATION=%s\nREPRIEVE_OBJECT=%s\n",
                        event->seq, event->operation, event->uniqueId);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    if (fd < 0 || sendto(fd, datagram, (size_t)len, MSG_NOSIGNAL, (const struct sockaddr *)&to,
                         sizeof(to)) != len)
        fprintf(stderr, "reprieve: an alert did not reach journald: %s\n", strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* event NULL: the alert is of no event. Takes over `more`, JSON beside it. */
static void raise_alert(struct watch *watch, const struct rule *rule, const char *message,
                        const struct RPV_AUDIT_RECORD *event, json_t *more)
{
    json_t *alert = more != NULL ? more : json_object();
    char *text = NULL;

    json_object_set_new(alert, "alert", json_string(rule->name));
    json_object_set_new(alert, "level", json_string(rule->level));
    json_object_set_new(alert, "message", output_text(message));
    json_object_set_new(alert, "time", output_time((long long)time(NULL)));
    json_object_set_new(alert, "event", event != NULL ? event_json(event) : json_null());
    text = json_dumps(alert, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(alert);
    if (text == NULL)
        return;
    if (watch->run->json)
        puts(text);
    else if (!watch->journald)
        printf("%s: %s: %s\n", rule->level, rule->name, message);
    fflush(stdout);
    if (watch->journald)
        to_journald(rule, message, event);
    if (watch->exec != NULL)
        react(watch, rule, text);
    free(text);
    watch->raised++;
}

/* ------------------------------------------------------------------ what alerts are of */

static bool watch_enough(const struct watch *watch)
{
    return watch->limit != 0 && watch->raised >= watch->limit;
}

static bool watch_event(const struct RPV_AUDIT_RECORD *event, void *ctx)
{
    struct watch *watch = ctx;

    watch->next = event->seq + 1;
    for (size_t i = 0; i < watch->rules.n && !watch_enough(watch); i++) {
        struct rule *rule = &watch->rules.rule[i];
        json_t *row = NULL;
        char message[900], times[64] = "";

        if (!rule_fires(rule, event))
            continue;
        row = event_row(event);
        if (rule->count > 1)
            snprintf(times, sizeof(times), ", %lu of them within %lu seconds", rule->count,
                     rule->within);
        snprintf(message, sizeof(message), "%s %s%s%s by %s (uid %lu, pid %lu, %s)%s%s%s",
                 event->operation, event->result, event->uniqueId[0] != '\0' ? " of " : "",
                 json_string_value(json_object_get(row, "key")),
                 json_string_value(json_object_get(row, "who")), event->uid, event->pid,
                 json_string_value(json_object_get(row, "program")), times,
                 event->detail[0] != '\0' ? ": " : "",
                 json_string_value(json_object_get(row, "detail")));
        json_decref(row);
        raise_alert(watch, rule, message, event, NULL);
    }
    return !watch_enough(watch);
}

static void watch_due_one(struct watch *watch, const struct rule *rule,
                          const struct RPV_DUE *due)
{
    json_t *more = NULL;
    char name[80], message[200], when[WHEN_SIZE];

    snprintf(name, sizeof(name), "%s %lu %lld", due->uniqueId, due->ulGeneration, due->purgeAt);
    if (due->bHeld || json_object_get(watch->due_told, name) != NULL)
        return;
    json_object_set_new(watch->due_told, name, json_true());
    when_format(due->purgeAt, when);
    snprintf(message, sizeof(message), "%s%s of vault %lu will be purged at %s",
             due->uniqueId[0] != '\0' ? "object " : "a whole generation", due->uniqueId,
             due->slotID, when);
    more = json_object();
    json_object_set_new(more, "id", output_text(due->uniqueId));
    json_object_set_new(more, "slot", json_integer((json_int_t)due->slotID));
    json_object_set_new(more, "generation", json_integer((json_int_t)due->ulGeneration));
    json_object_set_new(more, "purgeAt", output_time(due->purgeAt));
    raise_alert(watch, rule, message, NULL, more);
}

static enum outcome watch_due(struct watch *watch)
{
    struct client *client = &watch->run->client;
    struct RPV_STORE_INFO info = {0};
    struct RPV_DUE *due = calloc(DUE_MAX, sizeof(*due));
    CK_RV rv = due == NULL ? CKR_HOST_MEMORY : client->rpv->RPV_GetStoreInfo(&info);

    for (size_t r = 0; rv == CKR_OK && r < watch->rules.n; r++) {
        const struct rule *rule = &watch->rules.rule[r];
        CK_ULONG n = DUE_MAX;

        if (!rule->enabled || rule->purge_within == 0)
            continue;
        rv = client->rpv->RPV_ListDue((long long)(info.now + rule->purge_within), due, &n);
        for (CK_ULONG i = 0; rv == CKR_OK && i < n && !watch_enough(watch); i++)
            watch_due_one(watch, rule, &due[i]);
    }
    free(due);
    return client_check(client, "RPV_ListDue", rv);
}

static enum outcome watch_chain(struct watch *watch)
{
    struct client *client = &watch->run->client;
    unsigned long long bad = 0;
    enum outcome outcome = OUTCOME_OK;
    char message[128];

    if (watch->chain_broken)
        return OUTCOME_OK;
    outcome = client_check(client, "RPV_VerifyAuditFrom",
                           client->rpv->RPV_VerifyAuditFrom(&watch->chain_seq, watch->chain_hash,
                                                            &bad));
    if (outcome != OUTCOME_OK || bad == 0)
        return outcome;
    watch->chain_broken = true;
    snprintf(message, sizeof(message), "the audit log was changed, cut or put back at event %llu",
             bad);
    for (size_t i = 0; i < watch->rules.n; i++)
        if (watch->rules.rule[i].chain && watch->rules.rule[i].enabled)
            raise_alert(watch, &watch->rules.rule[i], message, NULL, NULL);
    return OUTCOME_OK;
}

/* ------------------------------------------------------------------ the loop */

/* Not of the wall clock, which others may set. */
static long long seconds_up(void)
{
    struct timespec t = {0};

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (long long)t.tv_sec;
}

/* Is it time again? */
static bool watch_turn(long long *at, long long every)
{
    if (seconds_up() < *at)
        return false;
    *at = seconds_up() + every;
    return true;
}

/* From time to time the whole chain: what was read and verified can be changed, too. */
static enum outcome watch_verify(struct watch *watch)
{
    if (watch_turn(&watch->whole_at, WHOLE_SECONDS)) {
        watch->chain_seq = 0;
        memset(watch->chain_hash, 0, sizeof(watch->chain_hash));
    }
    return watch_chain(watch);
}

static enum outcome watch_round(struct watch *watch, struct ask *ask, bool slow)
{
    unsigned long long before = watch->next;
    enum outcome outcome, chain = OUTCOME_OK;

    ask->query.from = watch->next;
    outcome = ask_each(&watch->run->client, ask, watch_event, watch);
    if (outcome != OUTCOME_OK || watch->next != before || slow) {
        struct failure kept = watch->run->client.failure;

        chain = watch_verify(watch);
        if (outcome != OUTCOME_OK)
            watch->run->client.failure = kept;
    }
    if (outcome == OUTCOME_OK)
        outcome = chain;
    if (outcome == OUTCOME_OK && slow && !watch_enough(watch))
        outcome = watch_due(watch);
    reactions_reap(watch, REACTIONS_MAX);
    return outcome;
}

/* A log that cannot be read because it was tampered with is what it waits for, and no end. */
static enum outcome watch_loop(struct watch *watch, struct ask *ask, bool once)
{
    enum outcome outcome;

    for (;;) {
        outcome = watch_round(watch, ask, watch_turn(&watch->slow_at, SLOW_SECONDS));
        if (once || watch_enough(watch) || ferror(stdout) ||
            (outcome != OUTCOME_OK && !watch->chain_broken))
            break;
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    return outcome;
}

/* Where to begin: --since, or from now on; with --once the whole log. */
static enum outcome watch_begin(struct watch *watch, struct ask *ask, bool once)
{
    enum outcome outcome = ask_read(watch->run, ask);

    if (outcome != OUTCOME_OK || once || ask->query.since != 0)
        return outcome;
    outcome = ask_last(&watch->run->client, &watch->next);
    watch->next++;
    return outcome;
}

static enum outcome watch_run(struct run *run)
{
    struct watch watch = {.run = run, .exec = run_option(run, OPT_EXEC),
                          .journald = run_option(run, OPT_JOURNALD) != NULL};
    bool once = run_option(run, OPT_ONCE) != NULL;
    struct ask ask;
    enum outcome outcome = run_number(run, OPT_LIMIT, 0, &watch.limit);

    if (outcome == OUTCOME_OK)
        outcome = rules_read(&run->client, run_option(run, OPT_RULES), &watch.rules);
    if (outcome != OUTCOME_OK)
        return outcome;
    signal(SIGPIPE, SIG_IGN);
    watch.due_told = json_object();
    outcome = watch_verify(&watch);   /* first: of a broken log not even the clock may be read */
    if (outcome == OUTCOME_OK)
        outcome = watch_begin(&watch, &ask, once);
    if (outcome == OUTCOME_OK)
        outcome = watch_loop(&watch, &ask, once);
    reactions_reap(&watch, 0);
    json_decref(watch.due_told);
    rules_done(&watch.rules);
    return outcome;
}

static const struct argp_option watch_options[] = {
    {"rules", OPT_RULES, "FILE", 0, "Rules besides the built-in ones, instead of the usual "
     "alerts.conf", 0},
    {"exec", OPT_EXEC, "COMMAND", 0, "Run COMMAND in a shell for each alert, with it as JSON on "
     "standard input", 0},
    {"journald", OPT_JOURNALD, NULL, 0, "To journald instead of standard output", 0},
    {"once", OPT_ONCE, NULL, 0, "Look through the log as it is, and end", 0},
    {"since", OPT_SINCE, "TIME", 0, "Begin there, not now", 0},
    {"limit", OPT_LIMIT, "N", 0, "End after N alerts", 0},
    OPTION_END,
};

const struct command watch_commands[] = {
    {"watch", "", "Follows the record and raises alerts",
     "On deletes, purges, weakened policies, refused uses, failed logins, purges to come, clock "
     "and rollback events, a broken chain. Which, and when, is in alerts.conf.", watch_options, 0,
     0, NEED_VENDOR | MAY_LOGIN, watch_run},
    {0},
};
