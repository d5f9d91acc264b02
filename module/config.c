/* config.c: one table of keys; two readers, a file and the pReserved string. */
#include "config.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace.h"

/* How a value is read. Numbers lie in [min, max]; words are given as "a|b", and the first is 0. */
enum config_type { TYPE_PATH, TYPE_NUMBER, TYPE_SIZE, TYPE_WORD };

struct config_key {
    const char *name;
    enum config_type type;
    size_t offset;
    unsigned long min, max;
    const char *words[4];
    size_t width;                /* of the field, for numbers and words */
};
#define FIELD(member) offsetof(struct config, member)
#define WIDTH(member) sizeof(((struct config *)0)->member)
#define PATH(name, member) {name, TYPE_PATH, FIELD(member), 0, 0, {NULL}, WIDTH(member)}
#define NUMBER(name, member, min, max) \
    {name, TYPE_NUMBER, FIELD(member), min, max, {NULL}, WIDTH(member)}
#define WORD(name, member, no, yes) \
    {name, TYPE_WORD, FIELD(member), 0, 0, {no, yes, NULL}, WIDTH(member)}

static const struct config_key KEYS[] = {
    PATH("store", store),
    PATH("host_key", host_key),
    PATH("trace", trace),
    {"audit_sink", TYPE_WORD, FIELD(audit_sink), 0, 0, {"none", "journald", "syslog", NULL},
     WIDTH(audit_sink)},
    WORD("audit_use", defaults.audit_use, "counted", "each"),
    WORD("spare_slot", spare_always, "auto", "always"),
    {"map_size", TYPE_SIZE, FIELD(map_size), 1ul << 18, 1ul << 40, {NULL}, WIDTH(map_size)},
    NUMBER("retention_days", defaults.retention_days, VS_RETENTION_MIN_DAYS,
           VS_RETENTION_LIMIT_DAYS),
    NUMBER("retention_max_days", retention_max_days, VS_RETENTION_MAX_DAYS,
           VS_RETENTION_LIMIT_DAYS),
    WORD("recover_to", defaults.recover_to, "prior", "disabled"),
    WORD("reserve_names", defaults.reserve_names, "no", "yes"),
    WORD("require_backup", defaults.require_backup, "no", "yes"),
    WORD("disable_before_delete", defaults.disable_before_delete, "no", "yes"),
    WORD("refuse_conflicts", defaults.refuse_conflicts, "no", "yes"),
    WORD("refuse_legacy_padding", defaults.refuse_legacy_padding, "no", "yes"),
    WORD("clock_strict", defaults.clock_strict, "no", "yes"),
    WORD("tombstone_labels", defaults.tombstone_labels, "no", "yes"),
    WORD("newest_only", defaults.newest_only, "no", "yes"),
    WORD("private_audit", defaults.private_audit, "no", "yes"),
    NUMBER("purge_approvals", defaults.purge_approvals, 0, VS_APPROVALS_MAX),
    NUMBER("approval_hours", defaults.approval_hours, 1, 720),
    WORD("purge_protection", defaults.purge_protection, "no", "yes"),
    WORD("profile", defaults.profile, "ordinary", "strict"),
    NUMBER("pin_tries", defaults.pin_tries, 3, 100),
    NUMBER("scrypt_log_n", defaults.scrypt_log_n, VS_SCRYPT_LOG_N_MIN, VS_SCRYPT_LOG_N_MAX),
    NUMBER("min_rsa_bits", defaults.min_rsa_bits, 1024, 16384),
};

static void field_store(const struct config_key *key, struct config *config, unsigned long value)
{
    void *field = (char *)config + key->offset;
    if (key->width == sizeof(uint64_t))
        *(uint64_t *)field = value;
    else if (key->width == sizeof(uint32_t))
        *(uint32_t *)field = (uint32_t)value;
    else
        *(bool *)field = value != 0;
}

static CK_RV path_read(const struct config_key *key, const char *value, struct config *config)
{
    if (value[0] != '/')
        return trace_fail(CKR_ARGUMENTS_BAD, "%s = %s: not an absolute path", key->name, value);
    if (strlen(value) >= key->width)
        return trace_fail(CKR_ARGUMENTS_BAD, "%s: the path is too long", key->name);
    strcpy((char *)config + key->offset, value);
    return CKR_OK;
}

static CK_RV number_read(const struct config_key *key, const char *value, struct config *config)
{
    char *end;
    unsigned long number = strtoul(value, &end, 10);
    bool digits = value[0] >= '0' && value[0] <= '9' && *end == 0;
    if (!digits || number < key->min || number > key->max)
        return trace_fail(CKR_ARGUMENTS_BAD, "%s = %s: a number from %lu to %lu is wanted",
                          key->name, value, key->min, key->max);
    field_store(key, config, number);
    return CKR_OK;
}

static CK_RV word_read(const struct config_key *key, const char *value, struct config *config)
{
    for (unsigned long i = 0; key->words[i]; i++)
        if (strcmp(value, key->words[i]) == 0) {
            field_store(key, config, i);
            return CKR_OK;
        }
    return trace_fail(CKR_ARGUMENTS_BAD, "%s = %s: %s%s%s or %s is wanted", key->name, value,
                      key->words[0], key->words[2] ? ", " : "", key->words[2] ? key->words[1] : "",
                      key->words[2] ? key->words[2] : key->words[1]);
}

