#include "engine/formats/json_stream.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

namespace hearth::engine {
namespace {

using nlohmann::json;

struct ValueLimits {
  size_t values_max;
  size_t bytes_max;  // of strings and keys
};
constexpr ValueLimits kElementLimits{.values_max = 64, .bytes_max = 64 << 10};
constexpr ValueLimits kRestLimits{.values_max = 20'000, .bytes_max = 2 << 20};

// Builds one value from the events of a parser.
class ValueBuilder {
 public:
  explicit ValueBuilder(const ValueLimits& limits) : limits_(limits) {}

  // False: past the limits. The parser sees to it that a key comes before each value in an object.
  bool key(std::string name) {
    bytes_ += name.size();
    key_ = std::move(name);
    return within_limits();
  }
  bool add(json value) {
    ++values_;
    if (value.is_string()) bytes_ += value.get_ref<const std::string&>().size();
    if (!within_limits()) return false;
    const bool nests = value.is_structured();
    json* place = &value_;
    if (!open_.empty() && open_.back().value->is_array()) {
      place = &open_.back().value->emplace_back(std::move(value));
    } else {
      if (!open_.empty()) place = &(*open_.back().value)[key_];
      *place = std::move(value);
    }
    if (nests) open_.push_back({place, std::move(key_)});
    key_.clear();
    return true;
  }
  void close() { open_.pop_back(); }

  bool closed() const { return open_.empty(); }
  json& value() { return value_; }
  const ValueLimits& limits() const { return limits_; }
  // Is the next value the one of `list`?
  bool is_at(const JsonList& list) const {
    if (open_.size() != (list.parent.empty() ? 1 : 2) || key_ != list.key) return false;
    return open_.back().value->is_object() && open_.back().key == list.parent;
  }
  // For the next value of the same kind.
  void reset() { values_ = bytes_ = 0; }

 private:
  struct Open {
    json* value;
    std::string key;  // that it is under
  };

  bool within_limits() const {
    return values_ <= limits_.values_max && bytes_ <= limits_.bytes_max;
  }

  const ValueLimits& limits_;
  json value_;
  std::vector<Open> open_;  // arrays and objects, outermost first
  std::string key_;
  size_t values_ = 0;
  size_t bytes_ = 0;
};

// Takes the events of nlohmann's SAX parser, whose interface names the functions.
class Stream {
 public:
  Stream(const std::string& file, std::span<const JsonList> lists)
      : file_(file), lists_(lists), seen_(lists.size()) {}

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add(value); }
  bool number_unsigned(uint64_t value) { return add(value); }
  bool number_float(double value, const std::string& /*text*/) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(json::binary_t& /*value*/) { return false; }  // JSON has none
  bool start_object(size_t /*size*/) { return start(json::object()); }
  bool start_array(size_t /*size*/) { return start(json::array()); }
  bool end_object() { return end(); }
  bool end_array() { return end(); }
  bool key(std::string& name) {
    if (list_ != nullptr && element_.closed()) {
      key_ = std::move(name);
      return true;
    }
    ValueBuilder& builder = this->builder();
    return builder.key(std::move(name)) || too_large(builder.limits());
  }
  bool parse_error(size_t /*offset*/, const std::string& /*token*/, const json::exception& e) {
    error_ = json_syntax_error(file_, e.what());
    return false;
  }

  Result<json> take() {
    if (error_) return *error_;
    return std::move(rest_.value());
  }

 private:
  ValueBuilder& builder() { return list_ == nullptr ? rest_ : element_; }

  bool too_large(const ValueLimits& limits) {
    const std::string where = list_ == nullptr ? "" : fmt::format(": an element of {}", list_->key);
    error_ = Error(Code::kCorrupt, fmt::format("{}{}: more than {} values or {} bytes of text",
                                               file_, where, limits.values_max, limits.bytes_max));
    return false;
  }

  bool add(json value) {
    ValueBuilder& builder = this->builder();
    return builder.add(std::move(value)) ? read_if_complete() : too_large(builder.limits());
  }

  bool start(json empty) {
    for (size_t i = 0; list_ == nullptr && i < lists_.size(); ++i) {
      if (!rest_.is_at(lists_[i])) continue;
      if (seen_[i]) {
        error_ = Error(Code::kCorrupt,
                       fmt::format("{}: key {} occurs twice, expected once", file_, lists_[i].key));
        return false;
      }
      seen_[i] = true;
      if (!rest_.add(empty)) return too_large(rest_.limits());
      list_ = &lists_[i];
      in_array_ = empty.is_array();
      return true;
    }
    ValueBuilder& builder = this->builder();
    return builder.add(std::move(empty)) || too_large(builder.limits());
  }

  bool end() {
    if (list_ != nullptr && element_.closed()) list_ = nullptr;  // the list itself ends
    builder().close();
    return read_if_complete();
  }

  // Gives the element to its reader if it is whole.
  bool read_if_complete() {
    if (list_ == nullptr || !element_.closed()) return true;
    const Result<void> read = list_->read(in_array_ ? nullptr : &key_, element_.value());
    element_.reset();
    if (!read.ok()) error_ = read.error();
    return read.ok();
  }

  const std::string& file_;
  std::span<const JsonList> lists_;
  std::vector<bool> seen_;
  ValueBuilder rest_{kRestLimits};
  ValueBuilder element_{kElementLimits};
  const JsonList* list_ = nullptr;  // whose elements are being read
  bool in_array_ = false;
  std::string key_;  // of the element in an object
  std::optional<Error> error_;
};

}  // namespace

Result<json> stream_json(std::string_view text, const std::string& file, const JsonLimits& limits,
                         std::span<const JsonList> lists) {
  HEARTH_RETURN_IF_ERROR(check_json_limits(text, file, limits));
  Stream stream(file, lists);
  json::sax_parse(text, &stream);
  return stream.take();
}

}  // namespace hearth::engine
