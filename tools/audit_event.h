/* audit_event.h: an event of the audit log, as JSON, CEF or a line; and asking the log for some. */
#ifndef AUDIT_EVENT_H
#define AUDIT_EVENT_H
#include "command.h"

/* Field names as in a cloud key vault's audit events. */
json_t *event_json(const struct RPV_AUDIT_RECORD *event);
/* One line of ArcSight's Common Event Format. */
void event_cef(FILE *stream, const struct RPV_AUDIT_RECORD *event);
/* For people. */
void event_line(FILE *stream, const struct RPV_AUDIT_RECORD *event);
void event_json_line(FILE *stream, const struct RPV_AUDIT_RECORD *event);
/* A row of the table: seq, time, operation, result, who, program, key, version, count, detail. */
json_t *event_row(const struct RPV_AUDIT_RECORD *event);
/* A use of a key, not a change of one. */
bool event_is_use(const struct RPV_AUDIT_RECORD *event);

#define ASK_IDS 64
struct ask {
    struct RPV_AUDIT_QUERY query;
    char ids[ASK_IDS][33];       /* objects that --key can mean */
    size_t n_ids;                /* 0: any */
};
#define ASK_OPTIONS                                                                                \
    {"since", OPT_SINCE, "TIME", 0, "From that time on: 2026-01-31T12:00:00Z, 2026-01-31, or an "  \
     "age: 30m, 24h, 7d", 0},                                                                      \
    {"until", OPT_UNTIL, "TIME", 0, "Before that time", 0},                                        \
    {"key", OPT_KEY, "KEY", 0, "Only of this key: its unique id, or its label (private keys: "     \
     "with a PIN)", 0},                                                                            \
    {"operation", OPT_OPERATION, "NAME", 0, "Only this operation, such as KeyDelete; KeyS* for "   \
     "several", 0},                                                                                \
    {"caller", OPT_CALLER, "WHO", 0, "Only this principal, uid or program", 0},                    \
    {"result", OPT_RESULT, "RESULT", 0, "ok, failed, or a result such as CKR_SIGNATURE_INVALID",   \
     0}
/* What the options ask for; logs in when they name a PIN or a label has to be looked up. */
enum outcome ask_read(struct run *run, struct ask *ret_ask);
/* Calls it with every event asked for, until it says false. In the log's order, or backwards; of
 * several keys, one key after another. */
typedef bool event_fn(const struct RPV_AUDIT_RECORD *event, void *ctx);
enum outcome ask_each(struct client *client, const struct ask *ask, event_fn *each, void *ctx);
/* The number of the log's last event. */
enum outcome ask_last(struct client *client, unsigned long long *ret_seq);
#endif
