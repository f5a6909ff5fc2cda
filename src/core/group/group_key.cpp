#include "core/group/group_key.h"

#include <bit>
#include <cmath>
#include <limits>

namespace anomaly {

namespace {

bool is_float(Type type) {
    return type == Type::kFloat4 || type == Type::kFloat8;
}

double canonical(double value) {
    if (std::isnan(value)) return std::numeric_limits<double>::quiet_NaN();
    return value == 0 ? 0 : value;
}

bool is_negative_zero(double value) {
    return value == 0 && std::signbit(value);
}

}  // namespace

GroupKeyCodec::GroupKeyCodec(std::vector<Type> types) : types_(std::move(types)) {
    for (Type type : types_) tail_bytes_ += is_float(type) ? 1 : 0;
}

void GroupKeyCodec::encode(const std::vector<const Column*>& columns, int32_t row,
                           ByteWriter& out) const {
    for (size_t k = 0; k < types_.size(); k++) {
        const Column& column = *columns[k];
        bool null = column.is_null(row);
        out.byte(null ? 1 : 0);
        if (null) continue;
        if (stride(types_[k]) == 2) {
            out.sized(column.text_at(row));
        } else if (is_float(types_[k])) {
            out.fixed64(std::bit_cast<uint64_t>(canonical(column.float_at(row))));
        } else {
            out.fixed64(static_cast<uint64_t>(column.int_at(row)));
        }
    }
    for (size_t k = 0; k < types_.size(); k++) {
        if (!is_float(types_[k])) continue;
        const Column& column = *columns[k];
        out.byte(!column.is_null(row) && is_negative_zero(column.float_at(row)) ? 1 : 0);
    }
}

bool GroupKeyCodec::decode(std::string_view key, std::vector<Column>& columns, int32_t row) const {
    ByteReader in(key);
    for (size_t k = 0; k < types_.size(); k++) {
        if (in.byte() != 0) continue;
        if (stride(types_[k]) == 2) {
            columns[k].set_text(row, in.sized());
        } else {
            columns[k].set_int(row, static_cast<int64_t>(in.fixed64()));
        }
    }
    for (size_t k = 0; k < types_.size(); k++) {
        if (is_float(types_[k]) && in.byte() != 0) columns[k].set_float(row, -0.0);
    }
    return in.ok() && in.at_end();
}

bool GroupKeyCodec::valid(std::string_view key) const {
    ByteReader in(key);
    for (Type type : types_) {
        if (in.byte() == 0) in.raw(stride(type) == 2 ? in.varint() : 8);
    }
    in.raw(tail_bytes_);
    return in.ok() && in.at_end();
}

}  // namespace anomaly
