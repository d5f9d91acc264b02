/* store.c: opening and closing a store: the directory, its permissions, the host key, the format. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "purge.h"
#include "store_internal.h"

#define MAP_SIZE_DEFAULT ((size_t)64 << 20)

/* ------------------------------------------------------------------ traces */

void store_trace(const struct vs_store *store, const char *where, const char *format, ...)
{
    char message[PATH_MAX + 256];
    va_list args;

    if (store->trace == NULL)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    store->trace(where, message);
}

int store_result(const struct vs_store *store, const char *where, int status)
{
    if (status < 0)
        store_trace(store, where, "%s", vs_status_name(status));
    return status;
}

/* ------------------------------------------------------------------ files */

static int errno_status(int error)
{
    if (error == ENOSPC || error == EDQUOT)
        return VS_E_FULL;
    if (error == EACCES || error == EPERM || error == EROFS || error == ENOTDIR)
        return VS_E_PERM;
    return error == ENOMEM ? VS_E_NOMEM : VS_E_IO;
}

static int file_fault(const struct vs_store *store, const char *what, const char *path)
{
    int error = errno;

    store_trace(store, "vs_store_open", "cannot %s %s: %s", what, path, strerror(error));
    return errno_status(error);
}

/* The rows: what may lie in a store, and which permission bits nobody else may have on it. */
static const struct store_file { const char *name; mode_t forbidden; } store_files[] = {
    {"", 0022}, {"/data.mdb", 0022}, {"/lock.mdb", 0022}, {"/slots", 0022},
    {"/pin.lock", 0022}, {"/open.lock", 0022},
};
#define HOST_KEY_FORBIDDEN 0027

static int path_check(const struct vs_store *store, const char *path, mode_t forbidden)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return errno == ENOENT ? VS_OK : file_fault(store, "look at", path);
    if (st.st_uid != geteuid() && geteuid() != 0) {
        store_trace(store, "vs_store_open", "%s belongs to uid %u, not to this process's user",
                    path, (unsigned)st.st_uid);
        return VS_E_PERM;
    }
    if ((st.st_mode & forbidden) != 0) {
        store_trace(store, "vs_store_open",
                    "%s is open to others (mode %04o): check who changed it, then: chmod %s %s",
                    path, (unsigned)(st.st_mode & 07777), S_ISDIR(st.st_mode) ? "0700" : "0600",
                    path);
        return VS_E_PERM;
    }
    return VS_OK;
}

static int path_join(const char *dir, const char *name, char ret_path[PATH_MAX])
{
    int n = snprintf(ret_path, PATH_MAX, "%s%s", dir, name);

    return n < 0 || n >= PATH_MAX ? VS_E_PERM : VS_OK;
}

static int files_check(const struct vs_store *store)
{
    for (size_t i = 0; i < sizeof(store_files) / sizeof(store_files[0]); i++) {
        char path[PATH_MAX];

        VS_TRY(path_join(store->path, store_files[i].name, path));
        VS_TRY(path_check(store, path, store_files[i].forbidden));
    }
    return VS_OK;
}

/* What others of this project's processes may have made under an odd umask gets its mode. */
static int files_seal_modes(const struct vs_store *store)
{
    for (size_t i = 1; i < sizeof(store_files) / sizeof(store_files[0]); i++) {
        char path[PATH_MAX];

        VS_TRY(path_join(store->path, store_files[i].name, path));
        if (chmod(path, 0600) != 0 && errno != ENOENT)
            return file_fault(store, "set the mode of", path);
    }
    return VS_OK;
}

static int directory_make(const struct vs_store *store, const char *path)
{
    if (mkdir(path, 0700) == 0)
        return chmod(path, 0700) == 0 ? VS_OK : file_fault(store, "set the mode of", path);
    return errno == EEXIST ? VS_OK : file_fault(store, "make", path);
}

/* The directory and its missing parents. */
static int directories_make(const struct vs_store *store)
{
    char path[PATH_MAX];
    struct stat st;

    if (stat(store->path, &st) == 0)
        return S_ISDIR(st.st_mode) ? VS_OK : (errno = ENOTDIR, file_fault(store, "use",
                                                                          store->path));
    VS_TRY(path_join(store->path, "", path));
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        VS_TRY(directory_make(store, path));
        *slash = '/';
    }
    return directory_make(store, path);
}

struct file { int fd; };
static void file_auto(struct file *file)
{
    if (file->fd >= 0)
        close(file->fd);
}

