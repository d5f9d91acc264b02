/* See model.h: what is due, who may, and a step. */
#include "model_step.h"

#include <stddef.h>
#include <string.h>

_Static_assert(sizeof(struct model_object) == 12 + 4 * (5 + 2 * MODEL_ROLES), "no padding");
_Static_assert(offsetof(struct model_generation, purge_at) % 4 == 0 &&
               (6 + 2 * (MODEL_USERS + (MODEL_USERS % 2 == 0))) % 4 == 0, "no padding");

void object_init(struct model_object *o)
{
    memset(o, 0, sizeof(*o));
    for (unsigned i = 0; i < MODEL_ROLES; i++)
        o->approved[i] = o->asked[i] = MODEL_NEVER;
}

void model_init(struct model *model, const struct model_policy *policy)
{
    memset(model, 0, sizeof(*model));
    struct model_generation *first = &model->store.generations[0];
    first->state = MODEL_ACTIVE;
    first->policy = *policy;
    first->owed_protection = policy->protection && policy->protected_since == MODEL_FROM_START;
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++)
        for (unsigned j = 0; j < MODEL_OBJECTS; j++)
            object_init(&model->store.generations[i].objects[j]);
}

struct model_generation *model_live(struct model *model)
{
    return &model->store.generations[model->store.live];
}

/* ------------------------------------------------------------------ what is due */

/* The strict clock judges, and does not date: what counts is the uptime since the delete. */
static int32_t judged(const struct model_store *store, const struct model_policy *policy,
                      int32_t deleted_at, int32_t deleted_up)
{
    int32_t up = deleted_at + (store->strict - deleted_up);
    return policy->strict && up < store->now ? up : store->now;
}

bool model_object_past(const struct model_store *store, const struct model_generation *g,
                       const struct model_object *o)
{
    return o->state == MODEL_DELETED &&
           judged(store, &g->policy, o->deleted_at, o->deleted_up) >= o->purge_at;
}

/* A hold on a generation is one on all that is in it, and so is a lock. */
bool model_object_due(const struct model_store *store, const struct model_generation *g,
                      const struct model_object *o)
{
    return !o->hold && !g->hold && g->lock == 0 && model_object_past(store, g, o);
}

bool model_held_inside(const struct model_generation *g)
{
    for (unsigned i = 0; i < MODEL_OBJECTS; i++)
        if (g->objects[i].hold && g->objects[i].state != MODEL_PURGED)
            return true;
    return false;
}

bool model_generation_due(const struct model_store *store, const struct model_generation *g,
                          unsigned rules)
{
    bool held = (g->hold && (rules & RULE_HOLD)) ||
                ((rules & RULE_HOLD_INSIDE) && model_held_inside(g));
    return g->state == MODEL_DELETED && !held && g->lock == 0 &&
           judged(store, &g->policy, g->deleted_at, g->deleted_up) >= g->purge_at;
}

/* ------------------------------------------------------------------ a step */

unsigned model_verbs(const struct model *model, unsigned role)
{
    const struct model_generation *live = &model->store.generations[model->store.live];
    if (role < MODEL_NAMED)
        return role == MODEL_SO ? VERBS_OF_SO : VERBS_OF_USER;
    return live->users[role - MODEL_NAMED] & VERBS_ALL;
}

static enum model_result op_pass(struct step *s)
{
    s->store->now += s->is->value;
    s->store->strict += s->is->value;
    s->model->true_now += s->is->value;
    s->model->uptime += s->is->value;
    return RESULT_OK;
}

static enum model_result op_wall(struct step *s)
{
    if (s->is->value > 0 && !rule(s, RULE_BOOT_CLOCK))
        s->store->now += s->is->value;
    if (s->is->value < 0 && !rule(s, RULE_NEVER_BACK))
        s->store->now += s->is->value;
    return RESULT_OK;
}

/* Time off is credited by the wall clock, which is all there is; as uptime it never counts. */
static enum model_result op_boot(struct step *s)
{
    int32_t credit = s->is->value;
    if (credit < 0 && rule(s, RULE_NEVER_BACK))
        credit = 0;
    s->store->now += credit;
    s->store->strict += rule(s, RULE_STRICT) ? 0 : credit;
    s->model->true_now += credit > 0 ? credit : 0;
    s->model->down = true;
    return RESULT_OK;
}

static enum model_result op_crash(struct step *s)
{
    enum model_result result = RESULT_OK;
    if (s->is->value != 0) {
        result = op_purge(s);
        if (s->o->state == MODEL_PURGED)
            s->o->pending = true;
    }
    if (result == RESULT_OK)
        s->model->down = true;
    return result;
}

