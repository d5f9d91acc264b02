/* See model.h. */
#include "model.h"

#include <string.h>

void model_init(struct model *model, const struct model_policy *policy)
{
    memset(model, 0, sizeof(*model));
    struct model_generation *first = &model->generations[0];
    first->state = MODEL_ACTIVE;
    first->policy = *policy;
    first->owed_protection = policy->protection && policy->protected_since == MODEL_FROM_START;
}

/* ------------------------------------------------------------------ what is due */

/* A hold on a generation is one on all that is in it. */
static bool object_held(const struct model_generation *g, const struct model_object *o)
{
    return o->hold || g->hold;
}

bool model_object_due(const struct model *model, const struct model_generation *g,
                      const struct model_object *o)
{
    return o->state == MODEL_DELETED && !object_held(g, o) && model->now >= o->purge_at;
}

static bool held_inside(const struct model_generation *g)
{
    for (unsigned i = 0; i < MODEL_OBJECTS; i++)
        if (g->objects[i].hold && g->objects[i].state != MODEL_PURGED)
            return true;
    return false;
}

static bool generation_held(const struct model_generation *g, unsigned rules)
{
    return (g->hold && (rules & RULE_HOLD)) || ((rules & RULE_HOLD_INSIDE) && held_inside(g));
}

bool model_generation_due(const struct model *model, const struct model_generation *g,
                          unsigned rules)
{
    return g->state == MODEL_DELETED && !generation_held(g, rules) && model->now >= g->purge_at;
}

bool model_recoverable(const struct model *model, unsigned generation, unsigned object)
{
    const struct model_generation *g = &model->generations[generation];
    const struct model_object *o = &g->objects[object];
    if (o->state == MODEL_NONE || o->state == MODEL_PURGED || g->state == MODEL_PURGED)
        return false;
    if (g->state == MODEL_DELETED && model_generation_due(model, g, RULES_ALL))
        return false;
    return !model_object_due(model, g, o);
}

/* ------------------------------------------------------------------ objects */

struct step {
    struct model *model;
    const struct model_limits *limits;
    unsigned rules;
    const struct model_step *is;
    struct model_generation *g;  /* the one named; of a step on an object the live one */
    struct model_object *o;
};

static bool rule(const struct step *s, enum model_rule rule)
{
    return (s->rules & (unsigned)rule) != 0;
}

static bool gone(const struct step *s)
{
    return s->o->state == MODEL_NONE ||
           (rule(s, RULE_FINAL) &&
            (s->o->state == MODEL_PURGED || model_object_due(s->model, s->g, s->o)));
}

static bool is_live(const struct model_object *o)
{
    return o->state == MODEL_ACTIVE || o->state == MODEL_DISABLED;
}

