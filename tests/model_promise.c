/* model_promise.c: the property, apart from all that is there to keep it. */
#include "model.h"

#include <stddef.h>

static enum model_fate fate_of(const struct model_store *store, const struct model_generation *g,
                               const struct model_object *o)
{
    if (o->state == MODEL_NONE)
        return FATE_NEVER;
    if (o->state == MODEL_PURGED || g->state == MODEL_PURGED ||
        model_generation_due(store, g, RULES_ALL))
        return FATE_GONE;
    if (!model_object_due(store, g, o))
        return FATE_HAD;
    return g->state == MODEL_DELETED ? FATE_WAITS : FATE_GONE;
}

void model_fates(const struct model *model, struct model_fates *ret_fates)
{
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++) {
        const struct model_generation *g = &model->store.generations[i];
        for (unsigned j = 0; j < MODEL_OBJECTS; j++)
            ret_fates->of[i][j] = (uint8_t)fate_of(&model->store, g, &g->objects[j]);
    }
}

/* How many principals have asked for the purge of it, within the window. */
static unsigned asked_by(const struct model_generation *g, const struct model_object *o,
                         int32_t true_now, const struct model_step *step)
{
    unsigned n = 0;
    for (unsigned i = 0; i < MODEL_ROLES; i++)
        n += i == step->role || (o->asked[i] != MODEL_NEVER &&
                                 true_now - o->asked[i] < g->policy.window) ? 1 : 0;
    return n;
}

/* Has its purge date come, by the right clock? Which one that is the policy says now. */
static bool date_came(const struct model *now, bool strict, const struct model_generation *g,
                      const struct model_object *o)
{
    int32_t owed = o->state == MODEL_DELETED ? o->owed : g->owed;
    int32_t owed_up = o->state == MODEL_DELETED ? o->owed_up : g->owed_up;
    if (o->state != MODEL_DELETED && g->state != MODEL_DELETED)
        return false;
    return now->true_now >= owed && (!strict || now->uptime >= owed_up);
}

/* May this object, as it was, have been lost in this step? */
static const char *loss(const struct model *before, const struct model_generation *g,
                        const struct model_object *o, const struct model_generation *now,
                        const struct model_step *step, const struct model *after)
{
    const struct model_object *same = &now->objects[o - g->objects];
    bool asked = step->op == OP_PURGE || (step->op == OP_CRASH && step->value != 0);
    bool whole = step->op == OP_GENERATION_PURGE;
    if (same->owed_hold || now->owed_hold)
        return "an object was lost under a hold";
    if (date_came(after, now->policy.strict, g, o))
        return NULL;
    if (!asked && !whole)
        return "an object was lost before its purge date";
    if (g->owed_protection || g->policy.protection)
        return "an object was purged before its date under protection";
    if (asked && (step->stale || !(model_verbs(before, step->role) & VERB_PURGE)))
        return "an object was purged before its date without the right";
    if (whole && g->policy.approvals > 1)
        return "a purge that takes several principals was done by one";
    if (g->policy.approvals > 1 &&
        asked_by(g, o, after->true_now, step) < g->policy.approvals)
        return "a purge that takes several principals was done by fewer";
    return NULL;
}

/*
 * No call, no crash, no race, no clock change and no policy edit makes a token object unrecoverable
 * before its purge date, and after a purge nothing can bring it back.
 *
 * (Putting back older files is none of these: what came after them is undone, as README says. But
 * a purge that was carried out is not, not even so.)
 */
const char *model_promise(const struct model *before, const struct model_fates *had,
                          const struct model_step *step, const struct model *after,
                          const struct model_fates *has)
{
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++)
        for (unsigned j = 0; j < MODEL_OBJECTS; j++) {
            const struct model_generation *g = &before->store.generations[i];
            const struct model_generation *now = &after->store.generations[i];
            uint8_t was = had->of[i][j], is = has->of[i][j];
            const char *why = NULL;
            if (was == FATE_HAD && is != FATE_HAD && step->op != OP_ROLLBACK)
                why = loss(before, g, &g->objects[j], now, step, after);
            bool swept = g->state == MODEL_PURGED || g->objects[j].state == MODEL_PURGED;
            if (was == FATE_GONE && (is == FATE_HAD || is == FATE_WAITS) &&
                (swept || step->op != OP_ROLLBACK))
                why = "a purged object came back";
            if (why)
                return why;
        }
    return NULL;
}

const char *model_broken(const struct model *before, const struct model_step *step,
                         const struct model *after)
{
    struct model_fates had, has;
    model_fates(before, &had);
    model_fates(after, &has);
    if (after->store.now < before->store.now)
        return "the vault clock went back";
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++)
        for (unsigned j = 0; j < MODEL_OBJECTS; j++)
            if (after->store.generations[i].objects[j].pending && !after->down)
                return "a purge was left half done";
    return model_promise(before, &had, step, after, &has);
}
