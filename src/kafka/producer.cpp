#include "kafka/producer.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "kafka/ask.h"

namespace anomaly::kafka {
namespace {

constexpr int kTransactionTimeoutMs = 300000;
constexpr int kMessageTimeoutMs = 30000;
constexpr std::chrono::milliseconds kServe{100};
constexpr int kQueueFullMs = 50;

struct Setting {
    const char* name;
    const char* value;
};

// What a user may override.
constexpr Setting kDefaults[] = {
    {"client.id", "anomaly"},
    // The same partition for a key as Kafka's own clients choose.
    {"partitioner", "murmur2_random"},
    // A topic that is not there: said soon.
    {"topic.metadata.propagation.max.ms", "5000"},
    {"reconnect.backoff.max.ms", "1000"},
};

// What the promises rest on: each message once, in order, on all replicas.
constexpr Setting kFixed[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
};

int number_of(const Properties& properties, const char* name, int otherwise) {
    int number = otherwise;
    for (const auto& [key, value] : properties)
        if (key == name) std::from_chars(value.data(), value.data() + value.size(), number);
    return number;
}

// A message may not outlive its transaction.
int message_timeout_ms(const Properties& properties) {
    const int most = number_of(properties, "transaction.timeout.ms", kTransactionTimeoutMs);
    return number_of(properties, "message.timeout.ms", std::min(most, kMessageTimeoutMs));
}

std::string text_of(const Owned<rd_kafka_error_t>& error) {
    return rd_kafka_error_string(error.get());
}

// The library says how long it waited, which is our way of waiting and means nothing to others.
std::string reason_of(const Owned<rd_kafka_error_t>& error, const std::string& broker_error) {
    if (rd_kafka_error_code(error.get()) != RD_KAFKA_RESP_ERR__TIMED_OUT) return text_of(error);
    return broker_error.empty() ? "the broker does not answer" : broker_error;
}

}  // namespace

Producer::Producer(const Properties& properties, std::string transactional_id)
    : transactional_id_(std::move(transactional_id)), time_limit_(message_timeout_ms(properties)) {
    Owned<rd_kafka_conf_t> conf(rd_kafka_conf_new());
    for (const auto& [name, value] : kDefaults) set_property(conf.get(), name, value);
    for (const auto& [name, value] : properties)
        set_property(conf.get(), name.c_str(), value.c_str());
    for (const auto& [name, value] : kFixed) set_property(conf.get(), name, value);
    const auto time = std::to_string(time_limit_.count());
    set_property(conf.get(), "message.timeout.ms", time.c_str());
    if (is_transactional()) {
        const int timeout = number_of(properties, "transaction.timeout.ms", kTransactionTimeoutMs);
        set_property(conf.get(), "transaction.timeout.ms", std::to_string(timeout).c_str());
        set_property(conf.get(), "transactional.id", transactional_id_.c_str());
    }
    rd_kafka_conf_set_opaque(conf.get(), this);
    rd_kafka_conf_set_log_cb(conf.get(), nullptr);
    rd_kafka_conf_set_error_cb(conf.get(), on_error);
    rd_kafka_conf_set_dr_msg_cb(conf.get(), on_delivery);
    client_ = make_client(RD_KAFKA_PRODUCER, std::move(conf));
    const SignalBlock block;
    thread_ = std::thread(&Producer::run, this);
}

Producer::~Producer() {
    {
        const std::scoped_lock lock(mutex_);
        stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
    rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
}

// ---- the owner's side ----

void Producer::post(Job job) {
    {
        const std::scoped_lock lock(mutex_);
        state_.waiting_bytes += job.batch.bytes();
        jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
}

void Producer::send(OutBatch batch) {
    post({Step::kSend, std::move(batch)});
}

void Producer::flush() {
    post({Step::kFlush});
}

void Producer::commit() {
    post({Step::kCommit});
}

void Producer::roll_back() {
    {
        const std::scoped_lock lock(mutex_);
        for (const Job& job : jobs_) state_.waiting_bytes -= job.batch.bytes();
        jobs_.clear();
        abort_asked_ = true;
        state_.failed = state_.unknown = false;
        state_.error.clear();
    }
    post({Step::kAbort});
}

ProducerState Producer::state() {
    fd_.clear();
    const std::scoped_lock lock(mutex_);
    ProducerState out = state_;
    out.idle = jobs_.empty() && !working_;
    return out;
}

// ---- the thread's side ----

void Producer::on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
    const rd_kafka_resp_err_t error = message->err;
    if (!error) return;
    // Taken back by an abort.
    if (error == RD_KAFKA_RESP_ERR__PURGE_QUEUE || error == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
        return;
    Producer* producer = static_cast<Producer*>(opaque);
    try {
        std::string text = rd_kafka_topic_name(message->rkt);
        text = "a message for topic \"" + text + "\" was not delivered: ";
        text += rd_kafka_err2str(error);
        if (error == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT && !producer->broker_error_.empty())
            text += " (" + producer->broker_error_ + ")";
        producer->fail(std::move(text));
    } catch (const std::exception&) {
        producer->fail({});
    }
}

void Producer::on_error(rd_kafka_t*, int code, const char* text, void* opaque) {
    Producer* producer = static_cast<Producer*>(opaque);
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION) producer->refused_ = true;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !producer->broker_error_.empty()) return;
    try {
        producer->broker_error_ = text;
    } catch (const std::exception&) {
        producer->broker_error_.clear();
    }
}

void Producer::run() {
    try {
        if (is_transactional()) init();
    } catch (const std::exception& error) {
        fail(error.what());
    }
    for (Job job{}; next(job);) {
        try {
            execute(job);
        } catch (const std::exception& error) {
            fail(error.what());
        }
        {
            const std::scoped_lock lock(mutex_);
            state_.waiting_bytes -= job.batch.bytes();
            working_ = false;
        }
        fd_.fire();
    }
    // Otherwise readers of committed messages would wait for its end until it times out.
    if (!in_transaction_) return;
    const Owned<rd_kafka_error_t> error(rd_kafka_abort_transaction(client_.get(), kAskMs));
}

// Waits for a job; meanwhile what was sent is acknowledged. False: the owner ends it.
bool Producer::next(Job& job) {
    std::unique_lock lock(mutex_);
    const auto asked = [this] { return stop_ || !jobs_.empty(); };
    while (!asked()) {
        lock.unlock();
        rd_kafka_poll(client_.get(), 0);
        const bool is_waiting = rd_kafka_outq_len(client_.get()) > 0;
        lock.lock();
        if (is_waiting)
            wake_.wait_for(lock, kServe, asked);
        else
            wake_.wait(lock, asked);
    }
    if (stop_) return false;
    job = std::move(jobs_.front());
    jobs_.pop_front();
    working_ = true;
    return true;
}

void Producer::execute(Job& job) {
    if (job.step == Step::kAbort) {
        abort_transaction();
        const std::scoped_lock lock(mutex_);
        abort_asked_ = false;
        return;
    }
    if (failed()) return;
    switch (job.step) {
        case Step::kSend:
            if (begin()) send_all(job.batch);
            break;
        case Step::kFlush:
            flush_all();
            break;
        case Step::kCommit:
            commit_transaction();
            break;
        case Step::kAbort:
            break;
    }
}

void Producer::fail(std::string text, bool unknown) {
    {
        const std::scoped_lock lock(mutex_);
        if (state_.failed || abort_asked_) return;
        state_.failed = true;
        state_.unknown = unknown;
        state_.error = std::move(text);
        state_.broken = rd_kafka_fatal_error(client_.get(), nullptr, 0) != 0;
    }
    fd_.fire();
}

bool Producer::failed() {
    const std::scoped_lock lock(mutex_);
    return state_.failed;
}

bool Producer::gives_up() {
    const std::scoped_lock lock(mutex_);
    return stop_ || abort_asked_;
}

bool Producer::begin() {
    if (!is_transactional() || in_transaction_) return true;
    if (!initialized_ && !init()) return false;
    const Owned<rd_kafka_error_t> error(rd_kafka_begin_transaction(client_.get()));
    if (error) {
        fail(text_of(error));
        return false;
    }
    in_transaction_ = true;
    return true;
}

// Asks for an identity, which also ends what an earlier holder of it has left open.
bool Producer::init() {
    const auto deadline = Clock::now() + time_limit_;
    refused_ = false;
    while (!gives_up()) {
        const Owned<rd_kafka_error_t> error(rd_kafka_init_transactions(client_.get(), kAskMs));
        if (!error) {
            initialized_ = true;
            broker_error_.clear();
            return true;
        }
        rd_kafka_poll(client_.get(), 0);  // for on_error
        const bool again = rd_kafka_error_is_retriable(error.get()) && !refused_;
        if (again && Clock::now() < deadline) continue;
        fail(reason_of(error, broker_error_));
        return false;
    }
    return false;
}

rd_kafka_topic_t* Producer::topic(std::string_view name) {
    for (const auto& [known, handle] : topics_)
        if (known == name) return handle.get();
    const std::string text(name);
    Owned<rd_kafka_topic_t> handle(rd_kafka_topic_new(client_.get(), text.c_str(), nullptr));
    if (!handle) throw ClientError(rd_kafka_err2str(rd_kafka_last_error()));
    topics_.emplace_back(text, std::move(handle));
    return topics_.back().second.get();
}

void Producer::send_all(const OutBatch& batch) {
    std::vector<OutHeader> headers;
    for (int32_t i = 0; i < batch.size(); i++) {
        if (!send_one(batch.message(i, headers))) return;
    }
    rd_kafka_poll(client_.get(), 0);
}

bool Producer::send_one(const OutMessage& message) {
    rd_kafka_topic_t* handle = topic(message.topic);
    for (;;) {
        Owned<rd_kafka_headers_t> headers;
        if (message.header_count > 0)
            headers.reset(rd_kafka_headers_new(static_cast<size_t>(message.header_count)));
        for (int32_t h = 0; h < message.header_count; h++) {
            const OutHeader& header = message.headers[h];
            rd_kafka_header_add(headers.get(), header.name.data(),
                                static_cast<ssize_t>(header.name.size()), header.value,
                                header.value_size);
        }
        const rd_kafka_resp_err_t error = rd_kafka_producev(
            client_.get(), RD_KAFKA_V_RKT(handle), RD_KAFKA_V_PARTITION(message.partition),
            RD_KAFKA_V_KEY(message.key, static_cast<size_t>(message.key_size)),
            RD_KAFKA_V_VALUE(const_cast<char*>(message.value),
                             static_cast<size_t>(message.value_size)),
            RD_KAFKA_V_TIMESTAMP(message.timestamp_ms), RD_KAFKA_V_HEADERS(headers.get()),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (!error) {
            (void)headers.release();  // the client's now
            return true;
        }
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            fail("a message for topic \"" + std::string(message.topic) +
                 "\" was not sent: " + rd_kafka_err2str(error));
            return false;
        }
        rd_kafka_poll(client_.get(), kQueueFullMs);
        if (gives_up() || failed()) return false;
    }
}

// Ends by itself: a message that is not acknowledged in time has failed.
void Producer::flush_all() {
    while (rd_kafka_flush(client_.get(), kAskMs) == RD_KAFKA_RESP_ERR__TIMED_OUT) {
        if (gives_up() || failed()) return;
    }
}

void Producer::commit_transaction() {
    if (!in_transaction_) return;
    const auto deadline = Clock::now() + time_limit_;
    for (;;) {
        const Owned<rd_kafka_error_t> error(rd_kafka_commit_transaction(client_.get(), kAskMs));
        rd_kafka_poll(client_.get(), 0);
        if (!error) {
            in_transaction_ = false;
            return;
        }
        const bool again = rd_kafka_error_is_retriable(error.get());
        if (again && Clock::now() < deadline && !gives_up()) continue;
        // Only an answer that wants an abort says that it has not happened.
        fail(reason_of(error, broker_error_), !rd_kafka_error_txn_requires_abort(error.get()));
        return;
    }
}

// Goes on until the broker has answered, however long that takes: nobody waits for it, and what
// comes next must come after it.
void Producer::abort_transaction() {
    if (!is_transactional()) {
        rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(client_.get(), kAskMs);
    }
    while (in_transaction_) {
        const Owned<rd_kafka_error_t> error(rd_kafka_abort_transaction(client_.get(), kAskMs));
        rd_kafka_poll(client_.get(), 0);
        if (!error) {
            in_transaction_ = false;
        } else if (rd_kafka_error_is_fatal(error.get()) ||
                   !rd_kafka_error_is_retriable(error.get())) {
            const std::scoped_lock lock(mutex_);
            state_.broken = true;
            in_transaction_ = false;
            return;
        } else {
            const std::scoped_lock lock(mutex_);
            if (stop_) return;
        }
    }
}

}  // namespace anomaly::kafka
