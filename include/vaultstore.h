/*
 * vaultstore.h: the vault behind the module.
 *
 * A store is one directory: an LMDB environment (data.mdb, lock.mdb), the slot file (slots: one
 * 32-byte secret for every object, what a purge overwrites), the host key and a lock file for PIN
 * checks. It holds any number of vaults (PKCS#11 tokens); a vault has one live generation and any
 * number of deleted ones; a generation has principals (who hold wrapped copies of its vault key),
 * a policy and objects. To the store an object is a header it understands and attribute bytes
 * it does not: this header never mentions PKCS#11 and vaultstore/ never includes pkcs11.h.
 *
 * Status. Every function that can fail returns an int that must be looked at: 0 is success,
 * positive values are outcomes a caller handles (nothing was changed), negative values are
 * faults (nothing was changed; traced where they began, through vs_options.trace).
 *
 * Threads and processes. Every function may be called from any thread at any time on one store;
 * any number of processes may have the same store open. After fork() a child must not touch the
 * parent's struct vs_store: it opens its own.
 *
 * Durability. A function that changes something returns 0 only after the change is on disk
 * (one LMDB commit; concurrent changes of one process share a commit).
 *
 * Ownership. Outputs are named ret_*, come last and are untouched on failure. Memory handed out
 * is released by the function named beside it.
 */
#ifndef VAULTSTORE_H
#define VAULTSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VS_MUST_USE __attribute__((warn_unused_result))
#define VS_FORMAT 3u             /* of the store on disk: docs/format.md */

enum vs_status {
    VS_OK = 0,
    /* outcomes */
    VS_NOT_FOUND = 1,      /* no such vault, generation, object, principal, or it is purged */
    VS_STALE = 2,          /* the object's version is not the expected one: read again, retry */
    VS_PIN_INCORRECT = 3,
    VS_PIN_LOCKED = 4,     /* no tries left */
    VS_PIN_NOT_SET = 5,    /* the principal does not exist yet */
    VS_RETAINED = 6,       /* purge refused: purge protection, and the purge date is ahead */
    VS_HELD = 7,           /* purge refused: a hold stands */
    VS_LOCKED = 8,         /* write-protected: lock on the object or the vault */
    VS_DENIED = 9,         /* the principal lacks the verb, or nobody is logged in */
    VS_WRONG_STATE = 10,   /* e.g. recover of a live object, delete of a deleted one */
    VS_POLICY = 11,        /* the requested policy is out of range or weakens a one-way switch */
    VS_REVOKED = 12,       /* the login is void: its generation was deleted, its PIN record gone */
    VS_END = 13,           /* an iteration has no more */
    VS_NAME_RESERVED = 14, /* reserve_names: a deleted object still holds this label */
    VS_PENDING = 15,       /* the approval is noted; more principals must ask for the same */
    /* faults */
    VS_E_NOMEM = -1,
    VS_E_FULL = -2,        /* no space left on the device, or the address space for the map */
    VS_E_IO = -3,
    VS_E_CORRUPT = -4,     /* a record does not authenticate, or is malformed */
    VS_E_VERSION = -5,     /* the store's format is newer than this build, or has become so */
    VS_E_PERM = -6,        /* others could write the store, or it cannot be opened */
    VS_E_CRYPTO = -7,      /* OpenSSL failed */
    VS_E_BUSY = -8,        /* reader slots exhausted; or the store has an older format, and another
                            * process, which knows no other, has it open */
};

/* A word for a status, for traces; never NULL. */
const char *vs_status_name(int status);

struct vs_store;  /* an open store in this process */
struct vs_login;  /* a principal logged in to a generation: holds the vault key */

/* 128 bits: 8 bytes that name the generation of origin, 8 bytes sequence, both big-endian. */
struct vs_id { uint8_t b[16]; };

/* Who acts. A named principal acts as user, with verbs of its own. */
enum vs_role { VS_ROLE_PUBLIC = 0, VS_ROLE_SO = 1, VS_ROLE_USER = 2 };

#define VS_ACTOR_MAX 64
#define VS_USER_NAME_MAX 32

/* What a principal may do. */
enum vs_verb {
    VS_VERB_GET = 1u << 0,      VS_VERB_LIST = 1u << 1,     VS_VERB_CREATE = 1u << 2,
    VS_VERB_IMPORT = 1u << 3,   VS_VERB_UPDATE = 1u << 4,   VS_VERB_DELETE = 1u << 5,
    VS_VERB_RECOVER = 1u << 6,  VS_VERB_BACKUP = 1u << 7,   VS_VERB_RESTORE = 1u << 8,
    VS_VERB_ENCRYPT = 1u << 9,  VS_VERB_DECRYPT = 1u << 10, VS_VERB_WRAP = 1u << 11,
    VS_VERB_UNWRAP = 1u << 12,  VS_VERB_SIGN = 1u << 13,    VS_VERB_VERIFY = 1u << 14,
    VS_VERB_DERIVE = 1u << 15,  VS_VERB_PURGE = 1u << 16,   VS_VERB_HOLD = 1u << 17,
    VS_VERB_LOCK = 1u << 18,    VS_VERB_POLICY = 1u << 19,  VS_VERB_AUDIT = 1u << 20,
    VS_VERB_ROTATE = 1u << 21,
};
#define VS_VERBS_MANAGE                                                                            \
    (VS_VERB_GET | VS_VERB_LIST | VS_VERB_CREATE | VS_VERB_IMPORT | VS_VERB_UPDATE |               \
     VS_VERB_DELETE | VS_VERB_RECOVER | VS_VERB_BACKUP | VS_VERB_RESTORE)
#define VS_VERBS_CRYPTO                                                                            \
    (VS_VERB_ENCRYPT | VS_VERB_DECRYPT | VS_VERB_WRAP | VS_VERB_UNWRAP | VS_VERB_SIGN |            \
     VS_VERB_VERIFY | VS_VERB_DERIVE)
