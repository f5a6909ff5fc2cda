// Messages on their way out: levels of subtransactions, and the producer against the mock cluster.
#include "kafka/producer.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <set>
#include <string>

#include "kafka/out_batch.h"
#include "kafka/reader.h"
#include "mock_cluster.h"

namespace anomaly::kafka {
namespace {

OutMessage message(const std::string& value) {
    OutMessage out{};
    out.topic = "out";
    out.partition = -1;
    out.value = value.data();
    out.value_size = static_cast<int32_t>(value.size());
    return out;
}

std::string values(const std::vector<OutBatch>& batches) {
    std::string out;
    std::vector<OutHeader> headers;
    for (const OutBatch& batch : batches) {
        for (int32_t i = 0; i < batch.size(); i++) {
            const OutMessage m = batch.message(i, headers);
            out += std::string(m.value, static_cast<size_t>(m.value_size)) + " ";
        }
    }
    return out;
}

TEST(OutBatch, KeepsWhatItWasGiven) {
    OutBatch batch;
    const OutHeader given[] = {{"a", "1", 1}, {"none", nullptr, 0}, {"empty", "", 0}};
    OutMessage m = message("");
    m.key = "k";
    m.key_size = 1;
    m.partition = 3;
    m.timestamp_ms = 77;
    m.headers = given;
    m.header_count = 3;
    batch.add(m);
    OutMessage nothing{};
    nothing.topic = "other";
    batch.add(nothing);

    std::vector<OutHeader> headers;
    const OutMessage first = batch.message(0, headers);
    EXPECT_EQ(first.topic, "out");
    EXPECT_EQ(first.partition, 3);
    EXPECT_EQ(first.timestamp_ms, 77);
    EXPECT_EQ(std::string(first.key, 1), "k");
    ASSERT_NE(first.value, nullptr);  // empty is not null
    EXPECT_EQ(first.value_size, 0);
    ASSERT_EQ(first.header_count, 3);
    EXPECT_EQ(headers[0].name, "a");
    EXPECT_EQ(std::string(headers[0].value, 1), "1");
    EXPECT_EQ(headers[1].value, nullptr);
    EXPECT_NE(headers[2].value, nullptr);
    const OutMessage second = batch.message(1, headers);
    EXPECT_EQ(second.topic, "other");
    EXPECT_EQ(second.key, nullptr);
    EXPECT_EQ(second.value, nullptr);
}

TEST(OutLevels, SubtransactionsGiveOrTakeBack) {
    OutLevels levels;
    levels.add(1, message("a"));
    levels.add(2, message("b"));
    levels.add(4, message("c"));
    levels.drop(4);
    levels.add(3, message("d"));
    EXPECT_EQ(values(levels.take()), "a ");
    levels.release(3);
    EXPECT_EQ(levels.bytes_to_take(), 0);
    EXPECT_EQ(values(levels.take()), "");
    levels.release(2);
    EXPECT_EQ(values(levels.take()), "b d ");
    EXPECT_EQ(levels.bytes(), 0);
    levels.add(2, message("e"));
    levels.drop(2);
    levels.release(1);  // of an empty one nothing comes
    EXPECT_EQ(values(levels.take()), "");
}

TEST(OutLevels, KeepsTheOrderOverABatchsSize) {
    OutLevels levels;
    const std::string large(OutLevels::kBatchBytes, 'x');
    levels.add(1, message(large));
    levels.add(1, message("1"));
    levels.add(2, message("2"));
    levels.release(2);
    levels.add(1, message("3"));
    EXPECT_EQ(values(levels.take()).substr(large.size()), " 1 2 3 ");
}

ProducerState wait_until_idle(Producer& producer) {
    for (;;) {
        const ProducerState state = producer.state();
        if (state.idle || state.failed) return state;
        pollfd fd = {producer.fd(), POLLIN, 0};
        if (poll(&fd, 1, 30000) != 1) throw std::runtime_error("the producer has hung up");
    }
}

OutBatch batch_of(const std::string& prefix, int count) {
    OutBatch batch;
    for (int i = 0; i < count; i++) {
        const std::string value = prefix + std::to_string(i);
        batch.add(message(value));
    }
    return batch;
}

// What a reader of the topic sees up to its end.
std::set<std::string> read_all(const MockCluster& cluster) {
    Reader reader("out", cluster.properties());
    reader.assign({}, kBeginning);
    std::set<std::string> out;
    for (bool at_end = false; !at_end;) {
        std::vector<Event> events;
        reader.events(events);
        MessageBatch batch;
        reader.pull(0, batch, 100000, 1 << 30);
        batch.finish();
        for (int32_t i = 0; i < batch.size(); i++) out.emplace(batch.value(i));
        for (const Event& event : events) at_end = at_end || event.kind == EventKind::kEof;
        pollfd fd = {reader.fd(), POLLIN, 0};
        if (!at_end && poll(&fd, 1, 30000) != 1) throw std::runtime_error("no end of the topic");
    }
    return out;
}

TEST(Producer, SendsInTransactions) {
    MockCluster cluster;
    cluster.create("out", 1);
    Producer producer(cluster.properties(), "test");
    producer.send(batch_of("a", 1000));
    producer.flush();
    producer.commit();
    EXPECT_TRUE(wait_until_idle(producer).error.empty());
    producer.commit();  // of nothing
    producer.send(batch_of("b", 10));
    producer.flush();
    producer.commit();
    EXPECT_TRUE(wait_until_idle(producer).error.empty());
    EXPECT_EQ(read_all(cluster).size(), 1010u);
}

TEST(Producer, DropsWhatWaitsAndGoesOn) {
    MockCluster cluster;
    cluster.create("out", 1);
    Producer producer(cluster.properties(), "test");
    producer.send(batch_of("a", 10));
    producer.roll_back();
    producer.send(batch_of("b", 10));
    producer.flush();
    producer.commit();
    EXPECT_FALSE(wait_until_idle(producer).failed);
    EXPECT_TRUE(read_all(cluster).count("b9"));
}

TEST(Producer, WithoutTransactions) {
    MockCluster cluster;
    cluster.create("out", 1);
    Producer producer(cluster.properties(), "");
    EXPECT_FALSE(producer.is_transactional());
    producer.send(batch_of("a", 100));
    producer.flush();
    EXPECT_FALSE(wait_until_idle(producer).failed);
    EXPECT_EQ(read_all(cluster).size(), 100u);
}

TEST(Producer, SaysWhyItCannotAndGoesOnAfterAnAbort) {
    MockCluster cluster;
    cluster.create("out", 1);
    Properties properties = cluster.properties();
    properties.emplace_back("message.timeout.ms", "1000");
    Producer producer(properties, "");
    cluster.down();
    producer.send(batch_of("a", 1));
    producer.flush();
    const ProducerState state = wait_until_idle(producer);
    EXPECT_TRUE(state.failed);
    EXPECT_FALSE(state.broken);
    EXPECT_NE(state.error.find("\"out\""), std::string::npos) << state.error;
    cluster.up();
    producer.roll_back();
    EXPECT_FALSE(producer.state().failed);
    producer.send(batch_of("b", 1));
    producer.flush();
    EXPECT_FALSE(wait_until_idle(producer).failed);
    EXPECT_EQ(read_all(cluster), std::set<std::string>{"b0"});
}

TEST(Producer, EndsInTimeWithoutABroker) {
    Producer producer({{"bootstrap.servers", "127.0.0.1:1"}, {"message.timeout.ms", "1000"}},
                      "test");
    producer.send(batch_of("a", 1));
    producer.flush();
    EXPECT_TRUE(wait_until_idle(producer).failed);
}

TEST(Producer, TakesNoPropertyThatThereIsNot) {
    EXPECT_THROW(Producer({{"no.such", "1"}}, ""), PropertyError);
}

}  // namespace
}  // namespace anomaly::kafka
