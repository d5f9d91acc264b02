/* unit_object.c: objects: create, read, find, change, delete, recover; two vaults; restarts. */
#include <stdio.h>
#include <string.h>

#include "store_fixture.h"

static void test_create_read(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "key one", "secret attributes");
    struct vs_header header;
    struct vs_object object;

    object_expect(f, f->user, &id, "secret attributes");
    object_expect(f, f->so, &id, "secret attributes");
    assert_status(vs_object_read(f->store, 0, NULL, &id, &object), VS_DENIED);
    assert_ok(vs_object_peek(f->store, 0, &id, &header));
    assert_int_equal(header.state, VS_STATE_ACTIVE);
    assert_int_equal(header.version, 1);
    assert_int_equal(header.kind, 4);
    assert_int_equal(header.created_at, f->wall);
    assert_true(header.is_private && header.destroyable);
    assert_int_equal(header.recovery_level, 2);
    assert_memory_equal(header.id.b, id.b, sizeof(id.b));
}

static void test_public_needs_no_login(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, NULL, false, "certificate", "bytes");

    object_expect(f, NULL, &id, "bytes");
    object_expect(f, f->user, &id, "bytes");
    assert_int_equal(find_label(f, NULL, "certificate", false, NULL), 1);
}

static void test_private_needs_login(void **state)
{
    struct fixture *f = *state;
    const struct vs_new_object object = {.is_private = true, .operation = "KeyCreate"};
    struct vs_id id;

    assert_status(vs_object_create(f->store, 0, NULL, &object, 1, &id), VS_DENIED);
    id = object_make(f, f->user, true, "k", "v");
    assert_int_equal(find_label(f, NULL, "k", false, NULL), 0);
    assert_int_equal(find_all(f, NULL, false), 0);
    assert_status(vs_object_delete(f->store, 0, NULL, &id), VS_DENIED);
}

static void test_pair_is_one_transaction(void **state)
{
    struct fixture *f = *state;
    const struct vs_new_object pair[2] = {
        {.is_private = true, .operation = "KeyGenerate", .attrs = (const uint8_t *)"a",
         .attrs_len = 1},
        {.is_private = false, .operation = "KeyGenerate"},
    };
    uint64_t before = vs_store_txnid(f->store);
    struct vs_id ids[2];

    assert_ok(vs_object_create(f->store, 0, f->user, pair, 2, ids));
    assert_int_equal(vs_store_txnid(f->store), before + 1);
    object_expect(f, f->user, &ids[0], "a");
    object_expect(f, f->user, &ids[1], "");
    assert_int_equal(find_all(f, f->user, false), 2);
    assert_int_equal(audit_count(f, "KeyGenerate", VS_OK), 2);
}

static void test_terms(void **state)
{
    struct fixture *f = *state;
    struct vs_term terms[VS_INDEX_MAX + 1] = {{0, NULL, 0}, {0, NULL, 0}};
    struct vs_new_object object = {.operation = "KeyCreate", .terms = terms, .n_terms = 2};
    uint8_t longer[1000] = {1};
    struct vs_id id;

    assert_status(vs_object_create(f->store, 0, f->user, &object, 1, &id), VS_POLICY);
    object.n_terms = VS_INDEX_MAX + 1;
    assert_status(vs_object_create(f->store, 0, f->user, &object, 1, &id), VS_POLICY);
    terms[0] = (struct vs_term){300, NULL, 0};
    object.n_terms = 1;
    assert_status(vs_object_create(f->store, 0, f->user, &object, 1, &id), VS_POLICY);
    terms[0] = (struct vs_term){9, longer, sizeof(longer)};
    assert_ok(vs_object_create(f->store, 0, f->user, &object, 1, &id));
    assert_int_equal(find_all(f, NULL, false), 1);
}

static void test_find_many(void **state)
{
    struct fixture *f = *state;
    char label[32];

    for (int i = 0; i < 50; i++) {
        snprintf(label, sizeof(label), "label %d", i / 5);
        object_make(f, f->user, i % 2 == 0, label, "x");
    }
    assert_int_equal(find_all(f, f->user, false), 50);
    assert_int_equal(find_all(f, NULL, false), 25);
    assert_int_equal(find_label(f, f->user, "label 3", false, NULL), 5);
    assert_int_equal(find_label(f, NULL, "label 3", false, NULL), 3);
    assert_int_equal(find_label(f, f->user, "label", false, NULL), 0);
    assert_int_equal(find_label(f, f->user, "label 33", false, NULL), 0);
}

