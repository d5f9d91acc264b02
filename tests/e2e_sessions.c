/*
 * Initialisation, slots, sessions, login, PINs and their lock-out, through the loaded module: what
 * chapter 5 of the standard says of each, code by code.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "harness.h"
#include "reprieve.h"

#define RO CKF_SERIAL_SESSION
#define RW (CKF_SERIAL_SESSION | CKF_RW_SESSION)
#define PIN(text) (CK_UTF8CHAR_PTR)(text), sizeof(text) - 1

static struct harness h;
static CK_UTF8CHAR label[32];

static CK_RV open_session(CK_FLAGS flags, CK_SESSION_HANDLE *session)
{
    return h.f->C_OpenSession(h.slot, flags, NULL, NULL, session);
}

static CK_FLAGS token_flags(void)
{
    CK_TOKEN_INFO info;
    OK(h.f->C_GetTokenInfo(h.slot, &info));
    return info.flags;
}

static CK_STATE state_of(CK_SESSION_HANDLE session)
{
    CK_SESSION_INFO info;
    OK(h.f->C_GetSessionInfo(session, &info));
    CHECK(info.slotID == h.slot && info.ulDeviceError == 0);
    return info.state;
}

static int setup(void **state)
{
    (void)state;
    harness_init(&h, "pin_tries = 3\n");
    memset(label, ' ', sizeof(label));
    memcpy(label, "sessions", 8);
    return 0;
}

static int setup_token(void **state)
{
    setup(state);
    harness_load(&h);
    harness_token(&h);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_done(&h);
    return 0;
}

/* ---------------------------------------------------------------- C_Initialize, C_Finalize */

static CK_RV no_mutex(CK_VOID_PTR mutex)
{
    (void)mutex;
    return CKR_GENERAL_ERROR;    /* never to be called: the module locks by itself */
}

static CK_RV no_mutex_made(CK_VOID_PTR_PTR mutex)
{
    (void)mutex;
    return CKR_GENERAL_ERROR;
}

static void initialize_arguments(void **state)
{
    (void)state;
    harness_open(&h);
    CK_INFO info;
    EXPECT(h.f->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(h.f->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    CK_C_INITIALIZE_ARGS some = {.CreateMutex = no_mutex_made};
    EXPECT(h.f->C_Initialize(&some), CKR_ARGUMENTS_BAD);
    for (CK_FLAGS flags = 0; flags < 4; flags++) {
        CK_C_INITIALIZE_ARGS plain = {.flags = flags};
        OK(h.f->C_Initialize(&plain));
        EXPECT(h.f->C_Initialize(&plain), CKR_CRYPTOKI_ALREADY_INITIALIZED);
        EXPECT(h.f->C_Finalize(&plain), CKR_ARGUMENTS_BAD);
        OK(h.f->C_Finalize(NULL));
        CK_C_INITIALIZE_ARGS all = {no_mutex_made, no_mutex, no_mutex, no_mutex, flags, NULL};
        OK(h.f->C_Initialize(&all));
        OK(h.f->C_Finalize(NULL));
    }
    OK(h.f->C_Initialize(NULL));
    EXPECT(h.f->C_GetInfo(NULL), CKR_ARGUMENTS_BAD);
    OK(h.f->C_GetInfo(&info));
    CHECK(info.cryptokiVersion.major == 3 && info.flags == 0);
    OK(h.f->C_Finalize(NULL));
}

/* An argument block at an odd address, with a pReserved string that names the store. */
static void initialize_reserved(void **state)
{
    (void)state;
    harness_open(&h);
    char reserved[400], block[sizeof(CK_C_INITIALIZE_ARGS) + 1];
    snprintf(reserved, sizeof(reserved), "store=%s/elsewhere scrypt_log_n=10,retention_days=8",
             h.dir);
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK, .pReserved = reserved};
    memcpy(block + 1, &args, sizeof(args));
    OK(h.f->C_Initialize(block + 1));
    harness_slot(&h);
    OK(h.f->C_InitToken(h.slot, PIN(HARNESS_SO_PIN), label));
    OK(h.f->C_Finalize(NULL));
    OK(h.f->C_Initialize(NULL));
    harness_slot(&h);
    CHECK(!(token_flags() & CKF_TOKEN_INITIALIZED));
    OK(h.f->C_Finalize(NULL));
    static char *const BAD[] = {"configdir='/tmp'", "store=relative", "store", "pin_tries=2",
                                "scrypt_log_n=10x", "profile=lax"};
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        args.pReserved = BAD[i];
        EXPECT(h.f->C_Initialize(&args), CKR_ARGUMENTS_BAD);
    }
}

static atomic_uint initialized, already;

