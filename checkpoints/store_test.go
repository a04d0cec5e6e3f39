package checkpoints

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

type files = map[string]func(io.Writer) error

// stepFiles are a checkpoint's files, whose content names the step.
func stepFiles(step int) files {
	return files{
		"weights.safetensors": func(w io.Writer) error {
			return EncodeSafetensors(w, nil, []Tensor{{Info{"w", "F32", []int64{2}}, floats(float32(step), 1)}})
		},
		"state.json": constant(fmt.Appendf(nil, `{"step":%d}`, step)),
	}
}

func newStore(t testing.TB, dir string, opt StoreOptions) *Store {
	t.Helper()
	s, err := OpenStore(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func save(t testing.TB, s *Store, step int, best bool) {
	t.Helper()
	if err := s.Save(step, best, stepFiles(step)); err != nil {
		t.Fatal(err)
	}
}

// latest returns the step of the newest checkpoint, whose content must be that of its step; 0 for none.
func latest(t testing.TB, s *Store) (int, []error) {
	t.Helper()
	c, damaged, err := s.Latest()
	if err != nil {
		t.Fatal(err)
	}
	if c == nil {
		return 0, damaged
	}
	state, err := c.ReadFile("state.json")
	if err != nil {
		t.Fatal(err)
	}
	weights, err := mustOpen(t, c.Path("weights.safetensors")).Float32("w")
	if err != nil {
		t.Fatal(err)
	}
	if string(state) != fmt.Sprintf(`{"step":%d}`, c.Step) || weights[0] != float32(c.Step) {
		t.Fatalf("checkpoint %q holds %s and %v", c.Dir, state, weights)
	}
	return c.Step, damaged
}

func dirNames(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestStoreKeepsTheNewestAndTheBest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "checkpoints")
	s := newStore(t, dir, StoreOptions{})
	if step, damaged := latest(t, s); step != 0 || damaged != nil {
		t.Errorf("empty store: %d, %v", step, damaged)
	}
	if _, err := s.Best(); !errors.Is(err, ErrNone) {
		t.Errorf("empty store: %v", err)
	}
	for step := 1; step <= 6; step++ {
		save(t, s, step, step == 1 || step == 3)
	}
	wantEqual(t, dirNames(t, dir), []string{"step-000003", "step-000005", "step-000006"})
	if step, damaged := latest(t, s); step != 6 || damaged != nil {
		t.Errorf("%d, %v", step, damaged)
	}
	if best, err := s.Best(); err != nil || best.Step != 3 {
		t.Errorf("%v, %v", best, err)
	}
	save(t, s, 1_000_000, false)
	save(t, s, 1_000_001, true)
	wantEqual(t, dirNames(t, dir), []string{"step-1000000", "step-1000001"})
	if step, _ := latest(t, s); step != 1_000_001 {
		t.Errorf("latest is %d: steps are not in order of numbers", step)
	}
}

// TestStoppedTrainingKeepsWhatItWouldHave saves between the steps at which checkpoints are due: such a one is the newest or gone.
func TestStoppedTrainingKeepsWhatItWouldHave(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "checkpoints")
	s := newStore(t, dir, StoreOptions{})
	between := func(step int) {
		t.Helper()
		if err := s.SaveBetween(step, stepFiles(step)); err != nil {
			t.Fatal(err)
		}
		if got, damaged := latest(t, s); got != step || damaged != nil {
			t.Errorf("%d, %v, want %d", got, damaged, step)
		}
	}
	save(t, s, 10, true)
	save(t, s, 20, false)
	between(23)
	between(27)
	wantEqual(t, dirNames(t, dir), []string{"step-000010", "step-000020", "step-000027"})
	save(t, s, 30, false)
	wantEqual(t, dirNames(t, dir), []string{"step-000010", "step-000020", "step-000030"})
	between(31)
	save(t, s, 40, false)
	wantEqual(t, dirNames(t, dir), []string{"step-000010", "step-000030", "step-000040"})
}

func TestStoreBelongsToItsRun(t *testing.T) {
	dir := t.TempDir()
	save(t, newStore(t, dir, StoreOptions{Identity: "one"}), 1, true)
	other := newStore(t, dir, StoreOptions{Identity: "two"})
	if _, _, err := other.Latest(); err == nil || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "another run") {
		t.Errorf("got %v", err)
	}
	if step, _ := latest(t, newStore(t, dir, StoreOptions{})); step != 1 {
		t.Errorf("a store of any identity found %d", step)
	}
}

