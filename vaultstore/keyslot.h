/*
 * keyslot.h: the slot file, what makes a purge a crypto-erase. Slot n is the 32 bytes at n * 32.
 * A slot is used for one object (or generation) only and never again: slot numbers are sequence
 * numbers. Slots are prepared with random bytes in batches, ahead, so that creating an object
 * costs no extra sync; a purged slot is all zeros.
 */
#ifndef KEYSLOT_H
#define KEYSLOT_H
#include "seal.h"

#define KEYSLOT_SIZE 32u
struct keyslots;
VS_MUST_USE int keyslots_open(const char *path, struct sealer *sealer, struct keyslots **ret_slots);
void keyslots_close(struct keyslots *slots);
/* Under the writer lock: makes sure slots up to and with `slot` are prepared and on disk. */
VS_MUST_USE int keyslots_prepare(struct keyslots *slots, uint64_t slot);
/* VS_NOT_FOUND when the slot is wiped; VS_E_CORRUPT past the end. */
VS_MUST_USE int keyslots_read(struct keyslots *slots, uint64_t slot,
                              uint8_t ret_secret[KEYSLOT_SIZE]);
/* How many there are in the file: no slot from there on was ever used. */
VS_MUST_USE int keyslots_end(struct keyslots *slots, uint64_t *ret_n);
/* Overwrites n slots and syncs once; idempotent; does not need the writer lock. */
VS_MUST_USE int keyslots_wipe(struct keyslots *slots, const uint64_t *slot, size_t n);
#endif