static int32_t later(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static enum model_result op_create(struct step *s)
{
    if (s->o->state != MODEL_NONE)
        return RESULT_STATE;
    if (s->is->role != MODEL_USER)
        return RESULT_DENIED;
    *s->o = (struct model_object){.state = MODEL_ACTIVE};
    return RESULT_OK;
}

static enum model_result op_delete(struct step *s)
{
    const struct model_policy *policy = &s->g->policy;
    if (gone(s))
        return RESULT_GONE;
    if (!is_live(s->o))
        return RESULT_STATE;
    if (s->is->role != MODEL_USER)
        return RESULT_DENIED;
    if (s->o->lock != 0)
        return RESULT_LOCKED;
    if (policy->disable_before_delete && s->o->state != MODEL_DISABLED)
        return RESULT_STATE;
    s->o->prior = s->o->state;
    s->o->state = MODEL_DELETED;
    s->o->purge_at = s->model->now + policy->retention;
    s->o->owed = s->model->true_now + policy->retention;
    return RESULT_OK;
}

static enum model_result op_recover(struct step *s)
{
    if (gone(s))
        return RESULT_GONE;
    if (s->o->state != MODEL_DELETED && s->o->state != MODEL_PURGED)
        return RESULT_STATE;
    s->o->state = s->g->policy.recover_to_disabled ? MODEL_DISABLED : s->o->prior;
    s->o->purge_at = s->o->owed = 0;
    return RESULT_OK;
}

static enum model_result op_purge(struct step *s)
{
    bool early;
    if (gone(s))
        return RESULT_GONE;
    if (s->o->state != MODEL_DELETED)
        return RESULT_STATE;
    early = s->model->now < s->o->purge_at;
    if (object_held(s->g, s->o) && rule(s, RULE_HOLD))
        return RESULT_HELD;
    if (early && s->g->policy.protection && rule(s, RULE_PROTECTION))
        return RESULT_RETAINED;
    if (early && s->is->role != MODEL_SO && rule(s, RULE_RIGHT))
        return RESULT_DENIED;
    s->o->state = MODEL_PURGED;
    s->o->hold = false;
    return RESULT_OK;
}

/* To value seconds from now. */
static enum model_result op_postpone(struct step *s)
{
    int32_t date = s->model->now + s->is->value;
    if (gone(s))
        return RESULT_GONE;
    if (s->o->state != MODEL_DELETED)
        return RESULT_STATE;
    if (date < s->o->purge_at && rule(s, RULE_ONLY_LATER))
        return RESULT_POLICY;
    s->o->purge_at = date;
    s->o->owed = later(s->o->owed, s->model->true_now + s->is->value);
    return RESULT_OK;
}

static enum model_result state_set(struct step *s, enum model_state from, enum model_state to)
{
    if (gone(s))
        return RESULT_GONE;
    if (s->o->state != from && s->o->state != to)
        return RESULT_STATE;
    s->o->state = (uint8_t)to;
    return RESULT_OK;
}

static enum model_result op_disable(struct step *s)
{
    return state_set(s, MODEL_ACTIVE, MODEL_DISABLED);
}

static enum model_result op_enable(struct step *s)
{
    return state_set(s, MODEL_DISABLED, MODEL_ACTIVE);
}

static enum model_result hold_set(struct step *s, bool hold)
{
    if (gone(s))
        return RESULT_GONE;
    if (s->is->role != MODEL_SO)
        return RESULT_DENIED;
    s->o->hold = s->o->owed_hold = hold;
    return RESULT_OK;
}

static enum model_result op_hold(struct step *s)
{
    return hold_set(s, true);
}

static enum model_result op_release(struct step *s)
{
    return hold_set(s, false);
}

static enum model_result lock_set(struct step *s, uint8_t lock)
{
    if (gone(s))
        return RESULT_GONE;
    if (s->is->role != MODEL_SO)
        return RESULT_DENIED;
    if (!is_live(s->o))
        return RESULT_STATE;
    s->o->lock = lock;
    return RESULT_OK;
}

static enum model_result op_lock(struct step *s)
{
    return lock_set(s, 1);
}

static enum model_result op_unlock(struct step *s)
{
    return lock_set(s, 0);
}

/* ------------------------------------------------------------------ policy */

static enum model_result op_retention(struct step *s)
{
    struct model_generation *g = s->g;
    g->policy.retention = s->is->value;
    for (unsigned i = 0; i < MODEL_OBJECTS && !rule(s, RULE_DATE_FIXED); i++)
        if (g->objects[i].state == MODEL_DELETED)
            g->objects[i].purge_at = s->model->now + s->is->value;
    return RESULT_OK;
}

static enum model_result op_protect(struct step *s)
{
    struct model_policy *policy = &s->g->policy;
    if (!policy->protection)
        policy->protected_since = s->model->now;
    policy->protection = true;
    return RESULT_OK;
}

static bool may_unprotect(const struct step *s)
{
    const struct model_policy *policy = &s->g->policy;
    return policy->protected_since != MODEL_FROM_START &&
           s->model->now - policy->protected_since < s->limits->cooling_off;
}

static enum model_result op_unprotect(struct step *s)
{
    struct model_policy *policy = &s->g->policy;
    if (policy->protection && rule(s, RULE_ONE_WAY) && !may_unprotect(s))
        return RESULT_POLICY;
    policy->protection = false;
    policy->protected_since = 0;
    return RESULT_OK;
}

static enum model_result op_recover_to(struct step *s)
{
    s->g->policy.recover_to_disabled = s->is->value != 0;
    return RESULT_OK;
}

static enum model_result op_disable_first(struct step *s)
{
    s->g->policy.disable_before_delete = s->is->value != 0;
    return RESULT_OK;
}

/* ------------------------------------------------------------------ generations */

static void retire(struct step *s, struct model_generation *g)
{
    int32_t date = s->model->now + g->policy.retention;
    int32_t owed = s->model->true_now + g->policy.retention;
    for (unsigned i = 0; i < MODEL_OBJECTS; i++)
        if (g->objects[i].state == MODEL_DELETED && rule(s, RULE_LAST_DATE))
            date = later(date, g->objects[i].purge_at);
    g->state = rule(s, RULE_INIT_SOFT) ? MODEL_DELETED : MODEL_PURGED;
    g->purge_at = date;
    g->owed = owed;
}

static enum model_result op_init(struct step *s)
{
    struct model *m = s->model;
    struct model_generation *former = &m->generations[m->live], *fresh = former;
    for (unsigned i = 0; i < s->limits->generations; i++)
        if (m->generations[i].state == MODEL_NONE) {
            fresh = &m->generations[i];
            break;
        }
    if (fresh == former)
        return RESULT_STATE;
    if (former->hold)
        return RESULT_LOCKED;
    fresh->state = MODEL_ACTIVE;
    fresh->policy = former->policy;
    fresh->owed_protection = former->owed_protection;
    if (!rule(s, RULE_SURVIVES_INIT))
        fresh->policy.protection = false;
    retire(s, former);
    m->live = (uint8_t)(fresh - m->generations);
    return RESULT_OK;
}

static bool generation_gone(const struct step *s)
{
    return s->g->state == MODEL_NONE ||
           (rule(s, RULE_FINAL) &&
            (s->g->state == MODEL_PURGED || model_generation_due(s->model, s->g, s->rules)));
}

static enum model_result op_generation_recover(struct step *s)
{
    struct model *m = s->model;
    if (generation_gone(s))
        return RESULT_GONE;
    if (s->g->state == MODEL_ACTIVE)
        return RESULT_STATE;
    if (m->generations[m->live].hold)
        return RESULT_LOCKED;
    retire(s, &m->generations[m->live]);
    s->g->state = MODEL_ACTIVE;
    s->g->purge_at = s->g->owed = 0;
    m->live = s->is->generation;
    return RESULT_OK;
}

static enum model_result op_generation_purge(struct step *s)
{
    if (generation_gone(s))
        return RESULT_GONE;
    if (s->g->state != MODEL_DELETED)
        return RESULT_STATE;
    if (generation_held(s->g, s->rules))
        return RESULT_HELD;
    if (s->model->now < s->g->purge_at && s->g->policy.protection && rule(s, RULE_PROTECTION))
        return RESULT_RETAINED;
    s->g->state = MODEL_PURGED;
    return RESULT_OK;
}

static void sweep_objects(struct step *s, struct model_generation *g)
{
    for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
        struct model_object *o = &g->objects[i];
        if (o->state == MODEL_DELETED && s->model->now >= o->purge_at &&
            !(object_held(g, o) && rule(s, RULE_HOLD)))
            o->state = MODEL_PURGED;
    }
}

