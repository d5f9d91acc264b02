/*
 * kv_lmdb.c: kv.h over LMDB, one environment, its unnamed database.
 *
 * The gate. LMDB may change its map only while no transaction of this process is active, so
 * every transaction passes a gate: a reader owns one of the slots below for as long as it reads
 * (the slot also keeps its LMDB reader warm), a writer owns `writer`. Whoever resizes takes
 * `writer`, claims every slot, so that no reader takes it anew, and waits for those that read.
 * Taking a slot is one atomic exchange on a cache line that usually only one thread touches.
 */
#include "kv.h"

#include "auto.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
    KV_SLOTS = 64,               /* reads that one process does at the same moment */
    KV_LOCK_SIZE = 1 << 16,      /* of lock.mdb: room for 1023 readers in all processes */
    KV_GATE_ROUND_MS = 20,       /* how long a resizer keeps readers out before it lets them by */
    KV_GATE_LIMIT_MS = 10000,    /* then it gives up: a thread resizes within its own read */
};
#define KV_MAP_DEFAULT ((size_t)64 << 20)

struct kv_txn {
    struct kv *kv;
    MDB_txn *mdb;
    bool is_write;
    int failed;                  /* what a put or delete failed with: all a commit can say */
};

enum { SLOT_FREE = 0, SLOT_READER = 1, SLOT_GATE = 2 };   /* bits: the gate claims what is read */

struct kv_slot {
    _Alignas(64) atomic_uint state;
    struct kv_txn txn;           /* txn.mdb NULL: never used yet */
};

struct kv {
    MDB_env *env;
    MDB_dbi dbi;
    char *dir;
    struct kv *next;             /* of `opened`, with the count of its users and its identity */
    size_t users;
    pid_t pid;
    dev_t dev;
    ino_t ino;
    pid_t other;                 /* who else had it open when this process opened it; 0: nobody */
    atomic_bool broken;          /* the map is gone: nothing works until a new open */
    atomic_size_t map_size;
    const size_t *last_txnid;    /* within lock_page; NULL: ask a transaction */
    void *lock_page;
    pthread_mutex_t writer;
    struct kv_txn write_txn;     /* belongs to the owner of `writer` */
    struct kv_slot slots[KV_SLOTS];
};

/* ------------------------------------------------------------------ statuses */

static const struct {
    int code, status;
} kv_codes[] = {
    {MDB_SUCCESS, VS_OK},
    {MDB_NOTFOUND, VS_NOT_FOUND},
    {MDB_MAP_FULL, KV_MAP_FULL},
    {MDB_READERS_FULL, VS_E_BUSY},
    {MDB_CORRUPTED, VS_E_CORRUPT},
    {MDB_PAGE_NOTFOUND, VS_E_CORRUPT},
    {MDB_INVALID, VS_E_CORRUPT},
    {MDB_VERSION_MISMATCH, VS_E_CORRUPT},
    {MDB_PANIC, VS_E_IO},        /* a failed write of the meta page ends the environment's life */
    {ENOSPC, VS_E_FULL},
    {EDQUOT, VS_E_FULL},
    {EFBIG, VS_E_FULL},
    {ENOMEM, VS_E_NOMEM},
    {EACCES, VS_E_PERM},
    {EPERM, VS_E_PERM},
    {EROFS, VS_E_PERM},
};

static bool device_full(const char *dir)
{
    struct statvfs fs;
    return statvfs(dir, &fs) == 0 && fs.f_bavail * fs.f_frsize < (1u << 16);
}

static int kv_status(const struct kv *kv, int code)
{
    /* LMDB 0.9 reports a short write, which is how a disk runs full, as EIO. */
    if (code == EIO && kv->dir && device_full(kv->dir))
        return VS_E_FULL;
    for (size_t i = 0; i < sizeof(kv_codes) / sizeof(kv_codes[0]); i++)
        if (kv_codes[i].code == code)
            return kv_codes[i].status;
    return VS_E_IO;
}

/* ------------------------------------------------------------------ the gate */

