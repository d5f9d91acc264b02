/*
 * states.h: the state table of the design as data. An object is of a kind and in a column (a state,
 * or a state with a hold or a lock); a call is made by a principal. states_rule.c says what must
 * come out, from the documents alone; states_call.c makes the calls; e2e_states.c puts the objects
 * into their columns in one process, and asks in another.
 */
#ifndef STATES_H
#define STATES_H
#include "promise.h"

enum column {
    ACTIVE, DISABLED, EXPIRED, PREACTIVE, HELD, NO_DELETE, READ_ONLY,   /* live */
    DELETED, DELETED_HELD,
    STALE,                       /* a handle of the live object, which is deleted by now */
    PURGED,                      /* a handle of the deleted object, which is purged by now */
    COLUMNS
};
extern const char *const COLUMN_NAMES[COLUMNS];

enum kind { AES, AES_OPEN, PRIVATE, PUBLIC, CERTIFICATE, DATA, DATA_PRIVATE, KINDS };
#define KIND(kind) (1u << (kind))
#define KINDS_AES (KIND(AES) | KIND(AES_OPEN))
#define KINDS_ALL ((1u << KINDS) - 1)

struct kind_row {
    const char *name;
    CK_OBJECT_CLASS cls;
    bool is_private;             /* CKA_PRIVATE */
};
extern const struct kind_row KIND_ROWS[KINDS];

enum login { LOGGED_OUT, AS_SO, AS_USER, AS_NAMED };
struct principal_row {
    const char *name;
    enum login login;
    CK_ULONG verbs;              /* in general; AS_NAMED: what it is given */
    CK_ULONG granted;            /* on every single object */
};
extern const struct principal_row PRINCIPALS[];
extern const size_t PRINCIPALS_COUNT;

/* ------------------------------------------------------------------ the asking process */

struct viewer {
    struct harness h;
    const struct RPV_FUNCTION_LIST *rpv;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE base[KINDS];    /* live and active ones, to make others from */
    CK_OBJECT_HANDLE target;         /* a session key of the AES keys' value */
    CK_BYTE wrapped[48];             /* the target under itself, and so under every AES key here */
    CK_ULONG wrapped_len;
    CK_BYTE signatures[KINDS][64];   /* of sixteen zeros by what these keys' values are */
    CK_OBJECT_HANDLE *listed;        /* what a search that names nothing yields, ascending */
    CK_ULONG n_listed;
};

/* An object of the table, in front of the asking process. */
struct seat {
    enum kind kind;
    CK_OBJECT_HANDLE handle;
    uint32_t serial;             /* its CKA_ID (of data objects CKA_OBJECT_ID) */
};

/* ------------------------------------------------------------------ calls on objects */

struct call_row {
    const char *name;
    unsigned kinds;
    CK_RV (*run)(struct viewer *v, const struct seat *seat, const struct call_row *call);
    struct { CK_ATTRIBUTE_TYPE type; const void *value; CK_ULONG len; } set;  /* what it sets */
    int deleted;                 /* searches: 0 ordinary, 1 CKA_RPV_DELETED FALSE, 2 TRUE */

    /* The rule. A code of 0 (CKR_OK) in the second line of columns means: as the first one. */
    CK_ULONG verbs;              /* one of which it takes; 0: any verb will do */
    bool on_public;              /* also of who has no name, on public objects */
    bool spends;                 /* an object on which it was done is as before no more */
    CK_RV without;               /* the verb is missing */
    CK_ULONG then_verbs;         /* what is done then takes one of these */
    CK_RV then_without;
    CK_RV gone;                  /* the object is not seen, or is no more */
    CK_RV governed;              /* the SO, on a live private object; CKR_OK: by its verbs */
    CK_RV live, deleted_one;
    CK_RV disabled, expired, preactive, no_delete, read_only, deleted_held;
};
extern const struct call_row CALLS[];
extern const size_t CALLS_COUNT;

CK_RV rule_expected(const struct principal_row *principal, const struct call_row *call,
                    enum kind kind, enum column column);
/* When it is refused for want of a verb alone: those of which one would do, else 0. */
CK_ULONG rule_lacking(const struct principal_row *principal, const struct call_row *call,
                      enum kind kind, enum column column);
/* Are one of these verbs among the words of a reason? */
bool rule_names_verb(CK_ULONG verbs, const char *reason);

/* ------------------------------------------------------------------ calls that make objects */

struct make_row {
    const char *name;
    CK_RV (*run)(struct viewer *v, bool is_private);
    enum kind from;              /* what it is made from */
    CK_ULONG use;                /* the verb on that; 0: it is made from nothing */
    CK_RV use_without;
    CK_ULONG verb;               /* in general */
    CK_RV without;
};
extern const struct make_row MAKES[];
extern const size_t MAKES_COUNT;

CK_RV rule_make_expected(const struct principal_row *principal, const struct make_row *make,
                         bool is_private);

/* ------------------------------------------------------------------ the vendor interface */

/* On an active secret key. */
struct vendor_row {
    const char *name;
    CK_RV (*run)(struct viewer *v, enum kind kind);
    CK_ULONG verb;               /* also of who has no name, and on public objects */
    CK_RV without, nobody;       /* the verb is missing; and nobody is logged in */
    CK_RV governed;              /* the SO, on a private one; CKR_OK: by its verbs */
};
extern const struct vendor_row VENDORS[];
extern const size_t VENDORS_COUNT;

CK_RV rule_vendor_expected(const struct principal_row *principal, const struct vendor_row *vendor,
                           enum kind kind);

/* ------------------------------------------------------------------ objects */

/* One of the table's objects as it is before it is deleted; token false: a session object. */
CK_OBJECT_HANDLE seat_make(struct harness *h, CK_SESSION_HANDLE session, enum kind kind,
                           enum column column, uint32_t serial, bool token);
/* By its serial number; deleted as in a call_row. CK_INVALID_HANDLE: not found. */
CK_OBJECT_HANDLE seat_find(struct harness *h, CK_SESSION_HANDLE session, enum kind kind,
                           uint32_t serial, int deleted);
/* What every call needs, before any; and again what the principal who is logged in may list. */
void viewer_prepare(struct viewer *v);
void viewer_list(struct viewer *v);

#endif
