package loader

import (
	"context"
	"time"
)

// How long a request to a store may take.
const (
	Brief = 2 * time.Second  // where there is another way than to wait
	Long  = 20 * time.Second // where there is none
)

// awake is closed once d of the time has passed in which this program runs, or
// never where ctx ends before. While the system has a program suspended, timers
// run and answers do not come: of that time no more than one tick is counted.
func awake(ctx context.Context, d time.Duration) <-chan struct{} {
	const ticks = 8
	passed := make(chan struct{})
	go func() {
		for range ticks {
			if pause(ctx, d/ticks) != nil {
				return
			}
		}
		close(passed)
	}()
	return passed
}
