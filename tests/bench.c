/*
 * The benchmark's rows, rounds and report. See bench.h.
 *
 *     bench [--quick] [--json] [--only NAME] [--keys N] [--seconds S]
 *
 * --only takes a part of a row's name, "vault" for the large vault or "use" for the record of uses; --keys and --seconds come
 * after --quick, which sets them too. $REPRIEVE_MODULE names the module;
 * SoftHSM2's columns stay empty when it is not installed. The stores lie under $TMPDIR, which must
 * be on a real disk for the durable writes to mean anything.
 */
#include "bench.h"

#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 31
#define START_RATIO_TARGET 1.2
#define FIND_TARGET_US 20.0
#define RSS_TARGET_KIB (20.0 * 1024)

const struct work bench_works[] = {
    {"rsa-sign", "RSA-2048 sign, RSA_PKCS", 0.95, 1, raw_rsa_sign, token_rsa_sign},
    {"rsa-sha256-sign", "RSA-2048 sign, SHA256_RSA_PKCS", 0.95, 1, raw_rsa_sha256_sign,
     token_rsa_sha256_sign},
    {"oaep-sha256", "RSA-OAEP SHA-256 unwrap + destroy", 0.90, 1, raw_oaep_sha256,
     token_oaep_sha256},
    {"oaep-sha1", "RSA-OAEP SHA-1 unwrap + destroy", 0, 1, raw_oaep_sha1, token_oaep_sha1},
    {"ecdsa-sign", "ECDSA P-256 sign", 0.90, 1, raw_ecdsa_sign, token_ecdsa_sign},
    {"kw-wrap", "AES-KW wrap an AES-256 key", 0.80, 1, raw_kw_wrap, token_kw_wrap},
    {"kw-unwrap", "AES-KW unwrap + destroy", 0.40, 1, raw_kw_unwrap, token_kw_unwrap},
    {"gcm-16", "AES-GCM encrypt 16 bytes", 0.60, 1, raw_gcm_16, token_gcm_16},
    {"gcm-64k", "AES-GCM encrypt 64 KiB", 0.95, 1, raw_gcm_64k, token_gcm_64k},
    {"create", "durable create, against a page", 0.20, 1, raw_page, token_create},
    {"create-8", "durable create, 8 threads", 0.40, 8, raw_page, token_create},
};
const size_t bench_work_count = COUNT_OF(bench_works);

struct options {
    double seconds; /* for all the rows together */
    unsigned rounds;
    unsigned long keys;
    unsigned probes;
    const char *only;
    bool json;
};

struct cell {
    bool present;
    CK_RV rv;         /* why the side cannot do it */
    double us;        /* median time of one */
    double ratio;     /* median of raw's time over this time, round by round */
};

struct row {
    const struct work *work;
    struct cell cells[SIDE_COUNT];
};

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int double_compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, double_compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* --- one round --- */

struct task {
    struct side *side;
    struct lane *lane;
    work_fn fn;
    unsigned long times;
    CK_RV rv;
};

static void *task_run(void *arg)
{
    struct task *task = arg;
    for (unsigned long i = 0; i < task->times && task->rv == CKR_OK; i++)
        task->rv = task->fn(task->side, task->lane);
    return NULL;
}

/* The raw side's limit is one thread's, whatever the row's threads. */
static unsigned side_threads(const struct side *side, const struct work *work)
{
    return side->id == SIDE_RAW ? 1 : work->threads;
}

/* Seconds for `times` pieces of work, shared by the row's threads. */
static double round_run(struct side *side, const struct work *work, unsigned long times,
                        CK_RV *ret_rv)
{
    unsigned threads = side_threads(side, work);
    work_fn fn = side->id == SIDE_RAW ? work->raw : work->token;
    struct task tasks[BENCH_THREADS_MAX];
    pthread_t ids[BENCH_THREADS_MAX];
    double begin = bench_now();
    for (unsigned i = 0; i < threads; i++) {
        tasks[i] = (struct task){side, side->lanes[i], fn, times / threads, CKR_OK};
        if (threads == 1)
            task_run(&tasks[i]);
        else
            CHECK(pthread_create(&ids[i], NULL, task_run, &tasks[i]) == 0);
    }
    for (unsigned i = 0; threads > 1 && i < threads; i++)
        pthread_join(ids[i], NULL);
    double took = bench_now() - begin;
    for (unsigned i = 0; i < threads; i++)
        if (tasks[i].rv != CKR_OK)
            *ret_rv = tasks[i].rv;
    return took;
}

/* How many pieces fill a slice; the first calls warm the side up. 0: it cannot do this work. */
static unsigned long calibrate(struct side *side, const struct work *work, double slice,
                               CK_RV *ret_rv)
{
    unsigned threads = side_threads(side, work);
    unsigned long times = threads;
    double took;
    while ((took = round_run(side, work, times, ret_rv)) < slice / 8 && *ret_rv == CKR_OK)
        times *= 2;
    if (*ret_rv != CKR_OK)
        return 0;
    unsigned long n = (unsigned long)((double)times * slice / took) / threads * threads;
    return n < threads ? threads : n;
}

