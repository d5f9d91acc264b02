/*
 * login.c: principals, PINs and logins.
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

const char *role_name(enum vs_role role)
{
    static const char *const names[] = {"public", "so", "user"};

    return (size_t)role < sizeof(names) / sizeof(names[0]) ? names[role] : "unknown";
}

enum vs_role login_role(const struct vs_login *login)
{
    return login != NULL ? login->role : VS_ROLE_PUBLIC;
}

uint32_t vs_login_verbs(const struct vs_login *login)
{
    static const uint32_t verbs[] = {
        [VS_ROLE_PUBLIC] = 0, [VS_ROLE_SO] = VS_VERBS_SO, [VS_ROLE_USER] = VS_VERBS_USER};

    return login != NULL ? verbs[login->role] : 0;
}

void actor_name(const struct vs_store *store, const char *principal, char ret_name[VS_ACTOR_MAX])
{
    snprintf(ret_name, VS_ACTOR_MAX, "%s (uid %u)", principal, (unsigned)store->self.uid);
}

/* ------------------------------------------------------------------ pin.lock */

struct pin_lock { int fd; struct flock range; };

/* Unlocked by hand, not by the close alone: a child forked meanwhile holds a copy of it. */
static void pin_lock_auto(struct pin_lock *lock)
{
    if (lock->fd < 0)
        return;
    lock->range.l_type = F_UNLCK;
    (void)fcntl(lock->fd, F_OFD_SETLK, &lock->range);
    close(lock->fd);
}

/* A file description of its own for every check, so that threads exclude each other too. */
static int pin_lock_take(struct vs_store *store, uint32_t generation, enum vs_role role,
                         struct pin_lock *lock)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/pin.lock", store->path);

    if (n < 0 || (size_t)n >= sizeof(path))
        return VS_E_PERM;
    lock->range = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1,
                                 .l_start = (off_t)generation * 4 + (off_t)role};
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

/* ------------------------------------------------------------------ principals */

int principal_get(struct vs_store *store, struct kv_txn *txn, uint32_t generation,
                  enum vs_role role, struct principal *ret_principal)
{
    struct key key = key_principal(generation, role);
    struct principal p;
    struct reader r;

    VS_TRY(trusted_get(store, txn, &key, &r));
    get_raw(&r, p.salt, sizeof(p.salt));
    p.log_n = get_u32(&r);
    p.tries = get_u32(&r);
    get_raw(&r, p.wrapped, sizeof(p.wrapped));
    if (!reader_end(&r) || p.log_n > VS_SCRYPT_LOG_N_MAX)
        return VS_E_CORRUPT;
    *ret_principal = p;
    return VS_OK;
}

int principal_put(struct commit_txn *txn, uint32_t generation, enum vs_role role,
                  const struct principal *principal)
{
    struct key key = key_principal(generation, role);
    uint8_t body[SCHEMA_BODY_MAX];
    struct writer w;

    writer_init(&w, body, sizeof(body));
    put_raw(&w, principal->salt, sizeof(principal->salt));
    put_u32(&w, principal->log_n);
    put_u32(&w, principal->tries);
    put_raw(&w, principal->wrapped, sizeof(principal->wrapped));
    return trusted_put(txn, &key, &w);
}

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

/* Binds a wrapped key to its place. */
static size_t wrap_label(const struct generation *generation, enum vs_role role,
                         uint8_t ret_label[64])
{
    struct writer w;

    writer_init(&w, ret_label, 64);
    put_text(&w, "reprieve principal");
    put_raw(&w, generation->tag, sizeof(generation->tag));
    put_u32(&w, generation->number);
    put_u8(&w, (uint8_t)role);
    return w.len;
}

/* The stretched PIN alone does not open a copy of the database: host key and slot go in too. */
static int wrap_key(struct vs_store *store, const uint8_t slot_secret[KEYSLOT_SIZE],
                    const uint8_t stretched[SEAL_KEY], const uint8_t *label, size_t label_len,
                    struct secret_key *ret_key)
{
    uint8_t ikm[2 * SEAL_KEY];
    int status;

    memcpy(ikm, stretched, SEAL_KEY);
    memcpy(ikm + SEAL_KEY, store->keys->mix, SEAL_KEY);
    status = seal_derive(store->sealer, ikm, sizeof(ikm), slot_secret, KEYSLOT_SIZE, label,
                         label_len, ret_key->b);
    explicit_bzero(ikm, sizeof(ikm));
    return status;
}

