/* restore_settings.c: the policy and the users out of a blob. */
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "restore.h"

/* In a principal's body. */
#define AT_TRIES 20u
#define AT_WRAPPED 24u
#define AT_NUMBER (AT_WRAPPED + PRINCIPAL_WRAPPED)
#define AT_VERBS (AT_NUMBER + PRINCIPAL_NUMBER)
#define AT_CREATED_BY (AT_VERBS + 12u)

/* A named principal as it lies in the blob. */
struct user_record {
    char name[VS_USER_NAME_MAX + 1];
    uint8_t body[SCHEMA_BODY_MAX];
    size_t body_len;
};

struct grant_record { uint8_t number[PRINCIPAL_NUMBER]; struct vs_id id; uint32_t verbs; };

/* All of the blob's: a user and its grants go in together, so that a restore cut short and done
 * again leaves nobody with half of them. */
struct people {
    struct user_record *users;
    struct grant_record *grants;
    size_t n_users, n_grants, cap_users, cap_grants;
};

static void people_auto(struct people *people)
{
    free(people->users);
    free(people->grants);
}

static uint32_t u32_at(const uint8_t *data)
{
    struct reader r;

    reader_init(&r, data, 4);
    return get_u32(&r);
}

/* ------------------------------------------------------------------ out of the blob */

/* Room for one more. */
static int people_room(void **list, size_t n, size_t *cap, size_t size)
{
    size_t more = *cap == 0 ? 16 : *cap * 2;
    void *bigger;

    if (n < *cap)
        return VS_OK;
    bigger = realloc(*list, more * size);
    if (bigger == NULL)
        return VS_E_NOMEM;
    *list = bigger;
    *cap = more;
    return VS_OK;
}

static int user_read(struct people *people, const uint8_t *name, size_t name_len,
                     const uint8_t *body, size_t body_len)
{
    struct user_record *user;
    void *list = people->users;
    int status = people_room(&list, people->n_users, &people->cap_users, sizeof(*user));

    people->users = list;
    VS_TRY(status);
    user = &people->users[people->n_users];
    memset(user, 0, sizeof(*user));
    if (name_len > VS_USER_NAME_MAX || body_len > sizeof(user->body) || body_len < AT_VERBS + 4)
        return VS_E_CORRUPT;
    memcpy(user->name, name, name_len);
    memcpy(user->body, body, body_len);
    user->body_len = body_len;
    people->n_users++;
    return user_name_fits(user->name) ? VS_OK : VS_E_CORRUPT;
}

static int grant_read(struct people *people, const uint8_t *place, size_t place_len,
                      const uint8_t *body, size_t body_len)
{
    struct grant_record *grant;
    void *list = people->grants;
    int status = people_room(&list, people->n_grants, &people->cap_grants, sizeof(*grant));

    people->grants = list;
    VS_TRY(status);
    grant = &people->grants[people->n_grants];
    if (place_len != sizeof(grant->number) + sizeof(grant->id) || body_len != 4)
        return VS_E_CORRUPT;
    memcpy(grant->number, place, sizeof(grant->number));
    memcpy(grant->id.b, place + sizeof(grant->number), sizeof(grant->id.b));
    grant->verbs = u32_at(body);
    people->n_grants++;
    return VS_OK;
}

static int principal_read(struct people *people, struct reader *r)
{
    size_t place_len, body_len;
    const uint8_t *place = get_bytes(r, &place_len), *body = get_bytes(r, &body_len);

    if (!reader_end(r) || place_len < 2)
        return VS_E_CORRUPT;
    if (place[0] == PRINCIPAL_NAMED)
        return user_read(people, place + 1, place_len - 1, body, body_len);
    return place[0] == PRINCIPAL_GRANT
               ? grant_read(people, place + 1, place_len - 1, body, body_len) : VS_E_CORRUPT;
}

/* ------------------------------------------------------------------ into the vault */

struct user_put {
    const struct vs_login *login;
    const struct people *people;
    const struct user_record *user;
    bool put;
};

/* Without its PIN and its pair: they opened the vault it was in, and who was removed stays outside
 * until somebody gives out a new one. */
static int user_lock(struct user_record *user, const struct generation *live)
{
    struct writer w;
    size_t end = AT_CREATED_BY + 4;

    if (user->body_len < end)
        return VS_E_CORRUPT;
    end += u32_at(user->body + AT_CREATED_BY);
    if (user->body_len < end)
        return VS_E_CORRUPT;
    user->body_len = end;
    writer_init(&w, user->body + AT_TRIES, 4);
    put_u32(&w, live->policy.pin_tries);
    memset(user->body + AT_WRAPPED, 0, PRINCIPAL_WRAPPED);
    return VS_OK;
}

