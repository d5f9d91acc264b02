/* unit_backup.c: blobs: what goes in comes out, and nothing else does. */
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_fixture.h"
#include "vaultstore/envelope.h"
#include "vaultstore/shamir.h"

/* ------------------------------------------------------------------ shares */

static void field_has_inverses(void **state)
{
    (void)state;
    for (unsigned a = 1; a < 256; a++)
        assert_int_equal(gf256_mul((uint8_t)a, gf256_inverse((uint8_t)a)), 1);
    assert_int_equal(gf256_mul(0x57, 0x83), 0xc1);    /* FIPS 197, 4.2 */
    assert_int_equal(gf256_mul(0x57, 0x13), 0xfe);
}

static void any_three_of_five(void **state)
{
    struct sealer *sealer;
    uint8_t secret[32], joined[32], shares[5][SHAMIR_SHARE], some[3][SHAMIR_SHARE];

    (void)state;
    assert_ok(sealer_new(&sealer));
    assert_ok(seal_random(sealer, secret, sizeof(secret)));
    assert_ok(shamir_split(sealer, secret, 3, 5, shares));
    for (size_t a = 0; a < 5; a++)
        for (size_t b = a + 1; b < 5; b++)
            for (size_t c = b + 1; c < 5; c++) {
                memcpy(some[0], shares[c], SHAMIR_SHARE);
                memcpy(some[1], shares[a], SHAMIR_SHARE);
                memcpy(some[2], shares[b], SHAMIR_SHARE);
                assert_ok(shamir_join((const uint8_t(*)[SHAMIR_SHARE])some, 3, joined));
                assert_memory_equal(joined, secret, 32);
                assert_ok(shamir_join((const uint8_t(*)[SHAMIR_SHARE])some, 2, joined));
                assert_memory_not_equal(joined, secret, 32);
            }
    memcpy(some[1], some[0], SHAMIR_SHARE);
    assert_status(shamir_join((const uint8_t(*)[SHAMIR_SHARE])some, 3, joined), VS_POLICY);
    assert_status(shamir_split(sealer, secret, 6, 5, shares), VS_POLICY);
    assert_status(shamir_split(sealer, secret, 0, 5, shares), VS_POLICY);
    assert_ok(shamir_split(sealer, secret, 1, 2, shares));
    assert_memory_equal(shares[1] + 1, secret, 32);
    sealer_free(sealer);
}

/* ------------------------------------------------------------------ keys outside */

struct outside { char public[4096], private[8192]; };

static void outside_make(EVP_PKEY *pkey, struct outside *outside)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n;

    assert_non_null(pkey);
    assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
    n = BIO_read(bio, outside->public, sizeof(outside->public) - 1);
    outside->public[n] = '\0';
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    n = BIO_read(bio, outside->private, sizeof(outside->private) - 1);
    outside->private[n] = '\0';
    BIO_free(bio);
    EVP_PKEY_free(pkey);
}

static void outside_ec(struct outside *outside)
{
    outside_make(EVP_EC_gen("P-256"), outside);
}

static struct vs_blob_key blob_key(const char *pem)
{
    return (struct vs_blob_key){(const uint8_t *)pem, strlen(pem)};
}

static void envelopes_open(void **state)
{
    static const uint8_t secret[33] = "thirty-three bytes of a share....";
    static uint8_t sealed[ENVELOPE_MAX], opened[33];
    struct outside outside[5];
    struct sealer *sealer;

    (void)state;
    outside_make(EVP_RSA_gen(2048), &outside[0]);
    outside_ec(&outside[1]);
    outside_make(EVP_EC_gen("P-521"), &outside[2]);
    outside_make(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), &outside[3]);
    outside_make(EVP_PKEY_Q_keygen(NULL, NULL, "X448"), &outside[4]);
    assert_ok(sealer_new(&sealer));
    for (size_t i = 0; i < 5; i++) {
        struct envelope_key to, with;
        size_t len;

        assert_ok(envelope_key_read(sealer, (const uint8_t *)outside[i].public,
                                    strlen(outside[i].public), false, &to));
        assert_ok(envelope_key_read(sealer, (const uint8_t *)outside[i].private,
                                    strlen(outside[i].private), true, &with));
        assert_memory_equal(to.fingerprint, with.fingerprint, sizeof(to.fingerprint));
        assert_ok(envelope_seal(sealer, &to, secret, sizeof(secret), sealed, &len));
        assert_ok(envelope_open(sealer, &with, sealed, len, opened, sizeof(opened)));
        assert_memory_equal(opened, secret, sizeof(secret));
        sealed[len - 1] ^= 1;
        assert_status(envelope_open(sealer, &with, sealed, len, opened, sizeof(opened)),
                      VS_E_CORRUPT);
        envelope_key_done(&to);
        envelope_key_done(&with);
    }
    sealer_free(sealer);
}

