/*
 * bench_govern.c: what governs many objects at once, on the store itself, with a clock that can be
 * set: 100,000 deleted objects listed, recovered and swept, while another process writes and says
 * how long it had to wait for its turn. Usage: bench_govern [OBJECTS]
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vaultstore.h"

#define DAY 86400
#define TERMS 4u
#define AT_ONCE 500u
static const uint8_t SO[] = "so-pin-1234", USER[] = "user-pin-1";

static void must(int status, const char *what)
{
    if (status == VS_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, vs_status_name(status));
    exit(1);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ------------------------------------------------------------------ a store whose clock is ours */

struct machine { _Atomic int64_t now; };

static int64_t machine_now(void *ctx)
{
    return atomic_load(&((struct machine *)ctx)->now);
}

static void machine_boot_id(void *ctx, uint8_t ret_id[16])
{
    (void)ctx;
    memset(ret_id, 1, 16);
}

struct bench {
    struct machine *machine;      /* shared with the children */
    struct vs_time_source time;
    struct vs_options options;
    struct vs_store *store;
    struct vs_login *user;
    char dir[512];
    size_t objects;
    struct vs_id *ids;
};

static void trace(const char *where, const char *message)
{
    fprintf(stderr, "%s: %s\n", where, message);
}

static void bench_open(struct bench *b)
{
    uint8_t label[32];
    uint32_t generation;
    struct vs_login *so;

    memset(label, ' ', sizeof(label));
    snprintf(b->dir, sizeof(b->dir), "%s/bench-govern.XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    b->machine = mmap(NULL, sizeof(*b->machine), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (b->machine == MAP_FAILED || mkdtemp(b->dir) == NULL)
        exit(1);
    atomic_store(&b->machine->now, 20000 * (int64_t)DAY);
    b->time = (struct vs_time_source){machine_now, machine_now, machine_boot_id, b->machine};
    b->options = (struct vs_options){.path = b->dir, .time = &b->time, .trace = trace};
    vs_policy_default(&b->options.defaults);
    b->options.defaults.scrypt_log_n = VS_SCRYPT_LOG_N_MIN;
    must(vs_store_open(&b->options, &b->store), "open");
    must(vs_vault_init(b->store, 0, SO, sizeof(SO) - 1, label, NULL, &generation), "init");
    must(vs_login(b->store, 0, VS_ROLE_SO, SO, sizeof(SO) - 1, &so), "so");
    must(vs_pin_init(b->store, so, USER, sizeof(USER) - 1), "user's PIN");
    vs_logout(so);
    must(vs_login(b->store, 0, VS_ROLE_USER, USER, sizeof(USER) - 1, &b->user), "user");
}

static void bench_done(struct bench *b)
{
    char command[600];

    vs_logout(b->user);
    vs_store_close(b->store);
    free(b->ids);
    snprintf(command, sizeof(command), "rm -rf %s", b->dir);
    if (system(command) != 0)
        fprintf(stderr, "%s stays\n", b->dir);
}

static void objects_make(struct bench *b, size_t from, size_t n)
{
    static const uint8_t attrs[300];
    struct vs_new_object objects[AT_ONCE];
    struct vs_term terms[AT_ONCE][TERMS];
    char values[AT_ONCE][TERMS][24];

    for (size_t i = 0; i < n; i++) {
        for (uint32_t t = 0; t < TERMS; t++) {
            /* class and key type are a few values, label and id are the object's own */
            snprintf(values[i][t], sizeof(values[i][t]), "%u/%zu", t, t < 2 ? i % 2 : from + i);
            terms[i][t] = (struct vs_term){t, (const uint8_t *)values[i][t], strlen(values[i][t])};
        }
        objects[i] = (struct vs_new_object){.kind = 4, .is_private = true, .destroyable = true,
                                            .attrs = attrs, .attrs_len = sizeof(attrs),
                                            .terms = terms[i], .n_terms = TERMS,
                                            .operation = "KeyCreate"};
    }
    must(vs_object_create(b->store, 0, b->user, objects, n, b->ids + from), "create");
}

/* ------------------------------------------------------------------ another who writes */

struct waits { _Atomic uint64_t n, longest_us; };

static _Noreturn void writer(struct bench *b, struct waits *waits)
{
    static const uint8_t attrs[16];
    const struct vs_new_object object = {.kind = 4, .destroyable = true, .attrs = attrs,
                                         .attrs_len = sizeof(attrs), .operation = "KeyCreate"};
    struct vs_store *store;
    struct vs_id id;

    must(vs_store_open(&b->options, &store), "open");
    for (;;) {
        double begin = seconds();
        must(vs_object_create(store, 0, NULL, &object, 1, &id), "create");
        uint64_t us = (uint64_t)((seconds() - begin) * 1e6);
        if (us > atomic_load(&waits->longest_us))
            atomic_store(&waits->longest_us, us);
        atomic_fetch_add(&waits->n, 1);
        usleep(50000);
    }
}

static struct waits *waits_new(void)
{
    struct waits *waits = mmap(NULL, sizeof(*waits), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (waits == MAP_FAILED)
        exit(1);
    return waits;
}

static void row(const char *what, double value, const char *unit, double target)
{
    printf("%-46s %12.2f %-4s (at most %g) %s\n", what, value, unit, target,
           value <= target ? "ok" : "MISSED");
    fflush(stdout);
}

static void with_writer(struct bench *b, const char *what, double target, void (*run)(struct bench *))
{
    struct waits *waits = waits_new();
    char name[80];
    pid_t pid = fork();

    if (pid == 0)
        writer(b, waits);
    double begin = seconds();
    run(b);
    double took = seconds() - begin;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    row(what, took, "s", target);
    snprintf(name, sizeof(name), "  longest wait of another writer (%llu)",
             (unsigned long long)atomic_load(&waits->n));
    row(name, (double)atomic_load(&waits->longest_us) / 1e3, "ms", 50);
    munmap(waits, sizeof(*waits));
}

/* ------------------------------------------------------------------ the rows */

/* By many threads, whose changes share commits. */
#define THREADS 64u
struct share { struct bench *b; size_t first; };

static void *delete_share(void *ctx)
{
    const struct share *share = ctx;

    for (size_t i = share->first; i < share->b->objects; i += THREADS)
        must(vs_object_delete(share->b->store, 0, share->b->user, &share->b->ids[i]), "delete");
    return NULL;
}

static void delete_all(struct bench *b)
{
    pthread_t threads[THREADS];
    struct share shares[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        shares[i] = (struct share){b, i};
        if (pthread_create(&threads[i], NULL, delete_share, &shares[i]) != 0)
            exit(1);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void recover_all(struct bench *b)
{
    size_t n = 0;

    must(vs_object_recover_all(b->store, 0, b->user, SIZE_MAX, &n), "recover");
    if (n != b->objects)
        fprintf(stderr, "recovered %zu of %zu\n", n, b->objects);
}

static void sweep_all(struct bench *b)
{
    size_t n = 0;

    must(vs_sweep(b->store, SIZE_MAX, &n), "sweep");
    if (n + 100 < b->objects)     /* some were swept in passing */
        fprintf(stderr, "swept %zu of %zu\n", n, b->objects);
}

static void page_first(struct bench *b)
{
    const struct vs_query query = {.deleted = true, .want_public = true, .want_private = true};
    struct vs_cursor *cursor;
    struct vs_header header;
    struct vs_id ids[100];
    size_t n = 0;
    double begin = seconds();

    must(vs_find_open(b->store, 0, b->user, &query, &cursor), "find");
    must(vs_find_next(cursor, b->user, ids, 100, &n), "find");
    for (size_t i = 0; i < n; i++)
        must(vs_object_peek(b->store, 0, &ids[i], &header), "peek");
    vs_find_close(cursor);
    row("first page of the deleted (100)", (seconds() - begin) * 1e3, "ms", 5);
    if (n != 100)
        fprintf(stderr, "a page of %zu\n", n);
}

/* ------------------------------------------------------------------ the event log */

#define EVENTS 1000000u
#define ROWS_AT_ONCE 1000u
#define OF_ONE_KEY 1000u

/* Fills the log up to EVENTS with uses of many keys, and, spread among them, some of one. */
static void events_fill(struct bench *b, const struct vs_id *one)
{
    static struct vs_use uses[ROWS_AT_ONCE];
    struct vs_event last;
    uint64_t next;
    size_t n = 0;
    const struct vs_audit_query newest = {.newest_first = true};

    must(vs_audit_query(b->store, &newest, &last, 1, &n, &next), "query");
    for (uint64_t seq = last.seq; seq < EVENTS; seq += ROWS_AT_ONCE) {
        for (size_t i = 0; i < ROWS_AT_ONCE; i++) {
            bool is_one = i % (ROWS_AT_ONCE * ROWS_AT_ONCE / OF_ONE_KEY) == 0;
            uses[i] = (struct vs_use){.id = is_one ? *one : b->ids[(seq + i) % b->objects],
                                      .generation = 1, .operation = "KeySign", .count = 3,
                                      .principal = "user"};
        }
        must(vs_audit_use(b->store, uses, ROWS_AT_ONCE), "use");
    }
}

static void audit_query(struct bench *b)
{
    static struct vs_event events[OF_ONE_KEY * 4];
    const struct vs_id one = b->ids[0];
    struct vs_audit_query query = {.id = &one, .newest_first = true};
    size_t n = 0, all = 0;
    double begin, took;

    events_fill(b, &one);
    begin = seconds();
    must(vs_audit_query(b->store, &query, events, 100, &n, &query.from), "query");
    took = seconds() - begin;
    row("audit query by key, its newest 100", took * 1e3, "ms", 50);
    begin = seconds();
    query.from = 0;
    do {
        must(vs_audit_query(b->store, &query, events, OF_ONE_KEY * 4, &n, &query.from), "query");
        all += n;
    } while (query.from != 0);
    took = seconds() - begin;
    row("audit query by key, all of its events", took * 1e3, "ms", 50);
    printf("# %zu of more than %u events\n", all, EVENTS);
}

int main(int argc, char **argv)
{
    struct bench b = {.objects = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000};

    bench_open(&b);
    b.ids = calloc(b.objects + AT_ONCE, sizeof(*b.ids));
    if (b.ids == NULL)
        return 1;
    for (size_t at = 0; at < b.objects; at += AT_ONCE)
        objects_make(&b, at, b.objects - at < AT_ONCE ? b.objects - at : AT_ONCE);
    printf("# %zu objects\n", b.objects);
    delete_all(&b);
    page_first(&b);
    with_writer(&b, "recover all", 10, recover_all);
    delete_all(&b);
    atomic_fetch_add(&b.machine->now, 91 * (int64_t)DAY);
    with_writer(&b, "sweep all that is due", 30, sweep_all);
    if (b.objects >= 100000)
        audit_query(&b);
    bench_done(&b);
    return 0;
}
