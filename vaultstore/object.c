/* object.c: what can be done with objects, all but their end (purge.c). */
#include "object.h"

#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "change.h"
#include "rotate.h"
#include "store_internal.h"

#define PURGE_AT_MAX INT64_C(253402300799)   /* 9999-12-31, the last that utcTime can say */

/* ------------------------------------------------------------------ create */

struct create {
    uint32_t vault;
    struct vs_login *login;
    const struct vs_new_object *objects;
    size_t n;
    struct index_tags *tags;
    struct vs_id *ids;
};

static int create_one(struct commit_txn *txn, const struct create *c, const struct generation *live,
                      size_t i)
{
    const struct vs_new_object *object = &c->objects[i];
    struct audit_entry entry = {.vault = c->vault, .generation = live->number,
                                .operation = object->operation, .object_version = 1,
                                .principal = login_name(c->login)};
    AUTO(secret_key) struct secret_key slot;
    struct index_partition partition;
    struct vs_header header;
    uint64_t seq;

    memset(&header, 0, sizeof(header));
    VS_TRY(commit_sequence(txn, &seq, slot.b));
    header.id = id_make(live->tag, seq);
    header.vault = c->vault;
    header.generation = live->number;
    header.version = 1;
    header.kind = object->kind;
    header.is_private = object->is_private;
    header.destroyable = object->destroyable;
    header.state = header.prior = VS_STATE_ACTIVE;
    header.origin = object->origin;
    header.key_version = 1;
    if (object->former != NULL)
        VS_TRY(rotate_link(txn, c->login, object->former, &header));
    if (object->govern != NULL)
        govern_apply(object->govern, &header);
    header.created_at = txn->clock.now;
    partition = object_partition(&header);
    VS_TRY(object_put(txn, c->login, &header, &c->tags[i], object->attrs, object->attrs_len,
                      slot.b));
    VS_TRY(index_add(txn, &partition, &c->tags[i], &header.id));
    c->ids[i] = header.id;
    entry.id = &header.id;
    entry.key_version = header.key_version;
    return audit_append(txn, &entry);
}

uint32_t vs_create_verb(enum vs_origin origin, bool next)
{
    static const uint32_t verbs[] = {
        [VS_ORIGIN_GENERATED] = VS_VERB_CREATE, [VS_ORIGIN_CREATED] = VS_VERB_IMPORT,
        [VS_ORIGIN_UNWRAPPED] = VS_VERB_IMPORT, [VS_ORIGIN_DERIVED] = VS_VERB_CREATE,
        [VS_ORIGIN_RESTORED] = VS_VERB_RESTORE,
    };

    if (next)
        return VS_VERB_ROTATE;
    return (size_t)origin < sizeof(verbs) / sizeof(verbs[0]) ? verbs[origin] : 0;
}

/* Of what is not active by now, or not the login's to get, no copy is made: not even by who looked a
 * moment ago. */
static int copy_allows(struct commit_txn *txn, const struct create *c,
                       const struct generation *live, const struct vs_id *original)
{
    struct object_record record;
    int status = object_visible(txn->store, txn->kv, live->number, original, &record);

    if (status == VS_NOT_FOUND)
        return VS_WRONG_STATE;
    VS_TRY(status);
    VS_TRY(login_needs(txn->store, txn->kv, c->login, original, VS_VERB_GET));
    return lifecycle_effective(&record.header, txn->clock.now) == VS_STATE_ACTIVE
               ? VS_OK
               : VS_WRONG_STATE;
}

static int create_allows(struct commit_txn *txn, const struct create *c,
                         const struct generation *live, const struct vs_new_object *object)
{
    uint32_t verbs = 0;

    VS_TRY(object->former != NULL
               ? rotate_allows(txn, live, c->login, object->former)
               : login_needs(txn->store, txn->kv, c->login, NULL, vs_create_verb(object->origin, false)));
    if (object->copy_of != NULL)
        VS_TRY(copy_allows(txn, c, live, object->copy_of));
    if (live->policy.reserve_names)
        VS_TRY(name_reserved(txn, live, object, c->login));
    if (object->govern == NULL)
        return VS_OK;
    VS_TRY(login_verbs(txn->store, txn->kv, c->login, NULL, &verbs));
    return govern_new_check(&live->policy, verbs, object);
}

