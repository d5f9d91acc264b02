/*
 * use.h: uses of keys, for the audit. Counted in the session (no lock but its own) by key,
 * operation and result; or, where the vault's policy says audit_use = each, kept one by one. They
 * are written to the log by the call that notices that a second of use has passed, or by the
 * flusher's thread if none comes by; when the last session of the application with the token is
 * closed, and by C_Finalize. What is suspicious is written at once: a deleted, disabled or expired
 * key, a honeytoken (but no more than once in a second, so that a loop does not become a load). A
 * log that cannot be written fails no call.
 */
#ifndef USE_H
#define USE_H
#include "operation.h"

struct call;
struct session;
struct use_mark;

struct uses {
    struct vs_use *rows;         /* NULL until the first use */
    struct use_mark *marks;      /* of each row: what makes it another's, and when */
    unsigned n, cap;
    unsigned last;               /* the row that the last use went to */
    uint64_t due, alarm_after;   /* milliseconds of the coarse monotonic clock; 0: nothing is due */
};

/* A use that was tried: it came to `rv`. Session objects are not the vault's; but the use of a copy that
 * follows its original is the original's. */
void use_note(struct call *call, const struct object *object, enum operation_kind kind, CK_RV rv);
/* A use that was refused before it began. object NULL: what call->gone names, if that is set. */
void use_refused(struct call *call, const struct object *object, enum operation_kind kind,
                 CK_RV rv);
/* Milliseconds of the coarse monotonic clock. */
uint64_t use_now_ms(void);
/* Of a locked session: its rows go to the process's own, if their second is over; when they will be
 * due, or 0. Waits for nobody who writes. */
uint64_t use_park_due(struct session *session, uint64_t now);
/* Of a session that ends, locked: its rows go to the process's own. */
void use_park(struct session *session);

/* The process's own rows: of sessions that have ended, or make no call. */
struct parked {
    pthread_mutex_t lock;        /* guards `uses`; never held while the store is waited for */
    struct uses uses;
    pthread_mutex_t writing;     /* held by whoever has taken them out to write them */
};
void use_parked_init(struct parked *parked);
/* Writes them: all, or only when a second has passed since the oldest and nobody else does. When to
 * come again, or 0. */
uint64_t use_flush_parked(bool all);
void use_parked_done(struct parked *parked);
#endif