/* What is due already is past saving: it goes first, or the hold would bring it back. */
static enum model_result op_generation_hold(struct step *s)
{
    if (generation_gone(s))
        return RESULT_GONE;
    sweep_objects(s, s->g);
    s->g->hold = s->g->owed_hold = s->is->op == OP_GENERATION_HOLD;
    return RESULT_OK;
}

/* ------------------------------------------------------------------ by date, and the machine */

static enum model_result op_sweep(struct step *s)
{
    sweep_objects(s, &s->model->generations[s->model->live]);
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++)
        if (model_generation_due(s->model, &s->model->generations[i], s->rules))
            s->model->generations[i].state = MODEL_PURGED;
    return RESULT_OK;
}

/* Protection that could have been taken back and was not is owed from then on. */
static void protection_settles(struct step *s)
{
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++) {
        struct model_generation *g = &s->model->generations[i];
        if (g->policy.protection && (g->policy.protected_since == MODEL_FROM_START ||
            s->model->now - g->policy.protected_since >= s->limits->cooling_off))
            g->owed_protection = true;
    }
}

static enum model_result op_pass(struct step *s)
{
    s->model->now += s->is->value;
    s->model->true_now += s->is->value;
    protection_settles(s);
    return RESULT_OK;
}

static enum model_result op_wall(struct step *s)
{
    if (s->is->value > 0 && !rule(s, RULE_BOOT_CLOCK))
        s->model->now += s->is->value;
    if (s->is->value < 0 && !rule(s, RULE_NEVER_BACK))
        s->model->now += s->is->value;
    return RESULT_OK;
}

