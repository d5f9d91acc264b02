/* Ciphers and MACs. See vectors.h. */
#include "vectors.h"

#include <string.h>

typedef CK_RV (*init_fn)(CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE);
typedef CK_RV (*once_fn)(CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);

/* Encrypts or decrypts in one piece; *ret_out has room for more than the result. */
static CK_RV cipher_once(struct vector_run *run, init_fn init, once_fn once, CK_MECHANISM *mech,
                         struct bytes in, struct bytes *ret_out)
{
    CK_RV rv = init(run->session, mech, run->key);
    if (rv != CKR_OK)
        return rv;
    return once(run->session, in.p, in.n, ret_out->p, &ret_out->n);
}

/*
 * Both directions. A valid test must encrypt to its ciphertext and decrypt back; an invalid one is
 * judged by decryption alone, since encrypting its message need not give its ciphertext.
 */
static enum outcome cipher_test(struct vector_run *run, CK_MECHANISM *mech, struct bytes msg,
                                struct bytes ct)
{
    CK_FUNCTION_LIST *f = run->h->f;
    BYTES plain = bytes_room(ct.n + 64);
    CK_RV rv = cipher_once(run, f->C_DecryptInit, f->C_Decrypt, mech, ct, &plain);
    if (rv != CKR_OK)
        return run_refused(run, "decrypt", rv);
    if (!test_is_valid(run))
        return ACCEPTED;
    if (!bytes_equal(plain, msg))
        return run_wrong(run, "decrypt");
    BYTES sealed = bytes_room(ct.n + 64);
    rv = cipher_once(run, f->C_EncryptInit, f->C_Encrypt, mech, msg, &sealed);
    if (rv != CKR_OK)
        return run_refused(run, "encrypt", rv);
    return bytes_equal(sealed, ct) ? ACCEPTED : run_wrong(run, "encrypt");
}

/* An AES key of the test's own for the time of `cipher_test`. */
static enum outcome aes_test(struct vector_run *run, CK_MECHANISM *mech, struct bytes msg,
                             struct bytes ct)
{
    BYTES value = field_hex(run, "key");
    CK_RV rv = key_secret(run, CKK_AES, value, &run->key);
    if (rv != CKR_OK)
        return run_refused(run, "C_CreateObject", rv);
    enum outcome outcome = cipher_test(run, mech, msg, ct);
    key_destroy(run, run->key);
    return outcome;
}

enum outcome cbc_pad_test(struct vector_run *run)
{
    BYTES iv = field_hex(run, "iv");
    BYTES msg = field_hex(run, "msg");
    BYTES ct = field_hex(run, "ct");
    CK_MECHANISM mech = {run->family->mech, iv.p, iv.n};
    return aes_test(run, &mech, msg, ct);
}

/* PKCS#11 puts the tag behind the ciphertext. */
static struct bytes sealed_of(const struct vector_run *run)
{
    BYTES ct = field_hex(run, "ct");
    BYTES tag = field_hex(run, "tag");
    struct bytes both = bytes_room(ct.n + tag.n);
    memcpy(both.p, ct.p, ct.n);
    memcpy(both.p + ct.n, tag.p, tag.n);
    return both;
}

enum outcome gcm_test(struct vector_run *run)
{
    BYTES iv = field_hex(run, "iv");
    BYTES aad = field_hex(run, "aad");
    BYTES msg = field_hex(run, "msg");
    BYTES sealed = sealed_of(run);
    CK_GCM_PARAMS params = {
        .pIv = iv.p,
        .ulIvLen = iv.n,
        .ulIvBits = iv.n * 8,
        .pAAD = aad.p,
        .ulAADLen = aad.n,
        .ulTagBits = field_number(run, "tagSize"),
    };
    CK_MECHANISM mech = {run->family->mech, &params, sizeof params};
    return aes_test(run, &mech, msg, sealed);
}

enum outcome ccm_test(struct vector_run *run)
{
    BYTES iv = field_hex(run, "iv");
    BYTES aad = field_hex(run, "aad");
    BYTES msg = field_hex(run, "msg");
    BYTES sealed = sealed_of(run);
    CK_CCM_PARAMS params = {
        .ulDataLen = msg.n,
        .pNonce = iv.p,
        .ulNonceLen = iv.n,
        .pAAD = aad.p,
        .ulAADLen = aad.n,
        .ulMACLen = field_number(run, "tagSize") / 8,
    };
    CK_MECHANISM mech = {run->family->mech, &params, sizeof params};
    return aes_test(run, &mech, msg, sealed);
}

static enum outcome mac_both(struct vector_run *run, CK_MECHANISM *mech, struct bytes msg,
                             struct bytes tag)
{
    CK_FUNCTION_LIST *f = run->h->f;
    BYTES made = bytes_room(256);
    CK_RV rv = f->C_VerifyInit(run->session, mech, run->key);
    if (rv == CKR_OK)
        rv = f->C_Verify(run->session, msg.p, msg.n, tag.p, tag.n);
    if (rv != CKR_OK)
        return run_refused(run, "verify", rv);
    if (!test_is_valid(run))
        return ACCEPTED;
    rv = f->C_SignInit(run->session, mech, run->key);
    if (rv == CKR_OK)
        rv = f->C_Sign(run->session, msg.p, msg.n, made.p, &made.n);
    if (rv != CKR_OK)
        return run_refused(run, "sign", rv);
    return bytes_equal(made, tag) ? ACCEPTED : run_wrong(run, "sign");
}

/* A group whose tag is shorter than the whole one is for the mechanism's general form. */
enum outcome mac_test(struct vector_run *run)
{
    BYTES value = field_hex(run, "key");
    BYTES msg = field_hex(run, "msg");
    BYTES tag = field_hex(run, "tag");
    CK_ULONG tag_len = field_number(run, "tagSize") / 8;
    CK_MECHANISM mech = {run->family->mech, NULL, 0};
    if (tag_len != run->family->whole)
        mech = (CK_MECHANISM){run->family->general, &tag_len, sizeof tag_len};
    if (!harness_mechanism(run->h, mech.mechanism, run->family->flags))
        return NOT_RUN;
    CK_RV rv = key_secret(run, run->family->key_type, value, &run->key);
    if (rv != CKR_OK)
        return run_refused(run, "C_CreateObject", rv);
    enum outcome outcome = mac_both(run, &mech, msg, tag);
    key_destroy(run, run->key);
    return outcome;
}