static enum model_result op_open(struct step *s)
{
    for (unsigned i = 0; i < MODEL_GENERATIONS && rule(s, RULE_REPLAY); i++)
        for (unsigned j = 0; j < MODEL_OBJECTS; j++)
            s->store->generations[i].objects[j].pending = false;
    s->model->down = false;
    return RESULT_OK;
}

enum subject { ON_OBJECT, ON_POLICY, ON_GENERATION, ON_STORE, ON_MACHINE };

static const struct {
    const char *name;
    enum subject on;
    unsigned verbs;              /* one of which is needed; 0: none, or it depends */
    enum model_result (*run)(struct step *s);
} ops[OP_COUNT] = {
    [OP_CREATE] = {"create", ON_OBJECT, VERB_CREATE, op_create},
    [OP_DELETE] = {"delete", ON_OBJECT, 0, op_delete},
    [OP_RECOVER] = {"recover", ON_OBJECT, 0, op_recover},
    [OP_PURGE] = {"purge", ON_OBJECT, 0, op_purge},
    [OP_POSTPONE] = {"postpone", ON_OBJECT, 0, op_postpone},
    [OP_DISABLE] = {"disable", ON_OBJECT, 0, op_enable},
    [OP_ENABLE] = {"enable", ON_OBJECT, 0, op_enable},
    [OP_HOLD] = {"hold", ON_OBJECT, 0, op_hold},
    [OP_RELEASE] = {"release", ON_OBJECT, 0, op_hold},
    [OP_LOCK] = {"lock", ON_OBJECT, 0, op_lock},
    [OP_UNLOCK] = {"unlock", ON_OBJECT, 0, op_lock},
    [OP_RENAME] = {"rename", ON_OBJECT, 0, op_rename},
    [OP_ROTATE] = {"rotate", ON_OBJECT, 0, op_rotate},
    [OP_RETENTION] = {"retention", ON_POLICY, VERB_POLICY, op_policy},
    [OP_PROTECT] = {"protect", ON_POLICY, VERB_POLICY, op_policy},
    [OP_UNPROTECT] = {"unprotect", ON_POLICY, VERB_POLICY, op_policy},
    [OP_RECOVER_TO] = {"recover to", ON_POLICY, VERB_POLICY, op_policy},
    [OP_DISABLE_FIRST] = {"disable before delete", ON_POLICY, VERB_POLICY, op_policy},
    [OP_STRICT] = {"strict clock", ON_POLICY, VERB_POLICY, op_policy},
    [OP_APPROVALS] = {"purge approvals", ON_POLICY, VERB_POLICY, op_policy},
    [OP_RESERVE] = {"reserve names", ON_POLICY, VERB_POLICY, op_policy},
    [OP_USER_ADD] = {"add user", ON_POLICY, 0, op_user},
    [OP_USER_REMOVE] = {"remove user", ON_POLICY, 0, op_user},
    [OP_USER_VERBS] = {"verbs of user", ON_POLICY, 0, op_user},
    [OP_INIT] = {"init token", ON_STORE, 0, op_init},
    [OP_GENERATION_RECOVER] = {"recover generation", ON_GENERATION, 0, op_generation_recover},
    [OP_GENERATION_PURGE] = {"purge generation", ON_GENERATION, 0, op_generation_purge},
    [OP_GENERATION_HOLD] = {"hold generation", ON_GENERATION, 0, op_generation_hold},
    [OP_GENERATION_RELEASE] = {"release generation", ON_GENERATION, 0, op_generation_hold},
    [OP_GENERATION_LOCK] = {"lock generation", ON_GENERATION, 0, op_generation_lock},
    [OP_SWEEP] = {"sweep", ON_STORE, 0, op_sweep},
    [OP_BACKUP] = {"backup", ON_OBJECT, VERB_BACKUP, op_backup},
    [OP_BACKUP_ALL] = {"backup of all", ON_STORE, VERB_BACKUP, op_backup},
    [OP_RESTORE] = {"restore", ON_STORE, 0, op_restore},
    [OP_REPLACE] = {"restore and replace", ON_STORE, 0, op_restore},
    [OP_COPY] = {"copy the files", ON_MACHINE, 0, op_copy},
    [OP_ROLLBACK] = {"put the copy back", ON_MACHINE, 0, op_rollback},
    [OP_ACCEPT] = {"accept the copy", ON_MACHINE, 0, op_accept},
    [OP_PASS] = {"pass", ON_MACHINE, 0, op_pass},
    [OP_WALL] = {"set the wall clock", ON_MACHINE, 0, op_wall},
    [OP_BOOT] = {"boot", ON_MACHINE, 0, op_boot},
    [OP_CRASH] = {"crash", ON_OBJECT, 0, op_crash},
    [OP_OPEN] = {"open", ON_MACHINE, 0, op_open},
};

