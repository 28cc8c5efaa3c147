// The listening half of joining: the one implementation of Rendezvous.
#pragma once

#include <string>
#include <utility>

#include "fabric/group.h"
#include "fabric/rendezvous/socket.h"

namespace hearth::fabric {

class Listener final : public Rendezvous {
 public:
  Listener(Socket socket, std::string host)
      : socket_(std::move(socket)), host_(std::move(host)), port_(local_port(socket_)) {}

  int port() const override { return port_; }
  const Socket& socket() const { return socket_; }
  // As given to Rendezvous::listen.
  const std::string& host() const { return host_; }

 private:
  Socket socket_;
  std::string host_;
  int port_;
};

}  // namespace hearth::fabric
