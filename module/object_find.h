/*
 * object_find.h: the search of a session (C_FindObjects). A search sees token objects through the
 * store's indexes, lazily, and session objects as they were when it began. A template that names a
 * CKA_RPV_ attribute is the governance view: private objects for the SO too, and deleted ones with
 * CKA_RPV_DELETED = CK_TRUE (or CKA_RPV_STATE = RPV_STATE_DELETED).
 */
#ifndef OBJECT_FIND_H
#define OBJECT_FIND_H
#include "object.h"

struct find;
CK_RV find_new(struct call *call, const CK_ATTRIBUTE *attributes, CK_ULONG count,
               struct find **ret_find);
/* Up to cap handles; *ret_n 0 at the end. After a logout or login it has ended. */
CK_RV find_next(struct call *call, struct find *find, CK_OBJECT_HANDLE *ret_handles, CK_ULONG cap,
                CK_ULONG *ret_n);
/* find_free is in session.h. */
#endif
