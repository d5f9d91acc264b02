#include "object.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "when.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define TEMPLATE_MAX 12

/* ------------------------------------------------------------------ words for numbers */

struct word {
    CK_ULONG number;
    const char *word;
};

static const struct word classes[] = {
    {CKO_DATA, "data"},           {CKO_CERTIFICATE, "certificate"}, {CKO_PUBLIC_KEY, "public"},
    {CKO_PRIVATE_KEY, "private"}, {CKO_SECRET_KEY, "secret"},       {0, NULL},
};
static const struct word key_types[] = {
    {CKK_RSA, "RSA"},
    {CKK_EC, "EC"},
    {CKK_EC_EDWARDS, "EC-Edwards"},
    {CKK_EC_MONTGOMERY, "EC-Montgomery"},
    {CKK_AES, "AES"},
    {CKK_GENERIC_SECRET, "generic"},
    {0, NULL},
};
static const struct word states[] = {
    {RPV_STATE_PREACTIVE, "not yet active"},
    {RPV_STATE_ACTIVE, "active"},
    {RPV_STATE_DISABLED, "disabled"},
    {RPV_STATE_EXPIRED, "expired"},
    {RPV_STATE_DELETED, "deleted"},
    {0, NULL},
};
static const struct word levels[] = {
    {RPV_LEVEL_PURGEABLE, "purgeable at once"},
    {RPV_LEVEL_RECOVERABLE_PURGEABLE, "recoverable, purgeable by permission"},
    {RPV_LEVEL_RECOVERABLE, "recoverable, protected from purge"},
    {RPV_LEVEL_RECOVERABLE_HELD, "recoverable, on hold"},
    {0, NULL},
};
static const struct word locks[] = {
    {0, "none"}, {1, "no delete"}, {2, "read only"}, {0, NULL},
};
static const struct word origins[] = {
    {RPV_ORIGIN_GENERATED, "generated"}, {RPV_ORIGIN_CREATED, "created"},
    {RPV_ORIGIN_UNWRAPPED, "unwrapped"}, {RPV_ORIGIN_DERIVED, "derived"},
    {RPV_ORIGIN_RESTORED, "restored"},   {0, NULL},
};

bool object_class(const char *word, CK_OBJECT_CLASS *ret_class)
{
    for (const struct word *row = classes; row->word != NULL; row++) {
        if (strcmp(row->word, word) == 0) {
            *ret_class = row->number;
            return true;
        }
    }
    return false;
}

static json_t *word_for(const struct word *words, CK_ULONG number)
{
    for (; words->word != NULL; words++)
        if (words->number == number)
            return json_string(words->word);
    return json_sprintf("0x%lx", number);
}

/* ------------------------------------------------------------------ describing */

enum shape { SHAPE_TEXT, SHAPE_HEX, SHAPE_TIME, SHAPE_NUMBER, SHAPE_WORD, SHAPE_SWITCH };

