/*
 * Secret memory and buffers in it. See key_material.h.
 *
 * Small blocks come from arenas: mappings of ARENA bytes, aligned to their size, cut into blocks
 * of one size class. An arena belongs to a shard, and threads are spread over the shards, so two
 * sessions seldom meet at a lock. Larger blocks are mappings of their own. All of it, and the
 * shards themselves, is MADV_WIPEONFORK: a child starts with zeroed shards, which are unlocked and
 * empty, and never sees the parent's keys.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "key_material.h"
#include "trace.h"

#define ARENA ((size_t)128 << 10)
#define ARENA_HEADER ((size_t)64)
#define CLASS_MIN_SHIFT 6                 /* 64 bytes */
#define CLASSES 8                         /* to 8 KiB */
#define CLASS_MAX ((size_t)1 << (CLASS_MIN_SHIFT + CLASSES - 1))
#define SHARDS 8

struct free_block { struct free_block *next; };

struct arena {
    struct arena *next;
    struct shard *shard;
    struct free_block *free;
    size_t block, used, fresh;            /* fresh: offset of what was never handed out */
};

struct shard {
    pthread_mutex_t lock;                 /* all zero is an unlocked mutex */
    struct arena *arenas[CLASSES];        /* the first one is where to allocate */
};

static struct shard *_Atomic shards;      /* SHARDS of them, a mapping, kept for ever */

