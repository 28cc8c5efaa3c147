// How long models took this machine for a token, as its runners measured it: in a file of the data
// directory, for plans and for the time after a restart.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "cluster/view.h"
#include "engine/layer_times.h"
#include "engine/rank_model.h"

namespace hearth::daemon {

// Times hold for the files of a model, weights as they were rounded while loading, the numbers of
// the KV cache, and this machine: a file from another one is as good as none, as is a damaged one.
// Thread-safe; one process at a time adds.
class KeptTimes {
 public:
  // Of weights rounded by `quantize`, in the folder `data_dir`, which must exist for add().
  KeptTimes(const std::string& data_dir, engine::Quantize quantize);

  // Keeps what a rank of the model measured besides what others have of other layers. Nothing that
  // cannot be of the model. A file that cannot be written is logged.
  void add(const cluster::ModelFacts& model, const std::string& kv,
           const engine::LayerTimes& times);

  // What is known of the model, by the numbers of the KV cache.
  std::map<std::string, cluster::TokenTimes> find(const cluster::ModelFacts& model) const;

 private:
  // Of which model times are; not the device's name for it, but what decides how fast it is.
  struct Entry {
    std::string id;
    std::string encoding;
    int64_t file_bytes = 0;
    std::string quantize;
    std::string kv;
    cluster::TokenTimes times;
  };

  bool is_of(const Entry& entry, const cluster::ModelFacts& model) const;
  std::vector<Entry> read() const;
  void write() const;

  const std::string path_;
  const std::string machine_;
  const std::string quantize_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;  // what was measured last is last
};

}  // namespace hearth::daemon
