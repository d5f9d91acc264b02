/* unit_commit.c: group commit, a map that grows, several threads and processes, kill -9. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_fixture.h"
#include "vaultstore/store_internal.h"

#define THREADS 8
#define EACH 40

struct worker { struct fixture *f; pthread_t thread; struct vs_id ids[EACH]; int status; };

static void *create_many(void *arg)
{
    struct worker *w = arg;
    const struct vs_new_object object = {.is_private = true, .operation = "KeyCreate",
                                         .attrs = (const uint8_t *)"value", .attrs_len = 5};

    for (int i = 0; i < EACH && w->status == VS_OK; i++)
        w->status = vs_object_create(w->f->store, 0, w->f->user, &object, 1, &w->ids[i]);
    return NULL;
}

static void test_threads_share_commits(void **state)
{
    struct fixture *f = *state;
    struct worker workers[THREADS] = {{.f = f}};
    uint64_t before = vs_store_txnid(f->store), commits;

    for (size_t i = 0; i < THREADS; i++) {
        workers[i].f = f;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, create_many, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    commits = vs_store_txnid(f->store) - before;
    for (size_t i = 0; i < THREADS; i++) {
        assert_ok(workers[i].status);
        for (size_t j = 0; j < EACH; j++)
            object_expect(f, f->user, &workers[i].ids[j], "value");
    }
    assert_true(commits <= THREADS * EACH);
    print_message("%u objects in %u commits\n", THREADS * EACH, (unsigned)commits);
    assert_int_equal(find_all(f, f->user, false), THREADS * EACH);
    audit_expect_whole(f);
}

/* ------------------------------------------------------------------ outcomes and faults */

struct probe { int result; bool put; unsigned runs; };

static int probe_run(struct commit_txn *txn, void *ctx)
{
    struct probe *probe = ctx;
    struct key key = key_pending(KIND_GENERATION, UINT64_MAX);

    probe->runs++;
    if (probe->put)
        VS_TRY(commit_put(txn, &key, "x", 1));
    return probe->result;
}

static bool probe_found(struct fixture *f)
{
    struct key key = key_pending(KIND_GENERATION, UINT64_MAX);
    struct kv_slice value;
    struct kv_txn *txn;
    int status;

    assert_ok(kv_read(f->store->kv, &txn));
    status = kv_get(txn, key.b, key.len, &value);
    kv_abort(txn);
    return status == VS_OK;
}

static void test_outcomes_change_nothing(void **state)
{
    struct fixture *f = *state;
    static const int results[] = {VS_STALE, VS_E_IO, VS_E_FULL, VS_NOT_FOUND};
    uint64_t before = vs_store_txnid(f->store);

    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        struct probe clean = {.result = results[i]}, torn = {.result = results[i], .put = true};

        assert_status(commit_run(f->store, probe_run, &clean), results[i]);
        assert_status(commit_run(f->store, probe_run, &torn), results[i]);
        assert_false(probe_found(f));
    }
    assert_int_equal(vs_store_txnid(f->store), before);
}

static void *fault_many(void *arg)
{
    struct worker *w = arg;

    for (int i = 0; i < EACH; i++) {
        struct probe probe = {.result = i % 2 == 0 ? VS_E_IO : VS_STALE, .put = true};
        if (commit_run(w->f->store, probe_run, &probe) != probe.result)
            w->status = VS_E_CORRUPT;
    }
    return NULL;
}

