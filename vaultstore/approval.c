/* approval.c: purges that take several principals. The record goes with the object, or with its
 * recovery; what is older than the window no longer counts. */
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

int approval_add(struct commit_txn *txn, const struct vs_id *id, const struct vs_policy *policy,
                 const char *principal, uint32_t *ret_n)
{
    int64_t window = (policy->approval_hours != 0 ? policy->approval_hours : 24) * INT64_C(3600);
    struct key key = key_approval(id);
    struct approvals stored, fresh = {.n = 0};

    VS_TRY(approvals_get(txn, &key, &stored));
    for (uint32_t i = 0; i < stored.n; i++)
        if (txn->clock.now - stored.list[i].at < window &&
            strcmp(stored.list[i].who, principal) != 0 && fresh.n < VS_APPROVALS_MAX - 1)
            fresh.list[fresh.n++] = stored.list[i];
    fresh.list[fresh.n].at = txn->clock.now;
    memset(fresh.list[fresh.n].who, 0, sizeof(fresh.list[fresh.n].who));
    memcpy(fresh.list[fresh.n].who, principal, strnlen(principal, VS_ACTOR_MAX - 1));
    *ret_n = ++fresh.n;
    if (fresh.n >= policy->purge_approvals)
        return VS_OK;             /* the purge takes the record away */
    return approvals_put(txn, &key, &fresh);
}
