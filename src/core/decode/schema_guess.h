// Guesses columns from a sample of JSON messages: names, types, and which of them every message
// has. Objects are descended; what is under them becomes a column of its own, with a path. One
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace anomaly {

struct GuessedColumn {
    std::vector<std::string> path;  // the names to descend, outermost first
    const char* type;               // PostgreSQL's name of it
    bool in_all;                    // every message of the sample has it, and not null
    bool is_time;                   // of timestamptz
    int64_t units_per_second;       // of a number that is a time since 1970, 0: it is none
};

class SchemaGuess {
  public:
    SchemaGuess();
    ~SchemaGuess();
    SchemaGuess(const SchemaGuess&) = delete;
    SchemaGuess& operator=(const SchemaGuess&) = delete;

    // False: it is no JSON object, and counts for nothing.
    bool add(std::string_view message);
    int64_t message_count() const { return message_count_; }
    // In the order in which the messages name them.
    std::vector<GuessedColumn> columns() const;

  private:
    class Parser;
    struct Field;

    std::unique_ptr<Parser> parser_;
    std::unique_ptr<Field> root_;
    int64_t message_count_ = 0;
};

}  // namespace anomaly
