/* sink.c: see sink.h. journald's native protocol: FIELD=value lines in one datagram. */
#include "sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "text.h"
#include "vendor_audit.h"

#define JOURNAL "/run/systemd/journal/socket"

static void message(const struct vs_event *event, char *ret_text, size_t size)
{
    char id[33] = "";
    if (event->has_id)
        text_hex(id, event->id.b, sizeof(event->id.b));
    snprintf(ret_text, size,
             "reprieve: %s %s by %s (uid %u, pid %u, %s) vault %u object %s count %llu %s",
             event->operation, event_result(event), event->principal, event->uid, event->pid,
             event->exe, event->vault, id[0] ? id : "-", (unsigned long long)event->count,
             event->detail);
    for (char *at = ret_text; *at; at++)   /* one line, whatever a name or a path holds */
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
}

static int priority(const struct vs_event *event)
{
    return event->result == VS_OK ? LOG_NOTICE : LOG_WARNING;
}

static void to_syslog(const struct vs_event *event)
{
    char text[512];
    message(event, text, sizeof(text));
    syslog(LOG_AUTHPRIV | priority(event), "%s", text);
}

static void to_journald(const struct vs_event *event)
{
    const char *path = secure_getenv("REPRIEVE_JOURNAL_SOCKET");   /* for tests */
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char text[512], id[33] = "", hash[65], datagram[1400];
    message(event, text, sizeof(text));
    if (event->has_id)
        text_hex(id, event->id.b, sizeof(event->id.b));
    text_hex(hash, event->hash, sizeof(event->hash));
    int len = snprintf(datagram, sizeof(datagram),
                       "MESSAGE=%s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=reprieve\n"
                       "REPRIEVE_SEQ=%llu\nREPRIEVE_OPERATION=%s\nREPRIEVE_RESULT=%s\n"
                       "REPRIEVE_VAULT=%u\nREPRIEVE_OBJECT=%s\nREPRIEVE_HASH=%s\n",
                       text, priority(event), (unsigned long long)event->seq, event->operation,
                       event_result(event), event->vault, id, hash);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path && path[0] ? path : JOURNAL);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || sendto(fd, datagram, (size_t)len, MSG_NOSIGNAL, (struct sockaddr *)&to,
                         sizeof(to)) != len)
        trace_note("event %llu did not reach journald: %s", (unsigned long long)event->seq,
                   strerror(errno));
    if (fd >= 0)
        close(fd);
}

sink_fn sink_of(uint32_t kind)
{
    static const sink_fn SINKS[] = {
        [SINK_NONE] = NULL, [SINK_JOURNALD] = to_journald, [SINK_SYSLOG] = to_syslog};
    return SINKS[kind];
}
