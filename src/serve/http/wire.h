// Answers as the bytes of HTTP/1.1: https://www.rfc-editor.org/rfc/rfc9112.
#pragma once

#include <string>
#include <string_view>

#include "serve/http/message.h"

namespace hearth::serve {

// How an answer is sent.
struct Framing {
  bool keep_alive = true;  // the connection stays open
  bool body = true;        // false for HEAD
  bool chunked = true;     // of a stream; false for HTTP/1.0, whose streams end with the connection
};

// Header and body of a whole answer.
std::string response_bytes(const Response& response, const Framing& framing);
// Header of an event stream.
std::string stream_head(const Framing& framing);
// A piece of an event stream, or its end if `text` is empty.
std::string stream_piece(std::string_view text, const Framing& framing);

}  // namespace hearth::serve
