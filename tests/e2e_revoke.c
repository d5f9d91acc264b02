/*
 * Revocation in the middle of an operation: one process has begun every kind of multi-part
 * operation, with one named user's login; another takes the key, the user or the vault away; the
 * next call of the first ends the operation. Every operation with every way to lose it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "promise.h"

#define PIN(text) (CK_UTF8CHAR *)(uintptr_t)(text), sizeof(text) - 1
#define ENDED CKR_OPERATION_NOT_INITIALIZED

static struct harness h;
static struct lockstep step;

enum victim { SECRET, PAIR_PRIVATE, PAIR_PUBLIC, VICTIMS };
static const CK_OBJECT_CLASS CLASSES[VICTIMS] = {CKO_SECRET_KEY, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY};

/* ------------------------------------------------------------------ operations */

static CK_MECHANISM ecb = {CKM_AES_ECB, NULL, 0}, cmac = {CKM_AES_CMAC, NULL, 0},
                    ecdsa = {CKM_ECDSA_SHA256, NULL, 0}, sha256 = {CKM_SHA256, NULL, 0};
static CK_BYTE in[16], out[128], wrong[64] = {1};
static CK_ULONG out_len;

typedef CK_RV (*op_fn)(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key);

#define OP(name, ...)                                                                              \
    static CK_RV name(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)                             \
    {                                                                                              \
        out_len = sizeof out;                                                                      \
        (void)key;                                                                                 \
        return __VA_ARGS__;                                                                        \
    }
OP(encrypt_init, h.f->C_EncryptInit(session, &ecb, key))
OP(encrypt_update, h.f->C_EncryptUpdate(session, in, sizeof in, out, &out_len))
OP(encrypt_final, h.f->C_EncryptFinal(session, out, &out_len))
OP(encrypt_all, h.f->C_Encrypt(session, in, sizeof in, out, &out_len))
OP(encrypt_size, h.f->C_Encrypt(session, in, sizeof in, NULL, &out_len))
OP(decrypt_init, h.f->C_DecryptInit(session, &ecb, key))
OP(decrypt_update, h.f->C_DecryptUpdate(session, in, sizeof in, out, &out_len))
OP(decrypt_final, h.f->C_DecryptFinal(session, out, &out_len))
OP(decrypt_all, h.f->C_Decrypt(session, in, sizeof in, out, &out_len))
OP(mac_init, h.f->C_SignInit(session, &cmac, key))
OP(sign_init, h.f->C_SignInit(session, &ecdsa, key))
OP(sign_update, h.f->C_SignUpdate(session, in, sizeof in))
OP(sign_final, h.f->C_SignFinal(session, out, &out_len))
OP(sign_all, h.f->C_Sign(session, in, sizeof in, out, &out_len))
OP(mac_check_init, h.f->C_VerifyInit(session, &cmac, key))
OP(verify_init, h.f->C_VerifyInit(session, &ecdsa, key))
OP(verify_update, h.f->C_VerifyUpdate(session, in, sizeof in))
OP(verify_final, h.f->C_VerifyFinal(session, wrong, 64))
OP(mac_check_final, h.f->C_VerifyFinal(session, wrong, 16))
OP(verify_all, h.f->C_Verify(session, in, sizeof in, wrong, 64))
OP(digest_update, h.f->C_DigestUpdate(session, in, sizeof in))
OP(digest_final, h.f->C_DigestFinal(session, out, &out_len))
OP(sign_encrypt_update, h.f->C_SignEncryptUpdate(session, in, sizeof in, out, &out_len))
OP(digest_encrypt_update, h.f->C_DigestEncryptUpdate(session, in, sizeof in, out, &out_len))

static CK_RV both_init(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    OK(mac_init(session, key));
    return encrypt_init(session, key);
}

static CK_RV digest_init(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    OK(h.f->C_DigestInit(session, &sha256));
    return h.f->C_DigestKey(session, key);
}

static CK_RV digest_encrypt_init(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    OK(h.f->C_DigestInit(session, &sha256));
    return encrypt_init(session, key);
}

