/* vault.c: vaults, their generations and policies. */
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "content.h"
#include "store_internal.h"

/* ------------------------------------------------------------------ records */

/* Switches by their bit; never renumbered. */
static const size_t switches[] = {
    offsetof(struct vs_policy, reserve_names),    offsetof(struct vs_policy, require_backup),
    offsetof(struct vs_policy, disable_before_delete),
    offsetof(struct vs_policy, refuse_conflicts), offsetof(struct vs_policy, refuse_legacy_padding),
    offsetof(struct vs_policy, clock_strict),     offsetof(struct vs_policy, tombstone_labels),
    offsetof(struct vs_policy, newest_only),      offsetof(struct vs_policy, private_audit),
};
#define SWITCHES (sizeof(switches) / sizeof(switches[0]))

static uint32_t switches_pack(const struct vs_policy *policy)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < SWITCHES; i++)
        if (*(const bool *)((const uint8_t *)policy + switches[i]))
            bits |= 1u << i;
    return bits;
}

static void switches_unpack(uint32_t bits, struct vs_policy *policy)
{
    for (size_t i = 0; i < SWITCHES; i++)
        *(bool *)((uint8_t *)policy + switches[i]) = (bits >> i & 1u) != 0;
}

static void policy_encode(struct writer *w, const struct vs_policy *policy)
{
    put_u32(w, policy->retention_days);
    put_u8(w, policy->purge_protection ? 1 : 0);
    put_u32(w, policy->profile);
    put_u32(w, policy->pin_tries);
    put_u32(w, policy->scrypt_log_n);
    put_u32(w, policy->min_rsa_bits);
    /* from format 2 */
    put_u64(w, (uint64_t)policy->protected_since);
    put_u32(w, policy->recover_to);
    put_u32(w, switches_pack(policy));
    put_u32(w, policy->audit_use);
    put_u32(w, policy->purge_approvals);
    put_u32(w, policy->approval_hours);
}

/* A policy of format 1 ends before these. */
static void policy_decode_2(struct reader *r, struct vs_policy *policy)
{
    struct vs_policy standard;

    vs_policy_default(&standard);
    policy->approval_hours = standard.approval_hours;
    if (!reader_more(r))
        return;
    policy->protected_since = (int64_t)get_u64(r);
    policy->recover_to = get_u32(r);
    switches_unpack(get_u32(r), policy);
    policy->audit_use = get_u32(r);
    policy->purge_approvals = get_u32(r);
    policy->approval_hours = get_u32(r);
}

static void policy_decode(struct reader *r, struct vs_policy *policy)
{
    policy->retention_days = get_u32(r);
    policy->purge_protection = get_u8(r) != 0;
    policy->profile = get_u32(r);
    policy->pin_tries = get_u32(r);
    policy->scrypt_log_n = get_u32(r);
    policy->min_rsa_bits = get_u32(r);
    policy_decode_2(r, policy);
    policy_settle(policy);
}

static int vault_decode(struct reader *r, uint32_t number, struct vault *ret_vault)
{
    struct vault vault = {.number = number};

    vault.live = get_u32(r);
    get_raw(r, vault.serial, sizeof(vault.serial));
    vault.created_at = (int64_t)get_u64(r);
    if (!reader_end(r))
        return VS_E_CORRUPT;
    *ret_vault = vault;
    return VS_OK;
}

static void rotation_decode(struct reader *r, struct rotation *rotation)
{
    if (!reader_more(r))
        return;
    rotation->epoch = get_u64(r);
    rotation->resealing = get_u8(r) != 0;
    rotation->former_epoch = get_u64(r);
    get_raw(r, rotation->former, sizeof(rotation->former));
    get_raw(r, rotation->index, sizeof(rotation->index));
    if (!reader_more(r))
        return;
    rotation->own_index = get_u8(r) != 0;
    rotation->former_own_index = get_u8(r) != 0;
    rotation->wanted = get_u8(r) != 0;
}

static void rotation_encode(struct writer *w, const struct rotation *rotation)
{
    put_u64(w, rotation->epoch);
    put_u8(w, rotation->resealing ? 1 : 0);
    put_u64(w, rotation->former_epoch);
    put_raw(w, rotation->former, sizeof(rotation->former));
    put_raw(w, rotation->index, sizeof(rotation->index));
    /* from format 3 */
    put_u8(w, rotation->own_index ? 1 : 0);
    put_u8(w, rotation->former_own_index ? 1 : 0);
    put_u8(w, rotation->wanted ? 1 : 0);
}

