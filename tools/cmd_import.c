/* cmd_import.c: keys from elsewhere into the vault, always wrapped; and keys wrapped for the way out. */
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "key_file.h"
#include "key_kind.h"
#include "object.h"
#include "output.h"

static CK_BBOOL yes = CK_TRUE;
static CK_BBOOL no = CK_FALSE;

#define WRAPPING_KEY_BITS 3072UL

/* ------------------------------------------------------------------ mechanisms */

static CK_RSA_PKCS_OAEP_PARAMS oaep_sha256 = {CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED,
                                              NULL, 0};
static CK_RSA_AES_KEY_WRAP_PARAMS rsa_aes_256 = {256, &oaep_sha256};

static struct wrap_mechanism {
    const char *name; /* as in --mechanism */
    CK_MECHANISM mechanism;
    CK_OBJECT_CLASS wrapping_class;   /* of the key that wraps */
    CK_OBJECT_CLASS unwrapping_class; /* of the key that unwraps */
    CK_KEY_TYPE type;
} wrap_mechanisms[] = {
    {"rsa-aes", {CKM_RSA_AES_KEY_WRAP, &rsa_aes_256, sizeof(rsa_aes_256)}, CKO_PUBLIC_KEY,
     CKO_PRIVATE_KEY, CKK_RSA},
    {"rsa-oaep", {CKM_RSA_PKCS_OAEP, &oaep_sha256, sizeof(oaep_sha256)}, CKO_PUBLIC_KEY,
     CKO_PRIVATE_KEY, CKK_RSA},
    {"aes-kw", {CKM_AES_KEY_WRAP, NULL, 0}, CKO_SECRET_KEY, CKO_SECRET_KEY, CKK_AES},
    {"aes-kwp", {CKM_AES_KEY_WRAP_KWP, NULL, 0}, CKO_SECRET_KEY, CKO_SECRET_KEY, CKK_AES},
};

static enum outcome mechanism_option(struct run *run, struct wrap_mechanism **ret_mechanism)
{
    const char *name = run_option(run, OPT_MECHANISM);

    for (size_t i = 0; i < COUNT_OF(wrap_mechanisms); i++) {
        if (strcmp(wrap_mechanisms[i].name, name == NULL ? "rsa-aes" : name) == 0) {
            *ret_mechanism = &wrap_mechanisms[i];
            return OUTCOME_OK;
        }
    }
    return run_usage(run, "--mechanism takes rsa-aes, rsa-oaep, aes-kw or aes-kwp");
}

/* The key called `name` that may wrap (or unwrap) by the mechanism. */
static enum outcome wrapping_key_find(struct run *run, const char *name, bool unwrap,
                                      struct wrap_mechanism *mechanism,
                                      CK_OBJECT_HANDLE *ret_handle)
{
    CK_ATTRIBUTE attrs[] = {
        {CKA_CLASS, unwrap ? &mechanism->unwrapping_class : &mechanism->wrapping_class,
         sizeof(CK_OBJECT_CLASS)},
        {CKA_KEY_TYPE, &mechanism->type, sizeof(mechanism->type)},
        {unwrap ? CKA_UNWRAP : CKA_WRAP, &yes, sizeof(yes)},
    };
    enum outcome outcome = object_select(&run->client, name, attrs, COUNT_OF(attrs), ret_handle);

    if (strcmp(run->client.failure.code, "OBJECT_NOT_FOUND") == 0)
        failure_hint(&run->client.failure, "it must be %s key that may %s; --make-wrapping-key "
                     "makes an RSA one", mechanism->type == CKK_RSA ? "an RSA" : "an AES",
                     unwrap ? "unwrap" : "wrap");
    return outcome;
}

/* ------------------------------------------------------------------ the wrapping key */

