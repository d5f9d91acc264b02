/* MACs. See mech_mac.h. */
#include "mech_mac.h"

#include <openssl/crypto.h>
#include <string.h>

#include "trace.h"

void mac_ctx_free(void *ctx)
{
    EVP_MAC_CTX_free(ctx);
}

CK_RV mac_begin(struct crypto *c, EVP_MAC *mac, const OSSL_PARAM *setup)
{
    const uint8_t *key = NULL;
    size_t key_len = 0;
    if (c->ctx == NULL) {
        c->ctx = mac == NULL ? NULL : EVP_MAC_CTX_new(mac);
        if (c->ctx == NULL)
            return ossl_fail(CKR_HOST_MEMORY, c->mech->name);
        key = c->key->secret;
        key_len = c->key->secret_len;
    }
    if (EVP_MAC_init(c->ctx, key, key_len, setup) == 1)
        return CKR_OK;
    mac_ctx_free(c->ctx);
    c->ctx = NULL;
    return ossl_fail(CKR_FUNCTION_FAILED, c->mech->name);
}

size_t mac_size(const struct crypto *c)
{
    return c->param.mac.mac_len;
}

CK_RV mac_update(struct crypto *c, const uint8_t *data, size_t len)
{
    return EVP_MAC_update(c->ctx, data, len) == 1 ? CKR_OK
                                                   : ossl_fail(CKR_FUNCTION_FAILED, "MAC");
}

static CK_RV mac_whole(struct crypto *c, uint8_t ret_mac[MAC_MAX])
{
    size_t len = 0;
    return EVP_MAC_final(c->ctx, ret_mac, &len, MAC_MAX) == 1
               ? CKR_OK
               : ossl_fail(CKR_FUNCTION_FAILED, "MAC");
}

CK_RV mac_sign_final(struct crypto *c, uint8_t *signature, size_t *ret_len)
{
    uint8_t mac[MAC_MAX];
    TRY(mac_whole(c, mac));
    memcpy(signature, mac, c->param.mac.mac_len);
    *ret_len = c->param.mac.mac_len;
    OPENSSL_cleanse(mac, sizeof mac);
    return CKR_OK;
}

CK_RV mac_verify_final(struct crypto *c, const uint8_t *signature, size_t len)
{
    uint8_t mac[MAC_MAX];
    if (len != c->param.mac.mac_len)
        return trace_fail(CKR_SIGNATURE_LEN_RANGE, "%s: %zu bytes, expected %zu", c->mech->name,
                          len, c->param.mac.mac_len);
    TRY(mac_whole(c, mac));
    int differs = CRYPTO_memcmp(mac, signature, len);
    OPENSSL_cleanse(mac, sizeof mac);
    return differs == 0 ? CKR_OK
                        : trace_fail(CKR_SIGNATURE_INVALID, "%s: not the MAC of this data",
                                     c->mech->name);
}

CK_RV mac_sign(struct crypto *c, const uint8_t *data, size_t len, uint8_t *signature,
               size_t *ret_len)
{
    TRY(mac_update(c, data, len));
    return mac_sign_final(c, signature, ret_len);
}

CK_RV mac_verify(struct crypto *c, const uint8_t *data, size_t len, const uint8_t *signature,
                 size_t signature_len)
{
    TRY(mac_update(c, data, len));
    return mac_verify_final(c, signature, signature_len);
}

CK_RV mac_parse_general(const struct mech_row *row, size_t whole, const void *p, CK_ULONG len,
                        struct mech_param *ret_param)
{
    CK_MAC_GENERAL_PARAMS mac_len;
    if (p == NULL || len != sizeof mac_len)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: parameter of %lu bytes", row->name,
                          len);
    memcpy(&mac_len, p, sizeof mac_len);
    if (mac_len < 1 || mac_len > whole)
        return trace_fail(CKR_MECHANISM_PARAM_INVALID, "%s: MAC length %lu is not 1 to %zu",
                          row->name, mac_len, whole);
    ret_param->mac.mac_len = mac_len;
    return CKR_OK;
}
