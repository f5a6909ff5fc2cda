// Datums to core's cells (core/type.h) and back.
//
// kOpaque: the cells point at an image of the datum: of a varlena the whole flat, detoasted value
// with its header, of a cstring its bytes with the end, of a fixed-length type its bytes, of a
// by-value type the eight bytes of the Datum.
#pragma once

#include "core/type.h"
#include "pg/pg.h"

namespace anomaly::pg {

// What the codec has to know of a PostgreSQL type.
struct CellType {
    Type type;
    Oid oid;
    int16 length;
    bool by_value;
};

// The type that core computes with; domains and everything that core does not know are kOpaque.
Type core_type(Oid type);
CellType cell_type(Oid type);

// A datum of its own in the current memory context. kInt128 and kInt128Ratio become numeric, the
// ratio as PostgreSQL's avg divides.
Datum datum_from_cells(const CellType& type, const uint64_t* cells);

// The cells may point into the datum, or at a copy in the current memory context: they live as long
// as both.
void cells_from_datum(const CellType& type, Datum value, uint64_t* cells);

}  // namespace anomaly::pg
