// A C guest: sorting, hashing, a matrix in floating point, an interpreter
// loop and recursion, as clang -O2 compiles them with bulk memory and SIMD.
typedef unsigned u32;
typedef unsigned long long u64;
#define EXPORT(n) __attribute__((export_name(#n)))

static u32 seed;
static u32 next(void) { return seed = seed * 1664525u + 1013904223u; }

static u32 table[4096];

static void quicksort(u32 *a, int lo, int hi) {
  while (lo < hi) {
    u32 pivot = a[(lo + hi) / 2];
    int i = lo, j = hi;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i <= j) {
        u32 t = a[i];
        a[i++] = a[j];
        a[j--] = t;
      }
    }
    if (j - lo < hi - i) {
      quicksort(a, lo, j);
      lo = i;
    } else {
      quicksort(a, i, hi);
      hi = j;
    }
  }
}

EXPORT(sort) u32 sort(u32 n) {
  if (n > 4096) n = 4096;
  seed = n;
  for (u32 i = 0; i < n; i++) table[i] = next();
  quicksort(table, 0, (int)n - 1);
  u32 sum = 0;
  for (u32 i = 0; i < n; i++) sum = sum * 31 + table[i];
  return sum;
}

EXPORT(hash) u32 hash(u32 n) {
  u32 h = 2166136261u;
  for (u32 k = 0; k < n; k++) {
    const char *s = "the quick brown fox jumps over the lazy dog";
    for (; *s; s++) h = (h ^ (u32)*s) * 16777619u;
  }
  return h;
}

static float a[32][32], b[32][32], c[32][32];

EXPORT(matrix) u32 matrix(u32 n) {
  for (int i = 0; i < 32; i++)
    for (int j = 0; j < 32; j++) a[i][j] = (float)(i + j), b[i][j] = (float)(i - j);
  while (n--) {
    for (int i = 0; i < 32; i++)
      for (int j = 0; j < 32; j++) {
        float s = 0;
        for (int k = 0; k < 32; k++) s += a[i][k] * b[k][j];
        c[i][j] = s;
      }
    __builtin_memcpy(a, c, sizeof a);
    for (int i = 0; i < 32; i++)
      for (int j = 0; j < 32; j++) a[i][j] = a[i][j] * 0.0001f + 1;
  }
  return (u32)(int)(c[3][5] * 100);
}

// A stack machine that runs a loop of its own.
EXPORT(machine) u32 machine(u32 n) {
  static const unsigned char prog[] = {0, 1, 2, 3, 4, 1, 5, 2, 6, 7};
  u32 stack[16], sp = 0, acc = 1, pc = 0;
  while (n) {
    switch (prog[pc++]) {
    case 0: stack[sp++ & 15] = acc; break;
    case 1: acc += n; break;
    case 2: acc ^= acc << 7; break;
    case 3: acc = acc * 3 + 1; break;
    case 4: stack[sp++ & 15] = acc >> 3; break;
    case 5: acc += stack[--sp & 15]; break;
    case 6: acc -= stack[--sp & 15]; break;
    case 7: pc = 0; n--; break;
    }
  }
  return acc;
}

typedef u32 (*op)(u32);
static u32 inc(u32 x) { return x + 1; }
static u32 twice(u32 x) { return x * 2; }
static u32 flip(u32 x) { return ~x; }
static op ops[] = {inc, twice, flip};

static u32 ackermann(u32 m, u32 n) {
  if (m == 0) return n + 1;
  if (n == 0) return ackermann(m - 1, 1);
  return ackermann(m - 1, ackermann(m, n - 1));
}

EXPORT(recurse) u32 recurse(u32 n) {
  u32 x = ackermann(2, n);
  for (u32 i = 0; i < n; i++) x = ops[i % 3](x);
  return x;
}

EXPORT(move) u32 move(u32 n) {
  char *p = (char *)table;
  for (u32 i = 0; i < n; i++) {
    __builtin_memset(p + 64, (int)i, 3000);
    __builtin_memmove(p, p + (i & 63), 8000);
  }
  return table[17];
}
