/*
 * The model of the lifecycle, explored: every sequence of steps to a depth, in a world of two
 * generations and two objects in each, where days are short. A state is visited once; each subject
 * has an alphabet of its own, and goes deeper than all steps together. In none of them is the promise
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

/* Worlds to explore: a step is in some of them. Every one at once would be too many to go deep. */
enum hat {
    HAT_CORE = 1 << 0,           /* what the first version of this test had, and nothing else */
    HAT_STRICT = 1 << 1,         /* the strict clock */
    HAT_PERSONS = 1 << 2,        /* users, and purges that take two */
    HAT_BACKUP = 1 << 3,         /* backups, and an older copy put back */
    HAT_KEYS = 1 << 4,           /* names, locks, versions */
    HAT_ALL = 1 << 5,
};
#define MOST (HAT_CORE | HAT_STRICT | HAT_PERSONS | HAT_BACKUP | HAT_KEYS | HAT_ALL)

/* Every step there is, on each object, generation or user. */
enum each { ONCE, EACH_OBJECT, EACH_GENERATION, EACH_USER };
static const struct { struct model_step step; enum each each; unsigned hats; } STEPS[] = {
    {{.op = OP_CREATE, .role = MODEL_USER}, EACH_OBJECT, MOST},
    {{.op = OP_CREATE, .role = MODEL_USER, .value = 1}, EACH_OBJECT, HAT_KEYS | HAT_ALL},
    {{.op = OP_DELETE, .role = MODEL_USER}, EACH_OBJECT, MOST},
    {{.op = OP_RECOVER, .role = MODEL_USER}, EACH_OBJECT, MOST},
    {{.op = OP_PURGE, .role = MODEL_SO}, EACH_OBJECT, MOST},
    {{.op = OP_PURGE, .role = MODEL_USER}, EACH_OBJECT, HAT_CORE | HAT_ALL},
    {{.op = OP_PURGE, .role = MODEL_NAMED}, EACH_OBJECT, HAT_PERSONS | HAT_ALL},
    {{.op = OP_PURGE, .role = MODEL_NAMED + 1}, EACH_OBJECT, HAT_PERSONS | HAT_ALL},
    {{.op = OP_PURGE, .role = MODEL_NAMED, .stale = true}, EACH_OBJECT, HAT_PERSONS | HAT_ALL},
    {{.op = OP_POSTPONE, .role = MODEL_SO, .value = 3 * DAY}, EACH_OBJECT,
     HAT_CORE | HAT_STRICT | HAT_BACKUP | HAT_ALL},
    {{.op = OP_POSTPONE, .role = MODEL_USER, .value = DAY}, EACH_OBJECT, HAT_CORE | HAT_ALL},
    {{.op = OP_DISABLE, .role = MODEL_USER}, EACH_OBJECT, HAT_CORE | HAT_KEYS | HAT_ALL},
    {{.op = OP_ENABLE, .role = MODEL_USER}, EACH_OBJECT, HAT_CORE | HAT_KEYS | HAT_ALL},
    {{.op = OP_HOLD, .role = MODEL_SO}, EACH_OBJECT,
     HAT_CORE | HAT_STRICT | HAT_BACKUP | HAT_ALL},
    {{.op = OP_RELEASE, .role = MODEL_SO}, EACH_OBJECT,
     HAT_CORE | HAT_STRICT | HAT_BACKUP | HAT_ALL},
    {{.op = OP_LOCK, .role = MODEL_SO, .value = 1}, EACH_OBJECT, HAT_CORE | HAT_KEYS | HAT_ALL},
    {{.op = OP_LOCK, .role = MODEL_SO, .value = 2}, EACH_OBJECT,
     HAT_BACKUP | HAT_KEYS | HAT_ALL},
    {{.op = OP_UNLOCK, .role = MODEL_SO}, EACH_OBJECT,
     HAT_CORE | HAT_BACKUP | HAT_KEYS | HAT_ALL},
    {{.op = OP_RENAME, .role = MODEL_USER, .value = 1}, EACH_OBJECT, HAT_KEYS | HAT_ALL},
    {{.op = OP_ROTATE, .role = MODEL_USER, .other = 1}, ONCE, HAT_KEYS | HAT_ALL},
    {{.op = OP_ROTATE, .role = MODEL_USER, .object = 1}, ONCE, HAT_KEYS | HAT_ALL},
    {{.op = OP_RETENTION, .role = MODEL_SO, .value = DAY}, ONCE,
     HAT_CORE | HAT_STRICT | HAT_ALL},
    {{.op = OP_RETENTION, .role = MODEL_SO, .value = 2 * DAY}, ONCE,
     HAT_CORE | HAT_STRICT | HAT_ALL},
    {{.op = OP_PROTECT, .role = MODEL_SO}, ONCE, HAT_CORE | HAT_PERSONS | HAT_ALL},
    {{.op = OP_UNPROTECT, .role = MODEL_SO}, ONCE, HAT_CORE | HAT_PERSONS | HAT_ALL},
    {{.op = OP_RECOVER_TO, .role = MODEL_SO, .value = 1}, ONCE, HAT_CORE | HAT_ALL},
    {{.op = OP_DISABLE_FIRST, .role = MODEL_SO, .value = 1}, ONCE, HAT_KEYS | HAT_ALL},
    {{.op = OP_STRICT, .role = MODEL_SO, .value = 1}, ONCE, HAT_STRICT | HAT_ALL},
    {{.op = OP_STRICT, .role = MODEL_SO}, ONCE, HAT_STRICT | HAT_ALL},
    {{.op = OP_APPROVALS, .role = MODEL_SO, .other = 2, .value = DAY}, ONCE,
     HAT_PERSONS | HAT_ALL},
    {{.op = OP_APPROVALS, .role = MODEL_SO, .other = 3, .value = 2 * DAY}, ONCE,
     HAT_PERSONS | HAT_ALL},
    {{.op = OP_APPROVALS, .role = MODEL_SO}, ONCE, HAT_PERSONS | HAT_ALL},
    {{.op = OP_RESERVE, .role = MODEL_SO, .value = 1}, ONCE, HAT_KEYS | HAT_ALL},
    {{.op = OP_RESERVE, .role = MODEL_SO}, ONCE, HAT_KEYS | HAT_ALL},
    {{.op = OP_USER_ADD, .role = MODEL_SO, .value = VERB_PURGE}, EACH_USER,
     HAT_PERSONS | HAT_ALL},
    {{.op = OP_USER_REMOVE, .role = MODEL_SO}, EACH_USER, HAT_PERSONS | HAT_ALL},
    {{.op = OP_USER_VERBS, .role = MODEL_SO}, EACH_USER, HAT_PERSONS | HAT_ALL},
    {{.op = OP_INIT, .role = MODEL_SO}, ONCE, MOST},
    {{.op = OP_GENERATION_RECOVER, .role = MODEL_SO}, EACH_GENERATION, MOST},
    {{.op = OP_GENERATION_PURGE, .role = MODEL_SO}, EACH_GENERATION, MOST},
    {{.op = OP_GENERATION_HOLD, .role = MODEL_SO}, EACH_GENERATION,
     HAT_CORE | HAT_STRICT | HAT_ALL},
    {{.op = OP_GENERATION_RELEASE, .role = MODEL_SO}, EACH_GENERATION,
     HAT_CORE | HAT_STRICT | HAT_ALL},
    {{.op = OP_GENERATION_LOCK, .role = MODEL_SO, .value = 1}, EACH_GENERATION,
     HAT_KEYS | HAT_ALL},
    {{.op = OP_GENERATION_LOCK, .role = MODEL_SO, .value = 2}, EACH_GENERATION,
     HAT_KEYS | HAT_ALL},
    {{.op = OP_GENERATION_LOCK, .role = MODEL_SO}, EACH_GENERATION, HAT_KEYS | HAT_ALL},
    {{.op = OP_SWEEP}, ONCE, MOST},
    {{.op = OP_BACKUP, .role = MODEL_USER}, EACH_OBJECT, HAT_BACKUP | HAT_ALL},
    {{.op = OP_BACKUP_ALL, .role = MODEL_USER, .value = 1}, ONCE, HAT_BACKUP | HAT_ALL},
    {{.op = OP_RESTORE, .role = MODEL_USER}, ONCE, HAT_BACKUP | HAT_ALL},
    {{.op = OP_REPLACE, .role = MODEL_USER}, ONCE, HAT_BACKUP | HAT_ALL},
    {{.op = OP_COPY}, ONCE, HAT_BACKUP | HAT_ALL},
    {{.op = OP_ROLLBACK}, ONCE, HAT_BACKUP | HAT_ALL},
    {{.op = OP_ACCEPT}, ONCE, HAT_BACKUP | HAT_ALL},
    {{.op = OP_PASS, .value = DAY}, ONCE, MOST},
    {{.op = OP_WALL, .value = 2 * DAY}, ONCE, HAT_CORE | HAT_STRICT | HAT_ALL},
    {{.op = OP_WALL, .value = -DAY}, ONCE, HAT_CORE | HAT_ALL},
    {{.op = OP_BOOT, .value = DAY}, ONCE, HAT_CORE | HAT_STRICT | HAT_ALL},
    {{.op = OP_BOOT, .value = -DAY}, ONCE, HAT_CORE | HAT_ALL},
    {{.op = OP_CRASH, .role = MODEL_SO}, ONCE, HAT_CORE | HAT_ALL},
    {{.op = OP_CRASH, .role = MODEL_SO, .value = 1}, EACH_OBJECT,
     HAT_CORE | HAT_PERSONS | HAT_ALL},
    {{.op = OP_OPEN}, ONCE, MOST},
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
    unsigned rules, hat;
    bool last;                   /* level: its states are counted, and not kept */
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

static void asked_normalise(int32_t at[MODEL_ROLES], int32_t now)
{
    for (unsigned i = 0; i < MODEL_ROLES; i++)
        if (at[i] != MODEL_NEVER)
            at[i] = since(at[i], now);
}

/* When it was deleted does not matter, but how much uptime there is still to go. */
static void dates_normalise(int32_t *purge_at, int32_t *deleted_at, int32_t *deleted_up,
                            const struct model_store *s)
{
    int32_t left = *purge_at - (*deleted_at + (s->strict - *deleted_up));
    *purge_at = since(*purge_at, s->now);
    *deleted_at = *purge_at - (left > 0 ? left : 0);
    *deleted_up = 0;
}

static void object_normalise(struct model_object *o, const struct model_store *s,
                             const struct model *m)
{
    if (o->state == MODEL_PURGED) {
        bool pending = o->pending;
        *o = (struct model_object){.state = MODEL_PURGED, .pending = pending};
        return;
    }
    asked_normalise(o->approved, s->now);
    asked_normalise(o->asked, m->true_now);
    if (o->state != MODEL_DELETED)
        return;
    dates_normalise(&o->purge_at, &o->deleted_at, &o->deleted_up, s);
    o->owed = since(o->owed, m->true_now);
    o->owed_up = since(o->owed_up, m->uptime);
}

static void generation_normalise(struct model_generation *g, const struct model_store *s,
                                 const struct model *m)
{
    for (unsigned j = 0; j < MODEL_OBJECTS; j++)
        object_normalise(&g->objects[j], s, m);
    if (g->state == MODEL_DELETED) {
        dates_normalise(&g->purge_at, &g->deleted_at, &g->deleted_up, s);
        g->owed = since(g->owed, m->true_now);
        g->owed_up = since(g->owed_up, m->uptime);
    }
    if (g->policy.protection && g->policy.protected_since != MODEL_FROM_START)
        g->policy.protected_since = since(g->policy.protected_since, s->now);
}

static int object_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct model_object));
}

