/*
 * Random sequences of everything that is done to keys, users and vaults, by two processes, against
 * the loaded module, with the model as oracle: what the module answers, and what is there
 * afterwards, is what the model says; and at every step what the module shows keeps the promise.
 * The clock is the test's; some processes are killed in the middle of a step, and then there is
 * the state before it or the one after.
 *
 * REPRIEVE_SEED repeats a sequence; REPRIEVE_LONG goes on for millions of steps. A sequence that
 * fails is made shorter, as long as it fails, and shown.
 */
#include <libgen.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
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

static void step_text(const struct script_step *s, char *ret_text, size_t size)
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

/* ------------------------------------------------------------------ which step */

static int32_t span_random(void)
{
    static const int32_t spans[] = {1, HOUR, DAY, 3 * DAY, 7 * DAY, 8 * DAY, 30 * DAY};
    return spans[random_below(COUNT_OF(spans))];
}

static int32_t value_of(enum model_op op)
{
    int32_t span = span_random();
    switch (op) {
    case OP_RETENTION:
        return (int32_t)(7 + random_below(2) * random_below(84)) * DAY;
    case OP_RECOVER_TO:
    case OP_DISABLE_FIRST:
    case OP_RESERVE:
        return random_below(3) == 0;
    case OP_STRICT:
    case OP_BACKUP:
    case OP_BACKUP_ALL:
        return random_below(2) == 0;
    case OP_POSTPONE:
        return span * (int32_t)(1 + random_below(4));
    case OP_WALL:
    case OP_BOOT:
        return random_below(2) ? span : -span;
    case OP_CREATE:
    case OP_RENAME:
        return (int32_t)random_below(NAMES);
    case OP_LOCK:
        return (int32_t)(1 + random_below(2));
    case OP_GENERATION_LOCK:
        return random_below(2) ? 0 : (int32_t)(1 + random_below(2));
    case OP_APPROVALS:
        return (random_below(2) ? 24 : 720) * HOUR;
    case OP_USER_ADD:
    case OP_USER_VERBS:
        return (int32_t)verbs_random();
    default:
        return span;
    }
}

static unsigned other_of(enum model_op op)
{
    if (op == OP_APPROVALS)
        return random_below(4);
    if (op == OP_ROTATE)
        return random_below(w->limits.objects);
    return random_below(op == OP_USER_ADD || op == OP_USER_REMOVE || op == OP_USER_VERBS
                            ? MODEL_USERS : MODEL_BACKUPS);
}

static unsigned op_random(void)
{
    unsigned total = 0, at, op = 0;
    if (w->model.rolled_back && random_below(6) == 0)
        return OP_ACCEPT;
    for (unsigned i = 0; i < OP_COUNT; i++)
        total += rows[i].weight;
    for (at = random_below(total); at >= rows[op].weight; op++)
        at -= rows[op].weight;
    return op;
}

static bool is_slow(unsigned op)
{
    return op == OP_USER_ADD || op == OP_USER_REMOVE || op == OP_INIT ||
           op == OP_GENERATION_RECOVER || op == OP_RESTORE || op == OP_REPLACE;
}

static void choose(struct script_step *s)
{
    unsigned op = op_random();
    *s = (struct script_step){
        .step = {.op = (uint8_t)op, .value = value_of(op), .other = (uint8_t)other_of(op),
                 .object = (uint8_t)random_below(w->limits.objects),
                 .generation = (uint8_t)random_below(w->limits.generations)},
        .actor = rows[op].by_partner && partner_is() && random_below(5) == 0 ? PARTNER : SELF};
    if (live_model()->lock != 0 && random_below(10) == 0)
        s->step = (struct model_step){.op = OP_GENERATION_LOCK, .other = s->step.other,
                                      .generation = w->model.store.live};
    if (random_below(400) == 0)
        s->kill_after = 1 + random_below(is_slow(op) ? 6000 : 600);
}

/* ------------------------------------------------------------------ which make sense */

static bool room_for_generation(void)
{
    for (unsigned i = 0; i < w->limits.generations; i++)
        if (w->model.store.generations[i].state == MODEL_NONE)
            return true;
    return false;
}