static CK_OBJECT_HANDLE copy_of(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    CK_ATTRIBUTE to_session = ATTR_FALSE(CKA_TOKEN);
    CK_OBJECT_HANDLE copy = CK_INVALID_HANDLE;
    OK(h.f->C_CopyObject(session, key, &to_session, 1, &copy));
    OK(h.f->C_CopyObject(session, copy, &to_session, 1, &copy));   /* a copy's copy follows, too */
    return copy;
}
OP(copy_encrypt_init, encrypt_init(session, copy_of(session, key)))
OP(copy_decrypt_init, decrypt_init(session, copy_of(session, key)))
OP(copy_sign_init, sign_init(session, copy_of(session, key)))
OP(copy_digest_init, digest_init(session, copy_of(session, key)))

/* What decides whether the operation is one of those that a cause ends. */
enum { OLD_USE = 1,              /* what an expired key still does */
       BY_GET = 2 };             /* it hangs on the verb get, not on one of use */

static const struct op_row {
    const char *name;
    enum victim victim;
    unsigned traits;
    op_fn begin, update;         /* update NULL: nothing between begin and next */
    op_fn next, after;           /* the call that ends, and one more */
    CK_RV goes_on;               /* what next yields when the operation goes on */
} OPS[] = {
    {"encrypt, update", SECRET, 0, encrypt_init, encrypt_update, encrypt_update, encrypt_final, 0},
    {"encrypt, final", SECRET, 0, encrypt_init, encrypt_update, encrypt_final, encrypt_final, 0},
    {"encrypt, at once", SECRET, 0, encrypt_init, NULL, encrypt_all, encrypt_all, 0},
    {"encrypt, size", SECRET, 0, encrypt_init, NULL, encrypt_size, encrypt_all, 0},
    {"decrypt, update", SECRET, OLD_USE, decrypt_init, decrypt_update, decrypt_update,
     decrypt_final, 0},
    {"decrypt, final", SECRET, OLD_USE, decrypt_init, decrypt_update, decrypt_final,
     decrypt_final, 0},
    {"decrypt, at once", SECRET, OLD_USE, decrypt_init, NULL, decrypt_all, decrypt_all, 0},
    {"MAC, update", SECRET, 0, mac_init, sign_update, sign_update, sign_final, 0},
    {"MAC, final", SECRET, 0, mac_init, sign_update, sign_final, sign_final, 0},
    {"sign, update", PAIR_PRIVATE, 0, sign_init, sign_update, sign_update, sign_final, 0},
    {"sign, final", PAIR_PRIVATE, 0, sign_init, sign_update, sign_final, sign_final, 0},
    {"sign, at once", PAIR_PRIVATE, 0, sign_init, NULL, sign_all, sign_all, 0},
    {"check a MAC, update", SECRET, OLD_USE, mac_check_init, verify_update, verify_update,
     mac_check_final, 0},
    {"check a MAC, final", SECRET, OLD_USE, mac_check_init, verify_update, mac_check_final,
     mac_check_final, CKR_SIGNATURE_INVALID},
    {"verify, update", PAIR_PUBLIC, OLD_USE, verify_init, verify_update, verify_update,
     verify_final, 0},
    {"verify, final", PAIR_PUBLIC, OLD_USE, verify_init, verify_update, verify_final,
     verify_final, CKR_SIGNATURE_INVALID},
    {"verify, at once", PAIR_PUBLIC, OLD_USE, verify_init, NULL, verify_all, verify_all,
     CKR_SIGNATURE_INVALID},
    {"digest a key, update", SECRET, BY_GET, digest_init, digest_update, digest_update,
     digest_final, 0},
    {"digest a key, final", SECRET, BY_GET, digest_init, NULL, digest_final, digest_final, 0},
    {"encrypt by a copy", SECRET, 0, copy_encrypt_init, encrypt_update, encrypt_update,
     encrypt_final, 0},
    {"decrypt by a copy", SECRET, OLD_USE, copy_decrypt_init, decrypt_update, decrypt_update,
     decrypt_final, 0},
    {"sign by a copy", PAIR_PRIVATE, 0, copy_sign_init, sign_update, sign_final, sign_final, 0},
    {"digest a copy", SECRET, BY_GET, copy_digest_init, digest_update, digest_final,
     digest_final, 0},
    {"MAC and encrypt", SECRET, 0, both_init, sign_encrypt_update, sign_encrypt_update,
     encrypt_final, 0},
    {"digest and encrypt", SECRET, 0, digest_encrypt_init, digest_encrypt_update,
     digest_encrypt_update, encrypt_final, 0},
};
#define OPS_COUNT COUNT_OF(OPS)

/* ------------------------------------------------------------------ causes */

struct governor {
    const struct RPV_FUNCTION_LIST *rpv;
    CK_SESSION_HANDLE session;
};

