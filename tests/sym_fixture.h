/*
 * sym_fixture.h: what the generic layer does for a symmetric mechanism, in small, and checks that
 * hold for every cipher: in place or not, in parts of every size, on warm contexts.
 */
#ifndef SYM_FIXTURE_H
#define SYM_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "module/mech.h"

#define ROOM 512u
struct bytes { uint8_t b[ROOM]; size_t n; };

/* SP 800-38A's keys, plaintext and IV. */
#define K128 "2b7e151628aed2a6abf7158809cf4f3c"
#define K256 "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
#define P64                                                                                        \
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"                             \
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
extern uint8_t SYM_IV[16];

struct bytes hex(const char *text);
void check_same(const struct bytes *got, const struct bytes *want);

/* A parsed operation under a key that lives in *key and *value; end with crypto_done. */
void use_init(struct crypto *c, struct key_material *key, const struct bytes *value,
              CK_KEY_TYPE type, CK_MECHANISM mechanism, bool encrypt);
void cipher_begin_again(struct crypto *c);
/* Into buffers of exactly the size that the mechanism asked for. */
CK_RV run_once(struct crypto *c, const struct bytes *in, struct bytes *out, bool in_place);
CK_RV run_parts(struct crypto *c, const struct bytes *in, size_t part, struct bytes *out,
                bool in_place);
/* Once and in parts of every size, in place and not. */
void check_direction(struct crypto *c, const struct bytes *in, const struct bytes *want);
/* Both directions of a known answer, with an AES key. */
void check_cipher(const char *key_hex, CK_MECHANISM mechanism, const char *plain_hex,
                  const char *cipher_hex);
/* The code that decrypting, or encrypting zeros, gives; in parts it must be the same. */
CK_RV decrypt_code(const char *key_hex, CK_MECHANISM mechanism, const struct bytes *sealed);
CK_RV encrypt_code(const char *key_hex, CK_MECHANISM mechanism, size_t len);

/* Group set-up and tear-down: OpenSSL. */
int sym_start(void **state);
int sym_stop(void **state);
#endif