int generation_decode(struct reader *r, uint32_t vault, uint32_t number,
                      struct generation *ret_generation)
{
    struct generation g = {.vault = vault, .number = number};

    get_raw(r, g.tag, sizeof(g.tag));
    g.slot = get_u64(r);
    g.state = get_u32(r);
    g.lock = get_u32(r);
    g.created_at = (int64_t)get_u64(r);
    g.deleted_at = (int64_t)get_u64(r);
    g.purge_at = (int64_t)get_u64(r);
    get_text(r, g.deleted_by, sizeof(g.deleted_by));
    get_raw(r, g.label, sizeof(g.label));
    policy_decode(r, &g.policy);
    g.hold = reader_more(r) && get_u8(r) != 0;
    g.deleted_strict = reader_more(r) ? (int64_t)get_u64(r) : g.deleted_at;
    rotation_decode(r, &g.rotation);
    if (!reader_end(r) || policy_check(&g.policy) != VS_OK)
        return VS_E_CORRUPT;
    *ret_generation = g;
    return VS_OK;
}

int vault_put(struct commit_txn *txn, const struct vault *vault)
{
    uint8_t body[SCHEMA_BODY_MAX];
    struct key key = key_vault(vault->number);
    struct writer w;

    writer_init(&w, body, sizeof(body));
    put_u32(&w, vault->live);
    put_raw(&w, vault->serial, sizeof(vault->serial));
    put_u64(&w, (uint64_t)vault->created_at);
    return trusted_put(txn, &key, &w);
}

int generation_put(struct commit_txn *txn, const struct generation *g)
{
    uint8_t body[SCHEMA_BODY_MAX];
    struct key key = key_generation(g->vault, g->number);
    struct writer w;

    writer_init(&w, body, sizeof(body));
    put_raw(&w, g->tag, sizeof(g->tag));
    put_u64(&w, g->slot);
    put_u32(&w, g->state);
    put_u32(&w, g->lock);
    put_u64(&w, (uint64_t)g->created_at);
    put_u64(&w, (uint64_t)g->deleted_at);
    put_u64(&w, (uint64_t)g->purge_at);
    put_text(&w, g->deleted_by);
    put_raw(&w, g->label, sizeof(g->label));
    policy_encode(&w, &g->policy);
    put_u8(&w, g->hold ? 1 : 0);
    put_u64(&w, (uint64_t)g->deleted_strict);
    rotation_encode(&w, &g->rotation);
    return trusted_put(txn, &key, &w);
}

int vault_get(struct vs_store *store, struct kv_txn *txn, uint32_t number, struct vault *ret_vault)
{
    struct key key = key_vault(number);
    struct reader r;

    VS_TRY(trusted_get(store, txn, &key, &r));
    return vault_decode(&r, number, ret_vault);
}

int generation_get(struct vs_store *store, struct kv_txn *txn, uint32_t vault, uint32_t number,
                   struct generation *ret_generation)
{
    struct key key = key_generation(vault, number);
    struct reader r;

    VS_TRY(trusted_get(store, txn, &key, &r));
    return generation_decode(&r, vault, number, ret_generation);
}

struct vs_id generation_id(const struct generation *generation)
{
    return id_make(generation->tag, generation->slot);
}

/* ------------------------------------------------------------------ the live generation */

static bool bytes_same(const struct kv_slice *value, const uint8_t *bytes, size_t len)
{
    return value->len == len && memcmp(value->data, bytes, len) == 0;
}

static int vault_raw(struct kv_txn *txn, uint32_t vault, struct kv_slice *ret_value)
{
    struct key key = key_vault(vault);

    return kv_get(txn, key.b, key.len, ret_value);
}

static int generation_raw(struct kv_txn *txn, uint32_t vault, uint32_t number,
                          struct kv_slice *ret_value)
{
    struct key key = key_generation(vault, number);

    return kv_get(txn, key.b, key.len, ret_value);
}

static bool live_cached(struct vs_store *store, struct kv_txn *txn, uint32_t vault,
                        const struct kv_slice *vault_value, struct generation *ret_generation)
{
    struct live_entry *entry = &store->live[vault % LIVE_CACHE];
    struct kv_slice value;
    bool hit;

    pthread_rwlock_rdlock(&store->live_lock);
    hit = entry->used && entry->vault == vault &&
          bytes_same(vault_value, entry->vault_bytes, entry->vault_len) &&
          generation_raw(txn, vault, entry->generation.number, &value) == VS_OK &&
          bytes_same(&value, entry->generation_bytes, entry->generation_len);
    if (hit)
        *ret_generation = entry->generation;
    pthread_rwlock_unlock(&store->live_lock);
    return hit;
}

