;; guard: the smallest hook. It refuses calls whose arguments hold the word that
;; its config names, and has nothing to say of others.
(module
  (import "engram" "input_len" (func $input_len (result i32)))
  (import "engram" "input_read" (func $input_read (param $to i32) (param $room i32) (result i32)))
  (import "engram" "config" (func $config (param $key i32) (param $key_len i32) (result i32)))
  (import "engram" "result_read" (func $result_read (param $to i32) (param $room i32) (result i32)))
  (import "engram" "output" (func $output (param $at i32) (param $len i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "word")
  (data (i32.const 16) "{\22refuse\22:\22it holds a word that is not to be remembered\22}")

  ;; The word lies at 128, in its quotes, the input at 1024.
  (func (export "tool_check") (result i32)
    (local $word i32) (local $len i32) (local $at i32) (local $i i32)
    (if (i32.le_s (call $config (i32.const 0) (i32.const 4)) (i32.const 2))
      (then (return (i32.const 0))))
    (local.set $word (i32.sub (call $result_read (i32.const 128) (i32.const 896)) (i32.const 2)))
    (local.set $len (call $input_len))
    (drop (memory.grow (i32.shr_u (i32.add (local.get $len) (i32.const 1024)) (i32.const 16))))
    (drop (call $input_read (i32.const 1024) (local.get $len)))
    (block $none
      (loop $next
        (br_if $none (i32.gt_s (i32.add (local.get $at) (local.get $word)) (local.get $len)))
        (local.set $i (i32.const 0))
        (block $differs
          (loop $same
            (br_if $differs (i32.ne
              (i32.load8_u offset=129 (local.get $i))
              (i32.load8_u offset=1024 (i32.add (local.get $at) (local.get $i)))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $same (i32.lt_s (local.get $i) (local.get $word))))
          (call $output (i32.const 16) (i32.const 57))
          (return (i32.const 0)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.const 0))
)