/* Objects have no names, unless something remembers which is which. */
static void objects_sort(struct model *m)
{
    for (unsigned i = 0; i < MODEL_BACKUPS; i++)
        if (m->backups[i].made)
            return;
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++)
        for (unsigned j = 0; j < MODEL_OBJECTS; j++)
            if (m->store.generations[i].objects[j].successor != 0)
                return;
    for (unsigned i = 0; i < MODEL_GENERATIONS && !m->copy.there; i++)
        qsort(m->store.generations[i].objects, MODEL_OBJECTS, sizeof(struct model_object),
              object_compare);
}

/* The strict clock stands at 0 then, and the vault clock at what that is behind. */
static void shift(struct model_generation *g, int32_t ahead)
{
    for (unsigned j = 0; j < MODEL_OBJECTS; j++) {
        struct model_object *o = &g->objects[j];
        for (unsigned i = 0; i < MODEL_ROLES; i++)
            o->approved[i] += o->approved[i] != MODEL_NEVER ? ahead : 0;
        o->purge_at += o->state == MODEL_DELETED ? ahead : 0;
        o->deleted_at += o->state == MODEL_DELETED ? ahead : 0;
    }
    g->purge_at += g->state == MODEL_DELETED ? ahead : 0;
    g->deleted_at += g->state == MODEL_DELETED ? ahead : 0;
    if (g->policy.protection && g->policy.protected_since != MODEL_FROM_START)
        g->policy.protected_since += ahead;
}

