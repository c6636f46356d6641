//go:build !unix && !js

package tests

import "time"

var began = time.Now()

// cpuTime is the time that has passed, where nothing better is known.
func cpuTime() time.Duration { return time.Since(began) }
