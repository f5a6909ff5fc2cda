// Keys of a batch are those that a group is found by, however often they are asked for, and
// whatever was forgotten meanwhile.
#include "core/group/encoded_keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/group/group_table.h"

namespace anomaly {
namespace {

const EncodedKeys::Key& key_of(EncodedKeys& keys, int32_t row) {
    const int32_t rows[] = {row};
    keys.encode(rows);
    return keys.at(row);
}

std::string encoded(const std::vector<Type>& types, const std::vector<const Column*>& columns,
                    int32_t row) {
    ByteWriter out;
    GroupKeyCodec(types).encode(columns, row, out);
    return std::string(out.view());
}

TEST(EncodedKeys, AreHashedWithoutWhatIsNotCompared) {
    const std::vector<Type> types = {Type::kText, Type::kFloat8};
    Column text(Type::kText), number(Type::kFloat8);
    text.assign_nulls(3);
    number.assign_nulls(3);
    for (int32_t row : {0, 1}) text.set_text(row, "doc");
    number.set_float(0, 0.0);
    number.set_float(1, -0.0);
    EncodedKeys keys(types);
    keys.begin({&text, &number}, 3);
    for (int32_t row : {0, 1, 2, 1, 0}) {
        const EncodedKeys::Key& key = key_of(keys, row);
        EXPECT_EQ(keys.bytes(key), encoded(types, {&text, &number}, row));
        EXPECT_EQ(key.hash, key_hash(keys.bytes(key).substr(0, key.size - 1)));
    }
    EXPECT_EQ(key_of(keys, 0).hash, key_of(keys, 1).hash);
    EXPECT_NE(key_of(keys, 0).hash, key_of(keys, 2).hash);
    EXPECT_NE(keys.bytes(key_of(keys, 0)), keys.bytes(key_of(keys, 1)));
}

TEST(EncodedKeys, AreThoseOfTheBatchForAllWhoShareThem) {
    Column first(Type::kInt8), second(Type::kInt8);
    for (Column* column : {&first, &second}) column->assign_nulls(2);
    first.set_int(0, 1);
    second.set_int(0, 2);
    EncodedKeys keys({Type::kInt8});
    keys.begin({&first}, 2);
    const uint64_t hash = key_of(keys, 0).hash;
    keys.begin({&second}, 2);
    EXPECT_EQ(key_of(keys, 0).hash, hash) << "it has begun before";
    keys.end_batch();
    keys.begin({&second}, 2);
    EXPECT_EQ(keys.bytes(key_of(keys, 0)), encoded({Type::kInt8}, {&second}, 0));
}

TEST(EncodedKeys, AreForgottenWhenTheyTakeTooMuch) {
    constexpr int32_t kRows = 64;
    const std::string filling(1 << 20, 'x');
    std::vector<std::string> texts;
    for (int32_t row = 0; row < kRows; row++) texts.push_back(filling + std::to_string(row));
    Column column(Type::kText);
    column.assign_nulls(kRows);
    for (int32_t row = 0; row < kRows; row++) column.set_text(row, texts[static_cast<size_t>(row)]);
    EncodedKeys keys({Type::kText});
    keys.begin({&column}, kRows);
    size_t most = 0;
    for (int32_t turn = 0; turn < 2; turn++) {
        for (int32_t row = 0; row < kRows; row++) {
            const EncodedKeys::Key& key = key_of(keys, row);
            most = std::max(most, key.at + key.size);
            ASSERT_EQ(keys.bytes(key), encoded({Type::kText}, {&column}, row));
        }
    }
    EXPECT_LT(most, size_t{6} << 20);
}

}  // namespace
}  // namespace anomaly