/* Time off is credited by the wall clock, which is all there is. */
static enum model_result op_boot(struct step *s)
{
    int32_t credit = s->is->value;
    if (credit < 0 && rule(s, RULE_NEVER_BACK))
        credit = 0;
    s->model->now += credit;
    s->model->true_now += credit > 0 ? credit : 0;
    s->model->down = true;
    protection_settles(s);
    return RESULT_OK;
}

static enum model_result op_crash(struct step *s)
{
    enum model_result result = RESULT_OK;
    if (s->is->value != 0) {
        result = op_purge(s);
        if (result == RESULT_OK)
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
            s->model->generations[i].objects[j].pending = false;
    s->model->down = false;
    return RESULT_OK;
}

/* ------------------------------------------------------------------ a step */

enum subject { ON_OBJECT, ON_POLICY, ON_GENERATION, ON_MACHINE };

static const struct {
    const char *name;
    enum subject on;
    enum model_result (*run)(struct step *s);
} ops[OP_COUNT] = {
    [OP_CREATE] = {"create", ON_OBJECT, op_create},
    [OP_DELETE] = {"delete", ON_OBJECT, op_delete},
    [OP_RECOVER] = {"recover", ON_OBJECT, op_recover},
    [OP_PURGE] = {"purge", ON_OBJECT, op_purge},
    [OP_POSTPONE] = {"postpone", ON_OBJECT, op_postpone},
    [OP_DISABLE] = {"disable", ON_OBJECT, op_disable},
    [OP_ENABLE] = {"enable", ON_OBJECT, op_enable},
    [OP_HOLD] = {"hold", ON_OBJECT, op_hold},
    [OP_RELEASE] = {"release", ON_OBJECT, op_release},
    [OP_LOCK] = {"lock", ON_OBJECT, op_lock},
    [OP_UNLOCK] = {"unlock", ON_OBJECT, op_unlock},
    [OP_RETENTION] = {"retention", ON_POLICY, op_retention},
    [OP_PROTECT] = {"protect", ON_POLICY, op_protect},
    [OP_UNPROTECT] = {"unprotect", ON_POLICY, op_unprotect},
    [OP_RECOVER_TO] = {"recover to", ON_POLICY, op_recover_to},
    [OP_DISABLE_FIRST] = {"disable before delete", ON_POLICY, op_disable_first},
    [OP_INIT] = {"init token", ON_MACHINE, op_init},
    [OP_GENERATION_RECOVER] = {"recover generation", ON_GENERATION, op_generation_recover},
    [OP_GENERATION_PURGE] = {"purge generation", ON_GENERATION, op_generation_purge},
    [OP_GENERATION_HOLD] = {"hold generation", ON_GENERATION, op_generation_hold},
    [OP_GENERATION_RELEASE] = {"release generation", ON_GENERATION, op_generation_hold},
    [OP_SWEEP] = {"sweep", ON_MACHINE, op_sweep},
    [OP_PASS] = {"pass", ON_MACHINE, op_pass},
    [OP_WALL] = {"set the wall clock", ON_MACHINE, op_wall},
    [OP_BOOT] = {"boot", ON_MACHINE, op_boot},
    [OP_CRASH] = {"crash", ON_OBJECT, op_crash},
    [OP_OPEN] = {"open", ON_MACHINE, op_open},
};

enum model_result model_apply(struct model *model, const struct model_limits *limits,
                              unsigned rules, const struct model_step *step)
{
    struct model after = *model;
    struct step s = {.model = &after, .limits = limits, .rules = rules, .is = step};
    enum model_result result;
    if (model->down != (step->op == OP_OPEN))
        return RESULT_STATE;
    s.g = &after.generations[ops[step->op].on == ON_GENERATION ? step->generation : after.live];
    s.o = &s.g->objects[step->object];
    if (ops[step->op].on == ON_POLICY && step->role != MODEL_SO)
        return RESULT_DENIED;
    result = ops[step->op].run(&s);
    if (result == RESULT_OK)
        *model = after;
    return result;
}

/* ------------------------------------------------------------------ the promise */

/* May this object, as it was, have been lost in this step? */
static const char *loss(const struct model_generation *g, const struct model_object *o, bool held,
                        const struct model_step *step, int32_t true_now)
{
    bool asked = step->op == OP_PURGE || (step->op == OP_CRASH && step->value != 0);
    bool whole = step->op == OP_GENERATION_PURGE;
    bool date = o->state == MODEL_DELETED ? true_now >= o->owed
                                          : g->state == MODEL_DELETED && true_now >= g->owed;
    if (held)
        return "an object was lost under a hold";
    if (date)
        return NULL;
    if (!asked && !whole)
        return "an object was lost before its purge date";
    if (g->owed_protection || g->policy.protection)
        return "an object was purged before its date under protection";
    if (step->role != MODEL_SO)
        return "an object was purged before its date without the right";
    return NULL;
}

static const char *object_broken(const struct model *before, const struct model_step *step,
                                 const struct model *after, unsigned i, unsigned j)
{
    const struct model_generation *g = &before->generations[i];
    const struct model_object *a = &g->objects[j], *b = &after->generations[i].objects[j];
    bool was = model_recoverable(before, i, j), is = model_recoverable(after, i, j);
    if (was && !is)
        return loss(g, a, b->owed_hold || after->generations[i].owed_hold, step, after->true_now);
    if (!was && is && a->state != MODEL_NONE)
        return "a purged object came back";
    if (b->pending && !after->down)
        return "a purge was left half done";
    return NULL;
}

const char *model_broken(const struct model *before, const struct model_step *step,
                         const struct model *after)
{
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++)
        for (unsigned j = 0; j < MODEL_OBJECTS; j++) {
            const char *why = object_broken(before, step, after, i, j);
            if (why)
                return why;
        }
    return after->now < before->now ? "the vault clock went back" : NULL;
}

/* ------------------------------------------------------------------ names */

const char *model_op_name(enum model_op op)
{
    return ops[op].name;
}

const char *model_result_name(enum model_result result)
{
    static const char *const names[] = {
        [RESULT_OK] = "ok", [RESULT_GONE] = "gone", [RESULT_STATE] = "wrong state",
        [RESULT_RETAINED] = "retained", [RESULT_HELD] = "held", [RESULT_LOCKED] = "locked",
        [RESULT_DENIED] = "denied", [RESULT_POLICY] = "against the policy",
    };
    return names[result];
}

const char *model_rule_name(enum model_rule rule)
{
    static const char *const names[] = {
        "protection", "right", "hold", "hold inside", "date fixed", "only later", "last date",
        "one way", "survives init", "init soft", "boot clock", "never back", "final", "replay",
    };
    return names[__builtin_ctz((unsigned)rule)];
}
