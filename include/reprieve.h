/*
 * reprieve.h: what Reprieve adds to PKCS#11, for applications. Include a PKCS#11 header first (any
 * that has CK_ULONG, CK_ATTRIBUTE and so on under their OASIS names).
 *
 * Lifecycle over standard calls: the CKA_RPV_ attributes below, with C_FindObjects,
 * C_GetAttributeValue, C_SetAttributeValue and C_DestroyObject. What has no object is a function
 * of the vendor interface: C_GetInterface("Vendor Reprieve", NULL, &interface, 0) yields a
 * CK_INTERFACE whose pFunctionList is a struct RPV_FUNCTION_LIST.
 *
 * Functions return CKR codes as C_ functions do, may be called from any thread, and need
 * C_Initialize first. Text outputs are UTF-8. Times are seconds since the epoch, UTC, of the vault
 * clock. Array outputs follow the standard's convention (5.2): a NULL array asks for the count;
 * CKR_BUFFER_TOO_SMALL sets the count needed.
 */
#ifndef REPRIEVE_H
#define REPRIEVE_H

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ vendor attributes */
#define RPV_BASE (0x80000000UL | 0x52505600UL)

#define CKA_RPV_STATE            (RPV_BASE + 0x01UL) /* CK_ULONG, read: RPV_STATE_ */
#define CKA_RPV_DELETED          (RPV_BASE + 0x02UL) /* CK_BBOOL; find: select; set FALSE: recover */
#define CKA_RPV_DELETED_AT       (RPV_BASE + 0x03UL) /* 16 characters as utcTime, or empty; read */
#define CKA_RPV_DELETED_BY       (RPV_BASE + 0x04UL) /* UTF-8, read */
#define CKA_RPV_PURGE_AT         (RPV_BASE + 0x05UL) /* 16 characters; may only move later */
#define CKA_RPV_RECOVERY_LEVEL   (RPV_BASE + 0x06UL) /* CK_ULONG, read: RPV_LEVEL_ */
#define CKA_RPV_RECOVERABLE_DAYS (RPV_BASE + 0x07UL) /* CK_ULONG, read: days left, else retention */
#define CKA_RPV_ENABLED          (RPV_BASE + 0x08UL) /* CK_BBOOL */
#define CKA_RPV_NOT_BEFORE       (RPV_BASE + 0x09UL)
#define CKA_RPV_NOT_AFTER        (RPV_BASE + 0x0aUL)
#define CKA_RPV_HOLD             (RPV_BASE + 0x0bUL)
#define CKA_RPV_LOCK             (RPV_BASE + 0x0cUL)
#define CKA_RPV_VERSION          (RPV_BASE + 0x0dUL)
#define CKA_RPV_USE_COUNT        (RPV_BASE + 0x0eUL)
#define CKA_RPV_LAST_USED        (RPV_BASE + 0x0fUL)
#define CKA_RPV_ORIGIN           (RPV_BASE + 0x10UL) /* CK_ULONG, read: RPV_ORIGIN_ */
#define CKA_RPV_BACKED_UP        (RPV_BASE + 0x11UL)
#define CKA_RPV_DELETE_REASON    (RPV_BASE + 0x12UL)
#define CKA_RPV_ROTATE_DAYS      (RPV_BASE + 0x14UL) /* CK_ULONG, of keys; 0 never, to 36500 */
#define CKA_RPV_HONEYTOKEN       (RPV_BASE + 0x13UL)

#define RPV_STATE_PREACTIVE 0UL
#define RPV_STATE_ACTIVE    1UL
#define RPV_STATE_DISABLED  2UL
#define RPV_STATE_EXPIRED   3UL
#define RPV_STATE_DELETED   4UL

#define RPV_LEVEL_PURGEABLE             0UL
#define RPV_LEVEL_RECOVERABLE_PURGEABLE 1UL
#define RPV_LEVEL_RECOVERABLE           2UL
#define RPV_LEVEL_RECOVERABLE_HELD      3UL

/*
 * C_DestroyObject of a deleted object is its purge. Where the vault's policy wants several
 * principals for it, the calls of all but the last of them return CKR_ACTION_PROHIBITED, and
 * RPV_GetLastReason begins with this: the approval is on record, and is no refusal.
 */
