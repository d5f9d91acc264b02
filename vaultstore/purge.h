/* purge.h: the end of objects and generations, in two steps. See purge.c. */
#ifndef PURGE_H
#define PURGE_H
#include "object.h"

struct generation;

/* Within a transaction: the object's record goes, its slot's end is pending. */
VS_MUST_USE int purge_object(struct commit_txn *txn, const struct object_record *record,
                             const char *principal);
/* Within a transaction: the generation is gone for good, its content's end is pending. */
VS_MUST_USE int purge_generation(struct commit_txn *txn, struct generation *generation,
                                 const char *principal);
/* Does what is pending (slots to overwrite, generations to clear), of any process. */
VS_MUST_USE int purge_finish(struct vs_store *store);

/* approval.c: notes that who is logged in asks for the purge, and says how many do that count. */
VS_MUST_USE int approval_add(struct commit_txn *txn, const struct vs_header *header,
                             const struct vs_policy *policy, const struct vs_login *login,
                             struct vs_approvals *ret_approvals);
/* Those of format 2 name their principal by its name alone: they are to be given anew. */
VS_MUST_USE int approvals_forget(struct commit_txn *txn);
/* tombstone.c */
VS_MUST_USE int tombstone_put(struct commit_txn *txn, const struct vs_tombstone *tombstone);
#endif
