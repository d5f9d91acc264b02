/*
 * handle.h: handles that are never reused. A handle is a slot index in the low 24 bits and that
 * slot's generation above; slots are type-stable memory (freed only at C_Finalize), so a lookup
 * takes no lock that two sessions share.
 */
#ifndef HANDLE_H
#define HANDLE_H
#include "object.h"

struct handle_table;
CK_RV handle_table_new(struct handle_table **ret_table);
void handle_table_free(struct handle_table *table);   /* drops every object */
/* Takes over the caller's reference. Sets object->handle. A token object that has a handle
 * already (another thread found it first) gets that one, and the reference is dropped; if that is a
 * handle from before the object was deleted or recovered: CKR_OBJECT_HANDLE_INVALID, and the
 * reference stays the caller's. */
CK_RV handle_add(struct handle_table *table, struct object *object, CK_OBJECT_HANDLE *ret_handle);
/* A reference to the current snapshot, or NULL. */
struct object *handle_get(struct handle_table *table, CK_OBJECT_HANDLE handle);
/* Replaces the snapshot (attributes changed); the old one gets `superseded`. */
void handle_replace(struct handle_table *table, CK_OBJECT_HANDLE handle, struct object *object);
/* The handle dies; the object gets `dead`. */
void handle_remove(struct handle_table *table, CK_OBJECT_HANDLE handle);
/* Kills the objects that a session made. */
void handle_sweep_session(struct handle_table *table, CK_SESSION_HANDLE session);
/* Goes up when a decoded key dies, so that sessions forget contexts made for it. */
uint64_t handle_epoch(const struct handle_table *table);
/* Kills every handle for which the predicate is true (session closed, logout, generation gone). */
void handle_sweep(struct handle_table *table, bool (*kill)(const struct object *, void *ctx),
                  void *ctx);
/* The live handle of a token object, so that finding it twice gives the same handle; or 0. */
CK_OBJECT_HANDLE handle_of_id(struct handle_table *table, CK_SLOT_ID slot, const struct vs_id *id);
/* Live handles of session objects that match, ascending; how many there are (cap may be less). */
size_t handle_collect(struct handle_table *table, bool (*match)(const struct object *, void *ctx),
                      void *ctx, CK_OBJECT_HANDLE *ret_handles, size_t cap);
#endif
