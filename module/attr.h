/*
 * attr.h: attributes as values. attr_list is a builder on the caller's stack; attr_set is the
 * finished, immutable block in secret memory that an object carries.
 */
#ifndef ATTR_H
#define ATTR_H
#include "cryptoki.h"

#define ATTR_MAX 96u             /* attributes of one object */
#define ATTR_VALUE_MAX (1u << 20)

struct attr { CK_ATTRIBUTE_TYPE type; CK_ULONG len; const uint8_t *value; };

/*
 * A builder. Every value put is copied into the list's own memory (inline first, then secret
 * heap), so the caller's memory is read exactly once. Putting a type again replaces it.
 * Wiped by attr_list_done (AUTO(attr_list)).
 */
struct attr_list {
    size_t n;
    struct attr items[ATTR_MAX];
    size_t used;                 /* of inline_bytes */
    uint8_t inline_bytes[2048];
    void *blocks;                /* values that did not fit inline */
};
void attr_list_init(struct attr_list *list);
void attr_list_done(struct attr_list *list);
static inline void attr_list_auto(struct attr_list *list) { attr_list_done(list); }
/* CKR_HOST_MEMORY; CKR_ATTRIBUTE_VALUE_INVALID when longer than ATTR_VALUE_MAX. value may be
 * NULL when len is 0. */
CK_RV attr_put(struct attr_list *list, CK_ATTRIBUTE_TYPE type, const void *value, CK_ULONG len);
/* The same for a type that is known to be absent: saves the search. */
CK_RV attr_append(struct attr_list *list, CK_ATTRIBUTE_TYPE type, const void *value, CK_ULONG len);
CK_RV attr_put_bool(struct attr_list *list, CK_ATTRIBUTE_TYPE type, bool value);
CK_RV attr_put_ulong(struct attr_list *list, CK_ATTRIBUTE_TYPE type, CK_ULONG value);
void attr_remove(struct attr_list *list, CK_ATTRIBUTE_TYPE type);
const struct attr *attr_find(const struct attr_list *list, CK_ATTRIBUTE_TYPE type);
/* The value, or the fallback where absent or of a wrong length. */
bool attr_bool(const struct attr_list *list, CK_ATTRIBUTE_TYPE type, bool fallback);
CK_ULONG attr_ulong(const struct attr_list *list, CK_ATTRIBUTE_TYPE type, CK_ULONG fallback);

/* Immutable; one block in secret memory; items sorted by type; values aligned to 8 bytes. */
struct attr_set { size_t size; size_t n; struct attr items[]; };
CK_RV attr_set_new(const struct attr_list *list, struct attr_set **ret_set);
void attr_set_free(struct attr_set *set);      /* wipes; NULL is allowed */
const struct attr *attr_set_find(const struct attr_set *set, CK_ATTRIBUTE_TYPE type);
bool attr_set_bool(const struct attr_set *set, CK_ATTRIBUTE_TYPE type, bool fallback);
CK_ULONG attr_set_ulong(const struct attr_set *set, CK_ATTRIBUTE_TYPE type, CK_ULONG fallback);
CK_RV attr_list_from_set(struct attr_list *list, const struct attr_set *set);
#endif
