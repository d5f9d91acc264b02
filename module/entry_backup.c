/* entry_backup.c: the vendor interface's functions on backup and restore. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"
#include "vendor.h"

#define PATH_SIZE 4096

/* ------------------------------------------------------------------ what they share */

struct blob_call {
    RPV_PROGRESS notify;
    void *application;
    struct vs_blob_key keys[VS_BLOB_KEYS_MAX];
    struct attr_set *attrs;      /* of the object being restored */
    struct secret bytes, joined;
    struct out_file *out;        /* of a backup */
};

static void blob_call_auto(struct blob_call *b)
{
    attr_set_free(b->attrs);
    secret_done(&b->bytes);
    secret_done(&b->joined);
}

static CK_RV keys_in(struct blob_call *b, const struct RPV_BLOB_KEY *keys, CK_ULONG n)
{
    if (n > VS_BLOB_KEYS_MAX || (n > 0 && !keys))
        return trace_fail(CKR_ARGUMENTS_BAD, "%lu keys, and %u are the most", n, VS_BLOB_KEYS_MAX);
    for (CK_ULONG i = 0; i < n; i++)
        b->keys[i] = (struct vs_blob_key){keys[i].pKey, keys[i].ulKeyLen};
    return CKR_OK;
}

static int progress_out(void *ctx, const struct vs_progress *progress)
{
    const struct blob_call *b = ctx;
    struct RPV_PROGRESS_INFO out = {.done = progress->done, .total = progress->total,
                                    .ulClass = CK_UNAVAILABLE_INFORMATION};
    if (!b->notify)
        return 0;
    if (progress->object) {
        text_hex(out.uniqueId, progress->object->id.b, sizeof(progress->object->id.b));
        out.ulClass = progress->object->kind;
    }
    static const struct {
        int status;
        const char *word;
    } words[] = {{VS_OK, "ok"}, {VS_WRONG_STATE, "exists"}, {VS_NOT_FOUND, "purged"},
                 {VS_LOCKED, "locked"}, {VS_POLICY, "other key"}, {VS_STALE, "changed"}};
    const char *word = vs_status_name(progress->status);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (words[i].status == progress->status)
            word = words[i].word;
    snprintf(out.result, sizeof(out.result), "%s", word);
    return b->notify(b->application, &out) == CKR_OK ? 0 : 1;
}

static CK_RV blob_status(int status, const char *what)
{
    switch (status) {
    case VS_END:
        return trace_fail(CKR_FUNCTION_CANCELED, "%s: stopped by the application", what);
    case VS_DENIED:
        return trace_fail(CKR_ACTION_PROHIBITED, "%s: who is logged in lacks the verb %s (strict vaults, and settings: "
                          "or policy)", what, what);
    case VS_E_CORRUPT:
        return trace_fail(CKR_DATA_INVALID, "%s: the backup is damaged, or none", what);
    case VS_E_VERSION:
        return trace_fail(CKR_DATA_INVALID, "%s: the backup's format is newer", what);
    default:
        return store_status(status, what);
    }
}

/* ------------------------------------------------------------------ backup */

/* A file that is there only once it is whole and synced. */
struct out_file {
    const char *path;            /* NULL: the application's own descriptor */
    char temporary[PATH_SIZE];
    int fd;
    CK_RV rv;                    /* why it could not be settled */
};

static void out_file_auto(struct out_file *out)
{
    if (!out->path)
        return;
    if (out->fd >= 0)
        close(out->fd);
    if (out->temporary[0] != 0)
        unlink(out->temporary);
}

static CK_RV io_fail(const char *path)
{
    int error = errno;
    return trace_fail(error == ENOSPC || error == EDQUOT ? CKR_DEVICE_MEMORY : CKR_FUNCTION_FAILED,
                      "%s: %s", path, strerror(error));
}

static CK_RV out_open(struct out_file *out)
{
    if (!out->path)
        return CKR_OK;
    if (access(out->path, F_OK) == 0)
        return trace_fail(CKR_FUNCTION_REJECTED, "%s exists", out->path);
    if (snprintf(out->temporary, PATH_SIZE, "%s.XXXXXX", out->path) >= PATH_SIZE) {
        out->temporary[0] = 0;
        return trace_fail(CKR_ARGUMENTS_BAD, "the path is too long");
    }
    out->fd = mkostemp(out->temporary, O_CLOEXEC);
    if (out->fd >= 0)
        return CKR_OK;
    out->temporary[0] = 0;
    return io_fail(out->path);
}

/* Where directories are not synced, or not by those who may not read them, the file is as whole as it
 * gets; that is no reason to do without it. */
static bool sync_refused(int error)
{
    return error == EINVAL || error == EBADF || error == EROFS || error == ENOTSUP;
}

