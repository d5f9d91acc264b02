/* backup.c: a vault, or some of its objects, into a blob. */
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "backup_key.h"
#include "blob.h"
#include "object.h"

#define MARK_BATCH 32u            /* objects to a transaction */

struct id_list { struct vs_id *ids; size_t n, cap; };

static int id_add(struct id_list *list, const uint8_t *id)
{
    if (list->n == list->cap) {
        size_t cap = list->cap == 0 ? 64 : list->cap * 2;
        struct vs_id *ids = realloc(list->ids, cap * sizeof(*ids));
        if (ids == NULL)
            return VS_E_NOMEM;
        list->ids = ids;
        list->cap = cap;
    }
    memcpy(list->ids[list->n++].b, id, sizeof(list->ids->b));
    return VS_OK;
}

struct backup {
    struct vs_store *store;
    struct vs_login *login;
    const struct vs_backup *ask;
    struct kv_txn *txn;           /* the snapshot */
    struct generation live;
    struct id_list ids;
    uint64_t written;             /* of them: what is purged meanwhile is left out */
    struct blob blob;
};

/* ------------------------------------------------------------------ what */

/* Ids are the end of the keys of a prefix; of those that can be seen. */
static int ids_collect(struct backup *b, const struct key *prefix)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct kv_slice key, value;
    int status;

    VS_TRY(kv_cursor_open(b->txn, &cursor));
    status = kv_cursor_seek(cursor, prefix->b, prefix->len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, prefix)) {
        struct object_record record;
        struct vs_id id;
        int seen;

        if (key.len < sizeof(id.b))
            return VS_E_CORRUPT;
        memcpy(id.b, key.data + key.len - sizeof(id.b), sizeof(id.b));
        seen = object_visible(b->store, b->txn, b->live.number, &id, &record);
        if (seen == VS_OK)
            VS_TRY(id_add(&b->ids, id.b));
        else if (seen != VS_NOT_FOUND)
            return seen;
        status = kv_cursor_next(cursor, &key, &value);
    }
    return status == VS_OK || status == VS_END ? VS_OK : status;
}

static int backup_collect(struct backup *b)
{
    struct key own = key_objects(b->live.tag), restored = key_restored(b->live.number, NULL);
    struct object_record record;

    for (size_t i = 0; i < b->ask->n_ids; i++) {
        VS_TRY(object_visible(b->store, b->txn, b->live.number, &b->ask->ids[i], &record));
        VS_TRY(id_add(&b->ids, b->ask->ids[i].b));
    }
    if (b->ask->n_ids > 0)
        return VS_OK;
    VS_TRY(ids_collect(b, &own));
    return ids_collect(b, &restored);
}

/* Keys outside can be anybody's: a strict vault gives its content to them only by the word of
 * somebody who also holds the policy verb. */
static int backup_allowed(struct backup *b)
{
    bool outside = b->ask->n_keys > 0 && b->live.policy.profile == VS_PROFILE_STRICT;
    uint32_t verbs = 0;

    for (size_t i = 0; i < b->ask->n_ids || i == 0; i++) {
        const struct vs_id *id = b->ask->n_ids > 0 ? &b->ask->ids[i] : NULL;

        VS_TRY(login_verbs(b->store, b->txn, b->login, id, &verbs));
        if (!(verbs & VS_VERB_BACKUP) || (outside && !(verbs & VS_VERB_POLICY)))
            return VS_DENIED;
    }
    return VS_OK;
}

/* ------------------------------------------------------------------ the event */

struct told {
    const struct backup *b;
    size_t from;                  /* of the objects named */
    int status;
};

static const char *backup_what(const struct backup *b, char *text, size_t size)
{
    snprintf(text, size, "%zu objects, to %zu keys outside, %u needed", b->ids.n, b->ask->n_keys,
             b->ask->threshold > 0 ? b->ask->threshold : 1);
    return text;
}

