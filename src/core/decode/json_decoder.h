// Makes columns of JSON messages, a batch at a time. One owner, one thread.
//
// The meaning of a message is PostgreSQL's jsonb_populate_record and nothing else. A value is
// decoded here only where that meaning is certain; of every other message the row is kUnsure and
// PostgreSQL decides (and words the error). Fields that no column names are only walked over.
#pragma once

#include <memory>
#include <vector>

#include "core/decode/decoder.h"

namespace anomaly {

class JsonDecoder : public Decoder {
  public:
    JsonDecoder(const StreamSpec& stream, bool database_is_utf8);
    ~JsonDecoder() override;

    void decode(const MessageBatch& batch, Arena& arena, std::vector<Column>& columns,
                MessageRows& rows) override;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace anomaly
