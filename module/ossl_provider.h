/*
 * ossl_provider.h: OpenSSL's default provider in a library context of its own, its key types under
 * names that no engine answers to.
 *
 * OpenSSL 3 asks the process's engines before any provider, whatever the library context, when it
 * knows the name of a key type from its legacy tables. A host that has made an engine its default
 * (the openssl command with -engine, or a configuration file) would then get this module's keys
 * into its hands, and be called back by it: with the pkcs11 engine nothing works at all. An object
 * identifier is a name that the legacy tables do not have. So the key types are offered under
 * theirs first.
 */
#ifndef OSSL_PROVIDER_H
#define OSSL_PROVIDER_H
#include <openssl/provider.h>
#include "cryptoki.h"

struct ossl_provider {
    OSSL_LIB_CTX *inner;         /* the default provider lives here */
    OSSL_PROVIDER *real;
    OSSL_LIB_CTX *libctx;        /* what everybody uses */
    OSSL_PROVIDER *renamed;
};

/* Zeroed before; one at a time in a process. A failure leaves nothing to undo. */
CK_RV ossl_provider_init(struct ossl_provider *provider);
void ossl_provider_done(struct ossl_provider *provider);

/* The name to ask OpenSSL for a key type by ("RSA", "EC", "ED25519", ...). */
const char *ossl_key_type(const char *type);
#endif