static void work_run(const struct work *work, struct side sides[SIDE_COUNT],
                     const struct options *options, struct row *ret_row)
{
    static double took[SIDE_COUNT][ROUNDS_MAX];
    double ratios[ROUNDS_MAX];
    unsigned long times[SIDE_COUNT] = {0};
    double slice = options->seconds / (double)(bench_work_count * options->rounds * SIDE_COUNT);
    struct row row = {.work = work};
    for (size_t s = 0; s < SIDE_COUNT; s++)
        if (sides[s].present)
            times[s] = calibrate(&sides[s], work, slice, &row.cells[s].rv);
    for (unsigned r = 0; r < options->rounds; r++)
        for (size_t s = 0; s < SIDE_COUNT; s++)
            if (times[s])
                took[s][r] = round_run(&sides[s], work, times[s], &row.cells[s].rv) /
                             (double)times[s];
    for (size_t s = 0; s < SIDE_COUNT; s++) {
        struct cell *cell = &row.cells[s];
        cell->present = times[s] && cell->rv == CKR_OK;
        if (!cell->present)
            continue;
        for (unsigned r = 0; r < options->rounds; r++)
            ratios[r] = took[SIDE_RAW][r] / took[s][r];
        cell->ratio = bench_median(ratios, options->rounds);
    }
    for (size_t s = 0; s < SIDE_COUNT; s++) /* last: the median sorts */
        if (row.cells[s].present)
            row.cells[s].us = bench_median(took[s], options->rounds) * 1e6;
    *ret_row = row;
}

/* --- the report --- */

static void cell_print(const struct cell *cell)
{
    if (cell->present)
        printf(" %10.2f %6.3f", cell->us, cell->ratio);
    else if (cell->rv != CKR_OK)
        printf(" %17.17s", ckr_name(cell->rv));
    else
        printf(" %10s %6s", "-", "-");
}

static void table_head(void)
{
    printf("%-34s %10s %10s %6s %8s %-11s %10s %6s\n", "microseconds, ratio to raw", "raw",
           "Reprieve", "ratio", "to reach", "", "SoftHSM2", "ratio");
}

static void row_print(const struct row *row)
{
    const struct cell *ours = &row->cells[SIDE_REPRIEVE];
    double target = row->work->target;
    printf("%-34s %10.2f", row->work->title, row->cells[SIDE_RAW].us);
    cell_print(ours);
    if (target > 0)
        printf(" %8.2f", target);
    else
        printf(" %8s", "");
    printf(" %-11s", !ours->present || target <= 0 ? ""
                     : ours->ratio >= target       ? "reached"
                                                   : "NOT REACHED");
    cell_print(&row->cells[SIDE_SOFTHSM]);
    putchar('\n');
    fflush(stdout);
}

static void row_json(const struct row *row, bool first)
{
    static const char *const names[SIDE_COUNT] = {"raw", "reprieve", "softhsm2"};
    printf("%s\n  {\"name\": \"%s\", \"title\": \"%s\", \"target\": ", first ? "" : ",",
           row->work->name, row->work->title);
    if (row->work->target > 0)
        printf("%.2f", row->work->target);
    else
        printf("null");
    for (size_t s = 0; s < SIDE_COUNT; s++) {
        const struct cell *cell = &row->cells[s];
        if (cell->present)
            printf(", \"%s\": {\"us\": %.3f, \"ratio\": %.4f}", names[s], cell->us, cell->ratio);
        else if (cell->rv != CKR_OK)
            printf(", \"%s\": {\"error\": \"%s\"}", names[s], ckr_name(cell->rv));
        else
            printf(", \"%s\": null", names[s]);
    }
    putchar('}');
}

/* What the targets are about, made of the medians. */
struct vault_line {
    const char *name, *title;
    double value, target;
};

static size_t vault_lines(const struct vault_result *v, struct vault_line lines[8])
{
    double small = v->small.start + v->small.find_and_use;
    double large = v->large.start + v->large.find_and_use;
    const struct vault_line all[] = {
        {"start_small_us", "start, find, use with 10 keys, us", small, 0},
        {"start_large_us", "the same with all keys, us", large, 0},
        {"start_ratio", "ratio of the two", large / small, START_RATIO_TARGET},
        {"login_us", "login, timed apart, us", v->large.login, 0},
        {"find_id_us", "find by id, us", v->large.find_id, FIND_TARGET_US},
        {"find_label_us", "find by label, us", v->large.find_label, FIND_TARGET_US},
        {"rss_growth_kib", "memory above the empty vault, KiB",
         v->large.rss_anon - v->empty.rss_anon, RSS_TARGET_KIB},
        {"fill_seconds", "filling it, s", v->fill_seconds, 0},
    };
    memcpy(lines, all, sizeof all);
    return COUNT_OF(all);
}

