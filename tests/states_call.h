/* states_call.h: what the rows of states_rule.c run. */
#ifndef STATES_CALL_H
#define STATES_CALL_H
#include "states.h"

#define CALL_FN(name)                                                                              \
    CK_RV name(struct viewer *v, const struct seat *seat, const struct call_row *call)
CALL_FN(call_find);              /* found, or CKR_OBJECT_HANDLE_INVALID */
CALL_FN(call_find_value);         /* the same, by what only `get` shows */
CALL_FN(call_list);
CALL_FN(call_get);
CALL_FN(call_get_state);
CALL_FN(call_get_size);
CALL_FN(call_get_value);
CALL_FN(call_set);
CALL_FN(call_copy);
CALL_FN(call_copy_encrypt);
CALL_FN(call_encrypt);
CALL_FN(call_decrypt);
CALL_FN(call_sign);
CALL_FN(call_verify);
CALL_FN(call_wrap);
CALL_FN(call_unwrap);
CALL_FN(call_be_wrapped);
CALL_FN(call_derive);
CALL_FN(call_digest_key);
CALL_FN(call_destroy);

/* Into the vault. */
CK_RV make_key(struct viewer *v, bool is_private);
CK_RV make_data(struct viewer *v, bool is_private);
CK_RV make_generated(struct viewer *v, bool is_private);
CK_RV make_pair(struct viewer *v, bool is_private);
CK_RV make_unwrapped(struct viewer *v, bool is_private);
CK_RV make_derived(struct viewer *v, bool is_private);
CK_RV make_copy(struct viewer *v, bool is_private);

CK_RV vendor_rotate(struct viewer *v, enum kind kind);
CK_RV vendor_backup(struct viewer *v, enum kind kind);
CK_RV vendor_grant(struct viewer *v, enum kind kind);
CK_RV vendor_policy(struct viewer *v, enum kind kind);

#endif