/* Held while a store is made or opened. Unlocked by hand: a forked child may hold a copy. */
struct open_lock { int fd; };
static void open_lock_auto(struct open_lock *lock)
{
    if (lock->fd >= 0) {
        flock(lock->fd, LOCK_UN);
        close(lock->fd);
    }
}

static int open_lock_take(const struct vs_store *store, struct open_lock *lock)
{
    char path[PATH_MAX];

    VS_TRY(path_join(store->path, "/open.lock", path));
    lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock->fd < 0)
        return file_fault(store, "open", path);
    while (flock(lock->fd, LOCK_EX) != 0)
        if (errno != EINTR)
            return file_fault(store, "lock", path);
    return VS_OK;
}

/* ------------------------------------------------------------------ host key */

static int directory_sync(const struct vs_store *store, const char *file_path)
{
    AUTO(file) struct file dir = {.fd = -1};
    char path[PATH_MAX], *slash;

    VS_TRY(path_join(file_path, "", path));
    slash = strrchr(path, '/');
    if (slash == NULL)
        strcpy(path, ".");
    else
        slash[slash == path ? 1 : 0] = '\0';
    dir.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir.fd < 0 || fsync(dir.fd) != 0)
        return file_fault(store, "sync", path);
    return VS_OK;
}

/* Written under another name first: a host key is whole or absent. */
static int host_key_make(const struct vs_store *store, const char *path)
{
    AUTO(file) struct file file = {.fd = -1};
    AUTO(secret_key) struct secret_key key;
    char fresh[PATH_MAX];

    VS_TRY(path_join(path, ".new", fresh));
    VS_TRY(seal_random(store->sealer, key.b, sizeof(key.b)));
    file.fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file.fd < 0)
        return file_fault(store, "make", fresh);
    if (fchmod(file.fd, 0600) != 0 ||
        write(file.fd, key.b, sizeof(key.b)) != (ssize_t)sizeof(key.b) || fsync(file.fd) != 0)
        return file_fault(store, "write", fresh);
    if (rename(fresh, path) != 0)
        return file_fault(store, "rename", fresh);
    return directory_sync(store, path);
}

static int host_key_read(const struct vs_store *store, const char *path, struct secret_key *ret_key)
{
    AUTO(file) struct file file = {.fd = -1};
    AUTO(secret_key) struct secret_key key;
    uint8_t more;

    VS_TRY(path_check(store, path, HOST_KEY_FORBIDDEN));
    file.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (file.fd < 0 && errno == ENOENT)
        return VS_NOT_FOUND;
    if (file.fd < 0)
        return file_fault(store, "open", path);
    if (read(file.fd, key.b, sizeof(key.b)) != (ssize_t)sizeof(key.b) ||
        read(file.fd, &more, 1) != 0) {
        store_trace(store, "vs_store_open", "%s is not a host key (32 bytes)", path);
        return VS_E_CORRUPT;
    }
    *ret_key = key;
    return VS_OK;
}

static int host_keys_derive(struct vs_store *store, const struct secret_key *root)
{
    const struct { const char *info; uint8_t *key; } rows[] = {
        {"reprieve host mac", store->keys->mac},
        {"reprieve host audit", store->keys->audit},
        {"reprieve host mix", store->keys->mix},
        {"reprieve host object", store->keys->object},
        {"reprieve host index", store->keys->index},
        {"reprieve host head", store->keys->head},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        VS_TRY(seal_derive(store->sealer, root->b, sizeof(root->b), "", 0, rows[i].info,
                           strlen(rows[i].info), rows[i].key));
    return VS_OK;
}

static int host_key_load(struct vs_store *store, const char *configured)
{
    AUTO(secret_key) struct secret_key root;
    char path[PATH_MAX], data[PATH_MAX];
    int status;

    VS_TRY(configured != NULL ? path_join(configured, "", path)
                              : path_join(store->path, "/host.key", path));
    VS_TRY(path_join(store->path, "/data.mdb", data));
    status = host_key_read(store, path, &root);
    if (status == VS_NOT_FOUND && access(data, F_OK) == 0) {
        store_trace(store, "vs_store_open", "the store's host key is missing: %s", path);
        return VS_E_CORRUPT;
    }
    if (status == VS_NOT_FOUND) {
        VS_TRY(host_key_make(store, path));
        status = host_key_read(store, path, &root);
    }
    if (status == VS_NOT_FOUND)
        return VS_E_IO;
    VS_TRY(status);
    store->keys = vs_secret_alloc(sizeof(*store->keys));
    if (store->keys == NULL)
        return VS_E_NOMEM;
    return host_keys_derive(store, &root);
}

/* ------------------------------------------------------------------ an older copy? */

/* Nobody can tell any more whether this is an older copy: its numbers are taken for one's. */
static int head_lost_run(struct commit_txn *txn, void *ctx)
{
    const struct audit_entry entry = {.operation = "HeadLost", .principal = "public",
                                      .detail = "host.head was missing or not authentic"};

    (void)ctx;
    VS_TRY(commit_sequence_skip(txn));
    return audit_append(txn, &entry);
}

static int head_compare(struct vs_store *store, struct store_state *ret_state)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    int status;

    VS_TRY(kv_read(store->kv, &txn));
    status = audit_state_read(store, txn, ret_state);
    if (status == VS_NOT_FOUND)
        *ret_state = (struct store_state){.audit_seq = 0};
    else
        VS_TRY(status);
    return head_check(store, txn);
}

