#include "cli/local_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "base/config.h"
#include "base/host_port.h"
#include "base/ids.h"
#include "base/layer_cuts.h"
#include "base/limits.h"
#include "cli/progress.h"
#include "daemon/kept_times.h"
#include "daemon/model_catalog.h"
#include "engine/work.h"
#include "fabric/wire_precision.h"
#include "store/model_locator.h"

namespace hearth::cli {
namespace {

using std::chrono::steady_clock;

// A positive number that is all of `text`.
template <class T>
std::optional<T> positive(const std::string& text) {
  T number{};
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || !(number > 0) || number > 1e6) return {};
  return number;
}

// "2" are equal shares, "2:1" are unequal ones; none if it is neither.
std::vector<double> parse_shares(const std::string& text) {
  if (const auto ranks = positive<int>(text); ranks && *ranks <= limits::kRanksMax) {
    return std::vector<double>(static_cast<size_t>(*ranks), 1.0);
  }
  std::vector<double> shares;
  for (const std::string& part : CLI::detail::split(text, ':')) {
    const auto share = positive<double>(part);
    if (!share) return {};
    shares.push_back(*share);
  }
  if (shares.size() < 2) return {};
  return shares;
}

// "pipeline=2", "tensor=2", "tensor=2:1,pipeline=2"; throws what CLI11 turns into wrong usage.
void parse_ranks(const std::string& text, LocalModelOptions* options) {
  std::map<std::string, std::string> values{{"tensor", "1"}, {"pipeline", "1"}};
  bool known = true;
  for (const std::string& part : CLI::detail::split(text, ',')) {
    const size_t equals = std::min(part.find('='), part.size());
    const std::string key = part.substr(0, equals);
    known = known && values.count(key) > 0 && equals < part.size();
    if (known) values[key] = part.substr(equals + 1);
  }
  const auto stages = positive<int>(values["pipeline"]);
  options->shares = parse_shares(values["tensor"]);
  if (!known || !stages || options->shares.empty()) {
    throw CLI::ValidationError("--ranks", "'" + text +
                                              "' is not like pipeline=2, tensor=2, tensor=2:1 "
                                              "(the first rank does twice as much) or "
                                              "tensor=2,pipeline=2");
  }
  if (*stages > limits::kRanksMax || *stages * options->slices() > limits::kRanksMax) {
    throw CLI::ValidationError("--ranks",
                               fmt::format("'{}' are more than {} ranks", text, limits::kRanksMax));
  }
  options->pipeline = *stages;
  if (options->shares.size() == 1) options->shares.clear();
}

// "HOST" or "HOST COMMAND..."; throws what CLI11 turns into wrong usage.
RankPlace parse_place(const std::string& text) {
  std::vector<std::string> words = CLI::detail::split(text, ' ');
  std::erase(words, "");
  if (words.empty()) throw CLI::ValidationError("--place", "a place begins with an address");
  RankPlace place{.host = std::move(words.front())};
  place.launcher.assign(std::make_move_iterator(words.begin() + 1),
                        std::make_move_iterator(words.end()));
  return place;
}

template <class Value>
using Words = std::vector<std::pair<std::string, Value>>;  // the default first

// An option whose value is one of `words`.
template <class Value>
void add_word_option(CLI::App& app, const std::string& flag, Words<Value> words, Value* value,
                     const std::string& help) {
  std::vector<std::string> names;
  for (const auto& [name, meaning] : words) names.push_back(name);
  const auto choose = [flag, words = std::move(words), names, value](const std::string& text) {
    const auto found = std::ranges::find(names, text);
    if (found == names.end()) {
      throw CLI::ValidationError(
          flag, fmt::format("'{}' is not one of {}", text, fmt::join(names, ", ")));
    }
    *value = words[static_cast<size_t>(found - names.begin())].second;
  };
  app.add_option_function<std::string>(flag, choose, help)
      ->type_name(fmt::format("{}", fmt::join(names, "|")))
      ->default_str(names.front());
}

// What this machine's daemon has measured, of all layers; nothing if it has not.
std::optional<LayerCosts> measured_costs(const LocalModelOptions& options,
                                         const LocalModel& local) {
  if (options.precision == engine::Precision::kExact) return std::nullopt;
  const auto facts = daemon::read_model_facts(local.name, local.path);
  if (!facts.ok()) return std::nullopt;
  const auto all = daemon::KeptTimes(directories().data, options.quantize).find(*facts);
  const auto times = all.find(std::string(to_string(options.kv)));
  if (times == all.end()) return std::nullopt;
  const auto& [layers_ns, embedding_ns, head_ns] = times->second;
  if (head_ns == 0 || std::ranges::find(layers_ns, 0) != layers_ns.end()) return std::nullopt;
  return LayerCosts{.layers = {layers_ns.begin(), layers_ns.end()},
                    .embedding = static_cast<double>(embedding_ns),
                    .head = static_cast<double>(head_ns)};
}

// Otherwise what must be read for a token takes the time.
Result<LayerCosts> counted_costs(const LocalModelOptions& options,
                                 const engine::ModelFiles& files) {
  HEARTH_TRY(
      const engine::WorkCount count,
      engine::WorkCount::create(
          files, {.precision = options.precision, .quantize = options.quantize, .kv = options.kv}));
  LayerCosts costs{.head = count.head(1).bytes};
  for (int i = 0; i < files.spec().layers; ++i) {
    costs.layers.push_back(count.layer(i, 1, 0, 1).bytes);
  }
  return costs;
}

// Stages that generate tokens about equally fast, as ranks of one machine are.
Result<std::vector<int>> cut_stages(const LocalModelOptions& options, const LocalModel& local) {
  if (options.pipeline == 1) return std::vector<int>{0, local.files->spec().layers};
  std::optional<LayerCosts> costs = measured_costs(options, local);
  if (!costs) {
    HEARTH_TRY(costs, counted_costs(options, *local.files));
  }
  return cut_layers(*costs, std::vector<StageRank>(static_cast<size_t>(options.pipeline)));
}

engine::Shard shard_of(const LocalModelOptions& options, const LocalModel& local, int rank) {
  const auto stage = static_cast<size_t>(rank / options.slices());
  return {.layer_begin = local.cuts[stage],
          .layer_end = local.cuts[stage + 1],
          .slice = rank % options.slices(),
          .shares = options.shares};
}

int64_t peak_rss_of(int pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) return std::strtoll(line.c_str() + 6, nullptr, 10) * 1024;
  }
  return 0;
}

