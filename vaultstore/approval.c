/*
 * approval.c: purges that take several principals. The record goes with the object, or with its
 * recovery. An approval counts as long as its principal could give it now: within the window, of
 * this delete, by who still has the verb and is still the one of that name.
 */
#include "purge.h"
#include "store_internal.h"

struct approval { char who[VS_ACTOR_MAX]; int64_t at; uint8_t number[PRINCIPAL_NUMBER]; };
struct approvals { struct approval list[VS_APPROVALS_MAX]; uint32_t n; };

/* Where approvals are looked at, and when. */
struct desk { struct vs_store *store; struct kv_txn *kv; int64_t now; };

static int approvals_get(const struct desk *desk, const struct key *key, struct approvals *ret)
{
    struct reader r;
    int status = trusted_get(desk->store, desk->kv, key, &r);

    memset(ret, 0, sizeof(*ret));
    if (status == VS_NOT_FOUND)
        return VS_OK;
    VS_TRY(status);
    while (reader_more(&r) && ret->n < VS_APPROVALS_MAX) {
        struct approval *approval = &ret->list[ret->n++];

        get_text(&r, approval->who, sizeof(approval->who));
        approval->at = (int64_t)get_u64(&r);
        get_raw(&r, approval->number, sizeof(approval->number));
    }
    return reader_end(&r) ? VS_OK : VS_E_CORRUPT;
}

static int approvals_put(struct commit_txn *txn, const struct key *key,
                         const struct approvals *approvals)
{
    uint8_t body[SCHEMA_BODY_MAX];
    struct writer w;

    writer_init(&w, body, sizeof(body));
    for (uint32_t i = 0; i < approvals->n; i++) {
        put_text(&w, approvals->list[i].who);
        put_u64(&w, (uint64_t)approvals->list[i].at);
        put_raw(&w, approvals->list[i].number, PRINCIPAL_NUMBER);
    }
    return trusted_put(txn, key, &w);
}

static int64_t window_of(const struct vs_policy *policy)
{
    return (policy->approval_hours != 0 ? policy->approval_hours : 24) * INT64_C(3600);
}

/* What the one who approved may do with the object now. A name given anew is another one's. */
static int approver_verbs(const struct desk *desk, const struct vs_header *header,
                          const struct approval *approval, uint32_t *ret_verbs)
{
    const struct who who = {.role = VS_ROLE_USER, .name = approval->who};
    struct principal p;
    uint32_t granted;
    int status;

    *ret_verbs = 0;
    if (strcmp(approval->who, role_name(VS_ROLE_SO)) == 0)
        *ret_verbs = VS_VERBS_SO;
    if (!user_name_fits(approval->who))
        return VS_OK;             /* a role */
    status = principal_get(desk->store, desk->kv, header->generation, who, &p);
    if (status == VS_NOT_FOUND ||
        (status == VS_OK && memcmp(p.number, approval->number, sizeof(p.number)) != 0))
        return VS_OK;
    VS_TRY(status);
    VS_TRY(grant_get(desk->store, desk->kv, header->generation, p.number, &header->id, &granted));
    *ret_verbs = p.verbs | granted;
    return VS_OK;
}

static int approval_counts(const struct desk *desk, const struct vs_header *header,
                           const struct vs_policy *policy, const struct approval *approval,
                           bool *ret_counts)
{
    uint32_t verbs;

    VS_TRY(approver_verbs(desk, header, approval, &verbs));
    *ret_counts = (verbs & VS_VERB_PURGE) != 0 && approval->at >= header->deleted_at &&
                  desk->now - approval->at < window_of(policy);
    return VS_OK;
}

/* Those of `stored` that count, but for this principal's own. */
static int approvals_sift(const struct desk *desk, const struct vs_header *header,
                          const struct vs_policy *policy, const char *principal,
                          const struct approvals *stored, struct approvals *ret)
{
    ret->n = 0;
    for (uint32_t i = 0; i < stored->n; i++) {
        bool counts = false;

        VS_TRY(approval_counts(desk, header, policy, &stored->list[i], &counts));
        if (counts && strcmp(stored->list[i].who, principal) != 0 && ret->n < VS_APPROVALS_MAX - 1)
            ret->list[ret->n++] = stored->list[i];
    }
    return VS_OK;
}

static struct approval approval_of(const struct vs_login *login, int64_t now)
{
    struct approval approval = {.at = now};
    const char *name = login_name(login);

    memcpy(approval.who, name, strnlen(name, VS_ACTOR_MAX - 1));
    if (login != NULL)
        memcpy(approval.number, login->number, sizeof(approval.number));
    return approval;
}

