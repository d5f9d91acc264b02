/*
 * The large vault: what a fresh process pays when there are many keys. The vaults are filled on
 * /dev/shm where there is room, since filling is not what is measured and reads come from the page
 * cache anyway.
 */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PROBE_RUNS_MAX 64
#define FIND_COUNT 501
#define FIND_SECONDS 0.1 /* fewer finds than that when they are slow */
#define BYTES_PER_KEY 8192 /* room asked for on /dev/shm; a record with its index entries is less */

struct fill {
    struct side side;
    unsigned long keys;
    atomic_ulong next;
};

struct fill_thread {
    struct fill *fill;
    struct lane *lane;
};

static void *fill_thread(void *arg)
{
    struct fill_thread *thread = arg;
    struct fill *fill = thread->fill;
    unsigned long id;
    while ((id = atomic_fetch_add(&fill->next, 1)) < fill->keys) {
        thread->lane->serial = id;
        OK(token_create(&fill->side, thread->lane));
    }
    return NULL;
}

/* In a process of its own: the probes' parent never loads the module. */
static int fill_run(void *arg)
{
    struct fill *fill = arg;
    pthread_t threads[BENCH_THREADS_MAX];
    struct fill_thread args[BENCH_THREADS_MAX];
    harness_load(&fill->side.h);
    harness_token(&fill->side.h);
    CK_SESSION_HANDLE session = harness_session_rw(&fill->side.h);
    harness_login(&fill->side.h, session, CKU_USER);
    for (size_t i = 0; i < BENCH_THREADS_MAX; i++) {
        args[i] = (struct fill_thread){fill, calloc(1, sizeof(struct lane))};
        CHECK(args[i].lane != NULL);
        args[i].lane->session = harness_session_rw(&fill->side.h);
        CHECK(pthread_create(&threads[i], NULL, fill_thread, &args[i]) == 0);
    }
    for (size_t i = 0; i < BENCH_THREADS_MAX; i++) {
        pthread_join(threads[i], NULL);
        free(args[i].lane);
    }
    harness_unload(&fill->side.h);
    return 0;
}

static void vault_fill(enum harness_kind kind, unsigned long keys, struct harness *ret_h)
{
    struct bench_keys *material = calloc(1, sizeof *material);
    struct fill fill = {.keys = keys};
    CHECK(material != NULL);
    fill.side.keys = material;
    harness_init_kind(&fill.side.h, kind, NULL);
    CHECK(fork_run(fill_run, &fill) == 0);
    *ret_h = fill.side.h;
    free(material);
}

/* --- the fresh process --- */

static double rss_anon(void)
{
    char line[256];
    double kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %lf", &kib) == 1)
            break;
    fclose(file);
    return kib;
}

static CK_OBJECT_HANDLE find_by_id(struct harness *h, CK_SESSION_HANDLE session, uint64_t id)
{
    CK_ATTRIBUTE attrs[] = {ATTR_VAR(CKA_ID, id)};
    return harness_find(h, session, attrs, COUNT_OF(attrs));
}

static CK_OBJECT_HANDLE find_by_label(struct harness *h, CK_SESSION_HANDLE session, uint64_t id)
{
    char label[32];
    int len = snprintf(label, sizeof label, "key-%llx", (unsigned long long)id);
    CK_ATTRIBUTE attrs[] = {ATTR_BYTES(CKA_LABEL, label, len)};
    return harness_find(h, session, attrs, COUNT_OF(attrs));
}

typedef CK_OBJECT_HANDLE (*find_fn)(struct harness *h, CK_SESSION_HANDLE session, uint64_t id);

/* Keys spread over the vault. */
static double find_median(struct harness *h, CK_SESSION_HANDLE session, find_fn find,
                          unsigned long keys)
{
    double took[FIND_COUNT];
    double end = bench_now() + FIND_SECONDS;
    size_t n = 0;
    while (n < FIND_COUNT && (n == 0 || bench_now() < end)) {
        uint64_t id = keys ? n * 7919 % keys : n;
        double begin = bench_now();
        CK_OBJECT_HANDLE found = find(h, session, id);
        took[n++] = (bench_now() - begin) * 1e6;
        CHECK((found != CK_INVALID_HANDLE) == (keys != 0));
    }
    return bench_median(took, n);
}

