#include "pg/server/near_words.h"

namespace anomaly::pg {

namespace {

bool is_near(const char* meant, const char* word) {
    constexpr Size kMeantBytesMax = 64;  // the edit distance takes no longer ones
    const Size meant_size = strlen(meant);
    if (meant_size == 0 || meant_size > kMeantBytesMax) return false;
    const int size = static_cast<int>(meant_size);
    const int distance_max = 1 + size / 3;
    const int distance = varstr_levenshtein_less_equal(
        meant, size, word, static_cast<int>(strlen(word)), 1, 1, 1, distance_max, true);
    return distance <= distance_max || strstr(word, meant) != NULL;
}

}  // namespace

const char* near_words(const char* meant, const char* const* words) {
    StringInfoData near;
    initStringInfo(&near);
    for (int i = 0; words[i] != NULL; i++) {
        if (!is_near(meant, words[i])) continue;
        appendStringInfo(&near, "%s\"%s\"", near.len == 0 ? "" : ", ", words[i]);
    }
    return near.data;
}

const char* choice_hint(const char* meant, const char* const* words) {
    StringInfoData hint;
    initStringInfo(&hint);
    appendStringInfoString(&hint, "Allowed are ");
    for (int i = 0; words[i] != NULL; i++) {
        const char* comma = words[i + 1] == NULL ? " and " : ", ";
        appendStringInfo(&hint, "%s%s", i == 0 ? "" : comma, words[i]);
    }
    const char* near = near_words(meant, words);
    if (near[0] != '\0') appendStringInfo(&hint, ". Perhaps you meant %s", near);
    appendStringInfoChar(&hint, '.');
    return hint.data;
}

}  // namespace anomaly::pg
