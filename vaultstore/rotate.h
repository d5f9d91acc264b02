/* rotate.h: what making an object needs to know when it is the next version of a key. */
#ifndef ROTATE_H
#define ROTATE_H
#include "object.h"
#include "store_internal.h"

/* May the login make the next version of this key? VS_DENIED; VS_LOCKED; VS_WRONG_STATE: it is
 * deleted, or has a next version that is live. */
VS_MUST_USE int rotate_allows(struct commit_txn *txn, const struct generation *live,
                              const struct vs_login *login, const struct vs_id *former);
/* Gives the new key what it inherits, and the former its successor. */
VS_MUST_USE int rotate_link(struct commit_txn *txn, const struct vs_login *login,
                            const struct vs_id *former, struct vs_header *header);
bool rotate_superseded(const struct vs_header *header);
#endif
