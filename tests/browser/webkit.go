package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// webkitArgs show the page in WebKitGTK's own small browser, which keeps what
// pages keep in the profile; with Options.Debug the browser is started by
// WebDriver, see [Browser.WebDriver], and its sessions are private ones.
func webkitArgs(profile string, o Options) []string {
	if o.Debug {
		return []string{"--host=127.0.0.1", "--port=" + strconv.Itoa(o.port)}
	}
	return []string{"--geometry=1280x900", o.URL}
}

// display is an X server that nobody sees: WebKitGTK has no headless mode.
type display struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error
	name   string
}

func openDisplay() (*display, error) {
	path, err := exec.LookPath("Xvfb")
	if err != nil {
		return nil, fmt.Errorf("%w: Xvfb, in which WebKit shows its pages: install it (Debian: apt-get install xvfb)", ErrMissing)
	}
	ready, number, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	d := &display{cmd: exec.Command(path, "-displayfd", "3", "-screen", "0", "1400x1000x24", "-nolisten", "tcp"), exited: make(chan struct{})}
	d.cmd.ExtraFiles = []*os.File{number}
	err = start(d.cmd, d.exited, &d.err)
	number.Close()
	if err != nil {
		return nil, fmt.Errorf("browser: Xvfb: %w", err)
	}
	ready.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := bufio.NewReader(ready).ReadString('\n')
	if err != nil {
		d.close()
		return nil, fmt.Errorf("browser: Xvfb gave no display: %w", err)
	}
	d.name = ":" + strings.TrimSpace(line)
	return d, nil
}

func (d *display) close() {
	killTree(d.cmd)
	<-d.exited
}

// freePort is one that nobody listens at just now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Session is a window of a browser that speaks WebDriver (W3C).
type Session struct{ address string }

// WebDriver opens a private window of a WebKit that was started with
// Options.Debug. It ends with the browser.
func (b *Browser) WebDriver(ctx context.Context) (*Session, error) {
	s := &Session{fmt.Sprintf("http://127.0.0.1:%d/session", b.port)}
	var made struct{ SessionID string }
	for {
		err := s.call(ctx, "", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
			"timeouts": map[string]int{"script": 180_000},
		}}}, &made)
		if err == nil {
			s.address += "/" + made.SessionID
			return s, nil
		}
		if !errors.As(err, new(*net.OpError)) { // it listens
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("browser: no WebDriver: %w", ctx.Err())
		case <-b.exited:
			return nil, errors.Join(errors.New("browser: the WebDriver ended before it listened"), b.err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// call sends a command and decodes its value into answer, unless that is nil.
func (s *Session) call(ctx context.Context, command string, argument, answer any) error {
	body, err := json.Marshal(argument)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address+command, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var reply struct{ Value json.RawMessage }
	if err := json.Unmarshal(data, &reply); err != nil {
		return fmt.Errorf("browser: WebDriver's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("browser: WebDriver %s: %s", command, reply.Value)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(reply.Value, answer)
}

// Open goes to a page and waits until it is loaded.
func (s *Session) Open(ctx context.Context, url string) error {
	return s.call(ctx, "/url", map[string]string{"url": url}, nil)
}

// Eval awaits a JavaScript expression in the page and decodes its value into
// value, unless that is nil. What it throws is the error.
func (s *Session) Eval(ctx context.Context, expression string, value any) error {
	var outcome struct {
		Value json.RawMessage
		Error string
	}
	script := `const done = arguments[0];
		(async () => (` + expression + "\n))().then((value) => done({ value: value ?? null }), (err) => done({ error: String(err) || \"error\" }));"
	if err := s.call(ctx, "/execute/async", map[string]any{"script": script, "args": []any{}}, &outcome); err != nil {
		return err
	}
	if outcome.Error != "" {
		return errors.New(outcome.Error)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(outcome.Value, value)
}
