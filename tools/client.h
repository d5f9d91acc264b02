/*
 * client.h: the module, as any application sees it: loaded, initialised, a vault chosen, a session
 * opened and logged in to. Every step records its failure in client->failure.
 */
#ifndef CLIENT_H
#define CLIENT_H
#include "failure.h"
#include "pin.h"
#include "pkcs11.h"
#include "reprieve.h"

enum client_role { ROLE_PUBLIC, ROLE_USER, ROLE_SO };

struct client {
    /* set before client_open; NULL: the default */
    const char *module_path;
    const char *store;
    const char *vault;
    const char *pin_file;
    const char *so_pin_file;
    const char *user; /* whom ROLE_USER means by name; NULL: the vault's own user */

    void *dl;
    CK_FUNCTION_LIST_PTR f;
    CK_FUNCTION_LIST_3_0_PTR f3;         /* NULL: the module has no 3.0 interface */
    const struct RPV_FUNCTION_LIST *rpv; /* NULL: the module is not Reprieve */
    bool initialized;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    enum client_role role;
    struct failure failure;
};

/* Loads and initialises the module. */
enum outcome client_open(struct client *client);
/* Fails when the module lacks the vendor interface. */
enum outcome client_need_vendor(struct client *client);
/* Chooses client->slot: what --vault says, or the only vault there is. */
enum outcome client_choose_vault(struct client *client);
/* Opens a session with the vault and logs in (ROLE_PUBLIC: does not). */
enum outcome client_login(struct client *client, enum client_role role, bool read_write);
/* Closes, finalises, unloads; what was not opened is no matter. */
void client_done(struct client *client);

/* The PIN of a role; fresh: one to be set. */
enum outcome client_pin(struct client *client, enum client_role role, bool fresh,
                        struct pin *ret_pin);
CK_USER_TYPE client_user_type(enum client_role role);

/* OUTCOME_OK for CKR_OK; else records the code, the module's reason and what to do about it. */
enum outcome client_check(struct client *client, const char *call, CK_RV rv);
const char *ckr_text(CK_RV rv);
#endif
