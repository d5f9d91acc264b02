/* faults_vaults.c: the rows of faults.h that are about vaults, users, and backups. */
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ------------------------------------------------------------------ the vault */

static CK_RV op_policy(struct session *s)
{
    return policy_set(s, 33, 3, 11);
}

static CK_RV op_init_pin(struct session *s)
{
    return s->h->f->C_InitPIN(s->handle, PIN(s->w->user_pins[1]));
}

static CK_RV op_set_pin(struct session *s)
{
    return s->h->f->C_SetPIN(s->handle, PIN(s->w->user_pins[0]), PIN(s->w->user_pins[1]));
}

static CK_RV op_set_so_pin(struct session *s)
{
    return s->h->f->C_SetPIN(s->handle, PIN(HARNESS_SO_PIN), PIN("new " HARNESS_SO_PIN));
}

static CK_RV op_set_alice_pin(struct session *s)
{
    return s->h->f->C_SetPIN(s->handle, PIN("alice:alice's pin"), PIN("alice's next"));
}

static CK_RV login(struct session *s, const char *pin)
{
    s->handle = harness_session_rw(s->h);
    CK_RV rv = s->h->f->C_Login(s->handle, CKU_USER, PIN(pin));
    OK(s->h->f->C_CloseSession(s->handle));
    return rv;
}

static CK_RV op_login(struct session *s)
{
    return login(s, s->w->user_pins[0]);
}

static CK_RV op_login_wrong(struct session *s)
{
    return login(s, "a wrong one");
}

/* Until the tries are used up. */
static CK_RV op_lock_out(struct session *s)
{
    CK_RV rv = op_login_wrong(s);
    for (int i = 0; s->again && i < 3 && rv != CKR_PIN_LOCKED; i++)
        rv = op_login_wrong(s);
    return s->again && rv == CKR_PIN_LOCKED ? CKR_PIN_INCORRECT : rv;
}

static CK_RV op_vault_hold(struct session *s)
{
    return s->vendor->RPV_SetHold(s->h->slot, 0, CK_TRUE, NULL, 0);
}

static CK_RV op_vault_release(struct session *s)
{
    return s->vendor->RPV_SetHold(s->h->slot, 0, CK_FALSE, PIN(s->w->so_pin));
}

static CK_RV op_vault_lock(struct session *s)
{
    return s->vendor->RPV_SetLock(s->h->slot, 0, 2, NULL, 0);
}

static CK_RV op_vault_unlock(struct session *s)
{
    return s->vendor->RPV_SetLock(s->h->slot, 0, 0, PIN(s->w->so_pin));
}

static CK_RV op_create_vault(struct session *s)
{
    CK_UTF8CHAR label[33] = "second                          ";
    CK_SLOT_ID slot;
    return s->vendor->RPV_CreateVault(PIN("another SO PIN"), label, NULL, &slot);
}

static CK_RV op_accept_rollback(struct session *s)
{
    return s->vendor->RPV_AcceptRollback(s->h->slot, PIN(s->w->so_pin));
}

static CK_RV op_sweep(struct session *s)
{
    CK_ULONG purged;
    return s->vendor->RPV_Sweep(1000, &purged);
}


/* A change sweeps a little in passing: four objects. */
static CK_RV op_create_sweeping(struct session *s)
{
    CK_ULONG done = 0, purged;
    if (!s->again || find_label(s, LABEL, false) == CK_INVALID_HANDLE)
        return op_create(s);
    OK(s->vendor->RPV_ListTombstones(s->h->slot, NULL, &done));
    return done < 4 ? s->vendor->RPV_Sweep(4 - done, &purged) : CKR_OK;
}

static CK_RV op_first(struct session *s)
{
    CK_UTF8CHAR label[33] = "first                           ";
    CK_RV rv = op_open(s);
    if (rv != CKR_OK)
        return rv;
    harness_slot(s->h);
    return s->h->f->C_InitToken(s->h->slot, PIN(s->w->so_pin), label);
}

/* ------------------------------------------------------------------ users */

static CK_RV op_user_remove(struct session *s)
{
    return s->vendor->RPV_RemoveUser(s->handle, "alice");
}

static CK_RV op_user_verbs(struct session *s)
{
    return s->vendor->RPV_SetUserVerbs(s->handle, "alice", RPV_ROLE_CRYPTO_USER);
}

static CK_RV op_user_pin(struct session *s)
{
    return s->vendor->RPV_SetUserPin(s->handle, "alice", PIN("alice's next"));
}

static CK_RV op_user_grant(struct session *s)
{
    return s->vendor->RPV_GrantUser(s->handle, "alice", find_label(s, LABEL, false),
                                    RPV_VERB_DECRYPT);
}

