/* RSA keys: attributes to EVP_PKEY, checks, and the computation of missing components. */
#include <openssl/core_names.h>
#include <string.h>

#include "key_parts.h"
#include "ossl.h"
#include "ossl_auto.h"
#include "trace.h"

const struct rsa_part_row RSA_PART[RSA_PARTS] = {
    [RSA_N] = {CKA_MODULUS, OSSL_PKEY_PARAM_RSA_N},
    [RSA_E] = {CKA_PUBLIC_EXPONENT, OSSL_PKEY_PARAM_RSA_E},
    [RSA_D] = {CKA_PRIVATE_EXPONENT, OSSL_PKEY_PARAM_RSA_D},
    [RSA_P] = {CKA_PRIME_1, OSSL_PKEY_PARAM_RSA_FACTOR1},
    [RSA_Q] = {CKA_PRIME_2, OSSL_PKEY_PARAM_RSA_FACTOR2},
    [RSA_DP] = {CKA_EXPONENT_1, OSSL_PKEY_PARAM_RSA_EXPONENT1},
    [RSA_DQ] = {CKA_EXPONENT_2, OSSL_PKEY_PARAM_RSA_EXPONENT2},
    [RSA_QI] = {CKA_COEFFICIENT, OSSL_PKEY_PARAM_RSA_COEFFICIENT1},
};

CK_RV rsa_pkey_new(struct attr_view view, bool private, EVP_PKEY **ret_pkey,
                   struct key_shape *ret_shape)
{
    AUTO(pkey_parts) struct pkey_parts parts = {0};
    const struct attr *found[RSA_PARTS] = {0};
    size_t count = private ? RSA_PARTS : RSA_E + 1, bytes = 0;
    for (size_t i = 0; i < count; i++) {
        found[i] = view_find(view, RSA_PART[i].attribute);
        if (!found[i])
            return trace_fail(CKR_KEY_TYPE_INCONSISTENT, "the key has no %s",
                              trace_attribute_name(RSA_PART[i].attribute));
        bytes += found[i]->len;
    }
    TRY(pkey_parts_init(&parts, bytes));
    for (size_t i = 0; i < count; i++)
        pkey_parts_number(&parts, RSA_PART[i].param, found[i]->value, found[i]->len);
    TRY(pkey_parts_new(&parts, "RSA", private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, ret_pkey));
    ret_shape->bits = (CK_ULONG)EVP_PKEY_get_bits(*ret_pkey);
    ret_shape->sig_len = (size_t)EVP_PKEY_get_size(*ret_pkey);
    return CKR_OK;
}

/* The components as numbers; NULL: not given. */
struct rsa_numbers { BIGNUM *part[RSA_PARTS]; BN_CTX *ctx; };

static void rsa_numbers_auto(struct rsa_numbers *numbers)
{
    for (size_t i = 0; i < RSA_PARTS; i++)
        BN_clear_free(numbers->part[i]);
    BN_CTX_free(numbers->ctx);
}

static CK_RV math_failed(void)
{
    return ossl_fail(CKR_HOST_MEMORY, "RSA components");
}

static CK_RV numbers_load(const struct attr_list *list, size_t count, struct rsa_numbers *numbers)
{
    numbers->ctx = BN_CTX_secure_new();
    if (!numbers->ctx)
        return math_failed();
    for (size_t i = 0; i < count; i++) {
        const struct attr *attr = view_find(view_of_list(list), RSA_PART[i].attribute);
        if (!attr)
            continue;
        if (attr->len > RSA_BYTES_MAX)
            return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "%s is too long",
                              trace_attribute_name(attr->type));
        BIGNUM *number = BN_bin2bn(attr->value, (int)attr->len, NULL);
        if (!number)
            return math_failed();
        if (i > RSA_E)
            BN_set_flags(number, BN_FLG_CONSTTIME);
        numbers->part[i] = number;
    }
    return CKR_OK;
}

/* Stored without leading zeros, so that a search by modulus finds the key however it was given. */
static CK_RV number_put(struct attr_list *list, enum rsa_part part, const BIGNUM *number)
{
    AUTO(secret) struct secret bytes = {0};
    TRY(secret_reserve(&bytes, RSA_BYTES_MAX));
    int len = BN_num_bytes(number);
    if (BN_bn2binpad(number, bytes.data, len) != len)
        return math_failed();
    return attr_put(list, RSA_PART[part].attribute, bytes.data, (CK_ULONG)len);
}

static CK_RV modulus_check(const BIGNUM *n, CK_ULONG min_bits)
{
    CK_ULONG bits = (CK_ULONG)BN_num_bits(n);
    if (bits < min_bits || bits > RSA_BITS_MAX)
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "a modulus of %lu bits is not in %lu (min_rsa_bits) to %u",
                          bits, min_bits, RSA_BITS_MAX);
    return BN_is_odd(n) ? CKR_OK : trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "the modulus is even");
}