/* A number for each thread, so that threads start at different slots. */
static size_t thread_hint(void)
{
    static atomic_size_t next = 1;
    static _Thread_local size_t hint;
    if (hint == 0)
        hint = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
    return hint;
}

static bool slot_try(struct kv_slot *slot)
{
    unsigned state = SLOT_FREE;
    return atomic_load_explicit(&slot->state, memory_order_relaxed) == SLOT_FREE &&
           atomic_compare_exchange_strong_explicit(&slot->state, &state, SLOT_READER,
                                                   memory_order_acquire, memory_order_relaxed);
}

static void slot_release(struct kv_slot *slot)
{
    atomic_fetch_and_explicit(&slot->state, ~(unsigned)SLOT_READER, memory_order_release);
}

static void gate_pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

static struct kv_slot *slot_take(struct kv *kv)
{
    for (size_t first = thread_hint();; gate_pause()) {
        for (size_t i = 0; i < KV_SLOTS; i++) {
            struct kv_slot *slot = &kv->slots[(first + i) % KV_SLOTS];
            if (slot_try(slot))
                return slot;
        }
    }
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void gate_open(struct kv *kv)
{
    for (size_t i = 0; i < KV_SLOTS; i++)
        atomic_fetch_and_explicit(&kv->slots[i].state, ~(unsigned)SLOT_GATE,
                                  memory_order_release);
    pthread_mutex_unlock(&kv->writer);
}

/* Takes everything within one round, or nothing. */
static bool gate_round(struct kv *kv)
{
    int64_t deadline = now_ms() + KV_GATE_ROUND_MS;
    pthread_mutex_lock(&kv->writer);
    for (size_t i = 0; i < KV_SLOTS; i++)
        atomic_fetch_or_explicit(&kv->slots[i].state, SLOT_GATE, memory_order_acquire);
    for (size_t i = 0; i < KV_SLOTS; i++) {
        while (atomic_load_explicit(&kv->slots[i].state, memory_order_acquire) & SLOT_READER) {
            if (now_ms() > deadline) {
                gate_open(kv);
                return false;
            }
            gate_pause();
        }
    }
    return true;
}

/* In rounds: a thread that reads already and wants a second transaction must be let by. */
static int gate_close(struct kv *kv)
{
    int64_t deadline = now_ms() + KV_GATE_LIMIT_MS;
    while (!gate_round(kv)) {
        if (now_ms() > deadline)
            return VS_E_BUSY;
        for (int i = 0; i < 20; i++)
            gate_pause();
    }
    return VS_OK;
}

/* LMDB unmaps before it maps: ask for the address space first, while a refusal is harmless. */
static bool address_space_free(size_t size)
{
    void *trial = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return trial != MAP_FAILED && munmap(trial, size) == 0;
}

static size_t map_size_read(const struct kv *kv)
{
    MDB_envinfo info;
    return mdb_env_info(kv->env, &info) == 0 ? info.me_mapsize : 0;
}

/* Behind the closed gate. size 0: what the process that grew it last says. */
static int map_resize(struct kv *kv, size_t size)
{
    if (atomic_load(&kv->broken))
        return VS_E_NOMEM;
    if (!address_space_free(size ? size : map_size_read(kv)))
        return VS_E_FULL;
    if (mdb_env_set_mapsize(kv->env, size) != 0) {
        atomic_store(&kv->broken, true);
        return VS_E_NOMEM;
    }
    atomic_store(&kv->map_size, map_size_read(kv));
    return VS_OK;
}

static int map_adopt(struct kv *kv)
{
    VS_TRY(gate_close(kv));
    int status = map_resize(kv, 0);
    gate_open(kv);
    return status;
}

int kv_grow(struct kv *kv)
{
    size_t before = atomic_load(&kv->map_size);
    VS_TRY(gate_close(kv));
    int status = VS_OK;
    if (atomic_load(&kv->map_size) <= before)   /* else another thread has just done it */
        status = before > SIZE_MAX / 4 ? VS_E_FULL : map_resize(kv, before * 2);
    gate_open(kv);
    return status;
}

/* ------------------------------------------------------------------ lock.mdb */

/*
 * LMDB keeps the id of the last transaction that readers can see in the lock file, behind two
 * words and a mutex. mdb_env_info() will not do: it reads the map, which a resize takes away, and
 * it shows a commit a moment before a new read transaction sees it, so a caller that looked
 * again because of it could miss the change for ever. Used only if magic and value agree with
 * what LMDB itself says.
 */
#define LOCK_MAGIC 0xBEEFC0DEu
#define LOCK_TXNID (2 * sizeof(uint32_t) + sizeof(pthread_mutex_t))

/* LMDB holds a read lock on the first byte of the file for as long as it has it open. */
static pid_t lock_file_other(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        return 0;
    return lock.l_pid > 0 ? lock.l_pid : -1;   /* in another namespace it has no number here */
}

/*
 * Before LMDB opens it: closing any descriptor of this file later would drop LMDB's fcntl locks.
 * The space is allocated now, for on a full disk a first touch of the mapping is a SIGBUS.
 */
static int lock_file_prepare(struct kv *kv)
{
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/lock.mdb", kv->dir) >= (int)sizeof(path))
        return ENAMETOOLONG;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno;
    int code = fallocate(fd, 0, 0, KV_LOCK_SIZE) == 0 || errno == EOPNOTSUPP ? 0 : errno;
    if (code == 0) {
        void *page = mmap(NULL, KV_LOCK_SIZE, PROT_READ, MAP_SHARED, fd, 0);
        kv->lock_page = page == MAP_FAILED ? NULL : page;
    }
    kv->other = lock_file_other(fd);
    close(fd);
    return code;
}

static size_t lock_page_txnid(const size_t *last)
{
    return __atomic_load_n(last, __ATOMIC_ACQUIRE);
}

/* Other processes may commit meanwhile: look a few times. */
static bool lock_page_fits(const struct kv *kv, const size_t *last)
{
    if (*(const uint32_t *)kv->lock_page != LOCK_MAGIC)
        return false;
    for (int i = 0; i < 8; i++) {
        MDB_txn *txn;
        size_t before = lock_page_txnid(last);
        if (mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn) != 0)
            return false;
        size_t id = mdb_txn_id(txn);
        mdb_txn_abort(txn);
        if (before >= id)
            return before == id;
    }
    return false;
}

