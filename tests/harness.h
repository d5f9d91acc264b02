/*
 * What every end-to-end test needs: a throw-away store, the module loaded from it as an
 * application would load it, a token with PINs, sessions, and processes kept in step.
 *
 * The module is $REPRIEVE_MODULE. With HARNESS_TOKEN=softhsm the same test runs on SoftHSM2
 * ($SOFTHSM2_MODULE, else Debian's path), which tells a wrong test from a wrong module.
 *
 * Nothing here needs a test framework. A failed check prints where, what was wanted and what came,
 * then calls harness_fail_hook, which exits with 1; under cmocka, set it to _fail.
 *
 * A test that forks calls harness_init first, forks, and loads the module in each process: a module
 * loaded before the fork is a case of its own, and a test says so when it means it.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pkcs11.h"

#define HARNESS_SO_PIN "12345678"
#define HARNESS_USER_PIN "123456"

enum harness_kind { HARNESS_REPRIEVE, HARNESS_SOFTHSM };

struct harness {
    enum harness_kind kind;
    char dir[256];  /* the throw-away directory; the store is DIR/store */
    char conf[300]; /* the configuration file in it */
    const char *module;
    void *dl;
    CK_FUNCTION_LIST_PTR f;
    CK_FUNCTION_LIST_3_0_PTR f3; /* NULL when the module has no 3.0 interface */
    CK_SLOT_ID slot;
};

/* The kind that HARNESS_TOKEN asks for. */
enum harness_kind harness_kind_env(void);

/* The path of the module of that kind, or NULL when there is none to test. */
const char *harness_module_path(enum harness_kind kind);

/*
 * Makes the directory and the configuration (a cheap scrypt, then extra_conf's lines, or NULL), and
 * sets the environment for it. With no module to test it prints TAP's skip of everything and exits.
 * The directory is removed by harness_done, or when the process that made it exits.
 */
void harness_init(struct harness *h, const char *extra_conf);
void harness_init_kind(struct harness *h, enum harness_kind kind, const char *extra_conf);
void harness_done(struct harness *h);

/* Points the environment at this harness again, when a process uses two of the same kind. */
void harness_use(const struct harness *h);

/* dlopen and the function lists, without C_Initialize; harness_load initialises too. */
void harness_open(struct harness *h);
void harness_load(struct harness *h);

/* Finalises and closes the module; the store stays. */
void harness_unload(struct harness *h);

/* Chooses h->slot: the first slot with an initialised token, else the first. */
void harness_slot(struct harness *h);

/* Initialises the token in the first slot and its user PIN; nobody is logged in afterwards. */
void harness_token(struct harness *h);

CK_SESSION_HANDLE harness_session(struct harness *h, CK_FLAGS flags);
CK_SESSION_HANDLE harness_session_rw(struct harness *h);
void harness_login(struct harness *h, CK_SESSION_HANDLE session, CK_USER_TYPE user);
void harness_logout(struct harness *h, CK_SESSION_HANDLE session);

/* The whole of it: load, token, a read-write session with the user logged in. */
CK_SESSION_HANDLE harness_start(struct harness *h);

/* Is this mechanism there, with all of these flags? */
bool harness_mechanism(struct harness *h, CK_MECHANISM_TYPE type, CK_FLAGS flags);

/* An object by template, which must match exactly one (CK_INVALID_HANDLE when none matches). */
CK_OBJECT_HANDLE harness_find(struct harness *h, CK_SESSION_HANDLE session, CK_ATTRIBUTE *attrs,
                              CK_ULONG count);

/* Templates. A row borrows its value; the compound literals live as long as the block. */
#define ATTR_BYTES(type, bytes, len) {(type), (void *)(uintptr_t)(bytes), (CK_ULONG)(len)}
#define ATTR_VAR(type, var) {(type), &(var), sizeof(var)}
#define ATTR_STR(type, text) {(type), (void *)(uintptr_t)(text), sizeof(text) - 1}
#define ATTR_ULONG(type, n) {(type), &(CK_ULONG){(n)}, sizeof(CK_ULONG)}
#define ATTR_BOOL(type, b) {(type), &(CK_BBOOL){(b)}, sizeof(CK_BBOOL)}
#define ATTR_TRUE(type) ATTR_BOOL(type, CK_TRUE)
#define ATTR_FALSE(type) ATTR_BOOL(type, CK_FALSE)
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* Checks. */
const char *ckr_name(CK_RV rv);
extern void (*harness_fail_hook)(const char *file, int line);
void harness_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void harness_expect(const char *file, int line, const char *what, CK_RV got, CK_RV want);

#define EXPECT(call, want) harness_expect(__FILE__, __LINE__, #call, (call), (want))
#define OK(call) EXPECT(call, CKR_OK)
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            harness_fail(__FILE__, __LINE__, "not true: %s", #cond);                               \
    } while (0)

/*
 * Runs fn(ctx) in a child process and returns its exit status (128 + n when signal n ended it).
 * fork_start returns at once with the child's pid, fork_wait waits for it.
 */
typedef int (*fork_fn)(void *ctx);
int fork_run(fork_fn fn, void *ctx);
pid_t fork_start(fork_fn fn, void *ctx);
int fork_wait(pid_t pid);

/*
 * Two processes in step. lockstep_init before the fork; then the child calls lockstep_child once.
 * After that each side tells the other that a step is done, and waits for the other's word. A wait
 * of more than a minute, or the other side's death, fails the test instead of hanging it.
 */
struct lockstep {
    int pipes[2][2];
    int side;
};
void lockstep_init(struct lockstep *ls);
void lockstep_child(struct lockstep *ls);
void lockstep_tell(struct lockstep *ls);
void lockstep_wait(struct lockstep *ls);
void lockstep_done(struct lockstep *ls);

#endif
