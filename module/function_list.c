/* function_list.c: the interfaces. The only file linked into the module by name: it pulls in the
 * rest. */
#include <string.h>

#include "call.h"

#define OMIT(name)

static CK_FUNCTION_LIST LIST_2_40 = {
    .version = {2, 40},
#define CALL_NAME(name) .name = name,
#define CALL_NAME_3_0 OMIT
#define CALL_NAME_3_2 OMIT
#define CALL_NAME_VENDOR OMIT
#include "call_names.h"
};

static CK_FUNCTION_LIST_3_0 LIST_3_0 = {
    .version = {3, 0},
#define CALL_NAME(name) .name = name,
#define CALL_NAME_3_2 OMIT
#define CALL_NAME_VENDOR OMIT
#include "call_names.h"
};

extern const struct RPV_FUNCTION_LIST RPV_FUNCTIONS;

/* The first that fits is the one that an unspecific request gets. Not CKF_INTERFACE_FORK_SAFE: a
 * forked child starts afresh, which is not what that flag promises. */
static CK_INTERFACE INTERFACES[] = {
    {(CK_UTF8CHAR_PTR) "PKCS 11", &LIST_3_0, 0},
    {(CK_UTF8CHAR_PTR) "PKCS 11", &LIST_2_40, 0},
    {(CK_UTF8CHAR_PTR)RPV_INTERFACE_NAME, (CK_VOID_PTR)(uintptr_t)&RPV_FUNCTIONS, 0},
};
#define INTERFACES_COUNT (sizeof(INTERFACES) / sizeof(INTERFACES[0]))

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR ppFunctionList)
{
    trace_clear();
    if (!ppFunctionList)
        return call_report(CALL_C_GetFunctionList, CKR_ARGUMENTS_BAD);
    *ppFunctionList = &LIST_2_40;
    return call_report(CALL_C_GetFunctionList, CKR_OK);
}

CK_RV C_GetInterfaceList(CK_INTERFACE_PTR pInterfacesList, CK_ULONG_PTR pulCount)
{
    trace_clear();
    if (!pulCount)
        return call_report(CALL_C_GetInterfaceList, CKR_ARGUMENTS_BAD);
    bool fits = !pInterfacesList || *pulCount >= INTERFACES_COUNT;
    if (pInterfacesList && fits)
        memcpy(pInterfacesList, INTERFACES, sizeof(INTERFACES));
    *pulCount = INTERFACES_COUNT;
    return call_report(CALL_C_GetInterfaceList, fits ? CKR_OK : CKR_BUFFER_TOO_SMALL);
}

static bool interface_fits(const CK_INTERFACE *row, const CK_UTF8CHAR *name,
                           const CK_VERSION *version, CK_FLAGS flags)
{
    const CK_VERSION *own = row->pFunctionList;
    if (name && strcmp((const char *)row->pInterfaceName, (const char *)name) != 0)
        return false;
    if (version && (version->major != own->major || version->minor != own->minor))
        return false;
    return (row->flags & flags) == flags;
}

CK_RV C_GetInterface(CK_UTF8CHAR_PTR pInterfaceName, CK_VERSION_PTR pVersion,
                     CK_INTERFACE_PTR_PTR ppInterface, CK_FLAGS flags)
{
    trace_clear();
    if (!ppInterface)
        return call_report(CALL_C_GetInterface, CKR_ARGUMENTS_BAD);
    for (size_t i = 0; i < INTERFACES_COUNT; i++)
        if (interface_fits(&INTERFACES[i], pInterfaceName, pVersion, flags)) {
            *ppInterface = &INTERFACES[i];
            return call_report(CALL_C_GetInterface, CKR_OK);
        }
    return call_report(CALL_C_GetInterface,
                       trace_fail(CKR_ARGUMENTS_BAD, "no such interface, version or flags"));
}
