/*
 * head.h: how far the event log had come, kept apart from it: host.head beside the host key. A
 * database that does not reach so far, or has another event there, is an older copy put back: the
 * store is then write-protected until the SO accepts it.
 *
 * The file is written after every commit and never synced, so it costs no disk; it may lag, and
 * then says less, but it is never ahead of what is on disk: no crash makes a false alarm.
 */
#ifndef HEAD_H
#define HEAD_H
#include <pthread.h>
#include <stdatomic.h>

#include "commit.h"

#define HEAD_HASH 32u
struct log_mark { uint64_t seq; uint8_t hash[HEAD_HASH]; };

struct head {
    pthread_mutex_t lock;
    int fd;                     /* -1: none can be kept there */
    _Atomic uint64_t noted;     /* seq that this process knows to be in the file */
    _Atomic bool protects;      /* the database is behind */
};

void head_init(struct head *head);
void head_done(struct head *head);
/* The file's path from the host key's: its ".key", if it has that, becomes ".head". */
VS_MUST_USE int head_path(const char *host_key_path, char *ret_path, size_t cap);
/* Opens the file, where one can be made; where not, it is traced and the store goes without. */
VS_MUST_USE int head_open(struct vs_store *store, const char *path);
/* What the file says: VS_NOT_FOUND when it is empty, not authentic, or there is none. */
VS_MUST_USE int head_read(struct vs_store *store, struct log_mark *ret_mark);
/* After a commit: the log has come so far. Faults are traced. */
void head_note(struct vs_store *store, const struct store_state *state);
/* Does the log have the event that a mark speaks of? */
VS_MUST_USE int head_fits(struct vs_store *store, const struct log_mark *mark, bool *ret_fits);
/* Compares; VS_NOT_FOUND when there is no mark to compare with. Sets what head_protects says. */
VS_MUST_USE int head_check(struct vs_store *store, struct kv_txn *txn);
/* Is the store write-protected? While it is, looks again whether another process accepted it. */
bool head_protects(struct vs_store *store, struct kv_txn *txn);
/* The log as it stands is the truth from now on. */
VS_MUST_USE int head_accept(struct vs_store *store, const struct store_state *state);
#endif
