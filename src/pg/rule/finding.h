// What a rule found, on its way to anomaly.finding_log.
#pragma once

#include "pg/pg.h"
#include "pg/rule/rule_set.h"

namespace anomaly::pg {

// One thing found, palloc'd; texts may be NULL.
struct Finding {
    const Rule* rule;
    Datum series;  // jsonb
    bool has_window;
    TimestampTz window_start;
    TimestampTz window_end;
    bool has_message;
    int32 partition;
    int64 offset;
    int32 position;  // in the set that the rule returned for the row
    const char* severity;
    bool has_value;
    double value;
    bool has_threshold;
    double threshold;
    const char* message;
};

// A finding in the log.
struct LoggedFinding {
    Datum id;     // uuid
    bool is_new;  // written by this commit
};

// Writes the findings (a list of Finding*) that are not there yet; one LoggedFinding for each
// different one, in order, in the current memory context. As the superuser of the worker; needs
// SPI_connect.
LoggedFinding* log_findings(const RuleSet* set, const List* findings, int* count);

// Removes some of the findings that are older than the setting anomaly.finding_retention. True:
// there may be more. As log_findings.
bool remove_old_findings();

}  // namespace anomaly::pg
