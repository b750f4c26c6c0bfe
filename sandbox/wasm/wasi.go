package wasm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"math"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// wasi_snapshot_preview1 for programs that have nothing but stdin, stdout and
// stderr. Files, sockets, arguments and the environment are not there; time
// does not pass by itself; nothing blocks.

// Error numbers of WASI.
const (
	errnoSuccess = 0
	errnoBadf    = 8
	errnoInval   = 28
	errnoNosys   = 52
	errnoSpipe   = 70
)

const (
	wasiStdin  = 0
	wasiStdout = 1
	wasiStderr = 2

	maxVectors = 1024 // of one fd_read or fd_write
	maxEvents  = 1024 // of one poll_oneoff
	costEvent  = 50   // fuel for each
)

// wasiFunc is a function that returns an error number.
func wasiFunc(name string, params []api.ValueType, run func(j *job, s []uint64) uint64) hostFunc {
	return hostFunc{name, params, types(i32), costEnter, func(_ context.Context, j *job, s []uint64) { s[0] = run(j, s) }}
}

// always is a function that does nothing but return an error number.
func always(errno uint64, name string, params ...api.ValueType) hostFunc {
	return wasiFunc(name, params, func(*job, []uint64) uint64 { return errno })
}

// ofFD is a function of which the first parameter is a file descriptor: one
// of the three that exist gives errno, another EBADF.
func ofFD(errno uint64, name string, params ...api.ValueType) hostFunc {
	return wasiFunc(name, params, func(_ *job, s []uint64) uint64 {
		if uint32(s[0]) > wasiStderr {
			return errnoBadf
		}
		return errno
	})
}

func wasiABI() []hostFunc {
	return []hostFunc{
		wasiFunc("args_sizes_get", types(i32, i32), twoZeros),
		always(errnoSuccess, "args_get", i32, i32),
		wasiFunc("environ_sizes_get", types(i32, i32), twoZeros),
		always(errnoSuccess, "environ_get", i32, i32),
		wasiFunc("clock_res_get", types(i32, i32), func(j *job, s []uint64) uint64 {
			return j.put64(uint32(s[1]), uint64(time.Microsecond))
		}),
		wasiFunc("clock_time_get", types(i32, i64, i32), clockTime),
		wasiFunc("fd_read", types(i32, i32, i32, i32), fdRead),
		wasiFunc("fd_write", types(i32, i32, i32, i32), fdWrite),
		wasiFunc("fd_fdstat_get", types(i32, i32), fdStat),
		wasiFunc("fd_filestat_get", types(i32, i32), fileStat),
		wasiFunc("poll_oneoff", types(i32, i32, i32, i32), pollOneoff),
		wasiFunc("random_get", types(i32, i32), randomGet),
		{"proc_exit", types(i32), nil, costEnter, func(_ context.Context, j *job, s []uint64) {
			j.exit = int64(uint32(s[0]))
			panic(errExit) // wazero recovers it
		}},
		always(errnoSuccess, "sched_yield"),
		always(errnoNosys, "proc_raise", i32),
		ofFD(errnoSuccess, "fd_close", i32),
		ofFD(errnoSuccess, "fd_fdstat_set_flags", i32, i32),
		ofFD(errnoSpipe, "fd_seek", i32, i64, i32, i32),
		ofFD(errnoSpipe, "fd_tell", i32, i32),
		ofFD(errnoInval, "fd_advise", i32, i64, i64, i32),
		ofFD(errnoInval, "fd_allocate", i32, i64, i64),
		ofFD(errnoInval, "fd_datasync", i32),
		ofFD(errnoInval, "fd_sync", i32),
		ofFD(errnoInval, "fd_fdstat_set_rights", i32, i64, i64),
		ofFD(errnoInval, "fd_filestat_set_size", i32, i64),
		ofFD(errnoInval, "fd_filestat_set_times", i32, i64, i64, i32),
		ofFD(errnoInval, "fd_pread", i32, i32, i32, i64, i32),
		ofFD(errnoInval, "fd_pwrite", i32, i32, i32, i64, i32),
		ofFD(errnoInval, "fd_readdir", i32, i32, i32, i64, i32),
		ofFD(errnoInval, "fd_renumber", i32, i32),
		always(errnoBadf, "fd_prestat_get", i32, i32),
		always(errnoBadf, "fd_prestat_dir_name", i32, i32, i32),
		always(errnoBadf, "path_create_directory", i32, i32, i32),
		always(errnoBadf, "path_filestat_get", i32, i32, i32, i32, i32),
		always(errnoBadf, "path_filestat_set_times", i32, i32, i32, i32, i64, i64, i32),
		always(errnoBadf, "path_link", i32, i32, i32, i32, i32, i32, i32),
		always(errnoBadf, "path_open", i32, i32, i32, i32, i32, i64, i64, i32, i32),
		always(errnoBadf, "path_readlink", i32, i32, i32, i32, i32, i32),
		always(errnoBadf, "path_remove_directory", i32, i32, i32),
		always(errnoBadf, "path_rename", i32, i32, i32, i32, i32, i32),
		always(errnoBadf, "path_symlink", i32, i32, i32, i32, i32),
		always(errnoBadf, "path_unlink_file", i32, i32, i32),
		always(errnoNosys, "sock_accept", i32, i32, i32),
		always(errnoNosys, "sock_recv", i32, i32, i32, i32, i32, i32),
		always(errnoNosys, "sock_send", i32, i32, i32, i32, i32),
		always(errnoNosys, "sock_shutdown", i32, i32),
	}
}

