/* policy_world.c: the store that the policy is tried in. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy_rows.h"

struct policy_world world;

/* ------------------------------------------------------------------ time */

/* One for the whole program: the module maps it once. It goes with the process. */
static char clock_path[300];

static void clock_remove(void)
{
    unlink(clock_path);
}

static void clock_make(void)
{
    const char *dir = getenv("TMPDIR");
    snprintf(clock_path, sizeof clock_path, "%s/reprieve-clock-XXXXXX", dir ? dir : "/tmp");
    int fd = mkstemp(clock_path);
    CHECK(fd >= 0 && ftruncate(fd, sizeof *world.clock) == 0);
    atexit(clock_remove);
    world.clock = mmap(NULL, sizeof *world.clock, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(world.clock != MAP_FAILED);
    close(fd);
}

void time_pass(long long seconds)
{
    world.clock->wall += seconds;
    world.clock->boot += seconds;
}

/* The product, or the variant of it whose time is the test's. */
static void module_choose(bool clock)
{
    static char product[4096], variant[4200];
    const char *build = getenv("BUILDDIR");
    if (product[0] == '\0')
        snprintf(product, sizeof product, "%s", getenv("REPRIEVE_MODULE"));
    snprintf(variant, sizeof variant, "%s/tests/reprieve-test.so", build ? build : ".");
    setenv("REPRIEVE_MODULE", clock ? variant : product, 1);
    if (!clock)
        return;
    if (world.clock == NULL)
        clock_make();
    setenv("REPRIEVE_TEST_CLOCK", clock_path, 1);
    *world.clock = (struct test_clock){.wall = 1700000000, .boot = 1000, .boot_id = {1}};
}

/* ------------------------------------------------------------------ the store */

static void users_make(void)
{
    as_so();
    OK(world.rpv->RPV_AddUser(world.session, "clerk", PIN("clerk-pin"),
                              RPV_VERBS_ALL & ~RPV_VERB_POLICY));
    OK(world.rpv->RPV_AddUser(world.session, "keeper", PIN("keeper-pin"), RPV_VERB_POLICY));
    OK(world.rpv->RPV_AddUser(world.session, "purger", PIN("purger-pin"),
                              RPV_VERB_LIST | RPV_VERB_PURGE));
    as_user();
}

void world_start(const char *conf, bool clock)
{
    char lines[400];
    module_choose(clock);
    snprintf(lines, sizeof lines, "min_rsa_bits = 1024\n%s%s",
             conf != NULL && strstr(conf, "purge_protection") ? "" : "purge_protection = no\n",
             conf != NULL ? conf : "");
    harness_init(&world.h, lines);
    world.session = harness_start(&world.h);
    world.rpv = promise_vendor(&world.h);
    users_make();
}

void world_restart(void)
{
    harness_unload(&world.h);
    harness_load(&world.h);
    harness_slot(&world.h);
    world.rpv = promise_vendor(&world.h);
    world.session = harness_session_rw(&world.h);
    harness_login(&world.h, world.session, CKU_USER);
}

void world_stop(void)
{
    promise_audit(&world.h);
    harness_done(&world.h);
}

/* ------------------------------------------------------------------ who */

void as_nobody(void)
{
    CK_RV rv = world.h.f->C_Logout(world.session);
    CHECK(rv == CKR_OK || rv == CKR_USER_NOT_LOGGED_IN);
}

void as_so(void)
{
    as_nobody();
    harness_login(&world.h, world.session, CKU_SO);
}

void as_user(void)
{
    as_nobody();
    harness_login(&world.h, world.session, CKU_USER);
}

void as_named(const char *name)
{
    char pin[64];
    as_nobody();
    snprintf(pin, sizeof pin, "%s-pin", name);
    OK(world.h.f3->C_LoginUser(world.session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin),
                               (CK_UTF8CHAR *)(uintptr_t)name, strlen(name)));
}

CK_RV told(CK_RV rv)
{
    OK(world.rpv->RPV_GetLastReason(world.reason, sizeof world.reason));
    return rv;
}

void reason_has(const char *words)
{
    if (strstr(world.reason, words) == NULL)
        harness_fail(__FILE__, __LINE__, "the reason is not of '%s': %s", words, world.reason);
}

/* ------------------------------------------------------------------ keys */

const char *key_new(void)
{
    static unsigned n;
    static char labels[8][32];   /* as many as anybody speaks of at once */
    char *label = labels[n % COUNT_OF(labels)];
    snprintf(label, sizeof labels[0], "key %u", n++);
    OK(promise_create(&world.h, world.session, label, 1));
    return label;
}

static CK_OBJECT_HANDLE key_find(const char *label, bool deleted)
{
    CK_ATTRIBUTE wanted[] = {ATTR_BYTES(CKA_LABEL, label, strlen(label)),
                             ATTR_BOOL(CKA_RPV_DELETED, deleted)};
    CK_OBJECT_HANDLE key = harness_find(&world.h, world.session, wanted, COUNT_OF(wanted));
    CHECK(key != CK_INVALID_HANDLE);
    return key;
}

CK_OBJECT_HANDLE key_live(const char *label)
{
    return key_find(label, false);
}

CK_OBJECT_HANDLE key_deleted(const char *label)
{
    return key_find(label, true);
}

const char *key_new_deleted(void)
{
    CK_ATTRIBUTE disabled = ATTR_FALSE(CKA_RPV_ENABLED);
    struct RPV_POLICY policy;
    const char *label = key_new();
    OK(world.rpv->RPV_GetPolicy(world.h.slot, &policy));
    if (policy.bDisableBeforeDelete)
        OK(world.h.f->C_SetAttributeValue(world.session, key_live(label), &disabled, 1));
    OK(world.h.f->C_DestroyObject(world.session, key_live(label)));
    return label;
}

CK_ULONG key_ulong(CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type)
{
    CK_ULONG value = 77;
    CK_ATTRIBUTE attribute = ATTR_VAR(type, value);
    OK(world.h.f->C_GetAttributeValue(world.session, key, &attribute, 1));
    return value;
}

CK_RV key_recover(CK_OBJECT_HANDLE key)
{
    CK_ATTRIBUTE recover = ATTR_FALSE(CKA_RPV_DELETED);
    return told(world.h.f->C_SetAttributeValue(world.session, key, &recover, 1));
}
