/* trace.c: reasons in words, and the trace file. */
#include "trace.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "module_state.h"

#define REASON_MAX 240

struct name_row {
    CK_ULONG value;
    const char *name;
};

#define N_CKR(name) {name, #name},
static const struct name_row RV_NAMES[] = {
#include "trace_names.h"
};
#undef N_CKR
#define N_CKA(name) {name, #name},
static const struct name_row ATTRIBUTE_NAMES[] = {
#include "trace_names.h"
};
#undef N_CKA

static _Thread_local char reason[REASON_MAX];
static _Thread_local char unknown_name[32];

static const char *name_of(const struct name_row *rows, size_t n, CK_ULONG value,
                           const char *prefix)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].value == value)
            return rows[i].name;
    snprintf(unknown_name, sizeof(unknown_name), "%s_0x%lx", prefix, value);
    return unknown_name;
}

const char *trace_rv_name(CK_RV rv)
{
    return name_of(RV_NAMES, sizeof(RV_NAMES) / sizeof(RV_NAMES[0]), rv, "CKR");
}

const char *trace_attribute_name(CK_ATTRIBUTE_TYPE type)
{
    return name_of(ATTRIBUTE_NAMES, sizeof(ATTRIBUTE_NAMES) / sizeof(ATTRIBUTE_NAMES[0]), type,
                   "CKA");
}

const char *trace_verb_names(uint32_t verbs)
{
    static const char *const NAMES[] = {
        "get", "list", "create", "import", "update", "delete", "recover", "backup", "restore",
        "encrypt", "decrypt", "wrap", "unwrap", "sign", "verify", "derive", "purge", "hold",
        "lock", "policy", "audit", "rotate"};
    static _Thread_local char names[200];
    size_t len = 0;
    names[0] = 0;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (verbs >> i & 1u && len < sizeof(names))
            len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", len ? " or " : "",
                                    NAMES[i]);
    return names;
}

/* The first reason stands: it is nearest to the cause. */
static void reason_set(const char *format, va_list args)
{
    if (!reason[0])
        vsnprintf(reason, sizeof(reason), format, args);
}

CK_RV trace_fail(CK_RV rv, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    reason_set(format, args);
    va_end(args);
    return rv;
}

void trace_clear(void)
{
    reason[0] = 0;
}

const char *trace_reason(void)
{
    return reason;
}

/* The descriptor lives in the page that a fork wipes: a child that closed everything must not
 * write into whatever has got that number since. */
static int trace_fd(void)
{
    struct module_root *root = module_root();
    return root ? atomic_load_explicit(&root->trace_fd, memory_order_acquire) - 1 : -1;
}

static void trace_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void trace_line(const char *format, ...)
{
    int fd = trace_fd();
    if (fd < 0)
        return;
    char line[512];
    int head = snprintf(line, sizeof(line), "reprieve[%d.%ld] ", (int)getpid(),
                        syscall(SYS_gettid));
    va_list args;
    va_start(args, format);
    int body = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, format, args);
    va_end(args);
    size_t len = (size_t)head + (size_t)(body < 0 ? 0 : body);
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    line[len++] = '\n';
    /* one write for one line: other threads and processes append to the same file */
    if (write(fd, line, len) < 0)
        return;
}

void trace_note(const char *format, ...)
{
    char note[REASON_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(note, sizeof(note), format, args);
    va_end(args);
    trace_line("note: %s", note);
}

void trace_store(const char *where, const char *message)
{
    if (!reason[0])
        snprintf(reason, sizeof(reason), "%s: %s", where, message);
    trace_line("store: %s: %s", where, message);
}

void trace_call(const char *function, CK_RV rv)
{
    if (rv == CKR_OK)
        trace_line("%s -> CKR_OK", function);
    else
        trace_line("%s -> %s%s%s", function, trace_rv_name(rv), reason[0] ? ": " : "", reason);
}

void trace_open(const char *path)
{
    struct module_root *root = module_root();
    if (!root || !path || !path[0])
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return;
    int former = atomic_exchange(&root->trace_fd, fd + 1) - 1;
    if (former >= 0)
        close(former);
}

void trace_close(void)
{
    struct module_root *root = module_root();
    int fd = root ? atomic_exchange(&root->trace_fd, 0) - 1 : -1;
    if (fd >= 0)
        close(fd);
}
