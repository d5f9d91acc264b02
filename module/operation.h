/*
 * operation.h: the active operations of a session: at most one of each kind (5.2, 5.8 to 5.14).
 * The standard allows one encrypt, decrypt, sign, verify and digest at a time each; dual-function
 * calls combine two.
 */
#ifndef OPERATION_H
#define OPERATION_H
#include "mech.h"
#include "object.h"
#include "call_id.h"

enum operation_kind {
    OP_ENCRYPT, OP_DECRYPT, OP_DIGEST, OP_SIGN, OP_VERIFY, OP_SIGN_RECOVER, OP_VERIFY_RECOVER,
    OP_SLOTS,
    /* one-call uses, for the usage table */
    OP_WRAP = OP_SLOTS, OP_UNWRAP, OP_DERIVE, OP_WRAPPED, OP_KINDS
};

struct operation {
    enum operation_kind kind;
    struct object *key;             /* a reference; NULL for digests */
    struct object **digested;       /* digests: the vault's keys that went in, references */
    size_t n_digested;
    uint64_t login_epoch;           /* private keys: the login it was begun under */
    bool authenticated;             /* CKA_ALWAYS_AUTHENTICATE: context-specific login done */
    bool multipart;                 /* an Update has been called */
    struct crypto crypto;
    struct secret pending;          /* a result the caller's buffer was too small for */
    enum call_id pending_of;        /* the function that made it; CALL_NONE: nothing pending */
};

/*
 * A context kept by a session after an operation ended well. While an operation uses it the entry
 * stays, with ctx NULL, so that the usual round trip touches no shared reference count.
 */
struct warm {
    const struct mech_row *mech;
    struct key_material *key;       /* a reference; NULL for digests */
    bool encrypt;
    void *ctx;
};
/*
 * For every use of a family function, one-call uses (wrap, unwrap, derive) included: crypto_begin
 * fills mech, key, encrypt and takes a warm context where there is one (c->param is set by
 * mech_prepare before or after); crypto_end keeps the context warm when `well`, else frees it, and
 * wipes the rest, the parameter included.
 * Between the two every way out must pass crypto_end(session, &c, rv == CKR_OK).
 */
void crypto_begin(struct session *session, struct crypto *c, const struct mech_row *mech,
                  struct key_material *key, bool encrypt);
void crypto_end(struct session *session, struct crypto *c, bool well);
/* Forgets warm contexts: all, or those whose key has died. */
void warm_clear(struct session *session);
void warm_drop_retired(struct session *session);

