/* faults_state.c: a store as text. See faults.h. */
#include "faults.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------ files */

void dir_path(const struct faults_world *w, const char *name, char ret_path[512])
{
    snprintf(ret_path, 512, "%s/%s", w->h.dir, name);
}

/* Calls it with every file of the directory; returns how many there are. */
static unsigned files_each(const char *dir, void (*each)(const char *path, void *ctx), void *ctx)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[800];
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        if (e->d_name[0] == '.')
            continue;
        n++;
        if (each != NULL)
            each(path, ctx);
    }
    if (d != NULL)
        closedir(d);
    return n;
}

static void file_remove(const char *path, void *ctx)
{
    (void)ctx;
    CHECK(unlink(path) == 0);
}

void dir_copy(const struct faults_world *w, const char *from, const char *to)
{
    char source[512], target[512];
    dir_path(w, from, source);
    dir_path(w, to, target);
    files_each(target, file_remove, NULL);
    if (access(source, F_OK) == 0)
        promise_copy_dir(source, target);
    else
        rmdir(target);
}

unsigned dir_files(const struct faults_world *w, const char *name)
{
    char path[512];
    dir_path(w, name, path);
    return files_each(path, NULL, NULL);
}

/* ------------------------------------------------------------------ lines */

struct text { char *at; size_t left; };

static void line(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->at, t->left, format, args);
    va_end(args);
    CHECK(n > 0 && (size_t)n < t->left);
    t->at += n;
    t->left -= (size_t)n;
}

static bool has_line(const char *text, const char *wanted, size_t len)
{
    for (const char *at = text; *at != '\0'; at = strchr(at, '\n') + 1)
        if (strncmp(at, wanted, len + 1) == 0)
            return true;
    return false;
}

/* The first line of `of` for which there is none in a (nor in b, unless NULL). */
static const char *line_missing(const char *of, const char *a, const char *b)
{
    for (const char *at = of, *end; *at != '\0'; at = end + 1) {
        end = strchr(at, '\n');
        size_t len = (size_t)(end - at);
        if (!has_line(a, at, len) && (b == NULL || !has_line(b, at, len)))
            return at;
    }
    return NULL;
}

static bool line_tell(const char *at, const char *what, char ret_why[256])
{
    if (at != NULL)
        snprintf(ret_why, 256, "%s: %.*s", what, (int)strcspn(at, "\n") % 200, at);
    return at == NULL;
}

/* The lines of a that b has, too. */
static char *lines_common(const char *a, const char *b)
{
    char *common = calloc(1, FAULTS_TEXT), *to = common;
    CHECK(common != NULL);
    for (const char *at = a, *end; *at != '\0'; at = end + 1) {
        end = strchr(at, '\n');
        if (has_line(b, at, (size_t)(end - at))) {
            memcpy(to, at, (size_t)(end - at) + 1);
            to += end - at + 1;
        }
    }
    return common;
}

bool state_between(const char *text, const char *a, const char *b, char ret_why[256])
{
    char *common = lines_common(a, b);
    bool fits = line_tell(line_missing(text, a, b), "neither before nor after", ret_why) &&
                line_tell(line_missing(common, text, NULL), "lost", ret_why);
    free(common);
    return fits;
}

bool state_purged(const char *text, char ret_why[256])
{
    for (const char *at = text, *end; *at != '\0'; at = end + 1) {
        unsigned long slot;
        char wiped[64];
        end = strchr(at, '\n');
        if (sscanf(at, "tombstone %lu ", &slot) != 1)
            continue;
        int n = snprintf(wiped, sizeof(wiped), "wiped %lu\n", slot);
        if (!has_line(text, wiped, (size_t)n - 1))
            return line_tell(at, "the slot is not overwritten", ret_why);
    }
    return true;
}

/* ------------------------------------------------------------------ vaults, policy, users */

static void vault_lines(struct session *s, unsigned flags, struct text *t)
{
    struct RPV_VAULT_INFO vaults[4];
    CK_ULONG n = COUNT_OF(vaults);
    OK(s->vendor->RPV_ListVaults(vaults, &n));
    for (CK_ULONG i = 0; i < n; i++) {
        CK_TOKEN_INFO info;
        OK(s->h->f->C_GetTokenInfo(vaults[i].slotID, &info));
        line(t, "vault %lu %s user %d protected %d\n", vaults[i].slotID, vaults[i].label,
             vaults[i].bUserPinSet, (info.flags & CKF_WRITE_PROTECTED) != 0);
        line(t, "live %lu\n", vaults[i].ulGeneration);
        if (flags & OP_TRIES)
            line(t, "tries %lu\n", vaults[i].ulUserTriesLeft);
    }
}

