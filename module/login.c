/* login.c: who is logged in, which all sessions of an application with a token share (5.6.8). */
#include <string.h>

#include "module_state.h"
#include "session.h"
#include "trace.h"

static const struct login_kind {
    CK_USER_TYPE type;
    enum login_role role;
    enum vs_role store_role;
} LOGIN_KINDS[] = {
    {CKU_SO, LOGIN_SO, VS_ROLE_SO},
    {CKU_USER, LOGIN_USER, VS_ROLE_USER},
};

static const struct login_kind *login_kind_find(CK_USER_TYPE type)
{
    for (size_t i = 0; i < sizeof(LOGIN_KINDS) / sizeof(LOGIN_KINDS[0]); i++)
        if (LOGIN_KINDS[i].type == type)
            return &LOGIN_KINDS[i];
    return NULL;
}

static bool read_only_exists(struct slot *slot)
{
    return slot->sessions > slot->rw_sessions;
}

/* May this kind log in now? login_lock is held. */
static CK_RV login_allowed(struct slot *slot, const struct login_kind *kind)
{
    uint32_t role = atomic_load(&slot->role);
    if (role == kind->role)
        return trace_fail(CKR_USER_ALREADY_LOGGED_IN, "logged in already");
    if (role != LOGIN_NONE)
        return trace_fail(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, "log the other user out first");
    pthread_mutex_lock(&slot->mutex);
    bool refused = kind->role == LOGIN_SO && read_only_exists(slot);
    pthread_mutex_unlock(&slot->mutex);
    return refused ? trace_fail(CKR_SESSION_READ_ONLY_EXISTS, "a read-only session is open")
                   : CKR_OK;
}

/* The login takes effect, unless a read-only session was opened during the check of the PIN.
 * slot->lock comes before slot->mutex, as wherever both are held. */
static CK_RV login_install(struct slot *slot, const struct login_kind *kind, struct vs_login *login)
{
    pthread_rwlock_wrlock(&slot->lock);
    pthread_mutex_lock(&slot->mutex);
    bool refused = kind->role == LOGIN_SO && read_only_exists(slot);
    if (!refused) {
        slot->login = login;
        atomic_store(&slot->verbs, login_verbs_of(login));
        atomic_fetch_add(&slot->login_epoch, 1);
        atomic_store(&slot->role, kind->role);
    }
    pthread_mutex_unlock(&slot->mutex);
    pthread_rwlock_unlock(&slot->lock);
    if (!refused)
        return CKR_OK;
    vs_logout(login);
    return trace_fail(CKR_SESSION_READ_ONLY_EXISTS, "a read-only session is open");
}

uint32_t login_verbs_of(const struct vs_login *login)
{
    return *vs_login_name(login) ? vs_login_verbs(login) : UINT32_MAX;
}

/* A principal's name, as the store wants it. */
struct user_name { char text[VS_USER_NAME_MAX + 1]; };

static bool user_name_fits(const uint8_t *name, size_t len, struct user_name *ret_name)
{
    if (len == 0 || len > VS_USER_NAME_MAX || memchr(name, '\0', len))
        return false;
    memcpy(ret_name->text, name, len);
    ret_name->text[len] = '\0';
    return true;
}

/* `name:` at the front of a PIN, of a principal that there is: how long it is, else 0. */
static size_t name_in_pin(struct slot *slot, const uint8_t *pin, size_t pin_len,
                          struct user_name *ret_name)
{
    struct user_name name;
    const uint8_t *colon = memchr(pin, ':', pin_len);
    if (!colon || !user_name_fits(pin, (size_t)(colon - pin), &name)
        || vs_user_exists(module_state()->store, (uint32_t)slot->id, name.text) != VS_OK)
        return 0;
    *ret_name = name;
    return (size_t)(colon - pin) + 1;
}

static CK_RV login_locked(struct slot *slot, const struct login_kind *kind, const char *name,
                          const uint8_t *pin, CK_ULONG pin_len)
{
    TRY(login_allowed(slot, kind));
    struct vs_store *store = module_state()->store;
    struct vs_login *login = NULL;
    struct user_name in_pin;
    size_t skip = 0;
    if (!name && kind->role == LOGIN_USER)
        skip = name_in_pin(slot, pin, pin_len, &in_pin);
    if (skip)
        name = in_pin.text;
    int status = name ? vs_login_named(store, (uint32_t)slot->id, name, pin + skip, pin_len - skip,
                                       &login)
                      : vs_login(store, (uint32_t)slot->id, kind->store_role, pin, pin_len, &login);
    TRY(store_status(status, "login"));
    return login_install(slot, kind, login);
}

