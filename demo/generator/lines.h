// Lines of "partition<TAB>key<TAB>value", by which tests send any message: \N is null, \x and hex
// digits are those bytes, all else is taken as it is. Partition -1: the library's choice.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace anomaly::demo {

struct Line {
    int32_t partition = -1;
    std::optional<std::string> key;
    std::optional<std::string> value;
};

// Throws std::runtime_error that says what is wrong with the line.
Line parse_line(std::string_view text);

}  // namespace anomaly::demo
