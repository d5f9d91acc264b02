#include "policy.h"

#include "auto.h"

#include <stdio.h>
#include <string.h>

#define DAY 86400

/* ------------------------------------------------------------------ the policy itself */

#define FIELD(member) offsetof(struct vs_policy, member), #member
static const struct field {
    size_t offset;
    const char *name;
    uint32_t least, most, standard;
} fields[] = {
    {FIELD(retention_days), VS_RETENTION_MIN_DAYS, VS_RETENTION_LIMIT_DAYS, 90},
    {FIELD(profile), VS_PROFILE_ORDINARY, VS_PROFILE_STRICT, VS_PROFILE_ORDINARY},
    {FIELD(pin_tries), 3, 100, VS_PIN_TRIES_DEFAULT},
    {FIELD(scrypt_log_n), VS_SCRYPT_LOG_N_MIN, VS_SCRYPT_LOG_N_MAX, VS_SCRYPT_LOG_N_DEFAULT},
    {FIELD(min_rsa_bits), 1024, 16384, 2048},
    {FIELD(recover_to), 0, 1, 0},
    {FIELD(audit_use), 0, 1, 0},
    {FIELD(purge_approvals), 0, VS_APPROVALS_MAX, 0},
    {FIELD(approval_hours), 0, 720, 24},
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

void vs_policy_default(struct vs_policy *ret_policy)
{
    *ret_policy = (struct vs_policy){.purge_protection = true};
    for (size_t i = 0; i < FIELDS; i++)
        memcpy((uint8_t *)ret_policy + fields[i].offset, &fields[i].standard, sizeof(uint32_t));
}

static uint32_t field_value(const struct field *field, const struct vs_policy *policy)
{
    uint32_t value;

    memcpy(&value, (const uint8_t *)policy + field->offset, sizeof(value));
    return value;
}

/* The first one out of its range, or NULL. */
static const struct field *field_bad(const struct vs_policy *policy)
{
    for (size_t i = 0; i < FIELDS; i++) {
        uint32_t value = field_value(&fields[i], policy);

        if (value < fields[i].least || value > fields[i].most)
            return &fields[i];
    }
    return NULL;
}

int policy_check(const struct vs_policy *policy)
{
    return field_bad(policy) == NULL ? VS_OK : VS_POLICY;
}

void policy_settle(struct vs_policy *policy)
{
    if (policy->profile == VS_PROFILE_STRICT)
        policy->refuse_conflicts = policy->refuse_legacy_padding = true;
}

/* Protection from the start has no cooling-off; a clock that stands still does not end one. */
static bool cooling_off(const struct vs_policy *policy, int64_t now)
{
    return policy->protected_since != 0 && now - policy->protected_since < VS_COOLING_OFF;
}

int policy_change(const struct vs_policy *from, const struct vs_policy *to, int64_t now)
{
    VS_TRY(policy_check(to));
    return from->purge_protection && !to->purge_protection && !cooling_off(from, now) ? VS_POLICY
                                                                                      : VS_OK;
}

void vs_policy_explain(const struct vs_policy *from, const struct vs_policy *to,
                       uint32_t retention_max, char ret_why[VS_POLICY_WHY])
{
    const struct field *bad = field_bad(to);
    bool too_long = to->retention_days > retention_max &&
                    (from == NULL || to->retention_days != from->retention_days);

    if (too_long || (bad != NULL && bad->offset == offsetof(struct vs_policy, retention_days)))
        snprintf(ret_why, VS_POLICY_WHY,
                 "retention_days must be from %u to %u (retention_max_days of the configuration)",
                 VS_RETENTION_MIN_DAYS, (unsigned)retention_max);
    else if (bad != NULL)
        snprintf(ret_why, VS_POLICY_WHY, "%s must be from %u to %u", bad->name,
                 (unsigned)bad->least, (unsigned)bad->most);
    else
        snprintf(ret_why, VS_POLICY_WHY, "purge_protection cannot be switched off %s",
                 from != NULL && from->protected_since != 0
                     ? "any more: its 72 hours of cooling-off are over"
                     : "again: the vault has had it from the start");
}

/* ------------------------------------------------------------------ who may do what */

enum lock { LOCK_NONE = 0, LOCK_NO_DELETE = 1, LOCK_READ_ONLY = 2 };

/* The verbs one of which is asked for of who acts on a private object (0: none) or on any, and the
 * highest lock that lets it pass. Who may purge depends on more than that. */
static const struct {
    uint32_t verbs;
    uint32_t lock;
    bool on_public;
} rules[ACTION_COUNT] = {
    [ACTION_READ] = {VS_VERBS_ALL, LOCK_READ_ONLY, false},
    [ACTION_UPDATE] = {VS_VERB_UPDATE, LOCK_NO_DELETE, false},
    [ACTION_DELETE] = {VS_VERB_DELETE, LOCK_NONE, false},
    [ACTION_RECOVER] = {VS_VERB_RECOVER, LOCK_READ_ONLY, false},
    [ACTION_PURGE] = {0, LOCK_READ_ONLY, false},
    [ACTION_POSTPONE] = {VS_VERB_RECOVER | VS_VERB_HOLD, LOCK_READ_ONLY, false},
    [ACTION_DISABLE] = {VS_VERB_UPDATE | VS_VERB_POLICY, LOCK_NO_DELETE, false},
    [ACTION_ENABLE] = {VS_VERB_UPDATE | VS_VERB_POLICY, LOCK_NO_DELETE, false},
    [ACTION_DATES] = {VS_VERB_UPDATE | VS_VERB_POLICY, LOCK_NO_DELETE, false},
    [ACTION_HOLD] = {VS_VERB_HOLD, LOCK_READ_ONLY, true},
    [ACTION_LOCK] = {VS_VERB_LOCK, LOCK_READ_ONLY, true},
    [ACTION_REASON] = {VS_VERB_UPDATE | VS_VERB_DELETE | VS_VERB_POLICY, LOCK_NO_DELETE, false},
    [ACTION_HONEYTOKEN] = {VS_VERB_POLICY, LOCK_READ_ONLY, true},
};

uint32_t policy_verbs(enum vs_action action)
{
    return (unsigned)action < ACTION_COUNT ? rules[action].verbs : 0;
}

static int purge_allows(const struct vs_policy *policy, const struct vs_header *header,
                        uint32_t verbs, int64_t now)
{
    if (header->state != VS_STATE_DELETED)
        return VS_WRONG_STATE;
    if (header->hold)
        return VS_HELD;
    if (now >= header->purge_at)
        return VS_OK;
    if (policy->purge_protection)
        return VS_RETAINED;
    return verbs & VS_VERB_PURGE ? VS_OK : VS_DENIED;
}

int policy_allows(const struct vs_policy *policy, const struct vs_header *header,
                  uint32_t verbs, enum vs_action action, int64_t now)
{
    if ((unsigned)action >= ACTION_COUNT)
        return VS_DENIED;
    if ((header->is_private || rules[action].on_public) && rules[action].verbs != 0 && !(rules[action].verbs & verbs))
        return VS_DENIED;
    if (header->lock > rules[action].lock)
        return VS_LOCKED;
    return action == ACTION_PURGE ? purge_allows(policy, header, verbs, now) : VS_OK;
}

/* ------------------------------------------------------------------ dates and levels */

int64_t policy_purge_date(const struct vs_policy *policy, int64_t now)
{
    int64_t date;
    return __builtin_add_overflow(now, (int64_t)policy->retention_days * DAY, &date) ? INT64_MAX
                                                                                     : date;
}

uint32_t policy_recovery_level(const struct vs_policy *policy, const struct vs_header *header)
{
    return header->hold ? 3 : policy->purge_protection ? 2 : 1;
}

bool policy_weakens(const struct vs_policy *from, const struct vs_policy *to)
{
    /* what protects more is the greater */
    const struct { uint64_t from, to; } rows[] = {
        {from->retention_days, to->retention_days},
        {from->purge_protection, to->purge_protection},
        {from->profile, to->profile},
        {to->pin_tries, from->pin_tries},
        {from->scrypt_log_n, to->scrypt_log_n},
        {from->min_rsa_bits, to->min_rsa_bits},
        {from->recover_to, to->recover_to},
        {from->reserve_names, to->reserve_names},
        {from->require_backup, to->require_backup},
        {from->disable_before_delete, to->disable_before_delete},
        {from->refuse_conflicts, to->refuse_conflicts},
        {from->refuse_legacy_padding, to->refuse_legacy_padding},
        {from->clock_strict, to->clock_strict},
        {from->audit_use, to->audit_use},
        {from->purge_approvals > 1 ? from->purge_approvals : 0,
         to->purge_approvals > 1 ? to->purge_approvals : 0},
        {from->newest_only, to->newest_only},
        {from->private_audit, to->private_audit},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].to < rows[i].from)
            return true;
    return false;
}
