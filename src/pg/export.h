// What anomaly.so shows to the server. Everything else is hidden (-fvisibility=hidden); before
// PostgreSQL 16 PGDLLEXPORT is empty on Unix, so that a hidden _PG_init would silently never run.
#pragma once

#define ANOMALY_EXPORT extern "C" __attribute__((visibility("default")))

// Declares and registers a function for LANGUAGE C: ANOMALY_FUNCTION(anomaly_x) { ... }
#define ANOMALY_FUNCTION(name)                                   \
    ANOMALY_EXPORT const Pg_finfo_record* pg_finfo_##name(void); \
    ANOMALY_EXPORT Datum name(PG_FUNCTION_ARGS);                 \
    const Pg_finfo_record* pg_finfo_##name(void) {               \
        static const Pg_finfo_record my_finfo = {1};             \
        return &my_finfo;                                        \
    }                                                            \
    Datum name([[maybe_unused]] PG_FUNCTION_ARGS)