static int told_run(struct commit_txn *txn, void *ctx)
{
    const struct told *told = ctx;
    const struct backup *b = told->b;
    char text[96];
    struct audit_entry entry = {.vault = b->login->vault, .generation = b->login->generation,
                                .operation = "VaultBackup", .result = told->status,
                                .principal = login_name(b->login),
                                .detail = backup_what(b, text, sizeof(text))};

    if (b->ask->n_ids == 0 || told->status != VS_OK)
        return audit_append(txn, &entry);
    entry.operation = "KeyBackup";
    for (size_t i = told->from; i < b->ids.n && i < told->from + MARK_BATCH; i++) {
        entry.id = &b->ids.ids[i];
        VS_TRY(audit_append(txn, &entry));
    }
    return VS_OK;
}

static int backup_tell(const struct backup *b)
{
    struct told told = {.b = b};

    do
        VS_TRY(commit_run(b->store, told_run, &told));
    while (b->ask->n_ids > 0 && (told.from += MARK_BATCH) < b->ids.n);
    return VS_OK;
}

/* ------------------------------------------------------------------ the blob */

static int write_generation(struct backup *b)
{
    struct key key = key_generation(b->live.vault, b->live.number);
    uint8_t plain[1 + SCHEMA_BODY_MAX];
    struct reader r;
    struct writer w;

    VS_TRY(trusted_get(b->store, b->txn, &key, &r));
    writer_init(&w, plain, sizeof(plain));
    put_u8(&w, BLOB_GENERATION);
    put_raw(&w, r.data, r.len);
    return writer_ok(&w) ? blob_write(&b->blob, plain, w.len, false) : VS_E_CORRUPT;
}

/* Records of named principals and their grants: what follows the generation in the key, then the
 * body. */
static int write_principal(struct backup *b, const struct kv_slice *found)
{
    struct key prefix = key_principals(b->live.number), key = {.len = found->len};
    uint8_t plain[1 + 8 + sizeof(key.b) + SCHEMA_BODY_MAX];
    struct reader r;
    struct writer w;
    int status;

    if (found->len > sizeof(key.b) || found->len <= prefix.len)
        return VS_E_CORRUPT;
    memcpy(key.b, found->data, found->len);
    if (key.b[prefix.len] != PRINCIPAL_NAMED && key.b[prefix.len] != PRINCIPAL_GRANT)
        return VS_OK;
    status = trusted_get(b->store, b->txn, &key, &r);
    if (status == VS_E_CORRUPT)
        return VS_OK;             /* traced; it counts for nothing here, and would not there */
    VS_TRY(status);
    writer_init(&w, plain, sizeof(plain));
    put_u8(&w, BLOB_PRINCIPAL);
    put_bytes(&w, key.b + prefix.len, key.len - prefix.len);
    put_bytes(&w, r.data, r.len);
    return writer_ok(&w) ? blob_write(&b->blob, plain, w.len, false) : VS_E_CORRUPT;
}

static int write_principals(struct backup *b)
{
    AUTO(kv_cursor) struct kv_cursor *cursor = NULL;
    struct key prefix = key_principals(b->live.number);
    struct kv_slice key, value;
    int status;

    VS_TRY(kv_cursor_open(b->txn, &cursor));
    status = kv_cursor_seek(cursor, prefix.b, prefix.len, &key, &value);
    while (status == VS_OK && key_has_prefix(&key, &prefix)) {
        VS_TRY(write_principal(b, &key));
        status = kv_cursor_next(cursor, &key, &value);
    }
    return status == VS_OK || status == VS_END ? VS_OK : status;
}

static int write_record(struct backup *b, const struct object_record *record,
                        const uint8_t *attrs, size_t len)
{
    size_t size = 1 + 4 + record->head.len + 4 + len;
    uint8_t *plain = vs_secret_alloc(size);
    struct writer w;
    int status;

    if (plain == NULL)
        return VS_E_NOMEM;
    writer_init(&w, plain, size);
    put_u8(&w, BLOB_OBJECT);
    put_bytes(&w, record->head.data, record->head.len);
    put_bytes(&w, attrs, len);
    status = writer_ok(&w) ? blob_write(&b->blob, plain, size, false) : VS_E_CORRUPT;
    vs_secret_free(plain, size);
    return status;
}

