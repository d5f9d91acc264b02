/* content.h: what a generation's own end must heed of the objects in it. */
#ifndef CONTENT_H
#define CONTENT_H
#include "store_internal.h"

/* Is it held, or any object in it? Then it is not purged, by nobody and by no date. Looks at every
 * object: ask last. */
VS_MUST_USE int content_held(struct vs_store *store, struct kv_txn *txn,
                             const struct generation *generation, bool *ret_held);
/* Moves date to the latest purge date in it, if that is later: what was promised of an object is
 * not shortened by the end of its generation. */
VS_MUST_USE int content_last_date(struct kv_txn *txn, const struct clock_reading *clock,
                                  const struct generation *generation, int64_t *date);
/* Is a deleted generation past its date, and nothing in it held? */
VS_MUST_USE int content_past_due(struct vs_store *store, struct kv_txn *txn,
                                 const struct clock_reading *clock,
                                 const struct generation *generation, bool *ret_due);
#endif
