/*
 * flusher.h: a thread that writes uses of keys to the log when their second is over and no call
 * comes by to do it. It begins with the first use, ends when there was none for a while, and is
 * not there at all when the application says CKF_LIBRARY_CANT_CREATE_OS_THREADS: then uses wait
 * for the next call. It takes no signals, and a fork of the application's does not meet it while it
 * holds locks of OpenSSL's or the allocator's, so that a host that has no thread of its own may go
 * on to use both in its child.
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
    bool begun;                  /* the thread is through its start */
    bool running;                /* it will look at `due` once more */
    bool joinable;
    uint64_t due;                /* milliseconds, as use_now_ms; 0: nothing */
    uint64_t retry_after;        /* there was no thread to be had; the same clock */
};
void flusher_init(struct flusher *flusher, bool forbidden);
/* Something is to be written at that time; cheap, and rare: once for a second of use. */
void flusher_want(struct flusher *flusher, uint64_t due);
/* OpenSSL is about to go: no write is begun any more. */
bool flusher_gone(void);
/* Ends the thread and waits for it. All zeros is allowed. */
void flusher_stop(struct flusher *flusher);
/* When OpenSSL has gone: the same, but a write that stands still is left to the end of the process.
 * False: then nothing that it may use can be freed. */
bool flusher_leave(struct flusher *flusher);
#endif
