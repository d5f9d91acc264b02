/*
 * command.h: a command is a row; main parses the arguments, makes ready what the row asks for
 * (module, vendor interface, vault, login) and calls its function.
 */
#ifndef COMMAND_H
#define COMMAND_H
#include <argp.h>
#include <stdint.h>

#include "client.h"

/* Option keys: what argp hands back, above every character. */
enum option_key {
    OPT_FIRST = 0x100,
    OPT_MODULE = OPT_FIRST,
    OPT_STORE,
    OPT_VAULT,
    OPT_JSON,
    OPT_PIN_FILE,
    OPT_SO_PIN_FILE,
    OPT_SO,
    OPT_LABEL,
    OPT_SET,
    OPT_DRY_RUN,
    OPT_ALL,
    OPT_CLASS,
    OPT_YES,
    OPT_KEY,
    OPT_WRAPPED,
    OPT_MECHANISM,
    OPT_TYPE,
    OPT_ID,
    OPT_WRAPPING_KEY,
    OPT_MAKE,
    OPT_USAGE,
    OPT_EXTRACTABLE,
    OPT_NO_PUBLIC,
    OPT_PASSPHRASE_FILE,
    OPT_OUT,
    OPT_SINCE,
    OPT_OPERATION,
    OPT_LIMIT,
    OPT_USER,
    OPT_ON,
    OPT_USER_PIN_FILE,
    OPT_UNTIL,
    OPT_CALLER,
    OPT_RESULT,
    OPT_SUMMARY,
    OPT_FORMAT,
    OPT_RULES,
    OPT_EXEC,
    OPT_JOURNALD,
    OPT_ONCE,
    OPT_READ_ONLY,
    OPT_ACCEPT_ROLLBACK,
    OPT_AFTER,
    OPT_TO,
    OPT_THRESHOLD,
    OPT_REPLACE,
    OPT_SETTINGS,
    OPT_DUE,
    OPT_REASON,
    OPT_NOT_BEFORE,
    OPT_NOT_AFTER,
    OPT_OFF,
    OPT_END,
};
#define OPT_COUNT (OPT_END - OPT_FIRST)
#define SETS_MAX 24
#define KEYS_MAX 32

struct command;

struct run {
    const struct command *command;
    const char *option[OPT_COUNT]; /* NULL: not given; "" for one without a value */
    const char *sets[SETS_MAX];    /* every --set */
    size_t n_sets;
    const char *keys[KEYS_MAX];    /* every --to or --key */
    size_t n_keys;
    bool too_many;                 /* of either */
    char **args;
    size_t n_args;
    bool json;
    struct client client;
};

/* What a command needs before its function is called. */
enum need {
    NEED_VENDOR = 1,
    NEED_VAULT = 2,
    NEED_LOGIN = 4,     /* as user, where --so and --user do not say otherwise */
    NEED_OFFICER = 8,   /* as SO, where --user does not say otherwise */
    NEED_SO = 16,       /* as SO, whoever would like to be another */
    NEED_WRITE = 32,
    MAY_LOGIN = 64,     /* calls run_login itself */
};

struct command {
    const char *name;    /* one word or two; NULL ends a table */
    const char *args;    /* as in the usage line */
    const char *summary; /* one line */
    const char *doc;     /* the rest of --help */
    const struct argp_option *options;
    size_t min_args, max_args;
    unsigned needs; /* enum need */
    enum outcome (*run)(struct run *run);
};

extern const struct command vault_commands[];
extern const struct command policy_commands[];
extern const struct command user_commands[];
extern const struct command object_commands[];
extern const struct command delete_commands[];
extern const struct command govern_commands[];
extern const struct command import_commands[];
extern const struct command audit_commands[];
extern const struct command store_commands[];
extern const struct command backup_commands[];
extern const struct command key_commands[];
extern const struct command log_commands[];
extern const struct command watch_commands[];

/* The option's value, or NULL. */
const char *run_option(const struct run *run, enum option_key option);
/* A whole number of an option; `otherwise` when not given. Fails with a usage message. */
enum outcome run_number(struct run *run, enum option_key option, unsigned long otherwise,
                        unsigned long *ret_number);
/* A time of an option, absolute or so long from now on (the vault clock's). */
enum outcome run_time_ahead(struct run *run, enum option_key option, const char *name,
                            long long *ret_time);
enum outcome run_usage(struct run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Logs in as --so or --user say, else as `otherwise`. */
enum outcome run_login(struct run *run, enum client_role otherwise, bool read_write);
/* For what needs no login, but may show more with one: when --so or --user say who. */
enum outcome run_login_if_told(struct run *run);
/* On a terminal, asks; --yes or no terminal is a yes: a script has decided already. */
enum outcome run_confirm(struct run *run, const char *question);

/* Rows that several commands use in their options. */
#define OPTION_CLASS                                                                               \
    {"class", OPT_CLASS, "CLASS", 0,                                                               \
     "Only private, public, secret, certificate or data objects", 0}
#define OPTION_YES {"yes", OPT_YES, NULL, 0, "Do not ask whether you are sure", 0}
#define OPTION_END {NULL, 0, NULL, 0, NULL, 0}
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#endif
