/*
 * flusher.h: a thread that writes uses of keys to the log when their second is over and no call
 * comes by to do it. It begins with the first use, ends when there was none for a while, and is
 * not there at all when the application says CKF_LIBRARY_CANT_CREATE_OS_THREADS: then uses wait
 * for the next call. It takes no signals.
 */
#ifndef FLUSHER_H
#define FLUSHER_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct flusher {
    pthread_mutex_t lock;        /* guards what has no other guard */
    pthread_cond_t wake;
    pthread_t thread;
    bool forbidden, stop;
    bool running;                /* the thread will look at `due` once more */
    bool joinable;
    uint64_t due;                /* milliseconds, as use_now_ms; 0: nothing */
    uint64_t retry_after;        /* there was no thread to be had; the same clock */
    pthread_mutex_t busy;        /* held while it writes */
    _Atomic bool gone;           /* OpenSSL is about to go: no write is begun any more */
};
void flusher_init(struct flusher *flusher, bool forbidden);
/* Something is to be written at that time; cheap, and rare: once for a second of use. */
void flusher_want(struct flusher *flusher, uint64_t due);
/* Ends the thread and waits for it. All zeros is allowed. */
void flusher_stop(struct flusher *flusher);
/* When OpenSSL has gone: the same, but a write that stands still is left to the end of the process.
 * False: then nothing that it may use can be freed. */
bool flusher_leave(struct flusher *flusher);
#endif
