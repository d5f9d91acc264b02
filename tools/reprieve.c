/*
 * reprieve: the command for what standard PKCS#11 tools cannot say. It has no back door: it loads
 * the module and uses the standard's calls and the vendor interface of reprieve.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "when.h"

const char *argp_program_version = "reprieve " PACKAGE_VERSION;

static const struct {
    const char *heading;
    const struct command *commands;
} groups[] = {
    {"Vaults (what PKCS#11 calls tokens)", vault_commands},
    {"What a vault allows", policy_commands},
    {"Named users", user_commands},
    {"Objects", object_commands},
    {"Deleting, recovering, purging", delete_commands},
    {"Governing objects", govern_commands},
    {"Bringing keys in and out", import_commands},
    {"Backups", backup_commands},
    {"Versions of keys", key_commands},
    {"The record of it all", audit_commands},
    {"The store", store_commands},
    {"Asking the record", log_commands},
    {"Watching the record", watch_commands},
};

/* ------------------------------------------------------------------ for commands */

const char *run_option(const struct run *run, enum option_key option)
{
    return run->option[option - OPT_FIRST];
}

enum outcome run_usage(struct run *run, const char *format, ...)
{
    char reason[400];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    failure_set(&run->client.failure, OUTCOME_USAGE, "USAGE", "%s", reason);
    if (run->command != NULL)
        failure_hint(&run->client.failure, "see: reprieve %s --help", run->command->name);
    else
        failure_hint(&run->client.failure, "see: reprieve --help");
    return OUTCOME_USAGE;
}

enum outcome run_number(struct run *run, enum option_key option, unsigned long otherwise,
                        unsigned long *ret_number)
{
    const char *text = run_option(run, option);
    char *end = NULL;

    if (text == NULL) {
        *ret_number = otherwise;
        return OUTCOME_OK;
    }
    *ret_number = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || text[0] == '-')
        return run_usage(run, "\"%s\" is not a whole number", text);
    return OUTCOME_OK;
}

enum outcome run_time_ahead(struct run *run, enum option_key option, const char *name,
                            long long *ret_time)
{
    struct RPV_STORE_INFO info = {0};
    enum outcome outcome = client_check(&run->client, "RPV_GetStoreInfo",
                                        run->client.rpv->RPV_GetStoreInfo(&info));

    if (outcome != OUTCOME_OK ||
        when_parse_ahead(run_option(run, option), (long long)info.now, ret_time))
        return outcome;
    return run_usage(run, "--%s takes a time such as 2026-12-31T12:00:00Z, a day, or 30d from now "
                     "on", name);
}

enum outcome run_confirm(struct run *run, const char *question)
{
    char answer[16] = "";