static void *map_secret(size_t size, size_t extra)
{
    void *memory = mmap(NULL, size + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    /* Both only protect further; a kernel without them still gives usable memory. */
    (void)madvise(memory, size + extra, MADV_DONTDUMP);
    (void)madvise(memory, size + extra, MADV_WIPEONFORK);
    return memory;
}

static size_t page_round(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

static struct arena *arena_new(size_t block, struct shard *shard)
{
    uint8_t *raw = map_secret(ARENA, ARENA);
    if (raw == NULL)
        return NULL;
    uint8_t *at = raw + (ARENA - (uintptr_t)raw % ARENA) % ARENA;
    if (at > raw)
        munmap(raw, (size_t)(at - raw));
    size_t behind = ARENA - (size_t)(at - raw);
    if (behind > 0)
        munmap(at + ARENA, behind);
    struct arena *arena = (struct arena *)(void *)at;
    *arena = (struct arena){.shard = shard, .block = block, .fresh = ARENA_HEADER};
    return arena;
}

static struct shard *shards_get(void)
{
    struct shard *have = atomic_load_explicit(&shards, memory_order_acquire);
    if (have != NULL)
        return have;
    struct shard *made = map_secret(page_round(SHARDS * sizeof *made), 0);
    if (made == NULL)
        return NULL;
    if (atomic_compare_exchange_strong(&shards, &have, made))
        return made;
    munmap(made, page_round(SHARDS * sizeof *made));
    return have;
}

static struct shard *shard_mine(void)
{
    static __thread unsigned mine;        /* 1 + index */
    static _Atomic unsigned turn;
    if (mine == 0)
        mine = 1 + atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed) % SHARDS;
    struct shard *all = shards_get();
    return all == NULL ? NULL : &all[mine - 1];
}

static unsigned class_of(size_t size)
{
    unsigned class = 0;
    while ((size_t)1 << (CLASS_MIN_SHIFT + class) < size)
        class++;
    return class;
}

/* A block of the arena, or NULL when it is full. */
static void *arena_take(struct arena *arena)
{
    struct free_block *block = arena->free;
    if (block != NULL) {
        arena->free = block->next;
        block->next = NULL;
    } else if (arena->fresh + arena->block <= ARENA) {
        block = (struct free_block *)(void *)((uint8_t *)arena + arena->fresh);
        arena->fresh += arena->block;
    } else {
        return NULL;
    }
    arena->used++;
    return block;
}

/* An arena with room becomes the first of its list. */
static void *shard_take(struct shard *shard, unsigned class)
{
    for (struct arena **at = &shard->arenas[class]; *at != NULL; at = &(*at)->next) {
        struct arena *arena = *at;
        void *block = arena_take(arena);
        if (block == NULL)
            continue;
        *at = arena->next;
        arena->next = shard->arenas[class];
        shard->arenas[class] = arena;
        return block;
    }
    struct arena *arena = arena_new((size_t)1 << (CLASS_MIN_SHIFT + class), shard);
    if (arena == NULL)
        return NULL;
    arena->next = shard->arenas[class];
    shard->arenas[class] = arena;
    return arena_take(arena);
}

/* Under a memory checker every block is an allocation of its own, so that it sees overruns. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1            /* clang says it otherwise than gcc */
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define POOLED_MAX ((size_t)0)
#else
#define POOLED_MAX CLASS_MAX
#endif

void *secret_alloc(size_t size)
{
    if (size > POOLED_MAX || POOLED_MAX == 0)
        return POOLED_MAX == 0 ? calloc(1, size == 0 ? 1 : size) : map_secret(page_round(size), 0);
    struct shard *shard = shard_mine();
    if (shard == NULL)
        return NULL;
    pthread_mutex_lock(&shard->lock);
    void *block = shard_take(shard, class_of(size));
    pthread_mutex_unlock(&shard->lock);
    return block;
}

static void arena_give(void *memory)
{
    struct arena *arena = (struct arena *)(void *)((uint8_t *)memory - (uintptr_t)memory % ARENA);
    struct free_block *block = memory;
    pthread_mutex_lock(&arena->shard->lock);
    block->next = arena->free;
    arena->free = block;
    arena->used--;
    pthread_mutex_unlock(&arena->shard->lock);
}

void secret_free(void *memory, size_t size)
{
    if (memory == NULL)
        return;
    explicit_bzero(memory, size);
    if (POOLED_MAX == 0)
        free(memory);
    else if (size <= POOLED_MAX)
        arena_give(memory);
    else
        munmap(memory, page_round(size));
}

static void shard_trim(struct shard *shard)
{
    pthread_mutex_lock(&shard->lock);
    for (unsigned class = 0; class < CLASSES; class++) {
        struct arena **at = &shard->arenas[class];
        while (*at != NULL) {
            struct arena *arena = *at;
            if (arena->used > 0) {
                at = &arena->next;
                continue;
            }
            *at = arena->next;
            munmap(arena, ARENA);
        }
    }
    pthread_mutex_unlock(&shard->lock);
}

void secret_heap_trim(void)
{
    struct shard *all = atomic_load_explicit(&shards, memory_order_acquire);
    for (size_t i = 0; all != NULL && i < SHARDS; i++)
        shard_trim(&all[i]);
}

/* ------------------------------------------------------------------ buffers */

void secret_done(struct secret *secret)
{
    secret_free(secret->data, secret->cap);
    *secret = (struct secret){0};
}

CK_RV secret_reserve(struct secret *secret, size_t cap)
{
    if (secret->data != NULL && secret->cap >= cap) {
        explicit_bzero(secret->data, secret->len);
        secret->len = 0;
        return CKR_OK;
    }
    secret_done(secret);
    uint8_t *data = secret_alloc(cap);
    if (data == NULL)
        return trace_fail(CKR_HOST_MEMORY, "no secret memory for %zu bytes", cap);
    *secret = (struct secret){.data = data, .cap = cap};
    return CKR_OK;
}

static CK_RV secret_grow(struct secret *secret, size_t need)
{
    size_t cap = secret->cap < 32 ? 64 : secret->cap * 2;
    AUTO(secret) struct secret grown = {0};
    TRY(secret_reserve(&grown, cap < need ? need : cap));
    if (secret->len > 0)
        memcpy(grown.data, secret->data, secret->len);
    grown.len = secret->len;
    struct secret old = *secret;
    *secret = grown;
    grown = old;
    return CKR_OK;
}

CK_RV secret_append(struct secret *secret, const void *data, size_t len)
{
    if (len > SIZE_MAX / 4 - secret->len)
        return trace_fail(CKR_HOST_MEMORY, "a buffer of more than %zu bytes", SIZE_MAX / 4);
    if (secret->data == NULL || len > secret->cap - secret->len)
        TRY(secret_grow(secret, secret->len + len));
    if (len > 0)
        memcpy(secret->data + secret->len, data, len);
    secret->len += len;
    return CKR_OK;
}
