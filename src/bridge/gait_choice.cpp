#include "bridge/gait_choice.h"

#include <algorithm>

namespace anomaly::bridge {

namespace {

constexpr int64_t kPatienceMinUs = 10000000;
constexpr int64_t kPatienceMaxUs = 60000000;

// Less than this is read before another client has taken over.
constexpr int64_t kFarMessages = 100000;
constexpr int64_t kHasteAfterUs = 1000000;
constexpr int64_t kEaseAfterUs = 3000000;
// To ask for the lag costs a little for each partition.
constexpr int64_t kLagPauseUs = 100000;

int64_t later(int64_t time_us, int64_t by_us) {
    return time_us == INT64_MAX ? INT64_MAX : time_us + by_us;
}

}  // namespace

GaitChoice::GaitChoice(int64_t idle_timeout_us)
    : patience_us_(std::clamp(idle_timeout_us, kPatienceMinUs, kPatienceMaxUs)) {}

void GaitChoice::note_quiet(int64_t now_us, bool quiet) {
    quiet_since_us_ = quiet ? std::min(quiet_since_us_, now_us) : INT64_MAX;
}

bool GaitChoice::wants_lag(int64_t now_us) const {
    const bool clock_went_back = now_us < lag_at_us_;
    return clock_went_back || now_us >= std::min(lag_at_us_ + kLagPauseUs, turn_at_us());
}

void GaitChoice::note_lag(int64_t now_us, int64_t lag) {
    lag_at_us_ = now_us;
    const bool is_far = lag >= kFarMessages;
    const bool is_fit = lag < 0 || is_far == hasty_;
    unfit_since_us_ = is_fit ? INT64_MAX : std::min(unfit_since_us_, now_us);
    if (now_us < turn_at_us()) return;
    hasty_ = is_far;
    unfit_since_us_ = INT64_MAX;
}

kafka::Gait GaitChoice::at(int64_t now_us) const {
    return now_us >= patient_at_us() ? kafka::Gait::kPatient : awake();
}

int64_t GaitChoice::due_us(int64_t now_us) const {
    int64_t due = turn_at_us();
    if (patient_at_us() > now_us) due = std::min(due, patient_at_us());
    return due;
}

int64_t GaitChoice::patient_at_us() const {
    return later(quiet_since_us_, patience_us_);
}

int64_t GaitChoice::turn_at_us() const {
    return later(unfit_since_us_, hasty_ ? kEaseAfterUs : kHasteAfterUs);
}

}  // namespace anomaly::bridge
