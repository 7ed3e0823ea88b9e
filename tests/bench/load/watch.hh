// Watch load: many streams on one prefix and one writer; and streams that only wait.
#pragma once
#include <sys/timerfd.h>

#include <deque>
#include <iostream>

#include "workloads.hh"

struct WatchPlan {
  Address to;
  uint32_t connections = 10, streams = 100, window = 4 << 20, ahead = 16;
  double warmup_s = 0.5, seconds = 5, rate = 0;  // rate 0: as fast as every watcher is served
  size_t value = 512;
  std::vector<int> server_pids;
  bool prev_kv = false;
};

// Nobody else writes, so revisions are dense: every watcher must see each of them once, in order.
// A put counts as delivered when all watchers have it.
class FanOut : public http2::Receiver {
 public:
  FanOut(const WatchPlan &plan, Pool &pool, const std::string &prefix)
      : plan_(plan), pool_(pool), writer_(&pool.add(plan.to, *this)), values_(plan.value),
        keys_{prefix, 1000} {
    for (uint32_t c = 0; c < plan.connections; c++) pool.add(plan.to, *this);
  }

  Line run() {
    watchers_.resize(plan_.streams);
    for (uint32_t i = 0; i < plan_.streams; i++) {
      auto &link = pool_.at(pool_.size() - plan_.connections + i % plan_.connections);
      auto &s = link.open(path::watch, i, {}, true);
      link.send(s, message::watch_request(keys_.prefix, keys_.end(), 0, plan_.prev_kv), false);
    }
    wait_for([&] { return created_ == plan_.streams; }, "watches created");
    const int timer = plan_.rate > 0 ? start_timer() : -1;
    const uint64_t warm = clock_ns() + uint64_t(plan_.warmup_s * 1e9);
    const uint64_t end = warm + uint64_t(plan_.seconds * 1e9);
    for (uint64_t now = clock_ns(); now < end; now = clock_ns()) {
      if (!measuring_ && now >= warm) {
        measuring_ = true;
        window_.open(plan_.server_pids);
      }
      write(now);
      pool_.turn(plan_.rate > 0 ? 100 : 1);
      if (timer >= 0) drain(timer);
    }
    window_.close(plan_.server_pids);
    measuring_ = false;
    const uint64_t patience = clock_ns() + 20000000000u;
    while ((delivered_ < written_ || acked_ < written_) && clock_ns() < patience) pool_.turn(100);
    if (timer >= 0) close(timer);
    return report();
  }

  void message(http2::Connection &, http2::Stream &s, std::string_view m) override {
    if (s.lane != kWriter) return batch(watchers_[s.lane], m);
    answered_ = true;
  }

  void ended(http2::Connection &, http2::Stream &s, int status, const std::string &why) override {
    if (s.lane == kWriter && status == 0 && answered_) {
      acked_++;
      return;
    }
    fail((s.lane == kWriter ? "put: " : "a watch ended: ") + why);
    throw std::runtime_error(first_failure_);
  }

 private:
  static constexpr uint32_t kWriter = UINT32_MAX;
  struct Watcher {
    uint64_t seen = 0, revision = 0;
  };

  void batch(Watcher &watcher, std::string_view m) {
    const uint64_t now = clock_ns();
    uint64_t head = 0;
    for (message::Fields f(m); f.next();) {
      if (f.field == 1) head = message::revision(f.bytes);
      if (f.field == 3 && f.number) {
        created_++;
        watcher.revision = head;
      }
      if (f.field == 4 && f.number) fail("a watch was canceled");
      if (f.field == 11) event(watcher, f.bytes, now);
    }
  }

  void event(Watcher &watcher, std::string_view e, uint64_t now) {
    uint64_t type = 0;
    message::KeyValue kv;
    bool previous = false;
    for (message::Fields f(e); f.next();) {
      if (f.field == 1) type = f.number;
      if (f.field == 2) kv = message::key_value(f.bytes);
      if (f.field == 3) previous = true;
    }
    if (type || kv.value.size() != plan_.value) return fail("event: not our put");
    if (kv.mod != watcher.revision + 1) return fail("event: lost, repeated or out of order");
    if (plan_.prev_kv && previous != (kv.version > 1)) return fail("event: prev_kv");
    watcher.revision = kv.mod;
    const uint64_t nth = watcher.seen++;
    if (measuring_) latencies_.add(now - Values::word(kv.value, 0));
    if (--left_[nth - delivered_]) return;
    while (!left_.empty() && !left_.front()) {
      left_.pop_front();
      delivered_++;
    }
  }

