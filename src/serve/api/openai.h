// OpenAI's API: /v1/models and /v1/chat/completions.
#pragma once

#include "serve/api/chat_source.h"
#include "serve/http/router.h"

namespace hearth::serve {

class Backend;

// `backend` must outlive the router.
void add_openai_routes(Router& router, Backend& backend, const ChatSourceOptions& options);

}  // namespace hearth::serve
