#include "shamir.h"

#include <string.h>

#include "auto.h"

/* Modulo x^8 + x^4 + x^3 + x + 1. */
uint8_t gf256_mul(uint8_t a, uint8_t b)
{
    unsigned x = a, product = 0;

    for (unsigned bit = 0; bit < 8; bit++) {
        product ^= x & (0u - ((unsigned)b >> bit & 1u));
        x = (x << 1) ^ (0x11bu & (0u - (x >> 7 & 1u)));
    }
    return (uint8_t)product;
}

/* a to the power of 254. */
uint8_t gf256_inverse(uint8_t a)
{
    uint8_t power = a, result = 1;

    for (unsigned bit = 1; bit < 8; bit++) {
        power = gf256_mul(power, power);
        result = gf256_mul(result, power);
    }
    return result;
}

struct coefficients { uint8_t b[SHAMIR_MAX][SEAL_KEY]; };

static void coefficients_auto(struct coefficients *c)
{
    explicit_bzero(c, sizeof(*c));
}

int shamir_split(struct sealer *sealer, const uint8_t secret[SEAL_KEY], unsigned m, unsigned n,
                 uint8_t (*ret_shares)[SHAMIR_SHARE])
{
    AUTO(coefficients) struct coefficients c;

    if (m < 1 || m > n || n > SHAMIR_MAX)
        return VS_POLICY;
    memcpy(c.b[0], secret, SEAL_KEY);
    if (m > 1)
        VS_TRY(seal_random(sealer, c.b[1], (m - 1) * SEAL_KEY));
    for (unsigned i = 0; i < n; i++) {
        uint8_t x = (uint8_t)(i + 1);

        ret_shares[i][0] = x;
        for (size_t byte = 0; byte < SEAL_KEY; byte++) {
            uint8_t y = 0;
            for (unsigned k = m; k-- > 0;)
                y = gf256_mul(y, x) ^ c.b[k][byte];
            ret_shares[i][1 + byte] = y;
        }
    }
    return VS_OK;
}

/* Of the i-th share, at x = 0: the product of x_j / (x_j - x_i). */
static int weight(const uint8_t (*shares)[SHAMIR_SHARE], unsigned m, unsigned i,
                  uint8_t *ret_weight)
{
    uint8_t w = 1;

    for (unsigned j = 0; j < m; j++) {
        uint8_t difference = shares[j][0] ^ shares[i][0];

        if (j == i)
            continue;
        if (difference == 0)
            return VS_POLICY;
        w = gf256_mul(w, gf256_mul(shares[j][0], gf256_inverse(difference)));
    }
    *ret_weight = w;
    return VS_OK;
}

int shamir_join(const uint8_t (*shares)[SHAMIR_SHARE], unsigned m, uint8_t ret_secret[SEAL_KEY])
{
    uint8_t weights[SHAMIR_MAX];

    if (m < 1 || m > SHAMIR_MAX)
        return VS_POLICY;
    for (unsigned i = 0; i < m; i++) {
        if (shares[i][0] == 0)
            return VS_POLICY;
        VS_TRY(weight(shares, m, i, &weights[i]));
    }
    for (size_t byte = 0; byte < SEAL_KEY; byte++) {
        uint8_t y = 0;
        for (unsigned i = 0; i < m; i++)
            y ^= gf256_mul(shares[i][1 + byte], weights[i]);
        ret_secret[byte] = y;
    }
    return VS_OK;
}
