#include "client.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define PATH_SIZE 4096

const char *ckr_text(CK_RV rv)
{
    static const struct {
        CK_RV rv;
        const char *name;
    } names[] = {
#define X(name, value) {value, #name},
#include "tests/ckr_names.h"
#undef X
    };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (names[i].rv == rv)
            return names[i].name;
    return "CKR_UNKNOWN";
}

/* What a code means for the exit status, and what to do about it. */
static const struct {
    CK_RV rv;
    enum outcome outcome;
    const char *reason; /* when the module gives none */
    const char *hint;
} advice[] = {
    {CKR_ACTION_PROHIBITED, OUTCOME_REFUSED, "the vault's policy does not allow it",
     "see the policy with: reprieve policy show"},
    {CKR_TOKEN_WRITE_PROTECTED, OUTCOME_REFUSED, "the vault is locked against writing", ""},
    {CKR_KEY_FUNCTION_NOT_PERMITTED, OUTCOME_REFUSED, "the key may not be used for that",
     "see its usage with: pkcs11-tool --list-objects"},
    {CKR_KEY_UNEXTRACTABLE, OUTCOME_REFUSED, "the key may not leave the vault",
     "only a key made with CKA_EXTRACTABLE true can be wrapped"},
    {CKR_KEY_NOT_WRAPPABLE, OUTCOME_REFUSED, "the key may not be wrapped this way", ""},
    {CKR_TEMPLATE_INCONSISTENT, OUTCOME_REFUSED, "the attributes contradict each other or the "
     "policy", ""},
    {CKR_PIN_INCORRECT, OUTCOME_LOGIN, "the PIN is wrong", ""},
    {CKR_PIN_LOCKED, OUTCOME_LOGIN, "the PIN is locked after too many wrong tries",
     "a locked user PIN is set anew by the SO with: reprieve vault init-pin"},
    {CKR_PIN_EXPIRED, OUTCOME_LOGIN, "the PIN has expired", ""},
    {CKR_PIN_LEN_RANGE, OUTCOME_LOGIN, "the PIN is too short or too long",
     "a PIN has 4 to 255 bytes"},
    {CKR_PIN_INVALID, OUTCOME_LOGIN, "the PIN has bytes that are not allowed", ""},
    {CKR_USER_PIN_NOT_INITIALIZED, OUTCOME_LOGIN, "the vault has no user PIN yet",
     "set it with: reprieve vault init-pin"},
    {CKR_USER_NOT_LOGGED_IN, OUTCOME_LOGIN, "it needs a login", ""},
    {CKR_OBJECT_HANDLE_INVALID, OUTCOME_NOT_FOUND, "the object is gone",
     "another process may have changed it; look again with: reprieve list, reprieve deleted"},
    {CKR_SLOT_ID_INVALID, OUTCOME_NOT_FOUND, "there is no such vault",
     "see them with: reprieve vault list"},
    {CKR_WRAPPED_KEY_INVALID, OUTCOME_FAILED, "the wrapped key does not open or is no such key",
     "check the wrapping key, --mechanism and --type"},
    {CKR_WRAPPED_KEY_LEN_RANGE, OUTCOME_FAILED, "the wrapped key has a length that cannot be",
     "check --mechanism and the file"},
    {CKR_MECHANISM_INVALID, OUTCOME_FAILED, "the module does not have this mechanism here", ""},
    {CKR_DEVICE_MEMORY, OUTCOME_FAILED, "the disk is full; nothing was changed",
     "make room and try again"},
    {CKR_KEY_NEEDED, OUTCOME_LOGIN, "it needs a key that was not given", "give them with --key"},
    {CKR_SESSION_EXISTS, OUTCOME_FAILED, "a session is still open", ""},
};

enum outcome client_check(struct client *client, const char *call, CK_RV rv)
{
    char reason[400] = "";
    size_t row = 0;
    enum outcome outcome = OUTCOME_FAILED;

