/*
 * der.h: just enough DER for PKCS#8, SubjectPublicKeyInfo, EC points and ECDSA signatures, in the
 * caller's memory: nothing is allocated, so nothing secret is left behind.
 */
#ifndef DER_H
#define DER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum der_tag {
    DER_INTEGER = 0x02, DER_BIT_STRING = 0x03, DER_OCTET_STRING = 0x04, DER_NULL = 0x05,
    DER_OID = 0x06, DER_PRINTABLE = 0x13, DER_SEQUENCE = 0x30, DER_CONTEXT_0 = 0xa0,
    DER_CONTEXT_1 = 0xa1,
};

/* Reading: what is left of an encoding. A function that returns false has moved nothing. */
struct der { const uint8_t *p; size_t n; };
/* The next element's content when it has this tag and fits. Lengths need not be minimal. */
bool der_take(struct der *in, uint8_t tag, struct der *ret_content);
/* The same with tag and length before the content. */
bool der_take_whole(struct der *in, uint8_t tag, struct der *ret_element);
/* A non-negative INTEGER, without leading zeros (zero: no bytes). */
bool der_take_uint(struct der *in, struct der *ret_magnitude);
/* A BIT STRING of whole bytes. */
bool der_take_bits(struct der *in, struct der *ret_bytes);
bool der_equal(struct der a, const void *bytes, size_t len);

/*
 * Writing goes backwards, from the buffer's end, so that a length is known when its header is
 * written: contents first, then der_wrap. Overflow sticks and shows in der_finish.
 */
struct der_out { uint8_t *buf; size_t cap, used; bool full; };
void der_put(struct der_out *out, const void *bytes, size_t len);
/* Makes one element of everything written since `used` was `mark`. */
void der_wrap(struct der_out *out, uint8_t tag, size_t mark);
void der_put_uint(struct der_out *out, const uint8_t *magnitude, size_t len);
void der_put_octets(struct der_out *out, const void *bytes, size_t len);
/* As BIT STRING what was written since mark. */
void der_wrap_bits(struct der_out *out, size_t mark);
/* Moves the encoding to the buffer's start; false when it did not fit. */
bool der_finish(struct der_out *out, size_t *ret_len);
#endif
