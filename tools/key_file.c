#include "key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "key_kind.h"

#define FILE_LIMIT ((size_t)1 << 20)
#define AES_KEY_SIZE 32

void bytes_auto(struct bytes *bytes)
{
    if (bytes->data != NULL)
        OPENSSL_cleanse(bytes->data, bytes->len);
    free(bytes->data);
    *bytes = (struct bytes){0};
}

void pkey_auto(EVP_PKEY **pkey)
{
    EVP_PKEY_free(*pkey);
}

static void pkey_ctx_auto(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

static void cipher_ctx_auto(EVP_CIPHER_CTX **ctx)
{
    EVP_CIPHER_CTX_free(*ctx);
}

static bool bytes_make(struct bytes *bytes, size_t len)
{
    bytes->data = malloc(len + 1);
    bytes->len = bytes->data == NULL ? 0 : len;
    return bytes->data != NULL;
}

static bool bytes_copy(struct bytes *bytes, const void *from, size_t len)
{
    if (!bytes_make(bytes, len))
        return false;
    memcpy(bytes->data, from, len);
    return true;
}

/* OpenSSL's own words for what went wrong. */
static enum outcome ossl_failure(struct failure *failure, const char *what)
{
    unsigned long error = ERR_peek_last_error();
    const char *reason = error == 0 ? NULL : ERR_reason_error_string(error);

    failure_set(failure, OUTCOME_FAILED, "OPENSSL", "%s: %s", what,
                reason == NULL ? "OpenSSL failed" : reason);
    ERR_clear_error();
    return OUTCOME_FAILED;
}

/* ------------------------------------------------------------------ files */

enum outcome file_read(const char *path, struct failure *failure, struct bytes *ret_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTO(bytes) struct bytes buffer = {0};
    size_t used = 0;
    ssize_t got = fd < 0 ? -1 : 1;

    if (!bytes_make(&buffer, FILE_LIMIT))
        got = -1;
    while (got > 0 && used < FILE_LIMIT) {
        got = read(fd, buffer.data + used, FILE_LIMIT - used);
        used += got > 0 ? (size_t)got : 0;
    }
    if (got != 0)
        failure_set(failure, OUTCOME_FAILED, "FILE", "cannot read %s: %s", path,
                    got < 0 ? strerror(errno) : "it is larger than 1 MiB");
    if (fd >= 0)
        close(fd);
    if (got != 0 || !bytes_copy(ret_bytes, buffer.data, used))
        return OUTCOME_FAILED;
    return OUTCOME_OK;
}

enum outcome file_write(const char *path, const struct bytes *bytes, bool is_public,
                        struct failure *failure)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDOUT_FILENO
                      : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                             is_public ? 0644 : 0600);
    size_t done = 0;
    ssize_t n = fd < 0 ? -1 : 0;

    while (n >= 0 && done < bytes->len) {
        n = write(fd, bytes->data + done, bytes->len - done);
        done += n > 0 ? (size_t)n : 0;
    }
    if (n < 0)
        failure_set(failure, OUTCOME_FAILED, "FILE", "cannot write %s: %s", path,
                    strerror(errno));
    if (fd >= 0 && !standard && close(fd) != 0 && n >= 0) {
        failure_set(failure, OUTCOME_FAILED, "FILE", "cannot write %s: %s", path,
                    strerror(errno));
        n = -1;
    }
    return n < 0 ? OUTCOME_FAILED : OUTCOME_OK;
}

/* ------------------------------------------------------------------ private keys */

struct passphrase {
    const struct pin_source *source;
    struct failure *failure;
    bool failed;
};

static int passphrase_callback(char *buffer, int size, int writing, void *context)
{
    struct passphrase *passphrase = context;
    AUTO(pin) struct pin pin = {0};

    (void)writing;
    passphrase->failed = pin_read(passphrase->source, false, passphrase->failure, &pin) !=
                         OUTCOME_OK;
    if (passphrase->failed || pin.len > (unsigned long)size)
        return -1;
    memcpy(buffer, pin.bytes, pin.len);
    return (int)pin.len;
}

