/* rotation_fixture.h: a vault whose vault key is rotated, for the tests of what that changes. */
#ifndef ROTATION_FIXTURE_H
#define ROTATION_FIXTURE_H
#include <string.h>

#include "store_fixture.h"
#include "vaultstore/object.h"
#include "vaultstore/store_internal.h"

#define PIN "alice-pin-1"
#define BYTES(text) (const uint8_t *)(text), strlen(text)
#define OBJECTS 150              /* more than two batches */

/* A vs_terms_fn: the attributes are the label. */
vs_terms_fn rotation_terms;
/* An object whose attributes are its label. */
struct vs_id labelled(struct fixture *f, struct vs_login *login, bool is_private,
                      const char *label);
/* A setup: a vault whose store turns attributes into terms; index 1, the label, is the name. */
int rotation_vault(void **state);
/* A named user with all verbs of a user, logged in. */
struct vs_login *user_make(struct fixture *f, const char *name);
struct rotation rotation_now(struct fixture *f);
uint64_t object_epoch(struct fixture *f, const struct vs_id *id);
/* OBJECTS of label "k": every third public, every fifth deleted. */
void objects_make(struct fixture *f, struct vs_id ids[OBJECTS]);
/* All are there, found and readable, and private ones of that epoch. */
void objects_expect(struct fixture *f, struct vs_login *login, const struct vs_id ids[OBJECTS],
                    uint64_t epoch);
struct begin { struct vs_login *login; const char *leaving; };
/* A commit_fn: begins a rotation, as a removal does; ctx is a struct begin. */
int begin_run(struct commit_txn *txn, void *ctx);
#endif
