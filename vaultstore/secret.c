/*
 * secret.c: memory for keys. Blocks of a few sizes, cut from chunks that are locked, left out of
 * core dumps and empty in a forked child. So is the bookkeeping itself: a child finds an unlocked
 * mutex and no free blocks, whatever the parent's threads were doing, and starts afresh.
 */
#include "vaultstore.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SECRET_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SECRET_ASAN 1
#endif
#endif
#ifdef SECRET_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
#endif

enum {
    SECRET_SHARDS = 8,
    SECRET_CLASSES = 10,         /* 32 bytes to 16 KiB; more than that is a mapping of its own */
    SECRET_SMALLEST = 32,
    SECRET_CHUNK = 16384,
    SECRET_PER_CHUNK = 4,        /* blocks of a chunk at the least */
};

struct block { struct block *next; };

struct shard {
    _Alignas(64) pthread_mutex_t lock;   /* all zeros is PTHREAD_MUTEX_INITIALIZER */
    struct block *free[SECRET_CLASSES];
};

struct control { struct shard shards[SECRET_SHARDS]; };

static struct control *_Atomic secret_control;

/* ------------------------------------------------------------------ pages */

static void *pages_new(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    if (madvise(pages, size, MADV_WIPEONFORK) != 0) {   /* the one thing we cannot do without */
        munmap(pages, size);
        return NULL;
    }
    (void)madvise(pages, size, MADV_DONTDUMP);
    (void)mlock(pages, size);    /* as far as RLIMIT_MEMLOCK goes */
    return pages;
}

static size_t pages_size(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return size > SIZE_MAX - page ? 0 : (size + page - 1) / page * page;
}

static struct control *control_get(void)
{
    struct control *control = atomic_load_explicit(&secret_control, memory_order_acquire);
    if (control)
        return control;
    size_t size = pages_size(sizeof(*control));
    struct control *fresh = pages_new(size);
    if (!fresh)
        return NULL;
    if (atomic_compare_exchange_strong(&secret_control, &control, fresh))
        return fresh;
    munmap(fresh, size);
    return control;
}

/* ------------------------------------------------------------------ classes and shards */

static size_t class_of(size_t size)
{
    size_t class = 0;
    while (class < SECRET_CLASSES && size > (size_t)SECRET_SMALLEST << class)
        class++;
    return class;
}

static size_t class_size(size_t class)
{
    return (size_t)SECRET_SMALLEST << class;
}

static size_t thread_shard(void)
{
    static atomic_size_t next = 1;
    static _Thread_local size_t number;
    if (number == 0)
        number = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
    return number % SECRET_SHARDS;
}

static struct block *shard_pop(struct shard *shard, size_t class)
{
    struct block *block = shard->free[class];
    if (block) {
        ASAN_UNPOISON_MEMORY_REGION(block, class_size(class));
        shard->free[class] = block->next;
    }
    return block;
}

static void shard_push(struct shard *shard, size_t class, struct block *block)
{
    block->next = shard->free[class];
    shard->free[class] = block;
    ASAN_POISON_MEMORY_REGION(block, class_size(class));
}

/* Blocks that this shard's threads got and others gave back: else a producer would map for ever. */
static struct block *neighbour_pop(struct control *control, size_t own, size_t class)
{
    struct block *block = NULL;
    for (size_t i = 1; !block && i < SECRET_SHARDS; i++) {
        struct shard *shard = &control->shards[(own + i) % SECRET_SHARDS];
        if (pthread_mutex_trylock(&shard->lock) != 0)
            continue;
        block = shard_pop(shard, class);
        pthread_mutex_unlock(&shard->lock);
    }
    return block;
}

static struct block *chunk_pop(struct shard *shard, size_t class)
{
    size_t block_size = class_size(class), size = SECRET_PER_CHUNK * block_size;
    if (size < SECRET_CHUNK)
        size = SECRET_CHUNK;
    uint8_t *chunk = pages_new(size);
    if (!chunk)
        return NULL;
    pthread_mutex_lock(&shard->lock);
    for (size_t at = block_size; at < size; at += block_size)
        shard_push(shard, class, (struct block *)(void *)(chunk + at));
    pthread_mutex_unlock(&shard->lock);
    return (struct block *)(void *)chunk;
}

/* ------------------------------------------------------------------ public */

void *vs_secret_alloc(size_t size)
{
    size_t class = class_of(size);
    if (class == SECRET_CLASSES) {
        size_t mapping = pages_size(size);
        return mapping ? pages_new(mapping) : NULL;
    }
    struct control *control = control_get();
    if (!control)
        return NULL;
    size_t own = thread_shard();
    struct shard *shard = &control->shards[own];
    pthread_mutex_lock(&shard->lock);
    struct block *block = shard_pop(shard, class);
    pthread_mutex_unlock(&shard->lock);
    if (!block)
        block = neighbour_pop(control, own, class);
    return block ? block : chunk_pop(shard, class);
}

void vs_secret_free(void *memory, size_t size)
{
    if (!memory)
        return;
    explicit_bzero(memory, size);
    size_t class = class_of(size);
    if (class == SECRET_CLASSES) {
        munmap(memory, pages_size(size));
        return;
    }
    /* There is a control: the block came through it, in this process or in its parent. */
    struct shard *shard = &atomic_load(&secret_control)->shards[thread_shard()];
    pthread_mutex_lock(&shard->lock);
    shard_push(shard, class, memory);
    pthread_mutex_unlock(&shard->lock);
}
