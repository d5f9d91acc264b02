/* commit.c: group commit. See commit.h. */
#include <stdlib.h>
#include <time.h>

#include "audit.h"
#include "store_internal.h"

enum request_phase { REQUEST_WAITS, REQUEST_LEADS, REQUEST_DONE };

/* Lies on the stack of the thread that waits for it. */
struct commit_request {
    commit_fn *fn;
    void *ctx;
    int status;
    enum request_phase phase;
    pthread_cond_t wake;
    struct commit_request *next;
    struct commit_note note;
};

void commit_queue_init(struct commit_queue *queue)
{
    *queue = (struct commit_queue){.head = NULL};
    pthread_mutex_init(&queue->lock, NULL);
}

void commit_queue_done(struct commit_queue *queue)
{
    pthread_mutex_destroy(&queue->lock);
}

/* A newer build may have migrated the store since this one opened it. */
static int format_known(struct vs_store *store, struct kv_txn *txn)
{
    struct key key = key_meta();
    struct kv_slice value;
    struct reader r;
    int status = kv_get(txn, key.b, key.len, &value);

    if (status != VS_OK)
        return status == VS_NOT_FOUND ? VS_OK : status;
    reader_init(&r, value.data, value.len);
    if (get_u32(&r) <= SCHEMA_VERSION)
        return VS_OK;
    store_trace(store, __func__, "a newer build has changed the store's format: start this program "
                "again, with that build");
    return VS_E_VERSION;
}

static int txn_begin(struct vs_store *store, struct commit_txn *ret_txn)
{
    struct commit_txn txn = {.store = store};
    int status;

    VS_TRY(kv_write(store->kv, &txn.kv));
    status = format_known(store, txn.kv);
    if (status == VS_OK)
        status = audit_state_read(store, txn.kv, &txn.state);
    if (status == VS_NOT_FOUND) {
        txn.state = (struct store_state){.next_seq = 1, .next_generation = 1};
        clock_read(&store->time, NULL, &txn.clock);
    } else if (status == VS_OK) {
        clock_read(&store->time, &txn.state.anchor, &txn.clock);
    } else {
        kv_abort(txn.kv);
        return status;
    }
    *ret_txn = txn;
    return VS_OK;
}

/* An outcome after a put would leave half a change in the batch: then the batch is undone. */
#define BATCH_TORN 101

static int request_run(struct commit_txn *txn, struct commit_request *request, bool *ret_dirty)
{
    struct store_state before = txn->state;
    bool jumped = txn->clock.jumped;

    txn->dirty = false;
    txn->note = &request->note;
    request->note.n = 0;
    request->status = request->fn(txn, request->ctx);
    if (request->status < 0 || request->status == KV_MAP_FULL)
        return request->status;
    if (request->status > 0 && txn->dirty)
        return BATCH_TORN;
    if (request->status > 0) {
        txn->state = before;
        txn->clock.jumped = jumped;
    }
    *ret_dirty |= txn->dirty;
    return VS_OK;
}

/* Runs the batch in the open transaction, and ends that. */
static int batch_run(struct commit_txn *txn, struct commit_request *batch)
{
    bool dirty = false;

    for (struct commit_request *r = batch; r != NULL; r = r->next) {
        int status = request_run(txn, r, &dirty);
        if (status != VS_OK) {
            kv_abort(txn->kv);
            return status;
        }
    }
    if (dirty) {
        VS_TRY(kv_commit(txn->kv));
        head_note(txn->store, &txn->state);
        return VS_OK;
    }
    kv_abort(txn->kv);
    return VS_OK;
}

static void batch_settle(struct commit_request *batch, int status)
{
    for (struct commit_request *r = batch; r != NULL; r = r->next)
        r->status = status;
}

/* Again from the start, growing the map as long as that is what fails. */
static int batch_retry(struct vs_store *store, struct commit_request *batch, int status)
{
    while (status == KV_MAP_FULL) {
        struct commit_txn txn;

        VS_TRY(kv_grow(store->kv));
        VS_TRY(txn_begin(store, &txn));
        status = batch_run(&txn, batch);
    }
    return status;
}