#define RPV_REASON_APPROVAL "approval noted: "

#define RPV_ORIGIN_GENERATED 0UL
#define RPV_ORIGIN_CREATED   1UL
#define RPV_ORIGIN_UNWRAPPED 2UL
#define RPV_ORIGIN_DERIVED   3UL
#define RPV_ORIGIN_RESTORED  4UL

/* ------------------------------------------------------------------ vendor interface */
#define RPV_INTERFACE_NAME "Vendor Reprieve"

struct RPV_STORE_INFO {
    char path[256];              /* the store's directory, terminated */
    char hostKeyPath[256];
    CK_ULONG ulFormat;           /* the on-disk format's version */
    CK_ULONG ulVaults;
    unsigned long long now;      /* the vault clock */
};

/* A vault's policy; every field is read by GetPolicy and written by SetPolicy. */
struct RPV_POLICY {
    CK_ULONG ulRetentionDays;    /* 7 to 90, or to what the configuration allows */
    CK_BBOOL bPurgeProtection;   /* one-way, but for 72 hours after it was switched on */
    CK_ULONG ulProfile;          /* 0 ordinary, 1 strict */
    CK_ULONG ulPinTries;         /* 3 to 100 */
    CK_ULONG ulScryptLogN;       /* 10 to 22 */
    CK_ULONG ulMinRsaBits;       /* 1024 to 16384 */
    /* ---- since 1.1 ---- */
    CK_ULONG ulRecoverTo;        /* 0 the prior state, 1 disabled */
    CK_BBOOL bReserveNames;      /* a deleted object's label is not given to another */
    CK_BBOOL bRequireBackup;     /* no use before the first backup */
    CK_BBOOL bDisableBeforeDelete;
    CK_BBOOL bRefuseConflicts;   /* of usages; the strict profile forces it */
    CK_BBOOL bRefuseLegacyPadding;   /* the strict profile forces it */
    CK_BBOOL bClockStrict;       /* no time is credited across boots */
    CK_BBOOL bTombstoneLabels;   /* a tombstone keeps the label */
    CK_BBOOL bNewestOnly;        /* older versions do not encrypt, wrap, sign */
    CK_BBOOL bPrivateAudit;      /* events are shown to no one without a login and its audit verb */
    CK_ULONG ulAuditUse;         /* 0 counted, 1 every single one */
    CK_ULONG ulPurgeApprovals;   /* 0, 1: none needed; n: principals, at most 6 */
    CK_ULONG ulApprovalHours;    /* 0 (24) to 720 */
    long long protectedSince;    /* when protection was switched on; 0: from the start. Read */
};

struct RPV_VAULT_INFO {
    CK_SLOT_ID slotID;
    CK_ULONG ulGeneration;
    char serial[17];             /* terminated */
    char label[33];              /* terminated, without the padding */
    long long createdAt;
    CK_BBOOL bUserPinSet;
    CK_ULONG ulSoTriesLeft, ulUserTriesLeft;
    struct RPV_POLICY policy;
};

struct RPV_GENERATION_INFO {
    CK_ULONG ulGeneration;
    char label[33];
    CK_BBOOL bDeleted;
    long long createdAt, deletedAt, purgeAt;  /* the latter two 0 when live */
    char deletedBy[64];
    CK_ULONG ulObjects;
    CK_ULONG ulRecoveryLevel;    /* RPV_LEVEL_ */
    CK_BBOOL bHold;              /* since 1.1 */
    CK_ULONG ulLock;             /* since 1.1: as CKA_RPV_LOCK */
};

/* What is left of a purged object, or of a generation. */
struct RPV_TOMBSTONE {
    char uniqueId[33];           /* terminated, as all texts here */
    CK_ULONG ulGeneration;
    CK_OBJECT_CLASS objectClass; /* CKO_DATA (0) for a generation, too */
    long long deletedAt, purgedAt;
    char deletedBy[64], purgedBy[64];
    char reason[64];             /* CKA_RPV_DELETE_REASON */
    char label[64];              /* only where the policy kept it */
};

/* An approval of a purge that waits for more (RPV_REASON_APPROVAL). */
struct RPV_APPROVAL {
    char uniqueId[33];           /* of the object */
    char principal[64];
    long long at, until;         /* given; counts before then */
    CK_ULONG ulWanted;           /* how many the object needs */
};

