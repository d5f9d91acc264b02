#include "lifecycle.h"

#include <stddef.h>

/* What a cell of the table says. */
enum cell {
    REFUSE = 0,      /* VS_WRONG_STATE */
    GONE,            /* VS_NOT_FOUND */
    STAY,            /* the state is kept */
    BACK,            /* to the state before the delete */
    TO_ACTIVE, TO_DISABLED, TO_DELETED, TO_PURGED,
};

static const enum vs_state cell_state[] = {
    [TO_ACTIVE] = VS_STATE_ACTIVE,
    [TO_DISABLED] = VS_STATE_DISABLED,
    [TO_DELETED] = VS_STATE_DELETED,
    [TO_PURGED] = VS_STATE_PURGED,
};

#define STATE_COUNT (VS_STATE_PURGED + 1)

#define LIVE                                                                                       \
    [ACTION_READ] = STAY, [ACTION_UPDATE] = STAY, [ACTION_DELETE] = TO_DELETED,                    \
    [ACTION_DATES] = STAY, [ACTION_HOLD] = STAY, [ACTION_LOCK] = STAY, [ACTION_REASON] = STAY,     \
    [ACTION_HONEYTOKEN] = STAY

static const enum cell table[STATE_COUNT][ACTION_COUNT] = {
    [VS_STATE_PREACTIVE] = {LIVE, [ACTION_DISABLE] = TO_DISABLED},
    [VS_STATE_ACTIVE] = {LIVE, [ACTION_DISABLE] = TO_DISABLED},
    [VS_STATE_DISABLED] = {LIVE, [ACTION_ENABLE] = TO_ACTIVE},
    [VS_STATE_EXPIRED] = {LIVE, [ACTION_DISABLE] = TO_DISABLED},
    [VS_STATE_DELETED] = {[ACTION_READ] = STAY, [ACTION_RECOVER] = BACK,
                          [ACTION_PURGE] = TO_PURGED, [ACTION_POSTPONE] = STAY,
                          [ACTION_HOLD] = STAY},
    [VS_STATE_PURGED] = {GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE,
                         GONE},
};

int lifecycle_next(enum vs_state state, enum vs_state prior, enum vs_action action,
                   enum vs_state *ret_next)
{
    if ((unsigned)state >= STATE_COUNT || (unsigned)action >= ACTION_COUNT)
        return VS_WRONG_STATE;
    enum cell cell = table[state][action];
    if (cell == REFUSE || cell == GONE)
        return cell == GONE ? VS_NOT_FOUND : VS_WRONG_STATE;
    if (cell == BACK && (unsigned)prior >= VS_STATE_DELETED)
        return VS_WRONG_STATE;
    *ret_next = cell == STAY ? state : cell == BACK ? prior : cell_state[cell];
    return VS_OK;
}

enum vs_state lifecycle_effective(const struct vs_header *header, int64_t now)
{
    if (header->state != VS_STATE_ACTIVE)
        return header->state;
    if (header->not_before != 0 && now < header->not_before)
        return VS_STATE_PREACTIVE;
    return header->not_after != 0 && now >= header->not_after ? VS_STATE_EXPIRED : VS_STATE_ACTIVE;
}

const char *lifecycle_action_name(enum vs_action action)
{
    static const char *const names[ACTION_COUNT] = {
        [ACTION_READ] = "read",       [ACTION_UPDATE] = "update",
        [ACTION_DELETE] = "delete",   [ACTION_RECOVER] = "recover",
        [ACTION_PURGE] = "purge",     [ACTION_POSTPONE] = "postpone",
        [ACTION_DISABLE] = "disable", [ACTION_ENABLE] = "enable",
        [ACTION_DATES] = "dates",     [ACTION_HOLD] = "hold",
        [ACTION_LOCK] = "lock",       [ACTION_REASON] = "reason",
        [ACTION_HONEYTOKEN] = "honeytoken",
    };
    return (unsigned)action < ACTION_COUNT ? names[action] : "unknown action";
}