int principal_wrap(struct vs_store *store, const struct generation *generation, enum vs_role role,
                   const uint8_t slot_secret[KEYSLOT_SIZE], const struct pin_key *pin_key,
                   const uint8_t vault_key[SEAL_KEY], struct principal *ret_principal)
{
    AUTO(secret_key) struct secret_key key;
    uint8_t label[64];
    size_t label_len = wrap_label(generation, role, label);
    struct principal p = {.log_n = pin_key->log_n, .tries = 0};

    memcpy(p.salt, pin_key->salt, sizeof(p.salt));
    VS_TRY(wrap_key(store, slot_secret, pin_key->key, label, label_len, &key));
    VS_TRY(seal_close(store->sealer, key.b, label, label_len, vault_key, SEAL_KEY, p.wrapped));
    *ret_principal = p;
    return VS_OK;
}

/* VS_PIN_INCORRECT, when the wrapped key does not open. */
static int principal_unwrap(struct vs_store *store, const struct generation *generation,
                            enum vs_role role, const struct principal *principal,
                            const uint8_t *pin, size_t pin_len, struct secret_key *ret_vault_key)
{
    AUTO(secret_key) struct secret_key slot, stretched, key;
    uint8_t label[64];
    size_t label_len = wrap_label(generation, role, label);
    int status;

    VS_TRY(keyslots_read(store->slots, generation->slot, slot.b));
    VS_TRY(seal_scrypt(store->sealer, pin, pin_len, principal->salt, principal->log_n,
                       stretched.b));
    VS_TRY(wrap_key(store, slot.b, stretched.b, label, label_len, &key));
    status = seal_open(store->sealer, key.b, label, label_len, principal->wrapped,
                       sizeof(principal->wrapped), ret_vault_key->b);
    return status == VS_E_CORRUPT ? VS_PIN_INCORRECT : status;
}

/* ------------------------------------------------------------------ the check */

struct pin_try {
    uint32_t vault, number;
    enum vs_role role;
    struct generation generation;
    struct principal principal;
    bool last;                    /* this try was the last one */
};

static int try_count(struct commit_txn *txn, void *ctx)
{
    struct pin_try *t = ctx;
    int status;

    VS_TRY(generation_get(txn->store, txn->kv, t->vault, t->number, &t->generation));
    if (t->generation.state == GENERATION_PURGED)
        return VS_NOT_FOUND;
    status = principal_get(txn->store, txn->kv, t->number, t->role, &t->principal);
    if (status == VS_NOT_FOUND)
        return VS_PIN_NOT_SET;
    VS_TRY(status);
    if (t->principal.tries >= t->generation.policy.pin_tries)
        return VS_PIN_LOCKED;
    t->principal.tries++;
    t->last = t->principal.tries >= t->generation.policy.pin_tries;
    return principal_put(txn, t->number, t->role, &t->principal);
}

static int try_settle(struct commit_txn *txn, void *ctx)
{
    struct pin_try *t = ctx;

    return principal_put(txn, t->number, t->role, &t->principal);
}

/* A failure, and a lock-out when it was the last try, in one transaction. */
static int try_fail(struct commit_txn *txn, void *ctx)
{
    const struct pin_try *t = ctx;
    struct audit_entry entry = {.vault = t->vault, .generation = t->number,
                                .operation = "VaultLogin", .result = VS_PIN_INCORRECT,
                                .principal = role_name(t->role)};

    VS_TRY(audit_append(txn, &entry));
    if (!t->last)
        return VS_OK;
    entry.operation = "VaultLockOut";
    entry.result = VS_PIN_LOCKED;
    return audit_append(txn, &entry);
}

/* A stored cost below the policy's: the same key wrapped anew, stretched as the policy says. */
static int try_rehash(struct vs_store *store, struct pin_try *t, const uint8_t *pin,
                      size_t pin_len, const struct secret_key *vault_key)
{
    AUTO(pin_key) struct pin_key fresh;
    AUTO(secret_key) struct secret_key slot;

    if (t->principal.log_n >= t->generation.policy.scrypt_log_n)
        return VS_OK;
    VS_TRY(keyslots_read(store->slots, t->generation.slot, slot.b));
    VS_TRY(pin_stretch(store, pin, pin_len, t->generation.policy.scrypt_log_n, &fresh));
    return principal_wrap(store, &t->generation, t->role, slot.b, &fresh, vault_key->b,
                          &t->principal);
}

