/* alert.c: see alert.h. */
#include "alert.h"

#include <fnmatch.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define EVENT_RULE(rule_name, rule_level, patterns, outcome_word, detail_pattern)                  \
    {.name = rule_name, .level = rule_level, .operations = patterns, .result = outcome_word,       \
     .detail = detail_pattern, .enabled = true}

/* conf/alerts.conf says the same. */
static const struct rule DEFAULTS[] = {
    EVENT_RULE("delete", "warning", "KeyDelete", "ok", ""),
    EVENT_RULE("vault-reset", "critical", "VaultInit", "ok", "!a new vault"),
    EVENT_RULE("purge", "critical", "KeyPurge VaultPurge", "ok", ""),
    EVENT_RULE("purge-refused", "warning", "KeyPurge VaultPurge", "failed", ""),
    EVENT_RULE("purge-approval", "warning", "KeyPurgeApprove", "ok", ""),
    EVENT_RULE("policy-weakened", "critical", "VaultPolicy", "ok", "weaker:*"),
    EVENT_RULE("backup", "warning", "*Backup*", "", ""),
    EVENT_RULE("refused-use", "warning", "Key*", "failed", "refused: the key is *"),
    {.name = "many-deletes", .level = "critical", .operations = "KeyDelete", .result = "ok",
     .count = 10, .within = 60, .enabled = true},
    {.name = "login-failures", .level = "warning", .operations = "VaultLogin", .result = "failed",
     .count = 3, .within = 300, .enabled = true},
    EVENT_RULE("lock-out", "critical", "VaultLockOut", "", ""),
    EVENT_RULE("honeytoken", "critical", "Key*", "", "honeytoken*"),
    EVENT_RULE("clock", "critical", "Clock*", "", ""),
    EVENT_RULE("rollback", "critical", "Rollback* HeadLost", "", ""),
    {.name = "purge-near", .level = "warning", .purge_within = 3 * 86400, .enabled = true},
    {.name = "chain-broken", .level = "critical", .chain = true, .enabled = true},
};

/* ------------------------------------------------------------------ the file */

static bool text_set(char *field, size_t size, const char *value)
{
    return (size_t)snprintf(field, size, "%s", value) < size;
}

#define TEXT_SET(field, value) text_set(field, sizeof(field), value)

static bool number_set(unsigned long *field, unsigned long max, const char *value)
{
    char *end = NULL;
    unsigned long number = strtoul(value, &end, 10);

    if (value[0] < '0' || value[0] > '9' || *end != '\0' || number > max)
        return false;
    *field = number;
    return true;
}