#define VS_VERBS_GOVERN                                                                            \
    (VS_VERB_PURGE | VS_VERB_HOLD | VS_VERB_LOCK | VS_VERB_POLICY | VS_VERB_AUDIT)
/* The two principals every vault has. Nobody logged in: none, which does for public objects. */
#define VS_VERBS_USER (VS_VERBS_MANAGE | VS_VERBS_CRYPTO | VS_VERB_ROTATE)
#define VS_VERBS_ALL (VS_VERBS_USER | VS_VERBS_GOVERN)
#define VS_VERBS_SO (VS_VERB_GET | VS_VERB_LIST | VS_VERB_RECOVER | VS_VERBS_GOVERN)

/* ------------------------------------------------------------------ policy */

enum vs_profile { VS_PROFILE_ORDINARY = 0, VS_PROFILE_STRICT = 1 };

#define VS_RETENTION_MIN_DAYS 7u
#define VS_RETENTION_MAX_DAYS 90u    /* unless vs_options.retention_max_days says more */
#define VS_RETENTION_LIMIT_DAYS 36500u
#define VS_COOLING_OFF INT64_C(259200)  /* seconds: 72 hours */
#define VS_APPROVALS_MAX 6u
#define VS_SCRYPT_LOG_N_MIN 10u      /* 1 MiB: for tests */
#define VS_SCRYPT_LOG_N_DEFAULT 16u  /* 64 MiB with r = 8 */
#define VS_SCRYPT_LOG_N_MAX 22u
#define VS_PIN_TRIES_DEFAULT 10u
#define VS_PIN_MIN_LEN 4u
#define VS_PIN_MAX_LEN 255u

/* A vault's policy. Stored authenticated, one per generation. */
struct vs_policy {
    uint32_t retention_days;    /* 7 to 90, or to what the configuration allows */
    bool purge_protection;      /* one-way, but for 72 hours after it was switched on */
    uint32_t profile;           /* enum vs_profile */
    uint32_t pin_tries;         /* 3 to 100 */
    uint32_t scrypt_log_n;      /* 10 to 22 */
    uint32_t min_rsa_bits;      /* 1024 to 16384, default 2048 */
    int64_t protected_since;    /* vault time when protection was switched on; 0: from the start,
                                 * or off. Kept by the store, whatever a caller sets. */
    uint32_t recover_to;        /* 0 the prior state, 1 disabled */
    bool reserve_names;         /* a deleted object's label is not given to another */
    bool require_backup;        /* a key is not used before its first backup */
    bool disable_before_delete; /* only a disabled object can be deleted */
    bool refuse_conflicts;      /* usage conflicts; the strict profile forces it */
    bool refuse_legacy_padding; /* the strict profile forces it */
    bool clock_strict;          /* no time is credited across boots */
    uint32_t audit_use;         /* of keys: 0 counted, 1 every single one */
    uint32_t purge_approvals;   /* 0, 1: none needed; n: so many principals, at most 6 */
    uint32_t approval_hours;    /* within this window, at most 720; 0: 24 */
    bool tombstone_labels;      /* a tombstone keeps the label, too */
    bool newest_only;           /* older versions of a rotated key do not encrypt, wrap, sign */
    bool private_audit;         /* events are for those with the verb audit; the caller sees to it */
};
/* 90 days, protection on, ordinary, 10 tries, 2^16, 2048; approvals within 24 hours; the other
 * switches off. */
void vs_policy_default(struct vs_policy *ret_policy);
/* Why VS_POLICY came for `to`, in words, each field by the name that configuration and command give
 * it; `from` is the vault's policy so far, or NULL. retention_max is that of the store. */
#define VS_POLICY_WHY 160
void vs_policy_explain(const struct vs_policy *from, const struct vs_policy *to,
                       uint32_t retention_max, char ret_why[VS_POLICY_WHY]);

/* ------------------------------------------------------------------ store */

/* Seconds since the epoch (UTC) and the boot's own clock; injected by tests, NULL for the real. */
struct vs_time_source {
    int64_t (*wall)(void *ctx);                         /* seconds */
    int64_t (*boot)(void *ctx);                         /* seconds of CLOCK_BOOTTIME */
    void (*boot_id)(void *ctx, uint8_t ret_id[16]);     /* changes with every boot */
    void *ctx;
};

/* A term of an index: equal terms of equal index numbers find each other. */
struct vs_term {
    uint32_t index;              /* the caller's number, 0 to 255 */
    const uint8_t *value;
    size_t len;
};
#define VS_INDEX_MAX 6          /* terms of one object */
/*
 * The terms of an object with these attributes, the same that it was made with: calls `then` with
 * them, at most VS_INDEX_MAX, and returns what that returns, or VS_E_CORRUPT for attributes that
 * make no sense. It must not call the store.
 */
typedef int vs_terms_then(void *ctx, const struct vs_term *terms, size_t n);
typedef int vs_terms_fn(const uint8_t *attrs, size_t attrs_len, vs_terms_then *then, void *ctx);

struct vs_event;
struct vs_options {
    const char *path;              /* directory; made 0700 if missing, its parents too */
    const char *host_key_path;     /* NULL: <path>/host.key */
    size_t map_size;               /* bytes at first, grows by doubling; 0: 64 MiB */
    struct vs_policy defaults;     /* for vaults made later */
    uint32_t retention_max_days;   /* what a policy may say; 0: 90 */
    uint32_t name_index;           /* index number of labels, for reserve_names; 0: none */
    const struct vs_time_source *time;  /* NULL: the system's; borrowed */
    void (*trace)(const char *where, const char *message);  /* may be NULL; never gets a secret */
    /* Told of every event that this process has written, after it is on disk, in the thread whose
     * call wrote it; it must not call the store. May be NULL. */
    void (*on_event)(const struct vs_event *event);
    /* With it the index key changes, too, when the vault key is rotated. NULL: it stays. */
    vs_terms_fn *terms;
};

