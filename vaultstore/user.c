/*
 * user.c: named principals: made, listed, given verbs and grants, removed. Who holds the policy
 * verb may, and only within its own verbs, so that nobody raises itself by a user it makes; the SO
 * may give all.
 */
#include <stdio.h>

#include "audit.h"
#include "store_internal.h"

bool user_name_fits(const char *name)
{
    static const char *const taken[] = {"so", "user", "public"};
    size_t len = strlen(name);

    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (strcmp(name, taken[i]) == 0)
            return false;
    return len >= 1 && len <= VS_USER_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-") ==
               len;
}

struct user_change {
    const struct vs_login *login;
    struct who who;
    const char *operation;
    int (*step)(struct commit_txn *txn, struct user_change *change);
    bool fresh;                   /* the user must not be there yet */
    bool must_rotate;             /* VS_STALE when a rotation is under way */
    uint32_t verbs;
    const struct pin_key *pin_key;
    const struct vs_id *id;       /* of a grant */
    bool rotated;                 /* by a removal: the vault key */
    /* within the transaction */
    struct generation live;
    struct principal principal;
    char detail[96];
};

/* What a principal may hand on. */
static int may_give(struct vs_store *store, struct kv_txn *txn, const struct vs_login *login,
                    uint32_t *ret_verbs)
{
    uint32_t verbs = 0;

    VS_TRY(login_verbs(store, txn, login, NULL, &verbs));
    if (!(verbs & VS_VERB_POLICY))
        return VS_DENIED;
    *ret_verbs = login->role == VS_ROLE_SO ? VS_VERBS_ALL : verbs;
    return VS_OK;
}

/* What the user has by grants, as far as it matters: for all of it every grant is read, and a change of
 * one grant takes or gives that alone. Who may give everything is not asked. */
static int granted_verbs(struct commit_txn *txn, const struct user_change *c, uint32_t give,
                         uint32_t *ret_verbs)
{
    int status;

    *ret_verbs = 0;
    if (c->fresh || give == VS_VERBS_ALL)
        return VS_OK;
    if (c->id == NULL)
        return grants_all(txn->store, txn->kv, c->live.number, c->principal.number, ret_verbs);
    status = grant_get(txn->store, txn->kv, c->live.number, c->principal.number, c->id, ret_verbs);
    return status == VS_E_CORRUPT ? VS_OK : status;     /* such a one grants nothing */
}

static int user_enter(struct commit_txn *txn, struct user_change *c)
{
    uint32_t give = 0, granted = 0;
    int status;

    VS_TRY(generation_enter(txn->store, txn->kv, c->login->vault, c->login, &c->live));
    if (c->live.lock >= GENERATION_READ_ONLY)
        return VS_LOCKED;
    VS_TRY(may_give(txn->store, txn->kv, c->login, &give));
    status = principal_get(txn->store, txn->kv, c->live.number, c->who, &c->principal);
    if (c->fresh)
        VS_TRY(status == VS_OK ? VS_WRONG_STATE : status == VS_NOT_FOUND ? VS_OK : status);
    else
        VS_TRY(status);
    VS_TRY(granted_verbs(txn, c, give, &granted));
    return ((c->verbs | c->principal.verbs | granted) & ~give) != 0 ? VS_DENIED : VS_OK;
}

static int user_run(struct commit_txn *txn, void *ctx)
{
    struct user_change *c = ctx;
    struct audit_entry entry = {.vault = c->login->vault, .operation = c->operation, .id = c->id,
                                .principal = login_name(c->login), .detail = c->detail};

    memset(&c->principal, 0, sizeof(c->principal));
    snprintf(c->detail, sizeof(c->detail), "%s", c->who.name);
    VS_TRY(user_enter(txn, c));
    VS_TRY(c->step(txn, c));
    entry.generation = c->live.number;
    return audit_append(txn, &entry);
}

static int user_change(struct vs_store *store, const char *where, struct user_change *c)
{
    int status;

    if (c->login == NULL)
        return VS_DENIED;
    if (!user_name_fits(c->who.name) || (c->verbs & ~(uint32_t)VS_VERBS_ALL) != 0)
        return VS_POLICY;
    status = commit_run(store, user_run, c);
    if (status == VS_DENIED) {
        const struct audit_entry entry = {.vault = c->login->vault,
                                          .generation = c->login->generation,
                                          .operation = c->operation, .result = status,
                                          .principal = login_name(c->login),
                                          .detail = c->who.name};
        audit_refusal(store, &entry);
    }
    return store_result(store, where, status);
}