static CK_OBJECT_HANDLE victim_find(CK_SESSION_HANDLE session, enum victim victim, int deleted)
{
    CK_OBJECT_CLASS cls = CLASSES[victim];
    CK_ATTRIBUTE wanted[] = {ATTR_VAR(CKA_CLASS, cls), ATTR_STR(CKA_LABEL, "victim"),
                             ATTR_TRUE(CKA_TOKEN), ATTR_BOOL(CKA_RPV_DELETED, deleted == 2)};
    return harness_find(&h, session, wanted, deleted == 0 ? 3 : 4);
}

static void victims_set(struct governor *g, CK_ATTRIBUTE attribute)
{
    for (enum victim v = 0; v < VICTIMS; v++)
        OK(h.f->C_SetAttributeValue(g->session, victim_find(g->session, v, 1), &attribute, 1));
}

static void cause_delete(struct governor *g)
{
    for (enum victim v = 0; v < VICTIMS; v++)
        OK(h.f->C_DestroyObject(g->session, victim_find(g->session, v, 0)));
}

static void so_login(struct governor *g)
{
    harness_logout(&h, g->session);
    harness_login(&h, g->session, CKU_SO);
}

static void cause_purge(struct governor *g)
{
    cause_delete(g);
    so_login(g);
    for (enum victim v = 0; v < VICTIMS; v++)
        OK(h.f->C_DestroyObject(g->session, victim_find(g->session, v, 2)));
}

/* Deleted and back again before the next call: to this process it never was deleted. */
static void cause_delete_and_recover(struct governor *g)
{
    CK_ATTRIBUTE recover = ATTR_FALSE(CKA_RPV_DELETED);
    cause_delete(g);
    for (enum victim v = 0; v < VICTIMS; v++)
        OK(h.f->C_SetAttributeValue(g->session, victim_find(g->session, v, 2), &recover, 1));
}

static void cause_disable(struct governor *g)
{
    victims_set(g, (CK_ATTRIBUTE)ATTR_FALSE(CKA_RPV_ENABLED));
}

static void cause_expire(struct governor *g)
{
    victims_set(g, (CK_ATTRIBUTE)ATTR_STR(CKA_RPV_NOT_AFTER, "2001010100000000"));
}

static void cause_defer(struct governor *g)
{
    victims_set(g, (CK_ATTRIBUTE)ATTR_STR(CKA_RPV_NOT_BEFORE, "2101010100000000"));
}

static void cause_verbs_of_use(struct governor *g)
{
    so_login(g);
    OK(g->rpv->RPV_SetUserVerbs(g->session, "alice", RPV_VERB_GET | RPV_VERB_LIST));
}

static void cause_verbs(struct governor *g)
{
    so_login(g);
    OK(g->rpv->RPV_SetUserVerbs(g->session, "alice", 0));
}

static void cause_grant(struct governor *g)
{
    so_login(g);
    for (enum victim v = 0; v < VICTIMS; v++)
        OK(g->rpv->RPV_GrantUser(g->session, "alice", victim_find(g->session, v, 1), 0));
}

static void cause_remove_user(struct governor *g)
{
    so_login(g);
    OK(g->rpv->RPV_RemoveUser(g->session, "alice"));
}

static void cause_init(struct governor *g)
{
    CK_UTF8CHAR label[33] = "afresh                          ";
    OK(h.f->C_CloseAllSessions(h.slot));
    OK(h.f->C_InitToken(h.slot, PIN(HARNESS_SO_PIN), label));
    g->session = CK_INVALID_HANDLE;
}

/* Another's generation comes back, and this one goes. */
static void cause_recover_generation(struct governor *g)
{
    struct RPV_GENERATION_INFO infos[4];
    CK_ULONG n = COUNT_OF(infos);
    OK(g->rpv->RPV_ListGenerations(h.slot, infos, &n));
    CHECK(n == 2 && infos[1].bDeleted);
    OK(h.f->C_CloseAllSessions(h.slot));
    OK(g->rpv->RPV_RecoverGeneration(h.slot, infos[1].ulGeneration, CKU_SO, PIN(HARNESS_SO_PIN)));
    g->session = CK_INVALID_HANDLE;
}

/* Nothing is taken away: the operations go on, or the others would prove nothing. */
static void cause_none(struct governor *g)
{
    CK_ATTRIBUTE label = ATTR_STR(CKA_RPV_DELETE_REASON, "none");
    victims_set(g, label);
}

