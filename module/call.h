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

struct call {
    enum call_id id;
    struct session *session;     /* locked; NULL for calls without one */
    uint64_t txnid;              /* the store's last transaction when the call began */
    _Atomic unsigned *in_flight; /* C_Finalize waits for it */
    uint64_t began_ns;           /* where each use of a key is logged; else 0 */
    struct vs_id gone;           /* a deleted object that the call has come upon */
    bool has_gone;
};

/* call_table.c: what the standard lists for a function besides what every function may return. */
enum call_group {
    GROUP_DEVICE = 1,            /* CKR_DEVICE_ERROR, _MEMORY, _REMOVED */
    GROUP_SESSION = 2,           /* CKR_SESSION_HANDLE_INVALID, _CLOSED, CKR_OPERATION_ACTIVE */
    GROUP_ANY = 4,               /* no list: a function of the vendor interface */
};
struct call_row {
    const char *name;
    unsigned groups;
    const CK_RV *codes;          /* ended by CKR_OK */
};
extern const struct call_row CALL_TABLE[CALL_COUNT];

CK_RV call_begin(struct call *call, enum call_id id);                       /* initialised? */
CK_RV call_begin_session(struct call *call, enum call_id id, CK_SESSION_HANDLE session);
uint64_t call_clock_ns(void);
CK_RV call_end(struct call *call, CK_RV rv);
/* The end of a call that needs no module: C_Initialize, C_Finalize, C_GetFunctionList ... */
CK_RV call_report(enum call_id id, CK_RV rv);
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