static void *initialize_once(void *ctx)
{
    (void)ctx;
    CK_RV rv = h.f->C_Initialize(NULL);
    atomic_fetch_add(rv == CKR_OK ? &initialized : &already, 1);
    return rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED ? NULL : &h;
}

static void initialize_at_once(void **state)
{
    (void)state;
    harness_open(&h);
    for (int round = 0; round < 5; round++) {
        pthread_t threads[4];
        atomic_store(&initialized, 0);
        for (size_t i = 0; i < COUNT_OF(threads); i++)
            CHECK(pthread_create(&threads[i], NULL, initialize_once, NULL) == 0);
        for (size_t i = 0; i < COUNT_OF(threads); i++) {
            void *failed = NULL;
            CHECK(pthread_join(threads[i], &failed) == 0 && !failed);
        }
        CHECK(atomic_load(&initialized) == 1);
        OK(h.f->C_Finalize(NULL));
    }
}

/* ---------------------------------------------------------------- interfaces, slots */

static void interfaces(void **state)
{
    (void)state;
    harness_open(&h);
    CHECK(h.f->version.major == 2 && h.f->version.minor == 40);
    CHECK(h.f3 && h.f3->version.major == 3 && h.f3->version.minor == 0);
    CK_INTERFACE list[8], *one = NULL;
    CK_ULONG n = 0;
    EXPECT(h.f3->C_GetInterfaceList(NULL, NULL), CKR_ARGUMENTS_BAD);
    OK(h.f3->C_GetInterfaceList(NULL, &n));
    CHECK(n == 3);
    n = 2;
    EXPECT(h.f3->C_GetInterfaceList(list, &n), CKR_BUFFER_TOO_SMALL);
    CHECK(n == 3);
    n = COUNT_OF(list);
    OK(h.f3->C_GetInterfaceList(list, &n));
    CHECK(n == 3);
    CK_VERSION v240 = {2, 40}, v31 = {3, 1};
    OK(h.f3->C_GetInterface(NULL, NULL, &one, 0));
    CHECK(one->pFunctionList == h.f3);
    OK(h.f3->C_GetInterface((CK_UTF8CHAR_PTR) "PKCS 11", &v240, &one, 0));
    CHECK(one->pFunctionList == h.f);
    OK(h.f3->C_GetInterface((CK_UTF8CHAR_PTR)RPV_INTERFACE_NAME, NULL, &one, 0));
    CHECK(((CK_VERSION *)one->pFunctionList)->major == 1);
    EXPECT(h.f3->C_GetInterface((CK_UTF8CHAR_PTR) "PKCS 11", &v31, &one, 0), CKR_ARGUMENTS_BAD);
    EXPECT(h.f3->C_GetInterface(NULL, NULL, &one, CKF_INTERFACE_FORK_SAFE), CKR_ARGUMENTS_BAD);
    EXPECT(h.f3->C_GetInterface(NULL, NULL, NULL, 0), CKR_ARGUMENTS_BAD);
}

static void slots(void **state)
{
    (void)state;
    harness_load(&h);
    CK_SLOT_ID ids[4];
    CK_ULONG n = 0;
    EXPECT(h.f->C_GetSlotList(CK_TRUE, NULL, NULL), CKR_ARGUMENTS_BAD);
    OK(h.f->C_GetSlotList(CK_TRUE, NULL, &n));
    CHECK(n == 1);
    n = 0;
    EXPECT(h.f->C_GetSlotList(CK_TRUE, ids, &n), CKR_BUFFER_TOO_SMALL);
    CHECK(n == 1);
    OK(h.f->C_GetSlotList(CK_FALSE, ids, &n));
    h.slot = ids[0];
    CK_SLOT_INFO slot;
    CK_TOKEN_INFO token;
    CK_SESSION_HANDLE session;
    OK(h.f->C_GetSlotInfo(h.slot, &slot));
    CHECK(slot.flags == CKF_TOKEN_PRESENT);
    EXPECT(h.f->C_GetSlotInfo(h.slot + 1, &slot), CKR_SLOT_ID_INVALID);
    EXPECT(h.f->C_GetTokenInfo(~0UL, &token), CKR_SLOT_ID_INVALID);
    EXPECT(open_session(RW, &session), CKR_TOKEN_NOT_RECOGNIZED);
    EXPECT(h.f->C_InitToken(h.slot, PIN("123"), label), CKR_PIN_LEN_RANGE);
    EXPECT(h.f->C_InitToken(h.slot, NULL, 0, label), CKR_ARGUMENTS_BAD);
    EXPECT(h.f->C_InitToken(h.slot, PIN(HARNESS_SO_PIN), NULL), CKR_ARGUMENTS_BAD);
    OK(h.f->C_InitToken(h.slot, PIN(HARNESS_SO_PIN), label));
    n = COUNT_OF(ids);
    OK(h.f->C_GetSlotList(CK_TRUE, ids, &n));
    CHECK(n == 1 && ids[0] == h.slot);
    OK(h.f->C_GetTokenInfo(h.slot, &token));
    CHECK(memcmp(token.label, label, sizeof(label)) == 0);
    CHECK((token.flags & CKF_TOKEN_INITIALIZED) && !(token.flags & CKF_USER_PIN_INITIALIZED));
    CHECK(token.ulMinPinLen == 4 && token.ulMaxPinLen == 255 && token.ulSessionCount == 0);
    CHECK(memcmp(token.utcTime, "20", 2) == 0 && memcmp(token.utcTime + 14, "00", 2) == 0);
    EXPECT(h.f->C_WaitForSlotEvent(CKF_DONT_BLOCK, ids, NULL), CKR_NO_EVENT);
    OK(open_session(RO, &session));
    EXPECT(h.f->C_Login(session, CKU_USER, PIN(HARNESS_USER_PIN)), CKR_USER_PIN_NOT_INITIALIZED);
}

