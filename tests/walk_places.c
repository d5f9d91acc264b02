/* walk_places.c: the model has few places: which real object is in which, and when one is free. */
#include "walk.h"

/* ------------------------------------------------------------------ the model's places, again */

/* An object is gone for good: what the backups and the copy have of it is, too. */
static void object_forget(unsigned i, unsigned j)
{
    unsigned serial = w->now.serials[i][j];
    for (unsigned b = 0; b < MODEL_BACKUPS; b++)
        if (w->model.backups[b].made && w->backup_serials[b][j] == serial &&
            w->model.backups[b].items[j].state != MODEL_NONE)
            w->model.backups[b].items[j].state = MODEL_PURGED;
    if (w->model.copy.there && w->copy.serials[i][j] == serial)
        w->model.copy.generations[i].objects[j].state = MODEL_PURGED;
    for (unsigned k = 0; k < MODEL_OBJECTS; k++) {
        struct model_object *o = &w->model.store.generations[i].objects[k];
        if (o->successor == j + 1)
            o->successor = 0;
        o = &w->model.copy.generations[i].objects[k];
        if (o->successor == j + 1 && w->copy.serials[i][j] == serial)
            o->successor = 0;
        for (unsigned b = 0; b < MODEL_BACKUPS; b++)
            if (w->model.backups[b].generation == i &&
                w->model.backups[b].items[k].successor == j + 1)
                w->model.backups[b].items[k].successor = 0;
    }
    w->now.serials[i][j] = 0;
    w->now.ids[i][j][0] = '\0';
    w->seen.of[i][j] = FATE_NEVER;
}

static void object_clear(struct model_object *o)
{
    memset(o, 0, sizeof(*o));
    for (unsigned i = 0; i < MODEL_ROLES; i++)
        o->approved[i] = o->asked[i] = MODEL_NEVER;
}

static void generation_forget(unsigned i)
{
    struct model_generation *g = &w->model.store.generations[i];
    for (unsigned b = 0; b < MODEL_BACKUPS; b++)
        if (w->model.backups[b].generation == i)
            w->model.backups[b].generation = UINT8_MAX;
    if (w->model.copy.there && w->copy.numbers[i] == w->now.numbers[i]) {
        w->model.copy.there = w->model.copy.live != i;
        w->model.copy.generations[i].state = MODEL_PURGED;
    }
    memset(g, 0, sizeof(*g));
    for (unsigned j = 0; j < MODEL_OBJECTS; j++)
        object_clear(&g->objects[j]);
    w->now.numbers[i] = 0;
}

/* What is purged makes room for another; it was looked for, and is not there. */
void recycle(void)
{
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++) {
        struct model_generation *g = &w->model.store.generations[i];
        for (unsigned j = 0; j < MODEL_OBJECTS; j++)
            if (g->objects[j].state == MODEL_PURGED || g->state == MODEL_PURGED) {
                object_forget(i, j);
                object_clear(&g->objects[j]);
            }
        if (g->state == MODEL_PURGED)
            generation_forget(i);
    }
}

/* Backups of what the copy does not know: they stay where there is room for what is in them. */
void backups_rebind(void)
{
    for (unsigned b = 0; b < MODEL_BACKUPS; b++) {
        struct model_backup *backup = &w->model.backups[b];
        unsigned i = backup->generation;
        if (w->backup_births[b] > w->copy.last_birth)
            backup->made = false;
        for (unsigned j = 0; backup->made && i < MODEL_GENERATIONS && j < MODEL_OBJECTS; j++) {
            bool in = backup->items[j].state != MODEL_NONE &&
                      backup->items[j].state != MODEL_PURGED;
            unsigned serial = w->now.serials[i][j];
            if (!in || serial == w->backup_serials[b][j])
                continue;
            if (serial != 0)
                backup->made = false;
        }
    }
}

/* What a restore has made is known by the id that it had. */
void restored_bind(unsigned backup)
{
    uint8_t live = w->model.store.live;
    for (unsigned j = 0; j < MODEL_OBJECTS; j++) {
        if (live_model()->objects[j].state == MODEL_NONE || w->now.serials[live][j] != 0)
            continue;
        w->now.serials[live][j] = w->backup_serials[backup][j];
        memcpy(w->now.ids[live][j], w->backup_ids[backup][j], 33);
        memset(w->now.blocks[live][j], 0, 16);
    }
}