static int progress_tell(struct backup *b, uint64_t done, const struct vs_header *header,
                         int status)
{
    const struct vs_progress progress = {.done = done, .total = b->ids.n, .object = header,
                                         .status = status};

    return b->ask->progress != NULL && b->ask->progress(b->ask->ctx, &progress) != 0 ? VS_END
                                                                                      : VS_OK;
}

/* The snapshot has the record of what another process purges meanwhile, and the slot is gone:
 * VS_NOT_FOUND. A slot read while it was being overwritten is neither: then once more. */
static int open_or_gone(struct backup *b, const struct object_record *record, uint8_t **ret_attrs,
                        size_t *ret_len)
{
    int status = object_open(b->store, b->login, record, ret_attrs, ret_len);

    return status == VS_E_CORRUPT ? object_open(b->store, b->login, record, ret_attrs, ret_len)
                                  : status;
}

static int write_object(struct backup *b, size_t i)
{
    struct object_record record;
    uint8_t *attrs;
    size_t len;
    int status;

    VS_TRY(object_load(b->store, b->txn, &b->ids.ids[i], &record));
    status = open_or_gone(b, &record, &attrs, &len);
    if (status == VS_NOT_FOUND && b->ask->n_ids == 0)
        return progress_tell(b, i + 1, &record.header, VS_NOT_FOUND);
    VS_TRY(status);
    status = write_record(b, &record, attrs, len);
    vs_secret_free(attrs, len + 1);
    VS_TRY(status);
    b->written++;
    return progress_tell(b, i + 1, &record.header, VS_OK);
}

static int write_end(struct backup *b)
{
    uint8_t plain[9];
    struct writer w;

    writer_init(&w, plain, sizeof(plain));
    put_u8(&w, BLOB_END);
    put_u64(&w, b->written);
    return blob_write(&b->blob, plain, w.len, true);
}

static int backup_info(struct backup *b, struct vs_blob_info *ret_info)
{
    struct vs_blob_info info = {.generation = b->live.number, .whole = b->ask->n_ids == 0,
                                .objects = b->ids.n, .threshold = b->ask->threshold};
    struct store_state state = {.audit_seq = 0};
    struct vault vault;

    VS_TRY(vault_get(b->store, b->txn, b->live.vault, &vault));
    VS_TRY(audit_state_read(b->store, b->txn, &state));
    VS_TRY(store_clock(b->store, b->txn, &info.created_at));
    actor_name(b->store, login_name(b->login), info.created_by);
    memcpy(info.serial, vault.serial, sizeof(info.serial));
    memcpy(info.label, b->live.label, sizeof(info.label));
    info.audit_seq = state.audit_seq;
    memcpy(info.audit_hash, state.audit_hash, sizeof(info.audit_hash));
    *ret_info = info;
    return VS_OK;
}

static int backup_write(struct backup *b)
{
    AUTO(backup_own) struct backup_own own = {.n = 0};
    struct vs_blob_info info;

    VS_TRY(backup_info(b, &info));
    VS_TRY(backup_own_read(b->store, b->txn, b->login, &b->live, b->ask->n_keys == 0, &own));
    VS_TRY(blob_begin(&b->blob, b->store, b->ask->fd, &own, &info, b->ask->keys, b->ask->n_keys));
    VS_TRY(write_generation(b));
    if (b->ask->n_ids == 0)
        VS_TRY(write_principals(b));
    b->written = 0;
    for (size_t i = 0; i < b->ids.n; i++)
        VS_TRY(write_object(b, i));
    return write_end(b);
}

/* ------------------------------------------------------------------ the mark */

struct marks { const struct backup *b; size_t from; };

