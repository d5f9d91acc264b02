/*
 * model.h: the lifecycle as issue and design say it, without a store, a key or a module: one vault
 * with its generations and their objects, a policy, a clock. Pure: a step is a function of the
 * state. unit_model.c explores it to a depth; e2e_model.c asks it what the module must answer.
 *
 * The rules that keep the promise are switches, so that a test can take one away and see that the
 * promise falls. The promise itself (model_broken) does not look at what the rules compute: it
 * keeps its own account (owed, owed_protection, true_now) of what has been promised to whom.
 *
 * Times are seconds since the model's start.
 */
#ifndef MODEL_H
#define MODEL_H
#include <stdbool.h>
#include <stdint.h>

/* A smaller world makes smaller states. */
#ifndef MODEL_GENERATIONS
#define MODEL_GENERATIONS 4
#define MODEL_OBJECTS 6
#endif
#define MODEL_FROM_START INT32_MIN

enum model_state { MODEL_NONE, MODEL_ACTIVE, MODEL_DISABLED, MODEL_DELETED, MODEL_PURGED };
enum model_role { MODEL_USER, MODEL_SO };

struct model_object {
    uint8_t state, prior;        /* enum model_state */
    bool hold;
    uint8_t lock;                /* 0 none, 1 no delete */
    bool pending;                /* purged, its key slot not overwritten yet */
    bool owed_hold;
    uint8_t unused[2];           /* no padding: states are compared as bytes */
    int32_t purge_at;
    int32_t owed;                /* deleted: not to be lost before */
};

struct model_policy {
    int32_t retention;           /* seconds */
    int32_t protected_since;     /* or MODEL_FROM_START; 0 without protection */
    bool protection, recover_to_disabled, disable_before_delete;
    uint8_t unused;
};

struct model_generation {
    uint8_t state;               /* MODEL_NONE, ACTIVE (live), DELETED, PURGED */
    bool hold, owed_hold;
    bool owed_protection;        /* switched on and past the time to think better of it */
    int32_t purge_at;
    int32_t owed;
    struct model_policy policy;
    struct model_object objects[MODEL_OBJECTS];
};

struct model {
    int32_t now;                 /* the vault clock */
    int32_t true_now;            /* what the promise counts as gone by */
    bool down;                   /* crashed: the next opening finishes what was begun */
    uint8_t live;                /* generation */
    uint8_t unused[2];
    struct model_generation generations[MODEL_GENERATIONS];
};

/* What differs between the world to explore and the real one. */
struct model_limits {
    unsigned generations, objects;
    int32_t cooling_off;         /* after protection is switched on, it can be switched off */
};

enum model_op {
    OP_CREATE, OP_DELETE, OP_RECOVER, OP_PURGE, OP_POSTPONE, OP_DISABLE, OP_ENABLE,
    OP_HOLD, OP_RELEASE, OP_LOCK, OP_UNLOCK,
    OP_RETENTION, OP_PROTECT, OP_UNPROTECT, OP_RECOVER_TO, OP_DISABLE_FIRST,
    OP_INIT, OP_GENERATION_RECOVER, OP_GENERATION_PURGE, OP_GENERATION_HOLD,
    OP_GENERATION_RELEASE, OP_SWEEP,
    OP_PASS,                     /* value seconds go by, on every clock */
    OP_WALL,                     /* the wall clock is set by value seconds, either way */
    OP_BOOT,                     /* a new boot; the wall clock shows value seconds later */
    OP_CRASH,                    /* value 1: in the middle of a purge of the object */
    OP_OPEN,
    OP_COUNT
};

struct model_step {
    enum model_op op;
    enum model_role role;
    uint8_t generation, object;
    int32_t value;
};

enum model_result {
    RESULT_OK, RESULT_GONE, RESULT_STATE, RESULT_RETAINED, RESULT_HELD, RESULT_LOCKED,
    RESULT_DENIED, RESULT_POLICY
};

/* Each keeps part of the promise. */
enum model_rule {
    RULE_PROTECTION = 1 << 0,    /* no purge before the date under protection */
    RULE_RIGHT = 1 << 1,         /* an early purge asks for the right */
    RULE_HOLD = 1 << 2,          /* no purge under a hold */
    RULE_HOLD_INSIDE = 1 << 3,   /* nor of a generation with a held object in it */
    RULE_DATE_FIXED = 1 << 4,    /* a policy edit moves no purge date */
    RULE_ONLY_LATER = 1 << 5,    /* a purge date moves later only */
    RULE_LAST_DATE = 1 << 6,     /* a generation stays until its objects' dates */
    RULE_ONE_WAY = 1 << 7,       /* protection stays on */
    RULE_SURVIVES_INIT = 1 << 8, /* and survives C_InitToken */
    RULE_INIT_SOFT = 1 << 9,     /* C_InitToken is a soft delete */
    RULE_BOOT_CLOCK = 1 << 10,   /* within a boot the wall clock moves nothing */
    RULE_NEVER_BACK = 1 << 11,   /* the vault clock does not go back */
    RULE_FINAL = 1 << 12,        /* what is purged, or due, is not recovered */
    RULE_REPLAY = 1 << 13,       /* what a crash left of a purge is finished at the next opening */
    RULES_ALL = (1 << 14) - 1
};

void model_init(struct model *model, const struct model_policy *policy);
/* Does the step, or refuses it and changes nothing. */
enum model_result model_apply(struct model *model, const struct model_limits *limits,
                              unsigned rules, const struct model_step *step);
/* What of the promise the step has broken, in words; NULL: nothing. */
const char *model_broken(const struct model *before, const struct model_step *step,
                         const struct model *after);

/* Can it still be had, be it live, deleted, or within a deleted generation? */
bool model_recoverable(const struct model *model, unsigned generation, unsigned object);
/* Is a deleted object, or generation, past its date? */
bool model_object_due(const struct model *model, const struct model_generation *generation,
                      const struct model_object *object);
bool model_generation_due(const struct model *model, const struct model_generation *generation,
                          unsigned rules);

const char *model_op_name(enum model_op op);
const char *model_result_name(enum model_result result);
const char *model_rule_name(enum model_rule rule);
#endif
