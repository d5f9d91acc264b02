/* head.c: the mark that an older copy of the store does not reach. See head.h. */
#include "head.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "store_internal.h"

static const char MAGIC[8] = {'R', 'P', 'V', 'H', 'E', 'A', 'D', '1'};
#define BODY (sizeof(MAGIC) + 8u + HEAD_HASH)
#define SIZE (BODY + SEAL_KEY)

void head_init(struct head *head)
{
    *head = (struct head){.fd = -1};
    pthread_mutex_init(&head->lock, NULL);
}

void head_done(struct head *head)
{
    if (head->fd >= 0)
        close(head->fd);
    pthread_mutex_destroy(&head->lock);
}

int head_path(const char *host_key_path, char *ret_path, size_t cap)
{
    size_t len = strlen(host_key_path);
    int n;

    if (len >= 4 && strcmp(host_key_path + len - 4, ".key") == 0)
        len -= 4;
    n = snprintf(ret_path, cap, "%.*s.head", (int)len, host_key_path);
    return n < 0 || (size_t)n >= cap ? VS_E_PERM : VS_OK;
}

int head_open(struct vs_store *store, const char *path)
{
    struct stat st;

    store->head.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->head.fd < 0) {
        store_trace(store, __func__, "%s: %s; an older copy of the store would not be noticed",
                    path, strerror(errno));
        return VS_OK;
    }
    if (fstat(store->head.fd, &st) != 0)
        return VS_E_IO;
    if (!S_ISREG(st.st_mode) || (st.st_mode & 0022) != 0 ||
        (st.st_uid != geteuid() && geteuid() != 0)) {
        store_trace(store, __func__, "%s is not this user's alone: check who changed it, then: "
                    "chmod 0600 %s", path, path);
        return VS_E_PERM;
    }
    return VS_OK;
}

/* ------------------------------------------------------------------ the file, locked */

static void file_lock(struct head *head, int how)
{
    while (flock(head->fd, how) != 0 && errno == EINTR)
        ;
}

static int mark_read(struct vs_store *store, struct log_mark *ret_mark)
{
    uint8_t bytes[SIZE], mac[SEAL_KEY];
    struct log_mark mark;
    struct reader r;

    if (pread(store->head.fd, bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes) ||
        memcmp(bytes, MAGIC, sizeof(MAGIC)) != 0)
        return VS_NOT_FOUND;
    VS_TRY(seal_mac(store->sealer, store->keys->head, bytes, BODY, mac));
    if (!seal_equal(mac, bytes + BODY, sizeof(mac)))
        return VS_NOT_FOUND;
    reader_init(&r, bytes + sizeof(MAGIC), BODY - sizeof(MAGIC));
    mark.seq = get_u64(&r);
    get_raw(&r, mark.hash, sizeof(mark.hash));
    *ret_mark = mark;
    return VS_OK;
}

static int mark_write(struct vs_store *store, const struct store_state *state)
{
    uint8_t bytes[SIZE];
    struct writer w;

    writer_init(&w, bytes, sizeof(bytes));
    put_raw(&w, MAGIC, sizeof(MAGIC));
    put_u64(&w, state->audit_seq);
    put_raw(&w, state->audit_hash, HEAD_HASH);
    VS_TRY(seal_mac(store->sealer, store->keys->head, bytes, BODY, bytes + BODY));
    return pwrite(store->head.fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) ? VS_OK
                                                                                     : VS_E_IO;
}

int head_read(struct vs_store *store, struct log_mark *ret_mark)
{
    int status;

    if (store->head.fd < 0)
        return VS_NOT_FOUND;
    /* the threads of a process share the lock of the file */
    pthread_mutex_lock(&store->head.lock);
    file_lock(&store->head, LOCK_SH);
    status = mark_read(store, ret_mark);
    file_lock(&store->head, LOCK_UN);
    pthread_mutex_unlock(&store->head.lock);
    return status;
}

/* Only ever forward, whichever process comes first, unless `back`. */
static int mark_move(struct vs_store *store, const struct store_state *state, bool back)
{
    struct log_mark mark;
    int status;

    pthread_mutex_lock(&store->head.lock);
    file_lock(&store->head, LOCK_EX);
    status = mark_read(store, &mark);
    if (status == VS_NOT_FOUND || (status == VS_OK && (back || mark.seq < state->audit_seq)))
        status = mark_write(store, state);
    file_lock(&store->head, LOCK_UN);
    pthread_mutex_unlock(&store->head.lock);
    return status;
}

/* ------------------------------------------------------------------ the mark and the log */

void head_note(struct vs_store *store, const struct store_state *state)
{
    struct head *head = &store->head;

    if (head->fd < 0 || atomic_load(&head->protects) ||
        state->audit_seq <= atomic_load(&head->noted))
        return;
    if (store_result(store, __func__, mark_move(store, state, false)) == VS_OK)
        atomic_store(&head->noted, state->audit_seq);
}

/* Is the event that the mark speaks of in the log, and the same? */
static int mark_fits(struct vs_store *store, struct kv_txn *txn, const struct log_mark *mark,
                     bool *ret_fits)
{
    struct key key = key_audit(mark->seq);
    struct kv_slice name = {key.b, key.len}, value;
    struct store_state state;
    struct vs_event event;
    int status;

    if (mark->seq == 0) {
        *ret_fits = true;
        return VS_OK;
    }
    status = kv_get(txn, key.b, key.len, &value);
    if (status == VS_OK)
        status = audit_open(store, &name, &value, &event, &state);
    if (status != VS_OK && status != VS_NOT_FOUND && status != VS_E_CORRUPT)
        return status;
    *ret_fits = status == VS_OK && memcmp(state.audit_hash, mark->hash, HEAD_HASH) == 0;
    return VS_OK;
}

int head_fits(struct vs_store *store, const struct log_mark *mark, bool *ret_fits)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;

    VS_TRY(kv_read(store->kv, &txn));
    return mark_fits(store, txn, mark, ret_fits);
}

int head_check(struct vs_store *store, struct kv_txn *txn)
{
    struct log_mark mark;
    bool fits;

    VS_TRY(head_read(store, &mark));
    VS_TRY(mark_fits(store, txn, &mark, &fits));
    if (!fits && !atomic_load(&store->head.protects))
        store_trace(store, __func__, "%s is an older copy: its log has not the event %llu that "
                    "host.head knows. It is write-protected; see: reprieve doctor", store->path,
                    (unsigned long long)mark.seq);
    atomic_store(&store->head.protects, !fits);
    return VS_OK;
}

bool head_protects(struct vs_store *store, struct kv_txn *txn)
{
    if (!atomic_load(&store->head.protects))
        return false;
    /* The mark gone: that lifts nothing. */
    if (head_check(store, txn) == VS_NOT_FOUND)
        return true;
    return atomic_load(&store->head.protects);
}

int head_accept(struct vs_store *store, const struct store_state *state)
{
    if (store->head.fd >= 0)
        VS_TRY(mark_move(store, state, true));
    atomic_store(&store->head.noted, state->audit_seq);
    atomic_store(&store->head.protects, false);
    return VS_OK;
}
