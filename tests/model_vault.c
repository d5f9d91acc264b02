/* model_vault.c: what is done to a vault: its policy, its users, its generations. */
#include "model_step.h"

#include <stddef.h>
#include <string.h>

void sweep_objects(struct step *s, struct model_generation *g)
{
    for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
        struct model_object *o = &g->objects[i];
        if (model_object_past(s->store, g, o) && g->lock == 0 &&
            !((o->hold || g->hold) && rule(s, RULE_HOLD)))
            o->state = MODEL_PURGED;
    }
}

/* What is due is past saving: it goes before anything is done that would keep it. Objects of a
 * deleted generation wait for that one. */
static void due_first(struct step *s)
{
    if (rule(s, RULE_DUE_FIRST))
        op_sweep(s);
}

enum model_result op_sweep(struct step *s)
{
    sweep_objects(s, &s->store->generations[s->store->live]);
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++)
        if (model_generation_due(s->store, &s->store->generations[i], s->rules))
            s->store->generations[i].state = MODEL_PURGED;
    return RESULT_OK;
}

/* ------------------------------------------------------------------ policy */

static enum model_result set_retention(struct step *s)
{
    struct model_generation *g = s->g;
    g->policy.retention = s->is->value;
    for (unsigned i = 0; i < MODEL_OBJECTS && !rule(s, RULE_DATE_FIXED); i++)
        if (g->objects[i].state == MODEL_DELETED)
            g->objects[i].purge_at = s->store->now + s->is->value;
    return RESULT_OK;
}

static enum model_result set_protection(struct step *s)
{
    struct model_policy *policy = &s->g->policy;
    if (s->is->op == OP_PROTECT) {
        if (!policy->protection)
            policy->protected_since = s->store->now;
        policy->protection = true;
        return RESULT_OK;
    }
    if (policy->protection && rule(s, RULE_ONE_WAY) &&
        (policy->protected_since == MODEL_FROM_START ||
         s->store->now - policy->protected_since >= s->limits->cooling_off))
        return RESULT_POLICY;
    policy->protection = false;
    policy->protected_since = 0;
    return RESULT_OK;
}

/* `other`: how many; value: within which time. */
static void set_approvals(struct step *s)
{
    s->g->policy.approvals = s->is->other;
    s->g->policy.window = s->is->value;
}

enum model_result op_policy(struct step *s)
{
    struct model_policy *policy = &s->g->policy;
    bool on = s->is->value != 0;
    if (s->g->lock > 1)
        return RESULT_LOCKED;
    switch (s->is->op) {
    case OP_RETENTION:
        return set_retention(s);
    case OP_PROTECT:
    case OP_UNPROTECT:
        return set_protection(s);
    case OP_RECOVER_TO:
        policy->recover_to_disabled = on;
        break;
    case OP_DISABLE_FIRST:
        policy->disable_before_delete = on;
        break;
    case OP_STRICT:
        due_first(s);
        policy->strict = on;
        break;
    case OP_APPROVALS:
        set_approvals(s);
        break;
    default:
        policy->reserve_names = on;
    }
    return RESULT_OK;
}

/* ------------------------------------------------------------------ users */

/* Who comes, or comes again, has another pair than before. */
static void pair_change(struct step *s)
{
    uint8_t bit = (uint8_t)(1u << s->is->other);
    s->g->since_copy |= bit;
    for (unsigned i = 0; i < MODEL_BACKUPS; i++)
        if (s->model->backups[i].closed & KEY_ROTATED &&
            s->model->backups[i].generation == s->store->live)
            s->model->backups[i].closed |= bit;
}

/* Only the SO hands on what it has not itself, or touches who has more. `other`: the user, value:
 * its verbs. */
enum model_result op_user(struct step *s)
{
    uint16_t *user = &s->g->users[s->is->other];
    unsigned verbs = s->is->op == OP_USER_REMOVE ? 0 : (unsigned)s->is->value;
    unsigned give = s->is->role == MODEL_SO ? VERBS_ALL : s->verbs;
    if (s->g->lock > 1)
        return RESULT_LOCKED;
    if (!(s->verbs & VERB_POLICY))
        return RESULT_DENIED;
    if (s->is->op == OP_USER_ADD ? *user != 0 : *user == 0)
        return RESULT_STATE;
    if (((verbs | *user) & VERBS_ALL & ~give) != 0)
        return RESULT_DENIED;
    if (s->is->op != OP_USER_VERBS)
        pair_change(s);
    if (s->is->op == OP_USER_REMOVE) {
        s->g->removed |= (uint8_t)(1u << s->is->other);
        s->g->since_copy |= KEY_ROTATED;
        *user = 0;
    } else {
        *user = (uint16_t)(verbs | USER_THERE);
    }
    return RESULT_OK;
}