/* One request by itself: a fault or a torn outcome is its own. */
static void request_alone(struct vs_store *store, struct commit_request *request)
{
    struct commit_request *next = request->next;
    struct commit_txn txn;
    int status;

    request->next = NULL;
    status = txn_begin(store, &txn);
    if (status == VS_OK)
        status = batch_retry(store, request, batch_run(&txn, request));
    if (status != VS_OK && status != BATCH_TORN)
        request->status = status;
    request->next = next;
}

static struct commit_request *queue_take(struct commit_queue *queue)
{
    struct commit_request *batch;

    pthread_mutex_lock(&queue->lock);
    batch = queue->head;
    queue->head = queue->tail = NULL;
    pthread_mutex_unlock(&queue->lock);
    return batch;
}

/* Wakes the batch, and hands the lead to the first of those that queued meanwhile. */
static void queue_release(struct commit_queue *queue, struct commit_request *batch,
                          const struct commit_request *self)
{
    pthread_mutex_lock(&queue->lock);
    for (struct commit_request *r = batch, *next; r != NULL; r = next) {
        next = r->next;
        r->phase = REQUEST_DONE;
        if (r != self)
            pthread_cond_signal(&r->wake);
    }
    queue->leading = queue->head != NULL;
    if (queue->leading) {
        queue->head->phase = REQUEST_LEADS;
        pthread_cond_signal(&queue->head->wake);
    }
    pthread_mutex_unlock(&queue->lock);
}

static void lead(struct vs_store *store, const struct commit_request *self)
{
    struct commit_txn txn;
    /* The queue is taken after the writer lock, so that it gathers while others write. */
    int status = txn_begin(store, &txn);
    struct commit_request *batch = queue_take(&store->commits);

    if (status == VS_OK) {
        status = batch_retry(store, batch, batch_run(&txn, batch));
        if (status != VS_OK && batch->next == NULL) {
            if (status != BATCH_TORN)
                batch->status = status;
        } else if (status != VS_OK) {
            for (struct commit_request *r = batch; r != NULL; r = r->next)
                request_alone(store, r);
        }
    } else {
        batch_settle(batch, status);
    }
    queue_release(&store->commits, batch, self);
}

