package loader

import (
	"context"
	"strings"
	"sync"

	"github.com/hack-pad/safejs"
)

// WebLock waits for a lock that all tabs of this origin share, for
// [Options.Lock]. A tab that dies lets its locks go; one that the system has
// stopped keeps them, and who waits for it gets [ErrSilent]. Where the browser
// has no Web Locks it returns at once.
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
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	why := ErrSilent
	select {
	case <-granted:
		life().hold(name, 1)
		return sync.OnceFunc(func() { life().hold(name, -1); held.settle() }), nil
	case err := <-ended:
		return nil, err
	case <-life().silence(waiting, name):
	case <-ctx.Done():
		why = ctx.Err()
	}
	abort.Call("abort")
	go func() {
		select {
		case <-granted: // all the same, at this very moment
			held.settle()
		case <-ended:
		}
	}()
	return nil, why
}

// webLocks is [Locks] of the browser.
type webLocks struct{}

func (webLocks) Lock(ctx context.Context, name string) (func(), error) { return WebLock(ctx, name) }

// Held reports whether a tab has the lock, be it stopped.
func (webLocks) Held(ctx context.Context, name string) (bool, error) {
	manager, ok := global("navigator", "locks")
	if !ok {
		return false, nil
	}
	state, err := callAsync(ctx, manager, "query")
	if err != nil {
		return false, err
	}
	list, err := state.Get("held")
	if err != nil {
		return false, err
	}
	n, err := list.Length()
	for i := 0; i < n && err == nil; i++ {
		var lock safejs.Value
		if lock, err = list.Index(i); err == nil {
			var its string
			if its, err = text(lock, "name"); its == name {
				return true, nil
			}
		}
	}
	return false, err
}

// lifeline lets who waits for a lock ask whether its holder still runs: a
// channel that all tabs hear, on which holders answer.
type lifeline struct {
	channel safejs.Value // BroadcastChannel; undefined where there is none

	mu    sync.Mutex
	held  map[string]int // the locks of this program
	signs map[string]int // of life, by lock
}

// A question and its answer are one of these and the lock's name.
const (
	askLife  = "ask "
	signLife = "alive "
)

// life is the lifeline of this program.
var life = sync.OnceValue(func() *lifeline {
	l := &lifeline{channel: safejs.Undefined(), held: map[string]int{}, signs: map[string]int{}}
	class, ok := global("BroadcastChannel")
	if !ok {
		return l
	}
	channel, err := class.New("wisp-locks") // which throws where storage is refused
	if err != nil {
		return l
	}
	hear, err := safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		if message, err := text(first(args), "data"); err == nil {
			l.hear(message)
		}
		return nil
	})
	if err == nil && channel.Set("onmessage", hear) == nil {
		l.channel = channel
	}
	return l
})

func (l *lifeline) post(message string) {
	if !l.channel.IsUndefined() {
		l.channel.Call("postMessage", message) // in vain is as no answer
	}
}

func (l *lifeline) hear(message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if name, ok := strings.CutPrefix(message, askLife); ok && l.held[name] > 0 {
		l.post(signLife + name)
	}
	if name, ok := strings.CutPrefix(message, signLife); ok {
		l.signs[name]++
	}
}

func (l *lifeline) hold(name string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[name] += n; l.held[name] == 0 {
		delete(l.held, name)
	}
}

// lives counts signs of life, and one always where this program has the lock.
func (l *lifeline) lives(name string) (signs int, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.signs[name], l.held[name] > 0
}

// silence is closed when nobody has shown signs of life for [Brief].
func (l *lifeline) silence(ctx context.Context, name string) <-chan struct{} {
	const asked = 4
	silent := make(chan struct{})
	go func() {
		if pause(ctx, Brief/50) != nil { // most locks are free
			return
		}
		for quiet := 0; quiet < asked; {
			before, _ := l.lives(name)
			l.post(askLife + name)
			if pause(ctx, Brief/asked) != nil {
				return
			}
			quiet++
			if now, mine := l.lives(name); mine || now > before {
				quiet = 0
			}
		}
		close(silent)
	}()
	return silent
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