static void generation_lines(struct session *s, struct text *t)
{
    struct RPV_GENERATION_INFO infos[8];
    CK_ULONG n = COUNT_OF(infos);
    OK(s->vendor->RPV_ListGenerations(s->h->slot, infos, &n));
    for (CK_ULONG i = 0; i < n; i++)
        line(t, "generation %lu %s deleted %d at %lld purge %lld hold %d lock %lu\n",
             infos[i].ulGeneration, infos[i].label, infos[i].bDeleted, infos[i].deletedAt,
             infos[i].purgeAt, infos[i].bHold, infos[i].ulLock);
}

static void policy_line(struct session *s, struct text *t)
{
    struct RPV_POLICY p;
    OK(s->vendor->RPV_GetPolicy(s->h->slot, &p));
    line(t, "policy %lu %d %lu %lu %lu %d %d %lu\n", p.ulRetentionDays, p.bPurgeProtection,
         p.ulProfile, p.ulPinTries, p.ulRecoverTo, p.bReserveNames, p.bRequireBackup,
         p.ulPurgeApprovals);
}

/* Which of the PINs is the named user's, or the SO's (NULL); -1: none. */
static int pin_of(struct session *s, const char *name, const char *const *pins, size_t n)
{
    CK_SESSION_HANDLE session = session_any(s);
    int found = -1;
    for (size_t i = 0; i < n && found < 0; i++) {
        CK_RV rv = name != NULL
                       ? s->h->f3->C_LoginUser(session, CKU_USER, PIN(pins[i]), PIN(name))
                       : s->h->f->C_Login(session, CKU_SO, PIN(pins[i]));
        if (rv == CKR_OK)
            found = (int)i;
    }
    OK(s->h->f->C_CloseSession(session));
    return found;
}

static const char *const ALICE_PINS[] = {"alice's pin", "alice's next"};
static const char *const SO_PINS[] = {HARNESS_SO_PIN, "new " HARNESS_SO_PIN};

static void user_lines(struct session *s, struct text *t)
{
    struct RPV_USER_INFO users[4];
    struct RPV_GRANT grants[4];
    CK_ULONG n = COUNT_OF(users), m = COUNT_OF(grants);
    OK(s->vendor->RPV_ListUsers(s->h->slot, users, &n));
    for (CK_ULONG i = 0; i < n; i++, m = COUNT_OF(grants)) {
        OK(s->vendor->RPV_ListGrants(s->h->slot, users[i].name, grants, &m));
        line(t, "user %s verbs %lx grants %lu %lx PIN %d\n", users[i].name, users[i].ulVerbs, m,
             m > 0 ? grants[0].ulVerbs : 0,
             pin_of(s, users[i].name, ALICE_PINS, COUNT_OF(ALICE_PINS)));
    }
}

/* ------------------------------------------------------------------ objects */

static unsigned long id_number(const char *unique_id)
{
    return strtoul(unique_id + 16, NULL, 16);
}

struct text_attr { CK_ATTRIBUTE_TYPE type; char kind; };
static const struct text_attr SHOWN[] = {
    {CKA_UNIQUE_ID, 'i'}, {CKA_LABEL, 's'}, {CKA_CLASS, 'n'}, {CKA_ID, 's'},
    {CKA_RPV_STATE, 'n'}, {CKA_RPV_HOLD, 'b'}, {CKA_RPV_LOCK, 'n'}, {CKA_RPV_PURGE_AT, 's'},
    {CKA_RPV_DELETED_BY, 's'}, {CKA_RPV_DELETE_REASON, 's'}, {CKA_RPV_NOT_BEFORE, 's'},
    {CKA_RPV_NOT_AFTER, 's'}, {CKA_RPV_VERSION, 'n'}, {CKA_RPV_ROTATE_DAYS, 'n'},
    {CKA_RPV_ORIGIN, 'n'}, {CKA_RPV_HONEYTOKEN, 'b'}, {CKA_RPV_BACKED_UP, 'b'},
};

