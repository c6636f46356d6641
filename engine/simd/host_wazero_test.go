//go:build !js

package simd

// killThread does nothing: a goroutine cannot be ended from outside.
func killThread(*backend) {}
