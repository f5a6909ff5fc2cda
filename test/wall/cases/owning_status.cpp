// side: below
// refused: static assertion failed
#include <string>
#include <type_traits>

#include "bridge/status.h"

struct Answer {
    anomaly::bridge::Status status;
#ifdef VIOLATION
    std::string text;
#endif
};
static_assert(std::is_trivially_destructible_v<Answer>);
