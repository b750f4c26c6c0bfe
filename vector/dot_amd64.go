package vector

import "golang.org/x/sys/cpu"

// fastest returns the best kernel for this machine.
func fastest() kernel {
	if cpu.X86.HasAVX2 {
		return dotAssembly
	}
	return dotGo
}

// dotAssembly is the kernel for machines with AVX2.
func dotAssembly(q *query, rows []uint64, out []int32) {
	if len(out) == 0 {
		return
	}
	n := len(q.codes)
	rows = rows[:n/8*len(out)] // the assembly does not check bounds
	dotAVX2(&q.codes[0], &rows[0], n, len(out), &out[0])
}

//go:noescape
func dotAVX2(q *int8, rows *uint64, stride, count int, out *int32)
