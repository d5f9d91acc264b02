/*
 * origin.h: the token object that a session's copy follows, with its header as the store had it
 * last. While nobody commits, it is not read again. Shared by the copy's snapshots.
 */
#ifndef ORIGIN_H
#define ORIGIN_H
#include "vaultstore.h"

struct origin;

struct origin *origin_new(const struct vs_id *id);      /* NULL: no memory */
struct origin *origin_ref(struct origin *origin);
void origin_unref(struct origin *origin);               /* NULL is allowed */
const struct vs_id *origin_id(const struct origin *origin);
/* Its header, `effective` at this moment. A status of vs_object_peek: VS_NOT_FOUND, it is purged. */
VS_MUST_USE int origin_header(struct origin *origin, struct vs_store *store, uint32_t vault,
                              struct vs_header *ret_header);
/* Of a header that was computed before: dates count without anybody's doing. */
enum vs_state header_state(struct vs_store *store, const struct vs_header *header);
#endif
