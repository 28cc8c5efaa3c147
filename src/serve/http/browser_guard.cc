#include "serve/http/browser_guard.h"

#include <algorithm>
#include <array>

namespace hearth::serve {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

// "http://Host:80" to "host:80"; the port stays, as it is part of an origin.
std::string without_scheme(std::string_view origin) {
  const size_t scheme = origin.find("://");
  return lower(scheme == std::string_view::npos ? origin : origin.substr(scheme + 3));
}

// The host of "host:port" or "[address]:port".
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool is_ip_address(std::string_view host) {
  if (host.starts_with('[')) return host.ends_with(']');
  return !host.empty() && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

// Only browsers send these on their own, and pages cannot take them away. Node's fetch sends other
// Sec-Fetch headers.
bool is_from_browser(const Request& request) {
  return !request.header("origin").empty() || !request.header("sec-fetch-site").empty() ||
         request.header("user-agent").starts_with("Mozilla/");
}

// Names that nobody outside the local network can have resolved: RFC 6762, RFC 8375, ICANN's
// .internal, and custom.
bool is_local_name(std::string_view host) {
  static constexpr std::array<std::string_view, 6> kSuffixes = {".localhost", ".local",    ".lan",
                                                                ".home.arpa", ".internal", ".home"};
  if (host.find('.') == std::string_view::npos) return !host.empty();
  return std::any_of(kSuffixes.begin(), kSuffixes.end(),
                     [host](std::string_view suffix) { return host.ends_with(suffix); });
}

}  // namespace

BrowserGuard::BrowserGuard(std::vector<std::string> names) {
  for (const std::string& name : names) {
    if (!name.empty()) names_.push_back(lower(name));
  }
}

bool BrowserGuard::knows(std::string_view host) const {
  if (host.ends_with('.')) host.remove_suffix(1);
  return is_ip_address(host) || is_local_name(host) ||
         std::find(names_.begin(), names_.end(), host) != names_.end();
}

std::optional<std::string> BrowserGuard::refusal(const Request& request) const {
  if (!is_from_browser(request)) return std::nullopt;
  const std::string host = lower(request.header("host"));
  if (!knows(without_port(host))) {
    return "this device does not answer browsers as '" + host +
           "'; use its address or a name of the local network";
  }
  const std::string_view origin = request.header("origin");
  const bool harmless = request.path == "/health" && request.method == "GET";
  if (!origin.empty() && !harmless && without_scheme(origin) != host) {
    return "a page of " + std::string(origin) + " may not use this device";
  }
  return std::nullopt;
}

}  // namespace hearth::serve