// The port of its rendezvous.
Result<int> load_runner(daemon::RunnerProcess& runner, const LocalModelOptions& options,
                        const LocalRoom& room, const LocalModel& local, int rank) {
  HEARTH_RETURN_IF_ERROR(runner.load({.model_name = local.name,
                                      .model_path = local.path,
                                      .shard = shard_of(options, local, rank),
                                      .threads = options.threads,
                                      .precision = options.precision,
                                      .quantize = options.quantize,
                                      .kv = options.kv,
                                      .kv_tokens = room.kv_tokens,
                                      .sequences_max = room.sequences_max,
                                      .bind_host = options.place(rank).host},
                                     {}));
  return runner.prepare({.epoch = 1, .rank = rank, .world_size = options.ranks()});
}

Result<void> load_first_rank(const LocalModelOptions& options, const LocalRoom& room,
                             LocalModel* local) {
  ProgressBar bar("loading " + local->name);
  HEARTH_TRY(local->model,
             engine::RankModel::load(*local->files, {.shard = shard_of(options, *local, 0),
                                                     .precision = options.precision,
                                                     .quantize = options.quantize,
                                                     .kv = options.kv,
                                                     .threads = options.threads,
                                                     .kv_tokens = room.kv_tokens,
                                                     .sequences_max = room.sequences_max,
                                                     .cache_dir = directories().cache,
                                                     .progress = [&bar](int done, int total) {
                                                       bar.show(done, total);
                                                     }}));
  return {};
}

Result<void> spawn_runners(const LocalModelOptions& options, LocalModel* local) {
  for (int rank = 1; rank < options.ranks(); ++rank) {
    HEARTH_TRY(auto runner,
               daemon::RunnerProcess::spawn({.name = fmt::format("rank {}", rank),
                                             .launcher = options.place(rank).launcher}));
    local->runners.push_back(std::move(runner));
  }
  return {};
}