/* With the principal's lock held. On success t has the principal as stored. */
static int pin_try(struct vs_store *store, struct pin_try *t, const uint8_t *pin, size_t pin_len,
                   struct secret_key *ret_vault_key)
{
    AUTO(secret_key) struct secret_key key;
    int status;

    VS_TRY(commit_run(store, try_count, t));
    status = principal_unwrap(store, &t->generation, t->role, &t->principal, pin, pin_len, &key);
    if (status == VS_PIN_INCORRECT)
        VS_TRY(commit_run(store, try_fail, t));
    VS_TRY(status);
    t->principal.tries = 0;
    VS_TRY(try_rehash(store, t, pin, pin_len, &key));
    VS_TRY(commit_run(store, try_settle, t));
    *ret_vault_key = key;
    return VS_OK;
}

int pin_check(struct vs_store *store, uint32_t vault, uint32_t generation, enum vs_role role,
              const uint8_t *pin, size_t pin_len, struct secret_key *ret_vault_key)
{
    struct pin_try t = {.vault = vault, .number = generation, .role = role};
    AUTO(pin_lock) struct pin_lock lock = {.fd = -1};

    VS_TRY(pin_lock_take(store, generation, role, &lock));
    return pin_try(store, &t, pin, pin_len, ret_vault_key);
}

/* ------------------------------------------------------------------ logins */

static int live_number(struct vs_store *store, uint32_t vault, struct generation *ret_generation)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;

    VS_TRY(kv_read(store->kv, &txn));
    return generation_live(store, txn, vault, ret_generation);
}

