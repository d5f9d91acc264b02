#include "record.h"

#include <string.h>

/* ------------------------------------------------------------------ writer */

void writer_init(struct writer *w, uint8_t *data, size_t cap)
{
    *w = (struct writer){.data = data, .cap = cap};
}

/* Room for len more bytes, or NULL: then and ever after the writer has overflowed. */
static uint8_t *writer_take(struct writer *w, size_t len)
{
    if (w->overflow || len > w->cap - w->len) {
        w->overflow = true;
        return NULL;
    }
    uint8_t *at = w->data + w->len;
    w->len += len;
    return at;
}

static void put_integer(struct writer *w, uint64_t v, size_t len)
{
    uint8_t *at = writer_take(w, len);
    for (size_t i = len; at && i-- > 0; v >>= 8)
        at[i] = (uint8_t)v;
}

void put_u8(struct writer *w, uint8_t v)
{
    put_integer(w, v, 1);
}

void put_u32(struct writer *w, uint32_t v)
{
    put_integer(w, v, 4);
}

void put_u64(struct writer *w, uint64_t v)
{
    put_integer(w, v, 8);
}

void put_raw(struct writer *w, const void *data, size_t len)
{
    uint8_t *at = writer_take(w, len);
    if (at && len > 0)
        memcpy(at, data, len);
}

void put_bytes(struct writer *w, const void *data, size_t len)
{
    if (len > UINT32_MAX) {
        w->overflow = true;
        return;
    }
    put_u32(w, (uint32_t)len);
    put_raw(w, data, len);
}

void put_text(struct writer *w, const char *text)
{
    put_bytes(w, text, strlen(text));
}

bool writer_ok(const struct writer *w)
{
    return !w->overflow;
}

/* ------------------------------------------------------------------ reader */

void reader_init(struct reader *r, const uint8_t *data, size_t len)
{
    *r = (struct reader){.data = data, .len = len};
}

/* The next len bytes, or NULL: then and ever after the reader has failed. */
static const uint8_t *reader_take(struct reader *r, size_t len)
{
    if (r->failed || len > r->len - r->pos) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *at = r->data + r->pos;
    r->pos += len;
    return at;
}

static uint64_t get_integer(struct reader *r, size_t len)
{
    const uint8_t *at = reader_take(r, len);
    uint64_t v = 0;
    for (size_t i = 0; at && i < len; i++)
        v = v << 8 | at[i];
    return v;
}

uint8_t get_u8(struct reader *r)
{
    return (uint8_t)get_integer(r, 1);
}

uint32_t get_u32(struct reader *r)
{
    return (uint32_t)get_integer(r, 4);
}

uint64_t get_u64(struct reader *r)
{
    return get_integer(r, 8);
}

void get_raw(struct reader *r, void *ret_data, size_t len)
{
    const uint8_t *at = reader_take(r, len);
    if (len == 0)
        return;
    if (at)
        memcpy(ret_data, at, len);
    else
        memset(ret_data, 0, len);
}

const uint8_t *get_bytes(struct reader *r, size_t *ret_len)
{
    size_t len = get_u32(r);
    const uint8_t *at = reader_take(r, len);
    *ret_len = at ? len : 0;
    return at;
}

void get_text(struct reader *r, char *ret_text, size_t cap)
{
    size_t len;
    const uint8_t *at = get_bytes(r, &len);
    /* A NUL inside would make two different records read as the same text. */
    if (at && (len >= cap || (len > 0 && memchr(at, 0, len)))) {
        r->failed = true;
        len = 0;
    }
    if (cap == 0)
        return;
    if (len > 0)
        memcpy(ret_text, at, len);
    ret_text[len] = '\0';
}

bool reader_ok(const struct reader *r)
{
    return !r->failed;
}

bool reader_more(const struct reader *r)
{
    return !r->failed && r->pos < r->len;
}

bool reader_end(const struct reader *r)
{
    return !r->failed && r->pos == r->len;
}