/* One thread's faults are its own. */
static void test_faults_stay_alone(void **state)
{
    struct fixture *f = *state;
    struct worker workers[4] = {{.f = f}};

    for (size_t i = 0; i < 4; i++) {
        workers[i].f = f;
        assert_int_equal(pthread_create(&workers[i].thread, NULL,
                                        i % 2 == 0 ? create_many : fault_many, &workers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_ok(workers[i].status);
    }
    assert_int_equal(find_all(f, f->user, false), 2 * EACH);
    assert_false(probe_found(f));
    audit_expect_whole(f);
}

/* ------------------------------------------------------------------ readers and writers */

static void *toggle_one(void *arg)
{
    struct worker *w = arg;

    for (int i = 0; i < EACH && w->status == VS_OK; i++) {
        w->status = vs_object_delete(w->f->store, 0, w->f->user, &w->ids[0]);
        if (w->status == VS_OK)
            w->status = vs_object_recover(w->f->store, 0, w->f->so, &w->ids[0]);
    }
    return NULL;
}

static void *look_at_one(void *arg)
{
    struct worker *w = arg;

    for (int i = 0; i < 10 * EACH && w->status == VS_OK; i++) {
        struct vs_header header;
        struct vs_object object;
        struct vs_vault_info info;

        w->status = vs_object_peek(w->f->store, 0, &w->ids[0], &header);
        if (w->status == VS_OK)
            w->status = vs_object_read(w->f->store, 0, w->f->user, &w->ids[0], &object);
        if (w->status == VS_OK)
            vs_object_done(&object);
        if (w->status == VS_OK)
            w->status = vs_login_check(w->f->store, w->f->user);
        if (w->status == VS_OK)
            w->status = vs_vault_info(w->f->store, 0, &info);
        if (vs_store_now(w->f->store) != w->f->wall)
            w->status = VS_E_CORRUPT;
    }
    return NULL;
}

static void *login_often(void *arg)
{
    struct worker *w = arg;

    for (int i = 0; i < 10 && w->status == VS_OK; i++) {
        struct vs_login *login = NULL;

        w->status = login_as(w->f, VS_ROLE_USER, USER_PIN, &login);
        vs_logout(login);
    }
    return NULL;
}

static void test_readers_and_writers(void **state)
{
    static void *(*const parts[])(void *) = {toggle_one, look_at_one, login_often, create_many};
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "value");
    struct worker workers[THREADS];

    memset(workers, 0, sizeof(workers));
    for (size_t i = 0; i < THREADS; i++) {
        workers[i].f = f;
        workers[i].ids[0] = i % 4 == 1 ? id : object_make(f, f->user, true, "mine", "value");
        assert_int_equal(pthread_create(&workers[i].thread, NULL, parts[i % 4], &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_ok(workers[i].status);
    }
    audit_expect_whole(f);
}

/* ------------------------------------------------------------------ growth */

static void test_map_grows(void **state)
{
    struct fixture *f = *state;
    uint8_t *attrs = calloc(1, 20000);
    const struct vs_new_object object = {.is_private = true, .operation = "KeyCreate",
                                         .attrs = attrs, .attrs_len = 20000};
    struct vs_id ids[60];
    struct vs_object read;

    fixture_close(f);
    snprintf(f->path, sizeof(f->path), "%s/small", f->dir);
    f->options.map_size = (size_t)256 << 10;
    fixture_open(f);
    vault_make(f, 0, NULL);
    fixture_login(f);
    for (size_t i = 0; i < 60; i++)
        assert_ok(vs_object_create(f->store, 0, f->user, &object, 1, &ids[i]));
    for (size_t i = 0; i < 60; i++) {
        assert_ok(vs_object_read(f->store, 0, f->user, &ids[i], &read));
        assert_int_equal(read.attrs_len, 20000);
        vs_object_done(&read);
    }
    free(attrs);
    audit_expect_whole(f);
}

/* ------------------------------------------------------------------ processes */

static void child_loop(struct fixture *f, int report)
{
    uint32_t n = 0;

    if (vs_store_open(&f->options, &f->store) != VS_OK ||
        login_as(f, VS_ROLE_USER, USER_PIN, &f->user) != VS_OK)
        _exit(1);
    for (;;) {
        const struct vs_new_object object = {.is_private = true, .operation = "KeyCreate",
                                             .attrs = (const uint8_t *)"value", .attrs_len = 5};
        struct { struct vs_id id; uint32_t deleted; } done;

        if (vs_object_create(f->store, 0, f->user, &object, 1, &done.id) != VS_OK)
            _exit(2);
        done.deleted = 0;
        if (write(report, &done, sizeof(done)) != (ssize_t)sizeof(done))
            _exit(0);
        if (++n % 3 != 0)
            continue;
        /* Told before and after: in between either state is right. */
        done.deleted = 1;
        if (write(report, &done, sizeof(done)) != (ssize_t)sizeof(done) ||
            vs_object_delete(f->store, 0, f->user, &done.id) != VS_OK)
            _exit(3);
        done.deleted = 2;
        if (write(report, &done, sizeof(done)) != (ssize_t)sizeof(done))
            _exit(0);
    }
}

#define REPORTS 100000

/* Children create and delete until they are killed; what they were told is there. */
static void test_killed_processes(void **state)
{
    struct fixture *f = *state;
    struct report { struct vs_id id; uint32_t deleted; } *reports = calloc(REPORTS,
                                                                           sizeof(*reports));
    pid_t children[3];
    size_t n = 0;
    int pipes[2];
    ssize_t got;

    fixture_close(f);
    assert_int_equal(pipe(pipes), 0);
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            close(pipes[0]);
            child_loop(f, pipes[1]);
        }
    }
    close(pipes[1]);
    /* However slow this runs (valgrind): not before there is something to look for. */
    while (n < 20 && read(pipes[0], &reports[n], sizeof(*reports)) == (ssize_t)sizeof(*reports))
        n++;
    usleep(300000);
    for (int i = 0; i < 3; i++)
        kill(children[i], SIGKILL);
    while (n < REPORTS && (got = read(pipes[0], &reports[n], sizeof(*reports))) > 0) {
        assert_int_equal(got, sizeof(*reports));
        n++;
    }
    close(pipes[0]);
    for (int i = 0; i < 3; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_true(WIFSIGNALED(status));
    }
    fixture_open(f);
    fixture_login(f);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        struct vs_header header;

        assert_ok(vs_object_peek(f->store, 0, &reports[i].id, &header));
        if (reports[i].deleted == 2)
            assert_int_equal(header.state, VS_STATE_DELETED);
        object_expect(f, f->user, &reports[i].id, "value");
    }
    print_message("%zu acknowledgements\n", n);
    free(reports);
    audit_expect_whole(f);
}

