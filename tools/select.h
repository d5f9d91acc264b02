/* select.h: the objects that a command's arguments name. All are known before anything is done. */
#ifndef SELECT_H
#define SELECT_H
#include "command.h"
#include "object.h"

enum select { SELECT_LIVE = 1, SELECT_DELETED = 2 };   /* both: a live one, else a deleted one */

/* Adds the class that --class names to the template, which has room for it. */
enum outcome select_class(struct run *run, CK_OBJECT_CLASS *class, CK_ATTRIBUTE *attrs,
                          CK_ULONG *n);
/* The one object of that name, among those of --class. The SO is shown private ones, too. */
enum outcome select_one(struct run *run, const char *name, unsigned which,
                        CK_OBJECT_HANDLE *ret_handle);
/* Those that the arguments name. */
enum outcome select_args(struct run *run, unsigned which, struct handles *handles);

#define OBJECT_DOC                                                                                 \
    "An OBJECT is a unique id or a label; id=HEX (or 0xHEX), label=TEXT and uid=TEXT say which it " \
    "is. When a name fits more than one object, nothing is done and they are listed."
#endif
