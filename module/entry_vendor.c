/* entry_vendor.c: the vendor interface: what has no object. Structures in, structures out. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "vendor.h"
#include "vendor_audit.h"

/* ------------------------------------------------------------------ conversions */

static struct RPV_POLICY policy_out(const struct vs_policy *policy)
{
    return (struct RPV_POLICY){
        .ulRetentionDays = policy->retention_days,
        .bPurgeProtection = policy->purge_protection,
        .ulProfile = policy->profile,
        .ulPinTries = policy->pin_tries,
        .ulScryptLogN = policy->scrypt_log_n,
        .ulMinRsaBits = policy->min_rsa_bits,
        .ulRecoverTo = policy->recover_to,
        .bReserveNames = policy->reserve_names,
        .bRequireBackup = policy->require_backup,
        .bDisableBeforeDelete = policy->disable_before_delete,
        .bRefuseConflicts = policy->refuse_conflicts,
        .bRefuseLegacyPadding = policy->refuse_legacy_padding,
        .bClockStrict = policy->clock_strict,
        .bTombstoneLabels = policy->tombstone_labels,
        .bNewestOnly = policy->newest_only,
        .bPrivateAudit = policy->private_audit,
        .ulAuditUse = policy->audit_use,
        .ulPurgeApprovals = policy->purge_approvals,
        .ulApprovalHours = policy->approval_hours,
        .protectedSince = policy->protected_since,
    };
}

