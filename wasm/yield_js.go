package main

import (
	"github.com/hack-pad/safejs"

	"wisp/wasm/bridge"
)

// newYield returns a function that lets the worker's waiting messages in: a
// cancellation, say, arrives only while Go is idle. A message to itself comes
// back at once, where a timer would take 4 ms.
func newYield() func() {
	channel := bridge.Must(bridge.Must(safejs.Global().Get("MessageChannel")).New())
	back, there := bridge.Must(channel.Get("port1")), bridge.Must(channel.Get("port2"))
	arrived := make(chan struct{}, 1)
	heard := bridge.Must(safejs.FuncOf(func(safejs.Value, []safejs.Value) any {
		arrived <- struct{}{}
		return nil
	}))
	if err := back.Set("onmessage", heard); err != nil {
		panic(err)
	}
	return func() {
		if _, err := there.Call("postMessage", 0); err == nil {
			<-arrived
		}
	}
}
