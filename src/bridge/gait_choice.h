// In which gait the reader of a stream reads (kafka::Gait). To change it costs a new client, as
// much as to stay quick for a few seconds: so what asks for another one has to last.
#pragma once

#include <cstdint>

#include "kafka/client.h"

namespace anomaly::bridge {

class GaitChoice {
  public:
    explicit GaitChoice(int64_t idle_timeout_us);

    // After each poll. Quiet: nothing came or is to be read, and time changes nothing either. How
    // soon a window closes by the clock depends on how soon the broker confirms that nothing came.
    void note_quiet(int64_t now_us, bool quiet);
    // Whether it is time to look at the lag again, as Reader::lag() gives it.
    bool wants_lag(int64_t now_us) const;
    void note_lag(int64_t now_us, int64_t lag);

    kafka::Gait at(int64_t now_us) const;
    // Of a reader that has something to read.
    kafka::Gait awake() const { return hasty_ ? kafka::Gait::kHasty : kafka::Gait::kQuick; }
    // INT64_MAX: it is not quiet.
    int64_t quiet_since_us() const { return quiet_since_us_; }
    // When it may change although nothing happens, after now_us; INT64_MAX: never.
    int64_t due_us(int64_t now_us) const;

  private:
    int64_t patient_at_us() const;
    int64_t turn_at_us() const;

    const int64_t patience_us_;  // after so much silence
    int64_t quiet_since_us_ = INT64_MAX;
    bool hasty_ = true;
    int64_t lag_at_us_ = INT64_MIN;       // when it was looked at
    int64_t unfit_since_us_ = INT64_MAX;  // the lag asks for the other gait
};

}  // namespace anomaly::bridge