    if (rv == CKR_OK)
        return OUTCOME_OK;
    if (client->rpv != NULL && client->rpv->RPV_GetLastReason(reason, sizeof(reason)) != CKR_OK)
        reason[0] = '\0';
    while (row < COUNT_OF(advice) && advice[row].rv != rv)
        row++;
    if (row < COUNT_OF(advice))
        outcome = advice[row].outcome;
    if (reason[0] == '\0')
        snprintf(reason, sizeof(reason), "%s",
                 row < COUNT_OF(advice) ? advice[row].reason : "it failed");
    failure_set(&client->failure, outcome, ckr_text(rv), "%s: %s", call, reason);
    if (row < COUNT_OF(advice))
        failure_hint(&client->failure, "%s", advice[row].hint);
    return outcome;
}

/* ------------------------------------------------------------------ the module */

static bool module_beside(char ret_path[PATH_SIZE])
{
    static const char name[] = "reprieve-pkcs11.so";
    ssize_t len = readlink("/proc/self/exe", ret_path, PATH_SIZE - sizeof(name));
    char *slash = NULL;

    if (len <= 0)
        return false;
    ret_path[len] = '\0';
    slash = strrchr(ret_path, '/');
    if (slash == NULL)
        return false;
    memcpy(slash + 1, name, sizeof(name));
    return access(ret_path, R_OK) == 0;
}

static void module_default(struct client *client, char path[PATH_SIZE])
{
    const char *environment = secure_getenv("REPRIEVE_MODULE");

    if (client->module_path != NULL)
        snprintf(path, PATH_SIZE, "%s", client->module_path);
    else if (environment != NULL)
        snprintf(path, PATH_SIZE, "%s", environment);
    else if (!module_beside(path))
        snprintf(path, PATH_SIZE, "%s", REPRIEVE_MODULE_PATH);
}

/* NULL when there is none of that name and version. */
static void *interface_find(struct client *client, const char *name, CK_VERSION *version)
{
    CK_C_GetInterface get = NULL;
    CK_INTERFACE_PTR interface = NULL;

    *(void **)&get = dlsym(client->dl, "C_GetInterface");
    if (get == NULL || get((CK_UTF8CHAR_PTR)(uintptr_t)name, version, &interface, 0) != CKR_OK ||
        interface == NULL)
        return NULL;
    return interface->pFunctionList;
}

static enum outcome module_load(struct client *client, const char *path)
{
    CK_C_GetFunctionList get = NULL;

    client->dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (client->dl == NULL) {
        failure_set(&client->failure, OUTCOME_FAILED, "MODULE_LOAD", "cannot load the module: %s",
                    dlerror());
        failure_hint(&client->failure, "say where it is with --module PATH or REPRIEVE_MODULE");
        return OUTCOME_FAILED;
    }
    *(void **)&get = dlsym(client->dl, "C_GetFunctionList");
    if (get == NULL || get(&client->f) != CKR_OK)
        return failure_set(&client->failure, OUTCOME_FAILED, "MODULE_LOAD",
                           "%s is not a PKCS#11 module", path);
    client->rpv = interface_find(client, RPV_INTERFACE_NAME, NULL);
    client->f3 = interface_find(client, "PKCS 11", &(CK_VERSION){3, 0});
    return OUTCOME_OK;
}

enum outcome client_open(struct client *client)
{
    char path[PATH_SIZE];
    char reserved[PATH_SIZE];
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    enum outcome outcome = OUTCOME_OK;

    module_default(client, path);
    outcome = module_load(client, path);
    if (outcome != OUTCOME_OK)
        return outcome;
    if (client->store != NULL) {
        if (snprintf(reserved, sizeof(reserved), "store=%s", client->store) >= PATH_SIZE)
            return failure_set(&client->failure, OUTCOME_USAGE, "USAGE", "--store is too long");
        args.pReserved = reserved;
    }
    outcome = client_check(client, "C_Initialize", client->f->C_Initialize(&args));
    client->initialized = outcome == OUTCOME_OK;
    if (outcome != OUTCOME_OK)
        failure_hint(&client->failure, "is the store yours, and reprieve.conf right? "
                     "REPRIEVE_TRACE=/dev/stderr tells more");
    return outcome;
}

