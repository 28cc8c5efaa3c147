#include "engine/tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

struct Segment {
  size_t begin = 0;
  size_t end = 0;
  bool match = false;
};

// `text` as matches and the text between them. An empty match right behind a match does not count.
std::vector<Segment> segments_of(const Pattern& pattern, std::string_view text, bool invert) {
  std::vector<Segment> segments;
  size_t covered = 0;
  size_t from = 0;
  std::optional<size_t> last_end;
  while (from <= text.size()) {
    const std::optional<TextRange> match = pattern.find(text, from);
    if (!match) break;
    if (match->begin == match->end && last_end == match->end) {
      from += from < text.size() ? character_bytes(text.substr(from)) : 1;
      continue;
    }
    if (covered != match->begin) segments.push_back({covered, match->begin, invert});
    segments.push_back({match->begin, match->end, !invert});
    covered = from = match->end;
    last_end = match->end;
  }
  if (covered != text.size()) segments.push_back({covered, text.size(), invert});
  return segments;
}

// Joins each match with its neighbour: the segment before it, or after it.
std::vector<Segment> merge(const std::vector<Segment>& segments, bool with_previous) {
  std::vector<Segment> merged;
  bool after_match = false;
  const auto add = [&](const Segment& segment) {
    if (segment.match && !after_match && !merged.empty()) {
      (with_previous ? merged.back().end : merged.back().begin) =
          with_previous ? segment.end : segment.begin;
    } else {
      merged.push_back(segment);
    }
    after_match = segment.match;
  };
  if (with_previous) {
    std::for_each(segments.begin(), segments.end(), add);
  } else {
    std::for_each(segments.rbegin(), segments.rend(), add);
    std::reverse(merged.begin(), merged.end());
  }
  return merged;
}

std::vector<Segment> arrange(std::vector<Segment> segments, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::kIsolated:
      return segments;
    case SplitBehavior::kRemoved:
      std::erase_if(segments, [](const Segment& segment) { return segment.match; });
      return segments;
    case SplitBehavior::kMergedWithPrevious:
      return merge(segments, true);
    case SplitBehavior::kMergedWithNext:
      return merge(segments, false);
    case SplitBehavior::kContiguous:
      break;
  }
  std::vector<Segment> joined;
  for (const Segment& segment : segments) {
    if (!joined.empty() && joined.back().match == segment.match) {
      joined.back().end = segment.end;
    } else {
      joined.push_back(segment);
    }
  }
  return joined;
}

}  // namespace

std::vector<std::string_view> PreTokenizer::split(std::string_view text,
                                                  std::deque<std::string>& storage) const {
  std::vector<std::string_view> pieces;
  if (!text.empty()) pieces.push_back(text);
  for (const PreTokenizerStep& step : steps_) {
    std::vector<std::string_view> next;
    for (std::string_view piece : pieces) {
      if (step.add_prefix_space && !piece.starts_with(' ')) {
        piece = storage.emplace_back(" ").append(piece);
      }
      if (!step.pattern) {
        next.push_back(piece);
        continue;
      }
      for (const Segment& segment :
           arrange(segments_of(*step.pattern, piece, step.invert), step.behavior)) {
        if (segment.begin == segment.end) continue;
        next.push_back(piece.substr(segment.begin, segment.end - segment.begin));
      }
    }
    pieces = std::move(next);
  }
  return pieces;
}

}  // namespace hearth::engine