/* ------------------------------------------------------------------ open and close */

/*
 * LMDB must not have one store open twice in one process, so a second open shares the first's.
 * The list's lock is the pid of its owner: one that was inherited by fork from a thread that
 * does not exist here is another's pid, and is taken over; so are the list's inherited members
 * ignored.
 */
static struct kv *opened;
static atomic_int opened_owner;

static void opened_lock(void)
{
    int me = getpid();
    int owner = atomic_load(&opened_owner);
    while (owner == me || !atomic_compare_exchange_weak(&opened_owner, &owner, me)) {
        sched_yield();
        owner = atomic_load(&opened_owner);
    }
}

static void opened_unlock(void)
{
    atomic_store(&opened_owner, 0);
}

static struct kv *opened_find(const struct stat *dir)
{
    struct kv *kv = opened;
    while (kv && !(kv->dev == dir->st_dev && kv->ino == dir->st_ino && kv->pid == getpid()))
        kv = kv->next;
    return kv;
}

static int database_open(struct kv *kv)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn);
    if (code != 0)
        return code;
    code = mdb_dbi_open(txn, NULL, 0, &kv->dbi);
    mdb_txn_abort(txn);
    return code;
}

static int env_open(struct kv *kv, size_t map_size)
{
    int dead, code = lock_file_prepare(kv);
    if (code == 0)
        code = mdb_env_create(&kv->env);
    if (code == 0)
        code = mdb_env_set_userctx(kv->env, kv);
    if (code == 0)
        code = mdb_env_open(kv->env, kv->dir, MDB_NOTLS, 0600);
    if (code == 0)
        code = mdb_reader_check(kv->env, &dead);   /* those of killed processes would pin pages */
    if (code == 0 && map_size_read(kv) < map_size)
        code = mdb_env_set_mapsize(kv->env, map_size);
    if (code == 0)
        code = database_open(kv);
    while (code == MDB_MAP_RESIZED) {   /* another process grew it this very moment */
        code = mdb_env_set_mapsize(kv->env, 0);
        if (code == 0)
            code = database_open(kv);
    }
    return code;
}

