/*
 * The state table of the design, cell by cell: state x call x kind of object x principal, through
 * the loaded module. One process, the governor, makes the objects, puts them into their states and
 * says what the principal may do; the other is logged in as the principal and makes the calls; then
 * the governor looks whether exactly what was allowed has happened. The rows are in states_rule.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "states_call.h"

#define PIN(text) (CK_UTF8CHAR *)(uintptr_t)(text), sizeof(text) - 1
#define CALLS_MAX 40

/* One object for a kind and column, and one more for each call that changes what it is done on. */
struct cell {
    uint32_t serial;             /* 0: to be made */
    bool spent;
};

/* What both processes see. */
struct table {
    struct harness h;
    const struct principal_row *principal;
    bool over;
    struct cell shared[COLUMNS][KINDS];
    struct cell own[CALLS_MAX][COLUMNS][KINDS];
    uint32_t base[KINDS];
    uint32_t next_serial;
};
static struct table *t;
static struct lockstep step;

/* The handles of the same, in the process that has them. */
struct handles {
    CK_OBJECT_HANDLE shared[COLUMNS][KINDS], own[CALLS_MAX][COLUMNS][KINDS], base[KINDS];
};
static struct handles handles;

/* Calls `visit` for every cell that has an object; own objects of calls on what is live or deleted
 * (with a dead handle nothing is changed), shared ones of every column. */
typedef void (*visit_fn)(void *ctx, enum kind kind, enum column column, struct cell *cell,
                         CK_OBJECT_HANDLE *handle, const struct call_row *call);

static void cells_visit(visit_fn visit, void *ctx)
{
    for (enum column column = 0; column < COLUMNS; column++)
        for (enum kind kind = 0; kind < KINDS; kind++)
            visit(ctx, kind, column, &t->shared[column][kind], &handles.shared[column][kind],
                  NULL);
    for (size_t i = 0; i < CALLS_COUNT; i++)
        for (enum column column = 0; CALLS[i].spends && column < STALE; column++)
            for (enum kind kind = 0; kind < KINDS; kind++)
                if (CALLS[i].kinds & KIND(kind))
                    visit(ctx, kind, column, &t->own[i][column][kind],
                          &handles.own[i][column][kind], &CALLS[i]);
}

/* ------------------------------------------------------------------ the governor */

struct governor {
    struct harness *h;
    const struct RPV_FUNCTION_LIST *rpv;
    CK_SESSION_HANDLE session;
};

static bool to_be_deleted(enum column column)
{
    return column >= DELETED;
}

/* What is missing, or has been used up, is made; all of it live as yet. */
static void cell_make(void *ctx, enum kind kind, enum column column, struct cell *cell,
                      CK_OBJECT_HANDLE *handle, const struct call_row *call)
{
    struct governor *g = ctx;
    (void)call;
    if (cell->serial != 0 && !cell->spent && column < STALE)
        return;
    *cell = (struct cell){.serial = ++t->next_serial};
    *handle = seat_make(g->h, g->session, kind, column, cell->serial, true);
    if (t->principal->granted != 0)
        OK(g->rpv->RPV_GrantUser(g->session, "named", *handle, t->principal->granted));
}

/* A grant is for one principal's turn. */
static void cell_grant(void *ctx, enum kind kind, enum column column, struct cell *cell,
                       CK_OBJECT_HANDLE *handle, const struct call_row *call)
{
    struct governor *g = ctx;
    (void)kind, (void)call;
    if (cell->serial != 0 && !cell->spent && column < STALE)
        OK(g->rpv->RPV_GrantUser(g->session, "named", *handle, t->principal->granted));
}

static void cell_delete(void *ctx, enum kind kind, enum column column, struct cell *cell,
                        CK_OBJECT_HANDLE *handle, const struct call_row *call)
{
    struct governor *g = ctx;
    (void)call;
    if (!to_be_deleted(column)
        || seat_find(g->h, g->session, kind, cell->serial, 0) == CK_INVALID_HANDLE)
        return;
    OK(g->h->f->C_DestroyObject(g->session, *handle));
    *handle = seat_find(g->h, g->session, kind, cell->serial, 2);
    CHECK(*handle != CK_INVALID_HANDLE);
}

static bool has(const struct governor *g, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                const void *value, CK_ULONG len)
{
    CK_BYTE got[64];
    CK_ATTRIBUTE attribute = {type, got, sizeof got};
    return g->h->f->C_GetAttributeValue(g->session, object, &attribute, 1) == CKR_OK
           && attribute.ulValueLen == len && memcmp(got, value, len) == 0;
}

