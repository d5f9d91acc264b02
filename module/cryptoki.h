/* cryptoki.h: PKCS#11 for every file of module/. */
#ifndef CRYPTOKI_H
#define CRYPTOKI_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "pkcs11.h"
#include "reprieve.h"
#include "vaultstore.h"
#include "../vaultstore/auto.h"

/* Returns from the function when rv is not CKR_OK. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        CK_RV try_rv_ = (expression);                                                              \
        if (try_rv_ != CKR_OK)                                                                     \
            return try_rv_;                                                                        \
    } while (0)

#define RPV_MANUFACTURER "Reprieve"
#endif
