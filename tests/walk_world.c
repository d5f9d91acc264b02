/* walk_world.c: what there is, as a session of the module sees it, beside what the model says. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "walk.h"

struct model_generation *live_model(void)
{
    return model_live(&w->model);
}

static CK_OBJECT_HANDLE find_in(const struct model *m, unsigned object, bool deleted)
{
    const char *id = w->now.ids[m->store.live][object];
    if (*id == '\0')
        return CK_INVALID_HANDLE;
    CK_ATTRIBUTE template[] = {ATTR_BYTES(CKA_UNIQUE_ID, id, strlen(id)),
                               ATTR_BOOL(CKA_RPV_DELETED, deleted ? CK_TRUE : CK_FALSE)};
    return harness_find(&w->h, session, template, COUNT_OF(template));
}

CK_OBJECT_HANDLE find(unsigned object, bool deleted)
{
    return find_in(&w->model, object, deleted);
}

void id_of(CK_OBJECT_HANDLE handle, char ret_id[33])
{
    CK_ATTRIBUTE attr = {CKA_UNIQUE_ID, ret_id, 32};
    OK(w->h.f->C_GetAttributeValue(session, handle, &attr, 1));
    ret_id[attr.ulValueLen] = '\0';
}

static int64_t seconds_of(const char text[16])
{
    struct tm tm = {0};
    char copy[15];
    memcpy(copy, text, 14);
    copy[14] = '\0';
    CHECK(sscanf(copy, "%4d%2d%2d%2d%2d%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
                 &tm.tm_min, &tm.tm_sec) == 6);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return timegm(&tm);
}

/* ------------------------------------------------------------------ one object */

static CK_ULONG state_of(const struct model_object *o)
{
    return o->state == MODEL_DELETED    ? RPV_STATE_DELETED
           : o->state == MODEL_DISABLED ? RPV_STATE_DISABLED : RPV_STATE_ACTIVE;
}

static const char *attributes_differ(const struct model_object *o, CK_OBJECT_HANDLE handle)
{
    CK_ULONG state = 99, lock = 99, version = 99;
    CK_BBOOL hold = 2;
    char at[16], label[32], wanted[32];
    CK_ATTRIBUTE attrs[] = {ATTR_VAR(CKA_RPV_STATE, state), ATTR_VAR(CKA_RPV_HOLD, hold),
                            ATTR_VAR(CKA_RPV_LOCK, lock), ATTR_VAR(CKA_RPV_PURGE_AT, at),
                            ATTR_VAR(CKA_LABEL, label), ATTR_VAR(CKA_RPV_VERSION, version)};
    OK(w->h.f->C_GetAttributeValue(session, handle, attrs, COUNT_OF(attrs)));
    snprintf(wanted, sizeof(wanted), "name %u", o->name);
    if (state != state_of(o))
        return "in another state";
    if (hold != (o->hold ? CK_TRUE : CK_FALSE) || lock != o->lock)
        return "with another hold or lock";
    if (attrs[4].ulValueLen != strlen(wanted) || memcmp(label, wanted, strlen(wanted)) != 0)
        return "with another label";
    if (version != o->version)
        return "of another version";
    if (o->state == MODEL_DELETED && seconds_of(at) != w->base + o->purge_at) {
        note("# purge at %lld, not %d\n", (long long)(seconds_of(at) - w->base),
                      o->purge_at);
        return "with another purge date";
    }
    return NULL;
}

const char *object_differs(const struct model *m, unsigned object)
{
    const struct model_generation *g = &m->store.generations[m->store.live];
    const struct model_object *o = &g->objects[object];
    bool there = (o->state == MODEL_ACTIVE || o->state == MODEL_DISABLED ||
                  o->state == MODEL_DELETED) && !model_object_due(&m->store, g, o);
    bool deleted = o->state == MODEL_DELETED;
    CK_OBJECT_HANDLE live_handle = find_in(m, object, false);
    CK_OBJECT_HANDLE deleted_handle = find_in(m, object, true);
    CK_OBJECT_HANDLE handle = deleted ? deleted_handle : live_handle;
    if (deleted ? live_handle != CK_INVALID_HANDLE : deleted_handle != CK_INVALID_HANDLE)
        return deleted ? "live, not deleted" : "deleted, and should not be";
    if (!there)
        return handle == CK_INVALID_HANDLE ? NULL : "there, and should be gone";
    return handle == CK_INVALID_HANDLE ? "gone" : attributes_differ(o, handle);
}