/* Those of the number that it had go to the one that it gets. */
static int grants_put(struct commit_txn *txn, const struct people *people, uint32_t generation,
                      const uint8_t had[PRINCIPAL_NUMBER], const uint8_t number[PRINCIPAL_NUMBER])
{
    for (size_t i = 0; i < people->n_grants; i++) {
        const struct grant_record *grant = &people->grants[i];
        struct key key = key_grant(generation, number, &grant->id);
        uint8_t body[4];
        struct writer w;

        if (memcmp(grant->number, had, PRINCIPAL_NUMBER) != 0)
            continue;
        writer_init(&w, body, sizeof(body));
        put_u32(&w, grant->verbs);
        VS_TRY(trusted_put(txn, &key, &w));
    }
    return VS_OK;
}

/* In general, and by its grants. */
static uint32_t user_verbs(const struct user_put *put)
{
    uint32_t verbs = u32_at(put->user->body + AT_VERBS);

    for (size_t i = 0; i < put->people->n_grants; i++)
        if (memcmp(put->people->grants[i].number, put->user->body + AT_NUMBER,
                   PRINCIPAL_NUMBER) == 0)
            verbs |= put->people->grants[i].verbs;
    return verbs;
}

static int user_enter(struct commit_txn *txn, const struct user_put *put,
                      struct generation *ret_live)
{
    uint32_t verbs = 0;

    VS_TRY(generation_enter(txn->store, txn->kv, put->login->vault, put->login, ret_live));
    VS_TRY(login_verbs(txn->store, txn->kv, put->login, NULL, &verbs));
    if (!(verbs & VS_VERB_POLICY))
        return VS_DENIED;
    if (ret_live->lock >= GENERATION_READ_ONLY)
        return VS_LOCKED;
    return put->login->role != VS_ROLE_SO && (user_verbs(put) & ~verbs) != 0 ? VS_DENIED : VS_OK;
}

static int user_put(struct commit_txn *txn, void *ctx)
{
    struct user_put *put = ctx;
    struct user_record user = *put->user;
    struct audit_entry entry = {.vault = put->login->vault, .operation = "UserAdd",
                                .principal = login_name(put->login)};
    struct generation live;
    struct kv_slice value;
    char detail[96];
    struct key key;
    struct writer w;
    int status;

    put->put = false;
    VS_TRY(user_enter(txn, put, &live));
    key = key_named(live.number, user.name);
    status = kv_get(txn->kv, key.b, key.len, &value);
    if (status != VS_NOT_FOUND)
        return status;            /* there is one of that name: it stays as it is */
    VS_TRY(user_lock(&user, &live));
    /* another principal than the one who was removed, whose logins and approvals are void */
    VS_TRY(seal_random(txn->store->sealer, user.body + AT_NUMBER, PRINCIPAL_NUMBER));
    writer_init(&w, user.body, sizeof(user.body));
    w.len = user.body_len;
    VS_TRY(trusted_put(txn, &key, &w));
    VS_TRY(grants_put(txn, put->people, live.number, put->user->body + AT_NUMBER,
                      user.body + AT_NUMBER));
    put->put = true;
    snprintf(detail, sizeof(detail), "%s restored, without a PIN", user.name);
    entry.generation = live.number;
    entry.detail = detail;
    return audit_append(txn, &entry);
}

static int user_restore(struct vs_store *store, struct vs_login *login,
                        const struct people *people, const struct user_record *user, bool dry_run,
                        uint64_t *done)
{
    struct user_put put = {.login = login, .people = people, .user = user};

    if (dry_run) {
        int status = vs_user_exists(store, login->vault, user->name);
        *done += status == VS_NOT_FOUND ? 1 : 0;
        return status == VS_NOT_FOUND ? VS_OK : status;
    }
    VS_TRY(commit_run(store, user_put, &put));
    *done += put.put ? 1 : 0;
    return VS_OK;
}

static int policy_restore(struct vs_store *store, uint32_t vault, struct vs_login *login,
                          struct reader *body, const struct vs_restore *ask)
{
    struct generation g;

    VS_TRY(generation_decode(body, vault, 0, &g));
    return ask->dry_run ? VS_OK : vs_vault_set_policy(store, login, &g.policy);
}

int restore_settings(struct vs_store *store, uint32_t vault, struct vs_login *login,
                     struct blob *blob, const struct vs_restore *ask, uint64_t *ret_restored)
{
    AUTO(people) struct people people = {.n_users = 0};
    enum blob_record kind;
    uint64_t done = 0;
    struct reader body;
    int status = vs_login_verbs(login) & VS_VERB_POLICY ? VS_OK : VS_DENIED;

    while (status == VS_OK && (status = blob_read(blob, &body, &kind)) == VS_OK) {
        if (kind == BLOB_GENERATION)
            status = policy_restore(store, vault, login, &body, ask);
        else if (kind == BLOB_PRINCIPAL)
            status = principal_read(&people, &body);
    }
    if (status != VS_END)
        return status;
    for (size_t i = 0; i < people.n_users; i++)
        VS_TRY(user_restore(store, login, &people, &people.users[i], ask->dry_run, &done));
    *ret_restored = done;
    return VS_OK;
}