/* ------------------------------------------------------------------ generations */

/* Under the strict clock an object has before it, at most, what that clock is behind. */
static int32_t last_date(const struct step *s, const struct model_generation *g, int32_t date)
{
    bool strict = g->policy.strict && rule(s, RULE_BEHIND);
    int32_t behind = strict ? s->store->now - s->store->strict : 0;
    for (unsigned i = 0; i < MODEL_OBJECTS; i++)
        if (g->objects[i].state == MODEL_DELETED && rule(s, RULE_LAST_DATE))
            date = later(date, g->objects[i].purge_at + behind);
    return date;
}

static void retire(struct step *s, struct model_generation *g)
{
    g->state = rule(s, RULE_INIT_SOFT) ? MODEL_DELETED : MODEL_PURGED;
    g->deleted_at = s->store->now;
    g->deleted_up = s->store->strict;
    g->purge_at = last_date(s, g, s->store->now + g->policy.retention);
    g->owed = s->model->true_now + g->policy.retention;
    g->owed_up = s->model->uptime + g->policy.retention;
}

static struct model_generation *fresh_find(struct step *s)
{
    for (unsigned i = 0; i < s->limits->generations; i++)
        if (s->store->generations[i].state == MODEL_NONE)
            return &s->store->generations[i];
    return NULL;
}

enum model_result op_init(struct step *s)
{
    struct model_store *store = s->store;
    struct model_generation *former = &store->generations[store->live], *fresh = fresh_find(s);
    if (fresh == NULL)
        return RESULT_STATE;
    if (former->hold || former->lock != 0)
        return RESULT_LOCKED;
    due_first(s);
    fresh->state = MODEL_ACTIVE;
    fresh->policy = former->policy;
    fresh->owed_protection = former->owed_protection;
    if (!rule(s, RULE_SURVIVES_INIT))
        fresh->policy.protection = false;
    retire(s, former);
    store->live = (uint8_t)(fresh - store->generations);
    return RESULT_OK;
}

static bool generation_gone(const struct step *s)
{
    return s->g->state == MODEL_NONE ||
           (rule(s, RULE_FINAL) &&
            (s->g->state == MODEL_PURGED || model_generation_due(s->store, s->g, s->rules)));
}

enum model_result op_generation_recover(struct step *s)
{
    struct model_store *store = s->store;
    struct model_generation *live = &store->generations[store->live];
    if (generation_gone(s))
        return RESULT_GONE;
    if (s->g->state == MODEL_ACTIVE)
        return RESULT_STATE;
    if (live->hold || live->lock != 0 || s->g->lock > 1)
        return RESULT_LOCKED;
    due_first(s);
    retire(s, live);
    s->g->state = MODEL_ACTIVE;
    s->g->purge_at = s->g->owed = s->g->owed_up = s->g->deleted_at = s->g->deleted_up = 0;
    store->live = s->is->generation;
    return RESULT_OK;
}

enum model_result op_generation_purge(struct step *s)
{
    const struct model_policy *policy = &s->g->policy;
    if (generation_gone(s))
        return RESULT_GONE;
    if (s->g->state != MODEL_DELETED)
        return RESULT_STATE;
    if ((s->g->hold && rule(s, RULE_HOLD)) ||
        (model_held_inside(s->g) && rule(s, RULE_HOLD_INSIDE)))
        return RESULT_HELD;
    if (s->g->lock != 0)
        return RESULT_LOCKED;
    if (policy->protection && rule(s, RULE_PROTECTION))
        return RESULT_RETAINED;
    if (policy->approvals > 1 && rule(s, RULE_WHOLE))
        return RESULT_RETAINED;
    s->g->state = MODEL_PURGED;
    return RESULT_OK;
}

/* By who is logged in, or (`other`) by the SO's PIN. */
static bool may_govern(const struct step *s, unsigned verb)
{
    return s->is->other != 0 || (s->verbs & verb) != 0;
}

enum model_result op_generation_hold(struct step *s)
{
    if (!may_govern(s, VERB_HOLD))
        return RESULT_DENIED;
    if (generation_gone(s))
        return RESULT_GONE;
    if (s->is->op == OP_GENERATION_HOLD)
        due_first(s);
    s->g->hold = s->g->owed_hold = s->is->op == OP_GENERATION_HOLD;
    return RESULT_OK;
}

/* Value: 0 none, 1 no delete, 2 read only. */
enum model_result op_generation_lock(struct step *s)
{
    if (!may_govern(s, VERB_LOCK))
        return RESULT_DENIED;
    if (generation_gone(s))
        return RESULT_GONE;
    if (s->is->value != 0)
        due_first(s);
    s->g->lock = (uint8_t)s->is->value;
    return RESULT_OK;
}