// The rendezvous addresses of all ranks, once all have loaded.
Result<std::vector<std::string>> load_all(const LocalModelOptions& options, const LocalRoom& room,
                                          LocalModel* local) {
  std::vector<std::future<Result<int>>> loads;
  for (int rank = 1; rank < options.ranks(); ++rank) {
    auto& runner = *local->runners[static_cast<size_t>(rank - 1)];
    loads.push_back(std::async(std::launch::async, [&options, &room, local, &runner, rank] {
      return load_runner(runner, options, room, *local, rank);
    }));
  }
  Result<void> first = load_first_rank(options, room, local);
  std::vector<std::string> addresses{""};
  for (auto& load : loads) {
    const Result<int> port = load.get();
    const std::string host = options.place(static_cast<int>(addresses.size())).host;
    if (port.ok()) addresses.push_back(join_host_port(host, *port));
    if (!port.ok() && first.ok()) first = port.error();
  }
  if (!first.ok()) return first.error();
  return addresses;
}

Result<void> connect_all(const LocalModelOptions& options, std::vector<std::string> addresses,
                         LocalModel* local) {
  std::unique_ptr<fabric::Rendezvous> rendezvous;
  if (options.ranks() > 1) {
    const std::string host = options.place(0).host;
    HEARTH_TRY(rendezvous, fabric::Rendezvous::listen(host));
    addresses[0] = join_host_port(host, rendezvous->port());
  }
  const std::string token = random_hex(16);
  std::vector<std::future<Result<std::string>>> joins;
  for (const auto& runner : local->runners) {
    joins.push_back(std::async(std::launch::async, [&, raw = runner.get()] {
      return raw->connect({.addresses = addresses,
                           .token = token,
                           .transport = options.transport,
                           .team = options.team});
    }));
  }
  auto group = fabric::Group::join(
      std::move(rendezvous),
      {.rank = 0, .addresses = addresses, .token = token, .transport = options.transport});
  Result<void> joined;
  if (!group.ok()) joined = group.error();
  for (auto& join : joins) {
    const auto transport = join.get();
    if (!transport.ok() && joined.ok()) joined = transport.error();
  }
  if (!joined.ok()) return joined.error();
  local->group = std::move(group).value();
  return {};
}

}  // namespace

void add_model_option(CLI::App& app, std::string* model) {
  app.add_option("MODEL", *model, "An alias (ember), a .gguf file or a Hugging Face folder")
      ->required();
}

void add_local_model_options(CLI::App& app, LocalModelOptions* options) {
  add_model_option(app, &options->model);
  add_word_option<engine::Precision>(
      app, "--precision",
      {{"default", engine::Precision::kDefault}, {"exact", engine::Precision::kExact}},
      &options->precision, "exact: float32 throughout, the KV cache too");
  add_quantize_option(app, &options->quantize);
  add_kv_option(app, &options->kv);
  app.add_option("--threads", options->threads, "Threads of every rank; default: one per core")
      ->check(CLI::Range(1, 1024));
  app.add_option_function<std::string>(
         "--ranks", [options](const std::string& text) { parse_ranks(text, options); },
         "Split the model over local processes: its layers between them (pipeline=N), every layer "
         "(tensor=N; tensor=2:1 for unequal shares), or both (tensor=N,pipeline=N)")
      ->type_name("SPEC");
  app.add_option("--transport", options->transport, "How ranks exchange data")
      ->check(CLI::IsMember({"auto", "ucx", "tcp", "shm"}))
      ->capture_default_str();
  Words<fabric::WirePrecision> wires;
  for (const fabric::WirePrecision wire : fabric::kWirePrecisions) {
    wires.emplace_back(std::string(fabric::to_string(wire)), wire);
  }
  add_word_option(app, "--wire", std::move(wires), &options->team.wire,
                  "As what the sums of tensor ranks travel: 4, 2 or 1.125 bytes a number");
  app.add_option_function<std::vector<std::string>>(
         "--place",
         [options](const std::vector<std::string>& texts) {
           for (const std::string& text : texts) options->places.push_back(parse_place(text));
         },
         "Once for every rank: its address and, after the first, what starts it there, like "
         "'10.0.0.2 "
         "ip netns exec other'; default: 127.0.0.1 for all")
      ->type_name("HOST[ COMMAND...]")
      ->allow_extra_args(false);
}