struct RPV_EVENT {
    unsigned long long seq;
    long long time;
    CK_SLOT_ID slotID;
    CK_ULONG ulGeneration;
    char operation[32];
    char result[32];             /* "ok" or the reason's name */
    char principal[64];
    CK_ULONG uid, pid;
    char exe[64];
    char uniqueId[33];           /* CKA_UNIQUE_ID of the object, or empty */
    char detail[96];
    char hash[65];               /* the chain, hexadecimal */
};

/*
 * What a principal may do. A named principal has the verbs it was given, in general or on single
 * objects, and these bind it on public objects, too. It may look by label, id or unique id for
 * what it has any verb on; to list further ones takes LIST. Public objects anybody can find. A verb
 * that is missing is CKR_KEY_FUNCTION_NOT_PERMITTED for use of a key, CKR_ATTRIBUTE_SENSITIVE for
 * its parts, CKR_TOKEN_WRITE_PROTECTED where an object is made, CKR_ACTION_PROHIBITED elsewhere.
 *
 * Attributes: CKA_RPV_HOLD takes HOLD, CKA_RPV_LOCK LOCK, CKA_RPV_HONEYTOKEN POLICY, also of who has
 * no name and on public objects. CKA_RPV_DELETED takes RECOVER; CKA_RPV_PURGE_AT RECOVER or HOLD;
 * CKA_RPV_ENABLED and the dates UPDATE or POLICY; CKA_RPV_DELETE_REASON UPDATE, DELETE or POLICY.
 * A copy in a session is bound by the verbs and the state of what it was made from.
 */
#define RPV_VERB_GET     0x000001UL  /* key parts and data; to digest, copy, or wrap the key */
#define RPV_VERB_LIST    0x000002UL
#define RPV_VERB_CREATE  0x000004UL  /* generate, derive */
#define RPV_VERB_IMPORT  0x000008UL  /* create from values, unwrap into the vault */
#define RPV_VERB_UPDATE  0x000010UL
#define RPV_VERB_DELETE  0x000020UL
#define RPV_VERB_RECOVER 0x000040UL
#define RPV_VERB_BACKUP  0x000080UL
#define RPV_VERB_RESTORE 0x000100UL
#define RPV_VERB_ENCRYPT 0x000200UL
#define RPV_VERB_DECRYPT 0x000400UL
#define RPV_VERB_WRAP    0x000800UL
#define RPV_VERB_UNWRAP  0x001000UL
#define RPV_VERB_SIGN    0x002000UL
#define RPV_VERB_VERIFY  0x004000UL
#define RPV_VERB_DERIVE  0x008000UL
#define RPV_VERB_PURGE   0x010000UL
#define RPV_VERB_HOLD    0x020000UL
#define RPV_VERB_LOCK    0x040000UL
#define RPV_VERB_POLICY  0x080000UL  /* also: named principals */
#define RPV_VERB_AUDIT   0x100000UL
#define RPV_VERB_ROTATE  0x200000UL
#define RPV_VERBS_ALL    0x3fffffUL

/* Verbs as operators bundle them. */
#define RPV_ROLE_ADMINISTRATOR      RPV_VERBS_ALL
#define RPV_ROLE_CRYPTO_OFFICER     0x21ffffUL /* objects and their use, rotate, purge */
#define RPV_ROLE_CRYPTO_USER        0x00fe03UL /* get, list and every use of keys */
#define RPV_ROLE_SERVICE_ENCRYPTION (RPV_VERB_GET | RPV_VERB_WRAP | RPV_VERB_UNWRAP)
#define RPV_ROLE_PURGE_OPERATOR     (RPV_VERB_LIST | RPV_VERB_PURGE)
#define RPV_ROLE_AUDITOR            (RPV_VERB_LIST | RPV_VERB_AUDIT)
#define RPV_ROLE_BACKUP_OPERATOR    (RPV_VERB_LIST | RPV_VERB_BACKUP | RPV_VERB_RESTORE)

struct RPV_USER_INFO {
    char name[33];               /* terminated */
    CK_ULONG ulVerbs;            /* RPV_VERB_, in general */
    CK_ULONG ulGrants;           /* on how many objects it has further ones */
    CK_ULONG ulTriesLeft;
    long long createdAt;
    char createdBy[64];
};

