#include "serve/assets.h"

#include "serve/api/errors.h"

namespace hearth::serve {
namespace {

// Everything comes from this device and nothing else; no page may frame it.
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

Answer asset_response(const Asset& asset, const Request& request) {
  Response response{.content_type = std::string(asset.content_type)};
  response.headers = {
      {"Cache-Control", asset.hashed ? "public, max-age=31536000, immutable" : "no-cache"},
      {"ETag", std::string(asset.etag)},
      {"Vary", "Accept-Encoding"}};
  if (asset.content_type.starts_with("text/html")) {
    response.headers.emplace_back("Content-Security-Policy", kContentSecurityPolicy);
  }
  if (request.header("if-none-match").find(asset.etag) != std::string_view::npos) {
    response.status = 304;
    return response;
  }
  const bool gzip = !asset.gzip.empty() &&
                    request.header("accept-encoding").find("gzip") != std::string_view::npos;
  const std::span<const uint8_t> bytes = gzip ? asset.gzip : asset.bytes;
  response.body.assign(bytes.begin(), bytes.end());
  if (gzip) response.headers.emplace_back("Content-Encoding", "gzip");
  return response;
}

}  // namespace

void add_asset_routes(Router& router, std::span<const Asset> assets) {
  for (const Asset& asset : assets) {
    const Handler handler = [&asset](const Request& request, const std::string&) {
      return asset_response(asset, request);
    };
    router.add("GET", asset.path, handler);
    if (asset.path == "/index.html") router.add("GET", "/", handler);
  }
}

}  // namespace hearth::serve
