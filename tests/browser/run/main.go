// Run executes a js/wasm test binary in a real browser:
//
//	GOOS=js GOARCH=wasm go test -exec "$PWD/build/browser-run -browser firefox" ./engine/simd
//
// The test runs in a dedicated worker, sees the module's files read-only, and
// its output and exit code become the command's. Build it without GOOS set;
// `make test-browser PKG=./engine/simd BROWSER=firefox` does all of that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"wisp/tests/browser"
)

func main() {
	var (
		name     = flag.String("browser", "chromium", "chromium or firefox")
		isolated = flag.Bool("isolated", true, "send COOP and COEP headers: shared memory, exact clocks")
		timeout  = flag.Duration("timeout", 0, "give up after this long (default: the test's own -test.timeout and 10 s)")
		verbose  = flag.Bool("v", false, "show what the browser prints")
		preludes = flag.String("prelude", "", "comma-separated scripts, relative to the module, that the worker loads first; they may fill self.wispImports(go), which returns modules for the wasm to import")
	)
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: run [flags] test.wasm [test flags]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	if *timeout == 0 {
		*timeout = testTimeout(flag.Args())
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	code, err := run(ctx, *name, *isolated, *verbose, split(*preludes), flag.Args())
	cancel()
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "browser run (%s): %v\n", *name, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// testTimeout is the -test.timeout among args and ten seconds more, so that
// the test's own report comes first.
func testTimeout(args []string) time.Duration {
	for _, a := range args {
		v, ok := strings.CutPrefix(a, "-test.timeout=")
		if d, err := time.ParseDuration(v); ok && err == nil && d > 0 {
			return d + 10*time.Second
		}
	}
	return 10 * time.Minute
}

// run executes args, a test binary and its flags, and returns its exit code.
func run(ctx context.Context, name string, isolated, verbose bool, preludes, args []string) (int, error) {
	s, err := newServer(isolated, preludes, args)
	if err != nil {
		return 1, err
	}
	defer s.close()
	o := browser.Options{Name: name, URL: s.url}
	if verbose {
		o.Log = os.Stderr
	}
	b, err := browser.Launch(ctx, o)
	if err != nil {
		return 1, err
	}
	defer b.Close()
	select {
	case code := <-s.exit:
		return code, nil
	case <-ctx.Done():
		return 1, fmt.Errorf("gave up: %w", context.Cause(ctx))
	case <-b.Exited():
		return 1, errors.Join(errors.New("the browser ended before the test did"), b.Err())
	}
}

// goEnv asks the go command for variables.
func goEnv(names ...string) ([]string, error) {
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	values := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	if len(values) != len(names) {
		return nil, fmt.Errorf("go env %v: %d lines", names, len(values))
	}
	return values, nil
}

// moduleRoot is the directory of go.mod.
func moduleRoot(gomod string) (string, error) {
	if gomod == "" || gomod == os.DevNull {
		return "", errors.New("not inside a Go module")
	}
	return filepath.Dir(gomod), nil
}
