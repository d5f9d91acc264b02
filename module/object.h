/*
 * object.h: an object as this process knows it: an immutable, reference-counted snapshot of its
 * attributes, plus the decoded key, made when first used. Setting an attribute replaces the
 * snapshot behind the handle.
 */
#ifndef OBJECT_H
#define OBJECT_H
#include "key_material.h"
#include "origin.h"

struct session;
struct slot;
struct call;

/* Usage attributes and other booleans asked on the hot path, as bits. */
enum object_bit {
    OBJ_ENCRYPT = 1u << 0, OBJ_DECRYPT = 1u << 1, OBJ_SIGN = 1u << 2, OBJ_VERIFY = 1u << 3,
    OBJ_SIGN_RECOVER = 1u << 4, OBJ_VERIFY_RECOVER = 1u << 5, OBJ_WRAP = 1u << 6,
    OBJ_UNWRAP = 1u << 7, OBJ_DERIVE = 1u << 8, OBJ_SENSITIVE = 1u << 9,
    OBJ_EXTRACTABLE = 1u << 10, OBJ_ALWAYS_AUTH = 1u << 11, OBJ_TRUSTED = 1u << 12,
    OBJ_WRAP_WITH_TRUSTED = 1u << 13, OBJ_MODIFIABLE = 1u << 14, OBJ_COPYABLE = 1u << 15,
    OBJ_DESTROYABLE = 1u << 16, OBJ_PRIVATE = 1u << 17, OBJ_TOKEN = 1u << 18,
};

struct object {
    _Atomic unsigned refs;
    CK_OBJECT_HANDLE handle;     /* 0 until added */
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;   /* session objects: who made it; 0 for token objects */
    CK_OBJECT_CLASS cls;
    CK_KEY_TYPE key_type;        /* CK_UNAVAILABLE_INFORMATION for others */
    unsigned bits;               /* enum object_bit */
    struct attr_set *attrs;      /* NULL for a private object in the governance view */
    const CK_MECHANISM_TYPE *allowed;   /* unaligned-safe copy; NULL: all */
    size_t n_allowed;
    struct vs_header header;     /* token objects */
    struct origin *origin;       /* a session's copy of a token object is bound as that one; else NULL */
    _Atomic uint64_t seen_txnid; /* the store's transaction at which header.version was current */
    _Atomic bool superseded;     /* another snapshot stands behind the handle */
    _Atomic bool dead;           /* destroyed, deleted, or its session closed */
    struct key_material *_Atomic key;   /* decoded at first use */
};
struct object *object_ref(struct object *object);
void object_unref(struct object *object);    /* NULL is allowed */
static inline void object_auto(struct object **object) { object_unref(*object); }
/* From finished attributes; takes over the set. */
CK_RV object_new(struct attr_set *attrs, struct object **ret_object);

/*
 * Lookup for a call: the handle's current snapshot, revalidated against the store when any
 * process has committed since it was last seen, and visible to this session (private objects:
 * user logged in). CKR_OBJECT_HANDLE_INVALID otherwise. ret_object is a reference to release with
 * object_unref. (No session keeps one between calls: a destroyed key's bytes go at once.)
 */
CK_RV object_get(struct call *call, CK_OBJECT_HANDLE handle, struct object **ret_object);
/*
 * The same, but it also yields what the governance view shows: deleted objects, and to the SO
 * private ones. For reading attributes, recovery and destruction; never to use a key.
 */
CK_RV object_get_any(struct call *call, CK_OBJECT_HANDLE handle, struct object **ret_object);
/* Is it such an object for this session? Then key parts are never shown. */
bool object_is_governed(const struct call *call, const struct object *object);
/* Is a running operation's key still usable so (alive, seen, not deleted, disabled or given another
 * date by any process)? One read of the last transaction id when nothing has changed. Fails when the
 * store does: then nobody knows. */
CK_RV object_still_usable(struct call *call, struct object *object, bool new_use,
                          bool *ret_usable);
/* Its state at this moment: dates count without anybody's doing. Of a copy that follows: that of the
 * original, VS_STATE_PURGED when there is none. Fails when the store does. */
CK_RV object_state(const struct object *object, enum vs_state *ret_state);
/* Whose verbs, policy and state bind its use: its own id, its original's, or NULL for none. */
const struct vs_id *object_bound_by(const struct object *object);
/* Is what it is a copy of deleted? Then it is of no use any more; the application may still look at it
 * and destroy it. */
CK_RV object_orphaned(const struct object *object, bool *ret_orphaned);
/* For use: the header with what of it depends on the policy; an original's may have moved on.
 * CKR_OBJECT_HANDLE_INVALID: the original is purged; any other is a fault. */
