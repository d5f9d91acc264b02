/*
 * faults.h: management operations as rows, for tests/e2e_faults.c: what must be there before, who
 * does it, what it does. And the state of the whole store as text, so that two states can be
 * compared line by line.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <string.h>

#include "promise.h"
#include "test_clock.h"

#define FAULTS_TEXT (96u * 1024u)
#define FAULTS_KEYS 3u           /* keys outside, for backups */

struct outside { char public[512], private[1024]; };

/* What the processes of one row share. */
struct faults_world {
    struct harness h;
    struct test_clock *clock;
    struct outside outside[FAULTS_KEYS];
    char so_pin[16], user_pins[2][16];   /* one of the latter is the user's */
};

struct session {
    struct faults_world *w;
    struct harness *h;
    CK_SESSION_HANDLE handle;
    const struct RPV_FUNCTION_LIST *vendor;
    bool again;                  /* it was cut short before, and is to be finished */
};

enum who { NOBODY, USER, SO, ALICE };

/* How a row is out of the ordinary. */
#define OP_STEPS 0x1u            /* several transactions: some lines may be done, others not */
#define OP_COLD 0x2u             /* the module is not loaded yet: that is what it does */
#define OP_SO_PIN 0x4u           /* the SO PIN changes: look at it */
#define OP_TRIES 0x8u            /* the user's tries change: look at them */
#define OP_FILES 0x10u           /* it writes a backup */
#define OP_OLD_COPY 0x20u        /* the store is an older copy, until that is accepted */
#define OP_LATER 0x40u           /* what it does beside may as well be done later */

struct operation {
    const char *name;
    void (*stage)(struct session *s);    /* the user is logged in; NULL: nothing more */
    enum who who;
    CK_RV (*run)(struct session *s);
    unsigned flags;
    CK_RV wanted;                /* what it returns when nothing goes wrong */
};

extern const struct operation FAULTS_OBJECTS[], FAULTS_VAULTS[];
extern const size_t FAULTS_OBJECTS_N, FAULTS_VAULTS_N;

/* ------------------------------------------------------------------ sessions */

void session_load(struct session *s, struct faults_world *w);
/* A read-write session with that login. */
void session_enter(struct session *s, enum who who);
/* Logs in as another in the same session. */
void session_become(struct session *s, enum who who);
void session_leave(struct session *s);
/* Read-write, or read-only where the vault is. */
CK_SESSION_HANDLE session_any(struct session *s);

/* ------------------------------------------------------------------ what rows share */

#define LABEL "subject"          /* of the object that most are about */
#define PIN(text) (CK_UTF8CHAR_PTR)(uintptr_t)(text), strlen(text)
#define DAY 86400
#define MANY 70u                 /* more than one transaction seals anew */
#define SOME 6u

CK_OBJECT_HANDLE find_label(struct session *s, const char *label, bool deleted);
CK_RV op_create(struct session *s);
CK_RV op_delete(struct session *s);
CK_RV op_init(struct session *s);
CK_RV op_user(struct session *s);
CK_RV policy_set(struct session *s, CK_ULONG retention, CK_ULONG approvals, CK_ULONG tries);
CK_RV backup(struct session *s, const char *name, const CK_OBJECT_HANDLE *objects, CK_ULONG n,
             CK_ULONG keys, CK_ULONG threshold);

/* Loads the module, and it opens the store: makes it, or brings it to this format, or does what a
 * crash left. */
CK_RV op_open(struct session *s);

void stage_key(struct session *s);
void stage_gone(struct session *s);
void stage_many_gone(struct session *s);
void stage_alice(struct session *s);
void stage_alice_many(struct session *s);
void stage_full(struct session *s);
void stage_retired(struct session *s);
/* The process as another one. */
void stage_reload(struct session *s, enum who who);
/* Whoever ran it was killed after the transaction, before a slot was overwritten. */
void stage_killed_purge(struct session *s, enum who who, CK_RV (*run)(struct session *s));
/* Whoever ran it was killed when the user was gone, and no object sealed anew yet. */
void stage_killed_removal(struct session *s, CK_RV (*run)(struct session *s));
void keys_make(struct session *s, unsigned n, unsigned deleted);
void clock_forward(struct session *s, int64_t seconds);

/* ------------------------------------------------------------------ the state, as text */

/* Whatever an operation may change, one thing a line, sorted within its kind. A file that claims
 * to be a backup and does not open is in no line. */
void state_text(struct session *s, unsigned flags, char ret_text[FAULTS_TEXT]);
/* What is left when all that can be recovered is, generation by generation: ends the state. */
void state_deep(struct session *s, unsigned flags, char ret_text[FAULTS_TEXT]);
/* Is every line of `text` in a or in b, and every line that both have in it? */
bool state_between(const char *text, const char *a, const char *b, char ret_why[256]);
/* Every purge that is on record is carried out: the slot is overwritten. */
bool state_purged(const char *text, char ret_why[256]);

/* The files of a directory go, then come those of another. */
void dir_copy(const struct faults_world *w, const char *from, const char *to);
unsigned dir_files(const struct faults_world *w, const char *name);
void dir_path(const struct faults_world *w, const char *name, char ret_path[512]);
#endif
