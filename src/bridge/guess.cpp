#include "bridge/guess.h"

#include <vector>

#include "bridge/guard.h"
#include "core/decode/schema_guess.h"

namespace anomaly::bridge {

struct Guess {
    SchemaGuess schema;
    std::vector<anomaly::GuessedColumn> found;
    std::vector<std::vector<const char*>> paths;
    std::vector<GuessedColumn> columns;
};

Status guess_open(Guess** out) noexcept {
    return guard([&] { *out = new Guess; });
}

void guess_close(Guess* guess) noexcept {
    delete guess;
}

Status guess_add(Guess* guess, const char* message, int32_t size) noexcept {
    return guard([&] { guess->schema.add({message, static_cast<size_t>(size)}); });
}

Status guess_columns(Guess* guess, const GuessedColumn** columns, int32_t* count) noexcept {
    return guard([&] {
        guess->found = guess->schema.columns();
        guess->paths.clear();
        guess->columns.clear();
        for (const anomaly::GuessedColumn& column : guess->found) {
            guess->paths.emplace_back();
            for (const std::string& name : column.path) guess->paths.back().push_back(name.c_str());
        }
        for (size_t i = 0; i < guess->found.size(); i++) {
            const anomaly::GuessedColumn& column = guess->found[i];
            guess->columns.push_back({guess->paths[i].data(),
                                      static_cast<int32_t>(guess->paths[i].size()), column.type,
                                      column.in_all, column.is_time, column.units_per_second});
        }
        *columns = guess->columns.data();
        *count = static_cast<int32_t>(guess->columns.size());
    });
}

}  // namespace anomaly::bridge
