// The head of an instance: answers requests with one model, over however many ranks. Start here.
//
//   HEARTH_TRY(auto instance, runtime::Instance::start({.name = "ember", .files = *files, ...}));
//   auto generation = instance->generate({.prompt = ChatPrompt{messages}}, handler);
//
// Two threads: one turns prompts into tokens, one runs the steps (scheduler.h, executor.h) and
// turns tokens into text. Both sleep while there is nothing to do.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/prompt_rows.h"
#include "base/result.h"
#include "engine/model_files.h"
#include "engine/rank_model.h"
#include "engine/tokenizer.h"
#include "fabric/collectives.h"
#include "fabric/group.h"
#include "runtime/generator.h"

namespace hearth::runtime {

struct InstanceOptions {
  std::string name;                           // of the model, for messages
  const engine::ModelFiles* files = nullptr;  // read during start only
  std::shared_ptr<const engine::Tokenizer> tokenizer;
  // Rank 0's. Whoever keeps it may give it to the next instance once this one was stopped.
  std::shared_ptr<engine::RankModel> model;
  std::unique_ptr<fabric::Group> group;
  fabric::TeamOptions team;  // where ranks share stages; the same on all of them
  int step_rows_max = kStepRowsDefault;
  // Called once, from the step thread, when the group failed; requests have had their Error by
  // then. Must not destroy the instance. May be empty.
  std::function<void(Error)> on_failure;
};

// Destroying it ends every request with kUnavailable. Generations may outlive it. Thread-safe.
class Instance : public Generator {
 public:
  // kInvalidArgument when the model's shard is not the first of the group.
  static Result<std::unique_ptr<Instance>> start(InstanceOptions options);

  // Ends every request, and those to come, with `reason`; leaves the group and lets go of the
  // model. Idempotent; by one thread, which must not be the instance's own.
  virtual void stop(const Error& reason) = 0;

  // Longest sequence, prompt and answer together: the model's context or the room of the KV cache.
  virtual int context() const = 0;
};

}  // namespace hearth::runtime