/* The mark is there before the store is of a format that has one: a later lack of it tells. */
static int head_begin(struct vs_store *store, const char *configured)
{
    char key[PATH_MAX], path[PATH_MAX];
    struct store_state state;
    uint32_t version = 0;
    int status, found;

    VS_TRY(configured != NULL ? path_join(configured, "", key)
                              : path_join(store->path, "/host.key", key));
    VS_TRY(head_path(key, path, sizeof(path)));
    VS_TRY(head_open(store, path));
    status = format_read(store, &version);
    if (status != VS_NOT_FOUND)
        VS_TRY(status);
    found = head_compare(store, &state);
    if (found == VS_OK || store->head.fd < 0)
        return found == VS_NOT_FOUND ? VS_OK : found;
    if (found != VS_NOT_FOUND)
        return found;
    VS_TRY(head_accept(store, &state));
    return version >= 2 ? commit_run(store, head_lost_run, NULL) : VS_OK;
}

/* ------------------------------------------------------------------ open, close */

static void identity_init(struct process_identity *self)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    size_t len = n < 0 ? 0 : (size_t)n, keep = sizeof(self->exe) - 1;

    path[len] = '\0';
    self->uid = (uint32_t)getuid();
    self->pid = (uint32_t)getpid();
    strcpy(self->exe, len > keep ? path + len - keep : path);
}

static struct vs_store *store_new(const struct vs_options *options)
{
    struct vs_store *store = calloc(1, sizeof(*store));
    size_t len = strlen(options->path);

    if (store == NULL)
        return NULL;
    while (len > 1 && options->path[len - 1] == '/')
        len--;
    store->path = malloc(len + 1);
    if (store->path == NULL) {
        free(store);
        return NULL;
    }
    memcpy(store->path, options->path, len);
    store->path[len] = '\0';
    store->defaults = options->defaults;
    policy_settle(&store->defaults);
    store->retention_max = options->retention_max_days != 0 ? options->retention_max_days
                                                            : VS_RETENTION_MAX_DAYS;
    store->name_index = options->name_index;
    store->time = options->time != NULL ? *options->time : *clock_system();
    store->trace = options->trace;
    store->on_event = options->on_event;
    store->terms = options->terms;
    commit_queue_init(&store->commits);
    head_init(&store->head);
    pthread_rwlock_init(&store->live_lock, NULL);
    pthread_mutex_init(&store->clock_lock, NULL);
    for (size_t i = 0; i < PIN_LOCKS; i++)
        pthread_mutex_init(&store->pin_locks[i], NULL);
    identity_init(&store->self);
    return store;
}

/* A disk that ran full when the store was made can leave half of LMDB's first two pages: nothing is
 * in it, and LMDB would not open it. A store that ever had something has its mark, or its slots. */
static int data_unfinished(const struct vs_store *store, const char *data, const char *slots,
                           const char *configured)
{
    char key[PATH_MAX], head[PATH_MAX];
    struct stat st;

    if (stat(data, &st) != 0)
        return errno == ENOENT ? VS_OK : file_fault(store, "look at", data);
    if (st.st_size == 0 || st.st_size >= 2 * sysconf(_SC_PAGESIZE))
        return VS_OK;
    VS_TRY(configured != NULL ? path_join(configured, "", key)
                              : path_join(store->path, "/host.key", key));
    VS_TRY(head_path(key, head, sizeof(head)));
    if (access(head, F_OK) == 0 || (stat(slots, &st) == 0 && st.st_size > 0))
        return VS_OK;
    return truncate(data, 0) == 0 ? VS_OK : file_fault(store, "truncate", data);
}

