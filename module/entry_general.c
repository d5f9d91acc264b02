/* entry_general.c: C_Initialize, C_Finalize, C_GetInfo. */
#include <string.h>

#include "call.h"
#include "text.h"

static CK_RV initialize(CK_VOID_PTR pInitArgs)
{
    CK_C_INITIALIZE_ARGS args = {0};
    if (pInitArgs)
        memcpy(&args, pInitArgs, sizeof(args));
    int callbacks = !!args.CreateMutex + !!args.DestroyMutex + !!args.LockMutex +
                    !!args.UnlockMutex;
    if (callbacks != 0 && callbacks != 4)
        return trace_fail(CKR_ARGUMENTS_BAD, "some but not all of the mutex callbacks are given");
    /* whatever the caller says of threads, the module locks, and with its own mutexes */
    return module_start(args.pReserved, args.flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS);
}

CK_RV C_Initialize(CK_VOID_PTR pInitArgs)
{
    trace_clear();
    return call_report(CALL_C_Initialize, initialize(pInitArgs));
}

CK_RV C_Finalize(CK_VOID_PTR pReserved)
{
    trace_clear();
    if (pReserved && module_is_open())
        return call_report(CALL_C_Finalize, trace_fail(CKR_ARGUMENTS_BAD, "pReserved is not NULL"));
    CK_RV rv = call_report(CALL_C_Finalize, module_stop());
    if (rv == CKR_OK)
        trace_close();
    return rv;
}

static CK_RV info_get(CK_INFO *info)
{
    if (!info)
        return trace_fail(CKR_ARGUMENTS_BAD, "pInfo is NULL");
    CK_INFO filled = {.cryptokiVersion = {3, 0}, .libraryVersion = {0, 1}};
    text_pad(filled.manufacturerID, sizeof(filled.manufacturerID), RPV_MANUFACTURER);
    text_pad(filled.libraryDescription, sizeof(filled.libraryDescription),
             "Reprieve vault with soft delete");
    memcpy(info, &filled, sizeof(filled));
    return CKR_OK;
}

CK_RV C_GetInfo(CK_INFO_PTR pInfo)
{
    CALL(C_GetInfo);
    return call_end(&call, info_get(pInfo));
}
