/* operation.c: active operations, and the contexts they leave behind. */
#include "operation.h"

#include <stdlib.h>
#include <string.h>

#include "call.h"

/* ------------------------------------------------------------------ warm contexts */

static bool warm_is(const struct warm *warm, const struct crypto *c)
{
    return warm->mech == c->mech && warm->key == c->key && warm->encrypt == c->encrypt;
}

static struct warm *warm_find(struct session *session, const struct crypto *c, bool lent)
{
    for (size_t i = 0; i < SESSION_WARM; i++) {
        struct warm *warm = &session->warm[i];
        if (warm->mech && warm_is(warm, c) && (warm->ctx == NULL) == lent)
            return warm;
    }
    return NULL;
}

static void warm_done(struct warm *warm)
{
    if (warm->ctx)
        warm->mech->ctx_free(warm->ctx);
    key_material_unref(warm->key);
    *warm = (struct warm){0};
}

/* Keeps the context; the oldest entry makes room. */
static void warm_put(struct session *session, struct crypto *c)
{
    struct warm *warm = warm_find(session, c, true);
    if (!warm) {
        warm = &session->warm[session->warm_next++ % SESSION_WARM];
        warm_done(warm);
        *warm = (struct warm){c->mech, c->key ? key_material_ref(c->key) : NULL, c->encrypt, NULL};
    }
    warm->ctx = c->ctx;
    c->ctx = NULL;
}

void warm_clear(struct session *session)
{
    for (size_t i = 0; i < SESSION_WARM; i++)
        warm_done(&session->warm[i]);
}

void warm_drop_retired(struct session *session)
{
    session->warm_epoch = handle_epoch(module_state()->handles);
    for (size_t i = 0; i < SESSION_WARM; i++)
        if (session->warm[i].key && atomic_load(&session->warm[i].key->retired))
            warm_done(&session->warm[i]);
}

void crypto_begin(struct session *session, struct crypto *c, const struct mech_row *mech,
                  struct key_material *key, bool encrypt)
{
    c->mech = mech;
    c->key = key;
    c->encrypt = encrypt;
    c->target_type = CK_UNAVAILABLE_INFORMATION;
    c->target_len = 0;
    c->ctx = NULL;
    c->buffer = (struct secret){0};
    memset(&c->state, 0, sizeof(c->state));
    struct warm *warm = warm_find(session, c, false);
    if (warm) {
        c->ctx = warm->ctx;
        warm->ctx = NULL;
    }
}

void crypto_end(struct session *session, struct crypto *c, bool well)
{
    bool retired = c->key && atomic_load_explicit(&c->key->retired, memory_order_relaxed);
    if (well && c->ctx && !retired)
        warm_put(session, c);
    crypto_done(c);
}

/* ------------------------------------------------------------------ operations */

typedef CK_RV (*begin_fn)(struct crypto *c);

/* The family's begin for this kind of use, or NULL when the row has none. */
static begin_fn begin_of(const struct mech_row *mech, enum operation_kind kind)
{
    if (kind == OP_DIGEST)
        return mech->digest_ops ? mech->digest_ops->begin : NULL;
    if (kind == OP_ENCRYPT || kind == OP_DECRYPT)
        return mech->cipher ? mech->cipher->begin : NULL;
    return mech->sign ? mech->sign->begin : NULL;
}

/* The key and the context of an operation whose parameter is parsed. */
static CK_RV operation_key(struct call *call, struct operation *op, CK_OBJECT_HANDLE handle,
                           const struct mech_row *mech)
{
    struct key_material *key = NULL;
    op->key = NULL;
    op->digested = NULL;
    op->n_digested = 0;
    if (op->kind != OP_DIGEST)
        TRY(usage_check(call, op->kind, mech, handle, &op->key, &key));
    op->login_epoch = atomic_load_explicit(&call->session->slot->login_epoch,
                                           memory_order_relaxed);
    op->authenticated = false;
    op->multipart = false;
    op->pending_of = CALL_NONE;
    op->pending = (struct secret){0};
    crypto_begin(call->session, &op->crypto, mech, key,
                 op->kind == OP_ENCRYPT || op->kind == OP_SIGN || op->kind == OP_SIGN_RECOVER);
    call->session->operations[op->kind] = op;
    return CKR_OK;
}

