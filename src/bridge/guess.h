// Guesses the columns of a stream from a sample of its messages. Plain data; texts live until the
// guess is closed.
#pragma once

#include <cstdint>

#include "bridge/status.h"

namespace anomaly::bridge {

struct Guess;

struct GuessedColumn {
    const char* const* path;  // the names to descend, outermost first
    int32_t path_count;
    const char* type;          // PostgreSQL's name of it
    bool in_all;               // every message of the sample has it, and not null
    bool is_time;              // of timestamptz
    int64_t units_per_second;  // of a number that is a time since 1970, 0: it is none
};

Status guess_open(Guess** out) noexcept;
void guess_close(Guess* guess) noexcept;  // nullptr is fine
Status guess_add(Guess* guess, const char* message, int32_t size) noexcept;
Status guess_columns(Guess* guess, const GuessedColumn** columns, int32_t* count) noexcept;

}  // namespace anomaly::bridge
