package sweep

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"samtune/configs"
)

var update = flag.Bool("update", false, "write the files that tests compare with")

// golden compares a text with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs (go test ./sweep -update writes it anew), now:\n%s", path, got)
	}
}

// standIns puts shell scripts of these names first on the PATH.
func standIns(t *testing.T, scripts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/bash\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dir
}

func TestSlurmScripts(t *testing.T) {
	full := configs.Slurm{Partition: "gpu", Account: "lab", QOS: "long", Time: "2:00:00", Memory: "8G", CPUs: 4, GPUs: 1, MaxTasks: 8, Retries: 3,
		Extra: "--constraint=a100\n\n#SBATCH --exclude=node[3-4]\n", Setup: "module load cuda\n"}
	s := Submission{Dir: `/lab/sweeps/50% "drive"`, Command: `/opt/samtune sweep run '/lab/sweeps/50% "drive"'`, Encode: 4, Tasks: []int{0, 15, 16, 17}}
	stages, err := s.slurmStages(full)
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range stages {
		golden(t, "slurm_"+stage.name+".sh", stage.text)
	}
	stages, err = Submission{Dir: "/d", Command: "samtune sweep run /d", Tasks: upTo(12)}.slurmStages(configs.Slurm{})
	if err != nil || len(stages) != 1 {
		t.Fatalf("%d stages and error %v, want that of training alone", len(stages), err)
	}
	golden(t, "slurm_plain.sh", stages[0].text)
}