    if (run_option(run, OPT_YES) != NULL || !pin_terminal())
        return OUTCOME_OK;
    fprintf(stderr, "%s [y/N] ", question);
    if (fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y'))
        return OUTCOME_OK;
    return failure_set(&run->client.failure, OUTCOME_FAILED, "CANCELLED", "nothing was done");
}

/* ------------------------------------------------------------------ arguments */

static const struct argp_option global_options[] = {
    {NULL, 0, NULL, 0, "For every command:", 1},
    {"vault", OPT_VAULT, "VAULT", 0, "The vault: its label, serial number or slot. Not needed "
     "when there is only one", 1},
    {"store", OPT_STORE, "PATH", 0, "The store's directory, instead of what reprieve.conf says",
     1},
    {"module", OPT_MODULE, "PATH", 0, "The module, instead of REPRIEVE_MODULE or the installed "
     "one", 1},
    {"pin-file", OPT_PIN_FILE, "FILE", 0, "Read the user's PIN (or that of --user) from FILE; else "
     "from REPRIEVE_PIN, else it is asked for", 1},
    {"so-pin-file", OPT_SO_PIN_FILE, "FILE", 0, "Read the SO PIN from FILE; else from "
     "REPRIEVE_SO_PIN, else it is asked for", 1},
    {"json", OPT_JSON, NULL, 0, "One JSON document on standard output; errors as JSON on "
     "standard error", 1},
    OPTION_END,
};

static const struct argp_option login_options[] = {
    {"user", OPT_USER, "NAME", 0, "Act as this named user, by the verbs it has", 2},
    {"so", OPT_SO, NULL, 0, "Act as security officer (SO)", 2},
    OPTION_END,
};

#define EXIT_CODES                                                                                 \
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found or ambiguous, 4 refused by policy " \
    "(protected, held), 5 login failed, 6 noted and waiting for the approval of others."

static error_t option_store(struct run *run, int key, char *arg)
{
    if (key < OPT_FIRST || key >= OPT_END)
        return ARGP_ERR_UNKNOWN;
    run->option[key - OPT_FIRST] = arg != NULL ? arg : "";
    run->json = run->json || key == OPT_JSON;
    if (key == OPT_SET && !(run->too_many = run->too_many || run->n_sets == SETS_MAX))
        run->sets[run->n_sets++] = arg;
    if ((key == OPT_TO || key == OPT_KEY) &&
        !(run->too_many = run->too_many || run->n_keys == KEYS_MAX))
        run->keys[run->n_keys++] = arg;
    return 0;
}

static error_t parse_global(int key, char *arg, struct argp_state *state)
{
    return option_store(state->input, key, arg);
}

static const struct argp global_argp = {.options = global_options, .parser = parse_global};
static const struct argp login_argp = {.options = login_options, .parser = parse_global};
/* The second one is for commands that log in, and for what stands before the command. */
static const struct argp_child children[] = {
    {&global_argp, 0, NULL, 1}, {&login_argp, 0, NULL, 2}, {NULL, 0, NULL, 0}};
static const struct argp_child children_public[] = {{&global_argp, 0, NULL, 1}, {NULL, 0, NULL, 0}};

/* The first word that is no option ends this parse: the command has its own. */
static error_t parse_front(int key, char *arg, struct argp_state *state)
{
    struct run *run = state->input;

    if (key == ARGP_KEY_INIT)
        state->child_inputs[0] = state->child_inputs[1] = run;
    if (key == ARGP_KEY_ARG) {
        run->args = state->argv + state->next - 1;
        run->n_args = (size_t)(state->argc - state->next + 1);
        state->next = state->argc;
        return 0;
    }
    (void)arg;
    return key == ARGP_KEY_INIT ? 0 : ARGP_ERR_UNKNOWN;
}

static bool command_logs_in(const struct command *command)
{
    return (command->needs & (NEED_LOGIN | NEED_OFFICER | MAY_LOGIN)) != 0;
}

static error_t parse_command(int key, char *arg, struct argp_state *state)
{
    struct run *run = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = run;
        if (command_logs_in(run->command))
            state->child_inputs[1] = run;
        return 0;
    case ARGP_KEY_ARG:
        run->args[run->n_args++] = arg;
        return 0;
    default:
        return option_store(run, key, arg);
    }
}

static void list_group(FILE *stream, size_t group, const char *first_word)
{
    size_t len = first_word == NULL ? 0 : strlen(first_word);

    for (const struct command *c = groups[group].commands; c->name != NULL; c++) {
        char line[128];

        if (len > 0 && (strncmp(c->name, first_word, len) != 0 || strchr(" ", c->name[len]) == NULL))
            continue;
        snprintf(line, sizeof(line), "%s%s%s", c->name, c->args[0] != '\0' ? " " : "", c->args);
        fprintf(stream, "  %-30s %s\n", line, c->summary);
    }
}

/* The list of commands, in place of the text after the options. */
static char *front_help(int key, const char *text, void *input)
{
    char *help = NULL;
    size_t size = 0;
    FILE *stream = NULL;

    (void)input;
    if (key != ARGP_KEY_HELP_PRE_DOC)
        return (char *)(uintptr_t)text;
    stream = open_memstream(&help, &size);
    if (stream == NULL)
        return (char *)(uintptr_t)text;
    fprintf(stream, "%s\n", text);
    for (size_t g = 0; g < COUNT_OF(groups); g++) {
        fprintf(stream, "\n%s:\n", groups[g].heading);
        list_group(stream, g, NULL);
    }
    fclose(stream);
    return help;
}

