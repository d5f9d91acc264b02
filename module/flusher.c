/* flusher.c: see flusher.h. */
#include "flusher.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include <openssl/crypto.h>

#include "module_state.h"
#include "session.h"

#define IDLE_MS 10000u
#define RETRY_MS 10000u
#define TICK_MS 10u                  /* the coarse clock may be that late */
#define EXIT_WAIT_MS 1000u
#define STACK (1u << 20)

static struct timespec time_of_ms(uint64_t ms)
{
    return (struct timespec){.tv_sec = (time_t)(ms / 1000),
                             .tv_nsec = (long)(ms % 1000) * 1000000};
}

/* ------------------------------------------------------------------ the end of the process */

/* No write is begun any more; one that has begun is let finish, within reason: another process may
 * hold the store's lock and stand still. It is waited for once. False: it goes on. */
static bool write_over(struct flusher *flusher)
{
    unsigned wait_ms = atomic_exchange(&flusher->gone, true) ? 0 : EXIT_WAIT_MS;
    while (pthread_mutex_trylock(&flusher->busy) != 0) {
        if (wait_ms-- == 0)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    pthread_mutex_unlock(&flusher->busy);
    return true;
}

/* OpenSSL calls this before it takes anything down. */
static void openssl_goes(void)
{
    struct module_state *state = module_state();
    if (state)
        (void)write_over(&state->flusher);
}

static bool exit_watched(void)
{
    static _Atomic bool watched;   /* a child inherits OpenSSL's list along with this */
    if (!atomic_load(&watched) && OPENSSL_atexit(openssl_goes) == 1)
        atomic_store(&watched, true);
    return atomic_load(&watched);
}

/* ------------------------------------------------------------------ the thread */

/* Says when there is something to write again; 0: nothing is left. */
static uint64_t flusher_write(struct flusher *flusher)
{
    uint64_t next = 0;
    pthread_mutex_lock(&flusher->busy);
    if (!atomic_load(&flusher->gone))
        next = session_flush_uses();
    pthread_mutex_unlock(&flusher->busy);
    return next;
}

static void due_earlier(struct flusher *flusher, uint64_t due)
{
    if (due && (!flusher->due || due < flusher->due))
        flusher->due = due;
}

/* False: it was idle for long. */
static bool flusher_wait(struct flusher *flusher)
{
    bool idle = flusher->due == 0;
    struct timespec until = time_of_ms(idle ? use_now_ms() + IDLE_MS : flusher->due + TICK_MS);
    int rc = pthread_cond_timedwait(&flusher->wake, &flusher->lock, &until);
    return !(idle && rc == ETIMEDOUT && flusher->due == 0);
}

static void *flusher_run(void *arg)
{
    struct flusher *flusher = arg;
    bool goes_on = true;
    pthread_mutex_lock(&flusher->lock);
    while (goes_on && !flusher->stop) {
        if (!flusher->due || use_now_ms() < flusher->due) {
            goes_on = flusher_wait(flusher);
            continue;
        }
        flusher->due = 0;
        pthread_mutex_unlock(&flusher->lock);
        uint64_t next = flusher_write(flusher);
        pthread_mutex_lock(&flusher->lock);
        due_earlier(flusher, next);
    }
    flusher->running = false;
    pthread_mutex_unlock(&flusher->lock);
    return NULL;
}

static bool thread_make(struct flusher *flusher)
{
    pthread_attr_t attr;
    sigset_t all, before;
    if (!exit_watched() || pthread_attr_init(&attr) != 0)
        return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool made = pthread_attr_setstacksize(&attr, STACK) == 0 &&
                pthread_create(&flusher->thread, &attr, flusher_run, flusher) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return made;
}

/* With the lock held. One that has ended lets go of the lock as the last thing it does. */
static void thread_start(struct flusher *flusher)
{
    if (flusher->joinable)
        pthread_join(flusher->thread, NULL);
    flusher->joinable = flusher->running = thread_make(flusher);
    flusher->retry_after = flusher->running ? 0 : use_now_ms() + RETRY_MS;
}

/* ------------------------------------------------------------------ its owner */

void flusher_init(struct flusher *flusher, bool forbidden)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&flusher->lock, NULL);
    pthread_mutex_init(&flusher->busy, NULL);
    pthread_cond_init(&flusher->wake, &attr);
    pthread_condattr_destroy(&attr);
    flusher->forbidden = forbidden;
}

void flusher_want(struct flusher *flusher, uint64_t due)
{
    pthread_mutex_lock(&flusher->lock);
    if (!flusher->forbidden && !flusher->stop) {
        due_earlier(flusher, due);
        if (flusher->running)
            pthread_cond_signal(&flusher->wake);
        else if (use_now_ms() >= flusher->retry_after)
            thread_start(flusher);
    }
    pthread_mutex_unlock(&flusher->lock);
}

/* Says whether there is a thread to be joined or let go. */
static bool thread_end(struct flusher *flusher)
{
    pthread_mutex_lock(&flusher->lock);
    flusher->stop = true;
    bool joinable = flusher->joinable;
    flusher->joinable = false;
    pthread_cond_signal(&flusher->wake);
    pthread_mutex_unlock(&flusher->lock);
    return joinable;
}

void flusher_stop(struct flusher *flusher)
{
    if (thread_end(flusher))
        pthread_join(flusher->thread, NULL);
}

bool flusher_leave(struct flusher *flusher)
{
    if (thread_end(flusher))
        pthread_detach(flusher->thread);
    return write_over(flusher);
}
