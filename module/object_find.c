/* See object_find.h. */
#include "object_find.h"

#include <stdlib.h>
#include <string.h>

#include "attr_table.h"
#include "call.h"
#include "template.h"

#define BATCH 64u

struct find {
    struct attr_set *wanted;         /* the template; the query's terms point into it */
    struct secret joined;
    const struct attr *residual[ATTR_MAX];   /* what the store's indexes do not answer */
    size_t n_residual;
    struct slot *slot;
    uint64_t login_epoch;
    bool want_public, want_private, deleted;
    uint32_t verbs;                  /* one of which a named principal must have on what it finds */
    struct vs_cursor *cursor;
    struct vs_id ids[BATCH];         /* found, not yet looked at */
    size_t n_ids, at_id;
    CK_OBJECT_HANDLE *handles;       /* session objects, not yet looked at */
    size_t n_handles, at_handle;
};

void find_free(struct find *find)
{
    if (find == NULL)
        return;
    vs_find_close(find->cursor);
    attr_set_free(find->wanted);
    secret_done(&find->joined);
    free(find->handles);
    free(find);
}

static void find_auto(struct find **find)
{
    find_free(*find);
}

/* ------------------------------------------------------------------ what is wanted */

static bool wants_bool(const struct attr_set *wanted, CK_ATTRIBUTE_TYPE type, bool value)
{
    return attr_set_find(wanted, type) == NULL || attr_set_bool(wanted, type, !value) == value;
}

static bool is_governance(const struct attr_set *wanted)
{
    for (size_t i = 0; i < wanted->n; i++)
        if ((wanted->items[i].type & ~0xffUL) == RPV_BASE)
            return true;
    return false;
}

static bool wants_deleted(const struct attr_set *wanted)
{
    return attr_set_bool(wanted, CKA_RPV_DELETED, false)
        || attr_set_ulong(wanted, CKA_RPV_STATE, RPV_STATE_ACTIVE) == RPV_STATE_DELETED;
}

/* What one can name one may look for with any verb on it; to list takes the verb. */
static bool is_naming(const struct attr_set *wanted)
{
    return attr_set_find(wanted, CKA_LABEL) != NULL || attr_set_find(wanted, CKA_ID) != NULL
        || attr_set_find(wanted, CKA_UNIQUE_ID) != NULL;
}

static void find_view(struct find *find)
{
    enum login_role role = (enum login_role)atomic_load(&find->slot->role);
    bool sees_private = role == LOGIN_USER || (role == LOGIN_SO && is_governance(find->wanted));
    bool token = wants_bool(find->wanted, CKA_TOKEN, true);
    find->login_epoch = atomic_load(&find->slot->login_epoch);
    find->deleted = wants_deleted(find->wanted);
    find->want_public = token && wants_bool(find->wanted, CKA_PRIVATE, false);
    find->want_private = token && sees_private && wants_bool(find->wanted, CKA_PRIVATE, true);
    find->verbs = is_naming(find->wanted) ? VS_VERBS_ALL : VS_VERB_LIST;
}

/* Answered by the header or by the query itself. */
static bool is_answered(CK_ATTRIBUTE_TYPE type)
{
    return type == CKA_TOKEN || type == CKA_PRIVATE || type == CKA_UNIQUE_ID;
}

static bool is_indexed(const struct attr *attr, const struct vs_term *terms, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct index_row *row = &INDEX_ROWS[terms[i].index];
        if (row->type == attr->type || row->second == attr->type)
            return true;
    }
    return false;
}

static void residual_collect(struct find *find, const struct vs_term *terms, size_t n)
{
    for (size_t i = 0; i < find->wanted->n; i++) {
        const struct attr *attr = &find->wanted->items[i];
        if (!is_answered(attr->type) && !is_indexed(attr, terms, n))
            find->residual[find->n_residual++] = attr;
    }
}

/* The most selective first: the store walks it and probes the others. */
static void terms_order(struct vs_term *terms, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct vs_term term = terms[i];
        size_t j = i;
        for (; j > 0 && INDEX_ROWS[terms[j - 1].index].selectivity
                            < INDEX_ROWS[term.index].selectivity; j--)
            terms[j] = terms[j - 1];
        terms[j] = term;
    }
}

/* ------------------------------------------------------------------ the beginning */