enum outcome key_read(const char *path, const struct pin_source *source, struct failure *failure,
                      EVP_PKEY **ret_key)
{
    AUTO(bytes) struct bytes file = {0};
    struct passphrase passphrase = {source, failure, false};
    EVP_PKEY *key = NULL;
    const unsigned char *data = NULL;
    size_t left = 0;
    OSSL_DECODER_CTX *decoder = NULL;
    enum outcome outcome = file_read(path, failure, &file);

    if (outcome != OUTCOME_OK)
        return outcome;
    data = file.data;
    left = file.len;
    decoder = OSSL_DECODER_CTX_new_for_pkey(&key, NULL, NULL, NULL, OSSL_KEYMGMT_SELECT_PRIVATE_KEY,
                                            NULL, NULL);
    if (decoder != NULL) {
        OSSL_DECODER_CTX_set_pem_password_cb(decoder, passphrase_callback, &passphrase);
        OSSL_DECODER_from_data(decoder, &data, &left);
        OSSL_DECODER_CTX_free(decoder);
    }
    if (key == NULL && passphrase.failed)
        return failure->outcome;
    if (key == NULL) {
        ossl_failure(failure, "no private key could be read from the file");
        failure_hint(failure, "a raw secret key needs --type aes or --type generic");
        return OUTCOME_FAILED;
    }
    ERR_clear_error();
    *ret_key = key;
    return OUTCOME_OK;
}

enum outcome key_pkcs8(EVP_PKEY *key, struct failure *failure, struct bytes *ret_der)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    int len = info == NULL ? -1 : i2d_PKCS8_PRIV_KEY_INFO(info, NULL);
    unsigned char *end = NULL;

    if (len > 0 && bytes_make(ret_der, (size_t)len)) {
        end = ret_der->data;
        i2d_PKCS8_PRIV_KEY_INFO(info, &end);
    }
    PKCS8_PRIV_KEY_INFO_free(info);
    return end != NULL ? OUTCOME_OK : ossl_failure(failure, "the key cannot be written as PKCS#8");
}

/* ------------------------------------------------------------------ public keys */

EVP_PKEY *key_rsa_public(const struct bytes *modulus, const struct bytes *exponent)
{
    BIGNUM *n = BN_bin2bn(modulus->data, (int)modulus->len, NULL);
    BIGNUM *e = BN_bin2bn(exponent->data, (int)exponent->len, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    AUTO(pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;

    if (n != NULL && e != NULL && builder != NULL &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        params = OSSL_PARAM_BLD_to_param(builder);
    if (params != NULL && ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1)
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return key;
}

enum outcome key_public_pem(EVP_PKEY *key, struct failure *failure, struct bytes *ret_pem)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len = 0;
    bool done = false;

    if (bio != NULL && PEM_write_bio_PUBKEY(bio, key) == 1) {
        len = BIO_get_mem_data(bio, &text);
        done = len > 0 && bytes_copy(ret_pem, text, (size_t)len);
    }
    BIO_free(bio);
    return done ? OUTCOME_OK : ossl_failure(failure, "the public key cannot be written");
}

void public_key_auto(struct public_key *public_key)
{
    bytes_auto(&public_key->values[0]);
    bytes_auto(&public_key->values[1]);
}

static bool number_bytes(EVP_PKEY *key, const char *name, struct bytes *ret_bytes)
{
    BIGNUM *number = NULL;
    bool done = EVP_PKEY_get_bn_param(key, name, &number) == 1 &&
                bytes_make(ret_bytes, (size_t)BN_num_bytes(number));

    if (done)
        BN_bn2bin(number, ret_bytes->data);
    BN_free(number);
    return done;
}

static bool rsa_values(EVP_PKEY *key, struct public_key *public_key)
{
    public_key->attrs[0].type = CKA_MODULUS;
    public_key->attrs[1].type = CKA_PUBLIC_EXPONENT;
    return number_bytes(key, OSSL_PKEY_PARAM_RSA_N, &public_key->values[0]) &&
           number_bytes(key, OSSL_PKEY_PARAM_RSA_E, &public_key->values[1]);
}

/* The curve's object identifier, in DER. */
static bool curve_bytes(EVP_PKEY *key, struct bytes *ret_bytes)
{
    char name[64];
    size_t len = 0;
    int nid = EVP_PKEY_get_id(key);
    const ASN1_OBJECT *object = NULL;
    unsigned char *end = NULL;
    int size = 0;

    if (EVP_PKEY_is_a(key, "EC"))
        nid = EVP_PKEY_get_group_name(key, name, sizeof(name), &len) == 1 ? OBJ_txt2nid(name)
                                                                         : NID_undef;
    object = nid == NID_undef ? NULL : OBJ_nid2obj(nid);
    size = object == NULL ? 0 : i2d_ASN1_OBJECT(object, NULL);
    if (size <= 0 || !bytes_make(ret_bytes, (size_t)size))
        return false;
    end = ret_bytes->data;
    return i2d_ASN1_OBJECT(object, &end) == size;
}

/* The point, uncompressed where that is a question, in a DER octet string. */
static bool point_bytes(EVP_PKEY *key, struct bytes *ret_bytes)
{
    unsigned char point[256];
    size_t len = 0;
    ASN1_OCTET_STRING *string = ASN1_OCTET_STRING_new();
    unsigned char *end = NULL;
    int size = 0;
    bool done = string != NULL;

    if (done && EVP_PKEY_is_a(key, "EC"))
        EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                       OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED);
    done = done && EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point,
                                                   sizeof(point), &len) == 1 &&
           ASN1_OCTET_STRING_set(string, point, (int)len) == 1;
    size = done ? i2d_ASN1_OCTET_STRING(string, NULL) : 0;
    done = size > 0 && bytes_make(ret_bytes, (size_t)size);
    if (done) {
        end = ret_bytes->data;
        i2d_ASN1_OCTET_STRING(string, &end);
    }
    ASN1_OCTET_STRING_free(string);
    return done;
}