/* A pair that can do nothing but wrap and unwrap, and whose private half never leaves. */
static enum outcome wrapping_key_make(struct run *run, const char *label)
{
    struct client *client = &run->client;
    CK_MECHANISM mechanism = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
    CK_ULONG bits = WRAPPING_KEY_BITS;
    CK_BYTE exponent[] = {1, 0, 1};
    void *text = (void *)(uintptr_t)label;
    CK_BYTE id[8];
    CK_ATTRIBUTE public_attrs[] = {
        {CKA_TOKEN, &yes, sizeof(yes)},
        {CKA_LABEL, text, strlen(label)},
        {CKA_ID, id, sizeof(id)},
        {CKA_MODULUS_BITS, &bits, sizeof(bits)},
        {CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent)},
        {CKA_WRAP, &yes, sizeof(yes)},
        {CKA_ENCRYPT, &no, sizeof(no)},
        {CKA_VERIFY, &no, sizeof(no)},
    };
    CK_ATTRIBUTE private_attrs[] = {
        {CKA_TOKEN, &yes, sizeof(yes)},       {CKA_PRIVATE, &yes, sizeof(yes)},
        {CKA_LABEL, text, strlen(label)},     {CKA_ID, id, sizeof(id)},
        {CKA_SENSITIVE, &yes, sizeof(yes)},   {CKA_EXTRACTABLE, &no, sizeof(no)},
        {CKA_UNWRAP, &yes, sizeof(yes)},      {CKA_DECRYPT, &no, sizeof(no)},
        {CKA_SIGN, &no, sizeof(no)},
    };
    CK_OBJECT_HANDLE public_handle = 0;
    CK_OBJECT_HANDLE private_handle = 0;
    enum outcome outcome = client_check(
        client, "C_GenerateRandom", client->f->C_GenerateRandom(client->session, id, sizeof(id)));

    if (outcome == OUTCOME_OK)
        outcome = client_check(
            client, "C_GenerateKeyPair",
            client->f->C_GenerateKeyPair(client->session, &mechanism, public_attrs,
                                         COUNT_OF(public_attrs), private_attrs,
                                         COUNT_OF(private_attrs), &public_handle,
                                         &private_handle));
    return outcome;
}

/* Makes it where none of that name may unwrap, so that the option can stay in a script. */
static enum outcome wrapping_key_ensure(struct run *run, const char *label)
{
    struct client *client = &run->client;
    CK_OBJECT_HANDLE handle = 0;
    enum outcome outcome = wrapping_key_find(run, label, true, &wrap_mechanisms[0], &handle);

    if (strcmp(client->failure.code, "OBJECT_NOT_FOUND") != 0)
        return outcome;
    client->failure = (struct failure){0};
    return wrapping_key_make(run, label);
}

/* The public half of an RSA key pair, from the numbers that either half shows. */
static enum outcome public_half(struct run *run, CK_OBJECT_HANDLE handle, EVP_PKEY **ret_key)
{
    AUTO(bytes) struct bytes modulus = {0};
    AUTO(bytes) struct bytes exponent = {0};
    enum outcome outcome = object_attribute(&run->client, handle, CKA_MODULUS, &modulus.data,
                                            &modulus.len);

    if (outcome == OUTCOME_OK)
        outcome = object_attribute(&run->client, handle, CKA_PUBLIC_EXPONENT, &exponent.data,
                                   &exponent.len);
    if (outcome != OUTCOME_OK)
        return outcome;
    *ret_key = key_rsa_public(&modulus, &exponent);
    return *ret_key != NULL ? OUTCOME_OK
                            : failure_set(&run->client.failure, OUTCOME_FAILED, "OPENSSL",
                                          "the wrapping key's public half is no RSA key");
}

static enum outcome wrapping_key(struct run *run)
{
    struct client *client = &run->client;
    const char *out = run_option(run, OPT_OUT);
    CK_OBJECT_HANDLE handle = 0;
    AUTO(pkey) EVP_PKEY *key = NULL;
    AUTO(bytes) struct bytes pem = {0};
    enum outcome outcome = OUTCOME_OK;

    if (out == NULL)
        return run_usage(run, "--out FILE is needed (\"-\" for standard output)");
    if (run_option(run, OPT_MAKE) != NULL)
        outcome = wrapping_key_ensure(run, run->args[0]);
    if (outcome == OUTCOME_OK)
        outcome = wrapping_key_find(run, run->args[0], true, &wrap_mechanisms[0], &handle);
    if (outcome == OUTCOME_OK)
        outcome = public_half(run, handle, &key);
    if (outcome == OUTCOME_OK)
        outcome = key_public_pem(key, &client->failure, &pem);
    if (outcome == OUTCOME_OK)
        outcome = file_write(out, &pem, true, &client->failure);
    if (outcome != OUTCOME_OK || strcmp(out, "-") == 0)
        return outcome;
    output_done(run->json, json_pack("{s:o,s:o}", "wrappingKey", object_describe(client, handle),
                                     "out", output_text(out)),
                "Wrote the public half of \"%s\" to %s.", run->args[0], out);
    return OUTCOME_OK;
}

