/*
 * The model of the lifecycle, explored: every sequence of steps to a depth, in a world of two
 * generations and two objects in each, where days are short. In none of them is the promise
 * broken; and with any one rule taken away, it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "model.h"

#define DAY 86400
#define OLDEST (-2 * DAY)        /* further back in time there is nothing to tell apart */

static const struct model_limits LIMITS = {.generations = MODEL_GENERATIONS,
                                           .objects = MODEL_OBJECTS, .cooling_off = DAY};

/* Every step there is, on each object or generation. */
static const struct { struct model_step step; bool each_object, each_generation; } STEPS[] = {
    {{.op = OP_CREATE, .role = MODEL_USER}, true, false},
    {{.op = OP_DELETE, .role = MODEL_USER}, true, false},
    {{.op = OP_RECOVER, .role = MODEL_USER}, true, false},
    {{.op = OP_PURGE, .role = MODEL_SO}, true, false},
    {{.op = OP_PURGE, .role = MODEL_USER}, true, false},
    {{.op = OP_POSTPONE, .role = MODEL_SO, .value = 3 * DAY}, true, false},
    {{.op = OP_POSTPONE, .role = MODEL_USER, .value = DAY}, true, false},
    {{.op = OP_DISABLE, .role = MODEL_USER}, true, false},
    {{.op = OP_ENABLE, .role = MODEL_USER}, true, false},
    {{.op = OP_HOLD, .role = MODEL_SO}, true, false},
    {{.op = OP_RELEASE, .role = MODEL_SO}, true, false},
    {{.op = OP_LOCK, .role = MODEL_SO}, true, false},
    {{.op = OP_UNLOCK, .role = MODEL_SO}, true, false},
    {{.op = OP_RETENTION, .role = MODEL_SO, .value = DAY}, false, false},
    {{.op = OP_RETENTION, .role = MODEL_SO, .value = 2 * DAY}, false, false},
    {{.op = OP_PROTECT, .role = MODEL_SO}, false, false},
    {{.op = OP_UNPROTECT, .role = MODEL_SO}, false, false},
    {{.op = OP_RECOVER_TO, .role = MODEL_SO, .value = 1}, false, false},
    {{.op = OP_INIT, .role = MODEL_SO}, false, false},
    {{.op = OP_GENERATION_RECOVER, .role = MODEL_SO}, false, true},
    {{.op = OP_GENERATION_PURGE, .role = MODEL_SO}, false, true},
    {{.op = OP_GENERATION_HOLD, .role = MODEL_SO}, false, true},
    {{.op = OP_GENERATION_RELEASE, .role = MODEL_SO}, false, true},
    {{.op = OP_SWEEP}, false, false},
    {{.op = OP_PASS, .value = DAY}, false, false},
    {{.op = OP_WALL, .value = 2 * DAY}, false, false},
    {{.op = OP_WALL, .value = -DAY}, false, false},
    {{.op = OP_BOOT, .value = DAY}, false, false},
    {{.op = OP_BOOT, .value = -DAY}, false, false},
    {{.op = OP_CRASH, .role = MODEL_SO}, false, false},
    {{.op = OP_CRASH, .role = MODEL_SO, .value = 1}, true, false},
    {{.op = OP_OPEN}, false, false},
};
#define STEP_COUNT (sizeof(STEPS) / sizeof(STEPS[0]))

/* ------------------------------------------------------------------ states seen */

struct node { uint32_t parent; struct model_step step; };

struct search {
    uint64_t *seen;              /* open addressing; 0: free */
    size_t seen_cap, n;
    struct node *nodes;
    size_t nodes_cap;
    struct model *states, *next; /* of this depth, of the one after */
    uint32_t *ids, *next_ids;
    size_t n_states, n_next, cap, next_cap;
    unsigned rules;
    const char *broken;
    uint32_t broken_node;
    unsigned depth;
};

static void *grow(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    *cap = *cap ? *cap * 2 : 1024;
    array = realloc(array, *cap * size);
    assert_non_null(array);
    return array;
}