/* As it was made: nothing that was refused has left a trace. */
static bool unchanged(const struct governor *g, CK_OBJECT_HANDLE object, enum column column,
                      uint32_t serial)
{
    CK_ULONG state = column == DISABLED    ? RPV_STATE_DISABLED
                     : column == EXPIRED   ? RPV_STATE_EXPIRED
                     : column == PREACTIVE ? RPV_STATE_PREACTIVE
                     : column < DELETED    ? RPV_STATE_ACTIVE
                                           : RPV_STATE_DELETED;
    CK_ULONG lock = column == NO_DELETE ? 1 : column == READ_ONLY ? 2 : 0;
    CK_BBOOL hold = column == HELD || column == DELETED_HELD, enabled = column != DISABLED;
    CK_BBOOL honeytoken = CK_FALSE;
    const char *after = column == EXPIRED ? "2001010100000000" : "";
    const char *before = column == PREACTIVE ? "2101010100000000" : "";
    char label[16];
    snprintf(label, sizeof label, "%u", (unsigned)serial);
    return has(g, object, CKA_RPV_STATE, &state, sizeof state)
           && has(g, object, CKA_RPV_LOCK, &lock, sizeof lock)
           && has(g, object, CKA_RPV_HOLD, &hold, sizeof hold)
           && has(g, object, CKA_RPV_ENABLED, &enabled, sizeof enabled)
           && has(g, object, CKA_RPV_HONEYTOKEN, &honeytoken, sizeof honeytoken)
           && has(g, object, CKA_RPV_DELETE_REASON, "", 0)
           && has(g, object, CKA_RPV_NOT_BEFORE, before, strlen(before))
           && has(g, object, CKA_RPV_NOT_AFTER, after, strlen(after))
           && has(g, object, CKA_LABEL, label, strlen(label))
           && !has(g, object, CKA_RPV_PURGE_AT, "2201010100000000", 16);
}

/* What the call says it has done, or for a destroyed object: gone one state further. */
static bool changed(const struct governor *g, const struct call_row *call, enum kind kind,
                    enum column column, CK_OBJECT_HANDLE object, uint32_t serial)
{
    if (call->set.type != 0)
        return has(g, object, call->set.type, call->set.value, call->set.len);
    CK_OBJECT_HANDLE live = seat_find(g->h, g->session, kind, serial, 0);
    CK_OBJECT_HANDLE deleted = seat_find(g->h, g->session, kind, serial, 2);
    return live == CK_INVALID_HANDLE
           && (deleted == CK_INVALID_HANDLE) == (column >= DELETED);
}

/* After a principal's turn. */
static void cell_look(void *ctx, enum kind kind, enum column column, struct cell *cell,
                      CK_OBJECT_HANDLE *handle, const struct call_row *call)
{
    struct governor *g = ctx;
    if (column == PURGED)
        return;
    bool right = cell->spent ? changed(g, call, kind, column, *handle, cell->serial)
                             : unchanged(g, *handle, column, cell->serial);
    if (!right)
        harness_fail(__FILE__, __LINE__, "%s by %s on %s, %s: %s",
                     call != NULL ? call->name : "something", t->principal->name,
                     KIND_ROWS[kind].name, COLUMN_NAMES[column],
                     cell->spent ? "it was allowed, and had no effect"
                                 : "it was refused, and yet the object is another");
}

static void purge_all(struct governor *g)
{
    for (enum kind kind = 0; kind < KINDS; kind++)
        OK(g->h->f->C_DestroyObject(g->session, handles.shared[PURGED][kind]));
}

static void base_make(struct governor *g)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        t->base[kind] = ++t->next_serial;
        handles.base[kind] = seat_make(g->h, g->session, kind, ACTIVE, t->base[kind], true);
        OK(g->rpv->RPV_GrantUser(g->session, "named", handles.base[kind], t->principal->granted));
    }
}

/* One principal's turn. Handles are taken with all verbs, so that what is refused afterwards is
 * refused for want of a verb, not of a handle. The verbs come after the login, and go again. */
