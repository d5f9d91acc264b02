/*
 * mech_mac.h: what HMAC and CMAC share: everything but the set-up of a fresh context. The family
 * context is an EVP_MAC_CTX that keeps its key.
 */
#ifndef MECH_MAC_H
#define MECH_MAC_H
#include "mech.h"

#define MAC_MAX 64u

/* Puts the family's context under the operation's key: afresh when setup is not NULL (the
 * algorithm's parameters), else as it was. */
CK_RV mac_begin(struct crypto *c, EVP_MAC *mac, const OSSL_PARAM *setup);
size_t mac_size(const struct crypto *c);
CK_RV mac_update(struct crypto *c, const uint8_t *data, size_t len);
CK_RV mac_sign_final(struct crypto *c, uint8_t *signature, size_t *ret_len);
CK_RV mac_verify_final(struct crypto *c, const uint8_t *signature, size_t len);
CK_RV mac_sign(struct crypto *c, const uint8_t *data, size_t len, uint8_t *signature,
               size_t *ret_len);
CK_RV mac_verify(struct crypto *c, const uint8_t *data, size_t len, const uint8_t *signature,
                 size_t signature_len);
void mac_ctx_free(void *ctx);

/* The parameter of the general form: a length from 1 to `whole`. */
CK_RV mac_parse_general(const struct mech_row *row, size_t whole, const void *p, CK_ULONG len,
                        struct mech_param *ret_param);

#define MAC_OPS(begin_function)                                                                    \
    {                                                                                              \
        .begin = begin_function, .size = mac_size, .update = mac_update,                           \
        .sign_final = mac_sign_final, .verify_final = mac_verify_final, .sign = mac_sign,          \
        .verify = mac_verify,                                                                      \
    }
#endif
