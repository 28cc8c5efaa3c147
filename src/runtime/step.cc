#include "runtime/step.h"

#include <bit>
#include <bitset>
#include <cmath>
#include <cstring>
#include <string>

#include "base/limits.h"

namespace hearth::runtime {
namespace {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");

constexpr uint32_t kMagic = 0x31505453;  // "STP1"

class Writer {
 public:
  template <class T>
  void put(T value) {
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
  }
  void put_all(const std::vector<int32_t>& values) {
    for (const int32_t value : values) put(value);
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Reads past the end give zeros and are remembered.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <class T>
  T get() {
    T value{};
    if (bytes_.size() < sizeof(T)) {
      truncated_ = true;
      bytes_ = {};
      return value;
    }
    std::memcpy(&value, bytes_.data(), sizeof(T));
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }
  // REQUIRES: count was checked against a limit.
  std::vector<int32_t> get_all(uint32_t count) {
    std::vector<int32_t> values(count);
    for (int32_t& value : values) value = get<int32_t>();
    return values;
  }
  bool exhausted() const { return bytes_.empty() && !truncated_; }

 private:
  std::span<const std::byte> bytes_;
  bool truncated_ = false;
};

void put(Writer& writer, const StepSequence& sequence) {
  writer.put<int32_t>(sequence.slot);
  writer.put<int32_t>(sequence.position);
  writer.put<int32_t>(sequence.rows);
  writer.put<uint8_t>(sequence.sample ? 1 : 0);
  if (!sequence.sample) return;
  const engine::SamplingParams& params = sequence.sampling;
  writer.put<int32_t>(sequence.prompt_tokens);
  writer.put<float>(params.temperature);
  writer.put<int32_t>(params.top_k);
  writer.put<float>(params.top_p);
  writer.put<float>(params.min_p);
  writer.put<float>(params.repetition_penalty);
  writer.put<float>(params.presence_penalty);
  writer.put<float>(params.frequency_penalty);
  writer.put<uint64_t>(params.seed);
}

Error corrupt(const std::string& what) { return Error(Code::kCorrupt, "step descriptor: " + what); }

Result<StepSequence> get_sequence(Reader& reader) {
  StepSequence sequence;
  sequence.slot = reader.get<int32_t>();
  sequence.position = reader.get<int32_t>();
  sequence.rows = reader.get<int32_t>();
  const auto sample = reader.get<uint8_t>();
  if (sequence.slot < 0 || sequence.slot >= limits::kSequencesMax) return corrupt("slot");
  if (sequence.rows < 1 || sequence.rows > limits::kStepRowsMax) return corrupt("rows");
  if (sequence.position < 0 || sequence.position > INT32_MAX - sequence.rows) {
    return corrupt("position");
  }
  if (sample > 1) return corrupt("sample flag");
  sequence.sample = sample == 1;
  if (!sequence.sample) return sequence;

  engine::SamplingParams& params = sequence.sampling;
  sequence.prompt_tokens = reader.get<int32_t>();
  params.temperature = reader.get<float>();
  params.top_k = reader.get<int32_t>();
  params.top_p = reader.get<float>();
  params.min_p = reader.get<float>();
  params.repetition_penalty = reader.get<float>();
  params.presence_penalty = reader.get<float>();
  params.frequency_penalty = reader.get<float>();
  params.seed = reader.get<uint64_t>();
  if (sequence.prompt_tokens < 0 || sequence.prompt_tokens > sequence.position + sequence.rows) {
    return corrupt("prompt tokens");
  }
  if (auto valid = check(params); !valid.ok()) return corrupt(valid.error().message());
  return sequence;
}

}  // namespace

int Step::outputs() const {
  if (output == StepOutput::kLogits) return rows();
  int drawn = 0;
  for (const StepSequence& sequence : sequences) drawn += sequence.sample ? 1 : 0;
  return drawn;
}

std::vector<std::byte> encode(const Step& step) {
  Writer writer;
  writer.put<uint32_t>(kMagic);
  writer.put<uint8_t>(static_cast<uint8_t>(step.output));
  writer.put<uint32_t>(static_cast<uint32_t>(step.releases.size()));
  writer.put<uint32_t>(static_cast<uint32_t>(step.sequences.size()));
  writer.put<uint32_t>(static_cast<uint32_t>(step.tokens.size()));
  writer.put_all(step.releases);
  for (const StepSequence& sequence : step.sequences) put(writer, sequence);
  writer.put_all(step.tokens);
  return writer.take();
}

Result<Step> decode_step(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  Step step;
  if (reader.get<uint32_t>() != kMagic) return corrupt("not a step of this version");
  const auto output = reader.get<uint8_t>();
  if (output > static_cast<uint8_t>(StepOutput::kLogits)) return corrupt("output kind");
  step.output = static_cast<StepOutput>(output);
  const auto releases = reader.get<uint32_t>();
  const auto sequences = reader.get<uint32_t>();
  const auto tokens = reader.get<uint32_t>();
  if (releases > limits::kSequencesMax) return corrupt("number of releases");
  if (sequences > limits::kSequencesMax) return corrupt("number of sequences");
  if (tokens > limits::kStepRowsMax) return corrupt("number of tokens");

  step.releases = reader.get_all(releases);
  for (const int32_t slot : step.releases) {
    if (slot < 0 || slot >= limits::kSequencesMax) return corrupt("released slot");
  }
  std::bitset<limits::kSequencesMax> used;
  int64_t rows = 0;
  for (uint32_t i = 0; i < sequences; ++i) {
    HEARTH_TRY(const StepSequence sequence, get_sequence(reader));
    if (used.test(static_cast<size_t>(sequence.slot))) return corrupt("slot used twice");
    used.set(static_cast<size_t>(sequence.slot));
    rows += sequence.rows;
    step.sequences.push_back(sequence);
  }
  if (rows != static_cast<int64_t>(tokens)) return corrupt("rows and tokens differ in number");
  step.tokens = reader.get_all(tokens);
  if (!reader.exhausted()) return corrupt("wrong length");
  return step;
}

Result<void> check(const Step& step, const StepBounds& bounds) {
  const auto bad = [](const char* what, int64_t value, int64_t end) {
    return Error(Code::kInvalidArgument, "step: " + std::string(what) + " " +
                                             std::to_string(value) + " is not below " +
                                             std::to_string(end));
  };
  for (const int32_t slot : step.releases) {
    if (slot < 0 || slot >= bounds.slots) return bad("slot", slot, bounds.slots);
  }
  for (const StepSequence& sequence : step.sequences) {
    if (sequence.slot < 0 || sequence.slot >= bounds.slots) {
      return bad("slot", sequence.slot, bounds.slots);
    }
    const int64_t last = int64_t{sequence.position} + sequence.rows - 1;
    if (last >= bounds.positions) return bad("position", last, bounds.positions);
  }
  for (const int32_t token : step.tokens) {
    if (token < 0 || token >= bounds.vocab) return bad("token", token, bounds.vocab);
  }
  return {};
}

Result<void> check(const engine::SamplingParams& params) {
  const auto bad = [](const char* what) { return Error(Code::kInvalidArgument, what); };
  if (!(params.temperature >= 0.0f) || !std::isfinite(params.temperature)) {
    return bad("temperature must be a number of 0 or more");
  }
  if (params.top_k < 0) return bad("top_k must be 0 or more");
  if (!(params.top_p > 0.0f && params.top_p <= 1.0f)) {
    return bad("top_p must be more than 0 and at most 1");
  }
  if (!(params.min_p >= 0.0f && params.min_p <= 1.0f)) return bad("min_p must be from 0 to 1");
  if (!(params.repetition_penalty > 0.0f) || !std::isfinite(params.repetition_penalty)) {
    return bad("repetition_penalty must be more than 0");
  }
  if (!std::isfinite(params.presence_penalty)) return bad("presence_penalty must be a number");
  if (!std::isfinite(params.frequency_penalty)) return bad("frequency_penalty must be a number");
  return {};
}

}  // namespace hearth::runtime
