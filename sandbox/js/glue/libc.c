/* What wasi-libc asks of its system, without one: memory, a clock, and
 * nothing else. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <wasi/api.h>

enum { PAGE = 64 << 10 };
extern char __heap_base;

/* The end of the heap lies in memory itself, so that to put memory back also
 * takes the heap back. */
static char *end_of_heap;

void *sbrk(intptr_t n) {
  if (!end_of_heap) end_of_heap = &__heap_base;
  char *old = end_of_heap;
  uintptr_t want = (uintptr_t)old + n, have = __builtin_wasm_memory_size(0) * PAGE;
  if (n < 0 || want < (uintptr_t)old ||
      (want > have && __builtin_wasm_memory_grow(0, (want - have + PAGE - 1) / PAGE) == SIZE_MAX)) {
    errno = ENOMEM;
    return (void *)-1;
  }
  end_of_heap = (char *)want;
  return old;
}

__attribute__((import_module("wasi_snapshot_preview1"), import_name("clock_time_get")))
int32_t wasi_clock_time_get(int32_t id, int64_t precision, int64_t *time);

int64_t wall_clock(void) {
  int64_t t = 0;
  wasi_clock_time_get(0, 1, &t);
  return t;
}
