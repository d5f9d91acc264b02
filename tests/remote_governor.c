/*
 * Usage: remote_governor MODULE
 *
 * Governs deleted objects over standard calls and vendor attributes alone, through whatever module
 * it is given: test_clients.sh gives it p11-kit's client, whose other end is Reprieve.
 */
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "reprieve.h"

static const char LABEL[] = "governed";

static CK_OBJECT_HANDLE find(struct harness *h, CK_SESSION_HANDLE session, bool deleted)
{
    CK_ATTRIBUTE wanted[] = {ATTR_STR(CKA_LABEL, LABEL), ATTR_TRUE(CKA_RPV_DELETED)};
    return harness_find(h, session, wanted, deleted ? 2 : 1);
}

static void make_key(struct harness *h, CK_SESSION_HANDLE session)
{
    CK_MECHANISM gen = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE key[] = {ATTR_TRUE(CKA_TOKEN), ATTR_STR(CKA_LABEL, LABEL),
                          ATTR_TRUE(CKA_ENCRYPT), ATTR_ULONG(CKA_VALUE_LEN, 32)};
    CK_OBJECT_HANDLE handle;
    OK(h->f->C_GenerateKey(session, &gen, key, COUNT_OF(key), &handle));
}

static void encrypt(struct harness *h, CK_SESSION_HANDLE session, CK_BYTE ret_block[16])
{
    CK_MECHANISM ecb = {CKM_AES_ECB, NULL, 0};
    CK_BYTE block[16] = {1};
    CK_ULONG len = 16;
    OK(h->f->C_EncryptInit(session, &ecb, find(h, session, false)));
    OK(h->f->C_Encrypt(session, block, sizeof(block), ret_block, &len));
}

static void look_at_deleted(struct harness *h, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    char at[16], by[64];
    CK_BBOOL deleted = CK_FALSE;
    CK_ATTRIBUTE attrs[] = {ATTR_VAR(CKA_RPV_DELETED, deleted), ATTR_VAR(CKA_RPV_PURGE_AT, at),
                            ATTR_VAR(CKA_RPV_DELETED_BY, by)};
    OK(h->f->C_GetAttributeValue(session, object, attrs, COUNT_OF(attrs)));
    CHECK(deleted == CK_TRUE);
    CHECK(attrs[1].ulValueLen == sizeof(at));
    printf("deleted by %.*s, purge at %.16s\n", (int)attrs[2].ulValueLen, by, at);
}

int main(int argc, char **argv)
{
    struct harness h = {.kind = HARNESS_REPRIEVE, .module = argv[argc - 1]};
    CK_BYTE before[16], after[16];
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE recover = ATTR_VAR(CKA_RPV_DELETED, no);
    CHECK(argc == 2);
    harness_load(&h);
    harness_slot(&h);
    CK_SESSION_HANDLE session = harness_session_rw(&h);
    harness_login(&h, session, CKU_USER);

    make_key(&h, session);
    encrypt(&h, session, before);
    OK(h.f->C_DestroyObject(session, find(&h, session, false)));
    CHECK(find(&h, session, false) == CK_INVALID_HANDLE);

    CK_OBJECT_HANDLE deleted = find(&h, session, true);
    CHECK(deleted != CK_INVALID_HANDLE);
    look_at_deleted(&h, session, deleted);
    EXPECT(h.f->C_DestroyObject(session, deleted), CKR_ACTION_PROHIBITED);
    OK(h.f->C_SetAttributeValue(session, deleted, &recover, 1));
    CHECK(find(&h, session, true) == CK_INVALID_HANDLE);
    encrypt(&h, session, after);
    CHECK(memcmp(before, after, sizeof(before)) == 0);
    OK(h.f->C_DestroyObject(session, find(&h, session, false)));
    harness_unload(&h);
    return 0;
}