/* What cannot be a PIN is a wrong one; the standard lists no CKR_PIN_LEN_RANGE for a login. */
static CK_RV login_pin_check(const uint8_t *pin, CK_ULONG pin_len)
{
    if (!pin)
        return trace_fail(CKR_ARGUMENTS_BAD, "no PIN: there is no protected path");
    if (pin_len > VS_PIN_MAX_LEN)
        return trace_fail(CKR_PIN_INCORRECT, "longer than any PIN");
    return CKR_OK;
}

static CK_RV login_with(struct slot *slot, CK_USER_TYPE type, const char *name, const uint8_t *pin,
                        CK_ULONG pin_len)
{
    const struct login_kind *kind = login_kind_find(type);
    if (!kind || (name && kind->role != LOGIN_USER))
        return trace_fail(CKR_USER_TYPE_INVALID, "user type %lu", type);
    TRY(login_pin_check(pin, pin_len));
    pthread_mutex_lock(&slot->login_lock);
    CK_RV rv = login_locked(slot, kind, name, pin, pin_len);
    pthread_mutex_unlock(&slot->login_lock);
    return rv;
}

CK_RV login_do(struct slot *slot, CK_USER_TYPE type, const uint8_t *pin, CK_ULONG pin_len)
{
    return login_with(slot, type, NULL, pin, pin_len);
}

CK_RV login_named(struct slot *slot, CK_USER_TYPE type, const uint8_t *name, CK_ULONG name_len,
                  const uint8_t *pin, CK_ULONG pin_len)
{
    struct user_name text;
    if (!name)
        return trace_fail(CKR_ARGUMENTS_BAD, "pUsername is NULL");
    if (!user_name_fits(name, name_len, &text))
        return trace_fail(CKR_PIN_INCORRECT, "no user can have this name");
    return login_with(slot, type, text.text, pin, pin_len);
}

/* How long `name:` is at the front of a PIN; 0: it is not there, or the name is empty. */
static size_t name_before(const char *name, const uint8_t *pin, size_t pin_len)
{
    size_t len = strlen(name);
    return len > 0 && pin_len > len && memcmp(pin, name, len) == 0 && pin[len] == ':' ? len + 1 : 0;
}

CK_RV login_again(struct slot *slot, const uint8_t *pin, CK_ULONG pin_len)
{
    TRY(login_pin_check(pin, pin_len));
    pthread_mutex_lock(&slot->login_lock);
    pthread_rwlock_rdlock(&slot->lock);
    size_t skip = slot->login ? name_before(vs_login_name(slot->login), pin, pin_len) : 0;
    int status = slot->login ? vs_login_verify(module_state()->store, slot->login, pin + skip,
                                               pin_len - skip)
                             : VS_DENIED;
    pthread_rwlock_unlock(&slot->lock);
    pthread_mutex_unlock(&slot->login_lock);
    /* a login is there, or there would be no operation: it has just gone */
    return status == VS_DENIED || status == VS_REVOKED
               ? trace_fail(CKR_OPERATION_NOT_INITIALIZED, "logged out meanwhile")
               : store_status(status, "context-specific login");
}

/* ------------------------------------------------------------------ logout */

static bool kill_private(const struct object *object, void *ctx)
{
    const struct slot *slot = ctx;
    bool is_private = (object->bits & OBJ_PRIVATE) || object->header.is_private;
    return object->slot == slot->id && is_private;
}

static bool kill_slot(const struct object *object, void *ctx)
{
    const struct slot *slot = ctx;
    return object->slot == slot->id;
}

/* login_lock is held. The role goes first, so that new calls no longer want the login and those
 * that have it drain. */
static void login_end(struct slot *slot, bool (*kill)(const struct object *, void *ctx))
{
    atomic_store(&slot->role, LOGIN_NONE);
    atomic_fetch_add(&slot->login_epoch, 1);
    pthread_rwlock_wrlock(&slot->lock);
    struct vs_login *login = slot->login;
    slot->login = NULL;
    atomic_store(&slot->verbs, UINT32_MAX);
    pthread_rwlock_unlock(&slot->lock);
    vs_logout(login);
    handle_sweep(module_state()->handles, kill, slot);
    session_forget_keys(slot);
}

CK_RV login_drop(struct slot *slot)
{
    pthread_mutex_lock(&slot->login_lock);
    bool in = atomic_load(&slot->role) != LOGIN_NONE;
    if (in)
        login_end(slot, kill_private);
    pthread_mutex_unlock(&slot->login_lock);
    return in ? CKR_OK : trace_fail(CKR_USER_NOT_LOGGED_IN, "nobody is logged in");
}