/* A backup has an object that is to come back to this place. */
static bool is_claimed(unsigned object)
{
    for (unsigned i = 0; i < MODEL_BACKUPS; i++) {
        const struct model_backup *b = &w->model.backups[i];
        if (b->made && b->generation == w->model.store.live &&
            b->items[object].state != MODEL_NONE && b->items[object].state != MODEL_PURGED)
            return true;
    }
    return false;
}

static bool is_free(unsigned object)
{
    return live_model()->objects[object].state == MODEL_NONE && !is_claimed(object);
}

static bool object_moot(const struct model_step *step)
{
    const struct model_object *o = &live_model()->objects[step->object];
    bool deleted = o->state == MODEL_DELETED;
    bool live = o->state == MODEL_ACTIVE || o->state == MODEL_DISABLED;
    /* Past its date and kept by a lock of the vault: what comes of it the unlocking decides. */
    if (live_model()->lock != 0 && !o->hold && !live_model()->hold &&
        model_object_past(&w->model.store, live_model(), o))
        return true;
    switch (step->op) {
    case OP_CREATE:
        return !is_free(step->object);
    case OP_RECOVER:
    case OP_PURGE:
    case OP_POSTPONE:
        return !deleted;
    case OP_DELETE:
    case OP_RENAME:
    case OP_LOCK:
    case OP_UNLOCK:
        return !live;
    case OP_ROTATE:
        return !live || !is_free(step->other);
    default:
        return !live && !deleted;
    }
}

static bool generation_moot(const struct model_step *step)
{
    const struct model_generation *g = &w->model.store.generations[step->generation];
    switch (step->op) {
    case OP_INIT:
        return !room_for_generation();
    case OP_GENERATION_RECOVER:
    case OP_GENERATION_PURGE:
        return g->state != MODEL_DELETED && g->state != MODEL_NONE;
    case OP_PROTECT:             /* or purges by right would hardly be seen */
        return !w->protects;
    case OP_GENERATION_HOLD:
    case OP_GENERATION_RELEASE:
    case OP_GENERATION_LOCK:
        return g->state != MODEL_DELETED && g->state != MODEL_ACTIVE;
    case OP_RESTORE:
    case OP_REPLACE:
        return !w->model.backups[step->other].made;
    case OP_ROLLBACK:
        return !w->model.copy.there;
    default:
        return false;
    }
}

/* Steps that no call asks for, there is no handle to ask with; or that outgrow the model. */
static bool is_moot(const struct script_step *s)
{
    const struct actor *actor = &w->actors[s->actor];
    unsigned op = s->step.op;
    if (s->actor == PARTNER && !partner_is())
        return true;
    if (actor->role == MODEL_SO ? !rows[op].by_so : !rows[op].by_user)
        return true;
    if (w->model.rolled_back ? (op > OP_ACCEPT || op == OP_COPY || op == OP_ROLLBACK ||
                                op == OP_SWEEP || op == OP_INIT)
                             : op == OP_ACCEPT)
        return true;
    return rows[op].on_object ? object_moot(&s->step) : generation_moot(&s->step);
}

/* ------------------------------------------------------------------ the model's places, again */

/* An object is gone for good: what the backups and the copy have of it is, too. */
static void object_forget(unsigned i, unsigned j)
{
    unsigned serial = w->now.serials[i][j];
    for (unsigned b = 0; b < MODEL_BACKUPS; b++)
        if (w->model.backups[b].made && w->backup_serials[b][j] == serial &&
            w->model.backups[b].items[j].state != MODEL_NONE)
            w->model.backups[b].items[j].state = MODEL_PURGED;
    if (w->model.copy.there && w->copy.serials[i][j] == serial)
        w->model.copy.generations[i].objects[j].state = MODEL_PURGED;
    for (unsigned k = 0; k < MODEL_OBJECTS; k++) {
        struct model_object *o = &w->model.store.generations[i].objects[k];
        if (o->successor == j + 1)
            o->successor = 0;
        o = &w->model.copy.generations[i].objects[k];
        if (o->successor == j + 1 && w->copy.serials[i][j] == serial)
            o->successor = 0;
        for (unsigned b = 0; b < MODEL_BACKUPS; b++)
            if (w->model.backups[b].generation == i &&
                w->model.backups[b].items[k].successor == j + 1)
                w->model.backups[b].items[k].successor = 0;
    }
    w->now.serials[i][j] = 0;
    w->now.ids[i][j][0] = '\0';
    w->seen.of[i][j] = FATE_NEVER;
}

