/* backup_key.c: see backup_key.h. */
#include "backup_key.h"

#define SEALED (SEAL_KEY + SEAL_OVERHEAD)

static int derive(struct vs_store *store, const uint8_t key[SEAL_KEY], const char *info,
                  struct secret_key *ret_key)
{
    return seal_derive(store->sealer, key, SEAL_KEY, store->keys->mix, SEAL_KEY, info,
                       strlen(info), ret_key->b);
}

static int key_of(struct vs_store *store, const uint8_t vault_key[SEAL_KEY],
                  struct secret_key *ret_key)
{
    return derive(store, vault_key, "reprieve backup of an epoch", ret_key);
}

int backup_key(struct vs_store *store, const struct vs_login *login, uint64_t epoch,
               struct secret_key *ret_key)
{
    const struct login_ring *ring = login_ring_of(login, epoch);

    return ring != NULL ? key_of(store, ring->vault_key, ret_key) : VS_REVOKED;
}

static int reader_add(const struct generation *g, struct who who, const struct principal *p,
                      void *ctx)
{
    struct backup_own *own = ctx;

    (void)g;
    (void)who;
    if (p->has_pair && own->n < BACKUP_READERS)
        memcpy(own->readers[own->n++], p->public_key, SEAL_KEY);
    return VS_OK;
}

int backup_own_read(struct vs_store *store, struct kv_txn *txn, const struct vs_login *login,
                    const struct generation *g, bool with_readers, struct backup_own *ret_own)
{
    AUTO(backup_own) struct backup_own own = {.n = 0};

    VS_TRY(backup_key(store, login, g->rotation.epoch, &own.key));
    if (with_readers)
        VS_TRY(principals_each(store, txn, g, reader_add, &own));
    *ret_own = own;
    return VS_OK;
}

/* ------------------------------------------------------------------ the chain */

/* Under which key the one before is kept; its place in the store goes with it. */
static int keeper(struct vs_store *store, const struct secret_key *key, struct secret_key *ret_key)
{
    return derive(store, key->b, "reprieve former backup key", ret_key);
}

int backup_key_succeed(struct commit_txn *txn, uint32_t generation,
                       const struct login_ring *former, uint64_t epoch,
                       const uint8_t vault_key[SEAL_KEY])
{
    AUTO(secret_key) struct secret_key own, next, under;
    struct key place = key_backup(generation, epoch);
    uint8_t sealed[SEALED], body[8 + SEALED];
    struct writer w;

    VS_TRY(key_of(txn->store, former->vault_key, &own));
    VS_TRY(key_of(txn->store, vault_key, &next));
    VS_TRY(keeper(txn->store, &next, &under));
    VS_TRY(seal_close(txn->store->sealer, under.b, place.b, place.len, own.b, SEAL_KEY, sealed));
    writer_init(&w, body, sizeof(body));
    put_u64(&w, former->epoch);
    put_raw(&w, sealed, sizeof(sealed));
    return trusted_put(txn, &place, &w);
}

/* The one before that of *epoch; both move on to it. VS_NOT_FOUND: it is the first. */
static int key_before(struct vs_store *store, struct kv_txn *txn, uint32_t generation,
                      uint64_t *epoch, struct secret_key *key)
{
    AUTO(secret_key) struct secret_key under;
    struct key place = key_backup(generation, *epoch);
    uint8_t sealed[SEALED];
    uint64_t before;
    struct reader r;

    VS_TRY(trusted_get(store, txn, &place, &r));
    before = get_u64(&r);
    get_raw(&r, sealed, sizeof(sealed));
    if (!reader_end(&r))
        return VS_E_CORRUPT;
    VS_TRY(keeper(store, key, &under));
    VS_TRY(seal_open(store->sealer, under.b, place.b, place.len, sealed, sizeof(sealed), key->b));
    *epoch = before;
    return VS_OK;
}

/* ------------------------------------------------------------------ all of them */

static int keys_add(struct backup_keys *keys, const struct secret_key *key)
{
    if (keys->n == keys->cap) {
        size_t cap = keys->cap == 0 ? 8 : keys->cap * 2;
        struct secret_key *more = vs_secret_alloc(cap * sizeof(*more));

        if (more == NULL)
            return VS_E_NOMEM;
        if (keys->n > 0)
            memcpy(more, keys->key, keys->n * sizeof(*more));
        vs_secret_free(keys->key, keys->cap * sizeof(*keys->key));
        keys->key = more;
        keys->cap = cap;
    }
    keys->key[keys->n++] = *key;
    return VS_OK;
}

static int keys_collect(struct vs_store *store, struct vs_login *login, struct backup_keys *keys)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    AUTO(secret_key) struct secret_key key;
    struct generation live;
    uint64_t epoch;
    int status;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(generation_enter(store, txn, login->vault, login, &live));
    epoch = live.rotation.epoch;
    keys->rotated = epoch != 0;
    keys->private_key = login->has_pair ? login->private_key : NULL;
    status = backup_key(store, login, epoch, &key);
    while (status == VS_OK) {
        VS_TRY(keys_add(keys, &key));
        status = key_before(store, txn, live.number, &epoch, &key);
    }
    if (status != VS_NOT_FOUND)
        return status;
    VS_TRY(derive(store, login->first_index_key, "reprieve backup", &key));
    return keys_add(keys, &key);
}

int backup_keys_read(struct vs_store *store, struct vs_login *login, struct backup_keys *ret_keys)
{
    struct backup_keys keys = {.key = NULL};
    int status = keys_collect(store, login, &keys);

    if (status != VS_OK) {
        backup_keys_done(&keys);
        return status;
    }
    *ret_keys = keys;
    return VS_OK;
}

void backup_keys_done(struct backup_keys *keys)
{
    vs_secret_free(keys->key, keys->cap * sizeof(*keys->key));
    *keys = (struct backup_keys){.key = NULL};
}
