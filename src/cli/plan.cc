// hearth plan: how a model would be cut over the devices of the cluster.
#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/units.h"
#include "cli/cluster_state.h"
#include "cli/command.h"
#include "cli/link_text.h"
#include "cli/local_api.h"
#include "cli/settings.h"
#include "cli/table.h"

namespace hearth::cli {
namespace {

using nlohmann::json;

struct Options {
  std::string model;
  int devices = 1;
  std::string sharding = "auto";
  int port = 52415;
  bool json = false;
};

std::string escaped(const std::string& text) {
  const std::unique_ptr<char, void (*)(void*)> out(
      curl_easy_escape(nullptr, text.data(), static_cast<int>(text.size())), curl_free);
  return out == nullptr ? "" : out.get();
}

// "Tensor", as the API says it.
std::string api_word(std::string sharding) {
  sharding[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(sharding[0])));
  return sharding;
}

std::string shape_of(const json& plan) {
  const int stages = plan.at("stages");
  const int slices = plan.at("slices");
  if (stages == 1 && slices == 1) return "one device";
  if (slices == 1) return fmt::format("pipeline={}", stages);
  if (stages == 1) return fmt::format("tensor={}", slices);
  return fmt::format("tensor={},pipeline={}", slices, stages);
}

std::string speed_of(const json& plan) {
  if (!plan.at("tokensPerSecond").is_number()) return "not predicted: not all is measured yet";
  return fmt::format("about {:.3g} tokens/s, first token of a prompt of {} after {:.2g} s",
                     plan.at("tokensPerSecond").get<double>(), plan.at("promptTokens").get<int>(),
                     plan.at("firstTokenSeconds").get<double>());
}

std::string shared_by(const json& plan) {
  if (plan.at("ranks").size() == 1 || !plan.at("cutBy").is_string()) return "";
  const std::string by = plan.at("cutBy");
  const char* what = plan.at("stages") == 1 ? "slices" : "layers";
  if (by == "times") return fmt::format("{} are shared out by measured times\n", what);
  if (by == "bytes") return fmt::format("{} are shared out by counted bytes and bandwidth\n", what);
  return fmt::format("{} are shared out by {}\n", what, by);
}

// A stage is a box whose rows are its ranks; below it what goes to the next.
void draw(const ClusterState& state, const json& plan) {
  const int stages = plan.at("stages");
  for (int stage = 0; stage < stages; ++stage) {
    std::vector<json> ranks;
    double shares = 0;
    for (const json& rank : plan.at("ranks")) {
      if (rank.at("stage") != stage) continue;
      ranks.push_back(rank);
      shares += rank.at("share").get<double>();
    }
    for (size_t i = 0; i < ranks.size(); ++i) {
      const json& rank = ranks[i];
      const char* edge = ranks.size() == 1 ? "─" : i == 0 ? "┬" : i + 1 < ranks.size() ? "├" : "└";
      const std::string layers = i > 0
                                     ? ""
                                     : fmt::format("layers {}-{}", rank.at("startLayer").get<int>(),
                                                   rank.at("endLayer").get<int>() - 1);
      std::printf("  %-14s %s─ rank %d  %-16s %5.1f %% of them  %s\n", layers.c_str(), edge,
                  rank.at("rank").get<int>(),
                  name_of(state, rank.at("device").get<std::string>()).c_str(),
                  100 * rank.at("share").get<double>() / shares,
                  format_bytes(rank.at("memory").at("inBytes").get<int64_t>()).c_str());
    }
    if (stage + 1 < stages) std::printf("       │\n       ▼\n");
  }
}

std::string wire_of(const json& plan, const json& link) {
  if (link.at("carries") != "sums") return link.at("carries").get<std::string>();
  const json& rank = plan.at("ranks").at(link.at("fromRank").get<size_t>());
  return fmt::format("sums ({})", rank.at("wire").get<std::string>());
}

void print_links(const json& plan) {
  if (plan.at("links").empty()) return;
  std::vector<std::vector<std::string>> rows = {
      {"RANKS", "CARRIES", "BY", "ADDRESS", "LATENCY", "BANDWIDTH"}};
  for (const json& entry : plan.at("links")) {
    const json& link = entry.at("link");
    const std::string ranks =
        fmt::format("{} -> {}", entry.at("fromRank").get<int>(), entry.at("toRank").get<int>());
    if (link.is_null()) {
      rows.push_back({ranks, wire_of(plan, entry), "not measured", "-", "-", "-"});
      continue;
    }
    const json& latency = link.at("latencyUs");
    rows.push_back(
        {ranks, wire_of(plan, entry),
         link.at("carriedBy").is_string() ? link.at("carriedBy").get<std::string>() : "-",
         link.at("host").get<std::string>(),
         latency_text(latency.is_number() ? latency.get<double>() : 0),
         bandwidth_text(link.at("bitsPerSecond").get<double>())});
  }
  std::printf("\n%s", table(rows).c_str());
}

// One line for each number of devices, so that people see what another device would bring.
void print_others(const json& previews) {
  std::vector<std::vector<std::string>> rows = {{"DEVICES AT LEAST", "PLAN", "PREDICTED"}};
  for (const json& preview : previews) {
    const std::string devices = std::to_string(preview.at("min_nodes").get<int>());
    if (preview.at("instance").is_null()) {
      rows.push_back({devices, "-", preview.at("error").get<std::string>()});
      continue;
    }
    const json& plan = preview.at("instance").at("plan");
    rows.push_back({devices, shape_of(plan), speed_of(plan)});
  }
  std::printf("\n%s", table(rows).c_str());
}

Result<void> print(const Options& options, const ClusterState& state, const std::string& text) {
  try {
    const json previews = json::parse(text).at("previews");
    if (options.devices > static_cast<int>(previews.size())) {
      return Error(Code::kUnavailable,
                   fmt::format("{} devices are online; --devices {} asks for more", previews.size(),
                               options.devices));
    }
    const json& preview = previews.at(static_cast<size_t>(options.devices - 1));
    if (preview.at("instance").is_null()) {
      return Error(Code::kUnavailable, preview.at("error").get<std::string>());
    }
    const json& plan = preview.at("instance").at("plan");
    if (options.json) {
      std::printf("%s\n", plan.dump(2).c_str());
      return {};
    }
    std::printf("%s as %s: %s\n%s\n", options.model.c_str(), shape_of(plan).c_str(),
                speed_of(plan).c_str(), shared_by(plan).c_str());
    draw(state, plan);
    print_links(plan);
    if (previews.size() > 1) print_others(previews);
    return {};
  } catch (const json::exception& error) {
    return Error(Code::kCorrupt,
                 std::string("the device's answer is not understood: ") + error.what());
  }
}

}  // namespace

