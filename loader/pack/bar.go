package pack

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Bar is for a terminal what [Options].Progress and OnProgress are told: the
// lines of the report, and below them a bar that moves.
type Bar struct {
	Total int64 // bytes

	mu    sync.Mutex // downloads tell of themselves at any time
	w     io.Writer
	drawn bool // the last line is the bar
	last  time.Time
}

// NewBar draws on w, a terminal, how much of its Total is done.
func NewBar(w io.Writer) *Bar { return &Bar{w: w} }

// barWidth is the number of cells between the bar's ends.
const barWidth = 40

// Set moves the bar, at most ten times a second.
func (b *Bar) Set(done int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if done < b.Total && time.Since(b.last) < 100*time.Millisecond {
		return
	}
	b.last = time.Now()
	full := barWidth
	if b.Total > 0 {
		full = int(min(done, b.Total) * barWidth / b.Total)
	}
	b.erase()
	fmt.Fprintf(b.w, "[%s%s] %s of %s", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), mb(done), mb(b.Total))
	b.drawn = true
}

// Write puts lines of the report in the bar's place.
func (b *Bar) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.erase()
	return b.w.Write(p)
}

// Close takes the bar away.
func (b *Bar) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.erase()
	return nil
}

func (b *Bar) erase() {
	if b.drawn {
		fmt.Fprint(b.w, "\r\x1b[K") // to the line's start, and clear it
		b.drawn = false
	}
}
