/*
 * principal.c: the records of principals: the SO, the user, and named ones with their verbs and
 * grants. A grant hangs on the principal's own number, not on its name: whoever is given a removed
 * principal's name later inherits nothing.
 */
#include <stdio.h>

#include "store_internal.h"

const char *who_name(struct who who)
{
    static const char *const names[] = {"public", "so", "user"};

    if (who.name != NULL)
        return who.name;
    return (size_t)who.role < sizeof(names) / sizeof(names[0]) ? names[who.role] : "unknown";
}

const char *role_name(enum vs_role role)
{
    return who_name((struct who){.role = role});
}

static struct key who_key(uint32_t generation, struct who who)
{
    return who.name != NULL ? key_named(generation, who.name) : key_principal(generation, who.role);
}

/* ------------------------------------------------------------------ records */

/* What format 1 did not have. */
static void principal_decode_2(struct reader *r, struct principal *p)
{
    if (!reader_more(r))
        return;
    get_raw(r, p->number, sizeof(p->number));
    p->verbs = get_u32(r);
    p->created_at = (int64_t)get_u64(r);
    get_text(r, p->created_by, sizeof(p->created_by));
    if (!reader_more(r))
        return;                  /* restored, and without a PIN as yet */
    p->has_pair = get_u8(r) != 0;
    p->epoch = get_u64(r);
    get_raw(r, p->public_key, sizeof(p->public_key));
    get_raw(r, p->box, sizeof(p->box));
}

int principal_get(struct vs_store *store, struct kv_txn *txn, uint32_t generation, struct who who,
                  struct principal *ret_principal)
{
    struct key key = who_key(generation, who);
    struct principal p;
    struct reader r;

    memset(&p, 0, sizeof(p));
    VS_TRY(trusted_get(store, txn, &key, &r));
    get_raw(&r, p.salt, sizeof(p.salt));
    p.log_n = get_u32(&r);
    p.tries = get_u32(&r);
    get_raw(&r, p.wrapped, sizeof(p.wrapped));
    principal_decode_2(&r, &p);
    if (!reader_end(&r) || p.log_n > VS_SCRYPT_LOG_N_MAX)
        return VS_E_CORRUPT;
    *ret_principal = p;
    return VS_OK;
}

int principal_put(struct commit_txn *txn, uint32_t generation, struct who who,
                  const struct principal *principal)
{
    struct key key = who_key(generation, who);
    uint8_t body[SCHEMA_BODY_MAX];
    struct writer w;

    writer_init(&w, body, sizeof(body));
    put_raw(&w, principal->salt, sizeof(principal->salt));
    put_u32(&w, principal->log_n);
    put_u32(&w, principal->tries);
    put_raw(&w, principal->wrapped, sizeof(principal->wrapped));
    put_raw(&w, principal->number, sizeof(principal->number));
    put_u32(&w, principal->verbs);
    put_u64(&w, (uint64_t)principal->created_at);
    put_text(&w, principal->created_by);
    put_u8(&w, principal->has_pair ? 1 : 0);
    put_u64(&w, principal->epoch);
    put_raw(&w, principal->public_key, sizeof(principal->public_key));
    put_raw(&w, principal->box, sizeof(principal->box));
    return trusted_put(txn, &key, &w);
}

/* Whose record the key is; `after`: a key that is right behind it. */
static struct who who_of(const struct key *prefix, const struct kv_slice *key,
                         char ret_name[VS_USER_NAME_MAX + 1], struct key *after)
{
    struct who who = {.role = VS_ROLE_USER, .name = ret_name};

    memset(ret_name, 0, VS_USER_NAME_MAX + 1);
    memcpy(after->b, key->data, key->len);
    after->len = key->len;
    after->b[after->len++] = 0;
    if (key->data[prefix->len] == PRINCIPAL_NAMED)
        memcpy(ret_name, key->data + prefix->len + 1, key->len - prefix->len - 1);
    else
        who = (struct who){.role = key->data[prefix->len]};
    return who;
}

int principals_each(struct vs_store *store, struct kv_txn *txn, const struct generation *g,
                    principal_fn *each, void *ctx)
{
    struct key prefix = key_principals(g->number), from = prefix;

    for (;;) {
        AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
        struct kv_slice key, value;
        char name[VS_USER_NAME_MAX + 1];
        struct principal p;
        struct who who;
        int status;

        VS_TRY(kv_cursor_open(txn, &cursor));
        status = kv_cursor_seek(cursor, from.b, from.len, &key, &value);
        if (status == VS_END || (status == VS_OK && (!key_has_prefix(&key, &prefix) ||
                                                     key.data[prefix.len] >= PRINCIPAL_GRANT)))
            return VS_OK;
        VS_TRY(status);
        if (key.len <= prefix.len || key.len > prefix.len + 1 + VS_USER_NAME_MAX)
            return VS_E_CORRUPT;
        who = who_of(&prefix, &key, name, &from);
        kv_cursor_close(cursor);
        cursor = NULL;               /* `each` may put */
        status = principal_get(store, txn, g->number, who, &p);
        if (status == VS_E_CORRUPT)
            continue;                /* traced; nobody logs in by it, and nothing is sealed to it */
        VS_TRY(status);
        VS_TRY(each(g, who, &p, ctx));
    }
}

