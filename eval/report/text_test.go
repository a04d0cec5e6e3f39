package report

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"samtune/eval"
)

func TestFormats(t *testing.T) {
	nan, inf := eval.Undefined, eval.Float(math.Inf(1))
	for _, test := range []struct{ name, got, want string }{
		{"Dice", number(0.22749, 3), "0.227"},
		{"undefined", number(nan, 3), "–"},
		{"infinite", number(inf, 3), "–"},
		{"no minus before zero", number(-0.0004, 3), "0.000"},
		{"gain", signed(0.385, 3), "+0.385"},
		{"decline", signed(-0.385, 3), "-0.385"},
		{"no sign on zero", signed(0.0001, 3), "0.000"},
		{"undefined difference", signed(nan, 3), "–"},
		{"interval", interval(eval.Interval{-0.01, 0.02}, 3), "-0.010 to 0.020"},
		{"half an interval", interval(eval.Interval{nan, 0.02}, 3), "–"},
		{"tiny p", probability(1.9073486328125e-06), "1.9e-06"},
		{"p", probability(0.0123), "0.012"},
		{"round p", probability(0.05), "0.050"},
		{"p of one", probability(1), "1.0"},
		{"no p", probability(nan), "–"},
		{"seconds", clock(43.2), "0:43"},
		{"minutes", clock(491.7), "8:12"},
		{"rounds up", clock(59.6), "1:00"},
		{"hours", clock(3661), "1:01:01"},
		{"no time", clock(math.NaN()), "–"},
		{"one", count(1, "case", "cases"), "1 case"},
		{"thousands", count(4058340, "case", "cases"), "4,058,340 cases"},
		{"hundreds", grouped(999), "999"},
		{"negative", grouped(-123456), "-123,456"},
		{"clipped", clip("ääääää", 4), "äää…"},
		{"not clipped", clip("ääää", 4), "ääää"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.got != test.want {
				t.Errorf("got %q, want %q", test.got, test.want)
			}
		})
	}
}

func TestAxis(t *testing.T) {
	for _, test := range []struct{ low, high float64 }{{0, 1}, {0.227, 0.612}, {-3, 7}, {1e-7, 3e-7}, {5, 5}, {0, 0}, {1, 300}, {0.9001, 0.9002}, {-2e9, 1e9}} {
		from, to, step, digits := axis(test.low, test.high, 8)
		all := ticks(from, to, step)
		if from > test.low+step*1e-6 || to < test.high-step*1e-6 || from >= to {
			t.Errorf("axis of %v is %g to %g", test, from, to)
		}
		if len(all) < 2 || len(all) > 11 || math.Abs(all[len(all)-1]-to) > step/1000 {
			t.Errorf("axis of %v has the ticks %v", test, all)
		}
		labels := map[string]bool{}
		for _, v := range all {
			labels[decimal(v, digits)] = true
		}
		if len(labels) != len(all) {
			t.Errorf("axis of %v: two ticks read the same: %v", test, labels)
		}
	}
}

func table(t *testing.T, r *eval.Results) []string {
	t.Helper()
	var b strings.Builder
	if err := Table(&b, r); err != nil {
		t.Fatal(err)
	}
	return strings.Split(b.String(), "\n")
}

func TestTerminalTable(t *testing.T) {
	r := syntheticRun().Results
	r.After.HD95.N, r.After.HD95.Undefined = 18, 2
	lines := table(t, r)
	column := func(line, word string) int { return len([]rune(line[:max(0, strings.Index(line, word))])) }
	after := column(lines[0], "after")
	for i, m := range metricsOf(r) {
		line := []rune(lines[1+i])
		want := summaryText(m, m.of(r.After))
		if got := string(line[after:min(after+len([]rune(want)), len(line))]); got != want {
			t.Errorf("under \"after\" stands %q, want %q: %s", got, want, string(line))
		}
	}
	text := strings.Join(lines, "\n")
	for _, want := range []string{
		"DRIVE vessels, 20 test images   before", "difference (95 % interval)", "1.9e-06", "[18 of 20]",
		signed(r.Paired.Difference, 3) + " (" + interval(r.Paired.CI95, 3) + ")",
		"zero-shot, full-image box; 20 of 20 cases better", "other Dice: no prompt 0.000, centre point 0.004, box around the truth (oracle) 0.229", "everything = foreground 0.228",
		"second human observer: Dice 0.788", "train 8:12", "total 9:59",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "does not confirm") {
		t.Error("a confirmed difference is doubted")
	}
	for _, line := range lines {
		if strings.HasPrefix(line, "HD95") && !strings.HasSuffix(strings.TrimSpace(line), missing) {
			t.Errorf("means over different cases are subtracted: %s", line)
		}
	}
	r.Paired.P = 0.3
	if text := strings.Join(table(t, r), "\n"); !strings.Contains(text, "does not confirm a difference") {
		t.Error("an unconfirmed difference is not called so")
	}
	text = strings.Join(table(t, zeroShotOnly().Results), "\n")
	for _, want := range []string{"zero-shot, full-image box", "everything = foreground", "(oracle)", "– [0 of 20]"} {
		if !strings.Contains(text, want) {
			t.Errorf("the zero-shot table lacks %q:\n%s", want, text)
		}
	}
}