struct RPV_GRANT {
    char uniqueId[33];           /* CKA_UNIQUE_ID of the object */
    CK_ULONG ulVerbs;
};

/* An event, in full. Uses of keys are counted: one record can stand for many. */
struct RPV_AUDIT_RECORD {
    unsigned long long seq;
    long long time;              /* vault clock */
    CK_SLOT_ID slotID;
    CK_ULONG ulGeneration;
    char operation[32];          /* KeyCreate, KeyDelete, KeySign ... */
    CK_BBOOL bSuccess;
    char result[48];             /* "ok", the name of a CKR code, or the reason's name */
    char detail[96];
    unsigned long long durationUs;
    char correlationId[33];      /* the same for all events of one change */
    char principal[64];
    CK_ULONG uid, pid;
    char exe[64];
    char uniqueId[33];           /* CKA_UNIQUE_ID of the object, or empty */
    char label[256];             /* now; empty unless the caller may read it */
    CK_ULONG ulObjectVersion, ulKeyVersion;
    unsigned long long count;    /* uses that the record stands for, else 1 */
    long long first, last;       /* the first and the last of them */
    char hash[65];
};

struct RPV_AUDIT_QUERY {
    unsigned long long from;     /* seq to begin or go on with; 0: the first, or the last */
    long long since, until;      /* the second excluded; 0: no limit */
    const char *uniqueId;        /* of one object, by an index; these four: NULL for any */
    const char *operation;       /* a name, or a pattern as of a shell */
    const char *caller;          /* principal, uid, program's path or its last part */
    const char *result;          /* "ok", "failed", or a result's name */
    CK_SLOT_ID slotID;           /* CK_UNAVAILABLE_INFORMATION: any */
    CK_BBOOL bNewestFirst;
};

/* What will be purged when its date comes. */
struct RPV_DUE {
    CK_SLOT_ID slotID;
    CK_ULONG ulGeneration;
    char uniqueId[33];           /* empty: the whole generation */
    long long purgeAt;
    CK_BBOOL bHeld;              /* a hold stands: it stays */
};

/* One thing that was looked at, and what came out. */
#define RPV_VERDICT_OK      0UL
#define RPV_VERDICT_NOTE    1UL  /* as it should be, and worth knowing */
#define RPV_VERDICT_WARNING 2UL
#define RPV_VERDICT_BAD     3UL
struct RPV_CHECK {
    char name[24];               /* "format", "chain", "head", "objects", "clock" ... */
    CK_ULONG ulVerdict;          /* RPV_VERDICT_ */
    char detail[200];
};

/* A key outside the vault, PEM or DER: a public one to seal a backup to, a private one (PKCS#8 or
 * traditional, not encrypted) to open it. RSA of 2048 bits and more, EC, X25519, X448. */
struct RPV_BLOB_KEY { const CK_BYTE *pKey; CK_ULONG ulKeyLen; };
#define RPV_BLOB_KEYS_MAX 32UL

struct RPV_PROGRESS_INFO {
    unsigned long long done, total;  /* objects (of a check, events, too); done 0: only looked at */
    char uniqueId[33];           /* of the object just dealt with */
    CK_ULONG ulClass;
    char result[32];             /* "ok", "exists", "purged", "locked", "other key", "changed" */
};
/* Anything but CKR_OK stops it. It must not call the module. */
typedef CK_RV (*RPV_PROGRESS)(void *pApplication, const struct RPV_PROGRESS_INFO *pProgress);

struct RPV_BACKUP {
    const char *pPath;           /* made, with mode 0600, once it is whole; must not exist */
    int fd;                      /* where pPath is NULL */
    const struct RPV_BLOB_KEY *pKeys;    /* none: only this vault restores it */
    CK_ULONG ulKeys;
    CK_ULONG ulThreshold;        /* so many of the keys are needed; 0: any one */
    RPV_PROGRESS Notify;         /* or NULL */
    void *pApplication;
};

