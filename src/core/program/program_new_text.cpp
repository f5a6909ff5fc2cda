// Text functions whose results are new bytes.
#include <charconv>
#include <cstring>

#include "core/program/program_text.h"

namespace anomaly::program {
namespace {

// f(row) gives the text, where all operands have values.
template <class F>
void make_text(Operand a, Operand b, Operand c, size_t n, Output out, F f) {
    for (size_t i = 0; i < n; i++) {
        uint8_t state = a.states[i];
        if (b.states != nullptr) state |= b.states[i];
        if (c.states != nullptr) state |= c.states[i];
        put_text(out, i, state == 0 ? f(i) : std::string_view());
        out.states[i] = state;
    }
}

// An empty text may have no address.
char* append(char* to, std::string_view bytes) {
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    return to + bytes.size();
}

std::string_view int_to_text(int64_t value, Arena& arena) {
    char digits[24];
    char* end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
    return arena.copy({digits, static_cast<size_t>(end - digits)});
}

std::string_view concat(std::string_view a, std::string_view b, Arena& arena) {
    char* bytes = arena.allocate(a.size() + b.size());
    append(append(bytes, a), b);
    return {bytes, a.size() + b.size()};
}

// Other bytes than ASCII letters stay as they are.
std::string_view change_case(std::string_view text, char first, char last, Arena& arena) {
    constexpr char kCaseBit = 'a' ^ 'A';
    char* bytes = arena.allocate(text.size());
    for (size_t i = 0; i < text.size(); i++) {
        bool changes = text[i] >= first && text[i] <= last;
        bytes[i] = changes ? static_cast<char>(text[i] ^ kCaseBit) : text[i];
    }
    return {bytes, text.size()};
}

// An empty `from` replaces nothing.
std::string_view replace(std::string_view text, std::string_view from, std::string_view to,
                         Arena& arena) {
    size_t count = 0;
    if (!from.empty()) {
        for (size_t at = text.find(from); at != std::string_view::npos;
             at = text.find(from, at + from.size())) {
            count++;
        }
    }
    if (count == 0) return text;
    size_t size = text.size() - count * from.size() + count * to.size();
    char* bytes = arena.allocate(size);
    char* next = bytes;
    while (count-- > 0) {
        size_t at = text.find(from);
        next = append(append(next, text.substr(0, at)), to);
        text.remove_prefix(at + from.size());
    }
    append(next, text);
    return {bytes, size};
}

}  // namespace

void evaluate_new_text(const ExprNode& node, Operand a, Operand b, Operand c, size_t n, Output out,
                       Arena& arena) {
    switch (node.op) {
        case Op::kIntToText:
            return make_text(a, {}, {}, n, out,
                             [&](size_t i) { return int_to_text(to_int(a.cells[i]), arena); });
        case Op::kTextConcat:
            return make_text(a, b, {}, n, out,
                             [&](size_t i) { return concat(text_at(a, i), text_at(b, i), arena); });
        case Op::kTextLower:
            return make_text(a, {}, {}, n, out,
                             [&](size_t i) { return change_case(text_at(a, i), 'A', 'Z', arena); });
        case Op::kTextUpper:
            return make_text(a, {}, {}, n, out,
                             [&](size_t i) { return change_case(text_at(a, i), 'a', 'z', arena); });
        default:  // kTextReplace
            return make_text(a, b, c, n, out, [&](size_t i) {
                return replace(text_at(a, i), text_at(b, i), text_at(c, i), arena);
            });
    }
}

}  // namespace anomaly::program
