/* rotation_fixture.c: see rotation_fixture.h. */
#include "rotation_fixture.h"

#include "vaultstore/audit.h"

/* Here an object's attributes are its label. */
int rotation_terms(const uint8_t *attrs, size_t attrs_len, vs_terms_then *then, void *ctx)
{
    const struct vs_term terms[] = {{0, (const uint8_t *)"key", 3}, {1, attrs, attrs_len}};

    return then(ctx, terms, 2);
}

struct vs_id labelled(struct fixture *f, struct vs_login *login, bool is_private,
                      const char *label)
{
    return object_make(f, login, is_private, label, label);
}

int rotation_vault(void **state)
{
    struct fixture *f;

    if (fixture_vault(state) != 0)
        return -1;
    f = *state;
    fixture_close(f);
    f->options.terms = rotation_terms;
    f->options.name_index = 1;
    fixture_open(f);
    fixture_login(f);
    return 0;
}

struct vs_login *user_make(struct fixture *f, const char *name)
{
    struct vs_login *login = NULL;

    assert_ok(vs_user_add(f->store, f->so, name, BYTES(PIN), VS_VERBS_USER));
    assert_ok(vs_login_named(f->store, 0, name, BYTES(PIN), &login));
    return login;
}

struct rotation rotation_now(struct fixture *f)
{
    struct generation live;

    assert_ok(live_read(f->store, 0, &live));
    return live.rotation;
}

uint64_t object_epoch(struct fixture *f, const struct vs_id *id)
{
    struct vs_header header;

    assert_ok(vs_object_peek(f->store, 0, id, &header));
    return header.epoch;
}

void objects_make(struct fixture *f, struct vs_id ids[OBJECTS])
{
    for (size_t i = 0; i < OBJECTS; i++) {
        ids[i] = labelled(f, f->user, i % 3 != 0, "k");
        if (i % 5 == 0)
            assert_ok(vs_object_delete(f->store, 0, f->user, &ids[i]));
    }
}

void objects_expect(struct fixture *f, struct vs_login *login, const struct vs_id ids[OBJECTS],
                    uint64_t epoch)
{
    for (size_t i = 0; i < OBJECTS; i++) {
        object_expect(f, login, &ids[i], "k");
        if (i % 3 != 0)
            assert_int_equal(object_epoch(f, &ids[i]), epoch);
    }
    assert_int_equal(find_label(f, login, "k", false, NULL), OBJECTS - OBJECTS / 5);
    assert_int_equal(find_label(f, login, "k", true, NULL), OBJECTS / 5);
}


int begin_run(struct commit_txn *txn, void *ctx)
{
    const struct begin *begin = ctx;
    struct audit_entry entry = {.operation = "Test", .principal = "so"};
    struct generation live;
    bool begun;

    VS_TRY(generation_enter(txn->store, txn->kv, 0, begin->login, &live));
    VS_TRY(rotation_begin(txn, begin->login, &live, begin->leaving, &begun));
    assert_true(begun);
    return audit_append(txn, &entry);
}
