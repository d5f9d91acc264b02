/* entry_cipher.c: encryption, decryption and the dual-function calls. */
#include "call.h"

CK_RV C_EncryptInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
    CALL_SESSION(C_EncryptInit, hSession);
    return call_end(&call, operation_init(&call, OP_ENCRYPT, pMechanism, hKey));
}

CK_RV C_Encrypt(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
                CK_BYTE_PTR pEncryptedData, CK_ULONG_PTR pulEncryptedDataLen)
{
    CALL_SESSION(C_Encrypt, hSession);
    return call_end(&call, cipher_once(&call, OP_ENCRYPT, pData, ulDataLen, pEncryptedData,
                                       pulEncryptedDataLen));
}

CK_RV C_EncryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen,
                      CK_BYTE_PTR pEncryptedPart, CK_ULONG_PTR pulEncryptedPartLen)
{
    CALL_SESSION(C_EncryptUpdate, hSession);
    return call_end(&call, cipher_update(&call, OP_ENCRYPT, pPart, ulPartLen, pEncryptedPart,
                                         pulEncryptedPartLen));
}

CK_RV C_EncryptFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pLastEncryptedPart,
                     CK_ULONG_PTR pulLastEncryptedPartLen)
{
    CALL_SESSION(C_EncryptFinal, hSession);
    return call_end(&call, cipher_final(&call, OP_ENCRYPT, pLastEncryptedPart,
                                        pulLastEncryptedPartLen));
}

CK_RV C_DecryptInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
    CALL_SESSION(C_DecryptInit, hSession);
    return call_end(&call, operation_init(&call, OP_DECRYPT, pMechanism, hKey));
}

CK_RV C_Decrypt(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedData, CK_ULONG ulEncryptedDataLen,
                CK_BYTE_PTR pData, CK_ULONG_PTR pulDataLen)
{
    CALL_SESSION(C_Decrypt, hSession);
    return call_end(&call, cipher_once(&call, OP_DECRYPT, pEncryptedData, ulEncryptedDataLen,
                                       pData, pulDataLen));
}

CK_RV C_DecryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart,
                      CK_ULONG ulEncryptedPartLen, CK_BYTE_PTR pPart, CK_ULONG_PTR pulPartLen)
{
    CALL_SESSION(C_DecryptUpdate, hSession);
    return call_end(&call, cipher_update(&call, OP_DECRYPT, pEncryptedPart, ulEncryptedPartLen,
                                         pPart, pulPartLen));
}

CK_RV C_DecryptFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pLastPart,
                     CK_ULONG_PTR pulLastPartLen)
{
    CALL_SESSION(C_DecryptFinal, hSession);
    return call_end(&call, cipher_final(&call, OP_DECRYPT, pLastPart, pulLastPartLen));
}

/* ------------------------------------------------------------------ two at once */

CK_RV C_DigestEncryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen,
                            CK_BYTE_PTR pEncryptedPart, CK_ULONG_PTR pulEncryptedPartLen)
{
    CALL_SESSION(C_DigestEncryptUpdate, hSession);
    return call_end(&call, cipher_dual(&call, OP_ENCRYPT, OP_DIGEST, pPart, ulPartLen,
                                       pEncryptedPart, pulEncryptedPartLen));
}

CK_RV C_DecryptDigestUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart,
                            CK_ULONG ulEncryptedPartLen, CK_BYTE_PTR pPart,
                            CK_ULONG_PTR pulPartLen)
{
    CALL_SESSION(C_DecryptDigestUpdate, hSession);
    return call_end(&call, cipher_dual(&call, OP_DECRYPT, OP_DIGEST, pEncryptedPart,
                                       ulEncryptedPartLen, pPart, pulPartLen));
}

CK_RV C_SignEncryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen,
                          CK_BYTE_PTR pEncryptedPart, CK_ULONG_PTR pulEncryptedPartLen)
{
    CALL_SESSION(C_SignEncryptUpdate, hSession);
    return call_end(&call, cipher_dual(&call, OP_ENCRYPT, OP_SIGN, pPart, ulPartLen,
                                       pEncryptedPart, pulEncryptedPartLen));
}

CK_RV C_DecryptVerifyUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart,
                            CK_ULONG ulEncryptedPartLen, CK_BYTE_PTR pPart,
                            CK_ULONG_PTR pulPartLen)
{
    CALL_SESSION(C_DecryptVerifyUpdate, hSession);
    return call_end(&call, cipher_dual(&call, OP_DECRYPT, OP_VERIFY, pEncryptedPart,
                                       ulEncryptedPartLen, pPart, pulPartLen));
}