enum outcome client_need_vendor(struct client *client)
{
    if (client->rpv != NULL)
        return OUTCOME_OK;
    failure_set(&client->failure, OUTCOME_FAILED, "MODULE_FOREIGN",
                "the module has no interface \"%s\": it is not Reprieve", RPV_INTERFACE_NAME);
    failure_hint(&client->failure, "check --module and REPRIEVE_MODULE");
    return OUTCOME_FAILED;
}

void client_done(struct client *client)
{
    if (client->session != CK_INVALID_HANDLE)
        client->f->C_CloseSession(client->session);
    if (client->initialized)
        client->f->C_Finalize(NULL);
    if (client->dl != NULL)
        dlclose(client->dl);
    failure_done(&client->failure);
}

/* ------------------------------------------------------------------ the vault */

static size_t padded_len(const CK_UTF8CHAR *text, size_t size)
{
    while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\0'))
        size--;
    return size;
}

static bool padded_is(const CK_UTF8CHAR *text, size_t size, const char *wanted)
{
    size_t len = padded_len(text, size);

    return strlen(wanted) == len && memcmp(text, wanted, len) == 0;
}

static bool vault_matches(const char *wanted, CK_SLOT_ID slot, const CK_TOKEN_INFO *info)
{
    char number[24];

    if (wanted == NULL)
        return true;
    snprintf(number, sizeof(number), "%lu", slot);
    return padded_is(info->label, sizeof(info->label), wanted) ||
           padded_is(info->serialNumber, sizeof(info->serialNumber), wanted) ||
           strcmp(number, wanted) == 0;
}

static json_t *vault_row(CK_SLOT_ID slot, const CK_TOKEN_INFO *info)
{
    json_t *row = json_object();

    json_object_set_new(row, "slot", json_integer((json_int_t)slot));
    json_object_set_new(row, "serial",
                        output_bytes_text(info->serialNumber,
                                          padded_len(info->serialNumber,
                                                     sizeof(info->serialNumber))));
    json_object_set_new(row, "label",
                        output_bytes_text(info->label,
                                          padded_len(info->label, sizeof(info->label))));
    return row;
}

/* The slots that match, as rows; the last of them in ret_slot. */
static enum outcome vaults_matching(struct client *client, json_t *rows, CK_SLOT_ID *ret_slot)
{
    CK_SLOT_ID slots[1024];
    CK_ULONG n = COUNT_OF(slots);
    CK_RV rv = client->f->C_GetSlotList(CK_TRUE, slots, &n);
    CK_TOKEN_INFO info;

    if (rv != CKR_OK)
        return client_check(client, "C_GetSlotList", rv);
    for (CK_ULONG i = 0; i < n; i++) {
        if (client->f->C_GetTokenInfo(slots[i], &info) != CKR_OK ||
            (info.flags & CKF_TOKEN_INITIALIZED) == 0 ||
            !vault_matches(client->vault, slots[i], &info))
            continue;
        json_array_append_new(rows, vault_row(slots[i], &info));
        *ret_slot = slots[i];
    }
    return OUTCOME_OK;
}

static enum outcome vault_missing(struct client *client)
{
    if (client->vault != NULL) {
        failure_set(&client->failure, OUTCOME_NOT_FOUND, "VAULT_NOT_FOUND",
                    "no vault has the label, serial number or slot \"%s\"", client->vault);
        failure_hint(&client->failure, "see them with: reprieve vault list");
    } else {
        failure_set(&client->failure, OUTCOME_NOT_FOUND, "VAULT_NOT_FOUND",
                    "the store has no vault yet");
        failure_hint(&client->failure, "make one with: reprieve vault create --label NAME");
    }
    return OUTCOME_NOT_FOUND;
}

enum outcome client_choose_vault(struct client *client)
{
    json_t *rows = json_array();
    enum outcome outcome = vaults_matching(client, rows, &client->slot);

    if (outcome == OUTCOME_OK && json_array_size(rows) == 0)
        outcome = vault_missing(client);
    if (outcome == OUTCOME_OK && json_array_size(rows) > 1) {
        outcome = failure_set(&client->failure, OUTCOME_NOT_FOUND, "VAULT_AMBIGUOUS",
                              client->vault == NULL ? "there is more than one vault"
                                                    : "more than one vault is called that");
        failure_hint(&client->failure, "name one with --vault LABEL, SERIAL or SLOT");
        client->failure.candidates = json_incref(rows);
    }
    json_decref(rows);
    return outcome;
}

