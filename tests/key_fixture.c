/* See key_fixture.h. */
#include "key_fixture.h"

struct half half_make(struct attr_list *list)
{
    struct half half = {0};
    assert_int_equal(key_complete(list, 1024), CKR_OK);
    assert_int_equal(attr_set_new(list, &half.attrs), CKR_OK);
    assert_int_equal(key_material_new(half.attrs, &half.key), CKR_OK);
    return half;
}

void half_done(struct half *half)
{
    key_material_unref(half->key);
    attr_set_free(half->attrs);
}

void pair_done(struct pair *pair)
{
    half_done(&pair->public);
    half_done(&pair->private);
}

void list_begin(struct attr_list *list, CK_OBJECT_CLASS cls, CK_KEY_TYPE type)
{
    attr_list_init(list);
    assert_int_equal(attr_put_ulong(list, CKA_CLASS, cls), CKR_OK);
    assert_int_equal(attr_put_ulong(list, CKA_KEY_TYPE, type), CKR_OK);
}

static void pair_make(CK_MECHANISM_TYPE mechanism, struct attr_list *public_key,
                      CK_KEY_TYPE type, struct pair *ret_pair)
{
    AUTO(attr_list) struct attr_list private_key;
    const struct mech_row *row = mech_find(mechanism);
    list_begin(&private_key, CKO_PRIVATE_KEY, type);
    assert_non_null(row);
    assert_int_equal(row->generate->pair(row, NULL, public_key, &private_key), CKR_OK);
    ret_pair->public = half_make(public_key);
    ret_pair->private = half_make(&private_key);
}

void pair_rsa(CK_ULONG bits, struct pair *ret_pair)
{
    AUTO(attr_list) struct attr_list list;
    list_begin(&list, CKO_PUBLIC_KEY, CKK_RSA);
    assert_int_equal(attr_put_ulong(&list, CKA_MODULUS_BITS, bits), CKR_OK);
    pair_make(CKM_RSA_PKCS_KEY_PAIR_GEN, &list, CKK_RSA, ret_pair);
}

void pair_curve(const struct curve_row *curve, struct pair *ret_pair)
{
    AUTO(attr_list) struct attr_list list;
    list_begin(&list, CKO_PUBLIC_KEY, curve->key_type);
    assert_int_equal(attr_put(&list, CKA_EC_PARAMS, curve->oid, curve->oid_len), CKR_OK);
    pair_make(curve->key_type == CKK_EC           ? CKM_EC_KEY_PAIR_GEN
              : curve->key_type == CKK_EC_EDWARDS ? CKM_EC_EDWARDS_KEY_PAIR_GEN
                                                  : CKM_EC_MONTGOMERY_KEY_PAIR_GEN,
              &list, curve->key_type, ret_pair);
}

const struct curve_row *curve_named(const char *name)
{
    for (size_t i = 0; i < CURVES_COUNT; i++)
        if (strcmp(CURVES[i].name, name) == 0)
            return &CURVES[i];
    fail_msg("no curve %s", name);
    return NULL;
}

struct half secret_make(CK_KEY_TYPE type, const void *value, size_t len)
{
    AUTO(attr_list) struct attr_list list;
    list_begin(&list, CKO_SECRET_KEY, type);
    assert_int_equal(attr_put(&list, CKA_VALUE, value, len), CKR_OK);
    return half_make(&list);
}

static CK_RV use_begin(struct crypto *c)
{
    if (c->mech->sign && (c->key->cls == CKO_PRIVATE_KEY) == c->encrypt)
        return c->mech->sign->begin(c);
    return c->mech->cipher ? c->mech->cipher->begin(c) : CKR_OK;
}

CK_RV use_try(struct crypto *c, CK_MECHANISM mechanism, const struct half *key, bool encrypt)
{
    memset(c, 0, sizeof *c);
    TRY(mech_prepare(&mechanism, &c->mech, &c->param));
    c->key = key->key;
    c->encrypt = encrypt;
    CK_RV rv = mech_key_fits(c->mech, c->key);
    if (rv == CKR_OK)
        rv = use_begin(c);
    if (rv != CKR_OK)
        crypto_done(c);
    return rv;
}

void use_init(struct crypto *c, CK_MECHANISM mechanism, const struct half *key, bool encrypt)
{
    assert_int_equal(use_try(c, mechanism, key, encrypt), CKR_OK);
}

size_t hex_bytes(const char *hex, uint8_t *ret_bytes)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        ret_bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return n;
}

int ossl_setup(void **state)
{
    (void)state;
    return ossl_start() == CKR_OK ? 0 : -1;
}

int ossl_teardown(void **state)
{
    (void)state;
    ossl_stop();
    return 0;
}
