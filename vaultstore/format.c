/* format.c: the store's format: a fresh store's, and the way from an older one. */
#include "audit.h"
#include "index.h"
#include "purge.h"
#include "store_internal.h"

#define STORE_ID 16u

static int version_put(struct commit_txn *txn, uint32_t version, const uint8_t store_id[STORE_ID])
{
    uint8_t body[64];
    struct writer w;
    struct key key = key_meta();

    writer_init(&w, body, sizeof(body));
    put_u32(&w, version);
    put_raw(&w, store_id, STORE_ID);
    return trusted_put(txn, &key, &w);
}

static int store_create(struct commit_txn *txn, void *ctx)
{
    const struct audit_entry entry = {.operation = "StoreCreate", .principal = "public"};
    uint8_t store_id[STORE_ID];

    (void)ctx;
    VS_TRY(seal_random(txn->store->sealer, store_id, sizeof(store_id)));
    VS_TRY(version_put(txn, SCHEMA_VERSION, store_id));
    return audit_append(txn, &entry);
}

int format_read(struct vs_store *store, uint32_t *ret_version)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;
    struct key key = key_meta();
    struct kv_slice value;
    struct reader r;
    uint32_t version;
    int status;

    VS_TRY(kv_read(store->kv, &txn));
    VS_TRY(kv_get(txn, key.b, key.len, &value));
    /* The number is read before the record is checked: a later version may check it otherwise. */
    reader_init(&r, value.data, value.len);
    version = get_u32(&r);
    if (!reader_ok(&r))
        return VS_E_CORRUPT;
    if (version > SCHEMA_VERSION) {
        store_trace(store, "vs_store_open", "%s has format %u, this build knows %u: update it",
                    store->path, (unsigned)version, SCHEMA_VERSION);
        return VS_E_VERSION;
    }
    status = trusted_get(store, txn, &key, &r);
    if (status == VS_E_CORRUPT)
        store_trace(store, "vs_store_open", "the host key is not this store's, or it was tampered "
                    "with: %s", store->path);
    VS_TRY(status);
    *ret_version = version;
    return VS_OK;
}

static int to_3(struct commit_txn *txn)
{
    VS_TRY(index_relay(txn));
    return approvals_forget(txn);
}

/*
 * From version `from` to the next one, each in a transaction of its own. Records are read as they
 * are, whatever their format, and the fields they lack have defaults: a step does what else is new.
 * The number changes in any case, so that a build that does not know the new fields no longer opens
 * the store.
 */
static const struct migration {
    uint32_t from;
    int (*step)(struct commit_txn *txn);
} migrations[] = {
    {1, audit_index_all},
    {2, to_3},
};

static int migration_run(struct commit_txn *txn, void *ctx)
{
    const struct migration *migration = ctx;
    const struct audit_entry entry = {.operation = "StoreMigrate", .principal = "public"};
    struct key key = key_meta();
    uint8_t store_id[STORE_ID];
    struct reader r;

    VS_TRY(trusted_get(txn->store, txn->kv, &key, &r));
    (void)get_u32(&r);
    get_raw(&r, store_id, sizeof(store_id));
    if (!reader_ok(&r))
        return VS_E_CORRUPT;
    VS_TRY(migration->step(txn));
    VS_TRY(version_put(txn, migration->from + 1, store_id));
    return audit_append(txn, &entry);
}

/* Nobody else may be at it: an older build would go on writing what it knows. */
static int migration_alone(const struct vs_store *store, uint32_t version)
{
    int64_t other = kv_other(store->kv);

    if (version == SCHEMA_VERSION || other == 0)
        return VS_OK;
    store_trace(store, "vs_store_open",
                "%s has format %u, and process %lld has it open: end that process, then this build "
                "brings the store to format %u", store->path, (unsigned)version, (long long)other,
                SCHEMA_VERSION);
    return VS_E_BUSY;
}

int format_settle(struct vs_store *store)
{
    uint32_t version = 0;
    int status = format_read(store, &version);

    if (status == VS_NOT_FOUND)
        return commit_run_always(store, store_create, NULL);
    VS_TRY(status);
    VS_TRY(migration_alone(store, version));
    for (size_t i = 0; i < sizeof(migrations) / sizeof(migrations[0]); i++)
        if (migrations[i].from >= version) {
            struct migration migration = migrations[i];
            VS_TRY(commit_run_always(store, migration_run, &migration));
        }
    return VS_OK;
}
