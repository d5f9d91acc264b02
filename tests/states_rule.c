/*
 * states_rule.c: what must come out of each call, from the design's state table and verbs,
 * docs/decisions.md (on named principals) and include/reprieve.h. Nothing here was measured.
 */
#include "states_call.h"

#include <string.h>

const char *const COLUMN_NAMES[COLUMNS] = {
    "active", "disabled", "expired", "preactive", "held", "no delete", "read only",
    "deleted", "deleted and held", "stale", "purged"};

const struct kind_row KIND_ROWS[KINDS] = {
    [AES] = {"secret", CKO_SECRET_KEY, true},
    [AES_OPEN] = {"secret, not private", CKO_SECRET_KEY, false},
    [PRIVATE] = {"private", CKO_PRIVATE_KEY, true},
    [PUBLIC] = {"public", CKO_PUBLIC_KEY, false},
    [CERTIFICATE] = {"certificate", CKO_CERTIFICATE, false},
    [DATA] = {"data", CKO_DATA, false},
    [DATA_PRIVATE] = {"data, private", CKO_DATA, true},
};

/* ------------------------------------------------------------------ who */

/* The first two groups of the design's verbs, and rotate. */
#define VERBS_USER (RPV_VERB_GET | RPV_VERB_LIST | RPV_VERB_CREATE | RPV_VERB_IMPORT \
                    | RPV_VERB_UPDATE | RPV_VERB_DELETE | RPV_VERB_RECOVER | RPV_VERB_BACKUP \
                    | RPV_VERB_RESTORE | RPV_VERB_ENCRYPT | RPV_VERB_DECRYPT | RPV_VERB_WRAP \
                    | RPV_VERB_UNWRAP | RPV_VERB_SIGN | RPV_VERB_VERIFY | RPV_VERB_DERIVE \
                    | RPV_VERB_ROTATE)
#define VERBS_SO (RPV_VERB_GET | RPV_VERB_LIST | RPV_VERB_RECOVER | RPV_VERB_PURGE \
                  | RPV_VERB_HOLD | RPV_VERB_LOCK | RPV_VERB_POLICY | RPV_VERB_AUDIT)
/* Every second verb, and the others. */
#define VERBS_EVEN (0x155555UL & RPV_VERBS_ALL)
#define VERBS_ODD (0x2aaaaaUL & RPV_VERBS_ALL)

#define ONE(verb) {"a user with " #verb, AS_NAMED, RPV_VERB_##verb, 0}

const struct principal_row PRINCIPALS[] = {
    {"nobody", LOGGED_OUT, 0, 0},
    {"the SO", AS_SO, VERBS_SO, 0},
    {"the user", AS_USER, VERBS_USER, 0},
    {"a user of granted verbs", AS_NAMED, 0, VERBS_EVEN},
    {"a user of the other verbs, granted", AS_NAMED, 0, VERBS_ODD},
    {"a user without a verb", AS_NAMED, 0, 0},
    {"an administrator", AS_NAMED, RPV_ROLE_ADMINISTRATOR, 0},
    {"a crypto officer", AS_NAMED, RPV_ROLE_CRYPTO_OFFICER, 0},
    {"a crypto user", AS_NAMED, RPV_ROLE_CRYPTO_USER, 0},
    {"a service", AS_NAMED, RPV_ROLE_SERVICE_ENCRYPTION, 0},
    {"a purge operator", AS_NAMED, RPV_ROLE_PURGE_OPERATOR, 0},
    {"an auditor", AS_NAMED, RPV_ROLE_AUDITOR, 0},
    {"a backup operator", AS_NAMED, RPV_ROLE_BACKUP_OPERATOR, 0},
    /* and whoever has one verb alone */
    ONE(GET), ONE(LIST), ONE(CREATE), ONE(IMPORT), ONE(UPDATE), ONE(DELETE), ONE(RECOVER),
    ONE(BACKUP), ONE(RESTORE), ONE(ENCRYPT), ONE(DECRYPT), ONE(WRAP), ONE(UNWRAP), ONE(SIGN),
    ONE(VERIFY), ONE(DERIVE), ONE(PURGE), ONE(HOLD), ONE(LOCK), ONE(POLICY), ONE(AUDIT),
    ONE(ROTATE),
};
const size_t PRINCIPALS_COUNT = COUNT_OF(PRINCIPALS);

