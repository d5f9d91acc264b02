/*
 * envelope.h: a few secret bytes sealed to a public key that is not in any vault: RSA (2048 bits
 * and more) by OAEP with SHA-256; EC, X25519, X448 by a fresh key of the same curve, ECDH, HKDF
 * and AES-256-GCM. Keys come as PEM or DER, public ones as SubjectPublicKeyInfo, private ones as
 * unencrypted PKCS#8 or traditional.
 */
#ifndef ENVELOPE_H
#define ENVELOPE_H
#include <openssl/evp.h>

#include "seal.h"

#define ENVELOPE_MAX 2304u          /* of what comes out: 16384 bits of RSA, and more */
#define ENVELOPE_FINGERPRINT 32u    /* SHA-256 of the SubjectPublicKeyInfo */

enum envelope_kind { ENVELOPE_RSA = 2, ENVELOPE_EC = 3 };

struct envelope_key {
    EVP_PKEY *pkey;
    enum envelope_kind kind;
    uint8_t fingerprint[ENVELOPE_FINGERPRINT];
};
void envelope_key_done(struct envelope_key *key);

/* VS_POLICY: no key, or of a kind or size that will not do. */
VS_MUST_USE int envelope_key_read(struct sealer *sealer, const uint8_t *bytes, size_t len,
                                  bool is_private, struct envelope_key *ret_key);
VS_MUST_USE int envelope_seal(struct sealer *sealer, const struct envelope_key *key,
                              const uint8_t *secret, size_t len,
                              uint8_t ret_sealed[ENVELOPE_MAX], size_t *ret_len);
/* ret_secret has `len` bytes, as many as were sealed. VS_E_CORRUPT: it does not open. */
VS_MUST_USE int envelope_open(struct sealer *sealer, const struct envelope_key *key,
                              const uint8_t *sealed, size_t sealed_len, uint8_t *ret_secret,
                              size_t len);
#endif