/* What one process deletes, the other sees at once. */
static void test_two_processes(void **state)
{
    struct fixture *f = *state;
    struct vs_id id = object_make(f, f->user, true, "k", "value");
    struct vs_header header;
    uint64_t before = vs_store_txnid(f->store);
    int status;

    if (fork() == 0) {
        struct fixture child = *f;      /* the parent's store is never touched here */
        struct vs_login *user = NULL;
        int bad = vs_store_open(&child.options, &child.store);

        if (bad == 0)
            bad = login_as(&child, VS_ROLE_USER, USER_PIN, &user);
        if (bad == 0)
            bad = vs_object_delete(child.store, 0, user, &id);
        vs_logout(user);
        vs_store_close(child.store);
        _exit(bad);
    }
    assert_true(wait(&status) > 0);
    assert_int_equal(status, 0);
    assert_true(vs_store_txnid(f->store) > before);
    assert_ok(vs_object_peek(f->store, 0, &id, &header));
    assert_int_equal(header.state, VS_STATE_DELETED);
    assert_ok(vs_login_check(f->store, f->user));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_threads_share_commits, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_outcomes_change_nothing, fixture_vault,
                                        fixture_done),
        cmocka_unit_test_setup_teardown(test_faults_stay_alone, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_readers_and_writers, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_map_grows, fixture_store, fixture_done),
        cmocka_unit_test_setup_teardown(test_killed_processes, fixture_vault, fixture_done),
        cmocka_unit_test_setup_teardown(test_two_processes, fixture_vault, fixture_done),
    };

    return cmocka_run_group_tests_name("commit", tests, NULL, NULL);
}
