/*
 * store_fixture.h: a store of its own for every test, with a clock the test sets, cheap PINs, and
 * short forms of what tests say often. For tests of vaultstore/; links libvaultstore.a.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vaultstore/schema.h"

#define DAY 86400
#define SO_PIN "so-pin-1234"
#define USER_PIN "user-pin-1"

struct fixture {
    char dir[64];               /* a temporary directory */
    char path[80];              /* the store in it */
    struct vs_options options;
    struct vs_time_source time;
    int64_t wall, boot;
    uint8_t boot_id[16];
    struct vs_store *store;
    struct vs_login *so, *user;
    char trace[4096];           /* all that was traced, a line each */
};

/* cmocka setups: an open store; the same with vault 0, its user's PIN and both logged in. */
int fixture_store(void **state);
int fixture_vault(void **state);
int fixture_unprotected(void **state);   /* the same, without purge protection */
int fixture_done(void **state);

void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);       /* logs out first */
void fixture_login(struct fixture *f);       /* both, to vault 0 */
void fixture_pass(struct fixture *f, int64_t seconds);   /* both clocks move */

uint32_t vault_make(struct fixture *f, uint32_t vault, const struct vs_policy *policy);
int login_as(struct fixture *f, enum vs_role role, const char *pin, struct vs_login **ret_login);
void login_try(struct fixture *f, enum vs_role role, const char *pin, int expected);

/* An object with label and attributes; index 0: "key", index 1: the label. */
struct vs_id object_make(struct fixture *f, struct vs_login *login, bool is_private,
                         const char *label, const char *attrs);
void object_expect(struct fixture *f, struct vs_login *login, const struct vs_id *id,
                   const char *attrs);
size_t find_label(struct fixture *f, struct vs_login *login, const char *label, bool deleted,
                  struct vs_id *ret_id);
size_t find_all(struct fixture *f, struct vs_login *login, bool deleted);
size_t audit_count(struct fixture *f, const char *operation, int result);
void audit_expect_whole(struct fixture *f);
/* Is the slot of this sequence number overwritten? */
bool slot_wiped(struct fixture *f, const struct vs_id *id);
/* Changes a byte of its record; once more, and it is as it was. */
void record_damage(struct fixture *f, const struct vs_id *id);
void record_damage_at(struct fixture *f, const struct key *key);
/* What a purge does to the slot of one made here, and nothing else of it. */
void slot_wipe(struct fixture *f, const struct vs_id *id);
size_t table_count(struct fixture *f, enum schema_table table);   /* its keys */
/* A record as it lies in the database, taken and put back. */
struct kept { struct key key; uint8_t value[2048]; size_t len; };
void record_keep(struct fixture *f, const struct key *key, struct kept *ret_kept);
void record_put_back(struct fixture *f, const struct kept *kept);
#define assert_ok(status) assert_string_equal(vs_status_name(status), "ok")
#define assert_status(status, expected)                                                            \
    assert_string_equal(vs_status_name(status), vs_status_name(expected))
#endif