static uint64_t hash(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t h = 0x9e3779b97f4a7c15u;
    uint32_t word;
    for (size_t i = 0; i + 4 <= len; i += 4) {
        memcpy(&word, p + i, sizeof(word));
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h ? h : 1;
}

static void seen_grow(struct search *s)
{
    size_t cap = s->seen_cap ? s->seen_cap * 2 : 1 << 16;
    uint64_t *seen = calloc(cap, sizeof(*seen));
    assert_non_null(seen);
    for (size_t i = 0; i < s->seen_cap; i++)
        if (s->seen[i]) {
            size_t at = s->seen[i] & (cap - 1);
            while (seen[at])
                at = (at + 1) & (cap - 1);
            seen[at] = s->seen[i];
        }
    free(s->seen);
    s->seen = seen;
    s->seen_cap = cap;
}

static bool seen_add(struct search *s, uint64_t h)
{
    size_t at;
    if (s->n * 2 >= s->seen_cap)
        seen_grow(s);
    at = h & (s->seen_cap - 1);
    while (s->seen[at] && s->seen[at] != h)
        at = (at + 1) & (s->seen_cap - 1);
    if (s->seen[at])
        return false;
    s->seen[at] = h;
    s->n++;
    return true;
}

/* ------------------------------------------------------------------ states that are the same */

static int32_t since(int32_t date, int32_t now)
{
    return date - now < OLDEST ? OLDEST : date - now;
}

static void object_normalise(struct model_object *o, const struct model *m)
{
    if (o->state == MODEL_PURGED)
        *o = (struct model_object){.state = MODEL_PURGED, .pending = o->pending};
    if (o->state == MODEL_DELETED) {
        o->purge_at = since(o->purge_at, m->now);
        o->owed = since(o->owed, m->now);
    }
}

static int object_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct model_object));
}

/* Time counts from now, and objects have no names. */
static void normalise(struct model *m)
{
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++) {
        struct model_generation *g = &m->generations[i];
        for (unsigned j = 0; j < MODEL_OBJECTS; j++)
            object_normalise(&g->objects[j], m);
        qsort(g->objects, MODEL_OBJECTS, sizeof(g->objects[0]), object_compare);
        if (g->state == MODEL_DELETED) {
            g->purge_at = since(g->purge_at, m->now);
            g->owed = since(g->owed, m->now);
        }
        if (g->policy.protection && g->policy.protected_since != MODEL_FROM_START)
            g->policy.protected_since = since(g->policy.protected_since, m->now);
    }
    m->true_now -= m->now;
    m->now = 0;
}

/* ------------------------------------------------------------------ breadth first */

static void visit(struct search *s, const struct model *m, uint32_t parent,
                  const struct model_step *step)
{
    struct model state = *m;
    normalise(&state);
    if (!seen_add(s, hash(&state, sizeof(state))))
        return;
    s->nodes = grow(s->nodes, s->n - 1, &s->nodes_cap, sizeof(*s->nodes));
    s->nodes[s->n - 1] = (struct node){.parent = parent, .step = *step};
    if (s->n_next == s->next_cap) {
        size_t cap = s->next_cap;
        s->next = grow(s->next, s->n_next, &s->next_cap, sizeof(*s->next));
        s->next_ids = grow(s->next_ids, s->n_next, &cap, sizeof(*s->next_ids));
    }
    s->next[s->n_next] = state;
    s->next_ids[s->n_next++] = (uint32_t)(s->n - 1);
}

static void try_step(struct search *s, const struct model *m, uint32_t id,
                     const struct model_step *step)
{
    struct model after = *m;
    if (s->broken || model_apply(&after, &LIMITS, s->rules, step) != RESULT_OK)
        return;
    s->broken = model_broken(m, step, &after);
    if (s->broken) {
        s->nodes = grow(s->nodes, s->n, &s->nodes_cap, sizeof(*s->nodes));
        s->nodes[s->n] = (struct node){.parent = id, .step = *step};
        s->broken_node = (uint32_t)s->n;
        return;
    }
    visit(s, &after, id, step);
}

