// Paths to handlers.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/http/message.h"

namespace hearth::serve {

// `argument`: what the pattern's "*" stands for, not empty. Called on any of the server's threads.
using Handler = std::function<Answer(const Request& request, const std::string& argument)>;

// Thread-safe once routes are added.
class Router {
 public:
  // `pattern`: a path, or one that ends in "/*", which takes the rest of the path, slashes
  // included.
  void add(std::string_view method, std::string_view pattern, Handler handler);

  // The handler's answer; 404 for an unknown path, 405 for a known one with another method. HEAD
  // asks as GET, and OPTIONS is answered with the methods there are.
  Answer route(const Request& request) const;

 private:
  struct Route {
    std::string method;
    std::string pattern;
    Handler handler;
  };
  std::vector<Route> routes_;
};

}  // namespace hearth::serve
