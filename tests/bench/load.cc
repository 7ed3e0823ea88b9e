// The bench's client: gRPC load as kube-apiserver makes it, from one thread that is not the
// bottleneck. Every reply is checked; each run prints one line of JSON.
//
//   c++ -O2 -std=c++17 load.cc -o load -lssl -lcrypto        (without OpenSSL: no -l, no --ca)
//   load MODE --name value ...
//
// MODE   preload | range | put | create | update | list | lease     closed loops
//        watch | idle                                               watch streams
//        clear                                                      delete what `create` made
//        first                                                      until the first answer
//        fdatasync                                                  the disk alone
//        sink                                                       a server that does nothing
#include "load/closed_loop.hh"
#include "load/sink.hh"
#include "load/watch.hh"

namespace {

Population population(Options &o, const char *fallback) {
  return {o.text("prefix", fallback), uint32_t(o.number("keys", 100000))};
}

std::unique_ptr<Workload> workload(const std::string &mode, Options &o, uint32_t lanes,
                                   Caller &caller) {
  const size_t value = size_t(o.number("value", 512));
  if (mode == "create")
    return std::make_unique<TxnCreate>(o.text("prefix", "/registry/events/"), value);
  if (mode == "lease") return std::make_unique<KeepAlive>(lanes, caller);
  const Population keys = population(o, "/registry/pods/");
  if (mode == "range") return std::make_unique<RangeOne>(keys, value);
  if (mode == "put") return std::make_unique<Put>(keys, value, false);
  if (mode == "preload") return std::make_unique<Put>(keys, value, true);
  if (mode == "update") return std::make_unique<TxnUpdate>(keys, value, lanes, caller);
  if (mode == "list") return std::make_unique<List>(keys, value, uint64_t(o.number("limit", 500)));
  throw std::runtime_error("no such mode: " + mode);
}

Line closed_loop(const std::string &mode, Options &o) {
  Plan plan;
  plan.to = o.address();
  plan.to_the_end = mode == "preload";
  plan.connections = uint32_t(o.number("connections", plan.to_the_end ? 4 : 1));
  plan.streams = uint32_t(o.number("streams", plan.to_the_end ? 32 : 1));
  plan.warmup_s = o.number("warmup", 0.5);
  plan.seconds = o.number("seconds", 5);
  plan.compact_ms = o.number("compact-ms", 0);
  plan.server_pids = o.numbers("pid");
  plan.deadlines = o.number("deadlines", 1) > 0;
  plan.window = uint32_t(o.number("window", 4 << 20));
  Pool pool(plan.window);
  Caller caller(pool, plan.to);
  const auto work = workload(mode, o, plan.connections * plan.streams, caller);
  o.refuse_unknown();
  return ClosedLoop(plan, pool, caller, *work).run();
}

Line watch(Options &o) {
  WatchPlan plan;
  plan.to = o.address();
  plan.connections = uint32_t(o.number("connections", 10));
  plan.streams = uint32_t(o.number("streams", 100));
  plan.ahead = uint32_t(o.number("ahead", 16));
  plan.warmup_s = o.number("warmup", 0.5);
  plan.seconds = o.number("seconds", 5);
  plan.rate = o.number("rate", 0);
  plan.value = size_t(o.number("value", 512));
  plan.server_pids = o.numbers("pid");
  plan.prev_kv = o.number("prev-kv", 0) > 0;
  const auto prefix = o.text("prefix", "/registry/watched/");
  o.refuse_unknown();
  Pool pool(plan.window);
  return FanOut(plan, pool, prefix).run();
}

// Ask for one key until it is there; the moment is on the clock Python calls time.monotonic.
Line first(Options &o) {
  const Address to = o.address();
  const Population keys = population(o, "/registry/pods/");
  const double patience = o.number("seconds", 120);
  o.refuse_unknown();
  const std::string key = keys.key(keys.count - 1);
  const uint64_t until = clock_ns() + uint64_t(patience * 1e9);
  std::string why = "never tried";
  for (; clock_ns() < until; usleep(2000)) {
    try {
      Pool pool(65535);
      Caller caller(pool, to);
      message::RangeReply read;
      const auto reply = caller.call(path::range, message::range_request(key, {}, 1));
      message::read_range(reply, read);
      const uint64_t now = clock_ns();
      if (read.kvs.size() != 1 || read.kvs[0].key != key)
        throw std::logic_error("the server answers, but has lost " + key);
      return Line().put("first_ns", now);
    } catch (const std::runtime_error &e) {
      why = e.what();
    }
  }
  throw std::runtime_error("no answer: " + why);
}

// Delete a population namespace by namespace, then compact it away: the next cell begins clean.
Line clear(Options &o) {
  const Address to = o.address();
  const std::string prefix = o.text("prefix", "/registry/events/");
  o.refuse_unknown();
  Pool pool(1 << 20);
  Caller caller(pool, to);
  uint64_t head = 0, deleted = 0;
  for (int ns = 0; ns < 100; ns++) {
    char name[16];
    snprintf(name, sizeof name, "ns-%03d/", ns);
    const Population one{prefix + name, 0};
    std::string request;
    message::put_bytes(request, 1, one.prefix);
    message::put_bytes(request, 2, one.end());
    const auto reply = caller.call(path::erase, request);
    for (message::Fields f(reply); f.next();) {
      if (f.field == 1) head = message::revision(f.bytes);
      if (f.field == 2) deleted += f.number;
    }
  }
  if (deleted) {
    std::string request;
    message::put_number(request, 1, head);
    message::put_number(request, 2, 1);  // physical: answer when the space is free
    caller.call(path::compact, request);
  }
  return Line().put("deleted", deleted).put("revision", head);
}

// One append and one fdatasync at a time, into a file whose blocks exist already.
Line sync_alone(Options &o) {
  const std::string name = o.text("dir", ".") + "/fdatasync.probe";
  const double seconds = o.number("seconds", 2);
  const size_t size = size_t(o.number("value", 512));
  o.refuse_unknown();
  const int fd = open(name.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  const std::string zeros(1 << 20, '\0'), data(size, 'x');
  for (int i = 0; i < 16; i++)
    if (pwrite(fd, zeros.data(), zeros.size(), off_t(i) << 20) < 0)
      throw std::runtime_error(name + ": " + strerror(errno));
  fsync(fd);
  Histogram taken;
  const uint64_t begin = clock_ns(), end = begin + uint64_t(seconds * 1e9);
  for (uint64_t at = 0, from = begin; from < end; at += size) {
    if (pwrite(fd, data.data(), size, off_t(at % (15 << 20))) < 0 || fdatasync(fd))
      throw std::runtime_error(name + ": " + strerror(errno));
    const uint64_t now = clock_ns();
    taken.add(now - from);
    from = now;
  }
  close(fd);
  unlink(name.c_str());
  Line line;
  line.put("syncs", taken.count()).put("rps", double(taken.count()) / (double(clock_ns() - begin) / 1e9));
  return line.latency(taken);
}

int run(int argc, char **argv) {
  if (argc < 2) throw std::runtime_error("which mode? see the head of load.cc");
  const std::string mode = argv[1];
  Options o(argc, argv);
  if (mode == "sink") {
    const int port = int(o.number("port", 2379));
    Sink(port, size_t(o.number("value", 512))).run();
  } else if (mode == "idle") {
    const Address to = o.address();
    const auto connections = uint32_t(o.number("connections", 50));
    Idle().run(to, connections, uint32_t(o.number("streams", 5000)));
  } else {
    (mode == "watch"       ? watch(o)
     : mode == "clear"     ? clear(o)
     : mode == "first"     ? first(o)
     : mode == "fdatasync" ? sync_alone(o)
                           : closed_loop(mode, o))
        .print();
  }
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception &e) {
    Line().put("fatal", std::string(e.what())).print();
    return 1;
  }
}
