// Connections under one epoll, and a call that waits for its answer (for set-up, not for load).
#pragma once
#include <sys/epoll.h>

#include <map>
#include <memory>
#include <sstream>

#include "http2.hh"
#include "measure.hh"

// `--name value` pairs after the mode.
class Options {
 public:
  Options(int argc, char **argv) {
    for (int i = 2; i < argc; i++) {
      const std::string name = argv[i];
      if (name.rfind("--", 0) || i + 1 == argc)
        throw std::runtime_error("expected --name value, not " + name);
      given_[name.substr(2)] = argv[++i];
    }
  }
  std::string text(const std::string &name, const std::string &otherwise) {
    const auto found = given_.find(name);
    used_[name] = true;
    return found == given_.end() ? otherwise : found->second;
  }
  double number(const std::string &name, double otherwise) {
    const auto s = text(name, "");
    return s.empty() ? otherwise : std::stod(s);
  }
  // `--pid 12,34`
  std::vector<int> numbers(const std::string &name) {
    std::vector<int> found;
    std::istringstream parts(text(name, ""));
    for (std::string one; std::getline(parts, one, ',');) found.push_back(std::stoi(one));
    return found;
  }
  void refuse_unknown() const {
    for (auto &[name, value] : given_)
      if (!used_.count(name)) throw std::runtime_error("no such option in this mode: --" + name);
  }
  Address address() {
    Address a;
    a.ca = text("ca", "");
    a.port = text("port", "2379");
    a.host = text("host", a.ca.empty() ? "127.0.0.1" : "localhost");
    return a;
  }

 private:
  std::map<std::string, std::string> given_;
  std::map<std::string, bool> used_;
};

class Pool {
 public:
  explicit Pool(uint32_t window) : window_(window), epoll_(epoll_create1(0)) {}
  ~Pool() { close(epoll_); }

  // Connect and wait for the server's SETTINGS.
  http2::Connection &add(const Address &to, http2::Receiver &receiver) {
    all_.push_back(std::make_unique<http2::Connection>(to, receiver, window_));
    auto &c = *all_.back();
    c.index = int(all_.size()) - 1;
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.ptr = &c;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd(), &e);
    flush(c);
    const uint64_t until = clock_ns() + 10000000000u;
    while (!c.ready()) {
      turn(100);
      if (clock_ns() > until) throw std::runtime_error("no SETTINGS from the server");
    }
    return c;
  }

  void watch(int fd) {  // a timer: only wakes `turn`
    epoll_event e{};
    e.events = EPOLLIN;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e);
  }

  http2::Connection &at(size_t i) { return *all_[i]; }
  size_t size() const { return all_.size(); }
  uint64_t bytes_in() const {
    uint64_t n = 0;
    for (auto &c : all_) n += c->bytes_in;
    return n;
  }

  void turn(int wait_ms) {
    flush_all();
    epoll_event events[256];
    const int n = epoll_wait(epoll_, events, 256, wait_ms);
    for (int i = 0; i < n; i++) {
      auto *c = static_cast<http2::Connection *>(events[i].data.ptr);
      if (!c) continue;
      if (events[i].events & EPOLLOUT) flush(*c);
      if (events[i].events & ~uint32_t(EPOLLOUT)) c->receive();
    }
    flush_all();
  }

  void flush_all() {
    for (auto &c : all_)
      if (c->dirty) flush(*c);
  }

 private:
  void flush(http2::Connection &c) {
    c.dirty = false;
    const bool wait = !c.flush();
    if (wait == c.wants_write) return;
    c.wants_write = wait;
    epoll_event e{};
    e.events = wait ? EPOLLIN | EPOLLOUT : EPOLLIN;
    e.data.ptr = &c;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, c.fd(), &e);
  }

  uint32_t window_;
  int epoll_;
  std::vector<std::unique_ptr<http2::Connection>> all_;
};

namespace path {
inline const hpack::Constant range{":path", "/etcdserverpb.KV/Range"};
inline const hpack::Constant put{":path", "/etcdserverpb.KV/Put"};
inline const hpack::Constant erase{":path", "/etcdserverpb.KV/DeleteRange"};
inline const hpack::Constant txn{":path", "/etcdserverpb.KV/Txn"};
inline const hpack::Constant compact{":path", "/etcdserverpb.KV/Compact"};
inline const hpack::Constant watch{":path", "/etcdserverpb.Watch/Watch"};
inline const hpack::Constant grant{":path", "/etcdserverpb.Lease/LeaseGrant"};
inline const hpack::Constant keepalive{":path", "/etcdserverpb.Lease/LeaseKeepAlive"};
}  // namespace path

// One unary call at a time, on a connection of its own.
class Caller : public http2::Receiver {
 public:
  Caller(Pool &pool, const Address &to) : pool_(pool), link_(pool.add(to, *this)) {}

  std::string call(const hpack::Constant &method, std::string_view request) {
    start(method, request);
    while (busy_) pool_.turn(100);
    if (status_) throw std::runtime_error("grpc-status " + std::to_string(status_) + ": " + why_);
    return reply_;
  }

  // As `call`, but without waiting: look at `busy` and `status` later.
  void start(const hpack::Constant &method, std::string_view request) {
    busy_ = true;
    link_.send(link_.open(method, 0, {}, false), request, true);
  }
  bool busy() const { return busy_; }
  int status() const { return status_; }
  const std::string &why() const { return why_; }

  void message(http2::Connection &, http2::Stream &, std::string_view m) override { reply_ = m; }
  void ended(http2::Connection &, http2::Stream &, int status, const std::string &why) override {
    busy_ = false;
    status_ = status;
    why_ = why;
  }

 private:
  Pool &pool_;
  http2::Connection &link_;
  bool busy_ = false;
  int status_ = 0;
  std::string reply_, why_;
};
