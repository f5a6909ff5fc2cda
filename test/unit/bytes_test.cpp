// Portable bytes: what a writer wrote is what a reader reads; words of memory.
#include "core/data/bytes.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "core/data/word.h"

namespace anomaly {
namespace {

TEST(Bytes, WhatWasWrittenIsReadAgain) {
    ByteWriter out;
    std::mt19937_64 random(11);
    for (int i = 0; i < 1000; i++) {
        out.byte(static_cast<uint8_t>(i));
        out.varint(random() >> i % 64);
        out.zigzag(-i);
        out.fixed32(static_cast<uint32_t>(i) * 3);
        out.fixed64(~static_cast<uint64_t>(i));
        out.sized(std::string(static_cast<size_t>(i % 300), 'x'));
    }
    random.seed(11);
    ByteReader in(out.view());
    for (int i = 0; i < 1000; i++) {
        EXPECT_EQ(in.byte(), static_cast<uint8_t>(i));
        EXPECT_EQ(in.varint(), random() >> i % 64);
        EXPECT_EQ(in.zigzag(), -i);
        EXPECT_EQ(in.fixed32(), static_cast<uint32_t>(i) * 3);
        EXPECT_EQ(in.fixed64(), ~static_cast<uint64_t>(i));
        EXPECT_EQ(in.sized(), std::string(static_cast<size_t>(i % 300), 'x'));
    }
    EXPECT_TRUE(in.ok() && in.at_end());
}

TEST(Bytes, TheFrontGoesAndTheRestStays) {
    ByteWriter out;
    out.raw("0123456789");
    out.drop_front(4);
    EXPECT_EQ(out.view(), "456789");
    out.raw("ab");
    out.drop_front(8);
    EXPECT_EQ(out.size(), 0u);
    out.byte('c');
    EXPECT_EQ(out.view(), "c");
}

TEST(Bytes, EqualityLooksAtEveryByteAndAtNoOther) {
    for (size_t size = 0; size < 40; size++) {
        std::string a = std::string(size, 'a') + "one";
        std::string b = std::string(size, 'a') + "two";
        EXPECT_TRUE(equal_bytes(a.data(), b.data(), size)) << size;
        for (size_t i = 0; i < size; i++) {
            b[i]++;
            EXPECT_FALSE(equal_bytes(a.data(), b.data(), size)) << size << " " << i;
            b[i]--;
        }
    }
}

TEST(Bytes, WordsAreLittleEndian) {
    EXPECT_EQ(load_word("\x01\x02\x03\x04\x05\x06\x07\x08"), 0x0807060504030201u);
    EXPECT_EQ(load_part("\x01\x02\x03", 3), 0x030201u);
}

}  // namespace
}  // namespace anomaly
