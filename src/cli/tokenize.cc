// hearth tokenize and hearth detokenize.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>

#include "cli/command.h"
#include "cli/local_model.h"
#include "engine/tokenizer.h"
#include "store/model_locator.h"

namespace hearth::cli {
namespace {

Result<std::unique_ptr<engine::Tokenizer>> load_tokenizer(const std::string& model) {
  const store::ModelLocator locator(store::ModelLocator::default_roots());
  HEARTH_TRY(const store::LocatedModel located, locator.find(model));
  return engine::Tokenizer::load(located.path);
}

Result<std::string> read_all(const std::string& file) {
  std::ifstream opened;
  if (file != "-") {
    opened.open(file, std::ios::binary);
    if (!opened) return Error(Code::kNotFound, "cannot read " + file);
  }
  std::istream& in = file == "-" ? std::cin : opened;
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (in.bad()) return Error(Code::kInternal, "cannot read " + file);
  return text;
}

struct TokenizeOptions {
  std::string model;
  std::string file = "-";
  bool no_special = false;
};

Result<void> tokenize(const TokenizeOptions& options) {
  HEARTH_TRY(const auto tokenizer, load_tokenizer(options.model));
  HEARTH_TRY(const std::string text, read_all(options.file));
  std::string line = "[";
  for (const int32_t id : tokenizer->encode(text, /*add_special=*/!options.no_special)) {
    if (line.size() > 1) line += ", ";
    line += std::to_string(id);
  }
  std::puts((line + "]").c_str());
  return {};
}

struct DetokenizeOptions {
  std::string model;
  std::vector<int32_t> ids;
};

Result<void> detokenize(const DetokenizeOptions& options) {
  HEARTH_TRY(const auto tokenizer, load_tokenizer(options.model));
  for (const int32_t id : options.ids) {
    if (id < tokenizer->size()) continue;
    return Error(Code::kInvalidArgument, "id " + std::to_string(id) + " is not one of the " +
                                             std::to_string(tokenizer->size()) + " tokens of " +
                                             options.model);
  }
  const std::string text = tokenizer->decode(options.ids, /*skip_special=*/false);
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (isatty(STDOUT_FILENO) != 0) std::fputc('\n', stdout);
  return {};
}

}  // namespace

Action declare_tokenize(CLI::App& app) {
  auto options = std::make_shared<TokenizeOptions>();
  add_model_option(app, &options->model);
  app.add_option("--file", options->file, "The text; - or nothing: standard input");
  app.add_flag("--no-special", options->no_special,
               "Without the tokens that the model wants around a text (BOS and the like)");
  app.footer(
      "Prints a JSON array of ids.\n\n"
      "Examples:\n"
      "  echo -n \"Hello there\" | hearth tokenize ember\n"
      "  hearth tokenize ./Qwen3-0.6B --file story.txt --no-special");
  return [options] { return tokenize(*options); };
}

Action declare_detokenize(CLI::App& app) {
  auto options = std::make_shared<DetokenizeOptions>();
  add_model_option(app, &options->model);
  add_ids_option(app, &options->ids);
  app.footer(
      "Prints the text, special tokens included.\n\n"
      "Example:\n"
      "  hearth detokenize ember --ids 72,101,108");
  return [options] { return detokenize(*options); };
}

}  // namespace hearth::cli
