/* policy.h: (policy, header, principal, now) to verdict. Pure: no I/O, no clock. */
#ifndef POLICY_H
#define POLICY_H
#include "lifecycle.h"

/* Every field within its range? VS_POLICY otherwise. */
VS_MUST_USE int policy_check(const struct vs_policy *policy);
/* May `to` replace `from`? VS_POLICY for a one-way switch turned back. */
VS_MUST_USE int policy_change(const struct vs_policy *from, const struct vs_policy *to);
/* May `role` do `action` to the object at vault time `now`? VS_OK, VS_RETAINED, VS_HELD,
 * VS_LOCKED, VS_DENIED. Purge with protection off: by a logged-in user or SO; by date: anyone. */
VS_MUST_USE int policy_allows(const struct vs_policy *policy, const struct vs_header *header,
                              enum vs_role role, enum vs_action action, int64_t now);
int64_t policy_purge_date(const struct vs_policy *policy, int64_t now);
/* 0 purgeable, 1 recoverable and purgeable, 2 recoverable, 3 recoverable and held. */
uint32_t policy_recovery_level(const struct vs_policy *policy, const struct vs_header *header);
#endif
