/*
 * key_file.h: keys outside the vault: in files, and wrapped for their way in. All with OpenSSL, in
 * this process; what is secret is wiped.
 */
#ifndef KEY_FILE_H
#define KEY_FILE_H
#include <openssl/evp.h>

#include "../vaultstore/auto.h"
#include "failure.h"
#include "pin.h"
#include "pkcs11.h"

struct bytes {
    unsigned char *data;
    size_t len;
};
/* Wipes and frees. */
void bytes_auto(struct bytes *bytes);
void pkey_auto(EVP_PKEY **pkey);

/* A whole file, at most 1 MiB. */
enum outcome file_read(const char *path, struct failure *failure, struct bytes *ret_bytes);
/* Made with mode 0600 (public: 0644); "-" is standard output. */
enum outcome file_write(const char *path, const struct bytes *bytes, bool is_public,
                        struct failure *failure);

/* A private key, PEM or DER, PKCS#8 or traditional; the passphrase is asked for when needed. */
enum outcome key_read(const char *path, const struct pin_source *passphrase,
                      struct failure *failure, EVP_PKEY **ret_key);
/* The private key as an unencrypted PKCS#8 PrivateKeyInfo. */
enum outcome key_pkcs8(EVP_PKEY *key, struct failure *failure, struct bytes *ret_der);

/* An RSA public key from its numbers, big-endian. NULL when they are none. */
EVP_PKEY *key_rsa_public(const struct bytes *modulus, const struct bytes *exponent);
/* A SubjectPublicKeyInfo in PEM. */
enum outcome key_public_pem(EVP_PKEY *key, struct failure *failure, struct bytes *ret_pem);

/*
 * What CKM_RSA_AES_KEY_WRAP makes: a fresh AES-256 key under RSA-OAEP (SHA-256, MGF1 with SHA-256,
 * no label), then the plain bytes under that key by AES-KWP (RFC 5649).
 */
enum outcome key_wrap_rsa_aes(EVP_PKEY *wrapping_key, const struct bytes *plain,
                              struct failure *failure, struct bytes *ret_wrapped);

/* The attributes of a public key object; the values live in the struct. */
struct public_key {
    CK_KEY_TYPE type;
    CK_ATTRIBUTE attrs[2];
    struct bytes values[2]; /* modulus and exponent, or curve and point */
    unsigned char id[20];   /* SHA-1 of the key's bits: what tools make CKA_ID by custom */
};
void public_key_auto(struct public_key *public_key);
enum outcome key_public_attributes(EVP_PKEY *key, struct failure *failure,
                                   struct public_key *ret_public);
#endif
