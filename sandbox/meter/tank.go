package meter

// Tank is the fuel of one call, on the host's side. The guest runs on slices
// of it, so that the host is asked often enough to see a deadline; whatever
// the guest took beyond its slice is a debt that the next one pays.
//
// A Tank belongs to one call and is not safe for concurrent use.
type Tank struct {
	Left  int64 // fuel that no slice has handed out yet
	Slice int64 // largest slice; a million is a few milliseconds of compiled code
}

// Refill returns the next value of the global [Fuel], given its present one,
// which may be a debt or what is left of a slice. It reports false, and
// changes nothing, when the debt exceeds what is left.
func (t *Tank) Refill(fuel int64) (next int64, ok bool) {
	left := t.Left + fuel
	if left < 0 {
		return 0, false
	}
	next = min(left, max(t.Slice, 1))
	t.Left = left - next
	return next, true
}

// Rest is what is left when the global has the value fuel: negative if the
// call was stopped for want of it. The fuel spent is the budget minus Rest; it
// does not depend on the size of the slices.
func (t *Tank) Rest(fuel int64) int64 { return t.Left + fuel }