func TestSlurmRefuses(t *testing.T) {
	good := Submission{Dir: "/d", Command: "samtune", Tasks: []int{0}}
	for name, c := range map[string]struct {
		s    Submission
		cfg  configs.Slurm
		want string
	}{
		"nothing to do":   {Submission{Dir: "/d"}, configs.Slurm{}, "no task is left"},
		"relative folder": {Submission{Dir: "d", Tasks: []int{0}}, configs.Slurm{}, "absolute"},
		"backslash":       {Submission{Dir: `/a\b`, Tasks: []int{0}}, configs.Slurm{}, "backslash"},
		"two words":       {good, configs.Slurm{Partition: "gpu --exclusive"}, "engine.slurm.partition"},
		"negative":        {good, configs.Slurm{Retries: -1}, "engine.slurm.retries is -1"},
		"no option":       {good, configs.Slurm{Extra: "module load cuda"}, `"module load cuda"`},
	} {
		if _, err := c.s.slurmStages(c.cfg); !errors.Is(err, configs.ErrConfig) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestIndexList(t *testing.T) {
	for want, indices := range map[string][]int{"": nil, "0": {0}, "0-11": upTo(12), "0,15-29": append([]int{0}, upTo(30)[15:]...), "3,5,7-8": {3, 5, 7, 8}} {
		if got := indexList(indices); got != want {
			t.Errorf("%v: %q, want %q", indices, got, want)
		}
	}
}

// TestSlurmTask runs the batch script as Slurm does, with stand-ins for samtune and scontrol.
func TestSlurmTask(t *testing.T) {
	for name, c := range map[string]struct {
		samtune string // what it does
		restart string // how often Slurm started the task before
		signal  syscall.Signal
		code    int
		requeue bool
	}{
		"done":                     {samtune: "exit 0"},
		"failed":                   {samtune: "exit 3", restart: "1", code: 3, requeue: true},
		"failed too often":         {samtune: "exit 3", restart: "2", code: 3},
		"failed at its first":      {samtune: "exit 1", code: 1, requeue: true},
		"close to its time limit":  {samtune: "wait", signal: syscall.SIGUSR1, code: 130, requeue: true},
		"cancelled":                {samtune: "wait", signal: syscall.SIGTERM, code: 130},
		"time limit, last restart": {samtune: "wait", restart: "2", signal: syscall.SIGUSR1, code: 130},
	} {
		t.Run(name, func(t *testing.T) {
			sweep := filepath.Join(t.TempDir(), `it's "50%" of $HOME`)
			bin := standIns(t, map[string]string{
				"scontrol": `printf '%s\n' "$@" >> "$(dirname "$0")/scontrol.args"`,
				"samtune": `cd "$(dirname "$0")"; printf '%s\n' "$@" > samtune.args
					trap 'exit 130' TERM; touch ready
					if [ "$DOES" = wait ]; then for i in $(seq 600); do sleep 0.1; done; fi; $DOES`,
			})
			quoted := "'" + strings.ReplaceAll(sweep, "'", `'\''`) + "'"
			stages, err := Submission{Dir: sweep, Command: "samtune sweep run " + quoted, Tasks: upTo(12)}.slurmStages(configs.Slurm{Retries: 2})
			if err != nil {
				t.Fatal(err)
			}
			c0 := exec.Command("bash", "-s")
			c0.Stdin = strings.NewReader(string(stages[0].text))
			c0.Env = append(os.Environ(), "SLURM_ARRAY_JOB_ID=7", "SLURM_ARRAY_TASK_ID=11", "SLURM_JOB_ID=7", "SLURM_RESTART_COUNT="+c.restart, "DOES="+c.samtune)
			if err := c0.Start(); err != nil {
				t.Fatal(err)
			}
			if c.signal != 0 {
				for range 300 {
					if _, err := os.Stat(filepath.Join(bin, "ready")); err == nil {
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
				if err := c0.Process.Signal(c.signal); err != nil {
					t.Fatal(err)
				}
			}
			_ = c0.Wait()
			if got := c0.ProcessState.ExitCode(); got != c.code {
				t.Errorf("exit code %d, want %d", got, c.code)
			}
			args, err := os.ReadFile(filepath.Join(bin, "samtune.args"))
			if want := "sweep\nrun\n" + sweep + "\n--index\n11\n"; err != nil || string(args) != want {
				t.Errorf("samtune was started with %q, want %q", args, want)
			}
			requeued, _ := os.ReadFile(filepath.Join(bin, "scontrol.args"))
			if got := string(requeued) == "requeue\n7_11\n"; got != c.requeue || (!got && len(requeued) > 0) {
				t.Errorf("scontrol was asked for %q, want a requeue: %v", requeued, c.requeue)
			}
		})
	}
}

func TestSubmitSlurm(t *testing.T) {
	dir := t.TempDir()
	bin := standIns(t, map[string]string{
		"sbatch": `cd "$(dirname "$0")"; echo "$@" >> sbatch.args; echo "$(wc -l < sbatch.args);cluster"`,
		"squeue": `cat "$(dirname "$0")/queue"`,
	})
	queue := func(text string) {
		if err := os.WriteFile(filepath.Join(bin, "queue"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := Submission{Dir: dir, Command: "samtune sweep run d", Encode: 2, Tasks: upTo(12)}
	jobs, err := s.SubmitSlurm(context.Background(), configs.Slurm{})
	if err != nil {
		t.Fatal(err)
	}
	if jobs.Encode != "1" || jobs.Train != "2" || jobs.Tasks != "0-11" {
		t.Errorf("%+v, want jobs 1 and 2 of the tasks 0-11", jobs)
	}
	args, _ := os.ReadFile(filepath.Join(bin, "sbatch.args"))
	if want := "--parsable " + dir + "/slurm/encode.sh\n--parsable --dependency=afterany:1 " + dir + "/slurm/train.sh\n"; string(args) != want {
		t.Errorf("sbatch was asked for\n%s, want\n%s", args, want)
	}

	queue("9\n2\n2\n")
	if _, err := s.SubmitSlurm(context.Background(), configs.Slurm{}); !errors.Is(err, ErrQueued) || !strings.Contains(err.Error(), "scancel 2") {
		t.Errorf("error %v while job 2 is queued, want that and what to do", err)
	}
	queue("9\n")
	s.Encode, s.Tasks = 0, []int{3, 7}
	if jobs, err = s.SubmitSlurm(context.Background(), configs.Slurm{}); err != nil || jobs.Train != "3" || jobs.Encode != "" || jobs.Tasks != "3,7" {
		t.Errorf("error %v, %+v, want job 3 of the tasks 3,7 and no encode stage", err, jobs)
	}
	all, err := readJobs(filepath.Join(dir, "slurm", "jobs.json"))
	if err != nil || len(all) != 2 || all[0].Train != "2" || all[1].Train != "3" {
		t.Errorf("error %v, %+v, want both submissions", err, all)
	}
}

func TestSubmitSlurmShowsTheProblem(t *testing.T) {
	dir := t.TempDir()
	s := Submission{Dir: dir, Command: "samtune sweep run d", Encode: 2, Tasks: upTo(2)}
	standIns(t, map[string]string{"sbatch": `case "$*" in *encode*) echo 5;; *)
		echo 'sbatch: error: invalid partition specified: gpu' >&2; echo 'sbatch: error: Batch job submission failed: Invalid partition name specified' >&2; exit 1;; esac`})
	_, err := s.SubmitSlurm(context.Background(), configs.Slurm{Partition: "gpu"})
	if err == nil || !strings.Contains(err.Error(), "invalid partition specified: gpu\nsbatch: error: Batch job submission failed") {
		t.Errorf("error %v, want all that sbatch said", err)
	}
	if all, err := readJobs(filepath.Join(dir, "slurm", "jobs.json")); err != nil || len(all) != 1 || all[0].Encode != "5" || all[0].Train != "" {
		t.Errorf("error %v, %+v, want the encode job that is in the queue", err, all)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := (Submission{Dir: t.TempDir(), Command: "samtune", Tasks: upTo(2)}).SubmitSlurm(context.Background(), configs.Slurm{}); err == nil || !strings.Contains(err.Error(), "--dry-run") {
		t.Errorf("error %v without sbatch, want what to do", err)
	}
}