func TestVolumesInThreeDimensions(t *testing.T) {
	run := syntheticRun()
	page := func(values, without int) (string, string) {
		for _, m := range []*eval.Method{run.Results.After, run.Results.Before["box"]} {
			m.In3D = &eval.In3D{
				HD95: summarise(make([]eval.Float, values), 0), ASSD: summarise(make([]eval.Float, values), 0), NSD: summarise(make([]eval.Float, values), 0),
				Without: without, Why: "slices between them were not scored",
			}
			m.In3D.HD95.Undefined, m.In3D.ASSD.Undefined, m.In3D.NSD.Undefined = without, without, without
		}
		lines := table(t, run.Results)
		html, _ := written(t, run)
		return strings.Join(lines, "\n"), html
	}
	text, html := page(4, 2)
	if !strings.Contains(text, "HD95 3D (mm)") && !strings.Contains(text, "HD95 3D (px)") {
		t.Errorf("the table has no HD95 in three dimensions:\n%s", text)
	}
	if !strings.Contains(html, "HD95 3D") || !strings.Contains(html, "2 of 6 volumes could not be compared in three dimensions") || !strings.Contains(html, "slices between them were not scored") {
		t.Error("the page does not say what was compared in three dimensions, and what not")
	}
	text, html = page(0, 6)
	if strings.Contains(text, "3D") || strings.Contains(html, "HD95 3D") || !strings.Contains(html, "6 of 6 volumes could not be compared in three dimensions") {
		t.Error("columns without any value are shown, or it is not said why there are none")
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestTerminalTableReportsFailedWrites(t *testing.T) {
	if err := Table(fullDisk{}, syntheticRun().Results); !errors.Is(err, os.ErrClosed) {
		t.Errorf("error is %v", err)
	}
}

func TestReadTrainLog(t *testing.T) {
	v := 0.5
	for _, test := range []struct {
		name, text string
		want       []TrainPoint
		fails      string
	}{
		{"two steps", "{\"step\":1,\"loss\":0.7,\"lr\":1e-5,\"grad_norm\":3}\n{\"step\":2,\"loss\":0.6,\"lr\":2e-5,\"val_dice\":0.5}\n",
			[]TrainPoint{{1, 0.7, 1e-5, nil}, {2, 0.6, 2e-5, &v}}, ""},
		{"a resumed run repeats steps", "{\"step\":1,\"loss\":1}\n{\"step\":2,\"loss\":2}\n{\"step\":1,\"loss\":3}\n",
			[]TrainPoint{{1, 3, 0, nil}, {2, 2, 0, nil}}, ""},
		{"out of order", "{\"step\":9}\n{\"step\":4}\n", []TrainPoint{{Step: 4}, {Step: 9}}, ""},
		{"cut in its last line", "{\"step\":1}\n{\"step\":2,\"lo", []TrainPoint{{Step: 1}}, ""},
		{"empty", "", nil, ""},
		{"damaged", "{\"step\":1}\nxyz\n{\"step\":3}\n", nil, "line 2"},
		{"negative step", "{\"step\":-1}\n", nil, "step is -1"},
		{"step beyond reason", "{\"step\":9000000000}\n", nil, "step is 9000000000"},
		{"loss beyond float32", "{\"step\":1,\"loss\":1e39}\n", nil, "loss is 1e+39"},
		{"Dice above 1", "{\"step\":1,\"val_dice\":1.5}\n", nil, "val_dice is 1.5"},
		{"one endless line", strings.Repeat("x", maxLogLine+1), nil, "longer than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "train.jsonl")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := ReadTrainLog(path)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) || !strings.Contains(err.Error(), path) {
					t.Errorf("error is %v, want the path and %q in it", err, test.fails)
				}
				return
			}
			if d := cmp.Diff(test.want, got); err != nil || d != "" {
				t.Errorf("%v, difference:\n%s", err, d)
			}
		})
	}
	if _, err := ReadTrainLog(filepath.Join(t.TempDir(), "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func FuzzTrainLog(f *testing.F) {
	f.Add("{\"step\":1,\"loss\":0.7,\"lr\":1e-5}\n{\"step\":2,\"loss\":0.6,\"val_dice\":0.5}\n", 1)
	f.Add("{\"step\":3,\"loss\":-1e308}\n{\"step\":3}\n{\"step\":9000000000000000000,\"loss\":1e308}\n", 3)
	f.Add("null\n[]\n", 0)
	f.Fuzz(func(t *testing.T, text string, best int) {
		points, err := parseTrainLog(strings.NewReader(text))
		if err != nil {
			return
		}
		for i := 1; i < len(points); i++ {
			if points[i-1].Step >= points[i].Step {
				t.Fatalf("steps are %d, %d", points[i-1].Step, points[i].Step)
			}
		}
		// Whatever a log holds, a plot of it must come to an end and name no value that is none.
		plot := string(curvePlot("curve", points, eval.Training{BestStep: best}))
		if strings.Contains(plot, "NaN") || strings.Contains(plot, "Inf") {
			t.Fatalf("plot holds a value that is none: %s", plot)
		}
	})
}

func TestWiden(t *testing.T) {
	for _, test := range []struct{ low, high float64 }{{0.5, 0.5}, {0, 0}, {1, 1}, {0.93, 0.97}, {0.2, 0.6}} {
		low, high := widen(test.low, test.high)
		if low < 0 || high > 1 || low > test.low || high < test.high || high-low < 0.2-1e-9 {
			t.Errorf("%v becomes %g to %g", test, low, high)
		}
	}
}