static void vault_print(const char *name, const struct vault_result *v, bool targets)
{
    struct vault_line lines[8];
    size_t n = vault_lines(v, lines);
    printf("\n%s, a fresh process with %lu keys in the vault\n", name, v->keys);
    for (size_t i = 0; i < n; i++) {
        printf("  %-36s %12.2f", lines[i].title, lines[i].value);
        if (targets && lines[i].target > 0)
            printf("   at most %g: %s", lines[i].target,
                   lines[i].value <= lines[i].target ? "reached" : "NOT REACHED");
        putchar('\n');
    }
    fflush(stdout);
}

static void vault_json(const char *name, const struct vault_result *v)
{
    struct vault_line lines[8];
    size_t n = vault_lines(v, lines);
    printf(",\n \"vault_%s\": {\"keys\": %lu", name, v->keys);
    for (size_t i = 0; i < n; i++)
        printf(", \"%s\": %.3f", lines[i].name, lines[i].value);
    putchar('}');
}

/* --- the whole --- */

static bool wanted(const struct options *options, const char *name)
{
    return !options->only || strstr(name, options->only);
}

static void rows_run(const struct options *options)
{
    struct bench_keys *keys = calloc(1, sizeof *keys);
    struct side *sides = calloc(SIDE_COUNT, sizeof *sides);
    bool first = true;
    CHECK(keys && sides);
    bench_keys_init(keys);
    raw_side_init(&sides[SIDE_RAW], keys);
    token_side_init(&sides[SIDE_REPRIEVE], SIDE_REPRIEVE, keys);
    token_side_init(&sides[SIDE_SOFTHSM], SIDE_SOFTHSM, keys);
    if (!options->json)
        table_head();
    for (size_t i = 0; i < bench_work_count; i++) {
        struct row row;
        if (!wanted(options, bench_works[i].name))
            continue;
        work_run(&bench_works[i], sides, options, &row);
        if (options->json)
            row_json(&row, first);
        else
            row_print(&row);
        first = false;
    }
    token_side_done(&sides[SIDE_SOFTHSM]);
    token_side_done(&sides[SIDE_REPRIEVE]);
    raw_side_done(&sides[SIDE_RAW]);
    bench_keys_done(keys);
    free(sides);
    free(keys);
}

/* SoftHSM2 gets a hundredth of the keys: it grows slow with them. */
static void vaults_run(const struct options *options)
{
    static const struct {
        enum harness_kind kind;
        const char *name, *json_name;
        unsigned long share;
    } sides[] = {
        {HARNESS_REPRIEVE, "Reprieve", "reprieve", 1},
        {HARNESS_SOFTHSM, "SoftHSM2", "softhsm2", 100},
    };
    for (size_t i = 0; i < COUNT_OF(sides); i++) {
        struct vault_result result;
        unsigned long keys = options->keys / sides[i].share;
        if (!harness_module_path(sides[i].kind))
            continue;
        vault_bench(sides[i].kind, keys < 20 ? 20 : keys, options->probes, &result);
        if (options->json)
            vault_json(sides[i].json_name, &result);
        else
            vault_print(sides[i].name, &result, sides[i].kind == HARNESS_REPRIEVE);
    }
}

static bool options_read(int argc, char **argv, struct options *ret_options)
{
    static const struct option names[] = {
        {"quick", no_argument, NULL, 'q'},         {"json", no_argument, NULL, 'j'},
        {"only", required_argument, NULL, 'o'},    {"keys", required_argument, NULL, 'k'},
        {"seconds", required_argument, NULL, 's'}, {NULL, 0, NULL, 0},
    };
    struct options options = {.seconds = 50, .rounds = 15, .keys = 100000, .probes = 15};
    int c;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (c == 'q')
            options = (struct options){6, 5, 2000, 5, options.only, options.json};
        else if (c == 'j')
            options.json = true;
        else if (c == 'o')
            options.only = optarg;
        else if (c == 'k')
            options.keys = strtoul(optarg, NULL, 10);
        else if (c == 's')
            options.seconds = strtod(optarg, NULL);
        else
            return false;
    }
    *ret_options = options;
    return optind == argc;
}

int main(int argc, char **argv)
{
    struct options options;
    if (argc == 4 && !strcmp(argv[1], PROBE_ARGUMENT))
        return vault_probe_main(argv + 1);
    if (!options_read(argc, argv, &options)) {
        fprintf(stderr, "usage: bench [--quick] [--json] [--only NAME] [--keys N] [--seconds S]\n");
        return 2;
    }
    if (options.json)
        printf("{\"rows\": [");
    if (!options.only || (strcmp(options.only, "vault") && strcmp(options.only, "use")))
        rows_run(&options);
    if (options.json)
        printf("]");
    if (wanted(&options, "vault"))
        vaults_run(&options);
    if (!options.json && wanted(&options, "use"))
        use_bench(options.seconds);
    if (options.json)
        printf("}\n");
    return 0;
}
