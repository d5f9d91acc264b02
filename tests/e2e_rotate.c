/* e2e_rotate.c: versions of a key: made in one process, found and used in another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"
#include "reprieve.h"

static void fail_hook(const char *file, int line)
{
    _fail(file, line);
}

static const struct RPV_FUNCTION_LIST *vendor(struct harness *h)
{
    CK_UTF8CHAR name[] = RPV_INTERFACE_NAME;
    CK_INTERFACE *interface = NULL;

    CHECK(h->f3 != NULL);
    OK(h->f3->C_GetInterface(name, NULL, &interface, 0));
    return interface->pFunctionList;
}

static CK_ULONG ulong_of(struct harness *h, CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o,
                         CK_ATTRIBUTE_TYPE type)
{
    CK_ULONG value = 0;
    CK_ATTRIBUTE attr = ATTR_VAR(type, value);

    OK(h->f->C_GetAttributeValue(s, o, &attr, 1));
    return value;
}

static CK_OBJECT_HANDLE aes_make(struct harness *h, CK_SESSION_HANDLE s)
{
    CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE attrs[] = {ATTR_TRUE(CKA_TOKEN),   ATTR_STR(CKA_LABEL, "data"),
                            ATTR_STR(CKA_ID, "7"),  ATTR_ULONG(CKA_VALUE_LEN, 32),
                            ATTR_TRUE(CKA_ENCRYPT), ATTR_TRUE(CKA_DECRYPT),
                            ATTR_FALSE(CKA_SIGN)};
    CK_OBJECT_HANDLE key;

    OK(h->f->C_GenerateKey(s, &mechanism, attrs, COUNT_OF(attrs), &key));
    return key;
}

/* The versions that a search by label yields, in its order. */
static CK_ULONG versions_find(struct harness *h, CK_SESSION_HANDLE s, CK_OBJECT_CLASS cls,
                              CK_OBJECT_HANDLE *ret_handles, CK_ULONG cap)
{
    CK_ATTRIBUTE wanted[] = {ATTR_STR(CKA_LABEL, "data"), ATTR_VAR(CKA_CLASS, cls)};
    CK_ULONG n;

    OK(h->f->C_FindObjectsInit(s, wanted, COUNT_OF(wanted)));
    OK(h->f->C_FindObjects(s, ret_handles, cap, &n));
    OK(h->f->C_FindObjectsFinal(s));
    return n;
}

struct shared { struct harness *h; CK_BYTE sealed[16]; };

/* A second process: the newest is the first found, and the oldest still opens what it sealed. */
static int look(void *ctx)
{
    struct shared *shared = ctx;
    struct harness *h = shared->h;
    CK_BYTE iv[16] = {0}, plain[16];
    CK_MECHANISM cbc = {CKM_AES_CBC, iv, sizeof iv};
    CK_OBJECT_HANDLE keys[8];
    CK_ULONG len = sizeof plain, n;
    CK_SESSION_HANDLE s;

    harness_load(h);
    harness_slot(h);
    s = harness_session_rw(h);
    harness_login(h, s, CKU_USER);
    n = versions_find(h, s, CKO_SECRET_KEY, keys, 8);
    CHECK(n == 3);
    for (CK_ULONG i = 0; i < n; i++)
        CHECK(ulong_of(h, s, keys[i], CKA_RPV_VERSION) == 3 - i);
    OK(h->f->C_DecryptInit(s, &cbc, keys[2]));
    OK(h->f->C_Decrypt(s, shared->sealed, 16, plain, &len));
    CHECK(len == 16 && memcmp(plain, "sixteen bytes ..", 16) == 0);
    OK(h->f->C_DecryptInit(s, &cbc, keys[0]));
    len = sizeof plain;
    OK(h->f->C_Decrypt(s, shared->sealed, 16, plain, &len));
    CHECK(memcmp(plain, "sixteen bytes ..", 16) != 0);
    harness_unload(h);
    return 0;
}

static void newest_first_and_older_ones_still_open(void **state)
{
    struct harness h;
    struct shared shared = {.h = &h};
    CK_BYTE iv[16] = {0}, plain[17] = "sixteen bytes ..";
    CK_MECHANISM cbc = {CKM_AES_CBC, iv, sizeof iv};
    CK_ULONG len = sizeof shared.sealed;
    CK_SESSION_HANDLE s;
    CK_OBJECT_HANDLE first, second, third, public;
    const struct RPV_FUNCTION_LIST *rpv;

    (void)state;
    harness_init(&h, NULL);
    s = harness_start(&h);
    rpv = vendor(&h);
    first = aes_make(&h, s);
    OK(h.f->C_EncryptInit(s, &cbc, first));
    OK(h.f->C_Encrypt(s, plain, 16, shared.sealed, &len));
    OK(rpv->RPV_RotateKey(s, first, &second, &public));
    CHECK(public == CK_INVALID_HANDLE);
    CHECK(ulong_of(&h, s, second, CKA_RPV_VERSION) == 2);
    CHECK(ulong_of(&h, s, second, CKA_VALUE_LEN) == 32);
    EXPECT(rpv->RPV_RotateKey(s, first, &third, NULL), CKR_ACTION_PROHIBITED);
    OK(rpv->RPV_RotateKey(s, second, &third, NULL));
    harness_unload(&h);
    CHECK(fork_run(look, &shared) == 0);
    harness_done(&h);
}

