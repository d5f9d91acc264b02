/*
 * login.c: PINs and logins.
 *
 * A check of a PIN: (1) one transaction counts the try; (2) scrypt, outside of any transaction;
 * (3) one transaction gives the try back when the PIN was right. A byte of the file pin.lock,
 * one for each principal, is locked over all three, so that parallel checks of a right PIN never
 * use up the tries. A crash between (1) and (3) costs a try, it never gains one.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "audit.h"
#include "store_internal.h"

enum vs_role login_role(const struct vs_login *login)
{
    return login != NULL ? login->role : VS_ROLE_PUBLIC;
}

uint32_t vs_login_verbs(const struct vs_login *login)
{
    static const uint32_t verbs[] = {
        [VS_ROLE_PUBLIC] = 0, [VS_ROLE_SO] = VS_VERBS_SO, [VS_ROLE_USER] = VS_VERBS_USER};

    if (login_is_named(login))
        return atomic_load_explicit(&login->verbs, memory_order_relaxed);
    return login != NULL ? verbs[login->role] : 0;
}

void actor_name(const struct vs_store *store, const char *principal, char ret_name[VS_ACTOR_MAX])
{
    snprintf(ret_name, VS_ACTOR_MAX, "%s (uid %u)", principal, (unsigned)store->self.uid);
}

/* ------------------------------------------------------------------ pin.lock */

/* Unlocked by hand, not by the close alone: a child forked meanwhile holds a copy of it. */
void pin_lock_auto(struct pin_lock *lock)
{
    if (lock->fd >= 0) {
        lock->range.l_type = F_UNLCK;
        (void)fcntl(lock->fd, F_OFD_SETLK, &lock->range);
        close(lock->fd);
    }
    if (lock->mutex != NULL)
        pthread_mutex_unlock(lock->mutex);
}

/* The byte of a principal. A name's is far above the roles': its FNV-1a; names that share one
 * only wait for each other. */
static off_t pin_lock_byte(uint32_t generation, struct who who)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ generation;

    if (who.name == NULL)
        return (off_t)generation * 4 + (off_t)who.role;
    for (const char *c = who.name; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    return (off_t)(UINT64_C(1) << 61 | hash >> 3);
}

/* The mutex is for the threads of this process, the file for other processes. */
int pin_lock_take(struct vs_store *store, uint32_t generation, struct who who,
                  struct pin_lock *lock)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/pin.lock", store->path);

    if (n < 0 || (size_t)n >= sizeof(path))
        return VS_E_PERM;
    lock->mutex = &store->pin_locks[(uint64_t)pin_lock_byte(generation, who) % PIN_LOCKS];
    pthread_mutex_lock(lock->mutex);
    lock->range = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1,
                                 .l_start = pin_lock_byte(generation, who)};
    lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    while (lock->fd >= 0 && fcntl(lock->fd, F_OFD_SETLKW, &lock->range) != 0) {
        if (errno != EINTR) {
            close(lock->fd);
            lock->fd = -1;
        }
    }
    if (lock->fd < 0) {
        store_trace(store, __func__, "cannot open or lock %s: %s", path, strerror(errno));
        return VS_E_IO;
    }
    return VS_OK;
}

/* ------------------------------------------------------------------ stretching */

void pin_key_auto(struct pin_key *key)
{
    explicit_bzero(key, sizeof(*key));
}

int pin_stretch(struct vs_store *store, const uint8_t *pin, size_t pin_len, uint32_t log_n,
                struct pin_key *ret_key)
{
    if (pin_len < VS_PIN_MIN_LEN || pin_len > VS_PIN_MAX_LEN)
        return VS_POLICY;
    VS_TRY(seal_random(store->sealer, ret_key->salt, sizeof(ret_key->salt)));
    ret_key->log_n = log_n;
    return seal_scrypt(store->sealer, pin, pin_len, ret_key->salt, log_n, ret_key->key);
}

/* ------------------------------------------------------------------ the check */

struct pin_try {
    uint32_t vault, number;
    struct who who;
    struct generation generation;
    struct principal principal;
    struct secret_key private_key;   /* of the principal's pair */
    bool rehashed;
    bool last;                    /* this try was the last one */
};