struct RPV_BACKUP_INFO {
    CK_ULONG ulFormat;
    char id[33];
    long long createdAt;
    char createdBy[64];
    char serial[17], label[33];  /* of the vault */
    CK_ULONG ulGeneration;
    CK_BBOOL bWhole;             /* vault, else some objects */
    unsigned long long objects;  /* when it was begun: those purged meanwhile are not in it */
    unsigned long long auditSeq; /* the head of the audit chain then */
    char auditHash[65];
    CK_ULONG ulThreshold, ulKeys;
    struct {
        CK_ULONG ulKind;         /* 1 the vault's own, 2 RSA, 3 EC */
        char fingerprint[65];    /* SHA-256 of the SubjectPublicKeyInfo */
    } keys[RPV_BLOB_KEYS_MAX];
};

struct RPV_UNIQUE_ID { char text[33]; };     /* CKA_UNIQUE_ID, terminated */

struct RPV_RESTORE {
    const char *pPath;
    int fd;                      /* where pPath is NULL: a file, which is read twice */
    const struct RPV_BLOB_KEY *pKeys;    /* none needed for the vault's own backups */
    CK_ULONG ulKeys;
    CK_BBOOL bReplace;           /* what exists; else nothing is restored when something does */
    CK_BBOOL bDryRun;
    CK_BBOOL bSettings;          /* the policy and the users, not the objects: the policy verb */
    RPV_PROGRESS Notify;         /* or NULL */
    void *pApplication;
};

/* A function list as in the standard: a version, then pointers. Later versions append. */
struct RPV_FUNCTION_LIST {
    CK_VERSION version;          /* 1.1 */
    CK_RV (*RPV_GetStoreInfo)(struct RPV_STORE_INFO *pInfo);
    /* Initialised vaults, ascending. */
    CK_RV (*RPV_ListVaults)(struct RPV_VAULT_INFO *pVaults, CK_ULONG *pulCount);
    /* Makes one more vault, as C_InitToken does in an uninitialised slot. pPolicy NULL: defaults.
     * CKR_ARGUMENTS_BAD for a policy out of range, CKR_PIN_LEN_RANGE. */
    CK_RV (*RPV_CreateVault)(CK_UTF8CHAR *pPin, CK_ULONG ulPinLen, CK_UTF8CHAR *pLabel,
                             const struct RPV_POLICY *pPolicy, CK_SLOT_ID *pSlotID);
    CK_RV (*RPV_GetDefaultPolicy)(struct RPV_POLICY *pPolicy);
    CK_RV (*RPV_GetPolicy)(CK_SLOT_ID slotID, struct RPV_POLICY *pPolicy);
    /* Needs the policy verb (CKR_ACTION_PROHIBITED) and a read-write session. CKR_ARGUMENTS_BAD:
     * out of range, or a one-way switch turned back; the reason names the field and its range. */
    CK_RV (*RPV_SetPolicy)(CK_SESSION_HANDLE hSession, const struct RPV_POLICY *pPolicy);
    /* The live generation first, then deleted ones. */
    CK_RV (*RPV_ListGenerations)(CK_SLOT_ID slotID, struct RPV_GENERATION_INFO *pGenerations,
                                 CK_ULONG *pulCount);
    /* PIN: one of the deleted generation's own (CKU_SO or CKU_USER). No session may be open in
     * this application on the slot (CKR_SESSION_EXISTS). The generation that was live is
     * soft-deleted in the same transaction. */
    CK_RV (*RPV_RecoverGeneration)(CK_SLOT_ID slotID, CK_ULONG ulGeneration,
                                   CK_USER_TYPE userType, CK_UTF8CHAR *pPin, CK_ULONG ulPinLen);
    /* PIN: the generation's SO PIN. CKR_ACTION_PROHIBITED under protection before the date. */
    CK_RV (*RPV_PurgeGeneration)(CK_SLOT_ID slotID, CK_ULONG ulGeneration, CK_UTF8CHAR *pPin,
                                 CK_ULONG ulPinLen);
    /* Purges at most ulLimit due objects and generations. */
    CK_RV (*RPV_Sweep)(CK_ULONG ulLimit, CK_ULONG *pulPurged);
    /* Events with seq >= from; *pulCount is the capacity, then how many were written (0: none).
     * A vault's events are for those who are logged in to it and have the audit verb, where its
     * policy says bPrivateAudit; else for all but named principals without the verb. Events of other
     * vaults are left out, and GetLastReason says so; when no vault is left: CKR_ACTION_PROHIBITED,
     * or CKR_USER_NOT_LOGGED_IN. */
    CK_RV (*RPV_ReadAudit)(unsigned long long from, struct RPV_EVENT *pEvents,
                           CK_ULONG *pulCount);
    /* Recomputes the chain; *pBad is the first event that does not fit, or that is missing although
     * host.head knows of it (a cut, an older copy); 0 when all is well. */
    CK_RV (*RPV_VerifyAudit)(unsigned long long *pEvents, unsigned long long *pBad);
    /* Why the last call of this thread failed, or what there is to say of its success, in words;
     * "" for nothing. */
    CK_RV (*RPV_GetLastReason)(char *pReason, CK_ULONG ulCapacity);

