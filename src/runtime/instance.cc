#include "runtime/instance.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/limits.h"
#include "runtime/executor.h"
#include "runtime/inbox.h"
#include "runtime/prompt.h"
#include "runtime/scheduler.h"

namespace hearth::runtime {
namespace {

// How often an idle head looks whether its group still lives.
constexpr auto kGroupCheckInterval = std::chrono::milliseconds(200);

class QueuedGeneration final : public Generation {
 public:
  QueuedGeneration(std::shared_ptr<Inbox> inbox, std::shared_ptr<EventSink> sink, uint64_t id)
      : inbox_(std::move(inbox)), sink_(std::move(sink)), id_(id) {}

  ~QueuedGeneration() override {
    sink_->leave();
    std::lock_guard lock(inbox_->mutex);
    if (inbox_->failure) return;
    inbox_->cancelled.push_back(id_);
    inbox_->steps_changed.notify_one();
  }

 private:
  const std::shared_ptr<Inbox> inbox_;
  const std::shared_ptr<EventSink> sink_;
  const uint64_t id_;
};

class InstanceImpl final : public Instance {
 public:
  InstanceImpl(InstanceOptions options, std::unique_ptr<Executor> executor)
      : options_(std::move(options)),
        prompts_(*options_.files, *options_.tokenizer),
        end_ids_(options_.files->spec().eos_ids),
        context_(std::min(options_.model->spec().context, options_.model->kv_tokens())),
        executor_(std::move(executor)),
        scheduler_({.sequences_max = options_.model->sequences_max(),
                    .kv_tokens = options_.model->kv_tokens(),
                    .step_rows_max = options_.step_rows_max,
                    .stages = executor_->stages()}) {
    options_.files = nullptr;
    prompt_thread_ = std::thread([this] { turn_prompts_into_tokens(); });
    step_thread_ = std::thread([this] { run_steps(); });
  }

  ~InstanceImpl() override {
    InstanceImpl::stop(Error(Code::kUnavailable, options_.name + " was stopped"));
    {
      std::lock_guard lock(inbox_->mutex);
      inbox_->stopping = true;
      inbox_->prompts_changed.notify_all();
    }
    prompt_thread_.join();
    end_all(*inbox_->failure);
  }

  // The prompt thread goes on, to refuse what comes.
  void stop(const Error& reason) override {
    if (executor_ == nullptr) return;
    {
      std::lock_guard lock(inbox_->mutex);
      if (!inbox_->failure) inbox_->failure = reason;
      inbox_->steps_changed.notify_all();
    }
    step_thread_.join();
    end_all(reason);
    executor_ = nullptr;
    options_.group = nullptr;
    options_.model = nullptr;
  }

  int context() const override { return context_; }

  std::unique_ptr<Generation> generate(GenerateRequest request, EventHandler handler) override {
    auto sink = std::make_shared<EventSink>(std::move(handler));
    std::lock_guard lock(inbox_->mutex);
    const uint64_t id = inbox_->next_id++;
    const size_t queued = inbox_->incoming.size() + inbox_->ready.size() +
                          static_cast<size_t>(inbox_->scheduler_waiting);
    const bool refused = queued >= limits::kQueuedRequestsMax;
    if (refused) request = {};
    inbox_->incoming.push_back({id, sink, std::move(request), refused});
    inbox_->prompts_changed.notify_one();
    return std::make_unique<QueuedGeneration>(inbox_, std::move(sink), id);
  }

 private:
  struct Running {
    std::shared_ptr<EventSink> sink;
    Answer answer;
    int prompt_tokens = 0;
  };

  // ---- the prompt thread

  void turn_prompts_into_tokens() {
    while (auto incoming = next_incoming()) {
      if (incoming->sink->done()) continue;
      auto sequence = admit(*incoming);
      if (!sequence.ok()) {
        incoming->sink->deliver(sequence.error());
        continue;
      }
      const int prompt_tokens = static_cast<int>(sequence->prompt.size());
      incoming->sink->deliver(Started{.prompt_tokens = prompt_tokens});
      if (auto taken = hand_on({incoming->sink, std::move(sequence).value(),
                                Answer(*options_.tokenizer, std::move(incoming->request.stop)),
                                prompt_tokens});
          !taken.ok()) {
        incoming->sink->deliver(taken.error());
      }
    }
  }

  // To the step thread, unless it has ended.
  Result<void> hand_on(ReadyRequest request) {
    std::lock_guard lock(inbox_->mutex);
    if (inbox_->failure) return *inbox_->failure;
    inbox_->ready.push_back(std::move(request));
    inbox_->steps_changed.notify_one();
    return {};
  }

  std::optional<IncomingRequest> next_incoming() {
    std::unique_lock lock(inbox_->mutex);
    inbox_->prompts_changed.wait(lock,
                                 [&] { return inbox_->stopping || !inbox_->incoming.empty(); });
    if (inbox_->stopping) return std::nullopt;
    IncomingRequest incoming = std::move(inbox_->incoming.front());
    inbox_->incoming.pop_front();
    return incoming;
  }

