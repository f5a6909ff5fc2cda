#include "reading.h"

#include <charconv>

namespace anomaly::demo {
namespace {

constexpr const char* kHosts[] = {"doc", "grumpy", "sleepy", "bashful", "happy", "sneezy", "dopey"};
constexpr uint32_t kHostCount = 7;
constexpr uint32_t kCpuCount = 5;
constexpr double kUsageMin = 70;
constexpr double kUsageRange = 30;

template <class T>
void append(std::string& out, T number) {
    char text[32];
    const auto [end, error] = std::to_chars(text, text + sizeof text, number);
    out.append(text, end);
}

uint32_t fnv1a(const std::string& text) {
    uint32_t hash = 2166136261u;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
    // Its low bits alone spread few short names badly.
    return hash ^ (hash >> 20);
}

}  // namespace

Readings::Readings(const ReadingOptions& options) : options_(options), source_(options.seed) {}

// Without the library's distributions, whose results differ between its versions.
uint32_t Readings::below(uint32_t limit) {
    return static_cast<uint32_t>(((source_() >> 32) * limit) >> 32);
}

void Readings::next(int64_t occurred_at_ms) {
    host_.clear();
    if (options_.hosts > 0) {
        host_ = "hostname";
        append(host_, below(static_cast<uint32_t>(options_.hosts)));
    } else {
        host_ = kHosts[below(kHostCount)];
    }
    host_hash_ = fnv1a(host_);
    key_ = R"({"hostname": ")";
    key_ += host_;
    key_ += R"("})";

    value_.assign(key_, 0, key_.size() - 1);
    value_ += R"(, "cpu": "cpu)";
    if (options_.cpus > 0)
        append(value_, below(static_cast<uint32_t>(options_.cpus)));
    else
        append(value_, 1 + below(kCpuCount));
    value_ += R"(", "usage": )";
    // 53 random bits are a double in [0, 1); its shortest form is what Python prints, too.
    const double unit = static_cast<double>(source_() >> 11) * 0x1p-53;
    const size_t usage_at = value_.size();
    append(value_, kUsageMin + kUsageRange * unit);
    if (value_.find('.', usage_at) == std::string::npos) value_ += ".0";
    value_ += R"(, "occurred_at": )";
    append(value_, occurred_at_ms);
    value_ += '}';
}

}  // namespace anomaly::demo