static struct user_change change_of(const struct vs_login *login, const char *name)
{
    return (struct user_change){.login = login, .who = {.role = VS_ROLE_USER, .name = name}};
}

/* ------------------------------------------------------------------ add, PIN */

static int wrap_step(struct commit_txn *txn, struct user_change *c)
{
    AUTO(secret_key) struct secret_key slot;

    if (c->fresh) {
        VS_TRY(seal_random(txn->store->sealer, c->principal.number, sizeof(c->principal.number)));
        c->principal.verbs = c->verbs;
        c->principal.created_at = txn->clock.now;
        actor_name(txn->store, login_name(c->login), c->principal.created_by);
        snprintf(c->detail, sizeof(c->detail), "%s verbs %#x", c->who.name, c->verbs);
    }
    VS_TRY(keyslots_read(txn->store->slots, c->live.slot, slot.b));
    VS_TRY(principal_wrap(txn->store, &c->live, c->who, slot.b, c->pin_key,
                          login_ring_of(c->login, c->live.rotation.epoch)->vault_key,
                          &c->principal, NULL));
    return principal_put(txn, c->live.number, c->who, &c->principal);
}

/* The PIN is stretched before the transaction, which may run several times. */
static int with_pin(struct vs_store *store, const char *where, struct user_change *c,
                    const uint8_t *pin, size_t pin_len)
{
    AUTO(pin_lock) struct pin_lock lock = {.fd = -1};
    AUTO(pin_key) struct pin_key pin_key;
    struct generation live;

    if (c->login == NULL)
        return VS_DENIED;
    if (!user_name_fits(c->who.name))
        return VS_POLICY;
    VS_TRY(store_result(store, where, live_read(store, c->login->vault, &live)));
    VS_TRY(store_result(store, where,
                        pin_stretch(store, pin, pin_len, live.policy.scrypt_log_n, &pin_key)));
    VS_TRY(store_result(store, where, pin_lock_take(store, live.number, c->who, &lock)));
    c->pin_key = &pin_key;
    c->step = wrap_step;
    return user_change(store, where, c);
}

int vs_user_add(struct vs_store *store, struct vs_login *login, const char *name,
                const uint8_t *pin, size_t pin_len, uint32_t verbs)
{
    struct user_change c = change_of(login, name);

    c.operation = "UserAdd";
    c.fresh = true;
    c.verbs = verbs;
    return with_pin(store, __func__, &c, pin, pin_len);
}

int vs_user_set_pin(struct vs_store *store, struct vs_login *login, const char *name,
                    const uint8_t *pin, size_t pin_len)
{
    struct user_change c = change_of(login, name);

    c.operation = "UserPin";
    return with_pin(store, __func__, &c, pin, pin_len);
}

/* ------------------------------------------------------------------ verbs, grants */

static int verbs_step(struct commit_txn *txn, struct user_change *c)
{
    snprintf(c->detail, sizeof(c->detail), "%s verbs %#x, before %#x", c->who.name, c->verbs,
             c->principal.verbs);
    c->principal.verbs = c->verbs;
    return principal_put(txn, c->live.number, c->who, &c->principal);
}

int vs_user_set_verbs(struct vs_store *store, struct vs_login *login, const char *name,
                      uint32_t verbs)
{
    struct user_change c = change_of(login, name);

    c.operation = "UserVerbs";
    c.step = verbs_step;
    c.verbs = verbs;
    return user_change(store, __func__, &c);
}

static int grant_step(struct commit_txn *txn, struct user_change *c)
{
    struct key object = key_object(c->id);
    struct key key = key_grant(c->live.number, c->principal.number, c->id);
    struct kv_slice value;
    uint8_t body[4];
    struct writer w;

    if (c->verbs == 0)
        return commit_discard(txn, &key);
    VS_TRY(kv_get(txn->kv, object.b, object.len, &value));
    snprintf(c->detail, sizeof(c->detail), "%s verbs %#x", c->who.name, c->verbs);
    writer_init(&w, body, sizeof(body));
    put_u32(&w, c->verbs);
    return trusted_put(txn, &key, &w);
}