static CK_RV op_user_revoke(struct session *s)
{
    return s->vendor->RPV_GrantUser(s->handle, "alice", find_label(s, LABEL, false), 0);
}

/* ------------------------------------------------------------------ generations */

static CK_ULONG deleted_generation(struct session *s)
{
    struct RPV_GENERATION_INFO infos[8];
    CK_ULONG n = COUNT_OF(infos);
    OK(s->vendor->RPV_ListGenerations(s->h->slot, infos, &n));
    CHECK(n > 1);
    return infos[n - 1].ulGeneration;
}

static CK_RV op_generation_recover(struct session *s)
{
    return s->vendor->RPV_RecoverGeneration(s->h->slot, deleted_generation(s), CKU_SO,
                                            PIN(s->w->so_pin));
}

static CK_RV op_generation_recover_by_user(struct session *s)
{
    return s->vendor->RPV_RecoverGeneration(s->h->slot, deleted_generation(s), CKU_USER,
                                            PIN(s->w->user_pins[0]));
}

static CK_RV op_generation_hold(struct session *s)
{
    return s->vendor->RPV_SetHold(s->h->slot, deleted_generation(s), CK_TRUE, PIN(s->w->so_pin));
}

static CK_RV op_generation_lock(struct session *s)
{
    return s->vendor->RPV_SetLock(s->h->slot, deleted_generation(s), 1, PIN(s->w->so_pin));
}

static CK_RV op_generation_release(struct session *s)
{
    return s->vendor->RPV_SetHold(s->h->slot, deleted_generation(s), CK_FALSE, PIN(s->w->so_pin));
}

static CK_RV op_generation_unlock(struct session *s)
{
    return s->vendor->RPV_SetLock(s->h->slot, deleted_generation(s), 0, PIN(s->w->so_pin));
}

static CK_RV op_generation_purge(struct session *s)
{
    return s->vendor->RPV_PurgeGeneration(s->h->slot, deleted_generation(s), PIN(s->w->so_pin));
}

/* ------------------------------------------------------------------ backup, restore */

static CK_RV op_backup_object(struct session *s)
{
    const CK_OBJECT_HANDLE objects[2] = {find_label(s, LABEL, false), find_label(s, "m 0", true)};
    return backup(s, "blobs/new.rpv", objects, COUNT_OF(objects), 0, 0);
}

static CK_RV op_backup(struct session *s)
{
    return backup(s, "blobs/new.rpv", NULL, 0, 0, 0);
}

static CK_RV op_backup_to_key(struct session *s)
{
    return backup(s, "blobs/new.rpv", NULL, 0, 1, 0);
}

static CK_RV op_backup_2_of_3(struct session *s)
{
    return backup(s, "blobs/new.rpv", NULL, 0, 3, 2);
}

static CK_RV restore(struct session *s, bool replace, bool settings)
{
    struct RPV_BLOB_KEY keys[FAULTS_KEYS];
    unsigned long long done;
    char path[512];
    dir_path(s->w, "blobs/old.rpv", path);
    for (size_t i = 0; i < FAULTS_KEYS; i++)
        keys[i] = (struct RPV_BLOB_KEY){(CK_BYTE *)s->w->outside[i].private,
                                        strlen(s->w->outside[i].private)};
    const struct RPV_RESTORE ask = {.pPath = path, .pKeys = keys, .ulKeys = FAULTS_KEYS,
                                    .bReplace = replace, .bSettings = settings};
    return s->vendor->RPV_Restore(s->handle, &ask, &done);
}

static CK_RV op_restore(struct session *s)
{
    return restore(s, s->again, false);
}

static CK_RV op_restore_replace(struct session *s)
{
    return restore(s, true, false);
}

static CK_RV op_restore_settings(struct session *s)
{
    return restore(s, false, true);
}

/* ------------------------------------------------------------------ before */

static void stage_scrypt(struct session *s)
{
    struct RPV_POLICY policy;
    stage_key(s);
    session_become(s, SO);
    OK(s->vendor->RPV_GetPolicy(s->h->slot, &policy));
    policy.ulScryptLogN++;
    OK(s->vendor->RPV_SetPolicy(s->handle, &policy));
}

static void stage_removal_killed(struct session *s)
{
    stage_killed_removal(s, op_user_remove);
}

static void stage_vault_held(struct session *s)
{
    stage_key(s);
    session_become(s, SO);
    OK(op_vault_hold(s));
}

static void stage_vault_locked(struct session *s)
{
    stage_key(s);
    session_become(s, SO);
    OK(op_vault_lock(s));
}