static void expand(struct search *s, const struct model *m, uint32_t id)
{
    for (size_t i = 0; i < STEP_COUNT; i++) {
        struct model_step step = STEPS[i].step;
        unsigned n = STEPS[i].each_object ? MODEL_OBJECTS
                     : STEPS[i].each_generation ? MODEL_GENERATIONS : 1;
        for (unsigned j = 0; j < n; j++) {
            step.object = STEPS[i].each_object ? (uint8_t)j : 0;
            step.generation = STEPS[i].each_generation ? (uint8_t)j : 0;
            try_step(s, m, id, &step);
        }
    }
}

static void level(struct search *s)
{
    struct model *states = s->states;
    uint32_t *ids = s->ids;
    size_t cap = s->cap;
    s->states = s->next;
    s->ids = s->next_ids;
    s->n_states = s->n_next;
    s->cap = s->next_cap;
    s->next = states;
    s->next_ids = ids;
    s->next_cap = cap;
    s->n_next = 0;
    for (size_t i = 0; i < s->n_states && !s->broken; i++)
        expand(s, &s->states[i], s->ids[i]);
}

static const struct model_policy STARTS[] = {
    {.retention = 2 * DAY, .protection = true, .protected_since = MODEL_FROM_START},
    {.retention = 2 * DAY},
};

static void explore(struct search *s, unsigned rules, unsigned depth)
{
    *s = (struct search){.rules = rules};
    for (size_t i = 0; i < sizeof(STARTS) / sizeof(STARTS[0]); i++) {
        struct model start;
        model_init(&start, &STARTS[i]);
        visit(s, &start, UINT32_MAX, &(struct model_step){.op = OP_OPEN});
    }
    for (s->depth = 0; s->depth < depth && !s->broken; s->depth++)
        level(s);
}

static void search_done(struct search *s)
{
    free(s->seen);
    free(s->nodes);
    free(s->states);
    free(s->next);
    free(s->ids);
    free(s->next_ids);
}

static void print_way(const struct search *s)
{
    uint32_t way[64];
    size_t n = 0;
    for (uint32_t at = s->broken_node; at != UINT32_MAX && n < 64; at = s->nodes[at].parent)
        way[n++] = at;
    for (size_t i = n > 0 ? n - 1 : 0; i-- > 0;) {
        const struct model_step *step = &s->nodes[way[i]].step;
        print_message("#     %s by %s, object %u, generation %u, value %d\n",
                      model_op_name(step->op), step->role == MODEL_SO ? "SO" : "user",
                      step->object, step->generation, step->value);
    }
}

/* ------------------------------------------------------------------ tests */

static unsigned usual_depth(void)
{
    return getenv("REPRIEVE_LONG") ? 10 : getenv("REPRIEVE_VARIANT") ? 7 : 9;
}

static void promise_holds(void **state)
{
    struct search s;
    (void)state;
    explore(&s, RULES_ALL, usual_depth());
    print_message("# %zu states to depth %u\n", s.n, s.depth);
    if (s.broken) {
        print_message("# %s\n", s.broken);
        print_way(&s);
    }
    assert_null(s.broken);
    assert_true(s.n > 50000);
    search_done(&s);
}

static void every_rule_is_needed(void **state)
{
    (void)state;
    for (unsigned rule = 1; rule < RULES_ALL; rule <<= 1) {
        struct search s;
        explore(&s, RULES_ALL & ~rule, 6);
        if (!s.broken)
            fail_msg("without the rule \"%s\" nothing is broken", model_rule_name(rule));
        print_message("# without \"%s\": %s, after %u steps\n", model_rule_name(rule), s.broken,
                      s.depth);
        if (getenv("REPRIEVE_LONG"))
            print_way(&s);
        search_done(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promise_holds),
        cmocka_unit_test(every_rule_is_needed),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
