/* lifecycle.h: the table (state, action) to state or refusal. Pure. */
#ifndef LIFECYCLE_H
#define LIFECYCLE_H
#include "vaultstore.h"

enum vs_action { ACTION_READ, ACTION_UPDATE, ACTION_DELETE, ACTION_RECOVER, ACTION_PURGE,
                 ACTION_POSTPONE, ACTION_DISABLE, ACTION_ENABLE, ACTION_DATES, ACTION_HOLD,
                 ACTION_LOCK, ACTION_REASON, ACTION_HONEYTOKEN, ACTION_COUNT };
/* VS_OK and the next state (recover: `prior`), or VS_WRONG_STATE / VS_NOT_FOUND. */
VS_MUST_USE int lifecycle_next(enum vs_state state, enum vs_state prior, enum vs_action action,
                               enum vs_state *ret_next);
/* The state at vault time `now`: what is stored as active may not be so yet, or no more. */
enum vs_state lifecycle_effective(const struct vs_header *header, int64_t now);
const char *lifecycle_action_name(enum vs_action action);
#endif
