// librdkafka's mock cluster with a producer, for the tests of this folder's Kafka parts.
#pragma once

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <stdexcept>
#include <string>

#include "kafka/client.h"
#include "kafka/ending.h"

namespace anomaly::kafka {

class MockCluster {
  public:
    explicit MockCluster(int brokers = 1) {
        char error[512] = {};
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        rd_kafka_conf_set(conf, "log_level", "0", error, sizeof error);
        owner_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error));
        if (!owner_) throw std::runtime_error(error);
        cluster_ = rd_kafka_mock_cluster_new(owner_.get(), brokers);
    }
    ~MockCluster() {
        await_ends();  // of those that were used here, so that no test ends in the midst of it
        producer_.reset();
        rd_kafka_mock_cluster_destroy(cluster_);
    }
    MockCluster(const MockCluster&) = delete;
    MockCluster& operator=(const MockCluster&) = delete;

    Properties properties() const {
        return {{"bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster_)},
                {"topic.metadata.refresh.interval.ms", "200"}};
    }
    void create(const char* topic, int partitions) {
        rd_kafka_mock_topic_create(cluster_, topic, partitions, 1);
    }
    // The mock cluster makes a topic when it is asked for one, unless it is told to say no.
    void refuse(const char* topic, bool refused) {
        rd_kafka_mock_topic_set_error(
            cluster_, topic,
            refused ? RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART : RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    void down() { rd_kafka_mock_broker_set_down(cluster_, -1); }
    // Brokers are numbered from 1.
    void move_leader(const char* topic, int32_t partition, int32_t broker) {
        rd_kafka_mock_partition_set_leader(cluster_, topic, partition, broker);
    }
    void up() { rd_kafka_mock_broker_set_up(cluster_, -1); }
    // Whether it says where the coordinator of a group is.
    void hide_coordinator(bool hidden) {
        constexpr int16_t kFindCoordinator = 10;
        constexpr int kOften = 1000;
        rd_kafka_mock_clear_request_errors(cluster_, kFindCoordinator);
        for (int i = 0; hidden && i < kOften; i++)
            rd_kafka_mock_push_request_errors(cluster_, kFindCoordinator, 1,
                                              RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE);
    }
    // Of the group of these clients, -1001: none.
    int64_t committed(const char* topic, int32_t partition) const {
        LogRing log;
        const Owned<rd_kafka_t> client = make_consumer(properties(), log);
        const Owned<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
        rd_kafka_topic_partition_list_add(list.get(), topic, partition);
        constexpr int kLimitMs = 5000;
        if (rd_kafka_committed(client.get(), list.get(), kLimitMs)) return -1001;
        return list->elems[0].offset;
    }

    // Produces and waits until the broker has it.
    void produce(const char* topic, int32_t partition, int count, const std::string& prefix) {
        if (!producer_) make_producer();
        for (int i = 0; i < count; i++) {
            const std::string value = prefix + std::to_string(i);
            const rd_kafka_resp_err_t error = rd_kafka_producev(
                producer_.get(), RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                RD_KAFKA_V_TIMESTAMP(int64_t{1000} + i), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                RD_KAFKA_V_END);
            if (error) throw std::runtime_error(rd_kafka_err2str(error));
        }
        if (rd_kafka_flush(producer_.get(), 20000)) throw std::runtime_error("not produced");
    }

  private:
    void make_producer() {
        char error[512] = {};
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster_),
                          error, sizeof error);
        rd_kafka_conf_set(conf, "linger.ms", "1", error, sizeof error);
        rd_kafka_conf_set(conf, "log_level", "0", error, sizeof error);
        producer_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error));
        if (!producer_) throw std::runtime_error(error);
    }

    Owned<rd_kafka_t> owner_;
    Owned<rd_kafka_t> producer_;
    rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

}  // namespace anomaly::kafka