static int create_run(struct commit_txn *txn, void *ctx)
{
    const struct create *c = ctx;
    struct generation live;

    VS_TRY(generation_enter(txn->store, txn->kv, c->vault, c->login, &live));
    if (live.lock >= GENERATION_READ_ONLY)
        return VS_LOCKED;
    for (size_t i = 0; i < c->n; i++)
        VS_TRY(create_allows(txn, c, &live, &c->objects[i]));
    for (size_t i = 0; i < c->n; i++)
        VS_TRY(index_tags_renew(txn->store, c->login, c->objects[i].is_private,
                                live.rotation.epoch, c->objects[i].terms, c->objects[i].n_terms,
                                &c->tags[i]));
    for (size_t i = 0; i < c->n; i++)
        VS_TRY(create_one(txn, c, &live, i));
    return VS_OK;
}

static int create_prepare(struct vs_store *store, struct create *c)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct vs_new_object *object = &c->objects[i];

        if (object->is_private && c->login == NULL)
            return VS_DENIED;
        VS_TRY(index_tags_make(store, c->login, object->is_private,
                               object->is_private ? login_epoch(c->login) : 0, object->terms,
                               object->n_terms, &c->tags[i]));
    }
    return commit_run(store, create_run, c);
}

int vs_object_create(struct vs_store *store, uint32_t vault, struct vs_login *login,
                     const struct vs_new_object *objects, size_t n, struct vs_id *ret_ids)
{
    struct create c = {.vault = vault, .login = login, .objects = objects, .n = n};
    int status = VS_E_NOMEM;

    c.tags = calloc(n, sizeof(*c.tags));
    c.ids = calloc(n, sizeof(*c.ids));
    if (c.tags != NULL && c.ids != NULL)
        status = create_prepare(store, &c);
    if (status == VS_OK)
        memcpy(ret_ids, c.ids, n * sizeof(*c.ids));
    free(c.tags);
    free(c.ids);
    if (status == VS_OK)
        sweep_in_passing(store);
    return store_result(store, __func__, status);
}

/* ------------------------------------------------------------------ read */

/* What of a header depends on the policy and the time. The clock is read only if it matters. */
static int header_compute(struct vs_store *store, struct kv_txn *txn,
                          const struct vs_policy *policy, struct vs_header *header)
{
    int64_t now = 0;

    if (header->not_before != 0 || header->not_after != 0)
        VS_TRY(store_clock(store, txn, &now));
    header->effective = lifecycle_effective(header, now);
    header->outdated = policy->newest_only && rotate_superseded(header);
    header->needs_backup = policy->require_backup && !header->backed_up;
    header->recovery_level = policy_recovery_level(policy, header);
    return VS_OK;
}

static int object_read(struct vs_store *store, uint32_t vault, const struct vs_login *login,
                       const struct vs_id *id, struct vs_object *ret_object)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct object_record record;
    struct generation live;
    uint8_t *attrs;
    size_t len;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(generation_enter(store, txn, vault, login, &live));
    VS_TRY(object_visible(store, txn, live.number, id, &record));
    if (record.header.is_private)
        VS_TRY(login_needs(store, txn, login, id, VS_VERBS_ALL));
    VS_TRY(object_open(store, login, &record, &attrs, &len));
    VS_TRY(header_compute(store, txn, &live.policy, &record.header));
    *ret_object = (struct vs_object){record.header, attrs, len};
    return VS_OK;
}

int vs_object_read(struct vs_store *store, uint32_t vault, const struct vs_login *login,
                   const struct vs_id *id, struct vs_object *ret_object)
{
    return store_result(store, __func__, object_read(store, vault, login, id, ret_object));
}

void vs_object_done(struct vs_object *object)
{
    if (object->attrs != NULL)
        vs_secret_free(object->attrs, object->attrs_len + 1);
    object->attrs = NULL;
    object->attrs_len = 0;
}

static int object_peek(struct vs_store *store, uint32_t vault, const struct vs_id *id,
                       struct vs_header *ret_header)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct object_record record;
    struct generation live;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(generation_live(store, txn, vault, &live));
    VS_TRY(object_visible(store, txn, live.number, id, &record));
    VS_TRY(header_compute(store, txn, &live.policy, &record.header));
    *ret_header = record.header;
    return VS_OK;
}

int vs_object_peek(struct vs_store *store, uint32_t vault, const struct vs_id *id,
                   struct vs_header *ret_header)
{
    return store_result(store, __func__, object_peek(store, vault, id, ret_header));
}

/* ------------------------------------------------------------------ change */

