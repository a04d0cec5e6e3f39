package eval

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func someRows() []CaseResult {
	u := Undefined
	return []CaseResult{
		{Case: "01", Patient: "p, 1", Volume: "v", Method: "box", Scores: Scores{
			TP: 1, FP: 2, FN: 3, TN: 4, Dice: 1.0 / 3, IoU: 0.1, Sensitivity: 1e-17, Specificity: 1, Accuracy: 0.5,
			AUC: Float(math.Nextafter(0.5, 1)), ClDice: u, HD95: 1234.5, ASSD: math.Pi, NSD: 0,
		}},
		{Case: `quote " and 名`, Method: MethodAfter, Scores: Scores{
			Dice: u, IoU: u, Sensitivity: u, Specificity: u, Accuracy: u, AUC: u, ClDice: u, HD95: u, ASSD: u, NSD: u,
		}},
	}
}

func TestCasesRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "per_case.csv")
	if err := WriteCasesFile(path, someRows()); err != nil {
		t.Fatal(err)
	}
	got, err := ReadCasesFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(someRows(), got, sameNaN); d != "" {
		t.Error(d)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `method,case,patient,volume,tp,fp,fn,tn,dice,iou,sensitivity,specificity,accuracy,auc,cldice,hd95,assd,nsd
box,01,"p, 1",v,1,2,3,4,0.3333333333333333,0.1,1e-17,1,0.5,0.5000000000000001,,1234.5,3.141592653589793,0
after,"quote "" and 名",,,0,0,0,0,,,,,,,,,,
`
	if d := cmp.Diff(want, string(text)); d != "" {
		t.Error(d)
	}
}

func TestReadCasesErrors(t *testing.T) {
	header := strings.Join(columns(), ",") + "\n"
	for name, c := range map[string]struct{ text, want string }{
		"empty":   {"", "it is empty"},
		"columns": {"case,dice\n", `columns are ["case" "dice"], want ["method"`},
		"count":   {header + "box,1,1,,1,2,3,x,1,1,1,1,1,1,1,1,1,1\n", `line 2, column "tn": not a file of results: "x" is not a count`},
		"metric":  {header + "box,1,1,,1,2,3,4,1,1,1,1,1,1,1,1,1,NaN\n", `line 2, column "nsd": not a file of results: "NaN" is not a finite number`},
		"cells":   {header + "box,1,1\n", "wrong number of fields"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadCases(strings.NewReader(c.text))
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want ErrFormat with %q", err, c.want)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "per_case.csv")
	if _, err := ReadCasesFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error of a missing file is %v", err)
	}
}

func TestResultsRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	before := rowsOf("box", 0.2, 0.4)
	paired, err := Compare("box", before, rowsOf(MethodAfter, 0.5, 0.6), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := &Results{
		Benchmark: "drive", Versions: map[string]string{"samtune": "0.1"}, Paired: paired, Trivial: TrivialOf(before, 1),
		Before: map[string]*Method{"box": MethodOf("full-image box", false, before, 1)},
	}
	if err := WriteResults(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadResults(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, sameNaN); d != "" {
		t.Error(d)
	}
	if got.Schema != Schema {
		t.Errorf("schema is %d, want %d", got.Schema, Schema)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteResults(path, got); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(path); err != nil || !bytes.Equal(first, second) {
		t.Errorf("written again it differs (%v)", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left beside the file: %v (%v)", entries, err)
	}
}

func TestReadResultsErrors(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":     {"", "unexpected end"},
		"cut":       {`{"schema": 1, "benchmark": "dr`, "unexpected end"},
		"trailing":  {`{"schema": 1} {}`, "after top-level value"},
		"no schema": {`{}`, "no schema number"},
		"newer":     {`{"schema": 2, "surprise": 1}`, "schema is 2, this version reads 1"},
		"unknown":   {`{"schema": 1, "surprise": 1}`, `unknown field "surprise"`},
		"type":      {`{"schema": 1, "shots": "5"}`, "shots"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "results.json")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := ReadResults(path)
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error is %v, want ErrFormat with %q and the path", err, c.want)
			}
		})
	}
	if _, err := ReadResults(filepath.Join(t.TempDir(), "results.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error of a missing file is %v", err)
	}
}

func TestWriteToMissingFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "results.json")
	if err := WriteResults(path, &Results{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v", err)
	}
}

func FuzzReadCases(f *testing.F) {
	var b bytes.Buffer
	if err := WriteCases(&b, someRows()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(strings.Join(columns(), ",") + "\n,,,0,0,0,0,,,,,,,,,,\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, err := ReadCases(bytes.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := WriteCases(&b, rows); err != nil {
			t.Fatal(err)
		}
		again, err := ReadCases(&b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(rows, again, sameNaN); d != "" {
			t.Error(d)
		}
	})
}

func FuzzReadResults(f *testing.F) {
	f.Add([]byte(`{"schema": 1, "before": {"box": {"dice": {"mean": null, "ci95": [0.1, 0.2]}}}, "paired": {"p": 1}}`))
	f.Add([]byte(`{"schema": 1, "started": "2026-09-01T00:00:00Z", "trivial": null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseResults(text)
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "results.json")
		if err := WriteResults(path, r); err != nil {
			t.Fatal(err)
		}
		again, err := ReadResults(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, again, sameNaN, cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
	})
}
