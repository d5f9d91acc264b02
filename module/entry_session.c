/* entry_session.c: sessions, login, and what is left of operation states and parallel functions. */
#include <string.h>

#include "call.h"

static CK_RV open_checked(CK_SLOT_ID id, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
                          CK_SESSION_HANDLE *handle)
{
    if (!handle)
        return trace_fail(CKR_ARGUMENTS_BAD, "phSession is NULL");
    return session_open(id, flags, application, notify, handle);
}

CK_RV C_OpenSession(CK_SLOT_ID slotID, CK_FLAGS flags, CK_VOID_PTR pApplication, CK_NOTIFY Notify,
                    CK_SESSION_HANDLE_PTR phSession)
{
    CALL(C_OpenSession);
    return call_end(&call, open_checked(slotID, flags, pApplication, Notify, phSession));
}

CK_RV C_CloseSession(CK_SESSION_HANDLE hSession)
{
    CALL(C_CloseSession);
    return call_end(&call, session_close(hSession));
}

CK_RV C_CloseAllSessions(CK_SLOT_ID slotID)
{
    CALL(C_CloseAllSessions);
    return call_end(&call, session_close_all(slotID));
}

static CK_RV session_info_get(const struct session *session, CK_SESSION_INFO *info)
{
    if (!info)
        return trace_fail(CKR_ARGUMENTS_BAD, "pInfo is NULL");
    CK_SESSION_INFO filled = {session->slot->id, session_state(session), session->flags, 0};
    memcpy(info, &filled, sizeof(filled));
    return CKR_OK;
}

CK_RV C_GetSessionInfo(CK_SESSION_HANDLE hSession, CK_SESSION_INFO_PTR pInfo)
{
    CALL_SESSION(C_GetSessionInfo, hSession);
    return call_end(&call, session_info_get(call.session, pInfo));
}

/* ------------------------------------------------------------------ login */

static CK_RV login_context(struct session *session, const uint8_t *pin, CK_ULONG pin_len)
{
    struct operation *op = operation_to_authenticate(session);
    if (!op)
        return trace_fail(CKR_OPERATION_NOT_INITIALIZED,
                          "no active operation waits for a context-specific login");
    TRY(login_again(session->slot, pin, pin_len));
    op->authenticated = true;
    return CKR_OK;
}

static CK_RV login_any(struct session *session, CK_USER_TYPE type, const uint8_t *pin,
                       CK_ULONG pin_len)
{
    return type == CKU_CONTEXT_SPECIFIC ? login_context(session, pin, pin_len)
                                        : login_do(session->slot, type, pin, pin_len);
}

CK_RV C_Login(CK_SESSION_HANDLE hSession, CK_USER_TYPE userType, CK_UTF8CHAR_PTR pPin,
              CK_ULONG ulPinLen)
{
    CALL_SESSION(C_Login, hSession);
    return call_end(&call, login_any(call.session, userType, pPin, ulPinLen));
}

CK_RV C_LoginUser(CK_SESSION_HANDLE hSession, CK_USER_TYPE userType, CK_UTF8CHAR_PTR pPin,
                  CK_ULONG ulPinLen, CK_UTF8CHAR_PTR pUsername, CK_ULONG ulUsernameLen)
{
    CALL_SESSION(C_LoginUser, hSession);
    if (ulUsernameLen && userType != CKU_CONTEXT_SPECIFIC)
        return call_end(&call, login_named(call.session->slot, userType, pUsername, ulUsernameLen,
                                           pPin, ulPinLen));
    return call_end(&call, login_any(call.session, userType, pPin, ulPinLen));
}

CK_RV C_Logout(CK_SESSION_HANDLE hSession)
{
    CALL_SESSION(C_Logout, hSession);
    CK_RV rv = login_drop(call.session->slot);
    warm_drop_retired(call.session);
    return call_end(&call, rv);
}

/* ------------------------------------------------------------------ operations */

static CK_RV operations_cancel(struct session *session, CK_FLAGS flags)
{
    for (enum operation_kind kind = 0; kind < OP_SLOTS; kind++)
        if (flags & USAGE[kind].flag)
            operation_end(session, kind, false);
    if (flags & CKF_FIND_OBJECTS) {
        find_free(session->find);
        session->find = NULL;
    }
    return CKR_OK;
}

CK_RV C_SessionCancel(CK_SESSION_HANDLE hSession, CK_FLAGS flags)
{
    CALL_SESSION(C_SessionCancel, hSession);
    return call_end(&call, operations_cancel(call.session, flags));
}

static CK_RV state_get(const struct session *session, const CK_ULONG *len)
{
    TRY(arguments_out(len));
    for (size_t i = 0; i < OP_SLOTS; i++)
        if (session->operations[i])
            return trace_fail(CKR_STATE_UNSAVEABLE, "no operation's state can be saved");
    return trace_fail(CKR_OPERATION_NOT_INITIALIZED, "nothing is active");
}

CK_RV C_GetOperationState(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pOperationState,
                          CK_ULONG_PTR pulOperationStateLen)
{
    CALL_SESSION(C_GetOperationState, hSession);
    (void)pOperationState;
    return call_end(&call, state_get(call.session, pulOperationStateLen));
}

CK_RV C_SetOperationState(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pOperationState,
                          CK_ULONG ulOperationStateLen, CK_OBJECT_HANDLE hEncryptionKey,
                          CK_OBJECT_HANDLE hAuthenticationKey)
{
    CALL_SESSION(C_SetOperationState, hSession);
    (void)ulOperationStateLen;
    (void)hEncryptionKey;
    (void)hAuthenticationKey;
    /* none was ever given out */
    return call_end(&call, pOperationState ? CKR_SAVED_STATE_INVALID : CKR_ARGUMENTS_BAD);
}

CK_RV C_GetFunctionStatus(CK_SESSION_HANDLE hSession)
{
    CALL_SESSION(C_GetFunctionStatus, hSession);
    return call_end(&call, CKR_FUNCTION_NOT_PARALLEL);
}

CK_RV C_CancelFunction(CK_SESSION_HANDLE hSession)
{
    CALL_SESSION(C_CancelFunction, hSession);
    return call_end(&call, CKR_FUNCTION_NOT_PARALLEL);
}
