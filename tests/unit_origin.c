/* unit_origin.c: the header of what a session's copy follows: read once, and never behind. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "store_fixture.h"

#include "module/origin.h"

#define NO_VAULT 99u             /* nothing is read there, so what comes is what was kept */

static enum vs_state state_of(struct fixture *f, struct origin *origin, uint32_t vault)
{
    struct vs_header header;

    assert_ok(origin_header(origin, f->store, vault, &header));
    assert_int_equal(memcmp(&header.id, origin_id(origin), sizeof(header.id)), 0);
    return header.effective;
}

static struct origin *origin_make(struct fixture *f, struct vs_id *ret_id)
{
    struct origin *origin;

    *ret_id = object_make(f, f->user, true, "key", "attributes");
    origin = origin_new(ret_id);
    assert_non_null(origin);
    return origin;
}

static void test_read_once(void **state)
{
    struct fixture *f = *state;
    struct vs_header header;
    struct vs_id id;
    struct origin *origin = origin_make(f, &id), *unread = origin_new(&id);

    assert_status(origin_header(unread, f->store, NO_VAULT, &header), VS_NOT_FOUND);
    assert_int_equal(state_of(f, origin, 0), VS_STATE_ACTIVE);
    assert_int_equal(state_of(f, origin, NO_VAULT), VS_STATE_ACTIVE);
    object_make(f, f->user, true, "another", "attributes");
    assert_status(origin_header(origin, f->store, NO_VAULT, &header), VS_NOT_FOUND);
    assert_int_equal(state_of(f, origin, 0), VS_STATE_ACTIVE);
    origin_unref(unread);
    origin_unref(origin);
}

/* Nobody commits when a date passes. */
static void test_dates(void **state)
{
    struct fixture *f = *state;
    struct vs_id id;
    struct origin *origin = origin_make(f, &id);
    int64_t now = vs_store_now(f->store);
    struct vs_govern dates = {.set = VS_GOVERN_NOT_BEFORE | VS_GOVERN_NOT_AFTER,
                              .not_before = now + 100, .not_after = now + 200};

    assert_int_equal(state_of(f, origin, 0), VS_STATE_ACTIVE);
    assert_ok(vs_object_govern(f->store, 0, f->user, &id, &dates));
    assert_int_equal(state_of(f, origin, 0), VS_STATE_PREACTIVE);
    fixture_pass(f, 150);
    assert_int_equal(state_of(f, origin, NO_VAULT), VS_STATE_ACTIVE);
    fixture_pass(f, 100);
    assert_int_equal(state_of(f, origin, NO_VAULT), VS_STATE_EXPIRED);
    origin_unref(origin);
}

static void test_end(void **state)
{
    struct fixture *f = *state;
    struct vs_header header;
    struct vs_id id;
    struct origin *origin = origin_make(f, &id);
    size_t purged = 0;

    assert_int_equal(state_of(f, origin, 0), VS_STATE_ACTIVE);
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    assert_int_equal(state_of(f, origin, 0), VS_STATE_DELETED);
    assert_ok(vs_object_recover(f->store, 0, f->user, &id));
    assert_int_equal(state_of(f, origin, 0), VS_STATE_ACTIVE);
    record_damage(f, &id);
    assert_status(origin_header(origin, f->store, 0, &header), VS_E_CORRUPT);
    assert_status(origin_header(origin, f->store, 0, &header), VS_E_CORRUPT);
    record_damage(f, &id);
    assert_int_equal(state_of(f, origin, 0), VS_STATE_ACTIVE);
    assert_ok(vs_object_delete(f->store, 0, f->user, &id));
    fixture_pass(f, 400 * (int64_t)DAY);
    assert_ok(vs_sweep(f->store, 10, &purged));
    assert_int_equal(purged, 1);
    assert_status(origin_header(origin, f->store, 0, &header), VS_NOT_FOUND);
    origin_unref(origin);
}

/* ------------------------------------------------------------------ threads */

#define THREADS 3u

struct readers {
    struct fixture *f;
    struct origin *origin;
    _Atomic bool end;
    _Atomic unsigned wrong, seen;
};

static void *reader(void *ctx)
{
    struct readers *readers = ctx;

    while (!atomic_load(&readers->end)) {
        struct vs_header header;
        struct origin *mine = origin_ref(readers->origin);
        int status = origin_header(mine, readers->f->store, 0, &header);

        readers->wrong += status != VS_OK || memcmp(&header.id, origin_id(mine), sizeof(header.id)) != 0 ||
                          (header.state == VS_STATE_DELETED) != (header.purge_at != 0);
        readers->seen++;
        origin_unref(mine);
    }
    return NULL;
}

/* Who has seen a change go through never sees what was before it. */
static void test_threads(void **state)
{
    struct readers readers = {.f = *state};
    struct fixture *f = *state;
    unsigned rounds = getenv("REPRIEVE_VARIANT") != NULL ? 10 : 50;
    pthread_t threads[THREADS];
    struct vs_id id;

    readers.origin = origin_make(f, &id);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, &readers), 0);
    for (unsigned i = 0; i < rounds; i++) {
        assert_ok(vs_object_delete(f->store, 0, f->user, &id));
        assert_int_equal(state_of(f, readers.origin, 0), VS_STATE_DELETED);
        assert_ok(vs_object_recover(f->store, 0, f->user, &id));
        assert_int_equal(state_of(f, readers.origin, 0), VS_STATE_ACTIVE);
    }
    while (atomic_load(&readers.seen) < 1000)
        sched_yield();
    atomic_store(&readers.end, true);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&readers.wrong), 0);
    origin_unref(readers.origin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read_once, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_dates, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_end, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_threads, fixture_vault, fixture_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
