/*
 * trace.h: the reason in words. trace_fail records why the current call of this thread fails
 * (RPV_GetLastReason reads it; REPRIEVE_TRACE=path appends it to a file) and returns rv, so:
 *     return trace_fail(CKR_TEMPLATE_INCONSISTENT, "CKA_VALUE_LEN %lu is not 16, 24 or 32", n);
 * Never pass a secret. Any thread.
 */
#ifndef TRACE_H
#define TRACE_H
#include "cryptoki.h"

CK_RV trace_fail(CK_RV rv, const char *format, ...) __attribute__((format(printf, 2, 3)));
void trace_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void trace_clear(void);                       /* at the begin of a call */
const char *trace_reason(void);               /* of this thread; "" when none */
void trace_open(const char *path);            /* at C_Initialize; NULL: none */
void trace_close(void);
/* A line "C_Sign -> CKR_KEY_HANDLE_INVALID: reason" when tracing is on. */
void trace_call(const char *function, CK_RV rv);
/* Names for traces and messages; "CKR_0x..." style for unknown ones (thread-local buffer). */
const char *trace_rv_name(CK_RV rv);
const char *trace_attribute_name(CK_ATTRIBUTE_TYPE type);
/* "recover or hold": those of a set of verbs (thread-local buffer). */
const char *trace_verb_names(uint32_t verbs);
/* For vs_options.trace. */
void trace_store(const char *where, const char *message);
#endif
