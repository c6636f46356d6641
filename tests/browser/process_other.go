//go:build !linux

package browser

import "os/exec"

// start runs cmd and closes exited when it has ended.
func start(cmd *exec.Cmd, exited chan struct{}, result *error) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		*result = cmd.Wait()
		close(exited)
	}()
	return nil
}

// killTree kills the first process; the browser's helpers follow when their
// pipes to it close.
func killTree(cmd *exec.Cmd) { cmd.Process.Kill() }