/* ------------------------------------------------------------------ generations */

static const char *generation_differs(const struct model_generation *g,
                                      const struct RPV_GENERATION_INFO *info)
{
    if (g->state == MODEL_DELETED && info->purgeAt != w->base + g->purge_at) {
        note("# purge at %lld, not %d\n", (long long)(info->purgeAt - w->base),
                      g->purge_at);
        return "a generation with another purge date";
    }
    if ((info->bHold == CK_TRUE) != g->hold || info->ulLock != g->lock)
        return "a generation with another hold or lock";
    return NULL;
}

static const struct RPV_GENERATION_INFO *generation_of(const struct RPV_GENERATION_INFO *infos,
                                                       CK_ULONG n, unsigned generation)
{
    for (CK_ULONG i = 0; i < n; i++)
        if (infos[i].ulGeneration == w->now.numbers[generation])
            return &infos[i];
    return NULL;
}

static CK_ULONG generations_list(struct RPV_GENERATION_INFO infos[32])
{
    CK_ULONG n = 32;
    OK(vendor->RPV_ListGenerations(w->h.slot, infos, &n));
    CHECK(n > 0 && !infos[0].bDeleted);
    return n;
}

static const char *generations_differ(const struct model *m)
{
    struct RPV_GENERATION_INFO infos[32];
    CK_ULONG n = generations_list(infos), expected = 0;
    const char *why = NULL;
    if (w->now.numbers[m->store.live] != 0 &&
        infos[0].ulGeneration != w->now.numbers[m->store.live])
        return "another live generation";
    for (unsigned i = 0; i < MODEL_GENERATIONS && why == NULL; i++) {
        const struct model_generation *g = &m->store.generations[i];
        const struct RPV_GENERATION_INFO *info = generation_of(infos, n, i);
        bool there = (g->state == MODEL_DELETED && !model_generation_due(&m->store, g, RULES_ALL));
        if (i == m->store.live)
            info = &infos[0];
        else if (!there)
            continue;
        expected++;
        why = info == NULL ? "a generation gone" : generation_differs(g, info);
    }
    /* Of one purged since an older copy was made, that still has the row, until it is accepted. */
    if (m->rolled_back && why == NULL && n > expected)
        return NULL;
    return why != NULL || n == expected ? why : "another number of generations";
}

static const char *policy_differs(const struct model_policy *wanted)
{
    struct RPV_POLICY policy;
    OK(vendor->RPV_GetPolicy(w->h.slot, &policy));
    if ((int32_t)policy.ulRetentionDays * DAY != wanted->retention)
        return "with another retention";
    if ((policy.bPurgeProtection == CK_TRUE) != wanted->protection ||
        (policy.bDisableBeforeDelete == CK_TRUE) != wanted->disable_before_delete ||
        (policy.bClockStrict == CK_TRUE) != wanted->strict ||
        (policy.bReserveNames == CK_TRUE) != wanted->reserve_names ||
        (policy.ulRecoverTo == 1) != wanted->recover_to_disabled)
        return "with another policy";
    if (policy.ulPurgeApprovals != wanted->approvals ||
        (int32_t)policy.ulApprovalHours * HOUR != wanted->window)
        return "with other approvals";
    return NULL;
}

/* ------------------------------------------------------------------ users */

