/*
 * The vectors' runner: Wycheproof's files through the C_ functions of the loaded module. A row of
 * vector_families says which file, which mechanism and which functions; the runner does the rest.
 */
#ifndef VECTORS_H
#define VECTORS_H

#include <jansson.h>

#include "harness.h"

/* A value from a file, or room for a result. Freed by its cleanup attribute. */
struct bytes {
    CK_BYTE *p; /* never NULL */
    CK_ULONG n;
};
struct bytes bytes_room(size_t n);
void bytes_done(struct bytes *b);
bool bytes_equal(struct bytes a, struct bytes b);
#define BYTES __attribute__((cleanup(bytes_done))) struct bytes

enum outcome {
    ACCEPTED, /* the module took the input and gave the expected output */
    REFUSED,  /* the module refused; vector_run.rv says how */
    WRONG,    /* accepted with another output, or the two directions disagree */
    NOT_RUN   /* the module lacks a mechanism that this one test needs */
};

struct hash_row {
    const char *name; /* as the files spell it */
    CK_MECHANISM_TYPE digest;
    CK_RSA_PKCS_MGF_TYPE mgf;
    CK_MECHANISM_TYPE rsa_pkcs;
    CK_MECHANISM_TYPE rsa_pss;
    const char *ossl_name;
};

struct vector_run {
    struct harness *h;
    CK_SESSION_HANDLE session;
    const struct vector_family *family;
    json_t *group;
    json_t *test;
    CK_OBJECT_HANDLE key; /* what the row's group function made for this group */
    CK_RV rv;             /* why it was refused */
    const char *step;     /* what was being done */
};

struct vector_family {
    const char *file;
    CK_MECHANISM_TYPE mech;
    const char *mech_name;
    CK_FLAGS flags;                             /* what C_GetMechanismInfo must show */
    CK_MECHANISM_TYPE general;                  /* the form with another output length */
    CK_ULONG whole;                             /* the output length of the plain form, bytes */
    CK_KEY_TYPE key_type;
    CK_RV (*group)(struct vector_run *run);     /* makes run->key, or NULL */
    enum outcome (*test)(struct vector_run *run); /* NULL: nothing written for it yet */
};

extern const struct vector_family vector_families[];
extern const size_t vector_family_count;

/* The field of the test, else of its group: hex, an integer, text. A lacking one is empty or 0. */
struct bytes field_hex(const struct vector_run *run, const char *name);
/* The same as an unsigned integer: no leading zero bytes, at least `width` bytes. */
struct bytes field_integer(json_t *object, const char *name, size_t width);
CK_ULONG field_number(const struct vector_run *run, const char *name);
const char *field_text(const struct vector_run *run, const char *name);
bool test_is_valid(const struct vector_run *run);
const struct hash_row *field_hash(const struct vector_run *run, const char *name);

/* Notes the refusal; always returns REFUSED, so that a test can end with it. */
enum outcome run_refused(struct vector_run *run, const char *step, CK_RV rv);
enum outcome run_wrong(struct vector_run *run, const char *step);

/* A session object from a template; on failure *ret_key is CK_INVALID_HANDLE. */
CK_RV key_create(struct vector_run *run, CK_ATTRIBUTE *attrs, CK_ULONG count,
                 CK_OBJECT_HANDLE *ret_key);
/* A session key of this type with this value and every use. */
CK_RV key_secret(struct vector_run *run, CK_KEY_TYPE type, struct bytes value,
                 CK_OBJECT_HANDLE *ret_key);
void key_destroy(struct vector_run *run, CK_OBJECT_HANDLE key);
/* CKA_VALUE of a key. */
CK_RV key_value(struct vector_run *run, CK_OBJECT_HANDLE key, struct bytes *ret_value);

/* The functions the rows name. */
CK_RV rsa_public_group(struct vector_run *run);
CK_RV rsa_private_group(struct vector_run *run);
CK_RV ec_public_group(struct vector_run *run);
CK_RV ed_public_group(struct vector_run *run);
enum outcome cbc_pad_test(struct vector_run *run);
enum outcome gcm_test(struct vector_run *run);
enum outcome ccm_test(struct vector_run *run);
enum outcome mac_test(struct vector_run *run);
enum outcome wrap_test(struct vector_run *run);
enum outcome ecdh_test(struct vector_run *run);
enum outcome xdh_test(struct vector_run *run);
enum outcome oaep_test(struct vector_run *run);
enum outcome ecdsa_hashed_test(struct vector_run *run);
enum outcome verify_test(struct vector_run *run);
enum outcome rsa_pkcs1_test(struct vector_run *run);
enum outcome rsa_pss_test(struct vector_run *run);
enum outcome rsa_sign_test(struct vector_run *run);

#endif
