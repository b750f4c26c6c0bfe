package tools

import "strings"

// snake turns maxTokens, MaxTokens and max-tokens into max_tokens.
func snake(s string) string {
	if len(s) > 64 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r >= 'A' && r <= 'Z':
			if i > 0 && (s[i-1] < 'A' || s[i-1] > 'Z') && s[i-1] != '_' && s[i-1] != '-' {
				b.WriteByte('_')
			}
			b.WriteRune(r - 'A' + 'a')
		case r == '-' || r == ' ':
			b.WriteByte('_')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// nearest returns the name that s was most likely meant to be, or nothing if
// none is near: a third of the letters may differ, or one contains the other.
// Of equally near ones the first wins.
func nearest(s string, names []string) string {
	if s == "" || len(s) > 64 {
		return ""
	}
	best, bound := "", max(1, len(s)/3)+1
	for _, n := range names {
		if d := distance(s, n); d < bound {
			best, bound = n, d
		}
	}
	if best != "" {
		return best
	}
	for _, n := range names {
		if len(s) > 2 && strings.Contains(n, s) || len(n) > 2 && strings.Contains(s, n) {
			return n
		}
	}
	return ""
}

// distance counts the letters to insert, remove, replace or swap with their
// neighbour to make a into b (optimal string alignment).
func distance(a, b string) int {
	var before, above []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, above[j]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