static CK_RV token_begin(struct find *find)
{
    struct vs_query query = {.deleted = find->deleted, .want_public = find->want_public,
                             .want_private = find->want_private};
    _Static_assert(VS_QUERY_TERMS >= VS_INDEX_MAX, "a template's terms fit a query");
    TRY(object_terms(find->wanted, &find->joined, query.terms, &query.n_terms));
    terms_order(query.terms, query.n_terms);
    residual_collect(find, query.terms, query.n_terms);
    if (!find->want_public && !find->want_private)
        return CKR_OK;
    pthread_rwlock_rdlock(&find->slot->lock);
    int status = vs_find_open(module_state()->store, (uint32_t)find->slot->id, find->slot->login,
                              &query, &find->cursor);
    pthread_rwlock_unlock(&find->slot->lock);
    return store_status(status, "a search");
}

/* At most one object: it is looked up by its id, or by the handle in a session object's id. */
static CK_RV unique_begin(struct find *find, const struct attr *unique)
{
    residual_collect(find, NULL, 0);
    if (unique_id_parse(unique->value, unique->len, &find->ids[0]))
        find->n_ids = 1;
    return CKR_OK;
}

static bool session_match(const struct object *object, void *ctx)
{
    const struct find *find = ctx;
    bool user = atomic_load(&find->slot->role) == LOGIN_USER;
    return object->slot == find->slot->id && ((object->bits & OBJ_PRIVATE) == 0 || user);
}

static CK_RV session_begin(struct find *find)
{
    struct handle_table *table = module_state()->handles;
    if (!wants_bool(find->wanted, CKA_TOKEN, false) || is_governance(find->wanted))
        return CKR_OK;
    size_t n = handle_collect(table, session_match, find, NULL, 0);
    if (n == 0)
        return CKR_OK;
    find->handles = calloc(n, sizeof *find->handles);
    if (find->handles == NULL)
        return CKR_HOST_MEMORY;
    size_t now = handle_collect(table, session_match, find, find->handles, n);
    find->n_handles = now < n ? now : n;
    return CKR_OK;
}

static bool wants_nothing(const struct attr_set *wanted)
{
    for (size_t i = 0; i < wanted->n; i++)
        if (attr_row_any(wanted->items[i].type) == NULL)
            return true;
    return false;
}

CK_RV find_new(struct call *call, const CK_ATTRIBUTE *attributes, CK_ULONG count,
               struct find **ret_find)
{
    AUTO(attr_list) struct attr_list list;
    attr_list_init(&list);
    AUTO(find) struct find *find = calloc(1, sizeof *find);
    if (find == NULL)
        return CKR_HOST_MEMORY;
    TRY(template_copy(attributes, count, &list));
    TRY(attr_set_new(&list, &find->wanted));
    find->slot = call->session->slot;
    find_view(find);
    if (!wants_nothing(find->wanted)) {
        const struct attr *unique = attr_set_find(find->wanted, CKA_UNIQUE_ID);
        TRY(session_begin(find));
        TRY(unique != NULL ? unique_begin(find, unique) : token_begin(find));
    }
    *ret_find = find;
    find = NULL;
    return CKR_OK;
}

/* ------------------------------------------------------------------ candidates */

static bool value_matches(const struct call *call, const struct object *object,
                          const struct attr *wanted)
{
    struct attr_value view;
    return object_attribute(call, object, wanted->type, &view) == CKR_OK
        && view.len == wanted->len
        && (view.len == 0 || memcmp(view.value, wanted->value, view.len) == 0);
}

static bool residual_matches(const struct call *call, const struct find *find,
                             const struct object *object)
{
    for (size_t i = 0; i < find->n_residual; i++)
        if (!value_matches(call, object, find->residual[i]))
            return false;
    return true;
}

static bool session_object_matches(struct call *call, const struct find *find,
                                   CK_OBJECT_HANDLE handle)
{
    AUTO(object) struct object *object = handle_get(module_state()->handles, handle);
    if (object == NULL || !session_match(object, (void *)find))
        return false;
    for (size_t i = 0; i < find->wanted->n; i++)
        if (!value_matches(call, object, &find->wanted->items[i]))
            return false;
    return true;
}

/* The handle that this application has for it already; one from before it was deleted dies, one
 * from before it was recovered goes on. */
