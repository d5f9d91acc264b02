/*
 * operation.h: the active operations of a session: at most one of each kind (5.2, 5.8 to 5.14).
 * The standard allows one encrypt, decrypt, sign, verify and digest at a time each; dual-function
 * calls combine two.
 */
#ifndef OPERATION_H
#define OPERATION_H
#include "mech.h"
#include "object.h"

enum operation_kind {
    OP_ENCRYPT, OP_DECRYPT, OP_DIGEST, OP_SIGN, OP_VERIFY, OP_SIGN_RECOVER, OP_VERIFY_RECOVER,
    OP_SLOTS,
    /* one-call uses, for the usage table */
    OP_WRAP = OP_SLOTS, OP_UNWRAP, OP_DERIVE, OP_WRAPPED, OP_KINDS
};

struct operation {
    enum operation_kind kind;
    struct object *key;             /* a reference; NULL for digests */
    uint64_t login_epoch;           /* private keys: the login it was begun under */
    bool authenticated;             /* CKA_ALWAYS_AUTHENTICATE: context-specific login done */
    bool multipart;                 /* an Update has been called */
    struct crypto crypto;
    struct secret pending;          /* a result the caller's buffer was too small for */
    bool has_pending;
};

/* A context kept by a session after an operation ended well. */
struct warm {
    const struct mech_row *mech;
    struct key_material *key;       /* a reference */
    bool encrypt;
    void *ctx;
};

/* usage_table.c: one row per kind of use. */
struct usage_row {
    enum operation_kind kind;
    CK_FLAGS flag;                  /* CKF_ENCRYPT ...: what the mechanism row must have */
    unsigned bit;                   /* enum object_bit the key must have */
    CK_OBJECT_CLASS classes[2];     /* classes that can be used so: secret + public/private */
    CK_RV bad_handle;               /* CKR_KEY_HANDLE_INVALID, CKR_UNWRAPPING_KEY_HANDLE_INVALID */
    CK_RV bad_type;                 /* CKR_KEY_TYPE_INCONSISTENT, CKR_WRAPPING_KEY_TYPE_... */
    CK_RV bad_size;
    CK_RV not_permitted;            /* CKR_KEY_FUNCTION_NOT_PERMITTED */
    bool new_use;                   /* refused by DISABLED, EXPIRED, PREACTIVE; else old use:
                                       refused by DISABLED, PREACTIVE */
};
extern const struct usage_row USAGE[OP_KINDS];

/*
 * Everything that must hold before a key may be used so: handle, class, key type, size, usage
 * attribute, state, CKA_ALLOWED_MECHANISMS, the strict profile's legacy padding. ret_object is a
 * reference; ret_key is borrowed from it. Used by every *Init and by wrap, unwrap, derive.
 */
CK_RV usage_check(struct call *call, enum operation_kind kind, const struct mech_row *mech,
                  CK_OBJECT_HANDLE handle, struct object **ret_object,
                  struct key_material **ret_key);

/* Warm contexts of one-call uses (entry_key.c): takes the session's context kept for this use, or
 * NULL; keeps one (c->ctx, then NULL) with a reference to c->key, dropping the oldest. */
void *warm_take(struct session *session, const struct mech_row *mech, struct key_material *key,
                bool encrypt);
void warm_keep(struct session *session, struct crypto *c);

/* Ends and forgets the session's operation of this kind (keeping its context warm when `well`). */
void operation_end(struct session *session, enum operation_kind kind, bool well);
void operation_end_all(struct session *session);
#endif
