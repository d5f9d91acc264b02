/* entry_sign.c: signatures and MACs, made and verified. */
#include "call.h"

CK_RV C_SignInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
    CALL_SESSION(C_SignInit, hSession);
    return call_end(&call, operation_init(&call, OP_SIGN, pMechanism, hKey));
}

CK_RV C_Sign(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
             CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
{
    CALL_SESSION(C_Sign, hSession);
    return call_end(&call,
                    sign_once(&call, OP_SIGN, pData, ulDataLen, pSignature, pulSignatureLen));
}

CK_RV C_SignUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen)
{
    CALL_SESSION(C_SignUpdate, hSession);
    return call_end(&call, sign_update(&call, OP_SIGN, pPart, ulPartLen));
}

CK_RV C_SignFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
{
    CALL_SESSION(C_SignFinal, hSession);
    return call_end(&call, sign_final(&call, pSignature, pulSignatureLen));
}

CK_RV C_SignRecoverInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                        CK_OBJECT_HANDLE hKey)
{
    CALL_SESSION(C_SignRecoverInit, hSession);
    return call_end(&call, operation_init(&call, OP_SIGN_RECOVER, pMechanism, hKey));
}

CK_RV C_SignRecover(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
                    CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
{
    CALL_SESSION(C_SignRecover, hSession);
    return call_end(&call, sign_once(&call, OP_SIGN_RECOVER, pData, ulDataLen, pSignature,
                                     pulSignatureLen));
}

CK_RV C_VerifyInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
    CALL_SESSION(C_VerifyInit, hSession);
    return call_end(&call, operation_init(&call, OP_VERIFY, pMechanism, hKey));
}

CK_RV C_Verify(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
               CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen)
{
    CALL_SESSION(C_Verify, hSession);
    return call_end(&call, verify_once(&call, pData, ulDataLen, pSignature, ulSignatureLen));
}

CK_RV C_VerifyUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen)
{
    CALL_SESSION(C_VerifyUpdate, hSession);
    return call_end(&call, sign_update(&call, OP_VERIFY, pPart, ulPartLen));
}

CK_RV C_VerifyFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen)
{
    CALL_SESSION(C_VerifyFinal, hSession);
    return call_end(&call, verify_final(&call, pSignature, ulSignatureLen));
}

CK_RV C_VerifyRecoverInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                          CK_OBJECT_HANDLE hKey)
{
    CALL_SESSION(C_VerifyRecoverInit, hSession);
    return call_end(&call, operation_init(&call, OP_VERIFY_RECOVER, pMechanism, hKey));
}

CK_RV C_VerifyRecover(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen,
                      CK_BYTE_PTR pData, CK_ULONG_PTR pulDataLen)
{
    CALL_SESSION(C_VerifyRecover, hSession);
    return call_end(&call, verify_recover(&call, pSignature, ulSignatureLen, pData, pulDataLen));
}
