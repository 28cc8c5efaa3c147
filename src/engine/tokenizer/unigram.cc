#include "engine/tokenizer/unigram.h"

#include <algorithm>

#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

constexpr int32_t kUncovered = -2;  // in place of an id: no token covers the character
constexpr size_t kStepsKept = 1 << 16;

std::vector<Trie::Entry> entries_of(const std::vector<UnigramToken>& tokens) {
  std::vector<Trie::Entry> entries;
  entries.reserve(tokens.size());
  for (const UnigramToken& token : tokens) entries.push_back({token.text, token.id});
  return entries;
}

}  // namespace

Unigram::Unigram(const UnigramOptions& options)
    : trie_(entries_of(options.tokens)),
      unknown_score_(options.unknown_score),
      unknown_id_(options.unknown_id),
      byte_ids_(options.byte_ids),
      byte_fallback_(options.byte_fallback) {
  for (const UnigramToken& token : options.tokens) {
    const auto id = static_cast<size_t>(token.id);
    if (id >= scores_.size()) scores_.resize(id + 1);
    scores_[id] = token.score;
  }
}

// Adds the ways that continue from `at` by one token. `steps` has the positions from `base` on.
void Unigram::extend(std::string_view word, size_t at, size_t base, std::vector<Step>& steps,
                     size_t& reach) const {
  const double so_far = steps[at - base].score;
  const size_t character = character_bytes(word.substr(at));
  bool covered = false;
  const auto offer = [&](size_t end, double score, int32_t id) {
    if (end - base >= steps.size()) steps.resize(end - base + 1);
    reach = std::max(reach, end);
    Step& step = steps[end - base];
    if (step.begin == SIZE_MAX || score > step.score) step = {score, at, id};
  };
  trie_.prefixes(word.substr(at), [&](int32_t id, size_t length) {
    covered = covered || length == character;
    offer(at + length, so_far + scores_[static_cast<size_t>(id)], id);
  });
  if (!covered) offer(at + character, so_far + unknown_score_, kUncovered);
}

void Unigram::encode(std::string_view word, std::vector<int32_t>& ids) const {
  thread_local std::vector<Step> steps;
  thread_local std::vector<Step> path;
  steps.assign(1, {});
  size_t base = 0;           // the position of steps[0]
  size_t reach = 0;          // the furthest end of a token so far
  std::string_view unknown;  // unknown characters that have not become ids yet
  for (size_t at = 0; at < word.size();) {
    extend(word, at, base, steps, reach);
    at += character_bytes(word.substr(at));
    if (at != reach) continue;
    // Every way leads through `at`: what lies before is decided.
    path.clear();
    for (size_t end = at; end > base; end = path.back().begin) path.push_back(steps[end - base]);
    size_t end = 0;
    for (auto step = path.rbegin(); step != path.rend(); ++step) {
      end = step + 1 == path.rend() ? at : (step + 1)->begin;
      append(word.substr(step->begin, end - step->begin), step->id, unknown, ids);
    }
    const double score = steps[at - base].score;
    steps.assign(1, {.score = score});
    base = at;
  }
  if (!unknown.empty()) append_unknown(unknown, ids);
  if (steps.capacity() > kStepsKept) std::vector<Step>().swap(steps);
  if (path.capacity() > kStepsKept) std::vector<Step>().swap(path);
}

// A token that begins where `text` does. The unknown token written in the text counts as unknown.
void Unigram::append(std::string_view text, int32_t id, std::string_view& unknown,
                     std::vector<int32_t>& ids) const {
  if (id == kUncovered || id == unknown_id_) {
    unknown =
        unknown.empty() ? text : std::string_view(unknown.data(), unknown.size() + text.size());
    return;
  }
  if (!unknown.empty()) append_unknown(unknown, ids);
  unknown = {};
  ids.push_back(id);
}

void Unigram::append_unknown(std::string_view text, std::vector<int32_t>& ids) const {
  const int32_t whole = trie_.find(text);
  if (whole >= 0) {
    ids.push_back(whole);
  } else if (byte_fallback_ && std::all_of(text.begin(), text.end(), [&](char c) {
               return byte_ids_[static_cast<uint8_t>(c)] >= 0;
             })) {
    for (const char c : text) ids.push_back(byte_ids_[static_cast<uint8_t>(c)]);
  } else if (unknown_id_ >= 0) {
    ids.push_back(unknown_id_);
  }
}

}  // namespace hearth::engine
