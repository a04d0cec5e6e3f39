package sweep

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"text/template"

	"github.com/google/renameio/v2"
	"sigs.k8s.io/yaml"

	"samtune/configs"
)

// kubernetesDir is the folder, inside the sweep's, of its manifests.
const kubernetesDir = "kubernetes"

//go:embed kubernetes.yaml.tmpl
var kubernetesText string

var kubernetesManifest = template.Must(template.New("kubernetes.yaml.tmpl").Parse(kubernetesText))

// Manifests are the files of a sweep's two Indexed Jobs. Encode is empty where the sweep has no encode stage.
type Manifests struct {
	Encode, Train string
}

// WriteKubernetes writes the manifests of two Indexed Jobs into the sweep's folder. Nothing of Kubernetes makes one
// Job wait for another: an init container that waits would hold the GPUs of all training pods meanwhile. Whoever
// applies them waits between the two.
func (s Submission) WriteKubernetes(cfg configs.Kubernetes) (Manifests, error) {
	var out Manifests
	info, err := os.Stat(s.Dir)
	if err != nil {
		return out, fmt.Errorf("find the sweep's folder: %w", err)
	}
	var user, group uint32
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		user, group = owner.Uid, owner.Gid
	}
	dir := filepath.Join(s.Dir, kubernetesDir)
	for _, stage := range []string{"encode", "train"} {
		if stage == "encode" && s.Encode == 0 {
			continue
		}
		text, err := s.manifest(cfg, stage, user, group)
		if err != nil {
			return out, err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return out, fmt.Errorf("make the folder of manifests: %w", err)
		}
		path := filepath.Join(dir, stage+".yaml")
		if err := renameio.WriteFile(path, text, 0o644); err != nil {
			return out, fmt.Errorf("write %q: %w", path, err)
		}
		if stage == "encode" {
			out.Encode = path
		} else {
			out.Train = path
		}
	}
	return out, nil
}

// manifest writes the Indexed Job of a stage. Its pods run as user and group, or as the image's user where that is root.
func (s Submission) manifest(cfg configs.Kubernetes, stage string, user, group uint32) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	words := map[string]string{"image": cfg.Image, "namespace": cfg.Namespace, "claim": cfg.Claim, "memory": cfg.Memory}
	counts := map[string]int{"cpus": cfg.CPUs, "gpus": cfg.GPUs, "parallelism": cfg.Parallelism, "retries": cfg.Retries}
	if err := checkEngine("engine.kubernetes", words, counts); err != nil {
		return nil, err
	}
	for key, value := range map[string]string{"image": cfg.Image, "claim": cfg.Claim, "mount": cfg.Mount} {
		if value == "" {
			return nil, fmt.Errorf("%w: engine.kubernetes.%s is not set: write it into the file of --config, or --set engine.kubernetes.%s=VALUE", configs.ErrConfig, key, key)
		}
	}
	if err := Below(cfg.Mount, "the sweep's folder", s.Dir); err != nil {
		return nil, err
	}
	title, command, tasks := trainTitle, s.Command, s.Tasks
	if stage == "encode" {
		title, command, tasks = encodeTitle, s.Command+" --encode", upTo(s.Encode)
	}
	// Completion indices always go from 0 to N-1. The list says which index of the sweep each of them is.
	script := fmt.Sprintf(`set -- %s; shift "$JOB_COMPLETION_INDEX"; exec %s --index "$1"`, strings.Trim(fmt.Sprint(tasks), "[]"), command)
	parallelism := len(tasks)
	if cfg.Parallelism > 0 {
		parallelism = min(parallelism, cfg.Parallelism)
	}
	requests, limits := map[string]string{}, map[string]string{}
	if cfg.CPUs > 0 {
		requests["cpu"] = strconv.Itoa(cfg.CPUs)
	}
	if cfg.Memory != "" {
		requests["memory"], limits["memory"] = cfg.Memory, cfg.Memory
	}
	if cfg.GPUs > 0 { // a request for GPUs is what their limit says
		limits["nvidia.com/gpu"] = strconv.Itoa(cfg.GPUs)
	}
	extra := strings.TrimRight(cfg.Extra, " \n")
	if extra != "" {
		extra = "      " + strings.ReplaceAll(strings.TrimLeft(extra, "\n"), "\n", "\n      ")
	}
	var b bytes.Buffer
	err := kubernetesManifest.Execute(&b, map[string]any{
		"Title": title, "Dir": s.Dir, "Stage": stage, "Name": s.kubernetesName(stage), "Namespace": cfg.Namespace,
		"Completions": len(tasks), "Parallelism": parallelism, "Retries": cfg.Retries, "User": user, "Group": group,
		"Image": flow(cfg.Image), "Script": flow(strings.ReplaceAll(script, "$(", "$$(")), "Resources": flow(requests), "Limits": flow(limits),
		"Mount": flow(cfg.Mount), "Claim": flow(cfg.Claim), "Extra": extra,
	})
	if err != nil {
		return nil, fmt.Errorf("write the %s stage's manifest: %w", stage, err)
	}
	var parsed map[string]any
	if err := yaml.UnmarshalStrict(b.Bytes(), &parsed); err != nil {
		return nil, fmt.Errorf("%w: engine.kubernetes.extra: with it the manifest is no YAML, or has a field twice: %w", configs.ErrConfig, err)
	}
	return b.Bytes(), nil
}

// Below refuses a path that the containers would not see: one that is not under the volume's place.
func Below(mount, what, path string) error {
	inside, err := filepath.Rel(mount, path)
	if err != nil || inside == ".." || strings.HasPrefix(inside, "../") {
		return fmt.Errorf("%w: %s, %q, is not below engine.kubernetes.mount, %q: the containers see that volume alone, under the same path as here", configs.ErrConfig, what, path, mount)
	}
	return nil
}

// kubernetesName names a stage's Job: the folder's name in the letters that names may have, and a hash of its path.
func (s Submission) kubernetesName(stage string) string {
	base := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(filepath.Base(s.Dir)), "-")
	sum := sha256.Sum256([]byte(s.Dir))
	return fmt.Sprintf("samtune-%s-%s-%s", strings.Trim(base[:min(len(base), 24)], "-"), hex.EncodeToString(sum[:3]), stage)
}

// flow writes a value as JSON, which YAML contains.
func flow(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // texts and maps of them have no value that JSON does not
	return strings.TrimSpace(b.String())
}
