/* key_fixture.h: for unit tests of mechanisms: key pairs as the object layer would make them. */
#ifndef KEY_FIXTURE_H
#define KEY_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "module/curve_table.h"
#include "module/key_material.h"
#include "module/mech.h"

struct half { struct attr_set *attrs; struct key_material *key; };
struct pair { struct half public, private; };

struct half half_make(struct attr_list *list);           /* completes; fails the test */
void half_done(struct half *half);
void pair_done(struct pair *pair);
void pair_rsa(CK_ULONG bits, struct pair *ret_pair);
void pair_curve(const struct curve_row *curve, struct pair *ret_pair);
const struct curve_row *curve_named(const char *name);

void list_begin(struct attr_list *list, CK_OBJECT_CLASS cls, CK_KEY_TYPE type);
struct half secret_make(CK_KEY_TYPE type, const void *value, size_t len);

/* A crypto as *Init makes it; ends with crypto_done. */
CK_RV use_try(struct crypto *c, CK_MECHANISM mechanism, const struct half *key, bool encrypt);
void use_init(struct crypto *c, CK_MECHANISM mechanism, const struct half *key, bool encrypt);
size_t hex_bytes(const char *hex, uint8_t *ret_bytes);

int ossl_setup(void **state);
int ossl_teardown(void **state);
#endif