/* ------------------------------------------------------------------ the wrapped vault key */

/* Binds a wrapped key to its place. */
static size_t wrap_label(const struct generation *generation, struct who who,
                         uint8_t ret_label[128])
{
    struct writer w;

    writer_init(&w, ret_label, 128);
    put_text(&w, "reprieve principal");
    put_raw(&w, generation->tag, sizeof(generation->tag));
    put_u32(&w, generation->number);
    put_u8(&w, who.name != NULL ? PRINCIPAL_NAMED : (uint8_t)who.role);
    if (who.name != NULL)
        put_text(&w, who.name);
    return w.len;
}

/* The stretched PIN alone does not open a copy of the database: host key and slot go in too. */
static int wrap_key(struct vs_store *store, const uint8_t slot_secret[KEYSLOT_SIZE],
                    const uint8_t stretched[SEAL_KEY], const uint8_t *label, size_t label_len,
                    struct secret_key *ret_key)
{
    uint8_t ikm[2 * SEAL_KEY];
    int status;

    memcpy(ikm, stretched, SEAL_KEY);
    memcpy(ikm + SEAL_KEY, store->keys->mix, SEAL_KEY);
    status = seal_derive(store->sealer, ikm, sizeof(ikm), slot_secret, KEYSLOT_SIZE, label,
                         label_len, ret_key->b);
    explicit_bzero(ikm, sizeof(ikm));
    return status;
}

/* Binds a box to its place, and to the key in it. */
static size_t box_label(const struct generation *generation, struct who who, uint64_t epoch,
                        uint8_t ret_label[160])
{
    size_t len = wrap_label(generation, who, ret_label);
    struct writer w;

    writer_init(&w, ret_label + len, 160 - len);
    put_text(&w, "box");
    put_u64(&w, epoch);
    return len + w.len;
}

int principal_box_close(struct vs_store *store, const struct generation *generation,
                        struct who who, const uint8_t vault_key[SEAL_KEY],
                        struct principal *principal)
{
    uint8_t label[160];
    size_t len = box_label(generation, who, generation->rotation.epoch, label);

    VS_TRY(seal_box_close(store->sealer, principal->public_key, label, len, vault_key,
                          principal->box));
    principal->epoch = generation->rotation.epoch;
    return VS_OK;
}

int principal_box_open(struct vs_store *store, const struct generation *generation, struct who who,
                       const struct principal *principal, const uint8_t private_key[SEAL_KEY],
                       struct secret_key *ret_vault_key)
{
    uint8_t label[160];
    size_t len = box_label(generation, who, principal->epoch, label);

    return seal_box_open(store->sealer, private_key, label, len, principal->box,
                         ret_vault_key->b);
}

int principal_wrap(struct vs_store *store, const struct generation *generation, struct who who,
                   const uint8_t slot_secret[KEYSLOT_SIZE], const struct pin_key *pin_key,
                   const uint8_t vault_key[SEAL_KEY], struct principal *principal,
                   struct secret_key *pair)
{
    AUTO(secret_key) struct secret_key key, fresh;
    bool keep = pair != NULL && principal->has_pair;
    uint8_t label[128], wrapped[PRINCIPAL_WRAPPED];
    size_t label_len = wrap_label(generation, who, label);

    if (keep)
        fresh = *pair;
    else
        VS_TRY(seal_pair(store->sealer, fresh.b, principal->public_key));
    VS_TRY(wrap_key(store, slot_secret, pin_key->key, label, label_len, &key));
    VS_TRY(seal_close(store->sealer, key.b, label, label_len, fresh.b, SEAL_KEY, wrapped));
    VS_TRY(principal_box_close(store, generation, who, vault_key, principal));
    principal->has_pair = true;
    principal->log_n = pin_key->log_n;
    principal->tries = 0;
    memcpy(principal->salt, pin_key->salt, sizeof(principal->salt));
    memcpy(principal->wrapped, wrapped, sizeof(wrapped));
    if (pair != NULL)
        *pair = fresh;
    return VS_OK;
}

int principal_unwrap(struct vs_store *store, const struct generation *generation, struct who who,
                     const struct principal *principal, const uint8_t *pin, size_t pin_len,
                     struct secret_key *ret_private_key, struct secret_key *ret_vault_key)
{
    AUTO(secret_key) struct secret_key slot, stretched, key;
    uint8_t label[128];
    size_t label_len = wrap_label(generation, who, label);
    int status;

