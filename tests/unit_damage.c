/*
 * unit_damage.c: records of one vault that do not authenticate cost that vault only: sweeps, and
 * all that begins with one, go on for the others.
 */
#include <string.h>

#include "store_fixture.h"
#include "vaultstore/purge.h"
#include "vaultstore/store_internal.h"

static struct vs_id deleted_make(struct fixture *f, const char *label)
{
    struct vs_id id = object_make(f, f->user, true, label, "value");

    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    return id;
}

static struct vs_id deleted_elsewhere(struct fixture *f, uint32_t vault)
{
    const struct vs_new_object object = {.is_private = true, .destroyable = true,
                                         .operation = "KeyCreate"};
    struct vs_login *login;
    struct vs_id id;

    assert_ok(vs_login(f->store, vault, VS_ROLE_USER, (const uint8_t *)USER_PIN,
                       strlen(USER_PIN), &login));
    assert_ok(vs_object_create(f->store, vault, login, &object, 1, &id));
    assert_ok(vs_object_delete(f->store, vault, login, &id));
    vs_logout(login);
    return id;
}

static void generation_damage(struct fixture *f, uint32_t vault, uint32_t generation)
{
    struct key key = key_generation(vault, generation);

    record_damage_at(f, &key);
}

/* The generation of vault 1 is damaged, and a deleted one of vault 2: nothing is purged of either,
 * and all else goes on. What is due of them comes first. */
static void test_damage_elsewhere(void **state)
{
    struct fixture *f = *state;
    uint32_t first = vs_login_generation(f->user), one = vault_make(f, 1, NULL);
    uint32_t two = vault_make(f, 2, NULL);
    struct vs_id elsewhere = deleted_elsewhere(f, 1), id;
    struct vs_due due[4];
    size_t n, purged;

    vault_make(f, 2, NULL);
    fixture_pass(f, 10);
    id = deleted_make(f, "k");
    generation_damage(f, 1, one);
    generation_damage(f, 2, two);
    fixture_pass(f, 89 * DAY);
    assert_ok(vs_due_list(f->store, f->wall + 2 * DAY, due, 4, &n));
    assert_int_equal(n, 2);          /* of the generation of vault 2 its own entry says enough */
    assert_int_equal(due[0].vault, 2);
    assert_memory_equal(&due[1].id, &id, sizeof(id));
    fixture_pass(f, 2 * DAY);
    assert_ok(vs_sweep(f->store, 100, &purged));
    assert_int_equal(purged, 1);
    assert_true(slot_wiped(f, &id));
    assert_false(slot_wiped(f, &elsewhere));
    assert_ok(vs_generation_lock(f->store, f->so, 0, 1));
    assert_ok(vs_generation_lock(f->store, f->so, 0, 0));
    vault_make(f, 0, NULL);
    assert_ok(vs_generation_recover(f->store, 0, first, VS_ROLE_SO, (const uint8_t *)SO_PIN,
                                    strlen(SO_PIN)));
    generation_damage(f, 1, one);    /* repaired */
    generation_damage(f, 2, two);
    assert_ok(vs_sweep(f->store, 100, &purged));
    assert_int_equal(purged, 2);
    assert_true(slot_wiped(f, &elsewhere));
    audit_expect_whole(f);
}

static int half_purge_generation(struct commit_txn *txn, void *ctx)
{
    struct generation g;

    VS_TRY(generation_get(txn->store, txn->kv, 1, *(const uint32_t *)ctx, &g));
    return purge_generation(txn, &g, "so");
}

static struct key generation_pending(uint32_t vault, uint32_t generation)
{
    return key_pending(KIND_GENERATION, pending_generation(vault, generation));
}

/* A generation that was purged, and cannot be cleared: neither it nor the word of its purge can be
 * read. The store opens, all else is purged, and it is its turn when it is repaired. */
static void test_damage_pending(void **state)
{
    struct fixture *f = *state;
    uint32_t one = vault_make(f, 1, NULL), two;
    struct vs_id id = deleted_elsewhere(f, 1), other;
    struct key pending = generation_pending(1, one);

    two = vault_make(f, 1, NULL);
    vault_make(f, 1, NULL);
    for (int i = 0; i < 2; i++) {
        assert_ok(commit_run(f->store, half_purge_generation, i == 0 ? &one : &two));
        if (i == 0)
            generation_damage(f, 1, one);
        else
            record_damage_at(f, &pending);
        other = deleted_make(f, "k");
        assert_ok(vs_object_purge(f->store, 0, f->so, &other));
        assert_true(slot_wiped(f, &other));
        fixture_close(f);
        fixture_open(f);
        fixture_login(f);
        assert_ok(vs_sweep(f->store, 10, &(size_t){0}));
        assert_false(slot_wiped(f, &id));
        assert_int_equal(table_count(f, TABLE_PENDING), 1);
    }
    assert_non_null(strstr(f->trace, "a purged generation is damaged"));
    generation_damage(f, 1, one);    /* repaired */
    record_damage_at(f, &pending);
    assert_ok(vs_sweep(f->store, 10, &(size_t){0}));
    assert_true(slot_wiped(f, &id));
    assert_int_equal(table_count(f, TABLE_PENDING), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_damage_elsewhere, fixture_unprotected, fixture_done),
        cmocka_unit_test_setup_teardown(test_damage_pending, fixture_unprotected, fixture_done),
    };

    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