static void attr_text(struct session *s, CK_OBJECT_HANDLE object, const struct text_attr *shown,
                      struct text *t)
{
    char bytes[256] = "";
    CK_ULONG number = 0;
    CK_ATTRIBUTE attr = {shown->type, bytes, sizeof(bytes) - 1};
    CK_RV rv = s->h->f->C_GetAttributeValue(s->handle, object, &attr, 1);
    if (rv != CKR_OK) {          /* of some classes only */
        EXPECT(rv, CKR_ATTRIBUTE_TYPE_INVALID);
        return;
    }
    bytes[attr.ulValueLen] = '\0';
    if (shown->kind == 'n')
        memcpy(&number, bytes, sizeof(number));
    if (shown->kind == 'i')
        line(t, "object %lu", id_number(bytes));
    else if (shown->kind == 's')
        line(t, " '%s'", bytes);
    else
        line(t, " %lu", shown->kind == 'n' ? number : (CK_ULONG)bytes[0]);
}

/* A live key's value, where it may be seen: it opens, and it is the one it was. */
static void value_text(struct session *s, CK_OBJECT_HANDLE object, struct text *t)
{
    CK_BYTE value[64] = {0};
    CK_ATTRIBUTE attr = {CKA_VALUE, value, sizeof(value)};
    CK_RV rv = s->h->f->C_GetAttributeValue(s->handle, object, &attr, 1);
    unsigned sum = 0;
    for (CK_ULONG i = 0; rv == CKR_OK && i < attr.ulValueLen; i++)
        sum = sum * 31 + value[i];
    line(t, " value %s %x\n", rv == CKR_BUFFER_TOO_SMALL ? "CKR_OK" : ckr_name(rv), sum);
}

struct listed { unsigned long number; CK_OBJECT_HANDLE handle; };

