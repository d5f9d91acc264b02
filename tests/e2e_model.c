/*
 * Random sequences of everything that is done to keys, users and vaults, by two processes, against
 * the loaded module, with the model as oracle: what the module answers, and what is there
 * afterwards, is what the model says; and at every step what the module shows keeps the promise.
 * The clock is the test's; some processes are killed in the middle of a step, and then there is
 * the state before it or the one after.
 *
 * REPRIEVE_SEED repeats a sequence (but for the moments at which a process is killed); REPRIEVE_LONG
 * goes on for millions of steps, REPRIEVE_STORES=n for 5000 n. A sequence that fails is made shorter,
 * as long as it fails, and shown.
 */
#include <libgen.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "walk.h"

struct world *w;
struct test_clock *test_clock;
CK_SESSION_HANDLE session;
const struct RPV_FUNCTION_LIST *vendor;
const char *const user_names[MODEL_USERS] = {"alice", "bob-", "carol"};

unsigned random_below(unsigned n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (unsigned)(w->random >> 20) % n;
}

void note(const char *format, ...)
{
    va_list args;
    if (w->quiet)
        return;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
}

void step_text(const struct script_step *s, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%s by %s%s%s: object %u, generation %u, other %u, value %d%s",
             model_op_name(s->step.op), model_role_name(s->step.role),
             s->step.stale ? " (removed)" : "", s->actor == PARTNER ? " (2nd process)" : "",
             s->step.object, s->step.generation, s->step.other, s->step.value,
             s->kill_after ? ", killed" : "");
}

void fail_step(const char *why, const char *got, const char *wanted)
{
    char text[200];
    const struct script_step s = {.step = w->step, .actor = w->actor};
    step_text(&s, text, sizeof(text));
    note("# step %u, at %d, %s\n#   %s: %s, not %s\n", w->steps, w->model.store.now, text, why,
         got, wanted);
    if (!w->quiet)
        w->failed = w->step.op;
    exit(w->failed == w->step.op ? 1 : 2);
}

/* ------------------------------------------------------------------ the walk */

/* After a crash nobody is logged in, and who was may have been removed. */
static void actors_reset(void)
{
    w->actors[SELF] = (struct actor){.role = MODEL_USER};
    w->actors[PARTNER] = (struct actor){.role = MODEL_USER};
    w->after = w->in_flight ? w->after : w->model;
}

/* By the script, or at random and then noted in it. False: it is done. */
static bool step_next(struct script_step *ret_step)
{
    if (w->replaying) {
        if (w->steps >= w->script_len)
            return false;
        *ret_step = w->script[w->steps];
        return true;
    }
    if (w->steps >= w->wanted)
        return false;
    choose(ret_step);
    return true;
}

static void others_change(void)
{
    if (w->model.rolled_back)
        return;
    if (random_below(100) == 0)
        role_change(role_random());
    if (partner_is() ? random_below(150) == 0 : random_below(200) == 0) {
        partner_stop();
        if (live_model()->lock < 2)
            partner_start(role_random());
    }
}

static bool role_is(unsigned role)
{
    return role < MODEL_NAMED || live_model()->users[role - MODEL_NAMED] != 0;
}

/* Whose step the script says it was, if there is still such a one. */
static bool others_follow(const struct script_step *s)
{
    const struct actor *actor = &w->actors[s->actor];
    bool there = s->actor == SELF || partner_is();
    if (there && actor->role == s->step.role && actor->voided == s->step.stale)
        return true;
    if (w->model.rolled_back || s->step.stale || !role_is(s->step.role) || live_model()->lock > 1)
        return false;
    if (s->actor == SELF) {
        role_change(s->step.role);
    } else {
        partner_stop();
        partner_start(s->step.role);
    }
    return true;
}

/* What may have changed anything at all. */
static bool is_wide(unsigned op)
{
    return op >= OP_RETENTION && op <= OP_BOOT && op != OP_PASS && op != OP_WALL &&
           op != OP_COPY && op != OP_SWEEP;
}

