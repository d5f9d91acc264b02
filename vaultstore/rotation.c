/*
 * rotation.c: a new vault key, when somebody who had the former one is removed.
 *
 * (1) In the transaction of the removal: a fresh key, sealed to the public key of every principal
 * who stays; with it are sealed the former key and the index key, which stays as it is. From then
 * on everything is sealed under the fresh key. (2) In batches, the objects that are still under the
 * former one. (3) One transaction drops the former key. In between, and after a crash, both are
 * read; the next login goes on. An epoch is a random number that names a key, so that a key whose
 * transaction never got to the disk is mistaken for no other.
 */
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "object.h"
#include "store_internal.h"

#define RESEAL_BATCH 64

static int epoch_key(struct vs_store *store, const uint8_t vault_key[SEAL_KEY], const char *info,
                     uint8_t ret_key[SEAL_KEY])
{
    return seal_derive(store->sealer, vault_key, SEAL_KEY, store->keys->mix, SEAL_KEY, info,
                       strlen(info), ret_key);
}

/* A key under another one; its place is the generation and the epoch. */
static size_t under_label(const struct generation *generation, const char *what, uint64_t epoch,
                          uint8_t ret_label[64])
{
    struct writer w;

    writer_init(&w, ret_label, 64);
    put_text(&w, what);
    put_raw(&w, generation->tag, sizeof(generation->tag));
    put_u64(&w, epoch);
    return w.len;
}

static int under_close(struct vs_store *store, const struct generation *g, const char *what,
                       uint64_t epoch, const uint8_t vault_key[SEAL_KEY],
                       const uint8_t key[SEAL_KEY], uint8_t *ret_sealed)
{
    AUTO(secret_key) struct secret_key under;
    uint8_t label[64];
    size_t len = under_label(g, what, epoch, label);

    VS_TRY(epoch_key(store, vault_key, what, under.b));
    return seal_close(store->sealer, under.b, label, len, key, SEAL_KEY, ret_sealed);
}

static int under_open(struct vs_store *store, const struct generation *g, const char *what,
                      const uint8_t vault_key[SEAL_KEY], const uint8_t *sealed,
                      uint8_t ret_key[SEAL_KEY])
{
    AUTO(secret_key) struct secret_key under;
    uint8_t label[64];
    size_t len = under_label(g, what, g->rotation.epoch, label);

    VS_TRY(epoch_key(store, vault_key, what, under.b));
    return seal_open(store->sealer, under.b, label, len, sealed, SEAL_KEY + SEAL_OVERHEAD,
                     ret_key);
}

#define FORMER "reprieve former vault key"
#define INDEX "reprieve index key"

/* ------------------------------------------------------------------ a login's keys */

const struct login_ring *login_ring_of(const struct vs_login *login, uint64_t epoch)
{
    const struct login_ring *ring = atomic_load_explicit(&login->ring, memory_order_acquire);

    while (ring != NULL && ring->epoch != epoch)
        ring = ring->older;
    return ring;
}

static int ring_add(struct vs_store *store, struct vs_login *login, uint64_t epoch,
                    const uint8_t vault_key[SEAL_KEY])
{
    struct login_ring *ring;
    int status;

    if (login_ring_of(login, epoch) != NULL)
        return VS_OK;
    ring = vs_secret_alloc(sizeof(*ring));
    if (ring == NULL)
        return VS_E_NOMEM;
    ring->epoch = epoch;
    memcpy(ring->vault_key, vault_key, SEAL_KEY);
    status = epoch_key(store, vault_key, "reprieve private object", ring->object_key);
    if (status != VS_OK) {
        vs_secret_free(ring, sizeof(*ring));
        return status;
    }
    ring->older = atomic_load(&login->ring);
    while (!atomic_compare_exchange_weak(&login->ring, &ring->older, ring))
        ;
    return VS_OK;
}

void login_rings_free(struct vs_login *login)
{
    struct login_ring *ring = atomic_exchange(&login->ring, NULL);

    while (ring != NULL) {
        struct login_ring *older = ring->older;
        vs_secret_free(ring, sizeof(*ring));
        ring = older;
    }
}

