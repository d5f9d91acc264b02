/* mech_ec.h: shared by the families on elliptic curves. */
#ifndef MECH_EC_H
#define MECH_EC_H
#include "key_parts.h"
#include "mech_asym.h"

#define EC_FLAGS (CKF_EC_F_P | CKF_EC_OID | CKF_EC_CURVENAME | CKF_EC_UNCOMPRESS | CKF_EC_COMPRESS)
#define EC_ROW_SIZES .min = 256, .max = 521, .key_type = CKK_EC
#define EDWARDS_FLAGS (CKF_EC_F_P | CKF_EC_OID | CKF_EC_CURVENAME | CKF_EC_COMPRESS)
#define EDWARDS_ROW_SIZES .min = 255, .max = 448

/* generate_ops.pair for all key types on curves: CKA_EC_PARAMS of the public template names it. */
extern const struct generate_ops EC_GENERATE;
#endif