static const struct {
    CK_ATTRIBUTE_TYPE type;
    const char *key;
    enum shape shape;
    const struct word *words;
} described[] = {
    {CKA_UNIQUE_ID, "uniqueId", SHAPE_TEXT, NULL},
    {CKA_CLASS, "class", SHAPE_WORD, classes},
    {CKA_KEY_TYPE, "keyType", SHAPE_WORD, key_types},
    {CKA_LABEL, "label", SHAPE_TEXT, NULL},
    {CKA_ID, "id", SHAPE_HEX, NULL},
    {CKA_RPV_STATE, "state", SHAPE_WORD, states},
    {CKA_RPV_ORIGIN, "origin", SHAPE_WORD, origins},
    {CKA_RPV_DELETED_AT, "deletedAt", SHAPE_TIME, NULL},
    {CKA_RPV_DELETED_BY, "deletedBy", SHAPE_TEXT, NULL},
    {CKA_RPV_PURGE_AT, "purgeAt", SHAPE_TIME, NULL},
    {CKA_RPV_RECOVERY_LEVEL, "recoveryLevel", SHAPE_WORD, levels},
    {CKA_RPV_RECOVERABLE_DAYS, "recoverableDays", SHAPE_NUMBER, NULL},
    {CKA_RPV_VERSION, "version", SHAPE_NUMBER, NULL},
    /* from here on by object_describe_all alone */
    {CKA_RPV_ENABLED, "enabled", SHAPE_SWITCH, NULL},
    {CKA_RPV_NOT_BEFORE, "notBefore", SHAPE_TIME, NULL},
    {CKA_RPV_NOT_AFTER, "notAfter", SHAPE_TIME, NULL},
    {CKA_RPV_HOLD, "hold", SHAPE_SWITCH, NULL},
    {CKA_RPV_LOCK, "lock", SHAPE_WORD, locks},
    {CKA_RPV_HONEYTOKEN, "honeytoken", SHAPE_SWITCH, NULL},
    {CKA_RPV_ROTATE_DAYS, "rotateDays", SHAPE_NUMBER, NULL},
    {CKA_RPV_BACKED_UP, "backedUp", SHAPE_SWITCH, NULL},
    {CKA_RPV_USE_COUNT, "useCount", SHAPE_NUMBER, NULL},
    {CKA_RPV_LAST_USED, "lastUsed", SHAPE_TIME, NULL},
    {CKA_RPV_DELETE_REASON, "deleteReason", SHAPE_TEXT, NULL},
};
#define DESCRIBED_BRIEFLY 13

static json_t *attribute_json(size_t row, const void *value, CK_ULONG len)
{
    CK_ULONG number = 0;
    long long time = 0;

    if (len == 0)
        return json_null();
    switch (described[row].shape) {
    case SHAPE_TEXT:
        return output_bytes_text(value, len);
    case SHAPE_HEX:
        return output_hex(value, len);
    case SHAPE_TIME:
        return when_parse_utc16(value, len, &time) ? output_time(time) : NULL;
    case SHAPE_SWITCH:
        return json_boolean(*(const CK_BBOOL *)value != CK_FALSE);
    default:
        if (len != sizeof(number))
            return NULL;
        memcpy(&number, value, sizeof(number));
        return described[row].shape == SHAPE_WORD ? word_for(described[row].words, number)
                                                  : json_integer((json_int_t)number);
    }
}

static void describe_one(struct client *client, CK_OBJECT_HANDLE handle, size_t row,
                         json_t *object)
{
    struct failure kept = client->failure; /* an attribute that is not there is no failure */
    unsigned char *bytes = NULL;
    size_t len = 0;

    if (object_attribute(client, handle, described[row].type, &bytes, &len) == OUTCOME_OK)
        json_object_set_new(object, described[row].key, attribute_json(row, bytes, len));
    client->failure = kept;
    free(bytes);
}

static json_t *describe(struct client *client, CK_OBJECT_HANDLE handle, CK_ULONG n)
{
    unsigned char values[COUNT_OF(described)][256];
    CK_ATTRIBUTE attrs[COUNT_OF(described)];
    json_t *object = json_object();
    CK_RV rv = CKR_OK;

    for (size_t i = 0; i < n; i++)
        attrs[i] = (CK_ATTRIBUTE){described[i].type, values[i], sizeof(values[i])};
    rv = client->f->C_GetAttributeValue(client->session, handle, attrs, n);
    for (size_t i = 0; i < n; i++) {
        if (attrs[i].ulValueLen <= sizeof(values[i]))
            json_object_set_new(object, described[i].key,
                                attribute_json(i, values[i], attrs[i].ulValueLen));
        else if (rv == CKR_BUFFER_TOO_SMALL)
            describe_one(client, handle, i, object);
    }
    return object;
}

json_t *object_describe(struct client *client, CK_OBJECT_HANDLE handle)
{
    return describe(client, handle, DESCRIBED_BRIEFLY);
}

json_t *object_describe_all(struct client *client, CK_OBJECT_HANDLE handle)
{
    return describe(client, handle, COUNT_OF(described));
}

static const char *text_of(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL && text[0] != '\0' ? text : otherwise;
}

