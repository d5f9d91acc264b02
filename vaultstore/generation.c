/* generation.c: policy of the live generation; listing, recovering and purging deleted ones. */
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "content.h"
#include "index.h"
#include "purge.h"
#include "store_internal.h"

/* ------------------------------------------------------------------ policy */

struct policy_set { const struct vs_login *login; const struct vs_policy *policy; };

/* May the vault's policy become this one now? */
static int policy_judge(const struct vs_store *store, const struct generation *live,
                        const struct vs_policy *to, int64_t now)
{
    VS_TRY(policy_change(&live->policy, to, now));
    return to->retention_days > store->retention_max &&
                   to->retention_days != live->policy.retention_days
               ? VS_POLICY
               : VS_OK;
}

static int policy_try(struct vs_store *store, uint32_t vault, const struct vs_policy *policy)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct generation live;
    int64_t now = 0;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(generation_live(store, txn, vault, &live));
    VS_TRY(store_clock(store, txn, &now));
    return policy_judge(store, &live, policy, now);
}

int vs_vault_try_policy(struct vs_store *store, uint32_t vault, const struct vs_policy *policy)
{
    return store_result(store, __func__, policy_try(store, vault, policy));
}

static int policy_run(struct commit_txn *txn, void *ctx)
{
    const struct policy_set *set = ctx;
    const struct vs_policy *p = set->policy;
    struct audit_entry entry = {.vault = set->login->vault, .operation = "VaultPolicy",
                                .principal = login_name(set->login)};
    struct generation live;
    char detail[96];
    bool weaker;
    int64_t since;

    VS_TRY(generation_enter(txn->store, txn->kv, set->login->vault, set->login, &live));
    VS_TRY(login_needs(txn->store, txn->kv, set->login, NULL, VS_VERB_POLICY));
    if (live.lock >= GENERATION_READ_ONLY)
        return VS_LOCKED;
    VS_TRY(policy_judge(txn->store, &live, p, txn->clock.now));
    since = live.policy.purge_protection ? live.policy.protected_since : txn->clock.now;
    weaker = policy_weakens(&live.policy, p);
    live.policy = *p;
    live.policy.protected_since = p->purge_protection ? since : 0;
    policy_settle(&live.policy);
    VS_TRY(generation_put(txn, &live));
    snprintf(detail, sizeof(detail), "%s%u days, protection %s, profile %u, %u tries, 2^%u, rsa %u",
             weaker ? "weaker: " : "", (unsigned)p->retention_days, p->purge_protection ? "on" : "off",
             (unsigned)p->profile, (unsigned)p->pin_tries, (unsigned)p->scrypt_log_n,
             (unsigned)p->min_rsa_bits);
    entry.generation = live.number;
    entry.detail = detail;
    return audit_append(txn, &entry);
}

int vs_vault_set_policy(struct vs_store *store, struct vs_login *login,
                        const struct vs_policy *policy)
{
    struct policy_set set = {.login = login, .policy = policy};

    if (login == NULL || !(vs_login_verbs(login) & VS_VERB_POLICY))
        return VS_DENIED;
    VS_TRY(policy_check(policy));
    if (policy->clock_strict)
        VS_TRY(sweep_due(store));
    return store_result(store, __func__, commit_run(store, policy_run, &set));
}

/* ------------------------------------------------------------------ listing */

static int generation_info(struct kv_txn *txn, const struct generation *g,
                           struct vs_generation_info *ret_info)
{
    struct vs_generation_info info = {.vault = g->vault, .generation = g->number,
                                      .deleted = g->state != GENERATION_LIVE,
                                      .created_at = g->created_at, .deleted_at = g->deleted_at,
                                      .purge_at = g->purge_at};
    struct vs_header like = {.state = info.deleted ? VS_STATE_DELETED : VS_STATE_ACTIVE,
                             .deleted_at = g->deleted_at, .purge_at = g->purge_at};
    uint64_t n[2];

    memcpy(info.label, g->label, sizeof(info.label));
    memcpy(info.deleted_by, g->deleted_by, sizeof(info.deleted_by));
    for (int is_private = 0; is_private < 2; is_private++) {
        struct index_partition live = {g->number, false, is_private != 0};
        VS_TRY(index_count(txn, &live, &n[is_private]));
    }
    info.objects = n[0] + n[1];
    info.hold = like.hold = g->hold;
    info.lock = g->lock;
    info.recovery_level = policy_recovery_level(&g->policy, &like);
    *ret_info = info;
    return VS_OK;
}

struct generation_list { struct vs_generation_info *infos; size_t cap, n; };

static int list_add(struct generation_list *list, struct kv_txn *txn, const struct generation *g)
{
    if (list->n < list->cap)
        VS_TRY(generation_info(txn, g, &list->infos[list->n]));
    list->n++;
    return VS_OK;
}

