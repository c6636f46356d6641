package webgpu

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// device is all that the backend asks of WebGPU. The browser's is in
// device_js.go; tests record what would be done.
type device interface {
	adapter() Adapter
	// alloc makes a storage buffer of size bytes. A failure shows at flush.
	alloc(size int) (bufferID, error)
	free(b bufferID)
	// write copies data to a buffer; the length is a multiple of four.
	write(b bufferID, offset int, data []byte) error
	// stage is memory of the browser's for so many bytes, until the next call.
	stage(size int) (staging, error)
	// flush waits until all buffers made so far are known to be good.
	flush() error
	// drain waits until the device has nothing left to do.
	drain() error
	// compile makes pipelines and returns the id of the first; the ids of the
	// others follow.
	compile(modules map[string]string, pipelines []pipeline) (first int, err error)
	// once submits a script without waiting for it.
	once(s *script) error
	// load makes a script ready to run.
	load(s *script) (programID, error)
	unload(p programID)
	// run replays a loaded script with the bytes of its uploads and fills
	// those of its downloads. profile, where not nil, gets the microseconds of
	// each dispatch.
	run(ctx context.Context, p programID, upload, download []byte, profile []float64) error
	// close destroys the device and all that was made on it.
	close() error
}

// staging is where a weight is written on its way to the device.
type staging interface {
	io.WriterAt
	source
}

// bufferID and programID name objects of a device.
type (
	bufferID  int
	programID int
)

// pipeline asks for a compute pipeline.
type pipeline struct {
	Module    string             `json:"module"`
	Reads     int                `json:"reads"` // read-only bindings
	Constants map[string]float64 `json:"constants"`
}

// Adapter says what a device is and what it offers.
type Adapter struct {
	Vendor          string   `json:"vendor"`
	Architecture    string   `json:"architecture"`
	Device          string   `json:"device"`
	Description     string   `json:"description"`
	Fallback        bool     `json:"fallback"` // the browser calls it a fallback
	SubgroupMinSize int      `json:"subgroupMinSize"`
	SubgroupMaxSize int      `json:"subgroupMaxSize"`
	Features        []string `json:"features"`
	Limits          Limits   `json:"limits"`
}

// Limits are the WebGPU limits that planning respects, in bytes or counts.
type Limits struct {
	Buffer           int `json:"maxBufferSize"`
	Binding          int `json:"maxStorageBufferBindingSize"`
	WorkgroupStorage int `json:"maxComputeWorkgroupStorageSize"`
	Invocations      int `json:"maxComputeInvocationsPerWorkgroup"`
	StorageAlign     int `json:"minStorageBufferOffsetAlignment"`
	UniformAlign     int `json:"minUniformBufferOffsetAlignment"`
}

// DefaultLimits are those that every WebGPU device has.
var DefaultLimits = Limits{Buffer: 256 << 20, Binding: 128 << 20, WorkgroupStorage: 16 << 10, Invocations: 256, StorageAlign: 256, UniformAlign: 256}

func (a Adapter) has(feature string) bool { return slices.Contains(a.Features, feature) }

// software are the names by which adapters that run on the CPU are known.
var software = []string{"swiftshader", "llvmpipe", "lavapipe", "softpipe", "basic render", "warp", "software"}

// CPU reports whether the adapter says that it computes on the CPU: then
// WebAssembly does the same faster.
func (a Adapter) CPU() bool {
	names := strings.ToLower(strings.Join([]string{a.Vendor, a.Architecture, a.Device, a.Description}, " "))
	return a.Fallback || slices.ContainsFunc(software, func(s string) bool { return strings.Contains(names, s) })
}

// String names the adapter for people.
func (a Adapter) String() string {
	parts := slices.DeleteFunc([]string{a.Vendor, a.Architecture, a.Device, a.Description}, func(s string) bool { return s == "" })
	if len(parts) == 0 {
		return "an unnamed WebGPU adapter"
	}
	return fmt.Sprintf("WebGPU on %s", strings.Join(parts, ", "))
}
