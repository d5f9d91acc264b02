/* entry_token.c: slots, tokens, mechanisms, C_InitToken and the PINs. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "call.h"
#include "text.h"

static CK_RV slot_list_get(CK_BBOOL token_present, CK_SLOT_ID *ids, CK_ULONG *count)
{
    TRY(arguments_out(count));
    CK_ULONG room = *count, n = 0;
    TRY(slot_list(token_present, ids, room, &n));
    *count = n;
    return ids && n > room ? trace_fail(CKR_BUFFER_TOO_SMALL, "there are %lu slots", n) : CKR_OK;
}

CK_RV C_GetSlotList(CK_BBOOL tokenPresent, CK_SLOT_ID_PTR pSlotList, CK_ULONG_PTR pulCount)
{
    CALL(C_GetSlotList);
    return call_end(&call, slot_list_get(tokenPresent, pSlotList, pulCount));
}

static CK_RV slot_info_get(CK_SLOT_ID id, CK_SLOT_INFO *info)
{
    struct slot *slot = NULL;
    char description[64];
    if (!info)
        return trace_fail(CKR_ARGUMENTS_BAD, "pInfo is NULL");
    TRY(slot_get(id, &slot));
    CK_SLOT_INFO filled = {.flags = CKF_TOKEN_PRESENT,
                           .hardwareVersion = {0, 1},
                           .firmwareVersion = {0, 1}};
    snprintf(description, sizeof(description), "Reprieve slot %lu", id);
    text_pad(filled.slotDescription, sizeof(filled.slotDescription), description);
    text_pad(filled.manufacturerID, sizeof(filled.manufacturerID), RPV_MANUFACTURER);
    memcpy(info, &filled, sizeof(filled));
    return CKR_OK;
}

CK_RV C_GetSlotInfo(CK_SLOT_ID slotID, CK_SLOT_INFO_PTR pInfo)
{
    CALL(C_GetSlotInfo);
    return call_end(&call, slot_info_get(slotID, pInfo));
}

/* ------------------------------------------------------------------ the token */

/* What a count of tries left shows: low once a try has failed, the final one, locked. */
static CK_FLAGS tries_flags(uint32_t left, uint32_t tries, CK_FLAGS low, CK_FLAGS final,
                            CK_FLAGS locked)
{
    return (left < tries ? low : 0) | (left == 1 ? final : 0) | (left == 0 ? locked : 0);
}

static CK_FLAGS token_flags(const struct vs_vault_info *info)
{
    CK_FLAGS flags = CKF_TOKEN_INITIALIZED;
    flags |= info->write_protected ? CKF_WRITE_PROTECTED : 0;
    flags |= tries_flags(info->so_tries_left, info->policy.pin_tries, CKF_SO_PIN_COUNT_LOW,
                         CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED);
    if (info->user_pin_set)
        flags |= CKF_USER_PIN_INITIALIZED |
                 tries_flags(info->user_tries_left, info->policy.pin_tries,
                             CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED);
    return flags;
}

static void utc_time(CK_CHAR ret_time[16])
{
    time_t now = (time_t)vs_store_now(module_state()->store);
    struct tm tm;
    char text[32];
    gmtime_r(&now, &tm);
    if (strftime(text, sizeof(text), "%Y%m%d%H%M%S00", &tm) == 16)
        memcpy(ret_time, text, 16);
    else
        memset(ret_time, '0', 16);
}

static CK_TOKEN_INFO token_blank(void)
{
    CK_TOKEN_INFO info = {
        .flags = CKF_RNG | CKF_LOGIN_REQUIRED | CKF_CLOCK_ON_TOKEN | CKF_DUAL_CRYPTO_OPERATIONS,
        .ulMaxSessionCount = CK_EFFECTIVELY_INFINITE,
        .ulMaxRwSessionCount = CK_EFFECTIVELY_INFINITE,
        .ulMaxPinLen = VS_PIN_MAX_LEN,
        .ulMinPinLen = VS_PIN_MIN_LEN,
        .ulTotalPublicMemory = CK_UNAVAILABLE_INFORMATION,
        .ulFreePublicMemory = CK_UNAVAILABLE_INFORMATION,
        .ulTotalPrivateMemory = CK_UNAVAILABLE_INFORMATION,
        .ulFreePrivateMemory = CK_UNAVAILABLE_INFORMATION,
        .hardwareVersion = {0, 1},
        .firmwareVersion = {0, 1},
    };
    text_pad(info.label, sizeof(info.label), "");
    text_pad(info.serialNumber, sizeof(info.serialNumber), "");
    text_pad(info.manufacturerID, sizeof(info.manufacturerID), RPV_MANUFACTURER);
    text_pad(info.model, sizeof(info.model), "Reprieve");
    return info;
}

static CK_RV token_info_get(CK_SLOT_ID id, CK_TOKEN_INFO *info)
{
    struct slot *slot = NULL;
    struct vs_vault_info vault;
    bool initialized;
    if (!info)
        return trace_fail(CKR_ARGUMENTS_BAD, "pInfo is NULL");
    TRY(slot_get(id, &slot));
    TRY(slot_info(slot, &vault, &initialized));
    CK_TOKEN_INFO filled = token_blank();
    if (initialized) {
        filled.flags |= token_flags(&vault);
        memcpy(filled.label, vault.label, sizeof(filled.label));
        memcpy(filled.serialNumber, vault.serial, sizeof(filled.serialNumber));
    }
    pthread_mutex_lock(&slot->mutex);
    filled.ulSessionCount = slot->sessions;
    filled.ulRwSessionCount = slot->rw_sessions;
    pthread_mutex_unlock(&slot->mutex);
    utc_time(filled.utcTime);
    memcpy(info, &filled, sizeof(filled));
    return CKR_OK;
}

