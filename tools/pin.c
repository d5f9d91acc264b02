#include "pin.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void pin_auto(struct pin *pin)
{
    explicit_bzero(pin, sizeof(*pin));
}

bool pin_terminal(void)
{
    return isatty(STDIN_FILENO) == 1;
}

static void pin_take(struct pin *pin, size_t len)
{
    while (len > 0 && (pin->bytes[len - 1] == '\n' || pin->bytes[len - 1] == '\r'))
        len--;
    pin->bytes[len] = '\0';
    pin->len = (unsigned long)len;
}

/* One read at a time: a pipe, as in --pin-file <(command), may deliver it in pieces. */
static enum outcome pin_from_file(const struct pin_source *source, struct failure *failure,
                                  struct pin *ret_pin)
{
    int fd = open(source->file, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t got = fd < 0 ? -1 : 1;

    while (got > 0 && used < sizeof(ret_pin->bytes)) {
        got = read(fd, ret_pin->bytes + used, sizeof(ret_pin->bytes) - used);
        used += got > 0 ? (size_t)got : 0;
    }
    if (got < 0)
        failure_set(failure, OUTCOME_FAILED, "PIN_FILE", "cannot read the %s from %s: %s",
                    source->what, source->file, strerror(errno));
    else if (used == sizeof(ret_pin->bytes))
        failure_set(failure, OUTCOME_FAILED, "PIN_FILE", "%s is too long for a PIN (at most %d)",
                    source->file, PIN_MAX - 1);
    if (fd >= 0)
        close(fd);
    if (got < 0 || used == sizeof(ret_pin->bytes))
        return OUTCOME_FAILED;
    pin_take(ret_pin, used);
    return OUTCOME_OK;
}

static enum outcome pin_from_environment(const struct pin_source *source, const char *value,
                                         struct failure *failure, struct pin *ret_pin)
{
    size_t len = strlen(value);

    if (len > PIN_MAX)
        return failure_set(failure, OUTCOME_FAILED, "PIN_LENGTH", "the %s in %s is too long",
                           source->what, source->environment);
    memcpy(ret_pin->bytes, value, len);
    pin_take(ret_pin, len);
    return OUTCOME_OK;
}

/* OpenSSL's prompt gives the terminal its echo back on a signal, too. */
static enum outcome pin_from_terminal(const struct pin_source *source, bool fresh,
                                      struct failure *failure, struct pin *ret_pin)
{
    char prompt[96];

    snprintf(prompt, sizeof(prompt), "%s%s: ", fresh ? "New " : "", source->what);
    if (EVP_read_pw_string_min((char *)ret_pin->bytes, 0, PIN_MAX, prompt, fresh) != 0)
        return failure_set(failure, OUTCOME_LOGIN, "PIN_ENTRY", "no %s was entered",
                           source->what);
    pin_take(ret_pin, strlen((const char *)ret_pin->bytes));
    return OUTCOME_OK;
}

enum outcome pin_read(const struct pin_source *source, bool fresh, struct failure *failure,
                      struct pin *ret_pin)
{
    const char *value = secure_getenv(source->environment);

    if (source->file != NULL)
        return pin_from_file(source, failure, ret_pin);
    if (value != NULL)
        return pin_from_environment(source, value, failure, ret_pin);
    if (pin_terminal())
        return pin_from_terminal(source, fresh, failure, ret_pin);
    failure_set(failure, OUTCOME_LOGIN, "PIN_MISSING", "the %s is needed, and there is no "
                "terminal to ask on", source->what);
    failure_hint(failure, "give %s FILE, or set %s", source->file_option, source->environment);
    return OUTCOME_LOGIN;
}
