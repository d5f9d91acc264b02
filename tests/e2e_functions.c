/*
 * All 92 functions of the 3.0 list: there, the same in the 2.40 list, unharmed by a call whose
 * pointers are all NULL, and either supported or one of those that are not yet. Prints how many
 * are left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

/* Every argument of every function is a pointer, a number or a CK_BBOOL, and the longest list has
 * nine: this is how the machine passes them all. */
typedef CK_RV (*any_fn)(CK_ULONG, void *, void *, void *, void *, void *, void *, void *, void *);

struct function {
    const char *name;
    size_t offset, offset_2_40;
};
#define NONE ((size_t)-1)
static const struct function FUNCTIONS[] = {
#define CALL_NAME(name) {#name, offsetof(CK_FUNCTION_LIST_3_0, name), \
                         offsetof(CK_FUNCTION_LIST, name)},
#define CALL_NAME_3_0(name) {#name, offsetof(CK_FUNCTION_LIST_3_0, name), NONE},
#define CALL_NAME_3_2(name)
#define CALL_NAME_VENDOR(name)
#include "module/call_names.h"
};

static bool is_among(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* What would end the test's own session. */
static const char *const ENDS[] = {"C_Initialize", "C_Finalize", "C_CloseSession",
                                   "C_CloseAllSessions"};
/* What does not begin with a session. */
static const char *const SESSIONLESS[] = {
    "C_GetInfo", "C_GetFunctionList", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo",
    "C_GetMechanismList", "C_GetMechanismInfo", "C_InitToken", "C_OpenSession",
    "C_WaitForSlotEvent", "C_GetInterfaceList", "C_GetInterface"};

static CK_RV call_empty(any_fn call, const char *name, CK_SESSION_HANDLE session)
{
    if (is_among(name, ENDS, COUNT_OF(ENDS)))
        return CKR_OK;
    CK_ULONG first = is_among(name, SESSIONLESS, COUNT_OF(SESSIONLESS)) ? 0 : session;
    return call(first, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
}

/* Those that the first issue leaves out: the message-based ones. */
static bool is_left(const char *name)
{
    return strstr(name, "Message") != NULL;
}

static any_fn function_at(const void *list, size_t offset)
{
    any_fn function;
    memcpy(&function, (const char *)list + offset, sizeof(function));
    return function;
}

int main(void)
{
    struct harness h;
    unsigned left = 0, failed = 0, n = 0;
    harness_init(&h, NULL);
    CK_SESSION_HANDLE session = harness_start(&h);
    CHECK(COUNT_OF(FUNCTIONS) == 92 && h.f3);
    printf("1..%zu\n", COUNT_OF(FUNCTIONS));
    for (size_t i = 0; i < COUNT_OF(FUNCTIONS); i++) {
        const struct function *f = &FUNCTIONS[i];
        any_fn call = function_at(h.f3, f->offset);
        bool same = f->offset_2_40 == NONE || function_at(h.f, f->offset_2_40) == call;
        CK_RV rv = call ? call_empty(call, f->name, session) : CKR_GENERAL_ERROR;
        bool unsupported = rv == CKR_FUNCTION_NOT_SUPPORTED;
        bool ok = call && same && unsupported == is_left(f->name);
        left += unsupported;
        failed += !ok;
        printf("%s %u - %s answers %s\n", ok ? "ok" : "not ok", ++n, f->name, ckr_name(rv));
        fflush(stdout);
    }
    printf("# %u of the 92 functions answer CKR_FUNCTION_NOT_SUPPORTED\n", left);
    OK(h.f->C_CloseSession(session));
    harness_done(&h);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