static void pin_try_auto(struct pin_try *t)
{
    explicit_bzero(t, sizeof(*t));
}

static int try_count(struct commit_txn *txn, void *ctx)
{
    struct pin_try *t = ctx;
    int status;

    VS_TRY(generation_get(txn->store, txn->kv, t->vault, t->number, &t->generation));
    if (t->generation.state == GENERATION_PURGED)
        return VS_NOT_FOUND;
    status = principal_get(txn->store, txn->kv, t->number, t->who, &t->principal);
    if (status == VS_NOT_FOUND)
        return VS_PIN_NOT_SET;
    VS_TRY(status);
    if (t->principal.tries >= t->generation.policy.pin_tries)
        return VS_PIN_LOCKED;
    t->principal.tries++;
    t->last = t->principal.tries >= t->generation.policy.pin_tries;
    return principal_put(txn, t->number, t->who, &t->principal);
}

/* The vault key may have been rotated meanwhile: then the record has another box. */
static int try_settle(struct commit_txn *txn, void *ctx)
{
    struct pin_try *t = ctx;
    struct principal now;

    VS_TRY(principal_get(txn->store, txn->kv, t->number, t->who, &now));
    if (t->rehashed && now.epoch == t->principal.epoch) {
        const uint32_t verbs = now.verbs;   /* which may have been changed meanwhile */

        now = t->principal;
        now.verbs = verbs;
    }
    now.tries = 0;
    return principal_put(txn, t->number, t->who, &now);
}

/* A failure, and a lock-out when it was the last try, in one transaction. */
static int try_fail(struct commit_txn *txn, void *ctx)
{
    const struct pin_try *t = ctx;
    struct audit_entry entry = {.vault = t->vault, .generation = t->number,
                                .operation = "VaultLogin", .result = VS_PIN_INCORRECT,
                                .principal = who_name(t->who)};

    VS_TRY(audit_append(txn, &entry));
    if (!t->last)
        return VS_OK;
    entry.operation = "VaultLockOut";
    entry.result = VS_PIN_LOCKED;
    return audit_append(txn, &entry);
}

/* A stored cost below the policy's, or no pair yet: wrapped anew, stretched as the policy says. */
static int try_rehash(struct vs_store *store, struct pin_try *t, const uint8_t *pin,
                      size_t pin_len, const struct secret_key *vault_key)
{
    AUTO(pin_key) struct pin_key fresh;
    AUTO(secret_key) struct secret_key slot;
    uint64_t epoch = t->principal.epoch;

    if (t->principal.has_pair && t->principal.log_n >= t->generation.policy.scrypt_log_n)
        return VS_OK;
    if (epoch != t->generation.rotation.epoch)
        return VS_OK;                /* rotated just now: at the next login */
    VS_TRY(keyslots_read(store->slots, t->generation.slot, slot.b));
    VS_TRY(pin_stretch(store, pin, pin_len, t->generation.policy.scrypt_log_n, &fresh));
    VS_TRY(principal_wrap(store, &t->generation, t->who, slot.b, &fresh, vault_key->b,
                          &t->principal, &t->private_key));
    t->rehashed = true;
    return VS_OK;
}

/* With the principal's lock held. On success t has the principal as stored. */
static int pin_try(struct vs_store *store, struct pin_try *t, const uint8_t *pin, size_t pin_len,
                   struct secret_key *ret_vault_key)
{
    AUTO(secret_key) struct secret_key key;
    int status;

    VS_TRY(commit_run_always(store, try_count, t));
    status = principal_unwrap(store, &t->generation, t->who, &t->principal, pin, pin_len,
                              &t->private_key, &key);
    if (status == VS_PIN_INCORRECT)
        VS_TRY(commit_run_always(store, try_fail, t));
    VS_TRY(status);
    t->principal.tries = 0;
    VS_TRY(try_rehash(store, t, pin, pin_len, &key));
    VS_TRY(commit_run_always(store, try_settle, t));
    *ret_vault_key = key;
    return VS_OK;
}

