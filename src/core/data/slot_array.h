// An array that grows by pieces: no copy and no doubled memory at growth, addresses stay.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace anomaly {

template <class T>
class SlotArray {
  public:
    void resize(uint32_t size) {
        while (pieces_.size() * kPiece < size) pieces_.push_back(std::make_unique<T[]>(kPiece));
    }
    T& operator[](uint32_t i) { return pieces_[i / kPiece][i % kPiece]; }
    const T& operator[](uint32_t i) const { return pieces_[i / kPiece][i % kPiece]; }
    size_t memory_bytes() const {
        return pieces_.size() * kPiece * sizeof(T) + pieces_.capacity() * sizeof(pieces_[0]);
    }

  private:
    static constexpr uint32_t kPiece = 1024;
    std::vector<std::unique_ptr<T[]>> pieces_;
};

}  // namespace anomaly
