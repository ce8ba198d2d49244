// A small persistent pool that shares out rows.
#pragma once

#include <functional>

namespace reelmend::cpu {

// Calls body(first, last) over disjoint ranges that cover 0..count, one range a worker, on the pool and this thread.
// `grain` is the least number of items worth a worker. Calls from several threads at once are safe: those that find
// the pool busy run on their own thread.
void parallel(int count, int grain, const std::function<void(int, int)>& body);

int threads();
void set_threads(int count);  // 0: as many as this process may run on

}  // namespace reelmend::cpu
