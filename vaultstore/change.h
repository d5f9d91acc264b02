/* change.h: one change of one object: the same way for all, with a step of its own in the middle. */
#ifndef CHANGE_H
#define CHANGE_H
#include "object.h"
#include "store_internal.h"

struct change {
    uint32_t vault;
    struct vs_login *login;
    const struct vs_id *id;
    enum vs_action action;
    const char *operation;
    int (*step)(struct commit_txn *txn, struct change *change);
    /* within the transaction */
    struct generation live;
    struct vs_header before, header;
    struct index_tags tags_before, tags;
    char detail[96];
    /* of an update */
    const struct vs_new_object *object;
    uint32_t version;
    const struct index_tags *new_tags;
    /* of a postponement */
    int64_t purge_at;
    /* of a delete, of a recovery */
    const char *label;
    bool label_taken;
    /* of govern.c */
    const struct vs_govern *govern;
};

/* A commit_fn; ctx is a struct change. */
VS_MUST_USE int change_run(struct commit_txn *txn, void *ctx);

/* May this be done to the object, by its state, the login's verbs and the policy? And what next? */
VS_MUST_USE int change_allows(struct commit_txn *txn, const struct change *c,
                              const struct vs_header *header, enum vs_action action,
                              enum vs_state *ret_next);

/* govern.c: how a new object starts. */
VS_MUST_USE int govern_new_check(const struct vs_policy *policy, uint32_t verbs,
                                 const struct vs_new_object *object);
void govern_apply(const struct vs_govern *govern, struct vs_header *header);

/* name.c: labels, which the store knows by their tags. VS_NAME_RESERVED: a deleted object has the
 * new one's, be it public or private. */
VS_MUST_USE int name_reserved(struct commit_txn *txn, const struct generation *live,
                              const struct vs_new_object *object, const struct vs_login *login);
bool name_same(const struct vs_store *store, const struct index_tags *a,
               const struct index_tags *b);
/* Does a live object of the same kind of secrecy bear it? */
VS_MUST_USE int name_taken(struct commit_txn *txn, const struct vs_header *header,
                           const struct index_tags *tags, bool *ret_taken);
#endif
