/*
 * handle.c: the table of handles.
 *
 * Entries live in chunks that are never freed before handle_table_free, so a lookup needs no lock
 * but the entry's own. Chunks belong to shards: one for token objects, the others for session
 * objects by their session, so that two sessions do not meet in a free list and a search for
 * session objects never walks the token objects. A second index finds token objects by their id.
 */
#include "handle.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "module_state.h"

#define INDEX_BITS 24u
#define START_SHIFT 56u          /* above the generation: how often the module was started */
#define CHUNK_ENTRIES 256u
#define CHUNKS (1u << (INDEX_BITS - 8))
#define SESSION_SHARDS 16u
#define TOKEN_SHARD SESSION_SHARDS
#define SHARDS (SESSION_SHARDS + 1)
#define NONE UINT32_MAX

struct entry {
    _Atomic uint32_t lock;
    uint32_t generation;         /* odd: live; a dead index returns with another generation */
    union {
        struct object *object;
        uint32_t next_free;
    };
};

struct shard {
    pthread_mutex_t lock;        /* guards what follows */
    uint32_t free;
    uint32_t *chunks;
    uint32_t n_chunks;
    _Atomic uint32_t live;
    char apart[64];              /* two shards share no cache line */
};

/* Open addressing; values are handles; grows by doubling. */
struct id_map {
    pthread_mutex_t lock;
    struct id_slot { CK_SLOT_ID slot; struct vs_id id; CK_OBJECT_HANDLE handle; } *slots;
    size_t size, used;           /* used counts removed ones too */
};
#define REMOVED ((CK_OBJECT_HANDLE)1)    /* no handle has this value: generations start at 1 */

struct handle_table {
    struct shard shards[SHARDS];
    struct id_map ids;
    CK_OBJECT_HANDLE base;       /* the same in every handle */
    _Atomic uint64_t epoch;
    _Atomic uint32_t next_chunk;
    struct entry *_Atomic chunks[CHUNKS];
};

/* ------------------------------------------------------------------ entries */

static void entry_lock(struct entry *entry)
{
    uint32_t open = 0;
    while (!atomic_compare_exchange_weak_explicit(&entry->lock, &open, 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
        open = 0;
        sched_yield();
    }
}

static void entry_unlock(struct entry *entry)
{
    atomic_store_explicit(&entry->lock, 0, memory_order_release);
}

static struct entry *entry_at(struct handle_table *table, uint32_t index)
{
    struct entry *chunk = atomic_load_explicit(&table->chunks[index / CHUNK_ENTRIES],
                                               memory_order_acquire);
    return chunk ? &chunk[index % CHUNK_ENTRIES] : NULL;
}

/* Locked, when the handle is live; else NULL. */
static struct entry *entry_of(struct handle_table *table, CK_OBJECT_HANDLE handle)
{
    uint32_t generation = (uint32_t)(handle >> INDEX_BITS);
    if (handle >> START_SHIFT != table->base >> START_SHIFT || !(generation & 1))
        return NULL;
    struct entry *entry = entry_at(table, (uint32_t)handle & ((1u << INDEX_BITS) - 1));
    if (!entry)
        return NULL;
    entry_lock(entry);
    if (entry->generation == generation)
        return entry;
    entry_unlock(entry);
    return NULL;
}

static struct shard *shard_of(struct handle_table *table, CK_SESSION_HANDLE session)
{
    return &table->shards[session ? session % SESSION_SHARDS : TOKEN_SHARD];
}

/* One more chunk for a shard whose free list is empty; shard->lock is held. */
static CK_RV shard_grow(struct handle_table *table, struct shard *shard)
{
    struct entry *chunk = calloc(CHUNK_ENTRIES, sizeof(*chunk));
    uint32_t *chunks = realloc(shard->chunks, (shard->n_chunks + 1) * sizeof(*chunks));
    if (chunks)
        shard->chunks = chunks;
    uint32_t number = chunk && chunks ? atomic_fetch_add(&table->next_chunk, 1) : CHUNKS;
    if (number >= CHUNKS) {
        free(chunk);
        return CKR_HOST_MEMORY;
    }
    for (uint32_t i = 0; i < CHUNK_ENTRIES; i++)
        chunk[i].next_free = i + 1 < CHUNK_ENTRIES ? number * CHUNK_ENTRIES + i + 1 : NONE;
    shard->free = number * CHUNK_ENTRIES;
    shard->chunks[shard->n_chunks++] = number;
    atomic_store_explicit(&table->chunks[number], chunk, memory_order_release);
    return CKR_OK;
}

static CK_RV shard_take(struct handle_table *table, struct shard *shard, uint32_t *ret_index)
{
    pthread_mutex_lock(&shard->lock);
    CK_RV rv = shard->free == NONE ? shard_grow(table, shard) : CKR_OK;
    if (rv == CKR_OK) {
        *ret_index = shard->free;
        shard->free = entry_at(table, shard->free)->next_free;
        atomic_fetch_add_explicit(&shard->live, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&shard->lock);
    return rv;
}

static void shard_give(struct shard *shard, struct entry *entry, uint32_t index)
{
    pthread_mutex_lock(&shard->lock);
    atomic_fetch_sub_explicit(&shard->live, 1, memory_order_relaxed);
    /* an index whose generations are used up is retired: a handle is never reused */
    if (entry->generation < UINT32_MAX - 1) {
        entry->next_free = shard->free;
        shard->free = index;
    }
    pthread_mutex_unlock(&shard->lock);
}

/* ------------------------------------------------------------------ ids */

static size_t id_hash(CK_SLOT_ID slot, const struct vs_id *id)
{
    uint64_t a, b;
    memcpy(&a, id->b, 8);
    memcpy(&b, id->b + 8, 8);
    uint64_t h = (a ^ slot) * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 29) ^ b) * 0xbf58476d1ce4e5b9u;
    return (size_t)(h ^ (h >> 32));
}