static void governor_turn(struct governor *g)
{
    OK(g->rpv->RPV_SetUserVerbs(g->session, "named", 0));
    lockstep_tell(&step);        /* it logs in */
    lockstep_wait(&step);
    OK(g->rpv->RPV_SetUserVerbs(g->session, "named", RPV_VERBS_ALL));
    cells_visit(cell_grant, g);
    cells_visit(cell_make, g);
    base_make(g);
    lockstep_tell(&step);       /* it has handles of live ones */
    lockstep_wait(&step);
    cells_visit(cell_delete, g);
    lockstep_tell(&step);       /* it has handles of deleted ones */
    lockstep_wait(&step);
    purge_all(g);
    OK(g->rpv->RPV_SetUserVerbs(g->session, "named",
                                t->principal->login == AS_NAMED ? t->principal->verbs : 0));
    lockstep_tell(&step);       /* it has made its calls */
    lockstep_wait(&step);
    cells_visit(cell_look, g);
}

static int govern(void *ctx)
{
    struct harness mine = t->h;
    struct governor g = {.h = &mine};
    (void)ctx;
    lockstep_child(&step);
    harness_load(g.h);
    harness_token(g.h);
    g.rpv = promise_vendor(g.h);
    g.session = harness_session_rw(g.h);
    harness_login(g.h, g.session, CKU_SO);
    OK(g.rpv->RPV_AddUser(g.session, "governor", PIN("governor"), RPV_ROLE_ADMINISTRATOR));
    OK(g.rpv->RPV_AddUser(g.session, "named", PIN("named-pin"), 0));
    OK(g.rpv->RPV_AddUser(g.session, "third", PIN("third-pin"), 0));
    harness_logout(g.h, g.session);
    OK(g.h->f->C_Login(g.session, CKU_USER, PIN("governor:governor")));
    lockstep_tell(&step);
    for (lockstep_wait(&step); !t->over; lockstep_wait(&step)) {
        governor_turn(&g);
        lockstep_tell(&step);
    }
    promise_audit(g.h);
    harness_unload(g.h);
    return 0;
}

/* ------------------------------------------------------------------ the principal */

static void login_as(struct viewer *v, enum login login)
{
    if (login == AS_SO || login == AS_USER)
        harness_login(&v->h, v->session, login == AS_SO ? CKU_SO : CKU_USER);
    if (login == AS_NAMED)
        OK(v->h.f3->C_LoginUser(v->session, CKU_USER, PIN("named-pin"), PIN("named")));
}

/* Who is logged out has handles of private objects from before it was: the user took them. */
static void handles_login(struct viewer *v)
{
    login_as(v, t->principal->login == LOGGED_OUT ? AS_USER : t->principal->login);
}

static void handle_take_live(void *ctx, enum kind kind, enum column column, struct cell *cell,
                             CK_OBJECT_HANDLE *handle, const struct call_row *call)
{
    struct viewer *v = ctx;
    (void)call;
    if (column >= DELETED && column != STALE)
        return;
    *handle = seat_find(&v->h, v->session, kind, cell->serial, 1);
    if (*handle == CK_INVALID_HANDLE)
        harness_fail(__FILE__, __LINE__, "%s does not find %s, %s", t->principal->name,
                     KIND_ROWS[kind].name, COLUMN_NAMES[column]);
}

static void handle_take_deleted(void *ctx, enum kind kind, enum column column, struct cell *cell,
                                CK_OBJECT_HANDLE *handle, const struct call_row *call)
{
    struct viewer *v = ctx;
    (void)call;
    if (column < DELETED || column == STALE)
        return;
    *handle = seat_find(&v->h, v->session, kind, cell->serial, 2);
    if (*handle == CK_INVALID_HANDLE)
        harness_fail(__FILE__, __LINE__, "%s does not find %s, %s", t->principal->name,
                     KIND_ROWS[kind].name, COLUMN_NAMES[column]);
}

/* All that is wrong is told of before the test ends. */
static unsigned wrong;

static void cell_check(struct viewer *v, size_t i, enum kind kind, enum column column)
{
    bool own = CALLS[i].spends && column < STALE;
    struct cell *cell = own ? &t->own[i][column][kind] : &t->shared[column][kind];
    const struct seat seat = {kind,
                              own ? handles.own[i][column][kind] : handles.shared[column][kind],
                              cell->serial};
    CK_RV rv = CALLS[i].run(v, &seat, &CALLS[i]);
    CK_RV expected = rule_expected(t->principal, &CALLS[i], kind, column);
    CK_ULONG lacking = rule_lacking(t->principal, &CALLS[i], kind, column);
    char reason[300] = "";
    OK(v->rpv->RPV_GetLastReason(reason, sizeof reason));
    if (own && rv == CKR_OK)
        cell->spent = true;
    if (rv != expected && wrong++ < 100)
        print_error("%s by %s on %s, %s: %s, not %s\n", CALLS[i].name, t->principal->name,
                    KIND_ROWS[kind].name, COLUMN_NAMES[column], ckr_name(rv), ckr_name(expected));
    else if (rv == expected && lacking != 0 && !rule_names_verb(lacking, reason) && wrong++ < 100)
        print_error("%s by %s on %s, %s: the reason names no verb: %s\n", CALLS[i].name,
                    t->principal->name, KIND_ROWS[kind].name, COLUMN_NAMES[column], reason);
}

