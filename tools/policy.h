/* policy.h: the rules of a vault's policy, by the keys of reprieve.conf. */
#ifndef POLICY_H
#define POLICY_H
#include "command.h"

json_t *policy_json(const struct RPV_POLICY *policy);
/* Puts every KEY=VALUE of run->sets into the policy. */
enum outcome policy_apply(struct run *run, struct RPV_POLICY *policy);
#endif