/* The entry of this id, or the first place to put it (NULL: no memory yet). */
static struct id_slot *id_find(struct id_map *map, CK_SLOT_ID slot, const struct vs_id *id)
{
    struct id_slot *place = NULL;
    for (size_t i = map->size ? id_hash(slot, id) & (map->size - 1) : 0; map->size;
         i = (i + 1) & (map->size - 1)) {
        struct id_slot *at = &map->slots[i];
        if (!at->handle)
            return place ? place : at;
        if (at->handle == REMOVED)
            place = place ? place : at;
        else if (at->slot == slot && memcmp(&at->id, id, sizeof(*id)) == 0)
            return at;
    }
    return NULL;
}

static CK_RV id_reserve(struct id_map *map)
{
    if ((map->used + 1) * 4 <= map->size * 3)
        return CKR_OK;
    size_t live = 0;
    for (size_t i = 0; i < map->size; i++)
        live += map->slots[i].handle > REMOVED;
    struct id_map grown = {.size = 64};
    while (grown.size < live * 2 + 2)
        grown.size *= 2;
    grown.slots = calloc(grown.size, sizeof(*grown.slots));
    if (!grown.slots)
        return CKR_HOST_MEMORY;
    for (size_t i = 0; i < map->size; i++)
        if (map->slots[i].handle > REMOVED)
            *id_find(&grown, map->slots[i].slot, &map->slots[i].id) = map->slots[i];
    free(map->slots);
    map->slots = grown.slots;
    map->size = grown.size;
    map->used = live;
    return CKR_OK;
}

static void id_forget(struct id_map *map, const struct object *object, CK_OBJECT_HANDLE handle)
{
    pthread_mutex_lock(&map->lock);
    struct id_slot *at = id_find(map, object->slot, &object->header.id);
    if (at && at->handle == handle)
        at->handle = REMOVED;
    pthread_mutex_unlock(&map->lock);
}

/* ------------------------------------------------------------------ the table */

CK_RV handle_table_new(struct handle_table **ret_table)
{
    /* untouched pages of it cost nothing: the directory of chunks is large and nearly empty */
    struct handle_table *table = calloc(1, sizeof(*table));
    if (!table)
        return CKR_HOST_MEMORY;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&table->shards[i].lock, NULL);
        table->shards[i].free = NONE;
    }
    pthread_mutex_init(&table->ids.lock, NULL);
    table->base = (CK_OBJECT_HANDLE)(module_starts() - 1) << START_SHIFT;
    *ret_table = table;
    return CKR_OK;
}

