/*
 * aid.c: what test scripts cannot do themselves.
 *
 *   aid listen SOCKET FILE   a datagram socket: each datagram goes into FILE, a line "--" behind
 *                            it. FILE is made once it listens. Ends by a signal.
 *   aid stream SOCKET FILE   the same by connections, as some log daemons take them
 *   aid deaf SOCKET FILE     the same, but it takes nothing: its queue fills
 *   aid full SOCKET FILE     a stream that takes nothing, and whose queue of connections is full
 *   aid clock FILE SECONDS   moves the clock of reprieve-test.so (REPRIEVE_TEST_CLOCK) on, which it
 *                            makes where there is none
 *   aid spoil STORE SEQ      flips a bit of that event in the log
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "test_clock.h"
#include "vaultstore.h"
#include "vaultstore/store_internal.h"

static int fail(const char *what)
{
    perror(what);
    return 1;
}

/* What comes next: a datagram, or all of a connection. */
static ssize_t message_take(int fd, bool stream, char *text, size_t size)
{
    int from = stream ? accept(fd, NULL, NULL) : fd;
    ssize_t len = recv(from, text, size, stream ? MSG_WAITALL : 0);

    if (stream)
        close(from);
    return len;
}

/* Connections of its own, until there is no room for one more. */
static void queue_fill(const struct sockaddr_un *name)
{
    int fd;

    do
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    while (fd >= 0 && connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0);
}

static int listen_on(const char *path, const char *file, const char *how)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    bool stream = how[0] == 's' || how[0] == 'f';
    char text[65536];
    FILE *out = NULL;
    int fd = socket(AF_UNIX, stream ? SOCK_STREAM : SOCK_DGRAM, 0);

    snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) != 0 ||
        (stream && listen(fd, 8) != 0))
        return fail(path);
    if (how[0] == 'f')
        queue_fill(&name);
    out = fopen(file, "w");
    if (out == NULL)
        return fail(file);
    while (how[0] == 'd' || how[0] == 'f')
        pause();
    for (;;) {
        ssize_t len = message_take(fd, stream, text, sizeof(text));

        if (len < 0)
            return fail("recv");
        fwrite(text, 1, (size_t)len, out);
        fputs("\n--\n", out);
        fflush(out);
    }
}

static int clock_move(const char *file, const char *seconds)
{
    struct test_clock clock = {.wall = 1700000000, .boot = 1000, .boot_id = {1}};
    int fd = open(file, O_RDWR | O_CREAT, 0600);

    if (fd < 0 || (pread(fd, &clock, sizeof(clock), 0) < 0))
        return fail(file);
    clock.wall += atoll(seconds);
    clock.boot += atoll(seconds);
    return pwrite(fd, &clock, sizeof(clock), 0) == (ssize_t)sizeof(clock) ? 0 : fail(file);
}

static int spoil(const char *path, const char *seq)
{
    struct vs_options options = {.path = path};
    struct vs_store *store = NULL;
    struct kv_txn *txn = NULL;
    struct kv_slice value;
    struct key key = key_audit(strtoull(seq, NULL, 10));
    uint8_t copy[2048];
    int status = VS_OK;

    vs_policy_default(&options.defaults);
    status = vs_store_open(&options, &store);
    if (status == VS_OK)
        status = kv_write(store->kv, &txn);
    if (status == VS_OK)
        status = kv_get(txn, key.b, key.len, &value);
    if (status == VS_OK && value.len <= sizeof(copy)) {
        size_t len = value.len;

        memcpy(copy, value.data, len);
        copy[len / 2] ^= 1;
        status = kv_put(txn, key.b, key.len, copy, len);
    }
    if (status == VS_OK)
        status = kv_commit(txn);
    if (store != NULL)
        vs_store_close(store);
    if (status != VS_OK)
        fprintf(stderr, "%s: %s\n", path, vs_status_name(status));
    return status != VS_OK;
}

int main(int argc, char **argv)
{
    const char *what = argc == 4 ? argv[1] : "";

    if (strcmp(what, "listen") == 0 || strcmp(what, "stream") == 0 || strcmp(what, "deaf") == 0 ||
        strcmp(what, "full") == 0)
        return listen_on(argv[2], argv[3], what);
    if (strcmp(what, "clock") == 0)
        return clock_move(argv[2], argv[3]);
    if (strcmp(what, "spoil") == 0)
        return spoil(argv[2], argv[3]);
    fputs("usage: aid listen|stream|deaf|full SOCKET FILE | clock FILE SECONDS | spoil STORE SEQ\n",
          stderr);
    return 2;
}