Action declare_plan(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "A model that devices of the cluster hold, as in ps")
      ->required();
  app.add_option("--devices", options->devices, "Use at least this many devices")
      ->check(CLI::Range(1, limits::kRanksMax))
      ->capture_default_str();
  app.add_option("--sharding", options->sharding,
                 "pipeline: stages of layers; tensor: slices of every layer; auto: what is "
                 "predicted to be faster")
      ->check(CLI::IsMember({"auto", "pipeline", "tensor"}))
      ->capture_default_str();
  app.add_option("--port", options->port, "Port of the device's API on this machine")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  app.add_flag("--json", options->json, "Print JSON");
  app.footer(
      "Nothing is started: this is what POST /place_instance would do now. Predictions come from\n"
      "measured times of the model's layers (memory bandwidth, where nobody has run it yet),\n"
      "arithmetic and links; 'hearth doctor' shows the links.\n\n"
      "Examples:\n"
      "  hearth plan ember                        where Ember would run\n"
      "  hearth plan ember --devices 2            over two devices at least\n"
      "  hearth plan ember --devices 2 --sharding tensor");
  return [&app, options]() -> Result<void> {
    HEARTH_RETURN_IF_ERROR(apply_settings(app));
    HEARTH_TRY(const ClusterState state, read_state(options->port));
    HEARTH_TRY(const std::string previews,
               get_from_daemon(options->port,
                               fmt::format("/instance/previews?model_id={}&sharding={}",
                                           escaped(options->model), api_word(options->sharding))));
    return print(*options, state, previews);
  };
}

}  // namespace hearth::cli