static size_t word_count(const char *name)
{
    return strchr(name, ' ') != NULL ? 2 : 1;
}

static bool command_is(const struct command *command, char **args, size_t n)
{
    char words[64];

    if (n < word_count(command->name))
        return false;
    if (word_count(command->name) == 1)
        return strcmp(command->name, args[0]) == 0;
    snprintf(words, sizeof(words), "%s %s", args[0], args[1]);
    return strcmp(command->name, words) == 0;
}

/* The longest name that fits: "audit verify" before "audit". */
static const struct command *command_find(char **args, size_t n)
{
    const struct command *found = NULL;

    for (size_t g = 0; g < COUNT_OF(groups); g++)
        for (const struct command *c = groups[g].commands; c->name != NULL; c++)
            if (command_is(c, args, n) &&
                (found == NULL || word_count(c->name) > word_count(found->name)))
                found = c;
    return found;
}

/* A word that only begins commands, such as "vault": shows them. */
static enum outcome command_unknown(struct run *run)
{
    bool help = run->n_args > 1 && strcmp(run->args[1], "--help") == 0;
    bool begins = false;

    for (size_t g = 0; g < COUNT_OF(groups); g++)
        for (const struct command *c = groups[g].commands; c->name != NULL; c++)
            begins = begins || (strncmp(c->name, run->args[0], strlen(run->args[0])) == 0 &&
                                c->name[strlen(run->args[0])] == ' ');
    if (!begins)
        return run_usage(run, "there is no command \"%s\"", run->args[0]);
    if (!run->json)
        for (size_t g = 0; g < COUNT_OF(groups); g++)
            list_group(help ? stdout : stderr, g, run->args[0]);
    return help ? OUTCOME_OK : run_usage(run, "\"%s\" needs one more word", run->args[0]);
}

/* With --json argp must not print or end the process itself, unless help is asked for. */
static unsigned parse_flags(int argc, char **argv)
{
    bool json = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--usage") == 0 ||
            strcmp(argv[i], "-?") == 0 || strcmp(argv[i], "--version") == 0)
            return 0;
        json = json || strcmp(argv[i], "--json") == 0;
    }
    return json ? ARGP_NO_EXIT | ARGP_NO_ERRS : 0;
}

/* What argp does not see to. */
static enum outcome parse_check(struct run *run)
{
    const struct command *command = run->command;
    bool so = run_option(run, OPT_SO) != NULL, user = run_option(run, OPT_USER) != NULL;

    if (run->n_args < command->min_args)
        return run_usage(run, "%s is missing", command->args);
    if (run->n_args > command->max_args)
        return run_usage(run, "\"%s\" is one word too many", run->args[command->max_args]);
    if (run->too_many)
        return run_usage(run, "one option is given too often");
    if (so && user)
        return run_usage(run, "--so and --user are two, and one can act");
    if (user && !command_logs_in(command))
        return run_usage(run, "\"%s\" has no use for --user", command->name);
    return OUTCOME_OK;
}

static enum outcome parse_rest(struct run *run, unsigned flags)
{
    const struct command *command = run->command;
    size_t words = word_count(command->name);
    int argc = (int)(run->n_args - words + 1);
    char **argv = run->args + words - 1;
    char name[64];
    char doc[2048];
    struct argp argp = {.options = command->options, .parser = parse_command,
                        .args_doc = command->args, .doc = doc,
                        .children = command_logs_in(command) ? children : children_public};

    snprintf(name, sizeof(name), "reprieve %s", command->name);
    snprintf(doc, sizeof(doc), "%s.%s%s\v%s", command->summary, command->doc[0] != '\0' ? "\n" : "",
             command->doc, EXIT_CODES);
    argv[0] = name;
    run->args = calloc((size_t)argc + 1, sizeof(*run->args));
    run->n_args = 0;
    if (run->args == NULL || argp_parse(&argp, argc, argv, flags, NULL, run) != 0)
        return run_usage(run, "these arguments are not understood");
    return parse_check(run);
}

