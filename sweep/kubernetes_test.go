package sweep

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"samtune/configs"
)

// jobSchema is Kubernetes' own schema of a Job, which refuses fields that it does not know.
func jobSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", "job.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func valid(t *testing.T, schema *jsonschema.Schema, manifest []byte) error {
	t.Helper()
	text, err := yaml.YAMLToJSONStrict(manifest)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(value)
}

var kubernetes = configs.Kubernetes{Image: "registry.lab/samtune:0.1.0", Namespace: "imaging", Claim: "lab", Mount: "/lab", Memory: "8Gi", CPUs: 4, GPUs: 1,
	Parallelism: 8, Retries: 3, Extra: "nodeSelector:\n  gpu: a100\ntolerations:\n  - key: nvidia.com/gpu\n    operator: Exists\n"}

func TestKubernetesManifests(t *testing.T) {
	schema := jobSchema(t)
	full := Submission{Dir: "/lab/sweeps/My drive", Command: "samtune sweep run '/lab/sweeps/My drive'", Encode: 4, Tasks: []int{0, 15, 16, 17}}
	for _, c := range []struct {
		file, stage string
		s           Submission
		cfg         configs.Kubernetes
		user        uint32
	}{
		{"kubernetes_encode.yaml", "encode", full, kubernetes, 1000},
		{"kubernetes_train.yaml", "train", full, kubernetes, 1000},
		{"kubernetes_plain.yaml", "train", Submission{Dir: "/lab/x", Command: "samtune sweep run /lab/x", Tasks: upTo(12)},
			configs.Kubernetes{Image: "samtune", Claim: "lab", Mount: "/lab"}, 0},
	} {
		got, err := c.s.manifest(c.cfg, c.stage, c.user, c.user)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, c.file, got)
		if err := valid(t, schema, got); err != nil {
			t.Errorf("%s: %v", c.file, err)
		}
		wrong := strings.Replace(string(got), "completionMode:", "completionsMode:", 1)
		if err := valid(t, schema, []byte(wrong)); err == nil {
			t.Errorf("%s: the schema takes a field that Kubernetes does not know", c.file)
		}
	}
}

// TestKubernetesTask runs a container's command with a stand-in for samtune.
func TestKubernetesTask(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `it's "50%" $(id)`)
	bin := standIns(t, map[string]string{"samtune": `printf '%s\n' "$@" > "$(dirname "$0")/args"`})
	quoted := "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
	cfg := kubernetes
	cfg.Mount = "/"
	text, err := Submission{Dir: dir, Command: "samtune sweep run " + quoted, Tasks: []int{0, 15, 16}}.manifest(cfg, "train", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var job struct {
		Spec struct {
			Completions int
			Template    struct {
				Spec struct{ Containers []struct{ Command []string } }
			}
		}
	}
	if err := yaml.Unmarshal(text, &job); err != nil {
		t.Fatal(err)
	}
	command := job.Spec.Template.Spec.Containers[0].Command
	for i := range command { // what Kubernetes does with $$( before the container starts
		command[i] = strings.ReplaceAll(command[i], "$$(", "$(")
	}
	if job.Spec.Completions != 3 {
		t.Errorf("%d completions, want 3", job.Spec.Completions)
	}
	for completion, index := range map[string]string{"0": "0", "1": "15", "2": "16"} {
		c := exec.Command(command[0], command[1:]...)
		c.Env = append(os.Environ(), "JOB_COMPLETION_INDEX="+completion)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		args, _ := os.ReadFile(filepath.Join(bin, "args"))
		if want := "sweep\nrun\n" + dir + "\n--index\n" + index + "\n"; string(args) != want {
			t.Errorf("pod %s starts samtune with %q, want %q", completion, args, want)
		}
	}
}

func TestKubernetesRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*configs.Kubernetes)
		want   string
	}{
		"no image":          {func(k *configs.Kubernetes) { k.Image = "" }, "engine.kubernetes.image is not set"},
		"folder elsewhere":  {func(k *configs.Kubernetes) { k.Mount = "/lab/other" }, "not below engine.kubernetes.mount"},
		"two words":         {func(k *configs.Kubernetes) { k.Namespace = "a b" }, "engine.kubernetes.namespace"},
		"negative":          {func(k *configs.Kubernetes) { k.GPUs = -1 }, "engine.kubernetes.gpus is -1"},
		"extra is no YAML":  {func(k *configs.Kubernetes) { k.Extra = "nodeSelector: {gpu" }, "engine.kubernetes.extra"},
		"extra has a field": {func(k *configs.Kubernetes) { k.Extra = "containers: []" }, "engine.kubernetes.extra"},
	} {
		cfg := kubernetes
		c.change(&cfg)
		s := Submission{Dir: "/lab/sweep", Command: "samtune", Tasks: []int{0}}
		if _, err := s.manifest(cfg, "train", 0, 0); !errors.Is(err, configs.ErrConfig) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestWriteKubernetes(t *testing.T) {
	dir := t.TempDir()
	cfg := kubernetes
	cfg.Mount = dir
	files, err := Submission{Dir: dir, Command: "samtune sweep run " + dir, Encode: 2, Tasks: upTo(3)}.WriteKubernetes(cfg)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, path := range []string{files.Encode, files.Train} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var job struct{ Metadata struct{ Name string } }
		if err := yaml.Unmarshal(text, &job); err != nil {
			t.Fatal(err)
		}
		names[job.Metadata.Name] = true
		if len(job.Metadata.Name) > 57 { // a pod's host name is the Job's, a dash and the index, in 63 letters
			t.Errorf("the Job's name %q is too long", job.Metadata.Name)
		}
	}
	if len(names) != 2 {
		b, _ := json.Marshal(names)
		t.Errorf("the Jobs are called %s, want two names", b)
	}
}