CK_RV object_header(const struct object *object, struct vs_header *ret_header);
/* Does this state allow a use? new_use: encrypt, sign, wrap, derive. */
bool state_allows(enum vs_state state, bool new_use);
/* The decoded key; borrowed, lives as long as the object. */
CK_RV object_key(struct object *object, struct key_material **ret_key);
/* CKA_ALLOWED_MECHANISMS: CKR_MECHANISM_INVALID when the list is there and has it not. */
CK_RV object_allows(const struct object *object, CK_MECHANISM_TYPE mechanism);

/*
 * Makes objects from finished lists, as session objects or in the vault (one transaction for n):
 * rules on sessions (CKR_SESSION_READ_ONLY, CKR_USER_NOT_LOGGED_IN for private ones), CKA_TOKEN,
 * CKA_PRIVATE, CKA_UNIQUE_ID; outputs written last.
 */
CK_RV object_make(struct call *call, struct attr_list *lists, size_t n, enum vs_origin origin,
                  const char *operation, CK_OBJECT_HANDLE *ret_handles);

/* The same for a copy. One in the session follows what it was made from, if that is in the vault. */
CK_RV object_make_copy(struct call *call, struct attr_list *list, const struct object *from,
                       CK_OBJECT_HANDLE *ret_handle);

/* The same for the next versions of these keys, one each. CKR_ACTION_PROHIBITED: one of them has a
 * next version already, or is deleted. */
CK_RV object_make_next(struct call *call, struct attr_list *lists, size_t n,
                       const struct vs_id *formers, CK_OBJECT_HANDLE *ret_handles);

/* The rules on sessions that object_make applies, to be asked before any crypto. */
CK_RV object_may_make(struct call *call, const struct attr_list *list);

/* The session's part of a template_context: who is logged in, the vault's profile. */
struct template_context;
CK_RV object_context(const struct call *call, struct vs_vault_info *ret_info,
                     struct template_context *context);
/* What only the module knows of a new key (nothing is put for other objects). */
struct key_history {
    bool local;
    CK_MECHANISM_TYPE mechanism;     /* CK_UNAVAILABLE_INFORMATION unless local */
    bool sensitive, unextractable;   /* always so before: the key is new, or its base was */
};
CK_RV key_history_put(struct attr_list *list, const struct key_history *history);

/* object_codec.c: attributes to the bytes the store seals, and back. Versioned (docs/format.md). */
CK_RV object_encode(const struct attr_set *attrs, struct secret *ret_bytes);
CK_RV object_decode(const uint8_t *bytes, size_t len, struct attr_set **ret_attrs);
/*
 * The terms under which the store finds an object with these attributes, by enum index_number.
 * They point into attrs and into `joined`. Also the terms of a search's template.
 */
CK_RV object_terms(const struct attr_set *attrs, struct secret *joined,
                   struct vs_term ret_terms[VS_INDEX_MAX], size_t *ret_n);

/* A vs_terms_fn. */
int object_terms_each(const uint8_t *attrs, size_t attrs_len, vs_terms_then *then, void *ctx);

/* object_attrs.c: an attribute's value, stored or computed; points into the object or `bytes`. */
struct attr_value { const uint8_t *value; CK_ULONG len; uint8_t bytes[VS_ACTOR_MAX]; };
/* CKR_ATTRIBUTE_TYPE_INVALID: it has none; CKR_ATTRIBUTE_SENSITIVE: it is not to be shown. */
CK_RV object_attribute(const struct call *call, const struct object *object,
                       CK_ATTRIBUTE_TYPE type, struct attr_value *ret_view);
CK_RV object_attributes_get(struct call *call, const struct object *object,
                            CK_ATTRIBUTE *attributes, CK_ULONG count);
/* object_set.c */
CK_RV object_attributes_set(struct call *call, CK_OBJECT_HANDLE handle,
                            const CK_ATTRIBUTE *attributes, CK_ULONG count);
/* How a new object starts: takes the lifecycle's attributes out of the list. */
CK_RV object_govern_take(struct attr_list *list, struct vs_govern *ret_govern);
/* A status of delete, recover, purge, postpone, update; refusals are CKR_ACTION_PROHIBITED. */
CK_RV lifecycle_status(int status, const char *what, uint32_t verbs);
/* The id of a token object in CKA_UNIQUE_ID's 32 digits; false when it is no such text. */
bool unique_id_parse(const uint8_t *text, size_t len, struct vs_id *ret_id);

/* object.c: a token object whose attributes are read when it is first looked up. */
CK_RV object_new_found(const struct vs_header *header, uint64_t txnid, struct object **ret_object);
/* The same with its attributes, read now; without a handle yet. */
CK_RV object_new_read(struct call *call, const struct vs_id *id, struct object **ret_object);
#endif