/* ------------------------------------------------------------------ login */

CK_USER_TYPE client_user_type(enum client_role role)
{
    return role == ROLE_SO ? CKU_SO : CKU_USER;
}

enum outcome client_pin(struct client *client, enum client_role role, bool fresh,
                        struct pin *ret_pin)
{
    char named[80];
    const struct pin_source sources[] = {
        [ROLE_USER] = {client->user != NULL ? named : "user PIN", client->pin_file, "--pin-file",
                       "REPRIEVE_PIN"},
        [ROLE_SO] = {"SO PIN", client->so_pin_file, "--so-pin-file", "REPRIEVE_SO_PIN"},
    };

    snprintf(named, sizeof(named), "PIN of %s", client->user != NULL ? client->user : "");
    return pin_read(&sources[role], fresh, &client->failure, ret_pin);
}

/* How many tries a principal has left; false when that is not to be learned. */
static bool tries_left(struct client *client, enum client_role role, CK_ULONG *ret_tries)
{
    struct RPV_VAULT_INFO vaults[64];
    struct RPV_USER_INFO users[64];
    CK_ULONG n = client->user != NULL ? COUNT_OF(users) : COUNT_OF(vaults);
    CK_RV rv = client->user != NULL ? client->rpv->RPV_ListUsers(client->slot, users, &n)
                                    : client->rpv->RPV_ListVaults(vaults, &n);

    for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++) {
        if (client->user != NULL ? strcmp(users[i].name, client->user) != 0
                                 : vaults[i].slotID != client->slot)
            continue;
        *ret_tries = client->user != NULL ? users[i].ulTriesLeft
                     : role == ROLE_SO    ? vaults[i].ulSoTriesLeft
                                          : vaults[i].ulUserTriesLeft;
        return true;
    }
    return false;
}

/* More than the code tells. A user that there is not has a wrong PIN, too. */
static void login_explain(struct client *client, enum client_role role)
{
    CK_ULONG tries = 0;

    if (client->rpv == NULL || strcmp(client->failure.code, "CKR_PIN_INCORRECT") != 0)
        return;
    if (tries_left(client, role, &tries))
        failure_hint(&client->failure, "tries left before the PIN is locked: %lu", tries);
    else if (client->user != NULL)
        failure_hint(&client->failure, "is there a user \"%s\"? See: reprieve user list",
                     client->user);
}

static enum outcome login_named(struct client *client, const struct pin *pin)
{
    if (client->f3 == NULL)
        return failure_set(&client->failure, OUTCOME_FAILED, "MODULE_FOREIGN",
                           "the module knows no named users");
    return client_check(client, "C_LoginUser",
                        client->f3->C_LoginUser(client->session, CKU_USER,
                                                (CK_UTF8CHAR_PTR)(uintptr_t)pin->bytes, pin->len,
                                                (CK_UTF8CHAR_PTR)(uintptr_t)client->user,
                                                strlen(client->user)));
}

enum outcome client_login(struct client *client, enum client_role role, bool read_write)
{
    /* the standard has no read-only SO sessions */
    CK_FLAGS flags = CKF_SERIAL_SESSION | (read_write || role == ROLE_SO ? CKF_RW_SESSION : 0);
    AUTO(pin) struct pin pin = {0};
    enum outcome outcome = client_check(
        client, "C_OpenSession",
        client->f->C_OpenSession(client->slot, flags, NULL, NULL, &client->session));

    if (outcome != OUTCOME_OK || role == ROLE_PUBLIC)
        return outcome;
    outcome = client_pin(client, role, false, &pin);
    if (outcome != OUTCOME_OK)
        return outcome;
    if (role == ROLE_USER && client->user != NULL)
        outcome = login_named(client, &pin);
    else
        outcome = client_check(client, "C_Login",
                               client->f->C_Login(client->session, client_user_type(role),
                                                  pin.bytes, pin.len));
    if (outcome == OUTCOME_OK)
        client->role = role;
    else
        login_explain(client, role);
    return outcome;
}
