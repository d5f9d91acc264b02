/*
 * approval.c: purges that take several principals. The record goes with the object, or with its
 * recovery. An approval counts as long as its principal could give it now: within the window, of
 * this delete, by who still has the verb and is still the one of that name.
 */
#include "purge.h"
#include "store_internal.h"

struct approval { char who[VS_ACTOR_MAX]; int64_t at; };
struct approvals { struct approval list[VS_APPROVALS_MAX]; uint32_t n; };

static int approvals_get(struct commit_txn *txn, const struct key *key, struct approvals *ret)
{
    struct reader r;
    int status = trusted_get(txn->store, txn->kv, key, &r);

    ret->n = 0;
    if (status == VS_NOT_FOUND)
        return VS_OK;
    VS_TRY(status);
    while (reader_more(&r) && ret->n < VS_APPROVALS_MAX) {
        struct approval *approval = &ret->list[ret->n++];

        get_text(&r, approval->who, sizeof(approval->who));
        approval->at = (int64_t)get_u64(&r);
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
    }
    return trusted_put(txn, key, &w);
}

static int64_t window_of(const struct vs_policy *policy)
{
    return (policy->approval_hours != 0 ? policy->approval_hours : 24) * INT64_C(3600);
}

/* What the one who approved may do with the object now. A name given anew is another one's. */
static int approver_verbs(struct commit_txn *txn, const struct vs_header *header,
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
    status = principal_get(txn->store, txn->kv, header->generation, who, &p);
    if (status == VS_NOT_FOUND || (status == VS_OK && p.created_at > approval->at))
        return VS_OK;
    VS_TRY(status);
    VS_TRY(grant_get(txn->store, txn->kv, header->generation, p.number, &header->id, &granted));
    *ret_verbs = p.verbs | granted;
    return VS_OK;
}

static int approval_counts(struct commit_txn *txn, const struct vs_header *header,
                           const struct vs_policy *policy, const struct approval *approval,
                           bool *ret_counts)
{
    uint32_t verbs;

    VS_TRY(approver_verbs(txn, header, approval, &verbs));
    *ret_counts = (verbs & VS_VERB_PURGE) != 0 && approval->at >= header->deleted_at &&
                  txn->clock.now - approval->at < window_of(policy);
    return VS_OK;
}

/* Those of `stored` that count, but for this principal's own. */
static int approvals_sift(struct commit_txn *txn, const struct vs_header *header,
                          const struct vs_policy *policy, const char *principal,
                          const struct approvals *stored, struct approvals *ret)
{
    ret->n = 0;
    for (uint32_t i = 0; i < stored->n; i++) {
        bool counts = false;

        VS_TRY(approval_counts(txn, header, policy, &stored->list[i], &counts));
        if (counts && strcmp(stored->list[i].who, principal) != 0 && ret->n < VS_APPROVALS_MAX - 1)
            ret->list[ret->n++] = stored->list[i];
    }
    return VS_OK;
}

int approval_add(struct commit_txn *txn, const struct vs_header *header,
                 const struct vs_policy *policy, const char *principal,
                 struct vs_approvals *ret_approvals)
{
    struct key key = key_approval(&header->id);
    struct approvals stored, fresh;

    VS_TRY(approvals_get(txn, &key, &stored));
    VS_TRY(approvals_sift(txn, header, policy, principal, &stored, &fresh));
    fresh.list[fresh.n].at = txn->clock.now;
    memset(fresh.list[fresh.n].who, 0, sizeof(fresh.list[fresh.n].who));
    memcpy(fresh.list[fresh.n].who, principal, strnlen(principal, VS_ACTOR_MAX - 1));
    fresh.n++;
    *ret_approvals = (struct vs_approvals){fresh.n, policy->purge_approvals,
                                           fresh.list[0].at + window_of(policy)};
    if (fresh.n >= policy->purge_approvals)
        return VS_OK;             /* the purge takes the record away */
    return approvals_put(txn, &key, &fresh);
}
