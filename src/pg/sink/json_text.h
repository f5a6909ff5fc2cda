// A value as JSON text that jsonb_populate_record makes the same value of.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

enum class JsonForm : uint8_t {
    kBare,      // the type's text, where that is a JSON number or boolean; else in quotes
    kJson,      // json, jsonb: as it is
    kDateTime,  // ISO 8601, in quotes
    kArray,     // as to_json
    kRow,       // as to_json
    kText,      // the type's text, in quotes
};

struct JsonType {
    JsonForm form;
    Oid type;         // of a domain its base type
    FmgrInfo output;  // the type's output function
    bool is_fixed;    // its text is the same whatever the session's settings
};

JsonType json_type(Oid type);

// In the database's encoding. The settings that a type's text depends on are the caller's to pin.
void append_json(StringInfo out, JsonType* type, Datum value);

}  // namespace anomaly::pg
