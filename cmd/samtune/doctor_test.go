package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samtune/internal/doctor"
	"samtune/internal/testkit"
)

func TestDoctor(t *testing.T) {
	testkit.LiteMedSAM(t)
	t.Setenv("SAMTUNE_TEST_AS_MAIN", "1") // in the processes of checks that run apart
	t.Setenv("SAMTUNE_TEST_WEIGHTS", "")
	code, out, errOut := call("doctor", "--json", "--cache", t.TempDir(), "--data", t.TempDir(),
		"--only", "versions,libtorch,processor,threads,memory,disk,devices,weights,data,cache,self-test") // all but the time of a step
	var r doctor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || r.Problems != 0 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, errOut)
	}
	seen := map[string]string{}
	for _, f := range r.Findings {
		seen[f.Check] += f.Text + "\n"
	}
	for check, says := range map[string]string{
		"versions": "gotch v", "libtorch": "libtorch_cpu", "processor": "kernels: ", "threads": "OMP_WAIT_POLICY=passive", "memory": "available",
		"disk": "free of", "devices": "cuda", "weights": "lite_medsam.pth, verified", "data": "fundus", "cache": "budget", "self-test": "official",
	} {
		if !strings.Contains(seen[check], says) {
			t.Errorf("%s says %q, want %q", check, seen[check], says)
		}
	}
}

func TestDoctorFindsFaults(t *testing.T) {
	cache := t.TempDir()
	damaged := filepath.Join(cache, "weights", "lite_medsam.pth")
	write(t, []byte("cut"), damaged)
	file := filepath.Join(t.TempDir(), "file")
	write(t, nil, file)
	defer func(before []doctor.Check) { furtherChecks = before }(furtherChecks)
	furtherChecks = append(furtherChecks, doctor.Agrees("second binding", "build without it", func() (string, error) { return "", errors.New("5 is not 6") }))
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"nothing":          {[]string{"--only", "versions,threads"}, 0, []string{"ok  versions", "0 problems, 0 warnings"}},
		"damaged weights":  {[]string{"--only", "weights", "--cache", cache}, exitFailed, []string{"problem  weights  lite_medsam: damaged", damaged, "-> remove", "make setup", "1 problem,"}},
		"unwritable cache": {[]string{"--only", "disk", "--cache", filepath.Join(file, "cache")}, exitFailed, []string{"problem  disk", "-> choose another one with --cache"}},
		"a further check":  {[]string{"--only", "second binding", "--here"}, exitFailed, []string{"problem  second binding  5 is not 6", "-> build without it"}},
		"no such check":    {[]string{"--only", "wheels"}, exitUsage, []string{`"wheels"`, "self-test"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := call(append([]string{"doctor"}, c.args...)...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, says := range c.says {
				if !strings.Contains(out+errOut, says) {
					t.Errorf("it does not say %q: %s%s", says, out, errOut)
				}
			}
		})
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}
