#include "due.h"

#include <limits.h>
#include <stdlib.h>

#define DUE_MAX 200000ul          /* beyond that the end of the bar is a guess */

static bool due_counts(const struct client *client, const struct RPV_DUE *due, bool of_vault)
{
    return of_vault ? due->slotID == client->slot && due->uniqueId[0] != '\0' : !due->bHeld;
}

unsigned long long due_count(struct client *client, bool of_vault)
{
    struct RPV_STORE_INFO info = {0};
    struct RPV_DUE *due = calloc(DUE_MAX, sizeof(*due));
    unsigned long long count = 0;
    CK_ULONG n = DUE_MAX;
    long long until = LLONG_MAX;
    CK_RV rv = due != NULL ? client->rpv->RPV_GetStoreInfo(&info) : CKR_HOST_MEMORY;

    if (!of_vault)
        until = (long long)info.now + 1;
    if (rv == CKR_OK)
        rv = client->rpv->RPV_ListDue(until, due, &n);
    for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++)
        count += due_counts(client, &due[i], of_vault);
    free(due);
    return count;
}