/* Deleting what a cursor has just given out disturbs nothing. */
static void test_find_and_delete(void **state)
{
    struct fixture *f = *state;
    const struct vs_query query = {.want_private = true};
    struct vs_cursor *cursor;
    size_t n, total = 0;

    for (int i = 0; i < 20; i++)
        object_make(f, f->user, true, "k", "x");
    assert_ok(vs_find_open(f->store, 0, f->user, &query, &cursor));
    do {
        struct vs_id ids[3];

        assert_ok(vs_find_next(cursor, f->user, ids, 3, &n));
        for (size_t i = 0; i < n; i++)
            assert_ok(vs_object_delete(f->store, 0, f->user, &ids[i]));
        total += n;
    } while (n > 0);
    vs_find_close(cursor);
    assert_int_equal(total, 20);
    assert_int_equal(find_all(f, f->user, false), 0);
    assert_int_equal(find_all(f, f->user, true), 20);
}

static void test_update(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "before", "one");
    const struct vs_term term = {1, (const uint8_t *)"after", 5};
    struct vs_new_object object = {.is_private = true, .operation = "KeyUpdate", .n_terms = 1,
                                   .terms = &term, .attrs = (const uint8_t *)"two",
                                   .attrs_len = 3};
    struct vs_header header;
    uint32_t version = 0;

    assert_status(vs_object_update(f->store, 0, f->user, &id, 2, &object, &version), VS_STALE);
    assert_int_equal(version, 0);
    assert_ok(vs_object_update(f->store, 0, f->user, &id, 1, &object, &version));
    assert_int_equal(version, 2);
    assert_status(vs_object_update(f->store, 0, f->user, &id, 1, &object, &version), VS_STALE);
    object_expect(f, f->user, &id, "two");
    assert_ok(vs_object_peek(f->store, 0, &id, &header));
    assert_false(header.destroyable);
    assert_int_equal(find_label(f, f->user, "before", false, NULL), 0);
    assert_int_equal(find_all(f, f->user, false), 1);
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_status(vs_object_update(f->store, 0, f->user, &id, 3, &object, &version),
                  VS_WRONG_STATE);
}

static void test_delete_recover(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "value"), found;
    struct vs_header header;

    assert_status(vs_object_recover(f->store, 0, f->user, &id), VS_WRONG_STATE);
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_status(vs_object_delete(f->store, 0, f->user, &id), VS_WRONG_STATE);
    assert_int_equal(find_label(f, f->user, "k", false, NULL), 0);
    assert_int_equal(find_label(f, f->user, "k", true, &found), 1);
    assert_memory_equal(found.b, id.b, sizeof(id.b));
    assert_ok(vs_object_peek(f->store, 0, &id, &header));
    assert_int_equal(header.state, VS_STATE_DELETED);
    assert_int_equal(header.deleted_at, f->wall);
    assert_int_equal(header.purge_at, f->wall + 90 * DAY);
    assert_non_null(strstr(header.deleted_by, "user"));
    object_expect(f, f->user, &id, "value");
    fixture_close(f);
    fixture_open(f);
    fixture_login(f);
    assert_ok(vs_object_recover(f->store, 0, f->so, &id));
    assert_ok(vs_object_peek(f->store, 0, &id, &header));
    assert_int_equal(header.state, VS_STATE_ACTIVE);
    assert_int_equal(header.purge_at, 0);
    assert_string_equal(header.deleted_by, "");
    object_expect(f, f->user, &id, "value");
    assert_int_equal(find_label(f, f->user, "k", false, NULL), 1);
    assert_int_equal(find_label(f, f->user, "k", true, NULL), 0);
    assert_int_equal(audit_count(f, "KeyDelete", VS_OK), 1);
    assert_int_equal(audit_count(f, "KeyRecover", VS_OK), 1);
    audit_expect_whole(f);
}

static void test_unknown(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v");
    struct vs_header header;

    vault_make(f, 1, NULL);
    assert_status(vs_object_peek(f->store, 1, &id, &header), VS_NOT_FOUND);
    assert_status(vs_object_peek(f->store, 7, &id, &header), VS_NOT_FOUND);
    assert_status(vs_object_delete(f->store, 1, f->user, &id), VS_REVOKED);
    id.b[15] ^= 64;
    assert_status(vs_object_peek(f->store, 0, &id, &header), VS_NOT_FOUND);
    assert_status(vs_object_delete(f->store, 0, f->user, &id), VS_NOT_FOUND);
}

/* A restart keeps everything; sequence numbers go on where they were. */
static void test_restart(void **state)
{
    struct fixture *f = *state;
    struct vs_id ids[3];

    for (int i = 0; i < 3; i++) {
        ids[i] = object_make(f, f->user, i != 1, "k", "value");
        fixture_close(f);
        fixture_open(f);
        fixture_login(f);
        if (i > 0)
            assert_true(memcmp(ids[i].b, ids[i - 1].b, sizeof(ids[i].b)) > 0);
    }
    for (int i = 0; i < 3; i++)
        object_expect(f, f->user, &ids[i], "value");
    assert_int_equal(find_label(f, f->user, "k", false, NULL), 3);
    audit_expect_whole(f);
}

