// For hints: of the words that there are, those that look like what was meant.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// `words` ends with NULL. Quoted, with commas in between; "" where none is near.
const char* near_words(const char* meant, const char* const* words);

// A hint that lists all words, and the near ones again if there are any.
const char* choice_hint(const char* meant, const char* const* words);

}  // namespace anomaly::pg