/* On success ret_try has the principal and the private half of its pair. */
static int who_check(struct vs_store *store, uint32_t vault, uint32_t generation, struct who who,
                     const uint8_t *pin, size_t pin_len, struct pin_try *ret_try,
                     struct secret_key *ret_vault_key)
{
    AUTO(pin_try) struct pin_try t = {.vault = vault, .number = generation, .who = who};
    AUTO(pin_lock) struct pin_lock lock = {.fd = -1};

    VS_TRY(pin_lock_take(store, generation, who, &lock));
    VS_TRY(pin_try(store, &t, pin, pin_len, ret_vault_key));
    *ret_try = t;
    return VS_OK;
}

int pin_check(struct vs_store *store, uint32_t vault, uint32_t generation, enum vs_role role,
              const uint8_t *pin, size_t pin_len, struct secret_key *ret_vault_key)
{
    AUTO(pin_try) struct pin_try t = {.vault = vault};

    return who_check(store, vault, generation, (struct who){.role = role}, pin, pin_len, &t,
                     ret_vault_key);
}

/* ------------------------------------------------------------------ logins */

int live_read(struct vs_store *store, uint32_t vault, struct generation *ret_generation)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;

    VS_TRY(kv_read(store->kv, &txn));
    return generation_live(store, txn, vault, ret_generation);
}

/* The vault key that the PIN opened may be of the epoch before, when it was rotated just now. */
static int login_begin(struct vs_store *store, struct vs_login *login, uint64_t epoch,
                       const struct secret_key *vault_key, struct generation *ret_live)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    AUTO(secret_key) struct secret_key live_key = *vault_key;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(generation_live(store, txn, login->vault, ret_live));
    if (ret_live->number != login->generation)
        return VS_REVOKED;
    if (epoch != ret_live->rotation.epoch)
        VS_TRY(login_vault_key(store, txn, login, ret_live, &live_key));
    VS_TRY(login_first_index_key(store, ret_live, live_key.b, login->first_index_key));
    return login_keys(store, login, ret_live, live_key.b);
}

static int login_open(struct vs_store *store, uint32_t vault, struct who who, const uint8_t *pin,
                      size_t pin_len, struct vs_login **ret_login)
{
    AUTO(vs_login) struct vs_login *login = NULL;
    AUTO(secret_key) struct secret_key vault_key;
    struct generation live;
    AUTO(pin_try) struct pin_try t = {.vault = vault};

    VS_TRY(live_read(store, vault, &live));
    VS_TRY(who_check(store, vault, live.number, who, pin, pin_len, &t, &vault_key));
    login = vs_secret_alloc(sizeof(*login));
    if (login == NULL)
        return VS_E_NOMEM;
    memset(login, 0, sizeof(*login));
    login->vault = vault;
    login->generation = live.number;
    login->role = who.role;
    if (who.name != NULL)
        snprintf(login->name, sizeof(login->name), "%s", who.name);
    memcpy(login->number, t.principal.number, sizeof(login->number));
    login->verbs = t.principal.verbs;
    login->has_pair = t.principal.has_pair;
    memcpy(login->private_key, t.private_key.b, SEAL_KEY);
    VS_TRY(login_begin(store, login, t.principal.epoch, &vault_key, &live));
    /* if not now, then at the next login */
    (void)store_result(store, __func__, rotation_catch_up(store, login, &live));
    *ret_login = login;
    login = NULL;
    return VS_OK;
}

int vs_login(struct vs_store *store, uint32_t vault, enum vs_role role, const uint8_t *pin,
             size_t pin_len, struct vs_login **ret_login)
{
    const struct who who = {.role = role};

    return store_result(store, __func__, login_open(store, vault, who, pin, pin_len, ret_login));
}

int vs_login_named(struct vs_store *store, uint32_t vault, const char *name, const uint8_t *pin,
                   size_t pin_len, struct vs_login **ret_login)
{
    const struct who who = {.role = VS_ROLE_USER, .name = name};
    int status = vs_user_exists(store, vault, name);

    if (status == VS_OK)
        status = login_open(store, vault, who, pin, pin_len, ret_login);
    return store_result(store, __func__,
                        status == VS_NOT_FOUND || status == VS_PIN_NOT_SET ? VS_PIN_INCORRECT
                                                                           : status);
}

void vs_logout(struct vs_login *login)
{
    if (login != NULL)
        login_rings_free(login);
    vs_secret_free(login, sizeof(*login));
}