static const char *users_differ(const struct model_generation *g)
{
    struct RPV_USER_INFO infos[8];
    CK_ULONG n = COUNT_OF(infos), expected = 0;
    OK(vendor->RPV_ListUsers(w->h.slot, infos, &n));
    for (unsigned i = 0; i < MODEL_USERS; i++) {
        bool found = false;
        for (CK_ULONG j = 0; j < n; j++)
            if (strcmp(infos[j].name, user_names[i]) == 0) {
                found = true;
                if (infos[j].ulVerbs != rpv_verbs(g->users[i]))
                    return "with a user of other verbs";
            }
        if (found != (g->users[i] != 0))
            return found ? "with a user too many" : "without a user";
        expected += found ? 1 : 0;
    }
    return n == expected ? NULL : "with another number of users";
}

/* ------------------------------------------------------------------ all of it */

const char *world_differs(const struct model *m)
{
    const struct model_generation *g = &m->store.generations[m->store.live];
    const char *why = generations_differ(m);
    if (why == NULL)
        why = policy_differs(&g->policy);
    if (why == NULL)
        why = users_differ(g);
    for (unsigned i = 0; i < w->limits.objects && why == NULL; i++)
        if (w->now.serials[m->store.live][i] != 0)
            why = object_differs(m, i);
    return why;
}

/* Searches yield the newest version first. */
static void check_order(unsigned former, unsigned next)
{
    CK_OBJECT_HANDLE found[64], handles[2] = {find(former, false), find(next, false)};
    CK_ULONG n, at[2] = {99, 99};
    char label[32];
    snprintf(label, sizeof(label), "name %u", live_model()->objects[former].name);
    CK_ATTRIBUTE template[] = {ATTR_BYTES(CKA_LABEL, label, strlen(label))};
    OK(w->h.f->C_FindObjectsInit(session, template, 1));
    OK(w->h.f->C_FindObjects(session, found, 64, &n));
    OK(w->h.f->C_FindObjectsFinal(session));
    for (CK_ULONG i = 0; i < n; i++)
        for (unsigned j = 0; j < 2; j++)
            if (found[i] == handles[j])
                at[j] = i;
    if (at[0] == 99 || at[1] >= at[0])
        fail_step("a search", "the older version first", "the newest");
}

static bool is_there(const struct model_object *o)
{
    return o->state == MODEL_ACTIVE || o->state == MODEL_DISABLED;
}

static void orders_check(void)
{
    const struct model_generation *g = live_model();
    for (unsigned i = 0; i < MODEL_OBJECTS && w->actors[SELF].role != MODEL_SO; i++) {
        const struct model_object *o = &g->objects[i];
        if (is_there(o) && o->successor != 0 && is_there(&g->objects[o->successor - 1]) &&
            g->objects[o->successor - 1].name == o->name)
            check_order(i, o->successor - 1u);
    }
}

void world_check(void)
{
    const char *why = world_differs(&w->model);
    if (why != NULL)
        fail_step("the world is", why, "what the model says");
    orders_check();
}

/* ------------------------------------------------------------------ what the promise is about */

/* Calls `each` with the id of every key of the live generation. */
static void keys_each(bool deleted, void (*each)(const char id[33], void *ctx), void *ctx)
{
    CK_OBJECT_HANDLE handles[64];
    CK_ULONG n;
    CK_ATTRIBUTE template[] = {ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                               ATTR_BOOL(CKA_RPV_DELETED, deleted ? CK_TRUE : CK_FALSE)};
    OK(w->h.f->C_FindObjectsInit(session, template, COUNT_OF(template)));
    OK(w->h.f->C_FindObjects(session, handles, COUNT_OF(handles), &n));
    OK(w->h.f->C_FindObjectsFinal(session));
    for (CK_ULONG i = 0; i < n; i++) {
        char id[33];
        id_of(handles[i], id);
        each(id, ctx);
    }
}

struct look { const struct model *m; struct model_fates *seen; char stranger[33]; };

static void look_at(const char id[33], void *ctx)
{
    struct look *look = ctx;
    uint8_t live = look->m->store.live;
    for (unsigned i = 0; i < MODEL_OBJECTS; i++)
        if (strcmp(w->now.ids[live][i], id) == 0) {
            look->seen->of[live][i] = FATE_HAD;
            return;
        }
    memcpy(look->stranger, id, 33);
}

