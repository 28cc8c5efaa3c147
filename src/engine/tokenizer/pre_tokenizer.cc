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

constexpr size_t kWindowBytes = 1 << 16;

// Finds matches in one text. From the first search on that gives up, only the next kWindowBytes are
// searched each time, as if the text ended there: words below that length are still right.
class Searcher {
 public:
  Searcher(const Pattern& pattern, std::string_view text) : pattern_(pattern), text_(text) {}

  std::optional<TextRange> find(size_t from) {
    if (!windowed_) {
      const Pattern::Search search = pattern_.search(text_, from);
      if (!search.gave_up) return search.match;
      windowed_ = true;
    }
    while (true) {
      size_t end = std::min(from + kWindowBytes, text_.size());
      while (end < text_.size() && (static_cast<uint8_t>(text_[end]) & 0xc0) == 0x80) --end;
      const Pattern::Search search = pattern_.search(text_.substr(0, end), from);
      if (search.match || search.gave_up || end == text_.size()) return search.match;
      from = end;
    }
  }

 private:
  const Pattern& pattern_;
  std::string_view text_;
  bool windowed_ = false;
};

// Calls `put` with the matches in `text` and the text between them. An empty match right behind a
// match does not count.
template <class Put>
void for_each_segment(const Split& split, std::string_view text, const Put& put) {
  Searcher searcher(split.pattern, text);
  size_t covered = 0;
  size_t from = 0;
  std::optional<size_t> last_end;
  while (from <= text.size()) {
    const std::optional<TextRange> match = searcher.find(from);
    if (!match) break;
    if (match->begin == match->end && last_end == match->end) {
      from += from < text.size() ? character_bytes(text.substr(from)) : 1;
      continue;
    }
    if (covered != match->begin) put(Segment{covered, match->begin, split.invert});
    put(Segment{match->begin, match->end, !split.invert});
    covered = from = match->end;
    last_end = match->end;
  }
  if (covered != text.size()) put(Segment{covered, text.size(), split.invert});
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

std::vector<Segment> join_equals(const std::vector<Segment>& segments) {
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

void PreTokenizer::run(size_t step, std::string_view piece, bool first, const Visit& visit) const {
  if (piece.empty()) return;
  if (step == steps_.size()) {
    visit(piece);
  } else if (const auto* split = std::get_if<Split>(&steps_[step])) {
    run_split(*split, step, piece, first, visit);
  } else if (const auto* metaspace = std::get_if<Metaspace>(&steps_[step])) {
    run_metaspace(*metaspace, step, piece, first, visit);
  } else if (piece.starts_with(' ')) {
    run(step + 1, piece, first, visit);
  } else {
    run(step + 1, " " + std::string(piece), first, visit);
  }
}

void PreTokenizer::run_split(const Split& split, size_t step, std::string_view piece, bool first,
                             const Visit& visit) const {
  const auto go_on = [&](const Segment& segment) {
    run(step + 1, piece.substr(segment.begin, segment.end - segment.begin),
        first && segment.begin == 0, visit);
  };
  if (split.behavior == SplitBehavior::kIsolated) return for_each_segment(split, piece, go_on);
  std::vector<Segment> segments;
  for_each_segment(split, piece, [&](const Segment& segment) {
    if (split.behavior != SplitBehavior::kRemoved) {
      segments.push_back(segment);
    } else if (!segment.match) {
      go_on(segment);
    }
  });
  if (split.behavior == SplitBehavior::kMergedWithPrevious) segments = merge(segments, true);
  if (split.behavior == SplitBehavior::kMergedWithNext) segments = merge(segments, false);
  if (split.behavior == SplitBehavior::kContiguous) segments = join_equals(segments);
  std::for_each(segments.begin(), segments.end(), go_on);
}

void PreTokenizer::run_metaspace(const Metaspace& metaspace, size_t step, std::string_view piece,
                                 bool first, const Visit& visit) const {
  std::string marked;
  marked.reserve(piece.size() + piece.size() / 2);
  const bool prepends = metaspace.prepend == PrependScheme::kAlways ||
                        (metaspace.prepend == PrependScheme::kFirst && first);
  if (prepends && !piece.starts_with(' ') && !piece.starts_with(metaspace.mark)) {
    marked = metaspace.mark;
  }
  for (const char c : piece) {
    if (c == ' ') {
      marked += metaspace.mark;
    } else {
      marked.push_back(c);
    }
  }
  if (!metaspace.split) return run(step + 1, marked, first, visit);
  // Marks in a row each begin a piece.
  const std::string_view text = marked;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(metaspace.mark, begin + 1), text.size());
    run(step + 1, text.substr(begin, end - begin), first && begin == 0, visit);
    begin = end;
  }
}

}  // namespace hearth::engine
