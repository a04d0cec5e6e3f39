package featurecache

import (
	"context"
	"errors"
	"testing"
)

func TestAHeldByteIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	open := func() *Locks {
		l, err := OpenLocks(dir, ".locks")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first, second := open(), open()
	defer second.Close()
	take := func(l *Locks, at int64, want bool) {
		t.Helper()
		if ok, err := l.Try(at); ok != want || err != nil {
			t.Errorf("taking byte %d gives %v, %v: want %v", at, ok, err, want)
		}
	}
	take(first, 7, true)
	take(second, 7, false)
	take(second, 8, true)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := second.Wait(ctx, 7); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	first.Close() // as the end of a process
	if err := second.Wait(context.Background(), 7); err != nil {
		t.Error(err)
	}
}