/* Moves the due entry and the index entries from where they were to where they belong now. */
static int change_move(struct commit_txn *txn, const struct change *c)
{
    struct index_partition from = object_partition(&c->before), to = object_partition(&c->header);
    struct key due_before = key_due(c->before.purge_at, KIND_OBJECT, c->id);
    struct key due = key_due(c->header.purge_at, KIND_OBJECT, c->id);

    VS_TRY(index_move(txn, &from, &c->tags_before, &to, &c->tags, c->id));
    if (from.deleted)
        VS_TRY(commit_discard(txn, &due_before));
    return to.deleted ? commit_put(txn, &due, "", 0) : VS_OK;
}

static int change_store(struct commit_txn *txn, struct change *c, const uint8_t *attrs, size_t len)
{
    struct audit_entry entry = {.vault = c->vault, .generation = c->live.number,
                                .operation = c->operation, .id = c->id,
                                .principal = login_name(c->login)};

    c->header.version++;
    VS_TRY(object_put(txn, c->login, &c->header, &c->tags, attrs, len, NULL));
    VS_TRY(change_move(txn, c));
    entry.object_version = c->header.version;
    entry.key_version = c->header.key_version;
    entry.detail = c->detail;
    return audit_append(txn, &entry);
}

int change_allows(struct commit_txn *txn, const struct change *c, const struct vs_header *header,
                  enum vs_action action, enum vs_state *ret_next)
{
    struct vs_header judged;
    uint32_t verbs = 0;
    enum vs_state next;

    VS_TRY(lifecycle_next(header->state, header->prior, action, &next));
    VS_TRY(login_judge(txn->store, txn->kv, c->login, header, &judged, &verbs));
    VS_TRY(policy_allows(&c->live.policy, &judged, verbs, action,
                         object_now(&txn->clock, &c->live.policy, header)));
    *ret_next = next;
    return VS_OK;
}

int change_run(struct commit_txn *txn, void *ctx)
{
    struct change *c = ctx;
    struct object_record record;
    enum vs_state next;
    uint8_t *attrs;
    size_t len;
    int status;

    VS_TRY(generation_enter(txn->store, txn->kv, c->vault, c->login, &c->live));
    if (c->live.lock >= GENERATION_READ_ONLY ||
        (c->live.lock != 0 && c->action == ACTION_DELETE))
        return VS_LOCKED;
    VS_TRY(object_load(txn->store, txn->kv, c->id, &record));
    if (record.header.generation != c->live.number)
        return VS_NOT_FOUND;
    if (!generation_keeps(&c->live) &&
        object_past_due(&record.header,
                        object_now(&txn->clock, &c->live.policy, &record.header)))
        return VS_NOT_FOUND;
    if (c->govern != NULL)            /* each part of it is judged in its step */
        VS_TRY(lifecycle_next(record.header.state, record.header.prior, c->action, &next));
    else
        VS_TRY(change_allows(txn, c, &record.header, c->action, &next));
    c->before = c->header = record.header;
    c->tags_before = c->tags = record.tags;
    c->header.state = next;
    c->detail[0] = '\0';
    if (c->object != NULL) {
        VS_TRY(c->step(txn, c));
        return change_store(txn, c, c->object->attrs, c->object->attrs_len);
    }
    VS_TRY(object_open(txn->store, c->login, &record, &attrs, &len));
    status = index_tags_retag(txn->store, c->login, c->header.is_private, c->live.rotation.epoch,
                              attrs, len, &c->tags);
    if (status == VS_OK)
        status = c->step(txn, c);
    if (status == VS_OK)
        status = change_store(txn, c, attrs, len);
    vs_secret_free(attrs, len + 1);
    return status;
}

/* A label that it has already is its own. */
static int rename_allows(struct commit_txn *txn, const struct change *c)
{
    struct index_tags tags = *c->new_tags;

    VS_TRY(index_tags_renew(txn->store, c->login, c->header.is_private, c->tags_before.epoch,
                            c->object->terms, c->object->n_terms, &tags));
    return name_same(txn->store, &c->tags_before, &tags)
               ? VS_OK
               : name_reserved(txn, &c->live, c->object, c->login);
}