void object_name(const json_t *object, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "\"%s\" (%s, %s)", text_of(object, "label", ""),
             text_of(object, "class", "object"), text_of(object, "uniqueId", "no unique id"));
}

enum outcome object_attribute(struct client *client, CK_OBJECT_HANDLE handle,
                              CK_ATTRIBUTE_TYPE type, unsigned char **ret_bytes,
                              size_t *ret_len)
{
    CK_ATTRIBUTE attr = {type, NULL, 0};
    CK_RV rv = client->f->C_GetAttributeValue(client->session, handle, &attr, 1);

    if (rv != CKR_OK)
        return client_check(client, "C_GetAttributeValue", rv);
    attr.pValue = malloc(attr.ulValueLen + 1);
    if (attr.pValue == NULL)
        return failure_set(&client->failure, OUTCOME_FAILED, "MEMORY", "out of memory");
    rv = client->f->C_GetAttributeValue(client->session, handle, &attr, 1);
    if (rv != CKR_OK) {
        free(attr.pValue);
        return client_check(client, "C_GetAttributeValue", rv);
    }
    *ret_bytes = attr.pValue;
    *ret_len = attr.ulValueLen;
    return OUTCOME_OK;
}

/* ------------------------------------------------------------------ finding */

void handles_auto(struct handles *handles)
{
    free(handles->list);
}

static bool handles_add(struct handles *handles, CK_OBJECT_HANDLE handle)
{
    for (size_t i = 0; i < handles->n && handles->n < 64; i++)
        if (handles->list[i] == handle)
            return true;
    if (handles->n == handles->cap) {
        size_t cap = handles->cap == 0 ? 64 : 2 * handles->cap;
        CK_OBJECT_HANDLE *list = reallocarray(handles->list, cap, sizeof(*list));

        if (list == NULL)
            return false;
        handles->list = list;
        handles->cap = cap;
    }
    handles->list[handles->n++] = handle;
    return true;
}

struct page {
    const char *after;          /* NULL: the page has begun */
    size_t limit;
    struct handles *handles;
    bool more;
};

static bool is_called(struct client *client, CK_OBJECT_HANDLE handle, const char *unique_id)
{
    char text[64];
    CK_ATTRIBUTE attr = {CKA_UNIQUE_ID, text, sizeof(text)};

    return client->f->C_GetAttributeValue(client->session, handle, &attr, 1) == CKR_OK &&
           attr.ulValueLen == strlen(unique_id) &&
           memcmp(text, unique_id, attr.ulValueLen) == 0;
}

/* False when memory is out. */
static bool page_add(struct client *client, struct page *page, CK_OBJECT_HANDLE handle)
{
    if (page->after != NULL) {
        if (is_called(client, handle, page->after))
            page->after = NULL;
        return true;
    }
    page->more = page->limit != 0 && page->handles->n == page->limit;
    return page->more || handles_add(page->handles, handle);
}

enum outcome object_page(struct client *client, CK_ATTRIBUTE *attrs, CK_ULONG n,
                         const char *after, size_t limit, struct handles *handles, bool *ret_more)
{
    struct page page = {.after = after, .limit = limit, .handles = handles};
    CK_OBJECT_HANDLE batch[64];
    CK_ULONG got = 0;
    bool room = true;
    CK_RV rv = client->f->C_FindObjectsInit(client->session, attrs, n);

    if (rv != CKR_OK)
        return client_check(client, "C_FindObjectsInit", rv);
    do {
        rv = client->f->C_FindObjects(client->session, batch, COUNT_OF(batch), &got);
        for (CK_ULONG i = 0; rv == CKR_OK && i < got && room && !page.more; i++)
            room = page_add(client, &page, batch[i]);
    } while (rv == CKR_OK && got > 0 && room && !page.more);
    client->f->C_FindObjectsFinal(client->session);
    if (!room)
        return failure_set(&client->failure, OUTCOME_FAILED, "MEMORY", "out of memory");
    if (rv == CKR_OK && page.after != NULL)
        return failure_set(&client->failure, OUTCOME_NOT_FOUND, "OBJECT_NOT_FOUND",
                           "\"%s\" is not among them (any more): begin anew without --after",
                           page.after);
    *ret_more = page.more;
    return client_check(client, "C_FindObjects", rv);
}

