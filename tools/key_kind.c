#include "key_kind.h"

#include <string.h>

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

enum usage {
    USE_SIGN = 1,
    USE_VERIFY = 2,
    USE_ENCRYPT = 4,
    USE_DECRYPT = 8,
    USE_WRAP = 16,
    USE_UNWRAP = 32,
    USE_DERIVE = 64,
};

enum bearer { ON_SECRET = 1, ON_PRIVATE = 2, ON_PUBLIC = 4 };

/* peer: the usage of the private half that this one of the public half belongs to */
static const struct {
    const char *word;
    enum usage usage;
    CK_ATTRIBUTE_TYPE attribute;
    unsigned bearers;
    unsigned peer;
} usages[] = {
    {"sign", USE_SIGN, CKA_SIGN, ON_SECRET | ON_PRIVATE, 0},
    {"verify", USE_VERIFY, CKA_VERIFY, ON_SECRET | ON_PUBLIC, USE_SIGN},
    {"encrypt", USE_ENCRYPT, CKA_ENCRYPT, ON_SECRET | ON_PUBLIC, USE_DECRYPT},
    {"decrypt", USE_DECRYPT, CKA_DECRYPT, ON_SECRET | ON_PRIVATE, 0},
    {"wrap", USE_WRAP, CKA_WRAP, ON_SECRET | ON_PUBLIC, USE_UNWRAP},
    {"unwrap", USE_UNWRAP, CKA_UNWRAP, ON_SECRET | ON_PRIVATE, 0},
    {"derive", USE_DERIVE, CKA_DERIVE, ON_SECRET | ON_PRIVATE, 0},
};

static const struct key_kind kinds[] = {
    {"rsa", "RSA", CKO_PRIVATE_KEY, CKK_RSA, USE_SIGN | USE_DECRYPT},
    {"ec", "EC", CKO_PRIVATE_KEY, CKK_EC, USE_SIGN},
    {"ed25519", "ED25519", CKO_PRIVATE_KEY, CKK_EC_EDWARDS, USE_SIGN},
    {"ed448", "ED448", CKO_PRIVATE_KEY, CKK_EC_EDWARDS, USE_SIGN},
    {"x25519", "X25519", CKO_PRIVATE_KEY, CKK_EC_MONTGOMERY, USE_DERIVE},
    {"x448", "X448", CKO_PRIVATE_KEY, CKK_EC_MONTGOMERY, USE_DERIVE},
    {"aes", NULL, CKO_SECRET_KEY, CKK_AES, USE_ENCRYPT | USE_DECRYPT},
    {"generic", NULL, CKO_SECRET_KEY, CKK_GENERIC_SECRET, USE_SIGN | USE_VERIFY},
};

const struct key_kind *key_kind_named(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

const struct key_kind *key_kind_ossl(const char *ossl)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (kinds[i].ossl != NULL && strcmp(kinds[i].ossl, ossl) == 0)
            return &kinds[i];
    return NULL;
}

bool key_usage_parse(const char *words, unsigned *ret_usage)
{
    unsigned usage = 0;

    while (*words != '\0') {
        size_t len = strcspn(words, ",");
        size_t i = 0;

        while (i < COUNT_OF(usages) && (strlen(usages[i].word) != len ||
                                        memcmp(usages[i].word, words, len) != 0))
            i++;
        if (i == COUNT_OF(usages))
            return false;
        usage |= usages[i].usage;
        words += len + (words[len] == ',');
    }
    *ret_usage = usage;
    return true;
}

CK_ULONG key_usage_attributes(CK_OBJECT_CLASS class, unsigned usage, CK_ATTRIBUTE *attrs)
{
    static CK_BBOOL yes = CK_TRUE;
    static CK_BBOOL no = CK_FALSE;
    unsigned bearer = class == CKO_SECRET_KEY    ? ON_SECRET
                      : class == CKO_PRIVATE_KEY ? ON_PRIVATE
                                                 : ON_PUBLIC;
    CK_ULONG n = 0;

    for (size_t i = 0; i < COUNT_OF(usages); i++) {
        unsigned asked = bearer == ON_PUBLIC ? usages[i].peer : (unsigned)usages[i].usage;

        if ((usages[i].bearers & bearer) != 0)
            attrs[n++] = (CK_ATTRIBUTE){usages[i].attribute, (usage & asked) != 0 ? &yes : &no,
                                        sizeof(CK_BBOOL)};
    }
    return n;
}