static void live_remember(struct vs_store *store, const struct kv_slice *vault_value,
                          const struct kv_slice *generation_value,
                          const struct generation *generation)
{
    struct live_entry *entry = &store->live[generation->vault % LIVE_CACHE];

    if (vault_value->len > sizeof(entry->vault_bytes) ||
        generation_value->len > sizeof(entry->generation_bytes))
        return;
    pthread_rwlock_wrlock(&store->live_lock);
    entry->used = true;
    entry->vault = generation->vault;
    memcpy(entry->vault_bytes, vault_value->data, vault_value->len);
    entry->vault_len = vault_value->len;
    memcpy(entry->generation_bytes, generation_value->data, generation_value->len);
    entry->generation_len = generation_value->len;
    entry->generation = *generation;
    pthread_rwlock_unlock(&store->live_lock);
}

int generation_live(struct vs_store *store, struct kv_txn *txn, uint32_t vault,
                    struct generation *ret_generation)
{
    struct kv_slice vault_value, generation_value;
    struct vault record;

    VS_TRY(vault_raw(txn, vault, &vault_value));
    if (live_cached(store, txn, vault, &vault_value, ret_generation))
        return VS_OK;
    VS_TRY(vault_get(store, txn, vault, &record));
    VS_TRY(generation_get(store, txn, vault, record.live, ret_generation));
    VS_TRY(generation_raw(txn, vault, record.live, &generation_value));
    live_remember(store, &vault_value, &generation_value, ret_generation);
    return VS_OK;
}

int generation_enter(struct vs_store *store, struct kv_txn *txn, uint32_t vault,
                     const struct vs_login *login, struct generation *ret_generation)
{
    uint32_t verbs;

    VS_TRY(generation_live(store, txn, vault, ret_generation));
    if (login != NULL &&
        (login->vault != vault || login->generation != ret_generation->number))
        return VS_REVOKED;
    if (login != NULL)
        VS_TRY(login_rekey(store, txn, login, ret_generation));
    return login_verbs(store, txn, login, NULL, &verbs);
}

/* ------------------------------------------------------------------ listing */

static int vaults_walk(struct vs_store *store, struct kv_txn *txn, uint32_t *ret_vaults, size_t cap,
                       size_t *ret_n)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key table = key_table(TABLE_VAULT);
    struct kv_slice key, value;
    size_t n = 0;
    int status;

    (void)store;
    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, table.b, table.len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, &table)) {
        struct reader r;

        reader_init(&r, key.data + 1, key.len - 1);
        if (n < cap)
            ret_vaults[n] = get_u32(&r);
        n++;
        status = kv_cursor_next(cursor, &key, &value);
    }
    if (status != VS_OK && status != VS_END)
        return status;
    *ret_n = n;
    return VS_OK;
}

int vs_vault_list(struct vs_store *store, uint32_t *ret_vaults, size_t cap, size_t *ret_n)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;

    VS_TRY(store_result(store, __func__, kv_read(store->kv, &txn)));
    return store_result(store, __func__, vaults_walk(store, txn, ret_vaults, cap, ret_n));
}

static int vault_next(struct kv_txn *txn, uint32_t *ret_vault)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key end = key_table(TABLE_VAULT + 1);
    struct kv_slice key, value;
    struct reader r;
    int status;

    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_before(cursor, end.b, end.len, &key, &value);
    if (status == VS_END || (status == VS_OK && key.data[0] != TABLE_VAULT)) {
        *ret_vault = 0;
        return VS_OK;
    }
    VS_TRY(status);
    reader_init(&r, key.data + 1, key.len - 1);
    *ret_vault = get_u32(&r) + 1;
    return VS_OK;
}

int vs_vault_next(struct vs_store *store, uint32_t *ret_vault)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;

    VS_TRY(store_result(store, __func__, kv_read(store->kv, &txn)));
    return store_result(store, __func__, vault_next(txn, ret_vault));
}

static uint32_t tries_left(const struct vs_policy *policy, const struct principal *principal)
{
    return principal->tries >= policy->pin_tries ? 0 : policy->pin_tries - principal->tries;
}

static int vault_info(struct vs_store *store, struct kv_txn *txn, uint32_t number,
                      struct vs_vault_info *ret_info)
{
    struct vs_vault_info info = {.vault = number};
    struct principal principal;
    struct generation g;
    struct vault vault;
    int status;

