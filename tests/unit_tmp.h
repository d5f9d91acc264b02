/* unit_tmp.h: a directory for one test, removed with what is in it. */
#ifndef UNIT_TMP_H
#define UNIT_TMP_H
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

struct tmp { char path[64]; };

static inline struct tmp tmp_make(void)
{
    struct tmp tmp = {"/tmp/reprieve-unit-XXXXXX"};
    if (!mkdtemp(tmp.path))
        abort();
    return tmp;
}

static inline int tmp_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline void tmp_remove(const struct tmp *tmp)
{
    if (nftw(tmp->path, tmp_remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
        abort();
}

/* Pointers into static buffers: one name at a time. */
static inline const char *tmp_file(const struct tmp *tmp, const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", tmp->path, name);
    return path;
}
#endif
