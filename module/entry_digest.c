/* entry_digest.c: digests. */
#include "call.h"

CK_RV C_DigestInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism)
{
    CALL_SESSION(C_DigestInit, hSession);
    return call_end(&call, operation_init(&call, OP_DIGEST, pMechanism, CK_INVALID_HANDLE));
}

CK_RV C_Digest(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
               CK_BYTE_PTR pDigest, CK_ULONG_PTR pulDigestLen)
{
    CALL_SESSION(C_Digest, hSession);
    return call_end(&call, digest_once(&call, pData, ulDataLen, pDigest, pulDigestLen));
}

CK_RV C_DigestUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen)
{
    CALL_SESSION(C_DigestUpdate, hSession);
    return call_end(&call, digest_update(&call, pPart, ulPartLen));
}

CK_RV C_DigestKey(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hKey)
{
    CALL_SESSION(C_DigestKey, hSession);
    return call_end(&call, digest_key(&call, hKey));
}

CK_RV C_DigestFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pDigest, CK_ULONG_PTR pulDigestLen)
{
    CALL_SESSION(C_DigestFinal, hSession);
    return call_end(&call, digest_final(&call, pDigest, pulDigestLen));
}
