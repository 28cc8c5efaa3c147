#include "engine/machine/profile.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/files.h"
#include "base/log.h"
#include "base/units.h"
#include "engine/tensor/packed_matrix.h"

namespace hearth::engine {
namespace {

using Json = nlohmann::json;

// To be raised whenever older measurements would mislead: kernels that are faster or slower, other
// meanings.
constexpr int kVersion = 2;
constexpr size_t kBytesMax = 64_KiB;

Json to_json(const RateByThreads& rates) {
  Json out = Json::object();
  for (const auto& [threads, rate] : rates) out[std::to_string(threads)] = rate;
  return out;
}

// Throws what nlohmann and the standard library throw, or std::domain_error.
double rate_of(const Json& json) {
  const auto rate = json.get<double>();
  if (!std::isfinite(rate) || rate <= 0) throw std::domain_error("not a rate");
  return rate;
}

RateByThreads rates_of(const Json& json, const MachineKey& key) {
  RateByThreads rates;
  for (const auto& [threads, rate] : json.items()) rates[std::stoi(threads)] = rate_of(rate);
  if (rates.empty() || rates.begin()->first < 1 || rates.rbegin()->first > key.cores) {
    throw std::domain_error("not numbers of threads");
  }
  return rates;
}

std::map<std::string, int> rows_of(const Json& json) {
  std::map<std::string, int> rows;
  for (const auto& [encoding, number] : json.items()) {
    rows[encoding] = number.get<int>();
    if (rows[encoding] < 1) throw std::domain_error("not a number of rows");
  }
  return rows;
}

MachineProfile profile_of(const Json& json, const MachineKey& key) {
  if (json.at("version") != kVersion || json.at("cpu") != key.cpu || json.at("isa") != key.isa ||
      json.at("cores") != key.cores) {
    throw std::domain_error("foreign");
  }
  MachineProfile profile{
      .read = rates_of(json.at("read_bytes_per_second"), key),
      .float_multiply_adds = rate_of(json.at("float_multiply_adds_per_second")),
      .quantised_multiply_adds = rate_of(json.at("quantised_multiply_adds_per_second"))};
  for (const auto& [encoding, rates] : json.at("one_row_bytes_per_second").items()) {
    profile.one_row[encoding] = rates_of(rates, key);
  }
  profile.panel_rows = rows_of(json.at("panel_rows"));
  profile.slabs_from = rows_of(json.at("slabs_from"));
  return profile;
}

// Held by the one process that measures. The system drops it when that ends, however it does.
class MeasuringLock {
 public:
  explicit MeasuringLock(const std::string& folder)
      : file_(::open((folder + "/machine.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)),
        held_(file_ >= 0 && ::flock(file_, LOCK_EX | LOCK_NB) == 0) {}
  MeasuringLock(const MeasuringLock&) = delete;
  MeasuringLock& operator=(const MeasuringLock&) = delete;
  ~MeasuringLock() {
    if (file_ >= 0) ::close(file_);
  }
  bool held() const { return held_; }

 private:
  const int file_;
  const bool held_;
};

}  // namespace

bool MachineProfile::knows_rates(Encoding encoding) const {
  return one_row.count(std::string(to_string(encoding))) != 0;
}

bool MachineProfile::knows_panels(Encoding encoding) const {
  return !is_quantised(encoding) || panel_rows.count(std::string(to_string(encoding))) != 0;
}

bool MachineProfile::knows_slabs(Encoding encoding, const kernels::Isa& isa) const {
  return !isa.has_slabs(static_cast<int>(encoding)) ||
         slabs_from.count(std::string(to_string(encoding))) != 0;
}

std::string profile_path(const std::string& folder, const MachineKey& key) {
  return folder + "/machine-" + key.isa + "-" + std::to_string(key.cores) + ".json";
}

std::optional<MachineProfile> load_profile(const std::string& path, const MachineKey& key) {
  const auto text = read_file(path, kBytesMax);
  if (!text.ok()) return std::nullopt;
  try {
    return profile_of(Json::parse(*text), key);
  } catch (const std::exception&) {  // as good as no file: it is measured and written again
    return std::nullopt;
  }
}

Result<void> save_profile(const std::string& path, const MachineKey& key,
                          const MachineProfile& profile) {
  Json json = {{"version", kVersion},
               {"cpu", key.cpu},
               {"isa", key.isa},
               {"cores", key.cores},
               {"read_bytes_per_second", to_json(profile.read)},
               {"float_multiply_adds_per_second", profile.float_multiply_adds},
               {"quantised_multiply_adds_per_second", profile.quantised_multiply_adds},
               {"one_row_bytes_per_second", Json::object()},
               {"panel_rows", profile.panel_rows},
               {"slabs_from", profile.slabs_from}};
  for (const auto& [encoding, rates] : profile.one_row) {
    json["one_row_bytes_per_second"][encoding] = to_json(rates);
  }
  constexpr auto kReplace = Json::error_handler_t::replace;
  return write_private_file(path, json.dump(2, ' ', false, kReplace) + "\n");
}

MachineProfile completed_profile(const std::string& folder, const MachineKey& key,
                                 const std::function<bool(const MachineProfile&)>& complete,
                                 const std::function<bool(MachineProfile&)>& measure) {
  const std::string path = profile_path(folder, key);
  MachineProfile profile = load_profile(path, key).value_or(MachineProfile{});
  if (complete(profile)) return profile;
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  const MeasuringLock lock(folder);
  if (!lock.held()) return profile;
  // Somebody may have completed it before this process got the lock.
  profile = load_profile(path, key).value_or(MachineProfile{});
  if (complete(profile) || !measure(profile)) return profile;
  const Result<void> saved = save_profile(path, key, profile);
  if (!saved.ok()) log::warn("{}", saved.error().message());
  return profile;
}

}  // namespace hearth::engine