/* ------------------------------------------------------------------ import */

struct import {
    const struct key_kind *kind;
    unsigned usage;
    struct wrap_mechanism *mechanism;
    CK_OBJECT_HANDLE wrapping_key;
    EVP_PKEY *key;         /* the key itself, when it is a pair in a file of ours */
    struct bytes wrapped;
    unsigned char id[256]; /* CKA_ID */
    size_t id_len;
    CK_OBJECT_HANDLE made, made_public;
};

static void import_auto(struct import *import)
{
    EVP_PKEY_free(import->key);
    bytes_auto(&import->wrapped);
}

static enum outcome import_options(struct run *run, struct import *import)
{
    const char *type = run_option(run, OPT_TYPE);
    const char *id = run_option(run, OPT_ID);
    const char *usage = run_option(run, OPT_USAGE);
    bool key = run_option(run, OPT_KEY) != NULL;
    bool wrapped = run_option(run, OPT_WRAPPED) != NULL;

    if (key == wrapped)
        return run_usage(run, "give either --key FILE or --wrapped FILE");
    if (key && run_option(run, OPT_MECHANISM) != NULL)
        return run_usage(run, "--mechanism goes with --wrapped; --key is always wrapped by "
                         "CKM_RSA_AES_KEY_WRAP");
    import->kind = type == NULL ? NULL : key_kind_named(type);
    if ((type != NULL && import->kind == NULL) || (wrapped && type == NULL))
        return run_usage(run, "--type takes rsa, ec, ed25519, ed448, x25519, x448, aes or "
                         "generic; --wrapped needs it");
    if (id != NULL && !hex_parse(strncmp(id, "0x", 2) == 0 ? id + 2 : id, import->id,
                                 sizeof(import->id), &import->id_len))
        return run_usage(run, "--id takes hexadecimal digits");
    if (usage != NULL && !key_usage_parse(usage, &import->usage))
        return run_usage(run, "--usage takes, with commas between: sign, verify, encrypt, "
                         "decrypt, wrap, unwrap, derive");
    return mechanism_option(run, &import->mechanism);
}

/* Reads --key: a private key as PKCS#8, or a secret key's bytes. */
static enum outcome import_read(struct run *run, struct import *import, struct bytes *ret_plain)
{
    const struct pin_source passphrase = {"passphrase of the key file",
                                          run_option(run, OPT_PASSPHRASE_FILE),
                                          "--passphrase-file", "REPRIEVE_PASSPHRASE"};
    const char *path = run_option(run, OPT_KEY);
    const struct key_kind *kind = NULL;
    enum outcome outcome = OUTCOME_OK;

    if (import->kind != NULL && import->kind->class == CKO_SECRET_KEY)
        return file_read(path, &run->client.failure, ret_plain);
    outcome = key_read(path, &passphrase, &run->client.failure, &import->key);
    if (outcome != OUTCOME_OK)
        return outcome;
    kind = key_kind_ossl(EVP_PKEY_get0_type_name(import->key));
    if (kind == NULL || (import->kind != NULL && import->kind != kind))
        return failure_set(&run->client.failure, OUTCOME_FAILED, "KEY_TYPE",
                           "%s holds a key of type %s, %s", path,
                           EVP_PKEY_get0_type_name(import->key),
                           kind == NULL ? "which cannot be brought in" : "not of that type");
    import->kind = kind;
    return key_pkcs8(import->key, &run->client.failure, ret_plain);
}

static enum outcome import_wrap(struct run *run, struct import *import)
{
    AUTO(bytes) struct bytes plain = {0};
    AUTO(pkey) EVP_PKEY *wrapping_key_public = NULL;
    enum outcome outcome = import_read(run, import, &plain);

    if (outcome == OUTCOME_OK)
        outcome = public_half(run, import->wrapping_key, &wrapping_key_public);
    if (outcome == OUTCOME_OK)
        outcome = key_wrap_rsa_aes(wrapping_key_public, &plain, &run->client.failure,
                                   &import->wrapped);
    return outcome;
}

