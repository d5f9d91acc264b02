/* See der.h. */
#include "der.h"

#include <string.h>

static bool header_read(struct der in, uint8_t tag, size_t *ret_header, size_t *ret_content)
{
    if (in.n < 2 || in.p[0] != tag)
        return false;
    size_t header = 2, content = in.p[1];
    if (content & 0x80) {
        size_t bytes = content & 0x7f;
        if (bytes < 1 || bytes > 4 || in.n < 2 + bytes)
            return false;
        content = 0;
        for (size_t i = 0; i < bytes; i++)
            content = content << 8 | in.p[header++];
    }
    if (content > in.n - header)
        return false;
    *ret_header = header;
    *ret_content = content;
    return true;
}

bool der_take(struct der *in, uint8_t tag, struct der *ret_content)
{
    size_t header, content;
    if (!header_read(*in, tag, &header, &content))
        return false;
    *ret_content = (struct der){in->p + header, content};
    *in = (struct der){in->p + header + content, in->n - header - content};
    return true;
}

bool der_take_whole(struct der *in, uint8_t tag, struct der *ret_element)
{
    struct der before = *in, content;
    if (!der_take(in, tag, &content))
        return false;
    *ret_element = (struct der){before.p, before.n - in->n};
    return true;
}

bool der_take_uint(struct der *in, struct der *ret_magnitude)
{
    struct der rest = *in, value;
    if (!der_take(&rest, DER_INTEGER, &value) || value.n == 0 || value.p[0] & 0x80)
        return false;
    while (value.n > 0 && value.p[0] == 0)
        value = (struct der){value.p + 1, value.n - 1};
    *in = rest;
    *ret_magnitude = value;
    return true;
}

bool der_take_bits(struct der *in, struct der *ret_bytes)
{
    struct der rest = *in, value;
    if (!der_take(&rest, DER_BIT_STRING, &value) || value.n == 0 || value.p[0] != 0)
        return false;
    *in = rest;
    *ret_bytes = (struct der){value.p + 1, value.n - 1};
    return true;
}

bool der_equal(struct der a, const void *bytes, size_t len)
{
    return a.n == len && (len == 0 || memcmp(a.p, bytes, len) == 0);
}

void der_put(struct der_out *out, const void *bytes, size_t len)
{
    out->full = out->full || len > out->cap - out->used;
    if (out->full || len == 0)
        return;
    out->used += len;
    memcpy(out->buf + out->cap - out->used, bytes, len);
}

static void byte_put(struct der_out *out, size_t byte)
{
    uint8_t b = (uint8_t)byte;
    der_put(out, &b, 1);
}

void der_wrap(struct der_out *out, uint8_t tag, size_t mark)
{
    size_t len = out->used - mark, bytes = 0;
    if (len < 0x80) {
        byte_put(out, len);
    } else {
        for (size_t rest = len; rest > 0; rest >>= 8, bytes++)
            byte_put(out, rest & 0xff);
        byte_put(out, 0x80 | bytes);
    }
    byte_put(out, tag);
}

void der_put_uint(struct der_out *out, const uint8_t *magnitude, size_t len)
{
    size_t mark = out->used;
    while (len > 0 && magnitude[0] == 0) {
        magnitude++;
        len--;
    }
    der_put(out, magnitude, len);
    if (len == 0 || magnitude[0] & 0x80)
        byte_put(out, 0);
    der_wrap(out, DER_INTEGER, mark);
}

void der_put_octets(struct der_out *out, const void *bytes, size_t len)
{
    size_t mark = out->used;
    der_put(out, bytes, len);
    der_wrap(out, DER_OCTET_STRING, mark);
}

void der_wrap_bits(struct der_out *out, size_t mark)
{
    byte_put(out, 0);
    der_wrap(out, DER_BIT_STRING, mark);
}

bool der_finish(struct der_out *out, size_t *ret_len)
{
    if (out->full)
        return false;
    memmove(out->buf, out->buf + out->cap - out->used, out->used);
    *ret_len = out->used;
    return true;
}
