/* walk_step.c: one step, by the model and by the module; and one that a process was killed in. */
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "walk.h"

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

void step_do(const struct script_step *s)
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
    w->file_before = w->backup_files[s->step.other % MODEL_BACKUPS];
    CK_RV rv = run_step();
    answer_check(rv);
    w->model = w->after;
    step_bind(rv);
    clock_check();
    voids_check();
    promise_check(&before, &had);
    object_check();
}

/* ------------------------------------------------------------------ after a crash */

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
        return w->backup_files[w->step.other] != w->file_before;
    return world_differs(&w->model) != NULL;
}

void settle_crash(void)
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