func (j *job) put32(ptr, v uint32) uint64 {
	binary.LittleEndian.PutUint32(j.view(ptr, 4), v)
	return errnoSuccess
}

func (j *job) put64(ptr uint32, v uint64) uint64 {
	binary.LittleEndian.PutUint64(j.view(ptr, 8), v)
	return errnoSuccess
}

func twoZeros(j *job, s []uint64) uint64 {
	j.put32(uint32(s[0]), 0)
	return j.put32(uint32(s[1]), 0)
}

func clockTime(j *job, s []uint64) uint64 {
	switch passed := j.clock.look(); uint32(s[0]) {
	case 0: // the wall clock
		return j.put64(uint32(s[2]), uint64(j.clock.start.Add(passed).UnixNano()))
	case 1, 2, 3: // monotonic, and the times of process and thread
		return j.put64(uint32(s[2]), uint64(passed))
	}
	return errnoInval
}

// vectors calls do with each of a list of buffers until it returns false.
func (j *job) vectors(ptr, n uint32, do func([]byte) bool) {
	list := j.view(ptr, n*8)
	for ; n > 0; n-- {
		buf := j.view(binary.LittleEndian.Uint32(list), binary.LittleEndian.Uint32(list[4:]))
		list = list[8:]
		if !do(buf) {
			return
		}
	}
}

func fdRead(j *job, s []uint64) uint64 {
	switch {
	case uint32(s[0]) != wasiStdin:
		return errnoBadf
	case uint32(s[2]) > maxVectors:
		return errnoInval
	}
	total := 0
	if j.agent.command {
		j.vectors(uint32(s[1]), uint32(s[2]), func(buf []byte) bool {
			n := copy(buf, j.input[j.read:])
			j.read += n
			total += n
			return n == len(buf)
		})
	}
	return j.put32(uint32(s[3]), uint32(total))
}

func fdWrite(j *job, s []uint64) uint64 {
	fd := uint32(s[0])
	switch {
	case fd != wasiStdout && fd != wasiStderr:
		return errnoBadf
	case uint32(s[2]) > maxVectors:
		return errnoInval
	}
	total := 0
	j.vectors(uint32(s[1]), uint32(s[2]), func(buf []byte) bool {
		total += len(buf)
		if fd == wasiStdout && j.agent.command {
			j.appendOutput(buf)
		} else {
			j.stderr.write(buf, j.printed)
		}
		return true
	})
	return j.put32(uint32(s[3]), uint32(total))
}

// printed logs a line that a program wrote to stderr.
func (j *job) printed(line []byte) {
	j.lastLine = append(j.lastLine[:0], line...)
	j.logLine(slog.LevelInfo, line)
}

// A lineBuffer cuts what is written to it into lines.
type lineBuffer struct{ rest []byte }

