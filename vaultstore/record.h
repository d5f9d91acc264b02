/*
 * record.h: the length-checked byte codec of everything stored. Big-endian integers; byte strings
 * carry a 32-bit length. A reader never runs past its end: after the first short read every
 * further read gives zero and reader_ok() is false; a writer that overflows says so likewise.
 */
#ifndef RECORD_H
#define RECORD_H
#include "vaultstore.h"

struct writer { uint8_t *data; size_t cap, len; bool overflow; };
void writer_init(struct writer *w, uint8_t *data, size_t cap);
void put_u8(struct writer *w, uint8_t v);
void put_u32(struct writer *w, uint32_t v);
void put_u64(struct writer *w, uint64_t v);
void put_raw(struct writer *w, const void *data, size_t len);      /* fixed length, no prefix */
void put_bytes(struct writer *w, const void *data, size_t len);    /* with a 32-bit length */
void put_text(struct writer *w, const char *text);                 /* bytes, without the NUL */
bool writer_ok(const struct writer *w);

struct reader { const uint8_t *data; size_t len, pos; bool failed; };
void reader_init(struct reader *r, const uint8_t *data, size_t len);
uint8_t get_u8(struct reader *r);
uint32_t get_u32(struct reader *r);
uint64_t get_u64(struct reader *r);
void get_raw(struct reader *r, void *ret_data, size_t len);
const uint8_t *get_bytes(struct reader *r, size_t *ret_len);       /* points into the record */
void get_text(struct reader *r, char *ret_text, size_t cap);       /* too long: failed */
bool reader_ok(const struct reader *r);
bool reader_more(const struct reader *r);                          /* ok and something is left */
bool reader_end(const struct reader *r);                           /* ok and nothing is left */
#endif