/* ------------------------------------------------------------------ calls */

#define GONE CKR_OBJECT_HANDLE_INVALID
#define NO_KEY CKR_KEY_HANDLE_INVALID
#define NO_USE CKR_KEY_FUNCTION_NOT_PERMITTED
#define NO_WRAP CKR_KEY_NOT_WRAPPABLE
#define NO_DIGEST CKR_KEY_INDIGESTIBLE
#define PROHIBITED CKR_ACTION_PROHIBITED
#define SENSITIVE CKR_ATTRIBUTE_SENSITIVE

static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static const CK_ULONG lock_none = 0, lock_delete = 1;

#define FIND(name_, which, ...) {.name = name_, .kinds = KINDS_ALL, .run = call_find,              \
                                 .deleted = which, .gone = GONE, .without = GONE, __VA_ARGS__}
#define SET_TO(name_, type_, pointer, len_, ...) {.name = name_, .kinds = KINDS_ALL,               \
    .run = call_set, .set = {type_, pointer, len_}, .spends = true, .gone = GONE,                  \
    .without = PROHIBITED, __VA_ARGS__}
#define SET(name_, type_, text, ...) SET_TO(name_, type_, text, sizeof(text) - 1, __VA_ARGS__)
#define SET_VAR(name_, type_, var, ...) SET_TO(name_, type_, &(var), sizeof(var), __VA_ARGS__)
/* New use: not of disabled, expired, preactive keys. Old use: still of expired ones. */
#define NEW_USE(code) .disabled = code, .expired = code, .preactive = code
#define OLD_USE(code) .disabled = code, .preactive = code
#define USE(name_, kinds_, run_, verb, bad)                                                        \
    .name = name_, .kinds = kinds_, .run = run_,                                                   \
    .verbs = verb, .without = NO_USE, .gone = bad, .governed = bad, .deleted_one = bad

