// The settings anomaly.*; see guc.cpp for unit, range and meaning of each. Read them anywhere above
// the wall; core and kafka get them as parameters.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

struct Settings {
    bool paused;
    bool notify;
    int batch_rows;
    int batch_kb;
    int commit_interval_ms;
    int commit_rows;
    int rest_after_ms;
    int stream_memory_kb;
    int rule_time_limit_ms;
    int event_retention_s;
    int finding_retention_s;
    int max_streams;
    int peek_time_limit_ms;
    int sink_buffer_kb;
    int dead_letter_limit;
    int lock_timeout_ms;
};
extern Settings settings;

// From _PG_init.
void define_settings();

}  // namespace anomaly::pg