  // Saturating: at most `ahead` puts that some watcher lacks. Paced: by the clock, whatever happens.
  void write(uint64_t now) {
    if (plan_.rate <= 0) {
      while (written_ - std::min(delivered_, acked_) < plan_.ahead) put(clock_ns());
      return;
    }
    if (!started_) started_ = now;
    while (started_ + uint64_t(double(written_) * 1e9 / plan_.rate) <= now)
      put(started_ + uint64_t(double(written_) * 1e9 / plan_.rate));
  }

  void put(uint64_t at) {
    message::put_request(request_, keys_.key(uint32_t(scattered(keys_.count))),
                         values_.next(written_, at));
    writer_->send(writer_->open(path::put, kWriter, {}, false), request_, true);
    left_.push_back(plan_.streams);
    written_++;
  }

  int start_timer() {
    const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    itimerspec every{};
    every.it_interval.tv_nsec = every.it_value.tv_nsec =
        std::min(long(1e9 / plan_.rate), 999999999L);
    timerfd_settime(fd, 0, &every, nullptr);
    pool_.watch(fd);
    return fd;
  }

  static void drain(int timer) {
    uint64_t ticks;
    while (read(timer, &ticks, sizeof ticks) > 0) {
    }
  }

  template <typename Done>
  void wait_for(Done done, const char *what) {
    const uint64_t until = clock_ns() + 30000000000u;
    while (!done()) {
      pool_.turn(100);
      if (clock_ns() > until) throw std::runtime_error(std::string("waited in vain: ") + what);
    }
  }

  void fail(const std::string &why) {
    if (!failed_++) first_failure_ = why;
  }

  Line report() {
    Line line;
    const double n = double(latencies_.count());
    line.put("events", latencies_.count()).put("rps", n / window_.seconds());
    window_.put(line, n).latency(latencies_);
    line.put("puts", written_).put("lost", (written_ - delivered_) * plan_.streams);
    return line.put("errors", failed_).put("first_error", first_failure_);
  }

  const WatchPlan &plan_;
  Pool &pool_;
  http2::Connection *writer_;
  Values values_;
  Population keys_;
  std::vector<Watcher> watchers_;
  std::deque<uint32_t> left_;  // watchers that lack put number delivered_ + i
  Histogram latencies_;
  Window window_;
  std::string request_, first_failure_;
  uint64_t written_ = 0, acked_ = 0, delivered_ = 0, created_ = 0, failed_ = 0, started_ = 0;
  bool measuring_ = false, answered_ = false;
};

// Open streams and hold them, so that the server's memory can be read between the steps: after each
// printed line the reader sends one line back.
class Idle : public http2::Receiver {
 public:
  void run(const Address &to, uint32_t connections, uint32_t streams) {
    Pool pool(65535);
    for (uint32_t c = 0; c < connections; c++) {
      pool.add(to, *this);
      open(pool, c, c);  // one stream each: a connection in use, not a bare socket
    }
    step(pool, "connected", connections);
    for (uint32_t i = connections; i < streams; i++) open(pool, i, i % connections);
    step(pool, "open", streams);
  }

  void message(http2::Connection &, http2::Stream &, std::string_view m) override {
    for (message::Fields f(m); f.next();)
      if (f.field == 3 && f.number) created_++;
  }
  void ended(http2::Connection &, http2::Stream &, int status, const std::string &why) override {
    throw std::runtime_error("an idle watch ended: " + std::to_string(status) + " " + why);
  }

 private:
  void open(Pool &pool, uint32_t number, uint32_t connection) {
    auto &link = pool.at(connection);
    auto &s = link.open(path::watch, number, {}, true);
    const Population own{"/registry/idle-" + std::to_string(number) + "/", 0};
    link.send(s, message::watch_request(own.prefix, own.end(), 0, true), false);
  }

  void step(Pool &pool, const char *name, uint32_t expected) {
    const uint64_t until = clock_ns() + 60000000000u;
    while (created_ < expected) {
      pool.turn(100);
      if (clock_ns() > until) throw std::runtime_error("watches were not created");
    }
    for (int i = 0; i < 10; i++) pool.turn(20);
    Line().put("step", std::string(name)).put("streams", uint64_t(expected)).print();
    std::string answer;
    std::getline(std::cin, answer);
  }

  uint32_t created_ = 0;
};
