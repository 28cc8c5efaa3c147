#include "serve/http/wire.h"

#include <fmt/format.h>

#include <ctime>

namespace hearth::serve {
namespace {

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

std::string date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc = {};
  gmtime_r(&now, &utc);
  char text[64];
  return std::string(text, std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &utc));
}

std::string head(int status, const Framing& framing) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nDate: {}\r\nConnection: {}\r\nX-Content-Type-Options: nosniff\r\n"
      "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n",
      status, reason_phrase(status), date(), framing.keep_alive ? "keep-alive" : "close");
}

}  // namespace

std::string response_bytes(const Response& response, const Framing& framing) {
  std::string bytes = head(response.status, framing);
  bool cached = false;
  for (const auto& [name, value] : response.headers) {
    bytes += fmt::format("{}: {}\r\n", name, value);
    cached = cached || name == "Cache-Control";
  }
  if (!cached) bytes += "Cache-Control: no-store\r\n";
  if (response.status != 204 && response.status != 304) {
    bytes += fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", response.content_type,
                         response.body.size());
  }
  bytes += "\r\n";
  if (framing.body) bytes += response.body;
  return bytes;
}

std::string stream_head(const Framing& framing) {
  std::string bytes = head(200, framing);
  bytes += "Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-store\r\n";
  bytes += "X-Accel-Buffering: no\r\n";  // nginx would hold events back
  if (framing.chunked) bytes += "Transfer-Encoding: chunked\r\n";
  return bytes + "\r\n";
}

std::string stream_piece(std::string_view text, const Framing& framing) {
  if (!framing.chunked) return std::string(text);
  return fmt::format("{:x}\r\n{}\r\n", text.size(), text);
}

}  // namespace hearth::serve