static int walk(void *ctx)
{
    struct script_step s;
    (void)ctx;
    actors_reset();
    module_open();
    settle_crash();
    while (step_next(&s)) {
        recycle();
        if (!w->replaying)
            others_change();
        else if (!others_follow(&s)) {
            w->steps++;
            continue;
        }
        s.step.role = w->actors[s.actor].role;
        s.step.stale = w->actors[s.actor].voided;
        if (is_moot(&s) || is_boring(&s)) {
            w->steps += w->replaying ? 1 : 0;
            continue;
        }
        w->script[w->steps++] = s;
        step_do(&s);
        if (w->steps % 32 == 0 || is_wide(s.step.op))
            world_check();
    }
    world_check();
    partner_stop();
    if (!w->model.rolled_back) {
        strict_check();
        promise_audit(&w->h);
    }
    harness_unload(&w->h);
    return 0;
}

/* ------------------------------------------------------------------ one store */

static int make_token(void *ctx)
{
    struct RPV_STORE_INFO info;
    (void)ctx;
    harness_start(&w->h);
    vendor = promise_vendor(&w->h);
    OK(vendor->RPV_GetStoreInfo(&info));
    w->base = (int64_t)info.now;
    generation_learn();
    tick_make();
    harness_unload(&w->h);
    return 0;
}

static void world_make(uint64_t seed, bool protection)
{
    struct model_policy policy = {.retention = 90 * DAY, .protection = protection,
                                  .window = 24 * HOUR,
                                  .protected_since = protection ? MODEL_FROM_START : 0};
    memset(w, 0, offsetof(struct world, script));
    w->limits = (struct model_limits){MODEL_GENERATIONS, MODEL_OBJECTS, 3 * DAY};
    model_init(&w->model, &policy);
    w->protects = seed % 2 == 0;
    w->random = seed * 0x9e3779b97f4a7c15u + 1;
}

static bool one_store(uint64_t seed, unsigned steps)
{
    bool protection = seed % 4 == 0;
    int status = 128 + SIGKILL;
    world_make(seed, protection);
    w->wanted = steps;
    harness_init(&w->h, protection ? NULL : "purge_protection = no\n");
    clock_make();
    CHECK(fork_run(make_token, NULL) == 0);
    while (status == 128 + SIGKILL) {
        status = fork_run(walk, NULL);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;                    /* the partner of one that was killed */
    }
    munmap(test_clock, sizeof(*test_clock));
    w->h.dl = NULL;              /* of a process that is gone */
    harness_done(&w->h);
    return status != 1;          /* 2: something else went wrong */
}

/* ------------------------------------------------------------------ a shorter one */

/* Without the steps from `at` on, n of them: does it still fail? */
static bool fails_without(uint64_t seed, struct script_step *script, unsigned *len, unsigned at,
                          unsigned n)
{
    unsigned rest = *len - at - n;
    memcpy(w->script, script, at * sizeof(*script));
    memcpy(w->script + at, script + at + n, rest * sizeof(*script));
    w->script_len = at + rest;
    if (one_store(seed, 0))
        return false;
    *len = at + rest < w->steps ? at + rest : w->steps;
    memcpy(script, w->script, *len * sizeof(*script));
    return true;
}

/* More for who asks for this very one. */
#define SHRINK_SECONDS (getenv("REPRIEVE_SEED") ? 600 : 90)

static void shrink(uint64_t seed)
{
    static struct script_step script[STEPS_MAX];
    unsigned len = w->steps;
    time_t until = time(NULL) + SHRINK_SECONDS;
    memcpy(script, w->script, len * sizeof(*script));
    w->replaying = w->quiet = true;
    for (unsigned n = len / 2; n > 0; n /= 2)
        for (unsigned at = 0; at + n <= len && time(NULL) < until;)
            at += fails_without(seed, script, &len, at, n) ? 0 : n;
    w->quiet = false;
    print_message("# still failing, after %u steps:\n", len);
    fails_without(seed, script, &len, len, 0);
    for (unsigned i = 0; i < len; i++) {
        char text[200];
        step_text(&script[i], text, sizeof(text));
        print_message("#     %s\n", text);
    }
    w->replaying = false;
}

