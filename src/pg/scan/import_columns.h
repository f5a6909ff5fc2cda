// The statement that declares a topic with the columns that were guessed.
#pragma once

#include <span>

#include "bridge/guess.h"
#include "pg/pg.h"

namespace anomaly::pg {

struct ImportedKeys {
    bool any;  // a message has one
    bool bad;  // one is no text
};

// The table's name: the topic's, as far as a name goes.
const char* table_name(const char* topic);

// NOT NULL only with not_null; a column for the key only with has_key.
char* foreign_table_statement(const char* topic, const char* server,
                              std::span<const bridge::GuessedColumn> columns, bool not_null,
                              bool has_key);

}  // namespace anomaly::pg
