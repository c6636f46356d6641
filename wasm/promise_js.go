package main

import (
	"context"
	"errors"

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

// must is for what fails only in a browser without the language's own classes.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// codes maps failures to the codes of WispError, first match wins.
var codes = []struct {
	err  error
	code string
}{
	{context.Canceled, "aborted"},
	{engine.ErrDeviceLost, "device-lost"},
	{engine.ErrOutOfMemory, "out-of-memory"},
	{engine.ErrUnsupported, "unsupported"},
	{loader.ErrNetwork, "network"},
	{loader.ErrCorrupt, "corrupt"},
	{loader.ErrQuota, "quota"},
	{loader.ErrBadModel, "bad-model"},
	{diffusion.ErrBadModel, "bad-model"},
	{diffusion.ErrBadRequest, "bad-request"},
}

// failure is the object that a promise is rejected with.
func failure(err error) object {
	code := "internal"
	for _, c := range codes {
		if errors.Is(err, c.err) {
			code = c.code
			break
		}
	}
	return object{"code": code, "message": err.Error()}
}
