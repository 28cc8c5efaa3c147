// The dashboard's files, built into the program.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "serve/http/router.h"

namespace hearth::serve {

struct Asset {
  std::string_view path;  // "/assets/index-4fd3a1.js"
  std::string_view content_type;
  std::string_view etag;  // quoted; changes with the content
  std::span<const uint8_t> bytes;
  std::span<const uint8_t> gzip;  // empty where it would not be smaller
  bool hashed = false;            // the name changes with the content
};

// Every file of dashboard/dist, as they were when the program was built.
std::span<const Asset> dashboard_assets();

// Serves `assets` at their paths, and "/index.html" at "/". Files whose names change with their
// content are kept by browsers for ever, others are asked for again each time. HTML comes with a
// strict Content-Security-Policy. `assets` must outlive the router.
void add_asset_routes(Router& router, std::span<const Asset> assets);

}  // namespace hearth::serve