static enum outcome parse(struct run *run, int argc, char **argv)
{
    static const struct argp front = {
        .parser = parse_front,
        .args_doc = "COMMAND [ARGUMENT...]",
        .doc = "Sees to vaults whose deletes can be taken back. Each command explains itself: "
               "reprieve COMMAND --help.\v"
               "PINs never belong on a command line. " EXIT_CODES,
        .children = children,
        .help_filter = front_help,
    };
    unsigned flags = parse_flags(argc, argv);

    argp_err_exit_status = OUTCOME_USAGE;
    run->json = (flags & ARGP_NO_ERRS) != 0;
    if (argp_parse(&front, argc, argv, flags | ARGP_IN_ORDER, NULL, run) != 0)
        return run_usage(run, "these arguments are not understood");
    if (run->n_args == 0)
        return run_usage(run, "say what to do");
    run->command = command_find(run->args, run->n_args);
    if (run->command == NULL)
        return command_unknown(run);
    return parse_rest(run, flags);
}

/* ------------------------------------------------------------------ running */

enum outcome run_login(struct run *run, enum client_role otherwise, bool read_write)
{
    run->client.user = run_option(run, OPT_USER);
    return client_login(&run->client,
                        run_option(run, OPT_SO) != NULL ? ROLE_SO
                        : run->client.user != NULL      ? ROLE_USER
                                                        : otherwise, read_write);
}

enum outcome run_login_if_told(struct run *run)
{
    enum outcome outcome = OUTCOME_OK;

    if (run_option(run, OPT_SO) == NULL && run_option(run, OPT_USER) == NULL)
        return OUTCOME_OK;
    outcome = client_choose_vault(&run->client);
    return outcome == OUTCOME_OK ? run_login(run, ROLE_USER, false) : outcome;
}

static enum outcome prepare(struct run *run)
{
    struct client *client = &run->client;
    unsigned needs = run->command->needs;
    enum outcome outcome = OUTCOME_OK;

    client->module_path = run_option(run, OPT_MODULE);
    client->store = run_option(run, OPT_STORE);
    client->vault = run_option(run, OPT_VAULT);
    client->pin_file = run_option(run, OPT_PIN_FILE);
    client->so_pin_file = run_option(run, OPT_SO_PIN_FILE);
    outcome = client_open(client);
    if (outcome == OUTCOME_OK && (needs & NEED_VENDOR) != 0)
        outcome = client_need_vendor(client);
    if (outcome == OUTCOME_OK && (needs & NEED_VAULT) != 0)
        outcome = client_choose_vault(client);
    if (outcome == OUTCOME_OK && (needs & NEED_SO) != 0)
        return client_login(client, ROLE_SO, (needs & NEED_WRITE) != 0);
    if (outcome == OUTCOME_OK && (needs & (NEED_LOGIN | NEED_OFFICER)) != 0)
        return run_login(run, (needs & NEED_OFFICER) != 0 ? ROLE_SO : ROLE_USER,
                         (needs & NEED_WRITE) != 0);
    return outcome;
}

int main(int argc, char **argv)
{
    struct run run = {0};
    enum outcome outcome = parse(&run, argc, argv);

    if (outcome == OUTCOME_OK && run.command != NULL)
        outcome = prepare(&run);
    if (outcome == OUTCOME_OK && run.command != NULL)
        outcome = run.command->run(&run);
    if (outcome == OUTCOME_OK && (fflush(stdout) != 0 || ferror(stdout)))
        outcome = failure_set(&run.client.failure, OUTCOME_FAILED, "OUTPUT",
                              "cannot write to standard output");
    if (outcome != OUTCOME_OK)
        failure_print(&run.client.failure, run.json);
    client_done(&run.client);
    if (run.command != NULL)
        free(run.args);
    return (int)outcome;
}