void add_quantize_option(CLI::App& app, engine::Quantize* quantize) {
  add_word_option<engine::Quantize>(
      app, "--quantize",
      {{"none", engine::Quantize::kNone},
       {"q8", engine::Quantize::kQ8},
       {"q4", engine::Quantize::kQ4}},
      quantize, "Round weights to 8 or 4 bits while loading; saves memory, costs some quality");
}

void add_kv_option(CLI::App& app, engine::KvType* kv) {
  Words<engine::KvType> words;
  for (const engine::KvType type : engine::kAllKvTypes) words.emplace_back(to_string(type), type);
  add_word_option(app, "--kv", std::move(words), kv,
                  "KV cache. q16: 2 bytes a number, 0.1 % of the references' tokens differ; bf16: "
                  "2 bytes, 0.7 %; q8: 1 byte, 3 %; f32: 4 bytes, none");
}

Result<std::vector<int32_t>> parse_ids(const std::string& text) {
  std::vector<int32_t> ids;
  const char* at = text.c_str();
  const char* const end = at + text.size();
  for (;;) {
    int32_t id = 0;
    const auto parsed = std::from_chars(at, end, id);
    if (parsed.ec != std::errc() || id < 0 || (parsed.ptr != end && *parsed.ptr != ',')) {
      return Error(Code::kInvalidArgument, "'" + std::string(at, end).substr(0, 20) +
                                               "' is not a list of token ids like 1,2,3");
    }
    ids.push_back(id);
    if (parsed.ptr == end) return ids;
    at = parsed.ptr + 1;
  }
}

void add_ids_option(CLI::App& app, std::vector<int32_t>* ids) {
  app.add_option_function<std::string>(
         "--ids",
         [ids](const std::string& text) {
           auto parsed = parse_ids(text);
           if (!parsed.ok()) throw CLI::ValidationError("--ids", parsed.error().message());
           *ids = std::move(parsed).value();
         },
         "Token ids, with commas between them")
      ->type_name("1,2,3")
      ->required();
}

Result<LocalModel> open_model(const LocalModelOptions& options) {
  if (!options.places.empty() && static_cast<int>(options.places.size()) != options.ranks()) {
    return Error(Code::kInvalidArgument, fmt::format("{} --place for {} ranks: give one for each",
                                                     options.places.size(), options.ranks()));
  }
  const store::ModelLocator locator(store::ModelLocator::default_roots());
  HEARTH_TRY(store::LocatedModel located, locator.find(options.model));
  LocalModel local;
  local.name = std::move(located.name);
  local.path = std::move(located.path);
  HEARTH_TRY(local.files, engine::ModelFiles::open(local.path));
  const int layers = local.files->spec().layers;
  if (options.pipeline > layers) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("{} has {} layers: at most --ranks pipeline={}", local.name, layers, layers));
  }
  HEARTH_TRY(local.cuts, cut_stages(options, local));
  return local;
}

Result<void> load_model(const LocalModelOptions& options, const LocalRoom& room,
                        LocalModel* local) {
  const auto started = steady_clock::now();
  HEARTH_RETURN_IF_ERROR(spawn_runners(options, local));
  auto addresses = load_all(options, room, local);
  if (!addresses.ok()) return local->explain(addresses.error());
  auto connected = connect_all(options, std::move(addresses).value(), local);
  if (!connected.ok()) return local->explain(connected.error());
  local->load_seconds = std::chrono::duration<double>(steady_clock::now() - started).count();
  return {};
}

std::vector<int> LocalModel::layers() const {
  std::vector<int> layers;
  for (size_t i = 1; i < cuts.size(); ++i) layers.push_back(cuts[i] - cuts[i - 1]);
  return layers;
}

Error LocalModel::explain(const Error& error) const {
  std::string message = error.message();
  for (const auto& runner : runners) {
    const auto status = runner->status();
    if (status.ok() || message.find(status.error().message()) != std::string::npos) continue;
    message += " (" + status.error().message() + ")";
  }
  return Error(error.code(), std::move(message));
}

int64_t LocalModel::peak_rss_bytes() const {
  rusage own{};
  getrusage(RUSAGE_SELF, &own);
  int64_t bytes = own.ru_maxrss * int64_t{1024};
  for (const auto& runner : runners) bytes += peak_rss_of(runner->pid());
  return bytes;
}

}  // namespace hearth::cli