/* One more wrong PIN, and the user is locked out. */
static void stage_last_try(struct session *s)
{
    stage_key(s);
    session_become(s, SO);
    OK(policy_set(s, 90, 0, 3));
    session_leave(s);
    for (int i = 0; i < 2; i++)
        EXPECT(op_login_wrong(s), CKR_PIN_INCORRECT);
}

/* Objects, deleted ones and a generation whose date has come. */
static void stage_due(struct session *s)
{
    stage_retired(s);
    session_enter(s, SO);
    OK(s->h->f->C_InitPIN(s->handle, PIN(s->w->user_pins[0])));
    session_become(s, USER);
    keys_make(s, SOME + 2, SOME);
    clock_forward(s, 91 * DAY);
}

static void stage_generation_held(struct session *s)
{
    stage_retired(s);
    OK(op_generation_hold(s));
}

static void stage_generation_locked(struct session *s)
{
    stage_retired(s);
    OK(op_generation_lock(s));
}

static void stage_generation_purge_killed(struct session *s)
{
    stage_retired(s);
    stage_killed_purge(s, NOBODY, op_generation_purge);
}

/* An older copy of the database put back. */
static void stage_old_copy(struct session *s)
{
    char data[512], older[512], command[1100];
    dir_path(s->w, "store/data.mdb", data);
    dir_path(s->w, "older.mdb", older);
    stage_key(s);
    harness_unload(s->h);
    snprintf(command, sizeof(command), "cp '%s' '%s'", data, older);
    CHECK(system(command) == 0);
    stage_reload(s, USER);
    OK(promise_create(s->h, s->handle, "later", 9));
    harness_unload(s->h);
    snprintf(command, sizeof(command), "cat '%s' >'%s'", older, data);
    CHECK(system(command) == 0);
}

/* What a build of format 1 wrote, a day after. */
static void stage_old_store(struct session *s)
{
    const char *srcdir = getenv("SRCDIR");
    char path[512], command[1400];
    long long made_at = 0;
    harness_unload(s->h);
    snprintf(command, sizeof(command),
             "rm -rf '%s/store' && umask 077 && tar -xJf '%s/tests/old-stores/v1.tar.xz' -C '%s' "
             "--no-same-owner", s->h->dir, srcdir != NULL ? srcdir : ".", s->h->dir);
    CHECK(system(command) == 0);
    dir_path(s->w, "expect/made_at", path);
    FILE *f = fopen(path, "r");
    CHECK(f != NULL && fscanf(f, "%lld", &made_at) == 1);
    fclose(f);
    s->w->clock->wall = made_at + DAY;
    s->w->clock->boot_id[0]++;
    strcpy(s->w->so_pin, "11111111");
    strcpy(s->w->user_pins[0], "222222");
    strcpy(s->w->user_pins[1], "111111");
}

static void store_remove(struct session *s)
{
    harness_unload(s->h);
    dir_copy(s->w, "nothing", "store");
}

/* A backup to keys outside, and another store. */
static void stage_other(struct session *s)
{
    stage_full(s);
    OK(backup(s, "blobs/old.rpv", NULL, 0, FAULTS_KEYS, 2));
    store_remove(s);
    harness_start(s->h);
}

/* In the vault from elsewhere, and deleted. */
static void stage_restored_gone(struct session *s)
{
    stage_other(s);
    stage_reload(s, USER);
    OK(op_restore(s));
    OK(op_delete(s));
}

static void stage_restored_retired(struct session *s)
{
    stage_restored_gone(s);
    session_leave(s);
    OK(op_init(s));
}

static CK_RV op_purge_restored(struct session *s)
{
    return s->h->f->C_DestroyObject(s->handle, find_label(s, LABEL, true));
}

/* A backup, and then others ids, deletes and recoveries. */
static void stage_changed(struct session *s)
{
    CK_ATTRIBUTE other = ATTR_STR(CKA_ID, "since");
    stage_full(s);
    OK(backup(s, "blobs/old.rpv", NULL, 0, 0, 0));
    for (unsigned i = 0; i < 40; i += 3) {
        char label[16];
        snprintf(label, sizeof(label), "m %u", i);
        if (i < SOME)
            OK(promise_recover(s->h, s->handle, find_label(s, label, true)));
        else
            OK(s->h->f->C_SetAttributeValue(s->handle, find_label(s, label, false), &other, 1));
    }
}

/* ------------------------------------------------------------------ rows */

