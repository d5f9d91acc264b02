/* slot.c: the slots that this process has seen. */
#include "slot.h"

#include <stdlib.h>
#include <string.h>

#include "module_state.h"
#include "trace.h"

struct slot_table {
    pthread_mutex_t lock;
    struct slot **slots;
    size_t n;
};

CK_RV slot_table_new(struct slot_table **ret_table)
{
    struct slot_table *table = calloc(1, sizeof(*table));
    if (!table)
        return CKR_HOST_MEMORY;
    pthread_mutex_init(&table->lock, NULL);
    *ret_table = table;
    return CKR_OK;
}

static void slot_free(struct slot *slot)
{
    vs_logout(slot->login);
    pthread_rwlock_destroy(&slot->lock);
    pthread_mutex_destroy(&slot->login_lock);
    pthread_mutex_destroy(&slot->mutex);
    free(slot);
}

void slot_table_free(struct slot_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->n; i++)
        slot_free(table->slots[i]);
    free(table->slots);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

/* The table's slot of this id, made when it is not there; table->lock is held. */
static struct slot *slot_of(struct slot_table *table, CK_SLOT_ID id)
{
    for (size_t i = 0; i < table->n; i++)
        if (table->slots[i]->id == id)
            return table->slots[i];
    struct slot **slots = realloc(table->slots, (table->n + 1) * sizeof(*slots));
    if (!slots)
        return NULL;
    table->slots = slots;
    struct slot *slot = calloc(1, sizeof(*slot));
    if (!slot)
        return NULL;
    slot->id = id;
    slot->info_txnid = VS_TXNID_UNKNOWN;
    atomic_store(&slot->checked_txnid, VS_TXNID_UNKNOWN);
    atomic_store(&slot->verbs, UINT32_MAX);
    pthread_rwlock_init(&slot->lock, NULL);
    pthread_mutex_init(&slot->login_lock, NULL);
    pthread_mutex_init(&slot->mutex, NULL);
    table->slots[table->n++] = slot;
    return slot;
}

/* ------------------------------------------------------------------ which slots there are */

/* The spare slot's id when it shows: while there is no vault, or always. */
static CK_RV spare_find(size_t n_vaults, bool *ret_shown, CK_SLOT_ID *ret_id)
{
    const struct module_state *state = module_state();
    *ret_shown = n_vaults == 0 || state->config.spare_always;
    if (!*ret_shown)
        return CKR_OK;
    uint32_t next = 0;
    TRY(store_status(vs_vault_next(state->store, &next), "next vault"));
    *ret_id = next;
    return CKR_OK;
}

#define VAULTS_ON_STACK 64

/* Calls it with all vaults' numbers. */
static CK_RV vaults_with(CK_RV (*use)(const uint32_t *vaults, size_t n, void *ctx), void *ctx)
{
    struct vs_store *store = module_state()->store;
    uint32_t few[VAULTS_ON_STACK];
    size_t n = 0;
    TRY(store_status(vs_vault_list(store, few, VAULTS_ON_STACK, &n), "list of vaults"));
    if (n <= VAULTS_ON_STACK)
        return use(few, n, ctx);
    size_t cap = n + VAULTS_ON_STACK;
    uint32_t *many = calloc(cap, sizeof(*many));
    if (!many)
        return CKR_HOST_MEMORY;
    CK_RV rv = store_status(vs_vault_list(store, many, cap, &n), "list of vaults");
    if (rv == CKR_OK)
        rv = use(many, n < cap ? n : cap, ctx);
    free(many);
    return rv;
}

struct listing {
    CK_SLOT_ID *ids;
    CK_ULONG cap, n;
};

static void listing_put(struct listing *listing, CK_SLOT_ID id)
{
    if (listing->n < listing->cap)
        listing->ids[listing->n] = id;
    listing->n++;
}

static CK_RV listing_fill(const uint32_t *vaults, size_t n, void *ctx)
{
    struct listing *listing = ctx;
    bool spare;
    CK_SLOT_ID spare_id = 0;
    TRY(spare_find(n, &spare, &spare_id));
    for (size_t i = 0; i < n; i++)
        listing_put(listing, vaults[i]);
    if (spare)
        listing_put(listing, spare_id);
    return CKR_OK;
}

