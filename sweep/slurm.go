package sweep

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/google/renameio/v2"

	"samtune/configs"
)

// ErrQueued says that the tasks of an earlier submission are still in Slurm's queue.
var ErrQueued = errors.New("an earlier submission of this sweep is still queued")

// slurmDir is the folder, inside the sweep's, of its batch scripts, logs and job ids.
const slurmDir = "slurm"

//go:embed slurm.sh.tmpl
var slurmText string

var slurmScript = template.Must(template.New("slurm.sh.tmpl").Parse(slurmText))

// SlurmJobs are the two job arrays of one submission.
type SlurmJobs struct {
	Encode    string    `json:"encode,omitempty"` // job id of the array; empty: no encode stage
	Train     string    `json:"train,omitempty"`
	Tasks     string    `json:"tasks"` // rows of the plan, as 0,15-29
	Submitted time.Time `json:"submitted"`
}

// slurmStage is one batch script.
type slurmStage struct {
	name string // of its file, its job and its logs
	text []byte
}

// slurmStages writes the batch scripts: encode, where the sweep has that stage, and train.
func (s Submission) slurmStages(cfg configs.Slurm) ([]slurmStage, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	words := map[string]string{"partition": cfg.Partition, "account": cfg.Account, "qos": cfg.QOS, "time": cfg.Time, "memory": cfg.Memory}
	counts := map[string]int{"cpus": cfg.CPUs, "gpus": cfg.GPUs, "max_tasks": cfg.MaxTasks, "retries": cfg.Retries}
	if err := checkEngine("engine.slurm", words, counts); err != nil {
		return nil, err
	}
	var options []string
	for _, o := range []struct{ name, value string }{
		{"partition", cfg.Partition}, {"account", cfg.Account}, {"qos", cfg.QOS}, {"time", cfg.Time}, {"mem", cfg.Memory},
		{"cpus-per-task", positive(cfg.CPUs)}, {"gres=gpu", positive(cfg.GPUs)},
	} {
		if o.value != "" {
			separator := "="
			if strings.Contains(o.name, "=") {
				separator = ":"
			}
			options = append(options, "--"+o.name+separator+o.value)
		}
	}
	var extra []string
	for _, line := range strings.Split(cfg.Extra, "\n") {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#SBATCH"))
		if line != "" && !strings.HasPrefix(line, "-") {
			return nil, fmt.Errorf("%w: engine.slurm.extra has the line %q, want options of sbatch, as --constraint=a100", configs.ErrConfig, line)
		}
		if line != "" {
			extra = append(extra, line)
		}
	}
	var stages []slurmStage
	for _, stage := range []struct {
		name, title, command string
		tasks                []int
	}{
		{"encode", encodeTitle, s.Command + " --encode", upTo(s.Encode)},
		{"train", trainTitle, s.Command, s.Tasks},
	} {
		if len(stage.tasks) == 0 {
			continue
		}
		array := indexList(stage.tasks)
		if cfg.MaxTasks > 0 {
			array += "%" + strconv.Itoa(cfg.MaxTasks)
		}
		var b bytes.Buffer
		err := slurmScript.Execute(&b, map[string]any{
			"Title": stage.title, "Dir": s.Dir, "Name": "samtune-" + stage.name, "Array": array, "Options": options,
			"Log":     slurmPath(filepath.Join(s.Dir, slurmDir)) + `/` + stage.name + `_%A_%a.log"`,
			"Retries": cfg.Retries, "Extra": extra, "Setup": strings.TrimSpace(cfg.Setup), "Command": stage.command,
		})
		if err != nil {
			return nil, fmt.Errorf("write the %s stage's batch script: %w", stage.name, err)
		}
		stages = append(stages, slurmStage{stage.name, b.Bytes()})
	}
	return stages, nil
}

// slurmPath writes the beginning of a file's name, up to the closing quote, as sbatch reads it: in double quotes,
// with %% for a percent sign, which would stand for something else.
func slurmPath(path string) string {
	return `"` + strings.NewReplacer(`"`, `\"`, "%", "%%").Replace(path)
}

