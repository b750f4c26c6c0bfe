/* What wasi-libc asks of its system, without one: memory and a clock. */
#include <errno.h>
#include <stdint.h>
#include <unistd.h>
#include <wasi/api.h>

enum { PAGE = 64 << 10 };
extern char __heap_base;

/* The end of the heap lies in memory itself, so that to put memory back also
 * takes the heap back. Everything above it is untouched. */
static char *end_of_heap = &__heap_base;

void *sbrk(intptr_t n) {
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

__attribute__((export_name("memory_used"))) int32_t memory_used(void) { return (int32_t)end_of_heap; }

__attribute__((import_module("wasi_snapshot_preview1"), import_name("clock_time_get")))
int32_t imported_clock_time_get(int32_t id, int64_t precision, int64_t *time);

__wasi_errno_t __wasi_clock_time_get(__wasi_clockid_t id, __wasi_timestamp_t precision, __wasi_timestamp_t *time) {
  return imported_clock_time_get(id, precision, (int64_t *)time);
}

/* QuickJS prints only when it is debugged. */
__wasi_errno_t __wasi_fd_close(__wasi_fd_t fd) { return (void)fd, __WASI_ERRNO_BADF; }

__wasi_errno_t __wasi_fd_fdstat_get(__wasi_fd_t fd, __wasi_fdstat_t *stat) { return (void)fd, (void)stat, __WASI_ERRNO_BADF; }

__wasi_errno_t __wasi_fd_seek(__wasi_fd_t fd, __wasi_filedelta_t by, __wasi_whence_t from, __wasi_filesize_t *at) {
  return (void)fd, (void)by, (void)from, (void)at, __WASI_ERRNO_BADF;
}

__wasi_errno_t __wasi_fd_write(__wasi_fd_t fd, const __wasi_ciovec_t *parts, size_t n, __wasi_size_t *written) {
  return (void)fd, (void)parts, (void)n, (void)written, __WASI_ERRNO_BADF;
}
