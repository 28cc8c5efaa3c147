#include "daemon/convert.h"

#include <utility>

namespace hearth::daemon {
namespace {

proto::Sampling to_proto(const engine::SamplingParams& params) {
  proto::Sampling sampling;
  sampling.set_temperature(params.temperature);
  sampling.set_top_k(params.top_k);
  sampling.set_top_p(params.top_p);
  sampling.set_min_p(params.min_p);
  sampling.set_repetition_penalty(params.repetition_penalty);
  sampling.set_presence_penalty(params.presence_penalty);
  sampling.set_frequency_penalty(params.frequency_penalty);
  sampling.set_seed(params.seed);
  return sampling;
}

engine::SamplingParams from_proto(const proto::Sampling& sampling) {
  return {.temperature = sampling.temperature(),
          .top_k = sampling.top_k(),
          .top_p = sampling.top_p(),
          .min_p = sampling.min_p(),
          .repetition_penalty = sampling.repetition_penalty(),
          .presence_penalty = sampling.presence_penalty(),
          .frequency_penalty = sampling.frequency_penalty(),
          .seed = sampling.seed()};
}

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <class... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

}  // namespace

proto::GenerateRequest to_proto(const runtime::GenerateRequest& request,
                                const InstanceId& instance) {
  proto::GenerateRequest made;
  made.set_request_id(request.id.str());
  made.set_instance_id(instance.str());
  std::visit(
      Overloaded{
          [&](const runtime::ChatPrompt& chat) { made.set_messages_json(chat.messages_json); },
          [&](const runtime::TextPrompt& text) { made.set_text(text.text); },
          [&](const runtime::TokenPrompt& tokens) {
            made.mutable_tokens()->mutable_ids()->Assign(tokens.ids.begin(), tokens.ids.end());
          }},
      request.prompt);
  *made.mutable_sampling() = to_proto(request.sampling);
  made.set_max_tokens(request.max_tokens);
  for (const std::string& stop : request.stop) made.add_stop(stop);
  made.set_ignore_eos(request.ignore_eos);
  return made;
}

Result<runtime::GenerateRequest> from_proto(const proto::GenerateRequest& request) {
  runtime::GenerateRequest made;
  made.id = RequestId(request.request_id());
  switch (request.prompt_case()) {
    case proto::GenerateRequest::kMessagesJson:
      made.prompt = runtime::ChatPrompt{request.messages_json()};
      break;
    case proto::GenerateRequest::kText:
      made.prompt = runtime::TextPrompt{request.text()};
      break;
    case proto::GenerateRequest::kTokens:
      made.prompt =
          runtime::TokenPrompt{{request.tokens().ids().begin(), request.tokens().ids().end()}};
      break;
    case proto::GenerateRequest::PROMPT_NOT_SET:
      return Error(Code::kInvalidArgument, "the request has no prompt");
  }
  if (!request.has_sampling()) {
    return Error(Code::kInvalidArgument, "the request has no sampling parameters");
  }
  made.sampling = from_proto(request.sampling());
  made.max_tokens = request.max_tokens();
  made.stop.assign(request.stop().begin(), request.stop().end());
  made.ignore_eos = request.ignore_eos();
  return made;
}

proto::GenerateEvent to_proto(const runtime::GenerateEvent& event) {
  proto::GenerateEvent made;
  std::visit(Overloaded{[&](const runtime::Started& started) {
                          made.mutable_started()->set_prompt_tokens(started.prompt_tokens);
                        },
                        [&](const runtime::Delta& delta) {
                          made.mutable_delta()->set_text(delta.text);
                          made.mutable_delta()->mutable_ids()->Assign(delta.ids.begin(),
                                                                      delta.ids.end());
                        },
                        [&](const runtime::Finished& finished) {
                          auto* out = made.mutable_finished();
                          out->set_reason(finished.reason == runtime::FinishReason::kStop
                                              ? proto::GenerateEvent::STOP
                                              : proto::GenerateEvent::LENGTH);
                          out->set_prompt_tokens(finished.usage.prompt_tokens);
                          out->set_completion_tokens(finished.usage.completion_tokens);
                          out->set_cached_tokens(finished.usage.cached_tokens);
                        },
                        [&](const Error& error) { *made.mutable_failure() = to_proto(error); }},
             event);
  return made;
}

Result<runtime::GenerateEvent> from_proto(const proto::GenerateEvent& event) {
  switch (event.event_case()) {
    case proto::GenerateEvent::kStarted:
      return runtime::GenerateEvent(
          runtime::Started{.prompt_tokens = event.started().prompt_tokens()});
    case proto::GenerateEvent::kDelta:
      return runtime::GenerateEvent(
          runtime::Delta{.text = event.delta().text(),
                         .ids = {event.delta().ids().begin(), event.delta().ids().end()}});
    case proto::GenerateEvent::kFinished: {
      const auto& finished = event.finished();
      return runtime::GenerateEvent(
          runtime::Finished{.reason = finished.reason() == proto::GenerateEvent::LENGTH
                                          ? runtime::FinishReason::kLength
                                          : runtime::FinishReason::kStop,
                            .usage = {.prompt_tokens = finished.prompt_tokens(),
                                      .completion_tokens = finished.completion_tokens(),
                                      .cached_tokens = finished.cached_tokens()}});
    }
    case proto::GenerateEvent::kFailure:
      return runtime::GenerateEvent(from_proto(event.failure()));
    case proto::GenerateEvent::EVENT_NOT_SET:
      break;
  }
  return Error(Code::kCorrupt, "an event of no known kind");
}

proto::Failure to_proto(const Error& error) {
  proto::Failure failure;
  failure.set_code(static_cast<int32_t>(error.code()));
  failure.set_message(error.message());
  return failure;
}

Error from_proto(const proto::Failure& failure) {
  constexpr auto kLast = static_cast<int32_t>(Code::kInternal);
  const bool known = failure.code() >= 0 && failure.code() <= kLast;
  return Error(known ? static_cast<Code>(failure.code()) : Code::kInternal, failure.message());
}

}  // namespace hearth::daemon
