/* walk_choose.c: which step comes next at random, and which would make no sense. */
#include "walk.h"

/* ------------------------------------------------------------------ which step */

static int32_t span_random(void)
{
    static const int32_t spans[] = {1, HOUR, DAY, 3 * DAY, 7 * DAY, 8 * DAY, 30 * DAY};
    return spans[random_below(COUNT_OF(spans))];
}

static int32_t value_of(enum model_op op)
{
    int32_t span = span_random();
    switch (op) {
    case OP_RETENTION:
        return (int32_t)(7 + random_below(2) * random_below(84)) * DAY;
    case OP_RECOVER_TO:
    case OP_DISABLE_FIRST:
    case OP_RESERVE:
        return random_below(3) == 0;
    case OP_STRICT:
    case OP_BACKUP:
    case OP_BACKUP_ALL:
        return random_below(2) == 0;
    case OP_POSTPONE:
        return span * (int32_t)(1 + random_below(4));
    case OP_WALL:
    case OP_BOOT:
        return random_below(2) ? span : -span;
    case OP_CREATE:
    case OP_RENAME:
        return (int32_t)random_below(NAMES);
    case OP_LOCK:
        return (int32_t)(1 + random_below(2));
    case OP_GENERATION_LOCK:
        return random_below(2) ? 0 : (int32_t)(1 + random_below(2));
    case OP_APPROVALS:
        return (random_below(2) ? 24 : 720) * HOUR;
    case OP_USER_ADD:
    case OP_USER_VERBS:
        return (int32_t)verbs_random();
    default:
        return span;
    }
}

static unsigned other_of(enum model_op op)
{
    if (op == OP_APPROVALS)
        return random_below(4);
    if (op == OP_ROTATE)
        return random_below(w->limits.objects);
    return random_below(op == OP_USER_ADD || op == OP_USER_REMOVE || op == OP_USER_VERBS
                            ? MODEL_USERS : MODEL_BACKUPS);
}

static unsigned op_random(void)
{
    unsigned total = 0, at, op = 0;
    if (w->model.rolled_back && random_below(6) == 0)
        return OP_ACCEPT;
    for (unsigned i = 0; i < OP_COUNT; i++)
        total += rows[i].weight;
    for (at = random_below(total); at >= rows[op].weight; op++)
        at -= rows[op].weight;
    return op;
}

static bool is_slow(unsigned op)
{
    return op == OP_USER_ADD || op == OP_USER_REMOVE || op == OP_INIT ||
           op == OP_GENERATION_RECOVER || op == OP_RESTORE || op == OP_REPLACE;
}

/* A purge that somebody has asked for already; or any object. */
static unsigned asked_object(void)
{
    unsigned start = random_below(w->limits.objects);
    for (unsigned n = 0; n < w->limits.objects; n++) {
        unsigned object = (start + n) % w->limits.objects;
        for (unsigned i = 0; i < MODEL_ROLES; i++)
            if (live_model()->objects[object].approved[i] != MODEL_NEVER)
                return object;
    }
    return start;
}

void choose(struct script_step *s)
{
    unsigned op = op_random();
    *s = (struct script_step){
        .step = {.op = (uint8_t)op, .value = value_of(op), .other = (uint8_t)other_of(op),
                 .object = (uint8_t)random_below(w->limits.objects),
                 .generation = (uint8_t)random_below(w->limits.generations)},
        .actor = rows[op].by_partner && partner_is() && random_below(5) == 0 ? PARTNER : SELF};
    if (op == OP_PURGE && random_below(2) == 0)
        s->step.object = (uint8_t)asked_object();
    if (live_model()->lock != 0 && random_below(10) == 0)
        s->step = (struct model_step){.op = OP_GENERATION_LOCK, .other = s->step.other,
                                      .generation = w->model.store.live};
    if (random_below(400) == 0)
        s->kill_after = 1 + random_below(is_slow(op) ? 6000 : 600);
}

/* ------------------------------------------------------------------ which make sense */

static bool room_for_generation(void)
{
    for (unsigned i = 0; i < w->limits.generations; i++)
        if (w->model.store.generations[i].state == MODEL_NONE)
            return true;
    return false;
}

/* A backup has an object that is to come back to this place. */
static bool is_claimed(unsigned object)
{
    for (unsigned i = 0; i < MODEL_BACKUPS; i++) {
        const struct model_backup *b = &w->model.backups[i];
        if (b->made && b->generation == w->model.store.live &&
            b->items[object].state != MODEL_NONE && b->items[object].state != MODEL_PURGED)
            return true;
    }
    return false;
}

static bool is_free(unsigned object)
{
    return live_model()->objects[object].state == MODEL_NONE && !is_claimed(object);
}

static bool object_moot(const struct model_step *step)
{
    const struct model_object *o = &live_model()->objects[step->object];
    bool deleted = o->state == MODEL_DELETED;
    bool live = o->state == MODEL_ACTIVE || o->state == MODEL_DISABLED;
    switch (step->op) {
    case OP_CREATE:
        return !is_free(step->object);
    case OP_RECOVER:
    case OP_PURGE:
    case OP_POSTPONE:
        return !deleted;
    case OP_DELETE:
    case OP_RENAME:
    case OP_LOCK:
    case OP_UNLOCK:
        return !live;
    case OP_ROTATE:
        return !live || !is_free(step->other);
    default:
        return !live && !deleted;
    }
}

static bool generation_moot(const struct model_step *step)
{
    const struct model_generation *g = &w->model.store.generations[step->generation];
    switch (step->op) {
    case OP_INIT:
        return !room_for_generation();
    case OP_GENERATION_RECOVER:
    case OP_GENERATION_PURGE:
        return g->state != MODEL_DELETED && g->state != MODEL_NONE;
    case OP_PROTECT:             /* or purges by right would hardly be seen */
        return !w->protects;
    case OP_GENERATION_HOLD:
    case OP_GENERATION_RELEASE:
    case OP_GENERATION_LOCK:
        return g->state != MODEL_DELETED && g->state != MODEL_ACTIVE;
    case OP_RESTORE:
    case OP_REPLACE:
        return !w->model.backups[step->other].made;
    case OP_ROLLBACK:
        return !w->model.copy.there;
    default:
        return false;
    }
}

/* Steps that no call asks for, there is no handle to ask with; or that outgrow the model. */
bool is_moot(const struct script_step *s)
{
    const struct actor *actor = &w->actors[s->actor];
    unsigned op = s->step.op;
    if (s->actor == PARTNER && !partner_is())
        return true;
    if (actor->role == MODEL_SO ? !rows[op].by_so : !rows[op].by_user)
        return true;
    if (w->model.rolled_back ? (op > OP_ACCEPT || op == OP_COPY || op == OP_ROLLBACK ||
                                op == OP_SWEEP || op == OP_INIT)
                             : op == OP_ACCEPT)
        return true;
    return rows[op].on_object ? object_moot(&s->step) : generation_moot(&s->step);
}

/* Most would be refused for want of a verb, by a lock or a hold: of those fewer. */
bool is_boring(const struct script_step *s)
{
    struct model after = w->model;
    enum model_result result = s->step.op < OP_PASS
        ? model_apply(&after, &w->limits, RULES_ALL, &s->step) : RESULT_OK;
    return !w->replaying && random_below(4) != 0 &&
           (result == RESULT_DENIED || result == RESULT_LOCKED || result == RESULT_HELD);
}
