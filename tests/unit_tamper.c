/*
 * unit_tamper.c: every byte of every record is flipped in the open store, and what depends on it
 * must be refused or not found, never accepted; then it is put back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_fixture.h"
#include "vaultstore/object.h"
#include "vaultstore/store_internal.h"

static void raw_get(struct fixture *f, const struct key *key, uint8_t *ret_value, size_t cap,
                    size_t *ret_len)
{
    struct kv_slice value;
    struct kv_txn *txn;

    assert_ok(kv_read(f->store->kv, &txn));
    assert_ok(kv_get(txn, key->b, key->len, &value));
    assert_true(value.len <= cap);
    memcpy(ret_value, value.data, value.len);
    *ret_len = value.len;
    kv_abort(txn);
}

static void raw_put(struct fixture *f, const struct key *key, const uint8_t *value, size_t len)
{
    struct kv_txn *txn;

    assert_ok(kv_write(f->store->kv, &txn));
    assert_ok(kv_put(txn, key->b, key->len, value, len));
    assert_ok(kv_commit(txn));
}

/* What must fail, of a record with one byte flipped. */
typedef int use_fn(struct fixture *f, void *ctx);

static void flip_each(struct fixture *f, const struct key *key, use_fn *use, void *ctx)
{
    uint8_t value[2048];
    size_t len;

    raw_get(f, key, value, sizeof(value), &len);
    assert_ok(use(f, ctx));
    for (size_t i = 0; i < len; i++) {
        int status;

        value[i] ^= (uint8_t)(1u << (i % 8));
        raw_put(f, key, value, len);
        status = use(f, ctx);
        if (status != VS_E_CORRUPT && status != VS_NOT_FOUND)
            fail_msg("byte %zu of table %d: %s", i, key->b[0], vs_status_name(status));
        value[i] ^= (uint8_t)(1u << (i % 8));
    }
    for (size_t cut = 0; cut < len; cut += 7) {
        raw_put(f, key, value, cut);
        assert_int_not_equal(use(f, ctx), VS_OK);
    }
    raw_put(f, key, value, len);
    assert_ok(use(f, ctx));
}

static int use_object(struct fixture *f, void *ctx)
{
    struct vs_object object;
    struct vs_header header;
    int peek = vs_object_peek(f->store, 0, ctx, &header);
    int status = vs_object_read(f->store, 0, f->user, ctx, &object);

    if (status == VS_OK)
        vs_object_done(&object);
    /* The header alone is as trusted as the whole, but for the sealed bytes before the tag. */
    return peek != VS_OK ? peek : status;
}

static void test_object(void **state)
{
    struct fixture *f = *state;
    struct vs_id ids[2] = {object_make(f, f->user, true, "private", "attributes"),
                           object_make(f, f->user, false, "public", "attributes")};

    assert_ok(vs_object_delete(f->store, 0, f->user, &ids[0]));
    for (size_t i = 0; i < 2; i++) {
        struct key key = key_object(&ids[i]);
        flip_each(f, &key, use_object, &ids[i]);
    }
}

/* One object's record in another's place. */
static void test_swapped_object(void **state)
{
    struct fixture *f = *state;
    struct vs_id a = object_make(f, f->user, true, "a", "one");
    struct vs_id b = object_make(f, f->user, true, "b", "two");
    struct key key_a = key_object(&a), key_b = key_object(&b);
    uint8_t value[2048];
    size_t len;

    raw_get(f, &key_a, value, sizeof(value), &len);
    raw_put(f, &key_b, value, len);
    assert_status(use_object(f, &b), VS_E_CORRUPT);
}

/* A header that says nothing but the truth for another slot: the seal needs this object's. */
static void test_wiped_slot(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "a", "one");
    uint64_t slot = id_seq(&id);
    struct vs_object object;

    assert_ok(keyslots_wipe(f->store->slots, &slot, 1));
    assert_status(vs_object_read(f->store, 0, f->user, &id, &object), VS_NOT_FOUND);
}

/* An index entry that passes one key off as another is not believed. */
static void test_index_entry(void **state)
{
    struct fixture *f = *state;
    struct vs_id a = object_make(f, f->user, true, "a", "one");
    struct vs_id b = object_make(f, f->user, true, "b", "two"), found;
    struct object_record record;
    struct index_partition partition;
    struct kv_txn *txn;
    struct key entry;

    assert_ok(kv_read(f->store->kv, &txn));
    assert_ok(object_load(f->store, txn, &a, &record));
    kv_abort(txn);
    partition = object_partition(&record.header);
    assert_int_equal(record.tags.tag[1].index, 1);
    entry = key_index(&partition, 1, record.tags.tag[1].tag, &b);
    raw_put(f, &entry, (const uint8_t *)"", 0);
    assert_int_equal(find_label(f, f->user, "a", false, &found), 1);
    assert_memory_equal(found.b, a.b, sizeof(a.b));
}

static int use_vault(struct fixture *f, void *ctx)
{
    struct vs_vault_info info;

    (void)ctx;
    return vs_vault_info(f->store, 0, &info);
}

static int use_pin(struct fixture *f, void *ctx)
{
    struct vs_login *login;
    int status = login_as(f, VS_ROLE_USER, USER_PIN, &login);

    (void)ctx;
    if (status == VS_OK)
        vs_logout(login);
    return status;
}

