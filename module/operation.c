/* operation.c: active operations, and the contexts they leave behind. */
#include "operation.h"

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

CK_RV operation_new(struct call *call, enum operation_kind kind, const CK_MECHANISM *mechanism,
                    struct operation **ret_op)
{
    struct session *session = call->session;
    bool active = session->operations[kind] != NULL;
    *ret_op = NULL;
    if (!mechanism && !active)
        return trace_fail(CKR_ARGUMENTS_BAD, "pMechanism is NULL and nothing is active to cancel");
    if (!mechanism) {
        operation_end(session, kind, false);
        return CKR_OK;
    }
    if (active)
        return trace_fail(CKR_OPERATION_ACTIVE, "such an operation is active");
    *ret_op = &session->pool[kind];
    (*ret_op)->kind = kind;
    return CKR_OK;
}

CK_RV operation_key(struct call *call, struct operation *op, CK_OBJECT_HANDLE handle,
                    const struct mech_row *mech)
{
    struct key_material *key = NULL;
    op->key = NULL;
    if (op->kind != OP_DIGEST)
        TRY(usage_check(call, op->kind, mech, handle, &op->key, &key));
    op->login_epoch = atomic_load(&call->session->slot->login_epoch);
    op->authenticated = false;
    op->multipart = false;
    op->pending_of = CALL_NONE;
    op->pending = (struct secret){0};
    crypto_begin(call->session, &op->crypto, mech, key,
                 op->kind == OP_ENCRYPT || op->kind == OP_SIGN || op->kind == OP_SIGN_RECOVER);
    call->session->operations[op->kind] = op;
    return CKR_OK;
}

/* A private key's operation ends with the login under which it was begun. */
static bool operation_login_stands(const struct call *call, const struct operation *op)
{
    return !(op->key->bits & OBJ_PRIVATE) ||
           op->login_epoch == atomic_load_explicit(&call->session->slot->login_epoch,
                                                   memory_order_relaxed);
}

CK_RV operation_active(struct call *call, enum operation_kind kind, struct operation **ret_op)
{
    struct operation *op = call->session->operations[kind];
    if (!op)
        return trace_fail(CKR_OPERATION_NOT_INITIALIZED, "no such operation is active");
    if (op->key && !(operation_login_stands(call, op) && object_still_usable(call, op->key))) {
        operation_end(call->session, kind, false);
        return trace_fail(CKR_OPERATION_NOT_INITIALIZED,
                          "the operation has ended: its key was deleted, disabled or logged out");
    }
    *ret_op = op;
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
}

void operation_end_all(struct session *session)
{
    for (enum operation_kind kind = 0; kind < OP_SLOTS; kind++)
        operation_end(session, kind, false);
}

CK_RV output_fits(size_t need, const void *out, CK_ULONG *out_len, bool *ret_asked)
{
    CK_ULONG room = *out_len;
    *ret_asked = !out;
    if (!out || room < need)
        *out_len = need;
    return out && room < need ? trace_fail(CKR_BUFFER_TOO_SMALL, "%zu bytes are needed", need)
                              : CKR_OK;
}
