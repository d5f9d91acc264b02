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
#define FORK_WAIT_MS 250u
#define START_WAIT_MS 250u
#define STACK (1u << 20)

static struct timespec time_of_ms(uint64_t ms)
{
    return (struct timespec){.tv_sec = (time_t)(ms / 1000),
                             .tv_nsec = (long)(ms % 1000) * 1000000};
}

/* ------------------------------------------------------------------ fork, and the end of the process */

/* Of the process, not of the module's state: fork and exit meet them at any time. */
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;    /* held while the thread is at work */
static _Thread_local bool forker_has_it;
static _Atomic bool gone;

bool flusher_gone(void)
{
    return atomic_load(&gone);
}

static bool busy_take(unsigned wait_ms)
{
    while (pthread_mutex_trylock(&busy) != 0) {
        if (wait_ms-- == 0)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return true;
}

/* No write is begun any more; one that has begun is let finish, within reason: another process may
 * hold the store's lock and stand still. It is waited for once. False: it goes on. */
static bool write_over(void)
{
    if (!busy_take(atomic_exchange(&gone, true) ? 0 : EXIT_WAIT_MS))
        return false;
    pthread_mutex_unlock(&busy);
    return true;
}

/* OpenSSL calls this before it takes anything down. */
static void openssl_goes(void)
{
    (void)write_over();
}

/* A write that takes longer waits for a disk or another process, with no lock that a child needs. */
static void fork_begins(void)
{
    if (busy_take(FORK_WAIT_MS))
        forker_has_it = true;
}

static void fork_over(void)
{
    if (forker_has_it)
        pthread_mutex_unlock(&busy);
    forker_has_it = false;
}

static void fork_in_child(void)
{
    if (!forker_has_it)
        pthread_mutex_init(&busy, NULL);     /* whoever held it is not here */
    fork_over();
}

static bool process_watched(void)
{
    static _Atomic bool forks, end;      /* a child inherits both lists along with this */
    if (!atomic_load(&forks) && pthread_atfork(fork_begins, fork_over, fork_in_child) == 0)
        atomic_store(&forks, true);
    if (!atomic_load(&end) && OPENSSL_atexit(openssl_goes) == 1)
        atomic_store(&end, true);
    return atomic_load(&forks) && atomic_load(&end);
}

/* ------------------------------------------------------------------ the thread */

/* Says when there is something to write again; 0: nothing is left. What OpenSSL keeps for the thread
 * goes at once: at its end nobody would wait with a fork. */
static uint64_t flusher_write(void)
{
    uint64_t next = 0;
    pthread_mutex_lock(&busy);
    if (!flusher_gone())
        next = session_flush_uses();
    if (!flusher_gone())
        OPENSSL_thread_stop();
    pthread_mutex_unlock(&busy);
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
    flusher->begun = true;
    pthread_cond_broadcast(&flusher->wake);
    while (goes_on && !flusher->stop) {
        if (!flusher->due || use_now_ms() < flusher->due) {
            goes_on = flusher_wait(flusher);
            continue;
        }
        flusher->due = 0;
        pthread_mutex_unlock(&flusher->lock);
        uint64_t next = flusher_write();
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
    if (!process_watched() || pthread_attr_init(&attr) != 0)
        return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool made = pthread_attr_setstacksize(&attr, STACK) == 0 &&
                pthread_create(&flusher->thread, &attr, flusher_run, flusher) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return made;
}

/* With the lock held. One that has ended takes it no more. Its start is waited for: the
 * application may fork next. */
static void thread_start(struct flusher *flusher)
{
    if (flusher->joinable)
        pthread_join(flusher->thread, NULL);
    flusher->begun = false;
    bool made = flusher->joinable = flusher->running = thread_make(flusher);
    struct timespec until = time_of_ms(use_now_ms() + START_WAIT_MS);
    while (made && !flusher->begun &&
           pthread_cond_timedwait(&flusher->wake, &flusher->lock, &until) != ETIMEDOUT)
        ;
    flusher->retry_after = made ? 0 : use_now_ms() + RETRY_MS;
}

/* ------------------------------------------------------------------ its owner */

void flusher_init(struct flusher *flusher, bool forbidden)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&flusher->lock, NULL);
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
    return write_over();
}