void login_revoke(struct slot *slot)
{
    pthread_mutex_lock(&slot->login_lock);
    if (slot->login && vs_login_check(module_state()->store, slot->login) == VS_REVOKED) {
        trace_note("slot %lu: the vault was initialised anew or its PIN record is gone", slot->id);
        login_end(slot, kill_slot);
    }
    pthread_mutex_unlock(&slot->login_lock);
}

/* ------------------------------------------------------------------ PINs */

CK_RV pin_check_length(const uint8_t *pin, CK_ULONG pin_len)
{
    if (!pin)
        return trace_fail(CKR_ARGUMENTS_BAD, "no PIN: there is no protected path");
    if (pin_len < VS_PIN_MIN_LEN || pin_len > VS_PIN_MAX_LEN)
        return trace_fail(CKR_PIN_LEN_RANGE, "a PIN has %u to %u bytes", VS_PIN_MIN_LEN,
                          VS_PIN_MAX_LEN);
    return CKR_OK;
}

CK_RV pin_init(struct slot *slot, const uint8_t *pin, CK_ULONG pin_len)
{
    if (atomic_load(&slot->role) != LOGIN_SO)
        return trace_fail(CKR_USER_NOT_LOGGED_IN, "the SO is not logged in");
    TRY(pin_check_length(pin, pin_len));
    pthread_rwlock_rdlock(&slot->lock);
    int status = slot->login ? vs_pin_init(module_state()->store, slot->login, pin, pin_len)
                             : VS_DENIED;
    pthread_rwlock_unlock(&slot->lock);
    return store_status(status, "user PIN");
}

/* Whose PIN the application means: that of the named principal who is logged in, or while nobody
 * is, of the one whose name stands before the old PIN. */
static bool named_here(struct slot *slot, const uint8_t *pin, size_t pin_len,
                       struct user_name *ret_name)
{
    if (atomic_load(&slot->role) == LOGIN_NONE)
        return name_in_pin(slot, pin, pin_len, ret_name) != 0;
    pthread_rwlock_rdlock(&slot->lock);
    const char *name = slot->login ? vs_login_name(slot->login) : "";
    bool named = *name != '\0';
    if (named)
        memcpy(ret_name->text, name, strlen(name) + 1);
    pthread_rwlock_unlock(&slot->lock);
    return named;
}

/* 2.40 clients give the new PIN as the old one, with the name or without. */
static CK_RV pin_set_named(struct slot *slot, const char *name, const uint8_t *old_pin,
                           CK_ULONG old_len, const uint8_t *new_pin, CK_ULONG new_len)
{
    if (!new_pin)
        return trace_fail(CKR_ARGUMENTS_BAD, "no new PIN: there is no protected path");
    size_t old_skip = name_before(name, old_pin, old_len);
    size_t new_skip = name_before(name, new_pin, new_len);
    TRY(pin_check_length(new_pin + new_skip, new_len - new_skip));
    pthread_mutex_lock(&slot->login_lock);
    int status = vs_pin_change_named(module_state()->store, (uint32_t)slot->id, name,
                                     old_pin + old_skip, old_len - old_skip, new_pin + new_skip,
                                     new_len - new_skip);
    pthread_mutex_unlock(&slot->login_lock);
    return status == VS_NOT_FOUND ? trace_fail(CKR_PIN_INCORRECT, "the user has just been removed")
                                  : store_status(status, "change of the PIN");
}

CK_RV pin_set(struct slot *slot, const uint8_t *old_pin, CK_ULONG old_len, const uint8_t *new_pin,
              CK_ULONG new_len)
{
    if (!old_pin)
        return trace_fail(CKR_ARGUMENTS_BAD, "no old PIN: there is no protected path");
    if (old_len > VS_PIN_MAX_LEN)
        return trace_fail(CKR_PIN_INCORRECT, "longer than any PIN");
    struct user_name name;
    if (named_here(slot, old_pin, old_len, &name))
        return pin_set_named(slot, name.text, old_pin, old_len, new_pin, new_len);
    TRY(pin_check_length(new_pin, new_len));
    bool so = atomic_load(&slot->role) == LOGIN_SO;
    pthread_mutex_lock(&slot->login_lock);
    int status = vs_pin_change(module_state()->store, (uint32_t)slot->id,
                               so ? VS_ROLE_SO : VS_ROLE_USER, old_pin, old_len, new_pin, new_len);
    pthread_mutex_unlock(&slot->login_lock);
    /* C_SetPIN lists no code for a user without a PIN: no old PIN can be right */
    return status == VS_PIN_NOT_SET ? trace_fail(CKR_PIN_INCORRECT, "the user has no PIN yet")
                                    : store_status(status, "change of the PIN");
}
