// Package browser starts real, headless browsers for the tests: Chromium with
// Dawn on SwiftShader and Firefox with wgpu on lavapipe, two independent
// WebGPU implementations that need no graphics card. It knows nothing of what
// they load. Start at [Launch]; run/ is the command that runs the tests of a
// js/wasm package in one of them.
package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// ErrMissing: no such browser on this machine. A missing browser is a
// failure, never a reason to skip.
var ErrMissing = errors.New("browser not found")

// Options says which browser to start, and on which page.
type Options struct {
	Name string // "chromium" or "firefox"
	URL  string // the first page
	// Profile is a directory that outlives the browser; empty for a fresh one
	// that is deleted by Close.
	Profile string
	// Debug makes Chromium listen for the DevTools protocol on a free port;
	// see [Browser.DevTools].
	Debug bool
	// Proxy is the host:port of an HTTP proxy for every request of Chromium,
	// loopback included; empty for none.
	Proxy string
	Log   io.Writer // what the browser prints; nil drops it
}

// Browser is a running browser: a tree of processes and a profile.
type Browser struct {
	profile string
	fresh   bool
	cmd     *exec.Cmd
	exited  chan struct{}
	err     error // of the first process, valid after exited
	stop    sync.Once
}

// kind is what differs between the browsers.
type kind struct {
	env     string   // names the executable, in place of names
	names   []string // looked up in PATH, in order
	install string
	args    func(profile string, o Options) []string
	prepare func(profile string) error
}

var kinds = map[string]kind{
	"chromium": {
		env:     "WISP_CHROMIUM",
		names:   []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"},
		install: "apt-get install chromium",
		args:    chromiumArgs,
		prepare: func(string) error { return nil },
	},
	"firefox": {
		env:     "WISP_FIREFOX",
		names:   []string{"firefox-esr", "firefox", "/Applications/Firefox.app/Contents/MacOS/firefox"},
		install: "apt-get install firefox-esr mesa-vulkan-drivers",
		args:    firefoxArgs,
		prepare: firefoxPrefs,
	},
}

// find returns the executable.
func (k kind) find(name string) (string, error) {
	if path := os.Getenv(k.env); path != "" {
		return path, nil
	}
	for _, n := range k.names {
		if path, err := exec.LookPath(n); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: %s (looked for %s): install it (Debian: %s) or set %s to its executable",
		ErrMissing, name, strings.Join(k.names, ", "), k.install, k.env)
}

// Launch starts a browser. The caller must Close it; when ctx ends it is
// killed.
func Launch(ctx context.Context, o Options) (*Browser, error) {
	k, ok := kinds[o.Name]
	if !ok {
		return nil, fmt.Errorf("browser: unknown browser %q: choose chromium or firefox", o.Name)
	}
	path, err := k.find(o.Name)
	if err != nil {
		return nil, err
	}
	b := &Browser{profile: o.Profile, fresh: o.Profile == "", exited: make(chan struct{})}
	if b.fresh {
		if b.profile, err = os.MkdirTemp("", "wisp-"+o.Name+"-"); err != nil {
			return nil, err
		}
	}
	if err := k.prepare(b.profile); err != nil {
		return nil, err
	}
	b.cmd = exec.Command(path, k.args(b.profile, o)...)
	// The crash reporter is off and nothing is written outside the profile.
	b.cmd.Env = append(os.Environ(), "HOME="+b.profile, "XDG_CACHE_HOME="+b.profile, "XDG_CONFIG_HOME="+b.profile,
		"MOZ_CRASHREPORTER_DISABLE=1", "MOZ_HEADLESS=1", "DBUS_SESSION_BUS_ADDRESS=disabled:")
	b.cmd.Stdout, b.cmd.Stderr = o.Log, o.Log
	b.cmd.WaitDelay = 2 * time.Second
	if err := start(b.cmd, b.exited, &b.err); err != nil {
		b.removeProfile()
		return nil, fmt.Errorf("browser: %s: %w", o.Name, err)
	}
	context.AfterFunc(ctx, func() { b.Close() })
	return b, nil
}

// Exited is closed when the browser's first process has ended.
func (b *Browser) Exited() <-chan struct{} { return b.exited }

// Err is how the browser ended; valid once Exited is closed.
func (b *Browser) Err() error { return b.err }

// Close kills every process of the browser, waits for them and deletes a
// fresh profile.
func (b *Browser) Close() error {
	b.stop.Do(func() {
		killTree(b.cmd)
		<-b.exited
		b.removeProfile()
	})
	return nil
}

// removeProfile tries for a while: a dying helper process may still be
// writing.
func (b *Browser) removeProfile() {
	if !b.fresh {
		return
	}
	for range 50 {
		if os.RemoveAll(b.profile) == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
