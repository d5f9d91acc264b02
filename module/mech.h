/*
 * mech.h: one row per mechanism. The row names its sizes, flags, key type, parameter check and
 * functions; a new mechanism is a new row. Families live in mech_<family>.c.
 *
 * Division of labour. The generic layer (operation_*.c, entry_key.c) does everything that is not
 * cryptography: handles, usage attributes, states, CKA_ALLOWED_MECHANISMS, templates, size
 * queries, CKR_BUFFER_TOO_SMALL, ending operations. A family function gets checked inputs and an
 * output buffer that is large enough, and returns CKR_OK or the standard's code for its failure.
 */
#ifndef MECH_H
#define MECH_H
#include "key_material.h"
#include "ossl.h"

/* A mechanism's parameter, copied and checked once, in the operation's own memory. */
struct mech_param {
    union {
        struct { const struct digest_row *hash, *mgf; size_t salt_len; } pss;
        struct { const struct digest_row *hash, *mgf; uint8_t *label; size_t label_len; } oaep;
        struct { uint8_t iv[16]; size_t iv_len; unsigned counter_bits; } iv;    /* CBC, CTR, KW */
        struct { uint8_t *iv; size_t iv_len; uint8_t *aad; size_t aad_len; size_t tag_len;
                 size_t data_len; } aead;                                      /* GCM, CCM */
        struct { size_t mac_len; } mac;                                        /* *_GENERAL */
        struct { CK_EC_KDF_TYPE kdf; uint8_t *shared; size_t shared_len; uint8_t *point;
                 size_t point_len; } ecdh;
        struct { bool present; bool prehash; uint8_t *context; size_t context_len; } eddsa;
        struct { size_t aes_bits; const struct digest_row *hash, *mgf; uint8_t *label;
                 size_t label_len; } rsa_aes;
        struct { CK_OBJECT_HANDLE key; uint8_t *data; size_t data_len; size_t bits; } kdf;
    };
    void *heap;                  /* a chain of what was too large; freed by mech_param_done */
    size_t used;                 /* of inline_bytes */
    uint8_t inline_bytes[256];   /* what the pointers above point into, so never copy the struct */
};
void mech_param_init(struct mech_param *param);   /* mech_prepare does it */
void mech_param_done(struct mech_param *param);
static inline void mech_param_auto(struct mech_param *param) { mech_param_done(param); }

struct mech_row;
struct object;
struct warm;

/* What a family function works on. Lives in the session's operation, or on the stack of a
 * one-call use (wrap, unwrap, generate, derive). */
struct crypto {
    const struct mech_row *mech;
    struct mech_param param;
    struct key_material *key;    /* borrowed from the operation, which holds a reference */
    bool encrypt;                /* cipher: direction; sign/verify: true for sign */
    CK_KEY_TYPE target_type;     /* unwrap: CKA_KEY_TYPE and CKA_VALUE_LEN (0: none) of the secret */
    size_t target_len;           /* key asked for, so that implicit rejection yields such a key */
    void *ctx;                   /* the family's context; see warm below */
    union { uint8_t bytes[64]; uint64_t words[8]; } state;   /* small family state (buffered block,
                                    counters), zeroed before begin */
    struct secret buffer;        /* growing family buffer (AEAD decryption, EdDSA data) */
};

/*
 * Warm contexts. After an operation has ended well its context may be kept by the session for the
 * next one with the same (mechanism, key, direction): key schedule and fetched algorithm stay.
 * begin() gets ctx == NULL (cold) or a context that its own family made for the same row, key and
 * direction, to be re-initialised with the new parameter only. A failed begin() must leave ctx
 * NULL (freed). The generic layer calls row->ctx_free when the key or the session goes.
 */
struct cipher_ops {
    CK_RV (*begin)(struct crypto *c);
    /* Upper bound of what update/final/once will produce (exact for encryption). */
    size_t (*update_size)(const struct crypto *c, size_t in_len);
    size_t (*final_size)(const struct crypto *c);
    size_t (*once_size)(const struct crypto *c, size_t in_len);
    /* out has at least the bound; in and out may be the same buffer; *ret_len: produced. */
    CK_RV (*update)(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                    size_t *ret_len);
    CK_RV (*final)(struct crypto *c, uint8_t *out, size_t *ret_len);
    CK_RV (*once)(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                  size_t *ret_len);
};   /* mechanisms without multi-part forms (RSA) have update and final NULL */

struct sign_ops {                /* signatures and MACs */
    CK_RV (*begin)(struct crypto *c);
    size_t (*size)(const struct crypto *c);        /* of a signature; exact or upper bound */
    /* update NULL: single-part only (CKM_RSA_PKCS, CKM_ECDSA, CKM_RSA_X_509, CKM_EDDSA may
     * buffer). */
    CK_RV (*update)(struct crypto *c, const uint8_t *data, size_t len);
    CK_RV (*sign_final)(struct crypto *c, uint8_t *signature, size_t *ret_len);
    CK_RV (*verify_final)(struct crypto *c, const uint8_t *signature, size_t len);
    CK_RV (*sign)(struct crypto *c, const uint8_t *data, size_t len, uint8_t *signature,
                  size_t *ret_len);
    CK_RV (*verify)(struct crypto *c, const uint8_t *data, size_t len, const uint8_t *signature,
                    size_t signature_len);
    /* C_VerifyRecover / C_SignRecover, or NULL */
    CK_RV (*recover)(struct crypto *c, const uint8_t *signature, size_t len, uint8_t *out,
                     size_t *ret_len);
};   /* verify: CKR_SIGNATURE_INVALID or CKR_SIGNATURE_LEN_RANGE */

