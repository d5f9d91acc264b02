/* vendor_audit.h: the vendor interface's functions on the event log (entry_audit.c). */
#ifndef VENDOR_AUDIT_H
#define VENDOR_AUDIT_H
#include "call.h"

CK_RV RPV_ReadAudit(unsigned long long from, struct RPV_EVENT *pEvents, CK_ULONG *pulCount);
CK_RV RPV_QueryAudit(const struct RPV_AUDIT_QUERY *pQuery, struct RPV_AUDIT_RECORD *pRecords,
                     CK_ULONG *pulCount, unsigned long long *pNext);
CK_RV RPV_VerifyAuditFrom(unsigned long long *pSeq, CK_BYTE *pHash, unsigned long long *pBad);
CK_RV RPV_ListDue(long long until, struct RPV_DUE *pDue, CK_ULONG *pulCount);

/* "ok", the name of a CKR code, or the store's word for an outcome. */
const char *event_result(const struct vs_event *event);
#endif
