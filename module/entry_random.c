/* entry_random.c: random numbers. */
#include "call.h"
#include "ossl.h"

static CK_RV seed(const uint8_t *data, CK_ULONG len)
{
    TRY(arguments_in(data, len));
    return len ? ossl_seed(data, len) : CKR_OK;
}

CK_RV C_SeedRandom(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSeed, CK_ULONG ulSeedLen)
{
    CALL_SESSION(C_SeedRandom, hSession);
    return call_end(&call, seed(pSeed, ulSeedLen));
}

static CK_RV generate(uint8_t *data, CK_ULONG len)
{
    TRY(arguments_in(data, len));
    return len ? ossl_random(data, len) : CKR_OK;
}

CK_RV C_GenerateRandom(CK_SESSION_HANDLE hSession, CK_BYTE_PTR RandomData, CK_ULONG ulRandomLen)
{
    CALL_SESSION(C_GenerateRandom, hSession);
    return call_end(&call, generate(RandomData, ulRandomLen));
}
