/*
 * session.h: sessions: type-stable memory (pooled until C_Finalize), so a lookup by handle needs
 * no lock but the session's own. A session is used by one call at a time: call_begin locks it.
 */
#ifndef SESSION_H
#define SESSION_H
#include <pthread.h>
#include "operation.h"
#include "slot.h"

#define SESSION_CACHE 4
#define SESSION_WARM 4

struct session {
    pthread_mutex_t lock;
    CK_SESSION_HANDLE handle;       /* 0 while unused */
    struct slot *slot;
    CK_FLAGS flags;
    CK_VOID_PTR application;
    CK_NOTIFY notify;
    struct operation *operations[OP_SLOTS];    /* active ones by kind; NULL: none. Embedded pool:
                                                  see operation.h */
    struct find *find;              /* active search (object_find.c) */
    struct { CK_OBJECT_HANDLE handle; struct object *object; } cache[SESSION_CACHE];
    struct warm warm[SESSION_WARM]; /* kept contexts */
    unsigned warm_next;
};

CK_RV session_open(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
                   CK_SESSION_HANDLE *ret_handle);
CK_RV session_close(CK_SESSION_HANDLE handle);
CK_RV session_close_all(CK_SLOT_ID slot);
/* Locked; call_end unlocks. NULL: CKR_SESSION_HANDLE_INVALID. */
struct session *session_lock(CK_SESSION_HANDLE handle);
void session_unlock(struct session *session);
CK_STATE session_state(const struct session *session);
bool session_rw(const struct session *session);
#endif