enum search { SEES_ALL, SEES_REST, SEES_NOTHING };

static const struct cause_row {
    const char *name;
    void (*run)(struct governor *g);
    bool granted;                /* alice has grants on the victims, and no verb in general */
    unsigned spared;             /* operations with one of these traits go on */
    bool spares_all;
    enum search search;          /* what a search that was begun yields then */
} CAUSES[] = {
    {"nothing", cause_none, false, 0, true, SEES_ALL},
    {"nothing, by grants", cause_none, true, 0, true, SEES_ALL},
    {"the key deleted", cause_delete, false, 0, false, SEES_REST},
    {"the key deleted, by grants", cause_delete, true, 0, false, SEES_REST},
    {"the key purged", cause_purge, false, 0, false, SEES_REST},
    {"the key deleted and recovered", cause_delete_and_recover, false, 0, true, SEES_ALL},
    {"the key disabled", cause_disable, false, 0, false, SEES_ALL},
    {"the key expired", cause_expire, false, OLD_USE, false, SEES_ALL},
    {"the key not active yet", cause_defer, false, 0, false, SEES_ALL},
    {"the verbs of use taken", cause_verbs_of_use, false, BY_GET, false, SEES_ALL},
    {"all verbs taken", cause_verbs, false, 0, false, SEES_NOTHING},
    {"the grant taken", cause_grant, true, 0, false, SEES_NOTHING},
    {"the user removed", cause_remove_user, false, 0, false, SEES_NOTHING},
    {"the user removed, by grants", cause_remove_user, true, 0, false, SEES_NOTHING},
    {"the generation deleted", cause_init, false, 0, false, SEES_NOTHING},
    {"the generation replaced", cause_recover_generation, false, 0, false, SEES_NOTHING},
};
static const struct cause_row *cause;

/* ------------------------------------------------------------------ the governor */

static void keys_make(CK_SESSION_HANDLE session)
{
    static CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    CK_MECHANISM aes = {CKM_AES_KEY_GEN, NULL, 0}, pair = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE secret[] = {ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, "victim"),
                             ATTR_ULONG(CKA_VALUE_LEN, 16), ATTR_TRUE(CKA_ENCRYPT),
                             ATTR_TRUE(CKA_DECRYPT), ATTR_TRUE(CKA_SIGN), ATTR_TRUE(CKA_VERIFY)};
    CK_ATTRIBUTE public[] = {ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, "victim"),
                             ATTR_VAR(CKA_EC_PARAMS, p256), ATTR_TRUE(CKA_PRIVATE)};
    CK_ATTRIBUTE private[] = {ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, "victim")};
    CK_OBJECT_HANDLE keys[2];
    OK(h.f->C_GenerateKey(session, &aes, secret, COUNT_OF(secret), keys));
    OK(h.f->C_GenerateKeyPair(session, &pair, public, COUNT_OF(public), private,
                              COUNT_OF(private), &keys[0], &keys[1]));
    OK(promise_create(&h, session, "another", 1));
}

static void alice_make(struct governor *g)
{
    static const CK_ULONG verbs = RPV_ROLE_CRYPTO_USER;
    so_login(g);
    OK(g->rpv->RPV_AddUser(g->session, "alice", PIN("alice-pin"), cause->granted ? 0 : verbs));
    for (enum victim v = 0; v < VICTIMS && cause->granted; v++)
        OK(g->rpv->RPV_GrantUser(g->session, "alice", victim_find(g->session, v, 1), verbs));
    harness_logout(&h, g->session);
    harness_login(&h, g->session, CKU_USER);
}

static int govern(void *ctx)
{
    struct governor g;
    (void)ctx;
    lockstep_child(&step);
    harness_load(&h);
    harness_token(&h);
    if (cause->run == cause_recover_generation)
        harness_token(&h);       /* there is one to come back */
    g.rpv = promise_vendor(&h);
    g.session = harness_session_rw(&h);
    harness_login(&h, g.session, CKU_USER);
    keys_make(g.session);
    alice_make(&g);
    lockstep_tell(&step);
    lockstep_wait(&step);
    cause->run(&g);
    lockstep_tell(&step);
    lockstep_wait(&step);
    promise_audit(&h);
    harness_unload(&h);
    return 0;
}

/* ------------------------------------------------------------------ who is in the middle of it */

