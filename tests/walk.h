/*
 * walk.h: between the parts of e2e_model: walk_choose.c chooses a step, walk_step.c does it and asks
 * the model and the promise, walk_calls.c has the calls of the module for each, walk_machine.c is the
 * machine they are done on (processes, clocks, older files), walk_world.c looks at what there is,
 * walk_places.c knows which object is which of the model; e2e_model.c walks.
 */
#ifndef WALK_H
#define WALK_H
#include <string.h>

#include "model.h"
#include "promise.h"
#include "test_clock.h"

#define HOUR 3600
#define DAY 86400
#define NAMES 4u
#define STEPS_MAX 5000u          /* on one store */

struct script_step {
    struct model_step step;
    uint8_t actor;
    uint32_t kill_after;         /* microseconds; 0: the step is survived */
};

/* Which real object, generation, file is which of the model. */
struct binding {
    CK_ULONG numbers[MODEL_GENERATIONS];
    unsigned births[MODEL_GENERATIONS];  /* which one it is; numbers an older copy gives again */
    unsigned last_birth;
    unsigned serials[MODEL_GENERATIONS][MODEL_OBJECTS];
    char ids[MODEL_GENERATIONS][MODEL_OBJECTS][33];      /* CKA_UNIQUE_ID */
    CK_BYTE blocks[MODEL_GENERATIONS][MODEL_OBJECTS][16];/* what the key makes of a text */
};

/* Two processes act: the one that walks, and its partner. */
struct actor { uint8_t role; bool voided; };
enum { SELF, PARTNER, ACTORS };

/* What outlives a killed process. */
struct world {
    struct harness h;
    struct model_limits limits;
    struct model model, after;   /* after: of the step in flight */
    struct model_fates seen;     /* in the module, after the last step */
    struct model_step step;
    enum model_result expected;
    bool in_flight, protects;
    struct actor actors[ACTORS];
    uint8_t actor;               /* whose step it is */
    CK_RV partner_rv;
    struct binding now, copy;
    unsigned backup_serials[MODEL_BACKUPS][MODEL_OBJECTS];
    char backup_ids[MODEL_BACKUPS][MODEL_OBJECTS][33];
    unsigned backup_births[MODEL_BACKUPS], backup_files[MODEL_BACKUPS];
    unsigned next_file, file_before, next_serial, next_birth;
    CK_SLOT_ID tick_slot;        /* another vault of the store */
    CK_OBJECT_HANDLE tick_object;
    unsigned ticks;
    int64_t base;                /* the vault clock at the model's start */
    int32_t boot_now, boot_gone; /* the clock when this boot was first seen; what went by since */
    int64_t wall_gain;           /* all that the wall clock ever went forward */
    uint8_t copy_boot;
    int32_t copy_now, copy_strict;
    uint64_t random;
    unsigned steps, wanted, crashes, looks;
    unsigned counts[OP_COUNT], done[OP_COUNT], refused[OP_COUNT], results[RESULT_COUNT];
    unsigned by_partner, voids;
    struct script_step script[STEPS_MAX];
    unsigned script_len;         /* replayed: so many of them; else recorded */
    bool replaying, quiet;
    uint8_t failed;              /* in which op */
};

extern struct world *w;
extern struct test_clock *test_clock;
extern CK_SESSION_HANDLE session;
extern const struct RPV_FUNCTION_LIST *vendor;
extern const char *const user_names[MODEL_USERS];

/* What to do, how often, by whom, and what the code of a refusal is. */
struct row {
    unsigned weight;
    bool on_object, by_so, by_user, by_partner;
    CK_RV (*run)(void);
    CK_RV refused[RESULT_COUNT];
};

unsigned random_below(unsigned n);
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fail_step(const char *why, const char *got, const char *wanted) __attribute__((noreturn));

/* walk_calls.c */
extern const struct row rows[OP_COUNT];
unsigned verbs_random(void);
CK_ULONG rpv_verbs(unsigned of);          /* of the model's */

/* walk_world.c */
struct model_generation *live_model(void);
CK_OBJECT_HANDLE find(unsigned object, bool deleted);
const char *object_differs(const struct model *m, unsigned object);
/* NULL: what the module shows is what the model says. */
const char *world_differs(const struct model *m);
void world_check(void);
/* Everything there is, to keep the promise by: sets seen. */
void world_look(const struct model *m, struct model_fates *ret_seen);
/* The id of an object that no binding knows. */
bool stranger_find(char ret_id[33]);
void check_use(unsigned object);
/* Nothing can be done with the login. */
void check_void(void);
void generation_learn(void);
void version_learn(unsigned former, unsigned next);
void id_of(CK_OBJECT_HANDLE handle, char ret_id[33]);

/* walk_machine.c */
void module_open(void);
void session_open(void);
void login_as(unsigned role);
unsigned role_random(void);
void role_change(unsigned role);
void clock_check(void);
void strict_check(void);
int32_t vault_now(void);
void clock_make(void);
void tick_make(void);
CK_RV run_step(void);            /* by whose turn it is; does not return when that one is killed */
bool partner_is(void);
void partner_start(unsigned role);
void partner_stop(void);
void partner_voided(void);       /* the generation it is logged in to is no more the live one */
void partner_check_void(void);
CK_RV do_pass(void);
CK_RV do_wall(void);
CK_RV do_boot(void);
CK_RV do_copy(void);
CK_RV do_rollback(void);
CK_RV do_accept(void);
void file_path(const char *name, unsigned number, char ret_path[320]);

/* walk_choose.c */
void choose(struct script_step *s);
/* No call asks for it, for there is no handle to ask with; or it outgrows the model. */
bool is_moot(const struct script_step *s);
/* One of the many that are refused. */
bool is_boring(const struct script_step *s);

/* walk_places.c */
void recycle(void);
void backups_rebind(void);
void restored_bind(unsigned backup);

/* walk_step.c */
void step_do(const struct script_step *s);
void settle_crash(void);
void crash_prepare(void);
void crash_over(void);           /* what follows is the test's own, and is finished */

/* e2e_model.c */
void step_text(const struct script_step *s, char *ret_text, size_t size);
#endif