/* Numbers grow with time: newest first is the table backwards. */
static int list_deleted(struct vs_store *store, struct kv_txn *txn, uint32_t vault,
                        const struct clock_reading *clock, struct generation_list *list)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key prefix = key_generations(vault), before = key_generation(vault, UINT32_MAX);
    struct kv_slice key, value;
    int status;

    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_before(cursor, before.b, before.len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, &prefix)) {
        struct generation g;
        struct reader r;
        bool due = false;

        reader_init(&r, key.data + prefix.len, key.len - prefix.len);
        VS_TRY(generation_get(store, txn, vault, get_u32(&r), &g));
        if (g.state == GENERATION_DELETED)
            VS_TRY(content_past_due(store, txn, clock, &g, &due));
        if (g.state == GENERATION_DELETED && !due)
            VS_TRY(list_add(list, txn, &g));
        before = key_generation(vault, g.number);
        status = kv_cursor_before(cursor, before.b, before.len, &key, &value);
    }
    return status == VS_END ? VS_OK : status;
}

static int generation_list(struct vs_store *store, uint32_t vault, struct generation_list *list)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct clock_reading clock;
    struct generation live;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(generation_live(store, txn, vault, &live));
    VS_TRY(store_reading(store, txn, &clock));
    VS_TRY(list_add(list, txn, &live));
    return list_deleted(store, txn, vault, &clock, list);
}

int vs_generation_list(struct vs_store *store, uint32_t vault,
                       struct vs_generation_info *ret_infos, size_t cap, size_t *ret_n)
{
    struct generation_list list = {.infos = ret_infos, .cap = cap};

    VS_TRY(store_result(store, __func__, generation_list(store, vault, &list)));
    *ret_n = list.n;
    return VS_OK;
}

/* ------------------------------------------------------------------ recover, purge */

struct generation_change {
    uint32_t vault, number;
    enum vs_role role;
    int64_t purge_at;
};

/* A deleted generation that may still be seen. */
static int deleted_get(struct vs_store *store, struct kv_txn *txn, uint32_t vault, uint32_t number,
                       const struct clock_reading *clock, struct generation *ret_generation)
{
    struct generation g;
    bool due = false;

    VS_TRY(generation_get(store, txn, vault, number, &g));
    if (g.state == GENERATION_LIVE)
        return VS_WRONG_STATE;
    if (g.state == GENERATION_DELETED)
        VS_TRY(content_past_due(store, txn, clock, &g, &due));
    if (g.state == GENERATION_PURGED || due)
        return VS_NOT_FOUND;
    *ret_generation = g;
    return VS_OK;
}

static int deleted_check(struct vs_store *store, uint32_t vault, uint32_t number)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct clock_reading clock;
    struct generation g;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(store_reading(store, txn, &clock));
    return deleted_get(store, txn, vault, number, &clock, &g);
}

static int recover_run(struct commit_txn *txn, void *ctx)
{
    const struct generation_change *change = ctx;
    const char *principal = role_name(change->role);
    struct audit_entry entry = {.vault = change->vault, .generation = change->number,
                                .operation = "VaultRecover", .principal = principal};
    struct generation live, g;
    struct vault vault;
    struct vs_id id;
    struct key due;
    char detail[96];

    VS_TRY(vault_get(txn->store, txn->kv, change->vault, &vault));
    VS_TRY(generation_get(txn->store, txn->kv, change->vault, vault.live, &live));
    VS_TRY(deleted_get(txn->store, txn->kv, change->vault, change->number, &txn->clock, &g));
    if (live.lock != 0 || live.hold || g.lock >= GENERATION_READ_ONLY)
        return VS_LOCKED;
    id = generation_id(&g);
    due = key_due(g.purge_at, KIND_GENERATION, &id);
    VS_TRY(commit_discard(txn, &due));
    g.state = GENERATION_LIVE;
    g.deleted_at = g.deleted_strict = g.purge_at = 0;
    memset(g.deleted_by, 0, sizeof(g.deleted_by));
    VS_TRY(generation_put(txn, &g));
    VS_TRY(generation_retire(txn, &live, principal));
    vault.live = g.number;
    VS_TRY(vault_put(txn, &vault));
    snprintf(detail, sizeof(detail), "generation %u deleted, to be purged at %s",
             (unsigned)live.number, time_text(live.purge_at).text);
    entry.detail = detail;
    return audit_append(txn, &entry);
}

static int generation_recover(struct vs_store *store, struct generation_change *change,
                              const uint8_t *pin, size_t pin_len)
{
    AUTO(secret_key) struct secret_key vault_key;

    VS_TRY(deleted_check(store, change->vault, change->number));
    VS_TRY(pin_check(store, change->vault, change->number, change->role, pin, pin_len,
                     &vault_key));
    VS_TRY(sweep_due(store));
    return commit_run(store, recover_run, change);
}

