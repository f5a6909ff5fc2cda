// tumble and hop: windows of time, the same over streams and over ordinary tables.
#pragma once

#include "core/spec.h"
#include "pg/pg.h"

namespace anomaly::pg {

// Is this one of the extension's functions of that name?
enum class WindowFunction : uint8 { kNone, kTumble, kHop };
WindowFunction window_function(Oid function);

// The windows that these intervals mean, without a zone; raises an error for what cannot be.
WindowSpec make_window_spec(const Interval* slide, const Interval* size, const Interval* offset);

}  // namespace anomaly::pg
