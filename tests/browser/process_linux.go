package browser

import (
	"os/exec"
	"runtime"
	"syscall"
)

// start runs cmd as the leader of a process group of its own and closes
// exited when it has ended. The kernel kills it if this process dies first:
// not even a SIGKILL of the tests leaves a browser behind. (The signal is
// tied to the thread that started the child, hence the locked goroutine.)
func start(cmd *exec.Cmd, exited chan struct{}, result *error) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		*result = cmd.Wait()
		close(exited)
	}()
	return <-started
}

// killTree kills the process group of cmd.
func killTree(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