    status = keyslots_read(store->slots, generation->slot, slot.b);
    if (status == VS_NOT_FOUND) {
        store_trace(store, __func__, "generation %u was purged: the database is an older copy, and "
                    "no PIN opens it", (unsigned)generation->number);
        return VS_E_CORRUPT;
    }
    VS_TRY(status);
    VS_TRY(seal_scrypt(store->sealer, pin, pin_len, principal->salt, principal->log_n,
                       stretched.b));
    VS_TRY(wrap_key(store, slot.b, stretched.b, label, label_len, &key));
    status = seal_open(store->sealer, key.b, label, label_len, principal->wrapped,
                       sizeof(principal->wrapped), ret_private_key->b);
    if (status == VS_E_CORRUPT)
        return VS_PIN_INCORRECT;
    VS_TRY(status);
    if (principal->has_pair)
        return principal_box_open(store, generation, who, principal, ret_private_key->b,
                                  ret_vault_key);
    *ret_vault_key = *ret_private_key;
    return VS_OK;
}

/* ------------------------------------------------------------------ verbs */

int grant_get(struct vs_store *store, struct kv_txn *txn, uint32_t generation,
              const uint8_t number[PRINCIPAL_NUMBER], const struct vs_id *id, uint32_t *ret_verbs)
{
    struct key key = key_grant(generation, number, id);
    struct reader r;
    int status = trusted_get(store, txn, &key, &r);

    if (status == VS_NOT_FOUND) {
        *ret_verbs = 0;
        return VS_OK;
    }
    VS_TRY(status);
    *ret_verbs = get_u32(&r);
    return reader_end(&r) ? VS_OK : VS_E_CORRUPT;
}

int grants_all(struct vs_store *store, struct kv_txn *txn, uint32_t generation,
               const uint8_t number[PRINCIPAL_NUMBER], uint32_t *ret_verbs)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key prefix = key_grants(generation, number);
    struct kv_slice key, value;
    uint32_t all = 0;
    int status;

    VS_TRY(kv_cursor_open(txn, &cursor));
    status = kv_cursor_seek(cursor, prefix.b, prefix.len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, &prefix)) {
        struct key place = {.len = key.len};
        struct reader r;

        if (key.len > sizeof(place.b))
            return VS_E_CORRUPT;
        memcpy(place.b, key.data, key.len);
        status = schema_open(store->sealer, store->keys->mac, &place, &value, &r);
        if (status == VS_OK)
            all |= get_u32(&r);
        else if (status != VS_E_CORRUPT)   /* such a one grants nothing */
            return status;
        status = kv_cursor_next(cursor, &key, &value);
    }
    *ret_verbs = all;
    return status == VS_OK || status == VS_END ? VS_OK : status;
}

struct who login_who(const struct vs_login *login)
{
    if (login == NULL)
        return (struct who){.role = VS_ROLE_PUBLIC};
    return (struct who){.role = login->role, .name = login->name[0] != '\0' ? login->name : NULL};
}

const char *login_name(const struct vs_login *login)
{
    return who_name(login_who(login));
}

static int login_principal(struct vs_store *store, struct kv_txn *txn, const struct vs_login *login,
                    struct principal *ret_principal)
{
    struct principal p;
    int status = principal_get(store, txn, login->generation, login_who(login), &p);

    if (status == VS_NOT_FOUND ||
        (status == VS_OK && memcmp(p.number, login->number, sizeof(p.number)) != 0))
        return VS_REVOKED;
    VS_TRY(status);
    *ret_principal = p;
    return VS_OK;
}

bool login_is_named(const struct vs_login *login)
{
    return login != NULL && login->name[0] != '\0';
}

int login_verbs(struct vs_store *store, struct kv_txn *txn, const struct vs_login *login,
                const struct vs_id *id, uint32_t *ret_verbs)
{
    struct principal p;
    uint32_t granted = 0;

    if (!login_is_named(login)) {
        *ret_verbs = vs_login_verbs(login);
        return VS_OK;
    }
    VS_TRY(login_principal(store, txn, login, &p));
    if (id != NULL)
        VS_TRY(grant_get(store, txn, login->generation, p.number, id, &granted));
    *ret_verbs = p.verbs | granted;
    return VS_OK;
}

int login_needs(struct vs_store *store, struct kv_txn *txn, const struct vs_login *login,
                const struct vs_id *id, uint32_t verbs)
{
    uint32_t has = 0;

    if (!login_is_named(login))
        return VS_OK;
    VS_TRY(login_verbs(store, txn, login, id, &has));
    return (has & verbs) != 0 ? VS_OK : VS_DENIED;
}

int login_judge(struct vs_store *store, struct kv_txn *txn, const struct vs_login *login,
                const struct vs_header *header, struct vs_header *ret_header, uint32_t *ret_verbs)
{
    VS_TRY(login_verbs(store, txn, login, &header->id, ret_verbs));
    *ret_header = *header;
    ret_header->is_private = header->is_private || login_is_named(login);
    return VS_OK;
}