static void weak_keys_are_refused(void **state)
{
    struct outside outside;
    struct envelope_key key;
    struct sealer *sealer;

    (void)state;
    assert_ok(sealer_new(&sealer));
    outside_make(EVP_RSA_gen(1024), &outside);
    assert_status(envelope_key_read(sealer, (const uint8_t *)outside.public,
                                    strlen(outside.public), false, &key), VS_POLICY);
    outside_make(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), &outside);
    assert_status(envelope_key_read(sealer, (const uint8_t *)outside.public,
                                    strlen(outside.public), false, &key), VS_POLICY);
    assert_status(envelope_key_read(sealer, (const uint8_t *)"no key", 6, false, &key), VS_POLICY);
    sealer_free(sealer);
}

/* ------------------------------------------------------------------ blobs */

static int blob_make(struct fixture *f, const struct vs_backup *ask, uint64_t *ret_n)
{
    struct vs_backup backup = *ask;
    char path[128];
    bool marked;
    int status;

    snprintf(path, sizeof(path), "%s/blob", f->dir);
    backup.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(backup.fd >= 0);
    status = vs_backup(f->store, 0, f->user, &backup, ret_n, &marked);
    assert_true(status != VS_OK || marked);
    close(backup.fd);
    return status;
}

static int blob_fd(struct fixture *f, int flags)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/blob", f->dir);
    fd = open(path, flags | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

struct tally { size_t n[64]; };

static int tally_tell(void *ctx, const struct vs_progress *progress)
{
    struct tally *tally = ctx;

    if (tally != NULL && progress->done == 0 && progress->status >= 0)
        tally->n[progress->status]++;
    return 0;
}

/* To these tests the attributes are the label. */
static int adopt(void *ctx, const struct vs_header *header, bool authentic, const uint8_t *attrs,
                 size_t len, const uint8_t *former, size_t former_len,
                 struct vs_adopted *ret_adopted)
{
    (void)ctx;
    (void)header;
    (void)authentic;
    (void)former;
    (void)former_len;
    ret_adopted->attrs = attrs;
    ret_adopted->attrs_len = len;
    ret_adopted->terms[0] = (struct vs_term){0, (const uint8_t *)"key", 3};
    ret_adopted->terms[1] = (struct vs_term){1, attrs, len};
    ret_adopted->n_terms = 2;
    return VS_OK;
}

static int blob_restore(struct fixture *f, struct vs_login *login, struct fixture *from,
                        const struct vs_restore *ask, struct tally *tally, uint64_t *ret_n)
{
    struct vs_restore restore = *ask;
    int status;

    restore.fd = blob_fd(from, O_RDONLY);
    restore.adopt = adopt;
    restore.progress = tally_tell;
    restore.ctx = tally;
    if (tally != NULL)
        memset(tally, 0, sizeof(*tally));
    status = vs_restore(f->store, 0, login, &restore, ret_n);
    close(restore.fd);
    return status;
}

struct three { struct vs_id public, private, deleted; };

static struct three three_make(struct fixture *f)
{
    struct three three = {object_make(f, NULL, false, "public", "public"),
                          object_make(f, f->user, true, "private", "private"),
                          object_make(f, f->user, true, "deleted", "deleted")};

    assert_ok(vs_object_delete(f->store, 0, f->user, &three.deleted));
    return three;
}

static void own_vault_refuses_then_replaces(void **state)
{
    struct fixture *f = *state;
    struct three three = three_make(f);
    struct vs_header header;
    struct tally tally;
    uint64_t n = 0;

    assert_ok(blob_make(f, &(struct vs_backup){0}, &n));
    assert_int_equal(n, 3);
    assert_ok(vs_object_peek(f->store, 0, &three.private, &header));
    assert_true(header.backed_up);
    assert_int_equal(audit_count(f, "VaultBackup", VS_OK), 1);

    assert_status(blob_restore(f, f->user, f, &(struct vs_restore){0}, &tally, &n),
                  VS_WRONG_STATE);
    assert_int_equal(tally.n[VS_WRONG_STATE], 3);
    assert_int_equal(find_all(f, f->user, false), 2);

    /* what is live stays live, what was recovered since stays so */
    assert_ok(vs_object_recover(f->store, 0, f->user, &three.deleted));
    assert_ok(vs_object_delete(f->store, 0, f->user, &three.private));
    assert_ok(blob_restore(f, f->user, f, &(struct vs_restore){.replace = true}, &tally, &n));
    assert_int_equal(n, 3);
    assert_int_equal(find_all(f, f->user, false), 3);
    object_expect(f, f->user, &three.private, "private");
    assert_ok(vs_object_peek(f->store, 0, &three.private, &header));
    assert_int_equal(header.origin, VS_ORIGIN_RESTORED);
    audit_expect_whole(f);
}

static void replacing_never_brings_the_purge_nearer(void **state)
{
    struct fixture *f = *state;
    struct three three = three_make(f);
    struct vs_header before, after;
    uint64_t n;

    assert_ok(blob_make(f, &(struct vs_backup){0}, &n));
    assert_ok(vs_object_peek(f->store, 0, &three.deleted, &before));
    assert_ok(vs_object_postpone(f->store, 0, f->user, &three.deleted,
                                 before.purge_at + 10 * DAY));
    assert_ok(blob_restore(f, f->user, f, &(struct vs_restore){.replace = true}, NULL, &n));
    assert_ok(vs_object_peek(f->store, 0, &three.deleted, &after));
    assert_int_equal(after.purge_at, before.purge_at + 10 * DAY);
    assert_int_equal(after.state, VS_STATE_DELETED);
    fixture_pass(f, 95 * DAY);
    assert_ok(vs_sweep(f->store, 10, &(size_t){0}));
    assert_ok(vs_object_recover(f->store, 0, f->user, &three.deleted));
}

/* The promise, from the other side. */
static void purged_is_purged(void **state)
{
    struct fixture *f = *state;
    struct three three = three_make(f);
    struct tally tally;
    uint64_t n;
    size_t swept;

    assert_ok(blob_make(f, &(struct vs_backup){0}, &n));
    fixture_pass(f, 91 * DAY);
    /* past its date is purged, whether a sweep has run or not */
    assert_status(blob_restore(f, f->user, f, &(struct vs_restore){.replace = true}, &tally, &n),
                  VS_OK);
    assert_int_equal(tally.n[VS_NOT_FOUND], 1);
    assert_ok(vs_sweep(f->store, 10, &swept));
    assert_int_equal(swept, 1);
    assert_true(slot_wiped(f, &three.deleted));
    assert_ok(blob_restore(f, f->user, f, &(struct vs_restore){.replace = true}, &tally, &n));
    assert_int_equal(tally.n[VS_NOT_FOUND], 1);
    assert_int_equal(find_label(f, f->user, "deleted", false, NULL), 0);
    assert_int_equal(find_label(f, f->user, "deleted", true, NULL), 0);
}

static void initialised_vault_is_recovered_instead(void **state)
{
    struct fixture *f = *state;
    struct outside outside;
    struct vs_blob_key public, private;
    struct tally tally;
    uint64_t n;

    outside_ec(&outside);
    public = blob_key(outside.public);
    private = blob_key(outside.private);
    three_make(f);
    assert_ok(blob_make(f, &(struct vs_backup){.keys = &public, .n_keys = 1}, &n));
    vs_logout(f->so);
    vs_logout(f->user);
    f->so = f->user = NULL;
    vault_make(f, 0, NULL);
    fixture_login(f);
    assert_status(blob_restore(f, f->user, f,
                               &(struct vs_restore){.keys = &private, .n_keys = 1,
                                                    .replace = true},
                               &tally, &n),
                  VS_WRONG_STATE);
    assert_int_equal(tally.n[VS_WRONG_STATE], 3);
    /* and after that generation's purge, not even so */
    fixture_pass(f, 91 * DAY);
    assert_ok(vs_sweep(f->store, 10, &(size_t){0}));
    assert_ok(blob_restore(f, f->user, f,
                           &(struct vs_restore){.keys = &private, .n_keys = 1}, &tally, &n));
    assert_int_equal(n, 0);
    assert_int_equal(tally.n[VS_NOT_FOUND], 3);
}

/* Somebody is removed: a new vault key, and logins that know no other. */
static void vault_key_rotate(struct fixture *f, uint64_t times)
{
    assert_ok(vs_user_add(f->store, f->so, "leaver", (const uint8_t *)"leaver-pin", 10,
                          VS_VERBS_USER));
    assert_ok(vs_user_remove(f->store, f->so, "leaver"));
    assert_int_equal(audit_count(f, "VaultKeyRotated", VS_OK), times);
    vs_logout(f->so);
    vs_logout(f->user);
    f->so = f->user = NULL;
    fixture_login(f);
}

static void escrow_restores_elsewhere(void **state)
{
    struct fixture *f = *state, *other;
    struct three three = three_make(f);
    struct vs_blob_key public, private;
    struct outside outside;
    struct vs_header header;
    struct vs_health health;
    struct tally tally;
    uint64_t n = 0;
    size_t swept;
    void *second;

    outside_make(EVP_RSA_gen(2048), &outside);
    public = blob_key(outside.public);
    private = blob_key(outside.private);
    assert_ok(blob_make(f, &(struct vs_backup){.keys = &public, .n_keys = 1}, &n));
    assert_int_equal(fixture_vault(&second), 0);
    other = second;
    object_make(other, other->user, true, "resident", "resident");
    assert_status(blob_restore(other, other->user, f, &(struct vs_restore){0}, &tally, &n),
                  VS_POLICY);
    assert_status(blob_restore(other, other->so, f,
                               &(struct vs_restore){.keys = &private, .n_keys = 1}, &tally, &n),
                  VS_DENIED);
    assert_ok(blob_restore(other, other->user, f,
                           &(struct vs_restore){.keys = &private, .n_keys = 1, .dry_run = true},
                           &tally, &n));
    assert_int_equal(tally.n[VS_OK], 3);
    assert_int_equal(find_all(other, other->user, false), 1);
    assert_ok(blob_restore(other, other->user, f,
                           &(struct vs_restore){.keys = &private, .n_keys = 1}, &tally, &n));
    assert_int_equal(n, 3);
    object_expect(other, other->user, &three.private, "private");
    object_expect(other, NULL, &three.public, "public");
    assert_int_equal(find_label(other, other->user, "private", false, NULL), 1);
    assert_int_equal(find_label(other, other->user, "deleted", true, NULL), 1);
    assert_ok(vs_object_peek(other->store, 0, &three.deleted, &header));
    assert_int_equal(header.state, VS_STATE_DELETED);
    assert_ok(vs_object_recover(other->store, 0, other->user, &three.deleted));

    /* a new vault key there reaches them, too */
    vault_key_rotate(other, 1);
    object_expect(other, other->user, &three.private, "private");
    object_expect(other, other->user, &three.deleted, "deleted");

    /* the store is as sound as before */
    assert_ok(vs_store_health(other->store, &health));
    assert_int_equal(health.keyless + health.unreadable, 0);

    /* a purge there is one, too, and touches nobody else's slot */
    assert_ok(vs_object_delete(other->store, 0, other->user, &three.private));
    fixture_pass(other, 91 * DAY);
    assert_ok(vs_sweep(other->store, 10, &swept));
    assert_int_equal(swept, 1);
    object_expect(other, other->user, &three.deleted, "deleted");
    assert_int_equal(find_label(other, other->user, "resident", false, NULL), 1);
    assert_ok(blob_restore(other, other->user, f,
                           &(struct vs_restore){.keys = &private, .n_keys = 1, .replace = true},
                           &tally, &n));
    assert_status(vs_object_peek(other->store, 0, &three.private, &header), VS_NOT_FOUND);
    vault_key_rotate(other, 2);
    object_expect(other, other->user, &three.deleted, "deleted");

    /* nor does the purge of the generation that took them in leave anything */
    vs_logout(other->so);
    vs_logout(other->user);
    other->so = other->user = NULL;
    vault_make(other, 0, NULL);
    fixture_login(other);
    fixture_pass(other, 91 * DAY);
    assert_ok(vs_sweep(other->store, 10, &swept));
    assert_ok(blob_restore(other, other->user, f,
                           &(struct vs_restore){.keys = &private, .n_keys = 1}, &tally, &n));
    assert_int_equal(n, 0);
    audit_expect_whole(other);
    fixture_done(&second);
}

static void two_of_three(void **state)
{
    struct fixture *f = *state;
    struct outside outside[3];
    struct vs_blob_key public[3], private[3], same[2];
    struct vs_blob_info info;
    struct tally tally;
    uint64_t n;
    int fd;

    for (size_t i = 0; i < 3; i++) {
        outside_ec(&outside[i]);
        public[i] = blob_key(outside[i].public);
        private[i] = blob_key(outside[i].private);
    }
    three_make(f);
    assert_status(blob_make(f, &(struct vs_backup){.keys = public, .n_keys = 3, .threshold = 4},
                            &n), VS_POLICY);
    assert_ok(blob_make(f, &(struct vs_backup){.keys = public, .n_keys = 3, .threshold = 2}, &n));
    fd = blob_fd(f, O_RDONLY);
    assert_ok(vs_backup_show(f->store, fd, &info));
    close(fd);
    assert_int_equal(info.threshold, 2);
    assert_int_equal(info.n_keys, 3);
    assert_int_equal(info.objects, 3);
    assert_true(info.whole);
    same[0] = same[1] = private[1];
    assert_status(blob_restore(f, f->user, f, &(struct vs_restore){.keys = private, .n_keys = 1},
                               &tally, &n), VS_POLICY);
    assert_status(blob_restore(f, f->user, f, &(struct vs_restore){.keys = same, .n_keys = 2},
                               &tally, &n), VS_POLICY);
    assert_ok(blob_restore(f, f->user, f,
                           &(struct vs_restore){.keys = private + 1, .n_keys = 2,
                                                .replace = true}, &tally, &n));
    assert_int_equal(n, 3);
}

static void no_byte_can_be_changed(void **state)
{
    struct fixture *f = *state;
    struct tally tally;
    struct stat st;
    uint64_t n;
    const char *variant = getenv("REPRIEVE_VARIANT");
    off_t stride = variant != NULL && strcmp(variant, "valgrind") == 0 ? 31 : 1;
    int fd;

    three_make(f);
    assert_ok(blob_make(f, &(struct vs_backup){0}, &n));
    fd = blob_fd(f, O_RDWR);
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = 0; at < st.st_size; at += stride) {
        uint8_t byte;
        int status;

        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        status = blob_restore(f, f->user, f, &(struct vs_restore){.replace = true}, &tally, &n);
        assert_true(status != VS_OK);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    assert_int_equal(audit_count(f, "KeyRestore", VS_OK), 0);
    for (off_t cut = 1; cut < st.st_size; cut += 61) {
        assert_int_equal(ftruncate(fd, st.st_size - cut), 0);
        assert_true(blob_restore(f, f->user, f, &(struct vs_restore){.replace = true}, &tally,
                                 &n) != VS_OK);
    }
    assert_int_equal(audit_count(f, "KeyRestore", VS_OK), 0);
    close(fd);
}

static void one_object_and_who_may(void **state)
{
    struct fixture *f = *state;
    struct three three = three_make(f);
    struct vs_backup ask = {.ids = &three.private, .n_ids = 1};
    struct vs_header header;
    struct vs_id none = {{1}};
    bool marked;
    uint64_t n;

    ask.fd = blob_fd(f, O_RDWR | O_CREAT);
    assert_status(vs_backup(f->store, 0, f->so, &ask, &n, &marked), VS_DENIED);
    assert_status(vs_backup(f->store, 0, NULL, &ask, &n, &marked), VS_DENIED);
    close(ask.fd);
    assert_ok(blob_make(f, &ask, &n));
    assert_int_equal(n, 1);
    assert_ok(vs_object_peek(f->store, 0, &three.private, &header));
    assert_true(header.backed_up);
    assert_ok(vs_object_peek(f->store, 0, &three.public, &header));
    assert_false(header.backed_up);
    assert_int_equal(audit_count(f, "KeyBackup", VS_OK), 1);
    ask.ids = &none;
    assert_status(blob_make(f, &ask, &n), VS_NOT_FOUND);
}

static void settings_come_apart(void **state)
{
    static const uint8_t pin[] = "ann-pin-1";
    struct fixture *f = *state, *other;
    struct vs_blob_key public, private;
    struct vs_login *ann = NULL;
    struct outside outside;
    uint64_t n = 0;
    void *second;

    outside_ec(&outside);
    public = blob_key(outside.public);
    private = blob_key(outside.private);
    assert_ok(vs_user_add(f->store, f->so, "ann", pin, sizeof(pin) - 1, VS_VERB_SIGN));
    assert_ok(blob_make(f, &(struct vs_backup){.keys = &public, .n_keys = 1}, &n));
    assert_int_equal(fixture_vault(&second), 0);
    other = second;
    assert_status(blob_restore(other, other->user, f,
                               &(struct vs_restore){.keys = &private, .n_keys = 1,
                                                    .settings = true}, NULL, &n), VS_DENIED);
    assert_ok(blob_restore(other, other->so, f,
                           &(struct vs_restore){.keys = &private, .n_keys = 1, .settings = true},
                           NULL, &n));
    assert_int_equal(n, 1);
    assert_status(vs_login_named(other->store, 0, "ann", pin, sizeof(pin) - 1, &ann),
                  VS_PIN_LOCKED);
    assert_ok(vs_user_set_pin(other->store, other->so, "ann", pin, sizeof(pin) - 1));
    assert_ok(vs_login_named(other->store, 0, "ann", pin, sizeof(pin) - 1, &ann));
    assert_int_equal(vs_login_verbs(ann), VS_VERB_SIGN);
    vs_logout(ann);
    fixture_done(&second);
}

/* ------------------------------------------------------------------ rotation */

static int rotate(struct fixture *f, struct vs_login *login, const struct vs_id *former,
                  struct vs_id *ret_id)
{
    const struct vs_term term = {0, (const uint8_t *)"key", 3};
    const struct vs_new_object next = {.kind = 4, .is_private = true, .destroyable = true,
                                       .attrs = (const uint8_t *)"next", .attrs_len = 4,
                                       .terms = &term, .n_terms = 1, .operation = "KeyRotate",
                                       .former = former};

    return vs_object_create(f->store, 0, login, &next, 1, ret_id);
}

static void age_and_policy_of_versions(void **state)
{
    struct fixture *f = *state;
    struct vs_id key = object_make(f, f->user, true, "k", "k"), next, due[2];
    const struct vs_govern govern = {.set = VS_GOVERN_ROTATE, .rotate_days = 30};
    struct vs_policy policy = f->options.defaults;
    struct vs_header header;
    size_t n;

    assert_ok(vs_object_govern(f->store, 0, f->user, &key, &govern));
    fixture_pass(f, 29 * DAY);
    assert_ok(vs_rotation_due(f->store, 0, due, 2, &n));
    assert_int_equal(n, 0);
    fixture_pass(f, DAY);
    assert_ok(vs_rotation_due(f->store, 0, due, 2, &n));
    assert_int_equal(n, 1);
    assert_memory_equal(&due[0], &key, sizeof(key));
    assert_status(rotate(f, f->so, &key, &next), VS_DENIED);
    assert_ok(rotate(f, f->user, &key, &next));
    assert_status(rotate(f, f->user, &key, &next), VS_WRONG_STATE);
    assert_ok(vs_rotation_due(f->store, 0, due, 2, &n));
    assert_int_equal(n, 0);
    assert_ok(vs_object_peek(f->store, 0, &next, &header));
    assert_int_equal(header.key_version, 2);
    assert_int_equal(header.rotate_days, 30);
    assert_ok(vs_object_peek(f->store, 0, &key, &header));
    assert_false(header.outdated);
    policy.newest_only = true;
    assert_ok(vs_vault_set_policy(f->store, f->so, &policy));
    assert_ok(vs_object_peek(f->store, 0, &key, &header));
    assert_true(header.outdated);
    assert_ok(vs_object_peek(f->store, 0, &next, &header));
    assert_false(header.outdated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(field_has_inverses),
        cmocka_unit_test(any_three_of_five),
        cmocka_unit_test(envelopes_open),
        cmocka_unit_test(weak_keys_are_refused),
#define IN_VAULT(test) cmocka_unit_test_setup_teardown(test, fixture_vault, fixture_done)
        IN_VAULT(own_vault_refuses_then_replaces),
        IN_VAULT(replacing_never_brings_the_purge_nearer),
        IN_VAULT(purged_is_purged),
        IN_VAULT(initialised_vault_is_recovered_instead),
        IN_VAULT(escrow_restores_elsewhere),
        IN_VAULT(two_of_three),
        IN_VAULT(no_byte_can_be_changed),
        IN_VAULT(one_object_and_who_may),
        IN_VAULT(settings_come_apart),
        IN_VAULT(age_and_policy_of_versions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
