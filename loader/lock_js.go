package loader

import (
	"context"
	"sync"

	"github.com/hack-pad/safejs"
)

// WebLock waits for a lock that all tabs of this origin share, for
// [Options.Lock]. A tab that dies lets its locks go. Where the browser has no
// Web Locks it returns at once.
func WebLock(ctx context.Context, name string) (unlock func(), err error) {
	manager, ok := global("navigator", "locks")
	if !ok {
		return func() {}, nil
	}
	class, _ := global("AbortController")
	abort, err := class.New()
	if err != nil {
		return nil, err
	}
	signal, err := abort.Get("signal")
	if err != nil {
		return nil, err
	}
	held, granted, err := heldPromise()
	if err != nil {
		return nil, err
	}
	request, err := manager.Call("request", name, map[string]any{"signal": signal}, held.callback)
	if err != nil {
		held.release()
		return nil, err
	}
	// The request settles when the lock is let go, or never was granted.
	ended := make(chan error, 1)
	go func() {
		_, err := await(context.WithoutCancel(ctx), request)
		ended <- err
		held.release()
	}()
	select {
	case <-granted:
		return sync.OnceFunc(held.settle), nil
	case err := <-ended:
		return nil, err
	case <-ctx.Done():
		abort.Call("abort")
		go func() {
			select {
			case <-granted: // all the same, at this very moment
				held.settle()
			case <-ended:
			}
		}()
		return nil, ctx.Err()
	}
}

// lockHold is the callback that a lock request runs once it has the lock, and
// the promise it returns, which keeps the lock until settled.
type lockHold struct {
	callback safejs.Func
	executor safejs.Func
	resolve  safejs.Value
}

func heldPromise() (*lockHold, <-chan struct{}, error) {
	h := &lockHold{}
	granted := make(chan struct{}, 1)
	class, _ := global("Promise")
	var err error
	h.executor, err = safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		h.resolve = first(args)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	h.callback, err = safejs.FuncOf(func(safejs.Value, []safejs.Value) any {
		p, err := class.New(h.executor)
		if err != nil {
			return nil // the lock is let go at once
		}
		granted <- struct{}{}
		return p
	})
	if err != nil {
		h.executor.Release()
		return nil, nil, err
	}
	return h, granted, nil
}

func (h *lockHold) settle() { h.resolve.Invoke() }

func (h *lockHold) release() {
	h.callback.Release()
	h.executor.Release()
}
