#include "progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define STEP_SECONDS 0.1

static double seconds(void)
{
    struct timespec t = {0};

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct progress progress_begin(const struct run *run, const char *what)
{
    return (struct progress){.what = what, .json = run->json, .told = seconds(),
                             .terminal = !run->json && isatty(STDERR_FILENO) == 1};
}

bool progress_wanted(const struct progress *progress)
{
    return progress->json || progress->terminal;
}

static void step_bar(struct progress *p, unsigned long long done, unsigned long long total)
{
    static const char full[] = "########################################";
    int part = (int)((double)done * (sizeof(full) - 1) / (double)(total > 0 ? total : 1));

    if (total > 0)
        fprintf(stderr, "\r%s [%-40.*s] %llu/%llu", p->what, part, full, done, total);
    else
        fprintf(stderr, "\r%s %llu", p->what, done);
    p->open = true;
    if (done == total)
        progress_end(p);
}

void progress_step(struct progress *p, unsigned long long done, unsigned long long total)
{
    bool all = done > 0 && done >= total && total != 0;
    double now = seconds();

    if (!progress_wanted(p) || done == 0 || (!all && now - p->told < STEP_SECONDS))
        return;
    p->told = now;
    if (all)
        done = total;
    if (p->json)
        fprintf(stderr, "{\"progress\": {\"what\": \"%s\", \"done\": %llu, \"total\": %llu}}\n",
                p->what, done, total);
    else
        step_bar(p, done, total);
}

void progress_end(struct progress *p)
{
    if (p->open)
        fputc('\n', stderr);
    p->open = false;
}