static CK_RV key_read(const char *name, const char *value, struct config *config)
{
    static CK_RV (*const READERS[])(const struct config_key *, const char *, struct config *) = {
        [TYPE_PATH] = path_read,
        [TYPE_NUMBER] = number_read,
        [TYPE_SIZE] = number_read,
        [TYPE_WORD] = word_read,
    };
    for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++)
        if (strcmp(name, KEYS[i].name) == 0)
            return READERS[KEYS[i].type](&KEYS[i], value, config);
    return trace_fail(CKR_ARGUMENTS_BAD, "%s: no such key", name);
}

/* ------------------------------------------------------------------ pReserved */

static CK_RV reserved_pair(char *pair, struct config *config)
{
    char *equals = strchr(pair, '=');
    if (!equals)
        return trace_fail(CKR_ARGUMENTS_BAD, "pReserved: %s is not key=value", pair);
    *equals = 0;
    return key_read(pair, equals + 1, config);
}

static CK_RV reserved_read(const char *reserved, struct config *config)
{
    char text[8192];
    if (strlen(reserved) >= sizeof(text))
        return trace_fail(CKR_ARGUMENTS_BAD, "pReserved is too long");
    strcpy(text, reserved);
    char *rest = NULL;
    for (char *pair = strtok_r(text, " ,\t\n", &rest); pair; pair = strtok_r(NULL, " ,\t\n", &rest))
        TRY(reserved_pair(pair, config));
    return CKR_OK;
}

/* ------------------------------------------------------------------ the file */

struct file_reader {
    struct config *config;
    CK_RV rv;
};

static int file_line(void *context, const char *section, const char *name, const char *value)
{
    struct file_reader *reader = context;
    if (section[0])
        reader->rv = trace_fail(CKR_GENERAL_ERROR, "[%s]: the file has no sections", section);
    else if (key_read(name, value, reader->config) != CKR_OK)
        reader->rv = CKR_GENERAL_ERROR;
    return reader->rv == CKR_OK;
}

/* The reason that a reader gave gets the file and the line in front. */
static CK_RV file_blame(const char *path, int line)
{
    char why[200];
    snprintf(why, sizeof(why), "%s", trace_reason()[0] ? trace_reason() : "not KEY = VALUE");
    trace_clear();
    return trace_fail(CKR_GENERAL_ERROR, "%s:%d: %s", path, line, why);
}

static CK_RV file_read(const char *path, struct config *config)
{
    struct file_reader reader = {config, CKR_OK};
    int line = ini_parse(path, file_line, &reader);
    if (line < 0)
        return trace_fail(CKR_GENERAL_ERROR, "%s cannot be read", path);
    return line > 0 ? file_blame(path, line) : CKR_OK;
}

/* ------------------------------------------------------------------ where */

/* $VARIABLE/reprieve..., else ~/FALLBACK/reprieve...; "" when neither is known. */
static void user_path(const char *variable, const char *fallback, const char *tail, char *ret_path,
                      size_t size)
{
    const char *base = secure_getenv(variable);
    const char *home = secure_getenv("HOME");
    int len = 0;
    ret_path[0] = 0;
    if (base && base[0] == '/')
        len = snprintf(ret_path, size, "%s/%s", base, tail);
    else if (home && home[0] == '/')
        len = snprintf(ret_path, size, "%s/%s/%s", home, fallback, tail);
    if (len < 0 || (size_t)len >= size)
        ret_path[0] = 0;
}

static bool file_find(char *ret_path, size_t size)
{
    user_path("XDG_CONFIG_HOME", ".config", "reprieve/reprieve.conf", ret_path, size);
    if (ret_path[0] && access(ret_path, F_OK) == 0)
        return true;
    snprintf(ret_path, size, "%s", REPRIEVE_SYSCONFDIR "/reprieve/reprieve.conf");
    if (access(ret_path, F_OK) == 0)
        return true;
    snprintf(ret_path, size, "%s", "/etc/reprieve/reprieve.conf");
    return access(ret_path, F_OK) == 0;
}

static CK_RV default_store(struct config *config)
{
    if (geteuid() == 0)
        snprintf(config->store, sizeof(config->store), "/var/lib/reprieve");
    else
        user_path("XDG_DATA_HOME", ".local/share", "reprieve", config->store,
                  sizeof(config->store));
    if (!config->store[0])
        return trace_fail(CKR_GENERAL_ERROR, "no store: neither configured nor is HOME set");
    return CKR_OK;
}

static CK_RV sources_read(const char *reserved, struct config *config)
{
    if (reserved)
        return reserved_read(reserved, config);
    const char *named = secure_getenv("REPRIEVE_CONF");
    if (named && named[0])
        return file_read(named, config);
    char path[4096];
    return file_find(path, sizeof(path)) ? file_read(path, config) : CKR_OK;
}

CK_RV config_load(const char *reserved, struct config *ret_config)
{
    struct config config = {0};
    vs_policy_default(&config.defaults);
    config.retention_max_days = VS_RETENTION_MAX_DAYS;
    TRY(sources_read(reserved, &config));
    if (!config.store[0])
        TRY(default_store(&config));
    if (config.defaults.retention_days > config.retention_max_days)
        return trace_fail(reserved ? CKR_ARGUMENTS_BAD : CKR_GENERAL_ERROR,
                          "retention_days = %u: 7 to 90, or to "
                          "retention_max_days", (unsigned)config.defaults.retention_days);
    *ret_config = config;
    return CKR_OK;
}