static void test_audit_says_who(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "v");
    struct vs_event event;
    uint64_t seq = 0, bad;
    size_t n;

    assert_ok(vs_audit_verify(f->store, &seq, &bad));
    assert_ok(vs_audit_read(f->store, seq, &event, 1, &n));
    assert_int_equal(n, 1);
    assert_string_equal(event.operation, "KeyCreate");
    assert_string_equal(event.principal, "user");
    assert_non_null(strstr(event.exe, "unit_object"));
    assert_int_equal(event.time, f->wall);
    assert_true(event.has_id);
    assert_memory_equal(event.id.b, id.b, sizeof(id.b));
    assert_int_equal(event.generation, vs_login_generation(f->user));
    assert_status(vs_audit_read(f->store, seq + 1, &event, 1, &n), VS_END);
}

static int copy_try(struct fixture *f, struct vs_login *login, const struct vs_id *original)
{
    const struct vs_new_object object = {.kind = 4, .is_private = true, .destroyable = true,
                                         .attrs = (const uint8_t *)"copy", .attrs_len = 4,
                                         .operation = "KeyCopy", .copy_of = original};
    size_t live = find_all(f, f->user, false), copies = audit_count(f, "KeyCopy", VS_OK);
    struct vs_id id;
    int status = vs_object_create(f->store, 0, login, &object, 1, &id);

    assert_int_equal(find_all(f, f->user, false), live + (status == VS_OK));
    assert_int_equal(audit_count(f, "KeyCopy", VS_OK), copies + (status == VS_OK));
    return status;
}

static void govern_one(struct fixture *f, const struct vs_id *id, const struct vs_govern *govern)
{
    assert_ok(vs_object_govern(f->store, 0, f->user, id, govern));
}

/* Judged where the copy is made: what was looked at before may have been deleted since. */
static void test_copy_of(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "original", "attributes"), none = id;
    int64_t now = vs_store_now(f->store);

    assert_ok(copy_try(f, f->user, &id));
    none.b[15] ^= 0x40;
    assert_status(copy_try(f, f->user, &none), VS_WRONG_STATE);
    govern_one(f, &id, &(struct vs_govern){.set = VS_GOVERN_ENABLED});
    assert_status(copy_try(f, f->user, &id), VS_WRONG_STATE);
    govern_one(f, &id, &(struct vs_govern){.set = VS_GOVERN_ENABLED, .enabled = true});
    assert_ok(copy_try(f, f->user, &id));
    govern_one(f, &id, &(struct vs_govern){.set = VS_GOVERN_NOT_AFTER, .not_after = now + 100});
    assert_ok(copy_try(f, f->user, &id));
    fixture_pass(f, 200);
    assert_status(copy_try(f, f->user, &id), VS_WRONG_STATE);
    govern_one(f, &id, &(struct vs_govern){.set = VS_GOVERN_NOT_AFTER});
    assert_ok(copy_try(f, f->user, &id));
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_status(copy_try(f, f->user, &id), VS_WRONG_STATE);
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
    assert_ok(copy_try(f, f->user, &id));
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    fixture_pass(f, 400 * (int64_t)DAY);     /* past its purge date, swept or not */
    assert_status(copy_try(f, f->user, &id), VS_WRONG_STATE);
}

/* Nor by a principal who may make objects, but not get this one. */
static void test_copy_without_get(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "original", "attributes");
    const uint8_t *pin = (const uint8_t *)"pin of it";
    struct vs_login *clerk;

    assert_ok(vs_user_add(f->store, f->so, "clerk", pin, 9, VS_VERB_CREATE | VS_VERB_SIGN));
    assert_ok(vs_login_named(f->store, 0, "clerk", pin, 9, &clerk));
    assert_status(copy_try(f, clerk, &id), VS_DENIED);
    assert_ok(vs_user_grant(f->store, f->so, "clerk", &id, VS_VERB_GET));
    assert_ok(copy_try(f, clerk, &id));
    vs_logout(clerk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create_read, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_public_needs_no_login, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_private_needs_login, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_pair_is_one_transaction, fixture_vault,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_terms, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_find_many, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_find_and_delete, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_update, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_delete_recover, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_unknown, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_restart, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_copy_of, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_copy_without_get, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_audit_says_who, fixture_vault, fixture_done),
    };

    return cmocka_run_group_tests_name("object", tests, NULL, NULL);
}