/*
 * Opens the store, making it at first use; migrates an older format; replays what a crash left
 * (slots that a purge had yet to overwrite). VS_E_PERM, with a traced message that says which
 * file and what to do, when the directory or a file in it is writable by others.
 */
VS_MUST_USE int vs_store_open(const struct vs_options *options, struct vs_store **ret_store);
/* All logins and cursors must be gone. NULL is allowed. */
void vs_store_close(struct vs_store *store);

/* The last committed transaction in any process; about 4 ns. Unchanged: nothing changed.
 * VS_TXNID_UNKNOWN: it could not be read; differs from any that was. */
#define VS_TXNID_UNKNOWN UINT64_MAX
uint64_t vs_store_txnid(const struct vs_store *store);

/* Seconds of the vault clock (never back within a boot, never faster than CLOCK_BOOTTIME). */
int64_t vs_store_now(struct vs_store *store);

/* ------------------------------------------------------------------ vaults */

struct vs_vault_info {
    uint32_t vault;                /* 0, 1, 2 ...: for ever this vault's; the slot id */
    uint32_t generation;           /* store-wide number of its live generation */
    char serial[16];               /* hexadecimal, not terminated */
    uint8_t label[32];             /* blank padded, UTF-8 */
    struct vs_policy policy;
    int64_t created_at;
    bool user_pin_set;
    uint32_t so_tries_left, user_tries_left;   /* of policy.pin_tries */
    bool write_protected;          /* held or locked */
    bool read_only;                /* locked against every change */
};

/* The vaults' numbers, ascending; at most cap are written, ret_n is how many there are. */
VS_MUST_USE int vs_vault_list(struct vs_store *store, uint32_t *ret_vaults, size_t cap,
                              size_t *ret_n);
VS_MUST_USE int vs_vault_info(struct vs_store *store, uint32_t vault,
                              struct vs_vault_info *ret_info);
/* The number the next new vault will have: one more than the highest ever used. */
VS_MUST_USE int vs_vault_next(struct vs_store *store, uint32_t *ret_vault);

/*
 * Initialises a vault (C_InitToken). Where none has this number and it is the next one, makes it.
 * Where it exists, pin must be its SO PIN (VS_PIN_INCORRECT, VS_PIN_LOCKED); its generation is
 * soft-deleted under one purge date and a fresh one starts with the same serial; policy NULL
 * keeps the former policy, or the store's defaults for a new vault. Purge protection that was on
 * stays on. One transaction.
 */
VS_MUST_USE int vs_vault_init(struct vs_store *store, uint32_t vault, const uint8_t *pin,
                              size_t pin_len, const uint8_t label[32],
                              const struct vs_policy *policy, uint32_t *ret_generation);
/* Needs an SO login. VS_POLICY for a value out of range or a one-way switch turned back. */
VS_MUST_USE int vs_vault_set_policy(struct vs_store *store, struct vs_login *login,
                                    const struct vs_policy *policy);
/* Could it be set now, by who may? VS_POLICY. Changes nothing and needs no login. */
VS_MUST_USE int vs_vault_try_policy(struct vs_store *store, uint32_t vault,
                                    const struct vs_policy *policy);

struct vs_generation_info {
    uint32_t vault, generation;
    uint8_t label[32];
    bool deleted;                  /* false for the live one */
    int64_t created_at, deleted_at, purge_at;   /* the latter two 0 when live */
    char deleted_by[64];           /* UTF-8, terminated: "so", "uid 1000" ... */
    uint64_t objects;              /* live objects in it */
    uint32_t recovery_level;       /* as CKA_RPV_RECOVERY_LEVEL */
    bool hold;
    uint32_t lock;                 /* 0 none, 1 no delete, 2 read only */
};
/* Live generation first, then deleted ones, newest first. Purged ones are not listed. */
VS_MUST_USE int vs_generation_list(struct vs_store *store, uint32_t vault,
                                   struct vs_generation_info *ret_infos, size_t cap,
                                   size_t *ret_n);
/*
 * Makes a deleted generation the live one again; the one that was live is soft-deleted in the
 * same transaction under its own policy. pin is one of the deleted generation's own PINs.
 */
VS_MUST_USE int vs_generation_recover(struct vs_store *store, uint32_t vault, uint32_t generation,
                                      enum vs_role role, const uint8_t *pin, size_t pin_len);
/*
 * Hold: nothing in it is purged, nor itself, and it is not initialised again. Lock: the same, and 1
 * nothing in it is deleted, 2 nothing in it is changed. generation 0: the live one; needs a login of the live
 * one with the verb hold or lock.
 */
VS_MUST_USE int vs_generation_hold(struct vs_store *store, struct vs_login *login,
                                   uint32_t generation, bool hold);
VS_MUST_USE int vs_generation_lock(struct vs_store *store, struct vs_login *login,
                                   uint32_t generation, uint32_t lock);
/* As for an object: VS_RETAINED under protection before the date, or where the policy wants more
 * than one approval; VS_HELD. pin: the generation's SO PIN. */
VS_MUST_USE int vs_generation_purge(struct vs_store *store, uint32_t vault, uint32_t generation,
                                    const uint8_t *pin, size_t pin_len);

/* ------------------------------------------------------------------ login, PINs */

/*
 * Checks a PIN and opens the vault key. The try is counted on disk before the check and given
 * back after a success, so a crash never gains a try; checks of one principal are serialised
 * across processes, so parallel correct logins never lock anyone out. A success whose stored
 * scrypt cost is below the policy's rehashes.
 */
VS_MUST_USE int vs_login(struct vs_store *store, uint32_t vault, enum vs_role role,
                         const uint8_t *pin, size_t pin_len, struct vs_login **ret_login);
