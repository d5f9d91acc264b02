/* unit_audit.c: the event log: uses, queries, the chain from where it was left, what is due. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_fixture.h"
#include "vaultstore/audit.h"
#include "vaultstore/store_internal.h"

#define CODE_REFUSED 0x68u

static struct vs_use use_of(const struct vs_id *id, const char *operation, uint64_t count)
{
    struct vs_use use = {.id = *id, .generation = 1, .operation = operation, .count = count,
                         .key_version = 1};

    snprintf(use.principal, sizeof(use.principal), "user");
    return use;
}

static size_t query_all(struct fixture *f, struct vs_audit_query *query, struct vs_event *ret,
                        size_t cap, size_t page)
{
    size_t total = 0, n = 0;
    uint64_t next = query->from;

    do {
        query->from = next;
        assert_ok(vs_audit_query(f->store, query, ret + total, page, &n, &next));
        total += n;
        assert_true(total + page <= cap || next == 0);
    } while (next != 0);
    return total;
}

static void test_uses_are_recorded_and_totalled(void **state)
{
    struct fixture *f = *state;
    struct vs_id a = object_make(f, f->user, true, "a", "x"), b = object_make(f, f->user, true,
                                                                              "b", "x");
    struct vs_use uses[] = {use_of(&a, "KeySign", 7), use_of(&a, "KeySign", 1),
                            use_of(&a, "KeyDecrypt", 3), use_of(&b, "KeySign", 2)};
    struct vs_use_total total;
    struct vs_event events[8];
    struct vs_audit_query query = {.id = &a};
    int64_t now = vs_store_now(f->store);

    uses[0].first_ago = 10;
    uses[0].last_ago = 2;
    uses[1].result = VS_DENIED;
    uses[1].code = CODE_REFUSED;
    assert_ok(vs_audit_use(f->store, uses, 4));
    assert_ok(vs_use_total(f->store, &a, &total));
    assert_int_equal(total.count, 10);               /* what was refused does not count */
    assert_int_equal(total.first, now - 10);
    assert_int_equal(total.last, now);
    fixture_pass(f, 100);
    assert_ok(vs_audit_use(f->store, uses, 1));
    assert_ok(vs_use_total(f->store, &a, &total));
    assert_int_equal(total.count, 17);
    assert_int_equal(total.first, now - 10);
    assert_int_equal(total.last, now + 98);

    assert_int_equal(query_all(f, &query, events, 8, 8), 5);
    assert_string_equal(events[1].operation, "KeySign");
    assert_int_equal(events[1].count, 7);
    assert_int_equal(events[1].last - events[1].first, 8);
    assert_int_equal(events[2].code, CODE_REFUSED);
    assert_int_equal(events[2].result, VS_DENIED);
    assert_memory_equal(events[1].correlation, events[3].correlation, 16);
    assert_memory_not_equal(events[1].correlation, events[4].correlation, 16);
    audit_expect_whole(f);
}

static void test_a_key_never_used(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "a", "x");
    struct vs_use_total total = {.count = 9};

    assert_ok(vs_use_total(f->store, &id, &total));
    assert_int_equal(total.count, 0);
    assert_int_equal(total.last, 0);
}

static bool wants_delete(const struct vs_event *event, void *ctx)
{
    (*(size_t *)ctx)++;
    return strcmp(event->operation, "KeyDelete") == 0;
}

static void test_query(void **state)
{
    struct fixture *f = *state;
    struct vs_event events[64];
    struct vs_id ids[10];
    uint64_t all = 0, bad;
    int64_t middle = 0;
    size_t asked = 0;

    for (size_t i = 0; i < 10; i++) {
        char label[8];

        snprintf(label, sizeof(label), "k%zu", i);
        ids[i] = object_make(f, f->user, i % 2 == 0, label, "x");
        fixture_pass(f, 10);
        if (i == 4)
            middle = vs_store_now(f->store);
    }
    for (size_t i = 0; i < 10; i += 3)
        assert_ok(vs_object_delete(f->store, 0, f->user, &ids[i]));
    assert_ok(vs_audit_verify(f->store, &all, &bad));

    for (size_t page = 1; page <= 20; page += 6) {
        struct vs_audit_query query = {.id = &ids[3]};

        assert_int_equal(query_all(f, &query, events, 64, page), 2);
        assert_string_equal(events[1].operation, "KeyDelete");
        query = (struct vs_audit_query){.id = &ids[3], .newest_first = true};
        assert_int_equal(query_all(f, &query, events, 64, page), 2);
        assert_string_equal(events[0].operation, "KeyDelete");
        query = (struct vs_audit_query){.newest_first = true};
        assert_int_equal(query_all(f, &query, events, 64, page), all);
        assert_int_equal(events[0].seq, all);
        assert_int_equal(events[all - 1].seq, 1);
        query = (struct vs_audit_query){.since = middle};
        assert_int_equal(query_all(f, &query, events, 64, page), 9);
        query = (struct vs_audit_query){.until = middle, .newest_first = true};
        assert_int_equal(query_all(f, &query, events, 64, page), all - 9);
        assert_true(events[0].time < middle);
        query = (struct vs_audit_query){.since = middle, .id = &ids[3]};
        assert_int_equal(query_all(f, &query, events, 64, page), 1);
        query = (struct vs_audit_query){.wanted = wants_delete, .ctx = &asked};
        assert_int_equal(query_all(f, &query, events, 64, page), 4);
        query = (struct vs_audit_query){.since = middle * 2};
        assert_int_equal(query_all(f, &query, events, 64, page), 0);
        query = (struct vs_audit_query){.until = 1};
        assert_int_equal(query_all(f, &query, events, 64, page), 0);
    }
    assert_true(asked >= all);
}

