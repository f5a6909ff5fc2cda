#include "core/data/column.h"

#include <algorithm>

namespace anomaly {
namespace {

constexpr size_t kFirstBlockBytes = size_t{64} << 10;
constexpr size_t kLargestStepBytes = size_t{4} << 20;  // doubling stops here

}  // namespace

char* Arena::allocate(size_t size) {
    while (block_ < blocks_.size() && blocks_[block_].size - position_ < size) {
        block_++;
        position_ = 0;
    }
    if (block_ == blocks_.size()) {
        size_t step = blocks_.empty() ? kFirstBlockBytes : blocks_.back().size * 2;
        size_t block_size = std::max(size, std::min(step, kLargestStepBytes));
        // Not make_unique: it would clear the bytes first.
        blocks_.push_back({std::unique_ptr<char[]>(new char[block_size]), block_size});
        reserved_ += block_size;
        position_ = 0;
    }
    char* result = blocks_[block_].data.get() + position_;
    position_ += size;
    used_ += size;
    return result;
}

std::string_view Arena::copy(std::string_view bytes) {
    char* to = allocate(bytes.size());
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    return {to, bytes.size()};
}

void Arena::reset() {
    block_ = 0;
    position_ = 0;
    used_ = 0;
}

}  // namespace anomaly
