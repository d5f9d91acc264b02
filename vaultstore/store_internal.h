/*
 * store_internal.h: the open store and what the files of vaultstore/ above the leaves share.
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "auto.h"
#include "clock.h"
#include "commit.h"
#include "head.h"
#include "keyslot.h"
#include "kv.h"
#include "lifecycle.h"
#include "policy.h"
#include "record.h"
#include "schema.h"
#include "seal.h"

/* Derived once from the host key; in secret memory. */
struct host_keys {
    uint8_t mac[SEAL_KEY];      /* trusted records, object headers */
    uint8_t audit[SEAL_KEY];    /* the heads of the audit chain */
    uint8_t mix[SEAL_KEY];      /* into every key that a PIN opens */
    uint8_t object[SEAL_KEY];   /* public objects */
    uint8_t index[SEAL_KEY];    /* terms of public objects */
    uint8_t head[SEAL_KEY];     /* the mark in host.head */
};

struct vault {
    uint32_t number, live;
    char serial[16];
    int64_t created_at;
};

enum generation_lock { GENERATION_NO_DELETE = 1, GENERATION_READ_ONLY = 2 };
enum generation_state { GENERATION_LIVE = 0, GENERATION_DELETED = 1, GENERATION_PURGED = 2 };

struct generation {
    uint32_t vault, number;
    uint8_t tag[8];             /* the first half of its objects' ids */
    uint64_t slot;
    uint32_t state;             /* enum generation_state */
    uint32_t lock;              /* enum generation_lock */
    bool hold;                  /* nothing in it is purged, nor itself */
    int64_t created_at, deleted_at, purge_at;
    int64_t deleted_strict;     /* deleted_at on the strict clock */
    char deleted_by[VS_ACTOR_MAX];
    uint8_t label[32];
    struct vs_policy policy;
    struct rotation {           /* of the vault key */
        uint64_t epoch;         /* names the vault key; random, 0 for the first one */
        bool resealing;         /* objects of the epoch before are still there */
        uint64_t former_epoch;
        uint8_t former[SEAL_KEY + SEAL_OVERHEAD];   /* the key before, sealed under this one */
        uint8_t index[SEAL_KEY + SEAL_OVERHEAD];    /* the first index key, likewise; not of epoch
                                                     * 0, whose key it hangs on */
        bool own_index, former_own_index;           /* the epoch has an index key of its own; else
                                                     * (epoch 0, format 2) the first one is in use */
        bool wanted;            /* somebody was removed when there could be no rotation */
    } rotation;
};

/*
 * The live generation of a vault as last read and verified, with the very bytes it came from:
 * while the stored bytes are the same there is nothing to verify or decode again.
 */
#define LIVE_CACHE 8u
struct live_entry {
    bool used;
    uint32_t vault;
    uint8_t vault_bytes[128], generation_bytes[SCHEMA_BODY_MAX];
    size_t vault_len, generation_len;
    struct generation generation;
};

/* Threads that check PINs exclude each other here before they turn to the file pin.lock. */
#define PIN_LOCKS 8u

/* Who this process is, for the audit. */
struct process_identity {
    uint32_t uid, pid;
    char exe[64];
};

struct vs_store {
    char *path;
    struct vs_policy defaults;
    uint32_t retention_max, name_index;
    struct vs_time_source time;
    void (*trace)(const char *where, const char *message);
    void (*on_event)(const struct vs_event *event);
    vs_terms_fn *terms;
    uint64_t correlation;       /* random, and the number of the next change: of correlation ids */
    _Atomic uint64_t changes;
    struct kv *kv;
    struct sealer *sealer;
    struct keyslots *slots;
    struct host_keys *keys;
    struct commit_queue commits;
    struct head head;
    struct process_identity self;

    pthread_rwlock_t live_lock;
    struct live_entry live[LIVE_CACHE];

    pthread_mutex_t clock_lock;
    uint64_t clock_txnid;       /* of the anchor below; 0: none */
    struct clock_anchor clock_anchor;

    pthread_mutex_t pin_locks[PIN_LOCKS];

    _Atomic int64_t sweep_after; /* seconds of the boot clock: no sweep in passing before */
};