static bool kill_all(const struct object *object, void *ctx)
{
    (void)object;
    (void)ctx;
    return true;
}

void handle_table_free(struct handle_table *table)
{
    if (!table)
        return;
    handle_sweep(table, kill_all, NULL);
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_destroy(&table->shards[i].lock);
        free(table->shards[i].chunks);
    }
    for (size_t i = 0; i < CHUNKS && table->chunks[i]; i++)
        free(table->chunks[i]);
    pthread_mutex_destroy(&table->ids.lock);
    free(table->ids.slots);
    free(table);
}

/* The entry becomes live; the handle names it. From then on another thread may end the object. */
static CK_RV handle_make(struct handle_table *table, struct object *object,
                         CK_OBJECT_HANDLE *ret_handle)
{
    uint32_t index = 0;
    TRY(shard_take(table, shard_of(table, object->session), &index));
    struct entry *entry = entry_at(table, index);
    entry_lock(entry);
    entry->generation++;
    object->handle =
        table->base | ((CK_OBJECT_HANDLE)entry->generation << INDEX_BITS) | index;
    *ret_handle = object->handle;
    entry->object = object;
    entry_unlock(entry);
    return CKR_OK;
}

static CK_RV token_add(struct handle_table *table, struct object *object, CK_OBJECT_HANDLE *handle)
{
    struct id_map *map = &table->ids;
    TRY(id_reserve(map));
    struct id_slot *at = id_find(map, object->slot, &object->header.id);
    struct entry *entry = at->handle > REMOVED ? entry_of(table, at->handle) : NULL;
    if (entry) {
        bool same = (entry->object->header.state == VS_STATE_DELETED) ==
                    (object->header.state == VS_STATE_DELETED);
        entry_unlock(entry);
        if (!same)
            return CKR_OBJECT_HANDLE_INVALID;
        *handle = at->handle;
        object_unref(object);
        return CKR_OK;
    }
    struct id_slot made = {object->slot, object->header.id, 0};
    TRY(handle_make(table, object, &made.handle));
    map->used += at->handle == 0;
    *at = made;
    *handle = made.handle;
    return CKR_OK;
}

CK_RV handle_add(struct handle_table *table, struct object *object, CK_OBJECT_HANDLE *ret_handle)
{
    if (object->session)
        return handle_make(table, object, ret_handle);
    pthread_mutex_lock(&table->ids.lock);
    CK_RV rv = token_add(table, object, ret_handle);
    pthread_mutex_unlock(&table->ids.lock);
    return rv;
}

struct object *handle_get(struct handle_table *table, CK_OBJECT_HANDLE handle)
{
    struct entry *entry = entry_of(table, handle);
    if (!entry)
        return NULL;
    struct object *object = object_ref(entry->object);
    entry_unlock(entry);
    return object;
}

/* Sessions may keep contexts made for the object's key: tell them. */
static void key_retire(struct handle_table *table, struct object *object)
{
    struct key_material *key = atomic_load(&object->key);
    if (!key)
        return;
    atomic_store(&key->retired, true);
    atomic_fetch_add(&table->epoch, 1);
}

void handle_replace(struct handle_table *table, CK_OBJECT_HANDLE handle, struct object *object)
{
    struct entry *entry = entry_of(table, handle);
    if (!entry) {
        object_unref(object);
        return;
    }
    struct object *former = entry->object;
    bool same_key = atomic_load(&former->key) == atomic_load(&object->key);
    object->handle = handle;
    entry->object = object;
    entry_unlock(entry);         /* from here on another one may replace the object, and free it */
    atomic_store(&former->superseded, true);
    if (!same_key)
        key_retire(table, former);
    object_unref(former);
}

/* Of a locked live entry, which it unlocks. */
static void entry_kill(struct handle_table *table, struct entry *entry, uint32_t index)
{
    struct object *object = entry->object;
    entry->generation++;
    entry_unlock(entry);
    atomic_store(&object->dead, true);
    if (!object->session)
        id_forget(&table->ids, object, object->handle);
    key_retire(table, object);
    shard_give(shard_of(table, object->session), entry, index);
    object_unref(object);
}

void handle_remove(struct handle_table *table, CK_OBJECT_HANDLE handle)
{
    struct entry *entry = entry_of(table, handle);
    if (entry)
        entry_kill(table, entry, (uint32_t)handle & ((1u << INDEX_BITS) - 1));
}