/* ------------------------------------------------------------------ the test */

struct tally {
    unsigned steps, crashes, looks, by_partner, voids;
    unsigned counts[OP_COUNT], done[OP_COUNT], refused[OP_COUNT], results[RESULT_COUNT];
};

static void tally_add(struct tally *tally)
{
    tally->steps += w->steps;
    tally->crashes += w->crashes;
    tally->looks += w->looks;
    tally->by_partner += w->by_partner;
    tally->voids += w->voids;
    for (unsigned i = 0; i < OP_COUNT; i++) {
        tally->counts[i] += w->counts[i];
        tally->done[i] += w->done[i];
        tally->refused[i] += w->refused[i];
    }
    for (unsigned i = 0; i < RESULT_COUNT; i++)
        tally->results[i] += w->results[i];
}

static void tally_print(const struct tally *t)
{
    print_message("# %u steps, %u by the second process, %u killed in one; the promise looked at "
                  "%u times; %u logins void\n", t->steps, t->by_partner, t->crashes, t->looks,
                  t->voids);
    for (unsigned i = 0; i < OP_COUNT; i++)
        if (rows[i].run != NULL)
            print_message("# %s: %u done, %u refused\n", model_op_name(i), t->done[i],
                          t->refused[i]);
    for (unsigned i = 0; i < RESULT_COUNT; i++)
        print_message("# %u times %s\n", t->results[i], model_result_name(i));
}

static unsigned stores_wanted(void)
{
    const char *asked = getenv("REPRIEVE_STORES");
    if (asked != NULL)
        return (unsigned)strtoul(asked, NULL, 10);
    if (getenv("REPRIEVE_LONG") != NULL)
        return 600;
    return getenv("REPRIEVE_VARIANT") != NULL ? 1 : 20;
}

static unsigned steps_wanted(void)
{
    const char *variant = getenv("REPRIEVE_VARIANT");
    return variant != NULL && strcmp(variant, "valgrind") == 0 ? STEPS_MAX / 5 : STEPS_MAX;
}

/* In as many steps as there usually are nothing is left untried. */
static void all_were_tried(const struct tally *t)
{
    for (unsigned i = 0; i < OP_COUNT && t->steps >= 100000; i++)
        if (rows[i].run != NULL && t->done[i] == 0)
            fail_msg("%s never succeeded", model_op_name(i));
    for (unsigned i = 0; i < RESULT_COUNT && t->steps >= 100000; i++)
        if (t->results[i] == 0)
            fail_msg("nothing ever was: %s", model_result_name(i));
}

static void random_walks(void **state)
{
    struct tally tally = {0};
    const char *asked = getenv("REPRIEVE_SEED");
    uint64_t seed = asked ? strtoull(asked, NULL, 10) : (uint64_t)time(NULL) << 10;
    (void)state;
    w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(w != MAP_FAILED);
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (unsigned i = 0; i < (asked ? 1 : stores_wanted()); i++) {
        bool kept;
        w->failed = OP_COUNT;
        kept = one_store(seed + i, steps_wanted());
        if (!kept)
            shrink(seed + i);
        if (!kept)
            fail_msg("with REPRIEVE_SEED=%llu", (unsigned long long)(seed + i));
        tally_add(&tally);
    }
    tally_print(&tally);
    all_were_tried(&tally);
    munmap(w, sizeof(*w));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_walks),
    };
    char self[4096], module[4200];
    (void)argc;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    snprintf(self, sizeof(self), "%s", argv[0]);
    snprintf(module, sizeof(module), "%s/reprieve-test.so", dirname(self));
    setenv("REPRIEVE_MODULE", module, 1);
    return cmocka_run_group_tests_name("model walks", tests, NULL, NULL);
}