int vs_generation_recover(struct vs_store *store, uint32_t vault, uint32_t generation,
                          enum vs_role role, const uint8_t *pin, size_t pin_len)
{
    struct generation_change change = {.vault = vault, .number = generation, .role = role};

    return store_result(store, __func__, generation_recover(store, &change, pin, pin_len));
}

static int generation_purge_run(struct commit_txn *txn, void *ctx)
{
    struct generation_change *change = ctx;
    struct generation g;
    bool held;

    VS_TRY(deleted_get(txn->store, txn->kv, change->vault, change->number, &txn->clock, &g));
    change->purge_at = g.purge_at;
    VS_TRY(content_held(txn->store, txn->kv, &g, &held));
    if (held)
        return VS_HELD;
    if (g.lock != 0)
        return VS_LOCKED;
    if (g.policy.purge_protection || g.policy.purge_approvals > 1)
        return VS_RETAINED;
    return purge_generation(txn, &g, role_name(change->role));
}

static int generation_purge(struct vs_store *store, struct generation_change *change,
                            const uint8_t *pin, size_t pin_len)
{
    AUTO(secret_key) struct secret_key vault_key;
    int status;

    VS_TRY(deleted_check(store, change->vault, change->number));
    VS_TRY(pin_check(store, change->vault, change->number, change->role, pin, pin_len,
                     &vault_key));
    status = commit_run(store, generation_purge_run, change);
    if (status == VS_RETAINED || status == VS_HELD) {
        char detail[96];
        const struct audit_entry entry = {.vault = change->vault, .generation = change->number,
                                          .operation = "VaultPurge", .result = status,
                                          .principal = role_name(change->role), .detail = detail};
        snprintf(detail, sizeof(detail), "refused: %s until %s",
                 status == VS_HELD ? "held" : "retained", time_text(change->purge_at).text);
        audit_refusal(store, &entry);
    }
    return status == VS_OK ? purge_finish(store) : status;
}

int vs_generation_purge(struct vs_store *store, uint32_t vault, uint32_t generation,
                        const uint8_t *pin, size_t pin_len)
{
    struct generation_change change = {.vault = vault, .number = generation, .role = VS_ROLE_SO};

    return store_result(store, __func__, generation_purge(store, &change, pin, pin_len));
}

/* ------------------------------------------------------------------ hold, lock */

struct generation_govern {
    const struct vs_login *login;
    uint32_t number, verb;
    bool hold;
    uint32_t lock;
};

static int govern_run(struct commit_txn *txn, void *ctx)
{
    const struct generation_govern *govern = ctx;
    bool holds = govern->verb == VS_VERB_HOLD;
    struct audit_entry entry = {.vault = govern->login->vault,
                                .principal = login_name(govern->login)};
    struct generation live, g;
    uint32_t verbs = 0;
    bool due = false;

    VS_TRY(generation_enter(txn->store, txn->kv, govern->login->vault, govern->login, &live));
    VS_TRY(login_verbs(txn->store, txn->kv, govern->login, NULL, &verbs));
    if (!(verbs & govern->verb))
        return VS_DENIED;
    VS_TRY(generation_get(txn->store, txn->kv, live.vault,
                          govern->number != 0 ? govern->number : live.number, &g));
    if (g.state == GENERATION_DELETED)
        VS_TRY(content_past_due(txn->store, txn->kv, &txn->clock, &g, &due));
    if (g.state == GENERATION_PURGED || due)
        return VS_NOT_FOUND;
    entry.generation = g.number;
    if (holds) {
        g.hold = govern->hold;
        entry.operation = g.hold ? "VaultHold" : "VaultRelease";
    } else {
        g.lock = govern->lock;
        entry.operation = g.lock != 0 ? "VaultLock" : "VaultUnlock";
        entry.detail = g.lock == GENERATION_READ_ONLY ? "read only" : NULL;
    }
    VS_TRY(generation_put(txn, &g));
    return audit_append(txn, &entry);
}

int vs_generation_hold(struct vs_store *store, struct vs_login *login, uint32_t generation,
                       bool hold)
{
    struct generation_govern govern = {.login = login, .number = generation,
                                       .verb = VS_VERB_HOLD, .hold = hold};

    if (login == NULL)
        return VS_DENIED;
    if (hold)
        VS_TRY(sweep_due(store));
    return store_result(store, __func__, commit_run(store, govern_run, &govern));
}

int vs_generation_lock(struct vs_store *store, struct vs_login *login, uint32_t generation,
                       uint32_t lock)
{
    struct generation_govern govern = {.login = login, .number = generation,
                                       .verb = VS_VERB_LOCK, .lock = lock};

    if (login == NULL)
        return VS_DENIED;
    if (lock > GENERATION_READ_ONLY)
        return VS_POLICY;
    if (lock != 0)
        VS_TRY(sweep_due(store));
    return store_result(store, __func__, commit_run(store, govern_run, &govern));
}
