;; adrift: an agent that does not give the same twice. Built with wat2wasm.
;;
;; when: gives the time. ask: asks the memory for a limit that the time tells.
(module
  (import "engram" "now_ms" (func $now_ms (result i64)))
  (import "engram" "call" (func $call (param i32 i32 i32 i32) (result i32)))
  (import "engram" "output" (func $output (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "engram_search")
  (data (i32.const 32) "{\"limit\":1000000000000000000}")

  (func $write_time
    (local $n i64) (local $at i32)
    (local.set $n (call $now_ms))
    (loop $same (br_if $same (i64.eq (local.get $n) (call $now_ms)))) ;; so that two calls never see one time
    (local.set $n (call $now_ms))
    (local.set $at (i32.const 59))
    (loop $digit
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10)))))
      (local.set $n (i64.div_u (local.get $n) (i64.const 10)))
      (br_if $digit (i32.ge_u (local.tee $at (i32.sub (local.get $at) (i32.const 1))) (i32.const 42)))))

  (func (export "tool_when") (result i32)
    (call $write_time)
    (call $output (i32.const 32) (i32.const 29))
    (i32.const 0))

  (func (export "tool_ask") (result i32)
    (call $write_time)
    (drop (call $call (i32.const 0) (i32.const 13) (i32.const 32) (i32.const 29)))
    (call $output (i32.const 32) (i32.const 1))
    (i32.const 1))
)