/* OpenSSL takes no exponent above 64 bits with a modulus above 3072. */
static CK_RV exponent_check(const BIGNUM *e, const BIGNUM *n)
{
    if (!BN_is_odd(e) || BN_is_one(e) || BN_cmp(e, n) >= 0 ||
        (BN_num_bits(n) > 3072 && BN_num_bits(e) > 64))
        return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_PUBLIC_EXPONENT cannot be used");
    return CKR_OK;
}

CK_RV rsa_public_complete(struct attr_list *list, CK_ULONG min_bits)
{
    AUTO(rsa_numbers) struct rsa_numbers numbers = {0};
    TRY(numbers_load(list, RSA_E + 1, &numbers));
    const BIGNUM *n = numbers.part[RSA_N], *e = numbers.part[RSA_E];
    if (!n || !e)
        return trace_fail(CKR_TEMPLATE_INCOMPLETE, "an RSA public key needs modulus and exponent");
    TRY(modulus_check(n, min_bits));
    TRY(exponent_check(e, n));
    TRY(number_put(list, RSA_N, n));
    TRY(number_put(list, RSA_E, e));
    TRY(attr_put_ulong(list, CKA_MODULUS_BITS, (CK_ULONG)BN_num_bits(n)));
    return key_info_complete(list);
}

/* Whether base^(e*d) = base modulo n. */
static bool exponents_fit(struct rsa_numbers *x, const BIGNUM *e)
{
    AUTO(bn) BIGNUM *product = BN_new();
    AUTO(bn) BIGNUM *base = BN_new();
    AUTO(bn) BIGNUM *power = BN_new();
    return product && base && power && BN_set_word(base, 2) &&
           BN_mul(product, e, x->part[RSA_D], x->ctx) &&
           BN_mod_exp_mont_consttime(power, base, product, x->part[RSA_N], x->ctx, NULL) &&
           BN_cmp(power, base) == 0;
}

/* A private key may come without its public exponent: it is one of the few that are in use, or,
 * when the primes are there, d's inverse. */
static CK_RV exponent_find(struct rsa_numbers *x)
{
    static const BN_ULONG usual[] = {65537, 3, 17, 5, 257};
    BIGNUM *e = x->part[RSA_E] = BN_new();
    AUTO(bn) BIGNUM *phi = BN_dup(x->part[RSA_N]);
    if (!e || !phi)
        return math_failed();
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (BN_set_word(e, usual[i]) && exponents_fit(x, e))
            return CKR_OK;
    BN_set_flags(phi, BN_FLG_CONSTTIME);
    if (x->part[RSA_P] && BN_sub(phi, phi, x->part[RSA_P]) && BN_sub(phi, phi, x->part[RSA_Q]) &&
        BN_add_word(phi, 1) && BN_mod_inverse(e, x->part[RSA_D], phi, x->ctx) &&
        exponents_fit(x, e))
        return CKR_OK;
    return ossl_fail(CKR_TEMPLATE_INCOMPLETE, "an RSA private key needs its public exponent");
}

/*
 * One base of the classic factoring with known e and d: e*d - 1 = 2^twos * odd; a square root of 1
 * other than 1 and -1 in the sequence base^odd, base^(2*odd), ... gives a factor.
 */
static bool factor_try(struct rsa_numbers *x, BN_ULONG base, const BIGNUM *odd, int twos,
                       BIGNUM *ret_p)
{
    AUTO(bn) BIGNUM *root = BN_new();
    AUTO(bn) BIGNUM *square = BN_new();
    AUTO(bn) BIGNUM *minus_one = BN_dup(x->part[RSA_N]);
    const BIGNUM *n = x->part[RSA_N];
    if (!root || !square || !minus_one || !BN_sub_word(minus_one, 1) ||
        !BN_set_word(square, base) ||
        !BN_mod_exp_mont_consttime(root, square, odd, n, x->ctx, NULL))
        return false;
    for (int i = 0; i < twos && !BN_is_one(root) && BN_cmp(root, minus_one) != 0; i++) {
        if (!BN_mod_sqr(square, root, n, x->ctx))
            return false;
        if (BN_is_one(square))
            return BN_sub_word(root, 1) && BN_gcd(ret_p, root, n, x->ctx);
        BN_swap(root, square);
    }
    return false;
}

static CK_RV primes_find(struct rsa_numbers *x)
{
    static const BN_ULONG bases[] = {2,  3,  5,  7,  11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47,
                                     53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109};
    AUTO(bn) BIGNUM *odd = BN_new();
    BIGNUM *p = x->part[RSA_P] = BN_new();
    BIGNUM *q = x->part[RSA_Q] = BN_new();
    int twos = 0;
    if (!odd || !p || !q || !BN_mul(odd, x->part[RSA_E], x->part[RSA_D], x->ctx) ||
        !BN_sub_word(odd, 1))
        return math_failed();
    while (!BN_is_zero(odd) && !BN_is_bit_set(odd, twos))
        twos++;
    if (!BN_rshift(odd, odd, twos))
        return math_failed();
    for (size_t i = 0; twos > 0 && i < sizeof bases / sizeof bases[0]; i++)
        if (factor_try(x, bases[i], odd, twos, p))
            return BN_div(q, NULL, x->part[RSA_N], p, x->ctx) ? CKR_OK : math_failed();
    return ossl_fail(CKR_ATTRIBUTE_VALUE_INVALID, "the RSA exponents do not fit the modulus");
}

