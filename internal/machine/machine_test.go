package machine

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

func TestProcessorLimit(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  float64
	}{
		"none": {map[string]string{}, 0},
		"version 2": {map[string]string{
			"proc/self/cgroup": "0::/job/step\n", "sys/fs/cgroup/job/step/cpu.max": "250000 100000\n", "sys/fs/cgroup/job/cpu.max": "max 100000\n"}, 2.5},
		"a group above": {map[string]string{
			"proc/self/cgroup": "0::/job/step\n", "sys/fs/cgroup/job/step/cpu.max": "400000 100000\n", "sys/fs/cgroup/job/cpu.max": "150000 100000\n"}, 1.5},
		"a container sees its own group as the root": {map[string]string{
			"proc/self/cgroup": "0::/docker/abc\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 0.5},
		"version 1": {map[string]string{
			"proc/self/cgroup":                          "4:memory:/x\n3:cpu,cpuacct:/job\n",
			"sys/fs/cgroup/cpu/job/cpu.cfs_quota_us":    "300000\n",
			"sys/fs/cgroup/cpu/job/cpu.cfs_period_us":   "100000\n",
			"sys/fs/cgroup/memory/x/cpu.cfs_quota_us":   "1\n",
			"sys/fs/cgroup/cpuacct/job/cpu.cfs_quota_u": "1\n"}, 3},
		"no bound of version 1": {map[string]string{
			"proc/self/cgroup": "3:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 0},
		"not understood": {map[string]string{"proc/self/cgroup": "0::/\nrubbish", "sys/fs/cgroup/cpu.max": "lots"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for path, text := range c.files {
				root[path] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := processorLimit(root); got != c.want {
				t.Errorf("limit %g, want %g", got, c.want)
			}
		})
	}
}

func TestThisMachine(t *testing.T) {
	p := ReadProcessor()
	if p.Usable < 1 || p.Cores < p.Usable || p.Limit < 0 {
		t.Errorf("processor %+v", p)
	}
	r, err := ReadRoom()
	if err != nil || r.Total <= 0 || r.Available <= 0 || r.Available > r.Total || r.Free() > r.Available {
		t.Errorf("memory %+v, %v", r, err)
	}
	dir := t.TempDir()
	d, err := ReadDisk(filepath.Join(dir, "not", "yet"))
	if err != nil || d.Folder != dir || d.Free <= 0 || d.Total < d.Free {
		t.Errorf("disk %+v, %v", d, err)
	}
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, ok := range map[string]bool{dir: true, filepath.Join(dir, "a", "b"): true, file: false, filepath.Join(file, "below"): false, "/proc/self": false} {
		if err := Writable(path); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}
