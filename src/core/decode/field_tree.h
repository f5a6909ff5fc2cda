// The paths of a stream's field columns as a tree of names, and a fast way to find the name of a
// key: messages of one producer have their keys in the same order, so that the key which followed
// last time is tried first. One owner, one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/spec.h"

namespace anomaly {

struct FieldNode {
    std::string name;
    std::vector<int32_t> columns;      // of the stream, whose path ends here
    std::vector<FieldNode*> children;  // sorted by name
    FieldNode* first = nullptr;        // the child that came first in the last message
    FieldNode* follower = nullptr;     // the sibling that came after this one
    int64_t seen_in = 0;               // number of the scope that had this key last
    bool holds_rows = false;           // an array of rows
};

class FieldTree {
  public:
    // of_message: of a stream with rows, the paths from the message on and the way to its rows;
    // else those from the row on.
    FieldTree(const StreamSpec& stream, bool of_message);
    FieldTree(const FieldTree&) = delete;
    FieldTree& operator=(const FieldTree&) = delete;

    FieldNode* root() { return nodes_[0].get(); }
    // True if every name stands in a message as it is, without an escape.
    bool names_are_plain() const { return names_are_plain_; }
    // The child of `parent` with that name, or nullptr. previous: the child found before it in the
    // same object, nullptr if none.
    static FieldNode* find(FieldNode& parent, FieldNode* previous, std::string_view name);

  private:
    FieldNode* child(FieldNode& parent, std::string_view name);

    std::vector<std::unique_ptr<FieldNode>> nodes_;
    bool names_are_plain_ = true;
};

}  // namespace anomaly
