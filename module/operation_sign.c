/* operation_sign.c: signatures and MACs, made and verified, with recovery where a row has it. */
#include "call.h"

struct input {
    const uint8_t *data;
    size_t len;
};

static const struct sign_ops *ops_of(const struct operation *op)
{
    return op->crypto.mech->sign;
}

static CK_RV produce_sign(struct operation *op, void *ctx, uint8_t *out, size_t *ret_len)
{
    const struct input *in = ctx;
    return ops_of(op)->sign(&op->crypto, in->data, in->len, out, ret_len);
}

static CK_RV produce_final(struct operation *op, void *ctx, uint8_t *out, size_t *ret_len)
{
    (void)ctx;
    return ops_of(op)->sign_final(&op->crypto, out, ret_len);
}

static CK_RV produce_recover(struct operation *op, void *ctx, uint8_t *out, size_t *ret_len)
{
    const struct input *in = ctx;
    return ops_of(op)->recover(&op->crypto, in->data, in->len, out, ret_len);
}

static CK_RV single_part(const struct operation *op)
{
    return op->multipart ? trace_fail(CKR_OPERATION_NOT_INITIALIZED,
                                      "the operation is a multi-part one")
                         : CKR_OK;
}

static CK_RV parts_supported(const struct operation *op)
{
    return ops_of(op)->update ? CKR_OK
                              : trace_fail(CKR_FUNCTION_NOT_SUPPORTED, "%s has no multi-part form",
                                           op->crypto.mech->name);
}

static CK_RV sign_checked(struct call *call, struct operation *op, struct input *in,
                          struct output *output)
{
    TRY(arguments_out(output->len));
    TRY(arguments_in(in->data, in->len));
    TRY(single_part(op));
    return operation_output(call, op, ops_of(op)->size(&op->crypto), true, produce_sign, in,
                            output);
}

CK_RV sign_once(struct call *call, enum operation_kind kind, const uint8_t *data, CK_ULONG len,
                uint8_t *signature, CK_ULONG *signature_len)
{
    struct operation *op = NULL;
    TRY(operation_active(call, kind, &op));
    struct input in = {data, len};
    struct output output = {signature, signature_len, false};
    return operation_last(call, kind, sign_checked(call, op, &in, &output), &output);
}

static CK_RV update_checked(struct operation *op, const uint8_t *data, CK_ULONG len)
{
    TRY(arguments_in(data, len));
    TRY(parts_supported(op));
    TRY(operation_authenticated(op));
    op->multipart = true;
    return len ? ops_of(op)->update(&op->crypto, data, len) : CKR_OK;
}

CK_RV sign_update(struct call *call, enum operation_kind kind, const uint8_t *data, CK_ULONG len)
{
    struct operation *op = NULL;
    TRY(operation_active(call, kind, &op));
    CK_RV rv = update_checked(op, data, len);
    return rv == CKR_OK ? rv : operation_done(call, kind, rv);
}

static CK_RV final_checked(struct call *call, struct operation *op, struct output *output)
{
    TRY(arguments_out(output->len));
    TRY(parts_supported(op));
    return operation_output(call, op, ops_of(op)->size(&op->crypto), true, produce_final, NULL,
                            output);
}

CK_RV sign_final(struct call *call, uint8_t *signature, CK_ULONG *signature_len)
{
    struct operation *op = NULL;
    TRY(operation_active(call, OP_SIGN, &op));
    struct output output = {signature, signature_len, false};
    return operation_last(call, OP_SIGN, final_checked(call, op, &output), &output);
}

/* ------------------------------------------------------------------ verify */

static CK_RV verify_checked(struct operation *op, const struct input *data,
                            const struct input *signature)
{
    TRY(arguments_in(data->data, data->len));
    TRY(arguments_in(signature->data, signature->len));
    TRY(single_part(op));
    TRY(operation_authenticated(op));
    return ops_of(op)->verify(&op->crypto, data->data, data->len, signature->data, signature->len);
}

CK_RV verify_once(struct call *call, const uint8_t *data, CK_ULONG len, const uint8_t *signature,
                  CK_ULONG signature_len)
{
    struct operation *op = NULL;
    TRY(operation_active(call, OP_VERIFY, &op));
    CK_RV rv = verify_checked(op, &(struct input){data, len},
                              &(struct input){signature, signature_len});
    return operation_last(call, OP_VERIFY, rv, NULL);
}

static CK_RV verify_final_checked(struct operation *op, const uint8_t *signature, CK_ULONG len)
{
    TRY(arguments_in(signature, len));
    TRY(parts_supported(op));
    TRY(operation_authenticated(op));
    return ops_of(op)->verify_final(&op->crypto, signature, len);
}

CK_RV verify_final(struct call *call, const uint8_t *signature, CK_ULONG signature_len)
{
    struct operation *op = NULL;
    TRY(operation_active(call, OP_VERIFY, &op));
    return operation_last(call, OP_VERIFY, verify_final_checked(op, signature, signature_len),
                          NULL);
}

static CK_RV recover_checked(struct call *call, struct operation *op, struct input *in,
                             struct output *output)
{
    TRY(arguments_out(output->len));
    TRY(arguments_in(in->data, in->len));
    return operation_output(call, op, ops_of(op)->size(&op->crypto), false, produce_recover, in,
                            output);
}

CK_RV verify_recover(struct call *call, const uint8_t *signature, CK_ULONG signature_len,
                     uint8_t *data, CK_ULONG *data_len)
{
    struct operation *op = NULL;
    TRY(operation_active(call, OP_VERIFY_RECOVER, &op));
    struct input in = {signature, signature_len};
    struct output output = {data, data_len, false};
    return operation_last(call, OP_VERIFY_RECOVER, recover_checked(call, op, &in, &output),
                          &output);
}
