/*
 * backup_key.h: the vault's own backup key. It hangs on the vault key, so it changes when somebody
 * is removed; each one is kept sealed under the next, so that who has the newest opens all backups
 * there are, and who was removed opens none that is made later.
 *
 * An older copy of the store, put back, knows nothing of a later key. So a backup has its key also
 * sealed to the pairs of the principals of its day, which last as long as their PINs are not given
 * out anew.
 */
#ifndef BACKUP_KEY_H
#define BACKUP_KEY_H
#include "store_internal.h"

/* Of an epoch that the login has: VS_REVOKED. */
VS_MUST_USE int backup_key(struct vs_store *store, const struct vs_login *login, uint64_t epoch,
                           struct secret_key *ret_key);
/* The key, and for whom it is sealed besides: at most so many, SO and user first. */
#define BACKUP_READERS 32u
struct backup_own {
    struct secret_key key;
    uint8_t readers[BACKUP_READERS][SEAL_KEY];
    size_t n;
};
VS_MUST_USE int backup_own_read(struct vs_store *store, struct kv_txn *txn,
                                const struct vs_login *login, const struct generation *generation,
                                bool with_readers, struct backup_own *ret_own);
static inline void backup_own_auto(struct backup_own *own) { explicit_bzero(own, sizeof(*own)); }

/* Within a rotation: keeps the key of the epoch that ends, under that of the next one. */
VS_MUST_USE int backup_key_succeed(struct commit_txn *txn, uint32_t generation,
                                   const struct login_ring *former, uint64_t epoch,
                                   const uint8_t vault_key[SEAL_KEY]);

/* All of the login's generation, newest first; the last one is what format 2 had for all epochs. */
struct backup_keys {
    struct secret_key *key;      /* secret memory */
    size_t n, cap;
    const uint8_t *private_key;  /* of the login's pair, and the login's; NULL: it has none */
    bool rotated;                /* then somebody who was removed may have all but the first */
};
VS_MUST_USE int backup_keys_read(struct vs_store *store, struct vs_login *login,
                                 struct backup_keys *ret_keys);
void backup_keys_done(struct backup_keys *keys);
static inline void backup_keys_auto(struct backup_keys *keys) { backup_keys_done(keys); }
#endif