static void items_normalise(struct model *m, int32_t ahead)
{
    for (unsigned i = 0; i < MODEL_BACKUPS; i++)
        for (unsigned j = 0; j < MODEL_OBJECTS; j++) {
            struct model_item *item = &m->backups[i].items[j];
            int32_t all = item->purge_at - item->deleted_at;
            if (item->state != MODEL_DELETED)
                continue;
            item->purge_at = since(item->purge_at, m->store.now) + ahead;
            item->deleted_at = item->purge_at - all;
        }
}

/* Time counts from now. */
static void normalise(struct model *m)
{
    int32_t ahead = m->store.now - m->store.strict < -OLDEST ? m->store.now - m->store.strict
                                                             : -OLDEST;
    items_normalise(m, ahead);
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++) {
        generation_normalise(&m->store.generations[i], &m->store, m);
        shift(&m->store.generations[i], ahead);
        if (!m->copy.there)
            continue;
        generation_normalise(&m->copy.generations[i], &m->store, m);
        shift(&m->copy.generations[i], ahead);
    }
    objects_sort(m);
    m->copy.now = m->copy.strict = m->store.strict = m->uptime = m->true_now = 0;
    m->store.now = ahead;
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
    if (s->last)
        return;
    if (s->n_next == s->next_cap) {
        size_t cap = s->next_cap;
        s->next = grow(s->next, s->n_next, &s->next_cap, sizeof(*s->next));
        s->next_ids = grow(s->next_ids, s->n_next, &cap, sizeof(*s->next_ids));
    }
    s->next[s->n_next] = state;
    s->next_ids[s->n_next++] = (uint32_t)(s->n - 1);
}

