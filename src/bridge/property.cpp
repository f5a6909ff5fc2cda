#include "bridge/property.h"

#include <string_view>

#include "bridge/guard.h"
#include "kafka/client.h"

namespace anomaly::bridge {
namespace {

enum class Use : uint8_t { kBoth, kReader, kWriter };

struct Option {
    const char* sql_name;
    const char* property;
    OptionClass where;
    Use use = Use::kBoth;
    const char* const* choices = nullptr;
};

constexpr const char* kProtocols[] = {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl", nullptr};
// Kerberos would run a program of the server's, OAUTHBEARER fetch what a URL names.
constexpr const char* kMechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", nullptr};
constexpr const char* kIsolations[] = {"read_committed", "read_uncommitted", nullptr};
constexpr const char* kFamilies[] = {"any", "v4", "v6", nullptr};
constexpr const char* kEndpoints[] = {"none", "https", nullptr};
constexpr const char* kCodecs[] = {"none", "gzip", "snappy", "lz4", "zstd", nullptr};
constexpr const char* kPartitioners[] = {"random",       "consistent",     "consistent_random",
                                         "murmur2",      "murmur2_random", "fnv1a",
                                         "fnv1a_random", nullptr};
constexpr const char* kBooleans[] = {"true", "false", nullptr};

constexpr OptionClass kServer = OptionClass::kServer;
constexpr OptionClass kPrivileged = OptionClass::kServerPrivileged;
constexpr OptionClass kMapping = OptionClass::kUserMapping;
constexpr Use kBoth = Use::kBoth;
constexpr Use kReader = Use::kReader;
constexpr Use kWriter = Use::kWriter;

constexpr Option kOptions[] = {
    {"bootstrap_servers", "bootstrap.servers", kServer},
    {"client_id", "client.id", kServer},
    {"client_rack", "client.rack", kServer},
    {"isolation_level", "isolation.level", kServer, kReader, kIsolations},

    {"security_protocol", "security.protocol", kServer, kBoth, kProtocols},
    {"sasl_mechanism", "sasl.mechanism", kServer, kBoth, kMechanisms},
    {"sasl_mechanisms", "sasl.mechanisms", kServer, kBoth, kMechanisms},
    {"ssl_ca_pem", "ssl.ca.pem", kServer},
    {"ssl_ca_location", "ssl.ca.location", kPrivileged},
    {"ssl_crl_location", "ssl.crl.location", kPrivileged},
    {"ssl_cipher_suites", "ssl.cipher.suites", kServer},
    {"ssl_curves_list", "ssl.curves.list", kServer},
    {"ssl_sigalgs_list", "ssl.sigalgs.list", kServer},
    {"enable_ssl_certificate_verification", "enable.ssl.certificate.verification", kServer, kBoth,
     kBooleans},
    {"ssl_endpoint_identification_algorithm", "ssl.endpoint.identification.algorithm", kServer,
     kBoth, kEndpoints},

    {"broker_address_family", "broker.address.family", kServer, kBoth, kFamilies},
    {"broker_address_ttl", "broker.address.ttl", kServer},
    {"connections_max_idle_ms", "connections.max.idle.ms", kServer},
    {"reconnect_backoff_ms", "reconnect.backoff.ms", kServer},
    {"reconnect_backoff_max_ms", "reconnect.backoff.max.ms", kServer},
    {"socket_connection_setup_timeout_ms", "socket.connection.setup.timeout.ms", kServer},
    {"socket_keepalive_enable", "socket.keepalive.enable", kServer, kBoth, kBooleans},
    {"socket_max_fails", "socket.max.fails", kServer},
    {"socket_nagle_disable", "socket.nagle.disable", kServer, kBoth, kBooleans},
    {"socket_receive_buffer_bytes", "socket.receive.buffer.bytes", kServer},
    {"socket_send_buffer_bytes", "socket.send.buffer.bytes", kServer},
    {"socket_timeout_ms", "socket.timeout.ms", kServer},
    {"api_version_request_timeout_ms", "api.version.request.timeout.ms", kServer},
    {"retry_backoff_ms", "retry.backoff.ms", kServer},

    {"topic_metadata_refresh_interval_ms", "topic.metadata.refresh.interval.ms", kServer},
    {"metadata_max_age_ms", "metadata.max.age.ms", kServer},
    {"fetch_error_backoff_ms", "fetch.error.backoff.ms", kServer, kReader},
    {"fetch_max_bytes", "fetch.max.bytes", kServer, kReader},
    {"fetch_message_max_bytes", "fetch.message.max.bytes", kServer, kReader},
    {"fetch_min_bytes", "fetch.min.bytes", kServer, kReader},
    {"fetch_wait_max_ms", "fetch.wait.max.ms", kServer, kReader},
    {"max_partition_fetch_bytes", "max.partition.fetch.bytes", kServer, kReader},
    {"message_max_bytes", "message.max.bytes", kServer},
    {"receive_message_max_bytes", "receive.message.max.bytes", kServer},
    {"queued_max_messages_kbytes", "queued.max.messages.kbytes", kServer, kReader},
    {"queued_min_messages", "queued.min.messages", kServer, kReader},
    {"check_crcs", "check.crcs", kServer, kReader, kBooleans},

    {"batch_num_messages", "batch.num.messages", kServer, kWriter},
    {"batch_size", "batch.size", kServer, kWriter},
    {"compression_codec", "compression.codec", kServer, kWriter, kCodecs},
    {"compression_level", "compression.level", kServer, kWriter},
    {"compression_type", "compression.type", kServer, kWriter, kCodecs},
    {"linger_ms", "linger.ms", kServer, kWriter},
    {"message_timeout_ms", "message.timeout.ms", kServer, kWriter},
    {"partitioner", "partitioner", kServer, kWriter, kPartitioners},
    {"queue_buffering_max_kbytes", "queue.buffering.max.kbytes", kServer, kWriter},
    {"queue_buffering_max_messages", "queue.buffering.max.messages", kServer, kWriter},
    {"transaction_timeout_ms", "transaction.timeout.ms", kServer, kWriter},

    {"sasl_username", "sasl.username", kMapping},
    {"sasl_password", "sasl.password", kMapping},
    {"ssl_key_pem", "ssl.key.pem", kMapping},
    {"ssl_key_password", "ssl.key.password", kMapping},
    {"ssl_certificate_pem", "ssl.certificate.pem", kMapping},
};

constexpr int32_t kOptionCount = sizeof kOptions / sizeof kOptions[0];

const Option* find(const char* sql_name) noexcept {
    for (const Option& option : kOptions)
        if (std::string_view(option.sql_name) == sql_name) return &option;
    return nullptr;
}

}  // namespace

OptionClass option_class(const char* sql_name) noexcept {
    const Option* found = find(sql_name);
    return found == nullptr ? OptionClass::kUnknown : found->where;
}

const char* option_property(const char* sql_name) noexcept {
    const Option* found = find(sql_name);
    return found == nullptr ? nullptr : found->property;
}

bool option_is_for(const char* sql_name, ClientKind client) noexcept {
    const Option* found = find(sql_name);
    if (found == nullptr) return false;
    return found->use == Use::kBoth || (found->use == kWriter) == (client == ClientKind::kWriter);
}

const char* option_name(int32_t index) noexcept {
    return index >= 0 && index < kOptionCount ? kOptions[index].sql_name : nullptr;
}

const char* const* option_choices(const char* sql_name) noexcept {
    const Option* found = find(sql_name);
    return found == nullptr ? nullptr : found->choices;
}

Status validate_property(const char* property, const char* value) noexcept {
    return guard([&] { kafka::check_property(property, value); });
}

}  // namespace anomaly::bridge