/* A second vault through the vendor interface; each slot keeps its id, and the other's login. */
static void two_vaults(void **state)
{
    (void)state;
    CK_INTERFACE *vendor = NULL;
    OK(h.f3->C_GetInterface((CK_UTF8CHAR_PTR)RPV_INTERFACE_NAME, NULL, &vendor, 0));
    const struct RPV_FUNCTION_LIST *rpv = vendor->pFunctionList;
    CK_SLOT_ID second, ids[4];
    CK_ULONG n = COUNT_OF(ids);
    OK(rpv->RPV_CreateVault(PIN("87654321"), label, NULL, &second));
    OK(h.f->C_GetSlotList(CK_TRUE, ids, &n));
    CHECK(n == 2 && ids[0] == h.slot && ids[1] == second);
    CK_SESSION_HANDLE one = harness_session_rw(&h), two;
    OK(h.f->C_OpenSession(second, RW, NULL, NULL, &two));
    harness_login(&h, one, CKU_USER);
    EXPECT(h.f->C_Login(two, CKU_SO, PIN(HARNESS_SO_PIN)), CKR_PIN_INCORRECT);
    OK(h.f->C_Login(two, CKU_SO, PIN("87654321")));
    CHECK(state_of(one) == CKS_RW_USER_FUNCTIONS);
    struct RPV_VAULT_INFO infos[4];
    n = COUNT_OF(infos);
    OK(rpv->RPV_ListVaults(infos, &n));
    CHECK(n == 2 && infos[1].slotID == second && strcmp(infos[1].label, "sessions") == 0);
    CHECK(infos[0].policy.ulPinTries == 3 && infos[0].policy.ulScryptLogN == 10);
    OK(h.f->C_CloseAllSessions(second));
    CHECK(state_of(one) == CKS_RW_USER_FUNCTIONS);
}

/* ---------------------------------------------------------------- sessions */

/* A handle from before C_Finalize means nothing after. */
static void stale_handles(void **state)
{
    (void)state;
    CK_SESSION_HANDLE before = harness_session_rw(&h);
    OK(h.f->C_Finalize(NULL));
    OK(h.f->C_Initialize(NULL));
    CK_SESSION_HANDLE after = harness_session_rw(&h);
    CHECK(after != before);
    EXPECT(h.f->C_CloseSession(before), CKR_SESSION_HANDLE_INVALID);
    OK(h.f->C_CloseSession(after));
}

