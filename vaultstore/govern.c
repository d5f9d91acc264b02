/* govern.c: what is governed of an object beside its attributes: rows, and one interpreter. */
#include <stdio.h>

#include "audit.h"
#include "change.h"

#define DATE_MAX INT64_C(253402300799)   /* 9999-12-31, the last that utcTime can say */
#define LOCK_MAX 2u
#define ROTATE_MAX 36500u

/* ------------------------------------------------------------------ values */

static void apply_enabled(const struct vs_govern *g, struct vs_header *h)
{
    h->state = g->enabled ? VS_STATE_ACTIVE : VS_STATE_DISABLED;
}

static void apply_not_before(const struct vs_govern *g, struct vs_header *h)
{
    h->not_before = g->not_before;
}

static void apply_not_after(const struct vs_govern *g, struct vs_header *h)
{
    h->not_after = g->not_after;
}

static void apply_hold(const struct vs_govern *g, struct vs_header *h)
{
    h->hold = g->hold;
}

static void apply_lock(const struct vs_govern *g, struct vs_header *h)
{
    h->lock = g->lock;
}

static void apply_reason(const struct vs_govern *g, struct vs_header *h)
{
    memset(h->delete_reason, 0, sizeof(h->delete_reason));
    memcpy(h->delete_reason, g->delete_reason,
           strnlen(g->delete_reason, sizeof(h->delete_reason) - 1));
}

static void apply_honeytoken(const struct vs_govern *g, struct vs_header *h)
{
    h->honeytoken = g->honeytoken;
}

static void apply_rotate(const struct vs_govern *g, struct vs_header *h)
{
    h->rotate_days = g->rotate_days;
}

static bool is_off(const struct vs_govern *g, uint32_t bit)
{
    return (bit == VS_GOVERN_ENABLED && !g->enabled) || (bit == VS_GOVERN_HOLD && !g->hold) ||
           (bit == VS_GOVERN_LOCK && g->lock == 0);
}