int vault_probe_main(char **argv)
{
    struct side side = {.h = {.kind = (enum harness_kind)atoi(argv[1])}};
    struct bench_keys *material = calloc(1, sizeof *material);
    struct lane *lane = calloc(1, sizeof *lane);
    unsigned long keys = strtoul(argv[2], NULL, 10);
    struct probe probe;
    CHECK(material && lane);
    side.keys = material;
    side.h.module = harness_module_path(side.h.kind);
    double t0 = bench_now();
    harness_load(&side.h);
    harness_slot(&side.h);
    lane->session = harness_session(&side.h, 0);
    double t1 = bench_now();
    harness_login(&side.h, lane->session, CKU_USER);
    double t2 = bench_now();
    side.gcm = find_by_id(&side.h, lane->session, keys / 2);
    if (keys)
        OK(token_gcm_16(&side, lane));
    double t3 = bench_now();
    probe.find_id = find_median(&side.h, lane->session, find_by_id, keys);
    probe.find_label = find_median(&side.h, lane->session, find_by_label, keys);
    printf("%.1f %.1f %.1f %.2f %.2f %.0f\n", (t1 - t0) * 1e6, (t2 - t1) * 1e6, (t3 - t2) * 1e6,
           probe.find_id, probe.find_label, rss_anon());
    harness_unload(&side.h);
    free(material);
    free(lane);
    return 0;
}

/* --- the parent --- */

static void probe_run(struct harness *h, unsigned long keys, struct probe *ret_probe)
{
    char self[1024] = {0};
    char command[1200];
    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    snprintf(command, sizeof command, "exec '%s' %s %d %lu", self, PROBE_ARGUMENT, (int)h->kind,
             keys);
    harness_use(h);
    FILE *out = popen(command, "r");
    CHECK(out != NULL);
    CHECK(fscanf(out, "%lf %lf %lf %lf %lf %lf", &ret_probe->start, &ret_probe->login,
                 &ret_probe->find_and_use, &ret_probe->find_id, &ret_probe->find_label,
                 &ret_probe->rss_anon) == 6);
    CHECK(pclose(out) == 0);
}

/* The median of each column of the runs. */
static struct probe probe_median(const struct probe *runs, size_t n)
{
    struct probe median;
    for (size_t column = 0; column < sizeof median / sizeof(double); column++) {
        double values[PROBE_RUNS_MAX];
        for (size_t i = 0; i < n; i++)
            memcpy(&values[i], (const char *)&runs[i] + column * sizeof(double), sizeof(double));
        double value = bench_median(values, n);
        memcpy((char *)&median + column * sizeof(double), &value, sizeof value);
    }
    return median;
}

static const char *fill_dir(unsigned long keys)
{
    struct statvfs fs;
    if (statvfs("/dev/shm", &fs) == 0 && fs.f_bavail * fs.f_frsize > keys * BYTES_PER_KEY)
        return "/dev/shm";
    const char *tmp = getenv("TMPDIR");
    return tmp ? tmp : "/tmp";
}

void vault_bench(enum harness_kind kind, unsigned long keys, unsigned runs,
                 struct vault_result *ret_result)
{
    const unsigned long sizes[3] = {0, 10, keys};
    struct harness vaults[3];
    struct probe probes[3][PROBE_RUNS_MAX];
    struct vault_result result = {.present = true, .keys = keys};
    char *tmp = getenv("TMPDIR") ? strdup(getenv("TMPDIR")) : NULL;
    if (runs > PROBE_RUNS_MAX)
        runs = PROBE_RUNS_MAX;
    setenv("TMPDIR", fill_dir(keys), 1);
    for (size_t i = 0; i < 3; i++) {
        double begin = bench_now();
        vault_fill(kind, sizes[i], &vaults[i]);
        result.fill_seconds = bench_now() - begin;
    }
    for (size_t run = 0; run < runs; run++)
        for (size_t i = 0; i < 3; i++)
            probe_run(&vaults[i], sizes[i], &probes[i][run]);
    for (size_t i = 0; i < 3; i++)
        harness_done(&vaults[i]);
    if (tmp)
        setenv("TMPDIR", tmp, 1);
    else
        unsetenv("TMPDIR");
    free(tmp);
    result.empty = probe_median(probes[0], runs);
    result.small = probe_median(probes[1], runs);
    result.large = probe_median(probes[2], runs);
    *ret_result = result;
}