const struct call_row CALLS[] = {
    FIND("find", 0, .governed = GONE, .deleted_one = GONE),
    FIND("find, not deleted", 1, .deleted_one = GONE),
    FIND("find, deleted", 2, .live = GONE),
    {.name = "find by value", .kinds = KINDS_ALL & ~(KIND(PUBLIC) | KIND(CERTIFICATE)),
     .run = call_find_value, .verbs = RPV_VERB_GET, .without = GONE, .gone = GONE,
     .governed = GONE, .deleted_one = GONE},
    {.name = "list", .kinds = KINDS_ALL, .run = call_list, .verbs = RPV_VERB_LIST,
     .without = GONE, .gone = GONE, .governed = GONE, .deleted_one = GONE},
    {.name = "get a label", .kinds = KINDS_ALL, .run = call_get, .gone = GONE, .without = GONE},
    {.name = "get a state", .kinds = KINDS_ALL, .run = call_get_state, .gone = GONE,
     .without = GONE},
    {.name = "get a size", .kinds = KINDS_ALL, .run = call_get_size, .gone = GONE,
     .without = GONE},
    {.name = "get a key part", .kinds = KINDS_ALL & ~(KIND(PUBLIC) | KIND(CERTIFICATE)),
     .run = call_get_value,
     .verbs = RPV_VERB_GET, .without = SENSITIVE, .gone = GONE, .governed = SENSITIVE,
     .deleted_one = SENSITIVE},
    SET("set a label", CKA_LABEL, "another", .verbs = RPV_VERB_UPDATE,
        .governed = PROHIBITED, .read_only = PROHIBITED, .deleted_one = PROHIBITED),
    SET_VAR("disable", CKA_RPV_ENABLED, no, .verbs = RPV_VERB_UPDATE | RPV_VERB_POLICY,
            .read_only = PROHIBITED, .deleted_one = PROHIBITED),
    SET_VAR("enable", CKA_RPV_ENABLED, yes, .verbs = RPV_VERB_UPDATE | RPV_VERB_POLICY,
            .read_only = PROHIBITED, .deleted_one = PROHIBITED),
    SET("set a not-before", CKA_RPV_NOT_BEFORE, "1991010100000000",
        .verbs = RPV_VERB_UPDATE | RPV_VERB_POLICY, .read_only = PROHIBITED,
        .deleted_one = PROHIBITED),
    SET("set a not-after", CKA_RPV_NOT_AFTER, "2201010100000000",
        .verbs = RPV_VERB_UPDATE | RPV_VERB_POLICY, .read_only = PROHIBITED,
        .deleted_one = PROHIBITED),
    SET_VAR("hold", CKA_RPV_HOLD, yes, .verbs = RPV_VERB_HOLD, .on_public = true),
    SET_VAR("release", CKA_RPV_HOLD, no, .verbs = RPV_VERB_HOLD, .on_public = true),
    SET_VAR("lock", CKA_RPV_LOCK, lock_delete, .verbs = RPV_VERB_LOCK, .on_public = true,
            .deleted_one = PROHIBITED),
    SET_VAR("unlock", CKA_RPV_LOCK, lock_none, .verbs = RPV_VERB_LOCK, .on_public = true,
            .deleted_one = PROHIBITED),
    SET_VAR("make a honeytoken", CKA_RPV_HONEYTOKEN, yes, .verbs = RPV_VERB_POLICY,
            .on_public = true, .deleted_one = PROHIBITED),
    SET("give a reason", CKA_RPV_DELETE_REASON, "why",
        .verbs = RPV_VERB_UPDATE | RPV_VERB_DELETE | RPV_VERB_POLICY, .read_only = PROHIBITED,
        .deleted_one = PROHIBITED),
    SET("purge later", CKA_RPV_PURGE_AT, "2201010100000000",
        .verbs = RPV_VERB_RECOVER | RPV_VERB_HOLD, .live = PROHIBITED),
    SET("purge earlier", CKA_RPV_PURGE_AT, "2011010100000000",
        .verbs = RPV_VERB_RECOVER | RPV_VERB_HOLD, .live = PROHIBITED,
        .deleted_one = CKR_ATTRIBUTE_VALUE_INVALID),
    SET_VAR("recover", CKA_RPV_DELETED, no, .verbs = RPV_VERB_RECOVER),
    {.name = "copy", .kinds = KINDS_ALL, .run = call_copy, .verbs = RPV_VERB_GET,
     .without = PROHIBITED, .gone = GONE, .governed = PROHIBITED, .deleted_one = PROHIBITED,
     NEW_USE(PROHIBITED)},
    /* a copy in a session is bound as what it was made from is */
    {.name = "encrypt with a copy", .kinds = KINDS_AES, .run = call_copy_encrypt,
     .verbs = RPV_VERB_GET, .without = PROHIBITED, .gone = GONE, .governed = PROHIBITED,
     .deleted_one = PROHIBITED, NEW_USE(PROHIBITED), .then_verbs = RPV_VERB_ENCRYPT,
     .then_without = NO_USE},
    {USE("encrypt", KINDS_AES, call_encrypt, RPV_VERB_ENCRYPT, NO_KEY), NEW_USE(NO_USE)},
    {USE("decrypt", KINDS_AES, call_decrypt, RPV_VERB_DECRYPT, NO_KEY), OLD_USE(NO_USE)},
    {USE("sign", KINDS_AES | KIND(PRIVATE), call_sign, RPV_VERB_SIGN, NO_KEY), NEW_USE(NO_USE)},
    {USE("verify", KINDS_AES | KIND(PUBLIC), call_verify, RPV_VERB_VERIFY, NO_KEY),
     OLD_USE(NO_USE)},
    {USE("wrap", KINDS_AES, call_wrap, RPV_VERB_WRAP, CKR_WRAPPING_KEY_HANDLE_INVALID),
     NEW_USE(NO_USE)},
    {USE("unwrap", KINDS_AES, call_unwrap, RPV_VERB_UNWRAP, CKR_UNWRAPPING_KEY_HANDLE_INVALID),
     OLD_USE(NO_USE)},
    {USE("derive", KIND(PRIVATE), call_derive, RPV_VERB_DERIVE, NO_KEY), NEW_USE(NO_USE)},
    {.name = "be wrapped", .kinds = KINDS_AES | KIND(PRIVATE), .run = call_be_wrapped,
     .verbs = RPV_VERB_GET, .without = NO_WRAP, .gone = NO_KEY, .governed = NO_KEY,
     .deleted_one = NO_KEY, NEW_USE(NO_WRAP)},
    {.name = "digest", .kinds = KINDS_AES, .run = call_digest_key,
     .verbs = RPV_VERB_GET, .without = NO_DIGEST, .gone = NO_KEY, .governed = NO_KEY,
     .deleted_one = NO_KEY, NEW_USE(NO_DIGEST)},
    {.name = "destroy", .kinds = KINDS_ALL, .run = call_destroy, .spends = true,
     .without = PROHIBITED, .gone = GONE, .governed = PROHIBITED,
     .no_delete = PROHIBITED, .read_only = PROHIBITED, .deleted_held = PROHIBITED},
};
const size_t CALLS_COUNT = COUNT_OF(CALLS);