#define PRINCIPAL_NUMBER 8u
struct vs_login {
    uint32_t vault, generation;
    enum vs_role role;
    char name[VS_USER_NAME_MAX + 1];       /* of a named principal, else empty */
    uint8_t number[PRINCIPAL_NUMBER];      /* its own, whoever bears the name later */
    _Atomic uint32_t verbs;     /* of a named principal, as of `checked` */
    _Atomic uint64_t checked;   /* the transaction at which all this was so */
    uint8_t private_key[SEAL_KEY];         /* opens boxes of later vault keys */
    bool has_pair;
    uint8_t first_index_key[SEAL_KEY];     /* for INDEX_ALL, for ever */
    struct login_ring *_Atomic ring;       /* the newest known; older ones behind it */
};

/* The keys of one epoch. Never changed, and kept until the logout: readers take no lock. */
struct login_ring {
    struct login_ring *older;
    uint64_t epoch;
    uint8_t vault_key[SEAL_KEY];
    uint8_t object_key[SEAL_KEY];
    uint8_t index_key[SEAL_KEY];
};

/* Cleanup by scope. */
struct secret_key { uint8_t b[SEAL_KEY]; };
static inline void secret_key_auto(struct secret_key *key)
{
    explicit_bzero(key->b, sizeof(key->b));
}

static inline void kv_txn_auto(struct kv_txn **txn)
{
    kv_abort(*txn);
}

static inline void kv_cursor_auto(struct kv_cursor **cursor)
{
    kv_cursor_close(*cursor);
}

static inline void vs_login_auto(struct vs_login **login)
{
    vs_logout(*login);
}

