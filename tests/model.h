/*
 * model.h: the lifecycle as issue and design say it, without a store, a key or a module: one vault
 * with its generations, their objects and users, a policy, the clocks, backups, and an older copy
 * of the store's files. Pure: a step is a function of the state. unit_model.c explores it to a
 * depth; e2e_model.c asks it what the module must answer.
 *
 * The rules that keep the promise are switches, so that a test can take one away and see that the
 * promise falls. The promise itself (model_promise) does not look at what the rules compute: it
 * keeps its own account (owed..., asked, true_now, uptime) of what has been promised to whom, and
 * is asked about what is there, by the model or as it was seen in the module.
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
#define MODEL_USERS 3
#define MODEL_BACKUPS 2
#endif
#define MODEL_FROM_START INT32_MIN
#define MODEL_NEVER INT32_MIN

enum model_state { MODEL_NONE, MODEL_ACTIVE, MODEL_DISABLED, MODEL_DELETED, MODEL_PURGED };
/* Who acts: the user, the SO, or the named principal MODEL_NAMED + i. */
enum { MODEL_USER, MODEL_SO, MODEL_NAMED, MODEL_ROLES = MODEL_NAMED + MODEL_USERS };

enum model_verb {
    VERB_CREATE = 1 << 0, VERB_UPDATE = 1 << 1, VERB_DELETE = 1 << 2, VERB_RECOVER = 1 << 3,
    VERB_BACKUP = 1 << 4, VERB_RESTORE = 1 << 5, VERB_PURGE = 1 << 6, VERB_HOLD = 1 << 7,
    VERB_LOCK = 1 << 8, VERB_POLICY = 1 << 9, VERB_ROTATE = 1 << 10,
    VERBS_ALL = (1 << 11) - 1,
    VERBS_OF_USER = VERB_CREATE | VERB_UPDATE | VERB_DELETE | VERB_RECOVER | VERB_BACKUP |
                    VERB_RESTORE | VERB_ROTATE,
    VERBS_OF_SO = VERB_RECOVER | VERB_PURGE | VERB_HOLD | VERB_LOCK | VERB_POLICY,
    USER_THERE = 1 << 15,        /* not a verb: there is such a user */
};

/* No structure has padding: states are compared as bytes. */
struct model_object {
    uint8_t state, prior;        /* enum model_state */
    uint8_t lock;                /* 0 none, 1 no delete, 2 read only */
    bool hold, owed_hold;
    bool pending;                /* purged, its key slot not overwritten yet */
    uint8_t name;                /* its label; another may have the same */
    uint8_t successor;           /* the object that is its next version, and 1; 0: none */
    uint8_t version;             /* of the key */
    uint8_t asks;                /* where the rule is off: how often a purge was asked for */
    uint8_t unused[2];
    int32_t purge_at;
    int32_t deleted_at, deleted_up;      /* when, on the vault clock and on the strict one */
    int32_t owed, owed_up;       /* deleted: not to be lost before, by time and by uptime */
    int32_t approved[MODEL_ROLES];       /* when each principal asked for the purge, or never */
    int32_t asked[MODEL_ROLES];  /* the promise's own account of the same */
};

struct model_policy {
    int32_t retention;           /* seconds */
    int32_t protected_since;     /* or MODEL_FROM_START; 0 without protection */
    int32_t window;              /* in which the approvals of a purge count */
    uint8_t approvals;           /* of so many principals; 0, 1: none is needed */
    bool protection, recover_to_disabled, disable_before_delete;
    bool strict, reserve_names;
    uint8_t unused[2];
};

struct model_generation {
    uint8_t state;               /* MODEL_NONE, ACTIVE (live), DELETED, PURGED */
    uint8_t lock;
    bool hold, owed_hold;
    bool owed_protection;        /* switched on and past the time to think better of it */
    uint8_t removed;             /* users, by bits, that were removed at some time */
    uint8_t since_copy;          /* users, by bits, that came or went since the older copy was made;
                                  * KEY_ROTATED: one of them went, and the vault key with it */
    uint8_t unused_too;
    uint16_t users[MODEL_USERS]; /* verbs and USER_THERE */
#if MODEL_USERS % 2 == 0
    uint16_t unused;
#endif
    int32_t purge_at;
    int32_t deleted_at, deleted_up;
    int32_t owed, owed_up;
    struct model_policy policy;
    struct model_object objects[MODEL_OBJECTS];
};

/* An object as a backup has it. */
struct model_item {
    uint8_t state, prior;        /* MODEL_NONE: not in it; MODEL_PURGED: purged since, for good */
    uint8_t lock;
    bool hold;
    uint8_t name, successor, version, unused;
    int32_t purge_at, deleted_at;
};

#define KEY_ROTATED 0x80u

struct model_backup {
    bool made, outside;          /* sealed to a public key outside, else to the vault's own */
    uint8_t generation;
    uint8_t since_copy;          /* of the generation, when it was made */
    uint8_t closed;              /* KEY_ROTATED: this store does not know the key of its day, and
                                  * these users have not the pairs of its day */
    uint8_t closed_to_copy;      /* the same in the older copy, if it is older than that */
    uint8_t unused[2];
    struct model_item items[MODEL_OBJECTS];
};

struct model_store {             /* what lies in the store's files */
    int32_t now;                 /* the vault clock */
    int32_t strict;              /* the strict clock */
    uint8_t live;                /* generation */
    bool there;                  /* of the older copy: it was made */
    uint8_t unused[2];
    struct model_generation generations[MODEL_GENERATIONS];
};

