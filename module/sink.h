/* sink.h: events to where the system keeps its own (audit_sink = journald or syslog). */
#ifndef SINK_H
#define SINK_H
#include "cryptoki.h"

enum sink_kind { SINK_NONE, SINK_JOURNALD, SINK_SYSLOG };
/* vs_options.on_event of that kind; NULL for none. A failure is traced, and fails nothing. */
typedef void (*sink_fn)(const struct vs_event *event);
sink_fn sink_of(uint32_t kind);
#endif
