/*
 * key_material.h: attributes to keys and back. A key_material is a decoded key: raw bytes for
 * secret keys, an EVP_PKEY for others; immutable, shared, reference counted, any thread.
 */
#ifndef KEY_MATERIAL_H
#define KEY_MATERIAL_H
#include <openssl/evp.h>
#include "attr.h"

struct curve_row;

struct key_material {
    _Atomic unsigned refs;
    _Atomic bool retired;        /* its object is gone: warm contexts with it are to be dropped */
    CK_OBJECT_CLASS cls;
    CK_KEY_TYPE key_type;
    EVP_PKEY *pkey;              /* asymmetric; private or public */
    const uint8_t *secret;       /* secret keys; points into `owned` */
    size_t secret_len;
    CK_ULONG bits;               /* RSA: modulus bits; EC: field bits; secret: 8 * secret_len */
    const struct curve_row *curve;   /* keys on a curve: its row, see curve_table.h; else NULL */
    size_t sig_len;              /* RSA: modulus bytes; ECDSA: 2 * order bytes; EdDSA: 64 or 114 */
    void *owned; size_t owned_len;   /* secret memory */
};
/* Decodes a key object's attributes. CKR_KEY_TYPE_INCONSISTENT, CKR_HOST_MEMORY, ... */
CK_RV key_material_new(const struct attr_set *attrs, struct key_material **ret_key);
struct key_material *key_material_ref(struct key_material *key);
void key_material_unref(struct key_material *key);   /* NULL is allowed */

/* A buffer in secret memory that wipes itself: AUTO(secret) struct secret s = {0}; */
struct secret { uint8_t *data; size_t len; size_t cap; };
CK_RV secret_reserve(struct secret *secret, size_t cap);   /* CKR_HOST_MEMORY; discards contents,
                                                              len becomes 0 */
CK_RV secret_append(struct secret *secret, const void *data, size_t len);   /* grows by doubling */
void secret_done(struct secret *secret);
static inline void secret_auto(struct secret *secret) { secret_done(secret); }

/*
 * Validates and completes a new key's attributes, however it came (create, unwrap, generate,
 * derive): lengths and consistency of components, EC points in raw or DER form normalised to the
 * DER octet string, missing RSA CRT components computed, CKA_MODULUS_BITS, CKA_VALUE_LEN,
 * CKA_PUBLIC_KEY_INFO, CKA_EC_POINT and public exponent on private keys. A CKA_CHECK_VALUE that
 * the template gave is compared (CKR_ATTRIBUTE_VALUE_INVALID) unless it is empty, which means that
 * the object has none; one that is absent stays absent: key_check_value computes it when asked
 * for. Certificates: CKA_PUBLIC_KEY_INFO from the certificate.
 * A bad component of a created key: CKR_ATTRIBUTE_VALUE_INVALID; a missing one:
 * CKR_TEMPLATE_INCOMPLETE; a key pair whose halves do not fit: CKR_TEMPLATE_INCONSISTENT.
 */
CK_RV key_complete(struct attr_list *list, CK_ULONG min_rsa_bits);

/*
 * CKA_CHECK_VALUE of a key or certificate whose set does not hold the attribute (holding an empty
 * one, it has none): for C_GetAttributeValue and for matching in a search. Computed lazily, since
 * unwrapping a session key must not pay for it. CKR_ATTRIBUTE_TYPE_INVALID for objects that have
 * no such thing.
 */
#define KEY_CHECK_VALUE_SIZE 3u
CK_RV key_check_value(const struct attr_set *attrs, uint8_t ret_value[KEY_CHECK_VALUE_SIZE]);

/* The bytes a wrap mechanism wraps: a secret key's value, or PKCS#8 PrivateKeyInfo DER. */
CK_RV key_export(const struct attr_set *attrs, struct secret *ret_bytes);
/* The components found in PKCS#8 DER (or the value of a secret key), put into the list, which has
 * CKA_CLASS and CKA_KEY_TYPE. CKR_WRAPPED_KEY_INVALID when they do not fit. */
CK_RV key_import(const uint8_t *bytes, size_t len, struct attr_list *list);
#endif
