// Goal: of several requests to begin again, only the answer to the newest counts.
#include "kafka/partition.h"

#include <gtest/gtest.h>

namespace anomaly::kafka {
namespace {

// The broker answers, goes away and answers again: two requests are on their way, both from the
// same offset. Were the first answer taken, what is read after it would come again after the
// second.
TEST(Partition, AwaitsTheAnswerToItsNewestRequestOnly) {
    Start begin;
    begin.partition = 3;
    begin.next_offset = 100;
    Partition partition(begin);
    EXPECT_TRUE(partition.is_awaited(0)) << "a partition that was found is read without a request";
    const int64_t first = partition.request_restart();
    EXPECT_TRUE(partition.is_awaited(first));
    const int64_t second = partition.request_restart();
    EXPECT_FALSE(partition.is_awaited(first));
    EXPECT_TRUE(partition.is_awaited(second));
    EXPECT_FALSE(partition.is_awaited(0));
    EXPECT_EQ(partition.progress().next_offset, 100);
}

}  // namespace
}  // namespace anomaly::kafka
