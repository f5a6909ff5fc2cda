// The layout of a message: the bytes between its scalars, and what each scalar is for. Messages of
// one producer mostly differ in nothing but the values; one that has the layout of a message which
// was read and checked before is valid JSON of the same structure if its scalars are valid. One
// owner, one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/decode/field_tree.h"

namespace anomaly {

class JsonShape {
  public:
    struct Slot {
        std::string literal;  // all bytes from the scalar before, or from the beginning
        FieldNode* node;      // nullptr: no column names it
    };

    // Learns a message while it is read: each of its scalars in their order, then whether it is
    // good. Until then the layout of the message before stays.
    void begin() { places_.clear(); }
    void add(std::string_view token, FieldNode* node) { places_.push_back({token, node}); }
    void finish(std::string_view message);

    bool is_known() const { return !slots_.empty(); }
    const std::vector<Slot>& slots() const { return slots_; }
    const std::string& tail() const { return tail_; }

  private:
    struct Place {
        std::string_view token;
        FieldNode* node;
    };
    std::vector<Place> places_;
    std::vector<Slot> slots_;
    std::string tail_;
};

}  // namespace anomaly
