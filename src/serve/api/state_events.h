// GET /events: the cluster's state whenever it changes.
#pragma once

#include <chrono>
#include <memory>

#include "serve/http/message.h"

namespace hearth::serve {

class Backend;

// The state at once, and then after changes, at most once each `interval`. `backend` must outlive
// the source.
std::unique_ptr<Source> make_state_events(Backend& backend, std::chrono::milliseconds interval,
                                          std::chrono::milliseconds keep_alive);

}  // namespace hearth::serve