/* A store of format 1 had no index: what the migration does. */
static int index_again(struct commit_txn *txn, void *ctx)
{
    const struct audit_entry entry = {.operation = "Test", .principal = "public"};

    (void)ctx;
    VS_TRY(audit_index_all(txn));
    return audit_append(txn, &entry);
}

static int index_drop(struct commit_txn *txn, void *ctx)
{
    for (uint64_t seq = 1; seq <= txn->state.audit_seq; seq++) {
        struct key key = key_audit_of(ctx, seq);
        VS_TRY(commit_discard(txn, &key));
    }
    return VS_OK;
}

static void test_index_is_made_for_old_stores(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "a", "x");
    struct vs_audit_query query = {.id = &id};
    struct vs_event events[4];

    assert_ok(commit_run(f->store, index_drop, &id));
    assert_int_equal(query_all(f, &query, events, 4, 4), 0);
    assert_ok(commit_run(f->store, index_again, &id));
    query.from = 0;
    assert_int_equal(query_all(f, &query, events, 4, 4), 1);
}

static int cut_run(struct commit_txn *txn, void *ctx)
{
    struct key key = key_audit(txn->state.audit_seq);

    (void)ctx;
    return commit_delete(txn, &key);
}

static void test_verify_from_where_it_was_left(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[32] = {0};
    uint64_t seq = 0, bad = 1, last;

    assert_ok(vs_audit_verify_from(f->store, &seq, hash, &bad));
    assert_int_equal(bad, 0);
    last = seq;
    assert_ok(vs_audit_verify_from(f->store, &seq, hash, &bad));
    assert_int_equal(seq, last);
    object_make(f, f->user, true, "a", "x");
    assert_ok(vs_audit_verify_from(f->store, &seq, hash, &bad));
    assert_int_equal(seq, last + 1);
    assert_int_equal(bad, 0);
    assert_ok(commit_run(f->store, cut_run, NULL));     /* a cut at the end, which host.head tells */
    assert_ok(vs_audit_verify(f->store, &last, &bad));
    assert_int_equal(last, seq - 1);
    assert_int_equal(bad, seq);
    assert_ok(vs_audit_verify_from(f->store, &seq, hash, &bad));
    assert_int_equal(bad, seq);
}

static size_t told;
static char told_last[32];

static void tell(const struct vs_event *event)
{
    told++;
    snprintf(told_last, sizeof(told_last), "%s", event->operation);
}

static void test_on_event_after_the_commit(void **state)
{
    struct fixture *f = *state;
    struct vs_id id;
    size_t before;

    fixture_close(f);
    f->options.on_event = tell;
    fixture_open(f);
    fixture_login(f);
    before = told;
    id = object_make(f, f->user, true, "a", "x");
    assert_int_equal(told, before + 1);
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_string_equal(told_last, "KeyDelete");
    assert_status(vs_object_delete(f->store, 0, f->user, &id), VS_WRONG_STATE);
    assert_int_equal(told, before + 2);
    login_try(f, VS_ROLE_USER, "wrong-pin", VS_PIN_INCORRECT);
    assert_string_equal(told_last, "VaultLogin");
}

static void test_due(void **state)
{
    struct fixture *f = *state;
    struct vs_id a = object_make(f, f->user, true, "a", "x"), b = object_make(f, f->user, true,
                                                                              "b", "x");
    int64_t now = vs_store_now(f->store);
    struct vs_due due[4];
    size_t n = 9;

    assert_ok(vs_object_delete(f->store, 0, f->user, &a));
    fixture_pass(f, DAY);
    assert_ok(vs_object_delete(f->store, 0, f->user, &b));
    assert_ok(vs_due_list(f->store, now + 3 * DAY, due, 4, &n));
    assert_int_equal(n, 0);
    assert_ok(vs_due_list(f->store, now + 90 * DAY + 1, due, 4, &n));
    assert_int_equal(n, 1);
    assert_memory_equal(due[0].id.b, a.b, sizeof(a.b));
    assert_int_equal(due[0].purge_at, now + 90 * DAY);
    assert_ok(vs_due_list(f->store, now + 100 * DAY, due, 4, &n));
    assert_int_equal(n, 2);
    assert_ok(vs_due_list(f->store, now + 100 * DAY, due, 1, &n));
    assert_int_equal(n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_uses_are_recorded_and_totalled, fixture_vault,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_a_key_never_used, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_query, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_index_is_made_for_old_stores, fixture_vault,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_verify_from_where_it_was_left, fixture_vault,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_on_event_after_the_commit, fixture_vault,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_due, fixture_vault, fixture_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