int approval_add(struct commit_txn *txn, const struct vs_header *header,
                 const struct vs_policy *policy, const struct vs_login *login,
                 struct vs_approvals *ret_approvals)
{
    struct key key = key_approval(&header->id);
    const struct desk desk = {txn->store, txn->kv, txn->clock.now};
    struct approvals stored, fresh;

    VS_TRY(approvals_get(&desk, &key, &stored));
    VS_TRY(approvals_sift(&desk, header, policy, login_name(login), &stored, &fresh));
    fresh.list[fresh.n++] = approval_of(login, txn->clock.now);
    *ret_approvals = (struct vs_approvals){fresh.n, policy->purge_approvals,
                                           fresh.list[0].at + window_of(policy)};
    if (fresh.n >= policy->purge_approvals)
        return VS_OK;             /* the purge takes the record away */
    return approvals_put(txn, &key, &fresh);
}

int approvals_forget(struct commit_txn *txn)
{
    const struct key table = key_table(TABLE_APPROVAL);

    for (;;) {
        AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
        struct kv_slice found, value;
        struct key key;
        int status;

        VS_TRY(kv_cursor_open(txn->kv, &cursor));
        status = kv_cursor_seek(cursor, table.b, table.len, &found, &value);
        if (status == VS_END || (status == VS_OK && !key_has_prefix(&found, &table)))
            return VS_OK;
        VS_TRY(status);
        if (found.len > sizeof(key.b))
            return VS_E_CORRUPT;
        memcpy(key.b, found.data, found.len);
        key.len = found.len;
        kv_cursor_close(cursor);
        cursor = NULL;
        VS_TRY(commit_delete(txn, &key));
    }
}

/* ------------------------------------------------------------------ listing */

struct approval_list {
    uint32_t vault;
    struct generation live;
    struct vs_approval *out;
    size_t cap, n;
};

static void list_add(struct approval_list *list, const struct vs_id *id,
                     const struct approval *approval)
{
    const struct vs_policy *policy = &list->live.policy;
    struct vs_approval *out = list->n < list->cap ? &list->out[list->n] : NULL;

    list->n++;
    if (out == NULL)
        return;
    *out = (struct vs_approval){.id = *id, .wanted = policy->purge_approvals, .at = approval->at,
                                .until = approval->at + window_of(policy)};
    memcpy(out->who, approval->who, sizeof(out->who));
}

static int list_object(const struct desk *desk, const struct vs_id *id,
                       struct approval_list *list)
{
    struct key key = key_approval(id);
    struct object_record record;
    struct approvals stored, counting;
    int status = object_load(desk->store, desk->kv, id, &record);

    if (status == VS_NOT_FOUND || status == VS_E_CORRUPT)
        return VS_OK;
    VS_TRY(status);
    if (record.header.vault != list->vault || record.header.generation != list->live.number ||
        record.header.state != VS_STATE_DELETED)
        return VS_OK;
    VS_TRY(approvals_get(desk, &key, &stored));
    VS_TRY(approvals_sift(desk, &record.header, &list->live.policy, "", &stored, &counting));
    for (uint32_t i = 0; i < counting.n; i++)
        list_add(list, id, &counting.list[i]);
    return VS_OK;
}

static int approval_list(struct vs_store *store, struct approval_list *list)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct desk desk = {.store = store};
    struct key table = key_table(TABLE_APPROVAL);
    struct kv_slice key, value;
    struct vs_id id;
    int status;

    VS_TRY(kv_read(store->kv, &txn));
    desk.kv = txn;
    VS_TRY(store_clock(store, txn, &desk.now));
    VS_TRY(generation_live(store, txn, list->vault, &list->live));
    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, table.b, table.len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, &table)) {
        if (key.len != table.len + sizeof(id.b))
            return VS_E_CORRUPT;
        memcpy(id.b, key.data + table.len, sizeof(id.b));
        VS_TRY(list_object(&desk, &id, list));
        status = kv_cursor_next(cursor, &key, &value);
    }
    return status == VS_OK || status == VS_END ? VS_OK : status;
}

int vs_approval_list(struct vs_store *store, uint32_t vault, struct vs_approval *ret_approvals,
                     size_t cap, size_t *ret_n)
{
    struct approval_list list = {.vault = vault, .out = ret_approvals, .cap = cap};

    VS_TRY(store_result(store, __func__, approval_list(store, &list)));
    *ret_n = list.n;
    return VS_OK;
}
