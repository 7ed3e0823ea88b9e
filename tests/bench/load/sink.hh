// The least server that can answer RangeOne: it shows what the generator itself can do.
#pragma once
#include "workloads.hh"

class Sink {
 public:
  Sink(int port, size_t value) : values_(value), listener_(listen_on(port)) {
    static const hpack::Constant ok(":status", "200"), type("content-type", "application/grpc");
    static const hpack::Constant done("grpc-status", "0");
    hpack::Encoder plain;
    plain.limit(0);
    plain.put(head_, ok);
    plain.put(head_, type);
    plain.put(tail_, done);
  }

  void run() {
    const int epoll = epoll_create1(0);
    add(epoll, listener_);
    std::string buffer(1 << 20, '\0');
    for (epoll_event events[256];;) {
      const int n = epoll_wait(epoll, events, 256, -1);
      for (int i = 0; i < n; i++) {
        const int fd = events[i].data.fd;
        if (fd == listener_) greet(epoll, accept(listener_, nullptr, nullptr));
        else if (!serve(fd, peers_[fd], buffer)) drop(fd);
      }
    }
  }

 private:
  struct Peer {
    std::string rest;
    bool preface = true;
  };

  static int listen_on(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(uint16_t(port));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, reinterpret_cast<sockaddr *>(&at), sizeof at) || listen(fd, 1024))
      throw std::runtime_error(std::string("listen: ") + strerror(errno));
    return fd;
  }

  static void add(int epoll, int fd) {
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.fd = fd;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
  }

  void greet(int epoll, int fd) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    peers_[fd] = Peer();
    add(epoll, fd);
    out_.clear();
    http2::put_frame(out_, 6, http2::SETTINGS, 0, 0);
    out_.append("\0\1\0\0\0\0", 6);  // HEADER_TABLE_SIZE 0
    http2::put_frame(out_, 4, http2::WINDOW, 0, 0);
    http2::put32(out_, 1 << 30);
    push(fd);
  }

  void drop(int fd) {
    peers_.erase(fd);
    close(fd);
  }

  // Replies are small and the client reads: a short write here would be a fault of the test.
  bool push(int fd) { return out_.empty() || send(fd, out_.data(), out_.size(), MSG_NOSIGNAL) > 0; }

  bool serve(int fd, Peer &peer, std::string &buffer) {
    memcpy(buffer.data(), peer.rest.data(), peer.rest.size());
    const ssize_t got = recv(fd, buffer.data() + peer.rest.size(), 512 << 10, 0);
    if (got <= 0) return false;
    const std::string_view p(buffer.data(), peer.rest.size() + size_t(got));
    size_t at = 0;
    if (peer.preface && p.size() >= 24) {
      peer.preface = false;
      at = 24;
    }
    out_.clear();
    while (!peer.preface && p.size() - at >= 9) {
      const size_t size = http2::get32(p.data() + at) >> 8;
      if (p.size() - at - 9 < size) break;
      if (p[at + 3] == http2::DATA && size > 5)
        answer(http2::get32(p.data() + at + 5), p.substr(at + 14, size - 5));
      at += 9 + size;
    }
    peer.rest.assign(p.substr(at));
    return push(fd);
  }

  void answer(uint32_t stream, std::string_view request) {
    message::Fields f(request);
    f.next();
    const std::string_view key = f.bytes;
    kv_.clear();
    message::put_bytes(kv_, 1, key);
    message::put_number(kv_, 2, 2);
    message::put_number(kv_, 3, 2);
    message::put_number(kv_, 4, 1);
    message::put_bytes(kv_, 5, values_.next(Population::number(key), 0));
    reply_.assign("\x0a\x02\x18\x02", 4);  // header{revision: 2}
    message::put_bytes(reply_, 2, kv_);
    message::put_number(reply_, 4, 1);
    http2::put_frame(out_, head_.size(), http2::HEADERS, http2::END_HEADERS, stream);
    out_.append(head_);
    http2::put_frame(out_, reply_.size() + 5, http2::DATA, 0, stream);
    out_.push_back('\0');
    http2::put32(out_, uint32_t(reply_.size()));
    out_.append(reply_);
    http2::put_frame(out_, tail_.size(), http2::HEADERS, http2::END_HEADERS | http2::END_STREAM,
                     stream);
    out_.append(tail_);
  }

  Values values_;
  int listener_;
  std::string head_, tail_, out_, kv_, reply_;
  std::unordered_map<int, Peer> peers_;
};