void vs_logout(struct vs_login *login);  /* wipes; NULL is allowed */
/* Is the login's generation still the vault's live one? VS_OK or VS_REVOKED; cheap. */
VS_MUST_USE int vs_login_check(struct vs_store *store, const struct vs_login *login);
uint32_t vs_login_generation(const struct vs_login *login);
enum vs_role vs_login_role(const struct vs_login *login);
uint32_t vs_login_verbs(const struct vs_login *login);   /* enum vs_verb bits; NULL: 0 */
/* Of a named principal, else empty. */
const char *vs_login_name(const struct vs_login *login);
/* Has the login at least one of these verbs, in general or granted on the object (NULL: only in
 * general)? VS_DENIED, VS_REVOKED. Without a grant to look up it costs what vs_login_check does. */
VS_MUST_USE int vs_login_may(struct vs_store *store, const struct vs_login *login,
                             const struct vs_id *id, uint32_t verbs);
/* Checks the logged-in principal's PIN once more (context-specific login). Counts tries. */
VS_MUST_USE int vs_login_verify(struct vs_store *store, struct vs_login *login,
                                const uint8_t *pin, size_t pin_len);
/* C_InitPIN: needs an SO login; sets the user's PIN, its tries full again. */
VS_MUST_USE int vs_pin_init(struct vs_store *store, struct vs_login *so, const uint8_t *pin,
                            size_t pin_len);
/* C_SetPIN: with the old PIN; counts tries as a login does. */
VS_MUST_USE int vs_pin_change(struct vs_store *store, uint32_t vault, enum vs_role role,
                              const uint8_t *old_pin, size_t old_len, const uint8_t *new_pin,
                              size_t new_len);

/* ------------------------------------------------------------------ named principals */

/*
 * A generation's users by name: 1 to 32 of A-Z a-z 0-9 . _ @ -, but not "so", "user", "public".
 * Each has a PIN, a wrapped copy of the vault key, verbs, and grants: further verbs on one object.
 * Verbs bind it on public objects, too. The functions that change something need a login with the
 * policy verb; only the SO hands on, or takes from others, verbs it has not itself (VS_DENIED).
 * VS_NOT_FOUND: no such user. A change is in force at the next call of every process.
 */
struct vs_user_info {
    char name[VS_USER_NAME_MAX + 1];
    uint32_t verbs;
    uint32_t grants;             /* on how many objects */
    uint32_t tries_left;
    int64_t created_at;
    char created_by[VS_ACTOR_MAX];
};
struct vs_grant { struct vs_id id; uint32_t verbs; };

/* VS_WRONG_STATE when the name is taken, VS_POLICY for a name, PIN or verb that cannot be. */
VS_MUST_USE int vs_user_add(struct vs_store *store, struct vs_login *login, const char *name,
                            const uint8_t *pin, size_t pin_len, uint32_t verbs);
/*
 * Its logins in every process are VS_REVOKED from then on, whoever is given the name later. The
 * vault key, and with it the keys of the index and of own backups, are others from then on; private
 * objects are sealed anew before this returns, or by the next login. Where somebody who stays has
 * not logged in since format 1, or a damaged object hangs on a former key, that is put off until the
 * first login after which it can be, and traced.
 */
VS_MUST_USE int vs_user_remove(struct vs_store *store, struct vs_login *login, const char *name);
VS_MUST_USE int vs_user_set_verbs(struct vs_store *store, struct vs_login *login, const char *name,
                                  uint32_t verbs);
/* In place of what was granted on this object before; 0 takes it back. */
VS_MUST_USE int vs_user_grant(struct vs_store *store, struct vs_login *login, const char *name,
                              const struct vs_id *id, uint32_t verbs);
/* A new PIN, its tries full again. */
VS_MUST_USE int vs_user_set_pin(struct vs_store *store, struct vs_login *login, const char *name,
                                const uint8_t *pin, size_t pin_len);
/* By name, ascending; of the grants, by object. At most cap are written, ret_n is the number. */
VS_MUST_USE int vs_user_list(struct vs_store *store, uint32_t vault,
                             struct vs_user_info *ret_infos, size_t cap, size_t *ret_n);
VS_MUST_USE int vs_user_grants(struct vs_store *store, uint32_t vault, const char *name,
                               struct vs_grant *ret_grants, size_t cap, size_t *ret_n);
VS_MUST_USE int vs_user_exists(struct vs_store *store, uint32_t vault, const char *name);
/* As vs_login and vs_pin_change; a name that nobody has is VS_PIN_INCORRECT. */
VS_MUST_USE int vs_login_named(struct vs_store *store, uint32_t vault, const char *name,
                               const uint8_t *pin, size_t pin_len, struct vs_login **ret_login);
VS_MUST_USE int vs_pin_change_named(struct vs_store *store, uint32_t vault, const char *name,
                                    const uint8_t *old_pin, size_t old_len, const uint8_t *new_pin,
                                    size_t new_len);

/* ------------------------------------------------------------------ objects */

enum vs_state {
    VS_STATE_PREACTIVE = 0,
    VS_STATE_ACTIVE = 1,
    VS_STATE_DISABLED = 2,
    VS_STATE_EXPIRED = 3,
    VS_STATE_DELETED = 4,
    VS_STATE_PURGED = 5,
};

enum vs_origin {
    VS_ORIGIN_GENERATED = 0, VS_ORIGIN_CREATED = 1, VS_ORIGIN_UNWRAPPED = 2,
    VS_ORIGIN_DERIVED = 3, VS_ORIGIN_RESTORED = 4,
};

