/*
 * key_kind.h: the kinds of keys that can be brought in, and what keys may be used for: tables, and
 * the templates made from them.
 */
#ifndef KEY_KIND_H
#define KEY_KIND_H
#include <stdbool.h>
#include <stddef.h>

#include "pkcs11.h"

struct key_kind {
    const char *name; /* as in --type */
    const char *ossl; /* OpenSSL's name; NULL for secret keys */
    CK_OBJECT_CLASS class;
    CK_KEY_TYPE type;
    unsigned usage;   /* bits of rows of the usage table: what it is for unless told otherwise */
};

const struct key_kind *key_kind_named(const char *name);
const struct key_kind *key_kind_ossl(const char *ossl);

/* "sign,decrypt" to bits; false when a word is none. */
bool key_usage_parse(const char *words, unsigned *ret_usage);

/*
 * Appends one boolean for each usage that the class knows: TRUE for those in `usage`. For a public
 * key it is the other half of what the private key may do. Returns how many.
 */
#define KEY_USAGE_MAX 7
CK_ULONG key_usage_attributes(CK_OBJECT_CLASS class, unsigned usage, CK_ATTRIBUTE *attrs);
#endif
