#include "core/decode/field_tree.h"

#include <algorithm>

namespace anomaly {
namespace {

bool is_plain(std::string_view name) {
    return std::none_of(name.begin(), name.end(), [](char c) {
        return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
    });
}

// Where `name` is among the children, or would be.
auto place_of(std::vector<FieldNode*>& children, std::string_view name) {
    return std::lower_bound(
        children.begin(), children.end(), name,
        [](const FieldNode* node, std::string_view wanted) { return node->name < wanted; });
}

}  // namespace

FieldTree::FieldTree(const StreamSpec& stream, bool of_message) {
    nodes_.push_back(std::make_unique<FieldNode>());
    if (of_message) {
        FieldNode* node = root();
        for (int32_t p = 0; p < stream.rows_path_count; p++) {
            node = child(*node, stream.rows_path[p]);
        }
        node->holds_rows = true;
    }
    for (int32_t c = 0; c < stream.column_count; c++) {
        const StreamColumnSpec& column = stream.columns[c];
        if (column.source != Source::kField || column.of_message != of_message) continue;
        FieldNode* node = root();
        for (int32_t p = 0; p < column.path_count; p++) node = child(*node, column.path[p]);
        node->columns.push_back(c);
    }
}

FieldNode* FieldTree::child(FieldNode& parent, std::string_view name) {
    auto place = place_of(parent.children, name);
    if (place != parent.children.end() && (*place)->name == name) return *place;
    nodes_.push_back(std::make_unique<FieldNode>());
    FieldNode* node = nodes_.back().get();
    node->name = name;
    parent.children.insert(place, node);
    if (!is_plain(name)) names_are_plain_ = false;
    return node;
}

FieldNode* FieldTree::find(FieldNode& parent, FieldNode* previous, std::string_view name) {
    FieldNode*& guess = previous == nullptr ? parent.first : previous->follower;
    if (guess != nullptr && guess->name == name) return guess;
    auto place = place_of(parent.children, name);
    if (place == parent.children.end() || (*place)->name != name) return nullptr;
    guess = *place;
    return guess;
}

}  // namespace anomaly
