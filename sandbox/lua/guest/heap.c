/* Where malloc gets its memory. Wasm has no way to take from it what memory
 * has grown by, so that libc's own sbrk would go by the size of memory; this
 * one goes by a variable, which is put back with the rest of memory. */
#include <errno.h>
#include <unistd.h>

#include "guest.h"

extern char __heap_base; /* where static data ends */

enum { PAGE = 64 << 10 };

static uintptr_t top; /* everything above is untouched */

void *sbrk(intptr_t more) {
  if (!top) top = ((uintptr_t)&__heap_base + 2 * PAGE - 1) & -PAGE; /* malloc begins with what lies below */
  uintptr_t old = top, have = __builtin_wasm_memory_size(0) * PAGE;
  if (more < 0 || (uintptr_t)more > UINTPTR_MAX - old - PAGE) goto none;
  if (old + (uintptr_t)more > have) {
    size_t pages = (old + (uintptr_t)more - have + PAGE - 1) / PAGE;
    if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) goto none;
  }
  top = old + (uintptr_t)more;
  return (void *)old;
none:
  errno = ENOMEM;
  return (void *)-1;
}

EXPORT(memory_used) { return (int32_t)top; }