const struct operation FAULTS_VAULTS[] = {
    {"policy", stage_key, SO, op_policy, 0, CKR_OK},
    {"init PIN", stage_key, SO, op_init_pin, 0, CKR_OK},
    {"set PIN", stage_key, USER, op_set_pin, 0, CKR_OK},
    {"set the SO PIN", stage_key, SO, op_set_so_pin, OP_SO_PIN, CKR_OK},
    {"set a user's own PIN", stage_alice, ALICE, op_set_alice_pin, 0, CKR_OK},
    {"login", stage_key, NOBODY, op_login, OP_TRIES, CKR_OK},
    {"login, wrong PIN", stage_key, NOBODY, op_login_wrong, OP_TRIES, CKR_PIN_INCORRECT},
    {"login, locked out", stage_last_try, NOBODY, op_lock_out, OP_TRIES, CKR_PIN_INCORRECT},
    {"login, stretched anew", stage_scrypt, NOBODY, op_login, 0, CKR_OK},
    {"login after a removal that was killed", stage_removal_killed, NOBODY, op_login, 0, CKR_OK},
    {"hold the vault", stage_key, SO, op_vault_hold, 0, CKR_OK},
    {"release the vault", stage_vault_held, NOBODY, op_vault_release, 0, CKR_OK},
    {"lock the vault", stage_key, SO, op_vault_lock, 0, CKR_OK},
    {"unlock the vault", stage_vault_locked, NOBODY, op_vault_unlock, 0, CKR_OK},
    {"create a vault", stage_key, NOBODY, op_create_vault, 0, CKR_OK},
    {"the first of a store", store_remove, NOBODY, op_first, OP_COLD, CKR_OK},
    {"init token", stage_key, NOBODY, op_init, 0, CKR_OK},
    {"recover a generation", stage_retired, NOBODY, op_generation_recover, 0, CKR_OK},
    {"recover it as its user", stage_retired, NOBODY, op_generation_recover_by_user, 0, CKR_OK},
    {"hold a generation", stage_retired, NOBODY, op_generation_hold, 0, CKR_OK},
    {"lock a generation", stage_retired, NOBODY, op_generation_lock, 0, CKR_OK},
    {"release a generation", stage_generation_held, NOBODY, op_generation_release, 0, CKR_OK},
    {"unlock a generation", stage_generation_locked, NOBODY, op_generation_unlock, 0, CKR_OK},
    {"purge a generation", stage_retired, NOBODY, op_generation_purge, 0, CKR_OK},
    {"open after that was killed", stage_generation_purge_killed, NOBODY, op_open, OP_COLD,
     CKR_OK},
    {"sweep", stage_due, NOBODY, op_sweep, OP_STEPS, CKR_OK},
    {"create, and sweep in passing", stage_due, USER, op_create_sweeping,
     OP_STEPS | OP_LATER, CKR_OK},
    {"hold the vault when some is due", stage_due, SO, op_vault_hold, OP_STEPS, CKR_OK},
    {"accept a rollback", stage_old_copy, NOBODY, op_accept_rollback, OP_STEPS | OP_OLD_COPY,
     CKR_OK},
    {"migrate", stage_old_store, NOBODY, op_open, OP_COLD, CKR_OK},
    {"add a user", stage_key, SO, op_user, 0, CKR_OK},
    {"verbs of a user", stage_alice, SO, op_user_verbs, 0, CKR_OK},
    {"PIN of a user", stage_alice, SO, op_user_pin, 0, CKR_OK},
    {"grant", stage_alice, SO, op_user_grant, 0, CKR_OK},
    {"revoke", stage_alice, SO, op_user_revoke, 0, CKR_OK},
    {"remove a user", stage_alice_many, SO, op_user_remove, 0, CKR_OK},
    {"back up objects", stage_full, USER, op_backup_object, OP_STEPS | OP_FILES, CKR_OK},
    {"back up", stage_full, USER, op_backup, OP_STEPS | OP_FILES, CKR_OK},
    {"back up to a key", stage_alice, USER, op_backup_to_key, OP_STEPS | OP_FILES, CKR_OK},
    {"back up to 2 of 3", stage_alice, USER, op_backup_2_of_3, OP_STEPS | OP_FILES, CKR_OK},
    {"restore", stage_other, USER, op_restore, OP_STEPS, CKR_OK},
    {"restore, replacing", stage_changed, USER, op_restore_replace, OP_STEPS, CKR_OK},
    {"restore settings", stage_other, SO, op_restore_settings, OP_STEPS, CKR_OK},
    {"purge what was restored", stage_restored_gone, SO, op_purge_restored, 0, CKR_OK},
    {"purge its generation", stage_restored_retired, NOBODY, op_generation_purge, 0, CKR_OK},
};
const size_t FAULTS_VAULTS_N = COUNT_OF(FAULTS_VAULTS);
