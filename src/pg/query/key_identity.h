// Group keys of types whose equality core does not know: numeric, jsonb, interval, enums, arrays,
// rows, text of a nondeterministic collation ... To core such a key is bytes, and equal values must
// have equal bytes: each value is given the bytes of the first one seen that is equal to it.
#pragma once

#include "bridge/ingest.h"

#include "pg/query/definition.h"

namespace anomaly::pg {

struct KeyIdentity;

// Whether core has to be given bytes for this key.
bool needs_identity(const Node* key);
// Raises an error where no bytes or no equality is known for the key's type.
void check_identity(const Node* key);

// One for each key of the definition, NULL where core compares by itself; in the current memory
// context. They know the groups of one table, wherever it is read.
KeyIdentity** make_key_identities(const TableDefinition* definition);

// Sets the cells of a kBytea: they point at bytes that live until the next learn_keys.
void identify_key(KeyIdentity* identity, Datum value, uint64_t* cells);

// Forgets all values and learns those of the table's groups: after they were restored.
void learn_keys(KeyIdentity** identities, int count, const bridge::Ingest* ingest, int32 table);
// The same where there are far more values than groups. Not while a batch is under way.
void trim_keys(KeyIdentity** identities, int count, const bridge::Ingest* ingest, int32 table);

}  // namespace anomaly::pg