static int update_step(struct commit_txn *txn, struct change *c)
{
    if (c->header.version != c->version)
        return VS_STALE;
    if (c->header.is_private != c->object->is_private)
        return VS_POLICY;
    if (c->live.policy.reserve_names)
        VS_TRY(rename_allows(txn, c));
    c->header.destroyable = c->object->destroyable;
    c->tags = *c->new_tags;
    return index_tags_renew(txn->store, c->login, c->header.is_private, c->live.rotation.epoch,
                            c->object->terms, c->object->n_terms, &c->tags);
}

int vs_object_update(struct vs_store *store, uint32_t vault, struct vs_login *login,
                     const struct vs_id *id, uint32_t version, const struct vs_new_object *object,
                     uint32_t *ret_version)
{
    struct index_tags tags;
    struct change c = {.vault = vault, .login = login, .id = id, .action = ACTION_UPDATE,
                       .operation = object->operation, .step = update_step, .object = object,
                       .version = version, .new_tags = &tags};

    memset(&tags, 0, sizeof(tags));
    if (object->is_private && login == NULL)
        return VS_DENIED;
    VS_TRY(store_result(store, __func__,
                        index_tags_make(store, login, object->is_private,
                                        object->is_private ? login_epoch(login) : 0,
                                        object->terms, object->n_terms, &tags)));
    VS_TRY(store_result(store, __func__, commit_run(store, change_run, &c)));
    *ret_version = c.header.version;
    return VS_OK;
}

static int delete_step(struct commit_txn *txn, struct change *c)
{
    int n;

    if (c->live.policy.disable_before_delete && c->before.state != VS_STATE_DISABLED)
        return VS_POLICY;
    if (c->live.policy.tombstone_labels && c->label != NULL)
        snprintf(c->header.label, sizeof(c->header.label), "%s", c->label);
    c->header.prior = c->before.state;
    c->header.deleted_at = txn->clock.now;
    c->header.deleted_strict = txn->clock.strict;
    c->header.purge_at = policy_purge_date(&c->live.policy, txn->clock.now);
    actor_name(txn->store, login_name(c->login), c->header.deleted_by);
    n = snprintf(c->detail, sizeof(c->detail), "to be purged at %s",
                 time_text(c->header.purge_at).text);
    if (c->header.delete_reason[0] != '\0')
        snprintf(c->detail + n, sizeof(c->detail) - (size_t)n, ": %s", c->header.delete_reason);
    return VS_OK;
}

int vs_object_delete(struct vs_store *store, uint32_t vault, struct vs_login *login,
                     const struct vs_id *id)
{
    return vs_object_delete_labelled(store, vault, login, id, NULL);
}

int vs_object_delete_labelled(struct vs_store *store, uint32_t vault, struct vs_login *login,
                              const struct vs_id *id, const char *label)
{
    struct change c = {.vault = vault, .login = login, .id = id, .action = ACTION_DELETE,
                       .operation = "KeyDelete", .step = delete_step, .label = label};
    int status = commit_run(store, change_run, &c);

    if (status == VS_OK)
        sweep_in_passing(store);
    return store_result(store, __func__, status);
}

static int recover_step(struct commit_txn *txn, struct change *c)
{
    struct key approvals = key_approval(c->id);

    VS_TRY(name_taken(txn, &c->header, &c->tags_before, &c->label_taken));
    if (!c->label_taken && c->tags.epoch != c->tags_before.epoch)
        VS_TRY(name_taken(txn, &c->header, &c->tags, &c->label_taken));
    if (c->live.policy.recover_to == 1)
        c->header.state = VS_STATE_DISABLED;
    snprintf(c->detail, sizeof(c->detail), "%s%s",
             c->header.state == VS_STATE_DISABLED ? "disabled" : "",
             c->label_taken ? " its label is borne by another by now" : "");
    memset(c->header.delete_reason, 0, sizeof(c->header.delete_reason));
    memset(c->header.label, 0, sizeof(c->header.label));
    VS_TRY(commit_discard(txn, &approvals));
    c->header.deleted_at = c->header.deleted_strict = c->header.purge_at = 0;
    memset(c->header.deleted_by, 0, sizeof(c->header.deleted_by));
    return VS_OK;
}

int vs_object_recover(struct vs_store *store, uint32_t vault, struct vs_login *login,
                      const struct vs_id *id)
{
    bool label_taken;

    return vs_object_recover_told(store, vault, login, id, &label_taken);
}

