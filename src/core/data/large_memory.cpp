#include "core/data/large_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>
#include <utility>

namespace anomaly {

namespace {

constexpr size_t kHuge = LargeMemory::kHugePageBytes;

// Begins where a huge page does: more is asked for, and what lies around it is given back.
char* map_aligned(size_t size) {
    void* all =
        mmap(nullptr, size + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) throw std::bad_alloc();
    char* begin = static_cast<char*>(all);
    const size_t before = (kHuge - reinterpret_cast<uintptr_t>(begin) % kHuge) % kHuge;
    char* data = begin + before;
    if (before > 0) munmap(begin, before);
    munmap(data + size, kHuge - before);
    madvise(data, size, MADV_HUGEPAGE);  // else there are small ones
    return data;
}

size_t whole_pages(size_t size) {
    return (size + kHuge - 1) / kHuge * kHuge;
}

}  // namespace

LargeMemory::LargeMemory(size_t size) : size_(size < kHuge ? size : whole_pages(size)) {
    data_ = size_ < kHuge ? new char[size_] : map_aligned(size_);
}

LargeMemory::~LargeMemory() {
    if (size_ < kHuge) {
        delete[] data_;
    } else {
        munmap(data_, size_);
    }
}

void LargeMemory::swap(LargeMemory& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
}

}  // namespace anomaly
