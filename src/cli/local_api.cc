#include "cli/local_api.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/units.h"

namespace hearth::cli {
namespace {

constexpr size_t kAnswerBytesMax = 64_MiB;

size_t append(const char* data, size_t size, size_t count, void* to) {
  auto& body = *static_cast<std::string*>(to);
  if (body.size() + size * count > kAnswerBytesMax) return 0;
  body.append(data, size * count);
  return size * count;
}

}  // namespace

Result<std::string> get_from_daemon(int port, const std::string& path) {
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  if (curl == nullptr) return Error(Code::kInternal, "cannot set up libcurl");
  std::string body;
  const std::string url = fmt::format("http://127.0.0.1:{}{}", port, path);
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT_MS, 2'000L);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, 10'000L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
  const CURLcode code = curl_easy_perform(curl.get());
  if (code == CURLE_COULDNT_CONNECT) {
    return Error(Code::kUnavailable,
                 fmt::format("no device answers on port {}; start one with 'hearth', or name its "
                             "port with --port",
                             port));
  }
  if (code != CURLE_OK) {
    return Error(Code::kUnavailable, fmt::format("{}: {}", url, curl_easy_strerror(code)));
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) {
    const auto json = nlohmann::json::parse(body, nullptr, false);
    const auto message = nlohmann::json::json_pointer("/error/message");
    if (json.is_object() && json.contains(message) && json.at(message).is_string()) {
      return Error(Code::kInvalidArgument, json.at(message).get<std::string>());
    }
    return Error(Code::kUnavailable,
                 fmt::format("{} answered {}; is this a Hearth device?", url, status));
  }
  return body;
}

}  // namespace hearth::cli