    /* ---- since 1.1 ---- */
    /* Named principals. Who holds the policy verb changes them, in a read-write session, and only
     * within its own verbs; the SO within all: else CKR_ACTION_PROHIBITED. Names are terminated,
     * 1 to 32 of A-Z a-z 0-9 . _ @ -. CKR_ARGUMENTS_BAD: no such user, a name that is taken or
     * cannot be. They log in with C_LoginUser(CKU_USER), or with C_Login and NAME:PIN. A change is
     * in force at the next call of every process; RemoveUser ends the user's logins. */
    CK_RV (*RPV_AddUser)(CK_SESSION_HANDLE hSession, const char *pName, CK_UTF8CHAR *pPin,
                         CK_ULONG ulPinLen, CK_ULONG ulVerbs);
    CK_RV (*RPV_RemoveUser)(CK_SESSION_HANDLE hSession, const char *pName);
    CK_RV (*RPV_SetUserVerbs)(CK_SESSION_HANDLE hSession, const char *pName, CK_ULONG ulVerbs);
    /* A new PIN, its tries full again. (C_SetPIN changes one's own.) */
    CK_RV (*RPV_SetUserPin)(CK_SESSION_HANDLE hSession, const char *pName, CK_UTF8CHAR *pPin,
                            CK_ULONG ulPinLen);
    /* Further verbs on one object, in place of those granted on it before; 0 takes them back. */
    CK_RV (*RPV_GrantUser)(CK_SESSION_HANDLE hSession, const char *pName, CK_OBJECT_HANDLE hObject,
                           CK_ULONG ulVerbs);
    CK_RV (*RPV_ListUsers)(CK_SLOT_ID slotID, struct RPV_USER_INFO *pUsers, CK_ULONG *pulCount);
    CK_RV (*RPV_ListGrants)(CK_SLOT_ID slotID, const char *pName, struct RPV_GRANT *pGrants,
                            CK_ULONG *pulCount);
    /* Events that the query wants; *pulCount is the capacity, then how many were written; *pNext
     * is the `from` to go on with, 0 at the end. Who may see what: as for ReadAudit. */
    CK_RV (*RPV_QueryAudit)(const struct RPV_AUDIT_QUERY *pQuery,
                            struct RPV_AUDIT_RECORD *pRecords, CK_ULONG *pulCount,
                            unsigned long long *pNext);
    /* Verifies on from where a former verification ended (0 and 32 zero bytes: from the start) and
     * says where it got to. *pBad: 0, or the first event that does not fit; the one it ended with
     * when that is gone or another. */
    CK_RV (*RPV_VerifyAuditFrom)(unsigned long long *pSeq, CK_BYTE *pHash,
                                 unsigned long long *pBad);
    /* What is to be purged before `until`, soonest first; *pulCount as above. */
    CK_RV (*RPV_ListDue)(long long until, struct RPV_DUE *pDue, CK_ULONG *pulCount);
    /* Looks at the whole store: takes as long as it is large. An array as ever. */
    CK_RV (*RPV_CheckStore)(struct RPV_CHECK *pChecks, CK_ULONG *pulCount);
    /* The store is an older copy put back, and write-protected: the SO of one of its vaults, by
     * its PIN, takes it as it is. CKR_ARGUMENTS_BAD: it is no such copy. */
    CK_RV (*RPV_AcceptRollback)(CK_SLOT_ID slotID, CK_UTF8CHAR *pPin, CK_ULONG ulPinLen);
    /* Recovers what is deleted in the session's vault, at most ulLimit objects, many at once; what
     * the login may not recover stays deleted. */
    CK_RV (*RPV_RecoverAll)(CK_SESSION_HANDLE hSession, CK_ULONG ulLimit,
                            CK_ULONG *pulRecovered);
    /* A hold: nothing in the generation is purged, nor itself, and it is not initialised again. A
     * lock: the same, and 1 nothing in it is deleted, 2 nothing is changed. Generation 0: the live one. PIN: the
     * live generation's SO PIN; NULL: who is logged in to the slot, by the verbs hold and lock.
     * CKF_WRITE_PROTECTED shows either. */
    CK_RV (*RPV_SetHold)(CK_SLOT_ID slotID, CK_ULONG ulGeneration, CK_BBOOL bHold,
                         CK_UTF8CHAR *pPin, CK_ULONG ulPinLen);
    CK_RV (*RPV_SetLock)(CK_SLOT_ID slotID, CK_ULONG ulGeneration, CK_ULONG ulLock,
                         CK_UTF8CHAR *pPin, CK_ULONG ulPinLen);
    CK_RV (*RPV_ListTombstones)(CK_SLOT_ID slotID, struct RPV_TOMBSTONE *pTombstones,
                                CK_ULONG *pulCount);
    /* Objects, live or deleted, into a backup; no object: the whole vault, with deleted objects,
     * policy and users. Needs the backup verb: CKR_ACTION_PROHIBITED. One state of the vault,
     * whatever others change meanwhile; what they purge is left out, and *pObjects says how many
     * objects are in it. They are marked as backed up once it is on disk. */
    CK_RV (*RPV_Backup)(CK_SESSION_HANDLE hSession, const CK_OBJECT_HANDLE *phObjects,
                        CK_ULONG ulCount, const struct RPV_BACKUP *pBackup,
                        unsigned long long *pObjects);
    /* What a backup says of itself; no session, no key. CKR_DATA_INVALID: it is none. */
    CK_RV (*RPV_ShowBackup)(const char *pPath, int fd, struct RPV_BACKUP_INFO *pInfo);
    /* Back into the vault, with ids, attributes and states; CKA_RPV_ORIGIN is
     * RPV_ORIGIN_RESTORED. What was purged here is left out, always. CKR_ACTION_PROHIBITED:
     * something exists, and Notify has told what; or the restore verb is missing. CKR_KEY_NEEDED:
     * the keys do not open it. CKR_DATA_INVALID. */
    CK_RV (*RPV_Restore)(CK_SESSION_HANDLE hSession, const struct RPV_RESTORE *pRestore,
                         unsigned long long *pRestored);
    /* The next version of a private or secret key: a fresh key with the same attributes, and
     * CKA_RPV_VERSION one more; the public key of the pair along with it, if the vault has it
     * (else *phPublicKey is 0; phPublicKey may be NULL). One transaction; the former stays, to
     * decrypt, unwrap and verify. Searches yield the newest first. CKR_ACTION_PROHIBITED: it has
     * a next version already; CKR_TOKEN_WRITE_PROTECTED: the rotate verb is missing. */
    CK_RV (*RPV_RotateKey)(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hKey,
                           CK_OBJECT_HANDLE *phKey, CK_OBJECT_HANDLE *phPublicKey);
    /* Keys older than their CKA_RPV_ROTATE_DAYS that have no next version; no login needed. */
    CK_RV (*RPV_ListRotations)(CK_SLOT_ID slotID, struct RPV_UNIQUE_ID *pIds, CK_ULONG *pulCount);
    /* As RPV_CheckStore; Notify (or NULL) is told how far it has come, in objects and events. */
    CK_RV (*RPV_CheckStoreNotify)(struct RPV_CHECK *pChecks, CK_ULONG *pulCount,
                                  RPV_PROGRESS Notify, void *pApplication);
    /* Those that count: within the window, by who has the verb still. An array as ever. */
    CK_RV (*RPV_ListApprovals)(CK_SLOT_ID slotID, struct RPV_APPROVAL *pApprovals,
                               CK_ULONG *pulCount);
    /* Could the policy be set now, by who may? As RPV_SetPolicy says it; changes nothing and needs no
     * login. */
    CK_RV (*RPV_CheckPolicy)(CK_SLOT_ID slotID, const struct RPV_POLICY *pPolicy);
};

#ifdef __cplusplus
}
#endif
#endif
