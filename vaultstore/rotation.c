/*
 * rotation.c: a new vault key, when somebody who had the former one is removed.
 *
 * (1) In the transaction of the removal: a fresh key, sealed to the public key of every principal
 * who stays; with it are sealed the former key and the first index key, which lists objects by kind
 * and stays as it is. From then on everything is sealed under the fresh key, and found by the index
 * key that hangs on it. (2) In batches, the objects that are still under the former one, with their
 * index entries. (3) One transaction drops the former key. In between, and after a crash, both are
 * read; the next login goes on. An epoch is a random number that names a key, so that a key whose
 * transaction never got to the disk is mistaken for no other.
 */
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "backup_key.h"
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

uint64_t login_epoch(const struct vs_login *login)
{
    return atomic_load_explicit(&login->ring, memory_order_acquire)->epoch;
}

static int ring_fill(struct vs_store *store, const struct vs_login *login, uint64_t epoch,
                     bool own_index, const uint8_t vault_key[SEAL_KEY], struct login_ring *ring)
{
    ring->epoch = epoch;
    memcpy(ring->vault_key, vault_key, SEAL_KEY);
    memcpy(ring->index_key, login->first_index_key, SEAL_KEY);
    if (own_index)
        VS_TRY(epoch_key(store, vault_key, "reprieve index of an epoch", ring->index_key));
    return epoch_key(store, vault_key, "reprieve private object", ring->object_key);
}

static int ring_add(struct vs_store *store, struct vs_login *login, uint64_t epoch, bool own_index,
                    const uint8_t vault_key[SEAL_KEY])
{
    struct login_ring *ring;
    int status;

    if (login_ring_of(login, epoch) != NULL)
        return VS_OK;
    ring = vs_secret_alloc(sizeof(*ring));
    if (ring == NULL)
        return VS_E_NOMEM;
    status = ring_fill(store, login, epoch, own_index, vault_key, ring);
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
        VS_TRY(ring_add(store, login, g->rotation.former_epoch, g->rotation.former_own_index,
                        former.b));
    }
    return ring_add(store, login, g->rotation.epoch, g->rotation.own_index, vault_key);
}

int login_first_index_key(struct vs_store *store, const struct generation *g,
                          const uint8_t vault_key[SEAL_KEY], uint8_t ret_key[SEAL_KEY])
{
    return g->rotation.epoch == 0
               ? epoch_key(store, vault_key, "reprieve private index", ret_key)
               : under_open(store, g, INDEX, vault_key, g->rotation.index, ret_key);
}

int login_vault_key(struct vs_store *store, struct kv_txn *txn, const struct vs_login *login,
                    const struct generation *g, struct secret_key *ret_vault_key)
{
    struct principal p;
    int status = principal_get(store, txn, g->number, login_who(login), &p);

    if (status == VS_NOT_FOUND || (status == VS_OK && (!login->has_pair || !p.has_pair)))
        return VS_REVOKED;
    VS_TRY(status);
    status = principal_box_open(store, g, login_who(login), &p, login->private_key,
                                ret_vault_key);
    VS_TRY(status == VS_E_CORRUPT ? VS_REVOKED : status);   /* the PIN was set anew, with a pair */
    return p.epoch == g->rotation.epoch ? VS_OK : VS_E_CORRUPT;
}

int login_rekey(struct vs_store *store, struct kv_txn *txn, const struct vs_login *login,
                const struct generation *g)
{
    /* Keys are the login's own affair: to the caller nothing changes. */
    struct vs_login *own = (struct vs_login *)(uintptr_t)login;
    AUTO(secret_key) struct secret_key vault_key;

    if (login_ring_of(login, g->rotation.epoch) != NULL)
        return VS_OK;
    VS_TRY(login_vault_key(store, txn, login, g, &vault_key));
    return login_keys(store, own, g, vault_key.b);
}

/* ------------------------------------------------------------------ the change */

struct rotate { struct commit_txn *txn; const char *leaving; const uint8_t *vault_key; };

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
static int pair_check(const struct generation *g, struct who who, const struct principal *p,
                      void *ctx)
{
    (void)g;
    return who_leaves(who, ctx) || p->has_pair || is_outside(p) ? VS_OK : VS_WRONG_STATE;
}

