// A model on this machine without a daemon: rank 0 in this process, further ranks as runners.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/runner_process.h"
#include "engine/model_files.h"
#include "engine/rank_model.h"
#include "fabric/collectives.h"
#include "fabric/group.h"

namespace hearth::cli {

// Where a rank runs: its address, and the words before `hearth runner` that start it there ("ip
// netns exec other", "numactl -N 1"). The first rank is this process.
struct RankPlace {
  std::string host = "127.0.0.1";
  std::vector<std::string> launcher;
};

struct LocalModelOptions {
  std::string model;  // as the user named it
  engine::Precision precision = engine::Precision::kDefault;
  engine::Quantize quantize = engine::Quantize::kNone;
  engine::KvType kv = engine::KvType::kQ16;
  int threads = 0;             // of every rank; 0: the engine's choice
  int pipeline = 1;            // stages
  std::vector<double> shares;  // of the ranks that share each stage; empty: one has all of it
  std::string transport = "auto";
  std::vector<RankPlace> places;  // of every rank; empty: all here
  fabric::TeamOptions team;       // of the ranks that share a stage

  int slices() const { return shares.empty() ? 1 : static_cast<int>(shares.size()); }
  int ranks() const { return pipeline * slices(); }
  RankPlace place(int rank) const {
    return places.empty() ? RankPlace{} : places[static_cast<size_t>(rank)];
  }
};

// Declares MODEL, --precision, --quantize, --kv, --threads, --ranks, --transport, --wire and
// --place. `options` must outlive the parsing.
void add_model_option(CLI::App& app, std::string* model);
void add_local_model_options(CLI::App& app, LocalModelOptions* options);
void add_quantize_option(CLI::App& app, engine::Quantize* quantize);
void add_kv_option(CLI::App& app, engine::KvType* kv);

// Room for what the command does.
struct LocalRoom {
  int64_t kv_tokens = 0;  // over all sequences
  int sequences_max = 1;
};

// A loaded model and its connected ranks. Runners end with it.
struct LocalModel {
  std::string name;
  std::string path;
  std::unique_ptr<engine::ModelFiles> files;
  std::vector<int> cuts;                                        // stage i: layers cuts[i] and up
  std::vector<std::unique_ptr<daemon::RunnerProcess>> runners;  // ranks 1 and up
  std::unique_ptr<engine::RankModel> model;                     // rank 0
  std::unique_ptr<fabric::Group> group;
  double load_seconds = 0;

  std::vector<int> layers() const;  // of each stage
  // `error` with what became of the runners: "rank 1 is gone (runner rank 1 was killed by signal 9
  // (Killed))".
  Error explain(const Error& error) const;
  // The most memory that all ranks together have used.
  int64_t peak_rss_bytes() const;
};

// The model's files, opened and checked, before anything is loaded.
Result<LocalModel> open_model(const LocalModelOptions& options);

// Loads and connects all ranks; a progress bar on a terminal. REQUIRES: `local` comes from
// open_model.
Result<void> load_model(const LocalModelOptions& options, const LocalRoom& room, LocalModel* local);

// "1,2,3".
Result<std::vector<int32_t>> parse_ids(const std::string& text);
// Declares --ids.
void add_ids_option(CLI::App& app, std::vector<int32_t>* ids);

}  // namespace hearth::cli