static void object_clear(struct model_object *o)
{
    memset(o, 0, sizeof(*o));
    for (unsigned i = 0; i < MODEL_ROLES; i++)
        o->approved[i] = o->asked[i] = MODEL_NEVER;
}

static void generation_forget(unsigned i)
{
    struct model_generation *g = &w->model.store.generations[i];
    for (unsigned b = 0; b < MODEL_BACKUPS; b++)
        if (w->model.backups[b].generation == i)
            w->model.backups[b].generation = UINT8_MAX;
    if (w->model.copy.there && w->copy.numbers[i] == w->now.numbers[i]) {
        w->model.copy.there = w->model.copy.live != i;
        w->model.copy.generations[i].state = MODEL_PURGED;
    }
    memset(g, 0, sizeof(*g));
    for (unsigned j = 0; j < MODEL_OBJECTS; j++)
        object_clear(&g->objects[j]);
    w->now.numbers[i] = 0;
}

/* What is purged makes room for another; it was looked for, and is not there. */
static void recycle(void)
{
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++) {
        struct model_generation *g = &w->model.store.generations[i];
        for (unsigned j = 0; j < MODEL_OBJECTS; j++)
            if (g->objects[j].state == MODEL_PURGED || g->state == MODEL_PURGED) {
                object_forget(i, j);
                object_clear(&g->objects[j]);
            }
        if (g->state == MODEL_PURGED)
            generation_forget(i);
    }
}

/* Backups of what the copy does not know: they stay where there is room for what is in them. */
static void backups_rebind(void)
{
    for (unsigned b = 0; b < MODEL_BACKUPS; b++) {
        struct model_backup *backup = &w->model.backups[b];
        unsigned i = backup->generation;
        if (w->backup_births[b] > w->copy.last_birth)
            backup->made = false;
        for (unsigned j = 0; backup->made && i < MODEL_GENERATIONS && j < MODEL_OBJECTS; j++) {
            bool in = backup->items[j].state != MODEL_NONE &&
                      backup->items[j].state != MODEL_PURGED;
            unsigned serial = w->now.serials[i][j];
            if (!in || serial == w->backup_serials[b][j])
                continue;
            if (serial != 0)
                backup->made = false;
        }
    }
}

/* What a restore has made is known by the id that it had. */
static void restored_bind(unsigned backup)
{
    uint8_t live = w->model.store.live;
    for (unsigned j = 0; j < MODEL_OBJECTS; j++) {
        if (live_model()->objects[j].state == MODEL_NONE || w->now.serials[live][j] != 0)
            continue;
        w->now.serials[live][j] = w->backup_serials[backup][j];
        memcpy(w->now.ids[live][j], w->backup_ids[backup][j], 33);
        memset(w->now.blocks[live][j], 0, 16);
    }
}

/* ------------------------------------------------------------------ one step */

static void kill_self(int signal)
{
    (void)signal;
    kill(getpid(), SIGKILL);
}

/* Not those that move the clock or the files, they are the test's to finish; nor the noting of an
 * approval, which leaves nothing to see. */
void crash_prepare(void)
{
    const struct script_step *s = &w->script[w->steps - 1];
    if (s->kill_after == 0 || w->step.op >= OP_COPY || w->expected == RESULT_PENDING)
        return;
    signal(SIGALRM, kill_self);
    const struct itimerval soon = {.it_value = {.tv_usec = (long)s->kill_after}};
    w->crashes++;
    w->in_flight = true;
    setitimer(ITIMER_REAL, &soon, NULL);
}

