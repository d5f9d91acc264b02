/* mech_rsa.h: shared by the mech_rsa files. */
#ifndef MECH_RSA_H
#define MECH_RSA_H
#include <openssl/rsa.h>

#include "key_parts.h"
#include "mech_asym.h"

#define RSA_ROW_SIZES .min = RSA_BITS_MIN, .max = RSA_BITS_MAX, .key_type = CKK_RSA
#define PKCS1_OVERHEAD 11u

/* rsa_pkcs1.c: the decryption side of PKCS#1 v1.5 with implicit rejection, in constant time. */
struct pkcs1_target {
    size_t len;                  /* the only length that is taken; 0: any */
    bool aes;                    /* len 0: 16, 24 or 32 */
};
/*
 * em (k bytes) is the raw RSA decryption of ciphertext (k bytes). Where its padding is bad, or the
 * message not of a length that the target allows, the message is pseudo-random instead, of such a
 * length, and always the same for one ciphertext and key. out has k bytes.
 */
CK_RV pkcs1_decode(const uint8_t rejection_key[32], struct pkcs1_target target,
                   const uint8_t *ciphertext, const uint8_t *em, size_t k, uint8_t *out,
                   size_t *ret_len);
/* SHA-256 of the private exponent, as long as the modulus. */
CK_RV pkcs1_rejection_key(const EVP_PKEY *pkey, size_t k, uint8_t ret_key[32]);

/* mech_rsa.c */
extern const struct cipher_ops RSA_PKCS_CIPHER, RSA_OAEP_CIPHER;
CK_RV rsa_oaep_parse(const struct mech_row *row, const void *parameter, CK_ULONG len,
                     struct mech_param *ret_param);
/* For RSA-AES key wrap, which has the same structure inside its own. */
CK_RV rsa_oaep_params(const struct mech_row *row, const CK_RSA_PKCS_OAEP_PARAMS *parameter,
                      struct mech_param *param, const struct digest_row **ret_hash,
                      const struct digest_row **ret_mgf, uint8_t **ret_label,
                      size_t *ret_label_len);
/* c->ctx for OAEP in c->encrypt's direction. */
CK_RV rsa_oaep_begin(struct crypto *c, const struct digest_row *hash, const struct digest_row *mgf,
                     const uint8_t *label, size_t label_len);
/* The longest message of OAEP with this key; 0 also when the hash is too large for it. */
size_t rsa_oaep_room(const struct key_material *key, const struct digest_row *hash);
/* EVP_PKEY_encrypt and _decrypt with the context as it is; out has as many bytes as the modulus.
 * False: too long, padding, label, or a number above the modulus. */
bool rsa_encrypt(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                 size_t *ret_len);
bool rsa_decrypt(struct crypto *c, const uint8_t *in, size_t in_len, uint8_t *out,
                 size_t *ret_len);
/* PKCS#1 v1.5 decryption of k bytes; the context is for raw RSA. */
CK_RV rsa_pkcs_decrypt(struct crypto *c, struct pkcs1_target target, const uint8_t *in,
                       uint8_t *out, size_t *ret_len);
/* mech_rsa_sign.c */
extern const struct sign_ops RSA_PKCS_SIGN, RSA_X509_SIGN;
/* mech_rsa_wrap.c */
extern const struct wrap_ops RSA_PKCS_WRAP, RSA_OAEP_WRAP;

#endif