int vs_user_grant(struct vs_store *store, struct vs_login *login, const char *name,
                  const struct vs_id *id, uint32_t verbs)
{
    struct user_change c = change_of(login, name);

    c.operation = "UserGrant";
    c.step = grant_step;
    c.verbs = verbs;
    c.id = id;
    return user_change(store, __func__, &c);
}

/* ------------------------------------------------------------------ remove */

#define REMOVE_TRIES 16

static int grants_clear(struct commit_txn *txn, const struct user_change *c)
{
    struct key prefix = key_grants(c->live.number, c->principal.number), key;
    struct kv_slice found, value;
    int status = VS_OK;

    while (status == VS_OK) {
        struct kv_cursor *cursor = NULL;

        VS_TRY(kv_cursor_open(txn->kv, &cursor));
        status = kv_cursor_seek(cursor, prefix.b, prefix.len, &found, &value);
        if (status == VS_OK && !key_has_prefix(&found, &prefix))
            status = VS_END;
        if (status == VS_OK) {
            key.len = found.len;
            memcpy(key.b, found.data, found.len);
        }
        kv_cursor_close(cursor);
        if (status == VS_OK)
            VS_TRY(commit_discard(txn, &key));
    }
    return status == VS_END ? VS_OK : status;
}

static int remove_step(struct commit_txn *txn, struct user_change *c)
{
    struct key key = key_named(c->live.number, c->who.name);

    if (c->must_rotate && c->live.rotation.resealing)
        return VS_STALE;
    VS_TRY(rotation_begin(txn, c->login, &c->live, c->who.name, &c->rotated));
    snprintf(c->detail, sizeof(c->detail), "%s, the vault key %s", c->who.name,
             c->rotated                   ? "is rotated"
             : c->live.rotation.resealing ? "stays for now: damaged objects hang on the one before"
                                          : "stays for now: not everybody has a public key yet");
    VS_TRY(grants_clear(txn, c));
    return commit_delete(txn, &key);
}

int vs_user_remove(struct vs_store *store, struct vs_login *login, const char *name)
{
    struct user_change c = change_of(login, name);
    int status = VS_STALE;

    c.operation = "UserRemove";
    c.step = remove_step;
    /* The key of a rotation that is under way was sealed to this user, too: that one is finished
     * first. Not for ever: a damaged record keeps it from ending. */
    for (int i = 1; status == VS_STALE && i <= REMOVE_TRIES; i++) {
        if (login != NULL)
            VS_TRY(store_result(store, __func__, rotation_finish(store, login)));
        c.must_rotate = i < REMOVE_TRIES;
        status = user_change(store, __func__, &c);
    }
    VS_TRY(status);
    if (!c.rotated)
        store_trace(store, __func__, "%s is removed; the vault key is rotated by a later login, "
                    "see the event UserRemove", name);
    /* done is done: a fault here is traced, and the next login goes on */
    (void)store_result(store, __func__, rotation_finish(store, login));
    return VS_OK;
}

/* ------------------------------------------------------------------ listing */

/* Calls `each` with every key under the prefix. */
static int prefix_walk(struct kv_txn *txn, const struct key *prefix,
                       int (*each)(const struct kv_slice *rest, void *ctx), void *ctx)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct kv_slice key, value;
    int status;

    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, prefix->b, prefix->len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, prefix)) {
        const struct kv_slice rest = {key.data + prefix->len, key.len - prefix->len};
        VS_TRY(each(&rest, ctx));
        status = kv_cursor_next(cursor, &key, &value);
    }
    return status == VS_OK || status == VS_END ? VS_OK : status;
}

static int count_one(const struct kv_slice *rest, void *ctx)
{
    (void)rest;
    ++*(uint32_t *)ctx;
    return VS_OK;
}

struct user_list {
    struct vs_store *store;
    struct kv_txn *txn;
    const struct generation *live;
    struct vs_user_info *infos;
    size_t cap, n;
};

