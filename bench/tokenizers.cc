// Tokenizers on one thread: bytes of text per second, by family and language.
//   hearth_bench_tokenizers --benchmark_filter=llama3
// English is this repository's text; Chinese is made of common characters in words whose
// frequencies fall as those of a language do. The vocabulary is trained on both, so that words have
// as many tokens as with published vocabularies: some three bytes of English to a token.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <queue>
#include <random>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "engine/tokenizer.h"
#include "engine/tokenizer/byte_level.h"
#include "engine/tokenizer/patterns.h"

namespace hearth::engine {
namespace {

using nlohmann::json;

constexpr size_t kMerges = 30'000;
constexpr size_t kTextBytes = 4 << 20;
constexpr const char* kMark = "\u2581";

// At most `bytes`, whole characters.
std::string head(const std::string& text, size_t bytes) {
  while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

std::string english() {
  std::string text;
  const std::filesystem::path root = HEARTH_SOURCE_DIR;
  std::set<std::filesystem::path> files;  // in an order that is the same everywhere
  for (const char* folder : {"src", "docs"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension();
      if (extension == ".md" || extension == ".h" || extension == ".cc") files.insert(entry.path());
    }
  }
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    text.append(std::istreambuf_iterator<char>(in), {});
  }
  while (text.size() < kTextBytes) text += text;
  return head(text, kTextBytes);
}

std::string character(uint32_t c) {
  return {static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3f)),
          static_cast<char>(0x80 | (c & 0x3f))};
}

// Words of one to four of 3,000 characters; the n-th is 1 / n as frequent as the first.
std::string chinese() {
  std::mt19937 random(7);
  std::vector<std::string> words(30'000);
  for (std::string& word : words) {
    for (uint32_t left = 1 + random() % 4; left > 0; --left)
      word += character(0x4e00 + random() % 3000);
  }
  std::string text;
  while (text.size() < kTextBytes) {
    const double uniform = static_cast<double>(random()) / 4294967296.0;
    text += words[static_cast<size_t>(std::pow(static_cast<double>(words.size()), uniform)) - 1];
    if (random() % 8 == 0) text += random() % 3 == 0 ? "\u3002" : "\uff0c";
  }
  return text;
}

// Byte-pair encoding trained on the words of a text; tokens are strings of units.
class Training {
 public:
  using Pair = std::pair<int, int>;

  void add(const std::vector<std::string>& units) {
    std::vector<int> word;
    for (const std::string& unit : units) word.push_back(id_of(unit));
    ++words_[word];
  }

  void run() {
    for (const auto& [ids, count] : words_) {
      list_.push_back({ids, count});
      count_pairs(list_.size() - 1, 1);
    }
    std::priority_queue<std::pair<int64_t, Pair>> best;
    for (const auto& [key, count] : counts_) best.push({count, pair_of(key)});
    while (merges.size() < kMerges && !best.empty()) {
      const auto [count, pair] = best.top();
      best.pop();
      const int64_t now = counts_[key_of(pair)];
      if (count < 2) break;
      if (now == count) {
        merge(pair, best);
      } else {
        best.push({now, pair});  // has changed since
      }
    }
  }

  std::vector<std::string> tokens;
  std::vector<Pair> merges;

 private:
  struct Word {
    std::vector<int> ids;
    int64_t count = 0;
  };

  static uint64_t key_of(Pair pair) {
    return static_cast<uint64_t>(pair.first) << 32 | static_cast<uint32_t>(pair.second);
  }
  static Pair pair_of(uint64_t key) { return {static_cast<int>(key >> 32), static_cast<int>(key)}; }

  int id_of(const std::string& token) {
    const auto [found, added] = ids_.emplace(token, static_cast<int>(tokens.size()));
    if (added) tokens.push_back(token);
    return found->second;
  }

  void count_pairs(size_t index, int64_t sign) {
    const Word& word = list_[index];
    for (size_t i = 0; i + 1 < word.ids.size(); ++i) {
      const uint64_t key = key_of({word.ids[i], word.ids[i + 1]});
      counts_[key] += sign * word.count;
      if (sign > 0) places_[key].push_back(index);
    }
  }

  void merge(Pair pair, std::priority_queue<std::pair<int64_t, Pair>>& best) {
    const int result =
        id_of(tokens[static_cast<size_t>(pair.first)] + tokens[static_cast<size_t>(pair.second)]);
    merges.push_back(pair);
    std::unordered_set<uint64_t> fresh;  // pairs with the new token
    for (const size_t index : std::move(places_[key_of(pair)])) {
      std::vector<int> joined;
      const std::vector<int>& ids = list_[index].ids;
      for (size_t i = 0; i < ids.size(); ++i) {
        const bool both = i + 1 < ids.size() && ids[i] == pair.first && ids[i + 1] == pair.second;
        joined.push_back(both ? result : ids[i]);
        i += both ? 1 : 0;
      }
      if (joined.size() == ids.size()) continue;  // noted twice, or changed since
      count_pairs(index, -1);
      list_[index].ids = std::move(joined);
      count_pairs(index, 1);
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        if (ids[i] == result || ids[i + 1] == result) fresh.insert(key_of({ids[i], ids[i + 1]}));
      }
    }
    for (const uint64_t key : fresh) best.push({counts_[key], pair_of(key)});
  }

  std::map<std::vector<int>, int64_t> words_;
  std::vector<Word> list_;
  std::unordered_map<std::string, int> ids_;
  std::unordered_map<uint64_t, int64_t> counts_;
  std::unordered_map<uint64_t, std::vector<size_t>> places_;  // words that have had the pair
};

