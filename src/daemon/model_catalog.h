// The models whose files this device holds.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/view.h"
#include "daemon/kept_times.h"
#include "store/model_locator.h"

namespace hearth::daemon {

// What placement must know of the model at `path`, called `id`. The errors of
// engine::ModelFiles::open.
Result<cluster::ModelFacts> read_model_facts(const std::string& id, const std::string& path);

// Thread-safe.
class ModelCatalog {
 public:
  // `times` are those that its models took; none are kept without it.
  explicit ModelCatalog(store::ModelLocator locator, std::unique_ptr<KeptTimes> times = nullptr)
      : locator_(std::move(locator)), times_(std::move(times)) {}

  // Adds a model named by a person (alias or path); returns the id it goes by. Errors name what is
  // wrong with it.
  Result<std::string> add(const std::string& model);

  // Looks at the disk anew. A model that cannot be opened is logged once and left out.
  void refresh();

  // By id, with the times that they took.
  std::vector<cluster::ModelFacts> models() const;
  // What a rank of the model measured, for facts to come.
  void keep(const std::string& id, const std::string& kv, const engine::LayerTimes& times);
  // Where the files of `id` are. kNotFound.
  Result<std::string> path_of(const std::string& id) const;

 private:
  struct Entry {
    std::string path;
    bool added = false;                        // by a person: kept when no root lists it
    std::optional<cluster::ModelFacts> facts;  // nothing: could not be opened
  };

  bool is_known(const store::LocatedModel& model) const;

  const store::ModelLocator locator_;
  const std::unique_ptr<KeptTimes> times_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // by id
};

}  // namespace hearth::daemon
