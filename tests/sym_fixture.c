/* See sym_fixture.h. */
#include "sym_fixture.h"

#include <stdlib.h>
#include <string.h>

uint8_t SYM_IV[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

struct bytes hex(const char *text)
{
    struct bytes out = {.n = strlen(text) / 2};
    for (size_t i = 0; i < out.n; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], 0};
        out.b[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return out;
}

void use_init(struct crypto *c, struct key_material *key, const struct bytes *value,
              CK_KEY_TYPE type, CK_MECHANISM mechanism, bool encrypt)
{
    *key = (struct key_material){.cls = CKO_SECRET_KEY, .key_type = type, .secret = value->b,
                                 .secret_len = value->n};
    memset(c, 0, sizeof *c);
    assert_int_equal(mech_prepare(&mechanism, &c->mech, &c->param), CKR_OK);
    if (c->mech->key_type != CK_UNAVAILABLE_INFORMATION)
        assert_int_equal(mech_key_fits(c->mech, key), CKR_OK);
    c->key = key;
    c->encrypt = encrypt;
}

void cipher_begin_again(struct crypto *c)
{
    secret_done(&c->buffer);
    memset(&c->state, 0, sizeof c->state);
    assert_int_equal(c->mech->cipher->begin(c), CKR_OK);
}

CK_RV run_once(struct crypto *c, const struct bytes *in, struct bytes *out, bool in_place)
{
    cipher_begin_again(c);
    uint8_t *buffer = malloc(ROOM);
    size_t bound = c->mech->cipher->once_size(c, in->n), len = 0;
    memcpy(buffer, in->b, in->n);
    uint8_t *to = in_place ? buffer : malloc(bound + 1);
    CK_RV rv = c->mech->cipher->once(c, buffer, in->n, to, &len);
    if (rv == CKR_OK) {
        assert_true(len <= bound);
        if (c->encrypt)
            assert_int_equal(len, bound);
        memcpy(out->b, to, len);
        out->n = len;
    }
    if (!in_place)
        free(to);
    free(buffer);
    return rv;
}

static CK_RV parts_final(struct crypto *c, struct bytes *out)
{
    size_t bound = c->mech->cipher->final_size(c), len = 0;
    uint8_t *to = malloc(bound + 1);
    CK_RV rv = c->mech->cipher->final(c, to, &len);
    if (rv == CKR_OK) {
        assert_true(len <= bound);
        memcpy(out->b + out->n, to, len);
        out->n += len;
    }
    free(to);
    return rv;
}

CK_RV run_parts(struct crypto *c, const struct bytes *in, size_t part, struct bytes *out,
                bool in_place)
{
    out->n = 0;
    cipher_begin_again(c);
    for (size_t at = 0; at < in->n; at += part) {
        size_t n = part < in->n - at ? part : in->n - at, len = 0;
        size_t bound = c->mech->cipher->update_size(c, n);
        uint8_t *from = malloc((n > bound ? n : bound) + 1);
        uint8_t *to = in_place ? from : malloc(bound + 1);
        memcpy(from, in->b + at, n);
        CK_RV rv = c->mech->cipher->update(c, from, n, to, &len);
        if (rv == CKR_OK) {
            assert_int_equal(len, bound);
            memcpy(out->b + out->n, to, len);
            out->n += len;
        }
        if (!in_place)
            free(to);
        free(from);
        if (rv != CKR_OK)
            return rv;
    }
    return parts_final(c, out);
}

void check_same(const struct bytes *got, const struct bytes *want)
{
    assert_int_equal(got->n, want->n);
    assert_memory_equal(got->b, want->b, want->n);
}

void check_direction(struct crypto *c, const struct bytes *in, const struct bytes *want)
{
    struct bytes got;
    for (int in_place = 0; in_place < 2; in_place++) {
        assert_int_equal(run_once(c, in, &got, in_place), CKR_OK);
        check_same(&got, want);
        for (size_t part = 1; c->mech->cipher->update != NULL && part <= in->n + 1; part++) {
            assert_int_equal(run_parts(c, in, part, &got, in_place), CKR_OK);
            check_same(&got, want);
        }
    }
}

void check_cipher(const char *key_hex, CK_MECHANISM mechanism, const char *plain_hex,
                  const char *cipher_hex)
{
    struct bytes value = hex(key_hex), plain = hex(plain_hex), sealed = hex(cipher_hex);
    struct key_material key;
    struct crypto c;
    use_init(&c, &key, &value, CKK_AES, mechanism, true);
    check_direction(&c, &plain, &sealed);
    crypto_done(&c);
    use_init(&c, &key, &value, CKK_AES, mechanism, false);
    check_direction(&c, &sealed, &plain);
    crypto_done(&c);
}

CK_RV decrypt_code(const char *key_hex, CK_MECHANISM mechanism, const struct bytes *sealed)
{
    struct bytes value = hex(key_hex), out;
    struct key_material key;
    struct crypto c;
    use_init(&c, &key, &value, CKK_AES, mechanism, false);
    CK_RV rv = run_once(&c, sealed, &out, false);
    if (c.mech->cipher->update != NULL)
        assert_int_equal(run_parts(&c, sealed, 7, &out, false), rv);
    crypto_done(&c);
    return rv;
}

CK_RV encrypt_code(const char *key_hex, CK_MECHANISM mechanism, size_t len)
{
    struct bytes value = hex(key_hex), plain = {.n = len}, out;
    struct key_material key;
    struct crypto c;
    use_init(&c, &key, &value, CKK_AES, mechanism, true);
    CK_RV rv = run_once(&c, &plain, &out, false);
    if (c.mech->cipher->update != NULL)
        assert_int_equal(run_parts(&c, &plain, 7, &out, false), rv);
    crypto_done(&c);
    return rv;
}

int sym_start(void **state)
{
    (void)state;
    return ossl_start() == CKR_OK ? 0 : 1;
}

int sym_stop(void **state)
{
    (void)state;
    ossl_stop();
    return 0;
}