  Result<SequenceRequest> admit(const IncomingRequest& incoming) {
    if (incoming.refused) {
      return Error(Code::kResourceExhausted, options_.name + " has " +
                                                 std::to_string(limits::kQueuedRequestsMax) +
                                                 " requests waiting; try again later");
    }
    const GenerateRequest& request = incoming.request;
    HEARTH_RETURN_IF_ERROR(check(request.sampling));
    if (request.max_tokens < 0) {
      return Error(Code::kInvalidArgument, "max_tokens must be 0 or more");
    }
    HEARTH_TRY(std::vector<int32_t> prompt, prompts_.encode(request));
    if (prompt.size() >= static_cast<size_t>(context_)) {
      return Error(
          Code::kInvalidArgument,
          "prompt of " + std::to_string(prompt.size()) + " tokens " +
              (prompt.size() > static_cast<size_t>(context_) ? "is longer than" : "fills") + " " +
              options_.name + "'s context of " + std::to_string(context_));
    }
    const int room = context_ - static_cast<int>(prompt.size());
    SequenceRequest sequence{
        .id = incoming.id,
        .prompt = std::move(prompt),
        .max_tokens = request.max_tokens == 0 ? room : std::min(request.max_tokens, room),
        .sampling = request.sampling};
    if (!request.ignore_eos) sequence.end_ids = end_ids_;
    return sequence;
  }

  // ---- the step thread

  void run_steps() {
    while (take_mail()) {
      const Result<void> advanced = advance();
      if (advanced.ok()) continue;
      fail(advanced.error());
      return;
    }
  }

  // Submits a step; when there is none or no more may be in flight, waits for the oldest.
  Result<void> advance() {
    if (!executor_->full()) {
      if (auto step = scheduler_.next()) return executor_->submit(*std::move(step));
    }
    if (executor_->in_flight() == 0) return {};
    HEARTH_TRY(const StepResult result, executor_->collect());
    for (const TokenEvent& event : scheduler_.complete(result.tokens)) answer(event);
    return {};
  }

  // Waits until there is something to do and hands new requests to the scheduler. False when it is
  // over.
  bool take_mail() {
    std::unique_lock lock(inbox_->mutex);
    inbox_->scheduler_waiting = scheduler_.waiting();
    const auto mail = [&] {
      return inbox_->failure || !inbox_->ready.empty() || !inbox_->cancelled.empty();
    };
    while (running_.empty() && executor_->in_flight() == 0 && !mail()) {
      if (options_.group->size() == 1) {
        inbox_->steps_changed.wait(lock, mail);
      } else if (!inbox_->steps_changed.wait_for(lock, kGroupCheckInterval, mail)) {
        const Result<void> status = options_.group->status();
        if (status.ok()) continue;
        lock.unlock();
        fail(status.error());
        return false;
      }
    }
    if (inbox_->failure) return false;
    std::deque<ReadyRequest> ready = std::exchange(inbox_->ready, {});
    const std::vector<uint64_t> cancelled = std::exchange(inbox_->cancelled, {});
    inbox_->scheduler_waiting += static_cast<int>(ready.size());
    lock.unlock();

    for (const uint64_t id : cancelled) {
      scheduler_.cancel(id);
      running_.erase(id);
    }
    for (ReadyRequest& request : ready) {
      if (request.sink->done()) continue;  // its cancellation may have come before
      const uint64_t id = request.sequence.id;
      running_.emplace(
          id, Running{std::move(request.sink), std::move(request.answer), request.prompt_tokens});
      scheduler_.add(std::move(request.sequence));
    }
    return true;
  }

  void answer(const TokenEvent& event) {
    const auto found = running_.find(event.id);
    HEARTH_CHECK(found != running_.end());
    Running& request = found->second;
    Answer::Update update = request.answer.push(event.token, event.finish);
    request.sink->deliver(std::move(update.delta));
    if (!update.finish) return;
    if (!event.finish) scheduler_.cancel(event.id);
    request.sink->deliver(Finished{.reason = *update.finish,
                                   .usage = {.prompt_tokens = request.prompt_tokens,
                                             .completion_tokens = request.answer.tokens()}});
    running_.erase(found);
  }

  void fail(const Error& reason) {
    const Error error(Code::kUnavailable, options_.name + " stopped: " + reason.message());
    {
      std::lock_guard lock(inbox_->mutex);
      inbox_->failure = error;
    }
    end_all(error);
    if (options_.on_failure) options_.on_failure(error);
  }

  void end_all(const Error& error) {
    std::deque<IncomingRequest> incoming;
    std::deque<ReadyRequest> ready;
    {
      std::lock_guard lock(inbox_->mutex);
      incoming.swap(inbox_->incoming);
      ready.swap(inbox_->ready);
    }
    for (const auto& [id, request] : running_) request.sink->deliver(error);
    for (const ReadyRequest& request : ready) request.sink->deliver(error);
    for (const IncomingRequest& request : incoming) request.sink->deliver(error);
    running_.clear();
  }

  InstanceOptions options_;
  const PromptEncoder prompts_;
  const std::vector<int32_t> end_ids_;
  const int context_;
  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();

  // The step thread's own.
  std::unique_ptr<Executor> executor_;
  Scheduler scheduler_;
  std::unordered_map<uint64_t, Running> running_;

  std::thread prompt_thread_;
  std::thread step_thread_;
};

}  // namespace

Result<std::unique_ptr<Instance>> Instance::start(InstanceOptions options) {
  HEARTH_TRY(std::unique_ptr<Executor> executor,
             Executor::create(*options.model, *options.group, options.team));
  return std::unique_ptr<Instance>(
      std::make_unique<InstanceImpl>(std::move(options), std::move(executor)));
}

}  // namespace hearth::runtime
