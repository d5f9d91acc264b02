/*
 * kv.h: an ordered key-value store with transactions: the seam where a second engine plugs in.
 * Only kv_lmdb.c includes lmdb.h. One flat key space; a key's first byte is its table (schema.h).
 *
 * Single-writer, many readers, across processes. A read transaction sees one snapshot. Values
 * handed out point into the map and live until the transaction's end, or until the next put or
 * delete of a write transaction. Statuses are vs_status.
 */
#ifndef KV_H
#define KV_H
#include "vaultstore.h"

#define KV_KEY_MAX 128u

struct kv;
struct kv_txn;

struct kv_slice { const uint8_t *data; size_t len; };

/* Opens or makes data.mdb and lock.mdb (0600) in dir. map_size: at first; grows by doubling. */
VS_MUST_USE int kv_open(const char *dir, size_t map_size, struct kv **ret_kv);
void kv_close(struct kv *kv);
/* Another process that had it open when this one opened it first; 0: none. -1: one that has no
 * number here. */
int64_t kv_other(const struct kv *kv);
/* Last committed transaction of any process; no lock, no system call. */
uint64_t kv_txnid(const struct kv *kv);

/* A thread holds at most one transaction at a time: another process may have grown the map, and
 * then a second one would wait for the first (and fail with VS_E_BUSY after ten seconds). */
/* Read: taken from a pool of renewed transactions; cheap (tens of ns). Never blocks on a writer. */
VS_MUST_USE int kv_read(struct kv *kv, struct kv_txn **ret_txn);
/* Write: waits for the one writer lock of all processes. */
VS_MUST_USE int kv_write(struct kv *kv, struct kv_txn **ret_txn);
/*
 * Ends a write transaction durably. VS_E_FULL: disk full. On any failure nothing has changed
 * and the transaction is gone. Ends a read transaction too (as kv_abort).
 */
VS_MUST_USE int kv_commit(struct kv_txn *txn);
void kv_abort(struct kv_txn *txn);   /* NULL is allowed */
/* The map is full (an internal KV_MAP_FULL from put or commit): grow it, with no transaction of
 * this thread open; waits for the other readers of this process. Then run the write again. */
#define KV_MAP_FULL 100
VS_MUST_USE int kv_grow(struct kv *kv);

VS_MUST_USE int kv_get(struct kv_txn *txn, const void *key, size_t key_len,
                       struct kv_slice *ret_value);                       /* VS_NOT_FOUND */
VS_MUST_USE int kv_put(struct kv_txn *txn, const void *key, size_t key_len, const void *value,
                       size_t value_len);   /* KV_MAP_FULL possible: abort, kv_grow, run it again */
VS_MUST_USE int kv_delete(struct kv_txn *txn, const void *key, size_t key_len); /* VS_NOT_FOUND */

/* A cursor within a transaction: seek positions on the first key >= key. */
struct kv_cursor;
VS_MUST_USE int kv_cursor_open(struct kv_txn *txn, struct kv_cursor **ret_cursor);
void kv_cursor_close(struct kv_cursor *cursor);   /* before the transaction's end; NULL allowed */
VS_MUST_USE int kv_cursor_seek(struct kv_cursor *cursor, const void *key, size_t key_len,
                               struct kv_slice *ret_key, struct kv_slice *ret_value); /* VS_END */
VS_MUST_USE int kv_cursor_next(struct kv_cursor *cursor, struct kv_slice *ret_key,
                               struct kv_slice *ret_value);               /* VS_END */
VS_MUST_USE int kv_cursor_prev(struct kv_cursor *cursor, struct kv_slice *ret_key,
                               struct kv_slice *ret_value);               /* VS_END */
/* The last key < the given one (the last of a table: seek before the next table's prefix). */
VS_MUST_USE int kv_cursor_before(struct kv_cursor *cursor, const void *key, size_t key_len,
                                 struct kv_slice *ret_key, struct kv_slice *ret_value); /* VS_END */
/* Copies a consistent snapshot of the whole environment to a new file (for tests and backup). */
VS_MUST_USE int kv_copy(struct kv *kv, const char *path);
#endif