static void session_rules(void **state)
{
    (void)state;
    CK_SESSION_HANDLE ro, rw, again, bad;
    EXPECT(open_session(0, &bad), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    EXPECT(open_session(RW | CKF_ASYNC_SESSION, &bad), CKR_SESSION_ASYNC_NOT_SUPPORTED);
    EXPECT(open_session(RW, NULL), CKR_ARGUMENTS_BAD);
    OK(open_session(RO, &ro));
    OK(open_session(RW, &rw));
    CHECK(state_of(ro) == CKS_RO_PUBLIC_SESSION && state_of(rw) == CKS_RW_PUBLIC_SESSION);
    CK_TOKEN_INFO token;
    OK(h.f->C_GetTokenInfo(h.slot, &token));
    CHECK(token.ulSessionCount == 2 && token.ulRwSessionCount == 1);
    EXPECT(h.f->C_InitToken(h.slot, PIN(HARNESS_SO_PIN), label), CKR_SESSION_EXISTS);
    OK(h.f->C_CloseSession(ro));
    EXPECT(h.f->C_CloseSession(ro), CKR_SESSION_HANDLE_INVALID);
    EXPECT(h.f->C_GetSessionInfo(ro, &(CK_SESSION_INFO){0}), CKR_SESSION_HANDLE_INVALID);
    OK(open_session(RO, &again));
    CHECK(again != ro);
    EXPECT(h.f->C_CloseSession(0), CKR_SESSION_HANDLE_INVALID);
    EXPECT(h.f->C_CloseSession(~0UL), CKR_SESSION_HANDLE_INVALID);
    OK(h.f->C_CloseAllSessions(h.slot));
    EXPECT(h.f->C_CloseSession(again), CKR_SESSION_HANDLE_INVALID);
    EXPECT(h.f->C_CloseAllSessions(h.slot + 9), CKR_SLOT_ID_INVALID);
}

static void many_sessions(void **state)
{
    (void)state;
    enum { N = 500 };
    static CK_SESSION_HANDLE sessions[N];
    for (size_t i = 0; i < N; i++) {
        OK(open_session(i % 2 ? RO : RW, &sessions[i]));
        for (size_t j = 0; j < i; j++)
            CHECK(sessions[i] != sessions[j]);
    }
    for (size_t i = 0; i < N; i += 3)
        OK(h.f->C_CloseSession(sessions[i]));
    for (size_t i = 0; i < N; i++)
        EXPECT(h.f->C_GetSessionInfo(sessions[i], &(CK_SESSION_INFO){0}),
               i % 3 ? CKR_OK : CKR_SESSION_HANDLE_INVALID);
    OK(h.f->C_CloseAllSessions(h.slot));
}

/* ---------------------------------------------------------------- login */

static void login_rules(void **state)
{
    (void)state;
    CK_SESSION_HANDLE ro, rw;
    OK(open_session(RO, &ro));
    OK(open_session(RW, &rw));
    EXPECT(h.f->C_Logout(rw), CKR_USER_NOT_LOGGED_IN);
    EXPECT(h.f->C_Login(rw, 7, PIN(HARNESS_USER_PIN)), CKR_USER_TYPE_INVALID);
    EXPECT(h.f->C_Login(rw, CKU_CONTEXT_SPECIFIC, PIN(HARNESS_USER_PIN)),
           CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(h.f->C_Login(rw, CKU_USER, NULL, 0), CKR_ARGUMENTS_BAD);
    EXPECT(h.f->C_Login(rw, CKU_SO, PIN(HARNESS_SO_PIN)), CKR_SESSION_READ_ONLY_EXISTS);
    OK(h.f->C_Login(rw, CKU_USER, PIN(HARNESS_USER_PIN)));
    CHECK(state_of(ro) == CKS_RO_USER_FUNCTIONS && state_of(rw) == CKS_RW_USER_FUNCTIONS);
    EXPECT(h.f->C_Login(ro, CKU_USER, PIN(HARNESS_USER_PIN)), CKR_USER_ALREADY_LOGGED_IN);
    EXPECT(h.f->C_Login(ro, CKU_SO, PIN(HARNESS_SO_PIN)), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    OK(h.f->C_Logout(ro));
    EXPECT(h.f->C_Logout(rw), CKR_USER_NOT_LOGGED_IN);
    CHECK(state_of(rw) == CKS_RW_PUBLIC_SESSION);
    OK(h.f->C_CloseSession(ro));
    OK(h.f->C_Login(rw, CKU_SO, PIN(HARNESS_SO_PIN)));
    CHECK(state_of(rw) == CKS_RW_SO_FUNCTIONS);
    EXPECT(open_session(RO, &ro), CKR_SESSION_READ_WRITE_SO_EXISTS);
    OK(h.f->C_CloseSession(rw));
    OK(open_session(RO, &ro));     /* the last session's end was a logout */
    CHECK(state_of(ro) == CKS_RO_PUBLIC_SESSION);
}

static void login_user_3_0(void **state)
{
    (void)state;
    CK_SESSION_HANDLE session = harness_session_rw(&h);
    EXPECT(h.f3->C_LoginUser(session, CKU_USER, PIN(HARNESS_USER_PIN), PIN("anna")),
           CKR_PIN_INCORRECT);
    OK(h.f3->C_LoginUser(session, CKU_USER, PIN(HARNESS_USER_PIN), NULL, 0));
    CHECK(state_of(session) == CKS_RW_USER_FUNCTIONS);
}

static void logout_kills_private_handles(void **state)
{
    (void)state;
    CK_SESSION_HANDLE session = harness_session_rw(&h);
    harness_login(&h, session, CKU_USER);
    CK_OBJECT_HANDLE private, public;
    CK_OBJECT_CLASS data = CKO_DATA;
    CK_ATTRIBUTE hidden[] = {ATTR_VAR(CKA_CLASS, data), ATTR_TRUE(CKA_PRIVATE)};
    CK_ATTRIBUTE shown[] = {ATTR_VAR(CKA_CLASS, data), ATTR_FALSE(CKA_PRIVATE)};
    OK(h.f->C_CreateObject(session, hidden, COUNT_OF(hidden), &private));
    OK(h.f->C_CreateObject(session, shown, COUNT_OF(shown), &public));
    OK(h.f->C_Logout(session));
    CK_ULONG size;
    EXPECT(h.f->C_GetObjectSize(session, private, &size), CKR_OBJECT_HANDLE_INVALID);
    OK(h.f->C_GetObjectSize(session, public, &size));
    harness_login(&h, session, CKU_USER);
    EXPECT(h.f->C_GetObjectSize(session, private, &size), CKR_OBJECT_HANDLE_INVALID);
    CK_SESSION_HANDLE other = harness_session_rw(&h);
    OK(h.f->C_GetObjectSize(other, public, &size));
    OK(h.f->C_CloseSession(session));
    EXPECT(h.f->C_GetObjectSize(other, public, &size), CKR_OBJECT_HANDLE_INVALID);
}

/* ---------------------------------------------------------------- PINs */

static void lock_out(void **state)
{
    (void)state;
    CK_SESSION_HANDLE session = harness_session_rw(&h);
    CHECK(!(token_flags() & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY)));
    EXPECT(h.f->C_Login(session, CKU_USER, PIN("wrong")), CKR_PIN_INCORRECT);
    CHECK(token_flags() & CKF_USER_PIN_COUNT_LOW);
    OK(h.f->C_Login(session, CKU_USER, PIN(HARNESS_USER_PIN)));
    CHECK(!(token_flags() & CKF_USER_PIN_COUNT_LOW));
    OK(h.f->C_Logout(session));
    EXPECT(h.f->C_Login(session, CKU_USER, PIN("wrong")), CKR_PIN_INCORRECT);
    EXPECT(h.f->C_SetPIN(session, PIN("wrong"), PIN("another")), CKR_PIN_INCORRECT);
    CHECK(token_flags() & CKF_USER_PIN_FINAL_TRY);
    EXPECT(h.f->C_Login(session, CKU_USER, PIN("wrong")), CKR_PIN_INCORRECT);
    CHECK((token_flags() & CKF_USER_PIN_LOCKED) && !(token_flags() & CKF_USER_PIN_FINAL_TRY));
    EXPECT(h.f->C_Login(session, CKU_USER, PIN(HARNESS_USER_PIN)), CKR_PIN_LOCKED);
    harness_unload(&h);
    harness_load(&h);              /* a restart does not help, the SO does */
    harness_slot(&h);
    session = harness_session_rw(&h);
    EXPECT(h.f->C_Login(session, CKU_USER, PIN(HARNESS_USER_PIN)), CKR_PIN_LOCKED);
    OK(h.f->C_Login(session, CKU_SO, PIN(HARNESS_SO_PIN)));
    OK(h.f->C_InitPIN(session, PIN("654321")));
    OK(h.f->C_Logout(session));
    CHECK(!(token_flags() & CKF_USER_PIN_LOCKED));
    OK(h.f->C_Login(session, CKU_USER, PIN("654321")));
}

static void pin_rules(void **state)
{
    (void)state;
    CK_SESSION_HANDLE ro, rw = harness_session_rw(&h);
    static CK_UTF8CHAR longest[256];
    memset(longest, 'x', sizeof(longest));
    EXPECT(h.f->C_InitPIN(rw, PIN("654321")), CKR_USER_NOT_LOGGED_IN);
    EXPECT(h.f->C_SetPIN(rw, PIN(HARNESS_USER_PIN), PIN("abc")), CKR_PIN_LEN_RANGE);
    EXPECT(h.f->C_SetPIN(rw, PIN(HARNESS_USER_PIN), longest, 256), CKR_PIN_LEN_RANGE);
    EXPECT(h.f->C_SetPIN(rw, NULL, 0, PIN("abcd")), CKR_ARGUMENTS_BAD);
    OK(open_session(RO, &ro));
    EXPECT(h.f->C_SetPIN(ro, PIN(HARNESS_USER_PIN), PIN("abcd")), CKR_SESSION_READ_ONLY);
    OK(h.f->C_SetPIN(rw, PIN(HARNESS_USER_PIN), longest, 255));     /* a public session: the user */
    OK(h.f->C_Login(rw, CKU_USER, longest, 255));
    EXPECT(h.f->C_InitPIN(rw, PIN("654321")), CKR_USER_NOT_LOGGED_IN);
    OK(h.f->C_SetPIN(rw, longest, 255, PIN("abcd")));
    OK(h.f->C_Logout(rw));
    OK(h.f->C_CloseSession(ro));
    OK(h.f->C_Login(rw, CKU_SO, PIN(HARNESS_SO_PIN)));
    EXPECT(h.f->C_InitPIN(rw, PIN("abc")), CKR_PIN_LEN_RANGE);
    OK(h.f->C_SetPIN(rw, PIN(HARNESS_SO_PIN), PIN("the so's")));
    OK(h.f->C_CloseAllSessions(h.slot));
    EXPECT(h.f->C_InitToken(h.slot, PIN(HARNESS_SO_PIN), label), CKR_PIN_INCORRECT);
    CHECK(token_flags() & CKF_SO_PIN_COUNT_LOW);
    OK(h.f->C_InitToken(h.slot, PIN("the so's"), label));
}

/* C_InitToken in another process ends the login here, and what was known of the vault. */
static int init_token_elsewhere(void *ctx)
{
    const struct harness *parent = ctx;
    struct harness child = *parent;
    child.dl = NULL;
    harness_load(&child);
    OK(child.f->C_InitToken(parent->slot, PIN(HARNESS_SO_PIN), label));
    OK(child.f->C_Finalize(NULL));
    return 0;
}

static void revoked_by_another_process(void **state)
{
    (void)state;
    CK_SESSION_HANDLE session = harness_session_rw(&h);
    harness_login(&h, session, CKU_USER);
    CK_OBJECT_HANDLE object;
    CK_OBJECT_CLASS data = CKO_DATA;
    CK_ATTRIBUTE mine[] = {ATTR_VAR(CKA_CLASS, data), ATTR_TRUE(CKA_TOKEN)};
    OK(h.f->C_CreateObject(session, mine, COUNT_OF(mine), &object));
    assert_int_equal(fork_run(init_token_elsewhere, &h), 0);
    CK_ULONG size;
    EXPECT(h.f->C_GetObjectSize(session, object, &size), CKR_OBJECT_HANDLE_INVALID);
    CHECK(state_of(session) == CKS_RW_PUBLIC_SESSION);
    EXPECT(h.f->C_Login(session, CKU_USER, PIN(HARNESS_USER_PIN)), CKR_USER_PIN_NOT_INITIALIZED);
    OK(h.f->C_Login(session, CKU_SO, PIN(HARNESS_SO_PIN)));
}

/* ---------------------------------------------------------------- operations and sessions */

static CK_OBJECT_HANDLE aes_key(CK_SESSION_HANDLE session)
{
    CK_MECHANISM gen = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE attrs[] = {ATTR_ULONG(CKA_VALUE_LEN, 32), ATTR_TRUE(CKA_ENCRYPT),
                            ATTR_TRUE(CKA_DECRYPT)};
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    OK(h.f->C_GenerateKey(session, &gen, attrs, COUNT_OF(attrs), &key));
    return key;
}

static void operation_rules(void **state)
{
    (void)state;
    CK_SESSION_HANDLE session = harness_session_rw(&h);
    CK_OBJECT_HANDLE key = aes_key(session);
    CK_BYTE iv[16] = {0}, data[20] = "twenty bytes of text", out[64], back[64];
    CK_ULONG len = 0;
    CK_MECHANISM cbc = {CKM_AES_CBC_PAD, iv, sizeof(iv)};
    EXPECT(h.f->C_Encrypt(session, data, 20, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(h.f->C_EncryptInit(session, NULL, key), CKR_ARGUMENTS_BAD);
    EXPECT(h.f->C_EncryptInit(session, &cbc, key + 99), CKR_KEY_HANDLE_INVALID);
    OK(h.f->C_EncryptInit(session, &cbc, key));
    EXPECT(h.f->C_EncryptInit(session, &cbc, key), CKR_OPERATION_ACTIVE);
    OK(h.f->C_Encrypt(session, data, 20, NULL, &len));
    CHECK(len == 32);
    len = 31;
    EXPECT(h.f->C_Encrypt(session, data, 20, out, &len), CKR_BUFFER_TOO_SMALL);
    CHECK(len == 32);
    OK(h.f->C_Encrypt(session, data, 20, out, &len));
    EXPECT(h.f->C_Encrypt(session, data, 20, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    /* decryption: a buffer of just the right size, after one that was too small */
    OK(h.f->C_DecryptInit(session, &cbc, key));
    len = 19;
    EXPECT(h.f->C_Decrypt(session, out, 32, back, &len), CKR_BUFFER_TOO_SMALL);
    CHECK(len == 20);
    OK(h.f->C_Decrypt(session, out, 32, back, &len));
    CHECK(len == 20 && memcmp(back, data, 20) == 0);
    /* a NULL mechanism, and C_SessionCancel, end an operation */
    OK(h.f->C_EncryptInit(session, &cbc, key));
    OK(h.f->C_EncryptInit(session, NULL, key));
    OK(h.f->C_EncryptInit(session, &cbc, key));
    OK(h.f->C_DecryptInit(session, &cbc, key));
    OK(h.f3->C_SessionCancel(session, CKF_ENCRYPT | CKF_SIGN));
    EXPECT(h.f->C_EncryptFinal(session, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(h.f->C_GetOperationState(session, NULL, &len), CKR_STATE_UNSAVEABLE);
    OK(h.f3->C_SessionCancel(session, ~0UL));
    EXPECT(h.f->C_GetOperationState(session, NULL, &len), CKR_OPERATION_NOT_INITIALIZED);
    /* a failure ends it */
    OK(h.f->C_EncryptInit(session, &cbc, key));
    EXPECT(h.f->C_Encrypt(session, NULL, 3, out, &len), CKR_ARGUMENTS_BAD);
    EXPECT(h.f->C_EncryptUpdate(session, data, 1, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    /* a multi-part operation does not end in one part */
    OK(h.f->C_EncryptInit(session, &cbc, key));
    len = sizeof(out);
    OK(h.f->C_EncryptUpdate(session, data, 1, out, &len));
    EXPECT(h.f->C_Encrypt(session, data, 1, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    /* the key dies: so does what was begun with it */
    OK(h.f->C_EncryptInit(session, &cbc, key));
    OK(h.f->C_DestroyObject(session, key));
    len = sizeof(out);
    EXPECT(h.f->C_Encrypt(session, data, 20, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(h.f->C_GetFunctionStatus(session), CKR_FUNCTION_NOT_PARALLEL);
    EXPECT(h.f->C_CancelFunction(session), CKR_FUNCTION_NOT_PARALLEL);
}

/* Both halves of a dual-function call agree with the two done apart. */
static void dual_functions(void **state)
{
    (void)state;
    CK_SESSION_HANDLE session = harness_session_rw(&h);
    CK_OBJECT_HANDLE key = aes_key(session);
    CK_BYTE iv[16] = {0}, data[48], out[80], back[80], digest[32], direct[32];
    CK_ULONG len, part, total = 0, dlen = sizeof(direct);
    CK_MECHANISM cbc = {CKM_AES_CBC_PAD, iv, sizeof(iv)}, sha = {CKM_SHA256, NULL, 0};
    memset(data, 'd', sizeof(data));
    OK(h.f->C_DigestInit(session, &sha));
    OK(h.f->C_Digest(session, data, sizeof(data), direct, &dlen));
    OK(h.f->C_EncryptInit(session, &cbc, key));
    EXPECT(h.f->C_DigestEncryptUpdate(session, data, 7, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    OK(h.f->C_DigestInit(session, &sha));
    part = 0;
    EXPECT(h.f->C_DigestEncryptUpdate(session, data, 20, out, &part), CKR_BUFFER_TOO_SMALL);
    OK(h.f->C_DigestEncryptUpdate(session, data, 20, NULL, &part));
    CHECK(part == 16);
    OK(h.f->C_DigestEncryptUpdate(session, data, 20, out, &part));
    total = part;
    part = sizeof(out) - total;
    memcpy(out + total, data + 20, 28);      /* in place */
    CK_BYTE inplace[64];
    memcpy(inplace, data + 20, 28);
    len = sizeof(inplace);
    OK(h.f->C_DigestEncryptUpdate(session, inplace, 28, inplace, &len));
    memcpy(out + total, inplace, len);
    total += len;
    len = sizeof(out) - total;
    OK(h.f->C_EncryptFinal(session, out + total, &len));
    total += len;
    len = sizeof(digest);
    OK(h.f->C_DigestFinal(session, digest, &len));
    CHECK(len == 32 && memcmp(digest, direct, 32) == 0);
    OK(h.f->C_DecryptInit(session, &cbc, key));
    OK(h.f->C_DigestInit(session, &sha));
    part = sizeof(back);
    OK(h.f->C_DecryptDigestUpdate(session, out, total, back, &part));
    len = sizeof(back) - part;
    OK(h.f->C_DecryptFinal(session, back + part, &len));
    CHECK(part + len == sizeof(data) && memcmp(back, data, sizeof(data)) == 0);
    OK(h.f->C_DigestUpdate(session, back + part, len));
    len = sizeof(digest);
    OK(h.f->C_DigestFinal(session, digest, &len));
    CHECK(memcmp(digest, direct, 32) == 0);
}

/* Login for each use of a key with CKA_ALWAYS_AUTHENTICATE. */
static void always_authenticate(void **state)
{
    (void)state;
    CK_SESSION_HANDLE session = harness_session_rw(&h);
    harness_login(&h, session, CKU_USER);
    static CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    CK_ATTRIBUTE public[] = {ATTR_VAR(CKA_EC_PARAMS, p256)};
    CK_ATTRIBUTE private[] = {ATTR_TRUE(CKA_TOKEN), ATTR_TRUE(CKA_SIGN), ATTR_TRUE(CKA_PRIVATE),
                              ATTR_TRUE(CKA_ALWAYS_AUTHENTICATE)};
    CK_MECHANISM gen = {CKM_EC_KEY_PAIR_GEN, NULL, 0}, ecdsa = {CKM_ECDSA, NULL, 0};
    CK_OBJECT_HANDLE pub, priv;
    CK_BYTE hash[32] = {1}, sig[64];
    CK_ULONG len = sizeof(sig);
    OK(h.f->C_GenerateKeyPair(session, &gen, public, COUNT_OF(public), private,
                              COUNT_OF(private), &pub, &priv));
    OK(h.f->C_SignInit(session, &ecdsa, priv));
    EXPECT(h.f->C_Sign(session, hash, sizeof(hash), sig, &len), CKR_USER_NOT_LOGGED_IN);
    for (int use = 0; use < 2; use++) {
        OK(h.f->C_SignInit(session, &ecdsa, priv));
        EXPECT(h.f->C_Login(session, CKU_CONTEXT_SPECIFIC, PIN("wrong")), CKR_PIN_INCORRECT);
        OK(h.f->C_Login(session, CKU_CONTEXT_SPECIFIC, PIN(HARNESS_USER_PIN)));
        OK(h.f->C_Sign(session, hash, sizeof(hash), NULL, &len));
        OK(h.f->C_Sign(session, hash, sizeof(hash), sig, &len));
        EXPECT(h.f->C_Login(session, CKU_CONTEXT_SPECIFIC, PIN(HARNESS_USER_PIN)),
               CKR_OPERATION_NOT_INITIALIZED);
    }
}

/* ---------------------------------------------------------------- C_Finalize amid calls */

static atomic_bool stop;
static atomic_ulong odd_code;    /* what a call answered that none should */

static void *busy(void *ctx)
{
    (void)ctx;
    while (!atomic_load(&stop)) {
        CK_SESSION_HANDLE session;
        CK_BYTE random[32];
        CK_RV rv = open_session(RW, &session);
        for (int i = 0; rv == CKR_OK && i < 50; i++)
            rv = h.f->C_GenerateRandom(session, random, sizeof(random));
        if (rv == CKR_OK)
            rv = h.f->C_CloseSession(session);
        if (rv != CKR_OK && rv != CKR_CRYPTOKI_NOT_INITIALIZED && rv != CKR_SESSION_HANDLE_INVALID)
            atomic_store(&odd_code, rv);
    }
    return NULL;
}

static void finalize_amid_calls(void **state)
{
    (void)state;
    pthread_t threads[3];
    atomic_store(&stop, false);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, busy, NULL) == 0);
    for (int round = 0; round < 20; round++) {
        OK(h.f->C_Finalize(NULL));
        OK(h.f->C_Initialize(NULL));
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    EXPECT(atomic_load(&odd_code), CKR_OK);
}

int main(void)
{
    harness_fail_hook = _fail;
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TOKEN_CASE(name) cmocka_unit_test_setup_teardown(name, setup_token, teardown)
    const struct CMUnitTest tests[] = {
        CASE(initialize_arguments),
        CASE(initialize_reserved),
        CASE(initialize_at_once),
        CASE(interfaces),
        CASE(slots),
        TOKEN_CASE(two_vaults),
        TOKEN_CASE(stale_handles),
        TOKEN_CASE(session_rules),
        TOKEN_CASE(many_sessions),
        TOKEN_CASE(login_rules),
        TOKEN_CASE(login_user_3_0),
        TOKEN_CASE(logout_kills_private_handles),
        TOKEN_CASE(lock_out),
        TOKEN_CASE(pin_rules),
        TOKEN_CASE(revoked_by_another_process),
        TOKEN_CASE(operation_rules),
        TOKEN_CASE(dual_functions),
        TOKEN_CASE(always_authenticate),
        TOKEN_CASE(finalize_amid_calls),
    };
    return cmocka_run_group_tests_name("sessions", tests, NULL, NULL);
}