void crash_over(void)
{
    const struct itimerval never = {.it_value = {.tv_usec = 0}};
    setitimer(ITIMER_REAL, &never, NULL);
}

static bool refusal_fits(CK_RV rv)
{
    static const CK_RV voids[] = {CKR_USER_NOT_LOGGED_IN, CKR_OBJECT_HANDLE_INVALID,
                                  CKR_KEY_HANDLE_INVALID, CKR_ACTION_PROHIBITED};
    const struct row *row = &rows[w->step.op];
    if (w->model.rolled_back)
        return rv != CKR_OK;
    if (w->expected != RESULT_VOID)
        return rv == row->refused[w->expected] && rv != CKR_OK;
    for (unsigned i = 0; i < COUNT_OF(voids); i++)
        if (rv == voids[i])
            return true;
    return false;
}

static void answer_check(CK_RV rv)
{
    char reason[200];
    if (w->expected == RESULT_OK ? rv != CKR_OK : !refusal_fits(rv)) {
        vendor->RPV_GetLastReason(reason, sizeof(reason));
        note("# the module's reason: %s\n", reason);
        fail_step(model_result_name(w->expected), ckr_name(rv),
                  w->expected == RESULT_OK ? "CKR_OK"
                                           : ckr_name(rows[w->step.op].refused[w->expected]));
    }
    if (w->expected != RESULT_PENDING || w->actor == PARTNER)
        return;
    OK(vendor->RPV_GetLastReason(reason, sizeof(reason)));
    if (strstr(reason, "approval") == NULL)
        fail_step("the reason", reason, "that the approval is on record");
}

/* Logins of who was removed are void at the next call. */
static void voids_check(void)
{
    if (w->step.op != OP_USER_REMOVE || w->expected != RESULT_OK)
        return;
    for (unsigned i = 0; i < ACTORS; i++)
        if (w->actors[i].role == MODEL_NAMED + w->step.other && (i == SELF || partner_is()) &&
            !w->actors[i].voided) {
            w->actors[i].voided = true;
            if (i == SELF)
                check_void();
            else
                partner_check_void();
        }
    if (w->actors[SELF].voided)
        role_change(role_random());
}

/* What was seen before, and what is seen now. */
static void promise_check(const struct model *before, const struct model_fates *had)
{
    struct model_fates says;
    const char *why;
    world_look(&w->model, &w->seen);
    why = model_promise(before, had, &w->step, &w->model, &w->seen);
    if (why != NULL)
        fail_step("in the module", why, "the promise kept");
    model_fates(&w->model, &says);
    for (unsigned j = 0; j < MODEL_OBJECTS; j++) {
        uint8_t live = w->model.store.live;
        bool is = w->seen.of[live][j] == FATE_HAD, should = says.of[live][j] == FATE_HAD;
        if (is != should)
            fail_step("an object is", is ? "there" : "gone", should ? "there" : "gone");
    }
}

static void step_bind(CK_RV rv)
{
    unsigned object = w->step.op == OP_ROTATE ? w->step.other : w->step.object;
    if ((w->step.op == OP_CREATE || w->step.op == OP_ROTATE) && rv != CKR_OK)
        w->now.serials[w->model.store.live][object] = 0;
    if (w->step.op == OP_ROTATE && rv == CKR_OK && !w->actors[SELF].voided)
        version_learn(w->step.object, w->step.other);
    if (w->step.op == OP_INIT && rv == CKR_OK)
        generation_learn();
    if ((w->step.op == OP_RESTORE || w->step.op == OP_REPLACE) && rv == CKR_OK)
        restored_bind(w->step.other);
    if (w->step.op == OP_ROLLBACK)
        backups_rebind();
}

static void object_check(void)
{
    if (!rows[w->step.op].on_object ||
        w->now.serials[w->model.store.live][w->step.object] == 0)
        return;
    const char *why = object_differs(&w->model, w->step.object);
    if (why != NULL)
        fail_step("the object is", why, "what the model says");
    check_use(w->step.object);
}