/* ------------------------------------------------------------------ all of a shard */

typedef void (*visit_fn)(struct handle_table *table, struct entry *entry, uint32_t index,
                         void *ctx);  /* unlocks the entry */

static void shard_visit(struct handle_table *table, struct shard *shard, visit_fn visit, void *ctx)
{
    for (uint32_t c = 0;; c++) {
        if (atomic_load_explicit(&shard->live, memory_order_relaxed) == 0)
            return;
        pthread_mutex_lock(&shard->lock);
        uint32_t chunk = c < shard->n_chunks ? shard->chunks[c] : NONE;
        pthread_mutex_unlock(&shard->lock);
        if (chunk == NONE)
            return;
        for (uint32_t i = 0; i < CHUNK_ENTRIES; i++) {
            struct entry *entry = entry_at(table, chunk * CHUNK_ENTRIES + i);
            entry_lock(entry);
            if (entry->generation & 1)
                visit(table, entry, chunk * CHUNK_ENTRIES + i, ctx);
            else
                entry_unlock(entry);
        }
    }
}

struct sweep {
    bool (*kill)(const struct object *, void *ctx);
    void *ctx;
};

static void sweep_visit(struct handle_table *table, struct entry *entry, uint32_t index, void *ctx)
{
    const struct sweep *sweep = ctx;
    if (sweep->kill(entry->object, sweep->ctx))
        entry_kill(table, entry, index);
    else
        entry_unlock(entry);
}

void handle_sweep(struct handle_table *table, bool (*kill)(const struct object *, void *ctx),
                  void *ctx)
{
    struct sweep sweep = {kill, ctx};
    for (size_t i = 0; i < SHARDS; i++)
        shard_visit(table, &table->shards[i], sweep_visit, &sweep);
}

static bool kill_session(const struct object *object, void *ctx)
{
    return object->session == *(const CK_SESSION_HANDLE *)ctx;
}

void handle_sweep_session(struct handle_table *table, CK_SESSION_HANDLE session)
{
    struct sweep sweep = {kill_session, &session};
    shard_visit(table, shard_of(table, session), sweep_visit, &sweep);
}

struct collect {
    bool (*match)(const struct object *, void *ctx);
    void *ctx;
    CK_OBJECT_HANDLE *handles;
    size_t cap, n;
};

static void collect_visit(struct handle_table *table, struct entry *entry, uint32_t index,
                          void *ctx)
{
    (void)table;
    (void)index;
    struct collect *collect = ctx;
    if (collect->match(entry->object, collect->ctx)) {
        if (collect->n < collect->cap)
            collect->handles[collect->n] = entry->object->handle;
        collect->n++;
    }
    entry_unlock(entry);
}

static int handle_order(const void *a, const void *b)
{
    CK_OBJECT_HANDLE x = *(const CK_OBJECT_HANDLE *)a, y = *(const CK_OBJECT_HANDLE *)b;
    return (x > y) - (x < y);
}

size_t handle_collect(struct handle_table *table, bool (*match)(const struct object *, void *ctx),
                      void *ctx, CK_OBJECT_HANDLE *ret_handles, size_t cap)
{
    struct collect collect = {match, ctx, ret_handles, cap, 0};
    for (size_t i = 0; i < SESSION_SHARDS; i++)
        shard_visit(table, &table->shards[i], collect_visit, &collect);
    size_t n = collect.n < cap ? collect.n : cap;
    if (n > 1)
        qsort(ret_handles, n, sizeof(*ret_handles), handle_order);
    return collect.n;
}

CK_OBJECT_HANDLE handle_of_id(struct handle_table *table, CK_SLOT_ID slot, const struct vs_id *id)
{
    pthread_mutex_lock(&table->ids.lock);
    const struct id_slot *at = id_find(&table->ids, slot, id);
    CK_OBJECT_HANDLE handle = at && at->handle > REMOVED ? at->handle : 0;
    pthread_mutex_unlock(&table->ids.lock);
    return handle;
}

uint64_t handle_epoch(const struct handle_table *table)
{
    return atomic_load_explicit(&table->epoch, memory_order_relaxed);
}
