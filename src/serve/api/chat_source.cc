#include "serve/api/chat_source.h"

#include <ctime>
#include <mutex>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "serve/api/errors.h"
#include "serve/api/json.h"
#include "serve/http/sse.h"

namespace hearth::serve {
namespace {

using runtime::GenerateEvent;

// Events on their way from the generator's thread to the session.
struct Mailbox {
  std::mutex mutex;
  std::vector<GenerateEvent> events;
  std::function<void()> wake;
};

const char* reason_name(runtime::FinishReason reason) {
  return reason == runtime::FinishReason::kLength ? "length" : "stop";
}

OrderedJson usage_json(const runtime::Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

ApiError generator_error(const Error& error) {
  ApiError refusal = api_error(error);
  if (runtime::is_prompt_too_long(error)) {
    refusal.param = "messages";
    refusal.code = "context_length_exceeded";
  }
  return refusal;
}

class ChatSource final : public Source {
 public:
  ChatSource(std::shared_ptr<runtime::Generator> generator, ChatRequest request,
             const ChatSourceOptions& options)
      : generator_(std::move(generator)),
        request_(std::move(request)),
        options_(options),
        id_("chatcmpl-" + random_hex(12)),
        created_(std::time(nullptr)) {}

  void start(std::function<void()> wake) override {
    mailbox_->wake = std::move(wake);
    request_.generate.id = RequestId(random_hex(8));
    // The handler may outlast this object by a moment, but not the mailbox.
    generation_ = generator_->generate(std::move(request_.generate),
                                       [mailbox = mailbox_](GenerateEvent event) {
                                         std::lock_guard lock(mailbox->mutex);
                                         mailbox->events.push_back(std::move(event));
                                         if (mailbox->events.size() == 1) mailbox->wake();
                                       });
  }

  Next next() override {
    std::vector<GenerateEvent> events;
    {
      std::lock_guard lock(mailbox_->mutex);
      events.swap(mailbox_->events);
    }
    Next next;
    for (const GenerateEvent& event : events) {
      if (request_.stream) {
        stream(event, next);
      } else {
        collect(event, next);
      }
      if (next.done) break;
    }
    return next;
  }

  std::chrono::milliseconds keep_alive() const override { return options_.keep_alive; }

 private:
  void collect(const GenerateEvent& event, Next& next) {
    if (const auto* delta = std::get_if<runtime::Delta>(&event)) {
      text_ += delta->text;
    } else if (const auto* finished = std::get_if<runtime::Finished>(&event)) {
      next.response = Response{.body = dump(completion(*finished))};
      next.done = true;
    } else if (const auto* error = std::get_if<Error>(&event)) {
      next.response = error_response(generator_error(*error));
      next.done = true;
    }
  }

  void stream(const GenerateEvent& event, Next& next) {
    if (const auto* error = std::get_if<Error>(&event)) {
      if (!begun_) {
        next.response = error_response(generator_error(*error));
      } else {
        next.text += sse_event("", error_json(generator_error(*error)));
      }
      next.done = true;
      return;
    }
    if (!std::exchange(begun_, true)) {
      next.text += chunk({{"role", "assistant"}, {"content", ""}}, nullptr);
    }
    if (const auto* delta = std::get_if<runtime::Delta>(&event)) {
      if (!delta->text.empty()) next.text += chunk({{"content", delta->text}}, nullptr);
    } else if (const auto* finished = std::get_if<runtime::Finished>(&event)) {
      next.text += chunk(OrderedJson::object(), reason_name(finished->reason));
      if (request_.include_usage) next.text += usage_chunk(finished->usage);
      next.text += sse_event("", "[DONE]");
      next.done = true;
    }
  }

  OrderedJson head(const char* object) const {
    return {{"id", id_},
            {"object", object},
            {"created", created_},
            {"model", request_.model},
            {"system_fingerprint", "hearth-" + options_.version}};
  }

  OrderedJson completion(const runtime::Finished& finished) const {
    const OrderedJson message = {{"role", "assistant"}, {"content", text_}, {"refusal", nullptr}};
    OrderedJson body = head("chat.completion");
    body["choices"] = {{{"index", 0},
                        {"message", message},
                        {"logprobs", nullptr},
                        {"finish_reason", reason_name(finished.reason)}}};
    body["usage"] = usage_json(finished.usage);
    return body;
  }

  std::string chunk(const OrderedJson& delta, const OrderedJson& finish_reason) const {
    OrderedJson body = head("chat.completion.chunk");
    body["choices"] = {
        {{"index", 0}, {"delta", delta}, {"logprobs", nullptr}, {"finish_reason", finish_reason}}};
    if (request_.include_usage) body["usage"] = nullptr;
    return sse_event("", dump(body));
  }

  std::string usage_chunk(const runtime::Usage& usage) const {
    OrderedJson body = head("chat.completion.chunk");
    body["choices"] = OrderedJson::array();
    body["usage"] = usage_json(usage);
    return sse_event("", dump(body));
  }

  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  const std::shared_ptr<runtime::Generator> generator_;
  ChatRequest request_;
  const ChatSourceOptions options_;
  const std::string id_;
  const std::time_t created_;
  bool begun_ = false;                               // the stream has
  std::string text_;                                 // of a completion that is no stream
  std::unique_ptr<runtime::Generation> generation_;  // last: destroyed while all else is there
};

}  // namespace

std::unique_ptr<Source> make_chat_source(std::shared_ptr<runtime::Generator> generator,
                                         ChatRequest request, const ChatSourceOptions& options) {
  return std::make_unique<ChatSource>(std::move(generator), std::move(request), options);
}

}  // namespace hearth::serve
