/*
 * attr_table.h: what the standard says of attributes, as rows: one per attribute and set of
 * objects that have it. template.c interprets them; object_attrs.c and object_find.c ask them.
 */
#ifndef ATTR_TABLE_H
#define ATTR_TABLE_H
#include "cryptoki.h"

/* Kinds of objects that differ in their attributes. */
enum object_kind {
    KIND_DATA = 1u << 0,
    KIND_CERTIFICATE = 1u << 1,
    KIND_PUBLIC_RSA = 1u << 2,
    KIND_PUBLIC_EC = 1u << 3,       /* and Edwards, Montgomery */
    KIND_PRIVATE_RSA = 1u << 4,
    KIND_PRIVATE_EC = 1u << 5,
    KIND_SECRET = 1u << 6,
    KIND_PUBLIC = KIND_PUBLIC_RSA | KIND_PUBLIC_EC,
    KIND_PRIVATE = KIND_PRIVATE_RSA | KIND_PRIVATE_EC,
    KIND_CONCEALED = KIND_PRIVATE | KIND_SECRET,
    KIND_KEY = KIND_PUBLIC | KIND_CONCEALED,
    KIND_ANY = KIND_DATA | KIND_CERTIFICATE | KIND_KEY,
};

enum attr_type {
    ATTR_BOOL, ATTR_ULONG, ATTR_BYTES, ATTR_DATE, ATTR_MECHANISMS, ATTR_TEMPLATE
};

/* The standard's footnotes (table 13), and our own below them. */
enum attr_rule {
    CREATE_NEEDS = 1u << 1,
    CREATE_BARS = 1u << 2,
    GENERATE_NEEDS = 1u << 3,
    GENERATE_BARS = 1u << 4,
    UNWRAP_NEEDS = 1u << 5,
    UNWRAP_BARS = 1u << 6,          /* derive bars the same */
    CONCEALED = 1u << 7,            /* key part: not shown when sensitive or not extractable */
    SETTABLE = 1u << 8,
    SO_ONLY = 1u << 10,             /* CK_TRUE only by the SO */
    TRUE_STAYS = 1u << 11,
    FALSE_STAYS = 1u << 12,
    COPY_SETS = 1u << 16,           /* C_CopyObject may give it another value */
    SET_EMPTY = 1u << 17,           /* C_SetAttributeValue may empty it */
    CONTENT = 1u << 18,             /* not metadata: the governance view does not show it */
    MADE = CREATE_BARS | GENERATE_BARS | UNWRAP_BARS,   /* given by the module alone */
};

enum attr_default {
    ABSENT,              /* none: the object need not have it, or the module puts it */
    EMPTY, FALSE_, TRUE_, ZERO,
    WHEN_USER,           /* CK_TRUE when the user is logged in */
    WHEN_CRYPTS,         /* CK_TRUE when keys of this type encrypt and nothing conflicts */
    WHEN_SIGNS,
    WHEN_KEPT,           /* CK_TRUE for token objects and what was unwrapped */
    WHEN_LOOSE,          /* CK_TRUE for session objects and what was unwrapped */
    WHEN_UNWRAPPED,
};

struct attr_row {
    CK_ATTRIBUTE_TYPE type;
    enum attr_type value;
    unsigned kinds;              /* enum object_kind */
    unsigned rules;              /* enum attr_rule */
    enum attr_default fallback;
};
extern const struct attr_row ATTR_ROWS[];      /* ascending by type */
extern const size_t ATTR_ROWS_COUNT;

/* The first row of the type whatever the object, or NULL when nobody has such an attribute. */
const struct attr_row *attr_row_any(CK_ATTRIBUTE_TYPE type);
/* The row for an object of this kind, or NULL when it has no such attribute. */
const struct attr_row *attr_row(CK_ATTRIBUTE_TYPE type, unsigned kind);

struct key_type_row {
    CK_KEY_TYPE type;
    unsigned public_kind, private_kind, secret_kind;   /* 0: no such objects */
    bool crypts, signs;          /* what a silent template allows */
};
const struct key_type_row *key_type_row(CK_KEY_TYPE type);   /* NULL: not supported */
/* The kind of an object, or 0 when there are none of that class and type. */
unsigned object_kind(CK_OBJECT_CLASS cls, CK_KEY_TYPE key_type);

/* Uses of one key that undo each other (Clulow; Bortolozzo et al. 2010). A default never joins
 * them; the strict profile refuses them outright. */
struct usage_conflict {
    unsigned kinds;
    CK_ATTRIBUTE_TYPE yields, to;
    bool pair;                   /* `to` is the public half's */
    bool strict_only;            /* the ordinary profile lets both be, and be the default */
};
extern const struct usage_conflict USAGE_CONFLICTS[];
extern const size_t USAGE_CONFLICTS_COUNT;

/* Attributes that the store indexes, in the order of their numbers there. Certificates' issuer and
 * serial number make one term. An empty value is not indexed. */
enum index_number {
    INDEX_CLASS, INDEX_KEY_TYPE, INDEX_ID, INDEX_LABEL, INDEX_SUBJECT, INDEX_ISSUER_SERIAL,
    INDEX_COUNT
};
struct index_row {
    CK_ATTRIBUTE_TYPE type, second;   /* second: CK_UNAVAILABLE_INFORMATION for none */
    unsigned selectivity;             /* greater: fewer objects share a value */
};
extern const struct index_row INDEX_ROWS[INDEX_COUNT];
#endif
