/*
 * The raw side: OpenSSL as a careful program uses it. A context for every call; algorithms fetched
 * and keys decoded once; a library context of its own. For durable writes, one 4 KiB page.
 */
#include "bench.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 4096

static void oaep_wrap(const struct bench_keys *keys, EVP_MD *md, CK_BYTE out[256])
{
    size_t len = 256;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(keys->lib, keys->rsa, NULL);
    CHECK(ctx && EVP_PKEY_encrypt_init(ctx) == 1 &&
          EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
          EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) == 1 &&
          EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) == 1 &&
          EVP_PKEY_encrypt(ctx, out, &len, keys->data, sizeof keys->data) == 1);
    EVP_PKEY_CTX_free(ctx);
}

void bench_keys_init(struct bench_keys *keys)
{
    static const CK_BYTE sha256_info[19] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60,
                                            0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
                                            0x01, 0x05, 0x00, 0x04, 0x20};
    struct lane *lane = calloc(1, sizeof *lane);
    struct side side = {.keys = keys};
    keys->lib = OSSL_LIB_CTX_new();
    keys->rsa = EVP_PKEY_Q_keygen(keys->lib, NULL, "RSA", (size_t)2048);
    keys->ec = EVP_PKEY_Q_keygen(keys->lib, NULL, "EC", "P-256");
    keys->wrap = EVP_CIPHER_fetch(keys->lib, "AES-256-WRAP", NULL);
    keys->gcm = EVP_CIPHER_fetch(keys->lib, "AES-256-GCM", NULL);
    keys->sha1 = EVP_MD_fetch(keys->lib, "SHA1", NULL);
    keys->sha256 = EVP_MD_fetch(keys->lib, "SHA256", NULL);
    CHECK(lane && keys->rsa && keys->ec && keys->wrap && keys->gcm && keys->sha1 && keys->sha256);
    CHECK(RAND_bytes(keys->kek, sizeof keys->kek) == 1);
    CHECK(RAND_bytes(keys->data, sizeof keys->data) == 1);
    CHECK(RAND_bytes(keys->hash, sizeof keys->hash) == 1);
    CHECK(RAND_bytes(keys->message, sizeof keys->message) == 1);
    memcpy(keys->digest_info, sha256_info, sizeof sha256_info);
    memcpy(keys->digest_info + sizeof sha256_info, keys->hash, sizeof keys->hash);
    oaep_wrap(keys, keys->sha1, keys->wrapped_oaep_sha1);
    oaep_wrap(keys, keys->sha256, keys->wrapped_oaep_sha256);
    OK(raw_kw_wrap(&side, lane));
    memcpy(keys->wrapped_kw, lane->out, sizeof keys->wrapped_kw);
    free(lane);
}

void bench_keys_done(struct bench_keys *keys)
{
    EVP_PKEY_free(keys->rsa);
    EVP_PKEY_free(keys->ec);
    EVP_CIPHER_free(keys->wrap);
    EVP_CIPHER_free(keys->gcm);
    EVP_MD_free(keys->sha1);
    EVP_MD_free(keys->sha256);
    OSSL_LIB_CTX_free(keys->lib);
}

/* Written and synced beforehand: neither allocation nor the conversion of extents is measured. */
static int page_file_open(void)
{
    const char *tmp = getenv("TMPDIR");
    char path[300];
    CK_BYTE page[PAGE] = {0};
    snprintf(path, sizeof path, "%s/reprieve-bench-XXXXXX", tmp ? tmp : "/tmp");
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    unlink(path);
    for (off_t i = 0; i < PAGES; i++)
        CHECK(pwrite(fd, page, PAGE, i * PAGE) == PAGE);
    CHECK(fsync(fd) == 0);
    return fd;
}

void raw_side_init(struct side *side, const struct bench_keys *keys)
{
    *side = (struct side){.id = SIDE_RAW, .name = "raw", .present = true, .keys = keys};
    side->page_fd = page_file_open();
    side->lanes[0] = calloc(1, sizeof *side->lanes[0]);
    CHECK(side->lanes[0] != NULL);
}

void raw_side_done(struct side *side)
{
    close(side->page_fd);
    free(side->lanes[0]);
}

static CK_RV verdict(int good)
{
    return good ? CKR_OK : CKR_FUNCTION_FAILED;
}

CK_RV raw_rsa_sign(struct side *side, struct lane *lane)
{
    const struct bench_keys *keys = side->keys;
    size_t len = sizeof lane->out;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(keys->lib, keys->rsa, NULL);
    int good = ctx && EVP_PKEY_sign_init(ctx) == 1 &&
               EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
               EVP_PKEY_sign(ctx, lane->out, &len, keys->digest_info,
                             sizeof keys->digest_info) == 1;
    EVP_PKEY_CTX_free(ctx);
    return verdict(good);
}