func (b *lineBuffer) write(p []byte, line func([]byte)) {
	for {
		head, tail, whole := bytes.Cut(p, []byte("\n"))
		if room := maxLine - len(b.rest); len(head) > room {
			head = head[:room]
		}
		b.rest = append(b.rest, head...)
		if !whole {
			return
		}
		b.flush(line)
		p = tail
	}
}

// flush hands out what is left without an end of line.
func (b *lineBuffer) flush(line func([]byte)) {
	if len(b.rest) > 0 {
		line(b.rest)
		b.rest = b.rest[:0]
	}
}

// fdStat says that the three descriptors are character devices with all
// rights.
func fdStat(j *job, s []uint64) uint64 {
	if uint32(s[0]) > wasiStderr {
		return errnoBadf
	}
	b := j.view(uint32(s[1]), 24)
	clear(b)
	b[0] = 2
	binary.LittleEndian.PutUint64(b[8:], math.MaxUint64)
	return errnoSuccess
}

func fileStat(j *job, s []uint64) uint64 {
	if uint32(s[0]) > wasiStderr {
		return errnoBadf
	}
	b := j.view(uint32(s[1]), 64)
	clear(b)
	b[16] = 2
	return errnoSuccess
}

// randomGet gives real randomness while an action runs. What is drawn while
// an agent is made ready becomes part of its fresh state and is the same for
// every instance, so it comes from a fixed seed and makes that state the same
// on every machine.
func randomGet(j *job, s []uint64) uint64 {
	buf := j.view(uint32(s[0]), uint32(s[1]))
	j.charge(int64(len(buf))) // besides moving it
	if j.seed != nil {
		_, _ = j.seed.Read(buf) // never fails
	} else {
		_, _ = rand.Read(buf) // never fails
	}
	return errnoSuccess
}

// appendOutput adds to what a program wrote to stdout.
func (j *job) appendOutput(b []byte) {
	if limit := j.agent.man.Limits.Output(); int64(len(j.output)+len(b)) > limit {
		j.end(tooMuchOutput(len(j.output)+len(b), limit))
	}
	j.output = append(j.output, b...)
}

// pollOneoff waits for descriptors, which are always ready, or for the
// earliest of some times, to which it moves the clock.
func pollOneoff(j *job, s []uint64) uint64 {
	n := uint32(s[2])
	if n == 0 || n > maxEvents {
		return errnoInval
	}
	j.charge(int64(n) * costEvent)
	in, out := j.view(uint32(s[0]), n*48), j.view(uint32(s[1]), n*32)
	now := j.clock.look()
	earliest := time.Duration(math.MaxInt64)
	ready := false
	for i := range n {
		sub := in[i*48:][:48]
		if sub[8] != 0 {
			ready = true
		} else {
			earliest = min(earliest, j.subscription(sub, now))
		}
	}
	if !ready && earliest > now {
		j.clock.elapsed = earliest
	}
	events := uint32(0)
	for i := range n {
		sub := bytes.Clone(in[i*48:][:48]) // the guest may have both at one place
		if sub[8] == 0 && j.subscription(sub, now) > j.clock.elapsed {
			continue
		}
		event := out[events*32:][:32]
		clear(event)
		copy(event, sub[:8])
		event[10] = sub[8]
		if sub[8] != 0 {
			binary.LittleEndian.PutUint64(event[16:], uint64(max(1, len(j.input)-j.read)))
		}
		events++
	}
	return j.put32(uint32(s[3]), events)
}

// subscription returns when the time of a clock subscription comes.
func (j *job) subscription(sub []byte, now time.Duration) time.Duration {
	at := time.Duration(min(binary.LittleEndian.Uint64(sub[24:]), uint64(maxSleep)))
	if binary.LittleEndian.Uint16(sub[40:])&1 == 0 {
		return now + at
	}
	if sub[16] == 0 { // the wall clock
		at = time.Duration(binary.LittleEndian.Uint64(sub[24:]) - uint64(j.clock.start.UnixNano()))
	}
	return min(max(at, 0), now+maxSleep)
}

// maxSleep keeps sums of times from overflowing.
const maxSleep = 365 * 24 * time.Hour