/* What a crash left of purges. A damaged record among it must not shut out all others. */
static int purge_left(struct vs_store *store)
{
    int status = store_result(store, __func__, purge_finish(store));

    return status == VS_E_CORRUPT ? VS_OK : status;
}

static int store_open_files(struct vs_store *store, const struct vs_options *options)
{
    AUTO(open_lock) struct open_lock lock = {.fd = -1};
    char slots[PATH_MAX], data[PATH_MAX];
    bool fresh;

    VS_TRY(path_join(store->path, "/slots", slots));
    VS_TRY(path_join(store->path, "/data.mdb", data));
    VS_TRY(directories_make(store));
    VS_TRY(path_check(store, store->path, 0022));
    VS_TRY(open_lock_take(store, &lock));
    VS_TRY(files_check(store));
    VS_TRY(sealer_new(&store->sealer));
    VS_TRY(seal_random(store->sealer, &store->correlation, sizeof(store->correlation)));
    VS_TRY(host_key_load(store, options->host_key_path));
    fresh = access(data, F_OK) != 0;
    VS_TRY(data_unfinished(store, data, slots, options->host_key_path));
    VS_TRY(kv_open(store->path, options->map_size != 0 ? options->map_size : MAP_SIZE_DEFAULT,
                   &store->kv));
    VS_TRY(keyslots_open(slots, store->sealer, &store->slots));
    if (fresh)
        VS_TRY(files_seal_modes(store));
    VS_TRY(head_begin(store, options->host_key_path));
    VS_TRY(format_settle(store));
    return atomic_load(&store->head.protects) ? VS_OK : purge_left(store);
}

int vs_store_open(const struct vs_options *options, struct vs_store **ret_store)
{
    struct vs_store *store;
    int status = policy_check(&options->defaults);

    if (status != VS_OK)
        return status;
    store = store_new(options);
    if (store == NULL)
        return VS_E_NOMEM;
    status = store_result(store, __func__, store_open_files(store, options));
    if (status != VS_OK) {
        vs_store_close(store);
        return status;
    }
    *ret_store = store;
    return VS_OK;
}

void vs_store_close(struct vs_store *store)
{
    if (store == NULL)
        return;
    if (store->slots != NULL)
        keyslots_close(store->slots);
    if (store->kv != NULL)
        kv_close(store->kv);
    vs_secret_free(store->keys, sizeof(*store->keys));
    sealer_free(store->sealer);
    for (size_t i = 0; i < PIN_LOCKS; i++)
        pthread_mutex_destroy(&store->pin_locks[i]);
    pthread_mutex_destroy(&store->clock_lock);
    pthread_rwlock_destroy(&store->live_lock);
    commit_queue_done(&store->commits);
    head_done(&store->head);
    free(store->path);
    free(store);
}

uint64_t vs_store_txnid(const struct vs_store *store)
{
    return kv_txnid(store->kv);
}

int store_reading(struct vs_store *store, struct kv_txn *txn, struct clock_reading *ret_reading)
{
    uint64_t txnid = kv_txnid(store->kv);
    struct store_state state;
    bool known;

    pthread_mutex_lock(&store->clock_lock);
    known = store->clock_txnid == txnid;
    state.anchor = store->clock_anchor;
    pthread_mutex_unlock(&store->clock_lock);
    if (!known) {
        VS_TRY(audit_state_read(store, txn, &state));
        pthread_mutex_lock(&store->clock_lock);
        /* An older snapshot's anchor yields the same time within a boot: no harm if it stays. */
        store->clock_txnid = txnid;
        store->clock_anchor = state.anchor;
        pthread_mutex_unlock(&store->clock_lock);
    }
    clock_read(&store->time, &state.anchor, ret_reading);
    return VS_OK;
}

int store_clock(struct vs_store *store, struct kv_txn *txn, int64_t *ret_now)
{
    struct clock_reading reading;

    VS_TRY(store_reading(store, txn, &reading));
    *ret_now = reading.now;
    return VS_OK;
}

int64_t vs_store_now(struct vs_store *store)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    int64_t now = 0;
    int status = kv_read(store->kv, &txn);

    if (status == VS_OK)
        status = store_clock(store, txn, &now);
    store_result(store, __func__, status);
    return now;
}
