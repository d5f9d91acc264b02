/*
 * entry_message.c: the message-based functions of 3.0, present and answering
 * CKR_FUNCTION_NOT_SUPPORTED.
 */
#include "call.h"

/* The parameters but the session are not looked at. */
#define NOT_SUPPORTED(name, ...)                                                                  \
    CK_RV name(CK_SESSION_HANDLE hSession, __VA_ARGS__)                                           \
    {                                                                                             \
        CALL_SESSION(name, hSession);                                                             \
        return call_end(&call, CKR_FUNCTION_NOT_SUPPORTED);                                       \
    }
#define NOT_SUPPORTED_ALONE(name)                                                                 \
    CK_RV name(CK_SESSION_HANDLE hSession)                                                        \
    {                                                                                             \
        CALL_SESSION(name, hSession);                                                             \
        return call_end(&call, CKR_FUNCTION_NOT_SUPPORTED);                                       \
    }

#pragma GCC diagnostic ignored "-Wunused-parameter"

NOT_SUPPORTED(C_MessageEncryptInit, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
NOT_SUPPORTED(C_EncryptMessage, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR
              pAssociatedData, CK_ULONG ulAssociatedDataLen, CK_BYTE_PTR pPlaintext, CK_ULONG
              ulPlaintextLen, CK_BYTE_PTR pCiphertext, CK_ULONG_PTR pulCiphertextLen)
NOT_SUPPORTED(C_EncryptMessageBegin, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR
              pAssociatedData, CK_ULONG ulAssociatedDataLen)
NOT_SUPPORTED(C_EncryptMessageNext, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR
              pPlaintextPart, CK_ULONG ulPlaintextPartLen, CK_BYTE_PTR pCiphertextPart,
              CK_ULONG_PTR pulCiphertextPartLen, CK_FLAGS flags)
NOT_SUPPORTED_ALONE(C_MessageEncryptFinal)
NOT_SUPPORTED(C_MessageDecryptInit, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
NOT_SUPPORTED(C_DecryptMessage, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR
              pAssociatedData, CK_ULONG ulAssociatedDataLen, CK_BYTE_PTR pCiphertext, CK_ULONG
              ulCiphertextLen, CK_BYTE_PTR pPlaintext, CK_ULONG_PTR pulPlaintextLen)
NOT_SUPPORTED(C_DecryptMessageBegin, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR
              pAssociatedData, CK_ULONG ulAssociatedDataLen)
NOT_SUPPORTED(C_DecryptMessageNext, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR
              pCiphertextPart, CK_ULONG ulCiphertextPartLen, CK_BYTE_PTR pPlaintextPart,
              CK_ULONG_PTR pulPlaintextPartLen, CK_FLAGS flags)
NOT_SUPPORTED_ALONE(C_MessageDecryptFinal)
NOT_SUPPORTED(C_MessageSignInit, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
NOT_SUPPORTED(C_SignMessage, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR pData,
              CK_ULONG ulDataLen, CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
NOT_SUPPORTED(C_SignMessageBegin, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen)
NOT_SUPPORTED(C_SignMessageNext, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR
              pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
NOT_SUPPORTED_ALONE(C_MessageSignFinal)
NOT_SUPPORTED(C_MessageVerifyInit, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
NOT_SUPPORTED(C_VerifyMessage, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR pData,
              CK_ULONG ulDataLen, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen)
NOT_SUPPORTED(C_VerifyMessageBegin, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen)
NOT_SUPPORTED(C_VerifyMessageNext, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR
              pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen)
NOT_SUPPORTED_ALONE(C_MessageVerifyFinal)