static bool curve_values(EVP_PKEY *key, struct public_key *public_key)
{
    public_key->attrs[0].type = CKA_EC_PARAMS;
    public_key->attrs[1].type = CKA_EC_POINT;
    return curve_bytes(key, &public_key->values[0]) && point_bytes(key, &public_key->values[1]);
}

enum outcome key_public_attributes(EVP_PKEY *key, struct failure *failure,
                                   struct public_key *ret_public)
{
    const struct key_kind *kind = key_kind_ossl(EVP_PKEY_get0_type_name(key));
    bool rsa = kind != NULL && kind->type == CKK_RSA;
    const struct bytes *bits = &ret_public->values[rsa ? 0 : 1];
    unsigned len = 0;

    if (kind == NULL || !(rsa ? rsa_values : curve_values)(key, ret_public))
        return ossl_failure(failure, "this kind of public key, or its curve, cannot be brought in");
    ret_public->type = kind->type;
    for (size_t i = 0; i < 2; i++) {
        ret_public->attrs[i].pValue = ret_public->values[i].data;
        ret_public->attrs[i].ulValueLen = ret_public->values[i].len;
    }
    if (EVP_Digest(bits->data, bits->len, ret_public->id, &len, EVP_sha1(), NULL) != 1)
        return ossl_failure(failure, "SHA-1");
    return OUTCOME_OK;
}

/* ------------------------------------------------------------------ wrapping */

static bool oaep_encrypt(EVP_PKEY *key, const unsigned char *plain, size_t plain_len,
                         unsigned char *out, size_t *inout_len)
{
    AUTO(pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);

    return ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 &&
           EVP_PKEY_encrypt(ctx, out, inout_len, plain, plain_len) == 1;
}

static bool kwp_wrap(const unsigned char key[AES_KEY_SIZE], const struct bytes *plain,
                     unsigned char *out, size_t *ret_len)
{
    AUTO(cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0;
    int rest = 0;

    if (ctx == NULL)
        return false;
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (EVP_EncryptInit_ex(ctx, EVP_aes_256_wrap_pad(), NULL, key, NULL) != 1 ||
        EVP_EncryptUpdate(ctx, out, &len, plain->data, (int)plain->len) != 1 ||
        EVP_EncryptFinal_ex(ctx, out + len, &rest) != 1)
        return false;
    *ret_len = (size_t)(len + rest);
    return true;
}

enum outcome key_wrap_rsa_aes(EVP_PKEY *wrapping_key, const struct bytes *plain,
                              struct failure *failure, struct bytes *ret_wrapped)
{
    unsigned char aes_key[AES_KEY_SIZE];
    size_t rsa_len = (size_t)EVP_PKEY_get_size(wrapping_key);
    size_t kwp_len = 0;
    AUTO(bytes) struct bytes wrapped = {0};
    bool done = bytes_make(&wrapped, rsa_len + plain->len + 24) &&
                RAND_priv_bytes(aes_key, sizeof(aes_key)) == 1 &&
                oaep_encrypt(wrapping_key, aes_key, sizeof(aes_key), wrapped.data, &rsa_len) &&
                kwp_wrap(aes_key, plain, wrapped.data + rsa_len, &kwp_len);

    OPENSSL_cleanse(aes_key, sizeof(aes_key));
    if (!done)
        return ossl_failure(failure, "the key cannot be wrapped");
    wrapped.len = rsa_len + kwp_len;
    *ret_wrapped = wrapped;
    wrapped = (struct bytes){0};
    return OUTCOME_OK;
}