int login_keys(struct vs_store *store, struct vs_login *login, const struct generation *g,
               const uint8_t vault_key[SEAL_KEY])
{
    AUTO(secret_key) struct secret_key former;

    if (g->rotation.resealing) {
        VS_TRY(under_open(store, g, FORMER, vault_key, g->rotation.former, former.b));
        VS_TRY(ring_add(store, login, g->rotation.former_epoch, former.b));
    }
    return ring_add(store, login, g->rotation.epoch, vault_key);
}

int login_index_key(struct vs_store *store, const struct generation *g,
                    const uint8_t vault_key[SEAL_KEY], uint8_t ret_key[SEAL_KEY])
{
    return g->rotation.epoch == 0
               ? epoch_key(store, vault_key, "reprieve private index", ret_key)
               : under_open(store, g, INDEX, vault_key, g->rotation.index, ret_key);
}

int login_rekey(struct vs_store *store, struct kv_txn *txn, const struct vs_login *login,
                const struct generation *g)
{
    /* Keys are the login's own affair: to the caller nothing changes. */
    struct vs_login *own = (struct vs_login *)(uintptr_t)login;
    AUTO(secret_key) struct secret_key vault_key;
    struct principal p;
    int status;

    if (login_ring_of(login, g->rotation.epoch) != NULL)
        return VS_OK;
    status = principal_get(store, txn, g->number, login_who(login), &p);
    if (status == VS_NOT_FOUND || (status == VS_OK && !login->has_pair))
        return VS_REVOKED;
    VS_TRY(status);
    status = principal_box_open(store, g, login_who(login), &p, login->private_key, &vault_key);
    VS_TRY(status == VS_E_CORRUPT ? VS_REVOKED : status);   /* the PIN was set anew, with a pair */
    return p.epoch == g->rotation.epoch ? login_keys(store, own, g, vault_key.b) : VS_E_CORRUPT;
}

/* ------------------------------------------------------------------ the change */

/* Calls `each` for every principal of the generation: SO, user, and those with a name. */
static int principals_each(struct commit_txn *txn, const struct generation *g,
                           int (*each)(struct commit_txn *txn, const struct generation *g,
                                       struct who who, void *ctx),
                           void *ctx)
{
    struct key prefix = key_principals(g->number), from = prefix;
    int status = VS_OK;

    while (status == VS_OK) {
        struct kv_cursor *cursor = NULL;
        struct kv_slice key, value;
        char name[VS_USER_NAME_MAX + 1] = "";
        struct who who = {.role = VS_ROLE_USER};

        VS_TRY(kv_cursor_open(txn->kv, &cursor));
        status = kv_cursor_seek(cursor, from.b, from.len, &key, &value);
        if (status == VS_OK && (!key_has_prefix(&key, &prefix) || key.len <= prefix.len ||
                                key.data[prefix.len] >= PRINCIPAL_GRANT))
            status = VS_END;
        if (status == VS_OK) {
            memcpy(from.b, key.data, key.len);
            from.len = key.len;
            from.b[from.len++] = 0;      /* the next one */
        }
        kv_cursor_close(cursor);
        if (status != VS_OK)
            break;
        if (from.b[prefix.len] == PRINCIPAL_NAMED) {
            memcpy(name, from.b + prefix.len + 1, from.len - prefix.len - 2);
            who.name = name;
        } else {
            who.role = from.b[prefix.len];
        }
        status = each(txn, g, who, ctx);
    }
    return status == VS_END ? VS_OK : status;
}

struct rotate { const char *leaving; const uint8_t *vault_key; };

static bool who_leaves(struct who who, const struct rotate *rotate)
{
    return who.name != NULL && rotate->leaving != NULL && strcmp(who.name, rotate->leaving) == 0;
}

/* A principal that was restored has neither a PIN nor a key yet: nothing is kept from it. */
static bool is_outside(const struct principal *p)
{
    static const uint8_t none[PRINCIPAL_WRAPPED];

    return !p->has_pair && memcmp(p->wrapped, none, sizeof(none)) == 0;
}

