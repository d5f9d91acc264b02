/*
 * promise.h: for tests of the promise: objects by label, the four lifecycle operations over
 * standard calls, and what another process would see of an object.
 */
#ifndef PROMISE_H
#define PROMISE_H

#include "harness.h"
#include "reprieve.h"

enum seen { SEEN_NOTHING, SEEN_LIVE, SEEN_DELETED };
const char *seen_name(enum seen seen);

/* An AES key on the token, with this label, whose value is 32 times `fill`. */
CK_RV promise_create(struct harness *h, CK_SESSION_HANDLE session, const char *label,
                     CK_BYTE fill);
/* Live or deleted objects with this label (NULL: any); at most cap handles. Returns how many. */
CK_ULONG promise_find(struct harness *h, CK_SESSION_HANDLE session, const char *label,
                      bool deleted, CK_OBJECT_HANDLE *ret_handles, CK_ULONG cap);
/* What there is under this label; an object both live and deleted, or twice, fails the test. */
enum seen promise_see(struct harness *h, CK_SESSION_HANDLE session, const char *label);
CK_RV promise_recover(struct harness *h, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);
/* Purges the deleted secret key of this label as the SO, whose verb it is; then the user is
 * logged in again. CKR_OBJECT_HANDLE_INVALID: there is none. */
CK_RV promise_purge(struct harness *h, CK_SESSION_HANDLE session, const char *label);
/* Does a one-block AES-ECB encryption; CKR_OK and the value's expected result, or the refusal. */
CK_RV promise_use(struct harness *h, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
                  CK_BYTE ret_block[16]);
/* The vendor interface's functions. */
const struct RPV_FUNCTION_LIST *promise_vendor(struct harness *h);
/* The audit chain verifies and has events. */
void promise_audit(struct harness *h);

/* Copies a directory's regular files into another, made if missing. */
void promise_copy_dir(const char *from, const char *to);

#endif
