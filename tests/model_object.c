/* model_object.c: what is done to an object. */
#include "model_step.h"

#include <stddef.h>

static bool gone(const struct step *s)
{
    return s->o->state == MODEL_NONE ||
           (rule(s, RULE_FINAL) &&
            (s->o->state == MODEL_PURGED || model_object_due(s->store, s->g, s->o)));
}

static bool has(const struct step *s, unsigned verbs)
{
    return (s->verbs & verbs) != 0;
}

/* A deleted object that can be seen bears the name. */
bool name_reserved(const struct step *s, uint8_t name)
{
    for (unsigned i = 0; i < MODEL_OBJECTS && s->g->policy.reserve_names; i++)
        if (s->g->objects[i].state == MODEL_DELETED && s->g->objects[i].name == name &&
            !model_object_due(s->store, s->g, &s->g->objects[i]))
            return true;
    return false;
}

enum model_result op_create(struct step *s)
{
    if (s->o->state != MODEL_NONE)
        return RESULT_STATE;
    if (s->g->lock > 1)
        return RESULT_LOCKED;
    if (name_reserved(s, (uint8_t)s->is->value))
        return RESULT_NAME;
    object_init(s->o);
    s->o->state = MODEL_ACTIVE;
    s->o->name = (uint8_t)s->is->value;
    s->o->version = 1;
    return RESULT_OK;
}

enum model_result op_delete(struct step *s)
{
    const struct model_policy *policy = &s->g->policy;
    if (s->g->lock != 0)
        return RESULT_LOCKED;
    if (gone(s))
        return RESULT_GONE;
    if (!is_live(s->o))
        return RESULT_STATE;
    if (!has(s, VERB_DELETE))
        return RESULT_DENIED;
    if (s->o->lock != 0)
        return RESULT_LOCKED;
    if (policy->disable_before_delete && s->o->state != MODEL_DISABLED)
        return RESULT_STATE;
    s->o->prior = s->o->state;
    s->o->state = MODEL_DELETED;
    s->o->deleted_at = s->store->now;
    s->o->deleted_up = s->store->strict;
    s->o->purge_at = s->store->now + policy->retention;
    s->o->owed = s->model->true_now + policy->retention;
    s->o->owed_up = s->model->uptime + policy->retention;
    return RESULT_OK;
}

void object_undelete(const struct step *s, struct model_object *o)
{
    o->purge_at = o->deleted_at = o->deleted_up = o->owed = o->owed_up = 0;
    for (unsigned i = 0; i < MODEL_ROLES; i++) {
        o->asked[i] = MODEL_NEVER;
        if (rule(s, RULE_LAPSES))
            o->approved[i] = MODEL_NEVER;
    }
}

enum model_result op_recover(struct step *s)
{
    if (s->g->lock > 1)
        return RESULT_LOCKED;
    if (gone(s))
        return RESULT_GONE;
    if (s->o->state != MODEL_DELETED && s->o->state != MODEL_PURGED)
        return RESULT_STATE;
    if (!has(s, VERB_RECOVER))
        return RESULT_DENIED;
    s->o->state = s->g->policy.recover_to_disabled ? MODEL_DISABLED : s->o->prior;
    object_undelete(s, s->o);
    return RESULT_OK;
}

/* Notes that one more asks for the purge; how many there are. */
static unsigned approve(struct step *s)
{
    unsigned n = 0;
    int32_t now = s->store->now;
    s->o->approved[s->is->role] = now;
    for (unsigned i = 0; i < MODEL_ROLES; i++) {
        int32_t *at = &s->o->approved[i];
        if (*at != MODEL_NEVER && rule(s, RULE_WINDOW) && now - *at >= s->g->policy.window)
            *at = MODEL_NEVER;
        n += *at != MODEL_NEVER ? 1 : 0;
    }
    if (rule(s, RULE_DISTINCT))
        return n;
    if (s->o->asks < s->g->policy.approvals)
        s->o->asks++;
    return s->o->asks;
}

