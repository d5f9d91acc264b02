/* due.h: what has a purge date. */
#ifndef DUE_H
#define DUE_H
#include "client.h"

/* How many objects and generations are past it; or, deleted in the vault chosen, have one at all.
 * 0 when it is not to be learned. Only ever good for a sign of progress. */
unsigned long long due_count(struct client *client, bool of_vault);
#endif
