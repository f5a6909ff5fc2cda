#include "core/program/program.h"

#include <cassert>

#include "core/program/program_node.h"

namespace anomaly {
namespace {

size_t width_of(Type type) {
    return static_cast<size_t>(stride(type));
}

}  // namespace

Program::Program(const ExprSpec& spec)
    : nodes_(spec.nodes, spec.nodes + spec.node_count), type_(spec.type) {
    assert(spec.node_count > 0);
    texts_.reserve(nodes_.size());  // so that a short text never moves
    for (ExprNode& node : nodes_) {
        if (node.text == nullptr) continue;
        texts_.emplace_back(node.text, static_cast<size_t>(node.text_size));
        node.text = texts_.back().data();
    }
    scratch_.resize(nodes_.size());
    cells_.resize(nodes_.size());
    states_.resize(nodes_.size());
}

void Program::fill_constant(const ExprNode& node, size_t row_count, Scratch& scratch) const {
    size_t width = width_of(node.type);
    bool is_float = node.type == Type::kFloat4 || node.type == Type::kFloat8;
    for (size_t i = scratch.constant_rows; i < row_count; i++) {
        scratch.states[i] = node.is_null ? program::kNull : uint8_t{0};
        uint64_t* cells = &scratch.cells[i * width];
        if (node.is_null) {
            for (size_t c = 0; c < width; c++) cells[c] = 0;
        } else if (width == 2) {
            cells[0] = reinterpret_cast<uint64_t>(node.text);
            cells[1] = static_cast<uint64_t>(node.text_size);
        } else {
            cells[0] = is_float ? program::from_float(node.float_value)
                                : program::from_int(node.int_value);
        }
    }
    if (row_count > scratch.constant_rows) scratch.constant_rows = row_count;
}

void Program::evaluate_node(const std::vector<Column>& columns, size_t index, size_t row_count) {
    const ExprNode& node = nodes_[index];
    if (node.op == Op::kColumn) {
        const Column& column = columns[static_cast<size_t>(node.int_value)];
        assert(column.nulls.size() >= row_count);
        cells_[index] = column.cells.data();
        states_[index] = column.nulls.data();
        return;
    }
    Scratch& scratch = scratch_[index];
    if (scratch.states.size() < row_count) {
        scratch.cells.resize(row_count * width_of(node.type));
        scratch.states.resize(row_count);
    }
    program::Output out{scratch.cells.data(), scratch.states.data()};
    cells_[index] = out.cells;
    states_[index] = out.states;
    if (node.op == Op::kConstant) return fill_constant(node, row_count, scratch);

    program::Operand operands[3] = {};
    for (size_t a = 0; a < 3; a++) {
        if (node.args[a] < 0) continue;
        auto argument = static_cast<size_t>(node.args[a]);
        assert(argument < index);
        operands[a] = {cells_[argument], states_[argument]};
    }
    const program::Operand &a = operands[0], &b = operands[1], &c = operands[2];
    if (node.op <= Op::kFloat4Div) return program::evaluate_arithmetic(node, a, b, row_count, out);
    if (node.op <= Op::kTextGe) return program::evaluate_comparison(node, a, b, row_count, out);
    if (node.op <= Op::kCoalesce) return program::evaluate_logic(node, a, b, c, row_count, out);
    if (node.op <= Op::kBoolToInt) return program::evaluate_cast(node, a, row_count, out);
    if (node.op <= Op::kFloatPower) return program::evaluate_number(node, a, b, row_count, out);
    if (node.op <= Op::kTimeTruncZone) return program::evaluate_time(node, a, b, row_count, out);
    if (node.op <= Op::kTextLike) return program::evaluate_text(node, a, b, c, row_count, out);
    program::evaluate_new_text(node, a, b, c, row_count, out, arena_);
}

bool Program::evaluate(const std::vector<Column>& columns, int32_t row_count, Column& result,
                       std::vector<uint8_t>& unsure) {
    auto n = static_cast<size_t>(row_count);
    arena_.reset();
    for (size_t i = 0; i < nodes_.size(); i++) evaluate_node(columns, i, n);
    size_t root = nodes_.size() - 1;
    size_t width = width_of(type_);
    result.type = type_;
    result.cells.assign(cells_[root], cells_[root] + n * width);
    const uint8_t* states = states_[root];
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++) any |= states[i];
    result.nulls.assign(n, 0);
    unsure.assign(n, 0);
    if (any == 0) return false;
    for (size_t i = 0; i < n; i++) {
        uint8_t state = states[i];
        unsure[i] = (state & program::kUnsure) != 0 ? 1 : 0;
        result.nulls[i] = state != 0 ? 1 : 0;
        if (state == 0) continue;
        for (size_t c = 0; c < width; c++) result.cells[i * width + c] = 0;
    }
    return (any & program::kUnsure) != 0;
}

}  // namespace anomaly
