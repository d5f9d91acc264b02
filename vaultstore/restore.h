/* restore.h: what restore.c and restore_settings.c share. */
#ifndef RESTORE_H
#define RESTORE_H
#include "blob.h"

/* The policy and the users of an opened blob. */
VS_MUST_USE int restore_settings(struct vs_store *store, uint32_t vault, struct vs_login *login,
                                 struct blob *blob, const struct vs_restore *ask,
                                 uint64_t *ret_restored);
#endif
