// Package bridge is how the page's Go programs speak JavaScript: functions
// that return promises, their arguments, and failures with a code. It knows
// nothing of what the programs do. Start at [Promising].
package bridge

import (
	"context"
	"errors"
	"strings"

	"github.com/hack-pad/safejs"
)

// Object is a JavaScript object to be.
type Object map[string]any

// Promising wraps f as a JavaScript function that runs it in a goroutine and
// returns a promise of its result, or of its [Failure].
func Promising(ctx context.Context, kinds []Kind, f func(ctx context.Context, args Arguments) (any, error)) safejs.Func {
	return Must(safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		var executor safejs.Func
		executor = Must(safejs.FuncOf(func(_ safejs.Value, settle []safejs.Value) any {
			go func() {
				defer executor.Release()
				result, err := f(ctx, args)
				if err != nil {
					settle[1].Invoke(map[string]any(Failure(err, kinds)))
					return
				}
				settle[0].Invoke(result)
			}()
			return nil
		}))
		return Must(Must(safejs.Global().Get("Promise")).New(executor))
	}))
}

// Await waits for a promise.
func Await(ctx context.Context, promise safejs.Value) (safejs.Value, error) {
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
	kept = Must(safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		return settle(outcome{value: Arguments(args).At(0)})
	}))
	broken = Must(safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		text, _ := Must(safejs.Global().Get("String")).Invoke(Arguments(args).At(0))
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

// Must is for what fails only in a browser without the language's own classes.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Kind maps a failure to a code of WispError. Lead says in plain words what
// happened and what to do; where it is empty, the error itself does. Whole: there
// is no more to say.
type Kind struct {
	Err        error
	Code, Lead string
	Whole      bool
}

// Failure is the object that a promise is rejected with: {code, message}. The
// first kind that matches wins.
func Failure(err error, kinds []Kind) Object {
	for _, k := range kinds {
		if !errors.Is(err, k.Err) {
			continue
		}
		// The code says what the sentinel says.
		detail := strings.Replace(strings.TrimPrefix(err.Error(), "loader: "), k.Err.Error()+": ", "", 1)
		detail = strings.TrimSuffix(detail, ": "+k.Err.Error())
		for _, other := range kinds { // which it may wrap
			detail = strings.Replace(detail, other.Err.Error()+": ", "", 1)
		}
		if k.Whole {
			return Object{"code": k.Code, "message": k.Lead}
		}
		if k.Lead == "" {
			return Object{"code": k.Code, "message": detail}
		}
		return Object{"code": k.Code, "message": k.Lead + " (" + detail + ")"}
	}
	return Object{"code": "internal", "message": err.Error()}
}