/* What the store knows of an object; authenticated, readable without a PIN. */
struct vs_header {
    struct vs_id id;
    uint32_t vault, generation;
    uint64_t epoch;              /* of the vault key that a private one is sealed under */
    uint32_t version;            /* goes up with every change of header or attributes */
    uint32_t kind;               /* the caller's: object class; not interpreted */
    bool is_private;             /* sealed under the vault key, else under the host key */
    bool destroyable;
    enum vs_state state;         /* as stored: ACTIVE, DISABLED or DELETED */
    enum vs_state effective;     /* computed at vault time: an active one may be PREACTIVE, EXPIRED */
    enum vs_state prior;         /* to recover to */
    enum vs_origin origin;
    int64_t created_at;
    int64_t deleted_at, purge_at;        /* 0 while not deleted */
    int64_t deleted_strict;              /* deleted_at on the strict clock */
    char deleted_by[VS_ACTOR_MAX];       /* UTF-8, terminated */
    bool hold;
    uint32_t lock;               /* 0 none, 1 no delete, 2 read only */
    bool outdated;               /* computed: by policy only a newer version does new work */
    bool needs_backup;           /* computed: by policy there is no use before the first backup */
    uint32_t recovery_level;     /* computed: 0 purgeable .. 3 held; as CKA_RPV_RECOVERY_LEVEL */
    int64_t not_before, not_after;       /* vault time, the second excluded; 0: no such limit */
    char delete_reason[VS_ACTOR_MAX];    /* UTF-8, terminated */
    bool honeytoken;             /* any use is an alert */
    bool backed_up;
    uint32_t key_version;        /* within the keys of one label, from 1 */
    uint32_t rotate_days;        /* rotated by the sweep at this age; 0: never */
    char label[VS_ACTOR_MAX];    /* of a deleted one, where the policy keeps it for the tombstone */
    uint64_t slot;               /* in the slot file; 0: the id's own number */
    struct vs_id successor;      /* the next version of this key; zeros: it is the newest */
};

struct vs_new_object {
    uint32_t kind;
    bool is_private;
    bool destroyable;
    enum vs_origin origin;
    const uint8_t *attrs;        /* sealed as they are */
    size_t attrs_len;
    const struct vs_term *terms; /* at most VS_INDEX_MAX */
    size_t n_terms;
    const char *operation;       /* for the audit: "KeyCreate", "KeyGenerate", "KeyImport", ... */
    const struct vs_id *former;  /* of a new one: the key whose next version it is, or NULL; then
                                  * the verb is rotate, and VS_WRONG_STATE says that the former is
                                  * deleted or has a next version already */
    const struct vs_id *copy_of; /* of a new one: what it is a copy of, or NULL; VS_WRONG_STATE says that
                                  * this is not active, or purged, by now, VS_DENIED that the verb get of
                                  * it is missing, too */
    const struct vs_govern *govern;   /* of a new one: how it starts; NULL: enabled, no limits */
};

/* Makes n objects in one transaction (a key pair is two). login NULL: public objects only. */
VS_MUST_USE int vs_object_create(struct vs_store *store, uint32_t vault, struct vs_login *login,
                                 const struct vs_new_object *objects, size_t n,
                                 struct vs_id *ret_ids);

struct vs_object {
    struct vs_header header;
    uint8_t *attrs;              /* in secret memory; released by vs_object_done */
    size_t attrs_len;
};
/* Header and attributes, live or deleted. A private object needs a login of its generation. */
VS_MUST_USE int vs_object_read(struct vs_store *store, uint32_t vault,
                               const struct vs_login *login, const struct vs_id *id,
                               struct vs_object *ret_object);
void vs_object_done(struct vs_object *object);
/* The header alone: under a microsecond; for revalidation after vs_store_txnid has moved. */
VS_MUST_USE int vs_object_peek(struct vs_store *store, uint32_t vault, const struct vs_id *id,
                               struct vs_header *ret_header);
/* New attributes and terms; VS_STALE unless the stored version is `version`. Live objects only. */
VS_MUST_USE int vs_object_update(struct vs_store *store, uint32_t vault, struct vs_login *login,
                                 const struct vs_id *id, uint32_t version,
                                 const struct vs_new_object *object, uint32_t *ret_version);
/*
 * Soft delete: fixes the purge date by the policy, moves the index entries, writes the audit
 * event, all in one transaction. VS_WRONG_STATE when it is deleted already.
 */
VS_MUST_USE int vs_object_delete(struct vs_store *store, uint32_t vault, struct vs_login *login,
                                 const struct vs_id *id);
/* The same; label is kept for the tombstone if the policy says so. VS_POLICY: disable it first. */
VS_MUST_USE int vs_object_delete_labelled(struct vs_store *store, uint32_t vault,
                                          struct vs_login *login, const struct vs_id *id,
                                          const char *label);
VS_MUST_USE int vs_object_recover(struct vs_store *store, uint32_t vault, struct vs_login *login,
                                  const struct vs_id *id);
/* The same; says whether another live object has its label by now. */
VS_MUST_USE int vs_object_recover_told(struct vs_store *store, uint32_t vault,
                                       struct vs_login *login, const struct vs_id *id,
                                       bool *ret_label_taken);
/* All that the login may recover, at most `limit`, many in one transaction; those that it may not,
 * and damaged ones, stay deleted. */
VS_MUST_USE int vs_object_recover_all(struct vs_store *store, uint32_t vault,
                                      struct vs_login *login, size_t limit,
                                      size_t *ret_recovered);
/*
 * The end of a deleted object: VS_RETAINED or VS_HELD when refused (also an audit event).
 * VS_PENDING: by the policy more principals must call this within its window; this one's call is
 * on record and counts once. Returns after its slot is overwritten and synced.
 */
VS_MUST_USE int vs_object_purge(struct vs_store *store, uint32_t vault, struct vs_login *login,
                                const struct vs_id *id);
