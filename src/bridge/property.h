// Which of the client library's properties users may set, where, and under what name.
//
// In SQL a property is named with "_" for "." (bootstrap_servers). What is not listed here is not
// for users: it would read or run files of the server, or break what the reader relies on.
#pragma once

#include <cstdint>

#include "bridge/status.h"

namespace anomaly::bridge {

enum class OptionClass : uint8_t {
    kUnknown,
    kServer,            // on a SERVER
    kServerPrivileged,  // on a SERVER, by those who may read the server's files
    kUserMapping,       // secrets and names: on a USER MAPPING only
};

// What a client is made for; it is given no property of the other kind.
enum class ClientKind : uint8_t { kReader, kWriter };

OptionClass option_class(const char* sql_name) noexcept;
// The library's own name; nullptr: unknown.
const char* option_property(const char* sql_name) noexcept;
bool option_is_for(const char* sql_name, ClientKind client) noexcept;
// All names, for hints: index 0, 1, ... until nullptr.
const char* option_name(int32_t index) noexcept;

// The values that users may give, nullptr at the end; nullptr: the library judges.
const char* const* option_choices(const char* sql_name) noexcept;

// kInvalidOption with the library's words when it does not take the value. `property` is the
// library's own name.
Status validate_property(const char* property, const char* value) noexcept;

}  // namespace anomaly::bridge