static int listed_compare(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static void object_lines(struct session *s, CK_BBOOL deleted, struct text *t)
{
    CK_OBJECT_HANDLE handles[256];
    struct listed listed[256];
    CK_ATTRIBUTE which = ATTR_VAR(CKA_RPV_DELETED, deleted);
    CK_ULONG n = 0;
    OK(s->h->f->C_FindObjectsInit(s->handle, &which, 1));
    OK(s->h->f->C_FindObjects(s->handle, handles, COUNT_OF(handles), &n));
    OK(s->h->f->C_FindObjectsFinal(s->handle));
    CHECK(n < COUNT_OF(handles));
    for (CK_ULONG i = 0; i < n; i++) {
        char id[33] = "";
        CK_ATTRIBUTE attr = {CKA_UNIQUE_ID, id, 32};
        OK(s->h->f->C_GetAttributeValue(s->handle, handles[i], &attr, 1));
        listed[i] = (struct listed){id_number(id), handles[i]};
    }
    qsort(listed, n, sizeof(listed[0]), listed_compare);
    for (CK_ULONG i = 0; i < n; i++) {
        for (size_t j = 0; j < COUNT_OF(SHOWN); j++)
            attr_text(s, listed[i].handle, &SHOWN[j], t);
        if (deleted)
            line(t, "\n");
        else
            value_text(s, listed[i].handle, t);
    }
}

static void objects_text(struct session *s, struct text *t)
{
    CK_TOKEN_INFO info;
    OK(s->h->f->C_GetTokenInfo(s->h->slot, &info));
    if (!(info.flags & CKF_USER_PIN_INITIALIZED))
        return;
    if (info.flags & CKF_USER_PIN_LOCKED) {
        line(t, "user locked\n");
        return;
    }
    s->handle = session_any(s);
    for (size_t i = 0; i < COUNT_OF(s->w->user_pins); i++) {
        if (s->h->f->C_Login(s->handle, CKU_USER, PIN(s->w->user_pins[i])) != CKR_OK)
            continue;
        line(t, "user PIN %zu\n", i);
        object_lines(s, CK_FALSE, t);
        object_lines(s, CK_TRUE, t);
        return;
    }
    harness_fail(__FILE__, __LINE__, "none of the user's PINs opens the vault");
}

/* ------------------------------------------------------------------ what was purged */

static void tombstone_lines(struct session *s, struct text *t)
{
    struct RPV_TOMBSTONE tombstones[64];
    CK_ULONG n = COUNT_OF(tombstones);
    OK(s->vendor->RPV_ListTombstones(s->h->slot, tombstones, &n));
    for (CK_ULONG i = 0; i < n; i++)
        line(t, "tombstone %lu of %lu by %s\n", id_number(tombstones[i].uniqueId),
             tombstones[i].ulGeneration, tombstones[i].purgedBy);
}

static void wiped_lines(const struct session *s, struct text *t)
{
    static const CK_BYTE none[32];
    CK_BYTE slot[32];
    char path[512];
    dir_path(s->w, "store/slots", path);
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    for (unsigned long i = 0; fread(slot, sizeof(slot), 1, f) == 1; i++)
        if (memcmp(slot, none, sizeof(slot)) == 0)
            line(t, "wiped %lu\n", i);
    fclose(f);
}

/* ------------------------------------------------------------------ the log */

struct tally { char operation[32]; unsigned n; };

/* Uses of keys are not of the operation alone, and written a second later. A host.head half written
 * is noticed, and made anew. */
static bool is_beside(const char *operation)
{
    static const char *const beside[] = {"KeyWrap", "KeyUnwrap", "KeyDerive", "KeyExport",
                                         "HeadLost"};
    for (size_t i = 0; i < COUNT_OF(beside); i++)
        if (strcmp(beside[i], operation) == 0)
            return true;
    return false;
}

static void tally_add(struct tally tallies[40], const char *operation)
{
    size_t i = 0;
    while (tallies[i].n > 0 && strcmp(tallies[i].operation, operation) != 0)
        i++;
    CHECK(i < 39);
    snprintf(tallies[i].operation, sizeof(tallies[i].operation), "%s", operation);
    tallies[i].n++;
}

/* How many changes of each kind the log tells of: one more exactly when the state is another. Where
 * there are several transactions, to begin again is on record, too: then only what shows nowhere
 * else. */
static void event_lines(struct session *s, unsigned flags, struct text *t)
{
    struct RPV_AUDIT_QUERY query = {.slotID = CK_UNAVAILABLE_INFORMATION};
    struct tally tallies[40] = {{.n = 0}};
    struct RPV_AUDIT_RECORD records[64];
    unsigned long long next = 1;
    while (next != 0) {
        CK_ULONG n = COUNT_OF(records);
        query.from = next;
        OK(s->vendor->RPV_QueryAudit(&query, records, &n, &next));
        for (CK_ULONG i = 0; i < n; i++)
            if (records[i].bSuccess && !is_beside(records[i].operation))
                tally_add(tallies, records[i].operation);
    }
    for (size_t i = 0; tallies[i].n > 0; i++) {
        if (!(flags & OP_STEPS))
            line(t, "event %s %u\n", tallies[i].operation, tallies[i].n);
        else if (strcmp(tallies[i].operation, "RollbackAccept") == 0)
            line(t, "event %s\n", tallies[i].operation);
    }
    CK_ULONG due = 0;
    OK(s->vendor->RPV_ListRotations(s->h->slot, NULL, &due));
    line(t, "rotations due %lu\n", due);
}

/* ------------------------------------------------------------------ backups */

struct blob_look { struct session *s; struct text *t; };

static CK_RV count_objects(void *ctx, const struct RPV_PROGRESS_INFO *progress)
{
    unsigned *n = ctx;
    *n += progress->done > 0 || progress->result[0] != '\0';
    return CKR_OK;
}

/* Whole, and it opens: read to its end, and nothing is restored. Half a one must be refused. */
static void blob_line(const char *path, void *ctx)
{
    struct blob_look *look = ctx;
    struct session *s = look->s;
    struct RPV_BLOB_KEY keys[FAULTS_KEYS];
    struct RPV_BACKUP_INFO info;
    unsigned objects = 0;
    unsigned long long restored = 0;
    for (size_t i = 0; i < FAULTS_KEYS; i++)
        keys[i] = (struct RPV_BLOB_KEY){(CK_BYTE *)s->w->outside[i].private,
                                        strlen(s->w->outside[i].private)};
    const struct RPV_RESTORE ask = {.pPath = path, .pKeys = keys, .ulKeys = FAULTS_KEYS,
                                    .bReplace = CK_TRUE, .bDryRun = CK_TRUE,
                                    .Notify = count_objects, .pApplication = &objects};
    CK_RV rv = s->vendor->RPV_Restore(s->handle, &ask, &restored);
    const char *name = strrchr(path, '/') + 1;
    if (strcmp(strrchr(name, '.'), ".rpv") != 0) {
        if (rv != CKR_OK)
            EXPECT(rv, CKR_DATA_INVALID);
        return;
    }
    OK(rv);
    OK(s->vendor->RPV_ShowBackup(path, -1, &info));
    CHECK(info.objects == objects);
    line(look->t, "backup %s of %llu objects for %lu of %lu keys\n", name, info.objects,
         info.ulThreshold, info.ulKeys);
}

static void blob_lines(struct session *s, struct text *t)
{
    struct blob_look look = {s, t};
    char path[512];
    dir_path(s->w, "blobs", path);
    if (s->handle != CK_INVALID_HANDLE)
        files_each(path, blob_line, &look);
}

/* ------------------------------------------------------------------ the whole */

/* The log of an older copy must not verify, as long as it is not accepted. */
static void log_look(struct session *s, unsigned flags)
{
    CK_TOKEN_INFO info;
    unsigned long long events = 0, bad = 0;
    OK(s->h->f->C_GetTokenInfo(s->h->slot, &info));
    if (!(flags & OP_OLD_COPY) || !(info.flags & CKF_WRITE_PROTECTED)) {
        promise_audit(s->h);
        return;
    }
    OK(s->vendor->RPV_VerifyAudit(&events, &bad));
    CHECK(bad != 0);
}

void state_text(struct session *s, unsigned flags, char ret_text[FAULTS_TEXT])
{
    struct text t = {ret_text, FAULTS_TEXT};
    CK_TOKEN_INFO info;
    ret_text[0] = '\0';
    OK(s->h->f->C_GetTokenInfo(s->h->slot, &info));
    if (!(info.flags & CKF_TOKEN_INITIALIZED))
        return;
    s->handle = CK_INVALID_HANDLE;
    vault_lines(s, flags, &t);
    generation_lines(s, &t);
    policy_line(s, &t);
    objects_text(s, &t);
    blob_lines(s, &t);
    OK(s->h->f->C_CloseAllSessions(s->h->slot));
    user_lines(s, &t);
    if (flags & OP_SO_PIN)
        line(&t, "SO PIN %d\n", pin_of(s, NULL, SO_PINS, COUNT_OF(SO_PINS)));
    tombstone_lines(s, &t);
    wiped_lines(s, &t);
    event_lines(s, flags, &t);
    log_look(s, flags);
}

/* Everything of the live generation that may be recovered. */
static void recover_objects(struct session *s, struct text *t)
{
    CK_TOKEN_INFO info;
    CK_ULONG n = 0;
    CK_RV rv = CKR_USER_PIN_NOT_INITIALIZED;
    OK(s->h->f->C_GetTokenInfo(s->h->slot, &info));
    s->handle = session_any(s);
    for (size_t i = 0; rv != CKR_OK && i < 2 && !(info.flags & CKF_USER_PIN_LOCKED); i++)
        rv = s->h->f->C_Login(s->handle, CKU_USER, PIN(s->w->user_pins[i]));
    if (rv == CKR_OK) {
        rv = s->vendor->RPV_RecoverAll(s->handle, 1000, &n);
        line(t, "recovered %s %lu\n", ckr_name(rv), n);
        object_lines(s, CK_FALSE, t);
        object_lines(s, CK_TRUE, t);
    }
    OK(s->h->f->C_CloseAllSessions(s->h->slot));
}

void state_deep(struct session *s, unsigned flags, char ret_text[FAULTS_TEXT])
{
    struct text t = {ret_text, FAULTS_TEXT};
    struct RPV_GENERATION_INFO infos[8];
    CK_ULONG n = COUNT_OF(infos);
    ret_text[0] = '\0';
    OK(s->vendor->RPV_ListGenerations(s->h->slot, infos, &n));
    recover_objects(s, &t);
    for (CK_ULONG i = 1; i < n; i++) {
        CK_RV rv = s->vendor->RPV_RecoverGeneration(s->h->slot, infos[i].ulGeneration, CKU_SO,
                                                    PIN(flags & OP_SO_PIN ? SO_PINS[1]
                                                                          : s->w->so_pin));
        line(&t, "generation %lu %s\n", infos[i].ulGeneration, ckr_name(rv));
        if (rv == CKR_OK)
            recover_objects(s, &t);
    }
    log_look(s, flags);
}
