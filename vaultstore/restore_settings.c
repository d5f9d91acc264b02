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
#define USERS_MAX 1024u

/* A named principal, or a grant, as it lies in the blob. */
struct user_record {
    const struct vs_login *login;
    const uint8_t *place;         /* of the key, what follows the generation */
    size_t place_len;
    uint8_t body[SCHEMA_BODY_MAX];
    size_t body_len;
    bool put;
};

static uint32_t u32_at(const uint8_t *data)
{
    struct reader r;

    reader_init(&r, data, 4);
    return get_u32(&r);
}

/* Without its PIN and its pair: they opened the vault it was in, and who was removed stays outside
 * until somebody gives out a new one. */
static int user_lock(struct user_record *user, const struct generation *live)
{
    struct writer w;
    size_t end = AT_CREATED_BY + 4;

    if (user->body_len < end || user->place_len > 1 + VS_USER_NAME_MAX)
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

static int user_put(struct commit_txn *txn, void *ctx)
{
    struct user_record *user = ctx;
    struct audit_entry entry = {.vault = user->login->vault, .operation = "UserAdd",
                                .principal = login_name(user->login)};
    struct generation live;
    struct kv_slice value;
    char detail[96];
    struct key key;
    uint32_t verbs = 0;
    struct writer w;
    int status;

    user->put = false;
    VS_TRY(generation_enter(txn->store, txn->kv, user->login->vault, user->login, &live));
    VS_TRY(login_verbs(txn->store, txn->kv, user->login, NULL, &verbs));
    if (!(verbs & VS_VERB_POLICY))
        return VS_DENIED;
    if (live.lock >= GENERATION_READ_ONLY)
        return VS_LOCKED;
    key = key_principals(live.number);
    if (user->place_len + key.len > sizeof(key.b))
        return VS_E_CORRUPT;
    memcpy(key.b + key.len, user->place, user->place_len);
    key.len += user->place_len;
    status = kv_get(txn->kv, key.b, key.len, &value);
    if (status != VS_NOT_FOUND)
        return status;            /* there is one of that name: it stays as it is */
    if (user->place[0] == PRINCIPAL_NAMED) {
        VS_TRY(user_lock(user, &live));
        if (user->login->role != VS_ROLE_SO && (u32_at(user->body + AT_VERBS) & ~verbs) != 0)
            return VS_DENIED;
    }
    writer_init(&w, user->body, sizeof(user->body));
    w.len = user->body_len;
    VS_TRY(trusted_put(txn, &key, &w));
    user->put = true;
    if (user->place[0] != PRINCIPAL_NAMED)
        return VS_OK;
    snprintf(detail, sizeof(detail), "%.*s restored, without a PIN", (int)user->place_len - 1,
             (const char *)user->place + 1);
    entry.generation = live.number;
    entry.detail = detail;
    return audit_append(txn, &entry);
}

/* The numbers of those that were put: only they get their grants. */
struct numbers { uint8_t b[USERS_MAX][PRINCIPAL_NUMBER]; size_t n; };

static bool grant_fits(const struct user_record *grant, const struct numbers *numbers)
{
    for (size_t i = 0; i < numbers->n; i++)
        if (memcmp(grant->place + 1, numbers->b[i], PRINCIPAL_NUMBER) == 0)
            return true;
    return false;
}

static int user_read(struct reader *body, struct user_record *user)
{
    const uint8_t *bytes;

    user->place = get_bytes(body, &user->place_len);
    bytes = get_bytes(body, &user->body_len);
    if (!reader_end(body) || user->place_len < 2 || user->body_len > sizeof(user->body))
        return VS_E_CORRUPT;
    if (user->place[0] == PRINCIPAL_GRANT &&
        (user->place_len != 1 + PRINCIPAL_NUMBER + sizeof(struct vs_id) || user->body_len != 4))
        return VS_E_CORRUPT;
    memcpy(user->body, bytes, user->body_len);
    return VS_OK;
}

static int user_restore(struct vs_store *store, struct vs_login *login, struct reader *body,
                        const struct vs_restore *ask, struct numbers *numbers, uint64_t *done)
{
    struct user_record user = {.login = login};
    char name[VS_USER_NAME_MAX + 1] = "";

    VS_TRY(user_read(body, &user));
    if (user.place[0] == PRINCIPAL_GRANT) {
        if (!grant_fits(&user, numbers) || ask->dry_run)
            return VS_OK;
        return commit_run(store, user_put, &user);
    }
    if (user.place[0] != PRINCIPAL_NAMED || user.place_len - 1 > VS_USER_NAME_MAX)
        return VS_E_CORRUPT;
    memcpy(name, user.place + 1, user.place_len - 1);
    if (!user_name_fits(name) || user.body_len < AT_VERBS + 4)
        return VS_E_CORRUPT;
    if (ask->dry_run) {
        int status = vs_user_exists(store, login->vault, name);
        *done += status == VS_NOT_FOUND ? 1 : 0;
        return status == VS_NOT_FOUND ? VS_OK : status;
    }
    VS_TRY(commit_run(store, user_put, &user));
    *done += user.put ? 1 : 0;
    if (user.put && numbers->n < USERS_MAX)
        memcpy(numbers->b[numbers->n++], user.body + AT_NUMBER, PRINCIPAL_NUMBER);
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
    struct numbers *numbers = calloc(1, sizeof(*numbers));
    enum blob_record kind;
    uint64_t done = 0;
    struct reader body;
    int status = numbers == NULL ? VS_E_NOMEM
                 : vs_login_verbs(login) & VS_VERB_POLICY ? VS_OK : VS_DENIED;

    while (status == VS_OK && (status = blob_read(blob, &body, &kind)) == VS_OK) {
        if (kind == BLOB_GENERATION)
            status = policy_restore(store, vault, login, &body, ask);
        else if (kind == BLOB_PRINCIPAL)
            status = user_restore(store, login, &body, ask, numbers, &done);
    }
    free(numbers);
    if (status != VS_END)
        return status;
    *ret_restored = done;
    return VS_OK;
}