/* 90s, 5m, 24h, 3d, or seconds. */
static bool seconds_set(unsigned long *field, const char *value)
{
    static const struct { char unit; unsigned long seconds; } units[] = {
        {'\0', 1}, {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end = NULL;
    unsigned long number = strtoul(value, &end, 10);

    if (value[0] < '0' || value[0] > '9' || number > 1000000000 || strlen(end) > 1)
        return false;
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (units[i].unit == *end) {
            *field = number * units[i].seconds;
            return true;
        }
    return false;
}

static bool switch_set(bool *field, const char *value)
{
    bool yes = strcmp(value, "yes") == 0;

    if (!yes && strcmp(value, "no") != 0)
        return false;
    *field = yes;
    return true;
}

static bool level_set(char level[16], const char *value)
{
    return (strcmp(value, "info") == 0 || strcmp(value, "warning") == 0 ||
            strcmp(value, "critical") == 0) && text_set(level, 16, value);
}

/* What a key of the file takes. */
static bool take_enabled(struct rule *r, const char *v) { return switch_set(&r->enabled, v); }
static bool take_level(struct rule *r, const char *v) { return level_set(r->level, v); }
static bool take_result(struct rule *r, const char *v) { return TEXT_SET(r->result, v); }
static bool take_detail(struct rule *r, const char *v) { return TEXT_SET(r->detail, v); }
static bool take_operation(struct rule *r, const char *v) { return TEXT_SET(r->operations, v); }
static bool take_within(struct rule *r, const char *v) { return seconds_set(&r->within, v); }
static bool take_chain(struct rule *r, const char *v) { return switch_set(&r->chain, v); }
static bool take_near(struct rule *r, const char *v) { return seconds_set(&r->purge_within, v); }
static bool take_count(struct rule *r, const char *v)
{
    return number_set(&r->count, RULE_COUNT_MAX, v);
}

static const struct {
    const char *name;
    bool (*take)(struct rule *rule, const char *value);
    const char *takes;
} KEYS[] = {
    {"enabled", take_enabled, "yes or no"},
    {"level", take_level, "info, warning or critical"},
    {"operation", take_operation, "operations, or patterns of them"},
    {"result", take_result, "ok, failed or a result"},
    {"detail", take_detail, "a pattern"},
    {"count", take_count, "a number up to 1000"},
    {"within", take_within, "a time such as 60s, 5m, 24h or 3d"},
    {"purge_within", take_near, "a time such as 60s, 5m, 24h or 3d"},
    {"chain", take_chain, "yes or no"},
};

struct reading { struct rules *rules; char problem[300]; };

static bool rule_set(struct reading *reading, struct rule *rule, const char *name,
                     const char *value)
{
    size_t i = 0;

    while (i < COUNT_OF(KEYS) && strcmp(KEYS[i].name, name) != 0)
        i++;
    if (i < COUNT_OF(KEYS) && KEYS[i].take(rule, value))
        return true;
    if (reading->problem[0] != '\0')
        return false;             /* the first one is told */
    if (i < COUNT_OF(KEYS))
        snprintf(reading->problem, sizeof(reading->problem), "%s takes %s, and not \"%.60s\"",
                 name, KEYS[i].takes, value);
    else
        snprintf(reading->problem, sizeof(reading->problem), "there is no key \"%.60s\"", name);
    return false;
}

static struct rule *rule_named(struct rules *rules, const char *name)
{
    for (size_t i = 0; i < rules->n; i++)
        if (strcmp(rules->rule[i].name, name) == 0)
            return &rules->rule[i];
    if (name[0] == '\0' || rules->n == RULES_MAX || strlen(name) >= sizeof(rules->rule[0].name))
        return NULL;
    struct rule *rule = &rules->rule[rules->n++];
    *rule = (struct rule){.level = "warning", .enabled = true};
    strcpy(rule->name, name);
    return rule;
}

static int file_line(void *context, const char *section, const char *name, const char *value)
{
    struct reading *reading = context;
    struct rule *rule = rule_named(reading->rules, section);

    if (rule == NULL && reading->problem[0] == '\0')
        snprintf(reading->problem, sizeof(reading->problem),
                 "a rule has a name of 1 to 31 characters, and there are at most %d", RULES_MAX);
    return rule != NULL && rule_set(reading, rule, name, value);
}

/* "": none. */
static void file_usual(char ret_path[4096])
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    const char *const system[] = {REPRIEVE_SYSCONFDIR "/reprieve/alerts.conf",
                                  "/etc/reprieve/alerts.conf"};

    ret_path[0] = '\0';
    if (base != NULL && base[0] == '/')
        snprintf(ret_path, 4096, "%s/reprieve/alerts.conf", base);
    else if (home != NULL && home[0] == '/')
        snprintf(ret_path, 4096, "%s/.config/reprieve/alerts.conf", home);
    for (size_t i = 0; i < COUNT_OF(system) && (!ret_path[0] || access(ret_path, F_OK) != 0); i++)
        strcpy(ret_path, system[i]);
    if (access(ret_path, F_OK) != 0)
        ret_path[0] = '\0';
}

static bool rule_is_one(const struct rule *rule)
{
    return rule->operations[0] != '\0' || rule->result[0] != '\0' || rule->detail[0] != '\0' ||
           rule->purge_within != 0 || rule->chain || !rule->enabled;
}

enum outcome rules_read(struct client *client, const char *path, struct rules *ret_rules)
{
    struct reading reading = {.rules = ret_rules};
    char usual[4096];
    int line = 0;

    memset(ret_rules, 0, sizeof(*ret_rules));
    memcpy(ret_rules->rule, DEFAULTS, sizeof(DEFAULTS));
    ret_rules->n = COUNT_OF(DEFAULTS);
    if (path == NULL) {
        file_usual(usual);
        path = usual;
    }
    if (path[0] != '\0')
        line = ini_parse(path, file_line, &reading);
    if (line < 0)
        return failure_set(&client->failure, OUTCOME_FAILED, "RULES", "%s cannot be read", path);
    if (line > 0)
        return failure_set(&client->failure, OUTCOME_FAILED, "RULES", "%s:%d: %s", path, line,
                           reading.problem[0] != '\0' ? reading.problem
                                                      : "neither [RULE] nor KEY = VALUE");
    for (size_t i = 0; i < ret_rules->n; i++)
        if (!rule_is_one(&ret_rules->rule[i]))
            return failure_set(&client->failure, OUTCOME_FAILED, "RULES",
                               "%s: [%s] says of nothing when it is to alert: it takes operation, "
                               "result, detail, purge_within or chain", path,
                               ret_rules->rule[i].name);
    for (size_t i = 0; i < ret_rules->n; i++)
        if (ret_rules->rule[i].count > 1)
            ret_rules->rule[i].times = calloc(ret_rules->rule[i].count, sizeof(long long));
    return OUTCOME_OK;
}

void rules_done(struct rules *rules)
{
    for (size_t i = 0; i < rules->n; i++)
        free(rules->rule[i].times);
}

/* ------------------------------------------------------------------ does it fire */

static bool operation_fits(const struct rule *rule, const char *operation)
{
    char patterns[sizeof(rule->operations)], *rest = NULL;

    strcpy(patterns, rule->operations);
    if (patterns[0] == '\0')
        return rule->detail[0] != '\0' || rule->result[0] != '\0';
    for (char *one = strtok_r(patterns, " ,", &rest); one != NULL;
         one = strtok_r(NULL, " ,", &rest))
        if (fnmatch(one, operation, 0) == 0)
            return true;
    return false;
}

static bool result_fits(const struct rule *rule, const struct RPV_AUDIT_RECORD *event)
{
    if (rule->result[0] == '\0')
        return true;
    if (strcmp(rule->result, "failed") == 0)
        return !event->bSuccess;
    return strcmp(rule->result, event->result) == 0;
}

static bool detail_fits(const struct rule *rule, const char *detail)
{
    bool contrary = rule->detail[0] == '!';

    return rule->detail[0] == '\0' ||
           (fnmatch(rule->detail + contrary, detail, 0) == 0) != contrary;
}

bool rule_fires(struct rule *rule, const struct RPV_AUDIT_RECORD *event)
{
    bool fits = rule->enabled && !rule->chain && rule->purge_within == 0 &&
                operation_fits(rule, event->operation) && result_fits(rule, event) &&
                detail_fits(rule, event->detail);

    if (!fits || rule->count <= 1 || rule->times == NULL)
        return fits;
    for (unsigned long long i = 0; i < event->count && i < rule->count; i++) {
        if (rule->n_times == rule->count)
            memmove(rule->times, rule->times + 1, --rule->n_times * sizeof(*rule->times));
        rule->times[rule->n_times++] = event->time;
    }
    if (rule->n_times < rule->count ||
        (rule->within != 0 && event->time - rule->times[0] > (long long)rule->within))
        return false;
    rule->n_times = 0;            /* the next alert takes as many again */
    return true;
}