enum outcome object_find(struct client *client, CK_ATTRIBUTE *attrs, CK_ULONG n,
                         struct handles *handles)
{
    bool more;

    return object_page(client, attrs, n, NULL, 0, handles, &more);
}

bool hex_parse(const char *text, unsigned char *bytes, size_t cap, size_t *ret_len)
{
    size_t n = strlen(text) / 2;
    char pair[3] = "";

    if (strlen(text) % 2 != 0 || n == 0 || n > cap ||
        strspn(text, "0123456789abcdefABCDEF") != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        memcpy(pair, text + 2 * i, 2);
        bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    *ret_len = n;
    return true;
}

/* How a name may say what it is; without a prefix it is tried as each of the last rows. */
static const struct {
    const char *prefix;
    CK_ATTRIBUTE_TYPE type;
    bool hex;
} name_kinds[] = {
    {"id=", CKA_ID, true},         {"0x", CKA_ID, true},
    {"label=", CKA_LABEL, false},  {"uid=", CKA_UNIQUE_ID, false},
    {"", CKA_UNIQUE_ID, false},    {"", CKA_LABEL, false},
};

static enum outcome find_as(struct client *client, size_t kind, const char *text,
                            CK_ATTRIBUTE *attrs, CK_ULONG n, struct handles *handles)
{
    CK_ATTRIBUTE all[TEMPLATE_MAX];
    unsigned char id[256];
    size_t len = strlen(text);
    const void *value = text;

    if (name_kinds[kind].hex) {
        if (!hex_parse(text, id, sizeof(id), &len))
            return failure_set(&client->failure, OUTCOME_USAGE, "USAGE",
                               "\"%s\" is not an id in hexadecimal", text);
        value = id;
    }
    if (n > 0)
        memcpy(all, attrs, n * sizeof(*attrs));
    all[n] = (CK_ATTRIBUTE){name_kinds[kind].type, (void *)(uintptr_t)value, len};
    return object_find(client, all, n + 1, handles);
}

static enum outcome find_called(struct client *client, const char *name, CK_ATTRIBUTE *attrs,
                                CK_ULONG n, struct handles *handles)
{
    enum outcome outcome = OUTCOME_OK;

    for (size_t i = 0; i < COUNT_OF(name_kinds) && outcome == OUTCOME_OK; i++) {
        size_t len = strlen(name_kinds[i].prefix);

        if (len > 0 && strncmp(name, name_kinds[i].prefix, len) == 0)
            return find_as(client, i, name + len, attrs, n, handles);
        if (len == 0)
            outcome = find_as(client, i, name, attrs, n, handles);
    }
    return outcome;
}

static enum outcome ambiguous(struct client *client, const char *name,
                              const struct handles *handles)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < handles->n; i++)
        json_array_append_new(rows, object_describe(client, handles->list[i]));
    failure_set(&client->failure, OUTCOME_NOT_FOUND, "OBJECT_AMBIGUOUS",
                "%zu objects are called \"%s\"; nothing was done", handles->n, name);
    failure_hint(&client->failure, "give the unique id of the one you mean, or narrow it with "
                 "--class private, public, secret, certificate or data");
    client->failure.candidates = rows;
    return OUTCOME_NOT_FOUND;
}

enum outcome object_select(struct client *client, const char *name, CK_ATTRIBUTE *attrs,
                           CK_ULONG n, CK_OBJECT_HANDLE *ret_handle)
{
    AUTO(handles) struct handles handles = {0};
    enum outcome outcome = find_called(client, name, attrs, n, &handles);

    if (outcome != OUTCOME_OK)
        return outcome;
    if (handles.n > 1)
        return ambiguous(client, name, &handles);
    if (handles.n == 0)
        return failure_set(&client->failure, OUTCOME_NOT_FOUND, "OBJECT_NOT_FOUND",
                           "no such object is called \"%s\"", name);
    *ret_handle = handles.list[0];
    return OUTCOME_OK;
}
