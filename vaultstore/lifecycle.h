/* lifecycle.h: the table (state, action) to state or refusal. Pure. */
#ifndef LIFECYCLE_H
#define LIFECYCLE_H
#include "vaultstore.h"

enum vs_action { ACTION_READ, ACTION_UPDATE, ACTION_DELETE, ACTION_RECOVER, ACTION_PURGE,
                 ACTION_POSTPONE, ACTION_DISABLE, ACTION_ENABLE, ACTION_COUNT };
/* VS_OK and the next state (recover: `prior`), or VS_WRONG_STATE / VS_NOT_FOUND. */
VS_MUST_USE int lifecycle_next(enum vs_state state, enum vs_state prior, enum vs_action action,
                               enum vs_state *ret_next);
const char *lifecycle_action_name(enum vs_action action);
#endif