static void pairs_go_together(void **state)
{
    struct harness h;
    CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0}, ecdsa = {CKM_ECDSA, NULL, 0};
    CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    CK_ATTRIBUTE pub[] = {ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, "data"), ATTR_STR(CKA_ID, "1"),
                          ATTR_BYTES(CKA_EC_PARAMS, p256, sizeof p256), ATTR_TRUE(CKA_VERIFY)};
    CK_ATTRIBUTE priv[] = {ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, "data"), ATTR_STR(CKA_ID, "1"),
                           ATTR_TRUE(CKA_SIGN)};
    CK_BYTE hash[32] = {1}, signature[64];
    CK_ULONG len = sizeof signature;
    CK_OBJECT_HANDLE keys[2], next[2];
    CK_SESSION_HANDLE s;

    (void)state;
    harness_init(&h, NULL);
    s = harness_start(&h);
    OK(h.f->C_GenerateKeyPair(s, &mechanism, pub, COUNT_OF(pub), priv, COUNT_OF(priv), &keys[0],
                              &keys[1]));
    EXPECT(vendor(&h)->RPV_RotateKey(s, keys[0], &next[1], &next[0]), CKR_KEY_TYPE_INCONSISTENT);
    OK(vendor(&h)->RPV_RotateKey(s, keys[1], &next[1], &next[0]));
    CHECK(next[0] != CK_INVALID_HANDLE);
    CHECK(ulong_of(&h, s, next[0], CKA_RPV_VERSION) == 2);
    OK(h.f->C_SignInit(s, &ecdsa, next[1]));
    OK(h.f->C_Sign(s, hash, sizeof hash, signature, &len));
    OK(h.f->C_VerifyInit(s, &ecdsa, next[0]));
    OK(h.f->C_Verify(s, hash, sizeof hash, signature, len));
    OK(h.f->C_VerifyInit(s, &ecdsa, keys[0]));
    EXPECT(h.f->C_Verify(s, hash, sizeof hash, signature, len), CKR_SIGNATURE_INVALID);
    harness_unload(&h);
    harness_done(&h);
}

/* The next one is deleted: then the former can have another. */
static void a_deleted_version_is_not_the_end(void **state)
{
    struct harness h;
    CK_OBJECT_HANDLE first, second, third;
    CK_SESSION_HANDLE s;

    (void)state;
    harness_init(&h, NULL);
    s = harness_start(&h);
    first = aes_make(&h, s);
    OK(vendor(&h)->RPV_RotateKey(s, first, &second, NULL));
    OK(h.f->C_DestroyObject(s, second));
    OK(vendor(&h)->RPV_RotateKey(s, first, &third, NULL));
    CHECK(ulong_of(&h, s, third, CKA_RPV_VERSION) == 3);
    harness_unload(&h);
    harness_done(&h);
}

static void days_are_set_and_inherited(void **state)
{
    struct harness h;
    CK_ATTRIBUTE days = ATTR_ULONG(CKA_RPV_ROTATE_DAYS, 30);
    CK_OBJECT_HANDLE first, second;
    CK_SESSION_HANDLE s;
    CK_ULONG n = 0;

    (void)state;
    harness_init(&h, NULL);
    s = harness_start(&h);
    first = aes_make(&h, s);
    OK(h.f->C_SetAttributeValue(s, first, &days, 1));
    CHECK(ulong_of(&h, s, first, CKA_RPV_ROTATE_DAYS) == 30);
    OK(vendor(&h)->RPV_ListRotations(h.slot, NULL, &n));
    CHECK(n == 0);
    OK(vendor(&h)->RPV_RotateKey(s, first, &second, NULL));
    CHECK(ulong_of(&h, s, second, CKA_RPV_ROTATE_DAYS) == 30);
    harness_unload(&h);
    harness_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_first_and_older_ones_still_open),
        cmocka_unit_test(pairs_go_together),
        cmocka_unit_test(a_deleted_version_is_not_the_end),
        cmocka_unit_test(days_are_set_and_inherited),
    };

    harness_fail_hook = fail_hook;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