/* usage_table.c: one row per kind of use. */
struct usage_row {
    enum operation_kind kind;
    CK_FLAGS flag;                  /* CKF_ENCRYPT ...: what the mechanism row must have */
    unsigned bit;                   /* enum object_bit the key must have */
    CK_OBJECT_CLASS classes[2];     /* classes that can be used so: secret + public/private */
    CK_RV bad_handle;               /* CKR_KEY_HANDLE_INVALID, CKR_UNWRAPPING_KEY_HANDLE_INVALID */
    CK_RV bad_type;                 /* CKR_KEY_TYPE_INCONSISTENT, CKR_WRAPPING_KEY_TYPE_... */
    CK_RV bad_size;
    CK_RV not_permitted;            /* CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_UNEXTRACTABLE */
    CK_RV wrong_state;              /* CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_NOT_WRAPPABLE */
    bool no_legacy_padding;         /* the strict profile refuses the row's legacy_padding */
    bool new_use;                   /* refused by DISABLED, EXPIRED, PREACTIVE; else old use:
                                       refused by DISABLED, PREACTIVE */
    uint32_t verb;                  /* enum vs_verb that a named principal must have on the key */
    bool newest;                    /* refused to outdated versions, where the policy says so */
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

/* May a named principal use the token object so? */
bool usage_may(struct call *call, enum operation_kind kind, const struct object *object);

/* The operation of this kind when it is active and may go on: its key still usable, logged in as
 * at its begin (else it ends): CKR_OPERATION_NOT_INITIALIZED. */
CK_RV operation_active(struct call *call, enum operation_kind kind, struct operation **ret_op);
/* Every C_*Init: the mechanism, the key (0 for digests) and the family's begin. A NULL mechanism
 * cancels an active operation. CKR_OPERATION_ACTIVE. */
CK_RV operation_init(struct call *call, enum operation_kind kind, const CK_MECHANISM *mechanism,
                     CK_OBJECT_HANDLE key);
/* A digest that a key of the vault has gone into is of use as long as the key is. */
CK_RV operation_digested(struct call *call, struct operation *op, struct object *key);
/* CKA_ALWAYS_AUTHENTICATE: CKR_USER_NOT_LOGGED_IN until the context-specific login. */
CK_RV operation_authenticated(const struct operation *op);
/* The active operation that a context-specific login is for, or NULL. */
struct operation *operation_to_authenticate(struct session *session);

/*
 * The convention on output (5.2). `produce` writes at most `bound` bytes to out. A NULL `out` asks
 * for the size. Too small a buffer: an exact bound says so and produces nothing; else the result
 * is made all the same, and kept for the next call when it does not fit.
 */
struct output {
    uint8_t *out;
    CK_ULONG *len;               /* in: room; out: produced, or needed */
    bool asked;                  /* it was a size query */
};
typedef CK_RV (*produce_fn)(struct operation *op, void *ctx, uint8_t *out, size_t *ret_len);
CK_RV operation_output(struct call *call, struct operation *op, size_t bound, bool exact,
                       produce_fn produce, void *ctx, struct output *output);
/* The rule of the last call of an operation: it ends unless the caller must come again. */
CK_RV operation_last(struct call *call, enum operation_kind kind, CK_RV rv,
                     const struct output *output);
/* A pointer that is NULL although the length is not, or an output without a length. */
CK_RV arguments_in(const void *in, CK_ULONG in_len);
CK_RV arguments_out(const CK_ULONG *out_len);

/* operation_cipher.c; kind is OP_ENCRYPT or OP_DECRYPT. */
CK_RV cipher_once(struct call *call, enum operation_kind kind, const uint8_t *in, CK_ULONG in_len,
                  uint8_t *out, CK_ULONG *out_len);
CK_RV cipher_update(struct call *call, enum operation_kind kind, const uint8_t *in,
                    CK_ULONG in_len, uint8_t *out, CK_ULONG *out_len);
CK_RV cipher_final(struct call *call, enum operation_kind kind, uint8_t *out, CK_ULONG *out_len);
/* Dual-function calls: the plaintext is also fed to a digest, sign or verify operation. */
CK_RV cipher_dual(struct call *call, enum operation_kind kind, enum operation_kind feed,
                  const uint8_t *in, CK_ULONG in_len, uint8_t *out, CK_ULONG *out_len);

/* operation_sign.c; kind is OP_SIGN or OP_VERIFY, for the first also OP_SIGN_RECOVER. */
CK_RV sign_once(struct call *call, enum operation_kind kind, const uint8_t *data, CK_ULONG len,
                uint8_t *signature, CK_ULONG *signature_len);
CK_RV sign_update(struct call *call, enum operation_kind kind, const uint8_t *data, CK_ULONG len);
CK_RV sign_final(struct call *call, uint8_t *signature, CK_ULONG *signature_len);
CK_RV verify_once(struct call *call, const uint8_t *data, CK_ULONG len, const uint8_t *signature,
                  CK_ULONG signature_len);
CK_RV verify_final(struct call *call, const uint8_t *signature, CK_ULONG signature_len);
CK_RV verify_recover(struct call *call, const uint8_t *signature, CK_ULONG signature_len,
                     uint8_t *data, CK_ULONG *data_len);

/* operation_digest.c */
CK_RV digest_once(struct call *call, const uint8_t *data, CK_ULONG len, uint8_t *out,
                  CK_ULONG *out_len);
CK_RV digest_update(struct call *call, const uint8_t *data, CK_ULONG len);
CK_RV digest_key(struct call *call, CK_OBJECT_HANDLE key);
CK_RV digest_final(struct call *call, uint8_t *out, CK_ULONG *out_len);

/* Ends and forgets the session's operation of this kind (keeping its context warm when `well`). */
void operation_end(struct session *session, enum operation_kind kind, bool well);
void operation_end_all(struct session *session);
/* The operation has come to `rv`: the use of its key is noted, and it ends. Returns rv. */
CK_RV operation_done(struct call *call, enum operation_kind kind, CK_RV rv);
#endif