bool letters(char c) { return static_cast<unsigned char>(c) >= 0x80 || std::isalnum(c) != 0; }

// Words with the space before them, as pre-tokenizers cut them.
std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    const bool word =
        letters(text[at]) || (text[at] == ' ' && end < text.size() && letters(text[end]));
    while (end < text.size() && letters(text[end]) == word && text[end] != ' ' && end - at < 48)
      ++end;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

const std::string& text_of(const std::string& language) {
  static const std::string en = english();
  static const std::string zh = chinese();
  return language == "english" ? en : zh;
}

// Trained once for bytes and once for characters.
const Training& training(bool bytes) {
  const auto make = [](bool by_bytes) {
    Training training;
    for (int byte = 0; by_bytes && byte < 256; ++byte)
      training.add({character_of_byte(static_cast<uint8_t>(byte))});
    for (const char* language : {"english", "chinese"}) {
      for (const std::string& word : words_of(head(text_of(language), 1 << 20))) {
        std::vector<std::string> units;
        for (size_t at = 0; at < word.size();) {
          const auto lead = static_cast<unsigned char>(word[at]);
          const size_t length = by_bytes || lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
          units.push_back(by_bytes      ? character_of_byte(lead)
                          : lead == ' ' ? kMark
                                        : word.substr(at, length));
          at += length;
        }
        training.add(units);
      }
    }
    training.run();
    return training;
  };
  static const Training by_bytes = make(true);
  static const Training by_characters = make(false);
  return bytes ? by_bytes : by_characters;
}

json split(std::string_view regex) {
  return {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}};
}

json byte_level(const std::string& family) {
  const Training& trained = training(true);
  json document;
  json steps = json::array();
  for (const std::string_view pattern : patterns::family_of(family)->patterns)
    steps.push_back(split(pattern));
  steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}});
  document["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
  if (patterns::family_of(family)->nfc) document["normalizer"] = {{"type", "NFC"}};
  document["decoder"] = {{"type", "ByteLevel"}};
  document["model"] = {{"type", "BPE"}, {"vocab", json::object()}, {"merges", json::array()}};
  document["model"]["ignore_merges"] = patterns::family_of(family)->ignore_merges;
  for (size_t id = 0; id < trained.tokens.size(); ++id)
    document["model"]["vocab"][trained.tokens[id]] = id;
  for (const auto& [left, right] : trained.merges) {
    document["model"]["merges"].push_back(
        {trained.tokens[static_cast<size_t>(left)], trained.tokens[static_cast<size_t>(right)]});
  }
  return document;
}

// Llama 2's kind: one word per text, bytes for characters without a token.
json sentencepiece() {
  const Training& trained = training(false);
  json document;
  document["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "Prepend"}, {"prepend", kMark}},
        {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kMark}}}}};
  document["model"] = {{"type", "BPE"},
                       {"vocab", json::object()},
                       {"merges", json::array()},
                       {"byte_fallback", true},
                       {"fuse_unk", true}};
  json& vocab = document["model"]["vocab"];
  for (size_t id = 0; id < trained.tokens.size(); ++id) vocab[trained.tokens[id]] = id;
  for (int byte = 0; byte < 256; ++byte) {
    char token[8];
    std::snprintf(token, sizeof(token), "<0x%02X>", byte);
    vocab[token] = trained.tokens.size() + static_cast<size_t>(byte);
  }
  for (const auto& [left, right] : trained.merges) {
    document["model"]["merges"].push_back(
        {trained.tokens[static_cast<size_t>(left)], trained.tokens[static_cast<size_t>(right)]});
  }
  return document;
}

json unigram() {
  const Training& trained = training(false);
  json document;
  document["normalizer"] = {{"type", "NFKC"}};
  document["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", kMark}, {"prepend_scheme", "always"}};
  document["model"] = {
      {"type", "Unigram"}, {"unk_id", 0}, {"vocab", json::array({json::array({"<unk>", 0.0})})}};
  for (size_t id = 0; id < trained.tokens.size(); ++id) {
    document["model"]["vocab"].push_back(
        {trained.tokens[id], -std::log(2.0 + static_cast<double>(id))});
  }
  return document;
}

void encode(benchmark::State& state, const std::string& family, const std::string& language) {
  const std::string path = std::filesystem::temp_directory_path() /
                           ("hearth-bench-" + std::to_string(::getpid()) + ".json");
  const json document = family == "sentencepiece" ? sentencepiece()
                        : family == "unigram"     ? unigram()
                                                  : byte_level(family);
  std::ofstream(path) << document.dump();
  const auto tokenizer = Tokenizer::load(path);
  std::filesystem::remove(path);
  if (!tokenizer.ok()) return state.SkipWithError(tokenizer.error().message().c_str());
  const std::string& text = text_of(language);
  size_t tokens = 0;
  for (auto _ : state) tokens = (*tokenizer)->encode(text, false).size();
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
  state.counters["bytes_per_token"] =
      static_cast<double>(text.size()) / static_cast<double>(tokens);
}

}  // namespace
}  // namespace hearth::engine

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (const std::string family : {"llama3", "qwen2", "deepseek-v3", "gpt-4o", "kimi-k2", "tekken",
                                   "gpt-2", "sentencepiece", "unigram"}) {
    for (const std::string language : {"english", "chinese"}) {
      benchmark::RegisterBenchmark((family + "/" + language).c_str(), hearth::engine::encode,
                                   family, language)
          ->Unit(benchmark::kMillisecond);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
}
