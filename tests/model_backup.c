/* model_backup.c: backups, what a restore makes of them, and the older copy of the files. */
#include "model_step.h"

#include <stddef.h>
#include <string.h>

static struct model_item item_of(const struct model_object *o)
{
    return (struct model_item){.state = o->state, .prior = o->prior, .lock = o->lock,
                               .hold = o->hold, .name = o->name, .successor = o->successor,
                               .version = o->version, .purge_at = o->purge_at,
                               .deleted_at = o->deleted_at};
}

/* `other`: which backup, in place of what was in it; value: to a key outside. */
enum model_result op_backup(struct step *s)
{
    struct model_backup *b = &s->model->backups[s->is->other];
    memset(b, 0, sizeof(*b));
    b->made = true;
    b->outside = s->is->value != 0;
    b->generation = s->store->live;
    b->since_copy = s->g->since_copy;
    for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
        const struct model_object *o = &s->g->objects[i];
        bool there = (is_live(o) || o->state == MODEL_DELETED) &&
                     !model_object_due(s->store, s->g, o);
        if (there && (s->is->op == OP_BACKUP_ALL || i == s->is->object))
            b->items[i] = item_of(o);
        else if (s->is->op == OP_BACKUP && i == s->is->object)
            return RESULT_GONE;
    }
    return RESULT_OK;
}

/* ------------------------------------------------------------------ restore */

static bool item_in(const struct model_item *item)
{
    return item->state != MODEL_NONE;
}

static bool item_past(const struct step *s, const struct model_item *item)
{
    return item->state == MODEL_DELETED && !item->hold && item->purge_at <= s->store->now;
}

/* RESULT_GONE: purged, and left out. */
static enum model_result item_judge(const struct step *s, const struct model_item *item,
                                    const struct model_object *o)
{
    if (!rule(s, RULE_RESTORE_FINAL))
        return RESULT_OK;
    if (item_past(s, item) || item->state == MODEL_PURGED || o->state == MODEL_PURGED ||
        model_object_due(s->store, s->g, o))
        return RESULT_GONE;
    if (o->state == MODEL_NONE)
        return RESULT_OK;
    if (s->is->op == OP_RESTORE)
        return RESULT_STATE;
    return o->lock > 1 ? RESULT_LOCKED : RESULT_OK;
}

static void item_new(const struct step *s, const struct model_item *item, struct model_object *o)
{
    int32_t left = item->purge_at - s->store->now;
    object_init(o);
    o->state = item->state == MODEL_PURGED ? MODEL_ACTIVE : item->state;
    o->prior = item->prior;
    o->name = item->name;
    o->lock = item->lock;
    o->hold = o->owed_hold = item->hold;
    o->successor = item->successor;
    o->version = item->version;
    if (o->state != MODEL_DELETED)
        return;
    o->purge_at = item->purge_at;
    o->deleted_at = item->deleted_at;
    o->deleted_up = s->store->strict;
    o->owed = s->model->true_now + left;
    o->owed_up = s->model->uptime + left;
}

/* Attributes, dates and state of the backup, but nothing that protects is taken away. */
static void item_replace(const struct step *s, const struct model_item *item,
                         struct model_object *o)
{
    bool merge = rule(s, RULE_MERGE);
    o->name = item->name;
    o->hold = item->hold || (merge && o->hold);
    o->owed_hold |= item->hold;
    o->lock = item->lock > o->lock ? item->lock : o->lock;
    if (item->state == MODEL_DELETED && o->state == MODEL_DELETED) {
        o->prior = item->prior;
        o->purge_at = merge ? later(o->purge_at, item->purge_at) : item->purge_at;
        return;
    }
    o->state = item->state == MODEL_DELETED ? item->prior : item->state;
    object_undelete(s, o);
}

/* All or nothing, but for what was purged. */
static enum model_result items_judge(const struct step *s, const struct model_backup *b)
{
    for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
        enum model_result result;
        if (!item_in(&b->items[i]))
            continue;
        result = item_judge(s, &b->items[i], &s->g->objects[i]);
        if (result != RESULT_OK && result != RESULT_GONE)
            return RESULT_STATE;
    }
    return RESULT_OK;
}

