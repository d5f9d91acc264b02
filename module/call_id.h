/* call_id.h: a number for every function of the standard's lists and of the vendor interface. */
#ifndef CALL_ID_H
#define CALL_ID_H
enum call_id {
    CALL_NONE,
#define CALL_NAME(name) CALL_##name,
#include "call_names.h"
    CALL_COUNT
};
#endif