static unsigned calls_check(struct viewer *v)
{
    unsigned n = 0;
    for (size_t i = 0; i < CALLS_COUNT; i++)
        for (enum column column = 0; column < COLUMNS; column++)
            for (enum kind kind = 0; kind < KINDS; kind++)
                if (CALLS[i].kinds & KIND(kind)) {
                    cell_check(v, i, kind, column);
                    n++;
                }
    return n;
}

static unsigned makes_check(struct viewer *v)
{
    for (size_t i = 0; i < MAKES_COUNT; i++)
        for (int is_private = 0; is_private < 2; is_private++) {
            CK_RV rv = MAKES[i].run(v, is_private != 0);
            CK_RV expected = rule_make_expected(t->principal, &MAKES[i], is_private != 0);
            bool lacking = expected == MAKES[i].without
                           || (MAKES[i].use != 0 && expected == MAKES[i].use_without);
            char reason[300] = "";
            OK(v->rpv->RPV_GetLastReason(reason, sizeof reason));
            if (rv != expected && wrong++ < 100)
                print_error("%s%s by %s: %s, not %s\n", MAKES[i].name,
                            is_private ? ", private" : "", t->principal->name, ckr_name(rv),
                            ckr_name(expected));
            else if (lacking && !rule_names_verb(MAKES[i].verb | MAKES[i].use, reason)
                     && wrong++ < 100)
                print_error("%s by %s: the reason names no verb: %s\n", MAKES[i].name,
                            t->principal->name, reason);
        }
    return 2 * (unsigned)MAKES_COUNT;
}

static unsigned vendors_check(struct viewer *v)
{
    static const enum kind kinds[] = {AES, AES_OPEN};
    for (size_t i = 0; i < VENDORS_COUNT; i++)
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            CK_RV rv = VENDORS[i].run(v, kinds[k]);
            CK_RV expected = rule_vendor_expected(t->principal, &VENDORS[i], kinds[k]);
            if (rv != expected && wrong++ < 100)
                print_error("%s (%s) by %s: %s, not %s\n", VENDORS[i].name,
                            KIND_ROWS[kinds[k]].name, t->principal->name, ckr_name(rv),
                            ckr_name(expected));
        }
    return (unsigned)(VENDORS_COUNT * COUNT_OF(kinds));
}

static unsigned principal_check(struct viewer *v, const struct principal_row *principal)
{
    unsigned n;
    t->principal = principal;
    lockstep_tell(&step);
    lockstep_wait(&step);
    handles_login(v);
    lockstep_tell(&step);
    lockstep_wait(&step);
    cells_visit(handle_take_live, v);
    for (enum kind kind = 0; kind < KINDS; kind++)
        v->base[kind] = seat_find(&v->h, v->session, kind, t->base[kind], 1);
    lockstep_tell(&step);
    lockstep_wait(&step);
    cells_visit(handle_take_deleted, v);
    lockstep_tell(&step);
    lockstep_wait(&step);
    if (principal->login == LOGGED_OUT)
        harness_logout(&v->h, v->session);
    viewer_list(v);
    n = makes_check(v) + vendors_check(v) + calls_check(v);
    if (principal->login != LOGGED_OUT)
        harness_logout(&v->h, v->session);
    lockstep_tell(&step);
    lockstep_wait(&step);
    return n;
}

/* Under valgrind and TSan: nobody, who is known without a name, and those that take all paths. */
static bool is_left_out(size_t principal)
{
    const char *variant = getenv("REPRIEVE_VARIANT");
    return variant != NULL && strcmp(variant, "asan") != 0 && principal > 4;
}

