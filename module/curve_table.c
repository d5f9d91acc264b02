/* See curve_table.h. */
#include "curve_table.h"

#include <string.h>

#include "der.h"
#include "trace.h"

#define OID(n, ...) {DER_OID, n, __VA_ARGS__}, 2 + (n)
#define NO_ALIAS {{{0}, 0}, {{0}, 0}}
/* Object identifiers from before RFC 8410; and what pkcs11-tool 0.23 sends for curve25519, a name
 * with a wrong length. */
#define OLD_25519 {{OID(9, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01)}, {{0}, 0}}
#define OLD_X25519                                                                                 \
    {{OID(10, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x97, 0x55, 0x01, 0x05, 0x01)},                        \
     {{DER_PRINTABLE, 11, 'c', 'u', 'r', 'v', 'e', '2', '5', '5', '1', '9'}, 12}}
#define BRAINPOOL(n) OID(9, 0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, n)
#define WEIERSTRASS(bits, bytes) bits, bytes, 1 + 2 * (bytes), 2 * (bytes)

const struct curve_row CURVES[] = {
    {CKK_EC, "secp256r1", "P-256", OID(8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07),
     NO_ALIAS, WEIERSTRASS(256, 32)},
    {CKK_EC, "secp384r1", "P-384", OID(5, 0x2b, 0x81, 0x04, 0x00, 0x22),
     NO_ALIAS, WEIERSTRASS(384, 48)},
    {CKK_EC, "secp521r1", "P-521", OID(5, 0x2b, 0x81, 0x04, 0x00, 0x23),
     NO_ALIAS, WEIERSTRASS(521, 66)},
    {CKK_EC, "secp256k1", "secp256k1", OID(5, 0x2b, 0x81, 0x04, 0x00, 0x0a),
     NO_ALIAS, WEIERSTRASS(256, 32)},
    {CKK_EC, "brainpoolP256r1", "brainpoolP256r1", BRAINPOOL(0x07),
     NO_ALIAS, WEIERSTRASS(256, 32)},
    {CKK_EC, "brainpoolP320r1", "brainpoolP320r1", BRAINPOOL(0x09),
     NO_ALIAS, WEIERSTRASS(320, 40)},
    {CKK_EC, "brainpoolP384r1", "brainpoolP384r1", BRAINPOOL(0x0b),
     NO_ALIAS, WEIERSTRASS(384, 48)},
    {CKK_EC, "brainpoolP512r1", "brainpoolP512r1", BRAINPOOL(0x0d),
     NO_ALIAS, WEIERSTRASS(512, 64)},
    {CKK_EC_EDWARDS, "edwards25519", "ED25519", OID(3, 0x2b, 0x65, 0x70),
     OLD_25519, 255, 32, 32, 64},
    {CKK_EC_EDWARDS, "edwards448", "ED448", OID(3, 0x2b, 0x65, 0x71),
     NO_ALIAS, 448, 57, 57, 114},
    {CKK_EC_MONTGOMERY, "curve25519", "X25519", OID(3, 0x2b, 0x65, 0x6e),
     OLD_X25519, 255, 32, 32, 0},
    {CKK_EC_MONTGOMERY, "curve448", "X448", OID(3, 0x2b, 0x65, 0x6f),
     NO_ALIAS, 448, 56, 56, 0},
};
const size_t CURVES_COUNT = sizeof CURVES / sizeof CURVES[0];

static bool row_named(const struct curve_row *row, struct der params)
{
    struct der name, rest = params;
    if (der_take(&rest, DER_PRINTABLE, &name) && rest.n == 0)
        return der_equal(name, row->name, strlen(row->name));
    for (size_t i = 0; i < 2; i++)
        if (row->alias[i].len > 0 && der_equal(params, row->alias[i].bytes, row->alias[i].len))
            return true;
    return der_equal(params, row->oid, row->oid_len);
}

bool curve_params_valid(const void *params, size_t len)
{
    struct der rest = {params, len}, content;
    return (der_take(&rest, DER_OID, &content) || der_take(&rest, DER_PRINTABLE, &content)) &&
           rest.n == 0;
}

CK_RV curve_find(CK_KEY_TYPE key_type, const void *params, size_t len,
                 const struct curve_row **ret_curve)
{
    for (size_t i = 0; i < CURVES_COUNT; i++) {
        if (!row_named(&CURVES[i], (struct der){params, len}))
            continue;
        if (CURVES[i].key_type != key_type)
            return trace_fail(CKR_CURVE_NOT_SUPPORTED, "%s is not a curve of key type 0x%lx",
                              CURVES[i].name, key_type);
        *ret_curve = &CURVES[i];
        return CKR_OK;
    }
    if (!curve_params_valid(params, len))
        return trace_fail(CKR_DOMAIN_PARAMS_INVALID,
                          "CKA_EC_PARAMS is neither an object identifier nor a curve name");
    return trace_fail(CKR_CURVE_NOT_SUPPORTED, "CKA_EC_PARAMS names an unknown curve");
}
