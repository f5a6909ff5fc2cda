#include "core/program/like.h"

#include "core/program/program_text.h"

namespace anomaly {

// Greedy with one point of return: when the rest does not fit, the last % takes a character more.
bool is_like(std::string_view text, std::string_view pattern, bool utf8) {
    constexpr size_t kNowhere = std::string_view::npos;
    size_t t = 0;
    size_t p = 0;
    size_t after_percent = kNowhere;
    size_t taken_from = 0;
    while (t < text.size() || p < pattern.size()) {
        if (p < pattern.size() && pattern[p] == '%') {
            after_percent = ++p;
            taken_from = t;
            continue;
        }
        if (p < pattern.size() && t < text.size()) {
            if (pattern[p] == '_') {
                p++;
                t++;
                while (t < text.size() && !program::begins_character(text[t], utf8)) t++;
                continue;
            }
            size_t literal = pattern[p] == '\\' ? p + 1 : p;
            if (pattern[literal] == text[t]) {
                p = literal + 1;
                t++;
                continue;
            }
        }
        if (after_percent == kNowhere || taken_from == text.size()) return false;
        taken_from++;
        while (taken_from < text.size() && !program::begins_character(text[taken_from], utf8)) {
            taken_from++;
        }
        t = taken_from;
        p = after_percent;
    }
    return true;
}

}  // namespace anomaly