static CK_RV operation_start(struct call *call, enum operation_kind kind,
                             const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct operation *op = &call->session->pool[kind];
    const struct mech_row *mech = NULL;
    TRY(mech_prepare(mechanism, &mech, &op->crypto.param));
    op->kind = kind;
    begin_fn begin = begin_of(mech, kind);
    CK_RV rv = begin && (mech->flags & USAGE[kind].flag)
                   ? operation_key(call, op, key, mech)
                   : trace_fail(CKR_MECHANISM_INVALID, "%s does not do this", mech->name);
    if (rv != CKR_OK) {
        mech_param_done(&op->crypto.param);
        return rv;
    }
    rv = begin(&op->crypto);
    if (rv != CKR_OK)
        operation_end(call->session, kind, false);
    return rv;
}

CK_RV operation_init(struct call *call, enum operation_kind kind, const CK_MECHANISM *mechanism,
                     CK_OBJECT_HANDLE key)
{
    bool active = call->session->operations[kind] != NULL;
    if (mechanism)
        return active ? trace_fail(CKR_OPERATION_ACTIVE, "such an operation is active")
                      : operation_start(call, kind, mechanism, key);
    if (!active)
        return trace_fail(CKR_ARGUMENTS_BAD, "pMechanism is NULL and nothing is there to cancel");
    operation_end(call->session, kind, false);
    return CKR_OK;
}

/* A private key's operation ends with the login under which it was begun. */
static bool operation_login_stands(const struct call *call, const struct operation *op,
                                   const struct object *key)
{
    return !(key->bits & OBJ_PRIVATE) ||
           op->login_epoch == atomic_load_explicit(&call->session->slot->login_epoch,
                                                   memory_order_relaxed);
}

/* Fails when the key does not allow the operation any more, or when nobody knows. */
static CK_RV operation_key_stands(struct call *call, const struct operation *op,
                                  struct object *key)
{
    bool usable = false;
    CK_RV rv = CKR_OK;
    if (operation_login_stands(call, op, key))
        rv = object_still_usable(call, key, USAGE[op->kind].new_use, &usable);
    if (rv == CKR_OK && (!usable || !usage_may(call, op->kind, key)))
        rv = trace_fail(CKR_OPERATION_NOT_INITIALIZED,
                        "the operation has ended: its key was deleted, disabled, out of date or "
                        "revoked, or there was a logout");
    if (rv != CKR_OK)
        use_refused(call, key, op->kind, rv);
    return rv;
}

static CK_RV operation_stands(struct call *call, const struct operation *op)
{
    if (op->key)
        TRY(operation_key_stands(call, op, op->key));
    for (size_t i = 0; i < op->n_digested; i++)
        TRY(operation_key_stands(call, op, op->digested[i]));
    return CKR_OK;
}

CK_RV operation_active(struct call *call, enum operation_kind kind, struct operation **ret_op)
{
    struct operation *op = call->session->operations[kind];
    if (!op)
        return trace_fail(CKR_OPERATION_NOT_INITIALIZED, "no such operation is active");
    CK_RV rv = operation_stands(call, op);
    if (rv == CKR_OK)
        *ret_op = op;
    else
        operation_end(call->session, kind, false);
    return rv;
}

CK_RV operation_digested(struct call *call, struct operation *op, struct object *key)
{
    if (object_bound_by(key) == NULL)
        return CKR_OK;           /* the application's own, to destroy when it has gone in */
    for (size_t i = 0; i < op->n_digested; i++)
        if (op->digested[i]->handle == key->handle)
            return CKR_OK;       /* judged at every call as it is: once is enough */
    struct object **more = realloc(op->digested, (op->n_digested + 1) * sizeof(struct object *));
    if (!more)
        return CKR_HOST_MEMORY;
    op->digested = more;
    op->digested[op->n_digested++] = object_ref(key);
    op->login_epoch = atomic_load_explicit(&call->session->slot->login_epoch,
                                           memory_order_relaxed);
    return CKR_OK;
}

