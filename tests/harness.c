/* See harness.h. */
#include "harness.h"

#include <dlfcn.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOFTHSM_PATH "/usr/lib/softhsm/libsofthsm2.so"
#define STEP_TIMEOUT_MS 60000
#define MAX_DIRS 16

/* One row per kind of module: where it is, how it is told where its store is. */
static const struct kind_row {
    const char *module_env;
    const char *module_default;
    const char *conf_env;
    const char *conf_format; /* takes the directory */
    const char *subdir;      /* must exist before the first use, or NULL */
} kinds[] = {
    [HARNESS_REPRIEVE] = {"REPRIEVE_MODULE", NULL, "REPRIEVE_CONF",
                          "store = %s/store\nscrypt_log_n = 10\n", NULL},
    [HARNESS_SOFTHSM] = {"SOFTHSM2_MODULE", SOFTHSM_PATH, "SOFTHSM2_CONF",
                         "directories.tokendir = %s/tokens\nlog.level = ERROR\n", "tokens"},
};

static void exit_hook(const char *file, int line)
{
    (void)file;
    (void)line;
    exit(1);
}

void (*harness_fail_hook)(const char *file, int line) = exit_hook;

const char *ckr_name(CK_RV rv)
{
    static const struct {
        CK_RV rv;
        const char *name;
    } names[] = {
#define X(name, value) {value, #name},
#include "ckr_names.h"
#undef X
    };
    static _Thread_local char unknown[32];
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (names[i].rv == rv)
            return names[i].name;
    snprintf(unknown, sizeof unknown, "CKR 0x%lx", (unsigned long)rv);
    return unknown;
}

void harness_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    harness_fail_hook(file, line);
}

void harness_expect(const char *file, int line, const char *what, CK_RV got, CK_RV want)
{
    if (got != want)
        harness_fail(file, line, "%s\n    returned %s, expected %s", what, ckr_name(got),
                     ckr_name(want));
}

/* --- the throw-away directory --- */