/* store.c: tells of a fault (or of nothing, when status is not one) and passes it on. */
void store_trace(const struct vs_store *store, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int store_result(const struct vs_store *store, const char *where, int status);
/* The vault clock as a reader sees it. */
VS_MUST_USE int store_clock(struct vs_store *store, struct kv_txn *txn, int64_t *ret_now);
VS_MUST_USE int store_reading(struct vs_store *store, struct kv_txn *txn,
                              struct clock_reading *ret_reading);
/* When the purge date of a deleted one is asked for: by the clock that its policy says. */
static inline int64_t object_now(const struct clock_reading *clock, const struct vs_policy *policy,
                                 const struct vs_header *header)
{
    return clock_judged(clock, policy->clock_strict, header->deleted_at, header->deleted_strict);
}

/* By a hold or a lock of the vault: what is past its date stays, and can be seen. */
static inline bool generation_keeps(const struct generation *g)
{
    return g->hold || g->lock != 0;
}

static inline int64_t generation_now(const struct clock_reading *clock, const struct generation *g)
{
    return clock_judged(clock, g->policy.clock_strict, g->deleted_at, g->deleted_strict);
}

/* format.c */
/* The format on disk: VS_NOT_FOUND, the store is empty; VS_E_VERSION. */
VS_MUST_USE int format_read(struct vs_store *store, uint32_t *ret_version);
/* Makes an empty store, or brings an older one to this build's format: VS_E_BUSY. */
VS_MUST_USE int format_settle(struct vs_store *store);

/* Reads a trusted record: VS_NOT_FOUND, VS_E_CORRUPT. */
VS_MUST_USE int trusted_get(struct vs_store *store, struct kv_txn *txn, const struct key *key,
                            struct reader *ret_body);
VS_MUST_USE int trusted_put(struct commit_txn *txn, const struct key *key, struct writer *body);

/* vault.c */
VS_MUST_USE int vault_get(struct vs_store *store, struct kv_txn *txn, uint32_t number,
                          struct vault *ret_vault);
VS_MUST_USE int generation_get(struct vs_store *store, struct kv_txn *txn, uint32_t vault,
                               uint32_t number, struct generation *ret_generation);
/* A generation record's body. */
VS_MUST_USE int generation_decode(struct reader *r, uint32_t vault, uint32_t number,
                                  struct generation *ret_generation);
VS_MUST_USE int generation_put(struct commit_txn *txn, const struct generation *generation);
VS_MUST_USE int vault_put(struct commit_txn *txn, const struct vault *vault);
/* The live generation goes to the deleted ones, under its own policy. by: a role's name. */
VS_MUST_USE int generation_retire(struct commit_txn *txn, struct generation *generation,
                                  const char *by);
struct vs_id generation_id(const struct generation *generation);
/* The vault's live generation; cheap while it does not change. */
VS_MUST_USE int generation_live(struct vs_store *store, struct kv_txn *txn, uint32_t vault,
                                struct generation *ret_generation);
/* The same, and login (may be NULL) must be of it: VS_REVOKED. */
VS_MUST_USE int generation_enter(struct vs_store *store, struct kv_txn *txn, uint32_t vault,
                                 const struct vs_login *login, struct generation *ret_generation);

/* principal.c */
/* Whose record: of a role, or of a named principal (role VS_ROLE_USER and a name). */
struct who { enum vs_role role; const char *name; };
const char *who_name(struct who who);
bool user_name_fits(const char *name);                   /* user.c */
const char *role_name(enum vs_role role);
struct who login_who(const struct vs_login *login);      /* its name is the login's */
/* For the audit: "so", "user", "public" or the name. NULL: public. */
const char *login_name(const struct vs_login *login);
bool login_is_named(const struct vs_login *login);       /* NULL: no */
/* What the login may do to the object (NULL: in general), as of this transaction. VS_REVOKED. */
VS_MUST_USE int login_verbs(struct vs_store *store, struct kv_txn *txn,
                            const struct vs_login *login, const struct vs_id *id,
                            uint32_t *ret_verbs);
/* A named principal has at least one of these verbs: VS_DENIED, VS_REVOKED. Others pass. */
VS_MUST_USE int login_needs(struct vs_store *store, struct kv_txn *txn,
                            const struct vs_login *login, const struct vs_id *id, uint32_t verbs);
/* What policy_allows is asked: the verbs on the object, and its header as it counts for this
 * login. Verbs bind a named principal on public objects, too. */
VS_MUST_USE int login_judge(struct vs_store *store, struct kv_txn *txn,
                            const struct vs_login *login, const struct vs_header *header,
                            struct vs_header *ret_header, uint32_t *ret_verbs);

/* login.c */
enum vs_role login_role(const struct vs_login *login);   /* NULL: public */
/* The vault's live generation, in a transaction of its own. */
VS_MUST_USE int live_read(struct vs_store *store, uint32_t vault,
                          struct generation *ret_generation);
/* A principal's byte of pin.lock, while its PIN is worked on. */
struct pin_lock { pthread_mutex_t *mutex; int fd; struct flock range; };
void pin_lock_auto(struct pin_lock *lock);
VS_MUST_USE int pin_lock_take(struct vs_store *store, uint32_t generation, struct who who,
                              struct pin_lock *lock);
/* "user (uid 1000)" */
void actor_name(const struct vs_store *store, const char *principal, char ret_name[VS_ACTOR_MAX]);
/* A principal as stored: the vault key wrapped under the stretched PIN. */
#define PRINCIPAL_WRAPPED (SEAL_KEY + SEAL_OVERHEAD)
struct principal {
    uint8_t salt[16];
    uint32_t log_n, tries;      /* tries: used up */
    uint8_t wrapped[PRINCIPAL_WRAPPED];
    /* of a named one, else zeros */
    uint8_t number[PRINCIPAL_NUMBER];
    uint32_t verbs;
    int64_t created_at;
    char created_by[VS_ACTOR_MAX];
    /* `wrapped` is the private half of a pair, to whose public half the vault key is sealed. Format
     * 1 had no pair, and wrapped the vault key itself. */
    bool has_pair;
    uint64_t epoch;             /* of the vault key in the box */
    uint8_t public_key[SEAL_KEY];
    uint8_t box[SEAL_BOX];
};
/* A PIN after scrypt, with a fresh salt. VS_POLICY for a length out of range. */
struct pin_key { uint8_t salt[16]; uint32_t log_n; uint8_t key[SEAL_KEY]; };
void pin_key_auto(struct pin_key *key);
VS_MUST_USE int pin_stretch(struct vs_store *store, const uint8_t *pin, size_t pin_len,
                            uint32_t log_n, struct pin_key *ret_key);
/* Sets what of the record depends on the PIN; its tries are full again. pair: the private half of
 * the principal's pair, kept, or given out when it has none yet; NULL: it gets another one.
 * vault_key is that of the generation's epoch. */
VS_MUST_USE int principal_wrap(struct vs_store *store, const struct generation *generation,
                               struct who who, const uint8_t slot_secret[KEYSLOT_SIZE],
                               const struct pin_key *pin_key, const uint8_t vault_key[SEAL_KEY],
                               struct principal *principal,
                               struct secret_key *pair);
/* VS_PIN_INCORRECT, when the wrapped key does not open. */
VS_MUST_USE int principal_unwrap(struct vs_store *store, const struct generation *generation,
                                 struct who who, const struct principal *principal,
                                 const uint8_t *pin, size_t pin_len,
                                 struct secret_key *ret_private_key,
                                 struct secret_key *ret_vault_key);
/* The vault key of the generation's epoch, to the principal's public key; and back. */
VS_MUST_USE int principal_box_close(struct vs_store *store, const struct generation *generation,
                                    struct who who, const uint8_t vault_key[SEAL_KEY],
                                    struct principal *principal);
VS_MUST_USE int principal_box_open(struct vs_store *store, const struct generation *generation,
                                   struct who who, const struct principal *principal,
                                   const uint8_t private_key[SEAL_KEY],
                                   struct secret_key *ret_vault_key);

/* rotation.c */
/* The login's keys of an epoch; NULL: it has not got them. */
const struct login_ring *login_ring_of(const struct vs_login *login, uint64_t epoch);
/* The newest one that it knows of; a transaction may know of a newer one. */
uint64_t login_epoch(const struct vs_login *login);
void login_rings_free(struct vs_login *login);
/* Gives the login the keys of the generation's epoch, and of the one before while that is read. */
VS_MUST_USE int login_keys(struct vs_store *store, struct vs_login *login,
                           const struct generation *generation,
                           const uint8_t vault_key[SEAL_KEY]);
VS_MUST_USE int login_first_index_key(struct vs_store *store, const struct generation *generation,
                                      const uint8_t vault_key[SEAL_KEY],
                                      uint8_t ret_key[SEAL_KEY]);
/* The vault key of the generation's epoch, from the principal's box. VS_REVOKED. */
VS_MUST_USE int login_vault_key(struct vs_store *store, struct kv_txn *txn,
                                const struct vs_login *login, const struct generation *generation,
                                struct secret_key *ret_vault_key);
/* login_keys of that, when the vault key was rotated since the login last looked. VS_REVOKED. */
VS_MUST_USE int login_rekey(struct vs_store *store, struct kv_txn *txn,
                            const struct vs_login *login, const struct generation *generation);
/* Begins a rotation without the principal who leaves. Not begun, but wanted from then on: somebody
 * has no public key yet, having not logged in since format 1, or the rotation before is not at its
 * end. */
VS_MUST_USE int rotation_begin(struct commit_txn *txn, const struct vs_login *login,
                               struct generation *generation, const char *leaving,
                               bool *ret_begun);
/* Goes on with it, to its end; nothing to do is fine. */
VS_MUST_USE int rotation_finish(struct vs_store *store, struct vs_login *login);
/* After a login: whatever is left to do, if it can be done by now. */
VS_MUST_USE int rotation_catch_up(struct vs_store *store, struct vs_login *login,
                                  const struct generation *live);
VS_MUST_USE int principal_get(struct vs_store *store, struct kv_txn *txn, uint32_t generation,
                              struct who who, struct principal *ret_principal);
VS_MUST_USE int principal_put(struct commit_txn *txn, uint32_t generation, struct who who,
                              const struct principal *principal);
/* Calls `each` for every principal of the generation, SO and user first. */
typedef int principal_fn(const struct generation *generation, struct who who,
                         const struct principal *principal, void *ctx);
VS_MUST_USE int principals_each(struct vs_store *store, struct kv_txn *txn,
                                const struct generation *generation, principal_fn *each, void *ctx);
/* The verbs granted on one object; none: 0. */
VS_MUST_USE int grant_get(struct vs_store *store, struct kv_txn *txn, uint32_t generation,
                          const uint8_t number[PRINCIPAL_NUMBER], const struct vs_id *id,
                          uint32_t *ret_verbs);
/* All verbs granted to that principal on any object. */
VS_MUST_USE int grants_all(struct vs_store *store, struct kv_txn *txn, uint32_t generation,
                           const uint8_t number[PRINCIPAL_NUMBER], uint32_t *ret_verbs);
/* Counts a try, checks the PIN, gives the try back. No lock may be held. */
VS_MUST_USE int pin_check(struct vs_store *store, uint32_t vault, uint32_t generation,
                          enum vs_role role, const uint8_t *pin, size_t pin_len,
                          struct secret_key *ret_vault_key);

/* sweep.c: all that is due, before a change that would keep it, or would bring back what every
 * reader has seen as gone: a hold, a lock, the strict clock, another live generation. */
VS_MUST_USE int sweep_due(struct vs_store *store);
/* A small sweep now and then, after a change; its faults are traced only. */
void sweep_in_passing(struct vs_store *store);
#endif