    VS_TRY(vault_get(store, txn, number, &vault));
    VS_TRY(generation_live(store, txn, number, &g));
    info.generation = g.number;
    memcpy(info.serial, vault.serial, sizeof(info.serial));
    memcpy(info.label, g.label, sizeof(info.label));
    info.policy = g.policy;
    info.created_at = vault.created_at;
    info.write_protected = g.lock != 0 || g.hold || head_protects(store, txn);
    info.read_only = g.lock >= GENERATION_READ_ONLY || head_protects(store, txn);
    VS_TRY(principal_get(store, txn, g.number, (struct who){.role = VS_ROLE_SO}, &principal));
    info.so_tries_left = tries_left(&g.policy, &principal);
    status = principal_get(store, txn, g.number, (struct who){.role = VS_ROLE_USER}, &principal);
    info.user_pin_set = status == VS_OK;
    info.user_tries_left = info.user_pin_set ? tries_left(&g.policy, &principal)
                                             : g.policy.pin_tries;
    if (status != VS_OK && status != VS_NOT_FOUND)
        return status;
    *ret_info = info;
    return VS_OK;
}

int vs_vault_info(struct vs_store *store, uint32_t vault, struct vs_vault_info *ret_info)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;

    VS_TRY(store_result(store, __func__, kv_read(store->kv, &txn)));
    return store_result(store, __func__, vault_info(store, txn, vault, ret_info));
}

/* ------------------------------------------------------------------ init */

int generation_retire(struct commit_txn *txn, struct generation *g, const char *by)
{
    struct vs_id id = generation_id(g);
    struct writer body;
    uint8_t bytes[8];
    struct key due;

    g->state = GENERATION_DELETED;
    g->deleted_at = txn->clock.now;
    g->deleted_strict = txn->clock.strict;
    g->purge_at = policy_purge_date(&g->policy, txn->clock.now);
    VS_TRY(content_last_date(txn->kv, &txn->clock, g, &g->purge_at));
    actor_name(txn->store, by, g->deleted_by);
    VS_TRY(generation_put(txn, g));
    due = key_due(g->purge_at, KIND_GENERATION, &id);
    writer_init(&body, bytes, sizeof(bytes));
    put_u32(&body, g->vault);
    put_u32(&body, g->number);
    return trusted_put(txn, &due, &body);
}

#define INIT_ATTEMPTS 16

struct vault_init {
    uint32_t vault;
    uint32_t former;              /* the generation whose SO PIN was checked; 0: a new vault */
    const uint8_t *label;
    const struct vs_policy *policy;
    struct secret_key vault_key;
    struct pin_key pin_key;       /* stretched before the transaction */
    uint32_t generation;
};

static int init_policy(const struct vs_store *store, const struct vault_init *init,
                       const struct generation *former, struct vs_policy *ret_policy)
{
    struct vs_policy policy = former != NULL ? former->policy : store->defaults;
    bool protected = former != NULL && former->policy.purge_protection;

    if (init->policy != NULL)
        policy = *init->policy;
    policy_settle(&policy);
    /* What goes on from the former generation goes on with its cooling-off, too. */
    policy.protected_since = protected ? former->policy.protected_since : 0;
    policy.purge_protection |= protected;
    VS_TRY(policy_check(&policy));
    if (policy.retention_days > store->retention_max &&
        (former == NULL || policy.retention_days != former->policy.retention_days))
        return VS_POLICY;
    *ret_policy = policy;
    return VS_OK;
}

static int init_serial(struct commit_txn *txn, struct vault *vault)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t random[sizeof(vault->serial) / 2];

    VS_TRY(seal_random(txn->store->sealer, random, sizeof(random)));
    for (size_t i = 0; i < sizeof(vault->serial); i++)
        vault->serial[i] = digits[i % 2 == 0 ? random[i / 2] >> 4 : random[i / 2] & 15];
    return VS_OK;
}

/* Looks at what is there: does it still fit what was checked before the transaction? */
static int init_enter(struct commit_txn *txn, const struct vault_init *init,
                      struct vault *ret_vault, struct generation *ret_former)
{
    uint32_t next;
    int status = vault_get(txn->store, txn->kv, init->vault, ret_vault);

    if (status == VS_NOT_FOUND && init->former == 0) {
        VS_TRY(vault_next(txn->kv, &next));
        *ret_vault = (struct vault){.number = init->vault, .created_at = txn->clock.now};
        return next == init->vault ? VS_OK : VS_NOT_FOUND;
    }
    if (status == VS_OK && ret_vault->live != init->former)
        return VS_STALE;
    VS_TRY(status);
    return generation_get(txn->store, txn->kv, init->vault, init->former, ret_former);
}