/* To another generation of the vault: what is in the former is to be recovered with it. */
static enum model_result judge_elsewhere(const struct step *s, const struct model_backup *b)
{
    const struct model_generation *g = &s->store->generations[b->generation % MODEL_GENERATIONS];
    bool purged = b->generation >= MODEL_GENERATIONS || g->state == MODEL_PURGED;
    for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
        const struct model_item *item = &b->items[i];
        if (!item_in(item))
            continue;
        if (!purged && !item_past(s, item) && item->state != MODEL_PURGED &&
            g->objects[i].state != MODEL_PURGED)
            return RESULT_STATE;
    }
    return RESULT_OK;
}

/* The vault's own key of that day; or, in a store that does not know it, the pair of that day. */
static bool key_fits(const struct step *s, const struct model_backup *b)
{
    bool named = s->is->role >= MODEL_NAMED;
    if (b->outside)
        return true;
    if (b->generation != s->store->live)
        return false;
    return !(b->closed & KEY_ROTATED) || !named ||
           !(b->closed & 1u << (s->is->role - MODEL_NAMED));
}

enum model_result op_restore(struct step *s)
{
    const struct model_backup *b = &s->model->backups[s->is->other];
    enum model_result result;
    if (!b->made)
        return RESULT_GONE;
    if (s->g->lock > 1)
        return RESULT_LOCKED;
    if (!(s->verbs & VERB_RESTORE))
        return RESULT_DENIED;
    if (!key_fits(s, b))
        return RESULT_KEY;
    if (b->generation != s->store->live)
        return judge_elsewhere(s, b);
    result = items_judge(s, b);
    for (unsigned i = 0; i < MODEL_OBJECTS && result == RESULT_OK; i++) {
        struct model_object *o = &s->g->objects[i];
        if (!item_in(&b->items[i]) || item_judge(s, &b->items[i], o) != RESULT_OK)
            continue;
        if (o->state == MODEL_NONE || o->state == MODEL_PURGED)
            item_new(s, &b->items[i], o);
        else
            item_replace(s, &b->items[i], o);
    }
    return result;
}

/* ------------------------------------------------------------------ the older copy */

enum model_result op_copy(struct step *s)
{
    if (s->model->rolled_back)
        return RESULT_STATE;
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++)
        s->store->generations[i].since_copy = 0;
    for (unsigned i = 0; i < MODEL_BACKUPS; i++) {
        s->model->backups[i].since_copy = 0;
        s->model->backups[i].closed_to_copy = s->model->backups[i].closed;
    }
    s->model->copy = s->model->store;
    s->model->copy.there = true;
    return RESULT_OK;
}

/* Which keys the older copy has for what was backed up since. */
static void backups_go_back(struct model *model)
{
    for (unsigned i = 0; i < MODEL_BACKUPS; i++) {
        struct model_backup *b = &model->backups[i];
        b->closed = b->since_copy & KEY_ROTATED ? b->since_copy : b->closed_to_copy;
        b->closed_to_copy = b->closed;
        b->since_copy = 0;
    }
}

/* What was purged since has lost its slot, whatever the copy says of it, or if it knows it not. */
static void slots_stay_wiped(const struct model_store *since, struct model_store *copy)
{
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++)
        for (unsigned j = 0; j < MODEL_OBJECTS; j++)
            if (since->generations[i].objects[j].state == MODEL_PURGED)
                copy->generations[i].objects[j].state = MODEL_PURGED;
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++)
        if (since->generations[i].state == MODEL_PURGED)
            copy->generations[i].state = MODEL_PURGED;
}

/* The clocks go on. Where the vault itself was purged since, nobody is left to accept anything. */
enum model_result op_rollback(struct step *s)
{
    struct model_store back = s->model->copy;
    if (!back.there || s->model->rolled_back)
        return RESULT_STATE;
    if (s->store->generations[back.live].state == MODEL_PURGED)
        return RESULT_STATE;
    if (rule(s, RULE_SLOTS))
        slots_stay_wiped(s->store, &back);
    back.there = false;
    back.now = s->store->now;
    back.strict = s->store->strict;
    *s->store = back;
    backups_go_back(s->model);
    s->model->rolled_back = true;
    return RESULT_OK;
}

enum model_result op_accept(struct step *s)
{
    if (!s->model->rolled_back)
        return RESULT_STATE;
    s->model->rolled_back = false;
    return RESULT_OK;
}
