/* rotation.h: rotation by age, for `key rotate --due` and `sweep`. */
#ifndef ROTATION_H
#define ROTATION_H
#include "client.h"

/* The keys that are due; no login needed. The caller frees with free(). */
enum outcome rotation_due(struct client *client, CK_SLOT_ID slot, struct RPV_UNIQUE_ID **ret_ids,
                          CK_ULONG *ret_n);
/* Rotates them, logged in; appends what was made. */
enum outcome rotation_do(struct client *client, json_t *rows);
#endif