/* Only who was removed can have a login from before. */
static bool is_moot(const struct model *m, const struct model_step *step)
{
    return step->stale && !(m->store.generations[m->store.live].removed >>
                            (step->role - MODEL_NAMED) & 1);
}

static void try_step(struct search *s, const struct model *m, uint32_t id,
                     const struct model_step *step)
{
    struct model after = *m;
    enum model_result result;
    if (s->broken || is_moot(m, step))
        return;
    result = model_apply(&after, &LIMITS, s->rules, step);
    if (result != RESULT_OK && result != RESULT_PENDING)
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

static unsigned each_of(enum each each)
{
    static const unsigned n[] = {1, MODEL_OBJECTS, MODEL_GENERATIONS, MODEL_USERS};
    return n[each];
}

static void expand(struct search *s, const struct model *m, uint32_t id)
{
    for (size_t i = 0; i < STEP_COUNT; i++) {
        struct model_step step = STEPS[i].step;
        enum each each = STEPS[i].each;
        for (unsigned j = 0; j < each_of(each) && (STEPS[i].hats & s->hat); j++) {
            if (each == EACH_OBJECT)
                step.object = (uint8_t)j;
            else if (each == EACH_GENERATION)
                step.generation = (uint8_t)j;
            else if (each == EACH_USER)
                step.other = (uint8_t)j;
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
    {.retention = 2 * DAY, .approvals = 2, .window = DAY},
    {.retention = 2 * DAY, .strict = true},
};

/* The first two are what the core begins with; a hat begins with its own, too. */
static bool starts(unsigned hat, const struct model_policy *policy)
{
    return policy->approvals > 0 ? (hat & (HAT_PERSONS | HAT_ALL)) != 0
           : policy->strict      ? (hat & (HAT_STRICT | HAT_ALL)) != 0
                                 : true;
}

static void start_make(struct model *start, const struct model_policy *policy)
{
    model_init(start, policy);
    if (policy->approvals > 0)
        start->store.generations[0].users[0] = USER_THERE | VERB_PURGE;
}

static void explore(struct search *s, unsigned hat, unsigned rules, unsigned depth)
{
    *s = (struct search){.rules = rules, .hat = hat};
    for (size_t i = 0; i < sizeof(STARTS) / sizeof(STARTS[0]); i++) {
        struct model start;
        if (!starts(hat, &STARTS[i]))
            continue;
        start_make(&start, &STARTS[i]);
        visit(s, &start, UINT32_MAX, &(struct model_step){.op = OP_OPEN});
    }
    for (s->depth = 0; s->depth < depth && !s->broken; s->depth++) {
        s->last = s->depth + 1 == depth;
        level(s);
    }
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
        print_message("#     %s by %s%s, object %u, generation %u, other %u, value %d\n",
                      model_op_name(step->op), model_role_name(step->role),
                      step->stale ? " (removed)" : "", step->object, step->generation, step->other,
                      step->value);
    }
}

/* ------------------------------------------------------------------ tests */

/* How deep, as a rule, where all is slow, and where there is time. */
static const struct { unsigned hat; const char *name; unsigned usual, variant, deep; } HATS[] = {
    {HAT_CORE, "core", 9, 7, 10},
    {HAT_STRICT, "strict clock", 8, 6, 9},
    {HAT_PERSONS, "users, approvals", 8, 6, 9},
    {HAT_BACKUP, "backups, older copy", 8, 6, 9},
    {HAT_KEYS, "names, locks, versions", 8, 6, 9},
    {HAT_ALL, "all", 5, 4, 6},
};
#define HAT_COUNT (sizeof(HATS) / sizeof(HATS[0]))

static void promise_holds(void **state)
{
    size_t all = 0;
    (void)state;
    for (size_t i = 0; i < HAT_COUNT; i++) {
        struct search s;
        explore(&s, HATS[i].hat, RULES_ALL,
                getenv("REPRIEVE_LONG") ? HATS[i].deep
                : getenv("REPRIEVE_VARIANT") ? HATS[i].variant : HATS[i].usual);
        print_message("# %s: %zu states to depth %u\n", HATS[i].name, s.n, s.depth);
        if (s.broken) {
            print_message("# %s\n", s.broken);
            print_way(&s);
        }
        assert_null(s.broken);
        assert_true(s.n > 10000);
        all += s.n;
        search_done(&s);
    }
    print_message("# %zu states in all\n", all);
}

/* In which hat each is missed first. */
static unsigned hat_of(unsigned rule)
{
    static const struct { unsigned rules, hat; } rows[] = {
        {RULE_STRICT | RULE_BEHIND | RULE_DUE_FIRST, HAT_STRICT},
        {RULE_APPROVALS | RULE_DISTINCT | RULE_WINDOW | RULE_LAPSES | RULE_WHOLE | RULE_VOID,
         HAT_PERSONS},
        {RULE_RESTORE_FINAL | RULE_MERGE | RULE_SLOTS, HAT_BACKUP},
        {RULE_VERSIONS, HAT_KEYS},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].rules & rule)
            return rows[i].hat;
    return HAT_CORE;
}

static void every_rule_is_needed(void **state)
{
    (void)state;
    for (unsigned rule = 1; rule < RULES_ALL; rule <<= 1) {
        struct search s;
        explore(&s, hat_of(rule), RULES_ALL & ~rule, 8);
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