struct model {
    int32_t true_now, uptime;    /* what the promise counts as gone by */
    bool down;                   /* crashed: the next opening finishes what was begun */
    bool rolled_back;            /* an older copy was put back, and is not accepted yet */
    uint8_t unused[2];
    struct model_store store, copy;
    struct model_backup backups[MODEL_BACKUPS];
};

/* What differs between the world to explore and the real one. */
struct model_limits {
    unsigned generations, objects;
    int32_t cooling_off;         /* after protection is switched on, it can be switched off */
};

enum model_op {
    OP_CREATE, OP_DELETE, OP_RECOVER, OP_PURGE, OP_POSTPONE, OP_DISABLE, OP_ENABLE,
    OP_HOLD, OP_RELEASE, OP_LOCK, OP_UNLOCK, OP_RENAME, OP_ROTATE,
    OP_RETENTION, OP_PROTECT, OP_UNPROTECT, OP_RECOVER_TO, OP_DISABLE_FIRST,
    OP_STRICT, OP_APPROVALS, OP_RESERVE,
    OP_USER_ADD, OP_USER_REMOVE, OP_USER_VERBS,
    OP_INIT, OP_GENERATION_RECOVER, OP_GENERATION_PURGE, OP_GENERATION_HOLD,
    OP_GENERATION_RELEASE, OP_GENERATION_LOCK, OP_SWEEP,
    OP_BACKUP, OP_BACKUP_ALL, OP_RESTORE, OP_REPLACE,
    OP_COPY, OP_ROLLBACK, OP_ACCEPT,
    OP_PASS,                     /* value seconds go by, on every clock */
    OP_WALL,                     /* the wall clock is set by value seconds, either way */
    OP_BOOT,                     /* a new boot; the wall clock shows value seconds later */
    OP_CRASH,                    /* value 1: in the middle of a purge of the object */
    OP_OPEN,
    OP_COUNT
};

struct model_step {
    uint8_t op, role;            /* enum model_op; who */
    bool stale;                  /* who has logged in before being removed */
    uint8_t generation, object;
    uint8_t other;               /* a user, a backup, or an object to make */
    uint8_t unused[2];
    int32_t value;
};

enum model_result {
    RESULT_OK, RESULT_PENDING,   /* an approval was noted, and is not the last */
    RESULT_GONE, RESULT_STATE, RESULT_RETAINED, RESULT_HELD, RESULT_LOCKED, RESULT_DENIED,
    RESULT_POLICY, RESULT_NAME, RESULT_KEY, RESULT_VOID, RESULT_COUNT
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
    RULE_STRICT = 1 << 14,       /* under the strict clock no boot makes a date come */
    RULE_BEHIND = 1 << 15,       /* a generation waits for what the strict clock is behind */
    RULE_DUE_FIRST = 1 << 16,    /* what is due goes before anything that would keep it */
    RULE_APPROVALS = 1 << 17,    /* an early purge takes as many principals as the policy says */
    RULE_DISTINCT = 1 << 18,     /* who asks twice counts once */
    RULE_WINDOW = 1 << 19,       /* an approval lapses */
    RULE_LAPSES = 1 << 20,       /* and goes with the recovery */
    RULE_WHOLE = 1 << 21,        /* a purge of a generation is no way round the approvals */
    RULE_VOID = 1 << 22,         /* who was removed can do nothing any more */
    RULE_RESTORE_FINAL = 1 << 23,/* a restore does not bring back what was purged */
    RULE_MERGE = 1 << 24,        /* nor take away a hold or a later date */
    RULE_SLOTS = 1 << 25,        /* an older copy does not have the slots of what was purged */
    RULE_VERSIONS = 1 << 26,     /* the next version of a key is another object */
    RULES_ALL = (1 << 27) - 1
};

void model_init(struct model *model, const struct model_policy *policy);
/* Does the step (RESULT_OK, RESULT_PENDING), or refuses it and changes nothing. */
enum model_result model_apply(struct model *model, const struct model_limits *limits,
                              unsigned rules, const struct model_step *step);

/* What has become of each object. */
enum model_fate {
    FATE_NEVER,
    FATE_HAD,                    /* live, or to be recovered */
    FATE_WAITS,                  /* past its date, in a generation that can be recovered: to be lost
                                  * when it is, unless a hold comes first */
    FATE_GONE,
};
struct model_fates { uint8_t of[MODEL_GENERATIONS][MODEL_OBJECTS]; };
void model_fates(const struct model *model, struct model_fates *ret_fates);

/* What of the promise the step has broken, in words; NULL: nothing. The fates may be the model's,
 * or what was seen. */
const char *model_promise(const struct model *before, const struct model_fates *had,
                          const struct model_step *step, const struct model *after,
                          const struct model_fates *has);
/* The same with the model's own, and of its clock. */
const char *model_broken(const struct model *before, const struct model_step *step,
                         const struct model *after);

/* Is a deleted object, or generation, past its date, and nothing keeps it? */
bool model_object_due(const struct model_store *store, const struct model_generation *generation,
                      const struct model_object *object);
bool model_generation_due(const struct model_store *store,
                          const struct model_generation *generation, unsigned rules);
/* By date alone. */
bool model_object_past(const struct model_store *store, const struct model_generation *generation,
                       const struct model_object *object);
bool model_held_inside(const struct model_generation *generation);
unsigned model_verbs(const struct model *model, unsigned role);
struct model_generation *model_live(struct model *model);

const char *model_op_name(unsigned op);
const char *model_result_name(enum model_result result);
const char *model_rule_name(enum model_rule rule);
const char *model_role_name(unsigned role);
#endif