static enum outcome import_unwrap(struct run *run, struct import *import)
{
    struct client *client = &run->client;
    const char *label = run_option(run, OPT_LABEL);
    CK_OBJECT_CLASS class = import->kind->class;
    CK_KEY_TYPE type = import->kind->type;
    CK_ATTRIBUTE attrs[8 + KEY_USAGE_MAX] = {
        {CKA_CLASS, &class, sizeof(class)},
        {CKA_KEY_TYPE, &type, sizeof(type)},
        {CKA_TOKEN, &yes, sizeof(yes)},
        {CKA_PRIVATE, &yes, sizeof(yes)},
        {CKA_SENSITIVE, &yes, sizeof(yes)},
        {CKA_EXTRACTABLE, run_option(run, OPT_EXTRACTABLE) != NULL ? &yes : &no, sizeof(yes)},
    };
    CK_ULONG n = 6;

    if (label != NULL)
        attrs[n++] = (CK_ATTRIBUTE){CKA_LABEL, (void *)(uintptr_t)label, strlen(label)};
    if (import->id_len > 0)
        attrs[n++] = (CK_ATTRIBUTE){CKA_ID, import->id, import->id_len};
    n += key_usage_attributes(class, import->usage, attrs + n);
    return client_check(client, "C_UnwrapKey",
                        client->f->C_UnwrapKey(client->session, &import->mechanism->mechanism,
                                               import->wrapping_key, import->wrapped.data,
                                               import->wrapped.len, attrs, n, &import->made));
}

/* A key wrapped elsewhere: the vault may know its public half. */
static void public_from_vault(struct run *run, struct import *import)
{
    struct failure kept = run->client.failure;
    AUTO(bytes) struct bytes info = {0};
    const unsigned char *data = NULL;

    if (object_attribute(&run->client, import->made, CKA_PUBLIC_KEY_INFO, &info.data,
                         &info.len) == OUTCOME_OK && info.len > 0) {
        data = info.data;
        import->key = d2i_PUBKEY(NULL, &data, (long)info.len);
    }
    run->client.failure = kept;
}

static enum outcome import_public(struct run *run, struct import *import,
                                  const struct public_key *public_key)
{
    struct client *client = &run->client;
    const char *label = run_option(run, OPT_LABEL);
    CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
    CK_KEY_TYPE type = public_key->type;
    CK_ATTRIBUTE attrs[8 + KEY_USAGE_MAX] = {
        {CKA_CLASS, &class, sizeof(class)},
        {CKA_KEY_TYPE, &type, sizeof(type)},
        {CKA_TOKEN, &yes, sizeof(yes)},
        public_key->attrs[0],
        public_key->attrs[1],
    };
    CK_ULONG n = 5;

    if (label != NULL)
        attrs[n++] = (CK_ATTRIBUTE){CKA_LABEL, (void *)(uintptr_t)label, strlen(label)};
    if (import->id_len > 0)
        attrs[n++] = (CK_ATTRIBUTE){CKA_ID, import->id, import->id_len};
    n += key_usage_attributes(class, import->usage, attrs + n);
    return client_check(client, "C_CreateObject, for the public half (the private half is in)",
                        client->f->C_CreateObject(client->session, attrs, n,
                                                  &import->made_public));
}

static enum outcome import_both(struct run *run, struct import *import)
{
    AUTO(public_key) struct public_key public_key = {0};
    bool pair = import->kind->class == CKO_PRIVATE_KEY;
    enum outcome outcome = OUTCOME_OK;

    if (pair && import->key != NULL)
        outcome = key_public_attributes(import->key, &run->client.failure, &public_key);
    if (outcome == OUTCOME_OK && pair && import->key != NULL && import->id_len == 0) {
        memcpy(import->id, public_key.id, sizeof(public_key.id));
        import->id_len = sizeof(public_key.id);
    }
    if (outcome == OUTCOME_OK)
        outcome = import_unwrap(run, import);
    if (outcome != OUTCOME_OK || !pair || run_option(run, OPT_NO_PUBLIC) != NULL)
        return outcome;
    if (import->key == NULL) {
        public_from_vault(run, import);
        if (import->key != NULL)
            outcome = key_public_attributes(import->key, &run->client.failure, &public_key);
    }
    if (outcome == OUTCOME_OK && import->key != NULL)
        outcome = import_public(run, import, &public_key);
    return outcome;
}

static enum outcome import_report(struct run *run, const struct import *import)
{
    json_t *object = object_describe(&run->client, import->made);
    json_t *document = json_object();
    char name[400];