/* The same; with VS_PENDING, how many approvals count, and until when they all do. */
struct vs_approvals { uint32_t n, wanted; int64_t until; };
VS_MUST_USE int vs_object_purge_told(struct vs_store *store, uint32_t vault,
                                     struct vs_login *login, const struct vs_id *id,
                                     struct vs_approvals *ret_approvals);
/* The approvals that count, of purges that wait for more; as vs_user_list. */
struct vs_approval {
    struct vs_id id;             /* of the object */
    char who[VS_ACTOR_MAX];
    int64_t at, until;           /* given; counts before then */
    uint32_t wanted;             /* how many the object needs */
};
VS_MUST_USE int vs_approval_list(struct vs_store *store, uint32_t vault,
                                 struct vs_approval *ret_approvals, size_t cap, size_t *ret_n);
/* Moves the purge date later (never earlier: VS_POLICY). */
VS_MUST_USE int vs_object_postpone(struct vs_store *store, uint32_t vault, struct vs_login *login,
                                   const struct vs_id *id, int64_t purge_at);

/* What can be governed of an object; only what `set` names is looked at. */
enum vs_govern_bit {
    VS_GOVERN_ENABLED = 1u << 0, VS_GOVERN_NOT_BEFORE = 1u << 1, VS_GOVERN_NOT_AFTER = 1u << 2,
    VS_GOVERN_HOLD = 1u << 3, VS_GOVERN_LOCK = 1u << 4, VS_GOVERN_REASON = 1u << 5,
    VS_GOVERN_HONEYTOKEN = 1u << 6, VS_GOVERN_ROTATE = 1u << 7,
};
struct vs_govern {
    uint32_t set;                /* enum vs_govern_bit */
    bool enabled;                /* verb update or policy, as for the dates */
    int64_t not_before, not_after;       /* vault time, 0: no limit */
    bool hold;                   /* verb hold; also of a deleted object */
    uint32_t lock;               /* 0 none, 1 no delete, 2 read only; verb lock */
    const char *delete_reason;   /* at most VS_ACTOR_MAX - 1 bytes; verb update or delete */
    bool honeytoken;             /* verb policy */
    uint32_t rotate_days;        /* 0 never, at most 36500; verb update or policy */
};
/*
 * All or nothing, in one transaction; told by one event. VS_DENIED
 * without the verb, VS_WRONG_STATE for what is not governed of a deleted object, VS_LOCKED,
 * VS_POLICY for a value out of range. A key disabled is of no use from the next call on, in every
 * process.
 */
VS_MUST_USE int vs_object_govern(struct vs_store *store, uint32_t vault, struct vs_login *login,
                                 const struct vs_id *id, const struct vs_govern *govern);
/* The verbs one of which is asked for of who governs an object so (the first thing that is set), or
 * makes one of this origin (next: as the next version of a key). */
uint32_t vs_govern_verbs(const struct vs_govern *govern);
uint32_t vs_create_verb(enum vs_origin origin, bool next);

/* ------------------------------------------------------------------ find */

#define VS_QUERY_TERMS VS_INDEX_MAX
/*
 * All objects of the vault's live generation that have every term. The first term is walked, the
 * others are probed: put the most selective first. Without a term: everything (by index 0).
 * With terms the newest (highest id) comes first. Terms of private objects are looked up only with
 * a login. No transaction is held between calls; what is created or deleted meanwhile may or may
 * not be seen, nothing else is missed.
 */
struct vs_query {
    struct vs_term terms[VS_QUERY_TERMS];   /* values must outlive the cursor */
    size_t n_terms;
    bool deleted;                /* the deleted ones instead of the live ones */
    bool want_public, want_private;
};
struct vs_cursor;
VS_MUST_USE int vs_find_open(struct vs_store *store, uint32_t vault, const struct vs_login *login,
                             const struct vs_query *query, struct vs_cursor **ret_cursor);
/* Up to cap ids; ret_n 0 at the end. login: as for vs_find_open, of the same principal. */
VS_MUST_USE int vs_find_next(struct vs_cursor *cursor, const struct vs_login *login,
                             struct vs_id *ret_ids, size_t cap, size_t *ret_n);
void vs_find_close(struct vs_cursor *cursor);

/* ------------------------------------------------------------------ tombstones */

/* What is left of a purged object, or of a generation (kind 0, the id of its slot). */
struct vs_tombstone {
    struct vs_id id;
    uint32_t vault, generation, kind;
    int64_t deleted_at, purged_at;
    char deleted_by[VS_ACTOR_MAX], purged_by[VS_ACTOR_MAX];
    char reason[VS_ACTOR_MAX];   /* of the delete */
    char label[VS_ACTOR_MAX];    /* only where the policy kept it */
};
/* Of one vault, by id; at most cap are written, ret_n is how many there are. */
VS_MUST_USE int vs_tombstone_list(struct vs_store *store, uint32_t vault,
                                  struct vs_tombstone *ret_tombstones, size_t cap, size_t *ret_n);

/* ------------------------------------------------------------------ sweep */

/* Purges at most `limit` objects and generations whose date has passed, in bounded batches. */
VS_MUST_USE int vs_sweep(struct vs_store *store, size_t limit, size_t *ret_purged);

/* ------------------------------------------------------------------ health */

/* How far something long has come. */
struct vs_progress {
    uint64_t done, total;            /* objects; total 0: not known */
    const struct vs_header *object;  /* the one just looked at; NULL: none */
    int status;                      /* of it: VS_OK done (or would be); VS_WRONG_STATE it exists;
                                      * VS_NOT_FOUND it was purged; VS_LOCKED; VS_POLICY replacing
                                      * it would weaken it or change its key */
};
/* Not 0: stop; the function returns VS_END. It must not call the store. */
typedef int vs_progress_fn(void *ctx, const struct vs_progress *progress);

