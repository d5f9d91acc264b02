/*
 * slot.h: slots and the vaults in them; login.h's state lives here, for PKCS#11's login is shared
 * by all of an application's sessions with a token (5.6.8). A slot is made when first seen and
 * lives until C_Finalize. Slot id: the vault's number. The spare slot (uninitialised, to make the
 * next vault in) has the number the next vault will have.
 */
#ifndef SLOT_H
#define SLOT_H
#include <pthread.h>
#include "cryptoki.h"

enum login_role { LOGIN_NONE = 0, LOGIN_SO = 1, LOGIN_USER = 2 };

struct slot {
    CK_SLOT_ID id;
    _Atomic uint32_t role;          /* enum login_role; read without the lock */
    _Atomic uint32_t verbs;         /* of a named principal in general; all bits for others */
    _Atomic uint64_t login_epoch;   /* goes up with every login and logout */
    _Atomic bool audit_each;        /* the policy as last read: every use of a key is logged */
    _Atomic uint64_t checked_txnid; /* the store was at this when the login was checked */
    pthread_rwlock_t lock;          /* guards `login`; store calls that use it hold it read, all
                                       the while, so never take it twice */
    struct vs_login *login;
    pthread_mutex_t login_lock;     /* one login, logout or PIN check at a time */
    pthread_mutex_t mutex;          /* guards the rest; never held over a slow call */
    struct vs_vault_info info;      /* read it with slot_info */
    uint64_t info_txnid;            /* the store was at this when `info` was read */
    bool initialized;
    unsigned sessions, rw_sessions;
};
struct slot_table;
CK_RV slot_table_new(struct slot_table **ret_table);
void slot_table_free(struct slot_table *table);

/* The slot of this id, refreshed from the store when it has moved. CKR_SLOT_ID_INVALID. */
CK_RV slot_get(CK_SLOT_ID id, struct slot **ret_slot);
/* Ids to show now: vaults, and the spare slot when there is no vault or conf says always. */
CK_RV slot_list(bool token_present, CK_SLOT_ID *ret_ids, CK_ULONG cap, CK_ULONG *ret_n);
/* The vault's record as of now: policy, tries, flags. Zeroed for the uninitialised spare slot;
 * *ret_initialized tells (may be NULL). Cheap when nothing moved. */
CK_RV slot_info(struct slot *slot, struct vs_vault_info *ret_info, bool *ret_initialized);
/* After the store moved: a login whose generation is gone is dropped, with every handle of the
 * slot's objects. Cheap when nothing moved; call_begin_session does it for every call. */
CK_RV slot_refresh(struct slot *slot);

/*
 * Has who is logged in one of these verbs (enum vs_verb), in general or on the object (NULL: only
 * in general)? Always, unless it is a named principal. Call it without slot->lock.
 */
bool slot_may(struct slot *slot, const struct vs_id *id, uint32_t verbs);

/* login.c. login_do knows CKU_SO and CKU_USER; login_again is the context-specific login. A PIN of
 * the user's that begins with the name of a named principal and a colon is that principal's. */
CK_RV login_do(struct slot *slot, CK_USER_TYPE type, const uint8_t *pin, CK_ULONG pin_len);
/* What slot->verbs is for it. */
uint32_t login_verbs_of(const struct vs_login *login);
/* A named principal: C_LoginUser. */
CK_RV login_named(struct slot *slot, CK_USER_TYPE type, const uint8_t *name, CK_ULONG name_len,
                  const uint8_t *pin, CK_ULONG pin_len);
CK_RV login_again(struct slot *slot, const uint8_t *pin, CK_ULONG pin_len);
/* Logout: handles of private objects and operations die. CKR_USER_NOT_LOGGED_IN. */
CK_RV login_drop(struct slot *slot);
/* The login's generation is gone: so is everything that the application knew of the vault. */
void login_revoke(struct slot *slot);
CK_RV pin_check_length(const uint8_t *pin, CK_ULONG pin_len);
CK_RV pin_init(struct slot *slot, const uint8_t *pin, CK_ULONG pin_len);
CK_RV pin_set(struct slot *slot, const uint8_t *old_pin, CK_ULONG old_len, const uint8_t *new_pin,
              CK_ULONG new_len);
/* Store status to CKR; `what` for the trace. One table (status_table in login.c's neighbour
 * store_status.c); VS_OK gives CKR_OK. */
CK_RV store_status(int status, const char *what);
#endif