static CK_OBJECT_HANDLE handle_known(struct call *call, const struct find *find,
                                     const struct vs_header *header)
{
    struct handle_table *table = module_state()->handles;
    CK_OBJECT_HANDLE handle = handle_of_id(table, find->slot->id, &header->id);
    AUTO(object) struct object *object = handle == 0 ? NULL : handle_get(table, handle);
    if (object == NULL)
        return 0;
    bool was_deleted = object->header.state == VS_STATE_DELETED;
    if (was_deleted == (header->state == VS_STATE_DELETED))
        return handle;
    AUTO(object) struct object *recovered = NULL;
    if (was_deleted && object_get_any(call, handle, &recovered) == CKR_OK)
        return handle;
    handle_remove(table, handle);
    return 0;
}

/* 0 in *ret_handle: it is not wanted after all. */
static CK_RV token_candidate(struct call *call, struct find *find, const struct vs_id *id,
                             CK_OBJECT_HANDLE *ret_handle)
{
    AUTO(object) struct object *object = NULL;
    struct vs_header header;
    *ret_handle = 0;
    int status = vs_object_peek(module_state()->store, (uint32_t)find->slot->id, id, &header);
    if (status == VS_NOT_FOUND)
        return CKR_OK;
    TRY(store_status(status, "a search"));
    if ((header.state == VS_STATE_DELETED) != find->deleted
        || !(header.is_private ? find->want_private : find->want_public)
        || (header.is_private && !slot_may(find->slot, id, find->verbs)))
        return CKR_OK;
    CK_OBJECT_HANDLE known = handle_known(call, find, &header);
    if (find->n_residual == 0 && known != 0) {
        *ret_handle = known;
        return CKR_OK;
    }
    CK_RV rv = find->n_residual == 0 ? object_new_found(&header, call->txnid, &object)
             : known != 0 ? object_get_any(call, known, &object)
                          : object_new_read(call, id, &object);
    if (rv == CKR_OBJECT_HANDLE_INVALID)
        return CKR_OK;
    TRY(rv);
    if ((object->header.state == VS_STATE_DELETED) != find->deleted
        || !residual_matches(call, find, object))
        return CKR_OK;
    if (known != 0) {
        *ret_handle = known;
        return CKR_OK;
    }
    rv = handle_add(module_state()->handles, object, ret_handle);
    if (rv == CKR_OK)
        object = NULL;
    return rv == CKR_OBJECT_HANDLE_INVALID ? CKR_OK : rv;
}

static CK_RV ids_refill(struct find *find)
{
    find->at_id = find->n_ids = 0;
    if (find->cursor == NULL)
        return CKR_OK;
    pthread_rwlock_rdlock(&find->slot->lock);
    int status = VS_OK;
    if (atomic_load(&find->slot->login_epoch) == find->login_epoch)
        status = vs_find_next(find->cursor, find->slot->login, find->ids, BATCH, &find->n_ids);
    pthread_rwlock_unlock(&find->slot->lock);
    return status == VS_REVOKED ? CKR_OK : store_status(status, "a search");
}

/* ------------------------------------------------------------------ going on */

static void session_next(struct call *call, struct find *find, CK_OBJECT_HANDLE *ret_handles,
                         CK_ULONG cap, CK_ULONG *n)
{
    while (*n < cap && find->at_handle < find->n_handles) {
        CK_OBJECT_HANDLE handle = find->handles[find->at_handle++];
        if (session_object_matches(call, find, handle))
            ret_handles[(*n)++] = handle;
    }
}

static CK_RV token_next(struct call *call, struct find *find, CK_OBJECT_HANDLE *ret_handles,
                        CK_ULONG cap, CK_ULONG *n)
{
    while (*n < cap) {
        if (find->at_id == find->n_ids)
            TRY(ids_refill(find));
        if (find->n_ids == 0)
            return CKR_OK;
        CK_OBJECT_HANDLE handle;
        TRY(token_candidate(call, find, &find->ids[find->at_id++], &handle));
        if (handle != 0)
            ret_handles[(*n)++] = handle;
    }
    return CKR_OK;
}

CK_RV find_next(struct call *call, struct find *find, CK_OBJECT_HANDLE *ret_handles, CK_ULONG cap,
                CK_ULONG *ret_n)
{
    CK_ULONG n = 0;
    if (atomic_load(&find->slot->login_epoch) == find->login_epoch) {
        session_next(call, find, ret_handles, cap, &n);
        TRY(token_next(call, find, ret_handles, cap, &n));
    }
    *ret_n = n;
    return CKR_OK;
}