/* Reads anew what the login depends on. */
static int login_look(struct vs_store *store, const struct vs_login *login, uint32_t *ret_verbs)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct generation live;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(generation_live(store, txn, login->vault, &live));
    if (live.number != login->generation)
        return VS_REVOKED;
    VS_TRY(login_rekey(store, txn, login, &live));
    return login_verbs(store, txn, login, NULL, ret_verbs);
}

int vs_login_check(struct vs_store *store, const struct vs_login *login)
{
    /* The cache is the login's own affair: to the caller nothing changes. */
    struct vs_login *own = (struct vs_login *)(uintptr_t)login;
    uint64_t txnid = kv_txnid(store->kv);
    uint32_t verbs = 0;

    if (atomic_load_explicit(&own->checked, memory_order_relaxed) == txnid)
        return VS_OK;
    VS_TRY(store_result(store, __func__, login_look(store, login, &verbs)));
    atomic_store_explicit(&own->verbs, verbs, memory_order_relaxed);
    atomic_store_explicit(&own->checked, txnid, memory_order_relaxed);
    return VS_OK;
}

static int login_may(struct vs_store *store, const struct vs_login *login, const struct vs_id *id,
                     uint32_t verbs)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;

    VS_TRY(kv_read(store->kv, &txn));
    return login_needs(store, txn, login, id, verbs);
}

int vs_login_may(struct vs_store *store, const struct vs_login *login, const struct vs_id *id,
                 uint32_t verbs)
{
    VS_TRY(vs_login_check(store, login));
    if ((vs_login_verbs(login) & verbs) != 0)
        return VS_OK;
    if (!login_is_named(login) || id == NULL)
        return VS_DENIED;
    return store_result(store, __func__, login_may(store, login, id, verbs));
}

uint32_t vs_login_generation(const struct vs_login *login)
{
    return login->generation;
}

enum vs_role vs_login_role(const struct vs_login *login)
{
    return login->role;
}

const char *vs_login_name(const struct vs_login *login)
{
    return login->name;
}

int vs_login_verify(struct vs_store *store, struct vs_login *login, const uint8_t *pin,
                    size_t pin_len)
{
    AUTO(secret_key) struct secret_key vault_key;
    AUTO(pin_try) struct pin_try t = {.vault = login->vault};

    VS_TRY(vs_login_check(store, login));
    return store_result(store, __func__,
                        who_check(store, login->vault, login->generation, login_who(login), pin,
                                  pin_len, &t, &vault_key));
}

/* ------------------------------------------------------------------ setting PINs */

struct pin_set {
    uint32_t vault, generation;
    struct who who;
    const char *by, *operation;
    const struct pin_key *pin_key;
    const struct vs_login *login;      /* whose vault key it is, or */
    const uint8_t *vault_key;          /* the key of this epoch */
    uint64_t epoch;
    struct secret_key *pair;           /* the principal's own; NULL: it is not known */
};

/* The vault key of now: the one that the PIN opened, or, when it was rotated since, the one that
 * the principal's box has by now. VS_STALE: another set the PIN anew meanwhile. */
static int pin_set_key(struct commit_txn *txn, const struct pin_set *set,
                       const struct generation *live, const struct principal *principal,
                       struct secret_key *ret_key)
{
    int status;

    if (set->login != NULL || set->epoch == live->rotation.epoch) {
        memcpy(ret_key->b, set->login != NULL
                               ? login_ring_of(set->login, live->rotation.epoch)->vault_key
                               : set->vault_key, SEAL_KEY);
        return VS_OK;
    }
    if (!principal->has_pair || set->pair == NULL || principal->epoch != live->rotation.epoch)
        return VS_STALE;
    status = principal_box_open(txn->store, live, set->who, principal, set->pair->b, ret_key);
    return status == VS_E_CORRUPT ? VS_STALE : status;
}