CK_RV C_GetTokenInfo(CK_SLOT_ID slotID, CK_TOKEN_INFO_PTR pInfo)
{
    CALL(C_GetTokenInfo);
    return call_end(&call, token_info_get(slotID, pInfo));
}

/* Nothing is ever inserted or removed: vaults come and go by C_InitToken. */
static CK_RV slot_event(CK_FLAGS flags, const CK_SLOT_ID *slot, const void *reserved)
{
    if (!slot || reserved)
        return trace_fail(CKR_ARGUMENTS_BAD, "pSlot is NULL or pReserved is not");
    return flags & CKF_DONT_BLOCK
               ? CKR_NO_EVENT
               : trace_fail(CKR_FUNCTION_NOT_SUPPORTED, "waiting for an event that never comes");
}

CK_RV C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID_PTR pSlot, CK_VOID_PTR pReserved)
{
    CALL(C_WaitForSlotEvent);
    return call_end(&call, slot_event(flags, pSlot, pReserved));
}

/* ------------------------------------------------------------------ mechanisms */

static CK_RV mechanism_list_get(CK_SLOT_ID id, CK_MECHANISM_TYPE *types, CK_ULONG *count)
{
    struct slot *slot = NULL;
    TRY(arguments_out(count));
    TRY(slot_get(id, &slot));
    CK_ULONG room = *count;
    *count = mech_count();
    if (!types)
        return CKR_OK;
    if (room < mech_count())
        return trace_fail(CKR_BUFFER_TOO_SMALL, "there are %zu mechanisms", mech_count());
    for (size_t i = 0; i < mech_count(); i++)
        types[i] = mech_at(i)->type;
    return CKR_OK;
}

CK_RV C_GetMechanismList(CK_SLOT_ID slotID, CK_MECHANISM_TYPE_PTR pMechanismList,
                         CK_ULONG_PTR pulCount)
{
    CALL(C_GetMechanismList);
    return call_end(&call, mechanism_list_get(slotID, pMechanismList, pulCount));
}

static CK_RV mechanism_info_get(CK_SLOT_ID id, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
    struct slot *slot = NULL;
    struct vs_vault_info vault;
    if (!info)
        return trace_fail(CKR_ARGUMENTS_BAD, "pInfo is NULL");
    TRY(slot_get(id, &slot));
    TRY(slot_info(slot, &vault, NULL));
    const struct mech_row *row = mech_find(type);
    if (!row)
        return trace_fail(CKR_MECHANISM_INVALID, "no mechanism 0x%lx", type);
    CK_MECHANISM_INFO filled = {row->min, row->max, row->flags};
    if (row->legacy_padding && vault.policy.refuse_legacy_padding)
        filled.flags &= ~(CKF_DECRYPT | CKF_UNWRAP);
    memcpy(info, &filled, sizeof(filled));
    return CKR_OK;
}

CK_RV C_GetMechanismInfo(CK_SLOT_ID slotID, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR pInfo)
{
    CALL(C_GetMechanismInfo);
    return call_end(&call, mechanism_info_get(slotID, type, pInfo));
}

/* ------------------------------------------------------------------ C_InitToken, PINs */

static CK_RV token_init(CK_SLOT_ID id, const uint8_t *pin, CK_ULONG pin_len, const uint8_t *label)
{
    struct slot *slot = NULL;
    struct vs_vault_info info;
    bool initialized;
    uint32_t generation;
    if (!pin || !label)
        return trace_fail(CKR_ARGUMENTS_BAD, "pPin or pLabel is NULL");
    TRY(slot_get(id, &slot));
    TRY(slot_info(slot, &info, &initialized));
    if (!initialized)
        TRY(pin_check_length(pin, pin_len));
    else if (pin_len > VS_PIN_MAX_LEN)
        return trace_fail(CKR_PIN_INCORRECT, "longer than any PIN");
    pthread_mutex_lock(&slot->mutex);
    bool open = slot->sessions != 0;
    pthread_mutex_unlock(&slot->mutex);
    if (open)
        return trace_fail(CKR_SESSION_EXISTS, "this application has sessions open");
    int status = vs_vault_init(module_state()->store, (uint32_t)id, pin, pin_len, label, NULL,
                               &generation);
    return status == VS_NOT_FOUND ? trace_fail(CKR_SLOT_ID_INVALID, "the slot has gone")
                                  : store_status(status, "initialisation");
}

CK_RV C_InitToken(CK_SLOT_ID slotID, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen,
                  CK_UTF8CHAR_PTR pLabel)
{
    CALL(C_InitToken);
    return call_end(&call, token_init(slotID, pPin, ulPinLen, pLabel));
}

CK_RV C_InitPIN(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen)
{
    CALL_SESSION(C_InitPIN, hSession);
    return call_end(&call, pin_init(call.session->slot, pPin, ulPinLen));
}

CK_RV C_SetPIN(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pOldPin, CK_ULONG ulOldLen,
               CK_UTF8CHAR_PTR pNewPin, CK_ULONG ulNewLen)
{
    CALL_SESSION(C_SetPIN, hSession);
    if (!session_rw(call.session))
        return call_end(&call, trace_fail(CKR_SESSION_READ_ONLY, "the session is read-only"));
    return call_end(&call,
                    pin_set(call.session->slot, pOldPin, ulOldLen, pNewPin, ulNewLen));
}
