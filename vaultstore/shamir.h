/*
 * shamir.h: a secret of 32 bytes split into n shares, any m of which give it back and fewer tell
 * nothing: points of a random polynomial over GF(256), byte by byte. No branch and no memory
 * access depends on the secret.
 */
#ifndef SHAMIR_H
#define SHAMIR_H
#include "seal.h"

#define SHAMIR_MAX 32u
#define SHAMIR_SHARE 33u     /* x, then 32 bytes */

/* 1 <= m <= n <= SHAMIR_MAX, else VS_POLICY. With m = 1 every share is the secret. */
VS_MUST_USE int shamir_split(struct sealer *sealer, const uint8_t secret[SEAL_KEY], unsigned m,
                             unsigned n, uint8_t (*ret_shares)[SHAMIR_SHARE]);
/* From exactly m shares. VS_POLICY for two of the same x, or x = 0. */
VS_MUST_USE int shamir_join(const uint8_t (*shares)[SHAMIR_SHARE], unsigned m,
                            uint8_t ret_secret[SEAL_KEY]);
/* The field, for tests. */
uint8_t gf256_mul(uint8_t a, uint8_t b);
uint8_t gf256_inverse(uint8_t a);
#endif
