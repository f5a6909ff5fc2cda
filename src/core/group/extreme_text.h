// min and max of text in the C collation: byte by byte. A slot for each group. One thread.
#pragma once

#include <memory>

#include "core/group/aggregate.h"

namespace anomaly {

std::unique_ptr<Aggregate> make_extreme_text(bool larger);

}  // namespace anomaly
