/* model_step.h: between the model's files: a step on its way. */
#ifndef MODEL_STEP_H
#define MODEL_STEP_H
#include "model.h"

struct step {
    struct model *model;
    struct model_store *store;   /* the model's */
    const struct model_limits *limits;
    unsigned rules;
    const struct model_step *is;
    unsigned verbs;              /* of who acts */
    struct model_generation *g;  /* the one named; of a step on an object the live one */
    struct model_object *o;
};

static inline bool rule(const struct step *s, enum model_rule rule)
{
    return (s->rules & (unsigned)rule) != 0;
}

static inline int32_t later(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static inline bool is_live(const struct model_object *o)
{
    return o->state == MODEL_ACTIVE || o->state == MODEL_DISABLED;
}

/* model_object.c: of an object */
void object_init(struct model_object *o);
/* What goes with the end of a delete. */
void object_undelete(const struct step *s, struct model_object *o);
bool name_reserved(const struct step *s, uint8_t name);
enum model_result op_create(struct step *s);
enum model_result op_delete(struct step *s);
enum model_result op_recover(struct step *s);
enum model_result op_purge(struct step *s);
enum model_result op_postpone(struct step *s);
enum model_result op_enable(struct step *s);
enum model_result op_hold(struct step *s);
enum model_result op_lock(struct step *s);
enum model_result op_rename(struct step *s);
enum model_result op_rotate(struct step *s);

/* model_vault.c: policy, users, generations */
void sweep_objects(struct step *s, struct model_generation *g);
enum model_result op_policy(struct step *s);
enum model_result op_user(struct step *s);
enum model_result op_init(struct step *s);
enum model_result op_generation_recover(struct step *s);
enum model_result op_generation_purge(struct step *s);
enum model_result op_generation_hold(struct step *s);
enum model_result op_generation_lock(struct step *s);
enum model_result op_sweep(struct step *s);

/* model_backup.c: backups, and the older copy */
enum model_result op_backup(struct step *s);
enum model_result op_restore(struct step *s);
enum model_result op_copy(struct step *s);
enum model_result op_rollback(struct step *s);
enum model_result op_accept(struct step *s);
#endif