static char made_dirs[MAX_DIRS][sizeof((struct harness *)0)->dir];
static pid_t made_by;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void dir_remove(const char *dir)
{
    if (getenv("HARNESS_KEEP"))
        fprintf(stderr, "# kept: %s\n", dir);
    else
        nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void dirs_remove_at_exit(void)
{
    if (getpid() != made_by)
        return;
    for (size_t i = 0; i < MAX_DIRS; i++)
        if (made_dirs[i][0])
            dir_remove(made_dirs[i]);
}

static void dir_remember(const char *dir)
{
    if (made_by != getpid()) {
        if (made_by == 0)
            atexit(dirs_remove_at_exit);
        made_by = getpid();
        memset(made_dirs, 0, sizeof made_dirs);
    }
    for (size_t i = 0; i < MAX_DIRS; i++) {
        if (!made_dirs[i][0]) {
            snprintf(made_dirs[i], sizeof made_dirs[i], "%s", dir);
            return;
        }
    }
    harness_fail(__FILE__, __LINE__, "more than %d harnesses in one process", MAX_DIRS);
}

static void dir_forget(const char *dir)
{
    for (size_t i = 0; i < MAX_DIRS; i++)
        if (made_by == getpid() && !strcmp(made_dirs[i], dir)) {
            dir_remove(dir);
            made_dirs[i][0] = 0;
        }
}

static void conf_write(const struct harness *h, const char *extra_conf)
{
    const struct kind_row *row = &kinds[h->kind];
    FILE *file = fopen(h->conf, "w");
    if (!file) {
        harness_fail(__FILE__, __LINE__, "%s: %s", h->conf, strerror(errno));
        return;
    }
    /* The format is a row of the table above, never a caller's. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    fprintf(file, row->conf_format, h->dir);
#pragma GCC diagnostic pop
    if (extra_conf)
        fprintf(file, "%s\n", extra_conf);
    fclose(file);
}

enum harness_kind harness_kind_env(void)
{
    const char *kind = getenv("HARNESS_TOKEN");
    return kind && !strcmp(kind, "softhsm") ? HARNESS_SOFTHSM : HARNESS_REPRIEVE;
}

const char *harness_module_path(enum harness_kind kind)
{
    const char *path = getenv(kinds[kind].module_env);
    if (!path)
        path = kinds[kind].module_default;
    return path && access(path, R_OK) == 0 ? path : NULL;
}

void harness_use(const struct harness *h)
{
    setenv(kinds[h->kind].conf_env, h->conf, 1);
}

void harness_init_kind(struct harness *h, enum harness_kind kind, const char *extra_conf)
{
    const struct kind_row *row = &kinds[kind];
    const char *tmp = getenv("TMPDIR");
    memset(h, 0, sizeof *h);
    h->kind = kind;
    h->module = harness_module_path(kind);
    if (!h->module) {
        printf("1..0 # SKIP no module: set %s to its path\n", row->module_env);
        exit(0);
    }
    snprintf(h->dir, sizeof h->dir, "%s/reprieve-test-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(h->dir))
        harness_fail(__FILE__, __LINE__, "%s: %s", h->dir, strerror(errno));
    dir_remember(h->dir);
    snprintf(h->conf, sizeof h->conf, "%s/conf", h->dir);
    conf_write(h, kind == HARNESS_REPRIEVE ? extra_conf : NULL);
    if (row->subdir) {
        char path[sizeof h->dir + 32];
        snprintf(path, sizeof path, "%s/%s", h->dir, row->subdir);
        CHECK(mkdir(path, 0700) == 0);
    }
    harness_use(h);
}

void harness_init(struct harness *h, const char *extra_conf)
{
    harness_init_kind(h, harness_kind_env(), extra_conf);
}

void harness_done(struct harness *h)
{
    harness_unload(h);
    dir_forget(h->dir);
}

/* --- the module --- */

static void *symbol(struct harness *h, const char *name)
{
    return h->dl ? dlsym(h->dl, name) : NULL;
}

static void interface_3_0(struct harness *h)
{
    CK_C_GetInterface get = (CK_C_GetInterface)(uintptr_t)symbol(h, "C_GetInterface");
    CK_INTERFACE *found = NULL;
    CK_VERSION version = {3, 0};
    char name[] = "PKCS 11";
    h->f3 = NULL;
    if (get && get((CK_UTF8CHAR_PTR)name, &version, &found, 0) == CKR_OK && found)
        h->f3 = found->pFunctionList;
}

void harness_open(struct harness *h)
{
    h->dl = dlopen(h->module, RTLD_NOW | RTLD_LOCAL);
    if (!h->dl) {
        harness_fail(__FILE__, __LINE__, "dlopen: %s", dlerror());
        return;
    }
    CK_C_GetFunctionList get = (CK_C_GetFunctionList)(uintptr_t)symbol(h, "C_GetFunctionList");
    CHECK(get != NULL);
    OK(get(&h->f));
    interface_3_0(h);
}

void harness_load(struct harness *h)
{
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    harness_open(h);
    OK(h->f->C_Initialize(&args));
}

void harness_unload(struct harness *h)
{
    if (!h->dl)
        return;
    h->f->C_Finalize(NULL);
    /* Sanitizers and valgrind name no functions of a library that is gone. */
    if (!getenv("HARNESS_NO_DLCLOSE"))
        dlclose(h->dl);
    h->dl = NULL;
    h->f = NULL;
    h->f3 = NULL;
}

void harness_slot(struct harness *h)
{
    CK_SLOT_ID slots[64];
    CK_ULONG count = COUNT_OF(slots);
    OK(h->f->C_GetSlotList(CK_TRUE, NULL, &count));
    count = COUNT_OF(slots);
    OK(h->f->C_GetSlotList(CK_TRUE, slots, &count));
    CHECK(count > 0);
    h->slot = slots[0];
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        OK(h->f->C_GetTokenInfo(slots[i], &info));
        if (info.flags & CKF_TOKEN_INITIALIZED) {
            h->slot = slots[i];
            return;
        }
    }
}

static CK_UTF8CHAR_PTR pin_of(CK_USER_TYPE user)
{
    static CK_UTF8CHAR so[] = HARNESS_SO_PIN;
    static CK_UTF8CHAR normal[] = HARNESS_USER_PIN;
    return user == CKU_SO ? so : normal;
}

void harness_token(struct harness *h)
{
    CK_UTF8CHAR label[33] = "harness                         ";
    CK_UTF8CHAR_PTR so = pin_of(CKU_SO);
    CK_UTF8CHAR_PTR user = pin_of(CKU_USER);
    harness_slot(h);
    OK(h->f->C_InitToken(h->slot, so, strlen(HARNESS_SO_PIN), label));
    harness_slot(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_SO);
    OK(h->f->C_InitPIN(session, user, strlen(HARNESS_USER_PIN)));
    OK(h->f->C_Logout(session));
    OK(h->f->C_CloseSession(session));
}

CK_SESSION_HANDLE harness_session(struct harness *h, CK_FLAGS flags)
{
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
    OK(h->f->C_OpenSession(h->slot, CKF_SERIAL_SESSION | flags, NULL, NULL, &session));
    return session;
}

CK_SESSION_HANDLE harness_session_rw(struct harness *h)
{
    return harness_session(h, CKF_RW_SESSION);
}

void harness_login(struct harness *h, CK_SESSION_HANDLE session, CK_USER_TYPE user)
{
    CK_UTF8CHAR_PTR pin = pin_of(user);
    OK(h->f->C_Login(session, user, pin, strlen((const char *)pin)));
}

void harness_logout(struct harness *h, CK_SESSION_HANDLE session)
{
    OK(h->f->C_Logout(session));
}

CK_SESSION_HANDLE harness_start(struct harness *h)
{
    harness_load(h);
    harness_token(h);
    CK_SESSION_HANDLE session = harness_session_rw(h);
    harness_login(h, session, CKU_USER);
    return session;
}

bool harness_mechanism(struct harness *h, CK_MECHANISM_TYPE type, CK_FLAGS flags)
{
    CK_MECHANISM_INFO info;
    return h->f->C_GetMechanismInfo(h->slot, type, &info) == CKR_OK &&
           (info.flags & flags) == flags;
}

CK_OBJECT_HANDLE harness_find(struct harness *h, CK_SESSION_HANDLE session, CK_ATTRIBUTE *attrs,
                              CK_ULONG count)
{
    CK_OBJECT_HANDLE found[2] = {CK_INVALID_HANDLE, CK_INVALID_HANDLE};
    CK_ULONG n = 0;
    OK(h->f->C_FindObjectsInit(session, attrs, count));
    OK(h->f->C_FindObjects(session, found, COUNT_OF(found), &n));
    OK(h->f->C_FindObjectsFinal(session));
    CHECK(n < COUNT_OF(found));
    return n ? found[0] : CK_INVALID_HANDLE;
}

/* --- processes --- */

pid_t fork_start(fork_fn fn, void *ctx)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        /* A test framework's jump out of a failed check would go on in the parent's tests, and so
         * would cmocka's out of a crash. */
        harness_fail_hook = exit_hook;
        static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS};
        for (size_t i = 0; i < COUNT_OF(crashes); i++)
            signal(crashes[i], SIG_DFL);
        exit(fn(ctx));
    }
    CHECK(pid > 0);
    return pid;
}

