/* operation_cipher.c: encryption and decryption, in one part, in several, and combined. */
#include "call.h"

struct step {
    const uint8_t *in;
    size_t in_len;
};

static const struct cipher_ops *ops_of(const struct operation *op)
{
    return op->crypto.mech->cipher;
}

static CK_RV produce_once(struct operation *op, void *ctx, uint8_t *out, size_t *ret_len)
{
    const struct step *step = ctx;
    return ops_of(op)->once(&op->crypto, step->in, step->in_len, out, ret_len);
}

static CK_RV produce_update(struct operation *op, void *ctx, uint8_t *out, size_t *ret_len)
{
    const struct step *step = ctx;
    op->multipart = true;
    return ops_of(op)->update(&op->crypto, step->in, step->in_len, out, ret_len);
}

static CK_RV produce_final(struct operation *op, void *ctx, uint8_t *out, size_t *ret_len)
{
    (void)ctx;
    return ops_of(op)->final(&op->crypto, out, ret_len);
}

/* What encryption yields is known beforehand; what decryption yields only up to its padding. */
static bool is_exact(enum operation_kind kind)
{
    return kind == OP_ENCRYPT;
}

static CK_RV once_checked(struct call *call, struct operation *op, struct step *step,
                          struct output *output)
{
    TRY(arguments_out(output->len));
    TRY(arguments_in(step->in, step->in_len));
    if (op->multipart)
        return trace_fail(CKR_OPERATION_NOT_INITIALIZED, "the operation is a multi-part one");
    size_t bound = op->pending_of ? 0 : ops_of(op)->once_size(&op->crypto, step->in_len);
    return operation_output(call, op, bound, is_exact(op->kind), produce_once, step, output);
}

CK_RV cipher_once(struct call *call, enum operation_kind kind, const uint8_t *in, CK_ULONG in_len,
                  uint8_t *out, CK_ULONG *out_len)
{
    struct operation *op = NULL;
    TRY(operation_active(call, kind, &op));
    struct step step = {in, in_len};
    struct output output = {out, out_len, false};
    return operation_last(call, kind, once_checked(call, op, &step, &output), &output);
}

static CK_RV parts_supported(const struct operation *op)
{
    return ops_of(op)->update ? CKR_OK
                              : trace_fail(CKR_FUNCTION_NOT_SUPPORTED, "%s has no multi-part form",
                                           op->crypto.mech->name);
}

static CK_RV update_checked(struct call *call, struct operation *op, struct step *step,
                            struct output *output)
{
    TRY(arguments_out(output->len));
    TRY(arguments_in(step->in, step->in_len));
    TRY(parts_supported(op));
    size_t bound = op->pending_of ? 0 : ops_of(op)->update_size(&op->crypto, step->in_len);
    return operation_output(call, op, bound, is_exact(op->kind), produce_update, step, output);
}

static CK_RV update_ended(struct call *call, enum operation_kind kind, CK_RV rv)
{
    return rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL ? rv : operation_done(call, kind, rv);
}

CK_RV cipher_update(struct call *call, enum operation_kind kind, const uint8_t *in,
                    CK_ULONG in_len, uint8_t *out, CK_ULONG *out_len)
{
    struct operation *op = NULL;
    TRY(operation_active(call, kind, &op));
    struct step step = {in, in_len};
    struct output output = {out, out_len, false};
    return update_ended(call, kind, update_checked(call, op, &step, &output));
}

static CK_RV final_checked(struct call *call, struct operation *op, struct output *output)
{
    TRY(arguments_out(output->len));
    TRY(parts_supported(op));
    size_t bound = op->pending_of ? 0 : ops_of(op)->final_size(&op->crypto);
    return operation_output(call, op, bound, is_exact(op->kind), produce_final, NULL, output);
}

CK_RV cipher_final(struct call *call, enum operation_kind kind, uint8_t *out, CK_ULONG *out_len)
{
    struct operation *op = NULL;
    TRY(operation_active(call, kind, &op));
    struct output output = {out, out_len, false};
    return operation_last(call, kind, final_checked(call, op, &output), &output);
}

/* ------------------------------------------------------------------ dual-function calls */

static CK_RV feed_update(struct call *call, enum operation_kind feed, const uint8_t *data,
                         CK_ULONG len)
{
    return feed == OP_DIGEST ? digest_update(call, data, len) : sign_update(call, feed, data, len);
}

/* Will this call encrypt, or only tell the size? Only then is the plaintext fed, and before it is
 * overwritten in place. */
static bool encrypt_will_produce(const struct operation *op, const struct step *step,
                                 const struct output *output)
{
    return output->len && output->out && (step->in || !step->in_len) && ops_of(op)->update &&
           *output->len >= ops_of(op)->update_size(&op->crypto, step->in_len);
}

CK_RV cipher_dual(struct call *call, enum operation_kind kind, enum operation_kind feed,
                  const uint8_t *in, CK_ULONG in_len, uint8_t *out, CK_ULONG *out_len)
{
    struct operation *op = NULL, *fed = NULL;
    TRY(operation_active(call, feed, &fed));
    TRY(operation_active(call, kind, &op));
    struct step step = {in, in_len};
    struct output output = {out, out_len, false};
    if (kind == OP_ENCRYPT && encrypt_will_produce(op, &step, &output))
        TRY(feed_update(call, feed, in, in_len));
    TRY(update_ended(call, kind, update_checked(call, op, &step, &output)));
    if (kind == OP_DECRYPT && !output.asked)
        return feed_update(call, feed, out, *out_len);
    return CKR_OK;
}
