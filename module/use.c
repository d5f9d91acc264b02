/* use.c: see use.h. */
#include "use.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "call.h"

#define FLUSH_MS 1000
#define ROWS_COUNTED 32u
#define ROWS_EACH 512u
#define ROWS_PARKED 8192u            /* while the log cannot be written */
#define ROWS_WRITTEN 512u            /* of the parked ones, in one transaction */

static const char *const OPERATIONS[OP_KINDS] = {
    [OP_ENCRYPT] = "KeyEncrypt",   [OP_DECRYPT] = "KeyDecrypt",
    [OP_DIGEST] = "KeyDigest",     [OP_SIGN] = "KeySign",
    [OP_VERIFY] = "KeyVerify",     [OP_SIGN_RECOVER] = "KeySignRecover",
    [OP_WRAP] = "KeyWrap",         [OP_VERIFY_RECOVER] = "KeyVerifyRecover",
    [OP_UNWRAP] = "KeyUnwrap",     [OP_DERIVE] = "KeyDerive",
    [OP_WRAPPED] = "KeyExport",
};

/* Why a row is written at once. */
enum use_alarm { ALARM_NONE, ALARM_HONEYTOKEN, ALARM_DELETED, ALARM_DISABLED, ALARM_EXPIRED,
                 ALARM_PREACTIVE };
static const char *const ALARMS[] = {
    [ALARM_NONE] = NULL,
    [ALARM_HONEYTOKEN] = "honeytoken",
    [ALARM_DELETED] = "refused: the key is deleted",
    [ALARM_DISABLED] = "refused: the key is disabled",
    [ALARM_EXPIRED] = "refused: the key has expired",
    [ALARM_PREACTIVE] = "refused: the key is not active yet",
};

struct use_mark {
    uint64_t login_epoch;
    uint64_t first, last;        /* milliseconds */
    enum operation_kind kind;
    enum use_alarm alarm;
    CK_RV rv;
    bool each;                   /* takes no second use */
};

