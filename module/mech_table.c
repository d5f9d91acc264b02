/* The mechanisms, gathered from their families. See mech.h. */
#include <stdatomic.h>

#include "mech.h"

/* Plain digests first: programs try the first digest they see (pkcs11-tool --test). */
static const struct mech_family *const FAMILIES[] = {
    &MECH_DIGEST, &MECH_SECRET, &MECH_AES, &MECH_AEAD, &MECH_AESKW, &MECH_CMAC, &MECH_HMAC,
    &MECH_RSA, &MECH_RSA_SIGN, &MECH_RSA_WRAP, &MECH_EC, &MECH_EDWARDS, &MECH_ECDH,
};
#define FAMILIES_COUNT (sizeof FAMILIES / sizeof FAMILIES[0])

static const struct mech_row *find_slowly(CK_MECHANISM_TYPE type)
{
    for (size_t f = 0; f < FAMILIES_COUNT; f++)
        for (size_t i = 0; i < FAMILIES[f]->n; i++)
            if (FAMILIES[f]->rows[i].type == type)
                return &FAMILIES[f]->rows[i];
    return NULL;
}

/*
 * A cache that any thread may write, for it can only ever hold pointers to constant rows: no lock,
 * nothing to set up, nothing to lose in a forked child.
 */
const struct mech_row *mech_find(CK_MECHANISM_TYPE type)
{
    static const struct mech_row *_Atomic cache[256];
    const struct mech_row *_Atomic *slot = &cache[(type ^ type >> 8) % 256];
    const struct mech_row *row = atomic_load_explicit(slot, memory_order_relaxed);
    if (row != NULL && row->type == type)
        return row;
    row = find_slowly(type);
    if (row != NULL)
        atomic_store_explicit(slot, row, memory_order_relaxed);
    return row;
}

size_t mech_count(void)
{
    size_t count = 0;
    for (size_t f = 0; f < FAMILIES_COUNT; f++)
        count += FAMILIES[f]->n;
    return count;
}

const struct mech_row *mech_at(size_t i)
{
    for (size_t f = 0; f < FAMILIES_COUNT; f++) {
        if (i < FAMILIES[f]->n)
            return &FAMILIES[f]->rows[i];
        i -= FAMILIES[f]->n;
    }
    return NULL;
}