static int login_keys(struct vs_store *store, struct vs_login *login)
{
    const struct { const char *info; uint8_t *key; } rows[] = {
        {"reprieve private object", login->object_key},
        {"reprieve private index", login->index_key},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        VS_TRY(seal_derive(store->sealer, login->vault_key, SEAL_KEY, store->keys->mix, SEAL_KEY,
                           rows[i].info, strlen(rows[i].info), rows[i].key));
    return VS_OK;
}

static int login_open(struct vs_store *store, uint32_t vault, enum vs_role role,
                      const uint8_t *pin, size_t pin_len, struct vs_login **ret_login)
{
    AUTO(vs_login) struct vs_login *login = NULL;
    AUTO(secret_key) struct secret_key vault_key;
    struct generation live;

    VS_TRY(live_number(store, vault, &live));
    VS_TRY(pin_check(store, vault, live.number, role, pin, pin_len, &vault_key));
    login = vs_secret_alloc(sizeof(*login));
    if (login == NULL)
        return VS_E_NOMEM;
    memset(login, 0, sizeof(*login));
    login->vault = vault;
    login->generation = live.number;
    login->role = role;
    memcpy(login->vault_key, vault_key.b, SEAL_KEY);
    VS_TRY(login_keys(store, login));
    *ret_login = login;
    login = NULL;
    return VS_OK;
}

int vs_login(struct vs_store *store, uint32_t vault, enum vs_role role, const uint8_t *pin,
             size_t pin_len, struct vs_login **ret_login)
{
    return store_result(store, __func__,
                        login_open(store, vault, role, pin, pin_len, ret_login));
}

void vs_logout(struct vs_login *login)
{
    vs_secret_free(login, sizeof(*login));
}

int vs_login_check(struct vs_store *store, const struct vs_login *login)
{
    /* The cache is the login's own affair: to the caller nothing changes. */
    _Atomic uint64_t *checked = (_Atomic uint64_t *)(uintptr_t)&login->checked;
    uint64_t txnid = kv_txnid(store->kv);
    struct generation live;

    if (atomic_load_explicit(checked, memory_order_relaxed) == txnid)
        return VS_OK;
    VS_TRY(store_result(store, __func__, live_number(store, login->vault, &live)));
    if (live.number != login->generation)
        return VS_REVOKED;
    atomic_store_explicit(checked, txnid, memory_order_relaxed);
    return VS_OK;
}

uint32_t vs_login_generation(const struct vs_login *login)
{
    return login->generation;
}

enum vs_role vs_login_role(const struct vs_login *login)
{
    return login->role;
}

int vs_login_verify(struct vs_store *store, struct vs_login *login, const uint8_t *pin,
                    size_t pin_len)
{
    AUTO(secret_key) struct secret_key vault_key;

    VS_TRY(vs_login_check(store, login));
    return store_result(store, __func__,
                        pin_check(store, login->vault, login->generation, login->role, pin,
                                  pin_len, &vault_key));
}

/* ------------------------------------------------------------------ setting PINs */

struct pin_set {
    uint32_t vault, generation;
    enum vs_role role, by;
    const char *operation;
    const struct pin_key *pin_key;
    const uint8_t *vault_key;
};

static int pin_set_run(struct commit_txn *txn, void *ctx)
{
    const struct pin_set *set = ctx;
    const struct audit_entry entry = {.vault = set->vault, .generation = set->generation,
                                      .operation = set->operation,
                                      .principal = role_name(set->by)};
    AUTO(secret_key) struct secret_key slot;
    struct principal principal;
    struct generation live;

    VS_TRY(generation_live(txn->store, txn->kv, set->vault, &live));
    if (live.number != set->generation)
        return VS_REVOKED;
    if (live.lock != 0)
        return VS_LOCKED;
    VS_TRY(keyslots_read(txn->store->slots, live.slot, slot.b));
    VS_TRY(principal_wrap(txn->store, &live, set->role, slot.b, set->pin_key, set->vault_key,
                          &principal));
    VS_TRY(principal_put(txn, live.number, set->role, &principal));
    return audit_append(txn, &entry);
}

static int pin_init(struct vs_store *store, const struct vs_login *so, const uint8_t *pin,
                    size_t pin_len)
{
    AUTO(pin_lock) struct pin_lock lock = {.fd = -1};
    AUTO(pin_key) struct pin_key pin_key;
    struct pin_set set = {.vault = so->vault, .generation = so->generation, .role = VS_ROLE_USER,
                          .by = VS_ROLE_SO, .operation = "PinInit", .pin_key = &pin_key,
                          .vault_key = so->vault_key};
    struct generation live;

    if (so->role != VS_ROLE_SO)
        return VS_DENIED;
    VS_TRY(live_number(store, so->vault, &live));
    VS_TRY(pin_stretch(store, pin, pin_len, live.policy.scrypt_log_n, &pin_key));
    VS_TRY(pin_lock_take(store, so->generation, VS_ROLE_USER, &lock));
    return commit_run(store, pin_set_run, &set);
}

int vs_pin_init(struct vs_store *store, struct vs_login *so, const uint8_t *pin, size_t pin_len)
{
    return store_result(store, __func__, pin_init(store, so, pin, pin_len));
}

static int pin_change(struct vs_store *store, uint32_t vault, enum vs_role role,
                      const uint8_t *old_pin, size_t old_len, const uint8_t *new_pin,
                      size_t new_len)
{
    AUTO(pin_lock) struct pin_lock lock = {.fd = -1};
    AUTO(pin_key) struct pin_key pin_key;
    AUTO(secret_key) struct secret_key vault_key;
    struct pin_set set = {.vault = vault, .role = role, .by = role, .operation = "PinChange",
                          .pin_key = &pin_key, .vault_key = vault_key.b};
    struct pin_try t = {.vault = vault, .role = role};
    struct generation live;

    VS_TRY(live_number(store, vault, &live));
    t.number = set.generation = live.number;
    if (new_len < VS_PIN_MIN_LEN || new_len > VS_PIN_MAX_LEN)
        return VS_POLICY;
    VS_TRY(pin_lock_take(store, live.number, role, &lock));
    VS_TRY(pin_try(store, &t, old_pin, old_len, &vault_key));
    VS_TRY(pin_stretch(store, new_pin, new_len, live.policy.scrypt_log_n, &pin_key));
    return commit_run(store, pin_set_run, &set);
}

int vs_pin_change(struct vs_store *store, uint32_t vault, enum vs_role role,
                  const uint8_t *old_pin, size_t old_len, const uint8_t *new_pin, size_t new_len)
{
    return store_result(store, __func__,
                        pin_change(store, vault, role, old_pin, old_len, new_pin, new_len));
}
