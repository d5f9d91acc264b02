/* e2e_damage.c: a record that cannot be read is a fault, not an object that is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "promise.h"
#include "vaultstore/store_internal.h"

struct damage { struct harness *h; struct key key; };

/* Flips a bit of the record; once more, and it is as it was. */
static int damage_run(void *ctx)
{
    const struct damage *damage = ctx;
    char path[300];
    struct vs_options options = {.path = path};
    struct vs_store *store = NULL;
    struct kv_txn *txn = NULL;
    struct kv_slice value;
    struct key key = damage->key;
    uint8_t copy[2048];

    snprintf(path, sizeof(path), "%s/store", damage->h->dir);
    vs_policy_default(&options.defaults);
    CHECK(vs_store_open(&options, &store) == VS_OK);
    CHECK(kv_write(store->kv, &txn) == VS_OK);
    CHECK(kv_get(txn, key.b, key.len, &value) == VS_OK);
    CHECK(value.len > 24 && value.len <= sizeof(copy));
    size_t len = value.len;
    memcpy(copy, value.data, len);
    copy[24] ^= 1;               /* within the header, which is all that a use looks at */
    CHECK(kv_put(txn, key.b, key.len, copy, len) == VS_OK);
    CHECK(kv_commit(txn) == VS_OK);
    vs_store_close(store);
    return 0;
}

static struct key object_place(struct harness *h, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    struct vs_id id;
    char text[33] = "";
    CK_ATTRIBUTE get = {CKA_UNIQUE_ID, text, 32};

    OK(h->f->C_GetAttributeValue(session, key, &get, 1));
    for (size_t i = 0; i < sizeof(id.b); i++)
        CHECK(sscanf(text + 2 * i, "%2hhx", &id.b[i]) == 1);
    return key_object(&id);
}

static unsigned long long told_deleted(struct harness *h)
{
    struct RPV_AUDIT_RECORD records[64];
    struct RPV_AUDIT_QUERY query = {.result = "failed", .slotID = CK_UNAVAILABLE_INFORMATION};
    unsigned long long next = 0, n = 0;
    CK_ULONG count = 64;

    OK(promise_vendor(h)->RPV_QueryAudit(&query, records, &count, &next));
    for (CK_ULONG i = 0; i < count; i++)
        n += strcmp(records[i].detail, "refused: the key is deleted") == 0;
    return n;
}

static void test_copy(void **state)
{
    struct harness h;
    CK_MECHANISM ecb = {CKM_AES_ECB, NULL, 0};
    CK_OBJECT_HANDLE key, copy, another;
    CK_ATTRIBUTE in_session = ATTR_FALSE(CKA_TOKEN);
    CK_BYTE block[16] = {0}, value[32];
    CK_ATTRIBUTE get = ATTR_VAR(CKA_VALUE, value);
    CK_ULONG len = sizeof(block);
    (void)state;
    harness_init(&h, NULL);
    CK_SESSION_HANDLE session = harness_start(&h);
    OK(promise_create(&h, session, "used", 7));
    CHECK(promise_find(&h, session, "used", false, &key, 1) == 1);
    OK(h.f->C_CopyObject(session, key, &in_session, 1, &copy));
    struct damage damage = {&h, object_place(&h, session, key)};
    OK(promise_use(&h, session, copy, block));
    OK(h.f->C_EncryptInit(session, &ecb, copy));
    CHECK(fork_run(damage_run, &damage) == 0);
    EXPECT(h.f->C_EncryptUpdate(session, block, 16, block, &len), CKR_DEVICE_ERROR);
    EXPECT(promise_use(&h, session, copy, block), CKR_DEVICE_ERROR);
    EXPECT(promise_use(&h, session, key, block), CKR_DEVICE_ERROR);
    EXPECT(h.f->C_GetAttributeValue(session, copy, &get, 1), CKR_DEVICE_ERROR);
    EXPECT(h.f->C_CopyObject(session, copy, &in_session, 1, &another), CKR_DEVICE_ERROR);
    CHECK(fork_run(damage_run, &damage) == 0);
    OK(promise_use(&h, session, copy, block));
    OK(promise_use(&h, session, key, block));
    OK(h.f->C_GetAttributeValue(session, copy, &get, 1));
    OK(h.f->C_EncryptInit(session, &ecb, key));
    CHECK(fork_run(damage_run, &damage) == 0);
    EXPECT(h.f->C_EncryptUpdate(session, block, 16, block, &len), CKR_DEVICE_ERROR);
    CHECK(fork_run(damage_run, &damage) == 0);
    OK(h.f->C_CloseSession(session));              /* what was refused is written by now */
    assert_int_equal(told_deleted(&h), 0);
    harness_unload(&h);
    harness_done(&h);
}

/* Nor is a vault whose record cannot be read one whose events are merely hidden. */
static void test_readers(void **state)
{
    struct harness h;
    struct RPV_AUDIT_RECORD records[64];
    struct RPV_AUDIT_QUERY query = {.slotID = CK_UNAVAILABLE_INFORMATION};
    unsigned long long next = 0;
    CK_SLOT_ID other;
    CK_ULONG n = 64;
    (void)state;
    harness_init(&h, NULL);
    harness_start(&h);
    const struct RPV_FUNCTION_LIST *rpv = promise_vendor(&h);
    OK(rpv->RPV_CreateVault((CK_UTF8CHAR_PTR)"87654321", 8,
                            (CK_UTF8CHAR_PTR)"other                           ", NULL, &other));
    OK(rpv->RPV_QueryAudit(&query, records, &n, &next));
    CK_ULONG generations = 1;
    struct RPV_GENERATION_INFO live;
    OK(rpv->RPV_ListGenerations(other, &live, &generations));
    struct damage damage = {&h, key_generation((uint32_t)other, (uint32_t)live.ulGeneration)};
    CHECK(fork_run(damage_run, &damage) == 0);
    n = 64;
    EXPECT(rpv->RPV_QueryAudit(&query, records, &n, &next), CKR_DEVICE_ERROR);
    n = 64;
    query.slotID = h.slot;
    OK(rpv->RPV_QueryAudit(&query, records, &n, &next));
    harness_unload(&h);
    harness_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_copy), cmocka_unit_test(test_readers)};
    harness_fail_hook = _fail;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