/* ------------------------------------------------------------------ the rule */

static bool is_live(enum column column) { return column < DELETED; }

/* Has it one of these verbs on such an object? Who has no name needs none on a public one. */
static bool may(const struct principal_row *p, CK_ULONG verbs, bool is_private, bool on_public)
{
    if (p->login != AS_NAMED && !is_private && !on_public)
        return true;
    return ((p->verbs | p->granted) & verbs) != 0;
}

/* Public objects are for every session to see; private ones for who has any verb on them. */
static bool sees(const struct principal_row *p, bool is_private)
{
    return !is_private || may(p, RPV_VERBS_ALL, true, false);
}

/* Destroying a live object is a delete, and a deleted one a purge: two verbs, and the second is
 * asked of everybody. */
static bool has_verb(const struct principal_row *p, const struct call_row *call, enum kind kind,
                     enum column column)
{
    bool is_private = KIND_ROWS[kind].is_private;
    if (call->run == call_destroy)
        return is_live(column) ? may(p, RPV_VERB_DELETE, is_private, false)
                               : may(p, RPV_VERB_PURGE, is_private, true);
    /* to list takes its verb where there is something to hide */
    if (call->run == call_list)
        return !is_private || may(p, call->verbs, true, false);
    return call->verbs == 0 || may(p, call->verbs, is_private, call->on_public);
}

static CK_RV cell(const struct call_row *call, enum column column)
{
    const CK_RV columns[COLUMNS] = {
        [DISABLED] = call->disabled, [EXPIRED] = call->expired, [PREACTIVE] = call->preactive,
        [NO_DELETE] = call->no_delete, [READ_ONLY] = call->read_only,
        [DELETED_HELD] = call->deleted_held,
    };
    if (columns[column] != CKR_OK)
        return columns[column];
    return is_live(column) ? call->live : call->deleted_one;
}

static bool is_search(const struct call_row *call)
{
    return call->run == call_find || call->run == call_find_value || call->run == call_list;
}

/* What decides before any verb does; CKR_OK: nothing. */
static CK_RV before_verbs(const struct principal_row *p, const struct call_row *call,
                          enum kind kind, enum column column)
{
    bool is_private = KIND_ROWS[kind].is_private;
    if (!sees(p, is_private) || column == STALE || column == PURGED)
        return call->gone;
    /* a deleted key is no key, an object of the other state not found */
    if (!is_live(column) && call->deleted_one == call->gone)
        return call->gone;
    return p->login == AS_SO && is_private && is_live(column) ? call->governed : CKR_OK;
}

/* The object itself, which a search names, is deleted, and can be found so. */
static enum column searched(const struct call_row *call, enum column column)
{
    return is_search(call) && column == STALE ? DELETED : column;
}

CK_RV rule_expected(const struct principal_row *p, const struct call_row *call, enum kind kind,
                    enum column column)
{
    column = searched(call, column);
    CK_RV before = before_verbs(p, call, kind, column);
    if (before != CKR_OK)
        return before;
    if (!has_verb(p, call, kind, column))
        return call->without;
    bool then = call->then_verbs == 0
                || may(p, call->then_verbs, KIND_ROWS[kind].is_private, false);
    return cell(call, column) == CKR_OK && !then ? call->then_without : cell(call, column);
}

CK_ULONG rule_lacking(const struct principal_row *p, const struct call_row *call, enum kind kind,
                      enum column column)
{
    if (is_search(call) || before_verbs(p, call, kind, column) != CKR_OK
        || has_verb(p, call, kind, column) || cell(call, column) != CKR_OK)
        return 0;
    if (call->run == call_destroy)
        return is_live(column) ? RPV_VERB_DELETE : RPV_VERB_PURGE;
    return call->verbs;
}

