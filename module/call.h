/*
 * call.h: begin and end of every call. entry_*.c look like
 *
 *     CK_RV C_Sign(...)
 *     {
 *         CALL_SESSION(C_Sign, hSession);         // returns CKR_CRYPTOKI_NOT_INITIALIZED, ...
 *         return call_end(&call, sign_once(&call, pData, ulDataLen, ...));
 *     }
 *
 * call_table.c has a row per C_ function: what it needs (initialised, session, read/write) and the
 * CKR codes the standard lists for it. call_end folds a code that is not listed into one that is
 * (CKR_FUNCTION_FAILED or CKR_GENERAL_ERROR) and traces the fold; tests make a fold fail
 * (REPRIEVE_FOLD_FATAL=1 aborts).
 */
#ifndef CALL_H
#define CALL_H
#include "module_state.h"
#include "session.h"
#include "trace.h"

enum call_id {
#define CALL_NAME(name) CALL_##name,
#include "call_names.h"          /* CALL_NAME(C_Initialize) ... all 104 in the lists' order */
#undef CALL_NAME
    CALL_COUNT
};

struct call {
    enum call_id id;
    struct session *session;     /* locked; NULL for calls without one */
    uint64_t txnid;              /* the store's last transaction when the call began */
};

CK_RV call_begin(struct call *call, enum call_id id);                       /* initialised? */
CK_RV call_begin_session(struct call *call, enum call_id id, CK_SESSION_HANDLE session);
CK_RV call_end(struct call *call, CK_RV rv);
#define CALL(name)                                                                                 \
    struct call call;                                                                              \
    CK_RV call_rv_ = call_begin(&call, CALL_##name);                                               \
    if (call_rv_ != CKR_OK)                                                                        \
        return call_rv_
#define CALL_SESSION(name, handle)                                                                 \
    struct call call;                                                                              \
    CK_RV call_rv_ = call_begin_session(&call, CALL_##name, handle);                               \
    if (call_rv_ != CKR_OK)                                                                        \
        return call_rv_
#endif
