/*
 * policy_rows.h: every switch of a vault's policy as a row: its values, their range, and a probe
 * that tells whether it is off or on. A new switch is a new row in policy_rows.c; e2e_policy.c does
 * with each what is to be done with all.
 */
#ifndef POLICY_ROWS_H
#define POLICY_ROWS_H
#include "promise.h"
#include "test_clock.h"

struct policy_row {
    const char *name;            /* as configuration and command know it */
    size_t offset, size;         /* of the field in struct RPV_POLICY */
    CK_ULONG off, on;
    const char *on_text;         /* as the command and the configuration take it */
    CK_ULONG wrong[2];           /* just below the range and just above; range NULL: none */
    const char *range;
    /* Does what the switch is about; CKR_OK, or with the switch on the refusal. */
    CK_RV (*probe)(bool on);
    CK_RV refusal;               /* CKR_OK: the switch refuses nothing, the probe looks itself */
    const char *reason;          /* words that the reason has */
    const char *conf;            /* further configuration of the store it is tried in */
    bool clock;                  /* with the time source of the test */
};
extern const struct policy_row POLICY_ROWS[];
extern const size_t POLICY_ROWS_COUNT;

/* The store that it is tried in: `user` logged in, in a read-write session. Besides there are the
 * named users clerk (all verbs but policy), keeper (policy alone) and purger (list, purge). */
struct policy_world {
    struct harness h;
    const struct RPV_FUNCTION_LIST *rpv;
    CK_SESSION_HANDLE session;
    char reason[300];            /* of the last call that was told */
    struct test_clock *clock;
};
extern struct policy_world world;

#define PIN(text) (CK_UTF8CHAR *)(uintptr_t)(text), sizeof(text) - 1
void world_start(const char *conf, bool clock);
void world_restart(void);        /* the module once more, with the user logged in */
void world_stop(void);
void time_pass(long long seconds);

void as_nobody(void);
void as_so(void);
void as_user(void);
void as_named(const char *name);
/* Keeps the reason, which the next call would clear. */
CK_RV told(CK_RV rv);
void reason_has(const char *words);

/* A key of a label of its own, which is returned; a deleted one, as who is logged in sees it. */
const char *key_new(void);
CK_OBJECT_HANDLE key_live(const char *label);
CK_OBJECT_HANDLE key_deleted(const char *label);
const char *key_new_deleted(void);
CK_ULONG key_ulong(CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type);
CK_RV key_recover(CK_OBJECT_HANDLE key);

#endif