bool rule_names_verb(CK_ULONG verbs, const char *reason)
{
    static const char *const names[] = {
        "get", "list", "create", "import", "update", "delete", "recover", "backup", "restore",
        "encrypt", "decrypt", "wrap", "unwrap", "sign", "verify", "derive", "purge", "hold",
        "lock", "policy", "audit", "rotate"};
    const char *told = strstr(reason, "lacks the verb ");
    for (size_t i = 0; told != NULL && i < COUNT_OF(names); i++)
        if (verbs >> i & 1 && strstr(told, names[i]) != NULL)
            return true;
    return false;
}

/* ------------------------------------------------------------------ making objects */

#define NO_PLACE CKR_TOKEN_WRITE_PROTECTED
const struct make_row MAKES[] = {
    {"create a key", make_key, AES_OPEN, 0, 0, RPV_VERB_IMPORT, NO_PLACE},
    {"create data", make_data, AES_OPEN, 0, 0, RPV_VERB_IMPORT, NO_PLACE},
    {"generate a key", make_generated, AES_OPEN, 0, 0, RPV_VERB_CREATE, NO_PLACE},
    {"generate a pair", make_pair, AES_OPEN, 0, 0, RPV_VERB_CREATE, NO_PLACE},
    {"unwrap a key", make_unwrapped, AES_OPEN, RPV_VERB_UNWRAP, NO_USE, RPV_VERB_IMPORT,
     NO_PLACE},
    {"derive a key", make_derived, PRIVATE, RPV_VERB_DERIVE, NO_USE, RPV_VERB_CREATE,
     NO_PLACE},
    {"copy a key", make_copy, AES_OPEN, RPV_VERB_GET, PROHIBITED, RPV_VERB_IMPORT, PROHIBITED},
};
const size_t MAKES_COUNT = COUNT_OF(MAKES);

CK_RV rule_make_expected(const struct principal_row *p, const struct make_row *make,
                         bool is_private)
{
    bool from_private = KIND_ROWS[make->from].is_private;
    if (make->use != 0 && (!sees(p, from_private) || (p->login == AS_SO && from_private)))
        return NO_KEY;
    if (make->use != 0 && !may(p, make->use, from_private, false))
        return make->use_without;
    if (is_private && (p->login == LOGGED_OUT || p->login == AS_SO))
        return CKR_USER_NOT_LOGGED_IN;
    return p->login == AS_NAMED && !(p->verbs & make->verb) ? make->without : CKR_OK;
}

/* ------------------------------------------------------------------ the vendor interface */

const struct vendor_row VENDORS[] = {
    {"back up", vendor_backup, RPV_VERB_BACKUP, PROHIBITED, PROHIBITED, CKR_OK},
    {"grant", vendor_grant, RPV_VERB_POLICY, PROHIBITED, CKR_USER_NOT_LOGGED_IN, CKR_OK},
    {"set the policy", vendor_policy, RPV_VERB_POLICY, PROHIBITED, CKR_USER_NOT_LOGGED_IN,
     CKR_OK},
    /* last: a key has one next version */
    {"rotate", vendor_rotate, RPV_VERB_ROTATE, NO_PLACE, CKR_USER_NOT_LOGGED_IN, GONE},
};
const size_t VENDORS_COUNT = COUNT_OF(VENDORS);

CK_RV rule_vendor_expected(const struct principal_row *p, const struct vendor_row *vendor,
                           enum kind kind)
{
    bool is_private = KIND_ROWS[kind].is_private;
    /* users and the policy are changed by a login, whatever it is granted on objects */
    bool by_login = vendor->run == vendor_grant || vendor->run == vendor_policy;
    if (by_login && p->login == LOGGED_OUT)
        return vendor->nobody;
    if (vendor->run != vendor_policy && !sees(p, is_private))
        return GONE;
    if (p->login == AS_SO && is_private && vendor->governed != CKR_OK)
        return vendor->governed;
    if (!((by_login ? p->verbs : p->verbs | p->granted) & vendor->verb))
        return p->login == LOGGED_OUT ? vendor->nobody : vendor->without;
    return CKR_OK;
}