static void kv_free(struct kv *kv)
{
    for (size_t i = 0; i < KV_SLOTS; i++)
        mdb_txn_abort(kv->slots[i].txn.mdb);
    mdb_env_close(kv->env);
    if (kv->lock_page)
        munmap(kv->lock_page, KV_LOCK_SIZE);
    pthread_mutex_destroy(&kv->writer);
    free(kv->dir);
    free(kv);
}

static int kv_new(const char *dir, const struct stat *st, size_t map_size, struct kv **ret_kv)
{
    struct kv *kv = aligned_alloc(_Alignof(struct kv), sizeof(*kv));
    if (!kv)
        return VS_E_NOMEM;
    memset(kv, 0, sizeof(*kv));
    pthread_mutex_init(&kv->writer, NULL);
    kv->pid = getpid();
    kv->dev = st->st_dev;
    kv->ino = st->st_ino;
    size_t dir_size = strlen(dir) + 1;
    kv->dir = malloc(dir_size);
    if (kv->dir)
        memcpy(kv->dir, dir, dir_size);
    int status = kv->dir ? kv_status(kv, env_open(kv, map_size)) : VS_E_NOMEM;
    if (status != VS_OK) {
        kv_free(kv);
        return status;
    }
    atomic_store(&kv->map_size, map_size_read(kv));
    const size_t *last = kv->lock_page ? (size_t *)((char *)kv->lock_page + LOCK_TXNID) : NULL;
    if (last && lock_page_fits(kv, last))
        kv->last_txnid = last;
    *ret_kv = kv;
    return VS_OK;
}

int kv_open(const char *dir, size_t map_size, struct kv **ret_kv)
{
    struct stat st;
    if (stat(dir, &st) != 0)
        return errno == EACCES ? VS_E_PERM : VS_E_IO;
    opened_lock();
    int status = VS_OK;
    struct kv *kv = opened_find(&st);
    if (!kv) {
        status = kv_new(dir, &st, map_size ? map_size : KV_MAP_DEFAULT, &kv);
        if (status == VS_OK) {
            kv->next = opened;
            opened = kv;
        }
    }
    if (status == VS_OK) {
        kv->users++;
        *ret_kv = kv;
    }
    opened_unlock();
    return status;
}

int64_t kv_other(const struct kv *kv)
{
    return kv->other;
}

void kv_close(struct kv *kv)
{
    if (!kv)
        return;
    opened_lock();
    if (--kv->users == 0) {
        struct kv **at = &opened;
        while (*at != kv)
            at = &(*at)->next;
        *at = kv->next;
        kv_free(kv);
    }
    opened_unlock();
}

/* ------------------------------------------------------------------ transactions */

static int reader_begin(struct kv *kv, struct kv_txn *txn)
{
    int dead;
    txn->kv = kv;
    if (atomic_load_explicit(&kv->broken, memory_order_relaxed))
        return ENOMEM;
    if (txn->mdb)
        return mdb_txn_renew(txn->mdb);
    int code = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn->mdb);
    if (code == MDB_READERS_FULL && mdb_reader_check(kv->env, &dead) == 0 && dead > 0)
        code = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn->mdb);
    if (code != 0)
        txn->mdb = NULL;
    return code;
}

int kv_read(struct kv *kv, struct kv_txn **ret_txn)
{
    for (;;) {
        struct kv_slot *slot = slot_take(kv);
        int code = reader_begin(kv, &slot->txn);
        if (code == 0) {
            *ret_txn = &slot->txn;
            return VS_OK;
        }
        slot_release(slot);
        if (code != MDB_MAP_RESIZED)
            return kv_status(kv, code);
        VS_TRY(map_adopt(kv));
    }
}

