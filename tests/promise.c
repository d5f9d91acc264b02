#include "promise.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *seen_name(enum seen seen)
{
    static const char *const NAMES[] = {"nothing", "live", "deleted"};
    return NAMES[seen];
}

CK_RV promise_create(struct harness *h, CK_SESSION_HANDLE session, const char *label, CK_BYTE fill)
{
    CK_BYTE value[32];
    memset(value, fill, sizeof(value));
    CK_ATTRIBUTE template[] = {
        ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY), ATTR_ULONG(CKA_KEY_TYPE, CKK_AES),
        ATTR_TRUE(CKA_TOKEN),                  ATTR_TRUE(CKA_PRIVATE),
        ATTR_TRUE(CKA_ENCRYPT),                ATTR_FALSE(CKA_SENSITIVE),
        ATTR_TRUE(CKA_EXTRACTABLE),            ATTR_BYTES(CKA_LABEL, label, strlen(label)),
        ATTR_BYTES(CKA_VALUE, value, sizeof(value)),
    };
    CK_OBJECT_HANDLE object;
    return h->f->C_CreateObject(session, template, COUNT_OF(template), &object);
}

CK_ULONG promise_find(struct harness *h, CK_SESSION_HANDLE session, const char *label,
                      bool deleted, CK_OBJECT_HANDLE *ret_handles, CK_ULONG cap)
{
    CK_ATTRIBUTE template[3] = {ATTR_ULONG(CKA_CLASS, CKO_SECRET_KEY)};
    CK_ULONG n = 1, found = 0;
    if (label != NULL)
        template[n++] = (CK_ATTRIBUTE)ATTR_BYTES(CKA_LABEL, label, strlen(label));
    CK_BBOOL yes = CK_TRUE;
    if (deleted)
        template[n++] = (CK_ATTRIBUTE)ATTR_VAR(CKA_RPV_DELETED, yes);
    OK(h->f->C_FindObjectsInit(session, template, n));
    for (CK_ULONG got = 1; got > 0 && found < cap; found += got)
        OK(h->f->C_FindObjects(session, ret_handles + found, cap - found, &got));
    OK(h->f->C_FindObjectsFinal(session));
    return found;
}

enum seen promise_see(struct harness *h, CK_SESSION_HANDLE session, const char *label)
{
    CK_OBJECT_HANDLE handles[4];
    CK_ULONG live = promise_find(h, session, label, false, handles, COUNT_OF(handles));
    CK_ULONG deleted = promise_find(h, session, label, true, handles, COUNT_OF(handles));
    if (live + deleted > 1)
        harness_fail(__FILE__, __LINE__, "%s: %lu live and %lu deleted", label, live, deleted);
    return live > 0 ? SEEN_LIVE : deleted > 0 ? SEEN_DELETED : SEEN_NOTHING;
}

CK_RV promise_recover(struct harness *h, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    CK_ATTRIBUTE recover[] = {ATTR_FALSE(CKA_RPV_DELETED)};
    return h->f->C_SetAttributeValue(session, object, recover, 1);
}

CK_RV promise_purge(struct harness *h, CK_SESSION_HANDLE session, const char *label)
{
    CK_OBJECT_HANDLE key;
    CK_RV rv = CKR_OBJECT_HANDLE_INVALID;
    OK(h->f->C_Logout(session));
    harness_login(h, session, CKU_SO);
    if (promise_find(h, session, label, true, &key, 1) == 1)
        rv = h->f->C_DestroyObject(session, key);
    OK(h->f->C_Logout(session));
    harness_login(h, session, CKU_USER);
    return rv;
}

CK_RV promise_use(struct harness *h, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
                  CK_BYTE ret_block[16])
{
    CK_MECHANISM ecb = {CKM_AES_ECB, NULL, 0};
    CK_BYTE plain[16] = "sixteen bytes...";
    CK_ULONG len = 16;
    CK_RV rv = h->f->C_EncryptInit(session, &ecb, key);
    return rv != CKR_OK ? rv : h->f->C_Encrypt(session, plain, sizeof(plain), ret_block, &len);
}

const struct RPV_FUNCTION_LIST *promise_vendor(struct harness *h)
{
    CK_C_GetInterface get;
    *(void **)&get = dlsym(h->dl, "C_GetInterface");
    CHECK(get != NULL);
    CK_INTERFACE *interface = NULL;
    CK_UTF8CHAR name[] = RPV_INTERFACE_NAME;
    OK(get(name, NULL, &interface, 0));
    return interface->pFunctionList;
}

void promise_audit(struct harness *h)
{
    unsigned long long events = 0, bad = 1;
    OK(promise_vendor(h)->RPV_VerifyAudit(&events, &bad));
    if (bad != 0 || events == 0)
        harness_fail(__FILE__, __LINE__, "audit: %llu events, first bad one %llu", events, bad);
}

static void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    CHECK(in != NULL && out != NULL);
    char buffer[65536];
    for (size_t n; (n = fread(buffer, 1, sizeof(buffer), in)) > 0;)
        CHECK(fwrite(buffer, 1, n, out) == n);
    fclose(in);
    CHECK(fclose(out) == 0);
    CHECK(chmod(to, 0600) == 0);
}

void promise_copy_dir(const char *from, const char *to)
{
    mkdir(to, 0700);
    DIR *dir = opendir(from);
    CHECK(dir != NULL);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char source[1024], target[1024];
        struct stat st;
        snprintf(source, sizeof(source), "%s/%s", from, e->d_name);
        snprintf(target, sizeof(target), "%s/%s", to, e->d_name);
        CHECK(stat(source, &st) == 0);
        if (S_ISREG(st.st_mode))
            copy_file(source, target);
    }
    closedir(dir);
}
