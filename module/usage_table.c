/* usage_table.c: one row per kind of use. */
#include "operation.h"

#define SECRET_OR(class) {CKO_SECRET_KEY, class}
/* kind, mechanism flag, attribute, classes, then the codes */
#define CRYPT(op, cls, is_new, legacy, vb)                                                        \
    [OP_##op] = {OP_##op, CKF_##op, OBJ_##op, SECRET_OR(cls), CKR_KEY_HANDLE_INVALID,             \
                 CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_SIZE_RANGE, CKR_KEY_FUNCTION_NOT_PERMITTED,   \
                 CKR_KEY_FUNCTION_NOT_PERMITTED, legacy, is_new, VS_VERB_##vb,   \
                 .newest = OP_##op == OP_ENCRYPT || OP_##op == OP_SIGN ||                         \
                           OP_##op == OP_SIGN_RECOVER}

const struct usage_row USAGE[OP_KINDS] = {
    CRYPT(ENCRYPT, CKO_PUBLIC_KEY, true, false, ENCRYPT),
    CRYPT(DECRYPT, CKO_PRIVATE_KEY, false, true, DECRYPT),
    CRYPT(SIGN, CKO_PRIVATE_KEY, true, false, SIGN),
    CRYPT(VERIFY, CKO_PUBLIC_KEY, false, false, VERIFY),
    CRYPT(SIGN_RECOVER, CKO_PRIVATE_KEY, true, false, SIGN),
    CRYPT(VERIFY_RECOVER, CKO_PUBLIC_KEY, false, false, VERIFY),
    /* of a key: it tells of the value, as reading it does */
    [OP_DIGEST] = {OP_DIGEST, CKF_DIGEST, 0, {CKO_SECRET_KEY, CKO_SECRET_KEY},
                   CKR_KEY_HANDLE_INVALID, CKR_KEY_INDIGESTIBLE, CKR_KEY_SIZE_RANGE,
                   CKR_KEY_INDIGESTIBLE, CKR_KEY_INDIGESTIBLE, false, true, VS_VERB_GET, false},
    CRYPT(DERIVE, CKO_PRIVATE_KEY, true, false, DERIVE),
    [OP_WRAP] = {OP_WRAP, CKF_WRAP, OBJ_WRAP, SECRET_OR(CKO_PUBLIC_KEY),
                 CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
                 CKR_WRAPPING_KEY_SIZE_RANGE, CKR_KEY_FUNCTION_NOT_PERMITTED,
                 CKR_KEY_FUNCTION_NOT_PERMITTED, false, true, VS_VERB_WRAP, .newest = true},
    [OP_UNWRAP] = {OP_UNWRAP, CKF_UNWRAP, OBJ_UNWRAP, SECRET_OR(CKO_PRIVATE_KEY),
                   CKR_UNWRAPPING_KEY_HANDLE_INVALID, CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
                   CKR_UNWRAPPING_KEY_SIZE_RANGE, CKR_KEY_FUNCTION_NOT_PERMITTED,
                   CKR_KEY_FUNCTION_NOT_PERMITTED, true, false, VS_VERB_UNWRAP, false},
    [OP_WRAPPED] = {OP_WRAPPED, 0, OBJ_EXTRACTABLE, SECRET_OR(CKO_PRIVATE_KEY),
                    CKR_KEY_HANDLE_INVALID, CKR_KEY_NOT_WRAPPABLE, CKR_KEY_SIZE_RANGE,
                    CKR_KEY_UNEXTRACTABLE, CKR_KEY_NOT_WRAPPABLE, false, true, VS_VERB_GET, false},
};
