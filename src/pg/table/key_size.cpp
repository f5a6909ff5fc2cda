#include "pg/table/key_size.h"

namespace anomaly::pg {

namespace {

// So many bytes of values fit, with the headers of as many columns as an index may have.
constexpr Size kSurelyFits = 2000;

// As nbtree's BTMaxItemSize.
constexpr Size kIndexRowMax =
    MAXALIGN_DOWN((BLCKSZ - MAXALIGN(SizeOfPageHeaderData + 3 * sizeof(ItemIdData)) -
                   MAXALIGN(sizeof(BTPageOpaqueData))) /
                  3) -
    MAXALIGN(sizeof(ItemPointerData));

// What the index would take. Values that are long are compressed for it.
Size index_row_size(const Relation index, const Datum* values, const bool* nulls) {
    Datum key[INDEX_MAX_KEYS];
    bool key_nulls[INDEX_MAX_KEYS];
    for (int i = 0; i < IndexRelationGetNumberOfAttributes(index); i++) {
        const int column = index->rd_index->indkey.values[i] - 1;
        key[i] = values[column];
        key_nulls[i] = nulls[column];
    }
    return IndexTupleSize(index_form_tuple(RelationGetDescr(index), key, key_nulls));
}

}  // namespace

bool may_be_long(const TableDefinition* definition, TupleDesc row, const Datum* values,
                 const bool* nulls) {
    Size size = 0;
    for (int i = 0; i < definition->output_count; i++) {
        if (!definition->outputs[i].is_group_column || nulls[i]) continue;
        const Form_pg_attribute column = TupleDescAttr(row, i);
        size += datumGetSize(values[i], column->attbyval, column->attlen);
    }
    return size > kSurelyFits;
}

void check_key_size(Oid table, const Datum* values, const bool* nulls) {
    Relation relation = table_open(table, NoLock);
    ListCell* cell;
    foreach (cell, RelationGetIndexList(relation)) {
        Relation index = index_open(lfirst_oid(cell), AccessShareLock);
        // The key's is the only one that is unique.
        const Size size =
            index->rd_index->indisunique ? index_row_size(index, values, nulls) : Size{0};
        index_close(index, AccessShareLock);
        if (size > kIndexRowMax) {
            ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                            errmsg("a group's key takes %zu bytes, and an index at most %zu", size,
                                   kIndexRowMax)));
        }
    }
    table_close(relation, NoLock);
}

}  // namespace anomaly::pg
