#include "daemon/model_catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/log.h"
#include "engine/model_files.h"
#include "engine/rank_model.h"
#include "engine/work.h"
#include "runtime/kv_plan.h"

namespace hearth::daemon {

Result<cluster::ModelFacts> read_model_facts(const std::string& id, const std::string& path) {
  HEARTH_TRY(const auto files, engine::ModelFiles::open(path));
  const engine::ModelSpec& spec = files->spec();
  cluster::ModelFacts facts{.id = id,
                            .name = spec.name.empty() ? id : spec.name,
                            .architecture = spec.architecture_name,
                            .encoding = files->main_encoding(),
                            .layers = spec.layers,
                            .context = spec.context};
  facts.file_bytes = files->shard_bytes({.layer_begin = 0, .layer_end = spec.layers});
  const int last = spec.layers - 1;
  if (spec.layers >= 3) {
    // Layers may differ a little (mixed encodings); the inner ones give the mean.
    const int inner = spec.layers - 2;
    facts.layer_bytes =
        (files->shard_bytes({.layer_begin = 1, .layer_end = last}) + inner - 1) / inner;
    facts.embedding_bytes =
        files->shard_bytes({.layer_begin = 0, .layer_end = 1}) - facts.layer_bytes;
    facts.head_bytes =
        files->shard_bytes({.layer_begin = last, .layer_end = spec.layers}) - facts.layer_bytes;
  } else {
    // No inner layer to tell the ends from: their bytes are spread over the layers.
    const int layers = std::max(spec.layers, 1);
    facts.layer_bytes = (facts.file_bytes + layers - 1) / layers;
  }
  facts.embedding_bytes = std::max<int64_t>(facts.embedding_bytes, 0);
  facts.head_bytes = std::max<int64_t>(facts.head_bytes, 0);
  facts.hidden = spec.hidden;
  facts.kv_heads = spec.latent ? 1 : spec.kv_heads;
  facts.slices_max = spec.heads;
  if (const auto work = engine::WorkCount::create(*files, {}); work.ok()) {
    const engine::Work token = work->pass(1, 0, 1, true);
    facts.token_bytes = static_cast<int64_t>(token.bytes);
    facts.token_multiply_adds = static_cast<int64_t>(token.multiply_adds);
  }
  const runtime::KvPlan room = runtime::default_kv_plan(spec);
  for (const engine::KvType kv : engine::kAllKvTypes) {
    const int64_t bytes =
        engine::kv_cache_bytes(spec, {.shard = {.layer_begin = 0, .layer_end = spec.layers},
                                      .kv = kv,
                                      .kv_tokens = room.kv_tokens,
                                      .sequences_max = room.sequences_max});
    facts.kv_layer_bytes.emplace(to_string(kv), (bytes + spec.layers - 1) / spec.layers);
  }
  return facts;
}

Result<std::string> ModelCatalog::add(const std::string& model) {
  HEARTH_TRY(const store::LocatedModel located, locator_.find(model));
  HEARTH_TRY(const cluster::ModelFacts facts, read_model_facts(located.name, located.path));
  std::lock_guard lock(mutex_);
  entries_[located.name] = {.path = located.path, .added = true, .facts = facts};
  return located.name;
}

bool ModelCatalog::is_known(const store::LocatedModel& model) const {
  std::lock_guard lock(mutex_);
  const auto entry = entries_.find(model.name);
  return entry != entries_.end() && (entry->second.added || entry->second.path == model.path);
}

void ModelCatalog::refresh() {
  std::set<std::string> listed;
  for (const store::LocatedModel& model : locator_.list()) {
    listed.insert(model.name);
    if (is_known(model)) continue;
    Entry entry{.path = model.path};
    if (auto facts = read_model_facts(model.name, model.path); facts.ok()) {
      entry.facts = *std::move(facts);
    } else {
      log::warn("model {} is left out: {}", model.name, facts.error().message());
    }
    std::lock_guard lock(mutex_);
    entries_[model.name] = std::move(entry);
  }
  std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&listed](const auto& item) {
    return !item.second.added && !listed.contains(item.first);
  });
}

std::vector<cluster::ModelFacts> ModelCatalog::models() const {
  std::lock_guard lock(mutex_);
  std::vector<cluster::ModelFacts> models;
  for (const auto& [id, entry] : entries_) {
    if (!entry.facts.has_value()) continue;
    models.push_back(*entry.facts);
    if (times_ != nullptr) models.back().token_times = times_->find(*entry.facts);
  }
  return models;
}

void ModelCatalog::keep(const std::string& id, const std::string& kv,
                        const engine::LayerTimes& times) {
  std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (times_ == nullptr || entry == entries_.end() || !entry->second.facts.has_value()) return;
  times_->add(*entry->second.facts, kv, times);
}

Result<std::string> ModelCatalog::path_of(const std::string& id) const {
  std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end() || !entry->second.facts.has_value()) {
    return Error(Code::kNotFound, fmt::format("this device does not hold the files of '{}'", id));
  }
  return entry->second.path;
}

}  // namespace hearth::daemon
