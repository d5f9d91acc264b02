/* policy.h: (policy, header, principal, now) to verdict. Pure: no I/O, no clock. */
#ifndef POLICY_H
#define POLICY_H
#include "lifecycle.h"

/* Every field within its range? VS_POLICY otherwise. */
VS_MUST_USE int policy_check(const struct vs_policy *policy);
/* May `to` replace `from` at vault time `now`? VS_POLICY for a one-way switch turned back. */
VS_MUST_USE int policy_change(const struct vs_policy *from, const struct vs_policy *to,
                              int64_t now);
/* Does `to` protect less than `from` in any respect? */
bool policy_weakens(const struct vs_policy *from, const struct vs_policy *to);
/* The verbs one of which an action asks for. */
uint32_t policy_verbs(enum vs_action action);
/* What one switch forces upon others. */
void policy_settle(struct vs_policy *policy);
/* May who has `verbs` (0: nobody is logged in) do `action` to the object at vault time `now`?
 * VS_OK, VS_RETAINED, VS_HELD, VS_LOCKED, VS_DENIED. Public objects ask for no verb, but for a
 * purge before the date, which always does; a purge by date is anyone's. */
VS_MUST_USE int policy_allows(const struct vs_policy *policy, const struct vs_header *header,
                              uint32_t verbs, enum vs_action action, int64_t now);
int64_t policy_purge_date(const struct vs_policy *policy, int64_t now);
/* 0 purgeable, 1 recoverable and purgeable, 2 recoverable, 3 recoverable and held. */
uint32_t policy_recovery_level(const struct vs_policy *policy, const struct vs_header *header);
#endif
