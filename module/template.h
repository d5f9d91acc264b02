/*
 * template.h: the standard's attribute rules (4.2 Common attributes, table of footnotes, and the
 * table of each object class), applied to a caller's template by one interpreter of attr_table.
 * Precedence of errors as section 4.1.1 lists: unknown type CKR_ATTRIBUTE_TYPE_INVALID, bad value
 * CKR_ATTRIBUTE_VALUE_INVALID, may not be given CKR_ATTRIBUTE_READ_ONLY, missing
 * CKR_TEMPLATE_INCOMPLETE, conflicting CKR_TEMPLATE_INCONSISTENT.
 */
#ifndef TEMPLATE_H
#define TEMPLATE_H
#include "attr.h"

enum template_use {
    TEMPLATE_CREATE,     /* C_CreateObject */
    TEMPLATE_GENERATE,   /* C_GenerateKey, and both halves of C_GenerateKeyPair */
    TEMPLATE_UNWRAP,
    TEMPLATE_DERIVE,
    TEMPLATE_COPY,
    TEMPLATE_SET,
};

struct template_context {
    enum template_use use;
    CK_OBJECT_CLASS cls;         /* fixed by the mechanism (generate), or CK_UNAVAILABLE_INFORMATION
                                    when the template must say */
    CK_KEY_TYPE key_type;        /* likewise */
    CK_MECHANISM_TYPE mechanism; /* CKA_KEY_GEN_MECHANISM; CK_UNAVAILABLE_INFORMATION for others */
    bool so;                     /* the SO is logged in (may set CKA_TRUSTED) */
    bool user;                   /* the user is logged in: private and secret keys become private */
    bool strict;                 /* vault profile: usage conflicts are refused */
    const struct attr_set *base; /* copy, set: the object as it is */
    const struct attr_list *public_half; /* the private half of a generated pair: the other one */
    const struct attr *imposed;  /* the using key's CKA_UNWRAP_TEMPLATE or CKA_DERIVE_TEMPLATE: put
                                    where the caller gave nothing, CKR_TEMPLATE_INCONSISTENT where
                                    the caller gave something else; or NULL */
};

/*
 * Checks a caller's template (copied once; misaligned memory is fine) and fills ret_list with
 * what the caller gave plus defaults. What only the module can know (value, modulus, LOCAL,
 * ALWAYS_SENSITIVE, ...) is put by the caller of this function afterwards.
 */
CK_RV template_apply(const struct template_context *context, const CK_ATTRIBUTE *attributes,
                     CK_ULONG count, struct attr_list *ret_list);

/* A caller's template, copied and checked for types and lengths only: for a search. */
CK_RV template_copy(const CK_ATTRIBUTE *attributes, CK_ULONG count, struct attr_list *ret_list);
/* CKA_WRAP_TEMPLATE: has the object every attribute of the nested template? */
bool template_matches(const struct attr *nested, const struct attr_set *attrs);

/*
 * A nested template as an attribute's value: for each attribute its type (4 bytes), length (4) and
 * value, without padding, all little-endian; the same in memory and on disk.
 */
struct nested_item { CK_ATTRIBUTE_TYPE type; CK_ULONG len; const uint8_t *value; };
/* Steps through one: *at starts as 0; false at the end. */
bool nested_next(const struct attr *nested, size_t *at, struct nested_item *ret_item);
#endif
