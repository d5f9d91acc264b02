/*
 * Several processes remove users at the same time, and others log in meanwhile and finish what they
 * find begun. Whoever stays opens every object afterwards, live or deleted; and every removal has
 * changed the vault's key, which the user who left may have kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "promise.h"

#define REMOVERS 3u
#define OBJECTS 150u             /* more than two batches of sealing anew */
#define PIN(text) (CK_UTF8CHAR_PTR)(uintptr_t)(text), strlen(text)

static struct harness harness;   /* before the fork */

static unsigned rounds(void)
{
    const char *variant = getenv("REPRIEVE_VARIANT");
    return variant == NULL ? 150 : strcmp(variant, "valgrind") == 0 ? 3 : 8;
}

static int make_vault(void *ctx)
{
    struct harness *h = &harness;
    (void)ctx;
    CK_SESSION_HANDLE session = harness_start(h);
    for (unsigned i = 0; i < OBJECTS; i++) {
        char label[16];
        CK_OBJECT_HANDLE key;
        snprintf(label, sizeof(label), "key %u", i);
        OK(promise_create(h, session, label, (CK_BYTE)i));
        CHECK(promise_find(h, session, label, false, &key, 1) == 1);
        if (i % 4 == 0)
            OK(h->f->C_DestroyObject(session, key));
    }
    harness_unload(h);
    return 0;
}

static int remover(void *ctx)
{
    struct harness h = harness;
    unsigned number = *(unsigned *)ctx;
    char name[16];
    harness_load(&h);
    harness_slot(&h);
    const struct RPV_FUNCTION_LIST *vendor = promise_vendor(&h);
    CK_SESSION_HANDLE session = harness_session_rw(&h);
    snprintf(name, sizeof(name), "user%u", number);
    harness_login(&h, session, CKU_SO);
    for (unsigned i = 0; i < rounds(); i++) {
        OK(vendor->RPV_AddUser(session, name, PIN("a user's PIN"), RPV_ROLE_CRYPTO_USER));
        OK(vendor->RPV_RemoveUser(session, name));
        if (i % 8 == number) {
            OK(h.f->C_Logout(session));
            harness_login(&h, session, CKU_SO);
        }
    }
    harness_unload(&h);
    return 0;
}

/* Meanwhile the user changes the PIN to the same, again and again. */
static int pin_changer(void *ctx)
{
    struct harness h = harness;
    (void)ctx;
    harness_load(&h);
    harness_slot(&h);
    CK_SESSION_HANDLE session = harness_session_rw(&h);
    for (unsigned i = 0; i < rounds(); i++)
        OK(h.f->C_SetPIN(session, PIN(HARNESS_USER_PIN), PIN(HARNESS_USER_PIN)));
    harness_unload(&h);
    return 0;
}

/* Value and state of each are what they were. */
static int look(void *ctx)
{
    struct harness h = harness;
    unsigned lost = 0;
    (void)ctx;
    harness_load(&h);
    harness_slot(&h);
    CK_SESSION_HANDLE session = harness_session_rw(&h);
    harness_login(&h, session, CKU_USER);
    for (unsigned i = 0; i < OBJECTS; i++) {
        CK_OBJECT_HANDLE key;
        CK_BYTE value[32] = {0}, wanted[32];
        CK_ATTRIBUTE get = ATTR_VAR(CKA_VALUE, value);
        bool deleted = i % 4 == 0;
        char label[16];
        snprintf(label, sizeof(label), "key %u", i);
        memset(wanted, (CK_BYTE)i, sizeof(wanted));
        bool opens = promise_find(&h, session, label, deleted, &key, 1) == 1 &&
                     (!deleted || promise_recover(&h, session, key) == CKR_OK) &&
                     h.f->C_GetAttributeValue(session, key, &get, 1) == CKR_OK &&
                     memcmp(value, wanted, sizeof(value)) == 0;
        lost += !opens;
    }
    if (lost > 0)
        harness_fail(__FILE__, __LINE__, "%u of %u objects are lost", lost, OBJECTS);
    promise_audit(&h);
    harness_unload(&h);
    return 0;
}

static int look_at_events(void *ctx)
{
    struct harness h = harness;
    struct RPV_AUDIT_QUERY query = {.operation = "UserRemove", .result = "ok",
                                    .slotID = CK_UNAVAILABLE_INFORMATION};
    struct RPV_AUDIT_RECORD records[32];
    unsigned removals = 0, rotated = 0;
    (void)ctx;
    harness_load(&h);
    harness_slot(&h);
    for (unsigned long long next = 1; next != 0;) {
        CK_ULONG n = COUNT_OF(records);
        query.from = next;
        OK(promise_vendor(&h)->RPV_QueryAudit(&query, records, &n, &next));
        for (CK_ULONG i = 0; i < n; i++, removals++)
            rotated += strstr(records[i].detail, "is rotated") != NULL;
    }
    harness_unload(&h);
    CHECK(removals == REMOVERS * rounds());
    if (rotated != removals)
        harness_fail(__FILE__, __LINE__, "%u of %u removals changed the vault's key", rotated,
                     removals);
    return 0;
}

static int setup(void **state)
{
    unsigned numbers[REMOVERS];
    pid_t pids[REMOVERS];
    (void)state;
    harness_init(&harness, NULL);
    CHECK(fork_run(make_vault, NULL) == 0);
    for (unsigned i = 0; i < REMOVERS; i++) {
        numbers[i] = i;
        pids[i] = fork_start(remover, &numbers[i]);
    }
    pid_t changer = fork_start(pin_changer, NULL);
    for (unsigned i = 0; i < REMOVERS; i++)
        CHECK(fork_wait(pids[i]) == 0);
    CHECK(fork_wait(changer) == 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_done(&harness);
    return 0;
}

static void nothing_is_lost(void **state)
{
    (void)state;
    CHECK(fork_run(look, NULL) == 0);
}

static void every_removal_rotates(void **state)
{
    (void)state;
    CHECK(fork_run(look_at_events, NULL) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(every_removal_rotates),
    };
    harness_fail_hook = _fail;
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    return cmocka_run_group_tests_name("removals", tests, setup, teardown);
}
