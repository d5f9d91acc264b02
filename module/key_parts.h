/*
 * key_parts.h: what key_material.c, key_complete.c, key_export.c and the key generators share: a
 * key's components as attributes, whichever container they are in, by family (key_rsa.c, key_ec.c).
 */
#ifndef KEY_PARTS_H
#define KEY_PARTS_H
#include <openssl/core.h>
#include <openssl/evp.h>

#include "curve_table.h"
#include "der.h"
#include "key_material.h"

/* Attributes of a list or of a set. */
struct attr_view { const struct attr *items; size_t n; };
static inline struct attr_view view_of_list(const struct attr_list *list)
{
    return (struct attr_view){list->items, list->n};
}
static inline struct attr_view view_of_set(const struct attr_set *set)
{
    return (struct attr_view){set->items, set->n};
}
/* NULL when absent or empty. */
const struct attr *view_find(struct attr_view view, CK_ATTRIBUTE_TYPE type);
CK_ULONG view_ulong(struct attr_view view, CK_ATTRIBUTE_TYPE type);

/* What a decoded key is, next to its EVP_PKEY. */
struct key_shape { CK_ULONG bits; size_t sig_len; const struct curve_row *curve; };

/* EVP_PKEY_fromdata from the outside's big-endian bytes, through wiped memory. */
struct pkey_parts { OSSL_PARAM params[12]; size_t n; struct secret scratch; size_t used; };
CK_RV pkey_parts_init(struct pkey_parts *parts, size_t bytes);
void pkey_parts_auto(struct pkey_parts *parts);
void pkey_parts_number(struct pkey_parts *parts, const char *name, const uint8_t *big_endian,
                       size_t len);
CK_RV pkey_parts_new(struct pkey_parts *parts, const char *type, int selection,
                     EVP_PKEY **ret_pkey);

/* --- key_rsa.c */
enum rsa_part { RSA_N, RSA_E, RSA_D, RSA_P, RSA_Q, RSA_DP, RSA_DQ, RSA_QI, RSA_PARTS };
struct rsa_part_row { CK_ATTRIBUTE_TYPE attribute; const char *param; };
extern const struct rsa_part_row RSA_PART[RSA_PARTS];
#define RSA_BITS_MIN 1024u
#define RSA_BITS_MAX 16384u
#define RSA_BYTES_MAX (RSA_BITS_MAX / 8)

CK_RV rsa_pkey_new(struct attr_view view, bool private, EVP_PKEY **ret_pkey,
                   struct key_shape *ret_shape);
CK_RV rsa_public_complete(struct attr_list *list, CK_ULONG min_bits);
CK_RV rsa_private_complete(struct attr_list *list, CK_ULONG min_bits);

/* --- key_ec.c: Weierstrass, Edwards and Montgomery keys */
CK_RV ec_curve(struct attr_view view, const struct curve_row **ret_curve);
/* The raw point in a CKA_EC_POINT or in a peer's public data, given raw or as DER octet string:
 * of a length and form that the curve has; whether it is on the curve is not looked at. */
bool ec_point_bytes(const struct curve_row *curve, const uint8_t *bytes, size_t len,
                    struct der *ret_point);
/* `private` may be NULL, `point` empty. */
CK_RV ec_pkey_from(const struct curve_row *curve, struct der point, const struct attr *private,
                   EVP_PKEY **ret_pkey);
CK_RV ec_pkey_new(struct attr_view view, bool private, EVP_PKEY **ret_pkey,
                  struct key_shape *ret_shape);
CK_RV ec_public_complete(struct attr_list *list);
CK_RV ec_private_complete(struct attr_list *list);

/* --- key_export.c */
/* CKA_PUBLIC_KEY_INFO of a key whose public components are in the list: put when absent or empty,
 * else compared (CKR_TEMPLATE_INCONSISTENT). */
CK_RV key_info_complete(struct attr_list *list);
/* SubjectPublicKeyInfo of an X.509 certificate; false when it is none. */
bool certificate_key_info(const uint8_t *bytes, size_t len, struct der *ret_info);
#endif
