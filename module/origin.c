/* origin.c: see origin.h. */
#include "origin.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct origin {
    _Atomic unsigned refs;
    struct vs_id id;
    pthread_mutex_t lock;        /* guards what follows: threads may share a session's copy */
    bool known;
    uint64_t txnid;              /* the store's last transaction when the header was read, or one before */
    struct vs_header header;
};

struct origin *origin_new(const struct vs_id *id)
{
    struct origin *origin = calloc(1, sizeof(*origin));
    if (!origin)
        return NULL;
    origin->refs = 1;
    origin->id = *id;
    pthread_mutex_init(&origin->lock, NULL);
    return origin;
}

struct origin *origin_ref(struct origin *origin)
{
    atomic_fetch_add_explicit(&origin->refs, 1, memory_order_relaxed);
    return origin;
}

void origin_unref(struct origin *origin)
{
    if (!origin || atomic_fetch_sub_explicit(&origin->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&origin->lock);
    free(origin);
}

const struct vs_id *origin_id(const struct origin *origin)
{
    return &origin->id;
}

/* The id is read before the header: a transaction in between makes it be read once more. */
static int origin_look(struct origin *origin, struct vs_store *store, uint32_t vault)
{
    uint64_t txnid = vs_store_txnid(store);
    if (origin->known && origin->txnid == txnid)
        return VS_OK;
    origin->known = false;
    int status = vs_object_peek(store, vault, &origin->id, &origin->header);
    origin->known = status == VS_OK && txnid != VS_TXNID_UNKNOWN;
    origin->txnid = txnid;
    return status;
}

int origin_header(struct origin *origin, struct vs_store *store, uint32_t vault,
                  struct vs_header *ret_header)
{
    pthread_mutex_lock(&origin->lock);
    int status = origin_look(origin, store, vault);
    if (status == VS_OK)
        *ret_header = origin->header;
    pthread_mutex_unlock(&origin->lock);
    if (status == VS_OK)
        ret_header->effective = header_state(store, ret_header);
    return status;
}

enum vs_state header_state(struct vs_store *store, const struct vs_header *header)
{
    if (header->state != VS_STATE_ACTIVE || (header->not_before == 0 && header->not_after == 0))
        return header->state;
    int64_t now = vs_store_now(store);
    if (now < header->not_before)
        return VS_STATE_PREACTIVE;
    return header->not_after != 0 && now >= header->not_after ? VS_STATE_EXPIRED : VS_STATE_ACTIVE;
}