/* Gone, or of another generation by now: nothing to mark. */
static int mark_one(struct commit_txn *txn, const struct backup *b, const struct vs_id *id)
{
    struct object_record record;
    int status = object_load(txn->store, txn->kv, id, &record);

    if (status == VS_NOT_FOUND ||
        (status == VS_OK && (record.header.backed_up || record.header.generation != b->live.number)))
        return VS_OK;
    VS_TRY(status);
    record.header.backed_up = true;
    record.header.version++;
    status = object_rewrite(txn, b->login, &record);
    return status == VS_NOT_FOUND ? VS_OK : status;   /* its slot was wiped meanwhile */
}

static int marks_run(struct commit_txn *txn, void *ctx)
{
    const struct marks *marks = ctx;
    const struct backup *b = marks->b;
    struct generation live;

    VS_TRY(generation_enter(txn->store, txn->kv, b->live.vault, b->login, &live));
    for (size_t i = marks->from; i < marks->b->ids.n && i < marks->from + MARK_BATCH; i++)
        VS_TRY(mark_one(txn, marks->b, &marks->b->ids.ids[i]));
    return VS_OK;
}

static int backup_mark(const struct backup *b)
{
    struct marks marks = {.b = b};

    for (; marks.from < b->ids.n; marks.from += MARK_BATCH)
        VS_TRY(commit_run(b->store, marks_run, &marks));
    return VS_OK;
}

/* ------------------------------------------------------------------ all of it */

/* The keys outside must do, before anything is recorded as gone out. */
static int backup_keys(const struct backup *b)
{
    if (b->ask->n_keys > VS_BLOB_KEYS_MAX ||
        b->ask->threshold > (b->ask->n_keys > 0 ? b->ask->n_keys : 1))
        return VS_POLICY;
    for (size_t i = 0; i < b->ask->n_keys; i++) {
        struct envelope_key key;

        VS_TRY(envelope_key_read(b->store->sealer, b->ask->keys[i].data, b->ask->keys[i].len,
                                 false, &key));
        envelope_key_done(&key);
    }
    return VS_OK;
}

/* In one snapshot. The first time only to look, for the event, which must be on disk before
 * anything is out. */
static int backup_snapshot(struct backup *b, uint32_t vault, int (*then)(struct backup *))
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    int status;

    VS_TRY(kv_read(b->store->kv, &txn));
    b->txn = txn;
    b->ids.n = 0;
    status = generation_enter(b->store, txn, vault, b->login, &b->live);
    if (status == VS_OK)
        status = backup_allowed(b);
    if (status == VS_OK)
        status = backup_collect(b);
    if (status == VS_OK && then != NULL)
        status = then(b);
    b->txn = NULL;
    return status;
}

static int backup_run(struct backup *b, uint32_t vault)
{
    int status;

    VS_TRY(backup_keys(b));
    status = backup_snapshot(b, vault, NULL);
    if (status == VS_OK)
        status = backup_tell(b);
    if (status == VS_OK)
        status = backup_snapshot(b, vault, backup_write);
    if (status == VS_OK && b->ask->settle != NULL)
        status = b->ask->settle(b->ask->ctx);
    if (status != VS_OK && status != VS_REVOKED) {
        struct told told = {.b = b, .status = status};
        int noted = commit_run(b->store, told_run, &told);

        if (noted != VS_OK)
            store_trace(b->store, __func__, "a failed backup could not be recorded");
    }
    return status;
}

int vs_backup(struct vs_store *store, uint32_t vault, struct vs_login *login,
              const struct vs_backup *backup, uint64_t *ret_objects, bool *ret_marked)
{
    struct backup b = {.store = store, .login = login, .ask = backup};
    int status = login == NULL ? VS_DENIED : backup_run(&b, vault);

    blob_done(&b.blob);
    if (status == VS_OK) {
        /* the backup is there, and no fault takes it back */
        *ret_marked = store_result(store, __func__, backup_mark(&b)) == VS_OK;
        *ret_objects = b.written;
    }
    free(b.ids.ids);
    return store_result(store, __func__, status);
}

int vs_backup_show(struct vs_store *store, int fd, struct vs_blob_info *ret_info)
{
    struct blob blob;

    VS_TRY(store_result(store, __func__, blob_look(&blob, store, fd)));
    *ret_info = blob.info;
    return VS_OK;
}