CK_RV slot_list(bool token_present, CK_SLOT_ID *ret_ids, CK_ULONG cap, CK_ULONG *ret_n)
{
    (void)token_present;   /* every slot has a token, be it one to initialise */
    struct listing listing = {ret_ids, ret_ids ? cap : 0, 0};
    TRY(vaults_with(listing_fill, &listing));
    *ret_n = listing.n;
    return CKR_OK;
}

static CK_RV spare_is(const uint32_t *vaults, size_t n, void *ctx)
{
    (void)vaults;
    bool shown;
    CK_SLOT_ID id = 0;
    TRY(spare_find(n, &shown, &id));
    return shown && id == *(const CK_SLOT_ID *)ctx ? CKR_OK : CKR_SLOT_ID_INVALID;
}

CK_RV slot_get(CK_SLOT_ID id, struct slot **ret_slot)
{
    struct slot_table *table = module_state()->slots;
    if (id > INT32_MAX)
        return trace_fail(CKR_SLOT_ID_INVALID, "no slot %lu", id);
    pthread_mutex_lock(&table->lock);
    struct slot *slot = slot_of(table, id);
    pthread_mutex_unlock(&table->lock);
    if (!slot)
        return CKR_HOST_MEMORY;
    struct vs_vault_info info;
    bool initialized;
    TRY(slot_info(slot, &info, &initialized));
    if (!initialized) {
        CK_RV rv = vaults_with(spare_is, &id);
        if (rv != CKR_OK)
            return trace_fail(rv, "no slot %lu", id);
    }
    *ret_slot = slot;
    return CKR_OK;
}

/* ------------------------------------------------------------------ what is in it */

static CK_RV info_read(struct slot *slot)
{
    struct vs_store *store = module_state()->store;
    uint64_t txnid = vs_store_txnid(store);
    if (slot->info_txnid == txnid && txnid != VS_TXNID_UNKNOWN)
        return CKR_OK;
    struct vs_vault_info info = {0};
    int status = vs_vault_info(store, (uint32_t)slot->id, &info);
    if (status != VS_OK && status != VS_NOT_FOUND)
        return store_status(status, "vault");
    slot->initialized = status == VS_OK;
    slot->info = info;
    atomic_store_explicit(&slot->audit_each, info.policy.audit_use == 1, memory_order_relaxed);
    slot->info_txnid = txnid;
    return CKR_OK;
}

CK_RV slot_info(struct slot *slot, struct vs_vault_info *ret_info, bool *ret_initialized)
{
    pthread_mutex_lock(&slot->mutex);
    CK_RV rv = info_read(slot);
    if (rv == CKR_OK) {
        *ret_info = slot->info;
        if (ret_initialized)
            *ret_initialized = slot->initialized;
    }
    pthread_mutex_unlock(&slot->mutex);
    return rv;
}

bool slot_may(struct slot *slot, const struct vs_id *id, uint32_t verbs)
{
    if (atomic_load_explicit(&slot->verbs, memory_order_relaxed) & verbs)
        return true;
    pthread_rwlock_rdlock(&slot->lock);
    bool may = slot->login
               && vs_login_may(module_state()->store, slot->login, id, verbs) == VS_OK;
    pthread_rwlock_unlock(&slot->lock);
    return may;
}

CK_RV slot_refresh(struct slot *slot)
{
    struct vs_store *store = module_state()->store;
    uint64_t txnid = vs_store_txnid(store);
    if (atomic_load(&slot->checked_txnid) == txnid && txnid != VS_TXNID_UNKNOWN)
        return CKR_OK;
    if (atomic_load(&slot->role) != LOGIN_NONE) {
        pthread_rwlock_rdlock(&slot->lock);
        int status = slot->login ? vs_login_check(store, slot->login) : VS_OK;
        if (status == VS_OK && slot->login)
            atomic_store(&slot->verbs, login_verbs_of(slot->login));
        pthread_rwlock_unlock(&slot->lock);
        if (status == VS_REVOKED)
            login_revoke(slot);
        else if (status != VS_OK)
            return store_status(status, "login");
    }
    atomic_store(&slot->checked_txnid, txnid);
    return CKR_OK;
}
