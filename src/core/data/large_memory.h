// Memory for tables that are looked into at random places: on huge pages where the system gives
// them (transparent huge pages by madvise), for with small ones each look waits for the page table
// first. What is less than such a page is ordinary memory, what is more a number of whole ones.
#pragma once

#include <cstddef>

namespace anomaly {

class LargeMemory {
  public:
    static constexpr size_t kHugePageBytes = size_t{2} << 20;

    LargeMemory() = default;
    // Throws std::bad_alloc. The bytes are not set to anything.
    explicit LargeMemory(size_t size);
    ~LargeMemory();
    LargeMemory(LargeMemory&& other) noexcept { swap(other); }
    LargeMemory& operator=(LargeMemory&& other) noexcept {
        swap(other);
        return *this;
    }

    char* data() const { return data_; }
    size_t size() const { return size_; }  // that was asked for, or more

  private:
    void swap(LargeMemory& other) noexcept;

    char* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace anomaly