static int box_put(const struct generation *g, struct who who, const struct principal *p, void *ctx)
{
    const struct rotate *rotate = ctx;
    struct principal fresh = *p;

    if (who_leaves(who, rotate) || is_outside(p))
        return VS_OK;
    VS_TRY(principal_box_close(rotate->txn->store, g, who, rotate->vault_key, &fresh));
    return principal_put(rotate->txn, g->number, who, &fresh);
}

/* Later, then. */
static int rotation_want(struct commit_txn *txn, struct generation *g)
{
    if (g->rotation.wanted)
        return VS_OK;
    g->rotation.wanted = true;
    return generation_put(txn, g);
}

int rotation_begin(struct commit_txn *txn, const struct vs_login *login, struct generation *g,
                   const char *leaving, bool *ret_begun)
{
    const struct login_ring *ring = login_ring_of(login, g->rotation.epoch);
    AUTO(secret_key) struct secret_key fresh;
    struct rotation next = {.resealing = true, .former_epoch = g->rotation.epoch,
                            .own_index = txn->store->terms != NULL,
                            .former_own_index = g->rotation.own_index};
    struct rotate rotate = {.txn = txn, .leaving = leaving, .vault_key = fresh.b};
    int status;

    *ret_begun = false;
    if (ring == NULL)
        return VS_REVOKED;
    if (g->rotation.own_index && !next.own_index)
        return VS_POLICY;
    status = g->rotation.resealing
                 ? VS_WRONG_STATE
                 : principals_each(txn->store, txn->kv, g, pair_check, &rotate);
    if (status == VS_WRONG_STATE)
        return rotation_want(txn, g);
    VS_TRY(status);
    VS_TRY(seal_random(txn->store->sealer, fresh.b, sizeof(fresh.b)));
    while (next.epoch == 0 || next.epoch == g->rotation.epoch)
        VS_TRY(seal_random(txn->store->sealer, &next.epoch, sizeof(next.epoch)));
    VS_TRY(under_close(txn->store, g, FORMER, next.epoch, fresh.b, ring->vault_key, next.former));
    VS_TRY(under_close(txn->store, g, INDEX, next.epoch, fresh.b, login->first_index_key,
                       next.index));
    VS_TRY(backup_key_succeed(txn, g->number, ring, next.epoch, fresh.b));
    g->rotation = next;
    VS_TRY(principals_each(txn->store, txn->kv, g, box_put, &rotate));
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
    int status = object_load(txn->store, txn->kv, id, &record);

    if (status == VS_NOT_FOUND)   /* restored, and purged since */
        return VS_OK;
    VS_TRY(status);
    if (!record.header.is_private || record.header.generation != g->number ||
        record.header.epoch == g->rotation.epoch)
        return VS_OK;
    status = object_rewrite(txn, r->login, &record);
    return status == VS_NOT_FOUND ? VS_OK : status;   /* its slot is wiped: nothing opens it */
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
    live.rotation.former_own_index = false;
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

/* ------------------------------------------------------------------ what was put off */

static int wanted_run(struct commit_txn *txn, void *ctx)
{
    const struct vs_login *login = ctx;
    struct audit_entry entry = {.vault = login->vault, .operation = "VaultKeyRotate",
                                .principal = login_name(login),
                                .detail = "which was put off when a user was removed"};
    struct generation live;
    bool begun = false;

    VS_TRY(generation_enter(txn->store, txn->kv, login->vault, login, &live));
    if (!live.rotation.wanted)
        return VS_OK;
    VS_TRY(rotation_begin(txn, login, &live, NULL, &begun));
    entry.generation = live.number;
    return begun ? audit_append(txn, &entry) : VS_OK;
}

int rotation_catch_up(struct vs_store *store, struct vs_login *login,
                      const struct generation *live)
{
    if (live->rotation.resealing)
        VS_TRY(rotation_finish(store, login));
    if (!live->rotation.wanted)
        return VS_OK;
    VS_TRY(commit_run(store, wanted_run, login));
    return rotation_finish(store, login);
}