int vs_object_recover_told(struct vs_store *store, uint32_t vault, struct vs_login *login,
                           const struct vs_id *id, bool *ret_label_taken)
{
    struct change c = {.vault = vault, .login = login, .id = id, .action = ACTION_RECOVER,
                       .operation = "KeyRecover", .step = recover_step};

    VS_TRY(store_result(store, __func__, commit_run(store, change_run, &c)));
    *ret_label_taken = c.label_taken;
    return VS_OK;
}

/* Many in one change. */
#define RECOVER_BATCH 1024u
struct recovery {
    uint32_t vault;
    struct vs_login *login;
    struct commit_pace pace;
    struct vs_id ids[RECOVER_BATCH];
    size_t n, from;             /* those before it are done */
    size_t done, recovered;     /* in this change */
};

/* What may not, or whose record is damaged, is stepped over; what began to change must go through. */
static int recovery_one(struct commit_txn *txn, struct recovery *many, const struct vs_id *id)
{
    struct change c = {.vault = many->vault, .login = many->login, .id = id,
                       .action = ACTION_RECOVER, .operation = "KeyRecover",
                       .step = recover_step};
    bool dirty = txn->dirty, touched;
    int status;

    txn->dirty = false;
    status = change_run(txn, &c);
    touched = txn->dirty;
    txn->dirty = touched || dirty;
    many->recovered += status == VS_OK;
    if (status == VS_E_CORRUPT && !touched)
        return VS_OK;
    return status < 0 || status == KV_MAP_FULL || status == VS_REVOKED || status == VS_LOCKED
               ? status
               : VS_OK;
}

static int recovery_run(struct commit_txn *txn, void *ctx)
{
    struct recovery *many = ctx;

    many->done = many->recovered = 0;
    commit_pace_begin(&many->pace);
    while (many->from + many->done < many->n &&
           (many->done == 0 || !commit_pace_over(&many->pace))) {
        VS_TRY(recovery_one(txn, many, &many->ids[many->from + many->done]));
        many->done++;
    }
    return VS_OK;
}

/* What one page of ids asks for, in as many changes as it takes. */
static int recovery_page(struct vs_store *store, struct recovery *many, size_t *recovered)
{
    for (many->from = 0; many->from < many->n; many->from += many->done) {
        VS_TRY(commit_run(store, recovery_run, many));
        commit_pace_end(&many->pace);
        *recovered += many->recovered;
    }
    return VS_OK;
}

static int recovery_all(struct vs_store *store, struct recovery *many, struct vs_cursor *cursor,
                        size_t limit, size_t *ret_recovered)
{
    size_t recovered = 0;

    while (recovered < limit) {
        size_t room = limit - recovered;

        VS_TRY(vs_find_next(cursor, many->login, many->ids, room < many->pace.size ? room : many->pace.size,
                            &many->n));
        if (many->n == 0)
            break;
        VS_TRY(recovery_page(store, many, &recovered));
    }
    *ret_recovered = recovered;
    return VS_OK;
}

int vs_object_recover_all(struct vs_store *store, uint32_t vault, struct vs_login *login,
                          size_t limit, size_t *ret_recovered)
{
    const struct vs_query query = {.deleted = true, .want_public = true,
                                   .want_private = login != NULL};
    struct recovery *many = calloc(1, sizeof(*many));
    struct vs_cursor *cursor = NULL;
    int status = VS_E_NOMEM;

    if (many != NULL) {
        many->vault = vault;
        many->login = login;
        many->pace = commit_pace(RECOVER_BATCH);
        status = vs_find_open(store, vault, login, &query, &cursor);
    }
    if (status == VS_OK)
        status = recovery_all(store, many, cursor, limit, ret_recovered);
    if (cursor != NULL)
        vs_find_close(cursor);
    free(many);
    return store_result(store, __func__, status);
}

static int postpone_step(struct commit_txn *txn, struct change *c)
{
    (void)txn;
    if (c->purge_at < c->before.purge_at || c->purge_at > PURGE_AT_MAX)
        return VS_POLICY;
    c->header.purge_at = c->purge_at;
    snprintf(c->detail, sizeof(c->detail), "to be purged at %s", time_text(c->purge_at).text);
    return VS_OK;
}

int vs_object_postpone(struct vs_store *store, uint32_t vault, struct vs_login *login,
                       const struct vs_id *id, int64_t purge_at)
{
    struct change c = {.vault = vault, .login = login, .id = id, .action = ACTION_POSTPONE,
                       .operation = "KeyPostpone", .step = postpone_step, .purge_at = purge_at};

    return store_result(store, __func__, commit_run(store, change_run, &c));
}
