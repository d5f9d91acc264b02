/* auto.h: cleanup by scope. AUTO(type) calls type_auto(&variable) when the variable dies. */
#ifndef AUTO_H
#define AUTO_H
#define AUTO(type) __attribute__((cleanup(type##_auto)))
#define VS_TRY(expression)                                                                         \
    do {                                                                                           \
        int vs_try_status_ = (expression);                                                         \
        if (vs_try_status_ != 0)                                                                   \
            return vs_try_status_;                                                                 \
    } while (0)
#endif