CK_RV raw_rsa_sha256_sign(struct side *side, struct lane *lane)
{
    const struct bench_keys *keys = side->keys;
    size_t len = sizeof lane->out;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int good =
        ctx &&
        EVP_DigestSignInit_ex(ctx, NULL, "SHA256", keys->lib, NULL, keys->rsa, NULL) == 1 &&
        EVP_DigestSign(ctx, lane->out, &len, keys->message, 32) == 1;
    EVP_MD_CTX_free(ctx);
    return verdict(good);
}

static CK_RV oaep_unwrap(const struct bench_keys *keys, EVP_MD *md, const CK_BYTE wrapped[256],
                         struct lane *lane)
{
    size_t len = sizeof lane->out;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(keys->lib, keys->rsa, NULL);
    int good = ctx && EVP_PKEY_decrypt_init(ctx) == 1 &&
               EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) == 1 &&
               EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) == 1 &&
               EVP_PKEY_decrypt(ctx, lane->out, &len, wrapped, 256) == 1;
    EVP_PKEY_CTX_free(ctx);
    OPENSSL_cleanse(lane->out, sizeof keys->data);
    return verdict(good);
}

CK_RV raw_oaep_sha1(struct side *side, struct lane *lane)
{
    return oaep_unwrap(side->keys, side->keys->sha1, side->keys->wrapped_oaep_sha1, lane);
}

CK_RV raw_oaep_sha256(struct side *side, struct lane *lane)
{
    return oaep_unwrap(side->keys, side->keys->sha256, side->keys->wrapped_oaep_sha256, lane);
}

CK_RV raw_ecdsa_sign(struct side *side, struct lane *lane)
{
    const struct bench_keys *keys = side->keys;
    size_t len = sizeof lane->out;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(keys->lib, keys->ec, NULL);
    int good = ctx && EVP_PKEY_sign_init(ctx) == 1 &&
               EVP_PKEY_sign(ctx, lane->out, &len, keys->hash, sizeof keys->hash) == 1;
    EVP_PKEY_CTX_free(ctx);
    return verdict(good);
}

CK_RV raw_kw_wrap(struct side *side, struct lane *lane)
{
    const struct bench_keys *keys = side->keys;
    int len = 0;
    int rest = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx)
        return CKR_HOST_MEMORY;
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    int good = EVP_EncryptInit_ex2(ctx, keys->wrap, keys->kek, NULL, NULL) == 1 &&
               EVP_EncryptUpdate(ctx, lane->out, &len, keys->data, sizeof keys->data) == 1 &&
               EVP_EncryptFinal_ex(ctx, lane->out + len, &rest) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return verdict(good);
}

CK_RV raw_kw_unwrap(struct side *side, struct lane *lane)
{
    const struct bench_keys *keys = side->keys;
    int len = 0;
    int rest = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx)
        return CKR_HOST_MEMORY;
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    int good = EVP_DecryptInit_ex2(ctx, keys->wrap, keys->kek, NULL, NULL) == 1 &&
               EVP_DecryptUpdate(ctx, lane->out, &len, keys->wrapped_kw,
                                 sizeof keys->wrapped_kw) == 1 &&
               EVP_DecryptFinal_ex(ctx, lane->out + len, &rest) == 1;
    EVP_CIPHER_CTX_free(ctx);
    OPENSSL_cleanse(lane->out, sizeof keys->data);
    return verdict(good);
}

static CK_RV gcm_seal(const struct bench_keys *keys, struct lane *lane, int message_len)
{
    CK_BYTE iv[12] = {0};
    int len = 0;
    int rest = 0;
    lane->serial++;
    memcpy(iv, &lane->serial, sizeof lane->serial);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int good = ctx && EVP_EncryptInit_ex2(ctx, keys->gcm, keys->kek, iv, NULL) == 1 &&
               EVP_EncryptUpdate(ctx, lane->out, &len, keys->message, message_len) == 1 &&
               EVP_EncryptFinal_ex(ctx, lane->out + len, &rest) == 1 &&
               EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, lane->out + len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return verdict(good);
}

CK_RV raw_gcm_16(struct side *side, struct lane *lane)
{
    return gcm_seal(side->keys, lane, 16);
}

CK_RV raw_gcm_64k(struct side *side, struct lane *lane)
{
    return gcm_seal(side->keys, lane, BENCH_MESSAGE_MAX);
}

CK_RV raw_page(struct side *side, struct lane *lane)
{
    off_t at = (off_t)(lane->serial++ % PAGES) * PAGE;
    int good = pwrite(side->page_fd, side->keys->message, PAGE, at) == PAGE &&
               fdatasync(side->page_fd) == 0;
    return verdict(good);
}
