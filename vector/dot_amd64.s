#include "textflag.h"

DATA ones<>+0(SB)/8, $0x0001000100010001
GLOBL ones<>(SB), RODATA|NOPTR, $8

// One step of a row: 32 unsigned codes at (row) times the 32 signed codes in
// Y8, added to acc as eight 32-bit sums. VPMADDUBSW adds pairs of products in
// 16 bits, which cannot saturate: 2 * 126 * 63 < 1<<15.
#define STEP(row, acc, tmp) \
	VMOVDQU row, tmp;            \
	VPMADDUBSW Y8, tmp, tmp;     \
	VPMADDWD Y9, tmp, tmp;       \
	VPADDD tmp, acc, acc

// How far ahead of the rows to ask for memory. The four rows of a round lie one
// after the other, so a step of 32 codes in each uses up two cache lines. The
// processor alone does not look beyond a page; asked for, a matrix that exceeds
// the caches comes twice as fast. What lies beyond its end is not touched.
#define AHEAD 4096

// func dotAVX2(q *int8, rows *uint64, stride, count int, out *int32)
//
// Four rows at a time share the loads of the query and the horizontal sums;
// the last one to three rows go one at a time.
TEXT ·dotAVX2(SB), NOSPLIT, $0-40
	MOVQ q+0(FP), SI
	MOVQ rows+8(FP), DI
	MOVQ stride+16(FP), DX
	MOVQ count+24(FP), R8
	MOVQ out+32(FP), R9
	VPBROADCASTQ ones<>(SB), Y9

	SUBQ $4, R8
	JLT  tail

four:
	LEAQ (DI)(DX*1), R10
	LEAQ (R10)(DX*1), R11
	LEAQ (R11)(DX*1), R12
	XORQ CX, CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3

fourstep:
	PREFETCHT0 AHEAD(DI)(CX*4)
	PREFETCHT0 (AHEAD+64)(DI)(CX*4)
	VMOVDQU (SI)(CX*1), Y8
	STEP((DI)(CX*1), Y0, Y4)
	STEP((R10)(CX*1), Y1, Y5)
	STEP((R11)(CX*1), Y2, Y6)
	STEP((R12)(CX*1), Y3, Y7)
	ADDQ $32, CX
	CMPQ CX, DX
	JLT  fourstep

	VPHADDD Y1, Y0, Y0
	VPHADDD Y3, Y2, Y2
	VPHADDD Y2, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD X1, X0, X0
	VMOVDQU X0, (R9)
	ADDQ $16, R9
	LEAQ (R12)(DX*1), DI
	SUBQ $4, R8
	JGE  four

tail:
	ADDQ $4, R8
	JZ   done

one:
	XORQ CX, CX
	VPXOR Y0, Y0, Y0

onestep:
	VMOVDQU (SI)(CX*1), Y8
	STEP((DI)(CX*1), Y0, Y4)
	ADDQ $32, CX
	CMPQ CX, DX
	JLT  onestep

	VEXTRACTI128 $1, Y0, X1
	VPADDD X1, X0, X0
	VPHADDD X0, X0, X0
	VPHADDD X0, X0, X0
	VMOVD X0, (R9)
	ADDQ $4, R9
	ADDQ DX, DI
	DECQ R8
	JNZ  one

done:
	VZEROUPPER
	RET