int fork_wait(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            harness_fail(__FILE__, __LINE__, "waitpid: %s", strerror(errno));
            return -1;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int fork_run(fork_fn fn, void *ctx)
{
    return fork_wait(fork_start(fn, ctx));
}

/* Side 0 writes to pipe 0 and reads from pipe 1; side 1 the other way round. */
void lockstep_init(struct lockstep *ls)
{
    ls->side = 0;
    CHECK(pipe(ls->pipes[0]) == 0);
    CHECK(pipe(ls->pipes[1]) == 0);
}

void lockstep_child(struct lockstep *ls)
{
    ls->side = 1;
    /* With the writer's end kept open here, the parent's death would not show. */
    close(ls->pipes[0][1]);
    ls->pipes[0][1] = -1;
}

void lockstep_tell(struct lockstep *ls)
{
    CHECK(write(ls->pipes[ls->side][1], "x", 1) == 1);
}

void lockstep_wait(struct lockstep *ls)
{
    int *mine = ls->pipes[!ls->side];
    struct pollfd wait = {.fd = mine[0], .events = POLLIN};
    char word;
    /* The parent's copy of the child's writing end goes at its first wait: the fork is over. */
    if (ls->side == 0 && mine[1] >= 0) {
        close(mine[1]);
        mine[1] = -1;
    }
    int ready;
    while ((ready = poll(&wait, 1, STEP_TIMEOUT_MS)) < 0 && errno == EINTR)
        ;
    if (ready != 1 || read(mine[0], &word, 1) != 1)
        harness_fail(__FILE__, __LINE__, "the other process %s",
                     ready == 1 ? "ended" : "did not answer");
}

void lockstep_done(struct lockstep *ls)
{
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            if (ls->pipes[i][j] >= 0)
                close(ls->pipes[i][j]);
}
