#include "daemon/kept_times.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/files.h"
#include "base/log.h"
#include "base/units.h"
#include "daemon/device_facts.h"

namespace hearth::daemon {
namespace {

using Json = nlohmann::json;

// To be raised whenever older measurements would mislead.
constexpr int kVersion = 1;
constexpr size_t kBytesMax = 1_MiB;
constexpr size_t kEntriesMax = 64;  // the oldest go
constexpr double kSecondsMax = 3600;
constexpr int64_t kNsMax = 3'600'000'000'000;

std::string to_string(engine::Quantize quantize) {
  switch (quantize) {
    case engine::Quantize::kQ8:
      return "q8";
    case engine::Quantize::kQ4:
      return "q4";
    case engine::Quantize::kNone:
      break;
  }
  return "none";
}

std::string machine_name() {
  const cluster::DeviceFacts facts = read_device_facts();
  return fmt::format("{} cores of {}", facts.cores, facts.chip);
}

int64_t nanoseconds(double seconds) {
  return std::max<int64_t>(1, static_cast<int64_t>(std::lround(seconds * 1e9)));
}

bool is_time(double seconds) { return seconds > 0 && seconds <= kSecondsMax; }

// Whether a rank of the model can have measured them.
bool are_of(const engine::LayerTimes& times, const cluster::ModelFacts& model) {
  const auto layers = static_cast<int64_t>(times.layers.size());
  const auto may_be = [](double seconds) { return seconds == 0 || is_time(seconds); };
  return layers > 0 && times.layer_begin >= 0 && times.layer_begin + layers <= model.layers &&
         std::ranges::all_of(times.layers, is_time) && may_be(times.embedding) &&
         may_be(times.head);
}

// Throws what nlohmann throws, or std::domain_error.
int64_t number_of(const Json& json, int64_t max) {
  if (!json.is_number_integer() || json < 0 || json > max) {
    throw std::domain_error("a number is out of bounds");
  }
  return json.get<int64_t>();
}
int64_t time_of(const Json& json) { return number_of(json, kNsMax); }

cluster::TokenTimes times_of(const Json& json) {
  cluster::TokenTimes times{.embedding_ns = time_of(json.at("embedding_ns")),
                            .head_ns = time_of(json.at("head_ns"))};
  for (const Json& layer : json.at("layers_ns")) times.layers_ns.push_back(time_of(layer));
  return times;
}

}  // namespace

KeptTimes::KeptTimes(const std::string& data_dir, engine::Quantize quantize)
    : path_(data_dir + "/times.json"),
      machine_(machine_name()),
      quantize_(to_string(quantize)),
      entries_(read()) {}

bool KeptTimes::is_of(const Entry& entry, const cluster::ModelFacts& model) const {
  return entry.id == model.id && entry.encoding == model.encoding &&
         entry.file_bytes == model.file_bytes && entry.quantize == quantize_ &&
         entry.times.layers_ns.size() == static_cast<size_t>(model.layers);
}

void KeptTimes::add(const cluster::ModelFacts& model, const std::string& kv,
                    const engine::LayerTimes& times) {
  if (!are_of(times, model)) return;
  std::lock_guard lock(mutex_);
  Entry entry{.id = model.id,
              .encoding = model.encoding,
              .file_bytes = model.file_bytes,
              .quantize = quantize_,
              .kv = kv};
  entry.times.layers_ns.resize(static_cast<size_t>(model.layers));
  const auto old = std::ranges::find_if(
      entries_, [&](const Entry& other) { return other.kv == kv && is_of(other, model); });
  if (old != entries_.end()) {
    entry.times = std::move(old->times);
    entries_.erase(old);
  }
  for (size_t i = 0; i < times.layers.size(); ++i) {
    entry.times.layers_ns[static_cast<size_t>(times.layer_begin) + i] =
        nanoseconds(times.layers[i]);
  }
  if (times.embedding > 0) entry.times.embedding_ns = nanoseconds(times.embedding);
  if (times.head > 0) entry.times.head_ns = nanoseconds(times.head);
  entries_.push_back(std::move(entry));
  if (entries_.size() > kEntriesMax) entries_.erase(entries_.begin());
  write();
}

std::map<std::string, cluster::TokenTimes> KeptTimes::find(const cluster::ModelFacts& model) const {
  std::lock_guard lock(mutex_);
  std::map<std::string, cluster::TokenTimes> found;
  for (const Entry& entry : entries_) {
    if (is_of(entry, model)) found[entry.kv] = entry.times;
  }
  return found;
}

std::vector<KeptTimes::Entry> KeptTimes::read() const {
  const auto text = read_file(path_, kBytesMax);
  if (!text.ok()) return {};
  try {
    const Json json = Json::parse(*text);
    if (json.at("version") != kVersion || json.at("machine") != machine_) return {};
    std::vector<Entry> entries;
    for (const Json& one : json.at("models")) {
      if (entries.size() == kEntriesMax) break;
      entries.push_back({.id = one.at("id"),
                         .encoding = one.at("encoding"),
                         .file_bytes = number_of(one.at("file_bytes"), INT64_MAX),
                         .quantize = one.at("quantize"),
                         .kv = one.at("kv"),
                         .times = times_of(one)});
    }
    return entries;
  } catch (const std::exception& error) {
    log::warn("{} is damaged and will be written anew: {}", path_, error.what());
    return {};
  }
}

void KeptTimes::write() const {
  Json models = Json::array();
  for (const Entry& entry : entries_) {
    models.push_back({{"id", entry.id},
                      {"encoding", entry.encoding},
                      {"file_bytes", entry.file_bytes},
                      {"quantize", entry.quantize},
                      {"kv", entry.kv},
                      {"layers_ns", entry.times.layers_ns},
                      {"embedding_ns", entry.times.embedding_ns},
                      {"head_ns", entry.times.head_ns}});
  }
  const Json json = {{"version", kVersion}, {"machine", machine_}, {"models", std::move(models)}};
  constexpr auto kReplace = Json::error_handler_t::replace;
  const auto written = write_private_file(path_, json.dump(-1, ' ', false, kReplace) + "\n");
  if (!written.ok()) log::warn("{}", written.error().message());
}

}  // namespace hearth::daemon