/* The name is on disk, too. */
static CK_RV directory_sync(const char *path)
{
    char dir[PATH_SIZE];
    const char *slash = strrchr(path, '/');
    int len = slash == path ? 1 : slash ? (int)(slash - path) : 1;
    snprintf(dir, sizeof(dir), "%.*s", len, slash ? path : ".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)                          /* a directory to drop files into cannot be read */
        return errno == EACCES || errno == EPERM ? CKR_OK : io_fail(dir);
    CK_RV rv = fsync(fd) == 0 || sync_refused(errno) ? CKR_OK : io_fail(dir);
    close(fd);
    return rv;
}

/* Not over what came to be there meanwhile. Where the file system cannot promise that of a rename (NFS),
 * a second name is one that was not there. */
static bool out_rename(struct out_file *out)
{
    if (renameat2(AT_FDCWD, out->temporary, AT_FDCWD, out->path, RENAME_NOREPLACE) != 0 &&
        ((errno != EINVAL && errno != ENOSYS) || link(out->temporary, out->path) != 0))
        return false;
    unlink(out->temporary);
    out->temporary[0] = 0;
    return true;
}

static CK_RV out_settle(struct out_file *out)
{
    /* what cannot be synced, a pipe, is the application's affair */
    if (fsync(out->fd) != 0 && (out->path || (errno != EINVAL && errno != EROFS)))
        return io_fail(out->path ? out->path : "the descriptor");
    if (!out->path)
        return CKR_OK;
    if (!out_rename(out))
        return io_fail(out->path);
    CK_RV rv = directory_sync(out->path);
    if (rv != CKR_OK)
        unlink(out->path);
    return rv;
}

static CK_RV backup_ids(struct call *call, const CK_OBJECT_HANDLE *handles, CK_ULONG n,
                        struct vs_id *ids)
{
    for (CK_ULONG i = 0; i < n; i++) {
        AUTO(object) struct object *object = NULL;
        TRY(object_get_any(call, handles[i], &object));
        if ((object->bits & OBJ_TOKEN) == 0)
            return trace_fail(CKR_OBJECT_HANDLE_INVALID, "a session object has no backup");
        ids[i] = object->header.id;
    }
    return CKR_OK;
}

static CK_RV backup_run(struct call *call, struct vs_backup *ask, uint64_t *done, bool *marked)
{
    struct slot *slot = call->session->slot;
    pthread_rwlock_rdlock(&slot->lock);
    int status = vs_backup(module_state()->store, (uint32_t)slot->id, slot->login, ask, done,
                           marked);
    pthread_rwlock_unlock(&slot->lock);
    if (status == VS_POLICY)
        return trace_fail(CKR_ARGUMENTS_BAD, "a key that cannot be used (RSA of 2048 bits and "
                                             "more, EC, X25519, X448), or a threshold that is "
                                             "more than the keys");
    return blob_status(status, "backup");
}

static int settle(void *ctx)
{
    struct blob_call *b = ctx;
    b->out->rv = out_settle(b->out);
    return b->out->rv == CKR_OK ? VS_OK : VS_E_IO;
}

static CK_RV backup_to(struct call *call, const struct RPV_BACKUP *in, struct blob_call *b,
                       struct vs_backup *ask, unsigned long long *objects)
{
    AUTO(out_file) struct out_file out = {.path = in->pPath, .fd = in->pPath ? -1 : in->fd,
                                          .rv = CKR_OK};
    uint64_t done = 0;
    TRY(out_open(&out));
    b->out = &out;
    ask->fd = out.fd;
    bool marked = true;
    CK_RV rv = backup_run(call, ask, &done, &marked);
    if (out.rv != CKR_OK)
        return out.rv;
    TRY(rv);
    *objects = done;
    return marked ? CKR_OK
                  : trace_fail(CKR_OK, "the backup is whole; not everything in it could be marked "
                                       "as backed up");
}

static CK_RV backup(struct call *call, const CK_OBJECT_HANDLE *handles, CK_ULONG n,
                    const struct RPV_BACKUP *in, unsigned long long *objects)
{
    AUTO(blob_call) struct blob_call b = {0};
    if (!in || !objects || (n > 0 && !handles) || in->ulThreshold > VS_BLOB_KEYS_MAX)
        return trace_fail(CKR_ARGUMENTS_BAD, "an argument is NULL, or the threshold too high");
    b.notify = in->Notify;
    b.application = in->pApplication;
    TRY(keys_in(&b, in->pKeys, in->ulKeys));
    struct vs_id *ids = NULL;
    TRY(array_alloc(handles, n, sizeof(*handles), sizeof(*ids), &ids));
    struct vs_backup ask = {.ids = ids, .n_ids = n, .keys = b.keys, .n_keys = in->ulKeys,
                            .threshold = (uint32_t)in->ulThreshold, .progress = progress_out,
                            .settle = settle, .ctx = &b};
    CK_RV rv = backup_ids(call, handles, n, ids);
    if (rv == CKR_OK)
        rv = backup_to(call, in, &b, &ask, objects);
    free(ids);
    return rv;
}

CK_RV RPV_Backup(CK_SESSION_HANDLE hSession, const CK_OBJECT_HANDLE *phObjects, CK_ULONG ulCount,
                 const struct RPV_BACKUP *pBackup, unsigned long long *pObjects)
{
    CALL_SESSION(RPV_Backup, hSession);
    return call_end(&call, backup(&call, phObjects, ulCount, pBackup, pObjects));
}

/* ------------------------------------------------------------------ show */

static CK_RV in_open(const char *path, int fd, int *ret_fd)
{
    *ret_fd = path ? open(path, O_RDONLY | O_CLOEXEC) : fd;
    return *ret_fd >= 0 ? CKR_OK : io_fail(path ? path : "the descriptor");
}

static void label_out(char ret_text[33], const uint8_t label[32])
{
    size_t len = 32;
    while (len > 0 && label[len - 1] == ' ')
        len--;
    memcpy(ret_text, label, len);
    ret_text[len] = 0;
}

static struct RPV_BACKUP_INFO info_out(const struct vs_blob_info *info)
{
    struct RPV_BACKUP_INFO out = {
        .ulFormat = info->format,
        .createdAt = info->created_at,
        .ulGeneration = info->generation,
        .bWhole = info->whole,
        .objects = info->objects,
        .auditSeq = info->audit_seq,
        .ulThreshold = info->threshold,
        .ulKeys = info->n_keys,
    };
    text_hex(out.id, info->id, sizeof(info->id));
    memcpy(out.createdBy, info->created_by, sizeof(out.createdBy));
    memcpy(out.serial, info->serial, sizeof(info->serial));
    label_out(out.label, info->label);
    text_hex(out.auditHash, info->audit_hash, sizeof(info->audit_hash));
    for (size_t i = 0; i < info->n_keys; i++) {
        out.keys[i].ulKind = info->keys[i].kind;
        text_hex(out.keys[i].fingerprint, info->keys[i].fingerprint, 32);
    }
    return out;
}

static CK_RV show(const char *path, int fd, struct RPV_BACKUP_INFO *ret_info)
{
    struct vs_blob_info info;
    int in = -1;
    if (!ret_info)
        return trace_fail(CKR_ARGUMENTS_BAD, "pInfo is NULL");
    TRY(in_open(path, fd, &in));
    CK_RV rv = blob_status(vs_backup_show(module_state()->store, in, &info), "backup");
    if (path)
        close(in);
    if (rv == CKR_OK)
        *ret_info = info_out(&info);
    return rv;
}

CK_RV RPV_ShowBackup(const char *pPath, int fd, struct RPV_BACKUP_INFO *pInfo)
{
    CALL(RPV_ShowBackup);
    return call_end(&call, show(pPath, fd, pInfo));
}

/* ------------------------------------------------------------------ restore */

/* What makes a key the key it is: a replacement that differs here would end it. */
static const CK_ATTRIBUTE_TYPE IDENTITY[] = {
    CKA_CLASS, CKA_KEY_TYPE, CKA_PRIVATE, CKA_VALUE, CKA_MODULUS, CKA_PUBLIC_EXPONENT,
    CKA_PRIVATE_EXPONENT, CKA_EC_PARAMS, CKA_EC_POINT,
};

/* One-way attributes do not go back: from the first value no more to the other. */
static const struct { CK_ATTRIBUTE_TYPE type; bool stays; } ONE_WAY[] = {
    {CKA_SENSITIVE, true}, {CKA_EXTRACTABLE, false}, {CKA_WRAP_WITH_TRUSTED, true},
    {CKA_COPYABLE, false}, {CKA_DESTROYABLE, false}, {CKA_TRUSTED, false},
};

static bool is_key(const struct attr_set *attrs)
{
    CK_OBJECT_CLASS cls = attr_set_ulong(attrs, CKA_CLASS, CKO_DATA);
    return cls == CKO_SECRET_KEY || cls == CKO_PRIVATE_KEY || cls == CKO_PUBLIC_KEY;
}

static bool same_attr(const struct attr *a, const struct attr *b)
{
    return (!a && !b) || (a && b && a->len == b->len && memcmp(a->value, b->value, a->len) == 0);
}

static int may_replace(const struct attr_set *former, const struct attr_set *attrs)
{
    for (size_t i = 0; i < sizeof(IDENTITY) / sizeof(IDENTITY[0]); i++)
        if (is_key(former) &&
            !same_attr(attr_set_find(former, IDENTITY[i]), attr_set_find(attrs, IDENTITY[i])))
            return VS_POLICY;
    for (size_t i = 0; i < sizeof(ONE_WAY) / sizeof(ONE_WAY[0]); i++) {
        CK_ATTRIBUTE_TYPE type = ONE_WAY[i].type;
        bool stays = ONE_WAY[i].stays;
        if (attr_set_find(former, type) && attr_set_bool(former, type, !stays) == stays &&
            attr_set_bool(attrs, type, !stays) != stays)
            return VS_POLICY;
    }
    return VS_OK;
}

/* Whoever had the public key could have made the blob: only the SO's word makes a key trusted. */
static CK_RV distrust(struct blob_call *b)
{
    AUTO(attr_list) struct attr_list list;
    struct attr_set *plain = NULL;
    attr_list_init(&list);
    TRY(attr_list_from_set(&list, b->attrs));
    TRY(attr_put_bool(&list, CKA_TRUSTED, false));
    TRY(attr_set_new(&list, &plain));
    attr_set_free(b->attrs);
    b->attrs = plain;
    return CKR_OK;
}

static int former_allows(const struct blob_call *b, const uint8_t *former, size_t len)
{
    struct attr_set *attrs = NULL;
    if (!former)
        return VS_OK;
    if (object_decode(former, len, &attrs) != CKR_OK)
        return VS_E_CORRUPT;
    int status = may_replace(attrs, b->attrs);
    attr_set_free(attrs);
    return status;
}

static int adopt(void *ctx, const struct vs_header *header, bool authentic, const uint8_t *attrs,
                 size_t len, const uint8_t *former, size_t former_len,
                 struct vs_adopted *ret_adopted)
{
    struct blob_call *b = ctx;
    attr_set_free(b->attrs);
    b->attrs = NULL;
    if (object_decode(attrs, len, &b->attrs) != CKR_OK ||
        attr_set_ulong(b->attrs, CKA_CLASS, CK_UNAVAILABLE_INFORMATION) != header->kind ||
        attr_set_bool(b->attrs, CKA_PRIVATE, false) != header->is_private)
        return VS_E_CORRUPT;
    if (!authentic && attr_set_bool(b->attrs, CKA_TRUSTED, false) && distrust(b) != CKR_OK)
        return VS_E_NOMEM;
    VS_TRY(former_allows(b, former, former_len));
    if (object_encode(b->attrs, &b->bytes) != CKR_OK ||
        object_terms(b->attrs, &b->joined, ret_adopted->terms, &ret_adopted->n_terms) != CKR_OK)
        return VS_E_NOMEM;
    ret_adopted->attrs = b->bytes.data;
    ret_adopted->attrs_len = b->bytes.len;
    return VS_OK;
}

static CK_RV restore_run(struct call *call, const struct vs_restore *ask,
                         unsigned long long *restored)
{
    struct slot *slot = call->session->slot;
    uint64_t n = 0;
    pthread_rwlock_rdlock(&slot->lock);
    int status = vs_restore(module_state()->store, (uint32_t)slot->id, slot->login, ask, &n);
    pthread_rwlock_unlock(&slot->lock);
    if (status == VS_WRONG_STATE)
        return trace_fail(CKR_ACTION_PROHIBITED, ask->replace
                              ? "restore: what exists cannot be replaced by what is in the backup"
                              : "restore: there is already something of the backup's");
    if (status == VS_POLICY && !ask->settings)
        return trace_fail(CKR_KEY_NEEDED, "restore: the keys given do not open the backup");
    TRY(blob_status(status, "restore"));
    *restored = n;
    return CKR_OK;
}

static CK_RV restore(struct call *call, const struct RPV_RESTORE *in, unsigned long long *restored)
{
    AUTO(blob_call) struct blob_call b = {0};
    int fd = -1;
    if (!in || !restored)
        return trace_fail(CKR_ARGUMENTS_BAD, "an argument is NULL");
    if (!session_rw(call->session))
        return trace_fail(CKR_SESSION_READ_ONLY, "a restore needs a read-write session");
    b.notify = in->Notify;
    b.application = in->pApplication;
    TRY(keys_in(&b, in->pKeys, in->ulKeys));
    TRY(in_open(in->pPath, in->fd, &fd));
    const struct vs_restore ask = {
        .fd = fd, .keys = b.keys, .n_keys = in->ulKeys, .replace = in->bReplace != CK_FALSE,
        .dry_run = in->bDryRun != CK_FALSE, .settings = in->bSettings != CK_FALSE,
        .adopt = adopt, .progress = progress_out, .ctx = &b};
    CK_RV rv = restore_run(call, &ask, restored);
    if (in->pPath)
        close(fd);
    return rv;
}

CK_RV RPV_Restore(CK_SESSION_HANDLE hSession, const struct RPV_RESTORE *pRestore,
                  unsigned long long *pRestored)
{
    CALL_SESSION(RPV_Restore, hSession);
    return call_end(&call, restore(&call, pRestore, pRestored));
}
