#include "cpu/pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace reelmend::cpu {
namespace {

int default_threads() {
  if (const char* text = std::getenv("REELMEND_THREADS")) {
    const int n = std::atoi(text);
    if (n > 0) return std::min(n, 256);
  }
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

class Pool {
 public:
  explicit Pool(int workers) {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this, i] { work(i); });
  }

  ~Pool() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : threads_) t.join();
  }

  // Part 0 runs on the caller, part i + 1 on worker i.
  void run(int count, int parts, const std::function<void(int, int)>& body) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      body_ = &body;
      count_ = count;
      parts_ = parts;
      left_ = parts - 1;
      ++round_;
    }
    wake_.notify_all();
    slice(0);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return left_ == 0; });
    body_ = nullptr;
  }

  int size() const { return static_cast<int>(threads_.size()); }

 private:
  void slice(int part) const {
    const auto at = [this](int p) { return static_cast<int>(static_cast<long long>(count_) * p / parts_); };
    (*body_)(at(part), at(part + 1));
  }

  void work(int index) {
    unsigned seen = 0;
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return stop_ || round_ != seen; });
        if (stop_) return;
        seen = round_;
        if (index + 1 >= parts_) continue;
      }
      slice(index + 1);
      const std::lock_guard<std::mutex> lock(mutex_);
      if (--left_ == 0) done_.notify_one();
    }
  }

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int, int)>* body_ = nullptr;
  int count_ = 0, parts_ = 0, left_ = 0;
  unsigned round_ = 0;
  bool stop_ = false;
};

// Leaked on purpose: joining threads from a static destructor at interpreter exit can hang. After a fork the child
// has none of the threads, so it drops the pointer (and whatever lock was held) and starts its own.
struct State {
  std::mutex busy;
  Pool* pool = nullptr;
  int wanted = 0;
};

State* state = new State;

State& current() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] {
    const int wanted = state->wanted;
    state = new State;
    state->wanted = wanted;
  });
  (void)registered;
  return *state;
}

}  // namespace

int threads() {
  State& s = current();
  return s.wanted > 0 ? s.wanted : default_threads();
}

void set_threads(int count) {
  State& s = current();
  const std::lock_guard<std::mutex> lock(s.busy);
  s.wanted = std::min(count, 256);
  delete s.pool;
  s.pool = nullptr;
}

void parallel(int count, int grain, const std::function<void(int, int)>& body) {
  if (count <= 0) return;
  State& s = current();
  std::unique_lock<std::mutex> lock(s.busy, std::try_to_lock);
  if (!lock.owns_lock() || count < 2 * grain) return body(0, count);
  if (!s.pool) s.pool = new Pool(threads() - 1);
  const int parts = std::min(s.pool->size() + 1, count / std::max(grain, 1));
  if (parts < 2) return body(0, count);
  s.pool->run(count, parts, body);
}

}  // namespace reelmend::cpu
