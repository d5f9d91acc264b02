/* text.h: the standard's fixed-width texts, padded with blanks and not terminated; and hexadecimal. */
#ifndef TEXT_H
#define TEXT_H
#include <string.h>
#include "cryptoki.h"

static inline void text_pad(CK_UTF8CHAR *ret_field, size_t width, const char *text)
{
    size_t len = strlen(text);
    memset(ret_field, ' ', width);
    memcpy(ret_field, text, len < width ? len : width);
}

/* 2 * len digits and a terminator. */
static inline void text_hex(char *ret_text, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[2 * len] = 0;
}
#endif