bool stranger_find(char ret_id[33])
{
    struct model_fates seen;
    struct look look = {.m = &w->model, .seen = &seen};
    keys_each(false, look_at, &look);
    keys_each(true, look_at, &look);
    memcpy(ret_id, look.stranger, 33);
    return look.stranger[0] != '\0';
}

/* Of a generation that is not live there is its row in the list; whether an object in it has died
 * of old age the model says. */
static void look_deleted(const struct model *m, unsigned i, bool listed, struct model_fates *seen)
{
    struct model_fates says;
    model_fates(m, &says);
    for (unsigned j = 0; j < MODEL_OBJECTS; j++)
        seen->of[i][j] = listed || says.of[i][j] == FATE_NEVER ? says.of[i][j] : FATE_GONE;
}

void world_look(const struct model *m, struct model_fates *ret_seen)
{
    struct RPV_GENERATION_INFO infos[32];
    CK_ULONG n = generations_list(infos);
    struct look look = {.m = m, .seen = ret_seen};
    w->looks++;
    for (unsigned i = 0; i < MODEL_GENERATIONS; i++)
        look_deleted(m, i, generation_of(infos, n, i) != NULL, ret_seen);
    for (unsigned j = 0; j < MODEL_OBJECTS; j++)
        if (w->now.serials[m->store.live][j] != 0)
            ret_seen->of[m->store.live][j] = FATE_GONE;
    keys_each(false, look_at, &look);
    keys_each(true, look_at, &look);
    if (look.stranger[0] != '\0')
        fail_step("there is", "an object nobody knows", "only what was made");
}

/* ------------------------------------------------------------------ use */

/* The key is the one it was, and works, or is refused because it is disabled. */
void check_use(unsigned object)
{
    const struct model_object *o = &live_model()->objects[object];
    CK_BYTE *block = w->now.blocks[w->model.store.live][object], now[16], none[16] = {0};
    if (w->actors[SELF].role == MODEL_SO || !is_there(o))
        return;
    CK_RV rv = promise_use(&w->h, session, find(object, false), now);
    if (rv != (o->state == MODEL_ACTIVE ? CKR_OK : CKR_KEY_FUNCTION_NOT_PERMITTED))
        fail_step("use", ckr_name(rv), "as its state says");
    if (rv != CKR_OK)
        return;
    if (memcmp(block, none, 16) == 0)
        memcpy(block, now, 16);
    if (memcmp(block, now, 16) != 0)
        fail_step("use", "another key", "the same");
}

void check_void(void)
{
    CK_SESSION_INFO info;
    struct RPV_POLICY policy;
    OK(w->h.f->C_GetSessionInfo(session, &info));
    if (info.state != CKS_RW_PUBLIC_SESSION && info.state != CKS_RO_PUBLIC_SESSION)
        fail_step("after the removal", "logged in", "nobody is");
    for (unsigned i = 0; i < MODEL_OBJECTS; i++)
        if (find(i, false) != CK_INVALID_HANDLE || find(i, true) != CK_INVALID_HANDLE)
            fail_step("after the removal", "an object to be seen", "none");
    OK(vendor->RPV_GetPolicy(w->h.slot, &policy));
    EXPECT(vendor->RPV_SetPolicy(session, &policy), CKR_USER_NOT_LOGGED_IN);
    w->voids++;
}

/* No version of the key has had the number before, as far as it is known. */
void version_learn(unsigned former, unsigned next)
{
    struct model_object *object = &live_model()->objects[next];
    CK_ULONG version = 0;
    CK_ATTRIBUTE attr = ATTR_VAR(CKA_RPV_VERSION, version);
    OK(w->h.f->C_GetAttributeValue(session, find(next, false), &attr, 1));
    if (version <= live_model()->objects[former].version || version > UINT8_MAX)
        fail_step("the next version", "no later one", "later");
    object->version = (uint8_t)version;
}

void generation_learn(void)
{
    struct RPV_GENERATION_INFO infos[32];
    generations_list(infos);
    w->now.numbers[w->model.store.live] = infos[0].ulGeneration;
    w->now.births[w->model.store.live] = w->now.last_birth = ++w->next_birth;
}
