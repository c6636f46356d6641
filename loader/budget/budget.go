// Package budget bounds what reading from outside may take: bytes, entries,
// depth and work. Each is spent before what it pays for is done, so that a
// hostile input costs no more than its reader granted. It knows nothing of what
// is read. Start at [Limits] and, for JSON, at [NewJSON].
package budget

import "fmt"

// Limits are the budgets of one input. A budget of 0 is none: nothing of its
// kind is allowed.
type Limits struct {
	Bytes   int64 // of the input
	Entries int64 // members of objects and elements of arrays, of all levels together
	Depth   int   // objects and arrays inside one another
}

// Error says that an input takes more than its reader grants.
type Error struct {
	What   string // the input: "manifest.json"
	Budget string // "bytes", "entries", "levels", or another thing counted
	Limit  int64  // what is granted
}

// Error names the input, what it takes too much of, and the limit.
func (e *Error) Error() string {
	return fmt.Sprintf("%s takes more than %d %s", e.What, e.Limit, e.Budget)
}

// Spend takes n of what is left of a budget. Nothing is taken where that is
// not enough.
func Spend(left *int64, n, limit int64, what, budget string) error {
	if n < 0 || n > *left {
		return &Error{what, budget, limit}
	}
	*left -= n
	return nil
}