    object_name(object, name, sizeof(name));
    json_object_set_new(document, "imported", object);
    if (import->made_public != 0)
        json_object_set_new(document, "public", object_describe(&run->client,
                                                                import->made_public));
    output_done(run->json, document, "Imported %s%s.", name,
                import->made_public != 0 ? " and its public half" : "");
    return OUTCOME_OK;
}

static enum outcome import(struct run *run)
{
    AUTO(import) struct import import = {0};
    const char *wrapped = run_option(run, OPT_WRAPPED);
    const char *label = run_option(run, OPT_WRAPPING_KEY);
    bool make = run_option(run, OPT_MAKE) != NULL;
    enum outcome outcome = import_options(run, &import);

    if (outcome == OUTCOME_OK && label == NULL && !make)
        return run_usage(run, "--wrapping-key NAME is needed; with --make-wrapping-key it is made");
    label = label == NULL ? "wrapping key" : label;
    if (outcome == OUTCOME_OK && make)
        outcome = wrapping_key_ensure(run, label);
    if (outcome == OUTCOME_OK)
        outcome = wrapping_key_find(run, label, true, import.mechanism, &import.wrapping_key);
    if (outcome == OUTCOME_OK)
        outcome = wrapped != NULL ? file_read(wrapped, &run->client.failure, &import.wrapped)
                                  : import_wrap(run, &import);
    if (outcome != OUTCOME_OK)
        return outcome;
    if (run_option(run, OPT_USAGE) == NULL)
        import.usage = import.kind->usage;
    outcome = import_both(run, &import);
    return outcome == OUTCOME_OK ? import_report(run, &import) : outcome;
}

/* ------------------------------------------------------------------ wrap */

/* The key to wrap: secret or private, whichever has the name. */
static enum outcome wrap_target(struct run *run, CK_OBJECT_HANDLE *ret_handle)
{
    static CK_OBJECT_CLASS classes[] = {CKO_SECRET_KEY, CKO_PRIVATE_KEY};
    struct client *client = &run->client;
    enum outcome outcome = OUTCOME_NOT_FOUND;

    for (size_t i = 0; i < COUNT_OF(classes) && outcome == OUTCOME_NOT_FOUND &&
                       client->failure.candidates == NULL; i++) {
        CK_ATTRIBUTE attr = {CKA_CLASS, &classes[i], sizeof(classes[i])};

        outcome = object_select(client, run->args[0], &attr, 1, ret_handle);
    }
    return outcome;
}

static enum outcome wrap_call(struct client *client, struct wrap_mechanism *mechanism,
                              CK_OBJECT_HANDLE wrapping_handle, CK_OBJECT_HANDLE target,
                              struct bytes *ret_wrapped)
{
    CK_ULONG len = 0;
    CK_RV rv = client->f->C_WrapKey(client->session, &mechanism->mechanism, wrapping_handle,
                                    target, NULL, &len);

    if (rv == CKR_OK) {
        ret_wrapped->data = calloc(1, len + 1);
        if (ret_wrapped->data == NULL)
            return failure_set(&client->failure, OUTCOME_FAILED, "MEMORY", "out of memory");
        rv = client->f->C_WrapKey(client->session, &mechanism->mechanism, wrapping_handle, target,
                                  ret_wrapped->data, &len);
        ret_wrapped->len = len;
    }
    return client_check(client, "C_WrapKey", rv);
}

static enum outcome wrap(struct run *run)
{
    const char *out = run_option(run, OPT_OUT);
    const char *label = run_option(run, OPT_WRAPPING_KEY);
    struct wrap_mechanism *mechanism = NULL;
    CK_OBJECT_HANDLE wrapping_handle = 0;
    CK_OBJECT_HANDLE target = 0;
    AUTO(bytes) struct bytes wrapped = {0};
    enum outcome outcome = mechanism_option(run, &mechanism);

    if (outcome == OUTCOME_OK && (out == NULL || label == NULL))
        return run_usage(run, "--wrapping-key NAME and --out FILE are needed");
    if (outcome == OUTCOME_OK)
        outcome = wrap_target(run, &target);
    if (outcome == OUTCOME_OK)
        outcome = wrapping_key_find(run, label, false, mechanism, &wrapping_handle);
    if (outcome == OUTCOME_OK)
        outcome = wrap_call(&run->client, mechanism, wrapping_handle, target, &wrapped);
    if (outcome == OUTCOME_OK)
        outcome = file_write(out, &wrapped, false, &run->client.failure);
    if (outcome != OUTCOME_OK || strcmp(out, "-") == 0)
        return outcome;
    output_done(run->json,
                json_pack("{s:o,s:o,s:I}", "wrapped", object_describe(&run->client, target),
                          "out", output_text(out), "bytes", (json_int_t)wrapped.len),
                "Wrapped \"%s\" under \"%s\" into %s, %zu bytes.", run->args[0], label, out,
                wrapped.len);
    return OUTCOME_OK;
}

