/*
 * audit.h: the event log, a chain of SHA-256 over the whole store. The last record is also the
 * state of the store (sequence numbers, clock anchor), so that a change needs no other counter.
 */
#ifndef AUDIT_H
#define AUDIT_H
#include "commit.h"

struct audit_entry {
    uint32_t vault, generation;
    const char *operation;
    int32_t result;
    const char *principal;
    const struct vs_id *id;     /* or NULL */
    uint32_t object_version;
    const char *detail;         /* or NULL */
    /* of uses of keys */
    uint32_t code;              /* the caller's own result; 0: `result` says it */
    uint32_t key_version;
    uint64_t count;             /* 0: one, now */
    int64_t first, last;
    uint32_t duration_us;       /* 0: since the change was asked for */
};

/* The state as of the last record; VS_NOT_FOUND in a new store. */
VS_MUST_USE int audit_state_read(struct vs_store *store, struct kv_txn *txn,
                                 struct store_state *ret_state);
VS_MUST_USE int audit_append(struct commit_txn *txn, const struct audit_entry *entry);
/* A vault time as RFC 3339 has it, for details: "2027-02-20T00:00:36Z". */
struct time_text { char text[24]; };
struct time_text time_text(int64_t time);
/* A record of its own, for what was refused: in a transaction of its own, faults traced only. */
void audit_refusal(struct vs_store *store, const struct audit_entry *entry);

#define AUDIT_HASH 32u
#define AUDIT_TRAILER (AUDIT_HASH + SCHEMA_MAC)
/* The record at `key`, its MAC checked; the chain is the business of vs_audit_verify. */
VS_MUST_USE int audit_open(struct vs_store *store, const struct kv_slice *key,
                           const struct kv_slice *value, struct vs_event *ret_event,
                           struct store_state *ret_state);
/* The chain of the log alone: an older copy of it is whole in itself. */
struct audit_chain {
    uint64_t seq;               /* of the last good one, whose hash this is; 0: from the start */
    uint8_t hash[AUDIT_HASH];
    uint64_t bad;               /* the first that does not fit; 0: all do */
    int (*each)(void *ctx);     /* told of each that does; not VS_OK: stop. Or NULL */
    void *ctx;
};
VS_MUST_USE int audit_chain_verify(struct vs_store *store, struct audit_chain *chain);
/* Enters every event under its object's id; for stores of format 1. */
VS_MUST_USE int audit_index_all(struct commit_txn *txn);
#endif