// A store must find any damage to any byte, report it and fall back to the checkpoint before.
func TestStoreFindsEveryFlippedByteAndEveryCut(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir, StoreOptions{})
	save(t, s, 1, true)
	save(t, s, 2, false)
	newest := filepath.Join(dir, "step-000002")
	flips, cuts := 0, 0
	for _, name := range dirNames(t, newest) {
		path := filepath.Join(newest, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damage := func(what string, content []byte) {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
			c, damaged, err := s.Latest()
			if err != nil || c == nil || c.Step != 1 {
				t.Fatalf("%s %s: %v, %v", name, what, c, err)
			}
			if len(damaged) != 1 || !errors.Is(damaged[0], ErrCorrupt) || !strings.Contains(damaged[0].Error(), newest) {
				t.Fatalf("%s %s: reported %v", name, what, damaged)
			}
		}
		for i := range whole {
			for bit := range 8 {
				b := bytes.Clone(whole)
				b[i] ^= 1 << bit
				damage(fmt.Sprintf("bit %d of byte %d", bit, i), b)
				flips++
			}
			damage(fmt.Sprintf("cut to %d", i), whole[:i])
			cuts++
		}
		damage("longer", append(bytes.Clone(whole), '\n'))
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if c, damaged, err := s.Latest(); err != nil || c.Step != 1 || len(damaged) != 1 {
			t.Errorf("%s removed: %v, %v, %v", name, c, damaged, err)
		}
		if err := os.WriteFile(path, whole, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if step, damaged := latest(t, s); step != 2 || damaged != nil {
		t.Errorf("whole again: %d, %v", step, damaged)
	}
	t.Logf("%d bits flipped and %d cuts, all found", flips, cuts)
}

func TestBestFallsBackToTheOneBefore(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir, StoreOptions{Keep: 5})
	for step := 1; step <= 3; step++ {
		save(t, s, step, step < 3)
	}
	if err := os.Truncate(filepath.Join(dir, "step-000002", "state.json"), 1); err != nil {
		t.Fatal(err)
	}
	if best, err := s.Best(); err != nil || best.Step != 1 {
		t.Errorf("%v, %v", best, err)
	}
	if err := os.Remove(filepath.Join(dir, "step-000001", manifestFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Best(); !errors.Is(err, ErrNone) || !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

// Damaged checkpoints above the one that a run goes on from must not push the good ones out.
func TestSavingBelowDamagedCheckpointsKeepsTheGoodOnes(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir, StoreOptions{Keep: 2})
	save(t, s, 10, true)
	keepAll := newStore(t, dir, StoreOptions{Keep: 9})
	for _, step := range []int{20, 30} {
		save(t, keepAll, step, true)
		if err := os.Truncate(filepath.Join(dir, fmt.Sprintf("step-%06d", step), "weights.safetensors"), 9); err != nil {
			t.Fatal(err)
		}
	}
	save(t, s, 15, false)
	wantEqual(t, dirNames(t, dir), []string{"step-000010", "step-000015", "step-000020", "step-000030"})
	if step, damaged := latest(t, s); step != 15 || len(damaged) != 2 {
		t.Errorf("%d, %v", step, damaged)
	}
	save(t, s, 20, false)
	if step, damaged := latest(t, s); step != 20 || len(damaged) != 1 {
		t.Errorf("written again: %d, %v", step, damaged)
	}
	if best, err := s.Best(); err != nil || best.Step != 10 {
		t.Errorf("best: %v, %v", best, err)
	}
}

func TestOpenStoreClearsOnlyWhatADeadProcessLeft(t *testing.T) {
	dir := t.TempDir()
	save(t, newStore(t, dir, StoreOptions{}), 1, true)
	dead := 1 << 22 // above the largest process number of Linux
	alive := os.Getppid()
	kept := []string{
		"notes", "step-000009.tmp", "step-9.tmp-1", fmt.Sprintf("my-step-000009.tmp-%d", dead),
		fmt.Sprintf("step-000002.tmp-%d", alive), fmt.Sprintf("step-000002.tmp-%d.txt", dead),
	}
	gone := []string{
		fmt.Sprintf("step-000003.tmp-%d", dead), fmt.Sprintf("gone-000001.tmp-%d", dead),
		fmt.Sprintf("old-000001.tmp-%d", dead), fmt.Sprintf("step-000004.tmp-%d", os.Getpid()),
	}
	for _, name := range append(slices.Clone(kept), gone...) {
		if err := os.MkdirAll(filepath.Join(dir, name, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := newStore(t, dir, StoreOptions{})
	want := append(kept, "step-000001")
	slices.Sort(want)
	wantEqual(t, dirNames(t, dir), want)
	if step, damaged := latest(t, s); step != 1 || damaged != nil {
		t.Errorf("%d, %v", step, damaged)
	}
}

// A process that ends between the two renames of writing a step again has left its checkpoint under another name.
// TestLatestFinishesWhatAKilledSaveLeft has the oldest of three checkpoints still there, as after a kill between the last two things
// that Save does.
func TestLatestFinishesWhatAKilledSaveLeft(t *testing.T) {
	dir := t.TempDir()
	open := func() *Store {
		s, err := OpenStore(dir, StoreOptions{Identity: "run", Keep: 2})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	for _, step := range []int{2, 4} {
		if err := s.Save(step, false, stepFiles(step)); err != nil {
			t.Fatal(err)
		}
	}
	oldest := filepath.Join(dir, "step-000002")
	away := filepath.Join(t.TempDir(), "away")
	if err := os.CopyFS(away, os.DirFS(oldest)); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(6, false, stepFiles(6)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(oldest, os.DirFS(away)); err != nil {
		t.Fatal(err)
	}
	if c, damaged, err := open().Latest(); err != nil || len(damaged) > 0 || c.Step != 6 {
		t.Fatalf("latest is %+v, %v, %v", c, damaged, err)
	}
	if steps, err := s.steps(); err != nil || !slices.Equal(steps, []string{"step-000004", "step-000006"}) {
		t.Errorf("checkpoints %q are there, want the newest two (%v)", steps, err)
	}
}

func TestAlive(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no /proc on this system")
	}
	c := exec.Command("sleep", "100")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(c.Process.Pid)
	if !alive(pid) {
		t.Error("a process that runs is not alive")
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 500 { // its parent, this test, has not asked for its end yet: it keeps its number
		if !alive(pid) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if alive(pid) {
		t.Error("a process that was killed is alive")
	}
	if err := c.Wait(); err == nil {
		t.Error("it was not killed")
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if task.Name() != strconv.Itoa(os.Getpid()) && alive(task.Name()) {
			t.Errorf("thread %s of a program counts as a program", task.Name())
		}
	}
}

func TestOpenStorePutsAReplacedCheckpointBack(t *testing.T) {
	dir := t.TempDir()
	save(t, newStore(t, dir, StoreOptions{}), 7, true)
	if err := os.Rename(filepath.Join(dir, "step-000007"), filepath.Join(dir, fmt.Sprintf("old-000007.tmp-%d", 1<<22))); err != nil {
		t.Fatal(err)
	}
	if step, damaged := latest(t, newStore(t, dir, StoreOptions{})); step != 7 || damaged != nil {
		t.Errorf("%d, %v", step, damaged)
	}
}

func TestSaveThatIsCancelledLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir, StoreOptions{})
	save(t, s, 1, true)
	broken := stepFiles(2)
	broken["weights.safetensors"] = func(w io.Writer) error {
		_, err := w.Write([]byte("half"))
		return errors.Join(err, context.Canceled)
	}
	err := s.Save(2, true, broken)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "weights.safetensors") || !strings.Contains(err.Error(), "step-000002") {
		t.Errorf("got %v", err)
	}
	wantEqual(t, dirNames(t, dir), []string{"step-000001"})
	if step, _ := latest(t, s); step != 1 {
		t.Errorf("latest is %d", step)
	}
	if err := s.Save(3, false, files{manifestFile: constant(nil)}); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file called like the manifest: %v", err)
	}
}

// /dev/full fails every write as a full disk does.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	save(t, newStore(t, dir, StoreOptions{}), 1, true)
	s, err := openStore(dir, StoreOptions{}, fullDisk{})
	if err != nil {
		t.Fatal(err)
	}
	big := stepFiles(2)
	big["a"] = constant(make([]byte, 3_000_000))
	err = s.Save(2, true, big)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	for _, text := range []string{"step-000002", dir, "it needs 3.0 MB", "MB left", "free some space", "a: "} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
	wantEqual(t, dirNames(t, dir), []string{"step-000001"})
	if step, _ := latest(t, s); step != 1 {
		t.Errorf("latest is %d", step)
	}
}

type fullDisk struct{ realDisk }

func (fullDisk) Create(string) (writeSyncer, error) { return os.OpenFile("/dev/full", os.O_WRONLY, 0) }
