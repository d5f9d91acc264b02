/* The configuration: both readers, every key, every way to be wrong, and which source wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "module/config.h"
#include "module/trace.h"

static char dir[64], path[128];

static void file_write(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/reprieve-config.XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/conf", dir);
    setenv("HOME", dir, 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("XDG_DATA_HOME");
    setenv("REPRIEVE_CONF", path, 1);
    trace_clear();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

static void every_key(void **state)
{
    (void)state;
    struct config config;
    file_write("# a comment\nstore = /a/store\nhost_key=/a/key\ntrace = /a/trace\n"
               "spare_slot = always\nmap_size = 1048576\nretention_days = 7\n"
               "purge_protection = no\nprofile = strict\npin_tries = 100\nscrypt_log_n = 22\n"
               "min_rsa_bits = 16384\n");
    assert_int_equal(config_load(NULL, &config), CKR_OK);
    assert_string_equal(config.store, "/a/store");
    assert_string_equal(config.host_key, "/a/key");
    assert_string_equal(config.trace, "/a/trace");
    assert_true(config.spare_always);
    assert_int_equal(config.map_size, 1048576);
    assert_int_equal(config.defaults.retention_days, 7);
    assert_false(config.defaults.purge_protection);
    assert_int_equal(config.defaults.profile, VS_PROFILE_STRICT);
    assert_int_equal(config.defaults.pin_tries, 100);
    assert_int_equal(config.defaults.scrypt_log_n, 22);
    assert_int_equal(config.defaults.min_rsa_bits, 16384);
}

static void defaults(void **state)
{
    (void)state;
    struct config config;
    file_write("\n");
    assert_int_equal(config_load(NULL, &config), CKR_OK);
    assert_false(config.spare_always);
    assert_int_equal(config.defaults.retention_days, 90);
    assert_true(config.defaults.purge_protection);
    assert_int_equal(config.defaults.profile, VS_PROFILE_ORDINARY);
    if (geteuid() == 0)
        assert_string_equal(config.store, "/var/lib/reprieve");
    else
        assert_non_null(strstr(config.store, "/.local/share/reprieve"));
}

static void retention_has_a_limit(void **state)
{
    (void)state;
    struct config config;
    assert_int_equal(config_load("store=/x retention_days=91", &config), CKR_ARGUMENTS_BAD);
    assert_int_equal(config_load("store=/x retention_days=400 retention_max_days=400", &config),
                     CKR_OK);
    assert_int_equal(config.defaults.retention_days, 400);
    assert_int_equal(config.retention_max_days, 400);
}

/* Each is refused, and the reason names file, line and what is wanted. */
static void bad_lines(void **state)
{
    (void)state;
    static const struct { const char *line, *reason; } BAD[] = {
        {"no_such_key = 1", "no_such_key"},
        {"retention_days = 6", "7 to 36500"},
        {"retention_days = 36501", "7 to 36500"},
        {"retention_days = -7", "7 to 36500"},
        {"retention_days = 7 days", "7 to 36500"},
        {"retention_days =", "7 to 36500"},
        {"pin_tries = 18446744073709551617", "3 to 100"},
        {"purge_protection = maybe", "no or yes"},
        {"profile = lax", "ordinary or strict"},
        {"spare_slot = yes", "auto or always"},
        {"store = relative/path", "absolute"},
        {"[section]\nstore = /x", "no sections"},
        {"store", "KEY = VALUE"},
    };
    struct config config;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        char text[200];
        snprintf(text, sizeof(text), "pin_tries = 5\n%s\n", BAD[i].line);
        file_write(text);
        trace_clear();
        assert_int_equal(config_load(NULL, &config), CKR_GENERAL_ERROR);
        if (!strstr(trace_reason(), BAD[i].reason) || !strstr(trace_reason(), path))
            fail_msg("%s: %s", BAD[i].line, trace_reason());
        if (!strstr(BAD[i].line, "section") && !strstr(trace_reason(), ":2:"))
            fail_msg("no line: %s", trace_reason());
    }
}

static void reserved_string(void **state)
{
    (void)state;
    struct config config;
    file_write("store = /from/file\npin_tries = 50\n");
    assert_int_equal(config_load("store=/from/string, retention_days=30", &config), CKR_OK);
    assert_string_equal(config.store, "/from/string");
    assert_int_equal(config.defaults.retention_days, 30);
    assert_int_equal(config.defaults.pin_tries, 10);     /* the file is not read at all */
    assert_int_equal(config_load("configdir='/home/x'", &config), CKR_ARGUMENTS_BAD);
    assert_int_equal(config_load("store", &config), CKR_ARGUMENTS_BAD);
    char longest[9000];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    assert_int_equal(config_load(longest, &config), CKR_ARGUMENTS_BAD);
}

static void untouched_on_failure(void **state)
{
    (void)state;
    struct config config = {.map_size = 77};
    file_write("store = /x\nbad\n");
    assert_int_equal(config_load(NULL, &config), CKR_GENERAL_ERROR);
    assert_int_equal(config.map_size, 77);
    assert_string_equal(config.store, "");
}

static void users_file(void **state)
{
    (void)state;
    struct config config;
    char sub[96];
    unsetenv("REPRIEVE_CONF");
    snprintf(sub, sizeof(sub), "%s/reprieve", dir);
    assert_int_equal(mkdir(sub, 0700), 0);
    snprintf(path, sizeof(path), "%s/reprieve/reprieve.conf", dir);
    file_write("store = /from/xdg\n");
    setenv("XDG_CONFIG_HOME", dir, 1);
    assert_int_equal(config_load(NULL, &config), CKR_OK);
    assert_string_equal(config.store, "/from/xdg");
    setenv("REPRIEVE_CONF", "/no/such/file", 1);
    assert_int_equal(config_load(NULL, &config), CKR_GENERAL_ERROR);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(every_key),       CASE(defaults),             CASE(bad_lines),
        CASE(retention_has_a_limit),
        CASE(reserved_string), CASE(untouched_on_failure), CASE(users_file),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
