/* entry_user.c: the vendor interface's functions on named principals. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vendor.h"

static CK_RV user_status(int status, const char *what)
{
    switch (status) {
    case VS_NOT_FOUND:
        return trace_fail(CKR_ARGUMENTS_BAD, "%s: no such user or object", what);
    case VS_WRONG_STATE:
        return trace_fail(CKR_ARGUMENTS_BAD, "%s: the name is taken", what);
    case VS_POLICY:
        return trace_fail(CKR_ARGUMENTS_BAD, "%s: a name, or a verb, that cannot be", what);
    case VS_DENIED:
        return trace_fail(CKR_ACTION_PROHIBITED,
                          "%s: needs the policy verb, and every verb that it touches", what);
    default:
        return store_status(status, what);
    }
}

/* What a change of a user needs: a login that may write, a name, verbs that are some. */
static CK_RV user_checked(struct session *session, const char *name, CK_ULONG verbs)
{
    if (!name)
        return trace_fail(CKR_ARGUMENTS_BAD, "pName is NULL");
    if (verbs & ~(CK_ULONG)VS_VERBS_ALL)
        return trace_fail(CKR_ARGUMENTS_BAD, "there are no verbs 0x%lx", verbs);
    if (atomic_load(&session->slot->role) == LOGIN_NONE)
        return trace_fail(CKR_USER_NOT_LOGGED_IN, "nobody is logged in");
    return session_rw(session) ? CKR_OK
                               : trace_fail(CKR_SESSION_READ_ONLY, "a read-only session");
}

struct user_call {
    const char *name;
    const uint8_t *pin;
    size_t pin_len;
    uint32_t verbs;
    struct vs_id id;
};

/* Runs it with the login, which cannot go meanwhile. */
static CK_RV with_login(struct slot *slot, const char *what,
                        int (*run)(struct vs_store *store, struct vs_login *login,
                                   const struct user_call *user),
                        const struct user_call *user)
{
    pthread_rwlock_rdlock(&slot->lock);
    int status = slot->login ? run(module_state()->store, slot->login, user) : VS_REVOKED;
    pthread_rwlock_unlock(&slot->lock);
    return user_status(status, what);
}

static int run_add(struct vs_store *store, struct vs_login *login, const struct user_call *user)
{
    return vs_user_add(store, login, user->name, user->pin, user->pin_len, user->verbs);
}

static int run_remove(struct vs_store *store, struct vs_login *login, const struct user_call *user)
{
    return vs_user_remove(store, login, user->name);
}

static int run_verbs(struct vs_store *store, struct vs_login *login, const struct user_call *user)
{
    return vs_user_set_verbs(store, login, user->name, user->verbs);
}

static int run_pin(struct vs_store *store, struct vs_login *login, const struct user_call *user)
{
    return vs_user_set_pin(store, login, user->name, user->pin, user->pin_len);
}

static int run_grant(struct vs_store *store, struct vs_login *login, const struct user_call *user)
{
    return vs_user_grant(store, login, user->name, &user->id, user->verbs);
}

/* ------------------------------------------------------------------ changes */

static CK_RV user_add(struct call *call, const char *name, const uint8_t *pin, CK_ULONG pin_len,
                      CK_ULONG verbs)
{
    TRY(user_checked(call->session, name, verbs));
    TRY(pin_check_length(pin, pin_len));
    const struct user_call user = {.name = name, .pin = pin, .pin_len = pin_len,
                                   .verbs = (uint32_t)verbs};
    return with_login(call->session->slot, "new user", run_add, &user);
}

CK_RV RPV_AddUser(CK_SESSION_HANDLE hSession, const char *pName, CK_UTF8CHAR *pPin,
                  CK_ULONG ulPinLen, CK_ULONG ulVerbs)
{
    CALL_SESSION(RPV_AddUser, hSession);
    return call_end(&call, user_add(&call, pName, pPin, ulPinLen, ulVerbs));
}

static CK_RV user_remove(struct call *call, const char *name)
{
    TRY(user_checked(call->session, name, 0));
    const struct user_call user = {.name = name};
    return with_login(call->session->slot, "removal of a user", run_remove, &user);
}

CK_RV RPV_RemoveUser(CK_SESSION_HANDLE hSession, const char *pName)
{
    CALL_SESSION(RPV_RemoveUser, hSession);
    return call_end(&call, user_remove(&call, pName));
}

static CK_RV user_verbs(struct call *call, const char *name, CK_ULONG verbs)
{
    TRY(user_checked(call->session, name, verbs));
    const struct user_call user = {.name = name, .verbs = (uint32_t)verbs};
    return with_login(call->session->slot, "verbs of a user", run_verbs, &user);
}

CK_RV RPV_SetUserVerbs(CK_SESSION_HANDLE hSession, const char *pName, CK_ULONG ulVerbs)
{
    CALL_SESSION(RPV_SetUserVerbs, hSession);
    return call_end(&call, user_verbs(&call, pName, ulVerbs));
}