/* VS_WRONG_STATE: has a key, and no public one to seal another to. */
static int pair_check(struct commit_txn *txn, const struct generation *g, struct who who,
                      void *ctx)
{
    struct principal p;

    if (who_leaves(who, ctx))
        return VS_OK;
    VS_TRY(principal_get(txn->store, txn->kv, g->number, who, &p));
    return p.has_pair || is_outside(&p) ? VS_OK : VS_WRONG_STATE;
}

static int box_put(struct commit_txn *txn, const struct generation *g, struct who who, void *ctx)
{
    const struct rotate *rotate = ctx;
    struct principal p;

    if (who_leaves(who, rotate))
        return VS_OK;
    VS_TRY(principal_get(txn->store, txn->kv, g->number, who, &p));
    if (is_outside(&p))
        return VS_OK;
    VS_TRY(principal_box_close(txn->store, g, who, rotate->vault_key, &p));
    return principal_put(txn, g->number, who, &p);
}

int rotation_begin(struct commit_txn *txn, const struct vs_login *login, struct generation *g,
                   const char *leaving, bool *ret_begun)
{
    const struct login_ring *ring = login_ring_of(login, g->rotation.epoch);
    AUTO(secret_key) struct secret_key fresh;
    struct rotation next = {.resealing = true, .former_epoch = g->rotation.epoch};
    struct rotate rotate = {.leaving = leaving, .vault_key = fresh.b};
    int status;

    *ret_begun = false;
    if (ring == NULL)
        return VS_REVOKED;
    if (g->rotation.resealing)
        return VS_OK;
    status = principals_each(txn, g, pair_check, &rotate);
    if (status == VS_WRONG_STATE)
        return VS_OK;
    VS_TRY(status);
    VS_TRY(seal_random(txn->store->sealer, fresh.b, sizeof(fresh.b)));
    while (next.epoch == 0 || next.epoch == g->rotation.epoch)
        VS_TRY(seal_random(txn->store->sealer, &next.epoch, sizeof(next.epoch)));
    VS_TRY(under_close(txn->store, g, FORMER, next.epoch, fresh.b, ring->vault_key, next.former));
    VS_TRY(under_close(txn->store, g, INDEX, next.epoch, fresh.b, login->index_key, next.index));
    g->rotation = next;
    VS_TRY(principals_each(txn, g, box_put, &rotate));
    VS_TRY(generation_put(txn, g));
    *ret_begun = true;
    return VS_OK;
}

/* ------------------------------------------------------------------ the objects */

/* Where a generation's objects are named: its own, then those restored from another one. */
enum reseal_part { PART_OWN, PART_RESTORED, PART_END };

struct reseal_place {
    enum reseal_part part;
    struct key from;              /* len 0: the part's first */
    bool whole;                   /* all so far were resealed */
};

struct reseal {
    struct vs_login *login;
    uint64_t epoch;               /* all before `at` is sealed under its key */
    struct reseal_place at;
    uint64_t next_epoch;          /* these two are set anew by every run */
    struct reseal_place next;
};

static struct key part_prefix(const struct generation *g, enum reseal_part part)
{
    return part == PART_OWN ? key_objects(g->tag) : key_restored(g->number, NULL);
}

/* The next ones of the part, whatever their epoch. */
static int ids_next(struct commit_txn *txn, const struct generation *g,
                    const struct reseal_place *at, struct vs_id ids[RESEAL_BATCH], size_t *ret_n)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key prefix = part_prefix(g, at->part);
    const struct key *from = at->from.len == 0 ? &prefix : &at->from;
    struct kv_slice key, value;
    size_t n = 0;
    int status;

    VS_TRY(kv_cursor_open(txn->kv, &cursor));
    status = kv_cursor_seek(cursor, from->b, from->len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, &prefix) && n < RESEAL_BATCH) {
        if (key.len < 1 + sizeof(ids[0].b))
            return VS_E_CORRUPT;
        memcpy(ids[n++].b, key.data + key.len - sizeof(ids[0].b), sizeof(ids[0].b));
        status = kv_cursor_next(cursor, &key, &value);
    }
    *ret_n = n;
    return status == VS_END ? VS_OK : status;
}