static void op_begin(const struct op_row *op, CK_SESSION_HANDLE session)
{
    CK_OBJECT_HANDLE key = victim_find(session, op->victim, 0);
    OK(op->begin(session, key));
    if (op->update != NULL)
        OK(op->update(session, key));
}

static bool op_goes_on(const struct op_row *op)
{
    return cause->spares_all || (op->traits & cause->spared) != 0;
}

static unsigned op_check(const struct op_row *op, CK_SESSION_HANDLE session)
{
    CK_RV expected = op_goes_on(op) ? op->goes_on : ENDED;
    CK_RV rv = op->next(session, CK_INVALID_HANDLE);
    CK_RV after = op_goes_on(op) ? ENDED : op->after(session, CK_INVALID_HANDLE);
    if (rv == expected && after == ENDED)
        return 0;
    print_error("%s, %s: %s and %s, not %s\n", op->name, cause->name, ckr_name(rv),
                ckr_name(after), ckr_name(expected));
    return 1;
}

/* A search has found one of the four keys; what is left of the others? */
static void search_check(CK_SESSION_HANDLE session, CK_ULONG total)
{
    const CK_ULONG left[] = {[SEES_ALL] = total - 1, [SEES_REST] = total - 1 - VICTIMS,
                             [SEES_NOTHING] = 0};
    CK_OBJECT_HANDLE found[8];
    CK_ULONG n = 77;
    OK(h.f->C_FindObjects(session, found, COUNT_OF(found), &n));
    /* the first one found is either among the victims or not */
    bool right = cause->search == SEES_REST ? n <= 1 : n == left[cause->search];
    if (!right)
        harness_fail(__FILE__, __LINE__, "a search, %s: %lu more", cause->name, n);
    OK(h.f->C_FindObjectsFinal(session));
}

static CK_ULONG search_begin(CK_SESSION_HANDLE session)
{
    CK_ATTRIBUTE wanted[] = {ATTR_TRUE(CKA_PRIVATE), ATTR_TRUE(CKA_TOKEN)};
    CK_OBJECT_HANDLE found[8];
    CK_ULONG total, n;
    OK(h.f->C_FindObjectsInit(session, wanted, COUNT_OF(wanted)));
    OK(h.f->C_FindObjects(session, found, COUNT_OF(found), &total));
    OK(h.f->C_FindObjectsFinal(session));
    CHECK(total == (CK_ULONG)VICTIMS + (cause->granted ? 0 : 1));
    OK(h.f->C_FindObjectsInit(session, wanted, COUNT_OF(wanted)));
    OK(h.f->C_FindObjects(session, found, 1, &n));
    CHECK(n == 1);
    return total;
}

static void one_cause(void **state)
{
    CK_SESSION_HANDLE sessions[OPS_COUNT + 1];
    unsigned failed = 0;
    cause = *state;
    harness_init(&h, "purge_protection = no\n");
    lockstep_init(&step);
    pid_t pid = fork_start(govern, NULL);
    lockstep_wait(&step);
    harness_load(&h);
    harness_slot(&h);
    for (size_t i = 0; i <= OPS_COUNT; i++)
        sessions[i] = harness_session_rw(&h);
    OK(h.f3->C_LoginUser(sessions[0], CKU_USER, PIN("alice-pin"), PIN("alice")));
    for (size_t i = 0; i < OPS_COUNT; i++)
        op_begin(&OPS[i], sessions[i]);
    CK_ULONG total = search_begin(sessions[OPS_COUNT]);
    lockstep_tell(&step);
    lockstep_wait(&step);
    for (size_t i = 0; i < OPS_COUNT; i++)
        failed += op_check(&OPS[i], sessions[i]);
    search_check(sessions[OPS_COUNT], total);
    lockstep_tell(&step);
    CHECK(fork_wait(pid) == 0);
    lockstep_done(&step);
    CHECK(failed == 0);
    harness_done(&h);
}

static int teardown(void **state)
{
    (void)state;
    if (h.dl != NULL)
        harness_done(&h);
    return 0;
}

int main(void)
{
    static struct CMUnitTest tests[COUNT_OF(CAUSES)];
    harness_fail_hook = _fail;
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    for (size_t i = 0; i < COUNT_OF(CAUSES); i++)
        tests[i] = (struct CMUnitTest){CAUSES[i].name, one_cause, NULL, teardown,
                                       (void *)(uintptr_t)&CAUSES[i]};
    return _cmocka_run_group_tests("revocation", tests, COUNT_OF(CAUSES), NULL, NULL);
}
