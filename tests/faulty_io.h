/*
 * faulty_io.h: writing system calls that fail when told. Linked into a test program with
 * -Wl,--export-dynamic they stand before libc's for everything the program loads, LMDB included.
 */
#ifndef FAULTY_IO_H
#define FAULTY_IO_H

enum faulty_io {
    FAULTY_NONE,                 /* count only */
    FAULTY_NO_SPACE,             /* ENOSPC */
    FAULTY_IO_ERROR,             /* EIO */
    FAULTY_IO_ONCE,              /* EIO, and the disk is well again */
    FAULTY_SHORT,                /* half of it written, then ENOSPC; of other calls: EIO */
    FAULTY_KILL_BEFORE,          /* the process dies instead */
    FAULTY_KILL_AFTER,           /* the process dies once it is done */
    FAULTY_KINDS
};

/* The n-th call from now, 1 the next; no space, errors and short writes go on from there. */
void faulty_io_arm(enum faulty_io kind, unsigned n);
/* How many there have been; fails no more. */
unsigned faulty_io_disarm(void);
const char *faulty_io_name(enum faulty_io kind);
#endif