/* What host.head, kept beside the host key, says of the event log. */
enum vs_head {
    VS_HEAD_OK = 0,
    VS_HEAD_NONE = 1,            /* none can be kept there: an older copy is not noticed */
    VS_HEAD_ROLLED_BACK = 2,     /* the store is an older copy, and write-protected */
};
struct vs_health {
    enum vs_head head;
    uint64_t head_seq, audit_seq;        /* the last event, as the head and the log have it */
    uint64_t audit_bad;          /* the first event that does not fit the chain; 0: none */
    uint64_t objects, unreadable, keyless;   /* not authentic; its slot is wiped or missing */
    uint64_t astray;             /* sealed under a vault key that nobody has any more */
    uint64_t due;                /* past their date, and not yet swept */
    uint64_t pending;            /* purged, and their slot not yet overwritten */
    int64_t now, strict, wall;   /* the clocks */
    const char *clock_jump;      /* what a clock did since the last change, in words; or NULL */
    int64_t clock_jump_by;       /* seconds */
};
/* Looks at everything; as long as the store is large. progress (NULL: none) is told of how much
 * that is, in objects and events, and how much is done. */
VS_MUST_USE int vs_store_health(struct vs_store *store, struct vs_health *ret_health);
VS_MUST_USE int vs_store_health_told(struct vs_store *store, vs_progress_fn *progress, void *ctx,
                                     struct vs_health *ret_health);
/*
 * An older copy of the store's files was put back, which is noticed when it is opened: every
 * change is VS_LOCKED until the SO of one of its vaults, whose PIN this is, accepts the copy as it
 * is, without what was purged since. VS_WRONG_STATE: nothing is to be accepted.
 */
VS_MUST_USE int vs_rollback_accept(struct vs_store *store, uint32_t vault, const uint8_t *pin,
                                   size_t pin_len);

/* ------------------------------------------------------------------ audit */

struct vs_event {
    uint64_t seq;                /* 1, 2, 3 ... over the whole store */
    int64_t time;                /* vault clock, seconds */
    uint32_t vault, generation;
    char operation[32];          /* VaultInit, KeyCreate, KeyDelete, KeyRecover, KeyPurge, ... */
    int32_t result;              /* vs_status: 0 success, else the outcome */
    char principal[VS_ACTOR_MAX];/* "so", "user", "public" */
    uint32_t uid, pid;
    char exe[64];                /* the tail of the executable's path */
    bool has_id;
    struct vs_id id;
    uint32_t object_version;
    char detail[96];             /* reason, purge date, ...; never a secret or a private label */
    uint8_t hash[32];            /* SHA-256 over the previous hash and this record's bytes */
    uint32_t duration_us;        /* microseconds from the call to the record; of a use: its own */
    uint8_t correlation[16];     /* the same for all events of one change */
    uint32_t code;               /* the caller's own result of a use; 0: `result` says it */
    uint32_t key_version;        /* of a key used; 0: not said */
    uint64_t count;              /* uses that the record stands for, else 1 */
    int64_t first, last;         /* vault time of the first and last of them */
};
/* Events with seq >= from, in order; VS_END after the last. Batches of any size. */
VS_MUST_USE int vs_audit_read(struct vs_store *store, uint64_t from, struct vs_event *ret_events,
                              size_t cap, size_t *ret_n);
/* Recomputes the chain. ret_bad is the first event that does not fit, or that is missing although
 * host.head knows of it; 0 when all is well. */
VS_MUST_USE int vs_audit_verify(struct vs_store *store, uint64_t *ret_events, uint64_t *ret_bad);
/*
 * The same from where a former verification ended: `seq` and `hash` are the event's that it ended
 * with (0, zeros: from the start) and are moved to the last good one. That event gone or another:
 * ret_bad is its number.
 */
VS_MUST_USE int vs_audit_verify_from(struct vs_store *store, uint64_t *seq, uint8_t hash[32],
                                     uint64_t *ret_bad);

struct vs_audit_query {
    uint64_t from;               /* seq to begin or go on with; 0: the first, or the last */
    int64_t since, until;        /* vault time, the second excluded; 0: no limit */
    const struct vs_id *id;      /* of this object; by an index. NULL: any */
    bool newest_first;
    bool (*wanted)(const struct vs_event *event, void *ctx);   /* NULL: all */
    void *ctx;
};
/* At most cap events; ret_next is the `from` to go on with, 0 when there are no more. */
VS_MUST_USE int vs_audit_query(struct vs_store *store, const struct vs_audit_query *query,
                               struct vs_event *ret_events, size_t cap, size_t *ret_n,
                               uint64_t *ret_next);

/* Uses of a key, counted by the caller: one event each, all in one transaction. */
struct vs_use {
    struct vs_id id;
    uint32_t vault, generation, object_version, key_version;
    const char *operation;       /* "KeySign" ... */
    const char *detail;          /* or NULL */
    char principal[VS_ACTOR_MAX];
    int32_t result;              /* vs_status */
    uint32_t code;               /* the caller's; 0 for success */
    uint64_t count;              /* of uses */
    uint32_t first_ago, last_ago;/* seconds before now */
    uint32_t duration_us;        /* 0: not measured */
};
VS_MUST_USE int vs_audit_use(struct vs_store *store, const struct vs_use *uses, size_t n);
/* What is on record: uses, the first and the last of them; all 0 for a key never used. */
struct vs_use_total { uint64_t count; int64_t first, last; };
VS_MUST_USE int vs_use_total(struct vs_store *store, const struct vs_id *id,
                             struct vs_use_total *ret_total);

/* What will be purged before `until`, soonest first; holds and protection are not asked. Generations
 * have a zero id. At most cap; ret_n 0: none. */
struct vs_due {
    struct vs_id id;
    uint32_t vault, generation;
    int64_t purge_at;
    bool held;
};
VS_MUST_USE int vs_due_list(struct vs_store *store, int64_t until, struct vs_due *ret_due,
                            size_t cap, size_t *ret_n);