static int pin_set_run(struct commit_txn *txn, void *ctx)
{
    const struct pin_set *set = ctx;
    const struct audit_entry entry = {.vault = set->vault, .generation = set->generation,
                                      .operation = set->operation,
                                      .principal = set->by};
    AUTO(secret_key) struct secret_key slot, vault_key;
    struct principal principal;
    struct generation live;
    int status;

    VS_TRY(generation_enter(txn->store, txn->kv, set->vault, set->login, &live));
    if (live.number != set->generation)
        return VS_REVOKED;
    if (live.lock >= GENERATION_READ_ONLY)
        return VS_LOCKED;
    memset(&principal, 0, sizeof(principal));
    status = principal_get(txn->store, txn->kv, live.number, set->who, &principal);
    if (status != VS_OK && (status != VS_NOT_FOUND || set->who.name != NULL))
        return status;
    VS_TRY(pin_set_key(txn, set, &live, &principal, &vault_key));
    VS_TRY(keyslots_read(txn->store->slots, live.slot, slot.b));
    VS_TRY(principal_wrap(txn->store, &live, set->who, slot.b, set->pin_key, vault_key.b,
                          &principal, set->pair));
    VS_TRY(principal_put(txn, live.number, set->who, &principal));
    return audit_append(txn, &entry);
}

static int pin_init(struct vs_store *store, const struct vs_login *so, const uint8_t *pin,
                    size_t pin_len)
{
    AUTO(pin_lock) struct pin_lock lock = {.fd = -1};
    AUTO(pin_key) struct pin_key pin_key;
    struct pin_set set = {.vault = so->vault, .generation = so->generation,
                          .who = {.role = VS_ROLE_USER}, .by = role_name(VS_ROLE_SO),
                          .operation = "PinInit", .pin_key = &pin_key,
                          .login = so};
    struct generation live;

    if (so->role != VS_ROLE_SO)
        return VS_DENIED;
    VS_TRY(live_read(store, so->vault, &live));
    VS_TRY(pin_stretch(store, pin, pin_len, live.policy.scrypt_log_n, &pin_key));
    VS_TRY(pin_lock_take(store, so->generation, set.who, &lock));
    return commit_run(store, pin_set_run, &set);
}

int vs_pin_init(struct vs_store *store, struct vs_login *so, const uint8_t *pin, size_t pin_len)
{
    return store_result(store, __func__, pin_init(store, so, pin, pin_len));
}

static int pin_change(struct vs_store *store, uint32_t vault, struct who who,
                      const uint8_t *old_pin, size_t old_len, const uint8_t *new_pin,
                      size_t new_len)
{
    AUTO(pin_lock) struct pin_lock lock = {.fd = -1};
    AUTO(pin_key) struct pin_key pin_key;
    AUTO(secret_key) struct secret_key vault_key;
    struct pin_set set = {.vault = vault, .who = who, .by = who_name(who),
                          .operation = "PinChange", .pin_key = &pin_key,
                          .vault_key = vault_key.b};
    AUTO(pin_try) struct pin_try t = {.vault = vault, .who = who};
    struct generation live;

    VS_TRY(live_read(store, vault, &live));
    t.number = set.generation = live.number;
    if (new_len < VS_PIN_MIN_LEN || new_len > VS_PIN_MAX_LEN)
        return VS_POLICY;
    VS_TRY(pin_lock_take(store, live.number, who, &lock));
    VS_TRY(pin_try(store, &t, old_pin, old_len, &vault_key));
    VS_TRY(pin_stretch(store, new_pin, new_len, live.policy.scrypt_log_n, &pin_key));
    set.epoch = t.principal.epoch;
    set.pair = &t.private_key;
    return commit_run(store, pin_set_run, &set);
}

int vs_pin_change(struct vs_store *store, uint32_t vault, enum vs_role role,
                  const uint8_t *old_pin, size_t old_len, const uint8_t *new_pin, size_t new_len)
{
    const struct who who = {.role = role};

    return store_result(store, __func__,
                        pin_change(store, vault, who, old_pin, old_len, new_pin, new_len));
}

int vs_pin_change_named(struct vs_store *store, uint32_t vault, const char *name,
                        const uint8_t *old_pin, size_t old_len, const uint8_t *new_pin,
                        size_t new_len)
{
    const struct who who = {.role = VS_ROLE_USER, .name = name};

    VS_TRY(vs_user_exists(store, vault, name));
    return store_result(store, __func__,
                        pin_change(store, vault, who, old_pin, old_len, new_pin, new_len));
}
