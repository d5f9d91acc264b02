/* ossl_auto.h: OpenSSL's objects under AUTO(). */
#ifndef OSSL_AUTO_H
#define OSSL_AUTO_H
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

static inline void evp_pkey_auto(EVP_PKEY **p) { EVP_PKEY_free(*p); }
static inline void evp_pkey_ctx_auto(EVP_PKEY_CTX **p) { EVP_PKEY_CTX_free(*p); }
static inline void evp_md_ctx_auto(EVP_MD_CTX **p) { EVP_MD_CTX_free(*p); }
static inline void evp_cipher_ctx_auto(EVP_CIPHER_CTX **p) { EVP_CIPHER_CTX_free(*p); }
static inline void evp_mac_ctx_auto(EVP_MAC_CTX **p) { EVP_MAC_CTX_free(*p); }
static inline void bn_auto(BIGNUM **p) { BN_clear_free(*p); }
static inline void bn_ctx_auto(BN_CTX **p) { BN_CTX_free(*p); }
static inline void ec_group_auto(EC_GROUP **p) { EC_GROUP_free(*p); }
static inline void ec_point_auto(EC_POINT **p) { EC_POINT_clear_free(*p); }
#endif
