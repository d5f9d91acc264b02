/*
 * pin.h: where PINs come from. In this order: a file that an option names, the environment, a
 * prompt on the terminal. Never from the command line, which every user of the machine can read.
 */
#ifndef PIN_H
#define PIN_H
#include "../vaultstore/auto.h"
#include "failure.h"

#define PIN_MAX 255

struct pin {
    unsigned char bytes[PIN_MAX + 1];
    unsigned long len;
};

struct pin_source {
    const char *what;        /* "user PIN", for prompts and messages */
    const char *file;        /* from the option, or NULL */
    const char *file_option; /* the option's name */
    const char *environment; /* the variable's name */
};

/* fresh: a PIN to be set, so it is asked for twice. */
enum outcome pin_read(const struct pin_source *source, bool fresh, struct failure *failure,
                      struct pin *ret_pin);
/* Wipes it. */
void pin_auto(struct pin *pin);
/* Can somebody be asked? */
bool pin_terminal(void);
#endif
