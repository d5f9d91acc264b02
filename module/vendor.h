/* vendor.h: the functions of the vendor interface that entry_vendor.c lists and other files have. */
#ifndef VENDOR_H
#define VENDOR_H
#include "call.h"

/* The convention on arrays (5.2) once the number is known: sets it, tells whether to fill. */
CK_RV array_room(const void *array, CK_ULONG *count, size_t n, bool *ret_fill);

/* Room for as many elements as the caller says that its array has (none: NULL), and never none, to be
 * freed. CKR_ARGUMENTS_BAD: no array has so many elements of `theirs` bytes. */
CK_RV array_alloc(const void *array, CK_ULONG count, size_t theirs, size_t ours, void *ret_list);

/* entry_user.c */
CK_RV RPV_AddUser(CK_SESSION_HANDLE hSession, const char *pName, CK_UTF8CHAR *pPin,
                  CK_ULONG ulPinLen, CK_ULONG ulVerbs);
CK_RV RPV_RemoveUser(CK_SESSION_HANDLE hSession, const char *pName);
CK_RV RPV_SetUserVerbs(CK_SESSION_HANDLE hSession, const char *pName, CK_ULONG ulVerbs);
CK_RV RPV_SetUserPin(CK_SESSION_HANDLE hSession, const char *pName, CK_UTF8CHAR *pPin,
                     CK_ULONG ulPinLen);
CK_RV RPV_GrantUser(CK_SESSION_HANDLE hSession, const char *pName, CK_OBJECT_HANDLE hObject,
                    CK_ULONG ulVerbs);
CK_RV RPV_ListUsers(CK_SLOT_ID slotID, struct RPV_USER_INFO *pUsers, CK_ULONG *pulCount);
CK_RV RPV_ListGrants(CK_SLOT_ID slotID, const char *pName, struct RPV_GRANT *pGrants,
                     CK_ULONG *pulCount);

/* entry_govern.c */
CK_RV RPV_SetHold(CK_SLOT_ID slotID, CK_ULONG ulGeneration, CK_BBOOL bHold, CK_UTF8CHAR *pPin,
                  CK_ULONG ulPinLen);
CK_RV RPV_SetLock(CK_SLOT_ID slotID, CK_ULONG ulGeneration, CK_ULONG ulLock, CK_UTF8CHAR *pPin,
                  CK_ULONG ulPinLen);
CK_RV RPV_ListTombstones(CK_SLOT_ID slotID, struct RPV_TOMBSTONE *pTombstones,
                         CK_ULONG *pulCount);
CK_RV RPV_ListApprovals(CK_SLOT_ID slotID, struct RPV_APPROVAL *pApprovals, CK_ULONG *pulCount);

/* entry_health.c */
CK_RV RPV_CheckStore(struct RPV_CHECK *pChecks, CK_ULONG *pulCount);
CK_RV RPV_CheckStoreNotify(struct RPV_CHECK *pChecks, CK_ULONG *pulCount, RPV_PROGRESS Notify,
                           void *pApplication);
CK_RV RPV_AcceptRollback(CK_SLOT_ID slotID, CK_UTF8CHAR *pPin, CK_ULONG ulPinLen);
CK_RV RPV_RecoverAll(CK_SESSION_HANDLE hSession, CK_ULONG ulLimit, CK_ULONG *pulRecovered);

/* entry_backup.c */
CK_RV RPV_Backup(CK_SESSION_HANDLE hSession, const CK_OBJECT_HANDLE *phObjects, CK_ULONG ulCount,
                 const struct RPV_BACKUP *pBackup, unsigned long long *pObjects);
CK_RV RPV_ShowBackup(const char *pPath, int fd, struct RPV_BACKUP_INFO *pInfo);
CK_RV RPV_Restore(CK_SESSION_HANDLE hSession, const struct RPV_RESTORE *pRestore,
                  unsigned long long *pRestored);
/* entry_rotate.c */
CK_RV RPV_RotateKey(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hKey, CK_OBJECT_HANDLE *phKey,
                    CK_OBJECT_HANDLE *phPublicKey);
CK_RV RPV_ListRotations(CK_SLOT_ID slotID, struct RPV_UNIQUE_ID *pIds, CK_ULONG *pulCount);
#endif