/* ------------------------------------------------------------------ rotation */

/*
 * Keys whose rotate_days have passed since they were made, active and without a next version. At
 * most cap are written, ret_n is how many there are. Looks at every object; needs no login.
 */
VS_MUST_USE int vs_rotation_due(struct vs_store *store, uint32_t vault, struct vs_id *ret_ids,
                                size_t cap, size_t *ret_n);

/* ------------------------------------------------------------------ backup */

/*
 * A backup is a blob of objects, live and deleted ones, with all that the store knows of them; of a
 * whole vault also its policy and its users. Its content key is sealed to the vault's own backup
 * key, which only a login of the same generation has, or to public keys outside (escrow), or split
 * among them so that any `threshold` of them open it. See docs/format.md.
 *
 * An object keeps its id. "After a purge nothing brings it back" holds here, too: an id of which
 * this store has a tombstone, or that is past its purge date, is never restored. Another store
 * that has no such tombstone cannot know; there an escrow blob restores what was purged here.
 */
#define VS_BLOB_KEYS_MAX 32u
struct vs_blob_key { const uint8_t *data; size_t len; };   /* PEM or DER; private: PKCS#8 */

struct vs_backup {
    const struct vs_id *ids;         /* these objects; n_ids 0: the whole vault */
    size_t n_ids;
    const struct vs_blob_key *keys;  /* public; n_keys 0: the vault's own backup key */
    size_t n_keys;
    uint32_t threshold;              /* 0: 1, every key opens it alone */
    int fd;                          /* written from where it is */
    vs_progress_fn *progress;        /* may be NULL */
    /* All is written: the caller syncs it, and puts it where it belongs; other than VS_OK fails
     * the backup. May be NULL. */
    int (*settle)(void *ctx);
    void *ctx;
};
/*
 * Needs the backup verb; in a vault of the strict profile, for keys outside, the policy verb too.
 * One snapshot, however long it takes and whatever others change meanwhile; but what is purged
 * meanwhile is left out of a whole vault (of named objects: VS_NOT_FOUND). The event is on disk
 * before the first byte is out; objects are marked as backed up once the last is settled:
 * *ret_marked says whether all could be. VS_POLICY: a key that cannot be used, or a threshold. What
 * has been written when it fails is no blob.
 */
VS_MUST_USE int vs_backup(struct vs_store *store, uint32_t vault, struct vs_login *login,
                          const struct vs_backup *backup, uint64_t *ret_objects,
                          bool *ret_marked);

struct vs_blob_info {
    uint32_t format;
    uint8_t id[16];                  /* of the blob */
    int64_t created_at;
    char created_by[VS_ACTOR_MAX];
    char serial[16];                 /* of the vault */
    uint8_t label[32];
    uint32_t generation;
    bool whole;                      /* vault, else some objects */
    uint64_t objects;
    uint64_t audit_seq;              /* the head of the audit chain then */
    uint8_t audit_hash[32];
    uint32_t threshold, n_keys;
    struct { uint32_t kind; uint8_t fingerprint[32]; } keys[VS_BLOB_KEYS_MAX];
                                     /* kind 1: the vault's own key; 2 RSA, 3 EC: SHA-256 of the
                                      * SubjectPublicKeyInfo */
};
/* What the blob says of itself, which only opening it proves. VS_E_CORRUPT, VS_E_VERSION. */
VS_MUST_USE int vs_backup_show(struct vs_store *store, int fd, struct vs_blob_info *ret_info);

/* An object out of a blob, as the caller wants it stored; its memory lives until the next one. */
struct vs_adopted {
    const uint8_t *attrs;
    size_t attrs_len;
    struct vs_term terms[VS_INDEX_MAX];
    size_t n_terms;
};
/*
 * `authentic`: the blob was made by a login of this very generation; else whoever had the public
 * key could have made it. former: the attributes of what it would replace, or NULL. VS_POLICY.
 * It must not call the store.
 */
typedef int vs_adopt_fn(void *ctx, const struct vs_header *header, bool authentic,
                        const uint8_t *attrs, size_t attrs_len, const uint8_t *former,
                        size_t former_len, struct vs_adopted *ret_adopted);

struct vs_restore {
    int fd;                          /* a file, read from its start, twice */
    const struct vs_blob_key *keys;  /* private; unencrypted */
    size_t n_keys;
    bool replace;                    /* what exists; else nothing is restored when something does */
    bool dry_run;
    bool settings;                   /* the policy and the users, not the objects */
    vs_adopt_fn *adopt;
    vs_progress_fn *progress;        /* may be NULL; told of every object when it is checked, and
                                      * of those with done > 0 when they are restored */
    void *ctx;
};
/*
 * Needs the restore verb; for settings the policy verb. VS_WRONG_STATE: something exists (or, with
 * replace, cannot be replaced); progress has told what. Purged objects are left out, and told.
 * Replacing takes attributes, dates and state of the blob, but never deletes, never takes away
 * a hold or a lock and never brings a purge date nearer. Objects go in by transactions of some
 * dozens: after a crash, restore again with replace. VS_POLICY: the keys given do not open it.
 * Settings: the policy is set as vs_vault_set_policy does; users that are not there are made
 * with their verbs and grants, and locked until vs_user_set_pin.
 */
VS_MUST_USE int vs_restore(struct vs_store *store, uint32_t vault, struct vs_login *login,
                           const struct vs_restore *restore, uint64_t *ret_restored);

/* ------------------------------------------------------------------ secret memory */

/*
 * Memory for keys: locked where the limit allows, excluded from core dumps, zeroed in a forked
 * child, wiped on release. Any thread.
 */
void *vs_secret_alloc(size_t size);           /* NULL when memory is out; contents undefined */
void vs_secret_free(void *memory, size_t size);  /* size as allocated; NULL is allowed */

#endif