static CK_RV user_pin(struct call *call, const char *name, const uint8_t *pin, CK_ULONG pin_len)
{
    TRY(user_checked(call->session, name, 0));
    TRY(pin_check_length(pin, pin_len));
    const struct user_call user = {.name = name, .pin = pin, .pin_len = pin_len};
    return with_login(call->session->slot, "PIN of a user", run_pin, &user);
}

CK_RV RPV_SetUserPin(CK_SESSION_HANDLE hSession, const char *pName, CK_UTF8CHAR *pPin,
                     CK_ULONG ulPinLen)
{
    CALL_SESSION(RPV_SetUserPin, hSession);
    return call_end(&call, user_pin(&call, pName, pPin, ulPinLen));
}

static CK_RV user_grant(struct call *call, const char *name, CK_OBJECT_HANDLE handle,
                        CK_ULONG verbs)
{
    struct object *object = NULL;
    TRY(user_checked(call->session, name, verbs));
    TRY(object_get_any(call, handle, &object));
    const struct user_call user = {.name = name, .verbs = (uint32_t)verbs,
                                   .id = object->header.id};
    bool token = (object->bits & OBJ_TOKEN) != 0;
    object_unref(object);
    if (!token)
        return trace_fail(CKR_OBJECT_HANDLE_INVALID, "a session object is nobody's to grant");
    return with_login(call->session->slot, "grant", run_grant, &user);
}

CK_RV RPV_GrantUser(CK_SESSION_HANDLE hSession, const char *pName, CK_OBJECT_HANDLE hObject,
                    CK_ULONG ulVerbs)
{
    CALL_SESSION(RPV_GrantUser, hSession);
    return call_end(&call, user_grant(&call, pName, hObject, ulVerbs));
}

/* ------------------------------------------------------------------ lists */

static CK_RV vault_in(CK_SLOT_ID id)
{
    struct slot *slot = NULL;
    struct vs_vault_info info;
    bool initialized;
    TRY(slot_get(id, &slot));
    TRY(slot_info(slot, &info, &initialized));
    return initialized ? CKR_OK : trace_fail(CKR_TOKEN_NOT_RECOGNIZED, "no vault in slot %lu", id);
}

static struct RPV_USER_INFO user_out(const struct vs_user_info *info)
{
    struct RPV_USER_INFO out = {
        .ulVerbs = info->verbs,
        .ulGrants = info->grants,
        .ulTriesLeft = info->tries_left,
        .createdAt = info->created_at,
    };
    memcpy(out.name, info->name, sizeof(info->name));
    memcpy(out.createdBy, info->created_by, sizeof(info->created_by));
    return out;
}

static CK_RV list_users(CK_SLOT_ID id, struct RPV_USER_INFO *out, CK_ULONG *count)
{
    TRY(arguments_out(count));
    TRY(vault_in(id));
    size_t cap = out ? *count : 0, n = 0;
    bool fill = false;
    struct vs_user_info *infos = NULL;
    TRY(array_alloc(out, *count, sizeof(*out), sizeof(*infos), &infos));
    CK_RV rv = user_status(vs_user_list(module_state()->store, (uint32_t)id, infos, cap, &n),
                           "list of users");
    if (rv == CKR_OK)
        rv = array_room(out, count, n, &fill);
    for (size_t i = 0; rv == CKR_OK && fill && i < n; i++)
        out[i] = user_out(&infos[i]);
    free(infos);
    return rv;
}

CK_RV RPV_ListUsers(CK_SLOT_ID slotID, struct RPV_USER_INFO *pUsers, CK_ULONG *pulCount)
{
    CALL(RPV_ListUsers);
    return call_end(&call, list_users(slotID, pUsers, pulCount));
}

static struct RPV_GRANT grant_out(const struct vs_grant *grant)
{
    struct RPV_GRANT out = {.ulVerbs = grant->verbs};
    for (size_t i = 0; i < sizeof(grant->id.b); i++)
        snprintf(out.uniqueId + 2 * i, 3, "%02x", grant->id.b[i]);
    return out;
}

static CK_RV list_grants(CK_SLOT_ID id, const char *name, struct RPV_GRANT *out, CK_ULONG *count)
{
    TRY(arguments_out(count));
    TRY(arguments_in(name, 1));
    TRY(vault_in(id));
    size_t cap = out ? *count : 0, n = 0;
    bool fill = false;
    struct vs_grant *grants = NULL;
    TRY(array_alloc(out, *count, sizeof(*out), sizeof(*grants), &grants));
    CK_RV rv = user_status(vs_user_grants(module_state()->store, (uint32_t)id, name, grants, cap,
                                          &n),
                           "list of grants");
    if (rv == CKR_OK)
        rv = array_room(out, count, n, &fill);
    for (size_t i = 0; rv == CKR_OK && fill && i < n; i++)
        out[i] = grant_out(&grants[i]);
    free(grants);
    return rv;
}

CK_RV RPV_ListGrants(CK_SLOT_ID slotID, const char *pName, struct RPV_GRANT *pGrants,
                     CK_ULONG *pulCount)
{
    CALL(RPV_ListGrants);
    return call_end(&call, list_grants(slotID, pName, pGrants, pulCount));
}
