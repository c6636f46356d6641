package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// chromiumArgs are the flags of a headless Chromium that talks to nobody,
// never slows down timers, and has WebGPU on the CPU.
func chromiumArgs(profile string, o Options) []string {
	args := []string{
		"--headless=new", "--no-sandbox", "--disable-dev-shm-usage",
		"--user-data-dir=" + profile, "--no-first-run", "--no-default-browser-check",
		"--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--disable-default-apps", "--disable-domain-reliability", "--metrics-recording-only",
		"--disable-breakpad", "--disable-crash-reporter", "--password-store=basic", "--use-mock-keychain",
		"--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
		"--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider,AutofillServerCommunication",
		"--hide-scrollbars", "--mute-audio", "--window-size=1280,900",
	}
	if o.Debug {
		args = append(args, "--remote-debugging-port=0")
	}
	if o.Proxy != "" {
		args = append(args, "--proxy-server=http://"+o.Proxy, "--proxy-bypass-list=<-loopback>")
	}
	return append(args, o.URL)
}

// DevTools waits for the WebSocket address of a Chromium that was started
// with Options.Debug.
func (b *Browser) DevTools(ctx context.Context) (string, error) {
	for {
		// Line 1 is the port, line 2 the path.
		text, err := os.ReadFile(filepath.Join(b.profile, "DevToolsActivePort"))
		if port, path, ok := strings.Cut(strings.TrimSpace(string(text)), "\n"); err == nil && ok {
			return "ws://127.0.0.1:" + port + path, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("browser: no DevTools port: %w", ctx.Err())
		case <-b.exited:
			return "", errors.Join(errors.New("browser: ended before it listened"), b.err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