static int init_fresh(struct commit_txn *txn, const struct vault_init *init,
                      struct generation *fresh)
{
    AUTO(secret_key) struct secret_key slot;
    const struct who who = {.role = VS_ROLE_SO};
    struct principal so;

    memset(&so, 0, sizeof(so));
    fresh->vault = init->vault;
    fresh->number = txn->state.next_generation++;
    fresh->created_at = txn->clock.now;
    memcpy(fresh->label, init->label, sizeof(fresh->label));
    VS_TRY(seal_random(txn->store->sealer, fresh->tag, sizeof(fresh->tag)));
    VS_TRY(commit_sequence(txn, &fresh->slot, slot.b));
    VS_TRY(principal_wrap(txn->store, fresh, who, slot.b, &init->pin_key,
                          init->vault_key.b, &so, NULL));
    VS_TRY(generation_put(txn, fresh));
    return principal_put(txn, fresh->number, who, &so);
}

static int init_run(struct commit_txn *txn, void *ctx)
{
    struct vault_init *init = ctx;
    struct audit_entry entry = {.vault = init->vault, .operation = "VaultInit", .principal = "so"};
    struct generation former = {.number = 0}, fresh = {.number = 0};
    char detail[96] = "a new vault";
    struct vault vault;

    VS_TRY(init_enter(txn, init, &vault, &former));
    if (former.lock != 0 || former.hold)
        return VS_LOCKED;
    VS_TRY(init_policy(txn->store, init, init->former != 0 ? &former : NULL, &fresh.policy));
    if (init->former == 0)
        VS_TRY(init_serial(txn, &vault));
    VS_TRY(init_fresh(txn, init, &fresh));
    if (init->former != 0) {
        VS_TRY(generation_retire(txn, &former, "so"));
        snprintf(detail, sizeof(detail), "generation %u deleted, to be purged at %s",
                 (unsigned)former.number, time_text(former.purge_at).text);
    }
    vault.live = fresh.number;
    VS_TRY(vault_put(txn, &vault));
    init->generation = fresh.number;
    entry.generation = fresh.number;
    entry.detail = detail;
    return audit_append(txn, &entry);
}

/* The generation to be replaced, and the policy to come; number 0: there is no vault yet. */
static int init_look(struct vs_store *store, const struct vault_init *init,
                     struct generation *ret_former, struct vs_policy *ret_policy)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct generation former = {.number = 0};
    int status;

    VS_TRY(kv_read(store->kv, &txn));
    status = generation_live(store, txn, init->vault, &former);
    if (status != VS_OK && status != VS_NOT_FOUND)
        return status;
    *ret_former = former;
    return init_policy(store, init, former.number != 0 ? &former : NULL, ret_policy);
}

static int init_attempt(struct vs_store *store, struct vault_init *init, const uint8_t *pin,
                        size_t pin_len)
{
    AUTO(secret_key) struct secret_key former_key;
    struct generation former = {0};
    struct vs_policy policy;

    VS_TRY(init_look(store, init, &former, &policy));
    init->former = former.number;
    if (init->former != 0) {
        VS_TRY(pin_check(store, init->vault, init->former, VS_ROLE_SO, pin, pin_len, &former_key));
        VS_TRY(sweep_due(store));
    }
    VS_TRY(pin_stretch(store, pin, pin_len, policy.scrypt_log_n, &init->pin_key));
    return commit_run(store, init_run, init);
}

int vs_vault_init(struct vs_store *store, uint32_t vault, const uint8_t *pin, size_t pin_len,
                  const uint8_t label[32], const struct vs_policy *policy,
                  uint32_t *ret_generation)
{
    struct vault_init init = {.vault = vault, .label = label, .policy = policy};
    int status;

    if (policy != NULL)
        VS_TRY(policy_check(policy));
    status = seal_random(store->sealer, init.vault_key.b, sizeof(init.vault_key.b));
    if (status == VS_OK)
        status = VS_STALE;
    /* Stale: another process was faster, and made progress: look again. */
    for (int i = 0; i < INIT_ATTEMPTS && status == VS_STALE; i++)
        status = init_attempt(store, &init, pin, pin_len);
    secret_key_auto(&init.vault_key);
    pin_key_auto(&init.pin_key);
    if (status == VS_OK)
        *ret_generation = init.generation;
    return store_result(store, __func__, status);
}