static void step_count(void)
{
    w->counts[w->step.op]++;
    w->done[w->step.op] += w->expected == RESULT_OK || w->expected == RESULT_PENDING ? 1 : 0;
    w->refused[w->step.op] += w->expected > RESULT_PENDING ? 1 : 0;
    w->results[w->expected]++;
    w->by_partner += w->actor == PARTNER ? 1 : 0;
}

static void step_do(const struct script_step *s)
{
    struct model before = w->model;
    struct model_fates had = w->seen;
    const char *broken;
    w->step = s->step;
    w->actor = s->actor;
    w->after = w->model;
    w->expected = s->step.op < OP_PASS ? model_apply(&w->after, &w->limits, RULES_ALL, &s->step)
                                       : RESULT_OK;
    broken = model_broken(&w->model, &s->step, &w->after);
    if (broken != NULL)
        fail_step("the model", broken, "the promise kept");
    step_count();
    CK_RV rv = run_step();
    answer_check(rv);
    w->model = w->after;
    step_bind(rv);
    clock_check();
    voids_check();
    promise_check(&before, &had);
    object_check();
}

/* ------------------------------------------------------------------ the walk */

/* The object that the process had just made when it was killed, if it had. */
static void settle_new(void)
{
    unsigned object = w->step.op == OP_ROTATE ? w->step.other : w->step.object;
    uint8_t live = w->model.store.live;
    char id[33];
    if (w->step.op != OP_CREATE && w->step.op != OP_ROTATE)
        return;
    if (w->now.ids[live][object][0] == '\0' && stranger_find(id))
        memcpy(w->now.ids[live][object], id, 33);
    if (w->now.ids[live][object][0] == '\0')
        w->now.serials[live][object] = 0;
    memset(w->now.blocks[live][object], 0, 16);
}

static bool is_after(void)
{
    unsigned object = w->step.op == OP_ROTATE ? w->step.other : w->step.object;
    if (w->step.op == OP_CREATE || w->step.op == OP_ROTATE)
        return w->now.serials[w->model.store.live][object] != 0;
    if (w->step.op == OP_RESTORE || w->step.op == OP_REPLACE) {
        struct binding before = w->now;
        struct model model = w->model;
        w->model = w->after;
        restored_bind(w->step.other);
        if (world_differs(&w->after) == NULL)
            return true;
        w->now = before;
        w->model = model;
        return false;
    }
    if (w->step.op == OP_BACKUP || w->step.op == OP_BACKUP_ALL)
        return w->backup_files[w->step.other] == w->next_file;
    return world_differs(&w->model) != NULL;
}

static void settle_crash(void)
{
    struct model before = w->model;
    struct model_fates had = w->seen;
    if (w->in_flight) {
        settle_new();
        if (is_after()) {
            w->model = w->after;
            if (w->step.op == OP_INIT)
                generation_learn();
            if (w->step.op == OP_ROTATE)
                version_learn(w->step.object, w->step.other);
        }
    }
    w->in_flight = false;
    clock_check();
    world_check();
    if (w->steps > 0)
        promise_check(&before, &had);
    else
        world_look(&w->model, &w->seen);
}

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

/* Most would be refused for want of a verb, by a lock or a hold: of those fewer. */
static bool is_boring(const struct script_step *s)
{
    struct model after = w->model;
    enum model_result result = s->step.op < OP_PASS
        ? model_apply(&after, &w->limits, RULES_ALL, &s->step) : RESULT_OK;
    return !w->replaying && random_below(4) != 0 &&
           (result == RESULT_DENIED || result == RESULT_LOCKED || result == RESULT_HELD);
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
    while (status == 128 + SIGKILL)
        status = fork_run(walk, NULL);
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

#define SHRINK_SECONDS 90

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
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    snprintf(self, sizeof(self), "%s", argv[0]);
    snprintf(module, sizeof(module), "%s/reprieve-test.so", dirname(self));
    setenv("REPRIEVE_MODULE", module, 1);
    return cmocka_run_group_tests_name("model walks", tests, NULL, NULL);
}
