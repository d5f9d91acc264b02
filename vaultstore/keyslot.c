#include "keyslot.h"

#include "auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEYSLOT_BATCH = 1024,        /* slots: 32 KiB to one sync */
    KEYSLOT_BLOCK = 128,         /* slots that are looked at, or written, at a time */
};

struct keyslots {
    int fd;
    struct sealer *sealer;
    atomic_uint_least64_t prepared;   /* slots that this process knows to be random and on disk */
};

static const uint8_t wiped[KEYSLOT_SIZE];

static int status_of(int error)
{
    static const struct { int error, status; } rows[] = {
        {ENOSPC, VS_E_FULL}, {EDQUOT, VS_E_FULL}, {EFBIG, VS_E_FULL},
        {EACCES, VS_E_PERM}, {EPERM, VS_E_PERM}, {EROFS, VS_E_PERM}, {ELOOP, VS_E_PERM},
        {ENOMEM, VS_E_NOMEM},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].error == error)
            return rows[i].status;
    return VS_E_IO;
}

/* ------------------------------------------------------------------ the file */

static int write_all(int fd, const uint8_t *data, size_t len, uint64_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)at);
        if (n < 0 && errno != EINTR)
            return status_of(errno);
        if (n > 0) {
            data += n;
            at += (uint64_t)n;
            len -= (size_t)n;
        }
    }
    return VS_OK;
}

/* VS_E_CORRUPT where the file is shorter. */
static int read_all(int fd, uint8_t *ret_data, size_t len, uint64_t at)
{
    while (len > 0) {
        ssize_t n = pread(fd, ret_data, len, (off_t)at);
        if (n == 0)
            return VS_E_CORRUPT;
        if (n < 0 && errno != EINTR)
            return status_of(errno);
        if (n > 0) {
            ret_data += n;
            at += (uint64_t)n;
            len -= (size_t)n;
        }
    }
    return VS_OK;
}

static int sync_data(int fd)
{
    while (fdatasync(fd) != 0)
        if (errno != EINTR)
            return status_of(errno);
    return VS_OK;
}

/* Whole slots: a tail that a crash cut off is not counted, and written again. */
static int slots_in_file(const struct keyslots *slots, uint64_t *ret_n)
{
    struct stat st;
    if (fstat(slots->fd, &st) != 0)
        return status_of(errno);
    *ret_n = (uint64_t)st.st_size / KEYSLOT_SIZE;
    return VS_OK;
}

static int directory_sync(const char *path)
{
    char directory[4096] = ".";
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) + 1 : 0;
    if (len >= sizeof(directory))
        return VS_E_IO;
    if (len > 0) {
        memcpy(directory, path, len);
        directory[len] = '\0';
    }
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return status_of(errno);
    int status = fsync(fd) == 0 ? VS_OK : status_of(errno);
    close(fd);
    return status;
}

int keyslots_open(const char *path, struct sealer *sealer, struct keyslots **ret_slots)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return status_of(errno);
    struct keyslots *slots = calloc(1, sizeof(*slots));
    uint64_t n = 0;
    int status = VS_E_NOMEM;
    if (slots) {
        *slots = (struct keyslots){.fd = fd, .sealer = sealer};
        status = slots_in_file(slots, &n);
    }
    if (status == VS_OK && n == 0)   /* perhaps just made, here or by another process */
        status = directory_sync(path);
    if (status != VS_OK) {
        free(slots);
        close(fd);
        return status;
    }
    *ret_slots = slots;
    return VS_OK;
}

void keyslots_close(struct keyslots *slots)
{
    if (!slots)
        return;
    close(slots->fd);
    free(slots);
}

/* ------------------------------------------------------------------ preparing */

static int secret_new(struct keyslots *slots, uint8_t ret_secret[KEYSLOT_SIZE])
{
    do {
        VS_TRY(seal_random(slots->sealer, ret_secret, KEYSLOT_SIZE));
    } while (seal_equal(ret_secret, wiped, KEYSLOT_SIZE));
    return VS_OK;
}

/* Gives each of n slots at `first` a secret; those that have one (below `present`) keep it. */
static int block_fill(struct keyslots *slots, uint64_t first, size_t n, uint64_t present)
{
    uint8_t block[KEYSLOT_BLOCK * KEYSLOT_SIZE] = {0};
    size_t old = present <= first ? 0 : present - first < n ? (size_t)(present - first) : n;
    int status = read_all(slots->fd, block, old * KEYSLOT_SIZE, first * KEYSLOT_SIZE);
    size_t changed = 0;
    for (size_t i = 0; status == VS_OK && i < n; i++) {
        uint8_t *secret = block + i * KEYSLOT_SIZE;
        if (!seal_equal(secret, wiped, KEYSLOT_SIZE))
            continue;
        status = secret_new(slots, secret);
        changed++;
    }
    if (status == VS_OK && changed > 0)
        status = write_all(slots->fd, block, n * KEYSLOT_SIZE, first * KEYSLOT_SIZE);
    explicit_bzero(block, sizeof(block));
    return status;
}

/*
 * Slots from `slot` on were never used: the caller holds the writer lock and asks for its next
 * sequence number. So what is there already, from another process or from before a crash, may be
 * completed: a batch whose sync was cut short can lie in the file as zeros, or be in the page
 * cache only, hence also the sync when nothing had to be written.
 */
int keyslots_prepare(struct keyslots *slots, uint64_t slot)
{
    if (slot < atomic_load_explicit(&slots->prepared, memory_order_acquire))
        return VS_OK;
    if (slot > INT64_MAX / KEYSLOT_SIZE - KEYSLOT_BATCH)
        return VS_E_FULL;
    uint64_t present;
    VS_TRY(slots_in_file(slots, &present));
    uint64_t end = (slot / KEYSLOT_BATCH + 1) * KEYSLOT_BATCH;
    for (uint64_t at = slot < present ? slot : present; at < end;) {
        size_t n = KEYSLOT_BLOCK - (size_t)(at % KEYSLOT_BLOCK);
        VS_TRY(block_fill(slots, at, n, present));
        at += n;
    }
    VS_TRY(sync_data(slots->fd));
    atomic_store_explicit(&slots->prepared, end, memory_order_release);
    return VS_OK;
}

/* ------------------------------------------------------------------ use */

int keyslots_read(struct keyslots *slots, uint64_t slot, uint8_t ret_secret[KEYSLOT_SIZE])
{
    uint8_t secret[KEYSLOT_SIZE];
    if (slot > INT64_MAX / KEYSLOT_SIZE - 1)
        return VS_E_CORRUPT;
    int status = read_all(slots->fd, secret, sizeof(secret), slot * KEYSLOT_SIZE);
    if (status == VS_OK && seal_equal(secret, wiped, sizeof(secret)))
        status = VS_NOT_FOUND;
    if (status == VS_OK)
        memcpy(ret_secret, secret, sizeof(secret));
    explicit_bzero(secret, sizeof(secret));
    return status;
}

int keyslots_end(struct keyslots *slots, uint64_t *ret_n)
{
    return slots_in_file(slots, ret_n);
}

int keyslots_wipe(struct keyslots *slots, const uint64_t *slot, size_t n)
{
    uint64_t present;
    VS_TRY(slots_in_file(slots, &present));
    for (size_t i = 0; i < n; i++) {
        if (slot[i] >= present)
            continue;            /* of an older file: there is nothing to wipe */
        VS_TRY(write_all(slots->fd, wiped, sizeof(wiped), slot[i] * KEYSLOT_SIZE));
    }
    return n > 0 ? sync_data(slots->fd) : VS_OK;
}
