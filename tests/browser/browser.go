// Package browser starts real, headless browsers for the tests: Chromium with
// Dawn on SwiftShader and Firefox with wgpu on lavapipe, two independent
// WebGPU implementations that need no graphics card, and WebKitGTK, whose
// engine is Safari's. It knows nothing of what they load. Start at [Launch]; run/ is the command that runs the tests of a
// js/wasm package in one of them.
package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ErrMissing: no such browser on this machine. A missing browser is a
// failure, never a reason to skip.
var ErrMissing = errors.New("browser not found")

// Options says which browser to start, and on which page.
type Options struct {
	Name string // "chromium", "firefox" or "webkit"
	URL  string // the first page
	// Profile is a directory that outlives the browser; empty for a fresh one
	// that is deleted by Close.
	Profile string
	// Debug makes Chromium listen for the DevTools protocol on a free port;
	// see [Browser.DevTools]; and starts WebKit by WebDriver, see
	// [Browser.WebDriver].
	Debug bool
	// Proxy is the host:port of an HTTP proxy for every request of Chromium,
	// loopback included; empty for none.
	Proxy string
	Log   io.Writer // what the browser prints; nil drops it

	port int // where WebDriver listens
}

// Browser is a running browser: a tree of processes and a profile.
type Browser struct {
	profile string
	fresh   bool
	cmd     *exec.Cmd
	exited  chan struct{}
	err     error // of the first process, valid after exited
	stop    sync.Once
	display *display // WebKit's
	port    int      // where WebDriver listens
}

// kind is what differs between the browsers.
type kind struct {
	env     string   // names the executable, in place of names
	names   []string // looked up in PATH, in order; those with a * as patterns of files
	driver  string   // what is started in its place by Options.Debug; empty for itself
	display bool     // it shows itself on an X server
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
	"webkit": {
		env:     "WISP_WEBKIT",
		names:   []string{"MiniBrowser", "/usr/lib/*/webkit2gtk-4.1/MiniBrowser", "/usr/libexec/webkit2gtk-4.1/MiniBrowser"},
		driver:  "WebKitWebDriver",
		display: true,
		install: "apt-get install webkit2gtk-driver xvfb",
		args:    webkitArgs,
		prepare: func(string) error { return nil },
	},
}

// find returns the executable.
func (k kind) find(name string, debug bool) (string, error) {
	names := k.names
	if debug && k.driver != "" {
		names = []string{k.driver}
	} else if path := os.Getenv(k.env); path != "" {
		return path, nil
	}
	for _, n := range names {
		if strings.Contains(n, "*") {
			if found, err := filepath.Glob(n); err == nil && len(found) > 0 {
				return found[0], nil
			}
		} else if path, err := exec.LookPath(n); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: %s (looked for %s): install it (Debian: %s) or set %s to its executable",
		ErrMissing, name, strings.Join(names, ", "), k.install, k.env)
}

// Launch starts a browser. The caller must Close it; when ctx ends it is
// killed.
func Launch(ctx context.Context, o Options) (*Browser, error) {
	k, ok := kinds[o.Name]
	if !ok {
		return nil, fmt.Errorf("browser: unknown browser %q: choose chromium, firefox or webkit", o.Name)
	}
	path, err := k.find(o.Name, o.Debug)
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
	var env []string
	if k.display {
		if b.display, err = openDisplay(); err != nil {
			b.removeProfile()
			return nil, err
		}
		env = append(env, "DISPLAY="+b.display.name, "GDK_BACKEND=x11")
	}
	if k.driver != "" && o.Debug {
		if b.port, err = freePort(); err != nil {
			b.clear()
			return nil, err
		}
		o.port = b.port
	}
	b.cmd = exec.Command(path, k.args(b.profile, o)...)
	// The crash reporter is off and nothing is written outside the profile.
	b.cmd.Env = append(append(os.Environ(), env...), "HOME="+b.profile, "XDG_CACHE_HOME="+b.profile, "XDG_CONFIG_HOME="+b.profile, "XDG_DATA_HOME="+b.profile,
		"MOZ_CRASHREPORTER_DISABLE=1", "MOZ_HEADLESS=1", "DBUS_SESSION_BUS_ADDRESS=disabled:")
	b.cmd.Stdout, b.cmd.Stderr = o.Log, o.Log
	b.cmd.WaitDelay = 2 * time.Second
	if err := start(b.cmd, b.exited, &b.err); err != nil {
		b.clear()
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
		b.clear()
	})
	return nil
}

// clear ends what is left when the browser is not there.
func (b *Browser) clear() {
	if b.display != nil {
		b.display.close()
	}
	b.removeProfile()
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
