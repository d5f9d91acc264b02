/* operation_digest.c: digests, of data and of keys. */
#include "call.h"

struct input {
    const uint8_t *data;
    size_t len;
};

static size_t size_of(const struct operation *op)
{
    return op->crypto.mech->digest->size;
}

static CK_RV produce_once(struct operation *op, void *ctx, uint8_t *out, size_t *ret_len)
{
    const struct input *in = ctx;
    *ret_len = size_of(op);
    return op->crypto.mech->digest_ops->once(&op->crypto, in->data, in->len, out);
}

static CK_RV produce_final(struct operation *op, void *ctx, uint8_t *out, size_t *ret_len)
{
    (void)ctx;
    *ret_len = size_of(op);
    return op->crypto.mech->digest_ops->final(&op->crypto, out);
}

static CK_RV once_checked(struct call *call, struct operation *op, struct input *in,
                          struct output *output)
{
    TRY(arguments_out(output->len));
    TRY(arguments_in(in->data, in->len));
    if (op->multipart)
        return trace_fail(CKR_OPERATION_NOT_INITIALIZED, "the operation is a multi-part one");
    return operation_output(call, op, size_of(op), true, produce_once, in, output);
}

CK_RV digest_once(struct call *call, const uint8_t *data, CK_ULONG len, uint8_t *out,
                  CK_ULONG *out_len)
{
    struct operation *op = NULL;
    TRY(operation_active(call, OP_DIGEST, &op));
    struct input in = {data, len};
    struct output output = {out, out_len, false};
    return operation_last(call, OP_DIGEST, once_checked(call, op, &in, &output), &output);
}

static CK_RV update_ended(struct call *call, CK_RV rv)
{
    if (rv != CKR_OK)
        operation_end(call->session, OP_DIGEST, false);
    return rv;
}

static CK_RV update_checked(struct operation *op, const uint8_t *data, CK_ULONG len)
{
    TRY(arguments_in(data, len));
    op->multipart = true;
    return len ? op->crypto.mech->digest_ops->update(&op->crypto, data, len) : CKR_OK;
}

CK_RV digest_update(struct call *call, const uint8_t *data, CK_ULONG len)
{
    struct operation *op = NULL;
    TRY(operation_active(call, OP_DIGEST, &op));
    return update_ended(call, update_checked(op, data, len));
}

CK_RV digest_key(struct call *call, CK_OBJECT_HANDLE handle)
{
    struct operation *op = NULL;
    struct object *object = NULL;
    struct key_material *key = NULL;
    TRY(operation_active(call, OP_DIGEST, &op));
    CK_RV rv = usage_check(call, OP_DIGEST, NULL, handle, &object, &key);
    if (rv == CKR_OK) {
        rv = operation_digested(call, op, object);
        if (rv == CKR_OK)
            rv = update_checked(op, key->secret, key->secret_len);
        use_note(call, object, OP_DIGEST, rv);
    }
    object_unref(object);
    return update_ended(call, rv);
}

static CK_RV final_checked(struct call *call, struct operation *op, struct output *output)
{
    TRY(arguments_out(output->len));
    return operation_output(call, op, size_of(op), true, produce_final, NULL, output);
}

CK_RV digest_final(struct call *call, uint8_t *out, CK_ULONG *out_len)
{
    struct operation *op = NULL;
    TRY(operation_active(call, OP_DIGEST, &op));
    struct output output = {out, out_len, false};
    return operation_last(call, OP_DIGEST, final_checked(call, op, &output), &output);
}