/* The store judges ranges; what does not fit its types is out of every one. */
static uint32_t clamped(CK_ULONG value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static struct vs_policy policy_in(const struct RPV_POLICY *policy)
{
    struct RPV_POLICY in;
    memcpy(&in, policy, sizeof(in));
    return (struct vs_policy){
        .retention_days = clamped(in.ulRetentionDays),
        .purge_protection = in.bPurgeProtection != CK_FALSE,
        .profile = clamped(in.ulProfile),
        .pin_tries = clamped(in.ulPinTries),
        .scrypt_log_n = clamped(in.ulScryptLogN),
        .min_rsa_bits = clamped(in.ulMinRsaBits),
        .recover_to = clamped(in.ulRecoverTo),
        .reserve_names = in.bReserveNames != CK_FALSE,
        .require_backup = in.bRequireBackup != CK_FALSE,
        .disable_before_delete = in.bDisableBeforeDelete != CK_FALSE,
        .refuse_conflicts = in.bRefuseConflicts != CK_FALSE,
        .refuse_legacy_padding = in.bRefuseLegacyPadding != CK_FALSE,
        .clock_strict = in.bClockStrict != CK_FALSE,
        .tombstone_labels = in.bTombstoneLabels != CK_FALSE,
        .newest_only = in.bNewestOnly != CK_FALSE,
        .private_audit = in.bPrivateAudit != CK_FALSE,
        .audit_use = clamped(in.ulAuditUse),
        .purge_approvals = clamped(in.ulPurgeApprovals),
        .approval_hours = clamped(in.ulApprovalHours),
    };
}

/* What the store says of a policy it was given; `from`: the vault's so far, or NULL. */
static CK_RV policy_status(int status, const struct vs_policy *from, const struct vs_policy *to)
{
    char why[VS_POLICY_WHY];
    if (status == VS_DENIED)
        return trace_fail(CKR_ACTION_PROHIBITED, "the policy verb is missing: the policy is the "
                                                 "SO's to change, or that of a named user who "
                                                 "has this verb");
    if (status != VS_POLICY)
        return store_status(status, "policy");
    vs_policy_explain(from, to, module_state()->config.retention_max_days, why);
    return trace_fail(CKR_ARGUMENTS_BAD, "policy: %s", why);
}

static void label_out(char ret_text[33], const uint8_t label[32])
{
    size_t len = 32;
    while (len > 0 && label[len - 1] == ' ')
        len--;
    memcpy(ret_text, label, len);
    ret_text[len] = 0;
}

static struct RPV_VAULT_INFO vault_out(const struct vs_vault_info *info)
{
    struct RPV_VAULT_INFO out = {
        .slotID = info->vault,
        .ulGeneration = info->generation,
        .createdAt = info->created_at,
        .bUserPinSet = info->user_pin_set,
        .ulSoTriesLeft = info->so_tries_left,
        .ulUserTriesLeft = info->user_tries_left,
        .policy = policy_out(&info->policy),
    };
    memcpy(out.serial, info->serial, sizeof(info->serial));
    label_out(out.label, info->label);
    return out;
}

static struct RPV_GENERATION_INFO generation_out(const struct vs_generation_info *info)
{
    struct RPV_GENERATION_INFO out = {
        .ulGeneration = info->generation,
        .bDeleted = info->deleted,
        .createdAt = info->created_at,
        .deletedAt = info->deleted_at,
        .purgeAt = info->purge_at,
        .ulObjects = info->objects,
        .ulRecoveryLevel = info->recovery_level,
        .bHold = info->hold,
        .ulLock = info->lock,
    };
    label_out(out.label, info->label);
    memcpy(out.deletedBy, info->deleted_by, sizeof(out.deletedBy));
    return out;
}

/* ------------------------------------------------------------------ the store */

static CK_RV store_info(struct RPV_STORE_INFO *info)
{
    const struct module_state *state = module_state();
    size_t vaults = 0;
    TRY(arguments_in(info, 1));
    TRY(store_status(vs_vault_list(state->store, NULL, 0, &vaults), "list of vaults"));
    struct RPV_STORE_INFO out = {.ulFormat = VS_FORMAT, .ulVaults = vaults};
    out.now = (unsigned long long)vs_store_now(state->store);
    if ((size_t)snprintf(out.path, sizeof(out.path), "%s", state->config.store) >=
            sizeof(out.path) ||
        (size_t)snprintf(out.hostKeyPath, sizeof(out.hostKeyPath), "%s%s",
                         state->config.host_key[0] ? state->config.host_key : state->config.store,
                         state->config.host_key[0] ? "" : "/host.key") >= sizeof(out.hostKeyPath))
        return trace_fail(CKR_GENERAL_ERROR, "a path is longer than RPV_STORE_INFO can say");
    *info = out;
    return CKR_OK;
}

static CK_RV RPV_GetStoreInfo(struct RPV_STORE_INFO *pInfo)
{
    CALL(RPV_GetStoreInfo);
    return call_end(&call, store_info(pInfo));
}

static CK_RV sweep(CK_ULONG limit, CK_ULONG *purged)
{
    size_t n = 0;
    TRY(arguments_out(purged));
    TRY(store_status(vs_sweep(module_state()->store, limit, &n), "sweep"));
    *purged = n;
    return CKR_OK;
}

static CK_RV RPV_Sweep(CK_ULONG ulLimit, CK_ULONG *pulPurged)
{
    CALL(RPV_Sweep);
    return call_end(&call, sweep(ulLimit, pulPurged));
}

/* ------------------------------------------------------------------ vaults */

CK_RV array_room(const void *array, CK_ULONG *count, size_t n, bool *ret_fill)
{
    CK_ULONG room = *count;
    *count = n;
    *ret_fill = array && room >= n;
    return array && room < n ? trace_fail(CKR_BUFFER_TOO_SMALL, "there are %zu", n) : CKR_OK;
}

CK_RV array_alloc(const void *array, CK_ULONG count, size_t theirs, size_t ours, void *ret_list)
{
    size_t n = array && count ? count : 1;
    if (n > PTRDIFF_MAX / theirs || n > PTRDIFF_MAX / ours)
        return trace_fail(CKR_ARGUMENTS_BAD, "no array has %zu elements", n);
    void *list = calloc(n, ours);
    memcpy(ret_list, &list, sizeof(list));
    return list ? CKR_OK : CKR_HOST_MEMORY;
}

static CK_RV vaults_fill(const uint32_t *vaults, size_t n, struct RPV_VAULT_INFO *infos)
{
    for (size_t i = 0; i < n; i++) {
        struct vs_vault_info info;
        TRY(store_status(vs_vault_info(module_state()->store, vaults[i], &info), "vault"));
        infos[i] = vault_out(&info);
    }
    return CKR_OK;
}

static CK_RV list_vaults(struct RPV_VAULT_INFO *infos, CK_ULONG *count)
{
    TRY(arguments_out(count));
    size_t n = 0, cap = infos ? *count : 0;
    bool fill;
    uint32_t *vaults = NULL;
    TRY(array_alloc(infos, *count, sizeof(*infos), sizeof(*vaults), &vaults));
    CK_RV rv = store_status(vs_vault_list(module_state()->store, vaults, cap, &n),
                            "list of vaults");
    if (rv == CKR_OK)
        rv = array_room(infos, count, n, &fill);
    if (rv == CKR_OK && fill)
        rv = vaults_fill(vaults, n, infos);
    free(vaults);
    return rv;
}

static CK_RV RPV_ListVaults(struct RPV_VAULT_INFO *pVaults, CK_ULONG *pulCount)
{
    CALL(RPV_ListVaults);
    return call_end(&call, list_vaults(pVaults, pulCount));
}

static CK_RV create_vault(const uint8_t *pin, CK_ULONG pin_len, const uint8_t *label,
                          const struct RPV_POLICY *policy, CK_SLOT_ID *slot)
{
    struct vs_store *store = module_state()->store;
    struct vs_policy in = module_state()->config.defaults;
    uint32_t vault, generation;
    if (!label || !slot)
        return trace_fail(CKR_ARGUMENTS_BAD, "pLabel or pSlotID is NULL");
    TRY(pin_check_length(pin, pin_len));
    if (policy)
        in = policy_in(policy);
    TRY(store_status(vs_vault_next(store, &vault), "next vault"));
    TRY(policy_status(vs_vault_init(store, vault, pin, pin_len, label, policy ? &in : NULL,
                                    &generation),
                      NULL, &in));
    *slot = vault;
    return CKR_OK;
}

static CK_RV RPV_CreateVault(CK_UTF8CHAR *pPin, CK_ULONG ulPinLen, CK_UTF8CHAR *pLabel,
                             const struct RPV_POLICY *pPolicy, CK_SLOT_ID *pSlotID)
{
    CALL(RPV_CreateVault);
    return call_end(&call, create_vault(pPin, ulPinLen, pLabel, pPolicy, pSlotID));
}

/* ------------------------------------------------------------------ policy */

static CK_RV default_policy(struct RPV_POLICY *policy)
{
    TRY(arguments_in(policy, 1));
    *policy = policy_out(&module_state()->config.defaults);
    return CKR_OK;
}

static CK_RV RPV_GetDefaultPolicy(struct RPV_POLICY *pPolicy)
{
    CALL(RPV_GetDefaultPolicy);
    return call_end(&call, default_policy(pPolicy));
}

/* A slot that holds a vault. */
static CK_RV vault_get(CK_SLOT_ID id, struct slot **ret_slot, struct vs_vault_info *ret_info)
{
    bool initialized;
    TRY(slot_get(id, ret_slot));
    TRY(slot_info(*ret_slot, ret_info, &initialized));
    return initialized ? CKR_OK : trace_fail(CKR_TOKEN_NOT_RECOGNIZED, "no vault in slot %lu", id);
}

static CK_RV get_policy(CK_SLOT_ID id, struct RPV_POLICY *policy)
{
    struct slot *slot = NULL;
    struct vs_vault_info info;
    TRY(arguments_in(policy, 1));
    TRY(vault_get(id, &slot, &info));
    *policy = policy_out(&info.policy);
    return CKR_OK;
}

static CK_RV RPV_GetPolicy(CK_SLOT_ID slotID, struct RPV_POLICY *pPolicy)
{
    CALL(RPV_GetPolicy);
    return call_end(&call, get_policy(slotID, pPolicy));
}

static CK_RV set_policy(struct session *session, const struct RPV_POLICY *policy)
{
    struct slot *slot = session->slot;
    struct vs_vault_info info;
    TRY(arguments_in(policy, 1));
    TRY(slot_info(slot, &info, NULL));
    struct vs_policy in = policy_in(policy);
    if (atomic_load(&slot->role) == LOGIN_NONE)
        return trace_fail(CKR_USER_NOT_LOGGED_IN, "the policy is the SO's to change, or that of "
                                                  "a named user with the policy verb");
    if (!session_rw(session))
        return trace_fail(CKR_SESSION_READ_ONLY, "a policy is changed in a read-write session");
    pthread_rwlock_rdlock(&slot->lock);
    int status = slot->login ? vs_vault_set_policy(module_state()->store, slot->login, &in)
                             : VS_REVOKED;
    pthread_rwlock_unlock(&slot->lock);
    return policy_status(status, &info.policy, &in);
}

static CK_RV RPV_SetPolicy(CK_SESSION_HANDLE hSession, const struct RPV_POLICY *pPolicy)
{
    CALL_SESSION(RPV_SetPolicy, hSession);
    return call_end(&call, set_policy(call.session, pPolicy));
}

static CK_RV check_policy(CK_SLOT_ID id, const struct RPV_POLICY *policy)
{
    struct slot *slot = NULL;
    struct vs_vault_info info;
    bool initialized;
    TRY(arguments_in(policy, 1));
    TRY(slot_get(id, &slot));
    TRY(slot_info(slot, &info, &initialized));
    if (!initialized)
        return trace_fail(CKR_TOKEN_NOT_RECOGNIZED, "the vault is not initialised");
    struct vs_policy in = policy_in(policy);
    return policy_status(vs_vault_try_policy(module_state()->store, (uint32_t)id, &in),
                         &info.policy, &in);
}

static CK_RV RPV_CheckPolicy(CK_SLOT_ID slotID, const struct RPV_POLICY *pPolicy)
{
    CALL(RPV_CheckPolicy);
    return call_end(&call, check_policy(slotID, pPolicy));
}

/* ------------------------------------------------------------------ generations */

static CK_RV generations_fill(CK_SLOT_ID id, struct vs_generation_info *infos, size_t cap,
                              struct RPV_GENERATION_INFO *out, CK_ULONG *count)
{
    size_t n = 0;
    bool fill;
    TRY(store_status(vs_generation_list(module_state()->store, (uint32_t)id, infos, cap, &n),
                     "list of generations"));
    TRY(array_room(out, count, n, &fill));
    for (size_t i = 0; fill && i < n; i++)
        out[i] = generation_out(&infos[i]);
    return CKR_OK;
}

static CK_RV list_generations(CK_SLOT_ID id, struct RPV_GENERATION_INFO *out, CK_ULONG *count)
{
    struct slot *slot = NULL;
    struct vs_vault_info info;
    TRY(arguments_out(count));
    TRY(vault_get(id, &slot, &info));
    size_t cap = out ? *count : 0;
    struct vs_generation_info *infos = NULL;
    TRY(array_alloc(out, *count, sizeof(*out), sizeof(*infos), &infos));
    CK_RV rv = generations_fill(id, infos, cap, out, count);
    free(infos);
    return rv;
}

static CK_RV RPV_ListGenerations(CK_SLOT_ID slotID, struct RPV_GENERATION_INFO *pGenerations,
                                 CK_ULONG *pulCount)
{
    CALL(RPV_ListGenerations);
    return call_end(&call, list_generations(slotID, pGenerations, pulCount));
}

/* Recovery and purge of a generation: a vault in the slot, a PIN, a generation number. */
static CK_RV generation_checked(CK_SLOT_ID id, CK_ULONG generation, const uint8_t *pin,
                                struct slot **ret_slot)
{
    struct vs_vault_info info;
    if (!pin)
        return trace_fail(CKR_ARGUMENTS_BAD, "pPin is NULL");
    TRY(vault_get(id, ret_slot, &info));
    return generation > UINT32_MAX ? trace_fail(CKR_ARGUMENTS_BAD, "no such generation") : CKR_OK;
}

static CK_RV generation_status(int status, const char *what)
{
    return status == VS_NOT_FOUND ? trace_fail(CKR_ARGUMENTS_BAD, "no such deleted generation")
                                  : store_status(status, what);
}

static CK_RV recover_generation(CK_SLOT_ID id, CK_ULONG generation, CK_USER_TYPE type,
                                const uint8_t *pin, CK_ULONG pin_len)
{
    struct slot *slot = NULL;
    TRY(generation_checked(id, generation, pin, &slot));
    if (type != CKU_SO && type != CKU_USER)
        return trace_fail(CKR_USER_TYPE_INVALID, "user type %lu", type);
    pthread_mutex_lock(&slot->mutex);
    bool open = slot->sessions != 0;
    pthread_mutex_unlock(&slot->mutex);
    if (open)
        return trace_fail(CKR_SESSION_EXISTS, "this application has sessions open");
    return generation_status(vs_generation_recover(module_state()->store, (uint32_t)id,
                                                   (uint32_t)generation,
                                                   type == CKU_SO ? VS_ROLE_SO : VS_ROLE_USER,
                                                   pin, pin_len),
                             "recovery of a generation");
}

static CK_RV RPV_RecoverGeneration(CK_SLOT_ID slotID, CK_ULONG ulGeneration,
                                   CK_USER_TYPE userType, CK_UTF8CHAR *pPin, CK_ULONG ulPinLen)
{
    CALL(RPV_RecoverGeneration);
    return call_end(&call, recover_generation(slotID, ulGeneration, userType, pPin, ulPinLen));
}

static CK_RV purge_generation(CK_SLOT_ID id, CK_ULONG generation, const uint8_t *pin,
                              CK_ULONG pin_len)
{
    struct slot *slot = NULL;
    TRY(generation_checked(id, generation, pin, &slot));
    return generation_status(vs_generation_purge(module_state()->store, (uint32_t)id,
                                                 (uint32_t)generation, pin, pin_len),
                             "purge of a generation");
}

static CK_RV RPV_PurgeGeneration(CK_SLOT_ID slotID, CK_ULONG ulGeneration, CK_UTF8CHAR *pPin,
                                 CK_ULONG ulPinLen)
{
    CALL(RPV_PurgeGeneration);
    return call_end(&call, purge_generation(slotID, ulGeneration, pPin, ulPinLen));
}

/* ------------------------------------------------------------------ audit */

static CK_RV verify_audit(unsigned long long *events, unsigned long long *bad)
{
    uint64_t n = 0, first_bad = 0;
    if (!events || !bad)
        return trace_fail(CKR_ARGUMENTS_BAD, "an output is NULL");
    TRY(store_status(vs_audit_verify(module_state()->store, &n, &first_bad), "audit"));
    *events = n;
    *bad = first_bad;
    return CKR_OK;
}

static CK_RV RPV_VerifyAudit(unsigned long long *pEvents, unsigned long long *pBad)
{
    CALL(RPV_VerifyAudit);
    return call_end(&call, verify_audit(pEvents, pBad));
}

/* Not a call like the others: it must leave the reason as it is. */
static CK_RV RPV_GetLastReason(char *pReason, CK_ULONG ulCapacity)
{
    if (!pReason || !ulCapacity)
        return CKR_ARGUMENTS_BAD;
    snprintf(pReason, ulCapacity, "%s", trace_reason());
    return CKR_OK;
}

extern const struct RPV_FUNCTION_LIST RPV_FUNCTIONS;
const struct RPV_FUNCTION_LIST RPV_FUNCTIONS = {
    .version = {1, 1},
#define CALL_NAME(name)
#define CALL_NAME_VENDOR(name) .name = name,
#include "call_names.h"
};