static int user_info(const struct user_list *list, const char *name, struct vs_user_info *ret_info)
{
    const struct who who = {.role = VS_ROLE_USER, .name = name};
    struct vs_user_info info = {.verbs = 0};
    uint32_t tries = list->live->policy.pin_tries;
    struct principal p;
    struct key grants;

    VS_TRY(principal_get(list->store, list->txn, list->live->number, who, &p));
    snprintf(info.name, sizeof(info.name), "%s", name);
    info.verbs = p.verbs;
    info.created_at = p.created_at;
    memcpy(info.created_by, p.created_by, sizeof(info.created_by));
    info.tries_left = p.tries >= tries ? 0 : tries - p.tries;
    grants = key_grants(list->live->number, p.number);
    VS_TRY(prefix_walk(list->txn, &grants, count_one, &info.grants));
    *ret_info = info;
    return VS_OK;
}

static int list_one(const struct kv_slice *rest, void *ctx)
{
    struct user_list *list = ctx;
    char name[VS_USER_NAME_MAX + 1] = "";

    if (rest->len > VS_USER_NAME_MAX)
        return VS_E_CORRUPT;
    memcpy(name, rest->data, rest->len);
    if (list->n < list->cap)
        VS_TRY(user_info(list, name, &list->infos[list->n]));
    list->n++;
    return VS_OK;
}

static int user_list(struct vs_store *store, uint32_t vault, struct user_list *list)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct generation live;
    struct key prefix;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(generation_live(store, txn, vault, &live));
    list->store = store;
    list->txn = txn;
    list->live = &live;
    prefix = key_named(live.number, "");
    return prefix_walk(txn, &prefix, list_one, list);
}

int vs_user_list(struct vs_store *store, uint32_t vault, struct vs_user_info *ret_infos,
                 size_t cap, size_t *ret_n)
{
    struct user_list list = {.infos = ret_infos, .cap = cap};

    VS_TRY(store_result(store, __func__, user_list(store, vault, &list)));
    *ret_n = list.n;
    return VS_OK;
}

struct grant_list {
    struct vs_store *store;
    struct kv_txn *txn;
    uint32_t generation;
    struct principal principal;
    struct vs_grant *grants;
    size_t cap, n;
};

static int grant_one(const struct kv_slice *rest, void *ctx)
{
    struct grant_list *list = ctx;
    struct vs_grant grant;

    if (rest->len != sizeof(grant.id.b))
        return VS_E_CORRUPT;
    memcpy(grant.id.b, rest->data, rest->len);
    VS_TRY(grant_get(list->store, list->txn, list->generation, list->principal.number, &grant.id,
                     &grant.verbs));
    if (list->n < list->cap)
        list->grants[list->n] = grant;
    list->n++;
    return VS_OK;
}

static int grant_list(struct vs_store *store, uint32_t vault, const char *name,
                      struct grant_list *list)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    const struct who who = {.role = VS_ROLE_USER, .name = name};
    struct generation live;
    struct key prefix;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(generation_live(store, txn, vault, &live));
    VS_TRY(principal_get(store, txn, live.number, who, &list->principal));
    list->store = store;
    list->txn = txn;
    list->generation = live.number;
    prefix = key_grants(live.number, list->principal.number);
    return prefix_walk(txn, &prefix, grant_one, list);
}

int vs_user_grants(struct vs_store *store, uint32_t vault, const char *name,
                   struct vs_grant *ret_grants, size_t cap, size_t *ret_n)
{
    struct grant_list list = {.grants = ret_grants, .cap = cap};

    if (!user_name_fits(name))
        return VS_NOT_FOUND;
    VS_TRY(store_result(store, __func__, grant_list(store, vault, name, &list)));
    *ret_n = list.n;
    return VS_OK;
}

static int user_exists(struct vs_store *store, uint32_t vault, struct who who)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct generation live;
    struct principal principal;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(generation_live(store, txn, vault, &live));
    return principal_get(store, txn, live.number, who, &principal);
}

int vs_user_exists(struct vs_store *store, uint32_t vault, const char *name)
{
    const struct who who = {.role = VS_ROLE_USER, .name = name};

    if (!user_name_fits(name))
        return VS_NOT_FOUND;
    return store_result(store, __func__, user_exists(store, vault, who));
}