struct digest_ops {
    CK_RV (*begin)(struct crypto *c);
    CK_RV (*update)(struct crypto *c, const uint8_t *data, size_t len);
    CK_RV (*final)(struct crypto *c, uint8_t *out);          /* row->digest->size bytes */
    CK_RV (*once)(struct crypto *c, const uint8_t *data, size_t len, uint8_t *out);
};

struct wrap_ops {                /* one call; c->key is the wrapping or unwrapping key */
    size_t (*wrap_size)(const struct crypto *c, size_t in_len);
    CK_RV (*wrap)(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                  size_t *ret_len);        /* CKR_KEY_SIZE_RANGE: what it cannot wrap */
    CK_RV (*unwrap)(struct crypto *c, const uint8_t *in, size_t in_len, struct secret *ret_key);
};   /* every way a wrapped blob can be bad is CKR_WRAPPED_KEY_INVALID, length: _LEN_RANGE */

struct generate_ops {
    /* Puts the key's components into the list(s) (which hold the checked template). */
    CK_RV (*key)(const struct mech_row *mech, const struct mech_param *param,
                 struct attr_list *key);
    CK_RV (*pair)(const struct mech_row *mech, const struct mech_param *param,
                  struct attr_list *public_key, struct attr_list *private_key);
};

struct derive_ops {
    /* want_len: CKA_VALUE_LEN asked for, 0 when the template says nothing. */
    CK_RV (*derive)(struct crypto *c, size_t want_len, struct secret *ret_value);
};

struct mech_row {
    CK_MECHANISM_TYPE type;
    const char *name;            /* "CKM_AES_GCM" */
    CK_ULONG min, max;           /* as the standard's unit for this mechanism: bits or bytes */
    CK_FLAGS flags;              /* set if and only if the function is there; a test checks */
    CK_KEY_TYPE key_type;        /* of the key it works with (or makes); CK_UNAVAILABLE_INFORMATION
                                    for none */
    const CK_KEY_TYPE *also;     /* further key types, ended by CK_UNAVAILABLE_INFORMATION, or NULL */
    CK_RV (*parse)(const struct mech_row *row, const void *parameter, CK_ULONG len,
                   struct mech_param *ret_param);   /* CKR_MECHANISM_PARAM_INVALID,
                                                       CKR_ARGUMENTS_BAD (Java's GCM) */
    const struct cipher_ops *cipher;
    const struct sign_ops *sign;
    const struct digest_ops *digest_ops;
    const struct wrap_ops *wrap;
    const struct generate_ops *generate;
    const struct derive_ops *derive;
    const struct digest_row *digest;   /* the row's hash, or NULL */
    unsigned detail;             /* the family's own: ossl_cipher, curve family, ... */
    bool legacy_padding;         /* refused by the strict profile for decrypt and unwrap */
    void (*ctx_free)(void *ctx);
};

/* mech_table.c: rows gathered from the families' arrays; looked up by binary search or hash. */
const struct mech_row *mech_find(CK_MECHANISM_TYPE type);     /* NULL: CKR_MECHANISM_INVALID */
size_t mech_count(void);
const struct mech_row *mech_at(size_t i);                     /* plain digests come first */
/* Copies the CK_MECHANISM (misaligned is fine), finds the row, parses the parameter. */
CK_RV mech_prepare(const CK_MECHANISM *mechanism, const struct mech_row **ret_row,
                   struct mech_param *ret_param);
/* Does the key fit the row (class for the direction, key type, size)? CKR_KEY_TYPE_INCONSISTENT,
 * CKR_KEY_SIZE_RANGE. */
CK_RV mech_key_fits(const struct mech_row *row, const struct key_material *key);
/* Helpers for parse functions: copy bytes that the parameter points at into the param's memory. */
CK_RV mech_param_none(const struct mech_row *row, const void *p, CK_ULONG len, struct mech_param *m);
CK_RV mech_param_bytes(struct mech_param *param, const void *data, size_t len, uint8_t **ret_copy);
/* After the generic layer's use: wipes state and buffer, frees ctx. */
void crypto_done(struct crypto *c);

/* The families' rows (mech_<family>.c each defines one array). */
struct mech_family { const struct mech_row *rows; size_t n; };
extern const struct mech_family MECH_DIGEST, MECH_HMAC, MECH_CMAC, MECH_AES, MECH_AEAD, MECH_AESKW,
    MECH_SECRET, MECH_RSA, MECH_RSA_SIGN, MECH_RSA_WRAP, MECH_EC, MECH_EDWARDS, MECH_ECDH;
#endif
