/* uses.c: see uses.h. */
#include "uses.h"

#include <stdio.h>
#include <string.h>

#define RECORDS 64

struct ask { struct harness *h; const char *operation, *result, *detail; unsigned long long want; };

static int ask_run(void *ctx)
{
    const struct ask *ask = ctx;
    struct RPV_AUDIT_RECORD records[RECORDS];
    struct RPV_AUDIT_QUERY query = {.operation = ask->operation, .result = ask->result,
                                    .slotID = CK_UNAVAILABLE_INFORMATION};
    unsigned long long next = 0, count = 0;

    harness_load(ask->h);
    do {
        CK_ULONG n = RECORDS;
        query.from = next;
        OK(promise_vendor(ask->h)->RPV_QueryAudit(&query, records, &n, &next));
        for (CK_ULONG i = 0; i < n; i++)
            if (ask->detail == NULL || strcmp(records[i].detail, ask->detail) == 0)
                count += records[i].count;
    } while (next != 0);
    promise_audit(ask->h);
    harness_unload(ask->h);
    if (count != ask->want)
        printf("# %s %s: %llu, not %llu\n", ask->operation, ask->result, count, ask->want);
    return count == ask->want ? 0 : 1;
}

void uses_expect(struct harness *h, const char *operation, const char *result,
                 const char *detail, unsigned long long want)
{
    struct ask ask = {h, operation, result, detail, want};
    CHECK(fork_run(ask_run, &ask) == 0);
}

CK_OBJECT_HANDLE used_key_make(struct harness *h, CK_SESSION_HANDLE session)
{
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    OK(promise_create(h, session, "used", 7));
    CHECK(promise_find(h, session, "used", false, &key, 1) == 1);
    return key;
}

void use_times(struct harness *h, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, int n)
{
    CK_BYTE block[16];
    for (int i = 0; i < n; i++)
        OK(promise_use(h, session, key, block));
}
