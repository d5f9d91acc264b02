/*
 * session.h: sessions: type-stable memory (pooled until C_Finalize), so a lookup by handle needs
 * no lock but the session's own. A session is used by one call at a time: call_begin locks it.
 */
#ifndef SESSION_H
#define SESSION_H
#include <pthread.h>
#include "operation.h"
#include "slot.h"
#include "use.h"

#define SESSION_WARM 4

struct find;

struct session {
    pthread_mutex_t lock;
    CK_SESSION_HANDLE handle;       /* 0 while unused */
    struct slot *slot;
    CK_FLAGS flags;
    CK_VOID_PTR application;
    CK_NOTIFY notify;
    struct operation *operations[OP_SLOTS];    /* active ones by kind; NULL: none */
    struct operation pool[OP_SLOTS];           /* what they point to */
    struct find *find;              /* active search (object_find.c) */
    struct warm warm[SESSION_WARM]; /* kept contexts */
    unsigned warm_next;
    uint64_t warm_epoch;            /* of handle_epoch: keys may have died since */
    struct uses uses;               /* of keys, not yet in the log */
    uint32_t generation;            /* of the handle; odd while open */
    uint32_t next_free;
};
struct session_pool;
CK_RV session_pool_new(struct session_pool **ret_pool);
void session_pool_free(struct session_pool *pool);   /* closes what is open */

/* object_find.c: ends the session's search; NULL is allowed. */
void find_free(struct find *find);

CK_RV session_open(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
                   CK_SESSION_HANDLE *ret_handle);
CK_RV session_close(CK_SESSION_HANDLE handle);
CK_RV session_close_all(CK_SLOT_ID slot);
/* After a logout: sessions of the slot forget contexts made for keys that have died. Those that
 * are in a call do so at their next. */
void session_forget_keys(struct slot *slot);
/* Writes the uses that are due, of open sessions and of those that have ended; those of a session in
 * a call wait a little, and no session is held while the store is waited for. When to come again, in
 * milliseconds as use_now_ms; 0: nothing is left. */
uint64_t session_flush_uses(void);
/* Ends every search, for C_Finalize when OpenSSL has gone and nothing else may be freed. */
void session_pool_end_searches(struct session_pool *pool);
/* Locked; call_end unlocks. NULL: CKR_SESSION_HANDLE_INVALID. */
struct session *session_lock(CK_SESSION_HANDLE handle);
void session_unlock(struct session *session);
CK_STATE session_state(const struct session *session);
bool session_rw(const struct session *session);
#endif
