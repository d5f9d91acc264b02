/*
 * sink.c: see sink.h. Each event is one datagram on a socket of its own: syslog(3) would use the
 * host's connection, and wait for ever for a daemon that stands still. Here one event waits for
 * room a moment, as a busy daemon needs, and if that was in vain those of the next seconds do not
 * wait. What does not go through is traced; it is in the store's own log all the same.
 */
#include "sink.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "text.h"
#include "vendor_audit.h"

static const struct sockaddr_un JOURNAL = {AF_UNIX, "/run/systemd/journal/socket"};
static const struct sockaddr_un SYSLOG = {AF_UNIX, "/dev/log"};

/* One line, whatever a name or a path holds. */
static void line_clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void message(const struct vs_event *event, char *ret_text, size_t size)
{
    char id[33] = "";
    if (event->has_id)
        text_hex(id, event->id.b, sizeof(event->id.b));
    snprintf(ret_text, size,
             "%s %s by %s (uid %u, pid %u, %s) vault %u object %s count %llu%s%s",
             event->operation, event_result(event), event->principal, event->uid, event->pid,
             event->exe, event->vault, id[0] ? id : "-", (unsigned long long)event->count,
             event->detail[0] ? ": " : "", event->detail);
    line_clean(ret_text);
}

static int priority(const struct vs_event *event)
{
    return event->result == VS_OK ? LOG_NOTICE : LOG_WARNING;
}

#define WAIT_US 100000
#define IMPATIENT_S 10
/* Until then (monotonic seconds) nobody waits. No more than a hint, so a fork may well copy it. */
static _Atomic int64_t impatient_until;

static int64_t seconds_now(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec;
}

/* False with errno; part of a line on a stream is none. */
static bool send_all(int fd, const char *text, size_t len)
{
    ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
    if (sent >= 0 && (size_t)sent < len)
        errno = EMSGSIZE;
    return sent == (ssize_t)len;
}

/* False with errno. */
static bool hand_over(int type, const struct sockaddr_un *to, const char *text, size_t len)
{
    int flags = SOCK_CLOEXEC | (seconds_now() < impatient_until ? SOCK_NONBLOCK : 0);
    int fd = socket(AF_UNIX, type | flags, 0);
    if (fd < 0)
        return false;
    const struct timeval wait = {.tv_usec = WAIT_US};      /* for a stream's connect, too */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    bool done = connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0 &&
                send_all(fd, text, len);
    int error = errno;
    if (!done && (error == EAGAIN || error == EINPROGRESS))
        impatient_until = seconds_now() + IMPATIENT_S;
    close(fd);
    errno = error;
    return done;
}

static void sent(const struct vs_event *event, const char *where, bool done)
{
    if (!done)
        trace_note("event %llu did not reach %s: %s", (unsigned long long)event->seq, where,
                   strerror(errno));
}

/* As syslog(3) writes it, months in English whatever the host's locale. */
static void to_syslog(const struct vs_event *event)
{
    static const char MONTHS[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char text[600], line[700];
    time_t now = time(NULL);
    struct tm tm = {0};
    message(event, text, sizeof(text));
    localtime_r(&now, &tm);
    int len = snprintf(line, sizeof(line), "<%d>%s %2d %02d:%02d:%02d reprieve[%d]: %s",
                       LOG_AUTHPRIV | priority(event), MONTHS[tm.tm_mon], tm.tm_mday, tm.tm_hour,
                       tm.tm_min, tm.tm_sec, (int)getpid(), text);
    bool done = hand_over(SOCK_DGRAM, &SYSLOG, line, (size_t)len);
    if (!done && errno == EPROTOTYPE)      /* a daemon that takes a stream: lines end with NUL */
        done = hand_over(SOCK_STREAM, &SYSLOG, line, (size_t)len + 1);
    sent(event, "syslog", done);
}

/* journald's native protocol: FIELD=value lines. */
static void to_journald(const struct vs_event *event)
{
    char text[600], id[33] = "", hash[65], fields[1600];
    message(event, text, sizeof(text));
    if (event->has_id)
        text_hex(id, event->id.b, sizeof(event->id.b));
    text_hex(hash, event->hash, sizeof(event->hash));
    int len = snprintf(fields, sizeof(fields),
                       "MESSAGE=%s\nPRIORITY=%d\nSYSLOG_FACILITY=%d\n"
                       "SYSLOG_IDENTIFIER=reprieve\nREPRIEVE_SEQ=%llu\nREPRIEVE_OPERATION=%s\n"
                       "REPRIEVE_RESULT=%s\nREPRIEVE_PRINCIPAL=%s\nREPRIEVE_VAULT=%u\n"
                       "REPRIEVE_OBJECT=%s\nREPRIEVE_COUNT=%llu\nREPRIEVE_HASH=%s\n",
                       text, priority(event), LOG_AUTHPRIV >> 3, (unsigned long long)event->seq,
                       event->operation, event_result(event), event->principal, event->vault, id,
                       (unsigned long long)event->count, hash);
    sent(event, "journald", hand_over(SOCK_DGRAM, &JOURNAL, fields, (size_t)len));
}

sink_fn sink_of(uint32_t kind)
{
    static const sink_fn SINKS[] = {
        [SINK_NONE] = NULL, [SINK_JOURNALD] = to_journald, [SINK_SYSLOG] = to_syslog};
    return SINKS[kind];
}