uint64_t use_now_ms(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------ writing */

/* Says whether they are in the log. */
static bool rows_log(struct uses *uses, unsigned from, unsigned n)
{
    uint64_t now = use_now_ms();
    for (unsigned i = from; i < from + n; i++) {
        uses->rows[i].first_ago = (uint32_t)((now - uses->marks[i].first) / 1000);
        uses->rows[i].last_ago = (uint32_t)((now - uses->marks[i].last) / 1000);
    }
    return !n || vs_audit_use(module_state()->store, uses->rows + from, n) == VS_OK;
}

/* True when there is nothing left to write. */
static bool rows_write(struct uses *uses)
{
    bool written = rows_log(uses, 0, uses->n);
    uses->due = written ? 0 : use_now_ms() + FLUSH_MS;  /* kept; no call fails for it */
    if (written)
        uses->n = 0;
    return written;
}

static void uses_free(struct uses *uses)
{
    free(uses->rows);
    free(uses->marks);
    *uses = (struct uses){0};
}

static bool rows_reserve(struct uses *uses, unsigned cap)
{
    if (uses->cap >= cap)
        return true;
    struct vs_use *rows = realloc(uses->rows, cap * sizeof(*rows));
    if (rows)
        uses->rows = rows;
    struct use_mark *marks = realloc(uses->marks, cap * sizeof(*marks));
    if (marks)
        uses->marks = marks;
    if (!rows || !marks)
        return false;
    uses->cap = cap;
    return true;
}

/* Rows `from` on, to the others; false: there is no room, all stay. */
static bool rows_move(struct uses *uses, unsigned from, struct uses *to)
{
    unsigned n = uses->n - from;
    if (!n)
        return true;
    if (to->n + n > ROWS_PARKED || !rows_reserve(to, to->n + n))
        return false;
    memcpy(to->rows + to->n, uses->rows + from, n * sizeof(*uses->rows));
    memcpy(to->marks + to->n, uses->marks + from, n * sizeof(*uses->marks));
    if (uses->due && (!to->due || uses->due < to->due))
        to->due = uses->due;
    to->n += n;
    uses->n = from;
    return true;
}

/* ------------------------------------------------------------------ parked rows */

static struct uses parked_take(struct parked *parked, bool all)
{
    struct uses taken = {0};
    pthread_mutex_lock(&parked->lock);
    if (parked->uses.n && (all || use_now_ms() >= parked->uses.due)) {
        taken = parked->uses;
        parked->uses = (struct uses){0};
    }
    pthread_mutex_unlock(&parked->lock);
    return taken;
}

/* What could not be written goes back. */
static uint64_t parked_return(struct parked *parked, struct uses *rest, unsigned from)
{
    rest->due = use_now_ms() + FLUSH_MS;
    pthread_mutex_lock(&parked->lock);
    if (!rows_move(rest, from, &parked->uses))
        trace_note("the audit log cannot be written: uses are not recorded");
    uint64_t due = parked->uses.due;
    pthread_mutex_unlock(&parked->lock);
    uses_free(rest);
    return due;
}

uint64_t use_flush_parked(bool all)
{
    struct parked *parked = &module_state()->parked;
    if (!all && pthread_mutex_trylock(&parked->writing) != 0)
        return use_now_ms() + FLUSH_MS;
    if (all)
        pthread_mutex_lock(&parked->writing);
    struct uses taken = parked_take(parked, all);
    unsigned done = 0;
    while (done < taken.n && !flusher_gone()) {
        unsigned n = taken.n - done < ROWS_WRITTEN ? taken.n - done : ROWS_WRITTEN;
        if (!rows_log(&taken, done, n))
            break;
        done += n;
    }
    uint64_t due = parked_return(parked, &taken, done);
    pthread_mutex_unlock(&parked->writing);
    return due;
}

/* ------------------------------------------------------------------ rows of a session */

static void session_flush(struct session *session)
{
    struct vs_vault_info info;
    rows_write(&session->uses);
    use_flush_parked(false);
    (void)slot_info(session->slot, &info, NULL);   /* the policy may have changed */
}

uint64_t use_park_due(struct session *session, uint64_t now)
{
    struct uses *uses = &session->uses;
    struct parked *parked = &module_state()->parked;
    struct vs_vault_info info;
    if (!uses->due || now < uses->due)
        return uses->due;
    pthread_mutex_lock(&parked->lock);
    bool moved = rows_move(uses, 0, &parked->uses);
    pthread_mutex_unlock(&parked->lock);
    uses->due = moved ? 0 : now + FLUSH_MS;
    (void)slot_info(session->slot, &info, NULL);   /* the policy may have changed */
    return uses->due;
}

static void principal_put(struct slot *slot, char ret_name[VS_ACTOR_MAX])
{
    static const char *const ROLES[] = {
        [LOGIN_NONE] = "public", [LOGIN_SO] = "so", [LOGIN_USER] = "user"};
    pthread_rwlock_rdlock(&slot->lock);
    const char *name = slot->login ? vs_login_name(slot->login) : "";
    if (!name[0])
        name = ROLES[atomic_load(&slot->role)];
    size_t len = strnlen(name, VS_ACTOR_MAX - 1);
    memset(ret_name, 0, VS_ACTOR_MAX);
    memcpy(ret_name, name, len);
    pthread_rwlock_unlock(&slot->lock);
}

static bool row_fits(const struct uses *uses, unsigned i, const struct vs_id *id,
                     const struct use_mark *mark)
{
    const struct use_mark *other = &uses->marks[i];
    return !other->each && other->kind == mark->kind && other->rv == mark->rv &&
           other->alarm == mark->alarm && other->login_epoch == mark->login_epoch &&
           memcmp(&uses->rows[i].id, id, sizeof(*id)) == 0;
}

/* A new row; room is made by writing those there are. NULL: there is none, the use is lost. */
static struct vs_use *row_make(struct session *session, const struct use_mark *mark)
{
    struct uses *uses = &session->uses;
    if (uses->n == uses->cap && !rows_reserve(uses, mark->each ? ROWS_EACH : ROWS_COUNTED) &&
        !uses->cap)
        return NULL;
    if (uses->n == uses->cap && !rows_write(uses)) {
        trace_note("the audit log cannot be written: a use is not recorded");
        return NULL;
    }
    uses->last = uses->n++;
    uses->marks[uses->last] = *mark;
    struct vs_use *row = &uses->rows[uses->last];
    memset(row, 0, sizeof(*row));
    row->vault = (uint32_t)session->slot->id;
    row->operation = OPERATIONS[mark->kind];
    row->detail = ALARMS[mark->alarm];
    row->result = mark->rv == CKR_OK ? VS_OK : VS_DENIED;
    row->code = (uint32_t)mark->rv;
    principal_put(session->slot, row->principal);
    return row;
}

static struct vs_use *row_find(struct uses *uses, const struct vs_id *id,
                               const struct use_mark *mark)
{
    if (mark->each || !uses->n)
        return NULL;
    if (uses->last < uses->n && row_fits(uses, uses->last, id, mark))
        return &uses->rows[uses->last];
    for (unsigned i = 0; i < uses->n; i++)
        if (row_fits(uses, i, id, mark)) {
            uses->last = i;
            return &uses->rows[i];
        }
    return NULL;
}

static void use_add(struct call *call, const struct vs_header *header, struct use_mark *mark)
{
    struct session *session = call->session;
    struct uses *uses = &session->uses;
    uint64_t now = use_now_ms();
    mark->login_epoch = atomic_load_explicit(&session->slot->login_epoch, memory_order_relaxed);
    mark->each = atomic_load_explicit(&session->slot->audit_each, memory_order_relaxed);
    mark->first = now;
    struct vs_use *row = row_find(uses, &header->id, mark);
    if (!row) {
        row = row_make(session, mark);
        if (!row)
            return;
        row->id = header->id;
        row->generation = header->generation;
        row->object_version = header->version;
        row->key_version = header->key_version;
        if (mark->each && call->began_ns)
            row->duration_us = (uint32_t)((call_clock_ns() - call->began_ns) / 1000);
    }
    row->count++;
    uses->marks[uses->last].last = now;
    if (!uses->due) {
        uses->due = now + FLUSH_MS;
        flusher_want(&module_state()->flusher, uses->due);
    }
    bool alarm = mark->alarm != ALARM_NONE && now >= uses->alarm_after;
    if (alarm)
        uses->alarm_after = now + FLUSH_MS;
    if (alarm || now >= uses->due)
        session_flush(session);
}

/* ------------------------------------------------------------------ what is told of */

/* The token object whose use it is: itself, or what it is a copy of. False: nobody's affair. */
static bool use_header(const struct object *object, struct vs_header *ret_header)
{
    return object_bound_by(object) != NULL && object_header(object, ret_header) == CKR_OK;
}

void use_note(struct call *call, const struct object *object, enum operation_kind kind, CK_RV rv)
{
    struct vs_header original;
    const struct vs_header *header = &object->header;
    if (!(object->bits & OBJ_TOKEN)) {
        if (!use_header(object, &original))
            return;
        header = &original;
    }
    struct use_mark mark = {.kind = kind, .rv = rv,
                            .alarm = header->honeytoken ? ALARM_HONEYTOKEN : ALARM_NONE};
    use_add(call, header, &mark);
}

static enum use_alarm alarm_of(const struct vs_header *header)
{
    static const enum use_alarm STATES[] = {
        [VS_STATE_PREACTIVE] = ALARM_PREACTIVE, [VS_STATE_ACTIVE] = ALARM_NONE,
        [VS_STATE_DISABLED] = ALARM_DISABLED,   [VS_STATE_EXPIRED] = ALARM_EXPIRED,
        [VS_STATE_DELETED] = ALARM_DELETED,     [VS_STATE_PURGED] = ALARM_DELETED};
    enum use_alarm alarm = STATES[header->effective];
    return header->state == VS_STATE_DELETED ? ALARM_DELETED
           : header->honeytoken              ? ALARM_HONEYTOKEN
                                             : alarm;
}

void use_refused(struct call *call, const struct object *object, enum operation_kind kind,
                 CK_RV rv)
{
    struct vs_header header = {.effective = VS_STATE_ACTIVE};
    if (object && object_bound_by(object)) {
        header = object->header;
        header.id = *object_bound_by(object);
        if (!(object->bits & OBJ_TOKEN))
            header.effective = VS_STATE_ACTIVE;  /* unless the original says otherwise */
        /* an operation's key is as it was at its begin */
        if (vs_object_peek(module_state()->store, (uint32_t)object->slot, &header.id, &header) ==
            VS_NOT_FOUND)
            header.state = VS_STATE_DELETED;     /* gone altogether */
    } else if (!object && call->has_gone) {
        header.id = call->gone;
        header.state = VS_STATE_DELETED;
        (void)!vs_object_peek(module_state()->store, (uint32_t)call->session->slot->id,
                              &header.id, &header);
    } else {
        return;
    }
    struct use_mark mark = {.kind = kind, .rv = rv, .alarm = alarm_of(&header)};
    use_add(call, &header, &mark);
}

/* ------------------------------------------------------------------ the end of a session */

void use_park(struct session *session)
{
    struct uses *uses = &session->uses;
    struct parked *parked = &module_state()->parked;
    pthread_mutex_lock(&parked->lock);
    if (!rows_move(uses, 0, &parked->uses))
        trace_note("the audit log cannot be written: uses are not recorded");
    pthread_mutex_unlock(&parked->lock);
    uses_free(uses);
}

void use_parked_init(struct parked *parked)
{
    pthread_mutex_init(&parked->lock, NULL);
    pthread_mutex_init(&parked->writing, NULL);
}

void use_parked_done(struct parked *parked)
{
    uses_free(&parked->uses);
    pthread_mutex_destroy(&parked->lock);
    pthread_mutex_destroy(&parked->writing);
}