enum model_result op_purge(struct step *s)
{
    bool early;
    if (s->g->lock != 0)
        return RESULT_LOCKED;
    if (gone(s))
        return RESULT_GONE;
    if (s->o->state != MODEL_DELETED)
        return RESULT_STATE;
    early = !model_object_past(s->store, s->g, s->o);
    if ((s->o->hold || s->g->hold) && rule(s, RULE_HOLD))
        return RESULT_HELD;
    if (early && s->g->policy.protection && rule(s, RULE_PROTECTION))
        return RESULT_RETAINED;
    if (early && !has(s, VERB_PURGE) && rule(s, RULE_RIGHT))
        return RESULT_DENIED;
    if (early && s->g->policy.approvals > 1 && rule(s, RULE_APPROVALS) &&
        approve(s) < s->g->policy.approvals)
        return RESULT_PENDING;
    s->o->state = MODEL_PURGED;
    s->o->hold = false;
    return RESULT_OK;
}

/* To value seconds from now. */
enum model_result op_postpone(struct step *s)
{
    int32_t date = s->store->now + s->is->value, more;
    if (s->g->lock > 1)
        return RESULT_LOCKED;
    if (gone(s))
        return RESULT_GONE;
    if (s->o->state != MODEL_DELETED)
        return RESULT_STATE;
    if (!has(s, VERB_RECOVER | VERB_HOLD))
        return RESULT_DENIED;
    if (date < s->o->purge_at && rule(s, RULE_ONLY_LATER))
        return RESULT_POLICY;
    more = date - s->o->purge_at;
    s->o->purge_at = date;
    s->o->owed = later(s->o->owed, s->model->true_now + s->is->value);
    s->o->owed_up += more > 0 ? more : 0;
    return RESULT_OK;
}

enum model_result op_enable(struct step *s)
{
    if (s->g->lock > 1)
        return RESULT_LOCKED;
    if (gone(s))
        return RESULT_GONE;
    if (!is_live(s->o))
        return RESULT_STATE;
    if (!has(s, VERB_UPDATE | VERB_POLICY))
        return RESULT_DENIED;
    if (s->o->lock > 1)
        return RESULT_LOCKED;
    s->o->state = s->is->op == OP_ENABLE ? MODEL_ACTIVE : MODEL_DISABLED;
    return RESULT_OK;
}

enum model_result op_hold(struct step *s)
{
    if (s->g->lock > 1)
        return RESULT_LOCKED;
    if (gone(s))
        return RESULT_GONE;
    if (!has(s, VERB_HOLD))
        return RESULT_DENIED;
    s->o->hold = s->o->owed_hold = s->is->op == OP_HOLD;
    return RESULT_OK;
}

/* Value: 1 no delete, 2 read only. */
enum model_result op_lock(struct step *s)
{
    if (s->g->lock > 1)
        return RESULT_LOCKED;
    if (gone(s))
        return RESULT_GONE;
    if (!is_live(s->o))
        return RESULT_STATE;
    if (!has(s, VERB_LOCK))
        return RESULT_DENIED;
    s->o->lock = s->is->op == OP_LOCK ? (uint8_t)s->is->value : 0;
    return RESULT_OK;
}

enum model_result op_rename(struct step *s)
{
    if (s->g->lock > 1)
        return RESULT_LOCKED;
    if (gone(s))
        return RESULT_GONE;
    if (!is_live(s->o))
        return RESULT_STATE;
    if (!has(s, VERB_UPDATE))
        return RESULT_DENIED;
    if (s->o->lock > 1)
        return RESULT_LOCKED;
    if (s->o->name != (uint8_t)s->is->value && name_reserved(s, (uint8_t)s->is->value))
        return RESULT_NAME;
    s->o->name = (uint8_t)s->is->value;
    return RESULT_OK;
}

/* The next version of a key goes where `other` says; the former knows it from then on. */
enum model_result op_rotate(struct step *s)
{
    struct model_object *next = &s->g->objects[s->is->other], *successor = NULL;
    if (s->g->lock > 1)
        return RESULT_LOCKED;
    if (!is_live(s->o) || next->state != MODEL_NONE)
        return RESULT_STATE;
    if (!has(s, VERB_ROTATE))
        return RESULT_DENIED;
    if (s->o->lock > 1)
        return RESULT_LOCKED;
    if (s->o->successor != 0)
        successor = &s->g->objects[s->o->successor - 1];
    if (successor && is_live(successor))
        return RESULT_STATE;
    if (name_reserved(s, s->o->name))
        return RESULT_NAME;
    object_init(next);
    next->state = MODEL_ACTIVE;
    next->name = s->o->name;
    next->version = (uint8_t)(s->o->version + 1);   /* or more, after one that was deleted */
    s->o->successor = (uint8_t)(s->is->other + 1);
    if (!rule(s, RULE_VERSIONS))
        s->o->state = MODEL_NONE;
    return RESULT_OK;
}