static void test_vault_generation_principal(void **state)
{
    struct fixture *f = *state;
    uint32_t generation = vs_login_generation(f->user);
    const struct { struct key key; use_fn *use; } rows[] = {
        {key_vault(0), use_vault},
        {key_generation(0, generation), use_vault},
        {key_principal(generation, VS_ROLE_USER), use_vault},
        {key_principal(generation, VS_ROLE_USER), use_pin},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        flip_each(f, &rows[i].key, rows[i].use, NULL);
}

/* The SO's record as the user's. */
static void test_swapped_principal(void **state)
{
    struct fixture *f = *state;
    uint32_t generation = vs_login_generation(f->user);
    struct key so = key_principal(generation, VS_ROLE_SO);
    struct key user = key_principal(generation, VS_ROLE_USER);
    uint8_t value[512];
    size_t len;

    raw_get(f, &so, value, sizeof(value), &len);
    raw_put(f, &user, value, len);
    login_try(f, VS_ROLE_USER, SO_PIN, VS_E_CORRUPT);
}

static int use_audit(struct fixture *f, void *ctx)
{
    uint64_t events, bad;

    VS_TRY(vs_audit_verify(f->store, &events, &bad));
    if (bad == 0)
        return VS_OK;
    assert_int_equal(bad, *(uint64_t *)ctx);
    assert_int_equal(events, bad - 1);
    return VS_E_CORRUPT;
}

static void test_audit(void **state)
{
    struct fixture *f = *state;
    uint64_t seq = 2, events, bad;
    struct key key = key_audit(seq);
    struct kv_txn *txn;

    flip_each(f, &key, use_audit, &seq);
    assert_ok(vs_audit_verify(f->store, &events, &bad));
    assert_ok(kv_write(f->store->kv, &txn));
    assert_ok(kv_delete(txn, key.b, key.len));
    assert_ok(kv_commit(txn));
    assert_ok(vs_audit_verify(f->store, &events, &bad));
    assert_int_equal(bad, seq);
}

/* The last record is the state of the store: nothing is written on top of an edited one. */
static int use_create(struct fixture *f, void *ctx)
{
    const struct vs_new_object object = {.operation = "KeyCreate"};
    struct vs_id id;

    (void)ctx;
    return vs_object_create(f->store, 0, NULL, &object, 1, &id);
}

static void test_audit_state(void **state)
{
    struct fixture *f = *state;
    uint64_t last, bad;
    uint8_t value[1024];
    struct key key;
    size_t len;

    assert_ok(vs_audit_verify(f->store, &last, &bad));
    key = key_audit(last);
    raw_get(f, &key, value, sizeof(value), &len);
    for (size_t i = 0; i < len; i++) {
        value[i] ^= 0x10;
        raw_put(f, &key, value, len);
        assert_status(use_create(f, NULL), VS_E_CORRUPT);
        value[i] ^= 0x10;
    }
    raw_put(f, &key, value, len);
    assert_ok(use_create(f, NULL));
}

static void test_version_record(void **state)
{
    struct fixture *f = *state;
    struct key key = key_meta();
    uint8_t value[128];
    size_t len;

    raw_get(f, &key, value, sizeof(value), &len);
    for (size_t i = 0; i < len; i += 5) {
        int status;

        value[i] ^= 1;
        raw_put(f, &key, value, len);
        fixture_close(f);
        status = vs_store_open(&f->options, &f->store);
        assert_true(status == VS_E_CORRUPT || status == VS_E_VERSION);
        value[i] ^= 1;
        /* The record is put right through the bare engine. */
        struct kv *kv;
        struct kv_txn *txn;
        assert_ok(kv_open(f->path, 1 << 20, &kv));
        assert_ok(kv_write(kv, &txn));
        assert_ok(kv_put(txn, key.b, key.len, value, len));
        assert_ok(kv_commit(txn));
        kv_close(kv);
        fixture_open(f);
    }
}

/* An edited due date brings no purge forward: the object's own header decides. */
static void test_due_entry(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v"), unknown = id;
    struct key early;
    size_t purged;

    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    early = key_due(1, KIND_OBJECT, &id);
    raw_put(f, &early, (const uint8_t *)"", 0);
    early = key_due(1, KIND_GENERATION, &id);
    raw_put(f, &early, (const uint8_t *)"x", 1);
    unknown.b[15] ^= 1;
    early = key_due(1, KIND_OBJECT, &unknown);
    raw_put(f, &early, (const uint8_t *)"", 0);
    assert_ok(vs_sweep(f->store, 10, &purged));
    assert_int_equal(purged, 0);
    assert_false(slot_wiped(f, &id));
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
}

/* A forged note of pending work wipes nothing, is told of, and holds up no sweep. */
static void test_pending_entry(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v");
    struct key key = key_pending(KIND_OBJECT, id_seq(&id));
    uint8_t forged[SCHEMA_MAC] = {0};
    size_t purged;

    raw_put(f, &key, forged, sizeof(forged));
    assert_ok(vs_sweep(f->store, 10, &purged));
    assert_int_equal(purged, 0);
    assert_non_null(strstr(f->trace, "pending of a purge does not authenticate"));
    assert_false(slot_wiped(f, &id));
    object_expect(f, f->user, &id, "v");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_object, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_swapped_object, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_wiped_slot, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_index_entry, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_vault_generation_principal, fixture_vault,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_swapped_principal, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_audit, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_audit_state, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_version_record, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_due_entry, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_pending_entry, fixture_vault, fixture_done),
    };

    return cmocka_run_group_tests_name("tamper", tests, NULL, NULL);
}
