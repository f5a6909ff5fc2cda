#include "lines.h"

#include <charconv>
#include <stdexcept>

namespace anomaly::demo {
namespace {

std::runtime_error wrong(const char* what, std::string_view text) {
    return std::runtime_error(std::string(what) + ": \"" + std::string(text.substr(0, 80)) + "\"");
}

std::optional<std::string> parse_field(std::string_view text) {
    if (text == "\\N") return std::nullopt;
    if (!text.starts_with("\\x")) return std::string(text);
    const std::string_view digits = text.substr(2);
    if (digits.size() % 2 != 0) throw wrong("odd number of hex digits", text);
    std::string out;
    for (size_t i = 0; i < digits.size(); i += 2) {
        unsigned byte = 0;
        const char* end = digits.data() + i + 2;
        const auto [stop, error] = std::from_chars(digits.data() + i, end, byte, 16);
        if (error != std::errc() || stop != end) throw wrong("not hex digits", text);
        out += static_cast<char>(byte);
    }
    return out;
}

}  // namespace

Line parse_line(std::string_view text) {
    const size_t first = text.find('\t');
    const size_t second = first == std::string_view::npos ? first : text.find('\t', first + 1);
    if (second == std::string_view::npos) throw wrong("expected partition, key and value", text);
    Line line;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + first, line.partition);
    if (error != std::errc() || stop != text.data() + first)
        throw wrong("not a partition", text.substr(0, first));
    line.key = parse_field(text.substr(first + 1, second - first - 1));
    line.value = parse_field(text.substr(second + 1));
    return line;
}

}  // namespace anomaly::demo
