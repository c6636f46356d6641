package main

import (
	"context"
	"errors"
	"strings"

	"github.com/hack-pad/safejs"

	"wisp/engine"
	"wisp/engine/diffusion"
	"wisp/loader"
)

// object is a JavaScript object to be.
type object map[string]any

// promising wraps f as a JavaScript function that runs it in a goroutine and
// returns a promise of its result.
func promising(f func(ctx context.Context, args arguments) (any, error)) safejs.Func {
	return must(safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		var executor safejs.Func
		executor = must(safejs.FuncOf(func(_ safejs.Value, settle []safejs.Value) any {
			go func() {
				defer executor.Release()
				result, err := f(context.Background(), args)
				if err != nil {
					settle[1].Invoke(map[string]any(failure(err)))
					return
				}
				settle[0].Invoke(result)
			}()
			return nil
		}))
		return must(must(safejs.Global().Get("Promise")).New(executor))
	}))
}

// await waits for a promise.
func await(ctx context.Context, promise safejs.Value) (safejs.Value, error) {
	type outcome struct {
		value safejs.Value
		err   error
	}
	done := make(chan outcome, 1)
	var kept, broken safejs.Func
	settle := func(o outcome) any {
		kept.Release()
		broken.Release()
		done <- o
		return nil
	}
	kept = must(safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		return settle(outcome{value: arguments(args).at(0)})
	}))
	broken = must(safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		text, _ := must(safejs.Global().Get("String")).Invoke(arguments(args).at(0))
		reason, _ := text.String()
		return settle(outcome{err: errors.New(reason)})
	}))
	if _, err := promise.Call("then", kept, broken); err != nil {
		return safejs.Value{}, err
	}
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return safejs.Value{}, ctx.Err()
	}
}

// must is for what fails only in a browser without the language's own classes.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// kinds maps failures to the codes of WispError, first match wins. Lead says
// in plain words what happened and what to do; where it is empty, the error
// itself does.
var kinds = []struct {
	err        error
	code, lead string
}{
	{context.Canceled, "aborted", ""},
	{engine.ErrDeviceLost, "device-lost", "the graphics card was lost: try again"},
	{engine.ErrOutOfMemory, "out-of-memory", "there is not enough memory: close other tabs or choose a smaller picture, and try again"},
	{engine.ErrUnsupported, "unsupported", "this browser cannot run the engine: use a current Chrome, Edge, Firefox or Safari"},
	{loader.ErrNetwork, "network", "the model could not be downloaded: check the connection and try again"},
	{loader.ErrCorrupt, "corrupt", "a part of the model arrived damaged, more than once: try again, and if it stays, the copy on the server is damaged"},
	{loader.ErrQuota, "quota", "the browser has no room for the model: free some disk space, or leave private browsing"},
	{loader.ErrBadModel, "bad-model", ""},
	{diffusion.ErrBadModel, "bad-model", ""},
	{diffusion.ErrBadRequest, "bad-request", ""},
}

// failure is the object that a promise is rejected with.
func failure(err error) object {
	for _, k := range kinds {
		if !errors.Is(err, k.err) {
			continue
		}
		// The code says what the sentinel says.
		detail := strings.Replace(strings.TrimPrefix(err.Error(), "loader: "), k.err.Error()+": ", "", 1)
		if k.lead == "" {
			return object{"code": k.code, "message": detail}
		}
		return object{"code": k.code, "message": k.lead + " (" + detail + ")"}
	}
	return object{"code": "internal", "message": err.Error()}
}
