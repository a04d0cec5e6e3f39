package tensor

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Each calls f for 0 to n-1, together of them at a time, each with a scope of its own on a thread of its own, which has its share of
// the device's threads. On a CPU, work that falls into equal parts takes less time so than part by part over all cores. A GPU takes the
// operations of all threads in turn, and is given the next part while another one's result is looked at. Parts that have not begun
// when one fails are left out; the error is that of the first part that failed. As Run, Each must not be called from inside of either.
func (d *Device) Each(n, together int, f func(s *Scope, i int) error) error {
	together = min(n, together, d.threads)
	if together <= 1 {
		for i := range n {
			if err := d.Run(func(s *Scope) error { return f(s, i) }); err != nil {
				return err
			}
		}
		return nil
	}
	return d.Run(func(*Scope) error { return d.spread(n, together, f) })
}

// spread does the parts on helpers while the device's own thread waits.
func (d *Device) spread(n, together int, f func(s *Scope, i int) error) error {
	for ; d.helpers < together; d.helpers++ {
		go d.help()
	}
	defer setThreads(d.threads) // libtorch gives threads that are new to it the number that was set last
	var next atomic.Int64
	var failed atomic.Bool
	var wait sync.WaitGroup
	errs := make([]error, n)
	wait.Add(together)
	for range together {
		d.parts <- func() {
			defer wait.Done()
			setThreads(d.threads / together)
			for i := int(next.Add(1)) - 1; i < n && !failed.Load(); i = int(next.Add(1)) - 1 {
				if errs[i] = d.run(func(s *Scope) error { return f(s, i) }); errs[i] != nil {
					failed.Store(true)
				}
			}
		}
	}
	wait.Wait()
	giveBack()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// help is a thread beside the device's own.
func (d *Device) help() {
	runtime.LockOSThread()
	setGrad(false)
	for part := range d.parts {
		part()
	}
}
