/* The codec: what is written is read back; every cut and every overflow is noticed. */
#include "vaultstore/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static size_t sample_write(uint8_t *data, size_t cap, bool *ret_ok)
{
    struct writer w;
    writer_init(&w, data, cap);
    put_u8(&w, 0xab);
    put_u32(&w, 0x01020304);
    put_u64(&w, 0x05060708090a0b0cu);
    put_raw(&w, "raw", 3);
    put_bytes(&w, "bytes", 5);
    put_bytes(&w, NULL, 0);
    put_text(&w, "text");
    *ret_ok = writer_ok(&w);
    return w.len;
}

static bool sample_read(const uint8_t *data, size_t len)
{
    struct reader r;
    char raw[3], text[5];
    size_t n, none;
    reader_init(&r, data, len);
    bool same = get_u8(&r) == 0xab;
    same &= get_u32(&r) == 0x01020304;
    same &= get_u64(&r) == 0x05060708090a0b0cu;
    get_raw(&r, raw, sizeof(raw));
    const uint8_t *bytes = get_bytes(&r, &n);
    same &= bytes && n == 5 && memcmp(bytes, "bytes", 5) == 0;
    get_bytes(&r, &none);
    get_text(&r, text, sizeof(text));
    same &= memcmp(raw, "raw", 3) == 0 && none == 0 && strcmp(text, "text") == 0;
    assert_true(same || !reader_ok(&r));
    return reader_end(&r) && same;
}

static void test_round_trip(void **state)
{
    (void)state;
    uint8_t data[64];
    bool ok;
    size_t len = sample_write(data, sizeof(data), &ok);
    assert_true(ok);
    assert_int_equal(len, 1 + 4 + 8 + 3 + 9 + 4 + 8);
    assert_memory_equal(data + 1, "\1\2\3\4", 4);   /* big-endian */
    assert_true(sample_read(data, len));
}

/* Copies on the heap, so that a sanitizer sees a read or a write past the end. */
static void test_every_cut(void **state)
{
    (void)state;
    uint8_t data[64];
    bool ok;
    size_t len = sample_write(data, sizeof(data), &ok);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = test_malloc(cut + 1);
        memcpy(part, data, cut);
        assert_false(sample_read(part, cut));
        assert_true(sample_write(part, cut, &ok) <= cut);
        assert_false(ok);
        test_free(part);
    }
}

static void test_extra_byte(void **state)
{
    (void)state;
    uint8_t data[64] = {0};
    bool ok;
    size_t len = sample_write(data, sizeof(data), &ok);
    assert_false(sample_read(data, len + 1));
}

static void test_failure_stays(void **state)
{
    (void)state;
    const uint8_t data[] = {0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4};
    struct reader r;
    size_t n = 7;
    reader_init(&r, data, sizeof(data));
    assert_null(get_bytes(&r, &n));
    assert_int_equal(n, 0);
    assert_int_equal(get_u8(&r), 0);
    assert_int_equal(get_u64(&r), 0);
    uint8_t raw[2] = {9, 9};
    get_raw(&r, raw, sizeof(raw));
    assert_memory_equal(raw, "\0\0", 2);
    assert_false(reader_ok(&r));
    assert_false(reader_end(&r));

    uint8_t small[4];
    struct writer w;
    writer_init(&w, small, sizeof(small));
    put_u64(&w, 1);
    put_u8(&w, 1);
    assert_false(writer_ok(&w));
    assert_int_equal(w.len, 0);
}

static void text_case(const void *data, uint8_t len, size_t cap, const char *expected)
{
    uint8_t record[32] = {0, 0, 0, len};
    char text[16];
    struct reader r;
    memcpy(record + 4, data, len);
    reader_init(&r, record, 4u + len);
    get_text(&r, text, cap);
    assert_int_equal(reader_ok(&r), expected != NULL);
    assert_string_equal(text, expected ? expected : "");
}

static void test_text(void **state)
{
    (void)state;
    text_case("", 0, 4, "");
    text_case("abc", 3, 4, "abc");
    text_case("abcd", 4, 4, NULL);
    text_case("a\0b", 3, 16, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_extra_byte),
        cmocka_unit_test(test_failure_stays),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
