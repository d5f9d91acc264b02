/* alert.h: rules that make an alert of an event, or of several; conf/alerts.conf explains them. */
#ifndef ALERT_H
#define ALERT_H
#include "client.h"

#define RULES_MAX 64
#define RULE_COUNT_MAX 1000u

struct rule {
    char name[32];
    char level[16];               /* info, warning or critical */
    char operations[256];         /* patterns, separated by blanks; "": any */
    char result[48];              /* "", "ok", "failed", or a result's name */
    char detail[96];              /* pattern, with ! in front its contrary; "": any */
    unsigned long count, within;  /* so many events within so many seconds; 0 and 1: each */
    unsigned long purge_within;   /* seconds: what is to be purged by then; 0: no such rule */
    bool chain;                   /* the chain does not verify */
    bool enabled;
    long long *times;             /* of the last `count` events */
    size_t n_times;
};
struct rules {
    struct rule rule[RULES_MAX];
    size_t n;
};

/* The built-in rules, then what the file says (NULL: the first there is of the usual ones). */
enum outcome rules_read(struct client *client, const char *path, struct rules *ret_rules);
void rules_done(struct rules *rules);
/* Does the event, with those before it, make an alert? */
bool rule_fires(struct rule *rule, const struct RPV_AUDIT_RECORD *event);
#endif