static int reseal_one(struct commit_txn *txn, const struct reseal *r, const struct generation *g,
                      const struct vs_id *id)
{
    struct object_record record;
    struct index_tags tags;
    struct vs_header header;
    uint8_t *attrs;
    size_t len;
    int status;

    status = object_load(txn->store, txn->kv, id, &record);
    if (status == VS_NOT_FOUND)   /* restored, and purged since */
        return VS_OK;
    VS_TRY(status);
    if (!record.header.is_private || record.header.generation != g->number ||
        record.header.epoch == g->rotation.epoch)
        return VS_OK;
    VS_TRY(object_open(txn->store, r->login, &record, &attrs, &len));
    header = record.header;
    tags = record.tags;
    status = object_put(txn, r->login, &header, &tags, attrs, len, NULL);
    vs_secret_free(attrs, len + 1);
    return status;
}

/* Past the ids just done, or in the next part. */
static void place_move(struct reseal_place *place, const struct generation *g,
                       const struct vs_id *ids, size_t n)
{
    if (n < RESEAL_BATCH) {
        place->part++;
        place->from.len = 0;
        return;
    }
    place->from = place->part == PART_OWN ? key_object(&ids[n - 1])
                                          : key_restored(g->number, &ids[n - 1]);
    place->from.b[place->from.len++] = 0;    /* what follows it */
}

/* A record that does not authenticate stays as it is, and then so does the former key. */
static int reseal_run(struct commit_txn *txn, void *ctx)
{
    struct reseal *r = ctx;
    struct vs_id ids[RESEAL_BATCH];
    struct generation live;
    size_t n = 0;

    r->next = r->at;
    r->next_epoch = r->epoch;
    VS_TRY(generation_enter(txn->store, txn->kv, r->login->vault, r->login, &live));
    if (live.rotation.resealing && live.rotation.epoch != r->epoch) {
        /* another process ended this rotation and began the next: what was done is of the former */
        r->next = (struct reseal_place){.part = PART_OWN, .whole = true};
        r->next_epoch = live.rotation.epoch;
        return VS_OK;
    }
    if (!live.rotation.resealing) {
        r->next.part = PART_END;
        r->next.whole = false;
        return VS_OK;
    }
    VS_TRY(ids_next(txn, &live, &r->at, ids, &n));
    for (size_t i = 0; i < n; i++) {
        int status = reseal_one(txn, r, &live, &ids[i]);
        if (status == VS_E_CORRUPT)
            r->next.whole = false;
        else
            VS_TRY(status);
    }
    place_move(&r->next, &live, ids, n);
    return VS_OK;
}

static int reseal_end(struct commit_txn *txn, void *ctx)
{
    const struct reseal *r = ctx;
    struct audit_entry entry = {.vault = r->login->vault, .operation = "VaultKeyRotated",
                                .principal = login_name(r->login)};
    struct generation live;

    VS_TRY(generation_enter(txn->store, txn->kv, r->login->vault, r->login, &live));
    if (!live.rotation.resealing || live.rotation.epoch != r->epoch)
        return VS_OK;            /* ended by another; what has begun since is for who began it */
    live.rotation.resealing = false;
    live.rotation.former_epoch = 0;
    memset(live.rotation.former, 0, sizeof(live.rotation.former));
    VS_TRY(generation_put(txn, &live));
    entry.generation = live.number;
    return audit_append(txn, &entry);
}

int rotation_finish(struct vs_store *store, struct vs_login *login)
{
    struct reseal r = {.login = login, .at = {.part = PART_OWN, .whole = true}};

    while (r.at.part != PART_END) {
        VS_TRY(commit_run(store, reseal_run, &r));
        r.at = r.next;
        r.epoch = r.next_epoch;
    }
    return r.at.whole ? commit_run(store, reseal_end, &r) : VS_OK;
}