/* One prime is given: the other is the quotient. Which one is missing does not matter. */
static CK_RV prime_divide(struct rsa_numbers *x, enum rsa_part given, enum rsa_part missing)
{
    x->part[missing] = BN_new();
    if (!x->part[missing] || BN_is_zero(x->part[given]) ||
        !BN_div(x->part[missing], NULL, x->part[RSA_N], x->part[given], x->ctx))
        return math_failed();
    return CKR_OK;
}

static CK_RV missing_find(struct rsa_numbers *x)
{
    if (!x->part[RSA_N] || !x->part[RSA_D])
        return trace_fail(CKR_TEMPLATE_INCOMPLETE,
                          "an RSA private key needs modulus and private exponent");
    if (x->part[RSA_P] && !x->part[RSA_Q])
        TRY(prime_divide(x, RSA_P, RSA_Q));
    else if (x->part[RSA_Q] && !x->part[RSA_P])
        TRY(prime_divide(x, RSA_Q, RSA_P));
    if (!x->part[RSA_E])
        TRY(exponent_find(x));
    if (x->part[RSA_P])
        return CKR_OK;
    /* Which of the primes found is the first cannot be known, so neither what belongs to it. */
    for (enum rsa_part i = RSA_DP; i <= RSA_QI; i++) {
        BN_clear_free(x->part[i]);
        x->part[i] = NULL;
    }
    return primes_find(x);
}

/* Sets *ret to d modulo (prime - 1) and tells whether e*d = 1 there. */
static bool crt_exponent(struct rsa_numbers *x, const BIGNUM *prime, BIGNUM *ret)
{
    AUTO(bn) BIGNUM *less = BN_dup(prime);
    AUTO(bn) BIGNUM *product = BN_new();
    if (!less || !product || !BN_sub_word(less, 1))
        return false;
    BN_set_flags(less, BN_FLG_CONSTTIME);
    return !BN_is_zero(less) && BN_mod(ret, x->part[RSA_D], less, x->ctx) &&
           BN_mod_mul(product, ret, x->part[RSA_E], less, x->ctx) && BN_is_one(product);
}

static bool crt_compute(struct rsa_numbers *x, BIGNUM *ret_crt[3])
{
    AUTO(bn) BIGNUM *product = BN_new();
    const BIGNUM *p = x->part[RSA_P], *q = x->part[RSA_Q];
    return product && BN_is_odd(p) && BN_is_odd(q) && BN_mul(product, p, q, x->ctx) &&
           BN_cmp(product, x->part[RSA_N]) == 0 && crt_exponent(x, p, ret_crt[0]) &&
           crt_exponent(x, q, ret_crt[1]) && BN_mod_inverse(ret_crt[2], q, p, x->ctx);
}

static CK_RV crt_complete(struct rsa_numbers *x)
{
    AUTO(bn) BIGNUM *dp = BN_new();
    AUTO(bn) BIGNUM *dq = BN_new();
    AUTO(bn) BIGNUM *qi = BN_new();
    BIGNUM *crt[3] = {dp, dq, qi};
    if (!dp || !dq || !qi)
        return math_failed();
    if (!crt_compute(x, crt))
        return ossl_fail(CKR_ATTRIBUTE_VALUE_INVALID, "the RSA components contradict each other");
    for (size_t i = 0; i < 3; i++) {
        BIGNUM **part = &x->part[RSA_DP + i];
        if (*part && BN_cmp(*part, crt[i]) != 0)
            return trace_fail(CKR_ATTRIBUTE_VALUE_INVALID, "%s does not fit the other components",
                              trace_attribute_name(RSA_PART[RSA_DP + i].attribute));
        if (!*part)
            *part = BN_dup(crt[i]);
        if (!*part)
            return math_failed();
    }
    return CKR_OK;
}

CK_RV rsa_private_complete(struct attr_list *list, CK_ULONG min_bits)
{
    AUTO(rsa_numbers) struct rsa_numbers numbers = {0};
    TRY(numbers_load(list, RSA_PARTS, &numbers));
    if (numbers.part[RSA_N])
        TRY(modulus_check(numbers.part[RSA_N], min_bits));
    TRY(missing_find(&numbers));
    TRY(exponent_check(numbers.part[RSA_E], numbers.part[RSA_N]));
    TRY(crt_complete(&numbers));
    for (enum rsa_part i = RSA_N; i < RSA_PARTS; i++)
        TRY(number_put(list, i, numbers.part[i]));
    return key_info_complete(list);
}
