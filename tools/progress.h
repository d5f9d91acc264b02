/*
 * progress.h: how far long work has come: a bar on standard error when that is a terminal, a JSON
 * object a line there with --json, else nothing.
 */
#ifndef PROGRESS_H
#define PROGRESS_H
#include "command.h"

struct progress {
    const char *what;             /* "backup" */
    bool json, terminal;
    bool open;                    /* the bar's line has no end yet */
    double told;                  /* when, in seconds */
};

struct progress progress_begin(const struct run *run, const char *what);
/* Is anybody told? What only serves that need not be found out when not. */
bool progress_wanted(const struct progress *progress);
/* total 0: not known. At most ten times a second, and when all is done. */
void progress_step(struct progress *progress, unsigned long long done, unsigned long long total);
/* Before anything else is said. */
void progress_end(struct progress *progress);
#endif
