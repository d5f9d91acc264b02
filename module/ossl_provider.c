/* See ossl_provider.h. */
#include "ossl_provider.h"

#include <openssl/core_dispatch.h>
#include <stdatomic.h>
#include <string.h>

#include "ossl.h"

/* The key types on offer; the default provider's others would be under the names they have. */
static const struct key_type {
    const char *type, *oid, *names;
} KEY_TYPES[] = {
    {"RSA", "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.1:RSA:rsaEncryption"},
    {"EC", "1.2.840.10045.2.1", "1.2.840.10045.2.1:EC:id-ecPublicKey"},
    {"X25519", "1.3.101.110", "1.3.101.110:X25519"},
    {"X448", "1.3.101.111", "1.3.101.111:X448"},
    {"ED25519", "1.3.101.112", "1.3.101.112:ED25519"},
    {"ED448", "1.3.101.113", "1.3.101.113:ED448"},
};
#define KEY_TYPES_COUNT (sizeof KEY_TYPES / sizeof KEY_TYPES[0])

/* What a query is answered from. OpenSSL gives back the default provider's context, not ours. */
static OSSL_PROVIDER *_Atomic answering;
static OSSL_ALGORITHM keymgmts[KEY_TYPES_COUNT + 1];

const char *ossl_key_type(const char *type)
{
    for (size_t i = 0; i < KEY_TYPES_COUNT; i++)
        if (strcmp(KEY_TYPES[i].type, type) == 0)
            return KEY_TYPES[i].oid;
    return type;
}

static bool is_named(const OSSL_ALGORITHM *algorithm, const char *type)
{
    size_t len = strlen(type);
    const char *names = algorithm->algorithm_names;
    return strncmp(names, type, len) == 0 && (names[len] == ':' || names[len] == 0);
}

static void keymgmts_fill(const OSSL_ALGORITHM *algorithms)
{
    OSSL_ALGORITHM *out = keymgmts;
    for (; algorithms != NULL && algorithms->algorithm_names != NULL; algorithms++) {
        for (size_t i = 0; i < KEY_TYPES_COUNT; i++) {
            if (!is_named(algorithms, KEY_TYPES[i].type))
                continue;
            *out = *algorithms;
            out++->algorithm_names = KEY_TYPES[i].names;
        }
    }
    memset(out, 0, sizeof *out);
}

static const OSSL_ALGORITHM *query(void *context, int operation, int *ret_no_cache)
{
    (void)context;
    const OSSL_ALGORITHM *found =
        OSSL_PROVIDER_query_operation(atomic_load(&answering), operation, ret_no_cache);
    return operation == OSSL_OP_KEYMGMT ? keymgmts : found;
}

static int renamed_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                        const OSSL_DISPATCH **ret_out, void **ret_context)
{
    static const OSSL_DISPATCH dispatch[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
        {0, NULL},
    };
    (void)handle;
    (void)in;
    *ret_out = dispatch;
    *ret_context = OSSL_PROVIDER_get0_provider_ctx(atomic_load(&answering));
    return 1;
}

static bool provider_load(struct ossl_provider *provider)
{
    int no_cache = 0;
    provider->inner = OSSL_LIB_CTX_new();
    provider->libctx = OSSL_LIB_CTX_new();
    if (provider->inner == NULL || provider->libctx == NULL)
        return false;
    provider->real = OSSL_PROVIDER_load(provider->inner, "default");
    if (provider->real == NULL)
        return false;
    keymgmts_fill(OSSL_PROVIDER_query_operation(provider->real, OSSL_OP_KEYMGMT, &no_cache));
    atomic_store(&answering, provider->real);
    if (OSSL_PROVIDER_add_builtin(provider->libctx, "reprieve", renamed_init) != 1)
        return false;
    provider->renamed = OSSL_PROVIDER_load(provider->libctx, "reprieve");
    return provider->renamed != NULL;
}

CK_RV ossl_provider_init(struct ossl_provider *provider)
{
    if (provider_load(provider))
        return CKR_OK;
    ossl_provider_done(provider);
    return ossl_fail(CKR_GENERAL_ERROR, "loading OpenSSL's default provider");
}

void ossl_provider_done(struct ossl_provider *provider)
{
    if (provider->renamed != NULL)
        OSSL_PROVIDER_unload(provider->renamed);
    OSSL_LIB_CTX_free(provider->libctx);
    if (provider->real != NULL)
        OSSL_PROVIDER_unload(provider->real);
    OSSL_LIB_CTX_free(provider->inner);
    memset(provider, 0, sizeof *provider);
}