static void every_cell(void **state)
{
    (void)state;
    static struct viewer v;
    unsigned n = 0;
    t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(t != MAP_FAILED && CALLS_COUNT <= CALLS_MAX);
    harness_init(&t->h, "purge_protection = no\n");
    v.h = t->h;
    lockstep_init(&step);
    pid_t pid = fork_start(govern, NULL);
    lockstep_wait(&step);
    harness_load(&v.h);
    harness_slot(&v.h);
    v.rpv = promise_vendor(&v.h);
    v.session = harness_session_rw(&v.h);
    viewer_prepare(&v);
    for (size_t i = 0; i < PRINCIPALS_COUNT; i++)
        if (!is_left_out(i))
            n += principal_check(&v, &PRINCIPALS[i]);
    t->over = true;
    lockstep_tell(&step);
    CHECK(fork_wait(pid) == 0);
    print_message("# %u cells, %u wrong\n", n, wrong);
    CHECK(wrong == 0);
    free(v.listed);
    harness_unload(&v.h);
    lockstep_done(&step);
    harness_done(&t->h);
}

/* ------------------------------------------------------------------ many at once */

static const struct call_row *row_of(const char *name)
{
    for (size_t i = 0; i < CALLS_COUNT; i++)
        if (strcmp(CALLS[i].name, name) == 0)
            return &CALLS[i];
    harness_fail(__FILE__, __LINE__, "no row %s", name);
    return NULL;
}

/* One object of each kind, deleted; and the principal's verbs. */
static void all_delete(struct viewer *v, const struct principal_row *principal)
{
    CK_OBJECT_HANDLE objects[KINDS];
    static uint32_t serial;
    harness_login(&v->h, v->session, CKU_USER);
    for (enum kind kind = 0; kind < KINDS; kind++)
        seat_make(&v->h, v->session, kind, ACTIVE, ++serial, true);
    harness_logout(&v->h, v->session);
    harness_login(&v->h, v->session, CKU_SO);
    OK(v->rpv->RPV_SetUserVerbs(v->session, "named", principal->verbs));
    for (enum kind kind = 0; kind < KINDS; kind++) {
        objects[kind] = seat_find(&v->h, v->session, kind, serial - KINDS + kind + 1, 1);
        OK(v->rpv->RPV_GrantUser(v->session, "named", objects[kind], principal->granted));
    }
    harness_logout(&v->h, v->session);
    harness_login(&v->h, v->session, CKU_USER);
    for (enum kind kind = 0; kind < KINDS; kind++)
        OK(v->h.f->C_DestroyObject(v->session, seat_find(&v->h, v->session, kind,
                                                         serial - KINDS + kind + 1, 0)));
    harness_logout(&v->h, v->session);
}

/* Recovers all that the principal may, and no more; the user has the rest. */
static void recover_all_check(struct viewer *v, const struct principal_row *principal)
{
    CK_ULONG expected = 0, n = 77;
    for (enum kind kind = 0; kind < KINDS; kind++)
        expected += rule_expected(principal, row_of("recover"), kind, DELETED) == CKR_OK;
    all_delete(v, principal);
    login_as(v, principal->login);
    OK(v->rpv->RPV_RecoverAll(v->session, 100, &n));
    if (n != expected)
        harness_fail(__FILE__, __LINE__, "%s has recovered %lu, not %lu", principal->name, n,
                     expected);
    if (principal->login != LOGGED_OUT)
        harness_logout(&v->h, v->session);
    harness_login(&v->h, v->session, CKU_USER);
    OK(v->rpv->RPV_RecoverAll(v->session, 100, &n));
    CHECK(n == KINDS - expected);
    harness_logout(&v->h, v->session);
}

static void recover_all(void **state)
{
    static struct viewer v;
    (void)state;
    harness_init(&v.h, NULL);
    v.session = harness_start(&v.h);
    v.rpv = promise_vendor(&v.h);
    harness_logout(&v.h, v.session);
    harness_login(&v.h, v.session, CKU_SO);
    OK(v.rpv->RPV_AddUser(v.session, "named", PIN("named-pin"), 0));
    harness_logout(&v.h, v.session);
    for (size_t i = 0; i < PRINCIPALS_COUNT; i++)
        if (!is_left_out(i))
            recover_all_check(&v, &PRINCIPALS[i]);
    harness_done(&v.h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell),
        cmocka_unit_test(recover_all),
    };
    harness_fail_hook = _fail;
    /* no power fails here: it need not wait for a disk */
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    return cmocka_run_group_tests_name("states", tests, NULL, NULL);
}
