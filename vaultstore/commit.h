/*
 * commit.h: group commit. A change is a function run inside a write transaction; changes of
 * several threads that wait for the disk at the same time share one transaction and one sync.
 *
 * The function may run more than once (a full map, a neighbour's fault), each time on a fresh
 * transaction, and in another thread: it has no effect but through the transaction and its own
 * context, whose outputs it sets anew each time. It returns an outcome (positive) before its
 * first put. A fault (negative, or KV_MAP_FULL) undoes the whole transaction; every change of the
 * batch is then run alone.
 */
#ifndef COMMIT_H
#define COMMIT_H
#include <pthread.h>

#include "clock.h"
#include "kv.h"
#include "schema.h"

/* What every change needs to know of the store: all of it is in the last audit record. */
struct store_state {
    uint64_t audit_seq;         /* of the last audit record; 0: none yet */
    uint8_t audit_hash[32];
    uint64_t next_seq;          /* the next object's or generation's sequence number */
    uint32_t next_generation;
    struct clock_anchor anchor;
};

/* One change as the audit sees it: when it was asked for, what its events have in common, and, for
 * vs_options.on_event, what it has written so far. */
struct commit_note {
    uint64_t began_ns;
    uint8_t correlation[16];
    struct vs_event *events;
    size_t n, cap;
};

struct commit_txn {
    struct vs_store *store;
    struct commit_note *note;   /* of the change that is being run */
    struct kv_txn *kv;
    struct store_state state;
    struct clock_reading clock;
    bool dirty;
};

typedef int commit_fn(struct commit_txn *txn, void *ctx);

struct commit_request;
struct commit_queue {
    pthread_mutex_t lock;
    struct commit_request *head, *tail;
    bool leading;
};

void commit_queue_init(struct commit_queue *queue);
void commit_queue_done(struct commit_queue *queue);
/* Runs the change and returns after it is on disk. VS_LOCKED while the store is an older copy that
 * nobody has accepted (head.h). */
VS_MUST_USE int commit_run(struct vs_store *store, commit_fn *fn, void *ctx);
/* The same, also then: what is recorded, and the way out of it. */
VS_MUST_USE int commit_run_always(struct vs_store *store, commit_fn *fn, void *ctx);

/*
 * How much a long work does in one change, so that the writer lock is free again soon: `size`
 * follows how long the changes held it, from 32 up to `most`.
 */
struct commit_pace { size_t size, most; uint64_t began_ns; };
struct commit_pace commit_pace(size_t most);
void commit_pace_begin(struct commit_pace *pace);      /* first thing in the change */
bool commit_pace_over(const struct commit_pace *pace); /* within it: leave the rest to the next */
void commit_pace_end(struct commit_pace *pace);        /* after commit_run */

/* CLOCK_MONOTONIC, nanoseconds. */
uint64_t commit_clock_ns(void);

/* Inside a change. */
/* To be told to vs_options.on_event once it is on disk. */
void commit_tell(struct commit_txn *txn, const struct vs_event *event);
VS_MUST_USE int commit_put(struct commit_txn *txn, const struct key *key, const void *value,
                           size_t len);
VS_MUST_USE int commit_delete(struct commit_txn *txn, const struct key *key);
/* The same; that it was gone already is fine. */
VS_MUST_USE int commit_discard(struct commit_txn *txn, const struct key *key);
/*
 * Goes on behind all slots there are, for an older copy does not know the numbers that were given
 * since. Given again, a slot that was wiped would be filled anew, and what was purged there come
 * back from a backup; one that was not may belong to an object that only a backup still has.
 */
VS_MUST_USE int commit_sequence_skip(struct commit_txn *txn);
/* Takes the next sequence number and its slot, which is not wiped. Stored by the next audit
 * record, which the change must write. */
VS_MUST_USE int commit_sequence(struct commit_txn *txn, uint64_t *ret_seq,
                                uint8_t ret_secret[32]);
#endif
