// Clocks, latencies and the one JSON line that a run prints.
#pragma once
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

inline uint64_t clock_ns(clockid_t clock = CLOCK_MONOTONIC) {
  timespec t{};
  clock_gettime(clock, &t);
  return uint64_t(t.tv_sec) * 1000000000u + uint64_t(t.tv_nsec);
}

// CPU time of all threads of other processes since they began; one that is gone counts 0.
inline uint64_t process_cpu_ns(const std::vector<int> &pids) {
  uint64_t sum = 0;
  for (int pid : pids) {
    clockid_t clock;
    if (pid > 0 && !clock_getcpuclockid(pid, &clock)) sum += clock_ns(clock);
  }
  return sum;
}

// CPU time of everything on this machine since it began; steal counts, it was taken from us.
inline uint64_t machine_cpu_ns() {
  FILE *file = fopen("/proc/stat", "r");
  if (!file) return 0;
  unsigned long t[8] = {0};  // user nice system idle iowait irq softirq steal
  const int got = fscanf(file, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", t, t + 1, t + 2, t + 3, t + 4,
                         t + 5, t + 6, t + 7);
  fclose(file);
  if (got < 8) return 0;
  return (t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) * (1000000000u / uint64_t(sysconf(_SC_CLK_TCK)));
}

// Latencies in buckets 1.6 % wide: 64 to each power of two.
class Histogram {
 public:
  Histogram() : counts_(64 * 64) {}

  void add(uint64_t ns, uint64_t times = 1) {
    counts_[bucket(ns)] += times;
    count_ += times;
    sum_ += double(ns) * double(times);
    most_ = std::max(most_, ns);
  }

  uint64_t count() const { return count_; }
  double max_us() const { return double(most_) / 1e3; }
  double mean_us() const { return count_ ? sum_ / double(count_) / 1e3 : 0; }

  double at_us(double share) const {
    uint64_t left = uint64_t(std::ceil(share * double(count_)));
    for (size_t i = 0; i < counts_.size(); i++) {
      if (counts_[i] >= left && left) return middle(i) / 1e3;
      left -= std::min(left, counts_[i]);
    }
    return 0;
  }

 private:
  static size_t bucket(uint64_t n) {
    if (n < 64) return n;
    const int power = 63 - __builtin_clzll(n);
    return size_t(power - 5) * 64 + ((n >> (power - 6)) & 63);
  }
  static double middle(size_t i) {
    if (i < 64) return double(i);
    const int power = int(i / 64) + 5;
    return std::ldexp(64.5 + double(i % 64), power - 6);
  }

  std::vector<uint64_t> counts_;
  uint64_t count_ = 0, most_ = 0;
  double sum_ = 0;
};

// A flat JSON object, printed on one line.
class Line {
 public:
  Line &put(const char *name, double value) {
    char text[64];
    snprintf(text, sizeof text, "%.6g", value);
    return raw(name, text);
  }
  Line &put(const char *name, uint64_t value) { return raw(name, std::to_string(value)); }
  Line &put(const char *name, const std::string &value) {
    std::string quoted = "\"";
    for (char c : value) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += uint8_t(c) < 32 ? ' ' : c;
    }
    return raw(name, quoted + "\"");
  }
  Line &latency(const Histogram &h) {
    return put("p50_us", h.at_us(.5)).put("p90_us", h.at_us(.9)).put("p99_us", h.at_us(.99))
        .put("p999_us", h.at_us(.999)).put("max_us", h.max_us()).put("mean_us", h.mean_us());
  }
  void print() const {
    printf("{%s}\n", text_.c_str());
    fflush(stdout);
  }

 private:
  Line &raw(const char *name, const std::string &value) {
    text_ += (text_.empty() ? "\"" : ", \"") + std::string(name) + "\": " + value;
    return *this;
  }
  std::string text_;
};

// The measured window: from `open` to `close`, on the wall and on the CPUs of the servers and its own.
struct Window {
  uint64_t from = 0, to = 0, server_from = 0, server_to = 0, own_from = 0, own_to = 0;
  uint64_t all_from = 0, all_to = 0;

  void open(const std::vector<int> &pids) {
    from = clock_ns();
    server_from = process_cpu_ns(pids);
    own_from = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    all_from = machine_cpu_ns();
  }
  void close(const std::vector<int> &pids) {
    to = clock_ns();
    server_to = process_cpu_ns(pids);
    own_to = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    all_to = machine_cpu_ns();
  }
  double seconds() const { return double(to - from) / 1e9; }
  Line &put(Line &line, double operations) const {
    const double per = operations > 0 ? operations : 1;
    const double server = double(server_to - server_from), own = double(own_to - own_from);
    const double foreign = double(all_to - all_from) - server - own;
    return line.put("seconds", seconds())
        .put("server_cpu_us", server / 1e3 / per)
        .put("server_cores", server / 1e9 / seconds())
        .put("client_cpu_us", own / 1e3 / per)
        .put("client_cores", own / 1e9 / seconds())
        .put("foreign_cores", std::max(0.0, foreign / 1e9 / seconds()));
  }
};
