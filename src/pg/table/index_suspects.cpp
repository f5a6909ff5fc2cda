#include "pg/table/index_suspects.h"

namespace anomaly::pg {

const char* computing_indexes(Oid table) {
    Relation relation = try_relation_open(table, AccessShareLock);
    if (relation == NULL) return NULL;
    const char* names = NULL;
    ListCell* cell;
    foreach (cell, RelationGetIndexList(relation)) {
        Relation index = try_relation_open(lfirst_oid(cell), AccessShareLock);
        if (index == NULL) continue;
        if (RelationGetIndexExpressions(index) != NIL || RelationGetIndexPredicate(index) != NIL) {
            const char* name = quote_identifier(RelationGetRelationName(index));
            names = names == NULL ? pstrdup(name) : psprintf("%s, %s", names, name);
        }
        relation_close(index, AccessShareLock);
    }
    relation_close(relation, NoLock);
    return names;
}

}  // namespace anomaly::pg
