// The options of streams and their columns: which there are, and what their values mean. The
// validator and the reader of definitions share it.
#pragma once

#include "core/spec.h"
#include "pg/pg.h"

namespace anomaly::pg {

constexpr int64 kDefaultIdleTimeout_us = 30 * USECS_PER_SEC;
constexpr int64 kDefaultMaxFuture_us = USECS_PER_DAY;

// Names of the options that there are, NULL at the end.
extern const char* const kServerOptions[];  // beside the client library's properties
extern const char* const kTableOptions[];
extern const char* const kColumnOptions[];

// Raise an error unless the value is one that the option takes. False: there is no such option.
bool check_server_option(const char* name, const char* value);
bool check_table_option(const char* name, const char* value);
bool check_column_option(const char* name, const char* value);

[[noreturn]] void invalid_option_value(const char* name, const char* value, const char* hint);

bool is_server_option(const char* name);

// An interval of at least zero, without months; a day has 24 hours.
int64 parse_interval_option(const char* name, const char* value);

// topic, partition, offset, timestamp, key, headers.
Source parse_metadata(const char* text);

// The option's value, NULL where it is not given.
const char* find_option(const List* options, const char* name);

}  // namespace anomaly::pg
