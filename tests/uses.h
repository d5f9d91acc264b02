/* uses.h: for tests of what the log has of uses of keys: a key, uses of it, and what is on record. */
#ifndef USES_H
#define USES_H
#include "promise.h"

/* A key on the token with the label "used". */
CK_OBJECT_HANDLE used_key_make(struct harness *h, CK_SESSION_HANDLE session);
void use_times(struct harness *h, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, int n);
/* Fails unless so many uses of that operation and result (and detail; NULL: any) are on record, as a
 * process of its own sees them. */
void uses_expect(struct harness *h, const char *operation, const char *result, const char *detail,
                 unsigned long long want);
#endif