func positive(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// WriteSlurm writes the batch scripts into the sweep's folder and returns the command lines that submit them, of
// which the second waits for the first: JOBID in it stands for the first one's answer.
func (s Submission) WriteSlurm(cfg configs.Slurm) ([][]string, error) {
	stages, err := s.slurmStages(cfg)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.Dir, slurmDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of batch scripts: %w", err)
	}
	var commands [][]string
	for i, stage := range stages {
		path := filepath.Join(dir, stage.name+".sh")
		if err := renameio.WriteFile(path, stage.text, 0o755); err != nil {
			return nil, fmt.Errorf("write %q: %w", path, err)
		}
		command := []string{"sbatch", "--parsable"}
		if i > 0 {
			// afterany, not afterok: a run encodes by itself what it does not find. With afterok one encode task that
			// failed for good would leave the whole training array in the queue for ever.
			command = append(command, "--dependency=afterany:JOBID")
		}
		commands = append(commands, append(command, path))
	}
	return commands, nil
}

// SubmitSlurm writes the batch scripts, submits the encode stage as a job array and the training as one that waits
// for it, and adds their job ids to slurm/jobs.json. The error is ErrQueued while jobs of an earlier submission
// have not ended: the same run twice at a time helps nobody.
func (s Submission) SubmitSlurm(ctx context.Context, cfg configs.Slurm) (*SlurmJobs, error) {
	path := filepath.Join(s.Dir, slurmDir, "jobs.json")
	earlier, err := readJobs(path)
	if err != nil {
		return nil, err
	}
	if err := s.stillQueued(ctx, earlier); err != nil {
		return nil, err
	}
	commands, err := s.WriteSlurm(cfg)
	if err != nil {
		return nil, err
	}
	jobs := &SlurmJobs{Tasks: indexList(s.Tasks), Submitted: time.Now().UTC().Truncate(time.Second)}
	var id string
	for i, command := range commands {
		for j := range command {
			command[j] = strings.Replace(command[j], "JOBID", id, 1)
		}
		answer, err := slurm(ctx, s.Dir, command...)
		if err != nil {
			return nil, err
		}
		id, _, _ = strings.Cut(strings.TrimSpace(answer), ";") // ID, or ID;CLUSTER
		if i == len(commands)-1 {
			jobs.Train = id
		} else {
			jobs.Encode = id
		}
		// After each of them, so that a job that is in the queue is never forgotten.
		text, err := json.MarshalIndent(append(earlier, *jobs), "", "  ")
		if err != nil {
			return nil, fmt.Errorf("write %q: %w", path, err)
		}
		if err := renameio.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			return nil, fmt.Errorf("write %q: %w: job %s is submitted all the same", path, err, id)
		}
	}
	return jobs, nil
}

func readJobs(path string) ([]SlurmJobs, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the job ids of earlier submissions: %w", err)
	}
	var jobs []SlurmJobs
	if err := json.Unmarshal(text, &jobs); err != nil {
		return nil, fmt.Errorf("read the job ids of earlier submissions: %q: %w: move the file away once squeue shows none of its jobs", path, err)
	}
	return jobs, nil
}

// stillQueued asks Slurm for the user's jobs, since it answers a question after a job that it has forgotten with an error.
func (s Submission) stillQueued(ctx context.Context, earlier []SlurmJobs) error {
	if len(earlier) == 0 {
		return nil
	}
	answer, err := slurm(ctx, s.Dir, "squeue", "--me", "--noheader", "--format=%F")
	if err != nil {
		return err
	}
	queued := map[string]bool{}
	for _, id := range strings.Fields(answer) {
		queued[id] = true
	}
	for _, jobs := range earlier {
		for _, id := range []string{jobs.Encode, jobs.Train} {
			if queued[id] {
				return fmt.Errorf("%w: job %s: wait for it, or end it with scancel %s", ErrQueued, id, id)
			}
		}
	}
	return nil
}

// slurm runs one of Slurm's commands in a folder and returns what it says on standard output. What it says on
// standard error is the error.
func slurm(ctx context.Context, dir string, command ...string) (string, error) {
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Dir = dir
	var out, problem bytes.Buffer
	c.Stdout, c.Stderr = &out, &problem
	err := c.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%w: is this a machine of the cluster that submits jobs? samtune sweep submit --dry-run only writes the batch scripts", err)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, strings.TrimSpace(problem.String()))
	}
	return out.String(), nil
}