int kv_write(struct kv *kv, struct kv_txn **ret_txn)
{
    for (;;) {
        pthread_mutex_lock(&kv->writer);
        kv->write_txn = (struct kv_txn){.kv = kv, .is_write = true};
        int code = atomic_load_explicit(&kv->broken, memory_order_relaxed)
                       ? ENOMEM
                       : mdb_txn_begin(kv->env, NULL, 0, &kv->write_txn.mdb);
        if (code == 0) {
            *ret_txn = &kv->write_txn;
            return VS_OK;
        }
        pthread_mutex_unlock(&kv->writer);
        if (code != MDB_MAP_RESIZED)
            return kv_status(kv, code);
        VS_TRY(map_adopt(kv));
    }
}

static void reader_end_txn(struct kv_txn *txn)
{
    mdb_txn_reset(txn->mdb);
    slot_release((struct kv_slot *)((char *)txn - offsetof(struct kv_slot, txn)));
}

int kv_commit(struct kv_txn *txn)
{
    if (!txn->is_write) {
        reader_end_txn(txn);
        return VS_OK;
    }
    struct kv *kv = txn->kv;
    int status = txn->failed;
    if (status != VS_OK)
        mdb_txn_abort(txn->mdb);
    else
        status = kv_status(kv, mdb_txn_commit(txn->mdb));
    pthread_mutex_unlock(&kv->writer);
    return status;
}

void kv_abort(struct kv_txn *txn)
{
    if (!txn)
        return;
    if (!txn->is_write) {
        reader_end_txn(txn);
        return;
    }
    mdb_txn_abort(txn->mdb);
    pthread_mutex_unlock(&txn->kv->writer);
}

uint64_t kv_txnid(const struct kv *kv)
{
    if (kv->last_txnid)
        return lock_page_txnid(kv->last_txnid);
    /* A pool slot is state of its own; the caller's kv is not changed. */
    struct kv_txn *txn;
    if (kv_read((struct kv *)(uintptr_t)kv, &txn) != VS_OK)
        return UINT64_MAX;   /* differs from what was seen: the caller looks and meets the fault */
    uint64_t id = mdb_txn_id(txn->mdb);
    kv_abort(txn);
    return id;
}

/* ------------------------------------------------------------------ keys and values */

static MDB_val val_of(const void *data, size_t len)
{
    return (MDB_val){.mv_size = len, .mv_data = (void *)(uintptr_t)data};
}

static struct kv_slice slice_of(const MDB_val *val)
{
    return (struct kv_slice){.data = val->mv_data, .len = val->mv_size};
}

int kv_get(struct kv_txn *txn, const void *key, size_t key_len, struct kv_slice *ret_value)
{
    MDB_val k = val_of(key, key_len), v;
    int code = mdb_get(txn->mdb, txn->kv->dbi, &k, &v);
    if (code != 0)
        return kv_status(txn->kv, code);
    *ret_value = slice_of(&v);
    return VS_OK;
}

static int write_status(struct kv_txn *txn, int code)
{
    int status = kv_status(txn->kv, code);
    if (status != VS_OK && status != VS_NOT_FOUND && txn->failed == VS_OK)
        txn->failed = status;
    return status;
}

int kv_put(struct kv_txn *txn, const void *key, size_t key_len, const void *value,
           size_t value_len)
{
    MDB_val k = val_of(key, key_len), v = val_of(value, value_len);
    return write_status(txn, mdb_put(txn->mdb, txn->kv->dbi, &k, &v, 0));
}

int kv_delete(struct kv_txn *txn, const void *key, size_t key_len)
{
    MDB_val k = val_of(key, key_len);
    return write_status(txn, mdb_del(txn->mdb, txn->kv->dbi, &k, NULL));
}

/* ------------------------------------------------------------------ cursors */