/* ------------------------------------------------------------------ the rows */

#define OPTION_WRAPPING_KEY                                                                        \
    {"wrapping-key", OPT_WRAPPING_KEY, "NAME", 0, "The vault's key that (un)wraps: label, unique " \
     "id or id=HEX", 0}
#define OPTION_MECHANISM(what)                                                                     \
    {"mechanism", OPT_MECHANISM, "NAME", 0, what "rsa-aes (CKM_RSA_AES_KEY_WRAP, OAEP with "       \
     "SHA-256; unless told otherwise), rsa-oaep (SHA-256), aes-kw (RFC 3394), aes-kwp (RFC 5649)", \
     0}
#define OPTION_MAKE                                                                                \
    {"make-wrapping-key", OPT_MAKE, NULL, 0, "Make that key, an RSA pair for nothing but "         \
     "wrapping, when it is not there", 0}

static const struct argp_option import_options_rows[] = {
    {"key", OPT_KEY, "FILE", 0, "The key: a private key in PEM or DER, or with --type aes or "
     "generic a secret key's bytes", 0},
    {"wrapped", OPT_WRAPPED, "FILE", 0, "A key that was wrapped elsewhere; needs --type", 0},
    OPTION_MECHANISM("How --wrapped was wrapped: "),
    OPTION_WRAPPING_KEY,
    OPTION_MAKE,
    {"type", OPT_TYPE, "TYPE", 0, "rsa, ec, ed25519, ed448, x25519, x448, aes or generic", 0},
    {"secret", OPT_TYPE, "TYPE", OPTION_ALIAS, NULL, 0},
    {"label", OPT_LABEL, "TEXT", 0, "Its label in the vault", 0},
    {"id", OPT_ID, "HEX", 0, "Its id; else, for a pair, the SHA-1 of the public key", 0},
    {"usage", OPT_USAGE, "LIST", 0, "What it may do: of sign, verify, encrypt, decrypt, wrap, "
     "unwrap, derive. Else what suits its type", 0},
    {"extractable", OPT_EXTRACTABLE, NULL, 0, "Let it be wrapped out of the vault again", 0},
    {"no-public", OPT_NO_PUBLIC, NULL, 0, "Do not store the public half of a pair too", 0},
    {"passphrase-file", OPT_PASSPHRASE_FILE, "FILE", 0, "Read the key file's passphrase from "
     "FILE; else from REPRIEVE_PASSPHRASE, else it is asked for", 0},
    OPTION_END,
};
static const struct argp_option wrap_options[] = {
    OPTION_MECHANISM(""),
    OPTION_WRAPPING_KEY,
    {"out", OPT_OUT, "FILE", 0, "Where to write it (\"-\": standard output)", 0},
    OPTION_END,
};
static const struct argp_option wrapping_key_options[] = {
    {"out", OPT_OUT, "FILE", 0, "Where to write the PEM (\"-\": standard output)", 0},
    OPTION_MAKE,
    OPTION_END,
};

const struct command import_commands[] = {
    {"import", "--key FILE", "Brings a key into the vault, wrapped",
     "The key is wrapped in this process under an RSA key of the vault by CKM_RSA_AES_KEY_WRAP and "
     "unwrapped inside the vault, so that it never passes the PKCS#11 interface in the clear. "
     "It is sensitive, and stays in the vault unless --extractable.",
     import_options_rows, 0, 0, NEED_VAULT | NEED_LOGIN | NEED_WRITE, import},
    {"wrap", "KEY", "Wraps a key of the vault into a file",
     "KEY must be extractable. reprieve import --wrapped brings it back.", wrap_options, 1, 1,
     NEED_VAULT | NEED_LOGIN, wrap},
    {"wrapping-key", "NAME", "Writes the public half of a wrapping key",
     "With it a key can be wrapped on another machine, by openssl; see reprieve(1).",
     wrapping_key_options, 1, 1, NEED_VAULT | NEED_LOGIN | NEED_WRITE, wrapping_key},
    {0},
};
