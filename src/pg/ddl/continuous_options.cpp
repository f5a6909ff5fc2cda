// Reads the anomaly.* options of CREATE TABLE ... WITH (...).
#include "pg/ddl/continuous_options.h"

namespace anomaly::pg {

namespace {

bool is_ours(const DefElem* option) {
    return option->defnamespace != NULL && strcmp(option->defnamespace, "anomaly") == 0;
}

Interval* parse_interval(const char* text) {
    return DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(text),
                                                 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

constexpr int32 kDaysMax = 365000;

Interval* take_length(DefElem* option) {
    Interval* length = parse_interval(defGetString(option));
    if (length->month != 0 || length->day < 0 || length->time < 0) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("anomaly.%s must be a length of time of at least zero, "
                               "without months",
                               option->defname)));
    }
    if (length->day > kDaysMax || length->time > kDaysMax * USECS_PER_DAY) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("anomaly.%s must be at most %d days", option->defname, kDaysMax)));
    }
    return length;
}

bool take_emit(DefElem* option) {
    const char* value = defGetString(option);
    if (pg_strcasecmp(value, "close") == 0) return true;
    if (pg_strcasecmp(value, "update") == 0) return false;
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("invalid value for anomaly.emit: \"%s\"", value),
                    errhint("Write update (rows follow the messages) or close (a row appears once, "
                            "when its window is final).")));
}

const char* take_start(DefElem* option) {
    const char* value = defGetString(option);
    if (strcmp(value, "earliest") != 0 && strcmp(value, "latest") != 0) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("invalid value for anomaly.start: \"%s\"", value),
                        errhint("Write earliest or latest.")));
    }
    return value;
}

}  // namespace

bool has_anomaly_option(const List* options) {
    ListCell* cell;
    foreach (cell, options) {
        if (is_ours(lfirst_node(DefElem, cell))) return true;
    }
    return false;
}

ContinuousOptions take_continuous_options(const List* options) {
    ContinuousOptions taken = {};
    taken.allowed_lateness = static_cast<Interval*>(palloc0(sizeof(Interval)));
    ListCell* cell;
    foreach (cell, options) {
        DefElem* option = lfirst_node(DefElem, cell);
        if (!is_ours(option)) {
            taken.storage = lappend(taken.storage, option);
        } else if (strcmp(option->defname, "continuous") == 0) {
            taken.continuous = defGetBoolean(option);
        } else if (strcmp(option->defname, "emit") == 0) {
            taken.emit_on_close = take_emit(option);
        } else if (strcmp(option->defname, "allowed_lateness") == 0) {
            taken.allowed_lateness = take_length(option);
        } else if (strcmp(option->defname, "retention") == 0) {
            taken.retention = take_length(option);
        } else if (strcmp(option->defname, "start") == 0) {
            taken.start = take_start(option);
        } else {
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("unrecognized parameter \"anomaly.%s\"", option->defname),
                            errhint("Known are anomaly.continuous, anomaly.emit, "
                                    "anomaly.allowed_lateness, anomaly.retention and "
                                    "anomaly.start.")));
        }
    }
    if (!taken.continuous) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("anomaly.* parameters belong to continuous tables only"),
                        errhint("Add anomaly.continuous to the list.")));
    }
    return taken;
}

}  // namespace anomaly::pg