uint64_t commit_clock_ns(void)
{
    struct timespec t = {0};

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#define PACE_LEAST 32u
#define PACE_SHORT 15000000u      /* ns: below that twice as much */
#define PACE_PUTS 20000000u       /* no more puts: the commit takes its time, too */
#define PACE_LONG 35000000u       /* above that half as much */

struct commit_pace commit_pace(size_t most)
{
    return (struct commit_pace){.size = PACE_LEAST, .most = most};
}

void commit_pace_begin(struct commit_pace *pace)
{
    pace->began_ns = commit_clock_ns();
}

bool commit_pace_over(const struct commit_pace *pace)
{
    return commit_clock_ns() - pace->began_ns > PACE_PUTS;
}

void commit_pace_end(struct commit_pace *pace)
{
    uint64_t held = commit_clock_ns() - pace->began_ns;

    if (held < PACE_SHORT && pace->size < pace->most)
        pace->size *= 2;
    else if (held > PACE_LONG && pace->size > PACE_LEAST)
        pace->size /= 2;
    if (pace->size > pace->most)
        pace->size = pace->most;
}

/* What the events of one change share, and no other: the process's random half and a number. */
static void note_begin(struct vs_store *store, struct commit_note *note)
{
    struct writer w;

    *note = (struct commit_note){.began_ns = commit_clock_ns()};
    writer_init(&w, note->correlation, sizeof(note->correlation));
    put_u64(&w, store->correlation);
    put_u64(&w, atomic_fetch_add_explicit(&store->changes, 1, memory_order_relaxed));
}

void commit_tell(struct commit_txn *txn, const struct vs_event *event)
{
    struct commit_note *note = txn->note;

    if (txn->store->on_event == NULL)
        return;
    if (note->n == note->cap) {
        size_t cap = note->cap == 0 ? 4 : note->cap * 2;
        struct vs_event *events = realloc(note->events, cap * sizeof(*events));
        if (events == NULL)
            return;
        note->events = events;
        note->cap = cap;
    }
    note->events[note->n++] = *event;
}

static void note_end(struct vs_store *store, struct commit_note *note, int status)
{
    for (size_t i = 0; status == VS_OK && i < note->n; i++)
        store->on_event(&note->events[i]);
    free(note->events);
}

static int write_allowed(struct vs_store *store)
{
    AUTO(kv_txn) struct kv_txn *txn = NULL;

    if (!atomic_load_explicit(&store->head.protects, memory_order_relaxed))
        return VS_OK;
    VS_TRY(kv_read(store->kv, &txn));
    return head_protects(store, txn) ? VS_LOCKED : VS_OK;
}

int commit_run(struct vs_store *store, commit_fn *fn, void *ctx)
{
    VS_TRY(write_allowed(store));
    return commit_run_always(store, fn, ctx);
}

int commit_run_always(struct vs_store *store, commit_fn *fn, void *ctx)
{
    struct commit_queue *queue = &store->commits;
    struct commit_request self = {.fn = fn, .ctx = ctx, .phase = REQUEST_WAITS};
    bool leads;

    note_begin(store, &self.note);
    pthread_cond_init(&self.wake, NULL);
    pthread_mutex_lock(&queue->lock);
    if (queue->head == NULL)
        queue->head = &self;
    else
        queue->tail->next = &self;
    queue->tail = &self;
    if (!queue->leading) {
        queue->leading = true;
        self.phase = REQUEST_LEADS;
    }
    while (self.phase == REQUEST_WAITS)
        pthread_cond_wait(&self.wake, &queue->lock);
    leads = self.phase == REQUEST_LEADS;
    pthread_mutex_unlock(&queue->lock);
    if (leads)
        lead(store, &self);
    pthread_cond_destroy(&self.wake);
    note_end(store, &self.note, self.status);
    return self.status;
}

int commit_put(struct commit_txn *txn, const struct key *key, const void *value, size_t len)
{
    txn->dirty = true;
    return kv_put(txn->kv, key->b, key->len, value, len);
}

int commit_delete(struct commit_txn *txn, const struct key *key)
{
    txn->dirty = true;
    return kv_delete(txn->kv, key->b, key->len);
}

int commit_discard(struct commit_txn *txn, const struct key *key)
{
    int status = commit_delete(txn, key);

    return status == VS_NOT_FOUND ? VS_OK : status;
}

int commit_sequence_skip(struct commit_txn *txn)
{
    uint64_t end = 0;

    VS_TRY(keyslots_end(txn->store->slots, &end));
    if (txn->state.next_seq < end)
        txn->state.next_seq = end;
    return VS_OK;
}

int commit_sequence(struct commit_txn *txn, uint64_t *ret_seq, uint8_t ret_secret[32])
{
    int status = VS_NOT_FOUND;

    /* A wiped slot ahead means that the database is older than the slot file: step over it. */
    for (uint64_t seq = txn->state.next_seq; status == VS_NOT_FOUND; seq++) {
        VS_TRY(keyslots_prepare(txn->store->slots, seq));
        status = keyslots_read(txn->store->slots, seq, ret_secret);
        if (status == VS_OK) {
            txn->state.next_seq = seq + 1;
            *ret_seq = seq;
        }
    }
    return status;
}

int trusted_get(struct vs_store *store, struct kv_txn *txn, const struct key *key,
                struct reader *ret_body)
{
    struct kv_slice value;
    int status;

    VS_TRY(kv_get(txn, key->b, key->len, &value));
    status = schema_open(store->sealer, store->keys->mac, key, &value, ret_body);
    if (status == VS_E_CORRUPT)
        store_trace(store, __func__, "a record of table %d does not authenticate", key->b[0]);
    return status;
}

int trusted_put(struct commit_txn *txn, const struct key *key, struct writer *body)
{
    uint8_t value[SCHEMA_BODY_MAX + SCHEMA_MAC];

    if (!writer_ok(body) || body->len > SCHEMA_BODY_MAX)
        return VS_E_CORRUPT;
    memcpy(value, body->data, body->len);
    VS_TRY(schema_mac(txn->store->sealer, txn->store->keys->mac, key, body->data, body->len, NULL,
                      value + body->len));
    return commit_put(txn, key, value, body->len + SCHEMA_MAC);
}
