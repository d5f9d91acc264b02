/* text.h: the standard's fixed-width texts, padded with blanks and not terminated. */
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
#endif