CK_RV operation_authenticated(const struct operation *op)
{
    if (op->key && (op->key->bits & OBJ_ALWAYS_AUTH) && !op->authenticated)
        return trace_fail(CKR_USER_NOT_LOGGED_IN,
                          "CKA_ALWAYS_AUTHENTICATE: a context-specific login is due");
    return CKR_OK;
}

struct operation *operation_to_authenticate(struct session *session)
{
    for (size_t kind = 0; kind < OP_SLOTS; kind++) {
        struct operation *op = session->operations[kind];
        if (op && op->key && (op->key->bits & OBJ_ALWAYS_AUTH) && !op->authenticated)
            return op;
    }
    return NULL;
}

void operation_end(struct session *session, enum operation_kind kind, bool well)
{
    struct operation *op = session->operations[kind];
    if (!op)
        return;
    session->operations[kind] = NULL;
    crypto_end(session, &op->crypto, well);
    if (op->pending.data)
        secret_done(&op->pending);
    object_unref(op->key);
    op->key = NULL;
    for (size_t i = 0; i < op->n_digested; i++)
        object_unref(op->digested[i]);
    free(op->digested);
    op->digested = NULL;
    op->n_digested = 0;
}

CK_RV operation_done(struct call *call, enum operation_kind kind, CK_RV rv)
{
    const struct operation *op = call->session->operations[kind];
    if (op && op->key)
        use_note(call, op->key, kind, rv);
    operation_end(call->session, kind, rv == CKR_OK);
    return rv;
}

void operation_end_all(struct session *session)
{
    for (enum operation_kind kind = 0; kind < OP_SLOTS; kind++)
        operation_end(session, kind, false);
}

/* ------------------------------------------------------------------ output */

CK_RV arguments_in(const void *in, CK_ULONG in_len)
{
    return !in && in_len ? trace_fail(CKR_ARGUMENTS_BAD, "NULL with a length of %lu", in_len)
                         : CKR_OK;
}

CK_RV arguments_out(const CK_ULONG *out_len)
{
    return out_len ? CKR_OK : trace_fail(CKR_ARGUMENTS_BAD, "the output's length is NULL");
}

static CK_RV output_too_small(struct output *output, size_t need)
{
    *output->len = need;
    return trace_fail(CKR_BUFFER_TOO_SMALL, "%zu bytes are needed", need);
}

/* Hands a kept result out, as often as it takes. */
static CK_RV pending_fetch(struct call *call, struct operation *op, struct output *output)
{
    size_t need = op->pending.len;
    if (op->pending_of != call->id)
        return trace_fail(CKR_FUNCTION_FAILED, "the result of an earlier call was not fetched");
    output->asked = !output->out;
    if (output->out && *output->len < need)
        return output_too_small(output, need);
    *output->len = need;
    if (output->asked)
        return CKR_OK;
    if (need)
        memcpy(output->out, op->pending.data, need);
    secret_done(&op->pending);
    op->pending_of = CALL_NONE;
    return CKR_OK;
}

static CK_RV pending_make(struct call *call, struct operation *op, size_t bound,
                          produce_fn produce, void *ctx, struct output *output)
{
    size_t len = 0;
    TRY(secret_reserve(&op->pending, bound));
    TRY(produce(op, ctx, op->pending.data, &len));
    op->pending.len = len;
    op->pending_of = call->id;
    return pending_fetch(call, op, output);
}

CK_RV operation_output(struct call *call, struct operation *op, size_t bound, bool exact,
                       produce_fn produce, void *ctx, struct output *output)
{
    if (op->pending_of != CALL_NONE)
        return pending_fetch(call, op, output);
    output->asked = !output->out;
    if (output->asked) {
        *output->len = bound;
        return CKR_OK;
    }
    TRY(operation_authenticated(op));
    if (*output->len < bound)
        return exact ? output_too_small(output, bound)
                     : pending_make(call, op, bound, produce, ctx, output);
    size_t len = 0;
    TRY(produce(op, ctx, output->out, &len));
    *output->len = len;
    return CKR_OK;
}

CK_RV operation_last(struct call *call, enum operation_kind kind, CK_RV rv,
                     const struct output *output)
{
    bool again = rv == CKR_BUFFER_TOO_SMALL || (rv == CKR_OK && output && output->asked);
    return again ? rv : operation_done(call, kind, rv);
}