/* A kv_cursor is LMDB's own under another name: a wrapper would cost an allocation per find. */
static MDB_cursor *cursor_mdb(struct kv_cursor *cursor)
{
    return (MDB_cursor *)cursor;
}

int kv_cursor_open(struct kv_txn *txn, struct kv_cursor **ret_cursor)
{
    MDB_cursor *mdb;
    int code = mdb_cursor_open(txn->mdb, txn->kv->dbi, &mdb);
    if (code != 0)
        return kv_status(txn->kv, code);
    *ret_cursor = (struct kv_cursor *)mdb;
    return VS_OK;
}

void kv_cursor_close(struct kv_cursor *cursor)
{
    mdb_cursor_close(cursor_mdb(cursor));
}

static int cursor_status(MDB_cursor *mdb, int code, const MDB_val *k, const MDB_val *v,
                         struct kv_slice *ret_key, struct kv_slice *ret_value)
{
    if (code == MDB_NOTFOUND)
        return VS_END;
    if (code != 0)
        return kv_status(mdb_env_get_userctx(mdb_txn_env(mdb_cursor_txn(mdb))), code);
    *ret_key = slice_of(k);
    *ret_value = slice_of(v);
    return VS_OK;
}

int kv_cursor_seek(struct kv_cursor *cursor, const void *key, size_t key_len,
                   struct kv_slice *ret_key, struct kv_slice *ret_value)
{
    MDB_val k = val_of(key, key_len), v;
    int code = mdb_cursor_get(cursor_mdb(cursor), &k, &v, key_len ? MDB_SET_RANGE : MDB_FIRST);
    return cursor_status(cursor_mdb(cursor), code, &k, &v, ret_key, ret_value);
}

int kv_cursor_next(struct kv_cursor *cursor, struct kv_slice *ret_key, struct kv_slice *ret_value)
{
    MDB_val k, v;
    int code = mdb_cursor_get(cursor_mdb(cursor), &k, &v, MDB_NEXT);
    return cursor_status(cursor_mdb(cursor), code, &k, &v, ret_key, ret_value);
}

int kv_cursor_prev(struct kv_cursor *cursor, struct kv_slice *ret_key, struct kv_slice *ret_value)
{
    MDB_val k, v;
    int code = mdb_cursor_get(cursor_mdb(cursor), &k, &v, MDB_PREV);
    return cursor_status(cursor_mdb(cursor), code, &k, &v, ret_key, ret_value);
}

int kv_cursor_before(struct kv_cursor *cursor, const void *key, size_t key_len,
                     struct kv_slice *ret_key, struct kv_slice *ret_value)
{
    MDB_cursor *mdb = cursor_mdb(cursor);
    MDB_val k = val_of(key, key_len), v;
    if (key_len == 0)
        return VS_END;
    int code = mdb_cursor_get(mdb, &k, &v, MDB_SET_RANGE);
    if (code == 0)
        code = mdb_cursor_get(mdb, &k, &v, MDB_PREV);
    else if (code == MDB_NOTFOUND)
        code = mdb_cursor_get(mdb, &k, &v, MDB_LAST);
    return cursor_status(mdb, code, &k, &v, ret_key, ret_value);
}

/* ------------------------------------------------------------------ copy */

/* Owning a slot keeps the map where it is; the copy's own read transaction is LMDB's. */
static int copy_to(struct kv *kv, int fd)
{
    for (;;) {
        struct kv_slot *slot = slot_take(kv);
        int code = atomic_load(&kv->broken) ? ENOMEM : mdb_env_copyfd(kv->env, fd);
        slot_release(slot);
        if (code != MDB_MAP_RESIZED)
            return code == 0 && fsync(fd) != 0 ? kv_status(kv, errno) : kv_status(kv, code);
        VS_TRY(map_adopt(kv));
    }
}

int kv_copy(struct kv *kv, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return kv_status(kv, errno);
    int status = copy_to(kv, fd);
    close(fd);
    if (status != VS_OK)
        unlink(path);
    return status;
}
