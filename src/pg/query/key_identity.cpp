// A hash table over the type's own hash function and equality operator, as GROUP BY has one.
#include "pg/query/key_identity.h"

#include "pg/server/call.h"
#include "pg/value/cell_codec.h"
#include "pg/value/value_codec.h"

namespace anomaly::pg {

namespace {

constexpr int64 kTrimFrom = 20000;  // values

// Of equal hashes, a chain.
struct Value {
    Value* next;
    Datum datum;
    const char* bytes;
    int size;
};

struct Bucket {
    uint32 hash;  // the key
    Value* first;
};

// A domain's values are those of its base type, and its checks are done.
Oid type_of(const Node* key) {
    return getBaseType(exprType(key));
}

TypeCacheEntry* equality_of(Oid type) {
    return lookup_type_cache(type, TYPECACHE_HASH_PROC_FINFO | TYPECACHE_EQ_OPR_FINFO);
}

}  // namespace

struct KeyIdentity {
    Oid type;
    Oid collation;
    TypeCacheEntry* equality;
    ValueCodec* codec;
    MemoryContext context;  // of the values
    HTAB* buckets;          // NULL: no value yet
    int64 count;
    int64 trim_at;
};

namespace {

KeyIdentity* make_key_identity(const Node* key) {
    KeyIdentity* identity = static_cast<KeyIdentity*>(palloc0(sizeof(KeyIdentity)));
    identity->type = type_of(key);
    identity->collation = exprCollation(key);
    identity->equality = equality_of(identity->type);
    identity->codec = make_value_codec(identity->type);
    identity->context =
        AllocSetContextCreate(CurrentMemoryContext, "anomaly keys", ALLOCSET_DEFAULT_SIZES);
    identity->trim_at = kTrimFrom;
    return identity;
}

void forget(KeyIdentity* identity) {
    identity->buckets = NULL;
    identity->count = 0;
    MemoryContextReset(identity->context);
}

Bucket* bucket_of(KeyIdentity* identity, Datum value) {
    if (identity->buckets == NULL) {
        HASHCTL control = {};
        control.keysize = sizeof(uint32);
        control.entrysize = sizeof(Bucket);
        control.hcxt = identity->context;
        identity->buckets =
            hash_create("anomaly keys", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    }
    const uint32 hash = DatumGetUInt32(
        FunctionCall1Coll(&identity->equality->hash_proc_finfo, identity->collation, value));
    bool found = false;
    Bucket* bucket =
        static_cast<Bucket*>(hash_search(identity->buckets, &hash, HASH_ENTER, &found));
    if (!found) bucket->first = NULL;
    return bucket;
}

Value* add(KeyIdentity* identity, Bucket* bucket, Datum value) {
    const MemoryContext caller = MemoryContextSwitchTo(identity->context);
    StringInfoData bytes;
    initStringInfo(&bytes);
    encode_value(identity->codec, value, &bytes);
    Value* added = static_cast<Value*>(palloc(sizeof(Value)));
    *added = {bucket->first,
              datumCopy(value, identity->equality->typbyval, identity->equality->typlen),
              bytes.data, bytes.len};
    bucket->first = added;
    identity->count++;
    MemoryContextSwitchTo(caller);
    return added;
}

Value* find_or_add(KeyIdentity* identity, Datum value) {
    Bucket* bucket = bucket_of(identity, value);
    for (Value* known = bucket->first; known != NULL; known = known->next) {
        if (DatumGetBool(FunctionCall2Coll(&identity->equality->eq_opr_finfo, identity->collation,
                                           known->datum, value))) {
            return known;
        }
    }
    return add(identity, bucket, value);
}

void learn_column(KeyIdentity* identity, const ColumnView* keys) {
    for (int row = 0; row < keys->row_count; row++) {
        if (keys->nulls != NULL && keys->nulls[row] != 0) continue;
        const uint64_t* cells = keys->cells + 2 * row;
        StringInfoData bytes =
            view_bytes(reinterpret_cast<const char*>(cells[0]), static_cast<uint64>(cells[1]));
        find_or_add(identity, decode_value(identity->codec, &bytes));
    }
}

}  // namespace

bool needs_identity(const Node* key) {
    if (!is_equal_by_cells(core_type(exprType(key)))) return true;
    const Oid collation = exprCollation(key);
    return OidIsValid(collation) && !get_collation_isdeterministic(collation);
}

void check_identity(const Node* key) {
    const Oid type = type_of(key);
    const TypeCacheEntry* equality = equality_of(type);
    const bool hashed =
        OidIsValid(equality->hash_proc_finfo.fn_oid) && OidIsValid(equality->eq_opr_finfo.fn_oid);
    if (hashed && make_value_codec(type) != NULL) return;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("a continuous table cannot be grouped by a value of type %s",
                           format_type_be(type)),
                    hashed ? errdetail("The type has no form that could be stored.")
                           : errdetail("The type has no hash function."),
                    errhint("Cast it to text.")));
}

KeyIdentity** make_key_identities(const TableDefinition* definition) {
    KeyIdentity** identities = static_cast<KeyIdentity**>(
        palloc0(sizeof(KeyIdentity*) * static_cast<Size>(definition->key_count + 1)));
    for (int k = 0; k < definition->key_count; k++) {
        const Node* key = reinterpret_cast<const Node*>(definition->keys[k]);
        if (needs_identity(key)) identities[k] = make_key_identity(key);
    }
    return identities;
}

void identify_key(KeyIdentity* identity, Datum value, uint64_t* cells) {
    const Value* known = find_or_add(identity, value);
    cells[0] = reinterpret_cast<uint64_t>(known->bytes);
    cells[1] = static_cast<uint64_t>(known->size);
}

void learn_keys(KeyIdentity** identities, int count, const bridge::Ingest* ingest, int32 table) {
    bool any = false;
    for (int k = 0; k < count; k++) {
        if (identities[k] == NULL) continue;
        forget(identities[k]);
        any = true;
    }
    for (int32 part = 0; any && part < bridge::kGroupKeyParts; part++) {
        const ColumnView* keys = NULL;
        check(bridge::ingest_group_keys(ingest, table, part, &keys));
        for (int k = 0; k < count; k++) {
            if (identities[k] != NULL) learn_column(identities[k], &keys[k]);
        }
    }
}

void trim_keys(KeyIdentity** identities, int count, const bridge::Ingest* ingest, int32 table) {
    bool due = false;
    for (int k = 0; k < count; k++) {
        due = due || (identities[k] != NULL && identities[k]->count >= identities[k]->trim_at);
    }
    if (!due) return;
    learn_keys(identities, count, ingest, table);
    for (int k = 0; k < count; k++) {
        if (identities[k] != NULL) identities[k]->trim_at = 2 * identities[k]->count + kTrimFrom;
    }
}

}  // namespace anomaly::pg
