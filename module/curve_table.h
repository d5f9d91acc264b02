/* curve_table.h: one row per elliptic curve. */
#ifndef CURVE_TABLE_H
#define CURVE_TABLE_H
#include "cryptoki.h"

#define CURVE_POINT_MAX 133u     /* P-521, uncompressed */
#define CURVE_SCALAR_MAX 66u

struct curve_row {
    CK_KEY_TYPE key_type;        /* CKK_EC, CKK_EC_EDWARDS, CKK_EC_MONTGOMERY */
    const char *name;            /* what a curveName (PrintableString) says */
    const char *group;           /* OpenSSL's: a group of key type EC, else a key type */
    uint8_t oid[12];             /* DER with its tag: the form emitted */
    size_t oid_len;
    struct curve_alias { uint8_t bytes[14]; size_t len; } alias[2];   /* accepted too */
    unsigned bits;               /* of the field */
    size_t scalar_len;           /* of a private value, in bytes */
    size_t point_len;            /* of a raw public point; EC: uncompressed */
    size_t sig_len;              /* 0: cannot sign */
};
extern const struct curve_row CURVES[];
extern const size_t CURVES_COUNT;

/* Whether this CKA_EC_PARAMS is something to show to others: DER of a name or an identifier. */
bool curve_params_valid(const void *params, size_t len);

/*
 * The row that a CKA_EC_PARAMS of a key of this type names. CKR_DOMAIN_PARAMS_INVALID: neither an
 * object identifier nor a curve name (explicit parameters, implicitlyCA, no DER at all).
 * CKR_CURVE_NOT_SUPPORTED: unknown, or a curve of another key type.
 */
CK_RV curve_find(CK_KEY_TYPE key_type, const void *params, size_t len,
                 const struct curve_row **ret_curve);
#endif
