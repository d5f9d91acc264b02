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
    _Atomic uint64_t login_epoch;   /* goes up with every login and logout */
    _Atomic uint64_t checked_txnid; /* the store was at this when `info` was read */
    pthread_rwlock_t lock;          /* guards the rest; store calls that use `login` hold it read */
    struct vs_login *login;
    struct vs_vault_info info;
    bool initialized;
    unsigned sessions, rw_sessions;
};

/* The slot of this id, refreshed from the store when it has moved. CKR_SLOT_ID_INVALID. */
CK_RV slot_get(CK_SLOT_ID id, struct slot **ret_slot);
/* Ids to show now: vaults, and the spare slot when there is no vault or conf says always. */
CK_RV slot_list(bool token_present, CK_SLOT_ID *ret_ids, CK_ULONG cap, CK_ULONG *ret_n);
/* After the store moved: reads the vault's record; a login whose generation is gone is dropped,
 * with every handle of the slot's token objects. Cheap when nothing moved. */
CK_RV slot_refresh(struct slot *slot);

/* login.c */
CK_RV login_do(struct slot *slot, CK_USER_TYPE type, const uint8_t *pin, CK_ULONG pin_len);
CK_RV login_drop(struct slot *slot);    /* logout: handles of private objects and operations die */
/* Store status to CKR; `what` for the trace. One table (status_table in login.c's neighbour
 * store_status.c); VS_OK gives CKR_OK. */
CK_RV store_status(int status, const char *what);
#endif
