;; Small programs that together use every kind of control flow and of
;; instruction that the rewriter treats apart. Each export takes n and returns
;; a checksum.
(module
  (type $unary (func (param i32) (result i32)))
  (memory (export "memory") 2 4)
  (table $fns 8 16 funcref)
  (elem (i32.const 0) func $double $square $negate)
  (elem $passive funcref (ref.func $square) (ref.func $double) (ref.null func))
  (data (i32.const 16) "metering")
  (data $late "late data segment")
  (global $seed (mut i32) (i32.const 12345))
  (global $wide (mut i64) (i64.const -7))
  (global $real (mut f64) (f64.const 0.5))
  (global $fixed i32 (i32.const 31))

  (func $double (type $unary) (i32.shl (local.get 0) (i32.const 1)))
  (func $square (type $unary) (i32.mul (local.get 0) (local.get 0)))
  (func $negate (type $unary) (i32.sub (i32.const 0) (local.get 0)))

  (func (export "hot") (param $n i32) (result i32) (local $a i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $n)))
        (local.set $a (i32.add (i32.mul (local.get $a) (global.get $fixed)) (local.get $n)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $next)))
    (local.get $a))

  (func $fib (export "fib") (param $n i32) (result i32)
    (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else (i32.add (call $fib (i32.sub (local.get $n) (i32.const 1)))
                     (call $fib (i32.sub (local.get $n) (i32.const 2)))))))

  ;; sieve of Eratosthenes up to n (at most 60,000), number of primes
  (func (export "sieve") (param $n i32) (result i32) (local $i i32) (local $j i32) (local $count i32)
    (memory.fill (i32.const 1024) (i32.const 1) (local.get $n))
    (local.set $i (i32.const 2))
    (loop $outer
      (if (i32.lt_u (local.get $i) (local.get $n)) (then
        (if (i32.load8_u offset=1024 (local.get $i)) (then
          (local.set $count (i32.add (local.get $count) (i32.const 1)))
          (local.set $j (i32.mul (local.get $i) (local.get $i)))
          (block $stop
            (loop $inner
              (br_if $stop (i32.ge_u (local.get $j) (local.get $n)))
              (i32.store8 offset=1024 (local.get $j) (i32.const 0))
              (local.set $j (i32.add (local.get $j) (local.get $i)))
              (br $inner)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $outer))))
    (local.get $count))

  ;; a small machine: br_table in a loop
  (func (export "switch") (param $n i32) (result i32) (local $a i32) (local $op i32)
    (local.set $a (i32.const 1))
    (block $halt
      (loop $step
        (br_if $halt (i32.eqz (local.get $n)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (local.set $op (i32.rem_u (i32.add (local.get $a) (local.get $n)) (i32.const 5)))
        (block $default
          (block $xor
            (block $mul
              (block $add
                (br_table $add $mul $xor $default (local.get $op)))
              (local.set $a (i32.add (local.get $a) (local.get $n)))
              (br $step))
            (local.set $a (i32.mul (local.get $a) (i32.const 17)))
            (br $step))
          (local.set $a (i32.xor (local.get $a) (i32.const 0x5bd1e995)))
          (br $step))
        (local.set $a (i32.rotl (local.get $a) (i32.const 3)))
        (br $step)))
    (local.get $a))

  (func (export "indirect") (param $n i32) (result i32) (local $a i32)
    (local.set $a (i32.const 3))
    (loop $next
      (local.set $a (i32.add (local.get $a)
        (call_indirect (type $unary) (local.get $a) (i32.rem_u (local.get $n) (i32.const 3)))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $a))

  ;; Collatz steps, deep nesting of if and early returns
  (func $collatz (export "collatz") (param $n i32) (result i32) (local $steps i32) (local $x i64)
    (local.set $x (i64.extend_i32_u (local.get $n)))
    (loop $next
      (if (i64.le_u (local.get $x) (i64.const 1)) (then (return (local.get $steps))))
      (if (i64.eqz (i64.and (local.get $x) (i64.const 1)))
        (then (local.set $x (i64.shr_u (local.get $x) (i64.const 1))))
        (else
          (if (i64.gt_u (local.get $x) (i64.const 0x5555555555555554)) (then (unreachable)))
          (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 3)) (i64.const 1)))))
      (local.set $steps (i32.add (local.get $steps) (i32.const 1)))
      (br $next))
    (unreachable))

  (func (export "float") (param $n i32) (result i32) (local $x f64)
    (local.set $x (global.get $real))
    (loop $next
      (local.set $x (f64.sqrt (f64.add (f64.div (f64.const 1) (f64.add (local.get $x) (f64.const 1))) (f64.const 2))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (global.set $real (local.get $x))
    (i32.trunc_sat_f64_s (f64.mul (local.get $x) (f64.const 1e6))))

  (func (export "globals") (param $n i32) (result i32)
    (loop $next
      (global.set $seed (i32.add (i32.mul (global.get $seed) (i32.const 1103515245)) (i32.const 12345)))
      (global.set $wide (i64.xor (global.get $wide) (i64.extend_i32_s (global.get $seed))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.wrap_i64 (global.get $wide)))

  ;; bulk memory: the whole page copied and filled, with lengths both known and computed
  (func (export "bulk") (param $n i32) (result i32)
    (memory.init $late (i32.const 0) (i32.const 0) (i32.const 17))
    (loop $next
      (memory.copy (i32.const 256) (i32.const 0) (i32.const 200))
      (memory.fill (i32.const 512) (local.get $n) (i32.const 32))
      (memory.copy (i32.const 4096) (i32.const 0) (i32.and (i32.mul (local.get $n) (i32.const 37)) (i32.const 0x3fff)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.add (i32.load (i32.const 256)) (i32.load (i32.const 4600))))

  (func (export "tables") (param $n i32) (result i32) (local $a i32)
    (table.init $fns $passive (i32.const 3) (i32.const 0) (i32.const 3))
    (loop $next
      (table.copy $fns $fns (i32.const 6) (i32.const 3) (i32.const 2))
      (table.set $fns (i32.const 5) (table.get $fns (i32.rem_u (local.get $n) (i32.const 3))))
      (local.set $a (i32.add (local.get $a) (call_indirect (type $unary) (local.get $n) (i32.const 5))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (drop (table.grow $fns (ref.func $square) (i32.const 2)))
    (table.fill $fns (i32.const 0) (ref.func $double) (i32.const 2))
    (i32.add (local.get $a) (table.size $fns)))

  (func $pair (param i32) (result i32 i64)
    (local.get 0) (i64.extend_i32_s (i32.mul (local.get 0) (i32.const -3))))
  (func (export "multi") (param $n i32) (result i32) (local $a i64)
    (loop $next
      (local.get $n)
      (block $values (param i32) (result i32 i64)
        (call $pair)
        (br_if $values (i32.and (local.get $n) (i32.const 1)))
        (i64.add (i64.const 5)))
      (local.set $a (i64.add (local.get $a)))
      (local.set $a (i64.add (i64.extend_i32_s) (local.get $a)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.wrap_i64 (local.get $a)))

  (func (export "simd") (param $n i32) (result i32) (local $v v128) (local $w v128)
    (local.set $v (v128.const i32x4 1 2 3 4))
    (loop $next
      (local.set $w (i8x16.shuffle 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0 (local.get $v) (local.get $w)))
      (local.set $v (i32x4.add (i32x4.mul (local.get $v) (local.get $w)) (i32x4.splat (local.get $n))))
      (v128.store offset=64 (i32.const 0) (local.get $v))
      (local.set $v (v128.load8_lane offset=64 3 (i32.const 5) (local.get $v)))
      (local.set $v (i16x8.add_sat_s (local.get $v) (i64x2.extend_high_i32x4_u (local.get $w))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.xor (i32x4.extract_lane 0 (local.get $v)) (i32x4.extract_lane 3 (local.get $v))))

  ;; mutual tail calls: n deep without a stack
  (func $even (param $n i32) (param $a i32) (result i32)
    (if (i32.eqz (local.get $n)) (then (return (local.get $a))))
    (return_call $odd (i32.sub (local.get $n) (i32.const 1)) (i32.add (local.get $a) (i32.const 3))))
  (func $odd (param $n i32) (param $a i32) (result i32)
    (if (i32.eqz (local.get $n)) (then (return (local.get $a))))
    (return_call $even (i32.sub (local.get $n) (i32.const 1)) (i32.xor (local.get $a) (i32.const 21))))
  (func (export "tail") (param $n i32) (result i32) (call $even (local.get $n) (i32.const 1)))

  (func (export "grow") (param $n i32) (result i32)
    (drop (memory.grow (i32.const 1)))
    (memory.size))

  (func (export "trap") (param $n i32) (result i32)
    (i32.div_u (i32.const 1) (i32.sub (local.get $n) (local.get $n))))
)
