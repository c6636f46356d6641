package loader

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestAwake: the time passes once, and not for who has gone.
func TestAwake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		<-awake(t.Context(), time.Minute)
		if d := time.Since(start); d < 59*time.Second || d > time.Minute {
			t.Errorf("%v for a minute", d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		passed := awake(ctx, time.Minute)
		cancel()
		time.Sleep(time.Hour)
		select {
		case <-passed:
			t.Error("it passed for who has gone")
		default:
		}
	})
}
