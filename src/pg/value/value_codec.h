// Datums to bytes that hold no oid and do not depend on the machine or on settings, and back: what
// the checkpoint log may keep of a value of any type.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

struct ValueCodec;

// In the current memory context; NULL: no such bytes for this type (pseudo-types, anonymous rows).
ValueCodec* make_value_codec(Oid type);

void encode_value(ValueCodec* codec, Datum value, StringInfo out);
// Takes one value off the front of the bytes; a datum of its own in the current memory context.
Datum decode_value(ValueCodec* codec, StringInfo in);

// With a byte before it that tells of NULL.
void encode_optional(ValueCodec* codec, Datum value, bool is_null, StringInfo out);
Datum decode_optional(ValueCodec* codec, StringInfo in, bool* is_null);

// Sizes as varints, as in core/data/bytes.h. Reading raises an error where the bytes end too early.
void append_varint(StringInfo out, uint64 value);
uint64 take_varint(StringInfo in);
const char* take_bytes(StringInfo in, uint64 size);
// A view of bytes for the functions above.
StringInfoData view_bytes(const char* data, uint64 size);

}  // namespace anomaly::pg
