package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"samtune/internal/tensor"
)

// visibleGPUs is the environment variable that says which GPUs a process may use.
const visibleGPUs = "CUDA_VISIBLE_DEVICES"

// gpusFor are the GPUs that work may be dealt out to, a process for each: all that this process sees where device leaves open
// which, none where there are not several.
func gpusFor(device string) []string {
	if device != "auto" && device != "cuda" {
		return nil
	}
	if n, _ := tensor.CUDA(); n > 1 {
		return gpuNames(n, os.Getenv(visibleGPUs))
	}
	return nil
}

// gpuNames are the names of n GPUs: those that visible lists, or else their numbers.
func gpuNames(n int, visible string) []string {
	names := strings.Split(visible, ",")
	if visible == "" || len(names) < n {
		names = make([]string, n)
		for i := range names {
			names[i] = fmt.Sprint(i)
		}
	}
	return names[:n]
}

// grace is how long a task that is asked to end may take for its checkpoint.
const grace = time.Minute

// startSelf runs this program and waits for it; it sees one GPU where gpu names one. What it prints is added to a file.
func startSelf(ctx context.Context, self, gpu string, args []string, log string) error {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return fmt.Errorf("make folder of logs: %w", err)
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, self, args...)
	on := ""
	if gpu != "" {
		on = visibleGPUs + "=" + gpu + " "
		cmd.Env = append(os.Environ(), visibleGPUs+"="+gpu)
	}
	fmt.Fprintf(out, "\n%s  %s%s\n", time.Now().Format(time.RFC3339), on, commandLine(args))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(syscall.SIGTERM) }, grace
	// A process of a sweep that was killed ends too: else it would go on beside the one that the next call starts. The signal
	// comes when the thread ends that started it, so that is kept.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, lastLine(log))
	}
	return nil
}

// lastLine is the last line of a log that says something.
func lastLine(log string) string {
	text, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