/* The others take the SO's PIN, or nobody's. */
static bool needs_login(const struct model_step *step)
{
    bool governs = step->op == OP_GENERATION_HOLD || step->op == OP_GENERATION_RELEASE ||
                   step->op == OP_GENERATION_LOCK;
    if (ops[step->op].on == ON_GENERATION)
        return governs && step->other == 0;
    return step->op != OP_INIT && step->op != OP_SWEEP;
}

/* Before anything of the step is looked at: a login that is void, a store put back, a verb. */
static enum model_result may_begin(const struct step *s)
{
    const struct model_step *is = s->is;
    enum subject on = ops[is->op].on;
    if (on == ON_MACHINE || (is->op == OP_CRASH && is->value == 0))
        return RESULT_OK;
    if (s->model->rolled_back)
        return RESULT_LOCKED;
    if (is->stale && rule(s, RULE_VOID) && needs_login(is))
        return RESULT_VOID;
    if (ops[is->op].verbs != 0 && !(ops[is->op].verbs & s->verbs))
        return RESULT_DENIED;
    return RESULT_OK;
}

/* Protection that could have been taken back and was not is owed from then on. */
static void protection_settles(struct step *s)
{
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++) {
        struct model_generation *g = &s->store->generations[i];
        if (g->policy.protection && (g->policy.protected_since == MODEL_FROM_START ||
            s->store->now - g->policy.protected_since >= s->limits->cooling_off))
            g->owed_protection = true;
    }
}

/* The promise's own account of who asked for what, refused or not. */
static void ask_note(struct step *s)
{
    bool asks = s->is->op == OP_PURGE || (s->is->op == OP_CRASH && s->is->value != 0);
    if (asks && s->o->state == MODEL_DELETED)
        s->o->asked[s->is->role] = s->model->true_now;
}

enum model_result model_apply(struct model *model, const struct model_limits *limits,
                              unsigned rules, const struct model_step *step)
{
    struct model after = *model;
    struct step s = {.model = &after, .store = &after.store, .limits = limits, .rules = rules,
                     .is = step};
    enum model_result result;
    if (model->down != (step->op == OP_OPEN))
        return RESULT_STATE;
    s.verbs = step->stale ? VERBS_ALL : model_verbs(model, step->role);
    s.g = &after.store.generations[ops[step->op].on == ON_GENERATION ? step->generation
                                                                     : after.store.live];
    s.o = &s.g->objects[step->object];
    result = may_begin(&s);
    if (result != RESULT_OK)
        return result;
    result = ops[step->op].run(&s);
    if (result != RESULT_OK && result != RESULT_PENDING)
        return result;
    ask_note(&s);
    protection_settles(&s);
    *model = after;
    return result;
}

/* ------------------------------------------------------------------ names */

const char *model_op_name(unsigned op)
{
    return ops[op].name;
}

const char *model_result_name(enum model_result result)
{
    static const char *const names[RESULT_COUNT] = {
        [RESULT_OK] = "ok", [RESULT_PENDING] = "pending", [RESULT_GONE] = "gone",
        [RESULT_STATE] = "wrong state", [RESULT_RETAINED] = "retained", [RESULT_HELD] = "held",
        [RESULT_LOCKED] = "locked", [RESULT_DENIED] = "denied",
        [RESULT_POLICY] = "against the policy", [RESULT_NAME] = "name reserved",
        [RESULT_KEY] = "sealed to another generation", [RESULT_VOID] = "login void",
    };
    return names[result];
}

const char *model_rule_name(enum model_rule rule)
{
    static const char *const names[] = {
        "protection", "right", "hold", "hold inside", "date fixed", "only later", "last date",
        "one way", "survives init", "init soft", "boot clock", "never back", "final", "replay",
        "strict clock", "behind", "due first", "approvals", "distinct", "window", "lapses",
        "whole", "void", "restore final", "merge", "slots", "versions",
    };
    return names[__builtin_ctz((unsigned)rule)];
}

const char *model_role_name(unsigned role)
{
    static const char *const names[] = {"user", "SO", "u0", "u1", "u2", "u3"};
    return names[role];
}