static const struct govern_row {
    uint32_t bit;
    enum vs_action on, off;
    const char *operation, *operation_off;
    void (*apply)(const struct vs_govern *govern, struct vs_header *header);
} rows[] = {
    {VS_GOVERN_ENABLED, ACTION_ENABLE, ACTION_DISABLE, "KeyEnable", "KeyDisable", apply_enabled},
    {VS_GOVERN_NOT_BEFORE, ACTION_DATES, ACTION_DATES, "KeyNotBefore", "KeyNotBefore",
     apply_not_before},
    {VS_GOVERN_NOT_AFTER, ACTION_DATES, ACTION_DATES, "KeyNotAfter", "KeyNotAfter",
     apply_not_after},
    {VS_GOVERN_HOLD, ACTION_HOLD, ACTION_HOLD, "KeyHold", "KeyRelease", apply_hold},
    {VS_GOVERN_LOCK, ACTION_LOCK, ACTION_LOCK, "KeyLock", "KeyUnlock", apply_lock},
    {VS_GOVERN_REASON, ACTION_REASON, ACTION_REASON, "KeyDeleteReason", "KeyDeleteReason",
     apply_reason},
    {VS_GOVERN_HONEYTOKEN, ACTION_HONEYTOKEN, ACTION_HONEYTOKEN, "KeyHoneytoken", "KeyHoneytoken",
     apply_honeytoken},
    {VS_GOVERN_ROTATE, ACTION_DATES, ACTION_DATES, "KeyRotateDays", "KeyRotateDays", apply_rotate},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

uint32_t vs_govern_verbs(const struct vs_govern *govern)
{
    for (size_t i = 0; i < ROWS; i++)
        if (govern->set & rows[i].bit)
            return policy_verbs(rows[i].on);
    return 0;
}

static int govern_check(const struct vs_govern *g)
{
    if (g->not_before < 0 || g->not_before > DATE_MAX || g->not_after < 0 ||
        g->not_after > DATE_MAX || g->lock > LOCK_MAX || g->rotate_days > ROTATE_MAX)
        return VS_POLICY;
    if ((g->set & VS_GOVERN_REASON) &&
        (g->delete_reason == NULL || strlen(g->delete_reason) >= VS_ACTOR_MAX))
        return VS_POLICY;
    return VS_OK;
}

/* A window that never opens is a mistake, not a wish. */
static int window_check(const struct vs_header *header)
{
    return header->not_before != 0 && header->not_after != 0 &&
                   header->not_after <= header->not_before
               ? VS_POLICY
               : VS_OK;
}

/* ------------------------------------------------------------------ a new object */

void govern_apply(const struct vs_govern *govern, struct vs_header *header)
{
    for (size_t i = 0; i < ROWS; i++)
        if (govern->set & rows[i].bit)
            rows[i].apply(govern, header);
}

/* Who makes an object sets its dates with the verb it makes it by; the rest needs its own. */
int govern_new_check(const struct vs_policy *policy, uint32_t verbs,
                     const struct vs_new_object *object)
{
    static const uint32_t free_bits = VS_GOVERN_ENABLED | VS_GOVERN_NOT_BEFORE |
                                      VS_GOVERN_NOT_AFTER | VS_GOVERN_REASON |
                                      VS_GOVERN_ROTATE;
    struct vs_header header;

    memset(&header, 0, sizeof(header));
    header.state = VS_STATE_ACTIVE;
    header.is_private = object->is_private;
    VS_TRY(govern_check(object->govern));
    for (size_t i = 0; i < ROWS; i++)
        if (object->govern->set & rows[i].bit & ~free_bits)
            VS_TRY(policy_allows(policy, &header, verbs, rows[i].on, 0));
    govern_apply(object->govern, &header);
    return window_check(&header);
}

/* ------------------------------------------------------------------ a change */

static int row_allows(struct commit_txn *txn, const struct change *c, const struct govern_row *row)
{
    enum vs_action action = is_off(c->govern, row->bit) ? row->off : row->on;
    enum vs_state next;

    /* To what it is already: the state table has no such step, and none is made. */
    if (row->bit == VS_GOVERN_ENABLED && c->before.state != VS_STATE_DELETED &&
        (c->before.state != VS_STATE_DISABLED) == c->govern->enabled)
        action = ACTION_DATES;
    return change_allows(txn, c, &c->before, action, &next);
}

static void row_tell(struct change *c, const struct govern_row *row)
{
    const char *name = is_off(c->govern, row->bit) ? row->operation_off : row->operation;
    size_t len = strlen(c->detail);
    int n;

    c->operation = c->operation == NULL ? name : "KeyGovern";
    n = snprintf(c->detail + len, sizeof(c->detail) - len, "%s%s", len == 0 ? "" : " ", name + 3);
    if (row->bit == VS_GOVERN_LOCK && n > 0 && len + (size_t)n < sizeof(c->detail))
        snprintf(c->detail + len + (size_t)n, sizeof(c->detail) - len - (size_t)n, " %u",
                 (unsigned)c->govern->lock);
}

static int govern_step(struct commit_txn *txn, struct change *c)
{
    c->operation = NULL;
    for (size_t i = 0; i < ROWS; i++) {
        if (!(c->govern->set & rows[i].bit))
            continue;
        VS_TRY(row_allows(txn, c, &rows[i]));
        rows[i].apply(c->govern, &c->header);
        row_tell(c, &rows[i]);
    }
    return window_check(&c->header);
}

int vs_object_govern(struct vs_store *store, uint32_t vault, struct vs_login *login,
                     const struct vs_id *id, const struct vs_govern *govern)
{
    struct change c = {.vault = vault, .login = login, .id = id, .action = ACTION_READ,
                       .step = govern_step, .govern = govern};

    if (govern->set == 0)
        return VS_OK;
    VS_TRY(govern_check(govern));
    return store_result(store, __func__, commit_run(store, change_run, &c));
}
