// Closed-loop load: every lane asks, waits for its answer, checks it and asks again.
#pragma once
#include "workloads.hh"

struct Plan {
  Address to;
  uint32_t connections = 1, streams = 1, window = 4 << 20;
  double warmup_s = 0.5, seconds = 5, compact_ms = 0;
  std::vector<int> server_pids;
  bool deadlines = true, to_the_end = false;
};

class ClosedLoop : public http2::Receiver {
 public:
  ClosedLoop(const Plan &plan, Pool &pool, Caller &caller, Workload &work)
      : plan_(plan), pool_(pool), caller_(caller), work_(work) {
    for (uint32_t c = 0; c < plan.connections; c++) {
      auto &link = pool.add(plan.to, *this);
      if (link.streams_max() < plan.streams)
        throw std::runtime_error("the server allows " + std::to_string(link.streams_max()) +
                                 " streams on a connection");
      for (uint32_t s = 0; s < plan.streams; s++) lanes_.emplace_back().link = &link;
    }
  }

  Line run() {
    const uint64_t begin = clock_ns();
    if (plan_.to_the_end) open_window();
    // Lane by lane across the connections, so that none begins with all of its own.
    for (uint32_t s = 0; s < plan_.streams; s++)
      for (uint32_t c = 0; c < plan_.connections; c++) ask(c * plan_.streams + s, nullptr);
    const uint64_t warm = begin + uint64_t(plan_.warmup_s * 1e9);
    const uint64_t end = warm + uint64_t(plan_.seconds * 1e9);
    while (plan_.to_the_end ? waiting_ > 0 : clock_ns() < end) {
      pool_.turn(plan_.to_the_end ? 100 : 1);
      const uint64_t now = clock_ns();
      if (!measuring_ && now >= warm) open_window();
      compact(now);
      if (failed_ > 10000) throw std::runtime_error("10000 failed requests: " + first_failure_);
    }
    window_.close(plan_.server_pids);
    measuring_ = false;
    stopping_ = true;
    const uint64_t patience = clock_ns() + 20000000000u;
    while (waiting_ > 0 && !work_.streaming() && clock_ns() < patience) pool_.turn(100);
    return report();
  }

  void message(http2::Connection &, http2::Stream &s, std::string_view m) override {
    Lane &lane = lanes_[s.lane];
    lane.wrong = s.messages > 1 && !work_.streaming() ? "more than one answer" : work_.check(lane, m);
    lane.answered = true;
    if (work_.streaming()) done(s.lane, &s);
  }

  void ended(http2::Connection &, http2::Stream &s, int status, const std::string &why) override {
    Lane &lane = lanes_[s.lane];
    if (status == 0 && !work_.streaming()) return done(s.lane, nullptr);
    if (work_.forgive(lane, status, why)) {
      expired_++;
      waiting_--;
      return ask(s.lane, nullptr);
    }
    fail("grpc-status " + std::to_string(status) + ": " + why);
    waiting_--;
    if (!stopping_) ask(s.lane, nullptr);
  }

 private:
  void open_window() {
    measuring_ = true;
    bytes_before_ = pool_.bytes_in();
    items_before_ = work_.items;
    window_.open(plan_.server_pids);
  }

  void ask(uint32_t number, http2::Stream *on) {
    Lane &lane = lanes_[number];
    if (stopping_ || !work_.request(lane, number, request_)) return;
    lane.answered = false;
    lane.wrong = nullptr;
    lane.began = clock_ns();
    waiting_++;
    auto &link = *lane.link;
    if (!on) on = &link.open(work_.method(), number, deadline(lane.began), false);
    link.send(*on, request_, !work_.streaming());
  }

  void done(uint32_t number, http2::Stream *on) {
    Lane &lane = lanes_[number];
    waiting_--;
    if (!lane.answered) fail("ended without an answer");
    else if (lane.wrong) fail(lane.wrong);
    else if (measuring_) latencies_.add(clock_ns() - lane.began);
    ask(number, on);
  }

  void fail(const std::string &why) {
    if (!failed_++) first_failure_ = why;
  }

  // What is left of the apiserver's 34 s, in grpc-go's notation: it differs on every request.
  std::string_view deadline(uint64_t now) {
    if (!plan_.deadlines || work_.streaming()) return {};
    const int n = snprintf(deadline_, sizeof deadline_, "33%06uu", unsigned(now / 1000 % 1000000));
    return {deadline_, size_t(n)};
  }

  // Compact to where the head was one period ago, as the apiserver does.
  void compact(uint64_t now) {
    if (plan_.compact_ms <= 0 || caller_.busy() || now < next_compaction_) return;
    if (compactions_ && caller_.status()) fail("compact: " + caller_.why());
    next_compaction_ = now + uint64_t(plan_.compact_ms * 1e6);
    if (compact_to_ > compacted_) {
      std::string request;
      message::put_number(request, 1, compact_to_);
      caller_.start(path::compact, request);
      compacted_ = compact_to_;
      compactions_++;
    }
    compact_to_ = work_.head;
  }

  Line report() {
    Line line;
    const double n = double(latencies_.count());
    line.put("requests", latencies_.count()).put("rps", n / window_.seconds());
    window_.put(line, n).latency(latencies_);
    line.put("errors", failed_).put("first_error", first_failure_).put("unanswered", waiting());
    line.put("items", work_.items - items_before_).put("expired_lists", expired_);
    line.put("conflicts", work_.conflicts).put("compactions", compactions_);
    return line.put("bytes_in", pool_.bytes_in() - bytes_before_);
  }
  uint64_t waiting() const { return work_.streaming() ? 0 : uint64_t(waiting_); }

  const Plan &plan_;
  Pool &pool_;
  Caller &caller_;
  Workload &work_;
  std::vector<Lane> lanes_;
  Histogram latencies_;
  Window window_;
  std::string request_, first_failure_;
  char deadline_[16];
  int64_t waiting_ = 0;
  uint64_t failed_ = 0, expired_ = 0, compactions_ = 0, bytes_before_ = 0, items_before_ = 0;
  uint64_t next_compaction_ = 0, compact_to_ = 0, compacted_ = 0;
  bool measuring_ = false, stopping_ = false;
};
