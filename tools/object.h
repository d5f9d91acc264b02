/* object.h: finding objects by what people call them, and telling what they are. */
#ifndef OBJECT_H
#define OBJECT_H
#include "client.h"

struct handles {
    CK_OBJECT_HANDLE *list;
    size_t n, cap;
};
void handles_auto(struct handles *handles);

/* Every object that the template finds, appended. */
enum outcome object_find(struct client *client, CK_ATTRIBUTE *attrs, CK_ULONG n,
                         struct handles *handles);

/* Of these at most `limit` (0: all), behind the one of this unique id (NULL: from the first). `more`
 * tells whether there are others behind them; the last one's unique id leads on. */
enum outcome object_page(struct client *client, CK_ATTRIBUTE *attrs, CK_ULONG n,
                         const char *after, size_t limit, struct handles *handles,
                         bool *ret_more);

/*
 * The one object called `name` among those the template finds. A name is a unique id or a label,
 * or says which it is: id=HEX (also 0xHEX), label=TEXT, uid=TEXT. When nothing or more than one
 * thing has that name the failure says so, with the candidates.
 */
enum outcome object_select(struct client *client, const char *name, CK_ATTRIBUTE *attrs,
                           CK_ULONG n, CK_OBJECT_HANDLE *ret_handle);

/* What is known of an object (uniqueId, class, keyType, label, id, state, deletedAt, ...). */
json_t *object_describe(struct client *client, CK_OBJECT_HANDLE handle);
/* The same, and what governs it and has come of it: dates, hold, lock, uses ... */
json_t *object_describe_all(struct client *client, CK_OBJECT_HANDLE handle);

/* "label" (class, unique id): an object in a sentence. */
void object_name(const json_t *object, char *ret_text, size_t size);

/* Class by the word that object_describe uses for it. */
bool object_class(const char *word, CK_OBJECT_CLASS *ret_class);

/* One attribute of any length. The caller frees with free(). */
enum outcome object_attribute(struct client *client, CK_OBJECT_HANDLE handle,
                              CK_ATTRIBUTE_TYPE type, unsigned char **ret_bytes,
                              size_t *ret_len);

/* Bytes of hexadecimal digits; false when they are not. */
bool hex_parse(const char *text, unsigned char *bytes, size_t cap, size_t *ret_len);
#endif
